/* host_job.c - Tables of what host:// shows; see host_job.h. */
#include "engine/host_job.h"

#include <stddef.h>

#include "base/buf.h"
#include "engine/python_process.h"
#include "probe/host.h"

#define CPU(member) offsetof(struct sw_host_cpu, member)
#define MACHINE(member) offsetof(struct sw_host_machine, member)
#define DISK(member) offsetof(struct sw_host_disk, member)
#define NET(member) offsetof(struct sw_host_net, member)
#define PROCESS(member) offsetof(struct sw_host_process, member)
#define PYTHON(member) offsetof(struct sw_python_figures, member)

/* The names of processes change all day: their ids are used again once nothing shows them any more. */
#define PROCESS_KEYS 2048u

static const struct sw_host_column cpu_columns[] = {
    {"busy", "CPU busy", "%", CPU(busy), true},
    {"user", "CPU user", "%", CPU(user), false},
    {"nice", NULL, "%", CPU(nice), false},
    {"system", "CPU system", "%", CPU(system), false},
    {"iowait", "CPU waiting for I/O", "%", CPU(iowait), false},
    {"irq", NULL, "%", CPU(irq), false},
    {"softirq", NULL, "%", CPU(softirq), false},
    {"steal", "CPU stolen", "%", CPU(steal), false},
    {0},
};

static const struct sw_host_column machine_columns[] = {
    {"load1", "Load, 1 min", "", MACHINE(load1), false},
    {"running", "Run queue", "", MACHINE(running), true},
    {"blocked", "Blocked tasks", "", MACHINE(blocked), false},
    {"pressure_cpu", "CPU pressure", "%", MACHINE(cpu_pressure.some), false},
    {"pressure_memory", "Memory pressure", "%", MACHINE(memory_pressure.some), false},
    {"pressure_memory_full", NULL, "%", MACHINE(memory_pressure.full), false},
    {"pressure_io", "I/O pressure", "%", MACHINE(io_pressure.some), false},
    {"pressure_io_full", NULL, "%", MACHINE(io_pressure.full), false},
    {"memory_used", "Memory used", "bytes", MACHINE(memory_used_bytes), false},
    {"memory_available", NULL, "bytes", MACHINE(memory_available_bytes), false},
    {"memory_cached", "Page cache", "bytes", MACHINE(memory_cached_bytes), false},
    {"swap_used", "Swap used", "bytes", MACHINE(swap_used_bytes), false},
    {"page_faults", "Page faults", "/s", MACHINE(page_faults_per_s), true},
    {"major_faults", "Major page faults", "/s", MACHINE(major_faults_per_s), false},
    {"context_switches", "Context switches", "/s", MACHINE(context_switches_per_s), true},
    {"interrupts", "Interrupts", "/s", MACHINE(interrupts_per_s), true},
    {"forks", "Forks", "/s", MACHINE(forks_per_s), false},
    {"processes", NULL, "", MACHINE(processes), false},
    {"threads", "Threads", "", MACHINE(threads), false},
    {0},
};

static const struct sw_host_column disk_columns[] = {
    {"read_bytes", "Disk read", "bytes/s", DISK(read_bytes_per_s), true},
    {"write_bytes", "Disk write", "bytes/s", DISK(write_bytes_per_s), true},
    {"reads", NULL, "/s", DISK(reads_per_s), false},
    {"writes", NULL, "/s", DISK(writes_per_s), false},
    {"read_latency", "Disk read latency", "ms", DISK(read_latency_ms), false},
    {"write_latency", "Disk write latency", "ms", DISK(write_latency_ms), false},
    {"utilisation", "Disk utilisation", "%", DISK(utilisation), false},
    {0},
};

static const struct sw_host_column net_columns[] = {
    {"rx_bytes", "Network received", "bytes/s", NET(rx_bytes_per_s), true},
    {"tx_bytes", "Network sent", "bytes/s", NET(tx_bytes_per_s), true},
    {"rx_packets", "Packets received", "/s", NET(rx_packets_per_s), false},
    {"tx_packets", "Packets sent", "/s", NET(tx_packets_per_s), false},
    {"errors", NULL, "/s", NET(errors_per_s), false},
    {"drops", NULL, "/s", NET(drops_per_s), false},
    {0},
};

static const struct sw_host_column process_columns[] = {
    {"cpu", "CPU by process", "%", PROCESS(cpu), true},
    {"rss", "Memory by process", "bytes", PROCESS(rss_bytes), false},
    {"threads", NULL, "", PROCESS(threads), false},
    {"switches", "Context switches by process", "/s", PROCESS(switches_per_s), false},
    {"faults", NULL, "/s", PROCESS(minor_faults_per_s), false},
    {"major_faults", NULL, "/s", PROCESS(major_faults_per_s), false},
    {"read_bytes", "Storage read by process", "bytes/s", PROCESS(read_bytes_per_s), false},
    {"write_bytes", "Storage written by process", "bytes/s", PROCESS(write_bytes_per_s), false},
    {0},
};

static const struct sw_host_column python_columns[] = {
    {"cpu", "CPU by Python process", "%", PYTHON(cpu), false},
    {"gil", "GIL held", "%", PYTHON(gil), true},
    {"waiters", "Threads waiting for the GIL", "", PYTHON(waiters), false},
    {"running", NULL, "", PYTHON(running), false},
    {"threads", NULL, "", PYTHON(threads), false},
    {"handoffs", "GIL hand-offs", "/s", PYTHON(handoffs), false},
    {"collections", "Garbage collections", "/s", PYTHON(collections), false},
    {"rss", "Memory by Python process", "bytes", PYTHON(rss_bytes), false},
    {0},
};

static const struct {
    const char *name, *title, *key;
    const struct sw_host_column *columns;
    uint32_t max_keys;
} streams[SW_HOST_STREAMS] = {
    [SW_HOST_CPU] = {"cpu", "Processors", "cpu", cpu_columns, 0},
    [SW_HOST_MACHINE] = {"machine", "Machine", NULL, machine_columns, 0},
    [SW_HOST_DISK] = {"disk", "Disks", "device", disk_columns, 0},
    [SW_HOST_NET] = {"net", "Network", "interface", net_columns, 0},
    [SW_HOST_PROCESS] = {"process", "Processes", "process", process_columns, PROCESS_KEYS},
};

#define TEXT(literal) \
    { literal, sizeof(literal) - 1 } /* SW_STR is no constant expression to clang */

static const struct sw_tile cpu_tiles[] = {
    {TEXT("CPU"), TEXT("busy"), TEXT("%"), TEXT("all")},
};
static const struct sw_tile machine_tiles[] = {
    {TEXT("Load"), TEXT("load1"), TEXT(""), TEXT("")},
    {TEXT("Memory"), TEXT("memory_used"), TEXT("bytes"), TEXT("")},
    {TEXT("CPU pressure"), TEXT("pressure_cpu"), TEXT("%"), TEXT("")},
    {TEXT("I/O pressure"), TEXT("pressure_io"), TEXT("%"), TEXT("")},
    {TEXT("Context switches"), TEXT("context_switches"), TEXT("/s"), TEXT("")},
    {TEXT("Threads"), TEXT("threads"), TEXT(""), TEXT("")},
};

/* "busy=mean(busy),busy_p50=quantile(busy,0.5),busy_p99=quantile(busy,0.99),user=mean(user),..." */
static enum sw_status aggregates_build(struct sw_stream *stream, const struct sw_host_column *columns,
                                       struct sw_arena *arena) {
    struct sw_buf text = {0};
    enum sw_status status = SW_OK;
    for (const struct sw_host_column *c = columns; c->name && status == SW_OK; c++) {
        status = sw_buf_append_format(&text, "%s%s=mean(%s)", c == columns ? "" : ",", c->name, c->name);
        if (status == SW_OK && c->has_band)
            status = sw_buf_append_format(&text, ",%s_p50=quantile(%s,0.5),%s_p99=quantile(%s,0.99)", c->name, c->name,
                                          c->name, c->name);
    }
    struct sw_str copy = status == SW_OK ? sw_arena_copy(arena, sw_buf_view(&text)) : (struct sw_str){NULL, 0};
    sw_buf_release(&text);
    status = copy.ptr ? sw_aggregates_parse(copy, arena, stream, NULL) : SW_NOMEM;
    for (unsigned i = 0; i < stream->aggregate_count && status == SW_OK; i++)
        for (const struct sw_host_column *c = columns; c->name; c++)
            if (sw_str_eq(stream->aggregates[i].columns[0], sw_str_from(c->name)))
                stream->aggregates[i].unit = sw_str_from(c->unit);
    return status;
}

static struct sw_str aggregate_called(const struct sw_stream *stream, struct sw_str name, const char *suffix) {
    for (unsigned i = 0; i < stream->aggregate_count; i++) {
        struct sw_str have = stream->aggregates[i].name;
        if (sw_str_starts(have, name) && sw_str_eq(sw_str_skip(have, name.len), sw_str_from(suffix)))
            return have;
    }
    return (struct sw_str){NULL, 0};
}

static enum sw_status charts_build(struct sw_stream *stream, const struct sw_host_column *columns,
                                   struct sw_arena *arena) {
    struct sw_chart *charts = sw_arena_alloc(arena, sizeof *charts * SW_MAX_AGGREGATES);
    if (!charts)
        return SW_NOMEM;
    for (const struct sw_host_column *c = columns; c->name; c++) {
        struct sw_str name = sw_str_from(c->name);
        if (c->title)
            charts[stream->chart_count++] = (struct sw_chart){.title = sw_str_from(c->title),
                                                              .unit = sw_str_from(c->unit),
                                                              .line = name,
                                                              .low = aggregate_called(stream, name, "_p50"),
                                                              .high = aggregate_called(stream, name, "_p99"),
                                                              .top = 6};
    }
    stream->charts = charts;
    return SW_OK;
}

const struct sw_host_column *sw_host_columns(enum sw_host_stream stream) {
    return streams[stream].columns;
}

const struct sw_host_column *sw_python_columns(void) {
    return python_columns;
}

/* The text column, which aggregates_build leaves to be added. */
static enum sw_status function_add(struct sw_stream *stream, struct sw_arena *arena) {
    struct sw_stream text = {0};
    enum sw_status status =
        sw_aggregates_parse(SW_STR(SW_PYTHON_FUNCTION "=topk(" SW_PYTHON_FUNCTION ",1)"), arena, &text, NULL);
    struct sw_aggregate *all = sw_arena_alloc(arena, (stream->aggregate_count + 1) * sizeof *all);
    if (status != SW_OK || !all)
        return SW_NOMEM;
    memcpy(all, stream->aggregates, stream->aggregate_count * sizeof *all);
    all[stream->aggregate_count++] = text.aggregates[0];
    stream->aggregates = all;
    return SW_OK;
}

static enum sw_status stream_build(struct sw_stream *stream, const struct sw_host_column *columns,
                                   struct sw_arena *arena) {
    enum sw_status status = aggregates_build(stream, columns, arena);
    return status == SW_OK ? charts_build(stream, columns, arena) : status;
}

enum sw_status sw_python_job(struct sw_job *job, struct sw_arena *arena, struct sw_str uri, int64_t window_ns) {
    struct sw_stream *stream = &job->streams[job->stream_count];
    *stream = (struct sw_stream){.name = SW_STR("python"),
                                 .title = SW_STR("Python processes"),
                                 .keys = {SW_STR("process")},
                                 .key_count = 1,
                                 .window_ns = window_ns,
                                 .max_keys = PROCESS_KEYS,
                                 .table_sort = SW_STR("cpu")};
    enum sw_status status = stream_build(stream, python_columns, arena);
    if (status == SW_OK)
        status = function_add(stream, arena);
    if (status != SW_OK)
        return status;
    job->sources[job->source_count++] = (struct sw_source_spec){.uri = uri, .stream = job->stream_count++};
    return SW_OK;
}

enum sw_status sw_host_job(struct sw_job *job, struct sw_arena *arena, struct sw_str uri, int64_t window_ns) {
    job->stream_count = SW_HOST_STREAMS;
    for (unsigned i = 0; i < SW_HOST_STREAMS; i++) {
        struct sw_stream *stream = &job->streams[i];
        *stream = (struct sw_stream){.name = sw_str_from(streams[i].name),
                                     .title = sw_str_from(streams[i].title),
                                     .window_ns = window_ns,
                                     .max_keys = streams[i].max_keys};
        if (streams[i].key)
            stream->keys[stream->key_count++] = sw_str_from(streams[i].key);
        enum sw_status status = stream_build(stream, streams[i].columns, arena);
        if (status != SW_OK)
            return status;
    }
    job->streams[SW_HOST_CPU].tiles = cpu_tiles;
    job->streams[SW_HOST_CPU].tile_count = sizeof cpu_tiles / sizeof cpu_tiles[0];
    job->streams[SW_HOST_MACHINE].tiles = machine_tiles;
    job->streams[SW_HOST_MACHINE].tile_count = sizeof machine_tiles / sizeof machine_tiles[0];
    job->sources[0] = (struct sw_source_spec){.uri = uri};
    job->source_count = 1;
    return SW_OK;
}
