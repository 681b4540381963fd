/* profile_chrome.c - A profile in time for chrome://tracing and Perfetto: Trace Event Format, from kept samples.
 *
 * A call lasts from the first sample that shows it to the end of the last one in a row. A track that was not seen for
 * longer than a sample lasts ends its calls: a gap is shown as a gap.
 */
#include "base/json.h"
#include "base/mem.h"
#include "report/profile_format_impl.h"
#include "report/profile_impl.h"

#define NS_PER_US 1000.0

struct work {
    const struct sw_profile *profile;
    struct sw_json json;
    int64_t zero_ns;    /* what times are counted from */
    uint32_t *open;     /* nodes by depth, 1 to `depth`; open[depth] is the innermost */
    int64_t *begins_ns; /* by depth */
    uint32_t *wanted;   /* nodes of the next stack, by depth */
    uint32_t depth;
    int64_t end_ns; /* of the last sample */
    uint32_t track;
};

static void key_text(struct work *work, struct sw_str key, struct sw_str text) {
    sw_json_key(&work->json, key);
    sw_json_str(&work->json, text);
}

static void ids_write(struct work *work) {
    sw_json_key(&work->json, SW_STR("pid"));
    sw_json_i64(&work->json, work->profile->tracks[work->track].pid);
    sw_json_key(&work->json, SW_STR("tid"));
    sw_json_i64(&work->json, work->profile->tracks[work->track].tid);
}

static void event_write(struct work *work, uint32_t node, int64_t begin_ns, int64_t end_ns) {
    static const char *const kinds[] = {"python", "native", "mark"};
    const struct sw_profile_frame *frame = &work->profile->frames[work->profile->nodes[node].frame];
    sw_json_object_begin(&work->json);
    key_text(work, SW_STR("ph"), SW_STR("X"));
    key_text(work, SW_STR("name"), frame->name);
    key_text(work, SW_STR("cat"), sw_str_from(kinds[frame->kind]));
    ids_write(work);
    sw_json_key(&work->json, SW_STR("ts"));
    sw_json_f64(&work->json, (double)(begin_ns - work->zero_ns) / NS_PER_US);
    sw_json_key(&work->json, SW_STR("dur"));
    sw_json_f64(&work->json, (double)(end_ns - begin_ns) / NS_PER_US);
    sw_json_key(&work->json, SW_STR("args"));
    sw_json_object_begin(&work->json);
    if (frame->file.len)
        key_text(work, SW_STR("file"), frame->file);
    if (frame->line) {
        sw_json_key(&work->json, SW_STR("line"));
        sw_json_i64(&work->json, frame->line);
    }
    sw_json_object_end(&work->json);
    sw_json_object_end(&work->json);
}

static void close_to(struct work *work, uint32_t depth) {
    for (; work->depth > depth; work->depth--)
        event_write(work, work->open[work->depth], work->begins_ns[work->depth], work->end_ns);
}

static void sample_show(struct work *work, const struct sw_profile_sample *sample) {
    const struct sw_profile_node *nodes = work->profile->nodes;
    uint32_t depth = nodes[sample->node].depth;
    for (uint32_t at = depth, node = sample->node; at > 0; node = nodes[node].parent)
        work->wanted[at--] = node;
    bool is_gap = sample->epoch_ns - work->end_ns > sample->weight_ns;
    uint32_t shared = 0;
    while (!is_gap && shared < depth && shared < work->depth && work->wanted[shared + 1] == work->open[shared + 1])
        shared++;
    /* Clocks and timers waver: within a gap's length the old calls end where the new ones begin. */
    if (!is_gap)
        work->end_ns = sample->epoch_ns;
    close_to(work, shared);
    while (work->depth < depth) {
        work->depth++;
        work->open[work->depth] = work->wanted[work->depth];
        work->begins_ns[work->depth] = sample->epoch_ns;
    }
    work->end_ns = sw_profile_sum_ns(sample->epoch_ns, sample->weight_ns);
}

static void name_write(struct work *work, struct sw_str what, struct sw_str name) {
    if (name.len == 0)
        return;
    sw_json_object_begin(&work->json);
    key_text(work, SW_STR("ph"), SW_STR("M"));
    key_text(work, SW_STR("name"), what);
    ids_write(work);
    sw_json_key(&work->json, SW_STR("args"));
    sw_json_object_begin(&work->json);
    key_text(work, SW_STR("name"), name);
    sw_json_object_end(&work->json);
    sw_json_object_end(&work->json);
}

static void track_write(struct work *work) {
    const struct sw_profile *profile = work->profile;
    name_write(work, SW_STR("process_name"), profile->tracks[work->track].process);
    name_write(work, SW_STR("thread_name"), profile->tracks[work->track].thread);
    work->depth = 0;
    work->end_ns = work->zero_ns;
    for (size_t i = 0; i < profile->sample_count; i++)
        if (profile->samples[i].track == work->track)
            sample_show(work, &profile->samples[i]);
    close_to(work, 0);
}

static enum sw_status document_write(struct work *work) {
    sw_json_object_begin(&work->json);
    key_text(work, SW_STR("displayTimeUnit"), SW_STR("ms"));
    sw_json_key(&work->json, SW_STR("traceEvents"));
    sw_json_array_begin(&work->json);
    for (size_t i = 0; i < work->profile->track_count; i++) {
        work->track = (uint32_t)i;
        track_write(work);
    }
    sw_json_array_end(&work->json);
    sw_json_object_end(&work->json);
    return sw_json_status(&work->json);
}

enum sw_status sw_profile_write_chrome(const struct sw_profile *profile, struct sw_buf *out) {
    size_t depths = (size_t)sw_profile_height(profile) + 1;
    struct work work = {
        .profile = profile,
        .open = sw_alloc_array(depths, sizeof *work.open),
        .begins_ns = sw_alloc_array(depths, sizeof *work.begins_ns),
        .wanted = sw_alloc_array(depths, sizeof *work.wanted),
        .zero_ns = profile->sample_count ? profile->samples[0].epoch_ns : 0,
    };
    sw_json_init(&work.json, out);
    enum sw_status status = work.open && work.begins_ns && work.wanted ? document_write(&work) : SW_NOMEM;
    sw_free(work.open);
    sw_free(work.begins_ns);
    sw_free(work.wanted);
    return status == SW_OK ? sw_buf_append_byte(out, '\n') : status;
}
