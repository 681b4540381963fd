/* runtime_find.c - Finds _PyRuntime in a target, and its version where it does not say so itself. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "probe/runtime_impl.h"

#define FILES_MAX 1024                     /* mapped files that are looked into when no name tells */
#define SCAN_BYTES_MAX ((uint64_t)4 << 20) /* .data and .bss of 3.10 are 0.5 MiB */
#define SYMBOL "_PyRuntime"
#define SECTION ".PyRuntime"

static struct sw_str file_name(struct sw_str path) {
    const char *slash = path.len > 0 ? memrchr(path.ptr, '/', path.len) : NULL;
    return slash ? sw_str_skip(path, (size_t)(slash - path.ptr) + 1) : path;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Takes a number of at most three digits; false: none stands there. */
static bool digits_take(struct sw_str *text, uint32_t *value) {
    size_t count = 0;
    *value = 0;
    for (; count < text->len && count < 3 && is_digit(text->ptr[count]); count++)
        *value = *value * 10 + (uint32_t)(text->ptr[count] - '0');
    *text = sw_str_skip(*text, count);
    return count > 0;
}

/* The first mapping of each file starts at offset 0; the loader maps the ELF header there. */
static bool is_image_start(const struct sw_mapping *mapping) {
    return mapping->offset == 0 && mapping->inode != 0 && mapping->is_readable;
}

/* By the section, then by the symbol table, of the file itself: for images that export nothing. */
static enum sw_status file_find(const struct sw_target *target, const struct sw_mapping *mapping,
                                const struct sw_elf_image *image, uint64_t *address) {
    struct sw_elf_place place;
    int fd = sw_target_open_mapped(target, mapping);
    if (fd < 0)
        return SW_NOTFOUND;
    enum sw_status status = sw_elf_section(fd, SECTION, &place);
    if (status == SW_NOTFOUND)
        status = sw_elf_symbol(fd, SYMBOL, &place);
    close(fd);
    if (status == SW_OK)
        *address = place.address + image->bias;
    return status;
}

/* `is_thorough`: the file is opened too. */
static enum sw_status mapping_find(const struct sw_target *target, const struct sw_mapping *mapping, bool is_thorough,
                                   struct sw_runtime_place *place) {
    struct sw_elf_image image;
    struct sw_elf_place symbol;
    uint64_t address = 0;
    enum sw_status status = sw_elf_image_read(target, mapping->start, &image);
    if (status != SW_OK)
        return status;
    status = sw_elf_export(target, &image, SYMBOL, &symbol);
    if (status == SW_OK)
        address = symbol.address;
    else if (is_thorough && status != SW_CLOSED && status != SW_PERM)
        status = file_find(target, mapping, &image, &address);
    if (status == SW_OK)
        *place = (struct sw_runtime_place){.address = address, .image = image, .mapping = mapping};
    return status;
}

static bool is_final(enum sw_status status) {
    return status == SW_OK || status == SW_PERM || status == SW_CLOSED || status == SW_NOMEM;
}

/* The executable is the mapping that /proc/PID/exe names; without that link, the lowest. */
static const struct sw_mapping *executable_of(const struct sw_target *target, const struct sw_maps *maps) {
    char link[4096];
    ssize_t length = readlinkat(target->proc_fd, "exe", link, sizeof link);
    struct sw_str path = sw_str_make(link, length > 0 ? (size_t)length : 0);
    if (sw_str_ends(path, SW_STR(" (deleted)")))
        path.len -= sizeof " (deleted)" - 1;
    const struct sw_mapping *lowest = NULL;
    for (size_t i = 0; i < maps->count; i++) {
        if (!is_image_start(&maps->items[i]))
            continue;
        if (sw_str_eq(maps->items[i].path, path))
            return &maps->items[i];
        if (!lowest)
            lowest = &maps->items[i];
    }
    return lowest;
}

/* "3.10.13 (main, ..." somewhere in the image's data: Py_GetVersion() keeps its text there. */
static uint32_t version_scan(const struct sw_target *target, const struct sw_elf_image *image) {
    uint64_t size = image->data_bytes < SCAN_BYTES_MAX ? image->data_bytes : SCAN_BYTES_MAX;
    char *bytes = sw_alloc((size_t)size + 1);
    uint32_t found = 0;
    if (bytes && sw_target_read(target, image->data, bytes, (size_t)size) == SW_OK) {
        struct sw_str rest = sw_str_make(bytes, (size_t)size);
        while (!found && rest.len > 16) {
            const char *hit = memmem(rest.ptr, rest.len, "3.", 2);
            if (!hit)
                break;
            rest = sw_str_skip(rest, (size_t)(hit - rest.ptr));
            if (rest.len > 16)
                found = sw_version_parse(sw_str_make(rest.ptr, 16));
            rest = sw_str_skip(rest, 2);
        }
    }
    sw_free(bytes);
    return found;
}

bool sw_path_is_python(struct sw_str path) {
    struct sw_str name = file_name(path);
    bool is_library = sw_str_starts(name, SW_STR("lib"));
    if (is_library)
        name = sw_str_skip(name, 3);
    if (!sw_str_starts(name, SW_STR("python")))
        return false;
    name = sw_str_skip(name, 6);
    while (name.len > 0 && (is_digit(name.ptr[0]) || name.ptr[0] == '.'))
        name = sw_str_skip(name, 1);
    while (name.len > 0 && memchr("tdmu", name.ptr[0], 4))
        name = sw_str_skip(name, 1);
    if (is_library)
        return sw_str_starts(name, SW_STR(".so")) || sw_str_starts(name, SW_STR("so"));
    return name.len == 0 || sw_str_starts(name, SW_STR("-"));
}

/* After the numbers comes " (" or a level: "3.13.0rc2 (main", "3.11.7+ (heads". */
uint32_t sw_version_parse(struct sw_str text) {
    uint32_t major, minor, patch, serial = 0, level = 15;
    if (!digits_take(&text, &major) || major != 3 || text.len == 0 || text.ptr[0] != '.')
        return 0;
    text = sw_str_skip(text, 1);
    if (!digits_take(&text, &minor) || minor > 99 || text.len == 0 || text.ptr[0] != '.')
        return 0;
    text = sw_str_skip(text, 1);
    if (!digits_take(&text, &patch) || patch > 99)
        return 0;
    if (text.len > 0 && (text.ptr[0] == 'a' || text.ptr[0] == 'b' || text.ptr[0] == 'r')) {
        level = text.ptr[0] == 'a' ? 10 : text.ptr[0] == 'b' ? 11 : 12;
        text = sw_str_skip(text, level == 12 ? 2 : 1);
        if (!digits_take(&text, &serial) || serial > 15)
            return 0;
    }
    if (sw_str_starts(text, SW_STR("+")))
        text = sw_str_skip(text, 1);
    return sw_str_starts(text, SW_STR(" (")) ? 3u << 24 | minor << 16 | patch << 8 | level << 4 | serial : 0;
}

uint32_t sw_version_from_file(struct sw_str path) {
    uint32_t minor;
    struct sw_str name = file_name(path);
    if (!sw_path_is_python(path))
        return 0;
    name = sw_str_skip(name, sw_str_starts(name, SW_STR("lib")) ? 9 : 6);
    if (!sw_str_starts(name, SW_STR("3.")))
        return 0;
    name = sw_str_skip(name, 2);
    return digits_take(&name, &minor) && minor < 100 ? 3u << 24 | minor << 16 : 0;
}

void sw_version_format(uint32_t version, bool is_free_threaded, char out[24]) {
    static const char *const levels[16] = {[10] = "a", [11] = "b", [12] = "rc"};
    const char *level = levels[version >> 4 & 15], *letter = is_free_threaded ? "t" : "";
    unsigned major = version >> 24, minor = version >> 16 & 255, patch = version >> 8 & 255, serial = version & 15;
    if ((version & 0xffff) == 0)
        snprintf(out, 24, "%u.%u%s", major, minor, letter);
    else if (level)
        snprintf(out, 24, "%u.%u.%u%s%u%s", major, minor, patch, level, serial, letter);
    else
        snprintf(out, 24, "%u.%u.%u%s", major, minor, patch, letter);
}

enum sw_status sw_runtime_old_version(const struct sw_target *target, const struct sw_runtime_place *place,
                                      uint32_t *version, bool *has_patch) {
    struct sw_elf_place symbol;
    uint64_t value;
    *has_patch = true;
    if (sw_elf_export(target, &place->image, "Py_Version", &symbol) == SW_OK &&
        sw_target_read_u64(target, symbol.address, &value) == SW_OK && value >> 24 == 3) {
        *version = (uint32_t)value;
        return SW_OK;
    }
    uint32_t found = version_scan(target, &place->image);
    if (!found) {
        found = sw_version_from_file(place->mapping->path);
        *has_patch = false;
    }
    if (!found)
        return SW_NOTFOUND;
    *version = found;
    return SW_OK;
}

enum sw_status sw_runtime_find(const struct sw_target *target, const struct sw_maps *maps,
                               struct sw_runtime_place *place) {
    const struct sw_mapping *executable = executable_of(target, maps);
    enum sw_status status = executable ? mapping_find(target, executable, false, place) : SW_NOTFOUND;
    for (size_t i = 0; i < maps->count && !is_final(status); i++)
        if (is_image_start(&maps->items[i]) && &maps->items[i] != executable && sw_path_is_python(maps->items[i].path))
            status = mapping_find(target, &maps->items[i], true, place);
    if (!is_final(status) && executable)
        status = mapping_find(target, executable, true, place);
    size_t files = 0;
    for (size_t i = 0; i < maps->count && files < FILES_MAX && !is_final(status); i++)
        if (is_image_start(&maps->items[i])) {
            status = mapping_find(target, &maps->items[i], false, place);
            files++;
        }
    return is_final(status) ? status : SW_NOTFOUND;
}
