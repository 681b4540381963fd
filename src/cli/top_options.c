/* top_options.c - From words to what is shown; see top_options.h. */
#include "cli/top_options.h"

#include "base/clock.h"
#include "base/num.h"

#define RATE_HZ 100.0
#define RATE_LEAST_HZ 1.0
#define RATE_MOST_HZ 10000.0
#define DELAY_NS (500 * SW_NS_PER_MS)
#define DELAY_LEAST_NS (50 * SW_NS_PER_MS)
#define DELAY_MOST_NS (3600 * SW_NS_PER_S)

enum row {
    HEAD_SHOWN,
    GIL,
    IDLE,
    LINES,
    THREADS,
    SORT,
    FILTER,
    HEAD_HOW,
    RATE,
    DELAY,
    FRAMES,
    COLOR,
    HEAD_OTHER,
    HELP
};

const struct sw_option sw_top_options[] = {
    [HEAD_SHOWN] = {"What is shown at first (keys change it)", NULL, NULL},
    [GIL] = {"gil", NULL, "only what holds the GIL (key g)"},
    [IDLE] = {"idle", NULL, "all threads, also those that do not run (key i)"},
    [LINES] = {"lines", NULL, "a row for each line instead of each function (key l)"},
    [THREADS] = {"threads", NULL, "the threads alone (key h)"},
    [SORT] = {"sort", "COLUMN", "self (the default), total or samples (keys s, t, n)"},
    [FILTER] = {"filter", "TEXT", "only functions whose name or file contains this (key /)"},
    [HEAD_HOW] = {"How", NULL, NULL},
    [RATE] = {"rate", "HZ", "looks a second, 1 to 10000; 100 by default", 'r'},
    [DELAY] = {"delay", "TIME", "from one picture to the next; 500ms by default", 'd'},
    [FRAMES] = {"frames", "N", "print N pictures as plain text and end; needs no terminal", 'n'},
    [COLOR] = {"color", "WHEN", "auto (the default), always or never"},
    [HEAD_OTHER] = {"Other", NULL, NULL},
    [HELP] = {"help", NULL, "show this text", 'h'},
    {0},
};

static enum sw_status pid_take(struct sw_top *top, struct sw_str word, struct sw_error *err) {
    uint64_t pid;
    if (sw_str_to_u64(word, &pid) != SW_OK || pid == 0 || pid > INT32_MAX)
        return sw_fail(err, SW_INVALID, "'%.*s' is no process id; `sidewinder ps` lists them", SW_STR_ARG(word));
    if (top->pid)
        return sw_fail(err, SW_INVALID, "one process at a time: %d or %.*s", (int)top->pid, SW_STR_ARG(word));
    top->pid = (int32_t)pid;
    return SW_OK;
}

static enum sw_status what_take(struct sw_top *top, enum sw_sampler_what what, struct sw_error *err) {
    if (top->what != SW_SAMPLE_CPU && top->what != what)
        return sw_fail(err, SW_INVALID, "--gil and --idle exclude each other");
    top->what = what;
    return SW_OK;
}

/* The place of `value` among the names, which end with NULL. */
static enum sw_status name_take(unsigned row, struct sw_str value, const char *const names[], unsigned *place,
                                struct sw_error *err) {
    for (unsigned i = 0; names[i]; i++)
        if (sw_str_eq(value, sw_str_from(names[i]))) {
            *place = i;
            return SW_OK;
        }
    return sw_fail(err, SW_INVALID, "--%s %.*s: expected %s, %s or %s", sw_top_options[row].name, SW_STR_ARG(value),
                   names[0], names[1], names[2]);
}

static enum sw_status sort_take(struct sw_top *top, struct sw_str value, struct sw_error *err) {
    static const char *const names[] = {"self", "total", "samples", NULL};
    unsigned place = 0;
    enum sw_status status = name_take(SORT, value, names, &place, err);
    top->sort = (enum sw_top_sort)place;
    return status;
}

static enum sw_status color_take(struct sw_top *top, struct sw_str value, struct sw_error *err) {
    static const char *const names[] = {"auto", "always", "never", NULL};
    unsigned place = 0;
    enum sw_status status = name_take(COLOR, value, names, &place, err);
    top->color = (enum sw_color_when)place;
    return status;
}

static enum sw_status rate_take(struct sw_top *top, struct sw_str value, struct sw_error *err) {
    double rate_hz = 0;
    if (sw_num_parse_f64(value.ptr, value.ptr + value.len, &rate_hz) != value.ptr + value.len ||
        !(rate_hz >= RATE_LEAST_HZ) || rate_hz > RATE_MOST_HZ)
        return sw_fail(err, SW_INVALID, "--rate %.*s: expected looks a second, from 1 to 10000", SW_STR_ARG(value));
    top->rate_hz = rate_hz;
    return SW_OK;
}

static enum sw_status delay_take(struct sw_top *top, struct sw_str value, struct sw_error *err) {
    int64_t delay_ns;
    enum sw_status status = sw_option_duration(&sw_top_options[DELAY], value, &delay_ns, err);
    if (status == SW_OK && (delay_ns < DELAY_LEAST_NS || delay_ns > DELAY_MOST_NS))
        return sw_fail(err, SW_INVALID, "--delay %.*s: it is from 50ms to 1h", SW_STR_ARG(value));
    if (status == SW_OK)
        top->delay_ns = delay_ns;
    return status;
}

static enum sw_status row_take(void *context, unsigned row, struct sw_str value, struct sw_error *err) {
    struct sw_top *top = context;
    switch (row) {
    case SW_OPTION_WORD:
        return pid_take(top, value, err);
    case GIL:
        return what_take(top, SW_SAMPLE_GIL, err);
    case IDLE:
        return what_take(top, SW_SAMPLE_WALL, err);
    case LINES:
        top->by_line = true;
        return SW_OK;
    case THREADS:
        top->has_threads = true;
        return SW_OK;
    case SORT:
        return sort_take(top, value, err);
    case FILTER:
        if (value.len >= SW_TOP_FILTER_MAX)
            return sw_fail(err, SW_INVALID, "--filter: at most %d bytes", SW_TOP_FILTER_MAX - 1);
        top->filter = value;
        return SW_OK;
    case RATE:
        return rate_take(top, value, err);
    case DELAY:
        return delay_take(top, value, err);
    case FRAMES:
        if (sw_str_to_u64(value, &top->frames) != SW_OK || top->frames == 0)
            return sw_fail(err, SW_INVALID, "--frames %.*s: expected a number from 1 on", SW_STR_ARG(value));
        return SW_OK;
    case COLOR:
        return color_take(top, value, err);
    default:
        top->wants_help = true;
        return SW_OK;
    }
}

enum sw_status sw_top_parse(struct sw_top *top, char **words, struct sw_error *err) {
    *top = (struct sw_top){.rate_hz = RATE_HZ, .delay_ns = DELAY_NS};
    struct sw_option_syntax syntax = {sw_top_options, "process ids", NULL};
    enum sw_status status = sw_options_parse(&syntax, words, row_take, top, err);
    if (status == SW_OK && !top->wants_help && !top->pid)
        return sw_fail(err, SW_INVALID, "which process? A process id; `sidewinder ps` lists them");
    return status;
}
