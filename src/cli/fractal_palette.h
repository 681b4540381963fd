/* fractal_palette.h - Colours for escape times: closed rings of colours with perceptually even steps. */
#ifndef SW_CLI_FRACTAL_PALETTE_H
#define SW_CLI_FRACTAL_PALETTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define SW_PALETTE_COLORS 4096u /* a power of two */
#define SW_PALETTE_KEYS 8

struct sw_palette_plan {
    const char *name, *looks;
    uint32_t keys[SW_PALETTE_KEYS]; /* 0xRRGGBB, in the order of the ring */
    unsigned key_count;
};

/* Immutable after building: may be used on several threads. */
struct sw_palette {
    uint8_t colors[SW_PALETTE_COLORS][3]; /* sRGB */
    float light[SW_PALETTE_COLORS][3];    /* the same as linear light, for averaging */
    uint8_t inside[3];
    float inside_light[3];
    uint8_t encoded[65536]; /* linear light in 65536 steps as sRGB */
};

extern const struct sw_palette_plan sw_palette_plans[]; /* the first is the default; ends with a NULL name */

const struct sw_palette_plan *sw_palette_find(struct sw_str name); /* NULL: there is none */
void sw_palette_build(struct sw_palette *palette, const struct sw_palette_plan *plan, uint32_t inside);
/* The place on the ring of an escape time: colours change with its square root, so that both the slow change far out and
 * the fast one near the set can be seen. */
uint32_t sw_palette_place(float escape_time);

#endif
