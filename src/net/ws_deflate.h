/* ws_deflate.h - permessage-deflate (RFC 7692): compresses and decompresses WebSocket messages with zlib.
 *
 * Memory is taken at the first compressed message: about 39 KiB by a deflater with the usual window of 12 bits, up to
 * 42 KiB by an inflater. Without context takeover a deflater is reset after each message, so one can serve every
 * connection of a thread and one compressed message every subscriber; an inflater gives its memory back after each
 * message. Zero is a valid idle value; one thread owns each.
 */
#ifndef SW_NET_WS_DEFLATE_H
#define SW_NET_WS_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

/* What was agreed on. "Server" and "client" name the sender. */
struct sw_ws_deflate {
    bool is_on;
    bool is_server_no_takeover;
    bool is_client_no_takeover;
    unsigned char server_bits; /* window the server compresses with, 9..15; 0 stands for 12 */
};

struct sw_ws_inflater {
    z_stream stream;
    bool is_open;
    unsigned restarts;  /* final blocks inside this message; each costs a copy of the window */
    uint64_t out_bytes; /* of this message */
};

struct sw_ws_deflater {
    z_stream stream;
    bool is_open;
};

void sw_ws_inflater_release(struct sw_ws_inflater *inflater);

/* Appends what `piece` of a compressed message inflates to, at most `max_bytes` over the whole message. SW_MALFORMED:
 * not deflate data. SW_LIMIT: there is more. SW_NOMEM. Also then all that came before the failure has been appended; the
 * same bytes append the same in any split. After a failure only release is allowed. */
SW_MUST_USE enum sw_status sw_ws_inflater_feed(struct sw_ws_inflater *inflater, struct sw_str piece, size_t max_bytes,
                                               struct sw_buf *out);

/* The message is over: appends the rest and makes ready for the next one. The window is kept for it; where the client
 * gave up takeover, release the inflater instead of keeping it. SW_MALFORMED also where the message breaks off. */
SW_MUST_USE enum sw_status sw_ws_inflater_end(struct sw_ws_inflater *inflater, size_t max_bytes, struct sw_buf *out);

void sw_ws_deflater_release(struct sw_ws_deflater *deflater);

/* Appends the compressed form of a whole message (its 00 00 ff ff tail cut off). A deflater keeps the window size of
 * its first message until released. On a failure `out` is as it was and the deflater must be released. */
SW_MUST_USE enum sw_status sw_ws_deflater_message(struct sw_ws_deflater *deflater, const struct sw_ws_deflate *agreed,
                                                  struct sw_str message, struct sw_buf *out);

#endif
