/* wait.h - What a blocked thread of a target waits for: a lock, another thread, an item in a queue, a file. */
#ifndef SW_PROBE_WAIT_H
#define SW_PROBE_WAIT_H

#include "probe/lock.h"

enum sw_wait_kind {
    SW_WAIT_NONE,
    SW_WAIT_LOCK,    /* wait.lock; Lock, RLock or a lock of multiprocessing */
    SW_WAIT_THREAD,  /* Thread.join: `object` is the Thread, `owner` its pthread */
    SW_WAIT_IMPORT,  /* another thread, `owner`, imports the module */
    SW_WAIT_OBJECT,  /* Condition, Event, Queue...: `object`, by `function`; may well be idle */
    SW_WAIT_MUTEX,   /* a lock inside the interpreter */
    SW_WAIT_SLEEP,   /* until a time */
    SW_WAIT_EVENTS,  /* for any of several files: select, poll, epoll */
    SW_WAIT_CHILD,   /* for a child process: `number` is its pid, -1 for any */
    SW_WAIT_SYSCALL, /* another system call; `number` is the file descriptor, -1 when it has none */
};

struct sw_wait {
    enum sw_wait_kind kind;
    struct sw_lock lock;
    uint64_t object;
    char type[SW_TYPE_NAME_MAX]; /* of the object, or "" */
    char function[192];          /* the Python function that waits, such as "Queue.get", or "" */
    uint64_t owner;              /* pthread of who is waited for; 0: not known */
    int64_t number;
    bool has_limit; /* it ends by itself: a time limit was given */
};

/* From the stack of a thread and what the kernel says it does; all of it was read while the thread did not run. */
SW_MUST_USE enum sw_status sw_wait_find(struct sw_objects *objects, const struct sw_thread_look *look,
                                        const struct sw_stack *stack, struct sw_wait *wait);
/* The first argument of the system call is a file descriptor. */
bool sw_syscall_has_fd(const char *name);

#endif
