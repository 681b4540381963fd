/* stencil_avx512.c - One diffusion step on some rows, in AVX-512. */
#include "kernels/stencil_impl.h"

#if defined(__x86_64__)
#if !defined(__clang__)
#pragma GCC optimize("fp-contract=off")
#endif

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define VECTOR_BYTES 64

#define REAL double
#define STEP sw_stencil_step_avx512_f64
#include "kernels/stencil_step_impl.h"
#undef REAL
#undef STEP

#define REAL float
#define STEP sw_stencil_step_avx512_f32
#include "kernels/stencil_step_impl.h"
#endif
