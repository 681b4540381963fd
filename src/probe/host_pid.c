/* host_pid.c - Parses the files of one process: stat, schedstat, status, io. */
#include <math.h>

#include "probe/host_impl.h"

static void skip_words(struct sw_str *line, int count) {
    for (int i = 0; i < count; i++) {
        sw_host_next_word(line);
    }
}

/* "7 (a name) S ..." - the name may hold blanks, brackets and line ends itself, so the last bracket ends it. */
bool sw_host_parse_pid_stat(struct sw_str text, struct sw_host_pid_stat *out) {
    struct sw_host_pid_stat parsed;
    struct sw_str line;
    bool is_ok = true;
    const char *open = text.len > 0 ? memchr(text.ptr, '(', text.len) : NULL;
    const char *close = text.len > 0 ? memrchr(text.ptr, ')', text.len) : NULL;
    if (!open || !close || close < open) {
        return false;
    }
    struct sw_str head = sw_str_make(text.ptr, (size_t)(open - text.ptr));
    uint64_t pid = sw_host_next_u64(&head, &is_ok);
    sw_host_copy_name(parsed.name, sw_str_make(open + 1, (size_t)(close - open - 1)));
    text = sw_str_skip(text, (size_t)(close - text.ptr) + 1);
    if (!sw_host_next_line(&text, &line)) {
        return false;
    }
    struct sw_str state = sw_host_next_word(&line);
    skip_words(&line, 6); /* parent, group, session, terminal, its group, flags */
    parsed.minor_faults = sw_host_next_number(&line);
    skip_words(&line, 1);
    parsed.major_faults = sw_host_next_number(&line);
    skip_words(&line, 1);
    parsed.cpu_ticks = sw_host_next_number(&line); /* user, then system */
    parsed.cpu_ticks += sw_host_next_number(&line);
    skip_words(&line, 4); /* those of its children, priority, nice */
    parsed.threads = sw_host_next_number(&line);
    skip_words(&line, 1);
    parsed.start_ticks = sw_host_next_u64(&line, &is_ok);
    skip_words(&line, 1); /* virtual size */
    parsed.rss_pages = sw_host_next_number(&line);
    if (!is_ok || pid > INT32_MAX || state.len != 1 || isnan(parsed.cpu_ticks) || isnan(parsed.rss_pages)) {
        return false;
    }
    parsed.pid = (int32_t)pid;
    parsed.state = *state.ptr;
    *out = parsed;
    return true;
}

/* Time on CPU, time waiting, times put on a CPU. The last grows by one with each switch to the thread, of either kind.
 * A thread that has run was put on at least once: 0 means the kernel does not count. */
double sw_host_parse_schedstat(struct sw_str text) {
    struct sw_str line;
    if (!sw_host_next_line(&text, &line)) {
        return NAN;
    }
    skip_words(&line, 2);
    double switches = sw_host_next_number(&line);
    return switches > 0 ? switches : (double)NAN;
}

double sw_host_parse_status(struct sw_str text) {
    static const struct sw_str keys[] = {{"voluntary_ctxt_switches", 23}, {"nonvoluntary_ctxt_switches", 26}};
    double values[2];
    sw_host_parse_keys(text, keys, 2, values);
    return values[0] + values[1];
}

void sw_host_parse_pid_io(struct sw_str text, double *read_bytes, double *write_bytes) {
    static const struct sw_str keys[] = {{"read_bytes", 10}, {"write_bytes", 11}};
    double values[2];
    sw_host_parse_keys(text, keys, 2, values);
    *read_bytes = values[0];
    *write_bytes = values[1];
}

int32_t sw_host_parse_id(const char *name) {
    int64_t id = 0;
    for (size_t i = 0; name[i] != '\0'; i++) {
        if (name[i] < '0' || name[i] > '9' || i >= 10) {
            return 0;
        }
        id = id * 10 + (name[i] - '0');
    }
    return name[0] == '0' || id > INT32_MAX ? 0 : (int32_t)id;
}
