/* png_filter.c - PNG's row filters; see png_filter_impl.h. Loops over plain bytes, which compilers turn into vectors. */
#include "report/png_filter_impl.h"

#include <stdbool.h>
#include <string.h>

enum filter { NONE, SUB, UP, AVERAGE, PAETH };

/* In 16 bits, as compilers then take 8 at a time. */
static inline int16_t magnitude(int16_t value) {
    return value < 0 ? (int16_t)-value : value;
}

static inline uint8_t paeth_of(int16_t left, int16_t above, int16_t corner) {
    int16_t p = (int16_t)(above - corner), q = (int16_t)(left - corner);
    int16_t by_left = magnitude(p), by_above = magnitude(q), by_corner = magnitude((int16_t)(p + q));
    int16_t nearest = by_above <= by_corner ? above : corner;
    int16_t least = by_above <= by_corner ? by_above : by_corner;
    return (uint8_t)(by_left <= least ? left : nearest);
}

/* The first pixel has no left neighbour: zeros stand for it. */
static void head_filter(const struct sw_png_row *row, enum filter filter, uint8_t *restrict out) {
    for (size_t i = 0; i < row->step && i < row->size; i++) {
        uint8_t predicted = filter == SUB ? 0 : filter == AVERAGE ? row->above[i] / 2 : row->above[i];
        out[i] = (uint8_t)(row->pixels[i] - predicted);
    }
}

static void sub_filter(const struct sw_png_row *row, uint8_t *restrict out) {
    const uint8_t *pixels = row->pixels;
    for (size_t i = row->step; i < row->size; i++)
        out[i] = (uint8_t)(pixels[i] - pixels[i - row->step]);
}

static void up_filter(const struct sw_png_row *row, uint8_t *restrict out) {
    const uint8_t *pixels = row->pixels, *above = row->above;
    for (size_t i = row->step; i < row->size; i++)
        out[i] = (uint8_t)(pixels[i] - above[i]);
}

static void average_filter(const struct sw_png_row *row, uint8_t *restrict out) {
    const uint8_t *pixels = row->pixels, *above = row->above;
    for (size_t i = row->step; i < row->size; i++)
        out[i] = (uint8_t)(pixels[i] - (pixels[i - row->step] + above[i]) / 2);
}

static void paeth_filter(const struct sw_png_row *row, uint8_t *restrict out) {
    const uint8_t *pixels = row->pixels, *above = row->above;
    size_t step = row->step;
    for (size_t i = step; i < row->size; i++)
        out[i] = (uint8_t)(pixels[i] - paeth_of(pixels[i - step], above[i], above[i - step]));
}

/* Of the differences taken as signed numbers. */
static uint64_t row_weight(const uint8_t *bytes, size_t size) {
    uint64_t sum = 0;
    for (size_t block = 0, end; block < size; block = end) {
        uint32_t part = 0; /* of a block, so that it fits */
        end = size - block > 65536 ? block + 65536 : size;
        for (size_t i = block; i < end; i++) {
            uint8_t down = (uint8_t)(0 - bytes[i]);
            part += bytes[i] < down ? bytes[i] : down;
        }
        sum += part;
    }
    return sum;
}

static uint64_t filter_run(const struct sw_png_row *row, enum filter filter, uint8_t *out) {
    head_filter(row, filter, out);
    if (filter == SUB)
        sub_filter(row, out);
    else if (filter == UP)
        up_filter(row, out);
    else if (filter == AVERAGE)
        average_filter(row, out);
    else
        paeth_filter(row, out);
    return row_weight(out, row->size);
}

void sw_png_filter(const struct sw_png_row *row, uint8_t *out, uint8_t *scratch) {
    uint64_t least = filter_run(row, UP, out + 1);
    out[0] = UP;
    for (enum filter filter = SUB; filter <= PAETH && least > 0; filter++) {
        if (filter == UP)
            continue;
        uint64_t weight = filter_run(row, filter, scratch);
        if (weight >= least)
            continue;
        least = weight;
        out[0] = (uint8_t)filter;
        memcpy(out + 1, scratch, row->size);
    }
}
