/* fastmath_reduce.c - Of sidewinder.fastmath: one number, or two, from all elements of an array. */
#include "bind/fastmath.h"

#include <math.h>

#include "kernels/reduce.h"

/* ns an element on one thread, from which it is decided where the work runs. */
#define SUM_NS 0.15
#define MOMENTS_NS 0.25
#define DOT_NS 0.3

#define CALL(args, count, names) (&(struct sw_fastmath_call){args, count, names})

typedef double (*reduction)(const struct sw_array *x, struct sw_parallel *parallel);

static double mean_of(const struct sw_array *x, struct sw_parallel *parallel) {
    return sw_reduce_sum(x, parallel) / (double)sw_array_count(x);
}

static PyObject *reduce(PyObject *module, const struct sw_fastmath_call *call, const char *name, reduction run) {
    const struct sw_fastmath_signature signature = {name, 2, 1, 1, {SW_KEY_x, SW_KEY_threads}};
    struct sw_fastmath *state = sw_fastmath_state(module);
    PyObject *values[2];
    struct sw_fastmath_work work;
    struct sw_operand x;
    if (!sw_fastmath_arguments(state, &signature, call, values) || !sw_operand_take(state, values[0], &x))
        return NULL;
    PyObject *result = NULL;
    if (sw_fastmath_plan(values[1], SUM_NS * (double)sw_array_count(x.array), &work)) {
        PyThreadState *detached = sw_fastmath_detach(&work);
        double number = run(x.array, work.parallel);
        sw_fastmath_attach(detached);
        result = PyFloat_FromDouble(number);
    }
    sw_operand_release(&x);
    return result;
}

static PyObject *sum(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    return reduce(module, CALL(args, count, names), "sum", sw_reduce_sum);
}

static PyObject *norm(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    return reduce(module, CALL(args, count, names), "norm", sw_reduce_norm);
}

static PyObject *mean(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    return reduce(module, CALL(args, count, names), "mean", mean_of);
}

static bool spread(PyObject *module, const struct sw_fastmath_call *call, const char *name, double *variance) {
    const struct sw_fastmath_signature signature = {name, 3, 1, 2, {SW_KEY_x, SW_KEY_ddof, SW_KEY_threads}};
    struct sw_fastmath *state = sw_fastmath_state(module);
    PyObject *values[3];
    struct sw_fastmath_work work;
    struct sw_operand x;
    double ddof = 0;
    if (!sw_fastmath_arguments(state, &signature, call, values) || !sw_fastmath_number(values[1], "ddof", &ddof) ||
        !sw_operand_take(state, values[0], &x))
        return false;
    bool is_ok = sw_fastmath_plan(values[2], MOMENTS_NS * (double)sw_array_count(x.array), &work);
    if (is_ok) {
        PyThreadState *detached = sw_fastmath_detach(&work);
        struct sw_moments moments = sw_reduce_moments(x.array, work.parallel);
        sw_fastmath_attach(detached);
        double freedom = (double)moments.count - ddof;
        *variance = freedom > 0 ? moments.m2 / freedom : NAN;
    }
    sw_operand_release(&x);
    return is_ok;
}

static PyObject *var(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    double variance;
    return spread(module, CALL(args, count, names), "var", &variance) ? PyFloat_FromDouble(variance) : NULL;
}

static PyObject *std(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    double variance;
    return spread(module, CALL(args, count, names), "std", &variance) ? PyFloat_FromDouble(sqrt(variance)) : NULL;
}

static PyStructSequence_Field summary_fields[] = {
    {"count", "how many elements"},
    {"mean", "their mean"},
    {"var", "their variance"},
    {"std", "their standard deviation"},
    {"min", "the smallest"},
    {"max", "the largest"},
    {NULL, NULL},
};

PyStructSequence_Desc sw_fastmath_summary_desc = {
    .name = "sidewinder.fastmath.Summary",
    .doc = "What summary() finds in one pass: the count, mean, variance, standard deviation and extremes.",
    .fields = summary_fields,
    .n_in_sequence = 6,
};

static PyObject *pair_of(double first, double second) {
    PyObject *a = PyFloat_FromDouble(first), *b = PyFloat_FromDouble(second);
    PyObject *pair = a && b ? PyTuple_Pack(2, a, b) : NULL;
    Py_XDECREF(a);
    Py_XDECREF(b);
    return pair;
}

static PyObject *minmax(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    static const struct sw_fastmath_signature signature = {"minmax", 2, 1, 1, {SW_KEY_x, SW_KEY_threads}};
    struct sw_fastmath *state = sw_fastmath_state(module);
    PyObject *values[2], *result = NULL;
    struct sw_fastmath_work work;
    struct sw_operand x;
    if (!sw_fastmath_arguments(state, &signature, CALL(args, count, names), values) ||
        !sw_operand_take(state, values[0], &x))
        return NULL;
    size_t elements = sw_array_count(x.array);
    if (elements == 0)
        PyErr_SetString(PyExc_ValueError, "minmax() of nothing: there is no smallest element");
    else if (sw_fastmath_plan(values[1], SUM_NS * (double)elements, &work)) {
        PyThreadState *detached = sw_fastmath_detach(&work);
        struct sw_extremes extremes = sw_reduce_extremes(x.array, work.parallel);
        sw_fastmath_attach(detached);
        result = pair_of(extremes.min, extremes.max);
    }
    sw_operand_release(&x);
    return result;
}

static PyObject *summary_of(struct sw_fastmath *state, const struct sw_summary *s, double ddof) {
    double freedom = (double)s->count - ddof, variance = freedom > 0 ? s->m2 / freedom : NAN;
    const double numbers[] = {s->mean, variance, sqrt(variance), s->min, s->max};
    PyObject *result = PyStructSequence_New(state->summary_type);
    PyObject *count = result ? PyLong_FromSize_t(s->count) : NULL;
    if (!count) {
        Py_XDECREF(result);
        return NULL;
    }
    PyStructSequence_SET_ITEM(result, 0, count);
    for (Py_ssize_t i = 0; result && i < 5; i++) {
        PyObject *number = PyFloat_FromDouble(numbers[i]);
        if (number)
            PyStructSequence_SET_ITEM(result, i + 1, number);
        else
            Py_CLEAR(result);
    }
    return result;
}

static PyObject *summary(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    static const struct sw_fastmath_signature signature = {"summary", 3, 1, 2, {SW_KEY_x, SW_KEY_ddof, SW_KEY_threads}};
    struct sw_fastmath *state = sw_fastmath_state(module);
    PyObject *values[3], *result = NULL;
    struct sw_fastmath_work work;
    struct sw_operand x;
    double ddof = 0;
    if (!sw_fastmath_arguments(state, &signature, CALL(args, count, names), values) ||
        !sw_fastmath_number(values[1], "ddof", &ddof) || !sw_operand_take(state, values[0], &x))
        return NULL;
    if (sw_fastmath_plan(values[2], MOMENTS_NS * (double)sw_array_count(x.array), &work)) {
        PyThreadState *detached = sw_fastmath_detach(&work);
        struct sw_summary found = sw_reduce_summary(x.array, work.parallel);
        sw_fastmath_attach(detached);
        result = summary_of(state, &found, ddof);
    }
    sw_operand_release(&x);
    return result;
}

static bool are_vectors(const struct sw_array *x, const struct sw_array *y, const char *name) {
    if (x->dims != 1 || y->dims != 1) {
        PyErr_Format(PyExc_ValueError, "%s() takes vectors (1 dimension), not shapes %s and %s", name,
                     sw_bind_shape_text(x).text, sw_bind_shape_text(y).text);
        return false;
    }
    if (x->shape[0] != y->shape[0]) {
        PyErr_Format(PyExc_ValueError, "shapes %s and %s not aligned: %zd (dim 0) != %zd (dim 0)",
                     sw_bind_shape_text(x).text, sw_bind_shape_text(y).text, (Py_ssize_t)x->shape[0],
                     (Py_ssize_t)y->shape[0]);
        return false;
    }
    return true;
}

static PyObject *dot(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    static const struct sw_fastmath_signature signature = {"dot", 3, 2, 2, {SW_KEY_x, SW_KEY_y, SW_KEY_threads}};
    struct sw_fastmath *state = sw_fastmath_state(module);
    PyObject *values[3], *result = NULL;
    struct sw_fastmath_work work;
    struct sw_operand pair[2];
    if (!sw_fastmath_arguments(state, &signature, CALL(args, count, names), values) ||
        !sw_operand_take_pair(state, values, pair))
        return NULL;
    const struct sw_array *x = pair[0].array, *y = pair[1].array;
    if (are_vectors(x, y, "dot") && sw_fastmath_plan(values[2], DOT_NS * (double)x->shape[0], &work)) {
        PyThreadState *detached = sw_fastmath_detach(&work);
        double number = sw_reduce_dot(x, y, work.parallel);
        sw_fastmath_attach(detached);
        result = PyFloat_FromDouble(number);
    }
    sw_operand_release_all(pair, 2);
    return result;
}

static bool find_joint(PyObject *module, const struct sw_fastmath_call *call, const char *name,
                       struct sw_joint_moments *moments) {
    const struct sw_fastmath_signature signature = {name, 3, 2, 2, {SW_KEY_x, SW_KEY_y, SW_KEY_threads}};
    struct sw_fastmath *state = sw_fastmath_state(module);
    PyObject *values[3];
    struct sw_fastmath_work work;
    struct sw_operand pair[2];
    if (!sw_fastmath_arguments(state, &signature, call, values) || !sw_operand_take_pair(state, values, pair))
        return false;
    const struct sw_array *x = pair[0].array, *y = pair[1].array;
    bool is_ok = are_vectors(x, y, name) && sw_fastmath_plan(values[2], DOT_NS * (double)x->shape[0], &work);
    if (is_ok) {
        PyThreadState *detached = sw_fastmath_detach(&work);
        *moments = sw_reduce_joint(x, y, work.parallel);
        sw_fastmath_attach(detached);
    }
    sw_operand_release_all(pair, 2);
    return is_ok;
}

/* NaN where either does not vary: nothing can be said then. Rounding must not lead beyond 1. */
static double correlation(const struct sw_joint_moments *m) {
    if (m->count < 2 || m->m2_x == 0 || m->m2_y == 0)
        return NAN;
    double product = m->m2_x * m->m2_y;
    /* One root rounds less; two where the product leaves the range of doubles. */
    double r = m->c_xy / (isnormal(product) ? sqrt(product) : sqrt(m->m2_x) * sqrt(m->m2_y));
    return r > 1 ? 1 : r < -1 ? -1 : r;
}

static PyObject *corr(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    struct sw_joint_moments moments;
    return find_joint(module, CALL(args, count, names), "corr", &moments) ? PyFloat_FromDouble(correlation(&moments))
                                                                          : NULL;
}

static PyObject *linear_regression(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    struct sw_joint_moments m;
    if (!find_joint(module, CALL(args, count, names), "linear_regression", &m))
        return NULL;
    if (m.count < 2)
        return PyErr_Format(PyExc_ValueError, "linear_regression() needs at least 2 points, not %zd",
                            (Py_ssize_t)m.count);
    if (m.m2_x == 0) {
        PyErr_SetString(PyExc_ValueError, "linear_regression(): all x are the same, so there is no slope");
        return NULL;
    }
    double slope = m.c_xy / m.m2_x;
    return Py_BuildValue("(ddd)", slope, m.mean_y - slope * m.mean_x, correlation(&m));
}

#define METHOD(name, doc) \
    { #name, (PyCFunction)(void (*)(void))(name), METH_FASTCALL | METH_KEYWORDS, doc }

PyMethodDef sw_fastmath_reduce_methods[] = {
    METHOD(sum, "sum($module, /, x, *, threads=None)\n--\n\n"
                "The sum of all elements, accumulated in float64; 0.0 of nothing.\n\n"
                "x: numbers in any shape. The result does not depend on the number of threads."),
    METHOD(norm,
           "norm($module, /, x, *, threads=None)\n--\n\n"
           "The Euclidean length of all elements, sqrt(sum(x**2)), without overflow or underflow on the way; 0.0 of\n"
           "nothing."),
    METHOD(mean, "mean($module, /, x, *, threads=None)\n--\n\nThe arithmetic mean of all elements; NaN of nothing."),
    METHOD(
        var,
        "var($module, /, x, ddof=0, *, threads=None)\n--\n\n"
        "The variance of all elements: the sum of squared deviations from the mean, divided by count - ddof. NaN where\n"
        "count - ddof is not positive.\n\n"
        "One pass with the pairwise update of Chan, Golub and LeVeque (1983)."),
    METHOD(std, "std($module, /, x, ddof=0, *, threads=None)\n--\n\nThe standard deviation: the square root of var()."),
    METHOD(minmax, "minmax($module, /, x, *, threads=None)\n--\n\n"
                   "(smallest, largest) of all elements in one pass; both are NaN if one element is.\n\n"
                   "Raises ValueError for nothing."),
    METHOD(
        summary,
        "summary($module, /, x, ddof=0, *, threads=None)\n--\n\n"
        "A Summary of all elements, found in one pass: count, mean, var, std, min, max. All but the count are NaN of\n"
        "nothing, and if an element is NaN."),
    METHOD(dot, "dot($module, /, x, y, *, threads=None)\n--\n\n"
                "The inner product of two vectors of one length; 0.0 of nothing. For matrices there is matmul()."),
    METHOD(corr, "corr($module, /, x, y, *, threads=None)\n--\n\n"
                 "Pearson's correlation of two vectors, -1.0 ... 1.0; NaN where one of them does not vary."),
    METHOD(
        linear_regression,
        "linear_regression($module, /, x, y, *, threads=None)\n--\n\n"
        "(slope, intercept, r) of the line through the points (x[i], y[i]) with the least squares in y; r is corr(x, y).\n\n"
        "Raises ValueError for fewer than 2 points and where all x are the same."),
    {NULL, NULL, 0, NULL},
};
