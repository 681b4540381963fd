/* test_zoom.c - Deep zoom: counts against every digit of plain iteration, levels, tiles, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <gmp.h>
#include <math.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/thread.h"
#include "kernels/zoom_impl.h"
#include "zoom_places.h"

enum { POINTS_MOST = 4096 };

struct view {
    const char *name, *re, *im;
    double pixel, step; /* distance of the points looked at */
    uint32_t width, height, iterations;
};

/* --- The oracle: z <- z^2 + c with all digits. --- */

struct oracle {
    mp_bitcnt_t bits;
    mpz_t c_re, c_im, x, y, xx, yy, four;
};

static void oracle_read(mpz_t value, const char *text, mp_bitcnt_t bits) {
    char digits[512];
    size_t count = 0, after = 0;
    bool has_point = false;
    mpz_t power;
    for (const char *at = text; *at; at++) {
        if (*at == '.') {
            has_point = true;
        } else {
            digits[count++] = *at;
            after += has_point;
        }
    }
    digits[count] = '\0';
    mpz_init(power);
    assert_int_equal(mpz_set_str(value, digits, 10), 0);
    mpz_mul_2exp(value, value, bits);
    mpz_ui_pow_ui(power, 10, after);
    mpz_tdiv_q(value, value, power);
    mpz_clear(power);
}

static void oracle_add(mpz_t value, double more, mp_bitcnt_t bits) {
    int exponent;
    double mantissa = frexp(more, &exponent);
    long shift = (long)bits + exponent - 53;
    mpz_t part;
    mpz_init_set_si(part, (long)ldexp(mantissa, 53));
    assert_true(shift >= 0);
    mpz_mul_2exp(part, part, (mp_bitcnt_t)shift);
    mpz_add(value, value, part);
    mpz_clear(part);
}

static void oracle_init(struct oracle *oracle, const struct view *view) {
    int exponent;
    frexp(view->pixel, &exponent);
    oracle->bits = (mp_bitcnt_t)(320 - (exponent < 0 ? exponent : 0));
    mpz_inits(oracle->c_re, oracle->c_im, oracle->x, oracle->y, oracle->xx, oracle->yy, oracle->four, NULL);
    mpz_set_ui(oracle->four, 4);
    mpz_mul_2exp(oracle->four, oracle->four, oracle->bits);
}

static void oracle_release(struct oracle *oracle) {
    mpz_clears(oracle->c_re, oracle->c_im, oracle->x, oracle->y, oracle->xx, oracle->yy, oracle->four, NULL);
}

static uint32_t oracle_count(struct oracle *oracle, const struct view *view, double re, double im) {
    oracle_read(oracle->c_re, view->re, oracle->bits);
    oracle_read(oracle->c_im, view->im, oracle->bits);
    oracle_add(oracle->c_re, re, oracle->bits);
    oracle_add(oracle->c_im, im, oracle->bits);
    mpz_set_ui(oracle->x, 0);
    mpz_set_ui(oracle->y, 0);
    for (uint32_t n = 0; n < view->iterations; n++) {
        mpz_mul(oracle->xx, oracle->x, oracle->x);
        mpz_mul(oracle->yy, oracle->y, oracle->y);
        mpz_fdiv_q_2exp(oracle->xx, oracle->xx, oracle->bits);
        mpz_fdiv_q_2exp(oracle->yy, oracle->yy, oracle->bits);
        mpz_mul(oracle->y, oracle->x, oracle->y);
        mpz_fdiv_q_2exp(oracle->y, oracle->y, oracle->bits - 1);
        mpz_add(oracle->y, oracle->y, oracle->c_im);
        mpz_sub(oracle->x, oracle->xx, oracle->yy);
        mpz_add(oracle->x, oracle->x, oracle->c_re);
        mpz_add(oracle->xx, oracle->xx, oracle->yy);
        if (n > 0 && mpz_cmp(oracle->xx, oracle->four) > 0) {
            return n;
        }
    }
    return view->iterations;
}

/* --- The views. --- */

static const struct view views[] = {
    {"the set", "-0.6", "0.01", 0.01, 0.11, 32, 24, 2000},
    {"dendrite 1e-15", "0", "1", 1e-15, 1.7e-14, 32, 24, 1000},
    {"spiral 1e-15", PLACE_SPIRAL_RE, PLACE_SPIRAL_IM, 1e-15, 1.7e-14, 32, 24, 5000},
    {"dendrite 1e-30", "0", "1", 1e-30, 1.7e-29, 32, 24, 1000},
    {"spiral 1e-30", PLACE_SPIRAL_RE, PLACE_SPIRAL_IM, 1e-30, 1.7e-29, 32, 24, 5000},
    {"copy 1e-30", PLACE_COPY30_RE, PLACE_COPY30_IM, 1e-32, 1.1e-31, 24, 16, 6000},
    {"spiral 1e-50", PLACE_SPIRAL_RE, PLACE_SPIRAL_IM, 1e-50, 1.7e-49, 24, 16, 10000},
    {"copy 1e-50", PLACE_COPY50_RE, PLACE_COPY50_IM, 1e-50, 1.1e-49, 24, 16, 12000},
    {"spiral 1e-100", PLACE_SPIRAL_RE, PLACE_SPIRAL_IM, 1e-100, 1.7e-99, 16, 12, 20000},
    {"copy 1e-96", PLACE_COPY100_RE, PLACE_COPY100_IM, 1e-98, 1.5e-96, 16, 12, 30000},
    {"spiral 1e-200", PLACE_SPIRAL_RE, PLACE_SPIRAL_IM, 1e-200, 1.7e-199, 12, 8, 30000},
    {"copy 1e-198", PLACE_COPY200_RE, PLACE_COPY200_IM, 1e-200, 1e-194, 12, 8, 40000},
    {"dendrite 1e-300", "0", "1", 1e-300, 1.7e-299, 24, 16, 3000},
    {"spiral 1e-300", PLACE_SPIRAL_RE, PLACE_SPIRAL_IM, 1e-300, 1.7e-299, 8, 6, 40000},
    {"copy 1e-298", PLACE_COPY300_RE, PLACE_COPY300_IM, 1e-300, 1e-292, 8, 6, 60000},
    {"tip 1e-30", "-2", "0", 1e-30, 1.7e-29, 32, 24, 500},
    {"tip 1e-300", "-2.0", "-0.0", 1e-300, 1.7e-299, 24, 16, 2000},
};

enum { VIEWS = sizeof(views) / sizeof(views[0]) };

static struct sw_fractal_grid grid_of(const struct view *view) {
    return (struct sw_fractal_grid){
        .re = -view->step * (0.5 * view->width - 0.37),
        .im = view->step * (0.5 * view->height - 0.41),
        .re_step = view->step,
        .im_step = -view->step,
        .width = view->width,
        .height = view->height,
        .row_stride = view->width,
    };
}

static struct sw_zoom_options options_of(const struct view *view) {
    return (struct sw_zoom_options){
        .center_re = sw_str_from(view->re),
        .center_im = sw_str_from(view->im),
        .pixel = view->pixel,
        .radius = view->step * hypot(view->width, view->height),
        .iterations = view->iterations,
    };
}

static struct sw_zoom *open_view(const struct view *view, bool is_plain) {
    struct sw_zoom_options options = options_of(view);
    struct sw_zoom *zoom = NULL;
    struct sw_error err = {0};
    options.is_plain = is_plain;
    if (sw_zoom_open(&options, &zoom, &err)) {
        fail_msg("%s: %s", view->name, err.text);
    }
    return zoom;
}

static uint32_t counts[3][POINTS_MOST];

static uint64_t run_view(const struct sw_zoom *zoom, const struct view *view, uint32_t *to) {
    struct sw_fractal_grid grid = grid_of(view);
    struct sw_fractal_output output = {.counts = to};
    assert_true((size_t)view->width * view->height <= POINTS_MOST);
    return sw_zoom_run(zoom, &grid, &output);
}

/* Of `points` counts those that differ; one apart is rounding, more is an error. */
static size_t differences(const struct view *view, const uint32_t *one, const uint32_t *other) {
    size_t points = (size_t)view->width * view->height, different = 0;
    for (size_t i = 0; i < points; i++) {
        uint32_t apart = one[i] > other[i] ? one[i] - other[i] : other[i] - one[i];
        if (apart > 1) {
            fail_msg("%s: point %zu has count %u, not %u", view->name, i, one[i], other[i]);
        }
        different += apart;
    }
    return different;
}

static void counts_are_those_of_all_digits(void **state) {
    for (int i = 0; i < VIEWS; i++) {
        const struct view *view = &views[i];
        struct sw_fractal_grid grid = grid_of(view);
        struct oracle oracle;
        oracle_init(&oracle, view);
        size_t points = (size_t)view->width * view->height;
        uint32_t least = UINT32_MAX, most = 0;
        for (size_t p = 0; p < points; p++) {
            double re = grid.re + (double)(p % view->width) * grid.re_step;
            double im = grid.im + (double)(p / view->width) * grid.im_step;
            counts[0][p] = oracle_count(&oracle, view, re, im);
            least = counts[0][p] < least ? counts[0][p] : least;
            most = counts[0][p] > most ? counts[0][p] : most;
        }
        oracle_release(&oracle);
        assert_true(least < most); /* there is something to be seen */
        for (int is_plain = 0; is_plain <= 1; is_plain++) {
            struct sw_zoom *zoom = open_view(view, is_plain);
            run_view(zoom, view, counts[1]);
            sw_zoom_close(zoom);
            size_t different = differences(view, counts[1], counts[0]);
            if (different > 0) {
                print_message("%s%s: %zu of %zu counts differ by 1\n", view->name, is_plain ? ", plain" : "", different,
                              points);
            }
            assert_true(different * 100 <= points);
        }
    }
}

static void levels_and_tiles_agree(void **state) {
    for (int i = 0; i < VIEWS; i++) {
        const struct view *view = &views[i];
        struct sw_zoom *zoom = open_view(view, false);
        uint64_t done = run_view(zoom, view, counts[0]);
        for (int level = SW_CPU_SCALAR; level <= (int)sw_cpu_level(); level++) {
            zoom->runner = sw_zoom_runner_for((enum sw_cpu_level)level);
            memset(counts[1], 0xff, sizeof(counts[1]));
            assert_int_equal(run_view(zoom, view, counts[1]), done);
            assert_memory_equal(counts[1], counts[0], (size_t)view->width * view->height * sizeof(uint32_t));
            /* Tiles of 5 x 3. */
            memset(counts[2], 0xff, sizeof(counts[2]));
            uint64_t tiles_done = 0;
            for (uint32_t y = 0; y < view->height; y += 3) {
                for (uint32_t x = 0; x < view->width; x += 5) {
                    struct sw_fractal_grid grid = grid_of(view);
                    struct sw_fractal_output output = {.counts = counts[2] + y * view->width + x};
                    grid.first_column = x;
                    grid.first_row = y;
                    grid.width = view->width - x < 5 ? view->width - x : 5;
                    grid.height = view->height - y < 3 ? view->height - y : 3;
                    tiles_done += sw_zoom_run(zoom, &grid, &output);
                }
            }
            assert_int_equal(tiles_done, done);
            assert_memory_equal(counts[2], counts[0], (size_t)view->width * view->height * sizeof(uint32_t));
        }
        sw_zoom_close(zoom);
    }
}

static void shallow_views_are_those_of_fractal(void **state) {
    static const struct view shallow[] = {
        {"all", "-0.5", "0", 0.05, 0.05, 64, 48, 500},
        {"centre of a disc", "-1", "0", 0.02, 0.02, 64, 48, 500},
        {"centre that leaves at once", "1.5", "1.5", 0.05, 0.05, 64, 48, 500},
        {"seahorses", "-0.745", "0.11", 1e-4, 1e-4, 64, 48, 400},
        {"needle", "-1.76", "0", 1e-5, 1e-5, 64, 48, 2000},
    };
    static float smooth[2][POINTS_MOST];
    for (size_t i = 0; i < sizeof(shallow) / sizeof(shallow[0]); i++) {
        const struct view *view = &shallow[i];
        size_t points = (size_t)view->width * view->height, different = 0;
        struct sw_zoom *zoom = open_view(view, false);
        struct sw_fractal_grid grid = grid_of(view);
        struct sw_fractal fractal = {.kind = SW_FRACTAL_MANDELBROT, .iterations = view->iterations};
        struct sw_fractal_output zoomed = {counts[0], smooth[0]}, plain = {counts[1], smooth[1]};
        sw_zoom_run(zoom, &grid, &zoomed);
        grid.re += zoom->centre.re;
        grid.im += zoom->centre.im;
        sw_fractal_run(&fractal, &grid, &plain);
        sw_zoom_close(zoom);
        for (size_t p = 0; p < points; p++) {
            /* Rounding decides what the last iterations of a point near the border are. */
            bool is_same = counts[0][p] == counts[1][p] && fabsf(smooth[0][p] - smooth[1][p]) < 0.01f;
            different += !is_same;
            assert_true(counts[0][p] == view->iterations ? smooth[0][p] < 0 : smooth[0][p] >= 0);
        }
        if (different * 200 > points) {
            fail_msg("%s: %zu of %zu points differ", view->name, different, points);
        }
    }
}

static void fractions_fill_the_steps(void **state) {
    static const struct view view = {"spiral", PLACE_SPIRAL_RE, PLACE_SPIRAL_IM, 1e-50, 1.7e-49, 32, 24, 10000};
    static float smooth[POINTS_MOST];
    struct sw_zoom *zoom = open_view(&view, false);
    struct sw_fractal_grid grid = grid_of(&view);
    struct sw_fractal_output output = {counts[0], smooth};
    sw_zoom_run(zoom, &grid, &output);
    sw_zoom_close(zoom);
    for (size_t p = 0; p < (size_t)view.width * view.height; p++) {
        assert_true(counts[0][p] < view.iterations);
        /* |z| is 2 to 5 at the count, so log2(log2 |z|) is 0 to 1.3; told from a later one, so not to the digit. */
        assert_true(smooth[p] > (float)counts[0][p] - 1 && smooth[p] < (float)counts[0][p] + 2);
    }
}

static void points_beyond_the_radius_are_right(void **state) {
    const struct view *view = &views[4];
    struct sw_zoom_options options = options_of(view);
    struct sw_zoom *near = NULL, *far = open_view(view, false);
    options.radius = view->step;
    assert_int_equal(sw_zoom_open(&options, &near, NULL), SW_OK);
    run_view(far, view, counts[0]);
    run_view(near, view, counts[1]);
    assert_true(differences(view, counts[1], counts[0]) * 100 <= (size_t)view->width * view->height);
    sw_zoom_close(near);
    sw_zoom_close(far);
}

/* Without a test for cycles this would take months. */
static void points_inside_end(void **state) {
    static const char *centres[] = {"0", "-1"};
    for (int i = 0; i < 2; i++) {
        struct view view = {"inside", centres[i], "0", 1e-5, 0.01, 16, 16, 4000000000u};
        struct sw_zoom *zoom = open_view(&view, false);
        assert_int_equal(run_view(zoom, &view, counts[0]), UINT64_C(4000000000) * 256);
        for (int p = 0; p < 256; p++) {
            assert_int_equal(counts[0][p], 4000000000u);
        }
        sw_zoom_close(zoom);
    }
}

static void few_iterations(void **state) {
    for (uint32_t iterations = 0; iterations < 40; iterations++) {
        struct view view = {"few", "-0.6", "0.3", 0.1, 0.1, 48, 32, iterations};
        struct sw_zoom *zoom = open_view(&view, false);
        struct sw_fractal fractal = {.kind = SW_FRACTAL_MANDELBROT, .iterations = iterations};
        struct sw_fractal_grid grid = grid_of(&view);
        struct sw_fractal_output output = {.counts = counts[1]};
        run_view(zoom, &view, counts[0]);
        grid.re += zoom->centre.re;
        grid.im += zoom->centre.im;
        sw_fractal_run(&fractal, &grid, &output);
        assert_true(differences(&view, counts[0], counts[1]) <= 2);
        sw_zoom_close(zoom);
    }
}

static void facts_tell_of_jumps(void **state) {
    const struct view *view = &views[6];
    struct sw_zoom_facts facts;
    struct sw_zoom *zoom = open_view(view, false), *plain = open_view(view, true);
    sw_zoom_get_facts(zoom, &facts);
    assert_true(facts.jumps == 0 && facts.jumped == 0 && facts.orbit_seconds > 0);
    assert_true(facts.precision_bits >= 167 + 64 && facts.orbit_length > 1000);
    uint64_t done = run_view(zoom, view, counts[0]);
    sw_zoom_get_facts(zoom, &facts);
    assert_true(facts.jumps > 0 && facts.jumped > done / 2 && facts.jumped < done);
    run_view(plain, view, counts[1]);
    sw_zoom_get_facts(plain, &facts);
    assert_true(facts.jumps == 0 && facts.jumped == 0);
    sw_zoom_close(zoom);
    sw_zoom_close(plain);
}

struct worker {
    const struct sw_zoom *zoom;
    uint32_t *counts;
};

static void worker_main(void *context) {
    struct worker *worker = context;
    run_view(worker->zoom, &views[6], worker->counts);
}

static void threads_share_a_zoom(void **state) {
    struct sw_zoom *zoom = open_view(&views[6], false);
    struct worker workers[2] = {{zoom, counts[0]}, {zoom, counts[1]}};
    struct sw_thread threads[2] = {{0}};
    struct sw_zoom_facts once, facts;
    run_view(zoom, &views[6], counts[2]);
    sw_zoom_get_facts(zoom, &once);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sw_thread_start(&threads[i], "zoom", -1, worker_main, &workers[i], NULL), SW_OK);
    }
    for (int i = 0; i < 2; i++) {
        sw_thread_join(&threads[i]);
        assert_memory_equal(counts[i], counts[2], (size_t)views[6].width * views[6].height * sizeof(uint32_t));
    }
    sw_zoom_get_facts(zoom, &facts);
    assert_int_equal(facts.jumps, 3 * once.jumps);
    assert_int_equal(facts.jumped, 3 * once.jumped);
    sw_zoom_close(zoom);
}

static void numbers_are_read(void **state) {
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"0.5", 0.5},      {"+0.25", 0.25}, {".5", 0.5},   {"-2.", -2},       {"25e-2", 0.25},
        {"-1.5E+0", -1.5}, {"1e-400", 0},   {"0.0000", 0}, {"00012.5", 12.5}, {"-0.015625e2", -1.5625},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct view view = {"number", cases[i].text, "0", 0.01, 0.01, 1, 1, 10};
        struct sw_zoom *zoom = open_view(&view, false);
        assert_true(zoom->centre.re == cases[i].value);
        sw_zoom_close(zoom);
    }
}

static void errors_name_the_option(void **state) {
    static const struct {
        const char *re, *im;
        double pixel, radius;
        const char *text;
    } cases[] = {
        {"abc", "0", 0.1, 1, "center_re is not a number: \"abc\""},
        {"", "0", 0.1, 1, "center_re is not a number: \"\""},
        {"0", "1.2.3", 0.1, 1, "center_im is not a number: \"1.2.3\""},
        {"0", "1e", 0.1, 1, "center_im is not a number"},
        {"0", "1e+-3", 0.1, 1, "center_im is not a number"},
        {"0", "1e99999999999", 0.1, 1, "center_im is not a number"},
        {"--1", "0", 0.1, 1, "center_re is not a number"},
        {"-", "0", 0.1, 1, "center_re is not a number"},
        {".", "0", 0.1, 1, "center_re is not a number"},
        {"0x10", "0", 0.1, 1, "center_re is not a number"},
        {"nan", "0", 0.1, 1, "center_re is not a number"},
        {"1 ", "0", 0.1, 1, "center_re is not a number"},
        {"7000", "0", 0.1, 1, "center_re is 7000, not within -1000 ... 1000"},
        {"0", "-1e99999", 0.1, 1, "center_im is -1e99999, not within"},
        {"0", "0", 1e-306, 1, "pixel is 1e-306, not within 1e-305 ... 1"},
        {"0", "0", 2, 1, "pixel is 2, not within 1e-305 ... 1"},
        {"0", "0", NAN, 1, "pixel is nan, not within"},
        {"0", "0", 0.1, -1, "radius is -1, not within"},
        {"0", "0", 0.1, INFINITY, "radius is inf, not within"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sw_zoom_options options = {
            .center_re = sw_str_from(cases[i].re),
            .center_im = sw_str_from(cases[i].im),
            .pixel = cases[i].pixel,
            .radius = cases[i].radius,
            .iterations = 100,
        };
        struct sw_zoom *zoom = NULL;
        struct sw_error err = {0};
        assert_int_equal(sw_zoom_open(&options, &zoom, &err), SW_INVALID);
        assert_null(zoom);
        if (strstr(err.text, cases[i].text) != err.text) {
            fail_msg("\"%s\" is not \"%s\"", err.text, cases[i].text);
        }
    }
}

struct patience {
    int asked, least;
};

static bool is_enough(void *context) {
    struct patience *patience = context;
    return ++patience->asked == patience->least;
}

static void opening_can_be_cancelled(void **state) {
    struct patience patience = {.least = 3};
    struct sw_zoom_options options = {
        .center_re = SW_STR("0.25"), /* the orbit creeps to 0.5 for ever */
        .center_im = SW_STR("0"),
        .pixel = 1e-20,
        .radius = 1e-18,
        .iterations = 100000000,
        .is_cancelled = is_enough,
        .context = &patience,
    };
    struct sw_zoom *zoom = NULL;
    struct sw_error err = {0};
    assert_int_equal(sw_zoom_open(&options, &zoom, &err), SW_INTERRUPTED);
    assert_int_equal(patience.asked, 3);
    assert_non_null(strstr(err.text, "orbit of the centre was cancelled"));
    assert_null(zoom);

    options.iterations = 50000;
    patience = (struct patience){.least = 0};
    assert_int_equal(sw_zoom_open(&options, &zoom, &err), SW_OK);
    sw_zoom_close(zoom);
    zoom = NULL;
    patience = (struct patience){.least = patience.asked}; /* the last time is in the table */
    assert_int_equal(sw_zoom_open(&options, &zoom, &err), SW_INTERRUPTED);
    assert_non_null(strstr(err.text, "table of jumps was cancelled"));
    assert_null(zoom);
}

static void memory_runs_out(void **state) {
    struct sw_zoom_options options = options_of(&views[5]);
    struct sw_zoom *zoom = NULL;
    int failures = 0;
    for (size_t nth = 1; !zoom; nth++) {
        struct sw_error err = {0};
        sw_mem_fail_at(nth);
        enum sw_status status = sw_zoom_open(&options, &zoom, &err);
        sw_mem_fail_at(0);
        failures += status == SW_NOMEM;
        assert_true(status == (zoom ? SW_OK : SW_NOMEM));
    }
    assert_true(failures >= 8);
    sw_zoom_close(zoom);
    sw_zoom_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_those_of_all_digits),
        cmocka_unit_test(levels_and_tiles_agree),
        cmocka_unit_test(shallow_views_are_those_of_fractal),
        cmocka_unit_test(fractions_fill_the_steps),
        cmocka_unit_test(points_beyond_the_radius_are_right),
        cmocka_unit_test(points_inside_end),
        cmocka_unit_test(few_iterations),
        cmocka_unit_test(facts_tell_of_jumps),
        cmocka_unit_test(threads_share_a_zoom),
        cmocka_unit_test(numbers_are_read),
        cmocka_unit_test(errors_name_the_option),
        cmocka_unit_test(opening_can_be_cancelled),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
