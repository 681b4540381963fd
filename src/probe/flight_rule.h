/* flight_rule.h - The conditions of the flight recorder, "cpu>90%", and when they fire.
 *
 * A rule compares one metric with a threshold. A trigger fires when its rule becomes true, and again only after the rule
 * was false in between. What is not known (NaN) is neither true nor false, and changes nothing.
 */
#ifndef SW_PROBE_FLIGHT_RULE_H
#define SW_PROBE_FLIGHT_RULE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "base/str.h"

enum sw_flight_metric {
    SW_FLIGHT_CPU,          /* percent of one core, over a second */
    SW_FLIGHT_GIL_HELD,     /* percent of a second */
    SW_FLIGHT_GIL_WAIT_P99, /* ns; of the waits that ended within 10 s */
    SW_FLIGHT_RSS,          /* bytes */
    SW_FLIGHT_RSS_GROWTH,   /* bytes a minute, fitted to the last minute */
    SW_FLIGHT_THREADS,
    SW_FLIGHT_LOOP_LAG, /* ns; the longest of the last second */
    SW_FLIGHT_EXIT,     /* 1 once the process has ended, else 0 */
};
#define SW_FLIGHT_METRICS 8
#define SW_FLIGHT_RULES_MAX 32

enum sw_flight_relation { SW_FLIGHT_ABOVE, SW_FLIGHT_AT_LEAST, SW_FLIGHT_BELOW, SW_FLIGHT_AT_MOST };

struct sw_flight_rule {
    enum sw_flight_metric metric;
    enum sw_flight_relation relation;
    double threshold; /* in the unit of the metric */
    char text[64];    /* as it was given, without spaces */
};

struct sw_flight_trigger {
    struct sw_flight_rule rule;
    bool is_spent; /* it has fired, and has not been false since */
};

/* "cpu>90%", "gil_wait_p99 >= 50ms", "rss_growth>10MiB/min", "exit". SW_INVALID names the metrics, or the unit. */
SW_MUST_USE enum sw_status sw_flight_rule_parse(struct sw_flight_rule *rule, struct sw_str text, struct sw_error *err);
bool sw_flight_rule_is_true(const struct sw_flight_rule *rule, double value);
/* Whether it fires. `may_fire` false: what would fire waits, and fires later if it is still true then. */
bool sw_flight_trigger_step(struct sw_flight_trigger *trigger, const double values[SW_FLIGHT_METRICS], bool may_fire);
/* A value with its unit, as people write it: "97.3 %", "81.2 ms", "12.5 MiB/min"; "-" when it is not known. */
void sw_flight_value_format(enum sw_flight_metric metric, double value, char out[32]);

#endif
