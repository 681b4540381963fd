/* serve.c - Routes, admission and life of the engine's HTTP server; see serve.h. */
#include "engine/serve.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/serve_impl.h"

#define STATS_NS (500 * SW_NS_PER_MS)
#define INGEST_NS (50 * SW_NS_PER_MS)

void sw_serve_reply(struct sw_http_ref ref, unsigned status, const char *content_type, struct sw_str body) {
    if (sw_http_respond_text(ref, status, content_type, body) != SW_OK)
        sw_http_abort(ref);
}

static void health_call(struct sw_serve *serve, const struct sw_http_call *call) {
    sw_serve_reply(call->ref, serve->is_ending ? 503 : 200, "application/json",
                   serve->is_ending ? SW_STR("{\"status\":\"ending\"}\n") : SW_STR("{\"status\":\"ok\"}\n"));
}

static void metrics_call(struct sw_serve *serve, const struct sw_http_call *call) {
    sw_buf_clear(&serve->scratch);
    if (sw_metrics_write(serve, &serve->scratch) == SW_OK)
        sw_serve_reply(call->ref, 200, "text/plain; version=0.0.4; charset=utf-8", sw_buf_view(&serve->scratch));
    else
        sw_serve_reply(call->ref, 503, NULL, SW_STR("out of memory\n"));
}

static void page_call(struct sw_serve *serve, const struct sw_http_call *call) {
    if (sw_asset_serve(&serve->page, call) != SW_OK)
        sw_http_abort(call->ref);
}

static const struct {
    const char *path;
    void (*call)(struct sw_serve *serve, const struct sw_http_call *call);
} routes[] = {
    {"/", page_call},
    {"/live", sw_live_call},
    {"/api/streams", sw_api_streams},
    {"/api/query", sw_api_query},
    {"/health", health_call},
    {"/metrics", metrics_call},
};

static void on_call(void *context, const struct sw_http_call *call) {
    struct sw_serve *serve = context;
    static const struct sw_str ingest = {"/ingest/", 8};
    static const struct sw_str processes = {"/api/processes", 14};
    /* The page itself holds no data, and has a field for the token. */
    if (sw_str_eq(call->path, SW_STR("/")) && sw_http_guard_check(&serve->guard, call, NULL) == SW_GUARD_UNAUTHORIZED) {
        page_call(serve, call);
        return;
    }
    if (!sw_http_guard_admit(&serve->guard, call))
        return;
    if (sw_str_starts(call->path, ingest)) {
        sw_ingest_call(serve, call, sw_str_skip(call->path, ingest.len));
        return;
    }
    bool is_get = call->head->method == SW_HTTP_GET || call->head->method == SW_HTTP_HEAD;
    struct sw_str below = sw_str_skip(call->path, processes.len);
    if (is_get && sw_str_starts(call->path, processes) && (below.len == 0 || below.ptr[0] == '/')) {
        sw_api_processes(serve, call, below);
        return;
    }
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!sw_str_eq(call->path, sw_str_from(routes[i].path)))
            continue;
        if (is_get)
            routes[i].call(serve, call);
        else
            sw_serve_reply(call->ref, 405, NULL, SW_STR("only GET is answered here\n"));
        return;
    }
    sw_serve_reply(
        call->ref, 404, NULL,
        SW_STR("there are /, /live, /api/streams, /api/query, /api/processes, /health, /metrics and /ingest/NAME\n"));
}

static void on_news(void *context) {
    sw_live_news(context);
}

static void on_stats(void *context) {
    struct sw_serve *serve = context;
    sw_stats_take(serve);
    sw_live_stats(serve);
    sw_reactor_timer_add(serve->reactor, &serve->stats_timer, STATS_NS);
}

static void on_ingest(void *context) {
    struct sw_serve *serve = context;
    sw_ingest_tick(serve);
    sw_reactor_timer_add(serve->reactor, &serve->ingest_timer, INGEST_NS);
}

static enum sw_status admission_check(const struct sw_serve_options *options, const struct sw_address *address,
                                      struct sw_error *err) {
    if (sw_address_is_loopback(address) || options->token.len > 0 || options->is_open_to_all)
        return SW_OK;
    return sw_fail(
        err, SW_INVALID,
        "refusing to serve %.*s to strangers: set SIDEWINDER_TOKEN or give --token-file, or --no-auth if everyone may look",
        SW_STR_ARG(options->listen));
}

static enum sw_status guard_fill(struct sw_serve *serve, const struct sw_serve_options *options,
                                 const struct sw_address *address, struct sw_error *err) {
    enum sw_status status = sw_http_guard_add_address(&serve->guard, address);
    for (unsigned i = 0; i < options->host_count && status == SW_OK; i++) {
        status = sw_http_guard_add_name(&serve->guard, options->hosts[i]);
        if (status == SW_INVALID)
            return sw_fail(err, status, "'%.*s' cannot be a host name; write it without scheme, port and path",
                           SW_STR_ARG(options->hosts[i]));
    }
    if (status == SW_OK && options->token.len > 0)
        status = sw_http_guard_set_token(&serve->guard, options->token);
    if (status == SW_INVALID)
        return sw_fail(err, status, "the token must have 8 to 4096 bytes");
    return status == SW_OK ? SW_OK : sw_fail(err, status, "cannot serve: %s", sw_status_text(status));
}

static enum sw_status socket_open(struct sw_serve *serve, const struct sw_serve_options *options, int *fd,
                                  struct sw_error *err) {
    struct sw_address address;
    char text[SW_ADDRESS_TEXT_MAX];
    enum sw_status status = sw_address_parse(&address, options->listen, err);
    if (status == SW_OK)
        status = admission_check(options, &address, err);
    if (status == SW_OK)
        status = sw_socket_listen(fd, &address, NULL, err);
    if (status == SW_OK)
        status = sw_socket_local(*fd, &address, err);
    if (status != SW_OK)
        return status;
    sw_address_format(&address, text);
    snprintf(serve->url, sizeof serve->url, "%s%s%s", address.storage.ss_family == AF_UNIX ? "" : "http://", text,
             address.storage.ss_family == AF_UNIX ? "" : "/");
    return guard_fill(serve, options, &address, err);
}

static enum sw_status http_open(struct sw_serve *serve, int fd, struct sw_error *err) {
    struct sw_http_options options = {.handler = on_call,
                                      .context = serve,
                                      .connections_max = 2048,
                                      .connections_per_ip = 0};
    enum sw_status status = sw_http_server_open(&serve->http, serve->reactor, &options, err);
    if (status != SW_OK) {
        sw_socket_close(&fd);
        return status;
    }
    return sw_http_server_listen(serve->http, fd, err);
}

enum sw_status sw_serve_open(struct sw_serve **out, struct sw_reactor *reactor, struct sw_engine *engine,
                             const struct sw_serve_options *options, struct sw_error *err) {
    struct sw_serve *serve = sw_alloc_aligned(64, sizeof *serve);
    int fd = -1;
    if (!serve)
        return sw_fail(err, SW_NOMEM, "cannot serve: out of memory");
    memset(serve, 0, sizeof *serve);
    serve->reactor = reactor;
    serve->engine = engine;
    serve->page = (struct sw_asset){.content_type = SW_STR("text/html; charset=utf-8"),
                                    .body = options->page,
                                    .gzip = options->page_gzip,
                                    .csp = SW_STR(SW_ASSET_CSP_SINGLE_PAGE)};
    sw_asset_prepare(&serve->page);
    enum sw_status status = sw_stats_open(serve);
    if (status == SW_OK)
        status = sw_view_open(&serve->view, engine, reactor);
    if (status != SW_OK)
        sw_fail(err, status, "cannot serve: out of memory");
    if (status == SW_OK)
        status = socket_open(serve, options, &fd, err);
    if (status == SW_OK)
        status = http_open(serve, fd, err);
    else
        sw_socket_close(&fd);
    if (status != SW_OK) {
        sw_serve_close(serve);
        return status;
    }
    serve->view.on_news = on_news;
    serve->view.news_context = serve;
    serve->stats_timer.fn = on_stats;
    serve->ingest_timer.fn = on_ingest;
    serve->stats_timer.context = serve->ingest_timer.context = serve;
    sw_reactor_timer_add(reactor, &serve->stats_timer, STATS_NS);
    sw_reactor_timer_add(reactor, &serve->ingest_timer, INGEST_NS);
    *out = serve;
    return SW_OK;
}

const char *sw_serve_url(const struct sw_serve *serve) {
    return serve->url;
}

void sw_serve_ending(struct sw_serve *serve) {
    serve->is_ending = true;
    sw_view_end(&serve->view);
    sw_reactor_timer_cancel(&serve->stats_timer); /* it looks at threads, which are about to be joined */
    sw_reactor_timer_cancel(&serve->ingest_timer);
    for (unsigned i = 0; i < serve->engine->source_count; i++)
        if (serve->engine->sources[i].kind == SW_SOURCE_INGEST)
            sw_intake_end(serve->engine->sources[i].intakes[0]); /* here, as this thread feeds it */
}

void sw_serve_close(struct sw_serve *serve) {
    if (!serve)
        return;
    sw_reactor_timer_cancel(&serve->stats_timer);
    sw_reactor_timer_cancel(&serve->ingest_timer);
    if (serve->http)
        sw_http_server_close(serve->http);
    sw_view_close(&serve->view);
    sw_stats_close(serve);
    sw_http_guard_release(&serve->guard);
    sw_buf_release(&serve->scratch);
    sw_free(serve);
}
