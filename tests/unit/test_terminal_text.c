/* test_terminal_text.c - Text for a terminal: cells, what is not printable, clipping. */
#include "cli/terminal_text.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <cmocka.h>

#define KANJI "\xe6\xbc\xa2\xe5\xad\x97" /* two characters, four cells */
#define E_ACUTE "e\xcc\x81"              /* e and a combining accent, one cell */

static void cells_are_counted(void **unused) {
    assert_int_equal(sw_text_cells(SW_STR("")), 0);
    assert_int_equal(sw_text_cells(SW_STR("abc")), 3);
    assert_int_equal(sw_text_cells(SW_STR(KANJI)), 4);
    assert_int_equal(sw_text_cells(SW_STR("caf\xc3\xa9")), 4);
    assert_int_equal(sw_text_cells(SW_STR("caf" E_ACUTE)), 4);
    assert_int_equal(sw_text_cells(SW_STR("\xf0\x9f\x90\x8d")), 2); /* a snake */
}

static void what_is_not_printable_is_replaced(void **unused) {
    static const struct {
        struct sw_str text;
        bool is_utf8;
        const char *clean;
    } cases[] = {
        {{"plain", 5}, false, "plain"},
        {{"a\x1b[31m\r\n\t\x7f", 10}, true, "a?[31m????"},
        {{"\0x", 2}, true, "?x"},
        {{"\xc2\x9b"
          "1m",
          4},
         true,
         "?1m"}, /* CSI as one C1 character */
        {{"\xe2\x80\xae"
          "evil",
          7},
         true,
         "?evil"},                                                        /* right to left */
        {{"\xff\xc3(\xe6\xbc", 5}, true, "?\?(?\?"},                      /* broken */
        {{"\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80", 9}, true, "?????????"}, /* overlong, surrogate, too large */
        {{KANJI, 6}, true, KANJI},
        {{KANJI, 6}, false, "??"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sw_buf out = {0};
        assert_int_equal(sw_text_clean(&out, cases[i].text, cases[i].is_utf8), SW_OK);
        assert_true(sw_str_eq(sw_buf_view(&out), sw_str_from(cases[i].clean)));
        sw_buf_release(&out);
    }
}

static void fields_fit(void **unused) {
    static const struct {
        const char *text;
        struct sw_text_field field;
        const char *shown;
    } cases[] = {
        {"abc", {.cells = 5}, "abc  "},
        {"abc", {.cells = 5, .align = SW_TEXT_RIGHT}, "  abc"},
        {"abcdefgh", {.cells = 6}, "abcd.."},
        {"abcdefgh", {.cells = 6, .clip = SW_TEXT_CLIP_START}, "..efgh"},
        {"abcdefgh", {.cells = 7, .clip = SW_TEXT_CLIP_MIDDLE}, "abc..gh"},
        {"abcdefgh", {.cells = 2}, "ab"},
        {"abcdefgh", {.cells = 1, .clip = SW_TEXT_CLIP_START}, "a"},
        {"abcdefgh", {.cells = 0}, ""},
        {KANJI, {.cells = 4, .is_utf8 = true}, KANJI},
        {KANJI, {.cells = 3, .is_utf8 = true}, ".. "}, /* half a character is none */
        {KANJI KANJI, {.cells = 6, .is_utf8 = true}, KANJI ".."},
        {KANJI KANJI, {.cells = 5, .clip = SW_TEXT_CLIP_START, .is_utf8 = true}, "..\xe5\xad\x97 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sw_buf out = {0};
        assert_int_equal(sw_text_put(&out, &cases[i].field, sw_str_from(cases[i].text)), SW_OK);
        if (!sw_str_eq(sw_buf_view(&out), sw_str_from(cases[i].shown)))
            print_message("%zu: '%.*s' is not '%s'\n", i, SW_STR_ARG(sw_buf_view(&out)), cases[i].shown);
        assert_true(sw_str_eq(sw_buf_view(&out), sw_str_from(cases[i].shown)));
        sw_buf_release(&out);
    }
}

/* Any bytes in any field: exactly as many cells as were asked for, and nothing that moves the cursor. */
static void all_bytes_fit(void **unused) {
    uint32_t random = 12345;
    for (int round = 0; round < 20000; round++) {
        char bytes[24];
        for (size_t i = 0; i < sizeof bytes; i++) {
            random = random * 1664525 + 1013904223;
            bytes[i] = (char)(random >> 24);
        }
        struct sw_text_field field = {.cells = random % 30,
                                      .align = (enum sw_text_align)(random >> 8 & 1),
                                      .clip = (enum sw_text_clip)((random >> 16) % 3),
                                      .is_utf8 = random >> 9 & 1};
        char *exact = malloc(sizeof bytes); /* flush against its end, where a sanitizer watches */
        assert_non_null(exact);
        size_t len = (random >> 10) % (sizeof bytes + 1);
        char *at = exact + sizeof bytes - len;
        memcpy(at, bytes, len);
        struct sw_buf out = {0};
        assert_int_equal(sw_text_put(&out, &field, sw_str_make(at, len)), SW_OK);
        assert_int_equal(sw_text_cells(sw_buf_view(&out)), field.cells);
        for (size_t i = 0; i < out.len; i++)
            assert_true((unsigned char)out.ptr[i] >= 0x20 && out.ptr[i] != 0x7f);
        sw_buf_release(&out);
        free(exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_are_counted),
        cmocka_unit_test(what_is_not_printable_is_replaced),
        cmocka_unit_test(fields_fit),
        cmocka_unit_test(all_bytes_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
