/* http_authority.h - The grammar of "host[:port]" in Host headers, targets and origins (RFC 3986, 9110). */
#ifndef SW_NET_HTTP_AUTHORITY_H
#define SW_NET_HTTP_AUTHORITY_H

#include <stdbool.h>

#include "base/str.h"

/* A non-empty registered name, IPv4 address or bracketed IPv6 address without zone, then nothing or a colon and a port
 * of 1 to 5 digits up to 65535. No user information. */
bool sw_http_authority_is_valid(struct sw_str text);

#endif
