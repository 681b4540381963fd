/* gil.c - Reads and decodes the GIL of an interpreter; see gil.h. */
#include "probe/gil.h"

#include <string.h>

#include "base/clock.h"

/* struct _gil_runtime_state has {interval, last_holder, locked, switch_number, cond, mutex, switch_cond, switch_mutex}
 * in every release from 3.8 on; what varies is where it lies. */

static bool gil_has_layout(const struct sw_layout *layout) {
    return layout->gil.last_holder != SW_ABSENT && layout->gil.locked != SW_ABSENT &&
           layout->gil.switch_number != SW_ABSENT;
}

/* The part of the struct that tells of the holder: [*start, *end) in it. */
static void gil_span(const struct sw_layout *layout, uint32_t *start, uint32_t *end) {
    const uint32_t edges[3][2] = {{layout->gil.last_holder, 8},
                                  {layout->gil.locked, 4},
                                  {layout->gil.switch_number, 8}};
    *start = UINT32_MAX;
    *end = 0;
    for (int i = 0; i < 3; i++) {
        *start = edges[i][0] < *start ? edges[i][0] : *start;
        *end = edges[i][0] + edges[i][1] > *end ? edges[i][0] + edges[i][1] : *end;
    }
}

/* `bytes` lie at offset `start` of the struct. */
bool sw_gil_range(const struct sw_runtime *runtime, uint64_t gil, struct sw_gil_range *range) {
    uint32_t start, end;
    if (gil == 0 || !gil_has_layout(&runtime->layout))
        return false;
    gil_span(&runtime->layout, &start, &end);
    if (end - start > SW_GIL_RANGE_MAX)
        return false;
    range->address = gil + start;
    range->size_bytes = end - start;
    return true;
}

void sw_gil_range_decode(const struct sw_runtime *runtime, const void *bytes, struct sw_gil_look *look) {
    const struct sw_layout *layout = &runtime->layout;
    const unsigned char *range = bytes;
    uint32_t start, end;
    uint64_t holder;
    uint64_t switches;
    int32_t locked; /* -1 before the first use */
    gil_span(layout, &start, &end);
    memcpy(&holder, range + layout->gil.last_holder - start, sizeof holder);
    memcpy(&locked, range + layout->gil.locked - start, sizeof locked);
    memcpy(&switches, range + layout->gil.switch_number - start, sizeof switches);
    look->holder = locked > 0 ? holder : 0;
    look->last = holder;
    look->switches = switches;
    look->is_known = true;
}

enum sw_status sw_gil_look(const struct sw_runtime *runtime, const struct sw_interpreter *interpreter,
                           struct sw_gil_look *look) {
    unsigned char bytes[SW_GIL_RANGE_MAX];
    struct sw_gil_range range;
    struct sw_gil_look seen = {.mono_ns = sw_clock_mono_ns()};
    if (sw_gil_range(runtime, interpreter->gil, &range)) {
        enum sw_status status = sw_target_read(runtime->target, range.address, bytes, range.size_bytes);
        if (status != SW_OK)
            return status;
        sw_gil_range_decode(runtime, bytes, &seen);
    }
    *look = seen;
    return SW_OK;
}

/* Which of the struct's condition variables the word of a futex lies in. Without the offsets of these (a release whose
 * table lacks them) nothing can be said. */
enum sw_gil_place sw_gil_place_of(const struct sw_runtime *runtime, uint64_t gil, const struct sw_thread_look *look) {
    const struct sw_layout *layout = &runtime->layout;
    uint64_t word;
    if (gil == 0 || layout->gil.cond == SW_ABSENT || layout->gil.switch_cond == SW_ABSENT ||
        !sw_syscall_is_futex_wait(look, &word))
        return SW_GIL_ELSEWHERE;
    if (word >= gil + layout->gil.cond && word < gil + layout->gil.switch_cond)
        return SW_GIL_AWAITED;
    if (word >= gil + layout->gil.switch_cond && word < gil + layout->gil.size)
        return SW_GIL_HANDED_OVER;
    return SW_GIL_ELSEWHERE;
}

bool sw_gil_is_awaited(const struct sw_runtime *runtime, uint64_t gil, const struct sw_thread_look *look) {
    return sw_gil_place_of(runtime, gil, look) == SW_GIL_AWAITED;
}
