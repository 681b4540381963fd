/* reduce_histogram.c - Counts per bin, with the edges compared exactly. */
#include <math.h>

#include "base/mem.h"
#include "kernels/reduce.h"
#include "kernels/reduce_impl.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define CHUNK_BLOCKS 16
#define REPLICAS 4          /* so that equal neighbours do not wait for each other's count */
#define REPLICATED_MOST 512 /* bins; four tables of more leave the first-level cache */
#define STEP_LEAST 0x1p-48  /* of the larger edge; below, rounding moves edges by a good part of a bin */
#define INDEX_SLACK 8

struct count_job {
    const struct sw_array *x;
    struct sw_reduce_bins bins;
    size_t count, bin_count, replicas, lane_size;
    bool is_coarse;   /* bins so narrow that only a search finds the right one */
    uint64_t *tables; /* lanes * lane_size: replicas of bin_count + 1 */
};

/* The last bin that begins at or below x. */
static uint32_t bin_search(const struct sw_reduce_bins *bins, double x) {
    size_t first = 0, last = (size_t)bins->count - 1;
    if (!(x >= bins->low && x <= bins->high))
        return (uint32_t)bins->count;
    while (first < last) {
        size_t middle = first + (last - first + 1) / 2;
        if ((double)middle * bins->step + bins->low <= x)
            first = middle;
        else
            last = middle - 1;
    }
    return (uint32_t)first;
}

static void bins_search(const struct count_job *job, const struct sw_reduce_block *block, uint32_t *index) {
    for (size_t i = 0; i < block->count; i++) {
        double x = job->x->dtype == SW_F64 ? ((const double *)block->x)[i] : (double)((const float *)block->x)[i];
        index[i] = bin_search(&job->bins, x);
    }
}

static void index_count(const struct count_job *job, const uint32_t *index, size_t count, uint64_t *table) {
    size_t at = 0, size = job->bin_count + 1;
    for (; job->replicas == REPLICAS && count - at >= REPLICAS; at += REPLICAS) {
        table[index[at]]++;
        table[size + index[at + 1]]++;
        table[2 * size + index[at + 2]]++;
        table[3 * size + index[at + 3]]++;
    }
    for (; at < count; at++)
        table[index[at]]++;
}

static void blocks_count(void *context, size_t first, size_t last, unsigned lane) {
    const struct count_job *job = context;
    const struct sw_reduce_level *level = sw_reduce_level();
    double scratch[SW_ARRAY_BLOCK];
    uint32_t index[SW_ARRAY_BLOCK + INDEX_SLACK];
    for (size_t i = first; i < last; i++) {
        size_t at = i * SW_ARRAY_BLOCK, left = job->count - at;
        struct sw_reduce_block block = {.count = left < SW_ARRAY_BLOCK ? left : SW_ARRAY_BLOCK};
        block.x = sw_array_block(job->x, at, block.count, scratch);
        if (job->is_coarse)
            bins_search(job, &block, index);
        else
            level->bins[job->x->dtype](&job->bins, &block, index);
        index_count(job, index, block.count, job->tables + lane * job->lane_size);
    }
}

static void tables_add(const struct count_job *job, unsigned lanes, uint64_t *counts) {
    for (unsigned lane = 0; lane < lanes; lane++) {
        for (size_t replica = 0; replica < job->replicas; replica++) {
            const uint64_t *table = job->tables + lane * job->lane_size + replica * (job->bin_count + 1);
            for (size_t bin = 0; bin < job->bin_count; bin++)
                counts[bin] += table[bin];
        }
    }
}

double sw_histogram_edge(double low, double high, size_t bins, size_t index) {
    return index == bins ? high : (double)index * ((high - low) / (double)bins) + low;
}

enum sw_status sw_reduce_histogram(const struct sw_array *x, double low, double high, size_t bins, uint64_t *counts,
                                   struct sw_parallel *parallel) {
    if (!(low < high) || !isfinite(high - low) || bins == 0)
        return SW_INVALID;
    if (bins > SW_HISTOGRAM_BINS)
        return SW_LIMIT;
    struct sw_array straight = *x, *arrays[] = {&straight};
    sw_array_straighten(arrays, 1);
    struct count_job job = {.x = &straight, .count = sw_array_count(x), .bin_count = bins};
    if (job.count == 0)
        return SW_OK;
    job.bins =
        (struct sw_reduce_bins){low, high, (high - low) / (double)bins, (double)bins / (high - low), (double)bins};
    job.is_coarse = job.bins.step < STEP_LEAST * fmax(fabs(low), fabs(high)) || !isnormal(job.bins.step) ||
                    !isfinite(job.bins.per_unit);
    job.replicas = bins <= REPLICATED_MOST ? REPLICAS : 1;
    job.lane_size = job.replicas * (bins + 1);
    size_t blocks = (job.count - 1) / SW_ARRAY_BLOCK + 1;
    /* A table for each lane pays only where many elements share it. */
    if (blocks <= CHUNK_BLOCKS || job.count / 8 < bins)
        parallel = NULL;
    unsigned lanes = sw_parallel_lanes(parallel);
    job.tables = sw_alloc_array_zero(lanes, job.lane_size * sizeof(uint64_t));
    if (!job.tables)
        return SW_NOMEM;
    struct sw_parallel_loop loop = {.count = blocks, .grain = CHUNK_BLOCKS, .body = blocks_count, .context = &job};
    sw_parallel_run(parallel, &loop);
    tables_add(&job, lanes, counts);
    sw_free(job.tables);
    return SW_OK;
}
