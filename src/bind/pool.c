/* pool.c - sidewinder._pool: the module; its parts are in pool_*.c. */
#include "bind/pool.h"

#include <pthread.h>
#include <stdatomic.h>

static _Atomic unsigned forks; /* of the process, not of an interpreter: a fork copies all of them */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void count_fork(void) {
    atomic_fetch_add(&forks, 1);
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, count_fork);
}

unsigned pool_fork_count(void) {
    return atomic_load_explicit(&forks, memory_order_relaxed);
}

struct pool_state *pool_state_of(PyTypeObject *type) {
#if PY_VERSION_HEX >= 0x030b0000
    PyObject *module = PyType_GetModuleByDef(type, &pool_module);
    return module ? PyModule_GetState(module) : NULL;
#else
    for (PyTypeObject *base = type; base; base = base->tp_base) {
        if (!(base->tp_flags & Py_TPFLAGS_HEAPTYPE))
            continue;
        PyObject *module = ((PyHeapTypeObject *)base)->ht_module;
        if (module && PyModule_GetDef(module) == &pool_module)
            return PyModule_GetState(module);
    }
    PyErr_SetString(PyExc_SystemError, "the type is not of this module");
    return NULL;
#endif
}

PyObject *pool_raise(const struct sw_error *err) {
    PyObject *type = err->status == SW_NOMEM                                    ? PyExc_MemoryError
                     : err->status == SW_INVALID || err->status == SW_MALFORMED ? PyExc_ValueError
                                                                                : PyExc_OSError;
    PyErr_SetString(type, err->text);
    return NULL;
}

PyObject *pool_take_raised(void) {
    PyObject *type;
    PyObject *error;
    PyObject *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace)
        PyException_SetTraceback(error, trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return error;
}

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec) {
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    if (type && PyModule_AddType(module, type) != 0)
        Py_CLEAR(type);
    return type;
}

static bool add_types(PyObject *module, struct pool_state *state) {
    return (state->segment_type = add_type(module, &pool_segment_spec)) &&
           (state->slab_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &pool_slab_spec, NULL)) &&
           (state->block_type = add_type(module, &pool_block_spec)) &&
           (state->core_type = add_type(module, &pool_core_spec)) &&
           (state->job_type = add_type(module, &pool_job_spec));
}

static bool find_pickle(struct pool_state *state) {
    PyObject *pickle = PyImport_ImportModule("pickle");
    bool is_ok = pickle && (state->dumps = PyObject_GetAttrString(pickle, "dumps")) &&
                 (state->loads = PyObject_GetAttrString(pickle, "loads")) &&
                 (state->dumps_names = Py_BuildValue("(s)", "buffer_callback")) &&
                 (state->loads_names = Py_BuildValue("(s)", "buffers")) && (state->protocol = PyLong_FromLong(5));
    Py_XDECREF(pickle);
    return is_ok;
}

static int pool_exec(PyObject *module) {
    struct pool_state *state = PyModule_GetState(module);
    state->module = module;
    pthread_once(&once, watch_forks);
    return add_types(module, state) && find_pickle(state) ? 0 : -1;
}

static int pool_traverse(PyObject *module, visitproc visit, void *arg) {
    struct pool_state *state = PyModule_GetState(module);
    Py_VISIT(state->segment_type);
    Py_VISIT(state->slab_type);
    Py_VISIT(state->block_type);
    Py_VISIT(state->core_type);
    Py_VISIT(state->job_type);
    Py_VISIT(state->dumps);
    Py_VISIT(state->loads);
    return 0;
}

static int pool_clear(PyObject *module) {
    struct pool_state *state = PyModule_GetState(module);
    Py_CLEAR(state->segment_type);
    Py_CLEAR(state->slab_type);
    Py_CLEAR(state->block_type);
    Py_CLEAR(state->core_type);
    Py_CLEAR(state->job_type);
    Py_CLEAR(state->dumps);
    Py_CLEAR(state->loads);
    Py_CLEAR(state->dumps_names);
    Py_CLEAR(state->loads_names);
    Py_CLEAR(state->protocol);
    return 0;
}

static void pool_free(void *module) {
    pool_clear(module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)pool_exec},
    {0, NULL},
};

struct PyModuleDef pool_module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "sidewinder._pool",
    .m_doc = "The native part of sidewinder.pool and sidewinder.shared_array.",
    .m_size = sizeof(struct pool_state),
    .m_methods = pool_worker_methods,
    .m_slots = slots,
    .m_traverse = pool_traverse,
    .m_clear = pool_clear,
    .m_free = pool_free,
};

PyMODINIT_FUNC PyInit__pool(void);
PyMODINIT_FUNC PyInit__pool(void) {
    return PyModuleDef_Init(&pool_module);
}
