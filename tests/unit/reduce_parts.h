/* reduce_parts.h - What the tests of reductions share: every level of instructions, loops out of order, number streams. */
#ifndef SW_TESTS_REDUCE_PARTS_H
#define SW_TESTS_REDUCE_PARTS_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/cpu.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "kernels/reduce_impl.h"

struct level {
    const struct sw_reduce_level *table;
    enum sw_cpu_level needs;
};

static const struct level levels[] = {
    {&sw_reduce_scalar, SW_CPU_SCALAR},
#if defined(__x86_64__)
    {&sw_reduce_avx2, SW_CPU_AVX2},
    {&sw_reduce_avx512, SW_CPU_AVX512},
#elif defined(__aarch64__)
    {&sw_reduce_neon, SW_CPU_SCALAR},
#endif
};

#define LEVELS (sizeof(levels) / sizeof(levels[0]))

/* Makes level `i` the one in use; false if this processor does not have it. */
static inline bool level_use(size_t i) {
    sw_reduce_level_force(levels[i].table);
    return sw_cpu_level() >= levels[i].needs;
}

/* Three lanes, the last iterations first. */
static inline void backwards_run(struct sw_parallel *self, const struct sw_parallel_loop *loop) {
    size_t grain = loop->grain > 0 ? loop->grain : 1, parts = (loop->count + grain - 1) / grain;
    for (size_t part = parts; part-- > 0;) {
        size_t last = (part + 1) * grain < loop->count ? (part + 1) * grain : loop->count;
        loop->body(loop->context, part * grain, last, (unsigned)(part % self->lanes));
    }
}

static inline struct sw_parallel backwards(void) {
    return (struct sw_parallel){.lanes = 3, .run = backwards_run};
}

static inline double uniform(uint64_t *state) {
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return (double)(sw_hash_u64(*state) >> 11) * 0x1p-53;
}

/* Nearly Gaussian: mean 0, deviation 1. */
static inline double noise(uint64_t *state) {
    double sum = -2;
    for (int i = 0; i < 4; i++)
        sum += uniform(state);
    return sum * sqrt(3);
}

static inline uint64_t bits_of(double value) {
    uint64_t bits;
    if (isnan(value))
        return UINT64_MAX;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

#endif
