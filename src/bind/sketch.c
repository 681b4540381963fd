/* sketch.c - sidewinder._sketch: the module that holds the sketch types. */
#include "bind/sketch.h"

static PyStructSequence_Field heavy_item_fields[] = {
    {"item", "the item's text"},
    {"count", "upper bound of its weight"},
    {"error", "count - error is the lower bound"},
    {NULL, NULL},
};

static PyStructSequence_Desc heavy_item_desc = {
    .name = "sidewinder.sketch.HeavyItem",
    .doc = "One of the heaviest items: its text, an upper bound of its weight, and how far off that may be.",
    .fields = heavy_item_fields,
    .n_in_sequence = 3,
};

static int add_type(PyObject *module, PyType_Spec *spec) {
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int result = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    Py_XDECREF(type);
    return result;
}

static int sketch_exec(PyObject *module) {
    struct sw_bind_sketch_state *state = PyModule_GetState(module);
    state->heavy_item = PyStructSequence_NewType(&heavy_item_desc);
    if (!state->heavy_item || PyModule_AddType(module, state->heavy_item) != 0)
        return -1;
    if (add_type(module, &sw_bind_hll_spec) != 0 || add_type(module, &sw_bind_ddsketch_spec) != 0)
        return -1;
    return add_type(module, &sw_bind_space_saving_spec);
}

static int sketch_traverse(PyObject *module, visitproc visit, void *arg) {
    struct sw_bind_sketch_state *state = PyModule_GetState(module);
    Py_VISIT(state->heavy_item);
    return 0;
}

static int sketch_clear(PyObject *module) {
    struct sw_bind_sketch_state *state = PyModule_GetState(module);
    Py_CLEAR(state->heavy_item);
    return 0;
}

static void sketch_free(void *module) {
    sketch_clear(module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)sketch_exec},
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
    .m_name = "sidewinder._sketch",
    .m_doc = "Mergeable summaries of streams; see sidewinder.sketch.",
    .m_size = sizeof(struct sw_bind_sketch_state),
    .m_slots = slots,
    .m_traverse = sketch_traverse,
    .m_clear = sketch_clear,
    .m_free = sketch_free,
};

PyMODINIT_FUNC PyInit__sketch(void);

PyMODINIT_FUNC PyInit__sketch(void) {
    return PyModuleDef_Init(&definition);
}
