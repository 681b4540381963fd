/* intake.c - Keys to groups, watermark, late and rejected rows, hand-over to the workers; see intake.h. */
#include "engine/intake_impl.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/csv_columns.h"
#include "engine/text_hash.h"
#include "engine/window.h"

static const char *const reject_names[] = {
#define SW_REJECT_NAME(code, text) text,
    SW_REJECT_LIST(SW_REJECT_NAME)
#undef SW_REJECT_NAME
};

#define EXCERPT 80            /* bytes of a rejected line that are shown */
#define TEXT_BYTES (1u << 20) /* a batch whose texts take this much goes early */
#define PACE_NAP_NS (50 * SW_NS_PER_MS)
#define PACE_MOST_NS 3e18   /* about 95 years: no need to wait longer */
#define RING_UNBLOCKED 4096 /* batches: the rows of any body an intake that may not wait is given at once */

const char *sw_reject_name(enum sw_reject kind) {
    return reject_names[kind];
}

static void count_up(_Atomic uint64_t *counter, uint64_t by) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

/* The watermark reached the edge of a window: rows before it are late from now on. */
static void late_move(struct sw_intake *intake, int64_t watermark_ns) {
    if (watermark_ns < intake->next_edge_ns)
        return;
    bool is_next = (uint64_t)watermark_ns - (uint64_t)intake->next_edge_ns < (uint64_t)intake->window_ns;
    intake->late_before_ns = is_next ? intake->next_edge_ns : sw_window_floor(watermark_ns, intake->window_ns);
    intake->next_edge_ns = intake->late_before_ns + intake->window_ns;
}

static int64_t watermark_of(const struct sw_intake *intake) {
    return intake->newest_ns == INT64_MIN ? INT64_MIN : intake->newest_ns - intake->disorder_ns;
}

/* Other partitions of the stream may have closed windows that this one alone would not. */
static void late_follow_others(struct sw_intake *intake) {
    int64_t closed = atomic_load_explicit(intake->shared.closed_before_ns, memory_order_relaxed);
    if (closed > intake->late_before_ns) {
        intake->late_before_ns = closed;
        intake->next_edge_ns = closed + intake->window_ns;
    }
}

static void late_write(struct sw_intake *intake, struct sw_str line) {
    struct sw_late_file *file = intake->shared.late_file;
    if (file->fd < 0)
        return;
    struct sw_buf text = {0};
    if (sw_buf_append(&text, line) == SW_OK && sw_buf_append_byte(&text, '\n') == SW_OK) {
        pthread_mutex_lock(&file->lock);
        ssize_t written = 0;
        for (size_t done = 0; done < text.len && written >= 0; done += (size_t)(written > 0 ? written : 0)) {
            written = write(file->fd, text.ptr + done, text.len - done);
            if (written < 0 && errno == EINTR)
                written = 0;
        }
        pthread_mutex_unlock(&file->lock);
        if (written < 0 && !atomic_exchange(&file->has_failed, true))
            sw_log(SW_LOG_ERROR, "cannot write late rows: %s; they are only counted from here on", strerror(errno));
    }
    sw_buf_release(&text);
}

static void batch_wait_for_room(struct sw_intake *intake) {
    while (!sw_batch_pool_has_room(&intake->pool)) {
        uint32_t ticket = sw_parker_prepare(&intake->pool.parker);
        if (sw_batch_pool_has_room(&intake->pool)) {
            sw_parker_cancel(&intake->pool.parker);
            return;
        }
        sw_parker_wait(&intake->pool.parker, ticket, 100 * SW_NS_PER_MS);
    }
}

/* Out of memory here is waited out: batches in flight come back. */
static struct sw_batch *batch_next(struct sw_intake *intake) {
    struct sw_batch *batch = NULL;
    while (sw_batch_take(&intake->pool, &batch) != SW_OK)
        sw_clock_sleep_ns(10 * SW_NS_PER_MS);
    return batch;
}

/* The next batch is taken first, so it is never the one just sent, which a worker may have given back already. */
static void batch_send(struct sw_intake *intake, int64_t watermark_ns) {
    struct sw_batch *batch = intake->batch;
    struct sw_batch *next = batch_next(intake);
    batch->stream = intake->shared.stream;
    batch->partition = intake->partition;
    batch->seq = intake->seq++;
    batch->watermark_ns = watermark_ns;
    intake->sent_watermark_ns = watermark_ns;
    count_up(&intake->counters.rows, batch->rows);
    count_up(&intake->counters.batches, batch->rows > 0);
    atomic_store_explicit(&intake->counters.newest_ns, intake->newest_ns, memory_order_relaxed);
    atomic_store_explicit(&batch->references, intake->outlet_count, memory_order_relaxed);
    atomic_fetch_add_explicit(&intake->pool.in_flight, 1, memory_order_relaxed);
    for (unsigned i = 0; i < intake->outlet_count; i++) {
        while (
            !sw_ring_push(&intake->outlets[i].ring, batch)) { /* only an intake that may not block outruns its ring */
            sw_parker_wake(intake->outlets[i].parker);
            sw_clock_sleep_ns(SW_NS_PER_MS);
        }
        sw_parker_wake(intake->outlets[i].parker);
    }
    if (intake->may_block)
        batch_wait_for_room(intake);
    intake->batch = next;
    late_follow_others(intake);
}

/* Some id means another key now. */
static void cache_clear(struct sw_intake *intake) {
    sw_map_release(&intake->long_keys);
    for (unsigned i = 0; i < SW_KEY_CACHE; i++)
        intake->cache[i] = (struct sw_key_entry){0, 0, SW_GROUP_NONE};
}

static enum sw_status group_intern_long(struct sw_intake *intake, struct sw_str key, uint32_t *group) {
    uint64_t known;
    if (sw_map_get(&intake->long_keys, key, &known)) {
        *group = (uint32_t)known;
        return SW_OK;
    }
    enum sw_status status = sw_groups_intern(intake->shared.groups, key, group);
    if (status == SW_LIMIT && intake->shared.key_life_ns > 0 && intake->newest_ns != INT64_MIN) {
        status = sw_groups_reuse(intake->shared.groups, key, intake->newest_ns - intake->shared.key_life_ns, group);
        cache_clear(intake);
    }
    if (status == SW_OK)
        status = sw_map_put(&intake->long_keys, key, *group);
    return status;
}

/* Where the cache would hold a key of at most 8 bytes. */
static inline struct sw_key_entry *key_entry(const struct sw_intake *intake, uint64_t word, size_t len) {
    return &intake->cache[((word + len) * 0x9e3779b97f4a7c15u) >> (64 - SW_KEY_CACHE_LOG2)];
}

static inline bool key_is(const struct sw_key_entry *entry, uint64_t word, size_t len) {
    return entry->word == word && entry->len == len && entry->group != SW_GROUP_NONE;
}

static enum sw_status group_intern(struct sw_intake *intake, struct sw_str key, uint32_t *group) {
    if (key.len > 8)
        return group_intern_long(intake, key, group);
    uint64_t word = sw_text_word(key.ptr, key.len);
    struct sw_key_entry *entry = key_entry(intake, word, key.len);
    if (key_is(entry, word, key.len)) {
        *group = entry->group;
        return SW_OK;
    }
    enum sw_status status = group_intern_long(intake, key, group);
    if (status == SW_OK)
        *entry = (struct sw_key_entry){word, (uint32_t)key.len, *group};
    return status;
}

static enum sw_status keys_join(struct sw_intake *intake, unsigned count) {
    sw_buf_clear(&intake->joined);
    for (unsigned i = 0; i < count; i++) {
        enum sw_status status = i > 0 ? sw_buf_append_byte(&intake->joined, SW_KEY_SEPARATOR) : SW_OK;
        if (status == SW_OK)
            status = sw_buf_append(&intake->joined, intake->keys[i]);
        if (status != SW_OK)
            return status;
    }
    return SW_OK;
}

/* The group of the current row. */
static enum sw_status group_find(struct sw_intake *intake, uint32_t *group) {
    unsigned count = intake->shared.plan->stream->key_count;
    if (count == 0) {
        *group = 0;
        return SW_OK;
    }
    if (count == 1)
        return group_intern(intake, intake->keys[0], group);
    enum sw_status status = keys_join(intake, count);
    return status == SW_OK ? group_intern(intake, sw_buf_view(&intake->joined), group) : status;
}

static void intake_forget(struct sw_intake *intake) {
    for (unsigned i = 0; i < intake->shared.plan->stream->key_count; i++)
        intake->keys[i] = (struct sw_str){NULL, 0};
}

/* The row being written becomes row 0 of the batch now being filled. Workers only read `from`, and only this thread reuses it. */
static void row_move(struct sw_intake *intake, const struct sw_batch *from, uint32_t row) {
    const struct sw_plan *plan = intake->shared.plan;
    struct sw_batch *to = intake->batch;
    to->time_ns[0] = from->time_ns[row];
    for (unsigned i = 0; i < plan->num_count; i++)
        to->num[i][0] = from->num[i][row];
    for (unsigned i = 0; i < plan->hash_count; i++)
        to->hash[i][0] = from->hash[i][row];
    for (unsigned i = 0; i < plan->text_count; i++) {
        struct sw_text_ref text = from->text[i][row];
        to->text[i][0] = (struct sw_text_ref){(uint32_t)to->text_bytes.len, text.len};
        if (text.len != UINT32_MAX &&
            sw_buf_append(&to->text_bytes, sw_str_make(from->text_bytes.ptr + text.offset, text.len)) != SW_OK)
            to->text[i][0].len = UINT32_MAX;
    }
}

/* Replay: the row at `time_ns` waits until the clock is there. What is already here is handed on first. */
static void pace_wait(struct sw_intake *intake, int64_t time_ns) {
    if (intake->pace_origin_ns == INT64_MIN) {
        intake->pace_origin_ns = time_ns;
        intake->pace_origin_mono_ns = sw_clock_mono_ns();
    }
    double delay_ns = ((double)time_ns - (double)intake->pace_origin_ns) / intake->pace;
    int64_t due_ns = intake->pace_origin_mono_ns + (int64_t)(delay_ns < PACE_MOST_NS ? delay_ns : PACE_MOST_NS);
    int64_t now_ns = sw_clock_mono_ns();
    if (now_ns < due_ns && intake->batch->rows > 0)
        batch_send(intake, watermark_of(intake));
    for (; now_ns < due_ns && !atomic_load_explicit(intake->shared.is_stopping, memory_order_relaxed);
         now_ns = sw_clock_mono_ns())
        sw_clock_sleep_ns(due_ns - now_ns < PACE_NAP_NS ? due_ns - now_ns : PACE_NAP_NS);
    intake->now_epoch_ns = sw_clock_epoch_ns();
    intake->now_mono_ns = intake->last_row_mono_ns = now_ns;
    double passed_ns = (double)(now_ns - intake->pace_origin_mono_ns) * intake->pace;
    double left_ns = (double)INT64_MAX - 1024 - (double)intake->pace_origin_ns;
    intake->pace_until_ns = passed_ns < left_ns ? intake->pace_origin_ns + (int64_t)passed_ns : INT64_MAX;
    if (intake->pace_until_ns < time_ns)
        intake->pace_until_ns = time_ns;
}

const struct sw_field *sw_intake_fields(const struct sw_intake *intake, size_t *count) {
    *count = intake->shared.plan->field_count;
    return intake->shared.plan->fields;
}

struct sw_batch *sw_intake_batch(struct sw_intake *intake) {
    return intake->batch;
}

void sw_intake_begin(struct sw_intake *intake) {
    const struct sw_plan *plan = intake->shared.plan;
    struct sw_batch *batch = intake->batch;
    for (unsigned i = 0; i < plan->num_count; i++)
        batch->num[i][batch->rows] = NAN;
    for (unsigned i = 0; i < plan->hash_count; i++)
        batch->hash[i][batch->rows] = 0;
    for (unsigned i = 0; i < plan->text_count; i++)
        batch->text[i][batch->rows].len = UINT32_MAX;
    intake_forget(intake);
}

void sw_intake_key(struct sw_intake *intake, unsigned key_slot, struct sw_str text) {
    intake->keys[key_slot] = text;
}

/* Texts of a row that is not taken go, or rows nobody wants would grow the texts of a batch that never fills. */
static void texts_drop(const struct sw_intake *intake, struct sw_batch *batch, uint32_t row) {
    for (unsigned i = 0; i < intake->shared.plan->text_count; i++) {
        struct sw_text_ref text = batch->text[i][row];
        if (text.len != UINT32_MAX && text.offset < batch->text_bytes.len)
            batch->text_bytes.len = text.offset;
    }
}

/* A row whose time is too early or beyond what can be. */
static void row_refuse(struct sw_intake *intake, struct sw_batch *batch, int64_t time_ns, struct sw_str line) {
    texts_drop(intake, batch, batch->rows);
    intake_forget(intake);
    if (time_ns < intake->least_ns || time_ns > intake->most_ns) {
        sw_intake_reject(intake, SW_REJECT_TIME, 0, "event time is out of range", line);
        return;
    }
    count_up(&intake->counters.late, 1);
    late_write(intake, line);
}

void sw_intake_commit(struct sw_intake *intake, struct sw_str line) {
    struct sw_batch *batch = intake->batch;
    unsigned row = batch->rows;
    if (!intake->has_time_field)
        batch->time_ns[row] = intake->now_epoch_ns;
    int64_t time_ns = batch->time_ns[row];
    if (time_ns < intake->late_before_ns || time_ns > intake->most_ns) {
        row_refuse(intake, batch, time_ns, line);
        return;
    }
    if (time_ns > intake->pace_until_ns) {
        pace_wait(intake, time_ns);
        if (atomic_load_explicit(intake->shared.is_stopping, memory_order_relaxed))
            return; /* this row's time has not come and will not */
        if (batch != intake->batch) {
            row_move(intake, batch, row);
            batch = intake->batch;
            row = 0;
        }
        if (time_ns < intake->late_before_ns) { /* others closed its window meanwhile */
            row_refuse(intake, batch, time_ns, line);
            return;
        }
    }
    if (group_find(intake, &batch->group[row]) != SW_OK) {
        texts_drop(intake, batch, row);
        intake_forget(intake);
        sw_intake_reject(intake, SW_REJECT_KEYS, 0, "more distinct keys than --max-keys allows", line);
        return;
    }
    if (time_ns > intake->newest_ns) {
        intake->newest_ns = time_ns;
        late_move(intake, time_ns - intake->disorder_ns);
    }
    if (row == 0)
        batch->arrival_mono_ns = intake->now_mono_ns;
    batch->rows = ++row;
    if (row % SW_CHUNK_ROWS == 0)
        batch->chunk_watermark_ns[row / SW_CHUNK_ROWS - 1] = watermark_of(intake);
    if (row == SW_BATCH_ROWS || batch->text_bytes.len > TEXT_BYTES)
        batch_send(intake, watermark_of(intake));
}

uint32_t sw_intake_commit_cells(struct sw_intake *intake, const struct sw_csv_column *keys, uint32_t count) {
    struct sw_batch *batch = intake->batch;
    uint32_t first = batch->rows, done = 0;
    uint32_t room = SW_CHUNK_ROWS - 1 - first % SW_CHUNK_ROWS;
    if (first == 0 || !intake->has_time_field || intake->pace_until_ns != INT64_MAX ||
        intake->shared.plan->stream->key_count != 1)
        return 0;
    int64_t newest_ns = intake->newest_ns;
    for (count = count < room ? count : room; done < count; done++) {
        int64_t time_ns = batch->time_ns[first + done];
        struct sw_csv_cell key = sw_csv_cell_at(keys, done);
        if (time_ns < intake->late_before_ns || time_ns > intake->most_ns || key.len - 1 >= 8)
            break;
        uint64_t word = sw_text_word_padded(key.ptr, key.len);
        const struct sw_key_entry *entry = key_entry(intake, word, key.len);
        if (!key_is(entry, word, key.len))
            break;
        batch->group[first + done] = entry->group;
        newest_ns = time_ns > newest_ns ? time_ns : newest_ns;
        late_move(intake, newest_ns - intake->disorder_ns);
    }
    intake->newest_ns = newest_ns;
    batch->rows = first + done;
    return done;
}

void sw_intake_reject(struct sw_intake *intake, enum sw_reject kind, uint64_t line_number, const char *reason,
                      struct sw_str line) {
    count_up(&intake->counters.rejected[kind], 1);
    if (intake->was_rejected[kind])
        return;
    intake->was_rejected[kind] = true;
    struct sw_str name = intake->shared.plan->stream->name;
    struct sw_event event = {.time_ns = intake->now_epoch_ns, .level = SW_LOG_WARN, .stream = intake->shared.stream};
    char where[32] = "";
    if (line_number > 0)
        snprintf(where, sizeof where, ", line %llu", (unsigned long long)line_number);
    int shown = line.len > EXCERPT ? EXCERPT : (int)line.len;
    snprintf(event.text, sizeof event.text, "%.*s%s: %s: '%.*s'%s", SW_STR_ARG(name), where, reason, shown,
             line.ptr ? line.ptr : "", line.len > EXCERPT ? "..." : "");
    for (char *c = event.text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    sw_events_add(intake->shared.events, &event);
    sw_log(SW_LOG_WARN, "%s; rows like it are counted from here on (%s)", event.text, reject_names[kind]);
}

void sw_intake_arrive(struct sw_intake *intake, size_t bytes) {
    intake->now_epoch_ns = sw_clock_epoch_ns();
    intake->now_mono_ns = sw_clock_mono_ns();
    intake->last_row_mono_ns = intake->now_mono_ns;
    count_up(&intake->counters.bytes, bytes);
}

void sw_intake_flush(struct sw_intake *intake) {
    if (intake->batch->rows > 0)
        batch_send(intake, watermark_of(intake));
}

/* Without event time the watermark is the clock. Told once a window, and until the newest row's window is closed, it never holds
 * other sources of the stream up. */
static void tick_arrival(struct sw_intake *intake) {
    int64_t watermark_ns = sw_clock_epoch_ns() - intake->disorder_ns;
    if (intake->sent_watermark_ns != INT64_MIN && sw_window_floor(watermark_ns, intake->window_ns) <=
                                                      sw_window_floor(intake->sent_watermark_ns, intake->window_ns))
        return;
    late_move(intake, watermark_ns);
    batch_send(intake, watermark_ns);
}

/* Event time goes on only after the source was silent for `idle_ns`, at the pace of the clock. Once the newest row's window is closed
 * there is nothing left to say. */
void sw_intake_tick(struct sw_intake *intake) {
    sw_intake_flush(intake);
    if (!intake->has_time_field) {
        tick_arrival(intake);
        return;
    }
    int64_t silent_ns = sw_clock_mono_ns() - intake->last_row_mono_ns;
    if (silent_ns < intake->shared.idle_ns || (intake->newest_ns == INT64_MIN && intake->seq > 0))
        return;
    int64_t watermark_ns = watermark_of(intake);
    if (intake->newest_ns != INT64_MIN) {
        int64_t left_ns = sw_window_floor(intake->newest_ns, intake->window_ns) + intake->window_ns - watermark_ns;
        if (intake->sent_watermark_ns >= watermark_ns + left_ns)
            return;
        watermark_ns += silent_ns < left_ns ? silent_ns : left_ns;
        if (watermark_ns < intake->sent_watermark_ns)
            return;
        late_move(intake, watermark_ns);
    }
    intake->batch->is_idle = true;
    batch_send(intake, watermark_ns);
}

bool sw_intake_has_room(const struct sw_intake *intake) {
    return sw_batch_pool_has_room(&intake->pool);
}

void sw_intake_end(struct sw_intake *intake) {
    if (intake->is_ended)
        return;
    intake->is_ended = true;
    sw_intake_flush(intake);
    intake->batch->is_end = true;
    batch_send(intake, watermark_of(intake));
}

enum sw_status sw_intake_new(struct sw_intake **out, const struct sw_intake_options *options) {
    enum sw_status status = SW_NOMEM;
    const struct sw_plan *plan = options->shared.plan;
    struct sw_intake *intake = sw_alloc_zero(sizeof *intake);
    if (!intake)
        return SW_NOMEM;
    intake->shared = options->shared;
    intake->partition = options->partition;
    intake->may_block = options->may_block;
    intake->window_ns = plan->stream->window_ns;
    intake->disorder_ns = plan->stream->disorder_ns;
    intake->has_time_field = plan->stream->time_column.len > 0;
    intake->pace = options->pace;
    intake->pace_origin_ns = INT64_MIN;
    intake->pace_until_ns = options->pace > 0 ? INT64_MIN : INT64_MAX;
    intake->newest_ns = intake->next_edge_ns = intake->sent_watermark_ns = INT64_MIN;
    intake->least_ns = INT64_MIN + intake->disorder_ns + 2 * intake->window_ns;
    intake->most_ns = INT64_MAX - 2 * intake->window_ns;
    intake->late_before_ns = intake->least_ns;
    intake->last_row_mono_ns = sw_clock_mono_ns();
    atomic_store(&intake->counters.newest_ns, INT64_MIN);
    sw_batch_pool_init(&intake->pool, plan, options->batches_in_flight);
    intake->cache = sw_alloc_array(SW_KEY_CACHE, sizeof *intake->cache);
    intake->outlets = sw_alloc_aligned(64, options->worker_count * sizeof *intake->outlets);
    if (!intake->cache || !intake->outlets)
        goto done;
    cache_clear(intake);
    for (; intake->outlet_count < options->worker_count; intake->outlet_count++) {
        struct sw_outlet *outlet = &intake->outlets[intake->outlet_count];
        outlet->parker = options->workers[intake->outlet_count];
        status = sw_ring_init(&outlet->ring, options->may_block ? options->batches_in_flight * 2 : RING_UNBLOCKED);
        if (status != SW_OK)
            goto done;
    }
    status = sw_batch_take(&intake->pool, &intake->batch);
done:
    if (status == SW_OK)
        *out = intake;
    else
        sw_intake_free(intake);
    return status;
}

void sw_intake_free(struct sw_intake *intake) {
    if (!intake)
        return;
    if (intake->batch) { /* the one being filled was never sent */
        intake->batch->next = intake->pool.free;
        intake->pool.free = intake->batch;
    }
    for (unsigned i = 0; i < intake->outlet_count; i++)
        sw_ring_release(&intake->outlets[i].ring);
    sw_free(intake->outlets);
    sw_free(intake->cache);
    sw_map_release(&intake->long_keys);
    sw_buf_release(&intake->joined);
    sw_batch_pool_release(&intake->pool);
    sw_free(intake);
}
