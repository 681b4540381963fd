/* expression_avx512_f64.c - The kernels of expressions eight float64 at a time. */
#include "kernels/expression_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma")))
#define LANES_COUNT 8
#define LANES_F32 0
#define LANES_TABLE sw_kernels_avx512_f64
#define LANES_NUMBERS sw_numbers_avx512
#define LANES_SCALE lanes_scale
#define LANES_FROM_WORDS lanes_from_words
#define OPERATION LANES_TARGET static inline __attribute__((always_inline))

typedef double real;
typedef uint64_t word;
typedef real lanes __attribute__((vector_size(64)));
typedef word words __attribute__((vector_size(64)));
typedef __mmask8 mask;

OPERATION lanes lanes_set(real value) {
    return _mm512_set1_pd(value);
}

OPERATION words words_set(word value) {
    return (words)_mm512_set1_epi64((long long)value);
}

OPERATION lanes lanes_load(const real *from) {
    return _mm512_loadu_pd(from);
}

OPERATION void lanes_store(real *to, lanes value) {
    _mm512_storeu_pd(to, value);
}

OPERATION void lanes_stream(real *to, lanes value) {
    _mm512_stream_pd(to, value);
}

OPERATION lanes lanes_of(words value) {
    return (lanes)value;
}

OPERATION words words_of(lanes value) {
    return (words)value;
}

/* Of a table of 16, by the low 4 bits. */
OPERATION lanes lanes_lookup(const real *table, words index) {
    return _mm512_permutex2var_pd(_mm512_load_pd(table), (__m512i)index, _mm512_load_pd(table + 8));
}

OPERATION lanes lanes_fma(lanes a, lanes b, lanes c) {
    return _mm512_fmadd_pd(a, b, c);
}

/* Newton's method on the root and half its inverse, both good to half a unit after two steps; the last step corrects by
 * the exact remainder and rounds as the instruction does (test_vecmath has the hardest cases), at three times its speed.
 * What is tiny, huge, negative or NaN goes to the instruction. */
OPERATION lanes lanes_sqrt(lanes a) {
    words from = words_of(a) - words_set(0x0700000000000000u);
    if (__builtin_expect(_mm512_cmpge_epu64_mask((__m512i)from, (__m512i)words_set(0x7000000000000000u)) != 0, 0)) {
        return _mm512_sqrt_pd(a);
    }
    lanes inverse = _mm512_rsqrt14_pd(a), root = a * inverse, half = inverse * lanes_set(0.5);
    for (int i = 0; i < 2; i++) {
        lanes rest = _mm512_fnmadd_pd(root, half, lanes_set(0.5));
        root = lanes_fma(root, rest, root);
        half = lanes_fma(half, rest, half);
    }
    return lanes_fma(_mm512_fnmadd_pd(root, root, a), half, root);
}

OPERATION lanes lanes_floor(lanes a) {
    return _mm512_roundscale_pd(a, _MM_FROUND_TO_NEG_INF);
}

OPERATION lanes lanes_ceil(lanes a) {
    return _mm512_roundscale_pd(a, _MM_FROUND_TO_POS_INF);
}

OPERATION lanes lanes_round(lanes a) {
    return _mm512_roundscale_pd(a, _MM_FROUND_TO_NEAREST_INT);
}

OPERATION lanes lanes_abs(lanes a) {
    return _mm512_abs_pd(a);
}

/* Either gives b where one is NaN. */
OPERATION lanes lanes_min(lanes a, lanes b) {
    return _mm512_min_pd(a, b);
}

OPERATION lanes lanes_max(lanes a, lanes b) {
    return _mm512_max_pd(a, b);
}

OPERATION mask lanes_less(lanes a, lanes b) {
    return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ);
}

OPERATION mask lanes_at_most(lanes a, lanes b) {
    return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ);
}

OPERATION mask lanes_equal(lanes a, lanes b) {
    return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ);
}

OPERATION mask mask_and(mask a, mask b) {
    return (mask)(a & b);
}

OPERATION bool mask_all(mask a) {
    return a == 0xff;
}

OPERATION bool lanes_all_positive_normal(lanes a) {
    return _mm512_fpclass_pd_mask(a, 0xff) == 0;
}

OPERATION lanes lanes_pick(mask is_yes, lanes yes, lanes no) {
    return _mm512_mask_blend_pd(is_yes, no, yes);
}

/* 0 elsewhere. */
OPERATION lanes lanes_keep(mask is_yes, lanes yes) {
    return _mm512_maskz_mov_pd(is_yes, yes);
}

OPERATION lanes lanes_from_words(words value) {
    return _mm512_cvtepu64_pd((__m512i)value);
}

/* value * 2^floor(n / 16). */
OPERATION lanes lanes_scale(lanes value, lanes n, words bits) {
    return _mm512_scalef_pd(value, n * _mm512_set1_pd(0.0625));
}

#include "kernels/expression_lanes_impl.h"
#endif
