/* test_decode_influx.c - Influx line protocol: tags, fields of every kind, escapes, timestamps, what is malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../engine/fake_intake.c"
#include "base/clock.h"

static const struct fake_field FIELDS[] = {{"measurement", FAKE_TEXT, SW_TIME_NONE},
                                           {"host", FAKE_KEY, SW_TIME_NONE},
                                           {"v", FAKE_NUM, SW_TIME_NONE},
                                           {"s", FAKE_TEXT, SW_TIME_NONE},
                                           {0}};
static const struct fake_field TIMED[] = {{"time", 0, SW_TIME_NS}, {"v", FAKE_NUM, SW_TIME_NONE}, {0}};
static const struct fake_field OTHER_TIME[] = {{"at", 0, SW_TIME_S}, {"v", FAKE_NUM, SW_TIME_NONE}, {0}};
static const struct fake_field SPECIAL[] = {{"my key", FAKE_TEXT, SW_TIME_NONE},
                                            {"a=b", FAKE_NUM, SW_TIME_NONE},
                                            {"measurement", FAKE_TEXT, SW_TIME_NONE},
                                            {0}};
static const struct sw_decoder_options INFLUX = {.format = SW_FORMAT_INFLUX};

struct row {
    const char *name, *input, *log;
};

static const struct row CASES[] = {
    {"plain", "cpu,host=a v=1\ncpu,host=b v=2.5 1465839830100400200\n",
     " measurement\"cpu\" host'a' v=1 s~\n measurement\"cpu\" host'b' v=2.5 s~\n"},
    {"no tags, crlf, no newline", "cpu v=1\r\ncpu v=2 5\r\ncpu v=3",
     " measurement\"cpu\" host'' v=1 s~\n measurement\"cpu\" host'' v=2 s~\n measurement\"cpu\" host'' v=3 s~\n"},
    {"numbers", "m v=5i\nm v=-5i\nm v=5u\nm v=1e3\nm v=-1.5E-2\nm v=9223372036854775807i\n",
     " measurement\"m\" host'' v=5 s~\n measurement\"m\" host'' v=-5 s~\n measurement\"m\" host'' v=5 s~\n measurement\"m\" host'' v=1000 s~\n"
     " measurement\"m\" host'' v=-0.014999999999999999 s~\n measurement\"m\" host'' v=9.2233720368547758e+18 s~\n"},
    {"booleans", "m v=t,s=TRUE\nm v=F,s=false\n",
     " measurement\"m\" host'' v=1 s\"true\"\n measurement\"m\" host'' v=0 s\"false\"\n"},
    {"integers as text", "m s=5i\nm s=5.50\n",
     " measurement\"m\" host'' v=- s\"5\"\n measurement\"m\" host'' v=- s\"5.50\"\n"},
    {"strings", "m s=\"a b,c=d\",v=1\nm s=\"say \\\"hi\\\" \\\\ \\n\"\nm s=\"\" 7\nm v=\"8\"\n",
     " measurement\"m\" host'' v=1 s\"a b,c=d\"\n measurement\"m\" host'' v=- s\"say \"hi\" \\ \\n\"\n measurement\"m\" host'' v=- s~\n measurement\"m\" host'' v=8 s~\n"},
    {"comments and blanks", "# one\n\n  # two\n   m v=1   5  \n", " measurement\"m\" host'' v=1 s~\n"},
    {"malformed",
     "m\nm \nm v\nm v=\nm v=x\nm v=1,\nm v=1 x\nm v=1 5 6\nm,host v=1\nm,host= v=1\nm,=a v=1\nm,host=a=b v=1\n,host=a v=1\nm v=\"x\nm s=\"x\"y\nm v=1ii\nm v=-1u\nm v=99999999999999999999i\nm v=nan\nm,host=a\nm v=2\n",
     "! syntax 1 line has no fields | m\n! syntax 2 expected field=value | m \n! syntax 3 expected field=value | m v\n"
     "! syntax 4 not a field value | m v=\n! syntax 5 not a field value | m v=x\n! syntax 6 expected field=value | m v=1,\n"
     "! syntax 7 not a timestamp | m v=1 x\n! syntax 8 not a timestamp | m v=1 5 6\n! syntax 9 expected tag=value | m,host v=1\n"
     "! syntax 10 expected a tag value | m,host= v=1\n! syntax 11 expected tag=value | m,=a v=1\n! syntax 12 expected a tag value | m,host=a=b v=1\n"
     "! syntax 13 expected a measurement | ,host=a v=1\n! syntax 14 string is not closed | m v=\"x\n"
     "! syntax 15 expected a comma or a blank behind a field | m s=\"x\"y\n! syntax 16 not a field value | m v=1ii\n"
     "! syntax 17 not a field value | m v=-1u\n! syntax 18 not a field value | m v=99999999999999999999i\n"
     "! syntax 19 not a field value | m v=nan\n! syntax 20 line has no fields | m,host=a\n measurement\"m\" host'' v=2 s~\n"},
    {"text where a number is wanted", "m v=\"x\"\nm v=1\n",
     "! number 1 column v is not a number | m v=\"x\"\n measurement\"m\" host'' v=1 s~\n"},
};

static const struct row TIMED_CASES[] = {
    {"timestamps", "m v=1 1465839830100400200\nm v=2 -5\nm v=3 0\n", "t=1465839830100400200 v=1\nt=-5 v=2\nt=0 v=3\n"},
};

static const struct row OTHER_TIME_CASES[] = {
    {"time in a field", "m at=5i,v=1 77\nm,at=6 v=2\nm v=3 77\n",
     "t=5000000000 v=1\nt=6000000000 v=2\n! time 3 time column at is missing | m v=3 77\n"},
};

static const struct row SPECIAL_CASES[] = {
    {"escapes", "my\\ m\\,x\\=y,my\\ key=x\\,\\ y\\=z\\w a\\=b=1\n",
     " my key\"x, y=z\\w\" a=b=1 measurement\"my m,x\\=y\"\n"},
    {"backslash at the end", "m,my\\ key=x\\ a\\=b=2\nm\\",
     "! syntax 1 expected a tag value | m,my\\ key=x\\ a\\=b=2\n! syntax 2 line has no fields | m\\\n"},
};

static void check(const struct fake_field *fields, const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!fake_matches(fields, &INFLUX, sw_str_from(rows[i].input), rows[i].log))
            fail_msg("case \"%s\"", rows[i].name);
}

static void test_cases(void **state) {
    (void)state;
    check(FIELDS, CASES, sizeof CASES / sizeof *CASES);
    check(TIMED, TIMED_CASES, sizeof TIMED_CASES / sizeof *TIMED_CASES);
    check(OTHER_TIME, OTHER_TIME_CASES, sizeof OTHER_TIME_CASES / sizeof *OTHER_TIME_CASES);
    check(SPECIAL, SPECIAL_CASES, sizeof SPECIAL_CASES / sizeof *SPECIAL_CASES);
}

static void test_arrival(void **state) {
    (void)state;
    struct sw_intake *intake = fake_intake_new(TIMED);
    const struct fake_run run = {.options = &INFLUX};
    int64_t before = sw_clock_epoch_ns();
    assert_int_equal(fake_decode(intake, &run, SW_STR("m v=1\n"), NULL), SW_OK);
    long long time_ns = 0;
    assert_int_equal(sscanf(fake_intake_log(intake).ptr, "t=%lld", &time_ns), 1);
    assert_true(time_ns >= before && time_ns <= sw_clock_epoch_ns());
    fake_intake_free(intake);
}

static void test_no_memory(void **state) {
    (void)state;
    assert_true(fake_survives_no_memory(FIELDS, &INFLUX, SW_STR("m\\ m,host=a v=1,s=\"x\"\nm v=2,s=\"y\"\n")));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_arrival),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
