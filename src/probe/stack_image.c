/* stack_image.c - Frames of the newest chunk as they were when a chain was accepted: which of them stand as they stood.
 *
 * Outer frames rarely change between two samples. Those that have not are not walked, decoded and named again; whether the
 * copies of this round agree is still asked of every frame.
 */
#include "base/mem.h"
#include "probe/stack_impl.h"

static size_t offset_in_chunk(const struct sw_track *track, uint64_t address) {
    return (size_t)(address - track->chunks[0].address);
}

static bool is_in_chunk(const struct sw_track *track, uint64_t address, size_t size_bytes) {
    size_t room = (size_t)track->chunks[0].size_bytes;
    return size_bytes <= room && offset_in_chunk(track, address) <= room - size_bytes;
}

void sw_stack_image_compare(const struct sw_stack_reader *reader, struct sw_track *track) {
    size_t size = reader->runtime->layout.frame.size;
    uint64_t least = 0;
    track->still = 0;
    if (!track->has_image || !track->has_pieces) {
        return;
    }
    for (size_t i = track->last.count; i-- > 1; track->still++) { /* the leaf never stands still */
        const struct sw_raw_frame *frame = &track->last.frames[i];
        if (frame->address < least || !is_in_chunk(track, frame->address, size) ||
            memcmp(track->image + offset_in_chunk(track, frame->address),
                   reader->buffer + track->pieces[frame->piece].at[0] + frame->offset, size) != 0) {
            break;
        }
        least = frame->address;
    }
}

void sw_stack_image_take(const struct sw_stack_reader *reader, struct sw_track *track) {
    size_t size = reader->runtime->layout.frame.size;
    if (track->chunk_count == 0 || !track->has_pieces ||
        !sw_stack_grow((void **)&track->image, &track->image_cap, (size_t)track->chunks[0].size_bytes, 1)) {
        track->has_image = false;
        return;
    }
    size_t kept = track->has_image ? track->kept : 0;
    for (size_t i = 1; i + kept < track->last.count; i++) {
        const struct sw_raw_frame *frame = &track->last.frames[i];
        if (is_in_chunk(track, frame->address, size)) {
            memcpy(track->image + offset_in_chunk(track, frame->address),
                   reader->buffer + track->pieces[frame->piece].at[0] + frame->offset, size);
        }
    }
    track->has_image = true;
}

/* The innermost frame in each piece decides how the piece is read. */
static void note_depths(struct sw_track *track, const struct sw_chain *chain, size_t first) {
    size_t piece = SIZE_MAX;
    for (size_t i = first; i < chain->count; i++) {
        if (chain->frames[i].piece != piece) {
            piece = chain->frames[i].piece;
            uint32_t *depth = &track->pieces[piece].depth;
            *depth = i < *depth ? (uint32_t)i : *depth;
        }
    }
}

enum sw_status sw_stack_image_end(struct sw_stack_reader *reader, struct sw_track *track, uint64_t address,
                                  bool *is_known) {
    const struct sw_chain *last = &track->last;
    struct sw_chain *chain = &reader->chain;
    *is_known = false;
    if (!is_in_chunk(track, address, 1)) {
        return SW_OK;
    }
    size_t at = last->count - track->still;
    while (at < last->count && last->frames[at].address > address) { /* outer frames lie before inner ones */
        at++;
    }
    track->still = last->count - at;
    if (at == last->count || last->frames[at].address != address) {
        return SW_OK;
    }
    size_t first = chain->count;
    if (!sw_stack_grow((void **)&chain->frames, &chain->cap, first + track->still, sizeof(*chain->frames))) {
        return SW_NOMEM;
    }
    memcpy(chain->frames + first, last->frames + at, track->still * sizeof(*chain->frames));
    chain->count += track->still;
    track->kept = track->still;
    sw_stack_check_call(reader, first);
    note_depths(track, chain, first);
    *is_known = true;
    return SW_OK;
}
