/* test_frame_slots.c - How deep an evaluation stack is for sure, by exception tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guard_page.h"
#include "probe/frame_slots_impl.h"

/* As CPython writes it: start, length, target, depth << 1 | lasti; 6 bits a byte; the first byte of an entry has 0x80. */
static size_t put_varint(unsigned char *at, uint32_t value, unsigned first) {
    unsigned char digits[6];
    size_t count = 0;
    do {
        digits[count++] = value & 0x3f;
        value >>= 6;
    } while (value);
    for (size_t i = 0; i < count; i++)
        at[i] = (unsigned char)(digits[count - 1 - i] | (i + 1 < count ? 0x40 : 0) | (i == 0 ? first : 0));
    return count;
}

static size_t put_entry(unsigned char *at, const uint32_t entry[4]) {
    size_t len = put_varint(at, entry[0], 0x80);
    for (int i = 1; i < 4; i++)
        len += put_varint(at + len, entry[i], 0);
    return len;
}

static const uint32_t entries[][4] = {{4, 6, 90, 1 << 1}, {10, 2, 80, 3 << 1 | 1}, {70, 5000, 6000, 40 << 1}};

static void test_depths(void **state) {
    (void)state;
    unsigned char table[64];
    size_t len = 0;
    for (size_t i = 0; i < 3; i++)
        len += put_entry(table + len, entries[i]);
    static const struct {
        uint32_t unit;
        size_t depth;
    } rows[] = {{0, 0}, {3, 0}, {4, 1}, {9, 1}, {10, 3}, {11, 3}, {12, 0}, {69, 0}, {70, 40}, {5069, 40}, {5070, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(sw_exception_depth(table, len, rows[i].unit), rows[i].depth);
    assert_int_equal(sw_exception_depth(table, 0, 4), 0);
}

/* Tables cut at any byte, and of any bytes, flush against an unreadable page. */
static void test_hostile_tables(void **state) {
    (void)state;
    uint64_t seed = 1;
    for (size_t len = 0; len < 64; len++)
        for (int round = 0; round < 50; round++) {
            unsigned char bytes[64];
            for (size_t i = 0; i < len; i++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                bytes[i] = round == 0 ? 0xff : (unsigned char)(seed >> 56);
            }
            struct sw_str table = guard_place(sw_str_make((const char *)bytes, len));
            (void)sw_exception_depth((const unsigned char *)table.ptr, len, (uint32_t)(seed >> 20));
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depths),
        cmocka_unit_test(test_hostile_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
