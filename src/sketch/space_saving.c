/* space_saving.c - Space-Saving over one block: entries, a heap by count, and a hash table. */
#include "sketch/space_saving.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum {
    SHORT_MAX = 27, /* makes an entry one cache line */
    LONG_BYTES = 256,
    ROOM_MIN = 8,
    CAPACITY_MAX = 1 << 24,
};

struct sw_space_saving_entry {
    uint64_t count;
    uint64_t error;
    uint64_t hash;
    char *long_bytes; /* owned; NULL until an item here needed more than SHORT_MAX */
    uint32_t heap_at;
    uint8_t len;
    char short_bytes[SHORT_MAX];
};

static uint64_t add_sticking(uint64_t a, uint64_t b) {
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint32_t capacity_of(const struct sw_space_saving *sketch) {
    if (sketch->capacity == 0) {
        return SW_SPACE_SAVING_CAPACITY;
    }
    return sketch->capacity < CAPACITY_MAX ? sketch->capacity : CAPACITY_MAX;
}

static struct sw_str item_of(const struct sw_space_saving_entry *entry) {
    return sw_str_make(entry->len > SHORT_MAX ? entry->long_bytes : entry->short_bytes, entry->len);
}

static struct sw_str cut_item(struct sw_str item) {
    return sw_str_make(item.ptr, item.len < SW_SPACE_SAVING_ITEM_MAX ? item.len : SW_SPACE_SAVING_ITEM_MAX);
}

/* The table has twice as many slots as there is room, rounded up to a power of two. */
static uint32_t slots_for(uint32_t room) {
    uint32_t slots = 2 * ROOM_MIN;
    while (slots < 2 * room) {
        slots *= 2;
    }
    return slots;
}

/* The slot that names the item's entry, or the free one where it belongs. */
static uint32_t *find_slot(const struct sw_space_saving *sketch, struct sw_str item, uint64_t hash) {
    uint32_t mask = sketch->slot_mask;
    uint32_t at = (uint32_t)hash & mask;
    for (; sketch->slots[at] != 0; at = (at + 1) & mask) {
        const struct sw_space_saving_entry *entry = &sketch->entries[sketch->slots[at] - 1];
        if (entry->hash == hash && sw_str_eq(item_of(entry), item)) {
            break;
        }
    }
    return &sketch->slots[at];
}

/* Empties the slot of an entry and moves back those that had to pass over it. */
static void remove_slot(struct sw_space_saving *sketch, uint32_t number) {
    uint32_t mask = sketch->slot_mask;
    uint32_t hole = (uint32_t)sketch->entries[number].hash & mask;
    while (sketch->slots[hole] != number + 1) {
        hole = (hole + 1) & mask;
    }
    for (uint32_t at = (hole + 1) & mask; sketch->slots[at] != 0; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)sketch->entries[sketch->slots[at] - 1].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            sketch->slots[hole] = sketch->slots[at];
            hole = at;
        }
    }
    sketch->slots[hole] = 0;
}

/* One block for all three arrays, zeroed; the entries go first, the hash table is filled anew. */
static enum sw_status grow(struct sw_space_saving *sketch, uint32_t room) {
    size_t entry_bytes = room * sizeof(struct sw_space_saving_entry);
    uint32_t slots = slots_for(room);
    char *block = sw_alloc_zero(entry_bytes + ((size_t)room + slots) * sizeof(uint32_t));
    if (!block) {
        return SW_NOMEM;
    }
    if (sketch->room > 0) { /* spare entries beyond `used` may own memory too */
        memcpy(block, sketch->entries, sketch->room * sizeof(struct sw_space_saving_entry));
    }
    sw_free(sketch->entries);
    sketch->entries = (struct sw_space_saving_entry *)(void *)block;
    sketch->heap = (uint32_t *)(void *)(block + entry_bytes);
    sketch->slots = sketch->heap + room;
    sketch->slot_mask = slots - 1;
    sketch->room = room;
    for (uint32_t i = 0; i < sketch->used; i++) {
        uint32_t at = (uint32_t)sketch->entries[i].hash & sketch->slot_mask;
        while (sketch->slots[at] != 0) {
            at = (at + 1) & sketch->slot_mask;
        }
        sketch->slots[at] = i + 1;
    }
    return SW_OK;
}

static enum sw_status reserve(struct sw_space_saving *sketch, uint32_t room) {
    uint32_t target = sketch->room > 0 ? sketch->room : ROOM_MIN;
    while (target < room) {
        target *= 2;
    }
    target = target < capacity_of(sketch) ? target : capacity_of(sketch);
    target = target < room ? room : target;
    return target > sketch->room ? grow(sketch, target) : SW_OK;
}

static enum sw_status entry_prepare(struct sw_space_saving_entry *entry, size_t len) {
    if (len <= SHORT_MAX || entry->long_bytes) {
        return SW_OK;
    }
    entry->long_bytes = sw_alloc(LONG_BYTES);
    return entry->long_bytes ? SW_OK : SW_NOMEM;
}

static void entry_set_item(struct sw_space_saving_entry *entry, struct sw_str item, uint64_t hash) {
    entry->len = (uint8_t)item.len;
    entry->hash = hash;
    if (item.len > 0) {
        memcpy(item.len > SHORT_MAX ? entry->long_bytes : entry->short_bytes, item.ptr, item.len);
    }
}

static void heap_place(struct sw_space_saving *sketch, uint32_t at, uint32_t number) {
    sketch->heap[at] = number;
    sketch->entries[number].heap_at = at;
}

/* Counts only rise, so entries only sink. */
static void heap_sink(struct sw_space_saving *sketch, uint32_t at) {
    uint32_t number = sketch->heap[at];
    uint64_t count = sketch->entries[number].count;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= sketch->used) {
            break;
        }
        if (child + 1 < sketch->used &&
            sketch->entries[sketch->heap[child + 1]].count < sketch->entries[sketch->heap[child]].count) {
            child++;
        }
        if (count <= sketch->entries[sketch->heap[child]].count) {
            break;
        }
        heap_place(sketch, at, sketch->heap[child]);
        at = child;
    }
    heap_place(sketch, at, number);
}

/* Nobody asks for the least entry before the sketch is full: until then there is no heap. */
static void heap_build(struct sw_space_saving *sketch) {
    for (uint32_t i = 0; i < sketch->used; i++) {
        heap_place(sketch, i, i);
    }
    for (uint32_t i = sketch->used / 2; i-- > 0;) {
        heap_sink(sketch, i);
    }
    sketch->is_heap = true;
}

static enum sw_status insert_new(struct sw_space_saving *sketch, struct sw_str item, uint64_t hash, uint64_t weight) {
    enum sw_status status = reserve(sketch, sketch->used + 1);
    if (status != SW_OK) {
        return status;
    }
    struct sw_space_saving_entry *entry = &sketch->entries[sketch->used];
    status = entry_prepare(entry, item.len);
    if (status != SW_OK) {
        return status;
    }
    uint32_t *slot = find_slot(sketch, item, hash); /* growing moved it */
    entry_set_item(entry, item, hash);
    entry->error = sketch->floor;
    entry->count = add_sticking(sketch->floor, weight);
    *slot = ++sketch->used;
    return SW_OK;
}

static enum sw_status replace_least(struct sw_space_saving *sketch, struct sw_str item, uint64_t hash,
                                    uint64_t weight) {
    if (!sketch->is_heap) {
        heap_build(sketch);
    }
    uint32_t number = sketch->heap[0];
    struct sw_space_saving_entry *entry = &sketch->entries[number];
    enum sw_status status = entry_prepare(entry, item.len);
    if (status != SW_OK) {
        return status;
    }
    remove_slot(sketch, number);
    *find_slot(sketch, item, hash) = number + 1;
    entry_set_item(entry, item, hash);
    sketch->floor = sketch->floor > entry->count ? sketch->floor : entry->count;
    entry->error = entry->count;
    entry->count = add_sticking(entry->count, weight);
    heap_sink(sketch, 0);
    return SW_OK;
}

/* By falling count, then rising bytes. */
static int compare_items(const void *a, const void *b) {
    const struct sw_space_saving_item *left = a, *right = b;
    if (left->count != right->count) {
        return left->count > right->count ? -1 : 1;
    }
    return sw_str_compare(left->item, right->item);
}

static const struct sw_space_saving_entry *find_entry(const struct sw_space_saving *sketch,
                                                      const struct sw_space_saving_entry *like) {
    if (sketch->used == 0) {
        return NULL;
    }
    uint32_t slot = *find_slot(sketch, item_of(like), like->hash);
    return slot != 0 ? &sketch->entries[slot - 1] : NULL;
}

/* Every item of both, with the sums of the bounds of both; returns how many. */
static size_t sum_items(const struct sw_space_saving *a, const struct sw_space_saving *b,
                        struct sw_space_saving_item *items) {
    const struct sw_space_saving *sides[2] = {a, b};
    size_t count = 0;
    for (int side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < sides[side]->used; i++) {
            const struct sw_space_saving_entry *entry = &sides[side]->entries[i];
            const struct sw_space_saving_entry *other = find_entry(sides[!side], entry);
            if (side == 1 && other) {
                continue; /* came with the first side */
            }
            items[count++] = (struct sw_space_saving_item){
                .item = item_of(entry),
                .count = add_sticking(entry->count, other ? other->count : sides[!side]->floor),
                .error = add_sticking(entry->error, other ? other->error : sides[!side]->floor),
            };
        }
    }
    return count;
}

/* Fills an empty sketch with items that all differ. */
static enum sw_status fill(struct sw_space_saving *sketch, const struct sw_space_saving_item *items, size_t count) {
    enum sw_status status = reserve(sketch, (uint32_t)count);
    for (size_t i = 0; i < count && status == SW_OK; i++) {
        status = insert_new(sketch, items[i].item, sw_hash_bytes(items[i].item.ptr, items[i].item.len, 0), 0);
        if (status == SW_OK) {
            sketch->entries[i].count = items[i].count;
            sketch->entries[i].error = items[i].error;
        }
    }
    return status;
}

/* Inserts the candidate among the best `kept` of at most `k`, if it is one; returns how many they are. */
static size_t keep_best(struct sw_space_saving_item *items, size_t kept, size_t k,
                        struct sw_space_saving_item candidate) {
    if (kept == k && (k == 0 || compare_items(&candidate, &items[k - 1]) > 0)) {
        return kept;
    }
    size_t at = kept < k ? kept++ : k - 1;
    for (; at > 0 && compare_items(&candidate, &items[at - 1]) < 0; at--) {
        items[at] = items[at - 1];
    }
    items[at] = candidate;
    return kept;
}

void sw_space_saving_release(struct sw_space_saving *sketch) {
    for (uint32_t i = 0; i < sketch->room; i++) {
        sw_free(sketch->entries[i].long_bytes);
    }
    sw_free(sketch->entries);
    *sketch = (struct sw_space_saving){.capacity = sketch->capacity};
}

void sw_space_saving_clear(struct sw_space_saving *sketch) {
    if (sketch->used > 0) {
        memset(sketch->slots, 0, ((size_t)sketch->slot_mask + 1) * sizeof(uint32_t));
    }
    sketch->used = 0;
    sketch->is_heap = false;
    sketch->total = 0;
    sketch->floor = 0;
}

enum sw_status sw_space_saving_add(struct sw_space_saving *sketch, struct sw_str item, uint64_t weight) {
    if (weight == 0) {
        return SW_OK;
    }
    item = cut_item(item);
    uint64_t hash = sw_hash_bytes(item.ptr, item.len, 0);
    uint32_t slot = sketch->used > 0 ? *find_slot(sketch, item, hash) : 0;
    enum sw_status status = SW_OK;
    if (slot != 0) {
        struct sw_space_saving_entry *entry = &sketch->entries[slot - 1];
        entry->count = add_sticking(entry->count, weight);
        if (sketch->is_heap) {
            heap_sink(sketch, entry->heap_at);
        }
    } else if (sketch->used < capacity_of(sketch)) {
        status = insert_new(sketch, item, hash, weight);
    } else {
        status = replace_least(sketch, item, hash, weight);
    }
    if (status == SW_OK) {
        sketch->total = add_sticking(sketch->total, weight);
    }
    return status;
}

enum sw_status sw_space_saving_merge(struct sw_space_saving *into, const struct sw_space_saving *from) {
    uint32_t capacity = capacity_of(into);
    uint64_t floor = add_sticking(into->floor, from->floor);
    struct sw_space_saving merged = {.capacity = into->capacity};
    struct sw_space_saving_item *items = sw_alloc_array((size_t)into->used + from->used, sizeof(*items));
    if (!items) {
        return SW_NOMEM;
    }
    size_t count = sum_items(into, from, items);
    qsort(items, count, sizeof(*items), compare_items);
    if (count > capacity) {
        floor = floor > items[capacity].count ? floor : items[capacity].count;
        count = capacity;
    }
    enum sw_status status = fill(&merged, items, count);
    sw_free(items);
    if (status != SW_OK) {
        sw_space_saving_release(&merged);
        return status;
    }
    merged.floor = floor;
    merged.total = add_sticking(into->total, from->total);
    sw_space_saving_release(into);
    *into = merged;
    return SW_OK;
}

size_t sw_space_saving_top(const struct sw_space_saving *sketch, size_t k, struct sw_space_saving_item *items) {
    size_t kept = 0;
    for (uint32_t i = 0; i < sketch->used; i++) {
        const struct sw_space_saving_entry *entry = &sketch->entries[i];
        struct sw_space_saving_item candidate = {item_of(entry), entry->count, entry->error};
        kept = keep_best(items, kept, k, candidate);
    }
    return kept;
}
