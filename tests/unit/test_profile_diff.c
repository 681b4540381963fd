/* test_profile_diff.c - Two recordings compared: shares, what chance explains, and each form of the answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "report/profile_diff.h"

static void read_text(struct sw_profile *profile, const char *text) {
    struct sw_error err;
    assert_int_equal(sw_profile_read(profile, sw_str_from(text), &err), SW_OK);
}

static char *compared(const char *before, const char *after, const struct sw_profile_diff_options *options) {
    static struct sw_buf out;
    struct sw_profile a = {0}, b = {0};
    sw_buf_clear(&out);
    read_text(&a, before);
    read_text(&b, after);
    assert_int_equal(sw_profile_diff_write(&a, &b, options, &out), SW_OK);
    assert_int_equal(sw_buf_append_byte(&out, '\0'), SW_OK);
    sw_profile_release(&a);
    sw_profile_release(&b);
    return out.ptr;
}

/* Twice as many samples after; f's share grows from 50 to 60 %, lines of g move, h is gone. */
static const char before_text[] =
    "main (a.py:1);f (a.py:2) 500\nmain (a.py:1);g (a.py:5) 480\nmain (a.py:1);h (a.py:9) 20\n";
static const char after_text[] = "main (a.py:1);f (a.py:2) 1200\nmain (a.py:1);g (a.py:6) 800\n";

/* z = 2.5758 is the limit: 500 of 1000 against 557 is inside of it, against 558 outside. */
static void chance_is_a_test_of_two_proportions(void **state) {
    static const struct {
        uint64_t count[2], all[2];
        bool is_chance;
    } rows[] = {
        {{500, 500}, {1000, 1000}, true},  {{500, 557}, {1000, 1000}, true}, {{500, 558}, {1000, 1000}, false},
        {{558, 500}, {1000, 1000}, false}, {{0, 4}, {1000, 1000}, true},     {{0, 9}, {1000, 1000}, true},
        {{0, 40}, {1000, 1000}, false},    {{1, 1}, {1, 1000}, true},        {{0, 0}, {1000, 1000}, true},
        {{0, 5}, {0, 10}, true},           {{10, 10}, {10, 10}, true},       {{50, 1000}, {1000, 10000}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(sw_profile_is_chance(rows[i].count, rows[i].all), rows[i].is_chance);
}

static void text_ranks_the_functions_that_changed(void **state) {
    struct sw_profile_diff_options options = {.view = {.by_function = true}};
    assert_string_equal(
        compared(before_text, after_text, &options),
        "before  1,000 samples\n"
        "after   2,000 samples\n"
        "\n"
        " ------- self, %        ------- total, %        self, samples \n"
        " before  after  change  before  after  change   before   after  function\n"
        "  50.00  60.00  +10.00   50.00  60.00  +10.00      500    1200  f (a.py)\n"
        "  48.00  40.00   -8.00   48.00  40.00   -8.00      480     800  g (a.py)\n"
        "   2.00   0.00   -2.00    2.00   0.00   -2.00       20       0  h (a.py)\n"
        "   0.00   0.00   +0.00~ 100.00 100.00   +0.00~       0       0  main (a.py)\n"
        "\n"
        "Shares of the samples; changes in points. ~: chance alone may explain it (two-proportion test of "
        "the counts, 99 %).\n");
}

static void top_is_a_limit_and_says_so(void **state) {
    struct sw_profile_diff_options options = {.view = {.by_function = true}, .top = 2};
    const char *text = compared(before_text, after_text, &options);
    assert_non_null(strstr(text, "g (a.py)\n2 more changed less; --top 0 lists all\n"));
    assert_null(strstr(text, "h (a.py)"));
}

static void lines_are_told_apart_where_wanted(void **state) {
    struct sw_profile_diff_options options = {0};
    const char *text = compared(before_text, after_text, &options);
    assert_non_null(strstr(text, "480       0  g (a.py:5)\n"));
    assert_non_null(strstr(text, "  0     800  g (a.py:6)\n"));
}

/* Samples of unequal length: shares are of time, and seconds are for each second of recording. */
static void time_counts_where_both_know_it(void **state) {
#define HEAD(seconds) \
    "{\"format\":\"sidewinder-profile\",\"version\":1,\"about\":{\"duration_ns\":" seconds "000000000}," \
    "\"frames\":[{\"name\":\"f\"},{\"name\":\"g\"}],\"nodes\":[[0,0],[0,1]],\"tracks\":[{\"pid\":1}],"
    static const char before[] = HEAD("10") "\"totals\":[[0,1,100,1000000000],[0,2,100,3000000000]]}";
    static const char after[] = HEAD("20") "\"totals\":[[0,1,100,6000000000],[0,2,100,6000000000]]}";
#undef HEAD
    struct sw_profile_diff_options options = {.view = {.by_function = true}};
    const char *text = compared(before, after, &options);
    assert_non_null(
        strstr(text, "before  200 samples, 4.000 s in 10.000 s\nafter   200 samples, 12.000 s in 20.000 s\n"));
    assert_non_null(
        strstr(text, "  25.00  50.00  +25.00~  25.00  50.00  +25.00~    100.0    300.0     100     100  f\n"));
    assert_non_null(strstr(text, "Shares of the time"));
    options.format = SW_PROFILE_DIFF_JSON;
    text = compared(before, after, &options);
    assert_non_null(strstr(text, "{\"before\":{\"samples\":200,\"seconds\":4,\"duration_s\":10},"));
    assert_non_null(strstr(text, "\"shares_of\":\"time\""));
    assert_non_null(strstr(text, "{\"name\":\"f\",\"self\":{\"before\":0.25,\"after\":0.5,\"change\":0.25,"
                                 "\"samples_before\":100,\"samples_after\":100,\"s_per_s_before\":0.1,"
                                 "\"s_per_s_after\":0.3,\"is_chance\":true}"));
}

static void collapsed_has_both_counts(void **state) {
    struct sw_profile_diff_options options = {.view = {.by_function = true}, .format = SW_PROFILE_DIFF_COLLAPSED};
    assert_string_equal(compared(before_text, after_text, &options), "main (a.py);f (a.py) 500 1200\n"
                                                                     "main (a.py);g (a.py) 480 800\n"
                                                                     "main (a.py);h (a.py) 20 0\n");
}

static const char *color_of(const char *svg, const char *title) {
    const char *at = strstr(svg, title);
    assert_non_null(at);
    at = strstr(at, "fill=\"#");
    assert_non_null(at);
    return at + 7;
}

static void pictures_colour_what_grew_and_what_shrank(void **state) {
    struct sw_profile_diff_options options = {.view = {.by_function = true}, .format = SW_PROFILE_DIFF_SVG};
    const char *svg = compared(before_text, after_text, &options);
    unsigned char grows[3], shrinks[3], same[3];
    unsigned char *const into[] = {grows, shrinks, same};
    static const char *const titles[] = {"<title>f (a.py)", "<title>g (a.py)", "<title>main (a.py)"};
    for (size_t i = 0; i < 3; i++) {
        const char *hex = color_of(svg, titles[i]);
        for (size_t c = 0; c < 6; c++) {
            unsigned char digit = (unsigned char)(hex[c] <= '9' ? hex[c] - '0' : hex[c] - 'a' + 10);
            into[i][c / 2] = (unsigned char)(c % 2 ? into[i][c / 2] * 16 + digit : digit);
        }
    }
    assert_true(grows[0] > grows[2] + 60);
    assert_true(shrinks[2] > shrinks[0] + 60);
    assert_true(same[0] < same[2] + 20 && same[2] < same[0] + 20);
    assert_non_null(strstr(svg, "60.00 %, 1,200 samples, +10.00 points</title>"));
    assert_non_null(strstr(svg, "0.00 points, may be chance</title>"));
    options.format = SW_PROFILE_DIFF_HTML;
    assert_non_null(
        strstr(compared(before_text, after_text, &options), "<td class=\"grows\" data-value=\"0.1\">+10.00</td>"));
}

static void a_recording_is_the_same_as_itself(void **state) {
    struct sw_profile_diff_options options = {0};
    const char *text = compared(before_text, before_text, &options);
    assert_non_null(strstr(text, "  50.00  50.00   +0.00~"));
    const char *rows = strstr(text, "function\n");
    for (const char *at = rows; (at = strstr(at, " (a.py")); at++) {
        const char *line = at;
        while (line[-1] != '\n')
            line--;
        assert_true(memchr(line, '~', (size_t)(at - line)) != NULL);
    }
}

static void running_out_of_memory_writes_nothing(void **state) {
    struct sw_profile before = {0}, after = {0};
    read_text(&before, before_text);
    read_text(&after, after_text);
    for (enum sw_profile_diff_format format = SW_PROFILE_DIFF_TEXT; format <= SW_PROFILE_DIFF_COLLAPSED; format++) {
        struct sw_profile_diff_options options = {.format = format};
        enum sw_status status = SW_NOMEM;
        for (size_t nth = 1; status == SW_NOMEM; nth++) {
            struct sw_buf out = {0};
            sw_mem_fail_at(nth);
            status = sw_profile_diff_write(&before, &after, &options, &out);
            sw_mem_fail_at(0);
            assert_int_equal(out.len == 0, status != SW_OK);
            sw_buf_release(&out);
        }
        assert_int_equal(status, SW_OK);
    }
    sw_profile_release(&before);
    sw_profile_release(&after);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chance_is_a_test_of_two_proportions),
        cmocka_unit_test(text_ranks_the_functions_that_changed),
        cmocka_unit_test(top_is_a_limit_and_says_so),
        cmocka_unit_test(lines_are_told_apart_where_wanted),
        cmocka_unit_test(time_counts_where_both_know_it),
        cmocka_unit_test(collapsed_has_both_counts),
        cmocka_unit_test(pictures_colour_what_grew_and_what_shrank),
        cmocka_unit_test(a_recording_is_the_same_as_itself),
        cmocka_unit_test(running_out_of_memory_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
