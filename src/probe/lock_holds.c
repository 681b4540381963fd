/* lock_holds.c - Which locks the frames of a stack hold: the context managers they are inside of. */
#include "base/mem.h"
#include "probe/lock.h"
#include "probe/object_impl.h"

#define FRAMES_MAX 8192
#define EARLY_EXITS_MINOR 0x030c /* 3.12 leaves a suspended frame at an instruction with a handler of its own */

static bool is_exit_name(const char *name) {
    return strcmp(name, "__exit__") == 0 || strcmp(name, "__aexit__") == 0;
}

static bool is_exit_str(struct sw_objects *objects, uint64_t name) {
    return sw_object_str_is(objects, name, SW_STR("__exit__")) || sw_object_str_is(objects, name, SW_STR("__aexit__"));
}

/* A function's name, by the kind of function; 3.8 and 3.9 keep it further behind. */
static bool is_exit_function(struct sw_objects *objects, uint64_t function) {
    const struct sw_type *type = sw_object_type(objects, function);
    bool is_old = sw_objects_runtime(objects)->version < 0x030a0000;
    uint64_t name;
    if (sw_type_is(type, "function"))
        return sw_object_word(objects, function, is_old ? 48 : 16, &name) == SW_OK && is_exit_str(objects, name);
    if (sw_type_is(type, "method_descriptor"))
        return sw_object_word(objects, function, 8, &name) == SW_OK && is_exit_str(objects, name);
    return false;
}

/* Up to 3.13 a `with` keeps the bound __exit__: what it is bound to is the manager. */
static bool manager_of_bound(struct sw_objects *objects, uint64_t object, uint64_t *manager) {
    const struct sw_type *type = sw_object_type(objects, object);
    uint64_t function;
    uint64_t name;
    char text[SW_TYPE_NAME_MAX];
    if (!sw_type_is(type, "builtin_function_or_method") && !sw_type_is(type, "method"))
        return false;
    if (sw_object_word(objects, object, 0, &function) != SW_OK || sw_object_word(objects, object, 8, manager) != SW_OK)
        return false;
    if (sw_type_is(type, "method"))
        return is_exit_function(objects, function);
    return sw_objects_u64_at(objects, function, &name) == SW_OK && sw_object_c_string(objects, name, text) == SW_OK &&
           is_exit_name(text);
}

/* The lock of a manager: itself, or what a Condition of threading or asyncio keeps as _lock. */
static uint64_t lock_of(struct sw_objects *objects, uint64_t manager) {
    uint64_t lock;
    const struct sw_type *type = sw_object_type(objects, manager);
    if (sw_type_is(type, "_thread.lock") || sw_type_is(type, "_thread.RLock") || sw_type_is(type, "Lock"))
        return manager;
    return sw_object_attribute(objects, manager, SW_STR("_lock"), &lock) == SW_OK ? lock : 0;
}

static enum sw_status hold_add(struct sw_holds *holds, const struct sw_hold *hold) {
    if (holds->count == holds->cap) {
        size_t cap = holds->cap ? holds->cap * 2 : 16;
        struct sw_hold *grown = sw_realloc_array(holds->items, cap, sizeof *grown);
        if (!grown)
            return SW_NOMEM;
        holds->items = grown;
        holds->cap = cap;
    }
    holds->items[holds->count++] = *hold;
    return SW_OK;
}

/* From 3.14 on a `with` keeps __exit__ and the manager in two slots, in this order. */
static enum sw_status frame_holds(struct sw_objects *objects, const struct sw_frame *frame, size_t index,
                                  struct sw_holds *holds) {
    uint64_t slots[SW_SLOTS_MAX];
    size_t count = 0;
    enum sw_status status = sw_frame_handled_slots(objects, frame, slots, &count);
    if (status == SW_NOMEM)
        return status;
    status = SW_OK;
    for (size_t i = 0; i < count && status == SW_OK; i++) {
        uint64_t object = sw_ref_object(slots[i]);
        uint64_t manager = 0;
        if (!object)
            continue;
        bool is_held = manager_of_bound(objects, object, &manager);
        if (!is_held && i + 1 < count && is_exit_function(objects, object)) {
            manager = sw_ref_object(slots[i + 1]);
            is_held = manager != 0;
        }
        if (is_held) {
            struct sw_hold hold = {.manager = manager, .lock = lock_of(objects, manager), .frame = index};
            status = hold_add(holds, &hold);
        }
    }
    return status;
}

struct sw_str sw_frame_function(const struct sw_frame *frame) {
    struct sw_str name = frame->code ? frame->code->name : SW_STR("");
    size_t at = name.len;
    while (at > 0 && name.ptr[at - 1] != '.')
        at--;
    return sw_str_skip(name, at);
}

bool sw_frame_runs(const struct sw_frame *frame, const char *file, const char *function) {
    return frame->code && sw_str_ends(frame->code->file, sw_str_from(file)) &&
           (!function || sw_str_eq(sw_frame_function(frame), sw_str_from(function)));
}

/* The object that a frame is entering: the frame further in runs its __aenter__ or __enter__. What would undo that is on
 * the stack already while an __aenter__ is awaited, and the handler of 3.12 tells so. */
static uint64_t entered_by(struct sw_objects *objects, const struct sw_frame *inner) {
    uint64_t self;
    struct sw_str name = sw_frame_function(inner);
    bool is_enter = sw_str_eq(name, SW_STR("__aenter__")) || sw_str_eq(name, SW_STR("__enter__"));
    return is_enter && sw_local_get(objects, inner, SW_STR("self"), &self) == SW_OK ? self : 0;
}

enum sw_status sw_holds_add(struct sw_objects *objects, const struct sw_frame *frames, size_t count,
                            struct sw_holds *holds) {
    enum sw_status status = SW_OK;
    uint64_t released = 0;
    bool has_early_exits = sw_objects_runtime(objects)->version >> 16 == EARLY_EXITS_MINOR;
    for (size_t i = 0; i < count && i < FRAMES_MAX && status == SW_OK; i++) {
        uint64_t self;
        size_t from = holds->count;
        if (sw_frame_runs(&frames[i], "threading.py", "wait") &&
            sw_local_get(objects, &frames[i], SW_STR("self"), &self) == SW_OK &&
            sw_object_is(objects, self, "Condition"))
            released = lock_of(objects, self);
        status = frame_holds(objects, &frames[i], i, holds);
        uint64_t entered = i > 0 && has_early_exits ? entered_by(objects, &frames[i - 1]) : 0;
        if (entered && holds->count > from && holds->items[holds->count - 1].manager == entered)
            holds->count--;
        for (size_t j = from; j < holds->count; j++)
            holds->items[j].is_released = released && holds->items[j].lock == released;
    }
    return status;
}

void sw_holds_release(struct sw_holds *holds) {
    sw_free(holds->items);
    *holds = (struct sw_holds){0};
}
