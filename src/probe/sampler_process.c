/* sampler_process.c - One process of a sampler: opened, attached to when it is Python, let go of. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "probe/sampler_impl.h"

/* Between vfork and exec a child has its parent's memory, and after fork, for a moment, its parent's thread ids: what is
 * read there is not the child's. */
static bool has_own_threads(const struct sw_sampled *process, const struct sw_thread_list *list) {
    char name[32];
    bool knows_any = false;
    for (size_t i = 0; i < list->thread_count; i++) {
        if (list->threads[i].tid == 0)
            continue;
        knows_any = true;
        snprintf(name, sizeof name, "task/%d", (int)list->threads[i].tid);
        if (faccessat(process->target.proc_fd, name, F_OK, 0) == 0)
            return true;
    }
    return !knows_any && list->thread_count > 0;
}

static enum sw_status suits(const struct sw_sampler *sampler, struct sw_sampled *process, struct sw_error *err) {
    struct sw_thread_list list = {0};
    enum sw_sampler_what what = sampler->options.what;
    enum sw_status status = sw_runtime_threads(&process->runtime, &list);
    if (status == SW_OK && !has_own_threads(process, &list))
        status = sw_fail(err, SW_NOTFOUND, "process %d runs no Python thread (yet)", (int)process->target.pid);
    else if (status == SW_OK && process->runtime.is_free_threaded && list.interpreter_count &&
             !list.interpreters[0].gil && (what == SW_SAMPLE_GIL || what == SW_SAMPLE_WAIT))
        status = sw_fail(err, SW_UNSUPPORTED, "process %d is free-threaded: it has no GIL to hold or to wait for",
                         (int)process->target.pid);
    else if (status == SW_AGAIN || status == SW_IO)
        status = sw_fail(err, SW_NOTFOUND, "process %d is just starting or ending", (int)process->target.pid);
    sw_thread_list_release(&list);
    return status;
}

enum sw_status sw_sampled_new(struct sw_sampled **out, int32_t pid, struct sw_error *err) {
    struct sw_sampled *process = sw_alloc_zero(sizeof *process);
    if (!process)
        return sw_fail(err, SW_NOMEM, "cannot look at process %d: out of memory", (int)pid);
    enum sw_status status = sw_target_open(&process->target, pid, err);
    if (status == SW_OK && sw_target_command(&process->target, &process->command) == SW_NOMEM)
        status = sw_fail(err, SW_NOMEM, "cannot look at process %d: out of memory", (int)pid);
    if (status != SW_OK) {
        sw_sampled_free(process);
        return status;
    }
    process->seen.pid = pid;
    *out = process;
    return SW_OK;
}

void sw_sampled_detach(struct sw_sampled *process) {
    sw_native_free(process->native);
    if (process->reader)
        sw_stack_reader_free(process->reader);
    if (process->watch)
        sw_thread_watch_free(process->watch);
    if (process->runtime.target)
        sw_runtime_close(&process->runtime);
    process->runtime = (struct sw_runtime){0};
    process->native = NULL;
    process->reader = NULL;
    process->watch = NULL;
    process->is_live = false;
    process->failures = 0;
    process->looked_count = process->wanted_count = 0;
    sw_sampled_forget_nodes(process); /* code ids count from 1 again */
}

void sw_sampled_free(struct sw_sampled *process) {
    if (!process)
        return;
    sw_sampled_detach(process);
    sw_target_close(&process->target);
    sw_buf_release(&process->command);
    sw_free(process->looked);
    sw_free(process->wanted);
    sw_free(process->tracks);
    sw_free(process->kept);
    sw_free(process->kept_frames);
    sw_free(process);
}

enum sw_status sw_sampled_attach(struct sw_sampler *sampler, struct sw_sampled *process, struct sw_error *err) {
    enum sw_status status = sw_runtime_open(&process->runtime, &process->target, err);
    if (status != SW_OK)
        return status;
    status = suits(sampler, process, err);
    if (status == SW_OK)
        status = sw_stack_reader_new(&process->reader, &process->runtime,
                                     &(struct sw_stack_options){.has_marks = sampler->options.has_native});
    if (status == SW_OK && sampler->options.has_native)
        status = sw_native_new(&process->native, &process->target, err);
    if (status == SW_OK)
        status = sw_thread_watch_new(&process->watch, &process->target);
    sw_buf_clear(&process->command); /* exec may have changed it */
    if (status == SW_OK && sw_target_command(&process->target, &process->command) == SW_NOMEM)
        status = SW_NOMEM;
    if (status == SW_NOMEM)
        (void)sw_fail(err, SW_NOMEM, "cannot read process %d: out of memory", (int)process->target.pid);
    if (status != SW_OK) {
        sw_sampled_detach(process);
        return status;
    }
    process->is_live = process->was_live = true;
    sampler->attached++;
    return SW_OK;
}
