/* map.h - Byte-string keys to 64-bit values: open addressing, linear probing, tombstone-free deletion.
 *
 * The map copies its keys. Zero is a valid empty map (its seed is drawn at the first insertion). One thread owns it.
 */
#ifndef SW_BASE_MAP_H
#define SW_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

struct sw_map_slot {
    uint64_t hash; /* 0 marks an empty slot; a key's hash is never 0 */
    struct sw_str key;
    uint64_t value;
};

struct sw_map {
    struct sw_map_slot *slots;
    size_t cap; /* a power of two, or 0 */
    size_t count;
    uint64_t seed;
};

void sw_map_release(struct sw_map *map);
bool sw_map_get(const struct sw_map *map, struct sw_str key, uint64_t *value);
/* Inserts or overwrites. On SW_NOMEM the map is as it was. */
SW_MUST_USE enum sw_status sw_map_put(struct sw_map *map, struct sw_str key, uint64_t value);
bool sw_map_remove(struct sw_map *map, struct sw_str key); /* false if it was not there */
/* Visits the entries in table order: start with *cursor = 0; false at the end. No insertion or removal meanwhile. */
bool sw_map_next(const struct sw_map *map, size_t *cursor, struct sw_str *key, uint64_t *value);

#endif
