/* http_body.c - Request bodies: handed on in pieces, collected, or drained; their framing and limits enforced. */
#include "net/http_impl.h"

void sw_http_body_begin(struct sw_http_conn *conn, const struct sw_http_head *head) {
    bool has_body = head->is_chunked || (head->has_content_length && head->content_length > 0);
    conn->body_state = has_body ? SW_HTTP_BODY_UNASKED : SW_HTTP_BODY_DONE;
    conn->is_chunked_in = head->is_chunked;
    conn->body_left = head->has_content_length ? head->content_length : 0;
    conn->chunked = (struct sw_http_chunked){0};
    conn->has_sink = false;
    conn->drained_bytes = 0;
}

void sw_http_body_finish(struct sw_http_conn *conn, enum sw_status status, struct sw_str body) {
    if (!conn->has_sink) {
        return;
    }
    conn->has_sink = false;
    if (conn->sink.on_end) {
        conn->sink.on_end(conn->sink.context, sw_http_ref_of(conn), status, body);
    }
    sw_buf_release(&conn->collected);
}

static uint64_t limit_of(const struct sw_http_conn *conn) {
    return conn->sink.bytes_max ? conn->sink.bytes_max : conn->server->options.body_bytes_max;
}

static void start_clock(struct sw_http_conn *conn) {
    conn->body_start_ns = sw_reactor_now_ns(conn->server->reactor);
    conn->body_seen = 0;
}

static void fail_nomem(struct sw_http_conn *conn) {
    sw_http_conn_fail(conn, 503, "out of memory", SW_NOMEM);
}

/* The next piece of the body from the front of `rest`; false after a failure, which has been answered. */
static bool next_piece(struct sw_http_conn *conn, struct sw_str *rest, struct sw_str *piece) {
    size_t before = rest->len;
    if (!conn->is_chunked_in) {
        size_t len = rest->len < conn->body_left ? rest->len : (size_t)conn->body_left;
        *piece = sw_str_make(rest->ptr, len);
        *rest = sw_str_skip(*rest, len);
        conn->body_left -= len;
    } else {
        enum sw_status status = sw_http_chunked_feed(&conn->chunked, rest, piece);
        if (status != SW_OK) {
            conn->drained_bytes = 0;
            conn->is_dirty = true;
            if (conn->answer == SW_HTTP_ANSWER_DONE) { /* nothing left to say: hang up after the answer */
                conn->is_keep_alive = false;
                return false;
            }
            sw_http_conn_fail(conn, (unsigned)conn->chunked.http_status, conn->chunked.reason, status);
            return false;
        }
    }
    conn->body_seen += before - rest->len;
    return true;
}

static bool is_complete(const struct sw_http_conn *conn) {
    return conn->is_chunked_in ? conn->chunked.is_done : conn->body_left == 0;
}

/* Reads on, or gives up on a body too long to be worth keeping the connection for. */
static bool drain_step(struct sw_http_conn *conn, struct sw_str *rest) {
    struct sw_str piece = {0};
    size_t before = rest->len;
    if (!conn->is_keep_alive || !next_piece(conn, rest, &piece)) {
        return false;
    }
    conn->drained_bytes += before - rest->len;
    if (is_complete(conn)) {
        conn->body_state = SW_HTTP_BODY_DONE;
        return true;
    }
    if (conn->drained_bytes > conn->server->options.drain_bytes_max) {
        conn->is_keep_alive = false;
        return false;
    }
    return before != rest->len;
}

/* Gives `piece` to the reader; false when the request cannot go on. */
static bool deliver(struct sw_http_conn *conn, struct sw_str piece) {
    struct sw_http_ref ref = sw_http_ref_of(conn);
    enum sw_status status = conn->sink.on_data(conn->sink.context, ref, piece);
    if (sw_http_find(ref) != conn || conn->phase != SW_HTTP_PHASE_REQUEST) {
        return false;
    }
    if (status == SW_AGAIN) {
        if (!is_complete(conn)) {
            conn->body_state = SW_HTTP_BODY_PAUSED;
        }
    } else if (status != SW_OK && conn->answer == SW_HTTP_ANSWER_NONE) {
        sw_http_conn_fail(conn, 500, "the request body could not be processed", status);
        return false;
    }
    return true;
}

static bool collect(struct sw_http_conn *conn, struct sw_str piece) {
    if (sw_buf_append(&conn->collected, piece) != SW_OK) {
        fail_nomem(conn);
        return false;
    }
    return true;
}

static bool read_step(struct sw_http_conn *conn, struct sw_str *rest) {
    struct sw_str piece = {0};
    size_t before = rest->len;
    if (!is_complete(conn) && !next_piece(conn, rest, &piece)) {
        return true;
    }
    bool is_whole = !conn->is_chunked_in && conn->collected.len == 0 && is_complete(conn);
    if (piece.len > 0 && conn->sink.on_data) {
        if (!deliver(conn, piece)) {
            return true;
        }
    } else if (piece.len > 0 && !is_whole && !collect(conn, piece)) {
        return true;
    }
    if (is_complete(conn)) {
        conn->body_state = SW_HTTP_BODY_DONE;
        bool is_collecting = !conn->sink.on_data;
        struct sw_str body = is_whole ? piece : sw_buf_view(&conn->collected);
        sw_http_body_finish(conn, SW_OK, is_collecting ? body : (struct sw_str){0});
        return true;
    }
    return before != rest->len;
}

bool sw_http_body_step(struct sw_http_conn *conn, struct sw_str *rest) {
    switch (conn->body_state) {
    case SW_HTTP_BODY_DONE: /* a reader of no body is told so */
        if (!conn->has_sink) {
            return false;
        }
        sw_http_body_finish(conn, SW_OK, (struct sw_str){0});
        return true;
    case SW_HTTP_BODY_READING:
        if (conn->answer == SW_HTTP_ANSWER_DONE) {
            return false;
        }
        if (!conn->is_chunked_in && conn->body_left > limit_of(conn)) {
            sw_http_conn_fail(conn, 413, "the request body is too large", SW_LIMIT);
            return true;
        }
        return read_step(conn, rest);
    case SW_HTTP_BODY_DRAINING:
        return drain_step(conn, rest);
    default:
        return false;
    }
}

static struct sw_http_conn *find_request(struct sw_http_ref ref) {
    struct sw_http_conn *conn = sw_http_find(ref);
    return conn && conn->phase == SW_HTTP_PHASE_REQUEST ? conn : NULL;
}

enum sw_status sw_http_read_body(struct sw_http_ref ref, const struct sw_http_body *body) {
    struct sw_http_conn *conn = find_request(ref);
    if (!conn) {
        return SW_CLOSED;
    }
    bool is_asked = conn->body_state != SW_HTTP_BODY_DONE && conn->body_state != SW_HTTP_BODY_UNASKED;
    if (conn->has_sink || is_asked || conn->answer != SW_HTTP_ANSWER_NONE) {
        return SW_INVALID;
    }
    conn->sink = *body;
    conn->has_sink = true;
    if (conn->body_state == SW_HTTP_BODY_UNASKED) {
        conn->body_state = SW_HTTP_BODY_READING;
        conn->chunked.limits.body_bytes = limit_of(conn);
        start_clock(conn);
        bool is_too_long = !conn->is_chunked_in && conn->body_left > limit_of(conn);
        if (conn->is_expecting && !is_too_long) {
            conn->is_expecting = false;
            sw_http_conn_arm_write(conn);
            enum sw_status status = sw_stream_write(&conn->stream, SW_STR("HTTP/1.1 100 Continue\r\n\r\n"));
            (void)status; /* a client that waits in vain for it sends the body all the same (RFC 9110, 10.1.1) */
        }
    }
    sw_http_conn_schedule(conn);
    return SW_OK;
}

void sw_http_body_resume(struct sw_http_ref ref) {
    struct sw_http_conn *conn = find_request(ref);
    if (conn && conn->body_state == SW_HTTP_BODY_PAUSED) {
        conn->body_state = SW_HTTP_BODY_READING;
        start_clock(conn);
        sw_http_conn_schedule(conn);
    }
}
