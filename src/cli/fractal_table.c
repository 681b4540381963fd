/* fractal_table.c - A benchmark as a table and as JSON; see fractal_benchmark.h. */
#include <math.h>

#include "base/json.h"
#include "cli/fractal_benchmark.h"
#include "cli/fractal_report.h"
#include "cli/fractal_text.h"

static int64_t slowest_ns(const struct sw_benchmark *benchmark) {
    int64_t ns = 0;
    for (unsigned i = 0; i < benchmark->count; i++)
        for (unsigned k = 0; k < benchmark->series[i].count; k++)
            ns = benchmark->series[i].runs[k].total_ns > ns ? benchmark->series[i].runs[k].total_ns : ns;
    return ns;
}

static enum sw_status run_text(const struct sw_benchmark *benchmark, const struct sw_bench_series *series,
                               const struct sw_bench_run *run, struct sw_buf *out) {
    const struct sw_fractal_view *view = &benchmark->request->view;
    char time[24], pixels[24], iterations[24], efficiency[24];
    double seconds = (double)run->total_ns / 1e9;
    enum sw_status status =
        sw_buf_append_format(out, "%-30s %7u %10s %9s %13s %8.2f %11s %8.2f", series->label, run->workers,
                             sw_fractal_time_text((double)run->total_ns, time),
                             sw_fractal_amount_text((double)view->width * view->height / seconds, pixels),
                             sw_fractal_amount_text((double)run->iterations / seconds, iterations), run->speedup,
                             sw_fractal_share_text(run->efficiency, efficiency), run->amdahl);
    if (!status && benchmark->count > 1)
        status = sw_buf_append_format(out, " %8.1fx", (double)slowest_ns(benchmark) / (double)run->total_ns);
    return status ? status : sw_buf_append_byte(out, '\n');
}

static enum sw_status serial_text(const struct sw_benchmark *benchmark, const struct sw_bench_series *series,
                                  struct sw_buf *out) {
    char serial[24], fitted[24], start[24], encode[24];
    const struct sw_bench_run *most = &series->runs[series->count - 1];
    enum sw_status status = sw_buf_append_format(out, "%s: %s of the time with one worker is serial (Amdahl); ",
                                                 series->label, sw_fractal_share_text(series->serial, serial));
    if (!status && !isnan(series->fitted))
        status = sw_buf_append_format(out, "a serial part of %s fits the measured speedups; ",
                                      sw_fractal_share_text(series->fitted, fitted));
    if (!status)
        status = sw_buf_append_format(out, "with %u: starting %s, encoding %s", most->workers,
                                      sw_fractal_time_text((double)most->start_ns, start),
                                      sw_fractal_time_text((double)most->encode_ns, encode));
    if (!status && !isnan(most->balance))
        status = sw_buf_append_format(out, ", load balance %s", sw_fractal_share_text(most->balance, serial));
    return status ? status : sw_buf_append_byte(out, '\n');
}

static enum sw_status notes_text(const struct sw_benchmark *benchmark, struct sw_buf *out) {
    unsigned most = benchmark->series[0].runs[benchmark->series[0].count - 1].workers;
    enum sw_status status = SW_OK;
    if (most > benchmark->cpus)
        status =
            sw_buf_append_format(out,
                                 "Only %u can run at once, as this process has %u CPU%s: more workers cannot speed "
                                 "it up further, and Amdahl's law is taken with %u.\n",
                                 benchmark->cpus, benchmark->cpus, benchmark->cpus == 1 ? "" : "s", benchmark->cpus);
    if (!status && benchmark->count > 1)
        status = sw_buf_append_format(out, "All points' iterations: %s.\n",
                                      sw_benchmark_agrees(benchmark) ? "the same by every engine"
                                                                     : "they DIFFER between the engines");
    return status;
}

enum sw_status sw_benchmark_text(const struct sw_benchmark *benchmark, struct sw_buf *out) {
    const struct sw_fractal_view *view = &benchmark->request->view;
    enum sw_status status =
        sw_buf_append_format(out, "%s, %u x %u pixels, at most %u iterations, the fastest of %u round%s, %u CPU%s\n\n",
                             sw_fractal_kind_name(view->kind), view->width, view->height, view->iterations,
                             benchmark->request->rounds, benchmark->request->rounds == 1 ? "" : "s", benchmark->cpus,
                             benchmark->cpus == 1 ? "" : "s");
    if (!status)
        status = sw_buf_append_format(out, "%-30s %7s %10s %9s %13s %8s %11s %8s%s\n", "engine", "workers", "time",
                                      "pixels/s", "iterations/s", "speedup", "efficiency", "Amdahl",
                                      benchmark->count > 1 ? "    faster" : "");
    for (unsigned i = 0; i < benchmark->count && !status; i++)
        for (unsigned k = 0; k < benchmark->series[i].count && !status; k++)
            status = run_text(benchmark, &benchmark->series[i], &benchmark->series[i].runs[k], out);
    if (!status)
        status = sw_buf_append_byte(out, '\n');
    for (unsigned i = 0; i < benchmark->count && !status; i++)
        status = serial_text(benchmark, &benchmark->series[i], out);
    return status ? status : notes_text(benchmark, out);
}

static void json_number(struct sw_json *json, const char *key, double value) {
    sw_json_key(json, sw_str_from(key));
    sw_json_f64(json, value);
}

static void json_count(struct sw_json *json, const char *key, uint64_t value) {
    sw_json_key(json, sw_str_from(key));
    sw_json_u64(json, value);
}

static void run_json(const struct sw_benchmark *benchmark, const struct sw_bench_run *run, struct sw_json *json) {
    const struct sw_fractal_view *view = &benchmark->request->view;
    double seconds = (double)run->total_ns / 1e9;
    sw_json_object_begin(json);
    json_count(json, "workers", run->workers);
    json_count(json, "rounds", run->rounds);
    json_count(json, "total_ns", (uint64_t)run->total_ns);
    json_count(json, "start_ns", (uint64_t)run->start_ns);
    json_count(json, "orbit_ns", (uint64_t)run->scene_ns);
    json_count(json, "tiles_ns", (uint64_t)run->tiles_ns);
    json_count(json, "encode_ns", (uint64_t)run->encode_ns);
    json_count(json, "iterations", run->iterations);
    json_number(json, "pixels_per_s", (double)view->width * view->height / seconds);
    json_number(json, "iterations_per_s", (double)run->iterations / seconds);
    json_number(json, "load_balance", run->balance);
    json_number(json, "speedup", run->speedup);
    json_number(json, "efficiency", run->efficiency);
    json_number(json, "amdahl_speedup", run->amdahl);
    sw_json_object_end(json);
}

static void series_json(const struct sw_benchmark *benchmark, const struct sw_bench_series *series,
                        struct sw_json *json) {
    sw_json_object_begin(json);
    sw_json_key(json, SW_STR("engine"));
    sw_json_str(json, sw_str_from(sw_fractal_engine_name(series->engine)));
    sw_json_key(json, SW_STR("pool"));
    if (series->pool)
        sw_json_str(json, sw_str_from(series->pool));
    else
        sw_json_null(json);
    json_number(json, "serial_share", series->serial);
    json_number(json, "fitted_serial_share", series->fitted);
    sw_json_key(json, SW_STR("runs"));
    sw_json_array_begin(json);
    for (unsigned i = 0; i < series->count; i++)
        run_json(benchmark, &series->runs[i], json);
    sw_json_array_end(json);
    sw_json_object_end(json);
}

enum sw_status sw_benchmark_json(const struct sw_benchmark *benchmark, struct sw_buf *out) {
    struct sw_json json;
    sw_json_init(&json, out);
    sw_json_object_begin(&json);
    sw_fractal_view_json(&benchmark->request->view, &json);
    json_count(&json, "cpus", benchmark->cpus);
    sw_json_key(&json, SW_STR("counts_agree"));
    sw_json_bool(&json, sw_benchmark_agrees(benchmark));
    sw_json_key(&json, SW_STR("series"));
    sw_json_array_begin(&json);
    for (unsigned i = 0; i < benchmark->count; i++)
        series_json(benchmark, &benchmark->series[i], &json);
    sw_json_array_end(&json);
    sw_json_object_end(&json);
    enum sw_status status = sw_json_status(&json);
    return status ? status : sw_buf_append_byte(out, '\n');
}
