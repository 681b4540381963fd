/* gil_attach.c - Watches the GIL of a running process until the time is over, it ends, or Ctrl-C; see gil_attach.h. */
#include "cli/gil_attach.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/command.h"
#include "cli/record_output.h"
#include "probe/gil_show.h"

#define SLICE_NS (250 * SW_NS_PER_MS) /* between two lines of progress */
#define START_NS (SW_NS_PER_S / 2)    /* an interpreter that is just starting is waited for so long */
#define RETRY_NS SW_NS_PER_MS

enum form { FORM_PNG, FORM_SVG, FORM_HTML, FORM_JSON, FORM_NONE };

struct session {
    const struct sw_gil_attach_options *options;
    struct sw_target target;
    struct sw_runtime runtime;
    struct sw_gil_timeline *timeline;
    struct sw_record_output output;
    struct sw_buf command, report;
    struct sw_gil_about about;
    bool shows_progress;
};

static atomic_bool is_stopped;

/* A second signal ends the process as it would have without a handler. */
static void on_signal(int number) {
    if (atomic_exchange(&is_stopped, true)) {
        signal(number, SIG_DFL);
        raise(number);
    }
}

static void signals_open(void) {
    struct sigaction action = {.sa_handler = on_signal}, before;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static enum form form_of(struct sw_str path) {
    static const struct sw_str endings[FORM_NONE] = {
        {".png", 4},
        {".svg", 4},
        {".html", 5},
        {".json", 5},
    };
    for (int form = 0; form < FORM_NONE; form++)
        if (sw_str_ends(path, endings[form]))
            return (enum form)form;
    return FORM_NONE;
}

bool sw_gil_attach_has_form(struct sw_str path) {
    return form_of(path) != FORM_NONE;
}

static enum sw_status runtime_find(struct session *session, struct sw_error *err) {
    int64_t until_ns = sw_clock_mono_ns() + START_NS;
    for (;;) {
        enum sw_status status = sw_runtime_open(&session->runtime, &session->target, err);
        if (status == SW_OK) {
            struct sw_gil_timeline_options options = {.rate_hz = session->options->rate_hz,
                                                      .seed = (uint64_t)sw_clock_epoch_ns()};
            status = sw_gil_timeline_new(&session->timeline, &session->runtime, &options, err);
            if (status == SW_OK)
                return SW_OK;
            sw_runtime_close(&session->runtime);
        }
        bool may_be_starting = status == SW_NOTFOUND || status == SW_AGAIN;
        if (!may_be_starting || atomic_load(&is_stopped) || sw_clock_mono_ns() >= until_ns)
            return status;
        sw_clock_sleep_ns(RETRY_NS);
    }
}

static enum sw_status session_open(struct session *session, struct sw_error *err) {
    const struct sw_gil_attach_options *options = session->options;
    enum sw_status status = SW_OK;
    if (options->output.len > 0)
        status = sw_record_output_open(&session->output, options->output, err);
    if (status == SW_OK)
        status = sw_target_open(&session->target, options->pid, err);
    if (status == SW_OK)
        status = runtime_find(session, err);
    if (status == SW_OK && sw_target_command(&session->target, &session->command) != SW_OK)
        sw_buf_clear(&session->command);
    session->about = (struct sw_gil_about){.pid = options->pid,
                                           .version = sw_str_from(session->runtime.version_text),
                                           .command = sw_buf_view(&session->command)};
    return status;
}

static void progress_print(const struct session *session, int64_t until_ns) {
    struct sw_gil_totals totals = sw_gil_timeline_totals(session->timeline);
    int64_t length_ns = totals.end_ns - totals.start_ns;
    int64_t left_ns = until_ns - totals.end_ns;
    if (!session->shows_progress || length_ns <= 0)
        return;
    fprintf(stderr, "\r\033[K%.1f s to go; held %.0f %%, %zu threads, %llu hand-offs, %.0f looks/s",
            left_ns > 0 ? (double)left_ns / 1e9 : 0, 100.0 * (double)totals.held_ns / (double)length_ns,
            sw_gil_timeline_count(session->timeline), (unsigned long long)totals.handoffs,
            (double)totals.looks * 1e9 / (double)length_ns);
}

static enum sw_status session_run(struct session *session, struct sw_error *err) {
    int64_t until_ns = sw_clock_mono_ns() + session->options->duration_ns;
    enum sw_status status = SW_OK;
    while (status == SW_OK && !atomic_load(&is_stopped) && sw_clock_mono_ns() < until_ns) {
        int64_t next_ns = sw_clock_mono_ns() + SLICE_NS;
        status = sw_gil_timeline_run(session->timeline, next_ns < until_ns ? next_ns : until_ns, &is_stopped);
        progress_print(session, until_ns);
    }
    sw_gil_timeline_end(session->timeline);
    if (session->shows_progress)
        fputs("\r\033[K", stderr);
    if (status == SW_CLOSED)
        session->about.ending = SW_STR("the process ended");
    else if (status == SW_OK && atomic_load(&is_stopped))
        session->about.ending = SW_STR("interrupted");
    else if (status != SW_OK)
        return sw_fail(err, status, "cannot go on watching process %d: %s", session->options->pid,
                       sw_status_text(status));
    return SW_OK;
}

static enum sw_status file_write(struct session *session, struct sw_error *err) {
    struct sw_buf bytes = {0};
    enum sw_status status = SW_OK;
    switch (form_of(session->options->output)) {
    case FORM_PNG:
        status = sw_gil_show_picture(session->timeline, &session->about, SW_CANVAS_PNG, &bytes);
        break;
    case FORM_SVG:
        status = sw_gil_show_picture(session->timeline, &session->about, SW_CANVAS_SVG, &bytes);
        break;
    case FORM_HTML:
        status = sw_gil_show_html(session->timeline, &session->about, &bytes);
        break;
    case FORM_JSON:
        status = sw_gil_show_json(session->timeline, &session->about, &bytes);
        break;
    case FORM_NONE:
        break;
    }
    if (status != SW_OK)
        (void)sw_fail(err, status, "cannot make %s: %s", session->output.path, sw_status_text(status));
    else
        status = sw_record_output_write(&session->output, sw_buf_view(&bytes), err);
    if (status == SW_OK && !session->options->is_quiet)
        fprintf(stderr, "sidewinder: wrote %s (%zu bytes)\n", session->output.path, bytes.len);
    sw_buf_release(&bytes);
    return status;
}

static enum sw_status session_report(struct session *session, struct sw_error *err) {
    enum sw_status status = sw_gil_show_text(session->timeline, &session->about, &session->report);
    if (status != SW_OK)
        return sw_fail(err, status, "cannot report: %s", sw_status_text(status));
    fwrite(session->report.ptr, 1, session->report.len, stdout);
    return fflush(stdout) == 0 ? SW_OK : sw_fail(err, SW_IO, "cannot write the report to stdout");
}

static void session_close(struct session *session) {
    sw_gil_timeline_free(session->timeline);
    sw_runtime_close(&session->runtime);
    sw_target_close(&session->target);
    sw_buf_release(&session->command);
    sw_buf_release(&session->report);
}

int sw_gil_attach_run(const struct sw_gil_attach_options *options) {
    struct session session = {.options = options, .target = {.proc_fd = -1}};
    struct sw_error err = {0};
    session.shows_progress = !options->is_quiet && isatty(STDERR_FILENO);
    signals_open();
    enum sw_status status = session_open(&session, &err);
    if (status == SW_OK)
        status = session_run(&session, &err);
    if (status == SW_OK && options->output.len > 0)
        status = file_write(&session, &err);
    if (status == SW_OK)
        status = session_report(&session, &err);
    if (status != SW_OK)
        fprintf(stderr, "sidewinder: %s\n", err.text);
    session_close(&session);
    return status == SW_OK ? SW_EXIT_DONE : SW_EXIT_FAILED;
}
