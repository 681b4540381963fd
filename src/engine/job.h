/* job.h - What to run: streams, their columns, windows and aggregates, the sources that feed them, the sinks that take the rows.
 *
 * The command line, a job file and the Python package only fill in a struct sw_job; nothing else knows how to run one. All strings
 * are borrowed and must outlive the engine.
 */
#ifndef SW_ENGINE_JOB_H
#define SW_ENGINE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "engine/batch.h"
#include "engine/decoder.h"

/* enumerator, name, numeric columns, text columns, parameters, what it gives */
#define SW_AGGREGATE_LIST(X) \
    X(COUNT, "count", 0, 0, 0, "rows; count(x): rows where x is present") \
    X(FIRST, "first", 1, 0, 0, "value with the least event time") \
    X(LAST, "last", 1, 0, 0, "value with the greatest event time") \
    X(MIN, "min", 1, 0, 0, "least value") \
    X(MAX, "max", 1, 0, 0, "greatest value") \
    X(SUM, "sum", 1, 0, 0, "sum, compensated") \
    X(MEAN, "mean", 1, 0, 0, "arithmetic mean") \
    X(VARIANCE, "variance", 1, 0, 0, "sample variance (n - 1)") \
    X(STDDEV, "stddev", 1, 0, 0, "sample standard deviation (n - 1)") \
    X(VWAP, "vwap", 2, 0, 0, "mean of the first column weighted by the second") \
    X(QUANTILE, "quantile", 1, 0, 1, "quantile(x, q), within 1 % (DDSketch)") \
    X(MEDIAN, "median", 1, 0, 0, "quantile(x, 0.5)") \
    X(DISTINCT, "distinct", 0, 1, 0, "number of distinct values (HyperLogLog)") \
    X(TOPK, "topk", 0, 1, 1, "topk(x, k), the k most frequent values (Space-Saving)") \
    X(RATE, "rate", 0, 0, 0, "rows per second of the window")

enum sw_aggregate_fn {
#define SW_AGGREGATE_ENUMERATOR(code, name, nums, texts, params, text) SW_AGG_##code,
    SW_AGGREGATE_LIST(SW_AGGREGATE_ENUMERATOR)
#undef SW_AGGREGATE_ENUMERATOR
};

#define SW_MAX_AGGREGATES 64
#define SW_MAX_STREAMS 16
#define SW_MAX_SOURCES 64
#define SW_MAX_SINKS 8
#define SW_MAX_WORKERS 64

struct sw_aggregate {
    struct sw_str name; /* of the output column */
    enum sw_aggregate_fn fn;
    struct sw_str columns[2];
    unsigned column_count; /* count() has 0, count(x) 1 */
    double parameter;      /* q of quantile, k of topk */
    struct sw_str unit;    /* for people: "%", "bytes", ...; may be empty */
};

/* A picture of one aggregate on the dashboard; see docs/live-protocol.md. */
struct sw_chart {
    struct sw_str title, unit, line, low, high;
    struct sw_str key; /* joined key (see groups.h); empty: the top ones */
    unsigned top;
};

struct sw_tile {
    struct sw_str title, aggregate, unit;
    struct sw_str key;
};

struct sw_stream {
    struct sw_str name;
    struct sw_str title;
    struct sw_str keys[SW_MAX_KEYS];
    unsigned key_count;
    struct sw_str time_column; /* empty: arrival time */
    enum sw_time_unit time_unit;
    int64_t window_ns;
    int64_t disorder_ns;
    uint32_t
        max_keys; /* of a stream with one source whose keys come and go: ids are used again; 0: the job's, and they are not */
    struct sw_aggregate *aggregates;
    unsigned aggregate_count;
    const struct sw_chart *charts; /* NULL: one for each aggregate */
    unsigned chart_count;
    const struct sw_tile *tiles; /* NULL: chosen from the aggregates */
    unsigned tile_count;
    struct sw_str table_sort; /* aggregate the table is sorted by; empty: the first */
};

struct sw_source_spec {
    struct sw_str uri; /* "host://?hz=10", "tcp://127.0.0.1:9000", "udp://...", "ingest://NAME", "-" or a path */
    struct sw_decoder_options decoder;
    unsigned stream; /* index of the (first) stream it feeds */
    double replay;   /* of event time: 1 is real time; 0 as fast as possible */
};

struct sw_sink_spec {
    struct sw_str uri; /* "jsonl:-", "jsonl:PATH", "csv:-", "csv:PATH" */
};

struct sw_job {
    struct sw_str name;
    struct sw_stream streams[SW_MAX_STREAMS];
    unsigned stream_count;
    struct sw_source_spec sources[SW_MAX_SOURCES];
    unsigned source_count;
    struct sw_sink_spec sinks[SW_MAX_SINKS];
    unsigned sink_count;
    unsigned workers;        /* 0: one for each core but one */
    unsigned keep_windows;   /* for views and queries; 0: 600 */
    uint32_t max_keys;       /* distinct keys a stream; 0: 1,000,000 */
    int64_t idle_ns;         /* a source this long without data lets its watermark follow the wall clock; 0: 5 s */
    struct sw_str late_path; /* raw text of late rows; empty: only counted */
    bool has_views;          /* a dashboard or a query will look at the results */
};

/* Reads "name=fn(args),name=fn(args),..." into arena memory. "fn(x)" without a name is called "fn_x". The message names what is
 * wrong and, for an unknown function, those there are. */
SW_MUST_USE enum sw_status sw_aggregates_parse(struct sw_str text, struct sw_arena *arena, struct sw_stream *stream,
                                               struct sw_error *err);
const char *sw_aggregate_name(enum sw_aggregate_fn fn);
bool sw_aggregate_is_text(enum sw_aggregate_fn fn); /* topk */

#endif
