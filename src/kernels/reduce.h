/* reduce.h - One number, or a few, from all elements of an array: sums, moments, extremes, correlation, a histogram.
 *
 * One pass each, any strides, float64 and float32 (accumulated in float64). The result is the same on any number of
 * threads and on every level of vector instructions: blocks of SW_ARRAY_BLOCK elements are summed in a fixed number of
 * accumulators and combined pairwise in their order. That order is the order of memory, not of the indices, so that a
 * transposed view costs what its base does. Sums, moments and extremes of data with a NaN are NaN. Nothing here
 * allocates but histogram and quantiles.
 */
#ifndef SW_KERNELS_REDUCE_H
#define SW_KERNELS_REDUCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/parallel.h"
#include "base/status.h"
#include "kernels/array.h"

double sw_reduce_sum(const struct sw_array *x, struct sw_parallel *parallel); /* 0 of nothing */
/* Of equal counts, element by element in C order. */
double sw_reduce_dot(const struct sw_array *x, const struct sw_array *y, struct sw_parallel *parallel);
/* Euclidean; neither overflows nor underflows where the result does not. */
double sw_reduce_norm(const struct sw_array *x, struct sw_parallel *parallel);

struct sw_moments {
    size_t count;
    double mean, m2; /* m2: sum of squared deviations from the mean; both NaN of nothing */
};
/* As precise as two passes: deviations are taken from an estimate of the mean, and where that was a bad one, again. So
 * the mean may differ from sum / count in the last digits, and is 1e308 of 1e308 and 1e308, whose sum is infinite. m2
 * is infinite where squares overflow. */
struct sw_moments sw_reduce_moments(const struct sw_array *x, struct sw_parallel *parallel);

struct sw_extremes {
    double min, max; /* NaN of nothing */
};
struct sw_extremes sw_reduce_extremes(const struct sw_array *x, struct sw_parallel *parallel);

struct sw_summary {
    size_t count;
    double mean, m2, min, max; /* NaN of nothing */
};
/* Moments and extremes in one pass. */
struct sw_summary sw_reduce_summary(const struct sw_array *x, struct sw_parallel *parallel);

struct sw_joint_moments {
    size_t count;
    double mean_x, mean_y, m2_x, m2_y; /* all NaN of nothing */
    double c_xy;                       /* sum of products of deviations; NaN where m2_x or m2_y is infinite */
};
struct sw_joint_moments sw_reduce_joint(const struct sw_array *x, const struct sw_array *y,
                                        struct sw_parallel *parallel);

/* Counts per bin of [low, high], bins equally wide, the last one closed; what lies outside and NaN is left out. Adds to
 * `counts` (`bins` of them). Bin edges are sw_histogram_edge, compared exactly. SW_INVALID unless low < high, both and
 * their difference finite, and bins > 0; SW_LIMIT above SW_HISTOGRAM_BINS. */
#define SW_HISTOGRAM_BINS 0x3fffffff
SW_MUST_USE enum sw_status sw_reduce_histogram(const struct sw_array *x, double low, double high, size_t bins,
                                               uint64_t *counts, struct sw_parallel *parallel);
/* Where bin `index` begins, as numpy.linspace has it: low + index * ((high - low) / bins), and high for the last edge. */
double sw_histogram_edge(double low, double high, size_t bins, size_t index);

/* The quantiles q[i] in [0, 1] with linear interpolation (NumPy's default, Hyndman and Fan's type 7); NaN of nothing, and
 * of data with a NaN. SW_INVALID for a q outside [0, 1]. Leaves x as it is. */
SW_MUST_USE enum sw_status sw_reduce_quantiles(const struct sw_array *x, const double *q, size_t count, double *out,
                                               struct sw_parallel *parallel);

/* out[i] = alpha * x[i] + (1 - alpha) * out[i - 1], out[0] = x[0]; 0 < alpha <= 1. `out` is a contiguous vector, may be x
 * itself; the sum is taken eight elements at a time, in float64. */
void sw_reduce_ewma(const struct sw_array *x, double alpha, struct sw_array *out);

#endif
