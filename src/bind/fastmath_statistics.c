/* fastmath_statistics.c - Of sidewinder.fastmath: quantiles, histograms and moving averages. */
#include "bind/fastmath.h"

#include <math.h>
#include <string.h>

#include "bind/bind.h"
#include "kernels/reduce.h"

/* ns an element on one thread, from which it is decided where the work runs. */
#define QUANTILE_NS 0.8
#define HISTOGRAM_NS 1.5
#define BIN_NS 4.0 /* a bin: its count and its edge, in new memory */
#define EWMA_NS 1.5
#define MOST_BINS (1 << 28)

#define CALL(args, count, names) (&(struct sw_fastmath_call){args, count, names})

struct quantiles {
    const double *q;
    size_t count;
    double *out;
};

static bool find_quantiles(const struct sw_operand *x, const struct quantiles *wanted, PyObject *threads,
                           const char *name) {
    struct sw_fastmath_work work;
    size_t elements = sw_array_count(x->array);
    if (elements == 0) {
        PyErr_Format(PyExc_ValueError, "%s() of nothing: there is no element", name);
        return false;
    }
    if (!sw_fastmath_plan(threads, QUANTILE_NS * (double)elements, &work))
        return false;
    PyThreadState *detached = sw_fastmath_detach(&work);
    enum sw_status status = sw_reduce_quantiles(x->array, wanted->q, wanted->count, wanted->out, work.parallel);
    sw_fastmath_attach(detached);
    return sw_bind_check(status);
}

static PyObject *median(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    static const struct sw_fastmath_signature signature = {"median", 2, 1, 1, {SW_KEY_x, SW_KEY_threads}};
    struct sw_fastmath *state = sw_fastmath_state(module);
    PyObject *values[2];
    struct sw_operand x;
    if (!sw_fastmath_arguments(state, &signature, CALL(args, count, names), values) ||
        !sw_operand_take(state, values[0], &x))
        return NULL;
    double half = 0.5, middle = NAN;
    bool is_ok = find_quantiles(&x, &(struct quantiles){&half, 1, &middle}, values[1], "median");
    sw_operand_release(&x);
    return is_ok ? PyFloat_FromDouble(middle) : NULL;
}

static bool are_fractions(const double *q, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!(q[i] >= 0 && q[i] <= 1)) {
            PyErr_SetString(PyExc_ValueError, "q must lie in 0 ... 1");
            return false;
        }
    }
    return true;
}

/* As an Array of float64 in C order. */
static struct sw_bind_array *read_fractions(struct sw_fastmath *state, PyObject *q) {
    enum sw_bind_kind kind = SW_KIND_F64;
    struct sw_bind_array *array = sw_bind_array_from(state->array_type, q, &kind);
    if (array && !are_fractions((const double *)(const void *)array->array.data, sw_array_count(&array->array)))
        Py_CLEAR(array);
    return array;
}

static PyObject *quantiles_of(struct sw_fastmath *state, const struct sw_operand *x, const struct sw_bind_array *q,
                              PyObject *const *values) {
    PyObject *threads = values[2];
    const double *fractions = (const double *)(const void *)q->array.data;
    struct quantiles wanted = {fractions, sw_array_count(&q->array), NULL};
    double one = NAN;
    if (q->array.dims == 0) {
        wanted.out = &one;
        return find_quantiles(x, &wanted, threads, "quantile") ? PyFloat_FromDouble(one) : NULL;
    }
    struct sw_result result;
    const struct sw_result_shape shape = {SW_KIND_F64, q->array.dims, q->array.shape,
                                          x->is_numpy || sw_operand_is_numpy(state, values[1])};
    if (!sw_result_open(state, NULL, &shape, &result))
        return NULL;
    wanted.out = (double *)(void *)result.array->data;
    return sw_result_close(&result, find_quantiles(x, &wanted, threads, "quantile"));
}

static PyObject *quantile(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    static const struct sw_fastmath_signature signature = {"quantile", 3, 2, 2, {SW_KEY_x, SW_KEY_q, SW_KEY_threads}};
    struct sw_fastmath *state = sw_fastmath_state(module);
    PyObject *values[3], *result = NULL;
    struct sw_operand x;
    if (!sw_fastmath_arguments(state, &signature, CALL(args, count, names), values) ||
        !sw_operand_take(state, values[0], &x))
        return NULL;
    struct sw_bind_array *q = read_fractions(state, values[1]);
    if (q)
        result = quantiles_of(state, &x, q, values);
    Py_XDECREF(q);
    sw_operand_release(&x);
    return result;
}

struct bins {
    double low, high;
    size_t count;
};

static bool refuse_range(const struct bins *bins, const char *why) {
    PyObject *low = PyFloat_FromDouble(bins->low), *high = PyFloat_FromDouble(bins->high);
    if (low && high)
        PyErr_Format(PyExc_ValueError, "the range [%R, %R] of histogram() %s; give range=", low, high, why);
    Py_XDECREF(low);
    Py_XDECREF(high);
    return false;
}

static bool check_range(const struct bins *bins) {
    if (isfinite(bins->low) && isfinite(bins->high) && isfinite(bins->high - bins->low) && bins->low <= bins->high)
        return true;
    return refuse_range(bins, "is not finite and ascending");
}

static bool read_range(PyObject *range, struct bins *bins) {
    PyObject *pair = PySequence_Tuple(range);
    bool is_ok = pair && PyTuple_GET_SIZE(pair) == 2;
    if (pair && !is_ok)
        PyErr_SetString(PyExc_ValueError, "range must be two numbers, (low, high)");
    is_ok = is_ok && sw_fastmath_number(PyTuple_GET_ITEM(pair, 0), "range[0]", &bins->low) &&
            sw_fastmath_number(PyTuple_GET_ITEM(pair, 1), "range[1]", &bins->high);
    Py_XDECREF(pair);
    return is_ok;
}

/* As NumPy: from the smallest element to the largest, 0 ... 1 of nothing, half a unit around a single value. */
static bool find_range(const struct sw_array *x, PyObject *range, const struct sw_fastmath_work *work,
                       struct bins *bins) {
    bins->low = 0;
    bins->high = 1;
    if (range) {
        if (!read_range(range, bins))
            return false;
    } else if (sw_array_count(x) > 0) {
        PyThreadState *detached = sw_fastmath_detach(work);
        struct sw_extremes extremes = sw_reduce_extremes(x, work->parallel);
        sw_fastmath_attach(detached);
        bins->low = extremes.min;
        bins->high = extremes.max;
    }
    if (!check_range(bins))
        return false;
    if (bins->low < bins->high)
        return true;
    const struct bins narrow = *bins;
    bins->low -= 0.5;
    bins->high += 0.5;
    return bins->low < bins->high || refuse_range(&narrow, "cannot be widened by 0.5 at this size");
}

static bool count_bins(const struct sw_array *x, const struct bins *bins, const struct sw_fastmath_work *work,
                       struct sw_result *pair) {
    uint64_t *counts = (uint64_t *)(void *)pair[0].array->data;
    double *edges = (double *)(void *)pair[1].array->data;
    PyThreadState *detached = sw_fastmath_detach(work);
    memset(counts, 0, bins->count * sizeof *counts);
    for (size_t i = 0; i <= bins->count; i++)
        edges[i] = sw_histogram_edge(bins->low, bins->high, bins->count, i);
    enum sw_status status = sw_reduce_histogram(x, bins->low, bins->high, bins->count, counts, work->parallel);
    sw_fastmath_attach(detached);
    return sw_bind_check(status);
}

static PyObject *histogram_of(struct sw_fastmath *state, const struct sw_operand *x, const struct bins *bins,
                              const struct sw_fastmath_work *work) {
    struct sw_result pair[2];
    size_t edges = bins->count + 1;
    const struct sw_result_shape counts_shape = {SW_KIND_I64, 1, &bins->count, x->is_numpy};
    const struct sw_result_shape edges_shape = {SW_KIND_F64, 1, &edges, x->is_numpy};
    if (!sw_result_open(state, NULL, &counts_shape, &pair[0]))
        return NULL;
    if (!sw_result_open(state, NULL, &edges_shape, &pair[1]))
        return sw_result_close(&pair[0], false);
    bool is_ok = count_bins(x->array, bins, work, pair);
    PyObject *a = sw_result_close(&pair[0], is_ok), *b = sw_result_close(&pair[1], is_ok);
    PyObject *result = a && b ? PyTuple_Pack(2, a, b) : NULL;
    Py_XDECREF(a);
    Py_XDECREF(b);
    return result;
}

static PyObject *histogram(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    static const struct sw_fastmath_signature signature = {
        "histogram", 4, 1, 3, {SW_KEY_x, SW_KEY_bins, SW_KEY_range, SW_KEY_threads}};
    struct sw_fastmath *state = sw_fastmath_state(module);
    PyObject *values[4], *result = NULL;
    long long bin_count = 10;
    struct sw_fastmath_work work;
    struct sw_operand x;
    struct bins bins;
    if (!sw_fastmath_arguments(state, &signature, CALL(args, count, names), values) ||
        !sw_fastmath_integer(values[1], "bins", (struct sw_fastmath_limits){1, MOST_BINS}, &bin_count) ||
        !sw_operand_take(state, values[0], &x))
        return NULL;
    bins.count = (size_t)bin_count;
    double estimate_ns = HISTOGRAM_NS * (double)sw_array_count(x.array) + BIN_NS * (double)bins.count;
    if (sw_fastmath_plan(values[3], estimate_ns, &work) && find_range(x.array, values[2], &work, &bins))
        result = histogram_of(state, &x, &bins, &work);
    sw_operand_release(&x);
    return result;
}

static PyObject *ewma_of(struct sw_fastmath *state, const struct sw_operand *x, double alpha, PyObject *out) {
    struct sw_result result;
    const struct sw_result_shape shape = {(enum sw_bind_kind)x->array->dtype, 1, x->array->shape, x->is_numpy};
    if (!sw_result_open(state, out, &shape, &result))
        return NULL;
    bool is_ok = sw_result_is_apart(&result, x->array, "x", true);
    if (is_ok) {
        struct sw_fastmath_work work = {.is_long = (double)x->array->shape[0] * EWMA_NS > 2000};
        PyThreadState *detached = sw_fastmath_detach(&work);
        sw_reduce_ewma(x->array, alpha, result.array);
        sw_fastmath_attach(detached);
    }
    return sw_result_close(&result, is_ok);
}

static PyObject *ewma(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    static const struct sw_fastmath_signature signature = {"ewma", 3, 2, 3, {SW_KEY_x, SW_KEY_alpha, SW_KEY_out}};
    struct sw_fastmath *state = sw_fastmath_state(module);
    PyObject *values[3], *result = NULL;
    double alpha = 0;
    struct sw_operand x;
    if (!sw_fastmath_arguments(state, &signature, CALL(args, count, names), values) ||
        !sw_fastmath_number(values[1], "alpha", &alpha))
        return NULL;
    if (!(alpha > 0 && alpha <= 1))
        return PyErr_Format(PyExc_ValueError, "alpha must lie in 0 ... 1 and not be 0, not %R", values[1]);
    if (!sw_operand_take(state, values[0], &x))
        return NULL;
    if (x.array->dims == 1)
        result = ewma_of(state, &x, alpha, values[2]);
    else
        PyErr_Format(PyExc_ValueError, "ewma() takes a vector (1 dimension), not shape %s",
                     sw_bind_shape_text(x.array).text);
    sw_operand_release(&x);
    return result;
}

#define METHOD(name, doc) \
    { #name, (PyCFunction)(void (*)(void))(name), METH_FASTCALL | METH_KEYWORDS, doc }

PyMethodDef sw_fastmath_statistics_methods[] = {
    METHOD(median, "median($module, /, x, *, threads=None)\n--\n\n"
                   "The middle one of all elements, or the mean of the two in the middle; NaN if an element is.\n\n"
                   "Raises ValueError for nothing. By selection on a copy, not by sorting."),
    METHOD(
        quantile,
        "quantile($module, /, x, q, *, threads=None)\n--\n\n"
        "The value below which the fraction q (0 ... 1) of all elements lies, linear between two elements (type 7 of\n"
        "Hyndman and Fan 1996, NumPy's default); NaN if an element is. A float, or an array in the shape of q.\n\n"
        "Raises ValueError for nothing and for a q outside 0 ... 1."),
    METHOD(
        histogram,
        "histogram($module, /, x, bins=10, range=None, *, threads=None)\n--\n\n"
        "(counts, edges) of all elements in equally wide bins: int64 counts, bins + 1 float64 edges. range: (low, high),\n"
        "by default the smallest and the largest element; the last bin includes its upper edge. Elements outside the\n"
        "range, and NaN, are left out.\n\n"
        "Raises ValueError for a range that is not finite, so also for data with NaN or infinity without range=, and\n"
        "for a single value too large to be widened by 0.5."),
    METHOD(
        ewma,
        "ewma($module, /, x, alpha, out=None)\n--\n\n"
        "The exponentially weighted moving average of a vector, of the dtype of x: out[0] = x[0],\n"
        "out[i] = alpha * x[i] + (1 - alpha) * out[i - 1], 0 < alpha <= 1 (pandas' ewm with adjust=False). A NaN stays\n"
        "from where it is on. out may be x itself."),
    {NULL, NULL, 0, NULL},
};
