/* zoom.h - Deep zoom into the Mandelbrot set, down to 1e-305: perturbation of one precise orbit.
 *
 * The orbit of a reference point is computed once with GMP; every pixel iterates only its small difference from it in
 * double precision, rebased to the orbit's start where the difference would lose digits (Zhuoran 2021), and jumps over
 * many iterations at once where a bivariate approximation (BLA, here with four powers of the difference) is exact to
 * rounding. The counts are those of iterating each point with all digits, but for the few that rounding decides.
 */
#ifndef SW_KERNELS_ZOOM_H
#define SW_KERNELS_ZOOM_H

#include "base/status.h"
#include "base/str.h"
#include "kernels/fractal.h"

struct sw_zoom; /* immutable after opening */

struct sw_zoom_options {
    struct sw_str center_re, center_im; /* decimal numbers with any number of digits, "-1.74999841099374081749" */
    double pixel;                       /* distance of neighbouring points of the grids, 1e-305 ... 1 */
    double radius;                      /* largest distance of a point of the grids from the centre, 0 ... 1e6 */
    uint32_t iterations;
    bool is_plain;                       /* without BLA: for measuring */
    bool (*is_cancelled)(void *context); /* may be NULL; asked every few ms while orbit and table are computed */
    void *context;
};

/* Computes the orbit and the table: up to 50 bytes an iteration of the orbit, which ends early where the centre leaves
 * or is the middle of a copy of the set. SW_INVALID names the option that cannot be; SW_INTERRUPTED when cancelled;
 * SW_LIMIT for an orbit of more than 2^27 points; SW_NOMEM. The texts of the centre are not kept. */
SW_MUST_USE enum sw_status sw_zoom_open(const struct sw_zoom_options *options, struct sw_zoom **zoom,
                                        struct sw_error *err);
void sw_zoom_close(struct sw_zoom *zoom); /* NULL is fine */

/* As sw_fractal_run, but re and im of the grid are relative to the centre. Counts depend neither on the level of vector
 * instructions nor on how an image is cut into grids, if each keeps within the radius; a grid beyond it is right, but
 * slow. Points found to go in a cycle count as done. Returns the iterations done one by one or in jumps, as if each had
 * been done. Thread-safe. */
uint64_t sw_zoom_run(const struct sw_zoom *zoom, const struct sw_fractal_grid *grid,
                     const struct sw_fractal_output *output);

struct sw_zoom_facts {
    uint32_t precision_bits, orbit_length; /* orbit_length: iterations of the reference */
    uint64_t jumps, jumped;                /* over all runs so far: BLA steps taken, iterations they stood for */
    double orbit_seconds;                  /* time to open: orbit and table */
};
void sw_zoom_get_facts(const struct sw_zoom *zoom, struct sw_zoom_facts *facts);

#endif
