/* fractal_draw.c - Draws a picture on a team of threads; see fractal_draw.h. */
#include "cli/fractal_draw.h"

#include "base/clock.h"
#include "base/mem.h"
#include "pool/team.h"

#define TILE_WIDTH 256u
#define TILE_HEIGHT 32u
#define TILE_LEAST 16u                     /* points in a row */
#define LEVEL 4                            /* of compression: a tenth larger than 6, in half the time */
#define TILE_WORK_MOST (UINT64_C(1) << 31) /* iterations: the progress is seen */

/* A tile has at most TILE_WIDTH x TILE_HEIGHT points, whatever the supersampling, and less where points take long. Sizes
 * depend on the view only. */
static void tiles_choose(struct sw_draw *draw) {
    unsigned samples = draw->view->supersample;
    uint64_t points = TILE_WORK_MOST / draw->view->iterations;
    uint32_t width = points >= TILE_WIDTH ? TILE_WIDTH : points > TILE_LEAST ? (uint32_t)points : TILE_LEAST;
    uint64_t rows = points / width / samples;
    uint32_t most = TILE_HEIGHT / samples > 0 ? TILE_HEIGHT / samples : 1;
    draw->tile_width = width / samples;
    draw->tile_height = rows > most ? most : rows > 0 ? (uint32_t)rows : 1;
    draw->tiles_across = (draw->view->width + draw->tile_width - 1) / draw->tile_width;
}

/* Escape times of the part, into the worker's memory; false when cancelled. */
static bool points_compute(struct sw_draw *draw, const struct sw_fractal_part *part, struct sw_draw_worker *worker) {
    struct sw_fractal_job job = {.part = *part,
                                 .output = {worker->counts, draw->view->is_flat ? NULL : worker->smooth},
                                 .is_cancelled = draw->is_cancelled};
    size_t points = (size_t)part->width * part->height;
    uint64_t iterations = 0;
    if (sw_fractal_scene_run(&draw->scene, &job) != SW_OK)
        return false;
    worker->computed += job.computed;
    for (size_t i = 0; i < points; i++)
        iterations += worker->counts[i];
    atomic_fetch_add_explicit(&worker->iterations, iterations, memory_order_relaxed);
    return true;
}

static void points_copy(struct sw_draw *draw, const struct sw_fractal_part *part, struct sw_draw_worker *worker) {
    size_t stride = (size_t)draw->view->width * draw->view->supersample;
    for (size_t y = 0; y < part->height; y++) {
        const float *values = draw->values + (part->y + y) * stride + part->x;
        for (size_t x = 0; x < part->width; x++) {
            worker->smooth[y * part->width + x] = values[x];
            worker->counts[y * part->width + x] = values[x] < 0 ? draw->view->iterations : 0;
        }
    }
}

static void tile_draw(struct sw_draw *draw, uint32_t x, uint32_t y, struct sw_draw_worker *worker) {
    const struct sw_fractal_view *view = draw->view;
    uint32_t width = view->width - x < draw->tile_width ? view->width - x : draw->tile_width;
    uint32_t height = draw->band_rows - y < draw->tile_height ? draw->band_rows - y : draw->tile_height;
    unsigned samples = view->supersample;
    struct sw_fractal_part part = {x * samples, (draw->band_y + y) * samples, width * samples, height * samples};
    if (draw->values)
        points_copy(draw, &part, worker);
    else if (!points_compute(draw, &part, worker))
        return;
    int64_t color_ns = sw_clock_mono_ns();
    struct sw_paint paint = {.palette = draw->palette,
                             .counts = worker->counts,
                             .smooth = view->is_flat && !draw->values ? NULL : worker->smooth,
                             .iterations = view->iterations,
                             .width = width,
                             .height = height,
                             .samples = samples,
                             .row_bytes = (size_t)view->width * 3};
    sw_paint(&paint, draw->band + (size_t)y * paint.row_bytes + (size_t)x * 3);
    worker->color_ns += sw_clock_mono_ns() - color_ns;
    atomic_fetch_add_explicit(&worker->pixels, (uint64_t)width * height, memory_order_relaxed);
    atomic_fetch_add_explicit(&draw->pixels_done, (uint64_t)width * height, memory_order_relaxed);
}

static bool is_cancelled(const struct sw_draw *draw) {
    return draw->is_cancelled && atomic_load_explicit(draw->is_cancelled, memory_order_relaxed);
}

static void tiles_run(void *context, size_t first, size_t last, unsigned lane) {
    struct sw_draw *draw = context;
    struct sw_draw_worker *worker = &draw->workers[lane];
    for (size_t i = first; i < last && !is_cancelled(draw); i++) {
        int64_t start_ns = sw_clock_mono_ns(), cpu_ns = sw_clock_thread_cpu_ns();
        tile_draw(draw, (uint32_t)(i % draw->tiles_across) * draw->tile_width,
                  (uint32_t)(i / draw->tiles_across) * draw->tile_height, worker);
        worker->cpu_ns += sw_clock_thread_cpu_ns() - cpu_ns;
        atomic_fetch_add_explicit(&worker->busy_ns, sw_clock_mono_ns() - start_ns, memory_order_relaxed);
        atomic_fetch_add_explicit(&worker->tiles, 1, memory_order_relaxed);
    }
}

static enum sw_status band_draw(struct sw_draw *draw, struct sw_parallel *parallel, struct sw_draw_facts *facts,
                                struct sw_error *err) {
    size_t tiles = (size_t)draw->tiles_across * ((draw->band_rows + draw->tile_height - 1) / draw->tile_height);
    int64_t start_ns = sw_clock_mono_ns();
    struct sw_parallel_loop loop = {.count = tiles, .grain = 1, .body = tiles_run, .context = draw};
    sw_parallel_run(parallel, &loop);
    facts->render_ns += sw_clock_mono_ns() - start_ns;
    if (is_cancelled(draw))
        return sw_fail(err, SW_INTERRUPTED, "interrupted");
    return sw_png_rows(draw->png, draw->band, draw->band_rows, parallel, err);
}

static uint32_t band_rows_of(const struct sw_draw *draw) {
    uint32_t rows = SW_DRAW_BAND_BYTES / (draw->view->width * 3);
    return rows < draw->view->height ? rows / TILE_HEIGHT * TILE_HEIGHT : draw->view->height;
}

static enum sw_status bands_draw(struct sw_draw *draw, struct sw_parallel *parallel, struct sw_draw_facts *facts,
                                 struct sw_error *err) {
    const struct sw_fractal_view *view = draw->view;
    struct sw_png_options options = {.width = view->width,
                                     .height = view->height,
                                     .level = LEVEL,
                                     .comment = draw->comment,
                                     .write = draw->write,
                                     .context = draw->write_context};
    uint32_t rows = band_rows_of(draw);
    enum sw_status status = sw_png_open(&draw->png, &options, err);
    atomic_store(&draw->render_start_ns, sw_clock_mono_ns());
    for (draw->band_y = 0; draw->band_y < view->height && !status; draw->band_y += draw->band_rows) {
        draw->band_rows = view->height - draw->band_y < rows ? view->height - draw->band_y : rows;
        status = band_draw(draw, parallel, facts, err);
    }
    return status ? status : sw_png_finish(draw->png, err);
}

static void facts_gather(const struct sw_draw *draw, struct sw_draw_facts *facts) {
    struct sw_png_facts png;
    const struct sw_fractal_view *view = draw->view;
    sw_png_facts(draw->png, &png);
    facts->workers = draw->worker_count;
    facts->rounds = 1;
    facts->pixels = (uint64_t)view->width * view->height;
    facts->points = facts->pixels * view->supersample * view->supersample;
    facts->file_bytes = png.file_bytes;
    facts->encode_ns = png.encode_ns;
    facts->write_ns = png.write_ns;
    facts->is_deep = draw->scene.zoom != NULL;
    if (facts->is_deep)
        sw_zoom_get_facts(draw->scene.zoom, &facts->zoom);
    for (unsigned i = 0; i < draw->worker_count; i++) {
        struct sw_draw_worker *worker = &draw->workers[i];
        int64_t busy_ns = atomic_load(&worker->busy_ns);
        facts->tiles += atomic_load(&worker->tiles);
        facts->iterations += atomic_load(&worker->iterations);
        facts->computed += worker->computed;
        facts->busy_ns += busy_ns;
        facts->busiest_ns = busy_ns > facts->busiest_ns ? busy_ns : facts->busiest_ns;
        facts->color_ns += worker->color_ns;
        facts->cpu_ns += worker->cpu_ns;
    }
}

static enum sw_status memory_make(struct sw_draw *draw) {
    size_t points = (size_t)TILE_WIDTH * TILE_HEIGHT;
    draw->workers = sw_alloc_aligned(64, draw->worker_count * sizeof *draw->workers);
    if (!draw->workers)
        return SW_NOMEM;
    memset(draw->workers, 0, draw->worker_count * sizeof *draw->workers);
    draw->band = sw_alloc_array(band_rows_of(draw), (size_t)draw->view->width * 3);
    bool is_whole = draw->band != NULL;
    for (unsigned i = 0; i < draw->worker_count && is_whole; i++) {
        draw->workers[i].counts = sw_alloc_array(points, sizeof(uint32_t));
        draw->workers[i].smooth = sw_alloc_array(points, sizeof(float));
        is_whole = draw->workers[i].counts && draw->workers[i].smooth;
    }
    return is_whole ? SW_OK : SW_NOMEM;
}

enum sw_status sw_draw_begin(struct sw_draw *draw, struct sw_error *err) {
    tiles_choose(draw);
    if (memory_make(draw) == SW_OK)
        return SW_OK;
    sw_draw_end(draw);
    return sw_fail(err, SW_NOMEM, "cannot draw a picture of %u x %u pixels with %u workers: out of memory",
                   draw->view->width, draw->view->height, draw->worker_count);
}

enum sw_status sw_draw_run(struct sw_draw *draw, struct sw_draw_facts *facts, struct sw_error *err) {
    struct sw_draw_facts taken = {0};
    struct sw_team *team = NULL;
    int64_t begin_ns = sw_clock_mono_ns();
    enum sw_status status = draw->worker_count > 1 ? sw_team_open(draw->worker_count, &team, err) : SW_OK;
    taken.start_ns = sw_clock_mono_ns() - begin_ns;
    if (!status && !draw->values)
        status = sw_fractal_scene_open(&draw->scene, draw->view, draw->is_cancelled, err);
    if (!status) {
        taken.scene_ns = draw->scene.open_ns;
        status = bands_draw(draw, team ? sw_team_parallel(team) : NULL, &taken, err);
    }
    sw_team_close(team);
    taken.total_ns = sw_clock_mono_ns() - begin_ns;
    if (!status) {
        facts_gather(draw, &taken);
        *facts = taken;
    }
    sw_png_close(draw->png);
    draw->png = NULL;
    sw_fractal_scene_close(&draw->scene);
    return status;
}

void sw_draw_end(struct sw_draw *draw) {
    for (unsigned i = 0; draw->workers && i < draw->worker_count; i++) {
        sw_free(draw->workers[i].counts);
        sw_free(draw->workers[i].smooth);
    }
    sw_free(draw->workers);
    sw_free(draw->band);
    draw->workers = NULL;
    draw->band = NULL;
}
