/* jsonl_shape.h - What JSON rows of one stream have in common: the bytes between their values.
 *
 * Programs write one row like the next: same keys, same order, same blanks. So the bytes before each value of a row
 * that the strict reader has accepted are kept, and a row that repeats them needs only its values read. It has the same
 * keys and nesting then, and is as well-formed as the one it was learned from.
 */
#ifndef SW_ENGINE_JSONL_SHAPE_H
#define SW_ENGINE_JSONL_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/decoder_impl.h"

#define SW_SHAPE_VALUES 64u
#define SW_SHAPE_GAP_MAX \
    48u /* bytes between two values; less than SW_DECODER_PAD, so that they may be compared past the line's end */

struct sw_shape_gap {
    uint64_t head[2], mask[2]; /* the first 16 bytes */
    uint32_t len;
    char bytes[SW_SHAPE_GAP_MAX];
};

struct sw_shape {
    uint32_t value_count; /* 0: nothing learned */
    bool is_learning;
    const char *at;                                     /* end of the last value while learning */
    struct sw_shape_gap gaps[SW_SHAPE_VALUES + 1];      /* before each value, and behind the last */
    const struct sw_field *fields[SW_SHAPE_VALUES + 1]; /* NULL: nobody wants it */
};

void sw_shape_begin(struct sw_shape *shape, const char *line);
void sw_shape_value(struct sw_shape *shape, const char *start, const char *end, const struct sw_field *field);
void sw_shape_end(struct sw_shape *shape, const char *line_end);

/* Whether the bytes at `ptr` are the gap; SW_DECODER_PAD must be readable. */
static inline bool sw_shape_gap_is(const struct sw_shape_gap *gap, const char *ptr) {
    uint64_t head[2];
    memcpy(head, ptr, sizeof head);
    uint64_t differ = ((head[0] ^ gap->head[0]) & gap->mask[0]) | ((head[1] ^ gap->head[1]) & gap->mask[1]);
    return differ == 0 && (gap->len <= 16 || memcmp(ptr + 16, gap->bytes + 16, gap->len - 16) == 0);
}

#endif
