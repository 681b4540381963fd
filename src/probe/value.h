/* value.h - A Python object of a target as text, much as repr() would give it, without running any of its code.
 *
 * Long texts and containers are cut and say so with "..."; what cannot be read is <unreadable>. Nothing that the target
 * holds makes this fail, loop or write more than SW_VALUE_BYTES_MAX bytes and a few.
 */
#ifndef SW_PROBE_VALUE_H
#define SW_PROBE_VALUE_H

#include "base/buf.h"
#include "probe/object.h"

#define SW_VALUE_BYTES_MAX 2000
#define SW_VALUE_DEPTH_MAX 2   /* containers in containers */
#define SW_VALUE_ITEMS_MAX 8   /* of each container */
#define SW_VALUE_CHARS_MAX 120 /* of each str or bytes */

/* Appends the text of a slot of a frame, or of an object's address (which is the same without tags). SW_NOMEM only. */
SW_MUST_USE enum sw_status sw_value_append(struct sw_objects *objects, uint64_t slot, struct sw_buf *out);
/* Appends a str object's text as it is, control characters as '?'; SW_IO when it is none. */
SW_MUST_USE enum sw_status sw_value_append_str(struct sw_objects *objects, uint64_t object, size_t max_chars,
                                               struct sw_buf *out);

#endif
