/* gil_report.c - The results of a heartbeat experiment as text and as JSON; see gil_experiment.h. */
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "cli/gil_experiment.h"

const char *sw_gil_time_text(double ns, char out[24]) {
    if (isnan(ns))
        snprintf(out, 24, "-");
    else if (ns < 1e3)
        snprintf(out, 24, "%.0f ns", ns);
    else if (ns < 1e6)
        snprintf(out, 24, ns < 1e5 ? "%.3g us" : "%.0f us", ns / 1e3);
    else if (ns < 1e9)
        snprintf(out, 24, ns < 1e8 ? "%.3g ms" : "%.0f ms", ns / 1e6);
    else
        snprintf(out, 24, "%.3g s", ns / 1e9);
    return out;
}

const char *sw_gil_amount_text(double amount, char out[24]) {
    if (isnan(amount))
        snprintf(out, 24, "-");
    else if (amount < 1e4)
        snprintf(out, 24, "%.4g", amount);
    else if (amount < 1e6)
        snprintf(out, 24, "%.3g k", amount / 1e3);
    else
        snprintf(out, 24, "%.3g M", amount / 1e6);
    return out;
}

static const char *change_text(double change, char out[24]) {
    if (isnan(change))
        snprintf(out, 24, "-");
    else
        snprintf(out, 24, "%+.1f %%", 100 * change);
    return out;
}

static const char *times_text(double times, char out[24]) {
    if (isnan(times))
        snprintf(out, 24, "-");
    else
        snprintf(out, 24, times < 10 ? "%.2gx" : "%.0fx", times);
    return out;
}

/* Of the time a thread was watched; "-" when the part is not known. */
static const char *share_text(int64_t part_ns, int64_t whole_ns, char out[24]) {
    if (part_ns < 0)
        snprintf(out, 24, "-");
    else
        snprintf(out, 24, "%.1f%%", 100.0 * (double)part_ns / (double)whole_ns);
    return out;
}

static enum sw_status phase_row(const struct sw_gil_result *result, struct sw_buf *out) {
    char text[9][24];
    const struct sw_gil_latency *latency = &result->latency;
    double breaches = 100.0 * (double)latency->breaches / (double)result->phase.count;
    return sw_buf_append_format(out, "%-22s %8s %8zu %8s %8s %8s %8s %8s %7s %9s %8s %7llu %5.1f%% %7llu\n",
                                result->phase.plan->name,
                                sw_gil_time_text((double)result->phase.switch_interval_ns, text[0]),
                                result->phase.count, sw_gil_time_text(latency->min, text[1]),
                                sw_gil_time_text(latency->mean, text[2]), sw_gil_time_text(latency->p50, text[3]),
                                sw_gil_time_text(latency->p99, text[4]), sw_gil_time_text(latency->max, text[5]),
                                times_text(result->slower, text[6]), sw_gil_amount_text(result->units_per_s, text[7]),
                                change_text(result->throughput_change, text[8]), (unsigned long long)latency->breaches,
                                breaches, (unsigned long long)result->phase.missed);
}

static enum sw_status thread_row(const struct sw_gil_result *result, unsigned index, struct sw_buf *out) {
    const struct sw_gil_thread_seen *seen = &result->seen[index];
    double seconds = (double)seen->observed_ns / 1e9;
    char name[24], units[24], handoffs[24], held[24], waited[24];
    if (index == 0)
        snprintf(name, sizeof name, "heartbeat");
    else
        snprintf(name, sizeof name, "worker-%u", index);
    double done =
        index == 0 ? NAN : (double)result->phase.workers[index - 1].units * 1e9 / (double)result->phase.elapsed_ns;
    sw_gil_amount_text(done, units);
    if (!seen->is_known || seconds <= 0)
        return sw_buf_append_format(out, "%-22s %-12s %10s %12s %8s %8s\n", result->phase.plan->name, name, units, "-",
                                    "-", "-");
    sw_gil_amount_text((double)seen->handoffs / seconds, handoffs);
    return sw_buf_append_format(out, "%-22s %-12s %10s %12s %8s %8s\n", result->phase.plan->name, name, units, handoffs,
                                share_text(seen->held_ns, seen->observed_ns, held),
                                share_text(seen->waited_ns, seen->observed_ns, waited));
}

static enum sw_status subject_text(const struct sw_gil_experiment_options *options,
                                   const struct sw_gil_subject *subject, struct sw_buf *out) {
    char period[24], sla[24], duration[24];
    enum sw_status status = sw_buf_append_format(
        out, "%s%s%s%s: heartbeat every %s, %u worker%s (%s), phases of %s, SLA %s%s\n\n", subject->python,
        subject->version[0] ? " is CPython " : "", subject->version, subject->has_gil ? "" : " without GIL",
        sw_gil_time_text((double)options->period_ns, period), options->workers, options->workers == 1 ? "" : "s",
        options->work, sw_gil_time_text((double)options->duration_ns, duration),
        sw_gil_time_text((double)options->sla_ns, sla), subject->is_complete ? "" : " - cut short");
    if (!status)
        status = sw_buf_append_format(out, "%-22s %8s %8s %8s %8s %8s %8s %8s %7s %9s %8s %14s %7s\n", "phase",
                                      "interval", "samples", "min", "mean", "p50", "p99", "max", "slower", "units/s",
                                      "change", "SLA breaches", "missed");
    for (size_t i = 0; i < subject->count && !status; i++)
        status = phase_row(&subject->results[i], out);
    if (!status)
        status = sw_buf_append_format(out, "\n%-22s %-12s %10s %12s %8s %8s\n", "phase", "thread", "units/s",
                                      "hand-offs/s", "held", "waited");
    for (size_t i = 0; i < subject->count && !status; i++)
        for (unsigned k = 0; k <= subject->results[i].phase.plan->workers && !status; k++)
            status = thread_row(&subject->results[i], k, out);
    if (!status)
        status = sw_buf_append(out, SW_STR("\nRecommendation: "));
    if (!status)
        status = sw_gil_advise(options, subject, out);
    return status ? status : sw_buf_append_byte(out, '\n');
}

/* The interpreters side by side: the baseline and the phase with workers of each. */
static enum sw_status comparison_text(const struct sw_gil_subject *subjects, size_t count, struct sw_buf *out) {
    enum sw_status status = sw_buf_append_format(out, "\n%-28s %12s %12s %12s %12s %10s\n", "interpreter", "p99 alone",
                                                 "p99 loaded", "best p99", "with", "units/s");
    for (size_t i = 0; i < count && !status; i++) {
        const struct sw_gil_subject *subject = &subjects[i];
        if (subject->count < 2)
            continue;
        const struct sw_gil_result *best = &subject->results[1];
        for (size_t k = 2; k < subject->count; k++)
            best = subject->results[k].latency.p99 < best->latency.p99 ? &subject->results[k] : best;
        char text[5][24], name[64];
        snprintf(name, sizeof name, "%s%s%s%s", subject->python, subject->version[0] ? " (" : "", subject->version,
                 subject->version[0] ? ")" : "");
        status = sw_buf_append_format(out, "%-28s %12s %12s %12s %12s %10s\n", name,
                                      sw_gil_time_text(subject->results[0].latency.p99, text[0]),
                                      sw_gil_time_text(subject->results[1].latency.p99, text[1]),
                                      sw_gil_time_text(best->latency.p99, text[2]),
                                      sw_gil_time_text((double)best->phase.switch_interval_ns, text[3]),
                                      sw_gil_amount_text(subject->results[1].units_per_s, text[4]));
    }
    return status;
}

enum sw_status sw_gil_report_text(const struct sw_gil_experiment_options *options,
                                  const struct sw_gil_subject *subjects, size_t count, struct sw_buf *out) {
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < count && !status; i++) {
        if (i > 0)
            status = sw_buf_append_byte(out, '\n');
        if (!status)
            status = subject_text(options, &subjects[i], out);
    }
    return status || count < 2 ? status : comparison_text(subjects, count, out);
}

static void json_number(struct sw_json *json, const char *key, double value) {
    sw_json_key(json, sw_str_from(key));
    sw_json_f64(json, value);
}

static void json_count(struct sw_json *json, const char *key, uint64_t value) {
    sw_json_key(json, sw_str_from(key));
    sw_json_u64(json, value);
}

static void json_text(struct sw_json *json, const char *key, const char *value) {
    sw_json_key(json, sw_str_from(key));
    sw_json_str(json, sw_str_from(value));
}

static void json_thread(struct sw_json *json, const struct sw_gil_result *result, unsigned index) {
    const struct sw_gil_thread_seen *seen = &result->seen[index];
    char name[24];
    snprintf(name, sizeof name, index == 0 ? "heartbeat" : "worker-%u", index);
    sw_json_object_begin(json);
    json_text(json, "name", name);
    json_count(json, "tid", (uint64_t)seen->tid);
    if (index > 0)
        json_count(json, "units", (uint64_t)result->phase.workers[index - 1].units);
    json_number(json, "handoffs", seen->is_known ? (double)seen->handoffs : NAN);
    json_number(json, "held_ns", seen->is_known ? (double)seen->held_ns : NAN);
    json_number(json, "waited_ns", seen->is_known && seen->waited_ns >= 0 ? (double)seen->waited_ns : NAN);
    json_number(json, "observed_ns", seen->is_known ? (double)seen->observed_ns : NAN);
    sw_json_object_end(json);
}

static void json_phase(struct sw_json *json, const struct sw_gil_result *result) {
    const struct sw_gil_phase *phase = &result->phase;
    sw_json_object_begin(json);
    json_text(json, "name", phase->plan->name);
    json_count(json, "workers", phase->plan->workers);
    json_count(json, "switch_interval_ns", (uint64_t)phase->switch_interval_ns);
    json_count(json, "elapsed_ns", (uint64_t)phase->elapsed_ns);
    json_count(json, "samples", phase->count);
    json_number(json, "min_ns", result->latency.min);
    json_number(json, "mean_ns", result->latency.mean);
    json_number(json, "p50_ns", result->latency.p50);
    json_number(json, "p99_ns", result->latency.p99);
    json_number(json, "max_ns", result->latency.max);
    json_number(json, "times_slower", result->slower);
    json_number(json, "units_per_s", result->units_per_s);
    json_number(json, "throughput_change", result->throughput_change);
    json_count(json, "sla_breaches", result->latency.breaches);
    json_count(json, "missed", phase->missed);
    sw_json_key(json, SW_STR("threads"));
    sw_json_array_begin(json);
    for (unsigned i = 0; i <= phase->plan->workers; i++)
        json_thread(json, result, i);
    sw_json_array_end(json);
    sw_json_key(json, SW_STR("latency_ns"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < phase->count; i++)
        sw_json_i64(json, phase->latency_ns[i]);
    sw_json_array_end(json);
    sw_json_object_end(json);
}

static enum sw_status json_subject(struct sw_json *json, const struct sw_gil_experiment_options *options,
                                   const struct sw_gil_subject *subject) {
    struct sw_buf advice = {0};
    enum sw_status status = sw_gil_advise(options, subject, &advice);
    sw_json_object_begin(json);
    json_text(json, "python", subject->python);
    json_text(json, "version", subject->version);
    sw_json_key(json, SW_STR("has_gil"));
    sw_json_bool(json, subject->has_gil);
    sw_json_key(json, SW_STR("is_complete"));
    sw_json_bool(json, subject->is_complete);
    sw_json_key(json, SW_STR("recommendation"));
    sw_json_str(json, sw_buf_view(&advice));
    sw_json_key(json, SW_STR("phases"));
    sw_json_array_begin(json);
    for (size_t i = 0; i < subject->count; i++)
        json_phase(json, &subject->results[i]);
    sw_json_array_end(json);
    sw_json_object_end(json);
    sw_buf_release(&advice);
    return status;
}

enum sw_status sw_gil_report_json(const struct sw_gil_experiment_options *options,
                                  const struct sw_gil_subject *subjects, size_t count, struct sw_buf *out) {
    struct sw_json json;
    enum sw_status status = SW_OK;
    sw_json_init(&json, out);
    sw_json_object_begin(&json);
    json_count(&json, "workers", options->workers);
    json_text(&json, "work", options->work);
    json_count(&json, "heartbeat_ns", (uint64_t)options->period_ns);
    json_count(&json, "duration_ns", (uint64_t)options->duration_ns);
    json_count(&json, "sla_ns", (uint64_t)options->sla_ns);
    sw_json_key(&json, SW_STR("interpreters"));
    sw_json_array_begin(&json);
    for (size_t i = 0; i < count && !status; i++)
        status = json_subject(&json, options, &subjects[i]);
    sw_json_array_end(&json);
    sw_json_object_end(&json);
    if (!status)
        status = sw_json_status(&json);
    return status ? status : sw_buf_append_byte(out, '\n');
}
