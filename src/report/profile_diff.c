/* profile_diff.c - Puts two recordings into one tree, ranks what changed, and writes it in the wanted form. */
#include "report/profile_diff_impl.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "report/profile_format_impl.h"
#include "report/profile_html_impl.h"

#define Z_99 2.5758293035489 /* of the normal distribution, two-sided */
#define EXPECTED_MIN 5.0     /* samples; below, the normal distribution does not fit */

static const struct sw_profile_track tracks[SW_PROFILE_SIDES] = {
    {.process = {"after", 5}},
    {.process = {"before", 6}},
};

static int by_change(const void *a, const void *b, void *context) {
    const struct sw_profile_diff *diff = context;
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    double x = fabs(sw_profile_flame_change(&diff->tree, diff->rows[left].self));
    double y = fabs(sw_profile_flame_change(&diff->tree, diff->rows[right].self));
    if (x == y) {
        x = fabs(sw_profile_flame_change(&diff->tree, diff->rows[left].total));
        y = fabs(sw_profile_flame_change(&diff->tree, diff->rows[right].total));
    }
    return x != y ? (x > y ? -1 : 1) : left < right ? -1 : left > right;
}

static void diff_release(struct sw_profile_diff *diff) {
    sw_profile_tree_release(&diff->tree);
    sw_profile_release(&diff->shown);
    sw_free(diff->rows);
    sw_free(diff->order);
}

static enum sw_status rows_make(struct sw_profile_diff *diff) {
    size_t frames = diff->shown.frame_count;
    diff->rows = sw_alloc_array_zero(frames, sizeof *diff->rows);
    diff->order = sw_alloc_array(frames, sizeof *diff->order);
    if (!diff->rows || !diff->order)
        return SW_NOMEM;
    enum sw_status status = sw_profile_tree_rows(&diff->tree, diff->rows);
    for (size_t i = 0; i < frames && status == SW_OK; i++)
        if (diff->rows[i].total[0].count || diff->rows[i].total[1].count)
            diff->order[diff->count++] = (uint32_t)i;
    if (status == SW_OK)
        qsort_r(diff->order, diff->count, sizeof *diff->order, by_change, diff);
    return status;
}

static enum sw_status diff_make(struct sw_profile_diff *diff, const struct sw_profile_view *view) {
    uint32_t track;
    enum sw_status status = SW_OK;
    for (unsigned side = 0; side < SW_PROFILE_SIDES && status == SW_OK; side++)
        status = sw_profile_add_track(&diff->shown, &tracks[side], &track);
    if (status == SW_OK)
        status = sw_profile_view_add(&diff->shown, diff->before, view, &tracks[1]);
    if (status == SW_OK)
        status = sw_profile_view_add(&diff->shown, diff->after, view, &tracks[0]);
    if (status == SW_OK)
        status = sw_profile_tree_make(&diff->tree, &diff->shown, SW_PROFILE_SIDES);
    return status == SW_OK ? rows_make(diff) : status;
}

static enum sw_status collapsed_write(const struct sw_profile_diff *diff, struct sw_buf *out) {
    const struct sw_profile *shown = &diff->shown;
    uint32_t *frames = sw_alloc_array((size_t)diff->tree.height + 1, sizeof *frames);
    enum sw_status status = frames ? SW_OK : SW_NOMEM;
    for (size_t i = 0; i < diff->tree.count && status == SW_OK; i++) {
        uint32_t node = diff->tree.order[i];
        const struct sw_profile_sum *self = diff->tree.cells[node].self;
        if (self[0].count == 0 && self[1].count == 0)
            continue;
        sw_profile_stack(shown, node, frames);
        for (uint32_t at = 0; at < shown->nodes[node].depth && status == SW_OK; at++) {
            status = at ? sw_buf_append_byte(out, ';') : SW_OK;
            if (status == SW_OK)
                status = sw_profile_frame_text(&shown->frames[frames[at]], out);
        }
        if (status == SW_OK)
            status = sw_buf_append_format(out, " %llu %llu\n", (unsigned long long)self[1].count,
                                          (unsigned long long)self[0].count);
    }
    sw_free(frames);
    return status;
}

static enum sw_status picture_write(const struct sw_profile_diff *diff, bool is_page, struct sw_buf *out) {
    struct sw_profile_flame flame = {.tree = &diff->tree, .about = &diff->after->about, .before = &diff->before->about};
    if (is_page)
        return sw_profile_page_write(&flame, out);
    struct sw_markup markup = {.out = out};
    sw_profile_flame_write(&flame, true, &markup);
    return markup.status;
}

bool sw_profile_is_chance(const uint64_t count[2], const uint64_t all[2]) {
    double x = (double)count[0], y = (double)count[1], n = (double)all[0], m = (double)all[1];
    if (n <= 0 || m <= 0)
        return true;
    double share = (x + y) / (n + m);
    if (share * n < EXPECTED_MIN || share * m < EXPECTED_MIN || share >= 1)
        return true;
    double z = (x / n - y / m) / sqrt(share * (1 - share) * (1 / n + 1 / m));
    return fabs(z) < Z_99;
}

enum sw_status sw_profile_diff_write(const struct sw_profile *before, const struct sw_profile *after,
                                     const struct sw_profile_diff_options *options, struct sw_buf *out) {
    struct sw_profile_diff diff = {.before = before, .after = after};
    size_t len = out->len;
    enum sw_status status = diff_make(&diff, &options->view);
    if (status == SW_OK) {
        switch (options->format) {
        case SW_PROFILE_DIFF_TEXT:
            status = sw_profile_diff_text(&diff, options->top, out);
            break;
        case SW_PROFILE_DIFF_JSON:
            status = sw_profile_diff_json(&diff, options->top, out);
            break;
        case SW_PROFILE_DIFF_SVG:
        case SW_PROFILE_DIFF_HTML:
            status = picture_write(&diff, options->format == SW_PROFILE_DIFF_HTML, out);
            break;
        case SW_PROFILE_DIFF_COLLAPSED:
            status = collapsed_write(&diff, out);
            break;
        }
    }
    if (status != SW_OK)
        out->len = len;
    diff_release(&diff);
    return status;
}
