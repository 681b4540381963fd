/* expression_neon_f64.c - The kernels of expressions two float64 at a time. */
#include "kernels/expression_impl.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET
#define LANES_COUNT 2
#define LANES_F32 0
#define LANES_TABLE sw_kernels_neon_f64
#define LANES_NUMBERS sw_numbers_neon
#define OPERATION LANES_TARGET static inline __attribute__((always_inline))

typedef double real;
typedef uint64_t word;
typedef real lanes __attribute__((vector_size(16)));
typedef word words __attribute__((vector_size(16)));
typedef uint64x2_t mask;

OPERATION lanes lanes_set(real value) {
    return vdupq_n_f64(value);
}

OPERATION words words_set(word value) {
    return vdupq_n_u64(value);
}

OPERATION lanes lanes_load(const real *from) {
    return vld1q_f64(from);
}

OPERATION void lanes_store(real *to, lanes value) {
    vst1q_f64(to, value);
}

/* No such store here. */
OPERATION void lanes_stream(real *to, lanes value) {
    lanes_store(to, value);
}

OPERATION lanes lanes_of(words value) {
    return (lanes)value;
}

OPERATION words words_of(lanes value) {
    return (words)value;
}

/* Of a table of 16, by the low 4 bits. */
OPERATION lanes lanes_lookup(const real *table, words index) {
    return (lanes){table[index[0] & 15], table[index[1] & 15]};
}

OPERATION lanes lanes_fma(lanes a, lanes b, lanes c) {
    return vfmaq_f64(c, a, b);
}

OPERATION lanes lanes_sqrt(lanes a) {
    return vsqrtq_f64(a);
}

OPERATION lanes lanes_floor(lanes a) {
    return vrndmq_f64(a);
}

OPERATION lanes lanes_ceil(lanes a) {
    return vrndpq_f64(a);
}

OPERATION lanes lanes_round(lanes a) {
    return vrndnq_f64(a);
}

OPERATION lanes lanes_abs(lanes a) {
    return vabsq_f64(a);
}

OPERATION mask lanes_less(lanes a, lanes b) {
    return vcltq_f64(a, b);
}

OPERATION mask lanes_at_most(lanes a, lanes b) {
    return vcleq_f64(a, b);
}

OPERATION mask lanes_equal(lanes a, lanes b) {
    return vceqq_f64(a, b);
}

OPERATION mask mask_and(mask a, mask b) {
    return vandq_u64(a, b);
}

OPERATION bool mask_all(mask a) {
    return a[0] && a[1];
}

OPERATION lanes lanes_pick(mask is_yes, lanes yes, lanes no) {
    return vbslq_f64(is_yes, yes, no);
}

/* Either gives b where one is NaN. */
OPERATION lanes lanes_min(lanes a, lanes b) {
    return lanes_pick(lanes_less(a, b), a, b);
}

OPERATION lanes lanes_max(lanes a, lanes b) {
    return lanes_pick(lanes_less(b, a), a, b);
}

OPERATION bool lanes_all_positive_normal(lanes a) {
    return mask_all(mask_and(lanes_at_most(lanes_set(0x1p-1022), a), lanes_less(a, lanes_set(__builtin_inf()))));
}

/* 0 elsewhere. */
OPERATION lanes lanes_keep(mask is_yes, lanes yes) {
    return (lanes)vandq_u64(is_yes, (words)yes);
}

#include "kernels/expression_lanes_impl.h"
#endif
