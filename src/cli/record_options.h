/* record_options.h - The options of `sidewinder record`. */
#ifndef SW_CLI_RECORD_OPTIONS_H
#define SW_CLI_RECORD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/options.h"
#include "probe/sampler.h"
#include "report/profile_format.h"

#define SW_RECORD_PIDS_MAX 256

struct sw_record {
    int32_t pids[SW_RECORD_PIDS_MAX];
    size_t pid_count;
    char **command;      /* words behind --; its first is NULL when there are none */
    int64_t duration_ns; /* 0: to the end of what is recorded */
    double rate_hz;
    struct sw_str path; /* empty: a name is made; "-": stdout */
    enum sw_profile_format format;
    enum sw_sampler_what what;
    bool has_threads, has_subprocesses, has_native, by_function;
    bool wants_help;
};

extern const struct sw_option sw_record_options[];

/* SW_INVALID: wrong usage. */
SW_MUST_USE enum sw_status sw_record_parse(struct sw_record *record, char **words, struct sw_error *err);

#endif
