/* websocket.c - A WebSocket on an upgraded connection: messages in, messages out, pings, the closing handshake. */
#include "net/websocket.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/http_impl.h"
#include "net/ws_frame.h"
#include "net/ws_handshake.h"

#define PING_NS (20 * SW_NS_PER_S)
#define CLOSE_NS (5 * SW_NS_PER_S)

struct websocket {
    struct sw_websocket_options options;
    struct sw_http_conn *conn;
    struct sw_http_ref ref;
    struct sw_ws_reader reader; /* reader.deflate is what the handshake agreed on */
    struct sw_timer timer;      /* silence, then the close handshake */
    uint64_t received_bytes;    /* of the connection when the timer was set */
    bool is_pinged;             /* and not heard of since */
    bool is_closing;            /* our close frame is queued */
    unsigned close_code;        /* for on_close; 0 until one is known */
};

static enum sw_status queue(struct websocket *socket, struct sw_str bytes) {
    sw_http_conn_arm_write(socket->conn);
    return sw_stream_write(&socket->conn->stream, bytes);
}

static enum sw_status queue_control(struct websocket *socket, enum sw_ws_opcode opcode, struct sw_str payload) {
    struct sw_buf frame = {0};
    enum sw_status status = sw_ws_write_frame(&frame, &(struct sw_ws_frame){.opcode = opcode, .payload = payload});
    if (status == SW_OK) {
        status = queue(socket, sw_buf_view(&frame));
    }
    sw_buf_release(&frame);
    return status;
}

/* Queues our close frame, once, and gives the peer its time to answer it. */
static void start_closing(struct websocket *socket, unsigned code, struct sw_str reason) {
    if (socket->is_closing) {
        return;
    }
    socket->is_closing = true;
    struct sw_buf frame = {0};
    if (sw_ws_write_close(&frame, code, reason) == SW_OK) {
        enum sw_status status = queue(socket, sw_buf_view(&frame));
        (void)status; /* without it the peer learns from the end of the connection */
    }
    sw_buf_release(&frame);
    sw_reactor_timer_touch(socket->conn->server->reactor, &socket->timer, socket->options.close_timeout_ns);
}

/* A peer that breaks the protocol is told why and not listened to any further. */
static void fail(struct websocket *socket, unsigned code, const char *reason) {
    start_closing(socket, code, sw_str_from(reason));
    socket->close_code = code;
    sw_http_conn_close_soon(socket->conn);
}

/* False when the connection is being closed and the reader must not be used again. */
static bool handle(struct websocket *socket, const struct sw_ws_event *event) {
    struct sw_http_conn *conn = socket->conn;
    switch (event->opcode) {
    case SW_WS_TEXT:
    case SW_WS_BINARY:
        if (!socket->is_closing && socket->options.on_message) {
            socket->options.on_message(socket->options.context, socket->ref, event->opcode == SW_WS_TEXT,
                                       event->payload);
        }
        break;
    case SW_WS_PING:
        /* A peer that pings and does not read would fill our memory with pongs. */
        if (!socket->is_closing && conn->stream.pending_bytes <= conn->server->options.high_water_bytes &&
            queue_control(socket, SW_WS_PONG, event->payload) != SW_OK) {
            sw_http_conn_kill(conn);
        }
        break;
    case SW_WS_CLOSE:
        socket->close_code = event->close_code;
        start_closing(socket, event->close_code, (struct sw_str){0});
        sw_http_conn_close_soon(conn);
        return false;
    default: /* a pong: that something came is all it says */
        break;
    }
    return conn->phase == SW_HTTP_PHASE_UPGRADED;
}

static void on_data(void *context, struct sw_str bytes) {
    struct websocket *socket = context;
    struct sw_ws_event event;
    socket->is_pinged = false;
    for (;;) {
        enum sw_status status = sw_ws_reader_next(&socket->reader, &bytes, &event);
        if (status == SW_OK) {
            if (!handle(socket, &event)) {
                return;
            }
        } else {
            if (status != SW_AGAIN && status != SW_CLOSED) {
                fail(socket, socket->reader.close_code, socket->reader.reason);
            }
            return;
        }
    }
}

static void on_end(void *context) {
    struct websocket *socket = context;
    sw_http_conn_kill(socket->conn);
}

static void on_drain(void *context) {
    struct websocket *socket = context;
    if (!socket->is_closing && socket->options.on_writable) {
        socket->options.on_writable(socket->options.context, socket->ref);
    }
}

static void on_leave(void *context) {
    start_closing(context, SW_WS_GOING_AWAY, SW_STR("the server is shutting down"));
}

static void on_close(void *context) {
    struct websocket *socket = context;
    if (socket->options.on_close) {
        socket->options.on_close(socket->options.context, socket->ref, socket->close_code ? socket->close_code : 1006);
    }
    sw_reactor_timer_cancel(&socket->timer);
}

static void release(void *context) {
    struct websocket *socket = context;
    sw_ws_reader_release(&socket->reader);
    sw_free(socket);
}

static const struct sw_http_upgrade_events upgrade_events = {.on_data = on_data,
                                                             .on_end = on_end,
                                                             .on_drain = on_drain,
                                                             .on_leave = on_leave,
                                                             .on_close = on_close,
                                                             .release = release};

/* Silence for an interval brings a ping, silence after the ping the end. */
static void on_timer(void *context) {
    struct websocket *socket = context;
    struct sw_http_conn *conn = socket->conn;
    bool is_silent = conn->stream.received_bytes == socket->received_bytes;
    if (socket->is_closing || (is_silent && socket->is_pinged)) {
        conn->server->stats.timeouts++;
        sw_http_conn_kill(conn);
        return;
    }
    if (is_silent) {
        socket->is_pinged = queue_control(socket, SW_WS_PING, (struct sw_str){0}) == SW_OK;
    }
    socket->received_bytes = conn->stream.received_bytes;
    sw_reactor_timer_add(conn->server->reactor, &socket->timer, socket->options.ping_interval_ns);
}

static enum sw_status refuse(const struct sw_http_call *call, unsigned status, const char *reason) {
    static const struct sw_http_header headers[] = {{{"Upgrade", 7}, {"websocket", 9}},
                                                    {{"Sec-WebSocket-Version", 21}, {"13", 2}}};
    struct sw_http_response response = {.status = status,
                                        .content_type = SW_STR("text/plain; charset=utf-8"),
                                        .headers = headers,
                                        .header_count = status == 426 ? 2 : 0,
                                        .body = sw_str_from(reason)};
    enum sw_status sent = sw_http_respond(call->ref, &response);
    return sent == SW_OK ? SW_MALFORMED : sent;
}

static struct websocket *new_websocket(struct sw_http_conn *conn, const struct sw_websocket_options *options) {
    struct websocket *socket = sw_alloc_zero(sizeof *socket);
    if (socket) {
        socket->options = *options;
        socket->options.ping_interval_ns = options->ping_interval_ns ? options->ping_interval_ns : PING_NS;
        socket->options.close_timeout_ns = options->close_timeout_ns > 0 ? options->close_timeout_ns : CLOSE_NS;
        socket->conn = conn;
        socket->reader.limits.message_bytes = (size_t)options->message_bytes_max;
        socket->timer = (struct sw_timer){.fn = on_timer, .context = socket};
    }
    return socket;
}

/* The 101 head, with the header lines that were added to the call (cookies). */
static enum sw_status write_handshake(const struct sw_http_conn *conn, const struct sw_ws_handshake *handshake,
                                      struct sw_buf *out) {
    enum sw_status status = sw_ws_handshake_write(handshake, out);
    if (status == SW_OK) {
        out->len -= 2; /* the empty line */
        status = sw_buf_append(out, sw_buf_view(&conn->extra));
    }
    return status == SW_OK ? sw_buf_append(out, SW_STR("\r\n")) : status;
}

enum sw_status sw_websocket_accept(const struct sw_http_call *call, const struct sw_websocket_options *options) {
    struct sw_http_conn *conn = sw_http_find(call->ref);
    if (!conn || conn->phase != SW_HTTP_PHASE_REQUEST) {
        return SW_CLOSED;
    }
    if (conn->answer != SW_HTTP_ANSWER_NONE || conn->body_state != SW_HTTP_BODY_DONE || conn->has_sink) {
        return SW_INVALID;
    }
    if (!call->head->is_websocket_upgrade) {
        return refuse(call, 426, "this is a WebSocket: connect with an upgrade request");
    }
    struct sw_ws_handshake_options wanted = {.protocols = &options->subprotocol,
                                             .protocol_count = options->subprotocol.len > 0 ? 1 : 0,
                                             .is_deflate_off = options->has_no_deflate};
    struct sw_ws_handshake handshake;
    if (sw_ws_handshake_check(call->head, &wanted, &handshake) != SW_OK) {
        return refuse(call, (unsigned)handshake.http_status, handshake.reason);
    }
    struct websocket *socket = new_websocket(conn, options);
    struct sw_buf head = {0};
    enum sw_status status = socket ? write_handshake(conn, &handshake, &head) : SW_NOMEM;
    if (status == SW_OK) {
        socket->reader.deflate = handshake.deflate;
        socket->ref = call->ref;
        status = sw_http_conn_upgrade(conn, sw_buf_view(&head), &upgrade_events, socket);
    }
    sw_buf_release(&head);
    if (status != SW_OK) {
        sw_free(socket);
        sw_http_abort(call->ref);
        return status;
    }
    if (socket->options.ping_interval_ns > 0) {
        sw_reactor_timer_add(conn->server->reactor, &socket->timer, socket->options.ping_interval_ns);
    }
    return SW_OK;
}

static struct websocket *find(struct sw_http_ref ref) {
    struct sw_http_conn *conn = sw_http_find(ref);
    bool is_websocket = conn && conn->phase == SW_HTTP_PHASE_UPGRADED && conn->upgrade == &upgrade_events;
    struct websocket *socket = is_websocket ? conn->upgrade_context : NULL;
    return socket && !socket->is_closing ? socket : NULL;
}

static bool has_room(const struct websocket *socket, struct sw_str payload) {
    size_t most = socket->conn->server->options.output_bytes_max;
    return payload.len < most && socket->conn->stream.pending_bytes < most - payload.len;
}

static enum sw_status send_message(struct sw_http_ref ref, enum sw_ws_opcode opcode, struct sw_str payload) {
    struct websocket *socket = find(ref);
    if (!socket) {
        return SW_CLOSED;
    }
    if (!has_room(socket, payload)) {
        return SW_LIMIT;
    }
    struct sw_ws_frame frame = {.opcode = opcode, .payload = payload};
    struct sw_stream *stream = &socket->conn->stream;
    sw_http_conn_arm_write(socket->conn);
    char *room = sw_stream_reserve(stream, SW_WS_HEAD_MAX + payload.len);
    if (!room) {
        return stream->is_dead ? SW_CLOSED : SW_NOMEM;
    }
    size_t head_len = sw_ws_frame_head(&frame, (unsigned char *)room);
    if (payload.len > 0) {
        memcpy(room + head_len, payload.ptr, payload.len);
    }
    sw_stream_commit(stream, head_len + payload.len);
    return SW_OK;
}

enum sw_status sw_websocket_send_text(struct sw_http_ref ref, struct sw_str text) {
    return send_message(ref, SW_WS_TEXT, text);
}

enum sw_status sw_websocket_send_binary(struct sw_http_ref ref, struct sw_str bytes) {
    return send_message(ref, SW_WS_BINARY, bytes);
}

enum sw_status sw_websocket_send_deflated(struct sw_http_ref ref, bool is_text, struct sw_str bytes) {
    struct websocket *socket = find(ref);
    if (!socket) {
        return SW_CLOSED;
    }
    const struct sw_ws_deflate *agreed = &socket->reader.deflate;
    if (!agreed->is_on || !agreed->is_server_no_takeover) {
        return send_message(ref, is_text ? SW_WS_TEXT : SW_WS_BINARY, bytes);
    }
    if (!has_room(socket, bytes)) {
        return SW_LIMIT;
    }
    unsigned bits = agreed->server_bits ? agreed->server_bits & 15u : 12u;
    struct sw_ws_deflater *deflater = &socket->conn->server->deflaters[bits];
    struct sw_ws_outgoing outgoing = {.deflater = deflater, .agreed = agreed};
    struct sw_buf frame = {0};
    enum sw_status status = sw_ws_write_message(&frame, is_text ? SW_WS_TEXT : SW_WS_BINARY, bytes, &outgoing);
    if (status == SW_OK) {
        status = queue(socket, sw_buf_view(&frame));
    } else {
        sw_ws_deflater_release(deflater);
    }
    sw_buf_release(&frame);
    return status;
}

bool sw_websocket_is_deflate(struct sw_http_ref ref) {
    const struct websocket *socket = find(ref);
    return socket && socket->reader.deflate.is_on;
}

void sw_websocket_close(struct sw_http_ref ref, unsigned code, struct sw_str reason) {
    struct websocket *socket = find(ref);
    if (socket) {
        start_closing(socket, code, reason);
    }
}

bool sw_websocket_is_open(struct sw_http_ref ref) {
    return find(ref) != NULL;
}
