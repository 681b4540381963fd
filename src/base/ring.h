/* ring.h - A bounded queue of pointers between exactly one producer and one consumer thread, lock-free.
 *
 * Indices live on cache lines of their own, each side caches the other's. Blocking is the callers' business: see
 * sw_parker in thread.h.
 */
#ifndef SW_BASE_RING_H
#define SW_BASE_RING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct sw_ring {
    void **items; /* owned */
    size_t mask;
    alignas(64) _Atomic size_t head; /* next to take; written by the consumer */
    size_t tail_seen;                /* consumer's copy of tail */
    alignas(64) _Atomic size_t tail; /* next to fill; written by the producer */
    size_t head_seen;                /* producer's copy of head */
};

/* `capacity` is rounded up to a power of two. */
SW_MUST_USE enum sw_status sw_ring_init(struct sw_ring *ring, size_t capacity);
void sw_ring_release(struct sw_ring *ring);          /* does not free the items */
bool sw_ring_push(struct sw_ring *ring, void *item); /* producer; false when full */
void *sw_ring_pop(struct sw_ring *ring);             /* consumer; NULL when empty */
size_t sw_ring_depth(const struct sw_ring *ring);    /* any thread; a snapshot */
size_t sw_ring_capacity(const struct sw_ring *ring);

#endif
