/* engine.h - A job, running: sources, workers, merger and sinks, started and ended together.
 *
 * Threads: one a source, one a worker (pinned), one merger. The caller's thread opens, starts, waits and closes; the HTTP server (serve.h)
 * has a thread of its own and only reads.
 */
#ifndef SW_ENGINE_ENGINE_H
#define SW_ENGINE_ENGINE_H

#include "engine/merger.h"
#include "engine/source.h"

struct sw_engine {
    struct sw_job job; /* with every default filled in */
    struct sw_plan plans[SW_MAX_STREAMS];
    struct sw_groups groups[SW_MAX_STREAMS];
    _Atomic int64_t closed_before_ns[SW_MAX_STREAMS];
    struct sw_events events;
    struct sw_late_file late_file;
    struct sw_intake **intakes; /* owned */
    unsigned intake_count;
    struct sw_source sources[SW_MAX_SOURCES];
    unsigned source_count;
    struct sw_worker *workers; /* owned */
    unsigned worker_count;
    struct sw_merger merger;
    struct sw_sink *sinks[SW_MAX_SINKS];
    unsigned sink_count;
    _Atomic bool is_stopping;
    _Atomic int failure; /* an enum sw_status: out of memory in a worker, a sink that failed */
    int stop_fd;
    int64_t started_epoch_ns, started_mono_ns;
};

/* Checks the job, opens every source and sink, and makes everything ready; nothing runs yet. `job` is copied, its strings borrowed. */
SW_MUST_USE enum sw_status sw_engine_open(struct sw_engine **engine, const struct sw_job *job, struct sw_error *err);
/* Set between open and start: who else wants the results. */
void sw_engine_tap(struct sw_engine *engine, sw_window_tap tap, void *context);
SW_MUST_USE enum sw_status sw_engine_start(struct sw_engine *engine, struct sw_error *err);
/* Asks every source to end; any thread. Open windows are closed and sinks flushed on the way out. */
void sw_engine_stop(struct sw_engine *engine);
/* All finite sources have ended and there is no other kind, or something failed. */
bool sw_engine_is_finished(const struct sw_engine *engine);
/* Joins all threads, after sw_engine_stop or when finished. The first failure of a source, a worker or a sink, if any. */
SW_MUST_USE enum sw_status sw_engine_wait(struct sw_engine *engine, struct sw_error *err);
void sw_engine_close(struct sw_engine *engine); /* after wait; NULL is fine */

/* The intake an HTTP body for stream `name` goes to; NULL when no ingest source feeds such a stream. */
struct sw_source *sw_engine_ingest(struct sw_engine *engine, struct sw_str name);

struct sw_totals {
    uint64_t rows, bytes, batches, late, rejected, windows, anomalies, rows_out;
    uint64_t rejected_by_kind[SW_REJECT_COUNT];
    uint64_t groups;
    int64_t newest_ns; /* least over the intakes that have rows; INT64_MIN without any */
};
void sw_engine_totals(const struct sw_engine *engine, struct sw_totals *totals); /* any thread */

#endif
