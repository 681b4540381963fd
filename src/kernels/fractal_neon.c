/* fractal_neon.c - Escape-time fractals two doubles at a time, for aarch64. */
#include "kernels/fractal_impl.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <math.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#define UNROLL _Pragma("unroll")
#else
#pragma GCC optimize("fp-contract=off")
#define UNROLL _Pragma("GCC unroll 8")
#endif

#define LANES_TARGET
#define LANES_COUNT 2
#define LANES_GROUP 4
#define LANES_FLIGHT 8
#define LANES_RUN sw_fractal_run_neon
#define OPERATION static inline __attribute__((always_inline))

typedef float64x2_t lanes;
typedef int64x2_t words;
typedef uint64x2_t mask;

OPERATION lanes lanes_set(double value) {
    return vdupq_n_f64(value);
}

OPERATION words words_set(int64_t value) {
    return vdupq_n_s64(value);
}

OPERATION lanes lanes_load(const double *from) {
    return vld1q_f64(from);
}

OPERATION void lanes_store(double *to, lanes value) {
    vst1q_f64(to, value);
}

OPERATION words words_load(const int64_t *from) {
    return vld1q_s64(from);
}

OPERATION void words_store(int64_t *to, words value) {
    vst1q_s64(to, value);
}

OPERATION lanes lanes_of_bits(words bits) {
    return vreinterpretq_f64_s64(bits);
}

OPERATION words words_of_bits(lanes value) {
    return vreinterpretq_s64_f64(value);
}

/* a * b + c, rounded once. */
OPERATION lanes lanes_fma(lanes a, lanes b, lanes c) {
    return vfmaq_f64(c, a, b);
}

/* c - a * b, rounded once. */
OPERATION lanes lanes_fnma(lanes a, lanes b, lanes c) {
    return vfmsq_f64(c, a, b);
}

OPERATION lanes lanes_abs(lanes value) {
    return vabsq_f64(value);
}

OPERATION mask lanes_at_most(lanes a, lanes b) {
    return vcleq_f64(a, b);
}

OPERATION mask lanes_equal(lanes a, lanes b) {
    return vceqq_f64(a, b);
}

OPERATION mask words_equal(words a, words b) {
    return vceqq_s64(a, b);
}

OPERATION lanes lanes_pick(mask is_yes, lanes yes, lanes no) {
    return vbslq_f64(is_yes, yes, no);
}

OPERATION words words_pick(mask is_yes, words yes, words no) {
    return vbslq_s64(is_yes, yes, no);
}

/* One more where `is_yes`. */
OPERATION words words_count(words value, mask is_yes) {
    return vsubq_s64(value, vreinterpretq_s64_u64(is_yes));
}

OPERATION mask mask_and(mask a, mask b) {
    return vandq_u64(a, b);
}

OPERATION mask mask_or(mask a, mask b) {
    return vorrq_u64(a, b);
}

/* a and not b. */
OPERATION mask mask_without(mask a, mask b) {
    return vbicq_u64(a, b);
}

OPERATION unsigned mask_bits(mask a) {
    return (unsigned)((vgetq_lane_u64(a, 0) & 1) | (vgetq_lane_u64(a, 1) & 2));
}

OPERATION mask mask_of_bits(unsigned bits) {
    return vcombine_u64(vdup_n_u64(bits & 1 ? UINT64_MAX : 0), vdup_n_u64(bits & 2 ? UINT64_MAX : 0));
}

#include "kernels/fractal_lanes_impl.h"
#endif
