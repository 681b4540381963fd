/* fractal.h - Escape-time fractals in double precision: how long each point of a grid stays bounded.
 *
 * z starts at 0 (Julia: at the point) and z <- z^2 + c (burning ship: (|re z| + i |im z|)^2 + c), where c is the point
 * (Julia: a constant). The count of a point is what
 *
 *     while (n < iterations && |z|^2 <= 4) { z = z^2 + c; n++; }
 *
 * leaves in n: the number of the first iterate outside the circle, at most `iterations`. So a point that never left has
 * count == iterations, and the least count is 1 (Julia: 0, for a point that begins outside). What is not a number is
 * outside. All levels of vector instructions give the same counts, with and without the shortcuts; with is_exact they
 * are those of the plain C loop without fused multiply-add: re' = re*re - im*im + c.re, im' = 2*re*im + c.im. A
 * processor without fused multiply-add computes it in software: is_exact is faster there.
 */
#ifndef SW_KERNELS_FRACTAL_H
#define SW_KERNELS_FRACTAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sw_fractal_kind { SW_FRACTAL_MANDELBROT, SW_FRACTAL_JULIA, SW_FRACTAL_BURNING_SHIP };

struct sw_fractal {
    enum sw_fractal_kind kind;
    double julia_re, julia_im; /* c of a Julia set */
    uint32_t iterations;
    bool is_exact; /* no fused multiply-add: bit for bit the plain loop */
    bool is_plain; /* without the shortcuts for points inside (cardioid, disc, periodicity): for measuring */
};

/* Points re + (first_column + x) * re_step, im + (first_row + y) * im_step, x < width, y < height: a tile of an image
 * computes the same points as the whole image does. */
struct sw_fractal_grid {
    double re, im, re_step, im_step;
    uint32_t first_column, first_row, width, height;
    size_t row_stride; /* of the outputs, in elements */
};

struct sw_fractal_output {
    uint32_t *counts; /* [y * row_stride + x] */
    /* NULL, or the count without its steps: k + 1 - log2(ln|z| / ln 2), where z is the first iterate beyond 16 and k
     * its number. About count + 1/2; not below 0 (a Julia point can begin far outside); -1 where the count is full. */
    float *smooth;
};

/* Returns the iterations that were really computed: the sum of the counts less what the shortcuts saved. Thread-safe:
 * grids may run on any number of threads. A tile below some thousand points leaves the vector units half idle. */
uint64_t sw_fractal_run(const struct sw_fractal *fractal, const struct sw_fractal_grid *grid,
                        const struct sw_fractal_output *output);

#endif
