/* fastmath_elementwise.c - Of sidewinder.fastmath: exp and log of every element. */
#include "bind/fastmath.h"

#include "kernels/elementwise.h"

#define FUNCTION_NS 0.8 /* an element on one thread, from which it is decided where the work runs */

struct function {
    const char *name;
    double (*of_number)(double x);
    void (*of_array)(const struct sw_array *x, struct sw_array *out, struct sw_parallel *parallel);
};

static PyObject *of_array(struct sw_fastmath *state, const struct sw_operand *x, PyObject *const *options,
                          const struct function *function) {
    struct sw_fastmath_work work;
    struct sw_result result;
    const struct sw_array *array = x->array;
    const struct sw_result_shape shape = {(enum sw_bind_kind)array->dtype, array->dims, array->shape, x->is_numpy};
    if (!sw_fastmath_plan(options[1], FUNCTION_NS * (double)sw_array_count(array), &work) ||
        !sw_result_open(state, options[0], &shape, &result))
        return NULL;
    bool is_ok = sw_result_is_apart(&result, array, "x", true);
    if (is_ok) {
        PyThreadState *detached = sw_fastmath_detach(&work);
        function->of_array(array, result.array, work.parallel);
        sw_fastmath_attach(detached);
    }
    return sw_result_close(&result, is_ok);
}

static PyObject *map(PyObject *module, const struct sw_fastmath_call *call, const struct function *function) {
    const struct sw_fastmath_signature signature = {function->name, 3, 1, 2, {SW_KEY_x, SW_KEY_out, SW_KEY_threads}};
    struct sw_fastmath *state = sw_fastmath_state(module);
    if (call->positional == 1 && !call->names && PyFloat_CheckExact(call->args[0]))
        return PyFloat_FromDouble(function->of_number(PyFloat_AS_DOUBLE(call->args[0])));
    PyObject *values[3], *result;
    struct sw_fastmath_work work;
    struct sw_operand x;
    if (!sw_fastmath_arguments(state, &signature, call, values) || !sw_operand_take(state, values[0], &x))
        return NULL;
    if (x.is_number && !values[1]) /* it holds nothing that was to be released */
        return sw_fastmath_plan(values[2], 0, &work) ? PyFloat_FromDouble(function->of_number(x.number.f64)) : NULL;
    result = of_array(state, &x, values + 1, function);
    sw_operand_release(&x);
    return result;
}

static PyObject *exp_of(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    static const struct function function = {"exp", sw_elementwise_exp_number, sw_elementwise_exp};
    return map(module, &(struct sw_fastmath_call){args, count, names}, &function);
}

static PyObject *log_of(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    static const struct function function = {"log", sw_elementwise_log_number, sw_elementwise_log};
    return map(module, &(struct sw_fastmath_call){args, count, names}, &function);
}

#define METHOD(name, method, doc) \
    { name, (PyCFunction)(void (*)(void))(method), METH_FASTCALL | METH_KEYWORDS, doc }

PyMethodDef sw_fastmath_elementwise_methods[] = {
    METHOD("exp", exp_of,
           "exp($module, /, x, out=None, *, threads=None)\n--\n\n"
           "e to the power of every element, within 1 ulp; a float for a number. Overflow gives infinity.\n\n"
           "out: where to write, in C order, of the shape and dtype of x; may be x itself."),
    METHOD(
        "log", log_of,
        "log($module, /, x, out=None, *, threads=None)\n--\n\n"
        "The natural logarithm of every element, within 1 ulp; a float for a number. -infinity of 0, NaN of negatives.\n\n"
        "out: where to write, in C order, of the shape and dtype of x; may be x itself."),
    {NULL, NULL, 0, NULL},
};
