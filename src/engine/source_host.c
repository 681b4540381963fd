/* source_host.c - This machine as a source: reads the sensors at a steady beat and writes their rows straight into batches. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "engine/host_job.h"
#include "engine/source.h"
#include "probe/host.h"

/* Where a stream's columns go: num[slot] of its batches. */
struct slots {
    uint8_t slot[SW_MAX_AGGREGATES];
};

static void slots_find(struct slots *slots, struct sw_intake *intake, const struct sw_host_column *columns) {
    size_t count = 0;
    const struct sw_field *fields = sw_intake_fields(intake, &count);
    for (unsigned c = 0; columns[c].name; c++) {
        slots->slot[c] = SW_NO_SLOT;
        for (size_t i = 0; i < count; i++)
            if (sw_str_eq(fields[i].name, sw_str_from(columns[c].name)))
                slots->slot[c] = fields[i].num_slot;
    }
}

struct host_source {
    struct sw_source *source;
    struct sw_host *host;
    struct slots slots[SW_HOST_STREAMS];
};

static void row_write(struct host_source *self, enum sw_host_stream stream, const void *figures, struct sw_str key) {
    struct sw_intake *intake = self->source->intakes[stream];
    const struct sw_host_column *columns = sw_host_columns(stream);
    sw_intake_begin(intake);
    struct sw_batch *batch = sw_intake_batch(intake);
    for (unsigned c = 0; columns[c].name; c++) {
        uint8_t slot = self->slots[stream].slot[c];
        if (slot != SW_NO_SLOT)
            memcpy(&batch->num[slot][batch->rows], (const char *)figures + columns[c].offset, sizeof(double));
    }
    if (key.ptr)
        sw_intake_key(intake, 0, key);
    sw_intake_commit(intake, key);
}

static void sample_write(struct host_source *self, const struct sw_host_sample *sample) {
    for (size_t i = 0; i < sample->cpu_count; i++)
        row_write(self, SW_HOST_CPU, &sample->cpus[i], sw_str_from(sample->cpus[i].name));
    row_write(self, SW_HOST_MACHINE, &sample->machine, (struct sw_str){NULL, 0});
    for (size_t i = 0; i < sample->disk_count; i++)
        row_write(self, SW_HOST_DISK, &sample->disks[i], sw_str_from(sample->disks[i].name));
    for (size_t i = 0; i < sample->net_count; i++)
        row_write(self, SW_HOST_NET, &sample->nets[i], sw_str_from(sample->nets[i].name));
    for (size_t i = 0; i < sample->process_count; i++) {
        char name[SW_HOST_NAME_MAX + 16];
        int len = snprintf(name, sizeof name, "%s [%d]", sample->processes[i].name, (int)sample->processes[i].pid);
        row_write(self, SW_HOST_PROCESS, &sample->processes[i], sw_str_make(name, (size_t)len));
    }
}

static enum sw_status sample_take(struct host_source *self, struct sw_error *err) {
    struct sw_source *source = self->source;
    struct sw_host_sample sample;
    int64_t begin_ns = sw_clock_thread_cpu_ns();
    for (unsigned i = 0; i < source->intake_count; i++)
        sw_intake_arrive(source->intakes[i], 0);
    enum sw_status status = sw_host_read(self->host, &sample, err);
    if (status != SW_OK)
        return status;
    if (sample.has_rates) {
        sample_write(self, &sample);
        for (unsigned i = 0; i < source->intake_count; i++)
            sw_intake_flush(source->intakes[i]);
    }
    sw_stage_add(&source->decode, sw_clock_thread_cpu_ns() - begin_ns);
    return SW_OK;
}

/* Beats are absolute, so they do not drift; beats missed while the machine slept are left out. */
enum sw_status sw_source_run_host(struct sw_source *source, struct sw_error *err) {
    struct host_source self = {.source = source};
    enum sw_status status = sw_host_open(&self.host, NULL, err);
    if (status != SW_OK)
        return status;
    for (unsigned i = 0; i < source->intake_count; i++)
        slots_find(&self.slots[i], source->intakes[i], sw_host_columns((enum sw_host_stream)i));
    int64_t period_ns = (int64_t)((double)SW_NS_PER_S / source->hz);
    int64_t due_ns = sw_clock_mono_ns();
    while (status == SW_OK && !atomic_load_explicit(source->is_stopping, memory_order_relaxed)) {
        status = sample_take(&self, err);
        int64_t now_ns = sw_clock_mono_ns();
        due_ns += period_ns;
        if (due_ns < now_ns)
            due_ns += (now_ns - due_ns) / period_ns * period_ns + period_ns;
        struct timespec wait = {(due_ns - now_ns) / SW_NS_PER_S, (due_ns - now_ns) % SW_NS_PER_S};
        struct pollfd stop = {.fd = source->stop_fd, .events = POLLIN};
        ppoll(&stop, 1, &wait, NULL);
    }
    sw_host_close(self.host);
    return status;
}
