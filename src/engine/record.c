/* record.c - Updates and finishes records, one tight loop for each kind of primitive; see record.h. */
#include "engine/record.h"

#include <math.h>

#include "base/json.h"
#include "sketch/ddsketch.h"
#include "sketch/hll.h"
#include "sketch/space_saving.h"

struct edge {
    int64_t time_ns;
    double value; /* NaN until there is one */
};

/* Neumaier's compensated sum: exact for integers and for decimals of similar size. */
struct sum {
    double high;
    double low;
    uint64_t count;
};

/* Sums about the first value seen, so that the variance does not cancel. */
struct moments {
    uint64_t count;
    double origin;
    double sum;
    double sum_squares;
};

struct weighted {
    double products;
    double weights;
    uint64_t count;
};

union state {
    uint64_t count;
    struct edge edge;
    double extreme;
    struct sum sum;
    struct moments moments;
    struct weighted weighted;
    struct sw_ddsketch quantile;
    struct sw_hll distinct;
    struct sw_space_saving topk;
};

static const uint32_t state_bytes[] = {
    [SW_PRIM_ROWS] = sizeof(uint64_t),
    [SW_PRIM_PRESENT_NUM] = sizeof(uint64_t),
    [SW_PRIM_PRESENT_HASH] = sizeof(uint64_t),
    [SW_PRIM_FIRST] = sizeof(struct edge),
    [SW_PRIM_LAST] = sizeof(struct edge),
    [SW_PRIM_MIN] = sizeof(double),
    [SW_PRIM_MAX] = sizeof(double),
    [SW_PRIM_SUM] = sizeof(struct sum),
    [SW_PRIM_MOMENTS] = sizeof(struct moments),
    [SW_PRIM_WEIGHTED] = sizeof(struct weighted),
    [SW_PRIM_QUANTILE] = sizeof(struct sw_ddsketch),
    [SW_PRIM_DISTINCT] = sizeof(struct sw_hll),
    [SW_PRIM_TOPK] = sizeof(struct sw_space_saving),
};

/* What every loop below looks at. */
struct update {
    const struct sw_rows *rows;
    const struct sw_batch *batch;
    const struct sw_primitive *primitive;
};

static inline union state *state_at(const struct update *u, unsigned i) {
    return (union state *)(void *)(u->rows->record[i] + u->primitive->offset);
}

static void update_rows(const struct update *u) {
    for (unsigned i = 0; i < u->rows->count; i++)
        state_at(u, i)->count++;
}

static void update_present_hash(const struct update *u) {
    const uint64_t *hashes = u->batch->hash[u->primitive->slot];
    for (unsigned i = 0; i < u->rows->count; i++)
        state_at(u, i)->count += hashes[u->rows->index[i]] ? 1 : 0;
}

static inline void sum_add(struct sum *sum, double value) {
    double total = sum->high + value;
    double part = total - sum->high;
    double error = (sum->high - (total - part)) + (value - part); /* exact, without a branch (Knuth's TwoSum) */
    sum->low += isfinite(total) ? error : 0;
    sum->high = total;
    sum->count++;
}

/* Whether a row is the first of its record cannot be predicted; a choice between two words costs no guess. */
static inline double choose(bool is_first, double first, double second) {
    uint64_t bits[2];
    memcpy(&bits[0], &second, sizeof second);
    memcpy(&bits[1], &first, sizeof first);
    uint64_t chosen = bits[0] ^ ((bits[0] ^ bits[1]) & -(uint64_t)is_first);
    memcpy(&first, &chosen, sizeof first);
    return first;
}

static inline void moments_add(struct moments *moments, double value) {
    moments->origin = choose(moments->count++ == 0, value, moments->origin);
    double distance = value - moments->origin;
    moments->sum += distance;
    moments->sum_squares += distance * distance;
}

/* Of equal times the row that came first is the first, and the one that came last the last. What a bundle lacks is the same for all
 * rows, so the branches cost next to nothing, and the record is fetched once for all it has. */
static inline void bundle_add(const struct sw_bundle *bundle, char *record, int64_t time_ns, double value) {
    if (bundle->first != SW_NO_OFFSET) {
        struct edge *edge = (struct edge *)(void *)(record + bundle->first);
        bool is_earlier = time_ns < edge->time_ns;
        edge->time_ns = is_earlier ? time_ns : edge->time_ns;
        edge->value = choose(is_earlier, value, edge->value);
    }
    if (bundle->last != SW_NO_OFFSET) {
        struct edge *edge = (struct edge *)(void *)(record + bundle->last);
        if (time_ns >= edge->time_ns)
            *edge = (struct edge){time_ns, value};
    }
    if (bundle->min != SW_NO_OFFSET) {
        double *least = (double *)(void *)(record + bundle->min);
        *least = value < *least ? value : *least;
    }
    if (bundle->max != SW_NO_OFFSET) {
        double *greatest = (double *)(void *)(record + bundle->max);
        *greatest = value > *greatest ? value : *greatest;
    }
    if (bundle->sum != SW_NO_OFFSET)
        sum_add((struct sum *)(void *)(record + bundle->sum), value);
    if (bundle->moments != SW_NO_OFFSET)
        moments_add((struct moments *)(void *)(record + bundle->moments), value);
    if (bundle->present != SW_NO_OFFSET)
        ++*(uint64_t *)(void *)(record + bundle->present);
}

static void bundle_update(const struct sw_bundle *bundle, const struct sw_batch *batch, const struct sw_rows *rows) {
    const struct sw_bundle local = *bundle; /* the records cannot alias it */
    const double *values = batch->num[bundle->slot];
    for (unsigned i = 0; i < rows->count; i++) {
        double value = values[rows->index[i]];
        if (!isnan(value))
            bundle_add(&local, rows->record[i], batch->time_ns[rows->index[i]], value);
    }
}

static void update_weighted(const struct update *u) {
    const double *values = u->batch->num[u->primitive->slot];
    const double *weights = u->batch->num[u->primitive->weight];
    for (unsigned i = 0; i < u->rows->count; i++) {
        unsigned row = u->rows->index[i];
        struct weighted *weighted = &state_at(u, i)->weighted;
        if (isnan(values[row]) || isnan(weights[row]))
            continue;
        weighted->products += values[row] * weights[row];
        weighted->weights += weights[row];
        weighted->count++;
    }
}

static enum sw_status update_quantile(const struct update *u) {
    if (u->rows->count == 0)
        return SW_OK;
    int32_t indices[SW_CHUNK_ROWS];
    unsigned begin = u->rows->index[0];
    unsigned end = u->rows->index[u->rows->count - 1] + 1u;
    sw_ddsketch_index(u->batch->num[u->primitive->slot] + begin, end - begin, indices);
    enum sw_status status = SW_OK;
    for (unsigned i = 0; i < u->rows->count && status == SW_OK; i++)
        status = sw_ddsketch_add_index(&state_at(u, i)->quantile, indices[u->rows->index[i] - begin], 1);
    return status;
}

static enum sw_status update_distinct(const struct update *u) {
    const uint64_t *hashes = u->batch->hash[u->primitive->slot];
    enum sw_status status = SW_OK;
    for (unsigned i = 0; i < u->rows->count && status == SW_OK; i++) {
        uint64_t hash = hashes[u->rows->index[i]];
        if (hash != 0)
            status = sw_hll_add(&state_at(u, i)->distinct, hash);
    }
    return status;
}

static enum sw_status update_topk(const struct update *u) {
    const struct sw_text_ref *texts = u->batch->text[u->primitive->slot];
    enum sw_status status = SW_OK;
    for (unsigned i = 0; i < u->rows->count && status == SW_OK; i++) {
        struct sw_text_ref text = texts[u->rows->index[i]];
        if (text.len != UINT32_MAX)
            status = sw_space_saving_add(&state_at(u, i)->topk,
                                         sw_str_make(u->batch->text_bytes.ptr + text.offset, text.len), 1);
    }
    return status;
}

static enum sw_status update_one(const struct update *u) {
    switch (u->primitive->kind) {
    case SW_PRIM_ROWS:
        update_rows(u);
        break;
    case SW_PRIM_PRESENT_HASH:
        update_present_hash(u);
        break;
    case SW_PRIM_PRESENT_NUM:
    case SW_PRIM_FIRST:
    case SW_PRIM_LAST:
    case SW_PRIM_MIN:
    case SW_PRIM_MAX:
    case SW_PRIM_SUM:
    case SW_PRIM_MOMENTS:
        break; /* in a bundle */
    case SW_PRIM_WEIGHTED:
        update_weighted(u);
        break;
    case SW_PRIM_QUANTILE:
        return update_quantile(u);
    case SW_PRIM_DISTINCT:
        return update_distinct(u);
    case SW_PRIM_TOPK:
        return update_topk(u);
    }
    return SW_OK;
}

static double moments_variance(const struct moments *moments) {
    double n = (double)moments->count;
    double squares = moments->sum_squares - moments->sum * moments->sum / n;
    double variance = choose(squares > 0, squares / (n - 1), 0);
    return choose(moments->count < 2, NAN, variance);
}

static double record_quantile(const struct sw_output *output, const char *record, const struct sw_ddsketch *sketch) {
    if (!output->has_extremes)
        return sw_ddsketch_quantile(sketch, output->parameter);
    double min, max;
    memcpy(&min, record + output->min_offset, sizeof min);
    memcpy(&max, record + output->max_offset, sizeof max);
    return sw_ddsketch_quantile_within(sketch, output->parameter, min, max);
}

static void primitive_release(const struct sw_primitive *primitive, char *record) {
    union state *state = (union state *)(void *)(record + primitive->offset);
    if (primitive->kind == SW_PRIM_TOPK)
        sw_space_saving_release(&state->topk);
    else if (primitive->kind == SW_PRIM_QUANTILE)
        sw_ddsketch_release(&state->quantile);
    else if (primitive->kind == SW_PRIM_DISTINCT)
        sw_hll_release(&state->distinct);
}

uint32_t sw_primitive_bytes(enum sw_primitive_kind kind) {
    return (state_bytes[kind] + 7u) & ~7u;
}

void sw_record_blank(const struct sw_plan *plan, char *record) {
    memset(record, 0, plan->record_bytes);
    for (unsigned i = 0; i < plan->primitive_count; i++) {
        const struct sw_primitive *primitive = &plan->primitives[i];
        union state *state = (union state *)(void *)(record + primitive->offset);
        switch (primitive->kind) {
        case SW_PRIM_FIRST:
            state->edge = (struct edge){INT64_MAX, NAN};
            break;
        case SW_PRIM_LAST:
            state->edge = (struct edge){INT64_MIN, NAN};
            break;
        case SW_PRIM_MIN:
            state->extreme = INFINITY;
            break;
        case SW_PRIM_MAX:
            state->extreme = -INFINITY;
            break;
        case SW_PRIM_TOPK:
            state->topk.capacity = primitive->capacity;
            break;
        default:
            break; /* zero is empty */
        }
    }
}

uint32_t sw_primitive_owner(const struct sw_primitive *primitive) {
    switch (primitive->kind) {
    case SW_PRIM_QUANTILE:
        return primitive->offset + (uint32_t)offsetof(struct sw_ddsketch, heap);
    case SW_PRIM_DISTINCT:
        return primitive->offset + (uint32_t)offsetof(struct sw_hll, block);
    case SW_PRIM_TOPK:
        return primitive->offset + (uint32_t)offsetof(struct sw_space_saving, entries);
    default:
        return SW_NO_OFFSET;
    }
}

/* Most records hold no memory of their own: their sketches had room for what came. */
void sw_record_release(const struct sw_plan *plan, char *record) {
    for (unsigned i = 0; i < plan->heap_count; i++) {
        const void *owned;
        memcpy(&owned, record + plan->heap[i].owner, sizeof owned);
        if (owned)
            primitive_release(&plan->primitives[plan->heap[i].primitive], record);
    }
}

enum sw_status sw_records_update(const struct sw_plan *plan, const struct sw_batch *batch, const struct sw_rows *rows) {
    for (unsigned i = 0; i < plan->bundle_count; i++)
        bundle_update(&plan->bundles[i], batch, rows);
    for (unsigned i = 0; i < plan->primitive_count; i++) {
        struct update update = {rows, batch, &plan->primitives[i]};
        enum sw_status status = update_one(&update);
        if (status != SW_OK)
            return status;
    }
    return SW_OK;
}

double sw_record_value(const struct sw_plan *plan, const char *record, unsigned output) {
    const struct sw_output *out = &plan->outputs[output];
    const union state *state = (const union state *)(const void *)(record + out->offset);
    switch (out->fn) {
    case SW_AGG_COUNT:
        return (double)state->count;
    case SW_AGG_RATE:
        return (double)state->count * 1e9 / (double)plan->stream->window_ns;
    case SW_AGG_FIRST:
    case SW_AGG_LAST:
        return state->edge.value;
    case SW_AGG_MIN:
        return state->extreme < INFINITY ? state->extreme : NAN;
    case SW_AGG_MAX:
        return state->extreme > -INFINITY ? state->extreme : NAN;
    case SW_AGG_SUM:
        return state->sum.count ? state->sum.high + state->sum.low : NAN;
    case SW_AGG_MEAN:
        return state->moments.count ? state->moments.origin + state->moments.sum / (double)state->moments.count : NAN;
    case SW_AGG_VARIANCE:
        return moments_variance(&state->moments);
    case SW_AGG_STDDEV:
        return sqrt(moments_variance(&state->moments));
    case SW_AGG_VWAP:
        return state->weighted.count ? state->weighted.products / state->weighted.weights : NAN;
    case SW_AGG_QUANTILE:
    case SW_AGG_MEDIAN:
        return record_quantile(out, record, &state->quantile);
    case SW_AGG_DISTINCT:
        return (double)sw_hll_count(&state->distinct);
    case SW_AGG_TOPK:
        break;
    }
    return NAN;
}

enum sw_status sw_record_text(const struct sw_plan *plan, const char *record, unsigned output, struct sw_buf *out) {
    const struct sw_output *spec = &plan->outputs[output];
    const union state *state = (const union state *)(const void *)(record + spec->offset);
    struct sw_space_saving_item items[100];
    size_t count = sw_space_saving_top(&state->topk, (size_t)spec->parameter, items);
    struct sw_json json;
    sw_json_init(&json, out);
    sw_json_array_begin(&json);
    for (size_t i = 0; i < count; i++) {
        sw_json_object_begin(&json);
        sw_json_key(&json, SW_STR("value"));
        sw_json_str(&json, items[i].item);
        sw_json_key(&json, SW_STR("count"));
        sw_json_u64(&json, items[i].count);
        sw_json_key(&json, SW_STR("error"));
        sw_json_u64(&json, items[i].error);
        sw_json_object_end(&json);
    }
    sw_json_array_end(&json);
    return sw_json_status(&json);
}
