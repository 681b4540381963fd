/* gil_timeline.c - Looks at the GIL thousands of times a second; see gil_timeline.h. */
#include "probe/gil_timeline.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/gil_timeline_impl.h"

#define THREADS_SHARE 0.4 /* of a period that goes to looking at threads */
#define THREADS_LEAST 4   /* a look */
#define SLICE_NS 100000   /* the shortest that Linux takes */
#define NICE (-15)
#define FAULTS_MAX 20 /* reads that fail in a row before the process counts as gone, or as another program */

/* Ends what has lasted since hold_start_ns: a hold, or time in which nobody held it. */
static void period_end(struct sw_gil_timeline *timeline, struct sw_gil_state_now *gil, int64_t end_ns) {
    struct sw_gil_lane *lane = gil->holder;
    int64_t length_ns = end_ns > gil->hold_start_ns ? end_ns - gil->hold_start_ns : 0;
    if (gil->look.holder == 0) {
        timeline->totals.free_ns += length_ns;
    } else if (!lane) {
        timeline->totals.held_ns += length_ns;
    } else {
        sw_gil_lane_hold(timeline, lane, gil->hold_start_ns, end_ns);
        if (length_ns > lane->longest_hold_ns) {
            lane->longest_hold_ns = length_ns;
            lane->longest_at = gil->vote;
        }
        sw_gil_hold_keep(timeline,
                         &(struct sw_gil_kept_hold){lane, gil->hold_start_ns, end_ns, gil->hold_waiters, gil->vote});
    }
    gil->holder = NULL;
}

static void period_begin(struct sw_gil_timeline *timeline, struct sw_gil_state_now *gil, struct sw_gil_lane *lane,
                         int64_t start_ns) {
    gil->holder = lane;
    gil->hold_start_ns = start_ns;
    gil->vote = (struct sw_gil_vote){0};
    if (lane)
        sw_gil_lane_got(timeline, lane, start_ns);
    gil->hold_waiters = gil->waiting;
}

static struct sw_gil_lane *lane_of(struct sw_gil_timeline *timeline, size_t gil, uint64_t address, int64_t now_ns) {
    if (address == 0)
        return NULL;
    struct sw_gil_lane *lane = sw_gil_lane_find(timeline, address);
    return lane ? lane : sw_gil_lane_discover(timeline, gil, address, now_ns);
}

/* The GIL changed hands `count` times. The last to get it is known even when it has let go since. */
static void handoffs_count(struct sw_gil_timeline *timeline, struct sw_gil_lane *taker, uint64_t count,
                           int64_t edge_ns) {
    timeline->totals.handoffs += count;
    timeline->totals.handoffs_unseen += count - (taker ? 1 : 0);
    if (!taker)
        return;
    taker->handoffs++;
    sw_gil_lane_got(timeline, taker, edge_ns);
}

static void gil_change(struct sw_gil_timeline *timeline, size_t index, const struct sw_gil_look *look) {
    struct sw_gil_state_now *gil = &timeline->gils[index];
    int64_t gap_ns = look->mono_ns - gil->look.mono_ns;
    int64_t edge_ns = gil->look.mono_ns + gap_ns / 2;
    uint64_t switches = look->switches - gil->look.switches;
    timeline->totals.blind_ns += gap_ns > timeline->blind_gap_ns ? gap_ns : 0;
    period_end(timeline, gil, edge_ns);
    struct sw_gil_lane *taker = switches ? lane_of(timeline, index, look->last, look->mono_ns) : NULL;
    if (switches)
        handoffs_count(timeline, taker, switches, edge_ns);
    gil->look = *look;
    period_begin(timeline, gil, lane_of(timeline, index, look->holder, look->mono_ns), edge_ns);
}

static void gil_advance(struct sw_gil_timeline *timeline, size_t index, const struct sw_gil_look *look) {
    struct sw_gil_state_now *gil = &timeline->gils[index];
    bool is_same = gil->look.holder == look->holder && gil->look.switches == look->switches;
    gil->is_changed = !gil->is_started || !is_same;
    if (!gil->is_started) {
        gil->is_started = true;
        gil->look = *look;
        period_begin(timeline, gil, lane_of(timeline, index, look->holder, look->mono_ns), look->mono_ns);
    } else if (!is_same) {
        gil_change(timeline, index, look);
    } else {
        gil->look.mono_ns = look->mono_ns;
        if (look->holder != 0 && !gil->holder) /* it was not known at first */
            gil->holder = lane_of(timeline, index, look->holder, look->mono_ns);
    }
    if (gil->holder)
        gil->holder->looked_ns = look->mono_ns;
}

/* SW_IO: a GIL that was there is not, or the process runs another program now. */
static enum sw_status gils_look(struct sw_gil_timeline *timeline, int64_t *now_ns) {
    unsigned char bytes[SW_GILS_MAX][SW_GIL_RANGE_MAX];
    struct iovec local[SW_GILS_MAX], remote[SW_GILS_MAX];
    size_t index[SW_GILS_MAX];
    size_t count = 0;
    size_t wanted = 0;
    for (size_t i = 0; i < timeline->gil_count; i++) {
        struct sw_gil_range range;
        if (!sw_gil_range(timeline->runtime, timeline->gils[i].address, &range))
            continue;
        local[count] = (struct iovec){bytes[count], range.size_bytes};
        remote[count] = (struct iovec){(void *)(uintptr_t)range.address, range.size_bytes};
        wanted += range.size_bytes;
        index[count++] = i;
    }
    ssize_t got = count ? sw_target_readv(timeline->runtime->target, local, count, remote, count) : 0;
    *now_ns = sw_clock_mono_ns();
    if (got != (ssize_t)wanted)
        return got == -ESRCH ? SW_CLOSED : got == -EPERM ? SW_PERM : SW_IO;
    for (size_t i = 0; i < count; i++) {
        struct sw_gil_look look = {.mono_ns = *now_ns};
        sw_gil_range_decode(timeline->runtime, bytes[i], &look);
        gil_advance(timeline, index[i], &look);
    }
    return SW_OK;
}

static enum sw_status lane_look(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane) {
    struct sw_thread_look look;
    enum sw_status status = sw_thread_look(timeline->watch, lane->tid, SW_LOOK_SYSCALL, &look);
    if (status != SW_OK)
        return status;
    timeline->totals.thread_looks++;
    int64_t now_ns = sw_clock_mono_ns();
    if (look.activity == SW_THREAD_GONE) {
        sw_gil_lane_gone(timeline, lane);
        timeline->refresh_ns = now_ns;
    } else if (look.activity == SW_THREAD_BLOCKED && look.sp == 0) {
        lane->has_waits = false; /* only that it is blocked may be known, not where */
    } else if (look.activity != SW_THREAD_UNKNOWN) {
        enum sw_gil_place place = sw_gil_place_of(timeline->runtime, timeline->gils[lane->gil].address, &look);
        sw_gil_lane_seen(timeline, lane, place, look.activity == SW_THREAD_RUNNING, now_ns);
    }
    return SW_OK;
}

/* While a GIL is free and nobody waited, nobody can be waiting. */
static bool gil_may_be_awaited(const struct sw_gil_state_now *gil) {
    return gil->address != 0 && (gil->look.holder != 0 || gil->is_changed || gil->waiting > 0);
}

static size_t threads_budget(const struct sw_gil_timeline *timeline) {
    double room = THREADS_SHARE * (double)timeline->pace.period_ns / timeline->look_cost_ns;
    return room > THREADS_LEAST ? (size_t)room : THREADS_LEAST;
}

/* Looks at as many threads as the period has room for, the others' turn comes with the next looks. */
static enum sw_status threads_look(struct sw_gil_timeline *timeline, int64_t now_ns) {
    size_t budget = threads_budget(timeline);
    size_t done = 0;
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < timeline->lane_count && done < budget && status == SW_OK; i++) {
        timeline->next_lane = timeline->next_lane + 1 < timeline->lane_count ? timeline->next_lane + 1 : 0;
        struct sw_gil_lane *lane = timeline->lanes[timeline->next_lane];
        struct sw_gil_state_now *gil = &timeline->gils[lane->gil];
        if (lane->is_gone || !lane->has_waits || gil->holder == lane)
            continue;
        if (!gil_may_be_awaited(gil)) {
            lane->looked_ns = now_ns;
            continue;
        }
        status = lane_look(timeline, lane);
        done++;
    }
    for (size_t i = 0; i < timeline->gil_count; i++)
        if (timeline->gils[i].waiting > timeline->gils[i].hold_waiters)
            timeline->gils[i].hold_waiters = timeline->gils[i].waiting;
    if (done > 0)
        timeline->look_cost_ns +=
            0.05 * ((double)(sw_clock_mono_ns() - now_ns) / (double)done - timeline->look_cost_ns);
    return status;
}

static enum sw_status stack_take(struct sw_gil_timeline *timeline, struct sw_gil_state_now *gil,
                                 const struct sw_stack *stack) {
    if (!stack->holds_gil)
        return SW_OK; /* it has let go since */
    for (size_t i = 0; i < stack->frame_count; i++) {
        const struct sw_frame *frame = &stack->frames[i];
        if (!frame->code)
            continue;
        sw_gil_vote_add(&gil->vote, frame->code, frame->line);
        sw_gil_lane_entry(timeline, gil->holder, stack);
        return sw_gil_function_seen(timeline, frame->code, frame->line);
    }
    timeline->totals.stack_failed++;
    return SW_OK;
}

static enum sw_status stacks_look(struct sw_gil_timeline *timeline, int64_t now_ns) {
    if (!timeline->stacks || now_ns < timeline->stack_pace.due_ns)
        return SW_OK;
    (void)sw_pace_take(&timeline->stack_pace, now_ns);
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < timeline->gil_count && status == SW_OK; i++) {
        struct sw_gil_state_now *gil = &timeline->gils[i];
        const struct sw_stack *stacks;
        size_t count;
        if (!gil->holder || gil->holder->tid == 0)
            continue;
        status = sw_stack_read(timeline->stacks, &gil->holder->tid, 1, &stacks, &count);
        if (status == SW_OK && count == 1)
            status = stack_take(timeline, gil, &stacks[0]);
        else if (status != SW_NOMEM && status != SW_CLOSED) {
            timeline->totals.stack_failed++;
            status = SW_OK;
        }
    }
    return status;
}

static void look_count(struct sw_gil_timeline *timeline, int64_t now_ns) {
    struct sw_gil_totals *totals = &timeline->totals;
    if (totals->looks == 0) {
        totals->start_ns = now_ns;
        totals->start_epoch_ns = sw_clock_epoch_ns();
        timeline->start_cpu_ns = sw_clock_thread_cpu_ns();
    } else {
        sw_histogram_add(&timeline->gaps, (uint64_t)(now_ns - totals->end_ns));
    }
    totals->looks++;
    totals->end_ns = now_ns;
}

/* A failed read: the GIL of an interpreter that ended, the end of the process, or another program in its place. */
static enum sw_status look_failed(struct sw_gil_timeline *timeline, enum sw_status status) {
    if (status != SW_IO)
        return status;
    timeline->refresh_ns = 0;
    return ++timeline->faults > FAULTS_MAX || !sw_target_is_alive(timeline->runtime->target) ? SW_CLOSED : SW_OK;
}

enum sw_status sw_gil_timeline_step(struct sw_gil_timeline *timeline, int64_t *next_ns) {
    int64_t now_ns = sw_clock_mono_ns();
    enum sw_status status = SW_OK;
    if (timeline->is_ended)
        return SW_INVALID;
    if (now_ns >= timeline->refresh_ns)
        status = sw_gil_refresh(timeline, now_ns);
    if (status == SW_OK) {
        status = gils_look(timeline, &now_ns);
        if (status == SW_OK) {
            timeline->faults = 0;
            look_count(timeline, now_ns);
            status = threads_look(timeline, now_ns);
            if (status == SW_OK)
                status = stacks_look(timeline, now_ns);
        }
        (void)sw_pace_take(&timeline->pace, now_ns);
    }
    if (status == SW_IO)
        status = look_failed(timeline, status);
    if (status == SW_OK)
        *next_ns = timeline->pace.due_ns;
    return status == SW_OK ? timeline->failure : status;
}

/* Linux 6.12 and later let a thread ask for short slices, for which it is put on a CPU sooner; no right is needed. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

static void slice_set(struct scheduling *was) {
    struct scheduling wanted = {0};
    if (syscall(SYS_sched_getattr, 0, was, sizeof *was, 0) != 0 || was->policy != SCHED_OTHER) {
        was->size = 0;
        return;
    }
    wanted = *was;
    wanted.runtime_ns = SLICE_NS;
    wanted.nice = was->nice < NICE ? was->nice : NICE;
    if (syscall(SYS_sched_setattr, 0, &wanted, 0) != 0) { /* root may, others may not be nicer to themselves */
        wanted.nice = was->nice;
        (void)syscall(SYS_sched_setattr, 0, &wanted, 0);
    }
}

static void slice_reset(struct scheduling *was) {
    if (was->size)
        (void)syscall(SYS_sched_setattr, 0, was, 0);
}

enum sw_status sw_gil_timeline_run(struct sw_gil_timeline *timeline, int64_t until_ns, const atomic_bool *stop) {
    int slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    int64_t next_ns = 0;
    enum sw_status status = SW_OK;
    struct scheduling was;
    (void)prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    slice_set(&was);
    while (status == SW_OK && !(stop && atomic_load_explicit(stop, memory_order_relaxed))) {
        status = sw_gil_timeline_step(timeline, &next_ns);
        if (status != SW_OK || timeline->totals.end_ns >= until_ns)
            break;
        int64_t wake_ns = next_ns < until_ns ? next_ns : until_ns;
        struct timespec wake = {.tv_sec = wake_ns / SW_NS_PER_S, .tv_nsec = wake_ns % SW_NS_PER_S};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL);
    }
    slice_reset(&was);
    if (slack > 0)
        (void)prctl(PR_SET_TIMERSLACK, slack, 0, 0, 0);
    return status;
}

void sw_gil_timeline_end(struct sw_gil_timeline *timeline) {
    if (timeline->is_ended)
        return;
    timeline->totals.own_cpu_ns = sw_clock_thread_cpu_ns() - timeline->start_cpu_ns;
    for (size_t i = 0; i < timeline->gil_count; i++)
        if (timeline->gils[i].is_started)
            period_end(timeline, &timeline->gils[i], timeline->gils[i].look.mono_ns);
    for (size_t i = 0; i < timeline->lane_count; i++) {
        struct sw_gil_lane *lane = timeline->lanes[i];
        sw_gil_lane_wait_end(timeline, lane, lane->running_ns ? lane->running_ns : lane->looked_ns);
        char name[16];
        if (!lane->is_gone && lane->tid > 0 &&
            sw_target_thread_name(timeline->runtime->target, lane->tid, name) == SW_OK)
            memcpy(lane->name, name, sizeof name);
    }
    sw_gil_holds_finish(timeline);
    timeline->is_ended = true;
}
