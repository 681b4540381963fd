/* test_decode_statsd.c - StatsD lines: types, several values, rates, tags, what is malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../engine/fake_intake.c"
#include "base/clock.h"

static const struct fake_field FIELDS[] = {{"metric", FAKE_KEY, SW_TIME_NONE},
                                           {"value", FAKE_NUM | FAKE_TEXT, SW_TIME_NONE},
                                           {"type", FAKE_TEXT, SW_TIME_NONE},
                                           {"rate", FAKE_NUM, SW_TIME_NONE},
                                           {"host", FAKE_TEXT, SW_TIME_NONE},
                                           {0}};
static const struct fake_field TIMED[] = {{"time", 0, SW_TIME_S}, {"value", FAKE_NUM, SW_TIME_NONE}, {0}};
static const struct fake_field TAG_TIME[] = {{"at", 0, SW_TIME_S}, {"value", FAKE_NUM, SW_TIME_NONE}, {0}};
static const struct sw_decoder_options STATSD = {.format = SW_FORMAT_STATSD};

struct row {
    const char *name, *input, *log;
};

static const struct row CASES[] = {
    {"types", "a:1|c\nb:2.5|g\nc:320|ms\nd:4|h\ne:5|d\nf:6|m\n",
     " metric'a' value=1\"1\" type\"c\" rate=1 host~\n metric'b' value=2.5\"2.5\" type\"g\" rate=1 host~\n"
     " metric'c' value=320\"320\" type\"ms\" rate=1 host~\n metric'd' value=4\"4\" type\"h\" rate=1 host~\n"
     " metric'e' value=5\"5\" type\"d\" rate=1 host~\n metric'f' value=6\"6\" type\"m\" rate=1 host~\n"},
    {"gauge changes keep their sign", "g:+4|g\ng:-4|g\n",
     " metric'g' value=4\"+4\" type\"g\" rate=1 host~\n metric'g' value=-4\"-4\" type\"g\" rate=1 host~\n"},
    {"sets are text", "s:anna|s\ns:12|s\n",
     " metric's' value=-\"anna\" type\"s\" rate=1 host~\n metric's' value=12\"12\" type\"s\" rate=1 host~\n"},
    {"several values", "a:1:2:3|ms|@0.5|#host:h1,other:x\n",
     " metric'a' value=1\"1\" type\"ms\" rate=0.5 host\"h1\"\n metric'a' value=2\"2\" type\"ms\" rate=0.5 host\"h1\"\n"
     " metric'a' value=3\"3\" type\"ms\" rate=0.5 host\"h1\"\n"},
    {"one bad value of several", "a:1:x:3|c\n",
     " metric'a' value=1\"1\" type\"c\" rate=1 host~\n! number 1 value is not a number | a:1:x:3|c\n metric'a' value=3\"3\" type\"c\" rate=1 host~\n"},
    {"tags", "a:1|c|#host\na:1|c|#host:x:y\na:1|c|#\na:1|c|#b:c|@0.1\n",
     " metric'a' value=1\"1\" type\"c\" rate=1 host~\n metric'a' value=1\"1\" type\"c\" rate=1 host\"x:y\"\n"
     " metric'a' value=1\"1\" type\"c\" rate=1 host~\n metric'a' value=1\"1\" type\"c\" rate=0.10000000000000001 host~\n"},
    {"other extensions", "a:1|c|c:83c0a99c|#host:h\r\n", " metric'a' value=1\"1\" type\"c\" rate=1 host\"h\"\n"},
    {"malformed",
     "a\na:1\na|c\n:1|c\na:1|\na:1|x\na:1|c|@\na:1|c|@0\na:1|c|@2\na:1|c|\na:|c\na:|s\na:++1|g\na:+|g\na:nan|g\na:1e999|g\n_e{1,1}:a|b\na:2|c",
     "! syntax 1 line has no type | a\n! syntax 2 line has no type | a:1\n! syntax 3 line has no value | a|c\n! syntax 4 line has no metric name | :1|c\n"
     "! syntax 5 type is none of c, g, ms, h, d, m, s | a:1|\n! syntax 6 type is none of c, g, ms, h, d, m, s | a:1|x\n"
     "! syntax 7 sample rate is not above 0 and at most 1 | a:1|c|@\n! syntax 8 sample rate is not above 0 and at most 1 | a:1|c|@0\n"
     "! syntax 9 sample rate is not above 0 and at most 1 | a:1|c|@2\n! syntax 10 empty part behind the type | a:1|c|\n"
     "! number 11 value is not a number | a:|c\n! number 12 value is not a number | a:|s\n! number 13 value is not a number | a:++1|g\n"
     "! number 14 value is not a number | a:+|g\n! number 15 value is not a number | a:nan|g\n! number 16 value is not a number | a:1e999|g\n"
     "! syntax 17 type is none of c, g, ms, h, d, m, s | _e{1,1}:a|b\n metric'a' value=2\"2\" type\"c\" rate=1 host~\n"},
};

static const struct row TIMED_CASES[] = {
    {"timestamp", "a:1|c|T1656581400\na:2|c|#x:y|T1656581401\na:3|c|Tx\n",
     "t=1656581400000000000 value=1\nt=1656581401000000000 value=2\n! time 3 time column time cannot be read in its unit | a:3|c|Tx\n"},
};

static const struct row TAG_TIME_CASES[] = {
    {"time in a tag", "a:1|c|#at:5\na:2|c\na:3|c|#at\n",
     "t=5000000000 value=1\n! time 2 time column at is missing | a:2|c\n! time 3 time column at is empty | a:3|c|#at\n"},
};

static void check(const struct fake_field *fields, const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!fake_matches(fields, &STATSD, sw_str_from(rows[i].input), rows[i].log))
            fail_msg("case \"%s\"", rows[i].name);
}

static void test_cases(void **state) {
    (void)state;
    check(FIELDS, CASES, sizeof CASES / sizeof *CASES);
    check(TIMED, TIMED_CASES, sizeof TIMED_CASES / sizeof *TIMED_CASES);
    check(TAG_TIME, TAG_TIME_CASES, sizeof TAG_TIME_CASES / sizeof *TAG_TIME_CASES);
}

static void test_arrival(void **state) {
    (void)state;
    struct sw_intake *intake = fake_intake_new(TIMED);
    const struct fake_run run = {.options = &STATSD};
    int64_t before = sw_clock_epoch_ns();
    assert_int_equal(fake_decode(intake, &run, SW_STR("a:1|c"), NULL), SW_OK);
    long long time_ns = 0;
    assert_int_equal(sscanf(fake_intake_log(intake).ptr, "t=%lld", &time_ns), 1);
    assert_true(time_ns >= before && time_ns <= sw_clock_epoch_ns());
    fake_intake_free(intake);
}

static void test_no_memory(void **state) {
    (void)state;
    assert_true(fake_survives_no_memory(FIELDS, &STATSD, SW_STR("a:1:2|c|#host:h\nb:2|g|#host:i\n")));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_arrival),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
