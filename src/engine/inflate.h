/* inflate.h - Reads a file descriptor that may hold plain, gzip or zstd data, told apart by the first bytes. */
#ifndef SW_ENGINE_INFLATE_H
#define SW_ENGINE_INFLATE_H

#include <stddef.h>

#include "base/status.h"

struct sw_inflate;

/* `fd` is borrowed. */
SW_MUST_USE enum sw_status sw_inflate_new(struct sw_inflate **inflate, int fd);
void sw_inflate_free(struct sw_inflate *inflate);
/* Reads at most `room` plain bytes. *len 0 with SW_OK is the end; SW_AGAIN: nothing there yet (a non-blocking fd). A damaged or cut-off
 * gzip or zstd stream fails once all that could be read was given. */
SW_MUST_USE enum sw_status sw_inflate_read(struct sw_inflate *inflate, char *out, size_t room, size_t *len,
                                           struct sw_error *err);

#endif
