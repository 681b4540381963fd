/* sampler_native.c - Samples with C frames: each wanted thread is read once more, both its stacks at one moment. */
#include "base/clock.h"
#include "base/mem.h"
#include "probe/sampler_impl.h"

#define TRIES 2
#define SETTLE_NS (SW_NS_PER_MS / 2) /* how soon a thread that stopped too late is let go */

struct sw_kept {
    struct sw_stack stack; /* its frames are from `first` on, in kept_frames */
    size_t first;
};

static enum sw_status kept_reserve(struct sw_sampled *process, size_t frame_count) {
    if (process->kept_count == process->kept_cap) {
        size_t cap = process->kept_cap ? process->kept_cap * 2 : 8;
        struct sw_kept *grown = sw_realloc_array(process->kept, cap, sizeof *grown);
        if (!grown)
            return SW_NOMEM;
        process->kept = grown;
        process->kept_cap = cap;
    }
    size_t want = process->kept_frame_count + frame_count;
    if (want > process->kept_frame_cap) {
        struct sw_frame *grown = sw_realloc_array(process->kept_frames, want * 2, sizeof *grown);
        if (!grown)
            return SW_NOMEM;
        process->kept_frames = grown;
        process->kept_frame_cap = want * 2;
    }
    return SW_OK;
}

enum sw_status sw_sampled_keep(struct sw_sampled *process, const struct sw_stack *stack) {
    enum sw_status status = kept_reserve(process, stack->frame_count);
    if (status != SW_OK)
        return status;
    process->kept[process->kept_count++] = (struct sw_kept){*stack, process->kept_frame_count};
    for (size_t i = 0; i < stack->frame_count; i++)
        process->kept_frames[process->kept_frame_count++] = stack->frames[i];
    return SW_OK;
}

/* Whether what was read just now is still what the profile is of. */
static bool is_wanted(const struct sw_sampler *sampler, const struct sw_native_look *look) {
    switch (sampler->options.what) {
    case SW_SAMPLE_CPU:
        return look->was_running;
    case SW_SAMPLE_GIL:
        return look->python->holds_gil;
    case SW_SAMPLE_WAIT:
        return !look->was_running;
    default:
        return true;
    }
}

/* *look is NULL when only the Python frames are known. */
static enum sw_status look_native(struct sw_sampler *sampler, struct sw_sampled *process, int32_t tid,
                                  const struct sw_native_look **look) {
    struct sw_native_source source = {process->native, process->reader, process->watch};
    enum sw_status status = SW_AGAIN;
    *look = NULL;
    for (int i = 0; i < TRIES && status == SW_AGAIN && tid > 0; i++) {
        status = sw_native_look(&source, tid, sampler->look);
        bool has_python = status == SW_OK && sampler->look->python->quality == SW_STACK_EXACT;
        if (has_python && is_wanted(sampler, sampler->look))
            *look = sampler->look;
        else if (status == SW_OK)
            status = SW_AGAIN;
    }
    return status == SW_NOMEM ? status : SW_OK;
}

static enum sw_status kept_add(struct sw_sampler *sampler, struct sw_sampled *process, const struct sw_kept *kept,
                               const struct sw_moment *moment) {
    const struct sw_native_look *look;
    struct sw_stack before = kept->stack;
    before.frames = process->kept_frames + kept->first;
    enum sw_status status = look_native(sampler, process, before.thread.tid, &look);
    if (status != SW_OK)
        return status;
    const struct sw_stack *stack = look ? look->python : &before;
    status = sw_sampled_add(sampler, process, stack, look, moment);
    if (status != SW_OK)
        return status;
    sampler->counts.native += look != NULL;
    sampler->counts.native_unmatched += look && !look->merged.is_matched;
    sampler->counts.exact += stack->quality == SW_STACK_EXACT;
    sampler->counts.partial += stack->quality == SW_STACK_PARTIAL;
    return SW_OK;
}

enum sw_status sw_sampled_add_kept(struct sw_sampler *sampler, struct sw_sampled *process,
                                   const struct sw_moment *moment) {
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < process->kept_count && status == SW_OK; i++)
        status = kept_add(sampler, process, &process->kept[i], moment);
    process->kept_count = process->kept_frame_count = 0;
    sw_sampled_settle(sampler, process);
    return status;
}

void sw_sampled_settle(struct sw_sampler *sampler, struct sw_sampled *process) {
    if (!process->native || sw_native_settle(process->native))
        return;
    int64_t at_ns = sw_clock_mono_ns() + SETTLE_NS;
    if (at_ns < sampler->next_work_ns)
        sampler->next_work_ns = at_ns;
}
