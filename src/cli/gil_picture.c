/* gil_picture.c - The heartbeat experiment as a picture: every deadline's latency over time, each phase's throughput, and
 * a moment of each phase close up: who held the GIL and who waited.
 *
 * One panel for each interpreter: time runs to the right through the phases, latency upwards on a logarithmic scale. A
 * point is one deadline; above the SLA line it is red.
 */
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "cli/gil_experiment.h"
#include "report/canvas.h"

#define WIDTH 1600.0
#define LEFT 90.0
#define RIGHT 24.0
#define HEAD 84.0
#define PLOT 324.0
#define PANEL_HEAD 78.0
#define BARS 58.0   /* the workers' throughput */
#define LANE 13.0   /* a thread, close up */
#define DASH 12.0   /* of the SLA line, with its gap */
#define LANES_MAX 9 /* the heartbeat and the first workers */
#define CLOSE_UP_NS (100 * SW_NS_PER_MS)
#define POINTS_MAX 20000 /* drawn in a phase; above that every n-th, but always the late ones */

enum {
    INK = 0x1f2933ff,
    SOFT = 0x616e7cff,
    GRID = 0xd9dee4ff,
    PAPER = 0xffffffff,
    SHADE = 0xf4f6f8ff,
    GOOD = 0x2f9e6ecc,
    LATE = 0xd64545cc,
    SLA_LINE = 0xd64545ff,
    WORK = 0x4c78a8ff,
    HELD = 0x2f6f9fff,
    WAITED = 0xf0a35eff,
};

struct panel {
    struct sw_canvas *canvas;
    const struct sw_gil_experiment_options *options;
    const struct sw_gil_subject *subject;
    double top, plot_top, plot_bottom, lanes_top;
    unsigned lanes;   /* 0: nothing was seen from outside */
    double low, high; /* exponents of ten, ns */
};

static void text_at(struct sw_canvas *canvas, const struct sw_canvas_text *how, const char *text) {
    sw_canvas_text(canvas, how, sw_str_from(text));
}

static double y_of(const struct panel *panel, double ns) {
    double exponent = log10(ns < 1 ? 1 : ns);
    double share = (exponent - panel->low) / (panel->high - panel->low);
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    return panel->plot_bottom - share * (panel->plot_bottom - panel->plot_top);
}

static double phase_width(const struct panel *panel) {
    return (WIDTH - LEFT - RIGHT) / (double)panel->subject->count;
}

/* The decades that hold all latencies and the SLA. */
static void scale_choose(struct panel *panel) {
    double least = (double)panel->options->sla_ns, most = least;
    for (size_t i = 0; i < panel->subject->count; i++) {
        const struct sw_gil_latency *latency = &panel->subject->results[i].latency;
        least = fmin(least, latency->min);
        most = fmax(most, latency->max);
    }
    panel->low = fmax(3, floor(log10(fmax(least, 1))));
    panel->high = fmax(panel->low + 2, ceil(log10(most * 1.05)));
}

static void grid_draw(const struct panel *panel) {
    char text[24];
    int low = (int)panel->low, high = (int)panel->high;
    for (int exponent = low; exponent <= high; exponent++) {
        double y = y_of(panel, pow(10, exponent));
        sw_canvas_fill(panel->canvas, LEFT, y, WIDTH - LEFT - RIGHT, 1, GRID);
        struct sw_canvas_text how = {.x = LEFT - 8, .y = y + 4, .color = SOFT, .align = SW_CANVAS_RIGHT};
        text_at(panel->canvas, &how, sw_gil_time_text(pow(10, exponent), text));
    }
}

static void points_draw(const struct panel *panel, const struct sw_gil_phase *phase, double x) {
    double width = phase_width(panel) - 12;
    double period = (double)panel->options->period_ns, duration = (double)panel->options->duration_ns;
    size_t step = phase->count / POINTS_MAX + 1;
    for (size_t i = 0; i < phase->count; i++) {
        bool is_late = phase->latency_ns[i] > panel->options->sla_ns;
        if (i % step != 0 && !is_late)
            continue;
        double at = (double)(i + 1) * period / duration;
        sw_canvas_circle(panel->canvas, x + 6 + fmin(at, 1) * width, y_of(panel, (double)phase->latency_ns[i]), 1.7,
                         is_late ? LATE : GOOD);
    }
}

/* p50 and p99 as marks at the right edge of the phase. */
static void quantile_draw(const struct panel *panel, double x, double ns, const char *name) {
    char time[24], text[48];
    double y = y_of(panel, ns), right = x + phase_width(panel);
    snprintf(text, sizeof text, "%s %s", name, sw_gil_time_text(ns, time));
    struct sw_canvas_text how = {.x = right - 10, .y = y - 4, .size = 11, .color = INK, .align = SW_CANVAS_RIGHT};
    sw_canvas_fill(panel->canvas, x + 4, y - 0.5, phase_width(panel) - 8, 1, 0x1f293366);
    double text_width = sw_canvas_text_width(panel->canvas, &how, sw_str_from(text));
    sw_canvas_fill(panel->canvas, right - 13 - text_width, y - 15, text_width + 6, 14, 0xffffffd9);
    text_at(panel->canvas, &how, text);
}

static void phase_draw(const struct panel *panel, size_t index, double best_units) {
    const struct sw_gil_result *result = &panel->subject->results[index];
    double width = phase_width(panel), x = LEFT + (double)index * width;
    char a[24], b[24], text[160];
    if (index % 2 == 0)
        sw_canvas_fill(panel->canvas, x, panel->plot_top, width, panel->plot_bottom - panel->plot_top, SHADE);
    struct sw_canvas_text how = {.x = x + 8, .y = panel->top + 48, .size = 14, .color = INK, .is_bold = true};
    sw_canvas_clip(panel->canvas, x, panel->top, width - 4, PANEL_HEAD + PLOT + BARS);
    text_at(panel->canvas, &how, result->phase.plan->name);
    how = (struct sw_canvas_text){.x = x + 8, .y = panel->top + 66, .size = 12, .color = SOFT};
    snprintf(text, sizeof text, "switch interval %s, %.1f %% over the SLA",
             sw_gil_time_text((double)result->phase.switch_interval_ns, a),
             100.0 * (double)result->latency.breaches / (double)result->phase.count);
    text_at(panel->canvas, &how, text);
    if (!isnan(result->units_per_s) && best_units > 0) {
        double bar = (width - 24) * result->units_per_s / best_units;
        sw_canvas_fill(panel->canvas, x + 8, panel->plot_bottom + 14, bar, 12, WORK);
        how.y = panel->plot_bottom + 42;
        snprintf(text, sizeof text, "%s units/s%s%s", sw_gil_amount_text(result->units_per_s, a),
                 isnan(result->throughput_change) ? "" : ", ",
                 isnan(result->throughput_change)
                     ? ""
                     : (snprintf(b, sizeof b, "%+.1f %%", 100 * result->throughput_change), b));
        text_at(panel->canvas, &how, text);
    }
    sw_canvas_unclip(panel->canvas);
}

/* One thread's spans within [from, from + CLOSE_UP_NS). */
static void lane_draw(const struct panel *panel, const struct sw_gil_thread_seen *seen, double x, double y,
                      int64_t from_ns) {
    double width = phase_width(panel) - 16;
    sw_canvas_fill(panel->canvas, x, y, width, LANE - 3, 0xe8ecefff);
    for (size_t i = 0; i < seen->span_count; i++) {
        const struct sw_gil_span *span = &seen->spans[i];
        double start = (double)(span->start_ns - from_ns) / (double)CLOSE_UP_NS;
        double end = (double)(span->end_ns - from_ns) / (double)CLOSE_UP_NS;
        start = fmax(start, 0);
        end = fmin(end, 1);
        if (end > start)
            sw_canvas_fill(panel->canvas, x + start * width, y, fmax((end - start) * width, 0.5), LANE - 3,
                           span->state == SW_GIL_HELD ? HELD : WAITED);
    }
}

/* The middle of each phase, CLOSE_UP_NS long, a lane for each thread. */
static void lanes_draw(const struct panel *panel) {
    char text[64];
    struct sw_canvas_text how = {.x = LEFT - 8, .color = SOFT, .size = 11, .align = SW_CANVAS_RIGHT};
    for (unsigned k = 0; k < panel->lanes; k++) {
        how.y = panel->lanes_top + (double)k * LANE + 9;
        snprintf(text, sizeof text, k == 0 ? "heartbeat" : "worker %u", k);
        text_at(panel->canvas, &how, text);
    }
    for (size_t i = 0; i < panel->subject->count; i++) {
        const struct sw_gil_result *result = &panel->subject->results[i];
        int64_t from_ns = result->phase.start_mono_ns + result->phase.elapsed_ns / 2;
        double x = LEFT + (double)i * phase_width(panel) + 8;
        for (unsigned k = 0; k < panel->lanes && k <= result->phase.plan->workers; k++)
            lane_draw(panel, &result->seen[k], x, panel->lanes_top + (double)k * LANE, from_ns);
    }
    double y = panel->lanes_top + (double)panel->lanes * LANE + 14;
    sw_canvas_fill(panel->canvas, LEFT + 8, y - 9, 12, 10, HELD);
    sw_canvas_fill(panel->canvas, LEFT + 130, y - 9, 12, 10, WAITED);
    how = (struct sw_canvas_text){.x = LEFT + 26, .y = y, .size = 12, .color = SOFT};
    text_at(panel->canvas, &how, "holds the GIL");
    how.x = LEFT + 148;
    text_at(panel->canvas, &how, "waits for it; 100 ms from the middle of each phase, seen from outside");
}

static unsigned lanes_of(const struct sw_gil_subject *subject) {
    unsigned most = 0;
    bool is_seen = false;
    for (size_t i = 0; i < subject->count; i++) {
        unsigned threads = subject->results[i].phase.plan->workers + 1;
        most = threads > most ? threads : most;
        for (unsigned k = 0; k < threads; k++)
            is_seen |= subject->results[i].seen[k].span_count > 0;
    }
    return !is_seen ? 0 : most < LANES_MAX ? most : LANES_MAX;
}

static double panel_height(const struct sw_gil_subject *subject) {
    unsigned lanes = lanes_of(subject);
    return PANEL_HEAD + PLOT + BARS + (lanes > 0 ? (double)lanes * LANE + 34 : 0);
}

static void panel_draw(const struct panel *panel) {
    const struct sw_gil_subject *subject = panel->subject;
    char text[160], time[24];
    double best_units = 0;
    for (size_t i = 0; i < subject->count; i++)
        best_units = fmax(best_units, isnan(subject->results[i].units_per_s) ? 0 : subject->results[i].units_per_s);
    snprintf(text, sizeof text, "%s%s%s%s", subject->python, subject->version[0] ? ": CPython " : "", subject->version,
             subject->has_gil ? "" : ", no GIL");
    struct sw_canvas_text how = {.x = LEFT, .y = panel->top + 22, .size = 16, .color = INK, .is_bold = true};
    text_at(panel->canvas, &how, text);
    for (size_t i = 0; i < subject->count; i++)
        phase_draw(panel, i, best_units);
    grid_draw(panel);
    for (size_t i = 0; i < subject->count; i++)
        points_draw(panel, &subject->results[i].phase, LEFT + (double)i * phase_width(panel));
    for (size_t i = 0; i < subject->count; i++) {
        double x = LEFT + (double)i * phase_width(panel);
        quantile_draw(panel, x, subject->results[i].latency.p99, "p99");
        if (subject->results[i].latency.p99 > 1.6 * subject->results[i].latency.p50)
            quantile_draw(panel, x, subject->results[i].latency.p50, "p50");
    }
    double y = y_of(panel, (double)panel->options->sla_ns);
    for (int dash = 0; dash < (int)((WIDTH - LEFT - RIGHT) / DASH); dash++)
        sw_canvas_fill(panel->canvas, LEFT + dash * DASH, y - 0.5, 7, 1.5, SLA_LINE);
    snprintf(text, sizeof text, "SLA %s", sw_gil_time_text((double)panel->options->sla_ns, time));
    how = (struct sw_canvas_text){.x = LEFT + 6, .y = y - 5, .color = SLA_LINE, .is_bold = true};
    text_at(panel->canvas, &how, text);
    how = (struct sw_canvas_text){.x = LEFT - 8, .y = panel->plot_bottom + 25, .color = SOFT, .align = SW_CANVAS_RIGHT};
    text_at(panel->canvas, &how, "workers");
    if (panel->lanes > 0)
        lanes_draw(panel);
}

static void title_draw(struct sw_canvas *canvas, const struct sw_gil_experiment_options *options) {
    char text[200], period[24], duration[24];
    struct sw_canvas_text how = {.x = LEFT, .y = 38, .size = 22, .color = INK, .is_bold = true};
    text_at(canvas, &how, "GIL heartbeat: how late a thread wakes that should answer on time");
    snprintf(text, sizeof text, "heartbeat every %s beside %u worker%s (%s), phases of %s; each point is one deadline",
             sw_gil_time_text((double)options->period_ns, period), options->workers, options->workers == 1 ? "" : "s",
             options->work, sw_gil_time_text((double)options->duration_ns, duration));
    how = (struct sw_canvas_text){.x = LEFT, .y = 62, .size = 14, .color = SOFT};
    text_at(canvas, &how, text);
}

enum sw_status sw_gil_picture(const struct sw_gil_experiment_options *options, const struct sw_gil_subject *subjects,
                              size_t count, bool is_svg, struct sw_buf *out) {
    struct sw_canvas *canvas;
    double height = HEAD, top = HEAD;
    for (size_t i = 0; i < count; i++)
        height += panel_height(&subjects[i]);
    enum sw_status status = sw_canvas_new(&canvas, is_svg ? SW_CANVAS_SVG : SW_CANVAS_PNG, WIDTH, height);
    if (status)
        return status;
    sw_canvas_fill(canvas, 0, 0, WIDTH, height, PAPER);
    title_draw(canvas, options);
    for (size_t i = 0; i < count; i++) {
        struct panel panel = {.canvas = canvas,
                              .options = options,
                              .subject = &subjects[i],
                              .top = top,
                              .plot_top = top + PANEL_HEAD,
                              .plot_bottom = top + PANEL_HEAD + PLOT,
                              .lanes_top = top + PANEL_HEAD + PLOT + BARS,
                              .lanes = lanes_of(&subjects[i])};
        scale_choose(&panel);
        panel_draw(&panel);
        top += panel_height(&subjects[i]);
    }
    status = sw_canvas_finish(canvas, out);
    sw_canvas_free(canvas);
    return status;
}
