/* target.h - Another process: its memory, its threads, its mapped files. Read only; nothing here stops or changes it.
 *
 * Every failure tells which: SW_CLOSED when the process is gone, SW_PERM with cause and remedy when it may not be read.
 */
#ifndef SW_PROBE_TARGET_H
#define SW_PROBE_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

struct sw_target {
    int32_t pid;
    int proc_fd;          /* /proc/PID; openat fails with ESRCH once the process is gone, even if the pid is reused */
    uint64_t start_ticks; /* with the pid, names the process for ever */
};

/* SW_NOTFOUND when there is no such process (or it is a zombie). Permission is not yet asked for. */
SW_MUST_USE enum sw_status sw_target_open(struct sw_target *target, int32_t pid, struct sw_error *err);
void sw_target_close(struct sw_target *target); /* zero is fine when proc_fd is 0 or -1 */
bool sw_target_is_alive(const struct sw_target *target);

/* All `size_bytes` or SW_IO (unmapped), SW_CLOSED, SW_PERM. No message: hot path. */
SW_MUST_USE enum sw_status sw_target_read(const struct sw_target *target, uint64_t address, void *into,
                                          size_t size_bytes);
SW_MUST_USE enum sw_status sw_target_read_u64(const struct sw_target *target, uint64_t address, uint64_t *value);
/* One process_vm_readv of up to SW_TARGET_RANGES_MAX ranges: bytes read, which stop at the first range that faults, or
 * -errno. */
#define SW_TARGET_RANGES_MAX 1024
ssize_t sw_target_readv(const struct sw_target *target, const struct iovec *local, size_t local_count,
                        const struct iovec *remote, size_t remote_count);
/* Why memory reads fail, in one line with cause (other user, yama, container or no capability, not dumpable, seccomp)
 * and remedy. Returns SW_PERM, SW_CLOSED or, when reading works after all, SW_OK. */
enum sw_status sw_target_explain(const struct sw_target *target, struct sw_error *err);

struct sw_mapping {
    uint64_t start, end;
    uint64_t offset; /* in the file */
    uint64_t device, inode;
    bool is_readable, is_executable, is_writable;
    struct sw_str path; /* as the target sees it; "[stack]", "" for anonymous; " (deleted)" is cut off */
    bool is_deleted;
};

struct sw_maps {
    struct sw_mapping *items; /* by address */
    size_t count;
    struct sw_arena text;
};

SW_MUST_USE enum sw_status sw_target_maps(const struct sw_target *target, struct sw_maps *maps, struct sw_error *err);
void sw_maps_release(struct sw_maps *maps);
const struct sw_mapping *sw_maps_find(const struct sw_maps *maps, uint64_t address); /* NULL: not mapped */

/* A descriptor on the file behind a mapping, through map_files or the target's own root (containers); -1 on failure. */
int sw_target_open_mapped(const struct sw_target *target, const struct sw_mapping *mapping);

/* What a process uses, which everybody may read. */
struct sw_target_usage {
    int64_t cpu_ns; /* of all its threads so far, those that ended too; -1: not known */
    int64_t rss_bytes;
    int64_t threads; /* the kernel's, not only Python's */
};
SW_MUST_USE enum sw_status sw_target_usage(const struct sw_target *target, struct sw_target_usage *usage);

/* The ids of all processes, ascending. As sw_target_threads. */
SW_MUST_USE enum sw_status sw_target_pids(int32_t **pids, size_t *count, size_t *cap);

/* Thread ids of the process, ascending. `*tids` is from sw_realloc and reused; free with sw_free. */
SW_MUST_USE enum sw_status sw_target_threads(const struct sw_target *target, int32_t **tids, size_t *count,
                                             size_t *cap);
SW_MUST_USE enum sw_status sw_target_thread_name(const struct sw_target *target, int32_t tid, char name[16]);
/* argv joined by spaces, control characters as '?'; a thread-less kernel or zombie process gives its comm in brackets. */
SW_MUST_USE enum sw_status sw_target_command(const struct sw_target *target, struct sw_buf *command);

#endif
