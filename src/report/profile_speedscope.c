/* profile_speedscope.c - A profile for speedscope.app: one sampled profile a track. */
#include "base/json.h"
#include "base/mem.h"
#include "report/profile_format_impl.h"
#include "report/profile_impl.h"

#define SCHEMA "https://www.speedscope.app/file-format-schema.json"

/* What follows each other in one track: a node, and how long. */
struct span {
    uint32_t node;
    int64_t weight;
};

struct work {
    const struct sw_profile *profile;
    struct sw_json json;
    struct span *spans;
    size_t span_count;
    uint32_t *frames; /* of one stack */
    bool has_time;
};

/* Equal neighbours become one, so that a long look at one stack is one item. */
static void span_add(struct work *work, uint32_t node, int64_t weight) {
    struct span *last = work->span_count ? &work->spans[work->span_count - 1] : NULL;
    if (last && last->node == node && !__builtin_add_overflow(last->weight, weight, &last->weight))
        return;
    work->spans[work->span_count++] = (struct span){node, weight};
}

static void spans_find(struct work *work, uint32_t track) {
    const struct sw_profile *profile = work->profile;
    work->span_count = 0;
    for (size_t i = 0; i < profile->sample_count; i++)
        if (profile->samples[i].track == track)
            span_add(work, profile->samples[i].node, work->has_time ? profile->samples[i].weight_ns : 1);
    for (size_t i = 0; profile->sample_count == 0 && i < profile->total_count; i++)
        if (profile->totals[i].track == track)
            span_add(work, profile->totals[i].node,
                     work->has_time ? profile->totals[i].weight_ns : (int64_t)profile->totals[i].count);
}

static void stack_write(struct work *work, uint32_t node) {
    uint32_t depth = work->profile->nodes[node].depth;
    sw_profile_stack(work->profile, node, work->frames);
    sw_json_array_begin(&work->json);
    for (uint32_t i = 0; i < depth; i++)
        sw_json_u64(&work->json, work->frames[i]);
    sw_json_array_end(&work->json);
}

static enum sw_status name_write(struct work *work, const struct sw_profile_track *track) {
    struct sw_buf name = {0};
    enum sw_status status =
        sw_buf_append_format(&name, "%d/%d %.*s%s%.*s", track->pid, track->tid, SW_STR_ARG(track->process),
                             track->process.len && track->thread.len ? ": " : "", SW_STR_ARG(track->thread));
    sw_json_key(&work->json, SW_STR("name"));
    sw_json_str(&work->json, sw_str_trim(sw_buf_view(&name)));
    sw_buf_release(&name);
    return status;
}

static enum sw_status track_write(struct work *work, uint32_t track) {
    int64_t end = 0;
    spans_find(work, track);
    sw_json_object_begin(&work->json);
    sw_json_key(&work->json, SW_STR("type"));
    sw_json_str(&work->json, SW_STR("sampled"));
    enum sw_status status = name_write(work, &work->profile->tracks[track]);
    sw_json_key(&work->json, SW_STR("unit"));
    sw_json_str(&work->json, work->has_time ? SW_STR("nanoseconds") : SW_STR("none"));
    sw_json_key(&work->json, SW_STR("samples"));
    sw_json_array_begin(&work->json);
    for (size_t i = 0; i < work->span_count; i++)
        stack_write(work, work->spans[i].node);
    sw_json_array_end(&work->json);
    sw_json_key(&work->json, SW_STR("weights"));
    sw_json_array_begin(&work->json);
    for (size_t i = 0; i < work->span_count; i++) {
        sw_json_i64(&work->json, work->spans[i].weight);
        end = sw_profile_sum_ns(end, work->spans[i].weight);
    }
    sw_json_array_end(&work->json);
    sw_json_key(&work->json, SW_STR("startValue"));
    sw_json_i64(&work->json, 0);
    sw_json_key(&work->json, SW_STR("endValue"));
    sw_json_i64(&work->json, end);
    sw_json_object_end(&work->json);
    return status;
}

static void frames_write(struct work *work) {
    sw_json_key(&work->json, SW_STR("shared"));
    sw_json_object_begin(&work->json);
    sw_json_key(&work->json, SW_STR("frames"));
    sw_json_array_begin(&work->json);
    for (size_t i = 0; i < work->profile->frame_count; i++) {
        const struct sw_profile_frame *frame = &work->profile->frames[i];
        sw_json_object_begin(&work->json);
        sw_json_key(&work->json, SW_STR("name"));
        sw_json_str(&work->json, frame->name);
        if (frame->file.len) {
            sw_json_key(&work->json, SW_STR("file"));
            sw_json_str(&work->json, frame->file);
        }
        if (frame->line > 0) {
            sw_json_key(&work->json, SW_STR("line"));
            sw_json_i64(&work->json, frame->line);
        }
        sw_json_object_end(&work->json);
    }
    sw_json_array_end(&work->json);
    sw_json_object_end(&work->json);
}

static enum sw_status document_write(struct work *work) {
    enum sw_status status = SW_OK;
    sw_json_object_begin(&work->json);
    sw_json_key(&work->json, SW_STR("$schema"));
    sw_json_str(&work->json, SW_STR(SCHEMA));
    sw_json_key(&work->json, SW_STR("exporter"));
    sw_json_str(&work->json, SW_STR("sidewinder"));
    if (work->profile->about.command.len) {
        sw_json_key(&work->json, SW_STR("name"));
        sw_json_str(&work->json, work->profile->about.command);
    }
    sw_json_key(&work->json, SW_STR("activeProfileIndex"));
    sw_json_i64(&work->json, 0);
    frames_write(work);
    sw_json_key(&work->json, SW_STR("profiles"));
    sw_json_array_begin(&work->json);
    for (size_t i = 0; i < work->profile->track_count && status == SW_OK; i++)
        status = track_write(work, (uint32_t)i);
    sw_json_array_end(&work->json);
    sw_json_object_end(&work->json);
    return status == SW_OK ? sw_json_status(&work->json) : status;
}

enum sw_status sw_profile_write_speedscope(const struct sw_profile *profile, struct sw_buf *out) {
    size_t spans = profile->sample_count ? profile->sample_count : profile->total_count;
    struct work work = {
        .profile = profile,
        .spans = sw_alloc_array(spans, sizeof *work.spans),
        .frames = sw_alloc_array((size_t)sw_profile_height(profile) + 1, sizeof *work.frames),
        .has_time = sw_profile_has_time(profile),
    };
    sw_json_init(&work.json, out);
    enum sw_status status = work.spans && work.frames ? document_write(&work) : SW_NOMEM;
    sw_free(work.spans);
    sw_free(work.frames);
    return status == SW_OK ? sw_buf_append_byte(out, '\n') : status;
}
