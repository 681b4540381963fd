/* dump.h - One look at a whole Python process: every thread's stack and what it does or waits for, asyncio tasks, and who
 * blocks whom for ever.
 *
 * The target is neither stopped nor written to. A thread that did not run between the kernel's first and last word on
 * it is settled: all that is said of it belongs to one moment. Others are looked at again a few times, and if they never
 * rest, what is said of them may be a few milliseconds apart.
 */
#ifndef SW_PROBE_DUMP_H
#define SW_PROBE_DUMP_H

#include "probe/deadlock.h"
#include "probe/native.h"
#include "probe/stack.h"
#include "probe/task.h"
#include "probe/wait.h"

#define SW_DUMP_NONE SIZE_MAX

enum sw_doing {
    SW_DOING_UNKNOWN,
    SW_DOING_RUNNING, /* Python code, with the GIL where there is one */
    SW_DOING_NATIVE,  /* on a CPU, without the GIL */
    SW_DOING_GIL,     /* waits for the GIL; `blocker` holds it */
    SW_DOING_LOCK,    /* waits for a lock; `blocker` holds it */
    SW_DOING_THREAD,  /* waits for thread `blocker` to end */
    SW_DOING_IMPORT,  /* waits for `blocker` to have imported a module */
    SW_DOING_SYSCALL, /* blocked in a system call */
    SW_DOING_IDLE,    /* sleeps, or waits for work: events, items, conditions */
};

/* A frame of a stack with C frames. */
struct sw_dump_frame {
    struct sw_frame python; /* its code is NULL: it is a C frame */
    struct sw_native_frame native;
};

/* Both stacks of a thread, brought together. */
struct sw_dump_native {
    enum sw_status
        status;       /* SW_AGAIN: it never rested; SW_PERM: it runs, and may not be stopped; else why there is none */
    bool was_running; /* it was stopped for it */
    bool is_matched;  /* every evaluation loop had its Python frames */
    bool is_complete; /* unwound to the thread's first function */
    struct sw_dump_frame *frames; /* innermost first */
    size_t frame_count;
};

struct sw_dump_thread {
    int32_t tid; /* 0: not known */
    uint32_t interpreter;
    const struct sw_stack *stack;
    struct sw_str name;    /* as threading has it; "" when it has none */
    struct sw_str os_name; /* as the kernel has it */
    struct sw_thread_look look;
    bool is_settled;
    enum sw_doing doing;
    struct sw_wait wait;
    struct sw_str syscall;        /* "" when it is not blocked in one */
    struct sw_str file;           /* what wait.number, a file descriptor, is; "" when it has none */
    size_t blocker;               /* index of a thread, or SW_DUMP_NONE */
    size_t blocker_frame;         /* of its frames: the one that holds the lock; or SW_DUMP_NONE */
    bool is_guess;                /* the blocker is probable, not certain */
    struct sw_str words;          /* all of this in a sentence */
    struct sw_dump_native native; /* by sw_dump_add_native, a little later than the rest */
};

/* A thread of the process in which no Python code runs. */
struct sw_dump_other {
    int32_t tid;
    struct sw_str name;
};

struct sw_dump {
    const struct sw_runtime *runtime; /* borrowed */
    struct sw_stack_reader *reader;
    struct sw_objects *objects;
    int64_t epoch_ns;
    struct sw_str command;
    struct sw_dump_thread *threads; /* by interpreter, main thread first, then as they were started */
    size_t thread_count;
    struct sw_dump_other *others;
    size_t other_count;
    struct sw_tasks tasks;
    struct sw_cycles deadlocks;      /* of threads */
    struct sw_cycles task_deadlocks; /* of tasks */
    struct sw_arena text;
    bool has_native;
    struct sw_native *native; /* owns the names of C frames */
    struct sw_stack_reader *native_reader;
};

/* `runtime` must outlive the dump. */
SW_MUST_USE enum sw_status sw_dump_take(struct sw_dump *dump, const struct sw_runtime *runtime, struct sw_error *err);
/* Reads each thread once more, with its C frames. Threads that sleep are not disturbed; one that runs is stopped alone for
 * some 50 us. */
SW_MUST_USE enum sw_status sw_dump_add_native(struct sw_dump *dump, struct sw_error *err);
void sw_dump_release(struct sw_dump *dump);

const char *sw_doing_word(enum sw_doing doing); /* "gil", "lock": stable, for machines */

#endif
