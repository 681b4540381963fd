/* event.c - A bounded log of events; see event.h. */
#include "engine/event.h"

void sw_events_init(struct sw_events *events) {
    events->last_id = 0;
    pthread_mutex_init(&events->lock, NULL);
}

void sw_events_release(struct sw_events *events) {
    pthread_mutex_destroy(&events->lock);
}

void sw_events_add(struct sw_events *events, const struct sw_event *event) {
    pthread_mutex_lock(&events->lock);
    uint64_t id = ++events->last_id;
    events->kept[id % SW_EVENTS_KEPT] = *event;
    events->kept[id % SW_EVENTS_KEPT].id = id;
    pthread_mutex_unlock(&events->lock);
}

unsigned sw_events_since(struct sw_events *events, uint64_t after, struct sw_event *out, unsigned limit) {
    unsigned count = 0;
    pthread_mutex_lock(&events->lock);
    uint64_t oldest = events->last_id >= SW_EVENTS_KEPT ? events->last_id - SW_EVENTS_KEPT + 1 : 1;
    uint64_t first = after + 1 > oldest ? after + 1 : oldest;
    for (uint64_t id = first; id <= events->last_id && count < limit; id++)
        out[count++] = events->kept[id % SW_EVENTS_KEPT];
    pthread_mutex_unlock(&events->lock);
    return count;
}

uint64_t sw_events_last_id(struct sw_events *events) {
    pthread_mutex_lock(&events->lock);
    uint64_t id = events->last_id;
    pthread_mutex_unlock(&events->lock);
    return id;
}
