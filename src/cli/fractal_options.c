/* fractal_options.c - The options of `sidewinder fractal`; see fractal_options.h. */
#include "cli/fractal_options.h"

#include <stdio.h>

#include "base/cpu.h"
#include "base/num.h"

#define ROUNDS_DEFAULT 3
#define PAGE_ZOOM_LEAST 0.05
#define PAGE_ZOOM_MOST 1e301
#define PAGE_PLACE_MOST 1000.0

enum option {
    HEAD_PICTURE,
    OUTPUT,
    SIZE,
    KIND,
    JULIA,
    CENTER,
    ZOOM,
    ITERATIONS,
    SUPERSAMPLE,
    HEAD_COLORS,
    PALETTE,
    INSIDE,
    SMOOTH,
    NO_SMOOTH,
    HEAD_WORK,
    WORKERS,
    ENGINE,
    PYTHON,
    EXACT,
    PLAIN,
    HEAD_MEASURE,
    BENCHMARK,
    ROUNDS,
    CHART,
    JSON,
    HEAD_SERVE,
    SERVE,
    LISTEN,
    HEAD_OTHER,
    QUIET,
    HELP,
    OPTION_COUNT
};

const struct sw_option sw_fractal_options[] = {
    [HEAD_PICTURE] = {"Picture", NULL, NULL, 0},
    [OUTPUT] = {"output", "FILE", "the PNG file to write; - is stdout", 'o'},
    [SIZE] = {"size", "WxH", "pixels, up to 65535x65535; 1920x1080 unless said otherwise", 's'},
    [KIND] = {"kind", "NAME", "mandelbrot (the default), julia or burning-ship", 'k'},
    [JULIA] = {"julia", "RE,IM",
               "the constant of the Julia set, -0.8,0.156 unless said otherwise; implies --kind julia", 0},
    [CENTER] = {"center", "RE,IM", "the point in the middle, each with any number of digits", 'c'},
    [ZOOM] = {"zoom", "N", "magnification: the picture is 3 / N high; 1 unless said otherwise, up to about 1e302", 'z'},
    [ITERATIONS] = {"iterations", "N", "most iterations of a point; as many as the picture needs unless said otherwise",
                    'i'},
    [SUPERSAMPLE] = {"supersample", "N", "compute N x N points for each pixel, 1 to 8, and average their colours", 0},
    [HEAD_COLORS] = {"Colours", NULL, NULL, 0},
    [PALETTE] = {"palette", "NAME", "dusk (the default), ember, glacier, moss, orchid, twilight or grey", 'p'},
    [INSIDE] = {"inside", "RRGGBB", "the colour of the set itself; 000000 unless said otherwise", 0},
    [SMOOTH] = {"smooth", NULL, "colours without steps (the default)", 0},
    [NO_SMOOTH] = {"no-smooth", NULL, "one colour for each number of iterations", 0},
    [HEAD_WORK] = {"Work", NULL, NULL, 0},
    [WORKERS] = {"workers", "N",
                 "threads (of a Python engine: processes), one for each CPU unless said otherwise; with --benchmark a "
                 "list, as in 1,2,4,8",
                 'w'},
    [ENGINE] = {"engine", "NAME", "c (the default), python or numpy; with --benchmark a list", 'e'},
    [PYTHON] = {"python", "NAME", "the interpreter of the Python engines; python3 unless said otherwise", 0},
    [EXACT] = {"exact", NULL, "round after every operation, as Python does; a little slower", 0},
    [PLAIN] = {"plain", NULL, "iterate points inside to the end, without shortcuts", 0},
    [HEAD_MEASURE] = {"Measuring", NULL, NULL, 0},
    [BENCHMARK] = {"benchmark", NULL, "measure each number of workers, and print a table instead of a picture", 0},
    [ROUNDS] = {"rounds", "N", "runs of each, of which the fastest counts; 3 unless said otherwise", 0},
    [CHART] = {"chart", "FILE", "also draw the measured speedup: .png or .svg", 0},
    [JSON] = {"json", NULL, "print the statistics to stdout as JSON", 0},
    [HEAD_SERVE] = {"Exploring", NULL, NULL, 0},
    [SERVE] = {"serve", NULL, "serve a page on which to zoom with the mouse", 0},
    [LISTEN] = {"listen", "ADDRESS", "where to serve; 127.0.0.1:8420 unless said otherwise, port 0 takes a free one",
                'l'},
    [HEAD_OTHER] = {"Other", NULL, NULL, 0},
    [QUIET] = {"quiet", NULL, "show no progress and no statistics", 'q'},
    [HELP] = {"help", NULL, "show this", 'h'},
    [OPTION_COUNT] = {NULL, NULL, NULL, 0},
};

static const char *const engine_names[SW_ENGINE_COUNT] = {"c", "python", "numpy"};

const char *sw_fractal_engine_name(enum sw_fractal_engine engine) {
    return engine_names[engine];
}

static enum sw_status number_take(unsigned index, struct sw_str value, uint64_t most, uint32_t *number,
                                  struct sw_error *err) {
    uint64_t taken;
    if (sw_str_to_u64(value, &taken) != SW_OK || taken == 0 || taken > most)
        return sw_fail(err, SW_INVALID, "--%s %.*s: expected a number from 1 to %llu", sw_fractal_options[index].name,
                       SW_STR_ARG(value), (unsigned long long)most);
    *number = (uint32_t)taken;
    return SW_OK;
}

static bool real_parse(struct sw_str text, double *number) {
    return text.len > 0 && sw_num_parse_f64(text.ptr, text.ptr + text.len, number) == text.ptr + text.len &&
           *number >= -1e6 && *number <= 1e6;
}

/* Two numbers with a comma between them. */
static enum sw_status pair_take(unsigned index, struct sw_str value, struct sw_str pair[2], double numbers[2],
                                struct sw_error *err) {
    struct sw_str rest = value;
    struct sw_str re = sw_str_trim(sw_str_cut(&rest, ',')), im = sw_str_trim(rest);
    double taken[2];
    if (!real_parse(re, &taken[0]) || !real_parse(im, &taken[1]))
        return sw_fail(err, SW_INVALID, "--%s %.*s: expected two numbers, RE,IM, as in -0.75,0.1",
                       sw_fractal_options[index].name, SW_STR_ARG(value));
    pair[0] = re;
    pair[1] = im;
    numbers[0] = taken[0];
    numbers[1] = taken[1];
    return SW_OK;
}

static enum sw_status julia_take(struct sw_fractal_request *request, struct sw_str value, struct sw_error *err) {
    struct sw_str pair[2];
    double numbers[2] = {0};
    enum sw_status status = pair_take(JULIA, value, pair, numbers, err);
    if (status)
        return status;
    request->view.kind = SW_FRACTAL_JULIA;
    request->view.julia_re = numbers[0];
    request->view.julia_im = numbers[1];
    return SW_OK;
}

static enum sw_status center_take(struct sw_fractal_request *request, struct sw_str value, struct sw_error *err) {
    struct sw_str pair[2];
    double numbers[2];
    enum sw_status status = pair_take(CENTER, value, pair, numbers, err);
    if (status)
        return status;
    request->view.center_re = pair[0];
    request->view.center_im = pair[1];
    request->view.has_center = true;
    return SW_OK;
}

static enum sw_status size_take(struct sw_fractal_request *request, struct sw_str value, struct sw_error *err) {
    struct sw_str rest = value;
    struct sw_str width = sw_str_cut(&rest, 'x');
    uint64_t w, h;
    if (sw_str_to_u64(width, &w) != SW_OK || sw_str_to_u64(rest, &h) != SW_OK || w == 0 || h == 0 ||
        w > SW_VIEW_SIDE_MAX || h > SW_VIEW_SIDE_MAX)
        return sw_fail(err, SW_INVALID, "--size %.*s: expected WIDTHxHEIGHT in pixels, each from 1 to %u",
                       SW_STR_ARG(value), SW_VIEW_SIDE_MAX);
    request->view.width = (uint32_t)w;
    request->view.height = (uint32_t)h;
    return SW_OK;
}

static enum sw_status kind_take(struct sw_fractal_request *request, struct sw_str value, struct sw_error *err) {
    for (int kind = SW_FRACTAL_MANDELBROT; kind <= SW_FRACTAL_BURNING_SHIP; kind++)
        if (sw_str_eq(value, sw_str_from(sw_fractal_kind_name((enum sw_fractal_kind)kind)))) {
            request->view.kind = (enum sw_fractal_kind)kind;
            return SW_OK;
        }
    return sw_fail(err, SW_INVALID, "--kind %.*s: it is mandelbrot, julia or burning-ship", SW_STR_ARG(value));
}

static enum sw_status zoom_take(struct sw_fractal_request *request, struct sw_str value, struct sw_error *err) {
    double zoom;
    const char *end = sw_num_parse_f64(value.ptr, value.ptr + value.len, &zoom);
    if (end != value.ptr + value.len || !(zoom > 0 && zoom < 1e308))
        return sw_fail(err, SW_INVALID, "--zoom %.*s: expected a magnification such as 1, 250 or 1e50",
                       SW_STR_ARG(value));
    request->view.zoom = zoom;
    return SW_OK;
}

static enum sw_status inside_take(struct sw_fractal_request *request, struct sw_str value, struct sw_error *err) {
    uint32_t color = 0;
    struct sw_str digits = value.len == 7 && value.ptr[0] == '#' ? sw_str_skip(value, 1) : value;
    for (size_t i = 0; i < digits.len && digits.len == 6; i++) {
        char digit = digits.ptr[i];
        if (!((digit >= '0' && digit <= '9') || ((digit | 32) >= 'a' && (digit | 32) <= 'f')))
            digits.len = 0;
        else
            color = color << 4 | (uint32_t)(digit <= '9' ? digit - '0' : (digit | 32) - 'a' + 10);
    }
    if (digits.len != 6)
        return sw_fail(err, SW_INVALID, "--inside %.*s: expected six hexadecimal digits, RRGGBB", SW_STR_ARG(value));
    request->inside = color;
    return SW_OK;
}

static enum sw_status palette_take(struct sw_fractal_request *request, struct sw_str value, struct sw_error *err) {
    request->palette = sw_palette_find(value);
    if (request->palette)
        return SW_OK;
    return sw_fail(err, SW_INVALID, "--palette %.*s: there are dusk, ember, glacier, moss, orchid, twilight and grey",
                   SW_STR_ARG(value));
}

static enum sw_status workers_take(struct sw_fractal_request *request, struct sw_str list, struct sw_error *err) {
    request->worker_count = 0;
    while (list.ptr) {
        struct sw_str item = sw_str_trim(sw_str_cut(&list, ','));
        if (request->worker_count == SW_FRACTAL_COUNTS_MAX)
            return sw_fail(err, SW_INVALID, "--workers: at most %d numbers can be compared", SW_FRACTAL_COUNTS_MAX);
        enum sw_status status =
            number_take(WORKERS, item, SW_FRACTAL_WORKERS_MAX, &request->workers[request->worker_count], err);
        if (status)
            return status;
        request->worker_count++;
    }
    return SW_OK;
}

static enum sw_status engine_take(struct sw_fractal_request *request, struct sw_str list, struct sw_error *err) {
    while (list.ptr) {
        struct sw_str item = sw_str_trim(sw_str_cut(&list, ','));
        unsigned engine = 0, known = 0;
        while (engine < SW_ENGINE_COUNT && !sw_str_eq(item, sw_str_from(engine_names[engine])))
            engine++;
        if (engine == SW_ENGINE_COUNT)
            return sw_fail(err, SW_INVALID, "--engine %.*s: it is c, python or numpy", SW_STR_ARG(item));
        while (known < request->engine_count && request->engines[known] != engine)
            known++;
        if (known == request->engine_count)
            request->engines[request->engine_count++] = (enum sw_fractal_engine)engine;
    }
    return SW_OK;
}

static enum sw_status chart_take(struct sw_fractal_request *request, struct sw_str value, struct sw_error *err) {
    if (!sw_str_ends(value, SW_STR(".png")) && !sw_str_ends(value, SW_STR(".svg")))
        return sw_fail(err, SW_INVALID, "--chart %.*s: its ending must be .png or .svg", SW_STR_ARG(value));
    request->chart = value.ptr;
    return SW_OK;
}

static enum sw_status flag_take(struct sw_fractal_request *request, unsigned index) {
    switch (index) {
    case SMOOTH:
        request->view.is_flat = false;
        return SW_OK;
    case NO_SMOOTH:
        request->view.is_flat = true;
        return SW_OK;
    case EXACT:
        request->view.is_exact = true;
        return SW_OK;
    case PLAIN:
        request->view.is_plain = true;
        return SW_OK;
    case BENCHMARK:
        request->is_benchmark = true;
        return SW_OK;
    case JSON:
        request->is_json = true;
        return SW_OK;
    case SERVE:
        request->is_serving = true;
        return SW_OK;
    case QUIET:
        request->is_quiet = true;
        return SW_OK;
    default:
        request->wants_help = true;
        return SW_OK;
    }
}

static void given_note(struct sw_fractal_request *request, unsigned index) {
    switch (index) {
    case KIND:
    case JULIA:
    case CENTER:
    case ZOOM:
    case ITERATIONS:
    case PALETTE:
        request->has_view = true;
        break;
    case SIZE:
    case SUPERSAMPLE:
    case NO_SMOOTH:
    case EXACT:
    case PLAIN:
        request->picture_only = sw_fractal_options[index].name;
        break;
    default:
        break;
    }
}

/* Values are words of the command line, so each ends with NUL. */
static enum sw_status request_take(void *context, unsigned index, struct sw_str value, struct sw_error *err) {
    struct sw_fractal_request *request = context;
    given_note(request, index);
    switch (index) {
    case OUTPUT:
        request->output = value.ptr;
        return SW_OK;
    case SIZE:
        return size_take(request, value, err);
    case KIND:
        return kind_take(request, value, err);
    case JULIA:
        return julia_take(request, value, err);
    case CENTER:
        return center_take(request, value, err);
    case ZOOM:
        return zoom_take(request, value, err);
    case ITERATIONS:
        return number_take(index, value, SW_VIEW_ITERATIONS_MAX, &request->view.iterations, err);
    case SUPERSAMPLE:
        return number_take(index, value, SW_VIEW_SAMPLES_MAX, &request->view.supersample, err);
    case PALETTE:
        return palette_take(request, value, err);
    case INSIDE:
        return inside_take(request, value, err);
    case WORKERS:
        return workers_take(request, value, err);
    case ENGINE:
        return engine_take(request, value, err);
    case PYTHON:
        request->python = value.ptr;
        return SW_OK;
    case ROUNDS:
        request->has_rounds = true;
        return number_take(index, value, SW_FRACTAL_ROUNDS_MAX, &request->rounds, err);
    case CHART:
        return chart_take(request, value, err);
    case LISTEN:
        request->listen = value.ptr;
        return SW_OK;
    default:
        return flag_take(request, index);
    }
}

static bool has_engine(const struct sw_fractal_request *request, enum sw_fractal_engine engine) {
    for (unsigned i = 0; i < request->engine_count; i++)
        if (request->engines[i] == engine)
            return true;
    return false;
}

/* What only one of the three ways to run (picture, benchmark, page) takes. */
static enum sw_status mode_check(const struct sw_fractal_request *request, struct sw_error *err) {
    if (request->is_serving && request->is_benchmark)
        return sw_fail(err, SW_INVALID, "--serve and --benchmark are two different things: leave one out");
    if (request->is_benchmark && request->output)
        return sw_fail(err, SW_INVALID,
                       "--benchmark writes no picture: leave --output out (--chart draws the speedup)");
    if (request->is_serving && (request->output || request->is_json))
        return sw_fail(err, SW_INVALID, "--serve shows its pictures on a page: leave --%s out",
                       request->output ? "output" : "json");
    if (request->listen && !request->is_serving)
        return sw_fail(err, SW_INVALID, "--listen says where to serve: add --serve");
    if (!request->is_benchmark && (request->chart || request->has_rounds))
        return sw_fail(err, SW_INVALID, "--%s is about measuring: add --benchmark",
                       request->chart ? "chart" : "rounds");
    if (!request->is_benchmark && request->worker_count > 1)
        return sw_fail(err, SW_INVALID, "--workers: several numbers are compared with --benchmark only");
    if (!request->is_benchmark && request->engine_count > 1)
        return sw_fail(err, SW_INVALID, "--engine: several engines are compared with --benchmark only");
    if (!request->is_benchmark && !request->is_serving && !request->output)
        return sw_fail(err, SW_INVALID,
                       "where to? Say -o FILE.png, or --serve for a page to explore, or --benchmark to measure");
    if (request->output && sw_str_eq(sw_str_from(request->output), SW_STR("-")) && request->is_json)
        return sw_fail(err, SW_INVALID, "stdout cannot take both the picture and --json: write the picture to a file");
    return SW_OK;
}

static bool is_page_place(double value) {
    return value >= -PAGE_PLACE_MOST && value <= PAGE_PLACE_MOST;
}

/* What the page cannot show, it would replace by something else. */
static enum sw_status page_check(const struct sw_fractal_request *request, struct sw_error *err) {
    const struct sw_fractal_view *view = &request->view;
    double re = 0, im = 0;
    if (!request->is_serving)
        return SW_OK;
    if (request->picture_only)
        return sw_fail(err, SW_INVALID,
                       "--serve shows a page, which is as large as its window and draws as it is quickest: leave --%s "
                       "out, or write a picture with -o",
                       request->picture_only);
    if (!(view->zoom >= PAGE_ZOOM_LEAST && view->zoom <= PAGE_ZOOM_MOST))
        return sw_fail(err, SW_INVALID, "--zoom %g: the page zooms from %g to %g", view->zoom, PAGE_ZOOM_LEAST,
                       PAGE_ZOOM_MOST);
    (void)sw_num_parse_f64(view->center_re.ptr, view->center_re.ptr + view->center_re.len, &re);
    (void)sw_num_parse_f64(view->center_im.ptr, view->center_im.ptr + view->center_im.len, &im);
    if (!is_page_place(re) || !is_page_place(im) || !is_page_place(view->julia_re) || !is_page_place(view->julia_im))
        return sw_fail(err, SW_INVALID, "--center and --julia: the page takes numbers from %g to %g", -PAGE_PLACE_MOST,
                       PAGE_PLACE_MOST);
    return SW_OK;
}

static unsigned workers_default(int cpus) {
    return cpus < 1 ? 1 : cpus > SW_FRACTAL_WORKERS_MAX ? SW_FRACTAL_WORKERS_MAX : (unsigned)cpus;
}

static enum sw_status engine_check(const struct sw_fractal_request *request, struct sw_error *err) {
    bool has_python = has_engine(request, SW_ENGINE_PYTHON) || has_engine(request, SW_ENGINE_NUMPY);
    if (request->python && !has_python)
        return sw_fail(err, SW_INVALID, "--python is the interpreter of --engine python or numpy: say which");
    if (request->is_serving && has_python)
        return sw_fail(err, SW_INVALID, "--serve is done by the C engine alone: leave --engine out");
    if (has_python && sw_fractal_view_is_deep(&request->view))
        return sw_fail(err, SW_INVALID, "--zoom %g: only the C engine goes deeper than double precision",
                       request->view.zoom);
    return SW_OK;
}

enum sw_status sw_fractal_parse(struct sw_fractal_request *request, char **words, struct sw_error *err) {
    struct sw_option_syntax syntax = {.options = sw_fractal_options};
    *request = (struct sw_fractal_request){
        .view = {.julia_re = -0.8, .julia_im = 0.156, .zoom = 1, .width = 1920, .height = 1080, .supersample = 1},
        .palette = &sw_palette_plans[0],
        .rounds = ROUNDS_DEFAULT,
    };
    enum sw_status status = sw_options_parse(&syntax, words, request_take, request, err);
    if (status || request->wants_help)
        return status;
    if (request->worker_count == 0)
        request->workers[request->worker_count++] = workers_default(sw_cpu_count());
    if (request->engine_count == 0)
        request->engines[request->engine_count++] = SW_ENGINE_C;
    status = mode_check(request, err);
    if (!status)
        status = sw_fractal_view_complete(&request->view, err);
    if (!status)
        status = page_check(request, err);
    return status ? status : engine_check(request, err);
}
