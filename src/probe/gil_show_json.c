/* gil_show_json.c - A GIL timeline as JSON; docs/gil-json.md says what each member means. */
#include "base/json.h"
#include "probe/gil_show.h"
#include "probe/gil_show_impl.h"

static void put_i64(struct sw_json *json, const char *key, int64_t value) {
    sw_json_key(json, sw_str_from(key));
    sw_json_i64(json, value);
}

static void put_u64(struct sw_json *json, const char *key, uint64_t value) {
    sw_json_key(json, sw_str_from(key));
    sw_json_u64(json, value);
}

static void put_str(struct sw_json *json, const char *key, struct sw_str value) {
    sw_json_key(json, sw_str_from(key));
    sw_json_str(json, value);
}

static void put_where(struct sw_json *json, const struct sw_gil_where *where) {
    sw_json_key(json, SW_STR("function"));
    if (where->name.len == 0) {
        sw_json_null(json);
        return;
    }
    sw_json_object_begin(json);
    put_str(json, "name", where->name);
    put_str(json, "file", where->file);
    put_i64(json, "line", where->line);
    sw_json_object_end(json);
}

/* Percentiles of a wait; null where none was seen. */
static void put_wait(struct sw_json *json, const struct sw_histogram *wait, int64_t longest_ns) {
    sw_json_key(json, SW_STR("wait_ns"));
    if (!wait || wait->total == 0) {
        sw_json_null(json);
        return;
    }
    sw_json_object_begin(json);
    put_u64(json, "count", wait->total);
    put_u64(json, "p50", sw_histogram_quantile(wait, 0.5));
    put_u64(json, "p90", sw_histogram_quantile(wait, 0.9));
    put_u64(json, "p99", sw_histogram_quantile(wait, 0.99));
    put_i64(json, "max", longest_ns);
    sw_json_object_end(json);
}

static void put_spans(struct sw_json *json, const struct sw_gil_thread *thread, enum sw_gil_state state,
                      int64_t start_ns) {
    sw_json_array_begin(json);
    for (size_t i = 0; i < thread->span_count; i++) {
        const struct sw_gil_span *span = &thread->spans[i];
        if (span->state != state)
            continue;
        sw_json_array_begin(json);
        sw_json_i64(json, span->start_ns - start_ns);
        sw_json_i64(json, span->end_ns - start_ns);
        sw_json_array_end(json);
    }
    sw_json_array_end(json);
}

static void put_thread(struct sw_json *json, const struct sw_gil_thread *thread, int64_t start_ns) {
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("tid"));
    if (thread->tid > 0)
        sw_json_i64(json, thread->tid);
    else
        sw_json_null(json);
    put_str(json, "name", sw_str_from(thread->name));
    put_str(json, "entry", thread->entry);
    sw_json_key(json, SW_STR("is_main"));
    sw_json_bool(json, thread->is_main);
    sw_json_key(json, SW_STR("has_ended"));
    sw_json_bool(json, thread->is_gone);
    put_i64(json, "first_ns", thread->first_ns - start_ns > 0 ? thread->first_ns - start_ns : 0);
    put_i64(json, "last_ns", thread->last_ns - start_ns);
    put_i64(json, "held_ns", thread->held_ns);
    sw_json_key(json, SW_STR("waited_ns"));
    if (thread->has_waits)
        sw_json_i64(json, thread->waited_ns);
    else
        sw_json_null(json);
    put_u64(json, "handoffs", thread->handoffs);
    put_u64(json, "holds", thread->holds);
    put_i64(json, "longest_hold_ns", thread->longest_hold_ns);
    put_where(json, &thread->longest_at);
    put_wait(json, thread->wait, thread->longest_wait_ns);
    sw_json_key(json, SW_STR("held"));
    put_spans(json, thread, SW_GIL_HELD, start_ns);
    sw_json_key(json, SW_STR("waited"));
    if (thread->has_waits)
        put_spans(json, thread, SW_GIL_WAITED, start_ns);
    else
        sw_json_null(json);
    sw_json_object_end(json);
}

static void put_totals(struct sw_json *json, const struct sw_gil_totals *totals) {
    put_i64(json, "start_mono_ns", totals->start_ns);
    put_i64(json, "start_epoch_ns", totals->start_epoch_ns);
    put_i64(json, "duration_ns", totals->end_ns - totals->start_ns);
    put_u64(json, "gils", totals->gil_count);
    put_u64(json, "looks", totals->looks);
    put_u64(json, "missed_looks", totals->missed);
    sw_json_key(json, SW_STR("gap_ns"));
    sw_json_object_begin(json);
    put_i64(json, "p50", totals->gap_p50_ns);
    put_i64(json, "p99", totals->gap_p99_ns);
    put_i64(json, "max", totals->gap_max_ns);
    sw_json_object_end(json);
    put_i64(json, "own_cpu_ns", totals->own_cpu_ns);
    put_i64(json, "held_ns", totals->held_ns);
    put_i64(json, "free_ns", totals->free_ns);
    put_i64(json, "blind_ns", totals->blind_ns);
    put_i64(json, "waited_ns", totals->waited_ns);
    put_u64(json, "handoffs", totals->handoffs);
    put_u64(json, "handoffs_unseen", totals->handoffs_unseen);
    put_u64(json, "stack_looks", totals->stack_looks);
    put_u64(json, "ended_threads", totals->ended_threads);
    put_i64(json, "detail_ns", totals->detail_ns);
    put_wait(json, totals->wait, totals->wait ? (int64_t)totals->wait->max : 0);
}

static void put_functions(struct sw_json *json, const struct sw_gil_timeline *timeline) {
    size_t count;
    const struct sw_gil_function *functions = sw_gil_timeline_functions(timeline, &count);
    sw_json_key(json, SW_STR("functions"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < count; i++) {
        sw_json_object_begin(json);
        put_where(json, &functions[i].where);
        put_u64(json, "looks", functions[i].looks);
        put_i64(json, "held_ns", functions[i].held_ns);
        sw_json_object_end(json);
    }
    sw_json_array_end(json);
}

static void put_holds(struct sw_json *json, const struct sw_gil_timeline *timeline, int64_t start_ns) {
    size_t count;
    const struct sw_gil_hold *holds = sw_gil_timeline_holds(timeline, &count);
    sw_json_key(json, SW_STR("longest_holds"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < count; i++) {
        struct sw_gil_thread thread = sw_gil_timeline_thread(timeline, holds[i].thread);
        sw_json_object_begin(json);
        put_i64(json, "start_ns", holds[i].start_ns - start_ns);
        put_i64(json, "end_ns", holds[i].end_ns - start_ns);
        put_i64(json, "tid", thread.tid);
        put_u64(json, "waiters", holds[i].waiters);
        put_where(json, &holds[i].where);
        sw_json_object_end(json);
    }
    sw_json_array_end(json);
}

enum sw_status sw_gil_show_json(const struct sw_gil_timeline *timeline, const struct sw_gil_about *about,
                                struct sw_buf *out) {
    struct sw_gil_totals totals = sw_gil_timeline_totals(timeline);
    struct sw_json json;
    sw_json_init(&json, out);
    sw_json_object_begin(&json);
    put_str(&json, "format", SW_STR("sidewinder-gil-1"));
    put_i64(&json, "pid", about->pid);
    put_str(&json, "python", about->version);
    put_str(&json, "command", about->command);
    put_str(&json, "ending", about->ending);
    put_totals(&json, &totals);
    sw_json_key(&json, SW_STR("threads"));
    sw_json_array_begin(&json);
    for (size_t i = 0; i < sw_gil_timeline_count(timeline); i++) {
        struct sw_gil_thread thread = sw_gil_timeline_thread(timeline, i);
        put_thread(&json, &thread, totals.start_ns);
    }
    sw_json_array_end(&json);
    put_functions(&json, timeline);
    put_holds(&json, timeline, totals.start_ns);
    sw_json_object_end(&json);
    enum sw_status status = sw_json_status(&json);
    return status == SW_OK ? sw_buf_append_byte(out, '\n') : status;
}
