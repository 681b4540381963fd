/* bind.h - What the binding files share: statuses as exceptions, a lock per object, buffers of float64.
 *
 * All of it is called with the interpreter attached (the GIL held).
 */
#ifndef SW_BIND_BIND_H
#define SW_BIND_BIND_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <pthread.h>
#include <stdbool.h>

#include "base/status.h"

/* Sets the exception that fits `status` and returns false; true for SW_OK. */
bool sw_bind_check(enum sw_status status);
/* None for SW_OK, else NULL with the exception set. */
PyObject *sw_bind_none(enum sw_status status);

/* Locks the native state of an object. Waiting detaches from the interpreter; whoever holds the lock runs no Python code
 * but may have detached, to compute. */
void sw_bind_lock(pthread_mutex_t *mutex);
/* Both, in an order that cannot deadlock; they may be the same. */
void sw_bind_lock_pair(pthread_mutex_t *a, pthread_mutex_t *b);
void sw_bind_unlock_pair(pthread_mutex_t *a, pthread_mutex_t *b);

/* The values of a contiguous buffer of float64: 1, and the caller releases `view`; 0 where `object` is no buffer at all;
 * -1 with an exception where it is a buffer of something else. */
int sw_bind_f64_buffer(PyObject *object, Py_buffer *view);

typedef bool (*sw_bind_visit)(PyObject *self, PyObject *item); /* false with an exception set ends the walk */

/* Calls `visit` for every item of an iterable. Text is refused: a str given here is a mistake for one item. */
bool sw_bind_each(PyObject *self, PyObject *iterable, sw_bind_visit visit);

#endif
