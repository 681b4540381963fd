/* matmul_avx512_f32.c - The matrix product's inner loops: float32 in AVX-512. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma")))
#define TABLE sw_matmul_avx512_f32
#define VECTOR_BYTES 64
#define TILE_ROWS 8 /* 24 sums, 3 of b, 1 of a: of 32 registers */
#define TILE_VECTORS 3

typedef float real;
typedef float vector __attribute__((vector_size(VECTOR_BYTES)));

TARGET static inline __attribute__((always_inline)) vector load_some(const real *from, size_t count) {
    return _mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
}

TARGET static inline __attribute__((always_inline)) void store_some(real *to, size_t count, vector value) {
    _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), value);
}

#include "kernels/matmul_tile_impl.h"

#include "kernels/matmul_vector_impl.h"
#endif
