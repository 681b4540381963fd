/* ps.h - The rows of `sidewinder ps`: every Python process of this machine, measured over an interval. */
#ifndef SW_CLI_PS_H
#define SW_CLI_PS_H

#include <stdio.h>

#include "probe/gil.h"
#include "probe/runtime.h"

enum sw_ps_sort { SW_PS_CPU, SW_PS_GIL, SW_PS_RSS, SW_PS_THREADS, SW_PS_PID };

/* One GIL of a process, looked at over and over. */
struct sw_ps_gil {
    struct sw_interpreter interpreter;
    uint64_t looks, held;
    uint64_t first_switches, last_switches;
};

/* What could not be measured is NAN or -1. */
struct sw_ps_row {
    struct sw_target target;
    struct sw_runtime runtime;
    bool is_open;     /* its memory may be read */
    char reason[320]; /* why not, else "" */
    struct sw_thread_list threads;
    struct sw_ps_gil *gils; /* those that differ */
    size_t gil_count;
    struct sw_buf command;
    struct sw_target_usage usage;
    double cpu_percent;
    double gil_percent; /* of the busiest of its GILs: the share of looks at which a thread held it */
    double switches_per_s;
    int64_t first_cpu_ns;
    bool is_gone;
};

struct sw_ps {
    struct sw_ps_row **rows;
    size_t count, cap;
    double seconds; /* how long was measured */
};

/* Finds the Python processes; with `pid_count` > 0 these processes only, each of which must be one. */
SW_MUST_USE enum sw_status sw_ps_find(struct sw_ps *ps, const int32_t *pids, size_t pid_count, struct sw_error *err);
/* Looks at all GILs about a thousand times a second, less often where a round takes long. What ended meanwhile is
 * dropped. */
void sw_ps_measure(struct sw_ps *ps, int64_t duration_ns);
void sw_ps_sort(struct sw_ps *ps, enum sw_ps_sort by);
void sw_ps_release(struct sw_ps *ps);

/* The table; with `width` > 0 the commands are cut so that lines fit. */
SW_MUST_USE enum sw_status sw_ps_print_table(const struct sw_ps *ps, size_t width, FILE *to);
SW_MUST_USE enum sw_status sw_ps_print_json(const struct sw_ps *ps, FILE *to);

#endif
