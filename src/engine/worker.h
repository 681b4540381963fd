/* worker.h - One thread that aggregates: takes its shards' rows from every batch, closes windows, scores them, hands them on.
 *
 * Share-nothing: a key belongs to one worker, decided by its hash, so the order of its rows is that of the stream and every result is the
 * same for any number of workers.
 */
#ifndef SW_ENGINE_WORKER_H
#define SW_ENGINE_WORKER_H

#include "base/ring.h"
#include "base/thread.h"
#include "engine/anomaly.h"
#include "engine/intake_impl.h"
#include "engine/record.h"
#include "engine/results.h"
#include "engine/slice.h"
#include "engine/stage.h"

struct sw_partition {
    int64_t watermark_ns;
    bool is_idle;
    bool is_end;
};

/* A stream as one worker sees it. */
struct sw_worker_stream {
    const struct sw_plan *plan;
    const struct sw_groups *groups;
    _Atomic int64_t *closed_before_ns; /* shared: see intake_impl.h */
    struct sw_slices slices;
    struct sw_partition *partitions; /* owned */
    unsigned partition_count;
    int64_t watermark_ns;
    int64_t closed_ns; /* windows that end here or earlier are closed */
    int64_t pushed_ns; /* closed_ns as the merger knows it */
    void **anomalies;  /* owned; a chunk of SW_GROUPS_CHUNK groups each, a row of detectors a group */
    uint32_t anomaly_chunks;
    size_t anomaly_bytes; /* of a row */
    unsigned text_count;
    struct sw_results_pool pool;
    struct sw_results *results; /* being filled, or NULL */
    unsigned held_batches;      /* since the last block was handed on */
    struct sw_results *end;     /* for the last block: without memory too the merger must learn of the end */
    int64_t arrival_mono_ns;    /* of the oldest row no view has shown; INT64_MAX: none */
    int64_t next_view_ns;
    uint32_t *order; /* owned scratch: positions sorted by key */
    uint32_t order_room;
};

struct sw_worker_counters {
    _Atomic uint64_t rows, late, windows, anomalies;
    struct sw_stage aggregate;
};

struct sw_worker {
    unsigned index, worker_count;
    struct sw_worker_stream *streams; /* owned */
    unsigned stream_count;
    struct sw_outlet **inputs; /* owned array; this worker's ring of every intake */
    unsigned *input_partition; /* owned: position of that intake among the partitions of its stream */
    unsigned input_count;
    bool has_views;
    struct sw_events *events;
    struct sw_ring output; /* of struct sw_results, to the merger */
    struct sw_parker parker;
    struct sw_parker *merger;
    _Atomic int *failure; /* an enum sw_status, set once by whoever fails first */
    struct sw_thread thread;
    struct sw_worker_counters counters;
    struct sw_rows rows;           /* scratch */
    struct sw_anomaly_usual usual; /* scratch: of the anomalies of the last row scored */
    int64_t events_second;
    unsigned events_sent;
};

struct sw_worker_options {
    unsigned index, worker_count;
    const struct sw_plan *plans;
    struct sw_groups *groups;
    _Atomic int64_t *closed_before_ns; /* one a stream */
    unsigned stream_count;
    const unsigned *partitions; /* intakes a stream */
    bool has_views;
    struct sw_events *events;
    struct sw_parker *merger;
    _Atomic int *failure;
};

SW_MUST_USE enum sw_status sw_worker_init(struct sw_worker *worker, const struct sw_worker_options *options);
void sw_worker_release(struct sw_worker *worker); /* after it ended and all its results came back */
void sw_worker_main(void *worker);                /* the thread's body: ends when every input has ended */

#endif
