/* fractal_progress.c - How far a picture is, on a terminal; see fractal_progress.h. */
#include "cli/fractal_progress.h"

#include <stdio.h>

#include "base/clock.h"
#include "cli/fractal_text.h"

#define PERIOD_NS (200 * SW_NS_PER_MS)
#define WORKERS_SHOWN 16u
#define BAR 30

static void bar_print(double share) {
    char bar[BAR + 1];
    for (int i = 0; i < BAR; i++)
        bar[i] = i < (int)(share * BAR) ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "[%s]", bar);
}

static void worker_print(struct sw_fractal_progress *progress, unsigned index, int64_t elapsed_ns) {
    struct sw_draw_worker *worker = &progress->draw->workers[index];
    double busy = (double)atomic_load_explicit(&worker->busy_ns, memory_order_relaxed) / (double)elapsed_ns;
    uint64_t done = atomic_load_explicit(&progress->draw->pixels_done, memory_order_relaxed);
    uint64_t own = atomic_load_explicit(&worker->pixels, memory_order_relaxed);
    fprintf(stderr, "\033[Kworker %-3u ", index + 1);
    bar_print(done > 0 ? (double)own / (double)done : 0);
    fprintf(stderr, " %6llu tiles  busy %3.0f %%\n",
            (unsigned long long)atomic_load_explicit(&worker->tiles, memory_order_relaxed),
            100 * (busy < 1 ? busy : 1));
    progress->lines++;
}

static void whole_print(const struct sw_draw *draw, int64_t elapsed_ns) {
    double all = (double)draw->view->width * draw->view->height, seconds = (double)elapsed_ns / 1e9;
    double done = (double)atomic_load_explicit(&draw->pixels_done, memory_order_relaxed), iterations = 0;
    char pixels[24], rate[24], left[24];
    for (unsigned i = 0; i < draw->worker_count; i++)
        iterations += (double)atomic_load_explicit(&draw->workers[i].iterations, memory_order_relaxed);
    fprintf(stderr, "\033[K%5.1f %%    ", 100 * done / all);
    bar_print(done / all);
    fprintf(stderr, " %s pixels/s, %s iterations/s, %s left", sw_fractal_amount_text(done / seconds, pixels),
            sw_fractal_amount_text(iterations / seconds, rate),
            done > 0 ? sw_fractal_time_text((all - done) / done * (double)elapsed_ns, left) : "?");
}

static void screen_draw(struct sw_fractal_progress *progress) {
    const struct sw_draw *draw = progress->draw;
    int64_t start_ns = atomic_load(&draw->render_start_ns);
    int64_t elapsed_ns = sw_clock_mono_ns() - start_ns;
    if (start_ns == 0) { /* the reference orbit of a deep zoom is being computed */
        fputs("\r\033[Kpreparing", stderr);
        return;
    }
    if (progress->lines > 0)
        fprintf(stderr, "\033[%uA", progress->lines);
    fputc('\r', stderr);
    progress->lines = 0;
    for (unsigned i = 0; i < draw->worker_count && i < WORKERS_SHOWN; i++)
        worker_print(progress, i, elapsed_ns);
    whole_print(draw, elapsed_ns);
}

static void progress_main(void *context) {
    struct sw_fractal_progress *progress = context;
    while (!atomic_load(&progress->is_over)) {
        uint32_t ticket = sw_parker_prepare(&progress->parker);
        if (atomic_load(&progress->is_over)) {
            sw_parker_cancel(&progress->parker);
            break;
        }
        if (!sw_parker_wait(&progress->parker, ticket, PERIOD_NS))
            screen_draw(progress);
    }
    if (progress->lines > 0)
        fprintf(stderr, "\033[%uA", progress->lines);
    fputs("\r\033[J", stderr);
    fflush(stderr);
}

void sw_fractal_progress_start(struct sw_fractal_progress *progress, const struct sw_draw *draw) {
    *progress = (struct sw_fractal_progress){.draw = draw};
    if (sw_thread_start(&progress->thread, "progress", -1, progress_main, progress, NULL) != SW_OK)
        progress->draw = NULL;
}

void sw_fractal_progress_stop(struct sw_fractal_progress *progress) {
    atomic_store(&progress->is_over, true);
    sw_parker_wake(&progress->parker);
    sw_thread_join(&progress->thread);
}
