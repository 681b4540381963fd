/* fractal_serve.c - Serves the page and its tiles; see fractal_serve.h. */
#include "cli/fractal_serve.h"

#include <signal.h>
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "cli/fractal_page.h"
#include "cli/fractal_tiles.h"
#include "net/asset.h"
#include "net/http_guard.h"
#include "net/http_server.h"
#include "net/signal.h"
#include "net/url.h"

#define LISTEN_DEFAULT "127.0.0.1:8420"
#define SIDE_MAX 16384u              /* of a browser's view */
#define TILES_MAX 4096u              /* asked for at one time */
#define DEEP_ITERATIONS_MAX 8000000u /* their orbit takes up to 400 MB, whatever is seen of it */
#define PARAMETERS_MAX 32            /* of a request */

struct serve {
    const struct sw_fractal_request *request;
    struct sw_reactor *reactor;
    struct sw_http_server *http;
    struct sw_http_guard guard;
    struct sw_signals signals;
    struct sw_asset page;
    struct sw_tiles *tiles;
    struct sw_palette *palettes; /* one for each plan */
    unsigned palette_count, asked;
    struct sw_buf scratch;
    char url[SW_ADDRESS_TEXT_MAX + 16];
};

/* A tile and the request it is for; freed when both are over. */
struct errand {
    struct sw_tile tile;
    struct serve *serve;
    struct sw_http_ref ref;
    unsigned holds;
};

static void reply(struct sw_http_ref ref, unsigned status, struct sw_str text) {
    if (sw_http_respond_text(ref, status, NULL, text) != SW_OK)
        sw_http_abort(ref);
}

static void errand_drop(struct errand *errand) {
    if (--errand->holds > 0)
        return;
    errand->serve->asked--;
    sw_buf_release(&errand->tile.png);
    sw_free(errand);
}

static unsigned status_for(enum sw_status status) {
    return status == SW_INVALID || status == SW_UNSUPPORTED || status == SW_LIMIT ? 400 : 500;
}

static void tile_reply(const struct errand *errand) {
    const struct sw_tile *tile = &errand->tile;
    char numbers[3][24];
    snprintf(numbers[0], sizeof numbers[0], "%lld", (long long)(tile->compute_ns / 1000));
    snprintf(numbers[1], sizeof numbers[1], "%llu", (unsigned long long)tile->iterations);
    snprintf(numbers[2], sizeof numbers[2], "%u", tile->iterations_max);
    const struct sw_http_header headers[] = {
        {SW_STR("Cache-Control"), SW_STR("private, max-age=600")},
        {SW_STR("X-Compute-Us"), sw_str_from(numbers[0])},
        {SW_STR("X-Iterations"), sw_str_from(numbers[1])},
        {SW_STR("X-Max-Iterations"), sw_str_from(numbers[2])},
        {SW_STR("X-Deep"), tile->is_deep ? SW_STR("1") : SW_STR("0")},
    };
    struct sw_http_response response = {.content_type = SW_STR("image/png"),
                                        .headers = headers,
                                        .header_count = sizeof headers / sizeof headers[0],
                                        .body = sw_buf_view(&tile->png)};
    enum sw_status status = sw_http_respond(errand->ref, &response);
    if (status == SW_NOMEM || status == SW_LIMIT)
        sw_http_abort(errand->ref);
}

/* On the reactor: answers what is done. */
static void on_done(void *context) {
    struct serve *serve = context;
    for (struct sw_tile *tile = sw_tiles_take(serve->tiles); tile; tile = sw_tiles_take(serve->tiles)) {
        struct errand *errand = tile->context;
        if (sw_http_is_open(errand->ref)) {
            if (tile->status == SW_OK)
                tile_reply(errand);
            else
                reply(errand->ref, status_for(tile->status), sw_str_from(tile->error.text));
        }
        errand_drop(errand);
    }
}

/* On a worker. Not delivered only when memory has run out; the next one then takes this one along. */
static void on_wake(void *context) {
    struct serve *serve = context;
    (void)!sw_reactor_post(serve->reactor, on_done, serve);
}

static void on_request_over(void *context, struct sw_http_ref ref, enum sw_status status) {
    struct errand *errand = context;
    (void)ref;
    if (status != SW_OK)
        sw_tiles_cancel(errand->serve->tiles, &errand->tile);
    errand_drop(errand);
}

static bool number_parse(struct sw_str text, uint64_t most, uint32_t *number) {
    uint64_t value;
    if (sw_str_to_u64(text, &value) != SW_OK || value > most)
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool real_parse(struct sw_str text, double *number) {
    return text.len > 0 && text.len <= SW_TILE_DIGITS_MAX &&
           sw_num_parse_f64(text.ptr, text.ptr + text.len, number) == text.ptr + text.len && *number >= -1e308 &&
           *number <= 1e308;
}

static bool kind_parse(struct sw_str text, enum sw_fractal_kind *kind) {
    for (int i = SW_FRACTAL_MANDELBROT; i <= SW_FRACTAL_BURNING_SHIP; i++)
        if (sw_str_eq(text, sw_str_from(sw_fractal_kind_name((enum sw_fractal_kind)i)))) {
            *kind = (enum sw_fractal_kind)i;
            return true;
        }
    return false;
}

static bool palette_parse(const struct serve *serve, struct sw_str text, struct sw_tile *tile) {
    const struct sw_palette_plan *plan = sw_palette_find(text);
    if (plan)
        tile->palette = &serve->palettes[plan - sw_palette_plans];
    return plan != NULL;
}

static bool center_parse(struct sw_str text, struct sw_str *center) {
    double number;
    *center = text;
    return real_parse(text, &number) && number >= -1e3 && number <= 1e3;
}

/* One parameter, as it stands in the query: none of ours needs an escape. */
static bool parameter_take(const struct serve *serve, struct sw_str name, struct sw_str value,
                           struct sw_fractal_view *view, struct sw_tile *tile) {
    if (sw_str_eq(name, SW_STR("re")))
        return center_parse(value, &view->center_re);
    if (sw_str_eq(name, SW_STR("im")))
        return center_parse(value, &view->center_im);
    if (sw_str_eq(name, SW_STR("zoom")))
        return real_parse(value, &view->zoom) && view->zoom > 0;
    if (sw_str_eq(name, SW_STR("kind")))
        return kind_parse(value, &view->kind);
    if (sw_str_eq(name, SW_STR("jre")))
        return real_parse(value, &view->julia_re) && view->julia_re >= -1e3 && view->julia_re <= 1e3;
    if (sw_str_eq(name, SW_STR("jim")))
        return real_parse(value, &view->julia_im) && view->julia_im >= -1e3 && view->julia_im <= 1e3;
    if (sw_str_eq(name, SW_STR("width")))
        return number_parse(value, SIDE_MAX, &view->width);
    if (sw_str_eq(name, SW_STR("height")))
        return number_parse(value, SIDE_MAX, &view->height);
    if (sw_str_eq(name, SW_STR("iterations")))
        return number_parse(value, SW_VIEW_ITERATIONS_MAX, &view->iterations);
    if (sw_str_eq(name, SW_STR("x")))
        return number_parse(value, SIDE_MAX, &tile->x);
    if (sw_str_eq(name, SW_STR("y")))
        return number_parse(value, SIDE_MAX, &tile->y);
    if (sw_str_eq(name, SW_STR("palette")))
        return palette_parse(serve, value, tile);
    return false;
}

static enum sw_status query_take(const struct serve *serve, struct sw_str query, struct sw_fractal_view *view,
                                 struct sw_tile *tile, struct sw_error *err) {
    struct sw_str name, value;
    *view = (struct sw_fractal_view){.julia_re = -0.8,
                                     .julia_im = 0.156,
                                     .zoom = 1,
                                     .width = SW_TILE_SIDE,
                                     .height = SW_TILE_SIDE,
                                     .supersample = 1};
    for (int i = 0; i < PARAMETERS_MAX && sw_url_query_next(&query, &name, &value); i++)
        if (!parameter_take(serve, name, value, view, tile))
            return sw_fail(err, SW_INVALID, "parameter %.*s is not known, or %.*s is out of its bounds",
                           (int)(name.len < 32 ? name.len : 32), name.ptr, (int)(value.len < 64 ? value.len : 64),
                           value.ptr);
    view->has_center = view->center_re.len > 0 && view->center_im.len > 0;
    if (view->width == 0 || view->height == 0)
        return sw_fail(err, SW_INVALID, "a view must be at least 1 pixel wide and high");
    enum sw_status status = sw_fractal_view_complete(view, err);
    if (!status && sw_fractal_view_is_deep(view) && view->iterations > DEEP_ITERATIONS_MAX)
        return sw_fail(err, SW_INVALID,
                       "%u iterations are too many for a zoom this deep: each takes memory, so the page has at most %u",
                       view->iterations, DEEP_ITERATIONS_MAX);
    return status;
}

static void tile_call(struct serve *serve, const struct sw_http_call *call) {
    struct sw_fractal_view view;
    struct sw_error err = {0};
    struct errand *errand = serve->asked < TILES_MAX ? sw_alloc_zero(sizeof *errand) : NULL;
    if (!errand) {
        reply(call->ref, 503, SW_STR("too many tiles were asked for\n"));
        return;
    }
    *errand =
        (struct errand){.tile = {.context = errand, .palette = serve->palettes}, .serve = serve, .ref = call->ref};
    serve->asked++;
    errand->holds = 2; /* the request's and the workers' */
    enum sw_status status = query_take(serve, call->head->query, &view, &errand->tile, &err);
    if (!status)
        status = sw_tiles_ask(serve->tiles, &view, &errand->tile, &err);
    if (status) {
        reply(call->ref, status_for(status), sw_str_from(err.text));
        errand->holds = 1;
        errand_drop(errand);
        return;
    }
    sw_http_on_close(call->ref, on_request_over, errand);
}

static void text_member(struct sw_json *json, const char *key, struct sw_str value) {
    sw_json_key(json, sw_str_from(key));
    sw_json_str(json, value);
}

static void defaults_write(struct sw_json *json) {
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("palettes"));
    sw_json_array_begin(json);
    for (const struct sw_palette_plan *plan = sw_palette_plans; plan->name; plan++) {
        sw_json_object_begin(json);
        text_member(json, "name", sw_str_from(plan->name));
        text_member(json, "looks", sw_str_from(plan->looks));
        sw_json_object_end(json);
    }
    sw_json_array_end(json);
    sw_json_object_end(json);
}

static void defaults_call(struct serve *serve, const struct sw_http_call *call) {
    struct sw_json json;
    sw_buf_clear(&serve->scratch);
    sw_json_init(&json, &serve->scratch);
    defaults_write(&json);
    if (sw_json_status(&json) != SW_OK ||
        sw_http_respond_text(call->ref, 200, "application/json", sw_buf_view(&serve->scratch)) != SW_OK)
        sw_http_abort(call->ref);
}

/* Whether a page from elsewhere asks: work that it makes is not wanted, though it cannot see the answer. The guard lets
 * such requests pass where they change nothing. */
static bool is_foreign(const struct sw_http_head *head) {
    const struct sw_http_header *origin = sw_http_head_find(head, SW_STR("origin"));
    const struct sw_http_header *site = sw_http_head_find(head, SW_STR("sec-fetch-site"));
    if (site && !sw_str_eq(site->value, SW_STR("same-origin")) && !sw_str_eq(site->value, SW_STR("none")))
        return true;
    return origin && !(sw_str_starts(origin->value, SW_STR("http://")) &&
                       sw_str_eq_nocase(sw_str_skip(origin->value, 7), head->host));
}

static void on_call(void *context, const struct sw_http_call *call) {
    struct serve *serve = context;
    if (!sw_http_guard_admit(&serve->guard, call))
        return;
    if (call->head->method != SW_HTTP_GET && call->head->method != SW_HTTP_HEAD)
        reply(call->ref, 405, SW_STR("only GET is answered here\n"));
    else if (is_foreign(call->head) && !sw_str_eq(call->path, SW_STR("/")))
        reply(call->ref, 403, SW_STR("only the page itself may ask for this\n"));
    else if (sw_str_eq(call->path, SW_STR("/tile")))
        tile_call(serve, call);
    else if (sw_str_eq(call->path, SW_STR("/defaults")))
        defaults_call(serve, call);
    else if (!sw_str_eq(call->path, SW_STR("/")))
        reply(call->ref, 404, SW_STR("there are /, /tile and /defaults\n"));
    else if (sw_asset_serve(&serve->page, call) != SW_OK)
        sw_http_abort(call->ref);
}

static void on_signal(void *context, int number) {
    struct serve *serve = context;
    (void)number;
    sw_reactor_stop(serve->reactor);
}

static enum sw_status palettes_build(struct serve *serve, struct sw_error *err) {
    while (sw_palette_plans[serve->palette_count].name)
        serve->palette_count++;
    serve->palettes = sw_alloc_array(serve->palette_count, sizeof *serve->palettes);
    if (!serve->palettes)
        return sw_fail(err, SW_NOMEM, "cannot serve: out of memory");
    for (unsigned i = 0; i < serve->palette_count; i++)
        sw_palette_build(&serve->palettes[i], &sw_palette_plans[i], serve->request->inside);
    return SW_OK;
}

static enum sw_status http_open(struct serve *serve, struct sw_error *err) {
    struct sw_http_options options = {.handler = on_call, .context = serve, .ends_with_peer = true};
    const char *listen = serve->request->listen ? serve->request->listen : LISTEN_DEFAULT;
    struct sw_address address;
    char text[SW_ADDRESS_TEXT_MAX];
    int fd = -1;
    enum sw_status status = sw_address_parse(&address, sw_str_from(listen), err);
    if (!status && !sw_address_is_loopback(&address))
        return sw_fail(err, SW_INVALID,
                       "--listen %s: the page is for this machine only, as whoever reaches it can keep all CPUs busy; "
                       "take a loopback address such as 127.0.0.1:8420, and a tunnel (ssh -L) from elsewhere",
                       listen);
    if (!status)
        status = sw_socket_listen(&fd, &address, NULL, err);
    if (!status)
        status = sw_socket_local(fd, &address, err);
    if (!status)
        status = sw_http_guard_add_address(&serve->guard, &address);
    if (!status)
        status = sw_http_server_open(&serve->http, serve->reactor, &options, err);
    if (status) {
        sw_socket_close(&fd);
        return status;
    }
    sw_address_format(&address, text);
    bool is_unix = address.storage.ss_family == AF_UNIX;
    snprintf(serve->url, sizeof serve->url, "%s%s%s", is_unix ? "" : "http://", text, is_unix ? "" : "/");
    return sw_http_server_listen(serve->http, fd, err);
}

static enum sw_status serve_open(struct serve *serve, struct sw_error *err) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    serve->signals.fn = on_signal;
    serve->signals.context = serve;
    serve->page = (struct sw_asset){.content_type = SW_STR("text/html; charset=utf-8"),
                                    .body = sw_fractal_page,
                                    .gzip = sw_fractal_page_gzip,
                                    .csp = SW_STR(SW_ASSET_CSP_SINGLE_PAGE)};
    sw_asset_prepare(&serve->page);
    enum sw_status status = palettes_build(serve, err);
    if (!status)
        status = sw_reactor_open(&serve->reactor, NULL, err);
    if (!status)
        status = sw_signals_open(&serve->signals, serve->reactor, &set, err);
    if (!status)
        status = sw_tiles_open(&serve->tiles, serve->request->workers[0], on_wake, serve, err);
    return status ? status : http_open(serve, err);
}

/* The workers first, so that each tile they still have is given back while its request is there to be told. */
static void serve_close(struct serve *serve) {
    if (serve->tiles) {
        sw_tiles_stop(serve->tiles);
        on_done(serve);
    }
    if (serve->http)
        sw_http_server_close(serve->http);
    sw_tiles_close(serve->tiles);
    sw_signals_close(&serve->signals);
    sw_reactor_close(serve->reactor);
    sw_http_guard_release(&serve->guard);
    sw_buf_release(&serve->scratch);
    sw_free(serve->palettes);
}

/* The address, with the view that was asked for as the page reads it from there. */
static enum sw_status address_write(struct serve *serve, struct sw_buf *out) {
    const struct sw_fractal_view *view = &serve->request->view;
    char numbers[3][SW_NUM_F64_MAX + 1];
    const double values[3] = {view->zoom, view->julia_re, view->julia_im};
    for (int i = 0; i < 3; i++)
        numbers[i][sw_num_format_f64(values[i], numbers[i])] = '\0';
    sw_buf_clear(out);
    enum sw_status status = sw_buf_append(out, sw_str_from(serve->url));
    if (status || !serve->request->has_view || serve->url[0] == '/')
        return status;
    size_t hash = out->len, kept = hash;
    status = sw_buf_append_format(out, "#kind=%s&re=%.*s&im=%.*s&zoom=%s&palette=%s", sw_fractal_kind_name(view->kind),
                                  SW_STR_ARG(view->center_re), SW_STR_ARG(view->center_im), numbers[0],
                                  serve->request->palette->name);
    if (!status && view->iterations > 0)
        status = sw_buf_append_format(out, "&iterations=%u", view->iterations);
    if (!status && view->kind == SW_FRACTAL_JULIA)
        status = sw_buf_append_format(out, "&jre=%s&jim=%s", numbers[1], numbers[2]);
    for (size_t i = hash; i < out->len; i++) /* a + would be read as a blank, and no number needs it */
        if (out->ptr[i] != '+')
            out->ptr[kept++] = out->ptr[i];
    if (!status)
        out->len = kept;
    return status;
}

static enum sw_status address_tell(struct serve *serve, struct sw_error *err) {
    enum sw_status status = address_write(serve, &serve->scratch);
    if (status)
        return sw_fail(err, status, "cannot tell the address: %s", sw_status_text(status));
    fprintf(stderr, "sidewinder: explore at %.*s\n", SW_STR_ARG(sw_buf_view(&serve->scratch)));
    return SW_OK;
}

enum sw_status sw_fractal_serve(const struct sw_fractal_request *request, struct sw_error *err) {
    struct serve serve = {.request = request};
    enum sw_status status = serve_open(&serve, err);
    if (!status && !request->is_quiet)
        status = address_tell(&serve, err);
    if (!status)
        status = sw_reactor_run(serve.reactor, err);
    serve_close(&serve);
    return status;
}
