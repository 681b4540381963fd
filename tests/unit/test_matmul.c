/* test_matmul.c - The matrix product beside a plain triple loop: shapes, strides, levels, lanes, guard pages. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/mem.h"
#include "kernels/matmul.h"
#include "kernels/matmul_impl.h"
#include "pool/team.h"

enum { GUARD = 65536, LANES_MAX = 3 };

static const enum sw_cpu_level levels[] = {SW_CPU_SCALAR, SW_CPU_AVX2, SW_CPU_AVX512};

/* How an operand lies in memory. */
enum layout { BY_ROWS, BY_COLUMNS, BACKWARDS, SPARSE, LAYOUTS };

struct shape {
    size_t rows, steps, columns;
};

struct operand {
    char *memory; /* with an unreadable page at its end */
    size_t bytes;
    struct sw_array array;
};

static void *guarded(size_t bytes, char **memory, size_t *total) {
    *total = (bytes + GUARD - 1) / GUARD * GUARD + GUARD;
    *memory = mmap(NULL, *total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(*memory != MAP_FAILED);
    assert_int_equal(mprotect(*memory + *total - GUARD, GUARD, PROT_NONE), 0);
    return *memory + *total - GUARD - bytes;
}

static struct operand operand_make(size_t rows, size_t columns, enum sw_dtype dtype, enum layout layout) {
    struct operand operand = {.array = {.dtype = dtype, .dims = 2, .shape = {rows, columns}}};
    ptrdiff_t size = (ptrdiff_t)sw_dtype_size(dtype), height = (ptrdiff_t)rows, width = (ptrdiff_t)columns;
    const ptrdiff_t strides[LAYOUTS][2] = {{width * size, size},
                                           {size, height * size},
                                           {-width * size, -size},
                                           {3 * width * size, 3 * size}};
    memcpy(operand.array.strides, strides[layout], sizeof strides[layout]);
    size_t items = rows * columns * (layout == SPARSE ? 3 : 1);
    if (layout == SPARSE && items > 0)
        items -= 2; /* the last element ends at the page */
    char *data = guarded(items * (size_t)size, &operand.memory, &operand.bytes);
    operand.array.data = layout == BACKWARDS && items > 0 ? data + (items - 1) * (size_t)size : data;
    return operand;
}

static void operand_free(struct operand *operand) {
    munmap(operand->memory, operand->bytes);
}

static void set(const struct sw_array *array, size_t row, size_t column, double value) {
    char *at = array->data + (ptrdiff_t)row * array->strides[0] + (ptrdiff_t)column * array->strides[1];
    if (array->dtype == SW_F64)
        memcpy(at, &value, sizeof value);
    else
        memcpy(at, &(float){(float)value}, sizeof(float));
}

static double get(const struct sw_array *array, size_t row, size_t column) {
    const char *at = array->data + (ptrdiff_t)row * array->strides[0] + (ptrdiff_t)column * array->strides[1];
    double value;
    float narrow;
    memcpy(&value, at, array->dtype == SW_F64 ? sizeof value : sizeof narrow);
    memcpy(&narrow, at, sizeof narrow);
    return array->dtype == SW_F64 ? value : (double)narrow;
}

/* Small integers: sums are exact in any order. */
static void fill(const struct sw_array *array, uint64_t seed) {
    for (size_t i = 0; i < array->shape[0]; i++) {
        for (size_t j = 0; j < array->shape[1]; j++)
            set(array, i, j, (double)(sw_hash_u64(seed + i * array->shape[1] + j) % 17) - 8);
    }
}

static void check_product(const struct sw_array *a, const struct sw_array *b, const struct sw_array *out) {
    for (size_t i = 0; i < out->shape[0]; i++) {
        for (size_t j = 0; j < out->shape[1]; j++) {
            double sum = 0;
            for (size_t p = 0; p < a->shape[1]; p++)
                sum += get(a, i, p) * get(b, p, j);
            if (get(out, i, j) != sum)
                fail_msg("%zux%zux%zu: element %zu, %zu is %g and should be %g", out->shape[0], a->shape[1],
                         out->shape[1], i, j, get(out, i, j), sum);
        }
    }
}

struct trial {
    struct shape shape;
    enum sw_dtype dtype;
    enum layout a, b;
    struct sw_parallel *parallel;
};

/* A product at every level this processor has, operands and result flush against unreadable pages. */
static void check(const struct trial *trial) {
    const struct shape *shape = &trial->shape;
    struct operand a = operand_make(shape->rows, shape->steps, trial->dtype, trial->a);
    struct operand b = operand_make(shape->steps, shape->columns, trial->dtype, trial->b);
    struct operand out = operand_make(shape->rows, shape->columns, trial->dtype, BY_ROWS);
    const struct sw_array *const operands[] = {&a.array, &b.array};
    fill(&a.array, 1);
    fill(&b.array, 2);
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]) && levels[i] <= sw_cpu_level(); i++) {
        fill(&out.array, 3);
        assert_int_equal(sw_matmul_at(levels[i], operands, &out.array, trial->parallel), SW_OK);
        check_product(&a.array, &b.array, &out.array);
    }
    operand_free(&a);
    operand_free(&b);
    operand_free(&out);
}

static void check_all_layouts(struct shape shape, struct sw_parallel *parallel) {
    for (int dtype = SW_F64; dtype <= SW_F32; dtype++) {
        for (int a = 0; a < LAYOUTS; a++) {
            for (int b = 0; b < LAYOUTS; b++)
                check(&(struct trial){shape, (enum sw_dtype)dtype, (enum layout)a, (enum layout)b, parallel});
        }
    }
}

static void small_shapes(void **state) {
    for (size_t n = 0; n < 200; n++) {
        uint64_t random = sw_hash_u64(n);
        struct shape shape = {1 + random % 40, 1 + (random >> 16) % 40, 1 + (random >> 32) % 40};
        struct trial trial = {.shape = shape, .dtype = (enum sw_dtype)(n % 2)};
        trial.a = (enum layout)((random >> 48) % LAYOUTS);
        trial.b = (enum layout)((random >> 50) % LAYOUTS);
        check(&trial);
    }
}

static void every_width(void **state) {
    for (size_t n = 1; n <= 70; n++) {
        check(&(struct trial){.shape = {9, 5, n}});
        check(&(struct trial){.shape = {9, 5, n}, .dtype = SW_F32});
        check(&(struct trial){.shape = {9, 5, n}, .b = BY_COLUMNS});
        check(&(struct trial){.shape = {n, 5, 9}});
        check(&(struct trial){.shape = {9, n, 9}, .dtype = SW_F32});
    }
}

static void vectors(void **state) {
    static const struct shape shapes[] = {{1, 1, 1},    {1, 7, 1},    {7, 1, 1},    {1, 1, 7},    {1, 100, 70},
                                          {70, 100, 1}, {1, 3, 5000}, {5000, 3, 1}, {3, 5000, 1}, {1, 5000, 3}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        check_all_layouts(shapes[i], NULL);
}

static void panels(void **state) {
    static const struct shape shapes[] = {{17, 600, 70}, {20, 257, 40}, {130, 20, 30}, {20, 40, 200}, {65, 511, 3}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        check_all_layouts(shapes[i], NULL);
}

static void nothing_to_do(void **state) {
    check_all_layouts((struct shape){0, 5, 5}, NULL);
    check_all_layouts((struct shape){5, 5, 0}, NULL);
    check_all_layouts((struct shape){5, 0, 5}, NULL); /* zeros */
    check_all_layouts((struct shape){1, 0, 1}, NULL);
    check_all_layouts((struct shape){0, 0, 0}, NULL);
}

/* Rows of the result that are not next to each other: what is between them stays. */
static void rows_apart(void **state) {
    enum { ROWS = 21, COLUMNS = 37, WIDTH = 50, STEPS = 19 };
    double a[ROWS * STEPS], b[STEPS * COLUMNS], memory[ROWS * WIDTH];
    struct sw_array x = {(char *)a, SW_F64, 2, {ROWS, STEPS}, {STEPS * 8, 8}};
    struct sw_array y = {(char *)b, SW_F64, 2, {STEPS, COLUMNS}, {COLUMNS * 8, 8}};
    struct sw_array out = {(char *)memory, SW_F64, 2, {ROWS, COLUMNS}, {WIDTH * 8, 8}};
    for (size_t i = 0; i < ROWS * WIDTH; i++)
        memory[i] = 12345;
    fill(&x, 1);
    fill(&y, 2);
    assert_int_equal(sw_matmul(&x, &y, &out, NULL), SW_OK);
    check_product(&x, &y, &out);
    for (size_t i = 0; i < ROWS * WIDTH; i++)
        assert_true(i % WIDTH < COLUMNS || memory[i] == 12345);
    y.shape[1] = out.shape[1] = 1; /* a column of the result */
    assert_int_equal(sw_matmul(&x, &y, &out, NULL), SW_OK);
    check_product(&x, &y, &out);
}

/* A NaN or infinity reaches its row and column of the result and nothing else. */
static void check_spread(struct shape shape, double odd) {
    struct operand a = operand_make(shape.rows, shape.steps, SW_F64, BY_ROWS);
    struct operand b = operand_make(shape.steps, shape.columns, SW_F64, BY_ROWS);
    struct operand out = operand_make(shape.rows, shape.columns, SW_F64, BY_ROWS);
    const struct sw_array *const operands[] = {&a.array, &b.array};
    for (size_t i = 0; i < shape.rows * shape.steps; i++)
        set(&a.array, i / shape.steps, i % shape.steps, 1);
    for (size_t i = 0; i < shape.steps * shape.columns; i++)
        set(&b.array, i / shape.columns, i % shape.columns, 1);
    set(&a.array, shape.rows - 1, shape.steps / 2, odd);
    set(&b.array, 0, shape.columns / 2, odd);
    for (size_t l = 0; l < sizeof(levels) / sizeof(levels[0]) && levels[l] <= sw_cpu_level(); l++) {
        assert_int_equal(sw_matmul_at(levels[l], operands, &out.array, NULL), SW_OK);
        for (size_t i = 0; i < shape.rows * shape.columns; i++) {
            double value = get(&out.array, i / shape.columns, i % shape.columns);
            bool is_odd = i / shape.columns == shape.rows - 1 || i % shape.columns == shape.columns / 2;
            assert_int_equal(isfinite(value), !is_odd);
            assert_true(is_odd ? isnan(odd) == isnan(value) : value == (double)shape.steps);
        }
    }
    operand_free(&a);
    operand_free(&b);
    operand_free(&out);
}

static void odd_values_spread(void **state) {
    static const struct shape shapes[] = {{5, 5, 5}, {30, 20, 27}, {29, 300, 61}, {1, 50, 50}, {50, 50, 1}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        check_spread(shapes[i], NAN);
        check_spread(shapes[i], INFINITY);
    }
}

static double uniform(uint64_t seed) {
    return (double)(sw_hash_u64(seed) >> 11) * 0x1p-53 - 0.5;
}

static void fill_fractions(const struct sw_array *array, uint64_t seed) {
    for (size_t i = 0; i < array->shape[0] * array->shape[1]; i++)
        set(array, i / array->shape[1], i % array->shape[1], uniform(seed + i));
}

/* Rounding within the usual bound, and the same bits for any number of lanes. */
static void check_fractions(const struct trial *trial, struct sw_parallel *const teams[LANES_MAX]) {
    const struct shape *shape = &trial->shape;
    struct operand a = operand_make(shape->rows, shape->steps, trial->dtype, trial->a);
    struct operand b = operand_make(shape->steps, shape->columns, trial->dtype, trial->b);
    struct operand out = operand_make(shape->rows, shape->columns, trial->dtype, BY_ROWS);
    struct operand again = operand_make(shape->rows, shape->columns, trial->dtype, BY_ROWS);
    fill_fractions(&a.array, 1);
    fill_fractions(&b.array, UINT64_C(1) << 32);
    assert_int_equal(sw_matmul(&a.array, &b.array, &out.array, NULL), SW_OK);
    long double unit = trial->dtype == SW_F64 ? 0x1p-53L : 0x1p-24L;
    for (size_t i = 0; i < shape->rows * shape->columns; i += 7) {
        long double sum = 0, magnitude = 0;
        for (size_t p = 0; p < shape->steps; p++) {
            long double term = (long double)get(&a.array, i / shape->columns, p) * get(&b.array, p, i % shape->columns);
            sum += term;
            magnitude += fabsl(term);
        }
        long double wrong = fabsl(sum - get(&out.array, i / shape->columns, i % shape->columns));
        assert_true(wrong <= unit * magnitude * (long double)(shape->steps + 1));
    }
    for (int lanes = 1; lanes <= LANES_MAX; lanes++) {
        fill_fractions(&again.array, 5);
        assert_int_equal(sw_matmul(&a.array, &b.array, &again.array, teams[lanes - 1]), SW_OK);
        assert_memory_equal(out.array.data, again.array.data,
                            shape->rows * shape->columns * sw_dtype_size(trial->dtype));
    }
    operand_free(&a);
    operand_free(&b);
    operand_free(&out);
    operand_free(&again);
}

static void same_bits_for_any_lanes(void **state) {
    static const struct shape shapes[] = {{60, 70, 80},  {150, 300, 130}, {7, 300, 900}, {900, 300, 7},  {1, 700, 900},
                                          {900, 500, 1}, {130, 130, 130}, {3, 900, 100}, {40, 300, 1000}};
    struct sw_parallel *teams[LANES_MAX];
    struct sw_team *opened[LANES_MAX];
    for (unsigned i = 0; i < LANES_MAX; i++) {
        assert_int_equal(sw_team_open(i + 1, &opened[i], NULL), SW_OK);
        teams[i] = sw_team_parallel(opened[i]);
    }
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        for (int layout = 0; layout < 4; layout++) {
            struct trial trial = {.shape = shapes[i], .dtype = (enum sw_dtype)(i % 2)};
            trial.a = (enum layout)(layout % 2);
            trial.b = (enum layout)(layout / 2);
            check_fractions(&trial, teams);
        }
    }
    check_all_layouts((struct shape){70, 80, 90}, teams[1]);
    check_all_layouts((struct shape){33, 600, 120}, teams[2]);
    for (unsigned i = 0; i < LANES_MAX; i++)
        sw_team_close(opened[i]);
}

/* Without memory a product says so, or needs none; then it works again. */
static void check_without_memory(struct shape shape, enum layout a_layout, bool needs_memory) {
    struct operand a = operand_make(shape.rows, shape.steps, SW_F64, a_layout);
    struct operand b = operand_make(shape.steps, shape.columns, SW_F64, SPARSE);
    struct operand out = operand_make(shape.rows, shape.columns, SW_F64, BY_ROWS);
    fill(&a.array, 1);
    fill(&b.array, 2);
    size_t failures = 0;
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status != SW_OK; nth++) {
        sw_matmul_trim();
        sw_mem_fail_at(nth);
        status = sw_matmul(&a.array, &b.array, &out.array, NULL);
        sw_mem_fail_at(0);
        assert_true(status == SW_OK || status == SW_NOMEM);
        failures += status == SW_NOMEM;
    }
    check_product(&a.array, &b.array, &out.array);
    assert_int_equal(failures > 0, needs_memory);
    operand_free(&a);
    operand_free(&b);
    operand_free(&out);
}

static void memory_runs_out(void **state) {
    check_without_memory((struct shape){50, 60, 70}, BY_ROWS, true);
    check_without_memory((struct shape){50, 60, 1}, BY_ROWS, true);
    check_without_memory((struct shape){1, 60, 50}, BY_ROWS, false);
    check_without_memory((struct shape){1, 60, 50}, SPARSE, true);
    sw_matmul_trim();
}

/* The panels kept from a product serve the next, smaller or larger. */
static void panels_are_kept(void **state) {
    check(&(struct trial){.shape = {40, 300, 200}, .b = SPARSE});
    struct operand a = operand_make(40, 300, SW_F64, BY_ROWS), b = operand_make(300, 200, SW_F64, SPARSE);
    struct operand out = operand_make(40, 200, SW_F64, BY_ROWS);
    fill(&a.array, 1);
    fill(&b.array, 2);
    assert_int_equal(sw_matmul(&a.array, &b.array, &out.array, NULL), SW_OK);
    sw_mem_fail_at(1);
    assert_int_equal(sw_matmul(&a.array, &b.array, &out.array, NULL), SW_OK);
    sw_mem_fail_at(0);
    check_product(&a.array, &b.array, &out.array);
    check(&(struct trial){.shape = {90, 300, 400}, .b = SPARSE});
    check(&(struct trial){.shape = {9, 30, 40}, .b = SPARSE});
    sw_matmul_trim();
    operand_free(&a);
    operand_free(&b);
    operand_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_shapes),      cmocka_unit_test(every_width),
        cmocka_unit_test(vectors),           cmocka_unit_test(panels),
        cmocka_unit_test(nothing_to_do),     cmocka_unit_test(rows_apart),
        cmocka_unit_test(odd_values_spread), cmocka_unit_test(same_bits_for_any_lanes),
        cmocka_unit_test(memory_runs_out),   cmocka_unit_test(panels_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
