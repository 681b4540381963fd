/* stencil_impl.h - One diffusion step on some neighbouring rows, at each level of vector instructions. */
#ifndef SW_KERNELS_STENCIL_IMPL_H
#define SW_KERNELS_STENCIL_IMPL_H

#include <stddef.h>

#include "base/cpu.h"
#include "base/parallel.h"
#include "base/status.h"
#include "kernels/array.h"
#include "kernels/stencil.h"

#define SW_STENCIL_ROWS 4    /* at once: their neighbours are loaded once */
#define SW_STENCIL_ALIGN 64u /* bytes: rows begin at, and their count of bytes is, a multiple */

/* out[i] from in[i], in[i + 1] and in[i + 2], `rows` of them. Elements 1 before and 1 after a row are read. */
struct sw_stencil_step {
    const void *in[SW_STENCIL_ROWS + 2];
    void *out[SW_STENCIL_ROWS];
    size_t rows;  /* 1 to SW_STENCIL_ROWS */
    size_t count; /* of elements */
    double rate;
};

typedef void (*sw_stencil_kernel)(const struct sw_stencil_step *step);

void sw_stencil_step_baseline_f64(const struct sw_stencil_step *step);
void sw_stencil_step_baseline_f32(const struct sw_stencil_step *step);
#if defined(__x86_64__)
void sw_stencil_step_avx2_f64(const struct sw_stencil_step *step);
void sw_stencil_step_avx2_f32(const struct sw_stencil_step *step);
void sw_stencil_step_avx512_f64(const struct sw_stencil_step *step);
void sw_stencil_step_avx512_f32(const struct sw_stencil_step *step);
#endif

/* As sw_stencil_diffuse, with at most the instructions of `level`; the processor must have them. */
SW_MUST_USE enum sw_status sw_stencil_diffuse_at(enum sw_cpu_level level, const struct sw_diffusion *diffusion,
                                                 struct sw_parallel *parallel);

#endif
