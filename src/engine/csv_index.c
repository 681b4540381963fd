/* csv_index.c - The csv index for each level of vector instructions. */
#include "engine/csv_index.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static void index_scalar(struct sw_csv_index *index, const char *ptr, uint32_t len, char delimiter) {
    uint32_t *ends = sw_csv_index_ends(index);
    uint32_t end_count = 0, row_count = 0;
    bool has_cr = false;
    for (uint32_t i = 0; i < len && ptr[i] != '"'; i++) {
        ends[end_count] = index->rows[row_count] = i;
        end_count += ptr[i] == delimiter || ptr[i] == '\n';
        row_count += ptr[i] == '\n';
        has_cr |= ptr[i] == '\r';
    }
    index->has_cr = has_cr;
    index->end_count = end_count;
    index->row_count = row_count;
}

#if defined(__x86_64__)

#define TARGET_AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define TARGET_VBMI2 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi2,avx2,bmi,bmi2,popcnt")))

/* The bits of a block that count: those of [at, len) before the first quote. */
static inline uint64_t block_valid(uint64_t quotes, uint32_t left) {
    uint64_t valid = left < 64 ? (UINT64_C(1) << left) - 1 : ~UINT64_C(0);
    quotes &= valid;
    return quotes ? (quotes & -quotes) - 1 : valid;
}

/* Eight positions a turn without looking at how many there are: a loop over the bits would mispredict its end in every
 * block. */
TARGET_AVX2 static inline uint32_t *positions_avx2(uint32_t *out, uint64_t bits, uint32_t at) {
    uint32_t *next = out + _mm_popcnt_u64(bits);
    while (bits) {
        for (int i = 0; i < 8; i++) {
            out[i] = at + (uint32_t)_tzcnt_u64(bits);
            bits = _blsr_u64(bits);
        }
        out += 8;
    }
    return next;
}

TARGET_AVX2 static inline uint64_t equal_avx2(const char *ptr, __m256i value) {
    __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)ptr);
    __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(ptr + 32));
    uint32_t low_bits = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, value));
    uint32_t high_bits = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, value));
    return low_bits | (uint64_t)high_bits << 32;
}

TARGET_AVX2 static void index_avx2(struct sw_csv_index *index, const char *ptr, uint32_t len, char delimiter) {
    uint32_t *ends = sw_csv_index_ends(index), *rows = index->rows;
    const __m256i delimiters = _mm256_set1_epi8(delimiter), newlines = _mm256_set1_epi8('\n'),
                  quotes = _mm256_set1_epi8('"');
    uint64_t cr_bits = 0;
    for (uint32_t at = 0; at < len; at += 64) {
        uint64_t newline_bits = equal_avx2(ptr + at, newlines);
        uint64_t end_bits = equal_avx2(ptr + at, delimiters) | newline_bits;
        uint64_t valid = block_valid(equal_avx2(ptr + at, quotes), len - at);
        ends = positions_avx2(ends, end_bits & valid, at);
        rows = positions_avx2(rows, newline_bits & valid, at);
        cr_bits |= equal_avx2(ptr + at, _mm256_set1_epi8('\r'));
        if (valid != ~UINT64_C(0))
            break;
    }
    index->end_count = (uint32_t)(ends - sw_csv_index_ends(index));
    index->row_count = (uint32_t)(rows - index->rows);
    index->has_cr = cr_bits != 0;
}

/* The positions of up to 64 bits as bytes in one instruction, then widened: 32 at least, since that costs less than a
 * branch on how many there are. */
TARGET_VBMI2 static inline uint32_t *positions_vbmi2(uint32_t *out, uint64_t bits, uint32_t at, __m512i lanes) {
    const __m512i from = _mm512_set1_epi32((int)at);
    unsigned count = (unsigned)_mm_popcnt_u64(bits);
    __m512i bytes = _mm512_maskz_compress_epi8(bits, lanes);
    _mm512_storeu_si512(out, _mm512_add_epi32(from, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(bytes))));
    _mm512_storeu_si512(out + 16, _mm512_add_epi32(from, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(bytes, 1))));
    if (count > 32) {
        _mm512_storeu_si512(out + 32,
                            _mm512_add_epi32(from, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(bytes, 2))));
        _mm512_storeu_si512(out + 48,
                            _mm512_add_epi32(from, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(bytes, 3))));
    }
    return out + count;
}

TARGET_VBMI2 static void index_vbmi2(struct sw_csv_index *index, const char *ptr, uint32_t len, char delimiter) {
    uint32_t *ends = sw_csv_index_ends(index), *rows = index->rows;
    const __m512i delimiters = _mm512_set1_epi8(delimiter), newlines = _mm512_set1_epi8('\n'),
                  quotes = _mm512_set1_epi8('"');
    const __m512i crs = _mm512_set1_epi8('\r');
    uint8_t lane_bytes[64];
    for (uint8_t i = 0; i < 64; i++)
        lane_bytes[i] = i;
    const __m512i lanes = _mm512_loadu_si512(lane_bytes);
    uint64_t cr_bits = 0;
    for (uint32_t at = 0; at < len; at += 64) {
        __m512i block = _mm512_loadu_si512(ptr + at);
        uint64_t newline_bits = _mm512_cmpeq_epi8_mask(block, newlines);
        uint64_t end_bits = _mm512_cmpeq_epi8_mask(block, delimiters) | newline_bits;
        uint64_t valid = block_valid(_mm512_cmpeq_epi8_mask(block, quotes), len - at);
        cr_bits |= _mm512_cmpeq_epi8_mask(block, crs);
        ends = positions_vbmi2(ends, end_bits & valid, at, lanes);
        rows = positions_vbmi2(rows, newline_bits & valid, at, lanes);
        if (valid != ~UINT64_C(0))
            break;
    }
    index->end_count = (uint32_t)(ends - sw_csv_index_ends(index));
    index->row_count = (uint32_t)(rows - index->rows);
    index->has_cr = cr_bits != 0;
}

sw_csv_index_fn sw_csv_index_for(enum sw_cpu_level level) {
    if (level >= SW_CPU_AVX512 && __builtin_cpu_supports("avx512vbmi2"))
        return index_vbmi2;
    return level >= SW_CPU_AVX2 ? index_avx2 : index_scalar;
}

#else

sw_csv_index_fn sw_csv_index_for(enum sw_cpu_level level) {
    (void)level;
    return index_scalar;
}

#endif
