/* live_frame.c - Makes the messages of a live session: series, tables, events. See docs/live-protocol.md. */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/live_impl.h"

#define CHOOSE_NS (5 * SW_NS_PER_S) /* the top keys of a chart are chosen anew this often */
#define POINTS_MAX 4000u            /* in one frame; longer ranges are thinned */
#define RANK_WINDOWS 120u           /* over which the top keys are found */
#define TABLE_WINDOWS 60u           /* in which a key's latest row is looked for */
#define SHORT_WINDOW_NS (2 * SW_NS_PER_S)

struct ranked {
    double value;
    uint32_t row;
};

static int by_value_falling(const void *a, const void *b) {
    const struct ranked *first = a;
    const struct ranked *second = b;
    if (first->value != second->value)
        return first->value > second->value ? -1 : 1;
    return (first->row > second->row) - (first->row < second->row);
}

/* Open windows are incomplete at their start, so short ones are judged by the last closed; of long ones people want to see the current. */
static const struct sw_view_window *window_latest(const struct sw_serve *serve, int stream, bool prefers_open) {
    const struct sw_view_stream *view = &serve->view.streams[stream];
    const struct sw_view_window *latest = view->count ? sw_view_closed(view, view->count - 1) : NULL;
    if (latest && !(prefers_open && serve->engine->job.streams[stream].window_ns > SHORT_WINDOW_NS))
        return latest;
    for (unsigned w = 0; w < serve->engine->worker_count; w++)
        for (unsigned i = 0; i < view->open[w].count; i++)
            if (!latest || view->open[w].windows[i]->start_ns > latest->start_ns)
                latest = view->open[w].windows[i];
    return latest;
}

/* The latest row of a key. */
struct latest {
    double value; /* that it is ranked by */
    const struct sw_view_window *window;
    uint32_t row;
};

static int latest_falling(const void *a, const void *b) {
    const struct latest *first = a;
    const struct latest *second = b;
    if (first->value != second->value)
        return first->value > second->value ? -1 : 1;
    return (first->row > second->row) - (first->row < second->row);
}

static int latest_rising(const void *a, const void *b) {
    const struct latest *first = a;
    const struct latest *second = b;
    if (first->value != second->value)
        return first->value < second->value ? -1 : 1;
    return (first->row > second->row) - (first->row < second->row);
}

static void latest_add(struct latest *latest, uint32_t *count, uint8_t *is_seen, const struct sw_view_window *window) {
    for (uint32_t row = 0; row < window->row_count; row++) {
        if (is_seen[window->groups[row]])
            continue;
        is_seen[window->groups[row]] = 1;
        latest[(*count)++] = (struct latest){0, window, row};
    }
}

/* The latest row of every key, over the last windows; where keys come and go (processes), of the last window only: what is not in it is
 * gone. */
static struct latest *latest_rows(const struct sw_serve *serve, int stream, uint32_t *count) {
    const struct sw_view_stream *view = &serve->view.streams[stream];
    const struct sw_view_window *newest = window_latest(serve, stream, true);
    uint32_t known = sw_groups_count(&serve->engine->groups[stream]);
    struct latest *latest = sw_alloc_array(known + 1, sizeof *latest);
    uint8_t *is_seen = sw_alloc_zero(known + 1);
    *count = 0;
    if (latest && is_seen && newest) {
        unsigned windows = serve->engine->job.streams[stream].max_keys > 0 ? 0 : TABLE_WINDOWS;
        latest_add(latest, count, is_seen, newest);
        for (unsigned i = 0; i < windows && i < view->count; i++)
            latest_add(latest, count, is_seen, sw_view_closed(view, view->count - 1 - i));
    }
    sw_free(is_seen);
    return latest;
}

/* An aggregate beyond those of the stream stands for the key itself. */
static void latest_rank(const struct sw_serve *serve, struct latest *latest, uint32_t count,
                        const struct sw_live_table *table) {
    double absent = table->is_descending ? -INFINITY : INFINITY;
    for (uint32_t i = 0; i < count; i++) {
        const struct sw_view_window *window = latest[i].window;
        uint64_t prefix = sw_groups_get(&serve->engine->groups[table->stream], window->groups[latest[i].row])->prefix;
        double value = table->sort < window->value_count
                           ? window->values[(size_t)latest[i].row * window->value_count + table->sort]
                           : (double)prefix;
        latest[i].value = isnan(value) ? absent : value;
    }
    qsort(latest, count, sizeof *latest, table->is_descending ? latest_falling : latest_rising);
}

static bool groups_are_same(const struct sw_live_chart *chart, const uint32_t *groups, unsigned count) {
    if (count != chart->group_count)
        return false;
    for (unsigned i = 0; i < count; i++) {
        bool is_known = false;
        for (unsigned k = 0; k < count; k++)
            is_known |= chart->groups[k] == groups[i];
        if (!is_known)
            return false;
    }
    return true;
}

/* The keys with the greatest sum of the chart's leading aggregate over the last windows: of sparse streams the latest window alone has
 * hardly any key, and of noisy ones it changes at every look. */
static enum sw_status groups_rank(const struct sw_serve *serve, const struct sw_live_chart *chart, uint32_t *groups,
                                  unsigned *count) {
    const struct sw_view_stream *view = &serve->view.streams[chart->stream];
    uint32_t known = sw_groups_count(&serve->engine->groups[chart->stream]);
    struct ranked *ranked = sw_alloc_array_zero(known + 1, sizeof *ranked);
    if (!ranked)
        return SW_NOMEM;
    for (uint32_t i = 0; i < known; i++)
        ranked[i] = (struct ranked){-INFINITY, i};
    unsigned first = view->count > RANK_WINDOWS ? view->count - RANK_WINDOWS : 0;
    for (unsigned w = first; w <= view->count; w++) {
        const struct sw_view_window *window = w < view->count    ? sw_view_closed(view, w)
                                              : view->count == 0 ? window_latest(serve, chart->stream, true)
                                                                 : NULL;
        for (uint32_t row = 0; window && row < window->row_count; row++) {
            double value = window->values[(size_t)row * window->value_count + chart->sort];
            struct ranked *group = &ranked[window->groups[row]];
            if (!isnan(value))
                group->value = isinf(group->value) ? value : group->value + value;
        }
    }
    qsort(ranked, known, sizeof *ranked, by_value_falling);
    for (*count = 0; *count < known && *count < chart->top && !isinf(ranked[*count].value); ++*count)
        groups[*count] = ranked[*count].row;
    sw_free(ranked);
    return SW_OK;
}

static enum sw_status groups_find(struct sw_session *session, const struct sw_live_chart *chart, uint32_t *groups,
                                  unsigned *count) {
    struct sw_serve *serve = session->serve;
    if (!chart->has_key)
        return groups_rank(serve, chart, groups, count);
    *count = sw_groups_find(&serve->engine->groups[chart->stream], chart->key, &groups[0]) == SW_OK;
    return SW_OK;
}

/* Chooses the chart's keys, now and then anew, and announces them when they changed. */
enum sw_status sw_live_choose(struct sw_session *session, struct sw_live_chart *chart, struct sw_buf *out) {
    uint32_t groups[SW_LIVE_SERIES];
    unsigned count = 0;
    struct sw_json json;
    int64_t now_ns = sw_clock_mono_ns();
    if (chart->group_count > 0 && now_ns - chart->chosen_mono_ns < CHOOSE_NS)
        return SW_OK;
    enum sw_status status = groups_find(session, chart, groups, &count);
    chart->chosen_mono_ns = now_ns;
    if (status != SW_OK || (chart->is_announced && groups_are_same(chart, groups, count)))
        return status;
    memcpy(chart->groups, groups, count * sizeof *groups);
    chart->group_count = count;
    chart->is_announced = true;
    chart->sent_ns = INT64_MIN;
    chart->changes = UINT64_MAX; /* what is shown is another thing now */
    sw_json_init(&json, out);
    sw_json_object_begin(&json);
    sw_json_key(&json, SW_STR("type"));
    sw_json_str(&json, SW_STR("series"));
    sw_json_key(&json, SW_STR("chart"));
    sw_json_u64(&json, chart->id);
    sw_json_key(&json, SW_STR("keys"));
    sw_json_array_begin(&json);
    for (unsigned i = 0; i < count; i++)
        sw_api_key_write(session->serve, (unsigned)chart->stream, groups[i], &json);
    sw_json_array_end(&json);
    sw_json_object_end(&json);
    return sw_json_status(&json);
}

/* One point in time: a closed window, or the parts of an open one. */
struct point {
    const struct sw_view_window *windows[SW_MAX_WORKERS];
    unsigned count;
};

static double point_value(const struct point *point, uint32_t group, unsigned aggregate, uint8_t *score) {
    for (unsigned i = 0; i < point->count; i++) {
        uint32_t row = sw_view_row(point->windows[i], group);
        if (row == UINT32_MAX)
            continue;
        size_t at = (size_t)row * point->windows[i]->value_count + aggregate;
        *score = point->windows[i]->scores && !point->windows[i]->is_open ? point->windows[i]->scores[at] : 0;
        return point->windows[i]->values[at];
    }
    *score = 0;
    return NAN;
}

static int64_t point_start(const struct point *point) {
    return point->windows[0]->start_ns;
}

/* Open windows that start after every closed one, oldest first, parts of several workers together. */
static unsigned open_points(const struct sw_serve *serve, int stream, struct point *points) {
    const struct sw_view_stream *view = &serve->view.streams[stream];
    int64_t after_ns = INT64_MIN;
    unsigned count = 0;
    for (unsigned n = 0; n < SW_VIEW_OPEN_MAX; n++) {
        int64_t next_ns = INT64_MAX;
        for (unsigned w = 0; w < serve->engine->worker_count; w++)
            for (unsigned i = 0; i < view->open[w].count; i++) {
                int64_t start_ns = view->open[w].windows[i]->start_ns;
                if (start_ns > after_ns && start_ns < next_ns)
                    next_ns = start_ns;
            }
        if (next_ns == INT64_MAX)
            break;
        points[count].count = 0;
        for (unsigned w = 0; w < serve->engine->worker_count; w++)
            for (unsigned i = 0; i < view->open[w].count; i++)
                if (view->open[w].windows[i]->start_ns == next_ns)
                    points[count].windows[points[count].count++] = view->open[w].windows[i];
        after_ns = next_ns;
        count++;
    }
    return count;
}

/* Which closed windows a frame shows: all of [first, count), or in each of POINTS_MAX / 4 runs the first, the last, and those with the least
 * and the greatest value of the leading series (M4 of Jugel et al. 2014), so that peaks survive. */
static unsigned closed_pick(const struct sw_serve *serve, const struct sw_live_chart *chart, unsigned first,
                            unsigned *picked) {
    const struct sw_view_stream *view = &serve->view.streams[chart->stream];
    unsigned total = view->count - first;
    unsigned count = 0;
    if (total <= POINTS_MAX) {
        for (unsigned i = first; i < view->count; i++)
            picked[count++] = i;
        return count;
    }
    unsigned runs = POINTS_MAX / 4;
    for (unsigned r = 0; r < runs; r++) {
        unsigned begin = first + (unsigned)((uint64_t)total * r / runs);
        unsigned end = first + (unsigned)((uint64_t)total * (r + 1) / runs);
        unsigned marks[4] = {begin, begin, begin, end - 1};
        double least = INFINITY;
        double greatest = -INFINITY;
        for (unsigned i = begin; i < end; i++) {
            struct point point = {{sw_view_closed(view, i)}, 1};
            uint8_t score;
            double value =
                chart->group_count ? point_value(&point, chart->groups[0], chart->aggregates[0], &score) : NAN;
            if (value < least) {
                least = value;
                marks[1] = i;
            }
            if (value > greatest) {
                greatest = value;
                marks[2] = i;
            }
        }
        if (marks[1] > marks[2]) {
            unsigned swap = marks[1];
            marks[1] = marks[2];
            marks[2] = swap;
        }
        for (unsigned m = 0; m < 4; m++)
            if (m == 0 || marks[m] != marks[m - 1])
                picked[count++] = marks[m];
    }
    return count;
}

struct frame {
    const struct sw_live_chart *chart;
    const unsigned *picked; /* closed windows, by age */
    unsigned picked_count;
    struct point open[SW_VIEW_OPEN_MAX];
    unsigned open_count;
    unsigned flags;
};

static struct point frame_point(const struct sw_serve *serve, const struct frame *frame, unsigned index) {
    if (index >= frame->picked_count)
        return frame->open[index - frame->picked_count];
    struct point point = {{sw_view_closed(&serve->view.streams[frame->chart->stream], frame->picked[index])}, 1};
    return point;
}

static void put_u32(char *to, uint32_t value) {
    memcpy(to, &value, sizeof value);
}

static enum sw_status frame_write(const struct sw_serve *serve, const struct frame *frame, struct sw_buf *out) {
    const struct sw_live_chart *chart = frame->chart;
    unsigned points = frame->picked_count + frame->open_count;
    unsigned series = chart->group_count;
    size_t bytes =
        16 + (size_t)points * 8 * (1 + (size_t)series * chart->aggregate_count) + (size_t)points * 4 * series;
    enum sw_status status = sw_buf_reserve(out, bytes);
    if (status != SW_OK)
        return status;
    char *head = out->ptr + out->len;
    head[0] = 1;
    head[1] = (char)frame->flags;
    memcpy(head + 2, &chart->id, sizeof chart->id);
    put_u32(head + 4, series);
    put_u32(head + 8, chart->aggregate_count);
    put_u32(head + 12, points);
    char *times = head + 16;
    char *values = times + (size_t)points * 8;
    char *scores = values + (size_t)points * 8 * series * chart->aggregate_count;
    for (unsigned p = 0; p < points; p++) {
        struct point point = frame_point(serve, frame, p);
        double time_ms = (double)point_start(&point) / 1e6;
        memcpy(times + (size_t)p * 8, &time_ms, 8);
        for (unsigned s = 0; s < series; s++) {
            uint8_t score = 0;
            for (unsigned a = chart->aggregate_count; a-- > 0;) {
                double value = point_value(&point, chart->groups[s], chart->aggregates[a], &score);
                memcpy(values + (((size_t)s * chart->aggregate_count + a) * points + p) * 8, &value, 8);
            }
            float share = (float)score / 255.0f; /* of aggregate 0, which came last */
            memcpy(scores + ((size_t)s * points + p) * 4, &share, 4);
        }
    }
    out->len += bytes;
    return SW_OK;
}

enum sw_status sw_live_series(struct sw_session *session, struct sw_live_chart *chart, struct sw_buf *out) {
    struct sw_serve *serve = session->serve;
    const struct sw_view_stream *view = &serve->view.streams[chart->stream];
    if (chart->changes == view->changes)
        return SW_OK;
    struct frame frame = {.chart = chart};
    unsigned picked[POINTS_MAX];
    int64_t newest_ns = sw_view_newest_ns(&serve->view, (unsigned)chart->stream);
    unsigned first = chart->sent_ns == INT64_MIN ? 0 : sw_view_find(view, chart->sent_ns + 1);
    if (chart->range_s > 0 && newest_ns != INT64_MIN && chart->range_s * 1e9 < (double)INT64_MAX / 2) {
        unsigned in_range = sw_view_find(view, newest_ns - (int64_t)(chart->range_s * 1e9));
        first = in_range > first ? in_range : first;
    }
    frame.flags = chart->sent_ns == INT64_MIN ? 1 : 0;
    frame.picked = picked;
    frame.picked_count = closed_pick(serve, chart, first, picked);
    frame.open_count = open_points(serve, chart->stream, frame.open);
    frame.flags |= frame.open_count > 0 ? 2 : 0;
    if (frame.picked_count + frame.open_count == 0)
        return SW_OK;
    enum sw_status status = frame_write(serve, &frame, out);
    if (status != SW_OK)
        return status;
    chart->changes = view->changes;
    if (view->count > 0)
        chart->sent_ns = sw_view_closed(view, view->count - 1)->start_ns;
    return SW_OK;
}

static bool key_matches(struct sw_str key, struct sw_str filter) {
    if (filter.len == 0)
        return true;
    for (size_t i = 0; i + filter.len <= key.len; i++)
        if (sw_str_eq_nocase((struct sw_str){key.ptr + i, filter.len}, filter))
            return true;
    return false;
}

static void table_row(const struct sw_serve *serve, const struct sw_view_window *window, uint32_t row,
                      struct sw_json *json) {
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("key"));
    sw_api_key_write(serve, window->stream, window->groups[row], json);
    sw_json_key(json, SW_STR("values"));
    sw_json_array_begin(json);
    const struct sw_stream *stream = &serve->engine->job.streams[window->stream];
    const struct sw_text_ref *text = window->texts + (size_t)row * window->text_count;
    for (uint32_t i = 0; i < window->value_count; i++) {
        if (!sw_aggregate_is_text(stream->aggregates[i].fn)) {
            sw_json_f64(json, window->values[(size_t)row * window->value_count + i]);
            continue;
        }
        sw_json_str(json, sw_str_make(window->text_bytes + text->offset, text->len));
        text++;
    }
    sw_json_array_end(json);
    sw_json_key(json, SW_STR("scores"));
    sw_json_array_begin(json);
    for (uint32_t i = 0; i < window->value_count; i++)
        sw_json_f64(json, round(window->scores[(size_t)row * window->value_count + i] / 2.55) / 100);
    sw_json_array_end(json);
    sw_json_object_end(json);
}

enum sw_status sw_live_table_write(struct sw_session *session, struct sw_live_table *table, struct sw_buf *out) {
    struct sw_serve *serve = session->serve;
    const struct sw_view_window *window = window_latest(serve, table->stream, true);
    uint64_t changes = serve->view.streams[table->stream].changes;
    uint32_t count = 0;
    if (!window || (changes == table->changes && changes > 0))
        return SW_OK;
    table->changes = changes;
    struct latest *latest = latest_rows(serve, table->stream, &count);
    if (!latest)
        return SW_NOMEM;
    latest_rank(serve, latest, count, table);
    struct sw_json json;
    sw_json_init(&json, out);
    sw_json_object_begin(&json);
    sw_json_key(&json, SW_STR("type"));
    sw_json_str(&json, SW_STR("table"));
    sw_json_key(&json, SW_STR("table"));
    sw_json_u64(&json, table->id);
    sw_json_key(&json, SW_STR("stream"));
    sw_json_str(&json, serve->engine->job.streams[table->stream].name);
    sw_json_key(&json, SW_STR("window_start_ms"));
    sw_json_f64(&json, (double)window->start_ns / 1e6);
    sw_json_key(&json, SW_STR("is_open"));
    sw_json_bool(&json, window->is_open);
    sw_json_key(&json, SW_STR("rows"));
    sw_json_array_begin(&json);
    uint32_t matching = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t group = latest[i].window->groups[latest[i].row];
        struct sw_str key = sw_groups_get(&serve->engine->groups[table->stream], group)->key;
        if (key_matches(key, sw_str_from(table->filter)) && matching++ < table->limit)
            table_row(serve, latest[i].window, latest[i].row, &json);
    }
    sw_json_array_end(&json);
    sw_json_key(&json, SW_STR("total"));
    sw_json_u64(&json, matching);
    sw_json_object_end(&json);
    sw_free(latest);
    return sw_json_status(&json);
}

enum sw_status sw_live_event_write(struct sw_serve *serve, const struct sw_event *event, struct sw_buf *out) {
    const struct sw_stream *stream = &serve->engine->job.streams[event->stream];
    struct sw_json json;
    sw_json_init(&json, out);
    sw_json_object_begin(&json);
    sw_json_key(&json, SW_STR("type"));
    sw_json_str(&json, SW_STR("event"));
    sw_json_key(&json, SW_STR("id"));
    sw_json_u64(&json, event->id);
    sw_json_key(&json, SW_STR("time_ms"));
    sw_json_f64(&json, (double)event->time_ns / 1e6);
    sw_json_key(&json, SW_STR("level"));
    sw_json_str(&json, event->is_anomaly             ? SW_STR("anomaly")
                       : event->level >= SW_LOG_WARN ? SW_STR("warn")
                                                     : SW_STR("info"));
    sw_json_key(&json, SW_STR("stream"));
    sw_json_str(&json, stream->name);
    if (event->is_anomaly) {
        sw_json_key(&json, SW_STR("key"));
        sw_api_key_write(serve, event->stream, event->group, &json);
        sw_json_key(&json, SW_STR("aggregate"));
        sw_json_str(&json, stream->aggregates[event->aggregate].name);
        sw_json_key(&json, SW_STR("value"));
        sw_json_f64(&json, event->value);
        sw_json_key(&json, SW_STR("score"));
        sw_json_f64(&json, round((double)event->score * 1000) / 1000);
    }
    sw_json_key(&json, SW_STR("text"));
    sw_json_str(&json, sw_str_from(event->text));
    sw_json_object_end(&json);
    return sw_json_status(&json);
}
