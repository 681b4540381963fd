/* host_job.h - The jobs that analyse this machine: the streams of host:// and python:// with their columns, aggregates,
 * charts and tiles.
 *
 * Every column gives its mean; those marked so also their median and 99th percentile of the window.
 */
#ifndef SW_ENGINE_HOST_JOB_H
#define SW_ENGINE_HOST_JOB_H

#include "engine/job.h"

#define SW_HOST_STREAMS 5u
enum sw_host_stream { SW_HOST_CPU, SW_HOST_MACHINE, SW_HOST_DISK, SW_HOST_NET, SW_HOST_PROCESS };

struct sw_host_column {
    const char *name;
    const char *title; /* of its chart; NULL: none */
    const char *unit;
    size_t offset; /* of the double in the sample's structure for this stream */
    bool has_band;
};

/* The columns of a stream, ended by one without a name. */
const struct sw_host_column *sw_host_columns(enum sw_host_stream stream);

/* What python:// says of each process; the offsets are in struct sw_python_figures. SW_PYTHON_FUNCTION is one more column,
 * of text, which gives its most frequent value. */
#define SW_PYTHON_FUNCTION "function"
const struct sw_host_column *sw_python_columns(void);

/* Adds the stream of python:// and its source to the job. */
SW_MUST_USE enum sw_status sw_python_job(struct sw_job *job, struct sw_arena *arena, struct sw_str uri,
                                         int64_t window_ns);

/* Sets the job's streams and its one source. Strings live in `arena` or for ever. */
SW_MUST_USE enum sw_status sw_host_job(struct sw_job *job, struct sw_arena *arena, struct sw_str uri,
                                       int64_t window_ns);

#endif
