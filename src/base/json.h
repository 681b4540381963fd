/* json.h - Writes JSON text (RFC 8259) to a buffer, commas and escapes included.
 *
 * The first failure sticks: later calls do nothing and sw_json_status tells it, so callers check once at the end. Invalid
 * UTF-8 in strings is replaced by U+FFFD. NaN and infinities are written as null.
 */
#ifndef SW_BASE_JSON_H
#define SW_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct sw_json {
    struct sw_buf *out; /* borrowed */
    enum sw_status status;
    uint64_t has_item; /* one bit per depth, at most 64 deep */
    unsigned depth;
    bool after_key;
};

void sw_json_init(struct sw_json *json, struct sw_buf *out);
void sw_json_object_begin(struct sw_json *json);
void sw_json_object_end(struct sw_json *json);
void sw_json_array_begin(struct sw_json *json);
void sw_json_array_end(struct sw_json *json);
void sw_json_key(struct sw_json *json, struct sw_str key);
void sw_json_str(struct sw_json *json, struct sw_str value);
void sw_json_i64(struct sw_json *json, int64_t value);
void sw_json_u64(struct sw_json *json, uint64_t value);
void sw_json_f64(struct sw_json *json, double value); /* shortest text that reads back as the same double */
void sw_json_bool(struct sw_json *json, bool value);
void sw_json_null(struct sw_json *json);
enum sw_status sw_json_status(const struct sw_json *json);

#endif
