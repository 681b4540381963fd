/* test_space_saving.c - Space-Saving against exact weights: its bounds on skewed streams, in any tree of merges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/mem.h"
#include "sketch/space_saving.h"

enum { ITEMS = 2000 };

static uint64_t random_state;

static uint64_t random_u64(void) {
    random_state += UINT64_C(0x9e3779b97f4a7c15);
    return sw_hash_u64(random_state);
}

/* Item n; every seventh is too long for the short form. */
static struct sw_str item_name(unsigned n, char out[300]) {
    int len = snprintf(out, 300, n % 7 == 3 ? "a-rather-long-name-of-an-item-number-%u" : "i%u", n);
    return sw_str_make(out, (size_t)len);
}

/* Low numbers are much more frequent: the product of uniform draws. */
static unsigned random_item(unsigned items) {
    uint64_t n = random_u64() % items;
    for (int i = 0; i < 3; i++) {
        n = n * (random_u64() % 1000) / 1000;
    }
    return (unsigned)n;
}

static void add(struct sw_space_saving *sketch, uint64_t *exact, unsigned item, uint64_t weight) {
    char name[300];
    assert_int_equal(sw_space_saving_add(sketch, item_name(item, name), weight), SW_OK);
    exact[item] += weight;
}

/* The promises of the header. */
static void assert_bounds(const struct sw_space_saving *sketch, const uint64_t *exact, uint32_t capacity) {
    static struct sw_space_saving_item top[ITEMS];
    size_t count = sw_space_saving_top(sketch, ITEMS, top);
    uint64_t total = 0, distinct = 0;
    bool is_listed[ITEMS] = {false};
    for (unsigned n = 0; n < ITEMS; n++) {
        total += exact[n];
        distinct += exact[n] > 0;
    }
    assert_int_equal(sketch->total, total);
    assert_int_equal(count, distinct < capacity ? distinct : capacity);
    for (size_t i = 0; i < count; i++) {
        const char *digits = top[i].item.ptr + top[i].item.len;
        while (digits > top[i].item.ptr && digits[-1] >= '0' && digits[-1] <= '9') {
            digits--;
        }
        unsigned n = 0;
        for (; digits < top[i].item.ptr + top[i].item.len; digits++) {
            n = n * 10 + (unsigned)(*digits - '0');
        }
        assert_true(n < ITEMS && !is_listed[n]);
        is_listed[n] = true;
        assert_true(exact[n] <= top[i].count);
        assert_true(top[i].count - top[i].error <= exact[n]);
        assert_true(top[i].error <= total / capacity);
        assert_true(distinct > capacity || (top[i].error == 0 && top[i].count == exact[n]));
        if (i > 0) {
            int order = sw_str_compare(top[i - 1].item, top[i].item);
            assert_true(top[i - 1].count > top[i].count || (top[i - 1].count == top[i].count && order < 0));
        }
    }
    for (unsigned n = 0; n < ITEMS; n++) {
        assert_true(is_listed[n] || exact[n] <= total / capacity);
        assert_true(is_listed[n] || exact[n] <= sketch->floor);
    }
    assert_true(sketch->floor <= total / capacity);
}

static void assert_same(const struct sw_space_saving *a, const struct sw_space_saving *b) {
    static struct sw_space_saving_item left[ITEMS], right[ITEMS];
    size_t count = sw_space_saving_top(a, ITEMS, left);
    assert_int_equal(sw_space_saving_top(b, ITEMS, right), count);
    for (size_t i = 0; i < count; i++) {
        assert_true(sw_str_eq(left[i].item, right[i].item));
        assert_int_equal(left[i].count, right[i].count);
        assert_int_equal(left[i].error, right[i].error);
    }
    assert_int_equal(a->total, b->total);
    assert_int_equal(a->floor, b->floor);
}

static void few_items_are_exact(void **state) {
    static uint64_t exact[ITEMS];
    struct sw_space_saving sketch = {.capacity = 100};
    random_state = 1;
    assert_bounds(&sketch, exact, 100);
    for (int i = 0; i < 20000; i++) {
        add(&sketch, exact, random_item(100), random_u64() % 5);
    }
    assert_bounds(&sketch, exact, 100);
    assert_int_equal(sketch.floor, 0);
    sw_space_saving_release(&sketch);
    assert_int_equal(sketch.capacity, 100);
}

static void many_items_keep_the_bounds(void **state) {
    static const uint32_t capacities[] = {1, 2, 10, 100, 1000};
    for (int i = 0; i < 5; i++) {
        for (int skewed = 0; skewed < 2; skewed++) {
            static uint64_t exact[ITEMS];
            memset(exact, 0, sizeof(exact));
            struct sw_space_saving sketch = {.capacity = capacities[i]};
            random_state = (uint64_t)i;
            for (int n = 0; n < 30000; n++) {
                unsigned item = skewed ? random_item(ITEMS) : (unsigned)(random_u64() % ITEMS);
                add(&sketch, exact, item, 1 + (n % 100 == 0) * (random_u64() % 1000));
                if (n % 6000 == 0) {
                    assert_bounds(&sketch, exact, capacities[i]);
                }
            }
            assert_bounds(&sketch, exact, capacities[i]);
            sw_space_saving_release(&sketch);
        }
    }
}

static void the_default_capacity_is_a_hundred(void **state) {
    static uint64_t exact[ITEMS];
    struct sw_space_saving sketch = {0};
    for (unsigned n = 0; n < 150; n++) {
        add(&sketch, exact, n, 1 + n);
    }
    assert_bounds(&sketch, exact, SW_SPACE_SAVING_CAPACITY);
    sw_space_saving_release(&sketch);
}

static void the_top_is_cut_and_ordered(void **state) {
    struct sw_space_saving sketch = {0};
    static const char *const names[] = {"b", "a", "ab", "", "c"};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(sw_space_saving_add(&sketch, sw_str_from(names[i]), i == 4 ? 9 : 5), SW_OK);
    }
    struct sw_space_saving_item top[5];
    assert_int_equal(sw_space_saving_top(&sketch, 0, top), 0);
    assert_int_equal(sw_space_saving_top(&sketch, 3, top), 3);
    assert_true(sw_str_eq(top[0].item, SW_STR("c")) && top[0].count == 9);
    assert_true(sw_str_eq(top[1].item, SW_STR("")) && top[1].count == 5);
    assert_true(sw_str_eq(top[2].item, SW_STR("a")));
    sw_space_saving_release(&sketch);
}

static void long_items_are_cut_and_binary_ones_kept(void **state) {
    char text[400];
    memset(text, 'x', sizeof(text));
    struct sw_space_saving sketch = {0};
    assert_int_equal(sw_space_saving_add(&sketch, sw_str_make(text, 255), 1), SW_OK);
    assert_int_equal(sw_space_saving_add(&sketch, sw_str_make(text, 256), 1), SW_OK);
    assert_int_equal(sw_space_saving_add(&sketch, sw_str_make(text, 400), 1), SW_OK);
    assert_int_equal(sw_space_saving_add(&sketch, sw_str_make("a\0b", 3), 2), SW_OK);
    assert_int_equal(sw_space_saving_add(&sketch, sw_str_make("a\0c", 3), 1), SW_OK);
    struct sw_space_saving_item top[4];
    assert_int_equal(sw_space_saving_top(&sketch, 4, top), 3);
    assert_int_equal(top[0].item.len, 255);
    assert_int_equal(top[0].count, 3);
    assert_memory_equal(top[1].item.ptr, "a\0b", 3);
    sw_space_saving_release(&sketch);
}

static void weights_stick_at_the_maximum(void **state) {
    struct sw_space_saving sketch = {.capacity = 1};
    assert_int_equal(sw_space_saving_add(&sketch, SW_STR("a"), UINT64_MAX - 1), SW_OK);
    assert_int_equal(sw_space_saving_add(&sketch, SW_STR("a"), 5), SW_OK);
    assert_int_equal(sw_space_saving_add(&sketch, SW_STR("b"), 5), SW_OK);
    struct sw_space_saving_item top;
    assert_int_equal(sw_space_saving_top(&sketch, 1, &top), 1);
    assert_true(top.count == UINT64_MAX && sketch.total == UINT64_MAX);
    sw_space_saving_release(&sketch);
}

/* Streams that fit: any tree of merges gives the state of one sketch. Others: the bounds hold, and a + b is b + a. */
static void merging_keeps_the_promises(void **state) {
    for (uint64_t round = 0; round < 60; round++) {
        static uint64_t exact[ITEMS];
        memset(exact, 0, sizeof(exact));
        uint32_t capacity = round % 2 ? 100 : 40;
        unsigned items = round % 4 < 2 ? capacity : ITEMS;
        struct sw_space_saving parts[4], all = {.capacity = capacity};
        struct sw_space_saving left = {.capacity = capacity}, right = {.capacity = capacity};
        random_state = round;
        for (int i = 0; i < 4; i++) {
            parts[i] = (struct sw_space_saving){.capacity = capacity};
            uint64_t adds = random_u64() % (round % 5 == 0 ? 30 : 4000);
            for (uint64_t n = 0; n < adds; n++) {
                unsigned item = random_item(items);
                add(&parts[i], exact, item, 1 + item % 3);
                char name[300];
                assert_int_equal(sw_space_saving_add(&all, item_name(item, name), 1 + item % 3), SW_OK);
            }
        }
        for (int i = 0; i < 4; i++) {
            assert_int_equal(sw_space_saving_merge(&left, &parts[i]), SW_OK);
        }
        assert_int_equal(sw_space_saving_merge(&right, &parts[1]), SW_OK);
        assert_int_equal(sw_space_saving_merge(&right, &parts[0]), SW_OK);
        assert_int_equal(sw_space_saving_merge(&parts[0], &parts[1]), SW_OK);
        assert_same(&parts[0], &right);
        assert_int_equal(sw_space_saving_merge(&parts[3], &parts[2]), SW_OK);
        assert_int_equal(sw_space_saving_merge(&parts[3], &parts[0]), SW_OK);
        assert_bounds(&left, exact, capacity);
        assert_bounds(&parts[3], exact, capacity);
        assert_bounds(&all, exact, capacity);
        if (items == capacity) {
            assert_same(&left, &all);
            assert_same(&parts[3], &all);
        }
        for (int n = 0; n < 500; n++) { /* a merged sketch goes on */
            add(&left, exact, random_item(ITEMS), 1);
        }
        assert_bounds(&left, exact, capacity);
        for (int i = 0; i < 4; i++) {
            sw_space_saving_release(&parts[i]);
        }
        sw_space_saving_release(&all);
        sw_space_saving_release(&left);
        sw_space_saving_release(&right);
    }
}

static void merging_with_itself_doubles(void **state) {
    static uint64_t exact[ITEMS];
    struct sw_space_saving sketch = {.capacity = 10};
    for (int i = 0; i < 1000; i++) {
        add(&sketch, exact, random_item(10), 1);
    }
    assert_int_equal(sw_space_saving_merge(&sketch, &sketch), SW_OK);
    for (int i = 0; i < 10; i++) {
        exact[i] *= 2;
    }
    assert_bounds(&sketch, exact, 10);
    sw_space_saving_release(&sketch);
}

static void clear_keeps_nothing_but_memory(void **state) {
    struct sw_space_saving reused = {.capacity = 50};
    for (uint64_t round = 0; round < 20; round++) {
        static uint64_t exact[ITEMS];
        memset(exact, 0, sizeof(exact));
        random_state = round;
        for (int i = 0; i < (round % 3 ? 20 : 3000); i++) {
            add(&reused, exact, random_item(ITEMS), 1);
        }
        assert_bounds(&reused, exact, 50);
        sw_space_saving_clear(&reused);
        assert_int_equal(reused.total, 0);
    }
    sw_space_saving_release(&reused);
}

/* The n-th allocation fails: the sketch is as it was, and works on. */
static void running_out_of_memory_changes_nothing(void **state) {
    static uint64_t exact[ITEMS];
    struct sw_space_saving sketch = {.capacity = 60}, from = {.capacity = 60};
    int failures = 0;
    random_state = 3;
    for (int i = 0; i < 4000; i++) {
        char name[300];
        unsigned item = random_item(ITEMS);
        uint64_t total = sketch.total;
        sw_mem_fail_at(1);
        enum sw_status status = sw_space_saving_add(&sketch, item_name(item, name), 1);
        sw_mem_fail_at(0);
        exact[item] += status == SW_OK;
        if (status != SW_OK) {
            failures++;
            assert_int_equal(status, SW_NOMEM);
            assert_int_equal(sketch.total, total);
            add(&sketch, exact, item, 1);
        }
    }
    assert_true(failures > 10);
    assert_bounds(&sketch, exact, 60);
    for (int i = 0; i < 4000; i++) {
        add(&from, exact, random_item(ITEMS), 2);
    }
    enum sw_status status = SW_NOMEM;
    uint64_t before = sketch.total;
    for (size_t nth = 1; status != SW_OK; nth++) {
        assert_int_equal(sketch.total, before);
        sw_mem_fail_at(nth);
        status = sw_space_saving_merge(&sketch, &from);
        sw_mem_fail_at(0);
        assert_true(nth < 200);
    }
    assert_bounds(&sketch, exact, 60);
    sw_space_saving_release(&sketch);
    sw_space_saving_release(&from);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_items_are_exact),
        cmocka_unit_test(many_items_keep_the_bounds),
        cmocka_unit_test(the_default_capacity_is_a_hundred),
        cmocka_unit_test(the_top_is_cut_and_ordered),
        cmocka_unit_test(long_items_are_cut_and_binary_ones_kept),
        cmocka_unit_test(weights_stick_at_the_maximum),
        cmocka_unit_test(merging_keeps_the_promises),
        cmocka_unit_test(merging_with_itself_doubles),
        cmocka_unit_test(clear_keeps_nothing_but_memory),
        cmocka_unit_test(running_out_of_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
