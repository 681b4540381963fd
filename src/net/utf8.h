/* utf8.h - Incremental validation of UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
 *
 * Fails at the first byte that no valid continuation could follow. Zero is a fresh validator.
 */
#ifndef SW_NET_UTF8_H
#define SW_NET_UTF8_H

#include <stdbool.h>

#include "base/str.h"

struct sw_utf8 {
    unsigned char need; /* continuation bytes still to come */
    unsigned char low;  /* range of the next one, meaningful while need > 0 */
    unsigned char high;
};

/* False if the bytes so far are the beginning of no valid text; then the validator is spent. */
bool sw_utf8_feed(struct sw_utf8 *utf8, struct sw_str text);
/* False in the middle of a character. */
bool sw_utf8_is_complete(const struct sw_utf8 *utf8);
/* The whole of `text` at once. */
bool sw_utf8_is_valid(struct sw_str text);

#endif
