/* test_url.c - Percent decoding, query parameters, plain paths. */
#include "net/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guard_page.h"

struct decode_row {
    const char *text;
    const char *path; /* NULL: malformed */
    const char *form;
};

static void test_decode(void **unused) {
    static const struct decode_row rows[] = {
        {"", "", ""},
        {"abc", "abc", "abc"},
        {"a%20b", "a b", "a b"},
        {"a+b", "a+b", "a b"},
        {"%41%7a", "Az", "Az"},
        {"%e2%82%AC", "\xe2\x82\xac", "\xe2\x82\xac"},
        {"%25", "%", "%"},
        {"%", NULL, NULL},
        {"%4", NULL, NULL},
        {"%4g", NULL, NULL},
        {"%g4", NULL, NULL},
        {"a%00b", NULL, NULL},
        {"%2525", "%25", "%25"},
        {"%-1", NULL, NULL},
        {"% 1", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int is_form = 0; is_form < 2; is_form++) {
            struct sw_str text = guard_place(sw_str_from(rows[i].text)); /* flush against an unreadable page */
            const char *want = is_form ? rows[i].form : rows[i].path;
            char *out = malloc(text.len + 1);
            size_t len = 0;
            enum sw_status status = is_form ? sw_url_decode_form(text, out, &len) : sw_url_decode(text, out, &len);
            assert_int_equal(status, want ? SW_OK : SW_MALFORMED);
            if (want) {
                assert_true(sw_str_eq(sw_str_make(out, len), sw_str_from(want)));
            }
            free(out);
        }
    }
}

static void test_encode_round_trip(void **unused) {
    char every[255];
    for (size_t i = 0; i < sizeof every; i++) {
        every[i] = (char)(i + 1);
    }
    struct sw_buf text = {0};
    assert_int_equal(sw_url_encode(&text, sw_str_make(every, sizeof every)), SW_OK);
    char back[sizeof every * 3];
    size_t len = 0;
    assert_int_equal(sw_url_decode(sw_buf_view(&text), back, &len), SW_OK);
    assert_int_equal(len, sizeof every);
    assert_memory_equal(back, every, len);
    sw_buf_clear(&text);
    assert_int_equal(sw_url_encode(&text, SW_STR("a b/~")), SW_OK);
    assert_true(sw_str_eq(sw_buf_view(&text), SW_STR("a%20b%2F~")));
    sw_buf_release(&text);
}

static void expect(struct sw_str query, const char *name, enum sw_status status, const char *value) {
    struct sw_buf out = {0};
    assert_int_equal(sw_url_query_get(query, sw_str_from(name), &out), status);
    if (status == SW_OK) {
        assert_true(sw_str_eq(sw_buf_view(&out), sw_str_from(value)));
    }
    sw_buf_release(&out);
}

static void test_query(void **unused) {
    struct sw_str query = guard_place(SW_STR("a=1&b=x+y%21&&c&d=&e=1=2&a=2&%66%6f=hex&bad=%zz&=anon"));
    expect(query, "a", SW_OK, "1");
    expect(query, "b", SW_OK, "x y!");
    expect(query, "c", SW_OK, "");
    expect(query, "d", SW_OK, "");
    expect(query, "e", SW_OK, "1=2");
    expect(query, "fo", SW_OK, "hex");
    expect(query, "f", SW_NOTFOUND, NULL);
    expect(query, "foo", SW_NOTFOUND, NULL);
    expect(query, "bad", SW_MALFORMED, NULL);
    expect(query, "zz", SW_NOTFOUND, NULL);
    expect((struct sw_str){0}, "a", SW_NOTFOUND, NULL);
    struct sw_str rest = query, name, value;
    size_t count = 0;
    while (sw_url_query_next(&rest, &name, &value)) {
        count++;
    }
    assert_int_equal(count, 9);
}

static void test_plain_paths(void **unused) {
    static const char *const plain[] = {"/", "/a", "/a/", "/a/b.c", "/...", "/a/.hidden", "/a/..b"};
    static const char *const tricky[] = {"",   "a",    "/..", "/../a", "/a/..", "/a/../b",
                                         "/.", "/./a", "//",  "//a",   "/a//b", "/a\\b"};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        assert_true(sw_url_path_is_plain(sw_str_from(plain[i])));
    }
    for (size_t i = 0; i < sizeof tricky / sizeof tricky[0]; i++) {
        assert_false(sw_url_path_is_plain(sw_str_from(tricky[i])));
    }
    assert_false(sw_url_path_is_plain(SW_STR("/a\0b")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_encode_round_trip),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_plain_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
