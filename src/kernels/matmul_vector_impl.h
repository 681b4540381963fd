/* matmul_vector_impl.h - Products with a vector: each element of the matrix is used once, so memory sets the pace.
 *
 * Included after matmul_tile_impl.h; defines the table.
 */
#ifdef TABLE

#define ROWS_AT_ONCE 4
#define COLUMNS_AT_ONCE 8

INLINE real sum_of(vector value) {
    real sum = 0;
    for (size_t l = 0; l < LANES; l++)
        sum += value[l];
    return sum;
}

/* Four rows in contiguous memory; those beyond the last repeat it. */
INLINE void dots(const struct sw_matmul_vector *v, size_t first) {
    const real *rows[ROWS_AT_ONCE], *x = v->x;
    vector even[ROWS_AT_ONCE] = {{0}}, odd[ROWS_AT_ONCE] = {{0}};
    for (size_t i = 0; i < ROWS_AT_ONCE; i++) {
        size_t row = first + i < v->rows ? first + i : v->rows - 1;
        rows[i] = (const real *)v->matrix + (ptrdiff_t)row * v->row;
    }
    size_t p = 0;
    for (; p + 2 * LANES <= v->steps; p += 2 * LANES) {
        vector x_even = load(x + p), x_odd = load(x + p + LANES);
        UNROLL
        for (size_t i = 0; i < ROWS_AT_ONCE; i++) {
            even[i] += load(rows[i] + p) * x_even;
            odd[i] += load(rows[i] + p + LANES) * x_odd;
        }
    }
    for (; p < v->steps; p += LANES) {
        size_t count = v->steps - p < LANES ? v->steps - p : LANES;
        vector some = load_some(x + p, count);
        UNROLL
        for (size_t i = 0; i < ROWS_AT_ONCE; i++)
            even[i] += load_some(rows[i] + p, count) * some;
    }
    for (size_t i = 0; i < ROWS_AT_ONCE && first + i < v->rows; i++)
        ((real *)v->out)[(ptrdiff_t)(first + i) * v->out_step] = sum_of(even[i] + odd[i]);
}

TARGET static void dots_far(const struct sw_matmul_vector *v) {
    const real *x = v->x;
    for (size_t i = 0; i < v->rows; i++) {
        const real *row = (const real *)v->matrix + (ptrdiff_t)i * v->row;
        real sum = 0;
        for (size_t p = 0; p < v->steps; p++)
            sum += row[(ptrdiff_t)p * v->step] * x[p];
        ((real *)v->out)[(ptrdiff_t)i * v->out_step] = sum;
    }
}

TARGET static void vector_by_rows(const struct sw_matmul_vector *v) {
    if (v->step != 1) {
        dots_far(v);
        return;
    }
    for (size_t i = 0; i < v->rows; i += ROWS_AT_ONCE)
        dots(v, i);
}

/* Adds `columns` columns, a constant where this is inlined, times their x to out. */
INLINE void add_columns(const struct sw_matmul_vector *v, size_t first, size_t columns) {
    const real *matrix = (const real *)v->matrix + (ptrdiff_t)first * v->step, *x = (const real *)v->x + first;
    real *out = v->out;
    size_t i = 0;
    for (; i + LANES <= v->rows; i += LANES) {
        vector sum = first > 0 ? load(out + i) : (vector){0};
        UNROLL
        for (size_t c = 0; c < columns; c++)
            sum += load(matrix + (ptrdiff_t)c * v->step + i) * x[c];
        store(out + i, sum);
    }
    if (i < v->rows) {
        size_t count = v->rows - i;
        vector sum = first > 0 ? load_some(out + i, count) : (vector){0};
        UNROLL
        for (size_t c = 0; c < columns; c++)
            sum += load_some(matrix + (ptrdiff_t)c * v->step + i, count) * x[c];
        store_some(out + i, count, sum);
    }
}

TARGET static void vector_by_columns(const struct sw_matmul_vector *v) {
    size_t p = 0;
    for (; p + COLUMNS_AT_ONCE <= v->steps; p += COLUMNS_AT_ONCE)
        add_columns(v, p, COLUMNS_AT_ONCE);
    for (; p < v->steps; p++)
        add_columns(v, p, 1);
}

const struct sw_matmul_level TABLE = {
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_VECTORS * LANES,
    .lanes = LANES,
    .multiply = multiply,
    .multiply_panels = multiply_panels,
    .pack = pack,
    .vector_by_rows = vector_by_rows,
    .vector_by_columns = vector_by_columns,
};

#endif
