/* top_source.h - What `sidewinder top` shows of a process: read at each look and at each refresh. */
#ifndef SW_CLI_TOP_SOURCE_H
#define SW_CLI_TOP_SOURCE_H

#include "cli/top_table.h"
#include "probe/gil_timeline.h"
#include "probe/sampler.h"
#include "probe/thread_state.h"

#define SW_TOP_THREADS_MAX 4096

enum sw_top_state { SW_TOP_UNKNOWN, SW_TOP_RUNNING, SW_TOP_GIL_WAIT, SW_TOP_BLOCKED };

/* Shares are percent of the time since the last refresh; NaN where not known. */
struct sw_top_thread {
    int32_t tid;
    char name[16];
    enum sw_top_state state;
    int64_t syscall; /* while blocked; -1: not known */
    double cpu, gil_held, gil_waiting;
    int64_t cpu_ns, held_ns, waited_ns; /* so far; -1: not known */
    uint32_t row;                       /* in the table: what it was seen in most; UINT32_MAX: nothing */
};

struct sw_top_source {
    int32_t pid;
    double rate_hz;
    struct sw_target target;
    struct sw_runtime runtime;
    bool has_runtime, has_ended;
    struct sw_sampler *sampler;
    enum sw_sampler_what what;
    struct sw_sampler_counts before; /* of samplers that were replaced */
    struct sw_sampler_counts counts; /* of all, at the last refresh */
    struct sw_gil_timeline *gil;     /* NULL: there is none, or it is no longer known */
    struct sw_thread_watch *watch;
    struct sw_thread_list list;
    int64_t next_gil_ns, refreshed_ns;

    struct sw_buf command;
    char version[24];
    int64_t uptime_ns; /* -1: not known */
    double cpu, gil_held, gil_waited, looks_per_s, own_cpu;
    int64_t rss_bytes, cpu_ns, held_ns, waited_ns, own_ns;
    uint64_t looks;
    struct sw_top_thread *threads; /* by tid */
    size_t thread_count, thread_cap;
    struct sw_top_thread *past; /* those of the refresh before */
    size_t past_count, past_cap;
    int32_t *tids;
    size_t tid_count, tid_cap;
};

SW_MUST_USE enum sw_status sw_top_source_open(struct sw_top_source *source, int32_t pid, double rate_hz,
                                              enum sw_sampler_what what, struct sw_error *err);
void sw_top_source_close(struct sw_top_source *source);
/* Waits for the look that is due and makes it; until `until_mono_ns` or a signal. SW_CLOSED: the process has ended. */
SW_MUST_USE enum sw_status sw_top_source_look(struct sw_top_source *source, int64_t until_mono_ns);
/* Works out what the header and the threads show. */
SW_MUST_USE enum sw_status sw_top_source_refresh(struct sw_top_source *source, const struct sw_top_table *table);
/* Samples other moments from now on, with a new profile. */
SW_MUST_USE enum sw_status sw_top_source_switch(struct sw_top_source *source, enum sw_sampler_what what,
                                                struct sw_error *err);

#endif
