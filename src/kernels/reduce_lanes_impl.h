/* reduce_lanes_impl.h - The kernels of reduce_impl.h on vectors of any width.
 *
 * The file that includes this one first defines LANES_TARGET (an attribute), LANES_LEVEL (the name of the table to
 * define), WIDTH (doubles in a vector), the types `lanes` (doubles), `floats` (twice as many) and `mask`, and the
 * operations on them.
 */
#ifdef LANES_LEVEL

#include <math.h>
#include <stdbool.h>

#include "kernels/reduce_impl.h"

#define LANES_INLINE LANES_TARGET static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#define ROUNDS 16             /* added up before they meet the sum of the earlier ones */
#define AHEAD 1024            /* bytes */
#define SKEWED_LEAST 256      /* elements; with fewer it costs more than it saves */
#define ACCUMULATORS_MOST 32u /* of an operation */
#define VECTORS_MOST (ACCUMULATORS_MOST / WIDTH)

struct accumulators {
    lanes sums[SW_REDUCE_SUMS][VECTORS_MOST];
    lanes min[VECTORS_MOST], max[VECTORS_MOST];
};

LANES_INLINE unsigned op_sums(enum sw_reduce_op op) {
    return op == SW_REDUCE_JOINT ? 5 : op == SW_REDUCE_MOMENTS || op == SW_REDUCE_SUMMARY ? 2 : 1;
}

/* As many as hide the latency of an addition, and fit the registers. */
LANES_INLINE unsigned op_vectors(enum sw_reduce_op op) {
    return (op == SW_REDUCE_JOINT ? 8 : op_sums(op) == 2 ? 16 : ACCUMULATORS_MOST) / WIDTH;
}

LANES_INLINE bool op_has_y(enum sw_reduce_op op) {
    return op == SW_REDUCE_DOT || op == SW_REDUCE_JOINT;
}

LANES_INLINE lanes elements_load(const void *from, size_t at, enum sw_dtype dtype) {
    return dtype == SW_F64 ? lanes_load((const double *)from + at) : lanes_widen((const float *)from + at);
}

LANES_INLINE double element_at(const void *from, size_t at, enum sw_dtype dtype) {
    return dtype == SW_F64 ? ((const double *)from)[at] : (double)((const float *)from)[at];
}

/* Adds one vector of elements to accumulators v. */
LANES_INLINE void add(struct accumulators *to, unsigned v, lanes x, lanes y, enum sw_reduce_op op) {
    switch (op) {
    case SW_REDUCE_SUM:
        to->sums[0][v] += x;
        break;
    case SW_REDUCE_DOT:
        to->sums[0][v] += x * y;
        break;
    case SW_REDUCE_SQUARES:
    case SW_REDUCE_SCALED:
        to->sums[0][v] += x * x;
        break;
    case SW_REDUCE_MOMENTS:
    case SW_REDUCE_SUMMARY:
        to->sums[0][v] += x;
        to->sums[1][v] += x * x;
        break;
    default:
        to->sums[0][v] += x;
        to->sums[1][v] += y;
        to->sums[2][v] += x * x;
        to->sums[3][v] += y * y;
        to->sums[4][v] += x * y;
    }
}

LANES_INLINE lanes shifted(lanes x, double shift, enum sw_reduce_op op) {
    if (op == SW_REDUCE_SCALED)
        return x * lanes_set(shift);
    if (op == SW_REDUCE_MOMENTS || op == SW_REDUCE_SUMMARY || op == SW_REDUCE_JOINT)
        return x - lanes_set(shift);
    return x;
}

struct kind {
    enum sw_reduce_op op;
    enum sw_dtype dtype;
};

/* The processor fetches ahead by itself, but a third more arrives when it is told. */
LANES_INLINE void round_prefetch(const struct sw_reduce_block *block, size_t at, struct kind kind) {
    size_t size = kind.dtype == SW_F64 ? sizeof(double) : sizeof(float);
    UNROLL
    for (unsigned i = 0; i < op_vectors(kind.op) * WIDTH * size; i += 64) {
        __builtin_prefetch((const char *)block->x + at * size + AHEAD + i);
        if (op_has_y(kind.op))
            __builtin_prefetch((const char *)block->y + at * size + AHEAD + i);
    }
}

LANES_INLINE void round_add(const struct sw_reduce_block *block, size_t at, struct kind kind, struct accumulators *to) {
    enum sw_reduce_op op = kind.op;
    if (block->is_far)
        round_prefetch(block, at, kind);
    UNROLL
    for (unsigned v = 0; v < op_vectors(op); v++) {
        lanes x = elements_load(block->x, at + v * WIDTH, kind.dtype), y = x;
        if (op_has_y(op))
            y = shifted(elements_load(block->y, at + v * WIDTH, kind.dtype), block->shift_y, op);
        if (op == SW_REDUCE_SUMMARY) {
            to->min[v] = lanes_min(x, to->min[v]);
            to->max[v] = lanes_max(x, to->max[v]);
        }
        add(to, v, shifted(x, block->shift_x, op), y, op);
    }
}

LANES_INLINE void sums_clear(struct accumulators *sums, enum sw_reduce_op op) {
    UNROLL
    for (unsigned s = 0; s < op_sums(op); s++) {
        UNROLL
        for (unsigned v = 0; v < op_vectors(op); v++)
            sums->sums[s][v] = lanes_set(0);
    }
}

LANES_INLINE void extremes_set(struct accumulators *to, lanes value, enum sw_reduce_op op) {
    if (op != SW_REDUCE_SUMMARY)
        return;
    UNROLL
    for (unsigned v = 0; v < op_vectors(op); v++)
        to->min[v] = to->max[v] = value;
}

LANES_INLINE void extremes_copy(struct accumulators *to, const struct accumulators *from, enum sw_reduce_op op) {
    if (op != SW_REDUCE_SUMMARY)
        return;
    UNROLL
    for (unsigned v = 0; v < op_vectors(op); v++)
        to->min[v] = from->min[v], to->max[v] = from->max[v];
}

/* Adds up what a group of rounds came to, but for the lanes in `late`, which are one round ahead. */
LANES_INLINE void sums_take(struct accumulators *to, struct accumulators *from, mask_f64 late, enum sw_reduce_op op) {
    UNROLL
    for (unsigned s = 0; s < op_sums(op); s++) {
        unsigned last = op_vectors(op) - 1;
        UNROLL
        for (unsigned v = 0; v < last; v++) {
            to->sums[s][v] += from->sums[s][v];
            from->sums[s][v] = lanes_set(0);
        }
        to->sums[s][last] += lanes_except(from->sums[s][last], late);
        from->sums[s][last] = lanes_only(from->sums[s][last], late);
    }
}

/* And these lanes, before their seventeenth round. */
LANES_INLINE void sums_take_late(struct accumulators *to, struct accumulators *from, mask_f64 late,
                                 enum sw_reduce_op op) {
    UNROLL
    for (unsigned s = 0; s < op_sums(op); s++) {
        unsigned last = op_vectors(op) - 1;
        to->sums[s][last] += lanes_only(from->sums[s][last], late);
        from->sums[s][last] = lanes_except(from->sums[s][last], late);
    }
}

LANES_INLINE void accumulators_copy(struct accumulators *to, const struct accumulators *from, enum sw_reduce_op op) {
    UNROLL
    for (unsigned s = 0; s < op_sums(op); s++) {
        UNROLL
        for (unsigned v = 0; v < op_vectors(op); v++)
            to->sums[s][v] = from->sums[s][v];
    }
    extremes_copy(to, from, op);
}

/* The first `count` < WIDTH elements, and `fill`. */
LANES_INLINE lanes elements_load_some(const void *from, size_t count, double fill, enum sw_dtype dtype) {
    return dtype == SW_F64 ? lanes_load_some(from, (unsigned)count, fill)
                           : lanes_widen_some(from, (unsigned)count, fill);
}

/* The elements that are less than a round. What is filled up adds 0. */
LANES_INLINE void rest_add(const struct sw_reduce_block *block, size_t at, struct kind kind, struct accumulators *to) {
    enum sw_reduce_op op = kind.op;
    size_t size = kind.dtype == SW_F64 ? sizeof(double) : sizeof(float);
    bool is_shifted = op != SW_REDUCE_SCALED;
    for (unsigned v = 0; v < op_vectors(op) && at < block->count; v++, at += WIDTH) {
        size_t left = block->count - at;
        bool is_whole = left >= WIDTH;
        lanes x = is_whole ? elements_load(block->x, at, kind.dtype)
                           : elements_load_some((const char *)block->x + at * size, left,
                                                is_shifted ? block->shift_x : 0, kind.dtype);
        lanes y = x;
        if (op_has_y(op)) {
            y = is_whole ? elements_load(block->y, at, kind.dtype)
                         : elements_load_some((const char *)block->y + at * size, left, block->shift_y, kind.dtype);
            y = shifted(y, block->shift_y, op);
        }
        if (op == SW_REDUCE_SUMMARY) {
            lanes some = x;
            if (!is_whole)
                some = elements_load_some((const char *)block->x + at * size, left, element_at(block->x, 0, kind.dtype),
                                          kind.dtype);
            to->min[v] = lanes_min(some, to->min[v]);
            to->max[v] = lanes_max(some, to->max[v]);
        }
        add(to, v, shifted(x, block->shift_x, op), y, op);
    }
}

/* Halves upon halves. */
LANES_INLINE double tree_add(lanes *from, unsigned vectors) {
    UNROLL
    for (unsigned half = vectors / 2; half > 0; half /= 2) {
        UNROLL
        for (unsigned v = 0; v < half; v++)
            from[v] += from[v + half];
    }
    return lanes_total(from[0]);
}

LANES_INLINE double tree_min(const lanes *from, unsigned vectors) {
    double last[WIDTH];
    lanes min = from[0];
    UNROLL
    for (unsigned v = 1; v < vectors; v++)
        min = lanes_min(from[v], min);
    lanes_store(last, min);
    UNROLL
    for (unsigned i = 1; i < WIDTH; i++)
        last[0] = last[i] < last[0] ? last[i] : last[0];
    return last[0];
}

LANES_INLINE double tree_max(const lanes *from, unsigned vectors) {
    double last[WIDTH];
    lanes max = from[0];
    UNROLL
    for (unsigned v = 1; v < vectors; v++)
        max = lanes_max(from[v], max);
    lanes_store(last, max);
    UNROLL
    for (unsigned i = 1; i < WIDTH; i++)
        last[0] = last[i] > last[0] ? last[i] : last[0];
    return last[0];
}

/* Vectors are loaded where they do not lie across two cache lines, which takes twice as long: so accumulator i mod A is
 * found `count` places further down, and the first elements are in the last vector, a round ahead of the others. */
struct skew {
    size_t count;
    mask_f64 late;
};

#if WIDTH > 2
LANES_INLINE struct skew skew_of(const struct sw_reduce_block *block, struct kind kind) {
    size_t size = kind.dtype == SW_F64 ? sizeof(double) : sizeof(float);
    size_t beyond = (size_t)((uintptr_t)block->x / size % WIDTH);
    size_t count = beyond > 0 && block->count >= SKEWED_LEAST ? WIDTH - beyond : 0;
    return (struct skew){count, mask_f64_last((unsigned)count)};
}

LANES_INLINE lanes elements_load_last(const void *from, unsigned count, double fill, enum sw_dtype dtype) {
    return dtype == SW_F64 ? lanes_load_last(from, count, fill) : lanes_widen_last(from, count, fill);
}

LANES_INLINE void head_add(const struct sw_reduce_block *block, const struct skew *skew, struct kind kind,
                           struct accumulators *to) {
    enum sw_reduce_op op = kind.op;
    unsigned last = op_vectors(op) - 1, count = (unsigned)skew->count;
    double none = op != SW_REDUCE_SCALED ? block->shift_x : 0;
    lanes x = elements_load_last(block->x, count, none, kind.dtype), y = x;
    if (op_has_y(op))
        y = shifted(elements_load_last(block->y, count, block->shift_y, kind.dtype), block->shift_y, op);
    if (op == SW_REDUCE_SUMMARY) {
        lanes some = elements_load_last(block->x, count, element_at(block->x, 0, kind.dtype), kind.dtype);
        to->min[last] = lanes_min(some, to->min[last]);
        to->max[last] = lanes_max(some, to->max[last]);
    }
    add(to, last, shifted(x, block->shift_x, op), y, op);
}

LANES_INLINE void unskew(lanes *sums, unsigned vectors, size_t count) {
    double places[ACCUMULATORS_MOST + WIDTH];
    lanes_store(places, sums[vectors - 1]);
    UNROLL
    for (unsigned v = 0; v < vectors; v++)
        lanes_store(places + (v + 1) * WIDTH, sums[v]);
    UNROLL
    for (unsigned v = 0; v < vectors; v++)
        sums[v] = lanes_load(places + (v + 1) * WIDTH - count);
}
#else
LANES_INLINE struct skew skew_of(const struct sw_reduce_block *block, struct kind kind) {
    return (struct skew){0, mask_f64_none()};
}

LANES_INLINE void head_add(const struct sw_reduce_block *block, const struct skew *skew, struct kind kind,
                           struct accumulators *to) {
}

LANES_INLINE void unskew(lanes *sums, unsigned vectors, size_t count) {
}
#endif

LANES_INLINE void block_reduce(const struct sw_reduce_block *block, struct sw_reduce_partial *partial,
                               struct kind kind) {
    enum sw_reduce_op op = kind.op;
    struct skew skew = skew_of(block, kind);
    size_t round = (size_t)op_vectors(op) * WIDTH, at = skew.count, end;
    struct accumulators all, some;
    sums_clear(&all, op);
    sums_clear(&some, op);
    extremes_set(&some, lanes_set(element_at(block->x, 0, kind.dtype)), op);
    if (skew.count > 0)
        head_add(block, &skew, kind, &some);
    while (block->count - at >= ROUNDS * round) {
        for (end = at + (ROUNDS - 1) * round; at < end; at += round)
            round_add(block, at, kind, &some);
        sums_take_late(&all, &some, skew.late, op);
        round_add(block, at, kind, &some);
        at += round;
        sums_take(&all, &some, skew.late, op);
    }
    end = at + (ROUNDS - 1) * round;
    for (; block->count - at >= round && at < end; at += round)
        round_add(block, at, kind, &some);
    if (at == end)
        sums_take_late(&all, &some, skew.late, op);
    if (at < block->count) {
        struct accumulators rest;
        accumulators_copy(&rest, &some, op);
        rest_add(block, at, kind, &rest);
        accumulators_copy(&some, &rest, op);
    }
    sums_take(&all, &some, mask_f64_none(), op);
    UNROLL
    for (unsigned s = 0; s < op_sums(op); s++) {
        if (skew.count > 0)
            unskew(all.sums[s], op_vectors(op), skew.count);
        partial->sums[s] = tree_add(all.sums[s], op_vectors(op));
    }
    if (op == SW_REDUCE_SUMMARY) {
        partial->min = tree_min(some.min, op_vectors(op)) + 0.0;
        partial->max = tree_max(some.max, op_vectors(op)) + 0.0;
    }
}

#define KERNEL(name, op) \
    LANES_TARGET static void name##_f64(const struct sw_reduce_block *block, struct sw_reduce_partial *partial) { \
        block_reduce(block, partial, (struct kind){op, SW_F64}); \
    } \
    LANES_TARGET static void name##_f32(const struct sw_reduce_block *block, struct sw_reduce_partial *partial) { \
        block_reduce(block, partial, (struct kind){op, SW_F32}); \
    }

KERNEL(sum, SW_REDUCE_SUM)
KERNEL(dot, SW_REDUCE_DOT)
KERNEL(squares, SW_REDUCE_SQUARES)
KERNEL(scaled, SW_REDUCE_SCALED)
KERNEL(moments, SW_REDUCE_MOMENTS)
KERNEL(summary, SW_REDUCE_SUMMARY)
KERNEL(joint, SW_REDUCE_JOINT)

#define EXTREME_VECTORS (ACCUMULATORS_MOST / WIDTH) /* floats have twice as many accumulators */

/* Two vectors share a test for NaN. Elements between the first vector and the next aligned one are seen twice. A zero
 * is +0, because which of both would win depends on the level. */
#define EXTREMES(suffix, number, vector, width) \
    LANES_TARGET static void extremes_##suffix(const struct sw_reduce_block *block, \
                                               struct sw_reduce_partial *partial) { \
        const number *x = block->x; \
        vector min[EXTREME_VECTORS], max[EXTREME_VECTORS]; \
        number mins[EXTREME_VECTORS * (width)], maxs[EXTREME_VECTORS * (width)]; \
        mask_##suffix odd = mask_##suffix##_none(); \
        size_t at = 0; \
        UNROLL for (unsigned v = 0; v < EXTREME_VECTORS; v++) min[v] = max[v] = vector##_set(x[0]); \
        if (WIDTH > 2 && block->count >= SKEWED_LEAST) { \
            vector a = vector##_load(x); \
            min[0] = vector##_min(a, min[0]), max[0] = vector##_max(a, max[0]); \
            odd = mask_##suffix##_add(odd, a, a); \
            at = (0 - (uintptr_t)x / sizeof *x) % (width); \
        } \
        for (; block->count - at >= EXTREME_VECTORS * (width); at += EXTREME_VECTORS * (width)) { \
            for (size_t i = 0; i < EXTREME_VECTORS * (width) * sizeof *x && block->is_far; i += 64) \
                __builtin_prefetch((const char *)(x + at) + AHEAD + i); \
            UNROLL for (unsigned v = 0; v < EXTREME_VECTORS; v += 2) { \
                vector a = vector##_load(x + at + v * (width)), b = vector##_load(x + at + (v + 1) * (width)); \
                min[v] = vector##_min(a, min[v]), max[v] = vector##_max(a, max[v]); \
                min[v + 1] = vector##_min(b, min[v + 1]), max[v + 1] = vector##_max(b, max[v + 1]); \
                odd = mask_##suffix##_add(odd, a, b); \
            } \
        } \
        UNROLL for (unsigned v = 0; v < EXTREME_VECTORS; v++) { \
            vector##_store(mins + v * (width), min[v]); \
            vector##_store(maxs + v * (width), max[v]); \
        } \
        bool is_odd = mask_##suffix##_any(odd); \
        for (unsigned i = 0; at < block->count; i++, at++) { \
            is_odd = is_odd || isnan(x[at]); \
            mins[i] = x[at] < mins[i] ? x[at] : mins[i]; \
            maxs[i] = x[at] > maxs[i] ? x[at] : maxs[i]; \
        } \
        for (unsigned half = EXTREME_VECTORS * (width) / 2; half > 0; half /= 2) { \
            for (unsigned i = 0; i < half; i++) { \
                mins[i] = mins[i + half] < mins[i] ? mins[i + half] : mins[i]; \
                maxs[i] = maxs[i + half] > maxs[i] ? maxs[i + half] : maxs[i]; \
            } \
        } \
        partial->min = is_odd ? NAN : (double)mins[0] + 0.0; \
        partial->max = is_odd ? NAN : (double)maxs[0] + 0.0; \
    }

EXTREMES(f64, double, lanes, WIDTH)
EXTREMES(f32, float, floats, 2 * WIDTH)

LANES_INLINE void block_band(const void *x, size_t count, struct sw_reduce_band *band, enum sw_dtype dtype) {
    lanes low = lanes_set(band->low), high = lanes_set(band->high);
    double *kept = band->kept + band->kept_count;
    size_t at = 0, low_count = 0;
    for (; count - at >= WIDTH; at += WIDTH)
        kept += lanes_keep(kept, elements_load(x, at, dtype), low, high, &low_count);
    for (; at < count; at++) {
        double value = element_at(x, at, dtype);
        bool is_low = value <= band->low;
        low_count += is_low;
        *kept = value;
        kept += !is_low && !(value >= band->high);
    }
    band->kept_count = (size_t)(kept - band->kept);
    band->low_count += low_count;
}

LANES_TARGET static void band_f64(const void *x, size_t count, struct sw_reduce_band *band) {
    block_band(x, count, band, SW_F64);
}

LANES_TARGET static void band_f32(const void *x, size_t count, struct sw_reduce_band *band) {
    block_band(x, count, band, SW_F32);
}

/* The quotient is off by one bin at most; the edges themselves decide. */
LANES_INLINE lanes bin_of(const struct sw_reduce_bins *bins, lanes x) {
    lanes low = lanes_set(bins->low), high = lanes_set(bins->high), step = lanes_set(bins->step);
    lanes one = lanes_set(1), none = lanes_set(0), count = lanes_set(bins->count);
    lanes bin = lanes_floor((x - low) * lanes_set(bins->per_unit));
    bin = bin - lanes_pick_less(x, bin * step + low, one, none);
    bin = bin + lanes_pick_less(x, (bin + one) * step + low, none, one);
    bin = lanes_max(lanes_min(bin, count - one), none); /* the last bin is closed; its edge was high all along */
    bin = lanes_pick_less(x, low, count, bin);
    return lanes_pick_most(x, high, bin, count); /* NaN is not at most anything */
}

LANES_INLINE void block_bins(const struct sw_reduce_bins *bins, const struct sw_reduce_block *block, uint32_t *index,
                             enum sw_dtype dtype) {
    size_t at = 0, size = dtype == SW_F64 ? sizeof(double) : sizeof(float);
    for (; block->count - at >= WIDTH; at += WIDTH)
        lanes_to_index(index + at, bin_of(bins, elements_load(block->x, at, dtype)));
    if (at < block->count) {
        const char *rest = (const char *)block->x + at * size;
        lanes_to_index(index + at, bin_of(bins, elements_load_some(rest, block->count - at, NAN, dtype)));
    }
}

LANES_TARGET static void bins_f64(const struct sw_reduce_bins *bins, const struct sw_reduce_block *block,
                                  uint32_t *index) {
    block_bins(bins, block, index, SW_F64);
}

LANES_TARGET static void bins_f32(const struct sw_reduce_bins *bins, const struct sw_reduce_block *block,
                                  uint32_t *index) {
    block_bins(bins, block, index, SW_F32);
}

const struct sw_reduce_level LANES_LEVEL = {
    .kernels =
        {
            [SW_REDUCE_SUM] = {sum_f64, sum_f32},
            [SW_REDUCE_DOT] = {dot_f64, dot_f32},
            [SW_REDUCE_SQUARES] = {squares_f64, squares_f32},
            [SW_REDUCE_SCALED] = {scaled_f64, scaled_f32},
            [SW_REDUCE_MOMENTS] = {moments_f64, moments_f32},
            [SW_REDUCE_SUMMARY] = {summary_f64, summary_f32},
            [SW_REDUCE_JOINT] = {joint_f64, joint_f32},
            [SW_REDUCE_EXTREMES] = {extremes_f64, extremes_f32},
        },
    .band = {band_f64, band_f32},
    .bins = {bins_f64, bins_f32},
};

#endif
