/* test_ws_deflate.c - permessage-deflate: the examples of RFC 7692, round trips, limits, damage, memory failures. */
#include "net/ws_deflate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "guard_page.h"

enum { MAX_BYTES = 1 << 20 };

/* One message fed in pieces of `step` bytes. */
static enum sw_status inflate_message(struct sw_ws_inflater *inflater, struct sw_str text, size_t step,
                                      size_t max_bytes, struct sw_buf *out) {
    for (size_t at = 0; at < text.len; at += step) {
        struct sw_str piece = sw_str_skip(text, at);
        piece.len = piece.len < step ? piece.len : step;
        enum sw_status status = sw_ws_inflater_feed(inflater, guard_place(piece), max_bytes, out);
        if (status != SW_OK) {
            return status;
        }
    }
    return sw_ws_inflater_end(inflater, max_bytes, out);
}

struct row {
    struct sw_str text;
    const char *expected; /* NULL: malformed */
};

#define ROW(text, expected) \
    { {(text), sizeof(text) - 1}, (expected) }

/* Messages of one stream each; the named sections are RFC 7692's. */
static const struct row rows[] = {
    ROW("\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello"),                         /* 7.2.3.1 */
    ROW("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "Hello"),         /* 7.2.3.3, a block without compression */
    ROW("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello"),                     /* 7.2.3.4, a final block */
    ROW("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello"), /* 7.2.3.5, two blocks */
    ROW("\x00", ""),                                                      /* 7.2.3.6, an empty message */
    ROW("\x02\x00", ""),
    ROW("\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00", "HelloHello"), /* the second refers to the first */
    ROW("\x07", NULL),                                                     /* reserved block type */
    ROW("\xf2\x48", NULL),                                                 /* breaks off inside a block */
    ROW("\x00\x05\x00\xfb\xff\x48\x65\x6c\x6c\x6f\x00", NULL),             /* length and complement differ */
    ROW("\x02\x07\x00", NULL),                                             /* a distance before the beginning */
    ROW("\xff\xff\xff\xff", NULL),
};

static void test_rfc_examples_at_every_split(void **state) {
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t step = 1; step <= rows[i].text.len; step++) {
            struct sw_ws_inflater inflater = {0};
            struct sw_buf out = {0};
            print_message("row %zu, step %zu\n", i, step);
            enum sw_status status = inflate_message(&inflater, rows[i].text, step, MAX_BYTES, &out);
            assert_int_equal(status, rows[i].expected ? SW_OK : SW_MALFORMED);
            if (rows[i].expected) {
                assert_true(sw_str_eq(sw_buf_view(&out), sw_str_from(rows[i].expected)));
            }
            sw_buf_release(&out);
            sw_ws_inflater_release(&inflater);
        }
    }
}

static void test_takeover_refers_back(void **state) {
    struct sw_ws_inflater inflater = {0};
    struct sw_buf out = {0};
    assert_int_equal(inflate_message(&inflater, SW_STR("\xf2\x48\xcd\xc9\xc9\x07\x00"), 99, MAX_BYTES, &out), SW_OK);
    /* RFC 7692 section 7.2.3.2: the second "Hello" as a reference into the first */
    assert_int_equal(inflate_message(&inflater, SW_STR("\xf2\x00\x11\x00\x00"), 99, MAX_BYTES, &out), SW_OK);
    assert_true(sw_str_eq(sw_buf_view(&out), SW_STR("HelloHello")));
    sw_ws_inflater_release(&inflater);
    assert_int_equal(inflate_message(&inflater, SW_STR("\xf2\x00\x11\x00\x00"), 99, MAX_BYTES, &out), SW_MALFORMED);
    sw_ws_inflater_release(&inflater);
    sw_buf_release(&out);
}

/* Bytes that compress a little: a seeded generator over a small alphabet. */
static void fill(char *text, size_t len, uint32_t seed) {
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        text[i] = "{\"a\":0.123,\n}"[(seed >> 24) % 13];
    }
}

static void round_trips(const struct sw_ws_deflate *agreed) {
    static const size_t lengths[] = {0, 1, 5, 127, 4091, 4096, 65535, 70000, 300000};
    static char text[300000];
    struct sw_ws_deflater deflater = {0};
    struct sw_ws_inflater inflater = {0};
    struct sw_buf packed = {0};
    struct sw_buf out = {0};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        for (int again = 0; again < 3; again++) {
            struct sw_str message = {text, lengths[i]};
            fill(text, lengths[i], (uint32_t)(i * 3) + 1);
            sw_buf_clear(&packed);
            sw_buf_clear(&out);
            assert_int_equal(sw_ws_deflater_message(&deflater, agreed, message, &packed), SW_OK);
            assert_true(lengths[i] < 1000 || packed.len < lengths[i]);
            assert_int_equal(inflate_message(&inflater, sw_buf_view(&packed), 3000, MAX_BYTES, &out), SW_OK);
            assert_true(sw_str_eq(sw_buf_view(&out), message));
            if (agreed->is_server_no_takeover) {
                sw_ws_inflater_release(&inflater); /* so no message may lean on an earlier one */
            }
        }
    }
    sw_ws_deflater_release(&deflater);
    sw_ws_inflater_release(&inflater);
    sw_buf_release(&packed);
    sw_buf_release(&out);
}

static void test_round_trips(void **state) {
    for (unsigned char bits = 9; bits <= 15; bits++) {
        round_trips(&(struct sw_ws_deflate){.is_on = true, .server_bits = bits});
        round_trips(&(struct sw_ws_deflate){.is_on = true, .is_server_no_takeover = true, .server_bits = bits});
    }
    round_trips(&(struct sw_ws_deflate){.is_on = true});
}

static void test_same_message_shrinks_with_takeover(void **state) {
    struct sw_ws_deflate agreed = {.is_on = true};
    struct sw_ws_deflater deflater = {0};
    struct sw_buf first = {0};
    struct sw_buf second = {0};
    char text[2000];
    fill(text, sizeof(text), 7);
    assert_int_equal(sw_ws_deflater_message(&deflater, &agreed, sw_str_make(text, sizeof(text)), &first), SW_OK);
    assert_int_equal(sw_ws_deflater_message(&deflater, &agreed, sw_str_make(text, sizeof(text)), &second), SW_OK);
    assert_true(second.len * 4 < first.len);
    agreed.is_server_no_takeover = true;
    sw_ws_deflater_release(&deflater);
    sw_buf_clear(&first);
    sw_buf_clear(&second);
    assert_int_equal(sw_ws_deflater_message(&deflater, &agreed, sw_str_make(text, sizeof(text)), &first), SW_OK);
    assert_int_equal(sw_ws_deflater_message(&deflater, &agreed, sw_str_make(text, sizeof(text)), &second), SW_OK);
    assert_true(sw_str_eq(sw_buf_view(&first), sw_buf_view(&second)));
    sw_ws_deflater_release(&deflater);
    sw_buf_release(&first);
    sw_buf_release(&second);
}

/* `len` zero bytes, compressed as far as deflate goes (about 1000 : 1), which the deflater's level does not. */
static void make_bomb(struct sw_buf *packed, size_t len) {
    z_stream stream = {0};
    unsigned char *text = calloc(len, 1);
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(sw_buf_reserve(packed, len), SW_OK);
    stream.next_in = text;
    stream.avail_in = (unsigned)len;
    stream.next_out = (unsigned char *)packed->ptr;
    stream.avail_out = (unsigned)len;
    assert_int_equal(deflate(&stream, Z_SYNC_FLUSH), Z_OK);
    packed->len = len - stream.avail_out - 4;
    deflateEnd(&stream);
    free(text);
}

static void test_limit(void **state) {
    for (size_t max_bytes = 99998; max_bytes <= 100001; max_bytes++) {
        for (size_t step = 1; step < 1000; step += 332) {
            struct sw_ws_inflater inflater = {0};
            struct sw_buf packed = {0};
            struct sw_buf out = {0};
            make_bomb(&packed, 100000);
            assert_true(packed.len < 200);
            enum sw_status status = inflate_message(&inflater, sw_buf_view(&packed), step, max_bytes, &out);
            assert_int_equal(status, max_bytes < 100000 ? SW_LIMIT : SW_OK);
            assert_int_equal(out.len, max_bytes < 100000 ? max_bytes : 100000);
            sw_buf_release(&packed);
            sw_buf_release(&out);
            sw_ws_inflater_release(&inflater);
        }
    }
}

static void test_final_blocks_are_counted(void **state) {
    struct sw_ws_inflater inflater = {0};
    struct sw_buf packed = {0};
    struct sw_buf out = {0};
    /* Empty final blocks, then the open one that the tail completes. */
    for (int i = 0; i < 16; i++) {
        assert_int_equal(sw_buf_append(&packed, SW_STR("\x03\x00")), SW_OK);
    }
    assert_int_equal(sw_buf_append_byte(&packed, '\0'), SW_OK);
    assert_int_equal(inflate_message(&inflater, sw_buf_view(&packed), 1, MAX_BYTES, &out), SW_OK);
    assert_int_equal(inflate_message(&inflater, sw_buf_view(&packed), 1, MAX_BYTES, &out), SW_OK);
    packed.len--;
    assert_int_equal(sw_buf_append(&packed, SW_STR("\x03\x00\x00")), SW_OK);
    assert_int_equal(inflate_message(&inflater, sw_buf_view(&packed), 1, MAX_BYTES, &out), SW_LIMIT);
    sw_ws_inflater_release(&inflater);
    sw_buf_release(&packed);
    sw_buf_release(&out);
}

static void test_every_allocation_may_fail(void **state) {
    struct sw_ws_deflate agreed = {.is_on = true};
    static char text[20000];
    bool is_done = false;
    fill(text, sizeof(text), 3);
    for (size_t nth = 1; !is_done; nth++) {
        struct sw_ws_deflater deflater = {0};
        struct sw_ws_inflater inflater = {0};
        struct sw_buf packed = {0};
        struct sw_buf out = {0};
        sw_mem_fail_at(nth);
        enum sw_status status = sw_ws_deflater_message(&deflater, &agreed, sw_str_make(text, sizeof(text)), &packed);
        if (status == SW_OK) {
            status = inflate_message(&inflater, sw_buf_view(&packed), 4096, MAX_BYTES, &out);
        } else {
            assert_int_equal(packed.len, 0);
        }
        sw_mem_fail_at(0);
        assert_true(status == SW_OK || status == SW_NOMEM);
        is_done = status == SW_OK;
        assert_true(!is_done || nth > 6);
        sw_ws_deflater_release(&deflater);
        sw_ws_inflater_release(&inflater);
        sw_buf_release(&packed);
        sw_buf_release(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_examples_at_every_split),
        cmocka_unit_test(test_takeover_refers_back),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_same_message_shrinks_with_takeover),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_final_blocks_are_counted),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
