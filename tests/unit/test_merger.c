/* test_merger.c - Windows of several workers become one sequence: by start, then by key, each once, none before all are through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/merger.h"

enum { WORKERS = 3 };

/* Workers that only have an output, and what the merger's tap was given. */
struct bench {
    struct sw_worker workers[WORKERS];
    struct sw_results_pool pools[WORKERS];
    struct sw_groups groups[2];
    struct sw_merger merger;
    _Atomic int failure;
    struct sw_buf seen; /* "stream:start-end key=value/text ..." a window */
};

static void on_window(void *context, const struct sw_results *results, const struct sw_window *window) {
    struct bench *bench = context;
    struct sw_buf *out = &bench->seen;
    assert_int_equal(sw_buf_append_format(out, "%s%u:%lld-%lld", results->is_open ? "open " : "", results->stream,
                                          (long long)window->start_ns, (long long)window->end_ns),
                     SW_OK);
    for (uint32_t row = window->first_row; row < window->first_row + window->row_count; row++) {
        struct sw_str key = sw_groups_get(&bench->groups[results->stream], results->groups[row])->key;
        assert_int_equal(sw_buf_append_format(out, " %.*s=%g", SW_STR_ARG(key),
                                              results->values[row * results->value_count]),
                         SW_OK);
        for (uint32_t i = 0; i < results->text_count; i++) {
            struct sw_text_ref text = results->texts[row * results->text_count + i];
            assert_int_equal(sw_buf_append_format(out, "/%.*s", (int)text.len, results->text_bytes.ptr + text.offset),
                             SW_OK);
        }
    }
    assert_int_equal(sw_buf_append_byte(out, '\n'), SW_OK);
}

static void bench_init(struct bench *bench) {
    memset(bench, 0, sizeof *bench);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(sw_ring_init(&bench->workers[i].output, 64), SW_OK);
    for (unsigned s = 0; s < 2; s++) {
        assert_int_equal(sw_groups_init(&bench->groups[s], 100), SW_OK);
        for (char name = 'z'; name >= 'a'; name--) { /* ids against the order of keys */
            uint32_t id;
            assert_int_equal(sw_groups_intern(&bench->groups[s], sw_str_make(&name, 1), &id), SW_OK);
        }
    }
    assert_int_equal(sw_merger_init(&bench->merger, bench->workers, WORKERS, 2), SW_OK);
    bench->merger.groups = bench->groups;
    bench->merger.failure = &bench->failure;
    bench->merger.tap = on_window;
    bench->merger.tap_context = bench;
}

static void bench_release(struct bench *bench) {
    sw_merger_release(&bench->merger);
    for (unsigned i = 0; i < WORKERS; i++) {
        sw_results_pool_release(&bench->pools[i]);
        sw_ring_release(&bench->workers[i].output);
    }
    for (unsigned s = 0; s < 2; s++)
        sw_groups_release(&bench->groups[s]);
    sw_buf_release(&bench->seen);
}

static struct sw_results *block(struct bench *bench, unsigned worker, uint16_t stream) {
    struct sw_results *results;
    assert_int_equal(sw_results_take(&bench->pools[worker], &results), SW_OK);
    results->worker = (uint16_t)worker;
    results->stream = stream;
    results->value_count = stream + 1u; /* streams differ in width */
    results->text_count = stream;
    results->watermark_ns = INT64_MIN;
    return results;
}

/* A window with a row for each of the ascending letters in `keys`; the values count on from `value`. */
static void window_add(struct sw_results *results, int64_t start_ns, const char *keys, double value) {
    uint32_t count = (uint32_t)strlen(keys);
    char text[16];
    assert_int_equal(sw_results_reserve(results, count), SW_OK);
    assert_int_equal(sw_results_window(results, (struct sw_window){start_ns, start_ns + 10, results->row_count, count}),
                     SW_OK);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = results->row_count++;
        results->groups[row] = (uint32_t)('z' - keys[i]);
        results->marks[row] = 0;
        for (uint32_t v = 0; v < results->value_count; v++) {
            results->values[row * results->value_count + v] = value + i + v * 100;
            results->scores[row * results->value_count + v] = 0;
        }
        for (uint32_t t = 0; t < results->text_count; t++) {
            int len = snprintf(text, sizeof text, "<%c%g>", keys[i], value);
            results->texts[row * results->text_count + t] =
                (struct sw_text_ref){(uint32_t)results->text_bytes.len, (uint32_t)len};
            assert_int_equal(sw_buf_append(&results->text_bytes, sw_str_make(text, (size_t)len)), SW_OK);
        }
    }
}

static void push(struct bench *bench, struct sw_results *results, int64_t watermark_ns) {
    results->watermark_ns = watermark_ns;
    assert_true(sw_ring_push(&bench->workers[results->worker].output, results));
}

static void end_all(struct bench *bench) {
    for (unsigned w = 0; w < WORKERS; w++)
        for (uint16_t s = 0; s < 2; s++) {
            struct sw_results *results = block(bench, w, s);
            results->is_end = true;
            push(bench, results, 0);
        }
    sw_merger_main(&bench->merger);
}

static void assert_seen(struct bench *bench, const char *wanted) {
    assert_int_equal(sw_buf_append_byte(&bench->seen, '\0'), SW_OK);
    assert_string_equal(bench->seen.ptr, wanted);
}

static void rows_of_one_window_are_merged_by_key(void **state) {
    struct bench bench;
    bench_init(&bench);
    struct sw_results *first = block(&bench, 0, 0), *second = block(&bench, 1, 0), *third = block(&bench, 2, 0);
    window_add(first, 0, "bdz", 1);
    window_add(second, 0, "ac", 10);
    window_add(third, 10, "a", 20);
    window_add(first, 20, "q", 30);
    push(&bench, first, 30);
    push(&bench, second, 30);
    push(&bench, third, 30);
    end_all(&bench);
    assert_seen(&bench, "0:0-10 a=10 b=1 c=11 d=2 z=3\n0:10-20 a=20\n0:20-30 q=30\n");
    assert_int_equal(bench.failure, SW_OK);
    assert_int_equal(bench.merger.rows, 7);
    assert_int_equal(bench.merger.windows, 3);
    bench_release(&bench);
}

static void streams_of_other_widths_and_texts(void **state) {
    struct bench bench;
    bench_init(&bench);
    for (unsigned round = 0; round < 3; round++)
        for (uint16_t s = 0; s < 2; s++)
            for (unsigned w = 0; w < WORKERS; w++) {
                struct sw_results *results = block(&bench, w, s);
                window_add(results, round * 10, w == 0 ? "c" : w == 1 ? "b" : "a", round * 10 + w);
                push(&bench, results, round * 10 + 10);
            }
    end_all(&bench);
    assert_non_null(strstr(bench.seen.ptr, "0:0-10 a=2 b=1 c=0\n"));
    assert_non_null(strstr(bench.seen.ptr, "1:0-10 a=2/<a2> b=1/<b1> c=0/<c0>\n"));
    assert_non_null(strstr(bench.seen.ptr, "1:20-30 a=22/<a22> b=21/<b21> c=20/<c20>\n"));
    assert_int_equal(bench.merger.windows, 6);
    bench_release(&bench);
}

/* A window whose end some worker has not passed waits, even if others are far ahead or it has no rows there. */
static void nothing_leaves_before_all_are_through(void **state) {
    struct bench bench;
    bench_init(&bench);
    struct sw_results *ahead = block(&bench, 0, 0);
    window_add(ahead, 0, "a", 1);
    window_add(ahead, 10, "a", 2);
    push(&bench, ahead, 20);
    push(&bench, block(&bench, 1, 0), 20); /* says only how far it is */
    struct sw_results *behind = block(&bench, 2, 0);
    window_add(behind, -10, "b", 3);
    push(&bench, behind, 0);
    struct sw_results *later = block(&bench, 2, 0);
    window_add(later, 0, "b", 4);
    push(&bench, later, 10);
    end_all(&bench);
    assert_seen(&bench, "0:-10-0 b=3\n0:0-10 a=1 b=4\n0:10-20 a=2\n");
    bench_release(&bench);
}

static void open_windows_pass_at_once_and_are_not_counted(void **state) {
    struct bench bench;
    bench_init(&bench);
    struct sw_results *look = block(&bench, 1, 0);
    look->is_open = true;
    window_add(look, 50, "ab", 5);
    push(&bench, look, 0);
    end_all(&bench);
    assert_seen(&bench, "open 0:50-60 a=5 b=6\n");
    assert_int_equal(bench.merger.rows, 0);
    assert_int_equal(bench.merger.windows, 0);
    bench_release(&bench);
}

static void many_windows_in_many_blocks(void **state) {
    struct bench bench;
    bench_init(&bench);
    struct sw_buf wanted = {0};
    for (int64_t i = 0; i < 20; i++) {
        for (unsigned w = 0; w < WORKERS; w++) {
            struct sw_results *results = block(&bench, w, 0);
            for (int64_t k = 0; k < 5; k++)
                if ((i * 5 + k) % WORKERS == w)
                    window_add(results, (i * 5 + k) * 10, "m", (double)(i * 5 + k));
            push(&bench, results, (i * 5 + 5) * 10);
        }
        for (int64_t k = i * 5; k < i * 5 + 5; k++)
            assert_int_equal(sw_buf_append_format(&wanted, "0:%d-%d m=%d\n", (int)k * 10, (int)k * 10 + 10, (int)k),
                             SW_OK);
    }
    end_all(&bench);
    assert_int_equal(sw_buf_append_byte(&wanted, '\0'), SW_OK);
    assert_seen(&bench, wanted.ptr);
    sw_buf_release(&wanted);
    bench_release(&bench);
}

/* Whatever fails is noted as a failure; what was delivered is whole. */
static void every_allocation_may_fail(void **state) {
    bool has_failed = true;
    for (size_t nth = 1; has_failed; nth++) {
        struct bench bench;
        assert_true(nth < 1000);
        bench_init(&bench);
        bench.merger.tap = NULL; /* it allocates */
        for (unsigned w = 0; w < WORKERS; w++) {
            struct sw_results *results = block(&bench, w, 1);
            window_add(results, 0, "abc", w);
            window_add(results, 10, "a", w);
            push(&bench, results, 20);
        }
        for (unsigned w = 0; w < WORKERS; w++)
            for (uint16_t s = 0; s < 2; s++) {
                struct sw_results *results = block(&bench, w, s);
                results->is_end = true;
                push(&bench, results, 0);
            }
        sw_mem_fail_at(nth);
        sw_merger_main(&bench.merger);
        sw_mem_fail_at(0);
        has_failed = bench.failure != SW_OK;
        assert_true(!has_failed || bench.failure == SW_NOMEM);
        assert_true(has_failed || bench.merger.rows == 12);
        bench_release(&bench);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_one_window_are_merged_by_key),
        cmocka_unit_test(streams_of_other_widths_and_texts),
        cmocka_unit_test(nothing_leaves_before_all_are_through),
        cmocka_unit_test(open_windows_pass_at_once_and_are_not_counted),
        cmocka_unit_test(many_windows_in_many_blocks),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
