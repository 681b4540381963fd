/* asset.h - Fixed bytes served over HTTP: ETag and 304, a pre-gzipped variant, caching and security headers. */
#ifndef SW_NET_ASSET_H
#define SW_NET_ASSET_H

#include "base/str.h"
#include "net/http_server.h"

/* Everything for a page that is one file with inline script and style and talks to its own origin only. */
#define SW_ASSET_CSP_SINGLE_PAGE \
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " \
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

struct sw_asset {
    struct sw_str content_type;  /* "text/html; charset=utf-8" */
    struct sw_str body;          /* bytes outlive the server */
    struct sw_str gzip;          /* the same gzipped, or empty */
    struct sw_str cache_control; /* empty: "no-cache" (kept, but asked for every time) */
    struct sw_str csp;           /* empty: "default-src 'none'; frame-ancestors 'none'" */
    char etag[40];               /* set by prepare; strong; the gzip variant has its own */
    char etag_gzip[40];
};

void sw_asset_prepare(struct sw_asset *asset); /* after the fields are set, before the first serve */
/* Answers `call`: 200, 304, or 405 for anything but GET and HEAD. */
SW_MUST_USE enum sw_status sw_asset_serve(const struct sw_asset *asset, const struct sw_http_call *call);

#endif
