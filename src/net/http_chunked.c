/* http_chunked.c - Chunk framing byte by byte, chunk data in one step. */
#include "net/http_chunked.h"

#include <string.h>

enum { SIZE_DIGITS = 16, EXTENSION_CHUNKS = 64 };

enum state {
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    DONE,
    FAILED,
};

static size_t or_default(size_t limit, size_t usual) {
    return limit ? limit : usual;
}

static enum sw_status failure_status(int http_status) {
    return http_status == 400 ? SW_MALFORMED : SW_LIMIT;
}

static enum sw_status fail(struct sw_http_chunked *chunked, int http_status, const char *reason) {
    chunked->state = FAILED;
    chunked->http_status = http_status;
    chunked->reason = reason;
    return failure_status(http_status);
}

static int hex_value(char byte) {
    char lower = (char)(byte | 0x20);
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* As in http_parser: without '_', which gateways confuse with '-'. */
static bool is_name_byte(char byte) {
    char lower = (char)(byte | 0x20);
    return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') ||
           (byte != '\0' && strchr("!#$%&'*+-.^`|~", byte) != NULL);
}

static bool is_text_byte(char byte) {
    return byte == '\t' || (byte >= 0x20 && byte <= 0x7e);
}

static enum sw_status read_size(struct sw_http_chunked *chunked, char byte) {
    int digit = hex_value(byte);
    if (digit >= 0) {
        if (++chunked->line_bytes > SIZE_DIGITS) {
            return fail(chunked, 400, "chunk size has too many digits");
        }
        chunked->left = chunked->left << 4 | (unsigned)digit;
        return SW_OK;
    }
    if (chunked->line_bytes == 0 || (byte != '\r' && byte != ';')) {
        return fail(chunked, 400, "chunk size is not a hexadecimal number");
    }
    uint64_t cap = chunked->limits.body_bytes ? chunked->limits.body_bytes : UINT64_MAX;
    if (chunked->left > cap - chunked->body_bytes) {
        return fail(chunked, 413, "body is too large");
    }
    chunked->line_bytes = 0;
    chunked->state = byte == ';' ? EXTENSION : SIZE_LF;
    return SW_OK;
}

static enum sw_status read_extension(struct sw_http_chunked *chunked, char byte) {
    size_t limit = or_default(chunked->limits.extension_bytes, 256);
    if (byte == '\r') {
        chunked->line_bytes = 0;
        chunked->state = SIZE_LF;
        return SW_OK;
    }
    if (!is_text_byte(byte)) {
        return fail(chunked, 400, "chunk extension holds a control character or a bare line end");
    }
    chunked->extension_total++;
    if (++chunked->line_bytes > limit || chunked->extension_total > limit * EXTENSION_CHUNKS) {
        return fail(chunked, 400, "chunk extensions are too long");
    }
    return SW_OK;
}

static enum sw_status expect(struct sw_http_chunked *chunked, bool is_right, enum state next) {
    if (!is_right) {
        return fail(chunked, 400, "chunk line or chunk data does not end in CRLF");
    }
    chunked->state = (unsigned char)next;
    return SW_OK;
}

/* What may not stand in a trailer: fields that frame, route or authenticate the message (RFC 9110 section 6.5.1). */
static bool is_forbidden(struct sw_str name) {
    static const struct sw_str forbidden[] = {
        {"content-length", 14},
        {"transfer-encoding", 17},
        {"host", 4},
        {"connection", 10},
        {"upgrade", 7},
        {"trailer", 7},
        {"te", 2},
        {"expect", 6},
        {"authorization", 13},
        {"cookie", 6},
        {"content-encoding", 16},
        {"content-range", 13},
        {"forwarded", 9},
    };
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        if (sw_str_eq(name, forbidden[i])) {
            return true;
        }
    }
    return false;
}

static enum sw_status count_trailer_byte(struct sw_http_chunked *chunked) {
    if (++chunked->trailer_bytes > or_default(chunked->limits.trailer_bytes, 8192)) {
        return fail(chunked, 431, "trailers are too long");
    }
    return SW_OK;
}

static enum sw_status read_trailer_name(struct sw_http_chunked *chunked, char byte) {
    if (is_name_byte(byte)) {
        if (chunked->line_bytes < sizeof(chunked->name)) {
            chunked->name[chunked->line_bytes] = (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
        }
        chunked->line_bytes++;
        return count_trailer_byte(chunked);
    }
    if (chunked->line_bytes == 0 || byte != ':') {
        return fail(chunked, 400, "trailer name is not a token with a colon");
    }
    /* A name longer than the array is none of the forbidden ones: they are shorter. */
    if (chunked->line_bytes <= sizeof(chunked->name) && is_forbidden(sw_str_make(chunked->name, chunked->line_bytes))) {
        return fail(chunked, 400, "trailer field that may not be one");
    }
    chunked->state = TRAILER_VALUE;
    return count_trailer_byte(chunked);
}

static enum sw_status read_trailer(struct sw_http_chunked *chunked, char byte) {
    if (byte == '\r') {
        chunked->state = LAST_LF;
        return SW_OK;
    }
    if (++chunked->trailer_count > or_default(chunked->limits.trailer_count, 32)) {
        return fail(chunked, 431, "too many trailers");
    }
    chunked->line_bytes = 0;
    chunked->state = TRAILER_NAME;
    return read_trailer_name(chunked, byte);
}

static enum sw_status read_trailer_value(struct sw_http_chunked *chunked, char byte) {
    if (byte == '\r') {
        chunked->state = TRAILER_LF;
        return SW_OK;
    }
    if (!is_text_byte(byte) && (unsigned char)byte < 0x80) {
        return fail(chunked, 400, "trailer value holds a control character or a bare line end");
    }
    return count_trailer_byte(chunked);
}

static enum sw_status read_byte(struct sw_http_chunked *chunked, char byte) {
    switch ((enum state)chunked->state) {
    case SIZE:
        return read_size(chunked, byte);
    case EXTENSION:
        return read_extension(chunked, byte);
    case SIZE_LF:
        return expect(chunked, byte == '\n', chunked->left ? DATA : TRAILER);
    case DATA_CR:
        return expect(chunked, byte == '\r', DATA_LF);
    case DATA_LF:
        return expect(chunked, byte == '\n', SIZE);
    case TRAILER:
        return read_trailer(chunked, byte);
    case TRAILER_NAME:
        return read_trailer_name(chunked, byte);
    case TRAILER_VALUE:
        return read_trailer_value(chunked, byte);
    case TRAILER_LF:
        return expect(chunked, byte == '\n', TRAILER);
    case LAST_LF:
        chunked->is_done = byte == '\n';
        return expect(chunked, byte == '\n', DONE);
    case DATA:
    case DONE:
    case FAILED:
        break;
    }
    return failure_status(chunked->http_status);
}

enum sw_status sw_http_chunked_feed(struct sw_http_chunked *chunked, struct sw_str *input, struct sw_str *data) {
    *data = (struct sw_str){NULL, 0};
    if (chunked->state == FAILED) {
        return failure_status(chunked->http_status);
    }
    while (input->len > 0 && chunked->state != DONE) {
        if (chunked->state == DATA) {
            size_t len = chunked->left < input->len ? (size_t)chunked->left : input->len;
            *data = sw_str_make(input->ptr, len);
            *input = sw_str_skip(*input, len);
            chunked->left -= len;
            chunked->body_bytes += len;
            if (chunked->left == 0) {
                chunked->state = DATA_CR;
            }
            return SW_OK;
        }
        enum sw_status status = read_byte(chunked, *input->ptr);
        if (status != SW_OK) {
            return status;
        }
        *input = sw_str_skip(*input, 1);
    }
    return SW_OK;
}
