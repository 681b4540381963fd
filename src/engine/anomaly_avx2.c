/* anomaly_avx2.c - The anomaly detector eight series at a time. */
#include "engine/anomaly_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET __attribute__((target("avx2")))
#define LANES_COUNT 8
#define LANES_UPDATE sw_anomaly_lanes_avx2
#define OPERATION LANES_TARGET static inline __attribute__((always_inline))

typedef float lanes __attribute__((vector_size(32)));
typedef int32_t words __attribute__((vector_size(32)));
typedef __m256 mask;

OPERATION lanes lanes_set(float value) {
    return _mm256_set1_ps(value);
}

OPERATION words words_set(int32_t value) {
    return (words)_mm256_set1_epi32(value);
}

OPERATION lanes lanes_load(const float *from) {
    return _mm256_loadu_ps(from);
}

OPERATION void lanes_store(float *to, mask is_new, lanes value, lanes old) {
    _mm256_storeu_ps(to, _mm256_blendv_ps(old, value, is_new));
}

OPERATION words words_load(const float *from) {
    return (words)_mm256_loadu_ps(from);
}

OPERATION void words_store(float *to, mask is_new, words value, words old) {
    lanes_store(to, is_new, (lanes)value, (lanes)old);
}

OPERATION words tails_load(const int16_t *from) {
    return (words)_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(const void *)from));
}

OPERATION void tails_store(int16_t *to, mask is_new, words value, words old) {
    __m256i chosen = (__m256i)_mm256_blendv_ps((__m256)old, (__m256)value, is_new);
    __m256i halves = _mm256_packs_epi32(chosen, chosen);
    _mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(_mm256_permute4x64_epi64(halves, 0x08)));
}

OPERATION lanes lanes_of(words value) {
    return _mm256_cvtepi32_ps((__m256i)value);
}

OPERATION words words_of(lanes value) {
    return (words)_mm256_cvttps_epi32(value);
}

OPERATION lanes lanes_abs(lanes value) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), value);
}

/* 1 or -1. */
OPERATION lanes lanes_sign(lanes value) {
    return _mm256_or_ps(_mm256_and_ps(_mm256_set1_ps(-0.0f), value), _mm256_set1_ps(1.0f));
}

OPERATION lanes lanes_min(lanes a, lanes b) {
    return _mm256_min_ps(a, b);
}

OPERATION lanes lanes_max(lanes a, lanes b) {
    return _mm256_max_ps(a, b);
}

OPERATION mask lanes_less(lanes a, lanes b) {
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}

OPERATION mask words_less(words a, words b) {
    return (mask)_mm256_cmpgt_epi32((__m256i)b, (__m256i)a);
}

OPERATION lanes lanes_pick(mask is_yes, lanes yes, lanes no) {
    return _mm256_blendv_ps(no, yes, is_yes);
}

OPERATION lanes lanes_keep(mask is_yes, lanes yes) {
    return _mm256_and_ps(is_yes, yes);
}

OPERATION words words_pick(mask is_yes, words yes, words no) {
    return (words)_mm256_blendv_ps((__m256)no, (__m256)yes, is_yes);
}

OPERATION mask mask_and(mask a, mask b) {
    return _mm256_and_ps(a, b);
}

OPERATION mask mask_or(mask a, mask b) {
    return _mm256_or_ps(a, b);
}

OPERATION unsigned mask_bits(mask a) {
    return (unsigned)_mm256_movemask_ps(a);
}

OPERATION bool mask_any(mask a) {
    return mask_bits(a) != 0;
}

OPERATION mask mask_of_bits(unsigned bits) {
    __m256i single = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return (mask)_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)bits), single), single);
}

/* The bits of the first `count` lanes. */
OPERATION unsigned lanes_below(unsigned count) {
    return count < LANES_COUNT ? (1u << count) - 1 : 0xff;
}

/* All ones in the first `count` lanes. */
OPERATION __m256i lanes_before(unsigned count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

OPERATION lanes values_load(const double *from, unsigned count, mask *is_present) {
    __m256i before = lanes_before(count);
    __m256i before_low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(before));
    __m256i before_high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256(before, 1));
    __m256d low = _mm256_maskload_pd(from, before_low), high = _mm256_maskload_pd(from + 4, before_high);
    __m256d finite_low = _mm256_cmp_pd(_mm256_sub_pd(low, low), _mm256_setzero_pd(), _CMP_EQ_OQ);
    __m256d finite_high = _mm256_cmp_pd(_mm256_sub_pd(high, high), _mm256_setzero_pd(), _CMP_EQ_OQ);
    __m256 finite = _mm256_shuffle_ps((__m256)finite_low, (__m256)finite_high, 0x88);
    finite = (__m256)_mm256_permute4x64_epi64((__m256i)finite, 0xd8);
    *is_present = _mm256_and_ps(finite, (__m256)before);
    lanes value = _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low));
    mask is_large = _mm256_cmp_ps(lanes_abs(value), lanes_set(SW_ANOMALY_VALUE_MIN), _CMP_GE_OQ);
    value = lanes_keep(_mm256_and_ps(*is_present, is_large), value);
    return lanes_max(lanes_min(value, lanes_set(SW_ANOMALY_VALUE_MAX)), lanes_set(-SW_ANOMALY_VALUE_MAX));
}

OPERATION void scores_store(float *to, unsigned count, lanes value) {
    _mm256_maskstore_ps(to, lanes_before(count), value);
}

#include "engine/anomaly_lanes_impl.h"
#endif
