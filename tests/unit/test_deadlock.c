/* test_deadlock.c - Cycles of those who wait for each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "probe/deadlock.h"

#define MAX 16

struct row {
    const char *what;
    struct sw_wait_edge edges[MAX];
    size_t edge_count;
    uint32_t members[MAX];
    size_t ends[MAX];
    size_t count;
};

static const struct row rows[] = {
    {"nobody waits", {{0, 0}}, 0, {0}, {0}, 0},
    {"a chain", {{0, 1}, {1, 2}}, 2, {0}, {0}, 0},
    {"two", {{0, 1}, {1, 0}}, 2, {0, 1}, {2}, 1},
    {"itself", {{3, 3}}, 1, {3}, {1}, 1},
    {"three, met in the middle", {{5, 4}, {4, 2}, {2, 5}, {0, 4}}, 4, {2, 5, 4}, {3}, 1},
    {"two circles and who waits for one", {{0, 1}, {1, 0}, {2, 3}, {3, 2}, {4, 3}}, 5, {0, 1, 2, 3}, {2, 4}, 2},
    {"one waits for several", {{0, 1}, {0, 2}, {2, 3}, {3, 0}, {1, 4}}, 5, {0, 2, 3}, {3}, 1},
    {"circles that share a member are one", {{0, 1}, {1, 0}, {1, 2}, {2, 1}}, 4, {0, 1}, {2}, 1},
    {"many ways to the same", {{0, 1}, {0, 1}, {1, 2}, {1, 2}}, 4, {0}, {0}, 0},
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_cycles cycles = {0};
        print_message("%s\n", rows[i].what);
        assert_int_equal(sw_cycles_find(rows[i].edges, rows[i].edge_count, MAX, &cycles), SW_OK);
        assert_int_equal(cycles.count, rows[i].count);
        for (size_t j = 0; j < cycles.count; j++)
            assert_int_equal(cycles.ends[j], rows[i].ends[j]);
        for (size_t j = 0; cycles.count && j < cycles.ends[cycles.count - 1]; j++)
            assert_int_equal(cycles.members[j], rows[i].members[j]);
        sw_cycles_release(&cycles);
    }
}

static void test_refuses_unknown_members(void **state) {
    (void)state;
    struct sw_cycles cycles = {0};
    struct sw_wait_edge edge = {0, 3};
    assert_int_equal(sw_cycles_find(&edge, 1, 3, &cycles), SW_INVALID);
    assert_null(cycles.members);
}

/* One circle of all, and a path as deep as there are members. */
static void test_long_circle(void **state) {
    (void)state;
    enum { COUNT = 50000 };
    struct sw_cycles cycles = {0};
    struct sw_wait_edge *edges = sw_alloc_array(COUNT, sizeof *edges);
    assert_non_null(edges);
    for (uint32_t i = 0; i < COUNT; i++)
        edges[i] = (struct sw_wait_edge){i, (i + 1) % COUNT};
    assert_int_equal(sw_cycles_find(edges, COUNT, COUNT, &cycles), SW_OK);
    assert_int_equal(cycles.count, 1);
    assert_int_equal(cycles.ends[0], COUNT);
    sw_cycles_release(&cycles);
    sw_free(edges);
}

static void test_out_of_memory(void **state) {
    (void)state;
    const struct row *row = &rows[5];
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status == SW_NOMEM; nth++) {
        struct sw_cycles cycles = {0};
        sw_mem_fail_at(nth);
        status = sw_cycles_find(row->edges, row->edge_count, MAX, &cycles);
        sw_mem_fail_at(0);
        assert_true(nth < 100);
        assert_true(status == SW_OK || (status == SW_NOMEM && !cycles.members));
        sw_cycles_release(&cycles);
    }
    assert_int_equal(status, SW_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_refuses_unknown_members),
        cmocka_unit_test(test_long_circle),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
