/* native_look.c - Both stacks of one thread at one moment: asleep all along, or stopped for it; see native.h. */
#include <string.h>

#include "probe/native_impl.h"

static enum sw_status python_read(const struct sw_native_source *source, int32_t tid, struct sw_native_look *look) {
    const struct sw_stack *stacks;
    size_t count;
    enum sw_status status = sw_stack_read(source->reader, &tid, 1, &stacks, &count);
    if (status != SW_OK)
        return status;
    for (size_t i = 0; i < count; i++)
        if (stacks[i].thread.tid == tid) {
            look->python = &stacks[i];
            bool is_whole = stacks[i].quality == SW_STACK_EXACT || stacks[i].quality == SW_STACK_EMPTY;
            return is_whole ? SW_OK : SW_AGAIN;
        }
    return SW_CLOSED;
}

/* The kernel put it on no CPU in between, or, where that is not counted, it sleeps at the same place. */
static bool has_slept_on(const struct sw_thread_look *before, const struct sw_thread_look *after) {
    return after->activity == SW_THREAD_BLOCKED && before->sp == after->sp && before->pc == after->pc &&
           before->syscall == after->syscall && memcmp(before->args, after->args, sizeof before->args) == 0 &&
           (!before->has_schedstat || !after->has_schedstat || before->runs == after->runs);
}

static enum sw_status both_read_asleep(const struct sw_native_source *source, int32_t tid,
                                       const struct sw_thread_look *before, struct sw_native_look *look) {
    struct sw_thread_look after;
    enum sw_status status = sw_native_copy_blocked(source->native, before);
    if (status == SW_OK)
        status = python_read(source, tid, look);
    if (status == SW_OK)
        status = sw_thread_look(source->watch, tid, SW_LOOK_SYSCALL | SW_LOOK_SCHEDSTAT, &after);
    if (status == SW_OK && !has_slept_on(before, &after))
        status = SW_AGAIN;
    return status;
}

static enum sw_status both_read_stopped(const struct sw_native_source *source, int32_t tid,
                                        struct sw_native_look *look) {
    enum sw_status status = sw_native_stop(source->native, tid);
    if (status != SW_OK)
        return status;
    status = sw_native_copy_stopped(source->native);
    if (status == SW_OK)
        status = python_read(source, tid, look);
    sw_native_resume(source->native);
    return status;
}

enum sw_status sw_native_look(const struct sw_native_source *source, int32_t tid, struct sw_native_look *look) {
    struct sw_thread_look before;
    enum sw_status status = sw_thread_look(source->watch, tid, SW_LOOK_SYSCALL | SW_LOOK_SCHEDSTAT, &before);
    if (status != SW_OK)
        return status;
    look->was_running = before.activity == SW_THREAD_RUNNING;
    if (before.activity == SW_THREAD_GONE)
        return SW_CLOSED;
    if (look->was_running)
        status = both_read_stopped(source, tid, look);
    else
        status = both_read_asleep(source, tid, &before, look);
    if (status == SW_OK)
        status = sw_native_unwind(source->native, &look->native);
    if (status == SW_OK)
        sw_native_merge(&look->native, look->python, &look->merged);
    return status;
}
