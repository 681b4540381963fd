/* swar.h - Decimal digits to integers, eight bytes in one register. Little-endian. */
#ifndef SW_ENGINE_SWAR_H
#define SW_ENGINE_SWAR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t sw_swar_load(const char *ptr) {
    uint64_t word;
    memcpy(&word, ptr, sizeof word);
    return word;
}

/* Non-zero if one of the bytes is above 9. The sum cannot carry out of a byte below 0x80, and others are caught by
 * themselves. */
static inline uint64_t sw_swar_not_digits(uint64_t digits) {
    return ((digits + 0x7676767676767676u) | digits) & 0x8080808080808080u;
}

/* Eight digit values, the most significant in the lowest byte: pairs, then fours and the eight in one product each. */
static inline uint32_t sw_swar_value(uint64_t digits) {
    uint64_t pairs = digits * 10 + (digits >> 8);
    uint64_t high = (pairs & 0x000000ff000000ffu) * 0x000f424000000064u;
    uint64_t low = ((pairs >> 16) & 0x000000ff000000ffu) * 0x0000271000000001u;
    return (uint32_t)((high + low) >> 32);
}

/* The first `len` (1..8) of the eight bytes as digit values behind leading zeros. */
static inline uint64_t sw_swar_digits(uint64_t word, uint32_t len) {
    uint32_t shift = 64 - len * 8;
    return (word << shift) ^ (0x3030303030303030u << shift);
}

/* An unsigned integer of 1 to 16 digits; false for anything else. 8 bytes must be readable at `ptr`. */
static inline bool sw_swar_parse_u64(const char *ptr, uint32_t len, uint64_t *value) {
    if (len - 1 < 8) {
        uint64_t digits = sw_swar_digits(sw_swar_load(ptr), len);
        *value = sw_swar_value(digits);
        return !sw_swar_not_digits(digits);
    }
    if (len - 9 >= 8)
        return false;
    uint64_t high = sw_swar_digits(sw_swar_load(ptr), len - 8);
    uint64_t low = sw_swar_load(ptr + len - 8) ^ 0x3030303030303030u;
    *value = sw_swar_value(high) * UINT64_C(100000000) + sw_swar_value(low);
    return !(sw_swar_not_digits(high) | sw_swar_not_digits(low));
}

#endif
