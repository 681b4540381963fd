/* gil_experiment.c - Runs the heartbeat experiment on each interpreter and follows it; see gil_experiment.h. */
#include "cli/gil_experiment.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/gil_observer.h"
#include "cli/gil_workload.h"

#define LIVE_NS (500 * SW_NS_PER_MS)

static volatile sig_atomic_t is_interrupted;

static void interrupt_note(int signal_number) {
    (void)signal_number;
    is_interrupted = 1;
}

struct session {
    const struct sw_gil_experiment_options *options;
    struct sw_gil_plan plan;
    struct sw_gil_subject *subject;
    size_t phase; /* the one running; phase_count after the last */
    int64_t live_mono_ns;
    bool shows_live;
};

static void phase_add(struct session *session, const char *name, unsigned workers, int64_t interval_ns) {
    if (session->plan.phase_count == SW_GIL_PHASES_MAX)
        return;
    size_t index = session->plan.phase_count++;
    char *kept = session->subject->names[index];
    snprintf(kept, sizeof session->subject->names[index], "%s", name);
    session->plan.phases[index] = (struct sw_gil_phase_plan){kept, workers, interval_ns};
}

static void plan_make(struct session *session) {
    const struct sw_gil_experiment_options *options = session->options;
    char name[32], text[24];
    session->plan = (struct sw_gil_plan){
        .python = session->subject->program,
        .script = sw_gil_workload,
        .work = options->work,
        .period_ns = options->period_ns,
        .duration_ns = options->duration_ns,
    };
    phase_add(session, "baseline", 0, 0);
    snprintf(name, sizeof name, "%u worker%s", options->workers, options->workers == 1 ? "" : "s");
    phase_add(session, name, options->workers, 0);
    for (size_t i = 0; i < options->interval_count; i++) {
        snprintf(name, sizeof name, "interval %s", sw_gil_time_text((double)options->intervals_ns[i], text));
        phase_add(session, name, options->workers, options->intervals_ns[i]);
    }
}

/* "3.13" and "3.14t" name versions; anything else is a program. */
static void python_name(const char *asked, char out[256]) {
    bool is_version = asked[0] >= '0' && asked[0] <= '9' && !strchr(asked, '/');
    snprintf(out, 256, "%s%s", is_version ? "python" : "", asked);
}

static int64_t units_done(const struct sw_gil_phase *phase) {
    int64_t units = 0;
    for (unsigned i = 0; i < phase->plan->workers; i++)
        units += phase->workers[i].units;
    return units;
}

static double units_per_s(const struct sw_gil_phase *phase) {
    if (phase->plan->workers == 0 || phase->elapsed_ns <= 0)
        return NAN;
    return (double)units_done(phase) * 1e9 / (double)phase->elapsed_ns;
}

static void live_print(struct session *session, const struct sw_gil_phase *phase, bool is_last) {
    struct sw_gil_latency latency;
    char text[4][24];
    if (sw_gil_latency_of(phase, session->options->sla_ns, &latency))
        return;
    double units = units_per_s(phase);
    fprintf(stderr, "%s%s: phase %zu/%zu %-15s %5.1f s  %zu beats  p50 %s  p99 %s  max %s%s%s%s%s",
            session->shows_live ? "\r\033[K" : "", session->subject->python, session->phase + 1,
            session->plan.phase_count, phase->plan->name, (double)phase->elapsed_ns / 1e9, phase->count,
            sw_gil_time_text(latency.p50, text[0]), sw_gil_time_text(latency.p99, text[1]),
            sw_gil_time_text(latency.max, text[2]), isnan(units) ? "" : "  ",
            isnan(units) ? "" : sw_gil_amount_text(units, text[3]), isnan(units) ? "" : " units/s",
            is_last ? "\n" : "");
    fflush(stderr);
}

/* Follows the phases: live lines, and what is seen from outside handed to the phase it belongs to. */
static void phases_follow(struct session *session, int64_t now_ns) {
    struct sw_gil_phase phase;
    if (session->phase == session->plan.phase_count)
        return;
    sw_gil_experiment_phase(session->subject->experiment, session->phase, &phase);
    bool is_due = session->shows_live && now_ns - session->live_mono_ns >= LIVE_NS;
    if (phase.state == SW_GIL_PHASE_RUNNING && is_due) {
        live_print(session, &phase, false);
        session->live_mono_ns = now_ns;
    }
    if (phase.state == SW_GIL_PHASE_ENDED) {
        if (!session->options->is_quiet)
            live_print(session, &phase, true);
        session->phase++;
    }
}

static enum sw_status result_make(struct session *session, size_t index) {
    struct sw_gil_subject *subject = session->subject;
    struct sw_gil_result *result = &subject->results[index];
    const struct sw_gil_result *base = &subject->results[0], *loaded = &subject->results[1];
    sw_gil_experiment_phase(subject->experiment, index, &result->phase);
    enum sw_status status = sw_gil_latency_of(&result->phase, session->options->sla_ns, &result->latency);
    size_t threads = result->phase.plan->workers + 1;
    result->seen = sw_alloc_array_zero(threads, sizeof *result->seen);
    if (status || !result->seen)
        return SW_NOMEM;
    result->units_per_s = units_per_s(&result->phase);
    result->slower = index > 0 && base->latency.mean > 0 ? result->latency.mean / base->latency.mean : NAN;
    result->throughput_change = index > 1 ? result->units_per_s / loaded->units_per_s - 1 : NAN;
    for (size_t i = 0; i < threads; i++)
        result->seen[i].tid = i == 0 ? result->phase.heartbeat_tid : result->phase.workers[i - 1].tid;
    if (subject->observer)
        sw_gil_observer_take(subject->observer, result);
    return SW_OK;
}

/* The phases that have samples become results. */
static enum sw_status results_make(struct session *session, struct sw_error *err) {
    struct sw_gil_subject *subject = session->subject;
    size_t ended = 0;
    for (size_t i = 0; i < session->plan.phase_count; i++) {
        struct sw_gil_phase phase;
        sw_gil_experiment_phase(subject->experiment, i, &phase);
        if (phase.count == 0)
            break;
        if (result_make(session, i))
            return sw_fail(err, SW_NOMEM, "cannot keep the results of %s: out of memory", subject->python);
        subject->count = i + 1;
        ended += phase.state == SW_GIL_PHASE_ENDED;
    }
    subject->is_complete = ended == session->plan.phase_count;
    return subject->count > 0
               ? SW_OK
               : sw_fail(err, SW_CLOSED, "nothing was measured on %s: it ended before its first heartbeat",
                         subject->python);
}

static enum sw_status subject_run(struct session *session, struct sw_error *err) {
    struct sw_gil_subject *subject = session->subject;
    enum sw_status status = sw_gil_experiment_start(&subject->experiment, &session->plan, err);
    if (status)
        return status;
    pid_t pid = sw_gil_experiment_pid(subject->experiment);
    struct sw_error unseen = {0};
    enum sw_status watched = sw_gil_observer_start(&subject->observer, pid, &unseen);
    do {
        sw_clock_sleep_ns(20 * SW_NS_PER_MS);
        phases_follow(session, sw_clock_mono_ns());
        status = sw_gil_experiment_poll(subject->experiment, err);
    } while (status == SW_AGAIN && !is_interrupted);
    if (!watched)
        watched = sw_gil_observer_stop(subject->observer, subject, &unseen);
    if (watched)
        fprintf(stderr, "sidewinder: %s could not be watched from outside: %s\n", subject->python, unseen.text);
    if (status == SW_OK || status == SW_AGAIN)
        status = results_make(session, err);
    if (is_interrupted && !session->options->is_quiet)
        fprintf(stderr, "\nsidewinder: interrupted; the figures are those until now\n");
    return status;
}

static enum sw_status subject_measure(const struct sw_gil_experiment_options *options, struct sw_gil_subject *subject,
                                      struct sw_error *err) {
    struct session *session = sw_alloc_zero(sizeof *session);
    if (!session)
        return sw_fail(err, SW_NOMEM, "cannot start an experiment: out of memory");
    session->options = options;
    session->subject = subject;
    session->shows_live = !options->is_quiet && isatty(STDERR_FILENO);
    python_name(subject->python, subject->program);
    plan_make(session);
    enum sw_status status = subject_run(session, err);
    sw_free(session);
    return status;
}

static enum sw_status file_write(const char *path, struct sw_str bytes, struct sw_error *err) {
    FILE *file = fopen(path, "wb");
    if (!file)
        return sw_fail_errno(err, errno, "cannot write the picture %s", path);
    bool is_whole = fwrite(bytes.ptr, 1, bytes.len, file) == bytes.len;
    int error_number = errno;
    if (fclose(file) != 0 && is_whole) {
        error_number = errno;
        is_whole = false;
    }
    return is_whole ? SW_OK : sw_fail_errno(err, error_number, "cannot write the picture %s", path);
}

static enum sw_status report(const struct sw_gil_experiment_options *options, const struct sw_gil_subject *subjects,
                             size_t count, struct sw_error *err) {
    struct sw_buf out = {0};
    enum sw_status status = options->is_json ? sw_gil_report_json(options, subjects, count, &out)
                                             : sw_gil_report_text(options, subjects, count, &out);
    if (status)
        (void)sw_fail(err, status, "cannot write the report: %s", sw_status_text(status));
    else if (fwrite(out.ptr, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
        status = sw_fail_errno(err, errno, "cannot write the report");
    sw_buf_clear(&out);
    if (!status && options->output) {
        bool is_svg = sw_str_ends(sw_str_from(options->output), SW_STR(".svg"));
        status = sw_gil_picture(options, subjects, count, is_svg, &out);
        status = status ? sw_fail(err, status, "cannot draw %s: %s", options->output, sw_status_text(status))
                        : file_write(options->output, sw_buf_view(&out), err);
        if (!status && !options->is_quiet)
            fprintf(stderr, "sidewinder: wrote %s\n", options->output);
    }
    sw_buf_release(&out);
    return status;
}

static void subjects_free(struct sw_gil_subject *subjects, size_t count) {
    for (size_t i = 0; subjects && i < count; i++) {
        for (size_t k = 0; k < SW_GIL_PHASES_MAX; k++)
            sw_free(subjects[i].results[k].seen);
        sw_gil_observer_free(subjects[i].observer);
        sw_gil_experiment_close(subjects[i].experiment);
    }
    sw_free(subjects);
}

int sw_gil_experiment_run(const struct sw_gil_experiment_options *options) {
    struct sw_error err = {0};
    enum sw_status status = SW_OK;
    size_t done = 0;
    struct sigaction action = {.sa_handler = interrupt_note};
    struct sw_gil_subject *subjects = sw_alloc_array_zero(options->python_count, sizeof *subjects);
    if (!subjects)
        status = sw_fail(&err, SW_NOMEM, "cannot start an experiment: out of memory");
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    for (size_t i = 0; i < options->python_count && !status && !is_interrupted; i++) {
        subjects[i].python = options->pythons[i];
        subjects[i].has_gil = true;
        status = subject_measure(options, &subjects[i], &err);
        done += !status;
    }
    bool has_results = done > 0; /* what was measured before a failure is not lost */
    if (status)
        fprintf(stderr, "sidewinder: error: %s\n", err.text);
    if (has_results) {
        enum sw_status reported = report(options, subjects, done, &err);
        if (reported)
            fprintf(stderr, "sidewinder: error: %s\n", err.text);
        status = status ? status : reported;
    }
    subjects_free(subjects, options->python_count);
    return status ? SW_EXIT_FAILED : SW_EXIT_DONE;
}
