/* flight_rule.c - Parses, evaluates and words the conditions of the flight recorder. */
#include "probe/flight_rule.h"

#include <math.h>
#include <stdio.h>

#include "base/num.h"

enum unit { UNIT_PERCENT, UNIT_TIME, UNIT_SIZE, UNIT_SIZE_RATE, UNIT_COUNT, UNIT_NONE };

static const struct {
    const char *name;
    enum unit unit;
} metrics[SW_FLIGHT_METRICS] = {
    [SW_FLIGHT_CPU] = {"cpu", UNIT_PERCENT},
    [SW_FLIGHT_GIL_HELD] = {"gil_held", UNIT_PERCENT},
    [SW_FLIGHT_GIL_WAIT_P99] = {"gil_wait_p99", UNIT_TIME},
    [SW_FLIGHT_RSS] = {"rss", UNIT_SIZE},
    [SW_FLIGHT_RSS_GROWTH] = {"rss_growth", UNIT_SIZE_RATE},
    [SW_FLIGHT_THREADS] = {"threads", UNIT_COUNT},
    [SW_FLIGHT_LOOP_LAG] = {"loop_lag", UNIT_TIME},
    [SW_FLIGHT_EXIT] = {"exit", UNIT_NONE},
};

static const char *const unit_examples[] = {
    [UNIT_PERCENT] = "a percentage such as 90%",
    [UNIT_TIME] = "a time such as 50ms",
    [UNIT_SIZE] = "a size such as 2GiB",
    [UNIT_SIZE_RATE] = "a size a time such as 10MiB/min",
    [UNIT_COUNT] = "a number such as 200 (no unit)",
    [UNIT_NONE] = "nothing behind it",
};

static bool number_read(struct sw_str text, double *value) {
    const char *end = text.ptr + text.len;
    return text.len && sw_num_parse_f64(text.ptr, end, value) == end && *value >= 0 && isfinite(*value);
}

static bool size_read(struct sw_str text, double *value) {
    uint64_t size_bytes;
    if (sw_str_to_size_bytes(text, &size_bytes) != SW_OK)
        return false;
    *value = (double)size_bytes;
    return true;
}

/* A decrease is a growth below zero. */
static bool size_rate_read(struct sw_str text, double *value) {
    static const struct {
        const char *name;
        double a_minute;
    } times[] = {{"s", 60}, {"min", 1}, {"m", 1}, {"h", 1.0 / 60}};
    bool is_negative = text.len && text.ptr[0] == '-';
    struct sw_str rest = sw_str_skip(text, is_negative);
    struct sw_str size = sw_str_cut(&rest, '/');
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (sw_str_eq(rest, sw_str_from(times[i].name)) && size_read(size, value)) {
            *value *= is_negative ? -times[i].a_minute : times[i].a_minute;
            return true;
        }
    return false;
}

static bool threshold_read(enum unit unit, struct sw_str text, double *value) {
    int64_t time_ns;
    switch (unit) {
    case UNIT_PERCENT:
        return sw_str_ends(text, SW_STR("%")) && number_read(sw_str_make(text.ptr, text.len - 1), value);
    case UNIT_TIME:
        if (sw_str_to_duration_ns(text, &time_ns) != SW_OK)
            return false;
        *value = (double)time_ns;
        return true;
    case UNIT_SIZE:
        return size_read(text, value);
    case UNIT_SIZE_RATE:
        return size_rate_read(text, value);
    case UNIT_COUNT:
        return number_read(text, value);
    default:
        return false;
    }
}

static bool metric_find(struct sw_str name, enum sw_flight_metric *metric) {
    for (unsigned i = 0; i < SW_FLIGHT_METRICS; i++)
        if (sw_str_eq(sw_str_from(metrics[i].name), name)) {
            *metric = (enum sw_flight_metric)i;
            return true;
        }
    return false;
}

static enum sw_status metric_fail(const char *condition, struct sw_str name, struct sw_error *err) {
    return sw_fail(
        err, SW_INVALID,
        "--when '%s': there is no metric '%" SW_STR_FMT
        "'; there are cpu, gil_held (%%), gil_wait_p99, loop_lag (50ms), rss (2GiB), rss_growth (10MiB/min), "
        "threads, and exit",
        condition, SW_STR_ARG(name));
}

/* Takes the relation off the beginning of *text. */
static bool relation_take(struct sw_str *text, enum sw_flight_relation *relation) {
    bool is_below = text->len && text->ptr[0] == '<';
    if (!text->len || (!is_below && text->ptr[0] != '>'))
        return false;
    bool has_equal = text->len > 1 && text->ptr[1] == '=';
    *text = sw_str_skip(*text, has_equal ? 2 : 1);
    *relation = is_below ? (has_equal ? SW_FLIGHT_AT_MOST : SW_FLIGHT_BELOW)
                         : (has_equal ? SW_FLIGHT_AT_LEAST : SW_FLIGHT_ABOVE);
    return true;
}

static void size_format(double size_bytes, const char *suffix, char out[32]) {
    double mib = size_bytes / 1048576.0;
    if (fabs(mib) < 1024)
        snprintf(out, 32, "%.1f MiB%s", mib, suffix);
    else
        snprintf(out, 32, "%.2f GiB%s", mib / 1024, suffix);
}

enum sw_status sw_flight_rule_parse(struct sw_flight_rule *rule, struct sw_str text, struct sw_error *err) {
    struct sw_flight_rule parsed = {0};
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (len + 1 == sizeof parsed.text)
            return sw_fail(err, SW_INVALID, "--when '%.40s...': a condition has at most %zu characters", text.ptr,
                           sizeof parsed.text - 1);
        if (text.ptr[i] != ' ' && text.ptr[i] != '\t')
            parsed.text[len++] = text.ptr[i];
    }
    struct sw_str name = sw_str_make(parsed.text, strcspn(parsed.text, "<>"));
    struct sw_str rest = sw_str_skip(sw_str_make(parsed.text, len), name.len);
    if (!metric_find(name, &parsed.metric))
        return metric_fail(parsed.text, name, err);
    enum unit unit = metrics[parsed.metric].unit;
    if (unit == UNIT_NONE) {
        parsed.relation = SW_FLIGHT_ABOVE;
        if (rest.len)
            return sw_fail(err, SW_INVALID, "--when '%s': exit stands alone", parsed.text);
    } else if (!relation_take(&rest, &parsed.relation) || !threshold_read(unit, rest, &parsed.threshold)) {
        return sw_fail(err, SW_INVALID, "--when '%s': behind %s it wants >, >=, < or <= and %s", parsed.text,
                       metrics[parsed.metric].name, unit_examples[unit]);
    }
    *rule = parsed;
    return SW_OK;
}

bool sw_flight_rule_is_true(const struct sw_flight_rule *rule, double value) {
    switch (rule->relation) {
    case SW_FLIGHT_ABOVE:
        return value > rule->threshold;
    case SW_FLIGHT_AT_LEAST:
        return value >= rule->threshold;
    case SW_FLIGHT_BELOW:
        return value < rule->threshold;
    default:
        return value <= rule->threshold;
    }
}

bool sw_flight_trigger_step(struct sw_flight_trigger *trigger, const double values[SW_FLIGHT_METRICS], bool may_fire) {
    double value = values[trigger->rule.metric];
    if (isnan(value))
        return false;
    if (!sw_flight_rule_is_true(&trigger->rule, value)) {
        trigger->is_spent = false;
        return false;
    }
    if (trigger->is_spent || !may_fire)
        return false;
    trigger->is_spent = true;
    return true;
}

void sw_flight_value_format(enum sw_flight_metric metric, double value, char out[32]) {
    if (isnan(value)) {
        snprintf(out, 32, "-");
        return;
    }
    switch (metrics[metric].unit) {
    case UNIT_PERCENT:
        snprintf(out, 32, "%.1f %%", value);
        break;
    case UNIT_TIME:
        snprintf(out, 32, value < 1e9 ? "%.1f ms" : "%.2f s", value < 1e9 ? value / 1e6 : value / 1e9);
        break;
    case UNIT_SIZE:
        size_format(value, "", out);
        break;
    case UNIT_SIZE_RATE:
        size_format(value, "/min", out);
        break;
    case UNIT_COUNT:
        snprintf(out, 32, "%.0f", value);
        break;
    default:
        snprintf(out, 32, value > 0 ? "ended" : "running");
    }
}
