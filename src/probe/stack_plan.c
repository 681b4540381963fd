/* stack_plan.c - Which ranges of a target hold the frames of a thread: its data stack and frames known to lie elsewhere. */
#include <stdlib.h>

#include "base/mem.h"
#include "probe/stack_impl.h"

#define PAGE_BYTES (uint64_t)4096
#define CHUNK_HEADER_BYTES 24 /* previous, size, top (in words) */
#define CHUNK_BYTES_MAX (uint64_t)(4 * 1024 * 1024)
#define PIECE_BYTES_MAX (uint64_t)(64 * 1024)
#define HOT_BYTES (uint64_t)1024
#define TOP_ROUND (uint64_t)256 /* as much more is read as frames may be pushed meanwhile */
#define LOW_ROUNDS_MAX 256      /* then fewer pages are read again */
#define IDLE_MAX 16
#define BUFFER_MAX (size_t)(64 * 1024 * 1024)

static uint64_t room_for(uint64_t top, uint64_t address) {
    return (top - address + TOP_ROUND - 1) / TOP_ROUND * TOP_ROUND + TOP_ROUND;
}

static uint64_t page_up(uint64_t address) {
    return (address + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

bool sw_stack_grow(void **items, size_t *cap, size_t needed, size_t item_bytes) {
    if (needed <= *cap) {
        return true;
    }
    size_t wanted = *cap ? *cap * 2 : 8;
    wanted = wanted > needed ? wanted : needed;
    void *grown = sw_realloc_array(*items, wanted, item_bytes);
    if (grown) {
        *items = grown;
        *cap = wanted;
    }
    return grown != NULL;
}

enum sw_status sw_stack_fetch(struct sw_stack_reader *reader, uint64_t address, void *into, size_t size_bytes) {
    reader->counts.system_calls++;
    return sw_target_read(reader->runtime->target, address, into, size_bytes);
}

size_t sw_stack_plan_range(struct sw_stack_reader *reader, uint64_t address, size_t size_bytes) {
    size_t at = reader->planned_bytes;
    if (reader->range_count == SW_TARGET_RANGES_MAX || size_bytes > BUFFER_MAX - at) {
        reader->is_full = true;
        return SIZE_MAX;
    }
    reader->ranges[reader->range_count++] = (struct iovec){(void *)(uintptr_t)address, size_bytes};
    reader->planned_bytes = at + size_bytes;
    return at;
}

static enum sw_status add_piece(struct sw_track *track, uint64_t address, uint64_t size_bytes, uint32_t depth) {
    if (track->piece_count == SW_STACK_PIECES_MAX) {
        return SW_OK; /* frames in it are read on their own, and the stack stays partial */
    }
    if (!sw_stack_grow((void **)&track->pieces, &track->piece_cap, track->piece_count + 1, sizeof(*track->pieces)) ||
        !sw_stack_grow((void **)&track->order, &track->order_cap, track->piece_count + 1, sizeof(*track->order))) {
        return SW_NOMEM;
    }
    track->order[track->piece_count] = (uint16_t)track->piece_count;
    track->pieces[track->piece_count++] =
        (struct sw_stack_piece){.address = address, .size_bytes = (uint32_t)size_bytes, .depth = depth};
    return SW_OK;
}

/* Frames on the same or the next page are one piece: every page in it holds a part of a frame. */
static enum sw_status add_outside_pieces(struct sw_track *track, size_t frame_bytes) {
    const struct sw_stack_outside *outside = track->outside;
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < track->outside_count && status == SW_OK;) {
        uint64_t start = outside[i].address;
        uint64_t end = start + (track->is_tight ? frame_bytes : outside[i].size_bytes);
        for (i++; i < track->outside_count; i++) {
            uint64_t next_end = outside[i].address + (track->is_tight ? frame_bytes : outside[i].size_bytes);
            if (outside[i].address >= page_up(end) + PAGE_BYTES || next_end - start > PIECE_BYTES_MAX) {
                break;
            }
            end = next_end > end ? next_end : end;
        }
        status = add_piece(track, start, end - start, UINT32_MAX);
    }
    return status;
}

/* The end of the newest chunk is a piece of its own, so that the inner frames' reads are close together. */
static enum sw_status add_newest(struct sw_track *track, size_t frame_bytes) {
    const struct sw_stack_chunk *chunk = &track->chunks[0];
    uint64_t end = chunk->address + chunk->size_bytes;
    uint64_t hot = chunk->size_bytes > HOT_BYTES + frame_bytes ? end - HOT_BYTES : chunk->address;
    enum sw_status status = SW_OK;
    if (hot > chunk->address) { /* a frame across the border lies in the first of the two */
        status = add_piece(track, chunk->address, hot + frame_bytes - chunk->address, UINT32_MAX - 1);
    }
    return status == SW_OK ? add_piece(track, hot, end - hot, 0) : status;
}

static enum sw_status make_pieces(const struct sw_stack_reader *reader, struct sw_track *track) {
    size_t frame_bytes = reader->runtime->layout.frame.size;
    track->piece_count = 0;
    track->has_image = false; /* the last chain tells of pieces that were */
    enum sw_status status = add_outside_pieces(track, frame_bytes);
    track->outside_pieces = track->piece_count;
    for (size_t i = track->chunk_count; i-- > 1 && status == SW_OK;) {
        status = add_piece(track, track->chunks[i].address, track->chunks[i].size_bytes, UINT32_MAX - 1);
    }
    if (status == SW_OK && track->chunk_count > 0) {
        status = add_newest(track, frame_bytes);
    }
    track->has_pieces = status == SW_OK;
    return status;
}

/* Outer pieces first. Nearly sorted from the round before: an insertion sort is one pass. */
static void sort_pieces(struct sw_track *track) {
    for (size_t i = 1; i < track->piece_count; i++) {
        uint16_t moved = track->order[i];
        size_t at = i;
        for (; at > 0 && track->pieces[track->order[at - 1]].depth < track->pieces[moved].depth; at--) {
            track->order[at] = track->order[at - 1];
        }
        track->order[at] = moved;
    }
}

/* Whether the piece lies behind the one further out without a gap, or over its end. */
static bool is_joined(const struct sw_track *track, size_t index) {
    const struct sw_stack_piece *outer = &track->pieces[track->order[index - 1]];
    const struct sw_stack_piece *piece = &track->pieces[track->order[index]];
    uint64_t outer_end = outer->address + outer->size_bytes;
    return piece->address >= outer->address && piece->address <= outer_end &&
           piece->address + piece->size_bytes >= outer_end;
}

/* Adds a copy of the pieces [first, end) of the order, which are joined, in one range. */
static void plan_pieces(struct sw_stack_reader *reader, struct sw_track *track, size_t first, size_t end) {
    const struct sw_stack_piece *outer = &track->pieces[track->order[first]];
    const struct sw_stack_piece *inner = &track->pieces[track->order[end - 1]];
    size_t at = sw_stack_plan_range(reader, outer->address, inner->address + inner->size_bytes - outer->address);
    for (size_t i = first; i < end; i++) {
        struct sw_stack_piece *piece = &track->pieces[track->order[i]];
        piece->at[piece->copies++] = at + (size_t)(piece->address - outer->address);
    }
}

/* Where in the order the innermost pieces begin. */
static size_t find_hot(const struct sw_track *track) {
    size_t at = track->piece_count;
    while (at > 0 && track->piece_count - at < SW_STACK_HOT_PIECES &&
           track->pieces[track->order[at - 1]].depth < SW_STACK_HOT_DEPTH) {
        at--;
    }
    return at;
}

/* The word that leads to the innermost frame, first in the head of the PyThreadState, and (3.11, 3.12) the frame pointer
 * in the _PyCFrame it led to. */
static void plan_look(struct sw_stack_reader *reader, struct sw_track *track, unsigned which) {
    const struct sw_layout *layout = &reader->runtime->layout;
    uint64_t state = track->stack.thread.address;
    if (which == 0) {
        track->plan.head = sw_stack_plan_range(reader, state, reader->head_bytes);
        track->plan.words[0] = track->plan.head + layout->thread.frame;
    } else {
        track->plan.words[which] = sw_stack_plan_range(reader, state + layout->thread.frame, 8);
    }
    track->plan.cframes[which] = SIZE_MAX;
    if (track->cframe != 0) {
        track->plan.cframes[which] = sw_stack_plan_range(reader, track->cframe + layout->thread.cframe_current, 8);
    }
}

/* In code that calls and returns all the time, copies agree by chance about every other time, so each look and each copy
 * of the innermost pieces halves the share of stacks that never were; and takes 0.15 us, in which the stack may change. */
static bool plan_parts(struct sw_stack_reader *reader, struct sw_track *track) {
    size_t hot = find_hot(track);
    reader->is_full = false;
    for (size_t first = 0, end; first < track->piece_count; first = end) {
        for (end = first; end == first || (end < track->piece_count && is_joined(track, end)); end++) {
            track->pieces[track->order[end]].copies = 0;
        }
        plan_pieces(reader, track, first, end);
    }
    plan_look(reader, track, 0);
    for (size_t i = track->piece_count; i-- > hot;) {
        plan_pieces(reader, track, i, i + 1);
    }
    plan_look(reader, track, 1);
    for (size_t first, end = track->piece_count; end > 0; end = first) {
        for (first = end - 1; first > 0 && is_joined(track, first); first--) {
        }
        plan_pieces(reader, track, first, end);
    }
    track->plan.end = reader->planned_bytes;
    return !reader->is_full;
}

enum sw_status sw_stack_plan_track(struct sw_stack_reader *reader, struct sw_track *track, bool *fits) {
    if (!track->has_pieces) {
        enum sw_status status = make_pieces(reader, track);
        if (status != SW_OK) {
            return status;
        }
    }
    sort_pieces(track);
    size_t count = reader->range_count;
    size_t bytes = reader->planned_bytes;
    *fits = plan_parts(reader, track);
    if (!*fits) {
        reader->range_count = count;
        reader->planned_bytes = bytes;
    }
    return SW_OK;
}

/* The list of chunks from the newest on, from their headers. */
static enum sw_status read_chunks(struct sw_stack_reader *reader, struct sw_track *track, uint64_t newest) {
    uint64_t address = newest;
    track->chunk_count = 0;
    track->has_pieces = false;
    while (address != 0 && track->chunk_count < SW_STACK_CHUNKS_MAX) {
        uint64_t header[3];
        enum sw_status status = sw_stack_fetch(reader, address, header, CHUNK_HEADER_BYTES);
        if (status != SW_OK) {
            return status == SW_IO ? SW_OK : status; /* gone meanwhile: what is known so far will do */
        }
        if (header[1] < CHUNK_HEADER_BYTES || header[1] > CHUNK_BYTES_MAX || address % 8 != 0) {
            return SW_OK;
        }
        if (!sw_stack_grow((void **)&track->chunks, &track->chunk_cap, track->chunk_count + 1,
                           sizeof(*track->chunks))) {
            return SW_NOMEM;
        }
        uint64_t used = header[2] <= header[1] / 8 ? CHUNK_HEADER_BYTES + header[2] * 8 : header[1];
        track->chunks[track->chunk_count++] = (struct sw_stack_chunk){.address = address,
                                                                      .size_bytes = used < header[1] ? used : header[1],
                                                                      .limit_bytes = header[1]};
        address = header[0];
    }
    return SW_OK;
}

/* How much of the newest chunk is read: at once more, and less only after a while. */
static bool fit_newest(struct sw_track *track, uint64_t top) {
    struct sw_stack_chunk *chunk = &track->chunks[0];
    if (top < chunk->address || top > chunk->address + chunk->limit_bytes) {
        return false; /* the two words were not of one moment */
    }
    track->low_top = top > track->low_top ? top : track->low_top;
    uint64_t wanted = room_for(top, chunk->address);
    wanted = wanted < chunk->limit_bytes ? wanted : chunk->limit_bytes;
    wanted = wanted < CHUNK_HEADER_BYTES ? CHUNK_HEADER_BYTES : wanted;
    bool is_larger = wanted > chunk->size_bytes;
    bool is_smaller = wanted < chunk->size_bytes && ++track->low_rounds > LOW_ROUNDS_MAX;
    if (wanted == chunk->size_bytes || is_larger || is_smaller) {
        if (is_smaller) { /* the largest use of these rounds */
            wanted = room_for(track->low_top, chunk->address);
            wanted = wanted < chunk->limit_bytes ? wanted : chunk->limit_bytes;
        }
        track->has_pieces = track->has_pieces && wanted == chunk->size_bytes;
        chunk->size_bytes = wanted;
        track->low_rounds = 0;
        track->low_top = 0;
    }
    return is_larger;
}

enum sw_status sw_stack_learn_chunks(struct sw_stack_reader *reader, struct sw_track *track, const unsigned char *head,
                                     bool *is_changed) {
    const struct sw_layout *layout = &reader->runtime->layout;
    *is_changed = false;
    if (layout->thread.datastack_chunk == SW_ABSENT) {
        return SW_OK;
    }
    uint64_t newest = sw_bytes_u64(head, layout->thread.datastack_chunk);
    uint64_t top = sw_bytes_u64(head, layout->thread.datastack_top);
    size_t known = 0;
    while (known < track->chunk_count && track->chunks[known].address != newest) {
        known++;
    }
    if (newest != 0 && known == track->chunk_count) {
        *is_changed = true;
        enum sw_status status = read_chunks(reader, track, newest);
        if (status != SW_OK || track->chunk_count == 0) {
            return status;
        }
        known = 0;
    }
    if (known == 0 && track->chunk_count > 0) {
        *is_changed |= fit_newest(track, top);
    }
    return SW_OK;
}

static size_t outside_index(const struct sw_track *track, uint64_t address) {
    size_t low = 0;
    for (size_t high = track->outside_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (track->outside[middle].address < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

enum sw_status sw_stack_add_outside(struct sw_track *track, const struct sw_raw_frame *frame) {
    size_t at = outside_index(track, frame->address);
    if (at < track->outside_count && track->outside[at].address == frame->address) {
        track->outside[at].size_bytes = frame->size_bytes;
        return SW_OK;
    }
    if (track->outside_count == SW_STACK_OUTSIDE_MAX) {
        return SW_OK;
    }
    if (!sw_stack_grow((void **)&track->outside, &track->outside_cap, track->outside_count + 1,
                       sizeof(*track->outside))) {
        return SW_NOMEM;
    }
    memmove(&track->outside[at + 1], &track->outside[at], (track->outside_count - at) * sizeof(*track->outside));
    track->outside[at] = (struct sw_stack_outside){frame->address, frame->size_bytes, 0};
    track->outside_count++;
    track->has_pieces = false;
    return SW_OK;
}

void sw_stack_age_outside(struct sw_track *track, const struct sw_chain *chain) {
    if (track->outside_count == 0) {
        return;
    }
    for (size_t i = 0; i < track->outside_count; i++) {
        track->outside[i].idle++;
    }
    for (size_t i = 0; i < chain->count; i++) {
        size_t at = outside_index(track, chain->frames[i].address);
        if (at < track->outside_count && track->outside[at].address == chain->frames[i].address) {
            track->outside[at].idle = 0;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < track->outside_count; i++) {
        if (track->outside[i].idle < IDLE_MAX) {
            track->outside[kept++] = track->outside[i];
        }
    }
    track->has_pieces = track->has_pieces && kept == track->outside_count;
    track->outside_count = kept;
}

void sw_stack_forget_piece(struct sw_track *track, uint64_t address) {
    size_t kept = 0;
    for (size_t i = 0; i < track->piece_count; i++) {
        const struct sw_stack_piece *piece = &track->pieces[i];
        for (size_t k = 0; piece->address == address && k < track->outside_count; k++) {
            track->is_tight = true;
            bool is_in =
                track->outside[k].address >= address && track->outside[k].address < address + piece->size_bytes;
            track->outside[k].idle = is_in ? UINT32_MAX : track->outside[k].idle;
        }
    }
    for (size_t i = 0; i < track->outside_count; i++) {
        if (track->outside[i].idle != UINT32_MAX) {
            track->outside[kept++] = track->outside[i];
        }
    }
    track->outside_count = kept;
    for (size_t i = 0; i < track->chunk_count; i++) {
        if (track->chunks[i].address == address) {
            track->chunk_count = 0;
        }
    }
    track->has_pieces = false;
}

void sw_track_free(struct sw_track *track) {
    if (track) {
        sw_free(track->chunks);
        sw_free(track->outside);
        sw_free(track->pieces);
        sw_free(track->order);
        sw_free(track->last.frames);
        sw_free(track->image);
        sw_free(track->frames);
        sw_free(track->keys);
        sw_free(track);
    }
}
