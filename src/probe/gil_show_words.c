/* gil_show_words.c - Names, times and the summary of a GIL report in plain words. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "probe/gil_show_impl.h"

#define NAME_MAX_BYTES 120

struct row {
    size_t index;
    int64_t weight_ns;
};

static struct sw_str text_of(const char *out, size_t room, int len) {
    size_t kept = len < 0 ? 0 : (size_t)len < room ? (size_t)len : room - 1;
    return sw_str_make(out, kept);
}

struct sw_str sw_gil_show_time(int64_t ns, char out[32]) {
    double value = (double)ns;
    double unit = ns < 1000000 ? 1e3 : ns < 1000000000 ? 1e6 : 1e9;
    const char *name = ns < 1000000 ? "us" : ns < 1000000000 ? "ms" : "s";
    value /= unit;
    int digits = unit < 1e6 ? 0 : value < 10 ? 2 : value < 100 ? 1 : 0;
    return text_of(out, 32, snprintf(out, 32, "%.*f %s", digits, value, name));
}

struct sw_str sw_gil_show_count(uint64_t count, char out[32]) {
    char plain[24];
    int len = snprintf(plain, sizeof plain, "%llu", (unsigned long long)count);
    size_t used = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[used++] = ',';
        out[used++] = plain[i];
    }
    out[used] = '\0';
    return sw_str_make(out, used);
}

struct sw_str sw_gil_show_name(const struct sw_gil_thread *thread) {
    if (thread->is_main)
        return SW_STR("main");
    return thread->entry.len > 0 ? thread->entry : sw_str_from(thread->name[0] ? thread->name : "thread");
}

struct sw_str sw_gil_show_where(const struct sw_gil_where *where, char out[256]) {
    if (where->name.len == 0)
        return SW_STR("a function not seen");
    const char *slash = where->file.len ? memrchr(where->file.ptr, '/', where->file.len) : NULL;
    struct sw_str file = slash ? sw_str_skip(where->file, (size_t)(slash - where->file.ptr) + 1) : where->file;
    struct sw_str name =
        sw_str_make(where->name.ptr, where->name.len < NAME_MAX_BYTES ? where->name.len : NAME_MAX_BYTES);
    return text_of(out, 256, snprintf(out, 256, "%.*s (%.*s:%d)", SW_STR_ARG(name), SW_STR_ARG(file), where->line));
}

struct sw_str sw_gil_show_resolution(const struct sw_gil_totals *totals, char out[320]) {
    char looks[32], p50[32], p99[32], most[32];
    double seconds = (double)(totals->end_ns - totals->start_ns) / 1e9;
    if (totals->looks < 2 || seconds <= 0)
        return text_of(out, 320, snprintf(out, 320, "too short to say anything"));
    sw_gil_show_count(totals->looks, looks);
    sw_gil_show_time(totals->gap_p50_ns, p50);
    sw_gil_show_time(totals->gap_p99_ns, p99);
    sw_gil_show_time(totals->gap_max_ns, most);
    return text_of(
        out, 320,
        snprintf(out, 320,
                 "%.2f s, %s looks (%.0f/s), between two of them %s (median), %s (99 %%), %s (most); own CPU "
                 "%.0f %% of a core",
                 seconds, looks, (double)totals->looks / seconds, p50, p99, most,
                 (double)totals->own_cpu_ns / seconds / 1e7));
}

static int by_weight(const void *left, const void *right) {
    const struct row *a = left;
    const struct row *b = right;
    if (a->weight_ns != b->weight_ns)
        return a->weight_ns > b->weight_ns ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

size_t *sw_gil_show_order(const struct sw_gil_timeline *timeline) {
    size_t count = sw_gil_timeline_count(timeline);
    struct row *rows = sw_alloc_array(count, sizeof *rows);
    size_t *order = sw_alloc_array(count, sizeof *order);
    if (!rows || !order) {
        sw_free(rows);
        sw_free(order);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        struct sw_gil_thread thread = sw_gil_timeline_thread(timeline, i);
        rows[i] = (struct row){i, thread.held_ns + thread.waited_ns};
    }
    if (count > 0)
        qsort(rows, count, sizeof *rows, by_weight);
    for (size_t i = 0; i < count; i++)
        order[i] = rows[i].index;
    sw_free(rows);
    return order;
}

/* The thread that held most, the threads that waited, and for how much of the time. */
struct gist {
    size_t holder;
    int64_t held_ns;
    size_t waiters; /* threads that waited 1 % of the time or more */
    int64_t waited_ns;
    int64_t longest_wait_ns;
};

static struct gist gist_of(const struct sw_gil_timeline *timeline, int64_t length_ns) {
    struct gist gist = {.holder = SIZE_MAX};
    for (size_t i = 0; i < sw_gil_timeline_count(timeline); i++) {
        struct sw_gil_thread thread = sw_gil_timeline_thread(timeline, i);
        if (thread.held_ns > gist.held_ns) {
            gist.holder = i;
            gist.held_ns = thread.held_ns;
        }
        if (thread.has_waits && thread.waited_ns >= length_ns / 100) {
            gist.waiters++;
            gist.waited_ns += thread.waited_ns;
        }
        if (thread.longest_wait_ns > gist.longest_wait_ns)
            gist.longest_wait_ns = thread.longest_wait_ns;
    }
    return gist;
}

static enum sw_status waiters_say(const struct gist *gist, int64_t length_ns, struct sw_buf *out) {
    char longest[32];
    if (gist->waiters == 0)
        return sw_buf_append(out, SW_STR(" No thread waited for it for 1 % of the time or more."));
    sw_gil_show_time(gist->longest_wait_ns, longest);
    return sw_buf_append_format(out, " %zu thread%s waited for it, %s%.0f %% of the time, at most %s in one go.",
                                gist->waiters, gist->waiters == 1 ? "" : "s",
                                gist->waiters == 1 ? "" : "each on average ",
                                100.0 * (double)gist->waited_ns / (double)gist->waiters / (double)length_ns, longest);
}

enum sw_status sw_gil_show_summary(const struct sw_gil_timeline *timeline, struct sw_buf *out) {
    struct sw_gil_totals totals = sw_gil_timeline_totals(timeline);
    int64_t length_ns = totals.end_ns - totals.start_ns;
    struct gist gist = gist_of(timeline, length_ns);
    char where[256];
    size_t count;
    if (length_ns <= 0)
        return sw_buf_append(out, SW_STR("The recording was too short to say anything."));
    if (gist.holder == SIZE_MAX)
        return sw_buf_append(out, SW_STR("Nobody was seen to hold the GIL: the process was idle, or busy without it."));
    struct sw_gil_thread holder = sw_gil_timeline_thread(timeline, gist.holder);
    struct sw_str name = sw_gil_show_name(&holder);
    const struct sw_gil_function *functions = sw_gil_timeline_functions(timeline, &count);
    enum sw_status status =
        sw_buf_append_format(out, "Thread %d, %" SW_STR_FMT ", held the GIL %.0f %% of the time", holder.tid,
                             SW_STR_ARG(name), 100.0 * (double)gist.held_ns / (double)length_ns);
    if (status == SW_OK && count > 0) {
        struct sw_str text = sw_gil_show_where(&functions[0].where, where);
        status =
            sw_buf_append_format(out, "; of all that was held, %.0f %% was in %" SW_STR_FMT,
                                 100.0 * (double)functions[0].looks / (double)totals.stack_looks, SW_STR_ARG(text));
    }
    if (status == SW_OK)
        status = sw_buf_append_byte(out, '.');
    return status == SW_OK ? waiters_say(&gist, length_ns, out) : status;
}
