/* test_arena.c - The arena: alignment, stable addresses, reset, and memory running out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"

enum { PIECES = 3000 };

static size_t size_of(int i) {
    return (size_t)(i * 7919 % 1500) + (i % 97 == 0 ? 70000 : 0);
}

static void pieces_do_not_overlap(void **state) {
    struct sw_arena arena = {0};
    static unsigned char *piece[PIECES];
    size_t wanted = 0;
    for (int i = 0; i < PIECES; i++) {
        piece[i] = sw_arena_alloc(&arena, size_of(i));
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % 16, 0);
        memset(piece[i], i % 256, size_of(i));
        wanted += size_of(i);
    }
    for (int i = 0; i < PIECES; i++) {
        for (size_t j = 0; j < size_of(i); j++) {
            assert_int_equal(piece[i][j], i % 256);
        }
    }
    assert_true(arena.total_bytes >= wanted);
    assert_true(arena.total_bytes < wanted + wanted / 4);
    sw_arena_release(&arena);
    assert_null(arena.head);
    assert_int_equal(arena.total_bytes, 0);
}

static void empty_pieces_are_distinct(void **state) {
    struct sw_arena arena = {0};
    void *first = sw_arena_alloc(&arena, 0);
    void *second = sw_arena_alloc(&arena, 0);
    assert_true(first && second && first != second);
    sw_arena_release(&arena);
}

static void copies_are_terminated(void **state) {
    struct sw_arena arena = {0};
    struct sw_str text = sw_arena_copy(&arena, SW_STR("k\0ey"));
    assert_int_equal(text.len, 4);
    assert_memory_equal(text.ptr, "k\0ey", 5);
    struct sw_str empty = sw_arena_copy(&arena, sw_str_make(NULL, 0));
    assert_string_equal(empty.ptr, "");
    sw_arena_release(&arena);
}

static void reset_keeps_one_block(void **state) {
    struct sw_arena arena = {0};
    sw_arena_reset(&arena);
    assert_null(arena.head);
    for (int i = 0; i < 1000; i++) {
        assert_non_null(sw_arena_alloc(&arena, 500));
    }
    size_t full = arena.total_bytes;
    sw_arena_reset(&arena);
    size_t kept = arena.total_bytes;
    assert_true(kept > 0 && kept < full);
    /* The kept block is used again: the memory stays what it is however often this happens. */
    for (int round = 0; round < 1000; round++) {
        memset(sw_arena_alloc(&arena, 1000), round & 127, 1000);
        assert_int_equal(arena.total_bytes, kept);
        sw_arena_reset(&arena);
        assert_int_equal(arena.total_bytes, kept);
    }
    sw_arena_release(&arena);
}

static void impossible_sizes_are_out_of_memory(void **state) {
    struct sw_arena arena = {0};
    assert_null(sw_arena_alloc(&arena, SIZE_MAX));
    assert_null(sw_arena_alloc(&arena, SIZE_MAX - 15));
    assert_null(sw_arena_alloc(&arena, SIZE_MAX / 2));
    assert_null(sw_arena_copy(&arena, sw_str_make("", SIZE_MAX)).ptr);
    assert_non_null(sw_arena_alloc(&arena, 16));
    assert_null(sw_arena_alloc(&arena, SIZE_MAX / 2));
    sw_arena_release(&arena);
}

static void running_out_of_memory_leaves_the_rest_usable(void **state) {
    size_t nth = 1;
    for (bool is_done = false; !is_done; nth++) {
        struct sw_arena arena = {0};
        char *first = NULL;
        is_done = true;
        sw_mem_fail_at(nth);
        for (int i = 0; i < 300; i++) {
            char *piece = sw_arena_alloc(&arena, size_of(i));
            if (!piece) {
                is_done = false;
                break;
            }
            memset(piece, 'x', size_of(i));
            first = first ? first : piece;
        }
        sw_mem_fail_at(0);
        assert_true(!first || *first == 'x');
        assert_int_equal(sw_arena_copy(&arena, SW_STR("after")).len, 5);
        sw_arena_release(&arena);
    }
    assert_true(nth > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_do_not_overlap),
        cmocka_unit_test(empty_pieces_are_distinct),
        cmocka_unit_test(copies_are_terminated),
        cmocka_unit_test(reset_keeps_one_block),
        cmocka_unit_test(impossible_sizes_are_out_of_memory),
        cmocka_unit_test(running_out_of_memory_leaves_the_rest_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
