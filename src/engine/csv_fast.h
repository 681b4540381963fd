/* csv_fast.h - Runs of plain csv rows, decoded a column at a time.
 *
 * Only the wanted columns are looked at. A row that is not plain (a wrong number of fields, a value that cannot be
 * read) is handed to the careful decoder and the run goes on behind it; text with quotes ends the run.
 */
#ifndef SW_ENGINE_CSV_FAST_H
#define SW_ENGINE_CSV_FAST_H

#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"
#include "engine/decoder_impl.h"

struct sw_csv_fast;

struct sw_csv_use {
    const struct sw_field *field;
    uint32_t column;
};

/* Decodes one record, without its newline, the careful way. */
typedef enum sw_status (*sw_csv_careful)(struct sw_decoder *decoder, struct sw_str record);

SW_MUST_USE enum sw_status sw_csv_fast_new(struct sw_csv_fast **fast, char delimiter, size_t use_limit);
void sw_csv_fast_free(struct sw_csv_fast *fast);
void sw_csv_fast_level(struct sw_csv_fast *fast,
                       enum sw_cpu_level level); /* for tests; at most that of the processor */

/* The columns in use are set anew for each header: clear, use, ..., ready. */
void sw_csv_fast_clear(struct sw_csv_fast *fast);
void sw_csv_fast_use(struct sw_csv_fast *fast, const struct sw_field *field, uint32_t column);
void sw_csv_fast_ready(struct sw_csv_fast *fast, size_t column_count);
const struct sw_csv_use *sw_csv_fast_uses(const struct sw_csv_fast *fast, size_t *count);

/* Takes whole records from the front of *bytes as long as it can; what is left begins with one for the careful decoder.
 * Fails only when out of memory. */
SW_MUST_USE enum sw_status sw_csv_fast_run(struct sw_csv_fast *fast, struct sw_decoder *decoder, struct sw_str *bytes,
                                           sw_csv_careful careful);

#endif
