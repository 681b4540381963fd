/* host_pressure.c - Load averages from /proc/loadavg and pressure stall shares from /proc/pressure. */
#include <math.h>

#include "base/num.h"
#include "probe/host_impl.h"

static double next_f64(struct sw_str *line) {
    struct sw_str word = sw_host_next_word(line);
    double value = NAN;
    if (word.len == 0 || *word.ptr < '0' || *word.ptr > '9') {
        return NAN;
    }
    const char *end = word.ptr + word.len;
    return sw_num_parse_f64(word.ptr, end, &value) == end && isfinite(value) ? value : (double)NAN;
}

/* "0.20 0.18 0.12 1/80 11206" */
void sw_host_parse_loadavg(struct sw_str text, struct sw_host_machine *machine) {
    struct sw_str line = {NULL, 0};
    machine->load1 = machine->load5 = machine->load15 = machine->threads_running = NAN;
    if (!sw_host_next_line(&text, &line)) {
        return;
    }
    machine->load1 = next_f64(&line);
    machine->load5 = next_f64(&line);
    machine->load15 = next_f64(&line);
    machine->threads_running = sw_host_next_number(&line);
}

static double parse_total(struct sw_str line) {
    for (;;) {
        struct sw_str word = sw_host_next_word(&line);
        if (word.len == 0) {
            return NAN;
        }
        if (sw_str_starts(word, SW_STR("total="))) {
            word = sw_str_skip(word, 6);
            return sw_host_next_number(&word);
        }
    }
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", then the same for "full". The averages move every 2 s only. */
struct sw_host_pressure sw_host_parse_pressure(struct sw_str text) {
    struct sw_host_pressure total_us = {NAN, NAN};
    struct sw_str line;
    while (sw_host_next_line(&text, &line)) {
        struct sw_str kind = sw_host_next_word(&line);
        if (sw_str_eq(kind, SW_STR("some"))) {
            total_us.some = parse_total(line);
        } else if (sw_str_eq(kind, SW_STR("full"))) {
            total_us.full = parse_total(line);
        }
    }
    return total_us;
}

/* The kernel brings a total up to date in steps, so that a share may come out a little over the whole. */
static double share(double before_us, double now_us, double elapsed_s) {
    double percent = sw_host_rate(before_us, now_us, elapsed_s) / 1e4;
    return percent > 100 ? 100 : percent;
}

void sw_host_pressure_read(struct sw_host *host, int64_t now_ns, struct sw_host_machine *machine) {
    struct sw_host_pressure_state *state = &host->pressure;
    struct sw_host_pressure *shares[3] = {&machine->cpu_pressure, &machine->memory_pressure, &machine->io_pressure};
    double elapsed_s = sw_host_elapsed_s(state->at_ns, now_ns);
    for (int i = 0; i < 3; i++) {
        int fd = host->fds[SW_HOST_PSI_CPU + i];
        struct sw_host_pressure now = sw_host_parse_pressure(sw_host_read_text(fd, &host->text));
        shares[i]->some = share(state->total_us[i].some, now.some, elapsed_s);
        shares[i]->full = share(state->total_us[i].full, now.full, elapsed_s);
        state->total_us[i] = now;
    }
    state->at_ns = now_ns;
    sw_host_parse_loadavg(sw_host_read_text(host->fds[SW_HOST_LOADAVG], &host->text), machine);
}
