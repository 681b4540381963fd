/* ws_frame.h - WebSocket frames (RFC 6455), server's side: reads client frames into messages, writes server frames.
 *
 * Not thread-safe: one connection owns a reader.
 */
#ifndef SW_NET_WS_FRAME_H
#define SW_NET_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"
#include "net/utf8.h"
#include "net/ws_deflate.h"

enum sw_ws_opcode {
    SW_WS_CONTINUATION = 0x0,
    SW_WS_TEXT = 0x1,
    SW_WS_BINARY = 0x2,
    SW_WS_CLOSE = 0x8,
    SW_WS_PING = 0x9,
    SW_WS_PONG = 0xa,
};

enum sw_ws_close_code {
    SW_WS_NORMAL = 1000,
    SW_WS_GOING_AWAY = 1001,
    SW_WS_PROTOCOL_ERROR = 1002,
    SW_WS_UNSUPPORTED_DATA = 1003,
    SW_WS_NO_CODE = 1005, /* never sent: the close frame was empty */
    SW_WS_BAD_DATA = 1007,
    SW_WS_POLICY = 1008,
    SW_WS_TOO_BIG = 1009,
    SW_WS_INTERNAL = 1011,
};

#define SW_WS_CONTROL_MAX 125
#define SW_WS_HEAD_MAX 10 /* bytes of a server frame's head */

/* Zero fields mean the default in brackets. */
struct sw_ws_limits {
    size_t message_bytes;   /* one message over all fragments, both as sent and inflated [1 MiB]; beyond: 1009 */
    size_t fragments;       /* frames of one message [1024]; beyond: 1008 */
    unsigned inflate_ratio; /* inflated : sent, beyond 64 KiB [200]; beyond: 1009 */
};

struct sw_ws_event {
    enum sw_ws_opcode opcode; /* TEXT, BINARY (whole messages), PING, PONG or CLOSE; never CONTINUATION */
    struct sw_str payload;    /* the message; for CLOSE the reason. Valid until the next call on the reader */
    uint16_t close_code;      /* for CLOSE: as received, SW_WS_NO_CODE where the frame was empty */
};

/* Zero, with `limits` and `deflate` set as wanted, is a fresh reader; the fields after `reason` are its own. */
struct sw_ws_reader {
    struct sw_ws_limits limits;
    struct sw_ws_deflate deflate; /* what the handshake agreed on; compressed frames are refused unless is_on */
    uint16_t close_code;          /* after a failure: the code to close with */
    const char *reason;           /* after a failure: one static line, fit for the close frame */
    struct sw_buf message;        /* owned */
    struct sw_ws_inflater inflater;
    struct sw_utf8 utf8;
    uint64_t left;          /* payload bytes left in this frame */
    uint64_t masked;        /* payload bytes of this frame unmasked so far */
    uint64_t message_bytes; /* payload bytes of this message as sent */
    size_t fragments;
    unsigned char head[14];
    unsigned char head_len;
    unsigned char state;
    unsigned char mask[4];
    unsigned char opcode;         /* of this frame */
    unsigned char message_opcode; /* of the message under way, 0 when none */
    bool is_final;
    bool is_compressed;
    bool is_delivered; /* the message buffer was lent out by the last call */
    unsigned char control_len;
    char control[SW_WS_CONTROL_MAX];
};

void sw_ws_reader_release(struct sw_ws_reader *reader);

/* Takes bytes from the front of *input; they may be split anywhere. SW_OK: *event is filled, call again. SW_AGAIN:
 * *input is used up, more is needed. SW_CLOSED: a close frame was delivered earlier; what follows it is discarded.
 * SW_MALFORMED, SW_LIMIT, SW_NOMEM: send a close frame with reader->close_code and drop the connection; feeding on
 * gives the same failure. Text is checked as it arrives, so a failure may come before its frame is complete. */
SW_MUST_USE enum sw_status sw_ws_reader_next(struct sw_ws_reader *reader, struct sw_str *input,
                                             struct sw_ws_event *event);

/* Whether a peer may send this code in a close frame (RFC 6455 section 7.4 and the IANA registry). */
bool sw_ws_close_code_is_valid(unsigned code);

/* dst[i] = src[i] ^ key[(key_at + i) % 4]; dst may be src. */
void sw_ws_mask(char *dst, const char *src, size_t len, const unsigned char key[4], size_t key_at);

struct sw_ws_frame {
    enum sw_ws_opcode opcode;
    struct sw_str payload;
    bool is_fragment;   /* more frames of this message follow (FIN clear) */
    bool is_compressed; /* RSV1: the payload went through a deflater; on the first frame of a message only */
};

/* Writes the head that goes before frame->payload and returns its length, for callers that send the two by writev. */
size_t sw_ws_frame_head(const struct sw_ws_frame *frame, unsigned char out[SW_WS_HEAD_MAX]);

/* Appends head and payload. SW_INVALID: a control frame that is above 125 bytes, fragmented or compressed. On failure
 * `out` is as it was. */
SW_MUST_USE enum sw_status sw_ws_write_frame(struct sw_buf *out, const struct sw_ws_frame *frame);

/* Appends a close frame; `reason` is cut to 123 bytes at a character's border. SW_WS_NO_CODE writes an empty one;
 * SW_INVALID for another code that must not be sent. */
SW_MUST_USE enum sw_status sw_ws_write_close(struct sw_buf *out, unsigned code, struct sw_str reason);

/* How messages are compressed on their way out: `deflater` NULL or agreed->is_on false sends plain frames, and so go
 * messages below `least_bytes` (they would grow) and, without context takeover, those that did not shrink. */
struct sw_ws_outgoing {
    struct sw_ws_deflater *deflater;
    const struct sw_ws_deflate *agreed;
    size_t least_bytes; /* [128] */
};

/* Appends one message in one frame, text or binary. On failure `out` is as it was; with context takeover SW_NOMEM
 * means the connection cannot go on. `outgoing` may be NULL. */
SW_MUST_USE enum sw_status sw_ws_write_message(struct sw_buf *out, enum sw_ws_opcode opcode, struct sw_str payload,
                                               const struct sw_ws_outgoing *outgoing);

#endif
