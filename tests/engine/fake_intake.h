/* fake_intake.h - An intake that writes down what a decoder gives it, for the tests and fuzz targets of the decoders.
 *
 * It implements intake.h and takes the place of the engine's own in a program that includes fake_intake.c.
 */
#ifndef SW_TESTS_FAKE_INTAKE_H
#define SW_TESTS_FAKE_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cpu.h"
#include "engine/decoder.h"
#include "engine/intake.h"

enum fake_role { FAKE_NUM = 1, FAKE_HASH = 2, FAKE_TEXT = 4, FAKE_KEY = 8 };

struct fake_field {
    const char *name;
    unsigned roles;
    enum sw_time_unit time_unit;
};

/* Ends with a field without a name. */
struct sw_intake *fake_intake_new(const struct fake_field *fields);
void fake_intake_free(struct sw_intake *intake);

/* Batches change after this many rows (0: only when full), and every `drop_every`-th commit leaves no row, as a late
 * one would. */
void fake_intake_disturb(struct sw_intake *intake, uint32_t rows_per_batch, uint32_t drop_every);
/* Counts rows only: for measuring decoders. */
void fake_intake_mute(struct sw_intake *intake);
/* Writes 0 for the line numbers of rejected rows: for comparing a line alone with the same among others. */
void fake_intake_hide_lines(struct sw_intake *intake);
uint64_t fake_intake_rows(const struct sw_intake *intake);

/* One line a row, "t=14400688000000 ms=14400688 exchange='P' condition=#HASH text=\"...\"" in the order of the fields,
 * and one a rejected row, "! number 3 column size is not a number | raw line". Numbers as %.17g; what is missing as
 * "-". */
struct sw_str fake_intake_log(const struct sw_intake *intake);
void fake_intake_clear(struct sw_intake *intake);

/* Decodes `bytes` with a fresh decoder, fed in two parts cut at `cut` (0: whole), and each in pieces of `piece` bytes
 * (0: whole). Every piece lies flush against an unreadable page and is overwritten once it has been fed. */
struct fake_run {
    const struct sw_decoder_options *options;
    size_t cut, piece;
    bool has_level; /* csv: use this level of vector instructions */
    enum sw_cpu_level level;
};

enum sw_status fake_decode(struct sw_intake *intake, const struct fake_run *run, struct sw_str bytes,
                           struct sw_error *err);

/* Whether decoding `input` gives `log`, whole, cut at every point, in pieces of every size, on every level of vector
 * instructions, and with batches that change under way; says on stderr what it gave if not. */
bool fake_matches(const struct fake_field *fields, const struct sw_decoder_options *options, struct sw_str input,
                  const char *log);

/* Whether every allocation that fails while `input` is decoded ends in SW_NOMEM, and without any it succeeds. */
bool fake_survives_no_memory(const struct fake_field *fields, const struct sw_decoder_options *options,
                             struct sw_str input);

#endif
