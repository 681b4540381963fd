/* sampler_look.c - One look at one process: which of its threads are wanted, and their stacks into the profile. */
#include "base/mem.h"
#include "probe/gil.h"
#include "probe/sampler_impl.h"
#include "probe/thread_state.h"

/* Up to this many threads all stacks are read to find the holder's, in the same system call as the GIL itself; beyond, the
 * holder is looked up first. */
#define GIL_READ_ALL_MAX 32
#define HOLDER_TRIES 3
#define FAILURES_MAX 100 /* rounds in a row before the interpreter is looked for anew */

static const int32_t nobody = -1; /* a filter that lets no thread pass: the reader only notices who came and went */

static enum sw_status looked_reserve(struct sw_sampled *process, size_t count) {
    if (count <= process->looked_cap)
        return SW_OK;
    size_t cap = count + count / 2 + 8;
    struct sw_looked *looked = sw_realloc_array(process->looked, cap, sizeof *looked);
    if (!looked)
        return SW_NOMEM;
    process->looked = looked;
    int32_t *wanted = sw_realloc_array(process->wanted, cap, sizeof *wanted);
    if (!wanted)
        return SW_NOMEM;
    process->wanted = wanted;
    process->looked_cap = cap;
    return SW_OK;
}

/* Whether the kernel says that this thread is in the state the profile is of. */
static enum sw_status thread_judge(const struct sw_sampler *sampler, struct sw_sampled *process,
                                   const struct sw_thread_ref *thread, bool *is_wanted) {
    struct sw_thread_look look;
    enum sw_status status = sw_thread_look(process->watch, thread->tid, SW_LOOK_SYSCALL, &look);
    if (status != SW_OK)
        return status;
    const struct sw_thread_list *list = sw_stack_threads(process->reader);
    uint64_t gil = thread->interpreter < list->interpreter_count ? list->interpreters[thread->interpreter].gil : 0;
    bool is_running = look.activity == SW_THREAD_RUNNING;
    bool is_waiting = look.activity == SW_THREAD_BLOCKED && gil && sw_gil_is_awaited(&process->runtime, gil, &look);
    process->seen.running += is_running;
    process->seen.gil_waiting += is_waiting;
    *is_wanted = sampler->options.what == SW_SAMPLE_CPU ? is_running : is_waiting;
    return SW_OK;
}

static bool is_looked(const struct sw_sampled *process, size_t hint, int32_t tid) {
    if (hint < process->looked_count && process->looked[hint].tid == tid)
        return true;
    for (size_t i = 0; i < process->looked_count; i++)
        if (process->looked[i].tid == tid)
            return true;
    return false;
}

/* Looks at the threads that were not looked at yet in this look. Sets those to read. */
static enum sw_status threads_judge(const struct sw_sampler *sampler, struct sw_sampled *process) {
    const struct sw_thread_list *list = sw_stack_threads(process->reader);
    enum sw_status status = looked_reserve(process, process->looked_count + list->thread_count);
    process->wanted_count = 0;
    for (size_t i = 0; i < list->thread_count && status == SW_OK; i++) {
        const struct sw_thread_ref *thread = &list->threads[i];
        process->reads_all |= thread->tid == 0; /* it cannot be asked for */
        if (thread->tid == 0 || is_looked(process, i, thread->tid))
            continue;
        struct sw_looked *looked = &process->looked[process->looked_count];
        *looked = (struct sw_looked){.tid = thread->tid};
        status = thread_judge(sampler, process, thread, &looked->is_wanted);
        process->looked_count++;
        if (looked->is_wanted)
            process->wanted[process->wanted_count++] = thread->tid;
    }
    return status;
}

static bool is_wanted(const struct sw_sampler *sampler, const struct sw_sampled *process,
                      const struct sw_stack *stack) {
    if (sampler->options.what == SW_SAMPLE_WALL)
        return true;
    if (sampler->options.what == SW_SAMPLE_GIL)
        return stack->holds_gil;
    if (stack->thread.tid == 0) /* the kernel could not be asked about it */
        return sampler->options.what == SW_SAMPLE_CPU && stack->holds_gil;
    for (size_t i = 0; i < process->wanted_count; i++)
        if (process->wanted[i] == stack->thread.tid)
            return true;
    return false;
}

static enum sw_status stack_take(struct sw_sampler *sampler, struct sw_sampled *process, const struct sw_stack *stack,
                                 const struct sw_moment *moment) {
    if (!is_wanted(sampler, process, stack))
        return SW_OK;
    if (stack->quality == SW_STACK_FAILED) {
        sampler->counts.failed++;
        return SW_OK;
    }
    if (stack->quality == SW_STACK_EMPTY) {
        sampler->counts.empty++;
        return SW_OK;
    }
    if (process->native)
        return sw_sampled_keep(process, stack);
    enum sw_status status = sw_sampled_add(sampler, process, stack, NULL, moment);
    if (status != SW_OK)
        return status;
    sampler->counts.exact += stack->quality == SW_STACK_EXACT;
    sampler->counts.partial += stack->quality == SW_STACK_PARTIAL;
    return SW_OK;
}

/* *taken: stacks that were wanted. A round that fails is counted and not repeated. */
static enum sw_status stacks_read(struct sw_sampler *sampler, struct sw_sampled *process,
                                  const struct sw_moment *moment, size_t *taken) {
    bool reads_all = sampler->options.what == SW_SAMPLE_WALL || process->reads_all;
    const int32_t *tids = process->wanted_count ? process->wanted : &nobody;
    const struct sw_stack *stacks = NULL;
    size_t count = 0;
    enum sw_status status = sw_stack_read(process->reader, reads_all ? NULL : tids,
                                          reads_all               ? 0
                                          : process->wanted_count ? process->wanted_count
                                                                  : 1,
                                          &stacks, &count);
    if (status == SW_CLOSED || status == SW_NOMEM)
        return status;
    if (status != SW_OK) {
        sampler->counts.failed++;
        return ++process->failures < FAILURES_MAX ? SW_OK : SW_CLOSED;
    }
    process->failures = 0;
    for (size_t i = 0; i < count && status == SW_OK; i++) {
        *taken += is_wanted(sampler, process, &stacks[i]);
        status = stack_take(sampler, process, &stacks[i], moment);
    }
    return status == SW_OK && process->native ? sw_sampled_add_kept(sampler, process, moment) : status;
}

/* A thread that began since the last look is found by reading; it is looked at, and read, in a second round. */
static enum sw_status look_by_state(struct sw_sampler *sampler, struct sw_sampled *process,
                                    const struct sw_moment *moment) {
    size_t taken = 0;
    enum sw_status status = threads_judge(sampler, process);
    if (status == SW_OK)
        status = stacks_read(sampler, process, moment, &taken);
    if (status == SW_OK && !process->reads_all)
        status = threads_judge(sampler, process);
    if (status == SW_OK && !process->reads_all && process->wanted_count)
        status = stacks_read(sampler, process, moment, &taken);
    return status;
}

/* The thread ids of those that hold a GIL, one for each interpreter. */
static enum sw_status holders_find(struct sw_sampled *process) {
    const struct sw_thread_list *list = sw_stack_threads(process->reader);
    enum sw_status status = looked_reserve(process, list->interpreter_count);
    process->wanted_count = 0;
    for (size_t i = 0; i < list->interpreter_count && status == SW_OK; i++) {
        struct sw_gil_look look;
        if (!list->interpreters[i].gil || sw_gil_look(&process->runtime, &list->interpreters[i], &look) != SW_OK ||
            !look.is_known || !look.holder)
            continue;
        for (size_t j = 0; j < list->thread_count; j++)
            if (list->threads[j].address == look.holder && list->threads[j].tid)
                process->wanted[process->wanted_count++] = list->threads[j].tid;
    }
    return status;
}

static enum sw_status look_by_holder(struct sw_sampler *sampler, struct sw_sampled *process,
                                     const struct sw_moment *moment) {
    size_t taken = 0;
    enum sw_status status = SW_OK;
    process->reads_all = sw_stack_threads(process->reader)->thread_count <= GIL_READ_ALL_MAX;
    if (process->reads_all)
        return stacks_read(sampler, process, moment, &taken);
    for (int i = 0; i < HOLDER_TRIES && !taken && status == SW_OK; i++) {
        status = holders_find(process);
        if (status == SW_OK)
            status = stacks_read(sampler, process, moment, &taken);
        if (process->wanted_count == 0) /* free just now */
            break;
    }
    return status;
}

static void seen_update(struct sw_sampler *sampler, struct sw_sampled *process, const struct sw_moment *moment) {
    struct sw_gil_look gil = sw_stack_gil(process->reader, 0);
    process->seen.looks++;
    process->seen.gil_known += gil.is_known;
    process->seen.gil_held += gil.is_known && gil.holder;
    process->seen.thread_count = sw_stack_threads(process->reader)->thread_count;
    if (!sampler->counts.first_mono_ns) {
        sampler->counts.first_mono_ns = moment->mono_ns;
        sampler->counts.first_epoch_ns = moment->mono_ns + moment->epoch_minus_mono_ns;
    }
}

enum sw_status sw_sampled_look(struct sw_sampler *sampler, struct sw_sampled *process, const struct sw_moment *moment) {
    enum sw_sampler_what what = sampler->options.what;
    size_t taken = 0;
    enum sw_status status = SW_OK;
    process->looked_count = process->wanted_count = 0;
    process->reads_all = false;
    if (what == SW_SAMPLE_CPU || what == SW_SAMPLE_WAIT) {
        status = look_by_state(sampler, process, moment);
    } else {
        if (sampler->options.counts_states)
            status = threads_judge(sampler, process);
        if (status == SW_OK)
            status = what == SW_SAMPLE_GIL ? look_by_holder(sampler, process, moment)
                                           : stacks_read(sampler, process, moment, &taken);
    }
    if (status == SW_OK)
        seen_update(sampler, process, moment);
    return status;
}
