/* timeline_html.c - A timeline as one HTML file that zooms and pans and needs nothing else; see timeline.h. */
#include "base/json.h"
#include "report/profile_markup_impl.h"
#include "report/timeline.h"
#include "report/timeline_assets_impl.h"

static void spans_write(struct sw_json *json, const struct sw_timeline *timeline, const struct sw_timeline_lane *lane) {
    sw_json_key(json, SW_STR("spans"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < lane->span_count; i++) {
        sw_json_i64(json, lane->spans[i].start_ns - timeline->start_ns);
        sw_json_i64(json, lane->spans[i].end_ns - lane->spans[i].start_ns);
        sw_json_u64(json, lane->spans[i].kind);
    }
    sw_json_array_end(json);
}

static void lanes_write(struct sw_json *json, const struct sw_timeline *timeline) {
    sw_json_key(json, SW_STR("lanes"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < timeline->lane_count; i++) {
        const struct sw_timeline_lane *lane = &timeline->lanes[i];
        sw_json_object_begin(json);
        sw_json_key(json, SW_STR("name"));
        sw_json_str(json, lane->name);
        sw_json_key(json, SW_STR("detail"));
        sw_json_str(json, lane->detail);
        sw_json_key(json, SW_STR("share"));
        sw_json_array_begin(json);
        for (unsigned kind = 0; kind < SW_TIMELINE_KINDS; kind++)
            sw_json_f64(json, lane->share[kind]); /* NAN becomes null */
        sw_json_array_end(json);
        spans_write(json, timeline, lane);
        sw_json_object_end(json);
    }
    sw_json_array_end(json);
}

static void marks_write(struct sw_json *json, const struct sw_timeline *timeline) {
    sw_json_key(json, SW_STR("marks"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < timeline->mark_count; i++) {
        const struct sw_timeline_mark *mark = &timeline->marks[i];
        sw_json_object_begin(json);
        sw_json_key(json, SW_STR("start"));
        sw_json_i64(json, mark->start_ns - timeline->start_ns);
        sw_json_key(json, SW_STR("end"));
        sw_json_i64(json, mark->end_ns - timeline->start_ns);
        sw_json_key(json, SW_STR("lane"));
        sw_json_u64(json, mark->lane);
        sw_json_key(json, SW_STR("text"));
        sw_json_str(json, mark->text);
        sw_json_object_end(json);
    }
    sw_json_array_end(json);
}

static enum sw_status data_write(const struct sw_timeline *timeline, struct sw_buf *out) {
    struct sw_json json;
    sw_json_init(&json, out);
    sw_json_object_begin(&json);
    sw_json_key(&json, SW_STR("length"));
    sw_json_i64(&json, timeline->end_ns > timeline->start_ns ? timeline->end_ns - timeline->start_ns : 1);
    sw_json_key(&json, SW_STR("kinds"));
    sw_json_array_begin(&json);
    for (unsigned kind = 0; kind < SW_TIMELINE_KINDS; kind++)
        sw_json_str(&json, timeline->kinds[kind]);
    sw_json_array_end(&json);
    sw_json_key(&json, SW_STR("marksTitle"));
    sw_json_str(&json, timeline->marks_title);
    lanes_write(&json, timeline);
    marks_write(&json, timeline);
    sw_json_object_end(&json);
    return sw_json_status(&json);
}

static const char body[] =
    "<noscript><p>The picture and its tables are drawn by a script in this file.</p></noscript>\n"
    "<div class=\"tools\"><span id=\"legend\" class=\"tools\"></span><span class=\"spacer\"></span>"
    "<span id=\"range\" class=\"quiet\"></span>"
    "<button id=\"in\">Zoom in</button><button id=\"out\">Zoom out</button><button id=\"all\">Show all</button>"
    "<button id=\"theme\">Light / dark</button></div>\n"
    "<div class=\"stage\"><canvas id=\"lanes\" tabindex=\"0\" role=\"img\" aria-label=\"Timeline, one lane a thread; "
    "plus and minus zoom, arrow keys move, 0 shows all\"></canvas></div>\n"
    "<p class=\"quiet\">The wheel zooms, dragging moves, a double click shows all. Where many intervals fall on one column, "
    "each kind has its share of the height.</p>\n"
    "<div id=\"tip\" class=\"tip\" hidden></div>\n"
    "<h2 id=\"marks-title\"></h2>\n<div class=\"scroll\"><table id=\"marks\"></table></div>\n"
    "<h2>Threads</h2>\n<div class=\"scroll\"><table id=\"threads\"></table></div>\n"
    "<script type=\"application/json\" id=\"data\">";

enum sw_status sw_timeline_html(const struct sw_timeline *timeline, struct sw_buf *out) {
    struct sw_buf data = {0};
    struct sw_markup markup = {.out = out, .status = data_write(timeline, &data)};
    size_t len = out->len;
    sw_markup_raw(&markup, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    sw_markup_text(&markup, timeline->title);
    sw_markup_raw(&markup, "</title>\n<style>\n");
    sw_markup_bytes(&markup, sw_timeline_css);
    sw_markup_raw(&markup, "</style>\n</head>\n<body>\n<h1>");
    sw_markup_text(&markup, timeline->title);
    sw_markup_raw(&markup, "</h1>\n<p class=\"quiet\">");
    sw_markup_text(&markup, timeline->subtitle);
    sw_markup_raw(&markup, "</p>\n<p class=\"summary\">");
    sw_markup_text(&markup, timeline->summary);
    sw_markup_raw(&markup, "</p>\n");
    sw_markup_raw(&markup, body);
    sw_markup_json(&markup, sw_buf_view(&data));
    sw_markup_raw(&markup, "</script>\n<script>\n");
    sw_markup_bytes(&markup, sw_timeline_js);
    sw_markup_raw(&markup, "</script>\n</body>\n</html>\n");
    if (markup.status != SW_OK)
        out->len = len;
    sw_buf_release(&data);
    return markup.status;
}
