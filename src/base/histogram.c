/* histogram.c - Log-linear histogram: 64 sub-buckets per power of two. */
#include "base/histogram.h"

#include <string.h>

/* Values below 64 have a bucket each; above, the leading bit and the six behind it name the bucket. */
static inline unsigned bucket_of(uint64_t value) {
    if (value < 64) {
        return (unsigned)value;
    }
    unsigned shift = 57 - (unsigned)__builtin_clzll(value);
    return shift * 64 + (unsigned)(value >> shift);
}

/* The largest value of a bucket. */
static inline uint64_t upper_edge(unsigned bucket) {
    if (bucket < 64) {
        return bucket;
    }
    unsigned shift = bucket / 64 - 1;
    uint64_t low = (uint64_t)(64 + bucket % 64) << shift;
    return low + ((UINT64_C(1) << shift) - 1);
}

void sw_histogram_clear(struct sw_histogram *histogram) {
    memset(histogram, 0, sizeof(*histogram));
}

void sw_histogram_add(struct sw_histogram *histogram, uint64_t value) {
    histogram->counts[bucket_of(value)]++;
    if (histogram->total == 0 || value < histogram->min) {
        histogram->min = value;
    }
    if (value > histogram->max) {
        histogram->max = value;
    }
    histogram->total++;
    histogram->sum += (double)value;
}

void sw_histogram_merge(struct sw_histogram *into, const struct sw_histogram *from) {
    if (from->total == 0) {
        return;
    }
    for (unsigned i = 0; i < SW_HISTOGRAM_BUCKETS; i++) {
        into->counts[i] += from->counts[i];
    }
    if (into->total == 0 || from->min < into->min) {
        into->min = from->min;
    }
    if (from->max > into->max) {
        into->max = from->max;
    }
    into->total += from->total;
    into->sum += from->sum;
}

uint64_t sw_histogram_quantile(const struct sw_histogram *histogram, double q) {
    uint64_t total = histogram->total;
    if (total == 0) {
        return 0;
    }
    if (!(q < 1.0)) {
        return histogram->max;
    }
    double exact = q > 0.0 ? q * (double)total : 0.0;
    uint64_t rank = (uint64_t)exact;
    rank += (double)rank < exact || rank == 0;
    uint64_t seen = 0;
    for (unsigned i = 0; i < SW_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen >= rank) {
            uint64_t edge = upper_edge(i);
            return edge < histogram->max ? edge : histogram->max;
        }
    }
    return histogram->max;
}
