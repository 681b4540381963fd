/* runtime_impl.h - What the files of a runtime share. */
#ifndef SW_PROBE_RUNTIME_IMPL_H
#define SW_PROBE_RUNTIME_IMPL_H

#include "probe/elf.h"
#include "probe/layout_impl.h"
#include "probe/runtime.h"

/* Where the runtime was found. */
struct sw_runtime_place {
    uint64_t address;
    struct sw_elf_image image;        /* that it lies in */
    const struct sw_mapping *mapping; /* the first one of that file */
};

/* Looks in the main executable, in what is called libpython, then in every other mapped file. SW_NOTFOUND. */
SW_MUST_USE enum sw_status sw_runtime_find(const struct sw_target *target, const struct sw_maps *maps,
                                           struct sw_runtime_place *place);
/* PY_VERSION_HEX of a runtime without debug offsets; SW_NOTFOUND. `has_patch`: false when only the file's name told. */
SW_MUST_USE enum sw_status sw_runtime_old_version(const struct sw_target *target, const struct sw_runtime_place *place,
                                                  uint32_t *version, bool *has_patch);
/* The first number in "3.11.7 (main, ..." as PY_VERSION_HEX; 0 when it is no such text. */
uint32_t sw_version_parse(struct sw_str text);
/* The minor version in "libpython3.10.so.1.0" or "python3.9" as PY_VERSION_HEX without a patch; 0: none. */
uint32_t sw_version_from_file(struct sw_str path);
/* "3.13.5t", "3.14.0rc2" */
void sw_version_format(uint32_t version, bool is_free_threaded, char out[24]);

#endif
