/* flight_series.c - From readings to metrics: rates, a fitted slope, a quantile of the newest waits. */
#include "probe/flight_series.h"

#include <math.h>
#include <stdlib.h>

#define NS_PER_MINUTE 6e10

static const struct sw_flight_usage *point_back(const struct sw_flight_series *series, uint64_t back) {
    if (back >= series->point_count || back >= SW_FLIGHT_POINTS)
        return NULL;
    return &series->points[(series->point_count - 1 - back) % SW_FLIGHT_POINTS];
}

static double cpu_percent(const struct sw_flight_series *series) {
    const struct sw_flight_usage *now = point_back(series, 0), *then = point_back(series, 1);
    if (!then || now->cpu_ns < 0 || then->cpu_ns < 0 || now->mono_ns <= then->mono_ns)
        return NAN;
    return 100.0 * (double)(now->cpu_ns - then->cpu_ns) / (double)(now->mono_ns - then->mono_ns);
}

/* The slope of the straight line through the last minute with the least squares, so that a garbage collector's saw teeth
 * do not count as growth. */
static double growth_fit(const struct sw_flight_series *series) {
    const struct sw_flight_usage *newest = point_back(series, 0), *point;
    double n = 0, x_sum = 0, y_sum = 0, xx = 0, xy = 0, span = 0;
    for (uint64_t back = 0; (point = point_back(series, back)); back++) {
        double x = (double)(point->mono_ns - newest->mono_ns) / NS_PER_MINUTE;
        double y = (double)(point->rss_bytes - newest->rss_bytes);
        if (newest->mono_ns - point->mono_ns > SW_FLIGHT_GROWTH_WINDOW_NS)
            break;
        span = (double)(newest->mono_ns - point->mono_ns);
        n++;
        x_sum += x;
        y_sum += y;
        xx += x * x;
        xy += x * y;
    }
    double spread = n * xx - x_sum * x_sum;
    if (n < 3 || span < (double)SW_FLIGHT_GROWTH_LEAST_NS || spread <= 0)
        return NAN;
    return (n * xy - x_sum * y_sum) / spread;
}

static int by_length(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* Without any wait the answer is that nobody waited, which is known once there was a second look. */
static double wait_p99(const struct sw_flight_series *series, int64_t mono_ns) {
    int64_t lengths[SW_FLIGHT_WAITS];
    size_t count = 0;
    uint64_t kept = series->wait_count < SW_FLIGHT_WAITS ? series->wait_count : SW_FLIGHT_WAITS;
    if (series->gil_readings < 2)
        return NAN;
    for (uint64_t i = 0; i < kept; i++)
        if (mono_ns - series->waits[i].end_ns <= SW_FLIGHT_WAIT_WINDOW_NS)
            lengths[count++] = series->waits[i].length_ns;
    if (!count)
        return 0;
    qsort(lengths, count, sizeof *lengths, by_length);
    size_t rank = (count * 99 + 99) / 100;
    return (double)lengths[rank - 1];
}

static double held_percent(const struct sw_flight_series *series) {
    if (series->gil_readings < 2 || series->gil_ns[1] <= series->gil_ns[0])
        return NAN;
    return 100.0 * (double)(series->held_ns[1] - series->held_ns[0]) / (double)(series->gil_ns[1] - series->gil_ns[0]);
}

void sw_flight_series_usage(struct sw_flight_series *series, const struct sw_flight_usage *usage) {
    series->points[series->point_count++ % SW_FLIGHT_POINTS] = *usage;
}

void sw_flight_series_held(struct sw_flight_series *series, int64_t mono_ns, int64_t held_ns) {
    series->gil_ns[0] = series->gil_ns[1];
    series->held_ns[0] = series->held_ns[1];
    series->gil_ns[1] = mono_ns;
    series->held_ns[1] = held_ns;
    series->gil_readings += series->gil_readings < 2;
}

void sw_flight_series_wait(struct sw_flight_series *series, int64_t end_ns, int64_t length_ns) {
    series->waits[series->wait_count++ % SW_FLIGHT_WAITS] = (struct sw_flight_wait){end_ns, length_ns};
}

void sw_flight_series_lag(struct sw_flight_series *series, int64_t lag_ns) {
    if (!series->has_lag || lag_ns > series->lag_ns)
        series->lag_ns = lag_ns;
    series->has_lag = true;
}

void sw_flight_series_end(struct sw_flight_series *series) {
    series->has_ended = true;
}

void sw_flight_series_values(struct sw_flight_series *series, int64_t mono_ns, double values[SW_FLIGHT_METRICS]) {
    const struct sw_flight_usage *now = point_back(series, 0);
    values[SW_FLIGHT_CPU] = cpu_percent(series);
    values[SW_FLIGHT_GIL_HELD] = held_percent(series);
    values[SW_FLIGHT_GIL_WAIT_P99] = wait_p99(series, mono_ns);
    values[SW_FLIGHT_RSS] = now ? (double)now->rss_bytes : NAN;
    values[SW_FLIGHT_RSS_GROWTH] = now ? growth_fit(series) : NAN;
    values[SW_FLIGHT_THREADS] = now ? (double)now->threads : NAN;
    values[SW_FLIGHT_LOOP_LAG] = series->has_lag ? (double)series->lag_ns : NAN;
    values[SW_FLIGHT_EXIT] = series->has_ended ? 1 : 0;
    series->has_lag = false;
    series->lag_ns = -1;
}
