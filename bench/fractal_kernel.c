/* fractal_kernel.c - Escape-time kernels beside the processor's own limit, at every level, on one thread.
 *
 *     bench_fractal_kernel [ROUNDS]
 *
 * Measured are the raw rate inside the set, whole frames, the shape of the Benchmarks Game and the exact Julia set.
 * The limit is the same iteration with everything in registers and nothing tested, in the forms an iteration can take:
 * A is three fused operations and an addition, B two and three, BAB takes turns. All are run in turn in every round.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "kernels/fractal_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define BAR_INTERIOR 0.80
enum { ROUNDS = 7, LIMIT_ITERATIONS = 2000000 };

static volatile double sink;

#if defined(__x86_64__)
#define LIMIT_VECTORS 6
#define LIMIT(name, features, vector, width, fma, fnma, set, forms_of) \
    __attribute__((target(features))) static void name(void) { \
        vector x[LIMIT_VECTORS], y[LIMIT_VECTORS], re[LIMIT_VECTORS], im[LIMIT_VECTORS]; \
        for (int v = 0; v < LIMIT_VECTORS; v++) { \
            re[v] = set(-0.11 + 0.01 * v); \
            im[v] = set(0.02 * v); \
            x[v] = re[v]; \
            y[v] = im[v]; \
        } \
        for (int i = 0; i < LIMIT_ITERATIONS; i++) { \
            _Pragma("GCC unroll 6") for (int v = 0; v < LIMIT_VECTORS; v++) { \
                vector twice = x[v] + x[v]; \
                if ((forms_of)[v] == 'A') { \
                    x[v] = fnma(y[v], y[v], fma(x[v], x[v], re[v])); \
                } else { \
                    x[v] = fma(x[v] + y[v], x[v] - y[v], re[v]); \
                } \
                y[v] = fma(twice, y[v], im[v]); \
            } \
        } \
        double sum = 0; \
        for (int v = 0; v < LIMIT_VECTORS; v++) { \
            for (int l = 0; l < (width); l++) { \
                sum += x[v][l] + y[v][l]; \
            } \
        } \
        sink = sum; \
    }

#define AVX512 "avx512f,avx512dq,fma"
#define AVX2 "avx2,fma"
LIMIT(limit_a_avx512, AVX512, __m512d, 8, _mm512_fmadd_pd, _mm512_fnmadd_pd, _mm512_set1_pd, "AAAAAA")
LIMIT(limit_b_avx512, AVX512, __m512d, 8, _mm512_fmadd_pd, _mm512_fnmadd_pd, _mm512_set1_pd, "BBBBBB")
LIMIT(limit_bab_avx512, AVX512, __m512d, 8, _mm512_fmadd_pd, _mm512_fnmadd_pd, _mm512_set1_pd, "BABBAB")
LIMIT(limit_a_avx2, AVX2, __m256d, 4, _mm256_fmadd_pd, _mm256_fnmadd_pd, _mm256_set1_pd, "AAAAAA")
LIMIT(limit_b_avx2, AVX2, __m256d, 4, _mm256_fmadd_pd, _mm256_fnmadd_pd, _mm256_set1_pd, "BBBBBB")
LIMIT(limit_bab_avx2, AVX2, __m256d, 4, _mm256_fmadd_pd, _mm256_fnmadd_pd, _mm256_set1_pd, "BABBAB")

static const struct limit {
    enum sw_cpu_level level;
    const char *form;
    void (*run)(void);
    int points;
} limits[] = {
    {SW_CPU_AVX512, "A", limit_a_avx512, 8 * LIMIT_VECTORS},
    {SW_CPU_AVX512, "B", limit_b_avx512, 8 * LIMIT_VECTORS},
    {SW_CPU_AVX512, "BAB", limit_bab_avx512, 8 * LIMIT_VECTORS},
    {SW_CPU_AVX2, "A", limit_a_avx2, 4 * LIMIT_VECTORS},
    {SW_CPU_AVX2, "B", limit_b_avx2, 4 * LIMIT_VECTORS},
    {SW_CPU_AVX2, "BAB", limit_bab_avx2, 4 * LIMIT_VECTORS},
};
#else
static const struct limit {
    enum sw_cpu_level level;
    const char *form;
    void (*run)(void);
    int points;
} limits[] = {{SW_CPU_SCALAR, NULL, NULL, 0}};
#endif

struct job {
    const char *name;
    struct sw_fractal fractal;
    struct sw_fractal_grid grid;
    bool has_scalar; /* short enough for the scalar level */
};

#define FRAME(columns, rows) \
    { -2.5, -1.0, 3.5 / (columns), 2.0 / (rows), 0, 0, (columns), (rows), (columns) }

static const struct job jobs[] = {
    {"interior, no shortcuts",
     {.iterations = 20017, .is_plain = true},
     {-0.2, -0.1, 0.004, 0.004, 0, 0, 64, 48, 64},
     false},
    {"1920x1080, 1008, no shortcuts", {.iterations = 1008, .is_plain = true}, FRAME(1920, 1080), false},
    {"1920x1080, 1008", {.iterations = 1008}, FRAME(1920, 1080), true},
    {"4000x4000, 1000", {.iterations = 1000}, FRAME(4000, 4000), false},
    {"the Game, 4000x4000, 50",
     {.iterations = 50},
     {-1.5, -1.0, 2.0 / 4000, 2.0 / 4000, 0, 0, 4000, 4000, 4000},
     false},
    {"burning ship 1000x1000, 500",
     {.kind = SW_FRACTAL_BURNING_SHIP, .iterations = 500},
     {-2.2, -1.8, 3.6e-3, 2.6e-3, 0, 0, 1000, 1000, 1000},
     true},
    {"Julia 1000x1000, 300, exact",
     {SW_FRACTAL_JULIA, -0.62772, -0.42193, 300, true, false},
     {-1.8, -1.8, 3.6e-3, 3.6e-3, 0, 0, 1000, 1000, 1000},
     true},
    {"Julia 1000x1000, 300, fused",
     {SW_FRACTAL_JULIA, -0.62772, -0.42193, 300, false, false},
     {-1.8, -1.8, 3.6e-3, 3.6e-3, 0, 0, 1000, 1000, 1000},
     true},
};

enum { JOBS = sizeof jobs / sizeof *jobs, LIMITS = sizeof limits / sizeof *limits, LEVELS = SW_CPU_AVX512 + 1 };

/* Least seconds of all rounds; 0: not measured. */
struct figures {
    double limits[LIMITS];
    double jobs[JOBS][LEVELS];
    uint64_t done[JOBS]; /* iterations */
};

static void keep_best(double *best, int64_t begin_ns) {
    double seconds = (double)(sw_clock_thread_cpu_ns() - begin_ns) * 1e-9;
    if (*best == 0 || seconds < *best) {
        *best = seconds;
    }
}

static void measure_limits(struct figures *figures) {
    for (size_t l = 0; l < LIMITS; l++) {
        if (limits[l].run && limits[l].level <= sw_cpu_level()) {
            int64_t begin_ns = sw_clock_thread_cpu_ns();
            limits[l].run();
            keep_best(&figures->limits[l], begin_ns);
        }
    }
}

/* The scalar level is slow: it runs once, and not at all where that takes seconds. */
static void measure_job(struct figures *figures, size_t j, enum sw_cpu_level level, uint32_t *counts) {
    sw_fractal_runner run = sw_fractal_runner_for(level);
    bool is_scalar = run == sw_fractal_run_scalar;
    if (level == SW_CPU_SSE42 || (is_scalar && (!jobs[j].has_scalar || figures->jobs[j][level] > 0))) {
        return;
    }
    int64_t begin_ns = sw_clock_thread_cpu_ns();
    figures->done[j] = run(&jobs[j].fractal, &jobs[j].grid, &(struct sw_fractal_output){.counts = counts});
    keep_best(&figures->jobs[j][level], begin_ns);
}

/* Prints all limits; `best` becomes that of each level. */
static void print_limits(const struct figures *figures, double best[LEVELS]) {
    for (size_t l = 0; l < LIMITS; l++) {
        if (figures->limits[l] > 0) {
            double rate = (double)limits[l].points * LIMIT_ITERATIONS / figures->limits[l] * 1e-9;
            best[limits[l].level] = rate > best[limits[l].level] ? rate : best[limits[l].level];
            printf("limit %-7s form %-4s %8.3f Giter/s\n", sw_cpu_level_name(limits[l].level), limits[l].form, rate);
        }
    }
}

static void print_job(const struct figures *figures, size_t j, enum sw_cpu_level level, double limit) {
    double seconds = figures->jobs[j][level];
    if (seconds > 0) {
        double rate = (double)figures->done[j] / seconds * 1e-9;
        printf("%-30s %-7s %9.2f ms %8.3f Giter/s", jobs[j].name, sw_cpu_level_name(level), seconds * 1e3, rate);
        if (j == 0 && limit > 0) {
            printf("  %.3f of the limit (bar %.2f)", rate / limit, BAR_INTERIOR);
        }
        printf("\n");
    }
}

int main(int argc, char **argv) {
    static struct figures figures;
    int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
    uint32_t *counts = sw_alloc_array_zero((size_t)4000 * 4000, sizeof *counts);
    if (!counts || rounds < 1) {
        fprintf(stderr, "usage: bench_fractal_kernel [ROUNDS]; needs 64 MB\n");
        return 2;
    }
    for (int round = 0; round < rounds; round++) {
        measure_limits(&figures);
        for (size_t j = 0; j < JOBS; j++) {
            for (int level = SW_CPU_SCALAR; level <= (int)sw_cpu_level(); level++) {
                measure_job(&figures, j, (enum sw_cpu_level)level, counts);
            }
        }
    }
    double best[LEVELS] = {0};
    print_limits(&figures, best);
    for (size_t j = 0; j < JOBS; j++) {
        for (int level = SW_CPU_SCALAR; level < LEVELS; level++) {
            print_job(&figures, j, (enum sw_cpu_level)level, best[level]);
        }
    }
    sw_free(counts);
    return 0;
}
