/* bind.c - What the binding files share: statuses as exceptions, a lock per object, buffers of float64. */
#include "bind/bind.h"

static PyObject *exception_for(enum sw_status status) {
    switch (status) {
    case SW_NOMEM:
        return PyExc_MemoryError;
    case SW_NOTFOUND:
        return PyExc_FileNotFoundError;
    case SW_EXISTS:
        return PyExc_FileExistsError;
    case SW_PERM:
        return PyExc_PermissionError;
    case SW_AGAIN:
        return PyExc_BlockingIOError;
    case SW_TIMEOUT:
        return PyExc_TimeoutError;
    case SW_INTERRUPTED:
        return PyExc_InterruptedError;
    case SW_IO:
    case SW_CLOSED:
        return PyExc_OSError;
    default:
        return PyExc_ValueError;
    }
}

bool sw_bind_check(enum sw_status status) {
    if (status == SW_OK)
        return true;
    PyErr_SetString(exception_for(status), sw_status_text(status));
    return false;
}

PyObject *sw_bind_none(enum sw_status status) {
    if (!sw_bind_check(status))
        return NULL;
    Py_RETURN_NONE;
}

void sw_bind_lock(pthread_mutex_t *mutex) {
    if (pthread_mutex_trylock(mutex) == 0)
        return;
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(mutex);
    Py_END_ALLOW_THREADS
}

void sw_bind_lock_pair(pthread_mutex_t *a, pthread_mutex_t *b) {
    sw_bind_lock(a < b ? a : b);
    if (a != b)
        sw_bind_lock(a < b ? b : a);
}

void sw_bind_unlock_pair(pthread_mutex_t *a, pthread_mutex_t *b) {
    pthread_mutex_unlock(a);
    if (a != b)
        pthread_mutex_unlock(b);
}

static bool is_f64_format(const char *format) {
    /* "d" in native, "=d" and "<d" in standard layout: the same eight bytes on the machines we run on. */
    return format && (strcmp(format, "d") == 0 || strcmp(format, "=d") == 0 || strcmp(format, "<d") == 0);
}

int sw_bind_f64_buffer(PyObject *object, Py_buffer *view) {
    if (!PyObject_CheckBuffer(object))
        return 0;
    if (PyObject_GetBuffer(object, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) != 0)
        return -1;
    if (is_f64_format(view->format) && view->itemsize == sizeof(double))
        return 1;
    PyErr_Format(PyExc_TypeError, "a buffer must hold float64 (format 'd'), not '%s'",
                 view->format ? view->format : "B");
    PyBuffer_Release(view);
    return -1;
}

bool sw_bind_each(PyObject *self, PyObject *iterable, sw_bind_visit visit) {
    if (PyUnicode_Check(iterable)) {
        PyErr_SetString(PyExc_TypeError, "update() takes an iterable of items, not a str; use add() for one item");
        return false;
    }
    PyObject *iterator = PyObject_GetIter(iterable);
    if (!iterator)
        return false;
    bool is_ok = true;
    PyObject *item;
    while (is_ok && (item = PyIter_Next(iterator))) {
        is_ok = visit(self, item);
        Py_DECREF(item);
    }
    Py_DECREF(iterator);
    return is_ok && !PyErr_Occurred();
}
