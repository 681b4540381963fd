/* array_item.c - Elements of an Array as Python objects, one by one and as lists. */
#include <math.h>
#include <string.h>

#include "bind/array.h"

static PyObject *list_of(const struct sw_bind_array *array, unsigned depth, const char *at) {
    const struct sw_array *a = &array->array;
    if (depth == a->dims)
        return sw_bind_item_load(array->kind, at);
    PyObject *list = PyList_New((Py_ssize_t)a->shape[depth]);
    for (size_t i = 0; list && i < a->shape[depth]; i++) {
        PyObject *item = list_of(array, depth + 1, at + (ptrdiff_t)i * a->strides[depth]);
        if (item)
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        else
            Py_CLEAR(list);
    }
    return list;
}

static bool store_double(char *at, PyObject *number) {
    double value = PyFloat_AsDouble(number);
    if (value == -1.0 && PyErr_Occurred())
        return false;
    memcpy(at, &value, sizeof value);
    return true;
}

static bool store_float(char *at, PyObject *number) {
    double value = PyFloat_AsDouble(number);
    if (value == -1.0 && PyErr_Occurred())
        return false;
    float narrow = (float)value;
    memcpy(at, &narrow, sizeof narrow);
    return true;
}

static bool as_integer(PyObject *number, int64_t *value) {
    PyObject *integer = PyNumber_Index(number);
    if (!integer)
        return false;
    long long result = PyLong_AsLongLong(integer);
    Py_DECREF(integer);
    *value = result;
    return result != -1 || !PyErr_Occurred();
}

static bool store_int64(char *at, PyObject *number) {
    int64_t value;
    if (!as_integer(number, &value))
        return false;
    memcpy(at, &value, sizeof value);
    return true;
}

static bool store_uint32(char *at, PyObject *number) {
    int64_t value;
    if (!as_integer(number, &value))
        return false;
    if (value < 0 || value > UINT32_MAX) {
        PyErr_Format(PyExc_OverflowError, "%lld does not fit uint32", (long long)value);
        return false;
    }
    uint32_t narrow = (uint32_t)value;
    memcpy(at, &narrow, sizeof narrow);
    return true;
}

PyObject *sw_bind_item_load(enum sw_bind_kind kind, const char *at) {
    if (kind == SW_KIND_I64) {
        int64_t value;
        memcpy(&value, at, sizeof value);
        return PyLong_FromLongLong(value);
    }
    if (kind == SW_KIND_U32) {
        uint32_t value;
        memcpy(&value, at, sizeof value);
        return PyLong_FromUnsignedLong(value);
    }
    return PyFloat_FromDouble(sw_bind_item_number(kind, at));
}

bool sw_bind_item_store(enum sw_bind_kind kind, char *at, PyObject *number) {
    switch (kind) {
    case SW_KIND_F64:
        return store_double(at, number);
    case SW_KIND_F32:
        return store_float(at, number);
    case SW_KIND_I64:
        return store_int64(at, number);
    case SW_KIND_U32:
        return store_uint32(at, number);
    }
    return false;
}

double sw_bind_item_number(enum sw_bind_kind kind, const char *at) {
    union {
        double f64;
        float f32;
        int64_t i64;
        uint32_t u32;
    } value;
    memcpy(&value, at, kind == SW_KIND_F64 || kind == SW_KIND_I64 ? 8 : 4);
    switch (kind) {
    case SW_KIND_F64:
        return value.f64;
    case SW_KIND_F32:
        return (double)value.f32;
    case SW_KIND_I64:
        return (double)value.i64;
    case SW_KIND_U32:
        return (double)value.u32;
    }
    return NAN;
}

PyObject *sw_bind_array_tolist(const struct sw_bind_array *array) {
    return list_of(array, 0, array->array.data);
}
