/* test_view.c - What the dashboard looks at: the last closed windows, the newest open ones, and what happens to the rest. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/view.h"

/* An engine of two workers that does not run, and a block of results to feed from. */
struct bench {
    struct sw_engine *engine;
    struct sw_reactor *reactor;
    struct sw_view view;
    struct sw_results_pool pool;
    struct sw_results *results;
    unsigned news;
};

static void on_news(void *context) {
    struct bench *bench = context;
    bench->news++;
}

static void bench_init(struct bench *bench, unsigned keep) {
    memset(bench, 0, sizeof *bench);
    bench->engine = sw_alloc_aligned(64, sizeof *bench->engine);
    assert_non_null(bench->engine);
    memset(bench->engine, 0, sizeof *bench->engine);
    bench->engine->job.stream_count = 2;
    bench->engine->job.keep_windows = keep;
    bench->engine->worker_count = 2;
    assert_int_equal(sw_reactor_open(&bench->reactor, NULL, NULL), SW_OK);
    assert_int_equal(sw_view_open(&bench->view, bench->engine, bench->reactor), SW_OK);
    bench->view.on_news = on_news;
    bench->view.news_context = bench;
    assert_int_equal(sw_results_take(&bench->pool, &bench->results), SW_OK);
}

static void bench_release(struct bench *bench) {
    sw_view_close(&bench->view);
    sw_reactor_close(bench->reactor);
    sw_results_put(bench->results);
    sw_results_pool_release(&bench->pool);
    sw_free(bench->engine);
}

/* A window of 10 ns with `rows` rows, groups from 0; the first value is `value`. */
static struct sw_window window_make(struct bench *bench, int64_t start_ns, uint32_t rows, double value) {
    struct sw_results *results = bench->results;
    struct sw_window window = {start_ns, start_ns + 10, results->row_count, rows};
    results->value_count = 2;
    results->text_count = 1;
    assert_int_equal(sw_results_reserve(results, rows), SW_OK);
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t row = results->row_count++;
        char text[24];
        int len = snprintf(text, sizeof text, "[%g,%u]", value, i);
        results->groups[row] = i;
        results->values[row * 2] = value + i;
        results->values[row * 2 + 1] = NAN;
        results->scores[row * 2] = 1;
        results->scores[row * 2 + 1] = 0;
        results->marks[row] = 1;
        results->texts[row] = (struct sw_text_ref){(uint32_t)results->text_bytes.len, (uint32_t)len};
        assert_int_equal(sw_buf_append(&results->text_bytes, sw_str_make(text, (size_t)len)), SW_OK);
    }
    return window;
}

static void feed_from(struct bench *bench, const struct sw_window *window) {
    bench->engine->merger.tap(bench->engine->merger.tap_context, bench->results, window);
}

static void feed_closed(struct bench *bench, int64_t start_ns, double value) {
    struct sw_window window = window_make(bench, start_ns, 2, value);
    bench->results->is_open = false;
    feed_from(bench, &window);
}

/* A look of `worker` at open windows that start at `starts`, up to the first negative one. */
static void feed_open(struct bench *bench, uint16_t worker, const int64_t *starts, double value) {
    bench->results->is_open = true;
    bench->results->worker = worker;
    bench->results->window_count = 0;
    for (; *starts >= 0; starts++)
        assert_int_equal(sw_results_window(bench->results, window_make(bench, *starts, 1, value)), SW_OK);
    for (uint32_t i = 0; i < bench->results->window_count; i++)
        feed_from(bench, &bench->results->windows[i]);
    bench->results->worker = 0;
}

static void a_window_is_copied_whole(void **state) {
    struct bench bench;
    bench_init(&bench, 4);
    bench.results->arrival_mono_ns = 77;
    feed_closed(&bench, 100, 5);
    memset(bench.results->values, 0, 4 * sizeof(double));
    assert_int_equal(bench.view.streams[0].count, 0);
    sw_view_take(&bench.view);
    assert_int_equal(bench.news, 1);
    assert_int_equal(bench.view.arrival_mono_ns, 77);
    assert_int_equal(bench.view.streams[0].count, 1);
    assert_int_equal(bench.view.streams[1].count, 0);
    const struct sw_view_window *window = sw_view_closed(&bench.view.streams[0], 0);
    assert_true(window->start_ns == 100 && window->end_ns == 110 && window->row_count == 2 && !window->is_open);
    assert_true(window->values[0] == 5 && window->values[2] == 6 && isnan(window->values[1]));
    assert_true(window->scores[0] == 255 && window->scores[1] == 0);
    assert_int_equal(sw_view_row(window, 1), 1);
    assert_int_equal(sw_view_row(window, 9), UINT32_MAX);
    struct sw_text_ref text = window->texts[1];
    assert_true(sw_str_eq(sw_str_make(window->text_bytes + text.offset, text.len), SW_STR("[5,1]")));
    sw_view_take(&bench.view);
    assert_int_equal(bench.news, 1);
    bench_release(&bench);
}

static void the_last_ones_are_kept(void **state) {
    struct bench bench;
    bench_init(&bench, 5);
    for (int64_t i = 0; i < 12; i++) {
        feed_closed(&bench, i * 10, (double)i);
        sw_view_take(&bench.view);
        const struct sw_view_stream *stream = &bench.view.streams[0];
        assert_int_equal(stream->count, i < 5 ? i + 1 : 5);
        for (unsigned k = 0; k < stream->count; k++)
            assert_int_equal(sw_view_closed(stream, k)->start_ns, (i + 1 - stream->count + k) * 10);
    }
    const struct sw_view_stream *stream = &bench.view.streams[0];
    assert_int_equal(sw_view_find(stream, INT64_MIN), 0);
    assert_int_equal(sw_view_find(stream, 70), 0);
    assert_int_equal(sw_view_find(stream, 71), 1);
    assert_int_equal(sw_view_find(stream, 110), 4);
    assert_int_equal(sw_view_find(stream, 111), 5);
    assert_int_equal(sw_view_newest_ns(&bench.view, 0), 110);
    assert_int_equal(sw_view_newest_ns(&bench.view, 1), INT64_MIN);
    bench_release(&bench);
    assert_int_equal(bench.view.bytes, 0);
}

static void open_windows_are_replaced_and_closed(void **state) {
    struct bench bench;
    bench_init(&bench, 5);
    const struct sw_view_open *open = bench.view.streams[0].open;
    feed_open(&bench, 0, (int64_t[]){10, 20, -1}, 1);
    feed_open(&bench, 1, (int64_t[]){20, -1}, 2);
    sw_view_take(&bench.view);
    assert_true(open[0].count == 2 && open[1].count == 1);
    assert_int_equal(sw_view_newest_ns(&bench.view, 0), 20);
    feed_open(&bench, 0, (int64_t[]){20, 30, -1}, 3);
    sw_view_take(&bench.view);
    assert_true(open[0].count == 2 && open[0].windows[0]->start_ns == 20 && open[0].windows[0]->values[0] == 3);
    feed_closed(&bench, 20, 4);
    sw_view_take(&bench.view);
    assert_true(open[0].count == 1 && open[0].windows[0]->start_ns == 30 && open[1].count == 0);
    feed_open(&bench, 1, (int64_t[]){20, -1}, 5); /* a look from before it was closed */
    sw_view_take(&bench.view);
    assert_int_equal(open[1].count, 0);
    assert_int_equal(bench.view.streams[0].count, 1);
    bench_release(&bench);
}

/* The feed holds 4096 windows; what finds it full is dropped and counted, and nobody waits for long. */
static void a_server_that_does_not_take(void **state) {
    struct bench bench;
    bench_init(&bench, 10000);
    for (int64_t i = 0; i < 4096; i++)
        feed_closed(&bench, i * 10, 1);
    assert_int_equal(bench.view.dropped, 0);
    feed_open(&bench, 0, (int64_t[]){40960, -1}, 1);
    assert_int_equal(bench.view.dropped, 1);
    feed_closed(&bench, 40960, 1);
    assert_int_equal(bench.view.dropped, 2);
    sw_view_take(&bench.view);
    assert_int_equal(bench.view.streams[0].count, 4096);
    feed_closed(&bench, 40970, 1);
    sw_view_take(&bench.view);
    assert_int_equal(sw_view_newest_ns(&bench.view, 0), 40970);
    bench_release(&bench);
}

static void nobody_looks_any_more(void **state) {
    struct bench bench;
    bench_init(&bench, 10);
    sw_view_end(&bench.view);
    feed_closed(&bench, 0, 1);
    sw_view_take(&bench.view);
    assert_int_equal(bench.view.streams[0].count, 0);
    bench_release(&bench);
}

static void untaken_windows_are_freed(void **state) {
    struct bench bench;
    bench_init(&bench, 10);
    feed_closed(&bench, 0, 1);
    feed_open(&bench, 1, (int64_t[]){10, -1}, 1);
    bench_release(&bench);
}

static void without_memory(void **state) {
    struct bench bench;
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status != SW_OK; nth++) {
        bench_init(&bench, 10);
        sw_view_close(&bench.view);
        assert_true(nth < 100);
        sw_mem_fail_at(nth);
        status = sw_view_open(&bench.view, bench.engine, bench.reactor);
        sw_mem_fail_at(0);
        if (status == SW_OK) {
            struct sw_window window = window_make(&bench, 0, 2, 1);
            sw_mem_fail_at(1);
            feed_from(&bench, &window); /* a window nobody can hold is dropped, like one nobody has room for */
            sw_mem_fail_at(0);
            assert_int_equal(bench.view.dropped, 1);
        }
        bench_release(&bench);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_is_copied_whole),
        cmocka_unit_test(the_last_ones_are_kept),
        cmocka_unit_test(open_windows_are_replaced_and_closed),
        cmocka_unit_test(a_server_that_does_not_take),
        cmocka_unit_test(nobody_looks_any_more),
        cmocka_unit_test(untaken_windows_are_freed),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
