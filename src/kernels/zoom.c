/* zoom.c - Deep zoom: options, orbit and table together; grids cut into batches for the lanes. */
#include "kernels/zoom.h"

#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kernels/fractal_impl.h"
#include "kernels/zoom_impl.h"

#define PIXEL_LEAST 1e-305 /* dz is a double: 2e-308 is the least with all digits */
#define RADIUS_MOST 1e6
#define RADIUS_SLACK 1e-9 /* of the radius: a grid's corners are rounded */

enum { BATCH = 1024 };
_Static_assert(BATCH % SW_ZOOM_PAD == 0, "lanes load whole groups of vectors");

sw_zoom_runner sw_zoom_runner_for(enum sw_cpu_level level) {
#if defined(__x86_64__)
    if (level >= SW_CPU_AVX512) {
        return sw_zoom_lanes_avx512;
    }
    if (level >= SW_CPU_AVX2) {
        return sw_zoom_lanes_avx2;
    }
#endif
    return sw_zoom_lanes_scalar;
}

/* Around c = -2 the first iterates lie on the circle |z| = 2 to the last digit of a double: its excess tells. */
static void point_run_at_tip(const struct sw_zoom *zoom, struct sw_zoom_batch *batch, size_t point) {
    double dx = 0, dy = 0, cx = batch->dc_re[point], cy = batch->dc_im[point], x = 0, y = 0;
    uint32_t at = SW_ZOOM_START, done = 0;
    for (;; done++) {
        struct sw_zoom_complex z = zoom->orbit.z[at];
        double excess = zoom->orbit.excess[at] + (2 * (z.re * dx + z.im * dy) + (dx * dx + dy * dy));
        x = z.re + dx;
        y = z.im + dy;
        if (excess > 0 || done == zoom->options.iterations) {
            break;
        }
        if (at == zoom->orbit.end || fmax(fabs(x), fabs(y)) < fmax(fabs(dx), fabs(dy))) {
            dx = x;
            dy = y;
            z = (struct sw_zoom_complex){0, 0};
            at = SW_ZOOM_START;
        }
        double tx = 2 * z.re + dx, ty = 2 * z.im + dy, next = tx * dx - ty * dy + cx;
        dy = tx * dy + ty * dx + cy;
        dx = next;
        at++;
    }
    batch->dz_re[point] = x;
    batch->dz_im[point] = y;
    batch->iterations[point] = done;
}

static void batch_run(const struct sw_zoom *zoom, struct sw_zoom_batch *batch) {
    if (!zoom->orbit.excess || batch->is_far) {
        zoom->runner(zoom, batch);
        return;
    }
    for (size_t i = 0; i < batch->count; i++) {
        point_run_at_tip(zoom, batch, i);
    }
}

static double larger(double first, double step, uint32_t before, uint32_t count) {
    double low = first + (double)before * step, high = first + ((double)before + count - 1) * step;
    return fmax(fabs(low), fabs(high));
}

static bool is_far(const struct sw_zoom *zoom, const struct sw_fractal_grid *grid) {
    double re = larger(grid->re, grid->re_step, grid->first_column, grid->width);
    double im = larger(grid->im, grid->im_step, grid->first_row, grid->height);
    return !(hypot(re, im) <= zoom->options.radius);
}

static void batch_fill(struct sw_zoom_batch *batch, const struct sw_fractal_grid *grid, size_t first) {
    for (size_t i = 0; i < batch->count; i++) {
        size_t column = (first + i) % grid->width + grid->first_column;
        size_t row = (first + i) / grid->width + grid->first_row;
        batch->dc_re[i] = grid->re + (double)column * grid->re_step;
        batch->dc_im[i] = grid->im + (double)row * grid->im_step;
    }
    for (size_t i = batch->count; i % SW_ZOOM_PAD != 0; i++) {
        batch->dc_re[i] = batch->dc_im[i] = 0;
    }
}

static float smooth_of(const struct sw_zoom *zoom, const struct sw_zoom_batch *batch, size_t i) {
    struct sw_fractal fractal = {.iterations = zoom->options.iterations};
    struct sw_fractal_point point = {
        .x = batch->dz_re[i],
        .y = batch->dz_im[i],
        .re = zoom->centre.re + batch->dc_re[i],
        .im = zoom->centre.im + batch->dc_im[i],
        .count = batch->iterations[i],
    };
    float smooth = -1;
    if (point.count < fractal.iterations) {
        sw_fractal_finish(&fractal, &point, &smooth);
    }
    return smooth;
}

/* Returns the iterations done. */
static uint64_t batch_put(const struct sw_zoom *zoom, const struct sw_zoom_batch *batch,
                          const struct sw_fractal_grid *grid, const struct sw_fractal_output *output, size_t first) {
    uint64_t done = 0;
    for (size_t i = 0; i < batch->count; i++) {
        size_t at = (first + i) / grid->width * grid->row_stride + (first + i) % grid->width;
        output->counts[at] = batch->iterations[i];
        done += batch->iterations[i];
        if (output->smooth) {
            output->smooth[at] = smooth_of(zoom, batch, i);
        }
    }
    return done;
}

uint64_t sw_zoom_run(const struct sw_zoom *zoom, const struct sw_fractal_grid *grid,
                     const struct sw_fractal_output *output) {
    _Alignas(64) double dc_re[BATCH], dc_im[BATCH], dz_re[BATCH], dz_im[BATCH];
    uint32_t iterations[BATCH];
    struct sw_zoom_batch batch = {
        .dc_re = dc_re, .dc_im = dc_im, .dz_re = dz_re, .dz_im = dz_im, .iterations = iterations};
    size_t points = (size_t)grid->width * grid->height;
    uint64_t done = 0;
    batch.is_far = points > 0 && is_far(zoom, grid);
    for (size_t first = 0; first < points; first += BATCH) {
        batch.count = points - first < BATCH ? points - first : BATCH;
        batch_fill(&batch, grid, first);
        batch_run(zoom, &batch);
        done += batch_put(zoom, &batch, grid, output, first);
    }
    /* The counters are not part of what is promised not to change. */
    struct sw_zoom *counted = (struct sw_zoom *)(uintptr_t)zoom;
    atomic_fetch_add_explicit(&counted->jumps, batch.jumps, memory_order_relaxed);
    atomic_fetch_add_explicit(&counted->jumped, batch.jumped, memory_order_relaxed);
    return done;
}

static enum sw_status options_check(const struct sw_zoom_options *options, struct sw_error *err) {
    if (!(options->pixel >= PIXEL_LEAST && options->pixel <= 1)) {
        return sw_fail(err, SW_INVALID,
                       "pixel is %g, not within %g ... 1; deeper zooms need more range than a double has",
                       options->pixel, PIXEL_LEAST);
    }
    if (!(options->radius >= 0 && options->radius <= RADIUS_MOST)) {
        return sw_fail(err, SW_INVALID, "radius is %g, not within 0 ... %g", options->radius, RADIUS_MOST);
    }
    return SW_OK;
}

static enum sw_status zoom_make(struct sw_zoom *zoom, struct sw_error *err) {
    enum sw_status status = sw_zoom_orbit_make(&zoom->options, &zoom->orbit, err);
    if (status) {
        return status;
    }
    zoom->centre = zoom->orbit.z[SW_ZOOM_START + 1];
    uint32_t points = zoom->orbit.end - SW_ZOOM_START;
    status = zoom->options.is_plain ? SW_OK : sw_zoom_table_make(&zoom->orbit, &zoom->options, &zoom->table);
    if (status == SW_INTERRUPTED) {
        return sw_fail(err, status, "the table of jumps was cancelled; the orbit has %u points", points);
    }
    if (status) {
        return sw_fail(err, status, "out of memory for the table of jumps of an orbit of %u points", points);
    }
    zoom->calm = sw_zoom_calm_make(&zoom->orbit, zoom->options.radius);
    if (!zoom->calm || sw_zoom_way_make(zoom, &zoom->way)) {
        return sw_fail(err, SW_NOMEM, "out of memory for the common way of all points");
    }
    return SW_OK;
}

enum sw_status sw_zoom_open(const struct sw_zoom_options *options, struct sw_zoom **zoom, struct sw_error *err) {
    int64_t begin_ns = sw_clock_mono_ns();
    enum sw_status status = options_check(options, err);
    if (status) {
        return status;
    }
    struct sw_zoom *made = sw_alloc_zero(sizeof(*made));
    if (!made) {
        return sw_fail(err, SW_NOMEM, "out of memory for a zoom");
    }
    made->options = *options;
    made->options.radius *= 1 + RADIUS_SLACK;
    made->runner = sw_zoom_runner_for(sw_cpu_level());
    status = zoom_make(made, err);
    if (status) {
        sw_zoom_close(made);
        return status;
    }
    made->options.center_re = made->options.center_im = (struct sw_str){NULL, 0};
    made->open_seconds = (double)(sw_clock_mono_ns() - begin_ns) / (double)SW_NS_PER_S;
    *zoom = made;
    return SW_OK;
}

void sw_zoom_close(struct sw_zoom *zoom) {
    if (zoom) {
        sw_zoom_orbit_release(&zoom->orbit);
        sw_zoom_table_release(&zoom->table);
        sw_zoom_way_release(&zoom->way);
        sw_free(zoom->calm);
        sw_free(zoom);
    }
}

void sw_zoom_get_facts(const struct sw_zoom *zoom, struct sw_zoom_facts *facts) {
    *facts = (struct sw_zoom_facts){
        .precision_bits = zoom->orbit.bits,
        .orbit_length = zoom->orbit.end - SW_ZOOM_START,
        .jumps = atomic_load_explicit(&zoom->jumps, memory_order_relaxed),
        .jumped = atomic_load_explicit(&zoom->jumped, memory_order_relaxed),
        .orbit_seconds = zoom->open_seconds,
    };
}
