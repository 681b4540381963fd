/* value_plain.c - Numbers, texts and constants of a target as text. */
#include <math.h>
#include <stdio.h>

#include "base/num.h"
#include "probe/code.h"
#include "probe/value_impl.h"

#define INT_DIGITS_MAX 32 /* of 30 bits: 290 decimal places; longer ones are given by their size */
#define DECIMALS_MAX 320

void sw_value_put(struct sw_value_writer *writer, struct sw_str text) {
    if (writer->status == SW_OK)
        writer->status = sw_buf_append(writer->out, text);
}

void sw_value_put_text(struct sw_value_writer *writer, const char *text) {
    sw_value_put(writer, sw_str_from(text));
}

void sw_value_put_unreadable(struct sw_value_writer *writer) {
    sw_value_put_text(writer, "<unreadable>");
}

/* Decimal text of a number of 30-bit digits, by repeated division by 10^9. */
static void decimal_put(struct sw_value_writer *writer, uint32_t *digits, size_t count, bool is_negative) {
    char text[DECIMALS_MAX];
    size_t at = sizeof text;
    while (count > 0) {
        uint64_t rest = 0;
        for (size_t i = count; i-- > 0;) {
            rest = rest << 30 | digits[i];
            digits[i] = (uint32_t)(rest / 1000000000);
            rest %= 1000000000;
        }
        while (count > 0 && digits[count - 1] == 0)
            count--;
        for (int i = 0; i < 9 && (count > 0 || rest > 0); i++) {
            text[--at] = (char)('0' + rest % 10);
            rest /= 10;
        }
    }
    if (at == sizeof text)
        text[--at] = '0';
    if (is_negative)
        text[--at] = '-';
    sw_value_put(writer, sw_str_make(text + at, sizeof text - at));
}

static void int_put(struct sw_value_writer *writer, uint64_t object) {
    uint32_t digits[INT_DIGITS_MAX];
    uint64_t count;
    bool is_negative;
    const struct sw_layout *layout = sw_objects_layout(writer->objects);
    if (sw_objects_digits(writer->objects, object, &count, &is_negative) != SW_OK) {
        sw_value_put_unreadable(writer);
        return;
    }
    if (count > INT_DIGITS_MAX) {
        if (writer->status == SW_OK)
            writer->status = sw_buf_append_format(writer->out, "<int of about %llu bits>",
                                                  (unsigned long long)(count > UINT64_MAX / 30 ? 0 : count * 30));
        return;
    }
    if (count && sw_objects_read(writer->objects, object + layout->value.long_digit, digits, count * 4) != SW_OK) {
        sw_value_put_unreadable(writer);
        return;
    }
    for (size_t i = 0; i < count; i++)
        digits[i] &= (UINT32_C(1) << 30) - 1;
    decimal_put(writer, digits, (size_t)count, is_negative);
}

static void bool_put(struct sw_value_writer *writer, uint64_t object) {
    int64_t value;
    if (sw_object_i64(writer->objects, object, &value) == SW_OK)
        sw_value_put_text(writer, value ? "True" : "False");
    else
        sw_value_put_unreadable(writer);
}

/* The number as repr() has it: "1.0" where sw_num writes "1". */
static size_t f64_text(double value, char *text) {
    if (isnan(value) || isinf(value)) {
        int len = snprintf(text, SW_NUM_F64_MAX, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
        return (size_t)len;
    }
    size_t len = sw_num_format_f64(value, text);
    if (!memchr(text, '.', len) && !memchr(text, 'e', len)) {
        text[len++] = '.';
        text[len++] = '0';
    }
    return len;
}

static void float_put(struct sw_value_writer *writer, uint64_t object) {
    double value;
    char text[SW_NUM_F64_MAX + 2];
    uint64_t at = object + sw_objects_layout(writer->objects)->value.float_value;
    if (sw_objects_read(writer->objects, at, &value, sizeof value) == SW_OK)
        sw_value_put(writer, sw_str_make(text, f64_text(value, text)));
    else
        sw_value_put_unreadable(writer);
}

static void complex_put(struct sw_value_writer *writer, uint64_t object) {
    double parts[2];
    char text[SW_NUM_F64_MAX + 2];
    uint64_t at = object + sw_objects_layout(writer->objects)->object.size;
    if (sw_objects_read(writer->objects, at, parts, sizeof parts) != SW_OK) {
        sw_value_put_unreadable(writer);
        return;
    }
    sw_value_put_text(writer, "(");
    for (int i = 0; i < 2; i++) {
        if (i == 1 && !signbit(parts[i]) && !isnan(parts[i]))
            sw_value_put_text(writer, "+");
        else if (i == 1 && isnan(parts[i]))
            sw_value_put_text(writer, "+");
        size_t len = f64_text(parts[i], text);
        if (len > 2 && memcmp(text + len - 2, ".0", 2) == 0)
            len -= 2;
        sw_value_put(writer, sw_str_make(text, len));
    }
    sw_value_put_text(writer, "j)");
}

/* The escape of a byte inside quotes, or NULL when it stands for itself. */
static const char *escape_of(unsigned char byte, char text[8]) {
    switch (byte) {
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    case '\\':
        return "\\\\";
    case '\'':
        return "\\'";
    default:
        break;
    }
    if (byte >= 0x20 && byte != 0x7f)
        return NULL;
    snprintf(text, 8, "\\x%02x", byte);
    return text;
}

/* Quoted; bytes from 0x80 on are escaped in bytes objects and UTF-8 in texts. */
static void quoted_put(struct sw_value_writer *writer, struct sw_str text, bool is_bytes) {
    char escape[8];
    sw_value_put_text(writer, is_bytes ? "b'" : "'");
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        const char *escaped = escape_of(byte, escape);
        if (is_bytes && byte >= 0x80) {
            snprintf(escape, sizeof escape, "\\x%02x", byte);
            escaped = escape;
        }
        sw_value_put(writer, escaped ? sw_str_from(escaped) : sw_str_make(text.ptr + i, 1));
    }
    sw_value_put_text(writer, "'");
}

static void put_cut(struct sw_value_writer *writer, uint64_t length, const char *of_what) {
    if (length > SW_VALUE_CHARS_MAX && writer->status == SW_OK)
        writer->status = sw_buf_append_format(writer->out, "... (%llu %s)", (unsigned long long)length, of_what);
}

static void str_put(struct sw_value_writer *writer, uint64_t object) {
    struct sw_buf text = {0};
    uint64_t length = 0;
    const struct sw_layout *layout = sw_objects_layout(writer->objects);
    enum sw_status status = sw_objects_u64_at(writer->objects, object + layout->value.unicode_length, &length);
    if (status == SW_OK)
        status = sw_read_unicode(sw_objects_runtime(writer->objects), object, SW_VALUE_CHARS_MAX, &text);
    if (status == SW_OK) {
        quoted_put(writer, sw_buf_view(&text), false);
        put_cut(writer, length, "characters");
    } else {
        sw_value_put_unreadable(writer);
    }
    sw_buf_release(&text);
}

static void bytes_put(struct sw_value_writer *writer, uint64_t object) {
    char text[SW_VALUE_CHARS_MAX];
    uint64_t length;
    const struct sw_layout *layout = sw_objects_layout(writer->objects);
    enum sw_status status = sw_objects_u64_at(writer->objects, object + layout->object.var_size, &length);
    size_t count = status == SW_OK && length < sizeof text ? (size_t)length : sizeof text;
    if (status == SW_OK && count > 0)
        status = sw_objects_read(writer->objects, object + layout->value.bytes_value, text, count);
    if (status != SW_OK) {
        sw_value_put_unreadable(writer);
        return;
    }
    quoted_put(writer, sw_str_make(text, count), true);
    put_cut(writer, length, "bytes");
}

bool sw_value_put_plain(struct sw_value_writer *writer, uint64_t object, const struct sw_type *type) {
    if (sw_type_is(type, "NoneType"))
        sw_value_put_text(writer, "None");
    else if (sw_type_is(type, "bool"))
        bool_put(writer, object);
    else if (sw_type_is(type, "ellipsis"))
        sw_value_put_text(writer, "Ellipsis");
    else if (sw_type_is(type, "float"))
        float_put(writer, object);
    else if (sw_type_is(type, "complex"))
        complex_put(writer, object);
    else if (type->flags & SW_TYPE_LONG)
        int_put(writer, object);
    else if (type->flags & SW_TYPE_UNICODE)
        str_put(writer, object);
    else if (type->flags & SW_TYPE_BYTES)
        bytes_put(writer, object);
    else
        return false;
    return true;
}
