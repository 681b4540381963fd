/* fractal.c - Escape-time fractals: the level of vector instructions to run on. */
#include "kernels/fractal.h"

#include "kernels/fractal_impl.h"

static void fill_nothing(const struct sw_fractal_grid *grid, const struct sw_fractal_output *output) {
    for (size_t y = 0; y < grid->height; y++) {
        for (size_t x = 0; x < grid->width; x++) {
            output->counts[y * grid->row_stride + x] = 0;
            if (output->smooth) {
                output->smooth[y * grid->row_stride + x] = -1.0f;
            }
        }
    }
}

/* Where one c with |c| near or beyond 2 belongs to all points, an iterate outside may come back: only the scalar level
 * tests each. Such a Julia set is dust: nearly all of its points leave at once. */
static bool is_steady(const struct sw_fractal *fractal) {
    double re = fractal->julia_re, im = fractal->julia_im;
    return fractal->kind != SW_FRACTAL_JULIA || re * re + im * im <= SW_FRACTAL_STEADY;
}

sw_fractal_runner sw_fractal_runner_for(enum sw_cpu_level level) {
#if defined(__x86_64__)
    if (level >= SW_CPU_AVX512) {
        return sw_fractal_run_avx512;
    }
    if (level >= SW_CPU_AVX2) {
        return sw_fractal_run_avx2;
    }
#elif defined(__aarch64__)
    if (level >= SW_CPU_NEON) {
        return sw_fractal_run_neon;
    }
#endif
    return sw_fractal_run_scalar;
}

uint64_t sw_fractal_run(const struct sw_fractal *fractal, const struct sw_fractal_grid *grid,
                        const struct sw_fractal_output *output) {
    if (fractal->iterations == 0) {
        fill_nothing(grid, output);
        return 0;
    }
    if (!is_steady(fractal)) {
        return sw_fractal_run_scalar(fractal, grid, output);
    }
    return sw_fractal_runner_for(sw_cpu_level())(fractal, grid, output);
}
