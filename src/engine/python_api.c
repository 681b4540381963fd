/* python_api.c - GET /api/processes and what lies below it: the Python processes, their stacks, GIL and threads. */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "engine/python_watch.h"
#include "engine/serve_impl.h"
#include "net/url.h"
#include "probe/dump.h"

#define CLOSELY_NS (3 * SW_NS_PER_S) /* after each request about a process it is looked at more often */
#define PROFILE_SECONDS 30
#define GIL_SECONDS 10
#define FRAMES_SHOWN 64 /* of a thread's stack, the innermost */

struct request {
    struct sw_serve *serve;
    const struct sw_http_call *call;
    struct sw_json json;
    struct sw_python_view view;
    int64_t seconds; /* 0: not given */
};

static void text_member(struct sw_json *json, const char *name, struct sw_str value) {
    sw_json_key(json, sw_str_from(name));
    sw_json_str(json, value);
}

static void number_member(struct sw_json *json, const char *name, double value) {
    sw_json_key(json, sw_str_from(name));
    sw_json_f64(json, value);
}

static void count_member(struct sw_json *json, const char *name, uint64_t value) {
    sw_json_key(json, sw_str_from(name));
    sw_json_u64(json, value);
}

static void bool_member(struct sw_json *json, const char *name, bool value) {
    sw_json_key(json, sw_str_from(name));
    sw_json_bool(json, value);
}

static double rounded(double value, double steps) {
    return round(value * steps) / steps;
}

static void process_write(struct sw_json *json, const struct sw_python_process *process) {
    const struct sw_python_figures *now = &process->now;
    bool has_figures = process->has_figures;
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("pid"));
    sw_json_i64(json, process->target.pid);
    text_member(json, "process", sw_str_from(process->label));
    text_member(json, "command", sw_buf_view(&process->command));
    text_member(json, "version", sw_str_from(process->is_open ? process->runtime.version_text : ""));
    bool_member(json, "is_free_threaded", process->is_open && process->runtime.is_free_threaded);
    bool_member(json, "has_gil", process->gil != NULL);
    text_member(json, "refusal", sw_str_from(process->refusal.text));
    const struct {
        const char *name;
        double value;
    } figures[] = {{"cpu", now->cpu},           {"rss", now->rss_bytes},
                   {"threads", now->threads},   {"running", now->running},
                   {"gil", now->gil},           {"waiters", now->waiters},
                   {"handoffs", now->handoffs}, {"collections", now->collections}};
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        number_member(json, figures[i].name, has_figures ? rounded(figures[i].value, 1000) : (double)NAN);
    text_member(json, "function", sw_str_from(has_figures ? now->function : ""));
    sw_json_object_end(json);
}

static void list_write(struct request *request) {
    struct sw_json *json = &request->json;
    const struct sw_python_view *view = &request->view;
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("now_ns"));
    sw_json_i64(json, sw_clock_epoch_ns());
    number_member(json, "gil_looks_per_s", rounded(view->gil_hz, 10));
    number_member(json, "stack_looks_per_s", rounded(view->stack_hz, 10));
    number_member(json, "own_cpu_percent", rounded(100 * view->share, 100));
    count_member(json, "unreadable", view->unreadable);
    count_member(json, "unfit", view->unfit);
    count_member(json, "omitted", view->omitted);
    sw_json_key(json, SW_STR("processes"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < view->count; i++)
        process_write(json, view->processes[i]);
    sw_json_array_end(json);
    sw_json_object_end(json);
}

/* The last seconds of every part, as one tree. */
static enum sw_status profile_collect(const struct sw_python_process *process, int64_t since_ns,
                                      struct sw_profile *profile) {
    enum sw_status status = SW_OK;
    for (unsigned i = 0; i < process->past.count && status == SW_OK; i++)
        if (process->past.ends_ns[i] >= since_ns)
            status = sw_past_collect(profile, &process->past.parts[i], since_ns);
    return status == SW_OK ? sw_past_collect(profile, sw_sampler_profile(process->sampler), since_ns) : status;
}

static void frames_write(struct sw_json *json, const struct sw_profile *profile) {
    static const char *const kinds[] = {
        [SW_PROFILE_PYTHON] = "python", [SW_PROFILE_NATIVE] = "native", [SW_PROFILE_MARK] = "mark"};
    sw_json_key(json, SW_STR("frames"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < profile->frame_count; i++) {
        const struct sw_profile_frame *frame = &profile->frames[i];
        sw_json_object_begin(json);
        text_member(json, "name", frame->name);
        text_member(json, "file", frame->file);
        sw_json_key(json, SW_STR("line"));
        sw_json_i64(json, frame->line);
        text_member(json, "kind", sw_str_from(kinds[frame->kind]));
        sw_json_object_end(json);
    }
    sw_json_array_end(json);
}

static void numbers_write(struct sw_json *json, const uint64_t *numbers, size_t count) {
    sw_json_array_begin(json);
    for (size_t i = 0; i < count; i++)
        sw_json_u64(json, numbers[i]);
    sw_json_array_end(json);
}

/* Node 0 is the root; nodes: [parent, frame], callers first; samples: [track, node, count, microseconds]. */
static void tree_write(struct sw_json *json, const struct sw_profile *profile) {
    frames_write(json, profile);
    sw_json_key(json, SW_STR("nodes"));
    sw_json_array_begin(json);
    for (size_t i = 1; i < profile->node_count; i++)
        numbers_write(json, (uint64_t[]){profile->nodes[i].parent, profile->nodes[i].frame}, 2);
    sw_json_array_end(json);
    sw_json_key(json, SW_STR("tracks"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < profile->track_count; i++) {
        sw_json_object_begin(json);
        sw_json_key(json, SW_STR("tid"));
        sw_json_i64(json, profile->tracks[i].tid);
        text_member(json, "name", profile->tracks[i].thread);
        sw_json_object_end(json);
    }
    sw_json_array_end(json);
    sw_json_key(json, SW_STR("samples"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < profile->total_count; i++) {
        const struct sw_profile_total *total = &profile->totals[i];
        numbers_write(json,
                      (uint64_t[]){total->track, total->node, total->count, (uint64_t)total->weight_ns / SW_NS_PER_US},
                      4);
    }
    sw_json_array_end(json);
}

static enum sw_status profile_write(struct request *request, const struct sw_python_process *process) {
    struct sw_json *json = &request->json;
    struct sw_profile profile = {0};
    int64_t seconds = request->seconds ? request->seconds : PROFILE_SECONDS;
    int64_t now_ns = sw_clock_epoch_ns();
    enum sw_status status = profile_collect(process, now_ns - seconds * SW_NS_PER_S, &profile);
    uint64_t samples = 0;
    int64_t weight_ns = 0;
    for (size_t i = 0; i < profile.total_count; i++) {
        samples += profile.totals[i].count;
        weight_ns += profile.totals[i].weight_ns;
    }
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("now_ns"));
    sw_json_i64(json, now_ns);
    sw_json_key(json, SW_STR("seconds"));
    sw_json_i64(json, seconds);
    count_member(json, "sample_count", samples);
    number_member(json, "cpu_ms", rounded((double)weight_ns / 1e6, 1000));
    tree_write(json, &profile);
    sw_json_object_end(json);
    sw_profile_release(&profile);
    return status;
}

static void shares_write(struct sw_json *json, const char *name, const struct sw_past_lane *lane,
                         const sw_lane_share *shares, const int64_t range[2]) {
    sw_json_key(json, sw_str_from(name));
    sw_json_array_begin(json);
    for (int64_t cell = range[0]; cell < range[1]; cell++)
        sw_json_f64(json, rounded(sw_lane_percent(lane, shares, cell), 1));
    sw_json_array_end(json);
}

static void lane_write(struct sw_json *json, const struct sw_past_lane *lane, const int64_t range[2]) {
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("tid"));
    sw_json_i64(json, lane->tid);
    text_member(json, "name", sw_str_from(lane->name));
    bool_member(json, "is_main", lane->is_main);
    shares_write(json, "held", lane, lane->held, range);
    shares_write(json, "waited", lane, lane->waited, range);
    sw_json_object_end(json);
}

static enum sw_status gil_write(struct request *request, const struct sw_python_process *process) {
    struct sw_json *json = &request->json;
    const struct sw_past_lanes *lanes = &process->lanes;
    int64_t seconds = request->seconds ? request->seconds : GIL_SECONDS;
    int64_t count = seconds * SW_NS_PER_S / SW_LANE_CELL_NS;
    int64_t range[2] = {lanes->now_cell + 1 - count, lanes->now_cell + 1};
    int64_t epoch_minus_mono_ns = sw_clock_epoch_ns() - sw_clock_mono_ns();
    sw_json_object_begin(json);
    bool_member(json, "has_gil", process->gil != NULL);
    number_member(json, "cell_ms", SW_LANE_CELL_NS / 1e6);
    /* the cell that a moment ends lies behind it */
    number_member(json, "start_ms", rounded((double)((range[0] - 1) * SW_LANE_CELL_NS + epoch_minus_mono_ns) / 1e6, 1));
    count_member(json, "cells", (uint64_t)count);
    count_member(json, "omitted", lanes->omitted);
    sw_json_key(json, SW_STR("lanes"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < lanes->count; i++)
        if (lanes->items[i]->last_cell >= range[0])
            lane_write(json, lanes->items[i], range);
    sw_json_array_end(json);
    sw_json_object_end(json);
    return SW_OK;
}

static void stack_write(struct sw_json *json, const struct sw_stack *stack) {
    sw_json_key(json, SW_STR("stack"));
    sw_json_array_begin(json);
    for (size_t i = 0, shown = 0; i < stack->frame_count && shown < FRAMES_SHOWN; i++) {
        const struct sw_frame *frame = &stack->frames[i];
        if (!frame->code)
            continue;
        shown++;
        sw_json_object_begin(json);
        text_member(json, "name", frame->code->name);
        text_member(json, "file", frame->code->file);
        sw_json_key(json, SW_STR("line"));
        sw_json_i64(json, frame->line);
        sw_json_object_end(json);
    }
    sw_json_array_end(json);
}

static void thread_write(struct sw_json *json, const struct sw_dump_thread *thread, int32_t pid) {
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("tid"));
    sw_json_i64(json, thread->tid);
    text_member(json, "name", thread->name.len ? thread->name : thread->os_name);
    bool_member(json, "is_main", thread->tid == pid);
    text_member(json, "state", sw_str_from(sw_doing_word(thread->doing)));
    text_member(json, "words", thread->words);
    sw_json_key(json, SW_STR("cpu_ns"));
    if (thread->look.has_schedstat)
        sw_json_i64(json, thread->look.cpu_ns);
    else
        sw_json_null(json);
    stack_write(json, thread->stack);
    sw_json_object_end(json);
}

static enum sw_status threads_write(struct request *request, const struct sw_python_process *process) {
    struct sw_json *json = &request->json;
    struct sw_dump dump = {0};
    struct sw_error err = {0};
    enum sw_status status = sw_dump_take(&dump, &process->runtime, &err);
    if (status != SW_OK)
        return status == SW_NOMEM ? status : SW_CLOSED;
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("now_ns"));
    sw_json_i64(json, dump.epoch_ns);
    count_member(json, "other_threads", dump.other_count);
    count_member(json, "deadlocks", dump.deadlocks.count);
    sw_json_key(json, SW_STR("threads"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < dump.thread_count; i++)
        thread_write(json, &dump.threads[i], process->target.pid);
    sw_json_array_end(json);
    sw_json_object_end(json);
    sw_dump_release(&dump);
    return SW_OK;
}

static const struct {
    const char *name;
    enum sw_status (*write)(struct request *request, const struct sw_python_process *process);
    bool has_seconds;
} details[] = {{"profile", profile_write, true}, {"gil", gil_write, true}, {"threads", threads_write, false}};

static enum sw_status seconds_read(struct request *request, bool has_seconds, struct sw_error *err) {
    struct sw_str query = request->call->head->query, name, raw;
    struct sw_buf value = {0};
    enum sw_status status = SW_OK;
    for (int i = 0; i < 100 && status == SW_OK && sw_url_query_next(&query, &name, &raw); i++)
        if (!sw_str_eq(name, SW_STR("token")) && !(has_seconds && sw_str_eq(name, SW_STR("seconds"))))
            status = sw_fail(err, SW_INVALID, "unknown parameter '%.*s'%s", SW_STR_ARG(name),
                             has_seconds ? "; there is seconds" : "");
    if (status != SW_OK || sw_url_query_get(request->call->head->query, SW_STR("seconds"), &value) != SW_OK) {
        sw_buf_release(&value);
        return status;
    }
    status = sw_str_to_i64(sw_buf_view(&value), &request->seconds);
    sw_buf_release(&value);
    return status == SW_OK && request->seconds >= 1 && request->seconds <= SW_PAST_SECONDS
               ? SW_OK
               : sw_fail(err, SW_INVALID, "seconds is a number from 1 to %d", SW_PAST_SECONDS);
}

static void fail_answer(const struct request *request, enum sw_status status, struct sw_str text) {
    unsigned code = status == SW_INVALID                            ? 400
                    : status == SW_PERM || status == SW_UNSUPPORTED ? 403
                    : status == SW_NOTFOUND || status == SW_CLOSED  ? 404
                                                                    : 503;
    struct sw_buf line = {0};
    bool is_made = sw_buf_append(&line, text) == SW_OK && sw_buf_append_byte(&line, '\n') == SW_OK;
    sw_serve_reply(request->call->ref, code, NULL, is_made ? sw_buf_view(&line) : SW_STR("out of memory\n"));
    sw_buf_release(&line);
}

static struct sw_python_watch *watch_find(const struct sw_serve *serve) {
    for (unsigned i = 0; i < serve->engine->source_count; i++)
        if (serve->engine->sources[i].watch)
            return serve->engine->sources[i].watch;
    return NULL;
}

/* With the lock held. `path` is "PID/profile". */
static enum sw_status detail_write(struct request *request, struct sw_str path, struct sw_error *err) {
    int64_t pid = 0;
    enum sw_status status = sw_str_to_i64(sw_str_cut(&path, '/'), &pid);
    size_t kind = 0;
    while (kind < sizeof details / sizeof details[0] && !sw_str_eq(path, sw_str_from(details[kind].name)))
        kind++;
    if (status != SW_OK || kind == sizeof details / sizeof details[0])
        return sw_fail(err, SW_NOTFOUND,
                       "there are /api/processes and /api/processes/PID/profile, .../gil and .../threads");
    status = seconds_read(request, details[kind].has_seconds, err);
    if (status != SW_OK)
        return status;
    struct sw_python_process *process =
        pid > 0 && pid <= INT32_MAX ? sw_python_view_find(&request->view, (int32_t)pid) : NULL;
    if (!process)
        return sw_fail(err, SW_NOTFOUND, "no Python process %lld is watched (it may have ended)", (long long)pid);
    if (!process->is_open)
        return sw_fail(err, process->refusal.status, "%s", process->refusal.text);
    process->watched_until_ns = sw_clock_mono_ns() + CLOSELY_NS;
    status = details[kind].write(request, process);
    return status == SW_OK
               ? SW_OK
               : sw_fail(err, status, "cannot read process %lld: %s", (long long)pid, sw_status_text(status));
}

static enum sw_status answer_write(struct request *request, struct sw_str path, struct sw_error *err) {
    if (path.len > 1)
        return detail_write(request, sw_str_skip(path, 1), err);
    enum sw_status status = seconds_read(request, false, err);
    if (status == SW_OK)
        list_write(request);
    return status;
}

void sw_api_processes(struct sw_serve *serve, const struct sw_http_call *call, struct sw_str path) {
    static const struct sw_http_header no_store = {{"Cache-Control", 13}, {"no-store", 8}};
    struct request request = {.serve = serve, .call = call};
    struct sw_python_watch *watch = watch_find(serve);
    struct sw_error err = {0};
    if (!watch) {
        fail_answer(&request, SW_NOTFOUND, SW_STR("this job has no source python://"));
        return;
    }
    sw_buf_clear(&serve->scratch);
    sw_json_init(&request.json, &serve->scratch);
    request.view = sw_python_watch_lock(watch);
    enum sw_status status = answer_write(&request, path, &err);
    sw_python_watch_unlock(watch);
    if (status == SW_OK)
        status = sw_json_status(&request.json);
    struct sw_http_response response = {.content_type = SW_STR("application/json"),
                                        .headers = &no_store,
                                        .header_count = 1,
                                        .body = sw_buf_view(&serve->scratch)};
    if (status == SW_OK)
        status = sw_http_respond(call->ref, &response);
    if (status != SW_OK && status != SW_CLOSED)
        fail_answer(&request, status, sw_str_from(err.text[0] ? err.text : sw_status_text(status)));
    else if (status == SW_CLOSED && err.text[0])
        fail_answer(&request, status, sw_str_from(err.text));
}
