/* fractal_paint.c - Escape times to colours; see fractal_draw.h. */
#include "cli/fractal_draw.h"

static float point_time(const struct sw_paint *paint, size_t at) {
    return paint->smooth ? paint->smooth[at] : (float)paint->counts[at];
}

static const uint8_t *point_color(const struct sw_paint *paint, size_t at) {
    if (paint->counts[at] >= paint->iterations)
        return paint->palette->inside;
    return paint->palette->colors[sw_palette_place(point_time(paint, at))];
}

static const float *point_light(const struct sw_paint *paint, size_t at) {
    if (paint->counts[at] >= paint->iterations)
        return paint->palette->inside_light;
    return paint->palette->light[sw_palette_place(point_time(paint, at))];
}

/* The mean of the pixel's points, as light adds up. */
static void pixel_average(const struct sw_paint *paint, uint32_t x, uint32_t y, uint8_t *out) {
    float sum[3] = {0};
    for (uint32_t j = 0; j < paint->samples; j++) {
        size_t at = ((size_t)y * paint->samples + j) * paint->width * paint->samples + (size_t)x * paint->samples;
        for (uint32_t i = 0; i < paint->samples; i++) {
            const float *light = point_light(paint, at + i);
            for (int k = 0; k < 3; k++)
                sum[k] += light[k];
        }
    }
    float scale = 65535.0f / (float)(paint->samples * paint->samples);
    for (int k = 0; k < 3; k++) {
        float level = sum[k] * scale + 0.5f;
        out[k] = paint->palette->encoded[level < 65535 ? (uint32_t)level : 65535];
    }
}

void sw_paint(const struct sw_paint *paint, uint8_t *out) {
    for (uint32_t y = 0; y < paint->height; y++) {
        uint8_t *pixel = out + y * paint->row_bytes;
        for (uint32_t x = 0; x < paint->width; x++, pixel += 3) {
            if (paint->samples == 1)
                memcpy(pixel, point_color(paint, (size_t)y * paint->width + x), 3);
            else
                pixel_average(paint, x, y, pixel);
        }
    }
}
