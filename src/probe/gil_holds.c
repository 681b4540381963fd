/* gil_holds.c - Which functions held the GIL, and the longest holds of all. */
#include <stdlib.h>

#include "base/mem.h"
#include "probe/gil_timeline_impl.h"

#define FUNCTIONS_MAX 65536 /* lines of functions that are told apart */

void sw_gil_vote_add(struct sw_gil_vote *vote, const struct sw_code *code, int32_t line) {
    if (vote->code == code) {
        vote->lead++;
    } else if (vote->lead == 0) {
        *vote = (struct sw_gil_vote){code, line, 1};
    } else {
        vote->lead--;
    }
}

struct sw_gil_where sw_gil_vote_where(const struct sw_gil_vote *vote) {
    if (!vote->code)
        return (struct sw_gil_where){.line = 0};
    return (struct sw_gil_where){vote->code->name, vote->code->file, vote->line};
}

static size_t shortest_kept(const struct sw_gil_timeline *timeline) {
    size_t shortest = 0;
    for (size_t i = 1; i < timeline->kept_count; i++) {
        const struct sw_gil_kept_hold *hold = &timeline->kept[i];
        const struct sw_gil_kept_hold *least = &timeline->kept[shortest];
        if (hold->end_ns - hold->start_ns < least->end_ns - least->start_ns)
            shortest = i;
    }
    return shortest;
}

void sw_gil_hold_keep(struct sw_gil_timeline *timeline, const struct sw_gil_kept_hold *hold) {
    if (timeline->options.is_meter)
        return;
    if (timeline->kept_count < SW_GIL_HOLDS_MAX) {
        timeline->kept[timeline->kept_count++] = *hold;
        return;
    }
    struct sw_gil_kept_hold *least = &timeline->kept[shortest_kept(timeline)];
    if (hold->end_ns - hold->start_ns > least->end_ns - least->start_ns)
        *least = *hold;
}

enum sw_status sw_gil_function_seen(struct sw_gil_timeline *timeline, const struct sw_code *code, int32_t line) {
    uint64_t key = (uint64_t)code->id << 32 | (uint32_t)line;
    struct sw_str name = sw_str_make((const char *)&key, sizeof key);
    uint64_t index;
    timeline->totals.stack_looks++;
    if (sw_map_get(&timeline->function_index, name, &index)) {
        timeline->seen[index].looks++;
        return SW_OK;
    }
    if (timeline->seen_count == FUNCTIONS_MAX)
        return SW_OK;
    if (timeline->seen_count == timeline->seen_cap) {
        size_t cap = timeline->seen_cap ? 2 * timeline->seen_cap : 64;
        struct sw_gil_seen_function *seen = sw_realloc_array(timeline->seen, cap, sizeof *seen);
        if (!seen)
            return SW_NOMEM;
        timeline->seen = seen;
        timeline->seen_cap = cap;
    }
    enum sw_status status = sw_map_put(&timeline->function_index, name, timeline->seen_count);
    if (status == SW_OK)
        timeline->seen[timeline->seen_count++] = (struct sw_gil_seen_function){code, line, 1};
    return status;
}

static int by_code(const void *left, const void *right) {
    const struct sw_gil_seen_function *a = left;
    const struct sw_gil_seen_function *b = right;
    if (a->code->id != b->code->id)
        return a->code->id < b->code->id ? -1 : 1;
    return a->looks != b->looks ? (a->looks > b->looks ? -1 : 1) : (a->line > b->line) - (a->line < b->line);
}

static int by_looks(const void *left, const void *right) {
    const struct sw_gil_function *a = left;
    const struct sw_gil_function *b = right;
    return a->looks != b->looks ? (a->looks > b->looks ? -1 : 1) : sw_str_compare(a->where.name, b->where.name);
}

/* One row a function, at the line seen most, which comes first in this order. */
static void functions_finish(struct sw_gil_timeline *timeline) {
    struct sw_gil_function *rows = sw_alloc_array_zero(timeline->seen_count, sizeof *rows);
    size_t count = 0;
    if (!rows) {
        timeline->failure = SW_NOMEM;
        return;
    }
    if (timeline->seen_count > 0)
        qsort(timeline->seen, timeline->seen_count, sizeof *timeline->seen, by_code);
    for (size_t i = 0; i < timeline->seen_count; i++) {
        const struct sw_gil_seen_function *seen = &timeline->seen[i];
        if (i == 0 || seen->code->id != seen[-1].code->id)
            rows[count++].where = (struct sw_gil_where){seen->code->name, seen->code->file, seen->line};
        rows[count - 1].looks += seen->looks;
    }
    for (size_t i = 0; i < count; i++)
        rows[i].held_ns =
            (int64_t)((double)timeline->totals.held_ns * (double)rows[i].looks / (double)timeline->totals.stack_looks);
    if (count > 0)
        qsort(rows, count, sizeof *rows, by_looks);
    timeline->functions = rows;
    timeline->function_count = count;
}

static int by_length(const void *left, const void *right) {
    const struct sw_gil_kept_hold *a = left;
    const struct sw_gil_kept_hold *b = right;
    int64_t a_ns = a->end_ns - a->start_ns;
    int64_t b_ns = b->end_ns - b->start_ns;
    return a_ns != b_ns ? (a_ns > b_ns ? -1 : 1) : (a->start_ns > b->start_ns) - (a->start_ns < b->start_ns);
}

static size_t lane_index(const struct sw_gil_timeline *timeline, const struct sw_gil_lane *lane) {
    size_t index = 0;
    while (index < timeline->lane_count && timeline->lanes[index] != lane)
        index++;
    return index;
}

void sw_gil_holds_finish(struct sw_gil_timeline *timeline) {
    qsort(timeline->kept, timeline->kept_count, sizeof *timeline->kept, by_length);
    for (size_t i = 0; i < timeline->kept_count; i++) {
        const struct sw_gil_kept_hold *kept = &timeline->kept[i];
        timeline->holds[i] = (struct sw_gil_hold){.start_ns = kept->start_ns,
                                                  .end_ns = kept->end_ns,
                                                  .thread = lane_index(timeline, kept->lane),
                                                  .waiters = kept->waiters,
                                                  .where = sw_gil_vote_where(&kept->vote)};
    }
    functions_finish(timeline);
}
