/* fractal_amdahl.c - Speedup, efficiency and Amdahl's law from measured times; see fractal_benchmark.h.
 *
 * Amdahl, "Validity of the single processor approach to achieving large scale computing capabilities", 1967.
 */
#include <math.h>

#include "cli/fractal_benchmark.h"

/* Least squares on Amdahl's law, 1 / speedup = s + (1 - s) / n, which is linear in s, over the runs that had a CPU for each
 * worker. */
static double serial_fit(const struct sw_bench_series *series, unsigned cpus) {
    double over = 0, under = 0;
    for (unsigned i = 0; i < series->count; i++) {
        double n = series->runs[i].workers;
        if (n < 2 || n > cpus)
            continue;
        over += (1 / series->runs[i].speedup - 1 / n) * (1 - 1 / n);
        under += (1 - 1 / n) * (1 - 1 / n);
    }
    return under > 0 ? fmin(fmax(over / under, 0), 1) : NAN;
}

void sw_bench_series_judge(struct sw_bench_series *series, unsigned cpus) {
    const struct sw_bench_run *one = &series->runs[0];
    series->serial = 1 - (double)(one->tiles_ns + one->encode_ns) / (double)one->total_ns;
    for (unsigned i = 0; i < series->count; i++) {
        struct sw_bench_run *run = &series->runs[i];
        unsigned n = run->workers < cpus ? run->workers : cpus; /* more cannot run at once */
        run->speedup = (double)one->total_ns / (double)run->total_ns;
        run->efficiency = run->speedup / run->workers;
        run->amdahl = 1 / (series->serial + (1 - series->serial) / n);
    }
    series->fitted = serial_fit(series, cpus);
}
