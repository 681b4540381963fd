/* record_options.c - From words to what is recorded; see record_options.h. */
#include "cli/record_options.h"

#include "base/num.h"

enum row {
    HEAD_WHAT,
    DURATION,
    RATE,
    GIL,
    WAIT,
    IDLE,
    NATIVE,
    SUBPROCESSES,
    HEAD_OUTPUT,
    OUTPUT,
    FORMAT,
    THREADS,
    LINES,
    FUNCTIONS,
    HEAD_OTHER,
    HELP,
};

const struct sw_option sw_record_options[] = {
    [HEAD_WHAT] = {"What is recorded", NULL, NULL},
    [DURATION] = {"duration", "TIME",
                  "for how long, such as 10s; without it, or with 0, until the process ends or Ctrl-C", 'd'},
    [RATE] = {"rate", "HZ", "looks a second, 1000 by default, at most 100000", 'r'},
    [GIL] = {"gil", NULL, "only threads that hold the GIL"},
    [WAIT] = {"wait", NULL, "only threads that wait for the GIL"},
    [IDLE] = {"idle", NULL,
              "all threads, also those that do not run (by default only threads on a CPU or ready for one)"},
    [NATIVE] = {"native", NULL,
                "C functions too; a thread that runs is stopped for some 50 us for each of its samples, alone"},
    [SUBPROCESSES] = {"subprocesses", NULL, "Python processes that are started meanwhile, too"},
    [HEAD_OUTPUT] = {"Output", NULL, NULL},
    [OUTPUT] = {"output", "FILE",
                "where the profile goes, - for stdout; its ending chooses the format; by default "
                "sidewinder-PID-DATE-TIME.svg",
                'o'},
    [FORMAT] = {"format", "NAME", "svg, html, speedscope, pprof, collapsed, chrome or json"},
    [THREADS] = {"threads", NULL, "a heading for each thread"},
    [LINES] = {"lines", NULL, "a frame is a function at a line (the default)"},
    [FUNCTIONS] = {"functions", NULL, "a frame is a function, whatever its line"},
    [HEAD_OTHER] = {"Other", NULL, NULL},
    [HELP] = {"help", NULL, "show this text", 'h'},
    {0},
};

struct draft {
    struct sw_record *record;
    struct sw_str format;
    unsigned what_row; /* of --gil, --wait or --idle; 0: none */
    bool has_lines;
};

static enum sw_status pid_take(struct sw_record *record, struct sw_str value, struct sw_error *err) {
    uint64_t pid;
    if (sw_str_to_u64(value, &pid) != SW_OK || pid == 0 || pid > INT32_MAX)
        return sw_fail(err, SW_INVALID, "'%.*s' is no process id; to record a command write: sidewinder record -- %.*s",
                       SW_STR_ARG(value), SW_STR_ARG(value));
    if (record->pid_count == SW_RECORD_PIDS_MAX)
        return sw_fail(err, SW_INVALID, "more than %d process ids", SW_RECORD_PIDS_MAX);
    record->pids[record->pid_count++] = (int32_t)pid;
    return SW_OK;
}

static enum sw_status rate_take(struct sw_record *record, struct sw_str value, struct sw_error *err) {
    double rate_hz = 0;
    if (sw_num_parse_f64(value.ptr, value.ptr + value.len, &rate_hz) != value.ptr + value.len || !(rate_hz >= 0.01) ||
        rate_hz > SW_SAMPLER_RATE_MAX_HZ)
        return sw_fail(err, SW_INVALID, "--rate %.*s: expected looks a second, from 0.01 to %.0f", SW_STR_ARG(value),
                       SW_SAMPLER_RATE_MAX_HZ);
    record->rate_hz = rate_hz;
    return SW_OK;
}

static enum sw_status what_take(struct draft *draft, unsigned row, struct sw_error *err) {
    static const enum sw_sampler_what of_row[] = {
        [GIL] = SW_SAMPLE_GIL, [WAIT] = SW_SAMPLE_WAIT, [IDLE] = SW_SAMPLE_WALL};
    if (draft->what_row && draft->what_row != row)
        return sw_fail(err, SW_INVALID, "--%s and --%s exclude each other: record one, or one after the other",
                       sw_record_options[draft->what_row].name, sw_record_options[row].name);
    draft->what_row = row;
    draft->record->what = of_row[row];
    return SW_OK;
}

static enum sw_status row_take(void *context, unsigned row, struct sw_str value, struct sw_error *err) {
    struct draft *draft = context;
    struct sw_record *record = draft->record;
    switch (row) {
    case SW_OPTION_WORD:
        return pid_take(record, value, err);
    case DURATION:
        return sw_option_duration(&sw_record_options[DURATION], value, &record->duration_ns, err);
    case RATE:
        return rate_take(record, value, err);
    case GIL:
    case WAIT:
    case IDLE:
        return what_take(draft, row, err);
    case NATIVE:
        record->has_native = true;
        break;
    case SUBPROCESSES:
        record->has_subprocesses = true;
        break;
    case OUTPUT:
        record->path = value;
        break;
    case FORMAT:
        draft->format = value;
        break;
    case THREADS:
        record->has_threads = true;
        break;
    case LINES:
        draft->has_lines = true;
        break;
    case FUNCTIONS:
        record->by_function = true;
        break;
    default:
        record->wants_help = true;
    }
    return SW_OK;
}

/* Text is what a pipe wants, a picture what a person does. */
static enum sw_status format_choose(struct sw_record *record, struct sw_str name, struct sw_error *err) {
    if (name.len)
        return sw_profile_format_by_name(name, &record->format, err);
    if (record->path.len && !sw_str_eq(record->path, SW_STR("-")))
        return sw_profile_format_by_path(record->path, &record->format, err);
    record->format = record->path.len ? SW_PROFILE_COLLAPSED : SW_PROFILE_SVG;
    return SW_OK;
}

enum sw_status sw_record_parse(struct sw_record *record, char **words, struct sw_error *err) {
    *record = (struct sw_record){.rate_hz = SW_SAMPLER_RATE_HZ};
    struct draft draft = {.record = record};
    struct sw_option_syntax syntax = {sw_record_options, "process ids", &record->command};
    enum sw_status status = sw_options_parse(&syntax, words, row_take, &draft, err);
    if (status != SW_OK || record->wants_help)
        return status;
    if (record->pid_count == 0 && !*record->command)
        return sw_fail(err, SW_INVALID,
                       "what is to be recorded? A process id (`sidewinder ps` lists them), or -- and a command");
    if (record->pid_count && *record->command)
        return sw_fail(err, SW_INVALID, "record either processes by their id or one command behind --, not both");
    if (draft.has_lines && record->by_function)
        return sw_fail(err, SW_INVALID, "--lines and --functions exclude each other");
    return format_choose(record, draft.format, err);
}
