/* fastmath_expression.c - Of sidewinder.fastmath: expressions compiled once, evaluate(), compile() and where(). */
#include "bind/fastmath_expression.h"

#include <stddef.h>
#include <string.h>
#include <structmember.h>

#define CACHED 256 /* texts that evaluate() need not compile again */

static struct sw_expression_object *cast(PyObject *object) {
    return (struct sw_expression_object *)object;
}

static void expression_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    sw_expression_free(cast(object)->expression);
    Py_XDECREF(cast(object)->text);
    Py_XDECREF(cast(object)->names);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject **place_of(const struct sw_fastmath *state, PyObject *name, bool has_text, struct sw_evaluation *what) {
    if (sw_fastmath_is_key(state, name, SW_KEY_names))
        return &what->mapping;
    if (sw_fastmath_is_key(state, name, SW_KEY_out))
        return &what->out;
    if (sw_fastmath_is_key(state, name, SW_KEY_threads))
        return &what->threads;
    return has_text && sw_fastmath_is_key(state, name, SW_KEY_expression) ? &what->text : NULL;
}

/* The arguments that are no operands; `first` is the place of names among the positional ones, after the text or not. */
static bool read_call(const struct sw_fastmath *state, const struct sw_fastmath_call *call, Py_ssize_t first,
                      struct sw_evaluation *what) {
    *what = (struct sw_evaluation){.call = call};
    if (call->positional > first + 2) {
        PyErr_Format(PyExc_TypeError, "at most %zd positional arguments, but %zd were given", first + 2,
                     call->positional);
        return false;
    }
    what->text = first > 0 && call->positional > 0 ? call->args[0] : NULL;
    what->mapping = call->positional > first ? call->args[first] : NULL;
    what->out = call->positional > first + 1 ? call->args[first + 1] : NULL;
    Py_ssize_t count = call->names ? PyTuple_GET_SIZE(call->names) : 0;
    for (Py_ssize_t k = 0; k < count; k++) {
        PyObject *name = PyTuple_GET_ITEM(call->names, k), *value = call->args[call->positional + k];
        PyObject **place = place_of(state, name, first > 0, what);
        if (place && *place) {
            PyErr_Format(PyExc_TypeError, "multiple values for argument %R", name);
            return false;
        }
        if (place)
            *place = value;
    }
    what->mapping = what->mapping == Py_None ? NULL : what->mapping;
    what->out = what->out == Py_None ? NULL : what->out;
    what->threads = what->threads == Py_None ? NULL : what->threads;
    return true;
}

static PyObject *expression_call(PyObject *object, PyObject *const *args, size_t flags, PyObject *names) {
    struct sw_fastmath *state = PyType_GetModuleState(Py_TYPE(object));
    struct sw_fastmath_call call = {args, PyVectorcall_NARGS(flags), names};
    struct sw_evaluation what;
    return read_call(state, &call, 0, &what) ? sw_expression_evaluate(state, cast(object), &what) : NULL;
}

static PyObject *names_of(const struct sw_expression *expression) {
    size_t count = sw_expression_name_count(expression);
    PyObject *names = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; names && i < count; i++) {
        struct sw_str text = sw_expression_name(expression, i);
        PyObject *name = PyUnicode_FromStringAndSize(text.ptr, (Py_ssize_t)text.len);
        if (name) {
            PyUnicode_InternInPlace(&name);
            PyTuple_SET_ITEM(names, (Py_ssize_t)i, name);
        } else
            Py_CLEAR(names);
    }
    return names;
}

static PyObject *compile_text(struct sw_fastmath *state, PyObject *text) {
    if (!PyUnicode_Check(text))
        return PyErr_Format(PyExc_TypeError, "an expression must be a str, not %.100s", Py_TYPE(text)->tp_name);
    Py_ssize_t len;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &len);
    struct sw_error err = {.status = SW_OK};
    struct sw_expression *compiled;
    if (!bytes)
        return NULL;
    if (sw_expression_compile(sw_str_make(bytes, (size_t)len), &compiled, &err) != SW_OK)
        return sw_fastmath_raise(&err);
    struct sw_expression_object *self = cast(state->expression_type->tp_alloc(state->expression_type, 0));
    if (!self) {
        sw_expression_free(compiled);
        return NULL;
    }
    self->expression = compiled;
    self->vectorcall = expression_call;
    self->text = Py_NewRef(text);
    self->names = names_of(compiled);
    if (!self->names)
        Py_CLEAR(self);
    return (PyObject *)self;
}

/* Makes room for one more: the one that was not used for the longest time goes. */
static int drop_oldest(PyObject *cache) {
    PyObject *key, *value, *oldest = NULL;
    uint64_t least = UINT64_MAX;
    Py_ssize_t at = 0;
    while (PyDict_Next(cache, &at, &key, &value)) {
        uint64_t use = __atomic_load_n(&cast(value)->last_use, __ATOMIC_RELAXED);
        if (use < least) {
            least = use;
            oldest = key;
        }
    }
    return oldest ? PyDict_DelItem(cache, oldest) : 0;
}

static bool keep(PyObject *cache, PyObject *text, PyObject *expression) {
    int result = 0;
#if PY_VERSION_HEX >= 0x030d0000
    Py_BEGIN_CRITICAL_SECTION(cache);
#endif
    if (PyDict_Size(cache) >= CACHED)
        result = drop_oldest(cache);
    if (result == 0)
        result = PyDict_SetItem(cache, text, expression);
#if PY_VERSION_HEX >= 0x030d0000
    Py_END_CRITICAL_SECTION();
#endif
    return result == 0;
}

static PyObject *find(PyObject *cache, PyObject *text) {
#if PY_VERSION_HEX >= 0x030d0000
    PyObject *expression;
    return PyDict_GetItemRef(cache, text, &expression) < 0 ? NULL : expression;
#else
    return Py_XNewRef(PyDict_GetItemWithError(cache, text));
#endif
}

/* The text compiled, now or on an earlier call. */
static PyObject *compiled(struct sw_fastmath *state, PyObject *text) {
    if (!PyUnicode_CheckExact(text))
        return compile_text(state, text);
    PyObject *expression = find(state->expressions, text);
    if (!expression && PyErr_Occurred())
        return NULL;
    uint64_t now = __atomic_add_fetch(&state->uses, 1, __ATOMIC_RELAXED);
    bool is_new = !expression;
    if (is_new)
        expression = compile_text(state, text);
    if (!expression)
        return NULL;
    __atomic_store_n(&cast(expression)->last_use, now, __ATOMIC_RELAXED);
    if (is_new && !keep(state->expressions, text, expression))
        Py_CLEAR(expression);
    return expression;
}

static PyObject *evaluate(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    struct sw_fastmath *state = sw_fastmath_state(module);
    struct sw_fastmath_call call = {args, count, names};
    struct sw_evaluation what;
    if (!read_call(state, &call, 1, &what))
        return NULL;
    if (!what.text) {
        PyErr_SetString(PyExc_TypeError, "evaluate() missing required argument 'expression' (pos 1)");
        return NULL;
    }
    PyObject *expression = compiled(state, what.text);
    PyObject *result = expression ? sw_expression_evaluate(state, cast(expression), &what) : NULL;
    Py_XDECREF(expression);
    return result;
}

static PyObject *compile(PyObject *module, PyObject *text) {
    return compile_text(sw_fastmath_state(module), text);
}

static PyObject *where(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    static const struct sw_fastmath_signature signature = {
        "where", 5, 3, 4, {SW_KEY_cond, SW_KEY_a, SW_KEY_b, SW_KEY_out, SW_KEY_threads}};
    struct sw_fastmath *state = sw_fastmath_state(module);
    PyObject *values[5];
    if (!sw_fastmath_arguments(state, &signature, &(struct sw_fastmath_call){args, count, names}, values))
        return NULL;
    PyObject *expression = compiled(state, state->where_text);
    const struct sw_evaluation what = {.out = values[3], .threads = values[4]};
    PyObject *result = expression ? sw_expression_apply(state, cast(expression), values, &what) : NULL;
    Py_XDECREF(expression);
    return result;
}

static PyObject *expression_repr(PyObject *self) {
    return PyUnicode_FromFormat("compile(%R)", cast(self)->text);
}

static PyObject *expression_reduce(PyObject *self, PyObject *unused) {
    PyObject *module = PyType_GetModule(Py_TYPE(self));
    PyObject *function = module ? PyObject_GetAttrString(module, "compile") : NULL;
    PyObject *result = function ? Py_BuildValue("O(O)", function, cast(self)->text) : NULL;
    Py_XDECREF(function);
    return result;
}

static PyMethodDef expression_methods[] = {
    {"__reduce__", expression_reduce, METH_NOARGS,
     "__reduce__($self, /)\n--\n\nFor pickle: the text is compiled again."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef expression_members[] = {
    {"text", T_OBJECT_EX, offsetof(struct sw_expression_object, text), READONLY, "What was compiled."},
    {"names", T_OBJECT_EX, offsetof(struct sw_expression_object, names), READONLY,
     "The names of the operands, in the order of their first use."},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(struct sw_expression_object, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static const char expression_doc[] =
    "An expression compiled by compile(); call it as expression(names=None, out=None, *, threads=None, **operands), as\n"
    "evaluate() without the text.";

static PyType_Slot expression_slots[] = {
    {Py_tp_doc, (void *)expression_doc},
    {Py_tp_dealloc, (void *)expression_dealloc},
    {Py_tp_repr, (void *)expression_repr},
    {Py_tp_call, (void *)PyVectorcall_Call},
    {Py_tp_methods, (void *)expression_methods},
    {Py_tp_members, (void *)expression_members},
    {0, NULL},
};

PyType_Spec sw_fastmath_expression_spec = {
    .name = "sidewinder.fastmath.Expression",
    .basicsize = sizeof(struct sw_expression_object),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = expression_slots,
};

#define METHOD(name, doc) \
    { #name, (PyCFunction)(void (*)(void))(name), METH_FASTCALL | METH_KEYWORDS, doc }

PyMethodDef sw_fastmath_expression_methods[] = {
    METHOD(
        evaluate,
        "evaluate($module, /, expression, names=None, out=None, *, threads=None, **operands)\n--\n\n"
        "The value of an expression such as \"where(a > 0, a*b + c, 0)\" for every element, in one pass without temporary\n"
        "arrays. The text is compiled at its first use and remembered.\n\n"
        "Its names are looked up in the keywords, then in the mapping `names`; without a mapping, in the caller's local and\n"
        "global variables. Operands broadcast as in NumPy. The result is float32 if all arrays are, else float64; a float\n"
        "if there is no array. A truth counts as 1 or 0.\n\n"
        "Operators, as in Python: + - * / // % **, comparisons, & | ~ on truths. Functions: abs, exp, log, log2, log10,\n"
        "log1p, expm1, sqrt, sin, cos, tan, tanh, floor, ceil, round, sign, minimum, maximum, where, fma, pow.\n\n"
        "out: where to write, float64 or float32 in C order; may be an operand of that shape and dtype.\n"
        "Raises ValueError for a text that is no expression and for shapes that do not fit, NameError, TypeError."),
    {"compile", compile, METH_O,
     "compile($module, expression, /)\n--\n\n"
     "The Expression of a text: call it as evaluate() without the text. Raises ValueError."},
    METHOD(where, "where($module, /, cond, a, b, out=None, *, threads=None)\n--\n\n"
                  "a where cond is true (not 0), else b, element by element; the three broadcast as in NumPy.\n\n"
                  "out: as in evaluate()."),
    {NULL, NULL, 0, NULL},
};
