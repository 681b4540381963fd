/* space_saving.h - Space-Saving: the heaviest strings of a stream in bounded memory (Metwally et al. 2005).
 *
 * Zero is a valid empty sketch with the default capacity. Exact while no more than `capacity` distinct items were
 * seen; beyond that, for every item listed: count - error <= true weight <= count, error <= total / capacity, and
 * every item heavier than total / capacity is listed. Merging keeps these bounds over any tree of merges of sketches
 * of one capacity (Agarwal et al., "Mergeable summaries", 2012), is commutative to the byte, and exact, hence
 * associative, as long as the union fits the capacity. Ties are broken by item bytes. Items longer than 255 bytes are
 * cut to that length.
 *
 * Not thread-safe: one writer owns it. At most about 340 bytes per unit of capacity.
 */
#ifndef SW_SKETCH_SPACE_SAVING_H
#define SW_SKETCH_SPACE_SAVING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

#define SW_SPACE_SAVING_CAPACITY 100 /* the default: ten times the usual top 10 */
#define SW_SPACE_SAVING_ITEM_MAX 255

struct sw_space_saving_entry;

struct sw_space_saving {
    struct sw_space_saving_entry *entries; /* owned, one block with the two arrays below */
    uint32_t *heap;                        /* entry numbers, least count first; kept only while is_heap */
    uint32_t *slots;                       /* hash table of entry numbers + 1 */
    uint32_t slot_mask;
    uint32_t used;
    uint32_t room;     /* entries the block holds */
    uint32_t capacity; /* set before the first item, e.g. 10 * k; 0 means the default */
    bool is_heap;
    uint64_t total; /* weight added; sums stick at UINT64_MAX */
    uint64_t floor; /* no item that is not listed weighs more */
};

struct sw_space_saving_item {
    struct sw_str item; /* points into the sketch, until it changes */
    uint64_t count;     /* upper bound of the weight */
    uint64_t error;     /* count - error is the lower bound */
};

void sw_space_saving_release(struct sw_space_saving *sketch); /* frees and zeroes, all but the capacity */
void sw_space_saving_clear(struct sw_space_saving *sketch);   /* empty again; keeps the memory */

/* A weight of 0 does nothing. On SW_NOMEM the sketch is as it was. */
SW_MUST_USE enum sw_status sw_space_saving_add(struct sw_space_saving *sketch, struct sw_str item, uint64_t weight);
/* `into` keeps its capacity. On SW_NOMEM it is as it was. */
SW_MUST_USE enum sw_status sw_space_saving_merge(struct sw_space_saving *into, const struct sw_space_saving *from);

/* Writes the `k` heaviest to items[], by falling count, then rising bytes; returns how many (fewer when there are
 * fewer). */
size_t sw_space_saving_top(const struct sw_space_saving *sketch, size_t k, struct sw_space_saving_item *items);

#endif
