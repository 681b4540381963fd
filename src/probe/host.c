/* host.c - Opens the kernel's files and reads them all into one sample. */
#include "probe/host.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/host_impl.h"

#define DEFAULT_TOP 50
#define DEFAULT_SCAN_NS (900 * SW_NS_PER_MS)
#define DEFAULT_CPU_WINDOW_NS (45 * SW_NS_PER_MS)
#define DEFAULT_DETAIL_WINDOW_NS (450 * SW_NS_PER_MS)

static const char *const file_paths[SW_HOST_FILES] = {
    [SW_HOST_STAT] = "stat",          [SW_HOST_MEMINFO] = "meminfo",      [SW_HOST_VMSTAT] = "vmstat",
    [SW_HOST_LOADAVG] = "loadavg",    [SW_HOST_PSI_CPU] = "pressure/cpu", [SW_HOST_PSI_MEMORY] = "pressure/memory",
    [SW_HOST_PSI_IO] = "pressure/io", [SW_HOST_DISKSTATS] = "diskstats",  [SW_HOST_NETDEV] = "net/dev",
};

static int64_t chosen(int64_t value, int64_t otherwise) {
    return value > 0 ? value : otherwise;
}

static int open_block_dir(const char *sys_root) {
    char path[4096];
    int len = snprintf(path, sizeof path, "%s/block", sys_root);
    return len > 0 && (size_t)len < sizeof path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

/* The clocks know the time of boot to the nanosecond, but only of the machine this runs on; btime is in seconds. */
static int64_t find_boot_epoch_ns(struct sw_host *host) {
    struct timespec since_boot;
    if (host->process.has_clocks && clock_gettime(CLOCK_BOOTTIME, &since_boot) == 0) {
        return sw_clock_epoch_ns() - since_boot.tv_sec * SW_NS_PER_S - since_boot.tv_nsec;
    }
    double keys[SW_HOST_STAT_KEYS];
    sw_host_parse_stat(sw_host_read_text(host->fds[SW_HOST_STAT], &host->text), keys);
    double btime_s = keys[SW_HOST_BTIME];
    return btime_s < 9e9 ? (int64_t)btime_s * SW_NS_PER_S : 0; /* false for NAN too */
}

static void init(struct sw_host *host, const struct sw_host_options *options) {
    host->top = options->top ? options->top : DEFAULT_TOP;
    host->scan_ns = chosen(options->scan_ns, DEFAULT_SCAN_NS);
    host->cpu_window_ns = chosen(options->cpu_window_ns, DEFAULT_CPU_WINDOW_NS);
    host->detail_window_ns = chosen(options->detail_window_ns, DEFAULT_DETAIL_WINDOW_NS);
    host->tick_ns = 1e9 / (double)sysconf(_SC_CLK_TCK);
    host->page_bytes = (double)sysconf(_SC_PAGESIZE);
    host->block_fd = open_block_dir(options->sys_root ? options->sys_root : "/sys");
    for (int i = 0; i < SW_HOST_FILES; i++) {
        host->fds[i] = sw_host_open_at(host->proc_fd, file_paths[i]);
    }
    sw_host_process_init(host);
    host->boot_epoch_ns = find_boot_epoch_ns(host);
}

enum sw_status sw_host_open(struct sw_host **host, const struct sw_host_options *options, struct sw_error *err) {
    static const struct sw_host_options defaults;
    options = options ? options : &defaults;
    const char *proc_root = options->proc_root ? options->proc_root : "/proc";
    int proc_fd = open(proc_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc_fd < 0) {
        return sw_fail_errno(err, errno, "cannot open %s", proc_root);
    }
    struct sw_host *opened = sw_alloc_zero(sizeof *opened);
    if (!opened) {
        close(proc_fd);
        return sw_fail(err, SW_NOMEM, "cannot open %s: out of memory", proc_root);
    }
    opened->proc_fd = proc_fd;
    init(opened, options);
    *host = opened;
    return SW_OK;
}

static void fill_machine(const struct sw_host *host, struct sw_host_machine *machine) {
    const struct sw_host_cpu_state *cpu = &host->cpu;
    machine->running = cpu->keys[SW_HOST_RUNNING];
    machine->blocked = cpu->keys[SW_HOST_BLOCKED];
    machine->context_switches_per_s = cpu->switches_per_s;
    machine->interrupts_per_s = cpu->interrupts_per_s;
    machine->forks_per_s = cpu->forks_per_s;
    machine->processes = (double)host->process.entry_count;
    machine->threads = host->process.threads;
}

enum sw_status sw_host_read(struct sw_host *host, struct sw_host_sample *sample, struct sw_error *err) {
    struct sw_host_sample now = {.epoch_ns = sw_clock_epoch_ns(), .mono_ns = sw_clock_mono_ns()};
    if (now.mono_ns <= host->at_ns) {
        now.mono_ns = host->at_ns + 1;
    }
    host->beat++;
    /* First the CPU figures: they tell whether there were forks. */
    if (sw_host_cpu_read(host, now.mono_ns) || sw_host_disk_read(host, now.mono_ns) ||
        sw_host_net_read(host, now.mono_ns)) {
        return sw_fail(err, SW_NOMEM, "cannot read the host's figures: out of memory");
    }
    enum sw_status status = sw_host_process_read(host, now.mono_ns, err);
    if (status) {
        return status;
    }
    sw_host_memory_read(host, now.mono_ns, &now.machine);
    sw_host_pressure_read(host, now.mono_ns, &now.machine);
    fill_machine(host, &now.machine);
    now.has_rates = host->at_ns != 0;
    now.interval_ns = now.has_rates ? now.mono_ns - host->at_ns : 0;
    now.cpus = host->cpu.cpus;
    now.cpu_count = host->cpu.cpu_count;
    now.disks = host->disk.disks;
    now.disk_count = host->disk.disk_count;
    now.nets = host->net.nets;
    now.net_count = host->net.net_count;
    now.processes = host->process.processes;
    now.process_count = host->process.top_count;
    host->at_ns = now.mono_ns;
    *sample = now;
    return SW_OK;
}

void sw_host_close(struct sw_host *host) {
    if (!host) {
        return;
    }
    sw_host_process_release(&host->process);
    sw_host_cpu_release(&host->cpu);
    sw_host_disk_release(&host->disk);
    sw_host_net_release(&host->net);
    sw_buf_release(&host->text);
    for (int i = 0; i < SW_HOST_FILES; i++) {
        if (host->fds[i] >= 0) {
            close(host->fds[i]);
        }
    }
    if (host->block_fd >= 0) {
        close(host->block_fd);
    }
    close(host->proc_fd);
    sw_free(host);
}
