/* test_fractal_tiles.c - Tiles on request: each is given back, cancelled ones soon, and what views share is shared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/fractal_paint.c"
#include "cli/fractal_palette.c"
#include "cli/fractal_view.c"

/* What stands in for choosing the iterations where a test says so. */
static _Atomic(enum sw_status (*)(struct sw_fractal_view *)) limit_choose;

static enum sw_status limit_hook(struct sw_fractal_view *view, const atomic_bool *is_cancelled, struct sw_error *err) {
    enum sw_status (*choose)(struct sw_fractal_view *) = atomic_load(&limit_choose);
    enum sw_status status = choose ? choose(view) : sw_fractal_view_limit(view, is_cancelled, err);
    return status && choose ? sw_fail(err, status, "as the test wants it") : status;
}

#define sw_fractal_view_limit limit_hook

#include "cli/fractal_tiles.c"

#define ENDLESS 50000000u
#define PATIENCE_NS (60 * SW_NS_PER_S) /* only what hangs takes so long */

static struct sw_parker parker;
static struct sw_palette palette;

static void wake_note(void *context) {
    sw_parker_wake(context);
}

static struct sw_tiles *opened(unsigned workers) {
    struct sw_tiles *tiles = NULL;
    sw_palette_build(&palette, &sw_palette_plans[0], 0);
    assert_int_equal(sw_tiles_open(&tiles, workers, wake_note, &parker, NULL), SW_OK);
    return tiles;
}

static struct sw_fractal_view view_of(double zoom, uint32_t iterations) {
    struct sw_fractal_view view = {.width = 600,
                                   .height = 300,
                                   .zoom = zoom,
                                   .iterations = iterations,
                                   .supersample = 1,
                                   .center_re = SW_STR("-0.75"),
                                   .center_im = SW_STR("0.1"),
                                   .has_center = true};
    assert_int_equal(sw_fractal_view_complete(&view, NULL), SW_OK);
    return view;
}

/* Within the main cardioid, without the shortcuts: every tile of it takes minutes. */
static struct sw_fractal_view endless_view(void) {
    struct sw_fractal_view view = view_of(20, ENDLESS);
    view.center_re = SW_STR("-0.1");
    view.center_im = SW_STR("0");
    view.is_plain = true;
    return view;
}

static struct sw_tile *take(struct sw_tiles *tiles) {
    int64_t end_ns = sw_clock_mono_ns() + PATIENCE_NS;
    while (sw_clock_mono_ns() < end_ns) {
        uint32_t ticket = sw_parker_prepare(&parker);
        struct sw_tile *tile = sw_tiles_take(tiles);
        if (tile) {
            sw_parker_cancel(&parker);
            return tile;
        }
        (void)sw_parker_wait(&parker, ticket, SW_NS_PER_S);
    }
    fail_msg("no tile is given back");
    return NULL;
}

static void ask(struct sw_tiles *tiles, const struct sw_fractal_view *view, struct sw_tile *tile, uint32_t x) {
    *tile = (struct sw_tile){.palette = &palette, .x = x};
    assert_int_equal(sw_tiles_ask(tiles, view, tile, NULL), SW_OK);
}

static void end(struct sw_tiles *tiles) {
    sw_tiles_stop(tiles);
    for (struct sw_tile *tile = sw_tiles_take(tiles); tile; tile = sw_tiles_take(tiles))
        sw_buf_release(&tile->png);
    sw_tiles_close(tiles);
}

static uint32_t number_at(const struct sw_buf *png, size_t at) {
    const uint8_t *bytes = (const uint8_t *)png->ptr + at;
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void every_tile_is_given_back(void **state) {
    static const uint32_t widths[] = {256, 256, 88}, heights[] = {256, 44};
    struct sw_tiles *tiles = opened(3);
    struct sw_fractal_view view = view_of(1, 0);
    struct sw_tile asked[6];
    for (uint32_t i = 0; i < 6; i++) {
        asked[i] = (struct sw_tile){.palette = &palette, .x = i % 3, .y = i / 3};
        assert_int_equal(sw_tiles_ask(tiles, &view, &asked[i], NULL), SW_OK);
    }
    for (int i = 0; i < 6; i++) {
        struct sw_tile *tile = take(tiles);
        assert_int_equal(tile->status, SW_OK);
        assert_memory_equal(tile->png.ptr, "\x89PNG", 4);
        assert_int_equal(number_at(&tile->png, 16), widths[tile->x]);
        assert_int_equal(number_at(&tile->png, 20), heights[tile->y]);
        assert_true(tile->iterations > 0);
        assert_int_equal(tile->iterations_max, 1000);
        assert_false(tile->is_deep);
        sw_buf_release(&tile->png);
    }
    assert_null(sw_tiles_take(tiles));
    assert_non_null(tiles->scenes);
    assert_null(tiles->scenes->next); /* one for all */
    end(tiles);
}

static void there_are_no_others(void **state) {
    struct sw_tiles *tiles = opened(1);
    struct sw_fractal_view view = view_of(1, 0);
    struct sw_tile tile = {.palette = &palette, .x = 3};
    struct sw_error err;
    assert_int_equal(sw_tiles_ask(tiles, &view, &tile, &err), SW_INVALID);
    assert_string_equal(err.text, "a view of 600 x 300 pixels has no tile 3, 0");
    tile = (struct sw_tile){.palette = &palette, .y = 2};
    assert_int_equal(sw_tiles_ask(tiles, &view, &tile, &err), SW_INVALID);
    end(tiles);
}

/* One worker that is busy for long, and what waits behind it. */
static void cancelled_tiles_make_way(void **state) {
    struct sw_tiles *tiles = opened(1);
    struct sw_fractal_view endless = endless_view(), quick = view_of(1, 0);
    struct sw_tile slow[3], fast;
    for (uint32_t i = 0; i < 3; i++)
        ask(tiles, &endless, &slow[i], i);
    ask(tiles, &quick, &fast, 1);
    for (uint32_t i = 0; i < 3; i++)
        sw_tiles_cancel(tiles, &slow[i]);
    unsigned cancelled = 0;
    for (int i = 0; i < 4; i++) {
        struct sw_tile *tile = take(tiles);
        cancelled += tile->status == SW_INTERRUPTED;
        assert_true(tile == &fast ? tile->status == SW_OK : tile->status == SW_INTERRUPTED);
        sw_buf_release(&tile->png);
    }
    assert_int_equal(cancelled, 3);
    end(tiles);
}

static void stopping_gives_all_back(void **state) {
    struct sw_tiles *tiles = opened(2);
    struct sw_fractal_view endless = endless_view();
    struct sw_tile slow[6];
    unsigned given = 0;
    for (uint32_t i = 0; i < 6; i++)
        ask(tiles, &endless, &slow[i], i % 3);
    sw_tiles_stop(tiles);
    for (struct sw_tile *tile = sw_tiles_take(tiles); tile; tile = sw_tiles_take(tiles), given++)
        assert_int_equal(tile->status, SW_INTERRUPTED);
    assert_int_equal(given, 6);
    sw_tiles_close(tiles);
}

static struct sw_tiles *stopped;
static atomic_bool is_choosing;

/* Takes until the stop has come. */
static enum sw_status slow_choose(struct sw_fractal_view *view) {
    bool is_stopping = false;
    atomic_store(&is_choosing, true);
    while (!is_stopping) {
        pthread_mutex_lock(&stopped->lock);
        is_stopping = stopped->is_stopping;
        pthread_mutex_unlock(&stopped->lock);
        sw_clock_sleep_ns(SW_NS_PER_MS);
    }
    view->iterations = ENDLESS;
    return SW_OK;
}

static void stopping_ends_what_is_being_opened(void **state) {
    struct sw_fractal_view endless = endless_view();
    struct sw_tile slow;
    stopped = opened(1);
    endless.iterations = 0;
    atomic_store(&limit_choose, slow_choose);
    ask(stopped, &endless, &slow, 0);
    while (!atomic_load(&is_choosing))
        sw_clock_sleep_ns(SW_NS_PER_MS);
    sw_tiles_stop(stopped);
    atomic_store(&limit_choose, NULL);
    assert_ptr_equal(sw_tiles_take(stopped), &slow);
    assert_int_equal(slow.status, SW_INTERRUPTED);
    sw_tiles_close(stopped);
}

static enum sw_status starved_choose(struct sw_fractal_view *view) {
    (void)view;
    return SW_NOMEM;
}

static void what_had_no_memory_is_tried_again(void **state) {
    struct sw_tiles *tiles = opened(1);
    struct sw_fractal_view view = view_of(1, 0);
    struct sw_tile tile;
    atomic_store(&limit_choose, starved_choose);
    ask(tiles, &view, &tile, 0);
    assert_ptr_equal(take(tiles), &tile);
    assert_int_equal(tile.status, SW_NOMEM);
    atomic_store(&limit_choose, NULL);
    ask(tiles, &view, &tile, 0);
    assert_ptr_equal(take(tiles), &tile);
    assert_int_equal(tile.status, SW_OK);
    sw_buf_release(&tile.png);
    end(tiles);
}

static struct sw_tile_scene *scene_of(struct sw_tiles *tiles, const struct sw_fractal_view *view) {
    pthread_mutex_lock(&tiles->lock);
    struct sw_tile_scene *scene = tiles->scenes;
    while (scene && !scene_fits(scene, view))
        scene = scene->next;
    pthread_mutex_unlock(&tiles->lock);
    return scene;
}

static void draw_one(struct sw_tiles *tiles, const struct sw_fractal_view *view) {
    struct sw_tile tile;
    ask(tiles, view, &tile, 0);
    assert_ptr_equal(take(tiles), &tile);
    assert_int_equal(tile.status, SW_OK);
    sw_buf_release(&tile.png);
}

/* A view nobody waited for goes, and takes no other with it. */
static void cancelled_views_leave_the_others(void **state) {
    struct sw_tiles *tiles = opened(1);
    struct sw_fractal_view first = view_of(2, 100), second = view_of(3, 100), third = view_of(4, 100);
    struct sw_fractal_view endless = endless_view(), dropped = view_of(5, 100);
    struct sw_tile slow, unwanted;
    draw_one(tiles, &first);
    draw_one(tiles, &second);
    struct sw_tile_scene *kept[2] = {scene_of(tiles, &first), scene_of(tiles, &second)};
    assert_true(kept[0] && kept[1]);
    ask(tiles, &endless, &slow, 0); /* so that the next one stays where it is until it is dropped */
    ask(tiles, &dropped, &unwanted, 0);
    sw_tiles_cancel(tiles, &unwanted);
    sw_tiles_cancel(tiles, &slow);
    for (int i = 0; i < 2; i++)
        assert_int_equal(take(tiles)->status, SW_INTERRUPTED);
    draw_one(tiles, &third);
    assert_null(scene_of(tiles, &dropped));
    assert_ptr_equal(scene_of(tiles, &first), kept[0]);
    assert_ptr_equal(scene_of(tiles, &second), kept[1]);
    end(tiles);
}

static void large_views_are_not_kept(void **state) {
    struct sw_tiles *tiles = opened(1);
    struct sw_fractal_view deep = view_of(1e20, 20000), flat = view_of(2, 100);
    draw_one(tiles, &flat);
    draw_one(tiles, &deep);
    struct sw_tile_scene *scene = scene_of(tiles, &deep);
    assert_non_null(scene);
    struct sw_zoom_facts facts;
    sw_zoom_get_facts(scene->opened.zoom, &facts);
    assert_true(facts.orbit_length > 0);
    assert_int_equal(scene->bytes, (uint64_t)facts.orbit_length * ORBIT_POINT_BYTES);
    pthread_mutex_lock(&tiles->lock);
    scene->bytes = SCENES_BYTES + 1; /* as of an orbit that would take seconds */
    scene->used = 0;                 /* the oldest */
    scenes_trim(tiles);
    pthread_mutex_unlock(&tiles->lock);
    assert_null(scene_of(tiles, &deep));
    assert_non_null(scene_of(tiles, &flat));
    end(tiles);
}

static void deep_views_are_kept_and_let_go(void **state) {
    struct sw_tiles *tiles = opened(2);
    struct sw_tile tile;
    for (int i = 0; i < 12; i++) {
        struct sw_fractal_view view = view_of(1e20 * (1 + i % 9), 500);
        ask(tiles, &view, &tile, 1);
        assert_ptr_equal(take(tiles), &tile);
        assert_int_equal(tile.status, SW_OK);
        assert_true(tile.is_deep);
        sw_buf_release(&tile.png);
        unsigned scenes = 0;
        for (const struct sw_tile_scene *scene = tiles->scenes; scene; scene = scene->next)
            scenes++;
        assert_int_equal(scenes, i < (int)SCENES_KEPT ? i + 1 : (int)SCENES_KEPT);
    }
    end(tiles);
}

/* Asked for and dropped again and again, from a thread that never waits for an answer. */
static void interest_comes_and_goes(void **state) {
    struct sw_tiles *tiles = opened(3);
    enum { MANY = 300 };
    struct sw_tile *asked = sw_alloc_array_zero(MANY, sizeof *asked);
    for (uint32_t i = 0; i < MANY; i++) {
        struct sw_fractal_view view = view_of(i % 3 ? 1 + i % 5 : 1e15 * (1 + i % 4), 300);
        ask(tiles, &view, &asked[i], i % 3);
        if (i % 2)
            sw_tiles_cancel(tiles, &asked[i - i % 4]);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        struct sw_tile *tile = take(tiles);
        assert_true(tile->status == SW_OK || (tile->status == SW_INTERRUPTED && atomic_load(&tile->is_cancelled)));
        sw_buf_release(&tile->png);
    }
    end(tiles);
    sw_free(asked);
}

static void memory_may_run_out(void **state) {
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status != SW_OK && nth < 50; nth++) {
        struct sw_tiles *tiles = NULL;
        sw_mem_fail_at(nth);
        status = sw_tiles_open(&tiles, 2, wake_note, &parker, NULL);
        sw_mem_fail_at(0);
        if (status == SW_OK)
            end(tiles);
    }
    assert_int_equal(status, SW_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tile_is_given_back),
        cmocka_unit_test(there_are_no_others),
        cmocka_unit_test(cancelled_tiles_make_way),
        cmocka_unit_test(stopping_gives_all_back),
        cmocka_unit_test(stopping_ends_what_is_being_opened),
        cmocka_unit_test(what_had_no_memory_is_tried_again),
        cmocka_unit_test(cancelled_views_leave_the_others),
        cmocka_unit_test(large_views_are_not_kept),
        cmocka_unit_test(deep_views_are_kept_and_let_go),
        cmocka_unit_test(interest_comes_and_goes),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
