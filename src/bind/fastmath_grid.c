/* fastmath_grid.c - Of sidewinder.fastmath: the matrix product, and diffusion on a grid. */
#include "bind/fastmath.h"

#include <limits.h>
#include <math.h>

#include "bind/bind.h"
#include "kernels/matmul.h"
#include "kernels/reduce.h"
#include "kernels/stencil.h"

/* Time on one thread, from which it is decided where the work runs. */
#define PRODUCT_NS 0.02 /* a multiplication and its addition */
#define VECTOR_NS 0.3   /* the same where both are vectors: reading them */
#define CELL_NS 0.5     /* a cell and step of diffusion */

#define CALL(args, count, names) (&(struct sw_fastmath_call){args, count, names})

/* A vector on the left is a row, on the right a column. */
static struct sw_array as_matrix(const struct sw_array *array, bool is_left) {
    struct sw_array matrix = *array;
    if (array->dims == 2)
        return matrix;
    ptrdiff_t size = (ptrdiff_t)sw_dtype_size(array->dtype);
    unsigned along = is_left ? 1 : 0;
    matrix.dims = 2;
    matrix.shape[along] = array->shape[0];
    matrix.strides[along] = array->strides[0];
    matrix.shape[1 - along] = 1;
    matrix.strides[1 - along] = size;
    return matrix;
}

static bool are_factors(const struct sw_array *a, const struct sw_array *b) {
    if (a->dims < 1 || a->dims > 2 || b->dims < 1 || b->dims > 2) {
        PyErr_Format(PyExc_ValueError, "matmul() takes matrices and vectors (2 or 1 dimensions), not shapes %s and %s",
                     sw_bind_shape_text(a).text, sw_bind_shape_text(b).text);
        return false;
    }
    size_t inner = a->shape[a->dims - 1], other = b->shape[0];
    if (inner == other)
        return true;
    PyErr_Format(PyExc_ValueError, "shapes %s and %s not aligned: %zd (dim %u) != %zd (dim 0)",
                 sw_bind_shape_text(a).text, sw_bind_shape_text(b).text, (Py_ssize_t)inner, a->dims - 1,
                 (Py_ssize_t)other);
    return false;
}

static bool multiply(const struct sw_array *a, const struct sw_array *b, struct sw_array *out, PyObject *threads) {
    struct sw_fastmath_work work;
    double products = (double)a->shape[0] * (double)a->shape[1] * (double)b->shape[1];
    if (!sw_fastmath_plan(threads, PRODUCT_NS * products, &work))
        return false;
    PyThreadState *detached = sw_fastmath_detach(&work);
    enum sw_status status = sw_matmul(a, b, out, work.parallel);
    sw_fastmath_attach(detached);
    return sw_bind_check(status);
}

/* Of two vectors. */
static PyObject *inner_product(const struct sw_array *a, const struct sw_array *b, PyObject *threads) {
    struct sw_fastmath_work work;
    if (!sw_fastmath_plan(threads, VECTOR_NS * (double)a->shape[0], &work))
        return NULL;
    PyThreadState *detached = sw_fastmath_detach(&work);
    double number = sw_reduce_dot(a, b, work.parallel);
    sw_fastmath_attach(detached);
    return PyFloat_FromDouble(number);
}

/* options: out, threads. */
static PyObject *product(struct sw_fastmath *state, const struct sw_operand *pair, PyObject *const *options) {
    const struct sw_array *a = pair[0].array, *b = pair[1].array;
    if (!are_factors(a, b))
        return NULL;
    struct sw_array left = as_matrix(a, true), right = as_matrix(b, false);
    size_t sizes[2];
    unsigned dims = 0;
    if (a->dims == 2)
        sizes[dims++] = left.shape[0];
    if (b->dims == 2)
        sizes[dims++] = right.shape[1];
    if (dims == 0 && !options[0])
        return inner_product(a, b, options[1]);
    struct sw_result result;
    const struct sw_result_shape shape = {(enum sw_bind_kind)a->dtype, dims, sizes,
                                          pair[0].is_numpy || pair[1].is_numpy};
    if (!sw_result_open(state, options[0], &shape, &result))
        return NULL;
    struct sw_array out = {.data = result.array->data, .dtype = a->dtype, .dims = 2};
    ptrdiff_t size = (ptrdiff_t)sw_dtype_size(a->dtype);
    out.shape[0] = left.shape[0];
    out.shape[1] = right.shape[1];
    out.strides[0] = (ptrdiff_t)right.shape[1] * size;
    out.strides[1] = size;
    bool is_ok = sw_result_is_apart(&result, a, "a", false) && sw_result_is_apart(&result, b, "b", false) &&
                 multiply(&left, &right, &out, options[1]);
    return sw_result_close(&result, is_ok);
}

static PyObject *matmul(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    static const struct sw_fastmath_signature signature = {
        "matmul", 4, 2, 3, {SW_KEY_a, SW_KEY_b, SW_KEY_out, SW_KEY_threads}};
    struct sw_fastmath *state = sw_fastmath_state(module);
    PyObject *values[4];
    struct sw_operand pair[2];
    if (!sw_fastmath_arguments(state, &signature, CALL(args, count, names), values) ||
        !sw_operand_take_pair(state, values, pair))
        return NULL;
    PyObject *result = sw_operand_unify(state, &pair[0], &pair[1]) ? product(state, pair, values + 2) : NULL;
    sw_operand_release_all(pair, 2);
    return result;
}

struct diffusion {
    struct sw_diffusion what;
    PyObject *out, *threads;
};

static PyObject *run_diffusion(struct sw_fastmath *state, const struct sw_operand *grid, struct diffusion *d) {
    const struct sw_array *array = grid->array;
    if (array->dims != 2)
        return PyErr_Format(PyExc_ValueError, "diffuse() takes a grid of 2 dimensions, not shape %s",
                            sw_bind_shape_text(array).text);
    struct sw_fastmath_work work;
    struct sw_result result;
    const struct sw_result_shape shape = {(enum sw_bind_kind)array->dtype, 2, array->shape, grid->is_numpy};
    double cells = (double)sw_array_count(array) * (double)(d->what.steps ? d->what.steps : 1);
    if (!sw_fastmath_plan(d->threads, CELL_NS * cells, &work) || !sw_result_open(state, d->out, &shape, &result))
        return NULL;
    d->what.grid = array;
    d->what.out = result.array;
    bool is_ok = sw_result_is_apart(&result, array, "grid", true);
    if (is_ok) {
        PyThreadState *detached = sw_fastmath_detach(&work);
        enum sw_status status = sw_stencil_diffuse(&d->what, work.parallel);
        sw_fastmath_attach(detached);
        is_ok = sw_bind_check(status);
    }
    return sw_result_close(&result, is_ok);
}

static PyObject *diffuse(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    static const struct sw_fastmath_signature signature = {
        "diffuse", 6, 1, 5, {SW_KEY_grid, SW_KEY_steps, SW_KEY_rate, SW_KEY_periodic, SW_KEY_out, SW_KEY_threads}};
    struct sw_fastmath *state = sw_fastmath_state(module);
    PyObject *values[6];
    struct sw_operand grid;
    long long steps = 1;
    struct diffusion diffusion = {.what = {.rate = 0.1, .is_periodic = true}};
    if (!sw_fastmath_arguments(state, &signature, CALL(args, count, names), values) ||
        !sw_fastmath_integer(values[1], "steps", (struct sw_fastmath_limits){0, LONG_MAX}, &steps) ||
        !sw_fastmath_number(values[2], "rate", &diffusion.what.rate) ||
        !sw_fastmath_truth(values[3], &diffusion.what.is_periodic))
        return NULL;
    if (!isfinite(diffusion.what.rate))
        return PyErr_Format(PyExc_ValueError, "rate must be finite, not %R", values[2]);
    if (!sw_operand_take(state, values[0], &grid))
        return NULL;
    diffusion.what.steps = (size_t)steps;
    diffusion.out = values[4];
    diffusion.threads = values[5];
    PyObject *result = run_diffusion(state, &grid, &diffusion);
    sw_operand_release(&grid);
    return result;
}

#define METHOD(name, doc) \
    { #name, (PyCFunction)(void (*)(void))(name), METH_FASTCALL | METH_KEYWORDS, doc }

PyMethodDef sw_fastmath_grid_methods[] = {
    METHOD(
        matmul,
        "matmul($module, /, a, b, out=None, *, threads=None)\n--\n\n"
        "The matrix product of a (m x k) and b (k x n), m x n; a vector on the left is a row, on the right a column, and\n"
        "its dimension is left out of the result; two vectors give a float.\n\n"
        "out: where to write, in C order, apart from a and b. float32 if both are, else float64.\n"
        "Raises ValueError for shapes that do not fit. Method: Goto and van de Geijn (2008), as in BLIS."),
    METHOD(
        diffuse,
        "diffuse($module, /, grid, steps=1, rate=0.1, periodic=True, out=None, *, threads=None)\n--\n\n"
        "The grid (2 dimensions) after `steps` explicit steps of the diffusion equation: each adds\n"
        "rate * (left + right + up + down - 4 * u) to a cell u; stable for a rate up to 0.25. periodic: the neighbours of\n"
        "an edge are on the opposite one; else the values on the border stay as they are.\n\n"
        "out: where to write, in C order; may be grid itself. The bits do not depend on the number of threads."),
    {NULL, NULL, 0, NULL},
};
