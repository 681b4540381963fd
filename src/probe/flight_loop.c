/* flight_loop.c - Finds the threads that run an asyncio loop, and reads when the current turn of each began. */
#include "probe/flight_loop.h"

#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/frame_slots.h"

#define LOOPS_MAX 64
#define FIND_NS SW_NS_PER_S
#define LAG_MAX_NS (24 * 3600 * SW_NS_PER_S) /* more than this is no time that was read */
#define SLOTS_MAX 64                         /* locals of _run_once: 8 to 10 in 3.8 to 3.15 */

struct sw_flight_loop {
    const struct sw_runtime *runtime;
    struct sw_stack_reader *reader;
    int32_t tids[LOOPS_MAX];
    uint64_t places[LOOPS_MAX]; /* where each has its slot; 0: not known */
    size_t tid_count;
    int64_t next_find_ns;
    uint32_t code_id; /* of _run_once, whose slot is known; 0: none */
    uint32_t slot;
    uint64_t float_type;
};

/* "_run_once" up to 3.10, "BaseEventLoop._run_once" later. */
static const struct sw_frame *turn_find(const struct sw_stack *stack) {
    for (size_t i = 0; i < stack->frame_count; i++) {
        const struct sw_code *code = stack->frames[i].code;
        if (code && sw_str_ends(code->name, SW_STR("_run_once")) &&
            sw_str_ends(code->file, SW_STR("asyncio/base_events.py")))
            return &stack->frames[i];
    }
    return NULL;
}

/* Which slot `end_time` lies in: the one that refers to the object which it is. */
static enum sw_status slot_learn(struct sw_flight_loop *loop, struct sw_objects *objects,
                                 const struct sw_frame *frame) {
    const struct sw_layout *layout = &loop->runtime->layout;
    uint64_t object, slots[SLOTS_MAX], type;
    enum sw_status status = sw_local_get(objects, frame, SW_STR("end_time"), &object);
    if (status != SW_OK)
        return status;
    if (!sw_object_is(objects, object, "float"))
        return SW_NOTFOUND;
    status = sw_target_read_u64(loop->runtime->target, object + layout->object.ob_type, &type);
    for (uint32_t i = 0; i < SLOTS_MAX && status == SW_OK; i++) {
        status = sw_target_read_u64(loop->runtime->target, frame->locals + 8 * (uint64_t)i, &slots[i]);
        if (status != SW_OK || sw_ref_object(slots[i]) != object)
            continue;
        loop->code_id = frame->code->id;
        loop->slot = i;
        loop->float_type = type;
        return SW_OK;
    }
    return SW_NOTFOUND;
}

static void slot_find(struct sw_flight_loop *loop, const struct sw_frame *frame) {
    struct sw_objects *objects;
    if (sw_objects_new(&objects, loop->runtime) != SW_OK)
        return;
    if (slot_learn(loop, objects, frame) != SW_OK)
        loop->code_id = 0; /* the turn has not begun, or has ended meanwhile: it is tried again at the next look */
    sw_objects_free(objects);
}

/* 0: the loop waits for events, or is just about to run what came. */
static int64_t turn_ns(const struct sw_flight_loop *loop, const struct sw_frame *frame) {
    const struct sw_layout *layout = &loop->runtime->layout;
    uint64_t slot, type;
    double since_s;
    if (sw_target_read_u64(loop->runtime->target, frame->locals + 8 * (uint64_t)loop->slot, &slot) != SW_OK)
        return 0;
    uint64_t object = sw_ref_object(slot);
    if (!object || sw_target_read_u64(loop->runtime->target, object + layout->object.ob_type, &type) != SW_OK ||
        type != loop->float_type ||
        sw_target_read(loop->runtime->target, object + layout->value.float_value, &since_s, sizeof since_s) != SW_OK)
        return 0;
    double lag_ns = (double)sw_clock_mono_ns() - since_s * 1e9;
    return lag_ns > 0 && lag_ns < (double)LAG_MAX_NS ? (int64_t)lag_ns : 0;
}

/* Each new turn begins with an empty slot, which is filled once there are events: a look at the slots alone tells that all
 * loops wait, for a tenth of what reading the stacks takes. That the frames are still there is checked with the next
 * search. */
static bool all_wait(const struct sw_flight_loop *loop) {
    uint64_t slot;
    for (size_t i = 0; i < loop->tid_count; i++)
        if (!loop->places[i] || sw_target_read_u64(loop->runtime->target, loop->places[i], &slot) != SW_OK || slot)
            return false;
    return loop->tid_count > 0;
}

static void place_keep(struct sw_flight_loop *loop, int32_t tid, uint64_t place) {
    size_t at = 0;
    while (at < loop->tid_count && loop->tids[at] != tid)
        at++;
    if (!tid || at == LOOPS_MAX)
        return;
    loop->tids[at] = tid;
    loop->places[at] = place;
    loop->tid_count += at == loop->tid_count;
}

/* How long the current turn has been on, of the loop whose _run_once this is. */
static int64_t frame_look(struct sw_flight_loop *loop, const struct sw_stack *stack, const struct sw_frame *frame) {
    if (frame->code->id != loop->code_id)
        slot_find(loop, frame);
    bool is_known = frame->code->id == loop->code_id;
    place_keep(loop, stack->thread.tid, is_known ? frame->locals + 8 * (uint64_t)loop->slot : 0);
    return is_known ? turn_ns(loop, frame) : 0;
}

enum sw_status sw_flight_loop_new(struct sw_flight_loop **out, const struct sw_runtime *runtime) {
    struct sw_flight_loop *loop = sw_alloc_zero(sizeof *loop);
    if (!loop)
        return SW_NOMEM;
    loop->runtime = runtime;
    enum sw_status status = sw_stack_reader_new(&loop->reader, runtime, &(struct sw_stack_options){0});
    if (status != SW_OK) {
        sw_free(loop);
        return status;
    }
    *out = loop;
    return SW_OK;
}

void sw_flight_loop_free(struct sw_flight_loop *loop) {
    if (!loop)
        return;
    sw_stack_reader_free(loop->reader);
    sw_free(loop);
}

enum sw_status sw_flight_loop_look(struct sw_flight_loop *loop, int64_t *lag_ns) {
    const struct sw_stack *stacks;
    size_t count;
    int64_t now_ns = sw_clock_mono_ns(), longest_ns = 0;
    bool finds = now_ns >= loop->next_find_ns, has_any = false;
    if (!finds && !loop->tid_count)
        return SW_NOTFOUND;
    if (!finds && all_wait(loop)) {
        *lag_ns = 0;
        return SW_OK;
    }
    enum sw_status status =
        sw_stack_read(loop->reader, finds ? NULL : loop->tids, finds ? 0 : loop->tid_count, &stacks, &count);
    if (status != SW_OK)
        return status == SW_CLOSED || status == SW_NOMEM ? status : SW_NOTFOUND;
    if (finds) {
        loop->tid_count = 0;
        loop->next_find_ns = now_ns + FIND_NS;
    }
    for (size_t i = 0; i < count; i++) {
        const struct sw_frame *frame = stacks[i].quality == SW_STACK_FAILED ? NULL : turn_find(&stacks[i]);
        if (!frame)
            continue;
        has_any = true;
        int64_t turned_ns = frame_look(loop, &stacks[i], frame);
        longest_ns = turned_ns > longest_ns ? turned_ns : longest_ns;
    }
    if (!has_any)
        return SW_NOTFOUND;
    *lag_ns = longest_ns;
    return SW_OK;
}
