/* reduce_impl.h - What the levels of vector instructions implement for reduce.c, histogram.c and order.c.
 *
 * All levels give the same bits: element i of a block goes to accumulator i mod A (A depends on the operation alone),
 * sixteen rounds of that make a sum of their own, and the accumulators are added as a tree of halves. Extremes do not
 * depend on the order but for the sign of a zero. Without fused
 * multiply-add: not every level has it.
 */
#ifndef SW_KERNELS_REDUCE_IMPL_H
#define SW_KERNELS_REDUCE_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"
#include "kernels/array.h"

enum sw_reduce_op {
    SW_REDUCE_SUM,      /* x */
    SW_REDUCE_DOT,      /* x y */
    SW_REDUCE_SQUARES,  /* x^2 */
    SW_REDUCE_SCALED,   /* (shift_x x)^2 */
    SW_REDUCE_MOMENTS,  /* x - shift_x, its square */
    SW_REDUCE_SUMMARY,  /* and the extremes; they are right only if no x is NaN */
    SW_REDUCE_JOINT,    /* x - shift_x, y - shift_y, their squares, their product */
    SW_REDUCE_EXTREMES, /* both NaN if an x is */
    SW_REDUCE_OPS
};

#define SW_REDUCE_SUMS 5 /* most sums of an operation */

struct sw_reduce_block {
    const void *x, *y; /* contiguous, of one dtype */
    size_t count;      /* at least 1 */
    double shift_x, shift_y;
    bool is_far; /* in memory rather than in a cache */
};

struct sw_reduce_partial {
    double sums[SW_REDUCE_SUMS], min, max; /* only those of the operation are written */
};

typedef void (*sw_reduce_kernel)(const struct sw_reduce_block *block, struct sw_reduce_partial *partial);

/* What lies strictly between low and high, and every NaN. */
struct sw_reduce_band {
    double low, high;
    double *kept;      /* room for one vector (8) more than there are elements */
    size_t kept_count; /* added to, */
    size_t low_count;  /* as is this: elements <= low */
};

struct sw_reduce_bins {
    double low, high, step, per_unit, count; /* step: width of a bin; per_unit: its inverse; count: of bins */
};

struct sw_reduce_level {
    sw_reduce_kernel kernels[SW_REDUCE_OPS][2];                                /* by dtype */
    void (*band[2])(const void *x, size_t count, struct sw_reduce_band *band); /* by dtype */
    void (*bins[2])(const struct sw_reduce_bins *bins, const struct sw_reduce_block *block,
                    uint32_t *index); /* bins->count for what lies outside; room for 8 more */
};

extern const struct sw_reduce_level sw_reduce_scalar;
#if defined(__x86_64__)
extern const struct sw_reduce_level sw_reduce_avx2, sw_reduce_avx512;
#elif defined(__aarch64__)
extern const struct sw_reduce_level sw_reduce_neon;
#endif

/* As sw_array_block, in float64: of float32 a copy in `to`, which has room for `count` <= SW_ARRAY_BLOCK. */
const double *sw_reduce_wide_block(const struct sw_array *array, size_t first, size_t count, double *to);

const struct sw_reduce_level *sw_reduce_level(void); /* that of this processor */
/* Tests only: use this level from now on; NULL: the processor's. */
void sw_reduce_level_force(const struct sw_reduce_level *level);

#endif
