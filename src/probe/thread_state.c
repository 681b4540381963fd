/* thread_state.c - What the threads of a target do, from files of /proc that stay open; see thread_state.h. */
#include "probe/thread_state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

#define FILE_BYTES_MAX 1024 /* syscall has at most 170 bytes, schedstat 62; stat is cut, its state stands in front */
#define FILES_SPARED 128    /* descriptors left to the rest of the program */

enum file_kind { FILE_SYSCALL, FILE_SCHEDSTAT, FILE_STAT, FILE_KINDS };

static const char *const file_names[FILE_KINDS] = {"syscall", "schedstat", "stat"};

#define FILE_CLOSED (-1)
#define FILE_REFUSED (-2) /* permission was denied: not tried again */

struct watched {
    int32_t tid;
    bool is_looked_at; /* since the last sweep */
    int files[FILE_KINDS];
};

struct sw_thread_watch {
    const struct sw_target *target;
    struct watched *items; /* by tid */
    size_t count, cap;
    size_t open_files, open_files_max; /* beyond it, files are opened for each look */
};

struct file_text {
    char bytes[FILE_BYTES_MAX + 1];
    size_t len;
};

static size_t files_max(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        limit.rlim_cur = 1024;
    return limit.rlim_cur > 2 * FILES_SPARED ? (size_t)limit.rlim_cur - FILES_SPARED : (size_t)limit.rlim_cur / 2;
}

static void watched_close(struct sw_thread_watch *watch, struct watched *item) {
    for (int kind = 0; kind < FILE_KINDS; kind++) {
        if (item->files[kind] >= 0) {
            close(item->files[kind]);
            watch->open_files--;
        }
        item->files[kind] = FILE_CLOSED;
    }
}

/* Index of the first item whose tid is not below `tid`. */
static size_t watched_place(const struct sw_thread_watch *watch, int32_t tid) {
    size_t low = 0;
    size_t high = watch->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (watch->items[middle].tid < tid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct watched *watched_get(struct sw_thread_watch *watch, int32_t tid) {
    size_t at = watched_place(watch, tid);
    if (at < watch->count && watch->items[at].tid == tid)
        return &watch->items[at];
    if (watch->count == watch->cap) {
        size_t cap = watch->cap ? 2 * watch->cap : 16;
        struct watched *items = sw_realloc_array(watch->items, cap, sizeof *items);
        if (!items)
            return NULL;
        watch->items = items;
        watch->cap = cap;
    }
    memmove(watch->items + at + 1, watch->items + at, (watch->count - at) * sizeof *watch->items);
    watch->count++;
    watch->items[at] = (struct watched){.tid = tid, .files = {FILE_CLOSED, FILE_CLOSED, FILE_CLOSED}};
    return &watch->items[at];
}

static int file_open(const struct sw_thread_watch *watch, int32_t tid, enum file_kind kind) {
    char path[48];
    snprintf(path, sizeof path, "task/%d/%s", tid, file_names[kind]);
    return openat(watch->target->proc_fd, path, O_RDONLY | O_CLOEXEC);
}

/* Reads the file from its beginning, opening it where it is not open; 0 or an errno value. */
static int file_read(struct sw_thread_watch *watch, struct watched *item, enum file_kind kind, struct file_text *text) {
    int fd = item->files[kind];
    text->len = 0;
    if (fd == FILE_REFUSED)
        return EACCES;
    if (fd < 0) {
        fd = file_open(watch, item->tid, kind);
        if (fd < 0) {
            if (errno == EACCES || errno == EPERM)
                item->files[kind] = FILE_REFUSED;
            return errno;
        }
    }
    ssize_t len = pread(fd, text->bytes, FILE_BYTES_MAX, 0);
    int reason = len < 0 ? errno : len == 0 ? ESRCH : 0;
    bool is_kept = item->files[kind] >= 0;
    if (reason == 0 && !is_kept && watch->open_files < watch->open_files_max) {
        item->files[kind] = fd;
        watch->open_files++;
    } else if (reason != 0 || !is_kept) {
        close(fd);
        watch->open_files -= is_kept;
        item->files[kind] = reason == EACCES || reason == EPERM ? FILE_REFUSED : FILE_CLOSED;
    }
    text->len = len > 0 ? (size_t)len : 0;
    text->bytes[text->len] = '\0';
    return reason;
}

static bool is_gone(int reason) {
    return reason == ESRCH || reason == ENOENT;
}

/* The next number of *at, decimal or 0x; false at the end of the text. The text is the kernel's and ends with NUL. */
static bool number_next(const char **at, uint64_t *value) {
    const char *text = *at;
    uint64_t number = 0;
    while (*text == ' ')
        text++;
    bool is_hex = text[0] == '0' && text[1] == 'x';
    text += is_hex ? 2 : 0;
    const char *start = text;
    for (;; text++) {
        char digit = *text;
        if (digit >= '0' && digit <= '9')
            number = number * (is_hex ? 16 : 10) + (uint64_t)(digit - '0');
        else if (is_hex && digit >= 'a' && digit <= 'f')
            number = number * 16 + (uint64_t)(digit - 'a') + 10;
        else
            break;
    }
    *at = text;
    *value = number;
    return text > start;
}

/* "running", "-1 SP PC" (blocked, not in a system call), "NUMBER ARG0 .. ARG5 SP PC". */
static void syscall_parse(const char *text, struct sw_thread_look *look) {
    uint64_t numbers[9] = {0};
    size_t count = 0;
    bool is_outside = text[0] == '-';
    if (strncmp(text, "running", 7) == 0) {
        look->activity = SW_THREAD_RUNNING;
        return;
    }
    text += is_outside;
    while (count < 9 && number_next(&text, &numbers[count]))
        count++;
    if (is_outside && count == 3) {
        look->sp = numbers[1];
        look->pc = numbers[2];
        /* A thread that has ended and is not yet collected has no stack any more. */
        look->activity = look->sp == 0 && look->pc == 0 ? SW_THREAD_GONE : SW_THREAD_BLOCKED;
    } else if (count == 9) {
        look->activity = SW_THREAD_BLOCKED;
        look->syscall = (int64_t)numbers[0];
        memcpy(look->args, numbers + 1, sizeof look->args);
        look->sp = numbers[7];
        look->pc = numbers[8];
    }
}

static void schedstat_parse(const char *text, struct sw_thread_look *look) {
    uint64_t numbers[3] = {0};
    for (int i = 0; i < 3; i++)
        if (!number_next(&text, &numbers[i]))
            return;
    look->cpu_ns = (int64_t)numbers[0];
    look->wait_ns = (int64_t)numbers[1];
    look->runs = numbers[2];
    look->has_schedstat = true;
}

/* "7 (a name) S ..."; the name may hold brackets, so the last one ends it. */
static void stat_parse(const struct file_text *text, struct sw_thread_look *look) {
    const char *close = memrchr(text->bytes, ')', text->len);
    if (!close || close[1] != ' ')
        return;
    switch (close[2]) {
    case 'R':
        look->activity = SW_THREAD_RUNNING;
        break;
    case 'Z':
    case 'X':
    case 'x':
        look->activity = SW_THREAD_GONE;
        break;
    case '\0':
        break;
    default:
        look->activity = SW_THREAD_BLOCKED;
    }
}

/* Of several words waited for, the first: struct futex_waitv is {value, address, flags}. */
static uint64_t futex_first(const struct sw_thread_watch *watch, const struct sw_thread_look *look) {
    uint64_t pair[2] = {0, 0};
#ifdef SYS_futex_waitv
    if (look->syscall == SYS_futex_waitv && look->args[1] > 0 &&
        sw_target_read(watch->target, look->args[0], pair, sizeof pair) != SW_OK)
        pair[1] = 0;
#endif
    return pair[1];
}

static void syscall_look(struct sw_thread_watch *watch, struct watched *item, struct sw_thread_look *look) {
    struct file_text text;
    int reason = file_read(watch, item, FILE_SYSCALL, &text);
    if (reason == 0) {
        syscall_parse(text.bytes, look);
        look->futex = futex_first(watch, look);
    } else if (is_gone(reason)) {
        look->activity = SW_THREAD_GONE;
    } else {
        reason = file_read(watch, item, FILE_STAT, &text);
        if (reason == 0)
            stat_parse(&text, look);
        else if (is_gone(reason))
            look->activity = SW_THREAD_GONE;
    }
}

static void schedstat_look(struct sw_thread_watch *watch, struct watched *item, struct sw_thread_look *look) {
    struct file_text text;
    int reason = file_read(watch, item, FILE_SCHEDSTAT, &text);
    if (reason == 0)
        schedstat_parse(text.bytes, look);
    else if (is_gone(reason))
        look->activity = SW_THREAD_GONE;
}

enum sw_status sw_thread_watch_new(struct sw_thread_watch **out, const struct sw_target *target) {
    struct sw_thread_watch *watch = sw_alloc_zero(sizeof *watch);
    if (!watch)
        return SW_NOMEM;
    watch->target = target;
    watch->open_files_max = files_max();
    *out = watch;
    return SW_OK;
}

void sw_thread_watch_free(struct sw_thread_watch *watch) {
    if (!watch)
        return;
    for (size_t i = 0; i < watch->count; i++)
        watched_close(watch, &watch->items[i]);
    sw_free(watch->items);
    sw_free(watch);
}

enum sw_status sw_thread_look(struct sw_thread_watch *watch, int32_t tid, unsigned what, struct sw_thread_look *look) {
    struct watched *item = watched_get(watch, tid);
    if (!item)
        return SW_NOMEM;
    item->is_looked_at = true;
    *look = (struct sw_thread_look){.activity = SW_THREAD_UNKNOWN, .syscall = -1};
    if (what & SW_LOOK_SYSCALL)
        syscall_look(watch, item, look);
    if (what & SW_LOOK_SCHEDSTAT && look->activity != SW_THREAD_GONE)
        schedstat_look(watch, item, look);
    return SW_OK;
}

void sw_thread_watch_sweep(struct sw_thread_watch *watch) {
    size_t kept = 0;
    for (size_t i = 0; i < watch->count; i++) {
        struct watched *item = &watch->items[i];
        if (!item->is_looked_at) {
            watched_close(watch, item);
            continue;
        }
        item->is_looked_at = false;
        watch->items[kept++] = *item;
    }
    watch->count = kept;
}

bool sw_syscall_is_futex_wait(const struct sw_thread_look *look, uint64_t *address) {
    if (look->activity != SW_THREAD_BLOCKED || look->syscall < 0)
        return false;
    uint64_t word = look->futex;
    if (look->syscall == SYS_futex) {
        switch ((int)look->args[1] & FUTEX_CMD_MASK) {
        case FUTEX_WAIT:
        case FUTEX_WAIT_BITSET:
        case FUTEX_LOCK_PI:
        case 13: /* FUTEX_LOCK_PI2, since Linux 5.14 */
        case FUTEX_WAIT_REQUEUE_PI:
            word = look->args[0];
        }
    }
    if (look->syscall == 455) /* futex_wait, since Linux 6.7, the same number everywhere */
        word = look->args[0];
    if (word != 0)
        *address = word;
    return word != 0;
}
