/* profile_flame.c - Flame graphs: a picture that needs no script, and the data from which the script draws anew. */
#include "report/profile_flame_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "report/profile_assets_impl.h"
#include "report/profile_color_impl.h"
#include "report/profile_diff.h"
#include "report/profile_impl.h"

/* Of the picture without scripts, in pixels; the script reads them from the data. */
#define PAGE_WIDTH 1200.0
#define MARGIN 12.0
#define PLOT_WIDTH (PAGE_WIDTH - 2 * MARGIN)
#define ROW_HEIGHT 18u
#define PLOT_TOP 92u
#define SECOND_LINE 18u /* of facts, in a comparison */
#define FOOT_HEIGHT 34u
#define TEXT_WIDTH_MIN 24.0

#define DRAWN_SHARE_MIN 1e-3 /* of everything: what is narrower is not in the picture */
#define DATA_SHARE_MIN 1e-5  /* nor in the data: one sample of 100,000 */
#define FRAME_TEXT_MAX 4096u /* bytes of a name */

struct work {
    const struct sw_profile_flame *flame;
    struct sw_markup *markup;
    const struct sw_profile *profile;
    double all;         /* weight of side 0 */
    double change_most; /* greatest change of a share */
    double *starts;     /* by depth: where the next child begins */
    uint32_t *numbers;  /* by frame: its number in the data */
};

static double weight_of(const struct work *work, uint32_t node, unsigned side) {
    return sw_profile_tree_weight(work->flame->tree, &work->flame->tree->cells[node].total[side]);
}

/* Of the greater of both sides, so that what vanished stays in the data. */
static double share_of(const struct work *work, uint32_t node) {
    double after = work->all > 0 ? weight_of(work, node, 0) / work->all : 0;
    double all_before = weight_of(work, SW_PROFILE_ROOT, 1);
    double before = all_before > 0 ? weight_of(work, node, 1) / all_before : 0;
    return fmax(after, before);
}

static double change_of(const struct work *work, uint32_t node) {
    double change = sw_profile_flame_change(work->flame->tree, work->flame->tree->cells[node].total);
    /* By the root, as areas are compared: a change of a tenth of the greatest is still seen. */
    return work->change_most > 0 ? copysign(sqrt(fabs(change) / work->change_most), change) : 0;
}

static bool is_chance(const struct work *work, uint32_t node) {
    const struct sw_profile_sum *sums = work->flame->tree->cells[node].total;
    const struct sw_profile_sum *all = work->flame->tree->cells[SW_PROFILE_ROOT].total;
    return sw_profile_is_chance((const uint64_t[2]){sums[1].count, sums[0].count},
                                (const uint64_t[2]){all[1].count, all[0].count});
}

/* What may be chance has the colour of no change: only what happened is red or blue. */
static uint32_t color_of(const struct work *work, uint32_t node) {
    if (work->flame->before)
        return sw_profile_change_color(is_chance(work, node) ? 0 : change_of(work, node));
    return sw_profile_frame_color(&work->profile->frames[work->profile->nodes[node].frame]);
}

static struct sw_str cut(struct sw_str text) {
    return sw_str_make(text.ptr, text.len < FRAME_TEXT_MAX ? text.len : FRAME_TEXT_MAX);
}

static void place_write(struct sw_markup *markup, const struct sw_profile_frame *frame) {
    if (frame->file.len || frame->line) {
        sw_markup_raw(markup, " (");
        sw_markup_text(markup, cut(frame->file));
        if (frame->line)
            sw_markup_format(markup, ":%d", frame->line);
        sw_markup_raw(markup, ")");
    }
}

static void tip_write(const struct work *work, uint32_t node) {
    const struct sw_profile_sum *total = work->flame->tree->cells[node].total;
    if (work->all > 0)
        sw_markup_format(work->markup, "\n%.2f %%, ", 100 * weight_of(work, node, 0) / work->all);
    sw_markup_count(work->markup, total[0].count);
    sw_markup_raw(work->markup, " samples");
    if (work->flame->tree->has_time) {
        sw_markup_raw(work->markup, ", ");
        sw_markup_duration(work->markup, total[0].ns);
    }
    if (work->flame->before)
        sw_markup_format(work->markup, ", %+.2f points%s",
                         100 * sw_profile_flame_change(work->flame->tree, work->flame->tree->cells[node].total),
                         is_chance(work, node) ? ", may be chance" : "");
}

/* An svg element for each frame, because it cuts its text off at its edge without a script. */
static void frame_write(const struct work *work, uint32_t node, double left, double width) {
    static const struct sw_profile_frame all = {.name = {"all", 3}};
    const struct sw_profile_frame *frame =
        node == SW_PROFILE_ROOT ? &all : &work->profile->frames[work->profile->nodes[node].frame];
    uint32_t color = node == SW_PROFILE_ROOT ? sw_profile_origin_color(SW_PROFILE_ORIGIN_MARK) : color_of(work, node);
    struct sw_markup *markup = work->markup;
    sw_markup_format(markup, "<svg x=\"%.1f\" y=\"%u\" width=\"%.1f\" height=\"%u\"><title>", left,
                     work->profile->node_count ? work->profile->nodes[node].depth * ROW_HEIGHT : 0, width, ROW_HEIGHT);
    sw_markup_text(markup, cut(frame->name));
    place_write(markup, frame);
    tip_write(work, node);
    sw_markup_format(markup, "</title><rect width=\"%.1f\" height=\"%u\" rx=\"2\" fill=\"#%06x\"/>",
                     fmax(0.3, width - 0.8), ROW_HEIGHT - 1, color);
    if (width >= TEXT_WIDTH_MIN) {
        sw_markup_raw(markup, "<text x=\"4\" y=\"12.5\">");
        sw_markup_text(markup, cut(frame->name));
        if (frame->line)
            sw_markup_format(markup, ":%d", frame->line);
        sw_markup_raw(markup, "</text>");
    }
    sw_markup_raw(markup, "</svg>\n");
}

static bool is_drawn(const struct work *work, uint32_t node) {
    return work->all > 0 && weight_of(work, node, 0) >= DRAWN_SHARE_MIN * work->all;
}

static uint32_t drawn_height(const struct work *work) {
    const struct sw_profile_tree *tree = work->flame->tree;
    uint32_t height = 0;
    for (size_t i = 0; i < tree->count; i++)
        if (is_drawn(work, tree->order[i]) && work->profile->nodes[tree->order[i]].depth > height)
            height = work->profile->nodes[tree->order[i]].depth;
    return height;
}

/* Returns how many were too narrow. */
static size_t frames_write(struct work *work) {
    const struct sw_profile_tree *tree = work->flame->tree;
    size_t omitted = 0;
    double scale = work->all > 0 ? PLOT_WIDTH / work->all : 0;
    work->starts[0] = work->starts[1] = 0;
    frame_write(work, SW_PROFILE_ROOT, 0, PLOT_WIDTH);
    for (size_t i = 0; i < tree->count && work->markup->status == SW_OK; i++) {
        uint32_t node = tree->order[i];
        uint32_t depth = work->profile->nodes[node].depth;
        double weight = weight_of(work, node, 0);
        double left = work->starts[depth];
        work->starts[depth] = left + weight;
        work->starts[depth + 1] = left;
        if (is_drawn(work, node))
            frame_write(work, node, left * scale, weight * scale);
        else
            omitted += weight > 0; /* in a comparison it may have vanished */
    }
    return omitted;
}

static void frame_data(struct work *work, struct sw_json *json, uint32_t frame) {
    const struct sw_profile_frame *one = &work->profile->frames[frame];
    char color[8];
    snprintf(color, sizeof color, "#%06x", sw_profile_frame_color(one));
    sw_json_array_begin(json);
    sw_json_str(json, cut(one->name));
    sw_json_str(json, cut(one->file));
    sw_json_i64(json, one->line);
    sw_json_str(json, sw_str_from(color));
    sw_json_i64(json, sw_profile_origin(one));
    sw_json_array_end(json);
}

static void node_data(struct work *work, struct sw_json *json, uint32_t node) {
    const struct sw_profile_tree *tree = work->flame->tree;
    const struct sw_profile_cell *cell = &tree->cells[node];
    char color[8];
    sw_json_u64(json, work->profile->nodes[node].depth);
    sw_json_u64(json, work->numbers[work->profile->nodes[node].frame]);
    for (unsigned side = 0; side < (work->flame->before ? 2 : 1); side++) {
        sw_json_f64(json, sw_profile_tree_weight(tree, &cell->total[side]));
        sw_json_f64(json, sw_profile_tree_weight(tree, &cell->self[side]));
        sw_json_u64(json, cell->total[side].count);
    }
    if (work->flame->before) {
        snprintf(color, sizeof color, "#%06x", color_of(work, node));
        sw_json_str(json, sw_str_from(color));
        sw_json_i64(json, is_chance(work, node));
    }
}

/* Frames that occur, in the order in which they do, then the nodes as one row of numbers. */
static void trees_data(struct work *work, struct sw_json *json) {
    const struct sw_profile_tree *tree = work->flame->tree;
    uint32_t next = 0;
    size_t dropped = 0;
    sw_json_key(json, SW_STR("frames"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < tree->count; i++) {
        uint32_t frame = work->profile->nodes[tree->order[i]].frame;
        if (share_of(work, tree->order[i]) < DATA_SHARE_MIN || work->numbers[frame] != UINT32_MAX)
            continue;
        work->numbers[frame] = next++;
        frame_data(work, json, frame);
    }
    sw_json_array_end(json);
    sw_json_key(json, SW_STR("nodes"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < tree->count; i++) {
        if (share_of(work, tree->order[i]) < DATA_SHARE_MIN)
            dropped++; /* and all it calls, which cannot be wider */
        else
            node_data(work, json, tree->order[i]);
    }
    sw_json_array_end(json);
    sw_json_key(json, SW_STR("dropped"));
    sw_json_u64(json, dropped);
}

static void data_write(struct work *work) {
    struct sw_buf text = {0};
    struct sw_json json;
    const struct sw_profile_tree *tree = work->flame->tree;
    const struct sw_profile_cell *root = &tree->cells[SW_PROFILE_ROOT];
    sw_json_init(&json, &text);
    sw_json_object_begin(&json);
    sw_json_key(&json, SW_STR("unit"));
    sw_json_str(&json, tree->has_time ? SW_STR("ns") : SW_STR("samples"));
    sw_json_key(&json, SW_STR("sides"));
    sw_json_i64(&json, work->flame->before ? 2 : 1);
    sw_json_key(&json, SW_STR("all"));
    sw_json_array_begin(&json);
    for (unsigned side = 0; side < (work->flame->before ? 2 : 1); side++) {
        sw_json_f64(&json, sw_profile_tree_weight(tree, &root->total[side]));
        sw_json_f64(&json, sw_profile_tree_weight(tree, &root->self[side]));
        sw_json_u64(&json, root->total[side].count);
    }
    sw_json_array_end(&json);
    trees_data(work, &json);
    sw_json_object_end(&json);
    if (work->markup->status == SW_OK)
        work->markup->status = sw_json_status(&json);
    sw_markup_json(work->markup, sw_buf_view(&text));
    sw_buf_release(&text);
}

static void legend_chip(struct sw_markup *markup, double *right, uint32_t color, const char *text) {
    double width = 7.0 * (double)strlen(text);
    *right -= width;
    sw_markup_format(markup, "<text class=\"soft\" x=\"%.0f\" y=\"30\">%s</text>", *right, text);
    *right -= 16;
    sw_markup_format(markup, "<rect x=\"%.0f\" y=\"20\" width=\"11\" height=\"11\" rx=\"2\" fill=\"#%06x\"/>\n", *right,
                     color);
    *right -= 14;
}

static void legend_write(const struct work *work) {
    double right = PAGE_WIDTH - MARGIN;
    bool is_there[SW_PROFILE_ORIGINS] = {false};
    sw_markup_raw(work->markup, "<g id=\"legend\">\n");
    if (work->flame->before) {
        legend_chip(work->markup, &right, sw_profile_change_color(-0.8), "shrinks");
        legend_chip(work->markup, &right, sw_profile_change_color(0), "same, or chance");
        legend_chip(work->markup, &right, sw_profile_change_color(0.8), "grows");
    } else {
        for (size_t i = 0; i < work->flame->tree->count; i++)
            is_there[sw_profile_origin(
                &work->profile->frames[work->profile->nodes[work->flame->tree->order[i]].frame])] = true;
        for (unsigned i = SW_PROFILE_ORIGINS; i-- > 0;)
            if (is_there[i])
                legend_chip(work->markup, &right, sw_profile_origin_color(i), sw_profile_origin_text(i));
    }
    sw_markup_raw(work->markup, "</g>\n");
}

static void heading_write(const struct work *work) {
    struct sw_markup *markup = work->markup;
    sw_markup_format(markup, "<svg x=\"%.0f\" y=\"0\" width=\"%.0f\" height=\"60\">", MARGIN,
                     work->flame->before ? 900.0 : 700.0);
    sw_markup_raw(markup, "<text class=\"title\" x=\"0\" y=\"31\">");
    sw_markup_text(markup, cut(sw_profile_flame_title(work->flame)));
    sw_markup_raw(markup, "</text></svg>\n");
    sw_markup_format(markup, "<text class=\"soft\" x=\"%.0f\" y=\"52\">", MARGIN);
    sw_profile_flame_facts(work->flame, 0, markup);
    sw_markup_raw(markup, "</text>\n");
    if (work->flame->before) {
        sw_markup_format(markup, "<text class=\"soft\" x=\"%.0f\" y=\"70\">compared with ", MARGIN);
        sw_profile_flame_facts(work->flame, 1, markup);
        sw_markup_raw(markup, "</text>\n");
    }
}

static void root_open(const struct work *work, bool is_document, unsigned height) {
    struct sw_markup *markup = work->markup;
    if (is_document)
        sw_markup_raw(markup, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    sw_markup_format(markup,
                     "<svg xmlns=\"http://www.w3.org/2000/svg\" id=\"flame\" width=\"%.0f\" height=\"%u\" "
                     "viewBox=\"0 0 %.0f %u\">\n<style>",
                     PAGE_WIDTH, height, PAGE_WIDTH, height);
    sw_markup_bytes(markup, sw_profile_flame_css);
    sw_markup_raw(markup, "</style>\n<rect id=\"ground\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
}

static void foot_write(const struct work *work, size_t omitted, unsigned height) {
    sw_markup_format(work->markup, "<text id=\"foot\" class=\"soft\" x=\"%.0f\" y=\"%u\">", MARGIN, height - 12);
    if (omitted) {
        sw_markup_count(work->markup, omitted);
        sw_markup_raw(work->markup, omitted == 1 ? " frame" : " frames");
        sw_markup_format(work->markup, " narrower than %.1f %% not drawn", 100 * DRAWN_SHARE_MIN);
    }
    if (work->all <= 0)
        sw_markup_raw(work->markup, "no samples");
    sw_markup_raw(work->markup, "</text>\n");
}

static void element_write(struct work *work, bool is_document) {
    struct sw_markup *markup = work->markup;
    unsigned plot_top = PLOT_TOP + (work->flame->before ? SECOND_LINE : 0);
    unsigned plot_height = (drawn_height(work) + 1) * ROW_HEIGHT;
    unsigned height = plot_top + plot_height + FOOT_HEIGHT;
    root_open(work, is_document, height);
    heading_write(work);
    legend_write(work);
    sw_markup_format(markup, "<svg id=\"plot\" x=\"%.0f\" y=\"%u\" width=\"%.0f\" height=\"%u\">\n", MARGIN, plot_top,
                     PLOT_WIDTH, plot_height);
    size_t omitted = frames_write(work);
    sw_markup_raw(markup, "</svg>\n");
    foot_write(work, omitted, height);
    sw_markup_raw(markup, "<script id=\"flame-data\" type=\"application/json\">");
    data_write(work);
    sw_markup_raw(markup, is_document ? "</script>\n<script><![CDATA[\n" : "</script>\n<script>\n");
    sw_markup_bytes(markup, sw_profile_flame_js);
    sw_markup_raw(markup, is_document ? "]]></script>\n</svg>\n" : "</script>\n</svg>\n");
}

double sw_profile_flame_change(const struct sw_profile_tree *tree, const struct sw_profile_sum sums[SW_PROFILE_SIDES]) {
    const struct sw_profile_sum *all = tree->cells[SW_PROFILE_ROOT].total;
    double shares[SW_PROFILE_SIDES] = {0};
    for (unsigned side = 0; side < SW_PROFILE_SIDES; side++)
        if (sw_profile_tree_weight(tree, &all[side]) > 0)
            shares[side] = sw_profile_tree_weight(tree, &sums[side]) / sw_profile_tree_weight(tree, &all[side]);
    return shares[0] - shares[1];
}

struct sw_str sw_profile_flame_title(const struct sw_profile_flame *flame) {
    return flame->about->command.len ? flame->about->command : SW_STR("Profile");
}

static void begun_write(const struct sw_profile_about *about, struct sw_markup *markup) {
    time_t seconds = (time_t)(about->start_epoch_ns / 1000000000);
    struct tm utc;
    char text[40];
    if (about->start_epoch_ns > 0 && gmtime_r(&seconds, &utc) &&
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &utc))
        sw_markup_format(markup, ", %s", text);
}

void sw_profile_flame_facts(const struct sw_profile_flame *flame, unsigned side, struct sw_markup *markup) {
    const struct sw_profile_about *about = side ? flame->before : flame->about;
    const struct sw_profile_sum *all = &flame->tree->cells[SW_PROFILE_ROOT].total[side];
    if (side && about->command.len) {
        sw_markup_text(markup, cut(about->command));
        sw_markup_raw(markup, ", ");
    }
    if (about->what.len) {
        sw_markup_text(markup, cut(about->what));
        sw_markup_raw(markup, ", ");
    }
    sw_markup_count(markup, all->count);
    sw_markup_raw(markup, " samples");
    if (about->exact || about->partial || about->failed)
        sw_markup_format(markup, " (%llu exact, %llu partial, %llu failed)", (unsigned long long)about->exact,
                         (unsigned long long)about->partial, (unsigned long long)about->failed);
    if (about->duration_ns > 0) {
        sw_markup_raw(markup, ", ");
        sw_markup_duration(markup, about->duration_ns);
    }
    if (about->rate_hz > 0)
        sw_markup_format(markup, " at %.6g Hz", about->rate_hz);
    begun_write(about, markup);
    if (about->reason.len) {
        sw_markup_raw(markup, ", saved because ");
        sw_markup_text(markup, cut(about->reason));
    }
}

void sw_profile_flame_write(const struct sw_profile_flame *flame, bool is_document, struct sw_markup *markup) {
    struct work work = {.flame = flame, .markup = markup, .profile = flame->tree->profile};
    size_t frames = work.profile->frame_count;
    work.starts = sw_alloc_array_zero((size_t)flame->tree->height + 2, sizeof *work.starts);
    work.numbers = sw_alloc_array(frames, sizeof *work.numbers);
    if (work.starts && work.numbers) {
        memset(work.numbers, 0xff, frames * sizeof *work.numbers);
        work.all = weight_of(&work, SW_PROFILE_ROOT, 0);
        for (size_t i = 0; flame->before && i < flame->tree->count; i++) {
            const struct sw_profile_cell *cell = &flame->tree->cells[flame->tree->order[i]];
            work.change_most = fmax(work.change_most, fabs(sw_profile_flame_change(flame->tree, cell->total)));
        }
        element_write(&work, is_document);
    } else if (markup->status == SW_OK)
        markup->status = SW_NOMEM;
    sw_free(work.starts);
    sw_free(work.numbers);
}
