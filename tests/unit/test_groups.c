/* test_groups.c - Keys and their ids: dense, stable, limited, ordered by bytes, and used again when asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/thread.h"
#include "engine/groups.h"

static void ids_are_dense_and_stable(void **state) {
    struct sw_groups groups;
    char key[16];
    assert_int_equal(sw_groups_init(&groups, 5000), SW_OK);
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 5000; i++) {
            uint32_t id;
            int len = snprintf(key, sizeof key, "key %u", i);
            assert_int_equal(sw_groups_intern(&groups, sw_str_make(key, (size_t)len), &id), SW_OK);
            assert_int_equal(id, i);
            assert_true(sw_str_eq(sw_groups_get(&groups, id)->key, sw_str_from(key)));
        }
    assert_int_equal(sw_groups_count(&groups), 5000);
    sw_groups_release(&groups);
}

static void limit_and_find(void **state) {
    struct sw_groups groups;
    uint32_t id = 77;
    assert_int_equal(sw_groups_init(&groups, 2), SW_OK);
    assert_int_equal(sw_groups_intern(&groups, SW_STR(""), &id), SW_OK);
    assert_int_equal(sw_groups_intern(&groups, SW_STR("a"), &id), SW_OK);
    id = 77;
    assert_int_equal(sw_groups_intern(&groups, SW_STR("b"), &id), SW_LIMIT);
    assert_int_equal(id, 77);
    assert_int_equal(sw_groups_find(&groups, SW_STR("b"), &id), SW_NOTFOUND);
    assert_int_equal(sw_groups_find(&groups, SW_STR("a"), &id), SW_OK);
    assert_int_equal(id, 1);
    assert_int_equal(sw_groups_find(&groups, sw_str_make(NULL, 0), &id), SW_OK);
    assert_int_equal(id, 0);
    sw_groups_release(&groups);
}

static void order_is_that_of_bytes(void **state) {
    static const char *const sorted[] = {"",          "\x01",      "A",        "AB", "a",        "aaaaaaaa",
                                         "aaaaaaaaa", "aaaaaaaab", "aaaaaaab", "b",  "\xc3\xa4", "\xff"};
    struct sw_groups groups;
    size_t count = sizeof sorted / sizeof sorted[0];
    assert_int_equal(sw_groups_init(&groups, 100), SW_OK);
    for (size_t i = 0; i < count; i++) {
        uint32_t id;
        assert_int_equal(sw_groups_intern(&groups, sw_str_from(sorted[(i * 5) % count]), &id), SW_OK);
    }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++) {
            uint32_t a, b;
            assert_int_equal(sw_groups_find(&groups, sw_str_from(sorted[i]), &a), SW_OK);
            assert_int_equal(sw_groups_find(&groups, sw_str_from(sorted[k]), &b), SW_OK);
            assert_int_equal(sw_group_before(sw_groups_get(&groups, a), sw_groups_get(&groups, b)), i < k);
        }
    sw_groups_release(&groups);
}

static void ids_used_again(void **state) {
    struct sw_groups groups;
    uint32_t id;
    assert_int_equal(sw_groups_init(&groups, 2), SW_OK);
    assert_int_equal(sw_groups_intern(&groups, SW_STR("old"), &id), SW_OK);
    assert_int_equal(sw_groups_intern(&groups, SW_STR("young"), &id), SW_OK);
    assert_int_equal(sw_groups_reuse(&groups, SW_STR("new"), 100, &id), SW_LIMIT); /* neither was in a window yet */
    struct sw_group *old = &groups.chunks[0]->groups[0];
    sw_groups_saw(&groups, 0, 50);
    sw_groups_saw(&groups, 1, 150);
    assert_int_equal(sw_groups_reuse(&groups, SW_STR("a name that is longer"), 100, &id), SW_OK);
    assert_int_equal(id, 0);
    assert_int_equal(old->generation, 1);
    assert_true(sw_str_eq(old->key, SW_STR("a name that is longer")));
    assert_int_equal(sw_groups_find(&groups, SW_STR("old"), &id), SW_NOTFOUND);
    assert_int_equal(sw_groups_find(&groups, SW_STR("a name that is longer"), &id), SW_OK);
    assert_int_equal(sw_groups_reuse(&groups, SW_STR("next"), 100, &id), SW_LIMIT); /* it has not been seen either */
    sw_groups_saw(&groups, 0, 60);
    assert_int_equal(sw_groups_reuse(&groups, SW_STR("short"), 100, &id), SW_OK);
    assert_true(sw_str_eq(old->key, SW_STR("short")));
    assert_int_equal(sw_groups_count(&groups), 2);
    sw_groups_release(&groups);
}

static struct sw_groups shared;
static _Atomic uint32_t wrong;

static void interner_main(void *context) {
    const unsigned *step = context;
    char key[16];
    for (uint32_t i = 0; i < 3000; i++) {
        uint32_t id;
        int len = snprintf(key, sizeof key, "k%u", i * *step % 3001);
        if (sw_groups_intern(&shared, sw_str_make(key, (size_t)len), &id) != SW_OK ||
            !sw_str_eq(sw_groups_get(&shared, id)->key, sw_str_from(key)))
            atomic_fetch_add(&wrong, 1);
    }
}

static void threads_agree(void **state) {
    unsigned steps[] = {1, 7, 11};
    struct sw_thread threads[3] = {0};
    assert_int_equal(sw_groups_init(&shared, 4000), SW_OK);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(sw_thread_start(&threads[i], "interner", -1, interner_main, &steps[i], NULL), SW_OK);
    for (unsigned i = 0; i < 3; i++)
        sw_thread_join(&threads[i]);
    assert_int_equal(wrong, 0);
    assert_in_range(sw_groups_count(&shared), 3000, 3001);
    sw_groups_release(&shared);
}

static void every_allocation_may_fail(void **state) {
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status != SW_OK; nth++) {
        struct sw_groups groups = {0};
        char key[16];
        uint32_t id;
        assert_true(nth < 10000);
        sw_mem_fail_at(nth);
        status = sw_groups_init(&groups, 3000);
        for (uint32_t i = 0; i < 1100 && status == SW_OK; i++) {
            int len = snprintf(key, sizeof key, "key %u", i);
            status = sw_groups_intern(&groups, sw_str_make(key, (size_t)len), &id);
        }
        sw_mem_fail_at(0);
        if (status == SW_NOMEM && groups.chunks) { /* what failed is as if it had not been asked for */
            uint32_t count = sw_groups_count(&groups);
            assert_int_equal(sw_groups_intern(&groups, sw_str_from(key), &id), SW_OK);
            assert_int_equal(id, count);
        }
        sw_groups_release(&groups);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_dense_and_stable),
        cmocka_unit_test(limit_and_find),
        cmocka_unit_test(order_is_that_of_bytes),
        cmocka_unit_test(ids_used_again),
        cmocka_unit_test(threads_agree),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
