/* live.c - /live: sessions over one WebSocket each, or server-sent events at the same path. See docs/live-protocol.md.
 *
 * A session is pushed to when there is news and its rate allows. One whose socket is full is passed over: when it can be written again, it gets
 * the state of that moment, and what lay between is gone. So no client can hold up the server, and the server never the engine.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/version.h"
#include "engine/live_impl.h"
#include "net/sse.h"
#include "net/url.h"
#include "net/websocket.h"

#define SESSIONS_MAX 1000u
#define EVENTS_AT_ONCE 100u
#define SSE_RATE 10.0
#define EARLY_SHARE \
    0.9 /* news a little ahead of the beat goes at once, so that beats of the engine and of a session do not add up */

static void session_send_text(struct sw_session *session) {
    if (session->serve->scratch.len > 0 && !session->is_broken)
        session->is_broken =
            sw_websocket_send_deflated(session->ref, true, sw_buf_view(&session->serve->scratch)) != SW_OK;
    sw_buf_clear(&session->serve->scratch);
}

static void sse_send(struct sw_session *session, struct sw_str name) {
    struct sw_sse_event event = {.event = name, .data = sw_buf_view(&session->serve->scratch)};
    if (event.data.len > 0 && !session->is_broken)
        session->is_broken = sw_sse_send(session->ref, &event) != SW_OK;
    sw_buf_clear(&session->serve->scratch);
}

/* Cutting a connection frees its session, so this is the last thing a turn does with it. */
static void session_settle(struct sw_session *session) {
    if (session->is_broken)
        sw_http_abort(session->ref);
}

/* Sends what `scratch` holds, as one message. */
static void session_send(struct sw_session *session, struct sw_str name) {
    if (session->is_sse)
        sse_send(session, name);
    else
        session_send_text(session);
}

static void chart_push(struct sw_session *session, struct sw_live_chart *chart) {
    struct sw_buf *out = &session->serve->scratch;
    sw_buf_clear(out);
    if (sw_live_choose(session, chart, out) != SW_OK)
        return;
    session_send_text(session);
    if (sw_live_series(session, chart, out) == SW_OK && out->len > 0 && !session->is_broken)
        session->is_broken = sw_websocket_send_binary(session->ref, sw_buf_view(out)) != SW_OK;
    sw_buf_clear(out);
}

/* The first frames of many charts are more than a slow connection takes at once: the others wait until it is writable again. */
static void charts_push(struct sw_session *session) {
    struct sw_buf *out = &session->serve->scratch;
    for (unsigned i = 0; i < session->chart_count && sw_http_is_writable(session->ref); i++) {
        session->next_chart %= session->chart_count;
        chart_push(session, &session->charts[session->next_chart++]);
    }
    for (unsigned i = 0; i < session->table_count; i++) {
        sw_buf_clear(out);
        if (sw_live_table_write(session, &session->tables[i], out) == SW_OK)
            session_send_text(session);
    }
    sw_buf_clear(out);
}

/* Server-sent events: every closed window once, row by row. */
static void sse_push(struct sw_session *session) {
    struct sw_serve *serve = session->serve;
    struct sw_json json;
    for (unsigned s = 0; s < serve->engine->job.stream_count; s++) {
        const struct sw_view_stream *stream = &serve->view.streams[s];
        if (session->only_stream >= 0 && session->only_stream != (int)s)
            continue;
        unsigned first = session->sse_sent_ns[s] == INT64_MIN ? 0 : sw_view_find(stream, session->sse_sent_ns[s] + 1);
        for (unsigned i = first; i < stream->count && !session->is_broken && sw_http_is_writable(session->ref); i++) {
            const struct sw_view_window *window = sw_view_closed(stream, i);
            sw_buf_clear(&serve->scratch);
            sw_json_init(&json, &serve->scratch);
            sw_json_object_begin(&json);
            sw_json_key(&json, SW_STR("stream"));
            sw_json_str(&json, serve->engine->job.streams[s].name);
            sw_json_key(&json, SW_STR("rows"));
            sw_json_array_begin(&json);
            for (uint32_t row = 0; row < window->row_count; row++)
                sw_api_row_write(serve, window, row, UINT64_MAX, &json);
            sw_json_array_end(&json);
            sw_json_object_end(&json);
            if (sw_json_status(&json) != SW_OK)
                return;
            sse_send(session, SW_STR("window"));
            session->sse_sent_ns[s] = window->start_ns;
        }
    }
}

static void events_push(struct sw_session *session) {
    struct sw_serve *serve = session->serve;
    uint64_t last_id = sw_events_last_id(&serve->engine->events);
    if (session->event_id == last_id)
        return;
    struct sw_event *events = sw_alloc_array(EVENTS_AT_ONCE, sizeof *events);
    if (!events)
        return;
    if (session->event_id + EVENTS_AT_ONCE < last_id)
        session->event_id = last_id - EVENTS_AT_ONCE;
    unsigned count = sw_events_since(&serve->engine->events, session->event_id, events, EVENTS_AT_ONCE);
    for (unsigned i = 0; i < count; i++) {
        sw_buf_clear(&serve->scratch);
        if (sw_live_event_write(serve, &events[i], &serve->scratch) == SW_OK)
            session_send(session, SW_STR("event"));
        session->event_id = events[i].id;
    }
    sw_free(events);
}

static void session_push(struct sw_session *session) {
    int64_t now_ns = sw_clock_mono_ns();
    if (session->is_paused || !sw_http_is_writable(session->ref))
        return;
    session->pushed_mono_ns = now_ns;
    if (session->is_sse)
        sse_push(session);
    else
        charts_push(session);
    events_push(session);
    if (session->arrival_mono_ns != INT64_MAX)
        sw_stats_latency(session->serve, sw_clock_mono_ns() - session->arrival_mono_ns);
    session->arrival_mono_ns = INT64_MAX;
    sw_stage_add(&session->serve->stats.serve, sw_clock_mono_ns() - now_ns);
    session_settle(session);
}

static void on_timer(void *context) {
    session_push(context);
}

static void stats_push(struct sw_session *session) {
    struct sw_serve *serve = session->serve;
    struct sw_json json;
    if (session->is_paused || !sw_http_is_writable(session->ref))
        return;
    sw_buf_clear(&serve->scratch);
    sw_json_init(&json, &serve->scratch);
    sw_stats_write(serve, &json);
    if (sw_json_status(&json) == SW_OK)
        session_send(session, SW_STR("stats"));
    events_push(session);
    session_settle(session);
}

static void hello_send(struct sw_session *session) {
    struct sw_serve *serve = session->serve;
    struct sw_json json;
    sw_buf_clear(&serve->scratch);
    sw_json_init(&json, &serve->scratch);
    sw_json_object_begin(&json);
    sw_json_key(&json, SW_STR("type"));
    sw_json_str(&json, SW_STR("hello"));
    sw_json_key(&json, SW_STR("version"));
    sw_json_str(&json, sw_str_from(sw_version()));
    sw_json_key(&json, SW_STR("started_ns"));
    sw_json_i64(&json, serve->engine->started_epoch_ns);
    sw_json_key(&json, SW_STR("now_ms"));
    sw_json_f64(&json, (double)sw_clock_epoch_ns() / 1e6);
    sw_json_object_end(&json);
    session_send(session, SW_STR("hello")); /* whoever is next to push settles */
}

static void session_free(struct sw_session *session) {
    sw_reactor_timer_cancel(&session->timer);
    sw_live_charts_release(session->charts, session->chart_count);
    *session->link = session->next;
    if (session->next)
        session->next->link = session->link;
    session->serve->session_count--;
    sw_free(session);
}

static struct sw_session *session_new(struct sw_serve *serve, struct sw_http_ref ref) {
    struct sw_session *session = serve->session_count < SESSIONS_MAX ? sw_alloc_zero(sizeof *session) : NULL;
    if (!session)
        return NULL;
    session->serve = serve;
    session->ref = ref;
    session->rate_hz = SSE_RATE;
    session->only_stream = -1;
    session->arrival_mono_ns = INT64_MAX;
    session->timer.fn = on_timer;
    session->timer.context = session;
    for (unsigned i = 0; i < SW_MAX_STREAMS; i++)
        session->sse_sent_ns[i] = INT64_MIN;
    session->next = serve->sessions;
    session->link = &serve->sessions;
    if (session->next)
        session->next->link = &session->next;
    serve->sessions = session;
    serve->session_count++;
    return session;
}

static void on_websocket_message(void *context, struct sw_http_ref ref, bool is_text, struct sw_str bytes) {
    struct sw_session *session = context;
    const char *why = "";
    enum sw_status status = is_text ? sw_live_message(session, bytes, &why) : SW_UNSUPPORTED;
    if (status == SW_OK) {
        session_push(session);
        return;
    }
    unsigned code = status == SW_UNSUPPORTED ? 1003 : status == SW_NOMEM ? 1011 : 1008;
    sw_websocket_close(ref, code, sw_str_from(status == SW_MALFORMED ? why : sw_status_text(status)));
}

static void on_websocket_close(void *context, struct sw_http_ref ref, unsigned code) {
    (void)ref;
    (void)code;
    session_free(context);
}

static void on_writable(void *context, struct sw_http_ref ref) {
    (void)ref;
    session_push(context);
}

static void on_sse_close(void *context, struct sw_http_ref ref) {
    (void)ref;
    session_free(context);
}

static void websocket_start(struct sw_session *session, const struct sw_http_call *call) {
    struct sw_websocket_options options = {.on_message = on_websocket_message,
                                           .on_close = on_websocket_close,
                                           .on_writable = on_writable,
                                           .context = session,
                                           .message_bytes_max = 256 * 1024};
    if (sw_websocket_accept(call, &options) == SW_OK)
        hello_send(session);
    else
        session_free(session);
}

static void sse_start(struct sw_session *session, const struct sw_http_call *call) {
    struct sw_serve *serve = session->serve;
    struct sw_sse_options options = {.on_close = on_sse_close, .on_writable = on_writable, .context = session};
    struct sw_buf name = {0};
    session->is_sse = true;
    if (sw_url_query_get(call->head->query, SW_STR("stream"), &name) == SW_OK) {
        session->only_stream = sw_api_stream(serve, sw_buf_view(&name));
        if (session->only_stream < 0) {
            sw_buf_release(&name);
            sw_serve_reply(call->ref, 404, NULL, SW_STR("no such stream; see /api/streams\n"));
            session_free(session);
            return;
        }
    }
    sw_buf_release(&name);
    if (sw_sse_start(call, &options) != SW_OK) {
        sw_http_abort(call->ref);
        session_free(session);
        return;
    }
    hello_send(session);
    session_push(session);
}

void sw_live_call(struct sw_serve *serve, const struct sw_http_call *call) {
    struct sw_session *session = session_new(serve, call->ref);
    if (!session)
        sw_serve_reply(call->ref, 503, NULL, SW_STR("too many live connections\n"));
    else if (call->head->is_websocket_upgrade)
        websocket_start(session, call);
    else
        sse_start(session, call);
}

void sw_live_news(struct sw_serve *serve) {
    int64_t now_ns = sw_clock_mono_ns();
    int64_t arrival_ns = serve->view.arrival_mono_ns;
    serve->view.arrival_mono_ns = INT64_MAX;
    if (!serve->sessions && arrival_ns != INT64_MAX)
        sw_stats_latency(serve, now_ns - arrival_ns);
    struct sw_session *next = NULL;
    for (struct sw_session *session = serve->sessions; session; session = next) {
        next = session->next;
        if (arrival_ns < session->arrival_mono_ns)
            session->arrival_mono_ns = arrival_ns;
        int64_t period_ns = (int64_t)(1e9 / session->rate_hz);
        int64_t due_ns = session->pushed_mono_ns + (int64_t)((double)period_ns * EARLY_SHARE);
        if (now_ns >= due_ns)
            session_push(session);
        else if (!sw_timer_is_armed(&session->timer))
            sw_reactor_timer_add(serve->reactor, &session->timer, due_ns - now_ns);
    }
}

void sw_live_stats(struct sw_serve *serve) {
    struct sw_session *next = NULL;
    for (struct sw_session *session = serve->sessions; session; session = next) {
        next = session->next;
        stats_push(session);
    }
}
