/* reduce_avx512.c - Reductions eight doubles at a time. */
#include "kernels/reduce_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <stdbool.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,popcnt")))
#define LANES_LEVEL sw_reduce_avx512
#define WIDTH 8
#define OPERATION LANES_TARGET static inline __attribute__((always_inline))

typedef __m512d lanes;
typedef __m512 floats;
typedef __mmask8 mask_f64;
typedef __mmask16 mask_f32;

OPERATION lanes lanes_set(double value) {
    return _mm512_set1_pd(value);
}

OPERATION lanes lanes_load(const double *from) {
    return _mm512_loadu_pd(from);
}

OPERATION lanes lanes_widen(const float *from) {
    return _mm512_cvtps_pd(_mm256_loadu_ps(from));
}

OPERATION lanes lanes_load_some(const double *from, unsigned count, double fill) {
    return _mm512_mask_loadu_pd(_mm512_set1_pd(fill), (__mmask8)((1u << count) - 1), from);
}

OPERATION lanes lanes_widen_some(const float *from, unsigned count, double fill) {
    __mmask8 some = (__mmask8)((1u << count) - 1);
    return _mm512_mask_cvtps_pd(_mm512_set1_pd(fill), some, _mm256_maskz_loadu_ps(some, from));
}

OPERATION double lanes_total(lanes value) {
    __m256d half = _mm256_add_pd(_mm512_castpd512_pd256(value), _mm512_extractf64x4_pd(value, 1));
    __m128d quarter = _mm_add_pd(_mm256_castpd256_pd128(half), _mm256_extractf128_pd(half, 1));
    return _mm_cvtsd_f64(_mm_add_sd(quarter, _mm_unpackhi_pd(quarter, quarter)));
}

OPERATION void lanes_store(double *to, lanes value) {
    _mm512_storeu_pd(to, value);
}

/* b where either is NaN; so in all these. */
OPERATION lanes lanes_min(lanes a, lanes b) {
    return _mm512_min_pd(a, b);
}

OPERATION lanes lanes_max(lanes a, lanes b) {
    return _mm512_max_pd(a, b);
}

OPERATION floats floats_set(float value) {
    return _mm512_set1_ps(value);
}

OPERATION floats floats_load(const float *from) {
    return _mm512_loadu_ps(from);
}

OPERATION void floats_store(float *to, floats value) {
    _mm512_storeu_ps(to, value);
}

OPERATION floats floats_min(floats a, floats b) {
    return _mm512_min_ps(a, b);
}

OPERATION floats floats_max(floats a, floats b) {
    return _mm512_max_ps(a, b);
}

OPERATION mask_f64 mask_f64_none(void) {
    return 0;
}

OPERATION mask_f64 mask_f64_last(unsigned count) {
    return (mask_f64)(0xff00u >> count);
}

OPERATION lanes lanes_only(lanes value, mask_f64 where) {
    return _mm512_maskz_mov_pd(where, value);
}

OPERATION lanes lanes_except(lanes value, mask_f64 where) {
    return _mm512_maskz_mov_pd((mask_f64)~where, value);
}

OPERATION lanes lanes_load_last(const double *from, unsigned count, double fill) {
    return _mm512_mask_expandloadu_pd(_mm512_set1_pd(fill), mask_f64_last(count), from);
}

OPERATION lanes lanes_widen_last(const float *from, unsigned count, double fill) {
    return _mm512_mask_expand_pd(_mm512_set1_pd(fill), mask_f64_last(count), lanes_widen_some(from, count, fill));
}

OPERATION mask_f64 mask_f64_add(mask_f64 odd, lanes a, lanes b) {
    return (mask_f64)(odd | _mm512_cmp_pd_mask(a, b, _CMP_UNORD_Q));
}

OPERATION bool mask_f64_any(mask_f64 odd) {
    return odd != 0;
}

OPERATION mask_f32 mask_f32_none(void) {
    return 0;
}

OPERATION mask_f32 mask_f32_add(mask_f32 odd, floats a, floats b) {
    return (mask_f32)(odd | _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q));
}

OPERATION bool mask_f32_any(mask_f32 odd) {
    return odd != 0;
}

OPERATION lanes lanes_pick_less(lanes a, lanes b, lanes yes, lanes no) {
    return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_LT_OQ), no, yes);
}

OPERATION lanes lanes_pick_most(lanes a, lanes b, lanes yes, lanes no) {
    return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_LE_OQ), no, yes);
}

OPERATION lanes lanes_floor(lanes x) {
    return _mm512_roundscale_pd(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}

OPERATION void lanes_to_index(uint32_t *to, lanes x) {
    _mm256_storeu_si256((__m256i *)(void *)to, _mm512_cvttpd_epi32(x));
}

OPERATION size_t lanes_keep(double *to, lanes x, lanes low, lanes high, size_t *low_count) {
    __mmask8 is_high_or_odd = _mm512_cmp_pd_mask(x, low, _CMP_NLE_UQ);
    __mmask8 is_kept = _mm512_mask_cmp_pd_mask(is_high_or_odd, x, high, _CMP_NGE_UQ);
    *low_count += 8u - (unsigned)__builtin_popcount(is_high_or_odd);
    /* Compressing straight to memory is slow on several processors. */
    _mm512_storeu_pd(to, _mm512_maskz_compress_pd(is_kept, x));
    return (unsigned)__builtin_popcount(is_kept);
}

#include "kernels/reduce_lanes_impl.h"
#endif
