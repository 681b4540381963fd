/* test_histogram.c - The histogram's error bound, its merge, and its edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/histogram.h"

enum { SAMPLES = 20000 };

static int compare_u64(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Spread over all magnitudes up to 2^64 - 1. */
static uint64_t sample(uint64_t i) {
    uint64_t random = sw_hash_u64(i + 1);
    return random >> (sw_hash_u64(random) & 63);
}

static void empty(void **state) {
    static struct sw_histogram histogram;
    static struct sw_histogram other;
    assert_int_equal(sw_histogram_quantile(&histogram, 0.5), 0);
    sw_histogram_merge(&histogram, &other);
    assert_int_equal(histogram.total, 0);
}

static void values_below_128_are_exact(void **state) {
    static struct sw_histogram histogram;
    for (uint64_t value = 0; value < 128; value++) {
        sw_histogram_clear(&histogram);
        sw_histogram_add(&histogram, value);
        sw_histogram_add(&histogram, 1000);
        assert_int_equal(sw_histogram_quantile(&histogram, 0.5), value);
        assert_int_equal(histogram.min, value);
        assert_int_equal(histogram.max, 1000);
        assert_int_equal(sw_histogram_quantile(&histogram, 1), 1000);
    }
}

/* Each bucket's edges: the value is never above what the quantile says, nor more than 1/64 below. */
static void the_error_is_at_most_a_64th(void **state) {
    static struct sw_histogram histogram;
    for (unsigned shift = 0; shift < 64; shift++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t value = (UINT64_C(1) << shift) + (uint64_t)delta;
            sw_histogram_clear(&histogram);
            sw_histogram_add(&histogram, value);
            sw_histogram_add(&histogram, UINT64_MAX);
            uint64_t told = sw_histogram_quantile(&histogram, 0.5);
            assert_true(told >= value && told - value <= value / 64);
        }
    }
    assert_int_equal(sw_histogram_quantile(&histogram, 1), UINT64_MAX);
}

static void quantiles_of_many_samples(void **state) {
    static struct sw_histogram histogram;
    static uint64_t sorted[SAMPLES];
    sw_histogram_clear(&histogram);
    for (uint64_t i = 0; i < SAMPLES; i++) {
        sorted[i] = sample(i);
        sw_histogram_add(&histogram, sorted[i]);
    }
    qsort(sorted, SAMPLES, sizeof(sorted[0]), compare_u64);
    assert_int_equal(histogram.total, SAMPLES);
    assert_int_equal(histogram.min, sorted[0]);
    assert_int_equal(histogram.max, sorted[SAMPLES - 1]);
    for (int percent = 1; percent <= 100; percent++) {
        uint64_t exact = sorted[SAMPLES / 100 * percent - 1];
        uint64_t told = sw_histogram_quantile(&histogram, percent / 100.0);
        assert_true(told >= exact && told - exact <= exact / 64);
    }
    assert_true(sw_histogram_quantile(&histogram, 0) <= sorted[0] + sorted[0] / 64);
    assert_true(sw_histogram_quantile(&histogram, -1) == sw_histogram_quantile(&histogram, 0));
    assert_true(sw_histogram_quantile(&histogram, 2) == histogram.max);
}

static void merging_is_adding(void **state) {
    static struct sw_histogram parts[3];
    static struct sw_histogram merged;
    static struct sw_histogram whole;
    for (uint64_t i = 0; i < SAMPLES; i++) {
        sw_histogram_add(&parts[i % 3], sample(i) >> 8);
        sw_histogram_add(&whole, sample(i) >> 8);
    }
    for (int i = 0; i < 3; i++) {
        sw_histogram_merge(&merged, &parts[i]);
    }
    assert_int_equal(merged.total, whole.total);
    assert_int_equal(merged.min, whole.min);
    assert_int_equal(merged.max, whole.max);
    assert_memory_equal(merged.counts, whole.counts, sizeof(whole.counts));
    assert_true(merged.sum > whole.sum * 0.999999 && merged.sum < whole.sum * 1.000001);
    sw_histogram_clear(&merged);
    assert_int_equal(merged.total, 0);
    assert_int_equal(sw_histogram_quantile(&merged, 0.9), 0);
}

static void sums(void **state) {
    static struct sw_histogram histogram;
    sw_histogram_clear(&histogram);
    for (uint64_t i = 1; i <= 100; i++) {
        sw_histogram_add(&histogram, i);
    }
    assert_true(histogram.sum == 5050.0);
    assert_int_equal(sw_histogram_quantile(&histogram, 0.5), 50);
    assert_int_equal(sw_histogram_quantile(&histogram, 0.99), 99);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty),
        cmocka_unit_test(values_below_128_are_exact),
        cmocka_unit_test(the_error_is_at_most_a_64th),
        cmocka_unit_test(quantiles_of_many_samples),
        cmocka_unit_test(merging_is_adding),
        cmocka_unit_test(sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
