/* gil_refresh.c - Which threads a GIL timeline follows: listed now and then, and found when an unknown one holds the GIL. */
#include <stdio.h>

#include "base/clock.h"
#include "probe/gil_timeline_impl.h"

#define REFRESH_NS (SW_NS_PER_S / 4)
#define REFRESH_METER_NS SW_NS_PER_S
#define RETRY_NS (10 * SW_NS_PER_MS)
#define SWEEP_EVERY 40u /* refreshes; closes the files of threads that ended */
#define ENTRY_TRIES 8u
#define ENTRY_BATCH 64
#define INTERVAL_MAX_US 1000000000 /* beyond, it is something else that was read */
#define TID_MAX (1 << 22)          /* Linux's own bound */

/* Index of the GIL, SW_GILS_MAX when there is none or no room. */
static size_t gil_index(struct sw_gil_timeline *timeline, uint64_t address) {
    size_t empty = SW_GILS_MAX;
    if (address == 0)
        return SW_GILS_MAX;
    for (size_t i = 0; i < timeline->gil_count; i++) {
        if (timeline->gils[i].address == address)
            return i;
        if (timeline->gils[i].address == 0)
            empty = i;
    }
    if (empty == SW_GILS_MAX && timeline->gil_count < SW_GILS_MAX)
        empty = timeline->gil_count++;
    if (empty < SW_GILS_MAX)
        timeline->gils[empty] = (struct sw_gil_state_now){.address = address};
    return empty;
}

static void intervals_read(struct sw_gil_timeline *timeline) {
    uint32_t offset = timeline->runtime->layout.gil.interval;
    for (size_t i = 0; i < timeline->gil_count; i++) {
        uint64_t interval_us;
        if (offset != SW_ABSENT && timeline->gils[i].address != 0 &&
            sw_target_read_u64(timeline->runtime->target, timeline->gils[i].address + offset, &interval_us) == SW_OK &&
            interval_us <= INTERVAL_MAX_US)
            timeline->gils[i].interval_ns = (int64_t)interval_us * SW_NS_PER_US;
    }
}

static struct sw_gil_lane *lane_make(struct sw_gil_timeline *timeline, uint64_t address, int32_t tid, size_t gil) {
    int64_t now_ns = sw_clock_mono_ns();
    struct sw_gil_lane lane = {.address = address,
                               .tid = tid,
                               .gil = (uint32_t)gil,
                               .has_waits = tid > 0,
                               .is_listed = true,
                               .first_ns = now_ns,
                               .looked_ns = now_ns};
    if (tid > 0 && sw_target_thread_name(timeline->runtime->target, tid, lane.name) != SW_OK)
        lane.name[0] = '\0';
    return sw_gil_lane_add(timeline, &lane);
}

static enum sw_status thread_take(struct sw_gil_timeline *timeline, const struct sw_thread_ref *thread) {
    if (thread->interpreter >= timeline->list.interpreter_count)
        return SW_OK;
    size_t gil = gil_index(timeline, timeline->list.interpreters[thread->interpreter].gil);
    if (gil == SW_GILS_MAX)
        return SW_OK;
    struct sw_gil_lane *lane = sw_gil_lane_find(timeline, thread->address);
    if (lane && lane->tid == 0 && thread->tid > 0) {
        lane->tid = thread->tid;
        lane->has_waits = true;
    }
    if (lane && (lane->gil != gil || (thread->tid > 0 && lane->tid != thread->tid))) {
        sw_gil_lane_gone(timeline, lane); /* the memory is used by another thread now */
        lane = NULL;
    }
    if (!lane)
        lane = lane_make(timeline, thread->address, thread->tid, gil);
    if (lane)
        lane->is_listed = true;
    return lane ? SW_OK : SW_NOMEM;
}

static void gils_forget(struct sw_gil_timeline *timeline) {
    for (size_t g = 0; g < timeline->gil_count; g++) {
        bool is_there = false;
        for (size_t i = 0; i < timeline->list.interpreter_count; i++)
            is_there |= timeline->list.interpreters[i].gil == timeline->gils[g].address;
        if (!is_there)
            timeline->gils[g].address = 0;
    }
}

/* "worker (app.py)": the outermost frame that is not the threading module's own. */
void sw_gil_lane_entry(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, const struct sw_stack *stack) {
    char text[256];
    if (lane->entry.len > 0 || timeline->options.is_meter)
        return;
    for (size_t i = stack->frame_count; i > 0; i--) {
        const struct sw_code *code = stack->frames[i - 1].code;
        if (!code || sw_str_ends(code->file, SW_STR("/threading.py")) || sw_str_starts(code->file, SW_STR("<frozen ")))
            continue;
        const char *slash = code->file.len ? memrchr(code->file.ptr, '/', code->file.len) : NULL;
        struct sw_str file = slash ? sw_str_skip(code->file, (size_t)(slash - code->file.ptr) + 1) : code->file;
        int len = snprintf(text, sizeof text, "%.*s (%.*s)", SW_STR_ARG(code->name), SW_STR_ARG(file));
        size_t kept = len < 0 ? 0 : (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
        struct sw_str copy = sw_arena_copy(&timeline->text, sw_str_make(text, kept));
        if (copy.ptr)
            lane->entry = copy;
        return;
    }
}

static struct sw_gil_lane *lane_by_tid(struct sw_gil_timeline *timeline, int32_t tid) {
    for (size_t i = 0; i < timeline->lane_count; i++)
        if (timeline->lanes[i]->tid == tid && !timeline->lanes[i]->is_gone)
            return timeline->lanes[i];
    return NULL;
}

/* Reads the stacks of threads whose beginning is not known yet; most need one look, new ones may not have begun. */
static enum sw_status entries_find(struct sw_gil_timeline *timeline) {
    int32_t tids[ENTRY_BATCH];
    size_t count = 0;
    const struct sw_stack *stacks;
    size_t stack_count;
    for (size_t i = 0; i < timeline->lane_count && count < ENTRY_BATCH; i++) {
        struct sw_gil_lane *lane = timeline->lanes[i];
        if (!lane->is_gone && lane->tid > 0 && lane->entry.len == 0 && lane->entry_tries < ENTRY_TRIES) {
            lane->entry_tries++;
            tids[count++] = lane->tid;
        }
    }
    if (count == 0)
        return SW_OK;
    enum sw_status status = sw_stack_read(timeline->stacks, tids, count, &stacks, &stack_count);
    for (size_t i = 0; status == SW_OK && i < stack_count; i++) {
        struct sw_gil_lane *lane = lane_by_tid(timeline, stacks[i].thread.tid);
        if (lane)
            sw_gil_lane_entry(timeline, lane, &stacks[i]);
    }
    return status == SW_AGAIN ? SW_OK : status;
}

static enum sw_status threads_take(struct sw_gil_timeline *timeline) {
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < timeline->lane_count; i++)
        timeline->lanes[i]->is_listed = false;
    for (size_t i = 0; status == SW_OK && i < timeline->list.interpreter_count; i++)
        (void)gil_index(timeline, timeline->list.interpreters[i].gil);
    for (size_t i = 0; status == SW_OK && i < timeline->list.thread_count; i++)
        status = thread_take(timeline, &timeline->list.threads[i]);
    for (size_t i = 0; status == SW_OK && i < timeline->lane_count; i++)
        if (!timeline->lanes[i]->is_listed)
            sw_gil_lane_gone(timeline, timeline->lanes[i]);
    return status;
}

enum sw_status sw_gil_refresh(struct sw_gil_timeline *timeline, int64_t now_ns) {
    enum sw_status status = sw_runtime_threads(timeline->runtime, &timeline->list);
    if (status == SW_AGAIN || status == SW_IO) {
        timeline->refresh_ns = now_ns + RETRY_NS;
        return status == SW_IO && !sw_target_is_alive(timeline->runtime->target) ? SW_CLOSED : SW_OK;
    }
    if (status == SW_OK)
        status = threads_take(timeline);
    if (status != SW_OK)
        return status;
    gils_forget(timeline);
    intervals_read(timeline);
    sw_gil_lanes_drop(timeline, timeline->options.is_meter ? 0 : SW_GIL_LANES_MAX);
    if (++timeline->refreshes % SWEEP_EVERY == 0)
        sw_thread_watch_sweep(timeline->watch);
    timeline->refresh_ns = now_ns + (timeline->options.is_meter ? REFRESH_METER_NS : REFRESH_NS);
    return timeline->stacks && !timeline->options.is_meter ? entries_find(timeline) : SW_OK;
}

static bool is_interpreter(const struct sw_gil_timeline *timeline, uint64_t address) {
    for (size_t i = 0; i < timeline->list.interpreter_count; i++)
        if (timeline->list.interpreters[i].address == address)
            return true;
    return false;
}

/* A thread that is younger than the last list. NULL: it is not known yet, or there is no memory. */
struct sw_gil_lane *sw_gil_lane_discover(struct sw_gil_timeline *timeline, size_t gil, uint64_t address,
                                         int64_t now_ns) {
    const struct sw_layout *layout = &timeline->runtime->layout;
    uint64_t interpreter;
    uint64_t tid = 0;
    if (timeline->refresh_ns > now_ns + RETRY_NS)
        timeline->refresh_ns = now_ns + RETRY_NS;
    if (layout->thread.native_thread_id == SW_ABSENT ||
        sw_target_read_u64(timeline->runtime->target, address + layout->thread.interp, &interpreter) != SW_OK ||
        !is_interpreter(timeline, interpreter) ||
        sw_target_read_u64(timeline->runtime->target, address + layout->thread.native_thread_id, &tid) != SW_OK ||
        tid == 0 || tid > TID_MAX)
        return NULL;
    struct sw_gil_lane *lane = lane_make(timeline, address, (int32_t)tid, gil);
    if (!lane)
        timeline->failure = SW_NOMEM;
    return lane;
}
