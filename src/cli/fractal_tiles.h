/* fractal_tiles.h - Tiles on request: threads that compute them, for a server that may lose interest at any time.
 *
 * One thread (the reactor's) asks, cancels and takes what is done; the workers call `wake` when there is something to take.
 * What tiles of one view share, such as the orbit of a deep zoom, is computed once and kept for a while.
 */
#ifndef SW_CLI_FRACTAL_TILES_H
#define SW_CLI_FRACTAL_TILES_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"
#include "cli/fractal_palette.h"
#include "cli/fractal_view.h"

#define SW_TILE_SIDE 256u
#define SW_TILE_DIGITS_MAX 2000u /* of a centre's number */

struct sw_tiles;
struct sw_tile_scene;

/* A tile that was asked for. What is behind `scene` is valid once it is taken. */
struct sw_tile {
    struct sw_tile *next;
    void *context; /* the asker's */
    uint32_t x, y; /* in tiles from the view's upper left corner */
    const struct sw_palette *palette;
    atomic_bool is_cancelled;
    struct sw_tile_scene *scene;
    enum sw_status status; /* SW_INTERRUPTED: cancelled */
    struct sw_error error;
    struct sw_buf png;
    uint32_t iterations_max;
    uint64_t iterations;
    int64_t compute_ns;
    bool is_deep;
};

SW_MUST_USE enum sw_status sw_tiles_open(struct sw_tiles **tiles, unsigned workers, void (*wake)(void *context),
                                         void *context, struct sw_error *err);
/* Asks for tile `x`, `y` of the view, whose texts are copied. SW_INVALID when there is no such tile. `tile` is the caller's
 * to cancel, until sw_tiles_take has given it back. */
SW_MUST_USE enum sw_status sw_tiles_ask(struct sw_tiles *tiles, const struct sw_fractal_view *view,
                                        struct sw_tile *tile, struct sw_error *err);
/* Nobody wants it any more; it is still given back, soon. */
void sw_tiles_cancel(struct sw_tiles *tiles, struct sw_tile *tile);
/* A tile that is done or cancelled; NULL when there is none for now. */
struct sw_tile *sw_tiles_take(struct sw_tiles *tiles);
void sw_tiles_stop(struct sw_tiles *tiles); /* cancels all, joins the threads; everything asked for can then be taken */
void sw_tiles_close(struct sw_tiles *tiles); /* after the stop, when all is taken; NULL is fine */

#endif
