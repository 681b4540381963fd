/* test_results.c - Blocks of finished windows: growth that keeps what is there, and their way back to the pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/results.h"

static struct sw_results *take(struct sw_results_pool *pool, uint32_t values, uint32_t texts) {
    struct sw_results *results = NULL;
    assert_int_equal(sw_results_take(pool, &results), SW_OK);
    results->value_count = values;
    results->text_count = texts;
    return results;
}

static void row_add(struct sw_results *results) {
    uint32_t row = results->row_count++;
    results->groups[row] = row;
    results->marks[row] = row + 1;
    for (uint32_t i = 0; i < results->value_count; i++) {
        results->values[row * results->value_count + i] = row + i;
        results->scores[row * results->value_count + i] = (float)(row + 2 * i);
    }
    for (uint32_t i = 0; i < results->text_count; i++)
        results->texts[row * results->text_count + i] = (struct sw_text_ref){row, i};
}

static void rows_check(const struct sw_results *results) {
    for (uint32_t row = 0; row < results->row_count; row++) {
        assert_int_equal(results->groups[row], row);
        assert_int_equal(results->marks[row], row + 1);
        for (uint32_t i = 0; i < results->value_count; i++) {
            assert_true(results->values[row * results->value_count + i] == row + i);
            assert_true(results->scores[row * results->value_count + i] == (float)(row + 2 * i));
        }
        for (uint32_t i = 0; i < results->text_count; i++) {
            assert_int_equal(results->texts[row * results->text_count + i].offset, row);
            assert_int_equal(results->texts[row * results->text_count + i].len, i);
        }
    }
}

static void growth_keeps_rows_and_windows(void **state) {
    static const struct { uint32_t values, texts; } shapes[] = {{1, 0}, {3, 2}, {64, 0}, {2, 2}, {0, 0}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        struct sw_results_pool pool = {0};
        struct sw_results *results = take(&pool, shapes[s].values, shapes[s].texts);
        for (uint32_t window = 0; window < 100; window++) {
            uint32_t rows = window % 7;
            assert_int_equal(sw_results_reserve(results, rows), SW_OK);
            assert_int_equal(sw_results_window(results,
                                               (struct sw_window){window, window + 1, results->row_count, rows}),
                             SW_OK);
            for (uint32_t i = 0; i < rows; i++)
                row_add(results);
        }
        assert_int_equal(results->window_count, 100);
        assert_int_equal(results->row_count, 295);
        rows_check(results);
        for (uint32_t window = 0; window < 100; window++) {
            assert_int_equal(results->windows[window].start_ns, window);
            assert_int_equal(results->windows[window].row_count, window % 7);
        }
        sw_results_put(results);
        sw_results_pool_release(&pool);
    }
}

static void blocks_come_back_empty(void **state) {
    struct sw_results_pool pool = {0};
    struct sw_results *first = take(&pool, 1, 0);
    struct sw_results *second = take(&pool, 1, 0);
    assert_ptr_not_equal(first, second);
    assert_int_equal(first->arrival_mono_ns, INT64_MAX);
    assert_int_equal(sw_results_reserve(first, 1), SW_OK);
    row_add(first);
    assert_int_equal(sw_results_window(first, (struct sw_window){0, 1, 0, 1}), SW_OK);
    assert_int_equal(sw_buf_append(&first->text_bytes, SW_STR("[]")), SW_OK);
    first->is_open = first->is_end = true;
    first->arrival_mono_ns = 5;
    sw_results_put(first);
    struct sw_results *again = take(&pool, 1, 0);
    assert_ptr_equal(again, first);
    assert_true(again->row_count == 0 && again->window_count == 0 && again->text_bytes.len == 0);
    assert_true(!again->is_open && !again->is_end && again->arrival_mono_ns == INT64_MAX);
    sw_results_put(second);
    sw_results_put(again);
    sw_results_pool_release(&pool);
}

static void every_allocation_may_fail(void **state) {
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status != SW_OK; nth++) {
        struct sw_results_pool pool = {0};
        struct sw_results *results = NULL;
        assert_true(nth < 1000);
        sw_mem_fail_at(nth);
        status = sw_results_take(&pool, &results);
        assert_true((status == SW_OK) == (results != NULL));
        if (results) {
            results->value_count = 2;
            results->text_count = 1;
        }
        for (uint32_t i = 0; i < 300 && status == SW_OK; i++) {
            status = sw_results_reserve(results, 1);
            if (status == SW_OK)
                row_add(results);
            if (status == SW_OK)
                status = sw_results_window(results, (struct sw_window){i, i + 1, i, 1});
        }
        sw_mem_fail_at(0);
        if (results) { /* as it was, and good for more */
            rows_check(results);
            assert_int_equal(sw_results_reserve(results, 1000), SW_OK);
            rows_check(results);
            sw_results_put(results);
        }
        sw_results_pool_release(&pool);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growth_keeps_rows_and_windows),
        cmocka_unit_test(blocks_come_back_empty),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
