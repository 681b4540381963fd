/* fuzz_layout.c - Debug offsets of arbitrary bytes: refused, or offsets that stay inside of what is read. */
#include <stddef.h>
#include <stdint.h>

#include "probe/layout_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct sw_layout layout;
    struct sw_error err;
    if (sw_layout_from_debug(bytes, size, &layout, &err) == SW_OK &&
        (layout.thread.size > 4096 || layout.frame.size > 1024 || layout.code.size > 1024 ||
         layout.thread.frame >= layout.thread.size || layout.thread.next >= layout.thread.size ||
         layout.frame.owner >= layout.frame.size || layout.code.linetable >= layout.code.size))
        __builtin_trap();
    if (size >= SW_ASYNCIO_DEBUG_BYTES) {
        layout = sw_layout_3_14;
        if (sw_layout_add_asyncio(bytes, &layout) == SW_OK && layout.asyncio.task_node > 4096)
            __builtin_trap();
    }
    return 0;
}
