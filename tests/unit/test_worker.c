/* test_worker.c - From batches to finished windows: closing, order, shards, idle and ended partitions, open views. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/worker.h"
#include "engine_feed.h"

#define PATIENCE_NS (60 * SW_NS_PER_S) /* how long a test waits for what must come */

enum { PARTITIONS_MAX = 3 };

static struct feed feed;
static struct sw_intake *intakes[PARTITIONS_MAX];
static struct sw_worker workers[FEED_WORKERS];
static struct sw_parker merger;
static _Atomic int failure;
static struct sw_buf seen; /* "start key=value/text ..." a window */

struct setting {
    struct feed_options feed;
    unsigned partitions, workers;
    bool has_views;
    bool may_block;
};

static enum sw_status worker_open(unsigned index, const struct setting *setting) {
    const unsigned partitions[] = {setting->partitions};
    struct sw_worker *worker = &workers[index];
    struct sw_worker_options options = {.index = index,
                                        .worker_count = setting->workers,
                                        .plans = &feed.parts.plan,
                                        .groups = &feed.groups,
                                        .closed_before_ns = &feed.closed_before_ns,
                                        .stream_count = 1,
                                        .partitions = partitions,
                                        .has_views = setting->has_views,
                                        .events = &feed.events,
                                        .merger = &merger,
                                        .failure = &failure};
    enum sw_status status = sw_worker_init(worker, &options);
    if (status != SW_OK)
        return status;
    worker->inputs = sw_alloc_array(setting->partitions, sizeof *worker->inputs);
    worker->input_partition = sw_alloc_array(setting->partitions, sizeof *worker->input_partition);
    if (!worker->inputs || !worker->input_partition)
        abort();
    for (unsigned i = 0; i < setting->partitions; i++) {
        worker->inputs[i] = &intakes[i]->outlets[index];
        worker->input_partition[i] = i;
    }
    worker->input_count = setting->partitions;
    return SW_OK;
}

static void start(const struct setting *setting) {
    feed_open(&feed, &setting->feed);
    for (unsigned i = 0; i < setting->workers; i++)
        feed.workers[i] = &workers[i].parker;
    for (unsigned i = 0; i < setting->partitions; i++) {
        struct sw_intake_options options = feed_intake(&feed);
        options.partition = (uint16_t)i;
        options.worker_count = setting->workers;
        options.may_block = setting->may_block;
        options.batches_in_flight = setting->may_block ? 4 : 64;
        intakes[i] = feed_intake_new(&options);
    }
    for (unsigned i = 0; i < setting->workers; i++)
        assert_int_equal(worker_open(i, setting), SW_OK);
    atomic_store(&failure, SW_OK);
    sw_buf_clear(&seen);
}

static void stop(const struct setting *setting) {
    for (unsigned i = 0; i < setting->workers; i++)
        sw_worker_release(&workers[i]);
    for (unsigned i = 0; i < setting->partitions; i++)
        feed_intake_free(intakes[i]);
    sw_buf_release(&seen);
    feed_close(&feed);
}

static void say(const char *format, ...) SW_PRINTF(1, 2);
static void say(const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_int_equal(sw_buf_append(&seen, sw_str_make(text, (size_t)len)), SW_OK);
}

static void window_say(const struct sw_results *results, const struct sw_window *window) {
    say("%s%lld", results->is_open ? "open " : "", (long long)window->start_ns);
    assert_int_equal(window->end_ns - window->start_ns, feed.parts.stream.window_ns);
    for (uint32_t row = window->first_row; row < window->first_row + window->row_count; row++) {
        struct sw_str key = sw_groups_get(&feed.groups, results->groups[row])->key;
        say(" %.*s=%g", SW_STR_ARG(key), results->values[row * results->value_count]);
        for (uint32_t i = 0; i < results->text_count; i++) {
            struct sw_text_ref text = results->texts[row * results->text_count + i];
            say("/%.*s", (int)text.len, results->text_bytes.ptr + text.offset);
        }
    }
    say("\n");
}

/* Writes down what worker `index` gave and hands it back; whether its last block was among it. */
static bool drain(unsigned index) {
    bool is_end = false;
    struct sw_results *results;
    while ((results = sw_ring_pop(&workers[index].output))) {
        assert_false(is_end);
        assert_int_equal(results->worker, index);
        for (uint32_t i = 0; i < results->window_count; i++)
            window_say(results, &results->windows[i]);
        is_end = results->is_end;
        sw_results_put(results);
    }
    return is_end;
}

static void assert_seen(const char *expected) {
    if (!sw_str_eq(sw_buf_view(&seen), sw_str_from(expected)))
        fail_msg("got '%.*s', expected '%s'", (int)seen.len, seen.ptr, expected);
}

static void worker_start(struct sw_thread *thread) {
    assert_int_equal(sw_thread_start(thread, "worker", -1, sw_worker_main, &workers[0], NULL), SW_OK);
}

/* All intakes end, and the only worker runs to its end. */
static void run(const struct setting *setting) {
    struct sw_thread thread = {0};
    for (unsigned i = 0; i < setting->partitions; i++)
        sw_intake_end(intakes[i]);
    worker_start(&thread);
    while (!drain(0))
        sw_clock_sleep_ns(SW_NS_PER_MS);
    sw_thread_join(&thread);
    assert_int_equal(failure, SW_OK);
}

static void windows_by_start_and_rows_by_key(void **state) {
    const struct setting setting = {.feed = {.keys = 1, .disorder_ns = 20}, .partitions = 1, .workers = 1};
    start(&setting);
    feed_row(intakes[0], 15, 1, "b");
    feed_row(intakes[0], 5, 2, "c");
    feed_row(intakes[0], 16, 4, "a");
    feed_row(intakes[0], 7, 8, "b");
    feed_row(intakes[0], -3, 16, "b");
    feed_row(intakes[0], 19, 32, "b");
    feed_row(intakes[0], 45, 64, "a longer key");
    run(&setting);
    assert_seen("-10 b=16\n0 b=8 c=2\n10 a=4 b=33\n40 a longer key=64\n");
    assert_int_equal(workers[0].counters.rows, 7);
    assert_int_equal(workers[0].counters.windows, 4);
    assert_int_equal(workers[0].counters.late, 0);
    stop(&setting);
}

static void assert_many_groups_sorted(const char *prefix) {
    const struct setting setting = {.feed = {.keys = 1}, .partitions = 1, .workers = 1};
    static const unsigned counts[] = {1, 2, 24, 25, 700};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        struct sw_buf expected = {0};
        char key[32];
        start(&setting);
        for (unsigned i = 0; i < counts[c]; i++) {
            snprintf(key, sizeof key, "%s%05u", prefix, (i * 7919u + 13) % counts[c]);
            feed_row(intakes[0], 5, (i * 7919u + 13) % counts[c], key);
        }
        assert_int_equal(sw_buf_append_format(&expected, "0"), SW_OK);
        for (unsigned i = 0; i < counts[c]; i++)
            assert_int_equal(sw_buf_append_format(&expected, " %s%05u=%u", prefix, i, i), SW_OK);
        assert_int_equal(sw_buf_append_byte(&expected, '\n'), SW_OK);
        run(&setting);
        assert_int_equal(seen.len, expected.len);
        assert_memory_equal(seen.ptr, expected.ptr, expected.len);
        sw_buf_release(&expected);
        stop(&setting);
    }
}

/* Keys that differ in their first eight bytes, and keys that do not. */
static void many_groups_are_sorted_too(void **state) {
    assert_many_groups_sorted("");
    assert_many_groups_sorted("the same ");
}

/* Results do not depend on how rows fall into batches: windows close within a full one, or between small ones. */
static void batches_of_any_size(void **state) {
    const struct setting setting = {.partitions = 1, .workers = 1};
    static const int sizes[] = {100000, 64, 255, 256, 257, 4096};
    struct sw_buf first = {0};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        start(&setting);
        for (int i = 0; i < 9000; i++) {
            feed_row(intakes[0], i / 7, i % 10, NULL);
            if (i % sizes[s] == sizes[s] - 1)
                sw_intake_flush(intakes[0]);
        }
        run(&setting);
        assert_int_equal(workers[0].counters.windows, 129);
        if (s == 0)
            assert_int_equal(sw_buf_append(&first, sw_buf_view(&seen)), SW_OK);
        assert_true(sw_str_eq(sw_buf_view(&first), sw_buf_view(&seen)));
        stop(&setting);
    }
    sw_buf_release(&first);
}

/* Worker 0, in its thread, comes to have given what is expected, and has nothing more to give. */
static void expect(const char *expected) {
    int64_t deadline_ns = sw_clock_mono_ns() + PATIENCE_NS;
    while (!sw_str_eq(sw_buf_view(&seen), sw_str_from(expected)) && sw_clock_mono_ns() < deadline_ns) {
        sw_clock_sleep_ns(SW_NS_PER_MS);
        drain(0);
    }
    for (unsigned i = 0; i < workers[0].input_count; i++)
        while (atomic_load(&intakes[i]->pool.in_flight) > 0)
            sw_clock_sleep_ns(SW_NS_PER_MS);
    sw_clock_sleep_ns(10 * SW_NS_PER_MS);
    drain(0);
    assert_seen(expected);
}

static void send(unsigned partition, int64_t time_ns, double value) {
    feed_row(intakes[partition], time_ns, value, NULL);
    sw_intake_flush(intakes[partition]);
}

/* As a tick of a silent source does, without the wait. */
static void idle(unsigned partition) {
    intakes[partition]->shared.idle_ns = 0;
    intakes[partition]->last_row_mono_ns = sw_clock_mono_ns() - SW_NS_PER_S;
    sw_intake_tick(intakes[partition]);
}

static void a_window_waits_for_all_who_speak(void **state) {
    const struct setting setting = {.partitions = 3, .workers = 1};
    struct sw_thread thread = {0};
    start(&setting);
    worker_start(&thread);
    send(0, 5, 1);
    send(0, 35, 2);
    send(1, 7, 4);
    expect(""); /* the third has said nothing */
    idle(2);
    expect("");
    send(1, 12, 8);
    expect("0 =5\n");
    idle(1); /* to the end of its window, and no longer in the way */
    expect("0 =5\n10 =8\n");
    send(2, 33, 16); /* speaks again */
    expect("0 =5\n10 =8\n");
    send(0, 55, 32);
    expect("0 =5\n10 =8\n");
    sw_intake_end(intakes[2]);
    expect("0 =5\n10 =8\n30 =18\n");
    sw_intake_end(intakes[1]);
    sw_intake_end(intakes[0]);
    sw_thread_join(&thread);
    assert_true(drain(0));
    assert_seen("0 =5\n10 =8\n30 =18\n50 =32\n");
    stop(&setting);
}

static void rows_of_windows_others_closed_are_late(void **state) {
    const struct setting setting = {.partitions = 2, .workers = 1};
    struct sw_thread thread = {0};
    start(&setting);
    worker_start(&thread);
    send(0, 5, 1);
    idle(0);
    idle(1);
    expect("0 =1\n");
    feed_row(intakes[0], 12, 2, NULL); /* taken before the other one closes its window */
    send(1, 47, 4);
    idle(1);
    expect("0 =1\n40 =4\n");
    sw_intake_flush(intakes[0]);
    expect("0 =1\n40 =4\n");
    assert_int_equal(workers[0].counters.late, 1);
    assert_int_equal(feed.closed_before_ns, 50);
    feed_row(intakes[0], 49, 8, NULL); /* by now the intake knows */
    assert_int_equal(intakes[0]->counters.late, 1);
    sw_intake_end(intakes[0]);
    sw_intake_end(intakes[1]);
    sw_thread_join(&thread);
    assert_true(drain(0));
    assert_seen("0 =1\n40 =4\n");
    stop(&setting);
}

/* Of batches that wait one behind the other it is told every fourth time, and at the last one. */
static void a_worker_without_rows_tells_how_far_it_is(void **state) {
    const struct setting setting = {.feed = {.keys = 1}, .partitions = 1, .workers = 2};
    start(&setting);
    for (int64_t i = 0; i < 9; i++) {
        feed_row(intakes[0], 10 * i + 5, 1, "a");
        sw_intake_flush(intakes[0]);
    }
    sw_intake_end(intakes[0]);
    uint32_t shard = sw_groups_get(&feed.groups, 0)->shard;
    for (unsigned w = 0; w < 2; w++)
        sw_worker_main(&workers[w]);
    static const int64_t watermarks[] = {30, 70, INT64_MAX};
    for (int i = 0; i < 3; i++) {
        struct sw_results *results = sw_ring_pop(&workers[1 - shard % 2].output);
        assert_non_null(results);
        assert_true(results->row_count == 0 && !results->is_end);
        assert_int_equal(results->watermark_ns, watermarks[i]);
        sw_results_put(results);
    }
    assert_true(drain(1 - shard % 2));
    assert_seen("");
    assert_true(drain(shard % 2));
    assert_seen("0 a=1\n10 a=1\n20 a=1\n30 a=1\n40 a=1\n50 a=1\n60 a=1\n70 a=1\n80 a=1\n");
    stop(&setting);
}

/* However long the row of waiting batches, a finished window is not held back longer than for three more of them. */
static void windows_are_held_for_a_few_batches_only(void **state) {
    const struct setting setting = {.partitions = 1, .workers = 1};
    enum { BATCHES = 12 };
    int64_t next_ns = 0;
    start(&setting);
    for (int64_t i = 0; i < BATCHES; i++) {
        feed_row(intakes[0], 10 * i + 5, 1, NULL);
        sw_intake_flush(intakes[0]);
    }
    sw_intake_end(intakes[0]);
    sw_worker_main(&workers[0]);
    struct sw_results *results;
    while ((results = sw_ring_pop(&workers[0].output))) {
        assert_true(results->window_count <= 4);
        assert_true(results->is_end || results->window_count > 0);
        for (uint32_t i = 0; i < results->window_count; i++, next_ns += 10)
            assert_int_equal(results->windows[i].start_ns, next_ns);
        sw_results_put(results);
    }
    assert_int_equal(next_ns, 10 * BATCHES);
    stop(&setting);
}

static void text_row(int64_t time_ns, const char *text) {
    sw_intake_begin(intakes[0]);
    struct sw_batch *batch = intakes[0]->batch;
    batch->time_ns[batch->rows] = time_ns;
    batch->text[0][batch->rows] = (struct sw_text_ref){(uint32_t)batch->text_bytes.len, (uint32_t)strlen(text)};
    assert_int_equal(sw_buf_append(&batch->text_bytes, sw_str_from(text)), SW_OK);
    sw_intake_commit(intakes[0], SW_STR(""));
}

static void texts(void **state) {
    const struct setting setting = {.feed = {.aggregates = "count(),topk(a,1),x=topk(a,2)"},
                                    .partitions = 1,
                                    .workers = 1};
    start(&setting);
    text_row(1, "q");
    text_row(2, "p");
    text_row(3, "p");
    text_row(13, "r");
    run(&setting);
    assert_seen(
        "0 =3/[{\"value\":\"p\",\"count\":2,\"error\":0}]/[{\"value\":\"p\",\"count\":2,\"error\":0},{\"value\":"
        "\"q\",\"count\":1,\"error\":0}]\n"
        "10 =1/[{\"value\":\"r\",\"count\":1,\"error\":0}]/[{\"value\":\"r\",\"count\":1,\"error\":0}]\n");
    stop(&setting);
}

static void anomalies_are_marked_counted_and_told(void **state) {
    const struct setting setting = {.feed = {.aggregates = "n=count(),s=sum(a)", .keys = 1},
                                    .partitions = 1,
                                    .workers = 1,
                                    .has_views = true};
    start(&setting);
    for (int i = 0; i < 101; i++)
        feed_row(intakes[0], i * 10, i == 90 ? 1e6 : 100 + i % 5, "k");
    sw_intake_end(intakes[0]);
    sw_worker_main(&workers[0]);
    unsigned marked = 0;
    struct sw_results *results;
    while ((results = sw_ring_pop(&workers[0].output))) {
        for (uint32_t i = 0; i < results->window_count && !results->is_open; i++) {
            uint32_t row = results->windows[i].first_row;
            bool is_odd = results->windows[i].start_ns == 900;
            marked += is_odd;
            assert_int_equal(results->marks[row], is_odd ? 2 : 0);
            assert_int_equal(results->scores[row * 2 + 1] >= SW_ANOMALY_THRESHOLD, is_odd);
            assert_true(results->scores[row * 2] == 0);
        }
        sw_results_put(results);
    }
    struct sw_event event;
    assert_int_equal(marked, 1);
    assert_int_equal(workers[0].counters.anomalies, 1);
    assert_int_equal(sw_events_since(&feed.events, 0, &event, 1), 1);
    assert_true(event.is_anomaly && event.aggregate == 1 && event.group == 0 && event.time_ns == 900);
    assert_true(event.value == 1e6);
    assert_true(strncmp(event.text, "s of k is 1 M, usually 10", strlen("s of k is 1 M, usually 10")) == 0);
    stop(&setting);
}

/* Open windows are shown as they are and stay open; at most the two newest. */
static void views_see_open_windows(void **state) {
    const struct setting setting = {.feed = {.disorder_ns = 100}, .partitions = 1, .workers = 1, .has_views = true};
    struct sw_thread thread = {0};
    start(&setting);
    feed_row(intakes[0], 5, 1, NULL);
    feed_row(intakes[0], 15, 2, NULL);
    feed_row(intakes[0], 25, 4, NULL);
    sw_intake_flush(intakes[0]);
    worker_start(&thread);
    expect("open 10 =2\nopen 20 =4\n");
    sw_clock_sleep_ns(50 * SW_NS_PER_MS);
    expect("open 10 =2\nopen 20 =4\n"); /* nothing new */
    sw_intake_end(intakes[0]);
    sw_thread_join(&thread);
    assert_true(drain(0));
    assert_seen("open 10 =2\nopen 20 =4\n0 =1\n10 =2\n20 =4\n");
    stop(&setting);
}

/* Closed windows that were held back leave before the look, and as closed ones. */
static void views_do_not_open_what_is_closed(void **state) {
    const struct setting setting = {.partitions = 1, .workers = 1, .has_views = true};
    struct sw_thread thread = {0};
    start(&setting);
    feed_row(intakes[0], 5, 1, NULL);
    feed_row(intakes[0], 15, 2, NULL);
    feed_row(intakes[0], 25, 4, NULL);
    sw_intake_flush(intakes[0]);
    feed_row(intakes[0], 35, 8, NULL);
    sw_intake_flush(intakes[0]);
    worker_start(&thread);
    expect("0 =1\n10 =2\nopen 20 =4\n20 =4\nopen 30 =8\n");
    sw_intake_end(intakes[0]);
    sw_thread_join(&thread);
    assert_true(drain(0));
    assert_seen("0 =1\n10 =2\nopen 20 =4\n20 =4\nopen 30 =8\n30 =8\n");
    stop(&setting);
}

struct reader {
    struct sw_intake *intake;
    int first;
};

enum { READ_ROWS = 60000, READ_KEYS = 97 };

static void reader_main(void *context) {
    const struct reader *reader = context;
    char key[8];
    for (int i = reader->first; i < READ_ROWS; i += 2) {
        snprintf(key, sizeof key, "%d", i % READ_KEYS);
        feed_row(reader->intake, i / 10, 1, key);
    }
    sw_intake_end(reader->intake);
}

/* Two readers, three workers, each in a thread: every row is in one window of one worker, or counted as late. */
static void threads_lose_nothing(void **state) {
    const struct setting setting = {.feed = {.keys = 1, .disorder_ns = 50},
                                    .partitions = 2,
                                    .workers = 3,
                                    .may_block = true};
    struct sw_thread readers[2] = {0};
    struct sw_thread threads[3] = {0};
    start(&setting);
    struct reader contexts[] = {{intakes[0], 0}, {intakes[1], 1}};
    for (unsigned w = 0; w < 3; w++)
        assert_int_equal(sw_thread_start(&threads[w], "worker", -1, sw_worker_main, &workers[w], NULL), SW_OK);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(sw_thread_start(&readers[i], "reader", -1, reader_main, &contexts[i], NULL), SW_OK);
    double sum = 0;
    unsigned ended = 0;
    int64_t last_ns[3] = {INT64_MIN, INT64_MIN, INT64_MIN};
    while (ended < 3) {
        for (unsigned w = 0; w < 3; w++) {
            struct sw_results *results = sw_ring_pop(&workers[w].output);
            if (!results)
                continue;
            sw_parker_wake(&workers[w].parker);
            for (uint32_t i = 0; i < results->window_count; i++) {
                assert_true(results->windows[i].start_ns > last_ns[w]);
                last_ns[w] = results->windows[i].start_ns;
            }
            for (uint32_t i = 0; i < results->row_count; i++) {
                assert_int_equal(sw_groups_get(&feed.groups, results->groups[i])->shard % 3, w);
                sum += results->values[i];
            }
            ended += results->is_end;
            sw_results_put(results);
        }
    }
    for (unsigned i = 0; i < 2; i++)
        sw_thread_join(&readers[i]);
    uint64_t late = 0;
    for (unsigned w = 0; w < 3; w++) {
        sw_thread_join(&threads[w]);
        late += workers[w].counters.late;
    }
    for (unsigned i = 0; i < 2; i++)
        late += intakes[i]->counters.late;
    assert_true(sum + (double)late == READ_ROWS);
    assert_int_equal(failure, SW_OK);
    stop(&setting);
}

static void init_without_memory(void **state) {
    const struct setting setting = {.partitions = 2, .workers = 1};
    enum sw_status status = SW_NOMEM;
    start(&setting);
    sw_worker_release(&workers[0]);
    for (size_t nth = 1; status != SW_OK; nth++) {
        const unsigned partitions[] = {2};
        struct sw_worker_options options = {.worker_count = 1,
                                            .plans = &feed.parts.plan,
                                            .groups = &feed.groups,
                                            .closed_before_ns = &feed.closed_before_ns,
                                            .stream_count = 1,
                                            .partitions = partitions,
                                            .failure = &failure};
        assert_true(nth < 100);
        sw_mem_fail_at(nth);
        status = sw_worker_init(&workers[0], &options);
        sw_mem_fail_at(0);
        assert_true(status == SW_OK || status == SW_NOMEM);
    }
    stop(&setting);
}

/* Whatever fails under way is told, and the end still comes: the merger waits for it. */
static void run_without_memory(void **state) {
    const struct setting setting = {.feed = {.aggregates = "sum(a),median(a)", .keys = 1},
                                    .partitions = 1,
                                    .workers = 1};
    bool is_through = false;
    for (size_t nth = 1; !is_through; nth++) {
        char key[8];
        assert_true(nth < PARTS_FAILURES_MAX);
        start(&setting);
        for (int i = 0; i < 300; i++) {
            snprintf(key, sizeof key, "%d", i % 30);
            feed_row(intakes[0], i / 10, i * i, key);
        }
        sw_intake_end(intakes[0]);
        sw_mem_fail_at(nth);
        sw_worker_main(&workers[0]);
        sw_mem_fail_at(0);
        assert_true(drain(0));
        is_through = failure == SW_OK;
        assert_true(is_through || failure == SW_NOMEM);
        stop(&setting);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_by_start_and_rows_by_key),
        cmocka_unit_test(many_groups_are_sorted_too),
        cmocka_unit_test(batches_of_any_size),
        cmocka_unit_test(a_window_waits_for_all_who_speak),
        cmocka_unit_test(rows_of_windows_others_closed_are_late),
        cmocka_unit_test(a_worker_without_rows_tells_how_far_it_is),
        cmocka_unit_test(windows_are_held_for_a_few_batches_only),
        cmocka_unit_test(texts),
        cmocka_unit_test(anomalies_are_marked_counted_and_told),
        cmocka_unit_test(views_see_open_windows),
        cmocka_unit_test(views_do_not_open_what_is_closed),
        cmocka_unit_test(threads_lose_nothing),
        cmocka_unit_test(init_without_memory),
        cmocka_unit_test(run_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
