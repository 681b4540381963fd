/* test_intake.c - Keys, late rows, watermarks, rejected rows and back-pressure, as rows come in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "engine/csv_columns.h"
#include "engine/text_hash.h"
#include "engine_feed.h"

static struct feed feed;

static struct sw_batch *pop(struct sw_intake *intake) {
    return sw_ring_pop(&intake->outlets[0].ring);
}

static struct sw_intake *open_default(const struct feed_options *options) {
    feed_open(&feed, options);
    struct sw_intake_options intake = feed_intake(&feed);
    return feed_intake_new(&intake);
}

static void close_all(struct sw_intake *intake) {
    feed_intake_free(intake);
    feed_close(&feed);
}

static uint64_t rejected(const struct sw_intake *intake, enum sw_reject kind) {
    return atomic_load(&intake->counters.rejected[kind]);
}

static void key_check(uint32_t group, const char *key, size_t len) {
    assert_true(sw_str_eq(sw_groups_get(&feed.groups, group)->key, sw_str_make(key, len)));
}

/* Short keys go through the cache, long ones do not; neither may mix up keys that begin or end alike. */
static void keys_of_every_length(void **state) {
    static const char text[] = "abcdefghijklmnopqrstuvwxyz";
    struct sw_intake *intake = open_default(&(struct feed_options){.keys = 1});
    uint32_t groups[2][21];
    for (int round = 0; round < 2; round++)
        for (size_t len = 0; len <= 20; len++) {
            char copy[21];
            memcpy(copy, text, len);
            sw_intake_begin(intake);
            intake->batch->time_ns[intake->batch->rows] = 5;
            sw_intake_key(intake, 0, sw_str_make(copy, len));
            sw_intake_commit(intake, SW_STR(""));
            groups[round][len] = intake->batch->group[intake->batch->rows - 1];
            key_check(groups[round][len], text, len);
            memset(copy, 'x', len);
        }
    assert_memory_equal(groups[0], groups[1], sizeof groups[0]);
    assert_int_equal(sw_groups_count(&feed.groups), 21);
    close_all(intake);
}

static void keys_with_zero_bytes(void **state) {
    static const char zeros[9] = {0};
    struct sw_intake *intake = open_default(&(struct feed_options){.keys = 1});
    for (int round = 0; round < 2; round++)
        for (size_t len = 0; len <= 9; len++) {
            sw_intake_begin(intake);
            intake->batch->time_ns[intake->batch->rows] = 5;
            sw_intake_key(intake, 0, sw_str_make(zeros, len));
            sw_intake_commit(intake, SW_STR(""));
            assert_int_equal(intake->batch->group[intake->batch->rows - 1], len);
        }
    close_all(intake);
}

/* More than the cache has places. */
static void many_keys(void **state) {
    enum { KEYS = 3 * SW_KEY_CACHE };
    struct sw_intake *intake = open_default(&(struct feed_options){.keys = 1});
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < KEYS; i++) {
            char key[16];
            snprintf(key, sizeof key, "%u", i);
            const struct sw_batch *batch = intake->batch;
            uint32_t row = batch->rows;
            feed_row(intake, 5, 1, key);
            assert_int_equal(batch->group[row], i);
        }
    assert_int_equal(intake->counters.batches, 2 * KEYS / SW_BATCH_ROWS);
    close_all(intake);
}

static void keys_of_several_columns(void **state) {
    static const struct {
        const char *keys[2], *joined;
    } rows[] = {{{"a", "b"},
                 "a\x1f"
                 "b"},
                {{"ab", ""}, "ab\x1f"},
                {{"", "ab"},
                 "\x1f"
                 "ab"},
                {{NULL, NULL}, "\x1f"},
                {{"a long key", "and another"},
                 "a long key\x1f"
                 "and another"}};
    struct sw_intake *intake = open_default(&(struct feed_options){.keys = 2});
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            sw_intake_begin(intake);
            intake->batch->time_ns[intake->batch->rows] = 5;
            for (unsigned k = 0; k < 2 && rows[i].keys[k]; k++)
                sw_intake_key(intake, k, sw_str_from(rows[i].keys[k]));
            sw_intake_commit(intake, SW_STR(""));
            assert_int_equal(intake->batch->group[intake->batch->rows - 1], i);
            key_check(i, rows[i].joined, strlen(rows[i].joined));
        }
    close_all(intake);
}

/* A row is late when the watermark had reached its window's end as the row came, however rows fall into batches. */
static void late_by_the_running_watermark(void **state) {
    static const struct {
        int64_t disorder_ns;
        int64_t times[8];
        const char *taken; /* '+' or 'L' */
    } cases[] = {
        {0, {5, 3, 9, 0}, "++++"},
        {0, {5, 12, 9, 10, 8, 11}, "++L+L+"},
        {0, {9, 10, 9, 19, 20, 19}, "++L++L"},
        {5,
         {5, 12, 9, 14, 9, 15, 9},
         "++++"
         "++L"},
        {5, {9, 16, 9, 10}, "++L+"},
        {0, {-5, -11, 0, -1, -10}, "+L+LL"},
        {100, {0, 105, 3, 109, 110, 9}, "+++++L"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
        for (int is_flushed = 0; is_flushed < 2; is_flushed++) {
            struct sw_intake *intake = open_default(&(struct feed_options){.disorder_ns = cases[c].disorder_ns});
            uint64_t late = 0;
            for (size_t i = 0; cases[c].taken[i]; i++) {
                uint32_t before = intake->batch->rows;
                feed_row(intake, cases[c].times[i], 1, NULL);
                bool is_taken = intake->batch->rows == before + 1;
                late += !is_taken;
                if (is_taken != (cases[c].taken[i] == '+') || intake->counters.late != late)
                    fail_msg("case %zu, row %zu", c, i);
                if (is_flushed)
                    sw_intake_flush(intake);
            }
            close_all(intake);
        }
}

enum { CELL_ROWS = 3 * SW_BATCH_ROWS + 77, CELL_KEYS = 10 };

/* A stream of keys of 0 to 9 bytes, with a late row now and then. */
struct cells {
    int64_t times[CELL_ROWS];
    char text[CELL_ROWS * CELL_KEYS + 8];
    uint32_t ends[CELL_ROWS + 1]; /* from [1] on */
};

static void cells_make(struct cells *cells) {
    uint32_t at = 0;
    cells->ends[0] = UINT32_MAX;
    for (uint32_t i = 0; i < CELL_ROWS; i++) {
        uint64_t random = sw_hash_u64(i);
        cells->times[i] = i / 3 - (random % 50 == 0 ? (int64_t)(random >> 40 & 31) : 0);
        uint32_t len = random >> 20 & 31 ? (uint32_t)(random >> 30) % 3 + 1 : (uint32_t)(random >> 30) % CELL_KEYS;
        memset(cells->text + at, 'a' + (int)(random >> 50 & 3), len);
        at += len;
        cells->text[at] = ',';
        cells->ends[i + 1] = at++;
    }
}

/* As many ordinary rows at a time as the intake takes, or none, then one by itself. */
static void cells_commit(struct sw_intake *intake, const struct cells *cells, bool by_run, uint64_t *taken_by_run) {
    for (uint32_t row = 0; row < CELL_ROWS; row++) {
        struct sw_csv_column column = {cells->text, cells->ends + 1 + row, 1, false};
        uint32_t count = CELL_ROWS - row < 100 ? CELL_ROWS - row : 100, done = 0;
        struct sw_batch *batch = intake->batch;
        count = count < SW_BATCH_ROWS - batch->rows ? count : SW_BATCH_ROWS - batch->rows;
        memcpy(batch->time_ns + batch->rows, cells->times + row, count * sizeof *cells->times);
        if (by_run)
            done = sw_intake_commit_cells(intake, &column, count);
        *taken_by_run += done;
        row += done;
        if (row == CELL_ROWS)
            break;
        struct sw_csv_cell key = sw_csv_cell_at(&column, done);
        sw_intake_begin(intake);
        intake->batch->time_ns[intake->batch->rows] = cells->times[row];
        sw_intake_key(intake, 0, sw_str_make(key.ptr, key.len));
        sw_intake_commit(intake, SW_STR(""));
    }
    sw_intake_end(intake);
}

static void batches_equal(struct sw_batch *a, struct sw_batch *b) {
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->watermark_ns, b->watermark_ns);
    assert_memory_equal(a->time_ns, b->time_ns, a->rows * sizeof *a->time_ns);
    assert_memory_equal(a->group, b->group, a->rows * sizeof *a->group);
    assert_memory_equal(a->chunk_watermark_ns, b->chunk_watermark_ns,
                        a->rows / SW_CHUNK_ROWS * sizeof *a->chunk_watermark_ns);
}

/* Ordinary rows of a run leave what the same rows one by one leave: groups, late rows, watermarks. */
static void a_run_of_cells_is_its_rows(void **state) {
    static struct cells cells;
    struct feed feeds[2];
    struct sw_intake *intakes[2];
    uint64_t taken[2] = {0, 0};
    cells_make(&cells);
    for (unsigned i = 0; i < 2; i++) {
        feed_open(&feeds[i], &(struct feed_options){.keys = 1, .disorder_ns = 4});
        struct sw_intake_options options = feed_intake(&feeds[i]);
        intakes[i] = feed_intake_new(&options);
        cells_commit(intakes[i], &cells, i == 1, &taken[i]);
    }
    assert_true(taken[1] > CELL_ROWS / 2);
    assert_true(intakes[0]->counters.late > 10);
    assert_int_equal(intakes[0]->counters.late, intakes[1]->counters.late);
    assert_int_equal(intakes[0]->counters.rows, intakes[1]->counters.rows);
    assert_int_equal(intakes[0]->newest_ns, intakes[1]->newest_ns);
    for (struct sw_batch *batch; (batch = pop(intakes[0]));) {
        struct sw_batch *other = pop(intakes[1]);
        assert_non_null(other);
        batches_equal(batch, other);
        sw_batch_put(batch);
        sw_batch_put(other);
    }
    assert_null(pop(intakes[1]));
    for (unsigned i = 0; i < 2; i++) {
        feed_intake_free(intakes[i]);
        feed_close(&feeds[i]);
    }
}

static void late_rows_go_to_their_file(void **state) {
    char text[64];
    struct sw_intake *intake = open_default(&(struct feed_options){0});
    feed.late_file.fd = memfd_create("late", 0);
    assert_true(feed.late_file.fd >= 0);
    feed_row(intake, 25, 1, NULL);
    for (int i = 0; i < 3; i++)
        feed_row(intake, 19 - i * 10, 1, NULL);
    assert_int_equal(pread(feed.late_file.fd, text, sizeof text, 0), 12);
    assert_memory_equal(text, "raw\nraw\nraw\n", 12);
    close(feed.late_file.fd);
    close_all(intake);
}

static void windows_closed_by_others_make_late(void **state) {
    struct sw_intake *intake = open_default(&(struct feed_options){0});
    feed_row(intake, 5, 1, NULL);
    atomic_store(&feed.closed_before_ns, 30);
    sw_intake_flush(intake);
    feed_row(intake, 29, 1, NULL);
    assert_int_equal(intake->counters.late, 1);
    feed_row(intake, 30, 1, NULL);
    assert_int_equal(intake->counters.late, 1);
    assert_int_equal(intake->batch->rows, 1);
    close_all(intake);
}

static void times_beyond_what_can_be(void **state) {
    static const int64_t times[] = {INT64_MIN, INT64_MAX, INT64_MIN + 19, INT64_MAX - 19};
    struct sw_intake *intake = open_default(&(struct feed_options){0});
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        feed_row(intake, times[i], 1, NULL);
    assert_int_equal(rejected(intake, SW_REJECT_TIME), 4);
    assert_int_equal(intake->batch->rows, 0);
    feed_row(intake, INT64_MIN + 20, 1, NULL);
    feed_row(intake, INT64_MAX - 20, 1, NULL);
    assert_int_equal(intake->batch->rows, 2);
    assert_int_equal(intake->counters.late, 0);
    close_all(intake);
}

static void a_full_batch_goes_with_its_watermarks(void **state) {
    struct sw_intake *intake = open_default(&(struct feed_options){.disorder_ns = 3});
    for (int64_t i = 0; i < SW_BATCH_ROWS; i++) {
        assert_null(pop(intake));
        feed_row(intake, 2 * i - (i % 256 == 255), (double)i, NULL); /* the last of a chunk is not its newest */
    }
    struct sw_batch *batch = pop(intake);
    assert_non_null(batch);
    assert_int_equal(batch->rows, SW_BATCH_ROWS);
    assert_int_equal(batch->seq, 0);
    for (int64_t i = 0; i < SW_BATCH_ROWS / SW_CHUNK_ROWS; i++)
        assert_int_equal(batch->chunk_watermark_ns[i], 2 * (i * 256 + 255) - 1 - 3);
    assert_int_equal(batch->watermark_ns, 2 * 4095 - 1 - 3);
    assert_true(batch->num[0][4095] == 4095);
    assert_false(batch->is_idle || batch->is_end);
    assert_int_equal(intake->counters.rows, SW_BATCH_ROWS);
    assert_int_equal(intake->counters.newest_ns, 2 * 4095 - 1);
    assert_true(batch->arrival_mono_ns > 0 && batch->arrival_mono_ns <= sw_clock_mono_ns());
    sw_batch_put(batch);
    close_all(intake);
}

static void flush_and_end(void **state) {
    struct sw_intake *intake = open_default(&(struct feed_options){0});
    sw_intake_flush(intake);
    assert_null(pop(intake)); /* nothing to say */
    feed_row(intake, 5, 1, NULL);
    sw_intake_flush(intake);
    feed_row(intake, 7, 1, NULL);
    sw_intake_end(intake);
    sw_intake_end(intake);
    static const struct {
        uint32_t rows;
        int64_t watermark_ns;
        bool is_end;
    } expected[] = {{1, 5, false}, {1, 7, false}, {0, 7, true}};
    for (uint64_t i = 0; i < 3; i++) {
        struct sw_batch *batch = pop(intake);
        assert_non_null(batch);
        assert_int_equal(batch->seq, i);
        assert_int_equal(batch->rows, expected[i].rows);
        assert_int_equal(batch->watermark_ns, expected[i].watermark_ns);
        assert_int_equal(batch->is_end, expected[i].is_end);
        sw_batch_put(batch);
    }
    assert_null(pop(intake));
    assert_int_equal(intake->counters.batches, 2); /* of rows */
    close_all(intake);
}

/* "s, line 7: reason: 'text'", without control characters, and of a long line only the beginning. */
static void one_event_for_each_kind(void **state) {
    struct sw_event events[8];
    char line[100];
    struct sw_intake *intake = open_default(&(struct feed_options){0});
    for (int i = 0; i < 3; i++)
        sw_intake_reject(intake, SW_REJECT_NUMBER, 7, "no number", SW_STR("a\tb\x7f\x01"));
    memset(line, 'z', sizeof line);
    sw_intake_reject(intake, SW_REJECT_LENGTH, 0, "long", sw_str_make(line, sizeof line));
    sw_intake_reject(intake, SW_REJECT_SYNTAX, 0, "nothing", sw_str_make(NULL, 0));
    assert_int_equal(rejected(intake, SW_REJECT_NUMBER), 3);
    assert_int_equal(rejected(intake, SW_REJECT_LENGTH), 1);
    assert_int_equal(sw_events_since(&feed.events, 0, events, 8), 3);
    assert_string_equal(events[0].text, "s, line 7: no number: 'a b  '");
    assert_int_equal(events[0].level, SW_LOG_WARN);
    assert_int_equal(strlen(events[1].text), strlen("s: long: ''...") + 80);
    assert_string_equal(events[1].text + 80, "zzzzzzzzzz'...");
    assert_string_equal(events[2].text, "s: nothing: ''");
    close_all(intake);
}

static void reject_names(void **state) {
    assert_string_equal(sw_reject_name(SW_REJECT_SYNTAX), "syntax");
    assert_string_equal(sw_reject_name(SW_REJECT_TEXT), "text");
}

static void rows_beyond_the_limit_of_keys(void **state) {
    struct sw_intake *intake = open_default(&(struct feed_options){.keys = 1, .max_keys = 2});
    static const char *const keys[] = {"a", "b", "c", "a", "a key that is longer", "b"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        feed_row(intake, 5, (double)i, keys[i]);
    assert_int_equal(rejected(intake, SW_REJECT_KEYS), 2);
    assert_int_equal(intake->batch->rows, 4);
    assert_true(intake->batch->num[0][2] == 3 && intake->batch->num[0][3] == 5);
    close_all(intake);
}

static void text_row(struct sw_intake *intake, int64_t time_ns, struct sw_str text) {
    sw_intake_begin(intake);
    struct sw_batch *batch = intake->batch;
    batch->time_ns[batch->rows] = time_ns;
    batch->text[0][batch->rows] = (struct sw_text_ref){(uint32_t)batch->text_bytes.len, (uint32_t)text.len};
    assert_int_equal(sw_buf_append(&batch->text_bytes, text), SW_OK);
    sw_intake_commit(intake, SW_STR(""));
}

static void texts_of_rows_not_taken_go(void **state) {
    struct sw_intake *intake = open_default(&(struct feed_options){.aggregates = "topk(a,1)"});
    text_row(intake, 25, SW_STR("stays"));
    for (int i = 0; i < 100; i++) {
        text_row(intake, 5, SW_STR("late"));
        text_row(intake, INT64_MAX, SW_STR("never"));
    }
    assert_int_equal(intake->batch->text_bytes.len, 5);
    text_row(intake, 26, SW_STR("too"));
    assert_int_equal(intake->batch->text_bytes.len, 8);
    close_all(intake);
}

static void a_batch_heavy_with_text_goes_early(void **state) {
    static char text[400000];
    struct sw_intake *intake = open_default(&(struct feed_options){.aggregates = "topk(a,1)"});
    for (int i = 0; i < 2; i++) {
        text_row(intake, 5, sw_str_make(text, sizeof text));
        assert_null(pop(intake));
    }
    text_row(intake, 5, sw_str_make(text, sizeof text));
    struct sw_batch *batch = pop(intake);
    assert_non_null(batch);
    assert_int_equal(batch->rows, 3);
    sw_batch_put(batch);
    close_all(intake);
}

static void without_a_time_column_arrival_counts(void **state) {
    feed_open(&feed, &(struct feed_options){0});
    feed.parts.stream.time_column = (struct sw_str){NULL, 0};
    feed.parts.stream.window_ns = 3600 * SW_NS_PER_S;
    struct sw_intake_options options = feed_intake(&feed);
    int64_t before_ns = sw_clock_epoch_ns();
    struct sw_intake *intake = feed_intake_new(&options);
    feed_row(intake, 12345, 1, NULL);
    assert_in_range(intake->batch->time_ns[0], before_ns, sw_clock_epoch_ns());
    close_all(intake);
}

static void arrival_time_ticks_once_a_window(void **state) {
    feed_open(&feed, &(struct feed_options){0});
    feed.parts.stream.time_column = (struct sw_str){NULL, 0};
    feed.parts.stream.window_ns = 20 * SW_NS_PER_MS;
    struct sw_intake_options options = feed_intake(&feed);
    struct sw_intake *intake = feed_intake_new(&options);
    unsigned told = 0;
    int64_t last_ns = INT64_MIN;
    int64_t begin_ns = sw_clock_epoch_ns();
    while (told < 3) {
        sw_intake_tick(intake);
        struct sw_batch *batch = pop(intake);
        if (!batch)
            continue;
        assert_true(batch->rows == 0 && !batch->is_idle);
        assert_true(batch->watermark_ns >= begin_ns && batch->watermark_ns <= sw_clock_epoch_ns());
        if (told > 0)
            assert_true(batch->watermark_ns / options.shared.plan->stream->window_ns >
                        last_ns / options.shared.plan->stream->window_ns);
        last_ns = batch->watermark_ns;
        told++;
        sw_batch_put(batch);
    }
    close_all(intake);
}

static void tick_hands_over_what_there_is(void **state) {
    struct sw_intake *intake = open_default(&(struct feed_options){0});
    feed_row(intake, 5, 1, NULL);
    sw_intake_tick(intake);
    struct sw_batch *batch = pop(intake);
    assert_non_null(batch);
    assert_true(batch->rows == 1 && !batch->is_idle && batch->watermark_ns == 5);
    sw_batch_put(batch);
    sw_intake_tick(intake);
    assert_null(pop(intake)); /* silent, but not for long enough */
    close_all(intake);
}

static struct sw_batch *tick(struct sw_intake *intake) {
    sw_intake_tick(intake);
    return pop(intake);
}

/* Silence moves the watermark to the end of the newest row's window and no further. */
static void a_silent_source_closes_its_window(void **state) {
    feed_open(&feed, &(struct feed_options){.disorder_ns = 7});
    struct sw_intake_options options = feed_intake(&feed);
    options.shared.idle_ns = SW_NS_PER_MS;
    struct sw_intake *intake = feed_intake_new(&options);
    feed_row(intake, 15, 1, NULL);
    sw_intake_flush(intake);
    sw_batch_put(pop(intake));
    sw_clock_sleep_ns(2 * SW_NS_PER_MS);
    struct sw_batch *batch = tick(intake);
    assert_non_null(batch);
    assert_true(batch->is_idle && batch->rows == 0);
    assert_int_equal(batch->watermark_ns, 20);
    sw_batch_put(batch);
    assert_null(tick(intake));
    sw_intake_arrive(intake, 0);
    feed_row(intake, 19, 1, NULL); /* late now: its window is closed */
    assert_int_equal(intake->counters.late, 1);
    feed_row(intake, 20, 1, NULL);
    sw_intake_flush(intake);
    batch = pop(intake);
    assert_non_null(batch);
    assert_true(!batch->is_idle && batch->rows == 1);
    sw_batch_put(batch);
    close_all(intake);
}

static void silence_passes_at_the_pace_of_the_clock(void **state) {
    feed_open(&feed, &(struct feed_options){.disorder_ns = 0});
    feed.parts.stream.window_ns = 3600 * SW_NS_PER_S;
    struct sw_intake_options options = feed_intake(&feed);
    options.shared.idle_ns = SW_NS_PER_MS;
    struct sw_intake *intake = feed_intake_new(&options);
    int64_t begin_ns = sw_clock_mono_ns();
    feed_row(intake, 100, 1, NULL);
    sw_intake_flush(intake);
    sw_batch_put(pop(intake));
    int64_t last_ns = 100;
    for (int i = 0; i < 3; i++) {
        sw_clock_sleep_ns(2 * SW_NS_PER_MS);
        struct sw_batch *batch = tick(intake);
        assert_non_null(batch);
        assert_true(batch->is_idle);
        assert_true(batch->watermark_ns >= last_ns + SW_NS_PER_MS);
        assert_true(batch->watermark_ns <= 100 + sw_clock_mono_ns() - begin_ns + SW_NS_PER_S);
        last_ns = batch->watermark_ns;
        sw_batch_put(batch);
    }
    close_all(intake);
}

static void a_source_that_never_spoke_is_idle_once(void **state) {
    feed_open(&feed, &(struct feed_options){0});
    struct sw_intake_options options = feed_intake(&feed);
    options.shared.idle_ns = SW_NS_PER_MS;
    struct sw_intake *intake = feed_intake_new(&options);
    sw_clock_sleep_ns(2 * SW_NS_PER_MS);
    struct sw_batch *batch = tick(intake);
    assert_non_null(batch);
    assert_true(batch->is_idle && batch->watermark_ns == INT64_MIN);
    sw_batch_put(batch);
    assert_null(tick(intake));
    close_all(intake);
}

struct reader {
    struct sw_intake *intake;
    int batches;
    _Atomic bool is_done;
};

static void reader_main(void *context) {
    struct reader *reader = context;
    for (int i = 0; i < reader->batches * SW_BATCH_ROWS; i++)
        feed_row(reader->intake, i, i, NULL);
    atomic_store(&reader->is_done, true);
}

static struct sw_batch *pop_wait(struct sw_intake *intake) {
    struct sw_batch *batch = NULL;
    for (int i = 0; i < 60000 && !batch; i++) {
        batch = pop(intake);
        if (!batch)
            sw_clock_sleep_ns(SW_NS_PER_MS);
    }
    assert_non_null(batch);
    return batch;
}

static void a_reader_waits_until_a_batch_comes_back(void **state) {
    feed_open(&feed, &(struct feed_options){0});
    struct sw_intake_options options = feed_intake(&feed);
    options.batches_in_flight = 2;
    options.may_block = true;
    struct reader reader = {.intake = feed_intake_new(&options), .batches = 9};
    struct sw_thread thread = {0};
    assert_int_equal(sw_thread_start(&thread, "reader", -1, reader_main, &reader, NULL), SW_OK);
    struct sw_batch *held = pop_wait(reader.intake);
    for (uint64_t i = 1; i < 9; i++) {
        struct sw_batch *batch = pop_wait(reader.intake);
        if (i == 1) { /* both are out: no third one comes */
            sw_clock_sleep_ns(30 * SW_NS_PER_MS);
            assert_int_equal(sw_ring_depth(&reader.intake->outlets[0].ring), 0);
            assert_false(sw_intake_has_room(reader.intake));
            assert_false(atomic_load(&reader.is_done));
        }
        assert_int_equal(batch->seq, i);
        assert_int_equal(batch->time_ns[0], i * SW_BATCH_ROWS);
        assert_int_equal(batch->time_ns[SW_BATCH_ROWS - 1], i * SW_BATCH_ROWS + SW_BATCH_ROWS - 1);
        sw_batch_put(held);
        held = batch;
    }
    sw_batch_put(held);
    sw_thread_join(&thread);
    assert_true(atomic_load(&reader.is_done));
    close_all(reader.intake);
}

static void one_that_may_not_wait_goes_on(void **state) {
    feed_open(&feed, &(struct feed_options){0});
    struct sw_intake_options options = feed_intake(&feed);
    options.batches_in_flight = 2;
    struct reader reader = {.intake = feed_intake_new(&options), .batches = 6};
    assert_true(sw_intake_has_room(reader.intake));
    reader_main(&reader);
    assert_false(sw_intake_has_room(reader.intake));
    assert_int_equal(sw_ring_depth(&reader.intake->outlets[0].ring), 6);
    for (int i = 0; i < 5; i++)
        sw_batch_put(pop(reader.intake));
    assert_true(sw_intake_has_room(reader.intake));
    close_all(reader.intake);
}

static void every_worker_gets_every_batch(void **state) {
    feed_open(&feed, &(struct feed_options){0});
    struct sw_intake_options options = feed_intake(&feed);
    options.worker_count = 3;
    struct sw_intake *intake = feed_intake_new(&options);
    feed_row(intake, 5, 1, NULL);
    sw_intake_flush(intake);
    struct sw_batch *batch = sw_ring_pop(&intake->outlets[0].ring);
    assert_non_null(batch);
    assert_ptr_equal(sw_ring_pop(&intake->outlets[1].ring), batch);
    assert_ptr_equal(sw_ring_pop(&intake->outlets[2].ring), batch);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(intake->pool.in_flight, 1);
        sw_batch_put(batch);
    }
    assert_int_equal(intake->pool.in_flight, 0);
    close_all(intake);
}

/* Each row waits, and moves to another batch with all its columns when those before it are handed on. */
static void replay_keeps_every_column(void **state) {
    feed_open(&feed, &(struct feed_options){.aggregates = "sum(a),distinct(b),topk(c,2)", .keys = 1});
    feed.parts.stream.window_ns = SW_NS_PER_S;
    struct sw_intake_options options = feed_intake(&feed);
    options.pace = 1;
    struct sw_intake *intake = feed_intake_new(&options);
    int64_t begin_ns = sw_clock_mono_ns();
    static const char *const texts[] = {"zero", "first", NULL, "the third"};
    for (int64_t i = 0; i < 4; i++) {
        sw_intake_begin(intake);
        struct sw_batch *batch = intake->batch;
        uint32_t row = batch->rows;
        struct sw_str text = sw_str_from(texts[i]);
        batch->time_ns[row] = i * 5 * SW_NS_PER_MS;
        batch->num[0][row] = (double)i + 0.5;
        batch->hash[0][row] = (uint64_t)i + 7;
        batch->text[0][row] =
            (struct sw_text_ref){(uint32_t)batch->text_bytes.len, texts[i] ? (uint32_t)text.len : UINT32_MAX};
        assert_int_equal(sw_buf_append(&batch->text_bytes, text), SW_OK);
        sw_intake_key(intake, 0, i % 2 ? SW_STR("odd") : SW_STR("even"));
        sw_intake_commit(intake, SW_STR(""));
        assert_true(sw_clock_mono_ns() - begin_ns >= i * 5 * SW_NS_PER_MS);
    }
    sw_intake_flush(intake);
    int64_t seen = 0;
    for (struct sw_batch *batch; (batch = pop(intake)); sw_batch_put(batch))
        for (uint32_t row = 0; row < batch->rows; row++, seen++) {
            struct sw_text_ref text = batch->text[0][row];
            assert_int_equal(batch->time_ns[row], seen * 5 * SW_NS_PER_MS);
            assert_true(batch->num[0][row] == (double)seen + 0.5);
            assert_int_equal(batch->hash[0][row], seen + 7);
            assert_int_equal(batch->group[row], seen % 2);
            assert_int_equal(text.len == UINT32_MAX, texts[seen] == NULL);
            if (texts[seen])
                assert_memory_equal(batch->text_bytes.ptr + text.offset, texts[seen], strlen(texts[seen]));
        }
    assert_int_equal(seen, 4);
    assert_int_equal(sw_groups_count(&feed.groups), 2);
    close_all(intake);
}

static void replay_ends_when_the_job_does(void **state) {
    feed_open(&feed, &(struct feed_options){0});
    struct sw_intake_options options = feed_intake(&feed);
    options.pace = 1;
    struct sw_intake *intake = feed_intake_new(&options);
    feed_row(intake, 0, 1, NULL);
    atomic_store(&feed.is_stopping, true);
    feed_row(intake, 3600 * SW_NS_PER_S, 2, NULL);
    assert_int_equal(intake->newest_ns, 0);
    assert_int_equal(intake->batch->rows, 0);
    close_all(intake);
}

/* Ids of keys not seen for key_life_ns go to new keys, and what the intake knew of the old ones is forgotten. */
static void keys_come_and_go(void **state) {
    feed_open(&feed, &(struct feed_options){.keys = 1, .max_keys = 2});
    struct sw_intake_options options = feed_intake(&feed);
    options.shared.key_life_ns = 20;
    struct sw_intake *intake = feed_intake_new(&options);
    feed_row(intake, 5, 1, "a");
    feed_row(intake, 6, 1, "b");
    feed_row(intake, 7, 1, "c"); /* neither may go yet */
    assert_int_equal(rejected(intake, SW_REJECT_KEYS), 1);
    sw_groups_saw(&feed.groups, 0, 0);
    sw_groups_saw(&feed.groups, 1, 20);
    feed_row(intake, 20, 1, "c"); /* 0 is not before 20 - 20 */
    assert_int_equal(rejected(intake, SW_REJECT_KEYS), 2);
    feed_row(intake, 31, 1, "b");
    feed_row(intake, 31, 1, "c");
    assert_int_equal(rejected(intake, SW_REJECT_KEYS), 2);
    assert_int_equal(intake->batch->group[intake->batch->rows - 1], 0);
    key_check(0, "c", 1);
    assert_int_equal(sw_groups_get(&feed.groups, 0)->generation, 1);
    feed_row(intake, 32, 1, "a"); /* its id is another's now, and there is none to be had */
    assert_int_equal(rejected(intake, SW_REJECT_KEYS), 3);
    feed_row(intake, 32, 1, "b");
    assert_int_equal(intake->batch->group[intake->batch->rows - 1], 1);
    close_all(intake);
}

static void every_allocation_may_fail(void **state) {
    enum sw_status status = SW_NOMEM;
    feed_open(&feed, &(struct feed_options){.keys = 1});
    struct sw_intake_options options = feed_intake(&feed);
    options.worker_count = 3;
    for (size_t nth = 1; status != SW_OK; nth++) {
        struct sw_intake *intake = NULL;
        assert_true(nth < 100);
        sw_mem_fail_at(nth);
        status = sw_intake_new(&intake, &options);
        sw_mem_fail_at(0);
        assert_true((status == SW_OK && intake) || (status == SW_NOMEM && !intake));
        sw_intake_free(intake);
    }
    feed_close(&feed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_every_length),
        cmocka_unit_test(keys_with_zero_bytes),
        cmocka_unit_test(many_keys),
        cmocka_unit_test(keys_of_several_columns),
        cmocka_unit_test(late_by_the_running_watermark),
        cmocka_unit_test(a_run_of_cells_is_its_rows),
        cmocka_unit_test(late_rows_go_to_their_file),
        cmocka_unit_test(windows_closed_by_others_make_late),
        cmocka_unit_test(times_beyond_what_can_be),
        cmocka_unit_test(a_full_batch_goes_with_its_watermarks),
        cmocka_unit_test(flush_and_end),
        cmocka_unit_test(one_event_for_each_kind),
        cmocka_unit_test(reject_names),
        cmocka_unit_test(rows_beyond_the_limit_of_keys),
        cmocka_unit_test(texts_of_rows_not_taken_go),
        cmocka_unit_test(a_batch_heavy_with_text_goes_early),
        cmocka_unit_test(without_a_time_column_arrival_counts),
        cmocka_unit_test(arrival_time_ticks_once_a_window),
        cmocka_unit_test(tick_hands_over_what_there_is),
        cmocka_unit_test(a_silent_source_closes_its_window),
        cmocka_unit_test(silence_passes_at_the_pace_of_the_clock),
        cmocka_unit_test(a_source_that_never_spoke_is_idle_once),
        cmocka_unit_test(a_reader_waits_until_a_batch_comes_back),
        cmocka_unit_test(one_that_may_not_wait_goes_on),
        cmocka_unit_test(every_worker_gets_every_batch),
        cmocka_unit_test(replay_keeps_every_column),
        cmocka_unit_test(replay_ends_when_the_job_does),
        cmocka_unit_test(keys_come_and_go),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
