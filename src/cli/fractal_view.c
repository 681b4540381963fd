/* fractal_view.c - Geometry and limits of a view, and the kernel that computes it; see fractal_view.h. */
#include "cli/fractal_view.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"

/* Below the first, rounding errors of double precision begin to show, below the second they are the picture. */
#define STEP_DEEP 1e-13
#define STEP_LEAST 2e-15
#define STEP_ZOOM_LEAST 1e-305
#define STEP_MOST 1e3
#define ITERATIONS_LEAST 1000.0
#define OCTAVES_EACH 8.0 /* the iterations grow by ITERATIONS_LEAST every so many doublings of the zoom, */
#define RAISE 4u         /* and so many times where more than 1 in LATE points leaves only then; */
#define LATE 200u
#define RAISED_MOST 4000000u             /* but not above this, */
#define PROBE_WORK (UINT64_C(128) << 20) /* nor once so many iterations were computed to find out */
#define PROBE_SIDE 64u                   /* points along the longer side of the coarse picture */

static const struct {
    const char *name;
    struct sw_str re, im; /* the centre when none is given */
} kinds[] = {
    [SW_FRACTAL_MANDELBROT] = {"mandelbrot", {"-0.7", 4}, {"0", 1}},
    [SW_FRACTAL_JULIA] = {"julia", {"0", 1}, {"0", 1}},
    [SW_FRACTAL_BURNING_SHIP] = {"burning-ship", {"-0.45", 5}, {"-0.5", 4}},
};

const char *sw_fractal_kind_name(enum sw_fractal_kind kind) {
    return kinds[kind].name;
}

double sw_fractal_view_step(const struct sw_fractal_view *view) {
    return SW_VIEW_HEIGHT / view->zoom / ((double)view->height * view->supersample);
}

bool sw_fractal_view_is_deep(const struct sw_fractal_view *view) {
    return view->kind == SW_FRACTAL_MANDELBROT && sw_fractal_view_step(view) < STEP_DEEP;
}

static uint32_t iterations_for(double zoom) {
    double octaves = zoom > 1 ? log2(zoom) : 0;
    return (uint32_t)(round(ITERATIONS_LEAST * (1 + octaves / OCTAVES_EACH) / 100) * 100);
}

static enum sw_status depth_check(const struct sw_fractal_view *view, struct sw_error *err) {
    double step = sw_fractal_view_step(view);
    double rows = (double)view->height * view->supersample;
    if (step > STEP_MOST)
        return sw_fail(err, SW_INVALID, "--zoom %g: the pixels would be %g apart, all of them far outside; zoom in",
                       view->zoom, step);
    if (view->kind == SW_FRACTAL_MANDELBROT && step < STEP_ZOOM_LEAST)
        return sw_fail(
            err, SW_INVALID,
            "--zoom %g: at %u rows the deepest zoom is %.2g, as the differences between pixels end at 1e-305; "
            "zoom out or make the picture smaller",
            view->zoom, view->height, SW_VIEW_HEIGHT / STEP_ZOOM_LEAST / rows);
    if (view->kind != SW_FRACTAL_MANDELBROT && step < STEP_LEAST)
        return sw_fail(
            err, SW_INVALID,
            "--zoom %g: with --kind %s the deepest zoom at %u rows is %.2g, where double precision ends; zoom "
            "out, make the picture smaller, or draw the Mandelbrot set, which zooms to 1e300",
            view->zoom, kinds[view->kind].name, view->height, SW_VIEW_HEIGHT / STEP_LEAST / rows);
    return SW_OK;
}

enum sw_status sw_fractal_view_complete(struct sw_fractal_view *view, struct sw_error *err) {
    if (!view->has_center) {
        view->center_re = kinds[view->kind].re;
        view->center_im = kinds[view->kind].im;
        view->has_center = true;
    }
    return depth_check(view, err);
}

static double number_of(struct sw_str text) {
    double value = 0;
    (void)sw_num_parse_f64(text.ptr, text.ptr + text.len, &value);
    return value;
}

static bool cancelled_ask(void *context) {
    const atomic_bool *is_cancelled = context;
    return atomic_load_explicit(is_cancelled, memory_order_relaxed);
}

static enum sw_status zoom_open(struct sw_fractal_scene *scene, const atomic_bool *is_cancelled, struct sw_error *err) {
    const struct sw_fractal_view *view = scene->view;
    struct sw_zoom_options options = {
        .center_re = view->center_re,
        .center_im = view->center_im,
        .pixel = sw_fractal_view_step(view),
        .radius = hypot(scene->grid.re, scene->grid.im),
        .iterations = view->iterations,
        .is_plain = view->is_plain,
        .is_cancelled = is_cancelled ? cancelled_ask : NULL,
        .context = (void *)(uintptr_t)is_cancelled,
    };
    return sw_zoom_open(&options, &scene->zoom, err);
}

enum sw_status sw_fractal_scene_open(struct sw_fractal_scene *scene, const struct sw_fractal_view *view,
                                     const atomic_bool *is_cancelled, struct sw_error *err) {
    int64_t start_ns = sw_clock_mono_ns();
    double step = sw_fractal_view_step(view), down = view->kind == SW_FRACTAL_BURNING_SHIP ? step : -step;
    struct sw_fractal_scene opened = {
        .view = view,
        .fractal = {.kind = view->kind,
                    .julia_re = view->julia_re,
                    .julia_im = view->julia_im,
                    .iterations = view->iterations,
                    .is_exact = view->is_exact,
                    .is_plain = view->is_plain},
        .grid = {.re = -step * ((double)view->width * view->supersample - 1) / 2,
                 .im = -down * ((double)view->height * view->supersample - 1) / 2,
                 .re_step = step,
                 .im_step = down},
    };
    enum sw_status status = SW_OK;
    if (sw_fractal_view_is_deep(view)) {
        status = zoom_open(&opened, is_cancelled, err);
    } else {
        opened.grid.re += number_of(view->center_re);
        opened.grid.im += number_of(view->center_im);
    }
    opened.open_ns = sw_clock_mono_ns() - start_ns;
    if (!status)
        *scene = opened;
    return status;
}

void sw_fractal_scene_close(struct sw_fractal_scene *scene) {
    sw_zoom_close(scene->zoom);
    scene->zoom = NULL;
}

uint64_t sw_fractal_scene_run(const struct sw_fractal_scene *scene, const struct sw_fractal_part *part,
                              const struct sw_fractal_output *output) {
    struct sw_fractal_grid grid = scene->grid;
    grid.first_column = part->x;
    grid.first_row = part->y;
    grid.width = part->width;
    grid.height = part->height;
    grid.row_stride = part->width;
    return scene->zoom ? sw_zoom_run(scene->zoom, &grid, output) : sw_fractal_run(&scene->fractal, &grid, output);
}

/* A coarse picture of a view. */
struct probe {
    struct sw_fractal_view view;
    uint32_t counts[PROBE_SIDE * PROBE_SIDE];
    uint64_t computed;
};

static void probe_shape(struct probe *probe, const struct sw_fractal_view *view) {
    uint32_t longer = view->width > view->height ? view->width : view->height;
    uint32_t shrink = (longer + PROBE_SIDE - 1) / PROBE_SIDE;
    probe->view = *view;
    probe->view.supersample = 1;
    probe->view.width = (view->width + shrink - 1) / shrink;
    probe->view.height = (view->height + shrink - 1) / shrink;
    probe->computed = 0;
}

/* Sets *inside to the points that do not leave within `iterations`. */
static enum sw_status probe_run(struct probe *probe, uint32_t iterations, size_t *inside,
                                const atomic_bool *is_cancelled, struct sw_error *err) {
    struct sw_fractal_scene scene;
    struct sw_fractal_part all = {.width = probe->view.width, .height = probe->view.height};
    struct sw_fractal_output output = {.counts = probe->counts};
    probe->view.iterations = iterations;
    enum sw_status status = sw_fractal_scene_open(&scene, &probe->view, is_cancelled, err);
    if (status)
        return status;
    probe->computed += sw_fractal_scene_run(&scene, &all, &output);
    sw_fractal_scene_close(&scene);
    *inside = 0;
    for (size_t i = 0; i < (size_t)all.width * all.height; i++)
        *inside += probe->counts[i] == iterations;
    return SW_OK;
}

enum sw_status sw_fractal_view_limit(struct sw_fractal_view *view, const atomic_bool *is_cancelled,
                                     struct sw_error *err) {
    struct probe *probe;
    if (view->iterations > 0)
        return SW_OK;
    probe = sw_alloc(sizeof *probe);
    if (!probe)
        return sw_fail(err, SW_NOMEM, "cannot choose the iterations: out of memory");
    probe_shape(probe, view);
    size_t few = (size_t)probe->view.width * probe->view.height / LATE, inside, still;
    uint32_t iterations = iterations_for(view->zoom);
    enum sw_status status = probe_run(probe, iterations, &inside, is_cancelled, err);
    while (!status && inside > few && probe->computed < PROBE_WORK && iterations < RAISED_MOST / RAISE) {
        status = probe_run(probe, iterations * RAISE, &still, is_cancelled, err);
        if (status || inside - still <= few)
            break;
        inside = still;
        iterations *= RAISE;
    }
    sw_free(probe);
    if (!status)
        view->iterations = iterations;
    return status;
}
