/* thread.h - Named, optionally pinned threads, and the parker on which an idle one waits. */
#ifndef SW_BASE_THREAD_H
#define SW_BASE_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef void (*sw_thread_main)(void *context);

struct sw_thread {
    pthread_t handle;
    bool is_started;
};

/* `name` shows in top -H (at most 15 bytes are kept). `cpu` >= 0 pins the thread, -1 leaves it free. All signals are
 * blocked in the new thread. */
SW_MUST_USE enum sw_status sw_thread_start(struct sw_thread *thread, const char *name, int cpu, sw_thread_main main,
                                           void *context, struct sw_error *err);
void sw_thread_join(struct sw_thread *thread); /* no-op when not started */

/* An event count on a futex: the waiter prepares, looks at its condition once more, then waits; a wake between is never
 * lost. Any number of wakers, one waiter. Zero is valid. */
struct sw_parker {
    _Atomic uint32_t epoch;
    _Atomic uint32_t is_waiting;
};

uint32_t sw_parker_prepare(struct sw_parker *parker);
/* Waits until a wake after `ticket`'s prepare, or `timeout_ns` (-1: no limit). True if woken. Ends the preparation. */
bool sw_parker_wait(struct sw_parker *parker, uint32_t ticket, int64_t timeout_ns);
void sw_parker_cancel(struct sw_parker *parker); /* the condition came true after prepare */
void sw_parker_wake(struct sw_parker *parker);   /* cheap when nobody waits: one fence and one load */

#endif
