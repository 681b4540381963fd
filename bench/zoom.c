/* zoom.c - Deep zoom per depth: time to open, and of an image with and without BLA in turn, best of several rounds.
 *
 * One thread. Both ways run the same lanes with the same iterations without tests; only the jumps differ. The bar: at
 * 1e-50, on images of thousands of iterations, 3 times as fast with BLA.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tests/unit/zoom_places.h"
#include "base/clock.h"
#include "base/mem.h"
#include "kernels/zoom.h"

enum { WIDTH = 320, HEIGHT = 240, ROUNDS = 7 };

struct place {
    const char *name, *re, *im;
    double pixel;
    uint32_t iterations;
};

static const struct place places[] = {
    {"spiral 1e-15", PLACE_SPIRAL_RE, PLACE_SPIRAL_IM, 1e-15, 10000},
    {"spiral 1e-30", PLACE_SPIRAL_RE, PLACE_SPIRAL_IM, 1e-30, 10000},
    {"copy 1e-30", PLACE_COPY30_RE, PLACE_COPY30_IM, 1e-32, 20000},
    {"spiral 1e-50", PLACE_SPIRAL_RE, PLACE_SPIRAL_IM, 1e-50, 20000},
    {"near copy 1e-50", PLACE_COPY50_RE, PLACE_COPY50_IM, 1e-46, 20000},
    {"copy 1e-50", PLACE_COPY50_RE, PLACE_COPY50_IM, 2e-50, 20000},
    {"spiral 1e-100", PLACE_SPIRAL_RE, PLACE_SPIRAL_IM, 1e-100, 30000},
    {"copy 1e-98", PLACE_COPY100_RE, PLACE_COPY100_IM, 6e-98, 40000},
    {"spiral 1e-200", PLACE_SPIRAL_RE, PLACE_SPIRAL_IM, 1e-200, 50000},
    {"copy 1e-200", PLACE_COPY200_RE, PLACE_COPY200_IM, 3e-200, 80000},
    {"spiral 1e-300", PLACE_SPIRAL_RE, PLACE_SPIRAL_IM, 1e-300, 50000},
    {"copy 1e-300", PLACE_COPY300_RE, PLACE_COPY300_IM, 3e-300, 100000},
};

struct run {
    struct sw_zoom *zoom;
    uint32_t *counts;
    int64_t best_ns;
    uint64_t iterations;
};

static bool run_open(struct run *run, const struct place *place, bool is_plain) {
    struct sw_zoom_options options = {
        .center_re = sw_str_from(place->re),
        .center_im = sw_str_from(place->im),
        .pixel = place->pixel,
        .radius = place->pixel * hypot(WIDTH, HEIGHT) / 2,
        .iterations = place->iterations,
        .is_plain = is_plain,
    };
    struct sw_error err = {0};
    *run = (struct run){.best_ns = INT64_MAX};
    if (sw_zoom_open(&options, &run->zoom, &err)) {
        fprintf(stderr, "%s: %s\n", place->name, err.text);
        return false;
    }
    run->counts = sw_alloc_array((size_t)WIDTH * HEIGHT, sizeof(*run->counts));
    return run->counts != NULL;
}

static void run_round(struct run *run, double pixel) {
    struct sw_fractal_grid grid = {
        .re = -pixel * (WIDTH - 1) / 2,
        .im = pixel * (HEIGHT - 1) / 2,
        .re_step = pixel,
        .im_step = -pixel,
        .width = WIDTH,
        .height = HEIGHT,
        .row_stride = WIDTH,
    };
    struct sw_fractal_output output = {.counts = run->counts};
    int64_t begin_ns = sw_clock_thread_cpu_ns();
    run->iterations = sw_zoom_run(run->zoom, &grid, &output);
    int64_t spent_ns = sw_clock_thread_cpu_ns() - begin_ns;
    run->best_ns = spent_ns < run->best_ns ? spent_ns : run->best_ns;
}

static void run_close(struct run *run) {
    sw_zoom_close(run->zoom);
    sw_free(run->counts);
}

static void print_place(const struct place *place, const struct run *bla, const struct run *plain) {
    struct sw_zoom_facts facts;
    size_t points = (size_t)WIDTH * HEIGHT, different = 0, inside = 0;
    for (size_t i = 0; i < points; i++) {
        different += bla->counts[i] != plain->counts[i];
        inside += bla->counts[i] == place->iterations;
    }
    sw_zoom_get_facts(bla->zoom, &facts);
    double runs = (double)(ROUNDS + 1) * (double)points;
    printf("%-16s %5u bits %7.2f ms %6u points  %7.0f %5.1f %%  %8.2f ms %8.2f ms %6.2fx %7.2f %7.2f G/s "
           "%7.1f %7.1f %5zu\n",
           place->name, facts.precision_bits, facts.orbit_seconds * 1e3, facts.orbit_length,
           (double)bla->iterations / (double)points, 100 * (double)inside / (double)points, (double)bla->best_ns * 1e-6,
           (double)plain->best_ns * 1e-6, (double)plain->best_ns / (double)bla->best_ns,
           (double)bla->iterations / (double)bla->best_ns, (double)plain->iterations / (double)plain->best_ns,
           (double)facts.jumps / runs, (double)facts.jumped / (double)(facts.jumps ? facts.jumps : 1), different);
    fflush(stdout);
}

static int measure(const struct place *place) {
    struct run bla, plain;
    bool is_open = run_open(&bla, place, false);
    is_open = run_open(&plain, place, true) && is_open;
    if (is_open) {
        for (int round = 0; round <= ROUNDS; round++) { /* the first warms up, and counts like the others */
            run_round(&bla, place->pixel);
            run_round(&plain, place->pixel);
        }
        print_place(place, &bla, &plain);
    }
    run_close(&bla);
    run_close(&plain);
    return is_open ? 0 : 1;
}

/* bench_zoom [PART OF A NAME] */
int main(int argc, char **argv) {
    int failed = 0;
    printf("%d x %d points, one thread, best of %d\n", WIDTH, HEIGHT, ROUNDS + 1);
    printf("%-16s %10s %10s %13s  %7s %7s  %11s %11s %7s %7s %11s %7s %7s %5s\n", "place", "precision", "to open",
           "orbit", "it/pt", "inside", "BLA", "without", "ratio", "BLA", "without", "jumps", "length", "other");
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (argc < 2 || strstr(places[i].name, argv[1])) {
            failed |= measure(&places[i]);
        }
    }
    return failed;
}
