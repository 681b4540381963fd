/* test_websocket.c - WebSockets over a real server: handshake, messages, limits, pings, both ways to close. */
#include "net_peer.h"

#include <stdlib.h>

#include "net/websocket.h"
#include "net/ws_deflate.h"
#include "net/ws_frame.h"

struct app {
    struct world world;
    struct heard heard;
    struct sw_websocket_options options;
    struct sw_http_ref ref;
    size_t messages, closes, writables;
    unsigned close_code;
    bool is_aborting;
};

static void on_message(void *context, struct sw_http_ref ref, bool is_text, struct sw_str bytes) {
    struct app *app = context;
    app->messages++;
    if (app->is_aborting) {
        sw_http_abort(ref);
        assert_int_equal(sw_websocket_send_text(ref, bytes), SW_CLOSED);
        return;
    }
    assert_int_equal(is_text ? sw_websocket_send_text(ref, bytes) : sw_websocket_send_deflated(ref, false, bytes),
                     SW_OK);
}

static void on_close(void *context, struct sw_http_ref ref, unsigned code) {
    struct app *app = context;
    app->closes++;
    app->close_code = code;
    assert_int_equal(sw_websocket_send_text(ref, SW_STR("too late")), SW_CLOSED);
}

static void on_writable(void *context, struct sw_http_ref ref) {
    ((struct app *)context)->writables++;
}

static void handle(void *context, const struct sw_http_call *call) {
    struct app *app = context;
    app->ref = call->ref;
    assert_int_equal(sw_http_add_header(call->ref, SW_STR("X-Extra"), SW_STR("yes")), SW_OK);
    enum sw_status status = sw_websocket_accept(call, &app->options);
    assert_true(status == SW_OK || status == SW_MALFORMED);
}

static int set_up(void **state) {
    struct app *app = calloc(1, sizeof *app);
    assert_non_null(app);
    app->options = (struct sw_websocket_options){.on_message = on_message,
                                                 .on_close = on_close,
                                                 .on_writable = on_writable,
                                                 .context = app};
    struct sw_http_options options = {.handler = handle, .context = app, .high_water_bytes = 64 * 1024};
    open_world(&app->world, &options);
    *state = app;
    return 0;
}

static int tear_down(void **state) {
    struct app *app = *state;
    close_world(&app->world);
    free(app);
    return 0;
}

#define UPGRADE \
    "GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static int open_socket_over(struct app *app, int fd, const char *more) {
    forget(&app->heard);
    say(&app->world, fd, UPGRADE);
    say(&app->world, fd, more);
    say(&app->world, fd, "\r\n");
    hear(&app->world, fd, &app->heard, "\r\n\r\n");
    assert_memory_equal(app->heard.text, "HTTP/1.1 101 ", 13);
    assert_non_null(strstr(app->heard.text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_non_null(strstr(app->heard.text, "X-Extra: yes\r\n"));
    return fd;
}

static int open_socket(struct app *app, const char *more) {
    return open_socket_over(app, dial(&app->world), more);
}

/* A masked client frame. */
static size_t make_frame(char *out, unsigned first_byte, const char *payload, size_t len) {
    static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
    size_t at = 0;
    out[at++] = (char)first_byte;
    if (len < 126) {
        out[at++] = (char)(0x80 | len);
    } else {
        out[at++] = (char)(0x80 | 126);
        out[at++] = (char)(len >> 8);
        out[at++] = (char)len;
    }
    memcpy(out + at, mask, 4);
    sw_ws_mask(out + at + 4, payload, len, mask, 0);
    return at + 4 + len;
}

static void send_frame(struct app *app, int fd, unsigned first_byte, const char *payload) {
    char frame[4096];
    say_bytes(&app->world, fd, frame, make_frame(frame, first_byte, payload, strlen(payload)));
}

static void drop_head(struct app *app) {
    char *end = strstr(app->heard.text, "\r\n\r\n") + 4;
    size_t left = app->heard.len - (size_t)(end - app->heard.text);
    memmove(app->heard.text, end, left);
    app->heard.len = left;
    app->heard.text[left] = 0;
}

static void hear_bytes(struct app *app, int fd, const char *bytes, size_t len) {
    int64_t deadline = sw_clock_mono_ns() + PATIENCE_NS;
    for (listen_once(fd, &app->heard); app->heard.len < len; listen_once(fd, &app->heard)) {
        assert_false(app->heard.is_over);
        assert_true(sw_clock_mono_ns() < deadline);
        turn(&app->world);
    }
    assert_memory_equal(app->heard.text, bytes, len);
    app->heard.len -= len;
    memmove(app->heard.text, app->heard.text + len, app->heard.len + 1);
}

static void wait_for_close(struct app *app) {
    int64_t deadline = sw_clock_mono_ns() + PATIENCE_NS;
    while (app->closes == 0) {
        assert_true(sw_clock_mono_ns() < deadline);
        turn(&app->world);
    }
}

static void test_echo_and_close(void **state) {
    struct app *app = *state;
    int fd = open_socket(app, "");
    drop_head(app);
    assert_true(sw_websocket_is_open(app->ref));
    assert_false(sw_websocket_is_deflate(app->ref));
    send_frame(app, fd, 0x81, "hello");
    hear_bytes(app, fd, "\x81\x05hello", 7);
    send_frame(app, fd, 0x01, "frag"); /* in two fragments with a ping between */
    send_frame(app, fd, 0x89, "p");
    send_frame(app, fd, 0x80, "ment");
    hear_bytes(app, fd,
               "\x8a\x01p\x81\x08"
               "fragment",
               13);
    send_frame(app, fd, 0x82, "bin");
    hear_bytes(app, fd,
               "\x82\x03"
               "bin",
               5);
    send_frame(app, fd, 0x88,
               "\x03\xe8"
               "bye"); /* 1000 */
    hear_bytes(app, fd, "\x88\x02\x03\xe8", 4);
    hear_end(&app->world, fd, &app->heard);
    assert_int_equal(app->closes, 1);
    assert_int_equal(app->close_code, 1000);
    assert_int_equal(app->messages, 3);
    assert_false(sw_websocket_is_open(app->ref));
    assert_int_equal(sw_websocket_send_text(app->ref, SW_STR("x")), SW_CLOSED);
    close(fd);
    turn_until_idle(&app->world);
}

static void test_frames_behind_the_handshake(void **state) {
    struct app *app = *state;
    char bytes[1024];
    size_t head = sizeof UPGRADE - 1;
    memcpy(bytes, UPGRADE "\r\n", head + 2);
    size_t len = head + 2 + make_frame(bytes + head + 2, 0x81, "early", 5);
    int fd = dial(&app->world);
    say_bytes(&app->world, fd, bytes, len);
    hear(&app->world, fd, &app->heard,
         "\x81\x05"
         "early");
    close(fd);
    forget(&app->heard);
    fd = dial(&app->world);
    for (size_t i = 0; i < len; i++) { /* and byte by byte */
        say_bytes(&app->world, fd, bytes + i, 1);
        assert_int_equal(sw_reactor_turn(app->world.reactor, 0, NULL), SW_OK);
    }
    hear(&app->world, fd, &app->heard,
         "\x81\x05"
         "early");
    close(fd);
    turn_until_idle(&app->world);
    assert_int_equal(app->close_code, 1006);
}

static void test_refused_handshakes(void **state) {
    struct app *app = *state;
    static const char *const requests[][2] = {
        {"GET /live HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 426 "},
        {"GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 12\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         "HTTP/1.1 426 "},
        {"GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: short\r\n\r\n",
         "HTTP/1.1 400 "},
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        int fd = dial(&app->world);
        forget(&app->heard);
        say(&app->world, fd, requests[i][0]);
        hear(&app->world, fd, &app->heard, requests[i][1]);
        if (i < 2) {
            assert_non_null(strstr(app->heard.text, "Sec-WebSocket-Version: 13\r\n"));
        }
        close(fd);
    }
    assert_int_equal(app->closes, 0);
}

static void expect_failure(struct app *app, const char *frame, size_t len, unsigned code) {
    int fd = open_socket(app, "");
    drop_head(app);
    app->closes = 0;
    say_bytes(&app->world, fd, frame, len);
    hear_end(&app->world, fd, &app->heard);
    assert_true(app->heard.len >= 4);
    assert_int_equal((unsigned char)app->heard.text[0], 0x88);
    assert_int_equal((unsigned char)app->heard.text[2] << 8 | (unsigned char)app->heard.text[3], code);
    assert_int_equal(app->closes, 1);
    assert_int_equal(app->close_code, code);
    assert_false(app->heard.is_reset);
    close(fd);
}

static void test_protocol_errors(void **state) {
    struct app *app = *state;
    app->options.message_bytes_max = 1000;
    expect_failure(app, "\x81\x02hi", 4, 1002); /* not masked */
    expect_failure(app,
                   "\xc1\x80"
                   "aaaa",
                   6, 1002); /* compressed without agreement */
    expect_failure(app,
                   "\x83\x80"
                   "aaaa",
                   6, 1002); /* unknown opcode */
    expect_failure(app,
                   "\x80\x80"
                   "aaaa",
                   6, 1002); /* continuation of nothing */
    expect_failure(app,
                   "\x09\x80"
                   "aaaa",
                   6, 1002); /* fragmented ping */
    expect_failure(app,
                   "\x82\xfe\x03\xe9"
                   "aaaa",
                   8, 1009); /* 1001 bytes announced */
    char frame[64];
    expect_failure(app, frame, make_frame(frame, 0x81, "\xc3\x28", 2), 1007);
    assert_int_equal(app->messages, 0);
}

static void test_deflate(void **state) {
    struct app *app = *state;
    int fd = open_socket(app, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n");
    assert_non_null(strstr(app->heard.text, "Sec-WebSocket-Extensions: permessage-deflate"));
    bool is_no_takeover = strstr(app->heard.text, "server_no_context_takeover") != NULL;
    assert_true(is_no_takeover);
    drop_head(app);
    assert_true(sw_websocket_is_deflate(app->ref));
    static char text[60000];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)('a' + i / 7 % 26);
    }
    for (int round = 0; round < 3; round++) {
        assert_int_equal(sw_websocket_send_deflated(app->ref, true, sw_str_make(text, sizeof text)), SW_OK);
        assert_int_equal(sw_websocket_send_text(app->ref, SW_STR("end")), SW_OK);
        hear(&app->world, fd, &app->heard,
             "\x81\x03"
             "end");
        assert_int_equal((unsigned char)app->heard.text[0], 0xc1); /* final, compressed, text */
        assert_true(app->heard.len < 5000);
        size_t head = (app->heard.text[1] & 0x7f) == 126 ? 4 : 2;
        struct sw_ws_inflater inflater = {0};
        struct sw_buf plain = {0};
        struct sw_str piece = sw_str_make(app->heard.text + head, app->heard.len - head - 5);
        assert_int_equal(sw_ws_inflater_feed(&inflater, piece, sizeof text, &plain), SW_OK);
        assert_int_equal(sw_ws_inflater_end(&inflater, sizeof text, &plain), SW_OK);
        assert_int_equal(plain.len, sizeof text);
        assert_memory_equal(plain.ptr, text, sizeof text);
        sw_ws_inflater_release(&inflater);
        sw_buf_release(&plain);
        forget(&app->heard);
    }
    close(fd);
}

static void test_server_closes(void **state) {
    struct app *app = *state;
    int fd = open_socket(app, "");
    drop_head(app);
    sw_websocket_close(app->ref, 1001, SW_STR("going"));
    assert_int_equal(sw_websocket_send_text(app->ref, SW_STR("x")), SW_CLOSED);
    hear_bytes(app, fd, "\x88\x07\x03\xe9going", 9);
    assert_int_equal(app->closes, 0); /* waits for the peer's frame */
    send_frame(app, fd, 0x88, "\x03\xe9");
    hear_end(&app->world, fd, &app->heard);
    assert_int_equal(app->closes, 1);
    assert_int_equal(app->close_code, 1001);
    close(fd);
}

static void test_server_closes_and_peer_is_mute(void **state) {
    struct app *app = *state;
    app->options.close_timeout_ns = 10 * SW_NS_PER_MS;
    int fd = open_socket(app, "");
    sw_websocket_close(app->ref, 1000, SW_STR(""));
    wait_for_close(app);
    assert_int_equal(app->close_code, 1006);
    close(fd);
}

static void test_ping_timeout(void **state) {
    struct app *app = *state;
    app->options.ping_interval_ns = 10 * SW_NS_PER_MS;
    int fd = open_socket_over(app, dial_pair(&app->world), "");
    drop_head(app);
    for (int i = 0; i < 3; i++) { /* as long as pongs come, it lives */
        hear_bytes(app, fd, "\x89\x00", 2);
        send_frame(app, fd, 0x8a, "");
    }
    assert_int_equal(app->closes, 0);
    wait_for_close(app); /* now they do not */
    assert_int_equal(app->close_code, 1006);
    close(fd);
}

static void test_slow_reader(void **state) {
    struct app *app = *state;
    int fd = open_socket(app, "");
    static char block[200000];
    while (sw_http_is_writable(app->ref)) {
        assert_int_equal(sw_websocket_send_binary(app->ref, sw_str_make(block, sizeof block)), SW_OK);
        turn(&app->world);
    }
    assert_true(sw_websocket_is_open(app->ref));
    size_t before = app->writables;
    int64_t deadline = sw_clock_mono_ns() + PATIENCE_NS;
    while (app->writables == before) {
        forget(&app->heard);
        listen_once(fd, &app->heard);
        turn(&app->world);
        assert_true(sw_clock_mono_ns() < deadline);
    }
    assert_true(sw_http_is_writable(app->ref));
    close(fd);
    turn_until_idle(&app->world);
}

static void test_abort_inside_a_message(void **state) {
    struct app *app = *state;
    app->is_aborting = true;
    int fd = open_socket(app, "");
    char frames[64];
    size_t len = make_frame(frames, 0x81, "one", 3);
    len += make_frame(frames + len, 0x81, "two", 3);
    say_bytes(&app->world, fd, frames, len);
    wait_for_close(app);
    assert_int_equal(app->messages, 1);
    close(fd);
}

static void test_draining_says_goodbye(void **state) {
    struct app *app = *state;
    int fd = open_socket(app, "");
    drop_head(app);
    sw_http_server_drain(app->world.server);
    hear(&app->world, fd, &app->heard, "\x03\xe9");
    send_frame(app, fd, 0x88, "\x03\xe9");
    hear_end(&app->world, fd, &app->heard);
    close(fd);
    turn_until_idle(&app->world);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_echo_and_close),
        T(test_frames_behind_the_handshake),
        T(test_refused_handshakes),
        T(test_protocol_errors),
        T(test_deflate),
        T(test_server_closes),
        T(test_server_closes_and_peer_is_mute),
        T(test_ping_timeout),
        T(test_slow_reader),
        T(test_abort_inside_a_message),
        T(test_draining_says_goodbye),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
