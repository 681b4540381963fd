/* buf.h - A growable byte buffer; the only place in the library that reallocs text.
 *
 * Zero is a valid empty buffer. Not thread-safe: one writer owns it.
 */
#ifndef SW_BASE_BUF_H
#define SW_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct sw_buf {
    char *ptr; /* owned; NULL while cap is 0 */
    size_t len;
    size_t cap;
};

void sw_buf_release(struct sw_buf *buf); /* frees and zeroes */
void sw_buf_clear(struct sw_buf *buf);   /* keeps the memory */
struct sw_str sw_buf_view(const struct sw_buf *buf);

/* On SW_NOMEM the buffer is as it was. */
SW_MUST_USE enum sw_status sw_buf_reserve(struct sw_buf *buf,
                                          size_t extra_bytes); /* room for `extra_bytes` behind len */
SW_MUST_USE enum sw_status sw_buf_append(struct sw_buf *buf, struct sw_str text);
SW_MUST_USE enum sw_status sw_buf_append_byte(struct sw_buf *buf, char byte);
SW_MUST_USE enum sw_status sw_buf_append_format(struct sw_buf *buf, const char *format, ...) SW_PRINTF(2, 3);
void sw_buf_consume(struct sw_buf *buf, size_t count); /* drops `count` bytes from the front by moving the rest */

#endif
