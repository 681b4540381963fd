/* test_http_parser.c - Request heads: what is accepted, what is refused and how, splits, limits, over-reads. */
#include "net/http_parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "guard_page.h"
#include "net/http_authority.h"

enum { HEADERS_MAX = 100, KEEP = 1, CLOSE = 0, CHUNKED = 2, CONTINUE = 4, UPGRADE = 8, FIXED = 16 };

#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define SAMPLE \
    "POST /api/query?window=1s&key=a%20b HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\n" \
    "Accept: text/html,application/xhtml+xml\r\nAccept-Language: en-US,en;q=0.5\r\nX-Empty:\r\n" \
    "Content-Type: application/json\r\nContent-Length: 17\r\nConnection: keep-alive, X\r\n\r\n"

static struct sw_http_header headers[HEADERS_MAX];

static enum sw_status parse(struct sw_http_parser *parser, struct sw_str text) {
    sw_http_parser_init(parser, headers, HEADERS_MAX, NULL);
    return sw_http_parser_feed(parser, text);
}

static unsigned flags_of(const struct sw_http_head *head) {
    return (head->is_keep_alive ? KEEP : 0u) | (head->is_chunked ? CHUNKED : 0u) |
           (head->is_expect_continue ? CONTINUE : 0u) | (head->is_websocket_upgrade ? UPGRADE : 0u) |
           (head->has_content_length ? FIXED : 0u);
}

struct good {
    const char *text;
    enum sw_http_method method;
    const char *path;
    const char *query; /* NULL: none */
    const char *host;
    unsigned flags;
};

static const struct good good[] = {
    {GET HOST "\r\n", SW_HTTP_GET, "/", NULL, "a", KEEP},
    {"\r\n" GET HOST "\r\n", SW_HTTP_GET, "/", NULL, "a", KEEP},
    {"GET / HTTP/1.0\r\n\r\n", SW_HTTP_GET, "/", NULL, "", CLOSE},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", SW_HTTP_GET, "/", NULL, "", KEEP},
    {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", SW_HTTP_GET, "/", NULL, "", CLOSE},
    {GET HOST "Connection: foo , CLOSE\r\n\r\n", SW_HTTP_GET, "/", NULL, "a", CLOSE},
    {GET HOST "Connection: x\r\nConnection: close\r\n\r\n", SW_HTTP_GET, "/", NULL, "a", CLOSE},
    {"HEAD /a/b?c=d?e HTTP/1.1\r\n" HOST "\r\n", SW_HTTP_HEAD, "/a/b", "c=d?e", "a", KEEP},
    {"DELETE /x? HTTP/1.1\r\n" HOST "\r\n", SW_HTTP_DELETE, "/x", "", "a", KEEP},
    {"PUT /x HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", SW_HTTP_PUT, "/x", NULL, "a", KEEP | FIXED},
    {"PATCH /{a}|[b]^`~\\ HTTP/1.1\r\n" HOST "\r\n", SW_HTTP_PATCH, "/{a}|[b]^`~\\", NULL, "a", KEEP},
    {"TRACE / HTTP/1.1\r\n" HOST "\r\n", SW_HTTP_TRACE, "/", NULL, "a", KEEP},
    {"M-SEARCH / HTTP/1.1\r\n" HOST "\r\n", SW_HTTP_OTHER, "/", NULL, "a", KEEP},
    {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", SW_HTTP_OPTIONS, "*", NULL, "a", KEEP},
    {"OPTIONS http://a HTTP/1.1\r\n" HOST "\r\n", SW_HTTP_OPTIONS, "*", NULL, "a", KEEP},
    {"GET http://a HTTP/1.1\r\n" HOST "\r\n", SW_HTTP_GET, "/", NULL, "a", KEEP},
    {"GET http://a?q HTTP/1.1\r\n" HOST "\r\n", SW_HTTP_GET, "/", "q", "a", KEEP},
    {"GET HTTPS://A:443/p?q HTTP/1.1\r\nHost: a:443\r\n\r\n", SW_HTTP_GET, "/p", "q", "A:443", KEEP},
    {"GET http://a/ HTTP/1.0\r\n\r\n", SW_HTTP_GET, "/", NULL, "a", CLOSE},
    {GET "Host:\t [::1]:8080 \t\r\n\r\n", SW_HTTP_GET, "/", NULL, "[::1]:8080", KEEP},
    {GET "Host: a%2Fb_c.d:0\r\n\r\n", SW_HTTP_GET, "/", NULL, "a%2Fb_c.d:0", KEEP},
    {GET "hOST: 127.0.0.1:65535\r\n\r\n", SW_HTTP_GET, "/", NULL, "127.0.0.1:65535", KEEP},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", SW_HTTP_POST, "/", NULL, "a", KEEP | CHUNKED},
    {"POST / HTTP/1.1\r\n" HOST "transfer-encoding:\tChunked \r\n\r\n", SW_HTTP_POST, "/", NULL, "a", KEEP | CHUNKED},
    {"POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 9223372036854775807\r\n\r\n", SW_HTTP_POST,
     "/", NULL, "a", KEEP | CONTINUE | FIXED},
    {"POST / HTTP/1.0\r\nExpect: anything\r\n\r\n", SW_HTTP_POST, "/", NULL, "", CLOSE},
    {GET HOST "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n", SW_HTTP_GET, "/", NULL, "a",
     KEEP | UPGRADE},
    {GET HOST "Upgrade: h2c, WebSocket\r\nConnection: Upgrade\r\n\r\n", SW_HTTP_GET, "/", NULL, "a", KEEP | UPGRADE},
    {GET HOST "Upgrade: websocket\r\n\r\n", SW_HTTP_GET, "/", NULL, "a", KEEP},
    {GET HOST "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n", SW_HTTP_GET, "/", NULL, "a", KEEP},
    {GET HOST "Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 1\r\n\r\n", SW_HTTP_GET, "/", NULL, "a",
     KEEP | FIXED},
    {"POST / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", SW_HTTP_POST, "/", NULL, "a",
     KEEP},
    {"GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", SW_HTTP_GET, "/", NULL, "", CLOSE},
    {GET HOST "X: caf\xc3\xa9 \xff\t!\"#<>\\\r\n!#$%&'*+-.^`|~: y\r\n\r\n", SW_HTTP_GET, "/", NULL, "a", KEEP},
};

static void assert_text(struct sw_str text, const char *expected) {
    if (!expected) {
        assert_null(text.ptr);
        return;
    }
    assert_int_equal(text.len, strlen(expected));
    if (text.len > 0) {
        assert_memory_equal(text.ptr, expected, text.len);
    }
}

static void test_accepts(void **state) {
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct sw_http_parser parser;
        struct sw_str text = guard_place(sw_str_from(good[i].text));
        print_message("accept %zu: %s\n", i, good[i].text);
        assert_int_equal(parse(&parser, text), SW_OK);
        assert_int_equal(parser.head.size_bytes, text.len);
        assert_int_equal(parser.head.method, good[i].method);
        assert_text(parser.head.path, good[i].path);
        assert_text(parser.head.query, good[i].query);
        assert_text(parser.head.host, good[i].host);
        assert_int_equal(flags_of(&parser.head), good[i].flags);
        assert_int_equal(sw_http_parser_feed(&parser, text), SW_OK); /* a finished head stays finished */
    }
}

struct bad {
    struct sw_str text;
    int http_status;
};

#define BAD(http_status, text) \
    { {(text), sizeof(text) - 1}, (http_status) }

static const struct bad bad[] = {
    /* request line */
    BAD(400, "\r\n\r\n" GET HOST "\r\n"),
    BAD(400, "\n" GET HOST "\r\n"),
    BAD(400, "\rGET / HTTP/1.1\r\n"),
    BAD(400, " GET / HTTP/1.1\r\n"),
    BAD(400, "GET  / HTTP/1.1\r\n"),
    BAD(400, "GET /  HTTP/1.1\r\n"),
    BAD(400, "GET\t/ HTTP/1.1\r\n"),
    BAD(400, "GET /\tHTTP/1.1\r\n"),
    BAD(400, "GET / HTTP/1.1 \r\n"),
    BAD(400, "GET / HTTP/1.1\n"),
    BAD(400, "GET / HTTP/1.1\r\r\n"),
    BAD(400, "GET /\r\n"),
    BAD(400, "GET\r\n"),
    BAD(400, "GET / HTTP/1,1\r\n"),
    BAD(400, "GET / HTTP/11\r\n"),
    BAD(400, "GET / HTTP/1.11\r\n"),
    BAD(400, "GET / http/1.1\r\n"),
    BAD(400, "GET / FTP/1.1\r\n"),
    BAD(400, "GET / HTTP/1.a\r\n"),
    BAD(505, "GET / HTTP/1.2\r\n"),
    BAD(505, "GET / HTTP/2.0\r\n"),
    BAD(505, "GET / HTTP/0.9\r\n"),
    BAD(501, "get / HTTP/1.1\r\n"),
    BAD(501, "Get / HTTP/1.1\r\n"),
    BAD(501, "-GET / HTTP/1.1\r\n"),
    BAD(501, "MY_METHOD / HTTP/1.1\r\n"),
    BAD(501, "CONNECT a:443 HTTP/1.1\r\n"),
    BAD(501, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHI / HTTP/1.1\r\n"),
    BAD(400, "G\0T / HTTP/1.1\r\n"),
    BAD(400, "GET\xc3\x9f / HTTP/1.1\r\n"),
    BAD(400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), /* a TLS hello */
    /* target */
    BAD(400, "GET * HTTP/1.1\r\n"),
    BAD(400, "OPTIONS ** HTTP/1.1\r\n"),
    BAD(400, "GET a HTTP/1.1\r\n"),
    BAD(400, "GET a:443 HTTP/1.1\r\n"),
    BAD(400, "GET ?a HTTP/1.1\r\n"),
    BAD(400, "GET /a#b HTTP/1.1\r\n"),
    BAD(400, "GET /\"a\" HTTP/1.1\r\n"),
    BAD(400, "GET /<a> HTTP/1.1\r\n"),
    BAD(400, "GET /\xc3\xa0 HTTP/1.1\r\n"),
    BAD(400, "GET /\0 HTTP/1.1\r\n"),
    BAD(400, "GET /\x7f HTTP/1.1\r\n"),
    BAD(400, "GET /\r/ HTTP/1.1\r\n"),
    BAD(400, "GET ftp://a/ HTTP/1.1\r\n"),
    BAD(400, "GET http:///a HTTP/1.1\r\n"),
    BAD(400, "GET http:// HTTP/1.1\r\n"),
    BAD(400, "GET http://u@a/ HTTP/1.1\r\n"),
    BAD(400, "GET http://u:p@a/ HTTP/1.1\r\n"),
    BAD(400, "GET http://a:/ HTTP/1.1\r\n"),
    BAD(400, "GET http://a/ HTTP/1.1\r\nHost: b\r\n"),
    BAD(400, "GET http://a:80/ HTTP/1.1\r\nHost: a\r\n"),
    /* Host */
    BAD(400, GET "\r\n"),
    BAD(400, GET HOST HOST "\r\n"),
    BAD(400, "GET / HTTP/1.0\r\n" HOST HOST "\r\n"),
    BAD(400, GET "Host:\r\n"),
    BAD(400, GET "Host: a b\r\n"),
    BAD(400, GET "Host: a/b\r\n"),
    BAD(400, GET "Host: u@a\r\n"),
    BAD(400, GET "Host: a:\r\n"),
    BAD(400, GET "Host: a:b\r\n"),
    BAD(400, GET "Host: a:65536\r\n"),
    BAD(400, GET "Host: a:000080\r\n"),
    BAD(400, GET "Host: :80\r\n"),
    BAD(400, GET "Host: [::1\r\n"),
    BAD(400, GET "Host: [::1]x\r\n"),
    BAD(400, GET "Host: [::g]\r\n"),
    BAD(400, GET "Host: []\r\n"),
    BAD(400, GET "Host: [fe80::1%25eth0]\r\n"),
    BAD(400, GET "Host: a%2\r\n"),
    BAD(400, GET "Host: a%zz\r\n"),
    BAD(400, GET "Host: caf\xc3\xa9\r\n"),
    BAD(400, GET "Host: a?b\r\n"),
    /* header lines */
    BAD(400, GET " Host: a\r\n"),
    BAD(400, GET "\tHost: a\r\n"),
    BAD(400, GET HOST " folded\r\n"),
    BAD(400, GET "Host : a\r\n"),
    BAD(400, GET "Host\t: a\r\n"),
    BAD(400, GET "Host\r\n"),
    BAD(400, GET ": a\r\n"),
    BAD(400, GET "H(st: a\r\n"),
    BAD(400, GET "H\0st: a\r\n"),
    BAD(400, GET "H\xc3\xb6st: a\r\n"),
    BAD(400, GET "X_Y: a\r\n"),
    BAD(400, GET HOST "X: a\nY: b\r\n"),
    BAD(400, GET HOST "X: a\rY: b\r\n"),
    BAD(400, GET HOST "X: a\r\r\n"),
    BAD(400, GET HOST "X: \0\r\n"),
    BAD(400, GET HOST "X: \x7f\r\n"),
    BAD(400, GET HOST "X: \x0b\r\n"),
    BAD(400, GET HOST "\n"),
    BAD(400, GET HOST "\r\r\n"),
    BAD(400, GET HOST "Content-Type: a\r\ncontent-type: b\r\n"),
    BAD(417, GET HOST "Expect: 200-ok\r\n"),
    /* framing */
    BAD(400, GET HOST "Content-Length: 1\r\nContent-Length: 1\r\n"),
    BAD(400, GET HOST "Content-Length: 1, 1\r\n"),
    BAD(400, GET HOST "Content-Length: 1 1\r\n"),
    BAD(400, GET HOST "Content-Length:\r\n"),
    BAD(400, GET HOST "Content-Length: +1\r\n"),
    BAD(400, GET HOST "Content-Length: -1\r\n"),
    BAD(400, GET HOST "Content-Length: 0x1\r\n"),
    BAD(400, GET HOST "Content-Length: 1_0\r\n"),
    BAD(400, GET HOST "Content-Length: 1.0\r\n"),
    BAD(400, GET HOST "Content-Length: \xd9\xa1\r\n"),
    BAD(400, GET HOST "Content-Length: 9223372036854775808\r\n"),
    BAD(400, GET HOST "Content-Length: 18446744073709551617\r\n"),
    BAD(400, GET HOST "Content-Length: 00000000000000000001\r\n"),
    BAD(400, GET HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(400, GET HOST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
    BAD(400, "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(400, GET HOST "Transfer-Encoding:\r\n\r\n"),
    BAD(400, GET HOST "Transfer-Encoding: chunked, chunked\r\n\r\n"),
    BAD(400, GET HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(400, GET HOST "Transfer-Encoding: chunked, identity\r\n\r\n"),
    BAD(400, GET HOST "Transfer-Encoding: chunked,\r\n\r\n"),
    BAD(400, GET HOST "Transfer-Encoding: ,chunked\r\n\r\n"),
    BAD(501, GET HOST "Transfer-Encoding: identity\r\n\r\n"),
    BAD(501, GET HOST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    BAD(501, GET HOST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(501, GET HOST "Transfer-Encoding: xchunked\r\n\r\n"),
    BAD(501, GET HOST "Transfer-Encoding: \"chunked\"\r\n\r\n"),
    BAD(501, GET HOST "Transfer-Encoding: chunked;q=1\r\n\r\n"),
    BAD(400, GET HOST "Transfer-Encoding: \x0b"
                      "chunked\r\n\r\n"),
    BAD(400, GET HOST "Transfer_Encoding: chunked\r\n\r\n"),
    BAD(400, GET HOST "Transfer-Encoding : chunked\r\n\r\n"),
};

static void test_refuses(void **state) {
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sw_http_parser parser;
        struct sw_str text = guard_place(bad[i].text);
        print_message("refuse %zu: %" SW_STR_FMT "\n", i, SW_STR_ARG(bad[i].text));
        assert_int_equal(parse(&parser, text), SW_MALFORMED);
        assert_int_equal(parser.http_status, bad[i].http_status);
        assert_non_null(parser.reason);
        assert_int_equal(sw_http_parser_feed(&parser, text), SW_MALFORMED); /* and stays refused */
    }
}

static void test_head_fields(void **state) {
    struct sw_http_parser parser;
    assert_int_equal(parse(&parser, SW_STR(SAMPLE "{\"behind\": \x01 1}")), SW_OK);
    const struct sw_http_head *head = &parser.head;
    assert_int_equal(head->size_bytes, sizeof(SAMPLE) - 1);
    assert_text(head->method_text, "POST");
    assert_text(head->target, "/api/query?window=1s&key=a%20b");
    assert_text(head->query, "window=1s&key=a%20b");
    assert_int_equal(head->version_minor, 1);
    assert_int_equal(head->header_count, 8);
    assert_int_equal(head->content_length, 17);
    assert_text(head->headers[4].name, "X-Empty");
    assert_text(head->headers[4].value, "");
    assert_text(sw_http_head_find(head, SW_STR("accept-language"))->value, "en-US,en;q=0.5");
    assert_null(sw_http_head_find(head, SW_STR("accept-languag")));
    assert_true(sw_http_list_has(SW_STR("a ,\tB,c"), SW_STR("b")));
    assert_false(sw_http_list_has(SW_STR("ab,bc"), SW_STR("b")));
    assert_false(sw_http_list_has(sw_str_make(NULL, 0), SW_STR("b")));
}

static void test_reset_serves_the_next_request(void **state) {
    struct sw_http_parser parser;
    struct sw_str bytes =
        SW_STR("GET /first HTTP/1.0\r\nContent-Length: 0\r\n\r\nPUT /second?x HTTP/1.1\r\nHost: b\r\n\r\n");
    assert_int_equal(parse(&parser, bytes), SW_OK);
    bytes = sw_str_skip(bytes, parser.head.size_bytes);
    sw_http_parser_reset(&parser);
    assert_int_equal(sw_http_parser_feed(&parser, bytes), SW_OK);
    assert_int_equal(parser.head.method, SW_HTTP_PUT);
    assert_text(parser.head.path, "/second");
    assert_int_equal(parser.head.header_count, 1);
    assert_false(parser.head.has_content_length);
    assert_int_equal(parser.head.size_bytes, bytes.len);
}

/* Feeds the prefixes of lengths step, 2 * step, ... each from a fresh place in memory. */
static enum sw_status parse_split(struct sw_http_parser *parser, struct sw_str text, size_t step, char **place) {
    enum sw_status status = SW_AGAIN;
    sw_http_parser_init(parser, headers, HEADERS_MAX, NULL);
    for (size_t len = step; status == SW_AGAIN; len += step) {
        len = len < text.len ? len : text.len;
        char *moved = malloc(len);
        memcpy(moved, text.ptr, len);
        status = sw_http_parser_feed(parser, sw_str_make(moved, len));
        free(*place);
        *place = moved;
        if (len == text.len) {
            break;
        }
    }
    return status;
}

static void test_splits_and_moves_change_nothing(void **state) {
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        for (size_t step = 1; step < 40; step += step < 4 ? 1 : 7) {
            char *place = NULL;
            struct sw_http_parser parser;
            assert_int_equal(parse_split(&parser, sw_str_from(good[i].text), step, &place), SW_OK);
            assert_text(parser.head.path, good[i].path);
            assert_text(parser.head.query, good[i].query);
            assert_text(parser.head.host, good[i].host);
            assert_int_equal(flags_of(&parser.head), good[i].flags);
            for (size_t at = 0; at < parser.head.header_count; at++) {
                assert_true(headers[at].name.ptr > place && headers[at].value.ptr > headers[at].name.ptr);
            }
            free(place);
        }
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (size_t step = 1; step < 8; step += 2) {
            char *place = NULL;
            struct sw_http_parser parser;
            assert_int_equal(parse_split(&parser, bad[i].text, step, &place), SW_MALFORMED);
            assert_int_equal(parser.http_status, bad[i].http_status);
            free(place);
        }
    }
}

static void test_every_level_on_every_prefix(void **state) {
    for (int level = SW_CPU_SCALAR; level <= (int)sw_cpu_level(); level++) {
        for (size_t len = 0; len < sizeof(SAMPLE); len++) {
            struct sw_http_parser parser;
            sw_http_parser_init(&parser, headers, HEADERS_MAX, NULL);
            parser.scan = sw_http_scan_for((enum sw_cpu_level)level);
            enum sw_status status = sw_http_parser_feed(&parser, guard_place(sw_str_make(SAMPLE, len)));
            assert_int_equal(status, len == sizeof(SAMPLE) - 1 ? SW_OK : SW_AGAIN);
        }
    }
}

static void test_scan_levels_agree_on_every_byte(void **state) {
    sw_http_scan scalar = sw_http_scan_for(SW_CPU_SCALAR);
    for (int level = SW_CPU_SSE42; level <= (int)sw_cpu_level(); level++) {
        sw_http_scan scan = sw_http_scan_for((enum sw_cpu_level)level);
        for (unsigned byte = 0; byte < 256; byte++) {
            for (size_t len = 1; len <= SW_HTTP_SCAN_BYTES; len++) {
                char text[SW_HTTP_SCAN_BYTES];
                struct sw_http_masks expected;
                struct sw_http_masks got;
                memset(text, 'a', sizeof(text));
                text[byte % len] = (char)byte;
                text[len - 1] = (char)byte;
                struct sw_str placed = guard_place(sw_str_make(text, len));
                scalar(placed.ptr, len, &expected);
                scan(placed.ptr, len, &got);
                assert_memory_equal(&expected, &got, sizeof(got));
            }
        }
    }
}

static void test_classes_are_those_of_the_rfcs(void **state) {
    for (unsigned byte = 0; byte < 256; byte++) {
        char text = (char)byte;
        struct sw_http_masks masks;
        sw_http_scan_for(SW_CPU_SCALAR)(&text, 1, &masks);
        bool is_alnum = (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
        bool is_token = is_alnum || (byte && strchr("!#$%&'*+-.^`|~", (int)byte));
        bool is_target = byte > 0x20 && byte < 0x7f && !strchr("\"#<>", (int)byte);
        bool is_value = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
        assert_int_equal(masks.non_token & 1, !is_token);
        assert_int_equal(masks.non_target & 1, !is_target);
        assert_int_equal(masks.non_value & 1, !is_value);
    }
}

/* A head of a request line and `count` headers whose value is `value_len` long. */
static void build(struct sw_buf *out, size_t path_len, size_t count, size_t value_len) {
    sw_buf_clear(out);
    assert_int_equal(sw_buf_append_format(out, "GET /%0*d HTTP/1.1\r\nHost: a\r\n", (int)path_len - 1, 0), SW_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(sw_buf_append_format(out, "X: %0*d\r\n", (int)value_len, 0), SW_OK);
    }
    assert_int_equal(sw_buf_append(out, SW_STR("\r\n")), SW_OK);
}

static int refusal(struct sw_buf *text, const struct sw_http_limits *limits, size_t header_cap, bool is_bytewise) {
    struct sw_http_parser parser;
    enum sw_status status = SW_AGAIN;
    sw_http_parser_init(&parser, headers, header_cap, limits);
    for (size_t len = is_bytewise ? 1 : text->len; status == SW_AGAIN && len <= text->len; len++) {
        status = sw_http_parser_feed(&parser, sw_str_make(text->ptr, len));
    }
    assert_true(status == SW_OK || status == SW_LIMIT);
    return status == SW_OK ? 200 : parser.http_status;
}

static void test_limits(void **state) {
    struct sw_http_limits limits = {.line_bytes = 104, .field_bytes = 203, .head_bytes = 1000};
    struct sw_buf text = {0};
    for (int is_bytewise = 0; is_bytewise < 2; is_bytewise++) {
        build(&text, 100, 0, 1);
        assert_int_equal(refusal(&text, &limits, 8, is_bytewise), 200);
        build(&text, 101, 0, 1);
        assert_int_equal(refusal(&text, &limits, 8, is_bytewise), 414);
        build(&text, 2000, 0, 1); /* the line is refused before the head */
        assert_int_equal(refusal(&text, &limits, 8, is_bytewise), 414);
        build(&text, 2, 1, 200);
        assert_int_equal(refusal(&text, &limits, 8, is_bytewise), 200);
        build(&text, 2, 1, 201);
        assert_int_equal(refusal(&text, &limits, 8, is_bytewise), 431);
        build(&text, 2, 7, 1);
        assert_int_equal(refusal(&text, &limits, 8, is_bytewise), 200);
        build(&text, 2, 8, 1);
        assert_int_equal(refusal(&text, &limits, 8, is_bytewise), 431);
        build(&text, 2, 5, 183); /* 17 + 9 + 5 * 188 + 2 = 968 */
        limits.head_bytes = 968;
        assert_int_equal(text.len, 968);
        assert_int_equal(refusal(&text, &limits, 8, is_bytewise), 200);
        limits.head_bytes = 967;
        assert_int_equal(refusal(&text, &limits, 8, is_bytewise), 431);
    }
    sw_buf_release(&text);
}

static void test_underscores_on_request(void **state) {
    struct sw_http_parser parser;
    struct sw_http_limits limits = {.is_underscore_allowed = true};
    sw_http_parser_init(&parser, headers, HEADERS_MAX, &limits);
    assert_int_equal(sw_http_parser_feed(&parser, SW_STR(GET HOST "_X__Y_: z\r\n\r\n")), SW_OK);
    assert_text(headers[1].name, "_X__Y_");
    sw_http_parser_init(&parser, headers, HEADERS_MAX, &limits);
    assert_int_equal(sw_http_parser_feed(&parser, SW_STR(GET "X_ : z\r\n")), SW_MALFORMED);
}

static void test_authority(void **state) {
    char longest[64] = "[";
    memset(longest + 1, '1', 46);
    longest[47] = ']';
    assert_false(sw_http_authority_is_valid(sw_str_make(longest, 48)));
    assert_true(sw_http_authority_is_valid(SW_STR("[0:0:0:0:0:ffff:255.255.255.255]:1")));
    assert_false(sw_http_authority_is_valid(SW_STR("")));
    assert_false(sw_http_authority_is_valid(SW_STR("[")));
    assert_false(sw_http_authority_is_valid(sw_str_make("[::1\0]", 6)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_head_fields),
        cmocka_unit_test(test_reset_serves_the_next_request),
        cmocka_unit_test(test_splits_and_moves_change_nothing),
        cmocka_unit_test(test_every_level_on_every_prefix),
        cmocka_unit_test(test_scan_levels_agree_on_every_byte),
        cmocka_unit_test(test_classes_are_those_of_the_rfcs),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_underscores_on_request),
        cmocka_unit_test(test_authority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
