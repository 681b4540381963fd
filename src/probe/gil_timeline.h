/* gil_timeline.h - Who held the GIL of a process and who waited for it, from thousands of looks a second.
 *
 * Each look reads the GIL (24 bytes) and what its other threads are blocked in; nothing in the target is stopped or
 * changed. A thread holds the GIL while the GIL names it, and waits while it sleeps on the GIL's condition variable until
 * it holds it. A change is put in the middle between the two looks that surround it, so that shares are unbiased while
 * single holds and waits are known to about the distance of looks, and those much shorter are seen only at times. The count of
 * hand-offs is the interpreter's own and exact. Several GILs (subinterpreters) are followed at once.
 *
 *     sw_gil_timeline_new(&timeline, &runtime, &options, err);
 *     status = sw_gil_timeline_run(timeline, until_mono_ns, &stop);       or step by step, see below
 *     sw_gil_timeline_end(timeline);
 *     ... sw_gil_timeline_totals, sw_gil_timeline_thread ...
 *
 * A meter (options.is_meter) keeps totals only and runs for as long as it likes. One thread owns a timeline.
 */
#ifndef SW_PROBE_GIL_TIMELINE_H
#define SW_PROBE_GIL_TIMELINE_H

#include <stdatomic.h>

#include "base/histogram.h"
#include "probe/runtime.h"

#define SW_GIL_RATE_HZ 12500.0 /* looks a second unless said otherwise: 10,000 and some to spare */
#define SW_GIL_RATE_MAX_HZ 100000.0
#define SW_GIL_SPANS_MAX (1u << 20) /* of all threads; 24 bytes each */
#define SW_GIL_LANES_MAX 4096       /* threads with a lane of their own; those that ended first are summed up */
#define SW_GIL_HOLDS_MAX 32         /* longest holds that are kept */

enum sw_gil_state { SW_GIL_HELD, SW_GIL_WAITED };

struct sw_gil_span {
    int64_t start_ns, end_ns; /* monotonic, as are all times here */
    enum sw_gil_state state;
};

/* Called when a hold or a wait has ended, for those who keep spans themselves (a ring of the last seconds). */
typedef void (*sw_gil_span_fn)(void *context, int32_t tid, const struct sw_gil_span *span);

struct sw_gil_timeline_options {
    double rate_hz;         /* looks a second; 0: SW_GIL_RATE_HZ */
    double stack_rate_hz;   /* looks at the holder's stack; 0: 1000 */
    bool is_meter;          /* totals only: no spans, holds or functions; ended threads are summed up at once */
    bool has_no_functions;  /* never reads stacks */
    uint64_t seed;          /* of the jitter; 0: 1 */
    sw_gil_span_fn on_span; /* may be NULL */
    void *context;
};

/* Where a function held the GIL. Empty when the holder's stack was not read during the hold. */
struct sw_gil_where {
    struct sw_str name, file;
    int32_t line; /* 0: unknown */
};

struct sw_gil_hold {
    int64_t start_ns, end_ns;
    size_t thread;    /* index */
    uint32_t waiters; /* most threads seen waiting behind it */
    struct sw_gil_where where;
};

struct sw_gil_function {
    struct sw_gil_where where; /* the line most often seen */
    uint64_t looks;            /* of sw_gil_totals.stack_looks */
    int64_t held_ns;           /* its share of all held time, by looks */
};

/* One thread. What is unfinished (a hold, a wait) counts up to the last look. */
struct sw_gil_thread {
    uint64_t address;    /* PyThreadState */
    int32_t tid;         /* 0: unknown */
    char name[16];       /* as the kernel has it */
    struct sw_str entry; /* function that the thread began in, "worker (app.py)"; empty: unknown, or a meter */
    bool is_main;        /* its tid is the pid */
    bool is_gone;
    bool has_waits; /* false: its waits could not be seen, and waited_ns, waits and wait are of no meaning */
    int64_t first_ns, last_ns;
    int64_t held_ns, waited_ns;
    uint64_t handoffs; /* times it was seen to have got the GIL from another thread */
    uint64_t holds, waits;
    int64_t longest_hold_ns, longest_wait_ns;
    struct sw_gil_where longest_at;
    const struct sw_histogram *wait; /* ns from starting to wait to getting it; NULL: none yet */
    const struct sw_gil_span *spans; /* by time, not overlapping */
    size_t span_count;
};

struct sw_gil_totals {
    bool has_gil; /* some interpreter has one */
    size_t gil_count;
    int64_t start_ns, end_ns; /* first and last look */
    int64_t start_epoch_ns;
    uint64_t looks;
    uint64_t missed;                            /* looks that were due but not made */
    int64_t gap_p50_ns, gap_p99_ns, gap_max_ns; /* between two looks: the resolution */
    int64_t held_ns, free_ns;                   /* of all GILs */
    int64_t blind_ns;         /* time between looks too far apart (10 periods) to say when something changed in it */
    int64_t waited_ns;        /* of all threads */
    uint64_t handoffs;        /* exact */
    uint64_t handoffs_unseen; /* of these, those that no thread's count has: several between two looks */
    uint64_t waits;
    const struct sw_histogram *wait;
    uint64_t stack_looks, stack_failed;
    uint64_t thread_looks;  /* files of threads read */
    uint64_t ended_threads; /* summed up, without a lane; their times are in these totals */
    int64_t detail_ns;      /* spans shorter than this were dropped for lack of room; 0: none were */
    int64_t own_cpu_ns;     /* CPU time of the watching thread since the first look */
};

struct sw_gil_timeline;

/* Reads the threads. SW_UNSUPPORTED: no GIL (free-threaded); SW_CLOSED, SW_PERM as in target.h. The runtime must outlive
 * the timeline. */
SW_MUST_USE enum sw_status sw_gil_timeline_new(struct sw_gil_timeline **timeline, const struct sw_runtime *runtime,
                                               const struct sw_gil_timeline_options *options, struct sw_error *err);
void sw_gil_timeline_free(struct sw_gil_timeline *timeline); /* NULL is fine */

/* One look; *next_ns is when the next is due. SW_CLOSED: the process is gone. */
SW_MUST_USE enum sw_status sw_gil_timeline_step(struct sw_gil_timeline *timeline, int64_t *next_ns);
/* Looks and sleeps until `until_ns`, until *stop (may be NULL), or SW_CLOSED. Sets this thread's timer slack to 1 ns
 * meanwhile. */
SW_MUST_USE enum sw_status sw_gil_timeline_run(struct sw_gil_timeline *timeline, int64_t until_ns,
                                               const atomic_bool *stop);
void sw_gil_timeline_end(struct sw_gil_timeline *timeline); /* closes what is unfinished; no look afterwards */

struct sw_gil_totals sw_gil_timeline_totals(const struct sw_gil_timeline *timeline);
size_t sw_gil_timeline_count(const struct sw_gil_timeline *timeline); /* of threads with a lane */
/* Valid until the next look. Threads keep their index in a timeline; in a meter it changes when threads end. */
struct sw_gil_thread sw_gil_timeline_thread(const struct sw_gil_timeline *timeline, size_t index);
/* Longest first, after the end. */
const struct sw_gil_hold *sw_gil_timeline_holds(const struct sw_gil_timeline *timeline, size_t *count);
/* Most held first, after the end; valid until free. */
const struct sw_gil_function *sw_gil_timeline_functions(const struct sw_gil_timeline *timeline, size_t *count);

#endif
