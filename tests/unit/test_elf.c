/* test_elf.c - ELF files and images: what is in this program and its libraries, and what broken ones do. */
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "probe/elf.h"

#if defined __aarch64__
#define VDSO_SYMBOL "__kernel_clock_gettime"
#else
#define VDSO_SYMBOL "__vdso_clock_gettime"
#endif

#define VDSO_BYTES_MAX ((size_t)65536)

int elf_test_marker = 42; /* global: in .symtab */

static void own_open(struct sw_target *target) {
    assert_int_equal(sw_target_open(target, (int32_t)getpid(), NULL), SW_OK);
}

static int own_file(void) {
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* Where the file of `address` begins in our memory. */
static uint64_t base_of(const struct sw_target *target, uint64_t address) {
    struct sw_maps maps = {0};
    uint64_t base = 0;
    assert_int_equal(sw_target_maps(target, &maps, NULL), SW_OK);
    const struct sw_mapping *here = sw_maps_find(&maps, address);
    assert_non_null(here);
    for (size_t i = 0; i < maps.count && base == 0; i++)
        if (maps.items[i].inode == here->inode && maps.items[i].offset == 0)
            base = maps.items[i].start;
    sw_maps_release(&maps);
    return base;
}

static void sections_are_found(void **state) {
    (void)state;
    struct sw_elf_place place;
    int fd = own_file();
    assert_int_equal(sw_elf_section(fd, ".text", &place), SW_OK);
    assert_true(place.size_bytes > 0 && place.offset > 0 && place.address > 0);
    assert_int_equal(sw_elf_section(fd, ".bss", &place), SW_OK);
    assert_int_equal(sw_elf_section(fd, ".nothing", &place), SW_NOTFOUND);
    assert_int_equal(sw_elf_section(fd, ".tex", &place), SW_NOTFOUND);
    close(fd);
}

static void symbols_of_the_table_are_found(void **state) {
    (void)state;
    struct sw_target target;
    struct sw_elf_image image;
    struct sw_elf_place place;
    int fd = own_file();
    own_open(&target);
    assert_int_equal(sw_elf_image_read(&target, base_of(&target, (uint64_t)(uintptr_t)&own_open), &image), SW_OK);
    assert_int_equal(sw_elf_symbol(fd, "elf_test_marker", &place), SW_OK);
    assert_int_equal(place.address + image.bias, (uint64_t)(uintptr_t)&elf_test_marker);
    assert_true(place.size_bytes >= sizeof elf_test_marker); /* a sanitizer makes it longer */
    assert_int_equal(sw_elf_symbol(fd, "no_such_symbol_here", &place), SW_NOTFOUND);
    assert_true(image.data <= place.address + image.bias && place.address + image.bias < image.data + image.data_bytes);
    sw_target_close(&target);
    close(fd);
}

static void exports_are_found_in_memory(void **state) {
    (void)state;
    struct sw_target target;
    struct sw_elf_image image;
    struct sw_elf_place place;
    own_open(&target);
    uint64_t base = base_of(&target, (uint64_t)(uintptr_t)stdout); /* libc, when it is shared: stdout points into it */
    if (base == 0)
        skip();
    assert_int_equal(sw_elf_image_read(&target, base, &image), SW_OK);
    assert_int_equal(sw_elf_export(&target, &image, "_IO_2_1_stdout_", &place), SW_OK);
    assert_int_equal(place.address, (uint64_t)(uintptr_t)stdout);
    assert_int_equal(sw_elf_export(&target, &image, "sw_no_such_export", &place), SW_NOTFOUND);
    assert_int_equal(sw_elf_export(&target, &image, "", &place), SW_NOTFOUND);
    assert_int_equal(sw_elf_image_read(&target, base + 4096, &image), SW_MALFORMED);
    sw_target_close(&target);
}

/* Nobody has relocated the pointers of the kernel's own image. */
static void images_that_no_loader_touched_are_read(void **state) {
    (void)state;
    struct sw_target target;
    struct sw_elf_image image;
    struct sw_elf_place place;
    uint64_t base = getauxval(AT_SYSINFO_EHDR);
    if (base == 0)
        skip();
    own_open(&target);
    assert_int_equal(sw_elf_image_read(&target, base, &image), SW_OK);
    assert_int_equal(sw_elf_export(&target, &image, VDSO_SYMBOL, &place), SW_OK);
    assert_true(place.address > base && place.address < image.end);
    sw_target_close(&target);
}

static void what_is_no_elf_file_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"", "\177ELF", "#!/bin/sh\n", "\177ELF\2\1\1"};
    struct sw_elf_place place;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int fd = memfd_create("elf", MFD_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, texts[i], strlen(texts[i])), (ssize_t)strlen(texts[i]));
        assert_int_equal(sw_elf_section(fd, ".text", &place), SW_MALFORMED);
        assert_int_equal(sw_elf_symbol(fd, "main", &place), SW_MALFORMED);
        close(fd);
    }
}

/* A small file with three sections and a symbol table, to be broken. */
struct small {
    Elf64_Ehdr header;
    Elf64_Shdr sections[4];
    Elf64_Sym symbols[3];
    char names[64];
    char strings[64];
};

static void small_make(struct small *file) {
    static const char names[] = "\0.symtab\0.strtab\0.shstrtab";
    static const char strings[] = "\0other_name\0prefix_wanted\0";
    *file = (struct small){.header = {.e_shoff = offsetof(struct small, sections),
                                      .e_shentsize = sizeof(Elf64_Shdr),
                                      .e_shnum = 4,
                                      .e_shstrndx = 3}};
    memcpy(file->header.e_ident, ELFMAG, SELFMAG);
    file->header.e_ident[EI_CLASS] = ELFCLASS64;
    file->header.e_ident[EI_DATA] = ELFDATA2LSB;
    memcpy(file->names, names, sizeof names);
    memcpy(file->strings, strings, sizeof strings);
    file->sections[1] = (Elf64_Shdr){.sh_name = 1, .sh_offset = offsetof(struct small, symbols), .sh_link = 2};
    file->sections[1].sh_size = sizeof file->symbols;
    file->sections[1].sh_entsize = sizeof(Elf64_Sym);
    file->sections[2] = (Elf64_Shdr){.sh_name = 9, .sh_offset = offsetof(struct small, strings), .sh_size = 64};
    file->sections[3] = (Elf64_Shdr){.sh_name = 17, .sh_offset = offsetof(struct small, names), .sh_size = 64};
    file->symbols[1] = (Elf64_Sym){.st_name = 1, .st_value = 0x1111, .st_shndx = 1};
    file->symbols[2] = (Elf64_Sym){.st_name = 19, .st_value = 0x2222, .st_shndx = 1}; /* the tail "wanted" */
}

static enum sw_status small_search(const struct small *file, struct sw_elf_place *place) {
    int fd = memfd_create("elf", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, file, sizeof *file), (ssize_t)sizeof *file);
    enum sw_status status = sw_elf_symbol(fd, "wanted", place);
    close(fd);
    return status;
}

static void names_may_share_their_tails(void **state) {
    (void)state;
    struct small file;
    struct sw_elf_place place;
    small_make(&file);
    assert_int_equal(small_search(&file, &place), SW_OK);
    assert_int_equal(place.address, 0x2222);
    file.symbols[2].st_shndx = SHN_UNDEF;
    assert_int_equal(small_search(&file, &place), SW_NOTFOUND);
    file.symbols[2].st_shndx = 1;
    file.sections[1].sh_link = 99;
    assert_int_equal(small_search(&file, &place), SW_NOTFOUND);
}

static void broken_files_do_no_harm(void **state) {
    (void)state;
    struct sw_elf_place place;
    srand(11);
    for (int round = 0; round < 20000; round++) {
        struct small file;
        small_make(&file);
        for (int i = rand() % 4; i >= 0; i--) {
            size_t at = (size_t)rand() % sizeof file;
            ((unsigned char *)&file)[at] = (unsigned char)(rand() % 3 ? rand() : -(rand() % 2));
        }
        enum sw_status status = small_search(&file, &place);
        assert_true(status == SW_OK || status == SW_NOTFOUND || status == SW_MALFORMED || status == SW_NOMEM);
    }
}

static void broken_images_do_no_harm(void **state) {
    (void)state;
    struct sw_target target;
    struct sw_elf_image whole;
    uint64_t base = getauxval(AT_SYSINFO_EHDR);
    if (base == 0)
        skip();
    own_open(&target);
    assert_int_equal(sw_elf_image_read(&target, base, &whole), SW_OK);
    size_t size = whole.end - base < VDSO_BYTES_MAX ? (size_t)(whole.end - base) : VDSO_BYTES_MAX;
    unsigned char *copy = malloc(size);
    assert_non_null(copy);
    srand(13);
    int found = 0;
    for (int round = 0; round < 20000; round++) {
        struct sw_elf_image image;
        struct sw_elf_place place;
        memcpy(copy, (const void *)(uintptr_t)base, size);
        for (int i = rand() % 8; i > 0; i--)
            copy[(size_t)rand() % 1500] = (unsigned char)(rand() % 3 ? rand() : -(rand() % 2));
        enum sw_status status = sw_elf_image_read(&target, (uint64_t)(uintptr_t)copy, &image);
        if (status == SW_OK)
            status = sw_elf_export(&target, &image, VDSO_SYMBOL, &place);
        assert_true(status == SW_OK || status == SW_NOTFOUND || status == SW_MALFORMED || status == SW_IO);
        found += status == SW_OK;
    }
    assert_in_range(found, 1000, 19999); /* an eighth was left whole, and some damage is really met */
    sw_target_close(&target);
    free(copy);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_are_found),
        cmocka_unit_test(symbols_of_the_table_are_found),
        cmocka_unit_test(exports_are_found_in_memory),
        cmocka_unit_test(images_that_no_loader_touched_are_read),
        cmocka_unit_test(what_is_no_elf_file_is_refused),
        cmocka_unit_test(names_may_share_their_tails),
        cmocka_unit_test(broken_files_do_no_harm),
        cmocka_unit_test(broken_images_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
