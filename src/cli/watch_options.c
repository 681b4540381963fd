/* watch_options.c - From words to what is watched, and when it is saved; see watch_options.h. */
#include "cli/watch_options.h"

#include "base/clock.h"
#include "base/num.h"

#define KEEP_NS (30 * SW_NS_PER_S)
#define KEEP_LEAST_NS SW_NS_PER_S
#define TIME_MAX_NS (10 * 365 * 24 * 3600 * SW_NS_PER_S)
#define KEEP_MAX_NS (24 * 3600 * SW_NS_PER_S)
#define SAVES_MAX 100
#define RATE_LEAST_HZ 1.0
#define RATE_MOST_HZ 10000.0

enum row {
    HEAD_WATCHED,
    KEEP,
    RATE,
    RUNNING,
    FOR,
    HEAD_SAVED,
    WHEN,
    COOLDOWN,
    MAX_SAVES,
    OUTPUT,
    FORMAT,
    HEAD_RING,
    RING,
    RECOVER,
    HEAD_OTHER,
    HELP,
};

const struct sw_option sw_watch_options[] = {
    [HEAD_WATCHED] = {"What is watched", NULL, NULL},
    [KEEP] = {"keep", "TIME", "how much of the past is kept and saved; 30s by default"},
    [RATE] = {"rate", "HZ", "looks a second, 1 to 10000; 100 by default", 'r'},
    [RUNNING] = {"running", NULL, "only threads on a CPU or ready for one (by default all)"},
    [FOR] = {"for", "TIME", "end after this time, such as 8h; by default with the process, or Ctrl-C"},
    [HEAD_SAVED] = {"What is saved", NULL, NULL},
    [WHEN] = {"when", "CONDITION",
              "save when this becomes true: cpu>90%, gil_held>80%, gil_wait_p99>50ms, loop_lag>100ms, rss>2GiB, "
              "rss_growth>10MiB/min, threads>200 or exit; may be given several times"},
    [COOLDOWN] = {"cooldown", "TIME", "the least time from one saving to the next; as --keep by default"},
    [MAX_SAVES] = {"max-saves", "N", "end when so many profiles were saved; 100 by default"},
    [OUTPUT] = {"output", "DIR", "where the ring and the profiles are put; the current folder by default", 'o'},
    [FORMAT] = {"format", "NAME", "json (the default), html, svg, speedscope, pprof, collapsed or chrome"},
    [HEAD_RING] = {"The ring", NULL, NULL},
    [RING] = {"ring", "SIZE", "room on the disk for what is kept, 8MiB to 4GiB; 16MiB by default"},
    [RECOVER] = {"recover", "FILE", "save what is in the ring of a sidewinder that was killed"},
    [HEAD_OTHER] = {"Other", NULL, NULL},
    [HELP] = {"help", NULL, "show this text", 'h'},
    {0},
};

struct draft {
    struct sw_watch *watch;
    bool has_cooldown;
};

static enum sw_status pid_take(struct sw_watch *watch, struct sw_str word, struct sw_error *err) {
    uint64_t pid;
    if (sw_str_to_u64(word, &pid) != SW_OK || pid == 0 || pid > INT32_MAX)
        return sw_fail(err, SW_INVALID, "'%.*s' is no process id; `sidewinder ps` lists them", SW_STR_ARG(word));
    if (watch->pid)
        return sw_fail(err, SW_INVALID, "one process at a time: %d or %.*s; start a `sidewinder watch` for each",
                       (int)watch->pid, SW_STR_ARG(word));
    watch->pid = (int32_t)pid;
    return SW_OK;
}

static enum sw_status rate_take(struct sw_watch *watch, struct sw_str value, struct sw_error *err) {
    double rate_hz = 0;
    if (sw_num_parse_f64(value.ptr, value.ptr + value.len, &rate_hz) != value.ptr + value.len ||
        !(rate_hz >= RATE_LEAST_HZ) || rate_hz > RATE_MOST_HZ)
        return sw_fail(err, SW_INVALID, "--rate %.*s: expected looks a second, from 1 to 10000", SW_STR_ARG(value));
    watch->rate_hz = rate_hz;
    return SW_OK;
}

static enum sw_status rule_take(struct sw_watch *watch, struct sw_str value, struct sw_error *err) {
    if (watch->trigger_count == SW_FLIGHT_RULES_MAX)
        return sw_fail(err, SW_INVALID, "more than %d conditions", SW_FLIGHT_RULES_MAX);
    struct sw_flight_trigger *trigger = &watch->triggers[watch->trigger_count];
    enum sw_status status = sw_flight_rule_parse(&trigger->rule, value, err);
    watch->trigger_count += status == SW_OK;
    return status;
}

static enum sw_status time_take(unsigned row, struct sw_str value, int64_t most_ns, int64_t *time_ns,
                                struct sw_error *err) {
    int64_t taken_ns;
    enum sw_status status = sw_option_duration(&sw_watch_options[row], value, &taken_ns, err);
    if (status == SW_OK && taken_ns > most_ns)
        return sw_fail(err, SW_INVALID, "--%s %.*s: it is at most %lldh", sw_watch_options[row].name, SW_STR_ARG(value),
                       (long long)(most_ns / (3600 * SW_NS_PER_S)));
    if (status == SW_OK)
        *time_ns = taken_ns;
    return status;
}

static enum sw_status ring_take(struct sw_watch *watch, struct sw_str value, struct sw_error *err) {
    uint64_t size_bytes;
    if (sw_str_to_size_bytes(value, &size_bytes) != SW_OK || size_bytes < SW_FLIGHT_RING_BYTES_MIN ||
        size_bytes > SW_FLIGHT_RING_BYTES_MAX)
        return sw_fail(err, SW_INVALID, "--ring %.*s: expected a size from 8MiB to 4GiB", SW_STR_ARG(value));
    watch->ring_bytes = size_bytes;
    return SW_OK;
}

static enum sw_status saves_take(struct sw_watch *watch, struct sw_str value, struct sw_error *err) {
    uint64_t count;
    if (sw_str_to_u64(value, &count) != SW_OK || count == 0)
        return sw_fail(err, SW_INVALID, "--max-saves %.*s: expected a number from 1 on", SW_STR_ARG(value));
    watch->saves_max = count;
    return SW_OK;
}

static enum sw_status row_take(void *context, unsigned row, struct sw_str value, struct sw_error *err) {
    struct draft *draft = context;
    struct sw_watch *watch = draft->watch;
    switch (row) {
    case SW_OPTION_WORD:
        return pid_take(watch, value, err);
    case KEEP:
        return time_take(row, value, KEEP_MAX_NS, &watch->keep_ns, err);
    case RATE:
        return rate_take(watch, value, err);
    case RUNNING:
        watch->what = SW_SAMPLE_CPU;
        return SW_OK;
    case FOR:
        return time_take(row, value, TIME_MAX_NS, &watch->duration_ns, err);
    case WHEN:
        return rule_take(watch, value, err);
    case COOLDOWN:
        draft->has_cooldown = true;
        return time_take(row, value, TIME_MAX_NS, &watch->cooldown_ns, err);
    case MAX_SAVES:
        return saves_take(watch, value, err);
    case OUTPUT:
        watch->folder = value;
        return SW_OK;
    case FORMAT:
        return sw_profile_format_by_name(value, &watch->format, err);
    case RING:
        return ring_take(watch, value, err);
    case RECOVER:
        watch->recover = value;
        return SW_OK;
    default:
        watch->wants_help = true;
        return SW_OK;
    }
}

enum sw_status sw_watch_parse(struct sw_watch *watch, char **words, struct sw_error *err) {
    *watch = (struct sw_watch){.keep_ns = KEEP_NS,
                               .saves_max = SAVES_MAX,
                               .rate_hz = SW_FLIGHT_RATE_HZ,
                               .what = SW_SAMPLE_WALL,
                               .folder = SW_STR("."),
                               .format = SW_PROFILE_JSON};
    struct draft draft = {.watch = watch};
    struct sw_option_syntax syntax = {sw_watch_options, "process ids", NULL};
    enum sw_status status = sw_options_parse(&syntax, words, row_take, &draft, err);
    if (status != SW_OK || watch->wants_help)
        return status;
    if (!draft.has_cooldown)
        watch->cooldown_ns = watch->keep_ns;
    if (!watch->pid && !watch->recover.len)
        return sw_fail(err, SW_INVALID, "what is to be watched? A process id; `sidewinder ps` lists them");
    if (watch->pid && watch->recover.len)
        return sw_fail(err, SW_INVALID, "either watch a process or --recover a file, not both");
    if (watch->keep_ns < KEEP_LEAST_NS)
        return sw_fail(err, SW_INVALID, "--keep: at least a second is kept");
    return SW_OK;
}

bool sw_watch_wants(const struct sw_watch *watch, enum sw_flight_metric metric) {
    for (size_t i = 0; i < watch->trigger_count; i++)
        if (watch->triggers[i].rule.metric == metric)
            return true;
    return false;
}
