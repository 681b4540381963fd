/* test_http_hostile.c - Hostile peers against the HTTP server: smuggling forms, slow and mute clients, floods. */
#include "http_app.h"

#include <sys/resource.h>

static void test_reader_that_stops(void **state) {
    struct app *app = *state;
    app->options.high_water_bytes = 64 * 1024;
    app->options.output_bytes_max = 32 << 20; /* more than the kernel's buffers swallow */
    app->options.write_timeout_ns = 50 * SW_NS_PER_MS;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    while (app->requests == 0) {
        turn(&app->world);
    }
    assert_true(sw_http_is_writable(app->late));
    static char block[1 << 20];
    enum sw_status status = SW_OK;
    size_t written = 0;
    while (status == SW_OK && written < 64) {
        status = sw_http_write(app->late, sw_str_make(block, sizeof block));
        written++;
    }
    assert_int_equal(status, SW_LIMIT);
    assert_false(sw_http_is_writable(app->late));
    assert_true(sw_http_is_open(app->late));
    int64_t deadline = sw_clock_mono_ns() + PATIENCE_NS;
    while (app->close_count == 0) { /* the write stall cuts it */
        turn(&app->world);
        assert_true(sw_clock_mono_ns() < deadline);
    }
    assert_int_equal(app->close_status, SW_CLOSED);
    assert_false(sw_http_is_writable(app->late));
    assert_int_equal(sw_http_write(app->late, SW_STR("x")), SW_CLOSED);
    close(fd);
}

/* A client that sends requests and never reads: its answers stay bounded, it is cut in the end, others are served. */
static void test_pipeliner_that_does_not_read(void **state) {
    struct app *app = *state;
    app->options.high_water_bytes = 16 * 1024;
    app->options.write_timeout_ns = 100 * SW_NS_PER_MS;
    start(app);
    int fd = dial(&app->world);
    turn_until_open(&app->world, 1);
    char path[4096];
    memset(path, 'p', sizeof path);
    struct sw_http_stats stats;
    int64_t deadline = sw_clock_mono_ns() + PATIENCE_NS;
    do {
        struct iovec parts[] = {{(void *)(uintptr_t) "GET /", 5},
                                {path, sizeof path},
                                {(void *)(uintptr_t) " HTTP/1.1\r\nHost: a\r\n\r\n", 22}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
        ssize_t ignored = sendmsg(fd, &message, MSG_NOSIGNAL);
        (void)ignored;
        assert_int_equal(sw_reactor_turn(app->world.reactor, 0, NULL), SW_OK);
        sw_http_server_stats(app->world.server, &stats);
        assert_true(sw_clock_mono_ns() < deadline);
    } while (stats.connections > 0);
    assert_true(stats.timeouts > 0 || stats.bad_requests > 0);
    close(fd);
    fd = dial(&app->world);
    say(&app->world, fd, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(&app->world, fd, &app->heard, "/ok");
    close(fd);
}

struct bad {
    const char *request;
    const char *status;
};

static void test_framing_errors(void **state) {
    struct app *app = *state;
    start(app);
    static const struct bad rows[] = {
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", "400"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd", "400"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX", "400"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "400"},
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
        {"GET / HTTP/1.1\nHost: a\n\n", "400"},
        {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "400"},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "501"},
        {"\x16\x03\x01\x02", "400"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int fd = dial(&app->world);
        forget(&app->heard);
        say(&app->world, fd, rows[i].request);
        say(&app->world, fd, "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        hear_end(&app->world, fd, &app->heard);
        assert_int_equal(count_of(&app->heard, "\r\nDate: "), 1);
        assert_int_equal(count_of(&app->heard, "smuggled"), 0);
        if (strncmp(app->heard.text + 9, rows[i].status, 3) != 0) {
            fail_msg("row %zu: wanted %s, heard %.100s", i, rows[i].status, app->heard.text);
        }
        assert_int_equal(count_of(&app->heard, "Connection: close\r\n"), 1);
        assert_false(app->heard.is_reset);
        close(fd);
    }
    turn_until_idle(&app->world);
}

static void test_oversized_head(void **state) {
    struct app *app = *state;
    start(app);
    char block[4000];
    memset(block, 'a', sizeof block);
    int fd = dial(&app->world);
    say(&app->world, fd, "GET /");
    for (int i = 0; i < 100 && say_bytes(&app->world, fd, block, sizeof block); i++) {
        turn(&app->world);
    }
    hear_end(&app->world, fd, &app->heard);
    assert_int_equal(count_of(&app->heard, "HTTP/1.1 414 "), 1);
    close(fd);
    forget(&app->heard);
    fd = dial(&app->world);
    say(&app->world, fd, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 100 && say(&app->world, fd, "X: "); i++) {
        say_bytes(&app->world, fd, block, sizeof block);
        say(&app->world, fd, "\r\n");
        turn(&app->world);
    }
    hear_end(&app->world, fd, &app->heard);
    assert_int_equal(count_of(&app->heard, "HTTP/1.1 431 "), 1);
    close(fd);
    forget(&app->heard);
    fd = dial(&app->world);
    say(&app->world, fd, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 200; i++) {
        say(&app->world, fd, "X: y\r\n");
    }
    hear_end(&app->world, fd, &app->heard);
    assert_int_equal(count_of(&app->heard, "HTTP/1.1 431 "), 1);
    close(fd);
}

static void test_slow_head(void **state) {
    struct app *app = *state;
    app->options.head_timeout_ns = 50 * SW_NS_PER_MS;
    start(app);
    int silent = dial_pair(&app->world);
    int slow = dial_pair(&app->world);
    struct heard *quiet = calloc(1, sizeof *quiet);
    assert_non_null(quiet);
    /* One header byte per turn, for ever: bytes do not move the deadline. */
    say(&app->world, slow, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    int64_t deadline = sw_clock_mono_ns() + PATIENCE_NS;
    while (!app->heard.is_over && say(&app->world, slow, "x")) {
        turn(&app->world);
        turn(&app->world); /* nothing to do: waits */
        listen_once(slow, &app->heard);
        assert_true(sw_clock_mono_ns() < deadline);
    }
    shutdown(slow, SHUT_WR);
    hear_end(&app->world, slow, &app->heard);
    assert_int_equal(count_of(&app->heard, "HTTP/1.1 408 "), 1);
    hear_end(&app->world, silent, quiet);
    assert_int_equal(quiet->len, 0);
    assert_int_equal(app->requests, 0);
    free(quiet);
    close(slow);
    close(silent);
}

static void test_slow_body_and_idle(void **state) {
    struct app *app = *state;
    app->options.body_timeout_ns = 50 * SW_NS_PER_MS;
    app->options.body_rate_min = 1000000;
    app->options.idle_timeout_ns = 50 * SW_NS_PER_MS;
    app->options.linger_timeout_ns = 20 * SW_NS_PER_MS;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    int64_t deadline = sw_clock_mono_ns() + PATIENCE_NS;
    while (app->heard.len == 0 && say(&app->world, fd, "x")) {
        turn(&app->world);
        turn(&app->world);
        listen_once(fd, &app->heard);
        assert_true(sw_clock_mono_ns() < deadline);
    }
    hear_end(&app->world, fd, &app->heard);
    assert_int_equal(count_of(&app->heard, "HTTP/1.1 408 "), 1);
    assert_int_equal(app->end_status, SW_TIMEOUT);
    close(fd);
    forget(&app->heard);
    fd = dial(&app->world);
    say(&app->world, fd, "GET /idle HTTP/1.1\r\nHost: a\r\n\r\n");
    hear_end(&app->world, fd, &app->heard);
    assert_int_equal(count_of(&app->heard, "HTTP/1.1 200 "), 1);
    assert_false(app->heard.is_reset);
    close(fd);
}

static void test_handler_timeout(void **state) {
    struct app *app = *state;
    app->options.handler_timeout_ns = 30 * SW_NS_PER_MS;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(&app->world, fd, &app->heard, "HTTP/1.1 503 ");
    assert_int_equal(app->close_status, SW_CLOSED);
    assert_int_equal(sw_http_respond_text(app->late, 200, NULL, SW_STR("x")), SW_CLOSED);
    close(fd);
}

static void test_body_cut_short(void **state) {
    struct app *app = *state;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    shutdown(fd, SHUT_WR);
    hear_end(&app->world, fd, &app->heard);
    assert_int_equal(app->end_count, 1);
    assert_int_equal(app->end_status, SW_CLOSED);
    close(fd);
}

static void test_header_injection(void **state) {
    struct app *app = *state;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd, "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n");
    hear_end(&app->world, fd, &app->heard);
    assert_int_equal(count_of(&app->heard, "HTTP/1.1 500 "), 1);
    assert_int_equal(count_of(&app->heard, "Set-Cookie"), 0);
    close(fd);
}

static void test_connection_limits(void **state) {
    struct app *app = *state;
    app->options.connections_max = 3;
    app->options.connections_per_ip = 2;
    start(app);
    int fds[3];
    for (int i = 0; i < 2; i++) {
        fds[i] = dial(&app->world);
        say(&app->world, fds[i], "GET /in HTTP/1.1\r\nHost: a\r\n\r\n");
        forget(&app->heard);
        hear(&app->world, fds[i], &app->heard, "/in");
    }
    forget(&app->heard);
    fds[2] = dial(&app->world);
    hear_end(&app->world, fds[2], &app->heard);
    assert_int_equal(count_of(&app->heard, "HTTP/1.1 429 "), 1);
    close(fds[2]);
    close(fds[0]);
    turn_until_open(&app->world, 1);
    forget(&app->heard);
    fds[0] = dial(&app->world);
    say(&app->world, fds[0], "GET /room HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(&app->world, fds[0], &app->heard, "/room");
    close(fds[0]);
    close(fds[1]);
    turn_until_idle(&app->world);
    struct sw_http_stats stats;
    sw_http_server_stats(app->world.server, &stats);
    assert_int_equal(stats.refused, 1);
    assert_int_equal(stats.requests, 3);
}

static void test_thousand_connections(void **state) {
    struct app *app = *state;
    enum { count = 1000 };
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2 * count + 50) {
        skip();
    }
    start(app);
    static int fds[count];
    for (int i = 0; i < count; i++) {
        fds[i] = dial(&app->world);
        if (i % 50 == 0) {
            turn(&app->world);
        }
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < count; i++) {
            say(&app->world, fds[i], "GET /one HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        for (int i = 0; i < count; i++) {
            forget(&app->heard);
            hear(&app->world, fds[i], &app->heard, "/one");
        }
    }
    struct sw_http_stats stats;
    sw_http_server_stats(app->world.server, &stats);
    assert_int_equal(stats.connections, count);
    assert_int_equal(stats.requests, 2 * count);
    for (int i = 0; i < count; i++) {
        close(fds[i]);
    }
    turn_until_idle(&app->world);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_reader_that_stops),
        T(test_pipeliner_that_does_not_read),
        T(test_framing_errors),
        T(test_oversized_head),
        T(test_slow_head),
        T(test_slow_body_and_idle),
        T(test_handler_timeout),
        T(test_body_cut_short),
        T(test_header_injection),
        T(test_connection_limits),
        T(test_thousand_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
