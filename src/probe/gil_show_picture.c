/* gil_show_picture.c - A GIL timeline as a picture or a page: one lane for each thread; see report/timeline.h. */
#include <math.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/mem.h"
#include "probe/gil_show.h"
#include "probe/gil_show_impl.h"
#include "report/timeline.h"

#define MARKS_MAX 8

/* A timeline of report/timeline.h and all that it points to. */
struct picture {
    struct sw_timeline timeline;
    struct sw_timeline_lane *lanes;
    struct sw_timeline_mark marks[MARKS_MAX];
    size_t *order;
    struct sw_buf summary;
    struct sw_arena arena;
};

static struct sw_str keep(struct picture *picture, const char *text, enum sw_status *status) {
    struct sw_str copy = sw_arena_copy(&picture->arena, sw_str_from(text));
    if (!copy.ptr)
        *status = SW_NOMEM;
    return copy;
}

static enum sw_status lane_fill(struct picture *picture, struct sw_timeline_lane *lane,
                                const struct sw_gil_thread *thread) {
    enum sw_status status = SW_OK;
    char text[320];
    double length_ns = (double)(picture->timeline.end_ns - picture->timeline.start_ns);
    struct sw_timeline_span *spans = sw_arena_alloc(&picture->arena, (thread->span_count + 1) * sizeof *spans);
    struct sw_str name = sw_gil_show_name(thread);
    char handoffs[32];
    if (!spans)
        return SW_NOMEM;
    for (size_t i = 0; i < thread->span_count; i++)
        spans[i] = (struct sw_timeline_span){thread->spans[i].start_ns, thread->spans[i].end_ns,
                                             thread->spans[i].state == SW_GIL_WAITED};
    lane->spans = spans;
    lane->span_count = thread->span_count;
    lane->share[0] = length_ns > 0 ? (double)thread->held_ns / length_ns : NAN;
    lane->share[1] = length_ns > 0 && thread->has_waits ? (double)thread->waited_ns / length_ns : NAN;
    snprintf(text, sizeof text, "%.*s", SW_STR_ARG(name));
    lane->name = keep(picture, text, &status);
    sw_gil_show_count(thread->handoffs, handoffs);
    snprintf(text, sizeof text, "thread %d, %s hand-offs%s", thread->tid, handoffs, thread->is_gone ? ", ended" : "");
    lane->detail = keep(picture, text, &status);
    return status;
}

static size_t place_of(const struct picture *picture, size_t thread) {
    size_t place = 0;
    while (place < picture->timeline.lane_count && picture->order[place] != thread)
        place++;
    return place;
}

static enum sw_status marks_fill(struct picture *picture, const struct sw_gil_timeline *timeline) {
    enum sw_status status = SW_OK;
    size_t count;
    char text[640], where[256], time[32];
    const struct sw_gil_hold *holds = sw_gil_timeline_holds(timeline, &count);
    for (size_t i = 0; i < count && i < MARKS_MAX && status == SW_OK; i++) {
        struct sw_gil_thread thread = sw_gil_timeline_thread(timeline, holds[i].thread);
        struct sw_str name = sw_gil_show_name(&thread);
        struct sw_str place = sw_gil_show_where(&holds[i].where, where);
        sw_gil_show_time(holds[i].end_ns - holds[i].start_ns, time);
        snprintf(text, sizeof text, "%s at %.3f s by %.*s in %.*s, %u waiting behind it", time,
                 (double)(holds[i].start_ns - picture->timeline.start_ns) / 1e9, SW_STR_ARG(name), SW_STR_ARG(place),
                 holds[i].waiters);
        picture->marks[i] = (struct sw_timeline_mark){holds[i].start_ns, holds[i].end_ns,
                                                      place_of(picture, holds[i].thread), keep(picture, text, &status)};
        picture->timeline.mark_count = i + 1;
    }
    return status;
}

static enum sw_status heads_fill(struct picture *picture, const struct sw_gil_timeline *timeline,
                                 const struct sw_gil_about *about) {
    enum sw_status status = SW_OK;
    struct sw_gil_totals totals = sw_gil_timeline_totals(timeline);
    char text[1024], resolution[320], handoffs[32];
    struct sw_str how = sw_gil_show_resolution(&totals, resolution);
    sw_gil_show_count(totals.handoffs, handoffs);
    picture->timeline.start_ns = totals.start_ns;
    picture->timeline.end_ns = totals.end_ns;
    snprintf(text, sizeof text, "GIL timeline of process %d: %.*s", about->pid, SW_STR_ARG(about->command));
    picture->timeline.title = keep(picture, text, &status);
    snprintf(text, sizeof text, "CPython %.*s; %.*s; %s hand-offs%s%.*s", SW_STR_ARG(about->version), SW_STR_ARG(how),
             handoffs, about->ending.len ? "; ended early: " : "", SW_STR_ARG(about->ending));
    picture->timeline.subtitle = keep(picture, text, &status);
    if (status == SW_OK)
        status = sw_gil_show_summary(timeline, &picture->summary);
    picture->timeline.summary = sw_buf_view(&picture->summary);
    picture->timeline.kinds[0] = SW_STR("held");
    picture->timeline.kinds[1] = SW_STR("waited");
    picture->timeline.marks_title = SW_STR("Longest holds");
    return status;
}

static enum sw_status picture_fill(struct picture *picture, const struct sw_gil_timeline *timeline,
                                   const struct sw_gil_about *about) {
    size_t count = sw_gil_timeline_count(timeline);
    picture->order = sw_gil_show_order(timeline);
    picture->lanes = sw_alloc_array_zero(count, sizeof *picture->lanes);
    if (!picture->order || !picture->lanes)
        return SW_NOMEM;
    picture->timeline.lanes = picture->lanes;
    picture->timeline.lane_count = count;
    picture->timeline.marks = picture->marks;
    enum sw_status status = heads_fill(picture, timeline, about);
    for (size_t i = 0; i < count && status == SW_OK; i++) {
        struct sw_gil_thread thread = sw_gil_timeline_thread(timeline, picture->order[i]);
        status = lane_fill(picture, &picture->lanes[i], &thread);
    }
    return status == SW_OK ? marks_fill(picture, timeline) : status;
}

static void picture_release(struct picture *picture) {
    sw_free(picture->order);
    sw_free(picture->lanes);
    sw_buf_release(&picture->summary);
    sw_arena_release(&picture->arena);
}

enum sw_status sw_gil_show_picture(const struct sw_gil_timeline *timeline, const struct sw_gil_about *about,
                                   enum sw_canvas_format format, struct sw_buf *out) {
    struct picture picture = {0};
    enum sw_status status = picture_fill(&picture, timeline, about);
    if (status == SW_OK)
        status = sw_timeline_picture(&picture.timeline, format, out);
    picture_release(&picture);
    return status;
}

enum sw_status sw_gil_show_html(const struct sw_gil_timeline *timeline, const struct sw_gil_about *about,
                                struct sw_buf *out) {
    struct picture picture = {0};
    enum sw_status status = picture_fill(&picture, timeline, about);
    if (status == SW_OK)
        status = sw_timeline_html(&picture.timeline, out);
    picture_release(&picture);
    return status;
}
