/* python_process.c - Looks at one Python process; see python_process.h. */
#include "engine/python_process.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define SAMPLER_HZ 1000.0 /* at most; looks are made when they are due here, and stand for the time since the last */
#define GIL_HZ 200.0      /* as it is looked at mostly */
#define RETRY_NS (10 * SW_NS_PER_S)
#define PART_NS ((int64_t)SW_PAST_SECONDS * SW_NS_PER_S / (SW_PAST_PARTS - 1))
#define PART_SAMPLES_MAX 16384u
#define PART_NODES_MAX 4096u
#define FAILURES_MAX 20
#define TALLY_MAX 64 /* different functions that are counted in one measurement */
#define GC_GENERATIONS 3
#define IDLE_SHARE 500 /* below 0.2 % of a core */

static bool is_option_with_value(struct sw_str word) {
    return sw_str_eq(word, SW_STR("-W")) || sw_str_eq(word, SW_STR("-X"));
}

static struct sw_str base_name(struct sw_str path) {
    for (size_t slash = sw_str_find(path, '/'); slash < path.len; slash = sw_str_find(path, '/'))
        path = sw_str_skip(path, slash + 1);
    return path;
}

/* "python3 -X dev -m http.server 80" is "http.server", "python3 /srv/app.py" is "app.py". */
static struct sw_str name_of(struct sw_str command) {
    struct sw_str first = base_name(sw_str_cut(&command, ' '));
    if (!sw_path_is_python(first))
        return first;
    while (command.ptr && command.len) {
        struct sw_str word = sw_str_cut(&command, ' ');
        if (sw_str_eq(word, SW_STR("-m")))
            return command.ptr ? sw_str_cut(&command, ' ') : first;
        if (sw_str_eq(word, SW_STR("-c")))
            return SW_STR("python -c");
        if (is_option_with_value(word) && command.ptr)
            (void)sw_str_cut(&command, ' ');
        else if (word.len && word.ptr[0] != '-' && base_name(word).len)
            return base_name(word);
    }
    return first;
}

static void label_make(struct sw_python_process *process) {
    struct sw_str name = name_of(sw_buf_view(&process->command));
    if (name.len == 0)
        name = SW_STR("python");
    size_t most = sizeof process->label - 16;
    size_t len = name.len < most ? name.len : most;
    while (len < name.len && len > 0 && ((unsigned char)name.ptr[len] & 0xc0) == 0x80)
        len--; /* not within a character */
    snprintf(process->label, sizeof process->label, "%.*s [%d]", (int)len, name.ptr, (int)process->target.pid);
}

/* Up to 3.14 the counts of each generation lie in the collector's state; later they are elsewhere. */
static void collector_find(struct sw_python_process *process) {
    const struct sw_runtime *runtime = &process->runtime;
    const struct sw_layout *layout = &runtime->layout;
    struct sw_thread_list list = {0};
    unsigned minor = runtime->version >> 16 & 0xff;
    if (minor > 14 || layout->gc.generation_stats == SW_ABSENT)
        return;
    if (layout->runtime.gc != SW_ABSENT)
        process->gc_stats = runtime->address + layout->runtime.gc + layout->gc.generation_stats;
    else if (layout->interpreter.gc != SW_ABSENT && sw_runtime_threads(runtime, &list) == SW_OK &&
             list.interpreter_count) /* the newest stands first, the main one last */
        process->gc_stats = list.interpreters[list.interpreter_count - 1].address + layout->interpreter.gc +
                            layout->gc.generation_stats;
    sw_thread_list_release(&list);
}

/* Without a GIL there is none to look at; one that is not there yet is looked for again. */
static void gil_open(struct sw_python_process *process) {
    struct sw_gil_timeline_options options = {.rate_hz = GIL_HZ,
                                              .is_meter = true,
                                              .has_no_functions = true,
                                              .seed = (uint64_t)process->target.pid};
    process->retry_ns = sw_clock_mono_ns() + SW_NS_PER_S;
    if (sw_gil_timeline_new(&process->gil, &process->runtime, &options, NULL) == SW_UNSUPPORTED)
        process->retry_ns = INT64_MAX;
}

static enum sw_status memory_open(struct sw_python_process *process, struct sw_error *err) {
    struct sw_sampler_options options = {.rate_hz = SAMPLER_HZ, .what = SW_SAMPLE_CPU, .keeps_samples = true};
    enum sw_status status = sw_runtime_open(&process->runtime, &process->target, err);
    if (status != SW_OK)
        return status;
    process->is_open = true;
    status = sw_sampler_new(&process->sampler, &options);
    if (status != SW_OK)
        return sw_fail(err, status, "cannot watch process %d: out of memory", (int)process->target.pid);
    status = sw_sampler_add(process->sampler, process->target.pid, false, err);
    if (status != SW_OK)
        return status;
    process->part_ns = sw_clock_mono_ns();
    collector_find(process);
    gil_open(process);
    return SW_OK;
}

static void memory_close(struct sw_python_process *process) {
    sw_gil_timeline_free(process->gil);
    sw_sampler_free(process->sampler);
    if (process->is_open)
        sw_runtime_close(&process->runtime);
    process->gil = NULL;
    process->sampler = NULL;
    process->is_open = false;
}

/* Of a process whose memory is closed to us, its command says whether it is Python. */
static bool is_python(const struct sw_python_process *process) {
    bool is_denied = false;
    if (sw_target_is_python(&process->target, &is_denied))
        return true;
    struct sw_str command = sw_buf_view(&process->command);
    return is_denied && sw_path_is_python(sw_str_cut(&command, ' '));
}

enum sw_status sw_python_process_new(struct sw_python_process **out, int32_t pid, struct sw_error *err) {
    struct sw_python_process *process = sw_alloc_zero(sizeof *process);
    if (!process)
        return sw_fail(err, SW_NOMEM, "cannot watch process %d: out of memory", (int)pid);
    enum sw_status status = sw_target_open(&process->target, pid, err);
    if (status == SW_OK && sw_target_command(&process->target, &process->command) == SW_NOMEM)
        status = sw_fail(err, SW_NOMEM, "cannot watch process %d: out of memory", (int)pid);
    if (status == SW_OK && !is_python(process))
        status = sw_fail(err, SW_NOTFOUND, "process %d is no Python process", (int)pid);
    if (status == SW_OK) {
        label_make(process);
        process->retry_ns = INT64_MAX;
        status = memory_open(process, &process->refusal);
        if (status == SW_PERM || status == SW_UNSUPPORTED) {
            memory_close(process);
            process->retry_ns = sw_clock_mono_ns() + RETRY_NS;
            status = SW_OK;
        } else if (status != SW_OK && err) {
            *err = process->refusal;
        }
    }
    if (status == SW_OK)
        *out = process;
    else
        sw_python_process_free(process);
    return status;
}

void sw_python_process_free(struct sw_python_process *process) {
    if (!process)
        return;
    memory_close(process);
    sw_past_release(&process->past);
    sw_lanes_release(&process->lanes);
    sw_buf_release(&process->command);
    sw_target_close(&process->target);
    sw_free(process);
}

void sw_python_process_look_gil(struct sw_python_process *process) {
    int64_t next_ns;
    if (!process->gil)
        return;
    enum sw_status status = sw_gil_timeline_step(process->gil, &next_ns);
    if (status == SW_CLOSED)
        process->is_gone = true; /* or it runs another program now: it is found again */
    else if (status != SW_OK && ++process->failures > FAILURES_MAX)
        process->is_gone = true;
    else if (status == SW_OK)
        process->failures = 0;
}

void sw_python_process_look_stacks(struct sw_python_process *process) {
    if (!process->sampler || process->is_gone)
        return;
    enum sw_status status = sw_sampler_look(process->sampler);
    if (status != SW_OK || !sw_sampler_has_live(process->sampler))
        process->is_gone = true;
}

static void lane_name(const struct sw_python_process *process, struct sw_past_lane *lane) {
    if (!lane->tid || sw_target_thread_name(&process->target, lane->tid, lane->name) != SW_OK)
        lane->name[0] = '\0';
}

enum sw_status sw_python_process_cell(struct sw_python_process *process, int64_t now_ns) {
    int64_t cell = now_ns / SW_LANE_CELL_NS, span_ns = now_ns - process->cell_ns;
    enum sw_status status = SW_OK;
    if (!process->gil)
        return SW_OK;
    process->lanes.omitted = 0;
    for (size_t i = 0; i < sw_gil_timeline_count(process->gil) && status != SW_NOMEM; i++) {
        struct sw_gil_thread thread = sw_gil_timeline_thread(process->gil, i);
        struct sw_lane_totals totals = {thread.address,   thread.tid,     thread.is_main,
                                        thread.has_waits, thread.held_ns, thread.waited_ns};
        struct sw_past_lane *lane;
        bool is_new = false;
        status = thread.is_gone ? SW_OK : sw_lanes_add(&process->lanes, &totals, cell, span_ns, &lane, &is_new);
        if (status == SW_OK && is_new)
            lane_name(process, lane);
        process->lanes.omitted += status == SW_LIMIT;
    }
    sw_lanes_sweep(&process->lanes, cell);
    process->cell_ns = now_ns;
    return status == SW_NOMEM ? status : SW_OK;
}

struct tally {
    const struct sw_profile_frame *frames[TALLY_MAX];
    unsigned counts[TALLY_MAX];
    unsigned count;
};

static bool is_same_function(const struct sw_profile_frame *a, const struct sw_profile_frame *b) {
    return a == b || (sw_str_eq(a->name, b->name) && sw_str_eq(a->file, b->file));
}

static void tally_add(struct tally *tally, const struct sw_profile_frame *frame) {
    unsigned i = 0;
    while (i < tally->count && !is_same_function(tally->frames[i], frame))
        i++;
    if (i == TALLY_MAX)
        return;
    if (i == tally->count) {
        tally->frames[tally->count++] = frame;
        tally->counts[i] = 0;
    }
    tally->counts[i]++;
}

/* The function in which most samples since the last measurement were. */
static void function_find(struct sw_python_process *process) {
    const struct sw_profile *profile = sw_sampler_profile(process->sampler);
    struct tally tally = {.count = 0};
    process->now.function[0] = '\0';
    for (size_t i = process->sample_count; i < profile->sample_count; i++)
        tally_add(&tally, &profile->frames[profile->nodes[profile->samples[i].node].frame]);
    process->sample_count = profile->sample_count;
    unsigned best = 0;
    for (unsigned i = 1; i < tally.count; i++)
        best = tally.counts[i] > tally.counts[best] ? i : best;
    if (tally.count == 0)
        return;
    const struct sw_profile_frame *frame = tally.frames[best];
    struct sw_str file = base_name(frame->file);
    snprintf(process->now.function, sizeof process->now.function, file.len ? "%.*s (%.*s)" : "%.*s%.*s",
             SW_STR_ARG(frame->name), SW_STR_ARG(file));
}

/* Begins a new part of the past where the newest has become old or large. Called right after a measurement. */
static void part_turn(struct sw_python_process *process, int64_t now_ns) {
    const struct sw_profile *profile = sw_sampler_profile(process->sampler);
    int64_t now_epoch_ns = sw_clock_epoch_ns();
    sw_past_drop_old(&process->past, now_epoch_ns - (int64_t)SW_PAST_SECONDS * SW_NS_PER_S);
    if (profile->sample_count == 0) {
        process->part_ns = now_ns;
        return;
    }
    if (now_ns - process->part_ns < PART_NS && profile->sample_count < PART_SAMPLES_MAX &&
        profile->node_count < PART_NODES_MAX)
        return;
    struct sw_profile part = {0};
    if (sw_sampler_take(process->sampler, &part) != SW_OK)
        return; /* it grows on until there is memory */
    sw_past_add(&process->past, &part, now_epoch_ns);
    process->sample_count = 0;
    process->part_ns = now_ns;
}

static bool collections_read(const struct sw_python_process *process, uint64_t *sum) {
    int64_t stats[GC_GENERATIONS][3]; /* collections, collected, uncollectable */
    if (!process->gc_stats || sw_target_read(&process->target, process->gc_stats, stats, sizeof stats) != SW_OK)
        return false;
    *sum = 0;
    for (unsigned i = 0; i < GC_GENERATIONS; i++)
        *sum += (uint64_t)stats[i][0];
    return true;
}

static double per_second(double count, int64_t span_ns) {
    return count * 1e9 / (double)span_ns;
}

static void collections_measure(struct sw_python_process *process, int64_t span_ns) {
    uint64_t sum = 0;
    bool is_known = collections_read(process, &sum);
    if (is_known && process->has_collections && sum >= process->collections)
        process->now.collections = per_second((double)(sum - process->collections), span_ns);
    process->collections = sum;
    process->has_collections = is_known;
}

/* Over the time between looks, which the totals are about. */
static void gil_measure(struct sw_python_process *process) {
    if (!process->gil)
        return;
    struct sw_gil_totals totals = sw_gil_timeline_totals(process->gil);
    int64_t since_ns = process->gil_ns ? process->gil_ns : totals.start_ns, span_ns = totals.end_ns - since_ns;
    if (totals.looks < 2 || span_ns <= 0)
        return;
    int64_t held_ns = totals.held_ns - process->held_ns, waited_ns = totals.waited_ns - process->waited_ns;
    process->now.gil = 100.0 * (double)(held_ns > 0 ? held_ns : 0) / (double)span_ns;
    process->now.waiters = (double)(waited_ns > 0 ? waited_ns : 0) / (double)span_ns;
    process->now.handoffs = per_second((double)(totals.handoffs - process->handoffs), span_ns);
    process->gil_ns = totals.end_ns;
    process->held_ns = totals.held_ns;
    process->waited_ns = totals.waited_ns;
    process->handoffs = totals.handoffs;
}

static void stacks_measure(struct sw_python_process *process, int64_t now_ns) {
    if (!process->sampler || sw_sampler_process_count(process->sampler) == 0)
        return;
    struct sw_sampler_process seen = sw_sampler_process(process->sampler, 0);
    uint64_t looks = seen.looks - process->looks;
    if (seen.looks > 0)
        process->now.threads = (double)seen.thread_count;
    if (looks > 0)
        process->now.running = (double)(seen.running - process->running) / (double)looks;
    process->looks = seen.looks;
    process->running = seen.running;
    function_find(process);
    part_turn(process, now_ns);
}

void sw_python_process_measure(struct sw_python_process *process, int64_t now_ns) {
    struct sw_target_usage usage;
    int64_t span_ns = now_ns - process->measured_ns;
    bool is_first = process->measured_ns == 0;
    if (sw_target_usage(&process->target, &usage) != SW_OK) {
        process->is_gone = true;
        return;
    }
    process->now = (struct sw_python_figures){NAN, (double)usage.rss_bytes, NAN, NAN, NAN, NAN, NAN, NAN, ""};
    if (!is_first && usage.cpu_ns >= process->usage.cpu_ns && process->usage.cpu_ns >= 0)
        process->now.cpu = 100.0 * (double)(usage.cpu_ns - process->usage.cpu_ns) / (double)span_ns;
    process->is_idle = !is_first && usage.cpu_ns - process->usage.cpu_ns < span_ns / IDLE_SHARE;
    gil_measure(process);
    stacks_measure(process, now_ns);
    collections_measure(process, span_ns);
    if (process->is_open && !process->gil && now_ns >= process->retry_ns)
        gil_open(process);
    process->usage = usage;
    process->measured_ns = now_ns;
    process->has_figures = !is_first;
}
