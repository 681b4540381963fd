/* worker.c - The aggregation thread; see worker.h. */
#include "engine/worker.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/window.h"

#define RESULTS_ROWS 4096u                 /* a block is handed on when it holds this many */
#define HELD_BATCHES 4u                    /* a block is handed on after so many batches, however few rows it holds */
#define OUTPUT_BLOCKS 16u                  /* blocks in flight to the merger */
#define VIEW_PERIOD_NS (33 * SW_NS_PER_MS) /* p99 from event to view: 118 ms at 10 pushes a second, 172 ms with 100 */
#define VIEW_SHARE 20                      /* looks at open windows cost at most 1/20 of the time */
#define VIEW_WINDOWS 2u                    /* the newest open windows shown */
#define SORT_FEW 24u                       /* so many groups of a window are put in order by counting */
#define EVENTS_PER_SECOND 10u              /* anomalies told to people; all are counted and marked */

static void count_up(_Atomic uint64_t *counter, uint64_t by) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

static void worker_fail(struct sw_worker *worker, enum sw_status status) {
    int none = SW_OK;
    atomic_compare_exchange_strong(worker->failure, &none, (int)status);
}

/* Waits for room: a merger held up by its sinks holds up the workers, they the readers, they the sources. */
static void output_push(struct sw_worker *worker, struct sw_results *results) {
    while (!sw_ring_push(&worker->output, results)) {
        uint32_t ticket = sw_parker_prepare(&worker->parker);
        if (sw_ring_depth(&worker->output) < sw_ring_capacity(&worker->output))
            sw_parker_cancel(&worker->parker);
        else
            sw_parker_wait(&worker->parker, ticket, 10 * SW_NS_PER_MS);
    }
    sw_parker_wake(worker->merger);
}

static struct sw_results *results_get(struct sw_worker *worker, struct sw_worker_stream *stream) {
    if (!stream->results) {
        if (sw_results_take(&stream->pool, &stream->results) != SW_OK) {
            worker_fail(worker, SW_NOMEM);
            return NULL;
        }
        stream->results->stream = (uint16_t)(stream - worker->streams);
        stream->results->worker = (uint16_t)worker->index;
        stream->results->value_count = stream->plan->stream->aggregate_count;
        stream->results->text_count = stream->text_count;
    }
    return stream->results;
}

/* A chunk is a block that is zero, hence costs no memory, where no group has been yet: the rows of SW_GROUPS_CHUNK groups from the first
 * multiple of SW_ANOMALY_ALIGN on, then the generation of each group's key. */
static char *anomaly_chunk(struct sw_worker_stream *stream, uint32_t chunk) {
    if (chunk >= stream->anomaly_chunks) {
        void **chunks = sw_realloc_array(stream->anomalies, chunk + 1, sizeof *chunks);
        if (!chunks)
            return NULL;
        for (; stream->anomaly_chunks <= chunk; stream->anomaly_chunks++)
            chunks[stream->anomaly_chunks] = NULL;
        stream->anomalies = chunks;
    }
    if (!stream->anomalies[chunk])
        stream->anomalies[chunk] =
            sw_alloc_zero((stream->anomaly_bytes + sizeof(uint32_t)) * SW_GROUPS_CHUNK + SW_ANOMALY_ALIGN);
    char *block = stream->anomalies[chunk];
    return block ? block + (-(uintptr_t)block & (SW_ANOMALY_ALIGN - 1)) : NULL;
}

/* The detectors of a group; new ones when its id has come to mean another key. NULL when out of memory. */
static void *anomaly_of(struct sw_worker_stream *stream, uint32_t group) {
    char *rows = anomaly_chunk(stream, group / SW_GROUPS_CHUNK);
    if (!rows)
        return NULL;
    uint32_t *generations = (uint32_t *)(void *)(rows + stream->anomaly_bytes * SW_GROUPS_CHUNK);
    char *row = rows + stream->anomaly_bytes * (group % SW_GROUPS_CHUNK);
    uint32_t generation = sw_groups_get(stream->groups, group)->generation;
    if (generations[group % SW_GROUPS_CHUNK] != generation) {
        generations[group % SW_GROUPS_CHUNK] = generation;
        memset(row, 0, stream->anomaly_bytes);
    }
    return row;
}

static bool event_allowed(struct sw_worker *worker) {
    int64_t second = sw_clock_mono_ns() / SW_NS_PER_S;
    if (second != worker->events_second) {
        worker->events_second = second;
        worker->events_sent = 0;
    }
    return worker->events_sent++ < EVENTS_PER_SECOND;
}

/* "3.3 MiB/s", "12.4 k/s", "99.5 %" */
static const char *value_text(double value, struct sw_str unit, char out[48]) {
    static const char *const binary[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    static const char *const decimal[] = {"", " k", " M", " G", " T"};
    bool is_bytes = sw_str_starts(unit, SW_STR("bytes"));
    struct sw_str rest = is_bytes ? sw_str_skip(unit, 5) : unit;
    double base = is_bytes ? 1024 : 1000;
    unsigned power = 0;
    while ((is_bytes || fabs(value) >= 1e5 || power > 0) && fabs(value) >= base && power < 4) {
        value /= base;
        power++;
    }
    if (is_bytes)
        snprintf(out, 48, "%.4g %s%.*s", value, binary[power], SW_STR_ARG(rest));
    else
        snprintf(out, 48, "%.4g%s%s%.*s", value, decimal[power], power == 0 && rest.len ? " " : "", SW_STR_ARG(rest));
    return out;
}

/* Whether an earlier anomaly of the row is of the same column: its mean, quantiles and extremes make one incident. */
static bool is_told(const struct sw_stream *spec, uint64_t marks, unsigned aggregate) {
    for (uint64_t before = marks & ((UINT64_C(1) << aggregate) - 1); before != 0; before &= before - 1)
        if (sw_str_eq(spec->aggregates[__builtin_ctzll(before)].columns[0], spec->aggregates[aggregate].columns[0]))
            return true;
    return false;
}

static void anomaly_tell(struct sw_worker *worker, const struct sw_worker_stream *stream, struct sw_event event) {
    if (!event_allowed(worker))
        return;
    char is[48], level[48], scale[48];
    const struct sw_stream *spec = stream->plan->stream;
    const struct sw_aggregate *aggregate = &spec->aggregates[event.aggregate];
    struct sw_str key = sw_groups_get(stream->groups, event.group)->key;
    event.level = SW_LOG_WARN;
    event.is_anomaly = true;
    event.stream = (uint16_t)(stream - worker->streams);
    snprintf(event.text, sizeof event.text, "%.*s of %.*s is %s, usually %s \u00b1 %s", SW_STR_ARG(aggregate->name),
             SW_STR_ARG(key.len ? key : spec->name), value_text(event.value, aggregate->unit, is),
             value_text((double)worker->usual.level[event.aggregate], aggregate->unit, level),
             value_text((double)worker->usual.scale[event.aggregate], aggregate->unit, scale));
    for (char *c = event.text; *c; c++)
        if (*c == SW_KEY_SEPARATOR)
            *c = '/';
    sw_events_add(worker->events, &event);
}

static void row_anomalies_tell(struct sw_worker *worker, const struct sw_worker_stream *stream, int64_t time_ns,
                               uint32_t row) {
    const struct sw_results *results = stream->results;
    uint64_t marks = results->marks[row];
    for (uint64_t left = marks; left != 0; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        size_t at = (size_t)row * results->value_count + i;
        if (is_told(stream->plan->stream, marks, i))
            continue;
        anomaly_tell(worker, stream,
                     (struct sw_event){.time_ns = time_ns,
                                       .group = results->groups[row],
                                       .aggregate = (uint16_t)i,
                                       .value = results->values[at],
                                       .score = results->scores[at]});
    }
}

/* Scores a closed row; series are fed in time order because windows close in time order. */
static void row_score(struct sw_worker *worker, struct sw_worker_stream *stream, int64_t time_ns, uint32_t row) {
    struct sw_results *results = stream->results;
    size_t at = (size_t)row * results->value_count;
    void *anomalies = anomaly_of(stream, results->groups[row]);
    results->marks[row] = 0;
    if (!anomalies) {
        worker_fail(worker, SW_NOMEM);
        return;
    }
    struct sw_anomaly_points points = {time_ns, results->values + at, results->value_count, &worker->usual};
    uint64_t marks = sw_anomaly_row_update(anomalies, &points, results->scores + at);
    if (marks == 0)
        return;
    results->marks[row] = marks;
    count_up(&worker->counters.anomalies, (uint64_t)__builtin_popcountll(marks));
    if (worker->has_views)
        row_anomalies_tell(worker, stream, time_ns, row);
}

/* All rows of a block together: vectors loaded from what was just stored in smaller pieces stall, and rows of different
 * groups overlap. */
static void results_score(struct sw_worker *worker, struct sw_worker_stream *stream) {
    const struct sw_results *results = stream->results;
    for (uint32_t w = 0; w < results->window_count; w++) {
        const struct sw_window *window = &results->windows[w];
        for (uint32_t i = 0; i < window->row_count; i++)
            row_score(worker, stream, window->start_ns, window->first_row + i);
    }
}

static void results_push(struct sw_worker *worker, struct sw_worker_stream *stream) {
    struct sw_results *results = stream->results;
    if (!results)
        return;
    results_score(worker, stream);
    stream->results = NULL;
    results->watermark_ns = stream->closed_ns;
    results->arrival_mono_ns = stream->arrival_mono_ns;
    stream->arrival_mono_ns = INT64_MAX;
    stream->pushed_ns = stream->closed_ns;
    output_push(worker, results);
}

static enum sw_status row_texts(const struct sw_worker_stream *stream, struct sw_results *results, const char *record,
                                uint32_t row) {
    const struct sw_stream *spec = stream->plan->stream;
    struct sw_text_ref *text = results->texts + (size_t)row * results->text_count;
    for (unsigned i = 0; i < spec->aggregate_count; i++) {
        if (!sw_aggregate_is_text(spec->aggregates[i].fn))
            continue;
        size_t offset = results->text_bytes.len;
        enum sw_status status = sw_record_text(stream->plan, record, i, &results->text_bytes);
        if (status != SW_OK)
            return status;
        *text++ = (struct sw_text_ref){(uint32_t)offset, (uint32_t)(results->text_bytes.len - offset)};
    }
    return SW_OK;
}

static int order_compare(const void *a, const void *b, void *context) {
    const struct {
        const struct sw_groups *groups;
        const uint32_t *ids;
    } *by = context;
    const struct sw_group *first = sw_groups_get(by->groups, by->ids[*(const uint32_t *)a]);
    const struct sw_group *second = sw_groups_get(by->groups, by->ids[*(const uint32_t *)b]);
    return sw_group_before(first, second) ? -1 : sw_group_before(second, first);
}

/* A few groups whose keys differ in their first eight bytes: each is put where the number of lesser ones says, because
 * nobody can predict the branches of a sort. False where some do not differ. */
static bool order_by_rank(const struct sw_worker_stream *stream, const struct sw_slice *slice) {
    uint64_t prefixes[SORT_FEW];
    uint32_t count = slice->group_count, equal = 0;
    for (uint32_t i = 0; i < count; i++)
        prefixes[i] = sw_groups_get(stream->groups, slice->groups[i])->prefix;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t rank = 0;
        for (uint32_t k = 0; k < count; k++) {
            rank += prefixes[k] < prefixes[i];
            equal += prefixes[k] == prefixes[i];
        }
        stream->order[rank] = i;
    }
    return equal == count; /* to itself only */
}

/* stream->order becomes the positions of the slice's groups in the order of their keys. */
static enum sw_status order_make(struct sw_worker_stream *stream, const struct sw_slice *slice) {
    if (stream->order_room < slice->group_count) {
        uint32_t *order = sw_realloc_array(stream->order, slice->group_room, sizeof *order);
        if (!order)
            return SW_NOMEM;
        stream->order = order;
        stream->order_room = slice->group_room;
    }
    if (slice->group_count > SORT_FEW) {
        for (uint32_t i = 0; i < slice->group_count; i++)
            stream->order[i] = i;
        struct {
            const struct sw_groups *groups;
            const uint32_t *ids;
        } by = {stream->groups, slice->groups};
        qsort_r(stream->order, slice->group_count, sizeof *stream->order, order_compare, &by);
        return SW_OK;
    }
    if (order_by_rank(stream, slice))
        return SW_OK;
    for (uint32_t i = 0; i < slice->group_count; i++) {
        const struct sw_group *group = sw_groups_get(stream->groups, slice->groups[i]);
        uint32_t at = i;
        for (; at > 0 && sw_group_before(group, sw_groups_get(stream->groups, slice->groups[stream->order[at - 1]]));
             at--)
            stream->order[at] = stream->order[at - 1];
        stream->order[at] = i;
    }
    return SW_OK;
}

/* Appends the window of `slice` to the stream's results; closed ones are scored later, open ones not at all. */
static enum sw_status slice_finish(struct sw_worker *worker, struct sw_worker_stream *stream,
                                   const struct sw_slice *slice) {
    struct sw_results *results = results_get(worker, stream);
    if (!results)
        return SW_NOMEM;
    const struct sw_plan *plan = stream->plan;
    struct sw_window window = {slice->start_ns, slice->start_ns + plan->stream->window_ns, results->row_count,
                               slice->group_count};
    enum sw_status status = order_make(stream, slice);
    if (status == SW_OK)
        status = sw_results_reserve(results, slice->group_count);
    for (uint32_t i = 0; i < slice->group_count && status == SW_OK; i++) {
        uint32_t position = stream->order[i];
        uint32_t row = results->row_count++;
        const char *record = sw_slice_record(slice, plan, position);
        double *values = results->values + (size_t)row * results->value_count;
        results->groups[row] = slice->groups[position];
        for (uint32_t v = 0; v < results->value_count; v++)
            values[v] = sw_record_value(plan, record, v);
        if (results->text_count > 0)
            status = row_texts(stream, results, record, row);
        if (results->is_open) {
            memset(results->scores + (size_t)row * results->value_count, 0, results->value_count * sizeof(float));
            results->marks[row] = 0;
        } else {
            sw_groups_saw(stream->groups, results->groups[row], window.start_ns);
        }
    }
    if (status == SW_OK)
        status = sw_results_window(results, window);
    if (status != SW_OK)
        worker_fail(worker, status);
    return status;
}

/* Closes what ended by `watermark_ns`, oldest first. */
static void stream_advance(struct sw_worker *worker, struct sw_worker_stream *stream, int64_t watermark_ns) {
    if (watermark_ns <= stream->watermark_ns)
        return;
    stream->watermark_ns = watermark_ns;
    int64_t window_ns = stream->plan->stream->window_ns;
    uint32_t done = 0;
    while (done < stream->slices.open_count && stream->slices.open[done]->start_ns <= watermark_ns - window_ns) {
        slice_finish(worker, stream, stream->slices.open[done++]);
        count_up(&worker->counters.windows, 1);
        if (stream->results && stream->results->row_count >= RESULTS_ROWS) {
            results_push(worker, stream);
            sw_slices_drop(&stream->slices, done);
            done = 0;
        }
    }
    sw_slices_drop(&stream->slices, done);
    stream->closed_ns = watermark_ns == INT64_MAX ? INT64_MAX : sw_window_floor(watermark_ns, window_ns);
    if (watermark_ns != INT64_MAX &&
        atomic_load_explicit(stream->closed_before_ns, memory_order_relaxed) < stream->closed_ns)
        atomic_store_explicit(stream->closed_before_ns, stream->closed_ns, memory_order_relaxed);
}

/* The least watermark of the partitions that still speak; if none does, the greatest of the silent ones. */
static int64_t stream_watermark(const struct sw_worker_stream *stream) {
    int64_t active_ns = INT64_MAX;
    int64_t silent_ns = INT64_MIN;
    bool has_active = false;
    bool has_silent = false;
    for (unsigned i = 0; i < stream->partition_count; i++) {
        const struct sw_partition *partition = &stream->partitions[i];
        if (partition->is_end)
            continue;
        if (partition->is_idle) {
            has_silent = true;
            silent_ns = partition->watermark_ns > silent_ns ? partition->watermark_ns : silent_ns;
        } else {
            has_active = true;
            active_ns = partition->watermark_ns < active_ns ? partition->watermark_ns : active_ns;
        }
    }
    return has_active ? active_ns : has_silent ? silent_ns : INT64_MAX;
}

/* Rows of this worker's shards from `begin` to `end`, with their records. */
static void chunk_gather(struct sw_worker *worker, struct sw_worker_stream *stream, const struct sw_batch *batch,
                         uint32_t begin, uint32_t end) {
    struct sw_rows *rows = &worker->rows;
    rows->count = 0;
    for (uint32_t row = begin; row < end; row++) {
        uint32_t group = batch->group[row];
        if (worker->worker_count > 1 &&
            sw_groups_get(stream->groups, group)->shard % worker->worker_count != worker->index)
            continue;
        if (batch->time_ns[row] < stream->closed_ns) {
            count_up(&worker->counters.late, 1); /* another partition closed its window meanwhile */
            continue;
        }
        if (sw_slices_record(&stream->slices, batch->time_ns[row], group, &rows->record[rows->count]) != SW_OK) {
            worker_fail(worker, SW_NOMEM);
            continue;
        }
        rows->index[rows->count++] = (uint16_t)row;
    }
}

static void batch_aggregate(struct sw_worker *worker, struct sw_worker_stream *stream, const struct sw_batch *batch) {
    for (uint32_t begin = 0; begin < batch->rows; begin += SW_CHUNK_ROWS) {
        uint32_t end = begin + SW_CHUNK_ROWS < batch->rows ? begin + SW_CHUNK_ROWS : batch->rows;
        chunk_gather(worker, stream, batch, begin, end);
        count_up(&worker->counters.rows, worker->rows.count);
        enum sw_status status = sw_records_update(stream->plan, batch, &worker->rows);
        if (status != SW_OK)
            worker_fail(worker, status);
        if (end - begin == SW_CHUNK_ROWS && stream->partition_count == 1)
            stream_advance(worker, stream, batch->chunk_watermark_ns[begin / SW_CHUNK_ROWS]);
    }
}

/* Hands on what is finished, several batches together while more of them wait: the merger sleeps and wakes less often.
 * Without new windows it still wants to know how far this worker is. */
static void results_offer(struct sw_worker *worker, struct sw_worker_stream *stream, bool has_more) {
    if (has_more && ++stream->held_batches < HELD_BATCHES)
        return;
    stream->held_batches = 0;
    if (stream->results || (stream->closed_ns > stream->pushed_ns && results_get(worker, stream)))
        results_push(worker, stream);
}

/* `has_more`: another batch of the same intake is waiting already. */
static void batch_process(struct sw_worker *worker, struct sw_batch *batch, unsigned partition, bool has_more) {
    int64_t begin_ns = sw_clock_mono_ns();
    struct sw_worker_stream *stream = &worker->streams[batch->stream];
    if (batch->rows > 0 && batch->arrival_mono_ns < stream->arrival_mono_ns)
        stream->arrival_mono_ns = batch->arrival_mono_ns;
    batch_aggregate(worker, stream, batch);
    struct sw_partition *state = &stream->partitions[partition];
    state->watermark_ns = batch->watermark_ns > state->watermark_ns ? batch->watermark_ns : state->watermark_ns;
    state->is_idle = batch->is_idle;
    state->is_end |= batch->is_end;
    bool has_rows = batch->rows > 0;
    sw_batch_put(batch);
    stream_advance(worker, stream, stream_watermark(stream));
    results_offer(worker, stream, has_more);
    if (has_rows)
        sw_stage_add(&worker->counters.aggregate, sw_clock_mono_ns() - begin_ns);
}

/* Shows the newest open windows as they are. What the merger has no room for is dropped: the next look is newer. */
static void stream_look(struct sw_worker *worker, struct sw_worker_stream *stream, int64_t now_ns) {
    uint32_t count = stream->slices.open_count;
    uint32_t first = count > VIEW_WINDOWS ? count - VIEW_WINDOWS : 0;
    bool is_changed = false;
    for (uint32_t i = first; i < count; i++)
        is_changed |= stream->slices.open[i]->is_changed;
    if (!is_changed)
        return;
    results_push(worker, stream); /* closed windows travel in blocks of their own */
    struct sw_results *results = results_get(worker, stream);
    if (!results)
        return;
    results->is_open = true;
    for (uint32_t i = first; i < count; i++) {
        slice_finish(worker, stream, stream->slices.open[i]);
        stream->slices.open[i]->is_changed = false;
    }
    stream->results = NULL;
    results->watermark_ns = stream->closed_ns;
    results->arrival_mono_ns = stream->arrival_mono_ns;
    if (sw_ring_push(&worker->output, results)) {
        stream->arrival_mono_ns = INT64_MAX;
        sw_parker_wake(worker->merger);
    } else {
        sw_results_put(results);
    }
    int64_t cost_ns = sw_clock_mono_ns() - now_ns;
    stream->next_view_ns = now_ns + (cost_ns * VIEW_SHARE > VIEW_PERIOD_NS ? cost_ns * VIEW_SHARE : VIEW_PERIOD_NS);
}

/* Returns whether some stream has something to show later. */
static bool worker_look(struct sw_worker *worker) {
    bool is_pending = false;
    int64_t now_ns = sw_clock_mono_ns();
    for (unsigned i = 0; i < worker->stream_count; i++) {
        struct sw_worker_stream *stream = &worker->streams[i];
        if (now_ns >= stream->next_view_ns)
            stream_look(worker, stream, now_ns);
        else
            is_pending |= stream->slices.recent && stream->slices.recent->is_changed;
    }
    return is_pending;
}

static bool worker_step(struct sw_worker *worker) {
    bool has_worked = false;
    for (unsigned i = 0; i < worker->input_count; i++) {
        struct sw_batch *batch = sw_ring_pop(&worker->inputs[i]->ring);
        if (batch) {
            bool has_more = sw_ring_depth(&worker->inputs[i]->ring) > 0;
            batch_process(worker, batch, worker->input_partition[i], has_more);
            has_worked = true;
        }
    }
    return has_worked;
}

static bool worker_has_input(const struct sw_worker *worker) {
    for (unsigned i = 0; i < worker->input_count; i++)
        if (sw_ring_depth(&worker->inputs[i]->ring) > 0)
            return true;
    return false;
}

static bool worker_is_done(const struct sw_worker *worker) {
    for (unsigned s = 0; s < worker->stream_count; s++)
        for (unsigned i = 0; i < worker->streams[s].partition_count; i++)
            if (!worker->streams[s].partitions[i].is_end)
                return false;
    return true;
}

static void stream_release(struct sw_worker_stream *stream) {
    if (stream->results)
        sw_results_put(stream->results);
    if (stream->end)
        sw_results_put(stream->end);
    sw_slices_release(&stream->slices);
    sw_results_pool_release(&stream->pool);
    for (uint32_t i = 0; i < stream->anomaly_chunks; i++)
        sw_free(stream->anomalies[i]);
    sw_free(stream->anomalies);
    sw_free(stream->partitions);
    sw_free(stream->order);
}

static enum sw_status stream_init(struct sw_worker_stream *stream, const struct sw_worker_options *options,
                                  unsigned index) {
    stream->plan = &options->plans[index];
    stream->groups = &options->groups[index];
    stream->closed_before_ns = &options->closed_before_ns[index];
    stream->watermark_ns = stream->closed_ns = stream->pushed_ns = INT64_MIN;
    stream->arrival_mono_ns = INT64_MAX;
    sw_slices_init(&stream->slices, stream->plan);
    stream->anomaly_bytes = sw_anomaly_row_bytes(stream->plan->stream->aggregate_count);
    for (unsigned i = 0; i < stream->plan->stream->aggregate_count; i++)
        stream->text_count += sw_aggregate_is_text(stream->plan->stream->aggregates[i].fn);
    stream->partition_count = options->partitions[index];
    stream->partitions = sw_alloc_array_zero(stream->partition_count, sizeof *stream->partitions);
    if (!stream->partitions)
        return SW_NOMEM;
    for (unsigned i = 0; i < stream->partition_count; i++)
        stream->partitions[i].watermark_ns = INT64_MIN;
    return SW_OK;
}

static enum sw_status end_reserve(struct sw_worker *worker, struct sw_worker_stream *stream) {
    stream->end = results_get(worker, stream);
    stream->results = NULL;
    return stream->end ? SW_OK : SW_NOMEM;
}

enum sw_status sw_worker_init(struct sw_worker *worker, const struct sw_worker_options *options) {
    *worker = (struct sw_worker){.index = options->index,
                                 .worker_count = options->worker_count,
                                 .has_views = options->has_views,
                                 .events = options->events,
                                 .merger = options->merger,
                                 .failure = options->failure};
    worker->streams = sw_alloc_array_zero(options->stream_count, sizeof *worker->streams);
    enum sw_status status = worker->streams ? sw_ring_init(&worker->output, OUTPUT_BLOCKS) : SW_NOMEM;
    for (; status == SW_OK && worker->stream_count < options->stream_count; worker->stream_count++)
        status = stream_init(&worker->streams[worker->stream_count], options, worker->stream_count);
    for (unsigned i = 0; status == SW_OK && i < worker->stream_count; i++)
        status = end_reserve(worker, &worker->streams[i]);
    if (status != SW_OK)
        sw_worker_release(worker);
    return status;
}

void sw_worker_release(struct sw_worker *worker) {
    for (unsigned i = 0; i < worker->stream_count; i++)
        stream_release(&worker->streams[i]);
    sw_free(worker->streams);
    sw_free(worker->inputs);
    sw_free(worker->input_partition);
    sw_ring_release(&worker->output);
    *worker = (struct sw_worker){0};
}

void sw_worker_main(void *context) {
    struct sw_worker *worker = context;
    bool is_view_pending = false;
    while (!worker_is_done(worker)) {
        bool has_worked = worker_step(worker);
        if (worker->has_views)
            is_view_pending = worker_look(worker);
        if (has_worked)
            continue;
        uint32_t ticket = sw_parker_prepare(&worker->parker);
        if (worker_has_input(worker))
            sw_parker_cancel(&worker->parker);
        else
            sw_parker_wait(&worker->parker, ticket, is_view_pending ? VIEW_PERIOD_NS / 2 : -1);
    }
    for (unsigned i = 0; i < worker->stream_count; i++) {
        struct sw_worker_stream *stream = &worker->streams[i];
        if (stream->results)
            results_push(worker, stream);
        stream->results = stream->end;
        stream->end = NULL;
        stream->results->is_end = true;
        results_push(worker, stream);
    }
}
