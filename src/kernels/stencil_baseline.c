/* stencil_baseline.c - One diffusion step on some rows, in vectors of 16 bytes: NEON, SSE2, or none at all. */
#include "kernels/stencil_impl.h"

#if !defined(__clang__)
#pragma GCC optimize("fp-contract=off")
#endif

#define TARGET
#define VECTOR_BYTES 16

#define REAL double
#define STEP sw_stencil_step_baseline_f64
#include "kernels/stencil_step_impl.h"
#undef REAL
#undef STEP

#define REAL float
#define STEP sw_stencil_step_baseline_f32
#include "kernels/stencil_step_impl.h"
