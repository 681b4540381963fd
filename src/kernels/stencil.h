/* stencil.h - Diffusion on a 2-D grid: repeated five-point stencils, several steps per pass through memory. */
#ifndef SW_KERNELS_STENCIL_H
#define SW_KERNELS_STENCIL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/parallel.h"
#include "base/status.h"
#include "kernels/array.h"

struct sw_diffusion {
    const struct sw_array *grid; /* 2 dimensions, any strides, float64 or float32 */
    struct sw_array *out;        /* contiguous, the same shape and dtype; may be the grid itself (sw_array_is_same) */
    double rate;                 /* D * dt / dx^2: u += rate * (left + right + up + down - 4 u); stable up to 0.25 */
    size_t steps;
    bool is_periodic; /* else the values on the border stay as they are */
};

/* The same bits for any number of threads and every level of vector instructions. */
SW_MUST_USE enum sw_status sw_stencil_diffuse(const struct sw_diffusion *diffusion, struct sw_parallel *parallel);

#endif
