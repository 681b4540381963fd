/* engine_feed.h - Intakes of one stream with all they need around them, for tests of what rows pass on their way. */
#ifndef SW_TESTS_ENGINE_FEED_H
#define SW_TESTS_ENGINE_FEED_H

#include "base/clock.h"
#include "engine/intake_impl.h"
#include "engine_parts.h"

#define FEED_WORKERS 4u

struct feed {
    struct parts parts;
    struct sw_groups groups;
    struct sw_events events;
    struct sw_late_file late_file;
    _Atomic int64_t closed_before_ns;
    _Atomic bool is_stopping;
    struct sw_parker parkers[FEED_WORKERS];
    struct sw_parker *workers[FEED_WORKERS];
};

/* Zero is the default: event time in column t, windows of 10 ns, one worker. */
struct feed_options {
    const char *aggregates;
    unsigned keys;
    uint32_t max_keys;
    int64_t disorder_ns;
};

static inline void feed_open(struct feed *feed, const struct feed_options *options) {
    memset((void *)feed, 0, sizeof *feed);
    parts_init(&feed->parts, options->aggregates ? options->aggregates : "sum(a)", options->keys);
    feed->parts.stream.disorder_ns = options->disorder_ns;
    sw_events_init(&feed->events);
    pthread_mutex_init(&feed->late_file.lock, NULL);
    feed->late_file.fd = -1;
    feed->closed_before_ns = INT64_MIN;
    for (unsigned i = 0; i < FEED_WORKERS; i++)
        feed->workers[i] = &feed->parkers[i];
    uint32_t id;
    if (sw_groups_init(&feed->groups, options->max_keys ? options->max_keys : 10000) != SW_OK ||
        (options->keys == 0 && sw_groups_intern(&feed->groups, SW_STR(""), &id) != SW_OK))
        abort();
}

static inline void feed_close(struct feed *feed) {
    sw_groups_release(&feed->groups);
    sw_events_release(&feed->events);
    pthread_mutex_destroy(&feed->late_file.lock);
    parts_release(&feed->parts);
}

/* What every intake of the feed starts with; tests change what they are about. */
static inline struct sw_intake_options feed_intake(struct feed *feed) {
    return (struct sw_intake_options){.shared = {.plan = &feed->parts.plan,
                                                 .groups = &feed->groups,
                                                 .events = &feed->events,
                                                 .late_file = &feed->late_file,
                                                 .closed_before_ns = &feed->closed_before_ns,
                                                 .is_stopping = &feed->is_stopping,
                                                 .idle_ns = 3600 * SW_NS_PER_S},
                                      .batches_in_flight = 64,
                                      .workers = feed->workers,
                                      .worker_count = 1};
}

static inline struct sw_intake *feed_intake_new(const struct sw_intake_options *options) {
    struct sw_intake *intake;
    if (sw_intake_new(&intake, options) != SW_OK)
        abort();
    sw_intake_arrive(intake, 0);
    return intake;
}

/* Batches are sent home by who popped them; what nobody popped is, here. */
static inline void feed_intake_free(struct sw_intake *intake) {
    for (unsigned i = 0; i < intake->outlet_count; i++)
        for (struct sw_batch *batch; (batch = sw_ring_pop(&intake->outlets[i].ring));)
            sw_batch_put(batch);
    sw_intake_free(intake);
}

/* One row: `value` in every number column; keys NULL: missing. */
static inline void feed_row(struct sw_intake *intake, int64_t time_ns, double value, const char *key) {
    sw_intake_begin(intake);
    struct sw_batch *batch = intake->batch;
    batch->time_ns[batch->rows] = time_ns;
    for (unsigned i = 0; i < intake->shared.plan->num_count; i++)
        batch->num[i][batch->rows] = value;
    if (key)
        sw_intake_key(intake, 0, sw_str_from(key));
    sw_intake_commit(intake, SW_STR("raw"));
}

#endif
