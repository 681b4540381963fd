/* csv_columns.c - Cells to values: eight digits in one register, and with AVX-512 eight cells at once. */
#include "engine/csv_columns.h"

#include <math.h>

#include "base/clock.h"
#include "engine/decoder_impl.h"
#include "engine/swar.h"
#include "engine/text_hash.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Compiled once for any processor and once for those with shifts by a variable amount in one instruction (BMI2). */
#define EITHER static inline __attribute__((always_inline))

/* What the eight digits of one register do not cover; decimals and signs among them. */
static __attribute__((noinline)) bool number_slow(struct sw_csv_cell cell, double *number) {
    if (cell.len == 0) {
        *number = NAN;
        return true;
    }
    return sw_decoder_number(sw_str_make(cell.ptr, cell.len), number);
}

EITHER bool number_read(struct sw_csv_cell cell, double *number) {
    uint64_t value;
    if (!sw_swar_parse_u64(cell.ptr, cell.len, &value))
        return number_slow(cell, number);
    *number = (double)(int64_t)value;
    return true;
}

EITHER uint64_t hash_read(struct sw_csv_cell cell) {
    return cell.len ? sw_text_hash_padded(cell.ptr, cell.len) : 0;
}

static int64_t unit_scale(enum sw_time_unit unit) {
    switch (unit) {
    case SW_TIME_S:
        return SW_NS_PER_S;
    case SW_TIME_MS:
        return SW_NS_PER_MS;
    case SW_TIME_US:
        return SW_NS_PER_US;
    case SW_TIME_NS:
        return 1;
    case SW_TIME_NONE:
    case SW_TIME_RFC3339:
        break;
    }
    return 0; /* not a count of units */
}

static __attribute__((noinline)) bool time_slow(struct sw_csv_cell cell, enum sw_time_unit unit, int64_t *time_ns) {
    struct sw_str text = sw_str_trim(sw_str_make(cell.ptr, cell.len));
    return sw_time_parse(unit, text.ptr, text.ptr + text.len, time_ns);
}

EITHER bool time_read(struct sw_csv_cell cell, enum sw_time_unit unit, int64_t scale, int64_t *time_ns) {
    uint64_t value;
    if (scale && sw_swar_parse_u64(cell.ptr, cell.len, &value) &&
        !__builtin_mul_overflow((int64_t)value, scale, time_ns))
        return true;
    return time_slow(cell, unit, time_ns);
}

EITHER size_t numbers_each(const struct sw_csv_column *column, size_t row, size_t rows, double *out) {
    for (; row < rows; row++)
        if (!number_read(sw_csv_cell_at(column, row), &out[row]))
            return row;
    return rows;
}

EITHER size_t hashes_each(const struct sw_csv_column *column, size_t row, size_t rows, uint64_t *out) {
    for (; row < rows; row++)
        out[row] = hash_read(sw_csv_cell_at(column, row));
    return rows;
}

EITHER size_t times_each(const struct sw_csv_column *column, size_t row, size_t rows, int64_t *out,
                         enum sw_time_unit unit) {
    int64_t scale = unit_scale(unit);
    for (; row < rows; row++)
        if (!time_read(sw_csv_cell_at(column, row), unit, scale, &out[row]))
            return row;
    return rows;
}

static size_t numbers_scalar(const struct sw_csv_column *column, size_t rows, double *out) {
    return numbers_each(column, 0, rows, out);
}

static size_t hashes_scalar(const struct sw_csv_column *column, size_t rows, uint64_t *out) {
    return hashes_each(column, 0, rows, out);
}

static size_t times_scalar(const struct sw_csv_column *column, size_t rows, int64_t *out, enum sw_time_unit unit) {
    return times_each(column, 0, rows, out, unit);
}

static const struct sw_csv_readers readers_scalar = {numbers_scalar, hashes_scalar, times_scalar};

#if defined(__x86_64__)

#define TARGET_BMI2 __attribute__((target("bmi,bmi2,popcnt")))

TARGET_BMI2 static size_t numbers_bmi2(const struct sw_csv_column *column, size_t rows, double *out) {
    return numbers_each(column, 0, rows, out);
}

TARGET_BMI2 static size_t hashes_bmi2(const struct sw_csv_column *column, size_t rows, uint64_t *out) {
    return hashes_each(column, 0, rows, out);
}

TARGET_BMI2 static size_t times_bmi2(const struct sw_csv_column *column, size_t rows, int64_t *out,
                                     enum sw_time_unit unit) {
    return times_each(column, 0, rows, out, unit);
}

static const struct sw_csv_readers readers_bmi2 = {numbers_bmi2, hashes_bmi2, times_bmi2};

#define TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi,bmi2,popcnt")))

/* Eight cells: their first eight bytes and their lengths. */
struct lanes {
    __m512i word;
    __m512i len;
};

/* Cells brought together by plain loads before the vector instructions look at them. A gather would do both at once,
 * but where the microcode guards against Downfall it costs 3 ns a cell, this 0.7 ns. */
#define BLOCK 64u

struct block {
    uint64_t words[BLOCK];
    uint64_t lens[BLOCK];
    uint64_t lasts[BLOCK]; /* of cells longer than eight bytes the last eight */
};

static inline void block_load(struct block *block, const struct sw_csv_column *column, size_t row, size_t rows) {
    for (size_t i = 0; i < rows; i++) {
        struct sw_csv_cell cell = sw_csv_cell_at(column, row + i);
        block->words[i] = sw_swar_load(cell.ptr);
        block->lens[i] = cell.len;
    }
}

static inline void block_load_lasts(struct block *block, const struct sw_csv_column *column, size_t row, size_t rows) {
    for (size_t i = 0; i < rows; i++) {
        struct sw_csv_cell cell = sw_csv_cell_at(column, row + i);
        block->lasts[i] = sw_swar_load(cell.ptr + (cell.len > 8 ? cell.len - 8 : 0));
    }
}

TARGET_AVX512 static inline struct lanes lanes_of(const struct block *block, size_t at) {
    return (struct lanes){_mm512_loadu_si512(block->words + at), _mm512_loadu_si512(block->lens + at)};
}

/* Unsigned integers of 1 to 8 digits; returns the lanes that hold anything else. See swar.h for the scalar twin. */
TARGET_AVX512 static inline __mmask8 lanes_integers(struct lanes lanes, __m512i *values) {
    __m512i shift = _mm512_sub_epi64(_mm512_set1_epi64(64), _mm512_slli_epi64(lanes.len, 3));
    __m512i digits = _mm512_xor_si512(lanes.word, _mm512_set1_epi8('0'));
    digits = _mm512_sllv_epi64(digits, shift);
    __m512i above_9 = _mm512_or_si512(_mm512_add_epi8(digits, _mm512_set1_epi8(0x76)), digits);
    __mmask8 bad = _mm512_test_epi64_mask(above_9, _mm512_set1_epi8((char)0x80));
    bad |= _mm512_cmpgt_epu64_mask(_mm512_sub_epi64(lanes.len, _mm512_set1_epi64(1)), _mm512_set1_epi64(7));
    __m512i pairs = _mm512_maddubs_epi16(digits, _mm512_set1_epi16(0x010a));
    __m512i fours = _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x00010064));
    *values = _mm512_add_epi64(_mm512_mul_epu32(fours, _mm512_set1_epi64(10000)), _mm512_srli_epi64(fours, 32));
    return bad;
}

/* Decimals of up to 8 characters, with a sign and a point: the point is taken out of the word. A whole number below
 * 10^8 divided by a power of ten that is exact gives the correctly rounded value. */
TARGET_AVX512 static inline __mmask8 lanes_decimals(struct lanes lanes, __m512d *values) {
    const __m512i one = _mm512_set1_epi64(1), eight = _mm512_set1_epi64(8), ones = _mm512_set1_epi8(1);
    const __m512d powers = _mm512_setr_pd(1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7);
    __mmask8 bad = _mm512_cmpgt_epu64_mask(_mm512_sub_epi64(lanes.len, one), _mm512_set1_epi64(7));
    __m512i first = _mm512_and_si512(lanes.word, _mm512_set1_epi64(0xff));
    __mmask8 negative = _mm512_cmpeq_epi64_mask(first, _mm512_set1_epi64('-'));
    lanes.word = _mm512_mask_srli_epi64(lanes.word, negative, lanes.word, 8);
    lanes.len = _mm512_mask_sub_epi64(lanes.len, negative, lanes.len, one);
    /* Bytes behind the cell become zero, lest a point among them be found. */
    __m512i beyond = _mm512_sllv_epi64(_mm512_set1_epi64(-1), _mm512_slli_epi64(lanes.len, 3));
    __m512i word = _mm512_andnot_si512(beyond, lanes.word);
    __m512i x = _mm512_xor_si512(word, _mm512_set1_epi8('.'));
    __m512i zeros = _mm512_andnot_si512(x, _mm512_sub_epi64(x, ones));
    zeros = _mm512_and_si512(zeros, _mm512_set1_epi8((char)0x80));
    __m512i point = _mm512_and_si512(zeros, _mm512_sub_epi64(_mm512_setzero_si512(), zeros));
    __mmask8 has_point = _mm512_test_epi64_mask(point, point);
    __m512i before = _mm512_sub_epi64(_mm512_srli_epi64(point, 7), one); /* all ones where there is no point */
    __m512i after = _mm512_andnot_si512(before, _mm512_srli_epi64(word, 8));
    lanes.word = _mm512_or_si512(_mm512_and_si512(word, before), after);
    /* The point's byte index is the count of bytes before it. */
    __m512i index = _mm512_sad_epu8(_mm512_and_si512(before, ones), _mm512_setzero_si512());
    __m512i digits = _mm512_mask_sub_epi64(lanes.len, has_point, lanes.len, one);
    __m512i fraction = _mm512_maskz_sub_epi64(has_point, digits, index);
    lanes.len = digits;
    __m512i wholes;
    bad |= lanes_integers(lanes, &wholes);
    bad |= _mm512_cmpge_epu64_mask(fraction, eight);
    __m512d quotient = _mm512_div_pd(_mm512_cvtepi64_pd(wholes), _mm512_permutexvar_pd(fraction, powers));
    __m512i sign = _mm512_maskz_set1_epi64(negative, INT64_MIN);
    *values = _mm512_castsi512_pd(_mm512_xor_si512(_mm512_castpd_si512(quotient), sign));
    return bad;
}

/* Reads eight cells into out[row..]; false where one of them is no number, with its row in *bad_row. */
TARGET_AVX512 static inline bool numbers_eight(const struct sw_csv_column *column, struct lanes lanes, size_t row,
                                               double *out, size_t *bad_row) {
    __m512i wholes;
    unsigned bad = lanes_integers(lanes, &wholes);
    __m512d values = _mm512_cvtepi64_pd(wholes);
    if (bad)
        bad = lanes_decimals(lanes, &values);
    _mm512_storeu_pd(out + row, values);
    for (; bad; bad &= bad - 1) {
        *bad_row = row + (size_t)__builtin_ctz(bad);
        if (!number_read(sw_csv_cell_at(column, *bad_row), &out[*bad_row]))
            return false;
    }
    return true;
}

TARGET_AVX512 static size_t numbers_avx512(const struct sw_csv_column *column, size_t rows, double *out) {
    struct block block;
    size_t row = 0, bad_row;
    while (rows - row >= 8) {
        size_t count = rows - row < BLOCK ? (rows - row) & ~(size_t)7 : BLOCK;
        block_load(&block, column, row, count);
        for (size_t i = 0; i < count; i += 8)
            if (!numbers_eight(column, lanes_of(&block, i), row + i, out, &bad_row))
                return bad_row;
        row += count;
    }
    return numbers_each(column, row, rows, out);
}

TARGET_AVX512 static inline __m512i mix_step(__m512i value) {
    value = _mm512_xor_si512(value, _mm512_srli_epi64(value, 32));
    return _mm512_mullo_epi64(value, _mm512_set1_epi64((int64_t)0xd6e8feb86659fd93u));
}

/* sw_text_hash_word of eight words. */
TARGET_AVX512 static inline __m512i lanes_hash(struct lanes lanes) {
    __m512i beyond = _mm512_sllv_epi64(_mm512_set1_epi64(-1), _mm512_slli_epi64(lanes.len, 3));
    __m512i salt = _mm512_mullo_epi64(lanes.len, _mm512_set1_epi64((int64_t)0x9e3779b97f4a7c15u));
    __m512i hash = mix_step(mix_step(_mm512_xor_si512(_mm512_andnot_si512(beyond, lanes.word), salt)));
    hash = _mm512_xor_si512(hash, _mm512_srli_epi64(hash, 32));
    __mmask8 is_zero = _mm512_testn_epi64_mask(hash, hash);
    hash = _mm512_mask_set1_epi64(hash, is_zero, 1);
    return _mm512_maskz_mov_epi64(_mm512_test_epi64_mask(lanes.len, lanes.len), hash);
}

TARGET_AVX512 static size_t hashes_avx512(const struct sw_csv_column *column, size_t rows, uint64_t *out) {
    struct block block;
    size_t row = 0;
    while (rows - row >= 8) {
        size_t count = rows - row < BLOCK ? (rows - row) & ~(size_t)7 : BLOCK;
        block_load(&block, column, row, count);
        for (size_t i = 0; i < count; i += 8) {
            struct lanes lanes = lanes_of(&block, i);
            _mm512_storeu_si512(out + row + i, lanes_hash(lanes));
            unsigned is_long = _mm512_cmpgt_epu64_mask(lanes.len, _mm512_set1_epi64(8));
            for (; is_long; is_long &= is_long - 1) {
                size_t lane = row + i + (size_t)__builtin_ctz(is_long);
                out[lane] = hash_read(sw_csv_cell_at(column, lane));
            }
        }
        row += count;
    }
    return hashes_each(column, row, rows, out);
}

/* Integers of 9 to 16 digits among those of up to 8: `lasts` are the last eight bytes of such cells. The lanes that hold anything
 * else, or more than `most`, are returned. */
TARGET_AVX512 static inline __mmask8 lanes_long_integers(struct lanes lanes, __m512i lasts, uint64_t most,
                                                         __m512i *values) {
    const __m512i eight = _mm512_set1_epi64(8);
    __mmask8 is_long = _mm512_cmpgt_epu64_mask(lanes.len, eight);
    __m512i heads, tails;
    lanes.len = _mm512_mask_sub_epi64(lanes.len, is_long, lanes.len, eight);
    __mmask8 bad = lanes_integers(lanes, &heads);
    bad |= lanes_integers((struct lanes){lasts, eight}, &tails) & is_long;
    __m512i whole = _mm512_add_epi64(_mm512_mul_epu32(heads, _mm512_set1_epi64(100000000)), tails);
    *values = _mm512_mask_mov_epi64(heads, is_long, whole);
    return bad | _mm512_cmpgt_epu64_mask(*values, _mm512_set1_epi64((int64_t)most));
}

struct times {
    const struct sw_csv_column *column;
    int64_t *out;
    enum sw_time_unit unit;
};

/* Reads the eight cells of a block from `at` on, which are rows from `row` on; as numbers_eight. */
TARGET_AVX512 static inline bool times_eight(const struct times *times, const struct block *block, size_t at,
                                             size_t row, size_t *bad_row) {
    int64_t scale = unit_scale(times->unit);
    struct lanes lanes = lanes_of(block, at);
    __m512i lasts = _mm512_loadu_si512(block->lasts + at), wholes;
    unsigned bad = _mm512_cmpgt_epu64_mask(lanes.len, _mm512_set1_epi64(8))
                       ? lanes_long_integers(lanes, lasts, (uint64_t)(INT64_MAX / scale), &wholes)
                       : lanes_integers(lanes, &wholes);
    _mm512_storeu_si512(times->out + row, _mm512_mullo_epi64(wholes, _mm512_set1_epi64(scale)));
    for (; bad; bad &= bad - 1) {
        *bad_row = row + (size_t)__builtin_ctz(bad);
        if (!time_read(sw_csv_cell_at(times->column, *bad_row), times->unit, scale, &times->out[*bad_row]))
            return false;
    }
    return true;
}

/* Milliseconds since 1970 have 13 digits, so the last eight bytes are loaded too. */
TARGET_AVX512 static size_t times_avx512(const struct sw_csv_column *column, size_t rows, int64_t *out,
                                         enum sw_time_unit unit) {
    const struct times times = {column, out, unit};
    struct block block;
    size_t row = 0, bad_row;
    if (unit_scale(unit) == 0)
        return times_each(column, 0, rows, out, unit);
    while (rows - row >= 8) {
        size_t count = rows - row < BLOCK ? (rows - row) & ~(size_t)7 : BLOCK;
        block_load(&block, column, row, count);
        block_load_lasts(&block, column, row, count);
        for (size_t i = 0; i < count; i += 8)
            if (!times_eight(&times, &block, i, row + i, &bad_row))
                return bad_row;
        row += count;
    }
    return times_each(column, row, rows, out, unit);
}

static const struct sw_csv_readers readers_avx512 = {numbers_avx512, hashes_avx512, times_avx512};

const struct sw_csv_readers *sw_csv_readers_for(enum sw_cpu_level level) {
    if (level >= SW_CPU_AVX512)
        return &readers_avx512;
    return level >= SW_CPU_AVX2 ? &readers_bmi2 : &readers_scalar;
}

#else

const struct sw_csv_readers *sw_csv_readers_for(enum sw_cpu_level level) {
    (void)level;
    return &readers_scalar;
}

#endif
