/* decoder_impl.h - What the decoders share: the state of a stream, storing a value in its roles, rejecting a row.
 *
 * A format is a table of operations on a structure that begins with struct sw_decoder. Formats whose rows are lines
 * give only `line`; csv, whose rows may span lines, gives `feed` and `finish`.
 */
#ifndef SW_ENGINE_DECODER_IMPL_H
#define SW_ENGINE_DECODER_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cpu.h"
#include "base/map.h"
#include "base/status.h"
#include "base/str.h"
#include "engine/decoder.h"
#include "engine/intake.h"

#define SW_DECODER_PAD 64      /* readable bytes behind a line given to `line`: one vector register */
#define SW_DECODER_EXCERPT 256 /* bytes of an over-long line that its rejection shows */
#define SW_DECODER_TOO_LONG "line is longer than 1 MiB"

struct sw_decoder_ops {
    /* One line without its end (LF or CRLF), never blank, SW_DECODER_PAD readable bytes behind it. Fails only when out
     * of memory. */
    enum sw_status (*line)(struct sw_decoder *decoder, struct sw_str line);
    /* Instead of `line`. */
    enum sw_status (*feed)(struct sw_decoder *decoder, struct sw_str bytes, struct sw_error *err);
    enum sw_status (*finish)(struct sw_decoder *decoder, struct sw_error *err);
    void (*release)(struct sw_decoder *decoder); /* what the format added; may be NULL */
};

struct sw_decoder {
    const struct sw_decoder_ops *ops;
    struct sw_intake *intake;
    const struct sw_field *fields; /* borrowed from the intake */
    size_t field_count;
    const struct sw_field *time_field; /* NULL: arrival time */
    struct sw_map by_name;             /* name to index in `fields` */
    struct sw_buf rest;                /* a line of which the end has not come yet */
    bool is_skipping;                  /* inside an over-long line */
    uint64_t line_number;              /* of the current row's first line, from 1 */
    struct sw_batch *batch;            /* of the current row */
    size_t text_mark;                  /* batch->text_bytes.len before the current row */
    enum sw_reject kind;               /* why storing failed */
    char reason[160];
};

/* The formats' constructors: allocate, copy `base` (intake and fields are set), set ops. On failure `base` is the
 * caller's again. */
enum sw_status sw_csv_new(struct sw_decoder **decoder, const struct sw_decoder *base,
                          const struct sw_decoder_options *options, struct sw_error *err);
void sw_csv_level(struct sw_decoder *decoder, enum sw_cpu_level level); /* of a csv decoder, for tests */
enum sw_status sw_jsonl_new(struct sw_decoder **decoder, const struct sw_decoder *base);
enum sw_status sw_influx_new(struct sw_decoder **decoder, const struct sw_decoder *base);
enum sw_status sw_statsd_new(struct sw_decoder **decoder, const struct sw_decoder *base);

/* The wanted field of that name, or NULL. */
const struct sw_field *sw_decoder_field(const struct sw_decoder *decoder, struct sw_str name);

/* Starts a row with every slot missing. */
void sw_decoder_row_begin(struct sw_decoder *decoder);
void sw_decoder_row_commit(struct sw_decoder *decoder, struct sw_str line);
void sw_decoder_row_reject(struct sw_decoder *decoder, struct sw_str line); /* for decoder->kind and decoder->reason */

/* Notes why the row is bad and returns SW_MALFORMED. */
enum sw_status sw_decoder_bad(struct sw_decoder *decoder, enum sw_reject kind, const char *format, ...) SW_PRINTF(3, 4);
enum sw_status sw_decoder_no_time(struct sw_decoder *decoder); /* the same, for a row without its event time */
void sw_decoder_reject(struct sw_decoder *decoder, enum sw_reject kind, struct sw_str line, const char *reason);

/* Stores `text` in every role of `field`; empty is missing. SW_MALFORMED with kind and reason noted, or SW_NOMEM. The
 * text must stay until the commit if the field is a key. */
SW_MUST_USE enum sw_status sw_decoder_store(struct sw_decoder *decoder, const struct sw_field *field,
                                            struct sw_str text);
/* As above where the number is known already, and `text` is how it was written. */
SW_MUST_USE enum sw_status sw_decoder_store_number(struct sw_decoder *decoder, const struct sw_field *field,
                                                   struct sw_str text, double number);
SW_MUST_USE enum sw_status sw_decoder_store_text_slot(struct sw_decoder *decoder, const struct sw_field *field,
                                                      uint32_t row, struct sw_str text);

struct sw_str sw_decoder_skip_bom(struct sw_str text); /* a UTF-8 byte order mark at the start of a stream */

/* The whole of `text`, blanks at its ends aside, as a finite number. */
bool sw_decoder_number(struct sw_str text, double *number);

#endif
