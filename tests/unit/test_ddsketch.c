/* test_ddsketch.c - DDSketch against exact quantiles, and its state against every way of splitting and merging. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/mem.h"
#include "sketch/ddsketch.h"

#define ALPHA 0.01

static uint64_t random_state;

static uint64_t random_u64(void) {
    random_state += UINT64_C(0x9e3779b97f4a7c15);
    return sw_hash_u64(random_state);
}

static double uniform(void) {
    return ((double)(random_u64() >> 11) + 0.5) * 0x1p-53;
}

static double gauss(void) {
    double radius = sqrt(-2.0 * log(uniform()));
    return radius * cos(2.0 * M_PI * uniform());
}

static double make_uniform(void) {
    return uniform();
}

static double make_lognormal(void) {
    return exp(2.0 * gauss());
}

static double make_pareto(void) {
    return pow(uniform(), -1.0 / 0.7);
}

static double make_mixed_sign(void) {
    return exp(3.0 * gauss()) * (uniform() < 0.4 ? -1.0 : 1.0);
}

static double make_cauchy(void) {
    return tan(M_PI * (uniform() - 0.5));
}

static double make_constant(void) {
    return 123.456;
}

static double make_prices(void) {
    return 100000.0 + 100.0 * (double)(random_u64() % 19000);
}

static double make_narrow_prices(void) {
    return 1850000.0 + 100.0 * (double)(random_u64() % 30);
}

static double make_small_counts(void) {
    return (double)(random_u64() % 5) - 1.0;
}

static double make_with_infinities(void) {
    uint64_t die = random_u64() % 20;
    return die == 0 ? INFINITY : die == 1 ? -INFINITY : die == 2 ? 0.0 : gauss();
}

typedef double (*make_value)(void);

static const make_value makers[] = {
    make_uniform,  make_lognormal, make_pareto,        make_mixed_sign,   make_cauchy,
    make_constant, make_prices,    make_narrow_prices, make_small_counts, make_with_infinities,
};
enum { MAKERS = sizeof(makers) / sizeof(makers[0]) };

static int compare_doubles(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void assert_near(double got, double exact) {
    bool is_near = isinf(exact) ? got == exact : fabs(got - exact) <= ALPHA * fabs(exact);
    if (!is_near) {
        fail_msg("%.17g where %.17g is right", got, exact);
    }
}

static void add_all(struct sw_ddsketch *sketch, const double *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(sw_ddsketch_add(sketch, values[i]), SW_OK);
    }
}

/* Sorts the values. */
static void assert_quantiles(const struct sw_ddsketch *sketch, double *values, size_t count) {
    static const double qs[] = {0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1};
    qsort(values, count, sizeof(*values), compare_doubles);
    assert_int_equal(sw_ddsketch_count(sketch), count);
    for (size_t i = 0; i < sizeof(qs) / sizeof(qs[0]); i++) {
        double exact = values[(size_t)floor(qs[i] * (double)(count - 1))];
        assert_near(sw_ddsketch_quantile(sketch, qs[i]), exact);
        assert_near(sw_ddsketch_quantile_within(sketch, qs[i], values[0], values[count - 1]), exact);
    }
    assert_true(sw_ddsketch_quantile_within(sketch, 0, values[0], values[count - 1]) >= values[0]);
    assert_true(sw_ddsketch_quantile_within(sketch, 1, values[0], values[count - 1]) <= values[count - 1]);
}

static void assert_same(const struct sw_ddsketch *a, const struct sw_ddsketch *b) {
    struct sw_buf left = {0}, right = {0};
    assert_int_equal(sw_ddsketch_encode(a, &left), SW_OK);
    assert_int_equal(sw_ddsketch_encode(b, &right), SW_OK);
    assert_int_equal(left.len, right.len);
    assert_memory_equal(left.ptr, right.ptr, left.len);
    assert_int_equal(sw_ddsketch_count(a), sw_ddsketch_count(b));
    sw_buf_release(&left);
    sw_buf_release(&right);
}

static void zero_is_empty_and_small(void **state) {
    struct sw_ddsketch sketch = {0};
    assert_true(sizeof(sketch) <= 48);
    assert_int_equal(sw_ddsketch_count(&sketch), 0);
    assert_true(isnan(sw_ddsketch_quantile(&sketch, 0.5)));
    assert_true(isnan(sw_ddsketch_quantile_within(&sketch, 0.5, 0, 1)));
    sw_ddsketch_clear(&sketch);
    sw_ddsketch_release(&sketch);
}

static void quantiles_are_within_one_percent(void **state) {
    static double values[100000];
    static const size_t sizes[] = {20, 100, 1000, 100000};
    for (size_t maker = 0; maker < MAKERS; maker++) {
        for (size_t size = 0; size < 4; size++) {
            random_state = maker * 10 + size;
            struct sw_ddsketch sketch = {0};
            for (size_t i = 0; i < sizes[size]; i++) {
                values[i] = makers[maker]();
            }
            add_all(&sketch, values, sizes[size]);
            assert_quantiles(&sketch, values, sizes[size]);
            sw_ddsketch_release(&sketch);
        }
    }
}

/* Every n up to 10, at every rank and between ranks. */
static void tiny_samples_are_right_at_every_rank(void **state) {
    for (uint64_t seed = 0; seed < 200; seed++) {
        for (size_t count = 1; count <= 10; count++) {
            double values[10];
            random_state = seed * 100 + count;
            struct sw_ddsketch sketch = {0};
            for (size_t i = 0; i < count; i++) {
                values[i] = makers[seed % MAKERS]();
            }
            add_all(&sketch, values, count);
            assert_quantiles(&sketch, values, count);
            for (size_t step = 0; step <= 4 * (count - 1); step++) {
                double q = count == 1 ? 0.0 : (double)step / (4.0 * (double)(count - 1));
                size_t rank = (size_t)floor(q * (double)(count - 1));
                assert_near(sw_ddsketch_quantile(&sketch, q), values[rank]);
            }
            assert_near(sw_ddsketch_quantile(&sketch, -1.0), values[0]);
            assert_near(sw_ddsketch_quantile(&sketch, 2.0), values[count - 1]);
            assert_true(isnan(sw_ddsketch_quantile(&sketch, NAN)));
            sw_ddsketch_release(&sketch);
        }
    }
}

static void assert_index(double value) {
    int32_t index, mirrored;
    double negative = -value;
    sw_ddsketch_index(&value, 1, &index);
    sw_ddsketch_index(&negative, 1, &mirrored);
    assert_int_equal(index, -mirrored);
    assert_true(index >= 1 && index < SW_DDSKETCH_INDEX_INFINITE);
    struct sw_ddsketch sketch = {0};
    assert_int_equal(sw_ddsketch_add_index(&sketch, index, 1), SW_OK);
    assert_near(sw_ddsketch_quantile(&sketch, 0.5), value);
    sw_ddsketch_clear(&sketch);
    assert_int_equal(sw_ddsketch_add_index(&sketch, mirrored, 1), SW_OK);
    assert_near(sw_ddsketch_quantile(&sketch, 0.5), negative);
}

/* The whole range of doubles: the ends of every power of two, their neighbours, and random mantissas. */
static void every_normal_double_is_answered_within_one_percent(void **state) {
    random_state = 5;
    for (int exponent = -1022; exponent <= 1023; exponent++) {
        double power = ldexp(1.0, exponent);
        assert_index(power);
        assert_index(nextafter(power, INFINITY));
        if (exponent > -1022) {
            assert_index(nextafter(power, 0.0));
        }
        for (int i = 0; i < 50; i++) {
            assert_index(power * (1.0 + uniform()) < DBL_MAX ? power * (1.0 + uniform() * 0.999) : power);
        }
    }
    assert_index(DBL_MAX);
}

static void indices_rise_with_values_and_mark_the_special_ones(void **state) {
    static const double values[] = {-INFINITY, -DBL_MAX, -1e100, -1.0, -DBL_MIN, -5e-324, -0.0,    0.0,
                                    5e-324,    DBL_MIN,  1e-9,   1.0,  1e9,      DBL_MAX, INFINITY};
    enum { COUNT = sizeof(values) / sizeof(values[0]) };
    int32_t indices[COUNT];
    sw_ddsketch_index(values, COUNT, indices);
    for (int i = 1; i < COUNT; i++) {
        assert_true(indices[i] >= indices[i - 1]);
        assert_true(indices[i] > indices[i - 1] || fabs(values[i]) < DBL_MIN);
    }
    assert_int_equal(indices[0], -SW_DDSKETCH_INDEX_INFINITE);
    assert_int_equal(indices[COUNT - 1], SW_DDSKETCH_INDEX_INFINITE);
    assert_int_equal(indices[7], 0);
    double nan = NAN;
    sw_ddsketch_index(&nan, 1, indices);
    assert_int_equal(indices[0], SW_DDSKETCH_INDEX_NAN);
}

/* Whatever the vector width, a batch maps as its values do one by one. */
static void a_batch_maps_as_single_values_do(void **state) {
    static double values[1003];
    static int32_t indices[1003];
    random_state = 6;
    for (size_t i = 0; i < 1003; i++) {
        uint64_t bits = random_u64(); /* any double at all: infinities, subnormals and NaN among them */
        memcpy(&values[i], &bits, sizeof(bits));
        values[i] = i % 50 == 7   ? NAN
                    : i % 50 == 8 ? INFINITY
                    : i % 50 == 9 ? 1e-310
                    : i % 3 == 0  ? gauss()
                                  : values[i];
    }
    for (size_t count = 0; count < 40; count++) {
        memset(indices, 0x55, sizeof(indices));
        sw_ddsketch_index(values + count, count, indices);
        for (size_t i = 0; i < count; i++) {
            struct sw_ddsketch by_index = {0}, by_value = {0};
            assert_int_equal(sw_ddsketch_add_index(&by_index, indices[i], 1), SW_OK);
            assert_int_equal(sw_ddsketch_add(&by_value, values[count + i]), SW_OK);
            assert_same(&by_index, &by_value);
        }
        assert_int_equal(indices[count], 0x55555555);
    }
}

static void nan_is_ignored_and_foreign_indices_are_refused(void **state) {
    struct sw_ddsketch sketch = {0};
    assert_int_equal(sw_ddsketch_add(&sketch, NAN), SW_OK);
    assert_int_equal(sw_ddsketch_add_index(&sketch, 5, 0), SW_OK);
    assert_int_equal(sw_ddsketch_count(&sketch), 0);
    assert_int_equal(sw_ddsketch_add_index(&sketch, SW_DDSKETCH_INDEX_INFINITE + 1, 1), SW_INVALID);
    assert_int_equal(sw_ddsketch_add_index(&sketch, -SW_DDSKETCH_INDEX_INFINITE - 1, 1), SW_INVALID);
    assert_int_equal(sw_ddsketch_add_index(&sketch, INT32_MAX, 1), SW_INVALID);
    assert_int_equal(sw_ddsketch_count(&sketch), 0);
}

static void six_buckets_need_no_memory(void **state) {
    struct sw_ddsketch sketch = {0};
    sw_mem_fail_at(1);
    enum sw_status status = SW_OK;
    for (int i = 0; i < 600 && status == SW_OK; i++) {
        status = sw_ddsketch_add(&sketch, (double[]){100, -7, 0, INFINITY, 1e5, 3}[i % 6]);
    }
    enum sw_status seventh = sw_ddsketch_add(&sketch, 1000.0);
    sw_mem_fail_at(0);
    assert_int_equal(status, SW_OK);
    assert_int_equal(seventh, SW_NOMEM);
    assert_int_equal(sw_ddsketch_count(&sketch), 600);
    sw_ddsketch_release(&sketch);
}

static void counts_do_not_saturate(void **state) {
    struct sw_ddsketch sketch = {0}, other = {0};
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(sw_ddsketch_add(&sketch, 5.0), SW_OK);
    }
    assert_int_equal(sw_ddsketch_count(&sketch), 100000);
    int32_t index;
    sw_ddsketch_index(&(double){7.0}, 1, &index);
    assert_int_equal(sw_ddsketch_add_index(&sketch, index, UINT64_C(1) << 40), SW_OK);
    assert_int_equal(sw_ddsketch_add_index(&other, index, 65535), SW_OK);
    assert_int_equal(sw_ddsketch_merge(&other, &other), SW_OK);
    assert_int_equal(sw_ddsketch_count(&other), 131070);
    assert_int_equal(sw_ddsketch_merge(&other, &other), SW_OK);
    assert_int_equal(sw_ddsketch_count(&other), 262140);
    assert_int_equal(sw_ddsketch_merge(&sketch, &other), SW_OK);
    assert_int_equal(sw_ddsketch_count(&sketch), 100000 + (UINT64_C(1) << 40) + 262140);
    assert_near(sw_ddsketch_quantile(&sketch, 0.0), 5.0);
    assert_near(sw_ddsketch_quantile(&sketch, 0.5), 7.0);
    sw_ddsketch_release(&sketch);
    sw_ddsketch_release(&other);
}

/* Values over 600 powers of two: the upper 58 of each sign stay exact, whatever came first. */
static void the_lowest_buckets_collapse(void **state) {
    double values[601];
    for (int i = 0; i <= 600; i++) {
        values[i] = ldexp(1.0, i - 300);
    }
    for (int sign = 0; sign < 2; sign++) {
        struct sw_ddsketch rising = {0}, falling = {0};
        for (int i = 0; i <= 600; i++) {
            assert_int_equal(sw_ddsketch_add(&rising, sign ? -values[i] : values[i]), SW_OK);
            assert_int_equal(sw_ddsketch_add(&falling, sign ? -values[600 - i] : values[600 - i]), SW_OK);
        }
        assert_same(&rising, &falling);
        assert_int_equal(sw_ddsketch_count(&rising), 601);
        for (int i = 0; i <= 57; i++) {
            double exact = sign ? -values[600 - i] : values[600 - i];
            assert_near(sw_ddsketch_quantile(&rising, sign ? i / 600.0 + 1e-9 : (600 - i) / 600.0), exact);
        }
        sw_ddsketch_release(&rising);
        sw_ddsketch_release(&falling);
    }
    struct sw_ddsketch few = {0}, few_reversed = {0};
    add_all(&few, (double[]){1e-300, 1.0, -1e-300, -1.0}, 4);
    add_all(&few_reversed, (double[]){-1.0, -1e-300, 1.0, 1e-300}, 4);
    assert_same(&few, &few_reversed);
    sw_ddsketch_release(&few);
    sw_ddsketch_release(&few_reversed);
}

static double make_any(uint64_t kind) {
    return kind < MAKERS ? makers[kind]() : ldexp(gauss(), (int)(random_u64() % 400) - 200); /* collapses */
}

/* merge(a, merge(b, c)) == merge(merge(a, b), c) == adding all in any order. */
static void merging_is_associative_and_commutative(void **state) {
    static const size_t sizes[] = {0, 1, 2, 5, 7, 30, 500, 3000};
    static double values[3][3000];
    for (uint64_t round = 0; round < 300; round++) {
        random_state = round * 1000;
        size_t counts[3];
        struct sw_ddsketch parts[3] = {{0}}, left = {0}, right = {0}, all = {0};
        for (int i = 0; i < 3; i++) {
            uint64_t kind = random_u64() % (MAKERS + 2);
            counts[i] = sizes[random_u64() % 8];
            for (size_t k = 0; k < counts[i]; k++) {
                values[i][k] = make_any(kind);
            }
            add_all(&parts[i], values[i], counts[i]);
        }
        for (int i = 2; i >= 0; i--) {
            for (size_t k = counts[i]; k-- > 0;) {
                assert_int_equal(sw_ddsketch_add(&all, values[i][k]), SW_OK);
            }
        }
        for (int i = 0; i < 3; i++) {
            assert_int_equal(sw_ddsketch_merge(&left, &parts[i]), SW_OK);
        }
        assert_int_equal(sw_ddsketch_merge(&right, &parts[2]), SW_OK);
        assert_int_equal(sw_ddsketch_merge(&parts[1], &right), SW_OK);
        assert_int_equal(sw_ddsketch_merge(&parts[0], &parts[1]), SW_OK);
        assert_same(&left, &all);
        assert_same(&parts[0], &all);
        assert_true(sw_ddsketch_count(&all) == counts[0] + counts[1] + counts[2]);
        for (int i = 0; i < 3; i++) {
            sw_ddsketch_release(&parts[i]);
        }
        sw_ddsketch_release(&left);
        sw_ddsketch_release(&right);
        sw_ddsketch_release(&all);
    }
}

static void clear_keeps_nothing_but_memory(void **state) {
    struct sw_ddsketch reused = {0};
    double values[2000];
    for (uint64_t round = 0; round < 60; round++) {
        struct sw_ddsketch fresh = {0};
        random_state = round;
        size_t count = random_u64() % (round % 3 == 0 ? 2000 : 20);
        for (size_t i = 0; i < count; i++) {
            values[i] = make_any(round % (MAKERS + 1));
        }
        add_all(&reused, values, count);
        add_all(&fresh, values, count);
        assert_same(&reused, &fresh);
        sw_ddsketch_release(&fresh);
        sw_ddsketch_clear(&reused);
        assert_int_equal(sw_ddsketch_count(&reused), 0);
    }
    sw_ddsketch_release(&reused);
    for (size_t round = 0; round < 2; round++) {
        sw_mem_fail_at(round); /* the second time all happens in the memory of the first */
        for (int i = 1; i <= 100; i++) {
            assert_int_equal(sw_ddsketch_add(&reused, i), SW_OK);
        }
        sw_mem_fail_at(0);
        sw_ddsketch_clear(&reused);
    }
    sw_ddsketch_release(&reused);
}

/* The n-th allocation fails: the sketch is as it was, and works on. */
static void running_out_of_memory_changes_nothing(void **state) {
    double values[2][300];
    for (uint64_t round = 0; round < 100; round++) {
        random_state = round * 31;
        size_t counts[2] = {random_u64() % (round % 2 ? 300 : 8), random_u64() % (round % 4 > 1 ? 300 : 8)};
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < counts[side]; i++) {
                values[side][i] = make_any((round + (uint64_t)side) % (MAKERS + 1));
            }
        }
        for (size_t nth = 1; nth <= 6; nth++) {
            struct sw_ddsketch into = {0}, before = {0}, from = {0};
            add_all(&into, values[0], counts[0]);
            add_all(&before, values[0], counts[0]);
            add_all(&from, values[1], counts[1]);
            sw_mem_fail_at(nth);
            enum sw_status status = sw_ddsketch_merge(&into, &from);
            sw_mem_fail_at(0);
            if (status != SW_OK) {
                assert_int_equal(status, SW_NOMEM);
                assert_same(&into, &before);
                assert_int_equal(sw_ddsketch_merge(&into, &from), SW_OK);
            }
            for (size_t i = 0; i < counts[1]; i++) {
                sw_mem_fail_at(1);
                status = sw_ddsketch_add(&before, values[1][i]);
                sw_mem_fail_at(0);
                if (status != SW_OK) {
                    assert_int_equal(sw_ddsketch_add(&before, values[1][i]), SW_OK);
                }
            }
            assert_same(&into, &before);
            sw_ddsketch_release(&into);
            sw_ddsketch_release(&before);
            sw_ddsketch_release(&from);
        }
    }
}

static void decoding_returns_what_was_encoded(void **state) {
    static double values[5000];
    struct sw_ddsketch decoded = {0};
    for (uint64_t kind = 0; kind < MAKERS + 1; kind++) {
        for (size_t count = 0; count <= 5000; count = count * 5 + 1) {
            random_state = kind * 100 + count;
            struct sw_ddsketch sketch = {0};
            struct sw_buf bytes = {0};
            for (size_t i = 0; i < count; i++) {
                values[i] = make_any(kind);
            }
            add_all(&sketch, values, count);
            assert_int_equal(sw_ddsketch_encode(&sketch, &bytes), SW_OK);
            assert_int_equal(sw_ddsketch_decode(&decoded, sw_buf_view(&bytes)), SW_OK);
            assert_same(&sketch, &decoded);
            add_all(&sketch, values, count < 50 ? count : 50);
            add_all(&decoded, values, count < 50 ? count : 50);
            assert_same(&sketch, &decoded);
            sw_buf_release(&bytes);
            sw_ddsketch_release(&sketch);
        }
    }
    sw_ddsketch_release(&decoded);
}

/* Every cut, every change of a byte: refused with the sketch as it was, or accepted as a sketch that encodes to it. */
static void decoding_refuses_what_is_damaged(void **state) {
    struct sw_ddsketch sketch = {0}, decoded = {0};
    struct sw_buf bytes = {0};
    int refused = 0;
    random_state = 8;
    add_all(&sketch, (double[]){1, 1, 2, -3, 0, INFINITY, 1e9, 1e10, 5, 5, 5}, 11);
    assert_int_equal(sw_ddsketch_encode(&sketch, &bytes), SW_OK);
    for (size_t at = 0; at < bytes.len; at++) {
        for (int bits = 0; bits < 256; bits++) {
            size_t len = bits == 0 ? at : bytes.len;
            char *copy = malloc(len ? len : 1);
            assert_non_null(copy);
            memcpy(copy, bytes.ptr, len);
            if (bits != 0) {
                copy[at] = (char)(copy[at] ^ bits);
            }
            sw_ddsketch_clear(&decoded);
            enum sw_status status = sw_ddsketch_decode(&decoded, sw_str_make(copy, len));
            struct sw_buf again = {0};
            assert_int_equal(sw_ddsketch_encode(&decoded, &again), SW_OK);
            assert_int_equal(again.len, status == SW_OK ? len : 3);
            assert_memory_equal(again.ptr, status == SW_OK ? copy : bytes.ptr, again.len);
            refused += status != SW_OK;
            sw_buf_release(&again);
            free(copy);
        }
    }
    assert_true(refused > 500);
    static const char overlong[] = "DD\x01\x81\x80\x00\x01", zero_count[] = "DD\x01\x05\x00";
    assert_int_equal(sw_ddsketch_decode(&decoded, SW_STR(overlong)), SW_MALFORMED);
    assert_int_equal(sw_ddsketch_decode(&decoded, SW_STR(zero_count)), SW_MALFORMED);
    bytes.ptr[2] = 2;
    assert_int_equal(sw_ddsketch_decode(&decoded, sw_buf_view(&bytes)), SW_UNSUPPORTED);
    sw_buf_release(&bytes);
    sw_ddsketch_release(&sketch);
    sw_ddsketch_release(&decoded);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_empty_and_small),
        cmocka_unit_test(quantiles_are_within_one_percent),
        cmocka_unit_test(tiny_samples_are_right_at_every_rank),
        cmocka_unit_test(every_normal_double_is_answered_within_one_percent),
        cmocka_unit_test(indices_rise_with_values_and_mark_the_special_ones),
        cmocka_unit_test(a_batch_maps_as_single_values_do),
        cmocka_unit_test(nan_is_ignored_and_foreign_indices_are_refused),
        cmocka_unit_test(six_buckets_need_no_memory),
        cmocka_unit_test(counts_do_not_saturate),
        cmocka_unit_test(the_lowest_buckets_collapse),
        cmocka_unit_test(merging_is_associative_and_commutative),
        cmocka_unit_test(clear_keeps_nothing_but_memory),
        cmocka_unit_test(running_out_of_memory_changes_nothing),
        cmocka_unit_test(decoding_returns_what_was_encoded),
        cmocka_unit_test(decoding_refuses_what_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
