/* profile_view.c - A profile turned into the one that is shown: lines of a function joined, threads under headings. */
#include <stdlib.h>

#include "base/mem.h"
#include "report/profile_impl.h"
#include "report/profile_tree_impl.h"

struct work {
    struct sw_profile *shown;
    const struct sw_profile *from;
    const struct sw_profile_view *view;
    uint32_t *frames; /* places in `from` to places in `shown` */
    uint32_t *nodes;
    uint32_t *stamps; /* nodes[i] counts while stamps[i] is the current stamp */
    uint32_t *path;   /* nodes between one that is known and the wanted one */
    uint32_t *order;  /* totals by track */
    uint32_t stamp;
    bool has_processes; /* several */
};

static enum sw_status work_alloc(struct work *work) {
    size_t nodes = work->from->node_count;
    work->frames = sw_alloc_array(work->from->frame_count, sizeof *work->frames);
    work->nodes = sw_alloc_array_zero(nodes, sizeof *work->nodes);
    work->stamps = sw_alloc_array_zero(nodes, sizeof *work->stamps);
    work->path = sw_alloc_array(nodes, sizeof *work->path);
    work->order = sw_alloc_array(work->from->total_count, sizeof *work->order);
    return work->frames && work->nodes && work->stamps && work->path && work->order ? SW_OK : SW_NOMEM;
}

static void work_release(struct work *work) {
    sw_free(work->frames);
    sw_free(work->nodes);
    sw_free(work->stamps);
    sw_free(work->path);
    sw_free(work->order);
}

static enum sw_status frames_add(struct work *work) {
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < work->from->frame_count && status == SW_OK; i++) {
        struct sw_profile_frame frame = work->from->frames[i];
        if (work->view->by_function)
            frame.line = 0;
        status = sw_profile_add_frame(work->shown, &frame, &work->frames[i]);
    }
    return status;
}

/* Both sorts of headings are marks: "process 4242 app.py", "thread 4243 worker". */
static enum sw_status heading_add(struct work *work, uint32_t *node, const char *kind,
                                  const struct sw_profile_track *track) {
    struct sw_buf name = {0};
    bool is_process = kind[0] == 'p';
    struct sw_str text = is_process ? track->process : track->thread;
    uint32_t frame;
    enum sw_status status = sw_buf_append_format(&name, "%s %d%s%.*s", kind, is_process ? track->pid : track->tid,
                                                 text.len ? " " : "", SW_STR_ARG(text));
    if (status == SW_OK)
        status = sw_profile_add_frame(work->shown,
                                      &(struct sw_profile_frame){.name = sw_buf_view(&name), .kind = SW_PROFILE_MARK},
                                      &frame);
    if (status == SW_OK)
        status = sw_profile_add_node(work->shown, *node, frame, node);
    sw_buf_release(&name);
    return status;
}

/* Begins a track: the stamp grows, and the root of `from` becomes the track's heading. */
static enum sw_status track_begin(struct work *work, const struct sw_profile_track *track) {
    enum sw_status status = SW_OK;
    work->stamp++;
    work->stamps[SW_PROFILE_ROOT] = work->stamp;
    work->nodes[SW_PROFILE_ROOT] = SW_PROFILE_ROOT;
    if (work->has_processes)
        status = heading_add(work, &work->nodes[SW_PROFILE_ROOT], "process", track);
    if (status == SW_OK)
        status = heading_add(work, &work->nodes[SW_PROFILE_ROOT], "thread", track);
    return status;
}

static enum sw_status node_find(struct work *work, uint32_t wanted, uint32_t *node) {
    size_t count = 0;
    uint32_t at = wanted;
    for (; work->stamps[at] != work->stamp; at = work->from->nodes[at].parent)
        work->path[count++] = at;
    enum sw_status status = SW_OK;
    while (count > 0 && status == SW_OK) {
        uint32_t next = work->path[--count];
        status = sw_profile_add_node(work->shown, work->nodes[at], work->frames[work->from->nodes[next].frame],
                                     &work->nodes[next]);
        work->stamps[next] = work->stamp;
        at = next;
    }
    if (status == SW_OK)
        *node = work->nodes[wanted];
    return status;
}

static int by_track(const void *a, const void *b, void *context) {
    const struct sw_profile_total *totals = context;
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    if (totals[left].track != totals[right].track)
        return totals[left].track < totals[right].track ? -1 : 1;
    return left < right ? -1 : left > right;
}

static enum sw_status total_add(struct work *work, const struct sw_profile_total *total,
                                const struct sw_profile_track *track) {
    struct sw_profile_total sum = *total;
    enum sw_status status = node_find(work, total->node, &sum.node);
    if (status == SW_OK)
        status = sw_profile_add_track(work->shown, track, &sum.track);
    return status == SW_OK ? sw_profile_add_total(work->shown, &sum) : status;
}

static enum sw_status totals_add(struct work *work, const struct sw_profile_track *as) {
    const struct sw_profile *from = work->from;
    uint32_t last = UINT32_MAX;
    for (size_t i = 0; i < from->total_count; i++)
        work->order[i] = (uint32_t)i;
    if (work->view->by_thread)
        qsort_r(work->order, from->total_count, sizeof *work->order, by_track, from->totals);
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < from->total_count && status == SW_OK; i++) {
        const struct sw_profile_total *total = &from->totals[work->order[i]];
        const struct sw_profile_track *track = &from->tracks[total->track];
        if (total->count == 0 && total->weight_ns == 0)
            continue;
        if (work->view->by_thread && total->track != last)
            status = track_begin(work, track);
        last = total->track;
        if (status == SW_OK)
            status = total_add(work, total, as ? as : track);
    }
    return status;
}

/* Their tracks and nodes are all there since the totals were added. */
static enum sw_status samples_add(struct work *work) {
    enum sw_status status = sw_profile_reserve(work->shown, 0, work->from->sample_count);
    for (size_t i = 0; i < work->from->sample_count && status == SW_OK; i++) {
        struct sw_profile_sample sample = work->from->samples[i];
        status = sw_profile_add_track(work->shown, &work->from->tracks[sample.track], &sample.track);
        if (status == SW_OK)
            status = node_find(work, sample.node, &sample.node);
        if (status == SW_OK)
            work->shown->samples[work->shown->sample_count++] = sample;
    }
    return status;
}

enum sw_status sw_profile_view_add(struct sw_profile *shown, const struct sw_profile *from,
                                   const struct sw_profile_view *view, const struct sw_profile_track *track) {
    struct work work = {.shown = shown, .from = from, .view = view};
    for (size_t i = 1; i < from->track_count; i++)
        work.has_processes |= from->tracks[i].pid != from->tracks[0].pid;
    enum sw_status status = sw_profile_describe(shown, &from->about);
    if (status == SW_OK && from->node_count > 0) {
        status = work_alloc(&work);
        if (status == SW_OK)
            work.stamps[SW_PROFILE_ROOT] = work.stamp = 1;
        if (status == SW_OK)
            status = frames_add(&work);
        if (status == SW_OK)
            status = totals_add(&work, track);
        if (status == SW_OK && from->sample_count && !view->by_thread && !track)
            status = samples_add(&work);
    }
    work_release(&work);
    return status;
}
