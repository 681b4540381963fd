/* slice.h - The open windows of one stream on one worker: time to slice, group to record.
 *
 * A slice is the smallest span of event time that windows share; tumbling windows are one slice each. Slices keep their records in
 * blocks that never move, and give the blocks back for the next slice. One thread owns a set.
 */
#ifndef SW_ENGINE_SLICE_H
#define SW_ENGINE_SLICE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/plan.h"

#define SW_SLICE_BLOCK 8u   /* records in a block */
#define SW_SLICE_DIRECT 64u /* groups with an id below this are found without a search */

struct sw_slice {
    int64_t start_ns;
    uint32_t group_count;
    uint32_t index_count; /* groups in `index`: those not in `direct` */
    uint32_t index_mask;  /* slots - 1 */
    uint32_t *index;      /* open addressing: position in `groups` + 1, 0 where empty; NULL until needed */
    uint32_t *groups;     /* in the order of their first row */
    uint32_t group_room;
    char **blocks;
    uint32_t block_count, block_room;
    bool is_changed; /* since it was last looked at for a view */
    struct sw_slice *next_free;
    char *direct[SW_SLICE_DIRECT]; /* the record of each group with so small an id; NULL where there is none */
};

struct sw_slices {
    const struct sw_plan *plan; /* borrowed */
    struct sw_slice **open;     /* by start */
    uint32_t open_count, open_room;
    struct sw_slice *recent; /* the one the last row went to */
    struct sw_slice *free;
    char *free_blocks; /* linked through their first bytes */
    size_t bytes;      /* of all memory held, without the heaps of sketches */
};

void sw_slices_init(struct sw_slices *slices, const struct sw_plan *plan);
void sw_slices_release(struct sw_slices *slices);
/* The record of (time, group), made blank when new. */
SW_MUST_USE enum sw_status sw_slices_record(struct sw_slices *slices, int64_t time_ns, uint32_t group, char **record);
/* Forgets the first (oldest) `count` open slices and recycles their memory. */
void sw_slices_drop(struct sw_slices *slices, uint32_t count);

static inline char *sw_slice_record(const struct sw_slice *slice, const struct sw_plan *plan, uint32_t position) {
    return slice->blocks[position / SW_SLICE_BLOCK] + (size_t)(position % SW_SLICE_BLOCK) * plan->record_bytes;
}

#endif
