/* csv_columns.h - Cells of one csv column to numbers, times and hashes, many rows at a time. */
#ifndef SW_ENGINE_CSV_COLUMNS_H
#define SW_ENGINE_CSV_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"
#include "engine/batch.h"

/* Row r's cell ends at ends[r * stride] and starts behind ends[r * stride - 1]; at least 16 bytes behind each are
 * readable. */
struct sw_csv_column {
    const char *base;
    const uint32_t *ends;
    size_t stride;
    bool may_end_in_cr; /* the last column of a chunk that has CRs */
};

struct sw_csv_cell {
    const char *ptr;
    uint32_t len;
};

static inline struct sw_csv_cell sw_csv_cell_at(const struct sw_csv_column *column, size_t row) {
    const uint32_t *end = column->ends + row * column->stride;
    uint32_t start = end[-1] + 1; /* wraps to 0 for the first cell of a chunk */
    struct sw_csv_cell cell = {column->base + start, *end - start};
    cell.len -= column->may_end_in_cr && cell.len && cell.ptr[cell.len - 1] == '\r';
    return cell;
}

/* Each writes rows [0, rows) of `out` and returns `rows`, or the first row whose cell cannot be read. Empty cells are
 * NaN and 0; an empty time cannot be read. */
struct sw_csv_readers {
    size_t (*numbers)(const struct sw_csv_column *column, size_t rows, double *out);
    size_t (*hashes)(const struct sw_csv_column *column, size_t rows, uint64_t *out);
    size_t (*times)(const struct sw_csv_column *column, size_t rows, int64_t *out, enum sw_time_unit unit);
};

const struct sw_csv_readers *sw_csv_readers_for(enum sw_cpu_level level);

#endif
