/* test_slice.c - Time and group to record: windows, growth, records that stay where they are, memory used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/slice.h"
#include "engine_parts.h"
#include "sketch/ddsketch.h"

static struct parts plain; /* a record is one count */
static struct parts heavy; /* a record is a quantile sketch */
static struct sw_slices slices;

static int group_setup(void **state) {
    parts_init(&plain, "count()", 0);
    parts_init(&heavy, "median(a)", 0);
    return 0;
}

static int group_teardown(void **state) {
    parts_release(&plain);
    parts_release(&heavy);
    return 0;
}

static int setup(void **state) {
    sw_slices_init(&slices, &plain.plan);
    return 0;
}

static int teardown(void **state) {
    sw_slices_release(&slices);
    return 0;
}

static uint64_t *record(int64_t time_ns, uint32_t group) {
    char *out = NULL;
    assert_int_equal(sw_slices_record(&slices, time_ns, group, &out), SW_OK);
    assert_non_null(out);
    assert_int_equal((uintptr_t)out % 16, 0);
    return (uint64_t *)(void *)out;
}

static void one_record_for_each_window_and_group(void **state) {
    uint64_t *first = record(5, 1);
    assert_int_equal(*first, 0);
    *first = 77;
    assert_ptr_equal(record(0, 1), first);
    assert_ptr_equal(record(9, 1), first);
    assert_ptr_not_equal(record(9, 2), first);
    assert_ptr_not_equal(record(10, 1), first);
    assert_int_equal(*record(10, 1), 0);
    assert_int_equal(*record(9, 2), 0);
    assert_int_equal(*record(5, 1), 77);
    assert_int_equal(slices.open_count, 2);
}

static void windows_are_in_order_of_time(void **state) {
    static const int64_t times[] = {25, -1, 5, -10, -11, 9, 100, 99, INT64_MIN + 100, INT64_MAX - 100, 29};
    static const int64_t starts[] = {-20, -10, 0, 20, 90, 100};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        record(times[i], 3);
    assert_int_equal(slices.open_count, 8);
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        assert_int_equal(slices.open[i + 1]->start_ns, starts[i]);
    assert_true(slices.open[0]->start_ns <= INT64_MIN + 100 && slices.open[0]->start_ns > INT64_MIN + 90);
    assert_true(slices.open[7]->start_ns <= INT64_MAX - 100 && slices.open[7]->start_ns > INT64_MAX - 110);
}

static void many_groups_and_addresses_stay(void **state) {
    enum { GROUPS = 5000 };
    static uint64_t *at[2][GROUPS];
    for (uint32_t i = 0; i < GROUPS; i++)
        for (uint32_t w = 0; w < 2; w++) {
            at[w][i] = record(w * 10, i * 37);
            *at[w][i] = w * 1000000 + i;
        }
    for (uint32_t i = 0; i < GROUPS; i++)
        for (uint32_t w = 0; w < 2; w++) {
            assert_ptr_equal(record(w * 10, i * 37), at[w][i]);
            assert_int_equal(*at[w][i], w * 1000000 + i);
        }
    for (uint32_t w = 0; w < 2; w++) {
        assert_int_equal(slices.open[w]->group_count, GROUPS);
        for (uint32_t i = 0; i < GROUPS; i++) {
            assert_int_equal(slices.open[w]->groups[i], i * 37);
            assert_ptr_equal(sw_slice_record(slices.open[w], &plain.plan, i), at[w][i]);
        }
    }
}

/* Ids that are found directly and ids that are searched for, in turn and again in the next life of the slice. */
static void small_and_large_ids_side_by_side(void **state) {
    static const uint32_t ids[] = {
        0, 1000, SW_SLICE_DIRECT - 1, SW_SLICE_DIRECT, 1, SW_SLICE_DIRECT + 1, UINT32_MAX - 1};
    enum { IDS = sizeof ids / sizeof ids[0] };
    for (int64_t round = 0; round < 4; round++) {
        uint32_t used = round % 2 ? 3 : IDS; /* those of the life before must not be found */
        for (uint32_t i = 0; i < used; i++) {
            uint64_t *count = record(round * 10, ids[i]);
            assert_int_equal(*count, 0);
            *count = i + 1;
        }
        for (uint32_t i = 0; i < used; i++)
            assert_int_equal(*record(round * 10 + 9, ids[i]), i + 1);
        assert_int_equal(slices.open[0]->group_count, used);
        assert_memory_equal(slices.open[0]->groups, ids, used * sizeof ids[0]);
        sw_slices_drop(&slices, 1);
    }
}

static void memory_is_used_again(void **state) {
    size_t bytes = 0;
    for (int64_t round = 0; round < 20; round++) {
        for (int64_t w = 0; w < 3; w++)
            for (uint32_t group = 0; group < 100; group++) {
                uint64_t *count = record(round * 30 + w * 10, group);
                assert_int_equal(*count, 0);
                *count = 1;
            }
        if (round == 0)
            bytes = slices.bytes;
        assert_true(bytes > 0);
        assert_int_equal(slices.bytes, bytes);
        for (int w = 0; w < 3; w++)
            sw_slices_drop(&slices, 1);
        assert_int_equal(slices.open_count, 0);
    }
}

static void what_was_dropped_is_gone(void **state) {
    *record(5, 1) = 9;
    *record(15, 1) = 8;
    record(6, 1); /* the first window is the recent one */
    sw_slices_drop(&slices, 1);
    assert_int_equal(slices.open_count, 1);
    assert_int_equal(slices.open[0]->start_ns, 10);
    assert_int_equal(*record(15, 1), 8);
    assert_int_equal(*record(5, 1), 0);
    assert_int_equal(slices.open_count, 2);
    assert_int_equal(slices.open[0]->start_ns, 0);
}

static void rows_mark_their_slice_as_changed(void **state) {
    record(5, 1);
    record(15, 1);
    assert_true(slices.open[0]->is_changed && slices.open[1]->is_changed);
    slices.open[0]->is_changed = slices.open[1]->is_changed = false;
    record(6, 1);
    assert_true(slices.open[0]->is_changed && !slices.open[1]->is_changed);
    sw_slices_drop(&slices, 1);
    sw_slices_drop(&slices, 1);
    assert_false(slices.free->is_changed);
}

/* A leak would be told by the sanitizer. */
static void sketches_are_released(void **state) {
    struct sw_slices sketches;
    sw_slices_init(&sketches, &heavy.plan);
    for (int64_t time_ns = 0; time_ns < 100; time_ns += 10) {
        for (uint32_t group = 0; group < 20; group++) {
            char *out;
            assert_int_equal(sw_slices_record(&sketches, time_ns, group, &out), SW_OK);
            struct sw_ddsketch *sketch = (struct sw_ddsketch *)(void *)(out + heavy.plan.outputs[0].offset);
            assert_int_equal(sw_ddsketch_count(sketch), 0);
            for (int i = 0; i < 50; i++)
                assert_int_equal(sw_ddsketch_add(sketch, i * 1000.0), SW_OK);
        }
        if (time_ns >= 30)
            sw_slices_drop(&sketches, 1);
    }
    assert_int_equal(sketches.open_count, 3);
    sw_slices_release(&sketches);
}

/* 60 groups in each of 20 windows, half with ids that are searched for; *done counts what was there or added. */
static enum sw_status fill(uint32_t *done) {
    for (*done = 0; *done < 1200; ++*done) {
        char *out;
        enum sw_status status = sw_slices_record(&slices, *done / 60 * 10, *done % 60 + SW_SLICE_DIRECT - 30, &out);
        if (status != SW_OK)
            return status;
    }
    return SW_OK;
}

/* A failure leaves no trace, so the same again makes what was missing. */
static void every_allocation_may_fail(void **state) {
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status != SW_OK; nth++) {
        uint32_t done;
        uint32_t held = 0;
        assert_true(nth < PARTS_FAILURES_MAX);
        sw_mem_fail_at(nth);
        status = fill(&done);
        sw_mem_fail_at(0);
        assert_true(status == SW_OK || status == SW_NOMEM);
        for (uint32_t i = 0; i < slices.open_count; i++)
            held += slices.open[i]->group_count;
        assert_int_equal(held, done);
        assert_int_equal(fill(&done), SW_OK);
        assert_int_equal(slices.open_count, 20);
        for (uint32_t i = 0; i < 20; i++)
            assert_int_equal(slices.open[i]->group_count, 60);
        sw_slices_release(&slices);
        sw_slices_init(&slices, &plain.plan);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_record_for_each_window_and_group, setup, teardown),
        cmocka_unit_test_setup_teardown(windows_are_in_order_of_time, setup, teardown),
        cmocka_unit_test_setup_teardown(many_groups_and_addresses_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(small_and_large_ids_side_by_side, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_is_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_dropped_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_mark_their_slice_as_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(sketches_are_released, setup, teardown),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup, teardown),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
