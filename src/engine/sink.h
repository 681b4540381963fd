/* sink.h - Where finished rows go: jsonl or csv, to a file or stdout. Used by the merger's thread only.
 *
 * Every row carries window_start_ns, window_end_ns, the key columns, the aggregates, and the names of those whose value is an anomaly. Where
 * a job has several streams, a jsonl row begins with the name of its stream and csv is refused.
 */
#ifndef SW_ENGINE_SINK_H
#define SW_ENGINE_SINK_H

#include <stdatomic.h>

#include "engine/groups.h"
#include "engine/job.h"
#include "engine/results.h"

struct sw_sink;

struct sw_sink_options {
    const struct sw_job *job;
    struct sw_groups *groups;        /* one a stream */
    const _Atomic bool *is_stopping; /* a full disk is waited out until this is set */
};

/* "jsonl:-", "jsonl:PATH", "csv:-", "csv:PATH". A file is created or truncated. */
SW_MUST_USE enum sw_status sw_sink_open(struct sw_sink **sink, struct sw_str uri, const struct sw_sink_options *options,
                                        struct sw_error *err);
/* SW_CLOSED: the reader of stdout went away. Other failures name the file and the reason. */
SW_MUST_USE enum sw_status sw_sink_window(struct sw_sink *sink, const struct sw_results *results,
                                          const struct sw_window *window, struct sw_error *err);
SW_MUST_USE enum sw_status sw_sink_flush(struct sw_sink *sink, struct sw_error *err);
uint64_t sw_sink_rows(const struct sw_sink *sink);
void sw_sink_close(struct sw_sink *sink); /* does not flush; NULL is fine */

#endif
