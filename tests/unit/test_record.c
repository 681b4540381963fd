/* test_record.c - Every primitive against the plainest way to compute the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/record.h"
#include "engine/text_hash.h"
#include "engine_parts.h"

#define RECORDS 3
#define ROWS 2000

/* What a row brings: numbers a and b, text c. */
struct row {
    int64_t time_ns;
    double a, b;
    const char *text; /* NULL: missing */
    unsigned record;
};

struct bench {
    struct parts parts;
    struct sw_batch_pool pool;
    struct sw_batch *batch;
    char *records[RECORDS];
};

static void bench_open(struct bench *bench, const char *aggregates) {
    *bench = (struct bench){0};
    parts_init(&bench->parts, aggregates, 0);
    sw_batch_pool_init(&bench->pool, &bench->parts.plan, 1);
    if (sw_batch_take(&bench->pool, &bench->batch) != SW_OK)
        abort();
    for (unsigned i = 0; i < RECORDS; i++) {
        bench->records[i] = sw_alloc_aligned(16, bench->parts.plan.record_bytes);
        if (!bench->records[i])
            abort();
        sw_record_blank(&bench->parts.plan, bench->records[i]);
    }
}

static void bench_close(struct bench *bench) {
    for (unsigned i = 0; i < RECORDS; i++) {
        sw_record_release(&bench->parts.plan, bench->records[i]);
        sw_free(bench->records[i]);
    }
    atomic_store(&bench->batch->references, 1);
    atomic_fetch_add(&bench->pool.in_flight, 1);
    sw_batch_put(bench->batch);
    sw_batch_pool_release(&bench->pool);
    parts_release(&bench->parts);
}

static void row_write(struct bench *bench, uint32_t at, const struct row *row) {
    struct sw_batch *batch = bench->batch;
    batch->time_ns[at] = row->time_ns;
    for (unsigned i = 0; i < bench->parts.plan.field_count; i++) {
        const struct sw_field *field = &bench->parts.plan.fields[i];
        struct sw_str text = sw_str_from(row->text);
        if (field->num_slot != SW_NO_SLOT)
            batch->num[field->num_slot][at] = field->name.ptr[0] == 'a' ? row->a : row->b;
        if (field->hash_slot != SW_NO_SLOT)
            batch->hash[field->hash_slot][at] = row->text ? sw_text_hash(text.ptr, text.len) : 0;
        if (field->text_slot == SW_NO_SLOT)
            continue;
        uint32_t offset = (uint32_t)batch->text_bytes.len;
        batch->text[field->text_slot][at] = (struct sw_text_ref){offset, row->text ? (uint32_t)text.len : UINT32_MAX};
        if (sw_buf_append(&batch->text_bytes, text) != SW_OK)
            abort();
    }
}

/* In chunks, each of them first the rows at even places, so that the row numbers of a call have gaps. */
static enum sw_status bench_add(struct bench *bench, const struct row *rows, uint32_t count) {
    enum sw_status status = SW_OK;
    sw_buf_clear(&bench->batch->text_bytes);
    for (uint32_t i = 0; i < count; i++)
        row_write(bench, i, &rows[i]);
    for (uint32_t begin = 0; begin < count; begin += SW_CHUNK_ROWS) {
        struct sw_rows some = {.count = 0};
        for (uint32_t i = begin; i < begin + SW_CHUNK_ROWS && i < count; i++) {
            some.record[some.count] = bench->records[rows[i].record];
            some.index[some.count++] = (uint16_t)i;
        }
        status = status == SW_OK ? sw_records_update(&bench->parts.plan, bench->batch, &some) : status;
    }
    return status;
}

static double value_of(const struct bench *bench, unsigned record, unsigned output) {
    return sw_record_value(&bench->parts.plan, bench->records[record], output);
}

static bool is_same(double a, double b) {
    return (isnan(a) && isnan(b)) || a == b;
}

static void exact_cases(void **state) {
    static const struct {
        const char *aggregate;
        struct row rows[10];
        unsigned count;
        double expected;
    } cases[] = {
        {"count()", {{0}}, 0, 0},
        {"count()", {{.a = NAN}, {.a = 1}}, 2, 2},
        {"rate()", {{.a = NAN}, {.a = 1}}, 2, 2e8}, /* rows in 10 ns */
        {"count(c)", {{.text = "x"}, {.text = NULL}, {.text = "x"}}, 3, 2},
        {"sum(a)", {{0}}, 0, NAN},
        {"sum(a)", {{.a = NAN}, {.a = NAN}}, 2, NAN},
        {"sum(a)", {{.a = 1}, {.a = NAN}, {.a = 2}}, 3, 3},
        {"sum(a)", {{.a = 0}}, 1, 0},
        {"sum(a)", {{.a = 1e16}, {.a = 1}, {.a = -1e16}}, 3, 1},
        {"sum(a)", {{.a = 1}, {.a = 1e100}, {.a = 1}, {.a = -1e100}}, 4, 2},
        {"sum(a)",
         {{.a = .1}, {.a = .1}, {.a = .1}, {.a = .1}, {.a = .1}, {.a = .1}, {.a = .1}, {.a = .1}, {.a = .1}, {.a = .1}},
         10,
         1},
        {"sum(a)", {{.a = 1.7e308}, {.a = 1.7e308}}, 2, INFINITY},
        {"mean(a)", {{.a = NAN}}, 1, NAN},
        {"mean(a)", {{.a = 1e15}, {.a = 1e15 + 2}}, 2, 1e15 + 1},
        {"mean(a)", {{.a = 7}}, 1, 7},
        {"variance(a)", {{.a = 4}}, 1, NAN},
        {"variance(a)", {{.a = 4}, {.a = NAN}}, 2, NAN},
        {"variance(a)", {{.a = 4}, {.a = 4}}, 2, 0},
        {"variance(a)", {{.a = 1e15 + 4}, {.a = 1e15 + 7}, {.a = 1e15 + 13}, {.a = 1e15 + 16}}, 4, 30},
        {"stddev(a)", {{.a = -1e15}, {.a = -1e15 - 2}, {.a = -1e15 - 4}}, 3, 2},
        {"min(a)", {{0}}, 0, NAN},
        {"min(a)", {{.a = NAN}}, 1, NAN},
        {"min(a)", {{.a = 3}, {.a = NAN}, {.a = -2}}, 3, -2},
        {"max(a)", {{.a = NAN}}, 1, NAN},
        {"max(a)", {{.a = -3}, {.a = NAN}, {.a = -2}}, 3, -2},
        {"first(a)", {{0}}, 0, NAN},
        {"first(a)", {{5, .a = 1}, {4, .a = 2}, {4, .a = 3}}, 3, 2},
        {"first(a)", {{4, .a = NAN}, {5, .a = 6}}, 2, 6},
        {"last(a)", {{0}}, 0, NAN},
        {"last(a)", {{4, .a = 1}, {5, .a = 2}, {5, .a = 3}, {4, .a = 4}}, 4, 3},
        {"last(a)", {{4, .a = 1}, {5, .a = NAN}}, 2, 1},
        {"last(a)", {{-7, .a = 1}, {-8, .a = 2}}, 2, 1},
        {"vwap(a,b)", {{0}}, 0, NAN},
        {"vwap(a,b)", {{.a = 10, .b = 1}, {.a = 20, .b = 3}}, 2, 17.5},
        {"vwap(a,b)", {{.a = 10, .b = NAN}, {.a = NAN, .b = 5}, {.a = 20, .b = 3}}, 3, 20},
        {"vwap(a,b)", {{.a = 10, .b = 0}}, 1, NAN}, /* no weight, no mean */
        {"median(a)", {{.a = NAN}}, 1, NAN},
        {"distinct(c)", {{.text = NULL}}, 1, 0},
        {"distinct(c)", {{.text = "x"}, {.text = "y"}, {.text = NULL}, {.text = "x"}}, 4, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench bench;
        bench_open(&bench, cases[i].aggregate);
        assert_int_equal(bench_add(&bench, cases[i].rows, cases[i].count), SW_OK);
        double value = value_of(&bench, 0, 0);
        if (!is_same(value, cases[i].expected))
            fail_msg("case %zu, %s: %.17g, expected %.17g", i, cases[i].aggregate, value, cases[i].expected);
        bench_close(&bench);
    }
}

enum { COUNT, PRESENT, FIRST, LAST, MIN, MAX, SUM, MEAN, VARIANCE, VWAP, P90, P50, DISTINCT, OUTPUTS };
#define ALL \
    "count(),count(a),first(a),last(a),min(a),max(a),sum(a),mean(a),variance(a),vwap(a,b),quantile(a,0.9)," \
    "median(a),distinct(c)"

static int compare(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void moments_reference(const double *values, size_t count, double expected[OUTPUTS]) {
    long double sum = 0;
    long double squares = 0;
    for (size_t i = 0; i < count; i++)
        sum += (long double)values[i];
    for (size_t i = 0; i < count; i++)
        squares +=
            ((long double)values[i] - sum / (long double)count) * ((long double)values[i] - sum / (long double)count);
    expected[SUM] = (double)sum;
    expected[MEAN] = (double)(sum / (long double)count);
    expected[VARIANCE] = (double)(squares / ((long double)count - 1));
}

/* The rows of one record, the long way round. */
static void reference(const struct row *rows, unsigned count, unsigned record, double expected[OUTPUTS]) {
    static double values[ROWS];
    size_t present = 0;
    int64_t first_ns = INT64_MAX;
    int64_t last_ns = INT64_MIN;
    long double products = 0;
    long double weights = 0;
    bool is_seen[64] = {false};
    memset(expected, 0, OUTPUTS * sizeof *expected);
    for (unsigned i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        if (row->record != record)
            continue;
        expected[COUNT]++;
        if (row->text && !is_seen[(unsigned char)row->text[0] & 63]) {
            is_seen[(unsigned char)row->text[0] & 63] = true;
            expected[DISTINCT]++;
        }
        if (isnan(row->a))
            continue;
        values[present++] = row->a;
        expected[FIRST] = row->time_ns < first_ns ? row->a : expected[FIRST];
        first_ns = row->time_ns < first_ns ? row->time_ns : first_ns;
        expected[LAST] = row->time_ns >= last_ns ? row->a : expected[LAST];
        last_ns = row->time_ns >= last_ns ? row->time_ns : last_ns;
        products += isnan(row->b) ? 0 : (long double)row->a * (long double)row->b;
        weights += isnan(row->b) ? 0 : (long double)row->b;
    }
    moments_reference(values, present, expected);
    qsort(values, present, sizeof values[0], compare);
    expected[PRESENT] = (double)present;
    expected[MIN] = values[0];
    expected[MAX] = values[present - 1];
    expected[VWAP] = (double)(products / weights);
    expected[P90] = values[(size_t)(0.9 * (double)(present - 1))];
    expected[P50] = values[(present - 1) / 2];
}

static uint64_t random_next(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static void rows_make(struct row *rows, unsigned count, double offset) {
    static const char *const texts[] = {"a", "b", "c", "d", "e", NULL};
    uint64_t seed = 42;
    for (unsigned i = 0; i < count; i++) {
        rows[i].time_ns = (int64_t)(random_next(&seed) % 50) - 25;
        rows[i].a = random_next(&seed) % 10 == 0 ? NAN : offset + (double)(random_next(&seed) % 100000) / 64;
        rows[i].b = random_next(&seed) % 10 == 0 ? NAN : (double)(random_next(&seed) % 1000) / 8;
        rows[i].text = texts[random_next(&seed) % 6];
        rows[i].record = (unsigned)(random_next(&seed) % RECORDS);
    }
}

static void many_rows_of_several_records(void **state) {
    static const double tolerance[OUTPUTS] = {
        [SUM] = 1e-15, [MEAN] = 1e-13, [VARIANCE] = 1e-9, [VWAP] = 1e-13, [P90] = 0.01, [P50] = 0.01};
    static const double offsets[] = {0, -500, 1e9, -1e12};
    static struct row rows[ROWS];
    for (size_t o = 0; o < sizeof offsets / sizeof offsets[0]; o++) {
        struct bench bench;
        bench_open(&bench, ALL);
        rows_make(rows, ROWS, offsets[o]);
        for (unsigned begin = 0; begin < ROWS; begin += ROWS / 4)
            assert_int_equal(bench_add(&bench, rows + begin, ROWS / 4), SW_OK);
        for (unsigned record = 0; record < RECORDS; record++) {
            double expected[OUTPUTS];
            reference(rows, ROWS, record, expected);
            for (unsigned i = 0; i < OUTPUTS; i++) {
                double value = value_of(&bench, record, i);
                if (!(fabs(value - expected[i]) <= tolerance[i] * fabs(expected[i])))
                    fail_msg("offset %g, output %u: %.17g, expected %.17g", offsets[o], i, value, expected[i]);
            }
        }
        bench_close(&bench);
    }
}

static void records_may_be_moved(void **state) {
    static struct row rows[ROWS];
    struct bench moving, staying;
    bench_open(&moving, ALL ",topk(c,3)");
    bench_open(&staying, ALL ",topk(c,3)");
    rows_make(rows, ROWS, 0);
    size_t bytes = moving.parts.plan.record_bytes;
    for (unsigned begin = 0; begin < ROWS; begin += 100) {
        assert_int_equal(bench_add(&staying, rows + begin, 100), SW_OK);
        assert_int_equal(bench_add(&moving, rows + begin, 100), SW_OK);
        for (unsigned i = 0; i < RECORDS; i++) {
            char *moved = sw_alloc_aligned(16, bytes);
            assert_non_null(moved);
            memcpy(moved, moving.records[i], bytes);
            memset(moving.records[i], 0xee, bytes);
            sw_free(moving.records[i]);
            moving.records[i] = moved;
        }
    }
    for (unsigned record = 0; record < RECORDS; record++)
        for (unsigned i = 0; i <= OUTPUTS; i++)
            assert_true(is_same(value_of(&moving, record, i), value_of(&staying, record, i)));
    bench_close(&moving);
    bench_close(&staying);
}

static void quantiles_are_cut_to_kept_extremes(void **state) {
    static const struct { double q, expected; } rows[] = {{0, -3.3}, {1, 7.7}};
    static const struct row values[] = {{.a = 7.7}, {.a = -3.3}, {.a = 0.4}, {.a = NAN}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char aggregates[64];
        struct bench bench;
        snprintf(aggregates, sizeof aggregates, "quantile(a,%g),min(a),max(a)", rows[i].q);
        bench_open(&bench, aggregates);
        assert_int_equal(bench_add(&bench, values, 4), SW_OK);
        assert_true(value_of(&bench, 0, 0) == rows[i].expected);
        assert_true(isnan(value_of(&bench, 1, 0))); /* of a record without rows */
        bench_close(&bench);
    }
    struct bench constant;
    static const struct row same[] = {{.a = 5.3}, {.a = 5.3}, {.a = 5.3}};
    bench_open(&constant, "quantile(a,0.99),min(a),max(a)");
    assert_int_equal(bench_add(&constant, same, 3), SW_OK);
    assert_true(value_of(&constant, 0, 0) == 5.3);
    bench_close(&constant);
}

static void topk_is_json(void **state) {
    static const struct row rows[] = {{.text = "b"}, {.text = NULL},    {.text = "a\"\n"}, {.text = "c"},
                                      {.text = "b"}, {.text = "a\"\n"}, {.text = ""}};
    struct bench bench;
    struct sw_buf out = {0};
    bench_open(&bench, "topk(c,3)");
    assert_int_equal(bench_add(&bench, rows, 7), SW_OK);
    assert_true(isnan(value_of(&bench, 0, 0)));
    assert_int_equal(sw_buf_append(&out, SW_STR("before")), SW_OK);
    assert_int_equal(sw_record_text(&bench.parts.plan, bench.records[0], 0, &out), SW_OK);
    assert_true(sw_str_eq(sw_buf_view(&out),
                          SW_STR("before[{\"value\":\"a\\\"\\n\",\"count\":2,\"error\":0},{\"value\":\"b\",\"count\":2,"
                                 "\"error\":0},{\"value\":\"\",\"count\":1,\"error\":0}]")));
    sw_buf_clear(&out);
    assert_int_equal(sw_record_text(&bench.parts.plan, bench.records[1], 0, &out), SW_OK);
    assert_true(sw_str_eq(sw_buf_view(&out), SW_STR("[]")));
    sw_buf_release(&out);
    bench_close(&bench);
}

static void every_allocation_may_fail(void **state) {
    static struct row rows[ROWS];
    static char texts[ROWS][8];
    enum sw_status status = SW_NOMEM;
    rows_make(rows, ROWS, 0);
    for (unsigned i = 0; i < ROWS; i++) {
        snprintf(texts[i], sizeof texts[i], "t%u", i % 1500);
        rows[i].text = texts[i];
    }
    for (size_t nth = 1; status != SW_OK; nth++) {
        struct bench bench;
        struct sw_buf out = {0};
        bench_open(&bench, ALL ",topk(c,3)");
        assert_true(nth < PARTS_FAILURES_MAX);
        assert_int_equal(sw_buf_reserve(&bench.batch->text_bytes, 1 << 16), SW_OK);
        sw_mem_fail_at(nth);
        status = bench_add(&bench, rows, ROWS);
        if (status == SW_OK)
            status = sw_record_text(&bench.parts.plan, bench.records[0], OUTPUTS, &out);
        sw_mem_fail_at(0);
        assert_true(status == SW_OK || status == SW_NOMEM);
        sw_buf_release(&out);
        bench_close(&bench);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_cases),          cmocka_unit_test(many_rows_of_several_records),
        cmocka_unit_test(records_may_be_moved), cmocka_unit_test(quantiles_are_cut_to_kept_extremes),
        cmocka_unit_test(topk_is_json),         cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
