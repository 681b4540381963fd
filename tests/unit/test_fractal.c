/* test_fractal.c - Escape-time fractals: every level against the loop of the header. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kernels/fractal.h"
#include "kernels/fractal_impl.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define UNTOUCHED 0xdeadbeef

struct picture {
    uint32_t *counts;
    float *smooth;
    size_t elements;
};

static void picture_init(struct picture *picture, const struct sw_fractal_grid *grid) {
    picture->elements = grid->row_stride * grid->height + grid->width;
    picture->counts = sw_alloc_array(picture->elements, sizeof(uint32_t));
    picture->smooth = sw_alloc_array(picture->elements, sizeof(float));
    assert_non_null(picture->counts);
    assert_non_null(picture->smooth);
    for (size_t i = 0; i < picture->elements; i++) {
        picture->counts[i] = UNTOUCHED;
        picture->smooth[i] = -7.0f;
    }
}

static void picture_release(struct picture *picture) {
    sw_free(picture->counts);
    sw_free(picture->smooth);
}

static struct sw_fractal_output picture_output(const struct picture *picture) {
    return (struct sw_fractal_output){.counts = picture->counts, .smooth = picture->smooth};
}

/* xorshift64*: the same pictures in every run. */
static uint64_t random_next(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static double random_between(uint64_t *state, double low, double high) {
    return low + (high - low) * (double)(random_next(state) >> 11) * 0x1p-53;
}

/* The loop of the header, for one point; leaves z in x and y. */
static uint32_t plain_count(const struct sw_fractal *fractal, double *x, double *y) {
    bool is_julia = fractal->kind == SW_FRACTAL_JULIA;
    double re = is_julia ? fractal->julia_re : *x, im = is_julia ? fractal->julia_im : *y;
    uint32_t n = 0;
    if (!is_julia) {
        *x = *y = 0;
    }
    while (n < fractal->iterations) {
        double norm = fractal->is_exact ? *x * *x + *y * *y : fma(*y, *y, *x * *x);
        if (!(norm <= 4)) {
            break;
        }
        if (fractal->kind == SW_FRACTAL_BURNING_SHIP) {
            *x = fabs(*x);
            *y = fabs(*y);
        }
        double next = fractal->is_exact ? *x * *x - *y * *y + re : fma(-*y, *y, fma(*x, *x, re));
        *y = fractal->is_exact ? 2 * *x * *y + im : fma(2 * *x, *y, im);
        *x = next;
        n++;
    }
    return n;
}

/* The smooth count by the library's logarithms, from where plain_count ended. */
static double plain_smooth(const struct sw_fractal *fractal, double re, double im) {
    double x = re, y = im;
    uint32_t n = plain_count(fractal, &x, &y);
    if (n == fractal->iterations) {
        return -1;
    }
    double c_re = fractal->kind == SW_FRACTAL_JULIA ? fractal->julia_re : re;
    double c_im = fractal->kind == SW_FRACTAL_JULIA ? fractal->julia_im : im;
    for (; hypot(x, y) <= 16; n++) {
        double product = fractal->kind == SW_FRACTAL_BURNING_SHIP ? fabs(x * y) : x * y;
        x = x * x - y * y + c_re;
        y = 2 * product + c_im;
    }
    double smooth = n + 1 - log2(log(hypot(x, y)) / log(2));
    return smooth > 0 ? smooth : 0;
}

/* Both pictures have the same counts, and smooth counts to the last bit. */
static void assert_same(const struct picture *a, const struct picture *b) {
    assert_int_equal(a->elements, b->elements);
    for (size_t i = 0; i < a->elements; i++) {
        if (a->counts[i] != b->counts[i]) {
            fail_msg("count %zu: %u is not %u", i, (unsigned)a->counts[i], (unsigned)b->counts[i]);
        }
    }
    assert_memory_equal(a->smooth, b->smooth, a->elements * sizeof(float));
}

/* Every level, with and without the shortcuts, gives what the scalar level does; and that is the plain loop. */
static void check(struct sw_fractal fractal, const struct sw_fractal_grid *grid) {
    struct picture expected, actual;
    picture_init(&expected, grid);
    struct sw_fractal_output output = picture_output(&expected);
    fractal.is_plain = true;
    uint64_t done = sw_fractal_run_scalar(&fractal, grid, &output), sum = 0;
    for (size_t y = 0; y < grid->height; y++) {
        for (size_t x = 0; x < grid->width; x++) {
            double re = grid->re + (double)(grid->first_column + x) * grid->re_step;
            double im = grid->im + (double)(grid->first_row + y) * grid->im_step;
            uint32_t count = plain_count(&fractal, &re, &im);
            assert_int_equal(expected.counts[y * grid->row_stride + x], count);
            sum += count;
        }
    }
    assert_int_equal(done, sum);
    for (int level = SW_CPU_SCALAR; level <= (int)sw_cpu_level(); level++) {
        for (int is_plain = 0; is_plain < 2; is_plain++) {
            picture_init(&actual, grid);
            output = picture_output(&actual);
            fractal.is_plain = is_plain;
            done = sw_fractal_runner_for((enum sw_cpu_level)level)(&fractal, grid, &output);
            assert_same(&actual, &expected);
            assert_true(is_plain ? done == sum : done <= sum);
            picture_release(&actual);
        }
    }
    picture_release(&expected);
}

static const uint32_t limits[] = {1, 2, 3, 9, 15, 16, 17, 24, 40, 41, 63, 64, 65, 66, 87, 88, 89, 100, 1000};
static const struct {
    uint32_t width, height;
} shapes[] = {{1, 1}, {1, 40}, {2, 17}, {3, 11}, {7, 9}, {8, 8}, {31, 3}, {32, 4}, {33, 5}, {65, 2}, {100, 13}};

static void every_limit_and_shape(void **state) {
    uint64_t seed = 20;
    for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            struct sw_fractal fractal = {
                .kind = (enum sw_fractal_kind)(random_next(&seed) % 3),
                .julia_re = random_between(&seed, -1.3, 0.5),
                .julia_im = random_between(&seed, -0.8, 0.8),
                .iterations = limits[l],
                .is_exact = random_next(&seed) & 1,
            };
            struct sw_fractal_grid grid = {
                .re = random_between(&seed, -2.1, 0.5),
                .im = random_between(&seed, -1.2, 0.5),
                .re_step = random_between(&seed, 0, 0.05),
                .im_step = random_between(&seed, -0.05, 0.05),
                .first_column = (uint32_t)(random_next(&seed) % 5),
                .first_row = (uint32_t)(random_next(&seed) % 5),
                .width = shapes[s].width,
                .height = shapes[s].height,
                .row_stride = shapes[s].width + random_next(&seed) % 3,
            };
            check(fractal, &grid);
        }
    }
}

/* Where the boundary is: random pieces, down to the size at which neighbours are neighbouring doubles. */
static void many_random_pieces(void **state) {
    uint64_t seed = 21;
    for (int i = 0; i < 120; i++) {
        double size = exp2(random_between(&seed, -50, 1));
        struct sw_fractal fractal = {
            .kind = (enum sw_fractal_kind)(i % 3),
            .julia_re = random_between(&seed, -2.0, 2.0),
            .julia_im = random_between(&seed, -1.0, 1.0),
            .iterations = (uint32_t)(random_next(&seed) % 700),
            .is_exact = i / 3 % 2,
        };
        struct sw_fractal_grid grid = {
            .re = random_between(&seed, -2.1, 0.5),
            .im = random_between(&seed, -1.2, 1.2),
            .re_step = size / 40,
            .im_step = size / 23,
            .width = 40,
            .height = 23,
            .row_stride = 40,
        };
        fractal.iterations += 1;
        check(fractal, &grid);
    }
}

/* Points on the borders of the cardioid and the disc, where the shortcuts must not guess. */
static void the_shortcuts_guess_nothing(void **state) {
    const double borders[][2] = {{0.25, 0}, {-0.75, 0}, {-1.25, 0}, {-1.0, 0.25}, {-0.125, 0.649519052838329}, {-2, 0}};
    for (size_t b = 0; b < sizeof borders / sizeof *borders; b++) {
        for (int digits = 2; digits <= 16; digits += 2) {
            double step = pow(10, -digits);
            struct sw_fractal_grid grid = {
                borders[b][0] - 8 * step, borders[b][1] - 6 * step, step, step, 0, 0, 17, 13, 17};
            check((struct sw_fractal){.kind = SW_FRACTAL_MANDELBROT, .iterations = 3000}, &grid);
            check((struct sw_fractal){.kind = SW_FRACTAL_MANDELBROT, .iterations = 500, .is_exact = true}, &grid);
        }
    }
}

static void far_and_odd_points(void **state) {
    const double odd[] = {0, -0.0, 2, -2, 4, 1e10, 1e154, 1e200, 1e308, (double)INFINITY, (double)NAN, 5e-324, 1e-160};
    size_t count = sizeof odd / sizeof *odd;
    for (size_t i = 0; i < count * count; i++) {
        for (int kind = SW_FRACTAL_MANDELBROT; kind <= SW_FRACTAL_BURNING_SHIP; kind++) {
            struct sw_fractal fractal = {.kind = (enum sw_fractal_kind)kind, .iterations = 60};
            struct sw_fractal_grid grid = {odd[i % count], odd[i / count], 0.125, -0.125, 0, 0, 5, 3, 5};
            check(fractal, &grid);
            grid.re_step = odd[i / count];
            fractal.is_exact = true;
            check(fractal, &grid);
        }
    }
}

/* Julia sets whose c lies near or outside the circle: what has left may come back. */
static void julia_constants_outside(void **state) {
    const double constants[][2] = {{-2, 0},  {-2.0000000000000004, 0}, {2, 0},  {-3, 0}, {0, 2},
                                   {-20, 0}, {-1.9999999999, 0},       {1e9, 0}};
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        struct sw_fractal fractal = {.kind = SW_FRACTAL_JULIA,
                                     .julia_re = constants[i][0],
                                     .julia_im = constants[i][1],
                                     .iterations = 200};
        struct sw_fractal_grid grid = {-2, -0.5, 1.0 / 16, 1.0 / 16, 0, 0, 65, 17, 65};
        check(fractal, &grid);
        fractal.is_exact = true;
        check(fractal, &grid);
    }
    /* z = 5 is a fixed point of z^2 - 20: it begins outside. */
    uint32_t count = 99;
    float smooth = 99;
    sw_fractal_run(&(struct sw_fractal){.kind = SW_FRACTAL_JULIA, .julia_re = -20, .iterations = 50},
                   &(struct sw_fractal_grid){5, 0, 0, 0, 0, 0, 1, 1, 1}, &(struct sw_fractal_output){&count, &smooth});
    assert_int_equal(count, 0);
    assert_true(smooth == 0.0f);
}

/* "High Performance Python", chapter 2: the sum that tells that no iteration is lost. */
static void the_julia_set_of_the_book(void **state) {
    struct sw_fractal fractal = {SW_FRACTAL_JULIA, -0.62772, -0.42193, 300, true, false};
    struct sw_fractal_grid grid = {-1.8, -1.8, 3.6 / 1000, 3.6 / 1000, 0, 0, 1000, 1000, 1000};
    struct picture picture;
    picture_init(&picture, &grid);
    for (int level = SW_CPU_SCALAR; level <= (int)sw_cpu_level(); level++) {
        for (int is_plain = 0; is_plain < 2; is_plain++) {
            struct sw_fractal_output output = {.counts = picture.counts};
            fractal.is_plain = is_plain;
            memset(picture.counts, 0, picture.elements * sizeof(uint32_t));
            sw_fractal_runner_for((enum sw_cpu_level)level)(&fractal, &grid, &output);
            uint64_t sum = 0;
            for (size_t i = 0; i < 1000000; i++) {
                sum += picture.counts[i];
            }
            assert_int_equal(sum, 33219980);
        }
    }
    picture_release(&picture);
}

static void known_points(void **state) {
    static const struct {
        double re, im;
        uint32_t count; /* of 1000 */
    } cases[] = {
        {0, 0, 1000}, {-1, 0, 1000}, {0.25, 0, 1000}, {-2, 0, 1000}, {0, 1, 1000},
        {2, 0, 2},    {3, 0, 1},     {1, 0, 3},       {0.26, 0, 30}, {-0.75, 0.1, 33}, /* about pi / 0.1 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t count = 0;
        struct sw_fractal_grid grid = {cases[i].re, cases[i].im, 0, 0, 0, 0, 1, 1, 1};
        sw_fractal_run(&(struct sw_fractal){.iterations = 1000}, &grid, &(struct sw_fractal_output){.counts = &count});
        assert_int_equal(count, cases[i].count);
    }
}

static void smooth_counts_are_the_formula(void **state) {
    struct sw_fractal_grid grid = {-2.2, -1.3, 0.05, 0.05, 0, 0, 64, 52, 64};
    for (int kind = SW_FRACTAL_MANDELBROT; kind <= SW_FRACTAL_BURNING_SHIP; kind++) {
        struct sw_fractal fractal = {.kind = (enum sw_fractal_kind)kind,
                                     .julia_re = -0.8,
                                     .julia_im = 0.156,
                                     .iterations = 90,
                                     .is_exact = true};
        struct picture picture;
        picture_init(&picture, &grid);
        struct sw_fractal_output output = picture_output(&picture);
        sw_fractal_run(&fractal, &grid, &output);
        for (size_t i = 0; i < (size_t)64 * 52; i++) {
            size_t row = i / 64, column = i % 64;
            double re = grid.re + (double)column * grid.re_step, im = grid.im + (double)row * grid.im_step;
            assert_true(fabs((double)picture.smooth[i] - plain_smooth(&fractal, re, im)) < 1e-5);
            bool is_inside = picture.counts[i] == fractal.iterations;
            assert_int_equal(picture.smooth[i] == -1.0f, is_inside);
            /* Between the count and the next, give or take what c adds to the squarings. */
            if (!is_inside && hypot(re, im) < 1.4 && kind == SW_FRACTAL_MANDELBROT) {
                assert_true(fabs((double)picture.smooth[i] - picture.counts[i] - 0.5) < 1.2);
            }
        }
        picture_release(&picture);
    }
}

static void no_iterations_and_no_points(void **state) {
    uint32_t counts[6] = {9, 9, 9, 9, 9, 9};
    float smooth[6] = {9, 9, 9, 9, 9, 9};
    struct sw_fractal_output output = {counts, smooth};
    struct sw_fractal_grid grid = {0, 0, 1, 1, 0, 0, 2, 2, 3};
    assert_int_equal(sw_fractal_run(&(struct sw_fractal){.iterations = 0}, &grid, &output), 0);
    const uint32_t expected[6] = {0, 0, 9, 0, 0, 9};
    assert_memory_equal(counts, expected, sizeof counts);
    assert_true(smooth[0] == -1.0f && smooth[2] == 9.0f && smooth[4] == -1.0f);
    for (int level = SW_CPU_SCALAR; level <= (int)sw_cpu_level(); level++) {
        sw_fractal_runner run = sw_fractal_runner_for((enum sw_cpu_level)level);
        struct sw_fractal fractal = {.iterations = 50};
        grid.width = 0, grid.height = 2;
        assert_int_equal(run(&fractal, &grid, &output), 0);
        grid.width = 2, grid.height = 0;
        assert_int_equal(run(&fractal, &grid, &output), 0);
        assert_memory_equal(counts, expected, sizeof counts);
    }
}

static void tiles_are_parts_of_the_whole(void **state) {
    struct sw_fractal fractal = {.kind = SW_FRACTAL_BURNING_SHIP, .iterations = 250};
    struct sw_fractal_grid whole = {-1.9, -0.12, 0.0017, 0.0019, 3, 5, 97, 61, 97};
    for (int kind = SW_FRACTAL_MANDELBROT; kind <= SW_FRACTAL_BURNING_SHIP; kind++) {
        struct picture expected, tiled;
        picture_init(&expected, &whole);
        picture_init(&tiled, &whole);
        fractal.kind = (enum sw_fractal_kind)kind;
        struct sw_fractal_output output = picture_output(&expected);
        sw_fractal_run(&fractal, &whole, &output);
        for (uint32_t y = 0; y < whole.height; y += 13) {
            for (uint32_t x = 0; x < whole.width; x += 19) {
                struct sw_fractal_grid tile = whole;
                tile.first_column += x;
                tile.first_row += y;
                tile.width = whole.width - x < 19 ? whole.width - x : 19;
                tile.height = whole.height - y < 13 ? whole.height - y : 13;
                size_t at = y * whole.row_stride + x;
                sw_fractal_run(&fractal, &tile, &(struct sw_fractal_output){tiled.counts + at, tiled.smooth + at});
            }
        }
        assert_same(&tiled, &expected);
        picture_release(&expected);
        picture_release(&tiled);
    }
}

static void mirrored_rows_have_the_same_counts(void **state) {
    struct sw_fractal fractal = {.kind = SW_FRACTAL_MANDELBROT, .iterations = 300};
    struct sw_fractal_grid grid = {-2, -1.25, 1.0 / 64, 1.0 / 64, 0, 0, 160, 161, 160};
    struct picture picture;
    picture_init(&picture, &grid);
    struct sw_fractal_output output = picture_output(&picture);
    sw_fractal_run(&fractal, &grid, &output);
    size_t inside = 0;
    for (size_t y = 0; y < 161; y++) {
        assert_memory_equal(picture.counts + y * 160, picture.counts + (160 - y) * 160, 160 * sizeof(uint32_t));
        for (size_t x = 0; x < 160; x++) {
            inside += picture.counts[y * 160 + x] == 300;
        }
    }
    /* The area of the set is 1.5066. */
    assert_true(fabs((double)inside / (64.0 * 64.0) - 1.5066) < 0.05);
    picture_release(&picture);
}

static void the_shortcuts_save_iterations(void **state) {
    struct sw_fractal fractal = {.kind = SW_FRACTAL_MANDELBROT, .iterations = 5000};
    struct sw_fractal_grid grid = {-2, -1.25, 0.025, 0.025, 0, 0, 100, 100, 100};
    struct picture picture;
    picture_init(&picture, &grid);
    struct sw_fractal_output output = picture_output(&picture);
    for (int level = SW_CPU_SCALAR; level <= (int)sw_cpu_level(); level++) {
        sw_fractal_runner run = sw_fractal_runner_for((enum sw_cpu_level)level);
        fractal.is_plain = true;
        uint64_t plain = run(&fractal, &grid, &output);
        fractal.is_plain = false;
        assert_true(run(&fractal, &grid, &output) * 20 < plain);
    }
    picture_release(&picture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_limit_and_shape),
        cmocka_unit_test(many_random_pieces),
        cmocka_unit_test(the_shortcuts_guess_nothing),
        cmocka_unit_test(far_and_odd_points),
        cmocka_unit_test(julia_constants_outside),
        cmocka_unit_test(the_julia_set_of_the_book),
        cmocka_unit_test(known_points),
        cmocka_unit_test(smooth_counts_are_the_formula),
        cmocka_unit_test(no_iterations_and_no_points),
        cmocka_unit_test(tiles_are_parts_of_the_whole),
        cmocka_unit_test(mirrored_rows_have_the_same_counts),
        cmocka_unit_test(the_shortcuts_save_iterations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
