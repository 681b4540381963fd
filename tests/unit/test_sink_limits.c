/* test_sink_limits.c - Sinks with long and odd names, more rows than a buffer, and readers that go away. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "engine/sink.h"
#include "engine_parts.h"

enum { NAME_LEN = 300 };

struct bench {
    struct parts parts;
    struct sw_job job;
    struct sw_groups groups[2];
    struct sw_results_pool pool;
    struct sw_results *results;
    _Atomic bool is_stopping;
    char path[64];
    struct sw_sink *sink;
};

static void bench_open(struct bench *bench, const char *aggregates, unsigned keys, unsigned streams) {
    memset(bench, 0, sizeof *bench);
    parts_init(&bench->parts, aggregates, keys);
    bench->job.stream_count = streams;
    for (unsigned i = 0; i < streams; i++) {
        bench->job.streams[i] = bench->parts.stream;
        assert_int_equal(sw_groups_init(&bench->groups[i], 100), SW_OK);
    }
    assert_int_equal(sw_results_take(&bench->pool, &bench->results), SW_OK);
    bench->results->value_count = bench->parts.stream.aggregate_count;
    snprintf(bench->path, sizeof bench->path, "/tmp/sw-sink-limits-%d", (int)getpid());
}

static void sink_open(struct bench *bench, const char *kind) {
    char uri[80];
    struct sw_error err = {0};
    struct sw_sink_options options = {&bench->job, bench->groups, &bench->is_stopping};
    snprintf(uri, sizeof uri, "%s:%s", kind, bench->path);
    assert_int_equal(sw_sink_open(&bench->sink, sw_str_from(uri), &options, &err), SW_OK);
}

static void row_add(struct bench *bench, struct sw_str key, double value, uint64_t marks) {
    struct sw_results *results = bench->results;
    assert_int_equal(sw_results_reserve(results, 1), SW_OK);
    uint32_t row = results->row_count++;
    assert_int_equal(sw_groups_intern(&bench->groups[results->stream], key, &results->groups[row]), SW_OK);
    results->marks[row] = marks;
    for (uint32_t i = 0; i < results->value_count; i++) {
        results->values[row * results->value_count + i] = value * (i + 1);
        results->scores[row * results->value_count + i] = 0;
    }
}

static enum sw_status rows_write(struct bench *bench, struct sw_error *err) {
    struct sw_window window = {10, 20, 0, bench->results->row_count};
    return sw_sink_window(bench->sink, bench->results, &window, err);
}

static void bench_close(struct bench *bench) {
    sw_sink_close(bench->sink);
    unlink(bench->path);
    sw_results_put(bench->results);
    sw_results_pool_release(&bench->pool);
    for (unsigned i = 0; i < bench->job.stream_count; i++)
        sw_groups_release(&bench->groups[i]);
    parts_release(&bench->parts);
}

static void assert_file(const struct bench *bench, struct sw_str expected) {
    struct sw_buf text = {0};
    int fd = open(bench->path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(sw_buf_reserve(&text, expected.len + 4096), SW_OK);
    ssize_t len = read(fd, text.ptr, expected.len + 4096);
    close(fd);
    if (!sw_str_eq(sw_str_make(text.ptr, len > 0 ? (size_t)len : 0), expected))
        fail_msg("got %zd bytes '%.300s', expected %zu '%.300s'", len, text.ptr, expected.len, expected.ptr);
    sw_buf_release(&text);
}

/* The longest row there is: every aggregate an anomaly, every name long, and of quotes that csv doubles. */
static void long_names_that_are_all_anomalies(void **state) {
    for (int is_csv = 0; is_csv < 2; is_csv++) {
        struct bench bench;
        struct sw_buf list = {0};
        struct sw_error err = {0};
        char name[NAME_LEN + 1];
        memset(name, '"', NAME_LEN);
        for (unsigned i = 0; i < SW_MAX_AGGREGATES; i++) {
            snprintf(name + NAME_LEN - 2, 3, "%02u", i);
            assert_int_equal(sw_buf_append_format(&list, "%s%s=sum(x)", i ? "," : "", name), SW_OK);
        }
        assert_int_equal(sw_buf_append_byte(&list, '\0'), SW_OK);
        bench_open(&bench, list.ptr, 0, 1);
        sink_open(&bench, is_csv ? "csv" : "jsonl");
        row_add(&bench, SW_STR(""), -1.2345678901234567e-300, UINT64_MAX);
        assert_int_equal(rows_write(&bench, &err), SW_OK);
        assert_int_equal(sw_sink_flush(bench.sink, &err), SW_OK);
        assert_int_equal(sw_sink_rows(bench.sink), 1);
        struct stat file;
        assert_int_equal(stat(bench.path, &file), 0);
        /* Names twice, each byte but the two digits doubled or escaped; commas or semicolons and quotes between. */
        assert_true(file.st_size > 2 * SW_MAX_AGGREGATES * (2 * NAME_LEN - 2));
        sw_buf_release(&list);
        bench_close(&bench);
    }
}

static void names_of_streams_are_json(void **state) {
    struct bench bench;
    struct sw_error err = {0};
    bench_open(&bench, "n=sum(x)", 0, 2);
    bench.job.streams[0].name = SW_STR("a \"b\"\n");
    bench.job.streams[1].name = SW_STR("c");
    sink_open(&bench, "jsonl");
    row_add(&bench, SW_STR(""), 1, 0);
    assert_int_equal(rows_write(&bench, &err), SW_OK);
    bench.results->stream = 1;
    bench.results->row_count = 0;
    row_add(&bench, SW_STR(""), 2, 1);
    assert_int_equal(rows_write(&bench, &err), SW_OK);
    assert_int_equal(sw_sink_flush(bench.sink, &err), SW_OK);
    assert_file(&bench,
                SW_STR("{\"stream\":\"a \\\"b\\\"\\n\",\"window_start_ns\":10,\"window_end_ns\":20,\"n\":1}\n"
                       "{\"stream\":\"c\",\"window_start_ns\":10,\"window_end_ns\":20,\"n\":2,\"anomaly\":[\"n\"]}\n"));
    bench_close(&bench);
}

/* Where there is one key column its value is the whole key, whatever bytes it has. */
static void keys_with_the_separator_in_them(void **state) {
    struct bench bench;
    struct sw_error err = {0};
    bench_open(&bench, "n=sum(x)", 1, 1);
    sink_open(&bench, "jsonl");
    row_add(&bench,
            SW_STR("a\x1f"
                   "b"),
            1, 0);
    row_add(&bench, SW_STR("a"), 2, 0);
    assert_int_equal(rows_write(&bench, &err), SW_OK);
    assert_int_equal(sw_sink_flush(bench.sink, &err), SW_OK);
    assert_file(&bench, SW_STR("{\"window_start_ns\":10,\"window_end_ns\":20,\"key1\":\"a\\u001fb\",\"n\":1}\n"
                               "{\"window_start_ns\":10,\"window_end_ns\":20,\"key1\":\"a\",\"n\":2}\n"));
    bench_close(&bench);
}

static void more_rows_than_the_buffer_holds(void **state) {
    struct bench bench;
    struct sw_error err = {0};
    struct sw_buf expected = {0};
    bench_open(&bench, "n=sum(x)", 0, 1);
    sink_open(&bench, "csv");
    assert_int_equal(sw_buf_append(&expected, SW_STR("window_start_ns,window_end_ns,n,anomaly\n")), SW_OK);
    for (int i = 0; i < 50000; i++) {
        row_add(&bench, SW_STR(""), i, 0);
        assert_int_equal(sw_buf_append_format(&expected, "10,20,%d,\n", i), SW_OK);
    }
    assert_int_equal(rows_write(&bench, &err), SW_OK);
    assert_int_equal(sw_sink_flush(bench.sink, &err), SW_OK);
    assert_file(&bench, sw_buf_view(&expected));
    sw_buf_release(&expected);
    bench_close(&bench);
}

static void the_reader_went_away(void **state) {
    struct bench bench;
    struct sw_error err = {0};
    signal(SIGPIPE, SIG_IGN);
    bench_open(&bench, "n=sum(x)", 0, 1);
    assert_int_equal(mkfifo(bench.path, 0600), 0);
    int reader = open(bench.path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    sink_open(&bench, "jsonl");
    row_add(&bench, SW_STR(""), 1, 0);
    assert_int_equal(rows_write(&bench, &err), SW_OK);
    assert_int_equal(sw_sink_flush(bench.sink, &err), SW_OK);
    close(reader);
    assert_int_equal(rows_write(&bench, &err), SW_OK);
    assert_int_equal(sw_sink_flush(bench.sink, &err), SW_CLOSED);
    assert_non_null(strstr(err.text, "the reader of /tmp/sw-sink-limits-"));
    assert_non_null(strstr(err.text, " went away"));
    bench_close(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_names_that_are_all_anomalies),
        cmocka_unit_test(names_of_streams_are_json),
        cmocka_unit_test(keys_with_the_separator_in_them),
        cmocka_unit_test(more_rows_than_the_buffer_holds),
        cmocka_unit_test(the_reader_went_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
