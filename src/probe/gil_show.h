/* gil_show.h - A GIL timeline that has ended, as text, JSON, picture and page. */
#ifndef SW_PROBE_GIL_SHOW_H
#define SW_PROBE_GIL_SHOW_H

#include "probe/gil_timeline.h"
#include "report/canvas.h"

struct sw_gil_about {
    int32_t pid;
    struct sw_str version; /* "3.12.1" */
    struct sw_str command;
    struct sw_str ending; /* why it ended early: "the process ended", "interrupted"; empty: it did not */
};

/* A table of threads, the functions that held, the longest holds, and a summary in plain words. */
SW_MUST_USE enum sw_status sw_gil_show_text(const struct sw_gil_timeline *timeline, const struct sw_gil_about *about,
                                            struct sw_buf *out);
/* The summary alone, one line without its end. */
SW_MUST_USE enum sw_status sw_gil_show_summary(const struct sw_gil_timeline *timeline, struct sw_buf *out);
/* docs/gil-json.md */
SW_MUST_USE enum sw_status sw_gil_show_json(const struct sw_gil_timeline *timeline, const struct sw_gil_about *about,
                                            struct sw_buf *out);
SW_MUST_USE enum sw_status sw_gil_show_picture(const struct sw_gil_timeline *timeline, const struct sw_gil_about *about,
                                               enum sw_canvas_format format, struct sw_buf *out);
SW_MUST_USE enum sw_status sw_gil_show_html(const struct sw_gil_timeline *timeline, const struct sw_gil_about *about,
                                            struct sw_buf *out);

#endif
