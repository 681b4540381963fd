/* test_target_maps.c - The parser of /proc/PID/maps: its lines, hostile text, no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "base/mem.h"
#include "guard_page.h"
#include "probe/target_impl.h"

#define MAPS_TEXT \
    "00400000-00420000 r--p 00000000 fe:01 1311                               /usr/bin/python3.11\n" \
    "00420000-006bf000 r-xp 00020000 fe:01 1311                               /usr/bin/python3.11\n" \
    "009ed000-00a5b000 rw-p 00000000 00:00 0 \n" \
    "7f00a5b000-7f00a6b000 rw-s 00000000 00:05 4242                           /dev/shm/a b (deleted)\n" \
    "7f00b00000-7f00b01000 ---p 00000000 fe:01 99                             /tmp/new\\012line\n" \
    "7ffd2a000000-7ffd2a021000 rw-p 00000000 00:00 0                          [stack]\n" \
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"

static void lines_are_read(void **state) {
    (void)state;
    struct sw_maps maps = {0};
    assert_int_equal(sw_maps_parse(SW_STR(MAPS_TEXT), &maps), SW_OK);
    assert_int_equal(maps.count, 7);
    assert_true(sw_str_eq(maps.items[0].path, SW_STR("/usr/bin/python3.11")));
    assert_true(maps.items[0].is_readable && !maps.items[0].is_executable && !maps.items[0].is_writable);
    assert_ptr_equal(maps.items[0].path.ptr, maps.items[1].path.ptr); /* kept once */
    assert_true(maps.items[1].is_executable);
    assert_int_equal(maps.items[1].offset, 0x20000);
    assert_int_equal(maps.items[1].device, makedev(0xfe, 1));
    assert_int_equal(maps.items[1].inode, 1311);
    assert_int_equal(maps.items[2].path.len, 0);
    assert_true(sw_str_eq(maps.items[3].path, SW_STR("/dev/shm/a b")));
    assert_true(maps.items[3].is_deleted && !maps.items[0].is_deleted);
    assert_true(sw_str_eq(maps.items[4].path, SW_STR("/tmp/new\nline")));
    assert_true(sw_str_eq(maps.items[5].path, SW_STR("[stack]")));
    assert_int_equal(maps.items[6].end, UINT64_C(0xffffffffff601000));
    sw_maps_release(&maps);
    assert_null(maps.items);
}

static void addresses_are_found(void **state) {
    (void)state;
    struct sw_maps maps = {0};
    assert_int_equal(sw_maps_parse(SW_STR(MAPS_TEXT), &maps), SW_OK);
    assert_null(sw_maps_find(&maps, 0));
    assert_null(sw_maps_find(&maps, 0x3fffff));
    assert_ptr_equal(sw_maps_find(&maps, 0x400000), &maps.items[0]);
    assert_ptr_equal(sw_maps_find(&maps, 0x41ffff), &maps.items[0]);
    assert_ptr_equal(sw_maps_find(&maps, 0x420000), &maps.items[1]);
    assert_null(sw_maps_find(&maps, 0x6bf000));
    assert_ptr_equal(sw_maps_find(&maps, UINT64_C(0xffffffffff600fff)), &maps.items[6]);
    assert_null(sw_maps_find(&maps, UINT64_MAX));
    sw_maps_release(&maps);
}

static void what_is_no_mapping_is_skipped(void **state) {
    (void)state;
    static const char *const lines[] = {
        "",
        "\n\n\n",
        "garbage",
        "00400000",
        "00400000-",
        "00400000-00420000",
        "00400000-00420000 ",
        "00400000-00420000 r--p",
        "00400000-00420000 r--p 0",
        "00400000-00420000 r--p 0 fe",
        "00400000-00420000 r--p 0 fe:01",
        "00400000-00420000 r--p 0 fe:01 12",
        "00420000-00400000 r--p 00000000 fe:01 1311 /backwards",
        "00400000-00400000 r--p 00000000 fe:01 1311 /empty",
        "11112222333344445-11112222333344446 r--p 00000000 fe:01 1311 /too-large",
        "x0400000-00420000 r--p 00000000 fe:01 1311 /x",
        "-00420000 r--p 00000000 fe:01 1311 /x",
        "00400000-00420000 r--p 00000000 fe:01 twelve /x",
        "00400000-00420000 r--p  00000000 fe:01 12 /x",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct sw_maps maps = {0};
        assert_int_equal(sw_maps_parse(guard_place(sw_str_from(lines[i])), &maps), SW_OK);
        if (maps.count != 0)
            fail_msg("'%s' was taken", lines[i]);
        sw_maps_release(&maps);
    }
}

/* The map of a process that changes while it is read may tell a range twice. */
static void overlaps_are_dropped(void **state) {
    (void)state;
    struct sw_maps maps = {0};
    assert_int_equal(
        sw_maps_parse(SW_STR("1000-3000 r--p 0 00:00 0 \n2000-4000 r--p 0 00:00 0 \n1000-3000 r--p 0 00:00 0 \n"
                             "3000-5000 r--p 0 00:00 0 \n"),
                      &maps),
        SW_OK);
    assert_int_equal(maps.count, 2);
    assert_int_equal(maps.items[1].start, 0x3000);
    sw_maps_release(&maps);
}

static void texts_cut_anywhere_are_read_as_far_as_they_go(void **state) {
    (void)state;
    for (size_t size = 0; size < sizeof MAPS_TEXT; size++) {
        struct sw_maps maps = {0};
        assert_int_equal(sw_maps_parse(guard_place(sw_str_make(MAPS_TEXT, size)), &maps), SW_OK);
        assert_in_range(maps.count, 0, 7);
        for (size_t i = 1; i < maps.count; i++)
            assert_true(maps.items[i - 1].end <= maps.items[i].start);
        sw_maps_release(&maps);
    }
}

static void garbage_is_read_without_harm(void **state) {
    (void)state;
    static const char alphabet[] = "0123456789abcdef- \n:rwxp/\\012(deleted)";
    char noise[2048];
    srand(7);
    for (int round = 0; round < 2000; round++) {
        size_t size = (size_t)rand() % sizeof noise;
        for (size_t i = 0; i < size; i++)
            noise[i] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
        struct sw_maps maps = {0};
        assert_int_equal(sw_maps_parse(guard_place(sw_str_make(noise, size)), &maps), SW_OK);
        sw_maps_release(&maps);
    }
}

static void lack_of_memory_is_told(void **state) {
    (void)state;
    enum sw_status status = SW_NOMEM;
    size_t nth = 1;
    for (; status == SW_NOMEM && nth < 100; nth++) {
        struct sw_maps maps = {0};
        sw_mem_fail_at(nth);
        status = sw_maps_parse(SW_STR(MAPS_TEXT), &maps);
        sw_mem_fail_at(0);
        assert_int_equal(maps.count, status == SW_OK ? 7 : 0);
        sw_maps_release(&maps);
    }
    assert_int_equal(status, SW_OK);
    assert_true(nth > 2);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(addresses_are_found),
        cmocka_unit_test(what_is_no_mapping_is_skipped),
        cmocka_unit_test(overlaps_are_dropped),
        cmocka_unit_test(texts_cut_anywhere_are_read_as_far_as_they_go),
        cmocka_unit_test(garbage_is_read_without_harm),
        cmocka_unit_test(lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
