/* test_ws_frame.c - WebSocket frames: cases by section as the Autobahn suite orders them, limits, splits, writing. */
#include "net/ws_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "guard_page.h"

enum { FIN = 0x80, RSV1 = 0x40, CONT = 0, TEXT = 1, BIN = 2, CLOSE = 8, PING = 9, PONG = 10, FRAMES_MAX = 8 };

/* One client frame; `first` is its whole first byte. */
struct part {
    unsigned first;
    struct sw_str payload;
};

struct row {
    const char *section;
    struct part parts[FRAMES_MAX];
    struct sw_str log; /* what the reader makes of it: see log_event; "!1002" is a failure with that code */
};

#define P(first, text) \
    { \
        (first), { \
            (text), sizeof(text) - 1 \
        } \
    }
#define L(text) \
    { (text), sizeof(text) - 1 }
#define SIXTEEN "0123456789abcdef"
#define BYTES112 SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN
#define BYTES125 BYTES112 "0123456789abc"

static const struct row rows[] = {
    {"1.1.1 empty text", {P(FIN | TEXT, "")}, L("T[]")},
    {"1.1.2 text of 125 bytes", {P(FIN | TEXT, BYTES125)}, L("T[" BYTES125 "]")},
    {"1.1.3 text of 126 bytes", {P(FIN | TEXT, BYTES125 "d")}, L("T[" BYTES125 "d]")},
    {"1.1.4 text of 127 bytes", {P(FIN | TEXT, BYTES125 "de")}, L("T[" BYTES125 "de]")},
    {"1.2.1 empty binary", {P(FIN | BIN, "")}, L("B[]")},
    {"1.2.2 binary that is not UTF-8", {P(FIN | BIN, "\xff\xfe")}, L("B[\xff\xfe]")},
    {"1.2.x two messages", {P(FIN | BIN, "a"), P(FIN | TEXT, "b")}, L("B[a]T[b]")},
    {"2.1 empty ping", {P(FIN | PING, "")}, L("I[]")},
    {"2.2 ping with text", {P(FIN | PING, "Hello, world!")}, L("I[Hello, world!]")},
    {"2.3 ping with bytes", {P(FIN | PING, "\xff\xfe\xfd")}, L("I[\xff\xfe\xfd]")},
    {"2.4 ping of 125 bytes", {P(FIN | PING, BYTES125)}, L("I[" BYTES125 "]")},
    {"2.5 ping of 126 bytes", {P(FIN | PING, BYTES125 "d")}, L("!1002")},
    {"2.7 unsolicited empty pong", {P(FIN | PONG, "")}, L("O[]")},
    {"2.9 unsolicited pong, then ping", {P(FIN | PONG, "a"), P(FIN | PING, "b")}, L("O[a]I[b]")},
    {"2.10 several pings", {P(FIN | PING, "1"), P(FIN | PING, "2"), P(FIN | PING, "3")}, L("I[1]I[2]I[3]")},
    {"3.1 RSV3", {P(FIN | 0x10 | TEXT, "a")}, L("!1002")},
    {"3.2 RSV2 after a message", {P(FIN | TEXT, "a"), P(FIN | 0x20 | TEXT, "b"), P(FIN | PING, "")}, L("T[a]!1002")},
    {"3.3 RSV2 and RSV3", {P(FIN | 0x30 | TEXT, "a")}, L("!1002")},
    {"3.4 RSV1 without an extension", {P(FIN | RSV1 | TEXT, "a")}, L("!1002")},
    {"3.5 RSV1 on binary", {P(FIN | RSV1 | BIN, "a")}, L("!1002")},
    {"3.6 RSV1 on ping", {P(FIN | RSV1 | PING, "a")}, L("!1002")},
    {"3.7 all of them on close", {P(FIN | 0x70 | CLOSE, "")}, L("!1002")},
    {"4.1.1 opcode 3", {P(FIN | 3, "")}, L("!1002")},
    {"4.1.3 opcode 5 after a message", {P(FIN | TEXT, "a"), P(FIN | 5, ""), P(FIN | PING, "")}, L("T[a]!1002")},
    {"4.1.5 opcode 7", {P(FIN | 7, "a")}, L("!1002")},
    {"4.2.1 opcode 11", {P(FIN | 11, "")}, L("!1002")},
    {"4.2.5 opcode 15", {P(FIN | 15, "a")}, L("!1002")},
    {"5.1 fragmented ping", {P(PING, "a"), P(FIN | CONT, "b")}, L("!1002")},
    {"5.2 fragmented pong", {P(PONG, "a"), P(FIN | CONT, "b")}, L("!1002")},
    {"5.x fragmented close", {P(CLOSE, "\x03\xe8"), P(FIN | CONT, "b")}, L("!1002")},
    {"5.3 text in two fragments", {P(TEXT, "ab"), P(FIN | CONT, "cd")}, L("T[abcd]")},
    {"5.6 ping between fragments", {P(TEXT, "ab"), P(FIN | PING, "p"), P(FIN | CONT, "cd")}, L("I[p]T[abcd]")},
    {"5.9 continuation of nothing", {P(FIN | CONT, "a"), P(FIN | TEXT, "b")}, L("!1002")},
    {"5.10 the same, first", {P(FIN | TEXT, "b"), P(FIN | CONT, "a")}, L("T[b]!1002")},
    {"5.12 open continuation of nothing", {P(CONT, "a"), P(FIN | TEXT, "b")}, L("!1002")},
    {"5.15 continuation after the end", {P(TEXT, "a"), P(FIN | CONT, "b"), P(CONT, "c")}, L("T[ab]!1002")},
    {"5.18 text inside text", {P(TEXT, "a"), P(FIN | TEXT, "b")}, L("!1002")},
    {"5.x binary inside text", {P(TEXT, "a"), P(BIN, "b")}, L("!1002")},
    {"5.19 pings among five fragments",
     {P(TEXT, "1"), P(CONT, "2"), P(FIN | PING, "p"), P(CONT, "3"), P(CONT, ""), P(FIN | PING, "q"),
      P(FIN | CONT, "5")},
     L("I[p]I[q]T[1235]")},
    {"6.1.1 empty text", {P(FIN | TEXT, "")}, L("T[]")},
    {"6.1.2 empty fragments", {P(TEXT, ""), P(CONT, ""), P(FIN | CONT, "")}, L("T[]")},
    {"6.1.3 text in the middle one", {P(TEXT, ""), P(CONT, "mid"), P(FIN | CONT, "")}, L("T[mid]")},
    {"6.2.1 valid UTF-8",
     {P(FIN | TEXT, "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6-UTF-8!!")},
     L("T[Hello-\xc2\xb5@\xc3\x9f\xc3\xb6-UTF-8!!]")},
    {"6.2.2 cut on a character", {P(TEXT, "\xc2\xb5"), P(FIN | CONT, "\xc3\xb6")}, L("T[\xc2\xb5\xc3\xb6]")},
    {"6.2.3 cut inside characters",
     {P(TEXT, "\xce"), P(CONT, "\xba\xf0\x9f"), P(FIN | CONT, "\x90\x8d")},
     L("T[\xce\xba\xf0\x9f\x90\x8d]")},
    {"6.2.x ping inside a character",
     {P(TEXT, "\xce"), P(FIN | PING, "\xff"), P(FIN | CONT, "\xba")},
     L("I[\xff]T[\xce\xba]")},
    {"6.3.1 surrogate",
     {P(FIN | TEXT, "\xce\xba\xed\xa0\x80"
                    "edited")},
     L("!1007")},
    {"6.3.2 the same in fragments", {P(TEXT, "\xce\xba\xed"), P(CONT, "\xa0"), P(FIN | CONT, "\x80")}, L("!1007")},
    {"6.4.1 fails before the last fragment", {P(TEXT, "ab\xf4\x90"), P(FIN | CONT, "\x80\x80")}, L("!1007")},
    {"6.5 NUL is a character", {P(FIN | TEXT, "a\0b")}, L("T[a\0b]")},
    {"6.6.1 incomplete character", {P(FIN | TEXT, "\xce")}, L("!1007")},
    {"6.6.4 incomplete over fragments", {P(TEXT, "\xce\xba\xe1"), P(FIN | CONT, "\xbd")}, L("!1007")},
    {"6.8 overlong", {P(FIN | TEXT, "\xc0\x80")}, L("!1007")},
    {"6.9 0xff", {P(FIN | TEXT, "\xff")}, L("!1007")},
    {"6.x invalid text in the second message",
     {P(FIN | TEXT, "\xce\xba"), P(FIN | TEXT, "\xba")},
     L("T[\xce\xba]!1007")},
    {"7.1.1 close after a message", {P(FIN | TEXT, "a"), P(FIN | CLOSE, "\x03\xe8")}, L("T[a]C1000[]")},
    {"7.1.3 ping after close", {P(FIN | CLOSE, "\x03\xe8"), P(FIN | PING, "p")}, L("C1000[]")},
    {"7.1.5 close inside a message", {P(TEXT, "a"), P(FIN | CLOSE, "\x03\xe8"), P(FIN | CONT, "b")}, L("C1000[]")},
    {"7.3.1 empty close", {P(FIN | CLOSE, "")}, L("C1005[]")},
    {"7.3.2 close of one byte", {P(FIN | CLOSE, "\x03")}, L("!1002")},
    {"7.3.4 close with a reason", {P(FIN | CLOSE, "\x03\xe8Hello")}, L("C1000[Hello]")},
    {"7.3.5 reason of 123 bytes",
     {P(FIN | CLOSE, "\x03\xe8" BYTES112 "0123456789a")},
     L("C1000[" BYTES112 "0123456789a]")},
    {"7.3.6 reason of 124 bytes", {P(FIN | CLOSE, "\x03\xe8" BYTES112 "0123456789ab")}, L("!1002")},
    {"7.5.1 reason that is not UTF-8", {P(FIN | CLOSE, "\x03\xe8\xce\xba\xe1")}, L("!1007")},
    {"7.7.1 1001", {P(FIN | CLOSE, "\x03\xe9")}, L("C1001[]")},
    {"7.7.5 1008", {P(FIN | CLOSE, "\x03\xf0")}, L("C1008[]")},
    {"7.7.9 3000", {P(FIN | CLOSE, "\x0b\xb8")}, L("C3000[]")},
    {"7.7.13 4999", {P(FIN | CLOSE, "\x13\x87")}, L("C4999[]")},
    {"7.9.1 0", {P(FIN | CLOSE, "\x00\x00")}, L("!1002")},
    {"7.9.2 999", {P(FIN | CLOSE, "\x03\xe7")}, L("!1002")},
    {"7.9.3 1004", {P(FIN | CLOSE, "\x03\xec")}, L("!1002")},
    {"7.9.4 1005", {P(FIN | CLOSE, "\x03\xed")}, L("!1002")},
    {"7.9.5 1006", {P(FIN | CLOSE, "\x03\xee")}, L("!1002")},
    {"7.9.6 1016", {P(FIN | CLOSE, "\x03\xf8")}, L("!1002")},
    {"7.9.9 2999", {P(FIN | CLOSE, "\x0b\xb7")}, L("!1002")},
    {"7.13.1 5000", {P(FIN | CLOSE, "\x13\x88")}, L("!1002")},
};

/* With permessage-deflate agreed on; \xf2\x48... is "Hello". */
#define HELLO "\xf2\x48\xcd\xc9\xc9\x07\x00"

static const struct row deflate_rows[] = {
    {"12.1 compressed text", {P(FIN | RSV1 | TEXT, HELLO)}, L("T[Hello]")},
    {"12.x plain text is still text", {P(FIN | TEXT, "Hello")}, L("T[Hello]")},
    {"12.x compressed binary", {P(FIN | RSV1 | BIN, HELLO)}, L("B[Hello]")},
    {"12.x in fragments",
     {P(RSV1 | TEXT, "\xf2\x48"), P(CONT, ""), P(FIN | CONT, "\xcd\xc9\xc9\x07\x00")},
     L("T[Hello]")},
    {"12.x ping between",
     {P(RSV1 | TEXT, "\xf2\x48"), P(FIN | PING, "p"), P(FIN | CONT, "\xcd\xc9\xc9\x07\x00")},
     L("I[p]T[Hello]")},
    {"12.x empty", {P(FIN | RSV1 | TEXT, "\x00")}, L("T[]")},
    {"12.x no byte at all", {P(FIN | RSV1 | TEXT, "")}, L("!1007")},
    {"12.x final block", {P(FIN | RSV1 | TEXT, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00")}, L("T[Hello]")},
    {"13.x context kept",
     {P(FIN | RSV1 | TEXT, HELLO), P(FIN | RSV1 | TEXT, "\xf2\x00\x11\x00\x00")},
     L("T[Hello]T[Hello]")},
    {"12.x RSV1 on a continuation", {P(RSV1 | TEXT, HELLO), P(FIN | RSV1 | CONT, "")}, L("!1002")},
    {"12.x RSV1 on ping", {P(FIN | RSV1 | PING, "a")}, L("!1002")},
    {"12.x damaged", {P(FIN | RSV1 | TEXT, "\x07")}, L("!1007")},
    {"12.x cut short", {P(FIN | RSV1 | TEXT, "\xf2\x48")}, L("!1007")},
    {"12.x inflates to no UTF-8", {P(FIN | RSV1 | TEXT, "\x00\x01\x00\xfe\xff\xff\x00")}, L("!1007")},
    {"12.x inflates to half a character", {P(FIN | RSV1 | TEXT, "\x00\x01\x00\xfe\xff\xc3\x00")}, L("!1007")},
    {"12.x the same as binary", {P(FIN | RSV1 | BIN, "\x00\x01\x00\xfe\xff\xff\x00")}, L("B[\xff]")},
};

/* A client's frame: masked, its length in the shortest form unless `length_bytes` says 2 or 8. */
static void add_frame(struct sw_buf *out, unsigned first, struct sw_str payload, size_t length_bytes) {
    static unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint64_t len = payload.len;
    if (length_bytes == 0 && len > 125) {
        length_bytes = len <= 65535 ? 2 : 8;
    }
    unsigned char head[2] = {(unsigned char)first, (unsigned char)(length_bytes == 0   ? 0x80 | len
                                                                   : length_bytes == 2 ? 0x80 | 126
                                                                                       : 0x80 | 127)};
    assert_int_equal(sw_buf_append(out, sw_str_make((char *)head, 2)), SW_OK);
    for (size_t i = 0; i < length_bytes; i++) {
        assert_int_equal(sw_buf_append_byte(out, (char)(len >> (8 * (length_bytes - 1 - i)))), SW_OK);
    }
    key[0]++; /* another key for each frame */
    assert_int_equal(sw_buf_append(out, sw_str_make((char *)key, 4)), SW_OK);
    for (size_t i = 0; i < payload.len; i++) {
        assert_int_equal(sw_buf_append_byte(out, (char)(payload.ptr[i] ^ (char)key[i % 4])), SW_OK);
    }
}

static void log_event(struct sw_buf *log, const struct sw_ws_event *event) {
    static const char letters[] = {[SW_WS_TEXT] = 'T', [SW_WS_BINARY] = 'B', [SW_WS_PING] = 'I', [SW_WS_PONG] = 'O'};
    if (event->opcode == SW_WS_CLOSE) {
        assert_int_equal(sw_buf_append_format(log, "C%u[", event->close_code), SW_OK);
    } else {
        assert_int_equal(sw_buf_append_format(log, "%c[", letters[event->opcode]), SW_OK);
    }
    assert_int_equal(sw_buf_append(log, event->payload), SW_OK);
    assert_int_equal(sw_buf_append_byte(log, ']'), SW_OK);
}

/* Feeds in pieces of `step` bytes and logs what comes out, up to a failure. */
static void feed(struct sw_ws_reader *reader, struct sw_str bytes, size_t step, struct sw_buf *log) {
    for (size_t at = 0; at < bytes.len; at += step) {
        struct sw_str piece = sw_str_skip(bytes, at);
        piece.len = piece.len < step ? piece.len : step;
        struct sw_str input = guard_place(piece);
        struct sw_ws_event event;
        enum sw_status status;
        while ((status = sw_ws_reader_next(reader, &input, &event)) == SW_OK) {
            log_event(log, &event);
        }
        if (status == SW_AGAIN || status == SW_CLOSED) {
            assert_int_equal(input.len, 0);
            continue;
        }
        assert_non_null(reader->reason);
        assert_int_equal(sw_ws_reader_next(reader, &input, &event), status);
        assert_int_equal(sw_buf_append_format(log, "!%u", reader->close_code), SW_OK);
        return;
    }
}

static void check_log(const struct sw_ws_reader *start, struct sw_str bytes, size_t step, struct sw_str expected) {
    struct sw_ws_reader reader = *start;
    struct sw_buf log = {0};
    feed(&reader, bytes, step, &log);
    assert_int_equal(log.len, expected.len);
    if (log.len > 0) {
        assert_memory_equal(log.ptr, expected.ptr, expected.len);
    }
    sw_buf_release(&log);
    sw_ws_reader_release(&reader);
}

static void check_rows(const struct row *table, size_t count, const struct sw_ws_reader *start) {
    for (size_t i = 0; i < count; i++) {
        struct sw_buf bytes = {0};
        for (size_t at = 0; at < FRAMES_MAX && table[i].parts[at].payload.ptr; at++) {
            add_frame(&bytes, table[i].parts[at].first, table[i].parts[at].payload, 0);
        }
        print_message("%s\n", table[i].section);
        for (size_t step = 1; step <= bytes.len; step++) {
            check_log(start, sw_buf_view(&bytes), step, table[i].log);
        }
        sw_buf_release(&bytes);
    }
}

static void test_cases_by_section(void **state) {
    check_rows(rows, sizeof(rows) / sizeof(rows[0]), &(struct sw_ws_reader){0});
}

static void test_cases_with_deflate(void **state) {
    struct sw_ws_reader start = {.deflate = {.is_on = true}};
    check_rows(deflate_rows, sizeof(deflate_rows) / sizeof(deflate_rows[0]), &start);
}

static void test_forgotten_context(void **state) {
    struct sw_ws_reader start = {.deflate = {.is_on = true, .is_client_no_takeover = true}};
    struct sw_buf bytes = {0};
    add_frame(&bytes, FIN | RSV1 | TEXT, SW_STR(HELLO), 0);
    add_frame(&bytes, FIN | RSV1 | TEXT, SW_STR("\xf2\x00\x11\x00\x00"), 0);
    check_log(&start, sw_buf_view(&bytes), 5, SW_STR("T[Hello]!1007"));
    sw_buf_release(&bytes);
}

static void test_masks_are_required(void **state) {
    check_log(&(struct sw_ws_reader){0},
              SW_STR("\x81\x01"
                     "a"),
              1, SW_STR("!1002"));
    check_log(&(struct sw_ws_reader){0}, SW_STR("\x89\x00"), 2, SW_STR("!1002"));
}

static void test_lengths_are_in_their_shortest_form(void **state) {
    static char big[65536];
    static const struct {
        size_t len;
        size_t length_bytes;
        bool is_good;
    } cases[] = {
        {125, 0, true},   {0, 2, false},     {125, 2, false}, {126, 2, true},
        {65535, 2, true}, {65535, 8, false}, {126, 8, false}, {65536, 8, true},
    };
    memset(big, 'x', sizeof(big));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sw_buf bytes = {0};
        struct sw_buf expected = {0};
        struct sw_str payload = {big, cases[i].len};
        add_frame(&bytes, FIN | TEXT, payload, cases[i].length_bytes);
        assert_int_equal(sw_buf_append(&expected, SW_STR("T[")), SW_OK);
        assert_int_equal(sw_buf_append(&expected, payload), SW_OK);
        assert_int_equal(sw_buf_append(&expected, SW_STR("]")), SW_OK);
        check_log(&(struct sw_ws_reader){0}, sw_buf_view(&bytes), 997,
                  cases[i].is_good ? sw_buf_view(&expected) : SW_STR("!1002"));
        sw_buf_release(&bytes);
        sw_buf_release(&expected);
    }
    check_log(&(struct sw_ws_reader){0}, SW_STR("\x82\xff\x80\0\0\0\0\0\0\0kkkk"), 1, SW_STR("!1002"));
    check_log(&(struct sw_ws_reader){0},
              SW_STR("\x89\xfe\0\x01kkkk"
                     "a"),
              1, SW_STR("!1002"));
}

static void test_message_limit(void **state) {
    struct sw_ws_reader start = {.limits = {.message_bytes = 10}};
    struct sw_buf bytes = {0};
    add_frame(&bytes, FIN | TEXT, SW_STR("0123456789"), 0);
    add_frame(&bytes, TEXT, SW_STR("01234"), 0);
    add_frame(&bytes, FIN | CONT, SW_STR("56789"), 0);
    add_frame(&bytes, TEXT, SW_STR("01234"), 0);
    size_t head_of_last = bytes.len + 6;
    add_frame(&bytes, FIN | CONT, SW_STR("56789a"), 0);
    bytes.len = head_of_last; /* the head alone is enough to refuse it */
    check_log(&start, sw_buf_view(&bytes), 3, SW_STR("T[0123456789]T[0123456789]!1009"));
    sw_buf_clear(&bytes);
    check_log(&(struct sw_ws_reader){0}, SW_STR("\x82\xff\0\0\0\0\0\x10\0\x01kkkk"), 9, SW_STR("!1009"));
    check_log(&(struct sw_ws_reader){0}, SW_STR("\x82\xff\0\0\0\0\0\x10\0\0kkkk"), 9, SW_STR(""));
    check_log(&(struct sw_ws_reader){0}, SW_STR("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffkkkk"), 9, SW_STR("!1009"));
    start.deflate.is_on = true;
    add_frame(&bytes, FIN | RSV1 | TEXT, SW_STR(HELLO), 0);
    start.limits.message_bytes = 7;
    check_log(&start, sw_buf_view(&bytes), 3, SW_STR("T[Hello]"));
    sw_buf_clear(&bytes);
    add_frame(&bytes, FIN | RSV1 | TEXT, SW_STR("\x4a\x4c\x84\x01\x00\x00"), 0); /* ten times a */
    start.limits.message_bytes = 9;
    check_log(&start, sw_buf_view(&bytes), 3, SW_STR("!1009"));
    start.limits.message_bytes = 10;
    check_log(&start, sw_buf_view(&bytes), 3, SW_STR("T[aaaaaaaaaa]"));
    sw_buf_release(&bytes);
}

/* 70000 zero bytes in less than 120 as sent: below 64 KiB any ratio is allowed, above it 200 : 1. */
static void test_ratio_limit(void **state) {
    static char zeros[70000];
    struct sw_ws_reader start = {.deflate = {.is_on = true}};
    for (int is_big = 0; is_big < 2; is_big++) {
        z_stream stream = {0};
        unsigned char packed[200];
        struct sw_buf bytes = {0};
        struct sw_buf expected = {0};
        struct sw_str message = {zeros, is_big ? sizeof(zeros) : 65000};
        assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
        stream.next_in = (unsigned char *)zeros;
        stream.avail_in = (unsigned)message.len;
        stream.next_out = packed;
        stream.avail_out = sizeof(packed);
        assert_int_equal(deflate(&stream, Z_SYNC_FLUSH), Z_OK);
        deflateEnd(&stream);
        add_frame(&bytes, FIN | RSV1 | BIN, sw_str_make((char *)packed, sizeof(packed) - stream.avail_out - 4), 0);
        assert_true(bytes.len < 120);
        assert_int_equal(sw_buf_append(&expected, SW_STR("B[")), SW_OK);
        assert_int_equal(sw_buf_append(&expected, message), SW_OK);
        assert_int_equal(sw_buf_append(&expected, SW_STR("]")), SW_OK);
        start.limits.inflate_ratio = 0;
        check_log(&start, sw_buf_view(&bytes), 7, is_big ? SW_STR("!1009") : sw_buf_view(&expected));
        start.limits.inflate_ratio = 2000;
        check_log(&start, sw_buf_view(&bytes), 7, sw_buf_view(&expected));
        sw_buf_release(&bytes);
        sw_buf_release(&expected);
    }
}

static void test_fragment_limit(void **state) {
    struct sw_ws_reader start = {.limits = {.fragments = 3}};
    struct sw_buf bytes = {0};
    for (int message = 0; message < 2; message++) {
        add_frame(&bytes, TEXT, SW_STR("a"), 0);
        add_frame(&bytes, CONT, SW_STR(""), 0);
        add_frame(&bytes, FIN | CONT, SW_STR("b"), 0);
    }
    add_frame(&bytes, TEXT, SW_STR(""), 0);
    add_frame(&bytes, CONT, SW_STR(""), 0);
    add_frame(&bytes, CONT, SW_STR(""), 0);
    add_frame(&bytes, CONT, SW_STR(""), 0);
    check_log(&start, sw_buf_view(&bytes), 7, SW_STR("T[ab]T[ab]!1008"));
    sw_buf_release(&bytes);
}

static void test_memory_is_given_back(void **state) {
    static char big[100000];
    struct sw_ws_reader reader = {0};
    struct sw_buf bytes = {0};
    struct sw_ws_event event;
    memset(big, 'x', sizeof(big));
    add_frame(&bytes, FIN | BIN, sw_str_make(big, sizeof(big)), 0);
    add_frame(&bytes, FIN | BIN, SW_STR("small"), 0);
    struct sw_str input = sw_buf_view(&bytes);
    assert_int_equal(sw_ws_reader_next(&reader, &input, &event), SW_OK);
    assert_int_equal(event.payload.len, sizeof(big));
    assert_memory_equal(event.payload.ptr, big, sizeof(big));
    assert_int_equal(sw_ws_reader_next(&reader, &input, &event), SW_OK);
    assert_true(sw_str_eq(event.payload, SW_STR("small")));
    assert_true(reader.message.cap < 1000);
    sw_ws_reader_release(&reader);
    /* What a frame only announces is not allocated. */
    input = SW_STR("\x82\xff\0\0\0\0\0\x0f\0\0kkkkabc");
    assert_int_equal(sw_ws_reader_next(&reader, &input, &event), SW_AGAIN);
    assert_true(reader.message.cap < 1000);
    sw_ws_reader_release(&reader);
    sw_buf_release(&bytes);
}

static void test_every_allocation_may_fail(void **state) {
    struct sw_buf bytes = {0};
    enum sw_status status = SW_NOMEM;
    add_frame(&bytes, TEXT, SW_STR("abc"), 0);
    add_frame(&bytes, FIN | CONT, SW_STR(BYTES125), 0);
    add_frame(&bytes, FIN | RSV1 | TEXT, SW_STR(HELLO), 0);
    for (size_t nth = 1; status == SW_NOMEM; nth++) {
        struct sw_ws_reader reader = {.deflate = {.is_on = true}};
        struct sw_str input = sw_buf_view(&bytes);
        struct sw_ws_event event;
        sw_mem_fail_at(nth);
        do {
            status = sw_ws_reader_next(&reader, &input, &event);
        } while (status == SW_OK);
        sw_mem_fail_at(0);
        assert_true(status == SW_NOMEM || status == SW_AGAIN);
        assert_true(status == SW_AGAIN || reader.close_code == SW_WS_INTERNAL);
        assert_true(status == SW_NOMEM || nth > 3);
        sw_ws_reader_release(&reader);
    }
    sw_buf_release(&bytes);
}

static void test_mask_from_every_offset(void **state) {
    const unsigned char key[4] = {1, 2, 4, 8};
    for (size_t len = 0; len < 40; len++) {
        for (size_t key_at = 0; key_at < 4; key_at++) {
            char text[40];
            for (size_t i = 0; i < len; i++) {
                text[i] = (char)(i * 7);
            }
            struct sw_str place = guard_place(sw_str_make(text, len));
            sw_ws_mask(text, place.ptr, len, key, key_at);
            for (size_t i = 0; i < len; i++) {
                assert_int_equal((unsigned char)text[i], (unsigned char)(i * 7) ^ key[(key_at + i) % 4]);
            }
            sw_ws_mask(text, text, len, key, key_at);
            assert_true(len == 0 || memcmp(text, place.ptr, len) == 0);
        }
    }
}

static void test_frame_heads(void **state) {
    static const struct {
        struct sw_ws_frame frame;
        struct sw_str head;
    } cases[] = {
        {{SW_WS_TEXT, {NULL, 0}, false, false}, L("\x81\x00")},
        {{SW_WS_BINARY, {NULL, 125}, true, false}, L("\x02\x7d")},
        {{SW_WS_TEXT, {NULL, 126}, false, true}, L("\xc1\x7e\x00\x7e")},
        {{SW_WS_CONTINUATION, {NULL, 65535}, false, false}, L("\x80\x7e\xff\xff")},
        {{SW_WS_BINARY, {NULL, 65536}, false, false}, L("\x82\x7f\0\0\0\0\0\x01\0\0")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned char head[SW_WS_HEAD_MAX];
        assert_int_equal(sw_ws_frame_head(&cases[i].frame, head), cases[i].head.len);
        assert_memory_equal(head, cases[i].head.ptr, cases[i].head.len);
    }
}

static void test_writing_refuses_what_must_not_be_sent(void **state) {
    struct sw_buf out = {0};
    assert_int_equal(sw_ws_write_frame(&out, &(struct sw_ws_frame){SW_WS_PING, SW_STR(BYTES125), false, false}), SW_OK);
    sw_buf_clear(&out);
    assert_int_equal(sw_ws_write_frame(&out, &(struct sw_ws_frame){SW_WS_PING, SW_STR(BYTES125 "d"), false, false}),
                     SW_INVALID);
    assert_int_equal(sw_ws_write_frame(&out, &(struct sw_ws_frame){SW_WS_PONG, SW_STR(""), true, false}), SW_INVALID);
    assert_int_equal(sw_ws_write_frame(&out, &(struct sw_ws_frame){SW_WS_PONG, SW_STR(""), false, true}), SW_INVALID);
    assert_int_equal(sw_ws_write_frame(&out, &(struct sw_ws_frame){(enum sw_ws_opcode)3, SW_STR(""), false, false}),
                     SW_INVALID);
    assert_int_equal(sw_ws_write_message(&out, SW_WS_PING, SW_STR(""), NULL), SW_INVALID);
    assert_int_equal(sw_ws_write_close(&out, 1006, SW_STR("")), SW_INVALID);
    assert_int_equal(sw_ws_write_close(&out, 1015, SW_STR("")), SW_INVALID);
    assert_int_equal(out.len, 0);
    sw_buf_release(&out);
}

static void test_close_frames(void **state) {
    struct sw_buf out = {0};
    assert_int_equal(sw_ws_write_close(&out, SW_WS_NO_CODE, SW_STR("dropped")), SW_OK);
    assert_int_equal(sw_ws_write_close(&out, SW_WS_GOING_AWAY, SW_STR("bye")), SW_OK);
    assert_true(sw_str_eq(sw_buf_view(&out), SW_STR("\x88\x00\x88\x05\x03\xe9"
                                                    "bye")));
    sw_buf_clear(&out);
    /* 122 bytes, then a character of two: it does not fit and is not cut in half. */
    assert_int_equal(sw_ws_write_close(&out, 1000, SW_STR(BYTES112 "0123456789\xc3\xa4")), SW_OK);
    assert_int_equal(out.len, 2 + 2 + 122);
    assert_int_equal((unsigned char)out.ptr[1], 2 + 122);
    sw_buf_release(&out);
}

/* Turns a server's frame into the client's form and reads it back. */
static void read_back(const struct sw_buf *out, const struct sw_ws_reader *start, struct sw_str message) {
    struct sw_buf bytes = {0};
    struct sw_buf expected = {0};
    size_t short_length = (unsigned char)out->ptr[1];
    size_t head = short_length < 126 ? 2 : short_length == 126 ? 4 : 10;
    add_frame(&bytes, (unsigned char)out->ptr[0], sw_str_skip(sw_buf_view(out), head), 0);
    assert_int_equal(sw_buf_append(&expected, SW_STR("T[")), SW_OK);
    assert_int_equal(sw_buf_append(&expected, message), SW_OK);
    assert_int_equal(sw_buf_append(&expected, SW_STR("]")), SW_OK);
    check_log(start, sw_buf_view(&bytes), 1000, sw_buf_view(&expected));
    sw_buf_release(&bytes);
    sw_buf_release(&expected);
}

static void test_messages_are_compressed_where_it_pays(void **state) {
    static char text[200000];
    static const size_t lengths[] = {0, 127, 128, 5000, 70000, 200000};
    struct sw_ws_deflate agreed = {.is_on = true, .is_server_no_takeover = true};
    struct sw_ws_deflater deflater = {0};
    struct sw_ws_outgoing outgoing = {&deflater, &agreed, 0};
    struct sw_ws_reader start = {.deflate = agreed};
    struct sw_buf out = {0};
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)('a' + (i * i / 7 + i / 300) % 26);
    }
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct sw_str message = {text, lengths[i]};
        sw_buf_clear(&out);
        assert_int_equal(sw_ws_write_message(&out, SW_WS_TEXT, message, &outgoing), SW_OK);
        assert_int_equal(!!(out.ptr[0] & RSV1), lengths[i] >= 128);
        read_back(&out, &start, message);
        sw_buf_clear(&out);
        assert_int_equal(sw_ws_write_message(&out, SW_WS_TEXT, message, NULL), SW_OK);
        assert_int_equal(out.ptr[0] & RSV1, 0);
        read_back(&out, &start, message);
    }
    sw_ws_deflater_release(&deflater);
    sw_buf_release(&out);
}

static void test_incompressible_messages_go_plain(void **state) {
    char noise[1000];
    uint32_t seed = 1;
    struct sw_ws_deflate agreed = {.is_on = true, .is_server_no_takeover = true};
    struct sw_ws_deflater deflater = {0};
    struct sw_ws_outgoing outgoing = {&deflater, &agreed, 0};
    struct sw_buf out = {0};
    for (size_t i = 0; i < sizeof(noise); i++) {
        seed = seed * 1664525 + 1013904223;
        noise[i] = (char)(seed >> 24);
    }
    assert_int_equal(sw_buf_append(&out, SW_STR("before")), SW_OK);
    assert_int_equal(sw_ws_write_message(&out, SW_WS_BINARY, sw_str_make(noise, sizeof(noise)), &outgoing), SW_OK);
    assert_int_equal(out.len, 6 + 4 + sizeof(noise));
    assert_memory_equal(out.ptr, "before\x82\x7e", 8);
    assert_memory_equal(out.ptr + 10, noise, sizeof(noise));
    agreed.is_server_no_takeover = false; /* the context has moved on: it must be sent as compressed */
    sw_ws_deflater_release(&deflater);
    sw_buf_clear(&out);
    assert_int_equal(sw_ws_write_message(&out, SW_WS_BINARY, sw_str_make(noise, sizeof(noise)), &outgoing), SW_OK);
    assert_int_equal((unsigned char)out.ptr[0], FIN | RSV1 | BIN);
    sw_ws_deflater_release(&deflater);
    sw_buf_release(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases_by_section),
        cmocka_unit_test(test_cases_with_deflate),
        cmocka_unit_test(test_forgotten_context),
        cmocka_unit_test(test_masks_are_required),
        cmocka_unit_test(test_lengths_are_in_their_shortest_form),
        cmocka_unit_test(test_message_limit),
        cmocka_unit_test(test_ratio_limit),
        cmocka_unit_test(test_fragment_limit),
        cmocka_unit_test(test_memory_is_given_back),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_mask_from_every_offset),
        cmocka_unit_test(test_frame_heads),
        cmocka_unit_test(test_writing_refuses_what_must_not_be_sent),
        cmocka_unit_test(test_close_frames),
        cmocka_unit_test(test_messages_are_compressed_where_it_pays),
        cmocka_unit_test(test_incompressible_messages_go_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
