/* live_subscribe.c - What a live client asks for: subscribe, pause, resume. See docs/live-protocol.md. */
#include <stdlib.h>

#include "base/json_read.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/live_impl.h"

#define RATE_MAX 60.0
#define NAME_MAX 128u

/* One value of the message: a scalar as text, or the begin of an array or object. */
struct reader {
    struct sw_json_reader json;
    struct sw_json_token token;
    char text[NAME_MAX]; /* of the last string, unescaped */
    size_t text_len;
    const char *why;
};

static enum sw_status refuse(struct reader *reader, const char *why) {
    reader->why = why;
    return SW_MALFORMED;
}

static enum sw_status next(struct reader *reader) {
    return sw_json_read(&reader->json, &reader->token) == SW_OK ? SW_OK : refuse(reader, "not JSON");
}

static bool is_string(struct reader *reader) {
    struct sw_buf value = {0};
    if (reader->token.kind != SW_JSON_STRING || sw_json_unescape(reader->token.text, &value) != SW_OK ||
        value.len >= NAME_MAX) {
        sw_buf_release(&value);
        return false;
    }
    memcpy(reader->text, value.ptr ? value.ptr : "", value.len);
    reader->text[value.len] = '\0';
    reader->text_len = value.len;
    sw_buf_release(&value);
    return true;
}

static struct sw_str string(const struct reader *reader) {
    return sw_str_make(reader->text, reader->text_len);
}

static bool is_number(const struct reader *reader, double least, double most, double *value) {
    struct sw_str text = reader->token.text;
    double number = 0;
    if (reader->token.kind != SW_JSON_NUMBER ||
        sw_num_parse_f64(text.ptr, text.ptr + text.len, &number) != text.ptr + text.len ||
        !(number >= least && number <= most))
        return false;
    *value = number;
    return true;
}

static bool key_is(const struct sw_json_token *key, const char *name) {
    return sw_str_eq(key->text, sw_str_from(name));
}

static int aggregate_find(const struct sw_session *session, int stream, struct sw_str name) {
    const struct sw_stream *spec = &session->serve->engine->job.streams[stream];
    for (unsigned i = 0; i < spec->aggregate_count; i++)
        if (sw_str_eq(spec->aggregates[i].name, name))
            return (int)i;
    return -1;
}

/* Names are looked up when the stream is known, whatever the order of the members. */
struct chart_draft {
    struct sw_live_chart chart;
    char names[SW_LIVE_AGGREGATES][NAME_MAX];
    char sort[NAME_MAX];
};

static enum sw_status aggregates_read(struct reader *reader, struct chart_draft *draft) {
    if (reader->token.kind != SW_JSON_ARRAY)
        return refuse(reader, "aggregates: expected an array of names");
    for (;;) {
        enum sw_status status = next(reader);
        if (status != SW_OK || reader->token.kind == SW_JSON_ARRAY_END)
            return status;
        if (!is_string(reader) || draft->chart.aggregate_count == SW_LIVE_AGGREGATES)
            return refuse(reader, "aggregates: expected at most 8 names");
        memcpy(draft->names[draft->chart.aggregate_count++], reader->text, reader->text_len + 1);
    }
}

static enum sw_status key_read(struct reader *reader, struct sw_live_chart *chart) {
    struct sw_buf joined = {0};
    bool is_first = true;
    if (reader->token.kind == SW_JSON_NULL)
        return SW_OK;
    if (reader->token.kind != SW_JSON_ARRAY)
        return refuse(reader, "key: expected an array of strings");
    for (;;) {
        enum sw_status status = next(reader);
        if (status == SW_OK && reader->token.kind == SW_JSON_ARRAY_END)
            break;
        if (status == SW_OK && reader->token.kind != SW_JSON_STRING)
            status = refuse(reader, "key: expected an array of strings");
        if (status == SW_OK && !is_first)
            status = sw_buf_append_byte(&joined, SW_KEY_SEPARATOR);
        if (status == SW_OK)
            status = sw_json_unescape(reader->token.text, &joined);
        if (status != SW_OK) {
            sw_buf_release(&joined);
            return status == SW_NOMEM ? status : SW_MALFORMED;
        }
        is_first = false;
    }
    sw_free((void *)(uintptr_t)chart->key.ptr);
    chart->key = sw_buf_view(&joined);
    chart->has_key = true;
    return SW_OK;
}

static enum sw_status chart_member(struct sw_session *session, struct reader *reader, struct chart_draft *draft,
                                   const struct sw_json_token *key) {
    struct sw_live_chart *chart = &draft->chart;
    double number = 0;
    if (key_is(key, "id")) {
        if (!is_number(reader, 0, 65535, &number))
            return refuse(reader, "id: expected a number from 0 to 65535");
        chart->id = (uint16_t)number;
    } else if (key_is(key, "stream")) {
        chart->stream = is_string(reader) ? sw_api_stream(session->serve, string(reader)) : -1;
    } else if (key_is(key, "aggregates")) {
        return aggregates_read(reader, draft);
    } else if (key_is(key, "key")) {
        return key_read(reader, chart);
    } else if (key_is(key, "top")) {
        if (!is_number(reader, 1, SW_LIVE_SERIES, &number))
            return refuse(reader, "top: expected a number from 1 to 32");
        chart->top = (unsigned)number;
    } else if (key_is(key, "sort")) {
        if (!is_string(reader))
            return refuse(reader, "sort: expected a name");
        memcpy(draft->sort, reader->text, reader->text_len + 1);
    } else if (key_is(key, "range_s")) {
        if (!is_number(reader, 0, 1e12, &chart->range_s))
            return refuse(reader, "range_s: expected a number of seconds");
    } else {
        return sw_json_skip(&reader->json, &reader->token) == SW_OK ? SW_OK : refuse(reader, "not JSON");
    }
    return SW_OK;
}

static enum sw_status chart_read(struct sw_session *session, struct reader *reader, struct sw_live_chart *out) {
    struct chart_draft draft = {.chart = {.stream = -1, .top = 6, .sent_ns = INT64_MIN, .changes = UINT64_MAX}};
    enum sw_status status = SW_OK;
    while (status == SW_OK && (status = next(reader)) == SW_OK && reader->token.kind != SW_JSON_OBJECT_END) {
        struct sw_json_token key = reader->token;
        status = next(reader);
        if (status == SW_OK)
            status = chart_member(session, reader, &draft, &key);
    }
    if (status == SW_OK && draft.chart.stream < 0)
        status = refuse(reader, "no such stream");
    if (status == SW_OK && draft.chart.aggregate_count == 0)
        status = refuse(reader, "aggregates: expected at least one name");
    for (unsigned i = 0; i < draft.chart.aggregate_count && status == SW_OK; i++) {
        int index = aggregate_find(session, draft.chart.stream, sw_str_from(draft.names[i]));
        draft.chart.aggregates[i] = (uint8_t)index;
        status = index < 0 ? refuse(reader, "no such aggregate") : SW_OK;
    }
    draft.chart.sort = draft.chart.aggregates[0];
    if (status == SW_OK && draft.sort[0]) {
        int index = aggregate_find(session, draft.chart.stream, sw_str_from(draft.sort));
        draft.chart.sort = (unsigned)index;
        status = index < 0 ? refuse(reader, "no such aggregate to sort by") : SW_OK;
    }
    if (status == SW_OK)
        *out = draft.chart;
    else
        sw_free((void *)(uintptr_t)draft.chart.key.ptr);
    return status;
}

static enum sw_status table_member(struct sw_session *session, struct reader *reader, struct sw_live_table *table,
                                   char *sort, const struct sw_json_token *key) {
    double number = 0;
    if (key_is(key, "id") && is_number(reader, 0, 65535, &number)) {
        table->id = (uint16_t)number;
    } else if (key_is(key, "stream")) {
        table->stream = is_string(reader) ? sw_api_stream(session->serve, string(reader)) : -1;
    } else if (key_is(key, "limit") && is_number(reader, 1, SW_LIVE_ROWS, &number)) {
        table->limit = (unsigned)number;
    } else if (key_is(key, "descending")) {
        table->is_descending = reader->token.kind == SW_JSON_TRUE;
    } else if (key_is(key, "sort") && is_string(reader)) {
        memcpy(sort, reader->text, reader->text_len + 1);
    } else if (key_is(key, "filter") && is_string(reader)) {
        size_t len = reader->text_len < SW_LIVE_FILTER ? reader->text_len : SW_LIVE_FILTER - 1;
        memcpy(table->filter, reader->text, len);
        table->filter[len] = '\0';
    } else if (reader->token.kind != SW_JSON_NULL) {
        return refuse(reader, "a table has id, stream, sort, descending, limit (1 to 200) and filter");
    }
    return SW_OK;
}

/* "sort":"" or "key" sorts by the key itself. */
static enum sw_status table_read(struct sw_session *session, struct reader *reader, struct sw_live_table *table) {
    char sort[NAME_MAX] = "";
    enum sw_status status = SW_OK;
    *table = (struct sw_live_table){.stream = -1, .limit = 25, .is_descending = true};
    while (status == SW_OK && (status = next(reader)) == SW_OK && reader->token.kind != SW_JSON_OBJECT_END) {
        struct sw_json_token key = reader->token;
        status = next(reader);
        if (status == SW_OK)
            status = table_member(session, reader, table, sort, &key);
    }
    if (status == SW_OK && table->stream < 0)
        return refuse(reader, "no such stream");
    if (status != SW_OK)
        return status;
    int index = aggregate_find(session, table->stream, sw_str_from(sort));
    table->sort = index < 0 ? SW_MAX_AGGREGATES : (unsigned)index;
    return SW_OK;
}

struct subscription {
    struct sw_live_chart charts[SW_LIVE_CHARTS];
    unsigned chart_count;
    struct sw_live_table tables[SW_LIVE_TABLES];
    unsigned table_count;
    double rate_hz;
    char type[NAME_MAX];
};

static enum sw_status items_read(struct sw_session *session, struct reader *reader, struct subscription *wanted,
                                 bool is_charts) {
    if (reader->token.kind != SW_JSON_ARRAY)
        return refuse(reader, "charts and tables: expected arrays");
    for (;;) {
        enum sw_status status = next(reader);
        if (status != SW_OK || reader->token.kind == SW_JSON_ARRAY_END)
            return status;
        if (reader->token.kind != SW_JSON_OBJECT)
            return refuse(reader, "charts and tables: expected objects");
        if (is_charts ? wanted->chart_count == SW_LIVE_CHARTS : wanted->table_count == SW_LIVE_TABLES)
            return refuse(reader, "at most 64 charts and 16 tables");
        status = is_charts ? chart_read(session, reader, &wanted->charts[wanted->chart_count])
                           : table_read(session, reader, &wanted->tables[wanted->table_count]);
        if (status != SW_OK)
            return status;
        wanted->chart_count += is_charts;
        wanted->table_count += !is_charts;
    }
}

static enum sw_status message_read(struct sw_session *session, struct reader *reader, struct subscription *wanted) {
    enum sw_status status = next(reader);
    if (status == SW_OK && reader->token.kind != SW_JSON_OBJECT)
        status = refuse(reader, "expected an object");
    while (status == SW_OK && (status = next(reader)) == SW_OK && reader->token.kind != SW_JSON_OBJECT_END) {
        struct sw_json_token key = reader->token;
        status = next(reader);
        if (status != SW_OK)
            return status;
        if (key_is(&key, "type") && is_string(reader))
            memcpy(wanted->type, reader->text, reader->text_len + 1);
        else if (key_is(&key, "rate_hz"))
            status =
                is_number(reader, 1, RATE_MAX, &wanted->rate_hz) ? SW_OK : refuse(reader, "rate_hz: expected 1 to 60");
        else if (key_is(&key, "charts") || key_is(&key, "tables"))
            status = items_read(session, reader, wanted, key_is(&key, "charts"));
        else
            status = sw_json_skip(&reader->json, &reader->token) == SW_OK ? SW_OK : refuse(reader, "not JSON");
    }
    return status;
}

static bool chart_is_same(const struct sw_live_chart *a, const struct sw_live_chart *b) {
    return a->id == b->id && a->stream == b->stream && a->aggregate_count == b->aggregate_count && a->sort == b->sort &&
           a->top == b->top && a->has_key == b->has_key && sw_str_eq(a->key, b->key) && a->range_s == b->range_s &&
           memcmp(a->aggregates, b->aggregates, a->aggregate_count) == 0;
}

/* A chart that was there before keeps what it knows of what was sent. */
static void subscription_apply(struct sw_session *session, struct subscription *wanted) {
    for (unsigned i = 0; i < wanted->chart_count; i++) {
        for (unsigned k = 0; k < session->chart_count; k++) {
            if (!chart_is_same(&wanted->charts[i], &session->charts[k]))
                continue;
            struct sw_str key = wanted->charts[i].key;
            wanted->charts[i] = session->charts[k];
            session->charts[k].key = key; /* swapped, so each is freed once */
            break;
        }
    }
    sw_live_charts_release(session->charts, session->chart_count);
    memcpy(session->charts, wanted->charts, sizeof wanted->charts);
    session->chart_count = wanted->chart_count;
    memcpy(session->tables, wanted->tables, sizeof wanted->tables);
    session->table_count = wanted->table_count;
    session->rate_hz = wanted->rate_hz;
}

void sw_live_charts_release(struct sw_live_chart *charts, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        sw_free((void *)(uintptr_t)charts[i].key.ptr);
}

enum sw_status sw_live_message(struct sw_session *session, struct sw_str text, const char **why) {
    struct subscription *wanted = sw_alloc_zero(sizeof *wanted);
    struct reader reader = {0};
    if (!wanted)
        return SW_NOMEM;
    wanted->rate_hz = 10;
    sw_json_reader_init(&reader.json, text);
    enum sw_status status = message_read(session, &reader, wanted);
    struct sw_str type = sw_str_from(wanted->type);
    if (status == SW_OK && sw_str_eq(type, SW_STR("subscribe"))) {
        subscription_apply(session, wanted);
    } else {
        sw_live_charts_release(wanted->charts, wanted->chart_count);
        if (status == SW_OK && sw_str_eq(type, SW_STR("pause")))
            session->is_paused = true;
        else if (status == SW_OK && sw_str_eq(type, SW_STR("resume")))
            session->is_paused = false;
        else if (status == SW_OK)
            status = refuse(&reader, "type: expected subscribe, pause or resume");
    }
    *why = reader.why ? reader.why : "not JSON";
    sw_free(wanted);
    return status;
}
