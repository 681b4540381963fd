/* buf.c - A growable byte buffer. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define SMALLEST_CAP 64

static enum sw_status append_format(struct sw_buf *buf, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    size_t room = buf->cap - buf->len;
    int printed = vsnprintf(room ? buf->ptr + buf->len : NULL, room, format, args);
    enum sw_status status = printed < 0 ? SW_INVALID : SW_OK;
    if (status == SW_OK && (size_t)printed >= room) {
        status = sw_buf_reserve(buf, (size_t)printed + 1);
        if (status == SW_OK) {
            printed = vsnprintf(buf->ptr + buf->len, (size_t)printed + 1, format, again);
        }
    }
    if (status == SW_OK) {
        buf->len += (size_t)printed;
    }
    va_end(again);
    return status;
}

void sw_buf_release(struct sw_buf *buf) {
    sw_free(buf->ptr);
    *buf = (struct sw_buf){0};
}

void sw_buf_clear(struct sw_buf *buf) {
    buf->len = 0;
}

struct sw_str sw_buf_view(const struct sw_buf *buf) {
    return sw_str_make(buf->ptr, buf->len);
}

enum sw_status sw_buf_reserve(struct sw_buf *buf, size_t extra_bytes) {
    if (extra_bytes <= buf->cap - buf->len) {
        return SW_OK;
    }
    size_t need;
    if (__builtin_add_overflow(buf->len, extra_bytes, &need)) {
        return SW_NOMEM;
    }
    size_t cap = buf->cap > SIZE_MAX / 2 ? need : buf->cap * 2;
    cap = cap < SMALLEST_CAP ? SMALLEST_CAP : cap;
    cap = cap < need ? need : cap;
    char *grown = sw_realloc(buf->ptr, cap);
    if (!grown) {
        return SW_NOMEM;
    }
    buf->ptr = grown;
    buf->cap = cap;
    return SW_OK;
}

enum sw_status sw_buf_append(struct sw_buf *buf, struct sw_str text) {
    enum sw_status status = sw_buf_reserve(buf, text.len);
    if (status == SW_OK && text.len > 0) {
        memcpy(buf->ptr + buf->len, text.ptr, text.len);
        buf->len += text.len;
    }
    return status;
}

enum sw_status sw_buf_append_byte(struct sw_buf *buf, char byte) {
    enum sw_status status = sw_buf_reserve(buf, 1);
    if (status == SW_OK) {
        buf->ptr[buf->len++] = byte;
    }
    return status;
}

enum sw_status sw_buf_append_format(struct sw_buf *buf, const char *format, ...) {
    va_list args;
    va_start(args, format);
    enum sw_status status = append_format(buf, format, args);
    va_end(args);
    return status;
}

void sw_buf_consume(struct sw_buf *buf, size_t count) {
    if (count > buf->len) {
        count = buf->len;
    }
    buf->len -= count;
    if (count > 0 && buf->len > 0) {
        memmove(buf->ptr, buf->ptr + count, buf->len);
    }
}
