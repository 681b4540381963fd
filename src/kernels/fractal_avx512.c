/* fractal_avx512.c - Escape-time fractals eight doubles at a time, seven vectors in flight. */
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

#define LANES_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma")))
#define LANES_COUNT 8
#define LANES_GROUP 4
#define LANES_FLIGHT 7
#define LANES_RUN sw_fractal_run_avx512
#define OPERATION LANES_TARGET static inline __attribute__((always_inline))

typedef double lanes __attribute__((vector_size(64)));
typedef int64_t words __attribute__((vector_size(64)));
typedef __mmask8 mask;

OPERATION lanes lanes_set(double value) {
    return _mm512_set1_pd(value);
}

OPERATION words words_set(int64_t value) {
    return (words)_mm512_set1_epi64(value);
}

OPERATION lanes lanes_load(const double *from) {
    return _mm512_load_pd(from);
}

OPERATION void lanes_store(double *to, lanes value) {
    _mm512_store_pd(to, value);
}

OPERATION words words_load(const int64_t *from) {
    return (words)_mm512_load_si512(from);
}

OPERATION void words_store(int64_t *to, words value) {
    _mm512_store_si512(to, (__m512i)value);
}

OPERATION lanes lanes_of_bits(words bits) {
    return (lanes)bits;
}

OPERATION words words_of_bits(lanes value) {
    return (words)value;
}

/* a * b + c, rounded once. */
OPERATION lanes lanes_fma(lanes a, lanes b, lanes c) {
    return _mm512_fmadd_pd(a, b, c);
}

/* c - a * b, rounded once. */
OPERATION lanes lanes_fnma(lanes a, lanes b, lanes c) {
    return _mm512_fnmadd_pd(a, b, c);
}

OPERATION lanes lanes_abs(lanes value) {
    return _mm512_abs_pd(value);
}

OPERATION mask lanes_at_most(lanes a, lanes b) {
    return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ);
}

OPERATION mask lanes_equal(lanes a, lanes b) {
    return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ);
}

OPERATION mask words_equal(words a, words b) {
    return _mm512_cmpeq_epi64_mask((__m512i)a, (__m512i)b);
}

OPERATION lanes lanes_pick(mask is_yes, lanes yes, lanes no) {
    return _mm512_mask_blend_pd(is_yes, no, yes);
}

OPERATION words words_pick(mask is_yes, words yes, words no) {
    return (words)_mm512_mask_blend_epi64(is_yes, (__m512i)no, (__m512i)yes);
}

/* One more where `is_yes`. */
OPERATION words words_count(words value, mask is_yes) {
    return (words)_mm512_mask_sub_epi64((__m512i)value, is_yes, (__m512i)value, _mm512_set1_epi64(-1));
}

OPERATION mask mask_and(mask a, mask b) {
    return (mask)(a & b);
}

OPERATION mask mask_or(mask a, mask b) {
    return (mask)(a | b);
}

/* a and not b. */
OPERATION mask mask_without(mask a, mask b) {
    return (mask)(a & ~b);
}

OPERATION unsigned mask_bits(mask a) {
    return a;
}

OPERATION mask mask_of_bits(unsigned bits) {
    return (mask)bits;
}

#include "kernels/fractal_lanes_impl.h"
#endif
