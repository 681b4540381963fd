/* zoom_scalar.c - The points of a deep zoom one at a time; multiply-add is a call where the processor has none. */
#include <math.h>
#include <string.h>

#include "kernels/zoom_impl.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET
#define LANES_COUNT 1
#define TOGETHER 4u
#define LANES_RUN sw_zoom_lanes_scalar
#define OPERATION static inline

typedef double lanes;
typedef int64_t words;
typedef bool mask;

OPERATION lanes lanes_set(double value) {
    return value;
}

OPERATION lanes lanes_load(const double *from) {
    return *from;
}

OPERATION void lanes_store(double *to, lanes value) {
    *to = value;
}

OPERATION lanes lanes_fma(lanes a, lanes b, lanes c) {
    return fma(a, b, c);
}

OPERATION lanes lanes_fnma(lanes a, lanes b, lanes c) {
    return fma(-a, b, c);
}

/* max(|a|, |b|) */
OPERATION lanes lanes_reach(lanes a, lanes b) {
    return fabs(a) > fabs(b) ? fabs(a) : fabs(b);
}

OPERATION mask lanes_less(lanes a, lanes b) {
    return a < b;
}

OPERATION mask lanes_equal(lanes a, lanes b) {
    return a == b;
}

OPERATION lanes lanes_pick(mask is_yes, lanes yes, lanes no) {
    return is_yes ? yes : no;
}

/* from[index] where `is_wanted`, elsewhere 0. */
OPERATION lanes lanes_gather(const double *from, words index, mask is_wanted) {
    return is_wanted ? from[index] : 0;
}

OPERATION words words_set(int64_t value) {
    return value;
}

OPERATION words words_load(const int64_t *from) {
    return *from;
}

OPERATION void words_store(int64_t *to, words value) {
    *to = value;
}

/* value / 2^count; value >= 0. */
OPERATION words words_shift(words value, unsigned count) {
    return value >> count;
}

OPERATION words words_times12(words value) {
    return value * 12;
}

OPERATION mask words_equal(words a, words b) {
    return a == b;
}

OPERATION mask words_less(words a, words b) {
    return a < b;
}

/* Is it the start of a block? */
OPERATION mask words_aligned(words value) {
    return value % SW_ZOOM_BLOCK == 0;
}

OPERATION words words_pick(mask is_yes, words yes, words no) {
    return is_yes ? yes : no;
}

OPERATION mask mask_and(mask a, mask b) {
    return a && b;
}

OPERATION mask mask_or(mask a, mask b) {
    return a || b;
}

/* a without b. */
OPERATION mask mask_but(mask a, mask b) {
    return a && !b;
}

OPERATION bool mask_any(mask a) {
    return a;
}

OPERATION unsigned mask_bits(mask a) {
    return a;
}

OPERATION mask mask_of_bits(unsigned bits) {
    return bits & 1;
}

OPERATION void orbit_gather(const struct sw_zoom_complex *z, words index, lanes *re, lanes *im) {
    *re = z[index].re;
    *im = z[index].im;
}

/* re and im of z[lane][i] */
OPERATION void orbit_load(const struct sw_zoom_complex *const *z, size_t i, lanes *re, lanes *im) {
    *re = z[0][i].re;
    *im = z[0][i].im;
}

#include "kernels/zoom_lanes_impl.h"
