/* canvas.h - A picture drawn once and written as PNG or SVG: rectangles, lines, text. Wraps cairo.
 *
 * Units are pixels from the top left corner; colours are 0xRRGGBBAA. Drawing cannot fail; the first failure sticks and
 * sw_canvas_finish tells it. One thread owns a canvas.
 */
#ifndef SW_REPORT_CANVAS_H
#define SW_REPORT_CANVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct sw_canvas;

enum sw_canvas_format { SW_CANVAS_PNG, SW_CANVAS_SVG };
enum sw_canvas_align { SW_CANVAS_LEFT, SW_CANVAS_CENTRE, SW_CANVAS_RIGHT };

struct sw_canvas_text {
    double x, y; /* of the baseline */
    double size; /* of the letters, pixels; 0: 12 */
    uint32_t color;
    enum sw_canvas_align align;
    bool is_bold;
    bool is_mono;
};

SW_MUST_USE enum sw_status sw_canvas_new(struct sw_canvas **canvas, enum sw_canvas_format format, double width,
                                         double height);
void sw_canvas_free(struct sw_canvas *canvas); /* NULL is fine */
void sw_canvas_fill(struct sw_canvas *canvas, double x, double y, double width, double height, uint32_t color);
/* A line through `count` points, `points` holding x and y in turn. */
void sw_canvas_polyline(struct sw_canvas *canvas, const double *points, size_t count, double line_width,
                        uint32_t color);
void sw_canvas_circle(struct sw_canvas *canvas, double x, double y, double radius, uint32_t color);
void sw_canvas_text(struct sw_canvas *canvas, const struct sw_canvas_text *how, struct sw_str text);
double sw_canvas_text_width(struct sw_canvas *canvas, const struct sw_canvas_text *how, struct sw_str text);
void sw_canvas_clip(struct sw_canvas *canvas, double x, double y, double width, double height); /* until unclip */
void sw_canvas_unclip(struct sw_canvas *canvas);
/* Appends the picture to `out`. Nothing can be drawn afterwards. */
SW_MUST_USE enum sw_status sw_canvas_finish(struct sw_canvas *canvas, struct sw_buf *out);

#endif
