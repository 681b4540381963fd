/* test_top_table.c - The table of `sidewinder top`: shares of a window over a growing profile, recursion, order. */
#include "cli/top_table.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>
#include <cmocka.h>

#define MS INT64_C(1000000)

/* A stack as "a b c", root first, each at line 1, or "a:7". */
static void sample(struct sw_profile *profile, const char *stack, int64_t weight_ns) {
    struct sw_str rest = sw_str_from(stack);
    uint32_t node = SW_PROFILE_ROOT, frame, track;
    while (rest.ptr) {
        struct sw_str line = sw_str_cut(&rest, ' ');
        struct sw_str name = sw_str_cut(&line, ':');
        int64_t number = 1;
        if (line.ptr)
            assert_int_equal(sw_str_to_i64(line, &number), SW_OK);
        struct sw_profile_frame wanted = {.name = name, .file = SW_STR("app.py"), .line = (int32_t)number};
        assert_int_equal(sw_profile_add_frame(profile, &wanted, &frame), SW_OK);
        assert_int_equal(sw_profile_add_node(profile, node, frame, &node), SW_OK);
    }
    struct sw_profile_track wanted = {.pid = 1, .tid = 2};
    assert_int_equal(sw_profile_add_track(profile, &wanted, &track), SW_OK);
    struct sw_profile_sample added = {.weight_ns = weight_ns, .track = track, .node = node};
    assert_int_equal(sw_profile_add_sample(profile, &added), SW_OK);
}

static const struct sw_top_row *row_named(const struct sw_top_table *table, const char *name, int32_t line) {
    for (size_t i = 0; i < table->row_count; i++)
        if (sw_str_eq(table->rows[i].name, sw_str_from(name)) && (!line || table->rows[i].line == line))
            return &table->rows[i];
    return NULL;
}

static void expect(const struct sw_top_table *table, const char *name, double self, double total, uint64_t samples) {
    const struct sw_top_row *row = row_named(table, name, 0);
    assert_non_null(row);
    assert_true(row->self > self - 1e-9 && row->self < self + 1e-9);
    assert_true(row->total > total - 1e-9 && row->total < total + 1e-9);
    assert_int_equal(row->samples, samples);
}

static void shares_are_of_the_window(void **unused) {
    struct sw_profile profile = {0};
    struct sw_top_table table = {0};
    sample(&profile, "main old", 500 * MS);
    assert_int_equal(sw_top_table_begin(&table, &profile, 1000 * MS), SW_OK);
    sample(&profile, "main work", 60 * MS);
    sample(&profile, "main work leaf", 20 * MS);
    assert_int_equal(sw_top_table_update(&table, &profile, 1100 * MS), SW_OK);
    expect(&table, "main", 0, 80, 2);
    expect(&table, "work", 60, 80, 2);
    expect(&table, "leaf", 20, 20, 1);
    assert_null(row_named(&table, "old", 0)); /* it was there before */
    for (int i = 0; i < SW_TOP_SLOTS - 1; i++)
        assert_int_equal(sw_top_table_update(&table, &profile, (1200 + i * 100) * MS), SW_OK);
    assert_int_equal(sw_top_table_window_ns(&table), 1000 * MS);
    expect(&table, "main", 0, 8, 2);
    sample(&profile, "main work", 100 * MS);
    assert_int_equal(sw_top_table_update(&table, &profile, 2100 * MS), SW_OK);
    expect(&table, "main", 0, 10, 3); /* what was first has left the window; the samples remain */
    expect(&table, "leaf", 0, 0, 1);
    sw_top_table_release(&table);
    sw_profile_release(&profile);
}

static void recursion_counts_once(void **unused) {
    struct sw_profile profile = {0};
    struct sw_top_table table = {0};
    assert_int_equal(sw_top_table_begin(&table, &profile, 0), SW_OK);
    sample(&profile, "main f f g f", 50 * MS);
    assert_int_equal(sw_top_table_update(&table, &profile, 100 * MS), SW_OK);
    expect(&table, "f", 50, 50, 1);
    expect(&table, "g", 0, 50, 1);
    assert_int_equal(table.leaf_count, 1);
    assert_int_equal(table.leaves[0].tid, 2);
    assert_true(sw_str_eq(table.rows[table.leaves[0].row].name, SW_STR("f")));
    sw_top_table_release(&table);
    sw_profile_release(&profile);
}

static void lines_are_told_apart_on_request(void **unused) {
    struct sw_profile profile = {0};
    struct sw_top_table functions = {0}, lines = {.by_line = true};
    assert_int_equal(sw_top_table_begin(&functions, &profile, 0), SW_OK);
    assert_int_equal(sw_top_table_begin(&lines, &profile, 0), SW_OK);
    sample(&profile, "main:3 f:7", 10 * MS);
    for (int i = 0; i < 3; i++)
        sample(&profile, "main:3 f:8", 10 * MS);
    assert_int_equal(sw_top_table_update(&functions, &profile, 100 * MS), SW_OK);
    assert_int_equal(sw_top_table_update(&lines, &profile, 100 * MS), SW_OK);
    assert_int_equal(functions.row_count, 2);
    assert_int_equal(row_named(&functions, "f", 0)->line, 8); /* seen at most */
    assert_int_equal(lines.row_count, 3);
    assert_int_equal(row_named(&lines, "f", 7)->samples, 1);
    assert_int_equal(row_named(&lines, "f", 8)->samples, 3);
    sw_top_table_release(&functions);
    sw_top_table_release(&lines);
    sw_profile_release(&profile);
}

/* The profile is taken away and begins anew, with other numbers for the same functions. */
static void another_profile_goes_on(void **unused) {
    struct sw_profile first = {0}, second = {0};
    struct sw_top_table table = {0};
    assert_int_equal(sw_top_table_begin(&table, &first, 0), SW_OK);
    sample(&first, "main a", 10 * MS);
    sample(&first, "main b", 10 * MS);
    assert_int_equal(sw_top_table_update(&table, &first, 100 * MS), SW_OK);
    sw_profile_release(&first);
    sw_top_table_restart(&table);
    sample(&second, "x b", 30 * MS);
    assert_int_equal(sw_top_table_update(&table, &second, 200 * MS), SW_OK);
    expect(&table, "a", 5, 5, 1);
    expect(&table, "b", 20, 20, 2);
    expect(&table, "x", 0, 15, 1);
    sw_top_table_release(&table);
    sw_profile_release(&second);
}

static void rows_are_ordered_and_filtered(void **unused) {
    static const struct {
        enum sw_top_sort sort;
        const char *filter, *names;
    } cases[] = {
        {SW_TOP_SELF, "", "hot often main"},       {SW_TOP_TOTAL, "", "main hot often"},
        {SW_TOP_SAMPLES, "", "main often hot"},    {SW_TOP_SELF, "OT", "hot"},
        {SW_TOP_SELF, "app.PY", "hot often main"}, {SW_TOP_SELF, "nothing", ""},
    };
    struct sw_profile profile = {0};
    struct sw_top_table table = {0};
    assert_int_equal(sw_top_table_begin(&table, &profile, 0), SW_OK);
    sample(&profile, "main hot", 50 * MS);
    for (int i = 0; i < 4; i++)
        sample(&profile, "main often", 5 * MS);
    assert_int_equal(sw_top_table_update(&table, &profile, 100 * MS), SW_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t order[3];
        char names[64] = "";
        size_t len = 0, count = sw_top_table_order(&table, cases[i].sort, sw_str_from(cases[i].filter), order);
        for (size_t j = 0; j < count; j++)
            len += (size_t)snprintf(names + len, sizeof names - len, "%s%.*s", j ? " " : "",
                                    SW_STR_ARG(table.rows[order[j]].name));
        assert_string_equal(names, cases[i].names);
    }
    sw_top_table_release(&table);
    sw_profile_release(&profile);
}

static void out_of_memory_is_told(void **unused) {
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status == SW_NOMEM; nth++) {
        struct sw_profile profile = {0};
        struct sw_top_table table = {0};
        sample(&profile, "main a b c", 10 * MS);
        sw_mem_fail_at(nth);
        status = sw_top_table_begin(&table, &(struct sw_profile){0}, 0);
        if (status == SW_OK)
            status = sw_top_table_update(&table, &profile, 100 * MS);
        sw_mem_fail_at(0);
        assert_true(status == SW_OK || status == SW_NOMEM);
        assert_true(nth < 1000);
        sw_top_table_release(&table);
        sw_profile_release(&profile);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_of_the_window),        cmocka_unit_test(recursion_counts_once),
        cmocka_unit_test(lines_are_told_apart_on_request), cmocka_unit_test(another_profile_goes_on),
        cmocka_unit_test(rows_are_ordered_and_filtered),   cmocka_unit_test(out_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
