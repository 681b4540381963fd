/* cmd_diff.c - `sidewinder diff`: what changed between two recordings, and whether that is chance. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/record_output.h"
#include "report/profile_diff.h"

#define RECORDING_BYTES_MAX ((size_t)1 << 30)
#define READ_BYTES ((size_t)1 << 20)
#define TOP_DEFAULT 30
#define TOP_MAX 1000000

enum option { OUTPUT, FORMAT, LINES, FUNCTIONS, TOP, HELP };

static const struct sw_option options[] = {
    [OUTPUT] = {"output", "FILE", "where the comparison goes; stdout by default. Its ending gives the format", 'o'},
    [FORMAT] = {"format", "NAME", "text (the default), json, svg, html or collapsed"},
    [LINES] = {"lines", NULL, "compare lines of code"},
    [FUNCTIONS] = {"functions", NULL, "compare functions, the default"},
    [TOP] = {"top", "N", "how many of the functions that changed most are listed, 30 by default; 0 lists all"},
    [HELP] = {"help", NULL, "show this text", 'h'},
    {NULL},
};

struct request {
    struct sw_profile_diff_options diff;
    struct sw_str output; /* ptr NULL: stdout */
    const char *paths[2];
    size_t path_count;
    bool has_format, has_top, has_lines, has_functions, wants_help;
};

static const struct {
    const char *name;
    enum sw_profile_diff_format format;
} formats[] = {
    {"text", SW_PROFILE_DIFF_TEXT}, {"json", SW_PROFILE_DIFF_JSON},           {"svg", SW_PROFILE_DIFF_SVG},
    {"html", SW_PROFILE_DIFF_HTML}, {"collapsed", SW_PROFILE_DIFF_COLLAPSED}, {"txt", SW_PROFILE_DIFF_TEXT},
};

static bool format_find(struct sw_str name, enum sw_profile_diff_format *format) {
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (sw_str_eq(name, sw_str_from(formats[i].name))) {
            *format = formats[i].format;
            return true;
        }
    return false;
}

/* What stands behind the last dot, or nothing. */
static struct sw_str ending_of(struct sw_str path) {
    size_t dot = path.len;
    while (dot > 0 && path.ptr[dot - 1] != '.')
        dot--;
    return dot ? sw_str_skip(path, dot) : (struct sw_str){0};
}

static enum sw_status option_take(void *context, unsigned index, struct sw_str value, struct sw_error *err) {
    struct request *request = context;
    uint64_t top;
    switch (index) {
    case SW_OPTION_WORD:
        if (request->path_count == 2)
            return sw_fail(err, SW_INVALID, "two recordings are compared; '%.*s' is a third", SW_STR_ARG(value));
        request->paths[request->path_count++] = value.ptr;
        break;
    case OUTPUT:
        request->output = value;
        break;
    case FORMAT:
        if (!format_find(value, &request->diff.format))
            return sw_fail(err, SW_INVALID,
                           "unknown format '%.*s'; the formats are text, json, svg, html and collapsed",
                           SW_STR_ARG(value));
        request->has_format = true;
        break;
    case LINES:
        request->has_lines = true;
        break;
    case FUNCTIONS:
        request->has_functions = true;
        break;
    case TOP:
        if (sw_str_to_u64(value, &top) != SW_OK || top > TOP_MAX)
            return sw_fail(err, SW_INVALID, "--top %.*s: it wants a number from 0 to %d", SW_STR_ARG(value), TOP_MAX);
        request->diff.top = (size_t)top;
        request->has_top = true;
        break;
    case HELP:
        request->wants_help = true;
        break;
    default:
        break;
    }
    return SW_OK;
}

/* What the options mean together. */
static enum sw_status request_complete(struct request *request, struct sw_error *err) {
    if (request->path_count < 2)
        return sw_fail(err, SW_INVALID, "two recordings are wanted: sidewinder diff BEFORE AFTER");
    if (request->has_lines && request->has_functions)
        return sw_fail(err, SW_INVALID, "--lines and --functions exclude each other");
    request->diff.view.by_function = !request->has_lines;
    bool is_file = request->output.ptr && !sw_str_eq(request->output, SW_STR("-"));
    if (!request->has_format && is_file && !format_find(ending_of(request->output), &request->diff.format))
        return sw_fail(
            err, SW_INVALID,
            "the ending of '%.*s' names no format; end it with .txt, .json, .svg, .html or .collapsed, or give "
            "--format",
            SW_STR_ARG(request->output));
    bool is_table = request->diff.format == SW_PROFILE_DIFF_TEXT || request->diff.format == SW_PROFILE_DIFF_JSON;
    if (request->has_top && !is_table)
        return sw_fail(err, SW_INVALID, "--top is of the text and json formats; pictures show everything");
    if (!request->has_top)
        request->diff.top = request->diff.format == SW_PROFILE_DIFF_TEXT ? TOP_DEFAULT : 0;
    return SW_OK;
}

static enum sw_status bytes_read(int fd, const char *path, struct sw_buf *text, struct sw_error *err) {
    for (;;) {
        if (sw_buf_reserve(text, READ_BYTES) != SW_OK)
            return sw_fail(err, SW_NOMEM, "cannot read %s: out of memory", path);
        ssize_t got = read(fd, text->ptr + text->len, READ_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return sw_fail_errno(err, errno, "cannot read %s", path);
        if (got == 0)
            return SW_OK;
        text->len += (size_t)got;
        if (text->len > RECORDING_BYTES_MAX)
            return sw_fail(err, SW_LIMIT, "cannot read %s: it is larger than 1 GiB", path);
    }
}

static enum sw_status recording_read(const char *path, struct sw_profile *profile, struct sw_error *err) {
    struct sw_buf text = {0};
    struct sw_error why = {0};
    bool is_stdin = sw_str_eq(sw_str_from(path), SW_STR("-"));
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sw_fail_errno(err, errno, "cannot read %s", path);
    enum sw_status status = bytes_read(fd, is_stdin ? "stdin" : path, &text, err);
    if (status == SW_OK) {
        status = sw_profile_read(profile, sw_buf_view(&text), &why);
        if (status == SW_OK && profile->total_count == 0)
            status = sw_fail(&why, SW_MALFORMED, "it holds no samples");
        if (status != SW_OK)
            sw_fail(err, status, "cannot read %s: %s; record it with --format json or collapsed", path, why.text);
    }
    if (!is_stdin)
        close(fd);
    sw_buf_release(&text);
    return status;
}

/* A share of the CPU's time and one of the GIL's are shares of different things. */
static void kinds_check(const struct sw_profile recordings[2]) {
    struct sw_str before = recordings[0].about.what, after = recordings[1].about.what;
    if (before.len && after.len && !sw_str_eq(before, after))
        fprintf(stderr, "sidewinder: warning: the recordings hold different moments: %.*s before, %.*s after\n",
                SW_STR_ARG(before), SW_STR_ARG(after));
}

static enum sw_status compare(const struct request *request, struct sw_error *err) {
    struct sw_profile recordings[2] = {{0}};
    struct sw_record_output output;
    struct sw_buf out = {0};
    struct sw_str path = request->output.ptr ? request->output : SW_STR("-");
    enum sw_status status = sw_record_output_open(&output, path, err);
    for (size_t i = 0; i < 2 && status == SW_OK; i++)
        status = recording_read(request->paths[i], &recordings[i], err);
    if (status == SW_OK) {
        kinds_check(recordings);
        status = sw_profile_diff_write(&recordings[0], &recordings[1], &request->diff, &out);
        if (status != SW_OK)
            sw_fail(err, status, "cannot compare %s with %s: %s", request->paths[0], request->paths[1],
                    sw_status_text(status));
    }
    if (status == SW_OK)
        status = sw_record_output_write(&output, sw_buf_view(&out), err);
    sw_profile_release(&recordings[0]);
    sw_profile_release(&recordings[1]);
    sw_buf_release(&out);
    return status;
}

int sw_cmd_diff(char **words) {
    struct request request = {0};
    struct sw_error err = {0};
    struct sw_option_syntax syntax = {.options = options, .words_are = "recordings"};
    enum sw_status status = sw_options_parse(&syntax, words, option_take, &request, &err);
    if (status == SW_OK && request.wants_help) {
        printf(
            "usage: sidewinder diff [OPTION ...] BEFORE AFTER\n\nCompares two recordings, made with --format json or "
            "collapsed.\n\n");
        sw_options_print(options);
        return SW_EXIT_DONE;
    }
    if (status == SW_OK)
        status = request_complete(&request, &err);
    if (status != SW_OK) {
        fprintf(stderr, "sidewinder: %s; see sidewinder diff --help\n", err.text);
        return SW_EXIT_USAGE;
    }
    status = compare(&request, &err);
    if (status != SW_OK)
        fprintf(stderr, "sidewinder: %s\n", err.text);
    return status == SW_OK ? SW_EXIT_DONE : SW_EXIT_FAILED;
}
