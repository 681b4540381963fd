/* host.h - The kernel's own figures of this machine: CPU, memory, pressure, disks, networks and processes.
 *
 * A reader is opened once and read at a steady beat (1 to 100 Hz). Rates are per second, over the real time since the
 * read before; the first read has none. A double that could not be measured is NAN, never zero. One thread owns a
 * reader; nothing here writes anywhere. Linux only.
 *
 * Sources: proc(5), Documentation/accounting/psi.rst and Documentation/admin-guide/iostats.rst of the kernel.
 */
#ifndef SW_PROBE_HOST_H
#define SW_PROBE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define SW_HOST_NAME_MAX 64 /* bytes of a name with its NUL; longer ones are cut */

struct sw_host;

/* Zero is the default everywhere. */
struct sw_host_options {
    const char *proc_root; /* "/proc" */
    const char *sys_root;  /* "/sys" */
    size_t top;            /* processes kept in a sample: 50 */
    /* New processes show up within this time: 900 ms. (Known forks and exits bring the next look forward.) */
    int64_t scan_ns;
    /* Some figures are compared over at least this time, their last values standing meanwhile: /proc/stat, which moves
     * in clock ticks of 10 ms ... */
    int64_t cpu_window_ns; /* 45 ms */
    /* ... and what costs much to read: switches and I/O of a process, and /proc/vmstat on machines where it is slow. */
    int64_t detail_window_ns; /* 450 ms */
};

/* Percent of one CPU (0..100). The kinds from user to idle add up to 100; guest time is not in user or nice again. */
struct sw_host_cpu {
    char name[16]; /* "all" (the mean of the cores), "cpu0", ... */
    double busy;   /* 100 - idle - iowait */
    double user;
    double nice;
    double system;
    double iowait;
    double irq;
    double softirq;
    double steal;
    double guest; /* running a virtual machine, at any niceness */
    double idle;
};

/* Percent of the time in which some task, or all tasks, waited for the resource. */
struct sw_host_pressure {
    double some;
    double full;
};

struct sw_host_machine {
    double load1, load5, load15;
    double running; /* run queue: runnable tasks */
    double blocked; /* tasks waiting for I/O */
    struct sw_host_pressure cpu_pressure, memory_pressure, io_pressure;

    double memory_total_bytes;
    double memory_used_bytes; /* total - available */
    double memory_available_bytes;
    double memory_cached_bytes; /* page cache, without buffers */
    double memory_buffers_bytes;
    double memory_dirty_bytes;
    double swap_total_bytes;
    double swap_used_bytes;

    double page_faults_per_s; /* minor and major */
    double major_faults_per_s;
    double swap_in_bytes_per_s;
    double swap_out_bytes_per_s;

    double context_switches_per_s;
    double interrupts_per_s;
    double forks_per_s; /* processes and threads created */

    double processes; /* visible in the proc root; kernel threads too */
    double threads;   /* of these processes */
    double threads_running;
};

struct sw_host_disk {
    char name[SW_HOST_NAME_MAX]; /* "nvme0n1" */
    double read_bytes_per_s, write_bytes_per_s;
    double reads_per_s, writes_per_s;
    double read_latency_ms,
        write_latency_ms; /* mean of the requests completed in the interval; NAN when there were none */
    double in_flight;
    double utilisation; /* percent of the time with at least one request in flight */
};

struct sw_host_net {
    char name[SW_HOST_NAME_MAX]; /* "eth0" */
    double rx_bytes_per_s, tx_bytes_per_s;
    double rx_packets_per_s, tx_packets_per_s;
    double errors_per_s, drops_per_s; /* both directions */
};

struct sw_host_process {
    int32_t pid;
    char state;                  /* R S D Z T t I ... as in proc(5) */
    bool is_python;              /* its executable's name starts with "python" */
    char name[SW_HOST_NAME_MAX]; /* comm: may be any bytes but NUL */
    uint64_t start_ticks;        /* with the pid, names a process for ever */
    int64_t start_epoch_ns;      /* 0 when the time of boot is unknown */
    double cpu;                  /* percent of one core; above 100 with several threads */
    double rss_bytes;
    double threads;
    double minor_faults_per_s, major_faults_per_s;
    double switches_per_s;                      /* voluntary and involuntary, of all its threads */
    double read_bytes_per_s, write_bytes_per_s; /* storage, not page cache; NAN where /proc/PID/io is not permitted */
};

struct sw_host_sample {
    int64_t epoch_ns;
    int64_t mono_ns;
    int64_t interval_ns; /* since the read before; 0 in the first */
    bool has_rates;      /* false in the first */
    struct sw_host_machine machine;
    /* Owned by the reader, valid until its next read or close. */
    const struct sw_host_cpu *cpus; /* cpus[0] is "all", then the cores online; none when /proc/stat is unreadable */
    size_t cpu_count;
    const struct sw_host_disk *disks; /* whole devices; loop, ram and zram only when there is no other */
    size_t disk_count;
    const struct sw_host_net *nets; /* the loopback too */
    size_t net_count;
    const struct sw_host_process *processes; /* the top ones by CPU, then by RSS, in this order */
    size_t process_count;
};

/* Fails when the proc root is not a directory that can be opened. `options` may be NULL and is copied. */
SW_MUST_USE enum sw_status sw_host_open(struct sw_host **host, const struct sw_host_options *options,
                                        struct sw_error *err);
/* A file that is missing, forbidden, cut short or garbage leaves its figures absent; only lack of memory, or a proc
 * root that can no longer be listed, fails. Then *sample is as it was, but the arrays of the sample before may be
 * invalid; the next read may succeed. */
SW_MUST_USE enum sw_status sw_host_read(struct sw_host *host, struct sw_host_sample *sample, struct sw_error *err);
void sw_host_close(struct sw_host *host); /* NULL is fine */

#endif
