/* test_timeline.c - Timelines as pictures and pages: spans are drawn where they are, texts are safe, memory may run out. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cairo.h>
#include <cmocka.h>

#include "base/json_read.h"
#include "base/mem.h"
#include "report/timeline.h"

#define SECOND INT64_C(1000000000)
#define FIRST_LANE_Y 129 /* the middle of the first lane */
#define LEFT 260
#define WIDTH 1030

static const struct sw_timeline_span first[] = {{0, SECOND / 2, 0}, {SECOND / 2, SECOND, 1}};
static const struct sw_timeline_span second[] = {{SECOND / 4, SECOND / 2, 0}};

static const struct sw_timeline_lane lanes[] = {
    {SW_STR("main"), SW_STR("thread 1"), first, 2, {0.5, 0.5}},
    {SW_STR("</script><b>&\xff"), SW_STR(""), second, 1, {0.25, NAN}},
    {SW_STR("idle"), SW_STR(""), NULL, 0, {0, 0}},
};

static const struct sw_timeline_mark marks[] = {{0, SECOND / 2, 0, SW_STR("500 ms in f (<a>.py:1)")}};

static struct sw_timeline timeline_make(void) {
    return (struct sw_timeline){.title = SW_STR("A <title> & more"),
                                .subtitle = SW_STR("subtitle"),
                                .summary = SW_STR("summary"),
                                .kinds = {SW_STR("held"), SW_STR("waited")},
                                .marks_title = SW_STR("Longest holds"),
                                .start_ns = 0,
                                .end_ns = SECOND,
                                .lanes = lanes,
                                .lane_count = 3,
                                .marks = marks,
                                .mark_count = 1};
}

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

/* 'h' held (blue), 'w' waited (orange), '.' neither, at a share of the lane's length. */
static char color_at(cairo_surface_t *image, double share, int y) {
    uint32_t pixel;
    int x = LEFT + (int)(share * WIDTH);
    memcpy(&pixel, cairo_image_surface_get_data(image) + y * cairo_image_surface_get_stride(image) + 4 * x,
           sizeof pixel);
    int red = (int)(pixel >> 16 & 255), blue = (int)(pixel & 255);
    return blue - red > 60 ? 'h' : red - blue > 60 ? 'w' : '.';
}

static void spans_are_where_they_were(void **state) {
    struct sw_timeline timeline = timeline_make();
    struct sw_buf out = {0};
    assert_int_equal(sw_timeline_picture(&timeline, SW_CANVAS_PNG, &out), SW_OK);
    struct feed feed = {sw_buf_view(&out)};
    cairo_surface_t *image = cairo_image_surface_create_from_png_stream(feed_take, &feed);
    assert_int_equal(cairo_surface_status(image), CAIRO_STATUS_SUCCESS);
    assert_int_equal(cairo_image_surface_get_width(image), 1600);
    assert_int_equal(color_at(image, 0.1, FIRST_LANE_Y), 'h');
    assert_int_equal(color_at(image, 0.45, FIRST_LANE_Y), 'h');
    assert_int_equal(color_at(image, 0.55, FIRST_LANE_Y), 'w');
    assert_int_equal(color_at(image, 0.95, FIRST_LANE_Y), 'w');
    assert_int_equal(color_at(image, 0.15, FIRST_LANE_Y + 44), '.');
    assert_int_equal(color_at(image, 0.35, FIRST_LANE_Y + 44), 'h');
    assert_int_equal(color_at(image, 0.65, FIRST_LANE_Y + 44), '.');
    assert_int_equal(color_at(image, 0.35, FIRST_LANE_Y + 88), '.');
    cairo_surface_destroy(image);
    sw_buf_release(&out);
}

static void many_spans_share_a_column(void **state) {
    struct sw_timeline_span *spans = sw_alloc_array(20000, sizeof *spans);
    assert_non_null(spans);
    for (int64_t i = 0; i < 20000; i++) /* a quarter of each 50 us */
        spans[i] = (struct sw_timeline_span){i * 50000, i * 50000 + 12500, 0};
    struct sw_timeline_lane lane = {.name = SW_STR("x"), .spans = spans, .span_count = 20000, .share = {0.25, 0}};
    struct sw_timeline timeline = timeline_make();
    timeline.lanes = &lane;
    timeline.lane_count = 1;
    timeline.mark_count = 0;
    struct sw_buf out = {0};
    assert_int_equal(sw_timeline_picture(&timeline, SW_CANVAS_PNG, &out), SW_OK);
    struct feed feed = {sw_buf_view(&out)};
    cairo_surface_t *image = cairo_image_surface_create_from_png_stream(feed_take, &feed);
    assert_int_equal(cairo_surface_status(image), CAIRO_STATUS_SUCCESS);
    for (double share = 0.1; share < 0.95; share += 0.1) {
        assert_int_equal(color_at(image, share, FIRST_LANE_Y + 14), 'h'); /* the lowest quarter */
        assert_int_equal(color_at(image, share, FIRST_LANE_Y), '.');
    }
    cairo_surface_destroy(image);
    sw_buf_release(&out);
    sw_free(spans);
}

static void svg_and_empty_timelines_work(void **state) {
    struct sw_timeline timeline = timeline_make();
    struct sw_buf out = {0};
    assert_int_equal(sw_timeline_picture(&timeline, SW_CANVAS_SVG, &out), SW_OK);
    assert_non_null(memmem(out.ptr, out.len, "<svg", 4));
    struct sw_timeline empty = {0};
    assert_int_equal(sw_timeline_picture(&empty, SW_CANVAS_PNG, &out), SW_OK);
    assert_int_equal(sw_timeline_html(&empty, &out), SW_OK);
    sw_buf_release(&out);
}

static void page_holds_the_data_and_no_markup(void **state) {
    static const char marker[] = "id=\"data\">";
    struct sw_timeline timeline = timeline_make();
    struct sw_buf out = {0};
    assert_int_equal(sw_timeline_html(&timeline, &out), SW_OK);
    assert_non_null(memmem(out.ptr, out.len, "<h1>A &lt;title&gt; &amp; more</h1>", 34));
    assert_null(memmem(out.ptr, out.len, "<b>", 3));
    const char *start = memmem(out.ptr, out.len, marker, sizeof marker - 1);
    assert_non_null(start);
    start += sizeof marker - 1;
    const char *end = memmem(start, out.len - (size_t)(start - out.ptr), "</script>", 9);
    assert_non_null(end);
    struct sw_json_reader reader;
    struct sw_json_token token = {.kind = SW_JSON_NULL};
    size_t numbers = 0;
    sw_json_reader_init(&reader, sw_str_make(start, (size_t)(end - start)));
    while (token.kind != SW_JSON_END) {
        assert_int_equal(sw_json_read(&reader, &token), SW_OK);
        numbers += token.kind == SW_JSON_NUMBER;
    }
    assert_int_equal(numbers, 1 /* length */ + 3 * 3 /* spans */ + 5 /* shares, one is not known */ + 3 /* mark */);
    sw_buf_release(&out);
}

static void memory_may_run_out(void **state) {
    struct sw_timeline timeline = timeline_make();
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status != SW_OK && nth < 1000; nth++) {
        struct sw_buf out = {0};
        sw_mem_fail_at(nth);
        status = sw_timeline_picture(&timeline, SW_CANVAS_PNG, &out);
        if (status == SW_OK)
            status = sw_timeline_html(&timeline, &out);
        sw_mem_fail_at(0);
        assert_true(status == SW_OK || status == SW_NOMEM);
        sw_buf_release(&out);
    }
    assert_int_equal(status, SW_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_where_they_were),    cmocka_unit_test(many_spans_share_a_column),
        cmocka_unit_test(svg_and_empty_timelines_work), cmocka_unit_test(page_holds_the_data_and_no_markup),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
