/* gil_timeline_impl.h - Inside a GIL timeline: lanes (one a thread), GILs, and how looks move them. */
#ifndef SW_PROBE_GIL_TIMELINE_IMPL_H
#define SW_PROBE_GIL_TIMELINE_IMPL_H

#include "base/map.h"
#include "probe/gil.h"
#include "probe/gil_timeline.h"
#include "probe/sampler_pace.h"
#include "probe/stack.h"

#define SW_GILS_MAX 64 /* GILs followed at once; those of further interpreters are left out */

/* The function most looks of a hold found (a majority vote needs one candidate and one count). */
struct sw_gil_vote {
    const struct sw_code *code; /* NULL: no look yet */
    int32_t line;
    uint32_t lead;
};

struct sw_gil_lane {
    uint64_t address; /* PyThreadState */
    int32_t tid;
    uint32_t gil; /* index */
    char name[16];
    struct sw_str entry; /* in the timeline's arena */
    unsigned entry_tries;
    bool is_gone, is_listed, has_waits;
    int64_t first_ns, last_ns;

    int64_t held_ns, waited_ns;
    uint64_t handoffs, holds, waits;
    int64_t longest_hold_ns, longest_wait_ns;
    struct sw_gil_vote longest_at;
    struct sw_histogram *wait; /* owned */

    int64_t wait_start_ns; /* of a wait that has not ended; 0: none */
    int64_t
        running_ns; /* since when it runs without holding, after a wait or a hold; 0: it does not, or after neither */
    int64_t running_wait_ns;  /* its time without a CPU up to then; -1: not known */
    int64_t running_slack_ns; /* how uncertain running_ns is */
    int64_t looked_ns;        /* when it was last known what the thread does */
    bool was_asked;           /* its last hold was so long that another thread may have asked for the GIL */
    int64_t released_ns;      /* end of its last hold */

    struct sw_gil_span *spans; /* owned */
    size_t span_count, span_cap;
};

struct sw_gil_state_now {
    uint64_t address; /* of the struct; 0: this interpreter's GIL went away */
    struct sw_gil_look look;
    bool is_started;            /* `look` is of this GIL */
    struct sw_gil_lane *holder; /* NULL: free, or a thread that is not known */
    int64_t hold_start_ns;
    int64_t interval_ns; /* the switch interval; 0: not known */
    uint32_t hold_waiters;
    struct sw_gil_vote vote;
    bool is_changed;  /* between the last two looks */
    uint32_t waiting; /* lanes with a wait that has not ended */
};

struct sw_gil_kept_hold {
    struct sw_gil_lane *lane;
    int64_t start_ns, end_ns;
    uint32_t waiters;
    struct sw_gil_vote vote;
};

struct sw_gil_seen_function {
    const struct sw_code *code;
    int32_t line;
    uint64_t looks;
};

struct sw_gil_timeline {
    const struct sw_runtime *runtime;
    struct sw_gil_timeline_options options;
    struct sw_thread_watch *watch;
    struct sw_stack_reader *stacks; /* NULL: none wanted */
    struct sw_thread_list list;
    struct sw_gil_state_now gils[SW_GILS_MAX];
    size_t gil_count;
    struct sw_gil_lane **lanes;
    size_t lane_count, lane_cap;
    size_t next_lane; /* whose file is read next */
    struct sw_arena text;
    struct sw_pace pace, stack_pace;
    int64_t refresh_ns; /* when the threads are listed again */
    unsigned faults;    /* failed reads in a row */
    unsigned refreshes;
    double look_cost_ns;  /* of one thread's file, smoothed */
    int64_t blind_gap_ns; /* looks farther apart than this do not say when something changed */
    int64_t start_cpu_ns;
    size_t span_total;
    enum sw_status failure; /* out of memory in a place that cannot tell */
    bool is_ended;

    struct sw_gil_totals totals;
    struct sw_histogram wait, gaps;
    struct sw_gil_kept_hold kept[SW_GIL_HOLDS_MAX];
    size_t kept_count;
    struct sw_gil_hold holds[SW_GIL_HOLDS_MAX]; /* made at the end */
    struct sw_map function_index;               /* code id and line to index */
    struct sw_gil_seen_function *seen;
    size_t seen_count, seen_cap;
    struct sw_gil_function *functions; /* made at the end */
    size_t function_count;
};

/* gil_lane.c: one thread */
struct sw_gil_lane *sw_gil_lane_add(struct sw_gil_timeline *timeline,
                                    const struct sw_gil_lane *lane); /* NULL: memory */
struct sw_gil_lane *sw_gil_lane_find(const struct sw_gil_timeline *timeline, uint64_t address);
void sw_gil_lane_hold(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, int64_t start_ns, int64_t end_ns);
void sw_gil_lane_seen(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, enum sw_gil_place place,
                      bool is_running, int64_t now_ns);
void sw_gil_lane_got(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, int64_t now_ns);
void sw_gil_lane_wait_end(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, int64_t end_ns);
void sw_gil_lane_gone(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane);
void sw_gil_lanes_drop(struct sw_gil_timeline *timeline, size_t most); /* sums up ended ones until `most` are left */

/* gil_spans.c: what is kept for the picture */
void sw_gil_span_add(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, struct sw_gil_span span);

/* gil_holds.c: functions and longest holds */
void sw_gil_vote_add(struct sw_gil_vote *vote, const struct sw_code *code, int32_t line);
struct sw_gil_where sw_gil_vote_where(const struct sw_gil_vote *vote);
void sw_gil_hold_keep(struct sw_gil_timeline *timeline, const struct sw_gil_kept_hold *hold);
enum sw_status sw_gil_function_seen(struct sw_gil_timeline *timeline, const struct sw_code *code, int32_t line);
void sw_gil_holds_finish(struct sw_gil_timeline *timeline);

/* gil_refresh.c: which threads there are */
enum sw_status sw_gil_refresh(struct sw_gil_timeline *timeline, int64_t now_ns);
struct sw_gil_lane *sw_gil_lane_discover(struct sw_gil_timeline *timeline, size_t gil, uint64_t address,
                                         int64_t now_ns);
void sw_gil_lane_entry(struct sw_gil_timeline *timeline, struct sw_gil_lane *lane, const struct sw_stack *stack);

#endif
