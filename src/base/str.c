/* str.c - Comparing, cutting and reading views of bytes. */
#include "base/str.h"

struct unit {
    struct sw_str name;
    uint64_t factor;
};

#define UNIT(name, factor) \
    { {(name), sizeof(name) - 1}, (factor) }

static const struct unit duration_units[] = {
    UNIT("ns", 1),
    UNIT("us", 1000),
    UNIT("ms", 1000000),
    UNIT("s", 1000000000),
    UNIT("m", 60 * UINT64_C(1000000000)),
    UNIT("h", 3600 * UINT64_C(1000000000)),
    UNIT("d", 86400 * UINT64_C(1000000000)),
    {{NULL, 0}, 0},
};

static const struct unit size_units[] = {
    UNIT("", 1),
    UNIT("B", 1),
    UNIT("kB", 1000),
    UNIT("KB", 1000),
    UNIT("MB", 1000000),
    UNIT("GB", 1000000000),
    UNIT("TB", UINT64_C(1000000000000)),
    UNIT("KiB", UINT64_C(1) << 10),
    UNIT("MiB", UINT64_C(1) << 20),
    UNIT("GiB", UINT64_C(1) << 30),
    UNIT("TiB", UINT64_C(1) << 40),
    {{NULL, 0}, 0},
};

static inline bool is_digit(char byte) {
    return (unsigned char)(byte - '0') <= 9;
}

static inline unsigned char lower(char byte) {
    unsigned char code = (unsigned char)byte;
    return code >= 'A' && code <= 'Z' ? (unsigned char)(code | 0x20) : code;
}

/* The digits at the start of `text`; text.len if all are. */
static size_t digits_end(struct sw_str text) {
    size_t end = 0;
    while (end < text.len && is_digit(text.ptr[end])) {
        end++;
    }
    return end;
}

/* digits[.digits]unit, the unit from a table; what lies below one of the smallest unit is cut off. */
static enum sw_status read_quantity(struct sw_str text, const struct unit *units, uint64_t *amount) {
    size_t whole_len = digits_end(text);
    struct sw_str rest = sw_str_skip(text, whole_len);
    struct sw_str fraction = {NULL, 0};
    if (rest.len > 0 && rest.ptr[0] == '.') {
        rest = sw_str_skip(rest, 1);
        fraction = sw_str_make(rest.ptr, digits_end(rest));
        rest = sw_str_skip(rest, fraction.len);
        if (fraction.len == 0) {
            return SW_MALFORMED;
        }
    }
    while (units->name.ptr && !sw_str_eq(units->name, rest)) {
        units++;
    }
    if (!units->name.ptr || whole_len == 0) {
        return SW_MALFORMED;
    }
    uint64_t whole;
    enum sw_status status = sw_str_to_u64(sw_str_make(text.ptr, whole_len), &whole);
    if (status != SW_OK) {
        return status;
    }
    unsigned __int128 part = 0;
    unsigned __int128 scale = 1;
    for (size_t i = 0; i < fraction.len && i < 18; i++) {
        part = part * 10 + (unsigned)(fraction.ptr[i] - '0');
        scale *= 10;
    }
    uint64_t product;
    if (__builtin_mul_overflow(whole, units->factor, &product) ||
        __builtin_add_overflow(product, (uint64_t)(part * units->factor / scale), amount)) {
        return SW_LIMIT;
    }
    return SW_OK;
}

struct sw_str sw_str_from(const char *nul_terminated) {
    return nul_terminated ? sw_str_make(nul_terminated, strlen(nul_terminated)) : sw_str_make("", 0);
}

bool sw_str_eq(struct sw_str a, struct sw_str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool sw_str_eq_nocase(struct sw_str a, struct sw_str b) {
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

int sw_str_compare(struct sw_str a, struct sw_str b) {
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool sw_str_starts(struct sw_str text, struct sw_str prefix) {
    return text.len >= prefix.len && sw_str_eq(sw_str_make(text.ptr, prefix.len), prefix);
}

bool sw_str_ends(struct sw_str text, struct sw_str suffix) {
    return text.len >= suffix.len && sw_str_eq(sw_str_skip(text, text.len - suffix.len), suffix);
}

struct sw_str sw_str_trim(struct sw_str text) {
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text = sw_str_skip(text, 1);
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

struct sw_str sw_str_skip(struct sw_str text, size_t count) {
    if (count > text.len) {
        count = text.len;
    }
    return count ? sw_str_make(text.ptr + count, text.len - count) : text;
}

size_t sw_str_find(struct sw_str text, char byte) {
    const char *found = text.len ? memchr(text.ptr, byte, text.len) : NULL;
    return found ? (size_t)(found - text.ptr) : text.len;
}

struct sw_str sw_str_cut(struct sw_str *rest, char separator) {
    struct sw_str field = *rest;
    size_t at = sw_str_find(field, separator);
    if (at == field.len) {
        *rest = sw_str_make(NULL, 0);
        return field;
    }
    *rest = sw_str_skip(field, at + 1);
    return sw_str_make(field.ptr, at);
}

enum sw_status sw_str_to_u64(struct sw_str text, uint64_t *value) {
    if (text.len == 0 || digits_end(text) != text.len) {
        return SW_MALFORMED;
    }
    uint64_t result = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (__builtin_mul_overflow(result, 10, &result) ||
            __builtin_add_overflow(result, (uint64_t)(text.ptr[i] - '0'), &result)) {
            return SW_LIMIT;
        }
    }
    *value = result;
    return SW_OK;
}

enum sw_status sw_str_to_i64(struct sw_str text, int64_t *value) {
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    uint64_t magnitude;
    enum sw_status status = sw_str_to_u64(sw_str_skip(text, is_negative ? 1 : 0), &magnitude);
    if (status != SW_OK) {
        return status;
    }
    if (magnitude > (uint64_t)INT64_MAX + (is_negative ? 1 : 0)) {
        return SW_LIMIT;
    }
    *value = (int64_t)(is_negative ? -magnitude : magnitude);
    return SW_OK;
}

enum sw_status sw_str_to_duration_ns(struct sw_str text, int64_t *duration_ns) {
    if (sw_str_eq(text, SW_STR("0"))) {
        *duration_ns = 0;
        return SW_OK;
    }
    uint64_t amount;
    enum sw_status status = read_quantity(text, duration_units, &amount);
    if (status != SW_OK) {
        return status;
    }
    if (amount > INT64_MAX) {
        return SW_LIMIT;
    }
    *duration_ns = (int64_t)amount;
    return SW_OK;
}

enum sw_status sw_str_to_size_bytes(struct sw_str text, uint64_t *size_bytes) {
    uint64_t amount;
    enum sw_status status = read_quantity(text, size_units, &amount);
    if (status == SW_OK) {
        *size_bytes = amount;
    }
    return status;
}
