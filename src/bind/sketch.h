/* sketch.h - The types of sidewinder._sketch, and the state each copy of the module keeps. */
#ifndef SW_BIND_SKETCH_H
#define SW_BIND_SKETCH_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

struct sw_bind_sketch_state {
    PyTypeObject *heavy_item; /* what SpaceSaving.top() lists: (item, count, error) */
};

extern PyType_Spec sw_bind_hll_spec;
extern PyType_Spec sw_bind_ddsketch_spec;
extern PyType_Spec sw_bind_space_saving_spec;

#endif
