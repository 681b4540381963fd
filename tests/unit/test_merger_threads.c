/* test_merger_threads.c - The merger while its workers run: what it holds back, how it goes on when a sink fails, when rows came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/merger.h"
#include "engine_parts.h"

#define PATIENCE_NS (60 * SW_NS_PER_S) /* how long a test waits for what must come */

enum { WORKERS = 3, WINDOWS = 2000 };

/* Workers that only have an output; worker w gives rows of group w. */
static struct sw_worker workers[WORKERS];
static struct sw_results_pool pools[WORKERS];
static struct sw_groups groups;
static struct sw_merger merger;
static _Atomic int failure;
static struct sw_thread thread;

/* What the tap saw. */
static _Atomic unsigned windows_seen;
static int64_t last_start_ns;
static int64_t last_arrival_ns;
static bool is_in_order;

static void on_window(void *context, const struct sw_results *results, const struct sw_window *window) {
    is_in_order = is_in_order && window->start_ns > last_start_ns;
    for (uint32_t i = 0; i < window->row_count; i++) {
        uint32_t row = window->first_row + i;
        is_in_order = is_in_order && results->groups[row] < WORKERS &&
                      (i == 0 || results->groups[row - 1] < results->groups[row]);
        is_in_order = is_in_order && results->values[row] == (double)window->start_ns + results->groups[row];
    }
    last_start_ns = window->start_ns;
    last_arrival_ns = results->arrival_mono_ns;
    atomic_fetch_add(&windows_seen, 1);
}

static int setup(void **state) {
    for (unsigned i = 0; i < WORKERS; i++) {
        const char key = (char)('a' + i);
        uint32_t id;
        memset((void *)&workers[i], 0, sizeof workers[i]);
        if (sw_ring_init(&workers[i].output, 8) != SW_OK || (i == 0 && sw_groups_init(&groups, 10) != SW_OK) ||
            sw_groups_intern(&groups, sw_str_make(&key, 1), &id) != SW_OK)
            return -1;
    }
    atomic_store(&windows_seen, 0);
    atomic_store(&failure, SW_OK);
    last_start_ns = INT64_MIN;
    is_in_order = true;
    if (sw_merger_init(&merger, workers, WORKERS, 1) != SW_OK)
        return -1;
    merger.groups = &groups;
    merger.failure = &failure;
    merger.tap = on_window;
    return 0;
}

static int teardown(void **state) {
    sw_merger_release(&merger);
    for (unsigned i = 0; i < WORKERS; i++) {
        sw_results_pool_release(&pools[i]);
        sw_ring_release(&workers[i].output);
    }
    sw_groups_release(&groups);
    return 0;
}

/* A block of `count` windows from `start_ns` on, of one row each. */
static struct sw_results *block(unsigned worker, int64_t start_ns, unsigned count) {
    struct sw_results *results = NULL;
    if (sw_results_take(&pools[worker], &results) != SW_OK)
        abort();
    results->worker = (uint16_t)worker;
    results->stream = 0;
    results->value_count = 1;
    results->text_count = 0;
    for (unsigned i = 0; i < count; i++, start_ns += 10) {
        uint32_t row = results->row_count;
        if (sw_results_reserve(results, 1) != SW_OK ||
            sw_results_window(results, (struct sw_window){start_ns, start_ns + 10, row, 1}) != SW_OK)
            abort();
        results->row_count++;
        results->groups[row] = worker;
        results->marks[row] = 0;
        results->values[row] = (double)start_ns + worker;
        results->scores[row] = 0;
    }
    results->watermark_ns = start_ns;
    return results;
}

static void push(struct sw_results *results) {
    struct sw_worker *worker = &workers[results->worker];
    while (!sw_ring_push(&worker->output, results)) {
        uint32_t ticket = sw_parker_prepare(&worker->parker);
        if (sw_ring_depth(&worker->output) < sw_ring_capacity(&worker->output))
            sw_parker_cancel(&worker->parker);
        else
            sw_parker_wait(&worker->parker, ticket, 10 * SW_NS_PER_MS);
    }
    sw_parker_wake(&merger.parker);
}

static void end(unsigned worker) {
    struct sw_results *results = block(worker, 0, 0);
    results->is_end = true;
    push(results);
}

static void start(void) {
    assert_int_equal(sw_thread_start(&thread, "merger", -1, sw_merger_main, &merger, NULL), SW_OK);
}

static void expect_windows(unsigned count) {
    int64_t deadline_ns = sw_clock_mono_ns() + PATIENCE_NS;
    while (atomic_load(&windows_seen) < count && sw_clock_mono_ns() < deadline_ns)
        sw_clock_sleep_ns(SW_NS_PER_MS);
    sw_clock_sleep_ns(20 * SW_NS_PER_MS);
    assert_int_equal(atomic_load(&windows_seen), count);
}

static void a_window_is_held_until_all_have_passed_it(void **state) {
    start();
    push(block(0, 0, 3));
    push(block(1, 0, 1));
    expect_windows(0);
    push(block(2, -10, 1)); /* up to 0 only */
    expect_windows(1);
    push(block(2, 20, 0));
    expect_windows(2); /* worker 1 stands at 10 */
    end(1);
    expect_windows(3);
    end(2);
    expect_windows(4);
    end(0);
    sw_thread_join(&thread);
    assert_int_equal(atomic_load(&windows_seen), 4);
    assert_true(is_in_order);
    assert_int_equal(failure, SW_OK);
}

static void worker_main(void *context) {
    unsigned worker = *(const unsigned *)context;
    for (int64_t i = 0; i < WINDOWS;) {
        unsigned count = 1 + (unsigned)(i * 7 + worker * 3) % 5;
        count = i + count > WINDOWS ? (unsigned)(WINDOWS - i) : count;
        push(block(worker, i * 10, count));
        i += count;
    }
    end(worker);
}

static void workers_at_their_own_pace(void **state) {
    unsigned indices[WORKERS] = {0, 1, 2};
    struct sw_thread threads[WORKERS] = {0};
    start();
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(sw_thread_start(&threads[i], "worker", -1, worker_main, &indices[i], NULL), SW_OK);
    for (unsigned i = 0; i < WORKERS; i++)
        sw_thread_join(&threads[i]);
    sw_thread_join(&thread);
    assert_true(is_in_order);
    assert_int_equal(atomic_load(&windows_seen), WINDOWS);
    assert_int_equal(merger.windows, WINDOWS);
    assert_int_equal(merger.rows, WINDOWS * WORKERS);
}

/* The sink that failed gets nothing more; everybody else goes on to the end. */
static void a_sink_that_fails(void **state) {
    struct parts parts;
    struct sw_job job = {.stream_count = 1};
    _Atomic bool is_stopping = true;
    struct sw_sink_options options = {&job, &groups, &is_stopping};
    struct sw_error err = {0};
    parts_init(&parts, "n=sum(x)", 1);
    job.streams[0] = parts.stream;
    assert_int_equal(sw_sink_open(&merger.sinks[0], SW_STR("jsonl:/dev/full"), &options, &err), SW_OK);
    assert_int_equal(sw_sink_open(&merger.sinks[1], SW_STR("jsonl:/dev/null"), &options, &err), SW_OK);
    struct sw_sink *sinks[] = {merger.sinks[0], merger.sinks[1]};
    merger.sink_count = 2;
    start();
    for (unsigned w = 0; w < WORKERS; w++)
        push(block(w, 0, 5));
    int64_t deadline_ns = sw_clock_mono_ns() + PATIENCE_NS;
    while (atomic_load(&failure) == SW_OK && sw_clock_mono_ns() < deadline_ns)
        sw_clock_sleep_ns(SW_NS_PER_MS);
    for (unsigned w = 0; w < WORKERS; w++) {
        push(block(w, 50, 5));
        end(w);
    }
    sw_thread_join(&thread);
    assert_int_equal(failure, SW_LIMIT); /* a full disk */
    assert_non_null(strstr(merger.error.text, "cannot write /dev/full ("));
    assert_non_null(strstr(merger.error.text, "No space left on device"));
    assert_int_equal(atomic_load(&windows_seen), 10);
    assert_int_equal(sw_sink_rows(sinks[1]), 30);
    assert_in_range(sw_sink_rows(sinks[0]), 3, 29);
    sw_sink_close(sinks[0]);
    sw_sink_close(sinks[1]);
    parts_release(&parts);
}

/* A merged window came when the oldest row of any worker did. */
static void arrival_is_that_of_the_oldest_row(void **state) {
    static const int64_t arrivals[][WORKERS] = {{7, 5, 9}, {5, 7, 9}, {9, 7, 5}, {INT64_MAX, 5, INT64_MAX}};
    start();
    for (unsigned i = 0; i < sizeof arrivals / sizeof arrivals[0]; i++) {
        for (unsigned w = 0; w < WORKERS; w++) {
            struct sw_results *results = block(w, i * 10, 1);
            results->arrival_mono_ns = arrivals[i][w];
            push(results);
        }
        expect_windows(i + 1);
        assert_int_equal(last_arrival_ns, 5);
    }
    for (unsigned w = 0; w < WORKERS; w++)
        end(w);
    sw_thread_join(&thread);
}

static void init_without_memory(void **state) {
    struct sw_merger other;
    sw_mem_fail_at(1);
    enum sw_status status = sw_merger_init(&other, workers, WORKERS, 4);
    sw_mem_fail_at(0);
    assert_int_equal(status, SW_NOMEM);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_window_is_held_until_all_have_passed_it, setup, teardown),
        cmocka_unit_test_setup_teardown(workers_at_their_own_pace, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sink_that_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(arrival_is_that_of_the_oldest_row, setup, teardown),
        cmocka_unit_test_setup_teardown(init_without_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
