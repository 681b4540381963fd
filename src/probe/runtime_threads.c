/* runtime_threads.c - Walks the interpreters and threads of a runtime while it runs.
 *
 * The lists may change at any moment, so each link is checked: a thread must point back to its interpreter and to the
 * thread before it. What does not hold is walked again from the start.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "probe/runtime_impl.h"
#include "probe/target_impl.h"

#define WALK_TRIES 5
#define HEADS_AT_ONCE 256
#define RECORD_HEAD 16
#define HEAD_BYTES_MAX 4096 /* sw_layout_from_debug lets no thread head be longer */

static enum sw_status interpreter_add(struct sw_thread_list *list, const struct sw_interpreter *interpreter) {
    if (list->interpreter_count == list->interpreter_cap) {
        size_t cap = list->interpreter_cap ? list->interpreter_cap * 2 : 4;
        struct sw_interpreter *grown = sw_realloc_array(list->interpreters, cap, sizeof *grown);
        if (!grown)
            return SW_NOMEM;
        list->interpreters = grown;
        list->interpreter_cap = cap;
    }
    list->interpreters[list->interpreter_count++] = *interpreter;
    return SW_OK;
}

static enum sw_status thread_add(struct sw_thread_list *list, const struct sw_thread_ref *thread) {
    if (list->thread_count == list->thread_cap) {
        size_t cap = list->thread_cap ? list->thread_cap * 2 : 16;
        struct sw_thread_ref *grown = sw_realloc_array(list->threads, cap, sizeof *grown);
        if (!grown)
            return SW_NOMEM;
        list->threads = grown;
        list->thread_cap = cap;
    }
    list->threads[list->thread_count++] = *thread;
    return SW_OK;
}

static uint64_t word_at(const char *bytes, uint32_t offset) {
    uint64_t word;
    memcpy(&word, bytes + offset, sizeof word);
    return word;
}

/* The GIL's address: inline in the runtime up to 3.11, by pointer since. A free-threaded interpreter has one too, but
 * does not use it unless PYTHON_GIL=1 or an old extension module switched it on. */
static enum sw_status gil_find(const struct sw_runtime *runtime, uint64_t interpreter, uint64_t *gil) {
    const struct sw_layout *layout = &runtime->layout;
    uint64_t address;
    int32_t enabled;
    *gil = 0;
    if (layout->runtime.gil != SW_ABSENT) {
        *gil = runtime->address + layout->runtime.gil;
        return SW_OK;
    }
    enum sw_status status = sw_target_read_u64(runtime->target, interpreter + layout->interpreter.ceval_gil, &address);
    if (status != SW_OK || address == 0)
        return status;
    if (runtime->is_free_threaded && layout->gil.enabled != SW_ABSENT) {
        status = sw_target_read(runtime->target, address + layout->gil.enabled, &enabled, sizeof enabled);
        if (status != SW_OK || enabled == 0)
            return status;
    }
    *gil = address;
    return SW_OK;
}

static enum sw_status interpreter_read(const struct sw_runtime *runtime, uint64_t address,
                                       struct sw_interpreter *interpreter, uint64_t *next) {
    const struct sw_layout *layout = &runtime->layout;
    uint64_t words[3];
    struct iovec local = {words, sizeof words};
    struct iovec remote[3] = {
        {(void *)(uintptr_t)(address + layout->interpreter.next), 8},
        {(void *)(uintptr_t)(address + layout->interpreter.id), 8},
        {(void *)(uintptr_t)(address + layout->interpreter.threads_head), 8},
    };
    ssize_t got = sw_target_readv(runtime->target, &local, 1, remote, 3);
    if (got != (ssize_t)sizeof words)
        return got == -ESRCH ? SW_CLOSED : got == -EPERM ? SW_PERM : SW_IO;
    *interpreter = (struct sw_interpreter){.address = address, .id = (int64_t)words[1], .threads_head = words[2]};
    *next = words[0];
    return gil_find(runtime, address, &interpreter->gil);
}

/* The heads of the threads of the last round, read in one go: most of them are still there. */
struct heads {
    size_t count;
    size_t record_bytes; /* the address, the thread's id as it was found, then the head */
    size_t hint;         /* where the next one is expected */
};

static enum sw_status heads_reserve(struct sw_thread_list *list, size_t size) {
    if (size <= list->heads_cap)
        return SW_OK;
    char *grown = sw_realloc(list->heads, size * 2);
    if (!grown)
        return SW_NOMEM;
    list->heads = grown;
    list->heads_cap = size * 2;
    return SW_OK;
}

/* Up to HEADS_AT_ONCE heads; those not read are forgotten, by an address of 0. */
static enum sw_status heads_read_some(const struct sw_runtime *runtime, struct sw_thread_list *list,
                                      const struct heads *heads, size_t first) {
    struct iovec local[HEADS_AT_ONCE] = {0}, remote[HEADS_AT_ONCE] = {0};
    size_t size = heads->record_bytes - RECORD_HEAD, count = heads->count - first;
    if (count > HEADS_AT_ONCE)
        count = HEADS_AT_ONCE;
    for (size_t i = 0; i < count; i++) {
        char *record = list->heads + (first + i) * heads->record_bytes;
        uint64_t address = list->threads[first + i].address;
        int64_t tid = list->threads[first + i].tid;
        memcpy(record, &address, sizeof address);
        memcpy(record + 8, &tid, sizeof tid);
        local[i] = (struct iovec){record + RECORD_HEAD, size};
        remote[i] = (struct iovec){(void *)(uintptr_t)address, size};
    }
    ssize_t got = sw_target_readv(runtime->target, local, count, remote, count);
    for (size_t i = got > 0 ? (size_t)got / size : 0; i < count; i++)
        memset(list->heads + (first + i) * heads->record_bytes, 0, 8);
    return got == -ESRCH ? SW_CLOSED : got == -EPERM ? SW_PERM : SW_OK;
}

static enum sw_status heads_read(const struct sw_runtime *runtime, struct sw_thread_list *list, struct heads *heads) {
    *heads = (struct heads){.count = list->thread_count, .record_bytes = RECORD_HEAD + runtime->layout.thread.size};
    enum sw_status status = heads_reserve(list, heads->count * heads->record_bytes);
    for (size_t first = 0; status == SW_OK && first < heads->count; first += HEADS_AT_ONCE)
        status = heads_read_some(runtime, list, heads, first);
    return status;
}

/* The bytes of a head if the last round had it; NULL: read it alone. New threads come first, so behind a known one
 * mostly follows the next known one. */
static const char *heads_find(const struct sw_thread_list *list, struct heads *heads, uint64_t address) {
    for (size_t i = heads->hint; i < heads->count; i++) {
        const char *record = list->heads + i * heads->record_bytes;
        if (word_at(record, 0) == address) {
            heads->hint = i + 1;
            return record + RECORD_HEAD;
        }
    }
    return NULL;
}

/* One interpreter's threads. SW_AGAIN: a link did not hold. */
static enum sw_status threads_walk(const struct sw_runtime *runtime, const struct sw_interpreter *interpreter,
                                   struct sw_thread_list *list, struct heads *heads) {
    const struct sw_layout *layout = &runtime->layout;
    char bytes[HEAD_BYTES_MAX];
    uint64_t before = 0;
    for (uint64_t address = interpreter->threads_head; address != 0;) {
        if (list->thread_count >= SW_PYTHREADS_MAX)
            return SW_AGAIN;
        const char *head = heads_find(list, heads, address);
        if (!head) {
            enum sw_status status = sw_target_read(runtime->target, address, bytes, layout->thread.size);
            if (status != SW_OK)
                return status == SW_IO ? SW_AGAIN : status;
            head = bytes;
        }
        if (word_at(head, layout->thread.interp) != interpreter->address ||
            word_at(head, layout->thread.prev) != before)
            return SW_AGAIN;
        struct sw_thread_ref thread = {.address = address, .pthread = word_at(head, layout->thread.thread_id)};
        thread.interpreter = (uint32_t)(list->interpreter_count - 1);
        if (layout->thread.native_thread_id != SW_ABSENT)
            thread.tid = (int32_t)word_at(head, layout->thread.native_thread_id);
        else if (head != bytes)
            thread.tid = (int32_t)word_at(head - RECORD_HEAD, 8); /* as it was; tids_find looks whether it still is */
        if (thread_add(list, &thread) != SW_OK)
            return SW_NOMEM;
        before = address;
        address = word_at(head, layout->thread.next);
    }
    return SW_OK;
}

static enum sw_status interpreters_walk(const struct sw_runtime *runtime, struct sw_thread_list *list,
                                        struct heads *heads) {
    uint64_t address, next = 0;
    enum sw_status status =
        sw_target_read_u64(runtime->target, runtime->address + runtime->layout.runtime.interpreters_head, &address);
    list->interpreter_count = 0;
    list->thread_count = 0;
    if (status == SW_OK && address == 0)
        return SW_NOTFOUND;
    for (; status == SW_OK && address != 0; address = next) {
        struct sw_interpreter interpreter;
        if (list->interpreter_count >= SW_INTERPRETERS_MAX)
            return SW_AGAIN;
        status = interpreter_read(runtime, address, &interpreter, &next);
        if (status == SW_OK)
            status = interpreter_add(list, &interpreter);
        if (status == SW_OK)
            status = threads_walk(runtime, &interpreter, list, heads);
    }
    return status == SW_IO ? SW_AGAIN : status;
}

static int compare_pairs(const void *a, const void *b) {
    int32_t left = ((const struct sw_tid_pair *)a)->inner, right = ((const struct sw_tid_pair *)b)->inner;
    return (left > right) - (left < right);
}

/* The last word of a thread's "NSpid:" is its id in its own namespace. */
static int32_t inner_tid(const struct sw_target *target, int32_t tid) {
    struct sw_buf text = {0};
    char name[48];
    uint64_t inner = 0;
    snprintf(name, sizeof name, "task/%d/status", tid);
    if (sw_target_file(target, name, &text) == SW_OK) {
        struct sw_str ids = sw_status_value(sw_buf_view(&text), SW_STR("NSpid")), last = ids;
        while (ids.ptr)
            last = sw_str_cut(&ids, '\t');
        if (sw_str_to_u64(last, &inner) != SW_OK || inner > INT32_MAX)
            inner = 0;
    }
    sw_buf_release(&text);
    return (int32_t)inner;
}

static enum sw_status pairs_read(const struct sw_target *target, struct sw_thread_list *list) {
    int32_t *tids = NULL;
    size_t count = 0, cap = 0;
    enum sw_status status = sw_target_threads(target, &tids, &count, &cap);
    if (status == SW_OK && count > list->pair_cap) {
        struct sw_tid_pair *grown = sw_realloc_array(list->pairs, count, sizeof *grown);
        status = grown ? SW_OK : SW_NOMEM;
        list->pairs = grown ? grown : list->pairs;
        list->pair_cap = grown ? count : list->pair_cap;
    }
    if (status == SW_OK) {
        list->pair_count = count;
        for (size_t i = 0; i < count; i++)
            list->pairs[i] = (struct sw_tid_pair){.inner = inner_tid(target, tids[i]), .outer = tids[i]};
        qsort(list->pairs, count, sizeof *list->pairs, compare_pairs);
    }
    sw_free(tids);
    return status;
}

static int32_t pairs_find(const struct sw_thread_list *list, int32_t inner) {
    struct sw_tid_pair key = {.inner = inner};
    const struct sw_tid_pair *pair =
        list->pair_count > 0 ? bsearch(&key, list->pairs, list->pair_count, sizeof key, compare_pairs) : NULL;
    return pair ? pair->outer : 0;
}

/* The ids in a container's memory are its own; those of /proc are ours. A new thread makes the table be read again. */
static enum sw_status tids_translate(const struct sw_runtime *runtime, struct sw_thread_list *list) {
    bool is_fresh = false;
    for (size_t i = 0; i < list->thread_count; i++) {
        struct sw_thread_ref *thread = &list->threads[i];
        if (thread->tid == 0)
            continue;
        int32_t outer = pairs_find(list, thread->tid);
        if (outer == 0 && !is_fresh) {
            enum sw_status status = pairs_read(runtime->target, list);
            if (status != SW_OK)
                return status;
            is_fresh = true;
            outer = pairs_find(list, thread->tid);
        }
        thread->tid = outer;
    }
    return SW_OK;
}

static bool is_task(const struct sw_runtime *runtime, int32_t tid) {
    char path[32];
    if (runtime->has_other_pids)
        return true; /* the translation finds it, or makes it 0 */
    snprintf(path, sizeof path, "task/%d", tid);
    return faccessat(runtime->target->proc_fd, path, F_OK, 0) == 0;
}

/* Up to 3.10 a thread state has the pthread_t only. The C library keeps the kernel's id in the structure it points to:
 * glibc at 720 on x86-64 and 208 on aarch64, musl at 48. What is found there must be a thread of the process, which is
 * asked for only when it is not the id of the round before (a look at /proc takes 15 us in a process of 1000 threads). */
static int32_t tid_find(const struct sw_runtime *runtime, uint64_t pthread, int32_t known) {
    static const uint32_t offsets[] = {720, 208, 48};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        int32_t tid;
        if (sw_target_read(runtime->target, pthread + offsets[i], &tid, sizeof tid) == SW_OK && tid > 0 &&
            (tid == known || is_task(runtime, tid)))
            return tid;
    }
    return 0;
}

static void tids_find(const struct sw_runtime *runtime, struct sw_thread_list *list) {
    for (size_t i = 0; i < list->thread_count; i++)
        list->threads[i].tid = tid_find(runtime, list->threads[i].pthread, list->threads[i].tid);
}

enum sw_status sw_runtime_threads(const struct sw_runtime *runtime, struct sw_thread_list *list) {
    struct heads heads;
    if (runtime->layout.thread.size > HEAD_BYTES_MAX)
        return SW_MALFORMED;
    enum sw_status status = heads_read(runtime, list, &heads);
    if (status == SW_OK)
        status = interpreters_walk(runtime, list, &heads);
    for (int i = 1; i < WALK_TRIES && status == SW_AGAIN; i++) {
        heads = (struct heads){.record_bytes = heads.record_bytes};
        status = interpreters_walk(runtime, list, &heads);
    }
    if (status == SW_OK && runtime->layout.thread.native_thread_id == SW_ABSENT)
        tids_find(runtime, list);
    if (status == SW_OK && runtime->has_other_pids)
        status = tids_translate(runtime, list);
    return status;
}

void sw_thread_list_release(struct sw_thread_list *list) {
    sw_free(list->interpreters);
    sw_free(list->threads);
    sw_free(list->pairs);
    sw_free(list->heads);
    *list = (struct sw_thread_list){0};
}
