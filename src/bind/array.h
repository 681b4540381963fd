/* array.h - sidewinder.Array: numbers of one type in n dimensions, with the buffer protocol.
 *
 * All of it is called with the interpreter attached (the GIL held), unless said otherwise.
 */
#ifndef SW_BIND_ARRAY_H
#define SW_BIND_ARRAY_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#include "kernels/array.h"

/* What an element is. The kernels compute with the first two, which are those of enum sw_dtype. */
enum sw_bind_kind { SW_KIND_F64 = SW_F64, SW_KIND_F32 = SW_F32, SW_KIND_I64, SW_KIND_U32 };

struct sw_bind_array {
    PyObject_VAR_HEAD struct sw_array
        array; /* its dtype is only right for SW_KIND_F64 and SW_KIND_F32; of others it has the size */
    enum sw_bind_kind kind;
    bool is_readonly;
    void *owned;    /* NULL, or the block that array.data is in; small ones lie behind the object */
    PyObject *base; /* NULL, or the Array or memoryview that the memory belongs to */
    _Alignas(16) char small[];
};

extern PyType_Spec sw_bind_array_spec;

/* A new Array in C order, its elements undefined. More than SW_ARRAY_DIMS dimensions are the caller's mistake. */
struct sw_bind_array *sw_bind_array_new(PyTypeObject *type, enum sw_bind_kind kind, unsigned dims, const size_t *shape);
/* An Array on the memory of `base`, which it keeps alive. */
struct sw_bind_array *sw_bind_array_view(struct sw_bind_array *base, const struct sw_array *part);

/* Elements from which on it takes longer to copy, convert or compare them than to detach and come back. */
#define SW_BIND_LONG_COUNT 2000

/* array_shape.c - Kinds by name, shapes as text, and elements moved between shapes. */
const char *sw_bind_kind_name(enum sw_bind_kind kind);            /* "float64" */
const char *sw_bind_kind_format(enum sw_bind_kind kind);          /* as in the buffer protocol: "d" */
bool sw_bind_kind_parse(PyObject *name, enum sw_bind_kind *kind); /* TypeError, ValueError */

/* As Python shows a shape: "(3, 4)", "(3,)", "()". */
struct sw_bind_shape_text {
    char text[SW_ARRAY_DIMS * 24];
};
struct sw_bind_shape_text sw_bind_shape_text(const struct sw_array *array);
bool sw_bind_shape_is(const struct sw_array *array, unsigned dims, const size_t *shape);

/* `from` with the shape of `like`, repeated as NumPy broadcasts; false where that cannot be. */
bool sw_bind_broadcast(const struct sw_array *from, const struct sw_array *like, struct sw_array *result);
/* Copies between arrays of one shape and size of element; the memory must not overlap. As long work on elements does, it
 * detaches from the interpreter meanwhile: the caller holds the objects. */
void sw_bind_array_copy(const struct sw_array *from, const struct sw_array *to);

/* array_item.c - Elements as Python objects. */
PyObject *sw_bind_item_load(enum sw_bind_kind kind, const char *at);
bool sw_bind_item_store(enum sw_bind_kind kind, char *at, PyObject *number);
double sw_bind_item_number(enum sw_bind_kind kind, const char *at);
PyObject *sw_bind_array_tolist(const struct sw_bind_array *array);

/* array_copy.c - What others hold, as an Array. */

/* A buffer whose elements we can read: 1; 0 for a type of element that is no number, with a TypeError that names it. */
struct sw_bind_source {
    struct sw_array array; /* the dtype is not used */
    const struct sw_bind_reader *reader;
};
bool sw_bind_source_open(const Py_buffer *view, struct sw_bind_source *source);
/* The kind that holds every value of the source, the source's own where there is one; float64 else. */
enum sw_bind_kind sw_bind_source_kind(const struct sw_bind_source *source);
bool sw_bind_source_is(const struct sw_bind_source *source, enum sw_bind_kind kind);

/* The memory, shape and strides of a buffer of at most SW_ARRAY_DIMS dimensions, asked for with its strides. */
void sw_bind_buffer_show(const Py_buffer *view, struct sw_array *array);
/* A format of the buffer protocol without the prefix that says: of this machine. */
const char *sw_bind_format_skip(const char *format);

/* A new Array of `kind` with the elements of a source. Detaches from the interpreter where that takes long. */
struct sw_bind_array *sw_bind_array_convert(PyTypeObject *type, enum sw_bind_kind kind,
                                            const struct sw_bind_source *source);
/* A source that reads an Array. */
struct sw_bind_source sw_bind_array_source(const struct sw_bind_array *array);

/* A new Array from nested sequences of numbers, any iterable of numbers, or one number (0 dimensions). */
struct sw_bind_array *sw_bind_array_from_items(PyTypeObject *type, enum sw_bind_kind kind, PyObject *items);
/* A new Array from anything that has numbers; `kind` may be NULL: the buffer's own, or float64. */
struct sw_bind_array *sw_bind_array_from(PyTypeObject *type, PyObject *object, const enum sw_bind_kind *kind);

/* array_index.c - [] of an Array. */
PyObject *sw_bind_array_get(PyObject *self, PyObject *index);
PyObject *sw_bind_array_get_at(PyObject *self, Py_ssize_t index);
int sw_bind_array_set(PyObject *self, PyObject *index, PyObject *value);

#endif
