/* fastmath_arguments.c - Keywords, numbers and threads= of the functions of sidewinder.fastmath. */
#include "bind/fastmath.h"

#include "bind/bind.h"
#include "pool/team.h"

#define LONG_NS 2000      /* leaving the interpreter and coming back costs about 50 ns */
#define PARALLEL_NS 40000 /* waking a sleeping thread costs some microseconds */

static bool refuse_count(const struct sw_fastmath_signature *signature, Py_ssize_t given) {
    PyErr_Format(PyExc_TypeError, "%s() takes at most %d positional argument%s but %zd were given", signature->name,
                 signature->positional, signature->positional == 1 ? "" : "s", given);
    return false;
}

/* The place of a keyword in the signature, or -1 with a TypeError. */
static int find_key(const struct sw_fastmath *state, const struct sw_fastmath_signature *signature, PyObject *name) {
    for (int i = 0; i < signature->count; i++) {
        if (name == state->keys[signature->keys[i]])
            return i;
    }
    for (int i = 0; i < signature->count; i++) {
        if (sw_fastmath_is_key(state, name, signature->keys[i]))
            return i;
    }
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument %R", signature->name, name);
    return -1;
}

static bool take_keywords(const struct sw_fastmath *state, const struct sw_fastmath_signature *signature,
                          const struct sw_fastmath_call *call, PyObject **values) {
    Py_ssize_t count = PyTuple_GET_SIZE(call->names);
    for (Py_ssize_t k = 0; k < count; k++) {
        int i = find_key(state, signature, PyTuple_GET_ITEM(call->names, k));
        if (i < 0)
            return false;
        if (values[i]) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%s'", signature->name,
                         sw_fastmath_key_text(signature->keys[i]));
            return false;
        }
        values[i] = call->args[call->positional + k];
    }
    return true;
}

const char *sw_fastmath_key_text(enum sw_fastmath_key key) {
    static const char *const texts[SW_KEY_COUNT] = {
#define SW_FASTMATH_KEY(name) #name,
        SW_FASTMATH_KEYS(SW_FASTMATH_KEY)
#undef SW_FASTMATH_KEY
    };
    return texts[key];
}

/* Interned texts are equal where they are one object; those of keywords in Python code are. */
bool sw_fastmath_is_key(const struct sw_fastmath *state, PyObject *name, enum sw_fastmath_key key) {
    return name == state->keys[key] ||
           (!PyUnicode_CHECK_INTERNED(name) && PyUnicode_CompareWithASCIIString(name, sw_fastmath_key_text(key)) == 0);
}

bool sw_fastmath_arguments(const struct sw_fastmath *state, const struct sw_fastmath_signature *signature,
                           const struct sw_fastmath_call *call, PyObject **values) {
    if (call->positional > signature->positional)
        return refuse_count(signature, call->positional);
    for (Py_ssize_t i = 0; i < signature->count; i++)
        values[i] = i < call->positional ? call->args[i] : NULL;
    if (call->names && !take_keywords(state, signature, call, values))
        return false;
    for (int i = 0; i < signature->required; i++) {
        if (!values[i]) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s' (pos %d)", signature->name,
                         sw_fastmath_key_text(signature->keys[i]), i + 1);
            return false;
        }
    }
    for (int i = signature->required; i < signature->count; i++) {
        if (values[i] == Py_None)
            values[i] = NULL;
    }
    return true;
}

bool sw_fastmath_number(PyObject *object, const char *what, double *value) {
    if (!object)
        return true;
    double number = PyFloat_AsDouble(object);
    if (number == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError, "%s must be a number, not %.100s", what, Py_TYPE(object)->tp_name);
        return false;
    }
    *value = number;
    return true;
}

bool sw_fastmath_integer(PyObject *object, const char *what, struct sw_fastmath_limits limits, long long *value) {
    if (!object)
        return true;
    PyObject *integer = PyNumber_Index(object);
    if (!integer) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError, "%s must be an int, not %.100s", what, Py_TYPE(object)->tp_name);
        return false;
    }
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(integer, &overflow);
    Py_DECREF(integer);
    if (overflow || number < limits.low || number > limits.high) {
        PyErr_Format(PyExc_ValueError, "%s must lie in %lld ... %lld, not %R", what, limits.low, limits.high, object);
        return false;
    }
    *value = number;
    return true;
}

bool sw_fastmath_truth(PyObject *object, bool *value) {
    int truth = object ? PyObject_IsTrue(object) : *value;
    if (truth >= 0)
        *value = truth != 0;
    return truth >= 0;
}

bool sw_fastmath_plan(PyObject *threads, double estimate_ns, struct sw_fastmath_work *work) {
    long long count = 0;
    work->parallel = NULL;
    work->is_long = estimate_ns > LONG_NS;
    if (!threads) {
        if (estimate_ns > PARALLEL_NS)
            work->parallel = sw_team_shared(0);
        return true;
    }
    if (!sw_fastmath_integer(threads, "threads", (struct sw_fastmath_limits){1, SW_TEAM_LANES}, &count))
        return false;
    if (count > 1)
        work->parallel = sw_team_shared((unsigned)count);
    work->is_long = work->is_long || work->parallel; /* the team may be busy: others must be able to run meanwhile */
    return true;
}

PyThreadState *sw_fastmath_detach(const struct sw_fastmath_work *work) {
    return work->is_long ? PyEval_SaveThread() : NULL;
}

void sw_fastmath_attach(PyThreadState *detached) {
    if (detached)
        PyEval_RestoreThread(detached);
}

PyObject *sw_fastmath_raise(const struct sw_error *err) {
    PyErr_SetString(err->status == SW_NOMEM ? PyExc_MemoryError : PyExc_ValueError, err->text);
    return NULL;
}
