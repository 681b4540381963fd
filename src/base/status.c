/* status.c - Status texts, and errors formatted into one line. */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* What strangers put into names must not forge further lines. */
static void keep_to_one_line(char *text) {
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            *text = ' ';
        }
    }
}

/* A cut inside a UTF-8 sequence takes the whole sequence away. */
static size_t whole_characters(const char *text, size_t len) {
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80) {
        len--;
    }
    return len;
}

/* Length of what vsnprintf left in `text`, cut between characters. */
static size_t finish(char *text, size_t cap, int printed) {
    size_t len = printed < 0 ? 0 : (size_t)printed;
    if (len >= cap) {
        /* text[cap - 1] is the NUL; the byte that stood there is unknown, so an unfinished sequence is searched for. */
        len = cap - 1;
        size_t start = len;
        while (start > 0 && len - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) {
            start--;
        }
        if (start > 0 && (unsigned char)text[start - 1] >= 0xc0) {
            unsigned char lead = (unsigned char)text[start - 1];
            size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
            if (len - (start - 1) < need) {
                len = start - 1;
            }
        }
    }
    text[len] = '\0';
    keep_to_one_line(text);
    return len;
}

const char *sw_status_text(enum sw_status status) {
    switch (status) {
#define SW_STATUS_CASE(code, text) \
    case SW_##code: \
        return text;
        SW_STATUS_LIST(SW_STATUS_CASE)
#undef SW_STATUS_CASE
    }
    return "unknown status";
}

enum sw_status sw_fail(struct sw_error *err, enum sw_status status, const char *format, ...) {
    if (!err) {
        return status;
    }
    /* Formatted aside, because callers wrap an error by passing its own text as an argument. */
    char text[sizeof(err->text)];
    va_list args;
    va_start(args, format);
    int printed = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t len = finish(text, sizeof(text), printed);
    memcpy(err->text, text, len + 1);
    err->status = status;
    return status;
}

enum sw_status sw_status_from_errno(int error_number) {
    switch (error_number) {
    case ENOMEM:
    case ENOBUFS:
        return SW_NOMEM;
    case EINVAL:
    case EDOM:
        return SW_INVALID;
    case EILSEQ:
    case EBADMSG:
    case EPROTO:
        return SW_MALFORMED;
    case ENOSYS:
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
    case ENOPROTOOPT:
        return SW_UNSUPPORTED;
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case E2BIG:
    case ENAMETOOLONG:
    case EMSGSIZE:
    case ERANGE:
    case EOVERFLOW:
        return SW_LIMIT;
    case ENOENT:
    case ESRCH:
    case ENODEV:
    case ENXIO:
        return SW_NOTFOUND;
    case EEXIST:
    case EADDRINUSE:
        return SW_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return SW_PERM;
    case EAGAIN:
    case EINPROGRESS:
    case EBUSY:
        return SW_AGAIN;
    case ETIMEDOUT:
        return SW_TIMEOUT;
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:
    case ESHUTDOWN:
        return SW_CLOSED;
    case EINTR:
        return SW_INTERRUPTED;
    default:
        return SW_IO;
    }
}

enum sw_status sw_fail_errno(struct sw_error *err, int error_number, const char *format, ...) {
    enum sw_status status = sw_status_from_errno(error_number);
    if (!err) {
        return status;
    }
    char text[sizeof(err->text)];
    va_list args;
    va_start(args, format);
    int printed = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t len = finish(text, sizeof(text), printed);

    char scratch[128];
    const char *reason = strerror_r(error_number, scratch, sizeof(scratch));
    size_t reason_len = strnlen(reason, sizeof(scratch));
    /* The reason is what the reader needs most: a long description is cut so that it stays whole. */
    size_t room = sizeof(text) - 1 - 2 - reason_len;
    if (len > room) {
        len = whole_characters(text, room);
    }
    memcpy(err->text, text, len);
    memcpy(err->text + len, ": ", 2);
    memcpy(err->text + len + 2, reason, reason_len);
    err->text[len + 2 + reason_len] = '\0';
    err->status = status;
    return status;
}
