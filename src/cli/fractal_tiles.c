/* fractal_tiles.c - Threads that compute tiles on request; see fractal_tiles.h. */
#include "cli/fractal_tiles.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "cli/fractal_draw.h"
#include "report/png.h"

#define SCENES_KEPT 4u                    /* without a tile that wants them, */
#define SCENES_BYTES (UINT64_C(64) << 20) /* of all these together */
#define ORBIT_POINT_BYTES 50u             /* at most, of a deep one */
#define POINTS (SW_TILE_SIDE * SW_TILE_SIDE)
#define LEVEL 1 /* of compression: it travels over the loopback only */

enum scene_state { SCENE_NEW, SCENE_OPENING, SCENE_READY, SCENE_FAILED };

/* A view, and what is computed once for all of its tiles. */
struct sw_tile_scene {
    struct sw_tile_scene *next;
    char *digits; /* owned: the centre's two numbers */
    struct sw_fractal_view view;
    uint32_t asked; /* the view's iterations before they were chosen; 0: left open */
    struct sw_fractal_scene opened;
    enum scene_state state;
    struct sw_error error;
    unsigned users;           /* tiles not given back */
    unsigned wanted;          /* of these not cancelled */
    atomic_bool is_cancelled; /* once set, it is not used again */
    uint64_t used;            /* when, in requests */
    uint64_t bytes;           /* about, where that is much */
};

struct worker {
    struct sw_tiles *tiles;
    struct sw_thread thread;
    struct sw_tile *tile; /* at work; NULL: none */
    uint32_t *counts;
    float *smooth;
    uint8_t *pixels;
};

struct sw_tiles {
    pthread_mutex_t lock; /* over all below but the workers */
    pthread_cond_t news;
    bool is_stopping;
    struct sw_tile *first, **last; /* waiting, in order */
    struct sw_tile *done, **done_last;
    struct sw_tile_scene *scenes;
    uint64_t requests;
    void (*wake)(void *context);
    void *context;
    struct worker *workers;
    unsigned worker_count;
};

static bool is_unwanted(const struct sw_tile *tile) {
    return atomic_load_explicit(&tile->is_cancelled, memory_order_relaxed);
}

static void scene_free(struct sw_tile_scene *scene) {
    if (scene->state == SCENE_READY)
        sw_fractal_scene_close(&scene->opened);
    sw_free(scene->digits);
    sw_free(scene);
}

static bool scene_fits(const struct sw_tile_scene *scene, const struct sw_fractal_view *b) {
    const struct sw_fractal_view *a = &scene->view;
    return a->kind == b->kind && a->julia_re == b->julia_re && a->julia_im == b->julia_im && a->zoom == b->zoom &&
           a->width == b->width && a->height == b->height && scene->asked == b->iterations &&
           a->supersample == b->supersample && a->is_exact == b->is_exact && a->is_plain == b->is_plain &&
           sw_str_eq(a->center_re, b->center_re) && sw_str_eq(a->center_im, b->center_im);
}

static struct sw_tile_scene *scene_make(const struct sw_fractal_view *view) {
    struct sw_tile_scene *scene = sw_alloc_zero(sizeof *scene);
    size_t re = view->center_re.len, im = view->center_im.len;
    if (!scene)
        return NULL;
    scene->digits = sw_alloc(re + im + 1);
    if (!scene->digits) {
        sw_free(scene);
        return NULL;
    }
    memcpy(scene->digits, view->center_re.ptr, re);
    memcpy(scene->digits + re, view->center_im.ptr, im);
    scene->view = *view;
    scene->asked = view->iterations;
    scene->view.center_re = sw_str_make(scene->digits, re);
    scene->view.center_im = sw_str_make(scene->digits + re, im);
    return scene;
}

static bool is_older(const struct sw_tile_scene *a, const struct sw_tile_scene *b) {
    bool is_over = atomic_load(&a->is_cancelled), is_other_over = atomic_load(&b->is_cancelled);
    return is_over != is_other_over ? is_over : a->used < b->used;
}

/* Frees what nobody uses: cancelled scenes, and of the others, where they are too many or too large, those not used for
 * the longest. */
static void scenes_trim(struct sw_tiles *tiles) {
    for (;;) {
        struct sw_tile_scene **oldest = NULL;
        unsigned idle = 0;
        uint64_t bytes = 0;
        for (struct sw_tile_scene **at = &tiles->scenes; *at; at = &(*at)->next) {
            if ((*at)->users > 0)
                continue;
            idle++;
            bytes += (*at)->bytes;
            if (!oldest || is_older(*at, *oldest))
                oldest = at;
        }
        if (!oldest || (idle <= SCENES_KEPT && bytes <= SCENES_BYTES && !atomic_load(&(*oldest)->is_cancelled)))
            return;
        struct sw_tile_scene *scene = *oldest;
        *oldest = scene->next;
        scene_free(scene);
    }
}

static struct sw_tile_scene *scene_get(struct sw_tiles *tiles, const struct sw_fractal_view *view) {
    struct sw_tile_scene *scene = tiles->scenes;
    while (scene && (atomic_load(&scene->is_cancelled) || !scene_fits(scene, view)))
        scene = scene->next;
    if (!scene) {
        scene = scene_make(view);
        if (!scene)
            return NULL;
        scene->next = tiles->scenes;
        tiles->scenes = scene;
    }
    scene->used = ++tiles->requests;
    scene->users++;
    scene->wanted++;
    scenes_trim(tiles);
    return scene;
}

static enum sw_status png_take(void *context, struct sw_str bytes, struct sw_error *err) {
    enum sw_status status = sw_buf_append(context, bytes);
    return status ? sw_fail(err, status, "out of memory") : SW_OK;
}

static enum sw_status tile_encode(struct worker *worker, struct sw_tile *tile, uint32_t width, uint32_t height) {
    struct sw_png_options options = {
        .width = width, .height = height, .level = LEVEL, .write = png_take, .context = &tile->png};
    struct sw_png *png = NULL;
    enum sw_status status = sw_png_open(&png, &options, &tile->error);
    if (!status)
        status = sw_png_rows(png, worker->pixels, height, NULL, &tile->error);
    if (!status)
        status = sw_png_finish(png, &tile->error);
    sw_png_close(png);
    return status;
}

static enum sw_status tile_compute(struct worker *worker, struct sw_tile *tile) {
    const struct sw_fractal_view *view = &tile->scene->view;
    struct sw_fractal_part part = {.x = tile->x * SW_TILE_SIDE, .y = tile->y * SW_TILE_SIDE};
    int64_t start_ns = sw_clock_mono_ns();
    part.width = view->width - part.x < SW_TILE_SIDE ? view->width - part.x : SW_TILE_SIDE;
    part.height = view->height - part.y < SW_TILE_SIDE ? view->height - part.y : SW_TILE_SIDE;
    struct sw_fractal_job job = {.part = part,
                                 .output = {worker->counts, worker->smooth},
                                 .is_cancelled = &tile->is_cancelled};
    enum sw_status status = sw_fractal_scene_run(&tile->scene->opened, &job);
    if (status)
        return status;
    for (size_t i = 0; i < (size_t)part.width * part.height; i++)
        tile->iterations += worker->counts[i];
    struct sw_paint paint = {.palette = tile->palette,
                             .counts = worker->counts,
                             .smooth = worker->smooth,
                             .iterations = view->iterations,
                             .width = part.width,
                             .height = part.height,
                             .samples = 1,
                             .row_bytes = (size_t)part.width * 3};
    sw_paint(&paint, worker->pixels);
    tile->compute_ns = sw_clock_mono_ns() - start_ns;
    tile->iterations_max = view->iterations;
    tile->is_deep = tile->scene->opened.zoom != NULL;
    return tile_encode(worker, tile, part.width, part.height);
}

/* Opens the scene outside of the lock, which is held. */
static void scene_open(struct sw_tiles *tiles, struct sw_tile_scene *scene) {
    scene->state = SCENE_OPENING;
    pthread_mutex_unlock(&tiles->lock);
    struct sw_error error = {0};
    enum sw_status status = sw_fractal_view_limit(&scene->view, &scene->is_cancelled, &error);
    if (!status)
        status = sw_fractal_scene_open(&scene->opened, &scene->view, &scene->is_cancelled, &error);
    struct sw_zoom_facts facts = {0};
    if (!status && scene->opened.zoom)
        sw_zoom_get_facts(scene->opened.zoom, &facts);
    pthread_mutex_lock(&tiles->lock);
    scene->state = status ? SCENE_FAILED : SCENE_READY;
    scene->error = error;
    scene->bytes = (uint64_t)facts.orbit_length * ORBIT_POINT_BYTES;
    if (status == SW_NOMEM)
        atomic_store(&scene->is_cancelled, true); /* the next time there may be some */
    pthread_cond_broadcast(&tiles->news);
}

/* The first tile that can be worked on, taken out; those whose scene is being opened wait. */
static struct sw_tile *tile_next(struct sw_tiles *tiles) {
    for (struct sw_tile **at = &tiles->first; *at; at = &(*at)->next) {
        struct sw_tile *tile = *at;
        if (tile->scene->state == SCENE_OPENING && !is_unwanted(tile))
            continue;
        *at = tile->next;
        if (tiles->last == &tile->next)
            tiles->last = at;
        tile->next = NULL;
        return tile;
    }
    return NULL;
}

static void tile_do(struct worker *worker, struct sw_tile *tile) {
    struct sw_tiles *tiles = worker->tiles;
    struct sw_tile_scene *scene = tile->scene;
    worker->tile = tile;
    tile->status = is_unwanted(tile) ? SW_INTERRUPTED : SW_OK;
    if (!tile->status && scene->state == SCENE_NEW)
        scene_open(tiles, scene);
    if (!tile->status && scene->state == SCENE_FAILED) {
        tile->status = is_unwanted(tile) ? SW_INTERRUPTED : scene->error.status;
        tile->error = scene->error;
    }
    if (!tile->status) {
        pthread_mutex_unlock(&tiles->lock);
        tile->status = tile_compute(worker, tile);
        pthread_mutex_lock(&tiles->lock);
    }
    worker->tile = NULL;
    scene->users--;
    if (!is_unwanted(tile))
        scene->wanted--;
    tile->scene = NULL;
    scenes_trim(tiles);
    *tiles->done_last = tile;
    tiles->done_last = &tile->next;
}

static void worker_main(void *context) {
    struct worker *worker = context;
    struct sw_tiles *tiles = worker->tiles;
    pthread_mutex_lock(&tiles->lock);
    for (;;) {
        struct sw_tile *tile = tile_next(tiles);
        if (tile) {
            tile_do(worker, tile);
            tiles->wake(tiles->context);
        } else if (tiles->is_stopping) {
            break;
        } else {
            pthread_cond_wait(&tiles->news, &tiles->lock);
        }
    }
    pthread_mutex_unlock(&tiles->lock);
}

static enum sw_status worker_start(struct sw_tiles *tiles, struct worker *worker, struct sw_error *err) {
    worker->tiles = tiles;
    worker->counts = sw_alloc_array(POINTS, sizeof *worker->counts);
    worker->smooth = sw_alloc_array(POINTS, sizeof *worker->smooth);
    worker->pixels = sw_alloc_array(POINTS, 3);
    if (!worker->counts || !worker->smooth || !worker->pixels)
        return sw_fail(err, SW_NOMEM, "cannot start a worker: out of memory");
    return sw_thread_start(&worker->thread, "tiles", -1, worker_main, worker, err);
}

enum sw_status sw_tiles_open(struct sw_tiles **out, unsigned workers, void (*wake)(void *context), void *context,
                             struct sw_error *err) {
    struct sw_tiles *tiles = sw_alloc_zero(sizeof *tiles);
    enum sw_status status = SW_OK;
    if (tiles)
        tiles->workers = sw_alloc_array_zero(workers, sizeof *tiles->workers);
    if (!tiles || !tiles->workers) {
        sw_free(tiles);
        return sw_fail(err, SW_NOMEM, "cannot start workers: out of memory");
    }
    pthread_mutex_init(&tiles->lock, NULL);
    pthread_cond_init(&tiles->news, NULL);
    tiles->last = &tiles->first;
    tiles->done_last = &tiles->done;
    tiles->wake = wake;
    tiles->context = context;
    tiles->worker_count = workers;
    for (unsigned i = 0; i < workers && !status; i++)
        status = worker_start(tiles, &tiles->workers[i], err);
    if (!status) {
        *out = tiles;
        return SW_OK;
    }
    sw_tiles_stop(tiles);
    sw_tiles_close(tiles);
    return status;
}

enum sw_status sw_tiles_ask(struct sw_tiles *tiles, const struct sw_fractal_view *view, struct sw_tile *tile,
                            struct sw_error *err) {
    if (tile->x >= (view->width + SW_TILE_SIDE - 1) / SW_TILE_SIDE ||
        tile->y >= (view->height + SW_TILE_SIDE - 1) / SW_TILE_SIDE)
        return sw_fail(err, SW_INVALID, "a view of %u x %u pixels has no tile %u, %u", view->width, view->height,
                       tile->x, tile->y);
    pthread_mutex_lock(&tiles->lock);
    struct sw_tile_scene *scene = scene_get(tiles, view);
    if (scene) {
        tile->scene = scene;
        tile->next = NULL;
        *tiles->last = tile;
        tiles->last = &tile->next;
        pthread_cond_signal(&tiles->news);
    }
    pthread_mutex_unlock(&tiles->lock);
    return scene ? SW_OK : sw_fail(err, SW_NOMEM, "cannot take a request: out of memory");
}

/* With the lock held. */
static void tile_unwant(struct sw_tile *tile) {
    if (atomic_exchange(&tile->is_cancelled, true) || !tile->scene)
        return;
    if (--tile->scene->wanted == 0 && tile->scene->state != SCENE_READY)
        atomic_store(&tile->scene->is_cancelled, true); /* an orbit nobody waits for */
}

void sw_tiles_cancel(struct sw_tiles *tiles, struct sw_tile *tile) {
    pthread_mutex_lock(&tiles->lock);
    tile_unwant(tile);
    pthread_cond_broadcast(&tiles->news);
    pthread_mutex_unlock(&tiles->lock);
}

struct sw_tile *sw_tiles_take(struct sw_tiles *tiles) {
    pthread_mutex_lock(&tiles->lock);
    struct sw_tile *tile = tiles->done;
    if (tile) {
        tiles->done = tile->next;
        if (!tiles->done)
            tiles->done_last = &tiles->done;
        tile->next = NULL;
    }
    pthread_mutex_unlock(&tiles->lock);
    return tile;
}

void sw_tiles_stop(struct sw_tiles *tiles) {
    pthread_mutex_lock(&tiles->lock);
    tiles->is_stopping = true;
    for (struct sw_tile *tile = tiles->first; tile; tile = tile->next)
        tile_unwant(tile);
    for (unsigned i = 0; i < tiles->worker_count; i++)
        if (tiles->workers[i].tile)
            tile_unwant(tiles->workers[i].tile);
    for (struct sw_tile_scene *scene = tiles->scenes; scene; scene = scene->next)
        atomic_store(&scene->is_cancelled, true);
    pthread_cond_broadcast(&tiles->news);
    pthread_mutex_unlock(&tiles->lock);
    for (unsigned i = 0; i < tiles->worker_count; i++)
        sw_thread_join(&tiles->workers[i].thread);
}

void sw_tiles_close(struct sw_tiles *tiles) {
    if (!tiles)
        return;
    for (unsigned i = 0; i < tiles->worker_count; i++) {
        sw_free(tiles->workers[i].counts);
        sw_free(tiles->workers[i].smooth);
        sw_free(tiles->workers[i].pixels);
    }
    while (tiles->scenes) {
        struct sw_tile_scene *scene = tiles->scenes;
        tiles->scenes = scene->next;
        scene_free(scene);
    }
    pthread_cond_destroy(&tiles->news);
    pthread_mutex_destroy(&tiles->lock);
    sw_free(tiles->workers);
    sw_free(tiles);
}
