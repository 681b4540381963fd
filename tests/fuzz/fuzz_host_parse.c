/* fuzz_host_parse.c - Every parser of the host reader over arbitrary bytes. */
#include <stddef.h>
#include <stdint.h>

#include "probe/host_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct sw_str text = sw_str_make((const char *)bytes, size);
    struct sw_host_machine machine;
    struct sw_host_pid_stat stat;
    struct sw_host_cpu_ticks cpus[4];
    struct sw_host_disk_counts disks[4];
    struct sw_host_net_counts nets[4];
    double values[SW_HOST_STAT_KEYS + SW_HOST_VM_KEYS];
    if (sw_host_parse_cpus(text, cpus, 4) >= 2) {
        struct sw_host_cpu cpu;
        sw_host_cpu_percent(&cpus[0], &cpus[1], &cpu);
        if (cpu.busy < 0 || cpu.busy > 100) {
            __builtin_trap();
        }
    }
    sw_host_parse_stat(text, values);
    sw_host_parse_meminfo(text, &machine);
    sw_host_parse_vmstat(text, values);
    sw_host_parse_loadavg(text, &machine);
    sw_host_parse_pressure(text);
    sw_host_parse_disks(text, disks, 4);
    sw_host_parse_nets(text, nets, 4);
    if (sw_host_parse_pid_stat(text, &stat) && (stat.pid < 0 || strlen(stat.name) >= sizeof stat.name)) {
        __builtin_trap();
    }
    sw_host_parse_schedstat(text);
    sw_host_parse_status(text);
    sw_host_parse_pid_io(text, &values[0], &values[1]);
    return 0;
}
