/* pool_memory.c - sidewinder._pool.Segment, a pool's shared memory, and Slab, a buffer over a block that was received. */
#include "bind/pool.h"

struct slab_object {
    PyObject_HEAD
    struct segment_object *segment;
    unsigned arena;
    unsigned forks; /* a copy in a forked child is not the holder */
    uint32_t number;
    uint64_t size;
};

PyObject *pool_slab_new(const struct pool_codec *codec, uint32_t number, uint64_t size) {
    PyTypeObject *type = codec->state->slab_type;
    struct slab_object *self = (struct slab_object *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->segment = (struct segment_object *)Py_NewRef((PyObject *)codec->segment);
    self->arena = codec->in;
    self->forks = pool_fork_count();
    self->number = number;
    self->size = size;
    return (PyObject *)self;
}

static void slab_dealloc(PyObject *object) {
    struct slab_object *self = (struct slab_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->segment && self->forks == pool_fork_count())
        sw_slab_return(sw_segment_slabs(&self->segment->segment, self->arena), self->number);
    Py_XDECREF((PyObject *)self->segment);
    type->tp_free(object);
    Py_DECREF(type);
}

static int slab_getbuffer(PyObject *object, Py_buffer *view, int flags) {
    struct slab_object *self = (struct slab_object *)object;
    const struct sw_segment *segment = &self->segment->segment;
    unsigned char *data = sw_slab_data(sw_segment_slabs(segment, self->arena), sw_segment_arena(segment, self->arena),
                                       self->number, self->size);
    if (data)
        return PyBuffer_FillInfo(view, object, data, (Py_ssize_t)self->size, 0, flags);
    PyErr_SetString(PyExc_BufferError, "the block is gone");
    return -1;
}

static PyType_Slot slab_slots[] = {
    {Py_tp_dealloc, (void *)slab_dealloc},
    {Py_bf_getbuffer, (void *)slab_getbuffer},
    {0, NULL},
};

PyType_Spec pool_slab_spec = {
    .name = "sidewinder._pool.Slab",
    .basicsize = sizeof(struct slab_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slab_slots,
};

static PyObject *segment_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"workers", "fd", NULL};
    unsigned workers = 0;
    int fd = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|I$i:Segment", (char **)(uintptr_t)names, &workers, &fd))
        return NULL;
    struct sw_segment segment;
    struct sw_error err;
    enum sw_status status =
        fd >= 0 ? sw_segment_attach(fd, &segment, &err) : sw_segment_create(workers, &segment, &err);
    if (status != SW_OK)
        return pool_raise(&err);
    struct segment_object *self = (struct segment_object *)type->tp_alloc(type, 0);
    if (self)
        self->segment = segment;
    else
        sw_segment_release(&segment);
    return (PyObject *)self;
}

static void segment_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    sw_segment_release(&((struct segment_object *)object)->segment);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *segment_fd(PyObject *self, void *unused) {
    return PyLong_FromLong(((struct segment_object *)self)->segment.fd);
}

static PyObject *segment_workers(PyObject *self, void *unused) {
    return PyLong_FromUnsignedLong(((struct segment_object *)self)->segment.workers);
}

static PyGetSetDef segment_getset[] = {
    {"fd", segment_fd, NULL, "The descriptor of the memory.", NULL},
    {"workers", segment_workers, NULL, "How many workers it has room for.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const char segment_doc[] =
    "Segment(workers=0, *, fd=-1)\n--\n\n"
    "The shared memory of a pool: made for `workers`, or mapped from `fd`, which it takes.";

static PyType_Slot segment_slots[] = {
    {Py_tp_doc, (void *)segment_doc},
    {Py_tp_new, (void *)segment_new},
    {Py_tp_dealloc, (void *)segment_dealloc},
    {Py_tp_getset, (void *)segment_getset},
    {0, NULL},
};

PyType_Spec pool_segment_spec = {
    .name = "sidewinder._pool.Segment",
    .basicsize = sizeof(struct segment_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = segment_slots,
};
