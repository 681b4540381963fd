/* test_plan.c - What a stream compiles to: fields and their roles, shared primitives, the layout of a record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "engine/record.h"
#include "engine_parts.h"

static void a_field_has_all_its_roles(void **state) {
    struct parts parts;
    parts_init(&parts, "sum(x),distinct(x),topk(x,3),sum(t),distinct(key1)", 1);
    assert_int_equal(parts.plan.field_count, 3);
    const struct sw_field *x = parts_field(&parts, "x");
    assert_int_equal(x->num_slot, 0);
    assert_int_equal(x->hash_slot, 0);
    assert_int_equal(x->text_slot, 0);
    assert_int_equal(x->key_slot, SW_NO_SLOT);
    assert_int_equal(x->time_unit, SW_TIME_NONE);
    const struct sw_field *t = parts_field(&parts, "t");
    assert_int_equal(t->num_slot, 1);
    assert_int_equal(t->time_unit, SW_TIME_NS);
    const struct sw_field *k = parts_field(&parts, "key1");
    assert_int_equal(k->key_slot, 0);
    assert_int_equal(k->hash_slot, 1);
    assert_int_equal(k->num_slot, SW_NO_SLOT);
    parts_release(&parts);
}

static void equal_primitives_are_shared(void **state) {
    static const struct {
        const char *aggregates;
        unsigned primitives, nums, hashes, texts;
    } rows[] = {
        {"a=first(p),b=max(p),c=min(p),d=last(p),e=mean(p),f=stddev(p),g=quantile(p,0.99)", 6, 1, 0, 0},
        {"variance(p),stddev(p),mean(p)", 1, 1, 0, 0},
        {"median(p),quantile(p,0.1),quantile(p,0.9)", 1, 1, 0, 0},
        {"count(),rate(),n=count()", 1, 0, 0, 0},
        {"sum(p),sum(q)", 2, 2, 0, 0},
        {"vwap(p,q),vwap(q,p),x=vwap(p,q)", 2, 2, 0, 0},
        {"topk(p,3),topk(p,5),x=topk(p,3)", 2, 0, 0, 1},
        {"distinct(p),x=distinct(p),distinct(q)", 2, 0, 2, 0},
        {"count(p)", 1, 0, 1, 0},        /* present or not: its hash tells */
        {"count(p),sum(p)", 2, 1, 0, 0}, /* it is read as a number anyway */
        {"count(p),distinct(p)", 2, 0, 1, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct parts parts;
        parts_init(&parts, rows[i].aggregates, 0);
        if (parts.plan.primitive_count != rows[i].primitives || parts.plan.num_count != rows[i].nums ||
            parts.plan.hash_count != rows[i].hashes || parts.plan.text_count != rows[i].texts)
            fail_msg("%s: %u primitives, %u numbers, %u hashes, %u texts", rows[i].aggregates,
                     parts.plan.primitive_count, parts.plan.num_count, parts.plan.hash_count, parts.plan.text_count);
        parts_release(&parts);
    }
}

static void count_of_a_number_counts_numbers(void **state) {
    struct parts parts;
    parts_init(&parts, "count(p),sum(p),count(q)", 0);
    assert_int_equal(parts.plan.bundle_count, 1);
    assert_int_equal(parts.plan.bundles[0].present, parts.plan.outputs[0].offset);
    assert_int_equal(parts.plan.bundles[0].sum, parts.plan.outputs[1].offset);
    assert_int_equal(parts.plan.bundles[0].min, SW_NO_OFFSET);
    assert_int_equal(parts_field(&parts, "p")->hash_slot, SW_NO_SLOT);
    assert_int_equal(parts_field(&parts, "q")->hash_slot, 0);
    parts_release(&parts);
}

static void states_do_not_overlap(void **state) {
    struct parts parts;
    parts_init(&parts,
               "count(),count(p),first(p),last(p),min(p),max(p),sum(p),mean(p),vwap(p,q),median(p),distinct(r),"
               "topk(r,3),count(r),sum(q)",
               2);
    assert_int_equal(parts.plan.primitive_count, 14);
    assert_int_equal(parts.plan.record_bytes % 16, 0);
    for (unsigned i = 0; i < parts.plan.primitive_count; i++) {
        const struct sw_primitive *a = &parts.plan.primitives[i];
        assert_int_equal(a->offset % 8, 0);
        assert_true(a->offset + sw_primitive_bytes(a->kind) <= parts.plan.record_bytes);
        for (unsigned k = 0; k < i; k++) {
            const struct sw_primitive *b = &parts.plan.primitives[k];
            assert_true(a->offset >= b->offset + sw_primitive_bytes(b->kind) ||
                        b->offset >= a->offset + sw_primitive_bytes(a->kind));
        }
    }
    parts_release(&parts);
}

static void quantiles_know_kept_extremes(void **state) {
    static const struct {
        const char *aggregates;
        bool has_extremes;
    } rows[] = {
        {"median(p),min(p),max(p)", true},
        {"median(p)", false},
        {"median(p),min(p)", false},
        {"median(p),max(p)", false},
        {"median(p),min(q),max(q)", false},
        {"median(p),sum(q),min(p),max(p),max(q)", true},
        {"quantile(p,0.1),max(p),min(p)", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct parts parts;
        parts_init(&parts, rows[i].aggregates, 0);
        if (parts.plan.outputs[0].has_extremes != rows[i].has_extremes)
            fail_msg("%s", rows[i].aggregates);
        for (unsigned k = 1; k < parts.stream.aggregate_count; k++)
            assert_false(parts.plan.outputs[k].has_extremes);
        parts_release(&parts);
    }
}

static void heap_state(void **state) {
    static const struct {
        const char *aggregates;
        unsigned heap_count;
    } rows[] = {
        {"count(),sum(p),mean(p),vwap(p,q),first(p)", 0},
        {"count(p)", 0},
        {"count(),median(p)", 1},
        {"distinct(p),quantile(p,0.5)", 2},
        {"topk(p,1)", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct parts parts;
        parts_init(&parts, rows[i].aggregates, 0);
        assert_int_equal(parts.plan.heap_count, rows[i].heap_count);
        parts_release(&parts);
    }
}

static void none_and_as_many_as_there_may_be(void **state) {
    struct sw_stream nothing = {.window_ns = 1};
    struct sw_plan plan;
    struct sw_error err = {0};
    assert_int_equal(sw_plan_init(&plan, &nothing, &err), SW_OK);
    assert_int_equal(plan.field_count, 0);
    assert_int_equal(plan.record_bytes, 0);
    sw_plan_release(&plan);
    struct sw_buf text = {0};
    struct parts parts;
    for (unsigned i = 0; i < SW_MAX_AGGREGATES; i++)
        assert_int_equal(sw_buf_append_format(&text, "%sa%u=vwap(x%u,y%u)", i ? "," : "", i, i, i), SW_OK);
    assert_int_equal(sw_buf_append_byte(&text, '\0'), SW_OK);
    parts_init(&parts, text.ptr, 2);
    assert_int_equal(parts.plan.num_count, 2 * SW_MAX_AGGREGATES);
    assert_int_equal(parts.plan.primitive_count, SW_MAX_AGGREGATES);
    assert_int_equal(parts_field(&parts, "y63")->num_slot, 127);
    parts_release(&parts);
    sw_buf_release(&text);
}

static void every_allocation_may_fail(void **state) {
    struct parts parts;
    parts_init(&parts, "sum(a),mean(b),distinct(c),topk(d,3),count(e)", 2);
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status != SW_OK; nth++) {
        struct sw_plan plan;
        struct sw_error err = {0};
        assert_true(nth < PARTS_FAILURES_MAX);
        sw_mem_fail_at(nth);
        status = sw_plan_init(&plan, &parts.stream, &err);
        sw_mem_fail_at(0);
        if (status == SW_OK) {
            sw_plan_release(&plan);
            continue;
        }
        assert_int_equal(status, SW_NOMEM);
        assert_string_equal(err.text, "cannot plan stream 's': out of memory");
    }
    parts_release(&parts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_field_has_all_its_roles),        cmocka_unit_test(equal_primitives_are_shared),
        cmocka_unit_test(count_of_a_number_counts_numbers), cmocka_unit_test(states_do_not_overlap),
        cmocka_unit_test(quantiles_know_kept_extremes),     cmocka_unit_test(heap_state),
        cmocka_unit_test(none_and_as_many_as_there_may_be), cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
