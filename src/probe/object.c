/* object.c - Types, numbers and text of a target's objects. */
#include "probe/object.h"

#include "base/hash.h"
#include "base/mem.h"
#include "probe/code.h"
#include "probe/object_impl.h"

#define TYPES_FIRST 256
#define TYPES_MAX 65536 /* no program of this machine had above 20,000 */
#define BASICSIZE_MAX (1 << 24)
#define TYPE_BYTES_MAX 1280
#define INT_DIGITS_MAX 3 /* 30 bits each: more than an int64 */

uint64_t sw_objects_u64(const void *bytes, size_t at) {
    uint64_t value;
    memcpy(&value, (const char *)bytes + at, sizeof value);
    return value;
}

const struct sw_layout *sw_objects_layout(const struct sw_objects *objects) {
    return &objects->runtime->layout;
}

enum sw_status sw_objects_read(const struct sw_objects *objects, uint64_t address, void *into, size_t size_bytes) {
    if (address < SW_ADDRESS_MIN || address > SW_ADDRESS_MAX)
        return SW_IO;
    return sw_target_read(objects->runtime->target, address, into, size_bytes);
}

enum sw_status sw_objects_u64_at(const struct sw_objects *objects, uint64_t address, uint64_t *value) {
    return sw_objects_read(objects, address, value, sizeof *value);
}

enum sw_status sw_objects_new(struct sw_objects **objects, const struct sw_runtime *runtime) {
    struct sw_objects *made = sw_alloc_zero(sizeof *made);
    if (!made)
        return SW_NOMEM;
    made->runtime = runtime;
    made->type_cap = TYPES_FIRST;
    made->types = sw_alloc_array_zero(made->type_cap, sizeof *made->types);
    if (!made->types) {
        sw_free(made);
        return SW_NOMEM;
    }
    *objects = made;
    return SW_OK;
}

void sw_objects_free(struct sw_objects *objects) {
    if (!objects)
        return;
    sw_free(objects->types);
    sw_arena_release(&objects->arena);
    sw_buf_release(&objects->text);
    sw_items_release(&objects->lookup);
    sw_free(objects);
}

const struct sw_runtime *sw_objects_runtime(const struct sw_objects *objects) {
    return objects->runtime;
}

uint64_t sw_ref_object(uint64_t slot) {
    return (slot & 3) == 3 ? 0 : slot & ~UINT64_C(3);
}

bool sw_ref_is_int(const struct sw_objects *objects, uint64_t slot, int64_t *value) {
    if ((slot & 3) != 3 || objects->runtime->version < 0x030e0000)
        return false;
    *value = (int64_t)slot >> 2;
    return true;
}

enum sw_status sw_object_c_string(struct sw_objects *objects, uint64_t address, char text[SW_TYPE_NAME_MAX]) {
    size_t len = 0;
    while (len < SW_TYPE_NAME_MAX) { /* in pieces that end at 64-byte boundaries: no page is read without need */
        size_t count = 64 - (address + len) % 64;
        if (count > SW_TYPE_NAME_MAX - len)
            count = SW_TYPE_NAME_MAX - len;
        enum sw_status status = sw_objects_read(objects, address + len, text + len, count);
        if (status != SW_OK)
            return status;
        for (size_t i = len; i < len + count; i++) {
            if (text[i] == '\0')
                return i > 0 ? SW_OK : SW_IO;
            if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
                return SW_IO;
        }
        len += count;
    }
    text[SW_TYPE_NAME_MAX - 1] = '\0';
    return SW_OK;
}

static const struct sw_type **type_slot(const struct sw_type **types, size_t cap, uint64_t address) {
    size_t at = sw_hash_u64(address) & (cap - 1);
    while (types[at] && types[at]->address != address)
        at = (at + 1) & (cap - 1);
    return &types[at];
}

static enum sw_status types_grow(struct sw_objects *objects) {
    size_t cap = objects->type_cap * 2;
    const struct sw_type **types = cap <= TYPES_MAX ? sw_alloc_array_zero(cap, sizeof *types) : NULL;
    if (!types)
        return SW_NOMEM;
    for (size_t i = 0; i < objects->type_cap; i++)
        if (objects->types[i])
            *type_slot(types, cap, objects->types[i]->address) = objects->types[i];
    sw_free(objects->types);
    objects->types = types;
    objects->type_cap = cap;
    return SW_OK;
}

/* SW_IO where the bytes cannot be a type: no name, or an impossible size. */
static enum sw_status type_read(struct sw_objects *objects, uint64_t address, struct sw_type *type) {
    const struct sw_layout *layout = sw_objects_layout(objects);
    unsigned char bytes[TYPE_BYTES_MAX];
    if (layout->type.size > sizeof bytes)
        return SW_UNSUPPORTED;
    enum sw_status status = sw_objects_read(objects, address, bytes, layout->type.size);
    if (status != SW_OK)
        return status;
    *type = (struct sw_type){
        .address = address,
        .flags = sw_objects_u64(bytes, layout->type.flags),
        .basicsize = sw_objects_u64(bytes, layout->type.basicsize),
        .dictoffset = (int64_t)sw_objects_u64(bytes, layout->type.dictoffset),
    };
    if (type->basicsize < layout->object.size || type->basicsize > BASICSIZE_MAX)
        return SW_IO;
    if (type->flags & SW_TYPE_HEAP && layout->type.cached_keys != SW_ABSENT &&
        sw_objects_u64_at(objects, address + layout->type.cached_keys, &type->keys) != SW_OK)
        type->keys = 0;
    return sw_object_c_string(objects, sw_objects_u64(bytes, layout->type.name), type->name);
}

static const struct sw_type *type_get(struct sw_objects *objects, uint64_t address) {
    const struct sw_type **slot = type_slot(objects->types, objects->type_cap, address);
    if (*slot)
        return *slot;
    struct sw_type seen;
    if (type_read(objects, address, &seen) != SW_OK)
        return NULL;
    if (objects->type_count * 2 >= objects->type_cap) {
        if (types_grow(objects) != SW_OK)
            return NULL;
        slot = type_slot(objects->types, objects->type_cap, address);
    }
    struct sw_type *kept = sw_arena_alloc(&objects->arena, sizeof *kept);
    if (!kept)
        return NULL;
    *kept = seen;
    *slot = kept;
    objects->type_count++;
    return kept;
}

const struct sw_type *sw_object_type(struct sw_objects *objects, uint64_t object) {
    uint64_t type;
    if (object % 8 != 0 ||
        sw_objects_u64_at(objects, object + sw_objects_layout(objects)->object.ob_type, &type) != SW_OK ||
        type % 8 != 0 || type < SW_ADDRESS_MIN)
        return NULL;
    return type_get(objects, type);
}

bool sw_type_is(const struct sw_type *type, const char *name) {
    return type && strcmp(type->name, name) == 0;
}

bool sw_object_is(struct sw_objects *objects, uint64_t object, const char *type_name) {
    return sw_type_is(sw_object_type(objects, object), type_name);
}

enum sw_status sw_object_word(struct sw_objects *objects, uint64_t object, uint32_t offset, uint64_t *value) {
    if (object < SW_ADDRESS_MIN)
        return SW_IO;
    return sw_objects_u64_at(objects, object + sw_objects_layout(objects)->object.size + offset, value);
}

enum sw_status sw_objects_digits(struct sw_objects *objects, uint64_t object, uint64_t *count, bool *is_negative) {
    uint64_t tag;
    enum sw_status status = sw_objects_u64_at(objects, object + sw_objects_layout(objects)->value.long_tag, &tag);
    if (status != SW_OK)
        return status;
    if (objects->runtime->version >= 0x030c0000) {
        *count = tag >> 3;
        *is_negative = (tag & 3) == 2;
        if ((tag & 3) == 1) /* zero */
            *count = 0;
    } else {
        *is_negative = (int64_t)tag < 0;
        *count = *is_negative ? -tag : tag;
    }
    return SW_OK;
}

enum sw_status sw_object_i64(struct sw_objects *objects, uint64_t object, int64_t *value) {
    const struct sw_type *type = sw_object_type(objects, object);
    uint64_t count;
    bool is_negative;
    if (!type || !(type->flags & SW_TYPE_LONG))
        return SW_IO;
    enum sw_status status = sw_objects_digits(objects, object, &count, &is_negative);
    if (status == SW_OK && count > INT_DIGITS_MAX)
        status = SW_LIMIT;
    uint32_t digits[INT_DIGITS_MAX] = {0};
    if (status == SW_OK && count > 0)
        status = sw_objects_read(objects, object + sw_objects_layout(objects)->value.long_digit, digits, count * 4);
    if (status != SW_OK)
        return status;
    if (digits[2] > 7)
        return SW_LIMIT;
    uint64_t sum = (uint64_t)digits[0] + ((uint64_t)digits[1] << 30) + ((uint64_t)digits[2] << 60);
    if (sum > (uint64_t)INT64_MAX)
        return SW_LIMIT;
    *value = is_negative ? -(int64_t)sum : (int64_t)sum;
    return SW_OK;
}

bool sw_object_str_is(struct sw_objects *objects, uint64_t object, struct sw_str text) {
    sw_buf_clear(&objects->text);
    return sw_read_unicode(objects->runtime, object, text.len + 1, &objects->text) == SW_OK &&
           sw_str_eq(sw_buf_view(&objects->text), text);
}
