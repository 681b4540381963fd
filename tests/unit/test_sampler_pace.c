/* test_sampler_pace.c - One look in each period, no drift, no bursts; late looks stand for what they missed. */
#include "probe/sampler_pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define PERIOD INT64_C(1000000)
#define START INT64_C(5000000000)

static void looks_on_time_stand_for_one_period(void **unused) {
    struct sw_pace pace;
    sw_pace_init(&pace, PERIOD, START, 7);
    assert_int_equal(pace.due_ns, START);
    for (int64_t i = 0; i < 10000; i++) {
        int64_t due_ns = pace.due_ns;
        assert_true(due_ns >= START + i * PERIOD);
        assert_true(due_ns < START + (i + 1) * PERIOD);
        assert_int_equal(sw_pace_take(&pace, due_ns), PERIOD);
    }
    assert_int_equal(pace.looks, 10000);
    assert_int_equal(pace.missed, 0);
    assert_int_equal(pace.unobserved_ns, 0);
}

/* Thirds of the periods are hit equally often: 10,000 draws, expected 3333 each, standard deviation 47. */
static void moments_are_spread_over_the_period(void **unused) {
    struct sw_pace pace;
    int thirds[3] = {0};
    int64_t last_ns = 0, least_ns = PERIOD;
    sw_pace_init(&pace, PERIOD, START, 11);
    for (int i = 0; i < 10000; i++) {
        (void)sw_pace_take(&pace, pace.due_ns);
        thirds[(pace.due_ns - START) % PERIOD * 3 / PERIOD]++;
        if (i > 0 && pace.due_ns - last_ns < least_ns)
            least_ns = pace.due_ns - last_ns;
        last_ns = pace.due_ns;
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(thirds[i], 3333 - 250, 3333 + 250);
    assert_true(least_ns >= 0);
}

static void being_late_by_less_than_a_period_costs_nothing(void **unused) {
    struct sw_pace pace;
    sw_pace_init(&pace, PERIOD, START, 7);
    for (int i = 0; i < 10000; i++) /* into the next period, as a slow wake-up does */
        assert_int_equal(sw_pace_take(&pace, START + i * PERIOD + 2 * PERIOD - 1), PERIOD);
    assert_int_equal(pace.missed, 0);
}

static void being_later_skips_periods_and_weighs_more(void **unused) {
    struct sw_pace pace;
    sw_pace_init(&pace, PERIOD, START, 7);
    assert_int_equal(sw_pace_take(&pace, START), PERIOD);
    assert_int_equal(sw_pace_take(&pace, START + 10 * PERIOD), 10 * PERIOD); /* stands for periods 1 to 10 */
    assert_int_equal(pace.missed, 9);
    assert_true(pace.due_ns >= START + 11 * PERIOD); /* no burst to make up for it */
    assert_int_equal(sw_pace_take(&pace, pace.due_ns), PERIOD);
}

/* Whatever the lateness, the weights add up to the time that passed. */
static void weights_add_up_to_the_time(void **unused) {
    struct sw_pace pace;
    int64_t sum_ns = 0, late_ns = 0;
    sw_pace_init(&pace, PERIOD, START, 13);
    for (int64_t i = 0; i < 5000; i++) {
        late_ns = i * 7919 % (15 * PERIOD);
        sum_ns += sw_pace_take(&pace, pace.due_ns + late_ns);
    }
    assert_int_equal(sum_ns + pace.unobserved_ns, (pace.last + 1) * PERIOD);
    assert_true(sum_ns > pace.unobserved_ns);
    assert_true(pace.missed > 0);
    assert_int_equal(pace.looks + pace.missed, pace.last + 1);
}

static void a_long_gap_is_said_to_be_unobserved(void **unused) {
    struct sw_pace pace;
    sw_pace_init(&pace, PERIOD, START, 7);
    (void)sw_pace_take(&pace, START);
    assert_int_equal(sw_pace_take(&pace, START + 5000 * PERIOD), SW_PACE_GAP_MAX_PERIODS * PERIOD);
    assert_int_equal(pace.unobserved_ns, (5000 - SW_PACE_GAP_MAX_PERIODS) * PERIOD);
    sw_pace_init(&pace, PERIOD / 10, START, 7); /* ten times as often: the time counts, not the periods */
    (void)sw_pace_take(&pace, START);
    assert_int_equal(sw_pace_take(&pace, START + 5000 * PERIOD), SW_PACE_GAP_MAX_NS);
    assert_int_equal(pace.unobserved_ns, 5000 * PERIOD - SW_PACE_GAP_MAX_NS);
}

static void the_seed_decides_the_moments(void **unused) {
    struct sw_pace a, b, c;
    sw_pace_init(&a, PERIOD, START, 1);
    sw_pace_init(&b, PERIOD, START, 1);
    sw_pace_init(&c, PERIOD, START, 2);
    int differ = 0;
    for (int i = 0; i < 100; i++) {
        (void)sw_pace_take(&a, a.due_ns);
        (void)sw_pace_take(&b, b.due_ns);
        (void)sw_pace_take(&c, c.due_ns);
        assert_int_equal(a.due_ns, b.due_ns);
        differ += a.due_ns != c.due_ns;
    }
    assert_true(differ > 90);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_on_time_stand_for_one_period),
        cmocka_unit_test(moments_are_spread_over_the_period),
        cmocka_unit_test(being_late_by_less_than_a_period_costs_nothing),
        cmocka_unit_test(being_later_skips_periods_and_weighs_more),
        cmocka_unit_test(weights_add_up_to_the_time),
        cmocka_unit_test(a_long_gap_is_said_to_be_unobserved),
        cmocka_unit_test(the_seed_decides_the_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
