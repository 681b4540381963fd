/* elf.h - ELF images: sections and symbols by name, in files and in a target's memory, reading only what is needed.
 *
 * 64-bit little-endian. Files and memory may hold anything: every table has a named bound. No messages: callers know
 * what they were looking for.
 */
#ifndef SW_PROBE_ELF_H
#define SW_PROBE_ELF_H

#include "probe/target.h"

struct sw_elf_place {
    uint64_t address; /* as the file says it: the bias of the mapped image is not yet added */
    uint64_t size_bytes;
    uint64_t offset; /* in the file; 0 for symbols */
};

/* From the section headers of the file. SW_NOTFOUND; SW_MALFORMED: not such a file. */
SW_MUST_USE enum sw_status sw_elf_section(int fd, const char *name, struct sw_elf_place *place);
/* From .symtab, which stripped files lack: a search through all of it. SW_NOTFOUND, SW_MALFORMED, SW_NOMEM. */
SW_MUST_USE enum sw_status sw_elf_symbol(int fd, const char *name, struct sw_elf_place *place);

/* An image as it is mapped. */
struct sw_elf_image {
    uint64_t base; /* where its ELF header is */
    uint64_t bias; /* what to add to the addresses in the file */
    uint64_t end;  /* of its highest segment */
    uint64_t dynamic, dynamic_bytes;
    uint64_t data, data_bytes; /* the writable segment with the most memory: .data and .bss */
};

/* SW_MALFORMED: there is no ELF header at `base`; else as sw_target_read. */
SW_MUST_USE enum sw_status sw_elf_image_read(const struct sw_target *target, uint64_t base, struct sw_elf_image *image);
/* An exported symbol by the image's own hash table: about eight small reads. `place->address` is the target's. */
SW_MUST_USE enum sw_status sw_elf_export(const struct sw_target *target, const struct sw_elf_image *image,
                                         const char *name, struct sw_elf_place *place);

#endif
