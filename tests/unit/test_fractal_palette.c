/* test_fractal_palette.c - Palettes: rings without a seam, even steps, and the colours of escape times. */
#include "cli/fractal_palette.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"

static struct sw_palette *built(const struct sw_palette_plan *plan, uint32_t inside) {
    struct sw_palette *palette = sw_alloc(sizeof *palette);
    assert_non_null(palette);
    sw_palette_build(palette, plan, inside);
    return palette;
}

static float step_between(const struct sw_palette *palette, uint32_t a, uint32_t b) {
    const uint8_t *x = palette->colors[a], *y = palette->colors[b];
    uint32_t first = (uint32_t)x[0] << 16 | (uint32_t)x[1] << 8 | x[2];
    uint32_t second = (uint32_t)y[0] << 16 | (uint32_t)y[1] << 8 | y[2];
    return distance(lab_of(first), lab_of(second));
}

/* Over 64 colours, so that rounding to 8 bits weighs little: no step is much longer than the mean, the last to the first
 * included. Colours that sRGB lacks are cut, which makes steps shorter. */
static void rings_have_even_steps(void **state) {
    for (const struct sw_palette_plan *plan = sw_palette_plans; plan->name; plan++) {
        struct sw_palette *palette = built(plan, 0);
        float sum = 0, longest = 0;
        for (uint32_t i = 0; i < SW_PALETTE_COLORS; i += 64) {
            float step = step_between(palette, i, (i + 64) % SW_PALETTE_COLORS);
            sum += step;
            longest = step > longest ? step : longest;
        }
        float mean = sum / (SW_PALETTE_COLORS / 64);
        if (!(longest < 1.3f * mean) || !(mean > 0.005f))
            fail_msg("%s: longest step %f, mean %f", plan->name, (double)longest, (double)mean);
        sw_free(palette);
    }
}

static void names_find_plans(void **state) {
    for (const struct sw_palette_plan *plan = sw_palette_plans; plan->name; plan++)
        assert_ptr_equal(sw_palette_find(sw_str_from(plan->name)), plan);
    assert_null(sw_palette_find(SW_STR("dus")));
    assert_null(sw_palette_find(SW_STR("")));
    assert_string_equal(sw_palette_plans[0].name, "dusk");
}

static void inside_and_light_agree(void **state) {
    struct sw_palette *palette = built(&sw_palette_plans[0], 0x12ab03);
    assert_int_equal(palette->inside[0], 0x12);
    assert_int_equal(palette->inside[1], 0xab);
    assert_int_equal(palette->inside[2], 0x03);
    for (uint32_t i = 0; i < SW_PALETTE_COLORS; i++)
        for (int k = 0; k < 3; k++) {
            uint32_t level = (uint32_t)(palette->light[i][k] * 65535 + 0.5f);
            assert_in_range(palette->encoded[level] + 1, palette->colors[i][k], palette->colors[i][k] + 2);
        }
    assert_int_equal(palette->encoded[0], 0);
    assert_int_equal(palette->encoded[65535], 255);
    sw_free(palette);
}

static void places_follow_the_square_root(void **state) {
    static const struct {
        float time;
        uint32_t place;
    } rows[] = {
        {0, 0},
        {1, 0},                          /* far out */
        {27.04f, SW_PALETTE_COLORS / 2}, /* (1.2 + 4)^2 */
        {84.65f, 0},                     /* once around: (1.2 + 8)^2 and a little */
        {174.24f, SW_PALETTE_COLORS / 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t away = (sw_palette_place(rows[i].time) - rows[i].place + 2) % SW_PALETTE_COLORS;
        if (away > 4)
            fail_msg("%f is at %u, not %u", (double)rows[i].time, sw_palette_place(rows[i].time), rows[i].place);
    }
    static const float odd[] = {-5, 1e9f, 3e38f, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        assert_true(sw_palette_place(odd[i]) < SW_PALETTE_COLORS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rings_have_even_steps),
        cmocka_unit_test(names_find_plans),
        cmocka_unit_test(inside_and_light_agree),
        cmocka_unit_test(places_follow_the_square_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
