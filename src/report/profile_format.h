/* profile_format.h - Profiles written in the formats people read, and read back for comparison.
 *
 * collapsed: `frame;frame;... count`, root first, a frame is `name (file:line)` (without line: `name (file)`).
 * json: the project's own form, docs/profile-json.md; it holds everything a profile holds and is read back whole.
 * speedscope: https://www.speedscope.app/file-format-schema.json, one sampled profile a track.
 * pprof: gzipped profile.proto of github.com/google/pprof, CPU nanoseconds and sample counts.
 * chrome: Trace Event Format, needs kept samples. svg: a flame graph that searches and zooms by itself; html: the same
 * with a table of functions and threads. Neither needs a network.
 */
#ifndef SW_REPORT_PROFILE_FORMAT_H
#define SW_REPORT_PROFILE_FORMAT_H

#include "base/buf.h"
#include "report/profile.h"

enum sw_profile_format {
    SW_PROFILE_COLLAPSED,
    SW_PROFILE_SVG,
    SW_PROFILE_HTML,
    SW_PROFILE_SPEEDSCOPE,
    SW_PROFILE_PPROF,
    SW_PROFILE_CHROME,
    SW_PROFILE_JSON,
};

struct sw_profile_view {
    bool by_function; /* lines of a function are one frame, shown at its first line's file */
    bool by_thread;   /* a heading frame for each thread (and process, when there are several) */
};

/* By name ("svg", "collapsed", ...). SW_INVALID lists the names. */
SW_MUST_USE enum sw_status sw_profile_format_by_name(struct sw_str name, enum sw_profile_format *format,
                                                     struct sw_error *err);
/* By a path's ending: .svg .html .speedscope.json .speedscope .pb.gz .pprof .collapsed .folded .txt .trace.json
 * .chrome.json .json */
SW_MUST_USE enum sw_status sw_profile_format_by_path(struct sw_str path, enum sw_profile_format *format,
                                                     struct sw_error *err);
/* The usual one, with its dot: ".svg", ".speedscope.json", ".pb.gz". */
const char *sw_profile_format_ending(enum sw_profile_format format);
bool sw_profile_format_needs_samples(enum sw_profile_format format); /* chrome only */
SW_MUST_USE enum sw_status sw_profile_write(const struct sw_profile *profile, enum sw_profile_format format,
                                            const struct sw_profile_view *view, struct sw_buf *out);
/* Reads json or collapsed, told apart by the first byte. SW_MALFORMED names the line or the place. `profile` must be
 * zero. */
SW_MUST_USE enum sw_status sw_profile_read(struct sw_profile *profile, struct sw_str text, struct sw_error *err);

#endif
