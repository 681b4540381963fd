/* python_watch.h - Watches every Python process of this machine, or one, within a share of a core.
 *
 * The source's thread runs it; the server's thread reads what it shows, between sw_python_watch_lock and
 * sw_python_watch_unlock. All looks together take about SW_PYTHON_SHARE of a core: with more processes, or many threads, each
 * is looked at less often, and one that uses no CPU rarely.
 */
#ifndef SW_ENGINE_PYTHON_WATCH_H
#define SW_ENGINE_PYTHON_WATCH_H

#include <pthread.h>

#include "engine/python_process.h"

#define SW_PYTHON_GIL_HZ 200.0   /* looks a second at a GIL where the share allows */
#define SW_PYTHON_STACK_HZ 100.0 /* and at the stacks */
#define SW_PYTHON_SHARE 0.025
#define SW_PYTHON_SLOWEST 8.0 /* times fewer looks, at most */
#define SW_PYTHON_PROCESSES_MAX 1024

struct sw_python_watch_options {
    int32_t pid;    /* the only process; 0: all but this one */
    double rows_hz; /* measurements a second, 1 to 100 */
};

struct sw_python_watch;

/* After a measurement of `process`, which the callback may read and no more. */
typedef enum sw_status (*sw_python_row_fn)(void *context, const struct sw_python_process *process);

/* With a pid: fails when there is no such Python process, or it may not be read. */
SW_MUST_USE enum sw_status sw_python_watch_new(struct sw_python_watch **watch,
                                               const struct sw_python_watch_options *options, struct sw_error *err);
void sw_python_watch_free(struct sw_python_watch *watch); /* NULL is fine */
/* Does what is due and says when it is to be called again. SW_CLOSED: the one process has ended. */
SW_MUST_USE enum sw_status sw_python_watch_turn(struct sw_python_watch *watch, sw_python_row_fn row, void *context,
                                                int64_t *next_mono_ns);

/* What a reader sees, while it holds the lock. */
struct sw_python_view {
    struct sw_python_process *const *processes;
    size_t count;
    size_t unreadable;       /* of these: their memory may not be read */
    size_t unfit;            /* their release is not known, or not as it should be */
    size_t omitted;          /* beyond SW_PYTHON_PROCESSES_MAX */
    double gil_hz, stack_hz; /* looks a second just now, at a process that is busy */
    double share;            /* of a core that watching took in the last second; NAN: not known yet */
};

struct sw_python_view sw_python_watch_lock(struct sw_python_watch *watch);
void sw_python_watch_unlock(struct sw_python_watch *watch);
struct sw_python_process *sw_python_view_find(const struct sw_python_view *view, int32_t pid); /* NULL: none */

#endif
