/* canvas.c - A picture drawn once with cairo and written as PNG or SVG; see canvas.h. */
#include "report/canvas.h"

#include <cairo-svg.h>
#include <cairo.h>

#include "base/mem.h"

#define TEXT_BYTES_MAX 1024 /* of one text; longer ones are cut between characters */
#define SIDE_MAX 32767.0    /* pixels; cairo's own bound for images */

#if defined(__SANITIZE_ADDRESS__)
#define HAS_LEAK_CHECK 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_LEAK_CHECK 1
#endif
#endif
#ifdef HAS_LEAK_CHECK
/* Cairo's and fontconfig's caches live until the process ends. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_options(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libfontconfig\nleak:libcairo\nleak:libpixman\n";
}
const char *__lsan_default_options(void) {
    return "print_suppressions=0";
}
#endif

struct sw_canvas {
    cairo_surface_t *surface;
    cairo_t *cairo;
    enum sw_canvas_format format;
    struct sw_buf svg;
    bool is_finished;
};

static cairo_status_t bytes_put(void *context, const unsigned char *bytes, unsigned count) {
    struct sw_buf *out = context;
    return sw_buf_append(out, sw_str_make((const char *)bytes, count)) == SW_OK ? CAIRO_STATUS_SUCCESS
                                                                                : CAIRO_STATUS_NO_MEMORY;
}

static enum sw_status status_of(cairo_status_t status) {
    if (status == CAIRO_STATUS_SUCCESS)
        return SW_OK;
    return status == CAIRO_STATUS_NO_MEMORY ? SW_NOMEM : SW_UNSUPPORTED;
}

static void color_set(cairo_t *cairo, uint32_t color) {
    cairo_set_source_rgba(cairo, (color >> 24) / 255.0, (color >> 16 & 255) / 255.0, (color >> 8 & 255) / 255.0,
                          (color & 255) / 255.0);
}

/* Bytes of the UTF-8 sequence that `lead` begins; 0: none, or a control character. */
static size_t sequence_need(unsigned char lead) {
    if (lead < 0x80)
        return lead >= 0x20 && lead != 0x7f;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Bytes of the UTF-8 sequence at `at`, 0 if there is none or it is a control character. Stricter than cairo. */
static size_t sequence_len(const unsigned char *at, size_t left) {
    unsigned char lead = at[0];
    size_t need = sequence_need(lead);
    unsigned char least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (need > left)
        return 0;
    for (size_t i = 1; i < need; i++) {
        if (at[i] < least || at[i] > most)
            return 0;
        least = 0x80;
        most = 0xbf;
    }
    return need;
}

/* A terminated copy that cairo takes: one text that is no UTF-8 would end all drawing. */
static void text_clean(char out[TEXT_BYTES_MAX + 1], struct sw_str text) {
    size_t len = 0;
    for (size_t at = 0; at < text.len && len + 4 <= TEXT_BYTES_MAX;) {
        size_t step = sequence_len((const unsigned char *)text.ptr + at, text.len - at);
        if (step == 0)
            out[len++] = '?';
        for (size_t i = 0; i < step; i++)
            out[len++] = text.ptr[at + i];
        at += step ? step : 1;
    }
    out[len] = '\0';
}

static void font_set(cairo_t *cairo, const struct sw_canvas_text *how) {
    cairo_select_font_face(cairo, how->is_mono ? "monospace" : "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           how->is_bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cairo, how->size > 0 ? how->size : 12);
}

static double clean_width(cairo_t *cairo, const char *text) {
    cairo_text_extents_t extents;
    cairo_text_extents(cairo, text, &extents);
    return extents.x_advance;
}

enum sw_status sw_canvas_new(struct sw_canvas **out, enum sw_canvas_format format, double width, double height) {
    if (!(width >= 1 && width <= SIDE_MAX && height >= 1 && height <= SIDE_MAX))
        return SW_INVALID;
    struct sw_canvas *canvas = sw_alloc_zero(sizeof *canvas);
    if (!canvas)
        return SW_NOMEM;
    canvas->format = format;
    if (format == SW_CANVAS_PNG)
        canvas->surface = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, (int)width, (int)height);
    else
        canvas->surface = cairo_svg_surface_create_for_stream(bytes_put, &canvas->svg, width, height);
    canvas->cairo = cairo_create(canvas->surface);
    enum sw_status status = status_of(cairo_status(canvas->cairo));
    if (status != SW_OK)
        sw_canvas_free(canvas);
    else
        *out = canvas;
    return status;
}

void sw_canvas_free(struct sw_canvas *canvas) {
    if (!canvas)
        return;
    cairo_destroy(canvas->cairo);
    cairo_surface_destroy(canvas->surface); /* may still write, to canvas->svg */
    sw_buf_release(&canvas->svg);
    sw_free(canvas);
}

void sw_canvas_fill(struct sw_canvas *canvas, double x, double y, double width, double height, uint32_t color) {
    color_set(canvas->cairo, color);
    cairo_rectangle(canvas->cairo, x, y, width, height);
    cairo_fill(canvas->cairo);
}

void sw_canvas_polyline(struct sw_canvas *canvas, const double *points, size_t count, double line_width,
                        uint32_t color) {
    color_set(canvas->cairo, color);
    cairo_set_line_width(canvas->cairo, line_width);
    cairo_set_line_join(canvas->cairo, CAIRO_LINE_JOIN_ROUND);
    cairo_new_path(canvas->cairo);
    for (size_t i = 0; i < count; i++)
        cairo_line_to(canvas->cairo, points[2 * i], points[2 * i + 1]);
    cairo_stroke(canvas->cairo);
}

void sw_canvas_circle(struct sw_canvas *canvas, double x, double y, double radius, uint32_t color) {
    color_set(canvas->cairo, color);
    cairo_new_sub_path(canvas->cairo);
    cairo_arc(canvas->cairo, x, y, radius, 0, 6.283185307179586);
    cairo_fill(canvas->cairo);
}

void sw_canvas_text(struct sw_canvas *canvas, const struct sw_canvas_text *how, struct sw_str text) {
    char clean[TEXT_BYTES_MAX + 1];
    text_clean(clean, text);
    font_set(canvas->cairo, how);
    color_set(canvas->cairo, how->color);
    double shift = how->align == SW_CANVAS_LEFT     ? 0
                   : how->align == SW_CANVAS_CENTRE ? clean_width(canvas->cairo, clean) / 2
                                                    : clean_width(canvas->cairo, clean);
    cairo_move_to(canvas->cairo, how->x - shift, how->y);
    cairo_show_text(canvas->cairo, clean);
    cairo_new_path(canvas->cairo);
}

double sw_canvas_text_width(struct sw_canvas *canvas, const struct sw_canvas_text *how, struct sw_str text) {
    char clean[TEXT_BYTES_MAX + 1];
    text_clean(clean, text);
    font_set(canvas->cairo, how);
    return clean_width(canvas->cairo, clean);
}

void sw_canvas_clip(struct sw_canvas *canvas, double x, double y, double width, double height) {
    cairo_save(canvas->cairo);
    cairo_rectangle(canvas->cairo, x, y, width, height);
    cairo_clip(canvas->cairo);
}

void sw_canvas_unclip(struct sw_canvas *canvas) {
    cairo_restore(canvas->cairo);
}

enum sw_status sw_canvas_finish(struct sw_canvas *canvas, struct sw_buf *out) {
    if (canvas->is_finished)
        return SW_INVALID;
    canvas->is_finished = true;
    size_t len = out->len;
    enum sw_status status = status_of(cairo_status(canvas->cairo));
    if (status == SW_OK && canvas->format == SW_CANVAS_PNG)
        status = status_of(cairo_surface_write_to_png_stream(canvas->surface, bytes_put, out));
    cairo_surface_finish(canvas->surface);
    if (status == SW_OK)
        status = status_of(cairo_surface_status(canvas->surface));
    if (status == SW_OK && canvas->format == SW_CANVAS_SVG)
        status = sw_buf_append(out, sw_buf_view(&canvas->svg));
    if (status != SW_OK)
        out->len = len;
    return status;
}
