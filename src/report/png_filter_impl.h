/* png_filter_impl.h - PNG's row filters: each pixel as its difference from its neighbours. */
#ifndef SW_REPORT_PNG_FILTER_IMPL_H
#define SW_REPORT_PNG_FILTER_IMPL_H

#include <stddef.h>
#include <stdint.h>

struct sw_png_row {
    const uint8_t *pixels;
    const uint8_t *above; /* the row above; zeros for the first */
    size_t size;          /* bytes of a row */
    size_t step;          /* bytes of a pixel */
};

/* Writes the filter's number and the filtered row (1 + size bytes) to `out`: the filter whose differences sum up to the
 * least, which libpng's manual advises. `scratch` has room for `size` bytes. */
void sw_png_filter(const struct sw_png_row *row, uint8_t *out, uint8_t *scratch);

#endif
