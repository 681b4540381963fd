/* matmul.h - Matrix product of float64 or float32 matrices of any strides.
 *
 * Goto's algorithm as in BLIS: panels packed for the caches, a register-blocked micro-kernel for each level of vector
 * instructions; small products run on the operands as they are, products with a vector at the pace of memory. The bits
 * of a result depend on the shapes, the strides and the level of instructions, not on the number of threads. Memory for
 * panels, at most 64 MiB, is kept from one product to the next.
 */
#ifndef SW_KERNELS_MATMUL_H
#define SW_KERNELS_MATMUL_H

#include "base/parallel.h"
#include "base/status.h"
#include "kernels/array.h"

/* out (m x n, rows contiguous, overlapping neither operand) = a (m x k) times b (k x n), of one dtype; 2 dimensions
 * each, shapes agree. k = 0 gives zeros. SW_NOMEM when the panels cannot be had. */
SW_MUST_USE enum sw_status sw_matmul(const struct sw_array *a, const struct sw_array *b, struct sw_array *out,
                                     struct sw_parallel *parallel);

#endif
