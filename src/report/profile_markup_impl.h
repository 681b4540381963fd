/* profile_markup_impl.h - Writes SVG and HTML text; the first failure sticks, so callers look once at the end. */
#ifndef SW_REPORT_PROFILE_MARKUP_IMPL_H
#define SW_REPORT_PROFILE_MARKUP_IMPL_H

#include "base/buf.h"

struct sw_markup {
    struct sw_buf *out; /* borrowed */
    enum sw_status status;
};

void sw_markup_raw(struct sw_markup *markup, const char *text);
void sw_markup_format(struct sw_markup *markup, const char *format, ...) SW_PRINTF(2, 3);
void sw_markup_bytes(struct sw_markup *markup, struct sw_str text);
/* Text that may be anything, for content and for quoted attributes: escaped, and what XML cannot hold (control
 * characters, invalid UTF-8) replaced by U+FFFD. */
void sw_markup_text(struct sw_markup *markup, struct sw_str text);
/* JSON to stand in a script element of HTML or XML: the same value without any `<`, `>` or `&`. */
void sw_markup_json(struct sw_markup *markup, struct sw_str json);
/* "1,234,567" */
void sw_markup_count(struct sw_markup *markup, uint64_t count);
/* "1.23 s", "45.6 ms", "7.8 us" */
void sw_markup_duration(struct sw_markup *markup, int64_t ns);

#endif
