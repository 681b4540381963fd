/* cmd_watch.c - `sidewinder watch`: keeps the last seconds of a process, and saves them when something happens. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/limits.h"
#include "cli/record_output.h"
#include "cli/watch_options.h"

#define POLL_NS (200 * SW_NS_PER_MS) /* how soon a signal is seen that came just before a sleep */
#define COMPLAIN_NS (60 * SW_NS_PER_S)
#define NAMES_TRIED 1000

struct session {
    const struct sw_watch *watch;
    struct sw_flight_trigger triggers[SW_FLIGHT_RULES_MAX];
    struct sw_flight *flight;
    char ring_path[PATH_MAX];
    int64_t start_ns, end_ns;
    int64_t saved_ns;    /* when a rule last led to saving; 0: never */
    int64_t complain_ns; /* not before this it is said again that the ring cannot be written */
    uint64_t saved, failed;
    bool has_ended;
};

static volatile sig_atomic_t got_end, got_save;

/* A second signal ends the process as it would have without a handler. */
static void on_end(int number) {
    if (got_end) {
        signal(number, SIG_DFL);
        raise(number);
    }
    got_end = number;
}

static void on_save(int number) {
    got_save = number;
}

static void signals_open(void) {
    struct sigaction end = {.sa_handler = on_end}, save = {.sa_handler = on_save}, before;
    sigemptyset(&end.sa_mask);
    sigemptyset(&save.sa_mask);
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGUSR1, &save, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &end, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* "DIR/sidewinder-watch-4242-20260131-235959ENDING" */
static enum sw_status path_make(const struct sw_watch *watch, const char *ending, char path[PATH_MAX],
                                struct sw_error *err) {
    char name[NAME_MAX], subject[32];
    snprintf(subject, sizeof subject, "watch-%d", (int)watch->pid);
    sw_record_output_name(name, sw_str_from(subject), ending);
    int len = snprintf(path, PATH_MAX, "%.*s/%s", SW_STR_ARG(watch->folder), name);
    if (len < 0 || len >= PATH_MAX)
        return sw_fail(err, SW_INVALID, "--output: the name is longer than %d bytes", PATH_MAX - 1);
    return SW_OK;
}

/* "DIR/sidewinder-watch-4242-20260131-235959.NENDING", from `number` on the first that is not there. */
static enum sw_status path_free(const struct sw_watch *watch, uint64_t number, const char *ending, char path[PATH_MAX],
                                struct sw_error *err) {
    char numbered[48];
    enum sw_status status = SW_OK;
    for (uint64_t i = 0; i < NAMES_TRIED && status == SW_OK; i++) {
        unsigned long long tried = number + i;
        snprintf(numbered, sizeof numbered, ".%llu%s", tried, ending);
        status = path_make(watch, numbered, path, err);
        if (status == SW_OK && access(path, F_OK))
            break;
    }
    return status;
}

static enum sw_status folder_check(const struct sw_watch *watch, struct sw_error *err) {
    char path[PATH_MAX];
    struct stat stat_of;
    if (snprintf(path, sizeof path, "%.*s", SW_STR_ARG(watch->folder)) >= (int)sizeof path)
        return sw_fail(err, SW_INVALID, "--output: the name is longer than %d bytes", PATH_MAX - 1);
    if (stat(path, &stat_of))
        return sw_fail_errno(err, errno, "cannot use the folder %s", path);
    if (!S_ISDIR(stat_of.st_mode))
        return sw_fail(err, SW_INVALID, "--output %s: it is no folder; the profiles' names are chosen by the time",
                       path);
    return access(path, W_OK) ? sw_fail_errno(err, errno, "cannot write in the folder %s", path) : SW_OK;
}

/* A disk without room is told, and memory taken instead. */
static enum sw_status flight_open(struct session *session, struct sw_error *err) {
    const struct sw_watch *watch = session->watch;
    struct sw_flight_options options = {.pid = watch->pid,
                                        .rate_hz = watch->rate_hz,
                                        .what = watch->what,
                                        .keep_ns = watch->keep_ns,
                                        .ring_path = session->ring_path,
                                        .ring_bytes = watch->ring_bytes,
                                        .wants_gil = sw_watch_wants(watch, SW_FLIGHT_GIL_HELD) ||
                                                     sw_watch_wants(watch, SW_FLIGHT_GIL_WAIT_P99),
                                        .wants_loop = sw_watch_wants(watch, SW_FLIGHT_LOOP_LAG)};
    enum sw_status status = SW_EXISTS;
    for (int i = 0; i < NAMES_TRIED && status == SW_EXISTS; i++) { /* another watch may have taken the name just now */
        status = path_free(watch, 1, ".ring", session->ring_path, err);
        if (status == SW_OK)
            status = sw_flight_new(&session->flight, &options, err);
    }
    if (status == SW_LIMIT) {
        fprintf(stderr, "sidewinder: %s; the ring is kept in memory, and is lost if sidewinder is killed\n", err->text);
        session->ring_path[0] = '\0';
        options.ring_path = NULL;
        status = sw_flight_new(&session->flight, &options, err);
    } else if (status != SW_OK) {
        session->ring_path[0] = '\0';
    }
    return status;
}

static void begin_tell(const struct session *session) {
    const struct sw_watch *watch = session->watch;
    fprintf(stderr, "sidewinder: watching process %d (CPython %s) at %g Hz, keeping %g s in %s\n", (int)watch->pid,
            sw_flight_version(session->flight), watch->rate_hz, (double)watch->keep_ns / 1e9,
            session->ring_path[0] ? session->ring_path : "memory");
    fputs("sidewinder: saves ", stderr);
    for (size_t i = 0; i < session->watch->trigger_count; i++)
        fprintf(stderr, "%s%s, ", i ? "or " : "when ", session->triggers[i].rule.text);
    fputs("on SIGUSR1; Ctrl-C ends\n", stderr);
}

static enum sw_status profile_write(const struct sw_watch *watch, const struct sw_profile *profile, const char *path,
                                    struct sw_error *err) {
    struct sw_record_output output;
    struct sw_buf bytes = {0};
    struct sw_profile_view view = {.by_thread = true};
    enum sw_status status = sw_record_output_open(&output, sw_str_from(path), err);
    if (status == SW_OK && sw_profile_write(profile, watch->format, &view, &bytes) != SW_OK)
        status = sw_fail(err, SW_NOMEM, "cannot make the profile: out of memory");
    if (status == SW_OK)
        status = sw_record_output_write(&output, sw_buf_view(&bytes), err);
    sw_buf_release(&bytes);
    return status;
}

/* Names on stdout are data; how much of the past is in the file is said where it is less than was asked for. */
static void saved_tell(const struct session *session, const struct sw_profile *profile, const char *path) {
    printf("%s\t%.*s\n", path, SW_STR_ARG(profile->about.reason));
    fflush(stdout);
    fprintf(stderr, "sidewinder: saved %s: %.1f s, %zu samples; %.*s\n", path, (double)profile->about.duration_ns / 1e9,
            profile->sample_count, SW_STR_ARG(profile->about.reason));
    uint64_t lost = sw_flight_lost(session->flight);
    if (lost > 0)
        fprintf(stderr,
                "sidewinder: %" PRIu64 " samples so far were too large for the ring and are lost; --ring makes room\n",
                lost);
}

/* What cannot be saved is told, and the watch goes on. */
static void save(struct session *session, struct sw_str reason) {
    struct sw_profile profile = {0};
    struct sw_error err = {0};
    char path[PATH_MAX] = "";
    enum sw_status status =
        path_free(session->watch, session->saved + 1, sw_profile_format_ending(session->watch->format), path, &err);
    if (status == SW_OK)
        status = sw_flight_save(session->flight, reason, &profile, &err);
    if (status == SW_OK)
        status = profile_write(session->watch, &profile, path, &err);
    if (status == SW_OK) {
        session->saved++;
        saved_tell(session, &profile, path);
    } else {
        session->failed++;
        fprintf(stderr, "sidewinder: cannot save (%.*s): %s\n", SW_STR_ARG(reason), err.text);
    }
    sw_profile_release(&profile);
}

/* "cpu>90%: 97.3 %; threads>10: 12" */
static enum sw_status reason_add(struct sw_buf *reason, const struct sw_flight_rule *rule, double value) {
    char text[32];
    sw_flight_value_format(rule->metric, value, text);
    return sw_buf_append_format(reason, "%s%s: %s", reason->len ? "; " : "", rule->text, text);
}

static void rules_check(struct session *session, int64_t now_ns) {
    const double *values = sw_flight_values(session->flight);
    bool may_fire = !session->saved_ns || now_ns - session->saved_ns >= session->watch->cooldown_ns;
    struct sw_buf reason = {0};
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < session->watch->trigger_count && status == SW_OK; i++) {
        struct sw_flight_trigger *trigger = &session->triggers[i];
        bool is_exit = trigger->rule.metric == SW_FLIGHT_EXIT;
        if (sw_flight_trigger_step(trigger, values, may_fire || is_exit))
            status = reason_add(&reason, &trigger->rule, values[trigger->rule.metric]);
    }
    if (reason.len) {
        session->saved_ns = now_ns;
        save(session, sw_buf_view(&reason));
    }
    sw_buf_release(&reason);
}

static enum sw_status step(struct session *session, struct sw_error *err) {
    bool has_values;
    int64_t now_ns = sw_clock_mono_ns();
    int64_t until_ns = now_ns + POLL_NS < session->end_ns ? now_ns + POLL_NS : session->end_ns;
    enum sw_status status = sw_flight_step(session->flight, until_ns, &has_values, err);
    now_ns = sw_clock_mono_ns();
    if (status == SW_AGAIN) {
        if (now_ns >= session->complain_ns)
            fprintf(stderr, "sidewinder: %s; going on\n", err->text);
        session->complain_ns = now_ns + COMPLAIN_NS;
        status = SW_OK;
    }
    if (has_values)
        rules_check(session, now_ns);
    if (got_save && status == SW_OK) {
        got_save = 0;
        save(session, SW_STR("SIGUSR1"));
    }
    session->has_ended = status == SW_CLOSED;
    return status;
}

static double own_cpu_percent(const struct session *session) {
    int64_t wall_ns = sw_clock_mono_ns() - session->start_ns;
    return wall_ns > 0 ? 100.0 * (double)sw_clock_thread_cpu_ns() / (double)wall_ns : 0;
}

static void end_tell(const struct session *session) {
    struct sw_sampler_counts counts = sw_flight_counts(session->flight);
    unsigned long long samples = counts.exact + counts.partial;
    fprintf(
        stderr,
        "sidewinder: watched for %.1f s%s: %llu looks, %llu samples: %llu exact, %llu partial, %llu failed; own CPU "
        "%.2f %% of a core; %llu saved\n",
        (double)(sw_clock_mono_ns() - session->start_ns) / 1e9, session->has_ended ? ", until the process ended" : "",
        (unsigned long long)counts.looks, samples, (unsigned long long)counts.exact, (unsigned long long)counts.partial,
        (unsigned long long)counts.failed, own_cpu_percent(session), (unsigned long long)session->saved);
    if (counts.missed)
        fprintf(stderr, "sidewinder: fell behind: %llu looks were skipped\n", (unsigned long long)counts.missed);
}

static enum sw_status session_run(struct session *session, struct sw_error *err) {
    enum sw_status status = SW_OK;
    session->start_ns = sw_clock_mono_ns();
    session->end_ns = session->watch->duration_ns ? session->start_ns + session->watch->duration_ns : INT64_MAX;
    while (!got_end && status == SW_OK && session->saved < session->watch->saves_max &&
           sw_clock_mono_ns() < session->end_ns)
        status = step(session, err);
    end_tell(session);
    if (session->ring_path[0])
        unlink(session->ring_path);
    if (status != SW_OK && status != SW_CLOSED)
        return status;
    return session->failed
               ? sw_fail(err, SW_IO, "%llu profiles could not be saved", (unsigned long long)session->failed)
               : SW_OK;
}

static enum sw_status watch_run(const struct sw_watch *watch, struct sw_error *err) {
    struct session session = {.watch = watch};
    memcpy(session.triggers, watch->triggers, sizeof session.triggers);
    enum sw_status status = folder_check(watch, err);
    sw_files_allow();
    if (status == SW_OK) {
        signals_open();
        status = flight_open(&session, err);
    }
    if (status == SW_OK) {
        begin_tell(&session);
        status = session_run(&session, err);
    }
    sw_flight_free(session.flight);
    return status;
}

/* "DIR/NAME.json" for the ring ".../NAME.ring". */
static enum sw_status recovered_path(const struct sw_watch *watch, char path[PATH_MAX], struct sw_error *err) {
    const char *whole = watch->recover.ptr, *slash = strrchr(whole, '/');
    struct sw_str name = sw_str_from(slash ? slash + 1 : whole);
    if (sw_str_ends(name, SW_STR(".ring")))
        name.len -= 5;
    int len = snprintf(path, PATH_MAX, "%.*s/%.*s%s", SW_STR_ARG(watch->folder), SW_STR_ARG(name),
                       sw_profile_format_ending(watch->format));
    return len < 0 || len >= PATH_MAX ? sw_fail(err, SW_INVALID, "the name is longer than %d bytes", PATH_MAX - 1)
                                      : SW_OK;
}

static enum sw_status recover_run(const struct sw_watch *watch, struct sw_error *err) {
    struct sw_profile profile = {0};
    char path[PATH_MAX] = "";
    enum sw_status status = folder_check(watch, err);
    if (status == SW_OK)
        status = sw_flight_file_read(watch->recover.ptr, 0, &profile, err);
    if (status == SW_OK) {
        struct sw_profile_about about = profile.about;
        about.reason = SW_STR("recovered from the ring");
        status = sw_profile_describe(&profile, &about);
    }
    if (status == SW_OK)
        status = recovered_path(watch, path, err);
    if (status == SW_OK)
        status = profile_write(watch, &profile, path, err);
    if (status == SW_OK) {
        printf("%s\t%.*s\n", path, SW_STR_ARG(profile.about.reason));
        fprintf(stderr, "sidewinder: recovered %s: %.1f s, %zu samples\n", path,
                (double)profile.about.duration_ns / 1e9, profile.sample_count);
    }
    sw_profile_release(&profile);
    return status;
}

static void help_print(void) {
    printf(
        "usage: sidewinder watch [OPTION ...] PID\n"
        "       sidewinder watch --recover FILE [-o DIR] [--format NAME]\n\n"
        "A flight recorder: watches a Python process all the time, for less than 0.5 %% of a core, and saves what its "
        "threads\ndid in the last seconds when something happens.\n");
    sw_options_print(sw_watch_options);
    printf("\nExamples:\n"
           "  sidewinder watch 4242 --when 'cpu>90%%' --when 'gil_wait_p99>50ms'\n"
           "  sidewinder watch 4242 --keep 60s --when 'loop_lag>100ms' --format html -o /var/tmp\n");
}

int sw_cmd_watch(char **words) {
    struct sw_watch watch;
    struct sw_error err = {0};
    enum sw_status status = sw_watch_parse(&watch, words, &err);
    if (status != SW_OK) {
        fprintf(stderr, "sidewinder: %s\n", err.text);
        return SW_EXIT_USAGE;
    }
    if (watch.wants_help) {
        help_print();
        return SW_EXIT_DONE;
    }
    status = watch.pid ? watch_run(&watch, &err) : recover_run(&watch, &err);
    if (status == SW_OK)
        return SW_EXIT_DONE;
    fprintf(stderr, "sidewinder: %s\n", err.text);
    return status == SW_INVALID ? SW_EXIT_USAGE : SW_EXIT_FAILED;
}
