/* reduce_avx2.c - Reductions four doubles at a time. */
#include "kernels/reduce_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <stdbool.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET __attribute__((target("avx2,popcnt")))
#define LANES_LEVEL sw_reduce_avx2
#define WIDTH 4
#define OPERATION LANES_TARGET static inline __attribute__((always_inline))

typedef __m256d lanes;
typedef __m256 floats;
typedef __m256d mask_f64;
typedef __m256 mask_f32;

OPERATION lanes lanes_set(double value) {
    return _mm256_set1_pd(value);
}

OPERATION lanes lanes_load(const double *from) {
    return _mm256_loadu_pd(from);
}

OPERATION lanes lanes_widen(const float *from) {
    return _mm256_cvtps_pd(_mm_loadu_ps(from));
}

/* All ones in the first `count` lanes. */
OPERATION __m256i lanes_before(unsigned count) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)count), _mm256_setr_epi64x(0, 1, 2, 3));
}

OPERATION lanes lanes_load_some(const double *from, unsigned count, double fill) {
    __m256i some = lanes_before(count);
    return _mm256_blendv_pd(_mm256_set1_pd(fill), _mm256_maskload_pd(from, some), _mm256_castsi256_pd(some));
}

OPERATION lanes lanes_widen_some(const float *from, unsigned count, double fill) {
    __m128i floats_before = _mm_cmpgt_epi32(_mm_set1_epi32((int)count), _mm_setr_epi32(0, 1, 2, 3));
    __m256d value = _mm256_cvtps_pd(_mm_maskload_ps(from, floats_before));
    return _mm256_blendv_pd(_mm256_set1_pd(fill), value, _mm256_castsi256_pd(lanes_before(count)));
}

OPERATION double lanes_total(lanes value) {
    __m128d half = _mm_add_pd(_mm256_castpd256_pd128(value), _mm256_extractf128_pd(value, 1));
    return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
}

OPERATION void lanes_store(double *to, lanes value) {
    _mm256_storeu_pd(to, value);
}

/* b where either is NaN; so in all these. */
OPERATION lanes lanes_min(lanes a, lanes b) {
    return _mm256_min_pd(a, b);
}

OPERATION lanes lanes_max(lanes a, lanes b) {
    return _mm256_max_pd(a, b);
}

OPERATION floats floats_set(float value) {
    return _mm256_set1_ps(value);
}

OPERATION floats floats_load(const float *from) {
    return _mm256_loadu_ps(from);
}

OPERATION void floats_store(float *to, floats value) {
    _mm256_storeu_ps(to, value);
}

OPERATION floats floats_min(floats a, floats b) {
    return _mm256_min_ps(a, b);
}

OPERATION floats floats_max(floats a, floats b) {
    return _mm256_max_ps(a, b);
}

OPERATION mask_f64 mask_f64_none(void) {
    return _mm256_setzero_pd();
}

OPERATION mask_f64 mask_f64_last(unsigned count) {
    return _mm256_castsi256_pd(
        _mm256_cmpgt_epi64(_mm256_setr_epi64x(0, 1, 2, 3), _mm256_set1_epi64x(3 - (long long)count)));
}

OPERATION lanes lanes_only(lanes value, mask_f64 where) {
    return _mm256_and_pd(where, value);
}

OPERATION lanes lanes_except(lanes value, mask_f64 where) {
    return _mm256_andnot_pd(where, value);
}

/* The first `count` lanes become the last. */
OPERATION lanes lanes_to_end(lanes value, unsigned count) {
    __m256i first = _mm256_set1_epi32(2 * (int)count), lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i order = _mm256_and_si256(_mm256_add_epi32(lane, first), _mm256_set1_epi32(7));
    return _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(value), order));
}

OPERATION lanes lanes_load_last(const double *from, unsigned count, double fill) {
    return lanes_to_end(lanes_load_some(from, count, fill), count);
}

OPERATION lanes lanes_widen_last(const float *from, unsigned count, double fill) {
    return lanes_to_end(lanes_widen_some(from, count, fill), count);
}

OPERATION mask_f64 mask_f64_add(mask_f64 odd, lanes a, lanes b) {
    return _mm256_or_pd(odd, _mm256_cmp_pd(a, b, _CMP_UNORD_Q));
}

OPERATION bool mask_f64_any(mask_f64 odd) {
    return _mm256_movemask_pd(odd) != 0;
}

OPERATION mask_f32 mask_f32_none(void) {
    return _mm256_setzero_ps();
}

OPERATION mask_f32 mask_f32_add(mask_f32 odd, floats a, floats b) {
    return _mm256_or_ps(odd, _mm256_cmp_ps(a, b, _CMP_UNORD_Q));
}

OPERATION bool mask_f32_any(mask_f32 odd) {
    return _mm256_movemask_ps(odd) != 0;
}

OPERATION lanes lanes_pick_less(lanes a, lanes b, lanes yes, lanes no) {
    return _mm256_blendv_pd(no, yes, _mm256_cmp_pd(a, b, _CMP_LT_OQ));
}

OPERATION lanes lanes_pick_most(lanes a, lanes b, lanes yes, lanes no) {
    return _mm256_blendv_pd(no, yes, _mm256_cmp_pd(a, b, _CMP_LE_OQ));
}

OPERATION lanes lanes_floor(lanes x) {
    return _mm256_floor_pd(x);
}

OPERATION void lanes_to_index(uint32_t *to, lanes x) {
    _mm_storeu_si128((__m128i *)(void *)to, _mm256_cvttpd_epi32(x));
}

/* For each set of lanes: where the halves of those lanes go so that they come first. */
#define PAIR(lane) 2 * (lane), 2 * (lane) + 1
static const int32_t compressing[16][8] = {
    {0},
    {PAIR(0)},
    {PAIR(1)},
    {PAIR(0), PAIR(1)},
    {PAIR(2)},
    {PAIR(0), PAIR(2)},
    {PAIR(1), PAIR(2)},
    {PAIR(0), PAIR(1), PAIR(2)},
    {PAIR(3)},
    {PAIR(0), PAIR(3)},
    {PAIR(1), PAIR(3)},
    {PAIR(0), PAIR(1), PAIR(3)},
    {PAIR(2), PAIR(3)},
    {PAIR(0), PAIR(2), PAIR(3)},
    {PAIR(1), PAIR(2), PAIR(3)},
    {PAIR(0), PAIR(1), PAIR(2), PAIR(3)},
};

OPERATION size_t lanes_keep(double *to, lanes x, lanes low, lanes high, size_t *low_count) {
    unsigned is_low = (unsigned)_mm256_movemask_pd(_mm256_cmp_pd(x, low, _CMP_LE_OQ));
    unsigned is_high = (unsigned)_mm256_movemask_pd(_mm256_cmp_pd(x, high, _CMP_GE_OQ));
    unsigned is_kept = ~(is_low | is_high) & 15;
    __m256i order = _mm256_loadu_si256((const __m256i *)(const void *)compressing[is_kept]);
    *low_count += (unsigned)__builtin_popcount(is_low);
    _mm256_storeu_pd(to, _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(x), order)));
    return (unsigned)__builtin_popcount(is_kept);
}

#include "kernels/reduce_lanes_impl.h"
#endif
