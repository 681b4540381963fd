/* api.c - GET /api/streams and /api/query: what runs, and the last windows of any key. See docs/live-protocol.md. */
#include <math.h>
#include <stdlib.h>

#include "base/version.h"
#include "engine/serve_impl.h"
#include "net/url.h"

#define QUERY_LAST 60u
#define QUERY_LIMIT 10000u
#define CHART_TOP 6u

static void text_member(struct sw_json *json, const char *name, struct sw_str value) {
    sw_json_key(json, sw_str_from(name));
    sw_json_str(json, value);
}

static void key_split(struct sw_json *json, const struct sw_stream *stream, struct sw_str key) {
    sw_json_array_begin(json);
    for (unsigned i = 0; i < stream->key_count; i++)
        sw_json_str(json, sw_str_cut(&key, SW_KEY_SEPARATOR));
    sw_json_array_end(json);
}

static void aggregate_write(struct sw_json *json, const struct sw_aggregate *aggregate) {
    sw_json_object_begin(json);
    text_member(json, "name", aggregate->name);
    text_member(json, "function", sw_str_from(sw_aggregate_name(aggregate->fn)));
    sw_json_key(json, SW_STR("columns"));
    sw_json_array_begin(json);
    for (unsigned i = 0; i < aggregate->column_count; i++)
        sw_json_str(json, aggregate->columns[i]);
    sw_json_array_end(json);
    if (aggregate->fn == SW_AGG_QUANTILE || aggregate->fn == SW_AGG_TOPK) {
        sw_json_key(json, SW_STR("parameter"));
        sw_json_f64(json, aggregate->parameter);
    }
    text_member(json, "unit", aggregate->unit);
    sw_json_key(json, SW_STR("is_scored"));
    sw_json_bool(json, !sw_aggregate_is_text(aggregate->fn));
    sw_json_object_end(json);
}

static void chart_write(struct sw_json *json, const struct sw_stream *stream, const struct sw_chart *chart) {
    sw_json_object_begin(json);
    text_member(json, "title", chart->title);
    text_member(json, "unit", chart->unit);
    text_member(json, "line", chart->line);
    if (chart->low.len > 0 && chart->high.len > 0) {
        text_member(json, "low", chart->low);
        text_member(json, "high", chart->high);
    }
    if (chart->key.len > 0) {
        sw_json_key(json, SW_STR("key"));
        key_split(json, stream, chart->key);
    }
    sw_json_key(json, SW_STR("top"));
    sw_json_u64(json, chart->top ? chart->top : CHART_TOP);
    sw_json_object_end(json);
}

/* Without charts of its own a stream gets one for each aggregate, with the quantiles or extremes of the same column behind a mean. */
static const struct sw_aggregate *band_edge(const struct sw_stream *stream, const struct sw_aggregate *of,
                                            bool is_high) {
    const struct sw_aggregate *edge = NULL;
    for (unsigned i = 0; i < stream->aggregate_count; i++) {
        const struct sw_aggregate *aggregate = &stream->aggregates[i];
        if (aggregate->column_count == 0 || !sw_str_eq(aggregate->columns[0], of->columns[0]))
            continue;
        bool is_quantile = aggregate->fn == SW_AGG_QUANTILE || aggregate->fn == SW_AGG_MEDIAN;
        if (is_quantile && (is_high ? aggregate->parameter > 0.5 : aggregate->parameter <= 0.5))
            return aggregate;
        if (aggregate->fn == (is_high ? SW_AGG_MAX : SW_AGG_MIN))
            edge = aggregate;
    }
    return edge;
}

static void charts_default(struct sw_json *json, const struct sw_stream *stream) {
    for (unsigned i = 0; i < stream->aggregate_count; i++) {
        const struct sw_aggregate *aggregate = &stream->aggregates[i];
        if (sw_aggregate_is_text(aggregate->fn))
            continue;
        struct sw_chart chart = {.title = aggregate->name, .unit = aggregate->unit, .line = aggregate->name};
        bool is_middle = aggregate->fn == SW_AGG_MEAN || aggregate->fn == SW_AGG_LAST || aggregate->fn == SW_AGG_VWAP;
        const struct sw_aggregate *low = is_middle ? band_edge(stream, aggregate, false) : NULL;
        const struct sw_aggregate *high = is_middle ? band_edge(stream, aggregate, true) : NULL;
        if (low && high) {
            chart.low = low->name;
            chart.high = high->name;
        }
        chart_write(json, stream, &chart);
    }
}

static void tile_write(struct sw_json *json, const struct sw_stream *stream, const struct sw_tile *tile) {
    sw_json_object_begin(json);
    text_member(json, "title", tile->title);
    text_member(json, "aggregate", tile->aggregate);
    text_member(json, "unit", tile->unit);
    sw_json_key(json, SW_STR("key"));
    if (tile->key.len > 0 || stream->key_count == 0)
        key_split(json, stream, tile->key);
    else
        sw_json_null(json);
    sw_json_object_end(json);
}

/* The first six aggregates; of a keyed stream, those of its leading key. */
static void tiles_default(struct sw_json *json, const struct sw_stream *stream) {
    unsigned shown = 0;
    for (unsigned i = 0; i < stream->aggregate_count && shown < 6; i++) {
        const struct sw_aggregate *aggregate = &stream->aggregates[i];
        if (sw_aggregate_is_text(aggregate->fn))
            continue;
        struct sw_tile tile = {aggregate->name, aggregate->name, aggregate->unit, {NULL, 0}};
        tile_write(json, stream, &tile);
        shown++;
    }
}

static void table_write(struct sw_json *json, const struct sw_stream *stream) {
    if (stream->key_count == 0) {
        sw_json_null(json);
        return;
    }
    sw_json_object_begin(json);
    text_member(json, "sort", stream->table_sort.len ? stream->table_sort : stream->aggregates[0].name);
    sw_json_key(json, SW_STR("columns"));
    sw_json_array_begin(json);
    for (unsigned i = 0; i < stream->aggregate_count; i++)
        sw_json_str(json, stream->aggregates[i].name);
    sw_json_array_end(json);
    sw_json_object_end(json);
}

static void stream_write(struct sw_json *json, const struct sw_stream *stream) {
    sw_json_object_begin(json);
    text_member(json, "name", stream->name);
    text_member(json, "title", stream->title);
    sw_json_key(json, SW_STR("window_ns"));
    sw_json_i64(json, stream->window_ns);
    sw_json_key(json, SW_STR("has_event_time"));
    sw_json_bool(json, stream->time_column.len > 0);
    sw_json_key(json, SW_STR("keys"));
    sw_json_array_begin(json);
    for (unsigned i = 0; i < stream->key_count; i++)
        sw_json_str(json, stream->keys[i]);
    sw_json_array_end(json);
    sw_json_key(json, SW_STR("aggregates"));
    sw_json_array_begin(json);
    for (unsigned i = 0; i < stream->aggregate_count; i++)
        aggregate_write(json, &stream->aggregates[i]);
    sw_json_array_end(json);
    sw_json_key(json, SW_STR("charts"));
    sw_json_array_begin(json);
    if (stream->charts)
        for (unsigned i = 0; i < stream->chart_count; i++)
            chart_write(json, stream, &stream->charts[i]);
    else
        charts_default(json, stream);
    sw_json_array_end(json);
    sw_json_key(json, SW_STR("tiles"));
    sw_json_array_begin(json);
    if (stream->charts) /* who brings charts brings the tiles it wants, maybe none */
        for (unsigned i = 0; i < stream->tile_count; i++)
            tile_write(json, stream, &stream->tiles[i]);
    else
        tiles_default(json, stream);
    sw_json_array_end(json);
    sw_json_key(json, SW_STR("table"));
    table_write(json, stream);
    sw_json_object_end(json);
}

static void json_answer(struct sw_serve *serve, const struct sw_http_call *call, const struct sw_json *json) {
    static const struct sw_http_header no_store = {{"Cache-Control", 13}, {"no-store", 8}};
    struct sw_http_response response = {.content_type = SW_STR("application/json"),
                                        .headers = &no_store,
                                        .header_count = 1,
                                        .body = sw_buf_view(&serve->scratch)};
    enum sw_status status = sw_json_status(json) == SW_OK ? sw_http_respond(call->ref, &response) : SW_NOMEM;
    if (status == SW_NOMEM || status == SW_LIMIT)
        sw_serve_reply(call->ref, 503, NULL, SW_STR("out of memory\n"));
}

void sw_api_streams(struct sw_serve *serve, const struct sw_http_call *call) {
    const struct sw_job *job = &serve->engine->job;
    struct sw_json json;
    sw_buf_clear(&serve->scratch);
    sw_json_init(&json, &serve->scratch);
    sw_json_object_begin(&json);
    sw_json_key(&json, SW_STR("job"));
    sw_json_object_begin(&json);
    text_member(&json, "name", job->name);
    text_member(&json, "version", sw_str_from(sw_version()));
    sw_json_key(&json, SW_STR("started_ns"));
    sw_json_i64(&json, serve->engine->started_epoch_ns);
    sw_json_key(&json, SW_STR("workers"));
    sw_json_u64(&json, serve->engine->worker_count);
    sw_json_key(&json, SW_STR("sources"));
    sw_json_array_begin(&json);
    for (unsigned i = 0; i < job->source_count; i++)
        sw_json_str(&json, job->sources[i].uri);
    sw_json_array_end(&json);
    sw_json_key(&json, SW_STR("keep_windows"));
    sw_json_u64(&json, serve->view.keep);
    sw_json_object_end(&json);
    sw_json_key(&json, SW_STR("streams"));
    sw_json_array_begin(&json);
    for (unsigned i = 0; i < job->stream_count; i++)
        stream_write(&json, &job->streams[i]);
    sw_json_array_end(&json);
    sw_json_object_end(&json);
    json_answer(serve, call, &json);
}

int sw_api_stream(const struct sw_serve *serve, struct sw_str name) {
    const struct sw_job *job = &serve->engine->job;
    for (unsigned i = 0; i < job->stream_count; i++)
        if (sw_str_eq(job->streams[i].name, name))
            return (int)i;
    return name.len == 0 && job->stream_count == 1 ? 0 : -1;
}

void sw_api_key_write(const struct sw_serve *serve, unsigned stream, uint32_t group, struct sw_json *json) {
    key_split(json, &serve->engine->job.streams[stream], sw_groups_get(&serve->engine->groups[stream], group)->key);
}

/* A topk's text is JSON already, made by record.c. */
static void raw_write(struct sw_json *json, struct sw_str text) {
    sw_json_null(json);
    if (sw_json_status(json) != SW_OK)
        return;
    json->out->len -= 4;
    if (sw_buf_append(json->out, text) != SW_OK)
        json->status = SW_NOMEM;
}

static void anomaly_write(const struct sw_stream *stream, const struct sw_view_window *window, uint32_t row,
                          uint64_t aggregates, struct sw_json *json) {
    if (!window->scores)
        return;
    sw_json_key(json, SW_STR("anomaly"));
    sw_json_object_begin(json);
    for (unsigned i = 0; i < stream->aggregate_count; i++) {
        uint8_t score = window->scores[(size_t)row * window->value_count + i];
        if (score == 0 || !(aggregates >> i & 1))
            continue;
        sw_json_key(json, stream->aggregates[i].name);
        sw_json_f64(json, round(score / 2.55) / 100);
    }
    sw_json_object_end(json);
}

void sw_api_row_write(const struct sw_serve *serve, const struct sw_view_window *window, uint32_t row,
                      uint64_t aggregates, struct sw_json *json) {
    const struct sw_stream *stream = &serve->engine->job.streams[window->stream];
    struct sw_str key = sw_groups_get(&serve->engine->groups[window->stream], window->groups[row])->key;
    const struct sw_text_ref *text = window->texts + (size_t)row * window->text_count;
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("window_start_ns"));
    sw_json_i64(json, window->start_ns);
    sw_json_key(json, SW_STR("window_end_ns"));
    sw_json_i64(json, window->end_ns);
    for (unsigned i = 0; i < stream->key_count; i++) {
        sw_json_key(json, stream->keys[i]);
        sw_json_str(json, sw_str_cut(&key, SW_KEY_SEPARATOR));
    }
    for (unsigned i = 0; i < stream->aggregate_count; i++) {
        bool is_text = sw_aggregate_is_text(stream->aggregates[i].fn);
        const struct sw_text_ref *own = is_text ? text++ : NULL;
        if (!(aggregates >> i & 1))
            continue;
        sw_json_key(json, stream->aggregates[i].name);
        if (own)
            raw_write(json, sw_str_make(window->text_bytes + own->offset, own->len));
        else
            sw_json_f64(json, window->values[(size_t)row * window->value_count + i]);
    }
    anomaly_write(stream, window, row, aggregates, json);
    sw_json_key(json, SW_STR("open"));
    sw_json_bool(json, window->is_open);
    sw_json_object_end(json);
}

struct query {
    int stream;
    bool has_group; /* a key was given */
    uint32_t group; /* SW_GROUP_NONE: it is not known, so there are no rows */
    uint64_t aggregates;
    uint64_t last, limit;
    int64_t from_ns, to_ns;
    bool wants_open;
};

static enum sw_status names_parse(const struct sw_stream *stream, struct sw_str names, uint64_t *aggregates,
                                  struct sw_error *err) {
    *aggregates = 0;
    while (names.ptr) {
        struct sw_str name = sw_str_cut(&names, ',');
        unsigned i = 0;
        while (i < stream->aggregate_count && !sw_str_eq(stream->aggregates[i].name, name))
            i++;
        if (i == stream->aggregate_count)
            return sw_fail(err, SW_NOTFOUND, "no aggregate '%.*s' in this stream; see /api/streams", SW_STR_ARG(name));
        *aggregates |= UINT64_C(1) << i;
    }
    return SW_OK;
}

static enum sw_status numbers_parse(struct query *query, struct sw_str name, struct sw_str value,
                                    struct sw_error *err) {
    enum sw_status status = SW_OK;
    if (sw_str_eq(name, SW_STR("last")))
        status = sw_str_to_u64(value, &query->last);
    else if (sw_str_eq(name, SW_STR("limit")))
        status = sw_str_to_u64(value, &query->limit);
    else if (sw_str_eq(name, SW_STR("from_ns")))
        status = sw_str_to_i64(value, &query->from_ns);
    else if (sw_str_eq(name, SW_STR("to_ns")))
        status = sw_str_to_i64(value, &query->to_ns);
    else if (sw_str_eq(name, SW_STR("open")))
        query->wants_open = sw_str_eq(value, SW_STR("1"));
    else if (!sw_str_eq(name, SW_STR("stream")) && !sw_str_eq(name, SW_STR("token")))
        return sw_fail(err, SW_INVALID,
                       "unknown parameter '%.*s'; there are stream, key, aggregate, last, from_ns, to_ns, limit, open",
                       SW_STR_ARG(name));
    return status == SW_OK ? SW_OK : sw_fail(err, SW_INVALID, "parameter %.*s is not a number", SW_STR_ARG(name));
}

/* `key` collects the key columns, joined as groups.h has them. */
static enum sw_status query_parse(struct sw_serve *serve, struct sw_str text, struct query *query, struct sw_buf *key,
                                  struct sw_error *err) {
    struct sw_buf value = {0};
    unsigned keys = 0;
    struct sw_str name, raw;
    enum sw_status status = sw_url_query_get(text, SW_STR("stream"), &value);
    query->stream = sw_api_stream(serve, status == SW_OK ? sw_buf_view(&value) : (struct sw_str){NULL, 0});
    if (query->stream < 0) {
        sw_buf_release(&value);
        return sw_fail(err, SW_NOTFOUND, "give stream=NAME of one that runs; see /api/streams");
    }
    const struct sw_stream *stream = &serve->engine->job.streams[query->stream];
    status = SW_OK;
    for (int i = 0; i < 1000 && status == SW_OK && sw_url_query_next(&text, &name, &raw); i++) {
        sw_buf_clear(&value);
        status = sw_buf_reserve(&value, raw.len);
        if (status == SW_OK && sw_url_decode_form(raw, value.ptr, &value.len) != SW_OK)
            status = sw_fail(err, SW_INVALID, "parameter %.*s has a broken escape", SW_STR_ARG(name));
        if (status != SW_OK)
            break;
        if (sw_str_eq(name, SW_STR("aggregate"))) {
            status = names_parse(stream, sw_buf_view(&value), &query->aggregates, err);
        } else if (sw_str_eq(name, SW_STR("key"))) {
            if (keys++ > 0)
                status = sw_buf_append_byte(key, SW_KEY_SEPARATOR);
            if (status == SW_OK)
                status = sw_buf_append(key, sw_buf_view(&value));
        } else {
            status = numbers_parse(query, name, sw_buf_view(&value), err);
        }
    }
    sw_buf_release(&value);
    if (status == SW_OK && keys > 0 && keys != stream->key_count)
        return sw_fail(err, SW_INVALID, "this stream has %u key columns, %u were given", stream->key_count, keys);
    query->has_group = keys > 0;
    if (keys > 0 && sw_groups_find(&serve->engine->groups[query->stream], sw_buf_view(key), &query->group) != SW_OK)
        query->group = SW_GROUP_NONE;
    return status;
}

static void window_rows_write(struct sw_serve *serve, const struct query *query, const struct sw_view_window *window,
                              uint64_t *left, struct sw_json *json) {
    for (uint32_t row = 0; row<window->row_count && * left> 0; row++) {
        if (query->has_group && window->groups[row] != query->group)
            continue;
        sw_api_row_write(serve, window, row, query->aggregates, json);
        --*left;
    }
}

static int window_by_start(const void *a, const void *b) {
    const struct sw_view_window *const *first = a;
    const struct sw_view_window *const *second = b;
    return ((*first)->start_ns > (*second)->start_ns) - ((*first)->start_ns < (*second)->start_ns);
}

/* The parts of one open window, each from a worker and in the order of its keys: written in the order of all keys. */
static void open_window_write(struct sw_serve *serve, const struct query *query,
                              const struct sw_view_window *const *parts, unsigned count, uint64_t *left,
                              struct sw_json *json) {
    uint32_t taken[SW_MAX_WORKERS] = {0};
    const struct sw_groups *groups = &serve->engine->groups[query->stream];
    while (*left > 0) {
        unsigned least = count;
        for (unsigned i = 0; i < count; i++) {
            if (taken[i] == parts[i]->row_count)
                continue;
            if (least == count || sw_group_before(sw_groups_get(groups, parts[i]->groups[taken[i]]),
                                                  sw_groups_get(groups, parts[least]->groups[taken[least]])))
                least = i;
        }
        if (least == count)
            return;
        uint32_t row = taken[least]++;
        if (query->has_group && parts[least]->groups[row] != query->group)
            continue;
        sw_api_row_write(serve, parts[least], row, query->aggregates, json);
        --*left;
    }
}

static void open_rows_write(struct sw_serve *serve, const struct query *query, uint64_t *left, struct sw_json *json) {
    const struct sw_view_stream *stream = &serve->view.streams[query->stream];
    const struct sw_view_window *open[SW_MAX_WORKERS * SW_VIEW_OPEN_MAX];
    unsigned count = 0;
    for (unsigned w = 0; w < serve->engine->worker_count; w++)
        for (unsigned i = 0; i < stream->open[w].count; i++)
            open[count++] = stream->open[w].windows[i];
    qsort(open, count, sizeof open[0], window_by_start);
    for (unsigned i = 0, end = 0; i < count; i = end) {
        while (end < count && open[end]->start_ns == open[i]->start_ns)
            end++;
        if (open[i]->start_ns >= query->from_ns && open[i]->start_ns < query->to_ns)
            open_window_write(serve, query, open + i, end - i, left, json);
    }
}

static void query_answer(struct sw_serve *serve, const struct sw_http_call *call, const struct query *query) {
    const struct sw_view_stream *stream = &serve->view.streams[query->stream];
    struct sw_json json;
    uint64_t left = query->limit;
    unsigned first = query->last < stream->count ? stream->count - (unsigned)query->last : 0;
    unsigned from = sw_view_find(stream, query->from_ns);
    sw_buf_clear(&serve->scratch);
    sw_json_init(&json, &serve->scratch);
    sw_json_object_begin(&json);
    text_member(&json, "stream", serve->engine->job.streams[query->stream].name);
    sw_json_key(&json, SW_STR("rows"));
    sw_json_array_begin(&json);
    for (unsigned i = from > first ? from : first; i < stream->count && left > 0; i++) {
        const struct sw_view_window *window = sw_view_closed(stream, i);
        if (window->start_ns >= query->to_ns)
            break;
        window_rows_write(serve, query, window, &left, &json);
    }
    if (query->wants_open)
        open_rows_write(serve, query, &left, &json);
    sw_json_array_end(&json);
    sw_json_object_end(&json);
    json_answer(serve, call, &json);
}

/* from_ns or to_ns without last: every kept window between them. */
void sw_api_query(struct sw_serve *serve, const struct sw_http_call *call) {
    struct query query = {
        .aggregates = UINT64_MAX, .last = UINT64_MAX, .limit = QUERY_LIMIT, .from_ns = INT64_MIN, .to_ns = INT64_MAX};
    struct sw_buf key = {0};
    struct sw_error err = {0};
    enum sw_status status = query_parse(serve, call->head->query, &query, &key, &err);
    if (status == SW_OK) {
        if (query.last == UINT64_MAX && query.from_ns == INT64_MIN && query.to_ns == INT64_MAX)
            query.last = QUERY_LAST;
        query_answer(serve, call, &query);
    } else {
        struct sw_json json;
        sw_buf_clear(&serve->scratch);
        sw_json_init(&json, &serve->scratch);
        sw_json_object_begin(&json);
        text_member(&json, "error", sw_str_from(err.text));
        sw_json_object_end(&json);
        sw_serve_reply(call->ref, status == SW_NOTFOUND ? 404 : 400, "application/json", sw_buf_view(&serve->scratch));
    }
    sw_buf_release(&key);
}
