/* anomaly_impl.h - How a row of anomaly detectors lies in memory, and the functions that update some of its lanes.
 *
 * A row is its head, the tails (int16_t a lane), and from the next multiple of 64 bytes one array of 4 bytes a lane
 * for each of the enumerators below. There are 8, 16, ... lanes, the series and what pads them. Zero is a new row.
 */
#ifndef SW_ENGINE_ANOMALY_IMPL_H
#define SW_ENGINE_ANOMALY_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"
#include "engine/anomaly.h"

#define SW_ANOMALY_LANES 8u         /* the number of lanes is a multiple */
#define SW_ANOMALY_VALUE_MAX 1e36f  /* so that sums and multiples of values fit a float */
#define SW_ANOMALY_VALUE_MIN 1e-30f /* what is smaller is 0: subnormal numbers cost a hundred times as much */

struct sw_anomaly_head {
    int64_t last_time_ns;
    uint64_t seen;        /* series with a point in the current four rows */
    uint64_t seen_before; /* and in the four before them */
    uint8_t lanes;        /* 0: no point yet */
    uint8_t gap_log2;     /* usual distance of rows in time, log2 of ns */
    uint8_t turn;         /* counts rows */
    bool has_gap;
    uint8_t unused[4];
};

enum sw_anomaly_array {
    SW_ANOMALY_LEVEL,       /* slow mean */
    SW_ANOMALY_LEVEL_SCALE, /* of value - level */
    SW_ANOMALY_STEP_SCALE,  /* of value - previous value */
    SW_ANOMALY_DRIFT_SCALE, /* of fast mean - level */
    SW_ANOMALY_PREVIOUS,    /* last value - level */
    SW_ANOMALY_FAST,        /* fast mean - level */
    SW_ANOMALY_EXCESS,      /* by how much more than in Gaussian noise the far points are too far, on average */
    SW_ANOMALY_PACKED,      /* int32_t: run (8 bits, signed), suppression in units of 1/1600, points (8 bits) */
    SW_ANOMALY_ARRAYS,
};

static inline size_t sw_anomaly_arrays_offset(unsigned lanes) {
    return (sizeof(struct sw_anomaly_head) + lanes * sizeof(int16_t) + 63) / 64 * 64;
}

static inline float *sw_anomaly_floats(void *row, unsigned lanes, enum sw_anomaly_array array) {
    return (float *)(void *)((char *)row + sw_anomaly_arrays_offset(lanes)) + (size_t)array * lanes;
}

/* One update of a row, as the lanes see it. */
struct sw_anomaly_step {
    struct sw_anomaly_head *row;
    const struct sw_anomaly_points *points;
    float *scores;
    unsigned lanes;
    uint64_t steady; /* series whose last point is so near that the step from it says something */
    bool is_cleaning;
    uint64_t present, anomalies; /* results; bits are added */
};

/* Update the 1, 8 or 16 lanes from `first` on. */
void sw_anomaly_lanes_scalar(struct sw_anomaly_step *step, unsigned first);
void sw_anomaly_lanes_avx2(struct sw_anomaly_step *step, unsigned first);
void sw_anomaly_lanes_avx512(struct sw_anomaly_step *step, unsigned first);

/* As sw_anomaly_row_update, with at most the instructions of `level`; the processor must have them. */
uint64_t sw_anomaly_row_update_at(void *row, const struct sw_anomaly_points *points, float *scores,
                                  enum sw_cpu_level level);

#endif
