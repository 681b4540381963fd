/* host_process.c - The table of processes: CPU, memory and faults of every one, at each read.
 *
 * Reading /proc/PID/stat costs 2 us, 4 with opening it; reading a process's CPU clock costs 0.2 us and says at once
 * that a sleeping process did nothing. So the clock is read always, and stat only of processes that ran, of those that
 * just stopped, and of the rest about once a second: 0.65 ms a read instead of 1.75 with 280 processes.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/host_impl.h"

#define STAT_BYTES 1024 /* 52 numbers and a name */
#define MAX_STAT_FDS 1024
#define STEAL_LOOKS 16
#define REFRESH_NS (750 * SW_NS_PER_MS)
#define REFRESH_SPREAD_NS (4 * SW_NS_PER_MS) /* times 0..63 by pid, so that they do not fall into one read */

enum outcome { READ_OK, READ_BAD, READ_GONE };

/* The kernel's encoding of "the CPU time of process `pid`" as a clock; clock_getcpuclockid(3) asks it twice. */
static bool read_clock(int32_t pid, double *cpu_ns) {
    struct timespec time;
    clockid_t clock = (clockid_t)((~(uint32_t)pid << 3) | 2);
    if (clock_gettime(clock, &time)) {
        return false;
    }
    *cpu_ns = (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
    return true;
}

static void close_stat(struct sw_host_process_state *state, struct sw_host_entry *entry) {
    if (entry->stat_fd >= 0) {
        close(entry->stat_fd);
        entry->stat_fd = -1;
        state->fds_open--;
    }
}

struct sw_host_entry *sw_host_entry_new(const struct sw_host *host, int32_t pid) {
    struct sw_host_entry *entry = sw_alloc_zero(sizeof *entry);
    if (entry) {
        entry->pid = pid;
        entry->stat_fd = -1;
        entry->has_clock = host->process.has_clocks;
        entry->cpu_ns = entry->cpu = entry->minor_per_s = entry->major_per_s = NAN;
        sw_host_detail_forget(&entry->detail);
    }
    return entry;
}

void sw_host_entry_free(struct sw_host_process_state *state, struct sw_host_entry *entry) {
    close_stat(state, entry);
    sw_free(entry->detail.threads.threads);
    sw_free(entry);
}

/* At the cap, a process that runs takes the descriptor of one that does not. */
static bool may_keep_fd(struct sw_host_process_state *state) {
    for (int look = 0; state->fds_open >= state->fds_max && look < STEAL_LOOKS && state->entry_count > 0; look++) {
        state->steal_at = (state->steal_at + 1) % state->entry_count;
        if (!state->entries[state->steal_at]->was_active) {
            close_stat(state, state->entries[state->steal_at]);
        }
    }
    return state->fds_open < state->fds_max;
}

static enum outcome outcome_of(int error_number) {
    return error_number == ENOENT || error_number == ESRCH ? READ_GONE : READ_BAD;
}

static enum outcome open_stat(struct sw_host *host, struct sw_host_entry *entry, char *text, ptrdiff_t *len) {
    char path[32];
    snprintf(path, sizeof path, "%d/stat", (int)entry->pid);
    int fd = sw_host_open_at(host->proc_fd, path);
    if (fd < 0) {
        return outcome_of(errno);
    }
    *len = sw_host_read_small(fd, text, STAT_BYTES);
    enum outcome outcome = *len < 0 ? outcome_of(errno) : READ_OK;
    if (outcome == READ_OK && may_keep_fd(&host->process)) {
        entry->stat_fd = fd;
        host->process.fds_open++;
    } else {
        close(fd);
    }
    return outcome;
}

static enum outcome read_stat(struct sw_host *host, struct sw_host_entry *entry, struct sw_host_pid_stat *stat) {
    char text[STAT_BYTES];
    ptrdiff_t len = -1;
    if (entry->stat_fd >= 0) {
        len = sw_host_read_small(entry->stat_fd, text, sizeof text);
        if (len <= 0) {
            close_stat(&host->process, entry); /* that process is gone, but its id may have been given again */
        }
    }
    if (entry->stat_fd < 0) {
        enum outcome outcome = open_stat(host, entry, text, &len);
        if (outcome != READ_OK) {
            return outcome;
        }
    }
    bool is_ok = sw_host_parse_pid_stat(sw_str_make(text, (size_t)len), stat) && stat->pid == entry->pid;
    return is_ok ? READ_OK : READ_BAD;
}

static bool has_python_name(const char *name) {
    return strncmp(name, "python", 6) == 0;
}

/* Where the executable may not be seen (another user's process), its command name has to do. */
static bool find_is_python(const struct sw_host *host, const struct sw_host_pid_stat *stat) {
    char path[32];
    char target[4096];
    snprintf(path, sizeof path, "%d/exe", (int)stat->pid);
    ssize_t len = readlinkat(host->proc_fd, path, target, sizeof target - 1);
    if (len <= 0) {
        return has_python_name(stat->name);
    }
    target[len] = '\0';
    const char *slash = strrchr(target, '/');
    return has_python_name(slash ? slash + 1 : target);
}

static int64_t start_epoch_ns(const struct sw_host *host, const struct sw_host_pid_stat *stat) {
    double since_boot_ns = (double)stat->start_ticks * host->tick_ns;
    int64_t epoch_ns;
    bool is_known = host->boot_epoch_ns != 0 && since_boot_ns < (double)INT64_MAX;
    return is_known && !__builtin_add_overflow(host->boot_epoch_ns, (int64_t)since_boot_ns, &epoch_ns) ? epoch_ns : 0;
}

/* Another process than before has this id, or it is the first look at it. */
static void adopt(const struct sw_host *host, struct sw_host_entry *entry, const struct sw_host_pid_stat *stat) {
    entry->cpu_at_ns = 0;
    entry->cpu = entry->minor_per_s = entry->major_per_s = NAN;
    entry->start_epoch_ns = start_epoch_ns(host, stat);
    entry->is_python = find_is_python(host, stat);
    sw_host_detail_forget(&entry->detail);
}

/* With a clock, all faults since the last look at stat fell into the last interval: before it, it did not run. */
static void take_stat(struct sw_host *host, struct sw_host_entry *entry, const struct sw_host_pid_stat *stat,
                      int64_t now_ns) {
    if (!entry->has_stat || entry->stat.start_ticks != stat->start_ticks) {
        adopt(host, entry, stat);
    } else {
        int64_t since_ns = entry->stat_at_ns;
        if (entry->has_clock && host->process.at_ns > since_ns) {
            since_ns = host->process.at_ns;
        }
        double elapsed_s = sw_host_elapsed_s(since_ns, now_ns);
        entry->minor_per_s = sw_host_rate(entry->stat.minor_faults, stat->minor_faults, elapsed_s);
        entry->major_per_s = sw_host_rate(entry->stat.major_faults, stat->major_faults, elapsed_s);
        if (strcmp(entry->stat.name, stat->name) != 0) {
            entry->is_python = find_is_python(host, stat); /* it may have executed another program */
        }
    }
    entry->stat = *stat;
    entry->has_stat = true;
}

static void take_cpu(struct sw_host_entry *entry, double cpu_ns, int64_t now_ns) {
    entry->cpu = sw_host_rate(entry->cpu_ns, cpu_ns, sw_host_elapsed_s(entry->cpu_at_ns, now_ns)) / 1e7;
    entry->was_active = entry->cpu_at_ns == 0 || cpu_ns != entry->cpu_ns;
    entry->cpu_ns = cpu_ns;
    entry->cpu_at_ns = now_ns;
}

static bool is_stat_due(const struct sw_host *host, const struct sw_host_entry *entry, double cpu_ns, int64_t now_ns) {
    int64_t age_ns = now_ns - entry->stat_at_ns;
    if (entry->stat_at_ns == 0) {
        return true;
    }
    if (!entry->has_clock && entry->has_stat) {
        return age_ns >= host->cpu_window_ns;
    }
    bool has_run = entry->has_stat && (entry->was_active || cpu_ns != entry->cpu_ns);
    return has_run || age_ns >= REFRESH_NS + (entry->pid & 63) * REFRESH_SPREAD_NS;
}

/* False when the process is no more. */
static bool measure(struct sw_host *host, struct sw_host_entry *entry, int64_t now_ns) {
    double cpu_ns = NAN;
    if (entry->has_clock && !read_clock(entry->pid, &cpu_ns)) {
        entry->has_clock = false; /* gone, most likely: its stat will tell */
        entry->cpu_at_ns = entry->stat_at_ns = 0;
    }
    if (!is_stat_due(host, entry, cpu_ns, now_ns)) {
        if (entry->has_clock && entry->has_stat) {
            take_cpu(entry, cpu_ns, now_ns);
            entry->minor_per_s *= 0; /* did not run, so had none; NAN stays NAN */
            entry->major_per_s *= 0;
        }
        return true;
    }
    struct sw_host_pid_stat stat;
    enum outcome outcome = read_stat(host, entry, &stat);
    if (outcome == READ_OK) {
        take_stat(host, entry, &stat, now_ns);
        take_cpu(entry, entry->has_clock ? cpu_ns : stat.cpu_ticks * host->tick_ns, now_ns);
    }
    entry->has_stat = outcome == READ_OK;
    entry->stat_at_ns = now_ns;
    return outcome != READ_GONE;
}

/* Who is gone is freed at the end only: meanwhile may_keep_fd walks the whole table. */
static void measure_all(struct sw_host *host, int64_t now_ns) {
    struct sw_host_process_state *state = &host->process;
    state->threads = 0;
    for (size_t i = 0; i < state->entry_count; i++) {
        struct sw_host_entry *entry = state->entries[i];
        entry->is_gone = !measure(host, entry, now_ns);
        state->threads += entry->has_stat ? entry->stat.threads : 0;
    }
    size_t kept = 0;
    for (size_t i = 0; i < state->entry_count; i++) {
        struct sw_host_entry *entry = state->entries[i];
        if (entry->is_gone) {
            sw_host_entry_free(state, entry);
        } else {
            state->entries[kept++] = entry;
        }
    }
    state->has_gone |= kept < state->entry_count;
    state->entry_count = kept;
}

/* Forks and exits bring a scan forward, but not below a quarter of the usual distance. */
static bool is_scan_due(const struct sw_host *host, int64_t now_ns) {
    const struct sw_host_process_state *state = &host->process;
    int64_t age_ns = now_ns - state->scan_at_ns;
    bool has_news = state->has_gone || host->cpu.keys[SW_HOST_FORKS] != state->scan_forks;
    return state->scan_at_ns == 0 || age_ns >= (has_news ? host->scan_ns / 4 : host->scan_ns);
}

static enum sw_status fill(struct sw_host *host) {
    struct sw_host_process_state *state = &host->process;
    size_t count = state->top_count;
    struct sw_host_process *grown = sw_host_grown(state->processes, count, &state->process_cap, sizeof *grown);
    if (!grown) {
        return SW_NOMEM;
    }
    state->processes = grown;
    for (size_t i = 0; i < count; i++) {
        const struct sw_host_entry *entry = state->top[i];
        struct sw_host_process *process = &state->processes[i];
        process->pid = entry->pid;
        process->state = entry->stat.state;
        process->is_python = entry->is_python;
        memcpy(process->name, entry->stat.name, sizeof process->name);
        process->start_ticks = entry->stat.start_ticks;
        process->start_epoch_ns = entry->start_epoch_ns;
        process->cpu = entry->cpu;
        process->rss_bytes = entry->stat.rss_pages * host->page_bytes;
        process->threads = entry->stat.threads;
        process->minor_faults_per_s = entry->minor_per_s;
        process->major_faults_per_s = entry->major_per_s;
        process->switches_per_s = entry->detail.switches_per_s;
        process->read_bytes_per_s = entry->detail.read_per_s;
        process->write_bytes_per_s = entry->detail.write_per_s;
    }
    return SW_OK;
}

void sw_host_process_init(struct sw_host *host) {
    struct sw_host_process_state *state = &host->process;
    struct rlimit limit;
    char text[32];
    double cpu_ns;
    bool is_limited = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 4 * MAX_STAT_FDS;
    state->fds_max = is_limited ? (size_t)limit.rlim_cur / 4 : MAX_STAT_FDS;
    /* CPU clocks are named by ids of this process's own namespace; only its own proc shows the same ids. */
    ssize_t len = readlinkat(host->proc_fd, "self", text, sizeof text - 1);
    text[len > 0 ? len : 0] = '\0';
    state->has_clocks = sw_host_parse_id(text) == (int32_t)getpid() && read_clock((int32_t)getpid(), &cpu_ns);
}

enum sw_status sw_host_process_read(struct sw_host *host, int64_t now_ns, struct sw_error *err) {
    struct sw_host_process_state *state = &host->process;
    if (is_scan_due(host, now_ns)) {
        enum sw_status status = sw_host_scan(host, err);
        if (status) {
            return status;
        }
        state->scan_at_ns = now_ns;
        state->scan_forks = host->cpu.keys[SW_HOST_FORKS];
        state->has_gone = false;
    }
    measure_all(host, now_ns);
    if (sw_host_top_select(host) || sw_host_detail_read(host, now_ns) || fill(host)) {
        return sw_fail(err, SW_NOMEM, "cannot rank the processes: out of memory");
    }
    state->at_ns = now_ns;
    return SW_OK;
}

void sw_host_process_release(struct sw_host_process_state *state) {
    for (size_t i = 0; i < state->entry_count; i++) {
        sw_host_entry_free(state, state->entries[i]);
    }
    sw_free(state->entries);
    sw_free(state->spare);
    sw_free(state->top);
    sw_free(state->processes);
    sw_free(state->ids.ids);
    sw_free(state->thread_spare.threads);
}
