/* fractal_draw.h - Draws a picture: tiles over a team of threads, colours, PNG; and what that took.
 *
 * Memory is bounded: the picture is made in bands of at most SW_DRAW_BAND_BYTES, from top to bottom. The same request gives
 * the same bytes on any number of workers.
 */
#ifndef SW_CLI_FRACTAL_DRAW_H
#define SW_CLI_FRACTAL_DRAW_H

#include <stdatomic.h>

#include "cli/fractal_palette.h"
#include "cli/fractal_view.h"
#include "report/png.h"

#define SW_DRAW_BAND_BYTES (64u << 20)

/* One worker's part. The counters may be read while it works. */
struct sw_draw_worker {
    _Alignas(64) _Atomic uint64_t tiles;
    _Atomic uint64_t pixels;
    _Atomic uint64_t iterations; /* of all its points, as a plain loop would do them */
    _Atomic int64_t busy_ns;     /* inside tiles, from start to end */
    uint64_t computed;           /* iterations really done */
    int64_t cpu_ns, color_ns;    /* CPU time of the tiles; the part of busy_ns that is colouring */
    uint32_t *counts;            /* scratch of a tile */
    float *smooth;
};

struct sw_draw_facts {
    unsigned workers, rounds;
    char pool[32]; /* of a Python engine; empty */
    uint64_t pixels, points, iterations, computed, tiles, file_bytes;
    int64_t total_ns;            /* from nothing to the last byte */
    int64_t start_ns, scene_ns;  /* starting the threads; the reference orbit of a deep zoom */
    int64_t render_ns;           /* tiles, from the first to the last */
    int64_t busy_ns;             /* sum over the workers */
    int64_t busiest_ns;          /* the worker with the most */
    int64_t color_ns, cpu_ns;    /* sums over the workers */
    int64_t encode_ns, write_ns; /* PNG: compressing, in parallel; writing */
    bool is_deep;
    struct sw_zoom_facts zoom; /* of a deep one */
};

struct sw_draw {
    const struct sw_fractal_view *view;
    const struct sw_palette *palette;
    unsigned worker_count;
    struct sw_str comment; /* kept in the picture */
    sw_png_write write;    /* of the file's bytes */
    void *write_context;
    const atomic_bool *is_cancelled;
    const float *values; /* NULL, or the escape time of each point in rows, negative inside: computed elsewhere */
    struct sw_draw_worker *workers; /* `worker_count` of them, made by begin */
    _Atomic uint64_t pixels_done;   /* may be read while it works, as the workers' counters */
    _Atomic int64_t render_start_ns;
    /* Internal. */
    struct sw_fractal_scene scene;
    struct sw_png *png;
    uint8_t *band;
    uint32_t band_y, band_rows, tile_width, tile_height, tiles_across;
};

/* The fields up to values are set by the caller, all else is zero. Begin makes the memory, run draws, end frees. Run
 * fails with SW_INTERRUPTED when cancelled. */
SW_MUST_USE enum sw_status sw_draw_begin(struct sw_draw *draw, struct sw_error *err);
SW_MUST_USE enum sw_status sw_draw_run(struct sw_draw *draw, struct sw_draw_facts *facts, struct sw_error *err);
void sw_draw_end(struct sw_draw *draw);

/* Colours of points that are computed: `samples` x `samples` of them for each pixel, in rows of `width * samples`. */
struct sw_paint {
    const struct sw_palette *palette;
    const uint32_t *counts;
    const float *smooth; /* NULL: counts give the colours */
    uint32_t iterations, width, height;
    unsigned samples;
    size_t row_bytes; /* of `out` */
};
void sw_paint(const struct sw_paint *paint, uint8_t *out);

#endif
