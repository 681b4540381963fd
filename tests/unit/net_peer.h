/* net_peer.h - For tests of servers: a reactor turned by hand and a client that talks plain bytes over loopback. */
#ifndef SW_TESTS_NET_PEER_H
#define SW_TESTS_NET_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/http_server.h"

#define PATIENCE_NS (60 * SW_NS_PER_S) /* how long a test waits for what must come */

struct world {
    struct sw_reactor *reactor;
    struct sw_http_server *server;
    uint16_t port;
};

static inline void open_world(struct world *world, const struct sw_http_options *options) {
    struct sw_error err = {0};
    struct sw_address address;
    int fd = -1;
    assert_int_equal(sw_reactor_open(&world->reactor, NULL, &err), SW_OK);
    assert_int_equal(sw_http_server_open(&world->server, world->reactor, options, &err), SW_OK);
    assert_int_equal(sw_address_parse(&address, SW_STR("127.0.0.1:0"), &err), SW_OK);
    assert_int_equal(sw_socket_listen(&fd, &address, NULL, &err), SW_OK);
    assert_int_equal(sw_socket_local(fd, &address, &err), SW_OK);
    world->port = sw_address_port(&address);
    assert_int_equal(sw_http_server_listen(world->server, fd, &err), SW_OK);
}

static inline void close_world(struct world *world) {
    sw_http_server_close(world->server);
    sw_reactor_close(world->reactor);
}

static inline void turn(struct world *world) {
    assert_int_equal(sw_reactor_turn(world->reactor, 2 * SW_NS_PER_MS, NULL), SW_OK);
}

/* A connected, non-blocking client socket. */
static inline int dial(const struct world *world) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(world->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* One over a pair of Unix sockets, accepted already: what one end sends is at the other at once, where loopback may leave it to
 * another thread of the kernel. For tests of short timeouts: a turn that sees a timer due sees what was sent before it. */
static inline int dial_pair(struct world *world) {
    struct sw_address peer;
    int pair[2];
    assert_int_equal(sw_address_parse(&peer, SW_STR("127.0.0.1:1"), NULL), SW_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    sw_http_server_adopt(world->server, pair[1], &peer);
    return pair[0];
}

/* Sends all of it, turning the reactor while the kernel's buffer is full. False if the server hung up. */
static inline bool say_bytes(struct world *world, int fd, const char *bytes, size_t len) {
    int64_t deadline = sw_clock_mono_ns() + PATIENCE_NS;
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            len -= (size_t)sent;
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return false;
        } else {
            assert_int_equal(errno, EAGAIN);
            turn(world);
        }
        assert_true(sw_clock_mono_ns() < deadline);
    }
    return true;
}

static inline bool say(struct world *world, int fd, const char *text) {
    return say_bytes(world, fd, text, strlen(text));
}

struct heard {
    char text[1 << 17];
    size_t len;
    bool is_over; /* end of stream, or reset */
    bool is_reset;
};

/* Takes what is there now. */
static inline void listen_once(int fd, struct heard *heard) {
    while (!heard->is_over && heard->len < sizeof heard->text - 1) {
        ssize_t got = recv(fd, heard->text + heard->len, sizeof heard->text - 1 - heard->len, 0);
        if (got > 0) {
            heard->len += (size_t)got;
            heard->text[heard->len] = 0;
        } else if (got == 0) {
            heard->is_over = true;
        } else if (errno == ECONNRESET) {
            heard->is_over = true;
            heard->is_reset = true;
        } else {
            assert_int_equal(errno, EAGAIN);
            return;
        }
    }
}

static inline size_t count_of(const struct heard *heard, const char *needle) {
    size_t count = 0;
    const char *at = heard->text;
    size_t needle_len = strlen(needle);
    while ((at = memmem(at, heard->len - (size_t)(at - heard->text), needle, needle_len))) {
        count++;
        at += needle_len;
    }
    return count;
}

/* Turns until `needle` was heard `times` times; fails at the end of the stream or of the patience. */
static inline void hear_times(struct world *world, int fd, struct heard *heard, const char *needle, size_t times) {
    int64_t deadline = sw_clock_mono_ns() + PATIENCE_NS;
    for (;;) {
        listen_once(fd, heard);
        if (count_of(heard, needle) >= times) {
            return;
        }
        if (heard->is_over || sw_clock_mono_ns() > deadline) {
            fail_msg("heard \"%s\" %zu times, not %zu, in: %.2000s", needle, count_of(heard, needle), times,
                     heard->text);
        }
        turn(world);
    }
}

static inline void hear(struct world *world, int fd, struct heard *heard, const char *needle) {
    hear_times(world, fd, heard, needle, 1);
}

/* Turns until the server closed the connection. */
static inline void hear_end(struct world *world, int fd, struct heard *heard) {
    int64_t deadline = sw_clock_mono_ns() + PATIENCE_NS;
    for (listen_once(fd, heard); !heard->is_over; listen_once(fd, heard)) {
        assert_true(sw_clock_mono_ns() < deadline);
        turn(world);
    }
}

static inline void forget(struct heard *heard) {
    heard->len = 0;
    heard->text[0] = 0;
    heard->is_over = false;
}

/* Turns until so many connections are open. */
static inline void turn_until_open(struct world *world, uint64_t connections) {
    struct sw_http_stats stats;
    int64_t deadline = sw_clock_mono_ns() + PATIENCE_NS;
    for (sw_http_server_stats(world->server, &stats); stats.connections != connections;
         sw_http_server_stats(world->server, &stats)) {
        assert_true(sw_clock_mono_ns() < deadline);
        turn(world);
    }
}

static inline void turn_until_idle(struct world *world) {
    int64_t deadline = sw_clock_mono_ns() + PATIENCE_NS;
    while (!sw_http_server_is_idle(world->server)) {
        assert_true(sw_clock_mono_ns() < deadline);
        turn(world);
    }
}

#endif
