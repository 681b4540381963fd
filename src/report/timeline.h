/* timeline.h - A picture of who did what when: one lane for each thread, coloured by what it did, as PNG, SVG or a page.
 *
 * Spans of a lane are in order and do not overlap. Where many fall on one column of pixels, each kind gets its share of the
 * column's height. The page zooms and pans, and needs no network.
 */
#ifndef SW_REPORT_TIMELINE_H
#define SW_REPORT_TIMELINE_H

#include "report/canvas.h"

#define SW_TIMELINE_KINDS 2
#define SW_TIMELINE_LANES_MAX 48 /* drawn in a picture; the page has all */

struct sw_timeline_span {
    int64_t start_ns, end_ns;
    unsigned kind; /* below SW_TIMELINE_KINDS */
};

struct sw_timeline_lane {
    struct sw_str name;
    struct sw_str detail; /* a second, smaller line; may be empty */
    const struct sw_timeline_span *spans;
    size_t span_count;
    double share[SW_TIMELINE_KINDS]; /* of the time shown; NAN: not known */
};

/* One of the things to look at first: numbered in the picture, listed below it. */
struct sw_timeline_mark {
    int64_t start_ns, end_ns;
    size_t lane;
    struct sw_str text;
};

struct sw_timeline {
    struct sw_str title, subtitle, summary; /* the summary stands below, in plain words */
    struct sw_str
        kinds[SW_TIMELINE_KINDS]; /* names: the first is drawn from the bottom, in blue; the second in orange */
    struct sw_str marks_title;
    int64_t start_ns, end_ns;
    const struct sw_timeline_lane *lanes;
    size_t lane_count;
    const struct sw_timeline_mark *marks;
    size_t mark_count;
};

SW_MUST_USE enum sw_status sw_timeline_picture(const struct sw_timeline *timeline, enum sw_canvas_format format,
                                               struct sw_buf *out);
SW_MUST_USE enum sw_status sw_timeline_html(const struct sw_timeline *timeline, struct sw_buf *out);

#endif
