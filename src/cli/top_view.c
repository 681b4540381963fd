/* top_view.c - Lays the picture out: header, functions, threads, keys. */
#include "cli/top_view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/terminal_text.h"

#define PLAIN_ROWS 20 /* of each table when there is no screen */
#define HEADER_ROWS 4
#define THREADS_LEAST 3 /* rows of threads below the functions, when there is room */
#define HOT_PERCENT 25.0
#define WARM_PERCENT 5.0
#define SHARE_CELLS 7
#define COUNT_CELLS 9
#define NAME_CELLS 15
#define STATE_CELLS 14
#define TID_CELLS 8
#define NO_ROW UINT32_MAX

/* What is being drawn, and where to. */
struct pen {
    struct sw_top_view *view;
    const struct sw_top_source *source;
    const struct sw_top_table *table;
    struct sw_top_screen *screen;
    enum sw_status status; /* the first failure */
};

static struct sw_top_line *line_new(struct pen *pen, enum sw_style style) {
    struct sw_top_screen *screen = pen->screen;
    if (screen->count == screen->cap) {
        size_t cap = screen->cap ? screen->cap * 2 : 64;
        struct sw_top_line *grown = sw_realloc_array(screen->lines, cap, sizeof *grown);
        if (!grown) {
            pen->status = SW_NOMEM;
            return NULL;
        }
        memset(grown + screen->cap, 0, (cap - screen->cap) * sizeof *grown);
        screen->lines = grown;
        screen->cap = cap;
    }
    struct sw_top_line *line = &screen->lines[screen->count++];
    line->style = style;
    line->cells = 0;
    sw_buf_clear(&line->text);
    return line;
}

/* What a narrow screen has no room for is left out. */
static void cell_put(struct pen *pen, struct sw_top_line *line, struct sw_text_field field, struct sw_str text) {
    if (!line || pen->status != SW_OK)
        return;
    size_t room = pen->view->columns - line->cells;
    field.is_utf8 = pen->view->is_utf8;
    field.cells = field.cells < room ? field.cells : room;
    pen->status = sw_text_put(&line->text, &field, text);
    line->cells += field.cells;
}

static void gap_put(struct pen *pen, struct sw_top_line *line, size_t cells) {
    cell_put(pen, line, (struct sw_text_field){.cells = cells}, SW_STR(""));
}

/* A line of its own, filled up to the edge. */
static void text_line(struct pen *pen, enum sw_style style, struct sw_str text) {
    cell_put(pen, line_new(pen, style), (struct sw_text_field){.cells = pen->view->columns}, text);
}

static void share_format(double value, char out[16]) {
    snprintf(out, 16, isnan(value) ? "-" : "%.1f", value);
}

static void share_put(struct pen *pen, struct sw_top_line *line, double value) {
    char text[16];
    share_format(value, text);
    cell_put(pen, line, (struct sw_text_field){.cells = SHARE_CELLS, .align = SW_TEXT_RIGHT}, sw_str_from(text));
}

static void words_put(struct pen *pen, struct sw_top_line *line, const char *words, size_t cells,
                      enum sw_text_align align) {
    cell_put(pen, line, (struct sw_text_field){.cells = cells, .align = align}, sw_str_from(words));
}

static void uptime_format(int64_t uptime_ns, char out[32]) {
    long long seconds = uptime_ns / SW_NS_PER_S;
    if (uptime_ns < 0)
        snprintf(out, 32, "-");
    else if (seconds < 86400)
        snprintf(out, 32, "%lld:%02lld:%02lld", seconds / 3600, seconds / 60 % 60, seconds % 60);
    else
        snprintf(out, 32, "%lldd %lld:%02lld", seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
}

static void header_draw(struct pen *pen) {
    const struct sw_top_source *source = pen->source;
    const struct sw_sampler_counts counts = source->counts;
    unsigned long long samples = counts.exact + counts.partial;
    char text[512], uptime[32], cpu[16], held[16], waited[16], own[16], rate[16], rss[32] = "-";
    struct sw_str command = sw_buf_view(&source->command);
    uptime_format(source->uptime_ns, uptime);
    share_format(source->cpu, cpu);
    share_format(source->gil_held, held);
    share_format(source->gil_waited, waited);
    share_format(source->own_cpu, own);
    share_format(source->looks_per_s, rate);
    if (source->rss_bytes >= 0)
        snprintf(rss, sizeof rss, "%.1f MiB", (double)source->rss_bytes / 1048576.0);
    snprintf(text, sizeof text, "sidewinder top  pid %d  CPython %s  up %s  %.*s", (int)source->pid, source->version,
             uptime, (int)(command.len < 300 ? command.len : 300), command.ptr ? command.ptr : "");
    text_line(pen, SW_STYLE_TITLE, sw_str_from(text));
    snprintf(text, sizeof text, "CPU %s %%  RSS %s  threads %zu  GIL held %s %%, waited for %s %%", cpu, rss,
             source->thread_count, held, waited);
    text_line(pen, SW_STYLE_PLAIN, sw_str_from(text));
    snprintf(text, sizeof text, "%llu samples: %llu exact, %llu partial, %llu failed  %s looks/s  own CPU %s %%",
             samples, (unsigned long long)counts.exact, (unsigned long long)counts.partial,
             (unsigned long long)counts.failed, rate, own);
    text_line(pen, SW_STYLE_PLAIN, sw_str_from(text));
}

static void mode_draw(struct pen *pen) {
    static const char *const sorts[] = {"self", "total", "samples"};
    static const char *const whats[] = {[SW_SAMPLE_CPU] = "threads on a CPU",
                                        [SW_SAMPLE_GIL] = "the GIL's holder",
                                        [SW_SAMPLE_WALL] = "all threads, idle ones too",
                                        [SW_SAMPLE_WAIT] = "threads that wait for the GIL"};
    const struct sw_top_view *view = pen->view;
    char text[256];
    snprintf(text, sizeof text, "%s of %s by %s, last %.1f s%s%s%s%s", pen->table->by_line ? "lines" : "functions",
             whats[pen->source->what], sorts[view->sort], (double)sw_top_table_window_ns(pen->table) / 1e9,
             view->filter[0] ? "  filter: " : "", view->filter, view->is_paused ? "  PAUSED" : "",
             pen->source->has_ended ? "  THE PROCESS HAS ENDED" : "");
    text_line(pen, view->is_paused || pen->source->has_ended ? SW_STYLE_HOT : SW_STYLE_DIM, sw_str_from(text));
}

/* What is left of a line, and how two columns share it. */
static size_t cells_left(const struct pen *pen, size_t used) {
    return pen->view->columns > used ? pen->view->columns - used : 0;
}

static void functions_head(struct pen *pen) {
    size_t left = cells_left(pen, 2 * SHARE_CELLS + COUNT_CELLS + 2), name = left * 11 / 20;
    struct sw_top_line *line = line_new(pen, SW_STYLE_HEAD);
    words_put(pen, line, "SELF%", SHARE_CELLS, SW_TEXT_RIGHT);
    words_put(pen, line, "TOTAL%", SHARE_CELLS, SW_TEXT_RIGHT);
    words_put(pen, line, "SAMPLES", COUNT_CELLS, SW_TEXT_RIGHT);
    words_put(pen, line, "  FUNCTION", name + 2, SW_TEXT_LEFT);
    words_put(pen, line, " FILE:LINE", left - name, SW_TEXT_LEFT);
}

static void function_draw(struct pen *pen, const struct sw_top_row *row) {
    size_t left = cells_left(pen, 2 * SHARE_CELLS + COUNT_CELLS + 2), name = left * 11 / 20;
    enum sw_style style = row->self >= HOT_PERCENT    ? SW_STYLE_HOT
                          : row->self >= WARM_PERCENT ? SW_STYLE_WARM
                                                      : SW_STYLE_PLAIN;
    struct sw_top_line *line = line_new(pen, style);
    char count[24];
    struct sw_buf place = {0};
    snprintf(count, sizeof count, "%llu", (unsigned long long)row->samples);
    share_put(pen, line, row->self);
    share_put(pen, line, row->total);
    words_put(pen, line, count, COUNT_CELLS, SW_TEXT_RIGHT);
    gap_put(pen, line, 2);
    cell_put(pen, line, (struct sw_text_field){.cells = name, .clip = SW_TEXT_CLIP_MIDDLE}, row->name);
    gap_put(pen, line, left > name ? 1 : 0);
    if (pen->status == SW_OK && row->file.len)
        pen->status = row->line ? sw_buf_append_format(&place, "%.*s:%d", SW_STR_ARG(row->file), (int)row->line)
                                : sw_buf_append(&place, row->file);
    cell_put(pen, line, (struct sw_text_field){.cells = left > name ? left - name - 1 : 0, .clip = SW_TEXT_CLIP_START},
             sw_buf_view(&place));
    sw_buf_release(&place);
}

static void functions_draw(struct pen *pen, size_t rows) {
    struct sw_top_view *view = pen->view;
    uint32_t *order = sw_alloc_array(pen->table->row_count + 1, sizeof *order);
    if (!order) {
        pen->status = SW_NOMEM;
        return;
    }
    size_t count = sw_top_table_order(pen->table, view->sort, sw_str_from(view->filter), order);
    if (view->scroll + rows > count)
        view->scroll = count > rows ? count - rows : 0;
    functions_head(pen);
    for (size_t i = 0; i < rows; i++) {
        if (view->scroll + i < count)
            function_draw(pen, &pen->table->rows[order[view->scroll + i]]);
        else if (view->rows)
            text_line(pen, SW_STYLE_PLAIN, SW_STR(""));
    }
    sw_free(order);
}

static void threads_head(struct pen *pen) {
    struct sw_top_line *line = line_new(pen, SW_STYLE_HEAD);
    words_put(pen, line, "TID", TID_CELLS, SW_TEXT_RIGHT);
    words_put(pen, line, " THREAD", NAME_CELLS + 1, SW_TEXT_LEFT);
    words_put(pen, line, " STATE", STATE_CELLS + 1, SW_TEXT_LEFT);
    words_put(pen, line, "CPU%", SHARE_CELLS, SW_TEXT_RIGHT);
    words_put(pen, line, "HELD%", SHARE_CELLS, SW_TEXT_RIGHT);
    words_put(pen, line, "WAIT%", SHARE_CELLS, SW_TEXT_RIGHT);
    words_put(pen, line, "  FUNCTION", cells_left(pen, TID_CELLS + NAME_CELLS + STATE_CELLS + 2 + 3 * SHARE_CELLS),
              SW_TEXT_LEFT);
}

static void state_format(const struct sw_top_thread *thread, char out[32]) {
    const char *name = thread->syscall >= 0 ? sw_syscall_name(thread->syscall) : NULL;
    static const char *const words[] = {[SW_TOP_UNKNOWN] = "-",
                                        [SW_TOP_RUNNING] = "running",
                                        [SW_TOP_GIL_WAIT] = "waits for GIL",
                                        [SW_TOP_BLOCKED] = "blocked"};
    snprintf(out, 32, "%s", thread->state == SW_TOP_BLOCKED && name ? name : words[thread->state]);
}

static void thread_draw(struct pen *pen, const struct sw_top_thread *thread) {
    size_t left = cells_left(pen, TID_CELLS + NAME_CELLS + STATE_CELLS + 4 + 3 * SHARE_CELLS);
    struct sw_top_line *line = line_new(pen, thread->state == SW_TOP_GIL_WAIT ? SW_STYLE_WARM : SW_STYLE_PLAIN);
    char tid[16], state[32];
    snprintf(tid, sizeof tid, "%d", (int)thread->tid);
    state_format(thread, state);
    words_put(pen, line, tid, TID_CELLS, SW_TEXT_RIGHT);
    gap_put(pen, line, 1);
    words_put(pen, line, thread->name, NAME_CELLS, SW_TEXT_LEFT);
    gap_put(pen, line, 1);
    words_put(pen, line, state, STATE_CELLS, SW_TEXT_LEFT);
    share_put(pen, line, thread->cpu);
    share_put(pen, line, thread->gil_held);
    share_put(pen, line, thread->gil_waiting);
    gap_put(pen, line, 2);
    struct sw_str name = thread->row < pen->table->row_count ? pen->table->rows[thread->row].name : SW_STR("-");
    cell_put(pen, line, (struct sw_text_field){.cells = left, .clip = SW_TEXT_CLIP_MIDDLE}, name);
}

/* The busiest first; idle ones in the order of their ids. */
static int by_cpu(const void *a, const void *b, void *context) {
    const struct sw_top_thread *threads = context;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    double left = isnan(threads[x].cpu) ? 0 : threads[x].cpu, right = isnan(threads[y].cpu) ? 0 : threads[y].cpu;
    return left != right ? (left > right ? -1 : 1) : x < y ? -1 : x > y;
}

static void threads_draw(struct pen *pen, size_t rows, size_t scroll) {
    size_t count = pen->source->thread_count;
    uint32_t *order = sw_alloc_array(count + 1, sizeof *order);
    if (!order) {
        pen->status = SW_NOMEM;
        return;
    }
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    qsort_r(order, count, sizeof *order, by_cpu, pen->source->threads);
    threads_head(pen);
    for (size_t i = scroll; i < scroll + rows; i++) {
        if (i < count)
            thread_draw(pen, &pen->source->threads[order[i]]);
        else if (pen->view->rows)
            text_line(pen, SW_STYLE_PLAIN, SW_STR(""));
    }
    sw_free(order);
}

static void keys_draw(struct pen *pen) {
    const struct sw_top_view *view = pen->view;
    char text[160];
    if (view->is_typing) {
        snprintf(text, sizeof text, "filter: %s_  (Enter keeps it, Esc drops it)", view->filter);
        text_line(pen, SW_STYLE_TITLE, sw_str_from(text));
    } else {
        text_line(pen, view->notice ? SW_STYLE_HOT : SW_STYLE_DIM,
                  view->notice ? sw_str_from(view->notice)
                               : SW_STR("q quit  ? help  space pause  s/t sort  l lines  h threads  i idle  g GIL  / "
                                        "filter  r reset"));
    }
}

static void help_draw(struct pen *pen) {
    static const char *const lines[] = {
        "q          quit (Ctrl-C too)",
        "space      pause the picture; sampling goes on",
        "s t n      sort by self, total, samples;  < >  the next column",
        "f l        one row a function, or a line",
        "h          threads on the whole screen, and back",
        "i          all threads, idle ones too, or those on a CPU",
        "g          only the GIL's holder, or those on a CPU",
        "/          filter by a part of the name or file",
        "r          begin the table anew",
        "arrows, page up and down, home, end: scroll",
        "",
        "SELF%      of wall-clock time in the function itself: 2 busy threads have 200 %",
        "TOTAL%     in it and what it called",
        "HELD% WAIT%  of the time that a thread held the GIL, and waited for it",
        "",
        "any key goes back",
    };
    size_t count = sizeof lines / sizeof *lines;
    for (size_t i = 0; i + HEADER_ROWS + 1 < pen->view->rows; i++)
        text_line(pen, SW_STYLE_PLAIN, i < count ? sw_str_from(lines[i]) : SW_STR(""));
}

/* Rows of threads under the functions: a quarter of the screen at most. */
static size_t threads_below(const struct sw_top_view *view, const struct sw_top_source *source) {
    size_t most = view->rows / 4 > THREADS_LEAST ? view->rows / 4 : THREADS_LEAST;
    if (view->rows < HEADER_ROWS + 3 + THREADS_LEAST + THREADS_LEAST)
        return 0;
    return source->thread_count < most ? source->thread_count : most;
}

size_t sw_top_view_page(const struct sw_top_view *view, const struct sw_top_source *source) {
    size_t taken = HEADER_ROWS + 2; /* the table's head, the keys */
    size_t below = view->pane == SW_TOP_BOTH ? threads_below(view, source) : 0;
    taken += below ? below + 1 : 0;
    return view->rows > taken ? view->rows - taken : 0;
}

static void plain_draw(struct pen *pen) {
    size_t functions = pen->table->row_count < PLAIN_ROWS ? pen->table->row_count : PLAIN_ROWS;
    size_t threads = pen->source->thread_count < PLAIN_ROWS ? pen->source->thread_count : PLAIN_ROWS;
    if (pen->view->pane == SW_TOP_BOTH)
        functions_draw(pen, functions);
    threads_draw(pen, threads, 0);
}

static void tables_draw(struct pen *pen) {
    struct sw_top_view *view = pen->view;
    size_t page = sw_top_view_page(view, pen->source), below = threads_below(view, pen->source);
    if (view->pane == SW_TOP_BOTH) {
        functions_draw(pen, page);
        if (below)
            threads_draw(pen, below, 0);
        return;
    }
    size_t count = pen->source->thread_count;
    if (view->scroll + page > count)
        view->scroll = count > page ? count - page : 0;
    threads_draw(pen, page, view->scroll);
}

enum sw_status sw_top_view_draw(struct sw_top_view *view, const struct sw_top_source *source,
                                const struct sw_top_table *table, struct sw_top_screen *screen) {
    struct pen pen = {view, source, table, screen, SW_OK};
    screen->count = 0;
    header_draw(&pen);
    mode_draw(&pen);
    if (!view->rows) {
        plain_draw(&pen);
        return pen.status;
    }
    if (view->has_help)
        help_draw(&pen);
    else
        tables_draw(&pen);
    while (screen->count + 1 < view->rows && pen.status == SW_OK)
        text_line(&pen, SW_STYLE_PLAIN, SW_STR(""));
    if (screen->count >= view->rows)
        screen->count = view->rows - 1; /* a very low screen: the keys stay */
    keys_draw(&pen);
    return pen.status;
}

void sw_top_screen_release(struct sw_top_screen *screen) {
    for (size_t i = 0; i < screen->cap; i++)
        sw_buf_release(&screen->lines[i].text);
    sw_free(screen->lines);
    *screen = (struct sw_top_screen){0};
}
