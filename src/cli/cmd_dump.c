/* cmd_dump.c - `sidewinder dump`: the stacks of a running Python process, what its threads wait for, and deadlocks. */
#include <stdio.h>

#include "cli/command.h"
#include "cli/dump_print.h"
#include "cli/options.h"

enum option { OPTION_HEADING, OPTION_LOCALS, OPTION_NATIVE, OPTION_JSON, OPTION_HELP };

static const struct sw_option options[] = {
    [OPTION_HEADING] = {"Options", NULL, NULL, 0},
    [OPTION_LOCALS] = {"locals", NULL, "show the local variables of every frame", 0},
    [OPTION_NATIVE] = {"native", NULL, "show C functions too; a thread that runs is stopped for some 50 us, alone", 0},
    [OPTION_JSON] = {"json", NULL, "write JSON", 0},
    [OPTION_HELP] = {"help", NULL, "show this help", 'h'},
    {NULL, NULL, NULL, 0},
};

struct request {
    int32_t pid; /* 0: none given */
    bool has_locals, has_native, is_json, is_help;
};

static enum sw_status take_option(void *context, unsigned index, struct sw_str value, struct sw_error *err) {
    struct request *request = context;
    uint64_t pid;
    switch (index) {
    case OPTION_LOCALS:
        request->has_locals = true;
        return SW_OK;
    case OPTION_NATIVE:
        request->has_native = true;
        return SW_OK;
    case OPTION_JSON:
        request->is_json = true;
        return SW_OK;
    case OPTION_HELP:
        request->is_help = true;
        return SW_OK;
    default:
        break;
    }
    if (request->pid != 0)
        return sw_fail(err, SW_INVALID, "one process at a time: '%.*s' is one too many", SW_STR_ARG(value));
    if (sw_str_to_u64(value, &pid) != SW_OK || pid == 0 || pid > INT32_MAX)
        return sw_fail(err, SW_INVALID, "'%.*s' is no process id", SW_STR_ARG(value));
    request->pid = (int32_t)pid;
    return SW_OK;
}

static int fail(const struct sw_error *err, enum sw_exit code) {
    fprintf(stderr, "sidewinder: error: %s\n", err->text);
    return (int)code;
}

static int help_print(void) {
    printf("usage: sidewinder dump PID [OPTION ...]\n\n"
           "Shows every thread's Python stack, innermost frame first, and what each thread does or waits for;\n"
           "asyncio tasks with what they await; and deadlocks, first of all. The process is not stopped.\n");
    sw_options_print(options);
    return SW_EXIT_DONE;
}

static void tell_deadlocks(const struct sw_dump *dump) {
    if (dump->deadlocks.count + dump->task_deadlocks.count == 0)
        return;
    bool is_certain = dump->task_deadlocks.count > 0;
    for (size_t i = 0; i < dump->deadlocks.count; i++)
        is_certain |= dump_is_certain(dump, i);
    fprintf(stderr, "sidewinder: process %d is %sdeadlocked\n", dump->runtime->target->pid,
            is_certain ? "" : "probably ");
}

static enum sw_status dump_write(struct sw_dump *dump, const struct request *request, struct sw_error *err) {
    struct sw_buf out = {0};
    struct dump_print print = {dump, request->has_locals, &out};
    enum sw_status status = request->is_json ? dump_print_json(&print) : dump_print_text(&print);
    if (status != SW_OK)
        status = sw_fail(err, status, "cannot write the dump: %s", sw_status_text(status));
    else if (fwrite(out.ptr, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
        status = sw_fail_errno(err, ferror(stdout), "cannot write to stdout");
    sw_buf_release(&out);
    return status;
}

static enum sw_status dump_make(const struct request *request, struct sw_error *err) {
    struct sw_target target = {.proc_fd = -1};
    struct sw_runtime runtime = {0};
    struct sw_dump dump = {0};
    enum sw_status status = sw_target_open(&target, request->pid, err);
    if (status != SW_OK)
        return status;
    status = sw_runtime_open(&runtime, &target, err);
    if (status == SW_OK) {
        status = sw_dump_take(&dump, &runtime, err);
        if (status == SW_OK) {
            if (request->has_native)
                status = sw_dump_add_native(&dump, err);
            if (status == SW_OK)
                status = dump_write(&dump, request, err);
            tell_deadlocks(&dump);
            sw_dump_release(&dump);
        }
        sw_runtime_close(&runtime);
    }
    sw_target_close(&target);
    return status;
}

int sw_cmd_dump(char **words) {
    struct sw_error err = {0};
    struct request request = {0};
    struct sw_option_syntax syntax = {options, "process ids", NULL};
    if (sw_options_parse(&syntax, words, take_option, &request, &err) != SW_OK)
        return fail(&err, SW_EXIT_USAGE);
    if (request.is_help)
        return help_print();
    if (request.pid == 0) {
        (void)sw_fail(&err, SW_INVALID, "which process? Usage: sidewinder dump PID; see --help");
        return fail(&err, SW_EXIT_USAGE);
    }
    return dump_make(&request, &err) == SW_OK ? SW_EXIT_DONE : fail(&err, SW_EXIT_FAILED);
}
