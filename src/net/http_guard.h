/* http_guard.h - Who may ask: Host against DNS rebinding, Origin against other pages, tokens against strangers.
 *
 * A page elsewhere can make a browser send requests here; it cannot choose their Host and Origin headers. Requests
 * whose Host is not one of ours are 421; state-changing and WebSocket requests with a foreign Origin are 403; with a
 * token configured, requests without it are 401. The token comes as "Authorization: Bearer T", as the parameter
 * "token" (which then sets a cookie, so that the page's own requests work), or as that cookie. Compared in constant
 * time.
 */
#ifndef SW_NET_HTTP_GUARD_H
#define SW_NET_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "net/http_server.h"
#include "net/socket.h"

enum sw_guard_verdict {
    SW_GUARD_OK = 200,
    SW_GUARD_UNAUTHORIZED = 401,
    SW_GUARD_FORBIDDEN = 403,
    SW_GUARD_MISDIRECTED = 421,
};

/* Zero allows loopback names only, asks for no token. Fields are set by the functions below. */
struct sw_http_guard {
    struct sw_buf names; /* owned; allowed hosts, each NUL-terminated */
    bool is_any_host;    /* a wildcard listener: any address literal is one of ours; names still must be listed */
    bool has_token;
    unsigned char token_digest[32];
    char cookie_name[32];
    char cookie_value[65]; /* derived from the token, so that it survives a restart */
};

void sw_http_guard_release(struct sw_http_guard *guard);
/* Adds the address listened on; call it before set_token (the cookie is named after the port). */
SW_MUST_USE enum sw_status sw_http_guard_add_address(struct sw_http_guard *guard, const struct sw_address *address);
/* Adds a host name or literal without port, as it appears in URLs ("metrics.example.net"). */
SW_MUST_USE enum sw_status sw_http_guard_add_name(struct sw_http_guard *guard, struct sw_str name);
/* SW_INVALID for a token shorter than 8 bytes. */
SW_MUST_USE enum sw_status sw_http_guard_set_token(struct sw_http_guard *guard, struct sw_str token);

/* `why` (may be NULL) gets one static line for the answer. Touches nothing. */
enum sw_guard_verdict sw_http_guard_check(const struct sw_http_guard *guard, const struct sw_http_call *call,
                                          const char **why);
/* Checks; refuses by answering the call (false), or lets it pass (true), adding the cookie after "?token=". */
bool sw_http_guard_admit(const struct sw_http_guard *guard, const struct sw_http_call *call);

#endif
