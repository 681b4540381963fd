/* serve_impl.h - What the parts of the server share: routes, JSON answers, live sessions, figures about the engine itself. */
#ifndef SW_ENGINE_SERVE_IMPL_H
#define SW_ENGINE_SERVE_IMPL_H

#include "base/histogram.h"
#include "base/json.h"
#include "engine/serve.h"
#include "engine/view.h"
#include "net/asset.h"
#include "net/http_guard.h"
#include "net/http_server.h"

#define SW_SERVE_THREADS_MAX (SW_MAX_SOURCES + SW_MAX_WORKERS + 2)
#define SW_LATENCY_PARTS 2 /* the last 5 to 10 s */

enum sw_stage_kind {
    SW_STAGE_DECODE,
    SW_STAGE_AGGREGATE,
    SW_STAGE_MERGE,
    SW_STAGE_SINK,
    SW_STAGE_SERVE,
    SW_STAGE_COUNT
};

/* Figures about the engine, taken twice a second. */
struct sw_serve_stats {
    int64_t taken_mono_ns;
    struct sw_totals totals;
    double rows_per_s, bytes_per_s, batches_per_s;
    int64_t thread_cpu_ns[SW_SERVE_THREADS_MAX];
    double thread_cpu_percent[SW_SERVE_THREADS_MAX]; /* NaN until there are two readings */
    struct sw_stage_seen *seen;                      /* owned: one a stage's part */
    uint64_t stage_p50_ns[SW_STAGE_COUNT], stage_p99_ns[SW_STAGE_COUNT];
    uint64_t stage_total_ns[SW_STAGE_COUNT];
    double stage_share_percent[SW_STAGE_COUNT];
    struct sw_histogram *latency; /* owned: SW_LATENCY_PARTS, arrival to view in ns */
    unsigned latency_part;
    int64_t latency_turn_ns; /* when the parts change roles */
    struct sw_stage serve;
};

struct sw_session;

struct sw_serve {
    struct sw_reactor *reactor;
    struct sw_engine *engine;
    struct sw_view view;
    struct sw_http_server *http;
    struct sw_http_guard guard;
    struct sw_asset page;
    struct sw_serve_stats stats;
    struct sw_timer stats_timer, ingest_timer;
    struct sw_session *sessions; /* live connections */
    unsigned session_count;
    struct sw_buf scratch; /* a message being made */
    char url[160];
    bool is_ending;
};

/* serve.c: answers with a short text; a request that cannot even be answered is cut off. */
void sw_serve_reply(struct sw_http_ref ref, unsigned status, const char *content_type, struct sw_str body);

/* stats.c */
enum sw_status sw_stats_open(struct sw_serve *serve);
void sw_stats_close(struct sw_serve *serve);
void sw_stats_take(struct sw_serve *serve); /* every 500 ms */
void sw_stats_latency(struct sw_serve *serve, int64_t latency_ns);
void sw_stats_write(struct sw_serve *serve, struct sw_json *json);
enum sw_status sw_metrics_write(struct sw_serve *serve, struct sw_buf *out);

/* api.c: answers for GET. */
void sw_api_streams(struct sw_serve *serve, const struct sw_http_call *call);
void sw_api_query(struct sw_serve *serve, const struct sw_http_call *call);
/* The index of the stream called `name`, or of the only one when it is empty; -1 otherwise. */
int sw_api_stream(const struct sw_serve *serve, struct sw_str name);
/* A key as an array of its columns. */
void sw_api_key_write(const struct sw_serve *serve, unsigned stream, uint32_t group, struct sw_json *json);
/* One row as an object; `aggregates` has a bit for each that is wanted. */
void sw_api_row_write(const struct sw_serve *serve, const struct sw_view_window *window, uint32_t row,
                      uint64_t aggregates, struct sw_json *json);

/* python_api.c: `path` is what follows "/api/processes". */
void sw_api_processes(struct sw_serve *serve, const struct sw_http_call *call, struct sw_str path);

/* live.c: WebSocket; live_sse.c: server-sent events. */
void sw_live_call(struct sw_serve *serve, const struct sw_http_call *call);
void sw_live_news(struct sw_serve *serve);  /* there are new windows */
void sw_live_stats(struct sw_serve *serve); /* there are new figures or events */

/* ingest.c */
void sw_ingest_call(struct sw_serve *serve, const struct sw_http_call *call, struct sw_str name);
void sw_ingest_tick(struct sw_serve *serve);

#endif
