/* cmd_gil.c - `sidewinder gil`: who holds the GIL of a process and who waits for it; or the heartbeat experiment. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/command.h"
#include "cli/gil_attach.h"
#include "cli/gil_experiment.h"
#include "cli/options.h"
#include "probe/gil_timeline.h"

#define DURATION_NS (10 * SW_NS_PER_S)
#define DURATION_MAX_NS (24 * 3600 * SW_NS_PER_S)
#define RATE_LEAST_HZ 10.0

#define DEFAULT_PERIOD_NS (10 * SW_NS_PER_MS)
#define DEFAULT_INTERVAL_NS (500 * SW_NS_PER_US) /* a tenth of CPython's own */
#define INTERVAL_LEAST_NS SW_NS_PER_US

enum option {
    HEAD_BOTH,
    DURATION,
    OUTPUT,
    QUIET,
    HEAD_WATCH,
    RATE,
    HEAD_EXPERIMENT,
    WORKERS,
    WORK,
    HEARTBEAT,
    SWITCH_INTERVAL,
    SLA,
    PYTHON,
    JSON,
    HEAD_OTHER,
    HELP,
    OPTION_COUNT
};

static const struct sw_option options[] = {
    [HEAD_BOTH] = {"Either way", NULL, NULL, 0},
    [DURATION] = {"duration", "TIME",
                  "how long to watch, or how long each phase of the experiment is: 500ms, 10s, 5m, or a number of "
                  "seconds; 10s unless said otherwise",
                  'd'},
    [OUTPUT] = {"output", "FILE", "also write a picture: .png or .svg; of a process also .html or .json", 'o'},
    [QUIET] = {"quiet", NULL, "show no progress", 'q'},
    [HEAD_WATCH] = {"Watching a process (PID)", NULL, NULL, 0},
    [RATE] = {"rate", "HZ", "looks a second, 10 to 100000; 12500 unless said otherwise", 0},
    [HEAD_EXPERIMENT] = {"The experiment (--workers)", NULL, NULL, 0},
    [WORKERS] = {"workers", "N", "start a Python with a heartbeat thread beside N worker threads", 'w'},
    [WORK] = {"work", "KIND",
              "what the workers do: python (bytecode; the default), hash (C that keeps the GIL), sleep (as if waiting "
              "for I/O), release (C that lets the GIL go)",
              0},
    [HEARTBEAT] = {"heartbeat", "TIME", "the heartbeat's period; 10ms unless said otherwise", 0},
    [SWITCH_INTERVAL] = {"switch-interval", "LIST",
                         "the switch intervals to try after the interpreter's own, as in 1ms,100us; 500us unless said "
                         "otherwise",
                         0},
    [SLA] = {"sla", "TIME", "a heartbeat later than this is a breach; 10ms unless said otherwise", 0},
    [PYTHON] = {"python", "NAME",
                "the interpreter: a path, a name in PATH, or a version such as 3.13; several are compared", 0},
    [JSON] = {"json", NULL, "print the report as JSON", 0},
    [HEAD_OTHER] = {"Other", NULL, NULL, 0},
    [HELP] = {"help", NULL, "show this", 'h'},
    [OPTION_COUNT] = {NULL, NULL, NULL, 0},
};

struct gil {
    struct sw_gil_attach_options attach;
    struct sw_gil_experiment_options experiment;
    const char *of_watch;      /* the last option that is for watching only; NULL: none */
    const char *of_experiment; /* likewise */
    char texts[SW_GIL_PYTHONS_MAX + 2][256];
    unsigned text_count;
    bool wants_help;
};

/* A copy that ends with NUL. */
static enum sw_status text_keep(struct gil *gil, const struct sw_option *option, struct sw_str value, const char **text,
                                struct sw_error *err) {
    char *kept = gil->texts[gil->text_count];
    if (value.len >= sizeof gil->texts[0])
        return sw_fail(err, SW_INVALID, "--%s %.*s: it is too long", option->name, SW_STR_ARG(value));
    memcpy(kept, value.ptr, value.len);
    kept[value.len] = '\0';
    gil->text_count++;
    *text = kept;
    return SW_OK;
}

static enum sw_status pid_take(struct gil *gil, struct sw_str word, struct sw_error *err) {
    uint64_t pid;
    if (sw_str_to_u64(word, &pid) != SW_OK || pid == 0 || pid > INT32_MAX)
        return sw_fail(err, SW_INVALID, "'%.*s' is no process id", SW_STR_ARG(word));
    if (gil->attach.pid)
        return sw_fail(err, SW_INVALID, "one process at a time: %d or %.*s", gil->attach.pid, SW_STR_ARG(word));
    gil->attach.pid = (int32_t)pid;
    return SW_OK;
}

/* Of at least `least_ns`. */
static enum sw_status time_take(unsigned index, struct sw_str value, int64_t least_ns, int64_t *time_ns,
                                struct sw_error *err) {
    int64_t taken;
    enum sw_status status = sw_option_duration(&options[index], value, &taken, err);
    if (!status && (taken < least_ns || taken > DURATION_MAX_NS))
        status = sw_fail(err, SW_INVALID, "--%s %.*s: it must be from %lldus to 24h", options[index].name,
                         SW_STR_ARG(value), (long long)(least_ns / SW_NS_PER_US));
    if (!status)
        *time_ns = taken;
    return status;
}

static enum sw_status intervals_take(struct gil *gil, struct sw_str list, struct sw_error *err) {
    struct sw_gil_experiment_options *experiment = &gil->experiment;
    experiment->interval_count = 0;
    while (list.ptr) {
        struct sw_str item = sw_str_trim(sw_str_cut(&list, ','));
        if (experiment->interval_count == SW_GIL_PHASES_MAX - 2)
            return sw_fail(err, SW_INVALID, "--switch-interval: at most %d can be tried", SW_GIL_PHASES_MAX - 2);
        enum sw_status status = time_take(SWITCH_INTERVAL, item, INTERVAL_LEAST_NS,
                                          &experiment->intervals_ns[experiment->interval_count++], err);
        if (status)
            return status;
    }
    return SW_OK;
}

static enum sw_status workers_take(struct gil *gil, struct sw_str value, struct sw_error *err) {
    uint64_t workers;
    if (sw_str_to_u64(value, &workers) != SW_OK || workers == 0 || workers > SW_GIL_WORKERS_MAX)
        return sw_fail(err, SW_INVALID, "--workers %.*s: expected a number from 1 to %d", SW_STR_ARG(value),
                       SW_GIL_WORKERS_MAX);
    gil->experiment.workers = (unsigned)workers;
    return SW_OK;
}

static enum sw_status work_take(struct gil *gil, struct sw_str value, struct sw_error *err) {
    static const char *const kinds[] = {"python", "hash", "sleep", "release"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (sw_str_eq(value, sw_str_from(kinds[i]))) {
            gil->experiment.work = kinds[i];
            return SW_OK;
        }
    return sw_fail(err, SW_INVALID, "--work %.*s: it is python, hash, sleep or release", SW_STR_ARG(value));
}

static enum sw_status python_take(struct gil *gil, struct sw_str value, struct sw_error *err) {
    struct sw_gil_experiment_options *experiment = &gil->experiment;
    if (experiment->python_count == SW_GIL_PYTHONS_MAX)
        return sw_fail(err, SW_INVALID, "--python: at most %d can be compared", SW_GIL_PYTHONS_MAX);
    enum sw_status status =
        text_keep(gil, &options[PYTHON], value, &experiment->pythons[experiment->python_count], err);
    experiment->python_count += !status;
    return status;
}

static enum sw_status rate_take(struct gil *gil, struct sw_str value, struct sw_error *err) {
    double rate_hz;
    const char *end = sw_num_parse_f64(value.ptr, value.ptr + value.len, &rate_hz);
    if (end != value.ptr + value.len || !(rate_hz >= RATE_LEAST_HZ && rate_hz <= SW_GIL_RATE_MAX_HZ))
        return sw_fail(err, SW_INVALID, "--rate %.*s: expected looks a second, %.0f to %.0f", SW_STR_ARG(value),
                       RATE_LEAST_HZ, SW_GIL_RATE_MAX_HZ);
    gil->attach.rate_hz = rate_hz;
    return SW_OK;
}

static enum sw_status experiment_option_take(struct gil *gil, unsigned index, struct sw_str value,
                                             struct sw_error *err) {
    struct sw_gil_experiment_options *experiment = &gil->experiment;
    gil->of_experiment = options[index].name;
    switch (index) {
    case WORKERS:
        return workers_take(gil, value, err);
    case WORK:
        return work_take(gil, value, err);
    case HEARTBEAT:
        return time_take(index, value, 100 * SW_NS_PER_US, &experiment->period_ns, err);
    case SWITCH_INTERVAL:
        return intervals_take(gil, value, err);
    case SLA:
        return time_take(index, value, SW_NS_PER_US, &experiment->sla_ns, err);
    case PYTHON:
        return python_take(gil, value, err);
    default:
        experiment->is_json = true;
        return SW_OK;
    }
}

static enum sw_status option_take(void *context, unsigned index, struct sw_str value, struct sw_error *err) {
    struct gil *gil = context;
    switch (index) {
    case SW_OPTION_WORD:
        return pid_take(gil, value, err);
    case DURATION:
        return time_take(index, value, SW_NS_PER_MS, &gil->attach.duration_ns, err);
    case OUTPUT:
        gil->attach.output = value;
        if (!sw_gil_attach_has_form(value))
            return sw_fail(err, SW_INVALID, "--output %.*s: its ending must be .png, .svg, .html or .json",
                           SW_STR_ARG(value));
        return SW_OK;
    case RATE:
        gil->of_watch = options[index].name;
        return rate_take(gil, value, err);
    case QUIET:
        gil->attach.is_quiet = true;
        return SW_OK;
    case HELP:
        gil->wants_help = true;
        return SW_OK;
    default:
        return experiment_option_take(gil, index, value, err);
    }
}

/* A process or an experiment, not both, and each with its own options. */
static enum sw_status request_check(struct gil *gil, struct sw_error *err) {
    const struct sw_gil_experiment_options *experiment = &gil->experiment;
    struct sw_str output = gil->attach.output;
    if (gil->attach.pid && gil->of_experiment)
        return sw_fail(err, SW_INVALID, "--%s is about the experiment, which starts its own process: leave out %d",
                       gil->of_experiment, gil->attach.pid);
    if (gil->attach.pid)
        return SW_OK;
    if (experiment->workers == 0 && gil->of_experiment)
        return sw_fail(err, SW_INVALID, "--%s is about the experiment: say how many --workers it has",
                       gil->of_experiment);
    if (experiment->workers == 0)
        return sw_fail(err, SW_INVALID,
                       "which process? Give its id: sidewinder gil PID (sidewinder ps lists them); or --workers N for "
                       "the experiment");
    if (gil->of_watch)
        return sw_fail(err, SW_INVALID, "--%s is about watching a process, not about the experiment", gil->of_watch);
    if (output.len > 0 && !sw_str_ends(output, SW_STR(".png")) && !sw_str_ends(output, SW_STR(".svg")))
        return sw_fail(err, SW_INVALID,
                       "--output %.*s: the experiment's picture is .png or .svg (--json prints the "
                       "figures)",
                       SW_STR_ARG(output));
    return experiment->period_ns * 2 <= gil->attach.duration_ns
               ? SW_OK
               : sw_fail(err, SW_INVALID, "--duration: a phase must last for two heartbeats at least");
}

static int experiment_run(struct gil *gil, struct sw_error *err) {
    struct sw_gil_experiment_options *experiment = &gil->experiment;
    experiment->duration_ns = gil->attach.duration_ns;
    experiment->is_quiet = gil->attach.is_quiet;
    if (experiment->python_count == 0)
        experiment->pythons[experiment->python_count++] = "python3";
    if (gil->attach.output.len > 0 && text_keep(gil, &options[OUTPUT], gil->attach.output, &experiment->output, err)) {
        fprintf(stderr, "sidewinder: %s\n", err->text);
        return SW_EXIT_USAGE;
    }
    return sw_gil_experiment_run(experiment);
}

static void help_print(void) {
    printf(
        "usage: sidewinder gil [OPTION ...] PID\n"
        "       sidewinder gil [OPTION ...] --workers N\n\n"
        "Watches the GIL of a running CPython from outside, 10,000 times a second and more: who held it, in which\n"
        "function, who waited and for how long. Nothing in the process is stopped or changed.\n\n"
        "With --workers it starts a Python of its own and measures how late a heartbeat thread wakes: alone, beside\n"
        "N busy threads, and with shorter switch intervals; and it says what the numbers advise.\n");
    sw_options_print(options);
    printf("\nExamples:\n"
           "  sidewinder gil 4242 -d 10s -o timeline.html\n"
           "  sidewinder gil --workers 2 --duration 10 -o heartbeat.png\n");
}

int sw_cmd_gil(char **words) {
    struct gil gil = {
        .attach = {.duration_ns = DURATION_NS},
        .experiment = {.work = "python",
                       .period_ns = DEFAULT_PERIOD_NS,
                       .sla_ns = DEFAULT_PERIOD_NS,
                       .intervals_ns = {DEFAULT_INTERVAL_NS},
                       .interval_count = 1},
    };
    struct sw_option_syntax syntax = {.options = options, .words_are = "process ids"};
    struct sw_error err = {0};
    enum sw_status status = sw_options_parse(&syntax, words, option_take, &gil, &err);
    if (status == SW_OK && gil.wants_help) {
        help_print();
        return SW_EXIT_DONE;
    }
    if (status == SW_OK)
        status = request_check(&gil, &err);
    if (status != SW_OK) {
        fprintf(stderr, "sidewinder: %s\n", err.text);
        return SW_EXIT_USAGE;
    }
    return gil.attach.pid ? sw_gil_attach_run(&gil.attach) : experiment_run(&gil, &err);
}
