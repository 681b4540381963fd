/* json_read.h - Reads JSON text (RFC 8259) token by token, strictly, without allocating.
 *
 * Strings are views into the text; those without escapes are their own value, others go through sw_json_unescape. All
 * text is checked: grammar, UTF-8, escapes (a lone surrogate is an error: it has no UTF-8). Never reads at or past
 * `end`.
 */
#ifndef SW_BASE_JSON_READ_H
#define SW_BASE_JSON_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

#define SW_JSON_READ_DEPTH 64u /* arrays and objects within each other */

enum sw_json_kind {
    SW_JSON_END, /* the text has been read, blanks at its end included */
    SW_JSON_OBJECT,
    SW_JSON_OBJECT_END,
    SW_JSON_ARRAY,
    SW_JSON_ARRAY_END,
    SW_JSON_KEY,
    SW_JSON_STRING,
    SW_JSON_NUMBER,
    SW_JSON_TRUE,
    SW_JSON_FALSE,
    SW_JSON_NULL,
};

struct sw_json_token {
    enum sw_json_kind kind;
    bool has_escape;    /* KEY, STRING: `text` wants sw_json_unescape */
    struct sw_str text; /* KEY, STRING: what stands between the quotes; others: as written */
};

enum sw_json_expect { SW_JSON_EXPECT_VALUE, SW_JSON_EXPECT_FIRST, SW_JSON_EXPECT_NEXT };

struct sw_json_reader {
    const char *ptr; /* behind the last token */
    const char *end;
    const char *reason; /* static text, after SW_MALFORMED or SW_LIMIT */
    bool is_text_fault; /* it is inside a string: UTF-8, escape or control character */
    uint64_t is_object; /* one bit per depth */
    unsigned depth;
    enum sw_json_expect expect;
};

void sw_json_reader_init(struct sw_json_reader *reader, struct sw_str text);

/* The next token. SW_MALFORMED or SW_LIMIT (too deep) with reader->reason; the reader is of no use then. */
SW_MUST_USE enum sw_status sw_json_read(struct sw_json_reader *reader, struct sw_json_token *token);

/* Passes over the rest of the value that `token` begins; for scalars there is nothing to do. */
SW_MUST_USE enum sw_status sw_json_skip(struct sw_json_reader *reader, const struct sw_json_token *token);

/* Appends the value of a key or string that a reader has accepted. */
SW_MUST_USE enum sw_status sw_json_unescape(struct sw_str text, struct sw_buf *out);

/* End of the number that starts at `ptr`, or NULL where none in JSON's grammar does. */
const char *sw_json_number_end(const char *ptr, const char *end);

#endif
