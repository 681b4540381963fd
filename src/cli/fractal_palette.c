/* fractal_palette.c - Rings of colours, interpolated in OKLab by distance; see fractal_palette.h.
 *
 * OKLab: B. Ottosson, "A perceptual color space for image processing", 2020. Equal distances in it look about equal, so a
 * ring is walked at constant speed: no bright bands appear where there is nothing to see.
 */
#include "cli/fractal_palette.h"

#include <assert.h>
#include <math.h>

#define RING_STEPS 4096 /* pieces of the curve through the keys that are measured */
#define RING_SQRT 8.0f  /* of the square root of the escape time is once around */
#define RING_FIRST 1.2f /* the square root of the escape time at which it begins, far out */

#define TURNS_MOST 1e6f /* more than any escape time makes */

struct color {
    float l, a, b; /* of OKLab, or red, green, blue */
};

const struct sw_palette_plan sw_palette_plans[] = {
    {"dusk", "night blue to white, amber and wine", {0x060a2a, 0x173f8a, 0x6fb3e0, 0xfaf5e4, 0xf4a736, 0x7a1f2b}, 6},
    {"ember", "black to red, orange and cream", {0x080406, 0x5b0f1a, 0xc8371b, 0xf7a23b, 0xfff3c9, 0x8a3a12}, 6},
    {"glacier", "deep sea to ice", {0x04122b, 0x0e4a6e, 0x2f9fb0, 0xd9f3ee, 0x8fb7d9, 0x27407a}, 6},
    {"moss", "forest to lichen and gold", {0x0a140d, 0x1f4a2c, 0x6f9a3d, 0xe9e6a8, 0xc99a3a, 0x4a3219}, 6},
    {"orchid", "indigo to rose and pearl", {0x120a2e, 0x4b2a8c, 0xb04fb0, 0xf7c6d4, 0xfdf6ef, 0x7d86c9}, 6},
    {"twilight",
     "plum, blue and rose around a pale noon",
     {0x2f1436, 0x5e43a5, 0x6c90c2, 0xe2d9e2, 0xc69080, 0x8e2c50},
     6},
    {"grey", "black to white and back", {0x050505, 0xfafafa}, 2},
    {NULL, NULL, {0}, 0},
};

static float light_of(uint8_t channel) {
    float value = (float)channel / 255.0f;
    return value <= 0.04045f ? value / 12.92f : powf((value + 0.055f) / 1.055f, 2.4f);
}

static uint8_t channel_of(float light) {
    float value = light <= 0.0031308f ? 12.92f * light : 1.055f * powf(light, 1 / 2.4f) - 0.055f;
    return (uint8_t)(fminf(fmaxf(value, 0), 1) * 255.0f + 0.5f);
}

static struct color lab_of(uint32_t srgb) {
    float r = light_of((uint8_t)(srgb >> 16)), g = light_of((uint8_t)(srgb >> 8)), b = light_of((uint8_t)srgb);
    float l = cbrtf(0.4122214708f * r + 0.5363325363f * g + 0.0514459929f * b);
    float m = cbrtf(0.2119034982f * r + 0.6806995451f * g + 0.1073969566f * b);
    float s = cbrtf(0.0883024619f * r + 0.2817188376f * g + 0.6299787005f * b);
    return (struct color){
        0.2104542553f * l + 0.7936177850f * m - 0.0040720468f * s,
        1.9779984951f * l - 2.4285922050f * m + 0.4505937099f * s,
        0.0259040371f * l + 0.7827717662f * m - 0.8086757660f * s,
    };
}

/* Linear light; colours outside of sRGB are cut to it. */
static struct color light_of_lab(struct color lab) {
    float l = lab.l + 0.3963377774f * lab.a + 0.2158037573f * lab.b;
    float m = lab.l - 0.1055613458f * lab.a - 0.0638541728f * lab.b;
    float s = lab.l - 0.0894841775f * lab.a - 1.2914855480f * lab.b;
    l = l * l * l;
    m = m * m * m;
    s = s * s * s;
    return (struct color){
        fminf(fmaxf(4.0767416621f * l - 3.3077115913f * m + 0.2309699292f * s, 0), 1),
        fminf(fmaxf(-1.2684380046f * l + 2.6097574011f * m - 0.3413193965f * s, 0), 1),
        fminf(fmaxf(-0.0041960863f * l - 0.7034186147f * m + 1.7076147010f * s, 0), 1),
    };
}

/* A value between p1 and p2 on the closed Catmull-Rom curve through four neighbours. */
static float curve(const float p[4], float t) {
    return p[1] +
           0.5f * t *
               (p[2] - p[0] + t * (2 * p[0] - 5 * p[1] + 4 * p[2] - p[3] + t * (3 * (p[1] - p[2]) + p[3] - p[0])));
}

/* The colour at `turn`, 0 to 1, of the ring. */
static struct color ring_at(const struct color *keys, unsigned count, float turn) {
    float place = turn * (float)count;
    unsigned at = (unsigned)place % count;
    float t = place - floorf(place), l[4], a[4], b[4];
    for (unsigned i = 0; i < 4; i++) {
        const struct color *key = &keys[(at + count - 1 + i) % count];
        l[i] = key->l;
        a[i] = key->a;
        b[i] = key->b;
    }
    return (struct color){fminf(fmaxf(curve(l, t), 0), 1), curve(a, t), curve(b, t)};
}

static float distance(struct color x, struct color y) {
    return sqrtf((x.l - y.l) * (x.l - y.l) + (x.a - y.a) * (x.a - y.a) + (x.b - y.b) * (x.b - y.b));
}

static void color_set(struct sw_palette *palette, uint32_t index, struct color light) {
    palette->light[index][0] = light.l;
    palette->light[index][1] = light.a;
    palette->light[index][2] = light.b;
    for (int i = 0; i < 3; i++)
        palette->colors[index][i] = channel_of(palette->light[index][i]);
}

/* Walks the ring twice: once to measure it, once to take colours at equal distances. */
static void ring_walk(struct sw_palette *palette, const struct color *keys, unsigned count) {
    float length = 0, walked = 0;
    struct color last = ring_at(keys, count, 0);
    for (unsigned i = 1; i <= RING_STEPS; i++) {
        struct color next = ring_at(keys, count, (float)i / RING_STEPS);
        length += distance(last, next);
        last = next;
    }
    uint32_t index = 0;
    for (unsigned i = 0; i < RING_STEPS && index < SW_PALETTE_COLORS; i++) {
        struct color here = ring_at(keys, count, (float)i / RING_STEPS);
        float piece = distance(here, ring_at(keys, count, (float)(i + 1) / RING_STEPS));
        for (; index < SW_PALETTE_COLORS; index++) {
            float wanted = length * (float)index / SW_PALETTE_COLORS;
            if (wanted > walked + piece && i + 1 < RING_STEPS)
                break;
            float part = piece > 0 ? (wanted - walked) / piece : 0;
            color_set(palette, index, light_of_lab(ring_at(keys, count, ((float)i + part) / RING_STEPS)));
        }
        walked += piece;
    }
}

const struct sw_palette_plan *sw_palette_find(struct sw_str name) {
    for (const struct sw_palette_plan *plan = sw_palette_plans; plan->name; plan++)
        if (sw_str_eq(sw_str_from(plan->name), name))
            return plan;
    return NULL;
}

void sw_palette_build(struct sw_palette *palette, const struct sw_palette_plan *plan, uint32_t inside) {
    struct color keys[SW_PALETTE_KEYS];
    assert(plan->key_count > 0);
    for (unsigned i = 0; i < plan->key_count; i++)
        keys[i] = lab_of(plan->keys[i]);
    ring_walk(palette, keys, plan->key_count);
    for (unsigned i = 0; i < 3; i++) {
        palette->inside[i] = (uint8_t)(inside >> (16 - 8 * i));
        palette->inside_light[i] = light_of(palette->inside[i]);
    }
    for (unsigned i = 0; i < sizeof palette->encoded; i++)
        palette->encoded[i] = channel_of((float)i / 65535.0f);
}

/* Without library calls, as it is done for every point. */
uint32_t sw_palette_place(float escape_time) {
    float turns = (sqrtf(escape_time > 0 ? escape_time : 0) - RING_FIRST) / RING_SQRT;
    turns = turns > 0 ? (turns < TURNS_MOST ? turns : TURNS_MOST) : 0;
    return (uint32_t)((turns - (float)(int32_t)turns) * SW_PALETTE_COLORS) & (SW_PALETTE_COLORS - 1);
}
