/* value_impl.h - What the files that write values as text share; private to the room. */
#ifndef SW_PROBE_VALUE_IMPL_H
#define SW_PROBE_VALUE_IMPL_H

#include "probe/object_impl.h"
#include "probe/value.h"

struct sw_value_writer {
    struct sw_objects *objects;
    struct sw_buf *out;
    size_t start; /* of this value in `out` */
    enum sw_status status;
};

/* These do nothing once `status` is a failure. */
void sw_value_put(struct sw_value_writer *writer, struct sw_str text);
void sw_value_put_text(struct sw_value_writer *writer, const char *text);
void sw_value_put_unreadable(struct sw_value_writer *writer);
/* Writes what needs no other object: numbers, texts, constants. False: it is of another kind. */
bool sw_value_put_plain(struct sw_value_writer *writer, uint64_t object, const struct sw_type *type);

#endif
