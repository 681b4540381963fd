/* engine_parts.h - A stream and its plan from a line of text, and batches filled by hand, for the tests of the engine's parts. */
#ifndef SW_TESTS_ENGINE_PARTS_H
#define SW_TESTS_ENGINE_PARTS_H

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/batch.h"
#include "engine/job.h"
#include "engine/plan.h"

#define PARTS_FAILURES_MAX 10000u /* allocations a test makes fail one after the other */

struct parts {
    struct sw_arena arena;
    struct sw_stream stream;
    struct sw_plan plan;
};

/* Windows of 10 ns, so that tests can count in their heads. */
static inline void parts_init(struct parts *parts, const char *aggregates, unsigned keys) {
    static const struct sw_str names[] = {{"key1", 4}, {"key2", 4}};
    struct sw_error err = {0};
    *parts = (struct parts){
        .stream = {.name = SW_STR("s"), .time_column = SW_STR("t"), .time_unit = SW_TIME_NS, .window_ns = 10}};
    for (unsigned i = 0; i < keys; i++)
        parts->stream.keys[parts->stream.key_count++] = names[i];
    if (sw_aggregates_parse(sw_str_from(aggregates), &parts->arena, &parts->stream, &err) != SW_OK ||
        sw_plan_init(&parts->plan, &parts->stream, &err) != SW_OK)
        abort();
}

static inline void parts_release(struct parts *parts) {
    sw_plan_release(&parts->plan);
    sw_arena_release(&parts->arena);
}

/* The field called `name`. */
static inline const struct sw_field *parts_field(const struct parts *parts, const char *name) {
    for (unsigned i = 0; i < parts->plan.field_count; i++)
        if (sw_str_eq(parts->plan.fields[i].name, sw_str_from(name)))
            return &parts->plan.fields[i];
    abort();
}

#endif
