/* fractal_benchmark.h - The same picture by each engine with each number of workers: speedup, efficiency, Amdahl's law. */
#ifndef SW_CLI_FRACTAL_BENCHMARK_H
#define SW_CLI_FRACTAL_BENCHMARK_H

#include <stdatomic.h>

#include "base/buf.h"
#include "cli/fractal_options.h"

#define SW_BENCH_SERIES_MAX 4 /* C, numpy, and Python in two pools */

/* The fastest of its rounds. Times follow one after the other. */
struct sw_bench_run {
    unsigned workers, rounds;
    int64_t total_ns, start_ns, scene_ns, tiles_ns, encode_ns; /* scene: a deep zoom's orbit */
    uint64_t iterations;                                       /* of all points, as a plain loop does them */
    double balance;                                            /* mean over largest busy time; NAN: not known */
    double speedup, efficiency, amdahl; /* against one worker; amdahl: foretold from the serial part of that run */
};

struct sw_bench_series {
    enum sw_fractal_engine engine;
    const char *pool; /* of a Python engine, as its --pool; NULL: threads */
    char label[48];
    struct sw_bench_run runs[SW_FRACTAL_COUNTS_MAX + 1]; /* the first has one worker */
    unsigned count;
    double serial; /* share of the one-worker run that only one thread works on */
    double fitted; /* the serial share that fits the measured speedups best; NAN: nothing to fit */
};

struct sw_benchmark {
    const struct sw_fractal_request *request;
    const atomic_bool *is_cancelled;
    const struct sw_palette *palette; /* while it runs */
    unsigned cpus;
    bool is_exact; /* rounded as Python does, so that the engines' counts can be compared */
    struct sw_bench_series series[SW_BENCH_SERIES_MAX];
    unsigned count;
};

/* Fills `benchmark` but for request and is_cancelled, which are set. A Python engine that cannot run is a failure. */
SW_MUST_USE enum sw_status sw_benchmark_run(struct sw_benchmark *benchmark, struct sw_error *err);
/* Speedup, efficiency, Amdahl and fit from the times of `series`. */
void sw_bench_series_judge(struct sw_bench_series *series, unsigned cpus);
/* Whether all engines counted the same iterations; true with one engine. */
bool sw_benchmark_agrees(const struct sw_benchmark *benchmark);

SW_MUST_USE enum sw_status sw_benchmark_text(const struct sw_benchmark *benchmark, struct sw_buf *out);
SW_MUST_USE enum sw_status sw_benchmark_json(const struct sw_benchmark *benchmark, struct sw_buf *out);
/* The speedups as a picture, PNG or SVG. */
SW_MUST_USE enum sw_status sw_benchmark_chart(const struct sw_benchmark *benchmark, bool is_svg, struct sw_buf *out);

#endif
