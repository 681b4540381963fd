/* test_map.c - The hash map against a plain array, under deletion, and when memory runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"

enum { UNIVERSE = 500, STEPS = 200000 };

struct model {
    bool is_there[UNIVERSE];
    uint64_t value[UNIVERSE];
    size_t count;
};

/* Some keys are binary, one is empty, some are long. */
static struct sw_str key_of(unsigned i, char out[64]) {
    memset(out, (int)(i % 7), 64);
    int len = i == 0 ? 0 : snprintf(out + i % 3, 32, "%u", i);
    return sw_str_make(out, i == 0 ? 0 : (size_t)len + i % 3 + (i % 5 == 0 ? 20 : 0));
}

static void assert_equal_to_model(const struct sw_map *map, const struct model *model) {
    assert_int_equal(map->count, model->count);
    for (unsigned i = 0; i < UNIVERSE; i++) {
        char text[64];
        uint64_t value = 4711;
        assert_int_equal(sw_map_get(map, key_of(i, text), &value), model->is_there[i]);
        assert_true(value == (model->is_there[i] ? model->value[i] : 4711));
    }
}

static void zero_is_empty(void **state) {
    struct sw_map map = {0};
    uint64_t value;
    size_t cursor = 0;
    struct sw_str key;
    assert_false(sw_map_get(&map, SW_STR("a"), &value));
    assert_false(sw_map_remove(&map, SW_STR("a")));
    assert_false(sw_map_next(&map, &cursor, &key, &value));
    sw_map_release(&map);
}

static void keys_are_copied(void **state) {
    struct sw_map map = {0};
    char key[] = "key";
    assert_int_equal(sw_map_put(&map, sw_str_make(key, 3), 1), SW_OK);
    key[0] = 'x';
    uint64_t value = 0;
    assert_true(sw_map_get(&map, SW_STR("key"), &value));
    assert_int_equal(value, 1);
    assert_false(sw_map_get(&map, SW_STR("xey"), &value));
    sw_map_release(&map);
    assert_int_equal(map.cap, 0);
}

static void behaves_like_an_array(void **state) {
    struct sw_map map = {0};
    static struct model model;
    memset(&model, 0, sizeof(model));
    for (uint64_t step = 0; step < STEPS; step++) {
        uint64_t random = sw_hash_u64(step + 1);
        unsigned i = (unsigned)(random % UNIVERSE);
        /* Phases of growth and of shrinking, so that full and nearly empty tables are met. */
        bool is_insertion = (random >> 32) % 100 < (step / 5000 % 2 ? 30 : 70);
        char text[64];
        if (is_insertion) {
            assert_int_equal(sw_map_put(&map, key_of(i, text), random), SW_OK);
            model.count += !model.is_there[i];
            model.is_there[i] = true;
            model.value[i] = random;
        } else {
            assert_int_equal(sw_map_remove(&map, key_of(i, text)), model.is_there[i]);
            model.count -= model.is_there[i];
            model.is_there[i] = false;
        }
        if (step % 1000 == 0) {
            assert_equal_to_model(&map, &model);
        }
    }
    assert_equal_to_model(&map, &model);
    sw_map_release(&map);
}

static void iteration_visits_each_entry_once(void **state) {
    struct sw_map map = {0};
    char text[64];
    for (unsigned i = 0; i < UNIVERSE; i++) {
        assert_int_equal(sw_map_put(&map, key_of(i, text), i), SW_OK);
    }
    bool is_seen[UNIVERSE] = {false};
    size_t cursor = 0;
    size_t visits = 0;
    struct sw_str key;
    uint64_t value;
    while (sw_map_next(&map, &cursor, &key, &value)) {
        assert_true(value < UNIVERSE && !is_seen[value]);
        assert_true(sw_str_eq(key, key_of((unsigned)value, text)));
        is_seen[value] = true;
        visits++;
    }
    assert_int_equal(visits, UNIVERSE);
    assert_false(sw_map_next(&map, &cursor, &key, &value));
    sw_map_release(&map);
}

static size_t longest_probe(const struct sw_map *map) {
    size_t longest = 0;
    for (size_t i = 0; i < map->cap; i++) {
        size_t distance = (i - (size_t)map->slots[i].hash) & (map->cap - 1);
        if (map->slots[i].hash && distance > longest) {
            longest = distance;
        }
    }
    return longest;
}

static void put_numbered(struct sw_map *map, const char *name, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        char text[32];
        int len = snprintf(text, sizeof(text), "%s%u", name, i);
        assert_int_equal(sw_map_put(map, sw_str_make(text, (size_t)len), i), SW_OK);
    }
}

/* With one seed for all maps the first entries of one, all of low hashes, would crowd one end of another's table. */
static void merging_in_table_order_stays_fast(void **state) {
    struct sw_map from = {0};
    struct sw_map into = {0};
    put_numbered(&from, "a", 48000);
    put_numbered(&into, "b", 40000);
    size_t cursor = 0;
    size_t longest = 0;
    struct sw_str key;
    uint64_t value;
    while (sw_map_next(&from, &cursor, &key, &value)) {
        assert_int_equal(sw_map_put(&into, key, value), SW_OK);
        if (into.count % 1000 == 0) {
            size_t now = longest_probe(&into);
            longest = now > longest ? now : longest;
        }
    }
    assert_int_equal(into.count, 88000);
    assert_true(longest < 300); /* about 100 by chance, thousands in a crowd */
    sw_map_release(&from);
    sw_map_release(&into);
}

static void running_out_of_memory_leaves_the_map_as_it_was(void **state) {
    size_t nth = 1;
    for (bool is_done = false; !is_done; nth++) {
        struct sw_map map = {0};
        static struct model model;
        memset(&model, 0, sizeof(model));
        is_done = true;
        sw_mem_fail_at(nth);
        for (unsigned i = 0; i < 60; i++) {
            char text[64];
            enum sw_status status = sw_map_put(&map, key_of(i, text), i + 1);
            if (status != SW_OK) {
                assert_int_equal(status, SW_NOMEM);
                is_done = false;
                break;
            }
            model.is_there[i] = true;
            model.value[i] = i + 1;
            model.count++;
        }
        char text[64];
        /* Overwriting needs no memory. */
        if (model.count > 0) {
            assert_int_equal(sw_map_put(&map, key_of(0, text), 77), SW_OK);
            model.value[0] = 77;
        }
        sw_mem_fail_at(0);
        assert_equal_to_model(&map, &model);
        assert_int_equal(sw_map_put(&map, key_of(400, text), 400), SW_OK);
        assert_true(sw_map_remove(&map, key_of(400, text)));
        sw_map_release(&map);
    }
    assert_true(nth > 60); /* a key each, and the tables */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_empty),
        cmocka_unit_test(keys_are_copied),
        cmocka_unit_test(behaves_like_an_array),
        cmocka_unit_test(iteration_visits_each_entry_once),
        cmocka_unit_test(merging_in_table_order_stays_fast),
        cmocka_unit_test(running_out_of_memory_leaves_the_map_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
