/* object.h - Python objects of a target, read and never trusted: types, numbers, containers, attributes.
 *
 * Any address may be given: what is no object is told apart as far as its type can be, and fails with SW_IO. Every loop
 * is bounded. A reader belongs to one runtime and one thread; types are read once and kept, so it should not outlive one
 * look at the target.
 */
#ifndef SW_PROBE_OBJECT_H
#define SW_PROBE_OBJECT_H

#include "probe/runtime.h"

#define SW_TYPE_NAME_MAX 96
#define SW_ITEMS_MAX 65536 /* of one container, empty places included */

/* Bits of tp_flags, the same in 3.8 to 3.15. */
enum sw_type_flag {
    SW_TYPE_INLINE_VALUES = 1 << 2, /* 3.13 on */
    SW_TYPE_MANAGED_DICT = 1 << 4,  /* 3.11 on */
    SW_TYPE_HEAP = 1 << 9,
    SW_TYPE_LONG = 1 << 24,
    SW_TYPE_LIST = 1 << 25,
    SW_TYPE_TUPLE = 1 << 26,
    SW_TYPE_BYTES = 1 << 27,
    SW_TYPE_UNICODE = 1 << 28,
    SW_TYPE_DICT = 1 << 29,
    SW_TYPE_EXCEPTION = 1 << 30,
};
#define SW_TYPE_TYPE (UINT64_C(1) << 31)

struct sw_type {
    uint64_t address;
    uint64_t flags;
    uint64_t basicsize;
    int64_t dictoffset;
    uint64_t keys; /* of instances that share them; 0: none */
    char name[SW_TYPE_NAME_MAX];
};

struct sw_objects; /* the reader */

SW_MUST_USE enum sw_status sw_objects_new(struct sw_objects **objects, const struct sw_runtime *runtime);
void sw_objects_free(struct sw_objects *objects);
const struct sw_runtime *sw_objects_runtime(const struct sw_objects *objects);

/* A slot of a frame as an address: tags cut off. 0: nothing there, or (3.14 on) an integer kept in the slot itself. */
uint64_t sw_ref_object(uint64_t slot);
bool sw_ref_is_int(const struct sw_objects *objects, uint64_t slot, int64_t *value);

/* NULL: there is no object. The result stays valid until the reader is freed. */
const struct sw_type *sw_object_type(struct sw_objects *objects, uint64_t object);
bool sw_type_is(const struct sw_type *type, const char *name); /* false for NULL */
bool sw_object_is(struct sw_objects *objects, uint64_t object, const char *type_name);
/* A word of the object, at `offset` behind its header (PyObject_HEAD). */
SW_MUST_USE enum sw_status sw_object_word(struct sw_objects *objects, uint64_t object, uint32_t offset,
                                          uint64_t *value);
SW_MUST_USE enum sw_status sw_object_i64(struct sw_objects *objects, uint64_t object, int64_t *value); /* an int */
bool sw_object_str_is(struct sw_objects *objects, uint64_t object, struct sw_str text);
/* A C string of at most SW_TYPE_NAME_MAX - 1 printable bytes. */
SW_MUST_USE enum sw_status sw_object_c_string(struct sw_objects *objects, uint64_t address,
                                              char text[SW_TYPE_NAME_MAX]);

struct sw_item {
    uint64_t key; /* of dictionaries only */
    uint64_t value;
};

struct sw_items {
    struct sw_item *items; /* owned; zero is a valid empty value */
    size_t count, cap;
    uint64_t total; /* that the container says it has */
};

/* The first `max` items of a list, tuple, dict, set or frozenset; their kind is taken from the type. */
SW_MUST_USE enum sw_status sw_object_items(struct sw_objects *objects, uint64_t object, size_t max,
                                           struct sw_items *items);
void sw_items_release(struct sw_items *items);

/* SW_NOTFOUND: no such key, attribute or module. Attributes are those of the instance itself. */
SW_MUST_USE enum sw_status sw_dict_get(struct sw_objects *objects, uint64_t dict, struct sw_str key, uint64_t *value);
SW_MUST_USE enum sw_status sw_object_attribute(struct sw_objects *objects, uint64_t object, struct sw_str name,
                                               uint64_t *value);
/* Of a module in the interpreter's sys.modules. */
SW_MUST_USE enum sw_status sw_module_attribute(struct sw_objects *objects, uint64_t interpreter,
                                               const char *const path[2], uint64_t *value);

#endif
