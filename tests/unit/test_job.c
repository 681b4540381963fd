/* test_job.c - The aggregate list: what it makes, and what it says about one that is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/job.h"

static void assert_str(struct sw_str text, const char *expected) {
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
}

static void lists(void **state) {
    static const struct {
        const char *text;
        const char *name;
        enum sw_aggregate_fn fn;
        const char *columns[2];
        double parameter;
    } rows[] = {
        {"count()", "count", SW_AGG_COUNT, {NULL}, 0},
        {"n=count()", "n", SW_AGG_COUNT, {NULL}, 0},
        {" n = count( ) ", "n", SW_AGG_COUNT, {NULL}, 0},
        {"count(x)", "count_x", SW_AGG_COUNT, {"x"}, 0},
        {"sum(a.b)", "sum_a.b", SW_AGG_SUM, {"a.b"}, 0},
        {"vwap( price , size )", "vwap_price_size", SW_AGG_VWAP, {"price", "size"}, 0},
        {"p=quantile(x,0.99)", "p", SW_AGG_QUANTILE, {"x"}, 0.99},
        {"quantile(x,0)", "quantile_x_0", SW_AGG_QUANTILE, {"x"}, 0},
        {"quantile(x,1)", "quantile_x_1", SW_AGG_QUANTILE, {"x"}, 1},
        {"median(x)", "median_x", SW_AGG_MEDIAN, {"x"}, 0.5},
        {"topk(x,100)", "topk_x_100", SW_AGG_TOPK, {"x"}, 100},
        {"rate()", "rate", SW_AGG_RATE, {NULL}, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_arena arena = {0};
        struct sw_stream stream = {0};
        struct sw_error err = {0};
        assert_int_equal(sw_aggregates_parse(sw_str_from(rows[i].text), &arena, &stream, &err), SW_OK);
        assert_int_equal(stream.aggregate_count, 1);
        const struct sw_aggregate *aggregate = &stream.aggregates[0];
        assert_str(aggregate->name, rows[i].name);
        assert_int_equal(aggregate->fn, rows[i].fn);
        assert_true(aggregate->parameter == rows[i].parameter);
        assert_int_equal(aggregate->column_count, (rows[i].columns[0] != NULL) + (rows[i].columns[1] != NULL));
        for (unsigned c = 0; c < aggregate->column_count; c++)
            assert_str(aggregate->columns[c], rows[i].columns[c]);
        sw_arena_release(&arena);
    }
}

static void commas_inside_and_between(void **state) {
    struct sw_arena arena = {0};
    struct sw_stream stream = {0};
    struct sw_error err = {0};
    assert_int_equal(sw_aggregates_parse(SW_STR("a=vwap(p,s),quantile(x,0.5), last(y)"), &arena, &stream, &err), SW_OK);
    assert_int_equal(stream.aggregate_count, 3);
    assert_str(stream.aggregates[1].name, "quantile_x_0.5");
    assert_str(stream.aggregates[2].name, "last_y");
    sw_arena_release(&arena);
}

static void wrong_lists_say_what_is_wrong(void **state) {
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"", "cannot read aggregate"},
        {"sum", "'sum': expected name=function(column)"},
        {"sum(x", "expected name=function(column)"},
        {"sum x)", "expected name=function(column)"},
        {"sum(x)y", "expected name=function(column)"},
        {"mode(x)", "unknown aggregate function 'mode'; there are count, first, last"},
        {"Sum(x)", "unknown aggregate function 'Sum'"},
        {"=sum(x,y)", "sum() takes 1 argument, not 2"},
        {"vwap(x)", "vwap() takes 2 arguments, not 1"},
        {"vwap(,x)", "vwap() lacks the name of a column"},
        {"vwap(x,)", "vwap() takes 2 arguments, not 1"},
        {"rate(x)", "rate() takes 0 arguments, not 1"},
        {"count(x,y)", "count() takes 0 arguments, not 2"},
        {"sum(a,b,c,d)", "too many arguments"},
        {"quantile(x,1.01)", "wants a share from 0 to 1, not '1.01'"},
        {"quantile(x,nan)", "wants a share from 0 to 1"},
        {"quantile(x,0.5x)", "wants a share from 0 to 1"},
        {"topk(x,0)", "wants a count from 1 to 100"},
        {"topk(x,101)", "wants a count from 1 to 100"},
        {"topk(x,2.5)", "wants a count from 1 to 100"},
        {"sum(x),sum(x)", "two output columns are called 'sum_x'"},
        {"window_start_ns=sum(x)", "two output columns are called 'window_start_ns'"},
        {"key=sum(x)", "two output columns are called 'key'"},
        {"anomaly=sum(x)", "two output columns are called 'anomaly'"},
        {"open=sum(x)", NULL}, /* only a member of query answers, where the aggregate's own name comes first */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_arena arena = {0};
        struct sw_stream stream = {.keys = {SW_STR("key")}, .key_count = 1};
        struct sw_error err = {0};
        enum sw_status status = sw_aggregates_parse(sw_str_from(rows[i].text), &arena, &stream, &err);
        if (status != (rows[i].said ? SW_INVALID : SW_OK) || (rows[i].said && !strstr(err.text, rows[i].said)))
            fail_msg("'%s' gave %d '%s'", rows[i].text, status, err.text);
        sw_arena_release(&arena);
    }
}

static void as_many_as_fit(void **state) {
    for (unsigned count = SW_MAX_AGGREGATES; count <= SW_MAX_AGGREGATES + 1; count++) {
        struct sw_arena arena = {0};
        struct sw_stream stream = {0};
        struct sw_buf text = {0};
        struct sw_error err = {0};
        for (unsigned i = 0; i < count; i++)
            assert_int_equal(sw_buf_append_format(&text, "%sa%u=sum(x)", i ? "," : "", i), SW_OK);
        assert_int_equal(sw_aggregates_parse(sw_buf_view(&text), &arena, &stream, &err),
                         count == SW_MAX_AGGREGATES ? SW_OK : SW_LIMIT);
        sw_buf_release(&text);
        sw_arena_release(&arena);
    }
}

static void every_allocation_may_fail(void **state) {
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status != SW_OK; nth++) {
        struct sw_arena arena = {0};
        struct sw_stream stream = {0};
        struct sw_error err = {0};
        assert_true(nth < 100);
        sw_mem_fail_at(nth);
        status = sw_aggregates_parse(SW_STR("sum(x),quantile(y,0.5),a=count()"), &arena, &stream, &err);
        sw_mem_fail_at(0);
        assert_true(status == SW_OK || (status == SW_NOMEM && strstr(err.text, "out of memory")));
        sw_arena_release(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(commas_inside_and_between),
        cmocka_unit_test(wrong_lists_say_what_is_wrong),
        cmocka_unit_test(as_many_as_fit),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
