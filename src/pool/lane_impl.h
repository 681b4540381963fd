/* lane_impl.h - What both sides of a lane know of its words. */
#ifndef SW_POOL_LANE_IMPL_H
#define SW_POOL_LANE_IMPL_H

#include <stdint.h>

#include "pool/lane.h"

#define WAKE_ARMED (UINT64_C(1) << 32)
#define WAKE_FAILURE (UINT64_C(1) << 33)

static inline uint32_t window_claimed(uint64_t window) {
    return (uint32_t)window;
}
static inline uint32_t window_limit(uint64_t window) {
    return (uint32_t)(window >> 32);
}
static inline uint64_t window_make(uint32_t claimed, uint32_t limit) {
    return (uint64_t)limit << 32 | claimed;
}
/* The word `running` while a task runs; + 1 once it is condemned. 0: none runs. */
static inline uint64_t running_word(uint32_t number) {
    return ((uint64_t)number + 1) << 1;
}
/* How many bytes a run of `size` bytes skips that would begin at `at`. */
static inline uint64_t run_skip(uint64_t at, uint64_t size) {
    uint64_t rest = SW_LANE_RING_BYTES - at % SW_LANE_RING_BYTES;
    return size <= rest ? 0 : rest;
}

#endif
