/* array_shape.c - Kinds by name, shapes as text, and elements moved between shapes. */
#include <stdio.h>
#include <string.h>

#include "bind/array.h"

static const struct {
    const char *name, *format;
} kinds[] = {
    [SW_KIND_F64] = {"float64", "d"},
    [SW_KIND_F32] = {"float32", "f"},
    [SW_KIND_I64] = {"int64", sizeof(long) == 8 ? "l" : "q"},
    [SW_KIND_U32] = {"uint32", "I"},
};

struct copying {
    const struct sw_array *from, *to;
    size_t item_bytes;
};

static void copy_row(const struct copying *c, const char *source, char *target) {
    unsigned last = c->from->dims - 1;
    ptrdiff_t from = c->from->strides[last], to = c->to->strides[last];
    for (size_t i = 0; i < c->from->shape[last]; i++, source += from, target += to) {
        if (c->item_bytes == 8)
            memcpy(target, source, 8);
        else
            memcpy(target, source, 4);
    }
}

static void copy_part(const struct copying *c, unsigned depth, const char *source, char *target) {
    if (depth + 1 == c->from->dims) {
        copy_row(c, source, target);
        return;
    }
    for (size_t i = 0; i < c->from->shape[depth]; i++) {
        copy_part(c, depth + 1, source, target);
        source += c->from->strides[depth];
        target += c->to->strides[depth];
    }
}

const char *sw_bind_kind_name(enum sw_bind_kind kind) {
    return kinds[kind].name;
}

const char *sw_bind_kind_format(enum sw_bind_kind kind) {
    return kinds[kind].format;
}

bool sw_bind_kind_parse(PyObject *name, enum sw_bind_kind *kind) {
    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "dtype must be a str such as 'float64', not %.100s", Py_TYPE(name)->tp_name);
        return false;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (PyUnicode_CompareWithASCIIString(name, kinds[i].name) == 0) {
            *kind = (enum sw_bind_kind)i;
            return true;
        }
    }
    PyErr_Format(PyExc_ValueError, "dtype must be 'float64', 'float32', 'int64' or 'uint32', not %R", name);
    return false;
}

struct sw_bind_shape_text sw_bind_shape_text(const struct sw_array *array) {
    struct sw_bind_shape_text shape = {"("};
    size_t len = 1, room = sizeof shape.text;
    for (unsigned d = 0; d < array->dims; d++)
        len += (size_t)snprintf(shape.text + len, room - len, "%s%zu", d ? ", " : "", array->shape[d]);
    snprintf(shape.text + len, room - len, "%s)", array->dims == 1 ? "," : "");
    return shape;
}

bool sw_bind_shape_is(const struct sw_array *array, unsigned dims, const size_t *shape) {
    return array->dims == dims && (dims == 0 || memcmp(array->shape, shape, dims * sizeof *shape) == 0);
}

bool sw_bind_broadcast(const struct sw_array *from, const struct sw_array *like, struct sw_array *result) {
    if (from->dims > like->dims)
        return false;
    result->data = from->data;
    result->dtype = from->dtype;
    result->dims = like->dims;
    unsigned added = like->dims - from->dims;
    for (unsigned d = 0; d < like->dims; d++) {
        size_t size = d < added ? 1 : from->shape[d - added];
        result->shape[d] = like->shape[d];
        result->strides[d] = d < added || size == 1 ? 0 : from->strides[d - added];
        if (size != 1 && size != like->shape[d])
            return false;
        if (size == like->shape[d] && d >= added)
            result->strides[d] = from->strides[d - added];
    }
    return true;
}

void sw_bind_array_copy(const struct sw_array *from, const struct sw_array *to) {
    const struct copying c = {.from = from, .to = to, .item_bytes = sw_dtype_size(from->dtype)};
    size_t count = sw_array_count(from);
    if (count == 0)
        return;
    PyThreadState *detached = count > SW_BIND_LONG_COUNT ? PyEval_SaveThread() : NULL;
    if (from->dims == 0)
        memcpy(to->data, from->data, c.item_bytes);
    else if (sw_array_is_contiguous(from) && sw_array_is_contiguous(to))
        memcpy(to->data, from->data, count * c.item_bytes);
    else
        copy_part(&c, 0, from->data, to->data);
    if (detached)
        PyEval_RestoreThread(detached);
}
