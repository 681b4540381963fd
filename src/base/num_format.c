/* num_format.c - Doubles to the shortest text that reads back as the same double.
 *
 * The method is Schubfach (R. Giulietti, "The Schubfach way to render doubles", 2020): scale the double and the edges
 * of its rounding interval by a power of ten chosen so that at most one multiple of ten or two neighbours lie inside,
 * and take the one that is shorter, else nearer.
 */
#include "base/num.h"

#include <stdbool.h>
#include <string.h>

#include "base/num_impl.h"

#define MANTISSA_MASK ((UINT64_C(1) << 52) - 1)
#define ASCII_ZEROS UINT64_C(0x3030303030303030)

/* digits * 10^exponent */
struct decimal {
    uint64_t digits;
    int exponent;
};

/* The same as characters: digits from the first that is not 0, zeros behind the last, the first in the lowest byte.
 * They stay in registers, because loading what was just stored in smaller pieces stalls. */
struct text {
    uint64_t first;  /* eight digits */
    uint64_t second; /* eight more */
    char last;       /* the seventeenth */
    unsigned count;  /* up to the last that is not 0 */
    int point;       /* the number is 0.DIGITS * 10^point */
};

/* floor(scaled * power / 2^128), its lowest bit set if that was not exact ("round to odd"): enough for comparisons. */
static inline uint64_t scale(struct sw_num_pow10 power, uint64_t scaled) {
    unsigned __int128 low = (unsigned __int128)power.lo * scaled;
    unsigned __int128 high = (unsigned __int128)power.hi * scaled + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* 10^exponent as in the table, but rounded up, as the method's proof wants it. */
static inline struct sw_num_pow10 pow10_rounded_up(int exponent) {
    struct sw_num_pow10 power = sw_num_pow10_table[exponent - SW_NUM_POW10_LEAST];
    power.lo += (unsigned)exponent > SW_NUM_POW10_EXACT; /* no carry: tools/gen_pow10 has seen that no lo is all ones */
    return power;
}

/* For mantissa * 2^exponent > 0. Below a power of two the neighbour is at half the distance. */
static inline struct decimal shortest(uint64_t mantissa, int exponent, bool is_lower_closer) {
    int k = (exponent * 1262611 - (is_lower_closer ? 524031 : 0)) >> 22; /* floor(log10(width of the interval)) */
    unsigned shift = (unsigned)(exponent + sw_num_floor_log2_pow10(-k) + 1);
    struct sw_num_pow10 power = pow10_rounded_up(-k);
    uint64_t low = scale(power, (4 * mantissa - 2 + is_lower_closer) << shift);
    uint64_t value = scale(power, 4 * mantissa << shift);
    uint64_t high = scale(power, (4 * mantissa + 2) << shift);
    /* The edges themselves read back as this double if its mantissa is even. */
    low += mantissa & 1;
    high -= mantissa & 1;

    uint64_t unit = value / 4;
    if (unit >= 10) {
        uint64_t tens = unit / 10;
        bool is_below_inside = low <= 40 * tens;
        bool is_above_inside = 40 * tens + 40 <= high;
        if (is_below_inside != is_above_inside) {
            return (struct decimal){tens + is_above_inside, k + 1};
        }
    }
    bool is_below_inside = low <= 4 * unit;
    bool is_above_inside = 4 * unit + 4 <= high;
    if (is_below_inside != is_above_inside) {
        return (struct decimal){unit + is_above_inside, k};
    }
    uint64_t middle = 4 * unit + 2;
    bool is_up = value > middle || (value == middle && (unit & 1));
    return (struct decimal){unit + is_up, k};
}

/* For at most 17 digits, not 0. */
static inline struct text to_text(struct decimal decimal) {
    uint64_t rest = decimal.digits / 100000000;
    uint64_t low = sw_num_to_digits((uint32_t)(decimal.digits % 100000000));
    uint64_t high = sw_num_to_digits((uint32_t)(rest % 100000000));
    uint64_t top = rest / 100000000;
    struct text text;
    if (top) {
        text = (struct text){top | high << 8, high >> 56 | low << 8, (char)(low >> 56), 17, decimal.exponent + 17};
    } else {
        unsigned __int128 both = (unsigned __int128)low << 64 | high;
        unsigned zeros = (unsigned)(high ? __builtin_ctzll(high) : 64 + __builtin_ctzll(low)) / 8;
        both >>= 8 * zeros;
        text = (struct text){(uint64_t)both, (uint64_t)(both >> 64), 0, 16, decimal.exponent + 16 - (int)zeros};
    }
    if (!text.last) {
        text.count = text.second ? 16 - (unsigned)__builtin_clzll(text.second) / 8
                                 : 8 - (unsigned)__builtin_clzll(text.first) / 8;
    }
    text.first |= ASCII_ZEROS;
    text.second |= ASCII_ZEROS;
    text.last |= '0';
    return text;
}

static inline void put_eight(uint64_t bytes, char *out) {
    bytes = htole64(bytes);
    memcpy(out, &bytes, sizeof(bytes));
}

/* Eight bytes, the point among them before the one at `at`, and what stood last pushed out. */
static inline uint64_t with_point(uint64_t bytes, unsigned at) {
    uint64_t point = UINT64_C(1) << (8 * at);
    return (bytes & (point - 1)) | point * '.' | (bytes & -point) << 8;
}

/* Writes 17 digits and a point behind the first `whole`, 1 to 16. */
static inline void put_with_point(const struct text *text, unsigned whole, char *out) {
    put_eight(text->second, out + 9);
    out[17] = text->last;
    if (whole < 8) {
        put_eight(text->first, out + 1);
        put_eight(with_point(text->first, whole), out);
        return;
    }
    put_eight(text->first, out);
    if (whole < 16) {
        put_eight(with_point(text->second, whole - 8), out + 8);
    } else {
        put_eight(text->second, out + 8);
        out[16] = '.';
    }
}

/* "1e-07", "1.5e+300" */
static size_t put_scientific(const struct text *text, char *out) {
    int exponent = text->point - 1;
    put_with_point(text, 1, out);
    size_t len = text->count > 1 ? text->count + 1 : 1;
    out[len] = 'e';
    out[len + 1] = exponent < 0 ? '-' : '+';
    unsigned magnitude = (unsigned)(exponent < 0 ? -exponent : exponent);
    char *at = out + len + 2;
    if (magnitude >= 100) {
        *at++ = (char)('0' + magnitude / 100);
    }
    *at++ = (char)('0' + magnitude / 10 % 10);
    *at++ = (char)('0' + magnitude % 10);
    return (size_t)(at - out);
}

/* As Python's repr: a plain number from 0.0001 to below 10^16. */
static inline size_t put_text(const struct text *text, char *out) {
    if (text->point < -3 || text->point > 16) {
        return put_scientific(text, out);
    }
    if (text->point <= 0) {
        unsigned zeros = (unsigned)-text->point;
        memcpy(out, "0.000", 5);
        out += 2 + zeros;
        put_eight(text->first, out);
        put_eight(text->second, out + 8);
        out[16] = text->last;
        return 2 + zeros + text->count;
    }
    unsigned whole = (unsigned)text->point;
    put_with_point(text, whole, out);
    return text->count > whole ? text->count + 1 : whole;
}

size_t sw_num_format_f64(double value, char *out) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    *out = '-'; /* overwritten unless it belongs there */
    size_t sign = bits >> 63;
    double magnitude = sign ? -value : value;
    if (magnitude < 9007199254740992.0) {
        uint64_t whole = (uint64_t)(int64_t)magnitude;
        if ((double)(int64_t)whole == magnitude) {
            return sign + sw_num_format_u64(whole, out + sign);
        }
    }
    uint64_t fraction = bits & MANTISSA_MASK;
    int biased = (int)(bits >> 52 & 0x7ff);
    if (biased == 0x7ff) {
        memcpy(out, "null", 4);
        return 4;
    }
    uint64_t mantissa = biased ? fraction | (MANTISSA_MASK + 1) : fraction;
    struct decimal decimal = shortest(mantissa, (biased ? biased : 1) - 1075, fraction == 0 && biased > 1);
    struct text text = to_text(decimal);
    return sign + put_text(&text, out + sign);
}
