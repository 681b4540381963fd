/* gil_spans.c - The holds and waits of each thread, kept within a bound by dropping the shortest. */
#include "base/mem.h"
#include "probe/gil_timeline_impl.h"

#define DETAIL_FIRST_NS 50000

static void lane_coarsen(struct sw_gil_lane *lane, int64_t detail_ns) {
    size_t kept = 0;
    for (size_t i = 0; i < lane->span_count; i++) {
        struct sw_gil_span *last = kept ? &lane->spans[kept - 1] : NULL;
        struct sw_gil_span span = lane->spans[i];
        if (last && last->state == span.state && span.start_ns - last->end_ns <= detail_ns)
            last->end_ns = span.end_ns;
        else if (span.end_ns - span.start_ns >= detail_ns)
            lane->spans[kept++] = span;
    }
    lane->span_count = kept;
}

/* Doubles what is too short to be kept until half of the room is free. Totals are counted elsewhere and stay exact. */
static void coarsen(struct sw_gil_timeline *timeline) {
    while (timeline->span_total > SW_GIL_SPANS_MAX / 2) {
        int64_t detail_ns = timeline->totals.detail_ns ? 2 * timeline->totals.detail_ns : DETAIL_FIRST_NS;
        timeline->totals.detail_ns = detail_ns;
        timeline->span_total = 0;
        for (size_t i = 0; i < timeline->lane_count; i++) {
            lane_coarsen(timeline->lanes[i], detail_ns);
            timeline->span_total += timeline->lanes[i]->span_count;
        }
    }
}

static bool room_make(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane) {
    if (lane->span_count < lane->span_cap)
        return true;
    size_t cap = lane->span_cap ? 2 * lane->span_cap : 64;
    struct sw_gil_span *spans = sw_realloc_array(lane->spans, cap, sizeof *spans);
    if (!spans) {
        timeline->failure = SW_NOMEM;
        return false;
    }
    lane->spans = spans;
    lane->span_cap = cap;
    return true;
}

void sw_gil_span_add(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, struct sw_gil_span span) {
    if (span.end_ns <= span.start_ns)
        return;
    if (timeline->options.on_span)
        timeline->options.on_span(timeline->options.context, lane->tid, &span);
    if (timeline->options.is_meter)
        return;
    struct sw_gil_span *last = lane->span_count ? &lane->spans[lane->span_count - 1] : NULL;
    if (last && last->state == span.state && span.start_ns - last->end_ns <= timeline->totals.detail_ns) {
        last->end_ns = span.end_ns;
        return;
    }
    if (span.end_ns - span.start_ns < timeline->totals.detail_ns || !room_make(timeline, lane))
        return;
    lane->spans[lane->span_count++] = span;
    timeline->span_total++;
    if (timeline->span_total >= SW_GIL_SPANS_MAX)
        coarsen(timeline);
}
