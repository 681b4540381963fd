/* inflate.c - Plain, gzip (also of several members) and zstd input; see inflate.h. */
#include "engine/inflate.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"

#define INPUT_BYTES (128u * 1024u)
static const char GZIP_MAGIC[] = "\x1f\x8b";
static const char ZSTD_MAGIC[] = "\x28\xb5\x2f\xfd";

enum coding { CODING_UNKNOWN, CODING_PLAIN, CODING_GZIP, CODING_ZSTD };

struct sw_inflate {
    int fd;
    enum coding coding;
    bool is_at_end; /* of the compressed input */
    bool is_within; /* a member or frame has begun and not ended */
    z_stream gzip;
    ZSTD_DStream *zstd;
    size_t begin, end; /* of what is unread in `input` */
    char input[INPUT_BYTES];
};

static enum sw_status input_fill(struct sw_inflate *in, struct sw_error *err) {
    if (in->begin > 0) {
        memmove(in->input, in->input + in->begin, in->end - in->begin);
        in->end -= in->begin;
        in->begin = 0;
    }
    ssize_t count;
    do {
        count = read(in->fd, in->input + in->end, INPUT_BYTES - in->end);
    } while (count < 0 && errno == EINTR);
    if (count < 0)
        return errno == EAGAIN ? SW_AGAIN : sw_fail_errno(err, errno, "cannot read source");
    in->is_at_end = count == 0;
    in->end += (size_t)count;
    return SW_OK;
}

static bool may_be(const struct sw_inflate *in, const char *magic, size_t len) {
    size_t held = in->end - in->begin;
    return memcmp(in->input + in->begin, magic, held < len ? held : len) == 0;
}

/* Reads no more than it takes to tell: a line of two bytes typed at a terminal is plain at once. */
static enum sw_status coding_find(struct sw_inflate *in, struct sw_error *err) {
    bool is_gzip = true;
    bool is_zstd = true;
    size_t needed = 1;
    while (in->end - in->begin < needed && !in->is_at_end) {
        enum sw_status status = input_fill(in, err);
        if (status != SW_OK)
            return status;
        is_gzip = may_be(in, GZIP_MAGIC, sizeof GZIP_MAGIC - 1);
        is_zstd = may_be(in, ZSTD_MAGIC, sizeof ZSTD_MAGIC - 1);
        needed = is_gzip ? sizeof GZIP_MAGIC - 1 : is_zstd ? sizeof ZSTD_MAGIC - 1 : 1;
    }
    bool is_whole = in->end - in->begin >= needed && in->end > in->begin;
    in->coding = CODING_PLAIN;
    if (is_whole && is_gzip) {
        in->coding = CODING_GZIP;
        if (inflateInit2(&in->gzip, 15 + 16) != Z_OK)
            return sw_fail(err, SW_NOMEM, "cannot start gzip decompression: out of memory");
    } else if (is_whole && is_zstd) {
        in->coding = CODING_ZSTD;
        in->zstd = ZSTD_createDStream();
        if (!in->zstd)
            return sw_fail(err, SW_NOMEM, "cannot start zstd decompression: out of memory");
    }
    return SW_OK;
}

static enum sw_status plain_read(struct sw_inflate *in, char *out, size_t room, size_t *len, struct sw_error *err) {
    size_t held = in->end - in->begin;
    if (held > 0) {
        *len = held < room ? held : room;
        memcpy(out, in->input + in->begin, *len);
        in->begin += *len;
        return SW_OK;
    }
    ssize_t count;
    do {
        count = in->is_at_end ? 0 : read(in->fd, out, room);
    } while (count < 0 && errno == EINTR);
    if (count < 0)
        return errno == EAGAIN ? SW_AGAIN : sw_fail_errno(err, errno, "cannot read source");
    *len = (size_t)count;
    return SW_OK;
}

static enum sw_status gzip_step(struct sw_inflate *in, char *out, size_t room, size_t *len, struct sw_error *err) {
    in->gzip.next_in = (Bytef *)in->input + in->begin;
    in->gzip.avail_in = (uInt)(in->end - in->begin);
    in->gzip.next_out = (Bytef *)out;
    in->gzip.avail_out = (uInt)(room < (1u << 30) ? room : 1u << 30);
    uInt asked = in->gzip.avail_out;
    int result = inflate(&in->gzip, Z_NO_FLUSH);
    in->begin = in->end - in->gzip.avail_in;
    *len = asked - in->gzip.avail_out;
    in->is_within = result != Z_STREAM_END;
    if (result == Z_STREAM_END)
        inflateReset(&in->gzip);
    else if (result != Z_OK && result != Z_BUF_ERROR &&
             *len == 0) /* what came before the damage goes first; zlib fails again */
        return sw_fail(err, SW_MALFORMED, "cannot decompress source: damaged gzip data (%s)",
                       in->gzip.msg ? in->gzip.msg : "?");
    return SW_OK;
}

static enum sw_status zstd_step(struct sw_inflate *in, char *out, size_t room, size_t *len, struct sw_error *err) {
    ZSTD_inBuffer from = {in->input + in->begin, in->end - in->begin, 0};
    ZSTD_outBuffer to = {out, room, 0};
    size_t result = ZSTD_decompressStream(in->zstd, &to, &from);
    in->begin += from.pos;
    *len = to.pos;
    in->is_within = result != 0;
    if (ZSTD_isError(result))
        return sw_fail(err, SW_MALFORMED, "cannot decompress source: damaged zstd data (%s)",
                       ZSTD_getErrorName(result));
    return SW_OK;
}

enum sw_status sw_inflate_new(struct sw_inflate **out, int fd) {
    struct sw_inflate *in = sw_alloc(sizeof *in);
    if (!in)
        return SW_NOMEM;
    memset(in, 0, offsetof(struct sw_inflate, input));
    in->fd = fd;
    *out = in;
    return SW_OK;
}

void sw_inflate_free(struct sw_inflate *in) {
    if (!in)
        return;
    if (in->coding == CODING_GZIP)
        inflateEnd(&in->gzip);
    ZSTD_freeDStream(in->zstd);
    sw_free(in);
}

/* Steps that yield nothing (headers) go on; each either consumes input or asks for more, so the loop ends. */
enum sw_status sw_inflate_read(struct sw_inflate *in, char *out, size_t room, size_t *len, struct sw_error *err) {
    if (in->coding == CODING_UNKNOWN) {
        enum sw_status status = coding_find(in, err);
        if (status != SW_OK)
            return status;
    }
    if (in->coding == CODING_PLAIN)
        return plain_read(in, out, room, len, err);
    for (;;) {
        size_t held = in->end - in->begin;
        enum sw_status status = SW_OK;
        *len = 0;
        if (held > 0 || in->is_within)
            status =
                in->coding == CODING_GZIP ? gzip_step(in, out, room, len, err) : zstd_step(in, out, room, len, err);
        if (status != SW_OK || *len > 0)
            return status;
        if (in->end - in->begin < held)
            continue;
        if (in->is_at_end)
            return in->is_within
                       ? sw_fail(err, SW_MALFORMED, "cannot decompress source: it ends within compressed data")
                       : SW_OK;
        status = input_fill(in, err);
        if (status != SW_OK)
            return status;
    }
}
