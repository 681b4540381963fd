/* test_vecmath.c - exp, log, square roots, // and % of every level: errors in ulp, special values, the same bits. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/expression_impl.h"

#define COUNT 4096u
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

union block {
    double f64[COUNT];
    float f32[COUNT];
};

static union block first, second, third, result, expected;

/* xorshift64*: the same numbers in every run. */
static uint64_t random_next(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static double random_between(uint64_t *state, double low, double high) {
    return low + (high - low) * (double)(random_next(state) >> 11) * 0x1p-53;
}

static double of_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float of_bits32(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void run(const sw_kernel_table *table, enum sw_operator op, union block *out) {
    struct sw_kernel_call call = {.out = out,
                                  .operands = {&first, &second, &third, &second, &first},
                                  .steps = {SW_GRANULE, SW_GRANULE, SW_GRANULE, SW_GRANULE, SW_GRANULE},
                                  .granules = COUNT / SW_GRANULE,
                                  .count = COUNT};
    (*table)[op](&call);
}

static size_t tables_of(enum sw_dtype dtype, const sw_kernel_table *tables[4]) {
    bool is_f64 = dtype == SW_F64;
    size_t count = 0;
    tables[count++] = is_f64 ? &sw_kernels_scalar_f64 : &sw_kernels_scalar_f32;
#if defined(__x86_64__)
    for (enum sw_cpu_level level = SW_CPU_AVX2; level <= sw_cpu_level(); level++) {
        tables[count++] = sw_kernels_at(level, dtype);
    }
#elif defined(__aarch64__)
    tables[count++] = sw_kernels_at(SW_CPU_SCALAR, dtype);
#endif
    return count;
}

/* The distance in units of the last place of a double near `exact`, or of a subnormal one. */
static double error_ulp(double value, long double exact, int digits, int least_exponent) {
    int exponent;
    frexpl(exact, &exponent);
    exponent -= digits;
    exponent = exponent < least_exponent ? least_exponent : exponent;
    return fabs((double)ldexpl((long double)value - exact, -exponent));
}

static long double exact_of(enum sw_operator op, long double x) {
    switch (op) {
    case SW_OPERATOR_exp:
        return expl(x);
    case SW_OPERATOR_log1p:
        return log1pl(x);
    case SW_OPERATOR_expm1:
        return expm1l(x);
    case SW_OPERATOR_tanh:
        return tanhl(x);
    case SW_OPERATOR_log2:
        return log2l(x);
    case SW_OPERATOR_log10:
        return log10l(x);
    default:
        return logl(x);
    }
}

/* Spreads the numbers of round `round` over where the functions are hard. */
static double exp_input(uint64_t *state, unsigned round) {
    static const double ranges[][2] = {{-750, 715}, {-1, 1}, {-20, 20}, {-1e-3, 1e-3}, {-746, -700}, {700, 710}};
    const double *range = ranges[round % COUNT_OF(ranges)];
    return random_between(state, range[0], range[1]);
}

static double log_input(uint64_t *state, unsigned round) {
    static const double ranges[][2] = {{0.5, 2}, {0.95, 1.05}, {1 - 1e-6, 1 + 1e-6}, {0, 0x1p-1021}, {0.69, 1.4}};
    if (round % 6 == 5) {
        return of_bits(random_next(state) >> 1); /* any positive, some NaN */
    }
    const double *range = ranges[round % 6];
    return random_between(state, range[0], range[1]);
}

static double input_of(enum sw_operator op, uint64_t *state, unsigned round) {
    switch (op) {
    case SW_OPERATOR_exp:
        return exp_input(state, round);
    case SW_OPERATOR_expm1:
    case SW_OPERATOR_tanh:
        return round % 2 ? exp_input(state, round / 2) : ldexp(random_between(state, -1, 1), -(int)(round % 1100));
    case SW_OPERATOR_log1p:
        return round % 2 ? log_input(state, round / 2) - 1 : ldexp(random_between(state, -1, 1), -(int)(round % 1100));
    default:
        return log_input(state, round);
    }
}

/* The largest error of millions of points; what overflows or is NaN must be so exactly. */
static double worst_f64(enum sw_operator op) {
    const sw_kernel_table *tables[4];
    uint64_t state = 4;
    double worst = 0;
    size_t count = tables_of(SW_F64, tables);
    for (unsigned round = 0; round < 300; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            first.f64[i] = input_of(op, &state, round);
        }
        run(tables[count - 1], op, &result);
        for (size_t i = 0; i < COUNT; i++) {
            long double exact = exact_of(op, (long double)first.f64[i]);
            double value = result.f64[i];
            if (isnan((double)exact) || isinf((double)exact)) {
                assert_true(isnan((double)exact) ? isnan(value) : value == (double)exact);
                continue;
            }
            double error = error_ulp(value, exact, DBL_MANT_DIG, -1074);
            worst = error > worst ? error : worst;
        }
    }
    return worst;
}

static double worst_f32(enum sw_operator op) {
    const sw_kernel_table *tables[4];
    double worst = 0;
    size_t count = tables_of(SW_F32, tables);
    for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += (uint64_t)COUNT * 3067) {
        for (size_t i = 0; i < COUNT; i++) {
            first.f32[i] = of_bits32((uint32_t)(bits + i * 3067));
        }
        run(tables[count - 1], op, &result);
        for (size_t i = 0; i < COUNT; i++) {
            double exact = (double)exact_of(op, (long double)first.f32[i]);
            float value = result.f32[i];
            if (isnan((float)exact) || isinf((float)exact)) {
                assert_true(isnan((float)exact) ? isnan(value) : value == (float)exact);
                continue;
            }
            double error = error_ulp((double)value, (long double)exact, FLT_MANT_DIG, -149);
            worst = error > worst ? error : worst;
        }
    }
    return worst;
}

struct bound {
    enum sw_operator op;
    double ulp;
};

static const struct bound bounds[] = {
    {SW_OPERATOR_exp, 1},   {SW_OPERATOR_log, 1},   {SW_OPERATOR_log2, 1}, {SW_OPERATOR_log10, 1},
    {SW_OPERATOR_log1p, 1}, {SW_OPERATOR_expm1, 2}, {SW_OPERATOR_tanh, 4},
};

static void test_errors_are_bounded(void **unused) {
    for (size_t i = 0; i < COUNT_OF(bounds); i++) {
        double wide = worst_f64(bounds[i].op), narrow = worst_f32(bounds[i].op);
        print_message("operator %d: %.3f ulp in float64, %.3f in float32\n", (int)bounds[i].op, wide, narrow);
        assert_true(wide > 0.4 && wide < bounds[i].ulp);
        assert_true(narrow > 0.4 && narrow < bounds[i].ulp);
    }
}

static void test_powers_have_exact_logarithms(void **unused) {
    const sw_kernel_table *tables[4];
    for (size_t t = tables_of(SW_F64, tables); t-- > 0;) {
        for (size_t i = 0; i < COUNT; i++) {
            first.f64[i] = ldexp(1, (int)(i % 2098) - 1074);
            second.f64[i] = pow(10, (double)(i % 23));
        }
        run(tables[t], SW_OPERATOR_log2, &result);
        for (size_t i = 0; i < COUNT; i++) {
            assert_true(result.f64[i] == (double)(i % 2098) - 1074);
        }
        first = second;
        run(tables[t], SW_OPERATOR_log10, &result);
        for (size_t i = 0; i < COUNT; i++) {
            assert_true(result.f64[i] == (double)(i % 23));
        }
    }
}

struct special {
    enum sw_operator op;
    double x, result;
};

static const struct special specials[] = {
    {SW_OPERATOR_exp, 0.0, 1},
    {SW_OPERATOR_exp, -0.0, 1},
    {SW_OPERATOR_exp, INFINITY, INFINITY},
    {SW_OPERATOR_exp, -INFINITY, 0},
    {SW_OPERATOR_exp, NAN, NAN},
    {SW_OPERATOR_exp, 0x1.62e42fefa39efp9, 0x1.fffffffffff2ap1023}, /* the largest finite */
    {SW_OPERATOR_exp, 0x1.62e42fefa39f0p9, INFINITY},
    {SW_OPERATOR_exp, -0x1.74910d52d3051p9, 0x1p-1074}, /* the least that is not 0 */
    {SW_OPERATOR_exp, -0x1.74910d52d3052p9, 0},
    {SW_OPERATOR_exp, 1e308, INFINITY},
    {SW_OPERATOR_exp, -1e308, 0},
    {SW_OPERATOR_exp, 0x1p-1074, 1},
    {SW_OPERATOR_log, 1, 0},
    {SW_OPERATOR_log, 0.0, -INFINITY},
    {SW_OPERATOR_log, -0.0, -INFINITY},
    {SW_OPERATOR_log, -1, NAN},
    {SW_OPERATOR_log, -INFINITY, NAN},
    {SW_OPERATOR_log, INFINITY, INFINITY},
    {SW_OPERATOR_log, NAN, NAN},
    {SW_OPERATOR_log, -0x1p-1074, NAN},
    {SW_OPERATOR_log2, 0.0, -INFINITY},
    {SW_OPERATOR_log2, -1, NAN},
    {SW_OPERATOR_log10, INFINITY, INFINITY},
    {SW_OPERATOR_log10, NAN, NAN},
    {SW_OPERATOR_log1p, -0.0, -0.0},
    {SW_OPERATOR_log1p, -1, -INFINITY},
    {SW_OPERATOR_log1p, -2, NAN},
    {SW_OPERATOR_log1p, INFINITY, INFINITY},
    {SW_OPERATOR_log1p, NAN, NAN},
    {SW_OPERATOR_log1p, 0x1p-1074, 0x1p-1074},
    {SW_OPERATOR_expm1, -0.0, -0.0},
    {SW_OPERATOR_expm1, INFINITY, INFINITY},
    {SW_OPERATOR_expm1, -INFINITY, -1},
    {SW_OPERATOR_expm1, NAN, NAN},
    {SW_OPERATOR_expm1, -0x1p-1074, -0x1p-1074},
    {SW_OPERATOR_tanh, -0.0, -0.0},
    {SW_OPERATOR_tanh, INFINITY, 1},
    {SW_OPERATOR_tanh, -INFINITY, -1},
    {SW_OPERATOR_tanh, NAN, NAN},
    {SW_OPERATOR_square_root, -0.0, -0.0},
    {SW_OPERATOR_square_root, 0x1p-1074, 0x1p-537},
    {SW_OPERATOR_square_root, INFINITY, INFINITY},
    {SW_OPERATOR_square_root, -1, NAN},
    {SW_OPERATOR_round, 2.5, 2},
    {SW_OPERATOR_round, -0.5, -0.0},
    {SW_OPERATOR_floor, -0.5, -1},
    {SW_OPERATOR_ceil, -0.5, -0.0},
    {SW_OPERATOR_sign, -3, -1},
    {SW_OPERATOR_sign, -0.0, 0},
    {SW_OPERATOR_sign, NAN, NAN},
};

static bool is_same(double a, double b) {
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

static void test_special_values_are_exact(void **unused) {
    const sw_kernel_table *tables[4];
    for (size_t t = tables_of(SW_F64, tables); t-- > 0;) {
        for (size_t i = 0; i < COUNT_OF(specials); i++) {
            for (size_t j = 0; j < COUNT; j++) {
                first.f64[j] = j == 7 ? specials[i].x : 1.5; /* alone among usual ones */
            }
            run(tables[t], specials[i].op, &result);
            assert_true(is_same(result.f64[7], specials[i].result));
            assert_true(result.f64[6] == result.f64[8]);
        }
    }
}

static const double awkward[] = {0.0,       -0.0,       1,         -1,        0.5,
                                 -2.5,      3,          INFINITY,  -INFINITY, NAN,
                                 0x1p-1074, -0x1p-1030, 0x1p-1022, 1e300,     -1e300,
                                 0x1p52,    7,          -7,        0x1p-30,   1.0000000000000002,
                                 0x1p60,    709.5,      -745,      1e-5};

/* Numbers of any size, of usual size, small integers and awkward ones. */
static void fill(union block *block, enum sw_dtype dtype, uint64_t *state) {
    for (size_t i = 0; i < COUNT; i++) {
        uint64_t bits = random_next(state);
        double value;
        switch (random_next(state) % 4) {
        case 0:
            value = dtype == SW_F64 ? of_bits(bits) : (double)of_bits32((uint32_t)bits);
            break;
        case 1:
            value = random_between(state, -20, 20);
            break;
        case 2:
            value = (double)(int64_t)(bits % 41) - 20;
            break;
        default:
            value = awkward[bits % COUNT_OF(awkward)];
        }
        if (dtype == SW_F64) {
            block->f64[i] = value;
        } else {
            block->f32[i] = (float)value;
        }
    }
}

static void test_levels_give_the_same_bits(void **unused) {
    uint64_t state = 44;
    for (int dtype = SW_F64; dtype <= SW_F32; dtype++) {
        const sw_kernel_table *tables[4];
        size_t count = tables_of((enum sw_dtype)dtype, tables);
        for (unsigned round = 0; round < 8 * SW_OPERATORS; round++) {
            enum sw_operator op = (enum sw_operator)(round % SW_OPERATORS);
            fill(&first, (enum sw_dtype)dtype, &state);
            fill(&second, (enum sw_dtype)dtype, &state);
            fill(&third, (enum sw_dtype)dtype, &state);
            run(tables[0], op, &expected);
            for (size_t t = 1; t < count; t++) {
                run(tables[t], op, &result);
                for (size_t i = 0; i < COUNT; i++) {
                    bool is_equal = dtype == SW_F64 ? is_same(result.f64[i], expected.f64[i])
                                                    : is_same((double)result.f32[i], (double)expected.f32[i]);
                    if (!is_equal) {
                        fail_msg("operator %d, dtype %d, table %zu, element %zu", (int)op, dtype, t, i);
                    }
                }
            }
        }
    }
}

static void check_roots(size_t count) {
    const sw_kernel_table *tables[4];
    for (size_t t = tables_of(SW_F64, tables); t-- > 0;) {
        run(tables[t], SW_OPERATOR_square_root, &result);
        for (size_t i = 0; i < count; i++) {
            assert_true(is_same(result.f64[i], sqrt(first.f64[i])));
        }
    }
}

/* y with y * y = square modulo 2^bits, for an odd square that is 1 modulo 8. */
static uint64_t root_modulo(int64_t square, unsigned bits) {
    uint64_t y = 1;
    for (unsigned b = 3; b < bits; b++) {
        uint64_t below = (UINT64_C(1) << (b + 1)) - 1;
        if (((y * y - (uint64_t)square) & below) != 0) {
            y += UINT64_C(1) << (b - 1);
        }
    }
    return y;
}

/* The doubles whose roots lie nearest to the middle between two doubles: 4 m 2^(52 + odd) = (2 q + 1)^2 - j with a small j,
 * where m is the significand and q the root's. */
static size_t hard_roots(int64_t j, unsigned odd, double *out) {
    unsigned bits = 54 + odd;
    uint64_t modulus = UINT64_C(1) << bits, y = root_modulo(j, bits + 1) & (modulus - 1);
    uint64_t roots[] = {y, modulus - y, (y + modulus / 2) & (modulus - 1), (3 * modulus / 2 - y) & (modulus - 1)};
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(roots); i++) {
        unsigned __int128 square = (unsigned __int128)roots[i] * roots[i];
        unsigned __int128 scaled = j < 0 ? square + (uint64_t)-j : square - (uint64_t)j;
        uint64_t m = (uint64_t)(scaled >> bits);
        if (roots[i] > 64 && (scaled & (modulus - 1)) == 0 && m >> 52 == 1) {
            out[count++] = ldexp((double)m, (int)odd);
        }
    }
    return count;
}

static void test_roots_are_rounded_to_nearest(void **unused) {
    uint64_t state = 5;
    for (unsigned round = 0; round < 300; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            double near_square = random_between(&state, 1, 2);
            first.f64[i] = round % 2 ? of_bits(random_next(&state) >> 1) : nextafter(near_square * near_square, 0);
        }
        check_roots(COUNT);
    }
    size_t count = 0, total = 0;
    for (int64_t j = -4095; j <= 4095; j += 8) { /* 1 modulo 8 */
        for (unsigned odd = 0; odd < 2; odd++) {
            count += hard_roots(j, odd, first.f64 + count);
            if (count + 4 > COUNT) {
                check_roots(count);
                total += count;
                count = 0;
            }
        }
    }
    check_roots(count);
    assert_true(total + count > 500);
}

static void test_floor_division_is_that_of_integers(void **unused) {
    const sw_kernel_table *tables[4];
    uint64_t state = 6;
    for (size_t i = 0; i < COUNT; i++) {
        first.f64[i] = (double)((int64_t)random_next(&state) >> (11 + random_next(&state) % 50));
        second.f64[i] = (double)(((int64_t)random_next(&state) >> (15 + random_next(&state) % 48)) | 1);
    }
    for (size_t t = tables_of(SW_F64, tables); t-- > 0;) {
        run(tables[t], SW_OPERATOR_floor_divide, &result);
        run(tables[t], SW_OPERATOR_remainder, &expected);
        for (size_t i = 0; i < COUNT; i++) {
            int64_t a = (int64_t)first.f64[i], b = (int64_t)second.f64[i], quotient = a / b, rest = a % b;
            if (rest != 0 && (rest < 0) != (b < 0)) {
                quotient--;
                rest += b;
            }
            assert_true(result.f64[i] == (double)quotient);
            assert_true(expected.f64[i] == (double)rest);
            assert_true(rest != 0 || signbit(expected.f64[i]) == (b < 0));
        }
    }
}

/* Python 3's own answers. */
static const double quotients[][4] = {
    {7, -2, -4, -1},
    {-7, 2, -4, 1},
    {0.3, 0.1, 2, 0.09999999999999998},
    {1, 0.1, 9, 0.09999999999999995},
    {-1e-20, 1, -1, 1},
    {1e300, 7, 1.4285714285714286e+299, 1},
    {5, INFINITY, 0, 5},
    {-5, INFINITY, -1, INFINITY},
    {0.0, -3, -0.0, -0.0},
    {-0.0, 3, -0.0, 0.0},
};

static void test_floor_division_as_python_has_it(void **unused) {
    const sw_kernel_table *tables[4];
    for (size_t t = tables_of(SW_F64, tables); t-- > 0;) {
        for (size_t i = 0; i < COUNT; i++) {
            first.f64[i] = quotients[i % COUNT_OF(quotients)][0];
            second.f64[i] = quotients[i % COUNT_OF(quotients)][1];
        }
        run(tables[t], SW_OPERATOR_floor_divide, &result);
        run(tables[t], SW_OPERATOR_remainder, &expected);
        for (size_t i = 0; i < COUNT_OF(quotients); i++) {
            assert_true(is_same(result.f64[i], quotients[i][2]));
            assert_true(is_same(expected.f64[i], quotients[i][3]));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_are_bounded),
        cmocka_unit_test(test_powers_have_exact_logarithms),
        cmocka_unit_test(test_special_values_are_exact),
        cmocka_unit_test(test_levels_give_the_same_bits),
        cmocka_unit_test(test_roots_are_rounded_to_nearest),
        cmocka_unit_test(test_floor_division_is_that_of_integers),
        cmocka_unit_test(test_floor_division_as_python_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
