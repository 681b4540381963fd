/* flight_series.h - What the flight recorder has seen of the last minute, and the metrics that follow from it.
 *
 * Fed with plain numbers and times, so that it needs no process. Zero is a valid empty series. One thread owns it.
 */
#ifndef SW_PROBE_FLIGHT_SERIES_H
#define SW_PROBE_FLIGHT_SERIES_H

#include <stdint.h>

#include "probe/flight_rule.h"

#define SW_FLIGHT_POINTS 128 /* of memory: two minutes at one a second */
#define SW_FLIGHT_WAITS 4096 /* newest waits for the GIL that are kept */
#define SW_FLIGHT_WAIT_WINDOW_NS INT64_C(10000000000)
#define SW_FLIGHT_GROWTH_WINDOW_NS INT64_C(60000000000)
#define SW_FLIGHT_GROWTH_LEAST_NS INT64_C(10000000000) /* below, growth is not known */

struct sw_flight_usage {
    int64_t mono_ns;
    int64_t cpu_ns; /* -1: not known */
    int64_t rss_bytes;
    int64_t threads;
};

struct sw_flight_wait {
    int64_t end_ns;
    int64_t length_ns;
};

struct sw_flight_series {
    struct sw_flight_usage points[SW_FLIGHT_POINTS];
    uint64_t point_count; /* all so far; the newest is at (point_count - 1) % SW_FLIGHT_POINTS */
    struct sw_flight_wait waits[SW_FLIGHT_WAITS];
    uint64_t wait_count;
    int64_t gil_ns[2], held_ns[2]; /* the last two readings of the meter */
    unsigned gil_readings;
    int64_t lag_ns; /* the longest since the last values; -1: none known */
    bool has_lag;
    bool has_ended;
};

void sw_flight_series_usage(struct sw_flight_series *series, const struct sw_flight_usage *usage);
void sw_flight_series_held(struct sw_flight_series *series, int64_t mono_ns, int64_t held_ns); /* in all so far */
void sw_flight_series_wait(struct sw_flight_series *series, int64_t end_ns, int64_t length_ns);
void sw_flight_series_lag(struct sw_flight_series *series, int64_t lag_ns);
void sw_flight_series_end(struct sw_flight_series *series); /* the process has ended */
/* All metrics as of `mono_ns`; NaN where one is not known. Begins the next second of loop lag. */
void sw_flight_series_values(struct sw_flight_series *series, int64_t mono_ns, double values[SW_FLIGHT_METRICS]);

#endif
