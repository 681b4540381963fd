/* native_merge.c - Python frames put in the places of the evaluation loops that run them; see native.h. */
#include "probe/native.h"

/* Runs of Python frames: each ends with a mark, or with the stack. */
static size_t run_count(const struct sw_stack *python) {
    size_t count = 0;
    for (size_t i = 0; i < python->frame_count; i++)
        count += !python->frames[i].code || i + 1 == python->frame_count;
    return count;
}

static size_t eval_count(const struct sw_native_stack *native) {
    size_t count = 0;
    for (size_t i = 0; i < native->count; i++)
        count += native->frames[i].is_eval;
    return count;
}

static void python_put(struct sw_merged_stack *merged, const struct sw_frame *frame) {
    if (frame->code)
        merged->frames[merged->count++] = (struct sw_merged_frame){.python = frame};
}

/* Moves the frames of one run, the mark included, from *at on. */
static void run_put(struct sw_merged_stack *merged, const struct sw_stack *python, size_t *at) {
    while (*at < python->frame_count) {
        const struct sw_frame *frame = &python->frames[(*at)++];
        python_put(merged, frame);
        if (!frame->code)
            return;
    }
}

/* Every stack begins so; and symbols are lacking for most of it. What embeds Python has functions of its own there. */
static void start_cut(struct sw_merged_stack *merged) {
    size_t count = merged->count;
    while (count > 0 && merged->frames[count - 1].native &&
           (merged->frames[count - 1].native->is_start || merged->frames[count - 1].native->name.len == 0))
        count--;
    if (count > 0 && merged->frames[count - 1].python)
        merged->count = count;
}

void sw_native_merge(const struct sw_native_stack *native, const struct sw_stack *python,
                     struct sw_merged_stack *merged) {
    size_t evals = eval_count(native), runs = run_count(python), at = 0;
    /* A complete C stack is known from its outer end: what Python lacks is innermost (its tail was in flux, or a call
     * is just beginning). An incomplete one is known from its inner end. */
    size_t skipped = native->is_complete && evals > runs ? evals - runs : 0;
    merged->count = 0;
    merged->is_matched = evals == runs;
    for (size_t extra = native->is_complete && runs > evals ? runs - evals : 0; extra > 0; extra--)
        run_put(merged, python, &at);
    for (size_t i = 0; i < native->count; i++) {
        const struct sw_native_frame *frame = &native->frames[i];
        if (frame->is_eval && skipped > 0)
            skipped--;
        else if (frame->is_eval)
            run_put(merged, python, &at);
        else if (!frame->is_internal)
            merged->frames[merged->count++] = (struct sw_merged_frame){.native = frame};
    }
    while (at < python->frame_count)
        run_put(merged, python, &at);
    start_cut(merged);
}
