/* decoder.h - Bytes of a stream to rows: csv, jsonl, influx line protocol, statsd.
 *
 * One decoder per connection or file; it belongs to the thread of its intake. Lines may be cut anywhere between two feeds: what is
 * incomplete is kept. A malformed line is rejected (sw_intake_reject) and the stream goes on.
 */
#ifndef SW_ENGINE_DECODER_H
#define SW_ENGINE_DECODER_H

#include "base/status.h"
#include "base/str.h"
#include "engine/intake.h"

enum sw_format { SW_FORMAT_CSV, SW_FORMAT_JSONL, SW_FORMAT_INFLUX, SW_FORMAT_STATSD };

struct sw_decoder_options {
    enum sw_format format;
    char delimiter; /* csv; 0 means ',' */
    const struct sw_str
        *columns; /* csv without a header line: the names of its columns; NULL: the first line names them */
    size_t column_count;
};

struct sw_decoder;

SW_MUST_USE enum sw_status sw_decoder_new(struct sw_decoder **decoder, const struct sw_decoder_options *options,
                                          struct sw_intake *intake, struct sw_error *err);
void sw_decoder_free(struct sw_decoder *decoder);

/* Decodes every complete line of `bytes` (together with what the last feed left over) and keeps the rest. Fails only for what ends the
 * stream: out of memory, or a csv header that lacks a wanted column (the message names it and those there are). */
SW_MUST_USE enum sw_status sw_decoder_feed(struct sw_decoder *decoder, struct sw_str bytes, struct sw_error *err);

/* End of input: a last line without a newline counts. The decoder is ready for another stream with the same columns. */
SW_MUST_USE enum sw_status sw_decoder_finish(struct sw_decoder *decoder, struct sw_error *err);

/* csv, jsonl, influx, statsd; SW_NOTFOUND otherwise. */
SW_MUST_USE enum sw_status sw_format_parse(struct sw_str name, enum sw_format *format);
const char *sw_format_name(enum sw_format format);

#endif
