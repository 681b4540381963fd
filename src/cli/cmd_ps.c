/* cmd_ps.c - `sidewinder ps`: every Python process of this machine, with its version, load and GIL load. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/ps.h"

#define DURATION_NS (500 * SW_NS_PER_MS)
#define DURATION_NS_MAX (3600 * SW_NS_PER_S)
#define NOTES_MAX 5 /* processes that may not be read and are told one by one */
#define PIDS_MAX 4096

enum option { FOR, SORT, JSON, HELP };

static const struct sw_option options[] = {
    [FOR] = {"for", "DURATION", "how long CPU and GIL are measured, 500ms by default; 0 shows neither"},
    [SORT] = {"sort", "KEY", "cpu (the default), gil, rss, threads or pid"},
    [JSON] = {"json", NULL, "write JSON instead of a table"},
    [HELP] = {"help", NULL, "show this text", 'h'},
    {NULL},
};

struct request {
    int64_t duration_ns;
    enum sw_ps_sort sort;
    bool wants_json, wants_help;
    int32_t pids[PIDS_MAX];
    size_t pid_count;
};

static enum sw_status sort_parse(struct sw_str value, enum sw_ps_sort *sort, struct sw_error *err) {
    static const char *const names[] = {
        [SW_PS_CPU] = "cpu", [SW_PS_GIL] = "gil", [SW_PS_RSS] = "rss", [SW_PS_THREADS] = "threads", [SW_PS_PID] = "pid",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (sw_str_eq(value, sw_str_from(names[i]))) {
            *sort = (enum sw_ps_sort)i;
            return SW_OK;
        }
    return sw_fail(err, SW_INVALID, "--sort %" SW_STR_FMT ": it is cpu, gil, rss, threads or pid", SW_STR_ARG(value));
}

static enum sw_status pid_parse(struct request *request, struct sw_str value, struct sw_error *err) {
    uint64_t pid;
    if (sw_str_to_u64(value, &pid) != SW_OK || pid == 0 || pid > INT32_MAX)
        return sw_fail(err, SW_INVALID, "'%" SW_STR_FMT "' is no process id", SW_STR_ARG(value));
    if (request->pid_count == PIDS_MAX)
        return sw_fail(err, SW_INVALID, "more than %d process ids", PIDS_MAX);
    request->pids[request->pid_count++] = (int32_t)pid;
    return SW_OK;
}

static enum sw_status option_take(void *context, unsigned index, struct sw_str value, struct sw_error *err) {
    struct request *request = context;
    switch (index) {
    case FOR:
        if (sw_str_to_duration_ns(value, &request->duration_ns) != SW_OK || request->duration_ns > DURATION_NS_MAX)
            return sw_fail(err, SW_INVALID, "--for %" SW_STR_FMT ": it is a duration up to 1h, such as 500ms or 2s",
                           SW_STR_ARG(value));
        return SW_OK;
    case SORT:
        return sort_parse(value, &request->sort, err);
    case JSON:
        request->wants_json = true;
        return SW_OK;
    case HELP:
        request->wants_help = true;
        return SW_OK;
    default:
        return pid_parse(request, value, err);
    }
}

static void help_print(void) {
    printf("usage: sidewinder ps [OPTION ...] [PID ...]\n\n"
           "Shows every Python process: id, version, threads, CPU, memory, how much of the time its GIL is held, how\n"
           "often the GIL changes hands, and the command. With process ids, these only.\n\n");
    sw_options_print(options);
    printf("\nExample:\n"
           "  sidewinder ps --sort gil --for 2s\n");
}

static void notes_print(const struct sw_ps *ps) {
    size_t count = 0;
    for (size_t i = 0; i < ps->count; i++)
        if (ps->rows[i]->reason[0] && ++count <= NOTES_MAX)
            fprintf(stderr, "sidewinder: %s\n", ps->rows[i]->reason);
    if (count > NOTES_MAX)
        fprintf(stderr, "sidewinder: and %zu more could not be read; --json tells why of each\n", count - NOTES_MAX);
    if (ps->count == 0)
        fprintf(stderr, "sidewinder: there is no Python process\n");
}

/* 0: not a terminal. */
static size_t terminal_width(void) {
    struct winsize size;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static enum sw_status request_run(const struct request *request, struct sw_error *err) {
    struct sw_ps ps = {0};
    enum sw_status status = sw_ps_find(&ps, request->pids, request->pid_count, err);
    if (status == SW_OK) {
        if (request->duration_ns > 0)
            sw_ps_measure(&ps, request->duration_ns);
        sw_ps_sort(&ps, request->sort);
        notes_print(&ps);
        status = request->wants_json ? sw_ps_print_json(&ps, stdout) : sw_ps_print_table(&ps, terminal_width(), stdout);
        if (status != SW_OK)
            sw_fail(err, status, "cannot write the table: %s",
                    status == SW_IO ? strerror(errno) : sw_status_text(status));
    }
    if (status == SW_OK && request->pid_count > 0)
        for (size_t i = 0; i < ps.count && status == SW_OK; i++)
            status = ps.rows[i]->reason[0] ? SW_PERM : SW_OK; /* a note has told why */
    sw_ps_release(&ps);
    return status;
}

int sw_cmd_ps(char **words) {
    struct request request = {.duration_ns = DURATION_NS};
    struct sw_error err = {0};
    const struct sw_option_syntax syntax = {.options = options, .words_are = "process ids"};
    enum sw_status status = sw_options_parse(&syntax, words, option_take, &request, &err);
    if (status != SW_OK) {
        fprintf(stderr, "sidewinder: %s\n", err.text);
        return SW_EXIT_USAGE;
    }
    if (request.wants_help) {
        help_print();
        return SW_EXIT_DONE;
    }
    status = request_run(&request, &err);
    if (status != SW_OK && err.text[0])
        fprintf(stderr, "sidewinder: %s\n", err.text);
    return status == SW_OK ? SW_EXIT_DONE : SW_EXIT_FAILED;
}
