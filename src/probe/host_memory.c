/* host_memory.c - Memory, swap and page faults, from /proc/meminfo and /proc/vmstat. */
#include <math.h>

#include "base/clock.h"
#include "probe/host_impl.h"

/* /proc/vmstat sums a hundred counters over every core: 14 us on 2 cores, more with more. Past this, read rarely. */
#define VMSTAT_DEAR_NS (100 * SW_NS_PER_US)

enum memory_key { TOTAL, FREE, AVAILABLE, BUFFERS, CACHED, SWAP_TOTAL, SWAP_FREE, DIRTY, MEMORY_KEYS };

static const struct sw_str memory_keys[MEMORY_KEYS] = {
    [TOTAL] = {"MemTotal", 8},     [FREE] = {"MemFree", 7},  [AVAILABLE] = {"MemAvailable", 12},
    [BUFFERS] = {"Buffers", 7},    [CACHED] = {"Cached", 6}, [SWAP_TOTAL] = {"SwapTotal", 9},
    [SWAP_FREE] = {"SwapFree", 8}, [DIRTY] = {"Dirty", 5},
};

static const struct sw_str vm_keys[SW_HOST_VM_KEYS] = {
    [SW_HOST_PGFAULT] = {"pgfault", 7},
    [SW_HOST_PGMAJFAULT] = {"pgmajfault", 10},
    [SW_HOST_PSWPIN] = {"pswpin", 6},
    [SW_HOST_PSWPOUT] = {"pswpout", 7},
};

void sw_host_parse_meminfo(struct sw_str text, struct sw_host_machine *machine) {
    double kib[MEMORY_KEYS];
    sw_host_parse_keys(text, memory_keys, MEMORY_KEYS, kib);
    double used = kib[TOTAL] - kib[AVAILABLE];
    double swap_used = kib[SWAP_TOTAL] - kib[SWAP_FREE];
    machine->memory_total_bytes = kib[TOTAL] * 1024;
    machine->memory_used_bytes = used >= 0 ? used * 1024 : (double)NAN;
    machine->memory_available_bytes = kib[AVAILABLE] * 1024;
    machine->memory_cached_bytes = kib[CACHED] * 1024;
    machine->memory_buffers_bytes = kib[BUFFERS] * 1024;
    machine->memory_dirty_bytes = kib[DIRTY] * 1024;
    machine->swap_total_bytes = kib[SWAP_TOTAL] * 1024;
    machine->swap_used_bytes = swap_used >= 0 ? swap_used * 1024 : (double)NAN;
}

void sw_host_parse_vmstat(struct sw_str text, double vm[SW_HOST_VM_KEYS]) {
    sw_host_parse_keys(text, vm_keys, SW_HOST_VM_KEYS, vm);
}

static void read_vmstat(struct sw_host *host, int64_t now_ns) {
    struct sw_host_memory_state *state = &host->memory;
    int64_t window_ns = state->vm_cost_ns > VMSTAT_DEAR_NS ? host->detail_window_ns : 0;
    if (state->vm_at_ns != 0 && now_ns - state->vm_at_ns < window_ns) {
        return;
    }
    int64_t start_ns = sw_clock_mono_ns();
    double vm[SW_HOST_VM_KEYS];
    sw_host_parse_vmstat(sw_host_read_text(host->fds[SW_HOST_VMSTAT], &host->text), vm);
    double elapsed_s = sw_host_elapsed_s(state->vm_at_ns, now_ns);
    for (int i = 0; i < SW_HOST_VM_KEYS; i++) {
        state->vm_per_s[i] = sw_host_rate(state->vm[i], vm[i], elapsed_s);
        state->vm[i] = vm[i];
    }
    state->vm_at_ns = now_ns;
    state->vm_cost_ns = sw_clock_mono_ns() - start_ns;
}

void sw_host_memory_read(struct sw_host *host, int64_t now_ns, struct sw_host_machine *machine) {
    sw_host_parse_meminfo(sw_host_read_text(host->fds[SW_HOST_MEMINFO], &host->text), machine);
    read_vmstat(host, now_ns);
    const double *per_s = host->memory.vm_per_s;
    machine->page_faults_per_s = per_s[SW_HOST_PGFAULT];
    machine->major_faults_per_s = per_s[SW_HOST_PGMAJFAULT];
    machine->swap_in_bytes_per_s = per_s[SW_HOST_PSWPIN] * host->page_bytes;
    machine->swap_out_bytes_per_s = per_s[SW_HOST_PSWPOUT] * host->page_bytes;
}
