/* profile_color.c - Colours that dark text can be read on, bright enough for a dark page. */
#include "report/profile_color_impl.h"

#include <math.h>

#include "base/hash.h"

#define HUE_SEED 7u

static const struct family {
    const char *text;
    double hue, hue_span;
    double saturation, lightness, lightness_span;
} families[SW_PROFILE_ORIGINS] = {
    [SW_PROFILE_ORIGIN_APP] = {"your code", 8, 40, 0.86, 0.66, 0.10},
    [SW_PROFILE_ORIGIN_PACKAGE] = {"packages", 88, 78, 0.46, 0.62, 0.10},
    [SW_PROFILE_ORIGIN_STDLIB] = {"standard library", 200, 22, 0.66, 0.71, 0.08},
    [SW_PROFILE_ORIGIN_NATIVE] = {"native", 262, 42, 0.54, 0.75, 0.07},
    [SW_PROFILE_ORIGIN_MARK] = {"marks", 220, 1, 0.07, 0.73, 0},
};

static double channel(double n, double hue, double saturation, double lightness) {
    double k = fmod(n + hue / 30, 12);
    double span = saturation * fmin(lightness, 1 - lightness);
    return lightness - span * fmax(-1, fmin(fmin(k - 3, 9 - k), 1));
}

static uint32_t from_hsl(double hue, double saturation, double lightness) {
    uint32_t red = (uint32_t)lround(255 * channel(0, hue, saturation, lightness));
    uint32_t green = (uint32_t)lround(255 * channel(8, hue, saturation, lightness));
    uint32_t blue = (uint32_t)lround(255 * channel(4, hue, saturation, lightness));
    return red << 16 | green << 8 | blue;
}

static double share_of(struct sw_str text) {
    return (double)(sw_hash_bytes(text.ptr, text.len, HUE_SEED) >> 11) * 0x1p-53;
}

static bool contains(struct sw_str text, struct sw_str part) {
    return memmem(text.ptr, text.len, part.ptr, part.len) != NULL;
}

/* "/usr/lib/python3.12/json/decoder.py"; packages, below the same folder, are asked for before. */
static bool is_stdlib(struct sw_str file) {
    const char *at = memmem(file.ptr, file.len, "/lib/python3", 12);
    return sw_str_starts(file, SW_STR("<frozen ")) || at || contains(file, SW_STR("/lib64/python3"));
}

enum sw_profile_origin sw_profile_origin(const struct sw_profile_frame *frame) {
    if (frame->kind != SW_PROFILE_PYTHON)
        return frame->kind == SW_PROFILE_NATIVE ? SW_PROFILE_ORIGIN_NATIVE : SW_PROFILE_ORIGIN_MARK;
    if (frame->file.len == 0)
        return SW_PROFILE_ORIGIN_APP;
    if (contains(frame->file, SW_STR("site-packages/")) || contains(frame->file, SW_STR("dist-packages/")))
        return SW_PROFILE_ORIGIN_PACKAGE;
    return is_stdlib(frame->file) ? SW_PROFILE_ORIGIN_STDLIB : SW_PROFILE_ORIGIN_APP;
}

const char *sw_profile_origin_text(enum sw_profile_origin origin) {
    return families[origin].text;
}

uint32_t sw_profile_origin_color(enum sw_profile_origin origin) {
    const struct family *family = &families[origin];
    return from_hsl(family->hue + family->hue_span / 2, family->saturation, family->lightness);
}

uint32_t sw_profile_frame_color(const struct sw_profile_frame *frame) {
    const struct family *family = &families[sw_profile_origin(frame)];
    double hue = family->hue + family->hue_span * share_of(frame->file);
    double lightness = family->lightness + family->lightness_span * (share_of(frame->name) - 0.5);
    return from_hsl(hue, family->saturation, lightness);
}

uint32_t sw_profile_change_color(double change) {
    double strength = fmin(1, fabs(change));
    if (strength < 0.01)
        return from_hsl(220, 0.06, 0.84);
    return from_hsl(change > 0 ? 6 : 212, 0.25 + 0.6 * strength, 0.84 - 0.2 * strength);
}
