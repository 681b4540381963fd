/* map.c - Byte-string keys to 64-bit values: linear probing with backward-shift deletion. */
#include "base/map.h"

#include <stdatomic.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define SMALLEST_CAP 16

static _Atomic uint64_t maps_made;

static uint64_t hash_of(const struct sw_map *map, struct sw_str key) {
    uint64_t hash = sw_hash_bytes(key.ptr, key.len, map->seed);
    return hash ? hash : 1;
}

/* The slot of `key`, or the empty one where it belongs. Ends because a quarter of the slots is always empty. */
static struct sw_map_slot *find(const struct sw_map *map, struct sw_str key, uint64_t hash) {
    size_t mask = map->cap - 1;
    for (size_t at = (size_t)hash & mask;; at = (at + 1) & mask) {
        struct sw_map_slot *slot = &map->slots[at];
        if (slot->hash == 0 || (slot->hash == hash && sw_str_eq(slot->key, key))) {
            return slot;
        }
    }
}

static enum sw_status grow(struct sw_map *map) {
    size_t cap = map->cap ? map->cap * 2 : SMALLEST_CAP;
    struct sw_map_slot *slots = sw_alloc_array_zero(cap, sizeof(*slots));
    if (!slots) {
        return SW_NOMEM;
    }
    if (!map->cap) {
        /* A seed of its own: filling a map in the table order of another one with the same seed would be quadratic. A
         * counter, since two maps may get their first slots at one address. */
        map->seed = sw_hash_u64(sw_hash_seed() + atomic_fetch_add_explicit(&maps_made, 1, memory_order_relaxed));
    }
    for (size_t i = 0; i < map->cap; i++) {
        size_t at = (size_t)map->slots[i].hash & (cap - 1);
        if (map->slots[i].hash) {
            while (slots[at].hash) {
                at = (at + 1) & (cap - 1);
            }
            slots[at] = map->slots[i];
        }
    }
    sw_free(map->slots);
    map->slots = slots;
    map->cap = cap;
    return SW_OK;
}

void sw_map_release(struct sw_map *map) {
    for (size_t i = 0; i < map->cap; i++) {
        if (map->slots[i].hash) {
            sw_free((void *)(uintptr_t)map->slots[i].key.ptr);
        }
    }
    sw_free(map->slots);
    *map = (struct sw_map){0};
}

bool sw_map_get(const struct sw_map *map, struct sw_str key, uint64_t *value) {
    if (map->count == 0) {
        return false;
    }
    const struct sw_map_slot *slot = find(map, key, hash_of(map, key));
    if (slot->hash == 0) {
        return false;
    }
    *value = slot->value;
    return true;
}

enum sw_status sw_map_put(struct sw_map *map, struct sw_str key, uint64_t value) {
    if (map->count > 0) {
        struct sw_map_slot *known = find(map, key, hash_of(map, key));
        if (known->hash) {
            known->value = value;
            return SW_OK;
        }
    }
    char *copy = sw_alloc(key.len);
    if (!copy) {
        return SW_NOMEM;
    }
    if (key.len > 0) {
        memcpy(copy, key.ptr, key.len);
    }
    if (map->count + 1 > map->cap - map->cap / 4 && grow(map) != SW_OK) {
        sw_free(copy);
        return SW_NOMEM;
    }
    uint64_t hash = hash_of(map, key);
    *find(map, key, hash) = (struct sw_map_slot){.hash = hash, .key = {copy, key.len}, .value = value};
    map->count++;
    return SW_OK;
}

bool sw_map_remove(struct sw_map *map, struct sw_str key) {
    if (map->count == 0) {
        return false;
    }
    struct sw_map_slot *slot = find(map, key, hash_of(map, key));
    if (slot->hash == 0) {
        return false;
    }
    sw_free((void *)(uintptr_t)slot->key.ptr);
    size_t mask = map->cap - 1;
    size_t hole = (size_t)(slot - map->slots);
    for (size_t at = (hole + 1) & mask; map->slots[at].hash; at = (at + 1) & mask) {
        /* An entry may move into the hole unless its home lies behind it: then a probe would no longer meet it. */
        size_t home = (size_t)map->slots[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = (struct sw_map_slot){0};
    map->count--;
    return true;
}

bool sw_map_next(const struct sw_map *map, size_t *cursor, struct sw_str *key, uint64_t *value) {
    for (; *cursor < map->cap; (*cursor)++) {
        const struct sw_map_slot *slot = &map->slots[*cursor];
        if (slot->hash) {
            *key = slot->key;
            *value = slot->value;
            (*cursor)++;
            return true;
        }
    }
    return false;
}
