/* matmul.c - Matrix product of float64 or float32 matrices of any strides. */
#include "kernels/matmul.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/matmul_impl.h"

#define DIRECT_BYTES ((size_t)768 << 10) /* b so small is not packed */
#define DIRECT_ROWS 16                   /* nor is b used so few times */
#define DIRECT_STEPS 256                 /* done at once, so that what a tile walks along stays in the cache */
#define ALIAS_BYTES 4096                 /* rows so far apart share their places in the first-level cache: */
#define ALIAS_STEPS 64                   /* it holds no more of them */
#define CELLS_WORTH ((size_t)100000)     /* multiplications worth handing to another thread: some 3 us */
#define VECTOR_CHUNK ((size_t)2048)      /* sums of a vector product by columns that stay in the cache */
#define VECTOR_CHUNK_MIN ((size_t)128)

static const struct sw_matmul_level *level_for(enum sw_dtype dtype, enum sw_cpu_level level) {
#if defined(__x86_64__)
    if (level >= SW_CPU_AVX512)
        return dtype == SW_F64 ? &sw_matmul_avx512_f64 : &sw_matmul_avx512_f32;
    if (level >= SW_CPU_AVX2)
        return dtype == SW_F64 ? &sw_matmul_avx2_f64 : &sw_matmul_avx2_f32;
#endif
    return dtype == SW_F64 ? &sw_matmul_baseline_f64 : &sw_matmul_baseline_f32;
}

/* In elements; what a dimension of one element says does not matter, and takes
 * the form that is best. */
static ptrdiff_t stride_of(const struct sw_array *array, unsigned dim) {
    if (array->shape[dim] <= 1)
        return dim;
    return array->strides[dim] / (ptrdiff_t)sw_dtype_size(array->dtype);
}

static size_t at_most(size_t value, size_t most) {
    return value < most ? value : most;
}

static const char *offset(const char *from, ptrdiff_t elements, size_t size) {
    return from + elements * (ptrdiff_t)size;
}

/* The first of the `parts` parts, as equal as can be, from `index` on. */
static size_t part_at(size_t total, size_t parts, size_t index) {
    return total / parts * index + at_most(index, total % parts);
}

struct sw_matmul_grid sw_matmul_grid_for(const struct sw_matmul_product *product, size_t worth) {
    struct sw_matmul_grid grid = {
        .rows = product->rows,
        .columns = product->columns,
        .tile_rows = product->level->tile_rows,
        .tile_columns = product->level->tile_columns,
        .down = 1,
        .across = 1,
    };
    size_t row_tiles = (grid.rows + grid.tile_rows - 1) / grid.tile_rows;
    size_t column_tiles = (grid.columns + grid.tile_columns - 1) / grid.tile_columns;
    double products = (double)product->rows * (double)product->columns * (double)product->steps;
    size_t cells = sw_parallel_lanes(product->parallel);
    cells = products < (double)cells * (double)worth ? (size_t)(products / (double)worth) : cells;
    double least_edge = INFINITY; /* rows and columns packed for each element of the result */
    /* Of two as good the one with more parts downwards: a tile has few rows, so such parts come out more equal. */
    for (size_t down = 1; down <= cells; down++) {
        size_t across = cells / down;
        double edge = (double)down / (double)grid.rows + (double)across / (double)grid.columns;
        if (down * across == cells && down <= row_tiles && across <= column_tiles && edge <= least_edge) {
            least_edge = edge;
            grid.down = down;
            grid.across = across;
        }
    }
    return grid;
}

struct sw_matmul_cell sw_matmul_cell_at(const struct sw_matmul_grid *grid, size_t index) {
    size_t row_tiles = (grid->rows + grid->tile_rows - 1) / grid->tile_rows;
    size_t column_tiles = (grid->columns + grid->tile_columns - 1) / grid->tile_columns;
    size_t down = index / grid->across, across = index % grid->across;
    struct sw_matmul_cell cell = {
        .row = part_at(row_tiles, grid->down, down) * grid->tile_rows,
        .column = part_at(column_tiles, grid->across, across) * grid->tile_columns,
    };
    cell.rows = at_most(part_at(row_tiles, grid->down, down + 1) * grid->tile_rows, grid->rows) - cell.row;
    cell.columns =
        at_most(part_at(column_tiles, grid->across, across + 1) * grid->tile_columns, grid->columns) - cell.column;
    return cell;
}

/* A product on the operands as they are, cut into cells. */
struct direct {
    const struct sw_matmul_product *product;
    struct sw_matmul_grid grid;
};

static void multiply_direct(void *context, size_t first, size_t last, unsigned lane) {
    const struct direct *direct = context;
    const struct sw_matmul_product *product = direct->product;
    size_t size = product->size;
    for (size_t i = first; i < last; i++) {
        struct sw_matmul_cell cell = sw_matmul_cell_at(&direct->grid, i);
        ptrdiff_t row = (ptrdiff_t)cell.row, column = (ptrdiff_t)cell.column;
        for (size_t p = 0; p < product->steps; p += DIRECT_STEPS) {
            product->level->multiply(&(struct sw_matmul_block){
                .a = offset(product->a, row * product->a_row + (ptrdiff_t)p * product->a_step, size),
                .b = offset(product->b, (ptrdiff_t)p * product->b_step + column, size),
                .out = product->out + (row * product->out_row + column) * (ptrdiff_t)size,
                .a_row = product->a_row,
                .a_step = product->a_step,
                .b_step = product->b_step,
                .out_row = product->out_row,
                .rows = cell.rows,
                .columns = cell.columns,
                .steps = at_most(product->steps - p, DIRECT_STEPS),
                .is_adding = p > 0,
            });
        }
    }
}

static void run_direct(const struct sw_matmul_product *product) {
    struct direct direct = {.product = product, .grid = sw_matmul_grid_for(product, CELLS_WORTH)};
    struct sw_parallel_loop loop = {direct.grid.down * direct.grid.across, 1, multiply_direct, &direct};
    sw_parallel_run(product->parallel, &loop);
}

/* A product with a vector: out = matrix times x, cut into chunks of rows. */
struct by_vector {
    const struct sw_matmul_product *product;
    struct sw_matmul_vector all;
    size_t chunk;
};

static void multiply_vector(void *context, size_t first, size_t last, unsigned lane) {
    const struct by_vector *by = context;
    size_t size = by->product->size;
    for (size_t i = first; i < last; i++) {
        size_t row = i * by->chunk;
        struct sw_matmul_vector part = by->all;
        part.matrix = offset(part.matrix, (ptrdiff_t)row * part.row, size);
        part.out = (char *)part.out + (ptrdiff_t)row * part.out_step * (ptrdiff_t)size;
        part.rows = at_most(by->chunk, by->all.rows - row);
        if (part.row == 1 && part.step != 1 && part.out_step == 1)
            by->product->level->vector_by_columns(&part);
        else
            by->product->level->vector_by_rows(&part);
    }
}

/* `x_step` is the stride of all.x, which becomes contiguous if it is not. */
static enum sw_status run_vector(const struct sw_matmul_product *product, struct sw_matmul_vector all,
                                 ptrdiff_t x_step) {
    size_t lanes = sw_parallel_lanes(product->parallel);
    struct by_vector by = {.product = product, .all = all};
    char *packed = NULL;
    if (x_step != 1) {
        packed = sw_alloc_array(all.steps, product->size);
        if (!packed)
            return SW_NOMEM;
        product->level->pack(&(struct sw_matmul_panels){all.x, 0, x_step, 1, all.steps, packed, 1, 1});
        by.all.x = packed;
    }
    by.chunk = at_most((all.rows + lanes - 1) / lanes, VECTOR_CHUNK);
    by.chunk = all.rows * all.steps > CELLS_WORTH ? by.chunk : VECTOR_CHUNK;
    by.chunk = (by.chunk + VECTOR_CHUNK_MIN - 1) / VECTOR_CHUNK_MIN * VECTOR_CHUNK_MIN;
    size_t chunks = (all.rows + by.chunk - 1) / by.chunk;
    struct sw_parallel_loop loop = {chunks, (chunks + lanes - 1) / lanes, multiply_vector, &by};
    sw_parallel_run(product->parallel, &loop);
    sw_free(packed);
    return SW_OK;
}

static enum sw_status run_column(const struct sw_matmul_product *product) {
    struct sw_matmul_vector all = {
        .matrix = product->a,
        .x = product->b,
        .out = product->out,
        .row = product->a_row,
        .step = product->a_step,
        .out_step = product->rows > 1 ? product->out_row : 1,
        .rows = product->rows,
        .steps = product->steps,
    };
    return run_vector(product, all, product->steps > 1 ? product->b_step : 1);
}

static enum sw_status run_row(const struct sw_matmul_product *product) {
    struct sw_matmul_vector all = {
        .matrix = product->b,
        .x = product->a,
        .out = product->out,
        .row = product->b_column,
        .step = product->b_step,
        .out_step = 1,
        .rows = product->columns,
        .steps = product->steps,
    };
    return run_vector(product, all, product->steps > 1 ? product->a_step : 1);
}

static void clear(const struct sw_matmul_product *product) {
    for (size_t i = 0; i < product->rows; i++)
        memset(product->out + (ptrdiff_t)(i * product->size) * product->out_row, 0, product->columns * product->size);
}

static bool is_direct(const struct sw_matmul_product *product) {
    size_t most = DIRECT_BYTES / product->size;
    if (product->b_column != 1 || product->rows <= DIRECT_ROWS)
        return product->b_column == 1;
    if (product->steps > ALIAS_STEPS && product->b_step * (ptrdiff_t)product->size % ALIAS_BYTES == 0)
        return false;
    return product->steps * product->columns <= most &&
           (product->a_step == 1 || product->rows * product->steps <= most);
}

enum sw_status sw_matmul_at(enum sw_cpu_level level, const struct sw_array *const operands[2], struct sw_array *out,
                            struct sw_parallel *parallel) {
    const struct sw_array *a = operands[0], *b = operands[1];
    struct sw_matmul_product product = {
        .level = level_for(out->dtype, level),
        .parallel = parallel,
        .size = sw_dtype_size(out->dtype),
        .a = a->data,
        .b = b->data,
        .out = out->data,
        .a_row = stride_of(a, 0),
        .a_step = stride_of(a, 1),
        .b_step = stride_of(b, 0),
        .b_column = stride_of(b, 1),
        .out_row = stride_of(out, 0),
        .rows = out->shape[0],
        .columns = out->shape[1],
        .steps = a->shape[1],
    };
    if (product.rows == 0 || product.columns == 0)
        return SW_OK;
    if (product.steps == 0) {
        clear(&product);
        return SW_OK;
    }
    if (product.columns == 1)
        return run_column(&product);
    if (product.rows == 1)
        return run_row(&product);
    if (is_direct(&product)) {
        run_direct(&product);
        return SW_OK;
    }
    return sw_matmul_by_panels(&product);
}

enum sw_status sw_matmul(const struct sw_array *a, const struct sw_array *b, struct sw_array *out,
                         struct sw_parallel *parallel) {
    const struct sw_array *const operands[] = {a, b};
    return sw_matmul_at(sw_cpu_level(), operands, out, parallel);
}
