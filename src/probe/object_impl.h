/* object_impl.h - What the object readers of the probe share; private to the room. */
#ifndef SW_PROBE_OBJECT_IMPL_H
#define SW_PROBE_OBJECT_IMPL_H

#include "base/arena.h"
#include "base/buf.h"
#include "probe/object.h"

/* User addresses: nothing is mapped in the first page, nor above 47 bits (x86-64) or 52 bits (aarch64). */
#define SW_ADDRESS_MIN 4096
#define SW_ADDRESS_MAX (UINT64_C(1) << 52)

struct sw_objects {
    const struct sw_runtime *runtime;
    const struct sw_type **types; /* by address, open addressing */
    size_t type_count, type_cap;
    struct sw_arena arena;
    struct sw_buf text;     /* scratch of sw_object_str_is */
    struct sw_items lookup; /* scratch of sw_dict_get */
};

const struct sw_layout *sw_objects_layout(const struct sw_objects *objects);
uint64_t sw_objects_u64(const void *bytes, size_t at);
enum sw_status sw_objects_read(const struct sw_objects *objects, uint64_t address, void *into, size_t size_bytes);
enum sw_status sw_objects_u64_at(const struct sw_objects *objects, uint64_t address, uint64_t *value);
/* How many 30-bit digits an int has, and its sign. */
enum sw_status sw_objects_digits(struct sw_objects *objects, uint64_t object, uint64_t *count, bool *is_negative);

#endif
