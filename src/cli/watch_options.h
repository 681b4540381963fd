/* watch_options.h - The options of `sidewinder watch`. */
#ifndef SW_CLI_WATCH_OPTIONS_H
#define SW_CLI_WATCH_OPTIONS_H

#include "cli/options.h"
#include "probe/flight.h"
#include "report/profile_format.h"

struct sw_watch {
    int32_t pid;           /* 0: recover */
    struct sw_str recover; /* file; empty: watch */
    int64_t keep_ns;
    int64_t duration_ns; /* 0: until it ends */
    int64_t cooldown_ns;
    uint64_t saves_max;
    double rate_hz;
    enum sw_sampler_what what;
    struct sw_flight_trigger triggers[SW_FLIGHT_RULES_MAX];
    size_t trigger_count;
    struct sw_str folder; /* "." unless said otherwise */
    uint64_t ring_bytes;
    enum sw_profile_format format;
    bool wants_help;
};

extern const struct sw_option sw_watch_options[];

/* SW_INVALID says what is wrong. */
SW_MUST_USE enum sw_status sw_watch_parse(struct sw_watch *watch, char **words, struct sw_error *err);
bool sw_watch_wants(const struct sw_watch *watch, enum sw_flight_metric metric); /* some rule asks for it */

#endif
