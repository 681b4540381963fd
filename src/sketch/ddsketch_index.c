/* ddsketch_index.c - From values to bucket indices and back: a logarithm out of the exponent bits and a cubic. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "sketch/ddsketch.h"

/* The logarithm is e + P(s) for a value 2^e * (1 + s). The slope of this cubic against the natural logarithm of the
 * value, P'(s) * (1 + s), is least at s = 0 and s = 2/3, where it is 10/7. A bucket of width 1/35 hence spans a factor
 * of at most exp(0.02), and the harmonic mean of its ends is within tanh(0.01) = 0.99997 % of all in it. */
#define CUBIC_A (6.0 / 35.0)
#define CUBIC_B (-3.0 / 5.0)
#define CUBIC_C (10.0 / 7.0)

enum {
    PER_OCTAVE = 35,
    INDEX_SHIFT = PER_OCTAVE - 1, /* the least normal double, of exponent field 1, has index 1 */
    INDEX_INFINITE = SW_DDSKETCH_INDEX_INFINITE,
};

static inline double double_of(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* All in doubles up to one truncation, and without branches, so that it vectorises. */
static inline __attribute__((always_inline)) int32_t index_of(double value) {
    double magnitude = fabs(value);
    uint64_t bits;
    memcpy(&bits, &magnitude, sizeof(bits));
    double exponent = double_of(bits >> 52 | UINT64_C(0x4330000000000000)) - 0x1p52;
    double s = double_of((bits & UINT64_C(0xfffffffffffff)) | UINT64_C(0x3ff0000000000000)) - 1.0;
    double index = PER_OCTAVE * (exponent + ((CUBIC_A * s + CUBIC_B) * s + CUBIC_C) * s) - INDEX_SHIFT;
    index = index < INDEX_INFINITE - 1 ? index : INDEX_INFINITE - 1;
    index = magnitude < DBL_MIN ? 0.0 : index;
    index = magnitude > DBL_MAX ? INDEX_INFINITE : index;
    index = value < 0.0 ? -index : index;
    index = value != value ? (double)SW_DDSKETCH_INDEX_NAN : index;
    return (int32_t)index;
}

static void index_scalar(const double *restrict values, size_t count, int32_t *restrict indices) {
    for (size_t i = 0; i < count; i++) {
        indices[i] = index_of(values[i]);
    }
}

#if defined(__x86_64__)
/* Without FMA on purpose: every processor must put a value into the same bucket. */
__attribute__((target("avx2"))) static void index_avx2(const double *restrict values, size_t count,
                                                       int32_t *restrict indices) {
    for (size_t i = 0; i < count; i++) {
        indices[i] = index_of(values[i]);
    }
}
#endif

/* The harmonic means of the ends of the buckets from 1 to 2, the ends being where the cubic is a multiple of 1/35. */
static const double octave_value[PER_OCTAVE] = {
    1.0099842501580654, 1.0303264112153627, 1.051021866452163,  1.0720827234049874, 1.093521570972587,
    1.1153514858285154, 1.1375860351211526, 1.1602392744336154, 1.1833257397663557, 1.2068604320604084,
    1.2308587924956769, 1.255336666473551,  1.2803102538251045, 1.305796042376164,  1.331810721553341,
    1.3583710722410423, 1.385493828616777,  1.4131955072302038, 1.4414921981945332, 1.4703993130905808,
    1.499931284131098,  1.530101209411086,  1.5609204398239966, 1.5923981046288578, 1.624540574906295,
    1.6573508674443327, 1.6908279961245798, 1.7249662837399435, 1.7597546543315619, 1.795175934330893,
    1.8312061994748903, 1.867814212701347,  1.9049610047202694, 1.9425996520878075, 1.9806753056828963,
};

void sw_ddsketch_index(const double *values, size_t count, int32_t *indices) {
#if defined(__x86_64__)
    if (count >= 8 && sw_cpu_level() >= SW_CPU_AVX2) {
        index_avx2(values, count, indices);
        return;
    }
#endif
    index_scalar(values, count, indices);
}

double sw_ddsketch_bucket_value(int32_t index) {
    if (index == 0) {
        return 0.0;
    }
    if (index == SW_DDSKETCH_INDEX_NAN) {
        return NAN;
    }
    int32_t magnitude = index < 0 ? -index : index;
    double sign = index < 0 ? -1.0 : 1.0;
    if (magnitude >= INDEX_INFINITE) {
        return sign * INFINITY;
    }
    uint32_t place = (uint32_t)(magnitude + INDEX_SHIFT);
    return sign * octave_value[place % PER_OCTAVE] * double_of((uint64_t)(place / PER_OCTAVE) << 52);
}
