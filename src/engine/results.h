/* results.h - Finished windows on their way from a worker to the merger, sinks and views: rows of numbers, no state.
 *
 * A block holds whole windows of one stream in the order in which they closed. Workers take blocks from their own pool and the
 * merger gives them back.
 */
#ifndef SW_ENGINE_RESULTS_H
#define SW_ENGINE_RESULTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "engine/batch.h"

struct sw_window {
    int64_t start_ns;
    int64_t end_ns;
    uint32_t first_row;
    uint32_t row_count;
};

struct sw_results_pool;

struct sw_results {
    uint16_t stream;
    uint16_t worker;
    bool is_open;            /* a look at windows that are still open; nothing but views wants it */
    bool is_end;             /* the worker's last block */
    int64_t watermark_ns;    /* of the stream on this worker, after these windows */
    int64_t arrival_mono_ns; /* when the oldest row that is new in here came; INT64_MAX: none */
    struct sw_window *windows;
    uint32_t window_count, window_room;
    uint32_t row_count, row_room;
    uint32_t value_count;      /* values a row: the aggregates of the stream */
    uint32_t text_count;       /* topk aggregates a row */
    uint32_t *groups;          /* a row's group id */
    double *values;            /* row_count x value_count, NaN where absent */
    float *scores;             /* row_count x value_count, anomaly scores 0..1 */
    uint64_t *marks;           /* a row's anomalies, bit i for value i */
    struct sw_text_ref *texts; /* row_count x text_count, JSON in text_bytes */
    struct sw_buf text_bytes;
    struct sw_results *next;
    struct sw_results_pool *pool;
};

struct sw_results_pool {
    struct sw_results *free;
    struct sw_results *_Atomic returned;
};

/* An empty block. The taker is one thread, the giver may be another. */
SW_MUST_USE enum sw_status sw_results_take(struct sw_results_pool *pool, struct sw_results **results);
void sw_results_put(struct sw_results *results);
void sw_results_pool_release(struct sw_results_pool *pool); /* when all blocks are back */

/* Room for `rows` more rows, to which the columns now point. On SW_NOMEM the block is as it was. value_count and text_count are set. */
SW_MUST_USE enum sw_status sw_results_reserve(struct sw_results *results, uint32_t rows);
SW_MUST_USE enum sw_status sw_results_window(struct sw_results *results, struct sw_window window);

#endif
