/* intake_impl.h - The inside of an intake, and how the engine makes one.
 *
 * Watermark: newest event time seen minus the allowed disorder. A row is late when its window ended at or before the watermark as it
 * stood when the row came, so what is late does not depend on how rows fall into batches.
 */
#ifndef SW_ENGINE_INTAKE_IMPL_H
#define SW_ENGINE_INTAKE_IMPL_H

#include <stdatomic.h>

#include "base/map.h"
#include "base/ring.h"
#include "base/thread.h"
#include "engine/batch.h"
#include "engine/event.h"
#include "engine/groups.h"
#include "engine/intake.h"
#include "engine/plan.h"

#define SW_KEY_CACHE_LOG2 11
#define SW_KEY_CACHE (1u << SW_KEY_CACHE_LOG2) /* 32 KiB */

/* One worker's end: batches go into the ring, and the worker is woken. */
struct sw_outlet {
    struct sw_ring ring;
    struct sw_parker *parker; /* the worker's */
};

/* Where the raw text of late rows goes; shared by all intakes. */
struct sw_late_file {
    pthread_mutex_t lock;
    int fd; /* -1: nowhere */
    _Atomic bool has_failed;
};

/* Everything a job's intakes of one stream have in common. */
struct sw_intake_shared {
    const struct sw_plan *plan;
    struct sw_groups *groups;
    struct sw_events *events;
    struct sw_late_file *late_file;
    _Atomic int64_t *closed_before_ns; /* windows that end here or earlier are closed; kept by the workers */
    const _Atomic bool *is_stopping;
    uint16_t stream;
    int64_t idle_ns;
    int64_t
        key_life_ns; /* at the limit of keys, one not seen for this long gives up its id; 0: never. Needs a sole partition */
};

/* Written by the reader, read by anyone. */
struct sw_intake_counters {
    _Atomic uint64_t rows, bytes, batches, late;
    _Atomic uint64_t rejected[SW_REJECT_COUNT];
    _Atomic int64_t newest_ns;  /* INT64_MIN before the first row */
    _Atomic uint64_t decode_ns; /* thread CPU time spent reading and decoding */
};

/* A key of at most 8 bytes as one word. */
struct sw_key_entry {
    uint64_t word;
    uint32_t len;
    uint32_t group; /* SW_GROUP_NONE: empty */
};

struct sw_intake {
    struct sw_intake_shared shared;
    struct sw_batch *batch;
    struct sw_str keys[SW_MAX_KEYS]; /* of the current row */
    int64_t window_ns, disorder_ns;
    int64_t newest_ns;         /* INT64_MIN before the first row */
    int64_t late_before_ns;    /* rows before this are late */
    int64_t least_ns, most_ns; /* event times beyond are rejected, so that no edge of a window overflows */
    int64_t next_edge_ns;      /* a watermark that reaches this moves late_before_ns */
    int64_t sent_watermark_ns;
    int64_t now_epoch_ns, now_mono_ns; /* of the bytes being decoded; see sw_intake_arrive */
    int64_t last_row_mono_ns;
    int64_t pace_until_ns;                       /* rows after this wait for their time; INT64_MAX: nobody waits */
    int64_t pace_origin_ns, pace_origin_mono_ns; /* event time and clock when the replay began */
    double pace;                                 /* event time per real time; 0: as fast as possible */
    bool has_time_field;
    bool may_block; /* wait for workers when too many batches are in flight; else the caller asks sw_intake_has_room */
    bool is_ended;
    uint16_t partition;
    uint64_t seq;
    struct sw_key_entry *cache; /* owned */
    struct sw_map long_keys;    /* what the cache does not hold; spares the shared lock */
    struct sw_buf joined;       /* scratch for keys of several columns */
    struct sw_batch_pool pool;
    struct sw_outlet *outlets; /* owned; one a worker */
    unsigned outlet_count;
    bool was_rejected[SW_REJECT_COUNT];
    struct sw_intake_counters counters;
};

struct sw_intake_options {
    struct sw_intake_shared shared;
    uint16_t partition;
    unsigned batches_in_flight;
    bool may_block;
    double pace;                /* see struct sw_source_spec */
    struct sw_parker **workers; /* the parkers of the workers it feeds */
    unsigned worker_count;
};

SW_MUST_USE enum sw_status sw_intake_new(struct sw_intake **intake, const struct sw_intake_options *options);
void sw_intake_free(struct sw_intake *intake); /* after the workers have ended */

/* What a reader says before it feeds bytes that have just come: their time of arrival. */
void sw_intake_arrive(struct sw_intake *intake, size_t bytes);
/* Hands over what there is; a reader that has nothing more to decode at the moment calls it. */
void sw_intake_flush(struct sw_intake *intake);
/* Called at least every 100 ms while there is nothing to read: lets the watermark of a silent source go on. */
void sw_intake_tick(struct sw_intake *intake);
bool sw_intake_has_room(const struct sw_intake *intake);
/* No more rows will come. */
void sw_intake_end(struct sw_intake *intake);

#endif
