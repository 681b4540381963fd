/* profile_svg.c - A profile as one SVG file, a flame graph that searches and zooms by itself. */
#include "report/profile_flame_impl.h"
#include "report/profile_format_impl.h"

enum sw_status sw_profile_write_svg(const struct sw_profile *profile, struct sw_buf *out) {
    struct sw_profile_tree tree;
    enum sw_status status = sw_profile_tree_make(&tree, profile, 1);
    if (status != SW_OK)
        return status;
    struct sw_markup markup = {.out = out};
    struct sw_profile_flame flame = {.tree = &tree, .about = &profile->about};
    sw_profile_flame_write(&flame, true, &markup);
    sw_profile_tree_release(&tree);
    return markup.status;
}
