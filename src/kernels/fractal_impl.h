/* fractal_impl.h - What the levels of the escape-time kernel share: limits, the single point, the table of levels. */
#ifndef SW_KERNELS_FRACTAL_IMPL_H
#define SW_KERNELS_FRACTAL_IMPL_H

#include "base/cpu.h"
#include "kernels/fractal.h"

#define SW_FRACTAL_LIMIT 4.0         /* |z|^2 beyond this has left */
#define SW_FRACTAL_SMOOTH_LIMIT 256. /* and beyond this the fraction of the count is told */
#define SW_FRACTAL_NORM_MOST 1e300   /* what overflowed or is not a number counts as this */
#define SW_FRACTAL_SMOOTH_EXTRA 64   /* iterations from leaving to there, at most; |c| > 2 may take for ever */

/* |c|^2 below this: an iterate outside the circle is followed by one farther outside even after rounding, so that
 * a test now and then finds what a test of each iterate would. */
#define SW_FRACTAL_STEADY (4.0 - 1e-9)

/* How far inside the cardioid and the disc a point must be for their formulas to be believed: more than rounding. */
#define SW_FRACTAL_INSIDE_MARGIN 1e-12

/* One point on its way. */
struct sw_fractal_point {
    double x, y;   /* z */
    double re, im; /* c */
    uint32_t count;
};

typedef uint64_t (*sw_fractal_runner)(const struct sw_fractal *fractal, const struct sw_fractal_grid *grid,
                                      const struct sw_fractal_output *output);

/* iterations > 0. */
uint64_t sw_fractal_run_scalar(const struct sw_fractal *fractal, const struct sw_fractal_grid *grid,
                               const struct sw_fractal_output *output);
uint64_t sw_fractal_run_avx2(const struct sw_fractal *fractal, const struct sw_fractal_grid *grid,
                             const struct sw_fractal_output *output);
uint64_t sw_fractal_run_avx512(const struct sw_fractal *fractal, const struct sw_fractal_grid *grid,
                               const struct sw_fractal_output *output);
uint64_t sw_fractal_run_neon(const struct sw_fractal *fractal, const struct sw_fractal_grid *grid,
                             const struct sw_fractal_output *output);

/* The best for a processor of this level: on aarch64 NEON, which every such processor has. */
sw_fractal_runner sw_fractal_runner_for(enum sw_cpu_level level);

/* Iterates one point to its end; returns the iterations done. `smooth` may be NULL. */
uint64_t sw_fractal_finish(const struct sw_fractal *fractal, struct sw_fractal_point *point, float *smooth);

#endif
