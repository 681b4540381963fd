/* zoom_avx512.c - The points of a deep zoom, eight lanes to a vector. */
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

#define LANES_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define LANES_COUNT 8
#define TOGETHER 8u /* the chain of one iteration is 12 cycles long */
#define LANES_RUN sw_zoom_lanes_avx512
#define OPERATION LANES_TARGET static inline __attribute__((always_inline))

typedef double lanes __attribute__((vector_size(64)));
typedef int64_t words __attribute__((vector_size(64)));
typedef __mmask8 mask;

OPERATION lanes lanes_set(double value) {
    return _mm512_set1_pd(value);
}

OPERATION lanes lanes_load(const double *from) {
    return _mm512_loadu_pd(from);
}

OPERATION void lanes_store(double *to, lanes value) {
    _mm512_storeu_pd(to, value);
}

OPERATION lanes lanes_fma(lanes a, lanes b, lanes c) {
    return _mm512_fmadd_pd(a, b, c);
}

OPERATION lanes lanes_fnma(lanes a, lanes b, lanes c) {
    return _mm512_fnmadd_pd(a, b, c);
}

/* max(|a|, |b|) */
OPERATION lanes lanes_reach(lanes a, lanes b) {
    return _mm512_range_pd(a, b, 0x0b);
}

OPERATION mask lanes_less(lanes a, lanes b) {
    return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ);
}

OPERATION mask lanes_equal(lanes a, lanes b) {
    return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ);
}

OPERATION lanes lanes_pick(mask is_yes, lanes yes, lanes no) {
    return _mm512_mask_blend_pd(is_yes, no, yes);
}

/* from[index] where `is_wanted`, elsewhere 0. */
OPERATION lanes lanes_gather(const double *from, words index, mask is_wanted) {
    return _mm512_mask_i64gather_pd(_mm512_setzero_pd(), is_wanted, (__m512i)index, from, 8);
}

OPERATION words words_set(int64_t value) {
    return (words)_mm512_set1_epi64(value);
}

OPERATION words words_load(const int64_t *from) {
    return (words)_mm512_loadu_si512(from);
}

OPERATION void words_store(int64_t *to, words value) {
    _mm512_storeu_si512(to, (__m512i)value);
}

/* value / 2^count; value >= 0. */
OPERATION words words_shift(words value, unsigned count) {
    return (words)_mm512_srl_epi64((__m512i)value, _mm_cvtsi32_si128((int)count));
}

OPERATION words words_times12(words value) {
    return (words)_mm512_add_epi64(_mm512_slli_epi64((__m512i)value, 3), _mm512_slli_epi64((__m512i)value, 2));
}

OPERATION mask words_equal(words a, words b) {
    return _mm512_cmpeq_epi64_mask((__m512i)a, (__m512i)b);
}

OPERATION mask words_less(words a, words b) {
    return _mm512_cmplt_epi64_mask((__m512i)a, (__m512i)b);
}

/* Is it the start of a block? */
OPERATION mask words_aligned(words value) {
    return _mm512_testn_epi64_mask((__m512i)value, _mm512_set1_epi64(SW_ZOOM_BLOCK - 1));
}

OPERATION words words_pick(mask is_yes, words yes, words no) {
    return (words)_mm512_mask_blend_epi64(is_yes, (__m512i)no, (__m512i)yes);
}

OPERATION mask mask_and(mask a, mask b) {
    return (mask)(a & b);
}

OPERATION mask mask_or(mask a, mask b) {
    return (mask)(a | b);
}

/* a without b. */
OPERATION mask mask_but(mask a, mask b) {
    return (mask)(a & ~b);
}

OPERATION bool mask_any(mask a) {
    return a != 0;
}

OPERATION unsigned mask_bits(mask a) {
    return a;
}

OPERATION mask mask_of_bits(unsigned bits) {
    return (mask)bits;
}

OPERATION void orbit_gather(const struct sw_zoom_complex *z, words index, lanes *re, lanes *im) {
    __m512i twice = _mm512_slli_epi64((__m512i)index, 1);
    *re = _mm512_i64gather_pd(twice, &z->re, 8);
    *im = _mm512_i64gather_pd(twice, &z->im, 8);
}

/* re and im of z[lane][i] */
OPERATION void orbit_load(const struct sw_zoom_complex *const *z, size_t i, lanes *re, lanes *im) {
    __m512d even = _mm512_castpd128_pd512(_mm_loadu_pd(&z[0][i].re));
    __m512d odd = _mm512_castpd128_pd512(_mm_loadu_pd(&z[1][i].re));
    even = _mm512_mask_broadcast_f64x2(even, 0x0c, _mm_loadu_pd(&z[2][i].re));
    odd = _mm512_mask_broadcast_f64x2(odd, 0x0c, _mm_loadu_pd(&z[3][i].re));
    even = _mm512_mask_broadcast_f64x2(even, 0x30, _mm_loadu_pd(&z[4][i].re));
    odd = _mm512_mask_broadcast_f64x2(odd, 0x30, _mm_loadu_pd(&z[5][i].re));
    even = _mm512_mask_broadcast_f64x2(even, 0xc0, _mm_loadu_pd(&z[6][i].re));
    odd = _mm512_mask_broadcast_f64x2(odd, 0xc0, _mm_loadu_pd(&z[7][i].re));
    *re = _mm512_unpacklo_pd(even, odd);
    *im = _mm512_unpackhi_pd(even, odd);
}

#include "kernels/zoom_lanes_impl.h"
#endif
