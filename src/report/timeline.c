/* timeline.c - Draws a timeline as PNG or SVG; see timeline.h. */
#include "report/timeline.h"

#include <math.h>

#include "base/mem.h"

#define WIDTH 1600.0
#define LEFT 260.0
#define RIGHT 1290.0 /* where the lanes end and the share bars' margin begins */
#define BAR_LEFT 1316.0
#define BAR_RIGHT 1440.0
#define TOP 112.0
#define LANE 34.0
#define GAP 10.0
#define AXIS 46.0
#define MARK_LINE 20.0
#define MARKS_MAX 8
#define COLUMNS 1030 /* RIGHT - LEFT */

#define INK 0x1c2430ffu
#define QUIET 0x667085ffu
#define FAINT 0xe4e8eeffu
#define BED 0xf4f6f9ffu
#define PAPER 0xffffffffu

static const uint32_t kind_colors[SW_TIMELINE_KINDS] = {0x2a66d9ffu, 0xf2994affu};

struct plan {
    const struct sw_timeline *timeline;
    struct sw_canvas *canvas;
    size_t lanes, marks;
    double axis_y, height;
};

static double column_of(const struct sw_timeline *timeline, int64_t time_ns) {
    double length_ns = (double)(timeline->end_ns - timeline->start_ns);
    double share = length_ns > 0 ? (double)(time_ns - timeline->start_ns) / length_ns : 0;
    return fmin(fmax(share, 0), 1) * COLUMNS;
}

/* Adds a span to the columns it touches, as shares of each. */
static void columns_add(double *columns, double from, double to) {
    for (size_t i = (size_t)from; i < COLUMNS && (double)i < to; i++)
        columns[i] += fmin(to, (double)i + 1) - fmax(from, (double)i);
}

static void columns_draw(const struct plan *plan, const double (*columns)[COLUMNS], double y) {
    for (size_t i = 0; i < COLUMNS; i++) {
        double bottom = y + LANE;
        for (unsigned kind = 0; kind < SW_TIMELINE_KINDS; kind++) {
            double height = fmin(columns[kind][i], 1) * LANE;
            if (height < 0.25)
                continue;
            height = fmin(height, bottom - y);
            sw_canvas_fill(plan->canvas, LEFT + (double)i, bottom - height, 1.02, height, kind_colors[kind]);
            bottom -= height;
        }
    }
}

static void text_at(const struct plan *plan, double x, double y, struct sw_canvas_text how, struct sw_str text) {
    how.x = x;
    how.y = y;
    sw_canvas_text(plan->canvas, &how, text);
}

static void share_draw(const struct plan *plan, const struct sw_timeline_lane *lane, double y) {
    double x = BAR_LEFT;
    char text[48];
    sw_canvas_fill(plan->canvas, BAR_LEFT, y + 6, BAR_RIGHT - BAR_LEFT, LANE - 12, BED);
    for (unsigned kind = 0; kind < SW_TIMELINE_KINDS; kind++) {
        double share = isnan(lane->share[kind]) ? 0 : fmin(fmax(lane->share[kind], 0), 1);
        double width = fmin(share * (BAR_RIGHT - BAR_LEFT), BAR_RIGHT - x);
        sw_canvas_fill(plan->canvas, x, y + 6, width, LANE - 12, kind_colors[kind]);
        x += width;
        if (isnan(lane->share[kind]))
            snprintf(text, sizeof text, "-");
        else
            snprintf(text, sizeof text, "%.1f %%", 100 * lane->share[kind]);
        text_at(plan, BAR_RIGHT + 66 + 68 * kind, y + LANE / 2 + 4,
                (struct sw_canvas_text){.size = 12, .color = INK, .align = SW_CANVAS_RIGHT}, sw_str_from(text));
    }
}

static enum sw_status lane_draw(const struct plan *plan, size_t index) {
    const struct sw_timeline *timeline = plan->timeline;
    const struct sw_timeline_lane *lane = &timeline->lanes[index];
    double y = TOP + (double)index * (LANE + GAP);
    double(*columns)[COLUMNS] = sw_alloc_array_zero(SW_TIMELINE_KINDS, sizeof *columns);
    if (!columns)
        return SW_NOMEM;
    for (size_t i = 0; i < lane->span_count; i++)
        columns_add(columns[lane->spans[i].kind], column_of(timeline, lane->spans[i].start_ns),
                    column_of(timeline, lane->spans[i].end_ns));
    sw_canvas_fill(plan->canvas, LEFT, y, COLUMNS, LANE, BED);
    columns_draw(plan, columns, y);
    sw_free(columns);
    sw_canvas_clip(plan->canvas, 0, y - GAP, LEFT - 12, LANE + 2 * GAP);
    double shift = lane->detail.len ? 0 : 6;
    text_at(plan, 24, y + 15 + shift, (struct sw_canvas_text){.size = 14, .color = INK, .is_bold = true}, lane->name);
    text_at(plan, 24, y + 30, (struct sw_canvas_text){.size = 11, .color = QUIET}, lane->detail);
    sw_canvas_unclip(plan->canvas);
    share_draw(plan, lane, y);
    return SW_OK;
}

/* 1, 2 or 5 times a power of ten, so that there are at most twelve. */
static double tick_ns(double length_ns) {
    double step = 1;
    for (int i = 0; i < 64 && length_ns / step > 12; i++)
        step *= i % 3 == 1 ? 2.5 : 2;
    return step;
}

static struct sw_str time_text(double ns, double step_ns, char out[32]) {
    double unit = step_ns >= 1e8 ? 1e9 : step_ns >= 1e5 ? 1e6 : 1e3;
    int digits = step_ns >= unit ? 0 : step_ns * 10 >= unit * 0.999 ? 1 : 2;
    int len = snprintf(out, 32, "%.*f %s", digits, ns / unit, unit > 1e8 ? "s" : unit > 1e5 ? "ms" : "us");
    return sw_str_make(out, len > 0 ? (size_t)len : 0);
}

static void axis_draw(const struct plan *plan) {
    const struct sw_timeline *timeline = plan->timeline;
    double length_ns = (double)(timeline->end_ns - timeline->start_ns);
    double step_ns = tick_ns(length_ns);
    char text[32];
    for (int i = 0; i <= 12 && step_ns * i <= length_ns && length_ns > 0; i++) {
        double x = LEFT + step_ns * i / length_ns * COLUMNS;
        sw_canvas_fill(plan->canvas, x, TOP - 6, 1, plan->axis_y - TOP + 6, FAINT);
        text_at(plan, x, plan->axis_y + 18,
                (struct sw_canvas_text){.size = 12, .color = QUIET, .align = SW_CANVAS_CENTRE},
                time_text(step_ns * i, step_ns, text));
    }
    sw_canvas_fill(plan->canvas, LEFT, plan->axis_y, COLUMNS, 1, QUIET);
}

static void head_draw(const struct plan *plan) {
    const struct sw_timeline *timeline = plan->timeline;
    double x = 24;
    sw_canvas_clip(plan->canvas, 0, 0, WIDTH - 24, TOP);
    text_at(plan, 24, 38, (struct sw_canvas_text){.size = 22, .color = INK, .is_bold = true}, timeline->title);
    text_at(plan, 24, 60, (struct sw_canvas_text){.size = 13, .color = QUIET}, timeline->subtitle);
    sw_canvas_unclip(plan->canvas);
    x = LEFT;
    for (unsigned kind = 0; kind < SW_TIMELINE_KINDS; kind++) {
        struct sw_canvas_text how = {.size = 13, .color = INK};
        sw_canvas_fill(plan->canvas, x, 78, 14, 14, kind_colors[kind]);
        text_at(plan, x + 21, 90, how, timeline->kinds[kind]);
        x += 21 + sw_canvas_text_width(plan->canvas, &how, timeline->kinds[kind]) + 28;
        text_at(plan, BAR_RIGHT + 66 + 68 * kind, 96,
                (struct sw_canvas_text){.size = 11, .color = QUIET, .align = SW_CANVAS_RIGHT}, timeline->kinds[kind]);
    }
    text_at(plan, BAR_LEFT, 96, (struct sw_canvas_text){.size = 11, .color = QUIET}, SW_STR("share of the time"));
}

/* A numbered flag where the mark begins, and its line below the axis. */
static void mark_draw(const struct plan *plan, size_t index) {
    const struct sw_timeline_mark *mark = &plan->timeline->marks[index];
    double y = plan->axis_y + AXIS + MARK_LINE * (double)(index + 1) + 4;
    char number[24];
    snprintf(number, sizeof number, "%zu", index + 1);
    struct sw_canvas_text how = {.size = 11, .color = PAPER, .align = SW_CANVAS_CENTRE, .is_bold = true};
    if (mark->lane < plan->lanes) {
        double top = TOP + (double)mark->lane * (LANE + GAP);
        double x = LEFT + (column_of(plan->timeline, mark->start_ns) + column_of(plan->timeline, mark->end_ns)) / 2;
        sw_canvas_circle(plan->canvas, x, top - 1, 8, INK);
        text_at(plan, x, top + 3, how, sw_str_from(number));
    }
    sw_canvas_circle(plan->canvas, LEFT + 8, y - 4, 8, INK);
    text_at(plan, LEFT + 8, y, how, sw_str_from(number));
    text_at(plan, LEFT + 26, y, (struct sw_canvas_text){.size = 13, .color = INK}, mark->text);
}

static void foot_draw(const struct plan *plan) {
    const struct sw_timeline *timeline = plan->timeline;
    char text[64];
    double y = plan->axis_y + AXIS;
    if (plan->lanes < timeline->lane_count) {
        snprintf(text, sizeof text, "and %zu threads more, not shown", timeline->lane_count - plan->lanes);
        text_at(plan, 24, plan->axis_y + 18, (struct sw_canvas_text){.size = 12, .color = QUIET}, sw_str_from(text));
    }
    if (plan->marks > 0)
        text_at(plan, LEFT, y, (struct sw_canvas_text){.size = 13, .color = QUIET}, timeline->marks_title);
    for (size_t i = 0; i < plan->marks; i++)
        mark_draw(plan, i);
    text_at(plan, 24, plan->height - 18, (struct sw_canvas_text){.size = 14, .color = INK}, timeline->summary);
}

enum sw_status sw_timeline_picture(const struct sw_timeline *timeline, enum sw_canvas_format format,
                                   struct sw_buf *out) {
    struct plan plan = {.timeline = timeline};
    plan.lanes = timeline->lane_count < SW_TIMELINE_LANES_MAX ? timeline->lane_count : SW_TIMELINE_LANES_MAX;
    plan.marks = timeline->mark_count < MARKS_MAX ? timeline->mark_count : MARKS_MAX;
    plan.axis_y = TOP + (double)plan.lanes * (LANE + GAP);
    plan.height = plan.axis_y + AXIS + MARK_LINE * (double)plan.marks + (plan.marks ? 24 : 0) + 40;
    enum sw_status status = sw_canvas_new(&plan.canvas, format, WIDTH, plan.height);
    if (status != SW_OK)
        return status;
    sw_canvas_fill(plan.canvas, 0, 0, WIDTH, plan.height, PAPER);
    head_draw(&plan);
    axis_draw(&plan);
    for (size_t i = 0; i < plan.lanes && status == SW_OK; i++)
        status = lane_draw(&plan, i);
    foot_draw(&plan);
    if (status == SW_OK)
        status = sw_canvas_finish(plan.canvas, out);
    sw_canvas_free(plan.canvas);
    return status;
}
