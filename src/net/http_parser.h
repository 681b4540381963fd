/* http_parser.h - Strict, zero-copy, resumable parser of HTTP/1.x request heads (RFC 9110, 9112).
 *
 * Results are views into the caller's bytes: they live as long as those stay where they are. Not thread-safe: one
 * connection owns a parser. Allocates nothing, cannot run out of memory, never reads at or past the end of the bytes.
 *
 * Strictness, by decision:
 * - One empty line (CRLF) before the request line is tolerated and counted into head.size_bytes; a second is 400.
 * - Lines end in CRLF only. Bare CR or LF, obs-fold, whitespace before a colon or at a line start, empty or non-token
 *   names, names with '_' (unless allowed in the limits), control characters in values: 400.
 * - Exactly one Host on HTTP/1.1, at most one on 1.0, non-empty and in the grammar uri-host [":" port].
 * - Content-Length once, digits only, at most INT64_MAX. Transfer-Encoding: exactly "chunked", on HTTP/1.1 only; with
 *   Content-Length 400; other codings 501; chunked repeated or not last 400. A second Content-Type is 400.
 * - Targets: "/path?query", "http(s)://host[:port]/path?query" without userinfo, "*" for OPTIONS. CONNECT is 501. The
 *   bytes are checked against a set (see http_scan.h); percent escapes are neither checked nor decoded here.
 * - Methods are upper-case letters, digits and '-', beginning with a letter, at most 32 bytes; other tokens are 501.
 * - Version exactly HTTP/1.0 or HTTP/1.1; another HTTP/d.d is 505. An Expect other than 100-continue on 1.1 is 417.
 *
 * The outcome depends on the bytes only, never on how they were split over calls.
 */
#ifndef SW_NET_HTTP_PARSER_H
#define SW_NET_HTTP_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "net/http_scan.h"

enum sw_http_method {
    SW_HTTP_OTHER, /* well-formed, but none of the following; see head.method_text */
    SW_HTTP_GET,
    SW_HTTP_HEAD,
    SW_HTTP_POST,
    SW_HTTP_PUT,
    SW_HTTP_DELETE,
    SW_HTTP_OPTIONS,
    SW_HTTP_PATCH,
    SW_HTTP_TRACE,
};

struct sw_http_header {
    struct sw_str name;  /* as sent; compare with sw_str_eq_nocase */
    struct sw_str value; /* without the white space around it; may be empty and may hold bytes >= 0x80 */
};

/* Zero fields mean the default in brackets. */
struct sw_http_limits {
    size_t line_bytes;          /* method, space and target [8000, the least RFC 9112 recommends]; beyond: 414 */
    size_t field_bytes;         /* one header line without its CRLF [8000]; beyond: 431 */
    size_t head_bytes;          /* the whole head [32768]; beyond: 431 */
    bool is_underscore_allowed; /* '_' in header names: CGI-style gateways confuse it with '-' */
};

struct sw_http_head {
    size_t size_bytes; /* of the head, its blank line included: the body or the next request begins here */
    enum sw_http_method method;
    struct sw_str method_text;
    struct sw_str target;   /* as sent */
    struct sw_str path;     /* up to '?'; "*" for OPTIONS *; the literal "/" where an absolute target has none */
    struct sw_str query;    /* after the '?'; ptr is NULL when there is no '?' */
    struct sw_str host;     /* "host" or "host:port", of the target if absolute, else of Host; empty if neither (1.0) */
    unsigned version_minor; /* 0 or 1 */
    struct sw_http_header *headers; /* the caller's array; in order of arrival */
    size_t header_count;
    uint64_t content_length; /* meaningful where has_content_length */
    bool has_content_length;
    bool is_chunked;
    bool is_keep_alive;        /* by version and Connection */
    bool is_expect_continue;   /* the client waits for "100 Continue" (never on HTTP/1.0) */
    bool is_websocket_upgrade; /* GET on 1.1, Connection: upgrade, Upgrade: websocket, no body; see ws_handshake.h */
};

/* Set up with sw_http_parser_init; the fields after `reason` are the parser's own. */
struct sw_http_parser {
    struct sw_http_head head; /* complete once a feed returned SW_OK */
    int http_status;          /* after a failure: what to answer: 400, 414, 417, 431, 501 or 505 */
    const char *reason;       /* after a failure: one static line for the log or the answer's body */
    struct sw_http_limits limits;
    size_t header_cap;
    sw_http_scan scan;   /* tests replace it by another level's */
    struct sw_str bytes; /* of the last feed */
    size_t line_at;      /* offset of the line being read */
    size_t mark_at;      /* offset of the part of it being read: target, version, value */
    size_t scanned;      /* offset up to which that part holds nothing of note */
    unsigned char phase;
    unsigned char notes;      /* which of the headers that matter have been seen */
    unsigned char coding;     /* what Transfer-Encoding has said so far */
    unsigned char connection; /* what Connection and Upgrade have said so far */
};

/* `headers` holds up to `header_cap` fields (more are 431) and outlives the parser; `limits` NULL for defaults. */
void sw_http_parser_init(struct sw_http_parser *parser, struct sw_http_header *headers, size_t header_cap,
                         const struct sw_http_limits *limits);

/* Ready for the next request on the same connection, limits and array kept. */
void sw_http_parser_reset(struct sw_http_parser *parser);

/* `bytes` is everything received from the first byte of this head on: the same bytes as at the last call and perhaps
 * more, at the same or another address. Work per call is linear in the new bytes. Bytes behind the
 * head decide nothing.
 * SW_OK: parser->head is complete. SW_AGAIN: more bytes are needed. SW_MALFORMED or SW_LIMIT: answer http_status and
 * close, since nothing behind a framing error can be trusted; feeding on gives the same failure. */
SW_MUST_USE enum sw_status sw_http_parser_feed(struct sw_http_parser *parser, struct sw_str bytes);

/* The first header called `name` (ASCII case ignored), or NULL. */
const struct sw_http_header *sw_http_head_find(const struct sw_http_head *head, struct sw_str name);

/* Whether a comma-separated list value holds `token` (ASCII case ignored). */
bool sw_http_list_has(struct sw_str list, struct sw_str token);

#endif
