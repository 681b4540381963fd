/* socket.h - Addresses, listening and connecting sockets (TCP, UDP, Unix), and the acceptor.
 *
 * Every socket made here is non-blocking and close-on-exec.
 */
#ifndef SW_NET_SOCKET_H
#define SW_NET_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/status.h"
#include "base/str.h"
#include "net/reactor.h"

#define SW_ADDRESS_TEXT_MAX 128

struct sw_address {
    struct sockaddr_storage storage;
    socklen_t len; /* 0: no address */
};

/* "127.0.0.1:8080", "[::1]:8080", "localhost:8080", ":8080" (every interface), "unix:/path", "unix:@abstract". Reads
 * numbers and the name localhost only; asks no name server. */
SW_MUST_USE enum sw_status sw_address_parse(struct sw_address *address, struct sw_str text, struct sw_error *err);
/* As parse, and other host names are looked up (getaddrinfo, which may block); the first answer is taken. */
SW_MUST_USE enum sw_status sw_address_resolve(struct sw_address *address, struct sw_str text, struct sw_error *err);
/* Writes "127.0.0.1:8080", "[::1]:8080" or "unix:/path", NUL-terminated; returns the length. */
size_t sw_address_format(const struct sw_address *address, char out[SW_ADDRESS_TEXT_MAX]);
/* The host alone: "127.0.0.1", "::1" (an IPv4-mapped IPv6 address as IPv4), "unix". */
size_t sw_address_format_host(const struct sw_address *address, char out[SW_ADDRESS_TEXT_MAX]);
bool sw_address_is_loopback(const struct sw_address *address); /* 127/8, ::1, mapped ones, and any Unix socket */
bool sw_address_is_wildcard(const struct sw_address *address);
uint16_t sw_address_port(const struct sw_address *address);      /* 0 for Unix sockets */
uint64_t sw_address_host_hash(const struct sw_address *address); /* the same for every port of a host */

struct sw_socket_options {
    int backlog;              /* 0: 1024 */
    bool has_reuse_port;      /* several sockets share the port */
    int receive_buffer_bytes; /* 0: the kernel's */
    unsigned unix_mode;       /* permissions of a Unix socket's path; 0: 0600 */
};

/* `options` may be NULL. A Unix path left by a dead server is replaced; one in use is not. */
SW_MUST_USE enum sw_status sw_socket_listen(int *fd, const struct sw_address *address,
                                            const struct sw_socket_options *options, struct sw_error *err);
/* A bound datagram socket (UDP or Unix). */
SW_MUST_USE enum sw_status sw_socket_bind_datagram(int *fd, const struct sw_address *address,
                                                   const struct sw_socket_options *options, struct sw_error *err);
/* Starts a stream connection; when the fd becomes writable, sw_socket_connect_result says how it went. */
SW_MUST_USE enum sw_status sw_socket_connect(int *fd, const struct sw_address *address, struct sw_error *err);
SW_MUST_USE enum sw_status sw_socket_connect_result(int fd, const struct sw_address *address, struct sw_error *err);
SW_MUST_USE enum sw_status sw_socket_local(int fd, struct sw_address *address,
                                           struct sw_error *err); /* port 0: the real one */
SW_MUST_USE enum sw_status sw_socket_peer(int fd, struct sw_address *address, struct sw_error *err);
void sw_socket_close(int *fd); /* and sets it to -1; no-op below 0 */

/* `fd` becomes the callee's. */
typedef void (*sw_accept_fn)(void *context, int fd, const struct sw_address *peer);

/* Accepts up to 64 connections per turn. Out of file descriptors it closes the waiting connection with the help of a
 * reserve fd, so that peers get an answer and the loop does not spin. Zero is valid and closed. */
struct sw_listener {
    struct sw_reactor *reactor;
    struct sw_watch watch;
    struct sw_timer retry;
    int fd; /* owned */
    int reserve_fd;
    bool is_open;
    uint64_t accepted;
    uint64_t refused; /* closed for want of file descriptors */
    sw_accept_fn fn;
    void *context;
};

/* Takes `fd` (a listening socket), also on failure. */
SW_MUST_USE enum sw_status sw_listener_open(struct sw_listener *listener, struct sw_reactor *reactor, int fd,
                                            struct sw_error *err);
void sw_listener_set(struct sw_listener *listener, sw_accept_fn fn, void *context); /* before open */
void sw_listener_close(struct sw_listener *listener);

#endif
