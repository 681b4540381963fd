/* test_anomaly.c - The anomaly score on seeded series of known nature: what must stay quiet, and what must be found. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/hash.h"
#include "base/mem.h"
#include "engine/anomaly_impl.h"

enum { SEEDS = 20, EVENT_AT = 2000, ROW_BYTES_MAX = 64 * 40 };

struct row {
    _Alignas(64) char bytes[ROW_BYTES_MAX];
};

struct series {
    struct row row;
    uint64_t random;
    int64_t time_ns;
    double walk;
    int at;
};

static double uniform(struct series *series) {
    series->random += UINT64_C(0x9e3779b97f4a7c15);
    return ((double)(sw_hash_u64(series->random) >> 11) + 0.5) * 0x1p-53;
}

static double gauss(struct series *series) {
    double radius = sqrt(-2.0 * log(uniform(series)));
    return radius * cos(2.0 * M_PI * uniform(series));
}

static double poisson(struct series *series, double mean) {
    double product = uniform(series), limit = exp(-mean);
    int count = 0;
    for (; product > limit; count++) {
        product *= uniform(series);
    }
    return count;
}

static double make_gauss(struct series *series) {
    return 1000.0 + 10.0 * gauss(series);
}

static double make_centred_gauss(struct series *series) {
    return 1e-9 * gauss(series);
}

static double make_lognormal(struct series *series) {
    return exp(gauss(series));
}

static double make_daily(struct series *series) {
    return 100.0 + 10.0 * sin(series->at * 2.0 * M_PI / 1440.0) + 0.5 * gauss(series);
}

static double make_pure_sine(struct series *series) {
    return 10.0 * sin(series->at * 2.0 * M_PI / 300.0);
}

static double make_poisson(struct series *series) {
    return poisson(series, 3.0);
}

static double make_walk(struct series *series) {
    return series->walk += gauss(series);
}

static double make_constant(struct series *series) {
    return 42.0;
}

static double make_last_bit_noise(struct series *series) {
    return uniform(series) < 0.01 ? 42.0 + 0x1p-47 : 42.0;
}

static double make_ramp(struct series *series) {
    return 3.0 * series->at;
}

static double make_rare_ones(struct series *series) {
    return uniform(series) < 0.01 ? 1.0 : 0.0;
}

static double make_two_levels(struct series *series) {
    return uniform(series) < 0.3 ? 7.0 : 8.0;
}

static float update(struct series *series, double value) {
    float score = -1.0f;
    uint64_t anomalies =
        sw_anomaly_row_update(&series->row,
                              &(struct sw_anomaly_points){.time_ns = series->time_ns, .values = &value, .width = 1},
                              &score);
    assert_true(score >= 0.0f && score <= 1.0f);
    assert_true(anomalies == (score >= SW_ANOMALY_THRESHOLD));
    return score;
}

static float feed(struct series *series, double value) {
    series->time_ns += SW_NS_PER_S;
    series->at++;
    return update(series, value);
}

static double usual_level(const struct series *series) {
    double level, scale;
    sw_anomaly_row_usual(&series->row, 0, &level, &scale);
    return level;
}

static double usual_scale(const struct series *series) {
    double level, scale;
    sw_anomaly_row_usual(&series->row, 0, &level, &scale);
    return scale;
}

/* What normal series may cost in false alarms per 100,000 points. */
static void normal_series_stay_quiet(void **state) {
    static const struct {
        const char *name;
        double (*make)(struct series *series);
        int alarms_max;
    } rows[] = {
        {"gauss", make_gauss, 19},
        {"centred gauss", make_centred_gauss, 19},
        {"lognormal", make_lognormal, 199},
        {"daily pattern", make_daily, 19},
        {"pure sine", make_pure_sine, 0},
        {"poisson", make_poisson, 40},
        {"random walk", make_walk, 19},
        {"constant", make_constant, 0},
        {"ramp", make_ramp, 0},
        {"last bit", make_last_bit_noise, 0},
        {"rare ones", make_rare_ones, 50},
        {"two levels", make_two_levels, 0},
    };
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        for (uint64_t seed = 1; seed <= 3; seed++) {
            struct series series = {.random = sw_hash_u64(seed)};
            int alarms = 0;
            for (int i = 0; i < 100000; i++) {
                alarms += feed(&series, rows[row].make(&series)) >= SW_ANOMALY_THRESHOLD;
            }
            if (alarms > rows[row].alarms_max) {
                fail_msg("%s, seed %d: %d alarms", rows[row].name, (int)seed, alarms);
            }
        }
    }
}

static double spike_up(struct series *series, int since) {
    return gauss(series) + (since == 0 ? 8.0 : 0.0);
}

static double spike_down(struct series *series, int since) {
    return gauss(series) - (since == 0 ? 8.0 : 0.0);
}

static double shift(struct series *series, int since) {
    return gauss(series) + (since >= 0 ? 6.0 : 0.0);
}

static double drop_to_zero(struct series *series, int since) {
    return since >= 0 ? 0.0 : 1000.0 + 50.0 * gauss(series);
}

static double drop_of_counts(struct series *series, int since) {
    return since >= 0 ? 0.0 : poisson(series, 100.0);
}

static double constant_changes(struct series *series, int since) {
    return since == 0 ? 101.0 : 100.0;
}

static double constant_moves(struct series *series, int since) {
    return since >= 0 ? 5.0 : 4.0;
}

static double zero_changes(struct series *series, int since) {
    return since == 0 ? 1e-6 : 0.0;
}

static double spike_on_a_sine(struct series *series, int since) {
    return 10.0 * sin(series->at * 2.0 * M_PI / 1440.0) + 0.1 * gauss(series) + (since == 0 ? 2.0 : 0.0);
}

static double wider_noise(struct series *series, int since) {
    return gauss(series) * (since >= 0 ? 10.0 : 1.0);
}

/* Each event is found within 20 points, in at least 19 of 20 seeds, causes at most a few alarms, and is normal after
 * 500. */
static void events_are_found_once(void **state) {
    static const struct {
        const char *name;
        double (*make)(struct series *series, int since);
    } rows[] = {
        {"spike up", spike_up},
        {"spike down", spike_down},
        {"shift", shift},
        {"drop to zero", drop_to_zero},
        {"drop of counts", drop_of_counts},
        {"constant changes", constant_changes},
        {"constant moves", constant_moves},
        {"zero changes", zero_changes},
        {"spike on a sine", spike_on_a_sine},
        {"wider noise", wider_noise},
    };
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        int found = 0, alarms = 0, late = 0;
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            struct series series = {.random = sw_hash_u64(seed)};
            bool is_found = false;
            for (int since = -EVENT_AT; since < 2000; since++) {
                bool is_alarm = feed(&series, rows[row].make(&series, since)) >= SW_ANOMALY_THRESHOLD;
                is_found |= is_alarm && since >= 0 && since < 20;
                alarms += is_alarm && since >= 0;
                late += is_alarm && since >= 500;
            }
            found += is_found;
        }
        if (found < SEEDS - 1 || alarms > 3 * SEEDS || late > 1) {
            fail_msg("%s: found in %d of %d, %d alarms, %d late", rows[row].name, found, SEEDS, alarms, late);
        }
    }
}

static void nothing_is_scored_while_it_learns(void **state) {
    struct series series = {0};
    for (int i = 0; i < SW_ANOMALY_WARMUP; i++) {
        assert_true(feed(&series, i % 7 == 3 ? 1e6 : 1.0) == 0.0f);
    }
}

static void what_is_not_finite_is_skipped(void **state) {
    struct series series = {.random = 7}, gaps = {.random = 7};
    for (int i = 0; i < 3000; i++) {
        double value = gauss(&series) + (i == 2500 ? 20.0 : 0.0);
        assert_true(gauss(&gaps) == value - (i == 2500 ? 20.0 : 0.0) || i == 2500);
        gaps.time_ns = series.time_ns;
        assert_true(update(&gaps, i % 3 == 0 ? NAN : INFINITY) == 0.0f);
        assert_true(update(&gaps, -INFINITY) == 0.0f);
        float score = feed(&series, value);
        assert_true(feed(&gaps, value) == score);
        assert_true(i != 2500 || score >= SW_ANOMALY_THRESHOLD);
    }
}

/* Once 500 points at a level are in, that level is normal and the old one is not. */
static void a_level_that_stays_is_adopted(void **state) {
    struct series series = {.random = 11};
    for (int i = 0; i < 2000; i++) {
        feed(&series, gauss(&series));
    }
    assert_true(feed(&series, 500.0 + gauss(&series)) >= SW_ANOMALY_THRESHOLD);
    for (int i = 0; i < 1500; i++) {
        assert_true(feed(&series, 500.0 + gauss(&series)) < SW_ANOMALY_THRESHOLD || i < 20);
    }
    assert_true(fabs(usual_level(&series) - 500.0) < 1.0);
    assert_true(usual_scale(&series) < 2.0);
    assert_true(feed(&series, gauss(&series)) >= SW_ANOMALY_THRESHOLD);
}

/* One wild value is not to widen the scale: an ordinary anomaly soon after is found once the first no longer
 * suppresses. */
static void one_spike_does_not_spoil_the_scale(void **state) {
    struct series series = {.random = 13};
    for (int i = 0; i < 2000; i++) {
        feed(&series, gauss(&series));
    }
    double before = usual_scale(&series);
    assert_true(feed(&series, 1e12) >= SW_ANOMALY_THRESHOLD);
    assert_true(usual_scale(&series) < 1.1 * before);
    assert_true(fabs(usual_level(&series)) < 1.0);
    for (int i = 0; i < 600; i++) {
        feed(&series, gauss(&series));
    }
    assert_true(feed(&series, 15.0) >= SW_ANOMALY_THRESHOLD);
}

/* A jump of a slow sine after a pause is where it ought to be; only its step would be odd. */
static void a_pause_in_time_is_no_step(void **state) {
    struct series series = {.random = 17};
    for (int i = 0; i < 5000; i++) {
        feed(&series, 10.0 * sin(i * 2.0 * M_PI / 1000.0) + 0.01 * gauss(&series));
    }
    struct series without_pause = series;
    assert_true(feed(&without_pause, 3.0) >= SW_ANOMALY_THRESHOLD);
    series.time_ns += 60 * SW_NS_PER_S;
    assert_true(feed(&series, 3.0) < SW_ANOMALY_THRESHOLD);
}

/* The floats of a row: every array of 4 bytes a lane but the packed one. */
static bool all_floats(struct row *row, unsigned width, bool (*is_good)(float value)) {
    unsigned lanes = (width + SW_ANOMALY_LANES - 1) / SW_ANOMALY_LANES * SW_ANOMALY_LANES;
    const float *floats = sw_anomaly_floats(row, lanes, SW_ANOMALY_LEVEL);
    bool all = true;
    for (unsigned i = 0; i < SW_ANOMALY_PACKED * lanes; i++) {
        all &= is_good(floats[i]);
    }
    return all;
}

static bool is_finite(float value) {
    return isfinite(value);
}

static bool is_not_subnormal(float value) {
    return fpclassify(value) != FP_SUBNORMAL;
}

static void extreme_values_and_times_are_safe(void **state) {
    static const double values[] = {1.7e308, -1.7e308, 5e-324, 0.0, -0.0, 1e154, -1e37, 4e38, 1.0};
    static const int64_t times[] = {INT64_MIN, INT64_MAX, 0, -1, 1};
    struct series series = {.random = 19};
    for (int i = 0; i < 10000; i++) {
        series.time_ns = times[(size_t)(uniform(&series) * 5.0)];
        update(&series, values[(size_t)(uniform(&series) * 9.0)]);
        assert_true(all_floats(&series.row, 1, is_finite));
    }
}

/* Subnormal numbers in the state would make every further point of a quiet series slow. */
static void quiet_series_leave_no_subnormals(void **state) {
    static const double rests[] = {0.0, 5.0, 1e-20, -1e-300};
    for (int row = 0; row < 4; row++) {
        struct series series = {.random = 23};
        for (int i = 0; i < 300000; i++) {
            feed(&series, i < 200 ? 10.0 * gauss(&series) : rests[row]);
            assert_true(all_floats(&series.row, 1, is_not_subnormal));
        }
    }
}

/* A value for series `i` of a row that has something of everything. */
static double mixed_value(struct series *series, unsigned i) {
    double (*const makes[])(struct series *) = {make_gauss,    make_lognormal, make_daily, make_poisson,
                                                make_constant, make_rare_ones, make_ramp,  make_centred_gauss};
    double value = makes[i % 8](series);
    double kind = uniform(series);
    return kind < 0.05 ? NAN : kind < 0.06 ? INFINITY : kind < 0.065 ? value * 100.0 : kind < 0.066 ? 1e300 : value;
}

/* What pads the lanes may differ: whole vectors are written. */
static void assert_rows_equal(struct row *a, struct row *b, unsigned width) {
    unsigned lanes = (width + SW_ANOMALY_LANES - 1) / SW_ANOMALY_LANES * SW_ANOMALY_LANES;
    assert_memory_equal(a, b, sizeof(struct sw_anomaly_head) + width * sizeof(int16_t));
    for (enum sw_anomaly_array array = 0; array < SW_ANOMALY_ARRAYS; array++) {
        assert_memory_equal(sw_anomaly_floats(a, lanes, array), sw_anomaly_floats(b, lanes, array),
                            width * sizeof(float));
    }
}

/* Every level of vector instructions gives every series what the plain code gives it alone in a row. */
static void all_levels_agree_to_the_last_bit(void **state) {
    static const unsigned widths[] = {1, 2, 3, 4, 7, 8, 9, 11, 15, 16, 17, 23, 24, 25, 33, 48, 63, 64};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        unsigned width = widths[w];
        size_t bytes = sw_anomaly_row_bytes(width);
        assert_true(bytes <= ROW_BYTES_MAX && bytes % 64 == 0);
        struct row rows[SW_CPU_AVX512 + 1] = {0};
        struct series series = {.random = width};
        uint64_t found = 0;
        /* On the heap and not a byte longer than the row is wide, for the sanitizers. */
        double *values = sw_alloc_array(width, sizeof *values);
        float *plain = sw_alloc_array(width, sizeof *plain), *scores = sw_alloc_array(width, sizeof *scores);
        struct sw_anomaly_usual plain_usual, usual;
        for (int i = 0; i < 3000; i++) {
            series.at++;
            series.time_ns += uniform(&series) < 0.01 ? 100 * SW_NS_PER_S : SW_NS_PER_S;
            bool is_shifted = i > 1500 && i < 1600;
            for (unsigned v = 0; v < width; v++) {
                values[v] = mixed_value(&series, v) + (is_shifted ? 50.0 : 0.0);
            }
            struct sw_anomaly_points points = {series.time_ns, values, width, &plain_usual};
            uint64_t plain_found = sw_anomaly_row_update_at(&rows[0], &points, plain, SW_CPU_SCALAR);
            found |= plain_found;
            points.usual = &usual;
            for (enum sw_cpu_level level = SW_CPU_SSE42; level <= sw_cpu_level(); level++) {
                assert_true(sw_anomaly_row_update_at(&rows[level], &points, scores, level) == plain_found);
                assert_memory_equal(scores, plain, width * sizeof *scores);
                assert_rows_equal(&rows[level], &rows[0], width);
                for (unsigned v = 0; v < width; v++) {
                    assert_true(!(plain_found >> v & 1) ||
                                (usual.level[v] == plain_usual.level[v] && usual.scale[v] == plain_usual.scale[v]));
                }
            }
        }
        assert_true(__builtin_popcountll(found) > (int)width / 2);
        sw_free(values);
        sw_free(plain);
        sw_free(scores);
    }
}

/* While no points are absent, each series of a row scores as it does alone in a row. */
static void series_of_a_row_are_independent(void **state) {
    enum { WIDTH = 11 };
    struct row row = {0};
    struct series alone[WIDTH] = {0}, source = {.random = 29};
    double values[WIDTH];
    float scores[WIDTH];
    int found = 0;
    for (int i = 0; i < 5000; i++) {
        source.at++;
        source.time_ns += SW_NS_PER_S;
        for (unsigned v = 0; v < WIDTH; v++) {
            do {
                values[v] = mixed_value(&source, v);
            } while (!isfinite(values[v]));
        }
        struct sw_anomaly_points points = {.time_ns = source.time_ns, .values = values, .width = WIDTH};
        uint64_t anomalies = sw_anomaly_row_update(&row, &points, scores);
        for (unsigned v = 0; v < WIDTH; v++) {
            alone[v].time_ns = source.time_ns;
            assert_true(update(&alone[v], values[v]) == scores[v]);
            assert_true((anomalies >> v & 1) == (scores[v] >= SW_ANOMALY_THRESHOLD));
            found += scores[v] >= SW_ANOMALY_THRESHOLD;
        }
    }
    assert_true(found > WIDTH);
}

static void absent_points_leave_their_series_alone(void **state) {
    struct row row = {0};
    struct series source = {.random = 31};
    float scores[2];
    double before, after, scale, other;
    for (int i = 0; i < 200; i++) {
        double values[] = {gauss(&source), gauss(&source)};
        sw_anomaly_row_update(&row, &(struct sw_anomaly_points){.time_ns = i, .values = values, .width = 2}, scores);
    }
    sw_anomaly_row_usual(&row, 1, &before, &scale);
    sw_anomaly_row_usual(&row, 0, &other, &scale);
    for (int i = 200; i < 400; i++) {
        double values[] = {gauss(&source), i % 2 ? NAN : -INFINITY};
        sw_anomaly_row_update(&row, &(struct sw_anomaly_points){.time_ns = i, .values = values, .width = 2}, scores);
        assert_true(scores[1] == 0.0f);
    }
    sw_anomaly_row_usual(&row, 1, &after, &scale);
    assert_true(after == before);
    sw_anomaly_row_usual(&row, 0, &after, &scale);
    assert_true(after != other);
}

static void the_usual_is_that_before_the_anomaly(void **state) {
    struct series series = {.random = 37};
    double level, scale;
    sw_anomaly_row_usual(&series.row, 0, &level, &scale);
    assert_true(isnan(level) && isnan(scale));
    for (int i = 0; i < 2000; i++) {
        feed(&series, 12.0 + 3.0 * gauss(&series));
        assert_true(isnan(usual_level(&series)) == (i + 1 < SW_ANOMALY_WARMUP));
    }
    level = usual_level(&series);
    scale = usual_scale(&series);
    assert_true(fabs(level - 12.0) < 1.0 && fabs(scale - 3.0) < 0.5);
    struct sw_anomaly_usual usual;
    double value = 99.0;
    float score;
    struct sw_anomaly_points points = {series.time_ns + SW_NS_PER_S, &value, 1, &usual};
    assert_true(sw_anomaly_row_update(&series.row, &points, &score) == 1);
    assert_true((double)usual.level[0] == level && (double)usual.scale[0] == scale);
    assert_true(usual_level(&series) > level);
    sw_anomaly_row_usual(&series.row, 8, &level, &scale);
    assert_true(isnan(level) && isnan(scale));
}

/* 10,000 groups of 11 series are to fit 6 MiB. */
static void it_is_small(void **state) {
    assert_true(sw_anomaly_row_bytes(11) * 10000 <= 6 << 20);
    assert_int_equal(sw_anomaly_row_bytes(1), 320);
    assert_int_equal(sw_anomaly_row_bytes(16), 576);
    assert_int_equal(sizeof(struct sw_anomaly_head), 32);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_series_stay_quiet),
        cmocka_unit_test(events_are_found_once),
        cmocka_unit_test(nothing_is_scored_while_it_learns),
        cmocka_unit_test(what_is_not_finite_is_skipped),
        cmocka_unit_test(a_level_that_stays_is_adopted),
        cmocka_unit_test(one_spike_does_not_spoil_the_scale),
        cmocka_unit_test(a_pause_in_time_is_no_step),
        cmocka_unit_test(extreme_values_and_times_are_safe),
        cmocka_unit_test(quiet_series_leave_no_subnormals),
        cmocka_unit_test(all_levels_agree_to_the_last_bit),
        cmocka_unit_test(series_of_a_row_are_independent),
        cmocka_unit_test(absent_points_leave_their_series_alone),
        cmocka_unit_test(the_usual_is_that_before_the_anomaly),
        cmocka_unit_test(it_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
