/* python_watch.c - Finds Python processes as they come and go, and shares out the looks; see python_watch.h. */
#include "engine/python_watch.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

#define SCAN_NS SW_NS_PER_S
#define PACE_NS SW_NS_PER_S
#define PAST_BYTES_MAX ((size_t)32 << 20) /* of all processes */
#define SCANS_YOUNG 3 /* scans in which a new process is looked at closely: it may be about to become Python by exec */
#define SCANS_OLD 16  /* an older one in each of so many */
#define IDLE_LOOKS 5  /* an idle process has one of so many looks and measurements */
#define CLOSE_ASK_NS (20 * SW_NS_PER_MS) /* how soon it is noticed that somebody looks at a process */
#define CLOSE_FACTOR 5                   /* so many times more looks at a process that somebody looks at */

/* A process that is no Python process, as far as is known. */
struct other {
    int32_t pid;
    uint32_t scans;
};

struct sw_python_watch {
    pthread_mutex_t lock;
    struct sw_python_watch_options options;
    struct sw_python_process **items;
    size_t count, cap;
    size_t omitted;
    struct other *others; /* by pid */
    size_t other_count;
    int32_t *pids;
    size_t pid_count, pid_cap;

    double slowness; /* 1 to SW_PYTHON_SLOWEST */
    double share;
    uint64_t random;
    int64_t scan_ns, pace_ns, cell_ns, row_ns, gil_ns, stack_ns, close_ns;
    int64_t paced_ns, paced_cpu_ns; /* the last time the pace was set */
    unsigned close_turns;
};

static enum sw_status items_reserve(struct sw_python_watch *watch) {
    if (watch->count < watch->cap)
        return SW_OK;
    size_t cap = watch->cap ? watch->cap * 2 : 16;
    struct sw_python_process **grown = sw_realloc_array(watch->items, cap, sizeof(struct sw_python_process *));
    if (!grown)
        return SW_NOMEM;
    watch->items = grown;
    watch->cap = cap;
    return SW_OK;
}

static size_t item_find(const struct sw_python_watch *watch, int32_t pid) {
    size_t i = 0;
    while (i < watch->count && watch->items[i]->target.pid != pid)
        i++;
    return i;
}

static int compare_others(const void *a, const void *b) {
    const struct other *left = a, *right = b;
    return (left->pid > right->pid) - (left->pid < right->pid);
}

/* Both lists are by pid, so that one pass merges them. False: there is no memory, and all are new the next time. */
static bool others_update(struct sw_python_watch *watch) {
    struct other *fresh = sw_alloc_array(watch->pid_count, sizeof *fresh);
    if (!fresh)
        return false;
    size_t old = 0;
    for (size_t i = 0; i < watch->pid_count; i++) {
        while (old < watch->other_count && watch->others[old].pid < watch->pids[i])
            old++;
        bool is_known = old < watch->other_count && watch->others[old].pid == watch->pids[i];
        fresh[i] = (struct other){watch->pids[i], is_known ? watch->others[old].scans + 1 : 0};
    }
    sw_free(watch->others);
    watch->others = fresh;
    watch->other_count = watch->pid_count;
    return true;
}

static struct other *other_find(const struct sw_python_watch *watch, int32_t pid) {
    struct other wanted = {.pid = pid};
    return watch->other_count ? bsearch(&wanted, watch->others, watch->other_count, sizeof wanted, compare_others)
                              : NULL;
}

/* It ran exec: what it is now is as open as with a new process. */
static void other_renew(struct sw_python_watch *watch, int32_t pid) {
    struct other *other = other_find(watch, pid);
    if (other)
        other->scans = 0;
}

static bool is_worth_a_look(const struct sw_python_watch *watch, int32_t pid) {
    const struct other *other = other_find(watch, pid);
    return !other || other->scans < SCANS_YOUNG || (other->scans + (uint32_t)pid) % SCANS_OLD == 0;
}

/* Makes it without the lock, as that reads files; then shows it. */
static enum sw_status process_add(struct sw_python_watch *watch, int32_t pid, struct sw_error *err) {
    struct sw_python_process *process;
    enum sw_status status = sw_python_process_new(&process, pid, err);
    if (status != SW_OK)
        return status;
    pthread_mutex_lock(&watch->lock);
    size_t at = item_find(watch, pid);
    if (at < watch->count) { /* one that could not be read before */
        struct sw_python_process *old = watch->items[at];
        watch->items[at] = process;
        process = old;
    } else {
        status = items_reserve(watch);
        if (status == SW_OK) {
            watch->items[watch->count++] = process;
            process = NULL;
        }
    }
    pthread_mutex_unlock(&watch->lock);
    sw_python_process_free(process);
    return status == SW_OK ? SW_OK : sw_fail(err, status, "cannot watch process %d: out of memory", (int)pid);
}

static void gone_remove(struct sw_python_watch *watch) {
    pthread_mutex_lock(&watch->lock);
    size_t kept = 0;
    for (size_t i = 0; i < watch->count; i++) {
        struct sw_python_process *process = watch->items[i];
        bool is_alive = sw_target_is_alive(&process->target);
        if (!process->is_gone && is_alive) {
            watch->items[kept++] = process;
            continue;
        }
        if (is_alive)
            other_renew(watch, process->target.pid);
        sw_python_process_free(process);
    }
    watch->count = kept;
    pthread_mutex_unlock(&watch->lock);
}

static bool is_to_be_tried(const struct sw_python_watch *watch, int32_t pid, int64_t now_ns) {
    size_t at = item_find(watch, pid);
    if (pid == (int32_t)getpid())
        return false;
    if (at < watch->count)
        return !watch->items[at]->is_open && now_ns >= watch->items[at]->retry_ns;
    return is_worth_a_look(watch, pid);
}

static enum sw_status scan(struct sw_python_watch *watch, int64_t now_ns) {
    gone_remove(watch);
    if (watch->options.pid)
        return watch->count ? SW_OK : SW_CLOSED;
    if (sw_target_pids(&watch->pids, &watch->pid_count, &watch->pid_cap) != SW_OK || !others_update(watch))
        return SW_OK; /* for want of memory or descriptors; it is tried again */
    size_t omitted = 0;
    for (size_t i = 0; i < watch->pid_count; i++) {
        if (!is_to_be_tried(watch, watch->pids[i], now_ns))
            continue;
        if (watch->count >= SW_PYTHON_PROCESSES_MAX)
            omitted++;
        else if (process_add(watch, watch->pids[i], NULL) == SW_NOMEM)
            break;
    }
    watch->omitted = omitted;
    return SW_OK;
}

/* Who has kept most forgets first. */
static void memory_bound(struct sw_python_watch *watch) {
    for (;;) {
        size_t all = 0, most = 0, at = 0;
        for (size_t i = 0; i < watch->count; i++) {
            size_t bytes = sw_past_bytes(&watch->items[i]->past);
            all += bytes;
            at = bytes > most ? i : at;
            most = bytes > most ? bytes : most;
        }
        if (all <= PAST_BYTES_MAX || !sw_past_drop_oldest(&watch->items[at]->past))
            return;
    }
}

/* The share of a core goes back to what is wanted: what costs twice as much is done half as often. */
static void pace_set(struct sw_python_watch *watch, int64_t now_ns) {
    int64_t cpu_ns = sw_clock_thread_cpu_ns();
    if (watch->paced_ns) {
        watch->share = (double)(cpu_ns - watch->paced_cpu_ns) / (double)(now_ns - watch->paced_ns);
        watch->slowness *= watch->share / SW_PYTHON_SHARE;
    }
    if (!(watch->slowness > 1))
        watch->slowness = 1;
    if (watch->slowness > SW_PYTHON_SLOWEST)
        watch->slowness = SW_PYTHON_SLOWEST;
    watch->paced_ns = now_ns;
    watch->paced_cpu_ns = cpu_ns;
}

/* Its turn comes less often while it does nothing. */
static bool is_left_out(struct sw_python_process *process) {
    if (!process->is_idle)
        process->skipped = 0;
    else if (++process->skipped < IDLE_LOOKS)
        return true;
    else
        process->skipped = 0;
    return false;
}

static void look_at_gils(struct sw_python_watch *watch, int64_t now_ns) {
    for (size_t i = 0; i < watch->count; i++)
        if (now_ns >= watch->items[i]->watched_until_ns && !is_left_out(watch->items[i]))
            sw_python_process_look_gil(watch->items[i]);
}

static void look_at_stacks(struct sw_python_watch *watch, int64_t now_ns) {
    for (size_t i = 0; i < watch->count; i++)
        if (now_ns >= watch->items[i]->watched_until_ns && !(watch->items[i]->is_idle && watch->items[i]->skipped))
            sw_python_process_look_stacks(watch->items[i]);
}

/* At the process whose page is open. */
static bool look_closely(struct sw_python_watch *watch, int64_t now_ns) {
    bool has_any = false;
    watch->close_turns++;
    for (size_t i = 0; i < watch->count; i++) {
        struct sw_python_process *process = watch->items[i];
        if (now_ns >= process->watched_until_ns)
            continue;
        has_any = true;
        sw_python_process_look_gil(process);
        if (watch->close_turns % (unsigned)(SW_PYTHON_GIL_HZ / SW_PYTHON_STACK_HZ) == 0)
            sw_python_process_look_stacks(process);
    }
    return has_any;
}

static void measure(struct sw_python_watch *watch, int64_t now_ns) {
    int64_t idle_ns = (int64_t)(IDLE_LOOKS * 1e9 / watch->options.rows_hz * 0.9);
    for (size_t i = 0; i < watch->count; i++) {
        struct sw_python_process *process = watch->items[i];
        if (process->is_gone || (process->is_idle && now_ns - process->measured_ns < idle_ns))
            continue;
        sw_python_process_measure(process, now_ns);
        process->has_row = process->has_figures && !process->is_gone;
    }
}

/* Without the lock, as the engine may make a source wait; but for the lists it is this thread alone that writes. */
static enum sw_status rows_write(struct sw_python_watch *watch, sw_python_row_fn row, void *context) {
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < watch->count && status == SW_OK; i++) {
        if (!watch->items[i]->has_row)
            continue;
        watch->items[i]->has_row = false;
        status = row(context, watch->items[i]);
    }
    return status;
}

static enum sw_status cells(struct sw_python_watch *watch, int64_t now_ns) {
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < watch->count && status == SW_OK; i++)
        status = sw_python_process_cell(watch->items[i], now_ns);
    return status;
}

/* When a thing that is done each `period_ns` is due next: on the beat, and never twice to make up for what was missed. */
static bool is_due(int64_t *due_ns, int64_t now_ns, int64_t period_ns) {
    if (now_ns < *due_ns)
        return false;
    *due_ns += period_ns;
    if (*due_ns <= now_ns)
        *due_ns = now_ns + period_ns;
    return true;
}

/* Up to a quarter sooner or later, so that nothing that is done at a steady pace is always met at the same moment. */
static int64_t jittered(struct sw_python_watch *watch, double hz) {
    watch->random = sw_hash_u64(watch->random + 1);
    return (int64_t)(1e9 / hz * (0.75 + 0.5 * (double)(watch->random >> 11) * 0x1p-53));
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

enum sw_status sw_python_watch_turn(struct sw_python_watch *watch, sw_python_row_fn row, void *context,
                                    int64_t *next_mono_ns) {
    int64_t now_ns = sw_clock_mono_ns();
    enum sw_status status = SW_OK;
    if (is_due(&watch->scan_ns, now_ns, SCAN_NS))
        status = scan(watch, now_ns);
    pthread_mutex_lock(&watch->lock);
    if (is_due(&watch->pace_ns, now_ns, PACE_NS)) {
        pace_set(watch, now_ns);
        memory_bound(watch);
    }
    if (is_due(&watch->gil_ns, now_ns, jittered(watch, SW_PYTHON_GIL_HZ / watch->slowness)))
        look_at_gils(watch, now_ns);
    if (is_due(&watch->stack_ns, now_ns, jittered(watch, SW_PYTHON_STACK_HZ / watch->slowness)))
        look_at_stacks(watch, now_ns);
    if (is_due(&watch->close_ns, now_ns, jittered(watch, SW_PYTHON_GIL_HZ * CLOSE_FACTOR)) &&
        !look_closely(watch, now_ns))
        watch->close_ns = now_ns + CLOSE_ASK_NS;
    if (status == SW_OK && is_due(&watch->cell_ns, now_ns, SW_LANE_CELL_NS))
        status = cells(watch, now_ns);
    bool has_rows = is_due(&watch->row_ns, now_ns, (int64_t)(1e9 / watch->options.rows_hz));
    if (has_rows)
        measure(watch, now_ns);
    pthread_mutex_unlock(&watch->lock);
    if (status == SW_OK && has_rows)
        status = rows_write(watch, row, context);
    *next_mono_ns = least(least(least(watch->scan_ns, watch->cell_ns), least(watch->gil_ns, watch->stack_ns)),
                          least(watch->row_ns, watch->close_ns));
    return status;
}

enum sw_status sw_python_watch_new(struct sw_python_watch **out, const struct sw_python_watch_options *options,
                                   struct sw_error *err) {
    struct sw_python_watch *watch = sw_alloc_zero(sizeof *watch);
    if (!watch)
        return sw_fail(err, SW_NOMEM, "cannot watch Python processes: out of memory");
    pthread_mutex_init(&watch->lock, NULL);
    watch->options = *options;
    watch->slowness = 1;
    watch->share = NAN;
    watch->random = sw_hash_seed();
    enum sw_status status = SW_OK;
    if (options->pid)
        status = process_add(watch, options->pid, err);
    if (status == SW_OK && options->pid && !watch->items[0]->is_open) {
        status = watch->items[0]->refusal.status;
        if (err)
            *err = watch->items[0]->refusal;
    }
    if (status == SW_OK)
        *out = watch;
    else
        sw_python_watch_free(watch);
    return status;
}

void sw_python_watch_free(struct sw_python_watch *watch) {
    if (!watch)
        return;
    for (size_t i = 0; i < watch->count; i++)
        sw_python_process_free(watch->items[i]);
    sw_free(watch->items);
    sw_free(watch->others);
    sw_free(watch->pids);
    pthread_mutex_destroy(&watch->lock);
    sw_free(watch);
}

struct sw_python_view sw_python_watch_lock(struct sw_python_watch *watch) {
    pthread_mutex_lock(&watch->lock);
    struct sw_python_view view = {.processes = watch->items,
                                  .count = watch->count,
                                  .omitted = watch->omitted,
                                  .gil_hz = SW_PYTHON_GIL_HZ / watch->slowness,
                                  .stack_hz = SW_PYTHON_STACK_HZ / watch->slowness,
                                  .share = watch->share};
    for (size_t i = 0; i < watch->count; i++) {
        view.unreadable += watch->items[i]->refusal.status == SW_PERM;
        view.unfit += watch->items[i]->refusal.status == SW_UNSUPPORTED;
    }
    return view;
}

void sw_python_watch_unlock(struct sw_python_watch *watch) {
    pthread_mutex_unlock(&watch->lock);
}

struct sw_python_process *sw_python_view_find(const struct sw_python_view *view, int32_t pid) {
    for (size_t i = 0; i < view->count; i++)
        if (view->processes[i]->target.pid == pid)
            return view->processes[i];
    return NULL;
}
