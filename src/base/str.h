/* str.h - A view of bytes: (pointer, length), not owned, not NUL-terminated. */
#ifndef SW_BASE_STR_H
#define SW_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"

struct sw_str {
    const char *ptr;
    size_t len;
};

#define SW_STR(literal) ((struct sw_str){(literal), sizeof(literal) - 1})
/* For printf: printf("%" SW_STR_FMT, SW_STR_ARG(text)). */
#define SW_STR_FMT ".*s"
#define SW_STR_ARG(text) (int)(text).len, (text).ptr

static inline struct sw_str sw_str_make(const char *ptr, size_t len) {
    return (struct sw_str){ptr, len};
}

struct sw_str sw_str_from(const char *nul_terminated); /* NULL gives the empty string */
bool sw_str_eq(struct sw_str a, struct sw_str b);
bool sw_str_eq_nocase(struct sw_str a, struct sw_str b); /* ASCII only */
int sw_str_compare(struct sw_str a, struct sw_str b);    /* bytewise; a prefix sorts first */
bool sw_str_starts(struct sw_str text, struct sw_str prefix);
bool sw_str_ends(struct sw_str text, struct sw_str suffix);
struct sw_str sw_str_trim(struct sw_str text); /* spaces and tabs at both ends */
struct sw_str sw_str_skip(struct sw_str text, size_t count);
/* Index of the first `byte`, or text.len. */
size_t sw_str_find(struct sw_str text, char byte);
/* Splits at the first `separator`: returns what stands before it and moves *rest behind it. Without a separator the whole
 * is returned and *rest becomes {NULL, 0}, so `while (rest.ptr)` visits every field, empty ones too. */
struct sw_str sw_str_cut(struct sw_str *rest, char separator);

/* The whole of `text` must be the number. SW_MALFORMED where it is not, SW_LIMIT where it does not fit. */
SW_MUST_USE enum sw_status sw_str_to_u64(struct sw_str text, uint64_t *value);
SW_MUST_USE enum sw_status sw_str_to_i64(struct sw_str text, int64_t *value);
/* "250ms", "1s", "10m", "2h", "1d", "50us", "10ns", "1.5s"; a unit is required (except "0"). Not negative. */
SW_MUST_USE enum sw_status sw_str_to_duration_ns(struct sw_str text, int64_t *duration_ns);
/* "64KiB", "10MiB", "1GiB", "100kB", "4096"; binary and decimal suffixes. */
SW_MUST_USE enum sw_status sw_str_to_size_bytes(struct sw_str text, uint64_t *size_bytes);

#endif
