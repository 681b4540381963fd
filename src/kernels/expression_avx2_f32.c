/* expression_avx2_f32.c - The kernels of expressions eight float32 at a time. */
#include "kernels/expression_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET __attribute__((target("avx2,fma")))
#define LANES_COUNT 8
#define LANES_F32 1
#define LANES_TABLE sw_kernels_avx2_f32
#define OPERATION LANES_TARGET static inline __attribute__((always_inline))

typedef float real;
typedef uint32_t word;
typedef real lanes __attribute__((vector_size(32)));
typedef word words __attribute__((vector_size(32)));
typedef __m256 mask;

OPERATION lanes lanes_set(real value) {
    return _mm256_set1_ps(value);
}

OPERATION words words_set(word value) {
    return (words)_mm256_set1_epi32((int)value);
}

OPERATION lanes lanes_load(const real *from) {
    return _mm256_loadu_ps(from);
}

OPERATION void lanes_store(real *to, lanes value) {
    _mm256_storeu_ps(to, value);
}

OPERATION void lanes_stream(real *to, lanes value) {
    _mm256_stream_ps(to, value);
}

OPERATION lanes lanes_of(words value) {
    return (lanes)value;
}

OPERATION words words_of(lanes value) {
    return (words)value;
}

/* Of a table of 16, by the low 4 bits. */
OPERATION lanes lanes_lookup(const real *table, words index) {
    lanes low = _mm256_permutevar8x32_ps(_mm256_load_ps(table), (__m256i)index);
    lanes high = _mm256_permutevar8x32_ps(_mm256_load_ps(table + 8), (__m256i)index);
    return _mm256_blendv_ps(low, high, (__m256)(index << 28));
}

OPERATION lanes lanes_fma(lanes a, lanes b, lanes c) {
    return _mm256_fmadd_ps(a, b, c);
}

OPERATION lanes lanes_sqrt(lanes a) {
    return _mm256_sqrt_ps(a);
}

OPERATION lanes lanes_floor(lanes a) {
    return _mm256_floor_ps(a);
}

OPERATION lanes lanes_ceil(lanes a) {
    return _mm256_ceil_ps(a);
}

OPERATION lanes lanes_round(lanes a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

OPERATION lanes lanes_abs(lanes a) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}

/* Either gives b where one is NaN. */
OPERATION lanes lanes_min(lanes a, lanes b) {
    return _mm256_min_ps(a, b);
}

OPERATION lanes lanes_max(lanes a, lanes b) {
    return _mm256_max_ps(a, b);
}

OPERATION mask lanes_less(lanes a, lanes b) {
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}

OPERATION mask lanes_at_most(lanes a, lanes b) {
    return _mm256_cmp_ps(a, b, _CMP_LE_OQ);
}

OPERATION mask lanes_equal(lanes a, lanes b) {
    return _mm256_cmp_ps(a, b, _CMP_EQ_OQ);
}

OPERATION mask mask_and(mask a, mask b) {
    return _mm256_and_ps(a, b);
}

OPERATION bool mask_all(mask a) {
    return _mm256_movemask_ps(a) == 0xff;
}

OPERATION bool lanes_all_positive_normal(lanes a) {
    return mask_all(mask_and(lanes_at_most(lanes_set(0x1p-126f), a), lanes_less(a, lanes_set(__builtin_inff()))));
}

OPERATION lanes lanes_pick(mask is_yes, lanes yes, lanes no) {
    return _mm256_blendv_ps(no, yes, is_yes);
}

/* 0 elsewhere. */
OPERATION lanes lanes_keep(mask is_yes, lanes yes) {
    return _mm256_and_ps(is_yes, yes);
}

#include "kernels/expression_lanes_impl.h"
#endif
