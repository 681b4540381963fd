/* test_deflate.c - Parts compressed apart, reopened and put together inflate to all of the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <libdeflate.h>
#include <zlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "report/deflate.h"

#define PART_MAX (700u << 10)

/* Text of a kind: 0 zeros, 1 noise, 2 a few letters, 3 slow waves, 4 words; deterministic. */
static void part_fill(uint8_t *bytes, size_t size, unsigned kind, uint32_t seed) {
    uint32_t state = seed * 2654435761u + 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        uint8_t noise = (uint8_t)(state >> 24);
        bytes[i] = kind == 0   ? 0
                   : kind == 1 ? noise
                   : kind == 2 ? (uint8_t)('a' + noise % 7 * (noise % 3))
                   : kind == 3 ? (uint8_t)(i / 37 + noise % 2)
                               : (uint8_t) "the quick brown fox jumps "[(i + (i / 999) * 7) % 26];
    }
}

static void part_append(struct sw_buf *stream, const uint8_t *bytes, size_t size, int level) {
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(level);
    assert_non_null(compressor);
    size_t bound = libdeflate_deflate_compress_bound(compressor, size);
    assert_int_equal(sw_buf_reserve(stream, bound), SW_OK);
    stream->len += libdeflate_deflate_compress(compressor, bytes, size, stream->ptr + stream->len, bound);
    libdeflate_free_compressor(compressor);
}

/* The stream is not at its end, all its bytes are taken, and it holds exactly `size` bytes. */
static void open_stream_check(const struct sw_buf *stream, const uint8_t *bytes, size_t size, int wanted) {
    uint8_t *out = sw_alloc(size + 1);
    z_stream zs = {.next_in = (Bytef *)stream->ptr,
                   .avail_in = (uInt)stream->len,
                   .next_out = out,
                   .avail_out = (uInt)size + 1};
    assert_int_equal(inflateInit2(&zs, -15), Z_OK);
    assert_int_equal(inflate(&zs, Z_SYNC_FLUSH), wanted);
    assert_int_equal(zs.avail_in, 0);
    assert_int_equal(zs.total_out, size);
    assert_memory_equal(out, bytes, size);
    inflateEnd(&zs);
    sw_free(out);
}

static void every_kind_goes_on(void **state) {
    static const size_t sizes[] = {0, 1, 2, 3, 5, 17, 100, 1000, 65535, 70000, PART_MAX};
    uint8_t *bytes = sw_alloc(PART_MAX);
    for (unsigned kind = 0; kind < 5; kind++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
            for (int level = 0; level <= 12; level += sizes[s] < 10000 ? 1 : 5) {
                struct sw_buf stream = {0};
                part_fill(bytes, sizes[s], kind, (uint32_t)sizes[s]);
                assert_int_equal(sw_buf_append(&stream, SW_STR("head")), SW_OK);
                part_append(&stream, bytes, sizes[s], level);
                assert_int_equal(sw_deflate_reopen(&stream, 4), SW_OK);
                assert_memory_equal(stream.ptr, "head", 4);
                sw_buf_consume(&stream, 4);
                open_stream_check(&stream, bytes, sizes[s], Z_OK);
                sw_buf_release(&stream);
            }
    sw_free(bytes);
}

/* All eight places of the last bit within a byte come up, so that both lengths of the empty block do. */
static void parts_join_at_every_bit(void **state) {
    uint8_t *bytes = sw_alloc(60 * 400);
    struct sw_buf stream = {0};
    size_t size = 0;
    for (unsigned i = 0; i < 60; i++) {
        size_t part = 1 + i * 7 % 399;
        size_t first = stream.len;
        part_fill(bytes + size, part, i % 5, i);
        part_append(&stream, bytes + size, part, 6);
        assert_int_equal(sw_deflate_reopen(&stream, first), SW_OK);
        size += part;
    }
    assert_int_equal(sw_buf_append(&stream, SW_STR("\3\0")), SW_OK);
    open_stream_check(&stream, bytes, size, Z_STREAM_END);
    sw_buf_release(&stream);
    sw_free(bytes);
}

static void zlib_streams_go_on_too(void **state) {
    static const int strategies[] = {Z_DEFAULT_STRATEGY, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE};
    uint8_t *bytes = sw_alloc(300000);
    for (unsigned kind = 0; kind < 5; kind++)
        for (size_t i = 0; i < sizeof strategies / sizeof strategies[0]; i++) {
            struct sw_buf stream = {0};
            z_stream zs = {.next_in = bytes, .avail_in = 300000};
            part_fill(bytes, 300000, kind, (uint32_t)i);
            assert_int_equal(deflateInit2(&zs, 6, Z_DEFLATED, -15, 8, strategies[i]), Z_OK);
            assert_int_equal(sw_buf_reserve(&stream, deflateBound(&zs, 300000)), SW_OK);
            zs.next_out = (Bytef *)stream.ptr;
            zs.avail_out = (uInt)stream.cap;
            assert_int_equal(deflate(&zs, Z_FINISH), Z_STREAM_END);
            stream.len = zs.total_out;
            deflateEnd(&zs);
            assert_int_equal(sw_deflate_reopen(&stream, 0), SW_OK);
            open_stream_check(&stream, bytes, 300000, Z_OK);
            sw_buf_release(&stream);
        }
    sw_free(bytes);
}

/* Cut short at any byte, a stream is refused and left as it is. */
static void broken_streams_are_refused(void **state) {
    uint8_t bytes[3000];
    struct sw_buf whole = {0}, cut = {0};
    part_fill(bytes, sizeof bytes, 4, 1);
    part_fill(bytes + 1000, 1000, 1, 2);
    part_append(&whole, bytes, sizeof bytes, 6);
    for (size_t size = 0; size < whole.len; size++) {
        sw_buf_clear(&cut);
        assert_int_equal(sw_buf_append(&cut, sw_str_make(whole.ptr, size)), SW_OK);
        assert_int_equal(sw_deflate_reopen(&cut, 0), SW_MALFORMED);
        assert_int_equal(cut.len, size);
        assert_true(size == 0 || memcmp(cut.ptr, whole.ptr, size) == 0);
    }
    assert_int_equal(sw_buf_append_byte(&whole, 'x'), SW_OK);
    assert_int_equal(sw_deflate_reopen(&whole, 0), SW_MALFORMED);
    static const char reserved[] = {7, 0, 0};
    sw_buf_clear(&cut);
    assert_int_equal(sw_buf_append(&cut, sw_str_make(reserved, sizeof reserved)), SW_OK);
    assert_int_equal(sw_deflate_reopen(&cut, 0), SW_MALFORMED);
    for (uint32_t seed = 0; seed < 3000; seed++) { /* noise ends one way or another */
        uint8_t noise[64];
        part_fill(noise, sizeof noise, 1, seed);
        sw_buf_clear(&cut);
        assert_int_equal(sw_buf_append(&cut, sw_str_make((const char *)noise, sizeof noise)), SW_OK);
        enum sw_status status = sw_deflate_reopen(&cut, 0);
        assert_true(status == SW_OK || status == SW_MALFORMED);
    }
    sw_buf_release(&whole);
    sw_buf_release(&cut);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_goes_on),
        cmocka_unit_test(parts_join_at_every_bit),
        cmocka_unit_test(zlib_streams_go_on_too),
        cmocka_unit_test(broken_streams_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
