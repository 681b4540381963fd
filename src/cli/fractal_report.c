/* fractal_report.c - What drawing a picture took; see fractal_report.h. */
#include "cli/fractal_report.h"

#include <math.h>

#include "base/cpu.h"
#include "base/num.h"
#include "cli/fractal_text.h"

#define WORKERS_SHOWN 32u

static double share_of(int64_t part_ns, int64_t whole_ns) {
    return whole_ns > 0 ? (double)part_ns / (double)whole_ns : NAN;
}

/* How even the work was: the mean of the workers' busy times over the largest. */
static double balance_of(const struct sw_draw_facts *facts) {
    return facts->busiest_ns > 0 ? (double)facts->busy_ns / facts->workers / (double)facts->busiest_ns : NAN;
}

/* Time that workers spent outside of tiles while tiles were being drawn. */
static int64_t hand_over_ns(const struct sw_draw_facts *facts) {
    int64_t ns = facts->render_ns * facts->workers - facts->busy_ns;
    return ns > 0 ? ns : 0;
}

static enum sw_status head_text(const struct sw_fractal_summary *summary, struct sw_buf *out) {
    const struct sw_draw_facts *facts = summary->facts;
    const struct sw_fractal_view *view = summary->draw->view;
    char time[24], pixels[24], iterations[24], rate[24], computed[24];
    double seconds = (double)facts->total_ns / 1e9;
    int cpus = sw_cpu_count();
    enum sw_status status =
        sw_buf_append_format(out, "%u x %u pixels in %s: %s pixels/s, %s iterations/s\n", view->width, view->height,
                             sw_fractal_time_text((double)facts->total_ns, time),
                             sw_fractal_amount_text((double)facts->pixels / seconds, pixels),
                             sw_fractal_amount_text((double)facts->iterations / seconds, rate));
    if (!status)
        status = sw_buf_append_format(out, "iterations    %s of at most %u a point; %s were computed%s\n",
                                      sw_fractal_amount_text((double)facts->iterations, iterations), view->iterations,
                                      sw_fractal_amount_text((double)facts->computed, computed),
                                      facts->computed < facts->iterations ? ", shortcuts spared the others" : "");
    if (!status && facts->is_deep)
        status = sw_buf_append_format(out, "deep zoom     orbit of %u iterations with %u bits in %s\n",
                                      facts->zoom.orbit_length, facts->zoom.precision_bits,
                                      sw_fractal_time_text((double)facts->scene_ns, time));
    if (!status)
        status = sw_buf_append_format(out, "workers       %u%s, load balance %s\n", facts->workers,
                                      facts->workers > (unsigned)cpus ? " (more than there are CPUs)" : "",
                                      sw_fractal_share_text(balance_of(facts), time));
    return status;
}

static enum sw_status part_text(struct sw_buf *out, const char *name, int64_t ns, const struct sw_draw_facts *facts) {
    char time[24], share[24];
    return sw_buf_append_format(out, "  %-12s%10s %8s\n", name, sw_fractal_time_text((double)ns, time),
                                sw_fractal_share_text(share_of(ns, facts->total_ns), share));
}

/* The total time split into what follows one after the other. */
static enum sw_status parts_text(const struct sw_fractal_summary *summary, struct sw_buf *out) {
    const struct sw_draw_facts *facts = summary->facts;
    char busy[24], waited[24], color[24];
    int64_t known = facts->start_ns + facts->scene_ns + facts->render_ns + facts->encode_ns + facts->write_ns;
    int64_t workers_ns = facts->render_ns * facts->workers;
    enum sw_status status = sw_buf_append(out, SW_STR("time\n"));
    if (!status)
        status = part_text(out, "start", facts->start_ns, facts);
    if (!status && facts->is_deep)
        status = part_text(out, "orbit", facts->scene_ns, facts);
    if (!status)
        status = part_text(out, "tiles", facts->render_ns, facts);
    if (!status)
        status = part_text(out, "encoding", facts->encode_ns, facts);
    if (!status)
        status = part_text(out, "writing", facts->write_ns, facts);
    if (!status)
        status = part_text(out, "other", facts->total_ns > known ? facts->total_ns - known : 0, facts);
    if (!status)
        status = sw_buf_append_format(
            out, "of the workers' time for tiles: computing %s, colouring %s, hand-over and waiting %s\n",
            sw_fractal_share_text(share_of(facts->busy_ns - facts->color_ns, workers_ns), busy),
            sw_fractal_share_text(share_of(facts->color_ns, workers_ns), color),
            sw_fractal_share_text(share_of(hand_over_ns(facts), workers_ns), waited));
    return status;
}

static enum sw_status workers_text(const struct sw_fractal_summary *summary, struct sw_buf *out) {
    const struct sw_draw_facts *facts = summary->facts;
    char time[24], share[24], rate[24];
    enum sw_status status = sw_buf_append(out, SW_STR("worker     tiles        busy          iterations/s\n"));
    for (unsigned i = 0; i < facts->workers && i < WORKERS_SHOWN && !status; i++) {
        struct sw_draw_worker *worker = &summary->draw->workers[i];
        int64_t busy_ns = atomic_load(&worker->busy_ns);
        double per_s = busy_ns > 0 ? (double)atomic_load(&worker->iterations) * 1e9 / (double)busy_ns : NAN;
        status = sw_buf_append_format(out, "  %-6u %7llu  %10s  %7s  %12s\n", i + 1,
                                      (unsigned long long)atomic_load(&worker->tiles),
                                      sw_fractal_time_text((double)busy_ns, time),
                                      sw_fractal_share_text(share_of(busy_ns, facts->render_ns), share),
                                      sw_fractal_amount_text(per_s, rate));
    }
    if (!status && facts->workers > WORKERS_SHOWN)
        status = sw_buf_append_format(out, "  and %u more; --json lists all\n", facts->workers - WORKERS_SHOWN);
    return status;
}

enum sw_status sw_fractal_report_text(const struct sw_fractal_summary *summary, struct sw_buf *out) {
    enum sw_status status = head_text(summary, out);
    if (!status)
        status = parts_text(summary, out);
    return status || summary->facts->workers == 1 ? status : workers_text(summary, out);
}

static void json_number(struct sw_json *json, const char *key, double value) {
    sw_json_key(json, sw_str_from(key));
    sw_json_f64(json, value);
}

static void json_count(struct sw_json *json, const char *key, uint64_t value) {
    sw_json_key(json, sw_str_from(key));
    sw_json_u64(json, value);
}

static void json_text(struct sw_json *json, const char *key, struct sw_str value) {
    sw_json_key(json, sw_str_from(key));
    sw_json_str(json, value);
}

void sw_fractal_view_json(const struct sw_fractal_view *view, struct sw_json *json) {
    json_text(json, "kind", sw_str_from(sw_fractal_kind_name(view->kind)));
    if (view->kind == SW_FRACTAL_JULIA) {
        json_number(json, "julia_re", view->julia_re);
        json_number(json, "julia_im", view->julia_im);
    }
    json_text(json, "center_re", view->center_re); /* all digits */
    json_text(json, "center_im", view->center_im);
    json_number(json, "zoom", view->zoom);
    json_count(json, "width", view->width);
    json_count(json, "height", view->height);
    json_count(json, "supersample", view->supersample);
    json_count(json, "max_iterations", view->iterations);
    sw_json_key(json, SW_STR("is_deep"));
    sw_json_bool(json, sw_fractal_view_is_deep(view));
}

static void workers_json(const struct sw_fractal_summary *summary, struct sw_json *json) {
    sw_json_key(json, SW_STR("per_worker"));
    sw_json_array_begin(json);
    for (unsigned i = 0; i < summary->facts->workers; i++) {
        struct sw_draw_worker *worker = &summary->draw->workers[i];
        sw_json_object_begin(json);
        json_count(json, "tiles", atomic_load(&worker->tiles));
        json_count(json, "pixels", atomic_load(&worker->pixels));
        json_count(json, "iterations", atomic_load(&worker->iterations));
        json_count(json, "busy_ns", (uint64_t)atomic_load(&worker->busy_ns));
        json_count(json, "cpu_ns", (uint64_t)worker->cpu_ns);
        sw_json_object_end(json);
    }
    sw_json_array_end(json);
}

static void times_json(const struct sw_draw_facts *facts, struct sw_json *json) {
    json_count(json, "total_ns", (uint64_t)facts->total_ns);
    json_count(json, "start_ns", (uint64_t)facts->start_ns);
    json_count(json, "orbit_ns", facts->is_deep ? (uint64_t)facts->scene_ns : 0);
    json_count(json, "tiles_ns", (uint64_t)facts->render_ns);
    json_count(json, "encode_ns", (uint64_t)facts->encode_ns);
    json_count(json, "write_ns", (uint64_t)facts->write_ns);
    json_count(json, "color_ns", (uint64_t)facts->color_ns);
    json_count(json, "busy_ns", (uint64_t)facts->busy_ns);
    json_count(json, "hand_over_ns", (uint64_t)hand_over_ns(facts));
}

enum sw_status sw_fractal_report_json(const struct sw_fractal_summary *summary, struct sw_buf *out) {
    const struct sw_draw_facts *facts = summary->facts;
    double seconds = (double)facts->total_ns / 1e9;
    struct sw_json json;
    sw_json_init(&json, out);
    sw_json_object_begin(&json);
    sw_fractal_view_json(summary->draw->view, &json);
    json_count(&json, "workers", facts->workers);
    json_count(&json, "cpus", (uint64_t)sw_cpu_count());
    json_count(&json, "pixels", facts->pixels);
    json_count(&json, "points", facts->points);
    json_count(&json, "iterations", facts->iterations);
    json_count(&json, "computed_iterations", facts->computed);
    json_count(&json, "tiles", facts->tiles);
    json_count(&json, "file_bytes", facts->file_bytes);
    json_number(&json, "pixels_per_s", (double)facts->pixels / seconds);
    json_number(&json, "iterations_per_s", (double)facts->iterations / seconds);
    json_number(&json, "load_balance", balance_of(facts));
    times_json(facts, &json);
    if (facts->is_deep) {
        json_count(&json, "precision_bits", facts->zoom.precision_bits);
        json_count(&json, "orbit_length", facts->zoom.orbit_length);
    }
    workers_json(summary, &json);
    sw_json_object_end(&json);
    enum sw_status status = sw_json_status(&json);
    return status ? status : sw_buf_append_byte(out, '\n');
}

static enum sw_status flags_text(const struct sw_fractal_request *request, struct sw_buf *out) {
    const struct sw_fractal_view *view = &request->view;
    enum sw_status status =
        view->supersample > 1 ? sw_buf_append_format(out, " --supersample %u", view->supersample) : SW_OK;
    if (!status && request->inside != 0)
        status = sw_buf_append_format(out, " --inside %06x", request->inside);
    if (!status && view->is_flat)
        status = sw_buf_append(out, SW_STR(" --no-smooth"));
    if (!status && view->is_exact)
        status = sw_buf_append(out, SW_STR(" --exact"));
    return status;
}

enum sw_status sw_fractal_command_text(const struct sw_fractal_request *request, struct sw_buf *out) {
    const struct sw_fractal_view *view = &request->view;
    char numbers[3][SW_NUM_F64_MAX + 1];
    const double values[3] = {view->zoom, view->julia_re, view->julia_im};
    for (int i = 0; i < 3; i++)
        numbers[i][sw_num_format_f64(values[i], numbers[i])] = '\0';
    enum sw_status status = sw_buf_append_format(out, "sidewinder fractal --size %ux%u --kind %s", view->width,
                                                 view->height, sw_fractal_kind_name(view->kind));
    if (!status && view->kind == SW_FRACTAL_JULIA)
        status = sw_buf_append_format(out, " --julia %s,%s", numbers[1], numbers[2]);
    if (!status)
        status = sw_buf_append_format(out, " --center %.*s,%.*s --zoom %s --iterations %u --palette %s",
                                      SW_STR_ARG(view->center_re), SW_STR_ARG(view->center_im), numbers[0],
                                      view->iterations, request->palette->name);
    return status ? status : flags_text(request, out);
}
