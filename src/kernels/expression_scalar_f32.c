/* expression_scalar_f32.c - The kernels of expressions one float32 at a time. */
#include <math.h>

#include "kernels/expression_impl.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET
#define LANES_COUNT 1
#define LANES_F32 1
#define LANES_TABLE sw_kernels_scalar_f32

typedef float real;
typedef uint32_t word;
typedef float lanes;
typedef uint32_t words;
typedef bool mask;

#include "kernels/expression_scalar_impl.h"

static inline lanes lanes_fma(lanes a, lanes b, lanes c) {
    return fmaf(a, b, c);
}

static inline lanes lanes_sqrt(lanes a) {
    return sqrtf(a);
}

static inline lanes lanes_floor(lanes a) {
    return floorf(a);
}

static inline lanes lanes_ceil(lanes a) {
    return ceilf(a);
}

static inline lanes lanes_round(lanes a) {
    return rintf(a);
}

static inline lanes lanes_abs(lanes a) {
    return fabsf(a);
}

static inline bool lanes_all_positive_normal(lanes a) {
    return a >= 0x1p-126f && a <= 0x1.fffffep127f;
}

#include "kernels/expression_lanes_impl.h"
