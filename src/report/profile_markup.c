/* profile_markup.c - Escaping of what strangers named, for XML and HTML alike, and numbers as people read them. */
#include "report/profile_markup_impl.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/num.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define FORMAT_MAX 512

static void keep(struct sw_markup *markup, enum sw_status status) {
    if (markup->status == SW_OK)
        markup->status = status;
}

/* Length of the UTF-8 sequence at `ptr`, or 0 where none begins that XML may hold. */
static size_t sequence_len(const unsigned char *ptr, size_t room) {
    unsigned char lead = ptr[0];
    if (lead < 0x80)
        return lead >= ' ' || lead == '\t' || lead == '\n';
    size_t len = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || len > room)
        return 0;
    uint32_t code = lead & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((ptr[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (ptr[i] & 0x3fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
    bool is_no_character = (code & 0xfffe) == 0xfffe || (code >= 0x80 && code < 0xa0);
    return code < least[len] || code > 0x10ffff || is_surrogate || is_no_character ? 0 : len;
}

static const char *entity(char byte) {
    switch (byte) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void sw_markup_bytes(struct sw_markup *markup, struct sw_str text) {
    if (markup->status == SW_OK)
        keep(markup, sw_buf_append(markup->out, text));
}

void sw_markup_raw(struct sw_markup *markup, const char *text) {
    sw_markup_bytes(markup, sw_str_from(text));
}

void sw_markup_format(struct sw_markup *markup, const char *format, ...) {
    char text[FORMAT_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof text)
        keep(markup, SW_LIMIT);
    else
        sw_markup_bytes(markup, sw_str_make(text, (size_t)len));
}

void sw_markup_text(struct sw_markup *markup, struct sw_str text) {
    for (size_t i = 0; i < text.len && markup->status == SW_OK;) {
        const char *instead = entity(text.ptr[i]);
        size_t len = instead ? 1 : sequence_len((const unsigned char *)text.ptr + i, text.len - i);
        if (instead || len == 0)
            sw_markup_raw(markup, instead ? instead : REPLACEMENT);
        else
            sw_markup_bytes(markup, sw_str_make(text.ptr + i, len));
        i += len ? len : 1;
    }
}

void sw_markup_json(struct sw_markup *markup, struct sw_str json) {
    for (size_t i = 0; i < json.len && markup->status == SW_OK;) {
        char byte = json.ptr[i];
        size_t len = sequence_len((const unsigned char *)json.ptr + i, json.len - i);
        if (byte == '<' || byte == '>' || byte == '&')
            sw_markup_format(markup, "\\u%04x", (unsigned)byte);
        else if (len == 0)
            sw_markup_raw(markup, REPLACEMENT);
        else
            sw_markup_bytes(markup, sw_str_make(json.ptr + i, len));
        i += len ? len : 1;
    }
}

void sw_markup_count(struct sw_markup *markup, uint64_t count) {
    char digits[SW_NUM_I64_MAX + 1];
    size_t len = sw_num_format_u64(count, digits);
    for (size_t i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            sw_markup_raw(markup, ",");
        sw_markup_bytes(markup, sw_str_make(&digits[i], 1));
    }
}

void sw_markup_duration(struct sw_markup *markup, int64_t ns) {
    static const struct {
        double ns;
        const char *name;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "\xc2\xb5s"}, {1, "ns"}};
    size_t unit = 0;
    while (unit < 3 && (double)ns < units[unit].ns)
        unit++;
    double value = (double)ns / units[unit].ns;
    sw_markup_format(markup, "%.*f %s",
                     value < 10 && unit < 3    ? 2
                     : value < 100 && unit < 3 ? 1
                                               : 0,
                     value, units[unit].name);
}
