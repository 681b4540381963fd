/* histogram.h - Log-linear (HDR-style) histogram of non-negative integers, typically nanoseconds.
 *
 * 64 sub-buckets per power of two: relative error at most 1/64 (1.6 %). Fixed size (about 30 KiB), no allocation. One
 * writer; sw_histogram_merge and the readers want a quiet source or accept a snapshot that is a few counts old.
 */
#ifndef SW_BASE_HISTOGRAM_H
#define SW_BASE_HISTOGRAM_H

#include <stdint.h>

#define SW_HISTOGRAM_BUCKETS (64 * 59)

struct sw_histogram {
    uint64_t counts[SW_HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t min; /* meaningful while total > 0 */
    uint64_t max;
    double sum;
};

void sw_histogram_clear(struct sw_histogram *histogram);
void sw_histogram_add(struct sw_histogram *histogram, uint64_t value);
void sw_histogram_merge(struct sw_histogram *into, const struct sw_histogram *from);
/* The value below which a share `q` in [0,1] of the samples lies (upper edge of its bucket, at most max); 0 when empty. */
uint64_t sw_histogram_quantile(const struct sw_histogram *histogram, double q);

#endif
