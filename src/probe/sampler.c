/* sampler.c - Keeps the processes of a sampler and their descendants, waits for the moment, and looks. */
#include "probe/sampler.h"

#include <errno.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "probe/sampler_impl.h"

/* How often a process that is not Python (yet) is looked at again. A look costs about 0.1 ms. */
#define TRY_FIRST_NS SW_NS_PER_MS
#define TRY_FIRST_FOR_NS SW_NS_PER_S
#define TRY_LATER_NS (20 * SW_NS_PER_MS)
/* How often children are looked for: often while a process is new, or not Python, as then it is about to start some. */
#define FAMILY_NS (50 * SW_NS_PER_MS)
#define FAMILY_FIRST_NS (2 * SW_NS_PER_MS)
#define SWEEP_NS (100 * SW_NS_PER_MS)
#define CLOSE_NS (5 * SW_NS_PER_S)
#define ALIVE_NS (200 * SW_NS_PER_MS) /* how soon the end of a process is noticed, however rare the looks are */
/* Below this the kernel's timers wake up too late to be slept for (50 us and more). */
#define SPIN_PERIOD_NS 50000

static void work_at(struct sw_sampler *sampler, int64_t mono_ns) {
    if (mono_ns < sampler->next_work_ns)
        sampler->next_work_ns = mono_ns;
}

static struct sw_sampled *process_by_pid(const struct sw_sampler *sampler, int32_t pid) {
    for (size_t i = 0; i < sampler->process_count; i++)
        if (sampler->processes[i]->target.pid == pid)
            return sampler->processes[i];
    return NULL;
}

static enum sw_status processes_reserve(struct sw_sampler *sampler) {
    if (sampler->process_count < sampler->process_cap)
        return SW_OK;
    size_t cap = sampler->process_cap ? sampler->process_cap * 2 : 8;
    struct sw_sampled **grown = sw_realloc_array(sampler->processes, cap, sizeof(struct sw_sampled *));
    if (!grown)
        return SW_NOMEM;
    sampler->processes = grown;
    sampler->process_cap = cap;
    return SW_OK;
}

static void process_remove(struct sw_sampler *sampler, size_t index) {
    sw_sampled_free(sampler->processes[index]);
    sampler->processes[index] = sampler->processes[--sampler->process_count];
}

/* The interpreter is gone: with its process, or because the process ran exec. */
static void process_lost(struct sw_sampler *sampler, size_t index) {
    struct sw_sampled *process = sampler->processes[index];
    if (!sw_target_is_alive(&process->target)) {
        process_remove(sampler, index);
        return;
    }
    sw_sampled_detach(process);
    process->since_ns = process->next_try_ns = sw_clock_mono_ns();
    work_at(sampler, process->next_try_ns);
}

/* A child, or what a patient caller waits for. A refusal may pass, as between fork and exec, so it is not believed at
 * once. */
static void process_try(struct sw_sampler *sampler, struct sw_sampled *process, int64_t now_ns) {
    struct sw_error err = {0};
    bool is_new = now_ns - process->since_ns < TRY_FIRST_FOR_NS;
    enum sw_status status = sw_sampled_attach(sampler, process, &err);
    process->next_try_ns = now_ns + (is_new ? TRY_FIRST_NS : TRY_LATER_NS);
    if ((status == SW_PERM || status == SW_UNSUPPORTED) && !is_new) {
        process->is_refused = true;
        if (sampler->refusal.status == SW_OK)
            sampler->refusal = err;
    }
}

static bool is_tried(const struct sw_sampler *sampler, const struct sw_sampled *process) {
    return !process->is_live && !process->is_refused &&
           !(process->is_below_python && sampler->options.follow == SW_FOLLOW_TOPMOST);
}

static void child_add(struct sw_sampler *sampler, struct sw_sampled *parent, int32_t pid, int64_t now_ns) {
    struct sw_sampled *child;
    if (process_by_pid(sampler, pid) || sampler->process_count >= SW_SAMPLER_PROCESSES_MAX ||
        processes_reserve(sampler) != SW_OK || sw_sampled_new(&child, pid, NULL) != SW_OK)
        return; /* an ended one, or no memory: it is met again in the next look */
    child->is_below_python = parent->was_live || parent->is_below_python;
    child->since_ns = child->next_try_ns = child->next_family_ns = now_ns;
    sampler->processes[sampler->process_count++] = child;
    work_at(sampler, now_ns);
}

/* Below an interpreter nothing is wanted of SW_FOLLOW_TOPMOST. */
static bool is_parent(const struct sw_sampler *sampler, const struct sw_sampled *process) {
    if (sampler->options.follow == SW_FOLLOW_TOPMOST)
        return !process->was_live && !process->is_below_python;
    return sampler->options.follow == SW_FOLLOW_ALL;
}

static void family_look(struct sw_sampler *sampler, struct sw_sampled *process, int64_t now_ns) {
    bool is_new = !process->is_live && now_ns - process->since_ns < TRY_FIRST_FOR_NS;
    process->next_family_ns = now_ns + (is_new ? FAMILY_FIRST_NS : FAMILY_NS);
    enum sw_status status = sw_family_look(&sampler->family, &process->target);
    for (size_t i = 0; i < sampler->family.count && status == SW_OK; i++)
        child_add(sampler, process, sampler->family.children[i], now_ns);
    if (status == SW_UNSUPPORTED && sampler->refusal.status == SW_OK)
        (void)sw_fail(&sampler->refusal, status,
                      "cannot follow child processes: this kernel does not list them (CONFIG_PROC_CHILDREN)");
}

/* Attaches to what has become Python and finds new children. Sets when that is to be done again. */
static void work(struct sw_sampler *sampler, int64_t now_ns) {
    if (now_ns < sampler->next_work_ns)
        return;
    bool asks_all = sampler->pace.period_ns > ALIVE_NS; /* else the next look finds out */
    sampler->next_work_ns = INT64_MAX;
    for (size_t i = sampler->process_count; i > 0; i--) {
        struct sw_sampled *process = sampler->processes[i - 1];
        if ((asks_all || !process->is_live) && !sw_target_is_alive(&process->target)) {
            process_remove(sampler, i - 1);
            continue;
        }
        sw_sampled_settle(sampler, process);
        if (is_parent(sampler, process) && now_ns >= process->next_family_ns)
            family_look(sampler, process, now_ns);
        if (is_tried(sampler, process) && now_ns >= process->next_try_ns)
            process_try(sampler, process, now_ns);
        if (is_tried(sampler, process))
            work_at(sampler, process->next_try_ns);
        else if (asks_all || !process->is_live)
            work_at(sampler, now_ns + ALIVE_NS);
        if (is_parent(sampler, process))
            work_at(sampler, process->next_family_ns);
    }
}

/* After exec what was the runtime's place is not mapped any more, or is something else. */
static bool is_same_program(const struct sw_sampled *process) {
    uint64_t word;
    return sw_target_read_u64(&process->target, process->runtime.address, &word) == SW_OK;
}

/* From time to time, and after a failure: lets go of interpreters that exec replaced, and of files of threads that ended. */
static void sweep(struct sw_sampler *sampler, int64_t now_ns) {
    if (now_ns < sampler->next_sweep_ns)
        return;
    sampler->next_sweep_ns = now_ns + SWEEP_NS;
    for (size_t i = sampler->process_count; i > 0; i--) {
        struct sw_sampled *process = sampler->processes[i - 1];
        if (process->is_live && !is_same_program(process))
            process_lost(sampler, i - 1);
        else if (process->is_live && now_ns >= process->next_close_ns) {
            process->next_close_ns = now_ns + CLOSE_NS;
            sw_thread_watch_sweep(process->watch);
        }
    }
}

/* False when a signal came. */
static bool sleep_until(struct sw_sampler *sampler, int64_t mono_ns) {
    struct timespec at = {.tv_sec = mono_ns / SW_NS_PER_S, .tv_nsec = mono_ns % SW_NS_PER_S};
    if (!sampler->has_timer_slack) {
        sampler->has_timer_slack = true;
        (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* of this thread; 50 us otherwise */
    }
    if (sampler->pace.period_ns < SPIN_PERIOD_NS && mono_ns - sw_clock_mono_ns() < 2 * SPIN_PERIOD_NS) {
        while (sw_clock_mono_ns() < mono_ns)
            ;
        return true;
    }
    return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != EINTR;
}

/* The counts since the last take. */
static struct sw_profile_about about_make(const struct sw_sampler *sampler) {
    static const char *const names[] = {
        [SW_SAMPLE_CPU] = "cpu", [SW_SAMPLE_GIL] = "gil", [SW_SAMPLE_WAIT] = "wait", [SW_SAMPLE_WALL] = "wall"};
    const struct sw_sampler_counts *now = &sampler->counts, *then = &sampler->taken;
    int64_t start_ns = then->last_mono_ns ? then->last_mono_ns : now->first_mono_ns;
    return (struct sw_profile_about){
        .start_epoch_ns = start_ns ? now->first_epoch_ns + (start_ns - now->first_mono_ns) : 0,
        .duration_ns = start_ns ? now->last_mono_ns - start_ns : 0,
        .rate_hz = sampler->options.rate_hz,
        .exact = now->exact - then->exact,
        .partial = now->partial - then->partial,
        .failed = now->failed - then->failed,
        .what = sw_str_from(names[sampler->options.what]),
    };
}

enum sw_status sw_sampler_new(struct sw_sampler **out, const struct sw_sampler_options *options) {
    double rate_hz = options->rate_hz == 0 ? SW_SAMPLER_RATE_HZ : options->rate_hz;
    if (!(rate_hz > 0) || rate_hz > SW_SAMPLER_RATE_MAX_HZ)
        return SW_INVALID;
    struct sw_sampler *sampler = sw_alloc_zero(sizeof *sampler);
    if (!sampler)
        return SW_NOMEM;
    sampler->look = options->has_native ? sw_alloc(sizeof *sampler->look) : NULL;
    if (options->has_native && !sampler->look) {
        sw_free(sampler);
        return SW_NOMEM;
    }
    sampler->options = *options;
    sampler->options.rate_hz = rate_hz;
    if (!sampler->options.seed)
        sampler->options.seed = sw_hash_seed();
    sampler->generation = 1;
    sampler->profile.keeps_samples = options->keeps_samples;
    sampler->next_work_ns = INT64_MAX;
    double period_ns = 1e9 / rate_hz;
    sw_pace_init(&sampler->pace, period_ns < 1e17 ? (int64_t)period_ns : (int64_t)1e17, sw_clock_mono_ns(),
                 sampler->options.seed);
    *out = sampler;
    return SW_OK;
}

void sw_sampler_free(struct sw_sampler *sampler) {
    if (!sampler)
        return;
    while (sampler->process_count)
        process_remove(sampler, sampler->process_count - 1);
    sw_free(sampler->processes);
    sw_free(sampler->look);
    sw_profile_release(&sampler->profile);
    sw_family_release(&sampler->family);
    sw_free(sampler);
}

enum sw_status sw_sampler_add(struct sw_sampler *sampler, int32_t pid, bool is_patient, struct sw_error *err) {
    struct sw_sampled *process;
    struct sw_error reason = {0};
    if (process_by_pid(sampler, pid))
        return SW_OK;
    if (sampler->process_count >= SW_SAMPLER_PROCESSES_MAX)
        return sw_fail(err, SW_LIMIT, "cannot sample more than %d processes", SW_SAMPLER_PROCESSES_MAX);
    if (processes_reserve(sampler) != SW_OK)
        return sw_fail(err, SW_NOMEM, "cannot look at process %d: out of memory", (int)pid);
    enum sw_status status = sw_sampled_new(&process, pid, err);
    if (status != SW_OK)
        return status;
    status = sw_sampled_attach(sampler, process, &reason);
    bool may_become = status == SW_NOTFOUND && (is_patient || sampler->options.follow != SW_FOLLOW_NONE);
    if (status != SW_OK && !may_become && !(is_patient && status != SW_NOMEM)) {
        sw_sampled_free(process);
        return sw_fail(err, status, "%s", reason.text);
    }
    process->since_ns = process->next_try_ns = process->next_family_ns = sw_clock_mono_ns();
    sampler->processes[sampler->process_count++] = process;
    work_at(sampler, process->since_ns);
    return SW_OK;
}

bool sw_sampler_wait(struct sw_sampler *sampler, int64_t until_mono_ns) {
    for (;;) {
        int64_t now_ns = sw_clock_mono_ns();
        work(sampler, now_ns);
        if (now_ns >= sampler->pace.due_ns)
            return true;
        if (now_ns >= until_mono_ns)
            return false;
        int64_t wake_ns = sampler->pace.due_ns < until_mono_ns ? sampler->pace.due_ns : until_mono_ns;
        if (sampler->next_work_ns < wake_ns)
            wake_ns = sampler->next_work_ns;
        if (!sleep_until(sampler, wake_ns))
            return false;
    }
}

enum sw_status sw_sampler_look(struct sw_sampler *sampler) {
    int64_t now_ns = sw_clock_mono_ns();
    struct sw_moment moment = {.mono_ns = now_ns,
                               .epoch_minus_mono_ns = sw_clock_epoch_ns() - now_ns,
                               .weight_ns = sw_pace_take(&sampler->pace, now_ns)};
    uint64_t failed = sampler->counts.failed;
    for (size_t i = sampler->process_count; i > 0; i--) {
        struct sw_sampled *process = sampler->processes[i - 1];
        struct sw_moment its = moment;
        if (!process->is_live)
            continue;
        if (process->seen.looks == 0 && its.weight_ns > sampler->pace.period_ns)
            its.weight_ns = sampler->pace.period_ns; /* what came before it was attached to is not its own */
        enum sw_status status = sw_sampled_look(sampler, process, &its);
        if (status == SW_CLOSED)
            process_lost(sampler, i - 1);
        else if (status != SW_OK)
            return status;
    }
    if (sampler->counts.failed != failed)
        sampler->next_sweep_ns = now_ns;
    sweep(sampler, now_ns);
    if (sampler->counts.first_mono_ns)
        sampler->counts.last_mono_ns = now_ns > sampler->counts.first_mono_ns ? now_ns : sampler->counts.first_mono_ns;
    return sampler->process_count ? SW_OK : SW_CLOSED;
}

struct sw_sampler_counts sw_sampler_counts(const struct sw_sampler *sampler) {
    struct sw_sampler_counts counts = sampler->counts;
    counts.looks = sampler->pace.looks;
    counts.missed = sampler->pace.missed;
    counts.unobserved_ns = sampler->pace.unobserved_ns;
    return counts;
}

size_t sw_sampler_process_count(const struct sw_sampler *sampler) {
    return sampler->process_count;
}

struct sw_sampler_process sw_sampler_process(const struct sw_sampler *sampler, size_t index) {
    const struct sw_sampled *process = sampler->processes[index];
    struct sw_sampler_process seen = process->seen;
    seen.is_live = process->is_live;
    seen.version = process->is_live ? process->runtime.version_text : "";
    seen.command = sw_buf_view(&process->command);
    return seen;
}

bool sw_sampler_has_live(const struct sw_sampler *sampler) {
    for (size_t i = 0; i < sampler->process_count; i++)
        if (sampler->processes[i]->is_live)
            return true;
    return false;
}

uint64_t sw_sampler_attached(const struct sw_sampler *sampler) {
    return sampler->attached;
}

const struct sw_error *sw_sampler_refusal(const struct sw_sampler *sampler) {
    return sampler->refusal.status == SW_OK ? NULL : &sampler->refusal;
}

const struct sw_profile *sw_sampler_profile(const struct sw_sampler *sampler) {
    return &sampler->profile;
}

enum sw_status sw_sampler_take(struct sw_sampler *sampler, struct sw_profile *profile) {
    struct sw_profile_about about = about_make(sampler);
    enum sw_status status = sw_profile_describe(&sampler->profile, &about);
    if (status != SW_OK)
        return status;
    *profile = sampler->profile;
    sampler->profile = (struct sw_profile){.keeps_samples = sampler->options.keeps_samples};
    sampler->generation++;
    sampler->taken = sampler->counts;
    return SW_OK;
}
