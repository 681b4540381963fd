/* url.h - Percent decoding and query string parameters (WHATWG application/x-www-form-urlencoded, RFC 3986). */
#ifndef SW_NET_URL_H
#define SW_NET_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

/* Decodes %XX into `out`, which has room for text.len bytes (decoding never grows; out may be text.ptr). SW_MALFORMED
 * for a broken escape or an encoded NUL. */
SW_MUST_USE enum sw_status sw_url_decode(struct sw_str text, char *out, size_t *out_len);
/* As decode, and '+' is a space. */
SW_MUST_USE enum sw_status sw_url_decode_form(struct sw_str text, char *out, size_t *out_len);
/* Appends `text` with everything but unreserved characters escaped. */
SW_MUST_USE enum sw_status sw_url_encode(struct sw_buf *out, struct sw_str text);

/* Takes the next name and value (both still encoded) from `rest`; false at the end. */
bool sw_url_query_next(struct sw_str *rest, struct sw_str *name, struct sw_str *value);
/* The first parameter called `name`, decoded into `out` (cleared first). SW_NOTFOUND, SW_MALFORMED, SW_NOMEM. */
SW_MUST_USE enum sw_status sw_url_query_get(struct sw_str query, struct sw_str name, struct sw_buf *out);
/* True for a decoded absolute path without empty, "." or ".." segments inside ("/", "/a", "/a/"), NUL and backslash. */
bool sw_url_path_is_plain(struct sw_str path);

#endif
