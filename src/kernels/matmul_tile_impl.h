/* matmul_tile_impl.h - The matrix product's inner loops, for one element type and one level of vector instructions.
 *
 * The file that includes this one first defines TARGET (an attribute), `real`, VECTOR_BYTES, TILE_ROWS and
 * TILE_VECTORS (a tile is so many rows by so many vectors, all in registers), `vector`, the functions load_some and
 * store_some, which move the first `count` elements of a vector, and TABLE, the name of the table to define.
 */
#ifdef TABLE

#include "kernels/matmul_impl.h"

#define INLINE TARGET static inline __attribute__((always_inline))
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed" /* not every build optimises */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define UNROLL _Pragma("nounroll") /* with a check for each access, unrolled tiles take minutes to compile */
#else
#define UNROLL _Pragma("unroll")
#endif
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#define PANELS_AT_ONCE 4
#define STEPS 4 /* in a row, without a branch */
#define LANES (VECTOR_BYTES / sizeof(real))

enum tile_kind {
    PANELS, /* packed */
    LYING,  /* the operands as they are, b's rows contiguous */
};

struct tile {
    const real *a, *b;
    real *out;
    ptrdiff_t a_row, a_step, b_step, out_row;
    size_t steps;
    size_t rows, columns; /* of the result */
    bool is_adding;
};

/* What is constant where a tile is inlined. */
struct form {
    size_t rows, vectors;
    enum tile_kind kind;
    bool is_ragged; /* the operands as they lie, and their rows end within the one vector */
};

typedef real loose __attribute__((vector_size(VECTOR_BYTES), aligned(__alignof__(real)), may_alias));

INLINE vector load(const real *from) {
    return *(const loose *)from;
}

INLINE void store(real *to, vector value) {
    *(loose *)to = value;
}

INLINE void tile_store_row(const struct tile *tile, size_t row, const vector *sums, size_t vectors) {
    real *out = tile->out + (ptrdiff_t)row * tile->out_row;
    size_t last = tile->columns - (vectors - 1) * LANES;
    UNROLL
    for (size_t j = 0; j < vectors; j++, out += LANES) {
        vector sum = sums[j];
        if (j + 1 < vectors || last == LANES)
            store(out, tile->is_adding ? sum + load(out) : sum);
        else
            store_some(out, last, tile->is_adding ? sum + load_some(out, last) : sum);
    }
}

/* `count` steps from `a` and `b` on; the count is a constant. */
INLINE void tile_steps(const struct tile *tile, struct form form, size_t count, vector sums[TILE_ROWS][TILE_VECTORS]) {
    UNROLL
    for (size_t p = 0; p < count; p++) {
        const real *b = tile->b + p * form.vectors * LANES;
        vector across[TILE_VECTORS];
        UNROLL
        for (size_t j = 0; j < form.vectors; j++)
            across[j] = form.is_ragged ? load_some(b, tile->columns) : load(b + j * LANES);
        UNROLL
        for (size_t i = 0; i < form.rows; i++) {
            real down = tile->a[(ptrdiff_t)i * (form.kind == PANELS ? 1 : tile->a_row) + (ptrdiff_t)(p * TILE_ROWS)];
            UNROLL
            for (size_t j = 0; j < form.vectors; j++)
                sums[i][j] += across[j] * down;
        }
    }
}

/* What is added to comes from far away, and is needed only after all steps. */
INLINE void tile_prefetch(const struct tile *tile, size_t vectors) {
    const real *row = tile->out;
    for (size_t i = 0; i < tile->rows; i++, row += tile->out_row) {
        UNROLL
        for (size_t j = 0; j < vectors; j++)
            __builtin_prefetch(row + j * LANES, 1);
    }
}

INLINE void tile_run(const struct tile *tile, struct form form) {
    vector sums[TILE_ROWS][TILE_VECTORS] = {{{0}}};
    struct tile at = *tile;
    if (form.kind == PANELS) {
        tile_prefetch(tile, form.vectors);
        at.a_step = TILE_ROWS;
        at.b_step = (ptrdiff_t)(form.vectors * LANES);
        /* Without a branch for so long: each instruction but the multiply-adds may keep one of those from its port. */
        for (; at.steps >= STEPS; at.steps -= STEPS, at.a += STEPS * at.a_step, at.b += STEPS * at.b_step)
            tile_steps(&at, form, STEPS, sums);
    }
    for (; at.steps > 0; at.steps--, at.a += at.a_step, at.b += at.b_step)
        tile_steps(&at, form, 1, sums);
    UNROLL
    for (size_t i = 0; i < form.rows; i++) {
        if (form.kind != PANELS || i < tile->rows)
            tile_store_row(tile, i, sums[i], form.vectors);
    }
}

/* One column of tiles, all of one width. */
INLINE void column_run(const struct sw_matmul_block *block, struct tile *tile, struct form form) {
    const real *a = block->a;
    real *out = tile->out;
    for (size_t i = 0; i < block->rows; i += tile->rows) {
        tile->rows = block->rows - i;
        tile->a = a + (form.kind == PANELS ? (ptrdiff_t)(i * block->steps) : (ptrdiff_t)i * block->a_row);
        tile->out = out + (ptrdiff_t)i * block->out_row;
        if (tile->rows >= TILE_ROWS || (form.kind == PANELS && tile->rows > TILE_ROWS / 2)) {
            tile->rows = tile->rows < TILE_ROWS ? tile->rows : TILE_ROWS;
            tile_run(tile, (struct form){TILE_ROWS, form.vectors, form.kind, form.is_ragged});
        } else if (tile->rows >= TILE_ROWS / 2 || form.kind == PANELS) {
            tile->rows = tile->rows < TILE_ROWS / 2 ? tile->rows : TILE_ROWS / 2;
            tile_run(tile, (struct form){TILE_ROWS / 2, form.vectors, form.kind, form.is_ragged});
        } else {
            tile->rows = 1;
            tile_run(tile, (struct form){1, form.vectors, form.kind, form.is_ragged});
        }
    }
}

INLINE struct tile tile_of(const struct sw_matmul_block *block, size_t column, size_t columns) {
    return (struct tile){
        .out = (real *)block->out + column,
        .a_row = block->a_row,
        .a_step = block->a_step,
        .b_step = block->b_step,
        .out_row = block->out_row,
        .steps = block->steps,
        .columns = columns,
        .is_adding = block->is_adding,
    };
}

/* A row of tiles' width at a time, and what is left by vectors. */
TARGET static void multiply(const struct sw_matmul_block *block) {
    for (size_t j = 0; j < block->columns;) {
        size_t vectors = (block->columns - j) / LANES;
        vectors = vectors < TILE_VECTORS ? vectors : TILE_VECTORS;
        size_t columns = vectors > 0 ? vectors * LANES : block->columns - j;
        struct tile tile = tile_of(block, j, columns);
        tile.b = (const real *)block->b + j;
        if (vectors == 0)
            column_run(block, &tile, (struct form){.vectors = 1, .kind = LYING, .is_ragged = true});
        else if (vectors == 1)
            column_run(block, &tile, (struct form){.vectors = 1, .kind = LYING});
        else if (vectors == TILE_VECTORS)
            column_run(block, &tile, (struct form){.vectors = TILE_VECTORS, .kind = LYING});
        else
            column_run(block, &tile, (struct form){.vectors = 2, .kind = LYING});
        j += columns;
    }
}

TARGET static void multiply_panels(const struct sw_matmul_block *block) {
    const size_t width = TILE_VECTORS * LANES;
    for (size_t j = 0; j < block->columns; j += width) {
        size_t columns = block->columns - j < width ? block->columns - j : width;
        struct tile tile = tile_of(block, j, columns);
        tile.b = (const real *)block->b + j * block->steps;
        if (columns > (TILE_VECTORS - 1) * LANES)
            column_run(block, &tile, (struct form){.vectors = TILE_VECTORS});
        else if (columns > LANES)
            column_run(block, &tile, (struct form){.vectors = 2});
        else
            column_run(block, &tile, (struct form){.vectors = 1});
    }
}

/* Whole panels whose lanes follow each other in memory: some panels at a time, as long rows are read faster. */
INLINE void pack_along(const struct sw_matmul_panels *panels, const real *from, size_t count, real *to) {
    for (size_t p = 0; p < panels->steps; p++, from += panels->step, to += panels->width) {
        const real *lane = from;
        real *group = to;
        for (size_t i = 0; i < count; i++, lane += panels->width, group += panels->width * panels->steps) {
            for (size_t l = 0; l < panels->width; l += LANES)
                store(group + l, load(lane + l));
        }
    }
}

/* Four lanes and four steps turned; steps follow each other in memory. */
INLINE void turn(const real *from, ptrdiff_t lane, real *to, size_t width) {
    typedef real four __attribute__((vector_size(4 * sizeof(real))));
    typedef real loose_four __attribute__((vector_size(4 * sizeof(real)), aligned(__alignof__(real)), may_alias));
    four a = *(const loose_four *)from, b = *(const loose_four *)(from + lane);
    four c = *(const loose_four *)(from + 2 * lane), d = *(const loose_four *)(from + 3 * lane);
    four ab_even = __builtin_shufflevector(a, b, 0, 4, 2, 6), ab_odd = __builtin_shufflevector(a, b, 1, 5, 3, 7);
    four cd_even = __builtin_shufflevector(c, d, 0, 4, 2, 6), cd_odd = __builtin_shufflevector(c, d, 1, 5, 3, 7);
    *(loose_four *)to = __builtin_shufflevector(ab_even, cd_even, 0, 1, 4, 5);
    *(loose_four *)(to + width) = __builtin_shufflevector(ab_odd, cd_odd, 0, 1, 4, 5);
    *(loose_four *)(to + 2 * width) = __builtin_shufflevector(ab_even, cd_even, 2, 3, 6, 7);
    *(loose_four *)(to + 3 * width) = __builtin_shufflevector(ab_odd, cd_odd, 2, 3, 6, 7);
}

/* A panel, `lanes` of it within the matrix. */
INLINE void pack_across(const struct sw_matmul_panels *panels, const real *from, size_t lanes, real *to) {
    size_t width = (lanes + panels->unit - 1) / panels->unit * panels->unit, p = 0;
    if (panels->step == 1 && lanes % 4 == 0) {
        for (; p + 4 <= panels->steps; p += 4) {
            for (size_t l = 0; l < lanes; l += 4)
                turn(from + (ptrdiff_t)l * panels->lane + p, panels->lane, to + p * width + l, width);
            for (size_t l = lanes; l < width; l++)
                to[p * width + l] = to[(p + 1) * width + l] = to[(p + 2) * width + l] = to[(p + 3) * width + l] = 0;
        }
    }
    for (; p < panels->steps; p++) {
        const real *lane = from + (ptrdiff_t)p * panels->step;
        for (size_t l = 0; l < lanes; l++, lane += panels->lane)
            to[p * width + l] = *lane;
        for (size_t l = lanes; l < width; l++)
            to[p * width + l] = 0;
    }
}

TARGET static void pack(const struct sw_matmul_panels *panels) {
    const real *from = panels->from;
    real *to = panels->to;
    size_t l = 0, whole = panels->lane == 1 && panels->width % LANES == 0 ? panels->lanes / panels->width : 0;
    for (size_t count; whole > 0; whole -= count) {
        count = whole < PANELS_AT_ONCE ? whole : PANELS_AT_ONCE;
        pack_along(panels, from + l, count, to + l * panels->steps);
        l += count * panels->width;
    }
    for (; l < panels->lanes; l += panels->width) {
        size_t lanes = panels->lanes - l < panels->width ? panels->lanes - l : panels->width;
        pack_across(panels, from + (ptrdiff_t)l * panels->lane, lanes, to + l * panels->steps);
    }
}

#endif
