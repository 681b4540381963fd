/* http_conn.c - One connection from accept to close: heads, the order of requests, deadlines, the ways to end. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/http_impl.h"
#include "net/url.h"

/* How often a body under way is checked against its least rate, once its grace is over. */
#define BODY_CHECK_NS SW_NS_PER_S

static int64_t timer_delay(const struct sw_http_conn *conn, enum sw_http_timer_mode mode) {
    const struct sw_http_options *options = &conn->server->options;
    switch (mode) {
    case SW_HTTP_TIMER_IDLE:
        return options->idle_timeout_ns;
    case SW_HTTP_TIMER_HEAD:
        return options->head_timeout_ns;
    case SW_HTTP_TIMER_BODY:
        return options->body_timeout_ns;
    case SW_HTTP_TIMER_HANDLER:
        return options->handler_timeout_ns;
    case SW_HTTP_TIMER_LINGER:
        return options->linger_timeout_ns;
    default:
        return 0;
    }
}

/* A mode keeps the deadline it began with, but for idling, which begins anew after each request. A timer that is not
 * wanted any more is left to fire into SW_HTTP_TIMER_OFF: cheaper than moving it twice per request. */
static void arm(struct sw_http_conn *conn, enum sw_http_timer_mode mode) {
    if (mode == conn->timer_mode && mode != SW_HTTP_TIMER_IDLE) {
        return;
    }
    conn->timer_mode = mode;
    if (mode != SW_HTTP_TIMER_OFF) {
        sw_reactor_timer_touch(conn->server->reactor, &conn->timer, timer_delay(conn, mode));
    }
}

void sw_http_conn_arm_write(struct sw_http_conn *conn) {
    if (conn->stream.pending_bytes == 0) {
        conn->progress_ns = sw_reactor_now_ns(conn->server->reactor);
    }
    if (!sw_timer_is_armed(&conn->write_timer)) {
        sw_reactor_timer_add(conn->server->reactor, &conn->write_timer, conn->server->options.write_timeout_ns);
    }
}

/* Fires once per timeout, not per write: what was sent meanwhile is looked up here. */
static void on_write_timer(void *context) {
    struct sw_http_conn *conn = context;
    struct sw_http_server *server = conn->server;
    if (conn->stream.pending_bytes == 0) {
        return;
    }
    int64_t stalled_ns = sw_reactor_now_ns(server->reactor) - conn->progress_ns;
    if (stalled_ns >= server->options.write_timeout_ns) {
        server->stats.timeouts++;
        sw_http_conn_kill(conn);
    } else {
        sw_reactor_timer_add(server->reactor, &conn->write_timer, server->options.write_timeout_ns - stalled_ns);
    }
}

void sw_http_conn_end_request(struct sw_http_conn *conn, enum sw_status status) {
    struct sw_http_ref ref = sw_http_ref_of(conn);
    sw_http_body_finish(conn, status == SW_OK ? SW_INTERRUPTED : status, (struct sw_str){0});
    sw_http_close_fn on_close = conn->on_close;
    conn->on_close = NULL;
    conn->on_writable = NULL;
    conn->server->slots[conn->slot].generation++;
    if (on_close) {
        on_close(conn->on_close_context, ref, status == SW_OK ? SW_OK : SW_CLOSED);
    }
}

void sw_http_conn_kill(struct sw_http_conn *conn) {
    if (conn->phase == SW_HTTP_PHASE_DEAD) {
        return;
    }
    enum sw_http_phase phase = conn->phase;
    conn->phase = SW_HTTP_PHASE_DEAD;
    sw_reactor_timer_cancel(&conn->timer);
    sw_reactor_timer_cancel(&conn->write_timer);
    sw_reactor_defer_cancel(&conn->resume);
    sw_stream_close(&conn->stream);
    if (phase == SW_HTTP_PHASE_REQUEST) {
        sw_http_conn_end_request(conn, SW_CLOSED);
    } else if (phase == SW_HTTP_PHASE_UPGRADED) {
        conn->upgrade->on_close(conn->upgrade_context);
    }
    sw_http_forget(conn);
}

/* What is queued goes out, input is dropped. With unread input a close would reset the connection and could destroy
 * the answer on its way, so that case waits for the peer to finish. */
static void begin_closing(struct sw_http_conn *conn) {
    conn->phase = SW_HTTP_PHASE_CLOSING;
    conn->drained_bytes = 0;
    sw_stream_resume(&conn->stream);
    arm(conn, SW_HTTP_TIMER_OFF);
    if (conn->stream.pending_bytes == 0) {
        sw_http_conn_schedule(conn);
    }
}

/* All output of a closing connection has left. */
static void finish_closing(struct sw_http_conn *conn) {
    if (!conn->is_dirty || conn->is_peer_done) {
        sw_http_conn_kill(conn);
        return;
    }
    sw_stream_shutdown(&conn->stream);
    arm(conn, SW_HTTP_TIMER_LINGER);
}

void sw_http_conn_close_soon(struct sw_http_conn *conn) {
    if (conn->phase == SW_HTTP_PHASE_UPGRADED) {
        conn->upgrade->on_close(conn->upgrade_context);
        conn->server->slots[conn->slot].generation++;
        conn->is_dirty = true;
    }
    if (conn->phase != SW_HTTP_PHASE_DEAD) {
        begin_closing(conn);
    }
}

void sw_http_conn_fail(struct sw_http_conn *conn, unsigned http_status, const char *reason, enum sw_status status) {
    conn->server->stats.bad_requests++;
    if (conn->answer != SW_HTTP_ANSWER_NONE) {
        sw_http_conn_kill(conn); /* half an answer cannot be taken back */
        return;
    }
    conn->is_keep_alive = false;
    conn->is_dirty = true;
    struct sw_http_response response = {.status = http_status,
                                        .content_type = SW_STR("text/plain; charset=utf-8"),
                                        .body = sw_str_from(reason)};
    if (sw_http_write_head(conn, &response) != SW_OK) {
        sw_http_conn_kill(conn);
        return;
    }
    conn->answer = SW_HTTP_ANSWER_DONE;
    if (conn->phase == SW_HTTP_PHASE_REQUEST) {
        sw_http_conn_end_request(conn, status);
    }
    begin_closing(conn);
}

static void reset_request(struct sw_http_conn *conn, const struct sw_http_head *head) {
    conn->is_head_method = head && head->method == SW_HTTP_HEAD;
    conn->is_http10 = head && head->version_minor == 0;
    conn->is_keep_alive = head && head->is_keep_alive && !conn->server->is_draining;
    conn->is_expecting = head && head->is_expect_continue;
    conn->answer = SW_HTTP_ANSWER_NONE;
    conn->is_chunked_out = false;
    conn->has_length_out = false;
    sw_buf_clear(&conn->extra);
}

static struct sw_str decoded_path(struct sw_http_server *server, struct sw_str path) {
    if (memchr(path.ptr, '%', path.len)) {
        size_t len = 0;
        if (sw_url_decode(path, server->path, &len) != SW_OK) {
            return (struct sw_str){0};
        }
        path = sw_str_make(server->path, len);
    }
    bool is_known_form = sw_str_eq(path, SW_STR("*")) || sw_url_path_is_plain(path);
    return is_known_form ? path : (struct sw_str){0};
}

static void hand_over(struct sw_http_conn *conn, const struct sw_http_head *head) {
    struct sw_http_server *server = conn->server;
    conn->phase = SW_HTTP_PHASE_REQUEST;
    reset_request(conn, head);
    sw_http_body_begin(conn, head);
    server->stats.requests++;
    struct sw_http_call call = {.ref = sw_http_ref_of(conn),
                                .head = head,
                                .path = decoded_path(server, head->path),
                                .peer = &conn->peer};
    server->options.handler(server->options.context, &call);
    sw_free(conn->parser); /* of this head, if it came in parts */
    conn->parser = NULL;
}

/* A head that is not there in full gets a parser of its own, which need not look twice at what has been seen. */
static enum sw_status keep_parser(struct sw_http_conn *conn, struct sw_str bytes) {
    struct sw_http_server *server = conn->server;
    size_t headers = sizeof(struct sw_http_header) * server->options.header_count_max;
    size_t parser_bytes = (sizeof *conn->parser + 15) & ~(size_t)15;
    conn->parser = sw_alloc(parser_bytes + headers);
    if (!conn->parser) {
        return SW_NOMEM;
    }
    struct sw_http_header *array = (struct sw_http_header *)(void *)((char *)conn->parser + parser_bytes);
    sw_http_parser_init(conn->parser, array, server->options.header_count_max, &server->options.limits);
    return sw_http_parser_feed(conn->parser, bytes);
}

/* Reads one head and calls the handler; false if that has to wait. */
static bool head_step(struct sw_http_conn *conn, struct sw_str *rest) {
    if (rest->len == 0) {
        return false;
    }
    struct sw_http_parser *parser = conn->parser ? conn->parser : &conn->server->parser;
    if (!conn->parser) {
        sw_http_parser_reset(parser);
    }
    enum sw_status status = sw_http_parser_feed(parser, *rest);
    if (status == SW_AGAIN && !conn->parser) {
        status = keep_parser(conn, *rest);
    }
    if (status == SW_AGAIN) {
        return false;
    }
    if (status != SW_OK) {
        reset_request(conn, NULL);
        bool is_memory = status == SW_NOMEM;
        unsigned http_status = is_memory ? 503 : (unsigned)parser->http_status;
        sw_http_conn_fail(conn, http_status, is_memory ? "out of memory" : parser->reason, status);
        return true;
    }
    *rest = sw_str_skip(*rest, parser->head.size_bytes);
    hand_over(conn, &parser->head);
    return true;
}

/* The answer is queued in full: the request is over, or what is left of its body has to be read first. */
static bool answered_step(struct sw_http_conn *conn) {
    if (conn->body_state != SW_HTTP_BODY_DONE && conn->is_keep_alive) {
        if (conn->body_state == SW_HTTP_BODY_DRAINING) {
            return false;
        }
        sw_http_body_finish(conn, SW_INTERRUPTED, (struct sw_str){0});
        if (conn->phase == SW_HTTP_PHASE_REQUEST) {
            conn->body_state = SW_HTTP_BODY_DRAINING;
            conn->drained_bytes = 0;
        }
        return true;
    }
    conn->is_dirty = conn->is_dirty || conn->body_state != SW_HTTP_BODY_DONE;
    sw_http_conn_end_request(conn, SW_OK);
    if (conn->phase != SW_HTTP_PHASE_REQUEST) {
        return true;
    }
    if (conn->is_keep_alive) {
        conn->phase = SW_HTTP_PHASE_HEAD;
        arm(conn, SW_HTTP_TIMER_IDLE);
    } else {
        begin_closing(conn);
    }
    return true;
}

static bool step(struct sw_http_conn *conn, struct sw_str *rest, unsigned *served) {
    const struct sw_http_options *options = &conn->server->options;
    switch (conn->phase) {
    case SW_HTTP_PHASE_HEAD:
        /* A peer that sends requests and does not read the answers is not served on; on_drain comes back here. */
        if (conn->stream.pending_bytes > options->high_water_bytes) {
            return false;
        }
        if (*served == options->pipeline_max && rest->len > 0) {
            sw_reactor_defer(conn->server->reactor, &conn->resume);
            return false;
        }
        (*served)++;
        return head_step(conn, rest);
    case SW_HTTP_PHASE_REQUEST:
        if (sw_http_body_step(conn, rest)) {
            return true;
        }
        return conn->phase == SW_HTTP_PHASE_REQUEST && conn->answer == SW_HTTP_ANSWER_DONE && answered_step(conn);
    case SW_HTTP_PHASE_CLOSING:
        conn->drained_bytes += rest->len;
        conn->is_dirty = conn->is_dirty || rest->len > 0;
        *rest = (struct sw_str){0};
        if (conn->drained_bytes > 16 * options->drain_bytes_max) {
            sw_http_conn_kill(conn);
        }
        return false;
    case SW_HTTP_PHASE_UPGRADED: {
        struct sw_str bytes = *rest;
        *rest = (struct sw_str){0};
        if (bytes.len > 0) {
            conn->upgrade->on_data(conn->upgrade_context, bytes);
        }
        return false;
    }
    default:
        return false;
    }
}

static void set_timer(struct sw_http_conn *conn) {
    const struct sw_http_options *options = &conn->server->options;
    if (conn->phase == SW_HTTP_PHASE_HEAD) {
        if (conn->parser) { /* a head has begun */
            arm(conn, SW_HTTP_TIMER_HEAD);
        }
    } else if (conn->phase == SW_HTTP_PHASE_REQUEST) {
        if (conn->body_state == SW_HTTP_BODY_READING || conn->body_state == SW_HTTP_BODY_DRAINING) {
            arm(conn, SW_HTTP_TIMER_BODY);
        } else if (conn->answer == SW_HTTP_ANSWER_NONE && options->handler_timeout_ns > 0) {
            arm(conn, SW_HTTP_TIMER_HANDLER);
        } else {
            arm(conn, SW_HTTP_TIMER_OFF);
        }
    } else if (conn->phase == SW_HTTP_PHASE_UPGRADED) {
        arm(conn, SW_HTTP_TIMER_OFF);
    }
}

/* Keeps what was not consumed. `rest` points into the backlog or into the reactor's memory. */
static void keep_rest(struct sw_http_conn *conn, struct sw_str rest, bool is_backlog) {
    if (is_backlog) {
        sw_buf_consume(&conn->backlog, conn->backlog.len - rest.len);
    } else if (rest.len > 0 && sw_buf_append(&conn->backlog, rest) != SW_OK) {
        sw_http_conn_kill(conn);
        return;
    }
    if (conn->backlog.len == 0 && conn->backlog.cap > 4096) {
        sw_buf_release(&conn->backlog);
    }
    bool is_waiting = conn->phase == SW_HTTP_PHASE_REQUEST || conn->resume.link ||
                      conn->stream.pending_bytes > conn->server->options.high_water_bytes;
    if (is_waiting && conn->backlog.len >= conn->server->options.backlog_bytes_max) {
        sw_stream_pause(&conn->stream);
    } else if (!conn->stream.is_reading && conn->phase != SW_HTTP_PHASE_DEAD) {
        sw_stream_resume(&conn->stream);
    }
}

/* The peer is done sending: what can be answered is, the rest of the connection has no purpose. */
static void after_peer_done(struct sw_http_conn *conn) {
    switch (conn->phase) {
    case SW_HTTP_PHASE_HEAD:
        if (!conn->resume.link && conn->stream.pending_bytes <= conn->server->options.high_water_bytes) {
            begin_closing(conn);
        }
        break;
    case SW_HTTP_PHASE_REQUEST: {
        bool is_body_cut = conn->body_state == SW_HTTP_BODY_READING || conn->body_state == SW_HTTP_BODY_DRAINING;
        /* A browser that leaves an event stream just closes; a stream has no other way to learn it. */
        bool is_stream = conn->answer == SW_HTTP_ANSWER_STARTED && !conn->has_length_out;
        /* A close cannot be told from the end of one half. */
        bool is_unwanted = conn->server->options.ends_with_peer && conn->answer != SW_HTTP_ANSWER_DONE;
        if (is_body_cut || is_stream || is_unwanted) {
            sw_http_conn_kill(conn);
        }
        break;
    }
    case SW_HTTP_PHASE_UPGRADED:
        conn->upgrade->on_end(conn->upgrade_context);
        break;
    default:
        break;
    }
}

static void process(struct sw_http_conn *conn, struct sw_str bytes) {
    if (conn->backlog.len > 0 && bytes.len > 0) {
        if (sw_buf_append(&conn->backlog, bytes) != SW_OK) {
            sw_http_conn_kill(conn);
            return;
        }
    }
    bool is_backlog = conn->backlog.len > 0;
    struct sw_str rest = is_backlog ? sw_buf_view(&conn->backlog) : bytes;
    unsigned served = 0;
    conn->is_processing = true;
    while (step(conn, &rest, &served)) {
    }
    conn->is_processing = false;
    if (conn->phase == SW_HTTP_PHASE_DEAD) {
        return;
    }
    if (conn->phase == SW_HTTP_PHASE_CLOSING && conn->stream.pending_bytes == 0 &&
        conn->timer_mode != SW_HTTP_TIMER_LINGER) {
        finish_closing(conn);
    }
    if (conn->phase != SW_HTTP_PHASE_DEAD) {
        keep_rest(conn, rest, is_backlog);
    }
    if (conn->phase != SW_HTTP_PHASE_DEAD) {
        set_timer(conn);
        if (conn->is_peer_done) {
            after_peer_done(conn);
        }
    }
}

static void resume(void *context) {
    process(context, (struct sw_str){0});
}

void sw_http_conn_schedule(struct sw_http_conn *conn) {
    if (!conn->is_processing && conn->phase != SW_HTTP_PHASE_DEAD) {
        sw_reactor_defer(conn->server->reactor, &conn->resume);
    }
}

static void on_body_timer(struct sw_http_conn *conn) {
    struct sw_http_server *server = conn->server;
    int64_t elapsed_ns = sw_reactor_now_ns(server->reactor) - conn->body_start_ns;
    double wanted = (double)server->options.body_rate_min * (double)elapsed_ns / (double)SW_NS_PER_S;
    if ((double)conn->body_seen < wanted) {
        server->stats.timeouts++;
        sw_http_conn_fail(conn, 408, "the request body came too slowly", SW_TIMEOUT);
        return;
    }
    int64_t delay_ns =
        server->options.body_timeout_ns < BODY_CHECK_NS ? server->options.body_timeout_ns : BODY_CHECK_NS;
    sw_reactor_timer_add(server->reactor, &conn->timer, delay_ns);
}

static void on_timer(void *context) {
    struct sw_http_conn *conn = context;
    switch (conn->timer_mode) {
    case SW_HTTP_TIMER_HEAD:
        conn->server->stats.timeouts++;
        if (conn->backlog.len == 0) { /* connected and never said a word */
            sw_http_conn_kill(conn);
        } else {
            reset_request(conn, NULL);
            sw_http_conn_fail(conn, 408, "the request head did not arrive in time", SW_TIMEOUT);
        }
        break;
    case SW_HTTP_TIMER_BODY:
        on_body_timer(conn);
        break;
    case SW_HTTP_TIMER_HANDLER:
        conn->server->stats.timeouts++;
        sw_http_conn_fail(conn, 503, "the answer was not ready in time", SW_TIMEOUT);
        break;
    case SW_HTTP_TIMER_IDLE:
        conn->is_dirty = false;
        begin_closing(conn);
        break;
    case SW_HTTP_TIMER_LINGER:
        sw_http_conn_kill(conn);
        break;
    default:
        break;
    }
}

static void on_data(void *context, struct sw_str bytes) {
    process(context, bytes);
}

static void on_end(void *context) {
    struct sw_http_conn *conn = context;
    conn->is_peer_done = true;
    if (conn->phase == SW_HTTP_PHASE_CLOSING && conn->stream.pending_bytes == 0) {
        sw_http_conn_kill(conn);
        return;
    }
    process(conn, (struct sw_str){0});
}

static void on_progress(void *context) {
    struct sw_http_conn *conn = context;
    conn->progress_ns = sw_reactor_now_ns(conn->server->reactor);
}

static void on_drain(void *context) {
    struct sw_http_conn *conn = context;
    conn->progress_ns = sw_reactor_now_ns(conn->server->reactor);
    if (conn->phase == SW_HTTP_PHASE_CLOSING) {
        finish_closing(conn);
    } else if (conn->phase == SW_HTTP_PHASE_UPGRADED) {
        conn->upgrade->on_drain(conn->upgrade_context);
    } else if (conn->phase == SW_HTTP_PHASE_REQUEST && conn->on_writable && conn->answer == SW_HTTP_ANSWER_STARTED) {
        conn->on_writable(conn->on_writable_context, sw_http_ref_of(conn));
    } else if (conn->phase == SW_HTTP_PHASE_HEAD && (conn->backlog.len > 0 || conn->is_peer_done)) {
        sw_http_conn_schedule(conn);
    }
}

static void on_error(void *context, int error_number) {
    sw_http_conn_kill(context);
}

static const struct sw_stream_events stream_events = {
    .on_data = on_data, .on_end = on_end, .on_drain = on_drain, .on_progress = on_progress, .on_error = on_error};

void sw_http_conn_open(struct sw_http_conn *conn, int fd) {
    conn->stream.events = &stream_events;
    conn->stream.context = conn;
    conn->timer = (struct sw_timer){.fn = on_timer, .context = conn};
    conn->write_timer = (struct sw_timer){.fn = on_write_timer, .context = conn};
    conn->resume = (struct sw_deferred){.fn = resume, .context = conn};
    if (sw_stream_open(&conn->stream, conn->server->reactor, fd, NULL) != SW_OK) {
        sw_http_conn_kill(conn);
        return;
    }
    arm(conn, SW_HTTP_TIMER_HEAD);
}

enum sw_status sw_http_conn_upgrade(struct sw_http_conn *conn, struct sw_str head,
                                    const struct sw_http_upgrade_events *events, void *context) {
    sw_http_conn_arm_write(conn);
    enum sw_status status = sw_stream_write(&conn->stream, head);
    if (status != SW_OK) {
        return status;
    }
    conn->phase = SW_HTTP_PHASE_UPGRADED;
    conn->upgrade = events;
    conn->upgrade_context = context;
    sw_http_conn_schedule(conn);
    return SW_OK;
}
