/* fuzz_lines.c - Line tables of all three kinds from any bytes: lines in order, each lookup within them. */
#include <stdlib.h>

#include "probe/code_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    struct sw_line_table table = {.kind = (enum sw_line_kind)(data[0] % 3),
                                  .bytes = data + 2,
                                  .len = size - 2,
                                  .first_line = data[1]};
    struct sw_buf out = {0};
    uint32_t size_bytes = 0;
    if (sw_code_lines_decode(&table, &out, &size_bytes) == SW_OK) {
        const struct sw_code_line *lines = (const struct sw_code_line *)(const void *)out.ptr;
        size_t count = out.len / sizeof(*lines);
        struct sw_code code = {.first_line = table.first_line,
                               .size_bytes = size_bytes,
                               .lines = lines,
                               .line_count = count};
        if (count == 0 || lines[0].start != 0) {
            abort();
        }
        for (size_t i = 0; i < count; i++) {
            bool is_in_order = i == 0 || (lines[i].start > lines[i - 1].start && lines[i].line != lines[i - 1].line);
            bool is_found =
                lines[i].start >= size_bytes || sw_code_line(&code, (int32_t)lines[i].start) == lines[i].line;
            if (!is_in_order || !is_found || lines[i].line < 0) {
                abort();
            }
        }
    }
    sw_buf_release(&out);
    return 0;
}
