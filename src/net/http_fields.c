/* http_fields.c - The few header fields that frame a request or steer its connection, and what they add up to. */
#include <string.h>

#include "net/http_authority.h"
#include "net/http_parser_impl.h"

enum coding { CODING_SEEN = 1, CODING_CHUNKED = 2, CODING_OTHER = 4, CODING_BAD = 8 };
enum connection { WANTS_CLOSE = 1, WANTS_KEEP_ALIVE = 2, WANTS_UPGRADE = 4, NAMES_WEBSOCKET = 8 };

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

/* Whether `text`, case ignored, is `known` (lower-case letters and '-'), both `len` bytes long. Setting bit 5 folds
 * letters; the only other byte it could take for a '-' is a carriage return, which neither names nor values hold. */
static inline bool folds_to(const char *text, const char *known, size_t len) {
    const uint64_t fold = UINT64_C(0x2020202020202020);
    uint64_t a = 0;
    uint64_t b = 0;
    uint64_t differs = 0;
    size_t word = len >= 8 ? 8 : 4;
    for (size_t at = 0; at < len; at += word) {
        size_t from = at + word <= len ? at : len - word; /* the last word overlaps the one before */
        memcpy(&a, text + from, word);
        memcpy(&b, known + from, word);
        differs |= (a | fold) ^ (b | fold);
    }
    return differs == 0;
}

#define IS_NAME(name, known) folds_to((name).ptr, known, sizeof(known) - 1)

static enum sw_status read_content_length(struct sw_http_parser *parser, struct sw_str value) {
    uint64_t length = 0;
    if (parser->head.has_content_length) {
        return sw_http_parser_fail(parser, 400, "more than one Content-Length");
    }
    /* 19 digits are below 2^64, so the sum cannot wrap before the comparison. */
    if (value.len == 0 || value.len > 19) {
        return sw_http_parser_fail(parser, 400, "Content-Length is not a number of 1 to 19 digits");
    }
    for (size_t i = 0; i < value.len; i++) {
        if (!is_digit(value.ptr[i])) {
            return sw_http_parser_fail(parser, 400, "Content-Length is not a number of 1 to 19 digits");
        }
        length = length * 10 + (uint64_t)(value.ptr[i] - '0');
    }
    if (length > INT64_MAX) {
        return sw_http_parser_fail(parser, 400, "Content-Length is too large");
    }
    parser->head.has_content_length = true;
    parser->head.content_length = length;
    return SW_OK;
}

static enum sw_status read_host(struct sw_http_parser *parser, struct sw_str value) {
    if (parser->notes & SW_HTTP_SEEN_HOST) {
        return sw_http_parser_fail(parser, 400, "more than one Host");
    }
    parser->notes |= SW_HTTP_SEEN_HOST;
    if (!sw_http_authority_is_valid(value)) {
        return sw_http_parser_fail(parser, 400, "Host is not a host with an optional port");
    }
    if (parser->notes & SW_HTTP_SEEN_ABSOLUTE) {
        if (!sw_str_eq_nocase(parser->head.host, value)) {
            return sw_http_parser_fail(parser, 400, "Host differs from the target's host");
        }
        return SW_OK;
    }
    parser->head.host = value;
    return SW_OK;
}

static void read_transfer_encoding(struct sw_http_parser *parser, struct sw_str value) {
    parser->coding |= CODING_SEEN;
    while (value.ptr) {
        struct sw_str item = sw_str_trim(sw_str_cut(&value, ','));
        if (item.len == 0 || (parser->coding & CODING_CHUNKED)) {
            parser->coding |= CODING_BAD;
        } else if (sw_str_eq_nocase(item, SW_STR("chunked"))) {
            parser->coding |= CODING_CHUNKED;
        } else {
            parser->coding |= CODING_OTHER;
        }
    }
}

static void read_connection(struct sw_http_parser *parser, struct sw_str value) {
    if (value.len == 10 && IS_NAME(value, "keep-alive")) { /* what nearly every client sends */
        parser->connection |= WANTS_KEEP_ALIVE;
        return;
    }
    while (value.ptr) {
        struct sw_str item = sw_str_trim(sw_str_cut(&value, ','));
        if (sw_str_eq_nocase(item, SW_STR("keep-alive"))) {
            parser->connection |= WANTS_KEEP_ALIVE;
        } else if (sw_str_eq_nocase(item, SW_STR("close"))) {
            parser->connection |= WANTS_CLOSE;
        } else if (sw_str_eq_nocase(item, SW_STR("upgrade"))) {
            parser->connection |= WANTS_UPGRADE;
        }
    }
}

static enum sw_status read_expect(struct sw_http_parser *parser, struct sw_str value) {
    if (parser->head.version_minor == 0) {
        return SW_OK; /* RFC 9110 section 10.1.1: a 1.0 client's expectation is ignored */
    }
    if (!sw_str_eq_nocase(value, SW_STR("100-continue"))) {
        return sw_http_parser_fail(parser, 417, "Expect is not 100-continue");
    }
    parser->head.is_expect_continue = true;
    return SW_OK;
}

enum sw_status sw_http_fields_note(struct sw_http_parser *parser, const struct sw_http_header *header) {
    const uint32_t lengths = 1u << 4 | 1u << 6 | 1u << 7 | 1u << 10 | 1u << 12 | 1u << 14 | 1u << 17;
    struct sw_str name = header->name;
    if (name.len > 17 || !(lengths >> name.len & 1)) {
        return SW_OK;
    }
    switch (name.len) {
    case 4:
        return IS_NAME(name, "host") ? read_host(parser, header->value) : SW_OK;
    case 6:
        return IS_NAME(name, "expect") ? read_expect(parser, header->value) : SW_OK;
    case 7:
        if (IS_NAME(name, "upgrade") && sw_http_list_has(header->value, SW_STR("websocket"))) {
            parser->connection |= NAMES_WEBSOCKET;
        }
        return SW_OK;
    case 10:
        if (IS_NAME(name, "connection")) {
            read_connection(parser, header->value);
        }
        return SW_OK;
    case 12:
        if (IS_NAME(name, "content-type")) {
            if (parser->notes & SW_HTTP_SEEN_TYPE) {
                return sw_http_parser_fail(parser, 400, "more than one Content-Type");
            }
            parser->notes |= SW_HTTP_SEEN_TYPE;
        }
        return SW_OK;
    case 14:
        return IS_NAME(name, "content-length") ? read_content_length(parser, header->value) : SW_OK;
    case 17:
        if (IS_NAME(name, "transfer-encoding")) {
            read_transfer_encoding(parser, header->value);
        }
        return SW_OK;
    default:
        return SW_OK;
    }
}

enum sw_status sw_http_fields_finish(struct sw_http_parser *parser) {
    struct sw_http_head *head = &parser->head;
    if (head->version_minor == 1 && !(parser->notes & SW_HTTP_SEEN_HOST)) {
        return sw_http_parser_fail(parser, 400, "HTTP/1.1 request without Host");
    }
    if (parser->coding & CODING_SEEN) {
        if (head->has_content_length) {
            return sw_http_parser_fail(parser, 400, "both Content-Length and Transfer-Encoding");
        }
        if (head->version_minor == 0) {
            return sw_http_parser_fail(parser, 400, "Transfer-Encoding on HTTP/1.0");
        }
        if (parser->coding & CODING_BAD) {
            return sw_http_parser_fail(parser, 400,
                                       "Transfer-Encoding is malformed, or chunked is not its only last coding");
        }
        if (parser->coding & CODING_OTHER) {
            return sw_http_parser_fail(parser, 501, "Transfer-Encoding other than chunked");
        }
        head->is_chunked = true;
    }
    unsigned connection = parser->connection;
    head->is_keep_alive = !(connection & WANTS_CLOSE) && (head->version_minor == 1 || (connection & WANTS_KEEP_ALIVE));
    head->is_websocket_upgrade = (connection & WANTS_UPGRADE) && (connection & NAMES_WEBSOCKET) &&
                                 head->method == SW_HTTP_GET && head->version_minor == 1 && !head->is_chunked &&
                                 head->content_length == 0;
    return SW_OK;
}
