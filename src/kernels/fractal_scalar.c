/* fractal_scalar.c - Escape-time fractals one point at a time: what the other levels must agree with. */
#include <math.h>
#include <string.h>

#include "kernels/fractal_impl.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define SMOOTH_INLINE static inline

typedef double lanes;
typedef int64_t words;

static inline lanes lanes_set(double value) {
    return value;
}

static inline words words_set(int64_t value) {
    return value;
}

static inline lanes lanes_of_bits(words bits) {
    lanes value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline words words_of_bits(lanes value) {
    words bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

#include "kernels/fractal_smooth_impl.h"

static inline double norm_of(const struct sw_fractal_point *point, bool is_exact) {
    double x = point->x, y = point->y;
    return is_exact ? x * x + y * y : fma(y, y, x * x);
}

static inline void point_step(struct sw_fractal_point *point, bool is_ship, bool is_exact) {
    double x = point->x, y = point->y, twice = x + x;
    if (is_ship) {
        twice = fabs(twice);
        y = fabs(y);
    }
    if (is_exact) {
        point->x = x * x - y * y + point->re;
        point->y = twice * y + point->im;
    } else {
        point->x = fma(-y, y, fma(x, x, point->re));
        point->y = fma(twice, y, point->im);
    }
}

/* Brent: an iterate equal to an earlier one, bit for bit, repeats for ever. The earlier one is taken anew after 1, 2,
 * 4, ... iterations. */
static inline bool point_is_periodic(const struct sw_fractal_point *point, struct sw_fractal_point *past,
                                     uint32_t *window) {
    if (point->x == past->x && point->y == past->y) {
        return true;
    }
    if (point->count - past->count >= *window) {
        *past = *point;
        *window = *window < UINT32_MAX / 2 ? *window * 2 : UINT32_MAX;
    }
    return false;
}

static inline uint64_t point_iterate(const struct sw_fractal *fractal, struct sw_fractal_point *point, bool is_ship,
                                     bool is_exact) {
    uint32_t first = point->count, window = 1;
    struct sw_fractal_point past = *point;
    while (point->count < fractal->iterations && norm_of(point, is_exact) <= SW_FRACTAL_LIMIT) {
        point_step(point, is_ship, is_exact);
        point->count++;
        if (!fractal->is_plain && point_is_periodic(point, &past, &window)) {
            uint32_t done = point->count - first;
            point->count = fractal->iterations;
            return done;
        }
    }
    return point->count - first;
}

static inline float point_smooth(struct sw_fractal_point *point, bool is_ship, bool is_exact) {
    for (uint32_t i = 0; i <= SW_FRACTAL_SMOOTH_EXTRA; i++) {
        double norm = norm_of(point, is_exact);
        if (!(norm <= SW_FRACTAL_SMOOTH_LIMIT)) {
            norm = norm <= SW_FRACTAL_NORM_MOST ? norm : SW_FRACTAL_NORM_MOST;
            double smooth = smooth_of((double)point->count + (double)i, norm);
            return smooth > 0 ? (float)smooth : 0.0f;
        }
        point_step(point, is_ship, is_exact);
    }
    return (float)point->count; /* it stays near: no fraction to be told */
}

static inline uint64_t point_finish(const struct sw_fractal *fractal, struct sw_fractal_point *point, float *smooth,
                                    bool is_exact) {
    bool is_ship = fractal->kind == SW_FRACTAL_BURNING_SHIP;
    uint64_t done =
        is_ship ? point_iterate(fractal, point, true, is_exact) : point_iterate(fractal, point, false, is_exact);
    if (smooth) {
        *smooth = point->count < fractal->iterations ? point_smooth(point, is_ship, is_exact) : -1.0f;
    }
    return done;
}

/* Inside the main cardioid or the disc left of it. */
static bool point_is_inside(double re, double im) {
    double square = im * im, right = re - 0.25, left = re + 1.0;
    double q = right * right + square;
    return (square <= 1.0 && q * (q + right) + SW_FRACTAL_INSIDE_MARGIN <= 0.25 * square) ||
           left * left + square <= 0.0625 - SW_FRACTAL_INSIDE_MARGIN;
}

static struct sw_fractal_point point_at(const struct sw_fractal *fractal, double re, double im) {
    struct sw_fractal_point point = {.x = re, .y = im, .re = re, .im = im, .count = 1};
    if (fractal->kind == SW_FRACTAL_JULIA) {
        point.re = fractal->julia_re;
        point.im = fractal->julia_im;
        point.count = 0;
    }
    return point;
}

uint64_t sw_fractal_finish(const struct sw_fractal *fractal, struct sw_fractal_point *point, float *smooth) {
    return fractal->is_exact ? point_finish(fractal, point, smooth, true) : point_finish(fractal, point, smooth, false);
}

uint64_t sw_fractal_run_scalar(const struct sw_fractal *fractal, const struct sw_fractal_grid *grid,
                               const struct sw_fractal_output *output) {
    bool has_known = fractal->kind == SW_FRACTAL_MANDELBROT && !fractal->is_plain;
    uint64_t done = 0;
    for (size_t i = 0; i < (size_t)grid->width * grid->height; i++) {
        size_t x = i % grid->width, y = i / grid->width, at = y * grid->row_stride + x;
        double re = grid->re + (double)(grid->first_column + x) * grid->re_step;
        double im = grid->im + (double)(grid->first_row + y) * grid->im_step;
        struct sw_fractal_point point = point_at(fractal, re, im);
        if (has_known && point_is_inside(re, im)) {
            output->counts[at] = fractal->iterations;
            if (output->smooth) {
                output->smooth[at] = -1.0f;
            }
            continue;
        }
        done += point.count + sw_fractal_finish(fractal, &point, output->smooth ? &output->smooth[at] : NULL);
        output->counts[at] = point.count;
    }
    return done;
}
