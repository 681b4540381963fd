/* elf_file.c - Sections and symbols of an ELF file, by reads of its headers. */
#include <elf.h>
#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "probe/elf.h"

#define SECTIONS_MAX 8192
#define SECTION_NAMES_MAX ((size_t)1 << 20)
#define SYMBOLS_MAX ((size_t)1 << 24)
#define NAME_BYTES_MAX 64
#define NAME_PLACES_MAX 8
#define CHUNK_BYTES ((size_t)64 << 10)

struct file {
    int fd;
    Elf64_Shdr *sections;
    size_t section_count;
    char *names;
    size_t names_bytes;
};

static enum sw_status bytes_read(int fd, uint64_t offset, void *into, size_t size) {
    size_t done = 0;
    if (offset > INT64_MAX - size)
        return SW_MALFORMED;
    while (done < size) {
        ssize_t got = pread(fd, (char *)into + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? SW_MALFORMED : SW_IO;
        done += (size_t)got;
    }
    return SW_OK;
}

static void file_release(struct file *file) {
    sw_free(file->sections);
    sw_free(file->names);
}

static enum sw_status names_read(struct file *file, size_t index) {
    if (index >= file->section_count || file->sections[index].sh_size == 0 ||
        file->sections[index].sh_size > SECTION_NAMES_MAX)
        return SW_MALFORMED;
    file->names_bytes = file->sections[index].sh_size;
    file->names = sw_alloc(file->names_bytes);
    if (!file->names)
        return SW_NOMEM;
    enum sw_status status = bytes_read(file->fd, file->sections[index].sh_offset, file->names, file->names_bytes);
    file->names[file->names_bytes - 1] = '\0';
    return status;
}

static enum sw_status file_open(int fd, struct file *file) {
    Elf64_Ehdr header;
    *file = (struct file){.fd = fd};
    enum sw_status status = bytes_read(fd, 0, &header, sizeof header);
    if (status != SW_OK)
        return status;
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_shentsize != sizeof(Elf64_Shdr))
        return SW_MALFORMED;
    if (header.e_shnum == 0 || header.e_shnum > SECTIONS_MAX)
        return SW_NOTFOUND;
    file->section_count = header.e_shnum;
    file->sections = sw_alloc_array(file->section_count, sizeof *file->sections);
    status = file->sections ? bytes_read(fd, header.e_shoff, file->sections, file->section_count * sizeof(Elf64_Shdr))
                            : SW_NOMEM;
    if (status == SW_OK)
        status = names_read(file, header.e_shstrndx);
    if (status != SW_OK)
        file_release(file);
    return status;
}

static const Elf64_Shdr *section_named(const struct file *file, const char *name) {
    for (size_t i = 0; i < file->section_count; i++)
        if (file->sections[i].sh_name < file->names_bytes && strcmp(file->names + file->sections[i].sh_name, name) == 0)
            return &file->sections[i];
    return NULL;
}

/* Where in the string table `name` stands; linkers let names share tails, so any place that ends well may be meant. */
static enum sw_status name_places(const struct file *file, const Elf64_Shdr *strings, struct sw_str name,
                                  uint32_t places[NAME_PLACES_MAX], size_t *count) {
    size_t size = name.len + 1, kept = 0; /* kept: the tail of the chunk before, in which the name may begin */
    char *chunk = sw_alloc(CHUNK_BYTES + NAME_BYTES_MAX);
    enum sw_status status = chunk ? SW_OK : SW_NOMEM;
    *count = 0;
    for (uint64_t at = 0; status == SW_OK && at < strings->sh_size && at < UINT32_MAX;) {
        size_t fresh = strings->sh_size - at < CHUNK_BYTES ? (size_t)(strings->sh_size - at) : CHUNK_BYTES;
        status = bytes_read(file->fd, strings->sh_offset + at, chunk + kept, fresh);
        if (status != SW_OK)
            break;
        size_t have = kept + fresh;
        const char *from = chunk;
        while (*count < NAME_PLACES_MAX) {
            const char *hit = memmem(from, have - (size_t)(from - chunk), name.ptr, size);
            if (!hit)
                break;
            places[(*count)++] = (uint32_t)(at - kept + (uint64_t)(hit - chunk));
            from = hit + 1;
        }
        kept = have < name.len ? have : name.len;
        memmove(chunk, chunk + have - kept, kept);
        at += fresh;
    }
    sw_free(chunk);
    return status;
}

static bool symbol_matches(const Elf64_Sym *symbol, const uint32_t *places, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (symbol->st_name == places[i] && symbol->st_shndx != SHN_UNDEF && symbol->st_value != 0)
            return true;
    return false;
}

static enum sw_status symbol_search(const struct file *file, const Elf64_Shdr *table, const uint32_t *places,
                                    size_t place_count, struct sw_elf_place *place) {
    size_t total = table->sh_size / sizeof(Elf64_Sym), per_chunk = CHUNK_BYTES / sizeof(Elf64_Sym);
    Elf64_Sym *chunk = sw_alloc_array(per_chunk, sizeof *chunk);
    enum sw_status status = chunk ? SW_NOTFOUND : SW_NOMEM;
    for (size_t at = 0; status == SW_NOTFOUND && at < total && at < SYMBOLS_MAX; at += per_chunk) {
        size_t count = total - at < per_chunk ? total - at : per_chunk;
        if (bytes_read(file->fd, table->sh_offset + at * sizeof *chunk, chunk, count * sizeof *chunk) != SW_OK)
            break;
        for (size_t i = 0; i < count && status == SW_NOTFOUND; i++) {
            if (!symbol_matches(&chunk[i], places, place_count))
                continue;
            *place = (struct sw_elf_place){.address = chunk[i].st_value, .size_bytes = chunk[i].st_size};
            status = SW_OK;
        }
    }
    sw_free(chunk);
    return status;
}

enum sw_status sw_elf_section(int fd, const char *name, struct sw_elf_place *place) {
    struct file file;
    enum sw_status status = file_open(fd, &file);
    if (status != SW_OK)
        return status;
    const Elf64_Shdr *section = section_named(&file, name);
    if (section)
        *place = (struct sw_elf_place){section->sh_addr, section->sh_size, section->sh_offset};
    file_release(&file);
    return section ? SW_OK : SW_NOTFOUND;
}

enum sw_status sw_elf_symbol(int fd, const char *name, struct sw_elf_place *place) {
    struct file file;
    struct sw_str text = sw_str_from(name);
    uint32_t places[NAME_PLACES_MAX];
    size_t count = 0;
    if (text.len + 1 > NAME_BYTES_MAX)
        return SW_INVALID;
    enum sw_status status = file_open(fd, &file);
    if (status != SW_OK)
        return status;
    const Elf64_Shdr *symbols = section_named(&file, ".symtab");
    status = SW_NOTFOUND;
    if (symbols && symbols->sh_entsize == sizeof(Elf64_Sym) && symbols->sh_link < file.section_count)
        status = name_places(&file, &file.sections[symbols->sh_link], text, places, &count);
    if (status == SW_OK)
        status = count > 0 ? symbol_search(&file, symbols, places, count, place) : SW_NOTFOUND;
    file_release(&file);
    return status;
}
