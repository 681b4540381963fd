/* http_guard.c - Host, Origin and token checks. */
#include "net/http_guard.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "net/url.h"

#define TOKEN_MIN 8
#define TOKEN_MAX 4096
#define HOST_MAX 255

static const char cookie_purpose[] = "sidewinder session cookie 1";

void sw_http_guard_release(struct sw_http_guard *guard) {
    sw_buf_release(&guard->names);
    OPENSSL_cleanse(guard, sizeof *guard);
}

/* "host" of "host", "host:port" and "[v6]:port"; brackets are dropped. */
static struct sw_str host_of(struct sw_str authority) {
    if (authority.len > 0 && authority.ptr[0] == '[') {
        struct sw_str inner = sw_str_skip(authority, 1);
        return sw_str_make(inner.ptr, sw_str_find(inner, ']'));
    }
    return sw_str_make(authority.ptr, sw_str_find(authority, ':'));
}

static bool is_literal(struct sw_str host) {
    char text[HOST_MAX + 1] = {0};
    unsigned char address[16];
    if (host.len > HOST_MAX) {
        return false;
    }
    memcpy(text, host.ptr, host.len);
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* 127.0.0.0/8 in plain notation. */
static bool is_v4_loopback(struct sw_str host) {
    return sw_str_starts(host, SW_STR("127.")) && is_literal(host);
}

static bool is_listed(const struct sw_http_guard *guard, struct sw_str host) {
    struct sw_str rest = sw_buf_view(&guard->names);
    while (rest.len > 0) {
        if (sw_str_eq_nocase(sw_str_cut(&rest, '\0'), host)) {
            return true;
        }
    }
    return false;
}

static bool is_own_host(const struct sw_http_guard *guard, struct sw_str authority) {
    struct sw_str host = host_of(authority);
    if (host.len == 0) {
        return false;
    }
    if (sw_str_eq_nocase(host, SW_STR("localhost")) || sw_str_eq(host, SW_STR("::1")) || is_v4_loopback(host)) {
        return true;
    }
    /* Rebinding needs a name; an address literal in Host is what the user typed. */
    return is_listed(guard, host) || (guard->is_any_host && is_literal(host));
}

/* Same origin: the Origin's authority is the Host the request was sent to. Compared as text, since a browser writes
 * both from the same URL. */
static bool is_own_origin(struct sw_str origin, struct sw_str host) {
    struct sw_str rest;
    if (sw_str_starts(origin, SW_STR("http://"))) {
        rest = sw_str_skip(origin, 7);
    } else if (sw_str_starts(origin, SW_STR("https://"))) {
        rest = sw_str_skip(origin, 8);
    } else {
        return false;
    }
    return sw_str_eq_nocase(rest, host);
}

static bool changes_state(const struct sw_http_head *head) {
    return head->is_websocket_upgrade ||
           (head->method != SW_HTTP_GET && head->method != SW_HTTP_HEAD && head->method != SW_HTTP_OPTIONS);
}

static void digest(struct sw_str text, unsigned char out[32]) {
    SHA256((const unsigned char *)text.ptr, text.len, out);
}

/* Digests are compared, so that neither content nor length of the token shows in the time taken. */
static bool is_token(const struct sw_http_guard *guard, struct sw_str text) {
    unsigned char got[32];
    digest(text, got);
    return CRYPTO_memcmp(got, guard->token_digest, sizeof got) == 0;
}

static bool has_bearer(const struct sw_http_guard *guard, const struct sw_http_head *head) {
    const struct sw_http_header *header = sw_http_head_find(head, SW_STR("authorization"));
    if (!header || header->value.len < 7 || !sw_str_eq_nocase(sw_str_make(header->value.ptr, 7), SW_STR("bearer "))) {
        return false;
    }
    return is_token(guard, sw_str_trim(sw_str_skip(header->value, 7)));
}

static bool has_cookie(const struct sw_http_guard *guard, const struct sw_http_head *head) {
    struct sw_str name = sw_str_from(guard->cookie_name);
    for (size_t i = 0; i < head->header_count; i++) {
        if (!sw_str_eq_nocase(head->headers[i].name, SW_STR("cookie"))) {
            continue;
        }
        struct sw_str rest = head->headers[i].value;
        while (rest.ptr) {
            struct sw_str value = sw_str_trim(sw_str_cut(&rest, ';'));
            struct sw_str got = sw_str_cut(&value, '=');
            if (sw_str_eq(got, name) && value.len == sizeof guard->cookie_value - 1 &&
                CRYPTO_memcmp(value.ptr, guard->cookie_value, value.len) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool has_parameter(const struct sw_http_guard *guard, const struct sw_http_head *head) {
    struct sw_str rest = head->query, name, value;
    while (sw_url_query_next(&rest, &name, &value)) {
        char decoded[TOKEN_MAX];
        size_t len = 0;
        if (sw_str_eq(name, SW_STR("token")) && value.len <= sizeof decoded &&
            sw_url_decode_form(value, decoded, &len) == SW_OK && is_token(guard, sw_str_make(decoded, len))) {
            return true;
        }
    }
    return false;
}

enum sw_status sw_http_guard_add_name(struct sw_http_guard *guard, struct sw_str name) {
    if (name.len == 0 || name.len > HOST_MAX || memchr(name.ptr, 0, name.len)) {
        return SW_INVALID;
    }
    size_t before = guard->names.len;
    enum sw_status status = sw_buf_append(&guard->names, name);
    if (status == SW_OK) {
        status = sw_buf_append_byte(&guard->names, '\0');
    }
    if (status != SW_OK) {
        guard->names.len = before;
    }
    return status;
}

enum sw_status sw_http_guard_add_address(struct sw_http_guard *guard, const struct sw_address *address) {
    char host[SW_ADDRESS_TEXT_MAX];
    size_t len = sw_address_format_host(address, host);
    if (guard->cookie_name[0] == 0) { /* cookies do not know ports, so two servers on one host need two names */
        snprintf(guard->cookie_name, sizeof guard->cookie_name, "sidewinder_%u", (unsigned)sw_address_port(address));
    }
    if (sw_address_is_wildcard(address)) {
        guard->is_any_host = true;
        return SW_OK;
    }
    return sw_http_guard_add_name(guard, sw_str_make(host, len));
}

enum sw_status sw_http_guard_set_token(struct sw_http_guard *guard, struct sw_str token) {
    static const char digits[] = "0123456789abcdef";
    unsigned char mac[32];
    unsigned mac_len = sizeof mac;
    if (token.len < TOKEN_MIN || token.len > TOKEN_MAX) {
        return SW_INVALID;
    }
    if (!HMAC(EVP_sha256(), token.ptr, (int)token.len, (const unsigned char *)cookie_purpose, sizeof cookie_purpose - 1,
              mac, &mac_len)) {
        return SW_NOMEM;
    }
    for (size_t i = 0; i < sizeof mac; i++) {
        guard->cookie_value[2 * i] = digits[mac[i] >> 4];
        guard->cookie_value[2 * i + 1] = digits[mac[i] & 15];
    }
    guard->cookie_value[2 * sizeof mac] = 0;
    if (guard->cookie_name[0] == 0) {
        snprintf(guard->cookie_name, sizeof guard->cookie_name, "sidewinder");
    }
    digest(token, guard->token_digest);
    guard->has_token = true;
    return SW_OK;
}

enum sw_guard_verdict sw_http_guard_check(const struct sw_http_guard *guard, const struct sw_http_call *call,
                                          const char **why) {
    const struct sw_http_head *head = call->head;
    const char *unused;
    why = why ? why : &unused;
    /* Peers of a Unix socket are no browsers, and write whatever Host they like. */
    bool is_network = call->peer->storage.ss_family != AF_UNIX;
    *why = "";
    if (is_network && !is_own_host(guard, head->host)) {
        *why = "this Host is not served here";
        return SW_GUARD_MISDIRECTED;
    }
    const struct sw_http_header *origin = sw_http_head_find(head, SW_STR("origin"));
    if (origin && changes_state(head) && !is_own_origin(origin->value, head->host)) {
        *why = "requests from other origins are not accepted";
        return SW_GUARD_FORBIDDEN;
    }
    if (guard->has_token && !has_bearer(guard, head) && !has_cookie(guard, head) && !has_parameter(guard, head)) {
        *why = "a token is required: \"Authorization: Bearer TOKEN\" or ?token=TOKEN";
        return SW_GUARD_UNAUTHORIZED;
    }
    return SW_GUARD_OK;
}

static enum sw_status set_cookie(const struct sw_http_guard *guard, const struct sw_http_call *call) {
    char cookie[256];
    int written = snprintf(cookie, sizeof cookie, "%s=%s; HttpOnly; SameSite=Strict; Path=/", guard->cookie_name,
                           guard->cookie_value);
    return sw_http_add_header(call->ref, SW_STR("Set-Cookie"), sw_str_make(cookie, (size_t)written));
}

bool sw_http_guard_admit(const struct sw_http_guard *guard, const struct sw_http_call *call) {
    const char *why = "";
    enum sw_guard_verdict verdict = sw_http_guard_check(guard, call, &why);
    if (verdict == SW_GUARD_OK) {
        bool is_new = guard->has_token && !has_cookie(guard, call->head) && has_parameter(guard, call->head);
        return !is_new || set_cookie(guard, call) == SW_OK;
    }
    static const struct sw_http_header challenge = {{"WWW-Authenticate", 16}, {"Bearer", 6}};
    struct sw_http_response response = {.status = (unsigned)verdict,
                                        .content_type = SW_STR("text/plain; charset=utf-8"),
                                        .headers = &challenge,
                                        .header_count = verdict == SW_GUARD_UNAUTHORIZED ? 1 : 0,
                                        .body = sw_str_from(why)};
    enum sw_status status = sw_http_respond(call->ref, &response);
    (void)status; /* refused either way */
    return false;
}
