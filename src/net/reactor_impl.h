/* reactor_impl.h - What a backend of the reactor provides, and the parts of the reactor it works on.
 *
 * A backend turns kernel events into (token, events) pairs. Readiness (epoll) needs nothing else. A completion backend
 * (io_uring) serves watches with multishot polls in the same way; streams already have the contract of completions (see
 * stream.h), so that receives into its buffer ring and sends from the queue's chunks can replace the calls in stream.c.
 */
#ifndef SW_NET_REACTOR_IMPL_H
#define SW_NET_REACTOR_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "net/reactor.h"

#define SW_REACTOR_EVENTS_MAX 256
#define SW_REACTOR_TIMERS_MAX 1024
#define SW_REACTOR_SPARE_BYTES ((size_t)4096)
#define SW_REACTOR_SPARES_MAX 128
#define SW_REACTOR_SCRATCH_BYTES ((size_t)64 * 1024)

struct sw_reactor_event {
    uint64_t token;
    unsigned events; /* enum sw_watch_events */
};

struct sw_reactor_backend {
    const char *name;
    enum sw_status (*open)(struct sw_reactor *reactor, struct sw_error *err);
    void (*close)(struct sw_reactor *reactor);
    enum sw_status (*add)(struct sw_reactor *reactor, const struct sw_watch *watch, uint64_t token,
                          struct sw_error *err);
    enum sw_status (*modify)(struct sw_reactor *reactor, const struct sw_watch *watch, uint64_t token,
                             struct sw_error *err);
    void (*remove)(struct sw_reactor *reactor, const struct sw_watch *watch);
    /* Waits and fills reactor->events and reactor->event_count. An interrupting signal is no failure. */
    enum sw_status (*wait)(struct sw_reactor *reactor, int64_t timeout_ns, struct sw_error *err);
};

struct sw_reactor_slot {
    struct sw_watch *watch; /* NULL when free */
    uint32_t generation;    /* so that an event for the slot's former watch is recognised */
    uint32_t next_free;
};

struct sw_reactor_posted {
    sw_reactor_fn fn;
    void *context;
};

struct sw_reactor_posts {
    struct sw_reactor_posted *items;
    size_t count;
    size_t cap;
};

/* A block that a stream's output does not need just now. Kept, because the allocator would give memory of this pattern
 * (a block per busy connection, all freed at the end of the turn) back to the system every turn. */
struct sw_reactor_spare {
    struct sw_reactor_spare *next;
};

struct sw_reactor {
    const struct sw_reactor_backend *backend;
    int backend_fd;
    int64_t now_ns;
    uint64_t turns;
    struct sw_timer_wheel wheel;
    bool has_due_timers; /* left over from the last turn */

    struct sw_reactor_slot *slots; /* slots[0] is never used */
    uint32_t slot_count;
    uint32_t slot_cap;
    uint32_t free_slot;

    struct sw_deferred *deferred;

    pthread_mutex_t post_lock;
    struct sw_reactor_posts posts; /* under post_lock */
    struct sw_reactor_posts posts_running;
    struct sw_watch wake;
    atomic_bool is_stopping;

    int event_count;
    struct sw_reactor_event events[SW_REACTOR_EVENTS_MAX];
    struct sw_reactor_spare *spares; /* SW_REACTOR_SPARE_BYTES each */
    unsigned spare_count;
    char *scratch; /* SW_REACTOR_SCRATCH_BYTES, for one read at a time */
};

extern const struct sw_reactor_backend sw_reactor_epoll;

#endif
