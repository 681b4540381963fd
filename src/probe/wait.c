/* wait.c - What a blocked thread of a target waits for. */
#include "probe/wait.h"

#include <stdio.h>

#include "probe/object_impl.h"

#define NAME_BYTES_MAX 90
#define FUTEX_TIMEOUT 3 /* the argument: no address, no limit */
#define FRAMES_MAX 16   /* of the standard library, one inside the other */

/* Functions of the standard library in which threads wait. A file is the end of a path. */
static const char *const waiting_files[] = {
    "/threading.py",
    "/queue.py",
    "/concurrent/futures/_base.py",
    "/concurrent/futures/thread.py",
    "/multiprocessing/queues.py",
    "/multiprocessing/synchronize.py",
    "/multiprocessing/pool.py",
    "/multiprocessing/connection.py",
    "<frozen importlib._bootstrap>",
};

/* Where a thread's own functions begin: further out nobody waits. */
static const char *const outer_functions[] = {"run", "_bootstrap_inner", "_bootstrap", "_call_with_frames_removed"};

static bool is_waiting_frame(const struct sw_frame *frame) {
    if (!frame->code)
        return false;
    for (size_t i = 0; i < sizeof outer_functions / sizeof outer_functions[0]; i++)
        if (sw_str_eq(sw_frame_function(frame), sw_str_from(outer_functions[i])))
            return false;
    for (size_t i = 0; i < sizeof waiting_files / sizeof waiting_files[0]; i++)
        if (sw_str_ends(frame->code->file, sw_str_from(waiting_files[i])))
            return true;
    return false;
}

/* The outermost of the innermost frames that belong to the waiting itself; NULL: there is none. */
static const struct sw_frame *waiting_frame(const struct sw_stack *stack) {
    const struct sw_frame *found = NULL;
    for (size_t i = 0; i < stack->frame_count && i < FRAMES_MAX && is_waiting_frame(&stack->frames[i]); i++)
        found = &stack->frames[i];
    return found;
}

/* "Queue.get": the name up to 3.10 lacks the class, which the object's own then stands for. */
static void function_name(const struct sw_frame *frame, const char *type, struct sw_wait *wait) {
    struct sw_str name = frame->code->name;
    bool is_qualified = sw_str_find(name, '.') < name.len;
    size_t len = name.len < NAME_BYTES_MAX ? name.len : NAME_BYTES_MAX;
    snprintf(wait->function, sizeof wait->function, "%.*s%s%.*s", is_qualified ? 0 : NAME_BYTES_MAX, type,
             is_qualified || !type[0] ? "" : ".", (int)len, name.ptr);
}

static uint64_t ident_of(struct sw_objects *objects, uint64_t object, const char *name) {
    uint64_t value;
    int64_t ident;
    if (sw_object_attribute(objects, object, sw_str_from(name), &value) != SW_OK ||
        sw_object_i64(objects, value, &ident) != SW_OK)
        return 0;
    return (uint64_t)ident;
}

static uint64_t self_of(struct sw_objects *objects, const struct sw_frame *frame) {
    uint64_t self;
    return sw_local_get(objects, frame, SW_STR("self"), &self) == SW_OK ? self : 0;
}

/* A Condition waits on a lock of its own making; only while it takes the Condition's lock back is that awaited. */
static bool is_condition_wait(struct sw_objects *objects, const struct sw_stack *stack, uint64_t lock) {
    for (size_t i = 0; i < stack->frame_count && i < 3; i++) {
        uint64_t own = 0;
        if (!sw_frame_runs(&stack->frames[i], "threading.py", "wait"))
            continue;
        uint64_t self = self_of(objects, &stack->frames[i]);
        if (self && sw_object_is(objects, self, "Condition"))
            return sw_object_attribute(objects, self, SW_STR("_lock"), &own) != SW_OK || own != lock;
    }
    return false;
}

/* The object whose method the waiting frame runs. */
static void take_object(struct sw_objects *objects, const struct sw_frame *frame, struct sw_wait *wait) {
    uint64_t self = self_of(objects, frame);
    const struct sw_type *type = self ? sw_object_type(objects, self) : NULL;
    wait->kind = SW_WAIT_OBJECT;
    wait->object = type ? self : 0;
    snprintf(wait->type, sizeof wait->type, "%s", type ? type->name : "");
    function_name(frame, wait->type, wait);
    if (type && sw_frame_runs(frame, "/threading.py", "join")) {
        wait->kind = SW_WAIT_THREAD;
        wait->owner = ident_of(objects, self, "_ident");
    } else if (sw_type_is(type, "_ModuleLock")) {
        wait->kind = SW_WAIT_IMPORT;
        wait->owner = ident_of(objects, self, "owner");
    }
}

/* Threads asleep on a futex. */
static enum sw_status futex_wait(struct sw_objects *objects, const struct sw_thread_look *look,
                                 const struct sw_stack *stack, struct sw_wait *wait) {
    const struct sw_frame *frame = waiting_frame(stack);
    enum sw_status status = sw_lock_awaited(objects, look, stack, &wait->lock);
    bool has_lock = status == SW_OK;
    if (status != SW_OK && status != SW_NOTFOUND)
        return status;
    bool is_taking = has_lock && (wait->lock.kind == SW_LOCK_PLAIN || wait->lock.kind == SW_LOCK_REENTRANT ||
                                  wait->lock.kind == SW_LOCK_SEMAPHORE);
    bool is_joining =
        frame && (sw_frame_runs(frame, "/threading.py", "join") || sw_frame_runs(frame, "/threading.py", "_shutdown") ||
                  sw_frame_runs(frame, "<frozen importlib._bootstrap>", NULL));
    if (is_taking && !is_joining && !is_condition_wait(objects, stack, wait->lock.address)) {
        wait->kind = SW_WAIT_LOCK;
        wait->object = wait->lock.address;
        return SW_OK;
    }
    if (frame) {
        take_object(objects, frame, wait);
    } else if (has_lock && wait->lock.kind == SW_LOCK_SIMPLE_QUEUE) {
        wait->kind = SW_WAIT_OBJECT;
        wait->object = wait->lock.address;
        snprintf(wait->type, sizeof wait->type, "SimpleQueue");
        snprintf(wait->function, sizeof wait->function, "SimpleQueue.get");
    } else {
        wait->kind = SW_WAIT_MUTEX;
    }
    return SW_OK;
}

static bool is_one_of(const char *name, const char *const *names) {
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

bool sw_syscall_has_fd(const char *name) {
    static const char *const names[] = {"read",     "write",    "pread64",  "pwrite64",   "readv",     "writev",
                                        "recvfrom", "recvmsg",  "recvmmsg", "sendto",     "sendmsg",   "accept",
                                        "accept4",  "connect",  "fsync",    "fdatasync",  "flock",     "fcntl",
                                        "ioctl",    "sendfile", "splice",   "getdents64", "ftruncate", NULL};
    return is_one_of(name, names);
}

static void syscall_wait(const struct sw_thread_look *look, const char *name, struct sw_wait *wait) {
    static const char *const sleeps[] = {"nanosleep", "clock_nanosleep", "pause", NULL};
    static const char *const polls[] = {"select",     "pselect6",    "poll",         "ppoll",
                                        "epoll_wait", "epoll_pwait", "epoll_pwait2", NULL};
    static const char *const children[] = {"wait4", "waitid", NULL};
    wait->kind = SW_WAIT_SYSCALL;
    wait->number = -1;
    if (is_one_of(name, sleeps)) {
        wait->kind = SW_WAIT_SLEEP;
    } else if (is_one_of(name, polls)) {
        bool has_no_files = (strcmp(name, "select") == 0 || strcmp(name, "pselect6") == 0) && look->args[0] == 0;
        wait->kind = has_no_files ? SW_WAIT_SLEEP : SW_WAIT_EVENTS; /* time.sleep was a select up to 3.10 */
    } else if (is_one_of(name, children)) {
        wait->kind = SW_WAIT_CHILD;
        wait->number = (int32_t)(strcmp(name, "waitid") == 0 ? look->args[1] : look->args[0]);
    } else if (sw_syscall_has_fd(name)) {
        wait->number = (int32_t)look->args[0];
    }
}

enum sw_status sw_wait_find(struct sw_objects *objects, const struct sw_thread_look *look, const struct sw_stack *stack,
                            struct sw_wait *wait) {
    struct sw_wait seen = {.kind = SW_WAIT_NONE, .number = -1};
    uint64_t futex;
    enum sw_status status = SW_OK;
    const char *name = look->syscall >= 0 ? sw_syscall_name(look->syscall) : NULL;
    if (look->activity == SW_THREAD_BLOCKED && sw_syscall_is_futex_wait(look, &futex))
        status = futex_wait(objects, look, stack, &seen);
    else if (look->activity == SW_THREAD_BLOCKED && look->syscall >= 0)
        syscall_wait(look, name ? name : "", &seen);
    seen.has_limit = seen.kind <= SW_WAIT_MUTEX && seen.kind != SW_WAIT_NONE && look->args[FUTEX_TIMEOUT] != 0;
    if (status == SW_OK)
        *wait = seen;
    return status;
}
