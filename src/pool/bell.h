/* bell.h - An event count in memory that processes share: the waiter prepares, looks once more, then sleeps.
 *
 * A wake between prepare and wait is never lost. Any number of wakers, one waiter. Zero is valid. A waiter that dies, or
 * is slow to get up, costs its wakers one needless system call; a waker holds nothing that its death could leave held.
 */
#ifndef SW_POOL_BELL_H
#define SW_POOL_BELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct sw_bell {
    _Atomic uint32_t epoch;
    _Atomic uint32_t waiting; /* 0: nobody; else odd, and another for each epoch's waiter */
};

uint32_t sw_bell_prepare(struct sw_bell *bell);
/* Sleeps until a wake after `ticket`'s prepare, a signal, or `timeout_ns` (-1: no limit). False for a time-out. Ends the
 * preparation. */
bool sw_bell_wait(struct sw_bell *bell, uint32_t ticket, int64_t timeout_ns);
void sw_bell_cancel(struct sw_bell *bell); /* the condition came true after prepare */
void sw_bell_wake(struct sw_bell *bell);   /* cheap when nobody waits: one fence and one load */
void sw_bell_pause(void);                  /* one turn of a spinning wait */

#endif
