/* test_order.c - Quantiles against a sorted copy: every rank, data that misleads a sample, memory that runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kernels/reduce.h"
#include "pool/team.h"
#include "reduce_parts.h"

enum { MOST = 100000, QUANTILES = 200 };

static double values[MOST], sorted[MOST];
static float floats[MOST];

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct expected {
    double value, most; /* and how far from it one may be */
};

/* Type 7 by its definition. */
static struct expected quantile_of_sorted(size_t count, double q) {
    double place = q * (double)(count - 1), t = place - floor(place);
    size_t rank = (size_t)place;
    double at = sorted[rank], next = rank + 1 < count ? sorted[rank + 1] : at;
    if (at == next || t == 0)
        return (struct expected){at, 0};
    double most = isfinite(at) && isfinite(next) ? 2e-16 * (fabs(at) + fabs(next)) : 0;
    return (struct expected){at * (1 - t) + next * t, most};
}

static void assert_quantiles(const struct sw_array *x, const double *q, size_t count, struct sw_parallel *parallel) {
    double found[QUANTILES];
    assert_int_equal(sw_reduce_quantiles(x, q, count, found, parallel), SW_OK);
    for (size_t i = 0; i < count; i++) {
        struct expected expected = quantile_of_sorted(sw_array_count(x), q[i]);
        bool is_same = found[i] == expected.value || (isnan(found[i]) && isnan(expected.value));
        if (!is_same && !(fabs(found[i] - expected.value) <= expected.most))
            fail_msg("quantile %.17g of %zu is %.17g, expected %.17g", q[i], sw_array_count(x), found[i],
                     expected.value);
    }
}

typedef double (*maker)(size_t i, size_t count, uint64_t *seed);

static double make_noise(size_t i, size_t count, uint64_t *seed) {
    return noise(seed);
}

static double make_ramp(size_t i, size_t count, uint64_t *seed) {
    return (double)i;
}

static double make_descent(size_t i, size_t count, uint64_t *seed) {
    return -1e5 * (double)i;
}

static double make_equal(size_t i, size_t count, uint64_t *seed) {
    return 7;
}

static double make_few(size_t i, size_t count, uint64_t *seed) {
    return floor(5 * uniform(seed));
}

static double make_one_odd(size_t i, size_t count, uint64_t *seed) {
    return i == count / 3 ? -1 : 1;
}

static double make_halves(size_t i, size_t count, uint64_t *seed) {
    return (i % 2 ? 1e9 : -1e9) + uniform(seed);
}

static double make_heavy(size_t i, size_t count, uint64_t *seed) {
    return exp(30 * noise(seed));
}

static double make_infinite(size_t i, size_t count, uint64_t *seed) {
    double kind = uniform(seed);
    return kind < 0.3 ? -INFINITY : kind > 0.6 ? INFINITY : noise(seed);
}

static double make_zeros(size_t i, size_t count, uint64_t *seed) {
    return i % 3 ? -0.0 : i % 2 ? 0.0 : noise(seed);
}

/* Half of the elements lie between two neighbours of the other half. */
static double make_cluster(size_t i, size_t count, uint64_t *seed) {
    return i % 2 ? (double)i : 5 + 1e-9 * uniform(seed);
}

static const maker makers[] = {make_noise,  make_ramp,  make_descent,  make_equal, make_few,    make_one_odd,
                               make_halves, make_heavy, make_infinite, make_zeros, make_cluster};

#define MAKERS (sizeof makers / sizeof makers[0])

static struct sw_array data_make(size_t kind, size_t count, enum sw_dtype dtype) {
    uint64_t seed = kind * 1000 + count;
    for (size_t i = 0; i < count; i++) {
        values[i] = makers[kind](i, count, &seed);
        floats[i] = (float)values[i];
        sorted[i] = dtype == SW_F64 ? values[i] : (double)floats[i];
    }
    qsort(sorted, count, sizeof sorted[0], compare);
    return sw_array_vector(dtype == SW_F64 ? (void *)values : (void *)floats, dtype, count);
}

static const double some_q[] = {0, 0.001, 0.01, 0.05, 0.25, 1.0 / 3, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1};

#define SOME (sizeof some_q / sizeof some_q[0])

static void quantiles_are_those_of_the_sorted(void **state) {
    static const size_t counts[] = {1, 2, 3, 10, 64, 255, 256, 257, 300, 1000, 2048, 2049, 10000, 70000, MOST};
    struct sw_parallel mixed = backwards();
    for (size_t kind = 0; kind < MAKERS; kind++) {
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            struct sw_array x = data_make(kind, counts[c], (c + kind) % 3 == 0 ? SW_F32 : SW_F64);
            for (size_t i = 0; i < LEVELS; i++) {
                if (level_use(i))
                    assert_quantiles(&x, some_q, SOME, c % 2 ? &mixed : NULL);
            }
        }
    }
    sw_reduce_level_force(NULL);
}

/* Marks the elements that order.c looks at first: one of each stretch. */
static void sampled_mark(size_t count, bool *is_sampled) {
    size_t sampled = (size_t)cbrt((double)count * (double)count);
    uint64_t state = 1;
    memset(is_sampled, 0, count);
    for (size_t i = 0; i < sampled; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double at = ((double)i + (double)(state >> 11) * 0x1p-53) * ((double)count / (double)sampled);
        is_sampled[(size_t)at] = true;
    }
}

/* The lower half of the elements are equal, and a sample sees little else: the middle is between them and the rest. */
static void half_are_equal_and_all_that_is_sampled(void **state) {
    static const double rows[][3] = {
        {0, 1, 1},          {0, 1, 2},          {0, 2, 1},         {-0.0, 5e-324, 1},
        {2, INFINITY, 3},   {2, 3, INFINITY},   {-INFINITY, 1, 1}, {-INFINITY, INFINITY, INFINITY},
        {-1e308, 1e308, 2}, {2, 2.5, INFINITY},
    };
    static bool is_sampled[MOST];
    struct sw_parallel mixed = backwards();
    for (size_t i = 0; i < LEVELS * sizeof rows / sizeof rows[0]; i++) {
        const double *row = rows[i / LEVELS];
        for (size_t count = 10000; count <= MOST && level_use(i % LEVELS); count *= 10) {
            size_t low_count = 0;
            sampled_mark(count, is_sampled);
            for (size_t k = 0; k < count; k++)
                low_count += is_sampled[k] && k % 64 > 0;
            for (size_t k = 0; k < count; k++) {
                bool is_low = is_sampled[k] && k % 64 > 0;
                if (!is_low && !is_sampled[k] && low_count < count / 2)
                    is_low = true, low_count++;
                values[k] = is_low ? row[0] : is_sampled[k] ? row[1] : row[2];
            }
            memcpy(sorted, values, count * sizeof sorted[0]);
            qsort(sorted, count, sizeof sorted[0], compare);
            assert_true(sorted[count / 2 - 1] == row[0] && sorted[count / 2] > row[0]);
            struct sw_array x = sw_array_vector(values, SW_F64, count);
            assert_quantiles(&x, some_q, SOME, count < MOST ? NULL : &mixed);
        }
    }
    sw_reduce_level_force(NULL);
}

/* Writes to the elements before each pass, as another thread may. */
struct writer {
    struct sw_parallel parallel;
    size_t passes;
    void (*write)(size_t pass);
};

static void writer_run(struct sw_parallel *self, const struct sw_parallel_loop *loop) {
    struct writer *writer = (struct writer *)self;
    writer->write(++writer->passes);
    sw_parallel_run(NULL, loop);
}

static double median_while_written(void (*write)(size_t pass), size_t *passes) {
    struct writer writer = {{.lanes = 2, .run = writer_run}, 0, write};
    struct sw_array x = data_make(1, MOST, SW_F64);
    double half = 0.5, median = -1;
    assert_int_equal(sw_reduce_quantiles(&x, &half, 1, &median, &writer.parallel), SW_OK);
    *passes = writer.passes;
    return median;
}

/* More elements lie in the middle from pass to pass. */
static void write_middle(size_t pass) {
    for (size_t i = 0; i < MOST; i++)
        values[i] = pass > 2 || (pass == 2 && i % 4) || i % 2 ? MOST / 2 + 0.25 : (double)i;
}

/* First all lie below; in the passes that then look above there is a NaN, or nothing but. */
static void write_nan(size_t pass) {
    for (size_t i = 0; i < MOST; i++)
        values[i] = pass > 2 && i == MOST / 2 ? NAN : MOST + (double)i;
}

static void write_nans(size_t pass) {
    for (size_t i = 0; i < MOST; i++)
        values[i] = pass > 2 ? NAN : MOST + (double)i;
}

static void elements_may_be_written_meanwhile(void **state) {
    for (size_t i = 0; i < LEVELS; i++) {
        size_t passes;
        if (!level_use(i))
            continue;
        assert_true(median_while_written(write_middle, &passes) == MOST / 2 + 0.25);
        assert_true(passes > 2);
        assert_true(isnan(median_while_written(write_nan, &passes)) && passes > 2);
        assert_true(isnan(median_while_written(write_nans, &passes)) && passes > 2);
    }
    sw_reduce_level_force(NULL);
}

static void every_rank_of_a_few(void **state) {
    for (size_t kind = 0; kind < MAKERS; kind++) {
        for (size_t count = 1; count <= 60; count++) {
            struct sw_array x = data_make(kind, count, SW_F64);
            for (size_t rank = 0; rank < count; rank++) {
                double q = count > 1 ? (double)rank / (double)(count - 1) : 0;
                assert_quantiles(&x, &q, 1, NULL);
            }
        }
    }
}

static void many_quantiles_in_one_go(void **state) {
    double q[QUANTILES];
    uint64_t seed = 9;
    for (size_t i = 0; i < QUANTILES; i++)
        q[i] = uniform(&seed); /* in no order */
    for (size_t kind = 0; kind < MAKERS; kind++) {
        struct sw_array x = data_make(kind, 30000, SW_F64);
        assert_quantiles(&x, q, QUANTILES, NULL);
        x.shape[0] = 200;
        memcpy(sorted, values, 200 * sizeof sorted[0]);
        qsort(sorted, 200, sizeof sorted[0], compare);
        assert_quantiles(&x, q, QUANTILES, NULL);
    }
}

static void strided_and_turned_data(void **state) {
    for (size_t kind = 0; kind < MAKERS; kind++) {
        data_make(kind, 60000, SW_F64);
        struct sw_array turned = {(char *)values, SW_F64, 2, {300, 200}, {8, 2400}};
        assert_quantiles(&turned, some_q, SOME, NULL);
        struct sw_array every_third = {(char *)(values + 59997), SW_F64, 1, {20000}, {-24}};
        for (size_t i = 0; i < 20000; i++)
            sorted[i] = values[3 * i];
        qsort(sorted, 20000, sizeof sorted[0], compare);
        assert_quantiles(&every_third, some_q, SOME, NULL);
    }
}

static void threads_and_levels_give_the_same_bits(void **state) {
    struct sw_team *team = NULL;
    assert_int_equal(sw_team_open(3, &team, NULL), SW_OK);
    for (size_t kind = 0; kind < MAKERS; kind++) {
        struct sw_array x = data_make(kind, MOST, SW_F64);
        double first[SOME], found[SOME];
        for (size_t i = 0; i < LEVELS * 4; i++) {
            if (!level_use(i / 4))
                continue;
            struct sw_parallel *parallel = i % 4 ? sw_team_parallel(team) : NULL;
            assert_int_equal(sw_reduce_quantiles(&x, some_q, SOME, i > 0 ? found : first, parallel), SW_OK);
            for (size_t k = 0; k < SOME && i > 0; k++)
                assert_true(bits_of(found[k]) == bits_of(first[k]));
        }
    }
    sw_team_close(team);
    sw_reduce_level_force(NULL);
}

static void one_nan_is_enough(void **state) {
    static const size_t counts[] = {1, 100, 256, 257, 5000, MOST};
    for (size_t i = 0; i < LEVELS; i++) {
        for (size_t c = 0; c < sizeof counts / sizeof counts[0] && level_use(i); c++) {
            for (size_t kind = 0; kind < MAKERS; kind++) {
                struct sw_array x = data_make(kind, counts[c], SW_F64);
                values[(kind * 12345 + 77) % counts[c]] = NAN;
                double found[SOME] = {0};
                assert_int_equal(sw_reduce_quantiles(&x, some_q, SOME, found, NULL), SW_OK);
                for (size_t k = 0; k < SOME; k++)
                    assert_true(isnan(found[k]));
            }
        }
    }
    sw_reduce_level_force(NULL);
    struct sw_array x = data_make(0, MOST, SW_F64);
    for (size_t i = 1; i < MOST; i += 2)
        values[i] = NAN;
    double half = 0.5, median = 0;
    assert_int_equal(sw_reduce_quantiles(&x, &half, 1, &median, NULL), SW_OK);
    assert_true(isnan(median));
}

static void the_data_stay_as_they_are(void **state) {
    static double before[MOST];
    struct sw_array x = data_make(0, MOST, SW_F64);
    memcpy(before, values, sizeof before);
    assert_quantiles(&x, some_q, SOME, NULL);
    assert_memory_equal(before, values, sizeof before);
}

static void q_outside_is_refused(void **state) {
    static const double bad[] = {-0.001, 1.001, NAN, INFINITY};
    struct sw_array x = data_make(0, 100, SW_F64);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double q[] = {0.5, bad[i]}, found[] = {-1, -1};
        assert_int_equal(sw_reduce_quantiles(&x, q, 2, found, NULL), SW_INVALID);
        assert_true(found[0] == -1 && found[1] == -1);
    }
}

/* The n-th allocation fails; nothing leaks (the sanitizer looks), nothing else happens. */
static void memory_runs_out(void **state) {
    for (size_t kind = 0; kind < MAKERS; kind++) {
        struct sw_array x = data_make(kind, 20000, SW_F64);
        double found[SOME];
        enum sw_status status = SW_NOMEM;
        for (size_t nth = 1; status == SW_NOMEM; nth++) {
            assert_true(nth < 10000);
            sw_mem_fail_at(nth);
            status = sw_reduce_quantiles(&x, some_q, SOME, found, NULL);
            sw_mem_fail_at(0);
            assert_true(status == SW_NOMEM || (status == SW_OK && nth > 1));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_those_of_the_sorted),
        cmocka_unit_test(half_are_equal_and_all_that_is_sampled),
        cmocka_unit_test(elements_may_be_written_meanwhile),
        cmocka_unit_test(every_rank_of_a_few),
        cmocka_unit_test(many_quantiles_in_one_go),
        cmocka_unit_test(strided_and_turned_data),
        cmocka_unit_test(threads_and_levels_give_the_same_bits),
        cmocka_unit_test(one_nan_is_enough),
        cmocka_unit_test(the_data_stay_as_they_are),
        cmocka_unit_test(q_outside_is_refused),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
