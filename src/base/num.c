/* num.c - Integers to decimal text and back. */
#include "base/num.h"

#include <stdbool.h>
#include <string.h>

#include "base/num_impl.h"

#define BLOCK 100000000 /* eight digits */

static inline bool is_digit(char byte) {
    return (unsigned char)(byte - '0') <= 9;
}

/* A block without its leading zeros; writes eight bytes and returns how many of them count. */
static inline size_t put_first_block(uint32_t value, char *out) {
    uint64_t digits = sw_num_to_digits(value);
    unsigned zeros = (unsigned)__builtin_ctzll(digits | UINT64_C(1) << 56) / 8; /* the last digit stays, even 0 */
    sw_num_put_digits(digits >> (8 * zeros), out);
    return 8 - zeros;
}

static size_t put_later_blocks(uint64_t value, char *out) {
    uint64_t high = value / BLOCK;
    size_t len;
    if (high < BLOCK) {
        len = put_first_block((uint32_t)high, out);
    } else {
        len = put_first_block((uint32_t)(high / BLOCK), out);
        sw_num_put_digits(sw_num_to_digits((uint32_t)(high % BLOCK)), out + len);
        len += 8;
    }
    sw_num_put_digits(sw_num_to_digits((uint32_t)(value % BLOCK)), out + len);
    return len + 8;
}

const char *sw_num_parse_i64(const char *ptr, const char *end, int64_t *value) {
    bool is_negative = ptr < end && *ptr == '-';
    const char *digits = ptr + is_negative;
    const char *at = digits;
    uint64_t magnitude = 0;
    /* 18 digits fit whatever they are; only what is longer is checked. */
    for (; at < end && is_digit(*at) && at - digits < 18; at++) {
        magnitude = magnitude * 10 + (uint64_t)(*at - '0');
    }
    for (; at < end && is_digit(*at); at++) {
        if (__builtin_mul_overflow(magnitude, 10, &magnitude) ||
            __builtin_add_overflow(magnitude, (uint64_t)(*at - '0'), &magnitude)) {
            return NULL;
        }
    }
    if (at == digits || magnitude > (uint64_t)INT64_MAX + is_negative) {
        return NULL;
    }
    *value = (int64_t)(is_negative ? -magnitude : magnitude);
    return at;
}

size_t sw_num_format_u64(uint64_t value, char *out) {
    return value < BLOCK ? put_first_block((uint32_t)value, out) : put_later_blocks(value, out);
}

size_t sw_num_format_i64(int64_t value, char *out) {
    *out = '-'; /* overwritten unless it belongs there */
    size_t sign = value < 0;
    return sign + sw_num_format_u64(value < 0 ? -(uint64_t)value : (uint64_t)value, out + sign);
}
