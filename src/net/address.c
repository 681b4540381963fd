/* address.c - Socket addresses from text and back, and what kind of host they name. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/hash.h"
#include "net/socket.h"

#define HOST_MAX 255

static struct sockaddr_in *as_v4(const struct sw_address *address) {
    return (struct sockaddr_in *)(uintptr_t)&address->storage;
}

static struct sockaddr_in6 *as_v6(const struct sw_address *address) {
    return (struct sockaddr_in6 *)(uintptr_t)&address->storage;
}

static struct sockaddr_un *as_unix(const struct sw_address *address) {
    return (struct sockaddr_un *)(uintptr_t)&address->storage;
}

static void set_v4(struct sw_address *address, struct in_addr host, uint16_t port) {
    *address = (struct sw_address){.len = sizeof(struct sockaddr_in)};
    *as_v4(address) = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = host};
}

static void set_v6(struct sw_address *address, struct in6_addr host, uint16_t port) {
    *address = (struct sw_address){.len = sizeof(struct sockaddr_in6)};
    *as_v6(address) = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = host};
}

static enum sw_status set_unix(struct sw_address *address, struct sw_str path, struct sw_error *err) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (path.len == 0 || path.len >= sizeof name.sun_path || memchr(path.ptr, 0, path.len)) {
        return sw_fail(err, SW_INVALID,
                       "cannot use the Unix socket path \"%" SW_STR_FMT "\": it must have 1 to %zu bytes",
                       SW_STR_ARG(path), sizeof name.sun_path - 1);
    }
    memcpy(name.sun_path, path.ptr, path.len);
    bool is_abstract = name.sun_path[0] == '@';
    if (is_abstract) {
        name.sun_path[0] = 0;
    }
    *address = (struct sw_address){0};
    address->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + (is_abstract ? 0 : 1));
    *as_unix(address) = name;
    return SW_OK;
}

/* Splits "host:port" or "[host]:port". */
static enum sw_status split(struct sw_str text, struct sw_str *host, uint16_t *port, struct sw_error *err) {
    struct sw_str rest = {0};
    if (text.len > 0 && text.ptr[0] == '[') {
        size_t end = sw_str_find(text, ']');
        *host = end < text.len ? sw_str_make(text.ptr + 1, end - 1) : (struct sw_str){0};
        rest = sw_str_skip(text, end + 1);
    } else {
        size_t colon = sw_str_find(text, ':');
        *host = sw_str_make(text.ptr, colon);
        rest = sw_str_skip(text, colon);
    }
    uint64_t number = 0;
    if (rest.len < 2 || rest.ptr[0] != ':' || sw_str_to_u64(sw_str_skip(rest, 1), &number) != SW_OK ||
        number > UINT16_MAX || host->len > HOST_MAX) {
        return sw_fail(err, SW_INVALID,
                       "cannot understand the address \"%" SW_STR_FMT
                       "\": write HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH",
                       SW_STR_ARG(text));
    }
    *port = (uint16_t)number;
    return SW_OK;
}

static bool set_literal(struct sw_address *address, struct sw_str host, uint16_t port, bool is_bracketed) {
    char name[HOST_MAX + 1] = {0};
    memcpy(name, host.ptr, host.len);
    struct in_addr v4;
    struct in6_addr v6;
    if (is_bracketed) {
        if (inet_pton(AF_INET6, name, &v6) != 1) {
            return false;
        }
        set_v6(address, v6, port);
    } else if (host.len == 0 || strcmp(name, "*") == 0) {
        set_v6(address, in6addr_any, port);
    } else if (sw_str_eq_nocase(host, SW_STR("localhost"))) {
        set_v4(address, (struct in_addr){htonl(INADDR_LOOPBACK)}, port);
    } else if (inet_pton(AF_INET, name, &v4) == 1) {
        set_v4(address, v4, port);
    } else {
        return false;
    }
    return true;
}

static enum sw_status look_up(struct sw_address *address, struct sw_str host, uint16_t port, struct sw_error *err) {
    char name[HOST_MAX + 1] = {0};
    memcpy(name, host.ptr, host.len);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(name, NULL, &hints, &found);
    if (code) {
        return sw_fail(err, SW_NOTFOUND, "cannot resolve the host \"%s\": %s", name, gai_strerror(code));
    }
    *address = (struct sw_address){.len = found->ai_addrlen};
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (address->storage.ss_family == AF_INET6) {
        as_v6(address)->sin6_port = htons(port);
    } else {
        as_v4(address)->sin_port = htons(port);
    }
    return SW_OK;
}

static enum sw_status from_text(struct sw_address *address, struct sw_str text, bool may_look_up,
                                struct sw_error *err) {
    if (sw_str_starts(text, SW_STR("unix:"))) {
        return set_unix(address, sw_str_skip(text, 5), err);
    }
    struct sw_str host = {0};
    uint16_t port = 0;
    enum sw_status status = split(text, &host, &port, err);
    if (status != SW_OK) {
        return status;
    }
    bool is_bracketed = text.ptr[0] == '[';
    if (set_literal(address, host, port, is_bracketed)) {
        return SW_OK;
    }
    if (may_look_up && !is_bracketed) {
        return look_up(address, host, port, err);
    }
    return sw_fail(err, SW_INVALID,
                   "cannot use \"%" SW_STR_FMT "\" as an address: \"%" SW_STR_FMT "\" is no IP address",
                   SW_STR_ARG(text), SW_STR_ARG(host));
}

enum sw_status sw_address_parse(struct sw_address *address, struct sw_str text, struct sw_error *err) {
    return from_text(address, text, false, err);
}

enum sw_status sw_address_resolve(struct sw_address *address, struct sw_str text, struct sw_error *err) {
    return from_text(address, text, true, err);
}

static size_t clipped(int written) {
    return written < 0 ? 0 : written >= SW_ADDRESS_TEXT_MAX ? SW_ADDRESS_TEXT_MAX - 1 : (size_t)written;
}

size_t sw_address_format_host(const struct sw_address *address, char out[SW_ADDRESS_TEXT_MAX]) {
    out[0] = 0;
    if (address->storage.ss_family == AF_INET) {
        inet_ntop(AF_INET, &as_v4(address)->sin_addr, out, SW_ADDRESS_TEXT_MAX);
    } else if (address->storage.ss_family == AF_INET6) {
        const struct in6_addr *host = &as_v6(address)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(host)) {
            inet_ntop(AF_INET, &host->s6_addr[12], out, SW_ADDRESS_TEXT_MAX);
        } else {
            inet_ntop(AF_INET6, host, out, SW_ADDRESS_TEXT_MAX);
        }
    } else {
        snprintf(out, SW_ADDRESS_TEXT_MAX, "unix");
    }
    return strlen(out);
}

size_t sw_address_format(const struct sw_address *address, char out[SW_ADDRESS_TEXT_MAX]) {
    char host[SW_ADDRESS_TEXT_MAX];
    if (address->storage.ss_family == AF_UNIX) {
        size_t at = offsetof(struct sockaddr_un, sun_path);
        size_t len = address->len > at ? address->len - at : 0;
        const char *path = as_unix(address)->sun_path;
        if (len > 0 && path[0] == 0) {
            return clipped(snprintf(out, SW_ADDRESS_TEXT_MAX, "unix:@%.*s", (int)len - 1, path + 1));
        }
        return clipped(snprintf(out, SW_ADDRESS_TEXT_MAX, "unix:%.*s", (int)strnlen(path, len), path));
    }
    sw_address_format_host(address, host);
    const char *format = strchr(host, ':') ? "[%s]:%u" : "%s:%u";
    return clipped(snprintf(out, SW_ADDRESS_TEXT_MAX, format, host, (unsigned)sw_address_port(address)));
}

/* The IPv4 address in host order, also of a mapped one. */
static bool get_v4(const struct sw_address *address, uint32_t *host) {
    if (address->storage.ss_family == AF_INET) {
        *host = ntohl(as_v4(address)->sin_addr.s_addr);
        return true;
    }
    const struct in6_addr *v6 = &as_v6(address)->sin6_addr;
    if (address->storage.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6)) {
        uint32_t network;
        memcpy(&network, &v6->s6_addr[12], sizeof network);
        *host = ntohl(network);
        return true;
    }
    return false;
}

bool sw_address_is_loopback(const struct sw_address *address) {
    uint32_t host = 0;
    if (get_v4(address, &host)) {
        return host >> 24 == 127;
    }
    if (address->storage.ss_family == AF_INET6) {
        return IN6_IS_ADDR_LOOPBACK(&as_v6(address)->sin6_addr);
    }
    return address->storage.ss_family == AF_UNIX;
}

bool sw_address_is_wildcard(const struct sw_address *address) {
    uint32_t host = 0;
    if (get_v4(address, &host)) {
        return host == INADDR_ANY;
    }
    return address->storage.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&as_v6(address)->sin6_addr);
}

uint16_t sw_address_port(const struct sw_address *address) {
    if (address->storage.ss_family == AF_INET) {
        return ntohs(as_v4(address)->sin_port);
    }
    return address->storage.ss_family == AF_INET6 ? ntohs(as_v6(address)->sin6_port) : 0;
}

uint64_t sw_address_host_hash(const struct sw_address *address) {
    uint32_t host = 0;
    uint64_t seed = sw_hash_seed();
    if (get_v4(address, &host)) {
        return sw_hash_bytes(&host, sizeof host, seed);
    }
    if (address->storage.ss_family == AF_INET6) {
        return sw_hash_bytes(&as_v6(address)->sin6_addr, 8, seed); /* a /64 is one host's to choose from */
    }
    return sw_hash_bytes("unix", 4, seed);
}
