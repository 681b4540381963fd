/* frame_slots_impl.h - Old frames, and the exception table; private to the room. */
#ifndef SW_PROBE_FRAME_SLOTS_IMPL_H
#define SW_PROBE_FRAME_SLOTS_IMPL_H

#include "probe/object.h"

/* In PyFrameObject of 3.8 to 3.10; offsets that the layout tables have no use for elsewhere. */
#define SW_OLD_FRAME_VALUESTACK 64
#define SW_OLD_FRAME_STACKTOP 72   /* 3.8, 3.9: pointer, NULL while it runs */
#define SW_OLD_FRAME_STACKDEPTH 80 /* 3.10: int */

bool sw_frame_is_old(const struct sw_objects *objects); /* up to 3.10 */
/* How deep the evaluation stack is for sure at a code unit, by an exception table; 0 outside of all handlers. */
size_t sw_exception_depth(const unsigned char *table, size_t len, uint32_t unit);

#endif
