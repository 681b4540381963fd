/* slice.c - Open slices and their records; see slice.h. */
#include "engine/slice.h"

#include "base/mem.h"
#include "engine/record.h"
#include "engine/window.h"

#define INDEX_FIRST 16u /* slots of a new slice's index */

static uint32_t index_slot(uint32_t group, uint32_t mask) {
    return (group * 0x9e3779b1u) >> 7 & mask;
}

/* The record of a group that is not in `direct`; NULL when it has none. */
static char *index_find(const struct sw_slices *slices, const struct sw_slice *slice, uint32_t group) {
    if (slice->index_count == 0)
        return NULL;
    for (uint32_t at = index_slot(group, slice->index_mask); slice->index[at]; at = (at + 1) & slice->index_mask) {
        uint32_t position = slice->index[at] - 1;
        if (slice->groups[position] == group)
            return sw_slice_record(slice, slices->plan, position);
    }
    return NULL;
}

static enum sw_status index_grow(struct sw_slice *slice) {
    uint32_t slots = slice->index ? (slice->index_mask + 1) * 2 : INDEX_FIRST;
    uint32_t *index = sw_alloc_array_zero(slots, sizeof *index);
    if (!index)
        return SW_NOMEM;
    for (uint32_t i = 0; i < slice->group_count; i++) {
        if (slice->groups[i] < SW_SLICE_DIRECT)
            continue;
        uint32_t at = index_slot(slice->groups[i], slots - 1);
        while (index[at])
            at = (at + 1) & (slots - 1);
        index[at] = i + 1;
    }
    sw_free(slice->index);
    slice->index = index;
    slice->index_mask = slots - 1;
    return SW_OK;
}

static void slice_free(struct sw_slice *slice) {
    if (!slice)
        return;
    sw_free(slice->index);
    sw_free(slice->groups);
    sw_free(slice->blocks);
    sw_free(slice);
}

static enum sw_status block_add(struct sw_slices *slices, struct sw_slice *slice) {
    if (slice->block_count == slice->block_room) {
        uint32_t room = slice->block_room ? slice->block_room * 2 : 4;
        char **blocks = sw_realloc_array(slice->blocks, room, sizeof *blocks);
        if (!blocks)
            return SW_NOMEM;
        slice->blocks = blocks;
        slice->block_room = room;
    }
    char *block = slices->free_blocks;
    if (block) {
        memcpy(&slices->free_blocks, block, sizeof slices->free_blocks);
    } else {
        size_t bytes = (size_t)SW_SLICE_BLOCK * slices->plan->record_bytes;
        block = sw_alloc_aligned(64, bytes > sizeof(char *) ? bytes : sizeof(char *));
        if (!block)
            return SW_NOMEM;
        slices->bytes += bytes;
    }
    slice->blocks[slice->block_count++] = block;
    return SW_OK;
}

static enum sw_status groups_grow(struct sw_slice *slice) {
    uint32_t room = slice->group_room ? slice->group_room * 2 : SW_SLICE_BLOCK;
    uint32_t *groups = sw_realloc_array(slice->groups, room, sizeof *groups);
    if (!groups)
        return SW_NOMEM;
    slice->groups = groups;
    slice->group_room = room;
    return SW_OK;
}

static void index_put(struct sw_slice *slice, uint32_t group, uint32_t position_plus_one) {
    uint32_t at = index_slot(group, slice->index_mask);
    while (slice->index[at])
        at = (at + 1) & slice->index_mask;
    slice->index[at] = position_plus_one;
    slice->index_count++;
}

/* Adds `group`, which is not there. The index grows first: on SW_NOMEM the slice holds what it held. */
static enum sw_status group_add(struct sw_slices *slices, struct sw_slice *slice, uint32_t group, char **out) {
    enum sw_status status = SW_OK;
    if (group >= SW_SLICE_DIRECT && (slice->index_count + 1) * 2 > slice->index_mask)
        status = index_grow(slice);
    if (status == SW_OK && slice->group_count == slice->group_room)
        status = groups_grow(slice);
    if (status == SW_OK && slice->group_count == slice->block_count * SW_SLICE_BLOCK)
        status = block_add(slices, slice);
    if (status != SW_OK)
        return status;
    char *record = sw_slice_record(slice, slices->plan, slice->group_count);
    memcpy(record, slices->plan->blank, slices->plan->record_bytes);
    slice->groups[slice->group_count++] = group;
    if (group < SW_SLICE_DIRECT)
        slice->direct[group] = record;
    else
        index_put(slice, group, slice->group_count);
    *out = record;
    return SW_OK;
}

static enum sw_status open_insert(struct sw_slices *slices, uint32_t at, int64_t start_ns) {
    if (slices->open_count == slices->open_room) {
        uint32_t room = slices->open_room ? slices->open_room * 2 : 16;
        struct sw_slice **open = sw_realloc_array(slices->open, room, sizeof *open);
        if (!open)
            return SW_NOMEM;
        slices->open = open;
        slices->open_room = room;
    }
    struct sw_slice *slice = slices->free;
    if (slice)
        slices->free = slice->next_free;
    else
        slice = sw_alloc_zero(sizeof *slice);
    if (!slice)
        return SW_NOMEM;
    slice->start_ns = start_ns;
    memmove(slices->open + at + 1, slices->open + at, (slices->open_count - at) * sizeof *slices->open);
    slices->open[at] = slice;
    slices->open_count++;
    return SW_OK;
}

static enum sw_status slice_find(struct sw_slices *slices, int64_t time_ns, struct sw_slice **out) {
    int64_t window_ns = slices->plan->stream->window_ns;
    int64_t start_ns = slices->open_count > 0 ? slices->open[slices->open_count - 1]->start_ns + window_ns : 0;
    if (slices->open_count == 0 || (uint64_t)time_ns - (uint64_t)start_ns >= (uint64_t)window_ns)
        start_ns = sw_window_floor(time_ns, window_ns); /* mostly it is the next one */
    uint32_t at = slices->open_count;                   /* rows are mostly in order: look from the end */
    while (at > 0 && slices->open[at - 1]->start_ns > start_ns)
        at--;
    if (at == 0 || slices->open[at - 1]->start_ns != start_ns) {
        enum sw_status status = open_insert(slices, at, start_ns);
        if (status != SW_OK)
            return status;
        at++;
    }
    *out = slices->recent = slices->open[at - 1];
    return SW_OK;
}

static void slice_recycle(struct sw_slices *slices, struct sw_slice *slice) {
    const struct sw_plan *plan = slices->plan;
    if (plan->heap_count > 0)
        for (uint32_t i = 0; i < slice->group_count; i++)
            sw_record_release(plan, sw_slice_record(slice, plan, i));
    for (uint32_t i = 0; i < slice->block_count; i++) {
        memcpy(slice->blocks[i], &slices->free_blocks, sizeof slices->free_blocks);
        slices->free_blocks = slice->blocks[i];
    }
    for (uint32_t i = 0; i < slice->group_count; i++)
        if (slice->groups[i] < SW_SLICE_DIRECT)
            slice->direct[slice->groups[i]] = NULL;
    if (slice->index_count > 0)
        memset(slice->index, 0, (slice->index_mask + 1) * sizeof *slice->index);
    slice->group_count = slice->block_count = slice->index_count = 0;
    slice->is_changed = false;
    slice->next_free = slices->free;
    slices->free = slice;
    if (slices->recent == slice)
        slices->recent = NULL;
}

void sw_slices_init(struct sw_slices *slices, const struct sw_plan *plan) {
    *slices = (struct sw_slices){.plan = plan};
}

void sw_slices_release(struct sw_slices *slices) {
    sw_slices_drop(slices, slices->open_count);
    while (slices->free) {
        struct sw_slice *next = slices->free->next_free;
        slice_free(slices->free);
        slices->free = next;
    }
    while (slices->free_blocks) {
        char *next;
        memcpy(&next, slices->free_blocks, sizeof next);
        sw_free(slices->free_blocks);
        slices->free_blocks = next;
    }
    sw_free(slices->open);
    *slices = (struct sw_slices){0};
}

enum sw_status sw_slices_record(struct sw_slices *slices, int64_t time_ns, uint32_t group, char **record) {
    struct sw_slice *slice = slices->recent;
    if (!slice || (uint64_t)time_ns - (uint64_t)slice->start_ns >= (uint64_t)slices->plan->stream->window_ns) {
        enum sw_status status = slice_find(slices, time_ns, &slice);
        if (status != SW_OK)
            return status;
    }
    slice->is_changed = true;
    char *known = group < SW_SLICE_DIRECT ? slice->direct[group] : index_find(slices, slice, group);
    if (__builtin_expect(!known, 0))
        return group_add(slices, slice, group, record);
    *record = known;
    return SW_OK;
}

void sw_slices_drop(struct sw_slices *slices, uint32_t count) {
    if (count == 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        slice_recycle(slices, slices->open[i]);
    slices->open_count -= count;
    memmove(slices->open, slices->open + count, slices->open_count * sizeof *slices->open);
}
