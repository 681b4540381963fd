/* profile_html.c - One HTML file: the flame graph, and tables of functions and threads, readable without scripts. */
#include "report/profile_html_impl.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "report/profile_assets_impl.h"
#include "report/profile_color_impl.h"
#include "report/profile_diff.h"
#include "report/profile_format_impl.h"
#include "report/profile_impl.h"

#define ROWS_MAX 500u   /* functions in the table; the flame graph has all */
#define TRACKS_MAX 500u /* threads in theirs */

struct page {
    const struct sw_profile_flame *flame;
    struct sw_markup *markup;
    const struct sw_profile_cell *rows; /* by frame */
    uint32_t *order;                    /* frames, the most important first */
    size_t count;
};

static double share_of(const struct page *page, const struct sw_profile_sum *sums, unsigned side) {
    const struct sw_profile_tree *tree = page->flame->tree;
    double all = sw_profile_tree_weight(tree, &tree->cells[SW_PROFILE_ROOT].total[side]);
    return all > 0 ? sw_profile_tree_weight(tree, &sums[side]) / all : 0;
}

static double importance(const struct page *page, const struct sw_profile_cell *row) {
    if (page->flame->before)
        return fabs(sw_profile_flame_change(page->flame->tree, row->self));
    return sw_profile_tree_weight(page->flame->tree, &row->self[0]);
}

static int by_importance(const void *a, const void *b, void *context) {
    const struct page *page = context;
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    double x = importance(page, &page->rows[left]), y = importance(page, &page->rows[right]);
    if (x == y) {
        x = share_of(page, page->rows[left].total, 0);
        y = share_of(page, page->rows[right].total, 0);
    }
    return x != y ? (x > y ? -1 : 1) : left < right ? -1 : left > right;
}

static void share_cell(struct sw_markup *markup, double share) {
    sw_markup_format(markup, "<td class=\"share\" data-value=\"%.9g\" style=\"--share:%.1f%%\">%.2f %%</td>", share,
                     100 * share, 100 * share);
}

static void amount_cell(const struct page *page, const struct sw_profile_sum *sum) {
    sw_markup_format(page->markup, "<td data-value=\"%.17g\">", sw_profile_tree_weight(page->flame->tree, sum));
    if (page->flame->tree->has_time)
        sw_markup_duration(page->markup, sum->ns);
    else
        sw_markup_count(page->markup, sum->count);
    sw_markup_raw(page->markup, "</td>");
}

static void count_cell(struct sw_markup *markup, uint64_t count) {
    sw_markup_format(markup, "<td data-value=\"%llu\">", (unsigned long long)count);
    sw_markup_count(markup, count);
    sw_markup_raw(markup, "</td>");
}

static void change_cell(const struct page *page, const struct sw_profile_sum *sums) {
    const struct sw_profile_sum *all = page->flame->tree->cells[SW_PROFILE_ROOT].total;
    double change = sw_profile_flame_change(page->flame->tree, sums);
    bool is_chance = sw_profile_is_chance((const uint64_t[2]){sums[1].count, sums[0].count},
                                          (const uint64_t[2]){all[1].count, all[0].count});
    sw_markup_format(page->markup, "<td class=\"%s\" data-value=\"%.9g\">%+.2f%s</td>",
                     is_chance    ? "chance"
                     : change > 0 ? "grows"
                                  : "shrinks",
                     change, 100 * change, is_chance ? " ~" : "");
}

static void name_cells(struct sw_markup *markup, const struct sw_profile_frame *frame) {
    sw_markup_raw(markup, "<td class=\"name\" data-search=\"");
    sw_markup_text(markup, frame->name);
    sw_markup_format(markup, "\"><span class=\"dot\" style=\"background:#%06x\"></span>",
                     sw_profile_frame_color(frame));
    sw_markup_text(markup, frame->name);
    sw_markup_raw(markup, "</td><td class=\"place\">");
    sw_markup_text(markup, frame->file);
    if (frame->line)
        sw_markup_format(markup, ":%d", frame->line);
    sw_markup_raw(markup, "</td></tr>\n");
}

static void row_write(const struct page *page, uint32_t frame) {
    const struct sw_profile_cell *row = &page->rows[frame];
    struct sw_markup *markup = page->markup;
    sw_markup_raw(markup, "<tr>");
    if (page->flame->before) {
        share_cell(markup, share_of(page, row->self, 1));
        share_cell(markup, share_of(page, row->self, 0));
        change_cell(page, row->self);
        share_cell(markup, share_of(page, row->total, 1));
        share_cell(markup, share_of(page, row->total, 0));
        change_cell(page, row->total);
    } else {
        share_cell(markup, share_of(page, row->self, 0));
        amount_cell(page, &row->self[0]);
        share_cell(markup, share_of(page, row->total, 0));
        amount_cell(page, &row->total[0]);
    }
    name_cells(markup, &page->flame->tree->profile->frames[frame]);
}

static void functions_write(const struct page *page) {
    struct sw_markup *markup = page->markup;
    const char *unit = page->flame->tree->has_time ? "time" : "samples";
    sw_markup_raw(markup, "<h2 id=\"functions\">Functions</h2>\n");
    if (page->flame->before)
        sw_markup_raw(markup,
                      "<p>Changes are in points of percent, most changed first. One that chance alone may explain "
                      "(two-proportion test of the sample counts, 99 %) is marked ~.</p>\n");
    sw_markup_raw(markup, "<div class=\"scroll\"><table id=\"functions-table\"><thead><tr>");
    if (page->flame->before)
        sw_markup_raw(markup, "<th>Self before</th><th>Self after</th><th>Change</th><th>Total before</th>"
                              "<th>Total after</th><th>Change</th>");
    else
        sw_markup_format(markup,
                         "<th aria-sort=\"descending\">Self</th><th>Self %s</th><th>Total</th><th>Total %s</th>", unit,
                         unit);
    sw_markup_raw(markup, "<th class=\"text\">Function</th><th class=\"text\">Place</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < page->count && i < ROWS_MAX; i++)
        row_write(page, page->order[i]);
    sw_markup_raw(markup, "</tbody></table></div>\n");
    if (page->count > ROWS_MAX)
        sw_markup_format(markup, "<p>%zu more with less are not listed.</p>\n", page->count - ROWS_MAX);
}

static void track_write(const struct page *page, uint32_t index, const struct sw_profile_sum *sum) {
    const struct sw_profile_track *track = &page->flame->tree->profile->tracks[index];
    struct sw_markup *markup = page->markup;
    sw_markup_raw(markup, "<tr>");
    share_cell(markup, share_of(page, sum, 0));
    if (page->flame->tree->has_time)
        amount_cell(page, sum);
    count_cell(markup, sum->count);
    sw_markup_format(markup, "<td data-value=\"%d\">%d</td><td data-value=\"%d\">%d</td><td class=\"name\">",
                     track->pid, track->pid, track->tid, track->tid);
    sw_markup_text(markup, track->thread);
    sw_markup_raw(markup, "</td><td class=\"place\">");
    sw_markup_text(markup, track->process);
    sw_markup_raw(markup, "</td></tr>\n");
}

static void threads_write(const struct page *page) {
    const struct sw_profile *profile = page->flame->tree->profile;
    struct sw_profile_sum *sums = sw_alloc_array_zero(profile->track_count + 1, sizeof *sums);
    if (!sums) {
        page->markup->status = page->markup->status == SW_OK ? SW_NOMEM : page->markup->status;
        return;
    }
    for (size_t i = 0; i < profile->total_count; i++) {
        const struct sw_profile_total *total = &profile->totals[i];
        struct sw_profile_sum *sum = &sums[total->track];
        sum->count = sw_profile_sum_u64(sum->count, total->count);
        sum->ns = sw_profile_sum_ns(sum->ns, total->weight_ns);
    }
    sw_markup_raw(page->markup, "<h2>Threads</h2>\n<div class=\"scroll\"><table><thead><tr><th>Share</th>");
    if (page->flame->tree->has_time)
        sw_markup_raw(page->markup, "<th>Time</th>");
    sw_markup_raw(page->markup, "<th>Samples</th><th>Process</th><th>Thread</th><th class=\"text\">Name</th>"
                                "<th class=\"text\">Command</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < profile->track_count && i < TRACKS_MAX; i++)
        track_write(page, (uint32_t)i, &sums[i]);
    sw_markup_raw(page->markup, "</tbody></table></div>\n");
    if (profile->track_count > TRACKS_MAX)
        sw_markup_format(page->markup, "<p>%zu more are not listed.</p>\n", profile->track_count - TRACKS_MAX);
    sw_free(sums);
}

static void document_write(struct page *page) {
    struct sw_markup *markup = page->markup;
    sw_markup_raw(markup, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
    sw_markup_text(markup, sw_profile_flame_title(page->flame));
    sw_markup_raw(markup, "</title>\n<style>\n");
    sw_markup_bytes(markup, sw_profile_page_css);
    sw_markup_raw(markup, "</style></head>\n<body>\n");
    sw_profile_flame_write(page->flame, false, markup);
    sw_markup_raw(markup, "<main>\n");
    functions_write(page);
    if (!page->flame->before)
        threads_write(page);
    sw_markup_raw(markup, "</main>\n<script>\n");
    sw_markup_bytes(markup, sw_profile_page_js);
    sw_markup_raw(markup, "</script>\n</body></html>\n");
}

static bool is_row(const struct sw_profile_cell *row, const struct sw_profile_frame *frame) {
    return frame->kind != SW_PROFILE_MARK && (row->total[0].count || row->total[1].count || row->total[0].ns);
}

enum sw_status sw_profile_page_write(const struct sw_profile_flame *flame, struct sw_buf *out) {
    const struct sw_profile *profile = flame->tree->profile;
    struct sw_markup markup = {.out = out};
    struct sw_profile_cell *rows = sw_alloc_array_zero(profile->frame_count + 1, sizeof *rows);
    struct page page = {.flame = flame, .markup = &markup, .rows = rows};
    page.order = sw_alloc_array(profile->frame_count + 1, sizeof *page.order);
    enum sw_status status = rows && page.order ? sw_profile_tree_rows(flame->tree, rows) : SW_NOMEM;
    if (status == SW_OK) {
        for (size_t i = 0; i < profile->frame_count; i++)
            if (is_row(&rows[i], &profile->frames[i]))
                page.order[page.count++] = (uint32_t)i;
        qsort_r(page.order, page.count, sizeof *page.order, by_importance, &page);
        document_write(&page);
        status = markup.status;
    }
    sw_free(rows);
    sw_free(page.order);
    return status;
}

enum sw_status sw_profile_write_html(const struct sw_profile *profile, struct sw_buf *out) {
    struct sw_profile_tree tree;
    enum sw_status status = sw_profile_tree_make(&tree, profile, 1);
    if (status != SW_OK)
        return status;
    status = sw_profile_page_write(&(struct sw_profile_flame){.tree = &tree, .about = &profile->about}, out);
    sw_profile_tree_release(&tree);
    return status;
}
