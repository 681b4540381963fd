/* host_cpu.c - CPU time by kind, switches, interrupts and forks, from /proc/stat. */
#include <math.h>

#include "base/mem.h"
#include "probe/host_impl.h"

#define MIN_KINDS 4 /* user, nice, system and idle have been there since Linux 2.4 */

static const struct sw_str stat_keys[SW_HOST_STAT_KEYS] = {
    [SW_HOST_INTR] = {"intr", 4},
    [SW_HOST_CTXT] = {"ctxt", 4},
    [SW_HOST_BTIME] = {"btime", 5},
    [SW_HOST_FORKS] = {"processes", 9},
    [SW_HOST_RUNNING] = {"procs_running", 13},
    [SW_HOST_BLOCKED] = {"procs_blocked", 13},
};

static bool parse_cpu(struct sw_str line, struct sw_host_cpu_ticks *out) {
    struct sw_str name = sw_host_next_word(&line);
    if (name.len >= sizeof out->name || !sw_str_starts(name, SW_STR("cpu"))) {
        return false;
    }
    for (size_t i = 3; i < name.len; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9') {
            return false;
        }
    }
    memset(out->name, 0, sizeof out->name);
    memcpy(out->name, name.len == 3 ? "all" : name.ptr, name.len);
    for (size_t i = 0; i < SW_HOST_TICKS; i++) {
        out->ticks[i] = sw_host_next_number(&line);
        if (i < MIN_KINDS && isnan(out->ticks[i])) {
            return false;
        }
    }
    return true;
}

size_t sw_host_parse_cpus(struct sw_str text, struct sw_host_cpu_ticks *out, size_t cap) {
    size_t count = 0;
    struct sw_str line;
    /* The CPU lines come first; what follows is longer by far (the intr line). */
    while (sw_host_next_line(&text, &line) && sw_str_starts(line, SW_STR("cpu"))) {
        struct sw_host_cpu_ticks parsed;
        if (parse_cpu(line, &parsed)) {
            if (count < cap) {
                out[count] = parsed;
            }
            count++;
        }
    }
    return count;
}

void sw_host_parse_stat(struct sw_str text, double keys[SW_HOST_STAT_KEYS]) {
    sw_host_parse_keys(text, stat_keys, SW_HOST_STAT_KEYS, keys);
}

static void set_unknown(struct sw_host_cpu *cpu) {
    cpu->busy = cpu->user = cpu->nice = cpu->system = cpu->iowait = cpu->irq = NAN;
    cpu->softirq = cpu->steal = cpu->guest = cpu->idle = NAN;
}

/* The kernel lets idle and iowait step back a little; such a step counts as none. */
static double step(const struct sw_host_cpu_ticks *before, const struct sw_host_cpu_ticks *now,
                   enum sw_host_tick kind) {
    return fmax(now->ticks[kind] - before->ticks[kind], 0);
}

static double known(double value) {
    return isnan(value) ? 0 : value;
}

void sw_host_cpu_percent(const struct sw_host_cpu_ticks *before, const struct sw_host_cpu_ticks *now,
                         struct sw_host_cpu *out) {
    memcpy(out->name, now->name, sizeof out->name);
    set_unknown(out);
    double ticks[SW_HOST_TICKS];
    double total = 0;
    for (int kind = 0; kind < SW_HOST_TICKS; kind++) {
        bool is_measured = !isnan(now->ticks[kind]) && !isnan(before->ticks[kind]);
        ticks[kind] = is_measured ? step(before, now, (enum sw_host_tick)kind) : (double)NAN;
        total += kind < SW_HOST_GUEST ? known(ticks[kind]) : 0;
    }
    if (total <= 0) {
        return; /* less than a clock tick, or a CPU that was offline */
    }
    double scale = 100 / total;
    out->user = fmax(ticks[SW_HOST_USER] - known(ticks[SW_HOST_GUEST]), 0) * scale;
    out->nice = fmax(ticks[SW_HOST_NICE] - known(ticks[SW_HOST_GUEST_NICE]), 0) * scale;
    out->system = ticks[SW_HOST_SYSTEM] * scale;
    out->iowait = ticks[SW_HOST_IOWAIT] * scale;
    out->irq = ticks[SW_HOST_IRQ] * scale;
    out->softirq = ticks[SW_HOST_SOFTIRQ] * scale;
    out->steal = ticks[SW_HOST_STEAL] * scale;
    out->guest = (ticks[SW_HOST_GUEST] + known(ticks[SW_HOST_GUEST_NICE])) * scale;
    out->idle = ticks[SW_HOST_IDLE] * scale;
    out->busy = fmax(100 - out->idle - known(out->iowait), 0);
}

static const struct sw_host_cpu_ticks *find_before(const struct sw_host_cpu_state *state, size_t guess,
                                                   const char *name) {
    if (guess < state->before_count && strcmp(state->before[guess].name, name) == 0) {
        return &state->before[guess];
    }
    for (size_t i = 0; i < state->before_count; i++) {
        if (strcmp(state->before[i].name, name) == 0) {
            return &state->before[i];
        }
    }
    return NULL;
}

static enum sw_status read_cpus(struct sw_host_cpu_state *state, struct sw_str text) {
    size_t count = sw_host_parse_cpus(text, state->now, state->now_cap);
    if (count > state->now_cap || count > state->cpu_cap) {
        struct sw_host_cpu_ticks *now = sw_host_grown(state->now, count, &state->now_cap, sizeof *now);
        struct sw_host_cpu *cpus = sw_host_grown(state->cpus, count, &state->cpu_cap, sizeof *cpus);
        state->now = now ? now : state->now;
        state->cpus = cpus ? cpus : state->cpus;
        if (!now || !cpus) {
            return SW_NOMEM;
        }
        sw_host_parse_cpus(text, state->now, state->now_cap);
    }
    for (size_t i = 0; i < count; i++) {
        const struct sw_host_cpu_ticks *before = find_before(state, i, state->now[i].name);
        if (before) {
            sw_host_cpu_percent(before, &state->now[i], &state->cpus[i]);
        } else {
            memcpy(state->cpus[i].name, state->now[i].name, sizeof state->cpus[i].name);
            set_unknown(&state->cpus[i]);
        }
    }
    struct sw_host_cpu_ticks *swap = state->before;
    size_t swap_cap = state->before_cap;
    state->before = state->now;
    state->before_cap = state->now_cap;
    state->before_count = state->cpu_count = count;
    state->now = swap;
    state->now_cap = swap_cap;
    return SW_OK;
}

enum sw_status sw_host_cpu_read(struct sw_host *host, int64_t now_ns) {
    struct sw_host_cpu_state *state = &host->cpu;
    if (state->at_ns != 0 && now_ns - state->at_ns < host->cpu_window_ns) {
        return SW_OK;
    }
    struct sw_str text = sw_host_read_text(host->fds[SW_HOST_STAT], &host->text);
    enum sw_status status = read_cpus(state, text);
    if (status) {
        return status;
    }
    double keys[SW_HOST_STAT_KEYS];
    sw_host_parse_stat(text, keys);
    double elapsed_s = sw_host_elapsed_s(state->at_ns, now_ns);
    state->interrupts_per_s = sw_host_rate(state->keys[SW_HOST_INTR], keys[SW_HOST_INTR], elapsed_s);
    state->switches_per_s = sw_host_rate(state->keys[SW_HOST_CTXT], keys[SW_HOST_CTXT], elapsed_s);
    state->forks_per_s = sw_host_rate(state->keys[SW_HOST_FORKS], keys[SW_HOST_FORKS], elapsed_s);
    memcpy(state->keys, keys, sizeof keys);
    state->at_ns = now_ns;
    return SW_OK;
}

void sw_host_cpu_release(struct sw_host_cpu_state *state) {
    sw_free(state->before);
    sw_free(state->now);
    sw_free(state->cpus);
}
