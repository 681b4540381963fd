/* fastmath_expression.h - Expression, the compiled text behind evaluate() and where(), and how it is run on operands. */
#ifndef SW_BIND_FASTMATH_EXPRESSION_H
#define SW_BIND_FASTMATH_EXPRESSION_H

#include "bind/fastmath.h"

#include "kernels/elementwise.h"

struct sw_expression_object {
    PyObject_HEAD
    struct sw_expression *expression;
    PyObject *text, *names; /* a str, and a tuple of interned str in the order of the operands */
    vectorcallfunc vectorcall;
    uint64_t last_use; /* of the cache */
};

/* What evaluate() and an Expression are given. */
struct sw_evaluation {
    PyObject *text;                      /* of evaluate() only: its argument `expression` */
    PyObject *mapping;                   /* NULL, or what has the operands */
    PyObject *out, *threads;             /* NULL: by default */
    const struct sw_fastmath_call *call; /* its keywords that are not one of those are operands */
};

/* Finds the operands by their names: in the keywords, then in the mapping, or without one in the caller's variables. */
PyObject *sw_expression_evaluate(struct sw_fastmath *state, struct sw_expression_object *expression,
                                 const struct sw_evaluation *what);
/* On operands that are there already, one for each name; of `what`, out and threads count. */
PyObject *sw_expression_apply(struct sw_fastmath *state, struct sw_expression_object *expression,
                              PyObject *const *objects, const struct sw_evaluation *what);

#endif
