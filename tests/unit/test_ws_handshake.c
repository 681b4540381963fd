/* test_ws_handshake.c - The opening handshake: accept values, refusals, subprotocols, extension offers, the answer. */
#include "net/ws_handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"

enum { HEADERS_MAX = 32 };

#define START "GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define GOOD START KEY VERSION
#define EXTENSIONS "Sec-WebSocket-Extensions: "
#define PROTOCOL "Sec-WebSocket-Protocol: "

static struct sw_http_header headers[HEADERS_MAX];

static enum sw_status check(const char *text, const struct sw_ws_handshake_options *options,
                            struct sw_ws_handshake *handshake) {
    struct sw_http_parser parser;
    struct sw_buf bytes = {0};
    assert_int_equal(sw_buf_append_format(&bytes, "%s\r\n", text), SW_OK);
    sw_http_parser_init(&parser, headers, HEADERS_MAX, NULL);
    assert_int_equal(sw_http_parser_feed(&parser, sw_buf_view(&bytes)), SW_OK);
    enum sw_status status = sw_ws_handshake_check(&parser.head, options, handshake);
    sw_buf_release(&bytes);
    handshake->origin.ptr = handshake->origin.ptr ? "" : NULL; /* the bytes it pointed to are gone */
    return status;
}

static void test_sample_of_the_rfc(void **state) {
    struct sw_ws_handshake handshake;
    char accept[SW_WS_ACCEPT_BYTES + 1];
    assert_int_equal(sw_ws_handshake_accept(SW_STR("dGhlIHNhbXBsZSBub25jZQ=="), accept), SW_OK);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_int_equal(check(GOOD, NULL, &handshake), SW_OK);
    assert_string_equal(handshake.accept, accept);
    assert_int_equal(handshake.http_status, 101);
    assert_null(handshake.origin.ptr);
    assert_false(handshake.deflate.is_on);
    assert_int_equal(check(GOOD "Origin: http://a\r\n", NULL, &handshake), SW_OK);
    assert_int_equal(handshake.origin.len, 8);
}

static void test_refusals(void **state) {
    static const struct {
        const char *text;
        int http_status;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n" KEY VERSION, 400},
        {START KEY, 426},
        {START KEY "Sec-WebSocket-Version: 8\r\n", 426},
        {START KEY "Sec-WebSocket-Version: 13, 8\r\n", 426},
        {START KEY VERSION VERSION, 426},
        {START VERSION, 400},
        {GOOD KEY, 400},
        {START VERSION "Sec-WebSocket-Key:\r\n", 400},
        {START VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n", 400},
        {START VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ===\r\n", 400},
        {START VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZXY=\r\n", 400},
        {START VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n", 400},
        {START VERSION "Sec-WebSocket-Key: dGhlIHNhbXBs_SBub25jZQ==\r\n", 400},
        {START VERSION "Sec-WebSocket-Key: dGhlIHNhbXBs\xc3\xa4ub25jZQ==\r\n", 400},
        {GOOD PROTOCOL "\r\n", 400},
        {GOOD PROTOCOL "a,,b\r\n", 400},
        {GOOD PROTOCOL "a b\r\n", 400},
        {GOOD PROTOCOL "caf\xc3\xa9\r\n", 400},
        {GOOD PROTOCOL "\xff\xfe\r\n", 400},
        {GOOD PROTOCOL "a\r\n" PROTOCOL "\x80\r\n", 400},
        {GOOD EXTENSIONS "\r\n", 400},
        {GOOD EXTENSIONS ",\r\n", 400},
        {GOOD EXTENSIONS "a;\r\n", 400},
        {GOOD EXTENSIONS "a b\r\n", 400},
        {GOOD EXTENSIONS "a; b=\r\n", 400},
        {GOOD EXTENSIONS "a; b=\"\"\r\n", 400},
        {GOOD EXTENSIONS "a; b=\"c\r\n", 400},
        {GOOD EXTENSIONS "a; b=\"c d\"\r\n", 400},
        {GOOD EXTENSIONS "\xc3\xa9\r\n", 400},
        {GOOD EXTENSIONS "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a\r\n", 400},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sw_ws_handshake handshake = {0};
        print_message("%s\n", rows[i].text);
        assert_int_equal(check(rows[i].text, NULL, &handshake),
                         rows[i].http_status == 426 ? SW_UNSUPPORTED : SW_MALFORMED);
        assert_int_equal(handshake.http_status, rows[i].http_status);
        assert_non_null(handshake.reason);
    }
}

static void test_protocols(void **state) {
    static const struct sw_str known[] = {{"v2.live", 7}, {"v1.live", 7}};
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {GOOD, ""},
        {GOOD PROTOCOL "v1.live\r\n", "v1.live"},
        {GOOD PROTOCOL "v1.live, v2.live\r\n", "v2.live"},
        {GOOD PROTOCOL "x\r\n" PROTOCOL "y ,\tv2.live\r\n", "v2.live"},
        {GOOD PROTOCOL "V1.LIVE, v1, v1.live2\r\n", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sw_ws_handshake handshake;
        struct sw_ws_handshake_options options = {.protocols = known, .protocol_count = 2};
        assert_int_equal(check(rows[i].text, &options, &handshake), SW_OK);
        assert_true(sw_str_eq(handshake.protocol, sw_str_from(rows[i].expected)));
    }
}

/* The extension line of the answer, without its CRLF; empty where there is none. */
static void answer_to(const char *offers, const struct sw_ws_handshake_options *options, char *answer, size_t cap) {
    struct sw_ws_handshake handshake;
    struct sw_buf text = {0};
    struct sw_buf out = {0};
    assert_int_equal(sw_buf_append_format(&text, "%s", offers), SW_OK);
    assert_int_equal(sw_buf_append_byte(&text, '\0'), SW_OK);
    assert_int_equal(check(text.ptr, options, &handshake), SW_OK);
    assert_int_equal(sw_ws_handshake_write(&handshake, &out), SW_OK);
    assert_int_equal(sw_buf_append_byte(&out, '\0'), SW_OK);
    char *line = strstr(out.ptr, EXTENSIONS);
    answer[0] = '\0';
    if (line) {
        line += strlen(EXTENSIONS);
        snprintf(answer, cap, "%.*s", (int)strcspn(line, "\r"), line);
    }
    sw_buf_release(&text);
    sw_buf_release(&out);
}

#define DEFLATE "permessage-deflate"
#define SERVER_NO "; server_no_context_takeover"
#define CLIENT_NO "; client_no_context_takeover"
#define SERVER_BITS "; server_max_window_bits"
#define CLIENT_BITS "; client_max_window_bits"
#define OFFER(text) GOOD EXTENSIONS text "\r\n"

static const struct {
    const char *offers;
    const char *frugal;   /* the answer by default */
    const char *takeover; /* the answer where takeover is wanted, with a window of 14 bits */
} offers[] = {
    {GOOD, "", ""},
    {OFFER(DEFLATE), DEFLATE SERVER_NO CLIENT_NO, DEFLATE},
    {OFFER(DEFLATE CLIENT_BITS), DEFLATE SERVER_NO CLIENT_NO, DEFLATE},
    {OFFER(DEFLATE CLIENT_BITS "=8"), DEFLATE SERVER_NO CLIENT_NO, DEFLATE},
    {OFFER(DEFLATE SERVER_NO), DEFLATE SERVER_NO CLIENT_NO, DEFLATE SERVER_NO},
    {OFFER(DEFLATE CLIENT_NO), DEFLATE SERVER_NO CLIENT_NO, DEFLATE CLIENT_NO},
    {OFFER(DEFLATE SERVER_BITS "=15"), DEFLATE SERVER_NO CLIENT_NO SERVER_BITS "=12", DEFLATE SERVER_BITS "=14"},
    {OFFER(DEFLATE SERVER_BITS "=\"10\""), DEFLATE SERVER_NO CLIENT_NO SERVER_BITS "=10", DEFLATE SERVER_BITS "=10"},
    {OFFER(DEFLATE SERVER_BITS " = 9"), DEFLATE SERVER_NO CLIENT_NO SERVER_BITS "=9", DEFLATE SERVER_BITS "=9"},
    {OFFER("x-webkit-deflate-frame, " DEFLATE), DEFLATE SERVER_NO CLIENT_NO, DEFLATE},
    {OFFER(DEFLATE SERVER_BITS "=8, " DEFLATE SERVER_NO), DEFLATE SERVER_NO CLIENT_NO, DEFLATE SERVER_NO},
    {OFFER("foo; a=1") EXTENSIONS DEFLATE "\r\n", DEFLATE SERVER_NO CLIENT_NO, DEFLATE},
    {OFFER(DEFLATE SERVER_BITS "=8"), "", ""},
    {OFFER(DEFLATE SERVER_BITS "=16"), "", ""},
    {OFFER(DEFLATE SERVER_BITS "=09"), "", ""},
    {OFFER(DEFLATE SERVER_BITS "=1000000000000000000010"), "", ""},
    {OFFER(DEFLATE SERVER_BITS), "", ""},
    {OFFER(DEFLATE SERVER_BITS "=10" SERVER_BITS "=10"), "", ""},
    {OFFER(DEFLATE CLIENT_BITS "=7"), "", ""},
    {OFFER(DEFLATE CLIENT_BITS CLIENT_BITS), "", ""},
    {OFFER(DEFLATE SERVER_NO SERVER_NO), "", ""},
    {OFFER(DEFLATE CLIENT_NO CLIENT_NO), "", ""},
    {OFFER(DEFLATE SERVER_NO "=1"), "", ""},
    {OFFER(DEFLATE CLIENT_NO "=1"), "", ""},
    {OFFER(DEFLATE "; unknown"), "", ""},
    {OFFER("PerMessage-Deflate"), "", ""},
};

static void test_extension_offers(void **state) {
    struct sw_ws_handshake_options takeover = {.is_takeover_wanted = true, .server_bits = 14};
    struct sw_ws_handshake_options off = {.is_deflate_off = true};
    char answer[256];
    for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
        print_message("%s\n", offers[i].offers);
        answer_to(offers[i].offers, NULL, answer, sizeof(answer));
        assert_string_equal(answer, offers[i].frugal);
        answer_to(offers[i].offers, &takeover, answer, sizeof(answer));
        assert_string_equal(answer, offers[i].takeover);
        answer_to(offers[i].offers, &off, answer, sizeof(answer));
        assert_string_equal(answer, "");
    }
}

static void test_answer(void **state) {
    static const struct sw_str known[] = {{"live", 4}};
    struct sw_ws_handshake_options options = {.protocols = known, .protocol_count = 1};
    struct sw_ws_handshake handshake;
    struct sw_buf out = {0};
    assert_int_equal(check(OFFER(DEFLATE) PROTOCOL "live\r\n", &options, &handshake), SW_OK);
    assert_int_equal(sw_ws_handshake_write(&handshake, &out), SW_OK);
    assert_true(sw_str_eq(
        sw_buf_view(&out),
        SW_STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: live\r\n" EXTENSIONS
                   DEFLATE SERVER_NO CLIENT_NO "\r\n\r\n")));
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status == SW_NOMEM; nth++) {
        sw_buf_release(&out);
        assert_int_equal(sw_buf_append_byte(&out, 'x'), SW_OK);
        sw_mem_fail_at(nth);
        status = sw_ws_handshake_write(&handshake, &out);
        sw_mem_fail_at(0);
        assert_true(status == SW_OK || (status == SW_NOMEM && out.len == 1));
        assert_true(status == SW_NOMEM || nth > 1);
    }
    sw_buf_release(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample_of_the_rfc), cmocka_unit_test(test_refusals), cmocka_unit_test(test_protocols),
        cmocka_unit_test(test_extension_offers),  cmocka_unit_test(test_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
