/* test_inflate.c - Plain, gzip and zstd from files and pipes, whole, in parts, cut off and damaged. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "engine/inflate.h"

enum { PLAIN_BYTES = 700000 };

static char plain[PLAIN_BYTES];

static int setup(void **state) {
    uint32_t seed = 1;
    for (size_t i = 0; i < PLAIN_BYTES; i++) {
        seed = seed * 1664525 + 1013904223;
        plain[i] = (char)("0123456789abcdef\n,"[(seed >> 24) % 18]);
    }
    return 0;
}

static void gzip_add(struct sw_buf *out, const char *bytes, size_t len) {
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&stream, len) + 64;
    assert_int_equal(sw_buf_reserve(out, room), SW_OK);
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)len;
    stream.next_out = (Bytef *)out->ptr + out->len;
    stream.avail_out = (uInt)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out->len += stream.total_out;
    deflateEnd(&stream);
}

static void zstd_add(struct sw_buf *out, const char *bytes, size_t len) {
    assert_int_equal(sw_buf_reserve(out, ZSTD_compressBound(len)), SW_OK);
    size_t wrote = ZSTD_compress(out->ptr + out->len, ZSTD_compressBound(len), bytes, len, 3);
    assert_false(ZSTD_isError(wrote));
    out->len += wrote;
}

static int file_of(const char *bytes, size_t len) {
    char name[] = "/tmp/sw-inflate-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

/* Reads to the end or to a failure, `room` bytes at a time. */
static enum sw_status read_all(int fd, size_t room, struct sw_buf *out, struct sw_error *err) {
    struct sw_inflate *inflate;
    enum sw_status status = sw_inflate_new(&inflate, fd);
    size_t len = 1;
    while (status == SW_OK && len > 0) {
        assert_int_equal(sw_buf_reserve(out, room), SW_OK);
        status = sw_inflate_read(inflate, out->ptr + out->len, room, &len, err);
        out->len += status == SW_OK ? len : 0;
    }
    sw_inflate_free(inflate);
    return status;
}

static void assert_gives(const struct sw_buf *stored, size_t room, const char *wanted, size_t len) {
    struct sw_buf out = {0};
    struct sw_error err = {0};
    int fd = file_of(stored->ptr, stored->len);
    assert_int_equal(read_all(fd, room, &out, &err), SW_OK);
    assert_int_equal(out.len, len);
    assert_memory_equal(out.ptr, wanted, len);
    close(fd);
    sw_buf_release(&out);
}

static void whole_and_in_parts(void **state) {
    static const size_t rooms[] = {1 << 20, 256 * 1024, 4096, 777};
    for (size_t r = 0; r < sizeof rooms / sizeof rooms[0]; r++) {
        struct sw_buf stored = {0};
        assert_int_equal(sw_buf_append(&stored, sw_str_make(plain, PLAIN_BYTES)), SW_OK);
        assert_gives(&stored, rooms[r], plain, PLAIN_BYTES);
        sw_buf_clear(&stored);
        gzip_add(&stored, plain, PLAIN_BYTES);
        assert_gives(&stored, rooms[r], plain, PLAIN_BYTES);
        sw_buf_clear(&stored);
        zstd_add(&stored, plain, PLAIN_BYTES);
        assert_gives(&stored, rooms[r], plain, PLAIN_BYTES);
        sw_buf_release(&stored);
    }
}

static void members_and_frames_follow_one_another(void **state) {
    static const size_t cuts[] = {0, 1, 131072, 400000, PLAIN_BYTES};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        struct sw_buf stored = {0};
        gzip_add(&stored, plain, cuts[i]);
        gzip_add(&stored, plain + cuts[i], PLAIN_BYTES - cuts[i]);
        gzip_add(&stored, "", 0);
        assert_gives(&stored, 65536, plain, PLAIN_BYTES);
        sw_buf_clear(&stored);
        zstd_add(&stored, plain, cuts[i]);
        zstd_add(&stored, plain + cuts[i], PLAIN_BYTES - cuts[i]);
        assert_gives(&stored, 65536, plain, PLAIN_BYTES);
        sw_buf_release(&stored);
    }
}

static void short_inputs_are_what_they_are(void **state) {
    static const char *const texts[] = {
        "", "\n", "\x1f", "\x1f\x8bx", "\x28\xb5", "\x28\xb5\x2f", "\x1f\x8a\x08", "1,2", "\x28\xb5\x2f\xfc...."};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct sw_buf out = {0};
        struct sw_error err = {0};
        size_t len = strlen(texts[i]);
        int fd = file_of(texts[i], len);
        enum sw_status status = read_all(fd, 100, &out, &err);
        bool is_gzip = len >= 2 && memcmp(texts[i], "\x1f\x8b", 2) == 0;
        assert_int_equal(status, is_gzip ? SW_MALFORMED : SW_OK);
        assert_int_equal(out.len, is_gzip ? 0 : len);
        close(fd);
        sw_buf_release(&out);
    }
}

/* All that could be read comes before the failure. */
static void cut_off(void **state) {
    struct sw_buf gzip = {0}, zstd = {0};
    gzip_add(&gzip, plain, PLAIN_BYTES);
    zstd_add(&zstd, plain, PLAIN_BYTES);
    for (size_t cut = 1; cut <= 20; cut++) {
        for (int is_zstd = 0; is_zstd < 2; is_zstd++) {
            const struct sw_buf *stored = is_zstd ? &zstd : &gzip;
            size_t len = stored->len * cut / 21;
            struct sw_buf out = {0};
            struct sw_error err = {0};
            int fd = file_of(stored->ptr, len);
            assert_int_equal(read_all(fd, 10000, &out, &err), SW_MALFORMED);
            assert_non_null(strstr(err.text, "ends within compressed data"));
            assert_true(out.len < PLAIN_BYTES);
            assert_true(out.len + 140000 > PLAIN_BYTES * cut / 21); /* zstd holds back a block */
            assert_memory_equal(out.ptr ? out.ptr : "", plain, out.len);
            close(fd);
            sw_buf_release(&out);
        }
    }
    sw_buf_release(&gzip);
    sw_buf_release(&zstd);
}

static void damaged(void **state) {
    struct sw_buf stored = {0}, out = {0};
    struct sw_error err = {0};
    gzip_add(&stored, plain, PLAIN_BYTES);
    stored.ptr[stored.len - 6] ^= 1; /* the checksum: every byte before it is good */
    int fd = file_of(stored.ptr, stored.len);
    assert_int_equal(read_all(fd, 1 << 20, &out, &err), SW_MALFORMED);
    assert_non_null(strstr(err.text, "damaged gzip data (incorrect data check)"));
    assert_int_equal(out.len, PLAIN_BYTES);
    close(fd);
    sw_buf_clear(&out);
    sw_buf_clear(&stored);
    zstd_add(&stored, plain, PLAIN_BYTES);
    stored.ptr[stored.len / 2] ^= 0x55;
    fd = file_of(stored.ptr, stored.len);
    enum sw_status status = read_all(fd, 5000, &out, &err);
    assert_true(status == SW_MALFORMED || memcmp(out.ptr, plain, PLAIN_BYTES) != 0); /* these frames have no checksum */
    close(fd);
    sw_buf_clear(&out);
    sw_buf_clear(&stored);
    gzip_add(&stored, plain, 1000);
    assert_int_equal(sw_buf_append(&stored, SW_STR("something else")), SW_OK);
    fd = file_of(stored.ptr, stored.len);
    assert_int_equal(read_all(fd, 5000, &out, &err), SW_MALFORMED);
    assert_int_equal(out.len, 1000);
    close(fd);
    sw_buf_release(&out);
    sw_buf_release(&stored);
}

/* Byte for byte through a pipe that does not block: SW_AGAIN in between, and nothing is held back that is whole. */
static void trickle(void **state) {
    int ends[2];
    struct sw_inflate *inflate;
    struct sw_error err = {0};
    char got[8];
    size_t len = 99;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_int_equal(sw_inflate_new(&inflate, ends[0]), SW_OK);
    assert_int_equal(sw_inflate_read(inflate, got, sizeof got, &len, &err), SW_AGAIN);
    assert_int_equal(write(ends[1], "a", 1), 1);
    assert_int_equal(sw_inflate_read(inflate, got, sizeof got, &len, &err), SW_OK);
    assert_true(len == 1 && got[0] == 'a');
    assert_int_equal(sw_inflate_read(inflate, got, sizeof got, &len, &err), SW_AGAIN);
    assert_int_equal(write(ends[1], "bc", 2), 2);
    assert_int_equal(sw_inflate_read(inflate, got, sizeof got, &len, &err), SW_OK);
    assert_int_equal(len, 2);
    close(ends[1]);
    assert_int_equal(sw_inflate_read(inflate, got, sizeof got, &len, &err), SW_OK);
    assert_int_equal(len, 0);
    sw_inflate_free(inflate);
    close(ends[0]);
}

static void trickle_of_gzip(void **state) {
    int ends[2];
    struct sw_buf stored = {0}, out = {0};
    struct sw_inflate *inflate;
    struct sw_error err = {0};
    gzip_add(&stored, "hello, ", 7);
    gzip_add(&stored, "world", 5);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_int_equal(sw_inflate_new(&inflate, ends[0]), SW_OK);
    for (size_t i = 0; i <= stored.len; i++) {
        char got[64];
        size_t len = 0;
        if (i < stored.len)
            assert_int_equal(write(ends[1], stored.ptr + i, 1), 1);
        else
            close(ends[1]);
        enum sw_status status;
        while ((status = sw_inflate_read(inflate, got, sizeof got, &len, &err)) == SW_OK && len > 0)
            assert_int_equal(sw_buf_append(&out, sw_str_make(got, len)), SW_OK);
        assert_int_equal(status, i < stored.len ? SW_AGAIN : SW_OK);
    }
    assert_true(sw_str_eq(sw_buf_view(&out), SW_STR("hello, world")));
    sw_inflate_free(inflate);
    close(ends[0]);
    sw_buf_release(&out);
    sw_buf_release(&stored);
}

static void unreadable(void **state) {
    struct sw_buf out = {0};
    struct sw_error err = {0};
    int fd = open("/tmp", O_RDONLY);
    assert_int_not_equal(read_all(fd, 10, &out, &err), SW_OK);
    assert_non_null(strstr(err.text, "cannot read source: Is a directory"));
    close(fd);
    sw_buf_release(&out);
}

static void without_memory(void **state) {
    struct sw_inflate *inflate = NULL;
    sw_mem_fail_at(1);
    assert_int_equal(sw_inflate_new(&inflate, 0), SW_NOMEM);
    sw_mem_fail_at(0);
    sw_inflate_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_and_in_parts),
        cmocka_unit_test(members_and_frames_follow_one_another),
        cmocka_unit_test(short_inputs_are_what_they_are),
        cmocka_unit_test(cut_off),
        cmocka_unit_test(damaged),
        cmocka_unit_test(trickle),
        cmocka_unit_test(trickle_of_gzip),
        cmocka_unit_test(unreadable),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
