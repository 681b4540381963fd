/* gil_experiment.h - A heartbeat beside worker threads in a real CPython: what the GIL costs a thread that must answer.
 *
 * The subject is an interpreter started for it, running the workload script (python/sidewinder/gil_workload.py). Its
 * heartbeat has absolute deadlines; each deadline's latency and each worker's units of work go to memory mapped by both
 * sides, so that following it costs the subject nothing. The phases of a plan run one after the other. One thread owns an
 * experiment.
 */
#ifndef SW_PROBE_GIL_EXPERIMENT_H
#define SW_PROBE_GIL_EXPERIMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"
#include "base/str.h"

#define SW_GIL_PHASES_MAX 32
#define SW_GIL_WORKERS_MAX 256
#define SW_GIL_SAMPLES_MAX (1 << 24) /* deadlines of one phase */

struct sw_gil_phase_plan {
    const char *name;
    unsigned workers;
    int64_t switch_interval_ns; /* 0: the interpreter's own */
};

struct sw_gil_plan {
    const char *python;   /* looked up in PATH when it has no slash */
    struct sw_str script; /* the workload */
    const char *work;     /* "python", "hash", "sleep", "release" */
    int64_t period_ns;    /* of the heartbeat */
    int64_t duration_ns;  /* of each phase */
    struct sw_gil_phase_plan phases[SW_GIL_PHASES_MAX];
    size_t phase_count;
};

enum sw_gil_phase_state { SW_GIL_PHASE_AHEAD, SW_GIL_PHASE_RUNNING, SW_GIL_PHASE_ENDED };

struct sw_gil_worker {
    int32_t tid;
    int64_t units; /* of work done so far */
};

/* What is known of a phase now; complete once its state is ENDED, and true of the part that ran when it was cut short. */
struct sw_gil_phase {
    const struct sw_gil_phase_plan *plan;
    enum sw_gil_phase_state state;
    int64_t start_mono_ns;
    int64_t elapsed_ns;
    int64_t switch_interval_ns; /* in force */
    int32_t heartbeat_tid;
    const struct sw_gil_worker *workers; /* plan->workers of them */
    const int64_t *latency_ns;           /* of each deadline in turn; deadline k was at start + (k + 1) * period */
    size_t count;
    uint64_t missed; /* deadlines that had passed before the heartbeat could look at them */
};

/* Of the latencies; absent (NAN) when there are none. Nanoseconds. */
struct sw_gil_latency {
    double min, mean, p50, p99, max;
    uint64_t breaches; /* deadlines answered later than the SLA */
};

struct sw_gil_experiment;

/* Starts the interpreter. SW_INVALID: the plan is out of bounds; SW_NOTFOUND and SW_PERM name the interpreter. The plan
 * is copied, its texts are borrowed. The subject is killed when this process ends, however it ends. */
SW_MUST_USE enum sw_status sw_gil_experiment_start(struct sw_gil_experiment **experiment,
                                                   const struct sw_gil_plan *plan, struct sw_error *err);
pid_t sw_gil_experiment_pid(const struct sw_gil_experiment *experiment);
/* SW_AGAIN while it runs, SW_OK when it has ended well, else SW_CLOSED and how it ended. */
enum sw_status sw_gil_experiment_poll(struct sw_gil_experiment *experiment, struct sw_error *err);
/* `index` < plan.phase_count. The arrays stay valid until close. */
void sw_gil_experiment_phase(struct sw_gil_experiment *experiment, size_t index, struct sw_gil_phase *phase);
void sw_gil_experiment_close(
    struct sw_gil_experiment *experiment); /* kills the subject if it still runs; NULL is fine */

SW_MUST_USE enum sw_status sw_gil_latency_of(const struct sw_gil_phase *phase, int64_t sla_ns,
                                             struct sw_gil_latency *latency);

#endif
