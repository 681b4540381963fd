/* ws_frame.c - One state machine for frame heads and payloads; control frames pass through between fragments. */
#include "net/ws_frame.h"

#include <string.h>

enum {
    KEEP_BYTES = 16384,       /* message memory a connection may keep between messages */
    PIECE_BYTES = 4096,       /* compressed payload unmasked at a time */
    RATIO_FREE_BYTES = 65536, /* small messages may inflate by any ratio */
};

enum { FIN = 0x80, RSV1 = 0x40, RSV23 = 0x30, OPCODE = 0x0f, MASKED = 0x80, LENGTH = 0x7f, LEN16 = 126, LEN64 = 127 };

enum state { HEAD, PAYLOAD, CLOSED, FAILED };

static enum sw_status failure_status(unsigned close_code) {
    if (close_code == SW_WS_TOO_BIG || close_code == SW_WS_POLICY) {
        return SW_LIMIT;
    }
    return close_code == SW_WS_INTERNAL ? SW_NOMEM : SW_MALFORMED;
}

static enum sw_status fail(struct sw_ws_reader *reader, enum sw_ws_close_code code, const char *reason) {
    reader->state = FAILED;
    reader->close_code = (uint16_t)code;
    reader->reason = reason;
    return failure_status(code);
}

static bool is_control(unsigned opcode) {
    return opcode >= SW_WS_CLOSE;
}

static uint64_t big_endian(const unsigned char *bytes, size_t count) {
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static bool is_known(unsigned opcode) {
    return opcode <= SW_WS_BINARY || (opcode >= SW_WS_CLOSE && opcode <= SW_WS_PONG);
}

/* What the first two bytes tell: bits, opcode and the order of frames. */
static enum sw_status check_start(struct sw_ws_reader *reader) {
    unsigned first = reader->head[0];
    unsigned opcode = first & OPCODE;
    unsigned length = reader->head[1] & LENGTH;
    bool is_under_way = reader->message_opcode != 0;
    if (!is_known(opcode)) {
        return fail(reader, SW_WS_PROTOCOL_ERROR, "reserved opcode");
    }
    bool may_compress = reader->deflate.is_on && (opcode == SW_WS_TEXT || opcode == SW_WS_BINARY);
    if ((first & RSV23) || ((first & RSV1) && !may_compress)) {
        return fail(reader, SW_WS_PROTOCOL_ERROR, "reserved bit set");
    }
    if (!(reader->head[1] & MASKED)) {
        return fail(reader, SW_WS_PROTOCOL_ERROR, "frame is not masked");
    }
    if (is_control(opcode)) {
        if (!(first & FIN)) {
            return fail(reader, SW_WS_PROTOCOL_ERROR, "fragmented control frame");
        }
        return length > SW_WS_CONTROL_MAX ? fail(reader, SW_WS_PROTOCOL_ERROR, "control frame is too long") : SW_OK;
    }
    if ((opcode == SW_WS_CONTINUATION) != is_under_way) {
        return fail(reader, SW_WS_PROTOCOL_ERROR,
                    is_under_way ? "message begins inside another" : "continuation of no message");
    }
    return SW_OK;
}

static size_t message_limit(const struct sw_ws_reader *reader) {
    return reader->limits.message_bytes ? reader->limits.message_bytes : (size_t)1 << 20;
}

static enum sw_status check_length(struct sw_ws_reader *reader, uint64_t length, unsigned short_length) {
    size_t fragment_limit = reader->limits.fragments ? reader->limits.fragments : 1024;
    if (length >> 63) {
        return fail(reader, SW_WS_PROTOCOL_ERROR, "frame length above 2^63");
    }
    if ((short_length == LEN16 && length < LEN16) || (short_length == LEN64 && length <= UINT16_MAX)) {
        return fail(reader, SW_WS_PROTOCOL_ERROR, "frame length is not in its shortest form");
    }
    if (is_control(reader->opcode)) {
        return SW_OK;
    }
    if (length > message_limit(reader) - reader->message_bytes) {
        return fail(reader, SW_WS_TOO_BIG, "message is too big");
    }
    if (++reader->fragments > fragment_limit) {
        return fail(reader, SW_WS_POLICY, "message has too many fragments");
    }
    reader->message_bytes += length;
    return SW_OK;
}

static enum sw_status finish_head(struct sw_ws_reader *reader, size_t length_bytes) {
    unsigned first = reader->head[0];
    unsigned short_length = reader->head[1] & LENGTH;
    uint64_t length = length_bytes ? big_endian(reader->head + 2, length_bytes) : short_length;
    reader->opcode = first & OPCODE;
    reader->is_final = first & FIN;
    enum sw_status status = check_length(reader, length, short_length);
    if (status != SW_OK) {
        return status;
    }
    memcpy(reader->mask, reader->head + 2 + length_bytes, sizeof(reader->mask));
    if (reader->opcode == SW_WS_TEXT || reader->opcode == SW_WS_BINARY) {
        reader->message_opcode = reader->opcode;
        reader->is_compressed = first & RSV1;
        reader->utf8 = (struct sw_utf8){0};
    }
    reader->left = length;
    reader->masked = 0;
    reader->control_len = 0;
    reader->head_len = 0;
    reader->state = PAYLOAD;
    return SW_OK;
}

/* SW_AGAIN until the head is complete; then the state is PAYLOAD. */
static enum sw_status read_head(struct sw_ws_reader *reader, struct sw_str *input) {
    while (input->len > 0) {
        reader->head[reader->head_len++] = (unsigned char)*input->ptr;
        *input = sw_str_skip(*input, 1);
        if (reader->head_len < 2) {
            continue;
        }
        unsigned short_length = reader->head[1] & LENGTH;
        size_t length_bytes = short_length == LEN16 ? 2 : short_length == LEN64 ? 8 : 0;
        enum sw_status status = reader->head_len == 2 ? check_start(reader) : SW_OK;
        if (status == SW_OK && reader->head_len == 2 + length_bytes + sizeof(reader->mask)) {
            return finish_head(reader, length_bytes);
        }
        if (status != SW_OK) {
            return status;
        }
    }
    return SW_AGAIN;
}

static enum sw_status check_text(struct sw_ws_reader *reader, size_t from) {
    struct sw_str added = sw_str_skip(sw_buf_view(&reader->message), from);
    if (reader->message_opcode == SW_WS_TEXT && !sw_utf8_feed(&reader->utf8, added)) {
        return fail(reader, SW_WS_BAD_DATA, "text is not UTF-8");
    }
    return SW_OK;
}

/* What went wrong in the text comes before what went wrong behind it. */
static enum sw_status finish_inflating(struct sw_ws_reader *reader, enum sw_status status, size_t from) {
    enum sw_status text_status = check_text(reader, from);
    if (text_status != SW_OK || status == SW_OK) {
        return text_status;
    }
    if (status == SW_NOMEM) {
        return fail(reader, SW_WS_INTERNAL, "out of memory");
    }
    return status == SW_LIMIT ? fail(reader, SW_WS_TOO_BIG, "message inflates too much")
                              : fail(reader, SW_WS_BAD_DATA, "compressed message is damaged");
}

/* How far this message may inflate, by what its frames have announced: independent of how their bytes arrive. */
static size_t inflate_limit(const struct sw_ws_reader *reader) {
    size_t limit = message_limit(reader);
    uint64_t ratio = reader->limits.inflate_ratio ? reader->limits.inflate_ratio : 200;
    uint64_t by_ratio = reader->message_bytes < limit ? reader->message_bytes * ratio : limit;
    by_ratio = by_ratio > RATIO_FREE_BYTES ? by_ratio : RATIO_FREE_BYTES;
    return by_ratio < limit ? (size_t)by_ratio : limit;
}

static enum sw_status take_compressed(struct sw_ws_reader *reader, struct sw_str masked) {
    char piece[PIECE_BYTES];
    while (masked.len > 0) {
        size_t len = masked.len < sizeof(piece) ? masked.len : sizeof(piece);
        size_t from = reader->message.len;
        sw_ws_mask(piece, masked.ptr, len, reader->mask, (size_t)(reader->masked % 4));
        enum sw_status status =
            sw_ws_inflater_feed(&reader->inflater, sw_str_make(piece, len), inflate_limit(reader), &reader->message);
        status = finish_inflating(reader, status, from);
        if (status != SW_OK) {
            return status;
        }
        reader->masked += len;
        masked = sw_str_skip(masked, len);
    }
    return SW_OK;
}

static enum sw_status take_plain(struct sw_ws_reader *reader, struct sw_str masked) {
    size_t from = reader->message.len;
    if (sw_buf_reserve(&reader->message, masked.len) != SW_OK) {
        return fail(reader, SW_WS_INTERNAL, "out of memory");
    }
    sw_ws_mask(reader->message.ptr + from, masked.ptr, masked.len, reader->mask, (size_t)(reader->masked % 4));
    reader->message.len += masked.len;
    reader->masked += masked.len;
    return check_text(reader, from);
}

/* Takes what there is of this frame's payload; SW_AGAIN while some is missing. */
static enum sw_status read_payload(struct sw_ws_reader *reader, struct sw_str *input) {
    size_t len = reader->left < input->len ? (size_t)reader->left : input->len;
    struct sw_str masked = sw_str_make(input->ptr, len);
    enum sw_status status = SW_OK;
    *input = sw_str_skip(*input, len);
    reader->left -= len;
    if (len == 0) {
        return reader->left == 0 ? SW_OK : SW_AGAIN;
    }
    if (is_control(reader->opcode)) {
        sw_ws_mask(reader->control + reader->control_len, masked.ptr, len, reader->mask, reader->control_len % 4);
        reader->control_len = (unsigned char)(reader->control_len + len);
    } else if (reader->is_compressed) {
        status = take_compressed(reader, masked);
    } else {
        status = take_plain(reader, masked);
    }
    return status == SW_OK && reader->left > 0 ? SW_AGAIN : status;
}

static enum sw_status finish_close(struct sw_ws_reader *reader, struct sw_ws_event *event) {
    size_t len = reader->control_len;
    unsigned code = SW_WS_NO_CODE;
    struct sw_str reason = {reader->control, 0};
    if (len == 1) {
        return fail(reader, SW_WS_PROTOCOL_ERROR, "close frame of one byte");
    }
    if (len >= 2) {
        code = (unsigned)big_endian((const unsigned char *)reader->control, 2);
        reason = sw_str_make(reader->control + 2, len - 2);
        if (!sw_ws_close_code_is_valid(code)) {
            return fail(reader, SW_WS_PROTOCOL_ERROR, "close code that must not be sent");
        }
        if (!sw_utf8_is_valid(reason)) {
            return fail(reader, SW_WS_BAD_DATA, "close reason is not UTF-8");
        }
    }
    reader->state = CLOSED;
    *event = (struct sw_ws_event){SW_WS_CLOSE, reason, (uint16_t)code};
    return SW_OK;
}

static enum sw_status finish_inflate(struct sw_ws_reader *reader) {
    size_t from = reader->message.len;
    enum sw_status status = sw_ws_inflater_end(&reader->inflater, inflate_limit(reader), &reader->message);
    if (reader->deflate.is_client_no_takeover) {
        sw_ws_inflater_release(&reader->inflater);
    }
    return finish_inflating(reader, status, from);
}

/* The payload is complete. SW_AGAIN where that is no event yet. */
static enum sw_status finish_frame(struct sw_ws_reader *reader, struct sw_ws_event *event) {
    reader->state = HEAD;
    if (reader->opcode == SW_WS_CLOSE) {
        return finish_close(reader, event);
    }
    if (is_control(reader->opcode)) {
        struct sw_str payload = {reader->control, reader->control_len};
        *event = (struct sw_ws_event){(enum sw_ws_opcode)reader->opcode, payload, 0};
        return SW_OK;
    }
    if (!reader->is_final) {
        return SW_AGAIN;
    }
    enum sw_status status = reader->is_compressed ? finish_inflate(reader) : SW_OK;
    if (status != SW_OK) {
        return status;
    }
    if (!sw_utf8_is_complete(&reader->utf8)) {
        return fail(reader, SW_WS_BAD_DATA, "text ends inside a character");
    }
    *event = (struct sw_ws_event){(enum sw_ws_opcode)reader->message_opcode, sw_buf_view(&reader->message), 0};
    reader->is_delivered = true;
    reader->message_opcode = 0;
    reader->message_bytes = 0;
    reader->fragments = 0;
    return SW_OK;
}

static void take_back_message(struct sw_ws_reader *reader) {
    if (!reader->is_delivered) {
        return;
    }
    reader->is_delivered = false;
    sw_buf_clear(&reader->message);
    if (reader->message.cap > KEEP_BYTES) {
        sw_buf_release(&reader->message);
    }
}

void sw_ws_reader_release(struct sw_ws_reader *reader) {
    sw_buf_release(&reader->message);
    sw_ws_inflater_release(&reader->inflater);
    *reader = (struct sw_ws_reader){.limits = reader->limits, .deflate = reader->deflate};
}

enum sw_status sw_ws_reader_next(struct sw_ws_reader *reader, struct sw_str *input, struct sw_ws_event *event) {
    take_back_message(reader);
    for (;;) {
        enum sw_status status = SW_OK;
        switch ((enum state)reader->state) {
        case HEAD:
            status = read_head(reader, input);
            if (status != SW_OK) {
                return status;
            }
            break;
        case PAYLOAD:
            status = read_payload(reader, input);
            if (status == SW_OK) {
                status = finish_frame(reader, event);
                if (status == SW_AGAIN) {
                    continue;
                }
            }
            return status;
        case CLOSED:
            *input = sw_str_skip(*input, input->len);
            return SW_CLOSED;
        case FAILED:
            return failure_status(reader->close_code);
        }
    }
}

bool sw_ws_close_code_is_valid(unsigned code) {
    if (code >= 3000) {
        return code <= 4999;
    }
    return code >= 1000 && code <= 1014 && !(code >= 1004 && code <= 1006);
}

void sw_ws_mask(char *dst, const char *src, size_t len, const unsigned char key[4], size_t key_at) {
    unsigned char turned[8];
    for (size_t i = 0; i < sizeof(turned); i++) {
        turned[i] = key[(key_at + i) % 4];
    }
    uint64_t word_key;
    memcpy(&word_key, turned, sizeof(word_key));
    size_t at = 0;
    for (; at + sizeof(word_key) <= len; at += sizeof(word_key)) {
        uint64_t word;
        memcpy(&word, src + at, sizeof(word));
        word ^= word_key;
        memcpy(dst + at, &word, sizeof(word));
    }
    for (; at < len; at++) {
        dst[at] = (char)((unsigned char)src[at] ^ turned[at % 4]);
    }
}

size_t sw_ws_frame_head(const struct sw_ws_frame *frame, unsigned char out[SW_WS_HEAD_MAX]) {
    uint64_t len = frame->payload.len;
    size_t length_bytes = len < LEN16 ? 0 : len <= UINT16_MAX ? 2 : 8;
    unsigned first = (unsigned)frame->opcode | (frame->is_fragment ? 0 : FIN) | (frame->is_compressed ? RSV1 : 0);
    out[0] = (unsigned char)first;
    out[1] = (unsigned char)(length_bytes == 0 ? len : length_bytes == 2 ? LEN16 : LEN64);
    for (size_t i = 0; i < length_bytes; i++) {
        out[2 + i] = (unsigned char)(len >> (8 * (length_bytes - 1 - i)));
    }
    return 2 + length_bytes;
}

enum sw_status sw_ws_write_frame(struct sw_buf *out, const struct sw_ws_frame *frame) {
    unsigned char head[SW_WS_HEAD_MAX];
    bool is_plain = !frame->is_fragment && !frame->is_compressed && frame->payload.len <= SW_WS_CONTROL_MAX;
    if (!is_known(frame->opcode) || (is_control(frame->opcode) && !is_plain)) {
        return SW_INVALID;
    }
    size_t head_len = sw_ws_frame_head(frame, head);
    enum sw_status status = sw_buf_reserve(out, head_len + frame->payload.len);
    if (status == SW_OK) {
        status = sw_buf_append(out, sw_str_make((const char *)head, head_len));
    }
    if (status == SW_OK) {
        status = sw_buf_append(out, frame->payload);
    }
    return status;
}

enum sw_status sw_ws_write_close(struct sw_buf *out, unsigned code, struct sw_str reason) {
    char payload[SW_WS_CONTROL_MAX];
    struct sw_ws_frame frame = {.opcode = SW_WS_CLOSE};
    if (code == SW_WS_NO_CODE) {
        return sw_ws_write_frame(out, &frame);
    }
    if (!sw_ws_close_code_is_valid(code)) {
        return SW_INVALID;
    }
    size_t len = reason.len < sizeof(payload) - 2 ? reason.len : sizeof(payload) - 2;
    while (len < reason.len && len > 0 && ((unsigned char)reason.ptr[len] & 0xc0) == 0x80) {
        len--; /* a continuation byte: do not cut before it */
    }
    payload[0] = (char)(code >> 8);
    payload[1] = (char)(code & 0xff);
    if (len > 0) {
        memcpy(payload + 2, reason.ptr, len);
    }
    frame.payload = sw_str_make(payload, len + 2);
    return sw_ws_write_frame(out, &frame);
}

/* Compresses behind room for the longest head, then closes the gap. */
static enum sw_status write_compressed(struct sw_buf *out, struct sw_ws_frame *frame,
                                       const struct sw_ws_outgoing *outgoing) {
    unsigned char head[SW_WS_HEAD_MAX] = {0};
    size_t begin = out->len;
    struct sw_str message = frame->payload;
    enum sw_status status = sw_buf_append(out, sw_str_make((const char *)head, sizeof(head)));
    if (status == SW_OK) {
        status = sw_ws_deflater_message(outgoing->deflater, outgoing->agreed, message, out);
    }
    if (status != SW_OK) {
        out->len = begin;
        return status;
    }
    size_t len = out->len - begin - sizeof(head);
    if (len >= message.len && outgoing->agreed->is_server_no_takeover) {
        out->len = begin;
        return sw_ws_write_frame(out, frame);
    }
    frame->payload = sw_str_make(out->ptr + begin + sizeof(head), len);
    frame->is_compressed = true;
    size_t head_len = sw_ws_frame_head(frame, head);
    memcpy(out->ptr + begin, head, head_len);
    memmove(out->ptr + begin + head_len, frame->payload.ptr, len);
    out->len = begin + head_len + len;
    return SW_OK;
}

enum sw_status sw_ws_write_message(struct sw_buf *out, enum sw_ws_opcode opcode, struct sw_str payload,
                                   const struct sw_ws_outgoing *outgoing) {
    struct sw_ws_frame frame = {.opcode = opcode, .payload = payload};
    if (opcode != SW_WS_TEXT && opcode != SW_WS_BINARY) {
        return SW_INVALID;
    }
    size_t least = outgoing && outgoing->least_bytes ? outgoing->least_bytes : 128;
    if (!outgoing || !outgoing->deflater || !outgoing->agreed->is_on || payload.len < least) {
        return sw_ws_write_frame(out, &frame);
    }
    return write_compressed(out, &frame, outgoing);
}
