/* live_impl.h - A live WebSocket session: what it is subscribed to, and what it has been sent. */
#ifndef SW_ENGINE_LIVE_IMPL_H
#define SW_ENGINE_LIVE_IMPL_H

#include "engine/serve_impl.h"

#define SW_LIVE_CHARTS 64u
#define SW_LIVE_TABLES 16u
#define SW_LIVE_SERIES 32u    /* of a chart */
#define SW_LIVE_AGGREGATES 8u /* of a series */
#define SW_LIVE_ROWS 200u     /* of a table */
#define SW_LIVE_FILTER 64u    /* bytes */

struct sw_live_chart {
    uint16_t id;
    int stream;
    uint8_t aggregates[SW_LIVE_AGGREGATES];
    unsigned aggregate_count;
    unsigned sort; /* aggregate by whose latest value the top keys are chosen */
    unsigned top;
    bool has_key;
    struct sw_str key; /* joined, owned (sw_free) */
    double range_s;    /* 0: all that is kept */
    /* State. */
    uint32_t groups[SW_LIVE_SERIES];
    unsigned group_count;
    bool is_announced;      /* the series message for `groups` was sent and the next frame resets */
    int64_t sent_ns;        /* start of the newest closed window sent; INT64_MIN */
    int64_t chosen_mono_ns; /* when `groups` was chosen */
    uint64_t changes;       /* the stream's count when the last frame was made */
};

struct sw_live_table {
    uint16_t id;
    int stream;
    unsigned sort, limit;
    bool is_descending;
    char filter[SW_LIVE_FILTER];
    uint64_t changes;
};

struct sw_session {
    struct sw_serve *serve;
    struct sw_session *next, **link;
    struct sw_http_ref ref;
    bool is_sse;
    bool is_paused;
    bool is_broken; /* a message could not be queued: the connection is cut when nobody uses the session any more */
    double rate_hz;
    struct sw_live_chart charts[SW_LIVE_CHARTS];
    unsigned chart_count;
    unsigned next_chart; /* where the next push begins, so that on a slow connection each chart gets its turn */
    struct sw_live_table tables[SW_LIVE_TABLES];
    unsigned table_count;
    int64_t pushed_mono_ns;
    int64_t arrival_mono_ns; /* of the oldest row not shown yet; INT64_MAX */
    struct sw_timer timer;   /* the push that is due */
    uint64_t event_id;       /* the last event sent */
    int only_stream;         /* sse: -1 for all */
    int64_t sse_sent_ns[SW_MAX_STREAMS];
};

/* live_subscribe.c: reads a client's message. SW_MALFORMED with *why for one that is not understood; the session is as it was. */
SW_MUST_USE enum sw_status sw_live_message(struct sw_session *session, struct sw_str text, const char **why);
void sw_live_charts_release(struct sw_live_chart *charts, unsigned count);

/* live_frame.c: append one message to `out`; nothing where there is nothing new. */
SW_MUST_USE enum sw_status sw_live_choose(struct sw_session *session, struct sw_live_chart *chart, struct sw_buf *out);
SW_MUST_USE enum sw_status sw_live_series(struct sw_session *session, struct sw_live_chart *chart, struct sw_buf *out);
SW_MUST_USE enum sw_status sw_live_table_write(struct sw_session *session, struct sw_live_table *table,
                                               struct sw_buf *out);
SW_MUST_USE enum sw_status sw_live_event_write(struct sw_serve *serve, const struct sw_event *event,
                                               struct sw_buf *out);

#endif
