/* expression_avx512_f32.c - The kernels of expressions sixteen float32 at a time. */
#include "kernels/expression_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma")))
#define LANES_COUNT 16
#define LANES_F32 1
#define LANES_TABLE sw_kernels_avx512_f32
#define LANES_SCALE lanes_scale
#define LANES_FROM_WORDS lanes_from_words
#define OPERATION LANES_TARGET static inline __attribute__((always_inline))

typedef float real;
typedef uint32_t word;
typedef real lanes __attribute__((vector_size(64)));
typedef word words __attribute__((vector_size(64)));
typedef __mmask16 mask;

OPERATION lanes lanes_set(real value) {
    return _mm512_set1_ps(value);
}

OPERATION words words_set(word value) {
    return (words)_mm512_set1_epi32((int)value);
}

OPERATION lanes lanes_load(const real *from) {
    return _mm512_loadu_ps(from);
}

OPERATION void lanes_store(real *to, lanes value) {
    _mm512_storeu_ps(to, value);
}

OPERATION void lanes_stream(real *to, lanes value) {
    _mm512_stream_ps(to, value);
}

OPERATION lanes lanes_of(words value) {
    return (lanes)value;
}

OPERATION words words_of(lanes value) {
    return (words)value;
}

/* Of a table of 16, by the low 4 bits. */
OPERATION lanes lanes_lookup(const real *table, words index) {
    return _mm512_permutexvar_ps((__m512i)index, _mm512_load_ps(table));
}

OPERATION lanes lanes_fma(lanes a, lanes b, lanes c) {
    return _mm512_fmadd_ps(a, b, c);
}

OPERATION lanes lanes_sqrt(lanes a) {
    return _mm512_sqrt_ps(a);
}

OPERATION lanes lanes_floor(lanes a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF);
}

OPERATION lanes lanes_ceil(lanes a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_POS_INF);
}

OPERATION lanes lanes_round(lanes a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT);
}

OPERATION lanes lanes_abs(lanes a) {
    return _mm512_abs_ps(a);
}

/* Either gives b where one is NaN. */
OPERATION lanes lanes_min(lanes a, lanes b) {
    return _mm512_min_ps(a, b);
}

OPERATION lanes lanes_max(lanes a, lanes b) {
    return _mm512_max_ps(a, b);
}

OPERATION mask lanes_less(lanes a, lanes b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

OPERATION mask lanes_at_most(lanes a, lanes b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}

OPERATION mask lanes_equal(lanes a, lanes b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}

OPERATION mask mask_and(mask a, mask b) {
    return (mask)(a & b);
}

OPERATION bool mask_all(mask a) {
    return a == 0xffff;
}

OPERATION bool lanes_all_positive_normal(lanes a) {
    return _mm512_fpclass_ps_mask(a, 0xff) == 0;
}

OPERATION lanes lanes_pick(mask is_yes, lanes yes, lanes no) {
    return _mm512_mask_blend_ps(is_yes, no, yes);
}

/* 0 elsewhere. */
OPERATION lanes lanes_keep(mask is_yes, lanes yes) {
    return _mm512_maskz_mov_ps(is_yes, yes);
}

OPERATION lanes lanes_from_words(words value) {
    return _mm512_cvtepi32_ps((__m512i)value);
}

/* value * 2^floor(n / 16). */
OPERATION lanes lanes_scale(lanes value, lanes n, words bits) {
    return _mm512_scalef_ps(value, n * _mm512_set1_ps(0.0625f));
}

#include "kernels/expression_lanes_impl.h"
#endif
