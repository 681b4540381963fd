/* fractal_avx2.c - Escape-time fractals four doubles at a time. */
#include "kernels/fractal_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#define UNROLL _Pragma("unroll")
#else
#pragma GCC optimize("fp-contract=off")
#define UNROLL _Pragma("GCC unroll 8")
#endif

#define LANES_TARGET __attribute__((target("avx2,fma")))
#define LANES_COUNT 4
#define LANES_GROUP 4
#define LANES_FLIGHT 6
#define LANES_RUN sw_fractal_run_avx2
#define OPERATION LANES_TARGET static inline __attribute__((always_inline))

typedef double lanes __attribute__((vector_size(32)));
typedef int64_t words __attribute__((vector_size(32)));
typedef __m256d mask;

OPERATION lanes lanes_set(double value) {
    return _mm256_set1_pd(value);
}

OPERATION words words_set(int64_t value) {
    return (words)_mm256_set1_epi64x(value);
}

OPERATION lanes lanes_load(const double *from) {
    return _mm256_load_pd(from);
}

OPERATION void lanes_store(double *to, lanes value) {
    _mm256_store_pd(to, value);
}

OPERATION words words_load(const int64_t *from) {
    return (words)_mm256_load_si256((const __m256i *)(const void *)from);
}

OPERATION void words_store(int64_t *to, words value) {
    _mm256_store_si256((__m256i *)(void *)to, (__m256i)value);
}

OPERATION lanes lanes_of_bits(words bits) {
    return (lanes)bits;
}

OPERATION words words_of_bits(lanes value) {
    return (words)value;
}

/* a * b + c, rounded once. */
OPERATION lanes lanes_fma(lanes a, lanes b, lanes c) {
    return _mm256_fmadd_pd(a, b, c);
}

/* c - a * b, rounded once. */
OPERATION lanes lanes_fnma(lanes a, lanes b, lanes c) {
    return _mm256_fnmadd_pd(a, b, c);
}

OPERATION lanes lanes_abs(lanes value) {
    return _mm256_andnot_pd(_mm256_set1_pd(-0.0), value);
}

OPERATION mask lanes_at_most(lanes a, lanes b) {
    return _mm256_cmp_pd(a, b, _CMP_LE_OQ);
}

OPERATION mask lanes_equal(lanes a, lanes b) {
    return _mm256_cmp_pd(a, b, _CMP_EQ_OQ);
}

OPERATION mask words_equal(words a, words b) {
    return (mask)_mm256_cmpeq_epi64((__m256i)a, (__m256i)b);
}

OPERATION lanes lanes_pick(mask is_yes, lanes yes, lanes no) {
    return _mm256_blendv_pd(no, yes, is_yes);
}

OPERATION words words_pick(mask is_yes, words yes, words no) {
    return (words)_mm256_blendv_pd((__m256d)no, (__m256d)yes, is_yes);
}

/* One more where `is_yes`. */
OPERATION words words_count(words value, mask is_yes) {
    return value - (words)is_yes;
}

OPERATION mask mask_and(mask a, mask b) {
    return _mm256_and_pd(a, b);
}

OPERATION mask mask_or(mask a, mask b) {
    return _mm256_or_pd(a, b);
}

/* a and not b. */
OPERATION mask mask_without(mask a, mask b) {
    return _mm256_andnot_pd(b, a);
}

OPERATION unsigned mask_bits(mask a) {
    return (unsigned)_mm256_movemask_pd(a);
}

OPERATION mask mask_of_bits(unsigned bits) {
    __m256i single = _mm256_setr_epi64x(1, 2, 4, 8);
    return (mask)_mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x((int)bits), single), single);
}

#include "kernels/fractal_lanes_impl.h"
#endif
