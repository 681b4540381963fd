/* socket.c - Listening, datagram and connecting sockets, with errors that name the address and a remedy. */
#include "net/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_BACKLOG 1024
#define DEFAULT_UNIX_MODE 0600

static const struct sockaddr *raw(const struct sw_address *address) {
    return (const struct sockaddr *)&address->storage;
}

static const char *remedy(int error_number) {
    switch (error_number) {
    case EADDRINUSE:
        return "; another program has it: choose another port";
    case EACCES:
        return "; ports below 1024 need CAP_NET_BIND_SERVICE: choose another port";
    case EADDRNOTAVAIL:
        return "; it is no address of this machine";
    case EAFNOSUPPORT:
        return "; this machine has no such protocol: use an IPv4 address";
    default:
        return "";
    }
}

static enum sw_status fail_socket(struct sw_error *err, int error_number, const char *what,
                                  const struct sw_address *address) {
    char text[SW_ADDRESS_TEXT_MAX];
    sw_address_format(address, text);
    return sw_fail(err, error_number == EADDRINUSE ? SW_EXISTS : sw_status_from_errno(error_number),
                   "cannot %s %s: %s%s", what, text, strerror(error_number), remedy(error_number));
}

static bool is_path_socket(const struct sw_address *address) {
    const struct sockaddr_un *name = (const struct sockaddr_un *)&address->storage;
    return address->storage.ss_family == AF_UNIX && name->sun_path[0] != 0;
}

/* A socket file whose server is gone refuses connections; only such a file is removed. */
static void remove_dead_path(const struct sw_address *address, int type) {
    const struct sockaddr_un *name = (const struct sockaddr_un *)&address->storage;
    struct stat info;
    if (lstat(name->sun_path, &info) || !S_ISSOCK(info.st_mode)) {
        return;
    }
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return;
    }
    if (connect(fd, raw(address), address->len) && errno == ECONNREFUSED) {
        unlink(name->sun_path);
    }
    close(fd);
}

static void set_flag(int fd, int level, int option, int value) {
    /* Each of these is an improvement, none a condition: a socket without it still works. */
    int ignored = setsockopt(fd, level, option, &value, sizeof value);
    (void)ignored;
}

static int bind_path(int fd, const struct sw_address *address, const struct sw_socket_options *options) {
    unsigned mode = options->unix_mode ? options->unix_mode : DEFAULT_UNIX_MODE;
    const struct sockaddr_un *name = (const struct sockaddr_un *)&address->storage;
    /* The mode of the unbound socket is what the path is created with, so that there is no moment of wider access. */
    if (fchmod(fd, (mode_t)mode) || bind(fd, raw(address), address->len) || chmod(name->sun_path, (mode_t)mode)) {
        return errno;
    }
    return 0;
}

static int make_bound(int *out, const struct sw_address *address, int type, const struct sw_socket_options *options) {
    int family = address->storage.ss_family;
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    if (type == SOCK_STREAM) {
        set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    }
    if (family == AF_INET6) {
        set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, !sw_address_is_wildcard(address));
    }
    if (options->receive_buffer_bytes > 0) {
        set_flag(fd, SOL_SOCKET, SO_RCVBUF, options->receive_buffer_bytes);
    }
    int error_number = 0;
    if (options->has_reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int))) {
        error_number = errno;
    } else if (is_path_socket(address)) {
        remove_dead_path(address, type);
        error_number = bind_path(fd, address, options);
    } else if (bind(fd, raw(address), address->len)) {
        error_number = errno;
    }
    if (error_number) {
        close(fd);
        return error_number;
    }
    *out = fd;
    return 0;
}

/* As make_bound; "every interface" falls back to IPv4 on machines without IPv6. */
static int make_bound_any(int *fd, const struct sw_address *address, int type,
                          const struct sw_socket_options *options) {
    int error_number = make_bound(fd, address, type, options);
    bool is_v6_missing = error_number == EAFNOSUPPORT || error_number == EADDRNOTAVAIL;
    if (is_v6_missing && address->storage.ss_family == AF_INET6 && sw_address_is_wildcard(address)) {
        struct sw_address v4 = {.len = sizeof(struct sockaddr_in)};
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(sw_address_port(address))};
        memcpy(&v4.storage, &name, sizeof name);
        error_number = make_bound(fd, &v4, type, options);
    }
    return error_number;
}

enum sw_status sw_socket_listen(int *out, const struct sw_address *address, const struct sw_socket_options *options,
                                struct sw_error *err) {
    struct sw_socket_options defaults = {0};
    options = options ? options : &defaults;
    int fd = -1;
    int error_number = make_bound_any(&fd, address, SOCK_STREAM, options);
    if (!error_number && listen(fd, options->backlog > 0 ? options->backlog : DEFAULT_BACKLOG)) {
        error_number = errno;
        close(fd);
    }
    if (error_number) {
        return fail_socket(err, error_number, "listen on", address);
    }
    *out = fd;
    return SW_OK;
}

enum sw_status sw_socket_bind_datagram(int *out, const struct sw_address *address,
                                       const struct sw_socket_options *options, struct sw_error *err) {
    struct sw_socket_options defaults = {0};
    int error_number = make_bound_any(out, address, SOCK_DGRAM, options ? options : &defaults);
    return error_number ? fail_socket(err, error_number, "receive datagrams on", address) : SW_OK;
}

enum sw_status sw_socket_connect(int *out, const struct sw_address *address, struct sw_error *err) {
    struct sw_address target = *address;
    if (sw_address_is_wildcard(&target)) { /* ":8080" as a destination is this machine */
        char text[SW_ADDRESS_TEXT_MAX];
        snprintf(text, sizeof text, "127.0.0.1:%u", (unsigned)sw_address_port(address));
        enum sw_status status = sw_address_parse(&target, sw_str_from(text), err);
        if (status != SW_OK) {
            return status;
        }
    }
    int fd = socket(target.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail_socket(err, errno, "connect to", address);
    }
    if (target.storage.ss_family != AF_UNIX) {
        set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    if (connect(fd, raw(&target), target.len) && errno != EINPROGRESS) {
        int error_number = errno;
        close(fd);
        return fail_socket(err, error_number, "connect to", address);
    }
    *out = fd;
    return SW_OK;
}

enum sw_status sw_socket_connect_result(int fd, const struct sw_address *address, struct sw_error *err) {
    int error_number = 0;
    socklen_t len = sizeof error_number;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &len)) {
        error_number = errno;
    }
    return error_number ? fail_socket(err, error_number, "connect to", address) : SW_OK;
}

enum sw_status sw_socket_local(int fd, struct sw_address *address, struct sw_error *err) {
    struct sw_address found = {.len = sizeof found.storage};
    if (getsockname(fd, (struct sockaddr *)&found.storage, &found.len)) {
        return sw_fail_errno(err, errno, "cannot read the local address of a socket");
    }
    *address = found;
    return SW_OK;
}

enum sw_status sw_socket_peer(int fd, struct sw_address *address, struct sw_error *err) {
    struct sw_address found = {.len = sizeof found.storage};
    if (getpeername(fd, (struct sockaddr *)&found.storage, &found.len)) {
        return sw_fail_errno(err, errno, "cannot read the peer's address of a socket");
    }
    *address = found;
    return SW_OK;
}

void sw_socket_close(int *fd) {
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}
