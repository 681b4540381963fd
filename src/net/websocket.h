/* websocket.h - WebSocket connections of the HTTP server (RFC 6455, permessage-deflate of RFC 7692).
 *
 * Messages arrive whole, checked (masking, UTF-8, limits also after inflation). Pings are answered, silent peers are
 * pinged and dropped, closing follows the protocol. Handles are those of http_server.h: sending on a connection that is
 * gone returns SW_CLOSED and touches nothing. The reactor's thread only.
 */
#ifndef SW_NET_WEBSOCKET_H
#define SW_NET_WEBSOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "net/http_server.h"

struct sw_websocket_options {
    /* `bytes` are valid during the call. NULL: messages are ignored. */
    void (*on_message)(void *context, struct sw_http_ref ref, bool is_text, struct sw_str bytes);
    /* The last call for this connection; code 1006 where it broke, 1005 where the peer gave none. May be NULL. */
    void (*on_close)(void *context, struct sw_http_ref ref, unsigned code);
    /* Everything queued was sent, after sw_http_is_writable was false. May be NULL. */
    void (*on_writable)(void *context, struct sw_http_ref ref);
    void *context;
    uint64_t message_bytes_max; /* 0: 1 MiB; larger messages close with 1009 */
    int64_t ping_interval_ns;   /* 0: 20 s of silence; then a ping, whose answer has as long again. Negative: never */
    int64_t close_timeout_ns;   /* 0: 5 s for the peer's close frame */
    struct sw_str subprotocol;  /* accepted if the client offers it; empty: none */
    bool has_no_deflate;        /* permessage-deflate is declined */
};

/* Answers `call` with 101, or with 400, 405 or 426 where it is no proper handshake (SW_MALFORMED then: the call is
 * answered). Origin and token are the guard's business (http_guard.h). */
SW_MUST_USE enum sw_status sw_websocket_accept(const struct sw_http_call *call,
                                               const struct sw_websocket_options *options);
/* Queues a message (above high water too, up to the connection's limit: SW_LIMIT). Ask sw_http_is_writable before. */
SW_MUST_USE enum sw_status sw_websocket_send_text(struct sw_http_ref ref, struct sw_str text);
SW_MUST_USE enum sw_status sw_websocket_send_binary(struct sw_http_ref ref, struct sw_str bytes);
/* The same, deflated where the client agreed to it and it gets smaller. */
SW_MUST_USE enum sw_status sw_websocket_send_deflated(struct sw_http_ref ref, bool is_text, struct sw_str bytes);
bool sw_websocket_is_deflate(struct sw_http_ref ref);
/* Starts the closing handshake; later sends return SW_CLOSED. `reason` is cut at 123 bytes. */
void sw_websocket_close(struct sw_http_ref ref, unsigned code, struct sw_str reason);
bool sw_websocket_is_open(struct sw_http_ref ref); /* not closing either */

#endif
