/* profile_diff_table.c - The functions that changed, as a table for people and as JSON for programs. */
#include <math.h>

#include "base/json.h"
#include "report/profile_diff_impl.h"
#include "report/profile_format_impl.h"

#define NS_PER_S 1e9

static double share(const struct sw_profile_diff *diff, const struct sw_profile_sum *sums, unsigned side) {
    double all = sw_profile_tree_weight(&diff->tree, &diff->tree.cells[SW_PROFILE_ROOT].total[side]);
    return all > 0 ? sw_profile_tree_weight(&diff->tree, &sums[side]) / all : 0;
}

static bool is_chance(const struct sw_profile_diff *diff, const struct sw_profile_sum *sums) {
    const struct sw_profile_sum *all = diff->tree.cells[SW_PROFILE_ROOT].total;
    return sw_profile_is_chance((const uint64_t[2]){sums[1].count, sums[0].count},
                                (const uint64_t[2]){all[1].count, all[0].count});
}

/* Seconds of weight for each second of recording; absent unless both recordings know both. */
static bool has_rates(const struct sw_profile_diff *diff) {
    return diff->tree.has_time && diff->before->about.duration_ns > 0 && diff->after->about.duration_ns > 0;
}

static double rate(const struct sw_profile_diff *diff, const struct sw_profile_sum *sums, unsigned side) {
    const struct sw_profile *profile = side ? diff->before : diff->after;
    return (double)sums[side].ns / (double)profile->about.duration_ns;
}

static void recording_text(const struct sw_profile_diff *diff, unsigned side, struct sw_markup *markup) {
    const struct sw_profile_about *about = side ? &diff->before->about : &diff->after->about;
    const struct sw_profile_sum *all = &diff->tree.cells[SW_PROFILE_ROOT].total[side];
    sw_markup_raw(markup, side ? "before  " : "after   ");
    sw_markup_count(markup, all->count);
    sw_markup_raw(markup, " samples");
    if (about->what.len) {
        sw_markup_raw(markup, " of ");
        sw_markup_bytes(markup, about->what);
    }
    if (all->ns > 0)
        sw_markup_format(markup, ", %.3f s", (double)all->ns / NS_PER_S);
    if (about->duration_ns > 0)
        sw_markup_format(markup, " in %.3f s", (double)about->duration_ns / NS_PER_S);
    if (about->exact || about->partial || about->failed)
        sw_markup_format(markup, " (%llu exact, %llu partial, %llu failed)", (unsigned long long)about->exact,
                         (unsigned long long)about->partial, (unsigned long long)about->failed);
    if (about->command.len) {
        sw_markup_raw(markup, ", ");
        sw_markup_bytes(markup, about->command);
    }
    sw_markup_raw(markup, "\n");
}

static void change_text(const struct sw_profile_diff *diff, const struct sw_profile_sum *sums,
                        struct sw_markup *markup) {
    sw_markup_format(markup, " %6.2f %6.2f %+7.2f%c", 100 * share(diff, sums, 1), 100 * share(diff, sums, 0),
                     100 * sw_profile_flame_change(&diff->tree, sums), is_chance(diff, sums) ? '~' : ' ');
}

static void row_text(const struct sw_profile_diff *diff, uint32_t frame, struct sw_markup *markup) {
    const struct sw_profile_cell *row = &diff->rows[frame];
    change_text(diff, row->self, markup);
    change_text(diff, row->total, markup);
    if (has_rates(diff))
        sw_markup_format(markup, " %8.1f %8.1f", 1000 * rate(diff, row->self, 1), 1000 * rate(diff, row->self, 0));
    sw_markup_format(markup, " %7llu %7llu  ", (unsigned long long)row->self[1].count,
                     (unsigned long long)row->self[0].count);
    struct sw_buf name = {0};
    enum sw_status status = sw_profile_frame_text(&diff->shown.frames[frame], &name);
    sw_markup_bytes(markup, sw_buf_view(&name));
    sw_markup_raw(markup, "\n");
    if (markup->status == SW_OK)
        markup->status = status;
    sw_buf_release(&name);
}

enum sw_status sw_profile_diff_text(const struct sw_profile_diff *diff, size_t top, struct sw_buf *out) {
    struct sw_markup markup = {.out = out};
    size_t rows = top && top < diff->count ? top : diff->count;
    recording_text(diff, 1, &markup);
    recording_text(diff, 0, &markup);
    sw_markup_format(&markup, "\n %-22s %-22s%s %-15s\n", "------- self, %", "------- total, %",
                     has_rates(diff) ? " --- self, ms/s --" : "", " self, samples");
    sw_markup_format(&markup, " before  after  change  before  after  change %s  before   after  function\n",
                     has_rates(diff) ? "   before    after" : "");
    for (size_t i = 0; i < rows; i++)
        row_text(diff, diff->order[i], &markup);
    if (rows < diff->count)
        sw_markup_format(&markup, "%zu more changed less; --top 0 lists all\n", diff->count - rows);
    sw_markup_format(&markup,
                     "\nShares of %s; changes in points. ~: chance alone may explain it (two-proportion test of the "
                     "counts, 99 %%).\n",
                     diff->tree.has_time ? "the time" : "the samples");
    return markup.status;
}

static void key_f64(struct sw_json *json, struct sw_str key, double value) {
    sw_json_key(json, key);
    sw_json_f64(json, value);
}

static void recording_json(const struct sw_profile_diff *diff, unsigned side, struct sw_json *json) {
    const struct sw_profile_about *about = side ? &diff->before->about : &diff->after->about;
    const struct sw_profile_sum *all = &diff->tree.cells[SW_PROFILE_ROOT].total[side];
    sw_json_key(json, side ? SW_STR("before") : SW_STR("after"));
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("samples"));
    sw_json_u64(json, all->count);
    if (all->ns > 0)
        key_f64(json, SW_STR("seconds"), (double)all->ns / NS_PER_S);
    if (about->duration_ns > 0)
        key_f64(json, SW_STR("duration_s"), (double)about->duration_ns / NS_PER_S);
    if (about->what.len) {
        sw_json_key(json, SW_STR("what"));
        sw_json_str(json, about->what);
    }
    if (about->command.len) {
        sw_json_key(json, SW_STR("command"));
        sw_json_str(json, about->command);
    }
    sw_json_object_end(json);
}

static void sums_json(const struct sw_profile_diff *diff, struct sw_str key, const struct sw_profile_sum *sums,
                      struct sw_json *json) {
    sw_json_key(json, key);
    sw_json_object_begin(json);
    key_f64(json, SW_STR("before"), share(diff, sums, 1));
    key_f64(json, SW_STR("after"), share(diff, sums, 0));
    key_f64(json, SW_STR("change"), sw_profile_flame_change(&diff->tree, sums));
    sw_json_key(json, SW_STR("samples_before"));
    sw_json_u64(json, sums[1].count);
    sw_json_key(json, SW_STR("samples_after"));
    sw_json_u64(json, sums[0].count);
    if (has_rates(diff)) {
        key_f64(json, SW_STR("s_per_s_before"), rate(diff, sums, 1));
        key_f64(json, SW_STR("s_per_s_after"), rate(diff, sums, 0));
    }
    sw_json_key(json, SW_STR("is_chance"));
    sw_json_bool(json, is_chance(diff, sums));
    sw_json_object_end(json);
}

static void row_json(const struct sw_profile_diff *diff, uint32_t index, struct sw_json *json) {
    const struct sw_profile_frame *frame = &diff->shown.frames[index];
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("name"));
    sw_json_str(json, frame->name);
    if (frame->file.len) {
        sw_json_key(json, SW_STR("file"));
        sw_json_str(json, frame->file);
    }
    if (frame->line) {
        sw_json_key(json, SW_STR("line"));
        sw_json_i64(json, frame->line);
    }
    sums_json(diff, SW_STR("self"), diff->rows[index].self, json);
    sums_json(diff, SW_STR("total"), diff->rows[index].total, json);
    sw_json_object_end(json);
}

enum sw_status sw_profile_diff_json(const struct sw_profile_diff *diff, size_t top, struct sw_buf *out) {
    struct sw_json json;
    sw_json_init(&json, out);
    sw_json_object_begin(&json);
    recording_json(diff, 1, &json);
    recording_json(diff, 0, &json);
    sw_json_key(&json, SW_STR("shares_of"));
    sw_json_str(&json, diff->tree.has_time ? SW_STR("time") : SW_STR("samples"));
    sw_json_key(&json, SW_STR("functions"));
    sw_json_array_begin(&json);
    for (size_t i = 0; i < diff->count && (top == 0 || i < top); i++)
        row_json(diff, diff->order[i], &json);
    sw_json_array_end(&json);
    sw_json_object_end(&json);
    enum sw_status status = sw_json_status(&json);
    return status == SW_OK ? sw_buf_append_byte(out, '\n') : status;
}
