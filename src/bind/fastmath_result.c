/* fastmath_result.c - Where results go: a new Array, a new NumPy array, or what the caller gave as out. */
#include "bind/fastmath.h"

#include <string.h>

static PyObject *new_numpy(const struct sw_fastmath *state, const struct sw_result_shape *shape) {
    PyObject *sizes = shape->dims == 1 ? PyLong_FromSize_t(shape->shape[0]) : PyTuple_New((Py_ssize_t)shape->dims);
    for (unsigned d = 0; sizes && shape->dims != 1 && d < shape->dims; d++) {
        PyObject *size = PyLong_FromSize_t(shape->shape[d]);
        if (size)
            PyTuple_SET_ITEM(sizes, (Py_ssize_t)d, size);
        else
            Py_CLEAR(sizes);
    }
    if (!sizes)
        return NULL;
    PyObject *args[] = {NULL, sizes, state->dtypes[shape->kind]};
    PyObject *array = PyObject_Vectorcall(state->empty, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(sizes);
    return array;
}

static bool refuse_out(const struct sw_array *out, const char *kind, const struct sw_result_shape *shape) {
    struct sw_array wanted = {.dims = shape->dims};
    if (shape->dims > 0)
        memcpy(wanted.shape, shape->shape, shape->dims * sizeof *shape->shape);
    PyErr_Format(PyExc_ValueError, "out has shape %s and dtype %s; the result has shape %s and dtype %s",
                 sw_bind_shape_text(out).text, kind, sw_bind_shape_text(&wanted).text, sw_bind_kind_name(shape->kind));
    return false;
}

static bool is_kind_as_asked(enum sw_bind_kind kind, const struct sw_result_shape *shape) {
    return kind == shape->kind || (shape->is_any_float && kind <= SW_KIND_F32);
}

static bool open_array(struct sw_bind_array *array, const struct sw_result_shape *shape, struct sw_result *result) {
    if (!is_kind_as_asked(array->kind, shape) || !sw_bind_shape_is(&array->array, shape->dims, shape->shape))
        return refuse_out(&array->array, sw_bind_kind_name(array->kind), shape);
    if (array->is_readonly) {
        PyErr_SetString(PyExc_ValueError, "out is read-only");
        return false;
    }
    result->array = &array->array;
    return true;
}

static bool open_buffer(PyObject *object, const struct sw_result_shape *shape, struct sw_result *result) {
    if (!PyObject_CheckBuffer(object)) {
        PyErr_Format(PyExc_TypeError, "out must be a writable buffer (Array, array.array, NumPy array), not %.100s",
                     Py_TYPE(object)->tp_name);
        return false;
    }
    if (PyObject_GetBuffer(object, &result->view, PyBUF_RECORDS) != 0) {
        result->view.obj = NULL;
        return false;
    }
    struct sw_bind_source source;
    if (!sw_bind_source_open(&result->view, &source))
        return false;
    enum sw_bind_kind kind = sw_bind_source_kind(&source);
    if (!sw_bind_source_is(&source, kind) || !is_kind_as_asked(kind, shape) ||
        !sw_bind_shape_is(&source.array, shape->dims, shape->shape))
        return refuse_out(&source.array, result->view.format ? result->view.format : "B", shape);
    if ((size_t)result->view.buf % sw_dtype_size(source.array.dtype) != 0) {
        PyErr_SetString(PyExc_ValueError, "out is not aligned to its elements");
        return false;
    }
    result->own = source.array;
    result->array = &result->own;
    return true;
}

bool sw_result_open(struct sw_fastmath *state, PyObject *out, const struct sw_result_shape *shape,
                    struct sw_result *result) {
    result->view.obj = NULL;
    if (!out && !shape->is_numpy) {
        struct sw_bind_array *array = sw_bind_array_new(state->array_type, shape->kind, shape->dims, shape->shape);
        if (!array)
            return false;
        result->object = (PyObject *)array;
        result->array = &array->array;
        return true;
    }
    result->object = out ? Py_NewRef(out) : new_numpy(state, shape);
    if (!result->object)
        return false;
    bool is_ok = Py_TYPE(result->object) == state->array_type
                     ? open_array((struct sw_bind_array *)result->object, shape, result)
                     : open_buffer(result->object, shape, result);
    if (is_ok && !sw_array_is_contiguous(result->array)) {
        PyErr_SetString(PyExc_ValueError, "out must be contiguous in C order");
        is_ok = false;
    }
    if (!is_ok)
        sw_result_close(result, false);
    return is_ok;
}

PyObject *sw_result_close(struct sw_result *result, bool is_ok) {
    if (result->view.obj)
        PyBuffer_Release(&result->view);
    if (is_ok)
        return result->object;
    Py_DECREF(result->object);
    return NULL;
}

bool sw_result_is_apart(const struct sw_result *out, const struct sw_array *operand, const char *name, bool in_place) {
    if (!sw_array_overlaps(out->array, operand) || (in_place && sw_array_is_same(out->array, operand)))
        return true;
    PyErr_Format(PyExc_ValueError, "out overlaps %s; give a separate out, or a copy of %s", name, name);
    return false;
}
