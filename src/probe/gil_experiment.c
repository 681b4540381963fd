/* gil_experiment.c - Starts the workload and reads the memory it shares; see gil_experiment.h. */
#include "probe/gil_experiment.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define PHASE_TEXT 80
#define NUMBER_TEXT 24

/* The cells of a phase's block: see Block in the workload. */
enum cell {
    CELL_STATE,
    CELL_COUNT,
    CELL_MISSED,
    CELL_START,
    CELL_END,
    CELL_INTERVAL,
    CELL_ROOM,
    CELL_HEARTBEAT,
    CELL_HEAD = 16,
};

struct sw_gil_experiment {
    struct sw_gil_plan plan;
    unsigned workers;     /* the most of any phase */
    size_t room;          /* samples of a phase */
    const int64_t *cells; /* mapped; the subject writes while this side reads */
    size_t size_bytes;    /* of the mapping */
    int memory_fd;
    pid_t pid;                  /* 0 once it is reaped */
    struct sw_gil_worker *seen; /* plan.phase_count rows of `workers` */
};

static int64_t cell_load(const struct sw_gil_experiment *experiment, size_t index) {
    return atomic_load_explicit((const _Atomic int64_t *)&experiment->cells[index], memory_order_acquire);
}

static size_t block_cells(const struct sw_gil_experiment *experiment) {
    return CELL_HEAD + 2 * (size_t)experiment->workers + experiment->room;
}

static enum sw_status plan_check(const struct sw_gil_plan *plan, struct sw_error *err) {
    if (plan->phase_count == 0 || plan->phase_count > SW_GIL_PHASES_MAX)
        return sw_fail(err, SW_INVALID, "cannot run %zu phases; 1 to %d are possible", plan->phase_count,
                       SW_GIL_PHASES_MAX);
    if (plan->period_ns < 100 * SW_NS_PER_US)
        return sw_fail(err, SW_INVALID, "a heartbeat every %lld ns is too fast to be measured; the least is 100us",
                       (long long)plan->period_ns);
    if (plan->duration_ns < 2 * plan->period_ns || plan->duration_ns / plan->period_ns > SW_GIL_SAMPLES_MAX)
        return sw_fail(err, SW_INVALID, "a phase must last for 2 to %d heartbeats", SW_GIL_SAMPLES_MAX);
    for (size_t i = 0; i < plan->phase_count; i++)
        if (plan->phases[i].workers > SW_GIL_WORKERS_MAX)
            return sw_fail(err, SW_INVALID, "cannot run %u workers; at most %d are possible", plan->phases[i].workers,
                           SW_GIL_WORKERS_MAX);
    return SW_OK;
}

static enum sw_status memory_map(struct sw_gil_experiment *experiment, struct sw_error *err) {
    experiment->size_bytes = experiment->plan.phase_count * block_cells(experiment) * sizeof(int64_t);
    experiment->memory_fd = memfd_create("sidewinder-gil", MFD_CLOEXEC);
    if (experiment->memory_fd < 0 || ftruncate(experiment->memory_fd, (off_t)experiment->size_bytes) < 0)
        return sw_fail_errno(err, errno, "cannot make %zu bytes of shared memory", experiment->size_bytes);
    void *cells = mmap(NULL, experiment->size_bytes, PROT_READ, MAP_SHARED, experiment->memory_fd, 0);
    if (cells == MAP_FAILED)
        return sw_fail_errno(err, errno, "cannot map %zu bytes of shared memory", experiment->size_bytes);
    experiment->cells = cells;
    return SW_OK;
}

struct words {
    char path[NUMBER_TEXT + 16], period[NUMBER_TEXT], workers[NUMBER_TEXT];
    char phases[SW_GIL_PHASES_MAX][PHASE_TEXT];
    const char *argv[SW_GIL_PHASES_MAX + 10];
};

/* `script` is the NUL-terminated workload. The phase's name is for people and stays here. */
static void words_fill(const struct sw_gil_experiment *experiment, const char *script, struct words *words) {
    const struct sw_gil_plan *plan = &experiment->plan;
    snprintf(words->path, sizeof words->path, "/proc/self/fd/%d", experiment->memory_fd);
    snprintf(words->period, sizeof words->period, "%lld", (long long)plan->period_ns);
    snprintf(words->workers, sizeof words->workers, "%u", experiment->workers);
    const char *head[] = {plan->python, "-I", "-c", script, words->path, words->period, words->workers, plan->work};
    size_t count = sizeof head / sizeof head[0];
    memcpy(words->argv, head, sizeof head);
    for (size_t i = 0; i < plan->phase_count; i++) {
        snprintf(words->phases[i], PHASE_TEXT, "%zu:%u:%lld:%lld", i, plan->phases[i].workers,
                 (long long)plan->phases[i].switch_interval_ns, (long long)plan->duration_ns);
        words->argv[count++] = words->phases[i];
    }
    words->argv[count] = NULL;
}

/* In the child: never returns. The parent learns of a failed exec through `report_fd`. A group of its own keeps a Ctrl-C
 * at the terminal from it: this side decides when it ends. */
static _Noreturn void child_exec(const struct words *words, int memory_fd, int report_fd, pid_t parent) {
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)setpgid(0, 0);
    (void)fcntl(memory_fd, F_SETFD, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int error_number = getppid() == parent ? 0 : ESRCH;
    if (!error_number) {
        execvp(words->argv[0], (char *const *)words->argv);
        error_number = errno;
    }
    (void)!write(report_fd, &error_number, sizeof error_number);
    _exit(127);
}

static enum sw_status subject_start(struct sw_gil_experiment *experiment, const struct words *words,
                                    struct sw_error *err) {
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return sw_fail_errno(err, errno, "cannot make a pipe for %s", experiment->plan.python);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        child_exec(words, experiment->memory_fd, report[1], parent);
    int fork_error = errno;
    close(report[1]);
    int error_number = 0;
    ssize_t got = pid < 0 ? 0 : read(report[0], &error_number, sizeof error_number);
    close(report[0]);
    if (pid < 0)
        return sw_fail_errno(err, fork_error, "cannot start %s", experiment->plan.python);
    if (got == (ssize_t)sizeof error_number) {
        (void)waitpid(pid, NULL, 0);
        return sw_fail_errno(err, error_number, "cannot start the interpreter %s", experiment->plan.python);
    }
    experiment->pid = pid;
    return SW_OK;
}

enum sw_status sw_gil_experiment_start(struct sw_gil_experiment **experiment, const struct sw_gil_plan *plan,
                                       struct sw_error *err) {
    enum sw_status status = plan_check(plan, err);
    if (status)
        return status;
    struct sw_gil_experiment *made = sw_alloc_zero(sizeof *made);
    struct words *words = sw_alloc_zero(sizeof *words);
    char *script = sw_alloc(plan->script.len + 1);
    if (made)
        made->memory_fd = -1;
    status = made && words && script ? SW_OK : sw_fail(err, SW_NOMEM, "cannot start an experiment: out of memory");
    if (status)
        goto done;
    memcpy(script, plan->script.ptr, plan->script.len);
    script[plan->script.len] = '\0';
    made->plan = *plan;
    made->room = (size_t)(plan->duration_ns / plan->period_ns) + 2;
    for (size_t i = 0; i < plan->phase_count; i++)
        made->workers = plan->phases[i].workers > made->workers ? plan->phases[i].workers : made->workers;
    made->seen = sw_alloc_array_zero(plan->phase_count * (made->workers + 1), sizeof *made->seen);
    status = made->seen ? memory_map(made, err) : sw_fail(err, SW_NOMEM, "cannot start an experiment: out of memory");
    if (status)
        goto done;
    words_fill(made, script, words);
    status = subject_start(made, words, err);
    if (!status) {
        *experiment = made;
        made = NULL;
    }
done:
    sw_gil_experiment_close(made);
    sw_free(words);
    sw_free(script);
    return status;
}

pid_t sw_gil_experiment_pid(const struct sw_gil_experiment *experiment) {
    return experiment->pid;
}

enum sw_status sw_gil_experiment_poll(struct sw_gil_experiment *experiment, struct sw_error *err) {
    int how = 0;
    if (experiment->pid == 0)
        return SW_OK;
    pid_t pid = waitpid(experiment->pid, &how, WNOHANG);
    if (pid == 0)
        return SW_AGAIN;
    experiment->pid = 0;
    if (WIFSIGNALED(how))
        return sw_fail(err, SW_CLOSED, "%s was killed by signal %d (%s)", experiment->plan.python, WTERMSIG(how),
                       strsignal(WTERMSIG(how)));
    if (WEXITSTATUS(how) != 0)
        return sw_fail(err, SW_CLOSED,
                       "%s ended with exit code %d before the experiment was done; is it CPython 3.8 or later?",
                       experiment->plan.python, WEXITSTATUS(how));
    return SW_OK;
}

void sw_gil_experiment_phase(struct sw_gil_experiment *experiment, size_t index, struct sw_gil_phase *phase) {
    size_t at = index * block_cells(experiment);
    const struct sw_gil_phase_plan *plan = &experiment->plan.phases[index];
    struct sw_gil_worker *workers = &experiment->seen[index * (experiment->workers + 1)];
    for (unsigned i = 0; i < plan->workers; i++) {
        workers[i].tid = (int32_t)cell_load(experiment, at + CELL_HEAD + 2 * i);
        workers[i].units = cell_load(experiment, at + CELL_HEAD + 2 * i + 1);
    }
    int64_t state = cell_load(experiment, at + CELL_STATE);
    uint64_t count = (uint64_t)cell_load(experiment, at + CELL_COUNT);
    int64_t end = cell_load(experiment, at + CELL_END);
    *phase = (struct sw_gil_phase){
        .plan = plan,
        .state = state == 2   ? SW_GIL_PHASE_ENDED
                 : state == 1 ? SW_GIL_PHASE_RUNNING
                              : SW_GIL_PHASE_AHEAD,
        .start_mono_ns = cell_load(experiment, at + CELL_START),
        .switch_interval_ns = cell_load(experiment, at + CELL_INTERVAL),
        .heartbeat_tid = (int32_t)cell_load(experiment, at + CELL_HEARTBEAT),
        .workers = workers,
        .latency_ns = &experiment->cells[at + CELL_HEAD + 2 * (size_t)experiment->workers],
        .count = count < experiment->room ? count : experiment->room,
        .missed = (uint64_t)cell_load(experiment, at + CELL_MISSED),
    };
    if (phase->state != SW_GIL_PHASE_AHEAD)
        phase->elapsed_ns = (end > 0 ? end : sw_clock_mono_ns()) - phase->start_mono_ns;
}

void sw_gil_experiment_close(struct sw_gil_experiment *experiment) {
    if (!experiment)
        return;
    if (experiment->pid > 0) {
        (void)kill(experiment->pid, SIGKILL);
        (void)waitpid(experiment->pid, NULL, 0);
    }
    if (experiment->cells)
        (void)munmap((void *)(uintptr_t)experiment->cells, experiment->size_bytes);
    if (experiment->memory_fd >= 0)
        close(experiment->memory_fd);
    sw_free(experiment->seen);
    sw_free(experiment);
}

static int latency_compare(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

enum sw_status sw_gil_latency_of(const struct sw_gil_phase *phase, int64_t sla_ns, struct sw_gil_latency *latency) {
    struct sw_gil_latency made = {NAN, NAN, NAN, NAN, NAN, 0};
    size_t count = phase->count;
    int64_t *sorted = sw_alloc_array(count + 1, sizeof *sorted);
    if (!sorted)
        return SW_NOMEM;
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sorted[i] = phase->latency_ns[i];
        sum += (double)sorted[i];
        made.breaches += sorted[i] > sla_ns;
    }
    qsort(sorted, count, sizeof *sorted, latency_compare);
    if (count > 0) { /* nearest rank */
        made.min = (double)sorted[0];
        made.mean = sum / (double)count;
        size_t middle = (count - 1) / 2;
        made.p50 = (double)sorted[middle];
        made.p99 = (double)sorted[(size_t)ceil(0.99 * (double)count) - 1];
        made.max = (double)sorted[count - 1];
    }
    sw_free(sorted);
    *latency = made;
    return SW_OK;
}
