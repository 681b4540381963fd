/* space_saving.c - sidewinder.sketch.SpaceSaving: the heaviest items of a stream. */
#include "bind/sketch.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "bind/bind.h"
#include "sketch/space_saving.h"

#define CAPACITY_MAX (1 << 24)

struct space_saving_object {
    PyObject_HEAD
    pthread_mutex_t mutex;
    struct sw_space_saving sketch;
};

/* An item with its text, safe from changes of the sketch. */
struct heavy {
    char text[SW_SPACE_SAVING_ITEM_MAX];
    size_t len;
    uint64_t count;
    uint64_t error;
};

static PyObject *space_saving_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {(char *)"capacity", NULL};
    int capacity = SW_SPACE_SAVING_CAPACITY;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|i:SpaceSaving", names, &capacity))
        return NULL;
    if (capacity < 1 || capacity > CAPACITY_MAX)
        return PyErr_Format(PyExc_ValueError, "capacity must lie in [1, %d]", CAPACITY_MAX);
    struct space_saving_object *self = (struct space_saving_object *)type->tp_alloc(type, 0);
    if (self) {
        pthread_mutex_init(&self->mutex, NULL);
        self->sketch.capacity = (uint32_t)capacity;
    }
    return (PyObject *)self;
}

static void space_saving_dealloc(PyObject *object) {
    struct space_saving_object *self = (struct space_saving_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    sw_space_saving_release(&self->sketch);
    pthread_mutex_destroy(&self->mutex);
    type->tp_free(object);
    Py_DECREF(type);
}

static bool add_weight(PyObject *object, PyObject *item, unsigned long long weight) {
    struct space_saving_object *self = (struct space_saving_object *)object;
    if (!PyUnicode_Check(item)) {
        PyErr_Format(PyExc_TypeError, "an item must be a str, not %.100s", Py_TYPE(item)->tp_name);
        return false;
    }
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(item, &len);
    if (!text)
        return false;
    sw_bind_lock(&self->mutex);
    enum sw_status status = sw_space_saving_add(&self->sketch, sw_str_make(text, (size_t)len), weight);
    pthread_mutex_unlock(&self->mutex);
    return sw_bind_check(status);
}

/* False with an exception for what is no int or negative. */
static bool weight_of(PyObject *object, unsigned long long *weight) {
    PyObject *number = PyNumber_Index(object);
    if (!number)
        return false;
    *weight = PyLong_AsUnsignedLongLong(number);
    Py_DECREF(number);
    return !(*weight == (unsigned long long)-1 && PyErr_Occurred());
}

static PyObject *space_saving_add(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {(char *)"", (char *)"weight", NULL};
    PyObject *item;
    PyObject *weight_object = NULL;
    unsigned long long weight = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:add", names, &item, &weight_object))
        return NULL;
    if (weight_object && !weight_of(weight_object, &weight))
        return NULL;
    return add_weight(self, item, weight) ? Py_NewRef(Py_None) : NULL;
}

static bool visit_item(PyObject *self, PyObject *item) {
    return add_weight(self, item, 1);
}

static bool visit_pair(PyObject *self, PyObject *pair) {
    PyObject *item;
    PyObject *weight_object;
    unsigned long long weight;
    return PyArg_ParseTuple(pair, "OO", &item, &weight_object) && weight_of(weight_object, &weight) &&
           add_weight(self, item, weight);
}

static PyObject *space_saving_update(PyObject *self, PyObject *items) {
    if (!PyDict_Check(items))
        return sw_bind_each(self, items, visit_item) ? Py_NewRef(Py_None) : NULL;
    /* A list of the pairs: what runs during the walk may change the dict. */
    PyObject *pairs = PyDict_Items(items);
    if (!pairs)
        return NULL;
    bool is_ok = sw_bind_each(self, pairs, visit_pair);
    Py_DECREF(pairs);
    return is_ok ? Py_NewRef(Py_None) : NULL;
}

static PyObject *space_saving_merge(PyObject *object, PyObject *other) {
    struct space_saving_object *self = (struct space_saving_object *)object;
    if (Py_TYPE(other) != Py_TYPE(object))
        return PyErr_Format(PyExc_TypeError, "merge() takes a SpaceSaving, not %.100s", Py_TYPE(other)->tp_name);
    struct space_saving_object *from = (struct space_saving_object *)other;
    sw_bind_lock_pair(&self->mutex, &from->mutex);
    enum sw_status status = sw_space_saving_merge(&self->sketch, &from->sketch);
    sw_bind_unlock_pair(&self->mutex, &from->mutex);
    return sw_bind_none(status);
}

/* Copies the `k` heaviest; *count says how many. NULL when out of memory. No Python code runs under the lock. */
static struct heavy *copy_top(struct space_saving_object *self, size_t k, size_t *count) {
    sw_bind_lock(&self->mutex);
    if (k > self->sketch.used)
        k = self->sketch.used;
    struct sw_space_saving_item *items = sw_alloc_array(k, sizeof(*items));
    struct heavy *copies = sw_alloc_array(k, sizeof(*copies));
    if (items && copies) {
        *count = sw_space_saving_top(&self->sketch, k, items);
        for (size_t i = 0; i < *count; i++) {
            copies[i].len = items[i].item.len;
            copies[i].count = items[i].count;
            copies[i].error = items[i].error;
            if (items[i].item.len > 0)
                memcpy(copies[i].text, items[i].item.ptr, items[i].item.len);
        }
    }
    pthread_mutex_unlock(&self->mutex);
    bool is_ok = items && copies;
    sw_free(items);
    if (!is_ok) {
        sw_free(copies);
        copies = NULL;
    }
    return copies;
}

static PyObject *heavy_item(PyTypeObject *type, const struct heavy *heavy) {
    PyObject *row = PyStructSequence_New(type);
    if (!row)
        return NULL;
    /* A long item may be cut inside of a character: "replace" shows that. */
    PyStructSequence_SetItem(row, 0, PyUnicode_DecodeUTF8(heavy->text, (Py_ssize_t)heavy->len, "replace"));
    PyStructSequence_SetItem(row, 1, PyLong_FromUnsignedLongLong(heavy->count));
    PyStructSequence_SetItem(row, 2, PyLong_FromUnsignedLongLong(heavy->error));
    if (PyErr_Occurred())
        Py_CLEAR(row);
    return row;
}

static PyObject *space_saving_top(PyObject *object, PyTypeObject *defining_class, PyObject *const *args,
                                  Py_ssize_t arg_count, PyObject *names) {
    Py_ssize_t k = 10;
    if (arg_count > 1 || (names && PyTuple_GET_SIZE(names) > 0)) {
        PyErr_SetString(PyExc_TypeError, "top() takes at most one positional argument");
        return NULL;
    }
    if (arg_count == 1 && (k = PyNumber_AsSsize_t(args[0], PyExc_OverflowError)) == -1 && PyErr_Occurred())
        return NULL;
    if (k < 0) {
        PyErr_SetString(PyExc_ValueError, "k must not be negative");
        return NULL;
    }
    struct sw_bind_sketch_state *state = PyType_GetModuleState(defining_class);
    size_t count = 0;
    struct heavy *copies = copy_top((struct space_saving_object *)object, (size_t)k, &count);
    if (!copies)
        return PyErr_NoMemory();
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *row = heavy_item(state->heavy_item, &copies[i]);
        if (row)
            PyList_SET_ITEM(list, (Py_ssize_t)i, row);
        else
            Py_CLEAR(list);
    }
    sw_free(copies);
    return list;
}

static PyObject *space_saving_clear(PyObject *object, PyObject *unused) {
    struct space_saving_object *self = (struct space_saving_object *)object;
    sw_bind_lock(&self->mutex);
    sw_space_saving_clear(&self->sketch);
    pthread_mutex_unlock(&self->mutex);
    Py_RETURN_NONE;
}

static PyObject *space_saving_total(PyObject *object, void *unused) {
    struct space_saving_object *self = (struct space_saving_object *)object;
    sw_bind_lock(&self->mutex);
    uint64_t total = self->sketch.total;
    pthread_mutex_unlock(&self->mutex);
    return PyLong_FromUnsignedLongLong(total);
}

static PyObject *space_saving_capacity(PyObject *object, void *unused) {
    return PyLong_FromUnsignedLong(((struct space_saving_object *)object)->sketch.capacity);
}

static PyMethodDef space_saving_methods[] = {
    {"add", (PyCFunction)(void (*)(void))space_saving_add, METH_VARARGS | METH_KEYWORDS,
     "add($self, item, /, weight=1)\n--\n\n"
     "Adds one str; of its UTF-8 form the first 255 bytes count.\n\n"
     "Raises TypeError for an item that is no str and OverflowError for a weight outside of [0, 2**64)."},
    {"update", space_saving_update, METH_O,
     "update($self, items, /)\n--\n\n"
     "Adds every str of an iterable, or every item of a dict (such as a collections.Counter) with its value as weight.\n\n"
     "After an error some of the items are in."},
    {"merge", space_saving_merge, METH_O,
     "merge($self, other, /)\n--\n\nAdds what another SpaceSaving has seen, and keeps this one's capacity."},
    {"top", (PyCFunction)(void (*)(void))space_saving_top, METH_METHOD | METH_FASTCALL | METH_KEYWORDS,
     "top($self, k=10, /)\n--\n\n"
     "The k heaviest items as a list of HeavyItem(item, count, error), heaviest first, ties by text.\n\n"
     "count is an upper bound of the item's weight and count - error a lower one; error is 0 as long as no more distinct\n"
     "items than the capacity were added. Raises ValueError for a negative k."},
    {"clear", space_saving_clear, METH_NOARGS, "clear($self, /)\n--\n\nForgets all items."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef space_saving_members[] = {
    {"total", space_saving_total, NULL, "The weight of everything that was added.", NULL},
    {"capacity", space_saving_capacity, NULL, "How many items are kept.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const char space_saving_doc[] =
    "SpaceSaving(capacity=100)\n--\n\n"
    "The heaviest items of a stream of strings in bounded memory, mergeable.\n\n"
    "Keeps `capacity` items (1 to 2**24, at most about 340 bytes each). Every item that weighs more than total / capacity\n"
    "is among them, and no count is off by more than that. Raises ValueError for another capacity.\n\n"
    "Method: Metwally, Agrawal, El Abbadi, \"Efficient computation of frequent and top-k elements in data streams\"\n"
    "(2005); merging after Agarwal et al., \"Mergeable summaries\" (2012). Safe to use from several threads.";

static PyType_Slot space_saving_slots[] = {
    {Py_tp_doc, (void *)space_saving_doc},         {Py_tp_new, (void *)space_saving_new},
    {Py_tp_dealloc, (void *)space_saving_dealloc}, {Py_tp_methods, (void *)space_saving_methods},
    {Py_tp_getset, (void *)space_saving_members},  {0, NULL},
};

PyType_Spec sw_bind_space_saving_spec = {
    .name = "sidewinder.sketch.SpaceSaving",
    .basicsize = sizeof(struct space_saving_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = space_saving_slots,
};
