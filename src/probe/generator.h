/* generator.h - Coroutines, generators and asynchronous generators of a target: where they stand, what they await. */
#ifndef SW_PROBE_GENERATOR_H
#define SW_PROBE_GENERATOR_H

#include "probe/object.h"
#include "probe/stack.h"

#define SW_AWAIT_DEPTH_MAX 1024

enum sw_generator_state {
    SW_GENERATOR_CREATED, /* not started */
    SW_GENERATOR_SUSPENDED,
    SW_GENERATOR_RUNNING,
    SW_GENERATOR_DONE,
};

struct sw_generator {
    enum sw_generator_state state;
    struct sw_frame frame; /* code is NULL when it is done */
    uint64_t top;          /* of its evaluation stack while suspended: what it awaits or delegates to; 0: nothing */
};

/* SW_IO: the object is no generator of any kind. */
SW_MUST_USE enum sw_status sw_generator_read(struct sw_objects *objects, struct sw_code_cache *codes, uint64_t object,
                                             struct sw_generator *generator);
/* What `object`, an awaitable, stands for: the generator itself, the one behind a wrapper, or the future behind an
 * iterator over it. */
uint64_t sw_awaitable_resolve(struct sw_objects *objects, uint64_t object, bool *is_generator);

#endif
