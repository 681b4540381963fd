/* test_reduce.c - Reductions against long double, on every level of instructions, in every layout, to the last bit alike. */
#include <float.h>
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
#include "guard_page.h"
#include "kernels/reduce.h"
#include "pool/team.h"
#include "reduce_parts.h"

enum { MOST = 150000, MARGIN = 16 };

static const size_t counts[] = {1,    2,    3,    7,    8,    9,    15,   16,   17,    31,    32,    33,
                                63,   64,   100,  255,  256,  257,  300,  511,  512,   513,   767,   1023,
                                1024, 1025, 1500, 2047, 2048, 2049, 4096, 5000, 30000, 65537, 140000};

#define COUNTS (sizeof counts / sizeof counts[0])

static double wide[MOST + MARGIN], wide_y[MOST + MARGIN];
static float narrow[MOST + MARGIN], narrow_y[MOST + MARGIN];

static void fill(uint64_t seed) {
    for (size_t i = 0; i < MOST + MARGIN; i++) {
        narrow[i] = (float)noise(&seed);
        wide[i] = noise(&seed) + 3;
        narrow_y[i] = (float)(0.5 * (double)narrow[i] + noise(&seed));
        wide_y[i] = wide[i] - 2 * noise(&seed);
    }
}

static double element(const struct sw_array *array, size_t i) {
    const char *at = array->data + (ptrdiff_t)i * array->strides[0];
    return array->dtype == SW_F64 ? *(const double *)(const void *)at : (double)*(const float *)(const void *)at;
}

/* Everything there is, of vectors. */
struct results {
    double values[20];
    size_t count;
};

static void take(struct results *results, double value) {
    results->values[results->count++] = value;
}

static struct results reduce_all(const struct sw_array *x, const struct sw_array *y, struct sw_parallel *parallel) {
    struct results results = {.count = 0};
    struct sw_moments moments = sw_reduce_moments(x, parallel);
    struct sw_extremes extremes = sw_reduce_extremes(x, parallel);
    struct sw_summary summary = sw_reduce_summary(x, parallel);
    struct sw_joint_moments joint = sw_reduce_joint(x, y, parallel);
    take(&results, sw_reduce_sum(x, parallel));
    take(&results, sw_reduce_dot(x, y, parallel));
    take(&results, sw_reduce_norm(x, parallel));
    take(&results, moments.mean);
    take(&results, moments.m2);
    take(&results, extremes.min);
    take(&results, extremes.max);
    take(&results, joint.mean_x);
    take(&results, joint.mean_y);
    take(&results, joint.m2_x);
    take(&results, joint.m2_y);
    take(&results, joint.c_xy);
    assert_true(bits_of(summary.mean) == bits_of(moments.mean) && bits_of(summary.m2) == bits_of(moments.m2));
    assert_true(bits_of(summary.min) == bits_of(extremes.min) && bits_of(summary.max) == bits_of(extremes.max));
    assert_true(moments.count == summary.count && joint.count == summary.count);
    return results;
}

static void assert_same_bits(const struct results *a, const struct results *b, size_t count) {
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        if (bits_of(a->values[i]) != bits_of(b->values[i]))
            fail_msg("result %zu of %zu elements: %a and %a", i, count, a->values[i], b->values[i]);
    }
}

/* One level is right (below); the others, several lanes and other addresses must not differ from it by a bit. */
static void levels_lanes_and_addresses_agree(void **state) {
    struct sw_parallel mixed = backwards();
    for (size_t c = 0; c < COUNTS; c++) {
        for (int kind = 0; kind < 4; kind++) { /* dtypes of x and y */
            struct results first = {.count = 0};
            for (size_t i = 0; i < LEVELS * 2; i++) {
                if (!level_use(i / 2))
                    continue;
                size_t shift = i == 0 ? 0 : 1 + (c + i) % (MARGIN - 1); /* in elements */
                memmove(wide + shift, wide, counts[c] * sizeof wide[0]);
                memmove(narrow + shift, narrow, counts[c] * sizeof narrow[0]);
                struct sw_array x = kind & 1 ? sw_array_vector(narrow + shift, SW_F32, counts[c])
                                             : sw_array_vector(wide + shift, SW_F64, counts[c]);
                struct sw_array y = kind & 2 ? sw_array_vector(narrow_y, SW_F32, counts[c])
                                             : sw_array_vector(wide_y, SW_F64, counts[c]);
                struct results results = reduce_all(&x, &y, i % 2 ? &mixed : NULL);
                memmove(wide, wide + shift, counts[c] * sizeof wide[0]);
                memmove(narrow, narrow + shift, counts[c] * sizeof narrow[0]);
                if (i == 0)
                    first = results;
                assert_same_bits(&first, &results, counts[c]);
            }
        }
    }
    sw_reduce_level_force(NULL);
}

static void real_threads_agree(void **state) {
    struct sw_team *team = NULL;
    assert_int_equal(sw_team_open(3, &team, NULL), SW_OK);
    struct sw_array x = sw_array_vector(wide, SW_F64, MOST), y = sw_array_vector(narrow, SW_F32, MOST);
    struct results alone = reduce_all(&x, &y, NULL);
    for (int round = 0; round < 20; round++) {
        struct results together = reduce_all(&x, &y, sw_team_parallel(team));
        assert_same_bits(&alone, &together, MOST);
    }
    sw_team_close(team);
}

struct exact {
    long double sum, dot, squares, mean_x, mean_y, m2_x, m2_y, c_xy;
    double min, max;
};

/* Means are taken from the first element, so that they are precise even where it is large. */
static struct exact exact_of(const struct sw_array *x, const struct sw_array *y) {
    struct exact exact = {.min = INFINITY, .max = -INFINITY};
    size_t count = sw_array_count(x);
    long double first_x = element(x, 0), first_y = element(y, 0), offset_x = 0, offset_y = 0;
    for (size_t i = 0; i < count; i++) {
        long double a = element(x, i), b = element(y, i);
        exact.sum += a, offset_x += a - first_x, offset_y += b - first_y;
        exact.dot += a * b, exact.squares += a * a;
        exact.min = fmin(exact.min, (double)a), exact.max = fmax(exact.max, (double)a);
    }
    offset_x /= (long double)count, offset_y /= (long double)count;
    exact.mean_x = first_x + offset_x, exact.mean_y = first_y + offset_y;
    for (size_t i = 0; i < count; i++) {
        long double a = element(x, i) - first_x - offset_x, b = element(y, i) - first_y - offset_y;
        exact.m2_x += a * a, exact.m2_y += b * b, exact.c_xy += a * b;
    }
    return exact;
}

static void assert_near(double value, long double expected, long double most) {
    if (!(fabsl((long double)value - expected) <= most))
        fail_msg("%.17g, expected %.20Lg within %.3Lg", value, expected, most);
}

static void assert_exact(const struct sw_array *x, const struct sw_array *y) {
    struct exact exact = exact_of(x, y);
    struct sw_joint_moments joint = sw_reduce_joint(x, y, NULL);
    struct sw_summary summary = sw_reduce_summary(x, NULL);
    long double size = sqrtl(exact.squares), count = (long double)sw_array_count(x), unit = DBL_EPSILON;
    long double size_y = sqrtl(exact.m2_y + count * exact.mean_y * exact.mean_y),
                spread = sqrtl(exact.m2_x * exact.m2_y);
    assert_near(sw_reduce_sum(x, NULL), exact.sum, 4 * unit * sqrtl(count) * size);
    assert_near(sw_reduce_dot(x, y, NULL), exact.dot, 8 * unit * size * size_y);
    assert_near(sw_reduce_norm(x, NULL), size, 4 * unit * size);
    assert_near(summary.mean, exact.mean_x, 2 * unit * size / sqrtl(count));
    assert_near(summary.m2, exact.m2_x, 16 * unit * exact.m2_x);
    assert_near(joint.mean_x, exact.mean_x, 2 * unit * size / sqrtl(count));
    assert_near(joint.mean_y, exact.mean_y, 2 * unit * size_y / sqrtl(count));
    assert_near(joint.m2_x, exact.m2_x, 16 * unit * exact.m2_x);
    assert_near(joint.m2_y, exact.m2_y, 16 * unit * exact.m2_y);
    assert_near(joint.c_xy, exact.c_xy, 16 * unit * spread);
    assert_true(summary.min == exact.min && summary.max == exact.max);
}

static void results_are_those_of_long_double(void **state) {
    for (size_t i = 0; i < LEVELS; i++) {
        if (!level_use(i))
            continue;
        for (size_t c = 0; c < COUNTS; c++) {
            struct sw_array x = sw_array_vector(wide, SW_F64, counts[c]),
                            y = sw_array_vector(wide_y, SW_F64, counts[c]);
            assert_exact(&x, &y);
            x.strides[0] = -8, x.data += 8 * (counts[c] - 1);
            assert_exact(&x, &y);
            x = sw_array_vector(narrow, SW_F32, counts[c]);
            assert_exact(&x, &y);
            x.shape[0] = (counts[c] + 2) / 3, x.strides[0] = 12, y.shape[0] = x.shape[0], y.strides[0] = 24;
            assert_exact(&x, &y);
        }
    }
    sw_reduce_level_force(NULL);
}

/* Where one pass goes wrong that takes deviations from anything but the mean. */
static void moments_of_hard_data(void **state) {
    static double hard[MOST];
    struct sw_array y = sw_array_vector(wide_y, SW_F64, MOST);
    uint64_t seed = 5;
    for (int kind = 0; kind < 8; kind++) {
        for (size_t i = 0; i < MOST; i++) {
            double value = noise(&seed);
            switch (kind) {
            case 0: /* a large mean */
                value = 1e9 + value;
                break;
            case 1: /* and so large that few digits are left */
                value = 1e15 + round(10 * value);
                break;
            case 2: /* a ramp */
                value = (double)i;
                break;
            case 3: /* an outlier where the mean is estimated */
                value = i == 3 ? 1e9 : value;
                break;
            case 4: /* the estimate has seen nothing of most */
                value = i % 50000 < 50 || i >= MOST - 50 ? value : 1e6 + value;
                break;
            case 5: /* an outlier it has not seen */
                value = i == 777 ? -1e12 : value;
                break;
            case 6: /* two values */
                value = i % 2 ? 1e8 : 1e8 + 1;
                break;
            default: /* tiny */
                value *= 1e-150;
            }
            hard[i] = value;
        }
        for (size_t count = 10; count <= MOST; count *= 24) {
            struct sw_array x = sw_array_vector(hard, SW_F64, count);
            y.shape[0] = count;
            struct exact exact = exact_of(&x, &y);
            struct sw_moments moments = sw_reduce_moments(&x, NULL);
            struct sw_joint_moments joint = sw_reduce_joint(&x, &y, NULL);
            long double most = fmaxl(16 * DBL_EPSILON * exact.m2_x, (long double)count * 0x1p-1074L);
            assert_near(moments.m2, exact.m2_x, most);
            assert_near(joint.m2_x, exact.m2_x, most);
            assert_near(joint.c_xy, exact.c_xy, 16 * DBL_EPSILON * sqrtl(exact.m2_x * exact.m2_y));
            assert_near(moments.mean, exact.mean_x, DBL_EPSILON * sqrtl(exact.squares / (long double)count));
        }
    }
}

static void equal_elements_have_no_variance(void **state) {
    static const double values[] = {0.1, 1e300, -3e-300, 12345.678, 0};
    for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
        for (size_t c = 0; c < COUNTS; c++) {
            double value = values[v];
            struct sw_array x = {(char *)&value, SW_F64, 1, {counts[c]}, {0}}; /* broadcast */
            struct sw_summary summary = sw_reduce_summary(&x, NULL);
            assert_true(summary.mean == value && summary.m2 == 0 && summary.min == value && summary.max == value);
        }
    }
}

static void nothing(void **state) {
    struct sw_array x = sw_array_vector(wide, SW_F64, 0), y = {(char *)wide, SW_F32, 2, {5, 0}, {4, 4}};
    double median = 0, half = 0.5;
    uint64_t bins[3] = {1, 2, 3};
    assert_true(sw_reduce_sum(&x, NULL) == 0 && sw_reduce_dot(&x, &y, NULL) == 0 && sw_reduce_norm(&y, NULL) == 0);
    struct sw_summary summary = sw_reduce_summary(&x, NULL);
    assert_true(isnan(summary.mean) && isnan(summary.m2) && isnan(summary.min) && isnan(summary.max));
    assert_true(isnan(sw_reduce_moments(&y, NULL).m2) && isnan(sw_reduce_extremes(&y, NULL).max));
    assert_true(isnan(sw_reduce_joint(&x, &x, NULL).c_xy) && summary.count == 0);
    assert_int_equal(sw_reduce_quantiles(&x, &half, 1, &median, NULL), SW_OK);
    assert_true(isnan(median));
    assert_int_equal(sw_reduce_histogram(&y, 0, 1, 3, bins, NULL), SW_OK);
    assert_true(bins[0] == 1 && bins[1] == 2 && bins[2] == 3);
    sw_reduce_ewma(&x, 0.5, &x);
}

/* Wherever the NaN is, it is seen; an infinity is one in the extremes and the mean. */
static void nan_and_infinity(void **state) {
    double numbers[600];
    float floats[600];
    for (size_t i = 0; i < LEVELS; i++) {
        if (!level_use(i))
            continue;
        for (size_t at = 0; at < 600; at++) {
            for (int k = 0; k < 600; k++)
                numbers[k] = wide[k], floats[k] = narrow[k];
            numbers[at] = NAN, floats[at] = NAN;
            for (int dtype = SW_F64; dtype <= SW_F32; dtype++) {
                void *data = dtype == SW_F64 ? (void *)(numbers + at % 3) : (void *)(floats + at % 3);
                struct sw_array x = sw_array_vector(data, (enum sw_dtype)dtype, 597);
                bool is_in = at >= at % 3 && at < at % 3 + 597;
                struct sw_summary summary = sw_reduce_summary(&x, NULL);
                struct sw_extremes extremes = sw_reduce_extremes(&x, NULL);
                assert_true(isnan(extremes.min) == is_in && isnan(extremes.max) == is_in);
                assert_true(isnan(summary.mean) == is_in && isnan(summary.m2) == is_in && isnan(summary.min) == is_in);
                assert_true(isnan(sw_reduce_sum(&x, NULL)) == is_in && isnan(sw_reduce_norm(&x, NULL)) == is_in);
                assert_true(isnan(sw_reduce_joint(&x, &x, NULL).c_xy) == is_in);
            }
            numbers[at] = INFINITY;
            struct sw_array x = sw_array_vector(numbers, SW_F64, 600);
            struct sw_summary summary = sw_reduce_summary(&x, NULL);
            assert_true(summary.max == INFINITY && isfinite(summary.min) && summary.mean == INFINITY);
            assert_true(isnan(summary.m2) && sw_reduce_norm(&x, NULL) == INFINITY);
            numbers[(at + 1) % 600] = -INFINITY;
            assert_true(isnan(sw_reduce_moments(&x, NULL).mean) && sw_reduce_norm(&x, NULL) == INFINITY);
        }
    }
    sw_reduce_level_force(NULL);
}

static void nan_in_a_far_block_is_not_lost(void **state) {
    struct sw_array x = sw_array_vector(wide, SW_F64, MOST);
    for (size_t at = 5; at < MOST; at += 29989) {
        double kept = wide[at];
        wide[at] = NAN;
        assert_true(isnan(sw_reduce_extremes(&x, NULL).min) && isnan(sw_reduce_extremes(&x, NULL).max));
        assert_true(isnan(sw_reduce_summary(&x, NULL).max) && isnan(sw_reduce_sum(&x, NULL)));
        wide[at] = kept;
    }
}

static void norm_neither_overflows_nor_underflows(void **state) {
    static const double rows[][3] = {
        {3e200, 4e200, 5e200},
        {3e-200, 4e-200, 5e-200},
        {3e307, 4e307, 5e307},
        {0x3p-1074, 0x4p-1074, 0x5p-1074},
        {0, 0, 0},
        {0, -7, 7},
        {0x3p-480, 0x4p-480, 0x5p-480},
        {3e200, 4e-200, 3e200},
        {1e-308, 0, 1e-308},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double values[40] = {rows[i][0]};
        values[33] = rows[i][1];
        struct sw_array x = sw_array_vector(values, SW_F64, 40);
        assert_near(sw_reduce_norm(&x, NULL), (long double)rows[i][2], 2 * DBL_EPSILON * (long double)rows[i][2]);
    }
    double large[] = {1.5e308, 1.5e308};
    struct sw_array x = sw_array_vector(large, SW_F64, 2);
    assert_true(sw_reduce_norm(&x, NULL) == INFINITY); /* so is the result */
    assert_true(sw_reduce_moments(&x, NULL).mean == 1.5e308 && sw_reduce_moments(&x, NULL).m2 == 0);
    large[1] = -1.5e308;
    assert_true(sw_reduce_moments(&x, NULL).mean == 0 && sw_reduce_moments(&x, NULL).m2 == INFINITY);
}

/* Too large a spread is infinite, not none. */
static void squares_that_overflow(void **state) {
    static const double rows[][3] = {{1e200, 2e200, 2e200}, {-1e308, 1e308, 0}, {1, 2, 1e155}, {3e307, -1e200, 7}};
    for (size_t i = 0; i < LEVELS * sizeof rows / sizeof rows[0]; i++) {
        double large[50], small[50];
        for (size_t k = 0; k < 50; k++)
            large[k] = rows[i / LEVELS][k % 3], small[k] = (double)k;
        for (size_t count = 3; count <= 50 && level_use(i % LEVELS); count++) {
            struct sw_array x = sw_array_vector(large, SW_F64, count), y = sw_array_vector(small, SW_F64, count);
            struct sw_joint_moments left = sw_reduce_joint(&x, &y, NULL), right = sw_reduce_joint(&y, &x, NULL);
            assert_true(sw_reduce_moments(&x, NULL).m2 == INFINITY && sw_reduce_summary(&x, NULL).m2 == INFINITY);
            struct exact exact = exact_of(&x, &y);
            assert_near(sw_reduce_summary(&x, NULL).mean, exact.mean_x, 8 * DBL_EPSILON * 1e308L);
            assert_true(left.m2_x == INFINITY && isfinite(left.m2_y) && left.m2_y > 0 && isnan(left.c_xy));
            assert_true(right.m2_y == INFINITY && isfinite(right.m2_x) && right.m2_x > 0 && isnan(right.c_xy));
        }
    }
    sw_reduce_level_force(NULL);
}

/* The first estimate of the mean comes from the only elements that are not 0: squared deviations from it overflow,
 * those from the mean do not. */
static void squares_that_overflow_at_first(void **state) {
    static double hard[MOST];
    for (size_t place = 0; place < 4; place++) {
        for (size_t i = 0; i < 16; i++)
            hard[(MOST - 16) / 3 * place + i] = 1e153;
    }
    struct sw_array x = sw_array_vector(hard, SW_F64, MOST), y = sw_array_vector(wide, SW_F64, MOST);
    struct exact exact = exact_of(&x, &y);
    for (size_t i = 0; i < LEVELS; i++) {
        if (!level_use(i))
            continue;
        struct sw_moments moments = sw_reduce_moments(&x, NULL);
        struct sw_joint_moments joint = sw_reduce_joint(&x, &y, NULL);
        assert_near(moments.m2, exact.m2_x, 16 * DBL_EPSILON * exact.m2_x);
        assert_near(joint.m2_x, exact.m2_x, 16 * DBL_EPSILON * exact.m2_x);
        assert_near(joint.c_xy, exact.c_xy, 16 * DBL_EPSILON * sqrtl(exact.m2_x * exact.m2_y));
    }
    sw_reduce_level_force(NULL);
}

/* Sums are pairwise: a million equal summands lose next to nothing, while one accumulator loses five digits. */
static void sums_are_precise(void **state) {
    double tenth = 0.1;
    struct sw_array x = {(char *)&tenth, SW_F64, 1, {10000000}, {0}};
    assert_near(sw_reduce_sum(&x, NULL), 0.1L * 10000000 + 10000000 * (long double)(0.1 - 0.1L), 2e-10L);
}

static void views_cost_no_order(void **state) {
    enum { ROWS = 300, COLUMNS = 500 };
    struct sw_array base = {(char *)wide, SW_F64, 2, {ROWS, COLUMNS}, {COLUMNS * 8, 8}};
    struct sw_array turned = {(char *)wide, SW_F64, 2, {COLUMNS, ROWS}, {8, COLUMNS * 8}};
    struct sw_array mirrored = {(char *)(wide + COLUMNS - 1), SW_F64, 2, {ROWS, COLUMNS}, {COLUMNS * 8, -8}};
    assert_true(bits_of(sw_reduce_sum(&base, NULL)) == bits_of(sw_reduce_sum(&turned, NULL)));
    assert_true(bits_of(sw_reduce_sum(&base, NULL)) == bits_of(sw_reduce_sum(&mirrored, NULL)));
    /* The partner of an element stays its partner. */
    struct sw_array y = {(char *)wide_y, SW_F64, 2, {COLUMNS, ROWS}, {ROWS * 8, 8}};
    long double dot = 0;
    for (size_t i = 0; i < COLUMNS; i++) {
        for (size_t k = 0; k < ROWS; k++)
            dot += (long double)wide[k * COLUMNS + i] * (long double)wide_y[i * ROWS + k];
    }
    assert_near(sw_reduce_dot(&turned, &y, NULL), dot, 1e-13L * dot);
    /* Of other shapes, they are paired in C order. */
    struct sw_array flat = sw_array_vector(wide_y, SW_F64, ROWS * COLUMNS);
    assert_near(sw_reduce_dot(&turned, &flat, NULL), dot, 1e-13L * dot);
}

/* On both sides of the elements is memory that must not be touched. */
static void nothing_outside_is_read(void **state) {
    char *area = mmap(NULL, 3 * GUARD_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(area != MAP_FAILED && mprotect(area + GUARD_PAGE, GUARD_PAGE, PROT_READ | PROT_WRITE) == 0);
    memset(area + GUARD_PAGE, 0, GUARD_PAGE);
    uint64_t bins[10] = {0};
    double half = 0.5, median;
    for (size_t i = 0; i < LEVELS; i++) {
        for (size_t count = 1; count < 700 && level_use(i); count += count < 80 ? 1 : 37) {
            for (int where = 0; where < 4; where++) {
                enum sw_dtype dtype = where & 1 ? SW_F32 : SW_F64;
                char *end = area + 2 * GUARD_PAGE - count * sw_dtype_size(dtype);
                struct sw_array x = sw_array_vector(where & 2 ? end : area + GUARD_PAGE, dtype, count);
                struct results results = reduce_all(&x, &x, NULL);
                assert_true(results.values[0] == 0);
                assert_int_equal(sw_reduce_histogram(&x, -1, 1, 10, bins, NULL), SW_OK);
                assert_int_equal(sw_reduce_quantiles(&x, &half, 1, &median, NULL), SW_OK);
                sw_reduce_ewma(&x, 0.5, &x);
            }
        }
    }
    sw_reduce_level_force(NULL);
    munmap(area, 3 * GUARD_PAGE);
}

static void no_memory_is_needed(void **state) {
    struct sw_parallel mixed = backwards();
    struct sw_array x = sw_array_vector(wide, SW_F64, MOST), y = sw_array_vector(narrow, SW_F32, MOST);
    struct results before = reduce_all(&x, &y, &mixed);
    sw_mem_fail_at(1);
    struct results without = reduce_all(&x, &y, &mixed);
    sw_mem_fail_at(0);
    assert_same_bits(&before, &without, MOST);
}

/* By the definition: the last bin that begins at or below the element. */
static void bins_count(const struct sw_array *x, const double *edges, size_t bins, uint64_t *counted) {
    for (size_t i = 0; i < x->shape[0]; i++) {
        double value = element(x, i);
        size_t bin = bins;
        while (bin > 0 && !(value >= edges[bin - 1]))
            bin--;
        if (bin > 0 && value <= edges[bins])
            counted[bin - 1]++;
    }
}

static void histogram_is_that_of_the_edges(void **state) {
    static const struct {
        double low, high;
        size_t bins;
    } rows[] = {{-2, 2, 10},
                {-2, 2, 1},
                {0, 0.7, 7},
                {-1e-300, 1e-300, 5},
                {0.1, 0.3, 600},
                {-1e9, 1e9, 13},
                {1, 1.0000000000000004, 7},
                {-0.3, 2.7, 513},
                {0, 5e-324, 3},
                {-8e307, 8e307, 9}};
    struct sw_parallel mixed = backwards();
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        static double values[40000], edges[1000];
        static float floats[40000];
        double low = rows[r].low, high = rows[r].high;
        size_t bins = rows[r].bins;
        uint64_t seed = r;
        for (size_t i = 0; i <= bins; i++)
            edges[i] = sw_histogram_edge(low, high, bins, i);
        assert_true(edges[0] == low && edges[bins] == high);
        for (size_t i = 0; i < 40000; i++) { /* edges and their neighbours are where it goes wrong */
            double edge = edges[(size_t)(uniform(&seed) * (double)(bins + 1))];
            double rows_of[] = {edge, nextafter(edge, INFINITY), nextafter(edge, -INFINITY),
                                low + (high - low) * (1.2 * uniform(&seed) - 0.1), i % 40 ? NAN : -INFINITY};
            values[i] = i % 40 == 1 ? INFINITY : rows_of[i % 5];
            floats[i] = (float)values[i];
        }
        for (size_t i = 0; i < LEVELS * 2; i++) {
            struct sw_array x = sw_array_vector(values, SW_F64, 40000), y = sw_array_vector(floats, SW_F32, 39999);
            uint64_t counted[1000] = {0}, expected[1000] = {0};
            if (!level_use(i / 2))
                continue;
            assert_int_equal(sw_reduce_histogram(&x, low, high, bins, counted, i % 2 ? &mixed : NULL), SW_OK);
            assert_int_equal(sw_reduce_histogram(&y, low, high, bins, counted, i % 2 ? &mixed : NULL), SW_OK);
            bins_count(&x, edges, bins, expected);
            bins_count(&y, edges, bins, expected);
            assert_memory_equal(counted, expected, sizeof counted);
        }
    }
    sw_reduce_level_force(NULL);
}

static void histogram_refuses_what_cannot_be(void **state) {
    struct sw_array x = sw_array_vector(wide, SW_F64, 100);
    uint64_t counted[4] = {0};
    assert_int_equal(sw_reduce_histogram(&x, 1, 1, 4, counted, NULL), SW_INVALID);
    assert_int_equal(sw_reduce_histogram(&x, 1, NAN, 4, counted, NULL), SW_INVALID);
    assert_int_equal(sw_reduce_histogram(&x, 0, INFINITY, 4, counted, NULL), SW_INVALID);
    assert_int_equal(sw_reduce_histogram(&x, -DBL_MAX, DBL_MAX, 4, counted, NULL), SW_INVALID);
    assert_int_equal(sw_reduce_histogram(&x, 0, 1, 0, counted, NULL), SW_INVALID);
    assert_int_equal(sw_reduce_histogram(&x, 0, 1, (size_t)SW_HISTOGRAM_BINS + 1, counted, NULL), SW_LIMIT);
    sw_mem_fail_at(1);
    assert_int_equal(sw_reduce_histogram(&x, 0, 1, 4, counted, NULL), SW_NOMEM);
    sw_mem_fail_at(0);
    assert_true(counted[0] + counted[1] + counted[2] + counted[3] == 0);
}

static void ewma_is_the_recurrence(void **state) {
    static double out[MOST];
    static float narrow_out[MOST];
    static const double alphas[] = {1, 0.5, 0.01, 0.999, 1e-6};
    for (size_t a = 0; a < sizeof alphas / sizeof alphas[0]; a++) {
        for (size_t c = 0; c < COUNTS && counts[c] < 10000; c++) {
            struct sw_array x = sw_array_vector(wide, SW_F64, counts[c]), to = sw_array_vector(out, SW_F64, counts[c]);
            struct sw_array reversed = {(char *)(narrow + counts[c] - 1), SW_F32, 1, {counts[c]}, {-4}};
            struct sw_array narrow_to = sw_array_vector(narrow_out, SW_F32, counts[c]);
            sw_reduce_ewma(&x, alphas[a], &to);
            sw_reduce_ewma(&reversed, alphas[a], &narrow_to);
            long double last = wide[0], narrow_last = element(&reversed, 0);
            for (size_t i = 0; i < counts[c]; i++) {
                last = i > 0 ? (long double)alphas[a] * wide[i] + (long double)(1 - alphas[a]) * last : last;
                narrow_last = i > 0 ? alphas[a] * element(&reversed, i) + (1 - alphas[a]) * narrow_last : narrow_last;
                assert_near(out[i], last, 1e-13L);
                assert_near((double)narrow_out[i], narrow_last, 1e-6L);
            }
            memcpy(narrow_out, narrow, counts[c] * sizeof narrow[0]);
            struct sw_array plain = sw_array_vector(narrow, SW_F32, counts[c]);
            sw_reduce_ewma(&narrow_to, alphas[a], &narrow_to); /* in place */
            sw_reduce_ewma(&plain, alphas[a], &to);
            for (size_t i = 0; i < counts[c]; i++)
                assert_true(narrow_out[i] == narrow_out[i] && fabs((double)narrow_out[i] - out[i]) < 1e-6);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_lanes_and_addresses_agree),
        cmocka_unit_test(real_threads_agree),
        cmocka_unit_test(results_are_those_of_long_double),
        cmocka_unit_test(moments_of_hard_data),
        cmocka_unit_test(equal_elements_have_no_variance),
        cmocka_unit_test(nothing),
        cmocka_unit_test(nan_and_infinity),
        cmocka_unit_test(nan_in_a_far_block_is_not_lost),
        cmocka_unit_test(norm_neither_overflows_nor_underflows),
        cmocka_unit_test(squares_that_overflow),
        cmocka_unit_test(squares_that_overflow_at_first),
        cmocka_unit_test(sums_are_precise),
        cmocka_unit_test(views_cost_no_order),
        cmocka_unit_test(nothing_outside_is_read),
        cmocka_unit_test(no_memory_is_needed),
        cmocka_unit_test(histogram_is_that_of_the_edges),
        cmocka_unit_test(histogram_refuses_what_cannot_be),
        cmocka_unit_test(ewma_is_the_recurrence),
    };
    fill(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
