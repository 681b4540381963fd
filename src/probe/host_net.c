/* host_net.c - Traffic, errors and drops of each network interface, from /proc/net/dev. */
#include <math.h>

#include "base/mem.h"
#include "probe/host_impl.h"

/* "  eth0: " then 8 numbers received (bytes, packets, errors, drops, ...) and 8 sent, in the same order first. */
static bool parse_net(struct sw_str line, struct sw_host_net_counts *out) {
    const char *colon = line.len > 0 ? memrchr(line.ptr, ':', line.len) : NULL; /* "eth0:1" is a legal name */
    if (!colon) {
        return false;
    }
    struct sw_str before_colon = sw_str_make(line.ptr, (size_t)(colon - line.ptr));
    struct sw_str name = sw_host_next_word(&before_colon);
    line = sw_str_skip(line, (size_t)(colon - line.ptr) + 1);
    double field[16];
    for (size_t i = 0; i < 16; i++) {
        field[i] = sw_host_next_number(&line);
    }
    if (name.len == 0 || isnan(field[15])) {
        return false;
    }
    *out = (struct sw_host_net_counts){
        .rx_bytes = field[0],
        .rx_packets = field[1],
        .tx_bytes = field[8],
        .tx_packets = field[9],
        .errors = field[2] + field[10],
        .drops = field[3] + field[11],
    };
    sw_host_copy_name(out->name, name);
    return true;
}

size_t sw_host_parse_nets(struct sw_str text, struct sw_host_net_counts *out, size_t cap) {
    size_t count = 0;
    struct sw_str line;
    while (sw_host_next_line(&text, &line)) {
        struct sw_host_net_counts parsed;
        if (parse_net(line, &parsed)) {
            if (count < cap) {
                out[count] = parsed;
            }
            count++;
        }
    }
    return count;
}

static const struct sw_host_net_counts *find_before(const struct sw_host_net_state *state, size_t guess,
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

static void set_rates(struct sw_host_net *net, const struct sw_host_net_counts *before,
                      const struct sw_host_net_counts *now, double elapsed_s) {
    memcpy(net->name, now->name, sizeof net->name);
    net->rx_bytes_per_s = sw_host_rate(before->rx_bytes, now->rx_bytes, elapsed_s);
    net->tx_bytes_per_s = sw_host_rate(before->tx_bytes, now->tx_bytes, elapsed_s);
    net->rx_packets_per_s = sw_host_rate(before->rx_packets, now->rx_packets, elapsed_s);
    net->tx_packets_per_s = sw_host_rate(before->tx_packets, now->tx_packets, elapsed_s);
    net->errors_per_s = sw_host_rate(before->errors, now->errors, elapsed_s);
    net->drops_per_s = sw_host_rate(before->drops, now->drops, elapsed_s);
}

static enum sw_status reserve(struct sw_host_net_state *state, size_t count) {
    struct sw_host_net_counts *now = sw_host_grown(state->now, count, &state->now_cap, sizeof *now);
    struct sw_host_net *nets = sw_host_grown(state->nets, count, &state->net_cap, sizeof *nets);
    state->now = now ? now : state->now;
    state->nets = nets ? nets : state->nets;
    return now && nets ? SW_OK : SW_NOMEM;
}

enum sw_status sw_host_net_read(struct sw_host *host, int64_t now_ns) {
    static const struct sw_host_net_counts unknown = {"", NAN, NAN, NAN, NAN, NAN, NAN};
    struct sw_host_net_state *state = &host->net;
    struct sw_str text = sw_host_read_text(host->fds[SW_HOST_NETDEV], &host->text);
    size_t count = sw_host_parse_nets(text, state->now, state->now_cap);
    if (count > state->now_cap || count > state->net_cap) {
        if (reserve(state, count)) {
            return SW_NOMEM;
        }
        sw_host_parse_nets(text, state->now, state->now_cap);
    }
    double elapsed_s = sw_host_elapsed_s(state->at_ns, now_ns);
    for (size_t i = 0; i < count; i++) {
        const struct sw_host_net_counts *before = find_before(state, i, state->now[i].name);
        set_rates(&state->nets[i], before ? before : &unknown, &state->now[i], elapsed_s);
    }
    struct sw_host_net_counts *swap = state->before;
    size_t swap_cap = state->before_cap;
    state->before = state->now;
    state->before_cap = state->now_cap;
    state->before_count = state->net_count = count;
    state->now = swap;
    state->now_cap = swap_cap;
    state->at_ns = now_ns;
    return SW_OK;
}

void sw_host_net_release(struct sw_host_net_state *state) {
    sw_free(state->before);
    sw_free(state->now);
    sw_free(state->nets);
}
