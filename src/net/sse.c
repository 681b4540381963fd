/* sse.c - Event streams: framing of events, heartbeats, the last seen id. */
#include "net/sse.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/http_impl.h"
#include "net/url.h"

#define HEARTBEAT_NS (15 * SW_NS_PER_S)

/* Lives as long as the stream; freed by its on_close. */
struct event_stream {
    struct sw_sse_options options;
    struct sw_http_ref ref;
    struct sw_timer heartbeat;
    uint64_t sent_bytes; /* of the connection at the last heartbeat */
};

static void on_close(void *context, struct sw_http_ref ref, enum sw_status status) {
    struct event_stream *stream = context;
    sw_reactor_timer_cancel(&stream->heartbeat);
    if (stream->options.on_close) {
        stream->options.on_close(stream->options.context, ref);
    }
    sw_free(stream);
}

static void on_writable(void *context, struct sw_http_ref ref) {
    struct event_stream *stream = context;
    if (stream->options.on_writable) {
        stream->options.on_writable(stream->options.context, ref);
    }
}

/* A comment keeps proxies from giving up on a silent stream and finds peers that are gone. */
static void on_heartbeat(void *context) {
    struct event_stream *stream = context;
    const struct sw_http_conn *conn = sw_http_find(stream->ref);
    sw_reactor_timer_add(stream->ref.server->reactor, &stream->heartbeat, stream->options.heartbeat_ns);
    if (conn->stream.sent_bytes == stream->sent_bytes && conn->stream.pending_bytes == 0) {
        enum sw_status status = sw_sse_comment(stream->ref, SW_STR(""));
        (void)status; /* what fails here is tried again at the next heartbeat */
    }
    stream->sent_bytes = conn->stream.sent_bytes;
}

static enum sw_status send_retry(struct sw_http_ref ref, int64_t retry_ns) {
    struct sw_buf text = {0};
    enum sw_status status = sw_buf_append_format(&text, "retry: %lld\n\n", (long long)(retry_ns / SW_NS_PER_MS));
    if (status == SW_OK) {
        status = sw_http_write(ref, sw_buf_view(&text));
    }
    sw_buf_release(&text);
    return status;
}

enum sw_status sw_sse_start(const struct sw_http_call *call, const struct sw_sse_options *options) {
    struct event_stream *stream = sw_alloc_zero(sizeof *stream);
    if (!stream) {
        enum sw_status status = sw_http_respond_text(call->ref, 503, NULL, SW_STR("out of memory"));
        return status == SW_OK ? SW_NOMEM : status;
    }
    if (options) {
        stream->options = *options;
    }
    stream->ref = call->ref;
    stream->options.heartbeat_ns = stream->options.heartbeat_ns ? stream->options.heartbeat_ns : HEARTBEAT_NS;
    stream->heartbeat = (struct sw_timer){.fn = on_heartbeat, .context = stream};
    static const struct sw_http_header headers[] = {
        {{"Cache-Control", 13}, {"no-store", 8}},
        {{"X-Content-Type-Options", 22}, {"nosniff", 7}},
        {{"X-Accel-Buffering", 17}, {"no", 2}},
    };
    struct sw_http_response response = {.content_type = SW_STR("text/event-stream"),
                                        .headers = headers,
                                        .header_count = 3};
    enum sw_status status = sw_http_start(call->ref, &response);
    if (status != SW_OK) {
        sw_free(stream);
        return status;
    }
    if (call->head->method == SW_HTTP_HEAD) {
        sw_free(stream);
        return sw_http_end(call->ref);
    }
    sw_http_on_close(call->ref, on_close, stream);
    sw_http_on_writable(call->ref, on_writable, stream);
    if (stream->options.heartbeat_ns > 0) {
        sw_reactor_timer_add(call->ref.server->reactor, &stream->heartbeat, stream->options.heartbeat_ns);
    }
    return stream->options.retry_ns > 0 ? send_retry(call->ref, stream->options.retry_ns) : SW_OK;
}

static bool has_line_end(struct sw_str text) {
    return text.len > 0 &&
           (memchr(text.ptr, '\n', text.len) || memchr(text.ptr, '\r', text.len) || memchr(text.ptr, '\0', text.len));
}

static enum sw_status put_field(struct sw_buf *out, struct sw_str name, struct sw_str value) {
    enum sw_status status = sw_buf_reserve(out, name.len + value.len + 1);
    if (status == SW_OK) {
        status = sw_buf_append(out, name);
    }
    if (status == SW_OK) {
        status = sw_buf_append(out, value);
    }
    return status == SW_OK ? sw_buf_append_byte(out, '\n') : status;
}

/* One field per line; CR, LF and CRLF all end a line, as they do for the reader. */
static enum sw_status put_lines(struct sw_buf *out, struct sw_str name, struct sw_str text) {
    enum sw_status status = SW_OK;
    for (size_t begin = 0; begin <= text.len && status == SW_OK;) {
        size_t end = begin;
        while (end < text.len && text.ptr[end] != '\n' && text.ptr[end] != '\r') {
            end++;
        }
        status = put_field(out, name, sw_str_make(text.ptr + begin, end - begin));
        bool is_crlf = end + 1 < text.len && text.ptr[end] == '\r' && text.ptr[end + 1] == '\n';
        begin = end + (is_crlf ? 2 : 1);
    }
    return status;
}

enum sw_status sw_sse_send(struct sw_http_ref ref, const struct sw_sse_event *event) {
    if (!sw_http_is_open(ref)) {
        return SW_CLOSED;
    }
    if (has_line_end(event->id) || has_line_end(event->event)) {
        return SW_INVALID;
    }
    struct sw_buf text = {0};
    enum sw_status status = sw_buf_reserve(&text, event->data.len + event->id.len + event->event.len + 32);
    if (status == SW_OK && event->id.len > 0) {
        status = put_field(&text, SW_STR("id: "), event->id);
    }
    if (status == SW_OK && event->event.len > 0) {
        status = put_field(&text, SW_STR("event: "), event->event);
    }
    if (status == SW_OK) {
        status = put_lines(&text, SW_STR("data: "), event->data);
    }
    if (status == SW_OK) {
        status = sw_buf_append_byte(&text, '\n');
    }
    if (status == SW_OK) {
        status = sw_http_write(ref, sw_buf_view(&text));
    }
    sw_buf_release(&text);
    return status;
}

enum sw_status sw_sse_comment(struct sw_http_ref ref, struct sw_str comment) {
    struct sw_buf text = {0};
    enum sw_status status = put_lines(&text, SW_STR(": "), comment);
    if (status == SW_OK) {
        status = sw_buf_append_byte(&text, '\n');
    }
    if (status == SW_OK) {
        status = sw_http_write(ref, sw_buf_view(&text));
    }
    sw_buf_release(&text);
    return status;
}

struct sw_str sw_sse_last_event_id(const struct sw_http_call *call) {
    const struct sw_http_header *header = sw_http_head_find(call->head, SW_STR("last-event-id"));
    if (header) {
        return header->value;
    }
    struct sw_str rest = call->head->query, name, value;
    while (sw_url_query_next(&rest, &name, &value)) {
        if (sw_str_eq(name, SW_STR("lastEventId"))) {
            return value;
        }
    }
    return (struct sw_str){0};
}
