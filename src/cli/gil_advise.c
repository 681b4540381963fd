/* gil_advise.c - What the numbers of a heartbeat experiment advise, in words; see gil_experiment.h. */
#include <math.h>

#include "cli/gil_experiment.h"

#define NEAR 1.5      /* times the baseline that counts as undisturbed */
#define WORTH 0.8     /* an interval is worth a change when p99 falls below this share of what it was */
#define CHEAP (-0.10) /* and costs less throughput than this */

struct texts {
    char base[24], loaded[24], best[24], sla[24], interval[24];
};

static const struct sw_gil_result *best_of(const struct sw_gil_subject *subject) {
    const struct sw_gil_result *best = &subject->results[1];
    for (size_t i = 2; i < subject->count; i++)
        if (subject->results[i].latency.p99 < best->latency.p99)
            best = &subject->results[i];
    return best;
}

/* What helps when no switch interval does, by what the workers do. */
static const char *way_out(const struct sw_gil_experiment_options *options) {
    if (sw_str_eq(sw_str_from(options->work), SW_STR("hash")))
        return "move the work into calls that let the GIL go (hashlib does from 2048 bytes on), or into other processes, or use a free-threaded build";
    return "move the workers into other processes, or their loops into C that lets the GIL go, or use a free-threaded build";
}

static enum sw_status advise_change(const struct sw_gil_experiment_options *options, const struct sw_gil_result *best,
                                    const struct texts *text, struct sw_buf *out) {
    bool meets = best->latency.p99 <= (double)options->sla_ns;
    double cost = best->throughput_change;
    enum sw_status status = sw_buf_append_format(out, "A switch interval of %s cuts the heartbeat's p99 from %s to %s",
                                                 text->interval, text->loaded, text->best);
    if (!status && !isnan(cost))
        status = cost < 0 ? sw_buf_append_format(out, ", at %.1f %% of the workers' throughput", -100 * cost)
                          : sw_buf_append(out, SW_STR(", at no cost in throughput that shows"));
    if (status)
        return status;
    if (meets && (isnan(cost) || cost > CHEAP))
        return sw_buf_append_format(out, ". That meets the SLA of %s: call sys.setswitchinterval(%g).", text->sla,
                                    (double)best->phase.switch_interval_ns / 1e9);
    if (meets)
        return sw_buf_append_format(out,
                                    ". That meets the SLA of %s, but dearly: call sys.setswitchinterval(%g) if the "
                                    "answers matter more, else %s.",
                                    text->sla, (double)best->phase.switch_interval_ns / 1e9, way_out(options));
    return sw_buf_append_format(out, ". It is still above the SLA of %s: %s.", text->sla, way_out(options));
}

enum sw_status sw_gil_advise(const struct sw_gil_experiment_options *options, const struct sw_gil_subject *subject,
                             struct sw_buf *out) {
    if (subject->count < 2)
        return sw_buf_append(out, SW_STR("Too little was measured for advice: the phase with workers did not run."));
    const struct sw_gil_result *base = &subject->results[0], *loaded = &subject->results[1], *best = best_of(subject);
    struct texts text;
    sw_gil_time_text(base->latency.p99, text.base);
    sw_gil_time_text(loaded->latency.p99, text.loaded);
    sw_gil_time_text(best->latency.p99, text.best);
    sw_gil_time_text((double)options->sla_ns, text.sla);
    sw_gil_time_text((double)best->phase.switch_interval_ns, text.interval);
    if (base->latency.p99 > (double)options->sla_ns)
        return sw_buf_append_format(
            out,
            "Without any worker the heartbeat's p99 is %s, above the SLA of %s: this machine is "
            "busy or slow to wake threads, and no setting of Python mends that.",
            text.base, text.sla);
    if (!subject->has_gil)
        return sw_buf_append_format(out,
                                    "This interpreter has no GIL: p99 is %s beside the workers and %s alone; what "
                                    "remains is competition for the machine's cores.",
                                    text.loaded, text.base);
    if (loaded->latency.p99 <= NEAR * base->latency.p99)
        return sw_buf_append_format(out,
                                    "The workers do not disturb the heartbeat: p99 is %s beside them and %s alone. "
                                    "Nothing to change.",
                                    text.loaded, text.base);
    if (best != loaded && best->latency.p99 < WORTH * loaded->latency.p99)
        return advise_change(options, best, &text, out);
    if (loaded->latency.p99 <= (double)options->sla_ns)
        return sw_buf_append_format(out,
                                    "The workers slow the heartbeat (p99 %s, %s alone), but within the SLA of %s. "
                                    "Nothing to change.",
                                    text.loaded, text.base, text.sla);
    return sw_buf_append_format(out,
                                "The workers hold the heartbeat up (p99 %s, %s alone) and no switch interval tried "
                                "helps much: %s.",
                                text.loaded, text.base, way_out(options));
}
