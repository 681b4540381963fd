/* sink.c - Formats rows as jsonl or csv and writes them out; see sink.h. */
#include "engine/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

#define FLUSH_BYTES (256u * 1024u)

/* Copies of a fixed size are a few instructions, those of a variable size a call. */
#define NAME_BYTES 32u
#define KEY_STEP 32u
#define WINDOW_BYTES 128u
#define WRITTEN 4u /* different values of a row remembered; 4 save the merger 6 % over 1, in recorded ticks */

/* The key columns of a group as they are written. */
struct key_text {
    char *ptr; /* owned, a multiple of KEY_STEP long; NULL until needed */
    size_t len;
    uint32_t generation; /* of the group when it was made */
};

/* What is the same in every row of a stream, made once. */
struct columns {
    const struct sw_stream *stream;
    const struct sw_groups *groups;
    struct column_name *names; /* jsonl: ,"name": */
    struct key_text *keys;     /* owned; by group id */
    uint32_t key_room;
    struct sw_str stream_text; /* "stream":"name", where there are several; else empty */
    bool has_odd_names;        /* csv: some aggregate's name needs quotes */
    size_t row_bytes;          /* upper bound of what a row takes beside its keys and texts */
};

struct sw_sink {
    bool is_csv;
    bool has_stream_names;
    int fd;
    struct sw_str path; /* for messages; "stdout" */
    const _Atomic bool *is_stopping;
    struct columns *columns; /* one a stream */
    unsigned stream_count;
    struct sw_arena arena;
    struct sw_buf out;
    struct sw_buf scratch;
    uint64_t rows;
    char window_text[WINDOW_BYTES]; /* the start and end of the current window, as they are written */
    size_t window_len;
};

struct column_name {
    char text[NAME_BYTES]; /* of a short name, which begins with a comma and ends ready for the value */
    struct sw_str whole;
    bool is_text; /* topk */
};

static char *put(char *to, struct sw_str text) {
    memcpy(to, text.ptr, text.len);
    return to + text.len;
}

static char *put_doubled(char *to, struct sw_str text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"')
            *to++ = '"';
        *to++ = text.ptr[i];
    }
    return to;
}

static bool csv_is_plain(struct sw_str text) {
    bool is_plain = true;
    for (size_t i = 0; i < text.len; i++)
        is_plain &= text.ptr[i] != ',' && text.ptr[i] != '"' && text.ptr[i] != '\n' && text.ptr[i] != '\r';
    return is_plain;
}

static enum sw_status csv_append(struct sw_buf *out, struct sw_str text) {
    if (csv_is_plain(text))
        return sw_buf_append(out, text);
    enum sw_status status = sw_buf_append_byte(out, '"');
    for (size_t i = 0; i < text.len && status == SW_OK; i++) {
        if (text.ptr[i] == '"')
            status = sw_buf_append_byte(out, '"');
        if (status == SW_OK)
            status = sw_buf_append_byte(out, text.ptr[i]);
    }
    return status == SW_OK ? sw_buf_append_byte(out, '"') : status;
}

static enum sw_status json_append(struct sw_buf *out, struct sw_str text) {
    struct sw_json json;
    sw_json_init(&json, out);
    sw_json_str(&json, text);
    return sw_json_status(&json);
}

/* The key columns of a group: ,"exchange":"P" or ,P */
static enum sw_status key_make(struct sw_sink *sink, struct columns *columns, uint32_t group) {
    struct sw_str rest = sw_groups_get(columns->groups, group)->key;
    enum sw_status status = sw_buf_reserve(&sink->scratch, 1); /* also where there is no key column */
    sw_buf_clear(&sink->scratch);
    for (unsigned i = 0; i < columns->stream->key_count && status == SW_OK; i++) {
        struct sw_str part = i + 1 < columns->stream->key_count ? sw_str_cut(&rest, SW_KEY_SEPARATOR) : rest;
        status = sw_buf_append_byte(&sink->scratch, ',');
        if (status == SW_OK && !sink->is_csv)
            status = json_append(&sink->scratch, columns->stream->keys[i]);
        if (status == SW_OK && !sink->is_csv)
            status = sw_buf_append_byte(&sink->scratch, ':');
        if (status == SW_OK)
            status = sink->is_csv ? csv_append(&sink->scratch, part) : json_append(&sink->scratch, part);
    }
    if (status != SW_OK)
        return status;
    struct key_text *text = &columns->keys[group];
    sw_free(text->ptr);
    text->ptr = sw_alloc_zero((sink->scratch.len + KEY_STEP - 1) / KEY_STEP * KEY_STEP);
    if (!text->ptr)
        return SW_NOMEM;
    text->len = sink->scratch.len;
    text->generation = sw_groups_get(columns->groups, group)->generation;
    memcpy(text->ptr, sink->scratch.ptr, text->len);
    return SW_OK;
}

static enum sw_status key_get(struct sw_sink *sink, struct columns *columns, uint32_t group, struct sw_str *key) {
    if (group >= columns->key_room) {
        uint32_t room = columns->key_room ? columns->key_room : 64;
        while (room <= group)
            room *= 2;
        struct key_text *keys = sw_realloc_array(columns->keys, room, sizeof *keys);
        if (!keys)
            return SW_NOMEM;
        memset(keys + columns->key_room, 0, (room - columns->key_room) * sizeof *keys);
        columns->keys = keys;
        columns->key_room = room;
    }
    struct key_text *text = &columns->keys[group];
    if (!text->ptr || text->generation != sw_groups_get(columns->groups, group)->generation) {
        enum sw_status status = key_make(sink, columns, group);
        if (status != SW_OK)
            return status;
    }
    *key = (struct sw_str){text->ptr, text->len};
    return SW_OK;
}

static enum sw_status stream_text_make(struct sw_sink *sink, struct columns *columns) {
    columns->stream_text = SW_STR("");
    if (!sink->has_stream_names)
        return SW_OK;
    sw_buf_clear(&sink->scratch);
    enum sw_status status = sw_buf_append(&sink->scratch, SW_STR("\"stream\":"));
    if (status == SW_OK)
        status = json_append(&sink->scratch, columns->stream->name);
    if (status == SW_OK)
        status = sw_buf_append_byte(&sink->scratch, ',');
    columns->stream_text = sw_arena_copy(&sink->arena, sw_buf_view(&sink->scratch));
    return status == SW_OK && columns->stream_text.ptr ? SW_OK : SW_NOMEM;
}

static enum sw_status columns_init(struct sw_sink *sink, struct columns *columns) {
    const struct sw_stream *stream = columns->stream;
    columns->names = sw_arena_alloc(&sink->arena, (stream->aggregate_count + 1) * sizeof *columns->names);
    if (!columns->names || stream_text_make(sink, columns) != SW_OK)
        return SW_NOMEM;
    columns->row_bytes = WINDOW_BYTES + KEY_STEP + 16 + columns->stream_text.len;
    for (unsigned i = 0; i < stream->aggregate_count; i++) {
        sw_buf_clear(&sink->scratch);
        enum sw_status status = sw_buf_append_byte(&sink->scratch, ',');
        if (status == SW_OK && !sink->is_csv)
            status = json_append(&sink->scratch, stream->aggregates[i].name);
        if (status == SW_OK && !sink->is_csv)
            status = sw_buf_append_byte(&sink->scratch, ':');
        struct column_name *name = &columns->names[i];
        name->whole = sw_arena_copy(&sink->arena, sw_buf_view(&sink->scratch));
        name->is_text = sw_aggregate_is_text(stream->aggregates[i].fn);
        if (status != SW_OK || !name->whole.ptr)
            return SW_NOMEM;
        if (name->whole.len <= NAME_BYTES)
            memcpy(name->text, name->whole.ptr, name->whole.len);
        columns->has_odd_names |= !csv_is_plain(stream->aggregates[i].name);
        /* The name once more, perhaps with its quotes doubled, where the value is an anomaly. */
        columns->row_bytes += 3 * name->whole.len + NAME_BYTES + SW_NUM_F64_MAX + 4;
        columns->row_bytes += sink->is_csv ? 2 * stream->aggregates[i].name.len : 0; /* not in `whole` there */
    }
    return SW_OK;
}

static enum sw_status csv_header(struct sw_sink *sink) {
    const struct sw_stream *stream = sink->columns[0].stream;
    enum sw_status status = sw_buf_append(&sink->out, SW_STR("window_start_ns,window_end_ns"));
    for (unsigned i = 0; i < stream->key_count + stream->aggregate_count && status == SW_OK; i++) {
        status = sw_buf_append_byte(&sink->out, ',');
        if (status == SW_OK)
            status = csv_append(&sink->out, i < stream->key_count ? stream->keys[i]
                                                                  : stream->aggregates[i - stream->key_count].name);
    }
    return status == SW_OK ? sw_buf_append(&sink->out, SW_STR(",anomaly\n")) : status;
}

static void window_write(struct sw_sink *sink, const struct sw_window *window) {
    char *to = sink->window_text;
    if (!sink->is_csv)
        to = put(to, SW_STR("\"window_start_ns\":"));
    to += sw_num_format_i64(window->start_ns, to);
    to = put(to, sink->is_csv ? SW_STR(",") : SW_STR(",\"window_end_ns\":"));
    to += sw_num_format_i64(window->end_ns, to);
    sink->window_len = (size_t)(to - sink->window_text);
}

/* The names of the row's anomalies: ,"anomaly":["a","b"] where there are any, or a;b in the last column. */
static char *anomalies_write(const struct sw_sink *sink, const struct columns *columns, uint64_t marks, char *to) {
    unsigned count = 0;
    for (; marks != 0; marks &= marks - 1) {
        unsigned i = (unsigned)__builtin_ctzll(marks);
        if (sink->is_csv) {
            if (count == 0 && columns->has_odd_names)
                *to++ = '"';
            if (count++ > 0)
                *to++ = ';';
            to = put_doubled(to, columns->stream->aggregates[i].name);
            continue;
        }
        to = put(to, count++ > 0 ? SW_STR(",") : SW_STR(",\"anomaly\":["));
        to = put(to, (struct sw_str){columns->names[i].whole.ptr + 1, columns->names[i].whole.len - 2});
    }
    if (count > 0 && !sink->is_csv)
        *to++ = ']';
    else if (count > 0 && columns->has_odd_names)
        *to++ = '"';
    return to;
}

static char *window_put(const struct sw_sink *sink, char *to) {
    memcpy(to, sink->window_text, WINDOW_BYTES);
    return to + sink->window_len;
}

static char *key_put(struct sw_str key, char *to) {
    for (size_t done = 0; done < key.len; done += KEY_STEP)
        memcpy(to + done, key.ptr + done, KEY_STEP);
    return to + key.len;
}

static char *name_write(const struct column_name *name, char *to) {
    if (name->whole.len > NAME_BYTES)
        return put(to, name->whole);
    memcpy(to, name->text, NAME_BYTES);
    return to + name->whole.len;
}

/* The last different values of a row that were written. Many are equal: a window of one trade opens, closes and has its
 * mean at the same price. The first eight bytes are kept apart, because loading what was just stored in smaller or
 * shifted pieces stalls. */
struct written {
    uint64_t bits[WRITTEN]; /* of the value: -0 is not 0 and NaN is itself */
    uint64_t head[WRITTEN];
    const char *text[WRITTEN];
    size_t len[WRITTEN];
    unsigned next; /* to be replaced */
};

static void written_forget(struct written *written) {
    *written = (struct written){0}; /* all are the value 0 */
    for (unsigned i = 0; i < WRITTEN; i++) {
        memcpy(&written->head[i], "0", 1);
        written->len[i] = 1;
    }
}

static char *value_again(const struct written *written, unsigned which, char *to) {
    size_t head_bytes = sizeof written->head[0];
    memcpy(to, &written->head[which], head_bytes);
    if (written->len[which] > head_bytes)
        memmove(to + head_bytes, written->text[which] + head_bytes, SW_NUM_F64_MAX - head_bytes);
    return to + written->len[which];
}

static char *value_write(const struct sw_sink *sink, double value, char *to, struct written *written) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (unsigned i = 0; i < WRITTEN; i++)
        if (bits == written->bits[i])
            return value_again(written, i, to);
    unsigned which = written->next;
    written->next = (which + 1) % WRITTEN;
    written->bits[which] = bits;
    written->text[which] = to;
    written->len[which] = sink->is_csv && !isfinite(value) ? 0 : sw_num_format_f64(value, to);
    memcpy(&written->head[which], to, sizeof written->head[0]);
    return to + written->len[which];
}

/* A topk is JSON text, which csv quotes. */
static enum sw_status row_write(struct sw_sink *sink, struct columns *columns, const struct sw_results *results,
                                uint32_t row) {
    const struct sw_stream *stream = columns->stream;
    struct sw_str key = {0};
    enum sw_status status = key_get(sink, columns, results->groups[row], &key);
    size_t text_bytes = 0;
    for (uint32_t i = 0; i < results->text_count; i++)
        text_bytes += 2 * (size_t)results->texts[(size_t)row * results->text_count + i].len + 2;
    if (status == SW_OK)
        status = sw_buf_reserve(&sink->out, columns->row_bytes + key.len + text_bytes);
    if (status != SW_OK)
        return status;
    char *to = sink->out.ptr + sink->out.len;
    if (!sink->is_csv)
        *to++ = '{';
    if (columns->stream_text.len > 0)
        to = put(to, columns->stream_text);
    to = key_put(key, window_put(sink, to));
    const double *values = results->values + (size_t)row * results->value_count;
    const struct sw_text_ref *text = results->texts + (size_t)row * results->text_count;
    struct written written;
    written_forget(&written);
    for (unsigned i = 0; i < stream->aggregate_count; i++) {
        to = name_write(&columns->names[i], to);
        if (!columns->names[i].is_text) {
            to = value_write(sink, values[i], to, &written);
            continue;
        }
        struct sw_str json = {results->text_bytes.ptr + text->offset, text->len};
        text++;
        if (!sink->is_csv) {
            to = put(to, json);
            continue;
        }
        sink->out.len = (size_t)(to - sink->out.ptr);
        status = csv_append(&sink->out, json);
        if (status != SW_OK)
            return status;
        to = sink->out.ptr + sink->out.len;
        written_forget(&written); /* the buffer may have moved */
    }
    if (sink->is_csv)
        *to++ = ',';
    to = anomalies_write(sink, columns, results->marks[row], to);
    if (!sink->is_csv)
        *to++ = '}';
    *to++ = '\n';
    sink->out.len = (size_t)(to - sink->out.ptr);
    sink->rows++;
    return SW_OK;
}

/* A full disk is waited out, with the rows kept: the engine stands still behind it, and goes on when there is room. */
static bool wait_out(const struct sw_sink *sink, int error_number, bool *was_told) {
    if (error_number == EAGAIN) { /* a stdout that somebody made non-blocking */
        struct pollfd room = {.fd = sink->fd, .events = POLLOUT};
        poll(&room, 1, -1);
        return true;
    }
    if (error_number == EINTR)
        return true;
    if ((error_number != ENOSPC && error_number != EDQUOT) || atomic_load(sink->is_stopping))
        return false;
    if (!*was_told)
        sw_log(SW_LOG_ERROR, "cannot write %.*s: %s; waiting for room, nothing is lost meanwhile",
               SW_STR_ARG(sink->path), strerror(error_number));
    *was_told = true;
    sw_clock_sleep_ns(SW_NS_PER_S / 2);
    return true;
}

enum sw_status sw_sink_flush(struct sw_sink *sink, struct sw_error *err) {
    size_t done = 0;
    bool was_told = false;
    while (done < sink->out.len) {
        ssize_t written = write(sink->fd, sink->out.ptr + done, sink->out.len - done);
        if (written >= 0) {
            done += (size_t)written;
            continue;
        }
        int error_number = errno;
        if (wait_out(sink, error_number, &was_told))
            continue;
        sw_buf_consume(&sink->out, done);
        if (error_number == EPIPE)
            return sw_fail(err, SW_CLOSED, "the reader of %.*s went away", SW_STR_ARG(sink->path));
        return sw_fail_errno(err, error_number, "cannot write %.*s (%zu bytes of rows are lost)",
                             SW_STR_ARG(sink->path), sink->out.len);
    }
    sw_buf_clear(&sink->out);
    return SW_OK;
}

enum sw_status sw_sink_window(struct sw_sink *sink, const struct sw_results *results, const struct sw_window *window,
                              struct sw_error *err) {
    struct columns *columns = &sink->columns[results->stream];
    window_write(sink, window);
    for (uint32_t row = window->first_row; row < window->first_row + window->row_count; row++) {
        if (row_write(sink, columns, results, row) != SW_OK)
            return sw_fail(err, SW_NOMEM, "cannot format rows for %.*s: out of memory", SW_STR_ARG(sink->path));
        if (sink->out.len >= FLUSH_BYTES) {
            enum sw_status status = sw_sink_flush(sink, err);
            if (status != SW_OK)
                return status;
        }
    }
    return SW_OK;
}

uint64_t sw_sink_rows(const struct sw_sink *sink) {
    return sink->rows;
}

static enum sw_status sink_target(struct sw_sink *sink, struct sw_str uri, struct sw_error *err) {
    struct sw_str path = uri;
    struct sw_str kind = sw_str_cut(&path, ':');
    sink->is_csv = sw_str_eq(kind, SW_STR("csv"));
    if ((!sink->is_csv && !sw_str_eq(kind, SW_STR("jsonl"))) || path.len == 0)
        return sw_fail(err, SW_INVALID,
                       "cannot read sink '%.*s': expected jsonl:PATH, csv:PATH, or - for stdout as the path",
                       SW_STR_ARG(uri));
    sink->path = sw_arena_copy(&sink->arena, path);
    if (!sink->path.ptr)
        return sw_fail(err, SW_NOMEM, "cannot open sink: out of memory");
    if (sw_str_eq(path, SW_STR("-"))) {
        sink->fd = STDOUT_FILENO;
        sink->path = SW_STR("stdout");
        return SW_OK;
    }
    sink->fd = open(sink->path.ptr, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return sink->fd < 0 ? sw_fail_errno(err, errno, "cannot open sink %s", sink->path.ptr) : SW_OK;
}

enum sw_status sw_sink_open(struct sw_sink **out, struct sw_str uri, const struct sw_sink_options *options,
                            struct sw_error *err) {
    const struct sw_job *job = options->job;
    struct sw_sink *sink = sw_alloc_zero(sizeof *sink);
    if (!sink)
        return sw_fail(err, SW_NOMEM, "cannot open sink: out of memory");
    sink->fd = -1;
    sink->is_stopping = options->is_stopping;
    sink->has_stream_names = job->stream_count > 1;
    enum sw_status status = SW_OK;
    if (sw_str_starts(uri, SW_STR("csv:")) && job->stream_count > 1)
        status =
            sw_fail(err, SW_INVALID, "a csv sink holds one stream, this job has %u; use jsonl:", job->stream_count);
    if (status == SW_OK)
        status = sink_target(sink, uri, err);
    if (status == SW_OK) {
        sink->columns = sw_alloc_array_zero(job->stream_count, sizeof *sink->columns);
        sink->stream_count = sink->columns ? job->stream_count : 0;
        bool is_ready = sink->columns != NULL;
        for (unsigned i = 0; i < sink->stream_count && is_ready; i++) {
            sink->columns[i].stream = &job->streams[i];
            sink->columns[i].groups = &options->groups[i];
            is_ready = columns_init(sink, &sink->columns[i]) == SW_OK;
        }
        if (!is_ready || (sink->is_csv && csv_header(sink) != SW_OK))
            status = sw_fail(err, SW_NOMEM, "cannot open sink: out of memory");
    }
    if (status == SW_OK)
        *out = sink;
    else
        sw_sink_close(sink);
    return status;
}

void sw_sink_close(struct sw_sink *sink) {
    if (!sink)
        return;
    if (sink->fd > STDOUT_FILENO)
        close(sink->fd);
    for (unsigned i = 0; i < sink->stream_count; i++) {
        for (uint32_t k = 0; k < sink->columns[i].key_room; k++)
            sw_free(sink->columns[i].keys[k].ptr);
        sw_free(sink->columns[i].keys);
    }
    sw_free(sink->columns);
    sw_arena_release(&sink->arena);
    sw_buf_release(&sink->out);
    sw_buf_release(&sink->scratch);
    sw_free(sink);
}
