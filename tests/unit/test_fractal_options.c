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
        cmocka_unit_test(refusals_name_the_remedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
