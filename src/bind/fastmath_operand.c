/* fastmath_operand.c - Arguments as arrays for the kernels, without a copy where they are float64 or float32. */
#include "bind/fastmath.h"

static bool take_array(struct sw_fastmath *state, const struct sw_bind_array *array, struct sw_operand *operand) {
    if (array->kind <= SW_KIND_F32) {
        operand->array = &array->array;
        return true;
    }
    struct sw_bind_source source = sw_bind_array_source(array);
    struct sw_bind_array *converted = sw_bind_array_convert(state->array_type, SW_KIND_F64, &source);
    if (converted)
        operand->array = &converted->array;
    operand->held = (PyObject *)converted;
    return converted != NULL;
}

static bool take_number(PyObject *number, struct sw_operand *operand) {
    double value = PyFloat_AsDouble(number);
    if (value == -1.0 && PyErr_Occurred())
        return false;
    operand->number.f64 = value;
    operand->own.data = (char *)&operand->number;
    operand->own.dtype = SW_F64;
    operand->own.dims = 0;
    operand->array = &operand->own;
    operand->is_number = true;
    return true;
}

/* Lists, iterables, and what has __array__. */
static bool take_items(struct sw_fastmath *state, PyObject *object, struct sw_operand *operand) {
    struct sw_bind_array *array = sw_bind_array_from(state->array_type, object, NULL);
    if (!array)
        return false;
    operand->held = (PyObject *)array;
    operand->array = &array->array;
    if (array->kind <= SW_KIND_F32)
        return true;
    bool is_ok = take_array(state, array, operand);
    Py_DECREF(array);
    return is_ok;
}

/* Keeps `object`, which it takes, unless another thread was faster. */
static void set_once(PyObject **place, PyObject *object) {
    PyObject *expected = NULL;
    if (!__atomic_compare_exchange_n(place, &expected, object, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        Py_DECREF(object);
}

static bool find_dtypes(struct sw_fastmath *state, PyObject *numpy) {
    for (enum sw_bind_kind kind = SW_KIND_F64; kind <= SW_KIND_U32; kind++) {
        PyObject *dtype = PyObject_CallMethod(numpy, "dtype", "s", sw_bind_kind_name(kind));
        if (!dtype)
            return false;
        set_once(&state->dtypes[kind], dtype);
    }
    return true;
}

/* numpy.ndarray if the program has imported NumPy. We never import it. */
static PyObject *find_ndarray(struct sw_fastmath *state) {
    PyObject *known = __atomic_load_n(&state->ndarray, __ATOMIC_ACQUIRE);
    if (known)
        return known;
    PyObject *numpy = PyImport_GetModule(state->numpy_word); /* NULL without an exception where it is not loaded */
    PyObject *ndarray = numpy ? PyObject_GetAttrString(numpy, "ndarray") : NULL;
    PyObject *empty = ndarray ? PyObject_GetAttrString(numpy, "empty") : NULL;
    if (empty && PyType_Check(ndarray) && find_dtypes(state, numpy)) {
        set_once(&state->empty, Py_NewRef(empty));
        set_once(&state->ndarray, Py_NewRef(ndarray)); /* last: it says that the others are there */
    }
    PyErr_Clear(); /* it is still being imported */
    Py_XDECREF(numpy);
    Py_XDECREF(ndarray);
    Py_XDECREF(empty);
    return __atomic_load_n(&state->ndarray, __ATOMIC_ACQUIRE);
}

static bool is_float(const char *format, enum sw_dtype *dtype) {
    if (!format || !format[0] || format[1])
        return false;
    *dtype = format[0] == 'f' ? SW_F32 : SW_F64;
    return format[0] == 'd' || format[0] == 'f';
}

/* The buffer's shape and strides. False where a dimension too many or an element out of line asks for a copy. */
static bool show_buffer(const Py_buffer *view, enum sw_dtype dtype, struct sw_array *array) {
    if (view->ndim > SW_ARRAY_DIMS)
        return false;
    size_t bits = (size_t)view->buf;
    array->data = view->buf;
    array->dtype = dtype;
    array->dims = (unsigned)view->ndim;
    for (int d = 0; d < view->ndim; d++) {
        array->shape[d] = (size_t)view->shape[d];
        array->strides[d] = view->strides[d];
        bits |= (size_t)view->strides[d];
    }
    return (bits & (sw_dtype_size(dtype) - 1)) == 0;
}

/* The same where the format has a prefix, or where there are no strides: what ctypes gives. Apart, for it is rare. */
static __attribute__((noinline)) bool show_rare_buffer(const Py_buffer *view, struct sw_array *array) {
    enum sw_dtype dtype;
    if (!view->format || !is_float(sw_bind_format_skip(view->format), &dtype) || view->ndim > SW_ARRAY_DIMS)
        return false;
    if (view->strides)
        return show_buffer(view, dtype, array);
    sw_bind_buffer_show(view, array);
    array->dtype = dtype;
    return ((size_t)view->buf & (sw_dtype_size(dtype) - 1)) == 0;
}

static bool take_buffer(struct sw_fastmath *state, PyObject *object, struct sw_operand *operand) {
    if (PyObject_GetBuffer(object, &operand->view, PyBUF_RECORDS_RO) != 0) {
        operand->view.obj = NULL;
        return false;
    }
    operand->is_numpy = sw_operand_is_numpy(state, object);
    enum sw_dtype dtype;
    bool is_plain = is_float(operand->view.format, &dtype) && (operand->view.strides || operand->view.ndim == 0);
    if (is_plain ? show_buffer(&operand->view, dtype, &operand->own)
                 : show_rare_buffer(&operand->view, &operand->own)) {
        operand->array = &operand->own;
        return true;
    }
    struct sw_bind_source source;
    struct sw_bind_array *array = NULL;
    if (sw_bind_source_open(&operand->view, &source))
        array = sw_bind_array_convert(state->array_type,
                                      sw_bind_source_is(&source, SW_KIND_F32) ? SW_KIND_F32 : SW_KIND_F64, &source);
    PyBuffer_Release(&operand->view);
    operand->view.obj = NULL;
    operand->held = (PyObject *)array;
    if (array)
        operand->array = &array->array;
    return array != NULL;
}

/* A number that has a buffer, as NumPy's scalars have. */
static bool is_scalar(PyObject *object, const struct sw_operand *operand) {
    const PyNumberMethods *number = Py_TYPE(object)->tp_as_number;
    return operand->array->dims == 0 && !operand->is_numpy && number && number->nb_float;
}

static bool become_number(PyObject *object, struct sw_operand *operand) {
    sw_operand_release(operand);
    operand->view.obj = NULL;
    operand->held = NULL;
    return take_number(object, operand);
}

static bool widen(struct sw_fastmath *state, struct sw_operand *operand) {
    static const char format[] = "f";
    Py_buffer view = {.buf = operand->array->data, .format = (char *)(uintptr_t)format, .itemsize = sizeof(float)};
    struct sw_bind_source source;
    if (!sw_bind_source_open(&view, &source))
        return false;
    source.array = *operand->array;
    struct sw_bind_array *wide = sw_bind_array_convert(state->array_type, SW_KIND_F64, &source);
    if (!wide)
        return false;
    bool was_numpy = operand->is_numpy;
    sw_operand_release(operand);
    operand->view.obj = NULL;
    operand->held = (PyObject *)wide;
    operand->array = &wide->array;
    operand->is_numpy = was_numpy;
    return true;
}

bool sw_operand_is_numpy(struct sw_fastmath *state, PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    if ((PyObject *)type == __atomic_load_n(&state->ndarray, __ATOMIC_ACQUIRE))
        return true;
    if (PyMemoryView_Check(object) || PyBytes_Check(object) || PyByteArray_Check(object))
        return false;
    PyObject *ndarray = find_ndarray(state);
    return ndarray && PyObject_TypeCheck(object, (PyTypeObject *)ndarray);
}

bool sw_operand_take(struct sw_fastmath *state, PyObject *object, struct sw_operand *operand) {
    operand->view.obj = NULL;
    operand->held = NULL;
    operand->is_number = false;
    operand->is_numpy = false;
    if (Py_TYPE(object) == state->array_type)
        return take_array(state, (const struct sw_bind_array *)object, operand);
    if (PyFloat_Check(object) || PyLong_Check(object))
        return take_number(object, operand);
    if (PyObject_CheckBuffer(object))
        return take_buffer(state, object, operand) && (!is_scalar(object, operand) || become_number(object, operand));
    return take_items(state, object, operand);
}

void sw_operand_release(struct sw_operand *operand) {
    if (operand->view.obj)
        PyBuffer_Release(&operand->view);
    Py_XDECREF(operand->held);
}

void sw_operand_release_all(struct sw_operand *operands, size_t count) {
    for (size_t i = 0; i < count; i++)
        sw_operand_release(&operands[i]);
}

bool sw_operand_unify(struct sw_fastmath *state, struct sw_operand *a, struct sw_operand *b) {
    if (a->array->dtype == b->array->dtype)
        return true;
    return widen(state, a->array->dtype == SW_F32 ? a : b);
}

bool sw_operand_take_pair(struct sw_fastmath *state, PyObject *const *objects, struct sw_operand *pair) {
    if (!sw_operand_take(state, objects[0], &pair[0]))
        return false;
    if (sw_operand_take(state, objects[1], &pair[1]))
        return true;
    sw_operand_release(&pair[0]);
    return false;
}
