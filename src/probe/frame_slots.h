/* frame_slots.h - What lies in the frames of a target: local variables by name, and what is on the evaluation stack.
 *
 * Frames are those of a stack (stack.h) or of a suspended generator (generator.h). What a running frame holds may change
 * while it is read: results are exact for frames whose thread is blocked or that are suspended.
 */
#ifndef SW_PROBE_FRAME_SLOTS_H
#define SW_PROBE_FRAME_SLOTS_H

#include "probe/object.h"
#include "probe/stack.h"

#define SW_LOCALS_MAX 4096 /* of one frame */
#define SW_SLOTS_MAX 64    /* of one frame's evaluation stack */

struct sw_local {
    struct sw_str name;
    uint64_t slot; /* for sw_value_append; cells are looked through */
};

struct sw_locals {
    struct sw_local *items; /* in the order of the code object; those that are bound */
    size_t count, cap;
    struct sw_arena names;
};

/* All bound local variables of a frame. Reuses `locals`; zero is a valid empty value. */
SW_MUST_USE enum sw_status sw_locals_read(struct sw_objects *objects, const struct sw_frame *frame,
                                          struct sw_locals *locals);
void sw_locals_release(struct sw_locals *locals);
/* One local variable's object; SW_NOTFOUND when it is not there, or unbound. */
SW_MUST_USE enum sw_status sw_local_get(struct sw_objects *objects, const struct sw_frame *frame, struct sw_str name,
                                        uint64_t *object);

/* The slots of the evaluation stack that hold for sure what a `with`, `for` or `try` around the frame's instruction put
 * there: those below the depth to which the innermost handler would unwind (exception table, or block stack up to
 * 3.10). Outermost first; *count is at most SW_SLOTS_MAX. */
SW_MUST_USE enum sw_status sw_frame_handled_slots(struct sw_objects *objects, const struct sw_frame *frame,
                                                  uint64_t slots[SW_SLOTS_MAX], size_t *count);

#endif
