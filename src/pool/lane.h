/* lane.h - The way between a pool's owner and one worker process: tasks there, results back, in shared memory.
 *
 * Tasks are numbered. One word holds how many the worker has claimed and how many it may claim; the owner raises the
 * limit to hand tasks over, and lowers it to take back what is not claimed, so a task belongs to exactly one side at any
 * moment and no lock exists that a death could leave locked. Results come back in the order of the tasks. A worker that
 * dies therefore leaves known: every result it published, the one task it had begun (the first claimed without a
 * result), and the rest, which are the owner's again.
 *
 * Tasks and results are runs of bytes that never wrap (a run that does not fit before the end of the ring begins at its
 * start); what they mean is the callers' business. One thread at a time on each side.
 */
#ifndef SW_POOL_LANE_H
#define SW_POOL_LANE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "pool/bell.h"

#define SW_LANE_RING_BYTES (128u << 10)
#define SW_LANE_RUN_BYTES (16u << 10) /* the longest run */
#define SW_LANE_DEPTH 4096u           /* tasks that may be on a lane at once */
#define SW_LANE_SKIP 0xffu            /* as first byte: the run begins at the start of the ring; no run may begin so */

/* What both sides see. Zero is the state of a new lane. */
struct sw_lane_shared {
    alignas(64) _Atomic uint64_t window;      /* low half: tasks claimed, high half: tasks that may be; modulo 2^32 */
    alignas(64) _Atomic uint64_t result_tail; /* bytes of results published; written by the worker */
    _Atomic int64_t began_ns;                 /* when the running task began; only where is_timed */
    _Atomic uint64_t running;                 /* only where is_timed: which task, and whether it is condemned */
    alignas(64) _Atomic uint64_t result_head; /* bytes of results consumed; written by the owner */
    _Atomic uint64_t wake; /* 2^32 + n: wake the owner once n results are published; + 2^33: or one failed; 0: do not */
    _Atomic uint32_t claim; /* tasks a claim takes; 0: as many as run in 50 us */
    _Atomic uint32_t is_timed;
    _Atomic uint32_t is_closing;
    _Atomic uint32_t is_ready;       /* the worker's: it has begun to look for tasks */
    alignas(64) struct sw_bell bell; /* the worker sleeps on it */
    alignas(64) unsigned char tasks[SW_LANE_RING_BYTES];
    unsigned char results[SW_LANE_RING_BYTES];
};

/* What the owner notes of a task until its result comes. */
struct sw_lane_task {
    void *job;            /* the caller's */
    uint64_t index;       /* the caller's */
    uint64_t at;          /* where the task's bytes begin, before any skip */
    uint64_t value_at;    /* where the part begins that does not depend on earlier tasks of the lane */
    uint32_t chain;       /* the caller's: blocks of shared memory that travel with it */
    uint32_t value_chain; /* the caller's: where in the chain those of the bytes from value_at on begin */
    uint32_t stamp;       /* the caller's: of these blocks */
};

/* The owner's side. */
struct sw_lane {
    struct sw_lane_shared *shared;
    struct sw_lane_task *tasks; /* owned; SW_LANE_DEPTH, by number modulo that */
    uint32_t first;             /* the oldest task without a result */
    uint32_t next;              /* the number of the next task */
    uint32_t published;         /* tasks before it are within the limit */
    uint64_t tail;              /* bytes of tasks written */
    uint64_t result_head;
};

SW_MUST_USE enum sw_status sw_lane_init(struct sw_lane *lane, struct sw_lane_shared *shared);
void sw_lane_release(struct sw_lane *lane);
/* Makes the lane new, for the next worker. Only when the last one is dead; the noted tasks are forgotten. */
void sw_lane_reset(struct sw_lane *lane);

/* Room for a task of `size` bytes (at most SW_LANE_RUN_BYTES), NULL when the lane is full. Nothing is handed over until
 * commit, then publish; a second reserve instead of commit takes the place of the first. */
unsigned char *sw_lane_reserve(struct sw_lane *lane, size_t size);
/* `prefix` bytes of the `size` reserved ones depend on earlier tasks of this lane. `task`'s at and value_at are set. */
void sw_lane_commit(struct sw_lane *lane, size_t prefix, size_t size, struct sw_lane_task task);
void sw_lane_publish(struct sw_lane *lane); /* and wakes the worker if it sleeps */

static inline uint32_t sw_lane_load(const struct sw_lane *lane) {
    return lane->next - lane->first;
}
static inline struct sw_lane_task *sw_lane_task(const struct sw_lane *lane, uint32_t number) {
    return &lane->tasks[number % SW_LANE_DEPTH];
}
bool sw_lane_has_room(const struct sw_lane *lane);      /* for two of the longest tasks, or more shorter ones */
uint32_t sw_lane_unclaimed(const struct sw_lane *lane); /* published and not claimed; a snapshot */
uint32_t sw_lane_claimed(const struct sw_lane *lane);   /* claimed and without a consumed result; a snapshot */

/* Takes back up to `count` of the last published, unclaimed tasks; how many. They are the last of the noted tasks until
 * sw_lane_drop; their bytes stay readable until the next reserve. All must be published. */
uint32_t sw_lane_take_back(struct sw_lane *lane, uint32_t count);
void sw_lane_drop(struct sw_lane *lane, uint32_t count); /* forgets the last `count` noted tasks */
/* The bytes of a noted task from value_at on, as they were committed. */
const unsigned char *sw_lane_value(const struct sw_lane *lane, uint32_t number, size_t *size);

/* The next result's bytes, and how many lie in a row behind it; NULL when there is none. */
const unsigned char *sw_lane_result(struct sw_lane *lane, size_t *size);
void sw_lane_result_done(struct sw_lane *lane, size_t used); /* consumed; forgets the oldest noted task */
void sw_lane_result_release(struct sw_lane *lane);           /* gives the consumed bytes back to the worker */
bool sw_lane_has_result(const struct sw_lane *lane);

/* Asks the worker to signal its wake_fd once `number` has a result, or before when it cannot go on, or tells of a failed
 * task. */
void sw_lane_arm(struct sw_lane *lane, uint32_t number, bool is_for_failures);
void sw_lane_disarm(struct sw_lane *lane);
/* Whether task `number` runs now, and since when; only where is_timed. */
bool sw_lane_is_running(const struct sw_lane *lane, uint32_t number, int64_t *began_ns);
/* Whether the task now running is `number`; if so it can no longer end, and the worker waits to be killed. */
bool sw_lane_condemn(struct sw_lane *lane, uint32_t number);
void sw_lane_close(struct sw_lane *lane); /* the worker leaves when it has no more tasks */

/* The worker's side. Zero but for `shared` and `wake_fd` is valid on a new lane. */
struct sw_lane_worker {
    struct sw_lane_shared *shared;
    int wake_fd;        /* an eventfd the owner polls */
    uint32_t done;      /* results published */
    uint32_t claimed;   /* tasks before it are claimed */
    uint32_t claim;     /* what a claim by time takes next */
    uint32_t claim_max; /* the most tasks the next claim may take, for a worker that will leave; 0: any number */
    uint64_t at;        /* bytes of tasks consumed */
    uint64_t result_tail;
    int64_t claim_began_ns;
};

/* True when a task is claimed; waits for one. False when the lane is closing and none is left, or after `timeout_ns`
 * (-1: no limit) or a signal; then `*is_closing` tells. */
bool sw_lane_next(struct sw_lane_worker *worker, int64_t timeout_ns, bool *is_closing);
bool sw_lane_try_next(struct sw_lane_worker *worker); /* as sw_lane_next, without waiting */
/* The claimed task's bytes; the longest run that may follow is SW_LANE_RUN_BYTES. */
const unsigned char *sw_lane_begin(struct sw_lane_worker *worker);
void sw_lane_consume(struct sw_lane_worker *worker, size_t used); /* how long the task's bytes were */
/* Room for a result of `size` bytes, NULL while the owner has not made enough: wait with sw_lane_wait_room. */
unsigned char *sw_lane_result_reserve(struct sw_lane_worker *worker, size_t size);
void sw_lane_wait_room(struct sw_lane_worker *worker, size_t size, int64_t timeout_ns);
/* False when the task was condemned meanwhile: its result must not be published. */
bool sw_lane_finish(struct sw_lane_worker *worker);
void sw_lane_result_publish(struct sw_lane_worker *worker, size_t size);
void sw_lane_tell_failure(struct sw_lane_worker *worker); /* of the task whose result was just published */
/* Whether the owner has consumed every result; waits for it for `timeout_ns`, or until a signal. */
bool sw_lane_wait_read(struct sw_lane_worker *worker, int64_t timeout_ns);

#endif
