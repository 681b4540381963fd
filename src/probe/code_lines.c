/* code_lines.c - The three forms of CPython's line tables, each decoded once into lines by offset.
 *
 * 3.11 on: Objects/locations.md (code_locations.md in later releases); 3.10: PEP 626, Objects/lnotab_notes.txt; before:
 * co_lnotab, the same notes of those releases.
 */
#include <limits.h>

#include "probe/code_impl.h"

#define LINE_MAX_VALUE (int64_t)(INT32_MAX / 2)
#define VARINT_BYTES_MAX 7 /* 6 bits each: 32 bits and a sign */

struct reader {
    const unsigned char *at, *end;
    bool is_bad; /* ran over the end */
};

struct writer {
    struct sw_buf *out;
    size_t first; /* index in `out` of the first line of this table */
    enum sw_status status;
};

static void put_line(struct writer *writer, uint32_t start, int64_t line) {
    struct sw_code_line item = {start, line > 0 && line < LINE_MAX_VALUE ? (int32_t)line : 0};
    if (writer->out->len > writer->first) {
        struct sw_code_line last;
        memcpy(&last, writer->out->ptr + writer->out->len - sizeof(last), sizeof(last));
        if (last.start == start) {
            writer->out->len -= sizeof(last);
            put_line(writer, start, line); /* at most once: starts differ now */
            return;
        }
        if (last.line == item.line) {
            return;
        }
    }
    enum sw_status status = sw_buf_append(writer->out, sw_str_make((const char *)&item, sizeof(item)));
    writer->status = writer->status == SW_OK ? status : writer->status;
}

static unsigned take_byte(struct reader *reader) {
    if (reader->at == reader->end) {
        reader->is_bad = true;
        return 0;
    }
    return *reader->at++;
}

static uint64_t take_varint(struct reader *reader) {
    uint64_t value = 0;
    for (unsigned i = 0; i < VARINT_BYTES_MAX; i++) {
        unsigned byte = take_byte(reader);
        value |= (uint64_t)(byte & 0x3f) << (6 * i);
        if (!(byte & 0x40)) {
            return value;
        }
    }
    reader->is_bad = true;
    return 0;
}

static int64_t take_signed(struct reader *reader) {
    uint64_t value = take_varint(reader);
    return value & 1 ? -(int64_t)(value >> 1) : (int64_t)(value >> 1);
}

/* Moves behind the rest of a location entry of form `form` and adds its delta to *line; false when it has no position. */
static bool take_location(struct reader *reader, unsigned form, int64_t *line) {
    if (form <= 9) {
        take_byte(reader);
    } else if (form <= 12) {
        *line += form - 10;
        take_byte(reader);
        take_byte(reader);
    } else if (form == 13) {
        *line += take_signed(reader);
    } else if (form == 14) {
        *line += take_signed(reader);
        take_varint(reader);
        take_varint(reader);
        take_varint(reader);
    }
    return form != 15;
}

static uint32_t decode_locations(const struct sw_line_table *table, struct writer *writer) {
    struct reader reader = {table->bytes, table->bytes + table->len, false};
    uint32_t start = 0;
    int64_t line = table->first_line;
    while (reader.at < reader.end && start < SW_CODE_OFFSET_MAX) {
        unsigned head = take_byte(&reader);
        bool has_line = take_location(&reader, head >> 3 & 15, &line);
        if (!(head & 0x80) || reader.is_bad) {
            break;
        }
        put_line(writer, start, has_line ? line : 0);
        start += ((head & 7) + 1) * 2;
    }
    return start;
}

static uint32_t decode_pairs(const struct sw_line_table *table, struct writer *writer) {
    uint32_t start = 0;
    int64_t line = table->first_line;
    for (size_t i = 0; i + 1 < table->len && start < SW_CODE_OFFSET_MAX; i += 2) {
        int delta = table->bytes[i + 1] - (table->bytes[i + 1] > 127 ? 256 : 0);
        line += delta == -128 ? 0 : delta;
        if (table->bytes[i] > 0) {
            put_line(writer, start, delta == -128 ? 0 : line);
        }
        start += table->bytes[i];
    }
    return start;
}

static uint32_t decode_lnotab(const struct sw_line_table *table, struct writer *writer) {
    uint32_t start = 0;
    int64_t line = table->first_line;
    put_line(writer, 0, line);
    for (size_t i = 0; i + 1 < table->len && start < SW_CODE_OFFSET_MAX; i += 2) {
        start += table->bytes[i];
        line += (signed char)table->bytes[i + 1];
        put_line(writer, start, line);
    }
    return UINT32_MAX;
}

enum sw_status sw_code_lines_decode(const struct sw_line_table *table, struct sw_buf *out, uint32_t *size_bytes) {
    struct writer writer = {out, out->len, SW_OK};
    uint32_t size = 0;
    if (table->kind == SW_LINES_LOCATIONS) {
        size = decode_locations(table, &writer);
    } else if (table->kind == SW_LINES_PAIRS) {
        size = decode_pairs(table, &writer);
    } else {
        size = decode_lnotab(table, &writer);
    }
    if (writer.status == SW_OK && out->len == writer.first) {
        put_line(&writer, 0, table->first_line);
    }
    if (writer.status == SW_OK) {
        *size_bytes = size;
    }
    return writer.status;
}
