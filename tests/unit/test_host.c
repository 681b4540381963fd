/* test_host.c - The host reader over a made proc tree with known differences. */
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/host.h"

#define PATH_BYTES 4096

/* The proc tree of a test: a copy of tests/data/proc/first, in a directory of its own. */
struct tree {
    char root[64];
    char data[PATH_BYTES];
};

static void find_data(char out[PATH_BYTES]) {
    const char *slash = strrchr(__FILE__, '/');
    assert_non_null(slash);
    snprintf(out, PATH_BYTES, "%.*s/../data", (int)(slash - __FILE__), __FILE__);
    assert_int_equal(access(out, R_OK), 0);
}

static void put_file(const char *path, const char *bytes, size_t len) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

static void put(const struct tree *tree, const char *path, const char *text) {
    char full[PATH_BYTES];
    snprintf(full, sizeof full, "%s/%s", tree->root, path);
    put_file(full, text, strlen(text));
}

static void copy_file(const char *from, const char *to) {
    char bytes[8192];
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t len = read(fd, bytes, sizeof bytes);
    assert_true(len >= 0 && (size_t)len < sizeof bytes);
    close(fd);
    put_file(to, bytes, (size_t)len);
}

/* Overwrites in place: the reader keeps its files open. */
static void copy_dir(const char *from, const char *to, int depth) {
    assert_true(depth < 6);
    DIR *dir = opendir(from);
    assert_non_null(dir);
    mkdir(to, 0755);
    for (struct dirent *item; (item = readdir(dir)) != NULL;) {
        char source[PATH_BYTES];
        char target[PATH_BYTES];
        struct stat info;
        if (item->d_name[0] == '.') {
            continue;
        }
        assert_true((size_t)snprintf(source, sizeof source, "%s/%s", from, item->d_name) < sizeof source);
        assert_true((size_t)snprintf(target, sizeof target, "%s/%s", to, item->d_name) < sizeof target);
        assert_int_equal(stat(source, &info), 0);
        if (S_ISDIR(info.st_mode)) {
            copy_dir(source, target, depth + 1);
        } else {
            copy_file(source, target);
        }
    }
    closedir(dir);
}

static void remove_dir(const char *path, int depth) {
    assert_true(depth < 6);
    DIR *dir = opendir(path);
    if (!dir) {
        return;
    }
    for (struct dirent *item; (item = readdir(dir)) != NULL;) {
        char inner[PATH_BYTES];
        struct stat info;
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0) {
            continue;
        }
        assert_true((size_t)snprintf(inner, sizeof inner, "%s/%s", path, item->d_name) < sizeof inner);
        if (lstat(inner, &info) == 0 && S_ISDIR(info.st_mode)) {
            remove_dir(inner, depth + 1);
        } else {
            unlink(inner);
        }
    }
    closedir(dir);
    rmdir(path);
}

static void lay(const struct tree *tree, const char *which) {
    char from[PATH_BYTES + 64];
    snprintf(from, sizeof from, "%s/proc/%s", tree->data, which);
    copy_dir(from, tree->root, 0);
}

static void remove_pid(const struct tree *tree, const char *pid) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", tree->root, pid);
    remove_dir(path, 0);
}

static int tree_setup(void **state) {
    struct tree *tree = calloc(1, sizeof *tree);
    assert_non_null(tree);
    snprintf(tree->root, sizeof tree->root, "/tmp/sw-host-XXXXXX");
    assert_non_null(mkdtemp(tree->root));
    find_data(tree->data);
    lay(tree, "first");
    *state = tree;
    return 0;
}

static int tree_teardown(void **state) {
    struct tree *tree = *state;
    remove_dir(tree->root, 0);
    free(tree);
    return 0;
}

/* Every window at its least, so that two reads in a row compare everything. */
static struct sw_host *open_tree(const struct tree *tree, size_t top) {
    char sys_root[PATH_BYTES + 8];
    struct sw_host *host = NULL;
    struct sw_error err;
    snprintf(sys_root, sizeof sys_root, "%s/sys", tree->data);
    struct sw_host_options options = {tree->root, sys_root, top, 1, 1, 1};
    assert_int_equal(sw_host_open(&host, &options, &err), SW_OK);
    return host;
}

static void read_ok(struct sw_host *host, struct sw_host_sample *sample) {
    struct sw_error err = {0};
    if (sw_host_read(host, sample, &err)) {
        fail_msg("%s", err.text);
    }
}

static void assert_near(double value, double expected) {
    if (!(fabs(value - expected) <= 1e-9 * fmax(1, fabs(expected)))) {
        fail_msg("%.12g is not %.12g", value, expected);
    }
}

/* `delta` in the interval of the sample, per second. */
static void assert_rate(const struct sw_host_sample *sample, double value, double delta) {
    assert_near(value, delta / ((double)sample->interval_ns / 1e9));
}

static const struct sw_host_process *find_process(const struct sw_host_sample *sample, int32_t pid) {
    for (size_t i = 0; i < sample->process_count; i++) {
        if (sample->processes[i].pid == pid) {
            return &sample->processes[i];
        }
    }
    return NULL;
}

static struct sw_host_sample read_both(struct tree *tree, struct sw_host *host) {
    struct sw_host_sample sample;
    read_ok(host, &sample);
    remove_pid(tree, "300");
    lay(tree, "second");
    read_ok(host, &sample);
    return sample;
}

static void first_read_has_levels_but_no_rates(void **state) {
    struct sw_host *host = open_tree(*state, 0);
    struct sw_host_sample sample;
    read_ok(host, &sample);
    assert_false(sample.has_rates);
    assert_int_equal(sample.interval_ns, 0);
    assert_true(sample.epoch_ns > 0 && sample.mono_ns > 0);
    assert_int_equal(sample.cpu_count, 3);
    assert_string_equal(sample.cpus[0].name, "all");
    assert_true(isnan(sample.cpus[0].busy));
    const struct sw_host_machine *machine = &sample.machine;
    assert_near(machine->load1, 0.5);
    assert_near(machine->running, 2);
    assert_near(machine->memory_total_bytes, 16000 * 1024);
    assert_true(isnan(machine->page_faults_per_s) && isnan(machine->context_switches_per_s));
    assert_true(isnan(machine->cpu_pressure.some));
    assert_near(machine->processes, 4);
    assert_near(machine->threads, 6);
    assert_int_equal(sample.process_count, 4);
    assert_int_equal(sample.processes[0].pid, 100); /* no CPU known yet: the largest */
    assert_true(isnan(sample.processes[0].cpu) && isnan(sample.processes[0].switches_per_s));
    assert_true(isnan(sample.disks[0].read_bytes_per_s) && isnan(sample.nets[0].rx_bytes_per_s));
    sw_host_close(host);
}

static void cpu_shares_are_of_the_interval(void **state) {
    struct sw_host *host = open_tree(*state, 0);
    struct sw_host_sample sample = read_both(*state, host);
    assert_true(sample.has_rates && sample.interval_ns > 0);
    const struct sw_host_cpu *all = &sample.cpus[0];
    assert_near(all->user, 20 / 1.8);
    assert_near(all->nice, 6 / 1.8);
    assert_near(all->guest, 44 / 1.8);
    assert_near(all->system, 30 / 1.8);
    assert_near(all->idle, 64 / 1.8);
    assert_near(all->iowait, 10 / 1.8);
    assert_near(all->irq, 4 / 1.8);
    assert_near(all->softirq, 2 / 1.8);
    assert_near(all->steal, 0);
    assert_near(all->busy, 100 - 74 / 1.8);
    assert_near(sample.cpus[1].busy, 98);
    assert_near(sample.cpus[1].steal, 1);
    assert_string_equal(sample.cpus[2].name, "cpu1");
    assert_near(sample.cpus[2].busy, 10);
    assert_near(sample.cpus[2].softirq, 0); /* it stepped back by one */
    sw_host_close(host);
}

static void machine_figures_follow_their_files(void **state) {
    struct sw_host *host = open_tree(*state, 0);
    struct sw_host_sample sample = read_both(*state, host);
    const struct sw_host_machine *machine = &sample.machine;
    double page = (double)sysconf(_SC_PAGESIZE);
    assert_near(machine->load15, 0.35);
    assert_near(machine->running, 5);
    assert_near(machine->blocked, 3);
    assert_near(machine->threads_running, 5);
    assert_near(machine->memory_used_bytes, 7000 * 1024);
    assert_near(machine->memory_available_bytes, 9000 * 1024);
    assert_near(machine->memory_cached_bytes, 4100 * 1024);
    assert_near(machine->memory_buffers_bytes, 600 * 1024);
    assert_near(machine->memory_dirty_bytes, 128 * 1024);
    assert_near(machine->swap_total_bytes, 2000 * 1024);
    assert_near(machine->swap_used_bytes, 800 * 1024);
    assert_rate(&sample, machine->page_faults_per_s, 700);
    assert_rate(&sample, machine->major_faults_per_s, 2);
    assert_rate(&sample, machine->swap_in_bytes_per_s, 3 * page);
    assert_rate(&sample, machine->swap_out_bytes_per_s, 5 * page);
    assert_rate(&sample, machine->context_switches_per_s, 2000);
    assert_rate(&sample, machine->interrupts_per_s, 900);
    assert_rate(&sample, machine->forks_per_s, 30);
    double interval_us = (double)sample.interval_ns / 1e3;
    assert_near(machine->cpu_pressure.some, fmin(100, 40 / interval_us * 100));
    assert_near(machine->cpu_pressure.full, 0);
    assert_near(machine->memory_pressure.full, fmin(100, 5 / interval_us * 100));
    assert_near(machine->io_pressure.full, fmin(100, 12 / interval_us * 100));
    sw_host_close(host);
}

static void disks_are_whole_devices(void **state) {
    struct sw_host *host = open_tree(*state, 0);
    struct sw_host_sample sample = read_both(*state, host);
    assert_int_equal(sample.disk_count, 2); /* no loop, no zram, no partition */
    const struct sw_host_disk *disk = &sample.disks[0];
    assert_string_equal(disk->name, "nvme0n1");
    assert_rate(&sample, disk->reads_per_s, 10);
    assert_rate(&sample, disk->writes_per_s, 40);
    assert_rate(&sample, disk->read_bytes_per_s, 400 * 512);
    assert_rate(&sample, disk->write_bytes_per_s, 1000 * 512);
    assert_near(disk->read_latency_ms, 2);
    assert_near(disk->write_latency_ms, 2.5);
    assert_near(disk->in_flight, 3);
    assert_near(disk->utilisation, fmin(100, 1e6 / (double)sample.interval_ns * 100));
    assert_string_equal(sample.disks[1].name, "sda");
    assert_near(sample.disks[1].reads_per_s, 0);
    assert_true(isnan(sample.disks[1].read_latency_ms)); /* nothing completed */
    sw_host_close(host);
}

static void partitions_are_known_by_name_without_sysfs(void **state) {
    struct tree *tree = *state;
    struct sw_host_options options = {tree->root, "/nonexistent", 0, 1, 1, 1};
    struct sw_host *host;
    struct sw_host_sample sample;
    put(tree, "diskstats",
        "254 1 dm-1 1 0 8 1 0 0 0 0 0 1 1\n254 10 dm-10 1 0 8 1 0 0 0 0 0 1 1\n"
        "179 0 mmcblk0 1 0 8 1 0 0 0 0 0 1 1\n179 1 mmcblk0p1 1 0 8 1 0 0 0 0 0 1 1\n"
        "179 8 mmcblk0boot0 1 0 8 1 0 0 0 0 0 1 1\n8 0 sda 1 0 8 1 0 0 0 0 0 1 1\n8 2 sda2 1 0 8 1 0 0 0 0 0 1 1\n");
    assert_int_equal(sw_host_open(&host, &options, NULL), SW_OK);
    read_ok(host, &sample);
    static const char *const names[] = {"dm-1", "dm-10", "mmcblk0", "mmcblk0boot0", "sda"};
    assert_int_equal(sample.disk_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(sample.disks[i].name, names[i]);
    }
    sw_host_close(host);
}

static void virtual_disks_stand_in_for_missing_ones(void **state) {
    struct tree *tree = *state;
    struct sw_host *host = open_tree(tree, 0);
    struct sw_host_sample sample;
    put(tree, "diskstats", "7 0 loop0 5 0 40 1 0 0 0 0 0 1 1\n253 0 zram0 1 0 8 1 0 0 0 0 0 1 1\n");
    read_ok(host, &sample);
    assert_int_equal(sample.disk_count, 2);
    sw_host_close(host);
}

static void interfaces_may_come_and_go(void **state) {
    struct sw_host *host = open_tree(*state, 0);
    struct sw_host_sample sample = read_both(*state, host);
    assert_int_equal(sample.net_count, 3);
    assert_string_equal(sample.nets[0].name, "lo");
    assert_rate(&sample, sample.nets[0].rx_bytes_per_s, 50);
    const struct sw_host_net *net = &sample.nets[1];
    assert_rate(&sample, net->rx_bytes_per_s, 4000);
    assert_rate(&sample, net->tx_bytes_per_s, 1000);
    assert_rate(&sample, net->rx_packets_per_s, 20);
    assert_rate(&sample, net->tx_packets_per_s, 15);
    assert_rate(&sample, net->errors_per_s, 4);
    assert_rate(&sample, net->drops_per_s, 6);
    assert_string_equal(sample.nets[2].name, "new0");
    assert_true(isnan(sample.nets[2].rx_bytes_per_s));
    sw_host_close(host);
}

static void processes_are_ranked_and_measured(void **state) {
    struct sw_host *host = open_tree(*state, 0);
    struct sw_host_sample sample = read_both(*state, host);
    static const int32_t order[] = {500, 200, 100, 400};
    assert_near(sample.machine.processes, 4);
    assert_int_equal(sample.process_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(sample.processes[i].pid, order[i]);
    }
    const struct sw_host_process *busy = &sample.processes[0];
    double tick_percent = 100.0 / (double)sysconf(_SC_CLK_TCK);
    assert_rate(&sample, busy->cpu, 20 * tick_percent);
    assert_rate(&sample, busy->switches_per_s, 5);
    assert_true(isnan(busy->read_bytes_per_s)); /* no such file: not permitted */
    const struct sw_host_process *odd = &sample.processes[1];
    assert_string_equal(odd->name, "my (odd) name");
    assert_rate(&sample, odd->cpu, 7 * tick_percent);
    assert_near(odd->rss_bytes, 600 * (double)sysconf(_SC_PAGESIZE));
    assert_near(odd->threads, 3);
    assert_int_equal(odd->state, 'S');
    assert_rate(&sample, odd->minor_faults_per_s, 60);
    assert_rate(&sample, odd->major_faults_per_s, 3);
    /* Thread 201 ended, 202 went on, 203 is new, and the first did 12: what is known of is counted. */
    assert_rate(&sample, odd->switches_per_s, 12 + 10 + 4);
    assert_rate(&sample, odd->read_bytes_per_s, 500);
    assert_rate(&sample, odd->write_bytes_per_s, 900);
    assert_int_equal(odd->start_ticks, 777);
    assert_int_equal(odd->start_epoch_ns,
                     INT64_C(1700000000000000000) + INT64_C(777) * SW_NS_PER_S / sysconf(_SC_CLK_TCK));
    const struct sw_host_process *idle = &sample.processes[2];
    assert_true(idle->cpu == 0 && idle->switches_per_s == 0 && idle->write_bytes_per_s == 0);
    assert_true(isnan(sample.processes[3].cpu)); /* seen for the first time */
    sw_host_close(host);
}

static void switches_come_from_status_without_scheduling_statistics(void **state) {
    struct tree *tree = *state;
    struct sw_host_sample sample;
    put(tree, "500/schedstat", "0 0 0\n");
    put(tree, "500/status", "Name:\tbusy\nvoluntary_ctxt_switches:\t10\nnonvoluntary_ctxt_switches:\t4\n");
    remove_pid(tree, "200");
    struct sw_host *host = open_tree(tree, 0);
    read_ok(host, &sample);
    assert_true(isnan(find_process(&sample, 500)->switches_per_s));
    put(tree, "500/status", "Name:\tbusy\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t9\n");
    read_ok(host, &sample);
    assert_rate(&sample, find_process(&sample, 500)->switches_per_s, 7);
    sw_host_close(host);
}

static void top_keeps_the_first(void **state) {
    struct sw_host *host = open_tree(*state, 2);
    struct sw_host_sample sample = read_both(*state, host);
    assert_int_equal(sample.process_count, 2);
    assert_int_equal(sample.processes[0].pid, 500);
    assert_int_equal(sample.processes[1].pid, 200);
    assert_near(sample.machine.processes, 4);
    sw_host_close(host);
}

static void a_reused_pid_is_another_process(void **state) {
    struct tree *tree = *state;
    struct sw_host *host = open_tree(tree, 0);
    struct sw_host_sample sample;
    read_ok(host, &sample);
    read_ok(host, &sample);
    assert_near(find_process(&sample, 500)->cpu, 0);
    put(tree, "500/stat", "500 (fresh) S 1 1 1 0 -1 0 9 0 0 0 900 900 0 0 20 0 1 0 5555 1 100 0\n");
    read_ok(host, &sample);
    const struct sw_host_process *process = find_process(&sample, 500);
    assert_string_equal(process->name, "fresh");
    assert_int_equal(process->start_ticks, 5555);
    assert_true(isnan(process->cpu) && isnan(process->minor_faults_per_s) && isnan(process->switches_per_s));
    read_ok(host, &sample);
    assert_near(find_process(&sample, 500)->cpu, 0);
    sw_host_close(host);
}

static void python_is_known_by_its_executable(void **state) {
    struct tree *tree = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/200/exe", tree->root);
    assert_int_equal(symlink("/usr/local/bin/python3.12", path), 0);
    snprintf(path, sizeof path, "%s/500/exe", tree->root);
    assert_int_equal(symlink("/opt/python/bin/busy", path), 0);
    struct sw_host *host = open_tree(tree, 0);
    struct sw_host_sample sample = read_both(tree, host);
    assert_true(find_process(&sample, 200)->is_python);
    assert_false(find_process(&sample, 500)->is_python);
    assert_true(find_process(&sample, 400)->is_python); /* no executable to be seen: by its command name */
    assert_false(find_process(&sample, 100)->is_python);
    /* A process that executes another program keeps its id and its start. */
    snprintf(path, sizeof path, "%s/100/exe", tree->root);
    assert_int_equal(symlink("/usr/bin/python3", path), 0);
    put(tree, "100/stat", "100 (serve) S 1 1 1 0 -1 0 50 0 5 0 10 20 0 0 20 0 1 0 5 1 2000 0\n");
    read_ok(host, &sample);
    assert_true(find_process(&sample, 100)->is_python);
    sw_host_close(host);
}

static void garbage_and_holes_leave_figures_absent(void **state) {
    struct tree *tree = *state;
    struct sw_host *host = open_tree(tree, 0);
    struct sw_host_sample sample;
    read_ok(host, &sample);
    static const char *const files[] = {"stat",        "meminfo",   "vmstat",  "loadavg",  "pressure/cpu",
                                        "pressure/io", "diskstats", "net/dev", "100/stat", "200/task/200/schedstat",
                                        "200/io"};
    static const char *const texts[] = {"", "\n", "cpu", "(((\n)))\n: : :\n",
                                        "cpu  1 2\n8 0 sda 1\nlo:\nsome total=\n"};
    for (size_t text = 0; text < sizeof texts / sizeof *texts; text++) {
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
            put(tree, files[i], texts[text]);
        }
        read_ok(host, &sample);
        assert_true(isnan(sample.machine.memory_total_bytes) && isnan(sample.machine.load1));
        assert_true(isnan(sample.machine.running) && isnan(sample.machine.cpu_pressure.some));
        assert_true(isnan(sample.machine.page_faults_per_s));
        assert_int_equal(sample.cpu_count, 0);
        assert_int_equal(sample.disk_count, 0);
        assert_int_equal(sample.net_count, 0);
        assert_null(find_process(&sample, 100));
        assert_non_null(find_process(&sample, 200));
        assert_near(sample.machine.processes, 4);
    }
    lay(tree, "second");
    sw_host_close(host);
    host = open_tree(tree, 0);
    read_ok(host, &sample);
    assert_non_null(find_process(&sample, 100));
    sw_host_close(host);
}

static void an_empty_root_is_a_machine_without_figures(void **state) {
    char root[] = "/tmp/sw-host-XXXXXX";
    assert_non_null(mkdtemp(root));
    struct sw_host_options options = {.proc_root = root, .sys_root = root};
    struct sw_host *host;
    struct sw_host_sample sample;
    assert_int_equal(sw_host_open(&host, &options, NULL), SW_OK);
    read_ok(host, &sample);
    read_ok(host, &sample);
    assert_int_equal(sample.cpu_count + sample.disk_count + sample.net_count + sample.process_count, 0);
    assert_true(isnan(sample.machine.load1) && isnan(sample.machine.forks_per_s));
    assert_near(sample.machine.processes, 0);
    rmdir(root);
    sw_host_close(host);
    struct sw_error err;
    assert_int_equal(sw_host_open(&host, &options, &err), SW_NOTFOUND);
    assert_non_null(strstr(err.text, root));
}

static void windows_let_the_last_rates_stand(void **state) {
    struct tree *tree = *state;
    /* The least window for what costs much: whether /proc/vmstat does depends on the machine that runs the test. */
    struct sw_host_options options = {tree->root, NULL, 0, INT64_MAX, INT64_MAX, 1};
    struct sw_host *host;
    struct sw_host_sample sample;
    assert_int_equal(sw_host_open(&host, &options, NULL), SW_OK);
    read_ok(host, &sample);
    lay(tree, "second");
    read_ok(host, &sample);
    assert_true(isnan(sample.cpus[0].busy));
    assert_near(sample.machine.running, 2);
    assert_true(isnan(sample.machine.forks_per_s));
    assert_true(isnan(find_process(&sample, 200)->cpu));
    assert_null(find_process(&sample, 400)); /* not looked for yet */
    assert_rate(&sample, sample.machine.page_faults_per_s, 700);
    sw_host_close(host);
}

static void lack_of_memory_fails_cleanly(void **state) {
    struct tree *tree = *state;
    char sys_root[PATH_BYTES + 8];
    snprintf(sys_root, sizeof sys_root, "%s/sys", tree->data);
    struct sw_host_options options = {tree->root, sys_root, 0, 1, 1, 1};
    size_t failures = 0;
    bool is_complete = false;
    for (size_t nth = 1; nth < 100 && !is_complete; nth++) {
        struct sw_host *host = NULL;
        struct sw_host_sample sample = {.interval_ns = -1};
        sw_mem_fail_at(nth);
        enum sw_status status = sw_host_open(&host, &options, NULL);
        for (int i = 0; i < 2 && !status; i++) {
            status = sw_host_read(host, &sample, NULL);
        }
        sw_mem_fail_at(0);
        failures += status == SW_NOMEM;
        assert_true(status == SW_OK || status == SW_NOMEM);
        if (host) { /* and it works again when there is memory */
            read_ok(host, &sample);
            read_ok(host, &sample);
            assert_int_equal(sample.cpu_count, 3);
            assert_int_equal(sample.process_count, 4);
            assert_rate(&sample, find_process(&sample, 200)->switches_per_s, 0);
        }
        is_complete = status == SW_OK && host;
        sw_host_close(host);
    }
    assert_true(is_complete && failures > 10);
}

#define WITH_TREE(test) cmocka_unit_test_setup_teardown(test, tree_setup, tree_teardown)

int main(void) {
    static const struct CMUnitTest tests[] = {
        WITH_TREE(first_read_has_levels_but_no_rates),
        WITH_TREE(cpu_shares_are_of_the_interval),
        WITH_TREE(machine_figures_follow_their_files),
        WITH_TREE(disks_are_whole_devices),
        WITH_TREE(partitions_are_known_by_name_without_sysfs),
        WITH_TREE(virtual_disks_stand_in_for_missing_ones),
        WITH_TREE(interfaces_may_come_and_go),
        WITH_TREE(processes_are_ranked_and_measured),
        WITH_TREE(switches_come_from_status_without_scheduling_statistics),
        WITH_TREE(top_keeps_the_first),
        WITH_TREE(a_reused_pid_is_another_process),
        WITH_TREE(python_is_known_by_its_executable),
        WITH_TREE(garbage_and_holes_leave_figures_absent),
        cmocka_unit_test(an_empty_root_is_a_machine_without_figures),
        WITH_TREE(windows_let_the_last_rates_stand),
        WITH_TREE(lack_of_memory_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
