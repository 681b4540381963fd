/* test_batch.c - Batches: their columns, their way home, and the room for more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine_parts.h"

static struct parts parts;

static int setup(void **state) {
    parts_init(&parts, "sum(a),last(b),distinct(c),topk(d,2),vwap(a,e)", 1);
    return 0;
}

static int teardown(void **state) {
    parts_release(&parts);
    return 0;
}

static void send(struct sw_batch_pool *pool, struct sw_batch *batch, unsigned workers) {
    atomic_store(&batch->references, workers);
    atomic_fetch_add(&pool->in_flight, 1);
}

/* Fills every cell with a value of its own and finds it again: no two columns share memory. */
static void columns_are_apart(void **state) {
    struct sw_batch_pool pool;
    struct sw_batch *batch;
    sw_batch_pool_init(&pool, &parts.plan, 4);
    assert_int_equal(parts.plan.num_count, 3);
    assert_int_equal(parts.plan.hash_count, 1);
    assert_int_equal(parts.plan.text_count, 1);
    assert_int_equal(sw_batch_take(&pool, &batch), SW_OK);
    assert_int_equal((uintptr_t)batch->time_ns % 64, 0);
    for (uint32_t row = 0; row < SW_BATCH_ROWS; row++) {
        batch->time_ns[row] = row;
        batch->group[row] = row + 1;
        for (unsigned i = 0; i < 3; i++)
            batch->num[i][row] = row * 10.0 + i;
        batch->hash[0][row] = row + 2;
        batch->text[0][row] = (struct sw_text_ref){row, row + 3};
    }
    for (uint32_t row = 0; row < SW_BATCH_ROWS; row++) {
        assert_int_equal(batch->time_ns[row], row);
        assert_int_equal(batch->group[row], row + 1);
        for (unsigned i = 0; i < 3; i++)
            assert_true(batch->num[i][row] == row * 10.0 + i);
        assert_int_equal(batch->hash[0][row], row + 2);
        assert_int_equal(batch->text[0][row].len, row + 3);
    }
    send(&pool, batch, 1);
    sw_batch_put(batch);
    sw_batch_pool_release(&pool);
}

static void the_last_reference_sends_it_home(void **state) {
    struct sw_batch_pool pool;
    struct sw_batch *batch, *other;
    sw_batch_pool_init(&pool, &parts.plan, 2);
    assert_int_equal(sw_batch_take(&pool, &batch), SW_OK);
    send(&pool, batch, 3);
    assert_true(sw_batch_pool_has_room(&pool));
    assert_int_equal(sw_batch_take(&pool, &other), SW_OK);
    assert_ptr_not_equal(batch, other);
    send(&pool, other, 1);
    assert_false(sw_batch_pool_has_room(&pool));
    sw_batch_put(batch);
    sw_batch_put(batch);
    assert_false(sw_batch_pool_has_room(&pool));
    sw_batch_put(batch);
    assert_true(sw_batch_pool_has_room(&pool));
    batch->rows = 7;
    batch->is_end = batch->is_idle = true;
    assert_int_equal(sw_buf_append(&batch->text_bytes, SW_STR("old")), SW_OK);
    struct sw_batch *again;
    assert_int_equal(sw_batch_take(&pool, &again), SW_OK);
    assert_ptr_equal(again, batch);
    assert_true(again->rows == 0 && !again->is_end && !again->is_idle && again->text_bytes.len == 0);
    send(&pool, again, 1);
    sw_batch_put(again);
    sw_batch_put(other);
    sw_batch_pool_release(&pool);
}

static void every_allocation_may_fail(void **state) {
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status != SW_OK; nth++) {
        struct sw_batch_pool pool;
        struct sw_batch *batch = NULL;
        sw_batch_pool_init(&pool, &parts.plan, 2);
        sw_mem_fail_at(nth);
        status = sw_batch_take(&pool, &batch);
        sw_mem_fail_at(0);
        assert_true((status == SW_OK) == (batch != NULL));
        if (batch) {
            send(&pool, batch, 1);
            sw_batch_put(batch);
        }
        sw_batch_pool_release(&pool);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_apart),
        cmocka_unit_test(the_last_reference_sends_it_home),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
