/* decode_csv.c - Comma-separated values after RFC 4180.
 *
 * Two ways lead through a stream. The fast one (csv_fast.h) takes runs of plain rows, a column at a time. Whatever is
 * not plain - the header, rows with quotes, blank lines, rows that will be rejected, the last bytes of a feed - goes
 * through the careful one here, a row at a time; it alone knows the whole format, and both give the same rows.
 *
 * A quote opens a quoted field only where a field starts; elsewhere it is text. Behind a closing quote only a delimiter
 * or the end of the line may follow. Text is not checked to be UTF-8; what is not gets replaced where it is written
 * out.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/csv_fast.h"
#include "engine/decoder_impl.h"

enum scan_state { AT_FIELD_START, IN_PLAIN, IN_QUOTED, AT_QUOTE_IN_QUOTED };

struct csv_decoder {
    struct sw_decoder base;
    char delimiter;
    bool has_header; /* the first line of each stream names the columns */
    bool is_header_next;
    bool is_started;      /* a byte of this stream has been seen */
    enum scan_state scan; /* at the end of base.rest */
    struct sw_csv_fast *fast;
    struct sw_str *cells; /* column_count of the row being read */
    size_t cell_cap;
    size_t column_count;
    struct sw_buf unquoted; /* bytes of cells that had doubled quotes */
};

/* Advances over [ptr, end) to the newline that ends the record, or NULL with the state kept in *scan. */
static const char *record_end(struct csv_decoder *csv, enum scan_state *scan, const char *ptr, const char *end) {
    enum scan_state state = *scan;
    for (; ptr < end; ptr++) {
        char byte = *ptr;
        if (state == IN_QUOTED) {
            if (byte == '"')
                state = AT_QUOTE_IN_QUOTED;
        } else if (byte == '"' && state != IN_PLAIN) {
            state = IN_QUOTED; /* opens a field, or the second of a pair */
        } else if (byte == '\n') {
            return ptr;
        } else {
            state = byte == csv->delimiter ? AT_FIELD_START : IN_PLAIN;
        }
    }
    *scan = state;
    return NULL;
}

/* The same for the common case that no quote stands before the next newline. */
static const char *record_find_end(struct csv_decoder *csv, enum scan_state *scan, const char *ptr, const char *end) {
    const char *newline = memchr(ptr, '\n', (size_t)(end - ptr));
    bool is_plain = *scan == AT_FIELD_START || *scan == IN_PLAIN;
    if (newline && is_plain && !memchr(ptr, '"', (size_t)(newline - ptr)))
        return newline;
    return record_end(csv, scan, ptr, end);
}

static void cell_put(struct csv_decoder *csv, size_t index, struct sw_str cell) {
    if (index < csv->cell_cap)
        csv->cells[index] = cell;
}

/* Reads the quoted field behind the opening quote at `ptr`; returns the byte behind the closing one, or NULL. Room for
 * the whole record is reserved in csv->unquoted. */
static const char *quoted_cell(struct csv_decoder *csv, const char *ptr, const char *end, struct sw_str *cell) {
    const char *start = ++ptr;
    const char *quote = memchr(ptr, '"', (size_t)(end - ptr));
    if (quote && (quote + 1 == end || quote[1] != '"')) {
        *cell = sw_str_make(start, (size_t)(quote - start));
        return quote + 1;
    }
    char *out = csv->unquoted.ptr + csv->unquoted.len;
    char *at = out;
    while (quote) {
        memcpy(at, ptr, (size_t)(quote - ptr));
        at += quote - ptr;
        if (quote + 1 == end || quote[1] != '"')
            break;
        *at++ = '"';
        ptr = quote + 2;
        quote = memchr(ptr, '"', (size_t)(end - ptr));
    }
    if (!quote)
        return NULL;
    *cell = sw_str_make(out, (size_t)(at - out));
    csv->unquoted.len += cell->len;
    return quote + 1;
}

/* Cuts `record` into cells and counts all of them, also those beyond cell_cap. */
static enum sw_status record_split(struct csv_decoder *csv, struct sw_str record, size_t *count) {
    const char *ptr = record.ptr, *end = record.ptr + record.len;
    size_t cells = 0;
    sw_buf_clear(&csv->unquoted);
    if (memchr(ptr, '"', record.len)) {
        enum sw_status status = sw_buf_reserve(&csv->unquoted, record.len);
        if (status != SW_OK)
            return status;
    }
    for (;;) {
        struct sw_str cell = {ptr, 0};
        if (ptr < end && *ptr == '"') {
            ptr = quoted_cell(csv, ptr, end, &cell);
            if (!ptr)
                return sw_decoder_bad(&csv->base, SW_REJECT_SYNTAX, "quoted field is not closed");
            if (ptr < end && *ptr != csv->delimiter)
                return sw_decoder_bad(&csv->base, SW_REJECT_SYNTAX, "text after a closing quote");
        } else {
            const char *stop = memchr(ptr, csv->delimiter, (size_t)(end - ptr));
            ptr = stop ? stop : end;
            cell.len = (size_t)(ptr - cell.ptr);
        }
        cell_put(csv, cells++, cell);
        if (ptr == end)
            break;
        ptr++;
    }
    *count = cells;
    return SW_OK;
}

static enum sw_status record_store(struct csv_decoder *csv, struct sw_str record) {
    size_t count;
    enum sw_status status = record_split(csv, record, &count);
    if (status != SW_OK)
        return status;
    if (count != csv->column_count)
        return sw_decoder_bad(&csv->base, SW_REJECT_FIELDS, "line has %zu fields, expected %zu", count,
                              csv->column_count);
    size_t use_count;
    const struct sw_csv_use *uses = sw_csv_fast_uses(csv->fast, &use_count);
    for (size_t i = 0; i < use_count && status == SW_OK; i++)
        status = sw_decoder_store(&csv->base, uses[i].field, csv->cells[uses[i].column]);
    return status;
}

static enum sw_status record_take(struct csv_decoder *csv, struct sw_str record) {
    sw_decoder_row_begin(&csv->base);
    enum sw_status status = record_store(csv, record);
    if (status == SW_OK)
        sw_decoder_row_commit(&csv->base, record);
    else if (status == SW_MALFORMED)
        sw_decoder_row_reject(&csv->base, record);
    return status == SW_MALFORMED ? SW_OK : status;
}

static enum sw_status missing_column(const struct csv_decoder *csv, const struct sw_field *field, size_t count,
                                     struct sw_error *err) {
    char names[200];
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof names; i++) {
        int wrote =
            snprintf(names + used, sizeof names - used, "%s%" SW_STR_FMT, i ? ", " : "", SW_STR_ARG(csv->cells[i]));
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    return sw_fail(err, SW_INVALID, "csv has no column \"%" SW_STR_FMT "\"; its columns are %s%s",
                   SW_STR_ARG(field->name), names, used < sizeof names ? "" : "...");
}

/* Finds the wanted fields among the names in csv->cells. Of equal names the first counts. */
static enum sw_status columns_bind(struct csv_decoder *csv, size_t count, struct sw_error *err) {
    sw_csv_fast_clear(csv->fast);
    for (size_t f = 0; f < csv->base.field_count; f++) {
        const struct sw_field *field = &csv->base.fields[f];
        size_t column = 0;
        while (column < count && !sw_str_eq(csv->cells[column], field->name))
            column++;
        if (column == count)
            return missing_column(csv, field, count, err);
        sw_csv_fast_use(csv->fast, field, (uint32_t)column);
    }
    csv->column_count = count;
    sw_csv_fast_ready(csv->fast, count);
    return SW_OK;
}

static enum sw_status cells_reserve(struct csv_decoder *csv, size_t count) {
    if (count <= csv->cell_cap)
        return SW_OK;
    struct sw_str *cells = sw_realloc_array(csv->cells, count, sizeof *cells);
    if (!cells)
        return SW_NOMEM;
    csv->cells = cells;
    csv->cell_cap = count;
    return SW_OK;
}

static enum sw_status header_take(struct csv_decoder *csv, struct sw_str record, struct sw_error *err) {
    size_t count;
    enum sw_status status = record_split(csv, record, &count);
    if (status == SW_OK && count > csv->cell_cap) {
        status = cells_reserve(csv, count);
        if (status == SW_OK)
            status = record_split(csv, record, &count);
    }
    if (status == SW_MALFORMED)
        return sw_fail(err, SW_INVALID, "cannot read the csv header: %s", csv->base.reason);
    if (status != SW_OK)
        return status;
    csv->is_header_next = false;
    return columns_bind(csv, count, err);
}

static uint64_t newlines_in(struct sw_str text) {
    uint64_t count = 0;
    while (text.len) {
        size_t at = sw_str_find(text, '\n');
        if (at == text.len)
            break;
        count++;
        text = sw_str_skip(text, at + 1);
    }
    return count;
}

/* One record without its newline. */
static enum sw_status record_any(struct csv_decoder *csv, struct sw_str record, struct sw_error *err) {
    struct sw_decoder *base = &csv->base;
    enum sw_status status = SW_OK;
    base->line_number++;
    if (record.len > SW_LINE_MAX) {
        sw_decoder_reject(base, SW_REJECT_LENGTH, sw_str_make(record.ptr, SW_DECODER_EXCERPT), SW_DECODER_TOO_LONG);
        base->line_number += newlines_in(record);
        return SW_OK;
    }
    struct sw_str text = record;
    if (!csv->is_started) {
        csv->is_started = true;
        text = sw_decoder_skip_bom(text);
    }
    if (text.len && text.ptr[text.len - 1] == '\r')
        text.len--;
    if (text.len)
        status = csv->is_header_next ? header_take(csv, text, err) : record_take(csv, text);
    base->line_number += newlines_in(record);
    return status;
}

static enum sw_status rest_take(struct csv_decoder *csv, struct sw_error *err) {
    enum sw_status status = record_any(csv, sw_buf_view(&csv->base.rest), err);
    sw_buf_clear(&csv->base.rest);
    csv->scan = AT_FIELD_START;
    return status;
}

/* Takes from *bytes what belongs to the record begun earlier: up to its end, or all of it. */
static enum sw_status rest_continue(struct csv_decoder *csv, struct sw_str *bytes, struct sw_error *err) {
    struct sw_buf *rest = &csv->base.rest;
    if (csv->base.is_skipping) {
        size_t at = sw_str_find(*bytes, '\n');
        csv->base.is_skipping = at == bytes->len;
        *bytes = sw_str_skip(*bytes, at + !csv->base.is_skipping);
        return SW_OK;
    }
    /* One byte more than a line may have: if that is no newline, the line is too long. */
    size_t room = SW_LINE_MAX + 1 - rest->len;
    size_t len = bytes->len < room ? bytes->len : room;
    const char *end = record_find_end(csv, &csv->scan, bytes->ptr, bytes->ptr + len);
    if (end)
        len = (size_t)(end - bytes->ptr);
    enum sw_status status = sw_buf_append(rest, sw_str_make(bytes->ptr, len));
    if (status != SW_OK)
        return status;
    bool is_too_long = !end && rest->len > SW_LINE_MAX;
    *bytes = sw_str_skip(*bytes, len + (end != NULL));
    if (!end && !is_too_long)
        return SW_OK;
    csv->base.is_skipping = is_too_long;
    return rest_take(csv, err);
}

/* One record in place; *bytes moves behind it, or stays where its end is not among them. */
static enum sw_status place_one(struct csv_decoder *csv, struct sw_str *bytes, bool *is_whole, struct sw_error *err) {
    enum scan_state scan = AT_FIELD_START;
    size_t limit = SW_LINE_MAX + 1;
    const char *stop = bytes->ptr + (bytes->len < limit ? bytes->len : limit);
    const char *end = record_find_end(csv, &scan, bytes->ptr, stop);
    *is_whole = end != NULL;
    if (!end)
        return SW_OK;
    struct sw_str record = sw_str_make(bytes->ptr, (size_t)(end - bytes->ptr));
    *bytes = sw_str_skip(*bytes, record.len + 1);
    return record_any(csv, record, err);
}

/* The fast way's answer to a row it cannot take. */
static enum sw_status careful(struct sw_decoder *decoder, struct sw_str record) {
    return record_any((struct csv_decoder *)decoder, record, NULL);
}

static enum sw_status csv_feed(struct sw_decoder *decoder, struct sw_str bytes, struct sw_error *err) {
    struct csv_decoder *csv = (struct csv_decoder *)decoder;
    enum sw_status status = SW_OK;
    while (bytes.len && status == SW_OK) {
        bool is_whole = true;
        if (csv->base.rest.len || csv->base.is_skipping) {
            status = rest_continue(csv, &bytes, err);
            continue;
        }
        if (csv->is_started && !csv->is_header_next) {
            status = sw_csv_fast_run(csv->fast, decoder, &bytes, careful);
            if (status != SW_OK || bytes.len == 0)
                return status;
        }
        status = place_one(csv, &bytes, &is_whole, err);
        if (status == SW_OK && !is_whole)
            status = rest_continue(csv, &bytes, err);
    }
    return status;
}

static enum sw_status csv_finish(struct sw_decoder *decoder, struct sw_error *err) {
    struct csv_decoder *csv = (struct csv_decoder *)decoder;
    enum sw_status status = decoder->rest.len ? rest_take(csv, err) : SW_OK;
    csv->is_header_next = csv->has_header;
    csv->is_started = false;
    csv->scan = AT_FIELD_START;
    return status;
}

static void csv_release(struct sw_decoder *decoder) {
    struct csv_decoder *csv = (struct csv_decoder *)decoder;
    sw_csv_fast_free(csv->fast);
    sw_free(csv->cells);
    sw_buf_release(&csv->unquoted);
}

static const struct sw_decoder_ops csv_ops = {.feed = csv_feed, .finish = csv_finish, .release = csv_release};

static enum sw_status columns_set(struct csv_decoder *csv, const struct sw_decoder_options *options,
                                  struct sw_error *err) {
    if (options->column_count == 0)
        return SW_OK;
    enum sw_status status = cells_reserve(csv, options->column_count);
    if (status != SW_OK)
        return status;
    memcpy(csv->cells, options->columns, options->column_count * sizeof *csv->cells);
    return columns_bind(csv, options->column_count, err);
}

void sw_csv_level(struct sw_decoder *decoder, enum sw_cpu_level level) {
    sw_csv_fast_level(((struct csv_decoder *)decoder)->fast, level);
}

enum sw_status sw_csv_new(struct sw_decoder **decoder, const struct sw_decoder *base,
                          const struct sw_decoder_options *options, struct sw_error *err) {
    char delimiter = options->delimiter ? options->delimiter : ',';
    if (delimiter == '"' || delimiter == '\n' || delimiter == '\r')
        return sw_fail(err, SW_INVALID, "a quote or a line end cannot be the csv delimiter");
    struct csv_decoder *csv = sw_alloc_zero(sizeof *csv);
    if (!csv)
        return SW_NOMEM;
    csv->base = *base;
    csv->base.ops = &csv_ops;
    csv->delimiter = delimiter;
    csv->has_header = csv->is_header_next = options->columns == NULL || options->column_count == 0;
    enum sw_status status = sw_csv_fast_new(&csv->fast, delimiter, base->field_count);
    if (status == SW_OK)
        status = columns_set(csv, options, err);
    if (status != SW_OK) {
        csv_release(&csv->base);
        sw_free(csv);
        return status;
    }
    *decoder = &csv->base;
    return SW_OK;
}
