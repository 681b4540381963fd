/* target.c - Another process through /proc and process_vm_readv: memory, threads, names. */
#include "probe/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/host_impl.h"
#include "probe/target_impl.h"

#define COMMAND_BYTES_MAX 65536
#define IDS_MAX 4194304 /* the kernel's own limit for the processes and threads of a machine */

/* What failing to read a file of /proc/PID means. */
static enum sw_status status_of(int error_number) {
    switch (error_number) {
    case ESRCH:
    case ENOENT:
        return SW_CLOSED;
    case EPERM:
    case EACCES:
        return SW_PERM;
    case ENOMEM:
        return SW_NOMEM;
    default:
        return SW_IO;
    }
}

static enum sw_status file_read(const struct sw_target *target, const char *name, size_t limit, struct sw_buf *text) {
    int fd = openat(target->proc_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return status_of(errno);
    enum sw_status status = SW_OK;
    size_t start = text->len;
    for (;;) {
        status = sw_buf_reserve(text, 16384);
        if (status != SW_OK)
            break;
        ssize_t got = read(fd, text->ptr + text->len, text->cap - text->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            status = status_of(errno);
        if (got <= 0)
            break;
        text->len += (size_t)got;
        if (text->len - start > limit) {
            status = SW_LIMIT;
            break;
        }
    }
    close(fd);
    return status;
}

static enum sw_status stat_read(int proc_fd, struct sw_host_pid_stat *stat) {
    char bytes[1024];
    int fd = openat(proc_fd, "stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return status_of(errno);
    ssize_t got = read(fd, bytes, sizeof bytes);
    int reason = errno;
    close(fd);
    if (got < 0)
        return status_of(reason);
    for (ssize_t i = 0; i + 1 < got; i++) /* a name may hold line ends; the text is one line */
        if (bytes[i] == '\n')
            bytes[i] = '?';
    return sw_host_parse_pid_stat(sw_str_make(bytes, (size_t)got), stat) ? SW_OK : SW_IO;
}

static int compare_ids(const void *a, const void *b) {
    int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;
    return (left > right) - (left < right);
}

static enum sw_status ids_reserve(int32_t **ids, size_t count, size_t *cap) {
    if (count < *cap)
        return SW_OK;
    size_t wanted = *cap ? *cap * 2 : 64;
    int32_t *grown = sw_realloc_array(*ids, wanted, sizeof **ids);
    if (!grown)
        return SW_NOMEM;
    *ids = grown;
    *cap = wanted;
    return SW_OK;
}

/* Where the ids go, as in sw_target_threads. */
struct id_list {
    int32_t **ids;
    size_t *count, *cap;
};

/* The entries of a folder that are numbers. Closes `fd`, which may be -1 with errno set. */
static enum sw_status ids_list(int fd, struct id_list list) {
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        enum sw_status status = status_of(errno);
        if (fd >= 0)
            close(fd);
        return status;
    }
    enum sw_status status = SW_OK;
    size_t found = 0;
    for (const struct dirent *entry = readdir(folder); entry && found < IDS_MAX; entry = readdir(folder)) {
        int32_t id = sw_host_parse_id(entry->d_name);
        if (id <= 0)
            continue;
        status = ids_reserve(list.ids, found, list.cap);
        if (status != SW_OK)
            break;
        (*list.ids)[found++] = id;
    }
    closedir(folder);
    if (status == SW_OK && found == 0)
        status = SW_CLOSED;
    if (status != SW_OK)
        return status;
    qsort(*list.ids, found, sizeof **list.ids, compare_ids);
    *list.count = found;
    return SW_OK;
}

/* Arguments are separated by NUL; what a terminal would obey is replaced. */
static void command_clean(struct sw_buf *command, size_t start) {
    while (command->len > start && command->ptr[command->len - 1] == '\0')
        command->len--;
    for (size_t i = start; i < command->len; i++) {
        unsigned char byte = (unsigned char)command->ptr[i];
        if (byte == '\0')
            command->ptr[i] = ' ';
        else if (byte < 0x20 || byte == 0x7f)
            command->ptr[i] = '?';
    }
}

enum sw_status sw_target_file(const struct sw_target *target, const char *name, struct sw_buf *text) {
    return file_read(target, name, SW_PROC_FILE_MAX, text);
}

enum sw_status sw_target_open(struct sw_target *target, int32_t pid, struct sw_error *err) {
    char path[32];
    struct sw_host_pid_stat stat;
    if (pid <= 0)
        return sw_fail(err, SW_INVALID, "cannot look at process %d: a process id is a positive number", pid);
    snprintf(path, sizeof path, "/proc/%d", pid);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ESRCH))
        return sw_fail(err, SW_NOTFOUND, "there is no process %d; `sidewinder ps` lists those that are", pid);
    if (fd < 0)
        return sw_fail_errno(err, errno, "cannot open %s", path);
    enum sw_status status = stat_read(fd, &stat);
    if (status != SW_OK || stat.state == 'Z' || stat.state == 'X') {
        close(fd);
        if (status == SW_OK || status == SW_CLOSED)
            return sw_fail(err, SW_NOTFOUND, "process %d has ended%s", pid,
                           status == SW_OK ? "; its parent has not yet waited for it" : "");
        return sw_fail(err, status, "cannot read %s/stat: %s", path, sw_status_text(status));
    }
    *target = (struct sw_target){.pid = pid, .proc_fd = fd, .start_ticks = stat.start_ticks};
    return SW_OK;
}

void sw_target_close(struct sw_target *target) {
    if (target->proc_fd > 0)
        close(target->proc_fd);
    *target = (struct sw_target){0};
}

bool sw_target_is_alive(const struct sw_target *target) {
    struct sw_host_pid_stat stat;
    return stat_read(target->proc_fd, &stat) == SW_OK && stat.state != 'Z' && stat.state != 'X';
}

ssize_t sw_target_readv(const struct sw_target *target, const struct iovec *local, size_t local_count,
                        const struct iovec *remote, size_t remote_count) {
    ssize_t got = process_vm_readv(target->pid, local, local_count, remote, remote_count, 0);
    return got < 0 ? -errno : got;
}

enum sw_status sw_target_read(const struct sw_target *target, uint64_t address, void *into, size_t size_bytes) {
    struct iovec local = {into, size_bytes};
    struct iovec remote = {(void *)(uintptr_t)address, size_bytes};
    ssize_t got = process_vm_readv(target->pid, &local, 1, &remote, 1, 0);
    if (got == (ssize_t)size_bytes)
        return SW_OK;
    return got < 0 && errno != EFAULT ? status_of(errno) : SW_IO;
}

enum sw_status sw_target_read_u64(const struct sw_target *target, uint64_t address, uint64_t *value) {
    uint64_t word;
    enum sw_status status = sw_target_read(target, address, &word, sizeof word);
    if (status == SW_OK)
        *value = word;
    return status;
}

enum sw_status sw_target_usage(const struct sw_target *target, struct sw_target_usage *usage) {
    struct sw_host_pid_stat stat;
    struct timespec cpu;
    clockid_t clock;
    enum sw_status status = stat_read(target->proc_fd, &stat);
    if (status != SW_OK)
        return status;
    *usage = (struct sw_target_usage){.cpu_ns = -1, .threads = (int64_t)stat.threads};
    usage->rss_bytes = (int64_t)stat.rss_pages * sysconf(_SC_PAGESIZE);
    if (clock_getcpuclockid(target->pid, &clock) == 0 && clock_gettime(clock, &cpu) == 0)
        usage->cpu_ns = cpu.tv_sec * SW_NS_PER_S + cpu.tv_nsec;
    return SW_OK;
}

enum sw_status sw_target_pids(int32_t **pids, size_t *count, size_t *cap) {
    return ids_list(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), (struct id_list){pids, count, cap});
}

enum sw_status sw_target_threads(const struct sw_target *target, int32_t **tids, size_t *count, size_t *cap) {
    return ids_list(openat(target->proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                    (struct id_list){tids, count, cap});
}

enum sw_status sw_target_thread_name(const struct sw_target *target, int32_t tid, char name[16]) {
    char path[48], bytes[32];
    snprintf(path, sizeof path, "task/%d/comm", tid);
    int fd = openat(target->proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return status_of(errno);
    ssize_t got = read(fd, bytes, sizeof bytes);
    int reason = errno;
    close(fd);
    if (got < 0)
        return status_of(reason);
    size_t length = (size_t)got;
    if (length > 0 && bytes[length - 1] == '\n')
        length--;
    if (length > 15)
        length = 15;
    memcpy(name, bytes, length);
    name[length] = '\0';
    return SW_OK;
}

enum sw_status sw_target_command(const struct sw_target *target, struct sw_buf *command) {
    size_t start = command->len;
    enum sw_status status = file_read(target, "cmdline", COMMAND_BYTES_MAX, command);
    if (status != SW_OK && status != SW_LIMIT) {
        command->len = start;
        return status;
    }
    command_clean(command, start);
    if (command->len > start)
        return SW_OK;
    char name[16];
    status = sw_target_thread_name(target, target->pid, name);
    return status == SW_OK ? sw_buf_append_format(command, "[%s]", name) : status;
}
