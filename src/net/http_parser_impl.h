/* http_parser_impl.h - What the halves of the request parser share: http_parser.c (lines), http_fields.c (fields). */
#ifndef SW_NET_HTTP_PARSER_IMPL_H
#define SW_NET_HTTP_PARSER_IMPL_H

#include "net/http_parser.h"

/* Bits of parser->notes. */
enum sw_http_note {
    SW_HTTP_SEEN_EMPTY_LINE = 1, /* before the request line */
    SW_HTTP_SEEN_HOST = 2,
    SW_HTTP_SEEN_TYPE = 4,
    SW_HTTP_SEEN_ABSOLUTE = 8, /* head.host is the target's */
};

/* Records the failure and returns the status that goes with it. `reason` is static. */
enum sw_status sw_http_parser_fail(struct sw_http_parser *parser, int http_status, const char *reason);

/* Takes note of one field, told by its name's length first. */
enum sw_status sw_http_fields_note(struct sw_http_parser *parser, const struct sw_http_header *header);

/* Decides what only the whole head can tell: framing, connection, a missing Host. */
enum sw_status sw_http_fields_finish(struct sw_http_parser *parser);

#endif
