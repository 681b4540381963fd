/* generator.c - Coroutines and generators of a target. */
#include "probe/generator.h"

#include "probe/frame_slots_impl.h"
#include "probe/object_impl.h"

#define FRAME_BYTES_MAX 512
#define WRAPPERS_MAX 4

static bool is_generator(const struct sw_type *type) {
    return sw_type_is(type, "coroutine") || sw_type_is(type, "generator") || sw_type_is(type, "async_generator");
}

/* gi_frame_state counts from -3, -2 or 0 on; all the tables are CPython's own. */
static enum sw_generator_state state_of(uint32_t version, int8_t state) {
    if (version >= 0x030f0000)
        return state == 0                 ? SW_GENERATOR_CREATED
               : state >= 1 && state <= 3 ? SW_GENERATOR_SUSPENDED
               : state == 4               ? SW_GENERATOR_RUNNING
                                          : SW_GENERATOR_DONE;
    if (state == 0)
        return SW_GENERATOR_RUNNING;
    if (state > 0)
        return SW_GENERATOR_DONE;
    return state == (version >= 0x030d0000 ? -3 : -2) ? SW_GENERATOR_CREATED : SW_GENERATOR_SUSPENDED;
}

static enum sw_status top_read_new(struct sw_objects *objects, const unsigned char *frame, uint64_t locals,
                                   uint64_t *top) {
    const struct sw_layout *layout = sw_objects_layout(objects);
    uint64_t end;
    int32_t count;
    memcpy(&count, frame + layout->frame.stacktop, sizeof count);
    if (sw_objects_runtime(objects)->version >= 0x030e0000)
        end = sw_objects_u64(frame, layout->frame.stacktop);
    else
        end = count > 0 ? locals + (uint64_t)count * 8 : 0;
    if (end <= locals)
        return SW_NOTFOUND;
    enum sw_status status = sw_objects_u64_at(objects, end - 8, top);
    if (status == SW_OK && sw_ref_object(*top) == 0 && end - 8 > locals) /* 3.15: an iterator has an index above it */
        status = sw_objects_u64_at(objects, end - 16, top);
    return status;
}

static enum sw_status top_read_old(struct sw_objects *objects, uint64_t frame, uint64_t *top) {
    uint64_t base;
    uint64_t end;
    int32_t depth;
    enum sw_status status;
    if (sw_objects_runtime(objects)->version < 0x030a0000) {
        status = sw_objects_u64_at(objects, frame + SW_OLD_FRAME_STACKTOP, &end);
    } else {
        status = sw_objects_u64_at(objects, frame + SW_OLD_FRAME_VALUESTACK, &base);
        if (status == SW_OK)
            status = sw_objects_read(objects, frame + SW_OLD_FRAME_STACKDEPTH, &depth, sizeof depth);
        end = status == SW_OK && depth > 0 ? base + (uint64_t)depth * 8 : 0;
    }
    if (status == SW_OK && end == 0)
        status = SW_NOTFOUND;
    return status == SW_OK ? sw_objects_u64_at(objects, end - 8, top) : status;
}

/* The instruction's place in the bytecode: -1 before the first one, or where it cannot be told. */
static int32_t offset_of(const struct sw_layout *layout, const unsigned char *frame, uint64_t code) {
    if (layout->frame.ip_kind == SW_IP_LASTI_BYTES || layout->frame.ip_kind == SW_IP_LASTI_UNITS) {
        int32_t lasti;
        memcpy(&lasti, frame + layout->frame.ip, sizeof lasti);
        return lasti < 0 ? -1 : lasti * (layout->frame.ip_kind == SW_IP_LASTI_UNITS ? 2 : 1);
    }
    uint64_t offset = sw_objects_u64(frame, layout->frame.ip) - (code + layout->code.code);
    return offset < INT32_MAX ? (int32_t)offset : -1;
}

/* Up to 3.10: running frames have no stack top; an instruction of -1 was never run. */
static enum sw_generator_state state_of_old(struct sw_objects *objects, uint64_t frame, int32_t offset, uint64_t *top) {
    if (top_read_old(objects, frame, top) == SW_OK && *top)
        return SW_GENERATOR_SUSPENDED;
    return offset < 0 ? SW_GENERATOR_CREATED : SW_GENERATOR_RUNNING;
}

/* `frame` is where the generator's frame lies: in it, or up to 3.10 on its own. */
static enum sw_status frame_fill(struct sw_objects *objects, struct sw_code_cache *codes, uint64_t address,
                                 struct sw_generator *generator) {
    const struct sw_layout *layout = sw_objects_layout(objects);
    unsigned char bytes[FRAME_BYTES_MAX];
    if (layout->frame.size > sizeof bytes)
        return SW_UNSUPPORTED;
    enum sw_status status = sw_objects_read(objects, address, bytes, layout->frame.size);
    if (status != SW_OK)
        return status;
    struct sw_frame *frame = &generator->frame;
    uint64_t code = sw_ref_object(sw_objects_u64(bytes, layout->frame.code));
    status = sw_code_get(codes, code, &frame->code);
    if (status != SW_OK)
        return status;
    frame->address = address;
    frame->locals = address + layout->frame.localsplus;
    frame->offset = offset_of(layout, bytes, code);
    frame->line = sw_code_line(frame->code, frame->offset);
    if (sw_frame_is_old(objects))
        generator->state = state_of_old(objects, address, frame->offset, &generator->top);
    else if (generator->state == SW_GENERATOR_SUSPENDED &&
             top_read_new(objects, bytes, frame->locals, &generator->top) != SW_OK)
        generator->top = 0;
    return SW_OK;
}

enum sw_status sw_generator_read(struct sw_objects *objects, struct sw_code_cache *codes, uint64_t object,
                                 struct sw_generator *generator) {
    const struct sw_layout *layout = sw_objects_layout(objects);
    struct sw_generator seen = {.state = SW_GENERATOR_DONE};
    uint64_t frame = object + layout->generator.frame;
    enum sw_status status = is_generator(sw_object_type(objects, object)) ? SW_OK : SW_IO;
    if (status == SW_OK && sw_frame_is_old(objects)) {
        status = sw_objects_u64_at(objects, frame, &frame);
        if (status == SW_OK && frame == 0) {
            *generator = seen;
            return SW_OK;
        }
    } else if (status == SW_OK) {
        int8_t state;
        status = sw_objects_read(objects, object + layout->generator.frame_state, &state, sizeof state);
        if (status == SW_OK)
            seen.state = state_of(sw_objects_runtime(objects)->version, state);
    }
    if (status == SW_OK && seen.state == SW_GENERATOR_DONE && !sw_frame_is_old(objects)) {
        *generator = seen;
        return SW_OK;
    }
    if (status == SW_OK)
        status = frame_fill(objects, codes, frame, &seen);
    if (status == SW_OK) {
        seen.top = sw_ref_object(seen.top);
        *generator = seen;
    }
    return status;
}

/* Wrappers and iterators keep what they stand for in the first word behind the header. */
uint64_t sw_awaitable_resolve(struct sw_objects *objects, uint64_t object, bool *is_generator_object) {
    static const char *const wrappers[] = {"coroutine_wrapper",
                                           "async_generator_asend",
                                           "async_generator_athrow",
                                           "anext_awaitable",
                                           "_asyncio.FutureIter",
                                           "FutureIter",
                                           "async_generator_wrapped_value"};
    *is_generator_object = false;
    for (int depth = 0; depth < WRAPPERS_MAX; depth++) {
        const struct sw_type *type = sw_object_type(objects, object);
        if (!type)
            return 0;
        if (is_generator(type)) {
            *is_generator_object = true;
            return object;
        }
        bool is_wrapper = false;
        for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0]; i++)
            is_wrapper |= sw_type_is(type, wrappers[i]);
        if (!is_wrapper)
            return object;
        if (sw_object_word(objects, object, 0, &object) != SW_OK)
            return 0;
    }
    return 0;
}
