/* test_python_past.c - The last minute of a Python process: cells of its GIL, parts of its stacks, and their bounds. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "engine/python_past.h"

#define CELL ((int64_t)SW_LANE_CELL_NS)

static struct sw_past_lane *add(struct sw_past_lanes *lanes, int64_t cell, int64_t held_ns, int64_t waited_ns) {
    struct sw_lane_totals totals = {.address = 0x1000,
                                    .tid = 7,
                                    .is_main = true,
                                    .has_waits = waited_ns >= 0,
                                    .held_ns = held_ns,
                                    .waited_ns = waited_ns < 0 ? 0 : waited_ns};
    struct sw_past_lane *lane = NULL;
    bool is_new;
    assert_int_equal(sw_lanes_add(lanes, &totals, cell, CELL, &lane, &is_new), SW_OK);
    return lane;
}

static void test_cells_are_shares_of_what_was_measured(void **state) {
    struct sw_past_lanes lanes = {0};
    struct sw_past_lane *lane = add(&lanes, 1000, 5 * CELL, 0);
    assert_true(isnan(sw_lane_percent(lane, lane->held, 1000))); /* what came before is not this cell's */
    add(&lanes, 1001, 6 * CELL, CELL / 4);
    assert_true(fabs(sw_lane_percent(lane, lane->held, 1001) - 100) <= 0);
    assert_true(fabs(sw_lane_percent(lane, lane->waited, 1001) - 25) <= 0.3);
    add(&lanes, 1002, 6 * CELL, CELL / 4);
    assert_true(fabs(sw_lane_percent(lane, lane->held, 1002) - 0) <= 0);
    add(&lanes, 1003, 9 * CELL, -1); /* more than there is time for is all of it; waits were not seen */
    assert_true(fabs(sw_lane_percent(lane, lane->held, 1003) - 100) <= 0);
    assert_true(isnan(sw_lane_percent(lane, lane->waited, 1003)));
    assert_true(isnan(sw_lane_percent(lane, lane->held, 1004)));
    assert_true(isnan(sw_lane_percent(lane, lane->held, -1)));
    assert_int_equal(lanes.count, 1);
    sw_lanes_release(&lanes);
}

static void test_cells_left_out_are_absent(void **state) {
    struct sw_past_lanes lanes = {0};
    struct sw_past_lane *lane = add(&lanes, 5000, 0, 0);
    for (int64_t i = 1; i <= SW_LANE_CELLS; i++)
        add(&lanes, 5000 + i, i * CELL, 0);
    assert_true(fabs(sw_lane_percent(lane, lane->held, 5001) - 100) <= 0);
    add(&lanes, 5000 + SW_LANE_CELLS + 5, SW_LANE_CELLS * CELL, 0);
    for (int64_t i = 1; i < 5; i++)
        assert_true(isnan(sw_lane_percent(lane, lane->held, 5000 + SW_LANE_CELLS + i)));
    assert_true(isnan(sw_lane_percent(lane, lane->held, 5005))); /* older than a minute */
    assert_true(fabs(sw_lane_percent(lane, lane->held, 5006) - 100) <= 0);
    add(&lanes, 90000, SW_LANE_CELLS * CELL + CELL, 0); /* a long way on: nothing old is left */
    for (int64_t i = 1; i < SW_LANE_CELLS; i++)
        assert_true(isnan(sw_lane_percent(lane, lane->held, 90000 - i)));
    assert_true(fabs(sw_lane_percent(lane, lane->held, 90000) - 100) <= 0);
    sw_lanes_release(&lanes);
}

static void test_lanes_end_and_are_bounded(void **state) {
    struct sw_past_lanes lanes = {0};
    struct sw_past_lane *lane;
    bool is_new;
    for (int32_t i = 0; i < SW_LANES_MAX; i++) {
        struct sw_lane_totals totals = {.address = 0x1000, .tid = i};
        assert_int_equal(sw_lanes_add(&lanes, &totals, i < 2 ? 1 : 100, CELL, &lane, &is_new), SW_OK);
        assert_true(is_new);
    }
    struct sw_lane_totals more = {.address = 0x2000, .tid = 9999};
    assert_int_equal(sw_lanes_add(&lanes, &more, 100, CELL, &lane, &is_new), SW_LIMIT);
    sw_lanes_sweep(&lanes, SW_LANE_CELLS);
    assert_int_equal(lanes.count, SW_LANES_MAX);
    sw_lanes_sweep(&lanes, SW_LANE_CELLS + 1);
    assert_int_equal(lanes.count, SW_LANES_MAX - 2);
    assert_int_equal(sw_lanes_add(&lanes, &more, SW_LANE_CELLS + 1, CELL, &lane, &is_new), SW_OK);
    sw_lanes_release(&lanes);
}

/* One sample of the stack main -> name at `epoch_ns`. */
static void sample(struct sw_profile *profile, const char *name, int64_t epoch_ns) {
    struct sw_profile_frame frames[2] = {{.name = SW_STR("main"), .file = SW_STR("a.py"), .line = 1},
                                         {.name = sw_str_from(name), .file = SW_STR("a.py"), .line = 2}};
    struct sw_profile_track track = {.pid = 1, .tid = 2};
    struct sw_profile_sample one = {.epoch_ns = epoch_ns, .weight_ns = 10};
    uint32_t node = SW_PROFILE_ROOT, frame;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sw_profile_add_frame(profile, &frames[i], &frame), SW_OK);
        assert_int_equal(sw_profile_add_node(profile, node, frame, &node), SW_OK);
    }
    one.node = node;
    assert_int_equal(sw_profile_add_track(profile, &track, &one.track), SW_OK);
    assert_int_equal(sw_profile_add_sample(profile, &one), SW_OK);
}

static void test_the_last_seconds_are_collected(void **state) {
    struct sw_profile first = {.keeps_samples = true}, second = {.keeps_samples = true}, all = {0};
    sample(&first, "old", 100);
    sample(&first, "new", 200);
    sample(&first, "new", 300);
    sample(&second, "newer", 400);
    sample(&second, "new", 500);
    assert_int_equal(sw_past_collect(&all, &first, 200), SW_OK);
    assert_int_equal(sw_past_collect(&all, &second, 200), SW_OK);
    assert_int_equal(all.node_count, 4); /* root, main, new, newer: the old stack is not wanted */
    assert_int_equal(all.track_count, 1);
    assert_int_equal(all.total_count, 2);
    for (size_t i = 0; i < all.total_count; i++) {
        const struct sw_profile_total *total = &all.totals[i];
        bool is_new = sw_str_eq(all.frames[all.nodes[total->node].frame].name, SW_STR("new"));
        assert_int_equal(total->count, is_new ? 3 : 1);
        assert_int_equal(total->weight_ns, is_new ? 30 : 10);
    }
    assert_int_equal(sw_past_collect(&all, &first, 301), SW_OK);
    assert_int_equal(all.total_count, 2);
    sw_profile_release(&all);
    sw_profile_release(&first);
    sw_profile_release(&second);
}

static void test_collecting_survives_want_of_memory(void **state) {
    struct sw_profile from = {.keeps_samples = true};
    enum sw_status status = SW_NOMEM;
    sample(&from, "a", 1);
    sample(&from, "b", 2);
    for (size_t n = 1; status != SW_OK; n++) {
        struct sw_profile into = {0};
        sw_mem_fail_at(n);
        status = sw_past_collect(&into, &from, 0);
        sw_mem_fail_at(0);
        assert_true(status == SW_OK || status == SW_NOMEM);
        sw_profile_release(&into);
        assert_true(n < 1000);
    }
    sw_profile_release(&from);
}

static void test_parts_are_few_and_small(void **state) {
    struct sw_past past = {0};
    for (int64_t i = 1; i <= 10; i++) {
        struct sw_profile part = {.keeps_samples = true};
        sample(&part, "f", i);
        sw_past_add(&past, &part, i);
        assert_int_equal(part.sample_count, 0);
        assert_true(past.count < SW_PAST_PARTS);
    }
    assert_int_equal(past.count, SW_PAST_PARTS - 1);
    assert_int_equal(past.ends_ns[past.count - 1], 10);
    sw_past_drop_old(&past, 9);
    assert_int_equal(past.count, 2);
    assert_int_equal(past.ends_ns[0], 9);
    for (int64_t i = 11; i < 14; i++) { /* each takes most of what there is */
        struct sw_profile part = {.keeps_samples = true};
        for (int64_t k = 0; sw_past_part_bytes(&part) < SW_PAST_BYTES_MAX * 2 / 3; k++)
            sample(&part, "f", k);
        sw_past_add(&past, &part, i);
    }
    assert_int_equal(past.count, 1);
    assert_int_equal(past.ends_ns[0], 13);
    assert_true(sw_past_drop_oldest(&past));
    assert_false(sw_past_drop_oldest(&past));
    sw_past_release(&past);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells_are_shares_of_what_was_measured),
        cmocka_unit_test(test_cells_left_out_are_absent),
        cmocka_unit_test(test_lanes_end_and_are_bounded),
        cmocka_unit_test(test_the_last_seconds_are_collected),
        cmocka_unit_test(test_collecting_survives_want_of_memory),
        cmocka_unit_test(test_parts_are_few_and_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
