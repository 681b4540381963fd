/* test_flight_rule.c - Conditions of the flight recorder: their grammar, when they fire, and the metrics behind them. */
#include "probe/flight_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <math.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/flight_series.h"

static struct sw_flight_rule rule_of(const char *text) {
    struct sw_flight_rule rule;
    struct sw_error err = {0};
    enum sw_status status = sw_flight_rule_parse(&rule, sw_str_from(text), &err);
    if (status != SW_OK)
        print_message("%s\n", err.text);
    assert_int_equal(status, SW_OK);
    return rule;
}

static void conditions_are_read(void **unused) {
    static const struct {
        const char *text;
        enum sw_flight_metric metric;
        enum sw_flight_relation relation;
        double threshold;
    } cases[] = {
        {"cpu>90%", SW_FLIGHT_CPU, SW_FLIGHT_ABOVE, 90},
        {" cpu >= 12.5% ", SW_FLIGHT_CPU, SW_FLIGHT_AT_LEAST, 12.5},
        {"gil_held<80%", SW_FLIGHT_GIL_HELD, SW_FLIGHT_BELOW, 80},
        {"gil_wait_p99>50ms", SW_FLIGHT_GIL_WAIT_P99, SW_FLIGHT_ABOVE, 50e6},
        {"loop_lag>1.5s", SW_FLIGHT_LOOP_LAG, SW_FLIGHT_ABOVE, 1.5e9},
        {"rss<=2GiB", SW_FLIGHT_RSS, SW_FLIGHT_AT_MOST, 2147483648.0},
        {"rss_growth>10MiB/min", SW_FLIGHT_RSS_GROWTH, SW_FLIGHT_ABOVE, 10485760.0},
        {"rss_growth>1MiB/s", SW_FLIGHT_RSS_GROWTH, SW_FLIGHT_ABOVE, 62914560.0},
        {"rss_growth>60MiB/h", SW_FLIGHT_RSS_GROWTH, SW_FLIGHT_ABOVE, 1048576.0},
        {"rss_growth<-1KiB/min", SW_FLIGHT_RSS_GROWTH, SW_FLIGHT_BELOW, -1024.0},
        {"threads>200", SW_FLIGHT_THREADS, SW_FLIGHT_ABOVE, 200},
        {"exit", SW_FLIGHT_EXIT, SW_FLIGHT_ABOVE, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sw_flight_rule rule = rule_of(cases[i].text);
        assert_int_equal(rule.metric, cases[i].metric);
        assert_int_equal(rule.relation, cases[i].relation);
        assert_true(fabs(rule.threshold - cases[i].threshold) <= 1e-6 * fabs(cases[i].threshold));
        assert_null(strchr(rule.text, ' '));
    }
}

static void errors_say_what_is_wanted(void **unused) {
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "there is no metric"},
        {"cpuu>90%", "gil_wait_p99"},
        {"cpu", "a percentage such as 90%"},
        {"cpu>90", "a percentage such as 90%"},
        {"cpu>%", "a percentage such as 90%"},
        {"cpu>-5%", "a percentage such as 90%"},
        {"cpu=90%", "there is no metric 'cpu=90%'"},
        {"cpu>>90%", "a percentage"},
        {"gil_wait_p99>50", "a time such as 50ms"},
        {"loop_lag>50%", "a time such as 50ms"},
        {"rss>2apples", "a size such as 2GiB"},
        {"rss_growth>10MiB", "10MiB/min"},
        {"rss_growth>10MiB/year", "10MiB/min"},
        {"threads>20ms", "no unit"},
        {"exit>1", "exit stands alone"},
        {"cpu>100000000000000000000000000000000000000000000000000000000000000000%", "at most 63 characters"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sw_flight_rule rule = {.threshold = 7};
        struct sw_error err = {0};
        assert_int_equal(sw_flight_rule_parse(&rule, sw_str_from(cases[i].text), &err), SW_INVALID);
        if (!strstr(err.text, cases[i].said))
            print_message("'%s' gave: %s\n", cases[i].text, err.text);
        assert_non_null(strstr(err.text, cases[i].said));
        assert_true(rule.threshold == 7);
    }
}

/* Each step: a value, whether it may fire, whether it does. */
static void triggers_fire_on_the_way_up(void **unused) {
    static const struct {
        double value;
        bool may_fire, fires;
    } steps[] = {
        {50, true, false}, {91, true, true},   {95, true, false},  {NAN, true, false}, {95, true, false},
        {80, true, false}, {99, false, false}, {99, true, true},   {99, true, false},  {10, false, false},
        {99, true, true},  {90, true, false},  {90.1, true, true},
    };
    struct sw_flight_trigger trigger = {.rule = rule_of("cpu>90%")};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        double values[SW_FLIGHT_METRICS] = {0};
        values[SW_FLIGHT_CPU] = steps[i].value;
        assert_int_equal(sw_flight_trigger_step(&trigger, values, steps[i].may_fire), steps[i].fires);
    }
}

static struct sw_flight_series *series_new(void) {
    struct sw_flight_series *series = sw_alloc_zero(sizeof *series);
    assert_non_null(series);
    return series;
}

static void nothing_is_known_at_first(void **unused) {
    struct sw_flight_series *series = series_new();
    double values[SW_FLIGHT_METRICS];
    sw_flight_series_values(series, SW_NS_PER_S, values);
    for (size_t i = 0; i < SW_FLIGHT_METRICS; i++)
        assert_true(i == SW_FLIGHT_EXIT ? values[i] == 0 : isnan(values[i]));
    sw_flight_series_end(series);
    sw_flight_series_values(series, SW_NS_PER_S, values);
    assert_true(values[SW_FLIGHT_EXIT] == 1);
    sw_free(series);
}

static void rates_are_over_the_last_second(void **unused) {
    struct sw_flight_series *series = series_new();
    double values[SW_FLIGHT_METRICS];
    for (int i = 0; i < 3; i++) {
        int64_t cpu_ns = i < 2 ? 0 : 3 * SW_NS_PER_S / 2;
        struct sw_flight_usage usage = {(i + 1) * SW_NS_PER_S, cpu_ns, 1000 + i, 4 + i};
        sw_flight_series_usage(series, &usage);
        sw_flight_series_held(series, (i + 1) * SW_NS_PER_S, i * SW_NS_PER_S / 4);
    }
    sw_flight_series_values(series, 3 * SW_NS_PER_S, values);
    assert_true(fabs(values[SW_FLIGHT_CPU] - 150) < 1e-9);
    assert_true(fabs(values[SW_FLIGHT_GIL_HELD] - 25) < 1e-9);
    assert_true(values[SW_FLIGHT_RSS] == 1002);
    assert_true(values[SW_FLIGHT_THREADS] == 6);
    assert_true(isnan(values[SW_FLIGHT_RSS_GROWTH])); /* 2 s are too few */
    sw_flight_series_usage(series, &(struct sw_flight_usage){4 * SW_NS_PER_S, -1, 0, 0});
    sw_flight_series_values(series, 4 * SW_NS_PER_S, values);
    assert_true(isnan(values[SW_FLIGHT_CPU]));
    sw_free(series);
}

/* 5 MiB a minute under the saw teeth of a garbage collector; then steady, which takes a minute to be believed. */
static void growth_is_fitted(void **unused) {
    struct sw_flight_series *series = series_new();
    double values[SW_FLIGHT_METRICS];
    int64_t rss = 100 << 20;
    for (int i = 0; i < 200; i++) {
        rss = (100 << 20) + i * (int64_t)(5 << 20) / 60 + (i % 4) * 4096;
        sw_flight_series_usage(series, &(struct sw_flight_usage){i * SW_NS_PER_S, 0, rss, 1});
    }
    sw_flight_series_values(series, 200 * SW_NS_PER_S, values);
    assert_true(fabs(values[SW_FLIGHT_RSS_GROWTH] / (5 << 20) - 1) < 0.02);
    for (int i = 200; i < 265; i++)
        sw_flight_series_usage(series, &(struct sw_flight_usage){i * SW_NS_PER_S, 0, rss, 1});
    sw_flight_series_values(series, 265 * SW_NS_PER_S, values);
    assert_true(fabs(values[SW_FLIGHT_RSS_GROWTH]) < 1);
    sw_free(series);
}

static void waits_of_the_last_ten_seconds_count(void **unused) {
    struct sw_flight_series *series = series_new();
    double values[SW_FLIGHT_METRICS];
    sw_flight_series_held(series, 0, 0);
    sw_flight_series_held(series, SW_NS_PER_S, 0);
    sw_flight_series_values(series, SW_NS_PER_S, values);
    assert_true(values[SW_FLIGHT_GIL_WAIT_P99] == 0); /* nobody waited */
    sw_flight_series_wait(series, SW_NS_PER_S, 900 * SW_NS_PER_MS);
    for (int i = 1; i <= 100; i++)
        sw_flight_series_wait(series, 12 * SW_NS_PER_S, i * SW_NS_PER_MS);
    sw_flight_series_values(series, 12 * SW_NS_PER_S, values); /* the 900 ms are 11 s old */
    assert_true(values[SW_FLIGHT_GIL_WAIT_P99] == 99e6);
    for (int i = 0; i < 2 * SW_FLIGHT_WAITS; i++)
        sw_flight_series_wait(series, 13 * SW_NS_PER_S, SW_NS_PER_MS);
    sw_flight_series_values(series, 13 * SW_NS_PER_S, values);
    assert_true(values[SW_FLIGHT_GIL_WAIT_P99] == 1e6);
    sw_free(series);
}

static void lag_is_the_longest_since_it_was_asked(void **unused) {
    struct sw_flight_series *series = series_new();
    double values[SW_FLIGHT_METRICS];
    sw_flight_series_lag(series, 5);
    sw_flight_series_lag(series, 70);
    sw_flight_series_lag(series, 0);
    sw_flight_series_values(series, 0, values);
    assert_true(values[SW_FLIGHT_LOOP_LAG] == 70);
    sw_flight_series_lag(series, 0);
    sw_flight_series_values(series, 0, values);
    assert_true(values[SW_FLIGHT_LOOP_LAG] == 0);
    sw_flight_series_values(series, 0, values);
    assert_true(isnan(values[SW_FLIGHT_LOOP_LAG]));
    sw_free(series);
}

static void values_are_worded(void **unused) {
    static const struct {
        enum sw_flight_metric metric;
        double value;
        const char *text;
    } cases[] = {
        {SW_FLIGHT_CPU, 97.26, "97.3 %"},
        {SW_FLIGHT_LOOP_LAG, 81.24e6, "81.2 ms"},
        {SW_FLIGHT_LOOP_LAG, 2.5e9, "2.50 s"},
        {SW_FLIGHT_RSS, 3 * 1073741824.0, "3.00 GiB"},
        {SW_FLIGHT_RSS_GROWTH, -1048576, "-1.0 MiB/min"},
        {SW_FLIGHT_THREADS, 12, "12"},
        {SW_FLIGHT_EXIT, 1, "ended"},
        {SW_FLIGHT_CPU, NAN, "-"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[32];
        sw_flight_value_format(cases[i].metric, cases[i].value, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_are_read),
        cmocka_unit_test(errors_say_what_is_wanted),
        cmocka_unit_test(triggers_fire_on_the_way_up),
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(rates_are_over_the_last_second),
        cmocka_unit_test(growth_is_fitted),
        cmocka_unit_test(waits_of_the_last_ten_seconds_count),
        cmocka_unit_test(lag_is_the_longest_since_it_was_asked),
        cmocka_unit_test(values_are_worded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
