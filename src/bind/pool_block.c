/* pool_block.c - sidewinder._pool.SharedBlock: a mapped file of shared memory with the shape of an array. */
#include "bind/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <structmember.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NDIM_MAX 16

struct block_object *pool_block_containing(struct pool_state *state, const void *data, uint64_t size,
                                           uint64_t *offset) {
    uintptr_t at = (uintptr_t)data;
    for (struct block_object *block = state->blocks; block; block = block->next_block) {
        uintptr_t base = (uintptr_t)block->base;
        if (at >= base && size <= block->size && at - base <= block->size - size) {
            *offset = at - base;
            return block;
        }
    }
    return NULL;
}

bool pool_block_handle(const struct block_object *block, struct block_handle *handle) {
    if (block->fd < 0)
        return false;
    *handle = (struct block_handle){
        .device = block->device, .inode = block->inode, .size = block->size, .pid = (int32_t)getpid(), .fd = block->fd};
    return true;
}

static void block_link(struct pool_state *state, struct block_object *self) {
    self->next_block = state->blocks;
    self->prev = NULL;
    if (state->blocks)
        state->blocks->prev = self;
    state->blocks = self;
}

static void block_unlink(struct pool_state *state, struct block_object *self) {
    if (self->prev)
        self->prev->next_block = self->next_block;
    else
        state->blocks = self->next_block;
    if (self->next_block)
        self->next_block->prev = self->prev;
    self->prev = self->next_block = NULL;
}

/* Maps `fd`, which becomes the object's, and checks that it has `size` bytes. */
static bool block_map(struct pool_state *state, struct block_object *self, int fd, uint64_t size) {
    struct stat stat;
    if (fstat(fd, &stat) != 0 || (uint64_t)stat.st_size < size || size == 0) {
        PyErr_Format(PyExc_ValueError, "the shared memory has %lld bytes, %llu are needed", (long long)stat.st_size,
                     (unsigned long long)size);
        return false;
    }
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        PyErr_SetFromErrno(PyExc_OSError);
        return false;
    }
    self->state = state;
    self->module = Py_NewRef(state->module);
    self->base = base;
    self->size = size;
    self->fd = fd;
    self->device = (uint64_t)stat.st_dev;
    self->inode = (uint64_t)stat.st_ino;
    block_link(state, self);
    return true;
}

/* Fills shape and C-contiguous strides. False with ValueError where they do not fit `data_size`. */
static bool block_shape(struct block_object *self, PyObject *shape) {
    Py_ssize_t ndim = PyTuple_GET_SIZE(shape);
    if (ndim > NDIM_MAX) {
        PyErr_Format(PyExc_ValueError, "an array of %zd dimensions; at most %d are possible", ndim, NDIM_MAX);
        return false;
    }
    self->ndim = (int)ndim;
    Py_ssize_t stride = self->itemsize;
    for (Py_ssize_t i = ndim - 1; i >= 0; i--) {
        Py_ssize_t extent = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, i));
        if (extent < 0 || (extent && stride > PY_SSIZE_T_MAX / extent)) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_ValueError, "an array of shape %R is not possible", shape);
            return false;
        }
        self->shape[i] = extent;
        self->strides[i] = stride;
        stride *= extent;
    }
    self->data_size = (uint64_t)stride;
    return true;
}

static PyObject *block_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static const char *const names[] = {"fd", "shape", "format", "itemsize", NULL};
    int fd;
    PyObject *shape;
    const char *format;
    Py_ssize_t itemsize;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iO!sn:SharedBlock", (char **)(uintptr_t)names, &fd, &PyTuple_Type,
                                     &shape, &format, &itemsize))
        return NULL;
    struct pool_state *state = pool_state_of(type);
    struct block_object *self = (struct block_object *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->fd = -1;
    self->itemsize = itemsize;
    snprintf(self->format, sizeof self->format, "%s", format);
    if (!state || itemsize < 1 || !block_shape(self, shape) ||
        !block_map(state, self, fd, self->data_size ? self->data_size : 1))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void block_unmap(struct block_object *self) {
    if (!self->base)
        return;
    block_unlink(self->state, self);
    munmap(self->base, self->size);
    close(self->fd);
    self->base = NULL;
    self->fd = -1;
}

static void block_dealloc(PyObject *object) {
    struct block_object *self = (struct block_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->weakrefs)
        PyObject_ClearWeakRefs(object);
    block_unmap(self);
    Py_XDECREF(self->module);
    type->tp_free(object);
    Py_DECREF(type);
}

static int block_getbuffer(PyObject *object, Py_buffer *view, int flags) {
    struct block_object *self = (struct block_object *)object;
    if (!self->base) {
        PyErr_SetString(PyExc_ValueError, "the shared array is closed");
        return -1;
    }
    *view = (Py_buffer){.buf = self->base,
                        .obj = Py_NewRef(object),
                        .len = (Py_ssize_t)self->data_size,
                        .itemsize = self->itemsize,
                        .ndim = self->ndim,
                        .format = flags & PyBUF_FORMAT ? self->format : NULL,
                        .shape = flags & PyBUF_ND ? self->shape : NULL,
                        .strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? self->strides : NULL};
    if (!(flags & PyBUF_ND))
        view->ndim = 1;
    self->exports++;
    return 0;
}

static void block_releasebuffer(PyObject *object, Py_buffer *view) {
    ((struct block_object *)object)->exports--;
}

static PyObject *block_close(PyObject *object, PyObject *unused) {
    struct block_object *self = (struct block_object *)object;
    if (self->exports) {
        PyErr_SetString(PyExc_BufferError, "views of the shared array exist; delete them first");
        return NULL;
    }
    block_unmap(self);
    Py_RETURN_NONE;
}

static PyObject *block_handle_of(PyObject *object, PyObject *unused) {
    struct block_object *self = (struct block_object *)object;
    struct block_handle handle;
    if (!pool_block_handle(self, &handle)) {
        PyErr_SetString(PyExc_ValueError, "the shared array is closed");
        return NULL;
    }
    self->state->handles++;
    return Py_BuildValue("(iiKKK)", handle.pid, handle.fd, (unsigned long long)handle.device,
                         (unsigned long long)handle.inode, (unsigned long long)handle.size);
}

static int reopen(const struct block_handle *handle) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)handle->pid, (int)handle->fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat stat;
    if (fd >= 0 && fstat(fd, &stat) == 0 && (uint64_t)stat.st_dev == handle->device &&
        (uint64_t)stat.st_ino == handle->inode)
        return fd;
    if (fd >= 0)
        close(fd);
    PyErr_Format(PyExc_FileNotFoundError,
                 "the shared array of process %d is gone, or may not be opened from here; it must live until the "
                 "other side has attached to it",
                 (int)handle->pid);
    return -1;
}

PyObject *pool_block_attach(struct pool_state *state, const struct block_handle *handle) {
    for (struct block_object *block = state->blocks; block; block = block->next_block)
        if (block->device == handle->device && block->inode == handle->inode && block->size == handle->size)
            return Py_NewRef((PyObject *)block);
    int fd = reopen(handle);
    if (fd < 0)
        return NULL;
    PyTypeObject *type = state->block_type;
    struct block_object *self = (struct block_object *)type->tp_alloc(type, 0);
    if (!self) {
        close(fd);
        return NULL;
    }
    self->fd = -1;
    self->itemsize = 1;
    self->ndim = 1;
    self->shape[0] = (Py_ssize_t)handle->size;
    self->strides[0] = 1;
    self->data_size = handle->size;
    self->format[0] = 'B';
    if (!block_map(state, self, fd, handle->size)) {
        close(fd);
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static PyObject *block_reopen(PyObject *type, PyObject *args) {
    struct block_handle handle;
    unsigned long long device;
    unsigned long long inode;
    unsigned long long size;
    if (!PyArg_ParseTuple(args, "iiKKK:reopen", &handle.pid, &handle.fd, &device, &inode, &size))
        return NULL;
    handle.device = device;
    handle.inode = inode;
    handle.size = size;
    int fd = reopen(&handle);
    return fd < 0 ? NULL : PyLong_FromLong(fd);
}

#if PY_VERSION_HEX < 0x030c0000
/* PEP 688 gives every buffer this method from 3.12 on; type checkers count on it. */
static PyObject *block_buffer(PyObject *object, PyObject *flags) {
    return PyLong_Check(flags)
               ? PyMemoryView_FromObject(object)
               : PyErr_Format(PyExc_TypeError, "flags must be an int, not %.100s", Py_TYPE(flags)->tp_name);
}
#endif

static PyObject *block_shape_get(PyObject *object, void *unused) {
    struct block_object *self = (struct block_object *)object;
    PyObject *shape = PyTuple_New(self->ndim);
    for (int i = 0; shape && i < self->ndim; i++)
        PyTuple_SET_ITEM(shape, i, PyLong_FromSsize_t(self->shape[i]));
    return shape;
}

static PyObject *block_format_get(PyObject *object, void *unused) {
    return PyUnicode_FromString(((struct block_object *)object)->format);
}

static PyObject *block_itemsize_get(PyObject *object, void *unused) {
    return PyLong_FromSsize_t(((struct block_object *)object)->itemsize);
}

static PyObject *block_nbytes_get(PyObject *object, void *unused) {
    return PyLong_FromUnsignedLongLong(((struct block_object *)object)->data_size);
}

static PyObject *block_closed_get(PyObject *object, void *unused) {
    return PyBool_FromLong(((struct block_object *)object)->base == NULL);
}

static PyGetSetDef block_getset[] = {
    {"shape", block_shape_get, NULL, "The extents, outermost first.", NULL},
    {"format", block_format_get, NULL, "The type of an item, as the struct module writes it.", NULL},
    {"itemsize", block_itemsize_get, NULL, "Bytes of an item.", NULL},
    {"nbytes", block_nbytes_get, NULL, "Bytes of the array.", NULL},
    {"closed", block_closed_get, NULL, "Whether close() was called.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef block_methods[] = {
    {"close", block_close, METH_NOARGS,
     "close($self, /)\n--\n\nUnmaps the memory. Raises BufferError while views of it exist; closing twice is fine."},
    {"handle", block_handle_of, METH_NOARGS,
     "handle($self, /)\n--\n\nWhere another process of this user finds the memory: (pid, fd, device, inode, bytes)."},
#if PY_VERSION_HEX < 0x030c0000
    {"__buffer__", block_buffer, METH_O, "__buffer__($self, flags, /)\n--\n\nA memoryview of the array."},
#endif
    {"reopen", block_reopen, METH_VARARGS | METH_STATIC,
     "reopen(pid, fd, device, inode, size, /)\n--\n\nA new descriptor of the memory that handle() described."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef block_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct block_object, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static const char block_doc[] =
    "SharedBlock(fd, shape, format, itemsize)\n--\n\n"
    "A C-contiguous array in the shared memory of `fd`, which it takes; a buffer of any number of readers and writers.";

static PyType_Slot block_slots[] = {
    {Py_tp_doc, (void *)block_doc},
    {Py_tp_new, (void *)block_new},
    {Py_tp_dealloc, (void *)block_dealloc},
    {Py_tp_methods, (void *)block_methods},
    {Py_tp_getset, (void *)block_getset},
    {Py_tp_members, (void *)block_members},
    {Py_bf_getbuffer, (void *)block_getbuffer},
    {Py_bf_releasebuffer, (void *)block_releasebuffer},
    {0, NULL},
};

PyType_Spec pool_block_spec = {
    .name = "sidewinder._pool.SharedBlock",
    .basicsize = sizeof(struct block_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = block_slots,
};
