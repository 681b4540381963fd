/* gil_experiment.h - `sidewinder gil --workers N`: runs the heartbeat experiment, follows it live and reports it. */
#ifndef SW_CLI_GIL_EXPERIMENT_H
#define SW_CLI_GIL_EXPERIMENT_H

#include "base/buf.h"
#include "probe/gil_experiment.h"
#include "probe/gil_timeline.h"

#define SW_GIL_PYTHONS_MAX 8

struct sw_gil_experiment_options {
    unsigned workers;
    const char *work;                        /* as in struct sw_gil_plan */
    int64_t duration_ns;                     /* of each phase */
    int64_t period_ns;                       /* of the heartbeat */
    int64_t sla_ns;                          /* an answer later than this is a breach */
    int64_t intervals_ns[SW_GIL_PHASES_MAX]; /* switch intervals tried one after the other */
    size_t interval_count;
    const char *pythons[SW_GIL_PYTHONS_MAX]; /* names in PATH, paths, or versions ("3.13", "3.14t") */
    size_t python_count;
    const char *output; /* picture: .png or .svg; NULL: none */
    bool is_json;
    bool is_quiet; /* no live lines */
};

/* What was seen of a thread from outside while it ran, which is its phase. */
struct sw_gil_thread_seen {
    int32_t tid;
    bool is_known;     /* false: not observed, the figures are absent */
    uint64_t handoffs; /* times it got the GIL from another thread */
    int64_t held_ns;
    int64_t waited_ns; /* -1: could not be seen */
    int64_t observed_ns;
    const struct sw_gil_span *spans; /* by time; the observer's */
    size_t span_count;
};

struct sw_gil_observer;

/* A phase as it is reported. */
struct sw_gil_result {
    struct sw_gil_phase phase;
    struct sw_gil_latency latency;
    double units_per_s;              /* of all workers; NAN without workers */
    double slower;                   /* mean latency over the baseline's; NAN when unknown */
    double throughput_change;        /* against the first phase with workers: -0.05 is 5 % less; NAN for that one */
    struct sw_gil_thread_seen *seen; /* the heartbeat, then the workers; plan->workers + 1 */
};

struct sw_gil_subject {
    const char *python;                /* as asked for */
    char version[32];                  /* "3.13.5t", "" when it could not be seen */
    bool has_gil;                      /* true unless known to be free-threaded */
    bool is_complete;                  /* all phases ran to their end */
    char program[256];                 /* what was started */
    char names[SW_GIL_PHASES_MAX][32]; /* of the phases */
    struct sw_gil_result results[SW_GIL_PHASES_MAX];
    size_t count;                         /* phases with at least one sample */
    struct sw_gil_experiment *experiment; /* this and the observer own the memory that the results show */
    struct sw_gil_observer *observer;
};

/* Returns the exit code. */
int sw_gil_experiment_run(const struct sw_gil_experiment_options *options);

/* The report's parts, each appended to `out`. */
SW_MUST_USE enum sw_status sw_gil_report_text(const struct sw_gil_experiment_options *options,
                                              const struct sw_gil_subject *subjects, size_t count, struct sw_buf *out);
SW_MUST_USE enum sw_status sw_gil_report_json(const struct sw_gil_experiment_options *options,
                                              const struct sw_gil_subject *subjects, size_t count, struct sw_buf *out);
/* One sentence or more about what the numbers of a subject advise. */
SW_MUST_USE enum sw_status sw_gil_advise(const struct sw_gil_experiment_options *options,
                                         const struct sw_gil_subject *subject, struct sw_buf *out);
/* PNG or SVG, by `is_svg`. */
SW_MUST_USE enum sw_status sw_gil_picture(const struct sw_gil_experiment_options *options,
                                          const struct sw_gil_subject *subjects, size_t count, bool is_svg,
                                          struct sw_buf *out);
/* "150 us", "5.2 ms", "1.3 s"; "-" for NAN. */
const char *sw_gil_time_text(double ns, char out[24]);
/* "14.2 M", "950"; "-" for NAN. */
const char *sw_gil_amount_text(double amount, char out[24]);

#endif
