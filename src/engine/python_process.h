/* python_process.h - One Python process that is watched: its figures of the moment and its last minute.
 *
 * Nothing in it is stopped or changed. One thread looks; others read under the lock of python_watch.h.
 */
#ifndef SW_ENGINE_PYTHON_PROCESS_H
#define SW_ENGINE_PYTHON_PROCESS_H

#include "engine/python_past.h"
#include "probe/gil_timeline.h"
#include "probe/sampler.h"

#define SW_PYTHON_LABEL_MAX 96

/* Since the measurement before. NAN: not measured, or there is no such thing. */
struct sw_python_figures {
    double cpu; /* % of a core */
    double rss_bytes;
    double threads;     /* that run Python code, or could */
    double running;     /* threads on a CPU or ready for one, on average */
    double gil;         /* % of the time the GIL was held; of all GILs together where there are several */
    double handoffs;    /* a second: the GIL went to another thread */
    double waiters;     /* threads that waited for the GIL, on average */
    double collections; /* of garbage, a second */
    char function[160]; /* innermost one of most samples, "name (file)"; "" when no sample was taken */
};

struct sw_python_process {
    struct sw_target target;
    struct sw_runtime runtime; /* while is_open */
    bool is_open;              /* its memory is read */
    bool is_gone;
    char label[SW_PYTHON_LABEL_MAX]; /* "app.py [4242]" */
    struct sw_buf command;
    struct sw_error refusal;      /* why its memory is not read; SW_OK while it is */
    struct sw_sampler *sampler;   /* while is_open */
    struct sw_gil_timeline *gil;  /* NULL: it has none, or none yet */
    uint64_t gc_stats;            /* address of the collector's counters; 0: not known */
    struct sw_python_figures now; /* of the last measurement */
    bool has_figures;
    bool has_row;      /* `now` is to be handed on */
    bool is_idle;      /* it used no CPU between the last two measurements */
    unsigned skipped;  /* looks left out in a row, as it is idle */
    unsigned failures; /* of looks, in a row */

    int64_t measured_ns, cell_ns; /* monotonic: the last of each */
    int64_t retry_ns;             /* when an unreadable one, or one without a GIL, is tried again */
    int64_t part_ns;              /* when the newest part of the past was begun */
    struct sw_target_usage usage;
    uint64_t looks, running; /* as the sampler counted */
    int64_t gil_ns, held_ns, waited_ns;
    uint64_t handoffs;
    uint64_t collections;
    bool has_collections;
    size_t sample_count; /* of the newest part, seen by the last measurement */

    struct sw_past past;
    struct sw_past_lanes lanes;
    int64_t watched_until_ns; /* monotonic: somebody looks at it closely until then */
};

/* SW_NOTFOUND: it is no Python process. One that may not be read is made too, with `refusal` set. */
SW_MUST_USE enum sw_status sw_python_process_new(struct sw_python_process **process, int32_t pid, struct sw_error *err);
void sw_python_process_free(struct sw_python_process *process); /* NULL is fine */

/* One look at the GIL, one at the stacks. They set is_gone. */
void sw_python_process_look_gil(struct sw_python_process *process);
void sw_python_process_look_stacks(struct sw_python_process *process);
/* Ends a cell of the lanes, each SW_LANE_CELL_NS. */
SW_MUST_USE enum sw_status sw_python_process_cell(struct sw_python_process *process, int64_t now_ns);
/* Fills `now`. The first call only begins. */
void sw_python_process_measure(struct sw_python_process *process, int64_t now_ns);

#endif
