/* test_gil_experiment.c - The heartbeat's figures, and plans that cannot be run. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/gil_experiment.h"

static void figures_are_those_of_the_samples(void **state) {
    int64_t late[200];
    for (int64_t i = 0; i < 200; i++)
        late[(i * 77) % 200] = i + 1; /* 1 to 200 in another order */
    struct sw_gil_phase phase = {.latency_ns = late, .count = 200};
    struct sw_gil_latency latency;
    assert_int_equal(sw_gil_latency_of(&phase, 150, &latency), SW_OK);
    assert_true(latency.min == 1 && latency.max == 200);
    assert_true(latency.mean == 100.5);
    assert_true(latency.p50 == 100);
    assert_true(latency.p99 == 198);
    assert_int_equal(latency.breaches, 50);
}

static void no_samples_no_figures(void **state) {
    struct sw_gil_phase phase = {.count = 0};
    struct sw_gil_latency latency;
    assert_int_equal(sw_gil_latency_of(&phase, 1, &latency), SW_OK);
    assert_true(isnan(latency.min) && isnan(latency.mean) && isnan(latency.p50) && isnan(latency.p99));
    assert_int_equal(latency.breaches, 0);
    sw_mem_fail_at(1);
    assert_int_equal(sw_gil_latency_of(&phase, 1, &latency), SW_NOMEM);
    sw_mem_fail_at(0);
}

static void impossible_plans_are_refused(void **state) {
    const struct sw_gil_plan good = {.python = "/nonexistent",
                                     .script = SW_STR("pass"),
                                     .work = "python",
                                     .period_ns = SW_NS_PER_MS,
                                     .duration_ns = SW_NS_PER_S,
                                     .phases = {{"baseline", 0, 0}},
                                     .phase_count = 1};
    struct sw_gil_plan plans[] = {good, good, good, good};
    plans[0].phase_count = 0;
    plans[1].period_ns = 10;
    plans[2].duration_ns = SW_NS_PER_MS;
    plans[3].phases[0].workers = SW_GIL_WORKERS_MAX + 1;
    struct sw_gil_experiment *experiment = NULL;
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++)
        assert_int_equal(sw_gil_experiment_start(&experiment, &plans[i], NULL), SW_INVALID);
    struct sw_error err;
    assert_int_equal(sw_gil_experiment_start(&experiment, &good, &err), SW_NOTFOUND);
    assert_string_equal(err.text, "cannot start the interpreter /nonexistent: No such file or directory");
    for (size_t nth = 1; nth <= 3; nth++) {
        sw_mem_fail_at(nth);
        assert_int_equal(sw_gil_experiment_start(&experiment, &good, NULL), SW_NOMEM);
    }
    sw_mem_fail_at(0);
    assert_null(experiment);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_of_the_samples),
        cmocka_unit_test(no_samples_no_figures),
        cmocka_unit_test(impossible_plans_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
