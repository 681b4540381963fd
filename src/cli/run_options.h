/* run_options.h - The options of `sidewinder run` and the job they make. */
#ifndef SW_CLI_RUN_OPTIONS_H
#define SW_CLI_RUN_OPTIONS_H

#include "base/arena.h"
#include "cli/options.h"
#include "engine/job.h"

#define SW_RUN_HOSTS_MAX 8

struct sw_run {
    struct sw_job job;
    struct sw_arena arena; /* owns what the job's strings point to, where it is not a word of the command line */
    struct sw_str listen;  /* empty: no dashboard */
    struct sw_str token;   /* empty: none */
    bool is_open_to_all;   /* --no-auth */
    struct sw_str hosts[SW_RUN_HOSTS_MAX]; /* names it also answers to */
    unsigned host_count;
    int64_t duration_ns; /* 0: until it ends by itself or by a signal */
    bool is_quiet, is_verbose, wants_help;
};

extern const struct sw_option sw_run_options[];

SW_MUST_USE enum sw_status sw_run_parse(struct sw_run *run, char **words, struct sw_error *err);
void sw_run_release(struct sw_run *run);

#endif
