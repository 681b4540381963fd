/* gil_lane.c - One thread of a GIL timeline: its holds, and when its waits began and ended. */
#include "base/mem.h"
#include "probe/gil_timeline_impl.h"

/* What a thread may have used of a CPU on its way to the GIL, and no more: this long, and this share of the time. */
#define IDLE_CPU_NS INT64_C(200000)
#define IDLE_CPU_SHARE 50

/* Looks may find a hold that was ended by the switch interval shorter than that. */
#define ASKED_SLACK_NS INT64_C(300000)

static int64_t middle(int64_t a, int64_t b) {
    return a + (b - a) / 2;
}

struct sw_gil_lane *sw_gil_lane_find(const struct sw_gil_timeline *timeline, uint64_t address) {
    for (size_t i = 0; i < timeline->lane_count; i++)
        if (timeline->lanes[i]->address == address && !timeline->lanes[i]->is_gone)
            return timeline->lanes[i];
    return NULL;
}

struct sw_gil_lane *sw_gil_lane_add(struct sw_gil_timeline *timeline, const struct sw_gil_lane *lane) {
    if (timeline->lane_count == timeline->lane_cap) {
        size_t cap = timeline->lane_cap ? 2 * timeline->lane_cap : 16;
        struct sw_gil_lane **lanes = sw_realloc_array(timeline->lanes, cap, sizeof(struct sw_gil_lane *));
        if (!lanes)
            return NULL;
        timeline->lanes = lanes;
        timeline->lane_cap = cap;
    }
    struct sw_gil_lane *added = sw_alloc(sizeof *added);
    if (!added)
        return NULL;
    *added = *lane;
    timeline->lanes[timeline->lane_count++] = added;
    return added;
}

void sw_gil_lane_hold(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, int64_t start_ns, int64_t end_ns) {
    int64_t length_ns = end_ns > start_ns ? end_ns - start_ns : 0;
    lane->held_ns += length_ns;
    lane->holds++;
    lane->released_ns = end_ns;
    lane->was_asked = length_ns >= timeline->gils[lane->gil].interval_ns - ASKED_SLACK_NS;
    timeline->totals.held_ns += length_ns;
    sw_gil_span_add(timeline, lane, (struct sw_gil_span){start_ns, end_ns, SW_GIL_HELD});
}

static void wait_count(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, int64_t length_ns) {
    if (!lane->wait) {
        lane->wait = sw_alloc_zero(sizeof *lane->wait);
        if (!lane->wait)
            timeline->failure = SW_NOMEM;
    }
    if (lane->wait)
        sw_histogram_add(lane->wait, (uint64_t)length_ns);
    sw_histogram_add(&timeline->wait, (uint64_t)length_ns);
}

void sw_gil_lane_wait_end(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, int64_t end_ns) {
    if (lane->wait_start_ns == 0)
        return;
    int64_t start_ns = lane->wait_start_ns;
    int64_t length_ns = end_ns > start_ns ? end_ns - start_ns : 0;
    lane->wait_start_ns = 0;
    lane->running_ns = 0;
    timeline->gils[lane->gil].waiting--;
    lane->waited_ns += length_ns;
    timeline->totals.waited_ns += length_ns;
    lane->waits++;
    timeline->totals.waits++;
    if (length_ns > lane->longest_wait_ns)
        lane->longest_wait_ns = length_ns;
    wait_count(timeline, lane, length_ns);
    sw_gil_span_add(timeline, lane, (struct sw_gil_span){start_ns, start_ns + length_ns, SW_GIL_WAITED});
}

/* Time that the thread was ready but had no CPU; -1 when the kernel does not tell. */
static int64_t cpu_wait_ns(struct sw_gil_timeline *timeline, const struct sw_gil_lane *lane) {
    struct sw_thread_look look;
    if (sw_thread_look(timeline->watch, lane->tid, SW_LOOK_SCHEDSTAT, &look) != SW_OK)
        timeline->failure = SW_NOMEM;
    else if (look.has_schedstat)
        return look.wait_ns;
    return -1;
}

/* A thread that waited, or let go, and then was seen running without the GIL either computed, or was on its way to the GIL and
 * had no CPU. What it used of the CPU tells. */
static bool was_on_its_way(struct sw_gil_timeline *timeline, const struct sw_gil_lane *lane, int64_t now_ns) {
    int64_t passed_ns = now_ns - lane->running_ns;
    int64_t most_ns = IDLE_CPU_NS + passed_ns / IDLE_CPU_SHARE + lane->running_slack_ns;
    if (passed_ns <= most_ns)
        return true;
    int64_t wait_ns = cpu_wait_ns(timeline, lane);
    if (wait_ns < 0 || lane->running_wait_ns < 0)
        return false;
    return passed_ns - (wait_ns - lane->running_wait_ns) < most_ns;
}

static void wait_begin(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, int64_t start_ns) {
    lane->wait_start_ns = start_ns;
    timeline->gils[lane->gil].waiting++;
}

static void seen_waiting(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, int64_t now_ns) {
    bool is_same = lane->running_ns != 0 && was_on_its_way(timeline, lane, now_ns);
    if (lane->wait_start_ns != 0 && lane->running_ns != 0 && !is_same)
        sw_gil_lane_wait_end(timeline, lane, lane->running_ns); /* it had the GIL in between */
    if (lane->wait_start_ns == 0 && lane->running_ns != 0 && is_same)
        wait_begin(timeline, lane, lane->running_ns);
    if (lane->wait_start_ns == 0) /* if it held the GIL at the last look, it waits since it had to let go */
        wait_begin(timeline, lane,
                   lane->released_ns > lane->looked_ns ? lane->released_ns : middle(lane->looked_ns, now_ns));
    lane->running_ns = 0;
}

static void seen_running(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, int64_t now_ns) {
    bool had_let_go = lane->released_ns > lane->looked_ns && lane->was_asked;
    if (lane->running_ns != 0 || (lane->wait_start_ns == 0 && !had_let_go))
        return;
    lane->running_ns = had_let_go ? lane->released_ns : middle(lane->looked_ns, now_ns);
    lane->running_slack_ns = now_ns - lane->running_ns;
    lane->running_wait_ns = cpu_wait_ns(timeline, lane);
}

void sw_gil_lane_seen(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, enum sw_gil_place place,
                      bool is_running, int64_t now_ns) {
    if (place == SW_GIL_AWAITED) {
        seen_waiting(timeline, lane, now_ns);
    } else if (is_running) {
        seen_running(timeline, lane, now_ns);
    } else if (place == SW_GIL_HANDED_OVER && (lane->running_ns != 0 || lane->released_ns > lane->looked_ns)) {
        return; /* whether it wants the GIL back shows when this is over */
    } else {
        sw_gil_lane_wait_end(timeline, lane, lane->running_ns ? lane->running_ns : middle(lane->looked_ns, now_ns));
        lane->running_ns = 0;
    }
    lane->looked_ns = now_ns;
}

void sw_gil_lane_got(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, int64_t now_ns) {
    int64_t end_ns = now_ns > lane->wait_start_ns ? now_ns : lane->wait_start_ns;
    if (lane->running_ns != 0 && now_ns > lane->running_ns) {
        bool is_same = was_on_its_way(timeline, lane, now_ns);
        if (lane->wait_start_ns != 0 && !is_same)
            end_ns = lane->running_ns;
        else if (lane->wait_start_ns == 0 && is_same)
            wait_begin(timeline, lane, lane->running_ns);
    }
    sw_gil_lane_wait_end(timeline, lane, end_ns);
    lane->running_ns = 0;
}

void sw_gil_lane_gone(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane) {
    struct sw_gil_state_now *gil = &timeline->gils[lane->gil];
    if (lane->is_gone)
        return;
    sw_gil_lane_wait_end(timeline, lane, lane->looked_ns);
    if (gil->holder == lane) {
        sw_gil_lane_hold(timeline, lane, gil->hold_start_ns, gil->look.mono_ns);
        gil->holder = NULL;
    }
    lane->last_ns = timeline->totals.end_ns;
    lane->is_gone = true;
}

static bool is_kept(const struct sw_gil_timeline *timeline, const struct sw_gil_lane *lane) {
    for (size_t i = 0; i < timeline->kept_count; i++)
        if (timeline->kept[i].lane == lane)
            return true;
    return false;
}

void sw_gil_lanes_drop(struct sw_gil_timeline *timeline, size_t most) {
    size_t kept = 0;
    size_t count = timeline->lane_count;
    for (size_t i = 0; i < count; i++) {
        struct sw_gil_lane *lane = timeline->lanes[i];
        if (kept + (count - i) > most && lane->is_gone && !is_kept(timeline, lane)) {
            timeline->totals.ended_threads++;
            timeline->span_total -= lane->span_count;
            sw_free(lane->wait);
            sw_free(lane->spans);
            sw_free(lane);
        } else {
            timeline->lanes[kept++] = lane;
        }
    }
    timeline->lane_count = kept;
    timeline->next_lane = 0;
}
