/* ddsketch.c - sidewinder.sketch.DDSketch: quantiles within 1 % of the value. */
#include "bind/sketch.h"

#include <stdbool.h>

#include "bind/bind.h"
#include "sketch/ddsketch.h"

#define CHUNK 1024

static enum sw_status add_values(struct sw_ddsketch *sketch, const double *values, size_t count) {
    int32_t indices[CHUNK];
    enum sw_status status = SW_OK;
    for (size_t at = 0; at < count && status == SW_OK; at += CHUNK) {
        size_t some = count - at < CHUNK ? count - at : CHUNK;
        sw_ddsketch_index(values + at, some, indices);
        for (size_t i = 0; i < some && status == SW_OK; i++)
            status = sw_ddsketch_add_index(sketch, indices[i], 1);
    }
    return status;
}

struct ddsketch_object {
    PyObject_HEAD
    pthread_mutex_t mutex;
    struct sw_ddsketch sketch;
};

static PyObject *ddsketch_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":DDSketch", names))
        return NULL;
    struct ddsketch_object *self = (struct ddsketch_object *)type->tp_alloc(type, 0);
    if (self)
        pthread_mutex_init(&self->mutex, NULL);
    return (PyObject *)self;
}

static void ddsketch_dealloc(PyObject *object) {
    struct ddsketch_object *self = (struct ddsketch_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    sw_ddsketch_release(&self->sketch);
    pthread_mutex_destroy(&self->mutex);
    type->tp_free(object);
    Py_DECREF(type);
}

static bool add_value(PyObject *object, PyObject *item) {
    struct ddsketch_object *self = (struct ddsketch_object *)object;
    double value = PyFloat_AsDouble(item);
    if (value == -1.0 && PyErr_Occurred())
        return false;
    sw_bind_lock(&self->mutex);
    enum sw_status status = sw_ddsketch_add(&self->sketch, value);
    pthread_mutex_unlock(&self->mutex);
    return sw_bind_check(status);
}

static PyObject *ddsketch_add(PyObject *self, PyObject *value) {
    return add_value(self, value) ? Py_NewRef(Py_None) : NULL;
}

static PyObject *ddsketch_update(PyObject *object, PyObject *values) {
    struct ddsketch_object *self = (struct ddsketch_object *)object;
    Py_buffer view;
    int is_buffer = sw_bind_f64_buffer(values, &view);
    if (is_buffer < 0)
        return NULL;
    if (is_buffer == 0)
        return sw_bind_each(object, values, add_value) ? Py_NewRef(Py_None) : NULL;
    enum sw_status status;
    sw_bind_lock(&self->mutex);
    Py_BEGIN_ALLOW_THREADS
    status = add_values(&self->sketch, view.buf, (size_t)view.len / sizeof(double));
    Py_END_ALLOW_THREADS
    pthread_mutex_unlock(&self->mutex);
    PyBuffer_Release(&view);
    return sw_bind_none(status);
}

static PyObject *ddsketch_merge(PyObject *object, PyObject *other) {
    struct ddsketch_object *self = (struct ddsketch_object *)object;
    if (Py_TYPE(other) != Py_TYPE(object))
        return PyErr_Format(PyExc_TypeError, "merge() takes a DDSketch, not %.100s", Py_TYPE(other)->tp_name);
    struct ddsketch_object *from = (struct ddsketch_object *)other;
    sw_bind_lock_pair(&self->mutex, &from->mutex);
    enum sw_status status = sw_ddsketch_merge(&self->sketch, &from->sketch);
    sw_bind_unlock_pair(&self->mutex, &from->mutex);
    return sw_bind_none(status);
}

static PyObject *ddsketch_quantile(PyObject *object, PyObject *argument) {
    struct ddsketch_object *self = (struct ddsketch_object *)object;
    double q = PyFloat_AsDouble(argument);
    if (q == -1.0 && PyErr_Occurred())
        return NULL;
    if (!(q >= 0 && q <= 1)) {
        PyErr_SetString(PyExc_ValueError, "q must lie in [0, 1]");
        return NULL;
    }
    sw_bind_lock(&self->mutex);
    double value = sw_ddsketch_quantile(&self->sketch, q);
    pthread_mutex_unlock(&self->mutex);
    return PyFloat_FromDouble(value);
}

static uint64_t count_of(PyObject *object) {
    struct ddsketch_object *self = (struct ddsketch_object *)object;
    sw_bind_lock(&self->mutex);
    uint64_t count = sw_ddsketch_count(&self->sketch);
    pthread_mutex_unlock(&self->mutex);
    return count;
}

static PyObject *ddsketch_count(PyObject *self, void *unused) {
    return PyLong_FromUnsignedLongLong(count_of(self));
}

static PyObject *ddsketch_clear(PyObject *object, PyObject *unused) {
    struct ddsketch_object *self = (struct ddsketch_object *)object;
    sw_bind_lock(&self->mutex);
    sw_ddsketch_clear(&self->sketch);
    pthread_mutex_unlock(&self->mutex);
    Py_RETURN_NONE;
}

static PyObject *ddsketch_to_bytes(PyObject *object, PyObject *unused) {
    struct ddsketch_object *self = (struct ddsketch_object *)object;
    struct sw_buf out = {0};
    sw_bind_lock(&self->mutex);
    enum sw_status status = sw_ddsketch_encode(&self->sketch, &out);
    pthread_mutex_unlock(&self->mutex);
    PyObject *bytes = sw_bind_check(status) ? PyBytes_FromStringAndSize(out.ptr, (Py_ssize_t)out.len) : NULL;
    sw_buf_release(&out);
    return bytes;
}

static PyObject *ddsketch_from_bytes(PyObject *type, PyObject *data) {
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) != 0)
        return NULL;
    PyObject *object = PyObject_CallNoArgs(type);
    if (object) {
        struct ddsketch_object *self = (struct ddsketch_object *)object;
        if (!sw_bind_check(sw_ddsketch_decode(&self->sketch, sw_str_make(view.buf, (size_t)view.len))))
            Py_CLEAR(object);
    }
    PyBuffer_Release(&view);
    return object;
}

static PyObject *ddsketch_repr(PyObject *self) {
    return PyUnicode_FromFormat("<DDSketch count=%llu>", (unsigned long long)count_of(self));
}

static PyMethodDef ddsketch_methods[] = {
    {"add", ddsketch_add, METH_O,
     "add($self, value, /)\n--\n\nAdds one number; NaN is ignored. Raises TypeError for what is not a number."},
    {"update", ddsketch_update, METH_O,
     "update($self, values, /)\n--\n\n"
     "Adds every number of an iterable, or of a C-contiguous float64 buffer of any shape (array('d'), NumPy array); for\n"
     "a buffer the GIL is released.\n\n"
     "Raises TypeError for a buffer of another type; after an error some of the values are in."},
    {"merge", ddsketch_merge, METH_O,
     "merge($self, other, /)\n--\n\n"
     "Adds what another DDSketch has seen: the result is the same as if this one had seen both streams."},
    {"quantile", ddsketch_quantile, METH_O,
     "quantile($self, q, /)\n--\n\n"
     "The value of rank floor(q * (count - 1)), within 1 %; NaN when the sketch is empty.\n\n"
     "Raises ValueError for q outside of [0, 1]."},
    {"clear", ddsketch_clear, METH_NOARGS, "clear($self, /)\n--\n\nForgets all values."},
    {"to_bytes", ddsketch_to_bytes, METH_NOARGS,
     "to_bytes($self, /)\n--\n\nThe state in a versioned form; equal multisets of values give equal bytes."},
    {"from_bytes", ddsketch_from_bytes, METH_O | METH_CLASS,
     "from_bytes($type, data, /)\n--\n\nA sketch from what to_bytes() returned. Raises ValueError for other bytes."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef ddsketch_members[] = {
    {"count", ddsketch_count, NULL, "How many values were added, NaN not counted.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const char ddsketch_doc[] =
    "DDSketch()\n--\n\n"
    "Quantiles of a stream of numbers within 1 % of the value, mergeable.\n\n"
    "Method: Masson, Rim, Lee, \"DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees\"\n"
    "(VLDB 2019), at most 2,048 buckets per sign, the smallest magnitudes collapsed first. Infinities are kept, values\n"
    "below the smallest normal double count as 0. The state depends on the multiset of values only. Safe to use from\n"
    "several threads.";

static PyType_Slot ddsketch_slots[] = {
    {Py_tp_doc, (void *)ddsketch_doc},
    {Py_tp_new, (void *)ddsketch_new},
    {Py_tp_dealloc, (void *)ddsketch_dealloc},
    {Py_tp_methods, (void *)ddsketch_methods},
    {Py_tp_getset, (void *)ddsketch_members},
    {Py_tp_repr, (void *)ddsketch_repr},
    {0, NULL},
};

PyType_Spec sw_bind_ddsketch_spec = {
    .name = "sidewinder.sketch.DDSketch",
    .basicsize = sizeof(struct ddsketch_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = ddsketch_slots,
};
