/* ps_print.c - The rows of `sidewinder ps` as a table and as JSON. */
#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "cli/ps.h"

#define COLUMNS 7
#define CELL_BYTES 32
#define GAP 2
#define COMMAND_WIDTH_MIN 16

/* All columns but the command. */
struct cells {
    char text[COLUMNS][CELL_BYTES];
};

static const char *const heads[COLUMNS] = {"PID", "VERSION", "THREADS", "CPU", "RSS", "GIL", "SWITCH/S"};

static void percent_format(double value, char out[CELL_BYTES]) {
    if (isnan(value))
        snprintf(out, CELL_BYTES, "-");
    else
        snprintf(out, CELL_BYTES, value < 99.95 ? "%.1f%%" : "%.0f%%", value);
}

static void size_format(int64_t size_bytes, char out[CELL_BYTES]) {
    double mib = (double)size_bytes / 1048576.0;
    if (mib < 1024)
        snprintf(out, CELL_BYTES, "%.1f MiB", mib);
    else
        snprintf(out, CELL_BYTES, "%.2f GiB", mib / 1024);
}

static void cells_fill(const struct sw_ps_row *row, struct cells *cells) {
    snprintf(cells->text[0], CELL_BYTES, "%d", row->target.pid);
    snprintf(cells->text[1], CELL_BYTES, "%s", row->is_open ? row->runtime.version_text : "-");
    if (row->is_open)
        snprintf(cells->text[2], CELL_BYTES, "%zu", row->threads.thread_count);
    else
        snprintf(cells->text[2], CELL_BYTES, "-");
    percent_format(row->cpu_percent, cells->text[3]);
    size_format(row->usage.rss_bytes, cells->text[4]);
    percent_format(row->gil_percent, cells->text[5]);
    if (isnan(row->switches_per_s))
        snprintf(cells->text[6], CELL_BYTES, "-");
    else
        snprintf(cells->text[6], CELL_BYTES, "%.0f", row->switches_per_s);
}

/* The longest beginning of at most `width` characters; a character of UTF-8 is not torn. */
static struct sw_str text_cut(struct sw_str text, size_t width) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool is_first = ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
        if (is_first && ++count > width)
            return sw_str_make(text.ptr, i);
    }
    return text;
}

static enum sw_status line_append(struct sw_buf *out, const struct cells *cells, const size_t widths[COLUMNS],
                                  struct sw_str command) {
    enum sw_status status = SW_OK;
    for (int i = 0; i < COLUMNS && status == SW_OK; i++)
        status = sw_buf_append_format(out, "%*s%*s", i ? GAP : 0, "", (int)widths[i], cells->text[i]);
    if (status == SW_OK)
        status = sw_buf_append_format(out, "%*s%" SW_STR_FMT "\n", GAP, "", SW_STR_ARG(command));
    return status;
}

static void widths_raise(size_t widths[COLUMNS], const struct cells *cells) {
    for (int i = 0; i < COLUMNS; i++)
        if (strlen(cells->text[i]) > widths[i])
            widths[i] = strlen(cells->text[i]);
}

static enum sw_status buf_print(struct sw_buf *out, enum sw_status status, FILE *to) {
    if (status == SW_OK && fwrite(out->ptr, 1, out->len, to) != out->len)
        status = SW_IO;
    if (status == SW_OK && fflush(to) != 0)
        status = SW_IO;
    sw_buf_release(out);
    return status;
}

static void number_put(struct sw_json *json, const char *key, double value) {
    sw_json_key(json, sw_str_from(key));
    sw_json_f64(json, isnan(value) ? value : round(value * 100) / 100);
}

static void text_put(struct sw_json *json, const char *key, const char *value) {
    sw_json_key(json, sw_str_from(key));
    if (value)
        sw_json_str(json, sw_str_from(value));
    else
        sw_json_null(json);
}

static void count_put(struct sw_json *json, const char *key, bool is_known, size_t value) {
    sw_json_key(json, sw_str_from(key));
    if (is_known)
        sw_json_u64(json, value);
    else
        sw_json_null(json);
}

/* Of its Python threads; null where it could not be told. */
static void tids_put(struct sw_json *json, const struct sw_ps_row *row) {
    sw_json_key(json, SW_STR("thread_ids"));
    if (!row->is_open) {
        sw_json_null(json);
        return;
    }
    sw_json_array_begin(json);
    for (size_t i = 0; i < row->threads.thread_count; i++)
        if (row->threads.threads[i].tid > 0)
            sw_json_i64(json, row->threads.threads[i].tid);
        else
            sw_json_null(json);
    sw_json_array_end(json);
}

static void row_put(struct sw_json *json, const struct sw_ps_row *row) {
    uint64_t looks = 0;
    for (size_t i = 0; i < row->gil_count; i++)
        looks = row->gils[i].looks > looks ? row->gils[i].looks : looks;
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("pid"));
    sw_json_i64(json, row->target.pid);
    text_put(json, "version", row->is_open ? row->runtime.version_text : NULL);
    count_put(json, "interpreters", row->is_open, row->threads.interpreter_count);
    count_put(json, "threads", row->is_open, row->threads.thread_count);
    tids_put(json, row);
    sw_json_key(json, SW_STR("os_threads"));
    sw_json_i64(json, row->usage.threads);
    number_put(json, "cpu_percent", row->cpu_percent);
    sw_json_key(json, SW_STR("rss_bytes"));
    sw_json_i64(json, row->usage.rss_bytes);
    number_put(json, "gil_percent", row->gil_percent);
    number_put(json, "gil_switches_per_s", row->switches_per_s);
    count_put(json, "gil_looks", row->gil_count > 0, looks);
    sw_json_key(json, SW_STR("command"));
    sw_json_str(json, sw_buf_view(&row->command));
    text_put(json, "error", row->reason[0] ? row->reason : NULL);
    sw_json_object_end(json);
}

enum sw_status sw_ps_print_table(const struct sw_ps *ps, size_t width, FILE *to) {
    struct sw_buf out = {0};
    struct cells cells;
    size_t widths[COLUMNS] = {0}, used = 0;
    for (int i = 0; i < COLUMNS; i++)
        snprintf(cells.text[i], CELL_BYTES, "%s", heads[i]);
    struct cells head = cells;
    widths_raise(widths, &head);
    for (size_t i = 0; i < ps->count; i++) {
        cells_fill(ps->rows[i], &cells);
        widths_raise(widths, &cells);
    }
    for (int i = 0; i < COLUMNS; i++)
        used += widths[i] + GAP;
    size_t command_width = width == 0 ? SIZE_MAX : width > used + COMMAND_WIDTH_MIN ? width - used : COMMAND_WIDTH_MIN;
    enum sw_status status = line_append(&out, &head, widths, SW_STR("COMMAND"));
    for (size_t i = 0; i < ps->count && status == SW_OK; i++) {
        cells_fill(ps->rows[i], &cells);
        status = line_append(&out, &cells, widths, text_cut(sw_buf_view(&ps->rows[i]->command), command_width));
    }
    return buf_print(&out, status, to);
}

enum sw_status sw_ps_print_json(const struct sw_ps *ps, FILE *to) {
    struct sw_buf out = {0};
    struct sw_json json;
    sw_json_init(&json, &out);
    sw_json_object_begin(&json);
    sw_json_key(&json, SW_STR("seconds"));
    sw_json_f64(&json, round(ps->seconds * 1e6) / 1e6);
    sw_json_key(&json, SW_STR("processes"));
    sw_json_array_begin(&json);
    for (size_t i = 0; i < ps->count; i++)
        row_put(&json, ps->rows[i]);
    sw_json_array_end(&json);
    sw_json_object_end(&json);
    enum sw_status status = sw_json_status(&json);
    if (status == SW_OK)
        status = sw_buf_append_byte(&out, '\n');
    return buf_print(&out, status, to);
}
