/* expression_scalar_f64.c - The kernels of expressions one float64 at a time. */
#include <math.h>

#include "kernels/expression_impl.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET
#define LANES_COUNT 1
#define LANES_F32 0
#define LANES_TABLE sw_kernels_scalar_f64
#define LANES_NUMBERS sw_numbers_scalar

typedef double real;
typedef uint64_t word;
typedef double lanes;
typedef uint64_t words;
typedef bool mask;

#include "kernels/expression_scalar_impl.h"

static inline lanes lanes_fma(lanes a, lanes b, lanes c) {
    return fma(a, b, c);
}

static inline lanes lanes_sqrt(lanes a) {
    return sqrt(a);
}

static inline lanes lanes_floor(lanes a) {
    return floor(a);
}

static inline lanes lanes_ceil(lanes a) {
    return ceil(a);
}

static inline lanes lanes_round(lanes a) {
    return rint(a);
}

static inline lanes lanes_abs(lanes a) {
    return fabs(a);
}

static inline bool lanes_all_positive_normal(lanes a) {
    return a >= 0x1p-1022 && a <= 0x1.fffffffffffffp1023;
}

#include "kernels/expression_lanes_impl.h"
