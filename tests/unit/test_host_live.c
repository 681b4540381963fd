/* test_host_live.c - The host reader over this machine: processes whose doings are known. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "probe/host.h"

#define PATIENCE_NS (60 * SW_NS_PER_S) /* how long a test waits for what must come */

static void read_ok(struct sw_host *host, struct sw_host_sample *sample) {
    struct sw_error err = {0};
    if (sw_host_read(host, sample, &err)) {
        fail_msg("%s", err.text);
    }
}

static const struct sw_host_process *find_process(const struct sw_host_sample *sample, int32_t pid) {
    for (size_t i = 0; i < sample->process_count; i++) {
        if (sample->processes[i].pid == pid) {
            return &sample->processes[i];
        }
    }
    return NULL;
}

static double used_cpu_s(void) {
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void burn_cpu(double seconds) {
    volatile unsigned spun = 0;
    for (double until = used_cpu_s() + seconds; used_cpu_s() < until;) {
        for (int i = 0; i < 100000; i++) {
            spun = spun + 1;
        }
    }
}

static void this_process_shows_the_cpu_it_used(void **state) {
    struct sw_host_options options = {.top = 100000, .detail_window_ns = 1};
    struct sw_host *host;
    struct sw_host_sample sample;
    assert_int_equal(sw_host_open(&host, &options, NULL), SW_OK);
    double first_s = used_cpu_s();
    read_ok(host, &sample);
    const struct sw_host_process *self = find_process(&sample, getpid());
    assert_non_null(self);
    int64_t age_ns = sample.epoch_ns - self->start_epoch_ns;
    assert_true(age_ns > -SW_NS_PER_S && age_ns < 3600 * SW_NS_PER_S);
    double before_s = used_cpu_s();
    burn_cpu(0.3);
    double spent_s = used_cpu_s() - before_s;
    read_ok(host, &sample);
    self = find_process(&sample, getpid());
    assert_non_null(self);
    double seen_s = self->cpu / 100 * (double)sample.interval_ns / 1e9;
    double most_s = used_cpu_s() - first_s; /* with what the reads took, which is partly seen */
    if (!(seen_s > spent_s - 0.05 && seen_s < most_s + 0.05)) {
        fail_msg("used %.3f to %.3f s of CPU, seen %.3f s", spent_s, most_s, seen_s);
    }
    assert_true(self->rss_bytes > 100000 && self->threads >= 1);
    assert_true(self->state == 'R');
    assert_true(sample.cpu_count >= 2 && sample.cpus[0].busy > 0 && sample.cpus[0].busy <= 100);
    assert_true(sample.machine.memory_total_bytes > sample.machine.memory_available_bytes);
    assert_true(sample.machine.context_switches_per_s > 0 && sample.machine.page_faults_per_s >= 0);
    assert_true(sample.machine.processes >= 1 && sample.machine.threads >= sample.machine.processes * 0.9);
    for (size_t i = 1; i < sample.process_count; i++) {
        assert_true(!(sample.processes[i - 1].cpu < sample.processes[i].cpu));
    }
    sw_host_close(host);
}

static void children_come_and_go(void **state) {
    struct sw_host_options options = {.top = 100000, .scan_ns = 1, .cpu_window_ns = 1, .detail_window_ns = 1};
    struct sw_host *host;
    struct sw_host_sample sample;
    assert_int_equal(sw_host_open(&host, &options, NULL), SW_OK);
    read_ok(host, &sample);
    int blocked[2];
    assert_int_equal(pipe(blocked), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;
        close(blocked[1]);
        _exit(read(blocked[0], &byte, 1) == 0 ? 0 : 1);
    }
    read_ok(host, &sample);
    const struct sw_host_process *seen = find_process(&sample, child);
    assert_non_null(seen);
    assert_true(isnan(seen->cpu));
    int64_t deadline_ns = sw_clock_mono_ns() + PATIENCE_NS;
    while ((isnan(seen->cpu) || seen->state != 'S') && sw_clock_mono_ns() < deadline_ns) {
        sw_clock_sleep_ns(5 * SW_NS_PER_MS);
        read_ok(host, &sample);
        seen = find_process(&sample, child);
        assert_non_null(seen);
    }
    assert_true(seen->state == 'S' && seen->cpu >= 0 && seen->minor_faults_per_s >= 0);
    close(blocked[0]);
    close(blocked[1]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    read_ok(host, &sample);
    assert_null(find_process(&sample, child));
    sw_host_close(host);
}

struct worker {
    pid_t pid;
    atomic_bool *may_rest; /* shared: until it is set, the worker spins; then it sleeps */
};

static struct worker start_worker(void) {
    struct worker worker;
    worker.may_rest = mmap(NULL, sizeof *worker.may_rest, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(worker.may_rest, MAP_FAILED);
    atomic_init(worker.may_rest, false);
    worker.pid = fork();
    assert_true(worker.pid >= 0);
    if (worker.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test fail */
        while (!atomic_load(worker.may_rest)) {
        }
        for (;;) {
            pause();
        }
    }
    return worker;
}

/* By the kernel's word, not the reader's. */
static void wait_until_asleep(pid_t pid) {
    char path[32];
    char text[512];
    char state = '?';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    for (int64_t deadline_ns = sw_clock_mono_ns() + PATIENCE_NS; state != 'S';) {
        assert_true(sw_clock_mono_ns() < deadline_ns);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        assert_non_null(fgets(text, sizeof text, file));
        fclose(file);
        const char *bracket = strrchr(text, ')');
        assert_non_null(bracket);
        state = bracket[2];
        sw_clock_sleep_ns(SW_NS_PER_MS);
    }
}

static void stop_worker(struct worker *worker) {
    kill(worker->pid, SIGKILL);
    waitpid(worker->pid, NULL, 0);
    munmap(worker->may_rest, sizeof *worker->may_rest);
}

/* One that fell asleep is looked at once more at once, not only when all are (after 0.75 s). */
static void a_process_that_stops_is_seen_asleep(void **state) {
    struct sw_host_options options = {.top = 100000};
    struct sw_host *host;
    struct sw_host_sample sample;
    struct worker worker = start_worker();
    assert_int_equal(sw_host_open(&host, &options, NULL), SW_OK);
    read_ok(host, &sample);
    const struct sw_host_process *seen = find_process(&sample, worker.pid);
    int64_t deadline_ns = sw_clock_mono_ns() + PATIENCE_NS;
    while (!(seen && seen->cpu > 0) && sw_clock_mono_ns() < deadline_ns) {
        sw_clock_sleep_ns(5 * SW_NS_PER_MS);
        read_ok(host, &sample);
        seen = find_process(&sample, worker.pid);
    }
    assert_true(seen && seen->cpu > 0 && seen->state == 'R');
    atomic_store(worker.may_rest, true);
    wait_until_asleep(worker.pid);
    for (int reads = 0, idle = 0; reads < 2000 && idle < 100 && seen->state != 'S'; reads++) {
        sw_clock_sleep_ns(5 * SW_NS_PER_MS);
        read_ok(host, &sample);
        seen = find_process(&sample, worker.pid);
        assert_non_null(seen);
        idle += seen->cpu == 0;
    }
    assert_int_equal(seen->state, 'S');
    sw_host_close(host);
    stop_worker(&worker);
}

/* Without a new listing: a process that is gone is missed when it is measured. */
static void a_dead_process_is_not_counted(void **state) {
    struct sw_host_options options = {.top = 100000, .scan_ns = INT64_MAX};
    struct sw_host *host;
    struct sw_host_sample sample;
    struct worker worker = start_worker();
    assert_int_equal(sw_host_open(&host, &options, NULL), SW_OK);
    read_ok(host, &sample);
    assert_non_null(find_process(&sample, worker.pid));
    double before = sample.machine.processes;
    stop_worker(&worker);
    read_ok(host, &sample);
    assert_null(find_process(&sample, worker.pid));
    assert_true(sample.machine.processes < before);
    sw_host_close(host);
}

static size_t count_fds(void) {
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir)) {
        count++;
    }
    closedir(dir);
    return count;
}

static void few_descriptors_are_enough(void **state) {
    enum { CHILDREN = 40, LIMIT = 64 };
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit low = {LIMIT, before.rlim_max};
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test fail */
            for (;;) {
                pause();
            }
        }
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    size_t open_before = count_fds();
    struct sw_host_options options = {.top = 100000, .scan_ns = 1};
    struct sw_host *host;
    struct sw_host_sample sample;
    assert_int_equal(sw_host_open(&host, &options, NULL), SW_OK);
    for (int i = 0; i < 3; i++) {
        read_ok(host, &sample);
        for (int child = 0; child < CHILDREN; child++) {
            assert_non_null(find_process(&sample, children[child]));
        }
    }
    assert_true(count_fds() <= open_before + LIMIT / 4 + 11); /* 9 files, 2 directories */
    sw_host_close(host);
    assert_int_equal(count_fds(), open_before);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < CHILDREN; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_process_shows_the_cpu_it_used),  cmocka_unit_test(children_come_and_go),
        cmocka_unit_test(a_process_that_stops_is_seen_asleep), cmocka_unit_test(a_dead_process_is_not_counted),
        cmocka_unit_test(few_descriptors_are_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
