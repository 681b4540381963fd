/* num_parse.c - Decimal text to the nearest double, ties to even.
 *
 * Short fields by eight digits in one register and one exact division (Clinger); up to 19 digits by a 128-bit power of
 * ten (Eisel and Lemire); what that leaves open by comparing big integers.
 */
#include "base/num.h"

#include <assert.h>
#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include "base/num_impl.h"

/* The digits that decide: a double or the midpoint of two has at most 767, so what follows can only break a tie. */
#define MOST_DIGITS 800
/* 54 bits times 5^1143 are 2708 bits, 800 digits are 2658, and 10^309 is 1027; one limb to spare each way. */
#define MOST_LIMBS 48
#define EXPONENT_CAP INT64_C(1000000000000000) /* beyond any length of text, so that sums stay in int64 */

struct big {
    uint64_t limb[MOST_LIMBS];
    unsigned len;
};

/* A number as it stands in the text: digits * 10^exponent, the first 19 significant ones in `mantissa`. */
struct decimal {
    uint64_t mantissa;
    int64_t exponent;   /* of the last digit in `mantissa` */
    bool is_truncated;  /* there are more digits than `mantissa` holds, not all of them 0 */
    const char *digits; /* the first digit that is not a leading zero; a point may follow */
    const char *digits_end;
};

/* A double in the making: mantissa * 2^exponent, to be rounded to it or to the next one up. */
struct candidate {
    uint64_t mantissa;
    int exponent;
};

static const double exact_pow10[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                     1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Dividing by these gives the sign as well, that of a zero included. */
static const double signed_pow10[2][8] = {{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7},
                                          {-1e0, -1e1, -1e2, -1e3, -1e4, -1e5, -1e6, -1e7}};

static inline bool is_digit(char byte) {
    return (unsigned char)(byte - '0') <= 9;
}

/* Eight bytes, the first lowest, with '0' taken off: digits become 0 to 9. */
static inline uint64_t load_digits(const char *at) {
    uint64_t bytes;
    memcpy(&bytes, at, sizeof(bytes));
    return le64toh(bytes) ^ UINT64_C(0x3030303030303030);
}

/* The top bit of each byte that is no digit. */
static inline uint64_t others_than_digits(uint64_t digits) {
    const uint64_t low_bits = UINT64_C(0x7f7f7f7f7f7f7f7f);
    return (((digits & low_bits) + UINT64_C(0x7676767676767676)) | digits) & ~low_bits;
}

/* The number that eight digits, the first lowest, stand for: pairs, then both fours at once in the upper half. */
static inline uint64_t eight_digits(uint64_t digits) {
    const uint64_t every_fourth = UINT64_C(0x000000ff000000ff);
    digits = digits * 10 + (digits >> 8);
    uint64_t first_and_third = (digits & every_fourth) * ((UINT64_C(1000000) << 32) + 100);
    uint64_t second_and_fourth = (digits >> 16 & every_fourth) * ((UINT64_C(10000) << 32) + 1);
    return (first_and_third + second_and_fourth) >> 32;
}

static inline double with_sign(uint64_t bits, bool is_negative) {
    bits |= (uint64_t)is_negative << 63;
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* A number of at most seven digits or digits and a point, without exponent, in eight readable bytes: what most fields
 * of most streams are. One branch, on the point. NULL where the number is another one or none. */
static inline const char *read_short(const char *at, bool is_negative, double *value) {
    uint64_t digits = load_digits(at);
    uint64_t others = others_than_digits(digits);
    if (!others) {
        return NULL;
    }
    unsigned bits = (unsigned)__builtin_ctzll(others) & 56; /* eight times the length */
    unsigned fraction = 0;
    if (at[bits / 8] == '.') {
        /* The whole part moves up by one over the point; a zero comes in at the front. */
        uint64_t point = UINT64_C(1) << bits;
        digits = (digits & (point - 1)) << 8 | (digits & -(point << 8));
        others &= others - 1;
        if (!others) {
            return NULL;
        }
        unsigned whole_and_point = bits + 8;
        bits = (unsigned)__builtin_ctzll(others) & 56;
        fraction = (bits - whole_and_point) / 8;
        if (bits == 8) {
            return NULL;
        }
    }
    if (bits == 0 || (at[bits / 8] | 0x20) == 'e') {
        return NULL;
    }
    *value = (double)(int64_t)eight_digits(digits << (64 - bits)) / signed_pow10[is_negative][fraction];
    return at + bits / 8;
}

/* Appends the digits at `at` to *mantissa, which wraps when they are too many. */
static const char *read_digits(const char *at, const char *end, uint64_t *mantissa) {
    uint64_t result = *mantissa;
    while (end - at >= 8) {
        uint64_t digits = load_digits(at);
        if (others_than_digits(digits)) {
            break;
        }
        result = result * 100000000 + eight_digits(digits);
        at += 8;
    }
    for (; at < end && is_digit(*at); at++) {
        result = result * 10 + (uint64_t)(*at - '0');
    }
    *mantissa = result;
    return at;
}

/* The exponent at `at`, or nothing: "1e" and "1e+" are the number 1 with something behind it. */
static const char *read_exponent(const char *at, const char *end, int64_t *exponent) {
    *exponent = 0;
    if (at >= end || (*at | 0x20) != 'e') {
        return at;
    }
    const char *digits = at + 1;
    bool is_negative = digits < end && *digits == '-';
    digits += is_negative || (digits < end && *digits == '+');
    if (digits >= end || !is_digit(*digits)) {
        return at;
    }
    int64_t magnitude = 0;
    for (at = digits; at < end && is_digit(*at); at++) {
        magnitude = magnitude < EXPONENT_CAP ? magnitude * 10 + (*at - '0') : magnitude;
    }
    *exponent = is_negative ? -magnitude : magnitude;
    return at;
}

/* More than 19 digits: takes the first 19 that count. `exponent` enters as that of the last digit of all. */
static void take_first_digits(struct decimal *decimal) {
    const char *at = decimal->digits;
    while (at < decimal->digits_end && (*at == '0' || *at == '.')) {
        at++;
    }
    decimal->digits = at;
    decimal->mantissa = 0;
    unsigned taken = 0;
    for (; at < decimal->digits_end && taken < 19; at++) {
        if (*at != '.') {
            decimal->mantissa = decimal->mantissa * 10 + (uint64_t)(*at - '0');
            taken++;
        }
    }
    for (; at < decimal->digits_end; at++) {
        if (*at != '.') {
            decimal->exponent++;
            decimal->is_truncated |= *at != '0';
        }
    }
}

static const char *scan(const char *at, const char *end, struct decimal *decimal) {
    decimal->digits = at;
    at = read_digits(at, end, &decimal->mantissa);
    int64_t count = at - decimal->digits;
    int64_t fraction = 0;
    if (at < end && *at == '.') {
        const char *behind_point = at + 1;
        at = read_digits(behind_point, end, &decimal->mantissa);
        fraction = at - behind_point;
        count += fraction;
    }
    if (count == 0) {
        return NULL;
    }
    decimal->digits_end = at;
    at = read_exponent(at, end, &decimal->exponent);
    decimal->exponent -= fraction;
    if (count > 19) {
        take_first_digits(decimal);
    }
    return at;
}

static void big_multiply_add(struct big *big, uint64_t factor, uint64_t carry) {
    for (unsigned i = 0; i < big->len; i++) {
        unsigned __int128 product = (unsigned __int128)big->limb[i] * factor + carry;
        big->limb[i] = (uint64_t)product;
        carry = (uint64_t)(product >> 64);
    }
    if (carry) {
        assert(big->len < MOST_LIMBS);
        big->limb[big->len++] = carry;
    }
}

static void big_multiply_pow5(struct big *big, unsigned exponent) {
    for (; exponent >= 27; exponent -= 27) {
        big_multiply_add(big, UINT64_C(7450580596923828125), 0); /* 5^27, the largest in 64 bits */
    }
    for (; exponent > 0; exponent--) {
        big_multiply_add(big, 5, 0);
    }
}

static void big_shift_left(struct big *big, unsigned bits) {
    unsigned limbs = bits / 64;
    bits %= 64;
    if (bits) {
        big_multiply_add(big, UINT64_C(1) << bits, 0);
    }
    assert(big->len + limbs <= MOST_LIMBS);
    memmove(big->limb + limbs, big->limb, big->len * sizeof(big->limb[0]));
    memset(big->limb, 0, limbs * sizeof(big->limb[0]));
    big->len += limbs;
}

static int big_compare(const struct big *a, const struct big *b) {
    if (a->len != b->len) {
        return a->len > b->len ? 1 : -1;
    }
    for (unsigned i = a->len; i-- > 0;) {
        if (a->limb[i] != b->limb[i]) {
            return a->limb[i] > b->limb[i] ? 1 : -1;
        }
    }
    return 0;
}

/* The digits of the text as an integer, at most MOST_DIGITS of them. Returns its power of ten; *has_more says whether
 * digits other than 0 were left out. */
static int big_from_digits(struct big *big, const struct decimal *decimal, bool *has_more) {
    unsigned taken = 0;
    *has_more = false;
    big->len = 0;
    for (const char *at = decimal->digits; at < decimal->digits_end; at++) {
        if (*at == '.' || (taken == 0 && *at == '0')) {
            continue;
        }
        if (taken < MOST_DIGITS) {
            big_multiply_add(big, 10, (uint64_t)(*at - '0'));
            taken++;
        } else {
            *has_more |= *at != '0';
        }
    }
    /* With 19 digits or fewer `mantissa` holds them all; with more, exactly 19 of them. */
    return (int)decimal->exponent - (taken > 19 ? (int)taken - 19 : 0);
}

/* Compares the text's value with mantissa * 2^exponent. */
static int compare_exactly(const struct decimal *decimal, uint64_t mantissa, int exponent) {
    struct big text;
    struct big binary = {.limb = {mantissa}, .len = 1};
    bool has_more;
    int pow10 = big_from_digits(&text, decimal, &has_more);
    if (pow10 >= 0) {
        big_multiply_pow5(&text, (unsigned)pow10);
    } else {
        big_multiply_pow5(&binary, (unsigned)-pow10);
    }
    int shift = pow10 - exponent;
    if (shift >= 0) {
        big_shift_left(&text, (unsigned)shift);
    } else {
        big_shift_left(&binary, (unsigned)-shift);
    }
    int order = big_compare(&text, &binary);
    return order ? order : has_more;
}

/* Rounds down or up by whatever the text is in relation to the midpoint. */
static uint64_t round_exactly(const struct decimal *decimal, struct candidate down) {
    int order = compare_exactly(decimal, 2 * down.mantissa + 1, down.exponent - 1);
    return order > 0 || (order == 0 && (down.mantissa & 1));
}

/* The bits of the nearest double. The product of the mantissa and a rounded-down power of ten is at most the number;
 * what it may be too small by is known; unless a rounding edge lies in between, the product decides. */
static uint64_t nearest(const struct decimal *decimal) {
    if (decimal->mantissa == 0 || decimal->exponent < SW_NUM_POW10_LEAST) {
        return 0; /* below 10^19 * 10^-343 = 10^-324, less than half of the smallest double */
    }
    if (decimal->exponent > 308) {
        return UINT64_C(0x7ff) << 52;
    }
    int pow10 = (int)decimal->exponent;
    const struct sw_num_pow10 *power = &sw_num_pow10_table[pow10 - SW_NUM_POW10_LEAST];
    unsigned shift = (unsigned)__builtin_clzll(decimal->mantissa);
    uint64_t scaled = decimal->mantissa << shift;
    unsigned __int128 low = (unsigned __int128)scaled * power->lo;
    unsigned __int128 product = (unsigned __int128)scaled * power->hi + (uint64_t)(low >> 64);
    /* The power's error of less than 1 adds less than 2^64 to the 192-bit product, the digits left out less than
     * 2^shift powers of ten; in units of the upper 128 bits, 2 and 2^shift * 2^64 are above that. */
    unsigned __int128 most = product + 2 + (decimal->is_truncated ? (unsigned __int128)1 << (shift + 64) : 0);

    uint64_t top = (uint64_t)(product >> 64);
    int is_high = (int)(top >> 63);
    int exponent =
        63 + is_high + sw_num_floor_log2_pow10(pow10) - (int)shift; /* 2^exponent <= number < 2^(exponent+1) */
    int drop = 10 + is_high;
    if (exponent < -1022) {
        drop += -1022 - exponent;
    }
    if (drop > 64) {
        return 0; /* less than half of the smallest double */
    }
    struct candidate down = {drop < 64 ? top >> drop : 0, exponent < -1022 ? -1074 : exponent - 52};
    unsigned __int128 half = (unsigned __int128)1 << (drop + 63);
    unsigned __int128 rest = product & (2 * half - 1);
    uint64_t up;
    if (most < product || (rest < half) != (rest + (most - product) < half) || rest == half) {
        up = round_exactly(decimal, down);
    } else {
        up = rest > half;
    }
    /* The implicit bit of a normal mantissa adds 1 to the biased exponent, and so may rounding up. */
    uint64_t biased = exponent < -1022 ? 0 : (uint64_t)(exponent + 1022);
    uint64_t bits = (biased << 52) + down.mantissa + up;
    return exponent > 1023 ? UINT64_C(0x7ff) << 52 : bits;
}

static uint64_t to_bits(const struct decimal *decimal) {
    if (!decimal->is_truncated) {
        if (decimal->exponent == 0) {
            return bits_of((double)decimal->mantissa);
        }
        /* Both operands are exact, so that the one operation rounds correctly. */
        if (decimal->mantissa <= UINT64_C(1) << 53 && decimal->exponent >= -22 && decimal->exponent <= 22) {
            double whole = (double)(int64_t)decimal->mantissa;
            return bits_of(decimal->exponent < 0 ? whole / exact_pow10[-decimal->exponent]
                                                 : whole * exact_pow10[decimal->exponent]);
        }
    }
    return nearest(decimal);
}

/* Apart from the short path, which this way needs no stack frame. */
__attribute__((noinline)) static const char *read_any(const char *at, const char *end, bool is_negative,
                                                      double *value) {
    struct decimal decimal = {0};
    at = scan(at, end, &decimal);
    if (at) {
        *value = with_sign(to_bits(&decimal), is_negative);
    }
    return at;
}

static inline const char *read_unsigned(const char *ptr, const char *end, bool is_negative, double *value) {
    const char *after = end - ptr >= 8 ? read_short(ptr, is_negative, value) : NULL;
    return after ? after : read_any(ptr, end, is_negative, value);
}

const char *sw_num_parse_f64(const char *ptr, const char *end, double *value) {
    if (ptr >= end) {
        return NULL;
    }
    /* A predicted branch, so that the digits' address does not wait for the first byte. */
    return *ptr == '-' ? read_unsigned(ptr + 1, end, true, value) : read_unsigned(ptr, end, false, value);
}
