/* ps_rows.c - Finds and measures the processes of `sidewinder ps`. */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "cli/ps.h"

#define LOOK_NS SW_NS_PER_MS
#define LOAD 4 /* a round of looks takes at most a fourth of the time */

static void row_free(struct sw_ps_row *row) {
    if (!row)
        return;
    if (row->is_open)
        sw_runtime_close(&row->runtime);
    sw_thread_list_release(&row->threads);
    sw_buf_release(&row->command);
    sw_free(row->gils);
    sw_target_close(&row->target);
    sw_free(row);
}

static enum sw_status rows_add(struct sw_ps *ps, struct sw_ps_row *row) {
    if (ps->count == ps->cap) {
        size_t cap = ps->cap ? ps->cap * 2 : 16;
        struct sw_ps_row **grown = sw_realloc_array(ps->rows, cap, sizeof(struct sw_ps_row *));
        if (!grown)
            return SW_NOMEM;
        ps->rows = grown;
        ps->cap = cap;
    }
    ps->rows[ps->count++] = row;
    return SW_OK;
}

/* Subinterpreters of the old kind share a GIL, which then stands once. */
static enum sw_status gils_collect(struct sw_ps_row *row) {
    row->gils = sw_alloc_array_zero(row->threads.interpreter_count, sizeof *row->gils);
    if (!row->gils)
        return SW_NOMEM;
    for (size_t i = 0; i < row->threads.interpreter_count; i++) {
        const struct sw_interpreter *interpreter = &row->threads.interpreters[i];
        bool is_known = interpreter->gil == 0;
        for (size_t k = 0; k < row->gil_count && !is_known; k++)
            is_known = row->gils[k].interpreter.gil == interpreter->gil;
        if (!is_known)
            row->gils[row->gil_count++].interpreter = *interpreter;
    }
    return SW_OK;
}

/* The command's first word, for processes of which no more may be seen. */
static bool is_python_by_command(struct sw_ps_row *row) {
    struct sw_str rest = sw_buf_view(&row->command);
    return sw_path_is_python(sw_str_cut(&rest, ' '));
}

static enum sw_status row_read(struct sw_ps_row *row, struct sw_error *err) {
    enum sw_status status = sw_runtime_open(&row->runtime, &row->target, err);
    if (status != SW_OK)
        return status;
    row->is_open = true;
    status = sw_runtime_threads(&row->runtime, &row->threads);
    if (status == SW_OK)
        return gils_collect(row);
    return status == SW_NOMEM ? status
                              : sw_fail(err, status, "cannot read the threads of process %d: %s", row->target.pid,
                                        sw_status_text(status));
}

/* SW_NOTFOUND: no Python process (any more). */
static enum sw_status row_fill(struct sw_ps_row *row, bool is_asked_for, struct sw_error *err) {
    bool is_denied = false;
    enum sw_status status = sw_target_usage(&row->target, &row->usage);
    if (status == SW_OK)
        status = sw_target_command(&row->target, &row->command);
    if (status != SW_OK)
        return status == SW_NOMEM ? SW_NOMEM : sw_fail(err, SW_NOTFOUND, "process %d has ended", row->target.pid);
    row->first_cpu_ns = row->usage.cpu_ns;
    bool is_python = sw_target_is_python(&row->target, &is_denied) || is_asked_for;
    if (!is_python && !(is_denied && is_python_by_command(row)))
        return SW_NOTFOUND;
    status = row_read(row, err);
    if (status == SW_OK || status == SW_NOTFOUND || status == SW_NOMEM)
        return status;
    if (status == SW_CLOSED)
        return SW_NOTFOUND;
    memcpy(row->reason, err->text, sizeof row->reason);
    return SW_OK;
}

static enum sw_status row_find(struct sw_ps *ps, int32_t pid, bool is_asked_for, struct sw_error *err) {
    struct sw_ps_row *row = sw_alloc_zero(sizeof *row);
    if (!row)
        return SW_NOMEM;
    row->cpu_percent = NAN;
    row->gil_percent = NAN;
    row->switches_per_s = NAN;
    enum sw_status status = sw_target_open(&row->target, pid, err);
    if (status == SW_OK)
        status = row_fill(row, is_asked_for, err);
    if (status == SW_OK)
        status = rows_add(ps, row);
    if (status != SW_OK)
        row_free(row);
    return status;
}

static void gil_look(struct sw_ps_row *row, struct sw_ps_gil *gil) {
    struct sw_gil_look look;
    if (sw_gil_look(&row->runtime, &gil->interpreter, &look) != SW_OK || !look.is_known)
        return;
    if (gil->looks == 0)
        gil->first_switches = look.switches;
    gil->last_switches = look.switches;
    gil->looks++;
    gil->held += look.holder != 0;
}

static void round_look(struct sw_ps *ps) {
    for (size_t i = 0; i < ps->count; i++)
        for (size_t k = 0; k < ps->rows[i]->gil_count; k++)
            gil_look(ps->rows[i], &ps->rows[i]->gils[k]);
}

/* The busiest GIL stands for the process. With fewer than two looks there is no rate. */
static void row_finish(struct sw_ps_row *row, double seconds) {
    int64_t first_ns = row->first_cpu_ns;
    row->is_gone = !sw_target_is_alive(&row->target) || sw_target_usage(&row->target, &row->usage) != SW_OK;
    if (first_ns >= 0 && row->usage.cpu_ns >= first_ns && seconds > 0)
        row->cpu_percent = (double)(row->usage.cpu_ns - first_ns) / 1e7 / seconds;
    for (size_t i = 0; i < row->gil_count; i++) {
        const struct sw_ps_gil *gil = &row->gils[i];
        double percent = gil->looks > 0 ? 100.0 * (double)gil->held / (double)gil->looks : (double)NAN;
        if (gil->looks < 2 || (!isnan(row->gil_percent) && percent <= row->gil_percent))
            continue;
        row->gil_percent = percent;
        row->switches_per_s = (double)(gil->last_switches - gil->first_switches) / seconds;
    }
}

static void rows_drop_gone(struct sw_ps *ps) {
    size_t kept = 0;
    for (size_t i = 0; i < ps->count; i++)
        if (ps->rows[i]->is_gone)
            row_free(ps->rows[i]);
        else
            ps->rows[kept++] = ps->rows[i];
    ps->count = kept;
}

/* Descending; what was not measured comes last. */
static int compare_values(double a, double b) {
    if (isnan(a) || isnan(b))
        return isnan(a) - isnan(b);
    return (a < b) - (a > b);
}

static double value_of(const struct sw_ps_row *row, enum sw_ps_sort by) {
    switch (by) {
    case SW_PS_CPU:
        return row->cpu_percent;
    case SW_PS_GIL:
        return row->gil_percent;
    case SW_PS_RSS:
        return (double)row->usage.rss_bytes;
    case SW_PS_THREADS:
        return row->is_open ? (double)row->threads.thread_count : (double)NAN;
    case SW_PS_PID:
        return -(double)row->target.pid;
    }
    return NAN;
}

static int compare_rows(const void *a, const void *b, void *by) {
    const struct sw_ps_row *left = *(struct sw_ps_row *const *)a, *right = *(struct sw_ps_row *const *)b;
    int order = compare_values(value_of(left, *(enum sw_ps_sort *)by), value_of(right, *(enum sw_ps_sort *)by));
    return order ? order : compare_values(value_of(left, SW_PS_PID), value_of(right, SW_PS_PID));
}

static enum sw_status find_all(struct sw_ps *ps, struct sw_error *err) {
    int32_t *pids = NULL;
    size_t count = 0, cap = 0;
    enum sw_status status = sw_target_pids(&pids, &count, &cap);
    if (status != SW_OK)
        sw_fail(err, status, "cannot list /proc: %s", sw_status_text(status));
    for (size_t i = 0; i < count && status == SW_OK; i++) {
        struct sw_error reason;
        status = row_find(ps, pids[i], false, &reason);
        if (status == SW_NOMEM)
            sw_fail(err, status, "%s", sw_status_text(status));
        else
            status = SW_OK; /* no Python process, or one that ended meanwhile */
    }
    sw_free(pids);
    return status;
}

enum sw_status sw_ps_find(struct sw_ps *ps, const int32_t *pids, size_t pid_count, struct sw_error *err) {
    if (pid_count == 0)
        return find_all(ps, err);
    for (size_t i = 0; i < pid_count; i++) {
        enum sw_status status = row_find(ps, pids[i], true, err);
        if (status != SW_OK)
            return status == SW_NOMEM ? sw_fail(err, status, "%s", sw_status_text(status)) : status;
    }
    return SW_OK;
}

/* The pauses vary by a quarter, so that what a target does at a steady pace is not always met at the same moment. */
void sw_ps_measure(struct sw_ps *ps, int64_t duration_ns) {
    int64_t start_ns = sw_clock_mono_ns(), end_ns = start_ns + duration_ns, next_ns = start_ns;
    uint64_t random = sw_hash_seed();
    for (size_t i = 0; i < ps->count; i++) {
        struct sw_target_usage usage;
        if (sw_target_usage(&ps->rows[i]->target, &usage) == SW_OK)
            ps->rows[i]->first_cpu_ns = usage.cpu_ns;
    }
    for (int64_t now_ns = start_ns; now_ns < end_ns; now_ns = sw_clock_mono_ns()) {
        round_look(ps);
        int64_t done_ns = sw_clock_mono_ns(), step_ns = LOAD * (done_ns - now_ns);
        random = sw_hash_u64(random + 1);
        step_ns = step_ns > LOOK_NS ? step_ns : LOOK_NS;
        next_ns += step_ns - step_ns / 8 + (int64_t)(random % (uint64_t)(step_ns / 4));
        if (next_ns < done_ns)
            next_ns = done_ns;
        sw_clock_sleep_ns((next_ns < end_ns ? next_ns : end_ns) - done_ns);
    }
    round_look(ps);
    ps->seconds = (double)(sw_clock_mono_ns() - start_ns) / 1e9;
    for (size_t i = 0; i < ps->count; i++)
        row_finish(ps->rows[i], ps->seconds);
    rows_drop_gone(ps);
}

void sw_ps_sort(struct sw_ps *ps, enum sw_ps_sort by) {
    if (ps->count > 1)
        qsort_r(ps->rows, ps->count, sizeof(struct sw_ps_row *), compare_rows, &by);
}

void sw_ps_release(struct sw_ps *ps) {
    for (size_t i = 0; i < ps->count; i++)
        row_free(ps->rows[i]);
    sw_free(ps->rows);
    *ps = (struct sw_ps){0};
}
