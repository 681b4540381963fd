/* event.h - What happened, for people: the last 256 anomalies, rejected kinds and notes of a running engine. Thread-safe. */
#ifndef SW_ENGINE_EVENT_H
#define SW_ENGINE_EVENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

#define SW_EVENTS_KEPT 256u

struct sw_event {
    uint64_t id; /* counts from 1 */
    int64_t time_ns;
    enum sw_log_level level;
    bool is_anomaly;
    uint16_t stream;
    uint16_t aggregate; /* anomalies: index in the stream */
    uint32_t group;
    double value;
    float score;
    char text[200]; /* NUL-terminated */
};

struct sw_events {
    pthread_mutex_t lock;
    struct sw_event kept[SW_EVENTS_KEPT];
    uint64_t last_id;
};

void sw_events_init(struct sw_events *events);
void sw_events_release(struct sw_events *events);
void sw_events_add(struct sw_events *events, const struct sw_event *event); /* gives it its id */
/* Copies events with ids above `after`, oldest first; returns how many. */
unsigned sw_events_since(struct sw_events *events, uint64_t after, struct sw_event *out, unsigned limit);
uint64_t sw_events_last_id(struct sw_events *events);

#endif
