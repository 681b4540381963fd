/* sampler_node.c - From a stack to the node of the profile that stands for it; a stack seen before costs one probe. */
#include "probe/sampler_impl.h"

#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"

#define CACHE_SMALLEST_CAP 256
#define CACHE_LARGEST_CAP (UINT32_C(1) << 22) /* 64 MiB; then it starts again */
#define TRACKS_MAX 1048576

/* Marks put on top of the innermost frame. */
enum mark { MARK_NONE, MARK_IN_FLUX, MARK_GC };

static const char *const mark_names[] = {[MARK_IN_FLUX] = "<in flux>", [MARK_GC] = "<GC>"};

static struct sw_node_slot *slot_find(const struct sw_node_cache *cache, uint64_t key) {
    size_t mask = cache->cap - 1;
    size_t at = (size_t)sw_hash_u64(key) & mask;
    while (cache->slots[at].node && cache->slots[at].key != key)
        at = (at + 1) & mask;
    return &cache->slots[at];
}

static enum sw_status cache_grow(struct sw_node_cache *cache) {
    struct sw_node_cache grown = {.cap = cache->cap ? cache->cap * 2 : CACHE_SMALLEST_CAP};
    bool starts_again = grown.cap > CACHE_LARGEST_CAP;
    if (starts_again)
        grown.cap = CACHE_SMALLEST_CAP;
    grown.slots = sw_alloc_array_zero(grown.cap, sizeof *grown.slots);
    if (!grown.slots)
        return SW_NOMEM;
    for (size_t i = 0; i < cache->cap && !starts_again; i++)
        if (cache->slots[i].node) {
            *slot_find(&grown, cache->slots[i].key) = cache->slots[i];
            grown.count++;
        }
    sw_free(cache->slots);
    *cache = grown;
    return SW_OK;
}

static enum sw_status mark_push(struct sw_profile *profile, const char *name, uint32_t *node) {
    struct sw_profile_frame frame = {.name = sw_str_from(name), .kind = SW_PROFILE_MARK};
    uint32_t index;
    enum sw_status status = sw_profile_add_frame(profile, &frame, &index);
    return status == SW_OK ? sw_profile_add_node(profile, *node, index, node) : status;
}

static enum sw_status frame_push(struct sw_sampler *sampler, struct sw_sampled *process, const struct sw_frame *frame,
                                 uint32_t *node) {
    struct sw_frame_slot *slot = &process->frames[(frame->code->id * 8 + (uint32_t)frame->line) % SW_FRAME_CACHE_SIZE];
    if (slot->code_id != frame->code->id || slot->line != frame->line) {
        struct sw_profile_frame wanted = {.name = frame->code->name,
                                          .file = frame->code->file,
                                          .line = frame->line,
                                          .kind = SW_PROFILE_PYTHON};
        uint32_t index;
        enum sw_status status = sw_profile_add_frame(&sampler->profile, &wanted, &index);
        if (status != SW_OK)
            return status;
        *slot = (struct sw_frame_slot){frame->code->id, frame->line, index};
    }
    return sw_profile_add_node(&sampler->profile, *node, slot->frame, node);
}

/* What stands in a stack beside its frames: a mark, `inner` frames from the innermost one. */
struct marked {
    enum mark mark;
    size_t inner;
};

static enum sw_status stack_push(struct sw_sampler *sampler, struct sw_sampled *process, const struct sw_stack *stack,
                                 const struct marked *marked, uint32_t *node) {
    enum sw_status status = SW_OK;
    for (size_t i = stack->frame_count; status == SW_OK; i--) {
        if (stack->omitted && i == (process->native ? stack->frame_count : SW_STACK_DEPTH_MAX) / 2)
            status = mark_push(&sampler->profile, "<frames omitted>", node);
        if (marked->mark != MARK_NONE && i == marked->inner && status == SW_OK)
            status = mark_push(&sampler->profile, mark_names[marked->mark], node);
        if (i == 0)
            break;
        if (status == SW_OK && stack->frames[i - 1].code)
            status = frame_push(sampler, process, &stack->frames[i - 1], node);
    }
    return status;
}

static enum sw_status native_push(struct sw_sampler *sampler, const struct sw_native_frame *frame, uint32_t *node) {
    struct sw_profile_frame wanted = {.name = frame->name.len ? frame->name : SW_STR("?"),
                                      .file = frame->module,
                                      .kind = SW_PROFILE_NATIVE};
    uint32_t index;
    enum sw_status status = sw_profile_add_frame(&sampler->profile, &wanted, &index);
    return status == SW_OK ? sw_profile_add_node(&sampler->profile, *node, index, node) : status;
}

static enum sw_status merged_push(struct sw_sampler *sampler, struct sw_sampled *process,
                                  const struct sw_native_look *look, const struct marked *marked, uint32_t *node) {
    enum sw_status status = SW_OK;
    for (size_t i = look->merged.count; i > 0 && status == SW_OK; i--) {
        const struct sw_merged_frame *frame = &look->merged.frames[i - 1];
        if (frame->native) {
            status = native_push(sampler, frame->native, node);
            continue;
        }
        status = frame_push(sampler, process, frame->python, node);
        bool is_marked = marked->mark != MARK_NONE && frame->python == look->python->frames + marked->inner;
        if (status == SW_OK && is_marked)
            status = mark_push(&sampler->profile, mark_names[marked->mark], node);
    }
    return status;
}

/* Of the functions and their order, wherever in a function the program counter is. */
static uint64_t merged_key(const struct sw_native_look *look) {
    uint64_t key = look->python->fingerprint;
    for (size_t i = 0; i < look->merged.count; i++) {
        const struct sw_native_frame *native = look->merged.frames[i].native;
        uint64_t of_frame =
            native ? (uint64_t)(uintptr_t)native->name.ptr * 31 + (uint64_t)(uintptr_t)native->module.ptr : 1;
        key = sw_hash_u64(key ^ of_frame);
    }
    return key;
}

static enum sw_status heading_make(struct sw_sampler *sampler, struct sw_sampled *process) {
    char name[160];
    struct sw_str command = sw_buf_view(&process->command);
    snprintf(name, sizeof name, "process %d %.*s", (int)process->target.pid,
             (int)(command.len < 120 ? command.len : 120), command.ptr ? command.ptr : "");
    process->heading = SW_PROFILE_ROOT;
    return sampler->options.has_process_headings ? mark_push(&sampler->profile, name, &process->heading) : SW_OK;
}

static enum sw_status generation_ensure(struct sw_sampler *sampler, struct sw_sampled *process) {
    if (process->generation == sampler->generation)
        return SW_OK;
    sw_sampled_forget_nodes(process);
    enum sw_status status = heading_make(sampler, process);
    if (status == SW_OK)
        process->generation = sampler->generation;
    return status;
}

/* `track` is the next free place. */
static enum sw_status track_new(struct sw_sampler *sampler, struct sw_sampled *process, int32_t tid,
                                struct sw_tracked *track) {
    char name[16] = "";
    struct sw_profile_track wanted = {.pid = process->target.pid,
                                      .tid = tid,
                                      .process = sw_buf_view(&process->command)};
    if (tid && sw_target_thread_name(&process->target, tid, name) == SW_OK)
        wanted.thread = sw_str_from(name);
    track->tid = tid;
    return sw_profile_add_track(&sampler->profile, &wanted, &track->track);
}

/* Threads come in the same order in every look, so the place behind the last one found is nearly always right. */
static enum sw_status track_get(struct sw_sampler *sampler, struct sw_sampled *process, int32_t tid, uint32_t *track) {
    size_t count = process->track_count;
    for (size_t i = 0, at = process->track_hint; i < count; i++, at++) {
        at = at >= count ? 0 : at;
        if (process->tracks[at].tid == tid) {
            process->track_hint = at + 1;
            *track = process->tracks[at].track;
            return SW_OK;
        }
    }
    if (count == process->track_cap) {
        size_t cap = count ? count * 2 : 8;
        struct sw_tracked *grown = cap > TRACKS_MAX ? NULL : sw_realloc_array(process->tracks, cap, sizeof *grown);
        if (!grown)
            return SW_NOMEM;
        process->tracks = grown;
        process->track_cap = cap;
    }
    enum sw_status status = track_new(sampler, process, tid, &process->tracks[count]);
    if (status == SW_OK)
        *track = process->tracks[process->track_count++].track;
    return status;
}

/* The collector's state in the interpreter of `stack`; 0 when it is not known. */
static uint64_t collector_find(const struct sw_sampled *process, const struct sw_stack *stack) {
    const struct sw_layout *layout = &process->runtime.layout;
    const struct sw_thread_list *list = sw_stack_threads(process->reader);
    if (layout->runtime.gc != SW_ABSENT)
        return process->runtime.address + layout->runtime.gc;
    if (layout->interpreter.gc == SW_ABSENT || stack->thread.interpreter >= list->interpreter_count)
        return 0;
    return list->interpreters[stack->thread.interpreter].address + layout->interpreter.gc;
}

/* The thread that holds the GIL while its interpreter collects garbage is the one that does. From 3.15 on the interpreter
 * says in which frame the collector began; frames within that one are finalisers and callbacks. */
static void collector_look(const struct sw_sampled *process, const struct sw_stack *stack, struct marked *marked) {
    const struct sw_layout *layout = &process->runtime.layout;
    uint64_t collector = collector_find(process, stack), frame = 0;
    int32_t collecting = 0;
    if (!collector || layout->is_free_threaded || layout->gc.collecting == SW_ABSENT)
        return;
    if (sw_target_read(&process->target, collector + layout->gc.collecting, &collecting, sizeof collecting) != SW_OK ||
        !collecting)
        return;
    marked->mark = MARK_GC;
    if (layout->gc.frame == SW_ABSENT ||
        sw_target_read_u64(&process->target, collector + layout->gc.frame, &frame) != SW_OK)
        return;
    for (size_t i = 0; i < stack->frame_count && frame; i++)
        if (stack->frames[i].address == frame)
            marked->inner = i;
}

static enum sw_status node_get(struct sw_sampler *sampler, struct sw_sampled *process, const struct sw_stack *stack,
                               const struct sw_native_look *look, uint32_t *node) {
    struct marked marked = {MARK_NONE, 0};
    if (stack->quality == SW_STACK_PARTIAL)
        marked.mark = MARK_IN_FLUX;
    else if (stack->holds_gil)
        collector_look(process, stack, &marked);
    uint64_t key =
        (look ? merged_key(look) : stack->fingerprint) ^ (uint64_t)marked.mark << 61 ^ (uint64_t)marked.inner << 32;
    if (process->nodes.count >= process->nodes.cap / 2 && cache_grow(&process->nodes) != SW_OK)
        return SW_NOMEM;
    struct sw_node_slot *slot = slot_find(&process->nodes, key);
    *node = slot->node;
    if (slot->node)
        return SW_OK;
    *node = process->heading;
    enum sw_status status =
        look ? merged_push(sampler, process, look, &marked, node) : stack_push(sampler, process, stack, &marked, node);
    if (status == SW_OK && *node != SW_PROFILE_ROOT) {
        *slot = (struct sw_node_slot){key, *node};
        process->nodes.count++;
    }
    return status;
}

void sw_sampled_forget_nodes(struct sw_sampled *process) {
    sw_free(process->nodes.slots);
    process->nodes = (struct sw_node_cache){0};
    process->track_count = process->track_hint = 0;
    process->generation = 0;
    for (size_t i = 0; i < SW_FRAME_CACHE_SIZE; i++)
        process->frames[i].code_id = 0;
}

enum sw_status sw_sampled_add(struct sw_sampler *sampler, struct sw_sampled *process, const struct sw_stack *stack,
                              const struct sw_native_look *look, const struct sw_moment *moment) {
    struct sw_profile_sample sample = {.epoch_ns = stack->mono_ns + moment->epoch_minus_mono_ns,
                                       .weight_ns = moment->weight_ns};
    enum sw_status status = generation_ensure(sampler, process);
    if (status == SW_OK)
        status = node_get(sampler, process, stack, look, &sample.node);
    if (status == SW_OK)
        status = track_get(sampler, process, stack->thread.tid, &sample.track);
    return status == SW_OK ? sw_profile_add_sample(&sampler->profile, &sample) : status;
}
