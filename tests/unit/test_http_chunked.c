/* test_http_chunked.c - Chunked bodies: accepted and refused forms, limits, splits at every point. */
#include "net/http_chunked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "guard_page.h"

enum { DONE = 200, MORE = 0 };

#define LAST "0\r\n\r\n"
#define REPEAT16(text) text text text text text text text text text text text text text text text text

/* Decodes `text` in pieces of `step` bytes; returns DONE, MORE or the status to answer with. */
static int decode(struct sw_http_chunked *chunked, struct sw_str text, size_t step, struct sw_buf *body) {
    sw_buf_clear(body);
    for (size_t at = 0; at < text.len && !chunked->is_done; at += step) {
        struct sw_str piece = sw_str_skip(text, at);
        piece.len = piece.len < step ? piece.len : step;
        struct sw_str input = guard_place(piece);
        struct sw_str data;
        do {
            enum sw_status status = sw_http_chunked_feed(chunked, &input, &data);
            if (status != SW_OK) {
                assert_int_equal(sw_http_chunked_feed(chunked, &input, &data), status);
                assert_non_null(chunked->reason);
                return chunked->http_status;
            }
            assert_int_equal(sw_buf_append(body, data), SW_OK);
        } while (data.len > 0);
    }
    assert_int_equal(chunked->body_bytes, body->len);
    return chunked->is_done ? DONE : MORE;
}

struct row {
    struct sw_str text;
    const char *body;
    int outcome;
};

#define ROW(outcome, text, body) \
    { {(text), sizeof(text) - 1}, (body), (outcome) }

static const struct row rows[] = {
    ROW(DONE, LAST, ""),
    ROW(DONE, "5\r\nhello\r\n6\r\n world\r\n" LAST, "hello world"),
    ROW(DONE, "a\r\n0123456789\r\n" LAST, "0123456789"),
    ROW(DONE, "A\r\n0123456789\r\n" LAST, "0123456789"),
    ROW(DONE, "0005\r\nhello\r\n000\r\n\r\n", "hello"),
    ROW(DONE, "0000000000000001\r\nx\r\n" LAST, "x"),
    ROW(DONE, "2\r\n\r\n\r\n" LAST, "\r\n"),
    ROW(DONE, "5;a\r\nhello\r\n0;b=\"c d\"\r\n\r\n", "hello"),
    ROW(DONE, "5; some; parameters=stuff\r\nhello\r\n" LAST, "hello"),
    ROW(DONE, "5;\r\nhello\r\n" LAST, "hello"),
    ROW(DONE, "0\r\nVary: *\r\nContent-Type: text/plain\r\n\r\n", ""),
    ROW(DONE, "0\r\nX:\r\nY: \t\xff\r\n\r\n", ""),
    ROW(DONE, "0\r\nhosts: a\r\nX-Host: b\r\n\r\n", ""),
    ROW(MORE, "", ""),
    ROW(MORE, "5", ""),
    ROW(MORE, "5\r\nhel", "hel"),
    ROW(MORE, "5\r\nhello\r\n0\r\n", "hello"),
    ROW(MORE, "5\r\nhello\r\n0\r\n\r", "hello"),
    ROW(400, "\r\n", ""),
    ROW(400, "\n", ""),
    ROW(400, " 5\r\n", ""),
    ROW(400, "5 \r\n", ""),
    ROW(400, "5 ;a\r\n", ""),
    ROW(400, ";a\r\n", ""),
    ROW(400, " ;a\r\n", ""),
    ROW(400, "+5\r\n", ""),
    ROW(400, "-5\r\n", ""),
    ROW(400, "0x5\r\n", ""),
    ROW(400, "5_0\r\n", ""),
    ROW(400, "g\r\n", ""),
    ROW(400, "5\n", ""),
    ROW(400, "5\rh", ""),
    ROW(400, "00000000000000005\r\n", ""),
    ROW(400, "5;a\nb\r\n", ""),
    ROW(400, "5;a\rb\r\n", ""),
    ROW(400, "5;a\0\r\n", ""),
    ROW(400, "5;a\x7f\r\n", ""),
    ROW(400, "5;\xc3\xa4\r\n", ""),
    ROW(400, "5\r\nhelloX\r\n", "hello"),
    ROW(400, "5\r\nhello\n", "hello"),
    ROW(400, "5\r\nhello\rX", "hello"),
    ROW(400, "5\r\nhello5\r\n", "hello"),
    ROW(400, "0\r\n\n", ""),
    ROW(400, "0\r\n\rX", ""),
    ROW(400, "0\r\n folded\r\n", ""),
    ROW(400, "0\r\nX : a\r\n", ""),
    ROW(400, "0\r\n: a\r\n", ""),
    ROW(400, "0\r\nX\r\n", ""),
    ROW(400, "0\r\nX_Y: a\r\n", ""),
    ROW(400, "0\r\nX: a\nb\r\n", ""),
    ROW(400, "0\r\nX: a\rb\r\n", ""),
    ROW(400, "0\r\nX: \0\r\n", ""),
    ROW(400, "0\r\nX: \x7f\r\n", ""),
    ROW(400, "0\r\nX: a\r\n b\r\n", ""),
    ROW(400, "0\r\nContent-Length: 1\r\n\r\n", ""),
    ROW(400, "0\r\nTRANSFER-ENCODING: chunked\r\n\r\n", ""),
    ROW(400, "0\r\nhost: b\r\n\r\n", ""),
    ROW(400, "0\r\nX: y\r\nAuthorization: b\r\n\r\n", ""),
    ROW(400, "GET / HTTP/1.1\r\n", ""),
};

static void test_forms_at_every_split(void **state) {
    struct sw_buf body = {0};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t step = 1; step <= rows[i].text.len + 1; step++) {
            struct sw_http_chunked chunked = {0};
            print_message("row %zu, step %zu\n", i, step);
            assert_int_equal(decode(&chunked, rows[i].text, step, &body), rows[i].outcome);
            assert_int_equal(body.len, strlen(rows[i].body));
            assert_true(body.len == 0 || memcmp(body.ptr, rows[i].body, body.len) == 0);
        }
    }
    sw_buf_release(&body);
}

static void test_input_stops_behind_the_body(void **state) {
    struct sw_http_chunked chunked = {0};
    struct sw_str input = SW_STR("1\r\nx\r\n" LAST "GET / HTTP/1.1\r\n");
    struct sw_str data;
    assert_int_equal(sw_http_chunked_feed(&chunked, &input, &data), SW_OK);
    assert_int_equal(data.len, 1);
    assert_false(chunked.is_done);
    assert_int_equal(sw_http_chunked_feed(&chunked, &input, &data), SW_OK);
    assert_int_equal(data.len, 0);
    assert_true(chunked.is_done);
    assert_true(sw_str_eq(input, SW_STR("GET / HTTP/1.1\r\n")));
    assert_int_equal(sw_http_chunked_feed(&chunked, &input, &data), SW_OK);
    assert_int_equal(input.len, 16);
}

struct limit_row {
    struct sw_http_chunked_limits limits;
    const char *text;
    int outcome;
};

static const struct limit_row limit_rows[] = {
    {{.body_bytes = 5}, "5\r\nhello\r\n" LAST, DONE},
    {{.body_bytes = 5}, "6\r\n", 413},
    {{.body_bytes = 5}, "5\r\nhello\r\n1\r\n", 413},
    {{.body_bytes = 5}, "ffffffffffffffff\r\n", 413},
    {{0}, "1\r\nx\r\nffffffffffffffff\r\n", 413}, /* would wrap the count */
    {{.extension_bytes = 4}, "1;abcd\r\nx\r\n" LAST, DONE},
    {{.extension_bytes = 4}, "1;abcde\r\n", 400},
    {{.extension_bytes = 1}, REPEAT16("1;a\r\nx\r\n1;a\r\nx\r\n1;a\r\nx\r\n1;a\r\nx\r\n") LAST, DONE},
    {{.extension_bytes = 1}, REPEAT16("1;a\r\nx\r\n1;a\r\nx\r\n1;a\r\nx\r\n1;a\r\nx\r\n") "1;a\r\n", 400},
    {{.trailer_count = 2}, "0\r\nA: 1\r\nB: 2\r\n\r\n", DONE},
    {{.trailer_count = 2}, "0\r\nA: 1\r\nB: 2\r\nC", 431},
    {{.trailer_bytes = 8}, "0\r\nA: 1\r\nB: 2\r\n\r\n", DONE},
    {{.trailer_bytes = 8}, "0\r\nA: 1\r\nB: 23", 431},
    {{.trailer_bytes = 8}, "0\r\nABCDEFGHI", 431},
    {{0}, "0\r\n" REPEAT16("A:\r\n") REPEAT16("A:\r\n") "\r\n", DONE},
    {{0}, "0\r\n" REPEAT16("A:\r\n") REPEAT16("A:\r\n") "A", 431},
};

static void test_limits(void **state) {
    struct sw_buf body = {0};
    for (size_t i = 0; i < sizeof(limit_rows) / sizeof(limit_rows[0]); i++) {
        for (size_t step = 1; step < 1000; step += 499) {
            struct sw_http_chunked chunked = {.limits = limit_rows[i].limits};
            print_message("limit %zu, step %zu\n", i, step);
            assert_int_equal(decode(&chunked, sw_str_from(limit_rows[i].text), step, &body), limit_rows[i].outcome);
        }
    }
    sw_buf_release(&body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_at_every_split),
        cmocka_unit_test(test_input_stops_behind_the_body),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
