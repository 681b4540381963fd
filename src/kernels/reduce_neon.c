/* reduce_neon.c - Reductions two doubles at a time, on AArch64. */
#include "kernels/reduce_impl.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <stdbool.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET
#define LANES_LEVEL sw_reduce_neon
#define WIDTH 2
#define OPERATION static inline __attribute__((always_inline))

typedef float64x2_t lanes;
typedef float32x4_t floats;
typedef uint64x2_t mask_f64;
typedef uint32x4_t mask_f32;

OPERATION lanes lanes_set(double value) {
    return vdupq_n_f64(value);
}

OPERATION lanes lanes_load(const double *from) {
    return vld1q_f64(from);
}

OPERATION lanes lanes_widen(const float *from) {
    return vcvt_f64_f32(vld1_f32(from));
}

OPERATION lanes lanes_load_some(const double *from, unsigned count, double fill) {
    return vsetq_lane_f64(count > 0 ? *from : fill, vdupq_n_f64(fill), 0);
}

OPERATION lanes lanes_widen_some(const float *from, unsigned count, double fill) {
    return vsetq_lane_f64(count > 0 ? (double)*from : fill, vdupq_n_f64(fill), 0);
}

OPERATION double lanes_total(lanes value) {
    return vgetq_lane_f64(value, 0) + vgetq_lane_f64(value, 1);
}

OPERATION void lanes_store(double *to, lanes value) {
    vst1q_f64(to, value);
}

/* b where either is NaN, unlike the processor's own minimum; so in all these. */
OPERATION lanes lanes_min(lanes a, lanes b) {
    return vbslq_f64(vcltq_f64(a, b), a, b);
}

OPERATION lanes lanes_max(lanes a, lanes b) {
    return vbslq_f64(vcgtq_f64(a, b), a, b);
}

OPERATION floats floats_set(float value) {
    return vdupq_n_f32(value);
}

OPERATION floats floats_load(const float *from) {
    return vld1q_f32(from);
}

OPERATION void floats_store(float *to, floats value) {
    vst1q_f32(to, value);
}

OPERATION floats floats_min(floats a, floats b) {
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

OPERATION floats floats_max(floats a, floats b) {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

OPERATION mask_f64 mask_f64_none(void) {
    return vdupq_n_u64(UINT64_MAX);
}

OPERATION lanes lanes_only(lanes value, mask_f64 where) {
    return vdupq_n_f64(0); /* there are none */
}

OPERATION lanes lanes_except(lanes value, mask_f64 where) {
    return value;
}

/* Collects what is not NaN. */
OPERATION mask_f64 mask_f64_add(mask_f64 odd, lanes a, lanes b) {
    return vandq_u64(odd, vandq_u64(vceqq_f64(a, a), vceqq_f64(b, b)));
}

OPERATION bool mask_f64_any(mask_f64 odd) {
    return (vgetq_lane_u64(odd, 0) & vgetq_lane_u64(odd, 1)) == 0;
}

OPERATION mask_f32 mask_f32_none(void) {
    return vdupq_n_u32(UINT32_MAX);
}

OPERATION mask_f32 mask_f32_add(mask_f32 odd, floats a, floats b) {
    return vandq_u32(odd, vandq_u32(vceqq_f32(a, a), vceqq_f32(b, b)));
}

OPERATION bool mask_f32_any(mask_f32 odd) {
    return vminvq_u32(odd) == 0;
}

OPERATION lanes lanes_pick_less(lanes a, lanes b, lanes yes, lanes no) {
    return vbslq_f64(vcltq_f64(a, b), yes, no);
}

OPERATION lanes lanes_pick_most(lanes a, lanes b, lanes yes, lanes no) {
    return vbslq_f64(vcleq_f64(a, b), yes, no);
}

OPERATION lanes lanes_floor(lanes x) {
    return vrndmq_f64(x);
}

OPERATION void lanes_to_index(uint32_t *to, lanes x) {
    vst1_u32(to, vmovn_u64(vcvtq_u64_f64(x)));
}

OPERATION size_t lanes_keep(double *to, lanes x, lanes low, lanes high, size_t *low_count) {
    uint64x2_t is_low = vcleq_f64(x, low), is_high = vcgeq_f64(x, high);
    uint64x2_t is_out = vorrq_u64(is_low, is_high);
    size_t first = ~vgetq_lane_u64(is_out, 0) & 1, second = ~vgetq_lane_u64(is_out, 1) & 1;
    *low_count += (vgetq_lane_u64(is_low, 0) & 1) + (vgetq_lane_u64(is_low, 1) & 1);
    to[0] = vgetq_lane_f64(x, 0);
    to[first] = vgetq_lane_f64(x, 1);
    return first + second;
}

#include "kernels/reduce_lanes_impl.h"
#endif
