/* anomaly_scalar.c - The anomaly detector one series at a time. */
#include <math.h>

#include "engine/anomaly_impl.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES_TARGET
#define LANES_COUNT 1
#define LANES_UPDATE sw_anomaly_lanes_scalar

typedef float lanes;
typedef int32_t words;
typedef bool mask;

static inline lanes lanes_set(float value) {
    return value;
}

static inline words words_set(int32_t value) {
    return value;
}

static inline lanes lanes_load(const float *from) {
    return *from;
}

static inline void lanes_store(float *to, mask is_new, lanes value, lanes old) {
    *to = is_new ? value : old;
}

static inline words words_load(const float *from) {
    words value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

static inline void words_store(float *to, mask is_new, words value, words old) {
    value = is_new ? value : old;
    __builtin_memcpy(to, &value, sizeof value);
}

static inline words tails_load(const int16_t *from) {
    return *from;
}

static inline void tails_store(int16_t *to, mask is_new, words value, words old) {
    *to = (int16_t)(is_new ? value : old);
}

static inline lanes lanes_of(words value) {
    return (float)value;
}

static inline words words_of(lanes value) {
    return (int32_t)value;
}

static inline lanes lanes_abs(lanes value) {
    return fabsf(value);
}

/* 1 or -1. */
static inline lanes lanes_sign(lanes value) {
    return copysignf(1.0f, value);
}

static inline lanes lanes_min(lanes a, lanes b) {
    return a < b ? a : b;
}

static inline lanes lanes_max(lanes a, lanes b) {
    return a > b ? a : b;
}

static inline mask lanes_less(lanes a, lanes b) {
    return a < b;
}

static inline mask words_less(words a, words b) {
    return a < b;
}

static inline lanes lanes_pick(mask is_yes, lanes yes, lanes no) {
    return is_yes ? yes : no;
}

static inline lanes lanes_keep(mask is_yes, lanes yes) {
    return is_yes ? yes : 0.0f;
}

static inline words words_pick(mask is_yes, words yes, words no) {
    return is_yes ? yes : no;
}

static inline mask mask_and(mask a, mask b) {
    return a && b;
}

static inline mask mask_or(mask a, mask b) {
    return a || b;
}

static inline mask mask_any(mask a) {
    return a;
}

static inline unsigned mask_bits(mask a) {
    return a;
}

static inline mask mask_of_bits(unsigned bits) {
    return bits & 1;
}

/* The bits of the first `count` lanes. */
static inline unsigned lanes_below(unsigned count) {
    return 1;
}

static inline lanes values_load(const double *from, unsigned count, mask *is_present) {
    *is_present = isfinite(*from);
    lanes value = *is_present ? (float)*from : 0.0f;
    value = fabsf(value) < SW_ANOMALY_VALUE_MIN ? 0.0f : value;
    return lanes_max(lanes_min(value, SW_ANOMALY_VALUE_MAX), -SW_ANOMALY_VALUE_MAX);
}

static inline void scores_store(float *to, unsigned count, lanes value) {
    *to = value;
}

#include "engine/anomaly_lanes_impl.h"
