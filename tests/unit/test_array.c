/* test_array.c - Arrays of any strides: blocks against an index by index walk, axes named anew, overlap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "kernels/array.h"

enum { CELLS = 60000, ROUNDS = 400 };

static double cells[CELLS];
static float narrow_cells[CELLS];

static size_t below(uint64_t *state, size_t limit) {
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(sw_hash_u64(*state) % limit);
}

static void cells_fill(void **state) {
    for (int i = 0; i < CELLS; i++) {
        cells[i] = i;
        narrow_cells[i] = (float)i;
    }
}

/* A view of the cells, with axes of one element, reversed ones, gaps, broadcasts, in any order. */
static struct sw_array view_make(uint64_t *state, enum sw_dtype dtype) {
    struct sw_array view = {.dtype = dtype, .dims = (unsigned)below(state, SW_ARRAY_DIMS + 1)};
    ptrdiff_t size = (ptrdiff_t)sw_dtype_size(dtype), stride = 1, first = 0;
    unsigned order[SW_ARRAY_DIMS];
    for (unsigned d = 0; d < view.dims; d++) {
        order[d] = d;
        unsigned other = (unsigned)below(state, d + 1);
        order[d] = order[other], order[other] = d;
    }
    for (unsigned i = 0; i < view.dims; i++) {
        unsigned d = order[i];
        size_t most = (size_t)(CELLS / stride) > 1 ? (size_t)(CELLS / stride) : 1;
        view.shape[d] = 1 + below(state, most < 30 ? most : 30) * below(state, 2);
        size_t kind = below(state, 6);
        view.strides[d] = kind == 0 ? 0 : kind == 1 ? -stride : stride;
        if (kind == 1)
            first += stride * ((ptrdiff_t)view.shape[d] - 1);
        if (kind != 0)
            stride *= (ptrdiff_t)view.shape[d] + (ptrdiff_t)below(state, 2);
        if (stride > CELLS)
            view.shape[d] = 1, stride = CELLS;
        if (view.shape[d] == 1)
            view.strides[d] = (ptrdiff_t)below(state, 1000) - 500; /* must not matter */
        view.strides[d] *= size;
    }
    view.data = (dtype == SW_F64 ? (char *)cells : (char *)narrow_cells) + (first < CELLS ? first : 0) * size;
    return view;
}

/* The element at a place in C order, by the definition. */
static double element(const struct sw_array *array, size_t place) {
    const char *at = array->data;
    for (unsigned d = array->dims; d-- > 0; place /= array->shape[d])
        at += (ptrdiff_t)(place % array->shape[d]) * array->strides[d];
    return array->dtype == SW_F64 ? *(const double *)(const void *)at : (double)*(const float *)(const void *)at;
}

static double block_element(const void *block, enum sw_dtype dtype, size_t i) {
    return dtype == SW_F64 ? ((const double *)block)[i] : (double)((const float *)block)[i];
}

static bool is_inside(const struct sw_array *view) {
    const char *low = view->dtype == SW_F64 ? (char *)cells : (char *)narrow_cells, *at = view->data;
    const char *end = low + CELLS * sw_dtype_size(view->dtype), *first = at, *last = at;
    for (unsigned d = 0; d < view->dims; d++) {
        ptrdiff_t reach = view->strides[d] * ((ptrdiff_t)view->shape[d] - 1);
        *(reach < 0 ? &first : &last) += reach;
    }
    return first >= low && last < end;
}

static void blocks_are_the_elements_in_c_order(void **state) {
    uint64_t seed = 1;
    double scratch[SW_ARRAY_BLOCK];
    size_t checked = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct sw_array view = view_make(&seed, round % 2 ? SW_F32 : SW_F64);
        size_t count = sw_array_count(&view);
        if (!is_inside(&view) || count > CELLS)
            continue;
        for (size_t first = 0; first < count; first += SW_ARRAY_BLOCK - 7) {
            size_t some = count - first < SW_ARRAY_BLOCK ? count - first : SW_ARRAY_BLOCK;
            const void *block = sw_array_block(&view, first, some, scratch);
            for (size_t i = 0; i < some; i++, checked++)
                assert_true(block_element(block, view.dtype, i) == element(&view, first + i));
        }
        size_t place = below(&seed, count);
        assert_true(block_element(sw_array_block(&view, place, 1, scratch), view.dtype, 0) == element(&view, place));
    }
    assert_true(checked > 100000);
}

static void contiguous_blocks_are_not_copied(void **state) {
    double scratch[SW_ARRAY_BLOCK];
    struct sw_array vector = sw_array_vector(cells, SW_F64, CELLS);
    assert_ptr_equal(sw_array_block(&vector, 100, 2048, scratch), cells + 100);
    struct sw_array part = {(char *)(cells + 5), SW_F64, 2, {100, 400}, {500 * 8, 8}};
    assert_ptr_equal(sw_array_block(&part, 400 * 3 + 10, 390, scratch), cells + 5 + 3 * 500 + 10);
    assert_ptr_equal(sw_array_block(&part, 400 * 3 + 10, 391, scratch), scratch);
    struct sw_array number = {(char *)(cells + 7), SW_F64, 0, {0}, {0}};
    assert_ptr_equal(sw_array_block(&number, 0, 1, scratch), cells + 7);
    assert_ptr_equal(sw_array_block(&number, 0, 0, scratch), scratch);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void straightened_arrays_have_the_same_elements(void **state) {
    static double before[CELLS], after[CELLS];
    uint64_t seed = 2;
    for (int round = 0; round < ROUNDS; round++) {
        struct sw_array view = view_make(&seed, SW_F64), straight = view, *arrays[] = {&straight};
        size_t count = sw_array_count(&view);
        if (!is_inside(&view) || count > CELLS)
            continue;
        sw_array_straighten(arrays, 1);
        assert_int_equal(sw_array_count(&straight), count);
        for (size_t i = 0; i < count; i++) {
            before[i] = element(&view, i);
            after[i] = element(&straight, i);
        }
        for (unsigned d = 0; d < straight.dims; d++) {
            assert_true(straight.strides[d] >= 0 && straight.shape[d] > 1);
            assert_true(d == 0 || straight.strides[d] <= straight.strides[d - 1]);
        }
        qsort(before, count, sizeof before[0], compare);
        qsort(after, count, sizeof after[0], compare);
        assert_memory_equal(before, after, count * sizeof before[0]);
    }
}

static void partners_stay_together(void **state) {
    uint64_t seed = 3;
    for (int round = 0; round < ROUNDS; round++) {
        struct sw_array x = view_make(&seed, SW_F64), y = x, *arrays[] = {&x, &y};
        if (!is_inside(&x) || sw_array_count(&x) > CELLS)
            continue;
        y.data = (char *)narrow_cells + (x.data - (char *)cells) / 2;
        y.dtype = SW_F32;
        for (unsigned d = 0; d < y.dims; d++)
            y.strides[d] /= 2;
        sw_array_straighten(arrays, 2);
        for (size_t i = 0; i < sw_array_count(&x); i++)
            assert_true(element(&x, i) == element(&y, i));
    }
}

static void transposed_and_reversed_arrays_become_vectors(void **state) {
    struct sw_array transposed = {(char *)cells, SW_F64, 3, {20, 30, 40}, {8, 40 * 20 * 8, 20 * 8}};
    struct sw_array reversed = {(char *)(cells + 99), SW_F64, 2, {10, 10}, {-80, -8}};
    struct sw_array thin = {(char *)cells, SW_F64, 3, {500, 1, 1}, {24, 8, 8}}, *arrays[] = {&transposed};
    sw_array_straighten(arrays, 1);
    assert_true(transposed.dims == 1 && transposed.shape[0] == 24000 && transposed.strides[0] == 8);
    arrays[0] = &reversed;
    sw_array_straighten(arrays, 1);
    assert_true(reversed.dims == 1 && reversed.shape[0] == 100 && reversed.data == (char *)cells);
    arrays[0] = &thin;
    sw_array_straighten(arrays, 1);
    assert_true(thin.dims == 1 && thin.shape[0] == 500 && thin.strides[0] == 24);
    struct sw_array none = {(char *)cells, SW_F64, 2, {0, 5}, {-40, 8}};
    arrays[0] = &none;
    sw_array_straighten(arrays, 1);
    assert_true(sw_array_count(&none) == 0 && none.data == (char *)cells);
}

static void contiguity(void **state) {
    static const struct {
        struct sw_array array;
        bool is_contiguous;
    } rows[] = {
        {{NULL, SW_F64, 0, {0}, {0}}, true},         {{NULL, SW_F64, 1, {10}, {8}}, true},
        {{NULL, SW_F32, 1, {10}, {8}}, false},       {{NULL, SW_F64, 1, {1}, {-77}}, true},
        {{NULL, SW_F64, 1, {0}, {3}}, true},         {{NULL, SW_F64, 2, {3, 4}, {32, 8}}, true},
        {{NULL, SW_F64, 2, {3, 4}, {8, 24}}, false}, {{NULL, SW_F64, 3, {3, 1, 4}, {32, 99, 8}}, true},
        {{NULL, SW_F64, 2, {3, 4}, {40, 8}}, false}, {{NULL, SW_F64, 2, {3, 4}, {0, 8}}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(sw_array_is_contiguous(&rows[i].array), rows[i].is_contiguous);
}

static void overlap(void **state) {
    struct sw_array head = sw_array_vector(cells, SW_F64, 10), tail = sw_array_vector(cells + 10, SW_F64, 10);
    struct sw_array reversed = {(char *)(cells + 12), SW_F64, 1, {3}, {-8}}, empty = sw_array_vector(cells, SW_F64, 0);
    struct sw_array number = {(char *)(cells + 9), SW_F64, 0, {0}, {0}};
    assert_false(sw_array_overlaps(&head, &tail));
    assert_false(sw_array_overlaps(&head, &reversed));
    assert_true(sw_array_overlaps(&tail, &reversed));
    assert_true(sw_array_overlaps(&head, &head));
    assert_false(sw_array_overlaps(&head, &empty));
    assert_true(sw_array_overlaps(&number, &head));
    assert_false(sw_array_overlaps(&number, &tail));
}

static void sameness(void **state) {
    struct sw_array a = {(char *)cells, SW_F64, 2, {3, 1}, {8, 8}}, b = a;
    b.strides[1] = 999; /* of an axis of one element */
    assert_true(sw_array_is_same(&a, &b));
    b.shape[0] = 4;
    assert_false(sw_array_is_same(&a, &b));
    b = a, b.strides[0] = 16;
    assert_false(sw_array_is_same(&a, &b));
    b = a, b.dtype = SW_F32;
    assert_false(sw_array_is_same(&a, &b));
    b = a, b.data += 8;
    assert_false(sw_array_is_same(&a, &b));
    b = a, b.dims = 1;
    assert_false(sw_array_is_same(&a, &b));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_the_elements_in_c_order),
        cmocka_unit_test(contiguous_blocks_are_not_copied),
        cmocka_unit_test(straightened_arrays_have_the_same_elements),
        cmocka_unit_test(partners_stay_together),
        cmocka_unit_test(transposed_and_reversed_arrays_become_vectors),
        cmocka_unit_test(contiguity),
        cmocka_unit_test(overlap),
        cmocka_unit_test(sameness),
    };
    cells_fill(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
