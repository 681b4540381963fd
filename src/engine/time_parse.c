/* time_parse.c - Event times in the units a user may name, exact to the nanosecond. */
#include <math.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/num.h"
#include "engine/intake.h"

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static int64_t unit_ns(enum sw_time_unit unit) {
    switch (unit) {
    case SW_TIME_S:
        return SW_NS_PER_S;
    case SW_TIME_MS:
        return SW_NS_PER_MS;
    case SW_TIME_US:
        return SW_NS_PER_US;
    case SW_TIME_NS:
        return 1;
    case SW_TIME_NONE:
    case SW_TIME_RFC3339:
        break;
    }
    return 0;
}

/* "1.7e12", as some JSON writers put large numbers: exact to a double's 53 bits. */
static bool parse_exponent_form(const char *ptr, const char *end, int64_t scale, int64_t *epoch_ns) {
    double value;
    if (sw_num_parse_f64(ptr, end, &value) != end)
        return false;
    value *= (double)scale;
    if (!(value > -9.2e18 && value < 9.2e18))
        return false;
    *epoch_ns = (int64_t)llround(value);
    return true;
}

/* Reads ".digits" as a share of `scale`; what is finer than a nanosecond is cut off. */
static const char *parse_fraction(const char *ptr, const char *end, int64_t scale, int64_t *fraction_ns) {
    int64_t sum = 0;
    ptr++;
    if (ptr == end || !is_digit(*ptr))
        return NULL;
    for (; ptr < end && is_digit(*ptr); ptr++) {
        scale /= 10;
        sum += (*ptr - '0') * scale;
    }
    *fraction_ns = sum;
    return ptr;
}

static bool parse_decimal(const char *ptr, const char *end, int64_t scale, int64_t *epoch_ns) {
    const char *start = ptr;
    int64_t sign = 1, whole = 0, fraction_ns = 0;
    if (ptr < end && *ptr == '-') {
        sign = -1;
        ptr++;
    }
    if (ptr == end || !is_digit(*ptr))
        return false;
    for (; ptr < end && is_digit(*ptr); ptr++) {
        /* Summed with its sign, so that INT64_MIN can be read. */
        if (__builtin_mul_overflow(whole, 10, &whole))
            return false;
        if (__builtin_add_overflow(whole, sign * (*ptr - '0'), &whole))
            return false;
    }
    if (ptr < end && *ptr == '.' && scale > 1)
        ptr = parse_fraction(ptr, end, scale, &fraction_ns);
    if (!ptr)
        return false;
    if (ptr < end && (*ptr == 'e' || *ptr == 'E'))
        return parse_exponent_form(start, end, scale, epoch_ns);
    if (ptr != end)
        return false;
    if (__builtin_mul_overflow(whole, scale, &whole))
        return false;
    if (__builtin_add_overflow(whole, sign * fraction_ns, &whole))
        return false;
    *epoch_ns = whole;
    return true;
}

bool sw_time_parse(enum sw_time_unit unit, const char *ptr, const char *end, int64_t *epoch_ns) {
    if (ptr == end)
        return false;
    if (unit == SW_TIME_RFC3339)
        return sw_clock_parse_rfc3339(sw_str_make(ptr, (size_t)(end - ptr)), epoch_ns) == SW_OK;
    int64_t scale = unit_ns(unit);
    return scale != 0 && parse_decimal(ptr, end, scale, epoch_ns);
}
