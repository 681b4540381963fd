/* fake_intake.c - An intake that writes down what a decoder gives it; see fake_intake.h. */
#include "fake_intake.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "engine/csv_columns.h"
#include "engine/decoder_impl.h"

#define MAX_FIELDS 32
#define BATCHES 2
#define FLUSH_BYTES ((size_t)8 << 20)
#define MOST_CUTS 400u

struct sw_intake {
    struct sw_field fields[MAX_FIELDS];
    size_t field_count;
    struct sw_batch batches[BATCHES];
    struct sw_batch *batch;
    unsigned num_count, hash_count, text_count, key_count;
    struct sw_str keys[SW_MAX_KEYS];
    bool is_key_set[SW_MAX_KEYS];
    uint32_t rows_per_batch, drop_every;
    bool is_muted, hides_lines, has_time_field;
    uint64_t rows, commits;
    struct sw_buf log;
};

static void *must(void *ptr) {
    if (!ptr)
        abort();
    return ptr;
}

static void ok(enum sw_status status) {
    if (status != SW_OK)
        abort();
}

static void columns_new(struct sw_batch *batch, const struct sw_intake *intake) {
    batch->time_ns = must(calloc(SW_BATCH_ROWS, sizeof *batch->time_ns));
    batch->group = must(calloc(SW_BATCH_ROWS, sizeof *batch->group));
    batch->num = must(calloc(intake->num_count + 1, sizeof *batch->num));
    batch->hash = must(calloc(intake->hash_count + 1, sizeof *batch->hash));
    batch->text = must(calloc(intake->text_count + 1, sizeof *batch->text));
    for (unsigned i = 0; i < intake->num_count; i++)
        batch->num[i] = must(calloc(SW_BATCH_ROWS, sizeof **batch->num));
    for (unsigned i = 0; i < intake->hash_count; i++)
        batch->hash[i] = must(calloc(SW_BATCH_ROWS, sizeof **batch->hash));
    for (unsigned i = 0; i < intake->text_count; i++)
        batch->text[i] = must(calloc(SW_BATCH_ROWS, sizeof **batch->text));
}

static void columns_free(struct sw_batch *batch, const struct sw_intake *intake) {
    for (unsigned i = 0; i < intake->num_count; i++)
        free(batch->num[i]);
    for (unsigned i = 0; i < intake->hash_count; i++)
        free(batch->hash[i]);
    for (unsigned i = 0; i < intake->text_count; i++)
        free(batch->text[i]);
    free(batch->num);
    free(batch->hash);
    free(batch->text);
    free(batch->group);
    free(batch->time_ns);
    sw_buf_release(&batch->text_bytes);
}

static uint8_t slot_if(unsigned roles, enum fake_role role, unsigned *count) {
    return roles & role ? (uint8_t)(*count)++ : SW_NO_SLOT;
}

struct sw_intake *fake_intake_new(const struct fake_field *fields) {
    struct sw_intake *intake = must(calloc(1, sizeof *intake));
    for (; fields->name; fields++) {
        assert(intake->field_count < MAX_FIELDS);
        struct sw_field *field = &intake->fields[intake->field_count++];
        field->name = sw_str_from(fields->name);
        field->num_slot = slot_if(fields->roles, FAKE_NUM, &intake->num_count);
        field->hash_slot = slot_if(fields->roles, FAKE_HASH, &intake->hash_count);
        field->text_slot = slot_if(fields->roles, FAKE_TEXT, &intake->text_count);
        field->key_slot = slot_if(fields->roles, FAKE_KEY, &intake->key_count);
        field->time_unit = fields->time_unit;
        intake->has_time_field |= fields->time_unit != SW_TIME_NONE;
    }
    for (int i = 0; i < BATCHES; i++)
        columns_new(&intake->batches[i], intake);
    intake->batch = &intake->batches[0];
    return intake;
}

void fake_intake_free(struct sw_intake *intake) {
    if (!intake)
        return;
    for (int i = 0; i < BATCHES; i++)
        columns_free(&intake->batches[i], intake);
    sw_buf_release(&intake->log);
    free(intake);
}

void fake_intake_disturb(struct sw_intake *intake, uint32_t rows_per_batch, uint32_t drop_every) {
    intake->rows_per_batch = rows_per_batch;
    intake->drop_every = drop_every;
}

void fake_intake_mute(struct sw_intake *intake) {
    intake->is_muted = true;
}

void fake_intake_hide_lines(struct sw_intake *intake) {
    intake->hides_lines = true;
}

uint64_t fake_intake_rows(const struct sw_intake *intake) {
    return intake->rows;
}

struct sw_str fake_intake_log(const struct sw_intake *intake) {
    return sw_buf_view(&intake->log);
}

void fake_intake_clear(struct sw_intake *intake) {
    sw_buf_clear(&intake->log);
    intake->rows = intake->commits = 0;
    intake->batch->rows = 0;
    sw_buf_clear(&intake->batch->text_bytes);
}

const struct sw_field *sw_intake_fields(const struct sw_intake *intake, size_t *count) {
    *count = intake->field_count;
    return intake->fields;
}

struct sw_batch *sw_intake_batch(struct sw_intake *intake) {
    return intake->batch;
}

void sw_intake_begin(struct sw_intake *intake) {
    struct sw_batch *batch = intake->batch;
    for (unsigned i = 0; i < intake->num_count; i++)
        batch->num[i][batch->rows] = NAN;
    for (unsigned i = 0; i < intake->hash_count; i++)
        batch->hash[i][batch->rows] = 0;
    for (unsigned i = 0; i < intake->text_count; i++)
        batch->text[i][batch->rows].len = UINT32_MAX;
    for (unsigned i = 0; i < intake->key_count; i++)
        intake->keys[i] = (struct sw_str){NULL, 0};
}

void sw_intake_key(struct sw_intake *intake, unsigned key_slot, struct sw_str text) {
    assert(key_slot < intake->key_count);
    intake->keys[key_slot] = text;
}

static void log_bytes(struct sw_intake *intake, const char *ptr, size_t len) {
    ok(sw_buf_append(&intake->log, sw_str_make(ptr, len)));
}

static void log_field(struct sw_intake *intake, const struct sw_field *field, uint32_t row) {
    struct sw_batch *batch = intake->batch;
    struct sw_buf *log = &intake->log;
    if (field->num_slot + field->hash_slot + field->text_slot + field->key_slot == 4 * SW_NO_SLOT)
        return;
    log_bytes(intake, " ", 1);
    log_bytes(intake, field->name.ptr, field->name.len);
    if (field->num_slot != SW_NO_SLOT && isnan(batch->num[field->num_slot][row]))
        ok(sw_buf_append_format(log, "=-"));
    else if (field->num_slot != SW_NO_SLOT)
        ok(sw_buf_append_format(log, "=%.17g", batch->num[field->num_slot][row]));
    if (field->hash_slot != SW_NO_SLOT)
        ok(sw_buf_append_format(log, "#%016" PRIx64, batch->hash[field->hash_slot][row]));
    if (field->text_slot != SW_NO_SLOT) {
        struct sw_text_ref ref = batch->text[field->text_slot][row];
        if (ref.len == UINT32_MAX) {
            log_bytes(intake, "~", 1);
        } else {
            if ((size_t)ref.offset + ref.len > batch->text_bytes.len)
                abort();
            log_bytes(intake, "\"", 1);
            log_bytes(intake, batch->text_bytes.ptr + ref.offset, ref.len);
            log_bytes(intake, "\"", 1);
        }
    }
    if (field->key_slot != SW_NO_SLOT) {
        log_bytes(intake, "'", 1);
        log_bytes(intake, intake->keys[field->key_slot].ptr, intake->keys[field->key_slot].len);
        log_bytes(intake, "'", 1);
    }
}

static void batch_change(struct sw_intake *intake) {
    struct sw_batch *batch = intake->batch == &intake->batches[0] ? &intake->batches[1] : &intake->batches[0];
    batch->rows = 0;
    sw_buf_clear(&batch->text_bytes);
    intake->batch = batch;
}

void sw_intake_commit(struct sw_intake *intake, struct sw_str line) {
    struct sw_batch *batch = intake->batch;
    if (!intake->is_muted) {
        if (intake->has_time_field)
            ok(sw_buf_append_format(&intake->log, "t=%" PRId64, batch->time_ns[batch->rows]));
        for (size_t i = 0; i < intake->field_count; i++)
            log_field(intake, &intake->fields[i], batch->rows);
        log_bytes(intake, "\n", 1);
        if (line.len && line.ptr[line.len - 1] == '\n')
            abort();
    }
    intake->rows++;
    intake->commits++;
    if (intake->drop_every && intake->commits % intake->drop_every == 0)
        return;
    batch->rows++;
    if (batch->rows == SW_BATCH_ROWS || (intake->rows_per_batch && batch->rows >= intake->rows_per_batch))
        batch_change(intake);
}

/* A row that would be dropped or end the batch is out of the ordinary. */
static bool commit_is_ordinary(const struct sw_intake *intake) {
    uint32_t rows = intake->batch->rows + 1;
    return rows < SW_BATCH_ROWS && (!intake->rows_per_batch || rows < intake->rows_per_batch) &&
           (!intake->drop_every || (intake->commits + 1) % intake->drop_every != 0);
}

uint32_t sw_intake_commit_cells(struct sw_intake *intake, const struct sw_csv_column *keys, uint32_t count) {
    uint32_t done = 0;
    if (intake->key_count != 1)
        return 0;
    for (; done < count && commit_is_ordinary(intake); done++) {
        struct sw_csv_cell key = sw_csv_cell_at(keys, done);
        intake->keys[0] = sw_str_make(key.ptr, key.len);
        sw_intake_commit(intake, SW_STR(""));
    }
    return done;
}

void sw_intake_reject(struct sw_intake *intake, enum sw_reject kind, uint64_t line_number, const char *reason,
                      struct sw_str line) {
    static const char *const names[] = {
#define FAKE_REJECT_NAME(code, text) text,
        SW_REJECT_LIST(FAKE_REJECT_NAME)
#undef FAKE_REJECT_NAME
    };
    if (intake->is_muted)
        return;
    ok(sw_buf_append_format(&intake->log, "! %s %" PRIu64 " %s | ", names[kind], intake->hides_lines ? 0 : line_number,
                            reason));
    log_bytes(intake, line.ptr, line.len < 100 ? line.len : 100);
    log_bytes(intake, "\n", 1);
}

/* The last `len` bytes before a page that cannot be read. */
static char *flush_memory(size_t len) {
    static char *end;
    if (!end) {
        char *start = mmap(NULL, FLUSH_BYTES + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (start == MAP_FAILED || mprotect(start + FLUSH_BYTES, 4096, PROT_NONE) != 0)
            abort();
        end = start + FLUSH_BYTES;
    }
    if (len > FLUSH_BYTES)
        abort();
    return end - len;
}

static enum sw_status feed_pieces(struct sw_decoder *decoder, struct sw_str bytes, size_t piece, struct sw_error *err) {
    enum sw_status status = SW_OK;
    while (bytes.len && status == SW_OK) {
        size_t len = piece && piece < bytes.len ? piece : bytes.len;
        char *copy = flush_memory(len);
        memcpy(copy, bytes.ptr, len);
        status = sw_decoder_feed(decoder, sw_str_make(copy, len), err);
        memset(copy, '?', len);
        bytes = sw_str_skip(bytes, len);
    }
    return status;
}

enum sw_status fake_decode(struct sw_intake *intake, const struct fake_run *run, struct sw_str bytes,
                           struct sw_error *err) {
    struct sw_decoder *decoder;
    enum sw_status status = sw_decoder_new(&decoder, run->options, intake, err);
    if (status != SW_OK)
        return status;
    if (run->has_level)
        sw_csv_level(decoder, run->level);
    status = feed_pieces(decoder, sw_str_make(bytes.ptr, run->cut), run->piece, err);
    if (status == SW_OK)
        status = feed_pieces(decoder, sw_str_skip(bytes, run->cut), run->piece, err);
    if (status == SW_OK)
        status = sw_decoder_finish(decoder, err);
    sw_decoder_free(decoder);
    return status;
}

static bool run_matches(struct sw_intake *intake, const struct fake_run *run, struct sw_str input, const char *log) {
    struct sw_error err = {0};
    fake_intake_clear(intake);
    enum sw_status status = fake_decode(intake, run, input, &err);
    struct sw_str got = fake_intake_log(intake);
    if (status == SW_OK && sw_str_eq(got, sw_str_from(log)))
        return true;
    fprintf(stderr, "cut %zu, pieces of %zu, level %d: status %d %s\n%.*s-- instead of\n%s", run->cut, run->piece,
            run->has_level ? (int)run->level : -1, (int)status, err.text, (int)got.len, got.ptr ? got.ptr : "", log);
    return false;
}

bool fake_matches(const struct fake_field *fields, const struct sw_decoder_options *options, struct sw_str input,
                  const char *log) {
    struct sw_intake *intake = fake_intake_new(fields);
    struct fake_run run = {.options = options};
    bool matches = run_matches(intake, &run, input, log);
    run.has_level = options->format == SW_FORMAT_CSV;
    for (int level = 0; matches && run.has_level && level <= (int)sw_cpu_level(); level++) {
        run.level = (enum sw_cpu_level)level;
        matches = run_matches(intake, &run, input, log);
    }
    run.has_level = false;
    for (uint32_t rows = 1; matches && rows < 12; rows++) {
        fake_intake_disturb(intake, rows, rows / 2);
        matches = run_matches(intake, &run, input, log);
    }
    for (size_t cut = 1; matches && cut < input.len && cut < MOST_CUTS; cut++) {
        run.cut = cut;
        matches = run_matches(intake, &run, input, log);
    }
    run.cut = 0;
    for (run.piece = 1; matches && run.piece < input.len && run.piece < MOST_CUTS; run.piece++)
        matches = run_matches(intake, &run, input, log);
    fake_intake_free(intake);
    return matches;
}

bool fake_survives_no_memory(const struct fake_field *fields, const struct sw_decoder_options *options,
                             struct sw_str input) {
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status == SW_NOMEM && nth < 1000; nth++) {
        struct sw_intake *intake = fake_intake_new(fields);
        const struct fake_run run = {.options = options, .cut = input.len / 2};
        struct sw_error err = {0};
        fake_intake_mute(intake);
        sw_mem_fail_at(nth);
        status = fake_decode(intake, &run, input, &err);
        sw_mem_fail_at(0);
        if (status != err.status || (nth == 1 && status != SW_NOMEM))
            status = SW_INVALID;
        fake_intake_free(intake);
    }
    return status == SW_OK;
}
