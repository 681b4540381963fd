/* deflate.h - Makes a finished raw deflate stream (RFC 1951) one that goes on, so that parts compressed apart become one. */
#ifndef SW_REPORT_DEFLATE_H
#define SW_REPORT_DEFLATE_H

#include <stddef.h>

#include "base/buf.h"

/* The bytes of `stream` from `first` on are a whole raw deflate stream. Clears the mark of its last block and appends an
 * empty stored block, which ends on a byte. SW_MALFORMED when they are not such a stream; nothing is changed then. */
SW_MUST_USE enum sw_status sw_deflate_reopen(struct sw_buf *stream, size_t first);

#endif
