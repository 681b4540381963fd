/* test_canvas.c - Pictures: what is drawn is in the bytes, bad text does not end the drawing, memory may run out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cairo.h>
#include <cmocka.h>

#include "base/mem.h"
#include "report/canvas.h"

#define RED 0xff0000ffu
#define GREEN 0x00ff00ffu
#define BLUE 0x0000ffffu
#define WHITE 0xffffffffu

struct feed {
    struct sw_str left;
};

static cairo_status_t feed_take(void *context, unsigned char *into, unsigned count) {
    struct feed *feed = context;
    if (feed->left.len < count)
        return CAIRO_STATUS_READ_ERROR;
    memcpy(into, feed->left.ptr, count);
    feed->left = sw_str_skip(feed->left, count);
    return CAIRO_STATUS_SUCCESS;
}

/* The picture read back; free with cairo_surface_destroy. */
static cairo_surface_t *png_read(const struct sw_buf *bytes) {
    struct feed feed = {sw_buf_view(bytes)};
    cairo_surface_t *image = cairo_image_surface_create_from_png_stream(feed_take, &feed);
    assert_int_equal(cairo_surface_status(image), CAIRO_STATUS_SUCCESS);
    return image;
}

static uint32_t pixel(cairo_surface_t *image, int x, int y) {
    uint32_t value;
    memcpy(&value, cairo_image_surface_get_data(image) + y * cairo_image_surface_get_stride(image) + 4 * x,
           sizeof value);
    return (value << 8 | 0xff) & 0xffffffff; /* cairo's is ARGB, and all that is tested is opaque */
}

static size_t pixels_of(cairo_surface_t *image, uint32_t color) {
    size_t count = 0;
    for (int y = 0; y < cairo_image_surface_get_height(image); y++)
        for (int x = 0; x < cairo_image_surface_get_width(image); x++)
            count += pixel(image, x, y) == color;
    return count;
}

static struct sw_canvas *canvas_white(enum sw_canvas_format format, double width, double height) {
    struct sw_canvas *canvas = NULL;
    assert_int_equal(sw_canvas_new(&canvas, format, width, height), SW_OK);
    sw_canvas_fill(canvas, 0, 0, width, height, WHITE);
    return canvas;
}

static void shapes_are_where_they_were_drawn(void **state) {
    struct sw_canvas *canvas = canvas_white(SW_CANVAS_PNG, 100, 60);
    struct sw_buf out = {0};
    sw_canvas_fill(canvas, 10, 20, 5, 4, RED);
    sw_canvas_fill(canvas, 50, 20, 10, 10, BLUE);
    sw_canvas_circle(canvas, 80, 30, 5, RED);
    sw_canvas_polyline(canvas, (const double[]){0, 50.5, 100, 50.5}, 2, 1, GREEN);
    assert_int_equal(sw_canvas_finish(canvas, &out), SW_OK);
    cairo_surface_t *image = png_read(&out);
    assert_int_equal(cairo_image_surface_get_width(image), 100);
    assert_int_equal(cairo_image_surface_get_height(image), 60);
    assert_int_equal(pixel(image, 10, 20), RED);
    assert_int_equal(pixel(image, 14, 23), RED);
    assert_int_equal(pixel(image, 15, 24), WHITE);
    assert_int_equal(pixel(image, 55, 25), BLUE);
    assert_int_equal(pixel(image, 80, 30), RED);
    assert_int_equal(pixel(image, 74, 24), WHITE);
    assert_int_equal(pixel(image, 50, 50), GREEN);
    assert_int_equal(pixels_of(image, BLUE), 100);
    cairo_surface_destroy(image);
    sw_buf_release(&out);
    sw_canvas_free(canvas);
}

static void clip_holds_until_unclip(void **state) {
    struct sw_canvas *canvas = canvas_white(SW_CANVAS_PNG, 40, 40);
    struct sw_buf out = {0};
    sw_canvas_clip(canvas, 10, 10, 5, 5);
    sw_canvas_fill(canvas, 0, 0, 40, 40, RED);
    sw_canvas_unclip(canvas);
    sw_canvas_fill(canvas, 20, 20, 2, 2, BLUE);
    assert_int_equal(sw_canvas_finish(canvas, &out), SW_OK);
    cairo_surface_t *image = png_read(&out);
    assert_int_equal(pixels_of(image, RED), 25);
    assert_int_equal(pixels_of(image, BLUE), 4);
    cairo_surface_destroy(image);
    sw_buf_release(&out);
    sw_canvas_free(canvas);
}

/* Columns in which the text left ink: first and last; needs a font, as every system that shows pictures has. */
static void ink_columns(enum sw_canvas_align align, struct sw_str text, int *first, int *last) {
    struct sw_canvas *canvas = canvas_white(SW_CANVAS_PNG, 400, 40);
    struct sw_buf out = {0};
    sw_canvas_text(canvas, &(struct sw_canvas_text){.x = 200, .y = 25, .color = 0x000000ff, .align = align}, text);
    assert_int_equal(sw_canvas_finish(canvas, &out), SW_OK);
    cairo_surface_t *image = png_read(&out);
    *first = *last = -1;
    for (int x = 0; x < 400; x++) {
        for (int y = 0; y < 40; y++) {
            if (pixel(image, x, y) != WHITE) {
                *first = *first < 0 ? x : *first;
                *last = x;
            }
        }
    }
    cairo_surface_destroy(image);
    sw_buf_release(&out);
    sw_canvas_free(canvas);
}

static void text_is_aligned(void **state) {
    int first, last;
    struct sw_str text = SW_STR("held 97 %");
    ink_columns(SW_CANVAS_LEFT, text, &first, &last);
    if (first < 0)
        skip(); /* no font here */
    assert_true(first >= 199 && last > 210);
    ink_columns(SW_CANVAS_RIGHT, text, &first, &last);
    assert_true(first < 190 && last <= 201);
    ink_columns(SW_CANVAS_CENTRE, text, &first, &last);
    assert_true(first < 199 && last > 201);
}

static void width_grows_with_the_text(void **state) {
    struct sw_canvas *canvas = canvas_white(SW_CANVAS_PNG, 10, 10);
    struct sw_canvas_text how = {.size = 12};
    struct sw_canvas_text large = {.size = 24, .is_mono = true, .is_bold = true};
    assert_true(sw_canvas_text_width(canvas, &how, SW_STR("")) == 0);
    double one = sw_canvas_text_width(canvas, &how, SW_STR("m"));
    double three = sw_canvas_text_width(canvas, &how, SW_STR("mmm"));
    assert_true(three >= 2 * one);
    assert_true(sw_canvas_text_width(canvas, &large, SW_STR("mmm")) >= three);
    sw_canvas_free(canvas);
}

static void bad_text_does_not_end_the_drawing(void **state) {
    static const char *const rows[] = {"\xff",
                                       "\xc0\xaf",
                                       "\xed\xa0\x80",
                                       "\xf4\x90\x80\x80",
                                       "a\xe2\x82",
                                       "\x01\x7f",
                                       "\xe2\x82\xac gr\xc3\xbc\xc3\x9f"};
    struct sw_canvas *canvas = canvas_white(SW_CANVAS_PNG, 100, 40);
    struct sw_buf out = {0};
    char many[5000];
    memset(many, 'x', sizeof many);
    memcpy(many + 1019, "\xe2\x82\xac\xe2\x82\xac", 6); /* where it is cut */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        sw_canvas_text(canvas, &(struct sw_canvas_text){.y = 20, .color = RED}, sw_str_from(rows[i]));
    sw_canvas_text(canvas, &(struct sw_canvas_text){.y = 20, .color = RED}, sw_str_make(many, sizeof many));
    sw_canvas_fill(canvas, 0, 0, 100, 40, BLUE);
    assert_int_equal(sw_canvas_finish(canvas, &out), SW_OK);
    cairo_surface_t *image = png_read(&out);
    assert_int_equal(pixels_of(image, BLUE), 4000);
    cairo_surface_destroy(image);
    sw_buf_release(&out);
    sw_canvas_free(canvas);
}

static void svg_is_appended(void **state) {
    struct sw_canvas *canvas = canvas_white(SW_CANVAS_SVG, 640, 480);
    struct sw_buf out = {0};
    assert_int_equal(sw_buf_append(&out, SW_STR("before")), SW_OK);
    sw_canvas_fill(canvas, 1, 2, 3, 4, RED);
    assert_int_equal(sw_canvas_finish(canvas, &out), SW_OK);
    assert_true(sw_str_starts(sw_buf_view(&out), SW_STR("before<?xml")));
    assert_non_null(memmem(out.ptr, out.len, "<svg", 4));
    assert_non_null(memmem(out.ptr, out.len, "640", 3));
    assert_true(sw_str_ends(sw_str_trim(sw_buf_view(&out)), SW_STR("</svg>\n")));
    assert_int_equal(sw_canvas_finish(canvas, &out), SW_INVALID);
    sw_buf_release(&out);
    sw_canvas_free(canvas);
}

static void sizes_have_bounds(void **state) {
    static const double rows[][2] = {{0, 10}, {10, 0}, {-1, 10}, {1e9, 10}, {10, 40000}, {0.0 / 0.0, 10}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_canvas *canvas = NULL;
        assert_int_equal(sw_canvas_new(&canvas, SW_CANVAS_PNG, rows[i][0], rows[i][1]), SW_INVALID);
        assert_null(canvas);
    }
    sw_canvas_free(NULL);
}

static void memory_may_run_out(void **state) {
    for (int format = SW_CANVAS_PNG; format <= SW_CANVAS_SVG; format++) {
        enum sw_status status = SW_NOMEM;
        for (size_t nth = 1; status != SW_OK && nth < 100; nth++) {
            struct sw_canvas *canvas = NULL;
            struct sw_buf out = {0};
            sw_mem_fail_at(nth);
            status = sw_canvas_new(&canvas, (enum sw_canvas_format)format, 50, 50);
            if (status == SW_OK) {
                sw_canvas_fill(canvas, 0, 0, 10, 10, RED);
                status = sw_canvas_finish(canvas, &out);
            }
            sw_mem_fail_at(0);
            assert_true(status == SW_OK ? out.len > 0 : status == SW_NOMEM && out.len == 0);
            sw_canvas_free(canvas);
            sw_buf_release(&out);
        }
        assert_int_equal(status, SW_OK);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_where_they_were_drawn),
        cmocka_unit_test(clip_holds_until_unclip),
        cmocka_unit_test(text_is_aligned),
        cmocka_unit_test(width_grows_with_the_text),
        cmocka_unit_test(bad_text_does_not_end_the_drawing),
        cmocka_unit_test(svg_is_appended),
        cmocka_unit_test(sizes_have_bounds),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
