/* hll.c - sidewinder.sketch.HyperLogLog: how many distinct items were seen. */
#include "bind/sketch.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/hash.h"
#include "bind/bind.h"
#include "engine/text_hash.h"
#include "sketch/hll.h"

#define CHUNK 1024

/* Equal numbers hash alike: both zeros, and every NaN. */
static uint64_t hash_number(double value) {
    if (value == 0)
        value = 0;
    else if (isnan(value))
        value = NAN;
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return sw_hash_u64(bits);
}

static enum sw_status add_numbers(struct sw_hll *hll, const double *values, size_t count) {
    uint64_t hashes[CHUNK];
    enum sw_status status = SW_OK;
    for (size_t at = 0; at < count && status == SW_OK; at += CHUNK) {
        size_t some = count - at < CHUNK ? count - at : CHUNK;
        for (size_t i = 0; i < some; i++)
            hashes[i] = hash_number(values[at + i]);
        status = sw_hll_add_many(hll, hashes, some);
    }
    return status;
}

struct hll_object {
    PyObject_HEAD
    pthread_mutex_t mutex;
    struct sw_hll hll;
};

static PyObject *hll_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":HyperLogLog", names))
        return NULL;
    struct hll_object *self = (struct hll_object *)type->tp_alloc(type, 0);
    if (self)
        pthread_mutex_init(&self->mutex, NULL);
    return (PyObject *)self;
}

static void hll_dealloc(PyObject *object) {
    struct hll_object *self = (struct hll_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    sw_hll_release(&self->hll);
    pthread_mutex_destroy(&self->mutex);
    type->tp_free(object);
    Py_DECREF(type);
}

static bool hash_text(PyObject *item, uint64_t *hash) {
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(item, &len);
    if (text)
        *hash = sw_text_hash(text, (size_t)len);
    return text != NULL;
}

static bool hash_bytes(PyObject *item, uint64_t *hash) {
    Py_buffer view;
    if (PyObject_GetBuffer(item, &view, PyBUF_SIMPLE) != 0)
        return false;
    *hash = sw_text_hash(view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return true;
}

static bool hash_item(PyObject *item, uint64_t *hash) {
    if (PyUnicode_Check(item))
        return hash_text(item, hash);
    if (PyBytes_Check(item) || PyByteArray_Check(item) || PyMemoryView_Check(item))
        return hash_bytes(item, hash);
    double value = PyFloat_AsDouble(item);
    if (value == -1.0 && PyErr_Occurred())
        return false;
    if (PyLong_Check(item) && fabs(value) > 9007199254740992.0) {
        PyErr_SetString(PyExc_OverflowError, "an int beyond 2**53 is not told from its neighbours; add str(item)");
        return false;
    }
    *hash = hash_number(value);
    return true;
}

static bool add_item(PyObject *object, PyObject *item) {
    struct hll_object *self = (struct hll_object *)object;
    uint64_t hash;
    if (!hash_item(item, &hash))
        return false;
    sw_bind_lock(&self->mutex);
    enum sw_status status = sw_hll_add(&self->hll, hash);
    pthread_mutex_unlock(&self->mutex);
    return sw_bind_check(status);
}

static PyObject *hll_add(PyObject *self, PyObject *item) {
    return add_item(self, item) ? Py_NewRef(Py_None) : NULL;
}

static PyObject *hll_update(PyObject *object, PyObject *items) {
    struct hll_object *self = (struct hll_object *)object;
    Py_buffer view;
    int is_buffer = sw_bind_f64_buffer(items, &view);
    if (is_buffer < 0)
        return NULL;
    if (is_buffer == 0)
        return sw_bind_each(object, items, add_item) ? Py_NewRef(Py_None) : NULL;
    enum sw_status status;
    sw_bind_lock(&self->mutex);
    Py_BEGIN_ALLOW_THREADS
    status = add_numbers(&self->hll, view.buf, (size_t)view.len / sizeof(double));
    Py_END_ALLOW_THREADS
    pthread_mutex_unlock(&self->mutex);
    PyBuffer_Release(&view);
    return sw_bind_none(status);
}

static PyObject *hll_merge(PyObject *object, PyObject *other) {
    struct hll_object *self = (struct hll_object *)object;
    if (Py_TYPE(other) != Py_TYPE(object))
        return PyErr_Format(PyExc_TypeError, "merge() takes a HyperLogLog, not %.100s", Py_TYPE(other)->tp_name);
    struct hll_object *from = (struct hll_object *)other;
    sw_bind_lock_pair(&self->mutex, &from->mutex);
    enum sw_status status = self == from ? SW_OK : sw_hll_merge(&self->hll, &from->hll);
    sw_bind_unlock_pair(&self->mutex, &from->mutex);
    return sw_bind_none(status);
}

static uint64_t estimate(PyObject *object) {
    struct hll_object *self = (struct hll_object *)object;
    sw_bind_lock(&self->mutex);
    uint64_t count = sw_hll_count(&self->hll);
    pthread_mutex_unlock(&self->mutex);
    return count;
}

static PyObject *hll_estimate(PyObject *self, PyObject *unused) {
    return PyLong_FromUnsignedLongLong(estimate(self));
}

static PyObject *hll_clear(PyObject *object, PyObject *unused) {
    struct hll_object *self = (struct hll_object *)object;
    sw_bind_lock(&self->mutex);
    sw_hll_clear(&self->hll);
    pthread_mutex_unlock(&self->mutex);
    Py_RETURN_NONE;
}

static PyObject *hll_to_bytes(PyObject *object, PyObject *unused) {
    struct hll_object *self = (struct hll_object *)object;
    struct sw_buf out = {0};
    sw_bind_lock(&self->mutex);
    enum sw_status status = sw_hll_encode(&self->hll, &out);
    pthread_mutex_unlock(&self->mutex);
    PyObject *bytes = sw_bind_check(status) ? PyBytes_FromStringAndSize(out.ptr, (Py_ssize_t)out.len) : NULL;
    sw_buf_release(&out);
    return bytes;
}

static PyObject *hll_from_bytes(PyObject *type, PyObject *data) {
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) != 0)
        return NULL;
    PyObject *object = PyObject_CallNoArgs(type);
    if (object) {
        struct hll_object *self = (struct hll_object *)object;
        if (!sw_bind_check(sw_hll_decode(&self->hll, sw_str_make(view.buf, (size_t)view.len))))
            Py_CLEAR(object);
    }
    PyBuffer_Release(&view);
    return object;
}

static PyObject *hll_repr(PyObject *self) {
    return PyUnicode_FromFormat("<HyperLogLog estimate=%llu>", (unsigned long long)estimate(self));
}

static PyMethodDef hll_methods[] = {
    {"add", hll_add, METH_O,
     "add($self, item, /)\n--\n\n"
     "Adds one item: a str (taken as its UTF-8 bytes), bytes, or a number (taken as a float, so 1 and 1.0 are one item).\n\n"
     "Raises TypeError for anything else and OverflowError for an int beyond 2**53."},
    {"update", hll_update, METH_O,
     "update($self, items, /)\n--\n\n"
     "Adds every item of an iterable, or every value of a C-contiguous float64 buffer of any shape (array('d'), NumPy\n"
     "array); for a buffer the GIL is released.\n\n"
     "Raises TypeError for a buffer of another type; after an error some of the items are in."},
    {"merge", hll_merge, METH_O,
     "merge($self, other, /)\n--\n\n"
     "Adds what another HyperLogLog has seen: the result is the same as if this one had seen both streams."},
    {"estimate", hll_estimate, METH_NOARGS,
     "estimate($self, /)\n--\n\n"
     "How many distinct items were added: exact up to about 3000, then with a standard error of 0.81 %."},
    {"clear", hll_clear, METH_NOARGS, "clear($self, /)\n--\n\nForgets all items."},
    {"to_bytes", hll_to_bytes, METH_NOARGS,
     "to_bytes($self, /)\n--\n\nThe state in a versioned form; equal sets of items give equal bytes."},
    {"from_bytes", hll_from_bytes, METH_O | METH_CLASS,
     "from_bytes($type, data, /)\n--\n\nA sketch from what to_bytes() returned. Raises ValueError for other bytes."},
    {NULL, NULL, 0, NULL},
};

static const char hll_doc[] =
    "HyperLogLog()\n--\n\n"
    "How many distinct items a stream has, in at most 16 KiB, mergeable.\n\n"
    "Method: Flajolet, Fusy, Gandouet, Meunier, \"HyperLogLog\" (2007), 16,384 registers, with the estimator of Ertl,\n"
    "\"New cardinality estimation algorithms for HyperLogLog sketches\" (2017). The state depends on the set of items\n"
    "only, not on their order. Safe to use from several threads.";

static PyType_Slot hll_slots[] = {
    {Py_tp_doc, (void *)hll_doc},         {Py_tp_new, (void *)hll_new},   {Py_tp_dealloc, (void *)hll_dealloc},
    {Py_tp_methods, (void *)hll_methods}, {Py_tp_repr, (void *)hll_repr}, {0, NULL},
};

PyType_Spec sw_bind_hll_spec = {
    .name = "sidewinder.sketch.HyperLogLog",
    .basicsize = sizeof(struct hll_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = hll_slots,
};
