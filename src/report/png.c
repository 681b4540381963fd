/* png.c - Writes PNG by strips that are compressed in parallel; see png.h. */
#include "report/png.h"

#include <libdeflate.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "report/deflate.h"
#include "report/png_filter_impl.h"

#define STRIP_BYTES (256u << 10)
#define LEVEL_DEFAULT 6
#define COMMENT_MAX 4096

/* What a lane needs to compress a strip; made at its first. */
struct lane {
    struct libdeflate_compressor *compressor;
    uint8_t *filtered; /* a strip and a row */
};

/* One strip of the call under way. */
struct strip {
    struct sw_buf chunk; /* the finished IDAT chunk */
    uint32_t adler;
    size_t filtered_bytes;
    enum sw_status status;
};

struct sw_png {
    struct sw_png_options options;
    struct sw_png_facts facts;
    size_t row_bytes, pixel_bytes;
    uint32_t strip_rows, rows; /* rows taken so far */
    uint8_t *above;            /* the last row taken; zeros before the first */
    uint32_t adler;
    struct lane *lanes;
    unsigned lane_count;
    struct strip *strips;
    size_t strip_count;
    const uint8_t *pixels; /* of the call under way */
    uint32_t count;
};

static void number_put(char out[4], uint32_t number) {
    for (int i = 0; i < 4; i++)
        out[i] = (char)(number >> (24 - 8 * i));
}

static enum sw_status bytes_write(struct sw_png *png, struct sw_str bytes, struct sw_error *err) {
    int64_t start_ns = sw_clock_mono_ns();
    enum sw_status status = png->options.write(png->options.context, bytes, err);
    png->facts.write_ns += sw_clock_mono_ns() - start_ns;
    png->facts.file_bytes += status ? 0 : bytes.len;
    return status;
}

/* The chunk's length goes to its front, the check sum of all behind it to its end. */
static enum sw_status chunk_close(struct sw_buf *chunk) {
    char sum[4];
    number_put(chunk->ptr, (uint32_t)(chunk->len - 8));
    number_put(sum, libdeflate_crc32(0, chunk->ptr + 4, chunk->len - 4));
    return sw_buf_append(chunk, sw_str_make(sum, sizeof sum));
}

static enum sw_status chunk_append(struct sw_buf *out, const char name[5], struct sw_str body) {
    struct sw_buf chunk = {0};
    enum sw_status status = sw_buf_append(&chunk, SW_STR("\0\0\0\0"));
    if (!status)
        status = sw_buf_append(&chunk, sw_str_make(name, 4));
    if (!status)
        status = sw_buf_append(&chunk, body);
    if (!status)
        status = chunk_close(&chunk);
    if (!status)
        status = sw_buf_append(out, sw_buf_view(&chunk));
    sw_buf_release(&chunk);
    return status;
}

static enum sw_status comment_append(struct sw_buf *out, struct sw_str comment) {
    struct sw_buf body = {0};
    enum sw_status status = sw_buf_append(&body, SW_STR("Comment\0"));
    if (!status)
        status = sw_buf_append(&body, comment);
    if (!status)
        status = chunk_append(out, "tEXt", sw_buf_view(&body));
    sw_buf_release(&body);
    return status;
}

static enum sw_status head_write(struct sw_png *png, struct sw_error *err) {
    char header[13] = {[8] = 8, [9] = (char)(png->options.has_alpha ? 6 : 2)};
    struct sw_buf out = {0};
    number_put(header, png->options.width);
    number_put(header + 4, png->options.height);
    enum sw_status status = sw_buf_append(&out, SW_STR("\x89PNG\r\n\x1a\n"));
    if (!status)
        status = chunk_append(&out, "IHDR", sw_str_make(header, sizeof header));
    if (!status)
        status = chunk_append(&out, "sRGB", SW_STR("\0"));
    if (!status && png->options.comment.len > 0)
        status = comment_append(&out, png->options.comment);
    if (!status)
        status = chunk_append(&out, "IDAT", SW_STR("\x78\x9c")); /* the zlib stream's head has a chunk of its own */
    status = status ? sw_fail(err, status, "cannot write a picture: out of memory")
                    : bytes_write(png, sw_buf_view(&out), err);
    sw_buf_release(&out);
    return status;
}

static enum sw_status lane_prepare(struct sw_png *png, struct lane *lane) {
    if (!lane->compressor)
        lane->compressor = libdeflate_alloc_compressor(png->options.level);
    if (!lane->filtered)
        lane->filtered = sw_alloc_array(png->strip_rows + 1, png->row_bytes + 1);
    return lane->compressor && lane->filtered ? SW_OK : SW_NOMEM;
}

/* Filters the strip's rows into the lane's memory; returns how many bytes they take. */
static size_t strip_filter(struct sw_png *png, size_t index, const struct lane *lane) {
    uint32_t first = (uint32_t)index * png->strip_rows;
    uint32_t rows = png->count - first < png->strip_rows ? png->count - first : png->strip_rows;
    uint8_t *scratch = lane->filtered + png->strip_rows * (png->row_bytes + 1);
    struct sw_png_row row = {.size = png->row_bytes, .step = png->pixel_bytes};
    for (uint32_t y = 0; y < rows; y++) {
        row.pixels = png->pixels + (size_t)(first + y) * png->row_bytes;
        row.above = first + y == 0 ? png->above : row.pixels - png->row_bytes;
        sw_png_filter(&row, lane->filtered + y * (png->row_bytes + 1), scratch);
    }
    return rows * (png->row_bytes + 1);
}

static enum sw_status strip_encode(struct sw_png *png, size_t index, struct lane *lane) {
    struct strip *strip = &png->strips[index];
    enum sw_status status = lane_prepare(png, lane);
    if (status)
        return status;
    strip->filtered_bytes = strip_filter(png, index, lane);
    strip->adler = libdeflate_adler32(1, lane->filtered, strip->filtered_bytes);
    size_t room = libdeflate_deflate_compress_bound(lane->compressor, strip->filtered_bytes);
    sw_buf_clear(&strip->chunk);
    status = sw_buf_append(&strip->chunk, SW_STR("\0\0\0\0IDAT"));
    if (!status)
        status = sw_buf_reserve(&strip->chunk, room);
    if (status)
        return status;
    size_t size = libdeflate_deflate_compress(lane->compressor, lane->filtered, strip->filtered_bytes,
                                              strip->chunk.ptr + 8, room);
    if (size == 0)
        return SW_LIMIT;
    strip->chunk.len += size;
    status = sw_deflate_reopen(&strip->chunk, 8);
    return status ? status : chunk_close(&strip->chunk);
}

static void strips_encode(void *context, size_t first, size_t last, unsigned lane) {
    struct sw_png *png = context;
    for (size_t i = first; i < last; i++)
        png->strips[i].status = strip_encode(png, i, &png->lanes[lane]);
}

static enum sw_status lanes_grow(struct sw_png *png, unsigned count) {
    if (count <= png->lane_count)
        return SW_OK;
    struct lane *lanes = sw_realloc_array(png->lanes, count, sizeof *lanes);
    if (!lanes)
        return SW_NOMEM;
    memset(lanes + png->lane_count, 0, (count - png->lane_count) * sizeof *lanes);
    png->lanes = lanes;
    png->lane_count = count;
    return SW_OK;
}

static enum sw_status strips_grow(struct sw_png *png, size_t count) {
    if (count <= png->strip_count)
        return SW_OK;
    struct strip *strips = sw_realloc_array(png->strips, count, sizeof *strips);
    if (!strips)
        return SW_NOMEM;
    memset(strips + png->strip_count, 0, (count - png->strip_count) * sizeof *strips);
    png->strips = strips;
    png->strip_count = count;
    return SW_OK;
}

static enum sw_status strips_write(struct sw_png *png, size_t count, struct sw_error *err) {
    for (size_t i = 0; i < count; i++) {
        struct strip *strip = &png->strips[i];
        enum sw_status status = strip->status;
        if (status)
            return sw_fail(err, status, "cannot compress a picture: %s", sw_status_text(status));
        status = bytes_write(png, sw_buf_view(&strip->chunk), err);
        if (status)
            return status;
        png->adler = (uint32_t)adler32_combine(png->adler, strip->adler, (z_off_t)strip->filtered_bytes);
    }
    return SW_OK;
}

enum sw_status sw_png_open(struct sw_png **out, const struct sw_png_options *options, struct sw_error *err) {
    if (options->width - 1 >= SW_PNG_SIDE_MAX || options->height - 1 >= SW_PNG_SIDE_MAX || options->level < 0 ||
        options->level > 12 || options->comment.len > COMMENT_MAX)
        return sw_fail(err, SW_INVALID, "cannot write a picture of %u x %u pixels: from 1 to %u on each side",
                       options->width, options->height, SW_PNG_SIDE_MAX);
    struct sw_png *png = sw_alloc_zero(sizeof *png);
    if (!png)
        return sw_fail(err, SW_NOMEM, "cannot write a picture: out of memory");
    png->options = *options;
    png->options.level = options->level ? options->level : LEVEL_DEFAULT;
    png->pixel_bytes = options->has_alpha ? 4 : 3;
    png->row_bytes = options->width * png->pixel_bytes;
    png->strip_rows = (uint32_t)(STRIP_BYTES / (png->row_bytes + 1)) + 1;
    png->adler = 1;
    png->above = sw_alloc_zero(png->row_bytes);
    enum sw_status status =
        png->above ? head_write(png, err) : sw_fail(err, SW_NOMEM, "cannot write a picture: out of memory");
    if (status)
        sw_png_close(png);
    else
        *out = png;
    return status;
}

enum sw_status sw_png_rows(struct sw_png *png, const uint8_t *pixels, uint32_t count, struct sw_parallel *parallel,
                           struct sw_error *err) {
    size_t strips = (count + (size_t)png->strip_rows - 1) / png->strip_rows;
    if (count > png->options.height - png->rows)
        return sw_fail(err, SW_INVALID, "a picture of %u rows cannot take %u more behind %u", png->options.height,
                       count, png->rows);
    if (count == 0)
        return SW_OK;
    if (lanes_grow(png, sw_parallel_lanes(parallel)) || strips_grow(png, strips))
        return sw_fail(err, SW_NOMEM, "cannot compress a picture: out of memory");
    int64_t start_ns = sw_clock_mono_ns();
    png->pixels = pixels;
    png->count = count;
    sw_parallel_run(parallel, &(struct sw_parallel_loop){.count = strips, .body = strips_encode, .context = png});
    png->facts.encode_ns += sw_clock_mono_ns() - start_ns;
    enum sw_status status = strips_write(png, strips, err);
    if (status)
        return status;
    memcpy(png->above, pixels + (size_t)(count - 1) * png->row_bytes, png->row_bytes);
    png->rows += count;
    return SW_OK;
}

enum sw_status sw_png_finish(struct sw_png *png, struct sw_error *err) {
    char tail[6] = {3, 0}; /* an empty last block */
    struct sw_buf out = {0};
    if (png->rows != png->options.height)
        return sw_fail(err, SW_INVALID, "a picture of %u rows has got only %u", png->options.height, png->rows);
    number_put(tail + 2, png->adler);
    enum sw_status status = chunk_append(&out, "IDAT", sw_str_make(tail, sizeof tail));
    if (!status)
        status = chunk_append(&out, "IEND", SW_STR(""));
    status = status ? sw_fail(err, status, "cannot write a picture: out of memory")
                    : bytes_write(png, sw_buf_view(&out), err);
    sw_buf_release(&out);
    return status;
}

void sw_png_facts(const struct sw_png *png, struct sw_png_facts *facts) {
    *facts = png->facts;
}

void sw_png_close(struct sw_png *png) {
    if (!png)
        return;
    for (unsigned i = 0; i < png->lane_count; i++) {
        if (png->lanes[i].compressor)
            libdeflate_free_compressor(png->lanes[i].compressor);
        sw_free(png->lanes[i].filtered);
    }
    for (size_t i = 0; i < png->strip_count; i++)
        sw_buf_release(&png->strips[i].chunk);
    sw_free(png->lanes);
    sw_free(png->strips);
    sw_free(png->above);
    sw_free(png);
}
