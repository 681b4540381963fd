/* stack.c - Rounds of the stack reader: plan, one system call, accept or try again. */
#include "probe/stack.h"

#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/stack_impl.h"

#define CALLS_MAX 4096  /* system calls in a round */
#define REFRESHES_MAX 3 /* of the thread list in a round */
#define SLOW_CALL_NS \
    20000 /* plus a range's share: the reader lost its CPU in the call, and too much can have happened */
#define SLOW_RANGE_NS 1000

static size_t head_bytes(const struct sw_layout *layout) {
    const uint32_t fields[] = {layout->thread.prev,
                               layout->thread.next,
                               layout->thread.interp,
                               layout->thread.frame,
                               layout->thread.datastack_chunk,
                               layout->thread.datastack_top,
                               layout->thread.base_frame};
    size_t end = 0;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (fields[i] != SW_ABSENT && fields[i] + 8 > end) {
            end = fields[i] + 8;
        }
    }
    return end;
}

static bool is_layout_usable(const struct sw_layout *layout) {
    const uint32_t ends[] = {layout->frame.code + 8, layout->frame.previous + 8, layout->frame.ip + 4};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (ends[i] > layout->frame.size) {
            return false;
        }
    }
    return layout->frame.size <= SW_STACK_FRAME_MAX && head_bytes(layout) <= SW_STACK_HEAD_MAX &&
           layout->thread.frame != SW_ABSENT;
}

static bool ensure_buffer(struct sw_stack_reader *reader) {
    if (reader->planned_bytes <= reader->buffer_cap) {
        return true;
    }
    unsigned char *buffer = sw_realloc(reader->buffer, reader->planned_bytes * 2);
    if (buffer) {
        reader->buffer = buffer;
        reader->buffer_cap = reader->planned_bytes * 2;
    }
    return buffer != NULL;
}

/* A round reads each thread that is wanted and may have changed. */
static bool is_pending(const struct sw_track *track) {
    return track->is_wanted && track->is_dirty && !track->is_done;
}

static enum sw_status plan_call(struct sw_stack_reader *reader, size_t *planned) {
    reader->range_count = 0;
    reader->planned_bytes = 0;
    *planned = 0;
    sw_stack_plan_looks(reader);
    bool fits = true;
    for (size_t i = 0; i < reader->track_count && fits; i++) {
        struct sw_track *track = reader->tracks[i];
        track->plan.end = SIZE_MAX;
        if (!is_pending(track)) {
            continue;
        }
        enum sw_status status = sw_stack_plan_track(reader, track, &fits);
        if (status != SW_OK) {
            return status;
        }
        if (fits) {
            sw_stack_plan_checks(reader, track);
            ++*planned;
        } else {
            track->plan.end = SIZE_MAX;
        }
    }
    return ensure_buffer(reader) ? SW_OK : SW_NOMEM;
}

static enum sw_status call(struct sw_stack_reader *reader) {
    struct iovec local = {reader->buffer, reader->planned_bytes};
    ssize_t got = sw_target_readv(reader->runtime->target, &local, 1, reader->ranges, reader->range_count);
    reader->call_ns = sw_clock_mono_ns() - reader->now_ns;
    reader->counts.system_calls++;
    if (got == -ESRCH) {
        return SW_CLOSED;
    }
    if (got < 0 && got != -EFAULT) {
        return sw_status_from_errno((int)-got);
    }
    reader->read_bytes = got < 0 ? 0 : (size_t)got;
    return SW_OK;
}

/* The innermost frame at one of the two looks. False: 3.11, 3.12: the _PyCFrame is another one than the one read. */
static bool find_head(const struct sw_stack_reader *reader, const struct sw_track *track, unsigned which,
                      uint64_t *head) {
    uint64_t word = sw_bytes_u64(reader->buffer, track->plan.words[which]);
    if (reader->runtime->layout.thread.cframe_current == SW_ABSENT || word == 0) {
        *head = word; /* 0: no Python code was run yet */
        return true;
    }
    if (word == track->cframe && track->plan.cframes[which] != SIZE_MAX) {
        *head = sw_bytes_u64(reader->buffer, track->plan.cframes[which]);
        return true;
    }
    return false;
}

/* 3.11, 3.12: a thread is without frames only when its _PyCFrame is the one in its own state; another one may be about to
 * be filled. */
static bool is_head_sure(const struct sw_stack_reader *reader, const struct sw_track *track, uint64_t head) {
    uint64_t word = sw_bytes_u64(reader->buffer, track->plan.words[0]);
    return head != 0 || word == 0 || reader->runtime->layout.thread.cframe_current == SW_ABSENT ||
           word - track->stack.thread.address < SW_STACK_HEAD_MAX;
}

static enum sw_status finish(struct sw_stack_reader *reader, struct sw_track *track, size_t agreed, bool is_exact) {
    struct sw_stack *stack = &track->stack;
    size_t settled = 0;
    enum sw_status status = sw_stack_settle(reader, track, agreed, &settled);
    if (status != SW_OK) {
        return status;
    }
    is_exact = is_exact && settled == agreed;
    if (!is_exact && track->tries < SW_STACK_TRIES) {
        return SW_OK; /* once more */
    }
    bool has_code = false;
    for (size_t i = 0; i < stack->frame_count && !has_code; i++) {
        has_code = stack->frames[i].code != NULL;
    }
    stack->mono_ns = reader->now_ns;
    if (is_exact) {
        stack->quality = has_code ? SW_STACK_EXACT : SW_STACK_EMPTY;
        track->is_dirty = false;
        sw_stack_age_outside(track, &reader->chain);
        struct sw_chain spare = track->last;
        track->last = reader->chain;
        reader->chain = spare;
        track->are_slots_last = true;
        sw_stack_image_take(reader, track);
    } else {
        stack->quality = has_code ? SW_STACK_PARTIAL : SW_STACK_FAILED;
    }
    track->is_done = true;
    track->has_result = true;
    return SW_OK;
}

/* The second copy tells the stack; where it was overwritten meanwhile, the first one. */
static enum sw_status walk_copies(struct sw_stack_reader *reader, struct sw_track *track, const uint64_t *head) {
    if (!head) {
        reader->chain.count = 0;
        reader->chain.is_complete = false;
        reader->chain.is_loose = false;
        return SW_OK;
    }
    enum sw_status status = sw_stack_walk(reader, track, 1, *head);
    if (status == SW_OK && !reader->chain.is_complete) {
        status = sw_stack_walk(reader, track, 0, *head);
    }
    return status;
}

/* A chain that was cut off looks whole when what it ends at has the form of an outermost frame. So another outermost
 * frame than before is believed when it is seen a second time. */
static bool is_root_known(const struct sw_stack_reader *reader, struct sw_track *track) {
    const struct sw_chain *chain = &reader->chain;
    uint64_t root = chain->count > 0 ? chain->frames[chain->count - 1].address : 0;
    bool is_known = track->has_root && root == track->root;
    if (!is_known && track->has_next_root && root == track->next_root) {
        track->root = root;
        track->has_root = is_known = true;
    }
    track->next_root = root;
    track->has_next_root = true;
    return is_known;
}

/* Reads the chain out of the copies; *must_learn: read again what was found to be there, which is no try. */
static enum sw_status find_chain(struct sw_stack_reader *reader, struct sw_track *track, bool *must_learn,
                                 bool *is_whole) {
    bool is_moved = false;
    uint64_t heads[2] = {0, 0};
    enum sw_status status = sw_stack_learn_chunks(reader, track, reader->buffer + track->plan.head, &is_moved);
    bool has_head = find_head(reader, track, 0, &heads[0]);
    bool is_same = has_head && find_head(reader, track, 1, &heads[1]) && heads[0] == heads[1];
    bool may_learn = track->learns < SW_STACK_LEARNS;
    *must_learn = (is_moved || !has_head) && may_learn;
    if (!has_head) {
        track->cframe = sw_bytes_u64(reader->buffer, track->plan.words[0]);
    }
    if (status != SW_OK || *must_learn) {
        return status;
    }
    status = walk_copies(reader, track, has_head ? heads : NULL);
    *must_learn = reader->chain.is_complete && !sw_stack_is_hot(reader, track) && may_learn;
    *must_learn |= reader->chain.is_complete && reader->chain.is_loose && may_learn;
    if (status == SW_OK && !*must_learn) {
        *is_whole = reader->chain.is_complete && is_same && is_head_sure(reader, track, heads[0]) &&
                    is_root_known(reader, track);
    }
    return status;
}

/* What was just read of a track: its stack, or a reason to read it again. */
static enum sw_status examine(struct sw_stack_reader *reader, struct sw_track *track) {
    uint64_t interp = sw_bytes_u64(reader->buffer, track->plan.head + reader->runtime->layout.thread.interp);
    if (interp != track->interpreter) {
        reader->is_list_stale = true; /* not a thread any more */
        track->is_done = true;
        return SW_OK;
    }
    sw_stack_take_checks(reader, track);
    bool must_learn = false;
    bool is_whole = false;
    bool is_exact = false;
    enum sw_status status = find_chain(reader, track, &must_learn, &is_whole);
    if (status != SW_OK || must_learn) {
        track->learns++;
        return status;
    }
    track->tries++;
    reader->counts.tries++;
    bool is_last = track->tries >= SW_STACK_TRIES;
    bool is_slow = reader->call_ns > SLOW_CALL_NS + (int64_t)reader->range_count * SLOW_RANGE_NS;
    if ((is_slow || !is_whole) && !is_last) {
        return SW_OK;
    }
    if (!is_whole) {
        status = sw_stack_recall(reader, track);
    }
    size_t agreed = status == SW_OK ? sw_stack_agreed(reader, track, &is_exact) : 0;
    return status == SW_OK ? finish(reader, track, agreed, is_exact && is_whole) : status;
}

/* The call stopped inside of this track's ranges: what lies there is gone. */
static void forget_unreadable(struct sw_stack_reader *reader, struct sw_track *track) {
    size_t at = 0;
    size_t index = 0;
    while (index < reader->range_count && at + reader->ranges[index].iov_len <= reader->read_bytes) {
        at += reader->ranges[index++].iov_len;
    }
    if (index == reader->range_count) {
        return;
    }
    uint64_t address = (uint64_t)(uintptr_t)reader->ranges[index].iov_base;
    if (at == track->plan.head || ++track->learns > SW_STACK_LEARNS) {
        reader->is_list_stale = true;
        track->is_done = true;
        return;
    }
    if (at == track->plan.cframes[0] || at == track->plan.cframes[1]) {
        track->cframe = 0;
        return;
    }
    sw_stack_forget_piece(track, address);
}

static enum sw_status take_call(struct sw_stack_reader *reader) {
    enum sw_status status = SW_OK;
    bool is_cut = false;
    sw_stack_take_looks(reader);
    for (size_t i = 0; i < reader->track_count && status == SW_OK && !is_cut; i++) {
        struct sw_track *track = reader->tracks[i];
        if (track->plan.end == SIZE_MAX) {
            continue;
        }
        if (track->plan.end <= reader->read_bytes) {
            size_t checks_end = track->plan.end + track->plan.check_count * reader->runtime->layout.code.size;
            if (checks_end > reader->read_bytes) {
                track->plan.check_count = 0;
                sw_code_forget_all(reader->codes); /* one of them cannot be read any more */
            }
            status = examine(reader, track);
        } else {
            is_cut = true;
            forget_unreadable(reader, track);
        }
    }
    return status;
}

static bool is_asked_for(const struct sw_track *track, const int32_t *tids, size_t tid_count) {
    bool is_found = tid_count == 0;
    for (size_t i = 0; i < tid_count && !is_found; i++) {
        is_found = tids[i] == track->stack.thread.tid;
    }
    return is_found;
}

static void start_round(struct sw_stack_reader *reader, const int32_t *tids, size_t tid_count) {
    sw_stack_mark_holders(reader);
    for (size_t i = 0; i < reader->track_count; i++) {
        struct sw_track *track = reader->tracks[i];
        track->is_wanted = is_asked_for(track, tids, tid_count);
        track->is_done = false;
        track->has_result = !track->is_dirty;
        track->tries = 0;
        track->learns = 0;
    }
}

static void fail_rest(struct sw_stack_reader *reader) {
    for (size_t i = 0; i < reader->track_count; i++) {
        struct sw_track *track = reader->tracks[i];
        if (!track->has_result || is_pending(track)) {
            track->stack.quality = SW_STACK_FAILED;
            track->stack.frame_count = 0;
            track->stack.mono_ns = reader->now_ns;
            track->slot_count = 0;
        }
    }
}

static bool has_pending(const struct sw_stack_reader *reader) {
    bool is_found = false;
    for (size_t i = 0; i < reader->track_count && !is_found; i++) {
        is_found = is_pending(reader->tracks[i]);
    }
    return is_found;
}

/* Reads every pending thread; the first call looks at the GIL too, whereby others may become pending. */
static enum sw_status run_round(struct sw_stack_reader *reader) {
    size_t planned = 0;
    enum sw_status status = plan_call(reader, &planned);
    if (status == SW_OK) {
        status = call(reader);
    }
    for (int i = 1; i < CALLS_MAX && status == SW_OK; i++) {
        status = take_call(reader);
        if (status != SW_OK || !has_pending(reader)) {
            break;
        }
        reader->now_ns = sw_clock_mono_ns();
        status = plan_call(reader, &planned);
        if (status == SW_OK && planned == 0) {
            break; /* what is left fits into no call */
        }
        status = status == SW_OK ? call(reader) : status;
    }
    fail_rest(reader);
    return status;
}

static enum sw_status hand_out(struct sw_stack_reader *reader, const struct sw_stack **stacks, size_t *count) {
    if (!sw_stack_grow((void **)&reader->stacks, &reader->stack_cap, reader->track_count + 1,
                       sizeof(*reader->stacks))) {
        return SW_NOMEM;
    }
    size_t given = 0;
    for (size_t i = 0; i < reader->track_count; i++) {
        struct sw_track *track = reader->tracks[i];
        if (!track->is_wanted) {
            continue;
        }
        struct sw_stack *stack = &track->stack;
        const struct sw_stack_look *look = &reader->looks[stack->thread.interpreter];
        stack->holds_gil = look->gil.is_known && look->gil.holder == stack->thread.address;
        stack->mono_ns = track->is_dirty ? stack->mono_ns : reader->now_ns;
        uint64_t *counts[] = {[SW_STACK_EXACT] = &reader->counts.exact,
                              [SW_STACK_PARTIAL] = &reader->counts.partial,
                              [SW_STACK_FAILED] = &reader->counts.failed,
                              [SW_STACK_EMPTY] = &reader->counts.empty};
        ++*counts[stack->quality];
        reader->stacks[given++] = *stack;
    }
    *stacks = reader->stacks;
    *count = given;
    return SW_OK;
}

static enum sw_status refresh(struct sw_stack_reader *reader) {
    enum sw_status status = sw_stack_refresh(reader);
    uint64_t word = 0;
    if (status == SW_AGAIN || status == SW_IO) { /* the same process may run another program now */
        status = sw_target_read_u64(reader->runtime->target, reader->runtime->address, &word);
        status = status == SW_OK ? SW_AGAIN : status == SW_IO ? SW_CLOSED : status;
    }
    return status == SW_NOTFOUND ? SW_CLOSED : status; /* it has no interpreter any more */
}

enum sw_status sw_stack_reader_new(struct sw_stack_reader **reader, const struct sw_runtime *runtime,
                                   const struct sw_stack_options *options) {
    if (!is_layout_usable(&runtime->layout)) {
        return SW_UNSUPPORTED;
    }
    struct sw_stack_reader *made = sw_alloc_zero(sizeof(*made));
    if (!made) {
        return SW_NOMEM;
    }
    made->runtime = runtime;
    made->options = options ? *options : (struct sw_stack_options){0};
    made->head_bytes = head_bytes(&runtime->layout);
    made->is_list_stale = true;
    made->ranges = sw_alloc_array(SW_TARGET_RANGES_MAX, sizeof(*made->ranges));
    enum sw_status status = made->ranges ? sw_code_cache_new(&made->codes, runtime) : SW_NOMEM;
    if (status != SW_OK) {
        sw_stack_reader_free(made);
        return status;
    }
    *reader = made;
    return SW_OK;
}

void sw_stack_reader_free(struct sw_stack_reader *reader) {
    if (!reader) {
        return;
    }
    for (size_t i = 0; i < reader->track_count; i++) {
        sw_track_free(reader->tracks[i]);
    }
    sw_thread_list_release(&reader->list);
    sw_code_cache_free(reader->codes);
    sw_free(reader->tracks);
    sw_free(reader->by_address);
    sw_free(reader->stacks);
    sw_free(reader->looks);
    sw_free(reader->ranges);
    sw_free(reader->buffer);
    sw_free(reader->chain.frames);
    sw_free(reader);
}

enum sw_status sw_stack_read(struct sw_stack_reader *reader, const int32_t *tids, size_t tid_count,
                             const struct sw_stack **stacks, size_t *count) {
    reader->now_ns = sw_clock_mono_ns();
    reader->is_list_stale |= reader->now_ns >= reader->list_next_ns;
    for (int i = 0; i < REFRESHES_MAX; i++) {
        if (reader->is_list_stale) {
            enum sw_status status = refresh(reader);
            if (status != SW_OK && (status != SW_AGAIN || reader->track_count == 0)) {
                return status;
            }
            reader->now_ns = sw_clock_mono_ns();
        }
        start_round(reader, tids, tid_count);
        enum sw_status status = run_round(reader);
        if (status != SW_OK) {
            return status;
        }
        if (!reader->is_list_stale) {
            break;
        }
    }
    return hand_out(reader, stacks, count);
}

struct sw_gil_look sw_stack_gil(const struct sw_stack_reader *reader, size_t index) {
    return index < reader->look_count ? reader->looks[index].gil : (struct sw_gil_look){0};
}

const struct sw_thread_list *sw_stack_threads(const struct sw_stack_reader *reader) {
    return &reader->list;
}

struct sw_code_cache *sw_stack_code_cache(struct sw_stack_reader *reader) {
    return reader->codes;
}

struct sw_stack_counts sw_stack_counts(const struct sw_stack_reader *reader) {
    return reader->counts;
}
