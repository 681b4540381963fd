/* stack_list.c - The interpreters and threads a stack reader follows, and which of them may have run since a look.
 *
 * A thread's Python stack changes only while it holds the GIL. The GIL counts how often another thread took it: when the
 * count stood still, only the last holder can have run; when it went up by one, only the holder before and the one now.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/stack_impl.h"

#define REFRESH_NS (100 * SW_NS_PER_MS) /* the whole list is read again, and every stack, at least this often */
#define REFRESH_SHARE 50                /* ... but for at most 1/50 of the time */
#define GIL_BYTES_MAX 512
#define HEAD_NS (20 * SW_NS_PER_US) /* a new thread is seen so soon: whoever looks more often need not ask each time */

static int compare_tracks(const void *a, const void *b) {
    uint64_t left = (*(struct sw_track *const *)a)->stack.thread.address;
    uint64_t right = (*(struct sw_track *const *)b)->stack.thread.address;
    return left < right ? -1 : left > right;
}

struct sw_track *sw_stack_find(const struct sw_stack_reader *reader, uint64_t address) {
    size_t low = 0;
    for (size_t high = reader->track_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (reader->by_address[middle]->stack.thread.address < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_found = low < reader->track_count && reader->by_address[low]->stack.thread.address == address;
    return is_found ? reader->by_address[low] : NULL;
}

/* Moves the track of a thread from the old list to the new, or makes one. */
static struct sw_track *take_track(struct sw_stack_reader *reader, const struct sw_thread_ref *thread) {
    struct sw_track *track = sw_stack_find(reader, thread->address);
    if (track && (track->is_done || track->stack.thread.tid != thread->tid)) {
        track = NULL;
    }
    if (!track) {
        track = sw_alloc_zero(sizeof(*track));
        if (!track) {
            return NULL;
        }
    }
    track->is_done = true;
    track->is_dirty = true;
    track->stack.thread = *thread;
    track->interpreter = reader->list.interpreters[thread->interpreter].address;
    return track;
}

static enum sw_status replace_tracks(struct sw_stack_reader *reader) {
    size_t count = reader->list.thread_count;
    struct sw_track **tracks = sw_alloc_array_zero(count, sizeof(*tracks));
    struct sw_track **sorted = sw_alloc_array(count, sizeof(struct sw_track *));
    enum sw_status status = tracks && sorted ? SW_OK : SW_NOMEM;
    for (size_t i = 0; i < reader->track_count; i++) {
        reader->by_address[i]->is_done = false;
    }
    size_t taken = 0;
    size_t known = 0;
    for (; taken < count && status == SW_OK; taken++) {
        tracks[taken] = take_track(reader, &reader->list.threads[taken]);
        status = tracks[taken] ? SW_OK : SW_NOMEM;
        known += tracks[taken] && tracks[taken]->slot_cap > 0;
    }
    if (status == SW_OK) {
        for (size_t i = 0; i < reader->track_count; i++) {
            if (!reader->by_address[i]->is_done) {
                sw_track_free(reader->by_address[i]);
            }
        }
        if (known == 0) {
            sw_code_forget_all(reader->codes); /* perhaps the process has started another program */
        }
        sw_free(reader->tracks);
        sw_free(reader->by_address);
        memcpy(sorted, tracks, count * sizeof(struct sw_track *));
        qsort(sorted, count, sizeof(struct sw_track *), compare_tracks);
        reader->tracks = tracks;
        reader->by_address = sorted;
        reader->track_count = count;
        return SW_OK;
    }
    for (size_t i = 0; tracks && i < taken; i++) {
        if (tracks[i] && sw_stack_find(reader, tracks[i]->stack.thread.address) != tracks[i]) {
            sw_track_free(tracks[i]);
        }
    }
    sw_free(tracks);
    sw_free(sorted);
    return status;
}

static enum sw_status replace_looks(struct sw_stack_reader *reader) {
    size_t count = reader->list.interpreter_count;
    struct sw_stack_look *looks = sw_alloc_array_zero(count, sizeof(*looks));
    if (!looks) {
        return SW_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        looks[i].address = reader->list.interpreters[i].address;
        looks[i].threads_head = reader->list.interpreters[i].threads_head;
        if (i < reader->look_count && reader->looks[i].address == looks[i].address) {
            looks[i].generation = reader->looks[i].generation;
            looks[i].has_generation = reader->looks[i].has_generation;
        }
    }
    sw_free(reader->looks);
    reader->looks = looks;
    reader->look_count = count;
    return SW_OK;
}

enum sw_status sw_stack_refresh(struct sw_stack_reader *reader) {
    int64_t start_ns = sw_clock_mono_ns();
    enum sw_status status = sw_runtime_threads(reader->runtime, &reader->list);
    if (status == SW_OK) {
        status = replace_looks(reader);
    }
    if (status == SW_OK) {
        status = replace_tracks(reader);
    }
    if (status != SW_OK) {
        reader->is_list_stale = true;
        return status;
    }
    int64_t end_ns = sw_clock_mono_ns();
    int64_t pause_ns = (end_ns - start_ns) * REFRESH_SHARE;
    reader->list_next_ns = end_ns + (pause_ns > REFRESH_NS ? pause_ns : REFRESH_NS);
    reader->is_list_stale = false;
    return SW_OK;
}

static bool has_gil(const struct sw_stack_reader *reader, size_t index) {
    const struct sw_layout *layout = &reader->runtime->layout;
    return reader->list.interpreters[index].gil != 0 && layout->gil.size <= GIL_BYTES_MAX &&
           layout->gil.last_holder != SW_ABSENT && layout->gil.locked != SW_ABSENT &&
           layout->gil.switch_number != SW_ABSENT;
}

void sw_stack_plan_looks(struct sw_stack_reader *reader) {
    const struct sw_layout *layout = &reader->runtime->layout;
    for (size_t i = 0; i < reader->look_count; i++) {
        struct sw_stack_look *look = &reader->looks[i];
        look->at_gil = SIZE_MAX;
        look->at_generation = SIZE_MAX;
        look->at_head = SIZE_MAX;
        look->is_planned = reader->range_count + 3 <= SW_TARGET_RANGES_MAX / 4;
        if (look->is_planned) {
            if (reader->now_ns - look->head_ns >= HEAD_NS) {
                look->at_head = sw_stack_plan_range(reader, look->address + layout->interpreter.threads_head, 8);
                look->head_ns = reader->now_ns;
            }
            if (layout->interpreter.code_object_generation != SW_ABSENT) {
                look->at_generation =
                    sw_stack_plan_range(reader, look->address + layout->interpreter.code_object_generation, 8);
            }
            if (has_gil(reader, i)) {
                look->at_gil = sw_stack_plan_range(reader, reader->list.interpreters[i].gil, layout->gil.size);
            }
        }
        look->end = reader->planned_bytes;
    }
}

static void mark_all(struct sw_stack_reader *reader, const struct sw_stack_look *look) {
    for (size_t i = 0; i < reader->track_count; i++) {
        if (reader->tracks[i]->interpreter == look->address) {
            reader->tracks[i]->is_dirty = true;
        }
    }
}

static void mark_one(struct sw_stack_reader *reader, uint64_t thread) {
    struct sw_track *track = sw_stack_find(reader, thread);
    if (track) {
        track->is_dirty = true;
    }
}

void sw_stack_mark_holders(struct sw_stack_reader *reader) {
    for (size_t i = 0; i < reader->look_count; i++) {
        if (reader->looks[i].has_gil) {
            mark_one(reader, reader->looks[i].last_holder);
        } else {
            mark_all(reader, &reader->looks[i]);
        }
    }
}

static void take_gil(struct sw_stack_reader *reader, struct sw_stack_look *look) {
    const struct sw_layout *layout = &reader->runtime->layout;
    const unsigned char *bytes = reader->buffer + look->at_gil;
    uint64_t last_holder = sw_bytes_u64(bytes, layout->gil.last_holder);
    uint64_t switches = sw_bytes_u64(bytes, layout->gil.switch_number);
    bool is_locked = sw_bytes_i32(bytes, layout->gil.locked) == 1;
    /* With several interpreters on one GIL a thread may swap its state without the GIL's knowledge. */
    bool is_sound = look->has_gil && reader->look_count == 1 && !reader->runtime->is_free_threaded;
    if (!is_sound || switches - look->gil.switches > 1) {
        mark_all(reader, look);
    } else {
        mark_one(reader, look->last_holder);
        mark_one(reader, last_holder);
    }
    look->gil = (struct sw_gil_look){.mono_ns = reader->now_ns,
                                     .holder = is_locked ? last_holder : 0,
                                     .switches = switches,
                                     .is_known = !reader->runtime->is_free_threaded};
    look->last_holder = last_holder;
    look->has_gil = true;
}

void sw_stack_take_looks(struct sw_stack_reader *reader) {
    for (size_t i = 0; i < reader->look_count; i++) {
        struct sw_stack_look *look = &reader->looks[i];
        if (look->end > reader->read_bytes || !look->is_planned) {
            look->has_gil = false;
            look->gil.is_known = false;
            mark_all(reader, look);
            continue;
        }
        if (look->at_head != SIZE_MAX) {
            reader->is_list_stale |= sw_bytes_u64(reader->buffer, look->at_head) != look->threads_head;
        }
        if (look->at_generation != SIZE_MAX) {
            uint64_t generation = sw_bytes_u64(reader->buffer, look->at_generation);
            if (look->has_generation && generation != look->generation) {
                sw_code_forget_all(reader->codes);
            }
            look->generation = generation;
            look->has_generation = true;
        }
        if (look->at_gil != SIZE_MAX) {
            take_gil(reader, look);
        } else {
            look->gil.is_known = false;
            mark_all(reader, look);
        }
    }
}
