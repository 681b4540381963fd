/* code.h - Code objects of a target: names and line tables, read once and kept.
 *
 * A cache belongs to one runtime and one thread. Entries are found by the address of the code object and checked against
 * its fingerprint (version, first line, pointers of file name, name and line table), as an address may be used again.
 */
#ifndef SW_PROBE_CODE_H
#define SW_PROBE_CODE_H

#include "probe/runtime.h"

struct sw_code {
    uint64_t address;
    uint64_t fingerprint;
    uint32_t id; /* counts up from 1 in the cache: never used again for other code */
    int32_t first_line;
    uint32_t size_bytes; /* of the bytecode, as far as the line table covers it */
    struct sw_str name;  /* qualified from 3.11 on */
    struct sw_str file;
    const struct sw_code_line *lines; /* by start */
    size_t line_count;
};

struct sw_code_line {
    uint32_t start; /* byte offset of the first instruction; up to the next entry's start */
    int32_t line;   /* 0: none */
};

struct sw_code_cache;

SW_MUST_USE enum sw_status sw_code_cache_new(struct sw_code_cache **cache, const struct sw_runtime *runtime);
void sw_code_cache_free(struct sw_code_cache *cache);
/* Reads the code object, or finds it in the cache without any read. The result stays valid and unchanged until the
 * cache is freed. SW_IO: it is not a code object (any more). */
SW_MUST_USE enum sw_status sw_code_get(struct sw_code_cache *cache, uint64_t address, const struct sw_code **code);
/* Drops the entry at an address when `header` (layout.code.size bytes just read there) no longer has its fingerprint;
 * true if it did still. */
bool sw_code_check(struct sw_code_cache *cache, uint64_t address, const void *header);
void sw_code_forget_all(struct sw_code_cache *cache); /* addresses; codes handed out stay valid */
/* The line at a byte offset into the bytecode; negative: before the first instruction. 0: none. */
int32_t sw_code_line(const struct sw_code *code, int32_t offset);

/* Reads a str object's text as UTF-8, at most `max_chars` characters. Appends to `out`. */
SW_MUST_USE enum sw_status sw_read_unicode(const struct sw_runtime *runtime, uint64_t address, size_t max_chars,
                                           struct sw_buf *out);

#endif
