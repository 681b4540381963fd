/* profile_flame_impl.h - One flame graph as an SVG element, of a profile or of the difference between two. */
#ifndef SW_REPORT_PROFILE_FLAME_IMPL_H
#define SW_REPORT_PROFILE_FLAME_IMPL_H

#include "report/profile_markup_impl.h"
#include "report/profile_tree_impl.h"

struct sw_profile_flame {
    const struct sw_profile_tree *tree;
    const struct sw_profile_about *about;
    const struct sw_profile_about *before; /* of side 1; NULL: no comparison, colours tell files */
};

/* All of it, script and style included. In a page of HTML `is_document` is false. */
void sw_profile_flame_write(const struct sw_profile_flame *flame, bool is_document, struct sw_markup *markup);
/* "cpu, 10.0 s at 1,000 Hz, 9,876 samples (...)", as text. */
void sw_profile_flame_facts(const struct sw_profile_flame *flame, unsigned side, struct sw_markup *markup);
struct sw_str sw_profile_flame_title(const struct sw_profile_flame *flame);
/* By how much the share of what these sums are of changed, -1 to 1 of everything. */
double sw_profile_flame_change(const struct sw_profile_tree *tree, const struct sw_profile_sum sums[SW_PROFILE_SIDES]);

#endif
