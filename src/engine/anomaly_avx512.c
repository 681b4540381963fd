/* anomaly_avx512.c - The anomaly detector sixteen series at a time. */
#include "engine/anomaly_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define LANES_COUNT 16
#define LANES_UPDATE sw_anomaly_lanes_avx512
#define OPERATION LANES_TARGET static inline __attribute__((always_inline))

typedef float lanes __attribute__((vector_size(64)));
typedef int32_t words __attribute__((vector_size(64)));
typedef __mmask16 mask;

OPERATION lanes lanes_set(float value) {
    return _mm512_set1_ps(value);
}

OPERATION words words_set(int32_t value) {
    return (words)_mm512_set1_epi32(value);
}

OPERATION lanes lanes_load(const float *from) {
    return _mm512_loadu_ps(from);
}

OPERATION void lanes_store(float *to, mask is_new, lanes value, lanes old) {
    _mm512_mask_storeu_ps(to, is_new, value);
}

OPERATION words words_load(const float *from) {
    return (words)_mm512_loadu_ps(from);
}

OPERATION void words_store(float *to, mask is_new, words value, words old) {
    _mm512_mask_storeu_ps(to, is_new, (__m512)value);
}

OPERATION words tails_load(const int16_t *from) {
    return (words)_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)from));
}

OPERATION void tails_store(int16_t *to, mask is_new, words value, words old) {
    _mm256_mask_storeu_epi16(to, is_new, _mm512_cvtepi32_epi16((__m512i)value));
}

OPERATION lanes lanes_of(words value) {
    return _mm512_cvtepi32_ps((__m512i)value);
}

OPERATION words words_of(lanes value) {
    return (words)_mm512_cvttps_epi32(value);
}

OPERATION lanes lanes_abs(lanes value) {
    return _mm512_abs_ps(value);
}

/* 1 or -1. */
OPERATION lanes lanes_sign(lanes value) {
    return _mm512_or_ps(_mm512_and_ps(_mm512_set1_ps(-0.0f), value), _mm512_set1_ps(1.0f));
}

OPERATION lanes lanes_min(lanes a, lanes b) {
    return _mm512_min_ps(a, b);
}

OPERATION lanes lanes_max(lanes a, lanes b) {
    return _mm512_max_ps(a, b);
}

OPERATION mask lanes_less(lanes a, lanes b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

OPERATION mask words_less(words a, words b) {
    return _mm512_cmplt_epi32_mask((__m512i)a, (__m512i)b);
}

OPERATION lanes lanes_pick(mask is_yes, lanes yes, lanes no) {
    return _mm512_mask_blend_ps(is_yes, no, yes);
}

OPERATION lanes lanes_keep(mask is_yes, lanes yes) {
    return _mm512_maskz_mov_ps(is_yes, yes);
}

OPERATION words words_pick(mask is_yes, words yes, words no) {
    return (words)_mm512_mask_blend_epi32(is_yes, (__m512i)no, (__m512i)yes);
}

OPERATION mask mask_and(mask a, mask b) {
    return (mask)(a & b);
}

OPERATION mask mask_or(mask a, mask b) {
    return (mask)(a | b);
}

OPERATION unsigned mask_bits(mask a) {
    return a;
}

OPERATION bool mask_any(mask a) {
    return a != 0;
}

OPERATION mask mask_of_bits(unsigned bits) {
    return (mask)bits;
}

/* The bits of the first `count` lanes. */
OPERATION unsigned lanes_below(unsigned count) {
    return count < LANES_COUNT ? (1u << count) - 1 : 0xffff;
}

OPERATION lanes values_load(const double *from, unsigned count, mask *is_present) {
    unsigned below = lanes_below(count);
    __m512d low = _mm512_maskz_loadu_pd((__mmask8)below, from);
    __m512d high = _mm512_maskz_loadu_pd((__mmask8)(below >> 8), from + 8);
    unsigned odd_low = _mm512_fpclass_pd_mask(low, 0x99), odd_high = _mm512_fpclass_pd_mask(high, 0x99); /* NaN, inf */
    unsigned present = below & ~(odd_low | odd_high << 8);
    *is_present = (mask)present;
    __m512 value = _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
    __mmask16 is_kept = _mm512_mask_cmp_ps_mask((__mmask16)present, _mm512_abs_ps(value),
                                                _mm512_set1_ps(SW_ANOMALY_VALUE_MIN), _CMP_GE_OQ);
    value = _mm512_maskz_min_ps(is_kept, value, _mm512_set1_ps(SW_ANOMALY_VALUE_MAX));
    return _mm512_max_ps(value, _mm512_set1_ps(-SW_ANOMALY_VALUE_MAX));
}

OPERATION void scores_store(float *to, unsigned count, lanes value) {
    _mm512_mask_storeu_ps(to, (__mmask16)lanes_below(count), value);
}

#include "engine/anomaly_lanes_impl.h"
#endif
