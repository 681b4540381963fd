/* cmd_fractal.c - `sidewinder fractal`: draws the Mandelbrot set, Julia sets and the burning ship on all CPUs. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/fractal_benchmark.h"
#include "cli/fractal_draw.h"
#include "cli/fractal_engine.h"
#include "cli/fractal_file.h"
#include "cli/fractal_options.h"
#include "cli/fractal_progress.h"
#include "cli/fractal_report.h"
#include "cli/fractal_serve.h"

#define COMMENT_MAX 3000 /* a centre with more digits is left out of the picture's comment */

static atomic_bool is_interrupted;

static void interrupt_note(int signal_number) {
    (void)signal_number;
    atomic_store(&is_interrupted, true);
}

/* The first signal ends the work cleanly, a second one at once. */
static void signals_take(void) {
    struct sigaction action = {.sa_handler = interrupt_note, .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

static enum sw_status stdout_write(struct sw_str text, struct sw_error *err) {
    if (fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0)
        return SW_OK;
    return sw_fail_errno(err, errno, "cannot write to stdout");
}

static enum sw_status statistics_tell(const struct sw_fractal_request *request, const struct sw_draw *draw,
                                      const struct sw_draw_facts *facts, struct sw_error *err) {
    struct sw_fractal_summary summary = {request, draw, facts};
    struct sw_buf out = {0};
    enum sw_status status = SW_OK;
    if (!request->is_quiet) {
        status = sw_fractal_report_text(&summary, &out);
        if (!status)
            fwrite(out.ptr, 1, out.len, stderr);
    }
    sw_buf_clear(&out);
    if (!status && request->is_json)
        status = sw_fractal_report_json(&summary, &out);
    if (status)
        (void)sw_fail(err, status, "cannot tell the statistics: %s", sw_status_text(status));
    else if (out.len > 0)
        status = stdout_write(sw_buf_view(&out), err);
    sw_buf_release(&out);
    return status;
}

/* Draws into the file, which is there afterwards only if all went well. */
static enum sw_status file_draw(const struct sw_fractal_request *request, struct sw_draw *draw,
                                struct sw_draw_facts *facts, struct sw_error *err) {
    struct sw_fractal_file file;
    struct sw_fractal_progress progress = {0};
    enum sw_status status = sw_fractal_file_open(&file, request->output, err);
    if (status)
        return status;
    draw->write_context = &file;
    if (request->engines[0] == SW_ENGINE_C) {
        if (!request->is_quiet && isatty(STDERR_FILENO))
            sw_fractal_progress_start(&progress, draw);
        status = sw_draw_run(draw, facts, err);
        sw_fractal_progress_stop(&progress);
    } else {
        struct sw_engine_task task = {.request = request, .engine = request->engines[0], .rounds = 1};
        status = sw_engine_draw(&task, draw, facts, err);
    }
    if (!status)
        return sw_fractal_file_commit(&file, err);
    sw_fractal_file_discard(&file);
    if (status == SW_INTERRUPTED)
        (void)sw_fail(err, status, "interrupted: %s was not written", request->output);
    return status;
}

static enum sw_status picture_draw(const struct sw_fractal_request *request, struct sw_error *err) {
    struct sw_palette *palette = sw_alloc(sizeof *palette);
    struct sw_draw_facts facts;
    struct sw_buf comment = {0};
    if (!palette || sw_fractal_command_text(request, &comment)) {
        sw_free(palette);
        return sw_fail(err, SW_NOMEM, "cannot draw a picture: out of memory");
    }
    sw_palette_build(palette, request->palette, request->inside);
    struct sw_draw draw = {.view = &request->view,
                           .palette = palette,
                           .worker_count = request->workers[0],
                           .comment = comment.len <= COMMENT_MAX ? sw_buf_view(&comment) : (struct sw_str){NULL, 0},
                           .write = sw_fractal_file_write,
                           .is_cancelled = &is_interrupted};
    enum sw_status status = sw_draw_begin(&draw, err);
    if (!status) {
        status = file_draw(request, &draw, &facts, err);
        if (!status)
            status = statistics_tell(request, &draw, &facts, err);
        sw_draw_end(&draw);
    }
    sw_buf_release(&comment);
    sw_free(palette);
    return status;
}

/* Writes `text` to the file at once or not at all. */
static enum sw_status chart_write(const char *path, struct sw_str bytes, struct sw_error *err) {
    struct sw_fractal_file file;
    enum sw_status status = sw_fractal_file_open(&file, path, err);
    if (!status) {
        status = sw_fractal_file_write(&file, bytes, err);
        if (status)
            sw_fractal_file_discard(&file);
        else
            status = sw_fractal_file_commit(&file, err);
    }
    return status;
}

static enum sw_status benchmark_tell(const struct sw_benchmark *benchmark, struct sw_error *err) {
    const struct sw_fractal_request *request = benchmark->request;
    struct sw_buf out = {0};
    enum sw_status status = request->is_json ? sw_benchmark_json(benchmark, &out) : sw_benchmark_text(benchmark, &out);
    status = status ? sw_fail(err, status, "cannot write the table: %s", sw_status_text(status))
                    : stdout_write(sw_buf_view(&out), err);
    sw_buf_clear(&out);
    if (!status && request->chart) {
        bool is_svg = sw_str_ends(sw_str_from(request->chart), SW_STR(".svg"));
        status = sw_benchmark_chart(benchmark, is_svg, &out);
        status = status ? sw_fail(err, status, "cannot draw %s: %s", request->chart, sw_status_text(status))
                        : chart_write(request->chart, sw_buf_view(&out), err);
    }
    sw_buf_release(&out);
    return status;
}

static enum sw_status benchmark_do(const struct sw_fractal_request *request, struct sw_error *err) {
    struct sw_benchmark *benchmark = sw_alloc_zero(sizeof *benchmark);
    if (!benchmark)
        return sw_fail(err, SW_NOMEM, "cannot measure: out of memory");
    benchmark->request = request;
    benchmark->is_cancelled = &is_interrupted;
    enum sw_status status = sw_benchmark_run(benchmark, err);
    if (!status)
        status = benchmark_tell(benchmark, err);
    sw_free(benchmark);
    return status;
}

static void help_print(void) {
    printf("usage: sidewinder fractal [OPTION ...] -o FILE.png\n"
           "       sidewinder fractal [OPTION ...] --benchmark\n"
           "       sidewinder fractal [OPTION ...] --serve\n\n"
           "Draws the Mandelbrot set, Julia sets and the burning ship on all CPUs, down to a zoom of 1e300; measures\n"
           "what each further worker brings; or serves a page on which to explore them.\n");
    sw_options_print(sw_fractal_options);
    printf("\nExamples:\n"
           "  sidewinder fractal --size 4000x4000 --workers 8 -o mandelbrot.png\n"
           "  sidewinder fractal --center -0.743643887037151,0.13182590420533 --zoom 1e5 -o seahorse.png\n"
           "  sidewinder fractal --benchmark --workers 1,2,4,8 --chart speedup.png\n");
}

int sw_cmd_fractal(char **words) {
    struct sw_fractal_request request;
    struct sw_error err = {0};
    enum sw_status status = sw_fractal_parse(&request, words, &err);
    if (status == SW_OK && request.wants_help) {
        help_print();
        return SW_EXIT_DONE;
    }
    if (status != SW_OK) {
        fprintf(stderr, "sidewinder: %s\n", err.text);
        return SW_EXIT_USAGE;
    }
    signals_take();
    if (!request.is_serving)
        status = sw_fractal_view_limit(&request.view, &is_interrupted, &err);
    if (status == SW_INTERRUPTED && request.output)
        (void)sw_fail(&err, status, "interrupted: %s was not written", request.output);
    if (status == SW_OK && request.is_serving)
        status = sw_fractal_serve(&request, &err);
    else if (status == SW_OK)
        status = request.is_benchmark ? benchmark_do(&request, &err) : picture_draw(&request, &err);
    if (status)
        fprintf(stderr, "sidewinder: %s\n", err.text);
    return status == SW_INVALID ? SW_EXIT_USAGE : status ? SW_EXIT_FAILED : SW_EXIT_DONE;
}
