/* test_options.c - Option tables: long and short forms, values, words, what stands behind "--", and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/options.c"

enum { HEAD, OUTPUT, RATE, GIL };

static const struct sw_option options[] = {
    [HEAD] = {"Output", NULL, NULL},
    [OUTPUT] = {"output", "FILE", "where to", 'o'},
    [RATE] = {"rate", "HZ", "how often", 'r'},
    [GIL] = {"gil", NULL, "holders only"},
    {0},
};

/* Writes what was seen as text: "output=a.svg gil word=42 ". */
static enum sw_status note(void *context, unsigned index, struct sw_str value, struct sw_error *err) {
    char *seen = context;
    size_t len = strlen(seen);
    const char *name = index == SW_OPTION_WORD ? "word" : options[index].name;
    (void)snprintf(seen + len, 256 - len, "%s%s%.*s ", name, value.ptr ? "=" : "", SW_STR_ARG(value));
    return sw_str_eq(value, SW_STR("bad")) ? sw_fail(err, SW_INVALID, "bad value") : SW_OK;
}

static const struct sw_option_syntax plain = {.options = options};

static void parse_is(const struct sw_option_syntax *syntax, char **words, const char *expected) {
    char seen[256] = "";
    struct sw_error err = {0};
    enum sw_status status = sw_options_parse(syntax, words, note, seen, &err);
    if (status)
        fail_msg("%s", err.text);
    assert_string_equal(seen, expected);
}

static void parse_fails(const struct sw_option_syntax *syntax, char **words, const char *message) {
    char seen[256] = "";
    struct sw_error err = {0};
    assert_int_equal(sw_options_parse(syntax, words, note, seen, &err), SW_INVALID);
    assert_string_equal(err.text, message);
}

#define WORDS(...) ((char **)(const char *[]){__VA_ARGS__, NULL})

static void long_and_short_forms_are_the_same(void **state) {
    const char *expected = "output=a rate=5 gil ";
    parse_is(&plain, WORDS("--output", "a", "--rate=5", "--gil"), expected);
    parse_is(&plain, WORDS("-o", "a", "-r5", "--gil"), expected);
}

static void words_are_taken_where_they_mean_something(void **state) {
    struct sw_option_syntax syntax = {.options = options, .words_are = "process ids"};
    parse_is(&syntax, WORDS("42", "-o", "-", "43", "-"), "word=42 output=- word=43 word=- ");
    parse_fails(&plain, WORDS("42"), "unexpected argument '42'; options begin with --, see --help");
}

static void what_is_behind_two_dashes_is_left_alone(void **state) {
    char **rest;
    struct sw_option_syntax syntax = {.options = options, .rest = &rest};
    char **words = WORDS("-r", "9", "--", "python3", "-r", "--gil");
    parse_is(&syntax, words, "rate=9 ");
    assert_ptr_equal(rest, words + 3);
    words = WORDS("--gil");
    parse_is(&syntax, words, "gil ");
    assert_null(*rest);
    parse_fails(&plain, WORDS("--", "python3"), "unexpected argument '--'; options begin with --, see --help");
}

static void mistakes_are_named(void **state) {
    parse_fails(&plain, WORDS("--outptu", "a"), "unknown option '--outptu'; did you mean --output? See --help");
    parse_fails(&plain, WORDS("-x"), "unknown option '-x'; see --help");
    parse_fails(&plain, WORDS("--rate"), "option --rate wants HZ behind it");
    parse_fails(&plain, WORDS("-r"), "option --rate wants HZ behind it");
    parse_fails(&plain, WORDS("--rate="), "option --rate is empty: it wants HZ");
    parse_fails(&plain, WORDS("--gil=yes"), "option --gil takes no value");
    parse_fails(&plain, WORDS("-o", "bad", "--gil"), "bad value");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_and_short_forms_are_the_same),
        cmocka_unit_test(words_are_taken_where_they_mean_something),
        cmocka_unit_test(what_is_behind_two_dashes_is_left_alone),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
