/* fastmath.h - What the files of sidewinder._fastmath share: state, keywords, operands, results, where work runs.
 *
 * All of it is called with the interpreter attached (the GIL held).
 */
#ifndef SW_BIND_FASTMATH_H
#define SW_BIND_FASTMATH_H

#include "bind/array.h"

#include "base/parallel.h"
#include "base/status.h"

/* Every keyword of every function. */
#define SW_FASTMATH_KEYS(X) \
    X(a) \
    X(alpha) \
    X(b) \
    X(bins) \
    X(c) \
    X(cond) \
    X(ddof) \
    X(exact) \
    X(expression) \
    X(grid) \
    X(height) \
    X(iterations) \
    X(names) \
    X(out) \
    X(periodic) \
    X(q) \
    X(range) \
    X(rate) \
    X(steps) \
    X(threads) \
    X(width) \
    X(x) \
    X(y)

enum sw_fastmath_key {
#define SW_FASTMATH_KEY(name) SW_KEY_##name,
    SW_FASTMATH_KEYS(SW_FASTMATH_KEY)
#undef SW_FASTMATH_KEY
        SW_KEY_COUNT
};

/* Of one copy of the module. */
struct sw_fastmath {
    PyTypeObject *array_type, *expression_type, *summary_type;
    PyObject *keys[SW_KEY_COUNT]; /* interned */
    PyObject *numpy_word;
    PyObject *expressions;                 /* dict: text to Expression, the newest SW_FASTMATH_EXPRESSIONS used */
    PyObject *where_text;                  /* of the Expression behind where() */
    PyObject *ndarray, *empty, *dtypes[4]; /* numpy's, a dtype a kind, once it was seen in sys.modules */
    uint64_t uses;                         /* a clock for the cache */
};

struct sw_fastmath *sw_fastmath_state(PyObject *module);

/* The methods of each file, with their docstrings; each ends with a row of NULL. */
extern PyMethodDef sw_fastmath_reduce_methods[], sw_fastmath_statistics_methods[], sw_fastmath_elementwise_methods[],
    sw_fastmath_expression_methods[], sw_fastmath_grid_methods[], sw_fastmath_fractal_methods[];
extern PyType_Spec sw_fastmath_expression_spec;
extern PyStructSequence_Desc sw_fastmath_summary_desc;

/* fastmath_arguments.c */

struct sw_fastmath_call {
    PyObject *const *args;
    Py_ssize_t positional;
    PyObject *names; /* NULL, or a tuple: the keywords of the values that follow the positional ones */
};

#define SW_FASTMATH_ARGUMENTS 10

struct sw_fastmath_signature {
    const char *name;
    unsigned char count, required, positional;
    unsigned char keys[SW_FASTMATH_ARGUMENTS]; /* enum sw_fastmath_key */
};

/* Borrowed values in the order of the signature; NULL for what was left out or is None and not required. */
bool sw_fastmath_arguments(const struct sw_fastmath *state, const struct sw_fastmath_signature *signature,
                           const struct sw_fastmath_call *call, PyObject **values);
const char *sw_fastmath_key_text(enum sw_fastmath_key key);
/* Whether `name` is that keyword. */
bool sw_fastmath_is_key(const struct sw_fastmath *state, PyObject *name, enum sw_fastmath_key key);

/* These leave *value as it is for NULL; `what` is for the message. */
bool sw_fastmath_number(PyObject *object, const char *what, double *value);
struct sw_fastmath_limits {
    long long low, high;
};
bool sw_fastmath_integer(PyObject *object, const char *what, struct sw_fastmath_limits limits, long long *value);
bool sw_fastmath_truth(PyObject *object, bool *value);

/* How work is done: on which threads, and whether it is long enough to detach from the interpreter (2 us). */
struct sw_fastmath_work {
    struct sw_parallel *parallel; /* NULL: on the calling thread */
    bool is_long;
};
/* threads: NULL decides by the estimate of the time on one thread, else at most so many. */
bool sw_fastmath_plan(PyObject *threads, double estimate_ns, struct sw_fastmath_work *work);
PyThreadState *sw_fastmath_detach(const struct sw_fastmath_work *work);
void sw_fastmath_attach(PyThreadState *detached);

/* The exception that fits the status of `err`, with its text. Returns NULL. */
PyObject *sw_fastmath_raise(const struct sw_error *err);

/* fastmath_operand.c */

/* An argument as a float64 or float32 array; released, unless taking failed. */
struct sw_operand {
    const struct sw_array *array; /* into the Array given, or `own` */
    struct sw_array own;
    Py_buffer view; /* held while view.obj is set */
    PyObject *held; /* NULL, or an Array that came out of a conversion */
    union {
        double f64;
        float f32;
    } number; /* what `own` shows of a Python number */
    bool is_number, is_numpy;
};

/* Whether it is an array of NumPy's. NumPy is never imported: a program that has one has loaded it. */
bool sw_operand_is_numpy(struct sw_fastmath *state, PyObject *object);

bool sw_operand_take(struct sw_fastmath *state, PyObject *object, struct sw_operand *operand);
void sw_operand_release(struct sw_operand *operand);
void sw_operand_release_all(struct sw_operand *operands, size_t count);
/* Makes both float64 where they differ. */
bool sw_operand_unify(struct sw_fastmath *state, struct sw_operand *a, struct sw_operand *b);
/* Takes two. */
bool sw_operand_take_pair(struct sw_fastmath *state, PyObject *const *objects, struct sw_operand *pair);

/* fastmath_result.c */

/* Where a result goes: a new Array, a new NumPy array, or what the caller gave as out. */
struct sw_result {
    struct sw_array *array; /* in C order */
    struct sw_array own;
    Py_buffer view;
    PyObject *object;
};

struct sw_result_shape {
    enum sw_bind_kind kind;
    unsigned dims;
    const size_t *shape;
    bool is_numpy;     /* whether a new one is NumPy's */
    bool is_any_float; /* out may be float64 or float32, whatever the kind */
};

/* out: NULL, or an object that must have that shape and kind, be writable and in C order. */
bool sw_result_open(struct sw_fastmath *state, PyObject *out, const struct sw_result_shape *shape,
                    struct sw_result *result);
/* The object for Python, once it is written; NULL with the exception kept if `is_ok` is false. */
PyObject *sw_result_close(struct sw_result *result, bool is_ok);

/* ValueError where `out` lies over an operand; `in_place` allows it to be that operand. */
bool sw_result_is_apart(const struct sw_result *out, const struct sw_array *operand, const char *name, bool in_place);

#endif
