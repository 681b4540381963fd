/* test_record_options.c - The words of `sidewinder record`: what they mean, and which are refused, with the remedy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "cli/options.c"
#include "cli/record_options.c"

enum { WORDS_MAX = 300, TEXT_MAX = 4096 };

static char text[TEXT_MAX];
static char *words[WORDS_MAX + 1];
static struct sw_record record;

/* Words are separated by single blanks. */
static enum sw_status parse(const char *line, struct sw_error *err) {
    size_t count = 0;
    assert_true(strlen(line) < TEXT_MAX);
    memcpy(text, line, strlen(line) + 1);
    for (char *at = text; at && *at; count++) {
        assert_true(count < WORDS_MAX);
        words[count] = at;
        at = strchr(at, ' ');
        if (at)
            *at++ = '\0';
    }
    words[count] = NULL;
    *err = (struct sw_error){0};
    return sw_record_parse(&record, words, err);
}

static void parse_well(const char *line) {
    struct sw_error err;
    if (parse(line, &err) != SW_OK)
        fail_msg("'%s': %s", line, err.text);
}

static void defaults(void **unused) {
    parse_well("4242");
    assert_int_equal(record.pid_count, 1);
    assert_int_equal(record.pids[0], 4242);
    assert_null(*record.command);
    assert_int_equal(record.duration_ns, 0);
    assert_true(record.rate_hz == 1000);
    assert_int_equal(record.format, SW_PROFILE_SVG);
    assert_int_equal(record.what, SW_SAMPLE_CPU);
    assert_false(record.has_threads || record.has_subprocesses || record.has_native || record.by_function ||
                 record.wants_help);
}

static void everything(void **unused) {
    parse_well("1 -d 10s -r 250.5 -o out.html 2 --gil --threads --subprocesses --native --functions 3");
    assert_int_equal(record.pid_count, 3);
    assert_int_equal(record.pids[2], 3);
    assert_int_equal(record.duration_ns, 10 * SW_NS_PER_S);
    assert_true(record.rate_hz == 250.5);
    assert_int_equal(record.format, SW_PROFILE_HTML);
    assert_int_equal(record.what, SW_SAMPLE_GIL);
    assert_true(record.has_threads && record.has_subprocesses && record.has_native && record.by_function);
}

static void a_command_keeps_its_options(void **unused) {
    parse_well("--wait -- python3 -d --gil x.py");
    assert_int_equal(record.pid_count, 0);
    assert_string_equal(record.command[0], "python3");
    assert_string_equal(record.command[1], "-d");
    assert_string_equal(record.command[3], "x.py");
    assert_null(record.command[4]);
    assert_int_equal(record.duration_ns, 0);
    assert_int_equal(record.what, SW_SAMPLE_WAIT);
}

static void the_format_follows_from_name_ending_or_neither(void **unused) {
    static const struct {
        const char *line;
        enum sw_profile_format format;
    } rows[] = {
        {"1 -o -", SW_PROFILE_COLLAPSED},
        {"1 -o - --format json", SW_PROFILE_JSON},
        {"1 -o a.svg --format pprof", SW_PROFILE_PPROF},
        {"1 -o a.speedscope.json", SW_PROFILE_SPEEDSCOPE},
        {"1 -o a.json", SW_PROFILE_JSON},
        {"1 -o a.trace.json", SW_PROFILE_CHROME},
        {"1 --format chrome", SW_PROFILE_CHROME},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        parse_well(rows[i].line);
        assert_int_equal(record.format, rows[i].format);
    }
}

static void what_is_refused_and_how(void **unused) {
    static const struct {
        const char *line;
        const char *says;
    } rows[] = {
        {"", "what is to be recorded?"},
        {"--gil", "what is to be recorded?"},
        {"--", "what is to be recorded?"},
        {"app.py", "sidewinder record -- app.py"},
        {"0", "no process id"},
        {"-1", "unknown option"},
        {"4294967296", "no process id"},
        {"1 -- python3", "not both"},
        {"1 --gil --wait", "--gil and --wait exclude"},
        {"1 --idle --gil", "--idle and --gil exclude"},
        {"1 --lines --functions", "exclude"},
        {"1 -d soon", "--duration soon"},
        {"1 -d 10parsecs", "--duration 10parsecs"},
        {"1 -r 0", "--rate 0"},
        {"1 -r -5", "--rate -5"},
        {"1 -r 100001", "--rate 100001"},
        {"1 -r nan", "--rate nan"},
        {"1 -r 10x", "--rate 10x"},
        {"1 --format gif", "gif"},
        {"1 -o out.gif", "out.gif"},
        {"1 -o", "--output wants"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sw_error err;
        assert_int_equal(parse(rows[i].line, &err), SW_INVALID);
        if (!strstr(err.text, rows[i].says))
            fail_msg("'%s': %s", rows[i].line, err.text);
    }
}

static void a_duration_without_a_unit_is_seconds(void **unused) {
    parse_well("1 -d 2.5");
    assert_int_equal(record.duration_ns, 2500 * SW_NS_PER_MS);
}

static void gil_twice_is_once(void **unused) {
    parse_well("1 --gil --gil");
    assert_int_equal(record.what, SW_SAMPLE_GIL);
}

static void only_so_many_processes(void **unused) {
    char line[TEXT_MAX] = "";
    struct sw_error err;
    size_t len = 0;
    for (int i = 0; i < SW_RECORD_PIDS_MAX; i++)
        len += (size_t)snprintf(line + len, sizeof line - len, "%d ", 1000 + i);
    line[len - 1] = '\0';
    parse_well(line);
    assert_int_equal(record.pid_count, SW_RECORD_PIDS_MAX);
    snprintf(line + len - 1, sizeof line - len, " 5");
    assert_int_equal(parse(line, &err), SW_INVALID);
}

static void help_needs_nothing_else(void **unused) {
    parse_well("--help");
    assert_true(record.wants_help);
    parse_well("-h");
    assert_true(record.wants_help);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(everything),
        cmocka_unit_test(a_command_keeps_its_options),
        cmocka_unit_test(the_format_follows_from_name_ending_or_neither),
        cmocka_unit_test(what_is_refused_and_how),
        cmocka_unit_test(a_duration_without_a_unit_is_seconds),
        cmocka_unit_test(gil_twice_is_once),
        cmocka_unit_test(only_so_many_processes),
        cmocka_unit_test(help_needs_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
