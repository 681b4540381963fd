/* ws_handshake.h - The server's half of the WebSocket opening handshake (RFC 6455 section 4.2, RFC 7692 section 7).
 *
 * Pure functions of a parsed request head; no I/O. Whether the Origin is welcome is the caller's question.
 */
#ifndef SW_NET_WS_HANDSHAKE_H
#define SW_NET_WS_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"
#include "net/http_parser.h"
#include "net/ws_deflate.h"

#define SW_WS_ACCEPT_BYTES 28

struct sw_ws_handshake_options {
    const struct sw_str *protocols; /* subprotocols the server speaks, best first; may be NULL */
    size_t protocol_count;
    bool is_deflate_off;       /* never agree on permessage-deflate */
    bool is_takeover_wanted;   /* keep the contexts between messages: smaller messages, about 80 KiB per connection, no
                                  sharing of compressed messages; by default both sides give them up */
    unsigned char server_bits; /* largest window the server compresses with, 9..15; 0 means 12 */
};

struct sw_ws_handshake {
    char accept[SW_WS_ACCEPT_BYTES + 1]; /* the Sec-WebSocket-Accept value, NUL-terminated */
    struct sw_str origin;                /* the request's Origin; ptr is NULL where it has none */
    struct sw_str protocol;              /* the one agreed on, one of options->protocols; empty for none */
    struct sw_ws_deflate deflate;        /* goes into the reader and the outgoing side */
    bool has_server_bits;                /* the client asked for a limit of the server's window: the answer states it */
    int http_status;                     /* 101, or after a failure what to answer: 400 or 426 */
    const char *reason;                  /* after a failure: one static line */
};

/* Checks the head (which must have is_websocket_upgrade) and decides what is agreed on. `options` may be NULL.
 * SW_MALFORMED: 400, or SW_UNSUPPORTED: 426, to be answered with "Sec-WebSocket-Version: 13". On failure only
 * http_status and reason are set. An offer of an extension that cannot be met is declined, not refused; a malformed
 * header is 400. */
SW_MUST_USE enum sw_status sw_ws_handshake_check(const struct sw_http_head *head,
                                                 const struct sw_ws_handshake_options *options,
                                                 struct sw_ws_handshake *handshake);

/* Appends the whole "101 Switching Protocols" head. On SW_NOMEM `out` is as it was. */
SW_MUST_USE enum sw_status sw_ws_handshake_write(const struct sw_ws_handshake *handshake, struct sw_buf *out);

/* The accept value of any key (RFC 6455 section 4.2.2, step 5.4). SW_NOMEM if libcrypto fails. */
SW_MUST_USE enum sw_status sw_ws_handshake_accept(struct sw_str key, char accept[SW_WS_ACCEPT_BYTES + 1]);

#endif
