/* elementwise.h - exp, log and compiled expressions over whole arrays, in one pass and without temporaries.
 *
 * Operands of any strides (0 broadcasts), float64 or float32; `out` is contiguous and may be one of the operands itself
 * (sw_array_is_same), but must not overlap one otherwise.
 */
#ifndef SW_KERNELS_ELEMENTWISE_H
#define SW_KERNELS_ELEMENTWISE_H

#include <stddef.h>

#include "base/parallel.h"
#include "base/status.h"
#include "base/str.h"
#include "kernels/array.h"

/* exp and log: errors below 1 ulp over the full range, subnormal numbers, infinities, NaN and zeros included; the same bits
 * on every processor. x and out of one dtype and shape. */
void sw_elementwise_exp(const struct sw_array *x, struct sw_array *out, struct sw_parallel *parallel);
void sw_elementwise_log(const struct sw_array *x, struct sw_array *out, struct sw_parallel *parallel);
/* Of one number: the bits that an array of float64 gets. */
double sw_elementwise_exp_number(double x);
double sw_elementwise_log_number(double x);

/* An expression such as "where(a > 0, a*b + c, exp(-a))", compiled once, run on any arrays.
 *
 * Python's syntax and precedence: + - * / ** % //, unary + -, comparisons (a < b < c is (a < b) & (b < c)), & | ~ on truths,
 * decimal numbers, True and False, names, and the functions abs exp log log2 log10 log1p expm1 sqrt sin cos tan tanh floor
 * ceil round sign minimum maximum where fma pow.
 *
 * Values are NumPy's: each operator rounds by itself, a*b + c twice (fma once); + - * / // % sqrt and what does not round have
 * NumPy's bits. // and % round down and follow the sign of the divisor; comparisons with NaN are false (!= true); minimum
 * and maximum give NaN if one side is; round goes to the even integer; x**0.5 is sqrt, x**2 the square, x**3 and x**4 are
 * products (within 1.5 and 2.5 ulp), other powers the C library's pow. where picks without evaluating problems: what is
 * not picked leaves no trace. A truth counts as 1 or 0 in arithmetic. All is vector code but sin cos tan pow, which call the C
 * library for each element. Errors found, in ulp: exp 0.79, log 0.77, log2 0.88, log10 0.73, log1p 0.77, expm1 1.91, tanh
 * 2.78; these too give the same bits on every processor. */
struct sw_expression; /* immutable after compiling: may run on several threads at once */

#define SW_EXPRESSION_NAMES 32    /* most operands */
#define SW_EXPRESSION_TEXT 4096u  /* most bytes */
#define SW_EXPRESSION_NESTING 64u /* most parentheses, calls, signs and powers inside one another */

/* SW_MALFORMED and SW_LIMIT show the text and the column. */
SW_MUST_USE enum sw_status sw_expression_compile(struct sw_str text, struct sw_expression **expression,
                                                 struct sw_error *err);
void sw_expression_free(struct sw_expression *expression);
size_t sw_expression_name_count(const struct sw_expression *expression);
struct sw_str sw_expression_name(const struct sw_expression *expression, size_t index); /* in order of first use */
double sw_expression_ns(const struct sw_expression *expression); /* an element on one thread, roughly */

/* operands[i] is for name i: all of out's shape (broadcast by strides of 0), or without dimensions. out is float64 or
 * float32; the arithmetic is float32 when out and all operands are float32, else float64, whatever the shapes: a number
 * that is not to count comes as float32. A truth is stored as 1 or 0. Results above 32 MiB that are not an operand too
 * go past the caches. SW_INVALID where the shapes differ or out is not contiguous; nothing is written then. */
SW_MUST_USE enum sw_status sw_expression_run(const struct sw_expression *expression, const struct sw_array *operands,
                                             struct sw_array *out, struct sw_parallel *parallel);

#endif
