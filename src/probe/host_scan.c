/* host_scan.c - Lists the processes there are and brings the table in line with them. */
#include <dirent.h>
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "probe/host_impl.h"

#define MAX_PROCESSES 65536
#define LIST_BYTES 32768 /* about 1200 entries a call */
#define MAX_LIST_CALLS 65536

static int compare_ids(const void *a, const void *b) {
    int32_t left = *(const int32_t *)a;
    int32_t right = *(const int32_t *)b;
    return (left > right) - (left < right);
}

/* The kernel lists processes in order already; threads come in the order of their creation. */
static void sort_ids(struct sw_host_ids *ids) {
    for (size_t i = 1; i < ids->count; i++) {
        if (ids->ids[i] < ids->ids[i - 1]) {
            qsort(ids->ids, ids->count, sizeof *ids->ids, compare_ids);
            return;
        }
    }
}

static enum sw_status add_ids(struct sw_host_ids *ids, size_t max, const char *bytes, size_t len) {
    for (size_t at = 0; at + sizeof(struct dirent64) - sizeof((struct dirent64){0}.d_name) < len;) {
        const struct dirent64 *item = (const struct dirent64 *)(const void *)(bytes + at);
        int32_t id = sw_host_parse_id(item->d_name);
        at += item->d_reclen;
        if (id == 0) {
            continue;
        }
        if (ids->count == max) {
            return SW_LIMIT;
        }
        int32_t *grown = sw_host_grown(ids->ids, ids->count + 1, &ids->cap, sizeof *grown);
        if (!grown) {
            return SW_NOMEM;
        }
        ids->ids = grown;
        ids->ids[ids->count++] = id;
    }
    return SW_OK;
}

enum sw_status sw_host_list_ids(int dir_fd, struct sw_host_ids *ids, size_t max) {
    alignas(struct dirent64) char bytes[LIST_BYTES];
    enum sw_status status = SW_OK;
    ids->count = 0;
    if (lseek(dir_fd, 0, SEEK_SET) < 0) {
        return SW_IO;
    }
    for (int call = 0; call < MAX_LIST_CALLS && !status; call++) {
        ssize_t got = getdents64(dir_fd, bytes, sizeof bytes);
        if (got < 0) {
            return SW_IO;
        }
        if (got == 0) {
            break;
        }
        status = add_ids(ids, max, bytes, (size_t)got);
    }
    sort_ids(ids);
    return status;
}

/* Both lists ascend: one pass keeps what is in both, frees what left and adds what came. */
static enum sw_status merge(struct sw_host *host) {
    struct sw_host_process_state *state = &host->process;
    enum sw_status status = SW_OK;
    size_t old = 0;
    size_t count = 0;
    for (size_t i = 0; i < state->ids.count; i++) {
        int32_t pid = state->ids.ids[i];
        while (old < state->entry_count && state->entries[old]->pid < pid) {
            sw_host_entry_free(state, state->entries[old++]);
        }
        if (old < state->entry_count && state->entries[old]->pid == pid) {
            state->spare[count++] = state->entries[old++];
            continue;
        }
        struct sw_host_entry *entry = sw_host_entry_new(host, pid);
        if (entry) {
            state->spare[count++] = entry;
        } else {
            status = SW_NOMEM;
        }
    }
    while (old < state->entry_count) {
        sw_host_entry_free(state, state->entries[old++]);
    }
    struct sw_host_entry **swap = state->entries;
    size_t swap_cap = state->entry_cap;
    state->entries = state->spare;
    state->entry_cap = state->spare_cap;
    state->entry_count = count;
    state->spare = swap;
    state->spare_cap = swap_cap;
    return status;
}

enum sw_status sw_host_scan(struct sw_host *host, struct sw_error *err) {
    struct sw_host_process_state *state = &host->process;
    enum sw_status status = sw_host_list_ids(host->proc_fd, &state->ids, MAX_PROCESSES);
    if (status == SW_IO) {
        return sw_fail_errno(err, errno, "cannot list the processes");
    }
    struct sw_host_entry **spare = NULL;
    if (status != SW_NOMEM) {
        spare = sw_host_grown(state->spare, state->ids.count, &state->spare_cap, sizeof(struct sw_host_entry *));
    }
    if (!spare) {
        return sw_fail(err, SW_NOMEM, "cannot list the processes: out of memory");
    }
    state->spare = spare;
    if (merge(host)) {
        return sw_fail(err, SW_NOMEM, "cannot add a process: out of memory");
    }
    return SW_OK;
}
