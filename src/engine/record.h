/* record.h - The state of one (window, group): made blank, updated column by column, finished into numbers.
 *
 * Layout and meaning come from the plan. Records may be moved with memcpy; those of a plan with heap state must be released.
 */
#ifndef SW_ENGINE_RECORD_H
#define SW_ENGINE_RECORD_H

#include "base/buf.h"
#include "engine/batch.h"
#include "engine/plan.h"

/* At most a chunk of consecutive rows of a batch, each with the record it goes to. */
struct sw_rows {
    uint16_t index[SW_CHUNK_ROWS]; /* ascending row numbers of the batch */
    char *record[SW_CHUNK_ROWS];   /* 16-byte aligned */
    unsigned count;
};

uint32_t sw_primitive_bytes(enum sw_primitive_kind kind); /* a multiple of 8 */
/* Where in a record a primitive keeps the pointer to memory of its own, NULL while it has none; SW_NO_OFFSET for kinds
 * that never have any. */
uint32_t sw_primitive_owner(const struct sw_primitive *primitive);
void sw_record_blank(const struct sw_plan *plan, char *record);
void sw_record_release(const struct sw_plan *plan, char *record);

/* Adds every row to its record, in order. On SW_NOMEM some sketches lack some of the rows. */
SW_MUST_USE enum sw_status sw_records_update(const struct sw_plan *plan, const struct sw_batch *batch,
                                             const struct sw_rows *rows);

/* The value of output `i`; NaN where there is none (no present value, one value's standard deviation, a topk). */
double sw_record_value(const struct sw_plan *plan, const char *record, unsigned output);
/* A topk as JSON: [{"value":"a","count":3,"error":0}, ...]. */
SW_MUST_USE enum sw_status sw_record_text(const struct sw_plan *plan, const char *record, unsigned output,
                                          struct sw_buf *out);

#endif
