/* deadlock.h - Cycles among those who wait for each other. */
#ifndef SW_PROBE_DEADLOCK_H
#define SW_PROBE_DEADLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* `from` cannot go on before `to` does. */
struct sw_wait_edge {
    uint32_t from, to;
};

struct sw_cycles {
    uint32_t *members; /* of all cycles, one behind the other; each member waits for the next, the last for the first */
    size_t *ends;      /* where each cycle ends in `members` */
    size_t count;
};

/* Finds cycles that have no member in common: every member of some cycle is in one, or waits for one. A cycle begins with
 * its least member. `node_count` nodes; edges with others are an error (SW_INVALID). Takes time in proportion to both. */
SW_MUST_USE enum sw_status sw_cycles_find(const struct sw_wait_edge *edges, size_t edge_count, size_t node_count,
                                          struct sw_cycles *cycles);
void sw_cycles_release(struct sw_cycles *cycles);

#endif
