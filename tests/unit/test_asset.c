/* test_asset.c - Assets, the guard and event streams over a real server. */
#include "net_peer.h"

#include <stdlib.h>

#include "net/asset.h"
#include "net/http_guard.h"
#include "net/sse.h"

struct app {
    struct world world;
    struct heard heard;
    struct sw_asset asset;
    struct sw_http_guard guard;
    bool is_guarded;
    struct sw_http_ref stream;
    char last_event_id[64];
    size_t closed;
    size_t admitted;
    struct sw_sse_options sse;
};

static void on_sse_close(void *context, struct sw_http_ref ref) {
    struct app *app = context;
    app->closed++;
}

static void handle(void *context, const struct sw_http_call *call) {
    struct app *app = context;
    if (app->is_guarded && !sw_http_guard_admit(&app->guard, call)) {
        return;
    }
    app->admitted++;
    enum sw_status status = SW_OK;
    if (sw_str_eq(call->path, SW_STR("/events"))) {
        struct sw_str id = sw_sse_last_event_id(call);
        assert_true(id.len < sizeof app->last_event_id);
        memcpy(app->last_event_id, id.len ? id.ptr : "", id.len);
        app->last_event_id[id.len] = 0;
        app->sse.on_close = on_sse_close;
        app->sse.context = app;
        app->stream = call->ref;
        status = sw_sse_start(call, &app->sse);
    } else {
        status = sw_asset_serve(&app->asset, call);
    }
    assert_int_equal(status, SW_OK);
}

static int set_up(void **state) {
    struct app *app = calloc(1, sizeof *app);
    assert_non_null(app);
    struct sw_http_options options = {.handler = handle, .context = app};
    open_world(&app->world, &options);
    app->asset = (struct sw_asset){.content_type = SW_STR("text/html; charset=utf-8"),
                                   .body = SW_STR("<html>plain</html>"),
                                   .gzip = SW_STR("pretend-gzip"),
                                   .csp = SW_STR(SW_ASSET_CSP_SINGLE_PAGE)};
    sw_asset_prepare(&app->asset);
    *state = app;
    return 0;
}

static int tear_down(void **state) {
    struct app *app = *state;
    close_world(&app->world);
    sw_http_guard_release(&app->guard);
    free(app);
    return 0;
}

/* One request with these header lines on a connection of its own; the answer is in app->heard. */
static void ask(struct app *app, const char *line, const char *headers) {
    char request[1024];
    int fd = dial(&app->world);
    forget(&app->heard);
    snprintf(request, sizeof request, "%s HTTP/1.1\r\n%sConnection: close\r\n\r\n", line, headers);
    say(&app->world, fd, request);
    hear_end(&app->world, fd, &app->heard);
    close(fd);
}

static bool heard(struct app *app, const char *text) {
    return strstr(app->heard.text, text) != NULL;
}

static void test_asset(void **state) {
    struct app *app = *state;
    char headers[256];
    ask(app, "GET /", "Host: a\r\n");
    assert_true(heard(app, "HTTP/1.1 200 OK\r\n") && heard(app, "\r\n\r\n<html>plain</html>"));
    assert_true(heard(app, "X-Content-Type-Options: nosniff\r\n") && heard(app, "Referrer-Policy: no-referrer\r\n"));
    assert_true(heard(app, "frame-ancestors 'none'") && heard(app, "Vary: Accept-Encoding\r\n"));
    assert_true(heard(app, "Cache-Control: no-cache\r\n") && heard(app, app->asset.etag));
    assert_false(heard(app, "Content-Encoding"));
    snprintf(headers, sizeof headers, "Host: a\r\nIf-None-Match: \"other\", W/%s\r\n", app->asset.etag);
    ask(app, "GET /", headers);
    assert_true(heard(app, "HTTP/1.1 304 Not Modified\r\n") && heard(app, app->asset.etag));
    assert_false(heard(app, "plain") || heard(app, "Content-Length"));
    ask(app, "GET /", "Host: a\r\nIf-None-Match: \"other\"\r\n");
    assert_true(heard(app, "200 OK"));
    ask(app, "HEAD /", "Host: a\r\n");
    assert_true(heard(app, "Content-Length: 18\r\n"));
    assert_false(heard(app, "<html>"));
    ask(app, "DELETE /", "Host: a\r\n");
    assert_true(heard(app, "HTTP/1.1 405 ") && heard(app, "Allow: GET, HEAD\r\n"));
}

struct coding_row {
    const char *accept;
    bool is_gzip;
};

static void test_asset_coding(void **state) {
    struct app *app = *state;
    static const struct coding_row rows[] = {
        {"gzip", true},
        {"deflate, gzip;q=0.5", true},
        {"GZIP", true},
        {"gzip;q=0", false},
        {"gzip;q=0.000", false},
        {"gzip;q=0.001", true},
        {"*", true},
        {"*;q=0", false},
        {"*, gzip;q=0", false},
        {"br", false},
        {"identity", false},
        {"", false},
        {"gzip;q=1", true},
        {"gzip;q=x", false},
        {"gzipped", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char headers[128];
        snprintf(headers, sizeof headers, "Host: a\r\nAccept-Encoding: %s\r\n", rows[i].accept);
        ask(app, "GET /", headers);
        if (heard(app, "Content-Encoding: gzip\r\n") != rows[i].is_gzip) {
            fail_msg("Accept-Encoding: %s", rows[i].accept);
        }
        assert_true(heard(app, rows[i].is_gzip ? "\r\n\r\npretend-gzip" : "\r\n\r\n<html>"));
        assert_true(heard(app, rows[i].is_gzip ? app->asset.etag_gzip : app->asset.etag));
    }
}

static void test_large_asset(void **state) {
    struct app *app = *state;
    static char page[100000];
    memset(page, 'p', sizeof page);
    app->asset = (struct sw_asset){.content_type = SW_STR("text/plain"), .body = sw_str_make(page, sizeof page)};
    sw_asset_prepare(&app->asset);
    ask(app, "GET /", "Host: a\r\n");
    assert_true(heard(app, "Content-Length: 100000\r\n") && heard(app, "default-src 'none'"));
    const char *body = strstr(app->heard.text, "\r\n\r\n") + 4;
    assert_int_equal(app->heard.len - (size_t)(body - app->heard.text), sizeof page);
    assert_memory_equal(body, page, sizeof page);
}

struct guard_row {
    const char *line;
    const char *headers;
    int status;
};

static void check_guard(struct app *app, const struct guard_row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char start[32];
        size_t before = app->admitted;
        ask(app, rows[i].line, rows[i].headers);
        snprintf(start, sizeof start, "HTTP/1.1 %d ", rows[i].status);
        if (strncmp(app->heard.text, start, strlen(start)) != 0) {
            fail_msg("row %zu: %s with %s gave %.40s", i, rows[i].line, rows[i].headers, app->heard.text);
        }
        assert_int_equal(app->admitted - before, rows[i].status == 200 || rows[i].status == 405);
    }
}

static void test_guard_host_and_origin(void **state) {
    struct app *app = *state;
    struct sw_address address;
    app->is_guarded = true;
    assert_int_equal(sw_address_parse(&address, SW_STR("192.168.7.7:8080"), NULL), SW_OK);
    assert_int_equal(sw_http_guard_add_address(&app->guard, &address), SW_OK);
    assert_int_equal(sw_http_guard_add_name(&app->guard, SW_STR("metrics.example.net")), SW_OK);
    static const struct guard_row rows[] = {
        {"GET /", "Host: 127.0.0.1:8080\r\n", 200},
        {"GET /", "Host: localhost\r\n", 200},
        {"GET /", "Host: LocalHost:1\r\n", 200},
        {"GET /", "Host: [::1]:8080\r\n", 200},
        {"GET /", "Host: 192.168.7.7:8080\r\n", 200},
        {"GET /", "Host: Metrics.Example.Net\r\n", 200},
        {"GET /", "Host: evil.example\r\n", 421},
        {"GET /", "Host: localhost.evil.example\r\n", 421},
        {"GET /", "Host: 127.evil.example\r\n", 421},
        {"GET /", "Host: 127.0.0.1.evil.example\r\n", 421},
        {"GET /", "Host: 192.168.7.8\r\n", 421},
        {"GET /", "Host: [::2]\r\n", 421},
        {"GET http://evil.example/", "Host: evil.example\r\n", 421},
        {"GET http://evil.example/", "Host: localhost\r\n", 400}, /* the two must agree */
        /* Reading across origins is the browser's to forbid; changing anything is ours. */
        {"GET /", "Host: localhost:8080\r\nOrigin: http://evil.example\r\n", 200},
        {"POST /", "Host: localhost:8080\r\n", 405},
        {"POST /", "Host: localhost:8080\r\nOrigin: http://localhost:8080\r\n", 405},
        {"POST /", "Host: localhost:8080\r\nOrigin: https://LOCALHOST:8080\r\n", 405},
        {"POST /", "Host: localhost:8080\r\nOrigin: http://localhost:9090\r\n", 403},
        {"POST /", "Host: localhost:8080\r\nOrigin: http://evil.example\r\n", 403},
        {"POST /", "Host: localhost:8080\r\nOrigin: null\r\n", 403},
        {"POST /", "Host: localhost:8080\r\nOrigin: \r\n", 403},
        {"DELETE /", "Host: localhost\r\nOrigin: http://evil.example\r\n", 403},
    };
    check_guard(app, rows, sizeof rows / sizeof rows[0]);
}

static void test_guard_wildcard(void **state) {
    struct app *app = *state;
    struct sw_address address;
    app->is_guarded = true;
    assert_int_equal(sw_address_parse(&address, SW_STR(":8080"), NULL), SW_OK);
    assert_int_equal(sw_http_guard_add_address(&app->guard, &address), SW_OK);
    static const struct guard_row rows[] = {
        {"GET /", "Host: 10.1.2.3:8080\r\n", 200},
        {"GET /", "Host: [2001:db8::1]:8080\r\n", 200},
        {"GET /", "Host: rebound.example\r\n", 421},
    };
    check_guard(app, rows, sizeof rows / sizeof rows[0]);
}

static void test_guard_token(void **state) {
    struct app *app = *state;
    struct sw_address address;
    app->is_guarded = true;
    assert_int_equal(sw_address_parse(&address, SW_STR("127.0.0.1:8080"), NULL), SW_OK);
    assert_int_equal(sw_http_guard_add_address(&app->guard, &address), SW_OK);
    assert_int_equal(sw_http_guard_set_token(&app->guard, SW_STR("short")), SW_INVALID);
    assert_int_equal(sw_http_guard_set_token(&app->guard, SW_STR("s3cret+token/=")), SW_OK);
    static const struct guard_row rows[] = {
        {"GET /", "Host: localhost\r\n", 401},
        {"GET /", "Host: localhost\r\nAuthorization: Bearer s3cret+token/=\r\n", 200},
        {"GET /", "Host: localhost\r\nAuthorization: bearer s3cret+token/=\r\n", 200},
        {"GET /", "Host: localhost\r\nAuthorization: Bearer s3cret+token/\r\n", 401},
        {"GET /", "Host: localhost\r\nAuthorization: Bearer \r\n", 401},
        {"GET /", "Host: localhost\r\nAuthorization: Basic s3cret+token/=\r\n", 401},
        {"GET /?x=1&token=s3cret%2Btoken%2F%3D", "Host: localhost\r\n", 200},
        {"GET /?token=s3cret%2Btoken%2F", "Host: localhost\r\n", 401},
        {"GET /?token=", "Host: localhost\r\n", 401},
        {"GET /?token=s3cret%2Btoken%2F%3D", "Host: evil.example\r\n", 421},
        {"GET /", "Host: localhost\r\nCookie: sidewinder_8080=wrong\r\n", 401},
        {"GET /", "Host: localhost\r\nCookie: sidewinder_8080=s3cret+token/=\r\n", 401},
    };
    check_guard(app, rows, sizeof rows / sizeof rows[0]);
    ask(app, "GET /", "Host: localhost\r\n");
    assert_true(heard(app, "WWW-Authenticate: Bearer\r\n"));
    ask(app, "GET /?token=s3cret%2Btoken%2F%3D", "Host: localhost\r\n");
    const char *cookie = strstr(app->heard.text, "Set-Cookie: ");
    assert_non_null(cookie);
    assert_non_null(strstr(cookie, "; HttpOnly; SameSite=Strict; Path=/\r\n"));
    assert_false(heard(app, "s3cret"));
    char headers[256];
    snprintf(headers, sizeof headers, "Host: localhost\r\nCookie: a=b; %.*s; c=d\r\n", (int)strcspn(cookie + 12, ";"),
             cookie + 12);
    ask(app, "GET /", headers);
    assert_true(heard(app, "200 OK"));
    assert_false(heard(app, "Set-Cookie"));
    struct sw_http_guard again = {0}; /* the cookie survives a restart */
    assert_int_equal(sw_http_guard_set_token(&again, SW_STR("s3cret+token/=")), SW_OK);
    assert_string_equal(again.cookie_value, app->guard.cookie_value);
    sw_http_guard_release(&again);
}

static int open_events(struct app *app, const char *line, const char *headers) {
    char request[512];
    int fd = dial(&app->world);
    forget(&app->heard);
    snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: a\r\n%s\r\n", line, headers);
    say(&app->world, fd, request);
    hear(&app->world, fd, &app->heard, "Content-Type: text/event-stream\r\n");
    return fd;
}

static void test_events(void **state) {
    struct app *app = *state;
    app->sse.retry_ns = 1500 * SW_NS_PER_MS;
    int fd = open_events(app, "GET /events", "Last-Event-ID: 41\r\n");
    assert_string_equal(app->last_event_id, "41");
    hear(&app->world, fd, &app->heard, "retry: 1500\n\n");
    struct sw_sse_event event = {.id = SW_STR("42"), .event = SW_STR("tick"), .data = SW_STR("one\ntwo\r\nthree\r")};
    assert_int_equal(sw_sse_send(app->stream, &event), SW_OK);
    hear(&app->world, fd, &app->heard, "id: 42\nevent: tick\ndata: one\ndata: two\ndata: three\ndata: \n\n");
    struct sw_sse_event bare = {.data = SW_STR("{}")};
    assert_int_equal(sw_sse_send(app->stream, &bare), SW_OK);
    hear(&app->world, fd, &app->heard, "\r\ndata: {}\n\n\r\n");
    struct sw_sse_event forged = {.id = SW_STR("1\ndata: x"), .data = SW_STR("")};
    assert_int_equal(sw_sse_send(app->stream, &forged), SW_INVALID);
    close(fd);
    turn_until_idle(&app->world);
    assert_int_equal(app->closed, 1);
    assert_int_equal(sw_sse_send(app->stream, &bare), SW_CLOSED);
    close(open_events(app, "GET /events?lastEventId=7", ""));
    assert_string_equal(app->last_event_id, "7");
}

static void test_heartbeat(void **state) {
    struct app *app = *state;
    app->sse.heartbeat_ns = 5 * SW_NS_PER_MS;
    int fd = open_events(app, "GET /events", "");
    hear_times(&app->world, fd, &app->heard, ": \n\n", 3);
    close(fd);
    turn_until_idle(&app->world);
    assert_int_equal(app->closed, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_asset),          T(test_asset_coding), T(test_large_asset), T(test_guard_host_and_origin),
        T(test_guard_wildcard), T(test_guard_token),  T(test_events),      T(test_heartbeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
