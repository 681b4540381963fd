/* test_str.c - Views of bytes: comparing, cutting, and reading quantities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static const struct sw_str nothing = {NULL, 0};

static void equality(void **state) {
    assert_true(sw_str_eq(SW_STR("abc"), SW_STR("abc")));
    assert_false(sw_str_eq(SW_STR("abc"), SW_STR("abd")));
    assert_false(sw_str_eq(SW_STR("abc"), SW_STR("ab")));
    assert_true(sw_str_eq(nothing, SW_STR("")));
    assert_true(sw_str_eq(SW_STR("a\0b"), SW_STR("a\0b")));
    assert_false(sw_str_eq(SW_STR("a\0b"), SW_STR("a\0c")));
    assert_true(sw_str_eq_nocase(SW_STR("Content-Length"), SW_STR("cONTENT-lENGTH")));
    assert_false(sw_str_eq_nocase(SW_STR("@"), SW_STR("`"))); /* one bit apart like 'A' and 'a', but no letters */
    assert_false(sw_str_eq_nocase(SW_STR("["), SW_STR("{")));
    assert_false(sw_str_eq_nocase(SW_STR("\xc3\x84"), SW_STR("\xc3\xa4")));
    assert_true(sw_str_eq_nocase(nothing, SW_STR("")));
    assert_true(sw_str_eq(sw_str_from(NULL), SW_STR("")));
    assert_true(sw_str_eq(sw_str_from("xy"), SW_STR("xy")));
}

static int sign(int order) {
    return (order > 0) - (order < 0);
}

static void order(void **state) {
    static const struct sw_str sorted[] = {
        {NULL, 0}, {"\0", 1}, {"A", 1}, {"a", 1}, {"a\0", 2}, {"ab", 2}, {"b", 1}, {"\x80", 1}, {"\xff", 1},
    };
    int count = sizeof(sorted) / sizeof(sorted[0]);
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < count; j++) {
            assert_int_equal(sign(sw_str_compare(sorted[i], sorted[j])), sign(i - j));
        }
    }
}

static void parts(void **state) {
    struct sw_str text = SW_STR("tcp://host");
    assert_true(sw_str_starts(text, SW_STR("tcp://")));
    assert_false(sw_str_starts(text, SW_STR("tcp://host/")));
    assert_true(sw_str_starts(text, nothing));
    assert_true(sw_str_ends(text, SW_STR("host")));
    assert_false(sw_str_ends(text, SW_STR("most")));
    assert_true(sw_str_ends(nothing, nothing));
    assert_false(sw_str_ends(SW_STR("b"), SW_STR("ab")));
    assert_true(sw_str_eq(sw_str_skip(text, 6), SW_STR("host")));
    assert_int_equal(sw_str_skip(text, 99).len, 0);
    assert_true(sw_str_eq(sw_str_trim(SW_STR(" \t a b\t ")), SW_STR("a b")));
    assert_int_equal(sw_str_trim(SW_STR(" \t ")).len, 0);
    assert_int_equal(sw_str_trim(nothing).len, 0);
    assert_int_equal(sw_str_find(text, ':'), 3);
    assert_int_equal(sw_str_find(text, '?'), text.len);
    assert_int_equal(sw_str_find(nothing, 'x'), 0);
}

static void cutting_visits_every_field(void **state) {
    static const struct {
        struct sw_str text;
        const char *fields[5];
    } rows[] = {
        {{"a,b,c", 5}, {"a", "b", "c"}},
        {{"a,,", 3}, {"a", "", ""}},
        {{",", 1}, {"", ""}},
        {{"abc", 3}, {"abc"}},
        {{"", 0}, {""}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sw_str rest = rows[i].text;
        const char *const *expected = rows[i].fields;
        while (rest.ptr) {
            struct sw_str field = sw_str_cut(&rest, ',');
            assert_non_null(*expected);
            assert_true(sw_str_eq(field, sw_str_from(*expected++)));
        }
        assert_null(*expected);
        assert_int_equal(rest.len, 0);
    }
}

static void unsigned_integers(void **state) {
    static const struct {
        const char *text;
        enum sw_status status;
        uint64_t value;
    } rows[] = {
        {"0", SW_OK, 0},
        {"007", SW_OK, 7},
        {"18446744073709551615", SW_OK, UINT64_MAX},
        {"18446744073709551616", SW_LIMIT, 0},
        {"99999999999999999999", SW_LIMIT, 0},
        {"100000000000000000000", SW_LIMIT, 0},
        {"", SW_MALFORMED, 0},
        {"-1", SW_MALFORMED, 0},
        {"+1", SW_MALFORMED, 0},
        {" 1", SW_MALFORMED, 0},
        {"1 ", SW_MALFORMED, 0},
        {"1.0", SW_MALFORMED, 0},
        {"0x10", SW_MALFORMED, 0},
        {"99999999999999999999z", SW_MALFORMED, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t value = 4711;
        assert_int_equal(sw_str_to_u64(sw_str_from(rows[i].text), &value), rows[i].status);
        assert_int_equal(value, rows[i].status == SW_OK ? rows[i].value : 4711);
    }
}

static void signed_integers(void **state) {
    static const struct {
        const char *text;
        enum sw_status status;
        int64_t value;
    } rows[] = {
        {"0", SW_OK, 0},
        {"-0", SW_OK, 0},
        {"-12", SW_OK, -12},
        {"9223372036854775807", SW_OK, INT64_MAX},
        {"9223372036854775808", SW_LIMIT, 0},
        {"-9223372036854775808", SW_OK, INT64_MIN},
        {"-9223372036854775809", SW_LIMIT, 0},
        {"", SW_MALFORMED, 0},
        {"-", SW_MALFORMED, 0},
        {"--1", SW_MALFORMED, 0},
        {"1-", SW_MALFORMED, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t value = 4711;
        assert_int_equal(sw_str_to_i64(sw_str_from(rows[i].text), &value), rows[i].status);
        assert_int_equal(value, rows[i].status == SW_OK ? rows[i].value : 4711);
    }
}

static void durations(void **state) {
    static const struct {
        const char *text;
        enum sw_status status;
        int64_t value;
    } rows[] = {
        {"250ms", SW_OK, 250000000},
        {"1s", SW_OK, 1000000000},
        {"10m", SW_OK, INT64_C(600000000000)},
        {"2h", SW_OK, INT64_C(7200000000000)},
        {"1d", SW_OK, INT64_C(86400000000000)},
        {"50us", SW_OK, 50000},
        {"10ns", SW_OK, 10},
        {"1.5s", SW_OK, 1500000000},
        {"0", SW_OK, 0},
        {"0s", SW_OK, 0},
        {"0.1s", SW_OK, 100000000},
        {"0.000000001s", SW_OK, 1},
        {"2.5ns", SW_OK, 2},
        {"106751d", SW_OK, INT64_C(9223286400000000000)},
        {"0.3333333333333333333333d", SW_OK, INT64_C(28799999999999)},
        {"9223372036854775807ns", SW_OK, INT64_MAX},
        {"9223372036854775808ns", SW_LIMIT, 0},
        {"106752d", SW_LIMIT, 0},
        {"99999999999999999999s", SW_LIMIT, 0},
        {"18446744073709551615.9s", SW_LIMIT, 0},
        {"", SW_MALFORMED, 0},
        {"5", SW_MALFORMED, 0},
        {"s", SW_MALFORMED, 0},
        {"1 s", SW_MALFORMED, 0},
        {"-1s", SW_MALFORMED, 0},
        {"1S", SW_MALFORMED, 0},
        {"1.s", SW_MALFORMED, 0},
        {".5s", SW_MALFORMED, 0},
        {"1s2", SW_MALFORMED, 0},
        {"1sec", SW_MALFORMED, 0},
        {"00", SW_MALFORMED, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t value = 4711;
        assert_int_equal(sw_str_to_duration_ns(sw_str_from(rows[i].text), &value), rows[i].status);
        assert_int_equal(value, rows[i].status == SW_OK ? rows[i].value : 4711);
    }
}

static void sizes(void **state) {
    static const struct {
        const char *text;
        enum sw_status status;
        uint64_t value;
    } rows[] = {
        {"64KiB", SW_OK, 65536},
        {"10MiB", SW_OK, 10485760},
        {"1GiB", SW_OK, 1073741824},
        {"100kB", SW_OK, 100000},
        {"4096", SW_OK, 4096},
        {"4096B", SW_OK, 4096},
        {"0", SW_OK, 0},
        {"1.5GiB", SW_OK, 1610612736},
        {"2TB", SW_OK, UINT64_C(2000000000000)},
        {"18446744073709551615", SW_OK, UINT64_MAX},
        {"18446744073709551615B", SW_OK, UINT64_MAX},
        {"16777216TiB", SW_LIMIT, 0},
        {"18446744073709551616", SW_LIMIT, 0},
        {"", SW_MALFORMED, 0},
        {"B", SW_MALFORMED, 0},
        {"1K", SW_MALFORMED, 0},
        {"1kib", SW_MALFORMED, 0},
        {"-1", SW_MALFORMED, 0},
        {"1 MiB", SW_MALFORMED, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t value = 4711;
        assert_int_equal(sw_str_to_size_bytes(sw_str_from(rows[i].text), &value), rows[i].status);
        assert_int_equal(value, rows[i].status == SW_OK ? rows[i].value : 4711);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality),
        cmocka_unit_test(order),
        cmocka_unit_test(parts),
        cmocka_unit_test(cutting_visits_every_field),
        cmocka_unit_test(unsigned_integers),
        cmocka_unit_test(signed_integers),
        cmocka_unit_test(durations),
        cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
