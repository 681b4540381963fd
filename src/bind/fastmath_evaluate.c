/* fastmath_evaluate.c - An expression run on its operands: found by name, broadcast to one shape, written to one result. */
#include "bind/fastmath_expression.h"

#include "bind/bind.h"

/* Everything between the operands and the kernel. */
struct application {
    struct sw_fastmath *state;
    const struct sw_expression_object *expression;
    size_t count;
    struct sw_operand operands[SW_EXPRESSION_NAMES];
    struct sw_array inputs[SW_EXPRESSION_NAMES]; /* what the kernel reads */
    struct sw_array common;                      /* the shape of the result */
    bool is_f32, is_numpy;                       /* all arrays are; one array is */
};

static const char *name_of(const struct application *a, size_t i) {
    const char *name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(a->expression->names, (Py_ssize_t)i));
    return name ? name : "an operand";
}

/* The shape that `common` and one more operand have together; false where a size differs and neither is 1. */
static bool widen_shape(struct sw_array *common, const struct sw_array *array) {
    while (common->dims < array->dims) {
        for (unsigned d = common->dims; d > 0; d--)
            common->shape[d] = common->shape[d - 1];
        common->shape[0] = 1;
        common->dims++;
    }
    unsigned added = common->dims - array->dims;
    for (unsigned d = 0; d < array->dims; d++) {
        size_t *size = &common->shape[d + added];
        if (*size == 1)
            *size = array->shape[d];
        else if (array->shape[d] != 1 && array->shape[d] != *size)
            return false;
    }
    return true;
}

static bool find_common(struct application *a) {
    a->common.dims = 0;
    a->is_f32 = false;
    a->is_numpy = false;
    bool has_f64 = false;
    for (size_t i = 0; i < a->count; i++) {
        const struct sw_operand *operand = &a->operands[i];
        if (operand->is_number)
            continue;
        struct sw_array before = a->common;
        if (!widen_shape(&a->common, operand->array)) {
            PyErr_Format(PyExc_ValueError, "operands could not be broadcast together: shape %s and, of '%s', %s",
                         sw_bind_shape_text(&before).text, name_of(a, i), sw_bind_shape_text(operand->array).text);
            return false;
        }
        a->is_numpy = a->is_numpy || operand->is_numpy;
        a->is_f32 = a->is_f32 || operand->array->dtype == SW_F32;
        has_f64 = has_f64 || operand->array->dtype == SW_F64;
    }
    a->is_f32 = a->is_f32 && !has_f64;
    return true;
}

static bool connect(struct application *a, const struct sw_result *result) {
    for (size_t i = 0; i < a->count; i++) {
        struct sw_operand *operand = &a->operands[i];
        if (operand->is_number && a->is_f32 && result->array->dtype == SW_F32) {
            operand->number.f32 = (float)operand->number.f64;
            operand->own.dtype = SW_F32;
        }
        if (!sw_bind_broadcast(operand->array, result->array, &a->inputs[i])) {
            PyErr_Format(PyExc_ValueError, "operand '%s' of shape %s does not broadcast to %s", name_of(a, i),
                         sw_bind_shape_text(operand->array).text, sw_bind_shape_text(result->array).text);
            return false;
        }
        if (!operand->is_number && !sw_result_is_apart(result, &a->inputs[i], name_of(a, i), true))
            return false;
    }
    return true;
}

static bool compute(struct application *a, struct sw_result *result, PyObject *threads) {
    struct sw_fastmath_work work;
    double element_ns = sw_expression_ns(a->expression->expression);
    if (!sw_fastmath_plan(threads, element_ns * (double)sw_array_count(result->array), &work))
        return false;
    PyThreadState *detached = sw_fastmath_detach(&work);
    enum sw_status status = sw_expression_run(a->expression->expression, a->inputs, result->array, work.parallel);
    sw_fastmath_attach(detached);
    return sw_bind_check(status);
}

static PyObject *compute_number(struct application *a, PyObject *threads) {
    double value = 0;
    struct sw_result result = {.array = &result.own, .own = {.data = (char *)&value, .dtype = SW_F64, .dims = 0}};
    return connect(a, &result) && compute(a, &result, threads) ? PyFloat_FromDouble(value) : NULL;
}

static PyObject *compute_array(struct application *a, const struct sw_evaluation *what) {
    struct sw_result result;
    const struct sw_result_shape shape = {.kind = a->is_f32 ? SW_KIND_F32 : SW_KIND_F64,
                                          .dims = a->common.dims,
                                          .shape = a->common.shape,
                                          .is_numpy = a->is_numpy,
                                          .is_any_float = true};
    if (!sw_result_open(a->state, what->out, &shape, &result))
        return NULL;
    return sw_result_close(&result, connect(a, &result) && compute(a, &result, what->threads));
}

static PyObject *find_keyword(const struct sw_fastmath_call *call, PyObject *name) {
    Py_ssize_t count = call->names ? PyTuple_GET_SIZE(call->names) : 0;
    for (Py_ssize_t k = 0; k < count; k++) {
        if (PyTuple_GET_ITEM(call->names, k) == name)
            return Py_NewRef(call->args[call->positional + k]);
    }
    for (Py_ssize_t k = 0; k < count; k++) {
        if (PyUnicode_Compare(PyTuple_GET_ITEM(call->names, k), name) == 0)
            return Py_NewRef(call->args[call->positional + k]);
    }
    return NULL;
}

/* A new reference, or NULL; with an exception unless the key is not there. */
static PyObject *find_item(PyObject *mapping, PyObject *name) {
    PyObject *item = PyObject_GetItem(mapping, name);
    if (!item && PyErr_ExceptionMatches(PyExc_KeyError))
        PyErr_Clear();
    return item;
}

/* The local variables of the Python function that called us, or of the module. */
static PyObject *caller_locals(void) {
#if PY_VERSION_HEX >= 0x030d0000
    PyObject *locals = PyEval_GetFrameLocals();
#else
    PyObject *locals = Py_XNewRef(PyEval_GetLocals());
#endif
    if (!locals)
        PyErr_Clear(); /* called by no Python code */
    return locals;
}

static PyObject *find_variable(PyObject **locals, PyObject *name) {
    if (!*locals)
        *locals = caller_locals();
    PyObject *value = *locals ? find_item(*locals, name) : NULL;
    PyObject *globals = PyEval_GetGlobals(); /* borrowed */
    return value || PyErr_Occurred() || !globals ? value : find_item(globals, name);
}

/* Whether a keyword of that name is an argument of the call itself, and no operand. */
static bool is_argument(const struct sw_fastmath *state, const struct sw_evaluation *what, PyObject *name) {
    static const enum sw_fastmath_key keys[] = {SW_KEY_names, SW_KEY_out, SW_KEY_threads, SW_KEY_expression};
    size_t count = sizeof keys / sizeof keys[0] - (what->text ? 0 : 1);
    for (size_t i = 0; i < count; i++) {
        if (sw_fastmath_is_key(state, name, keys[i]))
            return true;
    }
    return false;
}

static bool are_keywords_used(const struct sw_expression_object *expression, const struct sw_fastmath *state,
                              const struct sw_evaluation *what) {
    Py_ssize_t count = what->call->names ? PyTuple_GET_SIZE(what->call->names) : 0;
    for (Py_ssize_t k = 0; k < count; k++) {
        PyObject *name = PyTuple_GET_ITEM(what->call->names, k);
        int is_used = is_argument(state, what, name) ? 1 : PySequence_Contains(expression->names, name);
        if (is_used == 0)
            PyErr_Format(PyExc_TypeError, "the expression %R has no name %R", expression->text, name);
        if (is_used != 1)
            return false;
    }
    return true;
}

/* New references in the order of the names. */
static size_t find_objects(const struct sw_expression_object *expression, const struct sw_fastmath *state,
                           const struct sw_evaluation *what, PyObject **objects) {
    PyObject *locals = NULL;
    size_t found = 0, count = (size_t)PyTuple_GET_SIZE(expression->names);
    for (; found < count; found++) {
        PyObject *name = PyTuple_GET_ITEM(expression->names, (Py_ssize_t)found);
        PyObject *value = NULL;
        if (what->call->names && !is_argument(state, what, name))
            value = find_keyword(what->call, name);
        if (!value)
            value = what->mapping ? find_item(what->mapping, name) : find_variable(&locals, name);
        if (!value) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_NameError, "name %R of the expression %R is not defined; give it %s", name,
                             expression->text, is_argument(state, what, name) ? "in the mapping" : "as a keyword");
            break;
        }
        objects[found] = value;
    }
    Py_XDECREF(locals);
    return found;
}

PyObject *sw_expression_apply(struct sw_fastmath *state, struct sw_expression_object *expression,
                              PyObject *const *objects, const struct sw_evaluation *what) {
    struct application a;
    a.state = state;
    a.expression = expression;
    a.count = (size_t)PyTuple_GET_SIZE(expression->names);
    size_t taken = 0;
    while (taken < a.count && sw_operand_take(state, objects[taken], &a.operands[taken]))
        taken++;
    PyObject *result = NULL;
    if (taken == a.count && find_common(&a))
        result = a.common.dims == 0 && !what->out ? compute_number(&a, what->threads) : compute_array(&a, what);
    sw_operand_release_all(a.operands, taken);
    return result;
}

PyObject *sw_expression_evaluate(struct sw_fastmath *state, struct sw_expression_object *expression,
                                 const struct sw_evaluation *what) {
    PyObject *objects[SW_EXPRESSION_NAMES], *result = NULL;
    objects[0] = NULL; /* there may be no name */
    if (!are_keywords_used(expression, state, what))
        return NULL;
    size_t found = find_objects(expression, state, what, objects);
    if (found == (size_t)PyTuple_GET_SIZE(expression->names))
        result = sw_expression_apply(state, expression, objects, what);
    for (size_t i = 0; i < found; i++)
        Py_DECREF(objects[i]);
    return result;
}
