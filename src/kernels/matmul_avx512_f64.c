/* matmul_avx512_f64.c - The matrix product's inner loops: float64 in AVX-512. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma")))
#define TABLE sw_matmul_avx512_f64
#define VECTOR_BYTES 64
#define TILE_ROWS 8 /* 24 sums, 3 of b, 1 of a: of 32 registers */
#define TILE_VECTORS 3

typedef double real;
typedef double vector __attribute__((vector_size(VECTOR_BYTES)));

TARGET static inline __attribute__((always_inline)) vector load_some(const real *from, size_t count) {
    return _mm512_maskz_loadu_pd((__mmask8)((1u << count) - 1), from);
}

TARGET static inline __attribute__((always_inline)) void store_some(real *to, size_t count, vector value) {
    _mm512_mask_storeu_pd(to, (__mmask8)((1u << count) - 1), value);
}

#include "kernels/matmul_tile_impl.h"

#include "kernels/matmul_vector_impl.h"
#endif
