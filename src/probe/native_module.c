/* native_module.c - The files mapped in a target: their symbols and call frame information, opened when first met. */
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/native_impl.h"

#define VDSO_BYTES_MAX (64 << 10)
#define SYMBOLS_MAX (4u << 20)
#define SECTION_BYTES_MAX (UINT64_C(512) << 20) /* larger ones are not read */
#define SECTIONS_MAX 65536
#define FUNCTIONS_MAX (1u << 20)
#define SEGMENTS_MAX 256
#define EVAL_SYMBOL_SPLIT 12000 /* bytes: a symbol smaller than this does not cover the loop */
#define EVAL_BYTES_MIN 50000

static struct sw_str base_name(struct sw_str path) {
    for (size_t i = path.len; i > 0; i--)
        if (path.ptr[i - 1] == '/')
            return sw_str_skip(path, i);
    return path;
}

static bool is_vdso(const struct sw_mapping *mapping) {
    return sw_str_eq(mapping->path, SW_STR("[vdso]"));
}

static void module_close(struct module *module) {
    if (module->cfi)
        (void)dwarf_cfi_end(module->cfi);
    if (module->elf)
        (void)elf_end(module->elf);
    if (module->fd >= 0)
        close(module->fd);
    sw_free(module->image);
    sw_free(module->symbols);
    *module = (struct module){.fd = -1};
}

static bool is_same_mapping(const struct module *a, const struct module *b) {
    return a->start == b->start && a->end == b->end && a->offset == b->offset && a->device == b->device &&
           a->inode == b->inode;
}

/* Takes over what is open of the module that was mapped here before. */
static bool module_inherit(struct module *module, struct module *before) {
    if (!before || !before->is_opened || !is_same_mapping(module, before))
        return false;
    struct sw_str name = module->name;
    *module = *before;
    module->name = name;
    *before = (struct module){.start = module->start, .end = module->end, .fd = -1};
    return true;
}

static size_t modules_take(const struct sw_maps *maps, struct module *modules) {
    size_t count = 0;
    for (size_t i = 0; i < maps->count; i++) {
        const struct sw_mapping *mapping = &maps->items[i];
        if (mapping->is_executable && (mapping->inode != 0 || is_vdso(mapping)))
            modules[count++] = (struct module){.start = mapping->start,
                                               .end = mapping->end,
                                               .offset = mapping->offset,
                                               .device = mapping->device,
                                               .inode = mapping->inode,
                                               .fd = -1,
                                               .name = base_name(mapping->path)};
    }
    return count;
}

enum sw_status sw_native_modules_load(struct sw_native *native, struct sw_error *err) {
    struct sw_maps maps = {0};
    native->loaded_ns = sw_clock_mono_ns();
    enum sw_status status = sw_target_maps(native->target, &maps, err);
    if (status)
        return status;
    struct module *modules = sw_alloc_array_zero(maps.count + 1, sizeof *modules);
    if (!modules) {
        sw_maps_release(&maps);
        return sw_fail(err, SW_NOMEM, "cannot list the modules of process %d: out of memory", native->target->pid);
    }
    size_t count = modules_take(&maps, modules), open_count = 0, inherited = 0;
    for (size_t i = 0; i < native->module_count; i++)
        open_count += native->modules[i].is_opened;
    for (size_t i = 0; i < count; i++)
        inherited += module_inherit(&modules[i], sw_native_module_at(native, modules[i].start));
    sw_native_modules_release(native);
    native->maps = maps;
    native->modules = modules;
    native->module_count = count;
    /* What is known of addresses may be of code that is not there any more. */
    memset(native->calls, 0, CALLS_MAX * sizeof *native->calls);
    if (inherited < open_count)
        memset(native->rows, 0, ROWS_MAX * sizeof *native->rows);
    return SW_OK;
}

void sw_native_modules_release(struct sw_native *native) {
    for (size_t i = 0; i < native->module_count; i++)
        module_close(&native->modules[i]);
    sw_free(native->modules);
    native->modules = NULL;
    native->module_count = 0;
    sw_maps_release(&native->maps);
}

struct module *sw_native_module_at(struct sw_native *native, uint64_t pc) {
    size_t low = 0, high = native->module_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (native->modules[middle].end <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    return low < native->module_count && native->modules[low].start <= pc ? &native->modules[low] : NULL;
}

static size_t underscore_count(const char *name) {
    return strspn(name, "_");
}

/* By start. Of those that begin at the same place the one to be shown comes last: that with a size, the narrowest, with
 * the fewest underscores ahead (`read`, not `__read`). */
static int symbol_compare(const void *a, const void *b) {
    const struct symbol *left = a, *right = b;
    if (left->start != right->start)
        return left->start < right->start ? -1 : 1;
    bool has_left = left->end > left->start, has_right = right->end > right->start;
    if (has_left != has_right)
        return has_left ? 1 : -1;
    if (left->end != right->end)
        return left->end > right->end ? -1 : 1;
    size_t of_left = underscore_count(left->name), of_right = underscore_count(right->name);
    if (of_left != of_right)
        return of_left > of_right ? -1 : 1;
    return strcmp(right->name, left->name);
}

static bool is_function(const GElf_Sym *symbol) {
    int type = GELF_ST_TYPE(symbol->st_info);
    return symbol->st_shndx != SHN_UNDEF && symbol->st_value != 0 &&
           (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE);
}

/* Functions of one symbol table. */
static void symbols_take(struct module *module, Elf_Scn *section, const GElf_Shdr *header) {
    Elf_Scn *strings = elf_getscn(module->elf, header->sh_link);
    GElf_Shdr strings_header;
    if (!strings || !gelf_getshdr(strings, &strings_header) || strings_header.sh_size > SECTION_BYTES_MAX ||
        header->sh_size > SECTION_BYTES_MAX || ((header->sh_flags | strings_header.sh_flags) & SHF_COMPRESSED))
        return;
    Elf_Data *data = elf_getdata(section, NULL);
    size_t count = data ? data->d_size / sizeof(GElf_Sym) : 0;
    count = count > SYMBOLS_MAX ? SYMBOLS_MAX : count;
    struct symbol *symbols = count > 0 ? sw_alloc_array(count, sizeof *symbols) : NULL;
    if (!symbols)
        return;
    module->symbols = symbols;
    for (size_t i = 0; i < count; i++) {
        GElf_Sym symbol;
        if (!gelf_getsym(data, (int)i, &symbol) || !is_function(&symbol))
            continue;
        const char *name = elf_strptr(module->elf, header->sh_link, symbol.st_name);
        if (name && *name && *name != '$')
            symbols[module->symbol_count++] = (struct symbol){symbol.st_value, symbol.st_value + symbol.st_size, name};
    }
}

/* .symtab where the file still has one, else what it exports. */
static void symbols_load(struct module *module) {
    static const GElf_Word wanted[] = {SHT_SYMTAB, SHT_DYNSYM};
    for (size_t k = 0; k < 2 && module->symbol_count == 0; k++) {
        Elf_Scn *section = NULL;
        GElf_Shdr header;
        for (unsigned i = 0; i < SECTIONS_MAX && (section = elf_nextscn(module->elf, section)); i++)
            if (gelf_getshdr(section, &header) && header.sh_type == wanted[k]) {
                sw_free(module->symbols);
                module->symbols = NULL;
                symbols_take(module, section, &header);
                break;
            }
    }
    if (module->symbol_count > 0)
        qsort(module->symbols, module->symbol_count, sizeof *module->symbols, symbol_compare);
}

/* The section of this name; its header in *header. Bounded, and nothing that is compressed or too large to read. */
static Elf_Scn *section_find(Elf *elf, const char *wanted, GElf_Shdr *header) {
    size_t names;
    Elf_Scn *section = NULL;
    if (elf_getshdrstrndx(elf, &names) != 0)
        return NULL;
    for (unsigned i = 0; i < SECTIONS_MAX && (section = elf_nextscn(elf, section)); i++) {
        const char *name = gelf_getshdr(section, header) ? elf_strptr(elf, names, header->sh_name) : NULL;
        if (name && strcmp(name, wanted) == 0)
            return header->sh_size <= SECTION_BYTES_MAX && !(header->sh_flags & SHF_COMPRESSED) ? section : NULL;
    }
    return NULL;
}

/* The largest function of a module by the sorted table of .eh_frame_hdr: pairs of 32-bit offsets from the section, to a
 * function and to its description. */
static void largest_function_find(Elf *elf, uint64_t *start, uint64_t *end) {
    static const unsigned char usual[4] = {1, 0x1b, 0x03, 0x3b}; /* version and the encodings that linkers write */
    GElf_Shdr header;
    Elf_Scn *section = section_find(elf, ".eh_frame_hdr", &header);
    Elf_Data *data = section ? elf_rawdata(section, NULL) : NULL;
    if (!data || data->d_size < 20 || memcmp(data->d_buf, usual, sizeof usual) != 0)
        return;
    const char *table = (const char *)data->d_buf + 12;
    size_t count = (data->d_size - 12) / 8;
    for (size_t i = 0; i + 1 < count && i < FUNCTIONS_MAX; i++) {
        int32_t from, to;
        memcpy(&from, table + 8 * i, sizeof from);
        memcpy(&to, table + 8 * i + 8, sizeof to);
        int64_t size = (int64_t)to - from;
        if (size > (int64_t)(*end - *start)) {
            *start = header.sh_addr + (uint64_t)(int64_t)from;
            *end = *start + (uint64_t)size;
        }
    }
}

/* Compilers may split the evaluation loop off the function that has its name; it is the largest function then (80,000
 * bytes in 3.14 and 3.15, where the next has 39,000). */
static void eval_find(struct module *module) {
    uint64_t start = 0, end = 0;
    for (size_t i = 0; i < module->symbol_count; i++)
        if (strcmp(module->symbols[i].name, EVAL_SYMBOL) == 0 &&
            module->symbols[i].end - module->symbols[i].start < EVAL_SYMBOL_SPLIT)
            largest_function_find(module->elf, &start, &end);
    if (end - start >= EVAL_BYTES_MIN) {
        module->eval_start = start;
        module->eval_end = end;
    }
}

/* What the loader added to the file's addresses, from the segment that is mapped here. */
static bool bias_find(struct module *module, uint64_t file_offset) {
    size_t count;
    if (elf_getphdrnum(module->elf, &count) != 0)
        return false;
    for (size_t i = 0; i < count && i < SEGMENTS_MAX; i++) {
        GElf_Phdr segment;
        if (!gelf_getphdr(module->elf, (int)i, &segment) || segment.p_type != PT_LOAD || !(segment.p_flags & PF_X))
            continue;
        if (file_offset + 4096 > segment.p_offset && file_offset < segment.p_offset + segment.p_filesz) {
            module->bias = module->start - file_offset - (segment.p_vaddr - segment.p_offset);
            return true;
        }
    }
    return false;
}

static Elf *elf_open(const struct sw_native *native, struct module *module, const struct sw_mapping *mapping) {
    if (is_vdso(mapping)) {
        size_t size = (size_t)(mapping->end - mapping->start);
        module->image = size <= VDSO_BYTES_MAX ? sw_alloc(size) : NULL;
        if (!module->image || sw_target_read(native->target, mapping->start, module->image, size))
            return NULL;
        return elf_memory(module->image, size);
    }
    module->fd = sw_target_open_mapped(native->target, mapping);
    /* Read, not mapped: a file that is cut short meanwhile must not end this process. */
    return module->fd >= 0 ? elf_begin(module->fd, ELF_C_READ, NULL) : NULL;
}

void sw_native_module_open(struct sw_native *native, struct module *module) {
    const struct sw_mapping *mapping = sw_maps_find(&native->maps, module->start);
    module->is_opened = true;
    module->elf = mapping ? elf_open(native, module, mapping) : NULL;
    if (!module->elf || elf_kind(module->elf) != ELF_K_ELF || !bias_find(module, mapping->offset))
        return;
    symbols_load(module);
    eval_find(module);
    GElf_Shdr header;
    if (section_find(module->elf, ".eh_frame", &header))
        module->cfi = dwarf_getcfi_elf(module->elf);
}

struct sw_str sw_native_text_keep(struct sw_native *native, const char *text, size_t len) {
    struct sw_str wanted = {text, strnlen(text, len < NAME_BYTES_MAX ? len : NAME_BYTES_MAX)};
    uint64_t known;
    if (sw_map_get(&native->texts, wanted, &known))
        return (struct sw_str){(const char *)(uintptr_t)known, wanted.len}; /* NOLINT: put there below */
    if (native->text.total_bytes > TEXT_BYTES_MAX)
        return (struct sw_str){"", 0};
    char *kept = sw_arena_alloc(&native->text, wanted.len + 1);
    if (!kept || sw_map_put(&native->texts, wanted, (uint64_t)(uintptr_t)kept) != SW_OK)
        return (struct sw_str){"", 0};
    for (size_t i = 0; i < wanted.len; i++)
        kept[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    kept[wanted.len] = '\0';
    return (struct sw_str){kept, wanted.len};
}

const struct symbol *sw_native_symbol_at(const struct module *module, uint64_t pc) {
    uint64_t address = pc - module->bias;
    size_t low = 0, high = module->symbol_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (module->symbols[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    /* Of several that begin at the same place, and of one nested in a wider one, look a little further back. */
    for (size_t back = 0; back < 4 && low > back; back++) {
        const struct symbol *symbol = &module->symbols[low - 1 - back];
        bool has_size = symbol->end > symbol->start;
        if (address < symbol->end || (!has_size && back == 0))
            return symbol;
    }
    return NULL;
}
