/* test_stage.c - Durations in buckets: quantiles within a bucket's width, and intervals between two looks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/stage.h"

static void quantile_is_at_most_19_percent_above(void **state) {
    for (uint64_t ns = 1; ns < UINT64_C(1) << 39; ns += 1 + ns / 7) {
        struct sw_stage stage = {0};
        struct sw_stage_seen seen = {0};
        uint32_t interval[SW_STAGE_BUCKETS] = {0};
        sw_stage_add(&stage, (int64_t)ns);
        sw_stage_since(&stage, &seen, interval);
        uint64_t found = sw_stage_quantile(interval, 0.5);
        assert_true(found >= ns);
        assert_true((double)found <= (double)ns * 1.26 + 1);
    }
}

static void ranks(void **state) {
    struct sw_stage stage = {0};
    struct sw_stage_seen seen = {0};
    uint32_t interval[SW_STAGE_BUCKETS] = {0};
    for (int i = 0; i < 99; i++)
        sw_stage_add(&stage, 100);
    sw_stage_add(&stage, 1000000);
    sw_stage_since(&stage, &seen, interval);
    assert_true(sw_stage_quantile(interval, 0.5) < 130);
    assert_true(sw_stage_quantile(interval, 0.98) < 130);
    assert_true(sw_stage_quantile(interval, 1) >= 1000000);
    assert_int_equal(stage.total_ns, 99 * 100 + 1000000);
}

static void only_what_came_since_the_last_look(void **state) {
    struct sw_stage stage = {0};
    struct sw_stage_seen seen = {0};
    uint32_t first[SW_STAGE_BUCKETS] = {0};
    uint32_t second[SW_STAGE_BUCKETS] = {0};
    uint32_t third[SW_STAGE_BUCKETS] = {0};
    sw_stage_add(&stage, 1000000);
    sw_stage_since(&stage, &seen, first);
    sw_stage_add(&stage, 10);
    sw_stage_since(&stage, &seen, second);
    sw_stage_since(&stage, &seen, third);
    assert_true(sw_stage_quantile(first, 0.5) >= 1000000);
    assert_true(sw_stage_quantile(second, 1) < 20);
    assert_int_equal(sw_stage_quantile(third, 0.5), 0);
}

static void clocks_that_go_back_and_endless_durations(void **state) {
    struct sw_stage stage = {0};
    sw_stage_add(&stage, -5);
    sw_stage_add(&stage, INT64_MAX);
    assert_int_equal(stage.counts[0], 1);
    assert_int_equal(stage.counts[SW_STAGE_BUCKETS - 1], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantile_is_at_most_19_percent_above),
        cmocka_unit_test(ranks),
        cmocka_unit_test(only_what_came_since_the_last_look),
        cmocka_unit_test(clocks_that_go_back_and_endless_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
