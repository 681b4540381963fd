/* decode_statsd.c - StatsD lines: name:value[:value...]|type[|@rate][|#tag:value,...][|Ttime].
 *
 * Columns are `metric`, `value`, `type`, `rate` (1 where none is given), `time` (DogStatsD's |T, in the unit the job
 * gives for it) and every tag by its name. Each value is a row of its own. The value of a gauge is taken as it stands,
 * sign included, so that "+4" and "-4", which mean a change, give 4 and -4. The value of a set is text; as a number it
 * is missing unless it happens to be one.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/decoder_impl.h"

struct statsd_decoder {
    struct sw_decoder base;
    const struct sw_field *metric, *value, *type, *rate, *time; /* NULL where nobody wants them */
};

/* One line, cut into its parts. */
struct sample {
    struct sw_str metric, values, type, rate, tags, time;
    double rate_number;
    bool is_set;
};

static enum sw_status bad(struct statsd_decoder *statsd, const char *reason) {
    return sw_decoder_bad(&statsd->base, SW_REJECT_SYNTAX, "%s", reason);
}

static bool is_type(struct sw_str text) {
    static const char *const types[] = {"c", "g", "ms", "h", "s", "d", "m"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (sw_str_eq(text, sw_str_from(types[i])))
            return true;
    return false;
}

static enum sw_status rate_read(struct statsd_decoder *statsd, struct sw_str text, struct sample *sample) {
    const char *end = text.ptr + text.len;
    double rate;
    if (sw_num_parse_f64(text.ptr, end, &rate) != end || !(rate > 0 && rate <= 1))
        return bad(statsd, "sample rate is not above 0 and at most 1");
    sample->rate = text;
    sample->rate_number = rate;
    return SW_OK;
}

/* A part behind the type. Other extensions than these are passed over, as their makers ask. */
static enum sw_status part_read(struct statsd_decoder *statsd, struct sw_str part, struct sample *sample) {
    if (part.len == 0)
        return bad(statsd, "empty part behind the type");
    struct sw_str rest = sw_str_skip(part, 1);
    if (part.ptr[0] == '@')
        return rate_read(statsd, rest, sample);
    if (part.ptr[0] == '#')
        sample->tags = rest;
    else if (part.ptr[0] == 'T')
        sample->time = rest;
    return SW_OK;
}

static enum sw_status sample_read(struct statsd_decoder *statsd, struct sw_str line, struct sample *sample) {
    struct sw_str rest = line;
    *sample = (struct sample){.rate = SW_STR("1"), .rate_number = 1};
    struct sw_str head = sw_str_cut(&rest, '|');
    if (!rest.ptr)
        return bad(statsd, "line has no type");
    sample->metric = sw_str_cut(&head, ':');
    if (sample->metric.len == 0)
        return bad(statsd, "line has no metric name");
    if (!head.ptr)
        return bad(statsd, "line has no value");
    sample->values = head;
    sample->type = sw_str_cut(&rest, '|');
    if (!is_type(sample->type))
        return bad(statsd, "type is none of c, g, ms, h, d, m, s");
    sample->is_set = sample->type.ptr[0] == 's';
    while (rest.ptr) {
        enum sw_status status = part_read(statsd, sw_str_cut(&rest, '|'), sample);
        if (status != SW_OK)
            return status;
    }
    return SW_OK;
}

static enum sw_status text_store(struct statsd_decoder *statsd, const struct sw_field *field, struct sw_str text) {
    return field ? sw_decoder_store(&statsd->base, field, text) : SW_OK;
}

static enum sw_status tags_store(struct statsd_decoder *statsd, struct sw_str tags) {
    enum sw_status status = SW_OK;
    while (tags.ptr && status == SW_OK) {
        struct sw_str value = sw_str_cut(&tags, ',');
        struct sw_str name = sw_str_cut(&value, ':');
        if (!value.ptr)
            value = sw_str_make(name.ptr + name.len, 0);
        status = text_store(statsd, sw_decoder_field(&statsd->base, name), value);
    }
    return status;
}

static enum sw_status time_store(struct statsd_decoder *statsd, struct sw_str text) {
    struct sw_decoder *base = &statsd->base;
    if (text.len)
        return text_store(statsd, statsd->time, text);
    if (base->time_field && base->time_field == statsd->time)
        base->batch->time_ns[base->batch->rows] = sw_clock_epoch_ns();
    return SW_OK;
}

/* The event time may also come in a tag. */
static bool has_tag_time(const struct statsd_decoder *statsd, struct sw_str tags) {
    while (tags.ptr) {
        struct sw_str value = sw_str_cut(&tags, ',');
        if (sw_str_eq(sw_str_cut(&value, ':'), statsd->base.time_field->name))
            return true;
    }
    return false;
}

static enum sw_status value_store(struct statsd_decoder *statsd, const struct sample *sample, struct sw_str text) {
    const char *end = text.ptr + text.len;
    const char *start = text.len > 1 && text.ptr[0] == '+' && text.ptr[1] != '-' ? text.ptr + 1 : text.ptr;
    double number;
    if (sw_num_parse_f64(start, end, &number) != end || !isfinite(number)) {
        if (!sample->is_set || text.len == 0)
            return sw_decoder_bad(&statsd->base, SW_REJECT_NUMBER, "value is not a number");
        number = NAN;
    }
    return statsd->value ? sw_decoder_store_number(&statsd->base, statsd->value, text, number) : SW_OK;
}

static enum sw_status row_store(struct statsd_decoder *statsd, const struct sample *sample, struct sw_str value) {
    enum sw_status status = tags_store(statsd, sample->tags);
    if (status == SW_OK)
        status = text_store(statsd, statsd->metric, sample->metric);
    if (status == SW_OK)
        status = value_store(statsd, sample, value);
    if (status == SW_OK)
        status = text_store(statsd, statsd->type, sample->type);
    if (status == SW_OK && statsd->rate)
        status = sw_decoder_store_number(&statsd->base, statsd->rate, sample->rate, sample->rate_number);
    return status == SW_OK ? time_store(statsd, sample->time) : status;
}

static enum sw_status statsd_line(struct sw_decoder *decoder, struct sw_str line) {
    struct statsd_decoder *statsd = (struct statsd_decoder *)decoder;
    struct sample sample;
    enum sw_status status = sample_read(statsd, line, &sample);
    const struct sw_field *time_field = decoder->time_field;
    if (status == SW_OK && time_field && time_field != statsd->time && !has_tag_time(statsd, sample.tags))
        status = sw_decoder_no_time(decoder);
    if (status == SW_MALFORMED) {
        sw_decoder_reject(decoder, decoder->kind, line, decoder->reason);
        return SW_OK;
    }
    while (sample.values.ptr) {
        struct sw_str value = sw_str_cut(&sample.values, ':');
        sw_decoder_row_begin(decoder);
        status = row_store(statsd, &sample, value);
        if (status == SW_OK)
            sw_decoder_row_commit(decoder, line);
        else if (status == SW_MALFORMED)
            sw_decoder_row_reject(decoder, line);
        else
            return status;
    }
    return SW_OK;
}

static const struct sw_decoder_ops statsd_ops = {.line = statsd_line};

enum sw_status sw_statsd_new(struct sw_decoder **decoder, const struct sw_decoder *base) {
    struct statsd_decoder *statsd = sw_alloc_zero(sizeof *statsd);
    if (!statsd)
        return SW_NOMEM;
    statsd->base = *base;
    statsd->base.ops = &statsd_ops;
    statsd->metric = sw_decoder_field(base, SW_STR("metric"));
    statsd->value = sw_decoder_field(base, SW_STR("value"));
    statsd->type = sw_decoder_field(base, SW_STR("type"));
    statsd->rate = sw_decoder_field(base, SW_STR("rate"));
    statsd->time = sw_decoder_field(base, SW_STR("time"));
    *decoder = &statsd->base;
    return SW_OK;
}
