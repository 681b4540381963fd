/* thread_state.h - What a thread of a target is doing, as the kernel says: running, or blocked in which system call.
 *
 * Files under /proc/PID/task/TID stay open between looks. One thread owns a watcher.
 */
#ifndef SW_PROBE_THREAD_STATE_H
#define SW_PROBE_THREAD_STATE_H

#include "probe/runtime.h"

enum sw_thread_activity {
    SW_THREAD_UNKNOWN, /* could not be read, or was not asked for */
    SW_THREAD_RUNNING, /* on a CPU or ready for one */
    SW_THREAD_BLOCKED, /* in a system call, asleep */
    SW_THREAD_GONE,
};

struct sw_thread_look {
    enum sw_thread_activity activity;
    int64_t syscall; /* number while blocked; -1: blocked outside of one (page fault) or not known */
    uint64_t args[6];
    uint64_t sp, pc; /* user stack and program counter while blocked; else 0 */
    uint64_t futex;  /* in futex_waitv: the first word waited for, read from the target; else 0 */
    int64_t cpu_ns;  /* CPU time so far; of a running thread up to a scheduler tick old */
    int64_t wait_ns; /* time spent ready but waiting for a CPU, so far */
    uint64_t runs;   /* times it was put on a CPU, so far */
    bool has_schedstat;
};

enum { SW_LOOK_SYSCALL = 1, SW_LOOK_SCHEDSTAT = 2 };

struct sw_thread_watch; /* of one process: a table of its threads' files */

SW_MUST_USE enum sw_status sw_thread_watch_new(struct sw_thread_watch **watch, const struct sw_target *target);
void sw_thread_watch_free(struct sw_thread_watch *watch);
/* Looks at thread `tid`; `what` is a sum of SW_LOOK_*: the activity comes with SW_LOOK_SYSCALL. About 1 us for each file once
 * it is open. Without permission for syscall the activity comes from stat. Files beyond the process's limit of descriptors
 * are opened for each look. Fails only for lack of memory. */
SW_MUST_USE enum sw_status sw_thread_look(struct sw_thread_watch *watch, int32_t tid, unsigned what,
                                          struct sw_thread_look *look);
void sw_thread_watch_sweep(
    struct sw_thread_watch *watch); /* closes the files of threads not looked at since the last sweep */

const char *sw_syscall_name(int64_t number); /* "futex", "read"; NULL when unknown */
bool sw_syscall_is_futex_wait(const struct sw_thread_look *look, uint64_t *address); /* blocked on which word */

#endif
