/* profile_tree_impl.h - A profile as it will be shown: lines joined, threads headed, weights summed up the tree.
 *
 * Two recordings are shown in one tree for comparison: side 0 is what is looked at, side 1 what it is compared with.
 */
#ifndef SW_REPORT_PROFILE_TREE_IMPL_H
#define SW_REPORT_PROFILE_TREE_IMPL_H

#include "report/profile_format.h"

#define SW_PROFILE_SIDES 2u

/* Adds `from` as `view` wants it to `shown`, under its own tracks, or all of it under `track` where that is not NULL.
 * Kept samples come along unless threads are headed or tracks are joined. */
SW_MUST_USE enum sw_status sw_profile_view_add(struct sw_profile *shown, const struct sw_profile *from,
                                               const struct sw_profile_view *view,
                                               const struct sw_profile_track *track);

struct sw_profile_sum {
    uint64_t count;
    int64_t ns;
};

struct sw_profile_cell {
    struct sw_profile_sum self[SW_PROFILE_SIDES];
    struct sw_profile_sum total[SW_PROFILE_SIDES]; /* with all it called */
};

struct sw_profile_tree {
    const struct sw_profile *profile; /* borrowed */
    struct sw_profile_cell *cells;    /* by node */
    uint32_t *order;                  /* nodes with samples: callers before callees, the heaviest first; no root */
    size_t count;                     /* of `order` */
    uint32_t height;                  /* greatest depth */
    bool has_time;                    /* weights are nanoseconds, not samples */
};

/* With `sides` 2, track 0 of `shown` is side 0 and track 1 is side 1; with 1 all is side 0. */
SW_MUST_USE enum sw_status sw_profile_tree_make(struct sw_profile_tree *tree, const struct sw_profile *shown,
                                                unsigned sides);
void sw_profile_tree_release(struct sw_profile_tree *tree);
/* Nanoseconds or samples. */
double sw_profile_tree_weight(const struct sw_profile_tree *tree, const struct sw_profile_sum *sum);
/* The sums of each frame into `rows`, an array as long as there are frames; recursion counts once in a total. */
SW_MUST_USE enum sw_status sw_profile_tree_rows(const struct sw_profile_tree *tree, struct sw_profile_cell *rows);

#endif
