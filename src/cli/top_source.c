/* top_source.c - A sampler, a GIL meter and the threads' files of one process; see top_source.h. */
#include "cli/top_source.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define NO_ROW UINT32_MAX

static double share(int64_t now_ns, int64_t then_ns, int64_t wall_ns) {
    if (now_ns < 0 || then_ns < 0 || wall_ns <= 0)
        return NAN;
    return 100.0 * (double)(now_ns - then_ns) / (double)wall_ns;
}

static void gil_drop(struct sw_top_source *source) {
    sw_gil_timeline_free(source->gil);
    source->gil = NULL;
    source->held_ns = source->waited_ns = -1;
}

/* Without one, as in a free-threaded build, its columns stay empty. */
static enum sw_status gil_open(struct sw_top_source *source) {
    struct sw_gil_timeline_options options = {.rate_hz = source->rate_hz, .is_meter = true, .has_no_functions = true};
    enum sw_status status = sw_gil_timeline_new(&source->gil, &source->runtime, &options, NULL);
    if (status != SW_OK)
        source->gil = NULL;
    return status == SW_NOMEM ? status : SW_OK;
}

static enum sw_status sampler_open(const struct sw_top_source *source, enum sw_sampler_what what,
                                   struct sw_sampler **sampler, struct sw_error *err) {
    struct sw_sampler_options options = {.rate_hz = source->rate_hz, .what = what};
    struct sw_sampler *made = NULL;
    if (sw_sampler_new(&made, &options) != SW_OK)
        return sw_fail(err, SW_NOMEM, "cannot sample process %d: out of memory", (int)source->pid);
    enum sw_status status = sw_sampler_add(made, source->pid, false, err);
    if (status != SW_OK)
        sw_sampler_free(made);
    else
        *sampler = made;
    return status;
}

static struct sw_sampler_counts counts_add(const struct sw_top_source *source) {
    struct sw_sampler_counts counts = sw_sampler_counts(source->sampler);
    counts.looks += source->before.looks;
    counts.missed += source->before.missed;
    counts.exact += source->before.exact;
    counts.partial += source->before.partial;
    counts.failed += source->before.failed;
    return counts;
}

static void uptime_read(struct sw_top_source *source) {
    struct timespec now;
    long ticks_per_s = sysconf(_SC_CLK_TCK);
    source->uptime_ns = -1;
    if (clock_gettime(CLOCK_BOOTTIME, &now) || ticks_per_s <= 0)
        return;
    int64_t start_ns = (int64_t)((double)source->target.start_ticks / (double)ticks_per_s * 1e9);
    source->uptime_ns = now.tv_sec * SW_NS_PER_S + now.tv_nsec - start_ns;
}

static enum sw_status tids_read(struct sw_top_source *source) {
    enum sw_status status = sw_target_threads(&source->target, &source->tids, &source->tid_count, &source->tid_cap);
    if (status != SW_OK)
        source->tid_count = 0;
    if (source->tid_count > SW_TOP_THREADS_MAX)
        source->tid_count = SW_TOP_THREADS_MAX;
    return status == SW_NOMEM ? SW_NOMEM : SW_OK;
}

static const struct sw_top_thread *past_find(const struct sw_top_source *source, int32_t tid) {
    size_t low = 0, high = source->past_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (source->past[middle].tid < tid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < source->past_count && source->past[low].tid == tid ? &source->past[low] : NULL;
}

static bool is_gil_awaited(const struct sw_top_source *source, const struct sw_thread_look *look) {
    for (size_t i = 0; i < source->list.interpreter_count; i++)
        if (source->list.interpreters[i].gil &&
            sw_gil_is_awaited(&source->runtime, source->list.interpreters[i].gil, look))
            return true;
    return false;
}

static void gil_fill(const struct sw_top_source *source, struct sw_top_thread *thread) {
    thread->held_ns = thread->waited_ns = -1;
    for (size_t i = 0; source->gil && i < sw_gil_timeline_count(source->gil); i++) {
        struct sw_gil_thread lane = sw_gil_timeline_thread(source->gil, i);
        if (lane.tid != thread->tid || lane.is_gone)
            continue;
        thread->held_ns = lane.held_ns;
        thread->waited_ns = lane.has_waits ? lane.waited_ns : -1;
        return;
    }
}

static void leaf_fill(const struct sw_top_table *table, struct sw_top_thread *thread) {
    thread->row = NO_ROW;
    for (size_t i = 0; i < table->leaf_count; i++)
        if (table->leaves[i].tid == thread->tid)
            thread->row = table->leaves[i].row;
}

static enum sw_status thread_fill(const struct sw_top_source *source, const struct sw_top_table *table,
                                  struct sw_top_thread *thread, int64_t wall_ns) {
    struct sw_thread_look look;
    const struct sw_top_thread *past = past_find(source, thread->tid);
    enum sw_status status = sw_thread_look(source->watch, thread->tid, SW_LOOK_SYSCALL | SW_LOOK_SCHEDSTAT, &look);
    if (status != SW_OK)
        return status;
    thread->state = look.activity == SW_THREAD_RUNNING   ? SW_TOP_RUNNING
                    : look.activity != SW_THREAD_BLOCKED ? SW_TOP_UNKNOWN
                    : is_gil_awaited(source, &look)      ? SW_TOP_GIL_WAIT
                                                         : SW_TOP_BLOCKED;
    thread->syscall = look.syscall;
    thread->cpu_ns = look.has_schedstat ? look.cpu_ns : -1;
    if (past && past->name[0])
        memcpy(thread->name, past->name, sizeof thread->name);
    if (sw_target_thread_name(&source->target, thread->tid, thread->name) != SW_OK && !past)
        thread->name[0] = '\0';
    gil_fill(source, thread);
    leaf_fill(table, thread);
    thread->cpu = past ? share(thread->cpu_ns, past->cpu_ns, wall_ns) : NAN;
    thread->gil_held = past ? share(thread->held_ns, past->held_ns, wall_ns) : NAN;
    thread->gil_waiting = past ? share(thread->waited_ns, past->waited_ns, wall_ns) : NAN;
    return SW_OK;
}

static enum sw_status threads_refresh(struct sw_top_source *source, const struct sw_top_table *table, int64_t wall_ns) {
    enum sw_status status = tids_read(source);
    struct sw_top_thread *swap = source->past;
    size_t swap_cap = source->past_cap;
    source->past = source->threads;
    source->past_cap = source->thread_cap;
    source->past_count = source->thread_count;
    source->threads = swap;
    source->thread_cap = swap_cap;
    source->thread_count = 0;
    if (source->tid_count > source->thread_cap) {
        size_t cap = source->tid_count + 16;
        struct sw_top_thread *grown = sw_realloc_array(source->threads, cap, sizeof *grown);
        if (!grown)
            return SW_NOMEM;
        source->threads = grown;
        source->thread_cap = cap;
    }
    if (source->has_runtime && sw_runtime_threads(&source->runtime, &source->list) == SW_NOMEM)
        return SW_NOMEM;
    for (size_t i = 0; i < source->tid_count && status == SW_OK; i++) {
        struct sw_top_thread *thread = &source->threads[source->thread_count++];
        *thread = (struct sw_top_thread){.tid = source->tids[i], .syscall = -1};
        status = thread_fill(source, table, thread, wall_ns);
    }
    sw_thread_watch_sweep(source->watch);
    return status;
}

static void usage_refresh(struct sw_top_source *source, int64_t wall_ns) {
    struct sw_target_usage usage;
    if (sw_target_usage(&source->target, &usage) != SW_OK)
        return;
    source->cpu = wall_ns > 0 ? share(usage.cpu_ns, source->cpu_ns, wall_ns) : NAN;
    source->cpu_ns = usage.cpu_ns;
    source->rss_bytes = usage.rss_bytes;
}

static void gil_refresh(struct sw_top_source *source, int64_t wall_ns) {
    if (!source->gil) {
        source->gil_held = source->gil_waited = NAN;
        return;
    }
    struct sw_gil_totals totals = sw_gil_timeline_totals(source->gil);
    source->gil_held = share(totals.held_ns, source->held_ns, wall_ns);
    source->gil_waited = share(totals.waited_ns, source->waited_ns, wall_ns);
    source->held_ns = totals.held_ns;
    source->waited_ns = totals.waited_ns;
}

static enum sw_status source_open(struct sw_top_source *source, struct sw_error *err) {
    enum sw_status status = sw_target_open(&source->target, source->pid, err);
    if (status != SW_OK)
        return status;
    status = sw_runtime_open(&source->runtime, &source->target, err);
    source->has_runtime = status == SW_OK;
    if (status == SW_OK)
        status = sampler_open(source, source->what, &source->sampler, err);
    if (status != SW_OK)
        return status;
    memcpy(source->version, source->runtime.version_text, sizeof source->version);
    status = gil_open(source);
    if (status == SW_OK)
        status = sw_thread_watch_new(&source->watch, &source->target);
    if (status == SW_OK && sw_target_command(&source->target, &source->command) == SW_NOMEM)
        status = SW_NOMEM;
    return status == SW_OK ? SW_OK : sw_fail(err, status, "cannot watch process %d: out of memory", (int)source->pid);
}

enum sw_status sw_top_source_open(struct sw_top_source *source, int32_t pid, double rate_hz, enum sw_sampler_what what,
                                  struct sw_error *err) {
    *source = (struct sw_top_source){.pid = pid,
                                     .rate_hz = rate_hz,
                                     .what = what,
                                     .cpu = NAN,
                                     .gil_held = NAN,
                                     .gil_waited = NAN,
                                     .looks_per_s = NAN,
                                     .own_cpu = NAN,
                                     .cpu_ns = -1,
                                     .held_ns = -1,
                                     .waited_ns = -1,
                                     .rss_bytes = -1};
    source->target.proc_fd = -1;
    enum sw_status status = source_open(source, err);
    if (status != SW_OK)
        sw_top_source_close(source);
    return status;
}

void sw_top_source_close(struct sw_top_source *source) {
    sw_gil_timeline_free(source->gil);
    sw_sampler_free(source->sampler);
    if (source->watch)
        sw_thread_watch_free(source->watch);
    sw_thread_list_release(&source->list);
    if (source->has_runtime)
        sw_runtime_close(&source->runtime);
    sw_target_close(&source->target);
    sw_buf_release(&source->command);
    sw_free(source->threads);
    sw_free(source->past);
    sw_free(source->tids);
    *source = (struct sw_top_source){.target.proc_fd = -1};
}

enum sw_status sw_top_source_look(struct sw_top_source *source, int64_t until_mono_ns) {
    if (sw_sampler_process_count(source->sampler) == 0)
        return SW_CLOSED;
    if (!sw_sampler_wait(source->sampler, until_mono_ns))
        return sw_sampler_process_count(source->sampler) ? SW_OK : SW_CLOSED;
    enum sw_status status = sw_sampler_look(source->sampler);
    if (status != SW_OK)
        return status;
    if (source->gil && sw_clock_mono_ns() >= source->next_gil_ns) {
        status = sw_gil_timeline_step(source->gil, &source->next_gil_ns);
        if (status != SW_OK)
            gil_drop(source);
    }
    return status == SW_NOMEM ? SW_NOMEM : SW_OK;
}

enum sw_status sw_top_source_refresh(struct sw_top_source *source, const struct sw_top_table *table) {
    int64_t now_ns = sw_clock_mono_ns(), own_ns = sw_clock_thread_cpu_ns();
    int64_t wall_ns = source->refreshed_ns ? now_ns - source->refreshed_ns : 0;
    struct sw_sampler_counts counts = counts_add(source);
    uptime_read(source);
    usage_refresh(source, wall_ns);
    gil_refresh(source, wall_ns);
    if (wall_ns > 0) {
        source->looks_per_s = (double)(counts.looks - source->looks) * 1e9 / (double)wall_ns;
        source->own_cpu = share(own_ns, source->own_ns, wall_ns);
    }
    source->looks = counts.looks;
    source->counts = counts;
    source->own_ns = own_ns;
    source->refreshed_ns = now_ns;
    return threads_refresh(source, table, wall_ns);
}

enum sw_status sw_top_source_switch(struct sw_top_source *source, enum sw_sampler_what what, struct sw_error *err) {
    struct sw_sampler *sampler = NULL;
    enum sw_status status = sampler_open(source, what, &sampler, err);
    if (status != SW_OK)
        return status;
    source->before = counts_add(source);
    sw_sampler_free(source->sampler);
    source->sampler = sampler;
    source->what = what;
    return SW_OK;
}
