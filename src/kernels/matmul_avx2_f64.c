/* matmul_avx2_f64.c - The matrix product's inner loops: float64 in AVX2 with FMA. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>

#define TARGET __attribute__((target("avx2,fma")))
#define TABLE sw_matmul_avx2_f64
#define VECTOR_BYTES 32
#define TILE_ROWS 6 /* 12 sums, 2 of b, 1 of a: of 16 registers; 4 rows of 3 vectors are 15 % slower at n = 1000 */
#define TILE_VECTORS 2

typedef double real;
typedef double vector __attribute__((vector_size(VECTOR_BYTES)));

/* All ones in the first `count` lanes. */
TARGET static inline __attribute__((always_inline)) __m256i lanes_before(size_t count) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)count), _mm256_setr_epi64x(0, 1, 2, 3));
}

TARGET static inline __attribute__((always_inline)) vector load_some(const real *from, size_t count) {
    return _mm256_maskload_pd(from, lanes_before(count));
}

TARGET static inline __attribute__((always_inline)) void store_some(real *to, size_t count, vector value) {
    _mm256_maskstore_pd(to, lanes_before(count), value);
}

#include "kernels/matmul_tile_impl.h"

#include "kernels/matmul_vector_impl.h"
#endif
