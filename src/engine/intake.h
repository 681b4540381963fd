/* intake.h - Where decoded rows enter the engine: one per source partition, used by its reader thread only.
 *
 * A decoder writes row number `batch->rows` straight into the columns of `intake->batch` and commits it, or rejects it. The intake
 * turns keys into group ids, keeps the watermark, sets late rows apart, and hands full batches to the workers.
 *
 * A decoder's row goes: sw_intake_begin (defaults: every slot missing); write slots; sw_intake_commit or sw_intake_reject. After a commit `intake->batch` may be another batch.
 */
#ifndef SW_ENGINE_INTAKE_H
#define SW_ENGINE_INTAKE_H

#include <stdint.h>

#include "base/str.h"
#include "engine/batch.h"

struct sw_intake;

/* Why a row was not taken; each kind is counted, and the first of each is shown with line number and reason. */
#define SW_REJECT_LIST(X) \
    X(SYNTAX, "syntax") /* not a line of its format */ \
    X(FIELDS, "fields") /* too few or too many fields */ \
    X(NUMBER, "number") /* a field that should be a number is not */ \
    X(TIME, "time")     /* the time column is missing or unreadable */ \
    X(LENGTH, "length") /* a line beyond SW_LINE_MAX */ \
    X(KEYS, "keys")     /* more distinct keys than --max-keys */ \
    X(TEXT, "text")     /* a string that is not valid UTF-8, or has a bad escape */

enum sw_reject {
#define SW_REJECT_ENUMERATOR(code, text) SW_REJECT_##code,
    SW_REJECT_LIST(SW_REJECT_ENUMERATOR)
#undef SW_REJECT_ENUMERATOR
        SW_REJECT_COUNT
};

const char *sw_reject_name(enum sw_reject kind);

#define SW_LINE_MAX (1u << 20) /* bytes of one line */

/* The plan of the stream this intake feeds: which fields are wanted. */
const struct sw_field *sw_intake_fields(const struct sw_intake *intake, size_t *count);

/* The batch being filled; its row `rows` is the one being written. Never NULL, never full. */
struct sw_batch *sw_intake_batch(struct sw_intake *intake);

/* Sets every slot of the current row to missing. A decoder that writes all slots itself need not call it. */
void sw_intake_begin(struct sw_intake *intake);

/* The key column `key_slot` of the current row. The bytes must stay valid until the commit. */
void sw_intake_key(struct sw_intake *intake, unsigned key_slot, struct sw_str text);

/* Ends the current row: `line` is its raw text (for --late), which must stay valid during the call only. Without a time field the
 * arrival time is the event time. May hand the batch to the workers and wait for room there (back-pressure). */
void sw_intake_commit(struct sw_intake *intake, struct sw_str line);

struct sw_csv_column;

/* Ends up to `count` rows that lie decoded in the batch from the current one on, whose only key are the cells of `keys`, as long as
 * nothing about them is out of the ordinary (a late row, a key seen for the first time, the end of a chunk). Returns how many; the next
 * one is for sw_intake_commit. */
uint32_t sw_intake_commit_cells(struct sw_intake *intake, const struct sw_csv_column *keys, uint32_t count);

/* Counts a row that could not be decoded. `line_number` counts from 1 within the source (0: unknown). */
void sw_intake_reject(struct sw_intake *intake, enum sw_reject kind, uint64_t line_number, const char *reason,
                      struct sw_str line);

/* Reads a time in `unit`; false if the text is not one. Decimal fractions are allowed in s, ms and us. */
bool sw_time_parse(enum sw_time_unit unit, const char *ptr, const char *end, int64_t *epoch_ns);

#endif
