/* csv_index.h - Where the fields and rows of plain csv text end, found 64 bytes at a time.
 *
 * After simdcsv (Langdale) and the structural index of simdjson: compare a block with the delimiter, the newline and
 * the quote, turn the bit masks into positions. Text from the first quote on is left to the careful decoder.
 */
#ifndef SW_ENGINE_CSV_INDEX_H
#define SW_ENGINE_CSV_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"

/* 8 KiB of ticks are about 290 rows: text and positions stay in the first-level cache until their columns are read. */
#define SW_CSV_CHUNK 8192u
#define SW_CSV_FRONT 16u /* entries before the first, of which [-1] is read as "the newline before the chunk" */
#define SW_CSV_SLACK 64u /* entries that may be written behind the last */

struct sw_csv_index {
    uint32_t end_count;
    uint32_t row_count;
    bool has_cr; /* there may be a CR before a newline */
    uint32_t
        end_store[SW_CSV_FRONT + SW_CSV_CHUNK + SW_CSV_SLACK]; /* positions of delimiters and newlines, ascending */
    uint32_t rows[SW_CSV_CHUNK + SW_CSV_SLACK];                /* positions of newlines */
};

/* Indexes [ptr, ptr + len) up to the first quote, len at most SW_CSV_CHUNK; 64 bytes behind the end must be readable.
 */
typedef void (*sw_csv_index_fn)(struct sw_csv_index *index, const char *ptr, uint32_t len, char delimiter);

sw_csv_index_fn sw_csv_index_for(enum sw_cpu_level level);

static inline uint32_t *sw_csv_index_ends(struct sw_csv_index *index) {
    return index->end_store + SW_CSV_FRONT;
}

#endif
