/* fractal_benchmark.c - Measures each number of workers in turn; see fractal_benchmark.h. */
#include "cli/fractal_benchmark.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "cli/fractal_draw.h"
#include "cli/fractal_engine.h"

static enum sw_status nowhere_write(void *context, struct sw_str bytes, struct sw_error *err) {
    (void)context;
    (void)bytes;
    (void)err;
    return SW_OK;
}

static void progress_tell(const struct sw_benchmark *benchmark, const struct sw_bench_series *series, unsigned round,
                          unsigned workers) {
    if (!benchmark->request->is_quiet && isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s: round %u of %u, %u worker%s", series->label, round + 1, benchmark->request->rounds,
                workers, workers == 1 ? "" : "s");
}

static void progress_clear(const struct sw_benchmark *benchmark) {
    if (!benchmark->request->is_quiet && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static void run_take(struct sw_bench_run *run, const struct sw_draw_facts *facts) {
    run->rounds += facts->rounds;
    if (run->total_ns > 0 && run->total_ns <= facts->total_ns)
        return;
    run->total_ns = facts->total_ns;
    run->start_ns = facts->start_ns;
    run->scene_ns = facts->is_deep ? facts->scene_ns : 0;
    run->tiles_ns = facts->render_ns;
    run->encode_ns = facts->encode_ns;
    run->iterations = facts->iterations;
    run->balance = facts->busiest_ns > 0 ? (double)facts->busy_ns / facts->workers / (double)facts->busiest_ns : NAN;
}

/* One round by C, all rounds by a Python engine, which then says which was fastest. */
static enum sw_status run_measure(struct sw_benchmark *benchmark, const struct sw_bench_series *series,
                                  struct sw_bench_run *run, struct sw_error *err) {
    struct sw_fractal_view view = benchmark->request->view;
    struct sw_draw_facts facts;
    view.is_exact |= benchmark->is_exact;
    struct sw_draw draw = {.view = &view,
                           .palette = benchmark->palette,
                           .worker_count = run->workers,
                           .write = nowhere_write,
                           .is_cancelled = benchmark->is_cancelled};
    struct sw_engine_task task = {.request = benchmark->request,
                                  .engine = series->engine,
                                  .pool = series->pool,
                                  .rounds = benchmark->request->rounds};
    enum sw_status status = sw_draw_begin(&draw, err);
    if (!status) {
        status =
            series->engine == SW_ENGINE_C ? sw_draw_run(&draw, &facts, err) : sw_engine_draw(&task, &draw, &facts, err);
        sw_draw_end(&draw);
    }
    if (!status)
        run_take(run, &facts);
    return status;
}

/* The numbers of workers take turns, so that a slow moment of the machine does not fall on one of them. */
static enum sw_status series_measure(struct sw_benchmark *benchmark, struct sw_bench_series *series,
                                     struct sw_error *err) {
    enum sw_status status = SW_OK;
    unsigned rounds = series->engine == SW_ENGINE_C ? benchmark->request->rounds : 1;
    for (unsigned round = 0; round < rounds && !status; round++)
        for (unsigned i = 0; i < series->count && !status; i++) {
            progress_tell(benchmark, series, round, series->runs[i].workers);
            status = run_measure(benchmark, series, &series->runs[i], err);
        }
    return status;
}

static int workers_compare(const void *a, const void *b) {
    const struct sw_bench_run *first = a, *second = b;
    return (first->workers > second->workers) - (first->workers < second->workers);
}

/* One worker first, as all else is compared with it; then the others, each once, in order. */
static void series_add(struct sw_benchmark *benchmark, enum sw_fractal_engine engine, const char *pool) {
    const struct sw_fractal_request *request = benchmark->request;
    struct sw_bench_series *series = &benchmark->series[benchmark->count++];
    *series = (struct sw_bench_series){.engine = engine, .pool = pool, .serial = NAN, .fitted = NAN};
    snprintf(series->label, sizeof series->label, "%s%s%s%s", sw_fractal_engine_name(engine), pool ? ", " : "",
             pool ? pool : "", pool ? ".Pool" : "");
    series->runs[series->count++].workers = 1;
    for (unsigned i = 0; i < request->worker_count; i++) {
        bool is_known = false;
        for (unsigned k = 0; k < series->count; k++)
            is_known |= series->runs[k].workers == request->workers[i];
        if (!is_known)
            series->runs[series->count++].workers = request->workers[i];
    }
    qsort(series->runs, series->count, sizeof series->runs[0], workers_compare);
}

static void series_plan(struct sw_benchmark *benchmark) {
    const struct sw_fractal_request *request = benchmark->request;
    for (unsigned i = 0; i < request->engine_count; i++) {
        benchmark->is_exact |= request->engines[i] != SW_ENGINE_C;
        if (request->engines[i] == SW_ENGINE_C)
            series_add(benchmark, SW_ENGINE_C, NULL);
        else
            series_add(benchmark, request->engines[i], "sidewinder");
        if (request->engines[i] == SW_ENGINE_PYTHON)
            series_add(benchmark, SW_ENGINE_PYTHON, "multiprocessing");
    }
}

bool sw_benchmark_agrees(const struct sw_benchmark *benchmark) {
    for (unsigned i = 0; i < benchmark->count; i++)
        for (unsigned k = 0; k < benchmark->series[i].count; k++)
            if (benchmark->series[i].runs[k].iterations != benchmark->series[0].runs[0].iterations)
                return false;
    return true;
}

enum sw_status sw_benchmark_run(struct sw_benchmark *benchmark, struct sw_error *err) {
    struct sw_palette *palette = sw_alloc(sizeof *palette);
    enum sw_status status = SW_OK;
    if (!palette)
        return sw_fail(err, SW_NOMEM, "cannot measure: out of memory");
    sw_palette_build(palette, benchmark->request->palette, benchmark->request->inside);
    benchmark->palette = palette;
    benchmark->cpus = (unsigned)sw_cpu_count();
    series_plan(benchmark);
    for (unsigned i = 0; i < benchmark->count && !status; i++) {
        status = series_measure(benchmark, &benchmark->series[i], err);
        if (!status)
            sw_bench_series_judge(&benchmark->series[i], benchmark->cpus);
    }
    progress_clear(benchmark);
    benchmark->palette = NULL;
    sw_free(palette);
    return status;
}
