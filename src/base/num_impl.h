/* num_impl.h - What reading and writing numbers share: powers of ten and digits. */
#ifndef SW_BASE_NUM_IMPL_H
#define SW_BASE_NUM_IMPL_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define SW_NUM_POW10_LEAST (-342)
#define SW_NUM_POW10_MOST 324
#define SW_NUM_POW10_EXACT 55 /* 10^0 to 10^55 are exact, all others rounded down */

/* (hi * 2^64 + lo) * 2^(sw_num_floor_log2_pow10(e) - 127), the top bit of hi set. */
struct sw_num_pow10 {
    uint64_t hi;
    uint64_t lo;
};

extern const struct sw_num_pow10 sw_num_pow10_table[SW_NUM_POW10_MOST - SW_NUM_POW10_LEAST + 1];

/* floor(log2(10^exponent)), right for |exponent| <= 1233. */
static inline int sw_num_floor_log2_pow10(int exponent) {
    return (exponent * 1741647) >> 19;
}

/* The eight decimal digits of `value` < 10^8, one in each byte, the first in the lowest: halves, quarters and digits
 * are split off in all lanes at once. The multipliers are exact for what a lane can hold: below 10000, below 100. */
static inline uint64_t sw_num_to_digits(uint32_t value) {
    uint64_t fours = value / 10000 | (uint64_t)(value % 10000) << 32;
    uint64_t hundreds = (fours * 10486 >> 20) & UINT64_C(0x0000007f0000007f);
    uint64_t twos = hundreds | (fours - hundreds * 100) << 16;
    uint64_t tens = (twos * 103 >> 10) & UINT64_C(0x000f000f000f000f);
    return tens | (twos - tens * 10) << 8;
}

static inline void sw_num_put_digits(uint64_t digits, char *out) {
    digits = htole64(digits | UINT64_C(0x3030303030303030));
    memcpy(out, &digits, sizeof(digits));
}

#endif
