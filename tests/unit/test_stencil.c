/* test_stencil.c - Diffusion beside a plain loop over the grid, to the last bit: sizes, borders, levels, lanes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/mem.h"
#include "kernels/stencil.h"
#include "kernels/stencil_impl.h"
#include "pool/team.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

enum { CELLS_MAX = 300 * 300, LANES_MAX = 3 };

static const enum sw_cpu_level levels[] = {SW_CPU_SCALAR, SW_CPU_AVX2, SW_CPU_AVX512};

union cells {
    double wide[CELLS_MAX];
    float narrow[CELLS_MAX];
    char bytes[CELLS_MAX * sizeof(double)];
};

struct trial {
    size_t rows, columns, steps;
    enum sw_dtype dtype;
    bool is_periodic;
    struct sw_parallel *parallel;
};

/* One step, cell by cell. */
static void plain_step(const struct trial *trial, const union cells *from, union cells *to) {
    size_t rows = trial->rows, columns = trial->columns;
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++) {
            size_t at = i * columns + j;
            bool is_border = i == 0 || j == 0 || i + 1 == rows || j + 1 == columns;
            size_t up = (i + rows - 1) % rows * columns + j, down = (i + 1) % rows * columns + j;
            size_t left = i * columns + (j + columns - 1) % columns, right = i * columns + (j + 1) % columns;
            if (trial->dtype == SW_F64) {
                const double *u = from->wide;
                double new = u[at] + 0.1875 * (u[left] + u[right] + u[up] + u[down] - 4 * u[at]);
                to->wide[at] = is_border && !trial->is_periodic ? u[at] : new;
            } else {
                const float *u = from->narrow;
                float new = u[at] + 0.1875f * (u[left] + u[right] + u[up] + u[down] - 4 * u[at]);
                to->narrow[at] = is_border && !trial->is_periodic ? u[at] : new;
            }
        }
    }
}

static void fill(union cells *cells, enum sw_dtype dtype) {
    for (size_t i = 0; i < CELLS_MAX; i++) {
        double value = (double)(sw_hash_u64(i) >> 11) * 0x1p-53;
        if (dtype == SW_F64)
            cells->wide[i] = value;
        else
            cells->narrow[i] = (float)value;
    }
}

static struct sw_array grid_of(const struct trial *trial, void *data) {
    ptrdiff_t size = (ptrdiff_t)sw_dtype_size(trial->dtype);
    return (struct sw_array){.data = data,
                             .dtype = trial->dtype,
                             .dims = 2,
                             .shape = {trial->rows, trial->columns},
                             .strides = {(ptrdiff_t)trial->columns * size, size}};
}

static void check_same(const struct trial *trial, const union cells *is, const union cells *should) {
    size_t size = sw_dtype_size(trial->dtype), cells = trial->rows * trial->columns;
    for (size_t i = 0; i < cells; i++) {
        if (memcmp(is->bytes + i * size, should->bytes + i * size, size) != 0)
            fail_msg("%zux%zu, %zu steps, %s: row %zu, column %zu differs", trial->rows, trial->columns, trial->steps,
                     trial->is_periodic ? "periodic" : "fixed", i / trial->columns, i % trial->columns);
    }
}

/* At every level this processor has, to another grid and in place. */
static void check(const struct trial *trial) {
    static union cells start, expected[2], got;
    fill(&start, trial->dtype);
    memcpy(&expected[0], &start, sizeof start);
    for (size_t i = 0; i < trial->steps; i++)
        plain_step(trial, &expected[i % 2], &expected[(i + 1) % 2]);
    const union cells *should = &expected[trial->steps % 2];
    struct sw_array grid = grid_of(trial, &start), out = grid_of(trial, &got);
    struct sw_diffusion apart = {&grid, &out, 0.1875, trial->steps, trial->is_periodic};
    struct sw_diffusion in_place = {&out, &out, 0.1875, trial->steps, trial->is_periodic};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]) && levels[i] <= sw_cpu_level(); i++) {
        memset(&got, 0x7f, sizeof got);
        assert_int_equal(sw_stencil_diffuse_at(levels[i], &apart, trial->parallel), SW_OK);
        check_same(trial, &got, should);
        for (size_t j = trial->rows * trial->columns * sw_dtype_size(trial->dtype); j < sizeof got; j++)
            assert_true(got.bytes[j] == 0x7f);
        memcpy(&got, &start, sizeof got);
        assert_int_equal(sw_stencil_diffuse_at(levels[i], &in_place, trial->parallel), SW_OK);
        check_same(trial, &got, should);
    }
}

static void check_kinds(size_t rows, size_t columns, size_t steps, struct sw_parallel *parallel) {
    for (int kind = 0; kind < 4; kind++)
        check(&(struct trial){rows, columns, steps, (enum sw_dtype)(kind % 2), kind / 2 == 1, parallel});
}

static void small_grids(void **state) {
    for (size_t rows = 1; rows <= 7; rows++) {
        for (size_t columns = 1; columns <= 7; columns++) {
            check_kinds(rows, columns, 1, NULL);
            check_kinds(rows, columns, 6, NULL);
        }
    }
    check_kinds(1, 50, 5, NULL);
    check_kinds(50, 1, 5, NULL);
    check_kinds(2, 50, 5, NULL);
    check_kinds(50, 2, 5, NULL);
}

static void sizes_and_steps(void **state) {
    for (size_t steps = 0; steps < 20; steps++)
        check_kinds(90, 85, steps, NULL);
    for (size_t n = 1; n < 50; n++)
        check_kinds(n, 50 - n, 3, NULL);
    check_kinds(300, 300, 50, NULL);
    check_kinds(299, 301, 9, NULL);
    check_kinds(40, 2250, 7, NULL); /* wider than a tile */
}

static void nothing_to_do(void **state) {
    check_kinds(0, 5, 3, NULL);
    check_kinds(5, 0, 3, NULL);
    check_kinds(0, 0, 0, NULL);
    check_kinds(5, 5, 0, NULL);
}

static void any_lanes(void **state) {
    for (unsigned lanes = 2; lanes <= LANES_MAX; lanes++) {
        struct sw_team *team;
        assert_int_equal(sw_team_open(lanes, &team, NULL), SW_OK);
        struct sw_parallel *parallel = sw_team_parallel(team);
        check_kinds(300, 300, 23, parallel);
        check_kinds(3, 30000, 4, parallel);
        check_kinds(30000, 3, 4, parallel);
        check_kinds(45, 2000, 11, parallel);
        sw_team_close(team);
    }
}

/* A grid with gaps, backwards, turned. */
static void any_strides(void **state) {
    enum { ROWS = 31, COLUMNS = 43, STEPS = 5 };
    static union cells start, packed, got, expected;
    struct trial trial = {.rows = ROWS, .columns = COLUMNS, .steps = STEPS, .is_periodic = true};
    static const ptrdiff_t strides[][2] = {{COLUMNS * 16, 16}, {-COLUMNS * 8, -8}, {8, ROWS * 8}, {COLUMNS * 8, -8}};
    fill(&start, SW_F64);
    for (size_t s = 0; s < sizeof(strides) / sizeof(strides[0]); s++) {
        struct sw_array grid = grid_of(&trial, start.wide + CELLS_MAX / 2), plain = grid_of(&trial, &packed);
        struct sw_array out = grid_of(&trial, &got), should = grid_of(&trial, &expected);
        memcpy(grid.strides, strides[s], sizeof strides[s]);
        for (size_t i = 0; i < ROWS * COLUMNS; i++) {
            ptrdiff_t row = (ptrdiff_t)(i / COLUMNS), column = (ptrdiff_t)(i % COLUMNS);
            memcpy(&packed.wide[i], grid.data + row * grid.strides[0] + column * grid.strides[1], sizeof(double));
        }
        assert_int_equal(sw_stencil_diffuse(&(struct sw_diffusion){&grid, &out, 0.2, STEPS, true}, NULL), SW_OK);
        assert_int_equal(sw_stencil_diffuse(&(struct sw_diffusion){&plain, &should, 0.2, STEPS, true}, NULL), SW_OK);
        check_same(&trial, &got, &expected);
        got.wide[0] = -1;
        assert_int_equal(sw_stencil_diffuse(&(struct sw_diffusion){&grid, &out, 0.2, 0, false}, NULL), SW_OK);
        check_same(&trial, &got, &packed);
    }
}

/* What is not a number spreads one cell a step, and no further. */
static void oddities_spread_by_one(void **state) {
    enum { SIDE = 120, STEPS = 7, AT = 60 };
    static union cells start, got;
    struct trial trial = {.rows = SIDE, .columns = SIDE};
    fill(&start, SW_F64);
    start.wide[AT * SIDE + AT] = __builtin_nan("");
    struct sw_array grid = grid_of(&trial, &start), out = grid_of(&trial, &got);
    assert_int_equal(sw_stencil_diffuse(&(struct sw_diffusion){&grid, &out, 0.2, STEPS, false}, NULL), SW_OK);
    for (int i = 0; i < SIDE * SIDE; i++) {
        int down = i / SIDE - AT, across = i % SIDE - AT;
        int away = (down < 0 ? -down : down) + (across < 0 ? -across : across);
        assert_int_equal(got.wide[i] != got.wide[i], away <= STEPS);
    }
}

static void memory_runs_out(void **state) {
    static union cells start, got, expected;
    struct trial trial = {.rows = 60, .columns = 50};
    fill(&start, SW_F64);
    struct sw_array grid = grid_of(&trial, &start), out = grid_of(&trial, &got), should = grid_of(&trial, &expected);
    struct sw_diffusion diffusion = {&grid, &out, 0.2, 20, true}, good = {&grid, &should, 0.2, 20, true};
    size_t failures = 0;
    enum sw_status status = SW_NOMEM;
    assert_int_equal(sw_stencil_diffuse(&good, NULL), SW_OK);
    for (size_t nth = 1; status != SW_OK; nth++) {
        sw_mem_fail_at(nth);
        status = sw_stencil_diffuse(&diffusion, NULL);
        sw_mem_fail_at(0);
        assert_true(status == SW_OK || status == SW_NOMEM);
        failures += status == SW_NOMEM;
    }
    assert_int_equal(failures, 2); /* the rings, the second grid */
    check_same(&trial, &got, &expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_grids),     cmocka_unit_test(sizes_and_steps), cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(any_lanes),       cmocka_unit_test(any_strides),     cmocka_unit_test(oddities_spread_by_one),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
