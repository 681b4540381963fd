/* frame_slots.c - Local variables and evaluation stacks of a target's frames. */
#include "probe/frame_slots.h"

#include "base/mem.h"
#include "probe/frame_slots_impl.h"
#include "probe/object_impl.h"

#define NAME_CHARS_MAX 256
#define TABLE_BYTES_MAX 262144
#define KIND_CELL_OR_FREE 0xc0
#define BLOCKS_MAX 20 /* CO_MAXBLOCKS up to 3.10 */
#define BLOCK_BYTES 12

/* Names and kinds of a code object's slots. */
struct names {
    struct sw_items items[3]; /* locals, cells, free variables; from 3.11 on all are in the first */
    size_t count;
    unsigned char *kinds; /* 3.11 on */
};

bool sw_frame_is_old(const struct sw_objects *objects) {
    return sw_objects_runtime(objects)->version < 0x030b0000;
}

static void names_release(struct names *names) {
    for (size_t i = 0; i < 3; i++)
        sw_items_release(&names->items[i]);
    sw_free(names->kinds);
}

/* Up to 3.10: tuples at co_varnames, and behind it co_freevars and co_cellvars. */
static enum sw_status names_read_old(struct sw_objects *objects, uint64_t code, struct names *names) {
    static const uint32_t offsets[] = {0, 16, 8}; /* cells stand before free variables in a frame */
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < 3 && status == SW_OK; i++) {
        uint64_t tuple;
        status = sw_objects_u64_at(objects, code + sw_objects_layout(objects)->code.varnames + offsets[i], &tuple);
        if (status == SW_OK)
            status = sw_object_items(objects, tuple, SW_LOCALS_MAX, &names->items[i]);
        names->count += names->items[i].count;
    }
    return status;
}

static enum sw_status kinds_read(struct sw_objects *objects, uint64_t kinds, struct names *names) {
    uint64_t length;
    const struct sw_layout *layout = sw_objects_layout(objects);
    enum sw_status status = sw_objects_u64_at(objects, kinds + layout->object.var_size, &length);
    if (status == SW_OK && length != names->count)
        status = SW_IO;
    names->kinds = status == SW_OK ? sw_alloc_zero(names->count) : NULL;
    if (status == SW_OK && !names->kinds)
        return SW_NOMEM;
    if (status == SW_OK && names->count > 0)
        status = sw_objects_read(objects, kinds + layout->value.bytes_value, names->kinds, names->count);
    return status;
}

static enum sw_status names_read(struct sw_objects *objects, uint64_t code, struct names *names) {
    const struct sw_layout *layout = sw_objects_layout(objects);
    uint64_t tuple;
    uint64_t kinds;
    if (sw_frame_is_old(objects))
        return names_read_old(objects, code, names);
    enum sw_status status = sw_objects_u64_at(objects, code + layout->code.localsplusnames, &tuple);
    if (status == SW_OK)
        status = sw_objects_u64_at(objects, code + layout->code.localspluskinds, &kinds);
    if (status == SW_OK)
        status = sw_object_items(objects, tuple, SW_LOCALS_MAX, &names->items[0]);
    names->count = names->items[0].count;
    return status == SW_OK ? kinds_read(objects, kinds, names) : status;
}

static uint64_t name_at(const struct names *names, size_t index, bool *is_cell) {
    size_t group = 0;
    size_t at = index;
    while (group < 2 && at >= names->items[group].count)
        at -= names->items[group++].count;
    *is_cell = names->kinds ? names->kinds[index] & KIND_CELL_OR_FREE : group > 0;
    return names->items[group].items[at].value;
}

/* What the slot refers to: the content of a cell, where it is one. 0: unbound. */
static uint64_t slot_content(struct sw_objects *objects, uint64_t slot, bool is_cell) {
    uint64_t object = sw_ref_object(slot);
    uint64_t content;
    if (object == 0 || !is_cell || !sw_object_is(objects, object, "cell"))
        return object ? slot : 0;
    return sw_object_word(objects, object, 0, &content) == SW_OK ? content : 0;
}

static enum sw_status local_add(struct sw_locals *locals, struct sw_str name, uint64_t slot) {
    if (locals->count == locals->cap) {
        size_t cap = locals->cap ? locals->cap * 2 : 16;
        struct sw_local *grown = sw_realloc_array(locals->items, cap, sizeof *grown);
        if (!grown)
            return SW_NOMEM;
        locals->items = grown;
        locals->cap = cap;
    }
    struct sw_str copy = sw_arena_copy(&locals->names, name);
    if (!copy.ptr)
        return SW_NOMEM;
    locals->items[locals->count++] = (struct sw_local){copy, slot};
    return SW_OK;
}

static enum sw_status slots_read(struct sw_objects *objects, const struct sw_frame *frame, size_t count,
                                 uint64_t **slots) {
    *slots = sw_alloc_array(count, sizeof **slots);
    if (!*slots)
        return SW_NOMEM;
    return count > 0 ? sw_objects_read(objects, frame->locals, *slots, count * 8) : SW_OK;
}

static enum sw_status locals_collect(struct sw_objects *objects, const struct sw_frame *frame,
                                     const struct names *names, struct sw_locals *locals) {
    uint64_t *slots = NULL;
    struct sw_buf text = {0};
    enum sw_status status = slots_read(objects, frame, names->count, &slots);
    for (size_t i = 0; i < names->count && status == SW_OK; i++) {
        bool is_cell;
        uint64_t name = name_at(names, i, &is_cell);
        uint64_t content = slot_content(objects, slots[i], is_cell);
        if (!content)
            continue;
        sw_buf_clear(&text);
        status = sw_read_unicode(sw_objects_runtime(objects), name, NAME_CHARS_MAX, &text);
        if (status == SW_OK)
            status = local_add(locals, sw_buf_view(&text), content);
    }
    sw_buf_release(&text);
    sw_free(slots);
    return status;
}

/* The depth of the innermost block; the evaluation stack begins at f_valuestack. */
static enum sw_status handled_old(struct sw_objects *objects, const struct sw_frame *frame, uint64_t *base,
                                  size_t *depth) {
    bool is_3_10 = sw_objects_runtime(objects)->version >= 0x030a0000;
    uint64_t at_count = frame->address + (is_3_10 ? 104 : 112);
    uint64_t at_blocks = frame->address + (is_3_10 ? 112 : 120);
    int32_t count;
    int32_t level;
    enum sw_status status = sw_objects_u64_at(objects, frame->address + SW_OLD_FRAME_VALUESTACK, base);
    if (status == SW_OK)
        status = sw_objects_read(objects, at_count, &count, sizeof count);
    *depth = 0;
    if (status != SW_OK || count <= 0 || count > BLOCKS_MAX)
        return status;
    status = sw_objects_read(objects, at_blocks + (uint64_t)(count - 1) * BLOCK_BYTES + 8, &level, sizeof level);
    if (status == SW_OK && level > 0)
        *depth = (size_t)level;
    return status;
}

/* A number of 6 bits a byte, most significant first; 0x40: another byte follows. */
static uint32_t varint(const unsigned char *bytes, size_t len, size_t *at) {
    uint32_t value = 0;
    for (unsigned i = 0; *at < len && i < 6; i++) {
        unsigned char byte = bytes[(*at)++];
        value = value << 6 | (byte & 0x3f);
        if (!(byte & 0x40))
            break;
    }
    return value;
}

/* The exception table: start, length and target in code units, then depth << 1 | lasti. Ranges do not overlap. */
size_t sw_exception_depth(const unsigned char *table, size_t len, uint32_t unit) {
    for (size_t at = 0; at < len;) {
        uint32_t start = varint(table, len, &at);
        uint32_t length = varint(table, len, &at);
        (void)varint(table, len, &at);
        uint32_t depth = varint(table, len, &at) >> 1;
        if (unit >= start && unit - start < length)
            return depth;
    }
    return 0;
}

/* co_exceptiontable stands right before co_flags in 3.11 to 3.15. */
static enum sw_status handled_new(struct sw_objects *objects, const struct sw_frame *frame, uint64_t *base,
                                  size_t *depth) {
    const struct sw_layout *layout = sw_objects_layout(objects);
    uint64_t table;
    uint64_t length;
    int32_t local_count;
    uint64_t code = frame->code->address;
    enum sw_status status = sw_objects_u64_at(objects, code + layout->code.flags - 8, &table);
    if (status == SW_OK)
        status = sw_objects_u64_at(objects, table + layout->object.var_size, &length);
    if (status == SW_OK)
        status = sw_objects_read(objects, code + layout->code.nlocalsplus, &local_count, sizeof local_count);
    if (status != SW_OK || length > TABLE_BYTES_MAX || local_count < 0 || local_count > SW_LOCALS_MAX)
        return status == SW_OK ? SW_IO : status;
    unsigned char *bytes = sw_alloc((size_t)length);
    if (!bytes)
        return SW_NOMEM;
    *depth = 0;
    if (length > 0)
        status = sw_objects_read(objects, table + layout->value.bytes_value, bytes, (size_t)length);
    if (status == SW_OK && frame->offset >= 0)
        *depth = sw_exception_depth(bytes, (size_t)length, (uint32_t)frame->offset / 2);
    sw_free(bytes);
    *base = frame->locals + (uint64_t)local_count * 8;
    return status;
}

enum sw_status sw_locals_read(struct sw_objects *objects, const struct sw_frame *frame, struct sw_locals *locals) {
    struct names names = {0};
    locals->count = 0;
    sw_arena_reset(&locals->names);
    if (!frame->code)
        return SW_OK;
    enum sw_status status = names_read(objects, frame->code->address, &names);
    if (status == SW_OK)
        status = locals_collect(objects, frame, &names, locals);
    names_release(&names);
    return status;
}

void sw_locals_release(struct sw_locals *locals) {
    sw_free(locals->items);
    sw_arena_release(&locals->names);
    *locals = (struct sw_locals){0};
}

enum sw_status sw_local_get(struct sw_objects *objects, const struct sw_frame *frame, struct sw_str name,
                            uint64_t *object) {
    struct names names = {0};
    if (!frame->code)
        return SW_NOTFOUND;
    enum sw_status status = names_read(objects, frame->code->address, &names);
    enum sw_status found = SW_NOTFOUND;
    for (size_t i = 0; i < names.count && status == SW_OK && found == SW_NOTFOUND; i++) {
        bool is_cell;
        uint64_t slot;
        if (!sw_object_str_is(objects, name_at(&names, i, &is_cell), name))
            continue;
        status = sw_objects_u64_at(objects, frame->locals + i * 8, &slot);
        uint64_t content = status == SW_OK ? sw_ref_object(slot_content(objects, slot, is_cell)) : 0;
        if (content) {
            *object = content;
            found = SW_OK;
        }
    }
    names_release(&names);
    return status == SW_OK ? found : status;
}

enum sw_status sw_frame_handled_slots(struct sw_objects *objects, const struct sw_frame *frame,
                                      uint64_t slots[SW_SLOTS_MAX], size_t *count) {
    uint64_t base = 0;
    size_t depth = 0;
    enum sw_status status = SW_NOTFOUND;
    if (frame->code)
        status = sw_frame_is_old(objects) ? handled_old(objects, frame, &base, &depth)
                                          : handled_new(objects, frame, &base, &depth);
    if (depth > SW_SLOTS_MAX)
        depth = SW_SLOTS_MAX;
    if (status == SW_OK && depth > 0)
        status = sw_objects_read(objects, base, slots, depth * 8);
    if (status == SW_OK)
        *count = depth;
    return status;
}
