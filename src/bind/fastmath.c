/* fastmath.c - sidewinder._fastmath: the module that holds Array, Expression and the functions of sidewinder.fastmath. */
#include "bind/fastmath.h"

#include <string.h>

#include "base/mem.h"

/* What an Array is unpickled with: on the memory itself where that may be shared (a bytes object may not). */
static PyObject *restore_view(PyTypeObject *type, PyObject *buffer, enum sw_bind_kind kind) {
    PyObject *memory = PyMemoryView_FromObject(buffer);
    if (!memory)
        return NULL;
    const Py_buffer *view = PyMemoryView_GET_BUFFER(memory);
    size_t item_bytes = kind == SW_KIND_F32 || kind == SW_KIND_U32 ? 4 : 8, none = 0;
    size_t items = (size_t)view->len / item_bytes;
    bool is_shared = !PyBytes_Check(buffer) && (size_t)view->buf % item_bytes == 0;
    bool is_whole = PyBuffer_IsContiguous(view, 'C') && (size_t)view->len % item_bytes == 0;
    struct sw_bind_array *array = NULL;
    if (is_whole)
        array = sw_bind_array_new(type, kind, 1, is_shared ? &none : &items);
    else
        PyErr_SetString(PyExc_ValueError, "these bytes are no elements of an Array");
    if (array && is_shared) {
        array->array.data = view->buf;
        array->array.shape[0] = items;
        array->is_readonly = view->readonly;
        array->base = Py_NewRef(memory);
    } else if (array && items > 0)
        memcpy(array->array.data, view->buf, items * item_bytes);
    Py_DECREF(memory);
    return (PyObject *)array;
}

static PyObject *restore(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    enum sw_bind_kind kind;
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "_restore() takes a buffer, a shape and a dtype");
        return NULL;
    }
    if (!sw_bind_kind_parse(args[2], &kind))
        return NULL;
    PyObject *flat = restore_view(sw_fastmath_state(module)->array_type, args[0], kind);
    PyObject *array = flat ? PyObject_CallMethod(flat, "reshape", "(O)", args[1]) : NULL;
    Py_XDECREF(flat);
    return array;
}

static PyMethodDef methods[] = {
    {"_restore", (PyCFunction)(void (*)(void))restore, METH_FASTCALL,
     "_restore($module, buffer, shape, dtype, /)\n--\n\nAn Array from what its pickle has."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec) {
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type && PyModule_AddType(module, (PyTypeObject *)type) != 0)
        Py_CLEAR(type);
    return (PyTypeObject *)type;
}

static bool add_words(struct sw_fastmath *state) {
    for (enum sw_fastmath_key key = 0; key < SW_KEY_COUNT; key++) {
        state->keys[key] = PyUnicode_InternFromString(sw_fastmath_key_text(key));
        if (!state->keys[key])
            return false;
    }
    state->numpy_word = PyUnicode_InternFromString("numpy");
    state->where_text = PyUnicode_InternFromString("where(cond, a, b)");
    return state->numpy_word && state->where_text;
}

static int fastmath_exec(PyObject *module) {
    struct sw_fastmath *state = PyModule_GetState(module);
    PyMethodDef *groups[] = {sw_fastmath_reduce_methods,      sw_fastmath_statistics_methods,
                             sw_fastmath_elementwise_methods, sw_fastmath_expression_methods,
                             sw_fastmath_grid_methods,        sw_fastmath_fractal_methods};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        if (PyModule_AddFunctions(module, groups[i]) != 0)
            return -1;
    }
    state->array_type = add_type(module, &sw_bind_array_spec);
    state->expression_type = add_type(module, &sw_fastmath_expression_spec);
    state->summary_type = PyStructSequence_NewType(&sw_fastmath_summary_desc);
    if (!state->summary_type || PyModule_AddType(module, state->summary_type) != 0)
        return -1;
    state->expressions = PyDict_New();
    return state->array_type && state->expression_type && state->expressions && add_words(state) ? 0 : -1;
}

static int fastmath_traverse(PyObject *module, visitproc visit, void *arg) {
    struct sw_fastmath *state = PyModule_GetState(module);
    Py_VISIT(state->array_type);
    Py_VISIT(state->expression_type);
    Py_VISIT(state->summary_type);
    Py_VISIT(state->expressions);
    Py_VISIT(state->ndarray);
    Py_VISIT(state->empty);
    for (size_t i = 0; i < sizeof state->dtypes / sizeof state->dtypes[0]; i++)
        Py_VISIT(state->dtypes[i]);
    return 0;
}

static int fastmath_clear(PyObject *module) {
    struct sw_fastmath *state = PyModule_GetState(module);
    Py_CLEAR(state->array_type);
    Py_CLEAR(state->expression_type);
    Py_CLEAR(state->summary_type);
    Py_CLEAR(state->expressions);
    Py_CLEAR(state->ndarray);
    Py_CLEAR(state->empty);
    Py_CLEAR(state->numpy_word);
    Py_CLEAR(state->where_text);
    for (size_t i = 0; i < SW_KEY_COUNT; i++)
        Py_CLEAR(state->keys[i]);
    for (size_t i = 0; i < sizeof state->dtypes / sizeof state->dtypes[0]; i++)
        Py_CLEAR(state->dtypes[i]);
    return 0;
}

static void fastmath_free(void *module) {
    fastmath_clear(module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)fastmath_exec},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030d0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "sidewinder._fastmath",
    .m_doc = "Fast functions on arrays of numbers; see sidewinder.fastmath.",
    .m_size = sizeof(struct sw_fastmath),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = fastmath_traverse,
    .m_clear = fastmath_clear,
    .m_free = fastmath_free,
};

struct sw_fastmath *sw_fastmath_state(PyObject *module) {
    return PyModule_GetState(module);
}

PyMODINIT_FUNC PyInit__fastmath(void);

PyMODINIT_FUNC PyInit__fastmath(void) {
    return PyModuleDef_Init(&definition);
}
