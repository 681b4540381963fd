/* array_copy.c - What others hold, as an Array: buffers of any numbers and strides, nested sequences, iterables. */
#include <string.h>

#include "bind/array.h"

#define CHUNK 256

/* How to read `count` elements of one type, `stride` bytes apart. Floats have no `integers`. */
struct sw_bind_reader {
    const char *formats; /* the letters of the struct module */
    size_t item_bytes;
    void (*numbers)(const char *at, ptrdiff_t stride, size_t count, double *to);
    void (*integers)(const char *at, ptrdiff_t stride, size_t count, int64_t *to);
    int kind; /* the kind of the same elements, or -1 */
};

#define NUMBERS(name, type) \
    static void name##_numbers(const char *at, ptrdiff_t stride, size_t count, double *to) { \
        for (size_t i = 0; i < count; i++, at += stride) { \
            type value; \
            memcpy(&value, at, sizeof value); \
            to[i] = (double)value; \
        } \
    }
#define INTEGERS(name, type) \
    NUMBERS(name, type) \
    static void name##_integers(const char *at, ptrdiff_t stride, size_t count, int64_t *to) { \
        for (size_t i = 0; i < count; i++, at += stride) { \
            type value; \
            memcpy(&value, at, sizeof value); \
            to[i] = (int64_t)value; \
        } \
    }

NUMBERS(f64, double)
NUMBERS(f32, float)
INTEGERS(i8, int8_t)
INTEGERS(i16, int16_t)
INTEGERS(i32, int32_t)
INTEGERS(i64, int64_t)
INTEGERS(u8, uint8_t)
INTEGERS(u16, uint16_t)
INTEGERS(u32, uint32_t)
NUMBERS(u64, uint64_t) /* may lie beyond int64 */

static const struct sw_bind_reader readers[] = {
    {"d", 8, f64_numbers, NULL, SW_KIND_F64},
    {"f", 4, f32_numbers, NULL, SW_KIND_F32},
    {"bhilqn", 8, i64_numbers, i64_integers, SW_KIND_I64},
    {"bhilqn", 4, i32_numbers, i32_integers, -1},
    {"bhilqn", 2, i16_numbers, i16_integers, -1},
    {"bhilqn", 1, i8_numbers, i8_integers, -1},
    {"BHILQN", 8, u64_numbers, NULL, -1},
    {"BHILQN", 4, u32_numbers, u32_integers, SW_KIND_U32},
    {"BHILQN", 2, u16_numbers, u16_integers, -1},
    {"BHILQN?", 1, u8_numbers, u8_integers, -1},
};

static const struct sw_bind_reader *find_reader(const char *format, size_t item_bytes) {
    format = sw_bind_format_skip(format);
    if (!format[0] || format[1])
        return NULL;
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++) {
        if (readers[i].item_bytes == item_bytes && strchr(readers[i].formats, format[0]))
            return &readers[i];
    }
    return NULL;
}

/* Reading a source into memory in C order. */
struct conversion {
    const struct sw_bind_source *source;
    enum sw_bind_kind kind;
    char *to;
    bool is_out_of_range;
};

static void put_numbers(struct conversion *c, const char *at, ptrdiff_t stride, size_t count) {
    if (c->kind == SW_KIND_F64) {
        c->source->reader->numbers(at, stride, count, (double *)(void *)c->to);
        c->to += count * sizeof(double);
        return;
    }
    double wide[CHUNK];
    float narrow[CHUNK];
    c->source->reader->numbers(at, stride, count, wide);
    for (size_t i = 0; i < count; i++)
        narrow[i] = (float)wide[i];
    memcpy(c->to, narrow, count * sizeof(float));
    c->to += count * sizeof(float);
}

static void put_integers(struct conversion *c, const char *at, ptrdiff_t stride, size_t count) {
    if (c->kind == SW_KIND_I64) {
        c->source->reader->integers(at, stride, count, (int64_t *)(void *)c->to);
        c->to += count * sizeof(int64_t);
        return;
    }
    int64_t wide[CHUNK];
    uint32_t narrow[CHUNK];
    c->source->reader->integers(at, stride, count, wide);
    for (size_t i = 0; i < count; i++) {
        c->is_out_of_range = c->is_out_of_range || wide[i] < 0 || wide[i] > UINT32_MAX;
        narrow[i] = (uint32_t)wide[i];
    }
    memcpy(c->to, narrow, count * sizeof(uint32_t));
    c->to += count * sizeof(uint32_t);
}

static void convert_row(struct conversion *c, const char *at, ptrdiff_t stride, size_t count) {
    bool is_float = c->kind == SW_KIND_F64 || c->kind == SW_KIND_F32;
    for (size_t done = 0; done < count; done += CHUNK) {
        size_t some = count - done < CHUNK ? count - done : CHUNK;
        (is_float ? put_numbers : put_integers)(c, at + (ptrdiff_t)done * stride, stride, some);
    }
}

static void convert(struct conversion *c, unsigned depth, const char *at) {
    const struct sw_array *from = &c->source->array;
    if (from->dims == 0)
        convert_row(c, at, 0, 1);
    else if (depth == from->dims - 1)
        convert_row(c, at, from->strides[depth], from->shape[depth]);
    else {
        for (size_t i = 0; i < from->shape[depth]; i++)
            convert(c, depth + 1, at + (ptrdiff_t)i * from->strides[depth]);
    }
}

/* Nested sequences: the shape is that of the first items, and every other item must have it too. */
static bool is_nested(PyObject *item) {
    return PyList_Check(item) || PyTuple_Check(item) ||
           (PySequence_Check(item) && !PyUnicode_Check(item) && !PyBytes_Check(item) && !PyFloat_Check(item));
}

/* A tuple, so that nobody changes it while its items are looked at. `like`: NULL, or the shape of the first items. */
static PyObject *items_of(PyObject *object, const size_t *like) {
    if (PyUnicode_Check(object) || PyDict_Check(object)) {
        PyErr_Format(PyExc_TypeError, "expected numbers, not %.100s", Py_TYPE(object)->tp_name);
        return NULL;
    }
    PyObject *items = PySequence_Tuple(object);
    if (items || !PyErr_ExceptionMatches(PyExc_TypeError) || Py_TYPE(object)->tp_iter || PySequence_Check(object))
        return items;
    const char *type = Py_TYPE(object)->tp_name;
    if (like)
        PyErr_Format(PyExc_TypeError, "expected a sequence of %zd, as the first is, not %.100s", (Py_ssize_t)*like,
                     type);
    else
        PyErr_Format(PyExc_TypeError, "expected a number, a buffer or a sequence of numbers, not %.100s", type);
    return NULL;
}

static bool find_shape(PyObject *items, struct sw_array *shape) {
    Py_INCREF(items);
    shape->dims = 0;
    for (;;) {
        shape->shape[shape->dims++] = (size_t)PyTuple_GET_SIZE(items);
        PyObject *first = PyTuple_GET_SIZE(items) > 0 ? PyTuple_GET_ITEM(items, 0) : NULL;
        if (!first || !is_nested(first))
            break;
        if (shape->dims == SW_ARRAY_DIMS) {
            Py_DECREF(items);
            PyErr_Format(PyExc_ValueError, "more than %d dimensions", SW_ARRAY_DIMS);
            return false;
        }
        PyObject *inner = items_of(first, NULL);
        Py_DECREF(items);
        if (!inner)
            return false;
        items = inner;
    }
    Py_DECREF(items);
    return true;
}

static bool fill(struct sw_bind_array *array, unsigned depth, PyObject *items, char **to) {
    const struct sw_array *a = &array->array;
    size_t count = (size_t)PyTuple_GET_SIZE(items);
    if (count != a->shape[depth]) {
        PyErr_Format(PyExc_ValueError, "sequences of different lengths: %zd items where the first has %zd",
                     (Py_ssize_t)count, (Py_ssize_t)a->shape[depth]);
        return false;
    }
    size_t item_bytes = sw_dtype_size(a->dtype);
    bool is_ok = true;
    for (size_t i = 0; is_ok && i < count; i++) {
        PyObject *item = PyTuple_GET_ITEM(items, (Py_ssize_t)i);
        if (depth + 1 == a->dims) {
            is_ok = sw_bind_item_store(array->kind, *to, item);
            *to += item_bytes;
            continue;
        }
        PyObject *inner = items_of(item, &a->shape[depth + 1]);
        is_ok = inner && fill(array, depth + 1, inner, to);
        Py_XDECREF(inner);
    }
    return is_ok;
}

static bool is_number(PyObject *object) {
    if (PyFloat_Check(object) || PyLong_Check(object))
        return true;
    const PyNumberMethods *number = Py_TYPE(object)->tp_as_number;
    return number && (number->nb_float || number->nb_index) && !PySequence_Check(object);
}

static struct sw_bind_array *from_buffer(PyTypeObject *type, PyObject *object, const enum sw_bind_kind *kind) {
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_RECORDS_RO) != 0)
        return NULL;
    struct sw_bind_source source;
    struct sw_bind_array *array = NULL;
    if (sw_bind_source_open(&view, &source))
        array = sw_bind_array_convert(type, kind ? *kind : sw_bind_source_kind(&source), &source);
    PyBuffer_Release(&view);
    return array;
}

/* What pandas and others offer: an object of NumPy's with the same values. 0 where `object` has no such method. */
static int as_numpy(PyObject *object, PyObject **array) {
    PyObject *method = PyObject_GetAttrString((PyObject *)Py_TYPE(object), "__array__");
    if (!method) {
        PyErr_Clear();
        return 0;
    }
    *array = PyObject_CallOneArg(method, object);
    Py_DECREF(method);
    return *array ? 1 : -1;
}

void sw_bind_buffer_show(const Py_buffer *view, struct sw_array *array) {
    Py_ssize_t stride = view->itemsize;
    array->data = view->buf;
    array->dims = (unsigned)view->ndim;
    for (int d = view->ndim; d-- > 0;) {
        array->shape[d] = (size_t)view->shape[d];
        array->strides[d] = view->strides ? view->strides[d] : stride;
        if (!view->strides) /* ctypes gives none, though they were asked for: its elements are in C order */
            stride *= view->shape[d];
    }
}

const char *sw_bind_format_skip(const char *format) {
    bool is_ours = *format == '@' || *format == '=' || *format == (PY_LITTLE_ENDIAN ? '<' : '>');
    return is_ours ? format + 1 : format;
}

bool sw_bind_source_open(const Py_buffer *view, struct sw_bind_source *source) {
    if (view->ndim > SW_ARRAY_DIMS) {
        PyErr_Format(PyExc_ValueError, "a buffer of %d dimensions; at most %d are supported", view->ndim,
                     SW_ARRAY_DIMS);
        return false;
    }
    const char *format = view->format ? view->format : "B";
    source->reader = find_reader(format, (size_t)view->itemsize);
    if (!source->reader) {
        PyErr_Format(PyExc_TypeError,
                     "a buffer of format '%.40s' holds no numbers we compute with; convert it to float64 or float32",
                     format);
        return false;
    }
    sw_bind_buffer_show(view, &source->array);
    source->array.dtype = source->reader->item_bytes == 4 ? SW_F32 : SW_F64;
    return true;
}

enum sw_bind_kind sw_bind_source_kind(const struct sw_bind_source *source) {
    return source->reader->kind < 0 ? SW_KIND_F64 : (enum sw_bind_kind)source->reader->kind;
}

bool sw_bind_source_is(const struct sw_bind_source *source, enum sw_bind_kind kind) {
    return source->reader->kind == (int)kind;
}

struct sw_bind_array *sw_bind_array_convert(PyTypeObject *type, enum sw_bind_kind kind,
                                            const struct sw_bind_source *source) {
    if (kind >= SW_KIND_I64 && !source->reader->integers) {
        PyErr_Format(PyExc_TypeError, "values of format '%c' do not go into %s without loss",
                     source->reader->formats[0], sw_bind_kind_name(kind));
        return NULL;
    }
    struct sw_bind_array *array = sw_bind_array_new(type, kind, source->array.dims, source->array.shape);
    size_t count = sw_array_count(&source->array);
    if (!array || count == 0)
        return array;
    struct conversion c = {.source = source, .kind = kind, .to = array->array.data};
    PyThreadState *detached = count > SW_BIND_LONG_COUNT ? PyEval_SaveThread() : NULL;
    convert(&c, 0, source->array.data);
    if (detached)
        PyEval_RestoreThread(detached);
    if (c.is_out_of_range) {
        Py_DECREF(array);
        PyErr_SetString(PyExc_OverflowError, "a value does not fit uint32");
        return NULL;
    }
    return array;
}

struct sw_bind_source sw_bind_array_source(const struct sw_bind_array *array) {
    struct sw_bind_source source = {.array = array->array, .reader = readers};
    while (source.reader->kind != (int)array->kind)
        source.reader++;
    return source;
}

struct sw_bind_array *sw_bind_array_from_items(PyTypeObject *type, enum sw_bind_kind kind, PyObject *items) {
    struct sw_bind_array *array;
    if (is_number(items)) {
        array = sw_bind_array_new(type, kind, 0, NULL);
        if (array && !sw_bind_item_store(kind, array->array.data, items))
            Py_CLEAR(array);
        return array;
    }
    PyObject *tuple = items_of(items, NULL);
    if (!tuple)
        return NULL;
    struct sw_array shape;
    array = find_shape(tuple, &shape) ? sw_bind_array_new(type, kind, shape.dims, shape.shape) : NULL;
    char *to = array ? array->array.data : NULL;
    if (array && !fill(array, 0, tuple, &to))
        Py_CLEAR(array);
    Py_DECREF(tuple);
    return array;
}

struct sw_bind_array *sw_bind_array_from(PyTypeObject *type, PyObject *object, const enum sw_bind_kind *kind) {
    if (PyObject_CheckBuffer(object) && !PyFloat_Check(object))
        return from_buffer(type, object, kind);
    PyObject *numpy = NULL;
    int is_numpy = is_number(object) || PyList_Check(object) || PyTuple_Check(object) ? 0 : as_numpy(object, &numpy);
    if (is_numpy < 0)
        return NULL;
    struct sw_bind_array *array = is_numpy && PyObject_CheckBuffer(numpy)
                                      ? from_buffer(type, numpy, kind)
                                      : sw_bind_array_from_items(type, kind ? *kind : SW_KIND_F64, object);
    Py_XDECREF(numpy);
    return array;
}
