/* code_impl.h - What the files that read code objects share, and what the stack reader needs beyond code.h. */
#ifndef SW_PROBE_CODE_IMPL_H
#define SW_PROBE_CODE_IMPL_H

#include <string.h>

#include "base/buf.h"
#include "probe/code.h"

#define SW_CODE_HEADER_MAX 512                           /* bytes of a PyCodeObject up to its bytecode */
#define SW_CODE_TABLE_MAX (size_t)(16 * 1024 * 1024)     /* bytes of a line table */
#define SW_CODE_TEXT_MAX (size_t)(64 * 1024)             /* characters of a name */
#define SW_CODE_OFFSET_MAX (uint32_t)(256 * 1024 * 1024) /* bytes of bytecode */

/* A line table as the target holds it. */
struct sw_line_table {
    enum sw_line_kind kind;
    const unsigned char *bytes;
    size_t len;
    int32_t first_line;
};

/* Appends `struct sw_code_line`s to `out`: by start, neighbours differ in their line, at least one. *size_bytes is how
 * far the table reaches (UINT32_MAX for lnotab, which has no end). A table that is cut short or impossible ends where it
 * stops making sense. */
SW_MUST_USE enum sw_status sw_code_lines_decode(const struct sw_line_table *table, struct sw_buf *out,
                                                uint32_t *size_bytes);

/* When the header was last found unchanged, as the caller counts time; the caller stores it. */
int64_t *sw_code_checked_ns(const struct sw_code *code);
/* Counts entries dropped: while it stands still, every code found before is the one at its address still. */
uint64_t sw_code_drops(const struct sw_code_cache *cache);

static inline uint64_t sw_bytes_u64(const void *bytes, size_t at) {
    uint64_t value;
    memcpy(&value, (const char *)bytes + at, sizeof(value));
    return value;
}

static inline uint32_t sw_bytes_u32(const void *bytes, size_t at) {
    uint32_t value;
    memcpy(&value, (const char *)bytes + at, sizeof(value));
    return value;
}

static inline int32_t sw_bytes_i32(const void *bytes, size_t at) {
    int32_t value;
    memcpy(&value, (const char *)bytes + at, sizeof(value));
    return value;
}

#endif
