/* gil_totals.c - Makes and frees a GIL timeline, and says what it has counted. */
#include "base/clock.h"
#include "base/mem.h"
#include "probe/gil_timeline_impl.h"

#define STACK_RATE_HZ 1000.0
#define BLIND_PERIODS 10
#define BLIND_LEAST_NS SW_NS_PER_MS
#define LOOK_COST_FIRST_NS 1500.0 /* of one thread's file; measured from then on */

static void pace_set(struct sw_gil_timeline *timeline) {
    const struct sw_gil_timeline_options *options = &timeline->options;
    double rate_hz = options->rate_hz > 0 ? options->rate_hz : SW_GIL_RATE_HZ;
    double stack_hz = options->stack_rate_hz > 0 ? options->stack_rate_hz : STACK_RATE_HZ;
    if (rate_hz > SW_GIL_RATE_MAX_HZ)
        rate_hz = SW_GIL_RATE_MAX_HZ;
    int64_t period_ns = (int64_t)((double)SW_NS_PER_S / rate_hz);
    int64_t now_ns = sw_clock_mono_ns();
    uint64_t seed = options->seed ? options->seed : 1;
    sw_pace_init(&timeline->pace, period_ns, now_ns, seed);
    sw_pace_init(&timeline->stack_pace, (int64_t)((double)SW_NS_PER_S / stack_hz), now_ns, seed + 1);
    timeline->blind_gap_ns = BLIND_PERIODS * period_ns > BLIND_LEAST_NS ? BLIND_PERIODS * period_ns : BLIND_LEAST_NS;
    timeline->look_cost_ns = LOOK_COST_FIRST_NS;
}

static enum sw_status open_all(struct sw_gil_timeline *timeline, struct sw_error *err) {
    const struct sw_runtime *runtime = timeline->runtime;
    int32_t pid = runtime->target->pid;
    enum sw_status status = sw_thread_watch_new(&timeline->watch, runtime->target);
    if (status == SW_OK && !timeline->options.has_no_functions && !timeline->options.is_meter)
        status = sw_stack_reader_new(&timeline->stacks, runtime, &(struct sw_stack_options){0});
    if (status != SW_OK)
        return sw_fail(err, status, "cannot watch the GIL of process %d: %s", pid, sw_status_text(status));
    status = sw_gil_refresh(timeline, sw_clock_mono_ns());
    if (status != SW_OK) {
        enum sw_status reason = sw_target_explain(runtime->target, err);
        return reason != SW_OK
                   ? reason
                   : sw_fail(err, status, "cannot read the threads of process %d: %s", pid, sw_status_text(status));
    }
    if (timeline->gil_count == 0 && runtime->is_free_threaded)
        return sw_fail(err, SW_UNSUPPORTED,
                       "process %d runs free-threaded CPython %s, which has no GIL to watch (it has one when started "
                       "with PYTHON_GIL=1)",
                       pid, runtime->version_text);
    if (timeline->gil_count == 0)
        return sw_fail(err, SW_AGAIN, "process %d has not made its GIL yet; try again", pid);
    return SW_OK;
}

enum sw_status sw_gil_timeline_new(struct sw_gil_timeline **out, const struct sw_runtime *runtime,
                                   const struct sw_gil_timeline_options *options, struct sw_error *err) {
    struct sw_gil_timeline *timeline = sw_alloc_zero(sizeof *timeline);
    if (!timeline)
        return sw_fail(err, SW_NOMEM, "out of memory");
    timeline->runtime = runtime;
    timeline->options = *options;
    pace_set(timeline);
    enum sw_status status = open_all(timeline, err);
    if (status != SW_OK)
        sw_gil_timeline_free(timeline);
    else
        *out = timeline;
    return status;
}

void sw_gil_timeline_free(struct sw_gil_timeline *timeline) {
    if (!timeline)
        return;
    for (size_t i = 0; i < timeline->lane_count; i++) {
        sw_free(timeline->lanes[i]->wait);
        sw_free(timeline->lanes[i]->spans);
        sw_free(timeline->lanes[i]);
    }
    sw_free(timeline->lanes);
    sw_free(timeline->seen);
    sw_free(timeline->functions);
    sw_map_release(&timeline->function_index);
    sw_arena_release(&timeline->text);
    sw_thread_list_release(&timeline->list);
    sw_stack_reader_free(timeline->stacks);
    sw_thread_watch_free(timeline->watch);
    sw_free(timeline);
}

/* Time that a thread has waited, or held the GIL, without an end yet. */
static int64_t wait_so_far(const struct sw_gil_lane *lane) {
    if (lane->wait_start_ns == 0)
        return 0;
    int64_t until_ns = lane->running_ns ? lane->running_ns : lane->looked_ns;
    return until_ns > lane->wait_start_ns ? until_ns - lane->wait_start_ns : 0;
}

static int64_t period_so_far(const struct sw_gil_state_now *gil) {
    return gil->is_started ? gil->look.mono_ns - gil->hold_start_ns : 0;
}

struct sw_gil_totals sw_gil_timeline_totals(const struct sw_gil_timeline *timeline) {
    struct sw_gil_totals totals = timeline->totals;
    for (size_t i = 0; i < timeline->gil_count; i++) {
        const struct sw_gil_state_now *gil = &timeline->gils[i];
        totals.gil_count += gil->is_started;
        if (timeline->is_ended)
            continue;
        if (gil->look.holder != 0)
            totals.held_ns += period_so_far(gil);
        else
            totals.free_ns += period_so_far(gil);
    }
    for (size_t i = 0; i < timeline->lane_count; i++)
        totals.waited_ns += wait_so_far(timeline->lanes[i]);
    totals.has_gil = totals.gil_count > 0;
    totals.missed = timeline->pace.missed;
    totals.gap_p50_ns = (int64_t)sw_histogram_quantile(&timeline->gaps, 0.5);
    totals.gap_p99_ns = (int64_t)sw_histogram_quantile(&timeline->gaps, 0.99);
    totals.gap_max_ns = (int64_t)timeline->gaps.max;
    totals.wait = &timeline->wait;
    if (!timeline->is_ended && totals.looks > 0)
        totals.own_cpu_ns = sw_clock_thread_cpu_ns() - timeline->start_cpu_ns;
    return totals;
}

size_t sw_gil_timeline_count(const struct sw_gil_timeline *timeline) {
    return timeline->lane_count;
}

struct sw_gil_thread sw_gil_timeline_thread(const struct sw_gil_timeline *timeline, size_t index) {
    const struct sw_gil_lane *lane = timeline->lanes[index];
    const struct sw_gil_state_now *gil = &timeline->gils[lane->gil];
    struct sw_gil_thread thread = {
        .address = lane->address,
        .tid = lane->tid,
        .entry = lane->entry,
        .is_main = lane->tid == timeline->runtime->target->pid,
        .is_gone = lane->is_gone,
        .has_waits = lane->has_waits,
        .first_ns = lane->first_ns,
        .last_ns = lane->is_gone ? lane->last_ns : timeline->totals.end_ns,
        .held_ns = lane->held_ns + (gil->holder == lane ? period_so_far(gil) : 0),
        .waited_ns = lane->waited_ns + wait_so_far(lane),
        .handoffs = lane->handoffs,
        .holds = lane->holds,
        .waits = lane->waits,
        .longest_hold_ns = lane->longest_hold_ns,
        .longest_wait_ns = lane->longest_wait_ns,
        .longest_at = sw_gil_vote_where(&lane->longest_at),
        .wait = lane->wait,
        .spans = lane->spans,
        .span_count = lane->span_count,
    };
    memcpy(thread.name, lane->name, sizeof thread.name);
    return thread;
}

const struct sw_gil_hold *sw_gil_timeline_holds(const struct sw_gil_timeline *timeline, size_t *count) {
    *count = timeline->is_ended ? timeline->kept_count : 0;
    return timeline->holds;
}

const struct sw_gil_function *sw_gil_timeline_functions(const struct sw_gil_timeline *timeline, size_t *count) {
    *count = timeline->function_count;
    return timeline->functions;
}
