/* cmd_record.c - `sidewinder record`: samples Python processes and writes a profile. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/command.h"
#include "cli/limits.h"
#include "cli/record_command.h"
#include "cli/record_options.h"
#include "cli/record_output.h"

#define POLL_NS (50 * SW_NS_PER_MS) /* at least so often signals, time and the terminal are looked at */
#define PROGRESS_NS (500 * SW_NS_PER_MS)
#define PATIENCE_NS (10 * SW_NS_PER_S)    /* after which it is said that no interpreter has come */
#define INTERPRETER_NS (60 * SW_NS_PER_S) /* by how much a command may come later with one than the duration */
#define END_WAIT_NS (5 * SW_NS_PER_S)     /* for a command that was told to end */

struct session {
    const struct sw_record *record;
    struct sw_sampler *sampler;
    struct sw_record_command command;
    struct sw_record_output output;
    char output_name[NAME_MAX]; /* where none was given */
    struct sw_buf title;
    int64_t start_ns; /* monotonic */
    int64_t start_cpu_ns;
    int64_t end_ns; /* INT64_MAX: open end, or not begun */
    int64_t next_progress_ns;
    uint64_t told; /* interpreters that were attached when it was last told */
    bool is_terminal, has_complained;
    enum sw_status looked; /* what ended the recording: SW_CLOSED when all processes are gone */
};

static volatile sig_atomic_t got_signal;

/* A second signal ends the process as it would have without a handler. */
static void on_signal(int number) {
    if (got_signal) {
        signal(number, SIG_DFL);
        raise(number);
    }
    got_signal = number;
}

/* SIGINT is handled even where a script's shell has it ignored for what runs in the background. */
static void signals_open(void) {
    struct sigaction action = {.sa_handler = on_signal}, before;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static struct sw_str base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return sw_str_from(slash && slash[1] ? slash + 1 : path);
}

static enum sw_status output_open(struct session *session, struct sw_error *err) {
    const struct sw_record *record = session->record;
    char pid[16];
    if (record->path.len)
        return sw_record_output_open(&session->output, record->path, err);
    snprintf(pid, sizeof pid, "%d", record->pid_count ? (int)record->pids[0] : 0);
    sw_record_output_name(session->output_name, *record->command ? base_name(*record->command) : sw_str_from(pid),
                          sw_profile_format_ending(record->format));
    return sw_record_output_open(&session->output, sw_str_from(session->output_name), err);
}

static enum sw_status sampler_open(struct session *session, struct sw_error *err) {
    const struct sw_record *record = session->record;
    bool tells_processes = record->format == SW_PROFILE_SPEEDSCOPE || record->format == SW_PROFILE_CHROME ||
                           record->format == SW_PROFILE_JSON || record->has_threads;
    struct sw_sampler_options options = {
        .rate_hz = record->rate_hz,
        .what = record->what,
        .follow = record->has_subprocesses ? SW_FOLLOW_ALL
                  : *record->command       ? SW_FOLLOW_TOPMOST
                                           : SW_FOLLOW_NONE,
        .has_process_headings = !tells_processes && (record->pid_count > 1 || record->has_subprocesses),
        .has_native = record->has_native,
        .keeps_samples = sw_profile_format_needs_samples(record->format),
    };
    return sw_sampler_new(&session->sampler, &options) == SW_OK ? SW_OK : sw_fail(err, SW_NOMEM, "out of memory");
}

static enum sw_status command_start(struct session *session, struct sw_error *err) {
    bool is_stdout_ours = session->output.is_stream && strcmp(session->output.path, "-") == 0;
    enum sw_status status = sw_record_command_start(&session->command, session->record->command, is_stdout_ours, err);
    for (char **word = session->record->command; *word && status == SW_OK; word++)
        status = sw_buf_append_format(&session->title, "%s%s", session->title.len ? " " : "", *word);
    if (status != SW_OK)
        return status;
    status = sw_sampler_add(session->sampler, session->command.pid, true, err);
    return status == SW_NOTFOUND ? SW_OK : status; /* it has ended already */
}

static enum sw_status processes_add(struct session *session, struct sw_error *err) {
    const struct sw_record *record = session->record;
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < record->pid_count && status == SW_OK; i++)
        status = sw_sampler_add(session->sampler, record->pids[i], false, err);
    if (status != SW_OK)
        return status;
    if (record->pid_count == 1)
        return sw_buf_append(&session->title, sw_sampler_process(session->sampler, 0).command);
    return sw_buf_append_format(&session->title, "%zu processes", record->pid_count);
}

/* Names each interpreter when it is met. */
static void attached_tell(struct session *session) {
    if (sw_sampler_attached(session->sampler) == session->told)
        return;
    size_t count = sw_sampler_process_count(session->sampler);
    if (session->is_terminal)
        fputs("\r\033[K", stderr);
    for (size_t i = 0; i < count && session->told == 0; i++) {
        struct sw_sampler_process process = sw_sampler_process(session->sampler, i);
        if (process.is_live)
            fprintf(stderr, "sidewinder: recording process %d (CPython %s) at %g Hz: %.*s\n", (int)process.pid,
                    process.version, session->record->rate_hz,
                    (int)(process.command.len < 200 ? process.command.len : 200), process.command.ptr);
    }
    session->told = sw_sampler_attached(session->sampler);
}

static double own_cpu(const struct session *session) {
    int64_t wall_ns = sw_clock_mono_ns() - session->start_ns;
    return wall_ns > 0 ? 100.0 * (double)(sw_clock_thread_cpu_ns() - session->start_cpu_ns) / (double)wall_ns : 0;
}

/* "9998 looks in 10.0 s (999.8/s), 12034 samples: 12030 exact, 4 partial, 0 failed; own CPU 1.3 %" */
static void quality_print(const struct session *session) {
    struct sw_sampler_counts counts = sw_sampler_counts(session->sampler);
    double seconds = (double)(sw_clock_mono_ns() - session->start_ns) / 1e9;
    uint64_t samples = counts.exact + counts.partial;
    fprintf(stderr,
            "%llu looks in %.1f s (%.1f/s), %llu samples: %llu exact, %llu partial, %llu failed; own CPU %.1f %%",
            (unsigned long long)counts.looks, seconds, seconds > 0 ? (double)counts.looks / seconds : 0,
            (unsigned long long)samples, (unsigned long long)counts.exact, (unsigned long long)counts.partial,
            (unsigned long long)counts.failed, own_cpu(session));
}

static void progress_print(struct session *session, int64_t now_ns) {
    if (!session->is_terminal || now_ns < session->next_progress_ns)
        return;
    session->next_progress_ns = now_ns + PROGRESS_NS;
    fputs("\r\033[K", stderr);
    quality_print(session);
}

/* The time runs from the first look at an interpreter on. */
static void time_check(struct session *session, int64_t now_ns) {
    int64_t first_ns = sw_sampler_counts(session->sampler).first_mono_ns;
    int64_t duration_ns = session->record->duration_ns;
    if (session->end_ns == INT64_MAX && duration_ns && first_ns)
        session->end_ns = first_ns + duration_ns;
    if (first_ns || !duration_ns || session->told)
        return;
    if (now_ns - session->start_ns > duration_ns + (session->command.pid ? INTERPRETER_NS : 0))
        session->end_ns = now_ns;
}

static void patience_tell(struct session *session, int64_t now_ns) {
    if (session->told || session->has_complained || now_ns - session->start_ns < PATIENCE_NS)
        return;
    session->has_complained = true;
    fprintf(stderr, "sidewinder: no Python interpreter in %s yet; going on looking for one\n",
            session->command.pid ? session->record->command[0] : "sight");
}

static enum sw_status session_run(struct session *session) {
    session->start_ns = sw_clock_mono_ns();
    session->start_cpu_ns = sw_clock_thread_cpu_ns();
    session->end_ns = INT64_MAX;
    int64_t now_ns = session->start_ns;
    enum sw_status status = SW_OK;
    while (!got_signal && now_ns < session->end_ns && status == SW_OK) {
        int64_t until_ns = now_ns + POLL_NS < session->end_ns ? now_ns + POLL_NS : session->end_ns;
        if (sw_sampler_wait(session->sampler, until_ns))
            status = sw_sampler_look(session->sampler);
        if (sw_sampler_process_count(session->sampler) == 0)
            status = SW_CLOSED;
        now_ns = sw_clock_mono_ns();
        attached_tell(session);
        time_check(session, now_ns);
        patience_tell(session, now_ns);
        progress_print(session, now_ns);
    }
    session->looked = status;
    return status == SW_CLOSED ? SW_OK : status;
}

static enum sw_status profile_write(struct session *session, struct sw_error *err) {
    const struct sw_record *record = session->record;
    struct sw_profile profile = {0};
    struct sw_buf bytes = {0};
    struct sw_profile_view view = {.by_function = record->by_function, .by_thread = record->has_threads};
    enum sw_status status = sw_sampler_take(session->sampler, &profile);
    if (status == SW_OK) {
        struct sw_profile_about about = profile.about;
        about.command = sw_buf_view(&session->title);
        status = sw_profile_describe(&profile, &about);
    }
    if (status == SW_OK)
        status = sw_profile_write(&profile, record->format, &view, &bytes);
    if (status != SW_OK)
        (void)sw_fail(err, status, "cannot make the profile: %s", sw_status_text(status));
    else
        status = sw_record_output_write(&session->output, sw_buf_view(&bytes), err);
    if (status == SW_OK)
        fprintf(stderr, "sidewinder: wrote %s: %zu stacks, %zu bytes\n",
                strcmp(session->output.path, "-") == 0 ? "stdout" : session->output.path, profile.total_count,
                bytes.len);
    sw_buf_release(&bytes);
    sw_profile_release(&profile);
    return status;
}

static void native_tell(const struct sw_sampler_counts *counts) {
    uint64_t samples = counts->exact + counts->partial;
    fprintf(stderr, "sidewinder: %llu samples with C frames, %llu of Python frames only",
            (unsigned long long)counts->native,
            (unsigned long long)(samples > counts->native ? samples - counts->native : 0));
    if (counts->native_unmatched)
        fprintf(stderr, "; in %llu the order of C and Python frames is not certain",
                (unsigned long long)counts->native_unmatched);
    fputc('\n', stderr);
}

static void nothing_tell(const struct session *session) {
    static const char *const reasons[] = {[SW_SAMPLE_CPU] =
                                              "no thread was seen running Python code; --idle shows where threads wait",
                                          [SW_SAMPLE_GIL] =
                                              "no thread was seen holding the GIL; --idle shows where threads wait",
                                          [SW_SAMPLE_WAIT] = "no thread was seen waiting for the GIL",
                                          [SW_SAMPLE_WALL] = "no Python thread was seen"};
    fprintf(stderr, "sidewinder: the profile is empty: %s\n", reasons[session->record->what]);
}

static void end_tell(const struct session *session) {
    struct sw_sampler_counts counts = sw_sampler_counts(session->sampler);
    const struct sw_error *refusal = sw_sampler_refusal(session->sampler);
    fprintf(stderr, "%ssidewinder: ", session->is_terminal ? "\r\033[K" : "");
    quality_print(session);
    fputs(session->looked == SW_CLOSED ? "; the target has ended\n" : "\n", stderr);
    if (session->record->has_native)
        native_tell(&counts);
    if (counts.missed)
        fprintf(stderr,
                "sidewinder: fell behind: %llu looks were skipped, and those after them weigh more; a lower --rate "
                "avoids it\n",
                (unsigned long long)counts.missed);
    if (counts.unobserved_ns)
        fprintf(stderr, "sidewinder: %.3f s were not observed, as this process did not get to run\n",
                (double)counts.unobserved_ns / 1e9);
    if (refusal)
        fprintf(stderr, "sidewinder: left out: %s\n", refusal->text);
    if (counts.exact + counts.partial == 0)
        nothing_tell(session);
}

/* As `timeout` does it. A terminal's Ctrl-C has reached the command as well. */
static void command_end(struct session *session) {
    struct sw_record_command *command = &session->command;
    if (!command->pid)
        return;
    if (!sw_record_command_poll(command, 0) && got_signal != SIGINT)
        sw_record_command_terminate(command);
    int64_t limit_ns = sw_clock_mono_ns() + END_WAIT_NS;
    for (int64_t now_ns = sw_clock_mono_ns(); now_ns < limit_ns; now_ns = sw_clock_mono_ns())
        if (sw_record_command_poll(command, limit_ns - now_ns))
            break;
    if (!command->has_ended)
        fprintf(stderr, "sidewinder: process %d (%s) goes on\n", (int)command->pid, session->record->command[0]);
    else if (command->signal_number)
        fprintf(stderr, "sidewinder: %s was ended by signal %d (%s)\n", session->record->command[0],
                command->signal_number, strsignal(command->signal_number));
    else if (command->exit_code)
        fprintf(stderr, "sidewinder: %s ended with exit code %d\n", session->record->command[0], command->exit_code);
}

static enum sw_status nothing_fail(struct session *session, struct sw_error *err) {
    const struct sw_error *refusal = sw_sampler_refusal(session->sampler);
    const char *name = session->record->command[0] ? session->record->command[0] : "the process";
    if (refusal)
        return sw_fail(err, refusal->status, "%s", refusal->text);
    return sw_fail(err, SW_NOTFOUND, "nothing was recorded: no Python interpreter was seen in %s%s", name,
                   session->looked == SW_CLOSED ? " before it ended" : "");
}

static enum sw_status session_record(struct session *session, struct sw_error *err) {
    enum sw_status status = output_open(session, err);
    if (status == SW_OK)
        status = sampler_open(session, err);
    signals_open();
    if (status == SW_OK)
        status = *session->record->command ? command_start(session, err) : SW_OK;
    sw_files_allow();
    if (status == SW_OK && session->record->pid_count)
        status = processes_add(session, err);
    if (status != SW_OK)
        return status;
    status = session_run(session);
    bool has_any = sw_sampler_attached(session->sampler) > 0;
    if (has_any)
        end_tell(session);
    if (status != SW_OK)
        fprintf(stderr, "sidewinder: recording ended early: %s\n", sw_status_text(status));
    enum sw_status written = has_any ? profile_write(session, err) : nothing_fail(session, err);
    return written;
}

static void help_print(void) {
    printf(
        "usage: sidewinder record [OPTION ...] PID ...\n"
        "       sidewinder record [OPTION ...] -- COMMAND [ARGUMENT ...]\n\n"
        "Samples the Python stacks of running processes, without stopping or changing them, and writes a profile.\n");
    sw_options_print(sw_record_options);
    printf("\nExamples:\n"
           "  sidewinder record 4242 -d 30s -o profile.svg\n"
           "  sidewinder record --gil --threads -o gil.html -- python3 app.py\n");
}

int sw_cmd_record(char **words) {
    struct sw_record record;
    struct sw_error err = {0};
    enum sw_status status = sw_record_parse(&record, words, &err);
    int exit_code = SW_EXIT_DONE;
    if (status != SW_OK) {
        exit_code = SW_EXIT_USAGE;
    } else if (record.wants_help) {
        help_print();
    } else {
        struct session session = {.record = &record, .is_terminal = isatty(STDERR_FILENO)};
        status = session_record(&session, &err);
        sw_sampler_free(session.sampler); /* before: it may still have to let go of a thread of the command */
        command_end(&session);
        exit_code = status == SW_OK ? SW_EXIT_DONE : status == SW_INVALID ? SW_EXIT_USAGE : SW_EXIT_FAILED;
        sw_buf_release(&session.title);
    }
    if (status != SW_OK)
        fprintf(stderr, "sidewinder: %s\n", err.text);
    return exit_code;
}
