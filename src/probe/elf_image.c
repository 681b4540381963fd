/* elf_image.c - The ELF image in a target's memory: its segments, and exported symbols by its own hash table. */
#include <elf.h>

#include "probe/elf.h"

#define SEGMENTS_MAX 64
#define DYNAMIC_MAX 512
#define CHAIN_MAX 4096 /* symbols of one bucket; linkers aim at one or two */
#define NAME_BYTES_MAX 64
#define PAGE UINT64_C(4096)

/* What the dynamic section says, as addresses of the target; 0: not there. */
struct tables {
    uint64_t symbols, strings, gnu_hash, hash;
};

/* glibc has added the bias to these pointers in the image; musl and images that nobody has loaded have not. */
static uint64_t table_address(const struct sw_elf_image *image, uint64_t pointer) {
    return pointer < image->base ? pointer + image->bias : pointer;
}

static enum sw_status tables_read(const struct sw_target *target, const struct sw_elf_image *image,
                                  struct tables *tables) {
    Elf64_Dyn entries[DYNAMIC_MAX];
    size_t count = image->dynamic_bytes / sizeof entries[0];
    *tables = (struct tables){0};
    if (count > DYNAMIC_MAX)
        count = DYNAMIC_MAX;
    enum sw_status status = sw_target_read(target, image->dynamic, entries, count * sizeof entries[0]);
    if (status != SW_OK)
        return status;
    for (size_t i = 0; i < count && entries[i].d_tag != DT_NULL; i++) {
        uint64_t address = table_address(image, entries[i].d_un.d_ptr);
        if (entries[i].d_tag == DT_SYMTAB)
            tables->symbols = address;
        else if (entries[i].d_tag == DT_STRTAB)
            tables->strings = address;
        else if (entries[i].d_tag == DT_GNU_HASH)
            tables->gnu_hash = address;
        else if (entries[i].d_tag == DT_HASH)
            tables->hash = address;
    }
    return tables->symbols && tables->strings ? SW_OK : SW_NOTFOUND;
}

/* Is symbol `index` the one called `name`, and defined here? */
static enum sw_status symbol_check(const struct sw_target *target, const struct tables *tables, uint64_t index,
                                   struct sw_str name, Elf64_Sym *symbol) {
    char text[NAME_BYTES_MAX];
    enum sw_status status = sw_target_read(target, tables->symbols + index * sizeof *symbol, symbol, sizeof *symbol);
    if (status == SW_OK)
        status = sw_target_read(target, tables->strings + symbol->st_name, text, name.len + 1);
    if (status != SW_OK)
        return status;
    bool is_it = memcmp(text, name.ptr, name.len) == 0 && text[name.len] == '\0';
    return is_it && symbol->st_shndx != SHN_UNDEF ? SW_OK : SW_NOTFOUND;
}

static uint32_t gnu_hash(struct sw_str name) {
    uint32_t hash = 5381;
    for (size_t i = 0; i < name.len; i++)
        hash = hash * 33 + (unsigned char)name.ptr[i];
    return hash;
}

static uint32_t sysv_hash(struct sw_str name) {
    uint32_t hash = 0;
    for (size_t i = 0; i < name.len; i++) {
        hash = (hash << 4) + (unsigned char)name.ptr[i];
        uint32_t high = hash & 0xf0000000u;
        hash = (hash ^ high >> 24) & ~high;
    }
    return hash;
}

static enum sw_status gnu_find(const struct sw_target *target, const struct tables *tables, struct sw_str name,
                               Elf64_Sym *symbol) {
    uint32_t header[4]; /* buckets, first symbol, words of the Bloom filter, its shift */
    uint32_t bucket, hash = gnu_hash(name), link;
    enum sw_status status = sw_target_read(target, tables->gnu_hash, header, sizeof header);
    if (status != SW_OK)
        return status;
    if (header[0] == 0)
        return SW_NOTFOUND;
    uint64_t buckets = tables->gnu_hash + sizeof header + 8 * (uint64_t)header[2];
    status = sw_target_read(target, buckets + 4 * (uint64_t)(hash % header[0]), &bucket, sizeof bucket);
    if (status != SW_OK)
        return status;
    if (bucket < header[1])
        return SW_NOTFOUND;
    uint64_t chain = buckets + 4 * (uint64_t)header[0];
    for (uint64_t i = bucket; i - bucket < CHAIN_MAX; i++) {
        status = sw_target_read(target, chain + 4 * (i - header[1]), &link, sizeof link);
        if (status == SW_OK && (link | 1) == (hash | 1))
            status = symbol_check(target, tables, i, name, symbol);
        else if (status == SW_OK)
            status = SW_NOTFOUND;
        if (status != SW_NOTFOUND || (link & 1))
            return status;
    }
    return SW_NOTFOUND;
}

static enum sw_status sysv_find(const struct sw_target *target, const struct tables *tables, struct sw_str name,
                                Elf64_Sym *symbol) {
    uint32_t header[2]; /* buckets, chain words */
    uint32_t index;
    enum sw_status status = sw_target_read(target, tables->hash, header, sizeof header);
    if (status != SW_OK)
        return status;
    if (header[0] == 0)
        return SW_NOTFOUND;
    uint64_t link = tables->hash + 8 + 4 * (uint64_t)(sysv_hash(name) % header[0]);
    for (int i = 0; i < CHAIN_MAX; i++) {
        status = sw_target_read(target, link, &index, sizeof index);
        if (status != SW_OK || index == 0)
            return status == SW_OK ? SW_NOTFOUND : status;
        status = symbol_check(target, tables, index, name, symbol);
        if (status != SW_NOTFOUND)
            return status;
        link = tables->hash + 8 + 4 * ((uint64_t)header[0] + index);
    }
    return SW_NOTFOUND;
}

static void segment_note(struct sw_elf_image *image, const Elf64_Phdr *segment) {
    uint64_t address = segment->p_vaddr + image->bias;
    if (segment->p_type == PT_DYNAMIC) {
        image->dynamic = address;
        image->dynamic_bytes = segment->p_memsz;
    }
    if (segment->p_type != PT_LOAD)
        return;
    if (address + segment->p_memsz > image->end)
        image->end = address + segment->p_memsz;
    if ((segment->p_flags & PF_W) && segment->p_memsz > image->data_bytes) {
        image->data = address;
        image->data_bytes = segment->p_memsz;
    }
}

enum sw_status sw_elf_image_read(const struct sw_target *target, uint64_t base, struct sw_elf_image *image) {
    Elf64_Ehdr header;
    Elf64_Phdr segments[SEGMENTS_MAX];
    struct sw_elf_image made = {.base = base};
    bool has_first = false;
    enum sw_status status = sw_target_read(target, base, &header, sizeof header);
    if (status != SW_OK)
        return status;
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 ||
        header.e_phnum > SEGMENTS_MAX)
        return SW_MALFORMED;
    status = sw_target_read(target, base + header.e_phoff, segments, header.e_phnum * sizeof segments[0]);
    if (status != SW_OK)
        return status;
    for (size_t i = 0; i < header.e_phnum && !has_first; i++)
        if (segments[i].p_type == PT_LOAD && segments[i].p_offset < PAGE) {
            made.bias = base - (segments[i].p_vaddr - segments[i].p_offset);
            has_first = true;
        }
    if (!has_first)
        return SW_MALFORMED;
    for (size_t i = 0; i < header.e_phnum; i++)
        segment_note(&made, &segments[i]);
    *image = made;
    return SW_OK;
}

enum sw_status sw_elf_export(const struct sw_target *target, const struct sw_elf_image *image, const char *name,
                             struct sw_elf_place *place) {
    struct tables tables;
    Elf64_Sym symbol;
    struct sw_str text = sw_str_from(name);
    if (text.len + 1 > NAME_BYTES_MAX)
        return SW_INVALID;
    if (!image->dynamic)
        return SW_NOTFOUND;
    enum sw_status status = tables_read(target, image, &tables);
    if (status != SW_OK)
        return status;
    status = SW_NOTFOUND;
    if (tables.gnu_hash)
        status = gnu_find(target, &tables, text, &symbol);
    else if (tables.hash)
        status = sysv_find(target, &tables, text, &symbol);
    if (status == SW_OK)
        *place = (struct sw_elf_place){.address = symbol.st_value + image->bias, .size_bytes = symbol.st_size};
    return status;
}
