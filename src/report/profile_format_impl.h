/* profile_format_impl.h - The writers behind sw_profile_write; each takes the profile as it is to be shown. */
#ifndef SW_REPORT_PROFILE_FORMAT_IMPL_H
#define SW_REPORT_PROFILE_FORMAT_IMPL_H

#include "report/profile_format.h"
#include "report/profile_tree_impl.h"

SW_MUST_USE enum sw_status sw_profile_write_collapsed(const struct sw_profile *profile, struct sw_buf *out);
SW_MUST_USE enum sw_status sw_profile_write_json(const struct sw_profile *profile, struct sw_buf *out);
SW_MUST_USE enum sw_status sw_profile_write_speedscope(const struct sw_profile *profile, struct sw_buf *out);
SW_MUST_USE enum sw_status sw_profile_write_pprof(const struct sw_profile *profile, struct sw_buf *out);
SW_MUST_USE enum sw_status sw_profile_write_chrome(const struct sw_profile *profile, struct sw_buf *out);
SW_MUST_USE enum sw_status sw_profile_write_svg(const struct sw_profile *profile, struct sw_buf *out);
SW_MUST_USE enum sw_status sw_profile_write_html(const struct sw_profile *profile, struct sw_buf *out);

/* The readers behind sw_profile_read. */
SW_MUST_USE enum sw_status sw_profile_read_collapsed(struct sw_profile *profile, struct sw_str text,
                                                     struct sw_error *err);
SW_MUST_USE enum sw_status sw_profile_read_json(struct sw_profile *profile, struct sw_str text, struct sw_error *err);

/* The stack of `node` into `frames`, which has room for its depth, the caller of all first. */
static inline void sw_profile_stack(const struct sw_profile *profile, uint32_t node, uint32_t *frames) {
    for (uint32_t at = profile->nodes[node].depth; at > 0; node = profile->nodes[node].parent)
        frames[--at] = profile->nodes[node].frame;
}

/* "name (file:line)" without what is unknown, on one line; a semicolon, which divides frames, becomes a colon. */
SW_MUST_USE enum sw_status sw_profile_frame_text(const struct sw_profile_frame *frame, struct sw_buf *out);

/* Whether any total has a weight; without, durations were not measured. */
bool sw_profile_has_time(const struct sw_profile *profile);
uint32_t sw_profile_height(const struct sw_profile *profile); /* greatest depth of a node */

#endif
