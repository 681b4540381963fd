/* asset.c - Conditional and encoding negotiation for fixed bytes. */
#include "net/asset.h"

#include <openssl/sha.h>
#include <stdio.h>

static void make_etag(struct sw_str body, char etag[40]) {
    unsigned char digest[32];
    SHA256((const unsigned char *)body.ptr, body.len, digest);
    char *at = etag;
    *at++ = '"';
    for (size_t i = 0; i < 16; i++) {
        at += snprintf(at, 3, "%02x", digest[i]);
    }
    snprintf(at, 2, "\"");
}

void sw_asset_prepare(struct sw_asset *asset) {
    make_etag(asset->body, asset->etag);
    make_etag(asset->gzip, asset->etag_gzip);
    if (asset->cache_control.len == 0) {
        asset->cache_control = SW_STR("no-cache");
    }
    if (asset->csp.len == 0) {
        asset->csp = SW_STR("default-src 'none'; frame-ancestors 'none'");
    }
}

/* The weight of a coding's parameters in thousandths (RFC 9110, 12.4.2); 1000 without one, 0 for "q=0" and nonsense. */
static unsigned weight(struct sw_str parameters) {
    struct sw_str text = sw_str_trim(parameters);
    if (text.len == 0) {
        return 1000;
    }
    if (text.len < 3 || (text.ptr[0] | 0x20) != 'q' || text.ptr[1] != '=' ||
        (text.ptr[2] != '0' && text.ptr[2] != '1')) {
        return 0;
    }
    unsigned value = text.ptr[2] == '1' ? 1000 : 0;
    unsigned unit = 100;
    for (size_t i = 4; i < text.len && text.ptr[3] == '.'; i++, unit /= 10) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return 0;
        }
        value += (unsigned)(text.ptr[i] - '0') * unit;
    }
    return value;
}

/* Whether gzip is named with a weight above 0, or else "*" is. */
static bool accepts_gzip(const struct sw_http_head *head) {
    const struct sw_http_header *header = sw_http_head_find(head, SW_STR("accept-encoding"));
    struct sw_str rest = header ? header->value : (struct sw_str){0};
    bool is_any = false;
    while (rest.ptr) {
        struct sw_str parameters = sw_str_cut(&rest, ',');
        struct sw_str coding = sw_str_trim(sw_str_cut(&parameters, ';'));
        if (sw_str_eq_nocase(coding, SW_STR("gzip")) || sw_str_eq_nocase(coding, SW_STR("x-gzip"))) {
            return weight(parameters) > 0;
        }
        if (sw_str_eq(coding, SW_STR("*"))) {
            is_any = weight(parameters) > 0;
        }
    }
    return is_any;
}

/* Weak comparison, as If-None-Match wants it: a W/ in front does not count. */
static bool is_known_to_client(const struct sw_http_head *head, struct sw_str etag) {
    for (size_t i = 0; i < head->header_count; i++) {
        if (!sw_str_eq_nocase(head->headers[i].name, SW_STR("if-none-match"))) {
            continue;
        }
        struct sw_str rest = head->headers[i].value;
        while (rest.ptr) {
            struct sw_str tag = sw_str_trim(sw_str_cut(&rest, ','));
            tag = sw_str_starts(tag, SW_STR("W/")) ? sw_str_skip(tag, 2) : tag;
            if (sw_str_eq(tag, etag) || sw_str_eq(tag, SW_STR("*"))) {
                return true;
            }
        }
    }
    return false;
}

enum sw_status sw_asset_serve(const struct sw_asset *asset, const struct sw_http_call *call) {
    const struct sw_http_head *head = call->head;
    if (head->method != SW_HTTP_GET && head->method != SW_HTTP_HEAD) {
        struct sw_http_header allow = {SW_STR("Allow"), SW_STR("GET, HEAD")};
        struct sw_http_response refusal = {.status = 405, .headers = &allow, .header_count = 1};
        return sw_http_respond(call->ref, &refusal);
    }
    bool is_gzip = asset->gzip.len > 0 && accepts_gzip(head);
    struct sw_str etag = sw_str_from(is_gzip ? asset->etag_gzip : asset->etag);
    struct sw_http_header headers[9] = {
        {SW_STR("ETag"), etag},
        {SW_STR("Cache-Control"), asset->cache_control},
        {SW_STR("Content-Security-Policy"), asset->csp},
        {SW_STR("X-Content-Type-Options"), SW_STR("nosniff")},
        {SW_STR("X-Frame-Options"), SW_STR("DENY")},
        {SW_STR("Referrer-Policy"), SW_STR("no-referrer")},
        {SW_STR("Cross-Origin-Resource-Policy"), SW_STR("same-origin")},
    };
    size_t count = 7;
    if (asset->gzip.len > 0) {
        headers[count++] = (struct sw_http_header){SW_STR("Vary"), SW_STR("Accept-Encoding")};
    }
    struct sw_http_response response = {.headers = headers};
    if (is_known_to_client(head, etag)) {
        response.status = 304;
    } else {
        if (is_gzip) {
            headers[count++] = (struct sw_http_header){SW_STR("Content-Encoding"), SW_STR("gzip")};
        }
        response.content_type = asset->content_type;
        response.body = is_gzip ? asset->gzip : asset->body;
        response.is_body_static = true;
    }
    response.header_count = count;
    return sw_http_respond(call->ref, &response);
}
