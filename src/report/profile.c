/* profile.c - Interns frames, stacks and tracks, and adds samples up in a table of integers. */
#include "report/profile.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "report/profile_impl.h"

#define INDEX_SMALLEST_CAP 64u
#define ARRAY_SMALLEST_CAP 16u
#define KEY_ON_STACK 512u /* longer keys are built on the heap; a name and a path rarely are */

/* A pair of 32-bit numbers to the place of what they name. At most half full, so a probe meets 1.5 slots on average. */
struct sw_profile_index {
    size_t cap; /* a power of two */
    size_t count;
    uint64_t seed;
    struct slot {
        uint64_t pair;
        uint64_t place; /* + 1; 0: empty */
    } slots[];
};

/* What stands before a frame's or track's texts in its key. `len` keeps ("ab", "c") from being ("a", "bc"). */
struct key_head {
    uint64_t len;
    int32_t a, b;
};

static struct slot *index_find(struct sw_profile_index *index, uint64_t pair) {
    size_t mask = index->cap - 1;
    size_t at = (size_t)sw_hash_u64(pair ^ index->seed) & mask;
    while (index->slots[at].place && index->slots[at].pair != pair)
        at = (at + 1) & mask;
    return &index->slots[at];
}

/* The slot of `pair`, which is empty where it is not known yet; NULL when there is no memory for one more. */
static struct slot *index_slot(struct sw_profile_index **index, uint64_t pair) {
    struct sw_profile_index *old = *index;
    if (old) {
        struct slot *slot = index_find(old, pair);
        if (slot->place || old->count < old->cap / 2)
            return slot;
    }
    size_t cap = old ? old->cap * 2 : INDEX_SMALLEST_CAP;
    if (cap > (SIZE_MAX - sizeof *old) / sizeof(struct slot))
        return NULL;
    struct sw_profile_index *grown = sw_alloc_zero(sizeof *grown + cap * sizeof(struct slot));
    if (!grown)
        return NULL;
    grown->cap = cap;
    grown->seed = old ? old->seed : sw_hash_seed();
    grown->count = old ? old->count : 0;
    for (size_t i = 0; old && i < old->cap; i++)
        if (old->slots[i].place)
            *index_find(grown, old->slots[i].pair) = old->slots[i];
    sw_free(old);
    *index = grown;
    return index_find(grown, pair);
}

static void index_fill(struct sw_profile_index *index, struct slot *slot, uint64_t pair, size_t place) {
    *slot = (struct slot){pair, place + 1};
    index->count++;
}

struct array {
    void *items; /* where the pointer to the items is */
    size_t *cap;
    size_t count;
    size_t item_bytes;
};

/* Room for `extra` items. Places are 32 bits wide. */
static enum sw_status array_reserve(const struct array *array, size_t extra) {
    if (extra > UINT32_MAX - 1 - array->count)
        return SW_LIMIT;
    if (extra <= *array->cap - array->count)
        return SW_OK;
    size_t wanted = *array->cap ? *array->cap * 2 : ARRAY_SMALLEST_CAP;
    wanted = wanted < array->count + extra ? array->count + extra : wanted;
    void *items;
    memcpy(&items, array->items, sizeof items);
    items = sw_realloc_array(items, wanted, array->item_bytes);
    if (!items)
        return SW_NOMEM;
    memcpy(array->items, &items, sizeof items);
    *array->cap = wanted;
    return SW_OK;
}

#define RESERVE(profile, what, extra) \
    array_reserve(&(struct array){&(profile)->what##s, &(profile)->what##_cap, (profile)->what##_count, \
                                  sizeof *(profile)->what##s}, \
                  extra)

static enum sw_status root_ensure(struct sw_profile *profile) {
    if (profile->node_count)
        return SW_OK;
    enum sw_status status = RESERVE(profile, node, 1);
    if (status == SW_OK) {
        profile->nodes[0] = (struct sw_profile_node){0};
        profile->node_count = 1;
    }
    return status;
}

/* `key` is in `room` or, when it does not fit, on the heap. */
static enum sw_status key_make(const struct key_head *head, const struct sw_str texts[2], char *room,
                               struct sw_str *key) {
    size_t len = sizeof *head + texts[0].len + texts[1].len;
    char *at = len <= KEY_ON_STACK ? room : sw_alloc(len);
    if (!at)
        return SW_NOMEM;
    *key = sw_str_make(at, len);
    memcpy(at, head, sizeof *head);
    if (texts[0].len)
        memcpy(at + sizeof *head, texts[0].ptr, texts[0].len);
    if (texts[1].len)
        memcpy(at + sizeof *head + texts[0].len, texts[1].ptr, texts[1].len);
    return SW_OK;
}

static void key_release(struct sw_str key, const char *room) {
    if (key.ptr != room)
        sw_free((void *)(uintptr_t)key.ptr);
}

static enum sw_status frame_new(struct sw_profile *profile, const struct sw_profile_frame *frame, struct sw_str key) {
    enum sw_status status = root_ensure(profile);
    if (status == SW_OK)
        status = RESERVE(profile, frame, 1);
    if (status != SW_OK)
        return status;
    struct sw_profile_frame copy = *frame;
    copy.name = sw_arena_copy(&profile->text, frame->name);
    copy.file = sw_arena_copy(&profile->text, frame->file);
    if (!copy.name.ptr || !copy.file.ptr || sw_map_put(&profile->frame_index, key, profile->frame_count) != SW_OK)
        return SW_NOMEM;
    profile->frames[profile->frame_count++] = copy;
    return SW_OK;
}

static enum sw_status track_new(struct sw_profile *profile, const struct sw_profile_track *track, struct sw_str key) {
    enum sw_status status = root_ensure(profile);
    if (status == SW_OK)
        status = RESERVE(profile, track, 1);
    if (status != SW_OK)
        return status;
    struct sw_profile_track copy = *track;
    copy.process = sw_arena_copy(&profile->text, track->process);
    copy.thread = sw_arena_copy(&profile->text, track->thread);
    if (!copy.process.ptr || !copy.thread.ptr || sw_map_put(&profile->track_index, key, profile->track_count) != SW_OK)
        return SW_NOMEM;
    profile->tracks[profile->track_count++] = copy;
    return SW_OK;
}

void sw_profile_release(struct sw_profile *profile) {
    sw_free(profile->frames);
    sw_free(profile->nodes);
    sw_free(profile->tracks);
    sw_free(profile->totals);
    sw_free(profile->samples);
    sw_arena_release(&profile->text);
    sw_map_release(&profile->frame_index);
    sw_map_release(&profile->track_index);
    sw_free(profile->node_index);
    sw_free(profile->total_index);
    *profile = (struct sw_profile){0};
}

enum sw_status sw_profile_add_frame(struct sw_profile *profile, const struct sw_profile_frame *frame, uint32_t *index) {
    char room[KEY_ON_STACK];
    struct sw_str key;
    struct key_head head = {frame->name.len, frame->line, (int32_t)frame->kind};
    enum sw_status status = key_make(&head, (struct sw_str[2]){frame->name, frame->file}, room, &key);
    if (status != SW_OK)
        return status;
    uint64_t place = profile->frame_count;
    if (!sw_map_get(&profile->frame_index, key, &place))
        status = frame_new(profile, frame, key);
    key_release(key, room);
    if (status == SW_OK)
        *index = (uint32_t)place;
    return status;
}

enum sw_status sw_profile_add_node(struct sw_profile *profile, uint32_t parent, uint32_t frame, uint32_t *node) {
    enum sw_status status = root_ensure(profile);
    if (status != SW_OK)
        return status;
    if (parent >= profile->node_count || frame >= profile->frame_count)
        return SW_INVALID;
    uint64_t pair = (uint64_t)parent << 32 | frame;
    struct slot *slot = index_slot(&profile->node_index, pair);
    if (!slot)
        return SW_NOMEM;
    if (!slot->place) {
        status = RESERVE(profile, node, 1);
        if (status != SW_OK)
            return status;
        uint32_t depth = profile->nodes[parent].depth + 1;
        profile->nodes[profile->node_count] = (struct sw_profile_node){parent, frame, depth};
        index_fill(profile->node_index, slot, pair, profile->node_count++);
    }
    *node = (uint32_t)(slot->place - 1);
    return SW_OK;
}

enum sw_status sw_profile_add_track(struct sw_profile *profile, const struct sw_profile_track *track, uint32_t *index) {
    char room[KEY_ON_STACK];
    struct sw_str key;
    struct key_head head = {track->process.len, track->pid, track->tid};
    enum sw_status status = key_make(&head, (struct sw_str[2]){track->process, {NULL, 0}}, room, &key);
    if (status != SW_OK)
        return status;
    uint64_t place = profile->track_count;
    if (!sw_map_get(&profile->track_index, key, &place))
        status = track_new(profile, track, key);
    key_release(key, room);
    if (status == SW_OK)
        *index = (uint32_t)place;
    return status;
}

enum sw_status sw_profile_add_total(struct sw_profile *profile, const struct sw_profile_total *total) {
    enum sw_status status = root_ensure(profile);
    if (status != SW_OK)
        return status;
    if (total->track >= profile->track_count || total->node >= profile->node_count)
        return SW_INVALID;
    uint64_t pair = (uint64_t)total->track << 32 | total->node;
    struct slot *slot = index_slot(&profile->total_index, pair);
    if (!slot)
        return SW_NOMEM;
    if (!slot->place) {
        status = RESERVE(profile, total, 1);
        if (status != SW_OK)
            return status;
        profile->totals[profile->total_count] = (struct sw_profile_total){total->track, total->node, 0, 0};
        index_fill(profile->total_index, slot, pair, profile->total_count++);
    }
    struct sw_profile_total *sum = &profile->totals[slot->place - 1];
    sum->count = sw_profile_sum_u64(sum->count, total->count);
    sum->weight_ns = sw_profile_sum_ns(sum->weight_ns, total->weight_ns);
    return SW_OK;
}

enum sw_status sw_profile_add_sample(struct sw_profile *profile, const struct sw_profile_sample *sample) {
    if (profile->keeps_samples) {
        enum sw_status status = RESERVE(profile, sample, 1);
        if (status != SW_OK)
            return status;
    }
    enum sw_status status =
        sw_profile_add_total(profile, &(struct sw_profile_total){sample->track, sample->node, 1, sample->weight_ns});
    if (status == SW_OK && profile->keeps_samples)
        profile->samples[profile->sample_count++] = *sample;
    return status;
}

enum sw_status sw_profile_reserve(struct sw_profile *profile, size_t totals, size_t samples) {
    enum sw_status status = RESERVE(profile, total, totals);
    return status == SW_OK ? RESERVE(profile, sample, samples) : status;
}

enum sw_status sw_profile_describe(struct sw_profile *profile, const struct sw_profile_about *about) {
    struct sw_profile_about copy = *about;
    copy.what = sw_arena_copy(&profile->text, about->what);
    copy.command = sw_arena_copy(&profile->text, about->command);
    copy.reason = sw_arena_copy(&profile->text, about->reason);
    if (!copy.what.ptr || !copy.command.ptr || !copy.reason.ptr)
        return SW_NOMEM;
    profile->about = copy;
    return SW_OK;
}
