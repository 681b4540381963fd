/* stencil.c - Diffusion on a 2-D grid: repeated five-point stencils, several steps per pass through memory.
 *
 * A pass takes the grid `steps` steps further, tile by tile. A tile reads as many rows and columns more on every side
 * as there are steps, and computes again what its neighbours compute too. It goes down the rows as a wave: as soon as
 * there are new rows of one time, those of the next follow, one row behind, so that of each time only a ring of six
 * rows is kept, in the second-level cache. What a row's ends lack goes wrong by one column a step and never gets to
 * where the tile writes.
 */
#include "kernels/stencil.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/stencil_impl.h"

#define ROWS SW_STENCIL_ROWS
#define RING (ROWS + 2)
#define STEPS_MAX 16                     /* of a pass */
#define STEPS_SHARE 40                   /* of a side: at most this part is computed again */
#define STRIP_BYTES ((size_t)8192)       /* of a row of a tile: the rows at work stay in the first-level cache */
#define CELLS_PER_TILE ((size_t)1 << 14) /* times steps: worth handing to another thread, some 5 us */

/* A grid as one pass sees it: its source, and where its result goes. */
struct pass {
    const struct sw_diffusion *diffusion;
    sw_stencil_kernel kernel;
    struct sw_array from; /* 2 dimensions, any strides */
    char *to;             /* contiguous */
    size_t size;          /* bytes of an element */
    ptrdiff_t rows, columns;
    ptrdiff_t steps;
    size_t bands, strips; /* tiles down, across */
    char *rings;          /* one set for each lane */
    size_t rings_bytes, pitch;
};

/* Rows and columns are numbered as in the grid; beyond its ends it repeats, if it is periodic. */
struct tile {
    const struct pass *pass;
    ptrdiff_t first_row, end_row, first_column, end_column; /* written */
    ptrdiff_t left, right;                                  /* columns in a ring's rows */
    char *rings;
    ptrdiff_t first[STEPS_MAX + 1], end[STEPS_MAX + 1]; /* rows of each time */
    ptrdiff_t done[STEPS_MAX + 1];                      /* the next one */
};

static ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) {
    return a < b ? a : b;
}

static ptrdiff_t most(ptrdiff_t a, ptrdiff_t b) {
    return a > b ? a : b;
}

static size_t round_up(size_t value, size_t unit) {
    return (value + unit - 1) / unit * unit;
}

static ptrdiff_t wrap(ptrdiff_t index, ptrdiff_t count) {
    ptrdiff_t rest = index % count;
    return rest < 0 ? rest + count : rest;
}

static char *ring_row(const struct tile *tile, ptrdiff_t time, ptrdiff_t row) {
    size_t slot = (size_t)time * RING + (size_t)(row - tile->first[time]) % RING;
    return tile->rings + slot * tile->pass->pitch + SW_STENCIL_ALIGN;
}

/* Elements [first, first + count) of a row of the source. */
static void copy_in(const struct pass *pass, const char *row, ptrdiff_t first, ptrdiff_t count, char *to) {
    ptrdiff_t stride = pass->from.strides[1];
    if (stride == (ptrdiff_t)pass->size) {
        memcpy(to, row + first * stride, (size_t)count * pass->size);
        return;
    }
    for (ptrdiff_t j = 0; j < count; j++)
        memcpy(to + (size_t)j * pass->size, row + (first + j) * stride, pass->size);
}

static void read_row(const struct tile *tile, ptrdiff_t row) {
    const struct pass *pass = tile->pass;
    const char *from = pass->from.data + wrap(row, pass->rows) * pass->from.strides[0];
    char *to = ring_row(tile, 0, row);
    for (ptrdiff_t column = tile->left; column < tile->right;) {
        ptrdiff_t first = wrap(column, pass->columns);
        ptrdiff_t count = least(pass->columns - first, tile->right - column);
        copy_in(pass, from, first, count, to);
        to += (size_t)count * pass->size;
        column += count;
    }
}

static void write_row(const struct tile *tile, ptrdiff_t row) {
    const struct pass *pass = tile->pass;
    const char *from = ring_row(tile, pass->steps, row) + (size_t)(tile->first_column - tile->left) * pass->size;
    char *to = pass->to + (size_t)(row * pass->columns + tile->first_column) * pass->size;
    memcpy(to, from, (size_t)(tile->end_column - tile->first_column) * pass->size);
}

/* Columns of the border keep their value. */
static void keep_ends(const struct tile *tile, ptrdiff_t time, ptrdiff_t row) {
    const struct pass *pass = tile->pass;
    const char *before = ring_row(tile, time - 1, row);
    char *now = ring_row(tile, time, row);
    size_t last = (size_t)(tile->right - tile->left - 1) * pass->size;
    if (tile->left == 0)
        memcpy(now, before, pass->size);
    if (tile->right == pass->columns)
        memcpy(now + last, before + last, pass->size);
}

/* How many rows from `row` on are done at once: all within the grid, or one of its border. */
static ptrdiff_t rows_at_once(const struct tile *tile, ptrdiff_t row, ptrdiff_t end) {
    const struct pass *pass = tile->pass;
    if (pass->diffusion->is_periodic)
        return end - row;
    return row == 0 ? 1 : most(least(end, pass->rows - 1) - row, 1);
}

static void step_rows(const struct tile *tile, ptrdiff_t time, ptrdiff_t row, ptrdiff_t count) {
    const struct pass *pass = tile->pass;
    size_t bytes = round_up((size_t)(tile->right - tile->left) * pass->size, SW_STENCIL_ALIGN);
    bool is_fixed = !pass->diffusion->is_periodic;
    if (is_fixed && (row == 0 || row == pass->rows - 1)) {
        memcpy(ring_row(tile, time, row), ring_row(tile, time - 1, row), bytes);
        return;
    }
    struct sw_stencil_step step = {.rows = (size_t)count, .count = bytes / pass->size, .rate = pass->diffusion->rate};
    for (ptrdiff_t i = 0; i < count + 2; i++)
        step.in[i] = ring_row(tile, time - 1, row + i - 1);
    for (ptrdiff_t i = 0; i < count; i++)
        step.out[i] = ring_row(tile, time, row + i);
    pass->kernel(&step);
    for (ptrdiff_t i = 0; i < count && is_fixed; i++)
        keep_ends(tile, time, row + i);
}

/* The rows of `time` that those of the time before allow, but no more than a ring can take. */
static void advance(struct tile *tile, ptrdiff_t time) {
    const struct pass *pass = tile->pass;
    bool is_last = !pass->diffusion->is_periodic && tile->done[time - 1] == pass->rows;
    ptrdiff_t end = is_last ? pass->rows : tile->done[time - 1] - 1;
    end = least(least(end, tile->end[time]), tile->done[time] + ROWS);
    while (tile->done[time] < end) {
        ptrdiff_t row = tile->done[time], count = rows_at_once(tile, row, end);
        step_rows(tile, time, row, count);
        for (ptrdiff_t i = 0; i < count && time == pass->steps; i++)
            write_row(tile, row + i);
        tile->done[time] += count;
    }
}

static void tile_run(struct tile *tile) {
    const struct pass *pass = tile->pass;
    ptrdiff_t steps = pass->steps;
    bool is_periodic = pass->diffusion->is_periodic;
    tile->left = is_periodic ? tile->first_column - steps : most(tile->first_column - steps, 0);
    tile->right = is_periodic ? tile->end_column + steps : least(tile->end_column + steps, pass->columns);
    for (ptrdiff_t time = 0; time <= steps; time++) {
        ptrdiff_t first = tile->first_row - (steps - time), end = tile->end_row + (steps - time);
        tile->first[time] = tile->done[time] = is_periodic ? first : most(first, 0);
        tile->end[time] = is_periodic ? end : least(end, pass->rows);
    }
    while (tile->done[steps] < tile->end_row) {
        for (int i = 0; i < ROWS && tile->done[0] < tile->end[0]; i++)
            read_row(tile, tile->done[0]++);
        for (ptrdiff_t time = 1; time <= steps; time++)
            advance(tile, time);
    }
}

static ptrdiff_t part_at(ptrdiff_t total, size_t parts, size_t index) {
    return (ptrdiff_t)((size_t)total / parts * index + (size_t)least((ptrdiff_t)index, total % (ptrdiff_t)parts));
}

static void run_tiles(void *context, size_t first, size_t last, unsigned lane) {
    const struct pass *pass = context;
    for (size_t i = first; i < last; i++) {
        size_t band = i / pass->strips, strip = i % pass->strips;
        struct tile tile = {
            .pass = pass,
            .first_row = part_at(pass->rows, pass->bands, band),
            .end_row = part_at(pass->rows, pass->bands, band + 1),
            .first_column = part_at(pass->columns, pass->strips, strip),
            .end_column = part_at(pass->columns, pass->strips, strip + 1),
            .rings = pass->rings + lane * pass->rings_bytes,
        };
        tile_run(&tile);
    }
}

static sw_stencil_kernel kernel_for(enum sw_dtype dtype, enum sw_cpu_level level) {
#if defined(__x86_64__)
    if (level >= SW_CPU_AVX512)
        return dtype == SW_F64 ? sw_stencil_step_avx512_f64 : sw_stencil_step_avx512_f32;
    if (level >= SW_CPU_AVX2)
        return dtype == SW_F64 ? sw_stencil_step_avx2_f64 : sw_stencil_step_avx2_f32;
#endif
    return dtype == SW_F64 ? sw_stencil_step_baseline_f64 : sw_stencil_step_baseline_f32;
}

/* Steps of a pass and the tiles, for one step at least. */
static void plan(struct pass *pass, size_t lanes) {
    size_t rows = (size_t)pass->rows, columns = (size_t)pass->columns, wanted = pass->diffusion->steps;
    size_t side = rows < columns ? rows : columns;
    size_t steps = 1 + side / STEPS_SHARE;
    steps = steps < STEPS_MAX ? steps : STEPS_MAX;
    size_t passes = (wanted + steps - 1) / steps;
    pass->steps = (ptrdiff_t)((wanted + passes - 1) / passes);
    pass->strips = (columns * pass->size + STRIP_BYTES - 1) / STRIP_BYTES;
    size_t worth = rows * columns * (size_t)pass->steps / CELLS_PER_TILE / pass->strips;
    pass->bands = worth < lanes ? worth : lanes;
    pass->bands = pass->bands < rows ? pass->bands : rows;
    pass->bands = pass->bands > 0 ? pass->bands : 1;
    size_t width = (columns + pass->strips - 1) / pass->strips + 2 * (size_t)pass->steps;
    pass->pitch = round_up(width * pass->size, SW_STENCIL_ALIGN) + (size_t)2 * SW_STENCIL_ALIGN;
    if (pass->pitch % 4096 == 0) /* rows would share their places in the cache */
        pass->pitch += SW_STENCIL_ALIGN;
    pass->rings_bytes = ((size_t)pass->steps + 1) * RING * pass->pitch;
}

static struct sw_array contiguous(const struct pass *pass, char *data) {
    ptrdiff_t size = (ptrdiff_t)pass->size;
    return (struct sw_array){.data = data,
                             .dtype = pass->from.dtype,
                             .dims = 2,
                             .shape = {(size_t)pass->rows, (size_t)pass->columns},
                             .strides = {pass->columns * size, size}};
}

static void copy_grid(const struct pass *pass, char *to) {
    for (ptrdiff_t i = 0; i < pass->rows; i++)
        copy_in(pass, pass->from.data + i * pass->from.strides[0], 0, pass->columns,
                to + (size_t)(i * pass->columns) * pass->size);
}

/* All passes; each writes where the one before it did not, and the last one to the result. `spare` is a grid too; NULL
 * where one pass does. */
static void run_passes(struct pass *pass, char *spare, struct sw_parallel *parallel) {
    const struct sw_diffusion *diffusion = pass->diffusion;
    char *out = diffusion->out->data;
    size_t left = diffusion->steps, steps = (size_t)pass->steps, passes = (left + steps - 1) / steps;
    bool is_shared = sw_array_overlaps(diffusion->grid, diffusion->out);
    if (is_shared && passes % 2 == 1) {
        copy_grid(pass, spare);
        pass->from = contiguous(pass, spare);
    }
    struct sw_parallel_loop loop = {pass->bands * pass->strips, 1, run_tiles, pass};
    for (; passes > 0; passes--) {
        pass->steps = (ptrdiff_t)(left < steps ? left : steps);
        pass->to = passes % 2 == 1 ? out : spare;
        sw_parallel_run(parallel, &loop);
        pass->from = contiguous(pass, pass->to);
        left -= (size_t)pass->steps;
    }
}

enum sw_status sw_stencil_diffuse_at(enum sw_cpu_level level, const struct sw_diffusion *diffusion,
                                     struct sw_parallel *parallel) {
    const struct sw_array *grid = diffusion->grid;
    size_t lanes = sw_parallel_lanes(parallel);
    struct pass pass = {
        .diffusion = diffusion,
        .kernel = kernel_for(grid->dtype, level),
        .from = *grid,
        .size = sw_dtype_size(grid->dtype),
        .rows = (ptrdiff_t)grid->shape[0],
        .columns = (ptrdiff_t)grid->shape[1],
    };
    size_t grid_bytes = sw_array_count(grid) * pass.size;
    if (grid_bytes == 0)
        return SW_OK;
    if (diffusion->steps == 0) {
        if (!sw_array_is_same(grid, diffusion->out))
            copy_grid(&pass, diffusion->out->data);
        return SW_OK;
    }
    plan(&pass, lanes);
    bool is_one_pass = (size_t)pass.steps == diffusion->steps && !sw_array_overlaps(grid, diffusion->out);
    char *spare = NULL;
    enum sw_status status = SW_NOMEM;
    /* The pads beside the rows are read, though nothing comes of it. */
    pass.rings = sw_alloc_aligned(SW_STENCIL_ALIGN, lanes * pass.rings_bytes);
    if (!pass.rings)
        goto done;
    spare = is_one_pass ? NULL : sw_alloc_aligned(SW_STENCIL_ALIGN, grid_bytes);
    if (!spare && !is_one_pass)
        goto done;
    memset(pass.rings, 0, lanes * pass.rings_bytes);
    run_passes(&pass, spare, parallel);
    status = SW_OK;
done:
    sw_free(pass.rings);
    sw_free(spare);
    return status;
}

enum sw_status sw_stencil_diffuse(const struct sw_diffusion *diffusion, struct sw_parallel *parallel) {
    return sw_stencil_diffuse_at(sw_cpu_level(), diffusion, parallel);
}
