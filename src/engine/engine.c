/* engine.c - Builds, starts, stops and ends a job; see engine.h. */
#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "engine/host_job.h"

#define KEEP_WINDOWS 600u
#define MAX_KEYS 1000000u
#define IDLE_NS (5 * SW_NS_PER_S)
#define BATCHES_IN_FLIGHT 16u
#define SPAN_MOST_NS \
    (INT64_C(36500) * 86400 * SW_NS_PER_S) /* a third of what int64 nanoseconds reach to either side of 1970 */
#define KEY_LIFE_SPARE 10                  /* windows beyond those kept before a key's id may be used again */

static void job_defaults(struct sw_job *job) {
    job->keep_windows = job->keep_windows ? job->keep_windows : KEEP_WINDOWS;
    job->max_keys = job->max_keys ? job->max_keys : MAX_KEYS;
    job->idle_ns = job->idle_ns ? job->idle_ns : IDLE_NS;
    if (job->workers == 0) { /* readers and the merger share a core */
        unsigned cpus = (unsigned)sw_cpu_count();
        job->workers = cpus > 1 ? cpus - 1 : 1;
    }
    if (job->workers > SW_MAX_WORKERS)
        job->workers = SW_MAX_WORKERS;
}

static enum sw_status streams_init(struct sw_engine *engine, struct sw_error *err) {
    for (unsigned i = 0; i < engine->job.stream_count; i++) {
        const struct sw_stream *stream = &engine->job.streams[i];
        if (stream->window_ns <= 0 || stream->window_ns > SPAN_MOST_NS || stream->disorder_ns < 0 ||
            stream->disorder_ns > SPAN_MOST_NS)
            return sw_fail(err, SW_INVALID,
                           "stream '%.*s': a window is longer than 0 and, as the disorder, at most 36500d",
                           SW_STR_ARG(stream->name));
        enum sw_status status = sw_plan_init(&engine->plans[i], stream, err);
        if (status != SW_OK)
            return status;
        uint32_t none;
        status = sw_groups_init(&engine->groups[i], stream->max_keys ? stream->max_keys : engine->job.max_keys);
        if (status == SW_OK && stream->key_count == 0)
            status = sw_groups_intern(&engine->groups[i], SW_STR(""), &none);
        if (status != SW_OK)
            return sw_fail(err, status, "cannot start stream '%.*s': out of memory", SW_STR_ARG(stream->name));
        atomic_store(&engine->closed_before_ns[i], INT64_MIN);
    }
    return SW_OK;
}

static enum sw_status late_file_open(struct sw_engine *engine, struct sw_error *err) {
    struct sw_str path = engine->job.late_path;
    char name[4096];
    if (path.len == 0)
        return SW_OK;
    if (path.len >= sizeof name)
        return sw_fail(err, SW_INVALID, "cannot open the file for late rows: its path is too long");
    memcpy(name, path.ptr, path.len);
    name[path.len] = '\0';
    engine->late_file.fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return engine->late_file.fd < 0 ? sw_fail_errno(err, errno, "cannot open the file for late rows %s", name) : SW_OK;
}

/* A regular file; nothing else can be damaged. */
static bool path_stat(struct sw_str path, struct stat *about) {
    char name[4096];
    if (path.len == 0 || path.len >= sizeof name)
        return false;
    memcpy(name, path.ptr, path.len);
    name[path.len] = '\0';
    return stat(name, about) == 0 && S_ISREG(about->st_mode);
}

static bool is_same_file(struct sw_str path, struct sw_str other) {
    struct stat first, second;
    if (path_stat(path, &first) && path_stat(other, &second))
        return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
    return sw_str_eq(path, other) && !sw_str_starts(path, SW_STR("/dev/"));
}

/* Outputs are truncated when they are opened, so one that is also a source would be destroyed, and two of one file a jumble. */
static enum sw_status outputs_check(const struct sw_engine *engine, struct sw_error *err) {
    struct sw_str paths[SW_MAX_SINKS + 1];
    unsigned count = 0;
    for (unsigned i = 0; i < engine->job.sink_count; i++) {
        paths[count] = engine->job.sinks[i].uri;
        sw_str_cut(&paths[count++], ':');
    }
    if (engine->job.late_path.len > 0)
        paths[count++] = engine->job.late_path;
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < engine->source_count; k++)
            if (engine->sources[k].kind == SW_SOURCE_FILE && !sw_str_eq(paths[i], SW_STR("-")) &&
                is_same_file(paths[i], engine->sources[k].spec->uri))
                return sw_fail(err, SW_INVALID, "cannot write %.*s: it is a source of this job", SW_STR_ARG(paths[i]));
        for (unsigned k = 0; k < i; k++)
            if (is_same_file(paths[i], paths[k]))
                return sw_fail(err, SW_INVALID, "two outputs go to %.*s: give each a file of its own",
                               SW_STR_ARG(paths[i]));
    }
    return SW_OK;
}

/* Every source feeds one intake, but host:// one for each of its streams. */
static unsigned intakes_of(const struct sw_source *source) {
    return source->kind == SW_SOURCE_HOST ? SW_HOST_STREAMS : 1;
}

static enum sw_status intake_add(struct sw_engine *engine, struct sw_source *source, unsigned stream,
                                 uint16_t partition) {
    struct sw_parker *parkers[SW_MAX_WORKERS];
    for (unsigned i = 0; i < engine->worker_count; i++)
        parkers[i] = &engine->workers[i].parker;
    const struct sw_stream *spec = &engine->job.streams[stream];
    struct sw_intake_options options = {
        .shared = {.plan = &engine->plans[stream],
                   .groups = &engine->groups[stream],
                   .events = &engine->events,
                   .late_file = &engine->late_file,
                   .closed_before_ns = &engine->closed_before_ns[stream],
                   .is_stopping = &engine->is_stopping,
                   .stream = (uint16_t)stream,
                   .idle_ns = engine->job.idle_ns,
                   .key_life_ns =
                       spec->max_keys > 0 ? (engine->job.keep_windows + KEY_LIFE_SPARE) * spec->window_ns : 0},
        .partition = partition,
        .batches_in_flight = BATCHES_IN_FLIGHT,
        .may_block = source->kind != SW_SOURCE_INGEST,
        .pace = source->spec->replay,
        .workers = parkers,
        .worker_count = engine->worker_count,
    };
    enum sw_status status = sw_intake_new(&engine->intakes[engine->intake_count], &options);
    if (status == SW_OK)
        source->intakes[source->intake_count++] = engine->intakes[engine->intake_count++];
    return status;
}

static enum sw_status sources_open(struct sw_engine *engine, struct sw_error *err) {
    for (unsigned i = 0; i < engine->job.source_count; i++) {
        struct sw_source *source = &engine->sources[i];
        source->spec = &engine->job.sources[i];
        source->is_stopping = &engine->is_stopping;
        source->stop_fd = engine->stop_fd;
        engine->source_count++;
        enum sw_status status = sw_source_open(source, err);
        if (status != SW_OK)
            return status;
    }
    return SW_OK;
}

static enum sw_status workers_init(struct sw_engine *engine, unsigned partitions[SW_MAX_STREAMS]) {
    engine->workers = sw_alloc_aligned(64, engine->job.workers * sizeof *engine->workers);
    if (!engine->workers)
        return SW_NOMEM;
    for (; engine->worker_count < engine->job.workers; engine->worker_count++) {
        struct sw_worker_options options = {
            .index = engine->worker_count,
            .worker_count = engine->job.workers,
            .plans = engine->plans,
            .groups = engine->groups,
            .closed_before_ns = engine->closed_before_ns,
            .stream_count = engine->job.stream_count,
            .partitions = partitions,
            .has_views = engine->job.has_views,
            .events = &engine->events,
            .merger = &engine->merger.parker,
            .failure = &engine->failure,
        };
        enum sw_status status = sw_worker_init(&engine->workers[engine->worker_count], &options);
        if (status != SW_OK)
            return status;
    }
    return SW_OK;
}

/* Every worker gets its end of every intake. */
static enum sw_status workers_connect(struct sw_engine *engine) {
    for (unsigned w = 0; w < engine->worker_count; w++) {
        struct sw_worker *worker = &engine->workers[w];
        worker->inputs = sw_alloc_array(engine->intake_count, sizeof *worker->inputs);
        worker->input_partition = sw_alloc_array(engine->intake_count, sizeof *worker->input_partition);
        if (!worker->inputs || !worker->input_partition)
            return SW_NOMEM;
        worker->input_count = engine->intake_count;
        for (unsigned i = 0; i < engine->intake_count; i++) {
            worker->inputs[i] = &engine->intakes[i]->outlets[w];
            worker->input_partition[i] = engine->intakes[i]->partition;
        }
    }
    return SW_OK;
}

static enum sw_status intakes_init(struct sw_engine *engine) {
    unsigned partitions[SW_MAX_STREAMS] = {0};
    unsigned total = 0;
    for (unsigned i = 0; i < engine->source_count; i++) {
        const struct sw_source *source = &engine->sources[i];
        for (unsigned s = 0; s < intakes_of(source); s++, total++)
            partitions[source->spec->stream + s]++;
    }
    engine->intakes = sw_alloc_array_zero(total, sizeof *engine->intakes);
    if (!engine->intakes)
        return SW_NOMEM;
    enum sw_status status = workers_init(engine, partitions);
    memset(partitions, 0, sizeof partitions);
    for (unsigned i = 0; i < engine->source_count && status == SW_OK; i++) {
        struct sw_source *source = &engine->sources[i];
        unsigned count = intakes_of(source);
        source->intakes = sw_alloc_array_zero(count, sizeof *source->intakes);
        status = source->intakes ? SW_OK : SW_NOMEM;
        for (unsigned s = 0; s < count && status == SW_OK; s++) {
            unsigned stream = source->spec->stream + s;
            status = intake_add(engine, source, stream, (uint16_t)partitions[stream]++);
        }
    }
    return status == SW_OK ? workers_connect(engine) : status;
}

static enum sw_status sinks_open(struct sw_engine *engine, struct sw_error *err) {
    struct sw_sink_options options = {&engine->job, engine->groups, &engine->is_stopping};
    for (unsigned i = 0; i < engine->job.sink_count; i++) {
        enum sw_status status = sw_sink_open(&engine->sinks[i], engine->job.sinks[i].uri, &options, err);
        if (status != SW_OK)
            return status;
        engine->sink_count++;
    }
    return SW_OK;
}

static enum sw_status merger_init(struct sw_engine *engine) {
    enum sw_status status =
        sw_merger_init(&engine->merger, engine->workers, engine->worker_count, engine->job.stream_count);
    engine->merger.groups = engine->groups;
    engine->merger.failure = &engine->failure;
    memcpy(engine->merger.sinks, engine->sinks, sizeof engine->sinks);
    engine->merger.sink_count = engine->sink_count;
    return status;
}

enum sw_status sw_engine_open(struct sw_engine **out, const struct sw_job *job, struct sw_error *err) {
    struct sw_engine *engine = sw_alloc_aligned(64, sizeof *engine);
    if (!engine)
        return sw_fail(err, SW_NOMEM, "cannot start the engine: out of memory");
    memset(engine, 0, sizeof *engine);
    engine->job = *job;
    engine->late_file.fd = -1;
    pthread_mutex_init(&engine->late_file.lock, NULL);
    for (unsigned i = 0; i < SW_MAX_SOURCES; i++)
        engine->sources[i].fd = -1;
    job_defaults(&engine->job);
    sw_events_init(&engine->events);
    engine->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum sw_status status = engine->stop_fd < 0 ? sw_fail_errno(err, errno, "cannot start the engine") : SW_OK;
    if (status == SW_OK)
        status = streams_init(engine, err);
    if (status == SW_OK)
        status = sources_open(engine, err);
    if (status == SW_OK)
        status = outputs_check(engine, err);
    if (status == SW_OK)
        status = late_file_open(engine, err);
    if (status == SW_OK)
        status = sinks_open(engine, err);
    if (status == SW_OK) {
        status = intakes_init(engine);
        if (status == SW_OK)
            status = merger_init(engine);
        if (status != SW_OK)
            sw_fail(err, status, "cannot start the engine: %s", sw_status_text(status));
    }
    if (status == SW_OK)
        *out = engine;
    else
        sw_engine_close(engine);
    return status;
}

void sw_engine_tap(struct sw_engine *engine, sw_window_tap tap, void *context) {
    engine->merger.tap = tap;
    engine->merger.tap_context = context;
}

enum sw_status sw_engine_start(struct sw_engine *engine, struct sw_error *err) {
    engine->started_epoch_ns = sw_clock_epoch_ns();
    engine->started_mono_ns = sw_clock_mono_ns();
    enum sw_status status = sw_thread_start(&engine->merger.thread, "merger", -1, sw_merger_main, &engine->merger, err);
    for (unsigned i = 0; i < engine->worker_count && status == SW_OK; i++) {
        char name[24];
        snprintf(name, sizeof name, "worker %u", i);
        status = sw_thread_start(&engine->workers[i].thread, name, -1, sw_worker_main, &engine->workers[i], err);
    }
    for (unsigned i = 0; i < engine->source_count && status == SW_OK; i++) {
        char name[24];
        snprintf(name, sizeof name, "reader %u", i);
        if (engine->sources[i].kind != SW_SOURCE_INGEST)
            status = sw_thread_start(&engine->sources[i].thread, name, -1, sw_source_main, &engine->sources[i], err);
    }
    return status;
}

void sw_engine_stop(struct sw_engine *engine) {
    atomic_store(&engine->is_stopping, true);
    uint64_t one = 1;
    while (write(engine->stop_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

bool sw_engine_is_finished(const struct sw_engine *engine) {
    if (atomic_load(&engine->failure) != SW_OK)
        return true;
    bool is_finished = true;
    for (unsigned i = 0; i < engine->source_count; i++) {
        if (atomic_load(&engine->sources[i].has_failed))
            return true;
        is_finished &= atomic_load(&engine->sources[i].is_done);
    }
    return is_finished;
}

/* Sources that never got a thread end here, so that the workers, and then the merger, see the end of every input. */
enum sw_status sw_engine_wait(struct sw_engine *engine, struct sw_error *err) {
    if (atomic_load(&engine->failure) != SW_OK)
        sw_engine_stop(engine);
    for (unsigned i = 0; i < engine->source_count; i++) {
        sw_thread_join(&engine->sources[i].thread);
        for (unsigned k = 0; k < engine->sources[i].intake_count; k++)
            sw_intake_end(engine->sources[i].intakes[k]);
    }
    for (unsigned i = 0; i < engine->worker_count; i++)
        sw_thread_join(&engine->workers[i].thread);
    sw_thread_join(&engine->merger.thread);
    for (unsigned i = 0; i < engine->source_count; i++) {
        if (atomic_load(&engine->sources[i].has_failed)) {
            if (err)
                *err = engine->sources[i].error;
            return engine->sources[i].error.status;
        }
    }
    enum sw_status failure = (enum sw_status)atomic_load(&engine->failure);
    if (failure != SW_OK && engine->merger.error.status == failure) {
        if (err)
            *err = engine->merger.error;
        return failure;
    }
    return failure == SW_OK ? SW_OK : sw_fail(err, failure, "the engine ended early: %s", sw_status_text(failure));
}

void sw_engine_close(struct sw_engine *engine) {
    if (!engine)
        return;
    sw_merger_release(&engine->merger);
    for (unsigned i = 0; i < engine->worker_count; i++)
        sw_worker_release(&engine->workers[i]);
    sw_free(engine->workers);
    for (unsigned i = 0; i < engine->intake_count; i++)
        sw_intake_free(engine->intakes[i]);
    sw_free(engine->intakes);
    for (unsigned i = 0; i < engine->source_count; i++) {
        sw_free(engine->sources[i].intakes);
        sw_source_close(&engine->sources[i]);
    }
    for (unsigned i = 0; i < engine->sink_count; i++)
        sw_sink_close(engine->sinks[i]);
    for (unsigned i = 0; i < engine->job.stream_count; i++) {
        sw_plan_release(&engine->plans[i]);
        sw_groups_release(&engine->groups[i]);
    }
    if (engine->late_file.fd >= 0)
        close(engine->late_file.fd);
    pthread_mutex_destroy(&engine->late_file.lock);
    sw_events_release(&engine->events);
    if (engine->stop_fd >= 0)
        close(engine->stop_fd);
    sw_free(engine);
}

struct sw_source *sw_engine_ingest(struct sw_engine *engine, struct sw_str name) {
    for (unsigned i = 0; i < engine->source_count; i++) {
        struct sw_source *source = &engine->sources[i];
        if (source->kind == SW_SOURCE_INGEST && sw_str_eq(sw_str_skip(source->spec->uri, sizeof "ingest://" - 1), name))
            return source;
    }
    return NULL;
}

void sw_engine_totals(const struct sw_engine *engine, struct sw_totals *totals) {
    *totals = (struct sw_totals){.newest_ns = INT64_MIN};
    for (unsigned i = 0; i < engine->intake_count; i++) {
        const struct sw_intake_counters *counters = &engine->intakes[i]->counters;
        totals->rows += atomic_load_explicit(&counters->rows, memory_order_relaxed);
        totals->bytes += atomic_load_explicit(&counters->bytes, memory_order_relaxed);
        totals->batches += atomic_load_explicit(&counters->batches, memory_order_relaxed);
        totals->late += atomic_load_explicit(&counters->late, memory_order_relaxed);
        for (unsigned k = 0; k < SW_REJECT_COUNT; k++) {
            uint64_t rejected = atomic_load_explicit(&counters->rejected[k], memory_order_relaxed);
            totals->rejected_by_kind[k] += rejected;
            totals->rejected += rejected;
        }
        int64_t newest_ns = atomic_load_explicit(&counters->newest_ns, memory_order_relaxed);
        if (newest_ns != INT64_MIN && (totals->newest_ns == INT64_MIN || newest_ns < totals->newest_ns))
            totals->newest_ns = newest_ns;
    }
    for (unsigned i = 0; i < engine->worker_count; i++) {
        totals->late += atomic_load_explicit(&engine->workers[i].counters.late, memory_order_relaxed);
        totals->anomalies += atomic_load_explicit(&engine->workers[i].counters.anomalies, memory_order_relaxed);
    }
    for (unsigned i = 0; i < engine->job.stream_count; i++)
        totals->groups += sw_groups_count(&engine->groups[i]);
    totals->windows = atomic_load_explicit(&engine->merger.windows, memory_order_relaxed);
    totals->rows_out = atomic_load_explicit(&engine->merger.rows, memory_order_relaxed);
}
