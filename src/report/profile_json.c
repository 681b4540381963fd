/* profile_json.c - A profile in the project's own form, which keeps all of it; docs/profile-json.md explains it. */
#include "base/json.h"
#include "report/profile_format_impl.h"

static const char *const kinds[] = {"python", "native", "mark"};

static void text_write(struct sw_json *json, struct sw_str key, struct sw_str text) {
    if (text.len) {
        sw_json_key(json, key);
        sw_json_str(json, text);
    }
}

static void number_write(struct sw_json *json, struct sw_str key, int64_t value) {
    if (value) {
        sw_json_key(json, key);
        sw_json_i64(json, value);
    }
}

/* What is not known is not there. */
static void about_write(struct sw_json *json, const struct sw_profile_about *about) {
    sw_json_key(json, SW_STR("about"));
    sw_json_object_begin(json);
    number_write(json, SW_STR("start_epoch_ns"), about->start_epoch_ns);
    number_write(json, SW_STR("duration_ns"), about->duration_ns);
    if (about->rate_hz > 0) {
        sw_json_key(json, SW_STR("rate_hz"));
        sw_json_f64(json, about->rate_hz);
    }
    if (about->exact || about->partial || about->failed) {
        sw_json_key(json, SW_STR("exact"));
        sw_json_u64(json, about->exact);
        sw_json_key(json, SW_STR("partial"));
        sw_json_u64(json, about->partial);
        sw_json_key(json, SW_STR("failed"));
        sw_json_u64(json, about->failed);
    }
    text_write(json, SW_STR("what"), about->what);
    text_write(json, SW_STR("command"), about->command);
    text_write(json, SW_STR("reason"), about->reason);
    sw_json_object_end(json);
}

static void frames_write(struct sw_json *json, const struct sw_profile *profile) {
    sw_json_key(json, SW_STR("frames"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < profile->frame_count; i++) {
        const struct sw_profile_frame *frame = &profile->frames[i];
        sw_json_object_begin(json);
        sw_json_key(json, SW_STR("name"));
        sw_json_str(json, frame->name);
        text_write(json, SW_STR("file"), frame->file);
        number_write(json, SW_STR("line"), frame->line);
        text_write(json, SW_STR("kind"), sw_str_from(kinds[frame->kind]));
        sw_json_object_end(json);
    }
    sw_json_array_end(json);
}

static void nodes_write(struct sw_json *json, const struct sw_profile *profile) {
    sw_json_key(json, SW_STR("nodes"));
    sw_json_array_begin(json);
    for (size_t i = 1; i < profile->node_count; i++) {
        sw_json_array_begin(json);
        sw_json_u64(json, profile->nodes[i].parent);
        sw_json_u64(json, profile->nodes[i].frame);
        sw_json_array_end(json);
    }
    sw_json_array_end(json);
}

static void tracks_write(struct sw_json *json, const struct sw_profile *profile) {
    sw_json_key(json, SW_STR("tracks"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < profile->track_count; i++) {
        const struct sw_profile_track *track = &profile->tracks[i];
        sw_json_object_begin(json);
        number_write(json, SW_STR("pid"), track->pid);
        number_write(json, SW_STR("tid"), track->tid);
        text_write(json, SW_STR("process"), track->process);
        text_write(json, SW_STR("thread"), track->thread);
        sw_json_object_end(json);
    }
    sw_json_array_end(json);
}

static void totals_write(struct sw_json *json, const struct sw_profile *profile) {
    bool has_time = sw_profile_has_time(profile);
    sw_json_key(json, SW_STR("totals"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < profile->total_count; i++) {
        const struct sw_profile_total *total = &profile->totals[i];
        sw_json_array_begin(json);
        sw_json_u64(json, total->track);
        sw_json_u64(json, total->node);
        sw_json_u64(json, total->count);
        if (has_time)
            sw_json_i64(json, total->weight_ns);
        sw_json_array_end(json);
    }
    sw_json_array_end(json);
}

static void samples_write(struct sw_json *json, const struct sw_profile *profile) {
    sw_json_key(json, SW_STR("samples"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct sw_profile_sample *sample = &profile->samples[i];
        sw_json_array_begin(json);
        sw_json_i64(json, sample->epoch_ns);
        sw_json_i64(json, sample->weight_ns);
        sw_json_u64(json, sample->track);
        sw_json_u64(json, sample->node);
        sw_json_array_end(json);
    }
    sw_json_array_end(json);
}

enum sw_status sw_profile_write_json(const struct sw_profile *profile, struct sw_buf *out) {
    struct sw_json json;
    sw_json_init(&json, out);
    sw_json_object_begin(&json);
    text_write(&json, SW_STR("format"), SW_STR("sidewinder-profile"));
    number_write(&json, SW_STR("version"), 1);
    about_write(&json, &profile->about);
    frames_write(&json, profile);
    nodes_write(&json, profile);
    tracks_write(&json, profile);
    totals_write(&json, profile);
    if (profile->sample_count)
        samples_write(&json, profile);
    sw_json_object_end(&json);
    enum sw_status status = sw_json_status(&json);
    return status == SW_OK ? sw_buf_append_byte(out, '\n') : status;
}
