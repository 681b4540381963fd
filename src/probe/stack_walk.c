/* stack_walk.c - Chains of frames in the local copies of a thread's memory, and which of them the copies agree on.
 *
 * A frame that changed and changed back between its two reads escapes. So non-leaf frames are compared with their locals
 * (a loop's variable gives it away), and what changes often is read within a fraction of a microsecond.
 */
#include "probe/stack_impl.h"

#define LEGACY_STATE 12
#define STILL_BYTES_MAX 16384
#define TAG_BITS (uint64_t)7
#define SURE_DEPTH 2            /* innermost frames that must have been read close to the word */
#define TAGGED_FROM 0x030e0000u /* 3.14: f_executable is a tagged reference, the stack pointer a pointer */

struct walk {
    struct sw_stack_reader *reader;
    struct sw_track *track;
    unsigned copy;
    size_t hint; /* the piece of the frame before */
    unsigned char loose[SW_STACK_FRAME_MAX];
};

static const unsigned char *find_frame(struct walk *walk, struct sw_raw_frame *frame) {
    const struct sw_track *track = walk->track;
    size_t frame_bytes = walk->reader->runtime->layout.frame.size;
    for (size_t i = 0, at = walk->hint; i < track->piece_count; i++) {
        struct sw_stack_piece *piece = &track->pieces[at];
        uint64_t offset = frame->address - piece->address;
        if (piece->size_bytes >= frame_bytes && offset <= piece->size_bytes - frame_bytes) {
            uint32_t depth = (uint32_t)walk->reader->chain.count;
            piece->depth = depth < piece->depth ? depth : piece->depth;
            walk->hint = at;
            frame->piece = (uint32_t)at;
            frame->offset = (uint32_t)offset;
            return walk->reader->buffer + piece->at[walk->copy] + offset;
        }
        at = at > 0 ? at - 1 : track->piece_count - 1; /* inner frames lie in later pieces */
    }
    return NULL;
}

/* Up to 3.10: f_executing, or f_state, 12 bytes behind f_lasti. A generator's frame at rest has no outer frame, and
 * would pass for the outermost one. */
static bool is_executing(const struct sw_layout *layout, const unsigned char *bytes) {
    unsigned state = bytes[layout->frame.ip + LEGACY_STATE];
    return layout->frame.ip_kind == SW_IP_LASTI_BYTES ? state == 1 : state == 0;
}

/* Whether a chain that ended where it did ended at the outermost frame: from 3.12 on an entry from C, in 3.11 not a
 * generator at rest. */
static bool is_outermost(const struct sw_layout *layout, const struct sw_chain *chain, bool is_at_base) {
    if (chain->count == 0 || is_at_base || layout->frame.owner == SW_ABSENT) {
        return true;
    }
    const struct sw_raw_frame *last = &chain->frames[chain->count - 1];
    bool has_shims = layout->frame.owners.cstack != SW_ABSENT || layout->frame.owners.interpreter != SW_ABSENT;
    return has_shims ? last->is_shim : !last->is_generator;
}

/* False: what was read is no frame: its memory is used for something else by now. */
static bool decode_frame(const struct sw_layout *layout, const unsigned char *bytes, struct sw_raw_frame *frame) {
    bool is_known = true;
    frame->size_bytes = layout->frame.size;
    frame->code = sw_bytes_u64(bytes, layout->frame.code);
    if (layout->version >= TAGGED_FROM) {
        frame->code &= ~TAG_BITS;
    }
    if (layout->frame.ip_kind == SW_IP_LASTI_BYTES || layout->frame.ip_kind == SW_IP_LASTI_UNITS) {
        int32_t lasti = sw_bytes_i32(bytes, layout->frame.ip);
        bool is_traced = lasti < 0 && sw_bytes_u64(bytes, layout->frame.previous) != 0; /* called, and not begun */
        is_known = is_executing(layout, bytes) || is_traced;
        uint64_t slots = sw_bytes_u64(bytes, layout->object.var_size);
        frame->size_bytes += 8 * (uint32_t)(slots < SW_STACK_SLOTS_MAX ? slots : SW_STACK_SLOTS_MAX);
        frame->ip = (uint64_t)(int64_t)(layout->frame.ip_kind == SW_IP_LASTI_UNITS ? (int64_t)lasti * 2 : lasti);
    } else {
        frame->ip = sw_bytes_u64(bytes, layout->frame.ip);
    }
    if (layout->frame.owner != SW_ABSENT) {
        const struct sw_owners *owners = &layout->frame.owners;
        uint32_t owner = bytes[layout->frame.owner];
        is_known = owner == owners->thread || owner == owners->generator || owner == owners->frame_object ||
                   owner == owners->cstack || owner == owners->interpreter;
        frame->is_generator = owner == owners->generator;
        frame->size_bytes += frame->is_generator ? SW_STACK_LOCALS_BYTES : 0;
        frame->is_shim = owner == layout->frame.owners.cstack || owner == layout->frame.owners.interpreter;
    }
    frame->is_entry =
        layout->frame.owner == SW_ABSENT || (layout->frame.is_entry != SW_ABSENT && bytes[layout->frame.is_entry] != 0);
    if (layout->frame.stacktop != SW_ABSENT) { /* -1, or NULL */
        frame->is_running = layout->version >= TAGGED_FROM ? sw_bytes_u64(bytes, layout->frame.stacktop) == 0
                                                           : sw_bytes_i32(bytes, layout->frame.stacktop) == -1;
    }
    if (layout->frame.tlbc_index != SW_ABSENT) {
        frame->tlbc = sw_bytes_u32(bytes, layout->frame.tlbc_index);
    }
    return is_known && (frame->is_shim || (frame->code != 0 && frame->code % 8 == 0));
}

/* What was read on its own and belongs to a whole chain is read in the batch from now on. */
static enum sw_status keep_loose(struct sw_track *track, const struct sw_chain *chain) {
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < chain->count && status == SW_OK; i++) {
        bool is_in_chunk = false; /* whose size follows the thread's top */
        for (size_t k = 0; k < track->chunk_count && !is_in_chunk; k++) {
            is_in_chunk = chain->frames[i].address - track->chunks[k].address < track->chunks[k].limit_bytes;
        }
        if (chain->frames[i].is_loose && !is_in_chunk) {
            status = sw_stack_add_outside(track, &chain->frames[i]);
        }
    }
    return status;
}

/* Reads one frame of the chain; SW_IO: what is there is none. */
static enum sw_status step(struct walk *walk, struct sw_raw_frame *frame, uint64_t *previous) {
    const struct sw_layout *layout = &walk->reader->runtime->layout;
    const unsigned char *bytes = find_frame(walk, frame);
    if (!bytes) {
        enum sw_status status = sw_stack_fetch(walk->reader, frame->address, walk->loose, layout->frame.size);
        if (status != SW_OK) {
            return status;
        }
        bytes = walk->loose;
        frame->is_loose = walk->reader->chain.is_loose = true;
    }
    if (!decode_frame(layout, bytes, frame)) {
        return SW_IO;
    }
    *previous = sw_bytes_u64(bytes, layout->frame.previous);
    return SW_OK;
}

static enum sw_status walk_chain(struct walk *walk, uint64_t head, uint64_t base) {
    struct sw_chain *chain = &walk->reader->chain;
    uint64_t address = head;
    uint64_t mark = UINT64_MAX; /* a frame met before, at the last power of two: finds circles (Brent) */
    while (address != 0 && address != base) {
        if (chain->count == SW_STACK_WALK_MAX || address % 8 != 0 || address == mark) {
            return SW_IO;
        }
        if (chain->count > 0 && walk->track->still > 0) {
            enum sw_status status = sw_stack_image_end(walk->reader, walk->track, address, &chain->is_complete);
            if (status != SW_OK || chain->is_complete) {
                return status;
            }
        }
        if (!sw_stack_grow((void **)&chain->frames, &chain->cap, chain->count + 1, sizeof(*chain->frames))) {
            return SW_NOMEM;
        }
        struct sw_raw_frame *frame = &chain->frames[chain->count];
        *frame = (struct sw_raw_frame){.address = address};
        enum sw_status status = step(walk, frame, &address);
        if (status != SW_OK) {
            return status;
        }
        sw_stack_check_call(walk->reader, chain->count++);
        mark = (chain->count & (chain->count - 1)) == 0 ? frame->address : mark;
    }
    chain->is_complete = is_outermost(&walk->reader->runtime->layout, chain, address != 0 && address == base);
    return SW_OK;
}

enum sw_status sw_stack_walk(struct sw_stack_reader *reader, struct sw_track *track, unsigned copy, uint64_t head) {
    const struct sw_layout *layout = &reader->runtime->layout;
    struct walk walk = {reader, track, copy, track->piece_count > 0 ? track->piece_count - 1 : 0, {0}};
    uint64_t base = 0;
    if (layout->thread.base_frame != SW_ABSENT) {
        base = sw_bytes_u64(reader->buffer + track->plan.head, layout->thread.base_frame);
    }
    reader->chain.count = 0;
    reader->chain.torn = SIZE_MAX;
    reader->chain.is_loose = false;
    reader->chain.is_complete = false;
    track->kept = 0;
    for (size_t i = 0; i < track->piece_count; i++) {
        track->pieces[i].depth = UINT32_MAX;
    }
    sw_stack_image_compare(reader, track);
    enum sw_status status = walk_chain(&walk, head, base);
    if (track->chunk_count > 0 && track->piece_count > 0) {
        track->pieces[track->piece_count - 1].depth = 0; /* new frames appear there */
    }
    if (status == SW_OK && reader->chain.is_complete && reader->chain.is_loose) {
        status = keep_loose(track, &reader->chain);
    }
    return status == SW_IO ? SW_OK : status;
}

enum sw_status sw_stack_recall(struct sw_stack_reader *reader, struct sw_track *track) {
    const struct sw_layout *layout = &reader->runtime->layout;
    struct walk walk = {reader, track, 1, 0, {0}};
    struct sw_chain *chain = &reader->chain;
    size_t count = track->last.count;
    if (!sw_stack_grow((void **)&chain->frames, &chain->cap, count, sizeof(*chain->frames))) {
        return SW_NOMEM;
    }
    chain->torn = SIZE_MAX;
    chain->is_loose = false;
    chain->is_complete = count > 0;
    track->kept = 0;
    size_t kept = 0;
    for (uint64_t outer = 0; kept < count; kept++) {
        const struct sw_raw_frame *was = &track->last.frames[count - 1 - kept];
        struct sw_raw_frame *frame = &chain->frames[count - 1 - kept];
        *frame = (struct sw_raw_frame){.address = was->address};
        const unsigned char *bytes = find_frame(&walk, frame);
        if (!bytes || !decode_frame(layout, bytes, frame) || frame->code != was->code || frame->ip != was->ip ||
            (kept > 0 && sw_bytes_u64(bytes, layout->frame.previous) != outer)) {
            break;
        }
        outer = was->address;
    }
    if (kept > 0) {
        memmove(chain->frames, chain->frames + count - kept, kept * sizeof(*chain->frames));
    }
    chain->count = kept;
    return SW_OK;
}

/* Bytes of frame `i` that stand still while another runs inside of it: to the next frame in its piece, which may be
 * further in than the one it called. */
static size_t still_bytes(const struct sw_stack_reader *reader, const struct sw_track *track, size_t i) {
    const struct sw_raw_frame *frame = &reader->chain.frames[i];
    const struct sw_raw_frame *inner = &reader->chain.frames[i - 1];
    size_t frame_bytes = reader->runtime->layout.frame.size;
    size_t room = track->pieces[frame->piece].size_bytes - frame->offset;
    bool is_outside = frame->piece < track->outside_pieces;
    if (is_outside) {
        return frame->size_bytes < room ? frame->size_bytes : room;
    }
    bool are_neighbours = !inner->is_loose && inner->piece == frame->piece && inner->offset > frame->offset;
    size_t distance = are_neighbours ? inner->offset - frame->offset : frame_bytes;
    return distance > frame_bytes && distance < STILL_BYTES_MAX ? distance : frame_bytes;
}

static bool are_equal(const struct sw_stack_reader *reader, const struct sw_stack_piece *piece, size_t offset,
                      size_t size_bytes) {
    const unsigned char *first = reader->buffer + piece->at[0] + offset;
    bool is_equal = true;
    for (unsigned copy = 1; copy < piece->copies && is_equal; copy++) {
        is_equal = memcmp(first, reader->buffer + piece->at[copy] + offset, size_bytes) == 0;
    }
    return is_equal;
}

/* The innermost of the frames that follow `first` in its piece, each further on than the one that called it. */
static size_t last_neighbour(const struct sw_stack_reader *reader, size_t first) {
    const struct sw_raw_frame *frames = reader->chain.frames;
    size_t frame_bytes = reader->runtime->layout.frame.size;
    size_t last = first;
    while (last > 0 && frames[last - 1].piece == frames[first].piece && !frames[last - 1].is_loose &&
           frames[last - 1].offset >= frames[last].offset + frame_bytes) {
        last--;
    }
    return last;
}

bool sw_stack_is_hot(const struct sw_stack_reader *reader, const struct sw_track *track) {
    const struct sw_chain *chain = &reader->chain;
    bool is_hot = true;
    for (size_t i = 0; i < chain->count && i < SURE_DEPTH && is_hot; i++) {
        is_hot = !chain->frames[i].is_loose && track->pieces[chain->frames[i].piece].copies == SW_STACK_COPIES;
    }
    return is_hot;
}

size_t sw_stack_agreed(const struct sw_stack_reader *reader, const struct sw_track *track, bool *is_exact) {
    const struct sw_chain *chain = &reader->chain;
    const struct sw_layout *layout = &reader->runtime->layout;
    size_t agreed = 0;
    *is_exact = false;
    size_t untried = chain->count;
    for (size_t i = chain->count; chain->is_complete && i-- > 0 && !chain->frames[i].is_loose; agreed++) {
        const struct sw_raw_frame *frame = &chain->frames[i];
        const struct sw_stack_piece *piece = &track->pieces[frame->piece];
        if (i < untried && chain->torn == SIZE_MAX) { /* all of a run of frames at once, which mostly are the same */
            untried = last_neighbour(reader, i);
            if (are_equal(reader, piece, frame->offset, chain->frames[untried].offset - frame->offset)) {
                agreed += i - untried;
                i = untried;
                frame = &chain->frames[i];
            }
        }
        if (i > 0 && i != chain->torn && are_equal(reader, piece, frame->offset, still_bytes(reader, track, i))) {
            continue;
        }
        bool is_same = are_equal(reader, piece, frame->offset + layout->frame.code, 8) &&
                       are_equal(reader, piece, frame->offset + layout->frame.previous, 8);
        *is_exact = i == 0 && is_same && sw_stack_is_hot(reader, track);
        return agreed + is_same;
    }
    *is_exact = chain->count == 0 && chain->is_complete;
    return agreed;
}
