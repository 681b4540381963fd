/* anomaly.h - Online anomaly scores for rows of numeric series: O(1) per point, 36 bytes of state each, nothing to tune.
 *
 * A row is `width` series that get their points together, a window's aggregates, say. The score says how improbable a
 * point was, given its series' recent past, on a logarithmic scale: 0.5 is one in 100,000, 1 is one in 10,000,000,000
 * or rarer. The first points only teach; a level or scale that stays becomes normal; after one incident others must be
 * clearly stronger for a while. NaN and infinities are absent points: they score 0 and leave their series as it was.
 * Magnitudes below 1e-30 count as 0 and above 1e36 as 1e36; values are told apart to 7 digits.
 *
 * The state depends on the order of the points: one owner feeds each row in time order. Scores and state are the same,
 * bit for bit, on every level of vector instructions.
 */
#ifndef SW_ENGINE_ANOMALY_H
#define SW_ENGINE_ANOMALY_H

#include <stddef.h>
#include <stdint.h>

#define SW_ANOMALY_THRESHOLD 0.5f /* a point with this score or more is an anomaly */
#define SW_ANOMALY_WARMUP 30      /* points without a score at the start of a series */
#define SW_ANOMALY_WIDTH_MAX 64u
#define SW_ANOMALY_ALIGN 64u /* rows that start at a multiple are faster */

/* What was usual before the point. */
struct sw_anomaly_usual {
    float level[SW_ANOMALY_WIDTH_MAX];
    float scale[SW_ANOMALY_WIDTH_MAX]; /* about a standard deviation */
};

struct sw_anomaly_points {
    int64_t time_ns;
    const double *values;           /* `width` of them */
    unsigned width;                 /* 1..SW_ANOMALY_WIDTH_MAX, the same for all points of a row */
    struct sw_anomaly_usual *usual; /* written for the anomalies among the points; NULL: not wanted */
};

/* Zeroed memory of this size, aligned to at least 8 bytes, is a new row. */
size_t sw_anomaly_row_bytes(unsigned width);

/* Writes `width` scores; returns the series that reached SW_ANOMALY_THRESHOLD, bit i for series i. */
uint64_t sw_anomaly_row_update(void *row, const struct sw_anomaly_points *points, float *scores);

/* Level and scale of a series after the points so far; NaN while it warms up. */
void sw_anomaly_row_usual(const void *row, unsigned series, double *level, double *scale);

#endif
