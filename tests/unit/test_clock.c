/* test_clock.c - Clocks, and RFC 3339 both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "guard_page.h"

static void clocks_run(void **state) {
    int64_t mono = sw_clock_mono_ns();
    int64_t cpu = sw_clock_thread_cpu_ns();
    sw_clock_sleep_ns(20 * SW_NS_PER_MS);
    int64_t elapsed = sw_clock_mono_ns() - mono;
    int64_t burnt = sw_clock_thread_cpu_ns() - cpu;
    assert_true(elapsed >= 20 * SW_NS_PER_MS);
    assert_true(burnt >= 0 && burnt < elapsed); /* asleep most of the time */
    int64_t started = sw_clock_mono_ns();
    sw_clock_sleep_ns(0);
    sw_clock_sleep_ns(-SW_NS_PER_S * 1000);
    assert_true(sw_clock_mono_ns() - started < 100 * SW_NS_PER_S);
    assert_true(sw_clock_epoch_ns() > INT64_C(1600000000) * SW_NS_PER_S);
}

static void reading(void **state) {
    static const struct {
        const char *text;
        int64_t epoch_ns;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2013-10-07T14:30:00.123456789Z", INT64_C(1381156200123456789)},
        {"2013-10-07T14:30:00.123456789", INT64_C(1381156200123456789)},
        {"2013-10-07 14:30:00.123456789z", INT64_C(1381156200123456789)},
        {"2013-10-07t14:30:00,5Z", INT64_C(1381156200500000000)},
        {"2013-10-07T16:30:00.1+02:00", INT64_C(1381156200100000000)},
        {"2013-10-07T16:30:00+0200", INT64_C(1381156200000000000)},
        {"2013-10-07T10:00:00-04:30", INT64_C(1381156200000000000)},
        {"2013-10-07T14:30:00-00:00", INT64_C(1381156200000000000)},
        {"2013-10-07T14:30:00.12345678999Z", INT64_C(1381156200123456789)},
        {"1969-12-31T23:59:59.999999999Z", -1},
        {"2000-02-29T12:00:00Z", INT64_C(951825600000000000)},
        {"1700-03-01T00:00:00Z", INT64_C(-8515238400000000000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000000000)}, /* leap second */
        {"1678-01-01T00:00:00Z", INT64_C(-9214560000000000000)},
        {"2261-12-31T23:59:59.999999999Z", INT64_C(9214646399999999999)},
        {"1678-01-01T00:00:00+23:59", INT64_C(-9214646340000000000)},
        {"2261-12-31T23:59:59.999999999-23:59", INT64_C(9214732739999999999)},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t epoch_ns = 4711;
        struct sw_str text = guard_place(sw_str_from(rows[i].text));
        assert_int_equal(sw_clock_parse_rfc3339(text, &epoch_ns), SW_OK);
        assert_int_equal(epoch_ns, rows[i].epoch_ns);
    }
}

static void refusing(void **state) {
    static const struct {
        const char *text;
        enum sw_status status;
    } rows[] = {
        {"", SW_MALFORMED},
        {"2013-10-07", SW_MALFORMED},
        {"2013-10-07T14:30", SW_MALFORMED},
        {"2013-10-07T14:30:0", SW_MALFORMED},
        {"2013-10-07T14:30:00.", SW_MALFORMED},
        {"2013-10-07T14:30:00.Z", SW_MALFORMED},
        {"2013-10-07T14:30:00.1.2Z", SW_MALFORMED},
        {"2013-10-07T14:30:00X", SW_MALFORMED},
        {"2013-10-07T14:30:00ZZ", SW_MALFORMED},
        {"2013-10-07T14:30:00Z ", SW_MALFORMED},
        {" 2013-10-07T14:30:00Z", SW_MALFORMED},
        {"2013-10-07_14:30:00Z", SW_MALFORMED},
        {"2013/10/07T14:30:00Z", SW_MALFORMED},
        {"2013-10-07T14.30.00Z", SW_MALFORMED},
        {"201a-10-07T14:30:00Z", SW_MALFORMED},
        {"a013-10-07T14:30:00Z", SW_MALFORMED},
        {"2013-1a-07T14:30:00Z", SW_MALFORMED},
        {"2013-00-07T14:30:00Z", SW_MALFORMED},
        {"2013-13-07T14:30:00Z", SW_MALFORMED},
        {"2013-10-00T14:30:00Z", SW_MALFORMED},
        {"2013-10-32T14:30:00Z", SW_MALFORMED},
        {"2013-04-31T14:30:00Z", SW_MALFORMED},
        {"2013-02-29T14:30:00Z", SW_MALFORMED},
        {"1900-02-29T14:30:00Z", SW_MALFORMED},
        {"2013-10-07T24:00:00Z", SW_MALFORMED},
        {"2013-10-07T14:60:00Z", SW_MALFORMED},
        {"2013-10-07T14:30:61Z", SW_MALFORMED},
        {"2013-10-07T-4:30:00Z", SW_MALFORMED},
        {"2013-10-07T14:30:00+", SW_MALFORMED},
        {"2013-10-07T14:30:00+02", SW_MALFORMED},
        {"2013-10-07T14:30:00+02:0", SW_MALFORMED},
        {"2013-10-07T14:30:00+02:000", SW_MALFORMED},
        {"2013-10-07T14:30:00+24:00", SW_MALFORMED},
        {"2013-10-07T14:30:00+02:60", SW_MALFORMED},
        {"2013-10-07T14:30:00 02:00", SW_MALFORMED},
        {"1677-12-31T23:59:59Z", SW_LIMIT},
        {"2262-01-01T00:00:00Z", SW_LIMIT},
        {"0000-01-01T00:00:00Z", SW_LIMIT},
        {"9999-12-31T23:59:59Z", SW_LIMIT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t epoch_ns = 4711;
        struct sw_str text = guard_place(sw_str_from(rows[i].text));
        assert_int_equal(sw_clock_parse_rfc3339(text, &epoch_ns), rows[i].status);
        assert_int_equal(epoch_ns, 4711);
    }
}

/* Whatever one byte of a good text becomes, the answer is either a refusal or another time that prints as itself. */
static void damaged_texts_do_no_harm(void **state) {
    const char *good = "2013-10-07T14:30:00.123456789+02:00";
    for (size_t at = 0; at < strlen(good); at++) {
        for (int byte = 0; byte < 256; byte++) {
            char text[64];
            memcpy(text, good, strlen(good));
            text[at] = (char)byte;
            int64_t epoch_ns;
            if (sw_clock_parse_rfc3339(guard_place(sw_str_make(text, strlen(good))), &epoch_ns) == SW_OK) {
                char out[40];
                int64_t again;
                size_t len = sw_clock_format_rfc3339(epoch_ns, out);
                assert_int_equal(sw_clock_parse_rfc3339(sw_str_make(out, len), &again), SW_OK);
                assert_int_equal(again, epoch_ns);
            }
        }
    }
}

static void writing(void **state) {
    static const struct {
        int64_t epoch_ns;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1, "1970-01-01T00:00:00.000000001Z"},
        {1000, "1970-01-01T00:00:00.000001Z"},
        {1000000, "1970-01-01T00:00:00.001Z"},
        {120000000, "1970-01-01T00:00:00.120Z"},
        {1000001, "1970-01-01T00:00:00.001000001Z"},
        {-1, "1969-12-31T23:59:59.999999999Z"},
        {-SW_NS_PER_S, "1969-12-31T23:59:59Z"},
        {INT64_C(1381156200123456789), "2013-10-07T14:30:00.123456789Z"},
        {INT64_C(1483228800000000000), "2017-01-01T00:00:00Z"},
        {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
        {INT64_MIN, "1677-09-21T00:12:43.145224192Z"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[40];
        size_t len = sw_clock_format_rfc3339(rows[i].epoch_ns, out);
        assert_true(sw_str_eq(sw_str_make(out, len), sw_str_from(rows[i].text)));
    }
}

static bool is_leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Every day of 584 years, counted one by one. */
static void the_calendar_is_right(void **state) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t epoch_ns = INT64_C(-9214560000000000000);
    for (int year = 1678; year <= 2261; year++) {
        for (int month = 1; month <= 12; month++) {
            int count = days[month - 1] + (month == 2 && is_leap(year));
            for (int day = 1; day <= count; day++) {
                char expected[40];
                char out[40];
                int64_t read;
                int len = snprintf(expected, sizeof(expected), "%04d-%02d-%02dT00:00:00Z", year, month, day);
                assert_int_equal(sw_clock_parse_rfc3339(sw_str_make(expected, (size_t)len), &read), SW_OK);
                assert_int_equal(read, epoch_ns);
                assert_int_equal(sw_clock_format_rfc3339(epoch_ns, out), len);
                assert_memory_equal(out, expected, (size_t)len);
                epoch_ns += 86400 * SW_NS_PER_S;
            }
        }
    }
}

static void what_is_written_reads_back(void **state) {
    for (uint64_t i = 1; i < 200000; i++) {
        int64_t epoch_ns = (int64_t)sw_hash_u64(i) / 1024 * 1023; /* inside the years that can be read */
        char out[40];
        size_t len = sw_clock_format_rfc3339(epoch_ns, out);
        assert_true(len < 40);
        int64_t read;
        assert_int_equal(sw_clock_parse_rfc3339(sw_str_make(out, len), &read), SW_OK);
        assert_int_equal(read, epoch_ns);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_run),
        cmocka_unit_test(reading),
        cmocka_unit_test(refusing),
        cmocka_unit_test(damaged_texts_do_no_harm),
        cmocka_unit_test(writing),
        cmocka_unit_test(the_calendar_is_right),
        cmocka_unit_test(what_is_written_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
