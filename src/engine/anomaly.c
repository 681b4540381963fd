/* anomaly.c - Rows of anomaly detectors: their layout, their time, and the choice of vector instructions. */
#include "engine/anomaly.h"

#include <math.h>

#include "engine/anomaly_impl.h"

#define GAP_MUCH_LONGER 2 /* in powers of two */
#define CLEAN_TURNS 61    /* prime, so that series with a point in every n-th row get their turn too */
#define SEEN_TURNS 4

static unsigned lanes_of(unsigned width) {
    return (width + SW_ANOMALY_LANES - 1) / SW_ANOMALY_LANES * SW_ANOMALY_LANES;
}

size_t sw_anomaly_row_bytes(unsigned width) {
    unsigned lanes = lanes_of(width);
    return sw_anomaly_arrays_offset(lanes) + (size_t)SW_ANOMALY_ARRAYS * lanes * sizeof(float);
}

static uint8_t gap_log2_of(const struct sw_anomaly_head *head, int64_t time_ns) {
    int64_t gap_ns;
    if (__builtin_sub_overflow(time_ns, head->last_time_ns, &gap_ns)) {
        gap_ns = INT64_MAX;
    }
    return gap_ns > 0 ? (uint8_t)(64 - __builtin_clzll((unsigned long long)gap_ns)) : 0;
}

/* A row that comes much later than rows do has no steps, nor have series that were absent for some rows. */
static uint64_t steady_series(const struct sw_anomaly_head *head, uint8_t gap_log2) {
    bool is_next = !head->has_gap || gap_log2 <= head->gap_log2 + GAP_MUCH_LONGER;
    return is_next ? head->seen | head->seen_before : 0;
}

static void head_advance(struct sw_anomaly_head *head, const struct sw_anomaly_step *step, uint8_t gap_log2) {
    if (!head->has_gap) {
        head->gap_log2 = gap_log2;
        head->has_gap = head->lanes > 0;
    } else if (gap_log2 != head->gap_log2) {
        head->gap_log2 = (uint8_t)(gap_log2 > head->gap_log2 ? head->gap_log2 + 1 : head->gap_log2 - 1);
    }
    head->lanes = (uint8_t)step->lanes;
    head->last_time_ns = step->points->time_ns;
    head->turn = (uint8_t)(head->turn + 1 < CLEAN_TURNS ? head->turn + 1 : 0);
    if (head->turn % SEEN_TURNS == 0) {
        head->seen_before = head->seen;
        head->seen = 0;
    }
    head->seen |= step->present;
}

static void lanes_update(struct sw_anomaly_step *step, enum sw_cpu_level level) {
    unsigned first = 0;
#if defined(__x86_64__)
    if (level >= SW_CPU_AVX512) {
        for (; first + 16 <= step->lanes; first += 16) {
            sw_anomaly_lanes_avx512(step, first);
        }
    }
    if (level >= SW_CPU_AVX2) {
        for (; first < step->lanes; first += 8) {
            sw_anomaly_lanes_avx2(step, first);
        }
    }
#endif
    for (; first < step->points->width; first++) {
        sw_anomaly_lanes_scalar(step, first);
    }
}

uint64_t sw_anomaly_row_update_at(void *row, const struct sw_anomaly_points *points, float *scores,
                                  enum sw_cpu_level level) {
    struct sw_anomaly_head *head = row;
    uint8_t gap_log2 = gap_log2_of(head, points->time_ns);
    struct sw_anomaly_step step = {
        .row = head,
        .points = points,
        .scores = scores,
        .lanes = lanes_of(points->width),
        .steady = steady_series(head, gap_log2),
        .is_cleaning = head->turn == 0,
    };
    lanes_update(&step, level);
    if (step.present) {
        head_advance(head, &step, gap_log2);
    }
    return step.anomalies;
}

uint64_t sw_anomaly_row_update(void *row, const struct sw_anomaly_points *points, float *scores) {
    return sw_anomaly_row_update_at(row, points, scores, sw_cpu_level());
}

void sw_anomaly_row_usual(const void *row, unsigned series, double *level, double *scale) {
    const struct sw_anomaly_head *head = row;
    *level = *scale = NAN;
    if (series >= head->lanes) {
        return;
    }
    const float *arrays = (const float *)(const void *)((const char *)row + sw_anomaly_arrays_offset(head->lanes));
    int32_t packed;
    __builtin_memcpy(&packed, arrays + SW_ANOMALY_PACKED * head->lanes + series, sizeof packed);
    if ((packed & 255) >= SW_ANOMALY_WARMUP) {
        *level = (double)arrays[SW_ANOMALY_LEVEL * head->lanes + series];
        *scale = (double)arrays[SW_ANOMALY_LEVEL_SCALE * head->lanes + series];
    }
}
