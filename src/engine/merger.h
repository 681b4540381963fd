/* merger.h - One thread that takes finished windows from all workers, puts them in order, and hands them to sinks and views.
 *
 * A window is complete when every worker's watermark has passed its end; windows leave in the order of their start, rows in the order of
 * their keys, whatever the number of workers.
 */
#ifndef SW_ENGINE_MERGER_H
#define SW_ENGINE_MERGER_H

#include "engine/sink.h"
#include "engine/worker.h"

/* Takes every window in order. Closed ones come once and whole; open ones (results->is_open) come again and again, in parts, one a
 * worker. Called from the merger's thread; must not block and must copy what it keeps. */
typedef void (*sw_window_tap)(void *context, const struct sw_results *results, const struct sw_window *window);

/* What came from one worker for one stream and is not merged yet. */
struct sw_lane {
    struct sw_results *first, *last; /* linked through `next` */
    uint32_t window;                 /* next one of `first` */
    int64_t watermark_ns;
    bool is_end;
};

struct sw_merger {
    struct sw_worker *workers; /* borrowed */
    unsigned worker_count;
    unsigned stream_count;
    struct sw_groups *groups; /* one a stream */
    struct sw_lane *lanes;    /* owned: stream_count x worker_count */
    struct sw_results_pool pool;
    struct sw_sink *sinks[SW_MAX_SINKS]; /* borrowed */
    unsigned sink_count;
    sw_window_tap tap; /* NULL: nobody */
    void *tap_context;
    struct sw_parker parker;
    _Atomic int *failure;
    struct sw_error error; /* of the sink that failed; read after the thread ended */
    struct sw_thread thread;
    struct sw_stage merge, sink;
    _Atomic uint64_t rows, windows; /* delivered */
};

SW_MUST_USE enum sw_status sw_merger_init(struct sw_merger *merger, struct sw_worker *workers, unsigned worker_count,
                                          unsigned stream_count);
void sw_merger_release(struct sw_merger *merger);
void sw_merger_main(void *merger); /* the thread's body: ends when every worker has ended, with all sinks flushed */

#endif
