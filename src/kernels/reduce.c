/* reduce.c - One number, or a few, from all elements of an array: sums, moments, extremes, correlation. */
#include "kernels/reduce.h"

#include <math.h>
#include <stdatomic.h>

#include "kernels/reduce_impl.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define CHUNKS_MOST 256        /* so that the partial results fit the stack */
#define CHUNK_BLOCKS 16        /* least blocks of a chunk: some microseconds of work */
#define PARALLEL_LEAST 0x20000 /* elements; below, waking a thread costs what it saves */
#define FAR_LEAST 0x180000     /* bytes of an operand that does not stay in a second-level cache */
#define TREE_MOST 48           /* levels; more than there are bits in a number of blocks */
#define SAMPLE 16              /* elements at each of */
#define SAMPLES 4              /* places give a first estimate of the mean */
#define SQUARES_LEAST 0x1p-960 /* a sum of squares above it has lost nothing to underflow */
#define SCALE_MOST 1000        /* as a power of two */
#define PASSES_MOST 3

static const struct sw_reduce_level *_Atomic forced;

void sw_reduce_level_force(const struct sw_reduce_level *level) {
    atomic_store_explicit(&forced, level, memory_order_relaxed);
}

const struct sw_reduce_level *sw_reduce_level(void) {
    const struct sw_reduce_level *level = atomic_load_explicit(&forced, memory_order_relaxed);
    if (level)
        return level;
#if defined(__x86_64__)
    switch (sw_cpu_level()) {
    case SW_CPU_AVX512:
        return &sw_reduce_avx512;
    case SW_CPU_AVX2:
        return &sw_reduce_avx2;
    default:
        return &sw_reduce_scalar;
    }
#elif defined(__aarch64__)
    return sw_cpu_level() >= SW_CPU_NEON ? &sw_reduce_neon : &sw_reduce_scalar;
#else
    return &sw_reduce_scalar;
#endif
}

static bool is_same_shape(const struct sw_array *x, const struct sw_array *y) {
    bool is_same = x->dims == y->dims;
    for (unsigned d = 0; d < x->dims && is_same; d++)
        is_same = x->shape[d] == y->shape[d];
    return is_same;
}

/* An array as it is walked best; with its partner, if there is one, in step. */
struct operands {
    const struct sw_array *x, *y; /* the caller's, or these; y may be NULL */
    size_t count;
    bool is_row; /* contiguous and of one dtype: kernels read the elements where they are */
    bool is_mixed;
    struct sw_array straight_x, straight_y;
};

static void operands_init(struct operands *operands, const struct sw_array *x, const struct sw_array *y) {
    operands->x = x, operands->y = y;
    operands->count = sw_array_count(x);
    operands->is_mixed = y && x->dtype != y->dtype;
    operands->is_row = sw_array_is_contiguous(x) && (!y || sw_array_is_contiguous(y));
    if (!operands->is_row && (!y || is_same_shape(x, y))) {
        struct sw_array *both[] = {&operands->straight_x, &operands->straight_y};
        operands->straight_x = *x, operands->x = both[0];
        if (y)
            operands->straight_y = *y, operands->y = both[1];
        sw_array_straighten(both, y ? 2 : 1);
        operands->is_row = sw_array_is_contiguous(both[0]) && (!y || sw_array_is_contiguous(both[1]));
    }
    operands->is_row = operands->is_row && !operands->is_mixed;
}

/* One walk over the elements. The kernel, of the level and the dtype, is that of `op`. */
struct pass {
    enum sw_reduce_op op;
    sw_reduce_kernel kernel;
    const struct operands *operands;
    double shift_x, shift_y;
    bool is_far;
    size_t chunk; /* elements */
    struct sw_reduce_partial *partials;
};

static size_t size_min(size_t a, size_t b) {
    return a < b ? a : b;
}

/* NaN wins. */
static void partial_join(enum sw_reduce_op op, struct sw_reduce_partial *to, const struct sw_reduce_partial *right) {
    if (op >= SW_REDUCE_SUMMARY && op != SW_REDUCE_JOINT) {
        to->min = right->min < to->min || isnan(right->min) ? right->min : to->min;
        to->max = right->max > to->max || isnan(right->max) ? right->max : to->max;
    }
    size_t sums = op == SW_REDUCE_JOINT ? 5 : op == SW_REDUCE_EXTREMES ? 0 : op >= SW_REDUCE_MOMENTS ? 2 : 1;
    for (size_t s = 0; s < sums; s++)
        to->sums[s] += right->sums[s];
}

/* Adds up pairwise what comes one by one: level k holds the sum of 2^k of them, or nothing. */
struct tree {
    enum sw_reduce_op op;
    size_t count;
    unsigned levels;
    struct sw_reduce_partial at[TREE_MOST];
};

static void tree_push(struct tree *tree, const struct sw_reduce_partial *leaf) {
    tree->at[tree->levels++] = *leaf;
    tree->count++;
    for (size_t rest = tree->count; (rest & 1) == 0; rest >>= 1) {
        tree->levels--;
        partial_join(tree->op, &tree->at[tree->levels - 1], &tree->at[tree->levels]);
    }
}

static void tree_finish(struct tree *tree, struct sw_reduce_partial *all) {
    while (tree->levels > 1) {
        tree->levels--;
        partial_join(tree->op, &tree->at[tree->levels - 1], &tree->at[tree->levels]);
    }
    *all = tree->at[0];
}

/* Where the elements of a block are put that are not in a row, or not of the wider dtype. */
struct scratch {
    double x[SW_ARRAY_BLOCK], y[SW_ARRAY_BLOCK];
};

const double *sw_reduce_wide_block(const struct sw_array *array, size_t first, size_t count, double *to) {
    if (array->dtype == SW_F64)
        return sw_array_block(array, first, count, to);
    float narrow[SW_ARRAY_BLOCK];
    const float *from = sw_array_block(array, first, count, narrow);
    for (size_t i = 0; i < count; i++)
        to[i] = (double)from[i];
    return to;
}

static const void *operand_block(const struct operands *operands, const struct sw_array *array, size_t first,
                                 size_t count, double *scratch) {
    return operands->is_mixed ? sw_reduce_wide_block(array, first, count, scratch)
                              : sw_array_block(array, first, count, scratch);
}

static __attribute__((noinline)) void block_gather_reduce(const struct pass *pass, size_t first, size_t count,
                                                          struct sw_reduce_partial *partial) {
    struct scratch scratch;
    const struct operands *operands = pass->operands;
    struct sw_reduce_block block = {.count = count, .shift_x = pass->shift_x, .shift_y = pass->shift_y};
    block.x = operand_block(operands, operands->x, first, count, scratch.x);
    if (operands->y)
        block.y = operand_block(operands, operands->y, first, count, scratch.y);
    pass->kernel(&block, partial);
}

static void block_reduce(const struct pass *pass, size_t first, size_t count, struct sw_reduce_partial *partial) {
    const struct operands *operands = pass->operands;
    if (!operands->is_row) {
        block_gather_reduce(pass, first, count, partial);
        return;
    }
    size_t offset = first * sw_dtype_size(operands->x->dtype);
    struct sw_reduce_block block = {.x = operands->x->data + offset, .count = count};
    block.y = operands->y ? operands->y->data + offset : NULL;
    block.shift_x = pass->shift_x, block.shift_y = pass->shift_y, block.is_far = pass->is_far;
    pass->kernel(&block, partial);
}

static void chunks_reduce(void *context, size_t first, size_t last, unsigned lane) {
    const struct pass *pass = context;
    for (size_t chunk = first; chunk < last; chunk++) {
        struct tree tree;
        tree.op = pass->op, tree.count = 0, tree.levels = 0;
        size_t end = size_min((chunk + 1) * pass->chunk, pass->operands->count);
        for (size_t at = chunk * pass->chunk; at < end; at += SW_ARRAY_BLOCK) {
            struct sw_reduce_partial leaf;
            block_reduce(pass, at, size_min(end - at, SW_ARRAY_BLOCK), &leaf);
            tree_push(&tree, &leaf);
        }
        tree_finish(&tree, &pass->partials[chunk]);
    }
}

/* The tree of all blocks does not depend on the chunks, which are powers of two. */
static __attribute__((noinline)) void blocks_reduce(struct pass *pass, struct sw_reduce_partial *all,
                                                    struct sw_parallel *parallel) {
    struct sw_reduce_partial partials[CHUNKS_MOST];
    size_t blocks = (pass->operands->count - 1) / SW_ARRAY_BLOCK + 1, chunk_blocks = CHUNK_BLOCKS;
    while ((blocks - 1) / chunk_blocks + 1 > CHUNKS_MOST)
        chunk_blocks *= 2;
    size_t chunks = (blocks - 1) / chunk_blocks + 1;
    pass->partials = partials;
    pass->chunk = chunk_blocks * SW_ARRAY_BLOCK;
    struct sw_parallel_loop loop = {.count = chunks, .grain = 1, .body = chunks_reduce, .context = pass};
    sw_parallel_run(pass->operands->count >= PARALLEL_LEAST ? parallel : NULL, &loop);
    struct tree tree;
    tree.op = pass->op, tree.count = 0, tree.levels = 0;
    for (size_t i = 0; i < chunks; i++)
        tree_push(&tree, &partials[i]);
    tree_finish(&tree, all);
}

static void pass_run(struct pass *pass, struct sw_reduce_partial *all, struct sw_parallel *parallel) {
    const struct operands *operands = pass->operands;
    pass->is_far = operands->count * sw_dtype_size(operands->x->dtype) >= FAR_LEAST;
    pass->kernel = sw_reduce_level()->kernels[pass->op][operands->is_mixed ? SW_F64 : operands->x->dtype];
    if (operands->count <= SW_ARRAY_BLOCK)
        block_reduce(pass, 0, operands->count, all);
    else
        blocks_reduce(pass, all, parallel);
}

static double single_sum(enum sw_reduce_op op, const struct operands *operands, struct sw_parallel *parallel) {
    struct sw_reduce_partial all;
    struct pass pass = {.op = op, .operands = operands};
    if (operands->count == 0)
        return 0;
    pass_run(&pass, &all, parallel);
    return all.sums[0];
}

double sw_reduce_sum(const struct sw_array *x, struct sw_parallel *parallel) {
    struct operands operands;
    operands_init(&operands, x, NULL);
    return single_sum(SW_REDUCE_SUM, &operands, parallel);
}

double sw_reduce_dot(const struct sw_array *x, const struct sw_array *y, struct sw_parallel *parallel) {
    struct operands operands;
    operands_init(&operands, x, y);
    return single_sum(SW_REDUCE_DOT, &operands, parallel);
}

static struct sw_extremes extremes_of(const struct operands *operands, struct sw_parallel *parallel) {
    struct sw_reduce_partial all = {.min = NAN, .max = NAN};
    struct pass pass = {.op = SW_REDUCE_EXTREMES, .operands = operands};
    if (operands->count > 0)
        pass_run(&pass, &all, parallel);
    return (struct sw_extremes){all.min, all.max};
}

struct sw_extremes sw_reduce_extremes(const struct sw_array *x, struct sw_parallel *parallel) {
    struct operands operands;
    operands_init(&operands, x, NULL);
    return extremes_of(&operands, parallel);
}

/* Scaled by a power of two so that the largest square is about 1. */
static double norm_scaled(const struct operands *operands, struct sw_parallel *parallel) {
    struct sw_extremes extremes = extremes_of(operands, parallel);
    double most = fmax(-extremes.min, extremes.max);
    if (isnan(extremes.min) || most == 0 || isinf(most))
        return isnan(extremes.min) ? NAN : most;
    int exponent = ilogb(most);
    exponent = exponent > SCALE_MOST ? SCALE_MOST : exponent < -SCALE_MOST ? -SCALE_MOST : exponent;
    struct sw_reduce_partial all;
    struct pass pass = {.op = SW_REDUCE_SCALED, .operands = operands, .shift_x = ldexp(1, -exponent)};
    pass_run(&pass, &all, parallel);
    return ldexp(sqrt(all.sums[0]), exponent);
}

double sw_reduce_norm(const struct sw_array *x, struct sw_parallel *parallel) {
    struct operands operands;
    operands_init(&operands, x, NULL);
    double squares = single_sum(SW_REDUCE_SQUARES, &operands, parallel);
    if (squares > SQUARES_LEAST && squares < INFINITY)
        return sqrt(squares);
    return operands.count > 0 ? norm_scaled(&operands, parallel) : 0;
}

static double sum_at(const struct sw_array *x, size_t first, size_t count) {
    double scratch[SAMPLE];
    struct sw_reduce_partial partial;
    struct sw_reduce_block block = {.x = sw_array_block(x, first, count, scratch), .count = count};
    sw_reduce_level()->kernels[SW_REDUCE_SUM][x->dtype](&block, &partial);
    return partial.sums[0];
}

/* The mean of a few elements from all over the array, without the places with the least and the largest, so that one
 * outlier does not matter; 0 if it is none. */
static double mean_estimate(const struct sw_array *x, size_t count) {
    size_t some = count <= SAMPLE ? count : size_min(count / SAMPLES, SAMPLE);
    double sum = sum_at(x, 0, some), least = sum, most = sum, taken = (double)some;
    if (count > SAMPLE) {
        for (size_t i = 1; i < SAMPLES; i++) {
            double at = sum_at(x, (count - some) / (SAMPLES - 1) * i, some);
            sum += at;
            least = at < least ? at : least;
            most = at > most ? at : most;
        }
        sum -= least + most;
        taken *= SAMPLES - 2;
    }
    double mean = sum / taken;
    return isfinite(mean) ? mean : 0;
}

/* The mean where sums overflow: elements are divided before they are added. */
static double mean_of_large(const struct operands *operands, struct sw_parallel *parallel) {
    double share = 1 / (double)operands->count;
    struct sw_array shares = *operands->x;
    struct operands both;
    shares.data = (char *)&share, shares.dtype = SW_F64;
    for (unsigned d = 0; d < shares.dims; d++)
        shares.strides[d] = 0;
    operands_init(&both, operands->x, &shares);
    return single_sum(SW_REDUCE_DOT, &both, parallel);
}

/* Moments of data with an infinity or a NaN, or so large that the sum of deviations from 0 overflows. */
static void summary_of_odd(const struct operands *operands, struct sw_summary *summary, struct sw_parallel *parallel) {
    struct sw_extremes extremes = extremes_of(operands, parallel);
    double count = (double)summary->count;
    summary->min = extremes.min, summary->max = extremes.max;
    if (!isfinite(extremes.min) || !isfinite(extremes.max)) {
        summary->mean = single_sum(SW_REDUCE_SUM, operands, parallel) / count;
        return;
    }
    struct sw_reduce_partial all;
    struct pass pass = {.op = SW_REDUCE_MOMENTS, .operands = operands};
    pass.shift_x = extremes.min * 0.5 + extremes.max * 0.5;
    pass_run(&pass, &all, parallel);
    summary->mean = isfinite(all.sums[0]) ? pass.shift_x + all.sums[0] / count : mean_of_large(operands, parallel);
    summary->m2 = all.sums[1];
}

/* Whether the estimate of the mean was off so far that squared deviations from it lose more than a bit, or overflow. */
static bool is_far(double sum, double squares, double count) {
    return isinf(squares) || sum * (sum / count) > 0.5 * squares;
}

/* The squared deviations from the mean, from those from an estimate of it. */
static double m2_of(double sum, double squares, double count) {
    return isinf(squares) ? INFINITY : fmax(squares - sum * (sum / count), 0);
}

/* Moments, and with SW_REDUCE_SUMMARY the extremes. Deviations d are taken from an estimate of the mean, which costs no
 * digits: sum d^2 - (sum d)^2 / n cancels by at most half, else the estimate is replaced by what has been learned. */
static struct sw_summary summary_of(enum sw_reduce_op op, const struct operands *operands,
                                    struct sw_parallel *parallel) {
    struct sw_summary summary = {.count = operands->count, .mean = NAN, .m2 = NAN, .min = NAN, .max = NAN};
    if (summary.count == 0)
        return summary;
    double count = (double)summary.count, offset = 0, shift = mean_estimate(operands->x, summary.count);
    struct sw_reduce_partial all;
    for (int passes = 1;; passes++) {
        struct pass pass = {.op = op, .operands = operands, .shift_x = shift};
        pass_run(&pass, &all, parallel);
        if (!isfinite(all.sums[0])) {
            summary_of_odd(operands, &summary, parallel);
            return summary;
        }
        offset = all.sums[0] / count;
        if (!is_far(all.sums[0], all.sums[1], count) || shift + offset == shift || passes == PASSES_MOST)
            break;
        shift += offset;
    }
    summary.mean = shift + offset;
    summary.m2 = m2_of(all.sums[0], all.sums[1], count);
    summary.min = all.min, summary.max = all.max;
    return summary;
}

struct sw_moments sw_reduce_moments(const struct sw_array *x, struct sw_parallel *parallel) {
    struct operands operands;
    operands_init(&operands, x, NULL);
    struct sw_summary summary = summary_of(SW_REDUCE_MOMENTS, &operands, parallel);
    return (struct sw_moments){summary.count, summary.mean, summary.m2};
}

struct sw_summary sw_reduce_summary(const struct sw_array *x, struct sw_parallel *parallel) {
    struct operands operands;
    operands_init(&operands, x, NULL);
    return summary_of(SW_REDUCE_SUMMARY, &operands, parallel);
}

/* One of the variables has an infinity or a NaN, or overflows. */
static struct sw_joint_moments joint_of_odd(const struct sw_array *x, const struct sw_array *y,
                                            struct sw_parallel *parallel) {
    struct sw_moments of_x = sw_reduce_moments(x, parallel), of_y = sw_reduce_moments(y, parallel);
    return (struct sw_joint_moments){
        .count = of_x.count, .mean_x = of_x.mean, .mean_y = of_y.mean, .m2_x = of_x.m2, .m2_y = of_y.m2, .c_xy = NAN};
}

struct sw_joint_moments sw_reduce_joint(const struct sw_array *x, const struct sw_array *y,
                                        struct sw_parallel *parallel) {
    struct operands operands;
    operands_init(&operands, x, y);
    struct sw_joint_moments joint = {operands.count, NAN, NAN, NAN, NAN, NAN};
    if (joint.count == 0)
        return joint;
    struct pass pass = {.op = SW_REDUCE_JOINT, .operands = &operands};
    pass.shift_x = mean_estimate(operands.x, joint.count);
    pass.shift_y = mean_estimate(operands.y, joint.count);
    double count = (double)joint.count, offset_x = 0, offset_y = 0;
    struct sw_reduce_partial all;
    for (int passes = 1;; passes++) {
        pass_run(&pass, &all, parallel);
        if (!isfinite(all.sums[0]) || !isfinite(all.sums[1]))
            return joint_of_odd(x, y, parallel);
        offset_x = all.sums[0] / count;
        offset_y = all.sums[1] / count;
        bool is_again_x = is_far(all.sums[0], all.sums[2], count) && pass.shift_x + offset_x != pass.shift_x;
        bool is_again_y = is_far(all.sums[1], all.sums[3], count) && pass.shift_y + offset_y != pass.shift_y;
        if ((!is_again_x && !is_again_y) || passes == PASSES_MOST)
            break;
        pass.shift_x += is_again_x ? offset_x : 0;
        pass.shift_y += is_again_y ? offset_y : 0;
    }
    joint.mean_x = pass.shift_x + offset_x;
    joint.mean_y = pass.shift_y + offset_y;
    joint.m2_x = m2_of(all.sums[0], all.sums[2], count);
    joint.m2_y = m2_of(all.sums[1], all.sums[3], count);
    if (isfinite(joint.m2_x) && isfinite(joint.m2_y))
        joint.c_xy = all.sums[4] - all.sums[0] * offset_y;
    return joint;
}
