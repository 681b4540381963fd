/* gil_show.c - A GIL timeline as a text for the terminal; see gil_show.h. */
#include "probe/gil_show.h"

#include "base/mem.h"
#include "probe/gil_show_impl.h"

#define NAME_WIDTH 28
#define THREADS_MAX 40
#define FUNCTIONS_MAX 10
#define HOLDS_MAX 10

static double percent(int64_t part_ns, int64_t whole_ns) {
    return whole_ns > 0 ? 100.0 * (double)part_ns / (double)whole_ns : 0;
}

static enum sw_status wait_put(const struct sw_gil_thread *thread, struct sw_buf *out) {
    char p50[32] = "-", p99[32] = "-", most[32] = "-";
    if (thread->has_waits && thread->wait) {
        sw_gil_show_time((int64_t)sw_histogram_quantile(thread->wait, 0.5), p50);
        sw_gil_show_time((int64_t)sw_histogram_quantile(thread->wait, 0.99), p99);
        sw_gil_show_time(thread->longest_wait_ns, most);
    }
    return sw_buf_append_format(out, " %9s %9s %9s", p50, p99, most);
}

static enum sw_status thread_put(const struct sw_gil_thread *thread, int64_t length_ns, struct sw_buf *out) {
    char waited[32] = "-", handoffs[32], longest[32] = "-", where[256];
    struct sw_str name = sw_gil_show_name(thread);
    struct sw_str place = SW_STR("");
    if (thread->has_waits)
        snprintf(waited, sizeof waited, "%.1f %%", percent(thread->waited_ns, length_ns));
    if (thread->holds > 0)
        sw_gil_show_time(thread->longest_hold_ns, longest);
    if (thread->holds > 0 && thread->longest_at.name.len > 0)
        place = sw_gil_show_where(&thread->longest_at, where);
    sw_gil_show_count(thread->handoffs, handoffs);
    enum sw_status status = sw_buf_append_format(out, "%9d  %-28.*s", thread->tid,
                                                 (int)(name.len < NAME_WIDTH ? name.len : NAME_WIDTH), name.ptr);
    if (status == SW_OK)
        status = sw_buf_append_format(out, " %6.1f %% %8s %10s", percent(thread->held_ns, length_ns), waited, handoffs);
    if (status == SW_OK)
        status = wait_put(thread, out);
    if (status == SW_OK)
        status = sw_buf_append_format(out, " %9s  %" SW_STR_FMT "\n", longest, SW_STR_ARG(place));
    return status;
}

static enum sw_status threads_put(const struct sw_gil_timeline *timeline, int64_t length_ns, struct sw_buf *out) {
    size_t count = sw_gil_timeline_count(timeline);
    size_t shown = count < THREADS_MAX ? count : THREADS_MAX;
    size_t *order = sw_gil_show_order(timeline);
    enum sw_status status = order ? SW_OK : SW_NOMEM;
    if (status == SW_OK)
        status = sw_buf_append_format(out, "\n%9s  %-28s %8s %8s %10s %9s %9s %9s %9s  %s\n", "thread", "began in",
                                      "held", "waited", "hand-offs", "wait p50", "p99", "most", "hold most", "in");
    for (size_t i = 0; i < shown && status == SW_OK; i++) {
        struct sw_gil_thread thread = sw_gil_timeline_thread(timeline, order[i]);
        status = thread_put(&thread, length_ns, out);
    }
    if (status == SW_OK && shown < count)
        status = sw_buf_append_format(out, "           and %zu threads that held and waited less\n", count - shown);
    sw_free(order);
    return status;
}

static enum sw_status totals_put(const struct sw_gil_totals *totals, struct sw_buf *out) {
    char handoffs[32], unseen[32];
    int64_t length_ns = totals->end_ns - totals->start_ns;
    sw_gil_show_count(totals->handoffs, handoffs);
    sw_gil_show_count(totals->handoffs_unseen, unseen);
    enum sw_status status = SW_OK;
    if (totals->gil_count == 1)
        status = sw_buf_append_format(out, "\nheld %.1f %%, free %.1f %% of the time",
                                      percent(totals->held_ns, length_ns), percent(totals->free_ns, length_ns));
    else
        status = sw_buf_append_format(out, "\n%zu GILs, together held %.2f s and free %.2f s", totals->gil_count,
                                      (double)totals->held_ns / 1e9, (double)totals->free_ns / 1e9);
    if (status == SW_OK)
        status = sw_buf_append_format(out, "; %s hand-offs (counted by the interpreter, %s of them between looks)\n",
                                      handoffs, unseen);
    if (status == SW_OK && totals->ended_threads > 0)
        status = sw_buf_append_format(out, "%llu threads that ended are in these totals only\n",
                                      (unsigned long long)totals->ended_threads);
    if (status == SW_OK && totals->blind_ns * 100 > length_ns)
        status =
            sw_buf_append_format(out,
                                 "the machine was busy: in %.1f %% of the time looks were too far apart to say when "
                                 "the GIL changed hands, so that the shares are less certain\n",
                                 percent(totals->blind_ns, length_ns));
    return status;
}

static enum sw_status functions_put(const struct sw_gil_timeline *timeline, const struct sw_gil_totals *totals,
                                    struct sw_buf *out) {
    char where[256], time[32];
    size_t count;
    const struct sw_gil_function *functions = sw_gil_timeline_functions(timeline, &count);
    enum sw_status status = count ? sw_buf_append(out, SW_STR("\nFunctions that held it:\n")) : SW_OK;
    for (size_t i = 0; i < count && i < FUNCTIONS_MAX && status == SW_OK; i++) {
        struct sw_str text = sw_gil_show_where(&functions[i].where, where);
        sw_gil_show_time(functions[i].held_ns, time);
        status = sw_buf_append_format(out, "  %5.1f %%  %9s  %" SW_STR_FMT "\n",
                                      100.0 * (double)functions[i].looks / (double)totals->stack_looks, time,
                                      SW_STR_ARG(text));
    }
    return status;
}

static enum sw_status holds_put(const struct sw_gil_timeline *timeline, const struct sw_gil_totals *totals,
                                struct sw_buf *out) {
    char where[256], time[32];
    size_t count;
    const struct sw_gil_hold *holds = sw_gil_timeline_holds(timeline, &count);
    enum sw_status status = count ? sw_buf_append(out, SW_STR("\nLongest holds:\n")) : SW_OK;
    for (size_t i = 0; i < count && i < HOLDS_MAX && status == SW_OK; i++) {
        struct sw_gil_thread thread = sw_gil_timeline_thread(timeline, holds[i].thread);
        struct sw_str text = sw_gil_show_where(&holds[i].where, where);
        struct sw_str name = sw_gil_show_name(&thread);
        sw_gil_show_time(holds[i].end_ns - holds[i].start_ns, time);
        status =
            sw_buf_append_format(out, "  %9s  at %7.3f s, %u waiting, in %" SW_STR_FMT "; thread %d, %" SW_STR_FMT "\n",
                                 time, (double)(holds[i].start_ns - totals->start_ns) / 1e9, holds[i].waiters,
                                 SW_STR_ARG(text), thread.tid, SW_STR_ARG(name));
    }
    return status;
}

enum sw_status sw_gil_show_text(const struct sw_gil_timeline *timeline, const struct sw_gil_about *about,
                                struct sw_buf *out) {
    struct sw_gil_totals totals = sw_gil_timeline_totals(timeline);
    char resolution[320];
    struct sw_str how = sw_gil_show_resolution(&totals, resolution);
    enum sw_status status =
        sw_buf_append_format(out,
                             "The GIL of process %d, CPython %" SW_STR_FMT ": %" SW_STR_FMT "\n%" SW_STR_FMT
                             "%s%" SW_STR_FMT "\n",
                             about->pid, SW_STR_ARG(about->version), SW_STR_ARG(about->command), SW_STR_ARG(how),
                             about->ending.len ? "; ended early: " : "", SW_STR_ARG(about->ending));
    if (status == SW_OK)
        status = threads_put(timeline, totals.end_ns - totals.start_ns, out);
    if (status == SW_OK)
        status = totals_put(&totals, out);
    if (status == SW_OK)
        status = functions_put(timeline, &totals, out);
    if (status == SW_OK)
        status = holds_put(timeline, &totals, out);
    if (status == SW_OK)
        status = sw_buf_append_byte(out, '\n');
    if (status == SW_OK)
        status = sw_gil_show_summary(timeline, out);
    return status == SW_OK ? sw_buf_append_byte(out, '\n') : status;
}
