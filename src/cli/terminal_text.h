/* terminal_text.h - Text that is safe and fits: made printable, measured in terminal cells, clipped and padded. */
#ifndef SW_CLI_TERMINAL_TEXT_H
#define SW_CLI_TERMINAL_TEXT_H

#include <stdbool.h>

#include "base/buf.h"

/* Cells that the text takes: 2 for wide characters, 0 for combining ones. The text is printable UTF-8. */
size_t sw_text_cells(struct sw_str text);
/* Appends the text with what is not printable (control characters, broken UTF-8, and, unless `is_utf8`, all that is not
 * ASCII) as '?'. */
SW_MUST_USE enum sw_status sw_text_clean(struct sw_buf *out, struct sw_str text, bool is_utf8);

enum sw_text_align { SW_TEXT_LEFT, SW_TEXT_RIGHT };
enum sw_text_clip { SW_TEXT_CLIP_END, SW_TEXT_CLIP_MIDDLE, SW_TEXT_CLIP_START };
struct sw_text_field {
    size_t cells;
    enum sw_text_align align;
    enum sw_text_clip clip; /* where what does not fit is left out, marked by ".." when there is room */
    bool is_utf8;
};
/* Appends the text, cleaned, in exactly `cells` cells. */
SW_MUST_USE enum sw_status sw_text_put(struct sw_buf *out, const struct sw_text_field *field, struct sw_str text);

#endif
