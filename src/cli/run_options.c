/* run_options.c - From words to a job; see run_options.h. */
#include "cli/run_options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/num.h"
#include "engine/host_job.h"
#include "engine/source.h"

#define DEFAULT_LISTEN "127.0.0.1:8080"
#define TOKEN_BYTES_MAX 512
#define REPLAY_MOST 1e9

enum row {
    HEAD_INPUT,
    SOURCE,
    FORMAT,
    COLUMNS,
    DELIMITER,
    TIME,
    REPLAY,
    NAME,
    HEAD_ANALYSIS,
    KEY,
    WINDOW,
    AGGREGATE,
    DISORDER,
    LATE,
    IDLE,
    MAX_KEYS,
    WORKERS,
    HEAD_OUTPUT,
    SINK,
    LISTEN,
    KEEP,
    TOKEN_FILE,
    NO_AUTH,
    HOST,
    HEAD_OTHER,
    FOR,
    QUIET,
    VERBOSE,
    HELP,
};

const struct sw_option sw_run_options[] = {
    [HEAD_INPUT] = {"Input", NULL, NULL},
    [SOURCE] =
        {"source", "URI",
         "where rows come from: host:// (this machine, ?hz=1 to 100) and python:// (the Python processes on it, ?pid=PID "
         "for one of them), which together are the default; a path (plain, .gz, .zst), - for stdin, tcp://ADDRESS:PORT or "
         "udp://ADDRESS:PORT (listens there), ingest://NAME (HTTP POST to /ingest/NAME); several may be given"},
    [FORMAT] = {"format", "NAME", "csv, jsonl, influx or statsd; the default follows from the path's ending, else csv"},
    [COLUMNS] = {"columns", "A,B,...", "names of the csv columns; without it the first line names them"},
    [DELIMITER] = {"delimiter", "CHAR", "between csv fields; a comma by default, \\t for a tab"},
    [TIME] =
        {"time", "COLUMN:UNIT",
         "the column that holds the event time, in s, ms, us, ns or rfc3339; without it the time of arrival counts"},
    [REPLAY] = {"replay", "SPEED", "1x, 10x, ... of the event time, or max (the default)"},
    [NAME] = {"name", "NAME", "of the stream; the default follows from the source"},
    [HEAD_ANALYSIS] = {"Analysis", NULL, NULL},
    [KEY] = {"key", "A,B,...", "key columns; without them there is one group"},
    [WINDOW] = {"window", "DURATION", "length of the tumbling windows, 1s by default (ns, us, ms, s, m, h, d)"},
    [AGGREGATE] = {"aggregate", "LIST",
                   "NAME=FUNCTION(COLUMN),...: count first last min max sum mean variance stddev vwap(price,size) "
                   "quantile(x,q) median distinct topk(x,k) rate"},
    [DISORDER] = {"disorder", "DURATION", "by how much rows may come out of order; 0 by default"},
    [LATE] = {"late", "FILE", "where the text of rows goes that came too late; they are always counted"},
    [IDLE] = {"idle", "DURATION",
              "a source silent for this long lets its windows close with the wall clock; 5s by default"},
    [MAX_KEYS] = {"max-keys", "N",
                  "distinct keys a stream may have; rows beyond are counted as rejected; 1000000 by default"},
    [WORKERS] = {"workers", "N", "aggregation threads; by default one for each core but one"},
    [HEAD_OUTPUT] = {"Output", NULL, NULL},
    [SINK] = {"sink", "KIND:PATH", "jsonl:PATH or csv:PATH, - for stdout; several may be given"},
    [LISTEN] = {"listen", "ADDRESS",
                "where the dashboard is served; " DEFAULT_LISTEN
                " unless there is a sink and no ingest:// source; port 0 takes a free one"},
    [KEEP] = {"keep", "N", "closed windows kept for the dashboard and queries; 600 by default"},
    [TOKEN_FILE] = {"token-file", "FILE",
                    "its first line is what visitors must present; else SIDEWINDER_TOKEN; needed beyond loopback"},
    [NO_AUTH] = {"no-auth", NULL, "let anyone in who can reach the address"},
    [HOST] = {"host", "NAME", "a name under which visitors may reach the dashboard, beside the address itself"},
    [HEAD_OTHER] = {"Other", NULL, NULL},
    [FOR] = {"for", "DURATION", "end after this time"},
    [QUIET] = {"quiet", NULL, "say nothing but errors"},
    [VERBOSE] = {"verbose", NULL, "say more"},
    [HELP] = {"help", NULL, "show this text"},
    {0},
};

/* What is known only when all words are read. */
struct draft {
    struct sw_run *run;
    struct sw_str sources[SW_MAX_SOURCES];
    unsigned source_count;
    struct sw_str aggregates, columns, name, replay;
    struct sw_str token_file;
    struct sw_decoder_options decoder;
    bool has_format, has_key, has_time, has_delimiter, has_disorder, has_keep;
    struct sw_stream stream;
};

static enum sw_status duration_parse(const char *option, struct sw_str value, int64_t *duration_ns,
                                     struct sw_error *err) {
    return sw_str_to_duration_ns(value, duration_ns) == SW_OK
               ? SW_OK
               : sw_fail(err, SW_INVALID, "--%s %.*s: expected a duration such as 500ms, 1s or 5m", option,
                         SW_STR_ARG(value));
}

/* 0 would mean "not given". */
static enum sw_status positive_parse(const char *option, struct sw_str value, int64_t *duration_ns,
                                     struct sw_error *err) {
    enum sw_status status = duration_parse(option, value, duration_ns, err);
    return status != SW_OK || *duration_ns > 0 ? status
                                               : sw_fail(err, SW_INVALID, "--%s must be longer than 0", option);
}

static enum sw_status count_parse(const char *option, struct sw_str value, uint64_t most, uint64_t *count,
                                  struct sw_error *err) {
    return sw_str_to_u64(value, count) == SW_OK && *count >= 1 && *count <= most
               ? SW_OK
               : sw_fail(err, SW_INVALID, "--%s %.*s: expected a number from 1 to %llu", option, SW_STR_ARG(value),
                         (unsigned long long)most);
}

static enum sw_status keys_parse(struct sw_stream *stream, struct sw_str value, struct sw_error *err) {
    while (value.ptr) {
        struct sw_str key = sw_str_trim(sw_str_cut(&value, ','));
        if (key.len == 0 || stream->key_count == SW_MAX_KEYS)
            return sw_fail(err, SW_INVALID, "--key: expected one to %d column names with commas between", SW_MAX_KEYS);
        for (unsigned i = 0; i < stream->key_count; i++)
            if (sw_str_eq(key, stream->keys[i]))
                return sw_fail(err, SW_INVALID, "--key names '%.*s' twice", SW_STR_ARG(key));
        if (sw_str_eq(key, SW_STR("window_start_ns")) || sw_str_eq(key, SW_STR("window_end_ns")) ||
            sw_str_eq(key, SW_STR("stream")) || sw_str_eq(key, SW_STR("anomaly")) || sw_str_eq(key, SW_STR("open")))
            return sw_fail(err, SW_INVALID,
                           "--key %.*s: every row has a column of this name already; rename it with --columns",
                           SW_STR_ARG(key));
        stream->keys[stream->key_count++] = key;
    }
    return SW_OK;
}

static enum sw_status time_parse(struct sw_stream *stream, struct sw_str value, struct sw_error *err) {
    static const struct {
        struct sw_str name;
        enum sw_time_unit unit;
    } units[] = {{{"s", 1}, SW_TIME_S},
                 {{"ms", 2}, SW_TIME_MS},
                 {{"us", 2}, SW_TIME_US},
                 {{"ns", 2}, SW_TIME_NS},
                 {{"rfc3339", 7}, SW_TIME_RFC3339}};
    size_t colon = value.len;
    while (colon > 0 && value.ptr[colon - 1] != ':')
        colon--;
    struct sw_str unit = sw_str_skip(value, colon);
    for (size_t i = 0; i < sizeof units / sizeof units[0] && colon > 1; i++) {
        if (sw_str_eq(unit, units[i].name)) {
            stream->time_column = (struct sw_str){value.ptr, colon - 1};
            stream->time_unit = units[i].unit;
            return SW_OK;
        }
    }
    return sw_fail(err, SW_INVALID, "--time %.*s: expected COLUMN:UNIT with s, ms, us, ns or rfc3339 as the unit",
                   SW_STR_ARG(value));
}

static enum sw_status replay_parse(struct sw_str value, double *speed, struct sw_error *err) {
    *speed = 0;
    if (value.len == 0 || sw_str_eq(value, SW_STR("max")))
        return SW_OK;
    const char *end = sw_num_parse_f64(value.ptr, value.ptr + value.len, speed);
    if (end == value.ptr + value.len - 1 && *end == 'x' && *speed > 0 && *speed <= REPLAY_MOST)
        return SW_OK;
    return sw_fail(err, SW_INVALID, "--replay %.*s: expected a speed such as 1x or 10x, or max", SW_STR_ARG(value));
}

static enum sw_status delimiter_parse(struct sw_str value, char *delimiter, struct sw_error *err) {
    *delimiter = sw_str_eq(value, SW_STR("\\t")) ? '\t' : value.len == 1 ? value.ptr[0] : '\0';
    return *delimiter && *delimiter != '"' && *delimiter != '\n' && *delimiter != '\r'
               ? SW_OK
               : sw_fail(err, SW_INVALID, "--delimiter %.*s: expected one character other than a quote or a line end",
                         SW_STR_ARG(value));
}

static enum sw_status input_set(struct draft *draft, enum row row, struct sw_str value, struct sw_error *err) {
    switch (row) {
    case SOURCE:
        if (draft->source_count == SW_MAX_SOURCES)
            return sw_fail(err, SW_LIMIT, "more than %d sources", SW_MAX_SOURCES);
        draft->sources[draft->source_count++] = value;
        return SW_OK;
    case FORMAT:
        draft->has_format = true;
        return sw_format_parse(value, &draft->decoder.format) == SW_OK
                   ? SW_OK
                   : sw_fail(err, SW_INVALID, "--format %.*s: expected csv, jsonl, influx or statsd",
                             SW_STR_ARG(value));
    case COLUMNS:
        draft->columns = value;
        return SW_OK;
    case DELIMITER:
        draft->has_delimiter = true;
        return delimiter_parse(value, &draft->decoder.delimiter, err);
    case TIME:
        draft->has_time = true;
        return time_parse(&draft->stream, value, err);
    case REPLAY:
        draft->replay = value;
        return SW_OK;
    case NAME:
        draft->name = value;
        return SW_OK;
    default:
        break;
    }
    return SW_OK;
}

static enum sw_status analysis_set(struct draft *draft, enum row row, struct sw_str value, struct sw_error *err) {
    struct sw_job *job = &draft->run->job;
    uint64_t count = 0;
    enum sw_status status = SW_OK;
    switch (row) {
    case KEY:
        draft->has_key = true;
        return keys_parse(&draft->stream, value, err);
    case WINDOW:
        return positive_parse("window", value, &draft->stream.window_ns, err);
    case AGGREGATE:
        draft->aggregates = value;
        return SW_OK;
    case DISORDER:
        draft->has_disorder = true;
        return duration_parse("disorder", value, &draft->stream.disorder_ns, err);
    case LATE:
        job->late_path = value;
        return SW_OK;
    case IDLE:
        return positive_parse("idle", value, &job->idle_ns, err);
    case MAX_KEYS:
        status = count_parse("max-keys", value, 100000000, &count, err);
        job->max_keys = (uint32_t)count;
        return status;
    case WORKERS:
        status = count_parse("workers", value, SW_MAX_WORKERS, &count, err);
        job->workers = (unsigned)count;
        return status;
    default:
        break;
    }
    return SW_OK;
}

static enum sw_status output_set(struct draft *draft, enum row row, struct sw_str value, struct sw_error *err) {
    struct sw_run *run = draft->run;
    uint64_t count = 0;
    enum sw_status status = SW_OK;
    switch (row) {
    case SINK:
        if (run->job.sink_count == SW_MAX_SINKS)
            return sw_fail(err, SW_LIMIT, "more than %d sinks", SW_MAX_SINKS);
        run->job.sinks[run->job.sink_count++].uri = value;
        return SW_OK;
    case LISTEN:
        run->listen = value;
        return SW_OK;
    case KEEP:
        draft->has_keep = true;
        status = count_parse("keep", value, 1000000, &count, err);
        run->job.keep_windows = (unsigned)count;
        return status;
    case TOKEN_FILE:
        draft->token_file = value;
        return SW_OK;
    case NO_AUTH:
        run->is_open_to_all = true;
        return SW_OK;
    case HOST:
        if (run->host_count == SW_RUN_HOSTS_MAX)
            return sw_fail(err, SW_LIMIT, "more than %d names of --host", SW_RUN_HOSTS_MAX);
        run->hosts[run->host_count++] = value;
        return SW_OK;
    default:
        break;
    }
    return SW_OK;
}

static enum sw_status option_set(void *context, unsigned index, struct sw_str value, struct sw_error *err) {
    struct draft *draft = context;
    enum row row = (enum row)index;
    if (row < HEAD_ANALYSIS)
        return input_set(draft, row, value, err);
    if (row < HEAD_OUTPUT)
        return analysis_set(draft, row, value, err);
    if (row < HEAD_OTHER)
        return output_set(draft, row, value, err);
    switch (row) {
    case FOR:
        return positive_parse("for", value, &draft->run->duration_ns, err);
    case QUIET:
        draft->run->is_quiet = true;
        break;
    case VERBOSE:
        draft->run->is_verbose = true;
        break;
    case HELP:
        draft->run->wants_help = true;
        break;
    default:
        break;
    }
    return SW_OK;
}

/* "/data/ticks.csv.gz" and "ingest://ticks" give "ticks"; listeners give "stream". */
static struct sw_str name_from(struct sw_str uri) {
    if (sw_str_starts(uri, SW_STR("ingest://")))
        return sw_str_skip(uri, sizeof "ingest://" - 1);
    enum sw_source_kind kind;
    if (sw_str_eq(uri, SW_STR("-")) || sw_source_kind_of(uri, &kind, NULL) != SW_OK || kind != SW_SOURCE_FILE)
        return SW_STR("stream");
    while (sw_str_find(uri, '/') < uri.len)
        uri = sw_str_skip(uri, sw_str_find(uri, '/') + 1);
    struct sw_str stem = {uri.ptr, sw_str_find(uri, '.')};
    return stem.len ? stem : SW_STR("stream");
}

static enum sw_format format_from(struct sw_str uri) {
    static const struct {
        struct sw_str ending;
        enum sw_format format;
    } endings[] = {{{".jsonl", 6}, SW_FORMAT_JSONL}, {{".ndjson", 7}, SW_FORMAT_JSONL}, {{".lp", 3}, SW_FORMAT_INFLUX}};
    if (sw_str_ends(uri, SW_STR(".gz")))
        uri.len -= 3;
    else if (sw_str_ends(uri, SW_STR(".zst")))
        uri.len -= 4;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (sw_str_ends(uri, endings[i].ending))
            return endings[i].format;
    return SW_FORMAT_CSV;
}

static enum sw_status columns_split(struct draft *draft, struct sw_error *err) {
    if (draft->columns.len == 0)
        return SW_OK;
    size_t count = 1;
    for (size_t i = 0; i < draft->columns.len; i++)
        count += draft->columns.ptr[i] == ',';
    struct sw_str *columns = sw_arena_alloc(&draft->run->arena, count * sizeof *columns);
    if (!columns)
        return sw_fail(err, SW_NOMEM, "cannot read --columns: out of memory");
    struct sw_str rest = draft->columns;
    for (size_t i = 0; i < count; i++)
        columns[i] = sw_str_trim(sw_str_cut(&rest, ','));
    draft->decoder.columns = columns;
    draft->decoder.column_count = count;
    return SW_OK;
}

/* A stream needs something to compute: rows, and for statsd what people expect of a timer. */
static struct sw_str aggregates_default(enum sw_format format) {
    return format == SW_FORMAT_STATSD
               ? SW_STR(
                     "count=count(),sum=sum(value),mean=mean(value),p50=quantile(value,0.5),p99=quantile(value,0.99),max=max(value)")
               : SW_STR("rows=count()");
}

/* Options that would have no effect are refused rather than ignored. */
static enum sw_status stream_check(const struct draft *draft, double speed, struct sw_error *err) {
    const struct sw_job *job = &draft->run->job;
    bool has_csv = false;
    for (unsigned i = 0; i < job->source_count; i++) {
        has_csv |= job->sources[i].decoder.format == SW_FORMAT_CSV;
        if (!sw_str_starts(job->sources[i].uri, SW_STR("ingest://")))
            continue;
        if (job->sources[i].uri.len == sizeof "ingest://" - 1)
            return sw_fail(err, SW_INVALID,
                           "--source ingest:// lacks the name: rows for ingest://NAME come by POST to /ingest/NAME");
        for (unsigned k = 0; k < i; k++)
            if (sw_str_eq(job->sources[i].uri, job->sources[k].uri))
                return sw_fail(err, SW_INVALID, "--source %.*s is given twice", SW_STR_ARG(job->sources[i].uri));
    }
    if (!has_csv && (draft->columns.len > 0 || draft->has_delimiter))
        return sw_fail(err, SW_INVALID, "--columns and --delimiter go with csv; %s names its fields itself",
                       sw_format_name(job->sources[0].decoder.format));
    if (speed > 0 && job->streams[0].time_column.len == 0)
        return sw_fail(err, SW_INVALID, "--replay needs the event time: give --time COLUMN:UNIT");
    return SW_OK;
}

static enum sw_status stream_job(struct draft *draft, struct sw_error *err) {
    struct sw_job *job = &draft->run->job;
    struct sw_stream *stream = &job->streams[0];
    double speed = 0;
    enum sw_status status = columns_split(draft, err);
    if (status == SW_OK)
        status = replay_parse(draft->replay, &speed, err);
    if (status != SW_OK)
        return status;
    enum sw_format format = draft->has_format ? draft->decoder.format : format_from(draft->sources[0]);
    *stream = draft->stream;
    stream->name = draft->name.len ? draft->name : name_from(draft->sources[0]);
    stream->title = stream->name;
    if (format == SW_FORMAT_STATSD && !draft->has_key)
        stream->keys[stream->key_count++] = SW_STR("metric");
    if (format == SW_FORMAT_INFLUX && !draft->has_time) {
        stream->time_column = SW_STR("time");
        stream->time_unit = SW_TIME_NS;
    }
    job->stream_count = 1;
    for (unsigned i = 0; i < draft->source_count; i++) {
        struct sw_source_spec *source = &job->sources[job->source_count++];
        *source = (struct sw_source_spec){.uri = draft->sources[i], .decoder = draft->decoder, .replay = speed};
        source->decoder.format = draft->has_format ? format : format_from(draft->sources[i]);
    }
    job->name = stream->name;
    status = stream_check(draft, speed, err);
    if (status != SW_OK)
        return status;
    return sw_aggregates_parse(draft->aggregates.len ? draft->aggregates : aggregates_default(format),
                               &draft->run->arena, stream, err);
}

static bool is_sensor(struct sw_str uri) {
    return sw_str_starts(uri, SW_STR("host://")) || sw_str_starts(uri, SW_STR("python://"));
}

/* This machine and its Python processes bring their streams along; without any source both are watched. */
static enum sw_status sensor_job(struct draft *draft, struct sw_error *err) {
    struct sw_str host = {NULL, 0}, python = {NULL, 0};
    bool is_other = false;
    for (unsigned i = 0; i < draft->source_count; i++) {
        struct sw_str *kind = sw_str_starts(draft->sources[i], SW_STR("host://")) ? &host : &python;
        is_other |= !is_sensor(draft->sources[i]);
        if (is_sensor(draft->sources[i]) && kind->len > 0)
            return sw_fail(err, SW_INVALID, "--source %.*s: host:// and python:// go once each",
                           SW_STR_ARG(draft->sources[i]));
        if (is_sensor(draft->sources[i]))
            *kind = draft->sources[i];
    }
    if (draft->has_key || draft->has_time || draft->aggregates.len || draft->columns.len || draft->has_format ||
        draft->replay.len || draft->has_delimiter || draft->has_disorder || draft->run->job.late_path.len || is_other)
        return sw_fail(
            err, SW_INVALID,
            "%s brings its own streams, so it goes with --window and the output options only; give another --source to "
            "use --key, --time, --columns, --delimiter, --format, --replay, --aggregate, --disorder or --late",
            host.len > 0 || draft->source_count == 0 ? "host://" : "python://");
    if (draft->source_count == 0) {
        host = SW_STR("host://");
        python = SW_STR("python://");
    }
    struct sw_job *job = &draft->run->job;
    job->name = draft->name.len ? draft->name : host.len ? SW_STR("host") : SW_STR("python");
    job->workers = job->workers ? job->workers : 1; /* a few hundred rows a second */
    enum sw_status status = SW_OK;
    if (host.len > 0)
        status = sw_host_job(job, &draft->run->arena, host, draft->stream.window_ns);
    if (status == SW_OK && python.len > 0)
        status = sw_python_job(job, &draft->run->arena, python, draft->stream.window_ns);
    return status == SW_OK ? SW_OK : sw_fail(err, status, "cannot plan the job: %s", sw_status_text(status));
}

static enum sw_status token_read(struct draft *draft, struct sw_error *err) {
    const char *given = getenv("SIDEWINDER_TOKEN");
    struct sw_run *run = draft->run;
    if (draft->token_file.len == 0) {
        run->token = sw_str_from(given);
        return SW_OK;
    }
    char bytes[TOKEN_BYTES_MAX + 1];
    struct sw_str path = sw_arena_copy(&run->arena, draft->token_file);
    int fd = path.ptr ? open(path.ptr, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t count = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    int error_number = errno;
    if (fd >= 0)
        close(fd);
    if (count < 0)
        return sw_fail_errno(err, error_number, "cannot read the token from %.*s", SW_STR_ARG(draft->token_file));
    struct sw_str rest = {bytes, (size_t)count};
    struct sw_str token = sw_str_trim(sw_str_cut(&rest, '\n'));
    if (token.len > 0 && token.ptr[token.len - 1] == '\r')
        token.len--;
    if (token.len == 0 || token.len > TOKEN_BYTES_MAX)
        return sw_fail(err, SW_INVALID, "the first line of %.*s must be the token, 1 to %d bytes",
                       SW_STR_ARG(draft->token_file), TOKEN_BYTES_MAX);
    run->token = sw_arena_copy(&run->arena, token);
    return run->token.ptr ? SW_OK : sw_fail(err, SW_NOMEM, "cannot keep the token: out of memory");
}

/* Rows that come by HTTP need the server, sink or not. */
static bool has_ingest(const struct draft *draft) {
    enum sw_source_kind kind;
    for (unsigned i = 0; i < draft->source_count; i++)
        if (sw_source_kind_of(draft->sources[i], &kind, NULL) == SW_OK && kind == SW_SOURCE_INGEST)
            return true;
    return false;
}

/* What only a dashboard uses is refused without one. */
static enum sw_status listen_check(struct draft *draft, struct sw_error *err) {
    struct sw_run *run = draft->run;
    const char *given = draft->has_keep             ? "keep"
                        : draft->token_file.len > 0 ? "token-file"
                        : run->is_open_to_all       ? "no-auth"
                        : run->host_count > 0       ? "host"
                                                    : NULL;
    if (run->listen.len == 0 && (run->job.sink_count == 0 || has_ingest(draft)))
        run->listen = SW_STR(DEFAULT_LISTEN);
    if (given && run->listen.len == 0)
        return sw_fail(err, SW_INVALID,
                       "--%s is about the dashboard, and with --sink there is one only where --listen is given", given);
    if (run->is_open_to_all && draft->token_file.len > 0)
        return sw_fail(err, SW_INVALID, "--no-auth lets anyone in, --token-file does not: give one of them");
    run->job.has_views = run->listen.len > 0;
    return SW_OK;
}

enum sw_status sw_run_parse(struct sw_run *run, char **words, struct sw_error *err) {
    *run = (struct sw_run){0};
    struct draft draft = {.run = run, .stream = {.window_ns = 1000000000}};
    struct sw_option_syntax syntax = {.options = sw_run_options};
    enum sw_status status = sw_options_parse(&syntax, words, option_set, &draft, err);
    if (status != SW_OK || run->wants_help)
        return status;
    bool has_sensor = draft.source_count == 0;
    for (unsigned i = 0; i < draft.source_count; i++)
        has_sensor |= is_sensor(draft.sources[i]);
    status = has_sensor ? sensor_job(&draft, err) : stream_job(&draft, err);
    if (status == SW_OK)
        status = listen_check(&draft, err);
    return status == SW_OK && run->listen.len > 0 && !run->is_open_to_all ? token_read(&draft, err) : status;
}

void sw_run_release(struct sw_run *run) {
    sw_arena_release(&run->arena);
}
