/* test_num.c - Doubles and integers as text and back, against the C library on millions of values. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/num.h"
#include "guard_page.h"

enum { RANDOM_VALUES = 2000000 };

static uint64_t next_random(uint64_t *state) {
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return sw_hash_u64(*state);
}

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static double from_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Reads all of `text`, both with bytes behind it and flush against the page, exactly as strtod does. */
static void assert_reads_like_strtod(const char *text) {
    size_t len = strlen(text);
    double expected = strtod(text, NULL);
    double value = 4711;
    const char *after = sw_num_parse_f64(text, text + len, &value);
    if (after != text + len || bits_of(value) != bits_of(expected)) {
        fail_msg("%.60s reads as %.17g, not %.17g", text, value, expected);
    }
    struct sw_str placed = guard_place(sw_str_make(text, len));
    value = 4711;
    after = sw_num_parse_f64(placed.ptr, placed.ptr + len, &value);
    if (after != placed.ptr + len || bits_of(value) != bits_of(expected)) {
        fail_msg("%.60s before a page reads as %.17g, not %.17g", text, value, expected);
    }
}

/* The significant digits of a number's text, without zeros at either end. */
static size_t digits_of(const char *text, char *out) {
    size_t len = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text >= '0' && *text <= '9' && (len > 0 || *text != '0')) {
            out[len++] = *text;
        }
    }
    while (len > 0 && out[len - 1] == '0') {
        len--;
    }
    out[len] = '\0';
    return len;
}

/* Reads back as itself; no shorter text does; of the texts as short it is the nearest. */
static void assert_shortest(double value) {
    char out[SW_NUM_F64_MAX + 1];
    memset(out, '#', sizeof(out));
    size_t len = sw_num_format_f64(value, out);
    assert_true(len <= 25 && out[SW_NUM_F64_MAX] == '#');
    out[len] = '\0';
    double back;
    assert_ptr_equal(sw_num_parse_f64(out, out + len, &back), out + len);
    if (bits_of(back) != bits_of(value) || bits_of(strtod(out, NULL)) != bits_of(value)) {
        fail_msg("%.17g is written as %s", value, out);
    }
    char digits[40];
    char other[40];
    char nearest[40];
    size_t count = digits_of(out, digits);
    if (count < 2) {
        return;
    }
    snprintf(other, sizeof(other), "%.*e", (int)count - 2, value);
    if (strtod(other, NULL) == value) {
        fail_msg("%.17g is written as %s, but %s is shorter", value, out, other);
    }
    snprintf(other, sizeof(other), "%.*e", (int)count - 1, value);
    digits_of(other, nearest);
    if (strtod(other, NULL) == value && strcmp(digits, nearest) != 0) {
        fail_msg("%.17g is written as %s, but %s is nearer", value, out, other);
    }
}

/* Uniform in bits, in exponent with few mantissa bits, as ticks, as means of ticks, as fractions. */
static double random_value(uint64_t *random, int kind) {
    uint64_t bits = next_random(random);
    switch (kind % 6) {
    case 0:
        return from_bits(bits);
    case 1:
        return from_bits(bits & ~((UINT64_C(1) << bits % 53) - 1));
    case 2:
        return (double)(bits % 1000000) / 100.0;
    case 3:
        return (double)(bits % 100000000) / (double)(bits >> 32 & 1023 ? bits >> 32 & 1023 : 7);
    case 4:
        return (double)(bits >> 11) * 0x1p-53;
    default:
        return from_bits(bits >> 12 >> bits % 52); /* subnormal */
    }
}

static void random_values_both_ways(void **state) {
    uint64_t random = 1;
    for (int i = 0; i < RANDOM_VALUES; i++) {
        double value = random_value(&random, i);
        if (!isfinite(value)) {
            continue;
        }
        char text[40];
        if (i % 8 < 6) {
            char out[SW_NUM_F64_MAX];
            size_t len = sw_num_format_f64(value, out);
            double back;
            if (sw_num_parse_f64(out, out + len, &back) != out + len || bits_of(back) != bits_of(value)) {
                fail_msg("%.17g is written as %.*s", value, (int)len, out);
            }
        } else if (i % 8 == 6) {
            assert_shortest(value);
        } else {
            snprintf(text, sizeof(text), "%.*g", (int)(next_random(&random) % 22 + 1), value);
            assert_reads_like_strtod(text);
        }
    }
}

static void random_texts(void **state) {
    uint64_t random = 2;
    for (int i = 0; i < 200000; i++) {
        uint64_t a = next_random(&random) >> next_random(&random) % 64;
        uint64_t b = next_random(&random) >> next_random(&random) % 64;
        int exponent = (int)(next_random(&random) % 720) - 360;
        char text[100];
        static const char *const signs[] = {"", "-"};
        const char *sign = signs[i % 2];
        switch (i % 5) {
        case 0:
            snprintf(text, sizeof(text), "%s%lue%d", sign, a, exponent);
            break;
        case 1:
            snprintf(text, sizeof(text), "%s%lu.%luE%+d", sign, a, b, exponent / 10);
            break;
        case 2:
            snprintf(text, sizeof(text), "%s.%018lu%lu", sign, a % 1000000000, b);
            break;
        case 3:
            snprintf(text, sizeof(text), "%s000%lu%lu%lu.", sign, a, b, a);
            break;
        default:
            snprintf(text, sizeof(text), "%s%lu.%0*lu", sign, a % 100000, (int)(b % 5) + 1, b % 10);
            break;
        }
        assert_reads_like_strtod(text);
    }
}

/* The exact midpoint of two neighbours, a little below it and a little above it, with up to 851 digits. */
static void midpoints_of_neighbours(void **state) {
#if __LDBL_MANT_DIG__ >= 64
    uint64_t random = 3;
    for (int i = 0; i < 4000; i++) {
        uint64_t bits = i % 4 == 0 ? next_random(&random) >> 12 : next_random(&random) % (UINT64_C(0x7fe) << 52);
        long double middle = ((long double)from_bits(bits) + (long double)from_bits(bits + 1)) / 2;
        char text[1300];
        snprintf(text, sizeof(text), i % 3 == 0 ? "%.850Le" : i % 3 == 1 ? "%.25Le" : "%.400Lf", middle);
        assert_reads_like_strtod(text);
        char *last = strchr(text, 'e') ? strchr(text, 'e') - 1 : text + strlen(text) - 1;
        *last = '1';
        assert_reads_like_strtod(text);
        while (*last < '1' || *last > '9' || last[1] == '\0') {
            last--;
        }
        *last = '0';
        assert_reads_like_strtod(text);
    }
#endif
}

static void limits(void **state) {
    static const char *const texts[] = {
        "0",
        "-0",
        "0.0",
        "-0.0",
        "00000000000000000000000000000000",
        "0e999999999999999999999",
        "0e-5",
        ".0",
        "5.",
        ".5",
        "-5.e1",
        "1e1",
        "1E+1",
        "1e-1",
        "1e22",
        "1e23",
        "1e-22",
        "1e-23",
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "9007199254740993.0",
        "9007199254740993.00000000000000000000000000000000000001",
        "9007199254740995",
        "18446744073709551615",
        "18446744073709551616",
        "36893488147419103232",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1.8e308",
        "1e309",
        "1e400",
        "1e99999999999999999999999999999",
        "-1e309",
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "4.9406564584124654e-324",
        "4.9e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.5e-324",
        "2e-324",
        "1e-324",
        "1e-325",
        "1e-400",
        "-1e-400",
        "1e-99999999999999999999999999",
        "0.000000000000000000000000000000000000000000000000000000000000000000000001e72",
        "1.00000005960464477539062499",
        "1.00000005960464477539062500",
        "1.00000005960464477539062501",
        "8.5e-324",
        "7.4109846876186981626485318930233205854758970392148714663837852375101326090531312779794975454245398"
        "8569694847043168576596389985065533909694598162194016172817189451069785467106791768725751773473155533"
        "0779540854980936069934501000000000000001e-324",
        "6929495644600919.5",
        "6929495644600920.5",
        "3.7455744005952583e15",
        "1797693134862315807937289714053034150799341327100378269361737789804449682927647509466490179775872070"
        "9633028641669288791094655554785194040263065748867150582068190890200070838367627385484581771153176447"
        "5730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_reads_like_strtod(texts[i]);
    }
    /* Long texts of zeros, on both sides of the point and against the exponent. */
    static char text[20100];
    for (int zeros = 1; zeros < 10000; zeros = zeros * 3 + 1) {
        snprintf(text, sizeof(text), "1%0*d", zeros, 0);
        assert_reads_like_strtod(text);
        snprintf(text, sizeof(text), "1%0*de-%d", zeros, 0, zeros);
        assert_reads_like_strtod(text);
        snprintf(text, sizeof(text), "0.%0*d12345e%d", zeros, 0, zeros);
        assert_reads_like_strtod(text);
        snprintf(text, sizeof(text), "%0*d12345.678%0*d1", zeros, 0, zeros, 0);
        assert_reads_like_strtod(text);
        snprintf(text, sizeof(text), "0.5%0*d1e-1", zeros, 0);
        assert_reads_like_strtod(text);
    }
}

/* Around every power of two the distance to the neighbours changes; around every power of ten the digits do. */
static void powers_and_their_neighbours(void **state) {
    for (uint64_t exponent = 0; exponent < 2047; exponent++) {
        for (uint64_t delta = 0; delta < 5; delta++) {
            uint64_t bits = (exponent << 52) + delta - 2;
            if (bits < UINT64_C(0x7ff) << 52) {
                assert_shortest(from_bits(bits));
                assert_shortest(-from_bits(bits));
            }
        }
    }
    for (int exponent = -323; exponent <= 308; exponent++) {
        char text[16];
        snprintf(text, sizeof(text), "1e%d", exponent);
        uint64_t bits = bits_of(strtod(text, NULL));
        for (uint64_t delta = 0; delta < 5; delta++) {
            assert_shortest(from_bits(bits + delta - 2));
        }
    }
    for (uint64_t bits = 1; bits < 3000; bits++) {
        assert_shortest(from_bits(bits)); /* the smallest subnormals */
    }
}

static void where_a_number_ends(void **state) {
    static const struct {
        const char *text;
        int len; /* -1: no number */
        double value;
    } rows[] = {
        {"12,", 2, 12},
        {"12abc", 2, 12},
        {"1.5.5", 3, 1.5},
        {"1..5", 2, 1},
        {"1e", 1, 1},
        {"1e+", 1, 1},
        {"1e-x", 1, 1},
        {"1ex", 1, 1},
        {"1e5.5", 3, 1e5},
        {"1E5e5", 3, 1e5},
        {"-7 ", 2, -7},
        {"0x10", 1, 0},
        {"1,000", 1, 1},
        {"1.25,2.5,3.75,", 4, 1.25},
        {"4918.25\n", 7, 4918.25},
        {"1234567,", 7, 1234567},
        {"12345678,", 8, 12345678},
        {"123456.,9999999", 7, 123456},
        {".1234567,99999", 8, .1234567},
        {"1e5,999999999", 3, 1e5},
        {"1.5e5,99999999", 5, 1.5e5},
        {"1.5e,999999999", 3, 1.5},
        {"-.5;99999999", 3, -.5},
        {"-0,9999999999", 2, -0.0},
        {"", -1, 0},
        {"-", -1, 0},
        {".", -1, 0},
        {"-.", -1, 0},
        {"e5", -1, 0},
        {".e5", -1, 0},
        {"+1", -1, 0},
        {" 1", -1, 0},
        {"--1", -1, 0},
        {"inf", -1, 0},
        {"nan", -1, 0},
        {",1,2,3,4,5,6,7", -1, 0},
        {".,2,3,4,5,6,7,8", -1, 0},
        {"-,2,3,4,5,6,7,8", -1, 0},
        {"..5,3,4,5,6,7,8", -1, 0},
        {".e5,3,4,5,6,7,8", -1, 0},
        {"e5,9,4,5,6,7,8", -1, 0},
        {"\xb1\xb2\xb3", -1, 0},
        {"/1234567", -1, 0},
        {":1234567", -1, 0},
        {"1/234567", 1, 1},
        {"1:234567", 1, 1},
        {"1\xb1\x32\x33\x34\x35\x36\x37", 1, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        double value = 4711;
        struct sw_str text = guard_place(sw_str_from(rows[i].text));
        const char *after = sw_num_parse_f64(text.ptr, text.ptr + text.len, &value);
        if (rows[i].len < 0) {
            assert_null(after);
            assert_true(value == 4711);
        } else {
            assert_ptr_equal(after, text.ptr + rows[i].len);
            assert_true(bits_of(value) == bits_of(rows[i].value));
        }
    }
}

static void the_end_is_respected(void **state) {
    const char *text = "-123.4567890123456789e+12";
    size_t len = strlen(text);
    for (size_t end = 0; end <= len; end++) {
        char prefix[64] = {0};
        memcpy(prefix, text, end);
        char *expected_end;
        double expected = strtod(prefix, &expected_end);
        double value = 0;
        const char *after = sw_num_parse_f64(text, text + end, &value);
        if (expected_end == prefix) {
            assert_null(after);
        } else {
            assert_int_equal(after - text, expected_end - prefix);
            assert_true(bits_of(value) == bits_of(expected));
        }
    }
}

static void how_doubles_look(void **state) {
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-1, "-1"},
        {4100, "4100"},
        {0.1, "0.1"},
        {-0.25, "-0.25"},
        {100, "100"},
        {0.0001, "0.0001"},
        {0.00012345, "0.00012345"},
        {0.00001, "1e-05"},
        {1e-7, "1e-07"},
        {1.5e300, "1.5e+300"},
        {-1.5e-300, "-1.5e-300"},
        {1e100, "1e+100"},
        {1e99, "1e+99"},
        {1.3871, "1.3871"},
        {491800, "491800"},
        {491750.3333333333, "491750.3333333333"},
        {9007199254740991, "9007199254740991"},
        {9007199254740992, "9007199254740992"},
        {9007199254740994, "9007199254740994"},
        {9900000000000000, "9900000000000000"},
        {9999999999999998, "9999999999999998"},
        {1e16, "1e+16"},
        {12345678901234567890.0, "1.2345678901234567e+19"},
        {1e15 + 0.5, "1000000000000000.5"},
        {123456789012345.67, "123456789012345.67"},
        {12345678.9, "12345678.9"},
        {123456789.5, "123456789.5"},
        {4503599627370495.5, "4503599627370495.5"},
        {1.0 / 3, "0.3333333333333333"},
        {2.0 / 3, "0.6666666666666666"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {1e23, "1e+23"},
        {9.5367431640625e-07, "9.5367431640625e-07"},
        {NAN, "null"},
        {-NAN, "null"},
        {INFINITY, "null"},
        {-INFINITY, "null"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[SW_NUM_F64_MAX];
        size_t len = sw_num_format_f64(rows[i].value, out);
        if (!sw_str_eq(sw_str_make(out, len), sw_str_from(rows[i].text))) {
            fail_msg("%.17g is written as %.*s, not %s", rows[i].value, (int)len, out, rows[i].text);
        }
    }
}

static void check_integer(uint64_t value) {
    char expected[32];
    char out[SW_NUM_I64_MAX + 1];
    out[SW_NUM_I64_MAX] = '#';
    size_t len = (size_t)snprintf(expected, sizeof(expected), "%lu", value);
    assert_int_equal(sw_num_format_u64(value, out), len);
    assert_memory_equal(out, expected, len);
    len = (size_t)snprintf(expected, sizeof(expected), "%ld", (int64_t)value);
    assert_int_equal(sw_num_format_i64((int64_t)value, out), len);
    assert_memory_equal(out, expected, len);
    assert_int_equal(out[SW_NUM_I64_MAX], '#');
    struct sw_str text = guard_place(sw_str_make(out, len));
    int64_t back = 0;
    assert_ptr_equal(sw_num_parse_i64(text.ptr, text.ptr + len, &back), text.ptr + len);
    assert_int_equal(back, (int64_t)value);
}

static void integers(void **state) {
    uint64_t power = 1;
    for (int i = 0; i < 20; i++) {
        for (uint64_t delta = 0; delta < 3; delta++) {
            check_integer(power + delta - 1);
            check_integer(-(power + delta - 1));
            check_integer(power * 9 + delta);
        }
        power *= 10;
    }
    uint64_t random = 4;
    for (int i = 0; i < 100000; i++) {
        uint64_t value = next_random(&random);
        check_integer(value >> value % 64);
    }
    check_integer(UINT64_MAX);
    check_integer(UINT64_C(1) << 63);
    check_integer(INT64_MAX);
}

/* Eight digits at a time: all that the block can be, in steps that meet every pair of neighbouring digits. */
static void eight_digit_integers(void **state) {
    for (uint64_t value = 0; value < 100000000; value += 97) {
        char out[SW_NUM_I64_MAX];
        size_t len = sw_num_format_u64(value, out);
        uint64_t back = 0;
        for (size_t i = 0; i < len; i++) {
            back = back * 10 + (uint64_t)(out[i] - '0');
        }
        if (back != value || (len > 1 && out[0] == '0')) {
            fail_msg("%lu is written as %.*s", value, (int)len, out);
        }
        double read;
        if (sw_num_parse_f64(out, out + len, &read) != out + len || read != (double)value) {
            fail_msg("%lu reads as %.17g", value, read);
        }
    }
}

static void integers_that_are_none(void **state) {
    static const struct {
        const char *text;
        int len; /* -1: no number */
        int64_t value;
    } rows[] = {
        {"9223372036854775807", 19, INT64_MAX},
        {"9223372036854775808", -1, 0},
        {"-9223372036854775808", 20, INT64_MIN},
        {"-9223372036854775809", -1, 0},
        {"99999999999999999999", -1, 0},
        {"000000000000000000000000000012", 30, 12},
        {"-0", 2, 0},
        {"12.5", 2, 12},
        {"12e3", 2, 12},
        {"7,", 1, 7},
        {"", -1, 0},
        {"-", -1, 0},
        {"--1", -1, 0},
        {"+1", -1, 0},
        {" 1", -1, 0},
        {"x", -1, 0},
        {"123456789012345678x", 18, INT64_C(123456789012345678)},
        {"18446744073709551617", -1, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t value = 4711;
        struct sw_str text = guard_place(sw_str_from(rows[i].text));
        const char *after = sw_num_parse_i64(text.ptr, text.ptr + text.len, &value);
        if (rows[i].len < 0) {
            assert_null(after);
            assert_int_equal(value, 4711);
        } else {
            assert_ptr_equal(after, text.ptr + rows[i].len);
            assert_int_equal(value, rows[i].value);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_values_both_ways),
        cmocka_unit_test(random_texts),
        cmocka_unit_test(midpoints_of_neighbours),
        cmocka_unit_test(limits),
        cmocka_unit_test(powers_and_their_neighbours),
        cmocka_unit_test(where_a_number_ends),
        cmocka_unit_test(the_end_is_respected),
        cmocka_unit_test(how_doubles_look),
        cmocka_unit_test(integers),
        cmocka_unit_test(eight_digit_integers),
        cmocka_unit_test(integers_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
