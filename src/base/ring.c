/* ring.c - A bounded lock-free queue of pointers between one producer and one consumer. */
#include "base/ring.h"

#include <assert.h>
#include <stdint.h>

#include "base/mem.h"

enum sw_status sw_ring_init(struct sw_ring *ring, size_t capacity) {
    if (capacity == 0) {
        return SW_INVALID;
    }
    if (capacity > SIZE_MAX / 2 / sizeof(void *)) {
        return SW_NOMEM;
    }
    size_t rounded = 1;
    while (rounded < capacity) {
        rounded *= 2;
    }
    void **items = sw_alloc_array(rounded, sizeof(*items));
    if (!items) {
        return SW_NOMEM;
    }
    ring->items = items;
    ring->mask = rounded - 1;
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    ring->tail_seen = 0;
    ring->head_seen = 0;
    return SW_OK;
}

void sw_ring_release(struct sw_ring *ring) {
    sw_free(ring->items);
    ring->items = NULL;
    ring->mask = 0;
    atomic_store_explicit(&ring->head, 0, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, 0, memory_order_relaxed);
    ring->tail_seen = 0;
    ring->head_seen = 0;
}

/* Indices run on without wrapping at the capacity; their difference is the depth. */
bool sw_ring_push(struct sw_ring *ring, void *item) {
    assert(item); /* NULL is what pop says of an empty ring */
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - ring->head_seen > ring->mask) {
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail - ring->head_seen > ring->mask) {
            return false;
        }
    }
    ring->items[tail & ring->mask] = item;
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

void *sw_ring_pop(struct sw_ring *ring) {
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head == ring->tail_seen) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head == ring->tail_seen) {
            return NULL;
        }
    }
    void *item = ring->items[head & ring->mask];
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return item;
}

size_t sw_ring_depth(const struct sw_ring *ring) {
    /* Head first: it never overtakes tail, so the difference cannot be negative, only too large by what was pushed and
     * taken between the two loads. */
    size_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    size_t depth = tail - head;
    return depth > ring->mask + 1 ? ring->mask + 1 : depth;
}

size_t sw_ring_capacity(const struct sw_ring *ring) {
    return ring->items ? ring->mask + 1 : 0;
}
