/* json.c - Writes JSON text to a buffer, commas and escapes included. */
#include "base/json.h"

#include <string.h>

#include "base/num.h"

#define DEEPEST 64

static const char hex_digits[] = "0123456789abcdef";

/* What may stand in a string as it is: ASCII from space on but for '"' and '\'. */
static inline bool is_plain(unsigned char byte) {
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* Marks, with the top bit of each byte, those of eight that are not plain. May mark one too many above a marked one,
 * which the caller's bytewise look sorts out. */
static inline uint64_t odd_bytes(uint64_t bytes) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t quote = bytes ^ ones * '"';
    uint64_t backslash = bytes ^ ones * '\\';
    return ((bytes - ones * 0x20) | (quote - ones) | (backslash - ones) | bytes) & ones * 0x80;
}

/* Index of the first byte that is not plain, or text.len. */
static size_t plain_len(struct sw_str text) {
    size_t at = 0;
    for (; at + 8 <= text.len; at += 8) {
        uint64_t bytes;
        memcpy(&bytes, text.ptr + at, sizeof(bytes));
        if (odd_bytes(bytes)) {
            break;
        }
    }
    while (at < text.len && is_plain((unsigned char)text.ptr[at])) {
        at++;
    }
    return at;
}

/* The length of the UTF-8 sequence at the start of `text`, which is not empty; 0 if it is none, and then *bad says how
 * many bytes one U+FFFD stands for: the longest prefix of a valid sequence, at least 1 (Unicode 15, section 3.9). */
static size_t utf8_len(struct sw_str text, size_t *bad) {
    const unsigned char *at = (const unsigned char *)text.ptr;
    unsigned char lead = at[0];
    size_t need = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    *bad = 1;
    /* The second byte's range shuts out overlong forms, surrogates and what lies above U+10FFFF. */
    unsigned char least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < need; i++) {
        if (i >= text.len || at[i] < least || at[i] > most) {
            *bad = i;
            return 0;
        }
        least = 0x80;
        most = 0xbf;
    }
    return need;
}

static enum sw_status put_escape(struct sw_buf *out, unsigned char byte) {
    static const char letters[] = "btn\0fr"; /* U+0008 to U+000D */
    char text[6] = {'\\', (char)byte};
    if (byte == '"' || byte == '\\') {
        return sw_buf_append(out, sw_str_make(text, 2));
    }
    if (byte >= 8 && byte <= 13 && letters[byte - 8]) {
        text[1] = letters[byte - 8];
        return sw_buf_append(out, sw_str_make(text, 2));
    }
    memcpy(text + 1, "u00", 3);
    text[4] = hex_digits[byte >> 4];
    text[5] = hex_digits[byte & 15];
    return sw_buf_append(out, sw_str_make(text, 6));
}

static enum sw_status put_string(struct sw_buf *out, struct sw_str text) {
    enum sw_status status = sw_buf_reserve(out, text.len + 2);
    if (status != SW_OK) {
        return status;
    }
    status = sw_buf_append_byte(out, '"');
    while (status == SW_OK && text.len > 0) {
        size_t plain = plain_len(text);
        status = sw_buf_append(out, sw_str_make(text.ptr, plain));
        text = sw_str_skip(text, plain);
        if (status != SW_OK || text.len == 0) {
            break;
        }
        if ((unsigned char)text.ptr[0] < 0x80) {
            status = put_escape(out, (unsigned char)text.ptr[0]);
            text = sw_str_skip(text, 1);
            continue;
        }
        size_t bad;
        size_t len = utf8_len(text, &bad);
        status = sw_buf_append(out, len ? sw_str_make(text.ptr, len) : SW_STR("\xef\xbf\xbd"));
        text = sw_str_skip(text, len ? len : bad);
    }
    return status == SW_OK ? sw_buf_append_byte(out, '"') : status;
}

/* The comma before an item of the container we are in; at depth 0 the caller separates texts as it likes. */
static bool begin_item(struct sw_json *json) {
    if (json->status != SW_OK) {
        return false;
    }
    if (json->depth > 0) {
        uint64_t bit = UINT64_C(1) << (json->depth - 1);
        if (json->has_item & bit) {
            json->status = sw_buf_append_byte(json->out, ',');
        }
        json->has_item |= bit;
    }
    return json->status == SW_OK;
}

static bool begin_value(struct sw_json *json) {
    if (json->after_key) {
        json->after_key = false;
        return json->status == SW_OK;
    }
    return begin_item(json);
}

static void put_value(struct sw_json *json, struct sw_str text) {
    if (begin_value(json)) {
        json->status = sw_buf_append(json->out, text);
    }
}

static void open_container(struct sw_json *json, char bracket) {
    if (!begin_value(json)) {
        return;
    }
    if (json->depth == DEEPEST) {
        json->status = SW_LIMIT;
        return;
    }
    json->has_item &= ~(UINT64_C(1) << json->depth);
    json->depth++;
    json->status = sw_buf_append_byte(json->out, bracket);
}

static void close_container(struct sw_json *json, char bracket) {
    if (json->status != SW_OK) {
        return;
    }
    if (json->depth == 0 || json->after_key) {
        json->status = SW_INVALID;
        return;
    }
    json->depth--;
    json->status = sw_buf_append_byte(json->out, bracket);
}

void sw_json_init(struct sw_json *json, struct sw_buf *out) {
    *json = (struct sw_json){.out = out};
}

void sw_json_object_begin(struct sw_json *json) {
    open_container(json, '{');
}

void sw_json_object_end(struct sw_json *json) {
    close_container(json, '}');
}

void sw_json_array_begin(struct sw_json *json) {
    open_container(json, '[');
}

void sw_json_array_end(struct sw_json *json) {
    close_container(json, ']');
}

void sw_json_key(struct sw_json *json, struct sw_str key) {
    if (json->status == SW_OK && (json->depth == 0 || json->after_key)) {
        json->status = SW_INVALID;
    }
    if (!begin_item(json)) {
        return;
    }
    json->status = put_string(json->out, key);
    if (json->status == SW_OK) {
        json->status = sw_buf_append_byte(json->out, ':');
    }
    json->after_key = true;
}

void sw_json_str(struct sw_json *json, struct sw_str value) {
    if (begin_value(json)) {
        json->status = put_string(json->out, value);
    }
}

void sw_json_i64(struct sw_json *json, int64_t value) {
    char text[SW_NUM_I64_MAX];
    put_value(json, sw_str_make(text, sw_num_format_i64(value, text)));
}

void sw_json_u64(struct sw_json *json, uint64_t value) {
    char text[SW_NUM_I64_MAX];
    put_value(json, sw_str_make(text, sw_num_format_u64(value, text)));
}

void sw_json_f64(struct sw_json *json, double value) {
    char text[SW_NUM_F64_MAX];
    put_value(json, sw_str_make(text, sw_num_format_f64(value, text)));
}

void sw_json_bool(struct sw_json *json, bool value) {
    put_value(json, value ? SW_STR("true") : SW_STR("false"));
}

void sw_json_null(struct sw_json *json) {
    put_value(json, SW_STR("null"));
}

enum sw_status sw_json_status(const struct sw_json *json) {
    return json->status;
}
