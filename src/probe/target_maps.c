/* target_maps.c - The mappings of a target and the files behind them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/mem.h"
#include "probe/target_impl.h"

/* Mappings of one process; vm.max_map_count is 65530, or 1048576 where it was raised. */
#define MAPPINGS_MAX 2097152

/* A number of the base 10 or 16 up to `end`, which is cut off; *is_ok becomes false where there is none. */
static uint64_t number_cut(struct sw_str *text, unsigned base, char end, bool *is_ok) {
    uint64_t value = 0;
    size_t i = 0;
    for (; i < text->len && text->ptr[i] != end; i++) {
        char c = text->ptr[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 99;
        if (digit >= base || value > (UINT64_MAX - digit) / base)
            break;
        value = value * base + digit;
    }
    if (i == 0 || i == text->len || text->ptr[i] != end)
        *is_ok = false;
    *text = sw_str_skip(*text, i < text->len ? i + 1 : i);
    return value;
}

/* The kernel writes a newline in a path as \012, and nothing else that way. */
static struct sw_str path_copy(struct sw_arena *arena, struct sw_str path) {
    struct sw_str copy = sw_arena_copy(arena, path);
    if (!copy.ptr || !memchr(copy.ptr, '\\', copy.len))
        return copy;
    char *bytes = (char *)(uintptr_t)copy.ptr;
    size_t length = 0;
    for (size_t i = 0; i < copy.len; i++) {
        bool is_newline = copy.len - i >= 4 && memcmp(bytes + i, "\\012", 4) == 0;
        bytes[length++] = is_newline ? '\n' : bytes[i];
        i += is_newline ? 3 : 0;
    }
    bytes[length] = '\0';
    return sw_str_make(bytes, length);
}

/* "7f00-7f80 r-xp 0000a000 fe:01 1234     /usr/lib/x.so (deleted)"; false: not of this form. */
static bool line_parse(struct sw_str line, struct sw_mapping *mapping) {
    struct sw_mapping parsed = {0};
    bool is_ok = true;
    parsed.start = number_cut(&line, 16, '-', &is_ok);
    parsed.end = number_cut(&line, 16, ' ', &is_ok);
    if (!is_ok || parsed.start >= parsed.end || line.len < 5 || line.ptr[4] != ' ')
        return false;
    parsed.is_readable = line.ptr[0] == 'r';
    parsed.is_writable = line.ptr[1] == 'w';
    parsed.is_executable = line.ptr[2] == 'x';
    line = sw_str_skip(line, 5);
    parsed.offset = number_cut(&line, 16, ' ', &is_ok);
    unsigned major = (unsigned)number_cut(&line, 16, ':', &is_ok);
    unsigned minor = (unsigned)number_cut(&line, 16, ' ', &is_ok);
    parsed.device = makedev(major, minor);
    parsed.inode = number_cut(&line, 10, ' ', &is_ok);
    if (!is_ok)
        return false;
    while (line.len > 0 && line.ptr[0] == ' ')
        line = sw_str_skip(line, 1);
    parsed.is_deleted = sw_str_ends(line, SW_STR(" (deleted)"));
    if (parsed.is_deleted)
        line.len -= sizeof " (deleted)" - 1;
    parsed.path = line;
    *mapping = parsed;
    return true;
}

/* Neighbours are mostly of the same file: its path is kept once. */
static enum sw_status path_keep(struct sw_maps *maps, struct sw_mapping *mapping) {
    if (mapping->path.len == 0) {
        mapping->path = SW_STR("");
        return SW_OK;
    }
    const struct sw_mapping *last = maps->count > 0 ? &maps->items[maps->count - 1] : NULL;
    if (last && sw_str_eq(last->path, mapping->path)) {
        mapping->path = last->path;
        return SW_OK;
    }
    mapping->path = path_copy(&maps->text, mapping->path);
    return mapping->path.ptr ? SW_OK : SW_NOMEM;
}

static size_t line_count(struct sw_str text) {
    size_t count = 1;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '\n';
    return count < MAPPINGS_MAX ? count : MAPPINGS_MAX;
}

/* A regular file, opened without ever waiting (a path of the target's may name a pipe by now). */
static int regular_open(int dir, const char *path, const struct sw_mapping *mapping) {
    struct stat stat;
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -1;
    if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && (!mapping || stat.st_ino == mapping->inode))
        return fd;
    close(fd);
    return -1;
}

/* By its path in the target's own root. Overlay file systems show other inodes in maps than in stat, so the inode only
 * decides where the path itself says that the file was replaced. */
static int rooted_open(const struct sw_target *target, const struct sw_mapping *mapping) {
    size_t skip = 0;
    while (skip < mapping->path.len && mapping->path.ptr[skip] == '/')
        skip++;
    if (skip == 0 || skip == mapping->path.len)
        return -1;
    int root = openat(target->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -1;
    int fd = regular_open(root, mapping->path.ptr + skip, mapping->is_deleted ? mapping : NULL);
    close(root);
    return fd;
}

enum sw_status sw_maps_parse(struct sw_str text, struct sw_maps *maps) {
    struct sw_maps parsed = {0};
    size_t lines = line_count(text);
    parsed.items = sw_alloc_array(lines, sizeof *parsed.items);
    if (!parsed.items)
        return SW_NOMEM;
    while (text.ptr && parsed.count < lines) {
        struct sw_mapping mapping;
        if (!line_parse(sw_str_cut(&text, '\n'), &mapping))
            continue;
        if (parsed.count > 0 && mapping.start < parsed.items[parsed.count - 1].end)
            continue; /* the map changed while it was read */
        if (path_keep(&parsed, &mapping) != SW_OK) {
            sw_maps_release(&parsed);
            return SW_NOMEM;
        }
        parsed.items[parsed.count++] = mapping;
    }
    *maps = parsed;
    return SW_OK;
}

enum sw_status sw_target_maps(const struct sw_target *target, struct sw_maps *maps, struct sw_error *err) {
    struct sw_buf text = {0};
    enum sw_status status = sw_target_file(target, "maps", &text);
    if (status == SW_OK)
        status = sw_maps_parse(sw_buf_view(&text), maps);
    sw_buf_release(&text);
    if (status == SW_PERM) {
        status = sw_target_explain(target, err);
        return status == SW_OK ? sw_fail(err, SW_PERM, "cannot read /proc/%d/maps", target->pid) : status;
    }
    if (status == SW_CLOSED)
        return sw_fail(err, status, "process %d has ended", target->pid);
    return status == SW_OK ? SW_OK
                           : sw_fail(err, status, "cannot read /proc/%d/maps: %s", target->pid, sw_status_text(status));
}

void sw_maps_release(struct sw_maps *maps) {
    sw_free(maps->items);
    sw_arena_release(&maps->text);
    *maps = (struct sw_maps){0};
}

const struct sw_mapping *sw_maps_find(const struct sw_maps *maps, uint64_t address) {
    size_t low = 0, high = maps->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (maps->items[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < maps->count && maps->items[low].start <= address ? &maps->items[low] : NULL;
}

int sw_target_open_mapped(const struct sw_target *target, const struct sw_mapping *mapping) {
    char link[64];
    if (mapping->inode == 0)
        return -1;
    snprintf(link, sizeof link, "map_files/%llx-%llx", (unsigned long long)mapping->start,
             (unsigned long long)mapping->end);
    int fd = regular_open(target->proc_fd, link, NULL);
    if (fd < 0)
        fd = rooted_open(target, mapping);
    return fd < 0 ? regular_open(target->proc_fd, "exe", mapping) : fd;
}
