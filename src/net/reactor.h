/* reactor.h - One thread's event loop: file descriptors, timers, posted functions and end-of-turn work.
 *
 * The thread that runs a reactor owns it; only sw_reactor_post and sw_reactor_stop may be called from other threads.
 * Nothing here calls back before the next turn, and every callback may add, change, remove and free anything of its
 * reactor, itself included. A turn does bounded work: one wait for up to 256 events, the functions posted so far, up to
 * 1024 timers, and the deferred work; what is left is done in the next turn without waiting.
 */
#ifndef SW_NET_REACTOR_H
#define SW_NET_REACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "net/timer_wheel.h"

struct sw_reactor;

enum sw_watch_events {
    SW_WATCH_READ = 1,
    SW_WATCH_WRITE = 2,
    SW_WATCH_HANGUP = 4, /* reported without being asked for: both directions are shut */
    SW_WATCH_ERROR = 8,  /* reported without being asked for: see SO_ERROR */
};

typedef void (*sw_watch_fn)(void *context, unsigned events);
typedef void (*sw_reactor_fn)(void *context);

/* Interest in one file descriptor, embedded in the structure of its owner. Zero is a watch that is not added. */
struct sw_watch {
    sw_watch_fn fn;
    void *context;
    int fd; /* borrowed */
    unsigned interest;
    uint32_t slot; /* the reactor's; 0 while not added */
};

/* Work for the end of the turn, once however often it is asked for. Zero but for fn and context is valid. */
struct sw_deferred {
    struct sw_deferred *next;
    struct sw_deferred **link; /* NULL while not queued */
    sw_reactor_fn fn;
    void *context;
};

struct sw_reactor_options {
    const char *backend; /* NULL or "epoll" */
};

/* `options` may be NULL. */
SW_MUST_USE enum sw_status sw_reactor_open(struct sw_reactor **reactor, const struct sw_reactor_options *options,
                                           struct sw_error *err);
/* Watches, timers and deferred work are forgotten; functions posted and not yet run are dropped. */
void sw_reactor_close(struct sw_reactor *reactor);
const char *sw_reactor_backend_name(const struct sw_reactor *reactor);

/* Turns until sw_reactor_stop. A stop that came before the run ends it at once; each stop ends one run. */
SW_MUST_USE enum sw_status sw_reactor_run(struct sw_reactor *reactor, struct sw_error *err);
/* One turn that waits at most `timeout_ns` for something to do (-1: no limit). */
SW_MUST_USE enum sw_status sw_reactor_turn(struct sw_reactor *reactor, int64_t timeout_ns, struct sw_error *err);
void sw_reactor_stop(struct sw_reactor *reactor); /* any thread, also a signal handler */
/* Queues fn(context) for the owner's next turn and wakes it. Any thread; in order per posting thread. */
SW_MUST_USE enum sw_status sw_reactor_post(struct sw_reactor *reactor, sw_reactor_fn fn, void *context);

/* The monotonic clock, read once per turn after the wait. */
int64_t sw_reactor_now_ns(const struct sw_reactor *reactor);
uint64_t sw_reactor_turns(const struct sw_reactor *reactor);

/* Watches `watch->fd` for `watch->interest`; fn, context and fd are set by the caller. Level-triggered. */
SW_MUST_USE enum sw_status sw_reactor_add(struct sw_reactor *reactor, struct sw_watch *watch, struct sw_error *err);
SW_MUST_USE enum sw_status sw_reactor_modify(struct sw_reactor *reactor, struct sw_watch *watch, unsigned interest,
                                             struct sw_error *err);
/* Before the fd is closed. Events of this turn that were not delivered yet are dropped. No-op when not added. */
void sw_reactor_remove(struct sw_reactor *reactor, struct sw_watch *watch);

/* Timers: `timer->fn` and `timer->context` are set by the caller. Deadlines count from sw_reactor_now_ns. */
void sw_reactor_timer_add(struct sw_reactor *reactor, struct sw_timer *timer, int64_t delay_ns);
void sw_reactor_timer_touch(struct sw_reactor *reactor, struct sw_timer *timer, int64_t delay_ns);
void sw_reactor_timer_cancel(struct sw_timer *timer); /* no-op when not armed */

/* Runs after all events, timers and posted functions of this turn, in no particular order; what is deferred meanwhile
 * runs in the next. */
void sw_reactor_defer(struct sw_reactor *reactor, struct sw_deferred *deferred);
void sw_reactor_defer_cancel(struct sw_deferred *deferred); /* no-op when not queued */

#endif
