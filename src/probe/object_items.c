/* object_items.c - The items of a target's containers, and attributes of its instances and modules. */
#include "base/mem.h"
#include "probe/object_impl.h"

#define CHUNK_BYTES 49152 /* a multiple of the sizes of all entries */
#define KEYS_HEADER_MAX 64
#define KEYS_LOG2_MAX 32

/* Where the entries of a dictionary's keys are. */
struct entries {
    uint64_t address;
    uint64_t count;
    size_t stride;
    size_t key_at, value_at;
};

static enum sw_status item_add(struct sw_items *items, uint64_t key, uint64_t value) {
    if (items->count == items->cap) {
        size_t cap = items->cap ? items->cap * 2 : 16;
        struct sw_item *grown = sw_realloc_array(items->items, cap, sizeof *grown);
        if (!grown)
            return SW_NOMEM;
        items->items = grown;
        items->cap = cap;
    }
    items->items[items->count++] = (struct sw_item){key, value};
    return SW_OK;
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* The words of a list or tuple. */
static enum sw_status words_read(struct sw_objects *objects, uint64_t address, size_t count, struct sw_items *items) {
    uint64_t words[512];
    enum sw_status status = SW_OK;
    for (size_t at = 0; at < count && status == SW_OK;) {
        size_t part = least(count - at, sizeof words / sizeof words[0]);
        status = sw_objects_read(objects, address + at * 8, words, part * 8);
        for (size_t i = 0; i < part && status == SW_OK; i++)
            status = item_add(items, 0, words[i]);
        at += part;
    }
    return status;
}

static enum sw_status tuple_read(struct sw_objects *objects, uint64_t object, size_t max, struct sw_items *items) {
    const struct sw_layout *layout = sw_objects_layout(objects);
    uint64_t count;
    enum sw_status status = sw_objects_u64_at(objects, object + layout->object.var_size, &count);
    if (status != SW_OK || count > (uint64_t)INT64_MAX)
        return status == SW_OK ? SW_IO : status;
    items->total = count;
    return words_read(objects, object + layout->value.tuple_item, (size_t)least(count, max), items);
}

static enum sw_status list_read(struct sw_objects *objects, uint64_t object, size_t max, struct sw_items *items) {
    const struct sw_layout *layout = sw_objects_layout(objects);
    uint64_t count;
    uint64_t first = 0;
    enum sw_status status = sw_objects_u64_at(objects, object + layout->object.var_size, &count);
    if (status == SW_OK && count > 0)
        status = sw_objects_u64_at(objects, object + layout->value.list_item, &first);
    if (status != SW_OK || count > (uint64_t)INT64_MAX)
        return status == SW_OK ? SW_IO : status;
    items->total = count;
    return words_read(objects, first, (size_t)least(count, max), items);
}

/* Calls for the entries that are used: those with a value (dictionaries), or a live key (sets). */
static enum sw_status entries_read(struct sw_objects *objects, const struct entries *entries, size_t max,
                                   struct sw_items *items) {
    enum sw_status status = SW_OK;
    char *chunk = sw_alloc(CHUNK_BYTES);
    if (!chunk)
        return SW_NOMEM;
    uint64_t count = least(entries->count, SW_ITEMS_MAX);
    for (uint64_t at = 0; at < count && items->count < max && status == SW_OK;) {
        size_t part = (size_t)least(count - at, items->total < 16 ? 64 : CHUNK_BYTES / entries->stride);
        status = sw_objects_read(objects, entries->address + at * entries->stride, chunk, part * entries->stride);
        for (size_t i = 0; i < part && items->count < max && status == SW_OK; i++) {
            uint64_t key = sw_objects_u64(chunk, i * entries->stride + entries->key_at);
            uint64_t value = sw_objects_u64(chunk, i * entries->stride + entries->value_at);
            if (key && value)
                status = item_add(items, key, value);
        }
        at += part;
    }
    sw_free(chunk);
    return status;
}

/* Dictionary keys: up to 3.10 entries are hash, key, value; from 3.11 on tables with only str keys leave the hash out. */
static enum sw_status keys_describe(struct sw_objects *objects, uint64_t keys, struct entries *entries) {
    const struct sw_layout *layout = sw_objects_layout(objects);
    unsigned char bytes[KEYS_HEADER_MAX];
    if (layout->value.keys_indices > sizeof bytes)
        return SW_UNSUPPORTED;
    enum sw_status status = sw_objects_read(objects, keys, bytes, layout->value.keys_indices);
    if (status != SW_OK)
        return status;
    bool has_hash = true;
    uint64_t index_bytes;
    if (layout->value.keys_size != SW_ABSENT) {
        uint64_t size = sw_objects_u64(bytes, layout->value.keys_size);
        if (size > UINT64_C(1) << KEYS_LOG2_MAX)
            return SW_IO;
        index_bytes = size * (size <= 0xff ? 1 : size <= 0xffff ? 2 : size <= 0xffffffff ? 4 : 8);
    } else {
        unsigned log2_index_bytes = bytes[layout->value.keys_log2_index_bytes];
        if (log2_index_bytes > KEYS_LOG2_MAX + 3)
            return SW_IO;
        index_bytes = UINT64_C(1) << log2_index_bytes;
        has_hash = bytes[layout->value.keys_kind] == 0;
    }
    *entries = (struct entries){
        .address = keys + layout->value.keys_indices + index_bytes,
        .count = sw_objects_u64(bytes, layout->value.keys_nentries),
        .stride = has_hash ? 24 : 16,
        .key_at = has_hash ? 8 : 0,
        .value_at = has_hash ? 16 : 8,
    };
    return entries->count > UINT64_C(1) << KEYS_LOG2_MAX ? SW_IO : SW_OK;
}

/* Keys are in one place, values in another: dictionaries that share their keys, and values kept in the instance. */
static enum sw_status split_read(struct sw_objects *objects, uint64_t keys, uint64_t values, struct sw_items *items) {
    struct entries entries;
    enum sw_status status = keys_describe(objects, keys, &entries);
    uint64_t count = status == SW_OK ? least(entries.count, SW_ITEMS_MAX) : 0;
    for (uint64_t i = 0; i < count && status == SW_OK; i++) {
        uint64_t key;
        uint64_t value;
        status = sw_objects_u64_at(objects, entries.address + i * entries.stride + entries.key_at, &key);
        if (status == SW_OK)
            status = sw_objects_u64_at(objects, values + i * 8, &value);
        if (status == SW_OK && key && value)
            status = item_add(items, key, value);
    }
    return status;
}

/* From 3.13 on four bytes (capacity, size, embedded, valid) and padding stand before the values. */
static uint64_t values_of(const struct sw_objects *objects, uint64_t address) {
    return address + (sw_objects_runtime(objects)->version >= 0x030d0000 ? 8 : 0);
}

static enum sw_status dict_read(struct sw_objects *objects, uint64_t dict, size_t max, struct sw_items *items) {
    const struct sw_layout *layout = sw_objects_layout(objects);
    uint64_t keys;
    uint64_t values;
    struct entries entries;
    enum sw_status status = sw_objects_u64_at(objects, dict + layout->value.dict_used, &items->total);
    if (status == SW_OK)
        status = sw_objects_u64_at(objects, dict + layout->value.dict_keys, &keys);
    if (status == SW_OK)
        status = sw_objects_u64_at(objects, dict + layout->value.dict_values, &values);
    if (status != SW_OK || items->total == 0)
        return status;
    if (values) {
        status = split_read(objects, keys, values_of(objects, values), items);
        if (items->count > max)
            items->count = max;
        return status;
    }
    status = keys_describe(objects, keys, &entries);
    return status == SW_OK ? entries_read(objects, &entries, max, items) : status;
}

/* Entries of sets are key and hash; what was removed left a dummy, an object of no use, with hash -1. */
static enum sw_status set_read(struct sw_objects *objects, uint64_t set, size_t max, struct sw_items *items) {
    const struct sw_layout *layout = sw_objects_layout(objects);
    uint64_t mask;
    struct entries entries = {.stride = 16, .key_at = 0, .value_at = 0};
    enum sw_status status = sw_objects_u64_at(objects, set + layout->value.set_used, &items->total);
    if (status == SW_OK)
        status = sw_objects_u64_at(objects, set + layout->value.set_mask, &mask);
    if (status == SW_OK)
        status = sw_objects_u64_at(objects, set + layout->value.set_table, &entries.address);
    if (status != SW_OK || items->total == 0)
        return status;
    entries.count = mask + 1;
    struct sw_items seen = {.total = items->total};
    status = entries_read(objects, &entries, max < SW_ITEMS_MAX / 2 ? max * 2 : SW_ITEMS_MAX, &seen);
    for (size_t i = 0; i < seen.count && items->count < max && status == SW_OK; i++) {
        const struct sw_type *type = sw_object_type(objects, seen.items[i].value);
        if (!(sw_type_is(type, "object") && !(type->flags & SW_TYPE_HEAP)))
            status = item_add(items, 0, seen.items[i].value);
    }
    sw_items_release(&seen);
    return status;
}

/* The instance's own dictionary, or where its values are kept without one; both 0 when it has no attributes. */
static enum sw_status instance_places(struct sw_objects *objects, uint64_t object, const struct sw_type *type,
                                      uint64_t places[2]) {
    const struct sw_runtime *runtime = sw_objects_runtime(objects);
    uint64_t *dict = &places[0];
    uint64_t *values = &places[1];
    *dict = 0;
    *values = 0;
    if (!(type->flags & SW_TYPE_MANAGED_DICT) || runtime->version < 0x030b0000)
        return type->dictoffset > 0 ? sw_objects_u64_at(objects, object + (uint64_t)type->dictoffset, dict) : SW_OK;
    enum sw_status status = sw_objects_u64_at(objects, object - (runtime->is_free_threaded ? 8 : 24), dict);
    if (status != SW_OK)
        return status;
    if (runtime->version < 0x030c0000)
        return sw_objects_u64_at(objects, object - 32, values);
    if (runtime->version < 0x030d0000) { /* one word for both, told apart by its lowest bit */
        *values = *dict & 1 ? *dict + 1 : 0;
        *dict = *dict & 1 ? 0 : *dict;
        return SW_OK;
    }
    if (*dict == 0 && type->flags & SW_TYPE_INLINE_VALUES)
        *values = object + type->basicsize;
    return SW_OK;
}

static enum sw_status find_key(struct sw_objects *objects, const struct sw_items *items, struct sw_str name,
                               uint64_t *value) {
    for (size_t i = 0; i < items->count; i++)
        if (sw_object_str_is(objects, items->items[i].key, name)) {
            *value = items->items[i].value;
            return SW_OK;
        }
    return SW_NOTFOUND;
}

enum sw_status sw_object_items(struct sw_objects *objects, uint64_t object, size_t max, struct sw_items *items) {
    const struct sw_type *type = sw_object_type(objects, object);
    items->count = 0;
    items->total = 0;
    if (!type)
        return SW_IO;
    if (type->flags & SW_TYPE_TUPLE)
        return tuple_read(objects, object, max, items);
    if (type->flags & SW_TYPE_LIST)
        return list_read(objects, object, max, items);
    if (type->flags & SW_TYPE_DICT)
        return dict_read(objects, object, max, items);
    if (sw_type_is(type, "set") || sw_type_is(type, "frozenset"))
        return set_read(objects, object, max, items);
    return SW_INVALID;
}

void sw_items_release(struct sw_items *items) {
    sw_free(items->items);
    *items = (struct sw_items){0};
}

enum sw_status sw_dict_get(struct sw_objects *objects, uint64_t dict, struct sw_str key, uint64_t *value) {
    const struct sw_type *type = sw_object_type(objects, dict);
    if (!type || !(type->flags & SW_TYPE_DICT))
        return SW_IO;
    enum sw_status status = sw_object_items(objects, dict, SW_ITEMS_MAX, &objects->lookup);
    return status == SW_OK ? find_key(objects, &objects->lookup, key, value) : status;
}

enum sw_status sw_object_attribute(struct sw_objects *objects, uint64_t object, struct sw_str name, uint64_t *value) {
    const struct sw_type *type = sw_object_type(objects, object);
    uint64_t places[2];
    if (!type)
        return SW_IO;
    enum sw_status status = instance_places(objects, object, type, places);
    if (status != SW_OK)
        return status;
    if (places[0])
        return sw_dict_get(objects, places[0], name, value);
    if (!places[1] || !type->keys)
        return SW_NOTFOUND;
    objects->lookup.count = 0;
    status = split_read(objects, type->keys, values_of(objects, places[1]), &objects->lookup);
    return status == SW_OK ? find_key(objects, &objects->lookup, name, value) : status;
}

enum sw_status sw_module_attribute(struct sw_objects *objects, uint64_t interpreter, const char *const path[2],
                                   uint64_t *value) {
    uint64_t modules;
    uint64_t module;
    uint64_t dict;
    enum sw_status status =
        sw_objects_u64_at(objects, interpreter + sw_objects_layout(objects)->interpreter.modules, &modules);
    if (status == SW_OK)
        status = sw_dict_get(objects, modules, sw_str_from(path[0]), &module);
    if (status == SW_OK)
        status = sw_object_word(objects, module, 0, &dict);
    return status == SW_OK ? sw_dict_get(objects, dict, sw_str_from(path[1]), value) : status;
}
