/* csv_fast.c - Plain csv rows by columns; see csv_fast.h. */
#include "engine/csv_fast.h"

#include "base/mem.h"
#include "engine/csv_columns.h"
#include "engine/csv_index.h"

#define BURST_MAX 512u /* rows decoded before they are committed */

struct sw_csv_fast {
    struct sw_csv_index index;
    sw_csv_index_fn build;
    const struct sw_csv_readers *readers;
    char delimiter;
    uint32_t column_count;
    uint32_t burst; /* rows tried at once: halved by each bad row, doubled by each good burst, so that bad streams stay
                       linear */
    size_t use_count, text_count;
    struct sw_csv_use *texts; /* those of `uses` that are keys or texts; in the memory behind them */
    struct sw_csv_use uses[];
};

/* Writes the column to its slots from batch->rows on; returns how many rows could be read before the first bad one. */
static size_t column_read(const struct sw_csv_fast *fast, const struct sw_csv_column *column,
                          const struct sw_field *field, struct sw_batch *batch, size_t rows) {
    if (field->time_unit != SW_TIME_NONE)
        rows = fast->readers->times(column, rows, batch->time_ns + batch->rows, field->time_unit);
    if (field->num_slot != SW_NO_SLOT)
        rows = fast->readers->numbers(column, rows, batch->num[field->num_slot] + batch->rows);
    if (field->hash_slot != SW_NO_SLOT)
        rows = fast->readers->hashes(column, rows, batch->hash[field->hash_slot] + batch->rows);
    return rows;
}

static struct sw_csv_column column_of(const struct sw_csv_fast *fast, const char *base, const uint32_t *ends,
                                      uint32_t column) {
    bool is_last = column + 1 == fast->column_count;
    return (struct sw_csv_column){base, ends + column, fast->column_count, is_last && fast->index.has_cr};
}

/* Keys and texts of one row: what cannot be written ahead of its commit. */
static enum sw_status row_texts(const struct sw_csv_fast *fast, struct sw_decoder *decoder, const char *base,
                                const uint32_t *ends) {
    for (size_t i = 0; i < fast->text_count; i++) {
        const struct sw_field *field = fast->texts[i].field;
        struct sw_csv_column column = column_of(fast, base, ends, fast->texts[i].column);
        struct sw_csv_cell cell = sw_csv_cell_at(&column, 0);
        struct sw_str text = {cell.ptr, cell.len};
        if (field->key_slot != SW_NO_SLOT)
            sw_intake_key(decoder->intake, field->key_slot, text);
        if (field->text_slot == SW_NO_SLOT)
            continue;
        enum sw_status status = sw_decoder_store_text_slot(decoder, field, decoder->batch->rows, text);
        if (status != SW_OK)
            return status;
    }
    return SW_OK;
}

/* Late rows and rows beyond the key limit leave no row behind: what was decoded further on moves up. */
static void row_move(const struct sw_csv_fast *fast, struct sw_batch *batch, uint32_t from) {
    uint32_t to = batch->rows;
    for (size_t i = 0; i < fast->use_count; i++) {
        const struct sw_field *field = fast->uses[i].field;
        if (field->num_slot != SW_NO_SLOT)
            batch->num[field->num_slot][to] = batch->num[field->num_slot][from];
        if (field->hash_slot != SW_NO_SLOT)
            batch->hash[field->hash_slot][to] = batch->hash[field->hash_slot][from];
        if (field->time_unit != SW_TIME_NONE)
            batch->time_ns[to] = batch->time_ns[from];
    }
}

/* Commits ordinary rows where a row has one text, its key, and returns how many. */
static uint32_t rows_commit_ordinary(const struct sw_csv_fast *fast, struct sw_decoder *decoder, const char *base,
                                     const uint32_t *ends, size_t rows) {
    if (fast->text_count != 1 || fast->texts[0].field->key_slot == SW_NO_SLOT ||
        fast->texts[0].field->text_slot != SW_NO_SLOT)
        return 0;
    struct sw_csv_column keys = column_of(fast, base, ends, fast->texts[0].column);
    uint32_t done = sw_intake_commit_cells(decoder->intake, &keys, (uint32_t)rows);
    decoder->line_number += done;
    return done;
}

/* Commits up to `rows` decoded rows, fewer if the batch changes under way; *done counts them. */
static enum sw_status rows_commit(const struct sw_csv_fast *fast, struct sw_decoder *decoder, const char *base,
                                  const uint32_t *ends, size_t rows, size_t *done) {
    struct sw_batch *batch = decoder->batch;
    uint32_t from = batch->rows;
    size_t row = 0;
    enum sw_status status = SW_OK;
    while (row < rows && sw_intake_batch(decoder->intake) == batch) {
        uint32_t ordinary = batch->rows == from ? rows_commit_ordinary(fast, decoder, base, ends, rows - row) : 0;
        ends += ordinary * fast->column_count;
        row += ordinary;
        from += ordinary;
        if (row == rows)
            break;
        if (batch->rows != from)
            row_move(fast, batch, from);
        status = row_texts(fast, decoder, base, ends);
        if (status != SW_OK)
            break;
        uint32_t start = ends[-1] + 1, end = ends[fast->column_count - 1];
        end -= fast->index.has_cr && base[end - 1] == '\r';
        decoder->line_number++;
        sw_intake_commit(decoder->intake, sw_str_make(base + start, end - start));
        ends += fast->column_count;
        row++;
        from++;
    }
    *done = row;
    return status == SW_MALFORMED ? SW_OK : status; /* the careful way will find the same and say so */
}

/* Rows from `row` on that have the right number of fields and are not blank: the newline is where the last field ends. */
static size_t regular_rows(struct sw_csv_fast *fast, const uint32_t *ends, uint32_t row, size_t limit) {
    size_t count = 0;
    size_t last = fast->column_count - 1;
    const uint32_t *rows = fast->index.rows + row;
    size_t rows_left = fast->index.row_count - row;
    /* Behind the index lie positions of earlier chunks, which could look like a match. */
    size_t ends_left = fast->index.end_count - (size_t)(ends - sw_csv_index_ends(&fast->index));
    if (limit > rows_left)
        limit = rows_left;
    if (limit > ends_left / fast->column_count)
        limit = ends_left / fast->column_count;
    /* A row of one or two bytes may be blank, or be a lone CR. */
    while (count < limit && ends[last] == rows[count] && ends[last] - ends[-1] > 2) {
        ends += fast->column_count;
        count++;
    }
    return count;
}

static enum sw_status burst_take(struct sw_csv_fast *fast, struct sw_decoder *decoder, const char *base,
                                 const uint32_t *ends, size_t *rows) {
    struct sw_batch *batch = sw_intake_batch(decoder->intake);
    size_t room = SW_BATCH_ROWS - batch->rows;
    size_t wanted = *rows < room ? *rows : room;
    size_t count = wanted;
    decoder->batch = batch;
    for (size_t i = 0; i < fast->use_count; i++) {
        struct sw_csv_column column = column_of(fast, base, ends, fast->uses[i].column);
        count = column_read(fast, &column, fast->uses[i].field, batch, count);
    }
    if (count < wanted)
        fast->burst = fast->burst > 1 ? fast->burst / 2 : 1;
    else if (fast->burst < BURST_MAX)
        fast->burst *= 2;
    return rows_commit(fast, decoder, base, ends, count, rows);
}

/* Takes every row of the index. */
static enum sw_status chunk_take(struct sw_csv_fast *fast, struct sw_decoder *decoder, const char *base,
                                 sw_csv_careful careful) {
    const uint32_t *ends = sw_csv_index_ends(&fast->index);
    enum sw_status status = SW_OK;
    for (uint32_t row = 0; row < fast->index.row_count && status == SW_OK;) {
        size_t count = regular_rows(fast, ends, row, fast->burst);
        size_t done = count;
        if (count)
            status = burst_take(fast, decoder, base, ends, &done);
        row += (uint32_t)done;
        ends += done * fast->column_count;
        if (status != SW_OK || (count && done))
            continue;
        uint32_t start = ends[-1] + 1, end = fast->index.rows[row++];
        while (*ends++ != end) {
        }
        status = careful(decoder, sw_str_make(base + start, end - start));
    }
    return status;
}

enum sw_status sw_csv_fast_run(struct sw_csv_fast *fast, struct sw_decoder *decoder, struct sw_str *bytes,
                               sw_csv_careful careful) {
    enum sw_status status = SW_OK;
    while (bytes->len > SW_DECODER_PAD && status == SW_OK) {
        size_t len = bytes->len - SW_DECODER_PAD;
        fast->build(&fast->index, bytes->ptr, len < SW_CSV_CHUNK ? (uint32_t)len : SW_CSV_CHUNK, fast->delimiter);
        uint32_t rows = fast->index.row_count;
        if (rows == 0)
            break;
        status = chunk_take(fast, decoder, bytes->ptr, careful);
        *bytes = sw_str_skip(*bytes, fast->index.rows[rows - 1] + 1);
    }
    return status;
}

enum sw_status sw_csv_fast_new(struct sw_csv_fast **fast, char delimiter, size_t use_limit) {
    struct sw_csv_fast *made = sw_alloc(sizeof *made + 2 * use_limit * sizeof *made->uses);
    if (!made)
        return SW_NOMEM;
    made->build = sw_csv_index_for(sw_cpu_level());
    made->readers = sw_csv_readers_for(sw_cpu_level());
    made->delimiter = delimiter;
    made->column_count = 0;
    made->burst = BURST_MAX;
    made->use_count = made->text_count = 0;
    made->texts = made->uses + use_limit;
    sw_csv_index_ends(&made->index)[-1] = UINT32_MAX;
    *fast = made;
    return SW_OK;
}

void sw_csv_fast_level(struct sw_csv_fast *fast, enum sw_cpu_level level) {
    fast->build = sw_csv_index_for(level);
    fast->readers = sw_csv_readers_for(level);
}

void sw_csv_fast_free(struct sw_csv_fast *fast) {
    sw_free(fast);
}

void sw_csv_fast_clear(struct sw_csv_fast *fast) {
    fast->use_count = fast->text_count = 0;
}

void sw_csv_fast_use(struct sw_csv_fast *fast, const struct sw_field *field, uint32_t column) {
    struct sw_csv_use use = {field, column};
    fast->uses[fast->use_count++] = use;
    if (field->key_slot != SW_NO_SLOT || field->text_slot != SW_NO_SLOT)
        fast->texts[fast->text_count++] = use;
}

void sw_csv_fast_ready(struct sw_csv_fast *fast, size_t column_count) {
    fast->column_count = (uint32_t)column_count;
}

const struct sw_csv_use *sw_csv_fast_uses(const struct sw_csv_fast *fast, size_t *count) {
    *count = fast->use_count;
    return fast->uses;
}
