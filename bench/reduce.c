/* reduce.c - Nanoseconds per element and bytes per second of the reductions, beside a bare read, at every level. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "kernels/reduce.h"
#include "kernels/reduce_impl.h"
#include "pool/team.h"

enum { ROUNDS = 9, ROUND_NS = 20000000, BINS = 100 };

struct data {
    struct sw_array x, y;
    struct sw_parallel *parallel;
    uint64_t counts[BINS];
};

typedef double (*operation)(struct data *data);

static double run_sum(struct data *data) {
    return sw_reduce_sum(&data->x, data->parallel);
}

static double run_dot(struct data *data) {
    return sw_reduce_dot(&data->x, &data->y, data->parallel);
}

static double run_norm(struct data *data) {
    return sw_reduce_norm(&data->x, data->parallel);
}

static double run_moments(struct data *data) {
    return sw_reduce_moments(&data->x, data->parallel).m2;
}

static double run_extremes(struct data *data) {
    return sw_reduce_extremes(&data->x, data->parallel).max;
}

static double run_summary(struct data *data) {
    return sw_reduce_summary(&data->x, data->parallel).m2;
}

static double run_joint(struct data *data) {
    return sw_reduce_joint(&data->x, &data->y, data->parallel).c_xy;
}

static double run_histogram(struct data *data) {
    if (sw_reduce_histogram(&data->x, -4, 4, BINS, data->counts, data->parallel) != SW_OK)
        return NAN;
    return (double)data->counts[0];
}

static double run_median(struct data *data) {
    double half = 0.5, median = NAN;
    return sw_reduce_quantiles(&data->x, &half, 1, &median, data->parallel) == SW_OK ? median : NAN;
}

static double run_quantiles(struct data *data) {
    double q[] = {0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99}, at[7] = {NAN};
    return sw_reduce_quantiles(&data->x, q, 7, at, data->parallel) == SW_OK ? at[0] : NAN;
}

static const struct {
    const char *name;
    operation run;
    int operands;
} operations[] = {
    {"sum", run_sum, 1},           {"dot", run_dot, 2},
    {"norm", run_norm, 1},         {"moments", run_moments, 1},
    {"extremes", run_extremes, 1}, {"summary", run_summary, 1},
    {"joint", run_joint, 2},       {"histogram", run_histogram, 1},
    {"median", run_median, 1},     {"7 quantiles", run_quantiles, 1},
};

/* Best round, in nanoseconds per call. */
static double measure(struct data *data, operation run) {
    static volatile double sink;
    int64_t repeats = 1, spent_ns = 0;
    double best_ns = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin_ns = sw_clock_mono_ns();
        for (int64_t i = 0; i < repeats; i++)
            sink = run(data);
        spent_ns = sw_clock_mono_ns() - begin_ns;
        best_ns = fmin(best_ns, (double)spent_ns / (double)repeats);
        if (round == 0)
            repeats = 1 + ROUND_NS / (1 + (int64_t)best_ns);
    }
    (void)sink;
    return best_ns;
}

/* Sums of uniform numbers: nearly Gaussian. */
static void fill(struct sw_array *array, size_t count, uint64_t seed) {
    for (size_t i = 0; i < count; i++) {
        double value = -6;
        for (int k = 0; k < 12; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            value += (double)(seed >> 11) * 0x1p-53;
        }
        if (array->dtype == SW_F64)
            ((double *)(void *)array->data)[i] = value;
        else
            ((float *)(void *)array->data)[i] = (float)value;
    }
}

static void report(struct data *data, size_t count, const char *what, const char *only) {
    size_t size = sw_dtype_size(data->x.dtype);
    printf("%zu of %s, %s, %u threads\n", count, size == 8 ? "float64" : "float32", what,
           sw_parallel_lanes(data->parallel));
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        if (only && strcmp(only, operations[i].name) != 0)
            continue;
        double ns = measure(data, operations[i].run);
        printf("  %-12s %12.1f ns  %7.4f ns/element  %6.2f GB/s\n", operations[i].name, ns, ns / (double)count,
               (double)(count * size) * operations[i].operands / ns);
    }
}

/* bench_reduce [COUNT [OPERATION]] */
int main(int argc, char **argv) {
    size_t counts[] = {10, 1000, 100000, 20000000}, most = counts[3], first = 0, last = 4;
    if (argc > 1) {
        counts[0] = most = strtoul(argv[1], NULL, 10);
        last = 1;
    }
    char *memory = sw_alloc_array(most, 2 * sizeof(double));
    if (!memory || most == 0)
        return 1;
    for (int dtype = SW_F64; dtype <= SW_F32; dtype++) {
        struct data data = {.x = sw_array_vector(memory, (enum sw_dtype)dtype, most),
                            .y = sw_array_vector(memory + most * sizeof(double), (enum sw_dtype)dtype, most)};
        fill(&data.x, most, 1);
        fill(&data.y, most, 2);
        for (size_t i = first; i < last; i++) {
            data.x.shape[0] = data.y.shape[0] = counts[i];
            for (unsigned lanes = 1; lanes <= 2; lanes++) {
                data.parallel = lanes > 1 ? sw_team_shared(lanes) : NULL;
                report(&data, counts[i], sw_cpu_level_name(sw_cpu_level()), argc > 2 ? argv[2] : NULL);
            }
        }
    }
    sw_free(memory);
    return 0;
}
