/* matmul_panels.c - The matrix product by packed panels, as Goto and van de Geijn do it: panels stay in the caches.
 *
 * Each cell of the result is a product of its own: threads share nothing, so they never wait for each other and no
 * panel moves from one core's cache to another's. What a cell packs its neighbours pack too; cells as square as can be
 * keep that to 2 % at 500 x 500.
 */
#include <stdatomic.h>
#include <stdint.h>

#include "base/mem.h"
#include "kernels/matmul_impl.h"

#define CACHE_LINE 64
#define STEPS_MAX 256                      /* a panel of b, 24 columns of float64, is 48 KiB */
#define A_BYTES ((size_t)512 << 10)        /* packed rows of a: with b a share of the second-level cache */
#define B_BYTES ((size_t)4 << 20)          /* packed columns of b */
#define CELLS_WORTH ((size_t)200000)       /* multiplications that are worth a cell */
#define SPARE_BYTES_MAX ((size_t)64 << 20) /* memory beyond this is not kept for the next product */

/* Memory for panels. Fresh pages cost 5 % of a product of 1000 x 1000, so one such block is kept. */
struct room {
    size_t bytes;
};

static _Atomic(struct room *) spare;

static struct room *room_get(size_t bytes) {
    struct room *room = atomic_exchange(&spare, NULL);
    if (room && room->bytes >= bytes)
        return room;
    sw_free(room);
    room = bytes <= SIZE_MAX - CACHE_LINE ? sw_alloc_aligned(CACHE_LINE, CACHE_LINE + bytes) : NULL;
    if (room)
        room->bytes = bytes;
    return room;
}

static void room_put(struct room *room) {
    struct room *expected = NULL;
    if (room->bytes > SPARE_BYTES_MAX || !atomic_compare_exchange_strong(&spare, &expected, room))
        sw_free(room);
}

void sw_matmul_trim(void) {
    sw_free(atomic_exchange(&spare, NULL));
}

static size_t round_up(size_t value, size_t unit) {
    return (value + unit - 1) / unit * unit;
}

static size_t at_most(size_t value, size_t most) {
    return value < most ? value : most;
}

/* How many equal parts, each at most `most`, and a multiple of `unit`, give
 * `total`. */
static size_t part_size(size_t total, size_t most, size_t unit) {
    size_t parts = (total + most - 1) / most;
    return round_up((total + parts - 1) / parts, unit);
}

/* Sizes of blocks, and the memory for their panels: one room for each lane. */
struct panels {
    const struct sw_matmul_product *product;
    struct sw_matmul_grid grid;
    size_t rows, columns, steps; /* of a block */
    char *rooms;
    size_t b_bytes, room_bytes;
};

static void pack_b(const struct panels *panels, const struct sw_matmul_cell *block, size_t step, char *to) {
    const struct sw_matmul_product *product = panels->product;
    ptrdiff_t from = (ptrdiff_t)step * product->b_step + (ptrdiff_t)block->column * product->b_column;
    product->level->pack(&(struct sw_matmul_panels){
        .from = product->b + from * (ptrdiff_t)product->size,
        .lane = product->b_column,
        .step = product->b_step,
        .lanes = block->columns,
        .steps = at_most(panels->steps, product->steps - step),
        .to = to,
        .width = product->level->tile_columns,
        .unit = product->level->lanes,
    });
}

static void pack_a(const struct panels *panels, const struct sw_matmul_cell *block, size_t step, char *to) {
    const struct sw_matmul_product *product = panels->product;
    ptrdiff_t from = (ptrdiff_t)block->row * product->a_row + (ptrdiff_t)step * product->a_step;
    product->level->pack(&(struct sw_matmul_panels){
        .from = product->a + from * (ptrdiff_t)product->size,
        .lane = product->a_row,
        .step = product->a_step,
        .lanes = block->rows,
        .steps = at_most(panels->steps, product->steps - step),
        .to = to,
        .width = product->level->tile_rows,
        .unit = product->level->tile_rows,
    });
}

/* All rows of a cell by one block of b, which is packed in `b`. */
static void block_run(const struct panels *panels, const struct sw_matmul_cell *block, size_t step, char *b) {
    const struct sw_matmul_product *product = panels->product;
    char *a = b + panels->b_bytes;
    struct sw_matmul_cell part = *block;
    for (size_t end = block->row + block->rows; part.row < end; part.row += part.rows) {
        ptrdiff_t to = (ptrdiff_t)part.row * product->out_row + (ptrdiff_t)part.column;
        part.rows = at_most(panels->rows, end - part.row);
        pack_a(panels, &part, step, a);
        product->level->multiply_panels(&(struct sw_matmul_block){
            .a = a,
            .b = b,
            .out = product->out + to * (ptrdiff_t)product->size,
            .out_row = product->out_row,
            .rows = part.rows,
            .columns = part.columns,
            .steps = at_most(panels->steps, product->steps - step),
            .is_adding = step > 0,
        });
    }
}

static void run_cells(void *context, size_t first, size_t last, unsigned lane) {
    const struct panels *panels = context;
    char *room = panels->rooms + lane * panels->room_bytes;
    for (size_t i = first; i < last; i++) {
        struct sw_matmul_cell cell = sw_matmul_cell_at(&panels->grid, i), block = cell;
        for (size_t end = cell.column + cell.columns; block.column < end; block.column += block.columns) {
            block.columns = at_most(panels->columns, end - block.column);
            for (size_t step = 0; step < panels->product->steps; step += panels->steps) {
                pack_b(panels, &block, step, room);
                block_run(panels, &block, step, room);
            }
        }
    }
}

enum sw_status sw_matmul_by_panels(const struct sw_matmul_product *product) {
    const struct sw_matmul_level *level = product->level;
    struct panels panels = {.product = product, .grid = sw_matmul_grid_for(product, CELLS_WORTH)};
    size_t cell_rows = (product->rows + panels.grid.down - 1) / panels.grid.down + level->tile_rows;
    size_t cell_columns = (product->columns + panels.grid.across - 1) / panels.grid.across + level->tile_columns;
    panels.steps = part_size(product->steps, STEPS_MAX, 8);
    size_t step_bytes = panels.steps * product->size;
    panels.rows = part_size(cell_rows, A_BYTES / step_bytes, level->tile_rows);
    panels.columns = part_size(cell_columns, B_BYTES / step_bytes, level->tile_columns);
    panels.b_bytes = round_up(panels.columns * step_bytes, CACHE_LINE);
    panels.room_bytes = panels.b_bytes + round_up(panels.rows * step_bytes, CACHE_LINE);
    struct room *room = room_get(sw_parallel_lanes(product->parallel) * panels.room_bytes);
    if (!room)
        return SW_NOMEM;
    panels.rooms = (char *)room + CACHE_LINE;
    struct sw_parallel_loop loop = {panels.grid.down * panels.grid.across, 1, run_cells, &panels};
    sw_parallel_run(product->parallel, &loop);
    room_put(room);
    return SW_OK;
}
