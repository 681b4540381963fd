/* ws_deflate.c - zlib raw streams, message by message. */
#define ZLIB_CONST /* next_in points to const */
#include "net/ws_deflate.h"

#include "base/mem.h"

enum {
    WINDOW_BYTES = 32768,
    STEP_BYTES = 4096, /* output room asked for at a time */
    RESTARTS_MAX = 16, /* an honest sender ends the stream at most once per message */
    USUAL_BITS = 12,
    LEVEL = 3,
    MEMORY_LEVEL = 5, /* 16 KiB of pending output and hash chains */
};

static const unsigned char tail[4] = {0x00, 0x00, 0xff, 0xff};

static void *zlib_alloc(void *opaque, unsigned count, unsigned size) {
    return sw_alloc_array(count, size);
}

static void zlib_free(void *opaque, void *ptr) {
    sw_free(ptr);
}

static enum sw_status open_inflater(struct sw_ws_inflater *inflater) {
    if (inflater->is_open) {
        return SW_OK;
    }
    *inflater = (struct sw_ws_inflater){.stream = {.zalloc = zlib_alloc, .zfree = zlib_free}};
    if (inflateInit2(&inflater->stream, -MAX_WBITS) != Z_OK) {
        return SW_NOMEM;
    }
    inflater->is_open = true;
    return SW_OK;
}

/* A final block ended the stream, which RFC 7692 section 7.2.3.4 allows; what follows may still refer to its window. */
static enum sw_status restart(struct sw_ws_inflater *inflater) {
    if (++inflater->restarts > RESTARTS_MAX) {
        return SW_LIMIT;
    }
    unsigned char *window = sw_alloc(WINDOW_BYTES);
    if (!window) {
        return SW_NOMEM;
    }
    unsigned len = 0;
    bool is_ok = inflateGetDictionary(&inflater->stream, window, &len) == Z_OK &&
                 inflateReset(&inflater->stream) == Z_OK &&
                 (len == 0 || inflateSetDictionary(&inflater->stream, window, len) == Z_OK);
    sw_free(window);
    return is_ok ? SW_OK : SW_NOMEM;
}

/* One call of inflate into room for at least one byte; above the limit the byte goes nowhere. */
static enum sw_status inflate_step(struct sw_ws_inflater *inflater, size_t max_bytes, struct sw_buf *out) {
    z_stream *stream = &inflater->stream;
    unsigned char spill;
    uint64_t left = max_bytes > inflater->out_bytes ? max_bytes - inflater->out_bytes : 0;
    size_t room = left < STEP_BYTES ? (size_t)left : STEP_BYTES;
    if (room > 0 && sw_buf_reserve(out, room) != SW_OK) {
        return SW_NOMEM;
    }
    stream->next_out = room > 0 ? (unsigned char *)out->ptr + out->len : &spill;
    stream->avail_out = room > 0 ? (unsigned)room : 1;
    int result = inflate(stream, Z_SYNC_FLUSH);
    size_t made = (room > 0 ? room : 1) - stream->avail_out;
    if (room == 0 && made > 0) {
        return SW_LIMIT;
    }
    out->len += made;
    inflater->out_bytes += made;
    if (result == Z_STREAM_END) {
        return restart(inflater);
    }
    if (result == Z_MEM_ERROR) {
        return SW_NOMEM;
    }
    /* Z_BUF_ERROR says that there was nothing left to do. */
    return result == Z_OK || result == Z_BUF_ERROR ? SW_OK : SW_MALFORMED;
}

static enum sw_status inflate_piece(struct sw_ws_inflater *inflater, struct sw_str piece, size_t max_bytes,
                                    struct sw_buf *out) {
    z_stream *stream = &inflater->stream;
    enum sw_status status = SW_OK;
    if (piece.len > UINT32_MAX) {
        return SW_LIMIT;
    }
    stream->next_in = (const unsigned char *)piece.ptr;
    stream->avail_in = (unsigned)piece.len;
    /* A full output buffer means that more may be waiting inside, even with no input left. */
    do {
        status = inflate_step(inflater, max_bytes, out);
    } while (status == SW_OK && (stream->avail_in > 0 || stream->avail_out == 0));
    return status;
}

void sw_ws_inflater_release(struct sw_ws_inflater *inflater) {
    if (inflater->is_open) {
        inflateEnd(&inflater->stream);
    }
    *inflater = (struct sw_ws_inflater){0};
}

enum sw_status sw_ws_inflater_feed(struct sw_ws_inflater *inflater, struct sw_str piece, size_t max_bytes,
                                   struct sw_buf *out) {
    enum sw_status status = open_inflater(inflater);
    if (status != SW_OK || piece.len == 0) {
        return status;
    }
    return inflate_piece(inflater, piece, max_bytes, out);
}

enum sw_status sw_ws_inflater_end(struct sw_ws_inflater *inflater, size_t max_bytes, struct sw_buf *out) {
    enum sw_status status = open_inflater(inflater);
    if (status == SW_OK) {
        status = inflate_piece(inflater, sw_str_make((const char *)tail, sizeof(tail)), max_bytes, out);
    }
    /* zlib sets bit 7 between two blocks: elsewhere the tail was swallowed by an unfinished block. */
    if (status == SW_OK && !(inflater->stream.data_type & 128)) {
        status = SW_MALFORMED;
    }
    inflater->out_bytes = 0;
    inflater->restarts = 0;
    return status;
}

static enum sw_status open_deflater(struct sw_ws_deflater *deflater, const struct sw_ws_deflate *agreed) {
    if (deflater->is_open) {
        return SW_OK;
    }
    int bits = agreed->server_bits ? agreed->server_bits : USUAL_BITS;
    *deflater = (struct sw_ws_deflater){.stream = {.zalloc = zlib_alloc, .zfree = zlib_free}};
    int result = deflateInit2(&deflater->stream, LEVEL, Z_DEFLATED, -bits, MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
    if (result != Z_OK) {
        return result == Z_MEM_ERROR ? SW_NOMEM : SW_INVALID;
    }
    deflater->is_open = true;
    return SW_OK;
}

static enum sw_status deflate_all(struct sw_ws_deflater *deflater, struct sw_str message, struct sw_buf *out) {
    z_stream *stream = &deflater->stream;
    stream->next_in = (const unsigned char *)message.ptr;
    stream->avail_in = (unsigned)message.len;
    do {
        if (sw_buf_reserve(out, STEP_BYTES) != SW_OK) {
            return SW_NOMEM;
        }
        stream->next_out = (unsigned char *)out->ptr + out->len;
        stream->avail_out = STEP_BYTES;
        if (deflate(stream, Z_SYNC_FLUSH) == Z_STREAM_ERROR) {
            return SW_INVALID;
        }
        out->len += STEP_BYTES - stream->avail_out;
    } while (stream->avail_out == 0);
    return SW_OK;
}

void sw_ws_deflater_release(struct sw_ws_deflater *deflater) {
    if (deflater->is_open) {
        deflateEnd(&deflater->stream);
    }
    *deflater = (struct sw_ws_deflater){0};
}

enum sw_status sw_ws_deflater_message(struct sw_ws_deflater *deflater, const struct sw_ws_deflate *agreed,
                                      struct sw_str message, struct sw_buf *out) {
    if (message.len == 0) {
        return sw_buf_append_byte(out, '\0'); /* an empty block; a second flush in a row would make zlib say nothing */
    }
    if (message.len > UINT32_MAX) {
        return SW_LIMIT;
    }
    size_t begin = out->len;
    enum sw_status status = open_deflater(deflater, agreed);
    if (status == SW_OK) {
        status = deflate_all(deflater, message, out);
    }
    if (status != SW_OK) {
        out->len = begin;
        return status;
    }
    out->len -= sizeof(tail);
    if (agreed->is_server_no_takeover) {
        deflateReset(&deflater->stream);
    }
    return SW_OK;
}
