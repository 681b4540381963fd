/* fractal_chart.c - A benchmark as a picture: speedup over workers beside the ideal and Amdahl's law. */
#include <math.h>
#include <stdio.h>

#include "cli/fractal_benchmark.h"
#include "report/canvas.h"

#define WIDTH 1100.0
#define HEIGHT 700.0
#define LEFT 80.0
#define RIGHT 300.0 /* with the legend */
#define TOP 96.0
#define BOTTOM 70.0
#define DASH 9.0
#define CURVE_POINTS 200

enum { INK = 0x1f2933ff, SOFT = 0x616e7cff, GRID = 0xe2e6eaff, PAPER = 0xffffffff, IDEAL = 0x9aa5b1ff };

static const uint32_t colors[SW_BENCH_SERIES_MAX] = {0x2f6f9fff, 0xd9822bff, 0x2f9e6eff, 0xb0457bff};

struct chart {
    struct sw_canvas *canvas;
    const struct sw_benchmark *benchmark;
    double workers, speedup; /* at the right and upper ends */
    double legend_y;
};

static double x_of(const struct chart *chart, double workers) {
    return LEFT + (WIDTH - LEFT - RIGHT) * log2(workers) / log2(chart->workers);
}

static double y_of(const struct chart *chart, double speedup) {
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * log2(fmax(speedup, 0.5) / 0.5) / log2(chart->speedup / 0.5);
}

static void text_draw(const struct chart *chart, struct sw_canvas_text how, const char *text) {
    sw_canvas_text(chart->canvas, &how, sw_str_from(text));
}

static void scale_choose(struct chart *chart) {
    double most = 2, fastest = 2;
    for (unsigned i = 0; i < chart->benchmark->count; i++) {
        const struct sw_bench_series *series = &chart->benchmark->series[i];
        for (unsigned k = 0; k < series->count; k++) {
            most = fmax(most, series->runs[k].workers);
            fastest = fmax(fastest, series->runs[k].speedup);
        }
    }
    chart->workers = most;
    chart->speedup = exp2(ceil(log2(fmax(most, fastest))));
}

static void grid_draw(const struct chart *chart) {
    char text[24];
    double right = WIDTH - RIGHT, bottom = HEIGHT - BOTTOM;
    for (int doublings = -1; ldexp(1, doublings) <= chart->speedup; doublings++) {
        double speedup = ldexp(1, doublings), y = y_of(chart, speedup);
        sw_canvas_fill(chart->canvas, LEFT, y, right - LEFT, 1, GRID);
        snprintf(text, sizeof text, "%gx", speedup);
        text_draw(chart, (struct sw_canvas_text){.x = LEFT - 10, .y = y + 4, .color = SOFT, .align = SW_CANVAS_RIGHT},
                  text);
    }
    const struct sw_bench_series *series = &chart->benchmark->series[0];
    for (unsigned i = 0; i < series->count; i++) {
        double x = x_of(chart, series->runs[i].workers);
        sw_canvas_fill(chart->canvas, x, TOP, 1, bottom - TOP, GRID);
        snprintf(text, sizeof text, "%u", series->runs[i].workers);
        text_draw(chart, (struct sw_canvas_text){.x = x, .y = bottom + 20, .color = SOFT, .align = SW_CANVAS_CENTRE},
                  text);
    }
    text_draw(chart,
              (struct sw_canvas_text){
                  .x = (LEFT + right) / 2, .y = bottom + 46, .size = 14, .color = INK, .align = SW_CANVAS_CENTRE},
              "workers");
}

/* Of Amdahl's law with the serial share; 0 is the ideal. */
static double law_at(double workers, double cpus, double serial) {
    return 1 / (serial + (1 - serial) / fmin(workers, cpus));
}

static void law_draw(const struct chart *chart, double cpus, double serial, uint32_t color) {
    double points[2 * CURVE_POINTS];
    for (size_t i = 0; i < CURVE_POINTS; i++) {
        double workers = exp2(log2(chart->workers) * (double)i / (CURVE_POINTS - 1));
        points[2 * i] = x_of(chart, workers);
        points[2 * i + 1] = y_of(chart, law_at(workers, cpus, serial));
    }
    for (size_t i = 0; i + 1 < CURVE_POINTS; i += 4) /* dashes */
        sw_canvas_polyline(chart->canvas, points + 2 * i, 3, 1.5, color);
}

static void series_draw(const struct chart *chart, const struct sw_bench_series *series, uint32_t color) {
    double points[2 * (SW_FRACTAL_COUNTS_MAX + 1)];
    for (unsigned i = 0; i < series->count; i++) {
        points[2 * i] = x_of(chart, series->runs[i].workers);
        points[2 * i + 1] = y_of(chart, series->runs[i].speedup);
    }
    sw_canvas_polyline(chart->canvas, points, series->count, 2.5, color);
    for (unsigned i = 0; i < series->count; i++)
        sw_canvas_circle(chart->canvas, points[2 * i], points[2 * i + 1], 4.5, color);
}

static void legend_add(struct chart *chart, const char *text, uint32_t color, bool is_dashed) {
    double x = WIDTH - RIGHT + 24, y = chart->legend_y;
    sw_canvas_fill(chart->canvas, x, y - 5, is_dashed ? DASH : 26, 2.5, color);
    if (is_dashed)
        sw_canvas_fill(chart->canvas, x + 26 - DASH, y - 5, DASH, 2.5, color);
    text_draw(chart, (struct sw_canvas_text){.x = x + 36, .y = y, .size = 13, .color = INK}, text);
    chart->legend_y += 24;
}

static void lines_draw(struct chart *chart) {
    const struct sw_benchmark *benchmark = chart->benchmark;
    char text[96];
    law_draw(chart, chart->workers, 0, IDEAL);
    legend_add(chart, "ideal", IDEAL, true);
    if (benchmark->cpus < chart->workers) {
        law_draw(chart, benchmark->cpus, 0, SOFT);
        snprintf(text, sizeof text, "ideal with %u CPU%s", benchmark->cpus, benchmark->cpus == 1 ? "" : "s");
        legend_add(chart, text, SOFT, true);
    }
    for (unsigned i = 0; i < benchmark->count; i++) {
        const struct sw_bench_series *series = &benchmark->series[i];
        law_draw(chart, benchmark->cpus, series->serial, (colors[i] & 0xffffff00) | 0x80);
        series_draw(chart, series, colors[i]);
        legend_add(chart, series->label, colors[i], false);
        snprintf(text, sizeof text, "Amdahl, %.2g %% serial", 100 * series->serial);
        legend_add(chart, text, (colors[i] & 0xffffff00) | 0x80, true);
        if (isnan(series->fitted))
            continue;
        law_draw(chart, benchmark->cpus, series->fitted, (colors[i] & 0xffffff00) | 0x50);
        snprintf(text, sizeof text, "fitted, %.2g %% serial", 100 * series->fitted);
        legend_add(chart, text, (colors[i] & 0xffffff00) | 0x50, true);
    }
}

static void title_draw(const struct chart *chart) {
    const struct sw_fractal_request *request = chart->benchmark->request;
    char text[160];
    text_draw(chart, (struct sw_canvas_text){.x = LEFT, .y = 40, .size = 22, .color = INK, .is_bold = true},
              "What each further worker brings");
    snprintf(text, sizeof text, "%s, %u x %u pixels, at most %u iterations; the fastest of %u round%s",
             sw_fractal_kind_name(request->view.kind), request->view.width, request->view.height,
             request->view.iterations, request->rounds, request->rounds == 1 ? "" : "s");
    text_draw(chart, (struct sw_canvas_text){.x = LEFT, .y = 64, .size = 14, .color = SOFT}, text);
    text_draw(chart, (struct sw_canvas_text){.x = LEFT, .y = TOP - 8, .size = 13, .color = INK}, "speedup");
}

enum sw_status sw_benchmark_chart(const struct sw_benchmark *benchmark, bool is_svg, struct sw_buf *out) {
    struct chart chart = {.benchmark = benchmark, .legend_y = TOP + 20};
    enum sw_status status = sw_canvas_new(&chart.canvas, is_svg ? SW_CANVAS_SVG : SW_CANVAS_PNG, WIDTH, HEIGHT);
    if (status)
        return status;
    scale_choose(&chart);
    sw_canvas_fill(chart.canvas, 0, 0, WIDTH, HEIGHT, PAPER);
    title_draw(&chart);
    grid_draw(&chart);
    lines_draw(&chart);
    status = sw_canvas_finish(chart.canvas, out);
    sw_canvas_free(chart.canvas);
    return status;
}
