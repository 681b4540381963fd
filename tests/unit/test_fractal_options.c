/* test_fractal_options.c - What `sidewinder fractal` is asked for, and what is refused with which remedy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/fractal_options.c"
#include "cli/fractal_palette.c"
#include "cli/fractal_view.c"
#include "cli/options.c"

enum { WORDS_MAX = 24, WORD_BYTES = 512 };

static char text[WORD_BYTES];
static char *words[WORDS_MAX + 1];

/* Words are separated by single blanks. */
static enum sw_status parse(struct sw_fractal_request *request, const char *line, struct sw_error *err) {
    unsigned count = 0;
    snprintf(text, sizeof text, "%s", line);
    for (char *at = text; at && *at; count++) {
        assert_true(count < WORDS_MAX);
        words[count] = at;
        at = strchr(at, ' ');
        if (at)
            *at++ = '\0';
    }
    words[count] = NULL;
    return sw_fractal_parse(request, words, err);
}

static struct sw_fractal_request taken(const char *line) {
    struct sw_fractal_request request;
    struct sw_error err = {0};
    if (parse(&request, line, &err) != SW_OK)
        fail_msg("%s: %s", line, err.text);
    return request;
}

static void defaults_make_a_picture(void **state) {
    struct sw_fractal_request request = taken("-o x.png");
    assert_int_equal(request.view.kind, SW_FRACTAL_MANDELBROT);
    assert_int_equal(request.view.width, 1920);
    assert_int_equal(request.view.height, 1080);
    assert_int_equal(request.view.iterations, 0);
    assert_int_equal(request.view.supersample, 1);
    assert_true(sw_str_eq(request.view.center_re, SW_STR("-0.7")));
    assert_false(request.view.is_flat);
    assert_int_equal(request.worker_count, 1);
    assert_int_equal(request.workers[0], sw_cpu_count());
    assert_int_equal(request.engine_count, 1);
    assert_int_equal(request.engines[0], SW_ENGINE_C);
    assert_string_equal(request.output, "x.png");
    assert_ptr_equal(request.palette, &sw_palette_plans[0]);
}

static void all_is_taken(void **state) {
    struct sw_fractal_request request =
        taken("-o x.png -s 400x300 --julia=-0.4,0.6 --center 0.25,-1e-3 --zoom 2e3 --iterations 77 --supersample 3 "
              "--palette ember --inside #12aBc0 --no-smooth --workers 7 --exact --plain --quiet");
    assert_int_equal(request.view.kind, SW_FRACTAL_JULIA);
    assert_true(request.view.julia_re == -0.4 && request.view.julia_im == 0.6);
    assert_true(sw_str_eq(request.view.center_im, SW_STR("-1e-3")));
    assert_true(request.view.zoom == 2e3);
    assert_int_equal(request.view.iterations, 77);
    assert_int_equal(request.view.supersample, 3);
    assert_string_equal(request.palette->name, "ember");
    assert_int_equal(request.inside, 0x12abc0);
    assert_true(request.view.is_flat && request.view.is_exact && request.view.is_plain && request.is_quiet);
    assert_int_equal(request.workers[0], 7);
    request = taken("--benchmark --workers 1,2,8 --engine c,numpy --engine c --rounds 5 --chart a.svg --json");
    assert_int_equal(request.worker_count, 3);
    assert_int_equal(request.workers[2], 8);
    assert_int_equal(request.engine_count, 2);
    assert_int_equal(request.engines[1], SW_ENGINE_NUMPY);
    assert_int_equal(request.rounds, 5);
    assert_true(taken("--serve --listen 127.0.0.1:0").is_serving);
    assert_false(taken("--serve --inside 102030 --smooth").has_view);
    assert_true(taken("--serve --palette moss").has_view);
    assert_true(taken("--help").wants_help);
}

static void iterations_grow_with_the_view(void **state) {
    static const struct {
        const char *line;
        uint32_t iterations;
    } rows[] = {
        {"-o x --zoom 0.5", 1000},
        {"-o x --zoom 256", 2000},
        {"-o x --zoom 256 --center -0.7436438870371587,0.1318259042053119", 8000}, /* close to the set */
        {"-o x --zoom 1e20 --size 1280x720 "
         "--center -0.743643887037158704752191506114774,0.131825904205311970493132056385139",
         37200},
        /* All points leave at 99344: with jumps that is little work, though it counts many iterations. */
        {"-o x --zoom 1e150 --size 320x180 --center 0.250000001,0", 253200},
        /* All points leave at 31414, none between 6400 and 25600. */
        {"-o x --zoom 1e13 --size 320x180 --center 0.25000001,0", 102400},
        {"-o x --plain", 1000},
        {"-o x --kind burning-ship", 1000},
        {"-o x --zoom 1e50", 21800},
        {"-o x --zoom 1e300", 125600},
        {"-o x --zoom 1e300 --iterations 500", 500},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_fractal_request request = taken(rows[i].line);
        assert_int_equal(sw_fractal_view_limit(&request.view, NULL, NULL), SW_OK);
        assert_int_equal(request.view.iterations, rows[i].iterations);
    }
}

/* A strip of 6000 x 10 pixels is 600 times as wide as it is high, and so is what is tried of it: three tenths of this
 * one are within the set, but nothing about its middle is. */
static void thin_views_are_tried_whole(void **state) {
    static const char *const lines[] = {"-o x --size 6000x10 --zoom 1000 --center 0.6,0",
                                        "-o x --size 6000x10 --zoom 1000 --center 0.6,0 --supersample 8"};
    for (size_t i = 0; i < 2; i++) {
        struct sw_fractal_request request = taken(lines[i]);
        struct probe *probe = sw_alloc_zero(sizeof *probe);
        assert_non_null(probe);
        probe_shape(probe, &request.view, PROBE_SIDE);
        probe->work = PROBE_WORK;
        assert_int_equal(probe_run(probe, 2000, NULL), SW_OK);
        assert_int_equal(probe->width, 64);
        assert_int_equal(probe->height, 1);
        assert_in_range(probe->inside, 17, 21);
        sw_free(probe);
    }
}

static void choosing_can_be_interrupted(void **state) {
    static const char *const lines[] = {"-o x", "-o x --zoom 1e40"};
    atomic_bool is_cancelled = true;
    for (size_t i = 0; i < 2; i++) {
        struct sw_fractal_request request = taken(lines[i]);
        struct sw_error err = {0};
        assert_int_equal(sw_fractal_view_limit(&request.view, &is_cancelled, &err), SW_INTERRUPTED);
        assert_string_equal(err.text, "interrupted");
        assert_int_equal(request.view.iterations, 0);
    }
}

/* Between two looks whether all is over there are few iterations, or few points. */
static void parts_are_computed_in_pieces(void **state) {
    static const uint32_t limits[] = {1000, 100000, 1000000, 10000000, SW_VIEW_ITERATIONS_MAX};
    static const struct sw_fractal_part parts[] = {{0, 0, 256, 32}, {0, 0, 16, 8}, {0, 0, 3, 500}, {0, 0, 65535, 1}};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
            struct sw_fractal_part piece = piece_of(&parts[k], limits[i]);
            uint64_t points = (uint64_t)piece.width * piece.height;
            assert_true(points * limits[i] <= SW_VIEW_PIECE_WORK || points <= PIECE_POINTS_LEAST);
            assert_in_range(piece.width, 1, parts[k].width);
            assert_in_range(piece.height, 1, parts[k].height);
            assert_true(piece.width == parts[k].width || piece.height == 1);
        }
}

static void pieces_make_the_whole(void **state) {
    enum { WIDTH = 70, HEIGHT = 9 };
    struct sw_fractal_request request = taken("-o x --size 100x100 --iterations 20000000 --center 1,1");
    struct sw_fractal_scene scene;
    static uint32_t whole[WIDTH * HEIGHT], cut[WIDTH * HEIGHT];
    static float smooth[2][WIDTH * HEIGHT];
    atomic_bool is_cancelled = false;
    struct sw_fractal_job job = {.part = {7, 11, WIDTH, HEIGHT},
                                 .output = {cut, smooth[1]},
                                 .is_cancelled = &is_cancelled};
    struct sw_fractal_output output = {whole, smooth[0]};
    assert_int_equal(sw_fractal_scene_open(&scene, &request.view, NULL, NULL), SW_OK);
    assert_in_range(piece_of(&job.part, 20000000).width, 1, WIDTH - 1);
    uint64_t computed = piece_run(&scene, &job.part, &output);
    assert_int_equal(sw_fractal_scene_run(&scene, &job), SW_OK);
    assert_int_equal(job.computed, computed);
    assert_memory_equal(cut, whole, sizeof whole);
    assert_memory_equal(smooth[1], smooth[0], sizeof smooth[0]);
    atomic_store(&is_cancelled, true);
    assert_int_equal(sw_fractal_scene_run(&scene, &job), SW_INTERRUPTED);
    assert_int_equal(job.computed, 0);
    sw_fractal_scene_close(&scene);
}

static void workers_are_as_many_as_a_team_has(void **state) {
    assert_int_equal(workers_default(7), 7);
    assert_int_equal(workers_default(1000), SW_FRACTAL_WORKERS_MAX);
    assert_int_equal(workers_default(0), 1);
}

static void deep_is_where_doubles_end(void **state) {
    struct sw_fractal_request request = taken("-o x --zoom 1e9");
    assert_false(sw_fractal_view_is_deep(&request.view));
    request = taken("-o x --zoom 1e12");
    assert_true(sw_fractal_view_is_deep(&request.view));
    request = taken("-o x --zoom 1e302 --size 10x10");
    assert_true(sw_fractal_view_is_deep(&request.view));
    request = taken("-o x --zoom 1e11 --kind julia");
    assert_false(sw_fractal_view_is_deep(&request.view));
}

static void refusals_name_the_remedy(void **state) {
    static const struct {
        const char *line, *says;
    } rows[] = {
        {"", "where to?"},
        {"-o x --size 10", "--size 10: expected WIDTHxHEIGHT"},
        {"-o x --size 0x10", "each from 1 to 65535"},
        {"-o x --size 65536x1", "each from 1 to 65535"},
        {"-o x --kind mandel", "it is mandelbrot, julia or burning-ship"},
        {"-o x --center 1", "expected two numbers"},
        {"-o x --center 1,2,3", "expected two numbers"},
        {"-o x --center 1,nan", "expected two numbers"},
        {"-o x --center 1e9,0", "expected two numbers"},
        {"-o x --zoom 0", "expected a magnification"},
        {"-o x --zoom -2", "expected a magnification"},
        {"-o x --zoom 1e307", "the deepest zoom is 2.8e+302"},
        {"-o x --zoom 1e-7", "zoom in"},
        {"-o x --zoom 1e20 --kind julia", "the deepest zoom at 1080 rows is 1.4e+12"},
        {"-o x --zoom 1e20 --kind burning-ship", "or draw the Mandelbrot set, which zooms to 1e300"},
        {"-o x --iterations 0", "expected a number from 1"},
        {"-o x --supersample 9", "expected a number from 1 to 8"},
        {"-o x --palette red", "there are dusk, ember"},
        {"-o x --inside 12345", "six hexadecimal digits"},
        {"-o x --inside 12345g", "six hexadecimal digits"},
        {"-o x --workers 0", "expected a number from 1 to 256"},
        {"-o x --workers 257", "expected a number from 1 to 256"},
        {"-o x --workers 1,2", "compared with --benchmark only"},
        {"-o x --engine rust", "it is c, python or numpy"},
        {"-o x --engine c,numpy", "compared with --benchmark only"},
        {"-o x --python python3", "say which"},
        {"-o x --chart a.png", "add --benchmark"},
        {"-o x --rounds 3", "add --benchmark"},
        {"-o x --listen :80", "add --serve"},
        {"-o - --json", "stdout cannot take both"},
        {"-o x --benchmark", "--benchmark writes no picture"},
        {"--benchmark --serve", "leave one out"},
        {"--benchmark --chart a.gif", "its ending must be .png or .svg"},
        {"--serve -o x", "leave --output out"},
        {"--serve --size 10x10", "leave --size out"},
        {"--serve --supersample 2", "leave --supersample out"},
        {"--serve --no-smooth", "leave --no-smooth out"},
        {"--serve --exact", "leave --exact out"},
        {"--serve --plain", "leave --plain out"},
        {"--serve --zoom 0.01", "the page zooms from 0.05 to 1e+301"},
        {"--serve --center 2000,0", "the page takes numbers from -1000 to 1000"},
        {"--serve --julia=0,-2000", "the page takes numbers from -1000 to 1000"},
        {"--serve --engine numpy", "leave --engine out"},
        {"-o x --engine python --zoom 1e20", "only the C engine goes deeper"},
        {"-o x --bogus", "unknown option"},
        {"-o x stray", "stray"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_fractal_request request;
        struct sw_error err = {0};
        assert_int_equal(parse(&request, rows[i].line, &err), SW_INVALID);
        if (!strstr(err.text, rows[i].says))
            fail_msg("'%s': '%s' does not say '%s'", rows[i].line, err.text, rows[i].says);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_make_a_picture),       cmocka_unit_test(all_is_taken),
        cmocka_unit_test(iterations_grow_with_the_view), cmocka_unit_test(deep_is_where_doubles_end),
        cmocka_unit_test(refusals_name_the_remedy),      cmocka_unit_test(thin_views_are_tried_whole),
        cmocka_unit_test(choosing_can_be_interrupted),   cmocka_unit_test(parts_are_computed_in_pieces),
        cmocka_unit_test(pieces_make_the_whole),         cmocka_unit_test(workers_are_as_many_as_a_team_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
