/* library.c - sidewinder._library: facts about the C library that the package is built on. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/cpu.h"
#include "base/version.h"

static PyObject *cpu_level(PyObject *module, PyObject *unused) {
    return PyUnicode_FromString(sw_cpu_level_name(sw_cpu_level()));
}

static PyMethodDef methods[] = {
    {"cpu_level", cpu_level, METH_NOARGS,
     "cpu_level() -> str\n\nThe instruction set the kernels use here: 'scalar', 'neon', 'sse42', 'avx2' or 'avx512'."},
    {NULL, NULL, 0, NULL},
};

static int library_exec(PyObject *module) {
    return PyModule_AddStringConstant(module, "version", sw_version());
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)library_exec},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030d0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "sidewinder._library", .m_doc = "Facts about the C library.", .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__library(void);

PyMODINIT_FUNC PyInit__library(void) {
    return PyModuleDef_Init(&definition);
}
