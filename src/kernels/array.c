/* array.c - An n-dimensional array in somebody else's memory, and its elements as contiguous blocks. */
#include "kernels/array.h"

#include <stdint.h>
#include <string.h>

size_t sw_dtype_size(enum sw_dtype dtype) {
    return dtype == SW_F64 ? sizeof(double) : sizeof(float);
}

struct sw_array sw_array_vector(void *data, enum sw_dtype dtype, size_t count) {
    return (struct sw_array){
        .data = data, .dtype = dtype, .dims = 1, .shape = {count}, .strides = {(ptrdiff_t)sw_dtype_size(dtype)}};
}

size_t sw_array_count(const struct sw_array *array) {
    size_t count = 1;
    for (unsigned d = 0; d < array->dims; d++)
        count *= array->shape[d];
    return count;
}

bool sw_array_is_contiguous(const struct sw_array *array) {
    if (sw_array_count(array) <= 1)
        return true;
    ptrdiff_t stride = (ptrdiff_t)sw_dtype_size(array->dtype);
    for (unsigned d = array->dims; d-- > 0;) {
        if (array->shape[d] == 1)
            continue;
        if (array->strides[d] != stride)
            return false;
        stride *= (ptrdiff_t)array->shape[d];
    }
    return true;
}

struct extent {
    uintptr_t first, end;
};

static struct extent extent_of(const struct sw_array *array) {
    ptrdiff_t low = 0, high = (ptrdiff_t)sw_dtype_size(array->dtype);
    for (unsigned d = 0; d < array->dims; d++) {
        ptrdiff_t reach = array->strides[d] * ((ptrdiff_t)array->shape[d] - 1);
        if (reach < 0)
            low += reach;
        else
            high += reach;
    }
    return (struct extent){(uintptr_t)array->data + (uintptr_t)low, (uintptr_t)array->data + (uintptr_t)high};
}

bool sw_array_overlaps(const struct sw_array *a, const struct sw_array *b) {
    if (sw_array_count(a) == 0 || sw_array_count(b) == 0)
        return false;
    struct extent x = extent_of(a), y = extent_of(b);
    return x.first < y.end && y.first < x.end;
}

bool sw_array_is_same(const struct sw_array *a, const struct sw_array *b) {
    if (a->data != b->data || a->dtype != b->dtype || a->dims != b->dims)
        return false;
    for (unsigned d = 0; d < a->dims; d++) {
        if (a->shape[d] != b->shape[d] || (a->shape[d] > 1 && a->strides[d] != b->strides[d]))
            return false;
    }
    return true;
}

/* Whether a step along axis d is a whole row of axis d + 1, so that both are one axis. */
static bool is_one_axis(const struct sw_array *array, unsigned d) {
    return array->strides[d] == array->strides[d + 1] * (ptrdiff_t)array->shape[d + 1];
}

static void axis_drop(struct sw_array *array, unsigned axis) {
    array->dims--;
    for (unsigned d = axis; d < array->dims; d++) {
        array->shape[d] = array->shape[d + 1];
        array->strides[d] = array->strides[d + 1];
    }
}

/* Makes axes of one element, and neighbours that are one axis in all arrays, disappear. */
static void axes_merge(struct sw_array *const *arrays, size_t count) {
    for (unsigned d = arrays[0]->dims; d-- > 0;) {
        for (size_t i = 0; i < count && arrays[0]->shape[d] == 1; i++)
            axis_drop(arrays[count - 1 - i], d);
    }
    for (unsigned d = arrays[0]->dims; d-- > 1;) {
        bool is_merged = true;
        for (size_t i = 0; i < count; i++)
            is_merged = is_merged && is_one_axis(arrays[i], d - 1);
        for (size_t i = 0; i < count && is_merged; i++) {
            arrays[i]->shape[d] *= arrays[i]->shape[d - 1];
            axis_drop(arrays[i], d - 1);
        }
    }
}

static void axes_swap(struct sw_array *array, unsigned a, unsigned b) {
    size_t shape = array->shape[a];
    ptrdiff_t stride = array->strides[a];
    array->shape[a] = array->shape[b], array->strides[a] = array->strides[b];
    array->shape[b] = shape, array->strides[b] = stride;
}

void sw_array_straighten(struct sw_array *const *arrays, size_t count) {
    struct sw_array *first = arrays[0];
    if (sw_array_count(first) == 0)
        return;
    for (unsigned d = 0; d < first->dims; d++) {
        if (first->strides[d] >= 0)
            continue;
        for (size_t i = 0; i < count; i++) {
            arrays[i]->data += arrays[i]->strides[d] * ((ptrdiff_t)arrays[i]->shape[d] - 1);
            arrays[i]->strides[d] = -arrays[i]->strides[d];
        }
    }
    for (unsigned d = 1; d < first->dims; d++) {
        for (unsigned e = d; e > 0 && first->strides[e - 1] < first->strides[e]; e--) {
            for (size_t i = 0; i < count; i++)
                axes_swap(arrays[i], e - 1, e);
        }
    }
    axes_merge(arrays, count);
}

/* Where a walk in C order stands: the indices, and the element they name. */
struct cursor {
    size_t index[SW_ARRAY_DIMS];
    const char *at;
};

static struct cursor cursor_at(const struct sw_array *array, size_t element) {
    struct cursor cursor = {.at = array->data};
    for (unsigned d = array->dims; d-- > 0;) {
        cursor.index[d] = element % array->shape[d];
        element /= array->shape[d];
        cursor.at += (ptrdiff_t)cursor.index[d] * array->strides[d];
    }
    return cursor;
}

/* After a step along axis d: from its end to the start of the next row of the axes before. */
static void carry(const struct sw_array *array, struct cursor *cursor, unsigned d) {
    for (; cursor->index[d] == array->shape[d]; d--) {
        cursor->at -= (ptrdiff_t)cursor->index[d] * array->strides[d];
        cursor->index[d] = 0;
        if (d == 0)
            return;
        cursor->index[d - 1]++;
        cursor->at += array->strides[d - 1];
    }
}

/* Rows of a block, bytes from one element to the next and from one row to the next. */
struct rows {
    const char *from;
    ptrdiff_t stride, row_stride;
    size_t count, width;
};

#define SHORT_ROW 12 /* elements; of shorter rows it is the columns that are gathered */

/* Four at a time: the processor loads two numbers and stores two in a cycle. */
#define GATHER(number) \
    static void gather_row_##number(number to[], const char *from, ptrdiff_t stride, size_t count) { \
        if (stride == (ptrdiff_t)sizeof(number)) { \
            memcpy(to, from, count * sizeof(number)); \
            return; \
        } \
        size_t i = 0; \
        for (; i + 4 <= count; i += 4, from += 4 * stride) { \
            number a = *(const number *)(const void *)from, b = *(const number *)(const void *)(from + stride); \
            number c = *(const number *)(const void *)(from + 2 * stride); \
            number d = *(const number *)(const void *)(from + 3 * stride); \
            to[i] = a, to[i + 1] = b, to[i + 2] = c, to[i + 3] = d; \
        } \
        for (; i < count; i++, from += stride) \
            to[i] = *(const number *)(const void *)from; \
    } \
\
    static void gather_##number(number to[], const struct rows *rows) { \
        size_t width = rows->width; \
        for (size_t row = 0; row < rows->count && width >= SHORT_ROW; row++) \
            gather_row_##number(to + row * width, rows->from + (ptrdiff_t)row * rows->row_stride, rows->stride, \
                                width); \
        for (size_t column = 0; column < width && width < SHORT_ROW; column++) { \
            const char *from = rows->from + (ptrdiff_t)column * rows->stride; \
            for (size_t row = 0; row < rows->count; row++, from += rows->row_stride) \
                to[row * width + column] = *(const number *)(const void *)from; \
        } \
    }

GATHER(double)
GATHER(float)

/* The rows that lie at equal distances from the cursor on, or the part of one. */
static struct rows rows_at(const struct sw_array *array, const struct cursor *cursor, size_t count) {
    unsigned last = array->dims - 1;
    size_t left = array->shape[last] - cursor->index[last];
    struct rows rows = {.from = cursor->at, .stride = array->strides[last], .count = 1, .width = left};
    if (left > count)
        rows.width = count;
    if (cursor->index[last] == 0 && last > 0 && count / left > 1) {
        size_t most = array->shape[last - 1] - cursor->index[last - 1];
        rows.count = count / left < most ? count / left : most;
        rows.row_stride = array->strides[last - 1];
    }
    return rows;
}

static void gather(const struct sw_array *array, struct cursor *cursor, size_t count, char *to) {
    unsigned last = array->dims - 1;
    while (count > 0) {
        struct rows rows = rows_at(array, cursor, count);
        if (array->dtype == SW_F64)
            gather_double((double *)(void *)to, &rows);
        else
            gather_float((float *)(void *)to, &rows);
        unsigned axis = rows.count > 1 ? last - 1 : last;
        size_t steps = rows.count > 1 ? rows.count : rows.width;
        cursor->index[axis] += steps;
        cursor->at += (ptrdiff_t)steps * array->strides[axis];
        carry(array, cursor, axis);
        to += rows.count * rows.width * sw_dtype_size(array->dtype);
        count -= rows.count * rows.width;
    }
}

const void *sw_array_block(const struct sw_array *array, size_t first, size_t count, void *scratch) {
    if (count == 0)
        return scratch;
    size_t size = sw_dtype_size(array->dtype);
    if (sw_array_is_contiguous(array))
        return array->data + first * size;
    struct sw_array merged = *array, *arrays[] = {&merged};
    axes_merge(arrays, 1);
    struct cursor cursor = cursor_at(&merged, first);
    unsigned last = merged.dims - 1; /* there is one: the array is not contiguous */
    if (merged.strides[last] == (ptrdiff_t)size && merged.shape[last] - cursor.index[last] >= count)
        return cursor.at;
    gather(&merged, &cursor, count, scratch);
    return scratch;
}
