/* view.c - Keeps windows for those who look; see view.h. */
#include "engine/view.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define FEED_WINDOWS 4096u
#define PATIENCE 50 /* naps of 1 ms for room for a closed window */

static size_t window_bytes(uint32_t rows, uint32_t values, uint32_t texts, size_t text_bytes) {
    return sizeof(struct sw_view_window) + (size_t)rows * values * (sizeof(double) + 1) +
           (size_t)rows * sizeof(uint32_t) + (size_t)rows * texts * sizeof(struct sw_text_ref) + text_bytes;
}

/* One block: the structure, then values, texts, groups, scores, text bytes. */
static struct sw_view_window *window_copy(const struct sw_results *results, const struct sw_window *from) {
    uint32_t rows = from->row_count;
    size_t cells = (size_t)rows * results->value_count;
    size_t refs = (size_t)rows * results->text_count;
    size_t text_bytes = 0;
    const struct sw_text_ref *texts = results->texts + (size_t)from->first_row * results->text_count;
    for (size_t i = 0; i < refs; i++)
        text_bytes += texts[i].len;
    struct sw_view_window *window = sw_alloc(window_bytes(rows, results->value_count, results->text_count, text_bytes));
    if (!window)
        return NULL;
    double *values = (double *)(void *)(window + 1);
    struct sw_text_ref *refs_to = (struct sw_text_ref *)(void *)(values + cells);
    uint32_t *groups = (uint32_t *)(void *)(refs_to + refs);
    uint8_t *scores = (uint8_t *)(groups + rows);
    char *bytes = (char *)(scores + cells);
    *window = (struct sw_view_window){
        .start_ns = from->start_ns,
        .end_ns = from->end_ns,
        .arrival_mono_ns = results->arrival_mono_ns,
        .stream = results->stream,
        .worker = results->worker,
        .is_open = results->is_open,
        .row_count = rows,
        .is_first = from == results->windows,
        .value_count = results->value_count,
        .text_count = results->text_count,
        .groups = groups,
        .values = values,
        .scores = scores,
        .texts = refs_to,
        .text_bytes = bytes,
    };
    memcpy(values, results->values + (size_t)from->first_row * results->value_count, cells * sizeof *values);
    memcpy(groups, results->groups + from->first_row, rows * sizeof *groups);
    const float *scores_from = results->scores + (size_t)from->first_row * results->value_count;
    for (size_t i = 0; i < cells; i++)
        scores[i] = (uint8_t)(scores_from[i] * 255.0f);
    uint32_t offset = 0;
    for (size_t i = 0; i < refs; i++) {
        memcpy(bytes + offset, results->text_bytes.ptr + texts[i].offset, texts[i].len);
        refs_to[i] = (struct sw_text_ref){offset, texts[i].len};
        offset += texts[i].len;
    }
    return window;
}

static size_t window_size(const struct sw_view_window *window) {
    size_t text_bytes = 0;
    for (size_t i = 0; i < (size_t)window->row_count * window->text_count; i++)
        text_bytes += window->texts[i].len;
    return window_bytes(window->row_count, window->value_count, window->text_count, text_bytes);
}

static void on_post(void *context) {
    sw_view_take(context);
}

static void view_wake(struct sw_view *view) {
    if (!atomic_exchange(&view->is_posted, true) && sw_reactor_post(view->reactor, on_post, view) != SW_OK)
        atomic_store(&view->is_posted, false);
}

/* In the merger's thread. */
static void view_feed(void *context, const struct sw_results *results, const struct sw_window *window) {
    struct sw_view *view = context;
    if (atomic_load_explicit(&view->is_ended, memory_order_relaxed))
        return;
    struct sw_view_window *copy = window_copy(results, window);
    bool is_in = copy && sw_ring_push(&view->feed, copy);
    view_wake(view);
    for (int i = 0; copy && !is_in && !results->is_open && i < PATIENCE && !atomic_load(&view->is_ended); i++) {
        sw_clock_sleep_ns(SW_NS_PER_MS);
        is_in = sw_ring_push(&view->feed, copy);
    }
    if (is_in)
        return;
    sw_free(copy);
    atomic_fetch_add_explicit(&view->dropped, 1, memory_order_relaxed);
}

static void window_drop(struct sw_view *view, struct sw_view_window *window) {
    view->bytes -= window_size(window);
    sw_free(window);
}

static void open_trim(struct sw_view *view, struct sw_view_open *open, int64_t closed_ns) {
    unsigned kept = 0;
    for (unsigned i = 0; i < open->count; i++) {
        if (open->windows[i]->end_ns > closed_ns)
            open->windows[kept++] = open->windows[i];
        else
            window_drop(view, open->windows[i]);
    }
    open->count = kept;
}

static void closed_add(struct sw_view *view, struct sw_view_stream *stream, struct sw_view_window *window) {
    if (stream->count == view->keep) {
        window_drop(view, stream->closed[stream->first]);
        stream->first = (stream->first + 1) % view->keep;
        stream->count--;
    }
    stream->closed[(stream->first + stream->count++) % view->keep] = window;
    stream->closed_ns = window->end_ns;
    for (unsigned w = 0; w < view->engine->worker_count; w++)
        open_trim(view, &stream->open[w], window->end_ns);
}

/* The first window of a look replaces all of the look before it. */
static void open_add(struct sw_view *view, struct sw_view_stream *stream, struct sw_view_window *window) {
    struct sw_view_open *open = &stream->open[window->worker];
    if (window->is_first)
        open_trim(view, open, INT64_MAX);
    if (window->end_ns <= stream->closed_ns || open->count == SW_VIEW_OPEN_MAX) {
        window_drop(view, window);
        return;
    }
    open->windows[open->count++] = window;
}

void sw_view_take(struct sw_view *view) {
    atomic_store(&view->is_posted, false);
    struct sw_view_window *window;
    bool has_news = false;
    while ((window = sw_ring_pop(&view->feed))) {
        struct sw_view_stream *stream = &view->streams[window->stream];
        has_news = true;
        stream->changes++;
        view->bytes += window_size(window);
        if (window->arrival_mono_ns < view->arrival_mono_ns)
            view->arrival_mono_ns = window->arrival_mono_ns;
        if (window->is_open)
            open_add(view, stream, window);
        else
            closed_add(view, stream, window);
    }
    if (has_news && view->on_news)
        view->on_news(view->news_context);
}

const struct sw_view_window *sw_view_closed(const struct sw_view_stream *stream, unsigned index) {
    return stream->closed[(stream->first + index) % stream->keep];
}

unsigned sw_view_find(const struct sw_view_stream *stream, int64_t start_ns) {
    unsigned low = 0;
    unsigned high = stream->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (sw_view_closed(stream, middle)->start_ns < start_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t sw_view_newest_ns(const struct sw_view *view, unsigned index) {
    const struct sw_view_stream *stream = &view->streams[index];
    int64_t newest_ns = stream->count ? sw_view_closed(stream, stream->count - 1)->start_ns : INT64_MIN;
    for (unsigned w = 0; w < view->engine->worker_count; w++)
        for (unsigned i = 0; i < stream->open[w].count; i++)
            if (stream->open[w].windows[i]->start_ns > newest_ns)
                newest_ns = stream->open[w].windows[i]->start_ns;
    return newest_ns;
}

uint32_t sw_view_row(const struct sw_view_window *window, uint32_t group) {
    for (uint32_t i = 0; i < window->row_count; i++)
        if (window->groups[i] == group)
            return i;
    return UINT32_MAX;
}

enum sw_status sw_view_open(struct sw_view *view, struct sw_engine *engine, struct sw_reactor *reactor) {
    *view = (struct sw_view){.engine = engine,
                             .reactor = reactor,
                             .keep = engine->job.keep_windows,
                             .arrival_mono_ns = INT64_MAX};
    enum sw_status status = sw_ring_init(&view->feed, FEED_WINDOWS);
    for (unsigned i = 0; i < engine->job.stream_count && status == SW_OK; i++) {
        struct sw_view_stream *stream = &view->streams[i];
        stream->closed_ns = INT64_MIN;
        stream->keep = view->keep;
        stream->closed = sw_alloc_array_zero(view->keep, sizeof *stream->closed);
        stream->open = sw_alloc_array_zero(engine->worker_count, sizeof *stream->open);
        status = stream->closed && stream->open ? SW_OK : SW_NOMEM;
    }
    if (status == SW_OK)
        sw_engine_tap(engine, view_feed, view);
    else
        sw_view_close(view);
    return status;
}

void sw_view_end(struct sw_view *view) {
    atomic_store(&view->is_ended, true);
}

void sw_view_close(struct sw_view *view) {
    if (!view->engine)
        return;
    struct sw_view_window *window;
    while (view->feed.items && (window = sw_ring_pop(&view->feed)))
        sw_free(window);
    for (unsigned i = 0; i < view->engine->job.stream_count; i++) {
        struct sw_view_stream *stream = &view->streams[i];
        for (unsigned k = 0; k < stream->count; k++)
            sw_free(stream->closed[(stream->first + k) % stream->keep]);
        for (unsigned w = 0; stream->open && w < view->engine->worker_count; w++)
            open_trim(view, &stream->open[w], INT64_MAX);
        sw_free(stream->closed);
        sw_free(stream->open);
    }
    sw_ring_release(&view->feed);
    *view = (struct sw_view){0};
}
