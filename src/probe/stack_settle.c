/* stack_settle.c - From accepted frames to code, offset and line. What the stack before had at the same depth is kept. */
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "probe/stack_impl.h"

#define CHECK_NS (900 * SW_NS_PER_US) /* a code object is looked at again after this time, in use as it is */
#define TLBC_MAX 4096                 /* copies of a code object's bytecode, one for each thread */

#define STALE_MAX 32 /* code objects looked at again for one stack */

/* A place in the track's slots, filled from the outermost frame (at the end) inwards. */
struct filler {
    struct sw_stack_reader *reader;
    struct sw_track *track;
    size_t count; /* slots filled */
    uint64_t hash;
    uint64_t stale[STALE_MAX]; /* code objects known from before that were not looked at lately */
    size_t stale_count;
};

static enum sw_status grow_slots(struct sw_track *track, size_t needed) {
    if (needed <= track->slot_cap) {
        return SW_OK;
    }
    size_t cap = needed * 2;
    struct sw_frame *frames = sw_alloc_array_zero(cap, sizeof(*frames));
    struct sw_stack_key *keys = sw_alloc_array_zero(cap, sizeof(*keys));
    if (!frames || !keys) {
        sw_free(frames);
        sw_free(keys);
        return SW_NOMEM;
    }
    sw_free(track->frames);
    sw_free(track->keys);
    track->frames = frames;
    track->keys = keys;
    track->slot_cap = cap;
    track->slot_count = 0;
    return SW_OK;
}

/* Free-threaded: each thread executes its own copy of the bytecode. SW_IO: the address is in none that can be. */
static enum sw_status tlbc_offset(struct sw_stack_reader *reader, const struct sw_raw_frame *raw, int64_t *offset) {
    const struct sw_layout *layout = &reader->runtime->layout;
    uint64_t array = 0;
    uint64_t start = 0;
    if (raw->tlbc == 0 || raw->tlbc >= TLBC_MAX || layout->code.tlbc == SW_ABSENT) {
        return SW_IO;
    }
    enum sw_status status = sw_stack_fetch(reader, raw->code + layout->code.tlbc, &array, sizeof(array));
    if (status == SW_OK) { /* {size, entries[size]} */
        status = sw_stack_fetch(reader, array + 8 + (uint64_t)raw->tlbc * 8, &start, sizeof(start));
    }
    if (status == SW_OK) {
        *offset = (int64_t)(raw->ip - start);
    }
    return status;
}

/* SW_IO: not an instruction of this code. */
static enum sw_status find_offset(struct sw_stack_reader *reader, const struct sw_raw_frame *raw,
                                  const struct sw_code *code, int32_t *offset) {
    const struct sw_layout *layout = &reader->runtime->layout;
    bool is_address = layout->frame.ip_kind == SW_IP_PREV_INSTR || layout->frame.ip_kind == SW_IP_INSTR;
    int64_t found = is_address ? (int64_t)(raw->ip - raw->code - layout->code.code) : (int64_t)raw->ip;
    if (raw->tlbc != 0 && (found < -2 || found > code->size_bytes)) {
        enum sw_status status = tlbc_offset(reader, raw, &found);
        if (status != SW_OK) {
            return status;
        }
    }
    if (found < -2 || found > code->size_bytes || found > SW_CODE_OFFSET_MAX) {
        return SW_IO;
    }
    *offset = (int32_t)found;
    return SW_OK;
}

/* A code object that comes to a place where another was, and that of the leaf, may have been freed, and the address used
 * again, since it was last looked at. Releases that count such changes need no look. */
static void stale_note(struct filler *filler, const struct sw_code *code) {
    struct sw_stack_reader *reader = filler->reader;
    int64_t *checked_ns = sw_code_checked_ns(code);
    if (reader->runtime->layout.interpreter.code_object_generation != SW_ABSENT ||
        reader->now_ns - *checked_ns < CHECK_NS) {
        return;
    }
    if (*checked_ns != 0 && filler->stale_count < STALE_MAX) {
        filler->stale[filler->stale_count++] = code->address;
    }
    *checked_ns = reader->now_ns;
}

/* Looks at them in one system call; true when one is another now, and what was filled is wrong. */
static bool has_changed_code(struct filler *filler) {
    unsigned char headers[STALE_MAX][SW_CODE_HEADER_MAX];
    struct iovec local[STALE_MAX], remote[STALE_MAX];
    struct sw_stack_reader *reader = filler->reader;
    size_t size = reader->runtime->layout.code.size;
    for (size_t i = 0; i < filler->stale_count; i++) {
        local[i] = (struct iovec){headers[i], size};
        remote[i] = (struct iovec){(void *)(uintptr_t)filler->stale[i], size};
    }
    ssize_t got = filler->stale_count == 0 ? 0
                                           : sw_target_readv(reader->runtime->target, local, filler->stale_count,
                                                             remote, filler->stale_count);
    bool has_changed = false;
    for (size_t i = 0; got > 0 && i < (size_t)got / size; i++) {
        has_changed |= !sw_code_check(reader->codes, filler->stale[i], headers[i]);
    }
    filler->stale_count = 0;
    return has_changed;
}

static enum sw_status fill_slot(struct filler *filler, const struct sw_raw_frame *raw, bool is_leaf) {
    struct sw_track *track = filler->track;
    size_t at = track->slot_cap - 1 - filler->count;
    struct sw_frame *frame = &track->frames[at];
    struct sw_stack_key *key = &track->keys[at];
    const struct sw_layout *layout = &filler->reader->runtime->layout;
    bool is_known = filler->count < track->slot_count && frame->code && key->code == raw->code && key->ip == raw->ip &&
                    key->tlbc == raw->tlbc;
    if (!is_known || is_leaf) {
        const struct sw_code *code = NULL;
        int32_t offset = 0;
        enum sw_status status = sw_code_get(filler->reader->codes, raw->code, &code);
        if (status == SW_OK) {
            stale_note(filler, code);
            status = find_offset(filler->reader, raw, code, &offset);
        }
        if (status != SW_OK) {
            return status;
        }
        *frame = (struct sw_frame){.code = code, .offset = offset, .line = sw_code_line(code, offset)};
        *key = (struct sw_stack_key){raw->code, raw->ip, raw->tlbc};
    }
    frame->address = raw->address;
    frame->locals = raw->address + layout->frame.localsplus;
    filler->hash = sw_hash_u64(filler->hash ^ ((uint64_t)frame->code->id << 32 | (uint32_t)frame->line));
    filler->count++;
    return SW_OK;
}

static void fill_mark(struct filler *filler, const struct sw_raw_frame *raw) {
    struct sw_track *track = filler->track;
    if (filler->reader->options.has_marks) {
        size_t at = track->slot_cap - 1 - filler->count;
        track->frames[at] = (struct sw_frame){.address = raw->address};
        track->keys[at] = (struct sw_stack_key){0};
        filler->hash = sw_hash_u64(filler->hash + 1);
        filler->count++;
    }
}

/* How many of the outermost frames the slots hold already, as they were taken from the chain before. */
static size_t find_filled(struct filler *filler, size_t count) {
    const struct sw_track *track = filler->track;
    const struct sw_chain *chain = &filler->reader->chain;
    size_t kept = track->kept < count ? track->kept : count;
    if (kept == 0 || !track->are_slots_last || chain->count > SW_STACK_DEPTH_MAX ||
        track->last.count > SW_STACK_DEPTH_MAX || chain->frames[chain->count - kept].slots > track->slot_count) {
        return 0;
    }
    filler->count = chain->frames[chain->count - kept].slots;
    filler->hash = chain->frames[chain->count - kept].hash;
    return kept;
}

/* *done: frames of the chain filled in, from the outermost on. */
static enum sw_status fill_all(struct filler *filler, size_t count, size_t *done) {
    const struct sw_chain *chain = &filler->reader->chain;
    size_t omitted = count > SW_STACK_DEPTH_MAX ? count - SW_STACK_DEPTH_MAX : 0;
    enum sw_status status = SW_OK;
    for (*done = find_filled(filler, count); *done < count && status == SW_OK; (*done)++) {
        struct sw_raw_frame *raw = &chain->frames[chain->count - 1 - *done];
        if (*done >= SW_STACK_DEPTH_MAX / 2 && *done < SW_STACK_DEPTH_MAX / 2 + omitted) {
            continue;
        }
        if (raw->is_shim || raw->is_entry) {
            fill_mark(filler, raw);
        }
        if (!raw->is_shim) {
            status = fill_slot(filler, raw, *done + 1 == chain->count);
        }
        raw->slots = (uint32_t)filler->count;
        raw->hash = filler->hash;
    }
    *done -= status != SW_OK;
    return status;
}

enum sw_status sw_stack_settle(struct sw_stack_reader *reader, struct sw_track *track, size_t count, size_t *settled) {
    enum sw_status status = grow_slots(track, 2 * (count < SW_STACK_DEPTH_MAX ? count : SW_STACK_DEPTH_MAX));
    if (status != SW_OK) {
        return status;
    }
    if (track->drops != sw_code_drops(reader->codes)) {
        track->slot_count = 0;
        track->drops = sw_code_drops(reader->codes);
    }
    size_t done = 0;
    struct filler filler = {.reader = reader, .track = track};
    status = fill_all(&filler, count, &done);
    track->are_slots_last = false;
    if ((status == SW_OK || status == SW_IO) && has_changed_code(&filler)) {
        filler = (struct filler){.reader = reader, .track = track};
        track->slot_count = 0;
        track->drops = sw_code_drops(reader->codes);
        status = fill_all(&filler, count, &done);
    }
    if (status != SW_OK && status != SW_IO) {
        return status;
    }
    track->slot_count = filler.count;
    track->stack.frames = filler.count > 0 ? track->frames + track->slot_cap - filler.count : NULL;
    track->stack.frame_count = filler.count;
    track->stack.omitted = done == count && count > SW_STACK_DEPTH_MAX ? count - SW_STACK_DEPTH_MAX : 0;
    track->stack.fingerprint = filler.hash;
    *settled = done;
    return SW_OK;
}

void sw_stack_plan_checks(struct sw_stack_reader *reader, struct sw_track *track) {
    struct sw_stack_plan *plan = &track->plan;
    plan->check_count = 0;
    if (reader->runtime->layout.interpreter.code_object_generation != SW_ABSENT || track->slot_count == 0) {
        return;
    }
    track->check_next = track->check_next + 1 < track->slot_count ? track->check_next + 1 : 0;
    const size_t slots[SW_STACK_CHECKS] = {0, track->check_next};
    for (size_t i = 0; i < SW_STACK_CHECKS; i++) {
        const struct sw_code *code = track->stack.frames[slots[i]].code;
        if (!code || reader->now_ns - *sw_code_checked_ns(code) < CHECK_NS) {
            continue;
        }
        size_t at = sw_stack_plan_range(reader, code->address, reader->runtime->layout.code.size);
        if (at == SIZE_MAX) {
            return;
        }
        plan->checks[plan->check_count] = at;
        plan->check_addresses[plan->check_count++] = code->address;
        *sw_code_checked_ns(code) = reader->now_ns;
    }
}

void sw_stack_take_checks(struct sw_stack_reader *reader, struct sw_track *track) {
    for (size_t i = 0; i < track->plan.check_count; i++) {
        (void)sw_code_check(reader->codes, track->plan.check_addresses[i], reader->buffer + track->plan.checks[i]);
    }
    track->plan.check_count = 0;
}
