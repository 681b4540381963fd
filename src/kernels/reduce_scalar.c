/* reduce_scalar.c - Reductions one element at a time. */
#include <math.h>
#include <stdbool.h>

#include "kernels/reduce_impl.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET
#define LANES_LEVEL sw_reduce_scalar
#define WIDTH 1

typedef double lanes;
typedef bool mask_f64;
typedef bool mask_f32;
typedef float floats __attribute__((vector_size(8)));

static inline lanes lanes_set(double value) {
    return value;
}

static inline lanes lanes_load(const double *from) {
    return *from;
}

static inline lanes lanes_widen(const float *from) {
    return (double)*from;
}

static inline lanes lanes_load_some(const double *from, unsigned count, double fill) {
    return fill; /* a vector of one element is whole or empty */
}

static inline lanes lanes_widen_some(const float *from, unsigned count, double fill) {
    return fill;
}

static inline double lanes_total(lanes value) {
    return value;
}

static inline void lanes_store(double *to, lanes value) {
    *to = value;
}

static inline lanes lanes_min(lanes a, lanes b) {
    return a < b ? a : b;
}

static inline lanes lanes_max(lanes a, lanes b) {
    return a > b ? a : b;
}

static inline floats floats_set(float value) {
    return (floats){value, value};
}

static inline floats floats_load(const float *from) {
    return (floats){from[0], from[1]};
}

static inline void floats_store(float *to, floats value) {
    to[0] = value[0];
    to[1] = value[1];
}

static inline floats floats_min(floats a, floats b) {
    return (floats){a[0] < b[0] ? a[0] : b[0], a[1] < b[1] ? a[1] : b[1]};
}

static inline floats floats_max(floats a, floats b) {
    return (floats){a[0] > b[0] ? a[0] : b[0], a[1] > b[1] ? a[1] : b[1]};
}

static inline mask_f64 mask_f64_none(void) {
    return false;
}

static inline lanes lanes_only(lanes value, mask_f64 where) {
    return where ? value : 0;
}

static inline lanes lanes_except(lanes value, mask_f64 where) {
    return where ? 0 : value;
}

static inline mask_f64 mask_f64_add(mask_f64 odd, lanes a, lanes b) {
    return odd | isunordered(a, b);
}

static inline bool mask_f64_any(mask_f64 odd) {
    return odd;
}

static inline mask_f32 mask_f32_none(void) {
    return false;
}

static inline mask_f32 mask_f32_add(mask_f32 odd, floats a, floats b) {
    return odd | isunordered(a[0], b[0]) | isunordered(a[1], b[1]);
}

static inline bool mask_f32_any(mask_f32 odd) {
    return odd;
}

static inline lanes lanes_pick_less(lanes a, lanes b, lanes yes, lanes no) {
    return a < b ? yes : no;
}

static inline lanes lanes_pick_most(lanes a, lanes b, lanes yes, lanes no) {
    return a <= b ? yes : no;
}

static inline lanes lanes_floor(lanes x) {
    return floor(x);
}

static inline void lanes_to_index(uint32_t *to, lanes x) {
    *to = (uint32_t)x;
}

static inline size_t lanes_keep(double *to, lanes x, lanes low, lanes high, size_t *low_count) {
    bool is_low = x <= low;
    *low_count += is_low;
    *to = x;
    return (size_t)(!is_low & !(x >= high));
}

#include "kernels/reduce_lanes_impl.h"
