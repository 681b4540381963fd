/* merger.c - Orders finished windows; see merger.h. */
#include "engine/merger.h"

#include "base/clock.h"
#include "base/mem.h"

#define IDLE_NS (100 * SW_NS_PER_MS)

static struct sw_lane *lane_of(struct sw_merger *merger, unsigned stream, unsigned worker) {
    return &merger->lanes[stream * merger->worker_count + worker];
}

static void merger_fail(struct sw_merger *merger, enum sw_status status) {
    int none = SW_OK;
    atomic_compare_exchange_strong(merger->failure, &none, (int)status);
}

static const struct sw_window *lane_head(const struct sw_lane *lane) {
    return lane->first ? &lane->first->windows[lane->window] : NULL;
}

/* Drops blocks whose windows are all merged. */
static void lane_trim(struct sw_lane *lane) {
    while (lane->first && lane->window >= lane->first->window_count) {
        struct sw_results *done = lane->first;
        lane->first = done->next;
        lane->window = 0;
        sw_results_put(done);
    }
    if (!lane->first)
        lane->last = NULL;
}

static void lane_append(struct sw_lane *lane, struct sw_results *results) {
    lane->watermark_ns = results->is_end ? INT64_MAX : results->watermark_ns;
    lane->is_end |= results->is_end;
    results->next = NULL;
    if (lane->last)
        lane->last->next = results;
    else
        lane->first = results;
    lane->last = results;
    lane_trim(lane);
}

/* Only the merger's thread counts, so it need not lock the bus. */
static void count_up(_Atomic uint64_t *counter, uint64_t by) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

/* A sink that failed once gets nothing more; the job ends. */
static void window_deliver(struct sw_merger *merger, const struct sw_results *results, const struct sw_window *window) {
    count_up(&merger->rows, window->row_count);
    count_up(&merger->windows, 1);
    if (merger->tap)
        merger->tap(merger->tap_context, results, window);
    for (unsigned i = 0; i < merger->sink_count; i++) {
        if (!merger->sinks[i])
            continue;
        enum sw_status status = sw_sink_window(merger->sinks[i], results, window, &merger->error);
        if (status == SW_OK)
            continue;
        merger->sinks[i] = NULL;
        merger_fail(merger, status);
    }
}

static enum sw_status row_copy(struct sw_results *to, const struct sw_results *from, uint32_t row) {
    uint32_t at = to->row_count++;
    size_t width = from->value_count;
    to->groups[at] = from->groups[row];
    to->marks[at] = from->marks[row];
    memcpy(to->values + at * width, from->values + row * width, width * sizeof *to->values);
    memcpy(to->scores + at * width, from->scores + row * width, width * sizeof *to->scores);
    for (uint32_t i = 0; i < from->text_count; i++) {
        struct sw_text_ref text = from->texts[row * from->text_count + i];
        struct sw_text_ref *copy = &to->texts[at * to->text_count + i];
        *copy = (struct sw_text_ref){(uint32_t)to->text_bytes.len, text.len};
        enum sw_status status =
            sw_buf_append(&to->text_bytes, sw_str_make(from->text_bytes.ptr + text.offset, text.len));
        if (status != SW_OK)
            return status;
    }
    return SW_OK;
}

/* The lane whose next row of the window that starts at `start_ns` has the least key; NULL at the end. */
static struct sw_lane *next_row(struct sw_merger *merger, unsigned stream, int64_t start_ns, const uint32_t *taken) {
    const struct sw_group *least = NULL;
    struct sw_lane *chosen = NULL;
    for (unsigned w = 0; w < merger->worker_count; w++) {
        struct sw_lane *lane = lane_of(merger, stream, w);
        const struct sw_window *window = lane_head(lane);
        if (!window || window->start_ns != start_ns || taken[w] == window->row_count)
            continue;
        const struct sw_group *group =
            sw_groups_get(&merger->groups[stream], lane->first->groups[window->first_row + taken[w]]);
        if (!least || sw_group_before(group, least)) {
            least = group;
            chosen = lane;
        }
    }
    return chosen;
}

/* When the oldest row of the window came to any of the workers. */
static int64_t window_arrival(struct sw_merger *merger, unsigned stream, int64_t start_ns) {
    int64_t arrival_mono_ns = INT64_MAX;
    for (unsigned w = 0; w < merger->worker_count; w++) {
        const struct sw_lane *lane = lane_of(merger, stream, w);
        const struct sw_window *window = lane_head(lane);
        if (window && window->start_ns == start_ns && lane->first->arrival_mono_ns < arrival_mono_ns)
            arrival_mono_ns = lane->first->arrival_mono_ns;
    }
    return arrival_mono_ns;
}

/* Rows of one window from several workers become one block. */
static enum sw_status window_merge(struct sw_merger *merger, unsigned stream, struct sw_window window,
                                   struct sw_results **out) {
    struct sw_results *merged;
    uint32_t taken[SW_MAX_WORKERS] = {0};
    enum sw_status status = sw_results_take(&merger->pool, &merged);
    if (status != SW_OK)
        return status;
    const struct sw_lane *any = next_row(merger, stream, window.start_ns, taken);
    merged->stream = (uint16_t)stream;
    merged->arrival_mono_ns = window_arrival(merger, stream, window.start_ns);
    if (merged->value_count != any->first->value_count || merged->text_count != any->first->text_count)
        merged->row_room = 0; /* the columns were made for another stream's width */
    merged->value_count = any->first->value_count;
    merged->text_count = any->first->text_count;
    status = sw_results_reserve(merged, window.row_count);
    window.first_row = 0;
    if (status == SW_OK)
        status = sw_results_window(merged, window);
    for (uint32_t i = 0; i < window.row_count && status == SW_OK; i++) {
        struct sw_lane *lane = next_row(merger, stream, window.start_ns, taken);
        status = row_copy(merged, lane->first, lane_head(lane)->first_row + taken[lane->first->worker]++);
    }
    if (status == SW_OK)
        *out = merged;
    else
        sw_results_put(merged);
    return status;
}

static void window_emit(struct sw_merger *merger, unsigned stream, int64_t start_ns) {
    struct sw_window window = {.start_ns = start_ns};
    struct sw_lane *only = NULL;
    unsigned parts = 0;
    for (unsigned w = 0; w < merger->worker_count; w++) {
        struct sw_lane *lane = lane_of(merger, stream, w);
        const struct sw_window *part = lane_head(lane);
        if (!part || part->start_ns != start_ns)
            continue;
        only = lane;
        parts++;
        window.end_ns = part->end_ns;
        window.row_count += part->row_count;
    }
    if (parts == 1) {
        window_deliver(merger, only->first, lane_head(only));
    } else {
        struct sw_results *merged;
        enum sw_status status = window_merge(merger, stream, window, &merged);
        if (status != SW_OK) {
            merger_fail(merger, status);
        } else {
            window_deliver(merger, merged, &merged->windows[0]);
            sw_results_put(merged);
        }
    }
    for (unsigned w = 0; w < merger->worker_count; w++) {
        struct sw_lane *lane = lane_of(merger, stream, w);
        const struct sw_window *part = lane_head(lane);
        if (part && part->start_ns == start_ns) {
            lane->window++;
            lane_trim(lane);
        }
    }
}

/* Emits every window that all workers have closed. */
static void stream_drain(struct sw_merger *merger, unsigned stream) {
    for (;;) {
        int64_t ready_ns = INT64_MAX;
        const struct sw_window *oldest = NULL;
        for (unsigned w = 0; w < merger->worker_count; w++) {
            const struct sw_lane *lane = lane_of(merger, stream, w);
            const struct sw_window *head = lane_head(lane);
            ready_ns = lane->watermark_ns < ready_ns ? lane->watermark_ns : ready_ns;
            if (head && (!oldest || head->start_ns < oldest->start_ns))
                oldest = head;
        }
        if (!oldest || oldest->end_ns > ready_ns)
            return;
        window_emit(merger, stream, oldest->start_ns);
    }
}

static void block_take(struct sw_merger *merger, struct sw_results *results) {
    if (results->is_open) {
        for (uint32_t i = 0; merger->tap && i < results->window_count; i++)
            merger->tap(merger->tap_context, results, &results->windows[i]);
        sw_results_put(results);
        return;
    }
    int64_t begin_ns = sw_clock_mono_ns();
    unsigned stream = results->stream;
    lane_append(lane_of(merger, stream, results->worker), results);
    stream_drain(merger, stream);
    sw_stage_add(&merger->merge, sw_clock_mono_ns() - begin_ns);
}

static bool merger_step(struct sw_merger *merger) {
    bool has_worked = false;
    for (unsigned w = 0; w < merger->worker_count; w++) {
        struct sw_results *results = sw_ring_pop(&merger->workers[w].output);
        if (!results)
            continue;
        sw_parker_wake(&merger->workers[w].parker);
        block_take(merger, results);
        has_worked = true;
    }
    return has_worked;
}

static void sinks_flush(struct sw_merger *merger) {
    int64_t begin_ns = sw_clock_mono_ns();
    for (unsigned i = 0; i < merger->sink_count; i++) {
        if (!merger->sinks[i])
            continue;
        enum sw_status status = sw_sink_flush(merger->sinks[i], &merger->error);
        if (status != SW_OK) {
            merger->sinks[i] = NULL;
            merger_fail(merger, status);
        }
    }
    if (merger->sink_count > 0)
        sw_stage_add(&merger->sink, sw_clock_mono_ns() - begin_ns);
}

static bool merger_is_done(const struct sw_merger *merger) {
    for (unsigned i = 0; i < merger->stream_count * merger->worker_count; i++)
        if (!merger->lanes[i].is_end)
            return false;
    return true;
}

static bool merger_has_input(const struct sw_merger *merger) {
    for (unsigned w = 0; w < merger->worker_count; w++)
        if (sw_ring_depth(&merger->workers[w].output) > 0)
            return true;
    return false;
}

enum sw_status sw_merger_init(struct sw_merger *merger, struct sw_worker *workers, unsigned worker_count,
                              unsigned stream_count) {
    *merger = (struct sw_merger){.workers = workers, .worker_count = worker_count, .stream_count = stream_count};
    merger->lanes = sw_alloc_array_zero((size_t)stream_count * worker_count, sizeof *merger->lanes);
    if (!merger->lanes)
        return SW_NOMEM;
    for (unsigned i = 0; i < stream_count * worker_count; i++)
        merger->lanes[i].watermark_ns = INT64_MIN;
    return SW_OK;
}

void sw_merger_release(struct sw_merger *merger) {
    sw_results_pool_release(&merger->pool);
    sw_free(merger->lanes);
    *merger = (struct sw_merger){0};
}

void sw_merger_main(void *context) {
    struct sw_merger *merger = context;
    while (!merger_is_done(merger)) {
        if (merger_step(merger))
            continue;
        sinks_flush(merger);
        uint32_t ticket = sw_parker_prepare(&merger->parker);
        if (merger_has_input(merger))
            sw_parker_cancel(&merger->parker);
        else
            sw_parker_wait(&merger->parker, ticket, IDLE_NS);
    }
    sinks_flush(merger);
}
