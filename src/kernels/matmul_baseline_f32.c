/* matmul_baseline_f32.c - The matrix product's inner loops: float32 in vectors of 16 bytes (NEON, SSE2). */
#include <stddef.h>

#define TARGET
#define TABLE sw_matmul_baseline_f32
#define VECTOR_BYTES 16
#if defined(__aarch64__)
#define TILE_ROWS 8 /* 24 sums, 3 of b, 1 of a: of 32 registers */
#else
#define TILE_ROWS 4 /* 12 sums, 3 of b, 1 of a: all 16 registers of SSE2 */
#endif
#define TILE_VECTORS 3

typedef float real;
typedef float vector __attribute__((vector_size(VECTOR_BYTES)));

static inline __attribute__((always_inline)) vector load_some(const real *from, size_t count) {
    vector value = {0};
    for (size_t l = 0; l < VECTOR_BYTES / sizeof(real) && l < count; l++)
        value[l] = from[l];
    return value;
}

static inline __attribute__((always_inline)) void store_some(real *to, size_t count, vector value) {
    for (size_t l = 0; l < VECTOR_BYTES / sizeof(real) && l < count; l++)
        to[l] = value[l];
}

#include "kernels/matmul_tile_impl.h"

#include "kernels/matmul_vector_impl.h"
