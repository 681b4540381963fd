/* decode_influx.c - InfluxDB line protocol, v1 and v2: measurement[,tag=value...] field=value[,...] [timestamp].
 *
 * Columns are `measurement`, `time` and every tag and field by its name; what a line lacks is missing. Integers and
 * unsigned integers are numbers without their suffix; booleans are 1 and 0, as text true and false. The timestamp is
 * read in the unit given for `time` (nanoseconds as the protocol has it, if the job says so); a line without one gets
 * the time of arrival. A newline always ends a line, also within a string, as version 1 has it. Text is not checked to
 * be UTF-8.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/decoder_impl.h"

struct influx_decoder {
    struct sw_decoder base;
    const struct sw_field *measurement; /* NULL where nobody wants it */
    const struct sw_field *time;
    bool is_time_seen; /* the job's event time was in the line */
    struct sw_buf unescaped;
};

/* What is left of the line being read. */
struct cursor {
    const char *ptr, *end;
};

static enum sw_status bad(struct influx_decoder *influx, const char *reason) {
    return sw_decoder_bad(&influx->base, SW_REJECT_SYNTAX, "%s", reason);
}

static bool at_byte(const struct cursor *cursor, char byte) {
    return cursor->ptr < cursor->end && *cursor->ptr == byte;
}

static void skip_blanks(struct cursor *cursor) {
    while (at_byte(cursor, ' '))
        cursor->ptr++;
}

/* Removes the backslashes before the bytes in `special`. The buffer has room for the whole line, so views into it stay.
 */
static struct sw_str unescape(struct influx_decoder *influx, struct sw_str text, const char *special) {
    if (!memchr(text.ptr, '\\', text.len))
        return text;
    char *out = influx->unescaped.ptr + influx->unescaped.len, *at = out;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\\' && i + 1 < text.len && text.ptr[i + 1] && strchr(special, text.ptr[i + 1]))
            i++;
        *at++ = text.ptr[i];
    }
    struct sw_str plain = {out, (size_t)(at - out)};
    influx->unescaped.len += plain.len;
    return plain;
}

/* Takes a name up to an unescaped comma, blank or - but for measurements - equals sign, which stays. */
static struct sw_str name_take(struct influx_decoder *influx, struct cursor *cursor, bool is_measurement) {
    const char *start = cursor->ptr;
    while (cursor->ptr < cursor->end) {
        char byte = *cursor->ptr;
        if (byte == '\\' && cursor->end - cursor->ptr > 1)
            cursor->ptr++;
        else if (byte == ' ' || byte == ',' || (byte == '=' && !is_measurement))
            break;
        cursor->ptr++;
    }
    return unescape(influx, sw_str_make(start, (size_t)(cursor->ptr - start)), is_measurement ? ", " : ", =");
}

static enum sw_status store(struct influx_decoder *influx, const struct sw_field *field, struct sw_str text,
                            const double *number) {
    if (!field)
        return SW_OK;
    influx->is_time_seen |= field->time_unit != SW_TIME_NONE;
    return number ? sw_decoder_store_number(&influx->base, field, text, *number)
                  : sw_decoder_store(&influx->base, field, text);
}

static enum sw_status tags_take(struct influx_decoder *influx, struct cursor *cursor) {
    while (at_byte(cursor, ',')) {
        cursor->ptr++;
        struct sw_str name = name_take(influx, cursor, false);
        if (name.len == 0 || !at_byte(cursor, '='))
            return bad(influx, "expected tag=value");
        cursor->ptr++;
        struct sw_str value = name_take(influx, cursor, false);
        if (value.len == 0 || at_byte(cursor, '='))
            return bad(influx, "expected a tag value");
        enum sw_status status = store(influx, sw_decoder_field(&influx->base, name), value, NULL);
        if (status != SW_OK)
            return status;
    }
    return SW_OK;
}

static enum sw_status string_take(struct influx_decoder *influx, struct cursor *cursor, const struct sw_field *field) {
    const char *start = ++cursor->ptr;
    while (cursor->ptr < cursor->end && *cursor->ptr != '"')
        cursor->ptr += *cursor->ptr == '\\' && cursor->end - cursor->ptr > 1 ? 2 : 1;
    if (cursor->ptr >= cursor->end)
        return bad(influx, "string is not closed");
    struct sw_str text = sw_str_make(start, (size_t)(cursor->ptr++ - start));
    return field ? store(influx, field, unescape(influx, text, "\"\\"), NULL) : SW_OK;
}

static bool bool_read(struct sw_str text, bool *value) {
    static const char *const words[] = {"t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (sw_str_eq(text, sw_str_from(words[i]))) {
            *value = i < 5;
            return true;
        }
    }
    return false;
}

/* "5i", "5u" and "1.5e3"; *text loses its suffix. */
static bool number_read(struct sw_str *text, double *number) {
    const char *end = text->ptr + text->len;
    if (text->len > 1 && end[-1] == 'i') {
        int64_t value;
        text->len--;
        if (sw_num_parse_i64(text->ptr, end - 1, &value) != end - 1)
            return false;
        *number = (double)value;
        return true;
    }
    if (text->len > 1 && end[-1] == 'u') {
        uint64_t value;
        text->len--;
        if (sw_str_to_u64(*text, &value) != SW_OK)
            return false;
        *number = (double)value;
        return true;
    }
    return sw_num_parse_f64(text->ptr, end, number) == end && isfinite(*number);
}

static enum sw_status value_take(struct influx_decoder *influx, struct cursor *cursor, const struct sw_field *field) {
    if (at_byte(cursor, '"'))
        return string_take(influx, cursor, field);
    const char *start = cursor->ptr;
    while (cursor->ptr < cursor->end && *cursor->ptr != ',' && *cursor->ptr != ' ')
        cursor->ptr++;
    struct sw_str text = sw_str_make(start, (size_t)(cursor->ptr - start));
    double number;
    bool is_true;
    if (bool_read(text, &is_true)) {
        number = is_true;
        text = is_true ? SW_STR("true") : SW_STR("false");
    } else if (!number_read(&text, &number)) {
        return bad(influx, "not a field value");
    }
    return store(influx, field, text, &number);
}

static enum sw_status fields_take(struct influx_decoder *influx, struct cursor *cursor) {
    for (;;) {
        struct sw_str name = name_take(influx, cursor, false);
        if (name.len == 0 || !at_byte(cursor, '='))
            return bad(influx, "expected field=value");
        cursor->ptr++;
        enum sw_status status = value_take(influx, cursor, sw_decoder_field(&influx->base, name));
        if (status != SW_OK)
            return status;
        if (!at_byte(cursor, ','))
            break;
        cursor->ptr++;
    }
    if (cursor->ptr < cursor->end && *cursor->ptr != ' ')
        return bad(influx, "expected a comma or a blank behind a field");
    return SW_OK;
}

static enum sw_status timestamp_take(struct influx_decoder *influx, struct cursor *cursor) {
    struct sw_decoder *base = &influx->base;
    skip_blanks(cursor);
    struct sw_str text = sw_str_trim(sw_str_make(cursor->ptr, (size_t)(cursor->end - cursor->ptr)));
    int64_t value;
    if (text.len && sw_num_parse_i64(text.ptr, text.ptr + text.len, &value) != text.ptr + text.len)
        return bad(influx, "not a timestamp");
    if (text.len && influx->time)
        return store(influx, influx->time, text, NULL);
    if (!base->time_field || influx->is_time_seen)
        return SW_OK;
    if (base->time_field != influx->time)
        return sw_decoder_no_time(base);
    base->batch->time_ns[base->batch->rows] = sw_clock_epoch_ns();
    return SW_OK;
}

static enum sw_status point_take(struct influx_decoder *influx, struct cursor *cursor) {
    struct sw_str name = name_take(influx, cursor, true);
    if (name.len == 0)
        return bad(influx, "expected a measurement");
    enum sw_status status = store(influx, influx->measurement, name, NULL);
    if (status == SW_OK)
        status = tags_take(influx, cursor);
    if (status != SW_OK)
        return status;
    if (!at_byte(cursor, ' '))
        return bad(influx, "line has no fields");
    skip_blanks(cursor);
    status = fields_take(influx, cursor);
    return status == SW_OK ? timestamp_take(influx, cursor) : status;
}

static enum sw_status influx_line(struct sw_decoder *decoder, struct sw_str line) {
    struct influx_decoder *influx = (struct influx_decoder *)decoder;
    struct cursor cursor = {line.ptr, line.ptr + line.len};
    skip_blanks(&cursor);
    if (cursor.ptr == cursor.end || *cursor.ptr == '#')
        return SW_OK;
    sw_buf_clear(&influx->unescaped);
    enum sw_status status = sw_buf_reserve(&influx->unescaped, line.len);
    if (status != SW_OK)
        return status;
    influx->is_time_seen = false;
    sw_decoder_row_begin(decoder);
    status = point_take(influx, &cursor);
    if (status == SW_OK)
        sw_decoder_row_commit(decoder, line);
    else if (status == SW_MALFORMED)
        sw_decoder_row_reject(decoder, line);
    return status == SW_MALFORMED ? SW_OK : status;
}

static void influx_release(struct sw_decoder *decoder) {
    sw_buf_release(&((struct influx_decoder *)decoder)->unescaped);
}

static const struct sw_decoder_ops influx_ops = {.line = influx_line, .release = influx_release};

enum sw_status sw_influx_new(struct sw_decoder **decoder, const struct sw_decoder *base) {
    struct influx_decoder *influx = sw_alloc_zero(sizeof *influx);
    if (!influx)
        return SW_NOMEM;
    influx->base = *base;
    influx->base.ops = &influx_ops;
    influx->measurement = sw_decoder_field(base, SW_STR("measurement"));
    influx->time = sw_decoder_field(base, SW_STR("time"));
    *decoder = &influx->base;
    return SW_OK;
}
