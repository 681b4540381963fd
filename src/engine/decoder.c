/* decoder.c - What all formats share: cutting a stream into lines, storing values in their roles, rejecting rows. */
#include "engine/decoder.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/decoder_impl.h"
#include "engine/text_hash.h"

static const char *const format_names[] = {
    [SW_FORMAT_CSV] = "csv",
    [SW_FORMAT_JSONL] = "jsonl",
    [SW_FORMAT_INFLUX] = "influx",
    [SW_FORMAT_STATSD] = "statsd",
};

#define FORMAT_COUNT (sizeof format_names / sizeof *format_names)

const struct sw_field *sw_decoder_field(const struct sw_decoder *decoder, struct sw_str name) {
    uint64_t index;
    return sw_map_get(&decoder->by_name, name, &index) ? &decoder->fields[index] : NULL;
}

void sw_decoder_row_begin(struct sw_decoder *decoder) {
    decoder->batch = sw_intake_batch(decoder->intake);
    decoder->text_mark = decoder->batch->text_bytes.len;
    sw_intake_begin(decoder->intake);
}

void sw_decoder_row_commit(struct sw_decoder *decoder, struct sw_str line) {
    sw_intake_commit(decoder->intake, line);
    decoder->batch = NULL;
}

void sw_decoder_row_reject(struct sw_decoder *decoder, struct sw_str line) {
    /* Or a stream of bad rows would grow the texts of a batch that never fills. */
    decoder->batch->text_bytes.len = decoder->text_mark;
    sw_intake_reject(decoder->intake, decoder->kind, decoder->line_number, decoder->reason, line);
    decoder->batch = NULL;
}

enum sw_status sw_decoder_bad(struct sw_decoder *decoder, enum sw_reject kind, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(decoder->reason, sizeof decoder->reason, format, args);
    va_end(args);
    decoder->kind = kind;
    return SW_MALFORMED;
}

void sw_decoder_reject(struct sw_decoder *decoder, enum sw_reject kind, struct sw_str line, const char *reason) {
    sw_intake_reject(decoder->intake, kind, decoder->line_number, reason, line);
}

bool sw_decoder_number(struct sw_str text, double *number) {
    text = sw_str_trim(text);
    const char *end = text.ptr + text.len;
    double value;
    if (sw_num_parse_f64(text.ptr, end, &value) != end || !isfinite(value))
        return false;
    *number = value;
    return true;
}

enum sw_status sw_decoder_no_time(struct sw_decoder *decoder) {
    const struct sw_str name = decoder->time_field->name;
    return sw_decoder_bad(decoder, SW_REJECT_TIME, "time column %.*s is missing", name.len < 64 ? (int)name.len : 64,
                          name.ptr);
}

static int name_len(const struct sw_field *field) {
    return field->name.len < 64 ? (int)field->name.len : 64;
}

static enum sw_status store_time(struct sw_decoder *decoder, const struct sw_field *field, uint32_t row,
                                 struct sw_str text) {
    text = sw_str_trim(text);
    if (sw_time_parse(field->time_unit, text.ptr, text.ptr + text.len, &decoder->batch->time_ns[row]))
        return SW_OK;
    return sw_decoder_bad(decoder, SW_REJECT_TIME, "time column %.*s %s", name_len(field), field->name.ptr,
                          text.len ? "cannot be read in its unit" : "is empty");
}

enum sw_status sw_decoder_store_text_slot(struct sw_decoder *decoder, const struct sw_field *field, uint32_t row,
                                          struct sw_str text) {
    struct sw_buf *bytes = &decoder->batch->text_bytes;
    struct sw_text_ref *ref = &decoder->batch->text[field->text_slot][row];
    if (text.len == 0) {
        *ref = (struct sw_text_ref){0, UINT32_MAX};
        return SW_OK;
    }
    if (bytes->len > UINT32_MAX - SW_LINE_MAX)
        return sw_decoder_bad(decoder, SW_REJECT_LENGTH, "the texts of one batch exceed 4 GiB");
    *ref = (struct sw_text_ref){(uint32_t)bytes->len, (uint32_t)text.len};
    return sw_buf_append(bytes, text);
}

/* The roles in which a value is text. */
static enum sw_status store_text_roles(struct sw_decoder *decoder, const struct sw_field *field, uint32_t row,
                                       struct sw_str text) {
    if (field->hash_slot != SW_NO_SLOT)
        decoder->batch->hash[field->hash_slot][row] = text.len ? sw_text_hash(text.ptr, text.len) : 0;
    if (field->key_slot != SW_NO_SLOT)
        sw_intake_key(decoder->intake, field->key_slot, text);
    return field->text_slot != SW_NO_SLOT ? sw_decoder_store_text_slot(decoder, field, row, text) : SW_OK;
}

enum sw_status sw_decoder_store(struct sw_decoder *decoder, const struct sw_field *field, struct sw_str text) {
    uint32_t row = decoder->batch->rows;
    if (field->num_slot != SW_NO_SLOT) {
        double number = NAN;
        if (text.len && !sw_decoder_number(text, &number))
            return sw_decoder_bad(decoder, SW_REJECT_NUMBER, "column %.*s is not a number", name_len(field),
                                  field->name.ptr);
        decoder->batch->num[field->num_slot][row] = number;
    }
    if (field->time_unit != SW_TIME_NONE) {
        enum sw_status status = store_time(decoder, field, row, text);
        if (status != SW_OK)
            return status;
    }
    return store_text_roles(decoder, field, row, text);
}

enum sw_status sw_decoder_store_number(struct sw_decoder *decoder, const struct sw_field *field, struct sw_str text,
                                       double number) {
    uint32_t row = decoder->batch->rows;
    if (field->num_slot != SW_NO_SLOT)
        decoder->batch->num[field->num_slot][row] = number;
    if (field->time_unit != SW_TIME_NONE) {
        enum sw_status status = store_time(decoder, field, row, text);
        if (status != SW_OK)
            return status;
    }
    return store_text_roles(decoder, field, row, text);
}

static struct sw_str without_cr(struct sw_str line) {
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

struct sw_str sw_decoder_skip_bom(struct sw_str text) {
    return sw_str_starts(text, SW_STR("\xef\xbb\xbf")) ? sw_str_skip(text, 3) : text;
}

static enum sw_status take_line(struct sw_decoder *decoder, struct sw_str line) {
    decoder->line_number++;
    if (line.len > SW_LINE_MAX) {
        sw_decoder_reject(decoder, SW_REJECT_LENGTH, sw_str_make(line.ptr, SW_DECODER_EXCERPT), SW_DECODER_TOO_LONG);
        return SW_OK;
    }
    if (decoder->line_number == 1)
        line = sw_decoder_skip_bom(line);
    line = without_cr(line);
    return line.len ? decoder->ops->line(decoder, line) : SW_OK;
}

/* Takes the line in `rest`, which is moved to memory with room behind it. */
static enum sw_status take_rest(struct sw_decoder *decoder) {
    enum sw_status status = sw_buf_reserve(&decoder->rest, SW_DECODER_PAD);
    if (status != SW_OK)
        return status;
    memset(decoder->rest.ptr + decoder->rest.len, 0, SW_DECODER_PAD);
    status = take_line(decoder, sw_buf_view(&decoder->rest));
    sw_buf_clear(&decoder->rest);
    return status;
}

/* Keeps the start of a line whose end is still to come, or gives the line up once it is too long. */
static enum sw_status keep_rest(struct sw_decoder *decoder, struct sw_str part) {
    size_t room = SW_LINE_MAX + 1 - decoder->rest.len;
    enum sw_status status = sw_buf_append(&decoder->rest, sw_str_make(part.ptr, part.len < room ? part.len : room));
    if (status == SW_OK && decoder->rest.len > SW_LINE_MAX) {
        status = take_rest(decoder);
        decoder->is_skipping = true;
    }
    return status;
}

/* Ends the line that earlier feeds began; `part` stands before the newline. */
static enum sw_status end_rest(struct sw_decoder *decoder, struct sw_str part) {
    enum sw_status status = decoder->is_skipping ? SW_OK : keep_rest(decoder, part);
    if (status == SW_OK && !decoder->is_skipping)
        status = take_rest(decoder);
    decoder->is_skipping = false;
    return status;
}

static enum sw_status feed_lines(struct sw_decoder *decoder, struct sw_str bytes) {
    const char *end = bytes.ptr + bytes.len;
    enum sw_status status = SW_OK;
    while (bytes.len && status == SW_OK) {
        const char *newline = memchr(bytes.ptr, '\n', bytes.len);
        if (!newline)
            return decoder->is_skipping ? SW_OK : keep_rest(decoder, bytes);
        struct sw_str line = sw_str_make(bytes.ptr, (size_t)(newline - bytes.ptr));
        bytes = sw_str_skip(bytes, line.len + 1);
        if (decoder->is_skipping || decoder->rest.len || end - newline < SW_DECODER_PAD)
            status = end_rest(decoder, line);
        else
            status = take_line(decoder, line);
    }
    return status;
}

static enum sw_status fields_index(struct sw_decoder *decoder) {
    for (size_t i = 0; i < decoder->field_count; i++) {
        const struct sw_field *field = &decoder->fields[i];
        enum sw_status status = sw_map_put(&decoder->by_name, field->name, i);
        if (status != SW_OK)
            return status;
        if (field->time_unit != SW_TIME_NONE)
            decoder->time_field = field;
    }
    return SW_OK;
}

static enum sw_status format_new(struct sw_decoder **decoder, const struct sw_decoder *base,
                                 const struct sw_decoder_options *options, struct sw_error *err) {
    switch (options->format) {
    case SW_FORMAT_CSV:
        return sw_csv_new(decoder, base, options, err);
    case SW_FORMAT_JSONL:
        return sw_jsonl_new(decoder, base);
    case SW_FORMAT_INFLUX:
        return sw_influx_new(decoder, base);
    case SW_FORMAT_STATSD:
        return sw_statsd_new(decoder, base);
    }
    return SW_INVALID;
}

enum sw_status sw_decoder_new(struct sw_decoder **decoder, const struct sw_decoder_options *options,
                              struct sw_intake *intake, struct sw_error *err) {
    struct sw_decoder base = {.intake = intake};
    base.fields = sw_intake_fields(intake, &base.field_count);
    enum sw_status status = fields_index(&base);
    if (status == SW_OK) {
        if (err)
            err->status = SW_OK;
        status = format_new(decoder, &base, options, err);
    }
    if (status == SW_OK)
        return SW_OK;
    sw_map_release(&base.by_name);
    if (err && err->status == status)
        return status; /* the format has said why */
    return sw_fail(err, status, "cannot set up the %s decoder: %s", sw_format_name(options->format),
                   sw_status_text(status));
}

void sw_decoder_free(struct sw_decoder *decoder) {
    if (!decoder)
        return;
    if (decoder->ops->release)
        decoder->ops->release(decoder);
    sw_buf_release(&decoder->rest);
    sw_map_release(&decoder->by_name);
    sw_free(decoder);
}

static enum sw_status fed(const struct sw_decoder *decoder, enum sw_status status, struct sw_error *err) {
    if (status != SW_NOMEM)
        return status;
    return sw_fail(err, status, "cannot decode line %llu: %s", (unsigned long long)decoder->line_number,
                   sw_status_text(status));
}

enum sw_status sw_decoder_feed(struct sw_decoder *decoder, struct sw_str bytes, struct sw_error *err) {
    if (decoder->ops->feed)
        return fed(decoder, decoder->ops->feed(decoder, bytes, err), err);
    return fed(decoder, feed_lines(decoder, bytes), err);
}

enum sw_status sw_decoder_finish(struct sw_decoder *decoder, struct sw_error *err) {
    enum sw_status status = SW_OK;
    if (decoder->ops->finish)
        status = decoder->ops->finish(decoder, err);
    else if (decoder->rest.len)
        status = take_rest(decoder);
    sw_buf_clear(&decoder->rest);
    decoder->is_skipping = false;
    status = fed(decoder, status, err);
    decoder->line_number = 0;
    return status;
}

enum sw_status sw_format_parse(struct sw_str name, enum sw_format *format) {
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        if (sw_str_eq(name, sw_str_from(format_names[i]))) {
            *format = (enum sw_format)i;
            return SW_OK;
        }
    }
    return SW_NOTFOUND;
}

const char *sw_format_name(enum sw_format format) {
    return (size_t)format < FORMAT_COUNT ? format_names[format] : "unknown";
}
