/* profile_diff_impl.h - The two recordings in one tree (side 0 after, side 1 before), and its tables. */
#ifndef SW_REPORT_PROFILE_DIFF_IMPL_H
#define SW_REPORT_PROFILE_DIFF_IMPL_H

#include "report/profile_diff.h"
#include "report/profile_flame_impl.h"

struct sw_profile_diff {
    const struct sw_profile *before, *after;
    struct sw_profile shown;
    struct sw_profile_tree tree;
    struct sw_profile_cell *rows; /* by frame of `shown` */
    uint32_t *order;              /* frames, the most changed first; `count` of them */
    size_t count;
};

SW_MUST_USE enum sw_status sw_profile_diff_text(const struct sw_profile_diff *diff, size_t top, struct sw_buf *out);
SW_MUST_USE enum sw_status sw_profile_diff_json(const struct sw_profile_diff *diff, size_t top, struct sw_buf *out);

#endif
