/* test_json_read.c - The JSON reader: tokens, what it refuses, how deep it goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/json_read.h"

/* The tokens of `text`, one letter each with their text, or "! reason". Memory of the exact size lets a sanitizer see
 * an over-read. */
static void tokens_of(struct sw_str text, struct sw_buf *out) {
    static const char letters[] = "E{}[]ksntf0";
    struct sw_json_reader reader;
    struct sw_json_token token;
    char *copy = malloc(text.len + 1);
    assert_non_null(copy);
    char *exact = realloc(copy, text.len ? text.len : 1);
    assert_non_null(exact);
    memcpy(exact, text.ptr, text.len);
    sw_json_reader_init(&reader, sw_str_make(exact, text.len));
    for (;;) {
        enum sw_status status = sw_json_read(&reader, &token);
        if (status != SW_OK) {
            assert_int_equal(sw_buf_append_format(out, "!%s %s",
                                                  status == SW_LIMIT     ? "limit"
                                                  : reader.is_text_fault ? "text"
                                                                         : "",
                                                  reader.reason),
                             SW_OK);
            break;
        }
        assert_int_equal(sw_buf_append_byte(out, letters[token.kind]), SW_OK);
        if (token.kind == SW_JSON_END)
            break;
        if (token.kind == SW_JSON_KEY || token.kind == SW_JSON_STRING)
            assert_int_equal(token.has_escape ? sw_json_unescape(token.text, out) : sw_buf_append(out, token.text),
                             SW_OK);
        if (token.kind == SW_JSON_NUMBER)
            assert_int_equal(sw_buf_append(out, token.text), SW_OK);
        assert_int_equal(sw_buf_append_byte(out, ' '), SW_OK);
    }
    free(exact);
}

static void test_tokens(void **state) {
    (void)state;
    static const struct {
        const char *text, *tokens;
    } rows[] = {
        {"1", "n1 E"},
        {" [ ] ", "[ ] E"},
        {"{}", "{ } E"},
        {"{\"a\":[1,-2.5e+3,\"x\"],\"b\":{\"c\":null}}", "{ ka [ n1 n-2.5e+3 sx ] kb { kc 0 } } E"},
        {"[true,false,null]", "[ t f 0 ] E"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\\uD83D\\uDE00\"",
         "s\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 E"},
        {"\"0123456789abcdefghijklmnopqrstuv\"", "s0123456789abcdefghijklmnopqrstuv E"},
        {"\"0123456789abcdef\xc3\xa9\x7f\"", "s0123456789abcdef\xc3\xa9\x7f E"},
        {"", "! text ends in the middle"},
        {"[", "[ ! text ends in the middle"},
        {"[1", "[ n1 ! text ends in the middle"},
        {"[1,", "[ n1 ! text ends in the middle"},
        {"{\"a\"", "{ ! expected a colon behind a key"},
        {"{\"a\":", "{ ka ! text ends in the middle"},
        {"{\"a\":}", "{ ka ! not a JSON value"},
        {"{\"a\",1}", "{ ! expected a colon behind a key"},
        {"{1:2}", "{ ! expected a key"},
        {"{\"a\":1,}", "{ ka n1 ! expected a key"},
        {"[1,]", "[ n1 ! not a JSON value"},
        {"[,1]", "[ ! not a JSON value"},
        {"[1 2]", "[ n1 ! expected a comma"},
        {"[1}", "[ n1 ! expected a comma"},
        {"{\"a\":1]", "{ ka n1 ! expected a comma"},
        {"1 2", "n1 ! text behind the value"},
        {"]", "! not a JSON value"},
        {"01", "! not a JSON value"},
        {"-", "! not a JSON value"},
        {"1.", "! not a JSON value"},
        {"1e", "! not a JSON value"},
        {"1e+", "! not a JSON value"},
        {"+1", "! not a JSON value"},
        {"NaN", "! not a JSON value"},
        {"tru", "! not a JSON value"},
        {"'a'", "! not a JSON value"},
        {"\"a", "! string is not closed"},
        {"\"a\\", "!text bad escape in a string"},
        {"\"\\a\"", "!text bad escape in a string"},
        {"\"\\u12\"", "!text bad escape in a string"},
        {"\"\\ud800\\u0041\"", "!text bad escape in a string"},
        {"\"\x01\"", "!text control character in a string"},
        {"\"\x80\"", "!text string is not valid UTF-8"},
        {"\"\xc1\xbf\"", "!text string is not valid UTF-8"},
        {"\"\xe0\x9f\xbf\"", "!text string is not valid UTF-8"},
        {"\"\xed\xa0\x80\"", "!text string is not valid UTF-8"},
        {"\"\xf0\x8f\xbf\xbf\"", "!text string is not valid UTF-8"},
        {"\"\xf4\x90\x80\x80\"", "!text string is not valid UTF-8"},
        {"\"\xf4\x8f\xbf\xbf\xee\x80\x80\"", "s\xf4\x8f\xbf\xbf\xee\x80\x80 E"},
        {"\"\xe2\x82", "!text string is not valid UTF-8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sw_buf out = {0};
        tokens_of(sw_str_from(rows[i].text), &out);
        if (!sw_str_eq(sw_buf_view(&out), sw_str_from(rows[i].tokens)))
            fail_msg("%s gave %.*s, not %s", rows[i].text, (int)out.len, out.ptr, rows[i].tokens);
        sw_buf_release(&out);
    }
}

static void test_zero_byte(void **state) {
    (void)state;
    struct sw_buf out = {0};
    tokens_of(SW_STR("\"a\\u0000b\""), &out);
    assert_true(sw_str_eq(sw_buf_view(&out), SW_STR("sa\0b E")));
    sw_buf_clear(&out);
    tokens_of(SW_STR("\"a\\\0\""), &out);
    assert_true(sw_str_eq(sw_buf_view(&out), SW_STR("!text bad escape in a string")));
    sw_buf_release(&out);
}

static void test_depth(void **state) {
    (void)state;
    char text[2 * (SW_JSON_READ_DEPTH + 1)];
    for (size_t depth = SW_JSON_READ_DEPTH; depth <= SW_JSON_READ_DEPTH + 1; depth++) {
        struct sw_json_reader reader;
        struct sw_json_token token;
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        sw_json_reader_init(&reader, sw_str_make(text, 2 * depth));
        enum sw_status status = SW_OK;
        for (size_t i = 0; i < 2 * depth && status == SW_OK; i++)
            status = sw_json_read(&reader, &token);
        assert_int_equal(status, depth == SW_JSON_READ_DEPTH ? SW_OK : SW_LIMIT);
    }
}

static void test_skip(void **state) {
    (void)state;
    struct sw_json_reader reader;
    struct sw_json_token token;
    sw_json_reader_init(&reader, SW_STR("{\"a\":{\"b\":[1,{}]},\"c\":2}"));
    assert_int_equal(sw_json_read(&reader, &token), SW_OK);
    assert_int_equal(sw_json_read(&reader, &token), SW_OK);
    assert_int_equal(sw_json_read(&reader, &token), SW_OK);
    assert_int_equal(token.kind, SW_JSON_OBJECT);
    assert_int_equal(sw_json_skip(&reader, &token), SW_OK);
    assert_int_equal(sw_json_read(&reader, &token), SW_OK);
    assert_true(token.kind == SW_JSON_KEY && sw_str_eq(token.text, SW_STR("c")));
    assert_int_equal(sw_json_read(&reader, &token), SW_OK);
    assert_int_equal(sw_json_skip(&reader, &token), SW_OK);
    assert_int_equal(sw_json_read(&reader, &token), SW_OK);
    assert_int_equal(token.kind, SW_JSON_OBJECT_END);
    sw_json_reader_init(&reader, SW_STR("[[1,}]"));
    assert_int_equal(sw_json_read(&reader, &token), SW_OK);
    assert_int_equal(sw_json_skip(&reader, &token), SW_MALFORMED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_zero_byte),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_skip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
