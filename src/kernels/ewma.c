/* ewma.c - The exponentially weighted moving average, eight elements at a time. */
#include "kernels/reduce.h"
#include "kernels/reduce_impl.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define GROUP 8

/* The state of the walk; decay[i] is (1 - alpha)^(i + 1). */
struct walk {
    double alpha, last, decay[GROUP];
};

/* The average of eight elements with nothing before them is known before the last average is, whose part is then added:
 * so the processor waits for one addition and one multiplication in eight elements, not in each. */
static void group_walk(struct walk *walk, const double *x, double *out) {
    double own[GROUP], keep = walk->decay[0], last = walk->last;
    own[0] = walk->alpha * x[0];
    for (int i = 1; i < GROUP; i++)
        own[i] = walk->alpha * x[i] + keep * own[i - 1];
    for (int i = 0; i < GROUP; i++)
        out[i] = own[i] + walk->decay[i] * last;
    walk->last = out[GROUP - 1];
}

static void block_walk(struct walk *walk, const double *x, size_t count, double *out) {
    size_t at = 0;
    for (; count - at >= GROUP; at += GROUP)
        group_walk(walk, x + at, out + at);
    for (; at < count; at++)
        out[at] = walk->last = walk->alpha * x[at] + walk->decay[0] * walk->last;
}

static void narrow_store(const double *from, size_t count, float *to) {
    for (size_t i = 0; i < count; i++)
        to[i] = (float)from[i];
}

void sw_reduce_ewma(const struct sw_array *x, double alpha, struct sw_array *out) {
    double scratch[SW_ARRAY_BLOCK], wide[SW_ARRAY_BLOCK];
    size_t count = sw_array_count(x), some;
    struct walk walk = {.alpha = alpha, .decay = {1 - alpha}};
    for (int i = 1; i < GROUP; i++)
        walk.decay[i] = walk.decay[i - 1] * (1 - alpha);
    for (size_t at = 0; at < count; at += some) {
        some = count - at < SW_ARRAY_BLOCK ? count - at : SW_ARRAY_BLOCK;
        const double *block = sw_reduce_wide_block(x, at, some, scratch);
        double *to = out->dtype == SW_F64 ? (double *)(void *)out->data + at : wide;
        size_t begin = at == 0 ? 1 : 0;
        if (begin > 0)
            walk.last = to[0] = block[0];
        block_walk(&walk, block + begin, some - begin, to + begin);
        if (out->dtype == SW_F32)
            narrow_store(wide, some, (float *)(void *)out->data + at);
    }
}
