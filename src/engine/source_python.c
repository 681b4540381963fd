/* source_python.c - The Python processes of this machine as a source: watches them and writes a row of each at a steady beat. */
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/clock.h"
#include "base/num.h"
#include "engine/host_job.h"
#include "engine/python_watch.h"
#include "engine/source.h"
#include "engine/text_hash.h"

#define ROWS_HZ 10.0
#define ROWS_HZ_MAX 100.0
#define NUMBERS_MAX 16

struct python_source {
    struct sw_source *source;
    uint8_t slot[NUMBERS_MAX]; /* of the columns of sw_python_columns */
    uint8_t hash_slot, text_slot;
};

static void slots_find(struct python_source *self) {
    size_t count = 0;
    const struct sw_field *fields = sw_intake_fields(self->source->intakes[0], &count);
    const struct sw_host_column *columns = sw_python_columns();
    self->hash_slot = self->text_slot = SW_NO_SLOT;
    memset(self->slot, SW_NO_SLOT, sizeof self->slot);
    for (size_t i = 0; i < count; i++) {
        for (unsigned c = 0; c < NUMBERS_MAX && columns[c].name; c++)
            if (sw_str_eq(fields[i].name, sw_str_from(columns[c].name)))
                self->slot[c] = fields[i].num_slot;
        if (sw_str_eq(fields[i].name, SW_STR(SW_PYTHON_FUNCTION))) {
            self->hash_slot = fields[i].hash_slot;
            self->text_slot = fields[i].text_slot;
        }
    }
}

static enum sw_status function_write(const struct python_source *self, struct sw_batch *batch, struct sw_str text) {
    if (text.len == 0)
        return SW_OK; /* the row begins with every column missing */
    if (self->hash_slot != SW_NO_SLOT)
        batch->hash[self->hash_slot][batch->rows] = sw_text_hash(text.ptr, text.len);
    if (self->text_slot == SW_NO_SLOT)
        return SW_OK;
    struct sw_text_ref ref = {(uint32_t)batch->text_bytes.len, (uint32_t)text.len};
    enum sw_status status = sw_buf_append(&batch->text_bytes, text);
    if (status == SW_OK)
        batch->text[self->text_slot][batch->rows] = ref;
    return status;
}

static enum sw_status row_write(void *context, const struct sw_python_process *process) {
    struct python_source *self = context;
    struct sw_intake *intake = self->source->intakes[0];
    const struct sw_host_column *columns = sw_python_columns();
    struct sw_str key = sw_str_from(process->label);
    sw_intake_begin(intake);
    struct sw_batch *batch = sw_intake_batch(intake);
    for (unsigned c = 0; c < NUMBERS_MAX && columns[c].name; c++)
        if (self->slot[c] != SW_NO_SLOT)
            memcpy(&batch->num[self->slot[c]][batch->rows], (const char *)&process->now + columns[c].offset,
                   sizeof(double));
    enum sw_status status = function_write(self, batch, sw_str_from(process->now.function));
    if (status != SW_OK)
        return status;
    sw_intake_key(intake, 0, key);
    sw_intake_commit(intake, key);
    return SW_OK;
}

static enum sw_status parameter_read(struct sw_source *source, struct sw_str name, struct sw_str value,
                                     struct sw_error *err) {
    int64_t pid = 0;
    if (sw_str_eq(name, SW_STR("pid"))) {
        if (sw_str_to_i64(value, &pid) != SW_OK || pid < 1 || pid > INT32_MAX)
            return sw_fail(err, SW_INVALID, "cannot read source '%.*s': pid is the number of a process",
                           SW_STR_ARG(source->spec->uri));
        source->pid = (int32_t)pid;
        return SW_OK;
    }
    if (!sw_str_eq(name, SW_STR("hz")))
        return sw_fail(err, SW_INVALID, "cannot read source '%.*s': python:// takes ?pid=PID and hz=1 to hz=100 only",
                       SW_STR_ARG(source->spec->uri));
    const char *end = sw_num_parse_f64(value.ptr, value.ptr + value.len, &source->hz);
    if (end != value.ptr + value.len || !(source->hz >= 1) || source->hz > ROWS_HZ_MAX)
        return sw_fail(err, SW_INVALID, "cannot read source '%.*s': hz is a number from 1 to 100",
                       SW_STR_ARG(source->spec->uri));
    return SW_OK;
}

enum sw_status sw_source_open_python(struct sw_source *source, struct sw_error *err) {
    struct sw_str query = sw_str_skip(source->spec->uri, sizeof "python://" - 1);
    enum sw_status status = SW_OK;
    source->hz = ROWS_HZ;
    if (query.len > 0 && query.ptr[0] != '?')
        return sw_fail(err, SW_INVALID, "cannot read source '%.*s': write python://, or python://?pid=PID",
                       SW_STR_ARG(source->spec->uri));
    query = sw_str_skip(query, query.len > 0);
    while (query.ptr && query.len && status == SW_OK) {
        struct sw_str value = sw_str_cut(&query, '&');
        struct sw_str name = sw_str_cut(&value, '=');
        status = parameter_read(source, name, value, err);
    }
    if (status != SW_OK)
        return status;
    struct sw_python_watch_options options = {.pid = source->pid, .rows_hz = source->hz};
    source->is_finite = source->pid != 0;
    return sw_python_watch_new(&source->watch, &options, err);
}

static void wait_until(const struct sw_source *source, int64_t until_ns) {
    int64_t left_ns = until_ns - sw_clock_mono_ns();
    if (left_ns <= 0)
        return;
    struct timespec wait = {left_ns / SW_NS_PER_S, left_ns % SW_NS_PER_S};
    struct pollfd stop = {.fd = source->stop_fd, .events = POLLIN};
    ppoll(&stop, 1, &wait, NULL);
}

/* With ?pid= the source ends when the process does. */
enum sw_status sw_source_run_python(struct sw_source *source, struct sw_error *err) {
    struct python_source self = {.source = source};
    struct sw_intake *intake = source->intakes[0];
    enum sw_status status = SW_OK;
    slots_find(&self);
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* of this thread; 50 us otherwise */
    int64_t flush_ns = 0, begin_ns = sw_clock_thread_cpu_ns();
    while (status == SW_OK && !atomic_load_explicit(source->is_stopping, memory_order_relaxed)) {
        int64_t next_ns = 0;
        sw_intake_arrive(intake, 0);
        status = sw_python_watch_turn(source->watch, row_write, &self, &next_ns);
        int64_t now_ns = sw_clock_mono_ns();
        if (now_ns >= flush_ns) {
            flush_ns = now_ns + (int64_t)(1e9 / source->hz);
            sw_intake_tick(intake); /* windows close where there is no Python process at all, too */
            int64_t cpu_ns = sw_clock_thread_cpu_ns();
            sw_stage_add(&source->decode, cpu_ns - begin_ns);
            begin_ns = cpu_ns;
        }
        if (status == SW_OK)
            wait_until(source, next_ns);
    }
    if (status == SW_CLOSED)
        return SW_OK;
    return status == SW_OK ? SW_OK : sw_fail(err, status, "cannot watch Python processes: %s", sw_status_text(status));
}
