/* fuzz_maps.c - /proc/PID/maps of arbitrary bytes: mappings in order, found by their addresses. */
#include <stddef.h>
#include <stdint.h>

#include "probe/target_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct sw_maps maps = {0};
    if (sw_maps_parse(sw_str_make((const char *)bytes, size), &maps) != SW_OK)
        return 0;
    for (size_t i = 0; i < maps.count; i++) {
        const struct sw_mapping *mapping = &maps.items[i];
        if (mapping->start >= mapping->end || sw_maps_find(&maps, mapping->start) != mapping ||
            sw_maps_find(&maps, mapping->end - 1) != mapping)
            __builtin_trap();
    }
    sw_maps_release(&maps);
    return 0;
}
