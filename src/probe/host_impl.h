/* host_impl.h - What the files of the host reader share: its state, its files, and parsers that are pure over bytes.
 *
 * Counters are doubles, exact to 2^53, so that NAN can mean "not measured" from the file to the rate. A parser takes
 * only lines that end in a newline: a file cut short loses its last line instead of giving a wrong number.
 */
#ifndef SW_PROBE_HOST_IMPL_H
#define SW_PROBE_HOST_IMPL_H

#include "base/buf.h"
#include "base/str.h"
#include "probe/host.h"

/* host_text.c: files and scanning */

enum sw_host_file {
    SW_HOST_STAT,
    SW_HOST_MEMINFO,
    SW_HOST_VMSTAT,
    SW_HOST_LOADAVG,
    SW_HOST_PSI_CPU,
    SW_HOST_PSI_MEMORY,
    SW_HOST_PSI_IO,
    SW_HOST_DISKSTATS,
    SW_HOST_NETDEV,
    SW_HOST_FILES,
};

/* Read-only, never blocking on what is not a regular file; -1 with errno. */
int sw_host_open_at(int dir_fd, const char *path);
/* Reads a file that fits from its start. The length, 0 for an empty one; -1 with errno. */
ptrdiff_t sw_host_read_small(int fd, char *out, size_t cap);
/* The whole of a kept-open file, in `text`'s memory; {NULL, 0} where it cannot be read. */
struct sw_str sw_host_read_text(int fd, struct sw_buf *text);

bool sw_host_next_line(struct sw_str *rest, struct sw_str *line); /* false when no complete line is left */
struct sw_str sw_host_next_word(struct sw_str *line);             /* cuts at spaces and tabs; empty at the end */
/* The digits `line` starts with after blanks, NAN where there are none; moves behind them. */
double sw_host_next_number(struct sw_str *line);
uint64_t sw_host_next_u64(struct sw_str *line, bool *is_ok); /* the same, exactly; *is_ok is cleared, never set */
void sw_host_copy_name(char out[SW_HOST_NAME_MAX], struct sw_str name);
/* Lines of "key: number" or "key number": values[i] is that of keys[i], NAN where it is missing. */
void sw_host_parse_keys(struct sw_str text, const struct sw_str *keys, size_t count, double *values);
/* Per second; NAN when either is absent, the counter went back, or no time passed. */
double sw_host_rate(double before, double now, double elapsed_s);
double sw_host_elapsed_s(int64_t before_ns, int64_t now_ns); /* NAN while before_ns is 0 */
/* A larger copy of an array, and its new capacity; NULL, with all as it was, when out of memory. */
void *sw_host_grown(void *items, size_t needed, size_t *cap, size_t item_bytes);

/* host_cpu.c: /proc/stat */

enum sw_host_tick {
    SW_HOST_USER,
    SW_HOST_NICE,
    SW_HOST_SYSTEM,
    SW_HOST_IDLE,
    SW_HOST_IOWAIT,
    SW_HOST_IRQ,
    SW_HOST_SOFTIRQ,
    SW_HOST_STEAL,
    SW_HOST_GUEST,
    SW_HOST_GUEST_NICE,
    SW_HOST_TICKS,
};

struct sw_host_cpu_ticks {
    char name[16];
    double ticks[SW_HOST_TICKS];
};

enum sw_host_stat_key {
    SW_HOST_INTR,
    SW_HOST_CTXT,
    SW_HOST_BTIME,
    SW_HOST_FORKS,
    SW_HOST_RUNNING,
    SW_HOST_BLOCKED,
    SW_HOST_STAT_KEYS,
};

struct sw_host_cpu_state {
    int64_t at_ns; /* of `before`; 0 while there is none */
    struct sw_host_cpu_ticks *before, *now;
    struct sw_host_cpu *cpus;
    size_t before_count, before_cap, now_cap, cpu_count, cpu_cap;
    double keys[SW_HOST_STAT_KEYS];
    double switches_per_s, interrupts_per_s, forks_per_s;
};

/* Parsers of lists return how many there are; those beyond `cap` are not stored. */
size_t sw_host_parse_cpus(struct sw_str text, struct sw_host_cpu_ticks *out, size_t cap);
void sw_host_parse_stat(struct sw_str text, double keys[SW_HOST_STAT_KEYS]);
void sw_host_cpu_percent(const struct sw_host_cpu_ticks *before, const struct sw_host_cpu_ticks *now,
                         struct sw_host_cpu *out);
enum sw_status sw_host_cpu_read(struct sw_host *host, int64_t now_ns);
void sw_host_cpu_release(struct sw_host_cpu_state *state);

/* host_memory.c: /proc/meminfo and /proc/vmstat */

enum sw_host_vm_key {
    SW_HOST_PGFAULT,
    SW_HOST_PGMAJFAULT,
    SW_HOST_PSWPIN,
    SW_HOST_PSWPOUT,
    SW_HOST_VM_KEYS,
};

struct sw_host_memory_state {
    int64_t vm_at_ns;
    int64_t vm_cost_ns; /* of the last read of /proc/vmstat */
    double vm[SW_HOST_VM_KEYS];
    double vm_per_s[SW_HOST_VM_KEYS];
};

void sw_host_parse_meminfo(struct sw_str text, struct sw_host_machine *machine);
void sw_host_parse_vmstat(struct sw_str text, double vm[SW_HOST_VM_KEYS]);
void sw_host_memory_read(struct sw_host *host, int64_t now_ns, struct sw_host_machine *machine);

/* host_pressure.c: /proc/loadavg and /proc/pressure */

struct sw_host_pressure_state {
    int64_t at_ns;
    struct sw_host_pressure total_us[3]; /* cpu, memory, io */
};

void sw_host_parse_loadavg(struct sw_str text, struct sw_host_machine *machine);
struct sw_host_pressure sw_host_parse_pressure(struct sw_str text); /* the totals, microseconds */
void sw_host_pressure_read(struct sw_host *host, int64_t now_ns, struct sw_host_machine *machine);

/* host_disk.c: /proc/diskstats */

struct sw_host_disk_counts {
    char name[SW_HOST_NAME_MAX];
    bool is_known; /* the two below are */
    bool is_whole;
    bool is_virtual; /* loop, ram, zram */
    double reads, sectors_read, read_ms, writes, sectors_written, write_ms, in_flight, io_ms;
};

struct sw_host_disk_state {
    int64_t at_ns;
    struct sw_host_disk_counts *before, *now;
    struct sw_host_disk *disks;
    size_t before_count, before_cap, now_cap, disk_count, disk_cap;
};

size_t sw_host_parse_disks(struct sw_str text, struct sw_host_disk_counts *out, size_t cap);
enum sw_status sw_host_disk_read(struct sw_host *host, int64_t now_ns);
void sw_host_disk_release(struct sw_host_disk_state *state);

/* host_net.c: /proc/net/dev */

struct sw_host_net_counts {
    char name[SW_HOST_NAME_MAX];
    double rx_bytes, rx_packets, tx_bytes, tx_packets, errors, drops;
};

struct sw_host_net_state {
    int64_t at_ns;
    struct sw_host_net_counts *before, *now;
    struct sw_host_net *nets;
    size_t before_count, before_cap, now_cap, net_count, net_cap;
};

size_t sw_host_parse_nets(struct sw_str text, struct sw_host_net_counts *out, size_t cap);
enum sw_status sw_host_net_read(struct sw_host *host, int64_t now_ns);
void sw_host_net_release(struct sw_host_net_state *state);

/* host_pid.c: the text of one process's files */

struct sw_host_pid_stat {
    int32_t pid;
    char state;
    char name[SW_HOST_NAME_MAX];
    double minor_faults, major_faults, cpu_ticks, threads, rss_pages;
    uint64_t start_ticks;
};

/* From /proc/PID/stat; *out is written only on success. */
bool sw_host_parse_pid_stat(struct sw_str text, struct sw_host_pid_stat *out);
/* Context switches of one thread so far, from its schedstat or its status; NAN when the kernel does not tell. */
double sw_host_parse_schedstat(struct sw_str text);
double sw_host_parse_status(struct sw_str text);
void sw_host_parse_pid_io(struct sw_str text, double *read_bytes, double *write_bytes);
/* "1234" gives 1234; 0 for what is no process id. */
int32_t sw_host_parse_id(const char *name);

/* host_scan.c: which processes and threads there are */

struct sw_host_ids {
    int32_t *ids; /* ascending */
    size_t count, cap;
};

/* The entries of a directory that are ids, at most `max`: SW_LIMIT with the first `max` when there are more; SW_IO with
 * errno when it cannot be listed. */
SW_MUST_USE enum sw_status sw_host_list_ids(int dir_fd, struct sw_host_ids *ids, size_t max);
/* Brings the table in line with the directory. On SW_NOMEM some new processes are left for the next time. */
SW_MUST_USE enum sw_status sw_host_scan(struct sw_host *host, struct sw_error *err);

/* host_detail.c: what only the processes in the top list are asked for */

struct sw_host_thread {
    int32_t tid;
    double switches;
};

struct sw_host_thread_list {
    struct sw_host_thread *threads; /* ascending tid */
    size_t count, cap;
};

struct sw_host_detail {
    int64_t at_ns;     /* of the counters; 0 while there are none */
    uint64_t top_beat; /* last read in which the process was in the top list */
    double cpu_ns;     /* CPU time when the counters were read */
    double read_bytes, write_bytes;
    double switches_per_s, read_per_s, write_per_s;
    struct sw_host_thread_list threads;
    bool has_threads;
};

void sw_host_detail_forget(struct sw_host_detail *detail); /* no counters, no rates; keeps memory */
SW_MUST_USE enum sw_status sw_host_detail_read(struct sw_host *host, int64_t now_ns); /* of the processes in `top` */

/* host_process.c: the table of processes */

struct sw_host_entry {
    int32_t pid;
    int stat_fd; /* -1 when not kept open */
    struct sw_host_pid_stat stat;
    int64_t start_epoch_ns;
    int64_t cpu_at_ns, stat_at_ns; /* of cpu_ns and stat; 0 while there is none */
    double cpu_ns;
    double cpu, minor_per_s, major_per_s; /* the rates that stand */
    bool has_stat;
    bool has_clock;  /* its CPU clock can be read, in nanoseconds; else CPU time comes in ticks from its stat */
    bool was_active; /* used CPU in the interval before */
    bool is_python;
    bool is_gone;
    struct sw_host_detail detail;
};

struct sw_host_process_state {
    struct sw_host_entry **entries; /* ascending pid; owned */
    struct sw_host_entry **spare;   /* where a scan merges */
    struct sw_host_entry **top;     /* the highest ranking, in order */
    struct sw_host_process *processes;
    size_t entry_count, entry_cap, spare_cap, top_count, top_cap, process_cap;
    struct sw_host_ids ids;                  /* of a scan, or a task directory */
    struct sw_host_thread_list thread_spare; /* the list being read */
    size_t fds_open, fds_max, steal_at;
    int64_t at_ns, scan_at_ns;
    double scan_forks; /* the fork counter at the last scan */
    double threads;
    double detail_budget; /* files that may still be read */
    bool has_clocks;
    bool has_gone;        /* some process vanished since the last scan */
    bool lacks_schedstat; /* the kernel keeps no scheduling statistics */
};

struct sw_host_entry *sw_host_entry_new(const struct sw_host *host, int32_t pid); /* NULL when out of memory */
void sw_host_entry_free(struct sw_host_process_state *state, struct sw_host_entry *entry);
void sw_host_process_init(struct sw_host *host);
SW_MUST_USE enum sw_status sw_host_process_read(struct sw_host *host, int64_t now_ns, struct sw_error *err);
void sw_host_process_release(struct sw_host_process_state *state);

/* host_top.c: the order of processes */

SW_MUST_USE enum sw_status sw_host_top_select(struct sw_host *host);

/* host.c */

struct sw_host {
    int proc_fd;
    int block_fd; /* sys_root/block; -1 without one */
    size_t top;
    int64_t scan_ns, cpu_window_ns, detail_window_ns;
    int64_t at_ns; /* of the last read; 0 before the first */
    uint64_t beat; /* reads so far, this one included */
    double tick_ns;
    double page_bytes;
    int64_t boot_epoch_ns;  /* 0 when unknown */
    int fds[SW_HOST_FILES]; /* -1 where missing */
    struct sw_buf text;     /* the file being parsed */
    struct sw_host_cpu_state cpu;
    struct sw_host_memory_state memory;
    struct sw_host_pressure_state pressure;
    struct sw_host_disk_state disk;
    struct sw_host_net_state net;
    struct sw_host_process_state process;
};

#endif
