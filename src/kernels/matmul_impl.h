/* matmul_impl.h - What a level of vector instructions gives the matrix product: tiles, packing, vector shapes.
 *
 * All sizes and strides are in elements of the one type that the table is for. Each element of the result is a sum in
 * the order of the steps, one block of steps after the other, whatever the tile: so bits depend on the shape and the
 * level alone, never on how the work is split.
 */
#ifndef SW_KERNELS_MATMUL_IMPL_H
#define SW_KERNELS_MATMUL_IMPL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cpu.h"
#include "base/parallel.h"
#include "base/status.h"
#include "kernels/array.h"

/* out[i][j] (+)= sum over p of a[i][p] b[p][j], for rows x columns x steps, each at least 1. */
struct sw_matmul_block {
    const void *a, *b;
    void *out;
    ptrdiff_t a_row, a_step, b_step, out_row;
    size_t rows, columns, steps;
    bool is_adding; /* to what is in out */
};

/* `lanes` (rows of a, columns of b) cut into panels of `width`; a panel is `steps` groups of its width. Lanes that pad
 * the last panel to a multiple of `unit` are 0. */
struct sw_matmul_panels {
    const void *from;
    ptrdiff_t lane, step; /* strides */
    size_t lanes, steps;
    void *to;
    size_t width, unit;
};

/* out[i * out_step] = sum over p of m[i][p] x[p]. */
struct sw_matmul_vector {
    const void *matrix, *x;
    void *out;
    ptrdiff_t row, step, out_step; /* strides of the matrix, and of out; x is contiguous */
    size_t rows, steps;
};

struct sw_matmul_level {
    size_t tile_rows, tile_columns; /* of the packed form */
    size_t lanes;                   /* of a vector */
    /* b's rows contiguous, any a. */
    void (*multiply)(const struct sw_matmul_block *block);
    /* a in panels of tile_rows, b in panels of tile_columns with lanes as the unit; strides of a and b unused. */
    void (*multiply_panels)(const struct sw_matmul_block *block);
    void (*pack)(const struct sw_matmul_panels *panels);
    void (*vector_by_rows)(const struct sw_matmul_vector *vector);    /* best where step is 1 */
    void (*vector_by_columns)(const struct sw_matmul_vector *vector); /* row is 1, out_step is 1 */
};

extern const struct sw_matmul_level sw_matmul_baseline_f64, sw_matmul_baseline_f32;
#if defined(__x86_64__)
extern const struct sw_matmul_level sw_matmul_avx2_f64, sw_matmul_avx2_f32;
extern const struct sw_matmul_level sw_matmul_avx512_f64, sw_matmul_avx512_f32;
#endif

/* A product, as the ways to do it see it. */
struct sw_matmul_product {
    const struct sw_matmul_level *level;
    struct sw_parallel *parallel;
    size_t size; /* bytes of an element */
    const char *a, *b;
    char *out;
    ptrdiff_t a_row, a_step, b_step, b_column, out_row;
    size_t rows, columns, steps; /* each at least 1 */
};

/* The result cut into cells, `down` times `across`, for threads to take; each but the last of a line is made of whole
 * tiles, their number as equal as can be. */
struct sw_matmul_grid {
    size_t rows, columns;
    size_t tile_rows, tile_columns;
    size_t down, across;
};

struct sw_matmul_cell {
    size_t row, rows, column, columns;
};

/* As many cells as there are lanes, as square as can be; fewer where that is less than `worth` multiplications each. */
struct sw_matmul_grid sw_matmul_grid_for(const struct sw_matmul_product *product, size_t worth);
struct sw_matmul_cell sw_matmul_cell_at(const struct sw_matmul_grid *grid, size_t index);

/* By panels packed for the caches. */
SW_MUST_USE enum sw_status sw_matmul_by_panels(const struct sw_matmul_product *product);

/* As sw_matmul, with at most the instructions of `level`; the processor must have them. */
SW_MUST_USE enum sw_status sw_matmul_at(enum sw_cpu_level level, const struct sw_array *const operands[2],
                                        struct sw_array *out, struct sw_parallel *parallel);

/* Frees the panels kept for the next product. */
void sw_matmul_trim(void);

#endif
