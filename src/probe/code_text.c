/* code_text.c - Text of a target's str objects, of one, two or four bytes a character, as UTF-8. */
#include "base/mem.h"
#include "probe/code_impl.h"

#define CHUNK_BYTES 1024 /* read at once: nearly every name takes one read */
#define HEADER_MAX 128

struct text {
    uint64_t data; /* address of the first character */
    size_t length; /* in characters */
    size_t kind;   /* bytes a character */
    bool is_ascii;
};

static enum sw_status append_utf8(struct sw_buf *out, uint32_t c) {
    char bytes[4];
    size_t len = 0;
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        c = 0xfffd; /* lone surrogates: bytes of a file name that are not UTF-8 */
    }
    if (c < 0x80) {
        return sw_buf_append_byte(out, (char)c);
    }
    if (c < 0x800) {
        bytes[len++] = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        bytes[len++] = (char)(0xe0 | c >> 12);
        bytes[len++] = (char)(0x80 | (c >> 6 & 0x3f));
    } else {
        bytes[len++] = (char)(0xf0 | c >> 18);
        bytes[len++] = (char)(0x80 | (c >> 12 & 0x3f));
        bytes[len++] = (char)(0x80 | (c >> 6 & 0x3f));
    }
    bytes[len++] = (char)(0x80 | (c & 0x3f));
    return sw_buf_append(out, sw_str_make(bytes, len));
}

static enum sw_status append_characters(struct sw_buf *out, const struct text *text, const unsigned char *bytes,
                                        size_t count) {
    unsigned char high = 0;
    for (size_t i = 0; text->is_ascii && i < count; i++) {
        high |= bytes[i];
    }
    if (text->is_ascii && high < 0x80) {
        return sw_buf_append(out, sw_str_make((const char *)bytes, count));
    }
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < count && status == SW_OK; i++) {
        uint32_t c = 0;
        memcpy(&c, bytes + i * text->kind, text->kind);
        status = append_utf8(out, c);
    }
    return status;
}

/* SW_IO: it cannot be a str. */
static enum sw_status describe(const struct sw_layout *layout, uint64_t address, const unsigned char *header,
                               struct text *text) {
    uint32_t state = sw_bytes_u32(header, layout->value.unicode_state) >> layout->value.unicode_kind_shift;
    struct text seen = {
        .length = sw_bytes_u64(header, layout->value.unicode_length),
        .kind = state & 7,
        .is_ascii = state >> 4 & 1,
    };
    bool is_compact = state >> 3 & 1;
    if (!is_compact || (seen.kind != 1 && seen.kind != 2 && seen.kind != 4) || (seen.is_ascii && seen.kind != 1)) {
        return SW_IO;
    }
    seen.data = address + (seen.is_ascii ? layout->value.unicode_ascii : layout->value.unicode_compact);
    *text = seen;
    return SW_OK;
}

enum sw_status sw_read_unicode(const struct sw_runtime *runtime, uint64_t address, size_t max_chars,
                               struct sw_buf *out) {
    const struct sw_layout *layout = &runtime->layout;
    unsigned char bytes[CHUNK_BYTES];
    struct text text;
    if (layout->value.unicode_compact > HEADER_MAX || address == 0) {
        return SW_IO;
    }
    size_t header_bytes = layout->value.unicode_ascii; /* length and state are in it */
    enum sw_status status = sw_target_read(runtime->target, address, bytes, header_bytes);
    if (status == SW_OK) {
        status = describe(layout, address, bytes, &text);
    }
    if (status != SW_OK) {
        return status;
    }
    size_t was = out->len;
    size_t left = text.length < max_chars ? text.length : max_chars;
    for (uint64_t at = text.data; left > 0 && status == SW_OK;) {
        size_t count = left < CHUNK_BYTES / text.kind ? left : CHUNK_BYTES / text.kind;
        status = sw_target_read(runtime->target, at, bytes, count * text.kind);
        if (status == SW_OK) {
            status = append_characters(out, &text, bytes, count);
        }
        at += count * text.kind;
        left -= count;
    }
    if (status != SW_OK) {
        out->len = was;
    }
    return status;
}
