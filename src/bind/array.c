/* array.c - sidewinder.Array: its memory, its buffer, its attributes and methods. */
#include "bind/array.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

#define SMALL_BYTES 256 /* elements that lie behind the object: one allocation instead of two */
#define PAGE_BYTES 4096
#define HUGE_BYTES (2u << 20) /* of a huge page; blocks of at least two ask for them: 512 times fewer page faults */
#define KEPT_BYTES (32u << 20)
#define SHOWN_ITEMS 100 /* elements that repr() writes out */

/* Up to 32 MiB the C library learns to keep freed blocks, so that a result in a loop need not be faulted in again; beyond,
 * every block is new memory, whose pages are better huge. */
static void *alloc_block(size_t bytes) {
    bool is_new = bytes > KEPT_BYTES;
    char *block = sw_alloc_aligned(is_new ? HUGE_BYTES : 64, bytes);
#ifdef MADV_HUGEPAGE
    if (block && bytes >= 2 * HUGE_BYTES) {
        size_t before = (size_t)(-(uintptr_t)block & (PAGE_BYTES - 1));
        madvise(block + before, bytes - before, MADV_HUGEPAGE); /* a wish only */
    }
#endif
    return block;
}

/* In C order. Returns false where the bytes cannot be counted. */
static bool set_shape(struct sw_array *array, unsigned dims, const size_t *shape, size_t *bytes) {
    array->dims = dims;
    bool is_empty = false;
    size_t stride = sw_dtype_size(array->dtype);
    for (unsigned d = dims; d-- > 0;) {
        array->shape[d] = shape[d];
        array->strides[d] = (ptrdiff_t)stride;
        is_empty = is_empty || shape[d] == 0;
        if (__builtin_mul_overflow(stride, shape[d] ? shape[d] : 1, &stride) || stride > (size_t)PY_SSIZE_T_MAX)
            return false;
    }
    *bytes = is_empty ? 0 : stride;
    return true;
}

static struct sw_bind_array *alloc_object(PyTypeObject *type, size_t small_bytes) {
    struct sw_bind_array *self = PyObject_NewVar(struct sw_bind_array, type, (Py_ssize_t)small_bytes);
    if (!self)
        return NULL;
    self->owned = NULL;
    self->base = NULL;
    self->is_readonly = false;
    self->array.data = self->small;
    return self;
}

struct sw_bind_array *sw_bind_array_new(PyTypeObject *type, enum sw_bind_kind kind, unsigned dims,
                                        const size_t *shape) {
    struct sw_array array = {.dtype = kind == SW_KIND_F32 || kind == SW_KIND_U32 ? SW_F32 : SW_F64};
    size_t bytes;
    if (!set_shape(&array, dims, shape, &bytes))
        return (struct sw_bind_array *)PyErr_NoMemory();
    struct sw_bind_array *self = alloc_object(type, bytes <= SMALL_BYTES ? bytes : 0);
    if (!self)
        return NULL;
    array.data = self->small;
    if (bytes > SMALL_BYTES) {
        array.data = self->owned = alloc_block(bytes);
        if (!array.data) {
            Py_DECREF(self);
            return (struct sw_bind_array *)PyErr_NoMemory();
        }
    }
    self->array = array;
    self->kind = kind;
    return self;
}

struct sw_bind_array *sw_bind_array_view(struct sw_bind_array *base, const struct sw_array *part) {
    struct sw_bind_array *self = alloc_object(Py_TYPE(base), 0);
    if (!self)
        return NULL;
    self->array = *part;
    self->kind = base->kind;
    self->is_readonly = base->is_readonly;
    self->base = Py_NewRef(base->base ? base->base : (PyObject *)base);
    return self;
}

static struct sw_bind_array *cast(PyObject *object) {
    return (struct sw_bind_array *)object;
}

static void array_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    sw_free(cast(object)->owned);
    Py_XDECREF(cast(object)->base);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *array_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char data_name[] = "data", dtype_name[] = "dtype", *names[] = {data_name, dtype_name, NULL};
    PyObject *data, *dtype = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:Array", names, &data, &dtype))
        return NULL;
    enum sw_bind_kind kind;
    if (dtype != Py_None && !sw_bind_kind_parse(dtype, &kind))
        return NULL;
    return (PyObject *)sw_bind_array_from(type, data, dtype == Py_None ? NULL : &kind);
}

static Py_ssize_t byte_count(const struct sw_bind_array *self) {
    return (Py_ssize_t)(sw_array_count(&self->array) * sw_dtype_size(self->array.dtype));
}

static bool is_buffer_as_asked(const Py_buffer *view, int flags) {
    if ((flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS || (flags & PyBUF_STRIDES) != PyBUF_STRIDES)
        return PyBuffer_IsContiguous(view, 'C');
    if ((flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS)
        return PyBuffer_IsContiguous(view, 'F');
    return (flags & PyBUF_ANY_CONTIGUOUS) != PyBUF_ANY_CONTIGUOUS || PyBuffer_IsContiguous(view, 'A');
}

static int array_getbuffer(PyObject *object, Py_buffer *view, int flags) {
    struct sw_bind_array *self = cast(object);
    view->obj = NULL;
    if (self->is_readonly && (flags & PyBUF_WRITABLE)) {
        PyErr_SetString(PyExc_BufferError, "this Array is read-only; write to its copy()");
        return -1;
    }
    view->buf = self->array.data;
    view->len = byte_count(self);
    view->readonly = self->is_readonly;
    view->itemsize = (Py_ssize_t)sw_dtype_size(self->array.dtype);
    view->format = (char *)(uintptr_t)sw_bind_kind_format(self->kind);
    view->ndim = (int)self->array.dims;
    view->shape = (Py_ssize_t *)self->array.shape;
    view->strides = self->array.strides;
    view->suboffsets = NULL;
    view->internal = NULL;
    if (!is_buffer_as_asked(view, flags)) {
        PyErr_SetString(PyExc_BufferError, "this Array is not contiguous as asked; use its copy()");
        return -1;
    }
    if (!(flags & PyBUF_FORMAT))
        view->format = NULL;
    if (!(flags & PyBUF_ND))
        view->shape = NULL;
    if ((flags & PyBUF_STRIDES) != PyBUF_STRIDES)
        view->strides = NULL;
    view->obj = Py_NewRef(object);
    return 0;
}

static PyObject *tuple_of(const Py_ssize_t *values, unsigned count) {
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    for (unsigned i = 0; tuple && i < count; i++) {
        PyObject *value = PyLong_FromSsize_t(values[i]);
        if (value)
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, value);
        else
            Py_CLEAR(tuple);
    }
    return tuple;
}

static PyObject *get_shape(PyObject *self, void *unused) {
    return tuple_of((const Py_ssize_t *)cast(self)->array.shape, cast(self)->array.dims);
}

static PyObject *get_strides(PyObject *self, void *unused) {
    return tuple_of(cast(self)->array.strides, cast(self)->array.dims);
}

static PyObject *get_ndim(PyObject *self, void *unused) {
    return PyLong_FromUnsignedLong(cast(self)->array.dims);
}

static PyObject *get_size(PyObject *self, void *unused) {
    return PyLong_FromSize_t(sw_array_count(&cast(self)->array));
}

static PyObject *get_itemsize(PyObject *self, void *unused) {
    return PyLong_FromSize_t(sw_dtype_size(cast(self)->array.dtype));
}

static PyObject *get_nbytes(PyObject *self, void *unused) {
    return PyLong_FromSsize_t(byte_count(cast(self)));
}

static PyObject *get_dtype(PyObject *self, void *unused) {
    return PyUnicode_FromString(sw_bind_kind_name(cast(self)->kind));
}

static PyObject *get_format(PyObject *self, void *unused) {
    return PyUnicode_FromString(sw_bind_kind_format(cast(self)->kind));
}

static PyObject *get_transposed(PyObject *self, void *unused) {
    const struct sw_array *array = &cast(self)->array;
    struct sw_array part = *array;
    for (unsigned d = 0; d < array->dims; d++) {
        part.shape[d] = array->shape[array->dims - 1 - d];
        part.strides[d] = array->strides[array->dims - 1 - d];
    }
    return (PyObject *)sw_bind_array_view(cast(self), &part);
}

static PyGetSetDef array_attributes[] = {
    {"shape", get_shape, NULL, "Elements in each dimension.", NULL},
    {"strides", get_strides, NULL, "Bytes from an element to the next in each dimension.", NULL},
    {"ndim", get_ndim, NULL, "How many dimensions.", NULL},
    {"size", get_size, NULL, "How many elements.", NULL},
    {"itemsize", get_itemsize, NULL, "Bytes of an element.", NULL},
    {"nbytes", get_nbytes, NULL, "Bytes of all elements.", NULL},
    {"dtype", get_dtype, NULL, "'float64', 'float32', 'int64' or 'uint32'.", NULL},
    {"format", get_format, NULL, "The element as the struct module writes it: 'd', 'f', 'l' or 'I'.", NULL},
    {"T", get_transposed, NULL, "A view with the dimensions in reverse order.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyObject *array_tolist(PyObject *self, PyObject *unused) {
    return sw_bind_array_tolist(cast(self));
}

static struct sw_bind_array *copy_of(struct sw_bind_array *self) {
    struct sw_bind_array *copy = sw_bind_array_new(Py_TYPE(self), self->kind, self->array.dims, self->array.shape);
    if (copy)
        sw_bind_array_copy(&self->array, &copy->array);
    return copy;
}

static PyObject *array_copy(PyObject *self, PyObject *unused) {
    return (PyObject *)copy_of(cast(self));
}

/* The sizes asked for; one of them may be -1: what the others leave. */
static bool read_shape(PyObject *sizes, size_t total, struct sw_array *shape) {
    Py_ssize_t count = PyTuple_GET_SIZE(sizes), open = -1;
    size_t product = 1;
    if (count > SW_ARRAY_DIMS) {
        PyErr_Format(PyExc_ValueError, "more than %d dimensions", SW_ARRAY_DIMS);
        return false;
    }
    for (Py_ssize_t d = 0; d < count; d++) {
        Py_ssize_t size = PyNumber_AsSsize_t(PyTuple_GET_ITEM(sizes, d), PyExc_OverflowError);
        if (size == -1 && PyErr_Occurred())
            return false;
        bool is_wrong = size < -1 || (size == -1 && open >= 0);
        if (size == -1)
            open = d;
        else
            is_wrong = is_wrong || __builtin_mul_overflow(product, (size_t)size, &product);
        if (is_wrong) {
            PyErr_Format(PyExc_ValueError, "%R is no shape", sizes);
            return false;
        }
        shape->shape[d] = (size_t)size;
    }
    shape->dims = (unsigned)count;
    if (open >= 0 && product > 0 && total % product == 0) {
        shape->shape[open] = total / product;
        product = total;
    }
    if (product != total || (open >= 0 && shape->shape[open] == (size_t)-1)) {
        PyErr_Format(PyExc_ValueError, "cannot reshape an Array of %zd elements into shape %R", (Py_ssize_t)total,
                     sizes);
        return false;
    }
    return true;
}

static PyObject *array_reshape(PyObject *object, PyObject *args) {
    struct sw_bind_array *self = cast(object);
    bool is_packed = PyTuple_GET_SIZE(args) == 1 && PySequence_Check(PyTuple_GET_ITEM(args, 0));
    PyObject *sizes = is_packed ? PySequence_Tuple(PyTuple_GET_ITEM(args, 0)) : Py_NewRef(args);
    struct sw_array shape;
    bool is_ok = sizes && read_shape(sizes, sw_array_count(&self->array), &shape);
    Py_XDECREF(sizes);
    if (!is_ok)
        return NULL;
    struct sw_bind_array *from = sw_array_is_contiguous(&self->array) ? cast(Py_NewRef(object)) : copy_of(self);
    if (!from)
        return NULL;
    struct sw_array part = from->array;
    size_t bytes;
    PyObject *view = NULL;
    if (set_shape(&part, shape.dims, shape.shape, &bytes))
        view = (PyObject *)sw_bind_array_view(from, &part);
    else
        PyErr_NoMemory();
    Py_DECREF(from);
    return view;
}

/* The memory itself from protocol 5 on, so that a pickler may hand it over without a copy; else bytes. */
static PyObject *array_reduce(PyObject *object, PyObject *protocol_object) {
    long protocol = PyLong_AsLong(protocol_object);
    if (protocol == -1 && PyErr_Occurred())
        return NULL;
    struct sw_bind_array *self = cast(object);
    PyObject *module = PyType_GetModule(Py_TYPE(object));
    PyObject *restore = module ? PyObject_GetAttrString(module, "_restore") : NULL;
    struct sw_bind_array *whole = sw_array_is_contiguous(&self->array) ? cast(Py_NewRef(object)) : copy_of(self);
    PyObject *shape = get_shape(object, NULL), *buffer = NULL;
    if (whole && protocol >= 5)
        buffer = PyPickleBuffer_FromObject((PyObject *)whole);
    else if (whole)
        buffer = PyBytes_FromStringAndSize(whole->array.data, byte_count(whole));
    PyObject *result = NULL;
    if (restore && shape && buffer)
        result = Py_BuildValue("O(OOs)", restore, buffer, shape, sw_bind_kind_name(self->kind));
    Py_XDECREF(restore);
    Py_XDECREF(whole);
    Py_XDECREF(shape);
    Py_XDECREF(buffer);
    return result;
}

#if PY_VERSION_HEX < 0x030c0000
/* What later interpreters make of the buffer protocol themselves (PEP 688). */
static PyObject *array_buffer(PyObject *object, PyObject *flags) {
    Py_buffer view;
    long wanted = PyLong_AsLong(flags);
    if ((wanted == -1 && PyErr_Occurred()) || PyObject_GetBuffer(object, &view, (int)wanted) != 0)
        return NULL;
    PyBuffer_Release(&view);
    return PyMemoryView_FromObject(object);
}
#endif

static PyMethodDef array_methods[] = {
#if PY_VERSION_HEX < 0x030c0000
    {"__buffer__", array_buffer, METH_O, "__buffer__($self, flags, /)\n--\n\nThe memory as a memoryview (PEP 688)."},
#endif
    {"tolist", array_tolist, METH_NOARGS,
     "tolist($self, /)\n--\n\nThe elements as nested lists; a number for an Array of 0 dimensions."},
    {"copy", array_copy, METH_NOARGS, "copy($self, /)\n--\n\nA new Array in C order with the same elements."},
    {"reshape", array_reshape, METH_VARARGS,
     "reshape($self, /, *shape)\n--\n\n"
     "The same elements in another shape, one size of which may be -1: a view where the Array is in C order, else a copy.\n\n"
     "Raises ValueError where the counts differ."},
    {"__reduce_ex__", array_reduce, METH_O,
     "__reduce_ex__($self, protocol, /)\n--\n\nFor pickle; the memory travels out of band from protocol 5 on."},
    {NULL, NULL, 0, NULL},
};

static Py_ssize_t array_length(PyObject *self) {
    if (cast(self)->array.dims > 0)
        return (Py_ssize_t)cast(self)->array.shape[0];
    PyErr_SetString(PyExc_TypeError, "an Array of 0 dimensions has no len()");
    return -1;
}

static PyObject *array_iter(PyObject *self) {
    if (cast(self)->array.dims > 0)
        return PySeqIter_New(self);
    PyErr_SetString(PyExc_TypeError, "an Array of 0 dimensions cannot be iterated");
    return NULL;
}

static PyObject *array_repr(PyObject *self) {
    const char *dtype = sw_bind_kind_name(cast(self)->kind);
    if (sw_array_count(&cast(self)->array) > SHOWN_ITEMS)
        return PyUnicode_FromFormat("<Array of shape %s, dtype %s>", sw_bind_shape_text(&cast(self)->array).text,
                                    dtype);
    PyObject *list = sw_bind_array_tolist(cast(self));
    PyObject *text = list ? PyUnicode_FromFormat("Array(%R, dtype='%s')", list, dtype) : NULL;
    Py_XDECREF(list);
    return text;
}

struct pair {
    const struct sw_bind_array *a, *b;
};

static bool is_equal_item(const struct pair *pair, const char *x, const char *y) {
    if (pair->a->kind == SW_KIND_I64 && pair->b->kind == SW_KIND_I64)
        return memcmp(x, y, sizeof(int64_t)) == 0;
    return sw_bind_item_number(pair->a->kind, x) == sw_bind_item_number(pair->b->kind, y);
}

static bool is_equal_part(const struct pair *pair, unsigned depth, const char *x, const char *y) {
    if (depth == pair->a->array.dims)
        return is_equal_item(pair, x, y);
    for (size_t i = 0; i < pair->a->array.shape[depth]; i++) {
        if (!is_equal_part(pair, depth + 1, x, y))
            return false;
        x += pair->a->array.strides[depth];
        y += pair->b->array.strides[depth];
    }
    return true;
}

static PyObject *array_compare(PyObject *self, PyObject *other, int op) {
    if (Py_TYPE(self) != Py_TYPE(other) || (op != Py_EQ && op != Py_NE))
        Py_RETURN_NOTIMPLEMENTED;
    const struct pair pair = {cast(self), cast(other)};
    const struct sw_array *a = &pair.a->array, *b = &pair.b->array;
    bool is_equal = sw_bind_shape_is(a, b->dims, b->shape);
    if (is_equal) {
        PyThreadState *detached = sw_array_count(a) > SW_BIND_LONG_COUNT ? PyEval_SaveThread() : NULL;
        is_equal = is_equal_part(&pair, 0, a->data, b->data);
        if (detached)
            PyEval_RestoreThread(detached);
    }
    return PyBool_FromLong(is_equal == (op == Py_EQ));
}

static const char array_doc[] =
    "Array(data, dtype=None)\n--\n\n"
    "Numbers of one type in up to 8 dimensions, with the buffer protocol: numpy.asarray(array) and memoryview(array)\n"
    "share its memory.\n\n"
    "data: nested sequences of numbers, an iterable of numbers, a number, or any buffer (array.array, memoryview, NumPy);\n"
    "it is copied. dtype: 'float64', 'float32', 'int64' or 'uint32'; by default that of the buffer if it is one of them,\n"
    "else 'float64'.\n\n"
    "array[i], array[i, j], array[1:, ::2] and array[..., 0] are numbers or views; assigning to them writes in place.\n"
    "a == b compares shapes and all elements and gives one bool (a NaN equals nothing).\n\n"
    "Raises TypeError for what is no number, ValueError for rows of different lengths, OverflowError for an int that does\n"
    "not fit.";

static PyType_Slot array_slots[] = {
    {Py_tp_doc, (void *)array_doc},
    {Py_tp_new, (void *)array_new},
    {Py_tp_dealloc, (void *)array_dealloc},
    {Py_tp_methods, (void *)array_methods},
    {Py_tp_getset, (void *)array_attributes},
    {Py_tp_repr, (void *)array_repr},
    {Py_tp_iter, (void *)array_iter},
    {Py_tp_richcompare, (void *)array_compare},
    {Py_tp_hash, (void *)PyObject_HashNotImplemented},
    {Py_bf_getbuffer, (void *)array_getbuffer},
    {Py_mp_length, (void *)array_length},
    {Py_mp_subscript, (void *)sw_bind_array_get},
    {Py_mp_ass_subscript, (void *)sw_bind_array_set},
    {Py_sq_length, (void *)array_length},
    {Py_sq_item, (void *)sw_bind_array_get_at},
    {0, NULL},
};

PyType_Spec sw_bind_array_spec = {
    .name = "sidewinder.Array",
    .basicsize = sizeof(struct sw_bind_array),
    .itemsize = 1,
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = array_slots,
};
