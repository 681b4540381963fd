/* flight.c - Samples into the ring and feeds the series, at one pace. */
#include "probe/flight.h"

#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/flight_loop.h"
#include "probe/flight_series.h"
#include "probe/gil_timeline.h"

#define PUT_NS (100 * SW_NS_PER_MS) /* so much is lost at most when this process is killed */
#define VALUES_NS SW_NS_PER_S
#define SAMPLES_MAX 65536 /* of a profile, before another one is begun */
#define NODES_MAX 262144

struct sw_flight {
    struct sw_flight_options options;
    struct sw_target target;
    struct sw_runtime runtime;
    bool has_runtime;
    struct sw_buf command;
    struct sw_sampler *sampler;
    struct sw_flight_ring *ring;
    struct sw_gil_timeline *gil; /* NULL: not wanted, or the interpreter is gone */
    struct sw_flight_loop *loop; /* likewise */
    struct sw_flight_series series;
    int64_t next_gil_ns, next_put_ns, next_values_ns;
    int64_t end_epoch_ns; /* when the process was found to have ended; 0: it goes on */
    double values[SW_FLIGHT_METRICS];
};

static void span_take(void *context, int32_t tid, const struct sw_gil_span *span) {
    struct sw_flight *flight = context;
    if (span->state == SW_GIL_WAITED)
        sw_flight_series_wait(&flight->series, span->end_ns, span->end_ns - span->start_ns);
}

static enum sw_status gil_open(struct sw_flight *flight, struct sw_error *err) {
    struct sw_gil_timeline_options options = {.rate_hz = flight->options.rate_hz,
                                              .is_meter = true,
                                              .has_no_functions = true,
                                              .on_span = span_take,
                                              .context = flight};
    return sw_gil_timeline_new(&flight->gil, &flight->runtime, &options, err);
}

static enum sw_status sampler_open(struct sw_flight *flight, struct sw_error *err) {
    struct sw_sampler_options options = {.rate_hz = flight->options.rate_hz,
                                         .what = flight->options.what,
                                         .keeps_samples = true};
    enum sw_status status = sw_sampler_new(&flight->sampler, &options);
    if (status != SW_OK)
        return sw_fail(err, status, "cannot sample process %d: %s", (int)flight->options.pid, sw_status_text(status));
    return sw_sampler_add(flight->sampler, flight->options.pid, false, err);
}

static enum sw_status ring_open(struct sw_flight *flight, struct sw_error *err) {
    static const char *const names[] = {
        [SW_SAMPLE_CPU] = "cpu", [SW_SAMPLE_GIL] = "gil", [SW_SAMPLE_WAIT] = "wait", [SW_SAMPLE_WALL] = "wall"};
    struct sw_flight_ring_options options = {.path = flight->options.ring_path,
                                             .size_bytes = flight->options.ring_bytes,
                                             .keep_ns = flight->options.keep_ns,
                                             .pid = flight->options.pid,
                                             .rate_hz = flight->options.rate_hz,
                                             .what = sw_str_from(names[flight->options.what]),
                                             .command = sw_buf_view(&flight->command)};
    return sw_flight_ring_new(&flight->ring, &options, err);
}

static enum sw_status flight_open(struct sw_flight *flight, struct sw_error *err) {
    enum sw_status status = sw_target_open(&flight->target, flight->options.pid, err);
    if (status != SW_OK)
        return status;
    status = sw_runtime_open(&flight->runtime, &flight->target, err);
    flight->has_runtime = status == SW_OK;
    if (status == SW_OK && sw_target_command(&flight->target, &flight->command) == SW_NOMEM)
        status = sw_fail(err, SW_NOMEM, "cannot watch process %d: out of memory", (int)flight->options.pid);
    if (status == SW_OK)
        status = sampler_open(flight, err);
    if (status == SW_OK && flight->options.wants_gil)
        status = gil_open(flight, err);
    if (status == SW_OK && flight->options.wants_loop && sw_flight_loop_new(&flight->loop, &flight->runtime) != SW_OK)
        status = sw_fail(err, SW_NOMEM, "cannot watch the event loops of process %d: out of memory",
                         (int)flight->options.pid);
    return status == SW_OK ? ring_open(flight, err) : status;
}

static struct sw_flight_quality quality_of(const struct sw_flight *flight) {
    struct sw_sampler_counts counts = sw_sampler_counts(flight->sampler);
    return (struct sw_flight_quality){counts.exact, counts.partial, counts.failed};
}

/* Memory is bounded by taking the profile away from time to time; the ring has what was in it. */
static enum sw_status profile_drop(struct sw_flight *flight) {
    struct sw_profile taken = {0};
    enum sw_status status = sw_sampler_take(flight->sampler, &taken);
    sw_profile_release(&taken);
    sw_flight_ring_restart(flight->ring);
    return status;
}

static enum sw_status ring_put(struct sw_flight *flight, struct sw_error *err) {
    const struct sw_profile *profile = sw_sampler_profile(flight->sampler);
    struct sw_flight_quality quality = quality_of(flight);
    bool is_turned;
    struct sw_error reason = {0};
    enum sw_status status = sw_flight_ring_put(flight->ring, profile, &quality, &is_turned, &reason);
    bool is_lost = status != SW_OK && status != SW_NOMEM;
    if (status == SW_OK || is_lost)
        if (is_lost || is_turned || profile->sample_count > SAMPLES_MAX || profile->node_count > NODES_MAX)
            status = profile_drop(flight);
    if (status == SW_OK && is_lost)
        return sw_fail(err, SW_AGAIN, "%s", reason.text);
    return status == SW_OK ? SW_OK : sw_fail(err, status, "cannot write the ring: %s", sw_status_text(status));
}

/* What is no longer there is left out: the program may have run exec, and the sampler finds what it became. */
static enum sw_status metrics_look(struct sw_flight *flight) {
    int64_t lag_ns;
    enum sw_status status = SW_OK;
    if (flight->gil && sw_clock_mono_ns() >= flight->next_gil_ns) {
        status = sw_gil_timeline_step(flight->gil, &flight->next_gil_ns);
        if (status != SW_OK) {
            sw_gil_timeline_free(flight->gil);
            flight->gil = NULL;
        }
    }
    if (flight->loop && status != SW_NOMEM) {
        status = sw_flight_loop_look(flight->loop, &lag_ns);
        if (status == SW_OK)
            sw_flight_series_lag(&flight->series, lag_ns);
        if (status == SW_CLOSED || status == SW_NOMEM) {
            sw_flight_loop_free(flight->loop);
            flight->loop = NULL;
        }
    }
    return status == SW_NOMEM ? SW_NOMEM : SW_OK;
}

static void values_work_out(struct sw_flight *flight, int64_t now_ns) {
    struct sw_target_usage usage;
    if (sw_target_usage(&flight->target, &usage) == SW_OK)
        sw_flight_series_usage(&flight->series, &(struct sw_flight_usage){.mono_ns = now_ns,
                                                                          .cpu_ns = usage.cpu_ns,
                                                                          .rss_bytes = usage.rss_bytes,
                                                                          .threads = usage.threads});
    if (flight->gil) {
        struct sw_gil_totals totals = sw_gil_timeline_totals(flight->gil);
        sw_flight_series_held(&flight->series, totals.end_ns, totals.held_ns);
    }
    sw_flight_series_values(&flight->series, now_ns, flight->values);
}

static enum sw_status ended(struct sw_flight *flight, bool *has_values, struct sw_error *err) {
    if (!flight->end_epoch_ns)
        flight->end_epoch_ns = sw_clock_epoch_ns();
    enum sw_status status = ring_put(flight, err);
    if (status != SW_OK)
        return status;
    sw_flight_series_end(&flight->series);
    sw_flight_series_values(&flight->series, sw_clock_mono_ns(), flight->values);
    *has_values = true;
    return SW_CLOSED;
}

enum sw_status sw_flight_new(struct sw_flight **out, const struct sw_flight_options *options, struct sw_error *err) {
    struct sw_flight *flight = sw_alloc_zero(sizeof *flight);
    if (!flight)
        return sw_fail(err, SW_NOMEM, "cannot watch process %d: out of memory", (int)options->pid);
    flight->options = *options;
    flight->target.proc_fd = -1;
    if (flight->options.rate_hz == 0)
        flight->options.rate_hz = SW_FLIGHT_RATE_HZ;
    for (size_t i = 0; i < SW_FLIGHT_METRICS; i++)
        flight->values[i] = NAN;
    enum sw_status status = flight_open(flight, err);
    if (status != SW_OK) {
        sw_flight_free(flight);
        return status;
    }
    flight->next_put_ns = sw_clock_mono_ns() + PUT_NS;
    flight->next_values_ns = sw_clock_mono_ns() + VALUES_NS;
    values_work_out(flight, sw_clock_mono_ns()); /* what rates are counted from */
    *out = flight;
    return SW_OK;
}

void sw_flight_free(struct sw_flight *flight) {
    if (!flight)
        return;
    sw_flight_ring_free(flight->ring);
    sw_flight_loop_free(flight->loop);
    sw_gil_timeline_free(flight->gil);
    sw_sampler_free(flight->sampler);
    if (flight->has_runtime)
        sw_runtime_close(&flight->runtime);
    sw_target_close(&flight->target);
    sw_buf_release(&flight->command);
    sw_free(flight);
}

enum sw_status sw_flight_step(struct sw_flight *flight, int64_t until_mono_ns, bool *has_values, struct sw_error *err) {
    enum sw_status status = SW_OK;
    *has_values = false;
    if (sw_sampler_process_count(flight->sampler) == 0)
        return ended(flight, has_values, err);
    int64_t until_ns = until_mono_ns < flight->next_values_ns ? until_mono_ns : flight->next_values_ns;
    if (sw_sampler_wait(flight->sampler, until_ns)) {
        status = sw_sampler_look(flight->sampler);
        if (status == SW_OK)
            status = metrics_look(flight);
    }
    if (status == SW_CLOSED || sw_sampler_process_count(flight->sampler) == 0)
        return ended(flight, has_values, err);
    if (status != SW_OK)
        return sw_fail(err, status, "cannot go on watching: %s", sw_status_text(status));
    int64_t now_ns = sw_clock_mono_ns();
    if (now_ns >= flight->next_values_ns) {
        flight->next_values_ns = now_ns + VALUES_NS;
        values_work_out(flight, now_ns);
        *has_values = true;
    }
    if (now_ns < flight->next_put_ns)
        return SW_OK;
    flight->next_put_ns = now_ns + PUT_NS;
    return ring_put(flight, err);
}

const double *sw_flight_values(const struct sw_flight *flight) {
    return flight->values;
}

enum sw_status sw_flight_save(struct sw_flight *flight, struct sw_str reason, struct sw_profile *profile,
                              struct sw_error *err) {
    struct sw_profile made = {0};
    int64_t now_ns = flight->end_epoch_ns ? flight->end_epoch_ns : sw_clock_epoch_ns();
    enum sw_status status = ring_put(flight, err);
    if (status == SW_OK)
        status = sw_flight_ring_read(flight->ring, now_ns - flight->options.keep_ns, &made, err);
    if (status != SW_OK)
        return status;
    struct sw_profile_about about = made.about;
    about.reason = reason;
    status = sw_profile_describe(&made, &about);
    if (status != SW_OK) {
        sw_profile_release(&made);
        return sw_fail(err, status, "cannot describe what was saved: %s", sw_status_text(status));
    }
    *profile = made;
    return SW_OK;
}

struct sw_sampler_counts sw_flight_counts(const struct sw_flight *flight) {
    return sw_sampler_counts(flight->sampler);
}

uint64_t sw_flight_lost(const struct sw_flight *flight) {
    return sw_flight_ring_lost(flight->ring);
}

const char *sw_flight_version(const struct sw_flight *flight) {
    return flight->runtime.version_text;
}
