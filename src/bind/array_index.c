/* array_index.c - [] of an Array: integers, slices and ..., read as views and written in place. */
#include "bind/array.h"

static bool take_integer(const struct sw_array *from, unsigned d, PyObject *index, ptrdiff_t *offset) {
    Py_ssize_t at = PyNumber_AsSsize_t(index, PyExc_IndexError);
    if (at == -1 && PyErr_Occurred())
        return false;
    Py_ssize_t size = (Py_ssize_t)from->shape[d];
    if (at < -size || at >= size) {
        PyErr_Format(PyExc_IndexError, "index %zd is out of bounds for dimension %u with size %zd", at, d, size);
        return false;
    }
    *offset += (at < 0 ? at + size : at) * from->strides[d];
    return true;
}

static void keep_dimension(const struct sw_array *from, unsigned d, struct sw_array *part) {
    part->shape[part->dims] = from->shape[d];
    part->strides[part->dims++] = from->strides[d];
}

static bool take_slice(const struct sw_array *from, unsigned d, PyObject *slice, struct sw_array *part) {
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(slice, &start, &stop, &step) != 0)
        return false;
    Py_ssize_t count = PySlice_AdjustIndices((Py_ssize_t)from->shape[d], &start, &stop, step);
    if (count > 0)
        part->data += start * from->strides[d];
    part->shape[part->dims] = (size_t)count;
    /* The step of what has at most one element is never used, and may be too large to multiply. */
    part->strides[part->dims++] = count > 1 ? step * from->strides[d] : from->strides[d];
    return true;
}

/* One index after the other; `...` stands for all dimensions that the others leave. */
static bool take_indices(const struct sw_array *from, PyObject *const *indices, Py_ssize_t count,
                         struct sw_array *part) {
    unsigned used = 0;
    bool has_ellipsis = false;
    for (Py_ssize_t i = 0; i < count; i++) {
        used += indices[i] != Py_Ellipsis;
        has_ellipsis = has_ellipsis || indices[i] == Py_Ellipsis;
    }
    if (used > from->dims) {
        PyErr_Format(PyExc_IndexError, "too many indices: %u for %u dimensions", used, from->dims);
        return false;
    }
    unsigned d = 0, left = from->dims - used;
    ptrdiff_t offset = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (indices[i] == Py_Ellipsis) {
            for (; left > 0; left--)
                keep_dimension(from, d++, part);
        } else if (PySlice_Check(indices[i])) {
            if (!take_slice(from, d++, indices[i], part))
                return false;
        } else if (!PyIndex_Check(indices[i])) {
            PyErr_Format(PyExc_TypeError, "an Array is indexed by integers, slices and ..., not %.100s",
                         Py_TYPE(indices[i])->tp_name);
            return false;
        } else if (!take_integer(from, d++, indices[i], &offset))
            return false;
    }
    while (d < from->dims)
        keep_dimension(from, d++, part);
    part->data += offset;
    return true;
}

static bool find_part(const struct sw_bind_array *self, PyObject *index, struct sw_array *part) {
    *part = self->array;
    part->dims = 0;
    if (PyTuple_Check(index))
        return take_indices(&self->array, &PyTuple_GET_ITEM(index, 0), PyTuple_GET_SIZE(index), part);
    return take_indices(&self->array, &index, 1, part);
}

/* Whether an index names one element, not a part that happens to have no dimensions ("a[...]" of 0 dimensions). */
static bool is_element(const struct sw_array *part, PyObject *index) {
    return part->dims == 0 && index != Py_Ellipsis;
}

static PyObject *load_or_view(PyObject *object, const struct sw_array *part, bool is_one) {
    struct sw_bind_array *self = (struct sw_bind_array *)object;
    return is_one ? sw_bind_item_load(self->kind, part->data) : (PyObject *)sw_bind_array_view(self, part);
}

static bool store_part(struct sw_bind_array *self, const struct sw_array *part, PyObject *value) {
    struct sw_bind_array *from = Py_TYPE(value) == Py_TYPE(self) ? (struct sw_bind_array *)value : NULL;
    bool is_direct = from && from->kind == self->kind && !sw_array_overlaps(&from->array, part);
    struct sw_bind_array *copy =
        is_direct ? (struct sw_bind_array *)Py_NewRef(value) : sw_bind_array_from(Py_TYPE(self), value, &self->kind);
    if (!copy)
        return false;
    struct sw_array source;
    bool is_ok = sw_bind_broadcast(&copy->array, part, &source);
    if (is_ok)
        sw_bind_array_copy(&source, part);
    else
        PyErr_Format(PyExc_ValueError, "could not broadcast input array from shape %s into shape %s",
                     sw_bind_shape_text(&copy->array).text, sw_bind_shape_text(part).text);
    Py_DECREF(copy);
    return is_ok;
}

PyObject *sw_bind_array_get(PyObject *self, PyObject *index) {
    struct sw_array part;
    if (!find_part((struct sw_bind_array *)self, index, &part))
        return NULL;
    return load_or_view(self, &part, is_element(&part, index));
}

PyObject *sw_bind_array_get_at(PyObject *self, Py_ssize_t index) {
    const struct sw_array *array = &((struct sw_bind_array *)self)->array;
    if (array->dims == 0 || index < 0 || (size_t)index >= array->shape[0]) {
        PyErr_SetString(PyExc_IndexError, "index out of range");
        return NULL;
    }
    struct sw_array part = *array;
    part.data += index * array->strides[0];
    part.dims = 0;
    for (unsigned d = 1; d < array->dims; d++)
        keep_dimension(array, d, &part);
    return load_or_view(self, &part, part.dims == 0);
}

int sw_bind_array_set(PyObject *object, PyObject *index, PyObject *value) {
    struct sw_bind_array *self = (struct sw_bind_array *)object;
    struct sw_array part;
    if (!value) {
        PyErr_SetString(PyExc_TypeError, "elements of an Array cannot be deleted");
        return -1;
    }
    if (self->is_readonly) {
        PyErr_SetString(PyExc_TypeError, "this Array is read-only; write to its copy()");
        return -1;
    }
    if (!find_part(self, index, &part))
        return -1;
    if (is_element(&part, index))
        return sw_bind_item_store(self->kind, part.data, value) ? 0 : -1;
    return store_part(self, &part, value) ? 0 : -1;
}
