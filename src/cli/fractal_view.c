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
#define PROBE_WORK (UINT64_C(192) << 20) /* nor further than so many iterations of a coarse picture tell, */
#define GLANCE_WORK (PROBE_WORK / 2)     /* nor, where none leaves from one limit to the next, so many of a tiny one; */
#define PROBE_ORBIT_WORK 384u            /* a point of a deep zoom's orbit counts as so many */
#define PROBE_FEW 128u                   /* points count as so many where they are fewer: lanes are idle then */
#define PROBE_PIECES 8u                  /* of the work: after each a look how much there was */
#define PROBE_SIDE 64u                   /* points along the longer side of the coarse picture, */
#define GLANCE_SIDE 16u                  /* and of the tiny one */
#define PIECE_POINTS_LEAST 16u           /* two vectors: fewer points take no less time */

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
    return status == SW_INTERRUPTED ? sw_fail(err, status, "interrupted") : status;
}

void sw_fractal_scene_close(struct sw_fractal_scene *scene) {
    sw_zoom_close(scene->zoom);
    scene->zoom = NULL;
}

/* How many points a piece is wide and high: some rows, or where points may take very long some points of a row. */
static struct sw_fractal_part piece_of(const struct sw_fractal_part *part, uint32_t iterations) {
    uint64_t most = SW_VIEW_PIECE_WORK / iterations, rows = most / part->width;
    uint32_t least = part->width < PIECE_POINTS_LEAST ? part->width : PIECE_POINTS_LEAST;
    return (struct sw_fractal_part){
        .width = most >= part->width ? part->width
                 : most > least      ? (uint32_t)most
                                     : least,
        .height = rows >= part->height ? part->height
                  : rows > 0           ? (uint32_t)rows
                                       : 1,
    };
}

static uint64_t piece_run(const struct sw_fractal_scene *scene, const struct sw_fractal_part *piece,
                          const struct sw_fractal_output *output) {
    struct sw_fractal_grid grid = scene->grid;
    grid.first_column = piece->x;
    grid.first_row = piece->y;
    grid.width = piece->width;
    grid.height = piece->height;
    grid.row_stride = piece->width; /* a piece less wide than its part is one row */
    return scene->zoom ? sw_zoom_run(scene->zoom, &grid, output) : sw_fractal_run(&scene->fractal, &grid, output);
}

enum sw_status sw_fractal_scene_run(const struct sw_fractal_scene *scene, struct sw_fractal_job *job) {
    const struct sw_fractal_part *part = &job->part;
    struct sw_fractal_part most = piece_of(part, scene->fractal.iterations);
    job->computed = 0;
    for (uint32_t y = 0; y < part->height; y += most.height)
        for (uint32_t x = 0; x < part->width; x += most.width) {
            size_t at = (size_t)y * part->width + x;
            struct sw_fractal_part piece = {.x = part->x + x, .y = part->y + y};
            struct sw_fractal_output output = {job->output.counts + at,
                                               job->output.smooth ? job->output.smooth + at : NULL};
            if (job->is_cancelled && atomic_load_explicit(job->is_cancelled, memory_order_relaxed))
                return SW_INTERRUPTED;
            piece.width = part->width - x < most.width ? part->width - x : most.width;
            piece.height = part->height - y < most.height ? part->height - y : most.height;
            job->computed += piece_run(scene, &piece, &output);
        }
    return SW_OK;
}

/* A small picture of a view, computed once for each limit that may do. */
struct probe {
    struct sw_fractal_view view; /* with the iterations tried last */
    const atomic_bool *is_cancelled;
    uint32_t width, height;
    uint32_t counts[PROBE_SIDE * PROBE_SIDE];
    uint64_t work, done;      /* iterations, all limits together; for a deep one its orbits, too */
    size_t inside, undecided; /* points that did not leave; of these at most so many may do later */
    bool is_spent;            /* the work did not suffice for the last limit */
    bool has_endless_orbit;   /* so the next one is as long as its limit */
};

static void probe_shape(struct probe *probe, const struct sw_fractal_view *view, uint32_t side) {
    uint32_t longer = view->width > view->height ? view->width : view->height;
    uint32_t shrink = (longer + side - 1) / side;
    probe->view = *view;
    probe->view.is_plain = false; /* the same counts, sooner */
    probe->width = (view->width + shrink - 1) / shrink;
    probe->height = (view->height + shrink - 1) / shrink;
}

/* The middles of `count` equal parts of what `points` points from *first on stand for. */
static void axis_spread(double *first, double *step, double points, uint32_t count) {
    double start = *first - *step / 2;
    *step *= points / count;
    *first = start + *step / 2;
}

static uint64_t orbit_work(const struct sw_zoom_facts *facts) {
    return (uint64_t)facts->orbit_length * PROBE_ORBIT_WORK;
}

/* Computes the picture of an opened scene until the work is spent. A jump counts as one iteration. */
static enum sw_status probe_fill(struct probe *probe, const struct sw_fractal_scene *scene, uint64_t *returned) {
    uint32_t limit = probe->view.iterations, rows = (uint32_t)(probe->work / PROBE_PIECES / limit / probe->width);
    uint64_t before = probe->done;
    struct sw_zoom_facts facts = {0};
    enum sw_status status = SW_OK;
    rows = rows > 0 ? rows : 1;
    *returned = 0;
    for (uint32_t y = 0; y < probe->height && !status && !probe->is_spent; y += rows) {
        struct sw_fractal_job job = {.part = {.y = y, .width = probe->width},
                                     .output = {.counts = probe->counts + (size_t)y * probe->width},
                                     .is_cancelled = probe->is_cancelled};
        job.part.height = probe->height - y < rows ? probe->height - y : rows;
        status = sw_fractal_scene_run(scene, &job);
        *returned += job.computed;
        if (scene->zoom)
            sw_zoom_get_facts(scene->zoom, &facts);
        uint64_t steps = *returned - facts.jumped + facts.jumps, least = (uint64_t)limit * PROBE_FEW;
        probe->done = before + (steps > least ? steps : least) + orbit_work(&facts);
        probe->is_spent = probe->done > probe->work && y + rows < probe->height;
    }
    probe->has_endless_orbit = scene->zoom && facts.orbit_length >= limit;
    return status;
}

/* Sets inside and undecided, or is_spent. */
static enum sw_status probe_run(struct probe *probe, uint32_t iterations, struct sw_error *err) {
    struct sw_fractal_scene scene;
    uint64_t returned, left = 0;
    size_t inside = 0;
    probe->view.iterations = iterations;
    enum sw_status status = sw_fractal_scene_open(&scene, &probe->view, probe->is_cancelled, err);
    if (status)
        return status;
    unsigned samples = probe->view.supersample;
    axis_spread(&scene.grid.re, &scene.grid.re_step, (double)probe->view.width * samples, probe->width);
    axis_spread(&scene.grid.im, &scene.grid.im_step, (double)probe->view.height * samples, probe->height);
    status = probe_fill(probe, &scene, &returned);
    sw_fractal_scene_close(&scene);
    if (status)
        return sw_fail(err, status, "interrupted");
    for (size_t i = 0; i < (size_t)probe->width * probe->height && !probe->is_spent; i++) {
        bool is_inside = probe->counts[i] == iterations;
        inside += is_inside;
        left += is_inside ? 0 : probe->counts[i];
    }
    probe->inside = inside;
    probe->undecided = (size_t)((returned - left) / iterations); /* those known to stay were not iterated to the end */
    return SW_OK;
}

/* Whether a try with so many iterations is within the work, as far as can be told before. */
static bool probe_can(const struct probe *probe, uint32_t iterations) {
    uint64_t each = PROBE_FEW + (probe->has_endless_orbit ? PROBE_ORBIT_WORK : 0);
    return iterations <= RAISED_MOST && !probe->is_spent && probe->done + iterations * each <= probe->work;
}

/* Whether points leave between `iterations`, which is what a glance takes the first time, and some further limit: that
 * becomes the next to try. None do for long where all of a view hardly moves, as next to a parabolic point. */
static enum sw_status plateau_cross(struct probe *glance, uint32_t *iterations, bool *is_crossed,
                                    struct sw_error *err) {
    enum sw_status status = SW_OK;
    uint32_t limit = *iterations;
    *is_crossed = false;
    if (glance->view.iterations != limit)
        status = probe_run(glance, limit, err);
    while (!status && !*is_crossed && glance->undecided > 0 && probe_can(glance, limit * RAISE)) {
        size_t inside = glance->inside;
        limit *= RAISE;
        status = probe_run(glance, limit, err);
        *is_crossed = !status && !glance->is_spent && glance->inside < inside;
    }
    if (*is_crossed)
        *iterations = limit;
    return status;
}

/* The largest limit that more than `few` points need to leave, as far as the work goes. */
static enum sw_status limit_raise(struct probe *probe, struct probe *glance, uint32_t *iterations,
                                  struct sw_error *err) {
    size_t few = (size_t)probe->width * probe->height / LATE;
    enum sw_status status = probe_run(probe, *iterations, err);
    size_t inside = probe->inside;
    uint32_t limit = *iterations * RAISE;
    bool is_crossed = true;
    while (!status && is_crossed && probe->undecided > few && probe_can(probe, limit)) {
        status = probe_run(probe, limit, err);
        if (status || probe->is_spent)
            break;
        if (inside - probe->inside > few) {
            inside = probe->inside;
            *iterations = limit;
            limit *= RAISE;
        } else if (probe->undecided > few) {
            status = plateau_cross(glance, &limit, &is_crossed, err);
        }
    }
    return status;
}

enum sw_status sw_fractal_view_limit(struct sw_fractal_view *view, const atomic_bool *is_cancelled,
                                     struct sw_error *err) {
    if (view->iterations > 0)
        return SW_OK;
    struct probe *probes = sw_alloc_array_zero(2, sizeof *probes);
    if (!probes)
        return sw_fail(err, SW_NOMEM, "cannot choose the iterations: out of memory");
    for (int i = 0; i < 2; i++) {
        probe_shape(&probes[i], view, i == 0 ? PROBE_SIDE : GLANCE_SIDE);
        probes[i].work = i == 0 ? PROBE_WORK : GLANCE_WORK;
        probes[i].is_cancelled = is_cancelled;
    }
    uint32_t iterations = iterations_for(view->zoom);
    enum sw_status status = limit_raise(&probes[0], &probes[1], &iterations, err);
    sw_free(probes);
    if (!status)
        view->iterations = iterations;
    return status;
}
