/* sse.h - Server-sent events (WHATWG HTML, section 9.2) on the HTTP server. The reactor's thread only. */
#ifndef SW_NET_SSE_H
#define SW_NET_SSE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/http_server.h"

struct sw_sse_options {
    void (*on_close)(void *context, struct sw_http_ref ref);    /* the last call; may be NULL */
    void (*on_writable)(void *context, struct sw_http_ref ref); /* everything queued was sent; may be NULL */
    void *context;
    int64_t heartbeat_ns; /* 0: a comment after 15 s without output. Negative: never */
    int64_t retry_ns;     /* 0: the browser's own reconnection time */
};

/* Answers `call` with an open event stream (200). `options` may be NULL. */
SW_MUST_USE enum sw_status sw_sse_start(const struct sw_http_call *call, const struct sw_sse_options *options);
struct sw_sse_event {
    struct sw_str id;    /* empty: none; CR, LF and NUL are SW_INVALID */
    struct sw_str event; /* empty: "message" */
    struct sw_str data;  /* any text; each line becomes a data field */
};
SW_MUST_USE enum sw_status sw_sse_send(struct sw_http_ref ref, const struct sw_sse_event *event);
SW_MUST_USE enum sw_status sw_sse_comment(struct sw_http_ref ref, struct sw_str text);
/* What the browser saw last, from the header or the parameter lastEventId; empty at a first connection. Bounded by the
 * head limits; a view valid as long as `call`. */
struct sw_str sw_sse_last_event_id(const struct sw_http_call *call);

#endif
