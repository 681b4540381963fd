/* http_chunked.h - Strict, resumable decoder of the chunked transfer coding (RFC 9112 section 7.1).
 *
 * Zero-copy: body pieces are views into the caller's bytes. Zero is a fresh decoder with default limits. Allocates
 * nothing. Chunk sizes are 1 to 16 hex digits; extensions begin at once with ';', hold printable ASCII, blanks and tabs
 * and are dropped; the CRLF behind the data is verified. Trailers are validated as headers are, limited and
 * dropped, never merged; framing, routing and authentication fields among them are refused.
 */
#ifndef SW_NET_HTTP_CHUNKED_H
#define SW_NET_HTTP_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

/* Zero fields mean the default in brackets. */
struct sw_http_chunked_limits {
    uint64_t body_bytes;    /* decoded body [no limit]; beyond: 413, as soon as a chunk's size says so */
    size_t extension_bytes; /* per chunk [256]; 64 times that over the whole body; beyond: 400 */
    size_t trailer_bytes;   /* all trailer lines [8192]; beyond: 431 */
    size_t trailer_count;   /* [32]; beyond: 431 */
};

/* The caller may set `limits` before the first feed; the fields after `reason` are the decoder's own. */
struct sw_http_chunked {
    struct sw_http_chunked_limits limits;
    bool is_done;        /* the last chunk and its trailers have been read */
    uint64_t body_bytes; /* decoded so far */
    int http_status;     /* after a failure: 400, 413 or 431 */
    const char *reason;  /* after a failure: one static line */
    uint64_t left;       /* data bytes left in this chunk */
    uint64_t extension_total;
    size_t line_bytes; /* size digits, extension bytes or name bytes in the line being read */
    size_t trailer_bytes;
    size_t trailer_count;
    unsigned char state;
    char name[32]; /* the trailer name being read, lower case, cut */
};

/* Takes bytes from the front of *input. SW_OK with a non-empty *data: deliver it and call again. SW_OK with an empty
 * *data: either chunked->is_done, and *input begins right behind the body, or *input is used up and more is needed.
 * SW_MALFORMED or SW_LIMIT: answer http_status and close; feeding on gives the same failure.
 *
 *     for (;;) {
 *         if (sw_http_chunked_feed(&chunked, &input, &data) != SW_OK) -> answer and close
 *         if (data.len == 0) break;
 *         deliver(data);
 *     }
 */
SW_MUST_USE enum sw_status sw_http_chunked_feed(struct sw_http_chunked *chunked, struct sw_str *input,
                                                struct sw_str *data);

#endif
