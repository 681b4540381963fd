/* dump_guess.c - Who probably holds a lock that was taken by acquire(), which leaves no trace in the frame.
 *
 * A thread may hold it when one of its frames runs code that names `acquire` and has the lock in reach: in a local
 * variable, in an attribute of self, or in a global variable that the code names. Only a single such thread is given.
 */
#include "probe/dump_impl.h"
#include "probe/object_impl.h"
#include "probe/value.h"

#define FRAMES_MAX 64 /* of each thread, innermost */
#define NAMES_MAX 1024
#define NAME_BYTES_MAX 128

struct reach {
    struct sw_objects *objects;
    uint64_t lock;
    struct sw_locals locals;
    struct sw_items names, globals;
};

/* co_names, and f_globals; offsets that no table of layouts/ has. */
static enum sw_status code_names(struct reach *reach, const struct sw_frame *frame) {
    const struct sw_layout *layout = sw_objects_layout(reach->objects);
    bool is_old = layout->code.localsplusnames == SW_ABSENT;
    uint64_t tuple;
    uint64_t at = frame->code->address + (is_old ? layout->code.varnames - 8 : layout->code.flags - 16);
    enum sw_status status = sw_objects_u64_at(reach->objects, at, &tuple);
    return status == SW_OK ? sw_object_items(reach->objects, tuple, NAMES_MAX, &reach->names) : status;
}

static bool is_named(struct reach *reach, struct sw_str name) {
    for (size_t i = 0; i < reach->names.count; i++)
        if (sw_object_str_is(reach->objects, reach->names.items[i].value, name))
            return true;
    return false;
}

/* Names are interned, but not always the same object: their text is compared. */
static bool is_in_names(struct reach *reach, uint64_t name) {
    struct sw_buf text = {0};
    bool is_there = sw_value_append_str(reach->objects, name, NAME_BYTES_MAX, &text) == SW_OK &&
                    is_named(reach, sw_buf_view(&text));
    sw_buf_release(&text);
    return is_there;
}

/* An attribute of self that the code names. */
static bool is_in_self(struct reach *reach, uint64_t self) {
    char name[NAME_BYTES_MAX];
    for (size_t i = 0; i < reach->names.count; i++) {
        struct sw_buf *text = &reach->objects->text;
        uint64_t value;
        sw_buf_clear(text);
        if (sw_read_unicode(sw_objects_runtime(reach->objects), reach->names.items[i].value, NAME_BYTES_MAX, text) !=
                SW_OK ||
            text->len > sizeof name)
            continue;
        struct sw_str copy = sw_str_make(name, text->len); /* the reader writes to the same buffer */
        memcpy(name, text->ptr, text->len);
        if (sw_object_attribute(reach->objects, self, copy, &value) == SW_OK && value == reach->lock)
            return true;
    }
    return false;
}

static enum sw_status is_in_locals(struct reach *reach, const struct sw_frame *frame, bool *is_there) {
    enum sw_status status = sw_locals_read(reach->objects, frame, &reach->locals);
    for (size_t i = 0; i < reach->locals.count && status == SW_OK && !*is_there; i++) {
        uint64_t object = sw_ref_object(reach->locals.items[i].slot);
        *is_there = object == reach->lock ||
                    (sw_str_eq(reach->locals.items[i].name, SW_STR("self")) && is_in_self(reach, object));
    }
    return status;
}

static bool is_in_globals(struct reach *reach, const struct sw_frame *frame) {
    uint32_t version = sw_objects_runtime(reach->objects)->version;
    uint32_t at = version >= 0x030c0000 ? 24 : version >= 0x030b0000 ? 8 : 48;
    uint64_t globals;
    if (sw_objects_u64_at(reach->objects, frame->address + at, &globals) != SW_OK ||
        sw_object_items(reach->objects, globals, SW_ITEMS_MAX, &reach->globals) != SW_OK)
        return false;
    for (size_t i = 0; i < reach->globals.count; i++)
        if (reach->globals.items[i].value == reach->lock && is_in_names(reach, reach->globals.items[i].key))
            return true;
    return false;
}

/* The innermost frame of a stack that may hold the lock, or SW_DUMP_NONE. */
static enum sw_status stack_reaches(struct reach *reach, const struct sw_stack *stack, size_t *frame) {
    enum sw_status status = SW_OK;
    *frame = SW_DUMP_NONE;
    for (size_t i = 0; i < stack->frame_count && i < FRAMES_MAX && *frame == SW_DUMP_NONE; i++) {
        bool is_there = false;
        if (!stack->frames[i].code || code_names(reach, &stack->frames[i]) != SW_OK ||
            !is_named(reach, SW_STR("acquire")))
            continue;
        status = is_in_locals(reach, &stack->frames[i], &is_there);
        if (status == SW_NOMEM)
            return status;
        if (is_there || is_in_globals(reach, &stack->frames[i]))
            *frame = i;
    }
    return SW_OK;
}

enum sw_status sw_dump_guess_holder(struct sw_dump *dump, size_t waiter) {
    struct sw_dump_thread *thread = &dump->threads[waiter];
    struct reach reach = {.objects = dump->objects, .lock = thread->wait.lock.address};
    enum sw_status status = SW_OK;
    size_t found = 0;
    for (size_t i = 0; i < dump->thread_count && status == SW_OK; i++) {
        size_t frame = SW_DUMP_NONE;
        const struct sw_dump_thread *other = &dump->threads[i];
        if (i == waiter || (other->wait.kind == SW_WAIT_LOCK && other->wait.lock.address == reach.lock))
            continue;
        status = stack_reaches(&reach, other->stack, &frame);
        if (status != SW_OK || frame == SW_DUMP_NONE)
            continue;
        thread->blocker = found == 0 ? i : SW_DUMP_NONE;
        thread->blocker_frame = found == 0 ? frame : SW_DUMP_NONE;
        found++;
    }
    thread->is_guess = found == 1;
    sw_locals_release(&reach.locals);
    sw_items_release(&reach.names);
    sw_items_release(&reach.globals);
    return status;
}
