/* expression_avx2_f64.c - The kernels of expressions four float64 at a time. */
#include "kernels/expression_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET __attribute__((target("avx2,fma")))
#define LANES_COUNT 4
#define LANES_F32 0
#define LANES_TABLE sw_kernels_avx2_f64
#define LANES_NUMBERS sw_numbers_avx2
#define OPERATION LANES_TARGET static inline __attribute__((always_inline))

typedef double real;
typedef uint64_t word;
typedef real lanes __attribute__((vector_size(32)));
typedef word words __attribute__((vector_size(32)));
typedef __m256d mask;

OPERATION lanes lanes_set(real value) {
    return _mm256_set1_pd(value);
}

OPERATION words words_set(word value) {
    return (words)_mm256_set1_epi64x((long long)value);
}

OPERATION lanes lanes_load(const real *from) {
    return _mm256_loadu_pd(from);
}

OPERATION void lanes_store(real *to, lanes value) {
    _mm256_storeu_pd(to, value);
}

OPERATION void lanes_stream(real *to, lanes value) {
    _mm256_stream_pd(to, value);
}

OPERATION lanes lanes_of(words value) {
    return (lanes)value;
}

OPERATION words words_of(lanes value) {
    return (words)value;
}

/* Of a table of 16, by the low 4 bits. */
OPERATION lanes lanes_lookup(const real *table, words index) {
    return _mm256_i64gather_pd(table, (__m256i)(index & words_set(15)), 8);
}

OPERATION lanes lanes_fma(lanes a, lanes b, lanes c) {
    return _mm256_fmadd_pd(a, b, c);
}

OPERATION lanes lanes_sqrt(lanes a) {
    return _mm256_sqrt_pd(a);
}

OPERATION lanes lanes_floor(lanes a) {
    return _mm256_floor_pd(a);
}

OPERATION lanes lanes_ceil(lanes a) {
    return _mm256_ceil_pd(a);
}

OPERATION lanes lanes_round(lanes a) {
    return _mm256_round_pd(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

OPERATION lanes lanes_abs(lanes a) {
    return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a);
}

/* Either gives b where one is NaN. */
OPERATION lanes lanes_min(lanes a, lanes b) {
    return _mm256_min_pd(a, b);
}

OPERATION lanes lanes_max(lanes a, lanes b) {
    return _mm256_max_pd(a, b);
}

OPERATION mask lanes_less(lanes a, lanes b) {
    return _mm256_cmp_pd(a, b, _CMP_LT_OQ);
}

OPERATION mask lanes_at_most(lanes a, lanes b) {
    return _mm256_cmp_pd(a, b, _CMP_LE_OQ);
}

OPERATION mask lanes_equal(lanes a, lanes b) {
    return _mm256_cmp_pd(a, b, _CMP_EQ_OQ);
}

OPERATION mask mask_and(mask a, mask b) {
    return _mm256_and_pd(a, b);
}

OPERATION bool mask_all(mask a) {
    return _mm256_movemask_pd(a) == 0xf;
}

OPERATION bool lanes_all_positive_normal(lanes a) {
    return mask_all(mask_and(lanes_at_most(lanes_set(0x1p-1022), a), lanes_less(a, lanes_set(__builtin_inf()))));
}

OPERATION lanes lanes_pick(mask is_yes, lanes yes, lanes no) {
    return _mm256_blendv_pd(no, yes, is_yes);
}

/* 0 elsewhere. */
OPERATION lanes lanes_keep(mask is_yes, lanes yes) {
    return _mm256_and_pd(is_yes, yes);
}

#include "kernels/expression_lanes_impl.h"
#endif
