/* fastmath_fractal.c - Of sidewinder.fastmath: escape-time counts of the Mandelbrot set and its relatives. */
#include "bind/fastmath.h"

#include <math.h>

#include "kernels/fractal.h"

/* Time on one thread, from which it is decided where the work runs. How many iterations a point takes nobody knows before:
 * all of them is assumed. A tile is large, so this gives no thread too little to do. */
#define POINT_NS 3.0
#define ITERATION_NS 0.4     /* of a point among many */
#define ITERATION_ONE_NS 5.0 /* of a few points: each waits for the one before */

#define MOST_POINTS (1 << 24) /* in a row or a column */
#define TILE_POINTS 8192      /* what a thread takes at once, at least a row; smaller ones leave vector lanes idle */

/* Rows of a picture, given to threads. */
struct picture {
    struct sw_fractal fractal;
    struct sw_fractal_grid grid;
    uint32_t *counts;
};

static void run_rows(void *context, size_t first, size_t last, unsigned lane) {
    const struct picture *picture = context;
    struct sw_fractal_grid rows = picture->grid;
    rows.first_row = (uint32_t)first;
    rows.height = (uint32_t)(last - first);
    const struct sw_fractal_output output = {.counts = picture->counts + first * picture->grid.width};
    sw_fractal_run(&picture->fractal, &rows, &output);
}

static double most_ns(const struct picture *picture) {
    double points = (double)picture->grid.width * picture->grid.height;
    double iteration_ns = points > 0 ? fmax(ITERATION_NS * points, ITERATION_ONE_NS) : 0;
    return POINT_NS * points + iteration_ns * picture->fractal.iterations;
}

static PyObject *render(struct sw_fastmath *state, struct picture *picture, PyObject *const *options) {
    struct sw_fastmath_work work;
    struct sw_result result;
    size_t width = picture->grid.width, sizes[2] = {picture->grid.height, width};
    const struct sw_result_shape shape = {SW_KIND_U32, 2, sizes, false};
    if (!sw_fastmath_plan(options[1], most_ns(picture), &work) || !sw_result_open(state, options[0], &shape, &result))
        return NULL;
    picture->counts = (uint32_t *)(void *)result.array->data;
    picture->grid.row_stride = width;
    struct sw_parallel_loop loop = {.count = width ? sizes[0] : 0,
                                    .grain = TILE_POINTS / (width + 1) + 1,
                                    .body = run_rows,
                                    .context = picture};
    PyThreadState *detached = sw_fastmath_detach(&work);
    sw_parallel_run(work.parallel, &loop);
    sw_fastmath_attach(detached);
    return sw_result_close(&result, true);
}

/* Where an axis begins, and from point to point; the end itself is not a point, as in numpy.linspace(endpoint=False). */
struct axis {
    const char *name;
    double first, last;
};

static bool read_axis(PyObject *pair, struct axis *axis) {
    if (!pair)
        return true;
    PyObject *ends = PySequence_Tuple(pair);
    bool is_ok = ends && PyTuple_GET_SIZE(ends) == 2;
    if (ends && !is_ok)
        PyErr_Format(PyExc_ValueError, "%s must be two numbers, (first, last)", axis->name);
    is_ok = is_ok && sw_fastmath_number(PyTuple_GET_ITEM(ends, 0), axis->name, &axis->first) &&
            sw_fastmath_number(PyTuple_GET_ITEM(ends, 1), axis->name, &axis->last);
    Py_XDECREF(ends);
    if (is_ok && !isfinite(axis->last - axis->first)) {
        PyErr_Format(PyExc_ValueError, "%s must be finite", axis->name);
        return false;
    }
    return is_ok;
}

static bool read_size(PyObject *object, const char *name, uint32_t *size) {
    long long value = 0;
    if (!sw_fastmath_integer(object, name, (struct sw_fastmath_limits){0, MOST_POINTS}, &value))
        return false;
    *size = (uint32_t)value;
    return true;
}

/* The values after c: width, height, x, y, iterations, exact, out, threads. */
static PyObject *picture_of(PyObject *module, PyObject *const *values, struct picture *picture, struct axis *axes) {
    struct sw_fractal_grid *grid = &picture->grid;
    long long iterations = picture->fractal.iterations;
    if (!read_size(values[0], "width", &grid->width) || !read_size(values[1], "height", &grid->height) ||
        !read_axis(values[2], &axes[0]) || !read_axis(values[3], &axes[1]) ||
        !sw_fastmath_integer(values[4], "iterations", (struct sw_fastmath_limits){0, UINT32_MAX - 1}, &iterations) ||
        !sw_fastmath_truth(values[5], &picture->fractal.is_exact))
        return NULL;
    picture->fractal.iterations = (uint32_t)iterations;
    grid->re = axes[0].first;
    grid->im = axes[1].first;
    grid->re_step = grid->width ? (axes[0].last - axes[0].first) / grid->width : 0;
    grid->im_step = grid->height ? (axes[1].last - axes[1].first) / grid->height : 0;
    return render(sw_fastmath_state(module), picture, values + 6);
}

static PyObject *mandelbrot(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    static const struct sw_fastmath_signature signature = {"mandelbrot",
                                                           8,
                                                           2,
                                                           2,
                                                           {SW_KEY_width, SW_KEY_height, SW_KEY_x, SW_KEY_y,
                                                            SW_KEY_iterations, SW_KEY_exact, SW_KEY_out,
                                                            SW_KEY_threads}};
    PyObject *values[8];
    struct axis axes[2] = {{"x", -2.5, 1.0}, {"y", -1.0, 1.0}};
    struct picture picture = {.fractal = {.kind = SW_FRACTAL_MANDELBROT, .iterations = 1000}};
    if (!sw_fastmath_arguments(sw_fastmath_state(module), &signature, &(struct sw_fastmath_call){args, count, names},
                               values))
        return NULL;
    return picture_of(module, values, &picture, axes);
}

static PyObject *burning_ship(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    static const struct sw_fastmath_signature signature = {"burning_ship",
                                                           8,
                                                           2,
                                                           2,
                                                           {SW_KEY_width, SW_KEY_height, SW_KEY_x, SW_KEY_y,
                                                            SW_KEY_iterations, SW_KEY_exact, SW_KEY_out,
                                                            SW_KEY_threads}};
    PyObject *values[8];
    struct axis axes[2] = {{"x", -2.5, 1.5}, {"y", -2.0, 1.0}};
    struct picture picture = {.fractal = {.kind = SW_FRACTAL_BURNING_SHIP, .iterations = 1000}};
    if (!sw_fastmath_arguments(sw_fastmath_state(module), &signature, &(struct sw_fastmath_call){args, count, names},
                               values))
        return NULL;
    return picture_of(module, values, &picture, axes);
}

static PyObject *julia(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    static const struct sw_fastmath_signature signature = {"julia",
                                                           9,
                                                           3,
                                                           3,
                                                           {SW_KEY_c, SW_KEY_width, SW_KEY_height, SW_KEY_x, SW_KEY_y,
                                                            SW_KEY_iterations, SW_KEY_exact, SW_KEY_out,
                                                            SW_KEY_threads}};
    PyObject *values[9];
    struct axis axes[2] = {{"x", -1.8, 1.8}, {"y", -1.8, 1.8}};
    struct picture picture = {.fractal = {.kind = SW_FRACTAL_JULIA, .iterations = 300}};
    if (!sw_fastmath_arguments(sw_fastmath_state(module), &signature, &(struct sw_fastmath_call){args, count, names},
                               values))
        return NULL;
    Py_complex c = PyComplex_AsCComplex(values[0]);
    if (c.real == -1.0 && PyErr_Occurred())
        return NULL;
    picture.fractal.julia_re = c.real;
    picture.fractal.julia_im = c.imag;
    return picture_of(module, values + 1, &picture, axes);
}

#define METHOD(name, doc) \
    { #name, (PyCFunction)(void (*)(void))(name), METH_FASTCALL | METH_KEYWORDS, doc }

#define POINTS_DOC \
    "Escape times on a grid of points: for each the number of the first z with |z| > 2, or `iterations` if none of them\n" \
    "was; uint32, (height, width). Column i is at x[0] + i * ((x[1] - x[0]) / width), row j at\n" \
    "y[0] + j * ((y[1] - y[0]) / height).\n\n"
#define OPTIONS_DOC \
    "exact: without fused multiply-add, so that each count is that of the plain loop in double precision; else a few\n" \
    "points on the edge may differ. out: uint32, in C order."

PyMethodDef sw_fastmath_fractal_methods[] = {
    METHOD(mandelbrot,
           "mandelbrot($module, /, width, height, *, x=(-2.5, 1.0), y=(-1.0, 1.0), iterations=1000, exact=False, "
           "out=None, threads=None)\n--\n\n" POINTS_DOC "z starts at 0 and becomes z**2 + the point.\n\n" OPTIONS_DOC),
    METHOD(julia,
           "julia($module, /, c, width, height, *, x=(-1.8, 1.8), y=(-1.8, 1.8), iterations=300, exact=False, "
           "out=None, threads=None)\n--\n\n" POINTS_DOC "z starts at the point and becomes z**2 + c.\n\n" OPTIONS_DOC),
    METHOD(burning_ship,
           "burning_ship($module, /, width, height, *, x=(-2.5, 1.5), y=(-2.0, 1.0), iterations=1000, exact=False, "
           "out=None, threads=None)\n--\n\n" POINTS_DOC
           "z starts at 0 and becomes (|re z| + i |im z|)**2 + the point.\n\n" OPTIONS_DOC),
    {NULL, NULL, 0, NULL},
};
