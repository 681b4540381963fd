/* cmd_run.c - `sidewinder run`: analyses this machine, or any stream, and serves the dashboard. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/dashboard_page.h"
#include "cli/run_options.h"
#include "engine/engine.h"
#include "engine/serve.h"
#include "net/signal.h"

#define CHECK_NS (20 * SW_NS_PER_MS)
#define PROGRESS_NS (500 * SW_NS_PER_MS)

struct session {
    struct sw_run *run;
    struct sw_reactor *reactor;
    struct sw_engine *engine;
    struct sw_serve *serve;
    struct sw_signals signals;
    struct sw_timer check;
    int64_t end_mono_ns; /* INT64_MAX: open end */
    int64_t next_progress_ns;
    bool shows_progress;
    bool has_signal; /* to end */
    bool is_ending;  /* sources are told to stop; windows close and sinks are flushed */
    struct sw_thread ender;
    enum sw_status ended; /* what the engine ended with */
    struct sw_error error;
};

static void log_print(void *context, enum sw_log_level level, const char *line) {
    (void)context;
    fprintf(stderr, "sidewinder: %s%s\n", level >= SW_LOG_ERROR ? "error: " : "", line);
}

/* "539 rows/s", "2.31 M rows/s" */
static const char *rate_text(double rows_per_s, char out[32]) {
    if (rows_per_s < 1e6)
        snprintf(out, 32, "%.0f rows/s", rows_per_s);
    else
        snprintf(out, 32, "%.2f M rows/s", rows_per_s / 1e6);
    return out;
}

static void progress_print(struct session *session, int64_t now_ns) {
    if (!session->shows_progress || now_ns < session->next_progress_ns)
        return;
    session->next_progress_ns = now_ns + PROGRESS_NS;
    struct sw_totals totals;
    sw_engine_totals(session->engine, &totals);
    double seconds = (double)(now_ns - session->engine->started_mono_ns) / 1e9;
    char rate[32];
    fprintf(stderr, "\r\033[K%llu rows, %s, %llu late, %llu rejected", (unsigned long long)totals.rows,
            rate_text((double)totals.rows / seconds, rate), (unsigned long long)totals.late,
            (unsigned long long)totals.rejected);
}

static void on_ended(void *context) {
    struct session *session = context;
    sw_reactor_stop(session->reactor);
}

static void ender_main(void *context) {
    struct session *session = context;
    session->ended = sw_engine_wait(session->engine, &session->error);
    if (sw_reactor_post(session->reactor, on_ended, session) != SW_OK)
        sw_reactor_stop(session->reactor);
}

/* Whatever takes long on the way out, such as a sink that is read slowly, is waited for in a thread of its own: signals are still heard, and
 * /health says that the job is ending. */
static void session_end(struct session *session) {
    if (session->is_ending)
        return;
    session->is_ending = true;
    if (session->serve)
        sw_serve_ending(session->serve);
    sw_engine_stop(session->engine);
    if (sw_thread_start(&session->ender, "ender", -1, ender_main, session, NULL) != SW_OK)
        sw_reactor_stop(session->reactor);
}

/* A job with a dashboard goes on after its sources have ended, so that the result can be looked at. */
static void on_check(void *context) {
    struct session *session = context;
    int64_t now_ns = sw_clock_mono_ns();
    progress_print(session, now_ns);
    bool has_failed = atomic_load(&session->engine->failure) != SW_OK;
    for (unsigned i = 0; i < session->engine->source_count; i++)
        has_failed |= atomic_load(&session->engine->sources[i].has_failed);
    bool is_over =
        now_ns >= session->end_mono_ns || has_failed || (!session->serve && sw_engine_is_finished(session->engine));
    if (is_over)
        session_end(session);
    else
        sw_reactor_timer_add(session->reactor, &session->check, CHECK_NS);
}

/* A second signal ends the process as it would have without a handler. */
static void on_signal(void *context, int number) {
    struct session *session = context;
    if (number == SIGHUP) {
        sw_log(SW_LOG_INFO, "SIGHUP: there is no configuration to reload, going on");
    } else if (!session->has_signal) {
        session->has_signal = true;
        session_end(session);
    } else {
        sw_log(SW_LOG_ERROR, "ending at once; rows that are not written yet are lost");
        sw_signals_close(&session->signals);
        raise(number);
    }
}

static enum sw_status session_open(struct session *session, struct sw_error *err) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    session->signals.fn = on_signal;
    session->signals.context = session;
    enum sw_status status = sw_reactor_open(&session->reactor, NULL, err);
    if (status == SW_OK)
        status = sw_signals_open(&session->signals, session->reactor, &set, err);
    if (status == SW_OK)
        status = sw_engine_open(&session->engine, &session->run->job, err);
    if (status != SW_OK || session->run->listen.len == 0)
        return status;
    struct sw_serve_options options = {
        .listen = session->run->listen,
        .token = session->run->token,
        .is_open_to_all = session->run->is_open_to_all,
        .hosts = session->run->hosts,
        .host_count = session->run->host_count,
        .page = sw_dashboard_page,
        .page_gzip = sw_dashboard_page_gzip,
    };
    return sw_serve_open(&session->serve, session->reactor, session->engine, &options, err);
}

static void start_tell(const struct session *session) {
    if (session->serve && !session->run->is_quiet)
        fprintf(stderr, "sidewinder: dashboard at %s\n", sw_serve_url(session->serve));
    for (unsigned i = 0; i < session->engine->source_count && !session->run->is_quiet; i++)
        if (session->engine->sources[i].address[0])
            fprintf(stderr, "sidewinder: %s listens on %s\n",
                    session->engine->sources[i].kind == SW_SOURCE_TCP ? "tcp" : "udp",
                    session->engine->sources[i].address);
}

static void end_tell(const struct session *session) {
    struct sw_totals totals;
    if (session->shows_progress)
        fputs("\r\033[K", stderr);
    if (session->run->is_quiet)
        return;
    sw_engine_totals(session->engine, &totals);
    double seconds = (double)(sw_clock_mono_ns() - session->engine->started_mono_ns) / 1e9;
    char rate[32];
    fprintf(stderr, "sidewinder: %llu rows in %.3f s (%s), %llu rows out, %llu late, %llu rejected\n",
            (unsigned long long)totals.rows, seconds, rate_text((double)totals.rows / seconds, rate),
            (unsigned long long)totals.rows_out, (unsigned long long)totals.late, (unsigned long long)totals.rejected);
}

static enum sw_status session_run(struct session *session, struct sw_error *err) {
    session->end_mono_ns = session->run->duration_ns ? sw_clock_mono_ns() + session->run->duration_ns : INT64_MAX;
    session->shows_progress =
        !session->serve && !session->run->is_quiet && isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
    session->check.fn = on_check;
    session->check.context = session;
    enum sw_status status = sw_engine_start(session->engine, err);
    if (status == SW_OK) {
        start_tell(session);
        sw_reactor_timer_add(session->reactor, &session->check, CHECK_NS);
        status = sw_reactor_run(session->reactor, err);
    }
    if (!session->ender.is_started) {
        sw_engine_stop(session->engine);
        session->ended = sw_engine_wait(session->engine, &session->error);
    }
    sw_thread_join(&session->ender);
    end_tell(session);
    if (status == SW_OK && session->ended != SW_OK) {
        status = session->ended;
        *err = session->error;
    }
    return status == SW_CLOSED ? SW_OK : status; /* the reader of stdout had enough, as `head` does */
}

static void session_close(struct session *session) {
    sw_serve_close(session->serve);
    sw_engine_close(session->engine);
    sw_signals_close(&session->signals);
    sw_reactor_close(session->reactor);
}

static void help_print(void) {
    printf(
        "usage: sidewinder run [OPTION ...]\n\n"
        "Analyses this machine, or any stream of rows, in event time, and serves the result live.\n"
        "Without a source it reads this machine and its Python processes; without a sink it serves the dashboard.\n");
    sw_options_print(sw_run_options);
    printf("\nExample:\n"
           "  sidewinder run --source ticks.csv --columns ms,price,size --time ms:ms --window 1s \\\n"
           "    --aggregate 'open=first(price),close=last(price),volume=sum(size)' --sink jsonl:-\n");
}

int sw_cmd_run(char **words) {
    struct sw_run run;
    struct sw_error err = {0};
    int exit_code = SW_EXIT_DONE;
    enum sw_status status = sw_run_parse(&run, words, &err);
    signal(SIGPIPE, SIG_IGN);
    if (status != SW_OK) {
        exit_code = status == SW_INVALID || status == SW_LIMIT ? SW_EXIT_USAGE : SW_EXIT_FAILED;
    } else if (run.wants_help) {
        help_print();
    } else {
        struct session session = {.run = &run};
        sw_log_set(log_print, NULL, run.is_quiet ? SW_LOG_ERROR : run.is_verbose ? SW_LOG_DEBUG : SW_LOG_INFO);
        status = session_open(&session, &err);
        if (status == SW_OK)
            status = session_run(&session, &err);
        session_close(&session);
        exit_code = status == SW_OK ? SW_EXIT_DONE : status == SW_INVALID ? SW_EXIT_USAGE : SW_EXIT_FAILED;
    }
    if (status != SW_OK)
        fprintf(stderr, "sidewinder: %s\n", err.text);
    sw_run_release(&run);
    return exit_code;
}
