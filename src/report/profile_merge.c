/* profile_merge.c - One profile added to another, and what is told about both. */
#include <string.h>

#include "base/mem.h"
#include "report/profile_impl.h"

/* Places in `from` to places in `into`. */
struct places {
    uint32_t *frames, *nodes, *tracks;
};

static enum sw_status places_make(struct places *places, const struct sw_profile *from) {
    places->frames = sw_alloc_array(from->frame_count, sizeof *places->frames);
    places->nodes = sw_alloc_array(from->node_count, sizeof *places->nodes);
    places->tracks = sw_alloc_array(from->track_count, sizeof *places->tracks);
    return places->frames && places->nodes && places->tracks ? SW_OK : SW_NOMEM;
}

static void places_release(struct places *places) {
    sw_free(places->frames);
    sw_free(places->nodes);
    sw_free(places->tracks);
}

static enum sw_status intern_all(struct sw_profile *into, const struct sw_profile *from, struct places *places) {
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < from->frame_count && status == SW_OK; i++)
        status = sw_profile_add_frame(into, &from->frames[i], &places->frames[i]);
    for (size_t i = 0; i < from->track_count && status == SW_OK; i++)
        status = sw_profile_add_track(into, &from->tracks[i], &places->tracks[i]);
    if (from->node_count)
        places->nodes[0] = SW_PROFILE_ROOT;
    for (size_t i = 1; i < from->node_count && status == SW_OK; i++) {
        const struct sw_profile_node *node = &from->nodes[i];
        status = sw_profile_add_node(into, places->nodes[node->parent], places->frames[node->frame], &places->nodes[i]);
    }
    return status;
}

/* Both runs are in order of time; so is the whole afterwards. There is room. */
static void samples_merge(struct sw_profile *into, const struct sw_profile *from, const struct places *places) {
    size_t left = into->sample_count;
    size_t right = from->sample_count;
    struct sw_profile_sample *samples = into->samples;
    into->sample_count += right;
    while (right > 0) {
        struct sw_profile_sample next = from->samples[right - 1];
        if (left > 0 && samples[left - 1].epoch_ns > next.epoch_ns) {
            samples[left + right - 1] = samples[left - 1];
            left--;
        } else {
            next.track = places->tracks[next.track];
            next.node = places->nodes[next.node];
            samples[left + right - 1] = next;
            right--;
        }
    }
}

static struct sw_str text_first(struct sw_str a, struct sw_str b) {
    return a.len ? a : b;
}

static int64_t end_of(const struct sw_profile_about *about) {
    return sw_profile_sum_ns(about->start_epoch_ns, about->duration_ns);
}

/* The span that covers both where both say when they began, else the longer one. */
static void span_merge(struct sw_profile_about *sum, const struct sw_profile_about *more) {
    if (sum->start_epoch_ns && more->start_epoch_ns) {
        int64_t end = end_of(sum) > end_of(more) ? end_of(sum) : end_of(more);
        sum->start_epoch_ns = sum->start_epoch_ns < more->start_epoch_ns ? sum->start_epoch_ns : more->start_epoch_ns;
        sum->duration_ns = end - sum->start_epoch_ns;
        return;
    }
    sum->start_epoch_ns = sum->start_epoch_ns ? sum->start_epoch_ns : more->start_epoch_ns;
    sum->duration_ns = sum->duration_ns > more->duration_ns ? sum->duration_ns : more->duration_ns;
}

static enum sw_status about_merge(struct sw_profile *into, const struct sw_profile *from, bool is_first) {
    struct sw_profile_about sum = into->about;
    const struct sw_profile_about *more = &from->about;
    span_merge(&sum, more);
    sum.rate_hz = is_first || sum.rate_hz == more->rate_hz ? more->rate_hz : 0;
    sum.exact = sw_profile_sum_u64(sum.exact, more->exact);
    sum.partial = sw_profile_sum_u64(sum.partial, more->partial);
    sum.failed = sw_profile_sum_u64(sum.failed, more->failed);
    sum.what = text_first(sum.what, more->what);
    sum.command = text_first(sum.command, more->command);
    sum.reason = text_first(sum.reason, more->reason);
    return sw_profile_describe(into, &sum);
}

/* With `is_sum` false only makes the slots, empty, so that afterwards the sums cannot fail. */
static enum sw_status totals_merge(struct sw_profile *into, const struct sw_profile *from, const struct places *places,
                                   bool is_sum) {
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < from->total_count && status == SW_OK; i++) {
        struct sw_profile_total total = from->totals[i];
        total.track = places->tracks[total.track];
        total.node = places->nodes[total.node];
        total.count = is_sum ? total.count : 0;
        total.weight_ns = is_sum ? total.weight_ns : 0;
        status = sw_profile_add_total(into, &total);
    }
    return status;
}

enum sw_status sw_profile_describe(struct sw_profile *profile, const struct sw_profile_about *about) {
    struct sw_profile_about copy = *about;
    copy.what = sw_arena_copy(&profile->text, about->what);
    copy.command = sw_arena_copy(&profile->text, about->command);
    copy.reason = sw_arena_copy(&profile->text, about->reason);
    if (!copy.what.ptr || !copy.command.ptr || !copy.reason.ptr)
        return SW_NOMEM;
    profile->about = copy;
    return SW_OK;
}

enum sw_status sw_profile_merge(struct sw_profile *into, const struct sw_profile *from) {
    struct places places = {0};
    bool is_first = into->total_count == 0;
    size_t samples = into->keeps_samples ? from->sample_count : 0;
    enum sw_status status = places_make(&places, from);
    if (status == SW_OK)
        status = intern_all(into, from, &places);
    if (status == SW_OK)
        status = sw_profile_reserve(into, 0, samples);
    if (status == SW_OK)
        status = totals_merge(into, from, &places, false);
    if (status == SW_OK)
        status = about_merge(into, from, is_first);
    if (status == SW_OK)
        status = totals_merge(into, from, &places, true);
    if (status == SW_OK && samples)
        samples_merge(into, from, &places);
    places_release(&places);
    return status;
}
