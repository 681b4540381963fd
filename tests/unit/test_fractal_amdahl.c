/* test_fractal_amdahl.c - Speedup, efficiency, Amdahl's law and its fit on times that are known. */
#include "cli/fractal_amdahl.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-6)

/* Times of a program that is serial for `serial` of its second, as Amdahl has them. */
static struct sw_bench_series series_of(double serial, unsigned cpus) {
    struct sw_bench_series series = {.count = 4};
    static const unsigned workers[] = {1, 2, 4, 8};
    for (unsigned i = 0; i < 4; i++) {
        double n = workers[i] < cpus ? workers[i] : cpus, tiles = (1 - serial) / n;
        series.runs[i] = (struct sw_bench_run){.workers = workers[i],
                                               .total_ns = (int64_t)round(1e9 * (serial + tiles)),
                                               .tiles_ns = (int64_t)round(8e8 * tiles),
                                               .encode_ns = (int64_t)round(2e8 * tiles)};
    }
    return series;
}

static void law_holds_where_it_is_followed(void **state) {
    static const double shares[] = {0, 0.02, 0.25, 0.9};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
        for (unsigned cpus = 1; cpus <= 8; cpus *= 2) {
            struct sw_bench_series series = series_of(shares[i], cpus);
            sw_bench_series_judge(&series, cpus);
            NEAR(series.serial, shares[i]);
            assert_int_equal(isnan(series.fitted) != 0, cpus == 1);
            if (cpus > 1)
                NEAR(series.fitted, shares[i]);
            for (unsigned k = 0; k < series.count; k++) {
                NEAR(series.runs[k].speedup, series.runs[k].amdahl);
                NEAR(series.runs[k].efficiency, series.runs[k].speedup / series.runs[k].workers);
            }
            NEAR(series.runs[0].speedup, 1);
        }
}

/* What only shows with several workers, such as waiting for each other, is in the fit, not in the foretold speedup. */
static void fit_sees_what_the_serial_part_does_not(void **state) {
    struct sw_bench_series series = series_of(0.02, 4);
    for (unsigned i = 1; i < series.count; i++)
        series.runs[i].total_ns += 100000000;
    sw_bench_series_judge(&series, 4);
    NEAR(series.serial, 0.02);
    assert_true(series.fitted > 0.1);
    assert_true(series.runs[1].speedup < series.runs[1].amdahl);
}

/* Better than ideal, by chance or by caches: the fit stays a share. */
static void fit_is_a_share(void **state) {
    struct sw_bench_series series = series_of(0, 8);
    for (unsigned i = 1; i < series.count; i++)
        series.runs[i].total_ns /= 2;
    sw_bench_series_judge(&series, 8);
    assert_true(series.fitted == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(law_holds_where_it_is_followed),
        cmocka_unit_test(fit_sees_what_the_serial_part_does_not),
        cmocka_unit_test(fit_is_a_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
