/* host_detail.c - Context switches and storage I/O of the processes in the top list.
 *
 * These cost a file per thread (3 us each), so that they are read only of processes that ran since the last time, once
 * per detail window, and within a budget of files per second that a process with many threads may overdraw.
 */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "probe/host_impl.h"

#define FILES_PER_S 400.0
#define BURST_FILES 40.0 /* what may be saved up */
#define IO_FILES 1.0
#define MAX_THREADS 512 /* of one process; with more, its switches are absent */
#define FILE_BYTES 4096

void sw_host_detail_forget(struct sw_host_detail *detail) {
    detail->at_ns = 0;
    detail->has_threads = false;
    detail->cpu_ns = detail->read_bytes = detail->write_bytes = NAN;
    detail->switches_per_s = detail->read_per_s = detail->write_per_s = NAN;
}

static struct sw_str read_path(int dir_fd, const char *path, char text[FILE_BYTES]) {
    int fd = sw_host_open_at(dir_fd, path);
    if (fd < 0) {
        return (struct sw_str){NULL, 0};
    }
    ptrdiff_t len = sw_host_read_small(fd, text, FILE_BYTES);
    close(fd);
    return sw_str_make(text, len > 0 ? (size_t)len : 0);
}

/* `dir_fd` is the proc root for a process, its task directory for a thread. */
static double read_switches(struct sw_host_process_state *state, int dir_fd, int32_t id) {
    char path[32];
    char text[FILE_BYTES];
    double switches = NAN;
    if (!state->lacks_schedstat) {
        snprintf(path, sizeof path, "%d/schedstat", (int)id);
        switches = sw_host_parse_schedstat(read_path(dir_fd, path, text));
    }
    if (isnan(switches)) {
        snprintf(path, sizeof path, "%d/status", (int)id);
        switches = sw_host_parse_status(read_path(dir_fd, path, text));
        state->lacks_schedstat |= switches > 0;
    }
    return switches;
}

static enum sw_status add_thread(struct sw_host_process_state *state, int dir_fd, int32_t tid) {
    struct sw_host_thread_list *list = &state->thread_spare;
    struct sw_host_thread *grown = sw_host_grown(list->threads, list->count + 1, &list->cap, sizeof *grown);
    if (!grown) {
        return SW_NOMEM;
    }
    list->threads = grown;
    double switches = read_switches(state, dir_fd, tid);
    if (!isnan(switches)) {
        list->threads[list->count++] = (struct sw_host_thread){tid, switches};
    }
    state->detail_budget -= 1;
    return SW_OK;
}

/* The switches of every thread into thread_spare, which stays empty where they cannot be had. */
static enum sw_status list_threads(struct sw_host *host, const struct sw_host_entry *entry) {
    struct sw_host_process_state *state = &host->process;
    state->thread_spare.count = 0;
    if (entry->stat.threads <= 1) {
        return add_thread(state, host->proc_fd, entry->pid);
    }
    char path[32];
    snprintf(path, sizeof path, "%d/task", (int)entry->pid);
    int task_fd = openat(host->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (task_fd < 0) {
        return SW_OK;
    }
    enum sw_status status = sw_host_list_ids(task_fd, &state->ids, MAX_THREADS);
    for (size_t i = 0; status == SW_OK && i < state->ids.count; i++) {
        status = add_thread(state, task_fd, state->ids.ids[i]);
    }
    close(task_fd);
    return status == SW_NOMEM ? SW_NOMEM : SW_OK;
}

/* A thread that came since brings all its switches; what one that ended did last is not known. */
static double count_new(const struct sw_host_thread_list *before, const struct sw_host_thread_list *now) {
    double sum = 0;
    size_t old = 0;
    for (size_t i = 0; i < now->count; i++) {
        while (old < before->count && before->threads[old].tid < now->threads[i].tid) {
            old++;
        }
        bool is_known = old < before->count && before->threads[old].tid == now->threads[i].tid;
        double base =
            is_known && before->threads[old].switches <= now->threads[i].switches ? before->threads[old].switches : 0;
        sum += now->threads[i].switches - base;
    }
    return sum;
}

static enum sw_status measure_switches(struct sw_host *host, struct sw_host_entry *entry, double elapsed_s) {
    struct sw_host_detail *detail = &entry->detail;
    struct sw_host_thread_list *now = &host->process.thread_spare;
    enum sw_status status = list_threads(host, entry);
    if (status) {
        return status;
    }
    bool can_compare = detail->has_threads && now->count > 0;
    detail->switches_per_s = can_compare ? count_new(&detail->threads, now) / elapsed_s : (double)NAN;
    detail->has_threads = now->count > 0;
    struct sw_host_thread_list swap = detail->threads;
    detail->threads = *now;
    *now = swap;
    return SW_OK;
}

static void measure_io(struct sw_host *host, struct sw_host_entry *entry, double elapsed_s) {
    struct sw_host_detail *detail = &entry->detail;
    char path[32];
    char text[FILE_BYTES];
    double read_bytes;
    double write_bytes;
    snprintf(path, sizeof path, "%d/io", (int)entry->pid);
    sw_host_parse_pid_io(read_path(host->proc_fd, path, text), &read_bytes, &write_bytes);
    detail->read_per_s = sw_host_rate(detail->read_bytes, read_bytes, elapsed_s);
    detail->write_per_s = sw_host_rate(detail->write_bytes, write_bytes, elapsed_s);
    detail->read_bytes = read_bytes;
    detail->write_bytes = write_bytes;
    host->process.detail_budget -= IO_FILES;
}

static enum sw_status measure(struct sw_host *host, struct sw_host_entry *entry, int64_t now_ns) {
    struct sw_host_detail *detail = &entry->detail;
    double elapsed_s = sw_host_elapsed_s(detail->at_ns, now_ns);
    if (entry->has_clock && detail->at_ns != 0 && entry->cpu_ns == detail->cpu_ns) {
        /* It did not run: no switches, no I/O, and no need to look. What was absent stays so. */
        detail->switches_per_s = detail->has_threads ? 0 : (double)NAN;
        detail->read_per_s = detail->read_bytes * 0;
        detail->write_per_s = detail->write_bytes * 0;
    } else {
        enum sw_status status = measure_switches(host, entry, elapsed_s);
        if (status) {
            return status;
        }
        measure_io(host, entry, elapsed_s);
        detail->cpu_ns = entry->cpu_ns;
    }
    detail->at_ns = now_ns;
    return SW_OK;
}

/* Counters from before a process fell out of the list would give the mean of a time long past. */
static void note_top(const struct sw_host *host, struct sw_host_entry *entry) {
    struct sw_host_detail *detail = &entry->detail;
    bool was_idle = entry->has_clock && entry->cpu_ns == detail->cpu_ns;
    if (detail->top_beat + 1 != host->beat && !was_idle) {
        sw_host_detail_forget(detail);
    }
    detail->top_beat = host->beat;
}

enum sw_status sw_host_detail_read(struct sw_host *host, int64_t now_ns) {
    struct sw_host_process_state *state = &host->process;
    double earned = state->at_ns == 0 ? BURST_FILES : sw_host_elapsed_s(state->at_ns, now_ns) * FILES_PER_S;
    state->detail_budget = fmin(state->detail_budget + earned, fmax(earned, BURST_FILES));
    for (size_t i = 0; i < state->top_count; i++) {
        note_top(host, state->top[i]);
    }
    /* Begins with another one each time, so that a short budget comes round to all. */
    for (size_t i = 0; i < state->top_count; i++) {
        struct sw_host_entry *entry = state->top[(host->beat * 7 + i) % state->top_count];
        bool is_due = entry->detail.at_ns == 0 || now_ns - entry->detail.at_ns >= host->detail_window_ns;
        if (is_due && state->detail_budget > 0) {
            enum sw_status status = measure(host, entry, now_ns);
            if (status) {
                return status;
            }
        }
    }
    return SW_OK;
}
