/* plan.c - Compiles a stream; see plan.h. */
#include "engine/plan.h"

#include "base/mem.h"
#include "engine/record.h"

/* Beyond topk's k, so that its counts are near exact for skewed data; the error bound is rows / capacity. */
#define TOPK_CAPACITY_FACTOR 16u

/* The field called `name`, added if it is new; NULL when out of memory. */
static struct sw_field *field_get(struct sw_plan *plan, struct sw_str name) {
    for (unsigned i = 0; i < plan->field_count; i++)
        if (sw_str_eq(plan->fields[i].name, name))
            return &plan->fields[i];
    struct sw_field *fields = sw_realloc_array(plan->fields, plan->field_count + 1, sizeof *fields);
    if (!fields)
        return NULL;
    plan->fields = fields;
    struct sw_field *field = &fields[plan->field_count++];
    *field = (struct sw_field){name, SW_NO_SLOT, SW_NO_SLOT, SW_NO_SLOT, SW_NO_SLOT, SW_TIME_NONE};
    return field;
}

static enum sw_status num_slot(struct sw_plan *plan, struct sw_str name, uint8_t *slot) {
    struct sw_field *field = field_get(plan, name);
    if (!field)
        return SW_NOMEM;
    if (field->num_slot == SW_NO_SLOT)
        field->num_slot = (uint8_t)plan->num_count++;
    *slot = field->num_slot;
    return SW_OK;
}

static enum sw_status hash_slot(struct sw_plan *plan, struct sw_str name, uint8_t *slot) {
    struct sw_field *field = field_get(plan, name);
    if (!field)
        return SW_NOMEM;
    if (field->hash_slot == SW_NO_SLOT)
        field->hash_slot = (uint8_t)plan->hash_count++;
    *slot = field->hash_slot;
    return SW_OK;
}

static enum sw_status text_slot(struct sw_plan *plan, struct sw_str name, uint8_t *slot) {
    struct sw_field *field = field_get(plan, name);
    if (!field)
        return SW_NOMEM;
    if (field->text_slot == SW_NO_SLOT)
        field->text_slot = (uint8_t)plan->text_count++;
    *slot = field->text_slot;
    return SW_OK;
}

static uint32_t primitive_add(struct sw_plan *plan, struct sw_primitive wanted) {
    for (unsigned i = 0; i < plan->primitive_count; i++) {
        const struct sw_primitive *have = &plan->primitives[i];
        if (have->kind == wanted.kind && have->slot == wanted.slot && have->weight == wanted.weight &&
            have->capacity == wanted.capacity)
            return have->offset;
    }
    wanted.offset = plan->record_bytes;
    plan->record_bytes += sw_primitive_bytes(wanted.kind);
    plan->primitives[plan->primitive_count++] = wanted;
    return wanted.offset;
}

static enum sw_primitive_kind primitive_of(enum sw_aggregate_fn fn) {
    switch (fn) {
    case SW_AGG_FIRST:
        return SW_PRIM_FIRST;
    case SW_AGG_LAST:
        return SW_PRIM_LAST;
    case SW_AGG_MIN:
        return SW_PRIM_MIN;
    case SW_AGG_MAX:
        return SW_PRIM_MAX;
    case SW_AGG_SUM:
        return SW_PRIM_SUM;
    case SW_AGG_MEAN:
    case SW_AGG_VARIANCE:
    case SW_AGG_STDDEV:
        return SW_PRIM_MOMENTS;
    case SW_AGG_VWAP:
        return SW_PRIM_WEIGHTED;
    case SW_AGG_QUANTILE:
    case SW_AGG_MEDIAN:
        return SW_PRIM_QUANTILE;
    case SW_AGG_DISTINCT:
        return SW_PRIM_DISTINCT;
    case SW_AGG_TOPK:
        return SW_PRIM_TOPK;
    case SW_AGG_COUNT:
    case SW_AGG_RATE:
        break;
    }
    return SW_PRIM_ROWS;
}

static bool is_number_column(const struct sw_plan *plan, struct sw_str name) {
    for (unsigned i = 0; i < plan->field_count; i++)
        if (sw_str_eq(plan->fields[i].name, name))
            return plan->fields[i].num_slot != SW_NO_SLOT;
    return false;
}

static enum sw_status aggregate_compile(struct sw_plan *plan, const struct sw_aggregate *aggregate,
                                        struct sw_output *output) {
    struct sw_primitive wanted = {.kind = primitive_of(aggregate->fn)};
    enum sw_status status = SW_OK;
    if (aggregate->fn == SW_AGG_COUNT && aggregate->column_count == 1) {
        bool is_number = is_number_column(plan, aggregate->columns[0]);
        wanted.kind = is_number ? SW_PRIM_PRESENT_NUM : SW_PRIM_PRESENT_HASH;
        status = is_number ? num_slot(plan, aggregate->columns[0], &wanted.slot)
                           : hash_slot(plan, aggregate->columns[0], &wanted.slot);
    } else if (wanted.kind == SW_PRIM_DISTINCT) {
        status = hash_slot(plan, aggregate->columns[0], &wanted.slot);
    } else if (wanted.kind == SW_PRIM_TOPK) {
        status = text_slot(plan, aggregate->columns[0], &wanted.slot);
        wanted.capacity = (uint32_t)aggregate->parameter * TOPK_CAPACITY_FACTOR;
    } else if (aggregate->column_count > 0) {
        status = num_slot(plan, aggregate->columns[0], &wanted.slot);
        if (status == SW_OK && aggregate->column_count > 1)
            status = num_slot(plan, aggregate->columns[1], &wanted.weight);
    }
    if (status == SW_OK)
        *output = (struct sw_output){.fn = aggregate->fn,
                                     .offset = primitive_add(plan, wanted),
                                     .parameter = aggregate->parameter};
    return status;
}

static enum sw_status keys_compile(struct sw_plan *plan) {
    for (unsigned i = 0; i < plan->stream->key_count; i++) {
        struct sw_field *field = field_get(plan, plan->stream->keys[i]);
        if (!field)
            return SW_NOMEM;
        field->key_slot = (uint8_t)i;
    }
    if (plan->stream->time_column.len == 0)
        return SW_OK;
    struct sw_field *field = field_get(plan, plan->stream->time_column);
    if (!field)
        return SW_NOMEM;
    field->time_unit = plan->stream->time_unit;
    return SW_OK;
}

/* count(x) last: by then it is known whether x is read as a number anyway. */
static enum sw_status aggregates_compile(struct sw_plan *plan) {
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < plan->stream->aggregate_count; i++) {
            const struct sw_aggregate *aggregate = &plan->stream->aggregates[i];
            bool is_count_of_column = aggregate->fn == SW_AGG_COUNT && aggregate->column_count == 1;
            if (is_count_of_column != (pass == 1))
                continue;
            enum sw_status status = aggregate_compile(plan, aggregate, &plan->outputs[i]);
            if (status != SW_OK)
                return status;
        }
    }
    return SW_OK;
}

/* Where a bundle keeps the offset of a primitive of `kind`; NULL for kinds that are updated on their own. */
static uint32_t *bundle_member(struct sw_bundle *bundle, enum sw_primitive_kind kind) {
    switch (kind) {
    case SW_PRIM_PRESENT_NUM:
        return &bundle->present;
    case SW_PRIM_FIRST:
        return &bundle->first;
    case SW_PRIM_LAST:
        return &bundle->last;
    case SW_PRIM_MIN:
        return &bundle->min;
    case SW_PRIM_MAX:
        return &bundle->max;
    case SW_PRIM_SUM:
        return &bundle->sum;
    case SW_PRIM_MOMENTS:
        return &bundle->moments;
    default:
        return NULL;
    }
}

static void bundles_make(struct sw_plan *plan) {
    for (unsigned p = 0; p < plan->primitive_count; p++) {
        const struct sw_primitive *primitive = &plan->primitives[p];
        unsigned b = 0;
        while (b < plan->bundle_count && plan->bundles[b].slot != primitive->slot)
            b++;
        struct sw_bundle *bundle = &plan->bundles[b];
        if (!bundle_member(bundle, primitive->kind))
            continue;
        if (b == plan->bundle_count) {
            *bundle = (struct sw_bundle){primitive->slot, SW_NO_OFFSET, SW_NO_OFFSET, SW_NO_OFFSET,
                                         SW_NO_OFFSET,    SW_NO_OFFSET, SW_NO_OFFSET, SW_NO_OFFSET};
            plan->bundle_count++;
        }
        *bundle_member(bundle, primitive->kind) = primitive->offset;
    }
}

static const struct sw_primitive *primitive_find(const struct sw_plan *plan, enum sw_primitive_kind kind,
                                                 uint8_t slot) {
    for (unsigned i = 0; i < plan->primitive_count; i++)
        if (plan->primitives[i].kind == kind && plan->primitives[i].slot == slot)
            return &plan->primitives[i];
    return NULL;
}

/* Quantiles of a column whose extremes are kept anyway are cut to them, which makes those of a constant exact. */
static void extremes_link(struct sw_plan *plan) {
    for (unsigned p = 0; p < plan->primitive_count; p++) {
        const struct sw_primitive *quantile = &plan->primitives[p];
        const struct sw_primitive *min = primitive_find(plan, SW_PRIM_MIN, quantile->slot);
        const struct sw_primitive *max = primitive_find(plan, SW_PRIM_MAX, quantile->slot);
        for (unsigned i = 0; quantile->kind == SW_PRIM_QUANTILE && min && max && i < plan->stream->aggregate_count;
             i++) {
            if (plan->outputs[i].offset != quantile->offset)
                continue;
            plan->outputs[i].has_extremes = true;
            plan->outputs[i].min_offset = min->offset;
            plan->outputs[i].max_offset = max->offset;
        }
    }
}

enum sw_status sw_plan_init(struct sw_plan *plan, const struct sw_stream *stream, struct sw_error *err) {
    *plan = (struct sw_plan){.stream = stream};
    enum sw_status status = keys_compile(plan);
    if (status == SW_OK)
        status = aggregates_compile(plan);
    bundles_make(plan);
    extremes_link(plan);
    plan->record_bytes = (plan->record_bytes + 15u) & ~15u;
    if (status == SW_OK) {
        plan->blank = sw_alloc_zero(plan->record_bytes ? plan->record_bytes : 1);
        status = plan->blank ? SW_OK : SW_NOMEM;
    }
    if (status != SW_OK) {
        sw_plan_release(plan);
        return sw_fail(err, status, "cannot plan stream '%" SW_STR_FMT "': out of memory", SW_STR_ARG(stream->name));
    }
    sw_record_blank(plan, plan->blank);
    for (unsigned i = 0; i < plan->primitive_count; i++) {
        uint32_t owner = sw_primitive_owner(&plan->primitives[i]);
        if (owner != SW_NO_OFFSET)
            plan->heap[plan->heap_count++] = (struct sw_owner){owner, i};
    }
    return SW_OK;
}

void sw_plan_release(struct sw_plan *plan) {
    sw_free(plan->fields);
    sw_free(plan->blank);
    *plan = (struct sw_plan){0};
}
