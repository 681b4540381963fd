/* url.c - Percent decoding and encoding, query parameters, and the test for paths without tricks. */
#include "net/url.h"

#include <string.h>

static int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static enum sw_status decode(struct sw_str text, bool is_form, char *out, size_t *out_len) {
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0 || (high | low) == 0) {
                return SW_MALFORMED;
            }
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && is_form) {
            c = ' ';
        }
        out[len++] = c;
    }
    *out_len = len;
    return SW_OK;
}

enum sw_status sw_url_decode(struct sw_str text, char *out, size_t *out_len) {
    return decode(text, false, out, out_len);
}

enum sw_status sw_url_decode_form(struct sw_str text, char *out, size_t *out_len) {
    return decode(text, true, out, out_len);
}

static bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

enum sw_status sw_url_encode(struct sw_buf *out, struct sw_str text) {
    static const char digits[] = "0123456789ABCDEF";
    size_t escapes = 0;
    for (size_t i = 0; i < text.len; i++) {
        escapes += !is_unreserved(text.ptr[i]);
    }
    enum sw_status status = sw_buf_reserve(out, text.len + 2 * escapes);
    if (status != SW_OK) {
        return status;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (is_unreserved((char)byte)) {
            out->ptr[out->len++] = (char)byte;
        } else {
            out->ptr[out->len++] = '%';
            out->ptr[out->len++] = digits[byte >> 4];
            out->ptr[out->len++] = digits[byte & 15];
        }
    }
    return SW_OK;
}

bool sw_url_query_next(struct sw_str *rest, struct sw_str *name, struct sw_str *value) {
    while (rest->ptr) {
        struct sw_str field = sw_str_cut(rest, '&');
        if (field.len > 0) {
            *value = field;
            *name = sw_str_cut(value, '=');
            return true;
        }
    }
    return false;
}

/* Whether the encoded `name` means `wanted`, without memory for the decoded form. */
static bool name_is(struct sw_str name, struct sw_str wanted) {
    size_t at = 0;
    for (size_t i = 0; i < name.len; at++) {
        size_t width = name.ptr[i] == '%' && name.len - i >= 3 ? 3 : 1;
        char byte;
        size_t len = 0;
        char decoded[3];
        if (at == wanted.len || decode(sw_str_make(name.ptr + i, width), true, decoded, &len) != SW_OK) {
            return false;
        }
        byte = decoded[0];
        if (byte != wanted.ptr[at]) {
            return false;
        }
        i += width;
    }
    return at == wanted.len;
}

enum sw_status sw_url_query_get(struct sw_str query, struct sw_str wanted, struct sw_buf *out) {
    struct sw_str name, value;
    while (sw_url_query_next(&query, &name, &value)) {
        if (!name_is(name, wanted)) {
            continue;
        }
        sw_buf_clear(out);
        enum sw_status status = sw_buf_reserve(out, value.len);
        return status != SW_OK ? status : sw_url_decode_form(value, out->ptr, &out->len);
    }
    return SW_NOTFOUND;
}

bool sw_url_path_is_plain(struct sw_str path) {
    if (path.len == 0 || path.ptr[0] != '/' || memchr(path.ptr, '\\', path.len) || memchr(path.ptr, 0, path.len)) {
        return false;
    }
    struct sw_str rest = sw_str_skip(path, 1);
    while (rest.ptr) {
        struct sw_str segment = sw_str_cut(&rest, '/');
        bool is_last = !rest.ptr;
        if ((segment.len == 0 && !is_last) || sw_str_eq(segment, SW_STR(".")) || sw_str_eq(segment, SW_STR(".."))) {
            return false;
        }
    }
    return true;
}
