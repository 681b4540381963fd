/* test_http_server.c - The HTTP server over real loopback sockets: order, framing, bodies, answers, memory. */
#include "http_app.h"

#include "base/mem.h"

static void test_simple_request(void **state) {
    struct app *app = *state;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd, "GET /hello?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(&app->world, fd, &app->heard, "\r\n\r\n/hello");
    assert_memory_equal(app->heard.text, "HTTP/1.1 200 OK\r\n", 17);
    assert_int_equal(count_of(&app->heard, "\r\nContent-Length: 6\r\n"), 1);
    assert_int_equal(count_of(&app->heard, " GMT\r\n"), 1);
    assert_int_equal(count_of(&app->heard, "Connection:"), 0);
    say(&app->world, fd, "GET /a%20b HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(&app->world, fd, &app->heard, "decoded");
    say(&app->world, fd, "GET /x/%2e%2e/y HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(&app->world, fd, &app->heard, "no plain path");
    close(fd);
    turn_until_idle(&app->world);
    assert_int_equal(app->requests, 3);
}

static const char three[] =
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst"
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsec\r\n3;x=y\r\nond\r\n0\r\n\r\n"
    "GET /third HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

static void check_three(struct app *app) {
    const char *first = strstr(app->heard.text, "\r\n\r\nfirst");
    const char *second = strstr(app->heard.text, "\r\n\r\nsecond");
    const char *third = strstr(app->heard.text, "\r\n\r\n/third");
    assert_true(first && second && third && first < second && second < third);
    assert_int_equal(count_of(&app->heard, "HTTP/1.1 200 OK"), 3);
    assert_int_equal(count_of(&app->heard, "Connection: close"), 1);
    assert_false(app->heard.is_reset);
}

static void test_pipelined_at_once_and_byte_by_byte(void **state) {
    struct app *app = *state;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd, three);
    hear_end(&app->world, fd, &app->heard);
    check_three(app);
    close(fd);
    forget(&app->heard);
    fd = dial(&app->world);
    for (const char *at = three; *at; at++) {
        say_bytes(&app->world, fd, at, 1);
        assert_int_equal(sw_reactor_turn(app->world.reactor, 0, NULL), SW_OK);
    }
    hear_end(&app->world, fd, &app->heard);
    check_three(app);
    close(fd);
}

static void test_every_split(void **state) {
    struct app *app = *state;
    start(app);
    for (size_t at = 1; at < sizeof three - 1; at++) {
        int fd = dial(&app->world);
        forget(&app->heard);
        say_bytes(&app->world, fd, three, at);
        turn(&app->world);
        say_bytes(&app->world, fd, three + at, sizeof three - 1 - at);
        hear_end(&app->world, fd, &app->heard);
        check_three(app);
        close(fd);
    }
}

static void test_many_pipelined(void **state) {
    struct app *app = *state;
    app->options.pipeline_max = 4;
    start(app);
    int fd = dial(&app->world);
    for (int i = 0; i < 500; i++) {
        say(&app->world, fd, "GET /hi HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    shutdown(fd, SHUT_WR); /* what was asked for before is answered all the same */
    hear_end(&app->world, fd, &app->heard);
    assert_int_equal(count_of(&app->heard, "\r\n\r\n/hi"), 500);
    close(fd);
}

static void test_async_answers_keep_order(void **state) {
    struct app *app = *state;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    while (app->requests == 0) {
        turn(&app->world);
    }
    for (int i = 0; i < 5; i++) {
        turn(&app->world);
    }
    assert_int_equal(app->requests, 1);
    struct sw_http_ref ref = app->late;
    assert_true(sw_http_is_open(ref));
    assert_int_equal(sw_http_respond_text(ref, 200, NULL, SW_STR("late")), SW_OK);
    assert_int_equal(sw_http_respond_text(ref, 200, NULL, SW_STR("twice")), SW_INVALID);
    hear(&app->world, fd, &app->heard, "/next");
    assert_true(strstr(app->heard.text, "late") < strstr(app->heard.text, "/next"));
    assert_int_equal(app->close_count, 1);
    assert_int_equal(app->close_status, SW_OK);
    assert_int_equal(sw_http_respond_text(ref, 200, NULL, SW_STR("stale")), SW_CLOSED);
    assert_false(sw_http_is_open(ref));
    close(fd);
}

static void test_handle_outlives_connection(void **state) {
    struct app *app = *state;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    while (app->requests == 0) {
        turn(&app->world);
    }
    struct linger hard = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd); /* a reset */
    turn_until_idle(&app->world);
    assert_int_equal(app->close_count, 1);
    assert_int_equal(app->close_status, SW_CLOSED);
    fd = dial(&app->world); /* which takes the same slot */
    say(&app->world, fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    struct sw_http_ref stale = app->late;
    while (app->requests < 2) {
        turn(&app->world);
    }
    assert_int_equal(stale.slot, app->late.slot);
    assert_int_equal(sw_http_respond_text(stale, 200, NULL, SW_STR("stale")), SW_CLOSED);
    assert_int_equal(sw_http_respond_text(app->late, 200, NULL, SW_STR("fresh")), SW_OK);
    hear(&app->world, fd, &app->heard, "fresh");
    close(fd);
}

/* The end of input alone does not tell whether the peer still reads: by default it does. */
static void test_peer_done_before_the_answer(void **state) {
    struct app *app = *state;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(fd, SHUT_WR);
    while (app->requests == 0) {
        turn(&app->world);
    }
    for (int i = 0; i < 5; i++) {
        turn(&app->world);
    }
    assert_int_equal(app->close_count, 0);
    assert_int_equal(sw_http_respond_text(app->late, 200, NULL, SW_STR("late")), SW_OK);
    hear_end(&app->world, fd, &app->heard);
    assert_int_equal(count_of(&app->heard, "late"), 1);
    close(fd);
}

static void test_ends_with_peer(void **state) {
    struct app *app = *state;
    app->options.ends_with_peer = true;
    start(app);
    for (size_t i = 1; i <= 2; i++) { /* with its request, and later */
        int fd = dial(&app->world);
        say(&app->world, fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
        while (i == 2 && app->requests < i) {
            turn(&app->world);
        }
        close(fd); /* all is read, so no reset */
        while (app->requests < i) {
            turn(&app->world);
        }
        turn_until_idle(&app->world);
        assert_int_equal(app->close_count, i);
        assert_int_equal(app->close_status, SW_CLOSED);
    }
    int fd = dial(&app->world); /* what was answered gets there */
    say(&app->world, fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(fd, SHUT_WR);
    hear_end(&app->world, fd, &app->heard);
    assert_int_equal(count_of(&app->heard, "\r\n\r\n/hello"), 1);
    close(fd);
}

static void test_head_and_bodiless(void **state) {
    struct app *app = *state;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /empty HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(&app->world, fd, &app->heard, "204 No Content");
    assert_int_equal(count_of(&app->heard, "Content-Length: 6\r\n"), 1);
    assert_int_equal(count_of(&app->heard, "/hello"), 0);
    say(&app->world, fd, "GET /done HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(&app->world, fd, &app->heard, "/done");
    assert_int_equal(count_of(&app->heard, "must not"), 0);
    assert_int_equal(count_of(&app->heard, "Content-Length"), 2);
    close(fd);
}

static void test_http10(void **state) {
    struct app *app = *state;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd, "GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    hear(&app->world, fd, &app->heard, "/old");
    assert_int_equal(count_of(&app->heard, "Connection: keep-alive\r\n"), 1);
    say(&app->world, fd, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    while (app->requests < 2) {
        turn(&app->world);
    }
    assert_int_equal(sw_http_write(app->late, SW_STR("until the end")), SW_OK);
    assert_int_equal(sw_http_end(app->late), SW_OK);
    hear_end(&app->world, fd, &app->heard);
    assert_int_equal(count_of(&app->heard, "chunked"), 0);
    assert_int_equal(count_of(&app->heard, "\r\n\r\nuntil the end"), 1);
    assert_false(app->heard.is_reset);
    close(fd);
}

static void test_continue(void **state) {
    struct app *app = *state;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    hear(&app->world, fd, &app->heard, "HTTP/1.1 100 Continue\r\n\r\n");
    say(&app->world, fd, "body");
    hear(&app->world, fd, &app->heard, "\r\n\r\nbody");
    /* A handler that does not want the body: no 100, and no guess whether it is coming. */
    forget(&app->heard);
    say(&app->world, fd, "POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    hear(&app->world, fd, &app->heard, "Connection: close");
    assert_int_equal(count_of(&app->heard, "100 Continue"), 0);
    shutdown(fd, SHUT_WR);
    hear_end(&app->world, fd, &app->heard);
    close(fd);
}

static void test_unasked_body(void **state) {
    struct app *app = *state;
    app->options.drain_bytes_max = 100;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd,
        "POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET "
        "GET /after HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(&app->world, fd, &app->heard, "/after");
    forget(&app->heard);
    say(&app->world, fd, "POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n");
    hear(&app->world, fd, &app->heard, "Connection: close");
    close(fd);
    forget(&app->heard);
    fd = dial(&app->world); /* in chunks the length is not known before */
    say(&app->world, fd, "POST /no HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n80\r\n");
    hear(&app->world, fd, &app->heard, "/no");
    char chunk[129];
    memset(chunk, 'x', 128);
    chunk[128] = 0;
    say(&app->world, fd, chunk);
    hear_end(&app->world, fd, &app->heard);
    close(fd);
}

static void test_body_limits(void **state) {
    struct app *app = *state;
    start(app);
    static const char *const requests[] = {
        "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789",
        "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n5\r\n56789\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < 2; i++) {
        int fd = dial(&app->world);
        forget(&app->heard);
        say(&app->world, fd, requests[i]);
        hear_end(&app->world, fd, &app->heard);
        assert_int_equal(count_of(&app->heard, "HTTP/1.1 413 "), 1);
        assert_int_equal(app->end_count, i + 1);
        assert_int_equal(app->end_status, SW_LIMIT);
        assert_false(app->heard.is_reset);
        close(fd);
    }
    turn_until_idle(&app->world);
}

static void test_streamed_body_with_pauses(void **state) {
    struct app *app = *state;
    app->options.backlog_bytes_max = 4096;
    app->is_pausing = true;
    start(app);
    int fd = dial(&app->world);
    int small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    enum { total = 3 << 20 };
    char head[128];
    snprintf(head, sizeof head, "POST /pieces HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", total);
    say(&app->world, fd, head);
    char block[8192];
    memset(block, 'b', sizeof block);
    size_t sent = 0, resumed = 0;
    int64_t deadline = sw_clock_mono_ns() + PATIENCE_NS;
    while (app->end_count == 0) {
        size_t len = total - sent < sizeof block ? total - sent : sizeof block;
        ssize_t got = len > 0 ? send(fd, block, len, MSG_NOSIGNAL) : 0;
        sent += got > 0 ? (size_t)got : 0;
        turn(&app->world);
        if (app->pieces > resumed) {
            resumed = app->pieces;
            sw_http_body_resume(app->late);
        }
        assert_true(sw_clock_mono_ns() < deadline);
    }
    assert_int_equal(app->end_status, SW_OK);
    assert_int_equal(app->body_bytes, total);
    hear(&app->world, fd, &app->heard, "streamed");
    /* A reader that never resumes stops the sender. */
    say(&app->world, fd, head);
    for (sent = 0; sent < (size_t)total;) {
        ssize_t got = send(fd, block, sizeof block, MSG_NOSIGNAL);
        if (got < 0 && sent > 0 && sw_clock_mono_ns() > deadline) {
            break;
        }
        if (got < 0) {
            for (int i = 0; i < 20; i++) {
                turn(&app->world);
            }
            if (send(fd, block, 1, MSG_NOSIGNAL) < 0) {
                break;
            }
            sent++;
        }
        sent += got > 0 ? (size_t)got : 0;
    }
    assert_true(sent < (size_t)total);
    close(fd);
}

static void test_chunked_answer(void **state) {
    struct app *app = *state;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(&app->world, fd, &app->heard, "Transfer-Encoding: chunked\r\n");
    assert_int_equal(sw_http_write(app->late, SW_STR("hello")), SW_OK);
    assert_int_equal(sw_http_write(app->late, SW_STR("")), SW_OK);
    assert_int_equal(sw_http_write(app->late, SW_STR(" sixteen bytes!!")), SW_OK);
    assert_int_equal(sw_http_end(app->late), SW_OK);
    assert_int_equal(sw_http_write(app->late, SW_STR("more")), SW_INVALID);
    hear(&app->world, fd, &app->heard, "\r\n\r\n5\r\nhello\r\n10\r\n sixteen bytes!!\r\n0\r\n\r\n");
    say(&app->world, fd, "GET /again HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(&app->world, fd, &app->heard, "/again");
    close(fd);
}

static void test_writable_again(void **state) {
    struct app *app = *state;
    app->options.high_water_bytes = 64 * 1024;
    start(app);
    int fd = dial(&app->world);
    say(&app->world, fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(&app->world, fd, &app->heard, "\r\n\r\n");
    static char block[1 << 20];
    for (int i = 0; i < 16; i++) {
        assert_int_equal(sw_http_write(app->late, sw_str_make(block, sizeof block)), SW_OK);
    }
    assert_false(sw_http_is_writable(app->late));
    size_t before = app->writable_count;
    int64_t deadline = sw_clock_mono_ns() + PATIENCE_NS;
    while (app->writable_count == before) {
        forget(&app->heard);
        listen_once(fd, &app->heard);
        turn(&app->world);
        assert_true(sw_clock_mono_ns() < deadline);
    }
    assert_true(sw_http_is_writable(app->late));
    assert_int_equal(sw_http_pending_bytes(app->late), 0);
    close(fd); /* a stream ends when its reader leaves */
    turn_until_idle(&app->world);
    assert_int_equal(app->close_status, SW_CLOSED);
}

static void test_draining(void **state) {
    struct app *app = *state;
    start(app);
    int idle = dial(&app->world);
    int busy = dial(&app->world);
    say(&app->world, busy, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    while (app->requests == 0) {
        turn(&app->world);
    }
    sw_http_server_drain(app->world.server);
    hear_end(&app->world, idle, &app->heard);
    assert_false(sw_http_server_is_idle(app->world.server));
    forget(&app->heard);
    assert_int_equal(sw_http_respond_text(app->late, 200, NULL, SW_STR("last")), SW_OK);
    hear_end(&app->world, busy, &app->heard);
    assert_int_equal(count_of(&app->heard, "Connection: close"), 1);
    assert_int_equal(count_of(&app->heard, "last"), 1);
    turn_until_idle(&app->world);
    close(idle);
    close(busy);
}

/* The n-th allocation fails, for every n that matters: no crash, no leak, and the server serves on afterwards. */
static void test_out_of_memory(void **state) {
    struct app *app = *state;
    start(app);
    for (size_t nth = 1; nth <= 24; nth++) {
        int fd = dial(&app->world);
        forget(&app->heard);
        app->is_starving = true;
        sw_mem_fail_at(nth);
        say_bytes(&app->world, fd, three, 30);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(sw_reactor_turn(app->world.reactor, SW_NS_PER_MS, NULL), SW_OK);
        }
        say_bytes(&app->world, fd, three + 30, sizeof three - 1 - 30);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(sw_reactor_turn(app->world.reactor, SW_NS_PER_MS, NULL), SW_OK);
        }
        sw_mem_fail_at(0);
        app->is_starving = false;
        close(fd);
        turn_until_idle(&app->world);
    }
    int fd = dial(&app->world);
    forget(&app->heard);
    say(&app->world, fd, three);
    hear_end(&app->world, fd, &app->heard);
    check_three(app);
    close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_simple_request),
        T(test_pipelined_at_once_and_byte_by_byte),
        T(test_every_split),
        T(test_many_pipelined),
        T(test_async_answers_keep_order),
        T(test_handle_outlives_connection),
        T(test_peer_done_before_the_answer),
        T(test_ends_with_peer),
        T(test_head_and_bodiless),
        T(test_http10),
        T(test_continue),
        T(test_unasked_body),
        T(test_body_limits),
        T(test_streamed_body_with_pauses),
        T(test_chunked_answer),
        T(test_writable_again),
        T(test_draining),
        T(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
