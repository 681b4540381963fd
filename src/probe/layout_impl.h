/* layout_impl.h - The tables of src/probe/layouts/, which tools/layouts prints: one for each minor version and kind. */
#ifndef SW_PROBE_LAYOUT_IMPL_H
#define SW_PROBE_LAYOUT_IMPL_H

#include "probe/layout.h"

/* The initialiser of a table's member asyncio, which the target's own section .AsyncioDebug fills. */
#define SW_LAYOUT_NO_ASYNCIO \
    false, SW_ABSENT, SW_ABSENT, SW_ABSENT, SW_ABSENT, SW_ABSENT, SW_ABSENT, SW_ABSENT, SW_ABSENT, SW_ABSENT, SW_ABSENT

/* minor version, letter behind it, free-threaded */
#define SW_LAYOUT_LIST(X) \
    X(8, , false) \
    X(9, , false) \
    X(10, , false) \
    X(11, , false) \
    X(12, , false) \
    X(13, , false) \
    X(13, t, true) \
    X(14, , false) \
    X(14, t, true) \
    X(15, , false) \
    X(15, t, true)

#define SW_LAYOUT_DECLARATION(minor, letter, is_free_threaded) \
    extern const struct sw_layout sw_layout_3_##minor##letter;
SW_LAYOUT_LIST(SW_LAYOUT_DECLARATION)
#undef SW_LAYOUT_DECLARATION

#define SW_MINOR_FIRST 8
#define SW_MINOR_LAST 15
#define SW_MINOR_FIRST_DEBUG 13 /* from here on the target carries _Py_DebugOffsets */

/* The release's own table, also of those that carry their offsets; NULL: none. */
const struct sw_layout *sw_layout_table(uint32_t version, bool is_free_threaded);

/* From the bytes of section .AsyncioDebug; SW_MALFORMED when an offset is impossible. */
#define SW_ASYNCIO_DEBUG_BYTES 104
SW_MUST_USE enum sw_status sw_layout_add_asyncio(const void *bytes, struct sw_layout *layout);

#endif
