/* zoom_avx2.c - The points of a deep zoom, four lanes to a vector. */
#include <math.h>
#include <string.h>

#include "kernels/zoom_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET __attribute__((target("avx2,fma,bmi,bmi2,popcnt")))
#define LANES_COUNT 4
#define TOGETHER 4u
#define LANES_RUN sw_zoom_lanes_avx2
#define OPERATION LANES_TARGET static inline __attribute__((always_inline))

typedef double lanes __attribute__((vector_size(32)));
typedef int64_t words __attribute__((vector_size(32)));
typedef words mask; /* all bits of a lane, or none */

OPERATION lanes lanes_set(double value) {
    return _mm256_set1_pd(value);
}

OPERATION lanes lanes_load(const double *from) {
    return _mm256_loadu_pd(from);
}

OPERATION void lanes_store(double *to, lanes value) {
    _mm256_storeu_pd(to, value);
}

OPERATION lanes lanes_fma(lanes a, lanes b, lanes c) {
    return _mm256_fmadd_pd(a, b, c);
}

OPERATION lanes lanes_fnma(lanes a, lanes b, lanes c) {
    return _mm256_fnmadd_pd(a, b, c);
}

/* max(|a|, |b|) */
OPERATION lanes lanes_reach(lanes a, lanes b) {
    __m256d sign = _mm256_set1_pd(-0.0);
    return _mm256_max_pd(_mm256_andnot_pd(sign, a), _mm256_andnot_pd(sign, b));
}

OPERATION mask lanes_less(lanes a, lanes b) {
    return (mask)_mm256_cmp_pd(a, b, _CMP_LT_OQ);
}

OPERATION mask lanes_equal(lanes a, lanes b) {
    return (mask)_mm256_cmp_pd(a, b, _CMP_EQ_OQ);
}

OPERATION lanes lanes_pick(mask is_yes, lanes yes, lanes no) {
    return _mm256_blendv_pd(no, yes, (__m256d)is_yes);
}

/* from[index] where `is_wanted`, elsewhere 0. */
OPERATION lanes lanes_gather(const double *from, words index, mask is_wanted) {
    return _mm256_mask_i64gather_pd(_mm256_setzero_pd(), from, (__m256i)index, (__m256d)is_wanted, 8);
}

OPERATION words words_set(int64_t value) {
    return (words)_mm256_set1_epi64x(value);
}

OPERATION words words_load(const int64_t *from) {
    return (words)_mm256_loadu_si256((const __m256i *)(const void *)from);
}

OPERATION void words_store(int64_t *to, words value) {
    _mm256_storeu_si256((__m256i *)(void *)to, (__m256i)value);
}

/* value / 2^count; value >= 0. */
OPERATION words words_shift(words value, unsigned count) {
    return (words)_mm256_srl_epi64((__m256i)value, _mm_cvtsi32_si128((int)count));
}

OPERATION words words_times12(words value) {
    return (words)_mm256_add_epi64(_mm256_slli_epi64((__m256i)value, 3), _mm256_slli_epi64((__m256i)value, 2));
}

OPERATION mask words_equal(words a, words b) {
    return (mask)_mm256_cmpeq_epi64((__m256i)a, (__m256i)b);
}

OPERATION mask words_less(words a, words b) {
    return (mask)_mm256_cmpgt_epi64((__m256i)b, (__m256i)a);
}

/* Is it the start of a block? */
OPERATION mask words_aligned(words value) {
    return words_equal(value & words_set(SW_ZOOM_BLOCK - 1), words_set(0));
}

OPERATION words words_pick(mask is_yes, words yes, words no) {
    return (words)_mm256_blendv_epi8((__m256i)no, (__m256i)yes, (__m256i)is_yes);
}

OPERATION mask mask_and(mask a, mask b) {
    return a & b;
}

OPERATION mask mask_or(mask a, mask b) {
    return a | b;
}

/* a without b. */
OPERATION mask mask_but(mask a, mask b) {
    return a & ~b;
}

OPERATION unsigned mask_bits(mask a) {
    return (unsigned)_mm256_movemask_pd((__m256d)a);
}

OPERATION bool mask_any(mask a) {
    return mask_bits(a) != 0;
}

OPERATION mask mask_of_bits(unsigned bits) {
    words each = {1, 2, 4, 8};
    return words_equal(words_set(bits) & each, each);
}

OPERATION void orbit_gather(const struct sw_zoom_complex *z, words index, lanes *re, lanes *im) {
    __m256i twice = _mm256_slli_epi64((__m256i)index, 1);
    *re = _mm256_i64gather_pd(&z->re, twice, 8);
    *im = _mm256_i64gather_pd(&z->im, twice, 8);
}

/* re and im of z[lane][i] */
OPERATION void orbit_load(const struct sw_zoom_complex *const *z, size_t i, lanes *re, lanes *im) {
    __m256d even =
        _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(&z[0][i].re)), _mm_loadu_pd(&z[2][i].re), 1);
    __m256d odd = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(&z[1][i].re)), _mm_loadu_pd(&z[3][i].re), 1);
    *re = _mm256_unpacklo_pd(even, odd);
    *im = _mm256_unpackhi_pd(even, odd);
}

#include "kernels/zoom_lanes_impl.h"
#endif
