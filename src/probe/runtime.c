/* runtime.c - Opens the CPython inside a target: finds it, takes or makes its layout, tries it on live structures. */
#include "probe/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/runtime_impl.h"
#include "probe/target_impl.h"

#define OPEN_TRIES 5 /* to see a thread list at rest */

/* The words of "NSpid:\t4242\t17": one for each namespace from ours down to the process's own. */
static bool has_other_pids(const struct sw_target *target) {
    struct sw_buf text = {0};
    bool is_other = false;
    if (sw_target_file(target, "status", &text) == SW_OK) {
        struct sw_str ids = sw_status_value(sw_buf_view(&text), SW_STR("NSpid"));
        is_other = sw_str_find(ids, '\t') < ids.len;
    }
    sw_buf_release(&text);
    return is_other;
}

static enum sw_status not_python(const struct sw_target *target, struct sw_error *err) {
    return sw_fail(err, SW_NOTFOUND, "process %d is not a Python process, or Python has not started in it yet",
                   target->pid);
}

static enum sw_status read_fail(const struct sw_target *target, enum sw_status status, struct sw_error *err) {
    if (status == SW_CLOSED)
        return sw_fail(err, status, "process %d has ended", target->pid);
    if (status == SW_PERM) {
        status = sw_target_explain(target, err);
        return status == SW_OK ? sw_fail(err, SW_AGAIN, "process %d could not be read just now", target->pid) : status;
    }
    return sw_fail(err, status, "cannot read the memory of process %d: %s", target->pid, sw_status_text(status));
}

/* Up to 3.12. */
static enum sw_status layout_old(struct sw_runtime *runtime, const struct sw_runtime_place *place,
                                 struct sw_error *err) {
    bool has_patch;
    if (sw_runtime_old_version(runtime->target, place, &runtime->version, &has_patch) != SW_OK)
        return sw_fail(err, SW_UNSUPPORTED, "cannot tell the version of the Python in process %d (%" SW_STR_FMT ")",
                       runtime->target->pid, SW_STR_ARG(place->mapping->path));
    sw_version_format(runtime->version, false, runtime->version_text);
    const struct sw_layout *table = sw_layout_for(runtime->version, false);
    if (!table)
        return sw_fail(err, SW_UNSUPPORTED, "process %d runs Python %s; sidewinder reads CPython 3.%d to 3.%d",
                       runtime->target->pid, runtime->version_text, SW_MINOR_FIRST, SW_MINOR_LAST);
    runtime->layout = *table;
    return SW_OK;
}

static enum sw_status layout_make(struct sw_runtime *runtime, const struct sw_runtime_place *place,
                                  struct sw_error *err) {
    unsigned char bytes[SW_DEBUG_OFFSETS_MAX];
    struct sw_error reason;
    enum sw_status status = sw_target_read(runtime->target, runtime->address, bytes, sizeof bytes);
    if (status != SW_OK)
        return read_fail(runtime->target, status, err);
    if (memcmp(bytes, "xdebugpy", 8) != 0)
        return layout_old(runtime, place, err);
    status = sw_layout_from_debug(bytes, sizeof bytes, &runtime->layout, &reason);
    if (status != SW_OK)
        return sw_fail(err, status, "cannot read the Python in process %d: %s", runtime->target->pid, reason.text);
    uint64_t version;
    memcpy(&version, bytes + 8, sizeof version);
    runtime->version = (uint32_t)version;
    runtime->is_free_threaded = runtime->layout.is_free_threaded;
    sw_version_format(runtime->version, runtime->is_free_threaded, runtime->version_text);
    return SW_OK;
}

/* The layout holds when the interpreters and threads of the target can be walked with it. */
static enum sw_status layout_try(const struct sw_runtime *runtime, struct sw_error *err) {
    struct sw_thread_list list = {0};
    enum sw_status status = SW_AGAIN;
    for (int i = 0; i < OPEN_TRIES && status == SW_AGAIN; i++) {
        if (i > 0)
            sw_clock_sleep_ns(SW_NS_PER_MS);
        status = sw_runtime_threads(runtime, &list);
    }
    bool is_empty = status == SW_OK && list.thread_count == 0;
    sw_thread_list_release(&list);
    if (is_empty || status == SW_NOTFOUND)
        return sw_fail(err, SW_NOTFOUND, "the Python in process %d has not started yet, or is ending",
                       runtime->target->pid);
    if (status == SW_AGAIN || status == SW_IO)
        return sw_fail(err, SW_UNSUPPORTED,
                       "the Python %s in process %d is not laid out as that release is (a debug build, or one that was "
                       "changed)",
                       runtime->version_text, runtime->target->pid);
    return status == SW_OK ? SW_OK : read_fail(runtime->target, status, err);
}

/* Within 3.13 PyGC_Head came to be aligned to 4 bytes, which moves the collector's lists by 4; so their heads, which are
 * circular and doubly linked, say themselves where they are. Without lists (free-threaded) there is nothing to find. */
static bool is_list_head(const struct sw_runtime *runtime, uint64_t address) {
    uint64_t links[2], back[2];
    if (sw_target_read(runtime->target, address, links, sizeof links) != SW_OK)
        return false;
    return sw_target_read(runtime->target, links[0] & ~UINT64_C(3), back, sizeof back) == SW_OK &&
           (back[1] & ~UINT64_C(3)) == address;
}

static void generations_find(struct sw_runtime *runtime, uint64_t interpreter) {
    uint32_t gc = runtime->layout.interpreter.gc, table = runtime->layout.gc.generations;
    if (runtime->is_free_threaded || gc == SW_ABSENT || table == SW_ABSENT) {
        runtime->layout.gc.generations = runtime->is_free_threaded ? SW_ABSENT : table;
        return;
    }
    static const uint32_t steps[] = {0, 4, (uint32_t)-4};
    for (int try = 0; try < OPEN_TRIES; try++)
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
            if (is_list_head(runtime, interpreter + gc + table + steps[i]) &&
                is_list_head(runtime, interpreter + gc + table + steps[i] + 48)) {
                runtime->layout.gc.generations = table + steps[i];
                return;
            }
    runtime->layout.gc.generations = SW_ABSENT;
}

static enum sw_status asyncio_read(struct sw_runtime *runtime, const struct sw_mapping *mapping) {
    unsigned char bytes[SW_ASYNCIO_DEBUG_BYTES];
    struct sw_elf_image image;
    struct sw_elf_place section;
    int fd = sw_target_open_mapped(runtime->target, mapping);
    if (fd < 0)
        return SW_NOTFOUND;
    enum sw_status status = sw_elf_section(fd, ".AsyncioDebug", &section);
    close(fd);
    if (status == SW_OK && section.size_bytes < sizeof bytes)
        status = SW_MALFORMED;
    if (status == SW_OK)
        status = sw_elf_image_read(runtime->target, mapping->start, &image);
    if (status == SW_OK)
        status = sw_target_read(runtime->target, section.address + image.bias, bytes, sizeof bytes);
    return status == SW_OK ? sw_layout_add_asyncio(bytes, &runtime->layout) : status;
}

/* The module is a file of its own, _asyncio.cpython-314-x86_64-linux-gnu.so, or a part of the runtime's file. */
static enum sw_status asyncio_find(struct sw_runtime *runtime, const struct sw_maps *maps) {
    if ((runtime->version >> 16 & 255) < 14)
        return SW_NOTFOUND;
    for (size_t i = 0; i < maps->count; i++) {
        const struct sw_mapping *mapping = &maps->items[i];
        if (mapping->offset != 0 || mapping->inode == 0)
            continue;
        bool is_module = mapping->path.len > 0 && memmem(mapping->path.ptr, mapping->path.len, "/_asyncio.", 10);
        if ((is_module || sw_str_eq(mapping->path, runtime->path)) && asyncio_read(runtime, mapping) == SW_OK)
            return SW_OK;
    }
    return SW_NOTFOUND;
}

static enum sw_status runtime_fill(struct sw_runtime *runtime, const struct sw_maps *maps, struct sw_error *err) {
    struct sw_runtime_place place;
    uint64_t interpreter = 0;
    enum sw_status status = sw_runtime_find(runtime->target, maps, &place);
    if (status == SW_NOTFOUND)
        return not_python(runtime->target, err);
    if (status != SW_OK)
        return read_fail(runtime->target, status, err);
    runtime->address = place.address;
    runtime->path = sw_arena_copy(&runtime->text, place.mapping->path);
    if (!runtime->path.ptr)
        return sw_fail(err, SW_NOMEM, "cannot look at process %d: out of memory", runtime->target->pid);
    status = layout_make(runtime, &place, err);
    if (status == SW_OK)
        status = layout_try(runtime, err);
    if (status != SW_OK)
        return status;
    if (sw_target_read_u64(runtime->target, runtime->address + runtime->layout.runtime.interpreters_head,
                           &interpreter) == SW_OK)
        generations_find(runtime, interpreter);
    (void)!asyncio_find(runtime, maps);
    return SW_OK;
}

enum sw_status sw_runtime_open(struct sw_runtime *runtime, struct sw_target *target, struct sw_error *err) {
    struct sw_runtime made = {.target = target};
    struct sw_maps maps = {0};
    enum sw_status status = sw_target_explain(target, err);
    if (status != SW_OK)
        return status;
    status = sw_target_maps(target, &maps, err);
    if (status != SW_OK)
        return status;
    made.has_other_pids = has_other_pids(target);
    status = runtime_fill(&made, &maps, err);
    sw_maps_release(&maps);
    if (status == SW_OK)
        *runtime = made;
    else
        sw_arena_release(&made.text);
    return status;
}

void sw_runtime_close(struct sw_runtime *runtime) {
    sw_arena_release(&runtime->text);
    *runtime = (struct sw_runtime){0};
}

bool sw_target_is_python(const struct sw_target *target, bool *is_denied) {
    char link[4096];
    struct sw_maps maps = {0};
    struct sw_error err;
    struct sw_elf_place place;
    bool is_python = false;
    *is_denied = false;
    ssize_t length = readlinkat(target->proc_fd, "exe", link, sizeof link);
    if (length < 0) {
        *is_denied = errno == EACCES || errno == EPERM;
        return false;
    }
    if (sw_path_is_python(sw_str_make(link, (size_t)length)))
        return true;
    int fd = openat(target->proc_fd, "exe", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        is_python = sw_elf_section(fd, ".PyRuntime", &place) == SW_OK;
        close(fd);
    }
    if (is_python)
        return true;
    enum sw_status status = sw_target_maps(target, &maps, &err);
    *is_denied = status == SW_PERM;
    for (size_t i = 0; status == SW_OK && i < maps.count && !is_python; i++)
        is_python = maps.items[i].offset == 0 && maps.items[i].inode != 0 && sw_path_is_python(maps.items[i].path);
    sw_maps_release(&maps);
    return is_python;
}
