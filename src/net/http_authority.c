/* http_authority.c - Reads a host by its kind, then the port. */
#include "net/http_authority.h"

#include <arpa/inet.h>
#include <string.h>

enum { PORT_DIGITS = 5, IPV6_BYTES = 45 };

static const bool is_host_byte[256] = {
    ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['-'] = true,         ['.'] = true, ['_'] = true,
    ['~'] = true,         ['!'] = true,         ['$'] = true,         ['&' ... ','] = true, [';'] = true, ['='] = true,
};

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static bool is_hex(char byte) {
    char lower = (char)(byte | 0x20);
    return is_digit(byte) || (lower >= 'a' && lower <= 'f');
}

static bool is_port(struct sw_str text) {
    unsigned port = 0;
    if (text.len == 0 || text.len > PORT_DIGITS) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i])) {
            return false;
        }
        port = port * 10 + (unsigned)(text.ptr[i] - '0');
    }
    return port <= UINT16_MAX;
}

/* "[" IPv6 "]": returns its length, 0 if it is none. */
static size_t ipv6_literal_len(struct sw_str host) {
    char text[IPV6_BYTES + 1];
    struct in6_addr address;
    size_t close = sw_str_find(host, ']');
    if (close == host.len || close < 3 || close - 1 > IPV6_BYTES) {
        return 0;
    }
    memcpy(text, host.ptr + 1, close - 1);
    text[close - 1] = '\0';
    /* A NUL inside would hide the rest from inet_pton. */
    return strlen(text) == close - 1 && inet_pton(AF_INET6, text, &address) == 1 ? close + 1 : 0;
}

/* RFC 3986 reg-name: returns how many bytes from the front of `host` belong to it, 0 for a broken escape. */
static size_t reg_name_len(struct sw_str host) {
    size_t at = 0;
    while (at < host.len) {
        if (is_host_byte[(unsigned char)host.ptr[at]]) {
            at++;
        } else if (host.ptr[at] == '%') {
            if (host.len - at < 3 || !is_hex(host.ptr[at + 1]) || !is_hex(host.ptr[at + 2])) {
                return 0;
            }
            at += 3;
        } else {
            break;
        }
    }
    return at;
}

bool sw_http_authority_is_valid(struct sw_str text) {
    size_t len = text.len > 0 && text.ptr[0] == '[' ? ipv6_literal_len(text) : reg_name_len(text);
    if (len == 0) {
        return false;
    }
    return len == text.len || (text.ptr[len] == ':' && is_port(sw_str_skip(text, len + 1)));
}
