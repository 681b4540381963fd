/* fuzz_ws.c - WebSocket frames in any split, handshake headers of any content, and messages there and back. */
#include <stdlib.h>
#include <string.h>

#include "net/ws_frame.h"
#include "net/ws_handshake.h"

enum { HEADERS_MAX = 8, MESSAGE_BYTES = 5000 };

struct outcome {
    struct sw_buf log; /* every event: opcode, code, length, payload */
    enum sw_status status;
    unsigned close_code;
    const char *reason;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
    if (!condition) {
        abort();
    }
}

static void append(struct sw_buf *buf, const void *bytes, size_t len) {
    require(sw_buf_append(buf, sw_str_make(bytes, len)) == SW_OK);
}

static void log_event(struct sw_buf *log, const struct sw_ws_event *event) {
    unsigned char head[3] = {(unsigned char)event->opcode, (unsigned char)(event->close_code >> 8),
                             (unsigned char)event->close_code};
    bool is_text = event->opcode == SW_WS_TEXT || event->opcode == SW_WS_CLOSE;
    bool is_message = event->opcode == SW_WS_TEXT || event->opcode == SW_WS_BINARY;
    require(event->payload.len <= (is_message ? (size_t)MESSAGE_BYTES : SW_WS_CONTROL_MAX));
    require(!is_text || sw_utf8_is_valid(event->payload));
    append(log, head, sizeof(head));
    append(log, &event->payload.len, sizeof(event->payload.len));
    append(log, event->payload.ptr, event->payload.len);
}

/* Feeds pieces of `step` bytes, each from a heap block of exactly its size. */
static struct outcome read_split(struct sw_ws_reader reader, struct sw_str text, size_t step) {
    struct outcome outcome = {.status = SW_AGAIN};
    while (text.len > 0 && outcome.status == SW_AGAIN) {
        size_t len = text.len < step ? text.len : step;
        char *copy = malloc(len);
        require(copy != NULL);
        memcpy(copy, text.ptr, len);
        struct sw_str input = {copy, len};
        struct sw_ws_event event;
        while ((outcome.status = sw_ws_reader_next(&reader, &input, &event)) == SW_OK) {
            log_event(&outcome.log, &event);
        }
        require(outcome.status != SW_AGAIN || input.len == 0);
        free(copy);
        text = sw_str_skip(text, len);
    }
    if (outcome.status != SW_AGAIN && outcome.status != SW_CLOSED) {
        require(reader.reason && sw_ws_close_code_is_valid(reader.close_code));
    }
    outcome.close_code = reader.close_code;
    outcome.reason = reader.reason;
    sw_ws_reader_release(&reader);
    return outcome;
}

static void check_splits(const struct sw_ws_reader *start, struct sw_str text, size_t step) {
    struct outcome whole = read_split(*start, text, SIZE_MAX);
    struct outcome split = read_split(*start, text, step);
    require(whole.status == split.status && whole.close_code == split.close_code && whole.reason == split.reason);
    require(whole.log.len == split.log.len);
    require(whole.log.len == 0 || memcmp(whole.log.ptr, split.log.ptr, whole.log.len) == 0);
    sw_buf_release(&whole.log);
    sw_buf_release(&split.log);
}

/* The same bytes as header values of a handshake that is otherwise right. */
static void check_handshake(struct sw_str text, bool is_protocol) {
    struct sw_http_header headers[HEADERS_MAX];
    struct sw_http_parser parser;
    struct sw_buf head = {0};
    struct sw_buf answer = {0};
    struct sw_ws_handshake handshake;
    struct sw_ws_handshake_options options = {.protocols = &SW_STR("live"), .protocol_count = 1};
    struct sw_str start = SW_STR("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    struct sw_str name = is_protocol ? SW_STR("Sec-WebSocket-Protocol:") : SW_STR("Sec-WebSocket-Extensions:");
    append(&head, start.ptr, start.len);
    append(&head, name.ptr, name.len);
    append(&head, text.ptr, text.len);
    append(&head, "\r\n\r\n", 4);
    sw_http_parser_init(&parser, headers, HEADERS_MAX, NULL);
    if (sw_http_parser_feed(&parser, sw_buf_view(&head)) == SW_OK && parser.head.is_websocket_upgrade &&
        sw_ws_handshake_check(&parser.head, &options, &handshake) == SW_OK) {
        require(sw_ws_handshake_write(&handshake, &answer) == SW_OK);
        require(strcmp(handshake.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") == 0);
        require(!handshake.deflate.is_on ||
                (handshake.deflate.server_bits >= 9 && handshake.deflate.server_bits <= 15));
    }
    sw_buf_release(&head);
    sw_buf_release(&answer);
}

/* Writes the bytes as a compressed message, masks the frame as a client would, and reads it. */
static void check_round_trip(struct sw_str text, size_t step) {
    struct sw_ws_deflate agreed = {.is_on = true, .is_server_no_takeover = true};
    struct sw_ws_deflater deflater = {0};
    struct sw_ws_outgoing outgoing = {&deflater, &agreed, 1};
    struct sw_ws_reader start = {.deflate = agreed};
    struct sw_buf out = {0};
    struct sw_buf sent = {0};
    unsigned char key[4] = {1, 2, 3, 4};
    require(sw_ws_write_message(&out, SW_WS_BINARY, text, &outgoing) == SW_OK);
    size_t head_len = (unsigned char)out.ptr[1] < 126 ? 2 : 4;
    out.ptr[1] = (char)(out.ptr[1] | 0x80);
    append(&sent, out.ptr, head_len);
    append(&sent, key, sizeof(key));
    append(&sent, out.ptr + head_len, out.len - head_len);
    char *payload = sent.ptr + head_len + sizeof(key);
    sw_ws_mask(payload, payload, out.len - head_len, key, 0);
    struct outcome outcome = read_split(start, sw_buf_view(&sent), step);
    require(outcome.status == SW_AGAIN && outcome.log.len == 3 + sizeof(size_t) + text.len);
    require(text.len == 0 || memcmp(outcome.log.ptr + 3 + sizeof(size_t), text.ptr, text.len) == 0);
    sw_buf_release(&outcome.log);
    sw_ws_deflater_release(&deflater);
    sw_buf_release(&out);
    sw_buf_release(&sent);
}

/* The first byte chooses: bits 0-1 what to do, bit 2 deflate, bit 3 takeover, bits 4-7 the split. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > 4096) {
        return 0;
    }
    size_t step = (size_t)(data[0] >> 4) + 1;
    struct sw_str text = {(const char *)data + 1, size - 1};
    struct sw_ws_reader start = {
        .limits = {MESSAGE_BYTES, 5, 0},
        .deflate = {.is_on = data[0] & 4, .is_client_no_takeover = !(data[0] & 8)},
    };
    switch (data[0] & 3) {
    case 2:
        check_handshake(text, data[0] & 4);
        break;
    case 3:
        check_round_trip(text, step);
        break;
    default:
        check_splits(&start, text, step);
        break;
    }
    return 0;
}
