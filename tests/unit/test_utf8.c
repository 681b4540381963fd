/* test_utf8.c - UTF-8 validation against a decoder written from the definition, whole and split. */
#include "net/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "guard_page.h"

static size_t encode(uint32_t code, unsigned char out[4]) {
    if (code < 0x80) {
        out[0] = (unsigned char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (unsigned char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (unsigned char)((0xf00 >> len) | code);
    return len;
}

/* Which three-byte strings are valid, by encoding every character: bit per string of exactly that length. */
static unsigned char valid3[(1u << 24) / 8];

static void mark(const unsigned char *bytes) {
    uint32_t at = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
    valid3[at / 8] |= (unsigned char)(1 << at % 8);
}

static void mark_valid_strings(void) {
    unsigned char a[4];
    unsigned char b[4];
    for (uint32_t code = 0; code < 0x10000; code++) {
        bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
        if (encode(code, a) == 3 && !is_surrogate) {
            mark(a);
        }
    }
    for (uint32_t first = 0; first < 0x80; first++) {
        for (uint32_t second = 0; second < 0x800; second++) {
            unsigned char text[3];
            size_t len = encode(second, b);
            if (len == 2) {
                text[0] = (unsigned char)first;
                memcpy(text + 1, b, 2);
                mark(text);
                memcpy(text, b, 2);
                text[2] = (unsigned char)first;
                mark(text);
            } else {
                for (unsigned third = 0; third < 0x80; third++) {
                    mark((unsigned char[]){(unsigned char)first, (unsigned char)second, (unsigned char)third});
                }
            }
        }
    }
}

static void test_all_strings_of_three_bytes(void **state) {
    mark_valid_strings();
    for (uint32_t at = 0; at < 1u << 24; at++) {
        char text[3] = {(char)(at >> 16), (char)(at >> 8), (char)at};
        bool expected = valid3[at / 8] >> (at % 8) & 1;
        if (sw_utf8_is_valid(sw_str_make(text, 3)) != expected) {
            fail_msg("%06x should be %s", at, expected ? "valid" : "invalid");
        }
    }
}

static void test_all_four_byte_leads(void **state) {
    for (uint32_t lead = 0xf0; lead <= 0xff; lead++) {
        for (uint32_t second = 0; second < 256; second++) {
            char text[4] = {(char)lead, (char)second, '\x80', '\xbf'};
            uint32_t code = (lead & 7) << 18 | (second & 0x3f) << 12 | 0x3f;
            bool expected = lead <= 0xf4 && (second & 0xc0) == 0x80 && code >= 0x10000 && code <= 0x10ffff;
            assert_int_equal(sw_utf8_is_valid(sw_str_make(text, 4)), expected);
            text[2] = 'a';
            assert_false(sw_utf8_is_valid(sw_str_make(text, 4)));
            text[2] = '\xbf';
            text[3] = '\xc0';
            assert_false(sw_utf8_is_valid(sw_str_make(text, 4)));
        }
    }
}

#define TEXT(text, good) \
    { {(text), sizeof(text) - 1}, (good) }

static void test_fails_at_the_first_hopeless_byte(void **state) {
    static const struct {
        struct sw_str text;
        size_t good; /* bytes that are still the beginning of valid text */
    } rows[] = {
        TEXT("abcdefgh\xff", 8), TEXT("\xc0", 0),          TEXT("\xc1", 0),          TEXT("\xe0\x9f", 1),
        TEXT("\xed\xa0", 1),     TEXT("\xf0\x8f", 1),      TEXT("\xf4\x90", 1),      TEXT("\xf5", 0),
        TEXT("\x80", 0),         TEXT("\xf4\x8f\xbf.", 3), TEXT("\xc3\xa4\xc3.", 3),
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sw_utf8 utf8 = {0};
        assert_true(sw_utf8_feed(&utf8, sw_str_make(rows[i].text.ptr, rows[i].good)));
        assert_false(sw_utf8_feed(&utf8, sw_str_make(rows[i].text.ptr + rows[i].good, 1)));
    }
}

static void test_splits_and_page_ends(void **state) {
    static const char text[] = "k\xc3\xb6nnte \xe2\x82\xac \xf0\x9f\x90\x8d und viel ASCII dahinter \xf4\x8f\xbf\xbf";
    for (size_t len = 0; len < sizeof(text); len++) {
        struct sw_utf8 whole = {0};
        assert_true(sw_utf8_feed(&whole, guard_place(sw_str_make(text, len))));
        for (size_t cut = 0; cut <= len; cut++) {
            struct sw_utf8 utf8 = {0};
            assert_true(sw_utf8_feed(&utf8, guard_place(sw_str_make(text, cut))));
            assert_true(sw_utf8_feed(&utf8, guard_place(sw_str_make(text + cut, len - cut))));
            assert_int_equal(sw_utf8_is_complete(&utf8), sw_utf8_is_complete(&whole));
        }
    }
    assert_true(sw_utf8_is_valid(sw_str_make(NULL, 0)));
    assert_false(sw_utf8_is_valid(SW_STR("\xe2\x82")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_strings_of_three_bytes),
        cmocka_unit_test(test_all_four_byte_leads),
        cmocka_unit_test(test_fails_at_the_first_hopeless_byte),
        cmocka_unit_test(test_splits_and_page_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
