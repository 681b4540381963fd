/* test_json.c - JSON text: commas, escapes, broken UTF-8, depth, and failures that stick. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "guard_page.h"

#define REPLACEMENT "\xef\xbf\xbd"

static void assert_text(struct sw_buf *out, const char *expected) {
    assert_int_equal(sw_buf_append_byte(out, '\0'), SW_OK);
    assert_string_equal(out->ptr, expected);
    sw_buf_release(out);
}

static void write_everything(struct sw_json *json) {
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("empty"));
    sw_json_object_begin(json);
    sw_json_object_end(json);
    sw_json_key(json, SW_STR("list"));
    sw_json_array_begin(json);
    sw_json_array_begin(json);
    sw_json_array_end(json);
    sw_json_i64(json, INT64_MIN);
    sw_json_u64(json, UINT64_MAX);
    sw_json_f64(json, 0.1);
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("a\"b"));
    sw_json_str(json, SW_STR("x\ny"));
    sw_json_key(json, SW_STR(""));
    sw_json_str(json, sw_str_make(NULL, 0));
    sw_json_object_end(json);
    sw_json_bool(json, true);
    sw_json_array_end(json);
    sw_json_key(json, SW_STR("off"));
    sw_json_bool(json, false);
    sw_json_key(json, SW_STR("none"));
    sw_json_null(json);
    sw_json_object_end(json);
}

static const char everything[] = "{\"empty\":{},\"list\":[[],-9223372036854775808,18446744073709551615,0.1,"
                                 "{\"a\\\"b\":\"x\\ny\",\"\":\"\"},true],\"off\":false,\"none\":null}";

static void commas_and_nesting(void **state) {
    struct sw_buf out = {0};
    struct sw_json json;
    sw_json_init(&json, &out);
    write_everything(&json);
    assert_int_equal(sw_json_status(&json), SW_OK);
    assert_text(&out, everything);
}

static void numbers_that_json_lacks_are_null(void **state) {
    static const double values[] = {NAN, INFINITY, -INFINITY, 4100, -0.0, 1.5e300, 1e-7};
    struct sw_buf out = {0};
    struct sw_json json;
    sw_json_init(&json, &out);
    sw_json_array_begin(&json);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        sw_json_f64(&json, values[i]);
    }
    sw_json_array_end(&json);
    assert_text(&out, "[null,null,null,4100,-0,1.5e+300,1e-07]");
}

/* Texts in a row at depth 0, for lines of JSON: the caller separates them. */
static void several_texts(void **state) {
    struct sw_buf out = {0};
    struct sw_json json;
    sw_json_init(&json, &out);
    for (int i = 0; i < 3; i++) {
        sw_json_array_begin(&json);
        sw_json_i64(&json, i);
        sw_json_i64(&json, -i);
        sw_json_array_end(&json);
        assert_int_equal(sw_buf_append_byte(&out, '\n'), SW_OK);
    }
    assert_text(&out, "[0,0]\n[1,-1]\n[2,-2]\n");
}

static void write_string(struct sw_buf *out, struct sw_str text) {
    struct sw_json json;
    sw_json_init(&json, out);
    sw_json_str(&json, guard_place(text));
    assert_int_equal(sw_json_status(&json), SW_OK);
}

static void control_characters_are_escaped(void **state) {
    for (int byte = 0; byte < 0x80; byte++) {
        char text = (char)byte;
        char expected[16];
        static const char *const named[] = {"\\b", "\\t", "\\n", NULL, "\\f", "\\r"};
        if (byte >= 8 && byte <= 13 && named[byte - 8]) {
            snprintf(expected, sizeof(expected), "\"%s\"", named[byte - 8]);
        } else if (byte < 0x20) {
            snprintf(expected, sizeof(expected), "\"\\u%04x\"", (unsigned)byte);
        } else if (byte == '"' || byte == '\\') {
            snprintf(expected, sizeof(expected), "\"\\%c\"", byte);
        } else {
            snprintf(expected, sizeof(expected), "\"%c\"", byte);
        }
        struct sw_buf out = {0};
        write_string(&out, sw_str_make(&text, 1));
        assert_text(&out, expected);
    }
}

/* One byte to escape among plain ones, at every place of the eight that are looked at together. */
static void escapes_are_found_everywhere(void **state) {
    static const char *const odd[][2] = {
        {"\"", "\\\""},   {"\\", "\\\\"}, {"\x1f", "\\u001f"}, {"\xff", REPLACEMENT}, {"\xe2\x82\xac", "\xe2\x82\xac"},
        {"\x7f", "\x7f"}, {"!", "!"}};
    for (size_t o = 0; o < sizeof(odd) / sizeof(odd[0]); o++) {
        for (int before = 0; before < 20; before++) {
            for (int after = 0; after < 20; after++) {
                char text[64];
                char expected[64];
                const char *plain = "abcdefghijklmnopqrstuvwxyz";
                int len = snprintf(text, sizeof(text), "%.*s%s%.*s", before, plain, odd[o][0], after, plain);
                snprintf(expected, sizeof(expected), "\"%.*s%s%.*s\"", before, plain, odd[o][1], after, plain);
                struct sw_buf out = {0};
                write_string(&out, sw_str_make(text, (size_t)len));
                assert_text(&out, expected);
            }
        }
    }
}

static void broken_utf8_is_replaced(void **state) {
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
         "\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
        {"\x80", REPLACEMENT},
        {"a\xbf\x62", "a" REPLACEMENT "b"},
        {"\xc3", REPLACEMENT},
        {"\xc3\x28", REPLACEMENT "("},
        {"\xc0\xaf", REPLACEMENT REPLACEMENT},                 /* overlong */
        {"\xe0\x80\xaf", REPLACEMENT REPLACEMENT REPLACEMENT}, /* overlong */
        {"\xf0\x80\x80\xaf", REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT},
        {"\xed\xa0\x80", REPLACEMENT REPLACEMENT REPLACEMENT},                 /* surrogate */
        {"\xed\x9f\xbf\xee\x80\x80", "\xed\x9f\xbf\xee\x80\x80"},              /* their neighbours */
        {"\xf4\x90\x80\x80", REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT}, /* above U+10FFFF */
        {"\xf5\x80", REPLACEMENT REPLACEMENT},
        {"\xe2\x82", REPLACEMENT}, /* cut off: one for the prefix */
        {"\xe2\x82\x41", REPLACEMENT "A"},
        {"\xf0\x9f\x98", REPLACEMENT},
        {"\xf0\x9f\x98\"", REPLACEMENT "\\\""},
        {"\xf1\x80\x80\xe1\x80\xc2\x62", REPLACEMENT REPLACEMENT REPLACEMENT "b"}, /* Unicode's own example */
        {"\xfe\xff", REPLACEMENT REPLACEMENT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char expected[64];
        snprintf(expected, sizeof(expected), "\"%s\"", rows[i].expected);
        struct sw_buf out = {0};
        write_string(&out, sw_str_from(rows[i].text));
        assert_text(&out, expected);
    }
}

static void depth_ends_at_64(void **state) {
    struct sw_buf out = {0};
    struct sw_json json;
    sw_json_init(&json, &out);
    for (int i = 0; i < 64; i++) {
        sw_json_array_begin(&json);
        sw_json_i64(&json, i);
    }
    assert_int_equal(sw_json_status(&json), SW_OK);
    for (int i = 0; i < 64; i++) {
        sw_json_array_end(&json);
        if (i < 63) {
            sw_json_null(&json); /* every level still knows that it has items */
        }
    }
    assert_int_equal(sw_json_status(&json), SW_OK);
    assert_int_equal(out.len, 2 * 64 + 10 + 2 * 54 + 63 + 63 * 5);
    assert_memory_equal(out.ptr + out.len - 13, "],null],null]", 13);
    sw_buf_clear(&out);

    sw_json_init(&json, &out);
    for (int i = 0; i < 65; i++) {
        sw_json_array_begin(&json);
    }
    assert_int_equal(sw_json_status(&json), SW_LIMIT);
    sw_json_array_end(&json);
    assert_int_equal(out.len, 64);
    assert_int_equal(sw_json_status(&json), SW_LIMIT);
    sw_buf_release(&out);
}

static void misuse_is_told(void **state) {
    for (int way = 0; way < 4; way++) {
        struct sw_buf out = {0};
        struct sw_json json;
        sw_json_init(&json, &out);
        if (way == 0) {
            sw_json_object_end(&json);
        } else if (way == 1) {
            sw_json_key(&json, SW_STR("outside"));
        } else {
            sw_json_object_begin(&json);
            sw_json_key(&json, SW_STR("a"));
            if (way == 2) {
                sw_json_key(&json, SW_STR("b"));
            } else {
                sw_json_object_end(&json);
            }
        }
        assert_int_equal(sw_json_status(&json), SW_INVALID);
        sw_buf_release(&out);
    }
}

static void running_out_of_memory_sticks(void **state) {
    size_t nth = 1;
    for (bool is_done = false; !is_done; nth++) {
        struct sw_buf out = {0};
        struct sw_json json;
        sw_json_init(&json, &out);
        sw_mem_fail_at(nth);
        write_everything(&json);
        sw_mem_fail_at(0);
        is_done = sw_json_status(&json) == SW_OK;
        if (!is_done) {
            assert_int_equal(sw_json_status(&json), SW_NOMEM);
            assert_true(out.len < strlen(everything) && (out.len == 0 || !memcmp(out.ptr, everything, out.len)));
            size_t before = out.len;
            write_everything(&json);
            assert_int_equal(out.len, before);
        }
        sw_buf_release(&out);
    }
    assert_true(nth > 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_and_nesting),
        cmocka_unit_test(numbers_that_json_lacks_are_null),
        cmocka_unit_test(several_texts),
        cmocka_unit_test(control_characters_are_escaped),
        cmocka_unit_test(escapes_are_found_everywhere),
        cmocka_unit_test(broken_utf8_is_replaced),
        cmocka_unit_test(depth_ends_at_64),
        cmocka_unit_test(misuse_is_told),
        cmocka_unit_test(running_out_of_memory_sticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
