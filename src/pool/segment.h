/* segment.h - All the shared memory of a pool: one anonymous file, mapped once, gone with the last process that has it.
 *
 * It holds a lane and a slab arena for each worker, and the owner's arena. The arenas are address space, not memory:
 * pages exist once touched. Nothing has a name, so nothing can be left in /dev/shm.
 */
#ifndef SW_POOL_SEGMENT_H
#define SW_POOL_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "pool/lane.h"
#include "pool/slab.h"

#define SW_SEGMENT_WORKERS 1024u

struct sw_segment {
    unsigned char *base; /* owned mapping */
    size_t size;
    int fd; /* owned; close-on-exec */
    unsigned workers;
    uint64_t arena_bytes; /* of each arena */
};

SW_MUST_USE enum sw_status sw_segment_create(unsigned workers, struct sw_segment *segment, struct sw_error *err);
/* Maps what another process created; takes `fd`. */
SW_MUST_USE enum sw_status sw_segment_attach(int fd, struct sw_segment *segment, struct sw_error *err);
void sw_segment_release(struct sw_segment *segment); /* unmaps and closes */

struct sw_lane_shared *sw_segment_lane(const struct sw_segment *segment, unsigned worker);
/* Arena 0 is the owner's, worker w has w + 1. */
struct sw_slab_shared *sw_segment_slabs(const struct sw_segment *segment, unsigned arena);
unsigned char *sw_segment_arena(const struct sw_segment *segment, unsigned arena);

#endif
