/* plan.h - A stream compiled once: which input fields go to which slots, and which primitives each group's record holds.
 *
 * An aggregate is an expression over primitives; equal primitives are shared, so open, high, low, close, mean, sd and p99 of one column
 * cost six updates a row, not eleven. A record is one block of memory per (window, group), relocatable, with sketches inline.
 */
#ifndef SW_ENGINE_PLAN_H
#define SW_ENGINE_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/groups.h"
#include "engine/job.h"

enum sw_primitive_kind {
    SW_PRIM_ROWS,         /* uint64 count of rows */
    SW_PRIM_PRESENT_NUM,  /* uint64 count of present values of a number column */
    SW_PRIM_PRESENT_HASH, /* the same of a hashed column */
    SW_PRIM_FIRST,
    SW_PRIM_LAST,
    SW_PRIM_MIN,
    SW_PRIM_MAX,
    SW_PRIM_SUM,
    SW_PRIM_MOMENTS,
    SW_PRIM_WEIGHTED,
    SW_PRIM_QUANTILE,
    SW_PRIM_DISTINCT,
    SW_PRIM_TOPK,
};

struct sw_primitive {
    enum sw_primitive_kind kind;
    uint8_t slot;      /* of the number, hash or text column */
    uint8_t weight;    /* WEIGHTED: number slot of the weights */
    uint32_t capacity; /* TOPK: items monitored */
    uint32_t offset;   /* of its state in the record */
};

#define SW_NO_OFFSET UINT32_MAX

/* The primitives over one number column that a row updates together: where each has its state in the record, or SW_NO_OFFSET. */
struct sw_bundle {
    uint8_t slot;
    uint32_t present, first, last, min, max, sum, moments;
};

struct sw_output {
    enum sw_aggregate_fn fn;
    uint32_t offset; /* of the primitive it reads */
    double parameter;
    bool has_extremes; /* a quantile whose column has its least and greatest value kept too: it is cut to them */
    uint32_t min_offset, max_offset;
};

struct sw_owner {
    uint32_t owner;     /* offset in the record of the pointer to that memory */
    uint32_t primitive; /* position */
};

struct sw_plan {
    const struct sw_stream *stream; /* borrowed */
    struct sw_field *fields;        /* owned; every field once */
    unsigned field_count;
    unsigned num_count, hash_count, text_count;
    struct sw_primitive primitives[SW_MAX_AGGREGATES + 1];
    unsigned primitive_count;
    struct sw_bundle bundles[SW_MAX_AGGREGATES + 1];
    unsigned bundle_count;
    struct sw_output outputs[SW_MAX_AGGREGATES]; /* one an aggregate */
    uint32_t record_bytes;                       /* a multiple of 16 */
    char *blank;                                 /* owned: a record of a group without rows */
    struct sw_owner heap[SW_MAX_AGGREGATES + 1]; /* the primitives that may own memory of their own */
    unsigned heap_count;
};

SW_MUST_USE enum sw_status sw_plan_init(struct sw_plan *plan, const struct sw_stream *stream, struct sw_error *err);
void sw_plan_release(struct sw_plan *plan);

#endif
