/* test_png.c - What is written as PNG reads back as it was, by cairo's libpng and by hand; faults are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cairo.h>
#include <zlib.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "report/png.h"

/* A parallel that is serial but has lanes, used in turn and out of order. */
static void lanes_run(struct sw_parallel *self, const struct sw_parallel_loop *loop) {
    for (size_t i = loop->count; i > 0; i--)
        loop->body(loop->context, i - 1, i, (unsigned)(i % self->lanes));
}

static struct sw_parallel three_lanes = {.lanes = 3, .run = lanes_run};

static enum sw_status buf_write(void *context, struct sw_str bytes, struct sw_error *err) {
    return sw_buf_append(context, bytes);
}

static uint8_t pixel_byte(uint32_t x, uint32_t y, unsigned channel) {
    uint32_t value = x * 3 + y * 5 + channel * 40 + (x * y % 11 == 0 ? x * 77 : 0);
    return (uint8_t)(x / 40 % 3 == 1 ? 9 : value);
}

static uint8_t *picture_make(uint32_t width, uint32_t height, unsigned channels) {
    uint8_t *pixels = sw_alloc((size_t)width * height * channels);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (unsigned k = 0; k < channels; k++)
                pixels[((size_t)y * width + x) * channels + k] = k == 3 ? 255 : pixel_byte(x, y, k);
    return pixels;
}

/* Writes the picture in calls of `rows` rows. */
static enum sw_status picture_write(const struct sw_png_options *options, const uint8_t *pixels, uint32_t rows,
                                    struct sw_parallel *parallel) {
    struct sw_png *png = NULL;
    struct sw_error err;
    size_t row_bytes = (size_t)options->width * (options->has_alpha ? 4 : 3);
    enum sw_status status = sw_png_open(&png, options, &err);
    for (uint32_t y = 0; y < options->height && !status; y += rows) {
        uint32_t count = options->height - y < rows ? options->height - y : rows;
        status = sw_png_rows(png, pixels + y * row_bytes, count, parallel, &err);
    }
    if (!status)
        status = sw_png_finish(png, &err);
    sw_png_close(png);
    return status;
}

static cairo_status_t feed_take(void *context, unsigned char *into, unsigned count) {
    struct sw_str *left = context;
    if (left->len < count)
        return CAIRO_STATUS_READ_ERROR;
    memcpy(into, left->ptr, count);
    *left = sw_str_skip(*left, count);
    return CAIRO_STATUS_SUCCESS;
}

static void picture_check(const struct sw_buf *file, const uint8_t *pixels, uint32_t width, unsigned channels) {
    struct sw_str left = sw_buf_view(file);
    cairo_surface_t *image = cairo_image_surface_create_from_png_stream(feed_take, &left);
    assert_int_equal(cairo_surface_status(image), CAIRO_STATUS_SUCCESS);
    assert_int_equal(left.len, 0);
    assert_int_equal(cairo_image_surface_get_width(image), width);
    for (int y = 0; y < cairo_image_surface_get_height(image); y++)
        for (uint32_t x = 0; x < width; x++) {
            uint32_t argb;
            memcpy(&argb, cairo_image_surface_get_data(image) + y * cairo_image_surface_get_stride(image) + 4 * x, 4);
            const uint8_t *pixel = pixels + ((size_t)y * width + x) * channels;
            uint32_t wanted = (uint32_t)pixel[0] << 16 | (uint32_t)pixel[1] << 8 | pixel[2];
            if ((argb & 0xffffff) != wanted)
                fail_msg("pixel %u, %d is %06x, not %06x", x, y, argb & 0xffffff, wanted);
        }
    cairo_surface_destroy(image);
}

static void pictures_read_back(void **state) {
    static const struct {
        uint32_t width, height, rows;
        bool has_alpha;
        int level;
    } rows[] = {
        {1, 1, 1, false, 0},    {1, 300, 300, false, 1},   {300, 1, 1, false, 0},
        {7, 5, 2, true, 6},     {640, 480, 480, 0, 0},     {640, 480, 17, false, 1},
        {333, 700, 200, 1, 12}, {20000, 30, 30, false, 6}, {100000, 3, 1, 0, 6},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_buf file = {0};
        unsigned channels = rows[i].has_alpha ? 4 : 3;
        struct sw_png_options options = {.width = rows[i].width,
                                         .height = rows[i].height,
                                         .has_alpha = rows[i].has_alpha,
                                         .level = rows[i].level,
                                         .write = buf_write,
                                         .context = &file};
        uint8_t *pixels = picture_make(options.width, options.height, channels);
        assert_int_equal(picture_write(&options, pixels, rows[i].rows, NULL), SW_OK);
        if (options.width <= 32767) /* as wide as cairo's pictures get */
            picture_check(&file, pixels, options.width, channels);
        sw_buf_release(&file);
        sw_free(pixels);
    }
}

/* The check sums of the chunks and the zlib stream over all of them, with zlib alone. */
static void file_is_as_the_standard_says(void **state) {
    struct sw_buf file = {0}, stream = {0};
    struct sw_png_options options = {
        .width = 700, .height = 900, .comment = SW_STR("made here"), .write = buf_write, .context = &file};
    uint8_t *pixels = picture_make(700, 900, 3);
    assert_int_equal(picture_write(&options, pixels, 500, &three_lanes), SW_OK);
    assert_memory_equal(file.ptr, "\x89PNG\r\n\x1a\n", 8);
    assert_non_null(memmem(file.ptr, file.len, "tEXtComment\0made here", 21));
    unsigned data_chunks = 0;
    bool is_ended = false;
    for (size_t at = 8; at < file.len;) {
        const uint8_t *chunk = (const uint8_t *)file.ptr + at;
        size_t length = (size_t)chunk[0] << 24 | (size_t)chunk[1] << 16 | (size_t)chunk[2] << 8 | chunk[3];
        assert_true(length + 12 <= file.len - at);
        const uint8_t *sum = chunk + 8 + length;
        uint32_t stored = (uint32_t)sum[0] << 24 | (uint32_t)sum[1] << 16 | (uint32_t)sum[2] << 8 | sum[3];
        assert_int_equal(stored, crc32(0, chunk + 4, (uInt)length + 4));
        if (memcmp(chunk + 4, "IDAT", 4) == 0) {
            data_chunks++;
            assert_int_equal(sw_buf_append(&stream, sw_str_make((const char *)chunk + 8, length)), SW_OK);
        }
        is_ended = memcmp(chunk + 4, "IEND", 4) == 0;
        at += length + 12;
    }
    assert_true(is_ended);
    assert_true(data_chunks > 5); /* several strips */
    uLongf size = 900 * 2101;
    uint8_t *rows = sw_alloc(size);
    assert_int_equal(uncompress(rows, &size, (const Bytef *)stream.ptr, stream.len), Z_OK); /* checks the Adler sum */
    assert_int_equal(size, 900 * 2101);
    for (size_t y = 0; y < 900; y++)
        assert_in_range(rows[y * 2101], 0, 4);
    sw_free(rows);
    sw_free(pixels);
    sw_buf_release(&file);
    sw_buf_release(&stream);
}

static void threads_do_not_change_the_bytes(void **state) {
    struct sw_buf serial = {0}, parallel = {0};
    struct sw_png_options options = {.width = 800, .height = 600, .write = buf_write, .context = &serial};
    uint8_t *pixels = picture_make(800, 600, 3);
    assert_int_equal(picture_write(&options, pixels, 250, NULL), SW_OK);
    options.context = &parallel;
    assert_int_equal(picture_write(&options, pixels, 250, &three_lanes), SW_OK);
    assert_int_equal(serial.len, parallel.len);
    assert_memory_equal(serial.ptr, parallel.ptr, serial.len);
    sw_free(pixels);
    sw_buf_release(&serial);
    sw_buf_release(&parallel);
}

static void facts_count_the_file(void **state) {
    struct sw_buf file = {0};
    struct sw_png *png = NULL;
    struct sw_png_facts facts;
    struct sw_png_options options = {.width = 50, .height = 40, .write = buf_write, .context = &file};
    uint8_t *pixels = picture_make(50, 40, 3);
    assert_int_equal(sw_png_open(&png, &options, NULL), SW_OK);
    assert_int_equal(sw_png_rows(png, pixels, 0, NULL, NULL), SW_OK);
    assert_int_equal(sw_png_rows(png, pixels, 40, NULL, NULL), SW_OK);
    assert_int_equal(sw_png_finish(png, NULL), SW_OK);
    sw_png_facts(png, &facts);
    assert_int_equal(facts.file_bytes, file.len);
    assert_true(facts.encode_ns >= 0 && facts.write_ns >= 0);
    sw_png_close(png);
    sw_free(pixels);
    sw_buf_release(&file);
}

static void wrong_use_is_told(void **state) {
    static const uint32_t sizes[][2] = {{0, 1}, {1, 0}, {SW_PNG_SIDE_MAX + 1, 1}, {1, SW_PNG_SIDE_MAX + 1}};
    struct sw_buf file = {0};
    struct sw_png *png = NULL;
    struct sw_error err;
    uint8_t pixels[3 * 4 * 4] = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct sw_png_options options = {.width = sizes[i][0],
                                         .height = sizes[i][1],
                                         .write = buf_write,
                                         .context = &file};
        assert_int_equal(sw_png_open(&png, &options, &err), SW_INVALID);
        assert_null(png);
    }
    struct sw_png_options options = {.width = 4, .height = 4, .write = buf_write, .context = &file};
    assert_int_equal(sw_png_open(&png, &options, &err), SW_OK);
    assert_int_equal(sw_png_rows(png, pixels, 5, NULL, &err), SW_INVALID);
    assert_int_equal(sw_png_rows(png, pixels, 3, NULL, &err), SW_OK);
    assert_int_equal(sw_png_finish(png, &err), SW_INVALID);
    assert_string_equal(err.text, "a picture of 4 rows has got only 3");
    sw_png_close(png);
    sw_png_close(NULL);
    sw_buf_release(&file);
}

/* Ends the writing once so many bytes have passed. */
struct disk {
    size_t room;
};

static enum sw_status disk_write(void *context, struct sw_str bytes, struct sw_error *err) {
    struct disk *disk = context;
    if (bytes.len > disk->room)
        return sw_fail(err, SW_IO, "the disk is full");
    disk->room -= bytes.len;
    return SW_OK;
}

static void failed_writes_end_it(void **state) {
    uint8_t *pixels = picture_make(600, 500, 3);
    for (size_t room = 0; room < 20000; room += 500) {
        struct disk disk = {room};
        struct sw_png_options options = {.width = 600, .height = 500, .write = disk_write, .context = &disk};
        enum sw_status status = picture_write(&options, pixels, 100, &three_lanes);
        assert_true(status == SW_IO || status == SW_OK);
        if (room == 0)
            assert_int_equal(status, SW_IO);
    }
    sw_free(pixels);
}

static void memory_may_run_out(void **state) {
    uint8_t *pixels = picture_make(300, 700, 3);
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status != SW_OK && nth < 200; nth++) {
        struct sw_buf file = {0};
        struct sw_png_options options = {
            .width = 300, .height = 700, .comment = SW_STR("x"), .write = buf_write, .context = &file};
        sw_mem_fail_at(nth);
        status = picture_write(&options, pixels, 350, &three_lanes);
        sw_mem_fail_at(0);
        assert_true(status == SW_OK || status == SW_NOMEM);
        sw_buf_release(&file);
    }
    assert_int_equal(status, SW_OK);
    sw_free(pixels);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_read_back),
        cmocka_unit_test(file_is_as_the_standard_says),
        cmocka_unit_test(threads_do_not_change_the_bytes),
        cmocka_unit_test(facts_count_the_file),
        cmocka_unit_test(wrong_use_is_told),
        cmocka_unit_test(failed_writes_end_it),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
