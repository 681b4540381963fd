/* test_mem.c - Allocation: overflow, zeroing, alignment, and failure on demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void sizes_of_zero_are_unique(void **state) {
    void *a = sw_alloc(0);
    void *b = sw_alloc_zero(0);
    void *c = sw_alloc_array(0, 8);
    void *d = sw_alloc_aligned(64, 0);
    assert_true(a && b && c && d);
    assert_true(a != b && a != c && a != d && b != c && b != d && c != d);
    a = sw_realloc(a, 0);
    assert_non_null(a);
    sw_free(a);
    sw_free(b);
    sw_free(c);
    sw_free(d);
    sw_free(NULL);
}

static void products_that_overflow_are_out_of_memory(void **state) {
    size_t half = (size_t)1 << (sizeof(size_t) * 4);
    assert_null(sw_alloc_array(half, half));
    assert_null(sw_alloc_array_zero(SIZE_MAX, 2));
    char *kept = sw_alloc(4);
    assert_non_null(kept);
    memcpy(kept, "kept", 4);
    assert_null(sw_realloc_array(kept, SIZE_MAX / 2, 3));
    assert_memory_equal(kept, "kept", 4);
    kept = sw_realloc_array(kept, 100, 10);
    assert_non_null(kept);
    assert_memory_equal(kept, "kept", 4);
    sw_free(kept);
}

static void zeroed_memory_is_zero(void **state) {
    for (int round = 0; round < 4; round++) {
        unsigned char *bytes = sw_alloc_array_zero(100, 3);
        assert_non_null(bytes);
        for (int i = 0; i < 300; i++) {
            assert_int_equal(bytes[i], 0);
        }
        memset(bytes, 0xff, 300);
        sw_free(bytes);
    }
}

static void alignment_is_kept(void **state) {
    for (size_t align = sizeof(void *); align <= 4096; align *= 2) {
        void *ptr = sw_alloc_aligned(align, 3);
        assert_non_null(ptr);
        assert_int_equal((uintptr_t)ptr % align, 0);
        sw_free(ptr);
    }
}

static void *allocate_in_every_way(int way) {
    switch (way) {
    case 0:
        return sw_alloc(8);
    case 1:
        return sw_alloc_zero(8);
    case 2:
        return sw_alloc_array(2, 4);
    case 3:
        return sw_alloc_array_zero(2, 4);
    case 4:
        return sw_alloc_aligned(64, 8);
    case 5:
        return sw_realloc(NULL, 8);
    default:
        return sw_realloc_array(NULL, 2, 4);
    }
}

static void the_nth_and_all_after_it_fail(void **state) {
    for (int way = 0; way < 7; way++) {
        for (size_t nth = 1; nth <= 5; nth++) {
            sw_mem_fail_at(nth);
            for (size_t i = 1; i <= 8; i++) {
                void *ptr = allocate_in_every_way(way);
                assert_int_equal(ptr != NULL, i < nth);
                sw_free(ptr);
            }
            sw_mem_fail_at(0);
            void *ptr = allocate_in_every_way(way);
            assert_non_null(ptr);
            sw_free(ptr);
        }
    }
}

static void a_failed_realloc_leaves_the_old_memory(void **state) {
    char *text = sw_alloc(8);
    assert_non_null(text);
    memcpy(text, "1234567", 8);
    sw_mem_fail_at(1);
    assert_null(sw_realloc(text, 1000));
    sw_mem_fail_at(0);
    assert_string_equal(text, "1234567");
    sw_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_of_zero_are_unique),      cmocka_unit_test(products_that_overflow_are_out_of_memory),
        cmocka_unit_test(zeroed_memory_is_zero),         cmocka_unit_test(alignment_is_kept),
        cmocka_unit_test(the_nth_and_all_after_it_fail), cmocka_unit_test(a_failed_realloc_leaves_the_old_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
