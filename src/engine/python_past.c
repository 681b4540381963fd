/* python_past.c - Keeps the last minute of a Python process within bounds; see python_past.h. */
#include "engine/python_past.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define SHARE_WHOLE 199 /* steps of half a per cent, so 0 % and 100 % are exact */

void sw_lanes_release(struct sw_past_lanes *lanes) {
    for (size_t i = 0; i < lanes->count; i++)
        sw_free(lanes->items[i]);
    sw_free(lanes->items);
    *lanes = (struct sw_past_lanes){0};
}

static sw_lane_share share_of(int64_t part_ns, int64_t whole_ns) {
    double share = whole_ns > 0 ? (double)part_ns / (double)whole_ns : 0;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    return (sw_lane_share)(1 + lround(share * SHARE_WHOLE));
}

/* Cells between the last one written and `cell` were not measured. */
static void cells_skip(struct sw_past_lane *lane, int64_t cell) {
    int64_t from = lane->last_cell + 1;
    if (cell - from >= SW_LANE_CELLS)
        from = cell - SW_LANE_CELLS + 1;
    for (int64_t c = from; c <= cell; c++)
        lane->held[c % SW_LANE_CELLS] = lane->waited[c % SW_LANE_CELLS] = 0;
    lane->last_cell = cell;
}

static struct sw_past_lane *lane_find(const struct sw_past_lanes *lanes, uint64_t address, int32_t tid) {
    for (size_t i = 0; i < lanes->count; i++)
        if (lanes->items[i]->address == address && lanes->items[i]->tid == tid)
            return lanes->items[i];
    return NULL;
}

static enum sw_status lane_new(struct sw_past_lanes *lanes, const struct sw_lane_totals *totals, int64_t cell,
                               struct sw_past_lane **lane) {
    if (lanes->count == lanes->cap) {
        size_t cap = lanes->cap ? lanes->cap * 2 : 4;
        struct sw_past_lane **grown = sw_realloc_array(lanes->items, cap, sizeof(struct sw_past_lane *));
        if (!grown)
            return SW_NOMEM;
        lanes->items = grown;
        lanes->cap = cap;
    }
    *lane = sw_alloc_zero(sizeof **lane);
    if (!*lane)
        return SW_NOMEM;
    (*lane)->address = totals->address;
    (*lane)->tid = totals->tid;
    (*lane)->is_main = totals->is_main;
    (*lane)->last_cell = cell; /* what it did before is not known to belong to this cell */
    lanes->items[lanes->count++] = *lane;
    return SW_OK;
}

enum sw_status sw_lanes_add(struct sw_past_lanes *lanes, const struct sw_lane_totals *totals, int64_t cell,
                            int64_t span_ns, struct sw_past_lane **out, bool *is_new) {
    struct sw_past_lane *lane = lane_find(lanes, totals->address, totals->tid);
    *is_new = !lane;
    if (!lane && lanes->count == SW_LANES_MAX)
        return SW_LIMIT;
    if (!lane) {
        enum sw_status status = lane_new(lanes, totals, cell, &lane);
        if (status != SW_OK)
            return status;
    } else if (cell > lane->last_cell) {
        cells_skip(lane, cell);
        lane->held[cell % SW_LANE_CELLS] = share_of(totals->held_ns - lane->held_ns, span_ns);
        if (totals->has_waits)
            lane->waited[cell % SW_LANE_CELLS] = share_of(totals->waited_ns - lane->waited_ns, span_ns);
    }
    lane->held_ns = totals->held_ns;
    lane->waited_ns = totals->waited_ns;
    lane->has_waits = totals->has_waits;
    *out = lane;
    return SW_OK;
}

void sw_lanes_sweep(struct sw_past_lanes *lanes, int64_t cell) {
    size_t kept = 0;
    lanes->now_cell = cell;
    for (size_t i = 0; i < lanes->count; i++) {
        if (cell - lanes->items[i]->last_cell < SW_LANE_CELLS)
            lanes->items[kept++] = lanes->items[i];
        else
            sw_free(lanes->items[i]);
    }
    lanes->count = kept;
}

double sw_lane_percent(const struct sw_past_lane *lane, const sw_lane_share *shares, int64_t cell) {
    if (cell < 0 || cell > lane->last_cell || cell <= lane->last_cell - SW_LANE_CELLS)
        return NAN;
    sw_lane_share share = shares[cell % SW_LANE_CELLS];
    return share ? 100.0 * (share - 1) / SHARE_WHOLE : (double)NAN;
}

size_t sw_past_part_bytes(const struct sw_profile *profile) {
    /* a frame's texts, its entry in the index, and a node's and a total's */
    return profile->frame_cap * (sizeof *profile->frames + 160) + profile->node_cap * (sizeof *profile->nodes + 16) +
           profile->total_cap * (sizeof *profile->totals + 16) + profile->sample_cap * sizeof *profile->samples +
           profile->track_cap * sizeof *profile->tracks;
}

size_t sw_past_bytes(const struct sw_past *past) {
    size_t bytes = 0;
    for (unsigned i = 0; i < past->count; i++)
        bytes += sw_past_part_bytes(&past->parts[i]);
    return bytes;
}

static void drop(struct sw_past *past, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        sw_profile_release(&past->parts[i]);
    past->count -= count;
    memmove(past->parts, past->parts + count, past->count * sizeof *past->parts);
    memmove(past->ends_ns, past->ends_ns + count, past->count * sizeof *past->ends_ns);
}

void sw_past_release(struct sw_past *past) {
    drop(past, past->count);
}

bool sw_past_drop_oldest(struct sw_past *past) {
    if (past->count == 0)
        return false;
    drop(past, 1);
    return true;
}

void sw_past_add(struct sw_past *past, struct sw_profile *part, int64_t now_epoch_ns) {
    if (past->count == SW_PAST_PARTS - 1)
        drop(past, 1);
    past->parts[past->count] = *part;
    past->ends_ns[past->count++] = now_epoch_ns;
    *part = (struct sw_profile){0};
    while (sw_past_bytes(past) > SW_PAST_BYTES_MAX && past->count > 1)
        drop(past, 1);
}

void sw_past_drop_old(struct sw_past *past, int64_t before_epoch_ns) {
    unsigned count = 0;
    while (count < past->count && past->ends_ns[count] < before_epoch_ns)
        count++;
    if (count)
        drop(past, count);
}

/* Nodes of one profile in another, made as they are needed: callers are of smaller index. */
struct mapping {
    struct sw_profile *into;
    const struct sw_profile *from;
    uint32_t *nodes, *frames; /* UINT32_MAX: not made yet */
};

static enum sw_status frame_map(struct mapping *map, uint32_t frame, uint32_t *mapped) {
    enum sw_status status = SW_OK;
    if (map->frames[frame] == UINT32_MAX)
        status = sw_profile_add_frame(map->into, &map->from->frames[frame], &map->frames[frame]);
    *mapped = map->frames[frame];
    return status;
}

static enum sw_status node_make(struct mapping *map, uint32_t node) {
    uint32_t frame;
    enum sw_status status = frame_map(map, map->from->nodes[node].frame, &frame);
    return status == SW_OK
               ? sw_profile_add_node(map->into, map->nodes[map->from->nodes[node].parent], frame, &map->nodes[node])
               : status;
}

/* Marks the stacks that are wanted, callers last, then makes them, callers first. */
static enum sw_status nodes_map(struct mapping *map, size_t first_sample) {
    enum { WANTED = UINT32_MAX - 1 };
    const struct sw_profile *from = map->from;
    enum sw_status status = SW_OK;
    memset(map->nodes, 0xff, from->node_count * sizeof *map->nodes);
    memset(map->frames, 0xff, from->frame_count * sizeof *map->frames);
    for (size_t i = first_sample; i < from->sample_count; i++)
        map->nodes[from->samples[i].node] = WANTED;
    for (size_t i = from->node_count; i-- > 1;)
        if (map->nodes[i] == WANTED)
            map->nodes[from->nodes[i].parent] = WANTED;
    map->nodes[SW_PROFILE_ROOT] = SW_PROFILE_ROOT;
    for (size_t i = 1; i < from->node_count && status == SW_OK; i++)
        if (map->nodes[i] == WANTED)
            status = node_make(map, (uint32_t)i);
    return status;
}

static enum sw_status samples_add(const struct mapping *map, size_t first_sample) {
    const struct sw_profile *from = map->from;
    enum sw_status status = SW_OK;
    uint32_t from_track = UINT32_MAX, track = 0;
    for (size_t i = first_sample; i < from->sample_count && status == SW_OK; i++) {
        const struct sw_profile_sample *sample = &from->samples[i];
        if (sample->track != from_track)
            status = sw_profile_add_track(map->into, &from->tracks[sample->track], &track);
        from_track = sample->track;
        struct sw_profile_total total = {track, map->nodes[sample->node], 1, sample->weight_ns};
        if (status == SW_OK)
            status = sw_profile_add_total(map->into, &total);
    }
    return status;
}

enum sw_status sw_past_collect(struct sw_profile *into, const struct sw_profile *from, int64_t since_epoch_ns) {
    size_t first = from->sample_count;
    while (first > 0 && from->samples[first - 1].epoch_ns >= since_epoch_ns)
        first--;
    if (first == from->sample_count)
        return SW_OK;
    struct mapping map = {.into = into, .from = from};
    map.nodes = sw_alloc_array(from->node_count, sizeof *map.nodes);
    map.frames = sw_alloc_array(from->frame_count, sizeof *map.frames);
    enum sw_status status = map.nodes && map.frames ? nodes_map(&map, first) : SW_NOMEM;
    if (status == SW_OK)
        status = samples_add(&map, first);
    sw_free(map.nodes);
    sw_free(map.frames);
    return status;
}
