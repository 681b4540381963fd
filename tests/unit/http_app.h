/* http_app.h - The handler behind the tests of the HTTP server: echoes, streams, delays and misbehaves by path. */
#ifndef SW_TESTS_HTTP_APP_H
#define SW_TESTS_HTTP_APP_H

#include "net_peer.h"

#include <stdlib.h>

/* What the test's handler saw and does. */
struct app {
    struct world world;
    struct heard heard;
    struct sw_http_ref late;   /* of /later and /stream */
    enum sw_status end_status; /* of the last body */
    size_t end_count;
    size_t body_bytes;
    char body[4096];
    size_t pieces;
    bool is_pausing;
    enum sw_status close_status;
    size_t close_count;
    size_t requests;
    size_t writable_count;
    bool is_starving; /* allocations fail on purpose */
    struct sw_http_options options;
};

static inline void on_close(void *context, struct sw_http_ref ref, enum sw_status status) {
    struct app *app = context;
    app->close_status = status;
    app->close_count++;
}

static inline void on_writable(void *context, struct sw_http_ref ref) {
    struct app *app = context;
    app->writable_count++;
}

static inline void on_body(void *context, struct sw_http_ref ref, enum sw_status status, struct sw_str body) {
    struct app *app = context;
    app->end_status = status;
    app->end_count++;
    if (status == SW_OK) {
        app->body_bytes = body.len;
        memcpy(app->body, body.ptr, body.len < sizeof app->body ? body.len : sizeof app->body);
        status = sw_http_respond_text(ref, 200, NULL, body);
        assert_true(status == SW_OK || (app->is_starving && status == SW_NOMEM));
    }
}

static inline enum sw_status on_piece(void *context, struct sw_http_ref ref, struct sw_str bytes) {
    struct app *app = context;
    app->pieces++;
    app->body_bytes += bytes.len;
    app->late = ref;
    return app->is_pausing ? SW_AGAIN : SW_OK;
}

static inline void on_stream_end(void *context, struct sw_http_ref ref, enum sw_status status, struct sw_str body) {
    struct app *app = context;
    app->end_status = status;
    app->end_count++;
    assert_int_equal(body.len, 0);
    if (status == SW_OK) {
        assert_int_equal(sw_http_respond_text(ref, 200, NULL, SW_STR("streamed")), SW_OK);
    }
}

static inline bool is_path(const struct sw_http_call *call, const char *path) {
    return sw_str_eq(call->path, sw_str_from(path));
}

static inline void handle(void *context, const struct sw_http_call *call) {
    struct app *app = context;
    app->requests++;
    struct sw_http_header evil = {SW_STR("X-A"), SW_STR("a\r\nSet-Cookie: b")};
    struct sw_http_body body = {.on_end = on_body, .context = app};
    struct sw_http_body pieces = {.on_data = on_piece, .on_end = on_stream_end, .context = app};
    struct sw_http_response response = {.content_type = SW_STR("text/plain")};
    enum sw_status status = SW_OK;
    if (is_path(call, "/echo")) {
        status = sw_http_read_body(call->ref, &body);
    } else if (is_path(call, "/small")) {
        body.bytes_max = 8;
        status = sw_http_read_body(call->ref, &body);
    } else if (is_path(call, "/pieces")) {
        status = sw_http_read_body(call->ref, &pieces);
    } else if (is_path(call, "/later")) {
        app->late = call->ref;
        sw_http_on_close(call->ref, on_close, app);
    } else if (is_path(call, "/stream")) {
        app->late = call->ref;
        sw_http_on_close(call->ref, on_close, app);
        sw_http_on_writable(call->ref, on_writable, app);
        status = sw_http_start(call->ref, &response);
    } else if (is_path(call, "/evil")) {
        response.headers = &evil;
        response.header_count = 1;
        assert_int_equal(sw_http_respond(call->ref, &response), SW_INVALID);
    } else if (is_path(call, "/a b")) {
        status = sw_http_respond_text(call->ref, 200, NULL, SW_STR("decoded"));
    } else if (is_path(call, "/empty")) {
        response.status = 204;
        response.body = SW_STR("must not be sent");
        status = sw_http_respond(call->ref, &response);
    } else if (call->path.len == 0) {
        status = sw_http_respond_text(call->ref, 404, NULL, SW_STR("no plain path"));
    } else {
        status = sw_http_respond_text(call->ref, 200, NULL, call->path);
    }
    assert_true(status == SW_OK || (app->is_starving && status == SW_NOMEM));
}

static inline int set_up(void **state) {
    struct app *app = calloc(1, sizeof *app);
    assert_non_null(app);
    app->options = (struct sw_http_options){.handler = handle, .context = app};
    *state = app;
    return 0;
}

static inline void start(struct app *app) {
    open_world(&app->world, &app->options);
}

static inline int tear_down(void **state) {
    struct app *app = *state;
    if (app->world.server) {
        close_world(&app->world);
    }
    free(app);
    return 0;
}

#endif
