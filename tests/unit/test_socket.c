/* test_socket.c - Addresses from text and back, listeners, streams, and life without file descriptors. */
#include "net/socket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "net/stream.h"

struct row {
    const char *text;
    const char *formatted; /* NULL: refused */
    bool is_loopback;
    bool is_wildcard;
};

static void test_addresses(void **unused) {
    static const struct row rows[] = {
        {"127.0.0.1:8080", "127.0.0.1:8080", true, false},
        {"127.9.9.9:1", "127.9.9.9:1", true, false},
        {"localhost:80", "127.0.0.1:80", true, false},
        {"LOCALHOST:80", "127.0.0.1:80", true, false},
        {"[::1]:8080", "[::1]:8080", true, false},
        {"[::ffff:127.0.0.1]:7", "127.0.0.1:7", true, false},
        {"[::ffff:10.0.0.1]:7", "10.0.0.1:7", false, false},
        {"[2001:db8::1]:65535", "[2001:db8::1]:65535", false, false},
        {"0.0.0.0:0", "0.0.0.0:0", false, true},
        {":8080", "[::]:8080", false, true},
        {"*:8080", "[::]:8080", false, true},
        {"192.168.1.1:8080", "192.168.1.1:8080", false, false},
        {"unix:/run/x.sock", "unix:/run/x.sock", true, false},
        {"unix:@name", "unix:@name", true, false},
        {"", NULL, false, false},
        {":", NULL, false, false},
        {"8080", NULL, false, false},
        {"127.0.0.1", NULL, false, false},
        {"127.0.0.1:", NULL, false, false},
        {"127.0.0.1:65536", NULL, false, false},
        {"127.0.0.1:80x", NULL, false, false},
        {"127.0.0.1:-1", NULL, false, false},
        {"127.1:80", NULL, false, false},
        {"::1:80", NULL, false, false},
        {"[::1]80", NULL, false, false},
        {"[::1:80", NULL, false, false},
        {"[127.0.0.1]:80", NULL, false, false},
        {"[]:80", NULL, false, false},
        {"example.invalid:80", NULL, false, false},
        {"unix:", NULL, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_address address = {0};
        struct sw_error err = {0};
        char text[SW_ADDRESS_TEXT_MAX];
        enum sw_status status = sw_address_parse(&address, sw_str_from(rows[i].text), &err);
        if (!rows[i].formatted) {
            if (status == SW_OK) {
                fail_msg("accepted \"%s\"", rows[i].text);
            }
            assert_int_equal(err.status, status);
            assert_true(strlen(err.text) > 10);
            continue;
        }
        assert_int_equal(status, SW_OK);
        assert_int_equal(sw_address_format(&address, text), strlen(rows[i].formatted));
        assert_string_equal(text, rows[i].formatted);
        assert_int_equal(sw_address_is_loopback(&address), rows[i].is_loopback);
        assert_int_equal(sw_address_is_wildcard(&address), rows[i].is_wildcard);
    }
}

static void test_host_hash(void **unused) {
    struct sw_address a, b, c;
    assert_int_equal(sw_address_parse(&a, SW_STR("10.0.0.1:1"), NULL), SW_OK);
    assert_int_equal(sw_address_parse(&b, SW_STR("[::ffff:10.0.0.1]:2"), NULL), SW_OK);
    assert_int_equal(sw_address_parse(&c, SW_STR("10.0.0.2:1"), NULL), SW_OK);
    assert_true(sw_address_host_hash(&a) == sw_address_host_hash(&b));
    assert_true(sw_address_host_hash(&a) != sw_address_host_hash(&c));
}

static void test_long_unix_path(void **unused) {
    char text[300] = "unix:/";
    memset(text + 6, 'x', sizeof text - 7);
    struct sw_address address;
    struct sw_error err = {0};
    assert_int_equal(sw_address_parse(&address, sw_str_from(text), &err), SW_INVALID);
}

/* A reactor with a listener whose accepted sockets become streams. */
struct room {
    struct sw_reactor *reactor;
    struct sw_listener listener;
    struct sw_address address;
    struct sw_stream server, client;
    int accepted;
    struct sw_buf got; /* by the server */
    bool is_ended, is_drained, is_closing_on_data;
    int error_number;
};

static void on_data(void *context, struct sw_str bytes) {
    struct room *room = context;
    assert_int_equal(sw_buf_append(&room->got, bytes), SW_OK);
    if (room->is_closing_on_data) {
        sw_stream_close(&room->server);
    }
}

static void on_end(void *context) {
    ((struct room *)context)->is_ended = true;
}

static void on_drain(void *context) {
    ((struct room *)context)->is_drained = true;
}

static void on_error(void *context, int error_number) {
    ((struct room *)context)->error_number = error_number;
}

static const struct sw_stream_events events = {.on_data = on_data,
                                               .on_end = on_end,
                                               .on_drain = on_drain,
                                               .on_error = on_error};

static void on_accept(void *context, int fd, const struct sw_address *peer) {
    struct room *room = context;
    assert_true(sw_address_is_loopback(peer));
    if (room->accepted++ > 0) {
        close(fd);
        return;
    }
    room->server.events = &events;
    room->server.context = room;
    assert_int_equal(sw_stream_open(&room->server, room->reactor, fd, NULL), SW_OK);
}

static void open_room(struct room *room, const char *where) {
    int fd = -1;
    struct sw_error err = {0};
    *room = (struct room){.server.fd = -1, .client.fd = -1};
    assert_int_equal(sw_reactor_open(&room->reactor, NULL, NULL), SW_OK);
    assert_int_equal(sw_address_parse(&room->address, sw_str_from(where), NULL), SW_OK);
    assert_int_equal(sw_socket_listen(&fd, &room->address, NULL, &err), SW_OK);
    assert_int_equal(sw_socket_local(fd, &room->address, &err), SW_OK);
    sw_listener_set(&room->listener, on_accept, room);
    assert_int_equal(sw_listener_open(&room->listener, room->reactor, fd, &err), SW_OK);
}

static void open_client(struct room *room) {
    int fd = -1;
    assert_int_equal(sw_socket_connect(&fd, &room->address, NULL), SW_OK);
    room->client.events = &events;
    room->client.context = room;
    room->client.is_connecting = true;
    assert_int_equal(sw_stream_open(&room->client, room->reactor, fd, NULL), SW_OK);
}

static void close_room(struct room *room) {
    sw_stream_close(&room->server);
    sw_stream_close(&room->client);
    sw_listener_close(&room->listener);
    sw_buf_release(&room->got);
    sw_reactor_close(room->reactor);
}

#define PATIENCE_NS (60 * SW_NS_PER_S) /* how long a test waits for what must come */

#define TURN_UNTIL(room, condition) \
    for (int64_t turn_until_ns = sw_clock_mono_ns() + PATIENCE_NS; !(condition);) { \
        assert_true(sw_clock_mono_ns() < turn_until_ns); \
        assert_int_equal(sw_reactor_turn((room)->reactor, 2 * SW_NS_PER_MS, NULL), SW_OK); \
    }

static int released;

static void count_release(void *context) {
    released++;
}

static void test_stream(void **unused) {
    static const char *const places[] = {"127.0.0.1:0", "[::1]:0", "unix:@sidewinder-test-socket"};
    for (size_t i = 0; i < 3; i++) {
        struct room room;
        if (i == 1 && access("/proc/net/if_inet6", R_OK)) {
            continue;
        }
        open_room(&room, places[i]);
        assert_true(i == 2 || sw_address_port(&room.address) > 0);
        open_client(&room);
        static char block[3 << 20];
        for (size_t at = 0; at < sizeof block; at++) {
            block[at] = (char)(at * 7 % 251);
        }
        released = 0;
        struct sw_stream_loan loan = {sw_str_make(block, sizeof block), count_release, NULL};
        assert_int_equal(sw_stream_write(&room.client, SW_STR("begin ")), SW_OK); /* before it is connected */
        assert_int_equal(sw_stream_write_loan(&room.client, &loan), SW_OK);
        assert_int_equal(sw_stream_write(&room.client, SW_STR(" end")), SW_OK);
        sw_stream_shutdown(&room.client);
        TURN_UNTIL(&room, room.is_ended);
        assert_int_equal(released, 1);
        assert_true(room.is_drained);
        assert_int_equal(room.got.len, sizeof block + 10);
        assert_memory_equal(room.got.ptr, "begin ", 6);
        assert_memory_equal(room.got.ptr + 6, block, sizeof block);
        assert_memory_equal(room.got.ptr + 6 + sizeof block, " end", 4);
        /* The other direction still works. */
        sw_buf_clear(&room.got);
        assert_int_equal(sw_stream_write(&room.server, SW_STR("reply")), SW_OK);
        TURN_UNTIL(&room, room.got.len == 5);
        close_room(&room);
    }
}

static void test_stream_pause_and_loss(void **unused) {
    struct room room;
    open_room(&room, "unix:@sidewinder-test-pause");
    open_client(&room);
    assert_int_equal(sw_stream_write(&room.client, SW_STR("one")), SW_OK);
    TURN_UNTIL(&room, room.got.len == 3);
    sw_stream_pause(&room.server);
    assert_int_equal(sw_stream_write(&room.client, SW_STR("two")), SW_OK);
    TURN_UNTIL(&room, room.client.pending_bytes == 0);
    sw_stream_close(&room.client); /* a hangup for the paused end, with bytes still to be read */
    uint64_t before = sw_reactor_turns(room.reactor);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(sw_reactor_turn(room.reactor, SW_NS_PER_MS, NULL), SW_OK);
    }
    assert_int_equal(sw_reactor_turns(room.reactor) - before, 5);
    assert_int_equal(room.got.len, 3);
    sw_stream_resume(&room.server);
    TURN_UNTIL(&room, room.is_ended || room.error_number);
    assert_int_equal(room.got.len, 6);
    assert_memory_equal(room.got.ptr, "onetwo", 6);
    released = 0;
    struct sw_stream_loan loan = {SW_STR("lost"), count_release, NULL};
    assert_int_equal(sw_stream_write_loan(&room.client, &loan), SW_CLOSED);
    assert_int_equal(released, 1);
    assert_int_equal(sw_stream_write(&room.client, SW_STR("x")), SW_CLOSED);
    close_room(&room);
}

static void test_stream_closed_in_callback(void **unused) {
    struct room room;
    open_room(&room, "127.0.0.1:0");
    room.is_closing_on_data = true;
    open_client(&room);
    assert_int_equal(sw_stream_write(&room.client, SW_STR("bye")), SW_OK);
    TURN_UNTIL(&room, room.is_ended || room.error_number);
    assert_int_equal(room.server.fd, -1);
    close_room(&room);
}

static void test_connection_refused(void **unused) {
    struct room room;
    open_room(&room, "127.0.0.1:0");
    sw_listener_close(&room.listener);
    open_client(&room);
    TURN_UNTIL(&room, room.error_number);
    assert_int_equal(room.error_number, ECONNREFUSED);
    close_room(&room);
}

static void test_address_in_use(void **unused) {
    struct room room;
    struct sw_error err = {0};
    int fd = -1;
    char text[SW_ADDRESS_TEXT_MAX];
    open_room(&room, "127.0.0.1:0");
    assert_int_equal(sw_socket_listen(&fd, &room.address, NULL, &err), SW_EXISTS);
    sw_address_format(&room.address, text);
    assert_non_null(strstr(err.text, text));
    assert_non_null(strstr(err.text, "choose another port"));
    close_room(&room);
    struct sw_address elsewhere;
    assert_int_equal(sw_address_parse(&elsewhere, SW_STR("192.0.2.77:80"), NULL), SW_OK);
    assert_int_not_equal(sw_socket_listen(&fd, &elsewhere, NULL, &err), SW_OK);
    assert_non_null(strstr(err.text, "192.0.2.77:80"));
}

static void test_unix_path(void **unused) {
    char name[] = "/tmp/sidewinder-test-XXXXXX";
    assert_non_null(mkdtemp(name));
    char text[96], path[64];
    snprintf(path, sizeof path, "%s/s", name);
    snprintf(text, sizeof text, "unix:%s", path);
    struct room room;
    struct stat info;
    int fd = -1;
    open_room(&room, text);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    struct sw_error err = {0};
    assert_int_equal(sw_socket_listen(&fd, &room.address, NULL, &err), SW_EXISTS); /* alive */
    close_room(&room);
    open_room(&room, text); /* dead: replaced */
    close_room(&room);
    unlink(path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    struct sw_address address;
    assert_int_equal(sw_address_parse(&address, sw_str_from(text), NULL), SW_OK);
    assert_int_not_equal(sw_socket_listen(&fd, &address, NULL, &err), SW_OK); /* a plain file is not ours to remove */
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    rmdir(name);
}

static void test_datagrams(void **unused) {
    struct sw_address address;
    int fd = -1;
    assert_int_equal(sw_address_parse(&address, SW_STR("127.0.0.1:0"), NULL), SW_OK);
    struct sw_socket_options options = {.receive_buffer_bytes = 1 << 16};
    assert_int_equal(sw_socket_bind_datagram(&fd, &address, &options, NULL), SW_OK);
    assert_int_equal(sw_socket_local(fd, &address, NULL), SW_OK);
    assert_int_equal(sendto(fd, "hi", 2, 0, (const struct sockaddr *)&address.storage, address.len), 2);
    char got[8];
    struct pollfd arrival = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&arrival, 1, (int)(PATIENCE_NS / SW_NS_PER_MS)), 1);
    assert_int_equal(recv(fd, got, sizeof got, 0), 2);
    sw_socket_close(&fd);
    assert_int_equal(fd, -1);
    sw_socket_close(&fd);
}

/* With every descriptor taken, a waiting connection is accepted and closed, and the loop does not spin. */
static void test_out_of_descriptors(void **unused) {
    struct room room;
    open_room(&room, "127.0.0.1:0");
    int client = -1;
    assert_int_equal(sw_socket_connect(&client, &room.address, NULL), SW_OK);
    struct rlimit before, tight;
    getrlimit(RLIMIT_NOFILE, &before);
    int top = open("/dev/null", O_RDONLY);
    close(top);
    tight = before;
    tight.rlim_cur = (rlim_t)top;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    int64_t deadline_ns = sw_clock_mono_ns() + PATIENCE_NS;
    while (room.listener.refused == 0 && sw_clock_mono_ns() < deadline_ns) {
        assert_int_equal(sw_reactor_turn(room.reactor, SW_NS_PER_MS, NULL), SW_OK);
    }
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(room.listener.refused, 1);
    assert_int_equal(room.accepted, 0);
    char byte;
    struct pollfd end = {.fd = client, .events = POLLIN};
    assert_int_equal(poll(&end, 1, (int)(PATIENCE_NS / SW_NS_PER_MS)), 1);
    assert_int_equal(recv(client, &byte, 1, 0), 0);
    close(client);
    assert_int_equal(sw_socket_connect(&client, &room.address, NULL), SW_OK);
    TURN_UNTIL(&room, room.accepted == 1); /* and it works again */
    close(client);
    close_room(&room);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_host_hash),
        cmocka_unit_test(test_long_unix_path),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_stream_pause_and_loss),
        cmocka_unit_test(test_stream_closed_in_callback),
        cmocka_unit_test(test_connection_refused),
        cmocka_unit_test(test_address_in_use),
        cmocka_unit_test(test_unix_path),
        cmocka_unit_test(test_datagrams),
        cmocka_unit_test(test_out_of_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
