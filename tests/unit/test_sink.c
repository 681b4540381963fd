/* test_sink.c - Rows as jsonl and csv, to the byte, and what a sink says when it cannot be opened or written. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/sink.h"
#include "engine_parts.h"

/* One stream with a topk, two keys and rows of one window. */
struct bench {
    struct parts parts;
    struct sw_job job;
    struct sw_groups groups;
    struct sw_results_pool pool;
    struct sw_results *results;
    _Atomic bool is_stopping;
    struct sw_sink_options options;
    char path[64];
};

static uint32_t group_of(struct bench *bench, struct sw_str key) {
    uint32_t id;
    assert_int_equal(sw_groups_intern(&bench->groups, key, &id), SW_OK);
    return id;
}

static void row_add(struct bench *bench, struct sw_str key, const double values[2], const char *top, uint64_t marks) {
    struct sw_results *results = bench->results;
    uint32_t row = results->row_count;
    assert_int_equal(sw_results_reserve(results, 1), SW_OK);
    results->row_count++;
    results->groups[row] = group_of(bench, key);
    results->marks[row] = marks;
    for (unsigned i = 0; i < 3; i++) {
        results->values[row * 3 + i] = i < 2 ? values[i] : NAN;
        results->scores[row * 3 + i] = marks >> i & 1 ? 0.9f : 0;
    }
    results->texts[row] = (struct sw_text_ref){(uint32_t)results->text_bytes.len, (uint32_t)strlen(top)};
    assert_int_equal(sw_buf_append(&results->text_bytes, sw_str_from(top)), SW_OK);
}

static void bench_init(struct bench *bench) {
    memset(bench, 0, sizeof *bench);
    parts_init(&bench->parts, "a=sum(x),\"b.\\=mean(x),c=topk(w,2)", 2);
    bench->job.streams[0] = bench->parts.stream;
    bench->job.stream_count = 1;
    assert_int_equal(sw_groups_init(&bench->groups, 100), SW_OK);
    assert_int_equal(sw_results_take(&bench->pool, &bench->results), SW_OK);
    bench->results->value_count = 3;
    bench->results->text_count = 1;
    bench->options = (struct sw_sink_options){&bench->job, &bench->groups, &bench->is_stopping};
    strncpy(bench->path, "/tmp/sw-sink-XXXXXX", sizeof bench->path - 1);
    int fd = mkstemp(bench->path);
    assert_true(fd >= 0);
    close(fd);
}

static void bench_release(struct bench *bench) {
    unlink(bench->path);
    sw_results_put(bench->results);
    sw_results_pool_release(&bench->pool);
    sw_groups_release(&bench->groups);
    parts_release(&bench->parts);
}

static struct sw_sink *sink_of(struct bench *bench, const char *kind) {
    char uri[80];
    struct sw_sink *sink;
    struct sw_error err = {0};
    snprintf(uri, sizeof uri, "%s:%s", kind, bench->path);
    assert_int_equal(sw_sink_open(&sink, sw_str_from(uri), &bench->options, &err), SW_OK);
    return sink;
}

static void assert_file(const struct bench *bench, const char *wanted) {
    static char text[1 << 20];
    int fd = open(bench->path, O_RDONLY);
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(len >= 0);
    text[len] = '\0';
    assert_string_equal(text, wanted);
}

static void three_rows(struct bench *bench) {
    row_add(bench, SW_STR("p\x1fq"), (double[]){1.5, -0.0}, "[]", 0);
    row_add(bench, SW_STR("a,b\x1f\"\n"), (double[]){NAN, 1e300}, "[{\"value\":\"x\"}]", 3);
    row_add(bench, SW_STR("\x1f\xff"), (double[]){INFINITY, NAN}, "[]", 2);
}

static const struct sw_window window = {-20, -10, 0, 3};

static void jsonl(void **state) {
    struct bench bench;
    struct sw_error err = {0};
    bench_init(&bench);
    three_rows(&bench);
    struct sw_sink *sink = sink_of(&bench, "jsonl");
    assert_int_equal(sw_sink_window(sink, bench.results, &window, &err), SW_OK);
    assert_int_equal(sw_sink_flush(sink, &err), SW_OK);
    assert_int_equal(sw_sink_rows(sink), 3);
    assert_file(
        &bench,
        "{\"window_start_ns\":-20,\"window_end_ns\":-10,\"key1\":\"p\",\"key2\":\"q\",\"a\":1.5,\"\\\"b.\\\\\":-0,\"c\":[]}\n"
        "{\"window_start_ns\":-20,\"window_end_ns\":-10,\"key1\":\"a,b\",\"key2\":\"\\\"\\n\",\"a\":null,\"\\\"b.\\\\\":1e+300,"
        "\"c\":[{\"value\":\"x\"}],\"anomaly\":[\"a\",\"\\\"b.\\\\\"]}\n"
        "{\"window_start_ns\":-20,\"window_end_ns\":-10,\"key1\":\"\",\"key2\":\"\xef\xbf\xbd\",\"a\":null,\"\\\"b.\\\\\":null,"
        "\"c\":[],\"anomaly\":[\"\\\"b.\\\\\"]}\n");
    sw_sink_close(sink);
    bench_release(&bench);
}

static void csv(void **state) {
    struct bench bench;
    struct sw_error err = {0};
    bench_init(&bench);
    three_rows(&bench);
    struct sw_sink *sink = sink_of(&bench, "csv");
    assert_int_equal(sw_sink_window(sink, bench.results, &window, &err), SW_OK);
    assert_int_equal(sw_sink_flush(sink, &err), SW_OK);
    assert_file(&bench, "window_start_ns,window_end_ns,key1,key2,a,\"\"\"b.\\\",c,anomaly\n"
                        "-20,-10,p,q,1.5,-0,[],\n"
                        "-20,-10,\"a,b\",\"\"\"\n\",,1e+300,\"[{\"\"value\"\":\"\"x\"\"}]\",\"a;\"\"b.\\\"\n"
                        "-20,-10,,\xff,,,[],\"\"\"b.\\\"\n");
    sw_sink_close(sink);
    bench_release(&bench);
}

/* Key texts are kept by group, and made anew when an id has been given to another key. */
static void keys_of_ids_used_again(void **state) {
    struct bench bench;
    struct sw_error err = {0};
    uint32_t id;
    bench_init(&bench);
    row_add(&bench, SW_STR("old\x1f"), (double[]){1, 2}, "[]", 0);
    struct sw_sink *sink = sink_of(&bench, "csv");
    const struct sw_window one = {0, 10, 0, 1};
    assert_int_equal(sw_sink_window(sink, bench.results, &one, &err), SW_OK);
    sw_groups_saw(&bench.groups, 0, 0);
    assert_int_equal(sw_groups_reuse(&bench.groups, SW_STR("new\x1f"), 5, &id), SW_OK);
    assert_int_equal(id, 0);
    assert_int_equal(sw_sink_window(sink, bench.results, &one, &err), SW_OK);
    assert_int_equal(sw_sink_flush(sink, &err), SW_OK);
    assert_file(
        &bench,
        "window_start_ns,window_end_ns,key1,key2,a,\"\"\"b.\\\",c,anomaly\n0,10,old,,1,2,[],\n0,10,new,,1,2,[],\n");
    sw_sink_close(sink);
    bench_release(&bench);
}

/* Equal neighbours are copied rather than formatted; the first value of a row after a long text, too. */
static void equal_values(void **state) {
    struct bench bench;
    struct sw_error err = {0};
    char *text = sw_alloc(5000);
    bench_init(&bench);
    memset(text, 'x', 4999);
    text[4999] = '\0';
    for (int i = 0; i < 50; i++)
        row_add(&bench, SW_STR("k\x1fl"), (double[]){0.1, 0.1}, i % 2 ? text : "[]", 0);
    struct sw_sink *sink = sink_of(&bench, "csv");
    const struct sw_window all = {0, 10, 0, 50};
    struct sw_buf wanted = {0};
    assert_int_equal(sw_sink_window(sink, bench.results, &all, &err), SW_OK);
    assert_int_equal(sw_sink_flush(sink, &err), SW_OK);
    assert_int_equal(sw_buf_append(&wanted,
                                   SW_STR("window_start_ns,window_end_ns,key1,key2,a,\"\"\"b.\\\",c,anomaly\n")),
                     SW_OK);
    for (int i = 0; i < 50; i++)
        assert_int_equal(sw_buf_append_format(&wanted, "0,10,k,l,0.1,0.1,%s,\n", i % 2 ? text : "[]"), SW_OK);
    assert_int_equal(sw_buf_append_byte(&wanted, '\0'), SW_OK);
    assert_file(&bench, wanted.ptr);
    sw_buf_release(&wanted);
    sw_sink_close(sink);
    sw_free(text);
    bench_release(&bench);
}

enum { WIDE = 12, WIDE_ROWS = 500 };

/* Values that are equal over any distance in a row, and some that only look equal: 0 and -0, NaN and infinity. */
static double wide_value(unsigned row, unsigned column) {
    static const double values[] = {0.0, -0.0, NAN, INFINITY, 491800, 491800.25, 1e-7, 123456789012.5, 7};
    uint32_t dice = (row * WIDE + column) * 2654435761u;
    return values[(dice >> 16) % (2 + row % 8)];
}

static void equal_values_of_wide_rows(void **state) {
    struct bench bench;
    struct sw_error err = {0};
    struct sw_buf wanted = {0};
    bench_init(&bench);
    parts_release(&bench.parts);
    parts_init(&bench.parts,
               "a=sum(x),b=min(x),c=max(x),d=first(x),e=last(x),f=mean(x),g=sum(y),h=min(y),i=max(y),"
               "j=first(y),k=last(y),l=mean(y)",
               0);
    bench.job.streams[0] = bench.parts.stream;
    bench.results->value_count = WIDE;
    bench.results->text_count = 0;
    assert_int_equal(sw_results_reserve(bench.results, WIDE_ROWS), SW_OK);
    bench.results->row_count = WIDE_ROWS;
    for (unsigned row = 0; row < WIDE_ROWS; row++) {
        bench.results->groups[row] = group_of(&bench, SW_STR(""));
        bench.results->marks[row] = 0;
        assert_int_equal(sw_buf_append(&wanted, SW_STR("{\"window_start_ns\":0,\"window_end_ns\":10")), SW_OK);
        for (unsigned i = 0; i < WIDE; i++) {
            char text[SW_NUM_F64_MAX];
            double value = bench.results->values[row * WIDE + i] = wide_value(row, i);
            size_t len = sw_num_format_f64(value, text);
            assert_int_equal(sw_buf_append_format(&wanted, ",\"%c\":%.*s", 'a' + (int)i, (int)len, text), SW_OK);
        }
        assert_int_equal(sw_buf_append(&wanted, SW_STR("}\n")), SW_OK);
    }
    assert_int_equal(sw_buf_append_byte(&wanted, '\0'), SW_OK);
    struct sw_sink *sink = sink_of(&bench, "jsonl");
    assert_int_equal(sw_sink_window(sink, bench.results, &(struct sw_window){0, 10, 0, WIDE_ROWS}, &err), SW_OK);
    assert_int_equal(sw_sink_flush(sink, &err), SW_OK);
    assert_file(&bench, wanted.ptr);
    sw_buf_release(&wanted);
    sw_sink_close(sink);
    bench_release(&bench);
}

static void what_cannot_be_opened(void **state) {
    static const struct {
        const char *uri;
        enum sw_status status;
        const char *said;
    } rows[] = {
        {"", SW_INVALID, "cannot read sink ''"},
        {"out.csv", SW_INVALID, "expected jsonl:PATH, csv:PATH, or - for stdout"},
        {"jsonl:", SW_INVALID, "cannot read sink 'jsonl:'"},
        {"parquet:x", SW_INVALID, "cannot read sink 'parquet:x'"},
        {"csv:/nowhere/x", SW_NOTFOUND, "cannot open sink /nowhere/x: No such file or directory"},
    };
    struct bench bench;
    bench_init(&bench);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_sink *sink = NULL;
        struct sw_error err = {0};
        assert_int_equal(sw_sink_open(&sink, sw_str_from(rows[i].uri), &bench.options, &err), rows[i].status);
        if (!strstr(err.text, rows[i].said))
            fail_msg("'%s' gave '%s'", rows[i].uri, err.text);
        assert_null(sink);
    }
    bench.job.streams[1] = bench.job.streams[0];
    bench.job.stream_count = 2;
    struct sw_sink *sink = NULL;
    struct sw_error err = {0};
    assert_int_equal(sw_sink_open(&sink, SW_STR("csv:/dev/null"), &bench.options, &err), SW_INVALID);
    assert_non_null(strstr(err.text, "a csv sink holds one stream, this job has 2"));
    sw_sink_close(NULL);
    bench_release(&bench);
}

static void several_streams_are_named(void **state) {
    struct bench bench;
    struct sw_error err = {0};
    bench_init(&bench);
    bench.job.streams[1] = bench.job.streams[0];
    bench.job.stream_count = 2;
    row_add(&bench, SW_STR("k\x1fl"), (double[]){1, 2}, "[]", 0);
    struct sw_sink *sink = sink_of(&bench, "jsonl");
    const struct sw_window one = {0, 10, 0, 1};
    assert_int_equal(sw_sink_window(sink, bench.results, &one, &err), SW_OK);
    assert_int_equal(sw_sink_flush(sink, &err), SW_OK);
    assert_file(
        &bench,
        "{\"stream\":\"s\",\"window_start_ns\":0,\"window_end_ns\":10,\"key1\":\"k\",\"key2\":\"l\",\"a\":1,\"\\\"b.\\\\\":2,\"c\":[]}\n");
    sw_sink_close(sink);
    bench_release(&bench);
}

static void a_full_disk_at_the_end(void **state) {
    struct bench bench;
    struct sw_sink *sink;
    struct sw_error err = {0};
    bench_init(&bench);
    three_rows(&bench);
    bench.is_stopping = true;
    assert_int_equal(sw_sink_open(&sink, SW_STR("jsonl:/dev/full"), &bench.options, &err), SW_OK);
    assert_int_equal(sw_sink_window(sink, bench.results, &window, &err), SW_OK);
    assert_int_not_equal(sw_sink_flush(sink, &err), SW_OK);
    assert_non_null(strstr(err.text, "cannot write /dev/full ("));
    assert_non_null(strstr(err.text, "bytes of rows are lost): No space left on device"));
    sw_sink_close(sink);
    bench_release(&bench);
}

static void every_allocation_may_fail(void **state) {
    enum sw_status status = SW_NOMEM;
    struct bench bench;
    bench_init(&bench);
    three_rows(&bench);
    for (size_t nth = 1; status != SW_OK; nth++) {
        struct sw_sink *sink = NULL;
        struct sw_error err = {0};
        assert_true(nth < 1000);
        sw_mem_fail_at(nth);
        status =
            sw_sink_open(&sink, nth % 2 ? SW_STR("jsonl:/dev/null") : SW_STR("csv:/dev/null"), &bench.options, &err);
        if (status == SW_OK)
            status = sw_sink_window(sink, bench.results, &window, &err);
        sw_mem_fail_at(0);
        assert_true(status == SW_OK || (status == SW_NOMEM && strstr(err.text, "out of memory")));
        sw_sink_close(sink);
    }
    bench_release(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jsonl),
        cmocka_unit_test(csv),
        cmocka_unit_test(keys_of_ids_used_again),
        cmocka_unit_test(equal_values),
        cmocka_unit_test(equal_values_of_wide_rows),
        cmocka_unit_test(what_cannot_be_opened),
        cmocka_unit_test(several_streams_are_named),
        cmocka_unit_test(a_full_disk_at_the_end),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
