/* family.c - /proc/PID/task/TID/children of every thread; see family.h. */
#include "probe/family.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"

#define READ_BYTES 4096

void sw_family_release(struct sw_family *family) {
    sw_free(family->children);
    sw_free(family->threads);
    sw_buf_release(&family->text);
    *family = (struct sw_family){0};
}

static enum sw_status child_add(struct sw_family *family, int32_t pid) {
    if (family->count >= SW_FAMILY_MAX)
        return SW_OK;
    if (family->count == family->cap) {
        size_t cap = family->cap ? family->cap * 2 : 16;
        int32_t *grown = sw_realloc_array(family->children, cap, sizeof *grown);
        if (!grown)
            return SW_NOMEM;
        family->children = grown;
        family->cap = cap;
    }
    family->children[family->count++] = pid;
    return SW_OK;
}

/* "12 345 6789 " */
static enum sw_status children_parse(struct sw_family *family) {
    struct sw_str rest = sw_buf_view(&family->text);
    enum sw_status status = SW_OK;
    while (rest.ptr && status == SW_OK) {
        uint64_t pid;
        if (sw_str_to_u64(sw_str_trim(sw_str_cut(&rest, ' ')), &pid) == SW_OK && pid > 0 && pid <= INT32_MAX)
            status = child_add(family, (int32_t)pid);
    }
    return status;
}

static enum sw_status file_read(int fd, struct sw_buf *text) {
    for (size_t total = 0; total < (size_t)SW_FAMILY_MAX * 8;) {
        enum sw_status status = sw_buf_reserve(text, READ_BYTES);
        if (status != SW_OK)
            return status;
        ssize_t got = read(fd, text->ptr + text->len, READ_BYTES);
        if (got <= 0)
            return SW_OK; /* a thread that ended meanwhile has no children: they went to another thread */
        text->len += (size_t)got;
        total += (size_t)got;
    }
    return SW_OK;
}

/* *has_file: whether the kernel shows children of this thread at all. */
static enum sw_status thread_look(struct sw_family *family, int proc_fd, int32_t tid, bool *has_file) {
    char name[48];
    snprintf(name, sizeof name, "task/%d/children", (int)tid);
    int fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return SW_OK;
    *has_file = true;
    sw_buf_clear(&family->text);
    enum sw_status status = file_read(fd, &family->text);
    close(fd);
    return status == SW_OK ? children_parse(family) : status;
}

enum sw_status sw_family_look(struct sw_family *family, const struct sw_target *parent) {
    bool has_file = false;
    family->count = 0;
    enum sw_status status = sw_target_threads(parent, &family->threads, &family->thread_count, &family->thread_cap);
    for (size_t i = 0; i < family->thread_count && status == SW_OK; i++)
        status = thread_look(family, parent->proc_fd, family->threads[i], &has_file);
    if (status == SW_OK && !has_file)
        status = sw_target_is_alive(parent) ? SW_UNSUPPORTED : SW_CLOSED;
    return status;
}
