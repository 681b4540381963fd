/* cmd_top.c - `sidewinder top`: where the time of a process goes, live. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/limits.h"
#include "cli/top_options.h"

#define POLL_NS (50 * SW_NS_PER_MS) /* at least so often keys are looked for */
#define FIRST_NS (200 * SW_NS_PER_MS)
#define NODES_MAX 262144 /* of a profile, before another one is begun */

struct session {
    const struct sw_top *top;
    struct sw_top_source source;
    struct sw_top_table table;
    struct sw_top_view view;
    struct sw_top_screen screen;
    struct sw_terminal *terminal; /* NULL: plain text */
    struct sw_error notice;
    int64_t next_refresh_ns;
    bool is_over, is_drawn;
};

static volatile sig_atomic_t got_signal;

static void on_signal(int number) {
    got_signal = number;
}

static void signals_open(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static const struct sw_profile *profile_of(const struct session *session) {
    return sw_sampler_profile(session->source.sampler);
}

static void notice_set(struct session *session, const char *text) {
    (void)sw_fail(&session->notice, SW_OK, "%s", text);
    session->view.notice = session->notice.text;
}

static enum sw_status table_begin(struct session *session) {
    session->view.scroll = 0;
    return sw_top_table_begin(&session->table, profile_of(session), sw_clock_mono_ns());
}

/* Memory is bounded by taking the profile away from time to time. */
static enum sw_status profile_bound(struct session *session) {
    struct sw_profile taken = {0};
    if (profile_of(session)->node_count < NODES_MAX)
        return SW_OK;
    enum sw_status status = sw_sampler_take(session->source.sampler, &taken);
    if (status == SW_OK)
        sw_top_table_restart(&session->table);
    sw_profile_release(&taken);
    return status;
}

static enum sw_status what_switch(struct session *session, enum sw_sampler_what what) {
    struct sw_error err = {0};
    enum sw_status status = sw_top_source_switch(&session->source, what, &err);
    if (status == SW_NOMEM)
        return status;
    if (status != SW_OK) {
        notice_set(session, err.text);
        return SW_OK;
    }
    return table_begin(session);
}

static enum sw_status rows_switch(struct session *session, bool by_line) {
    session->table.by_line = by_line;
    return table_begin(session);
}

static void filter_key(struct session *session, int key) {
    struct sw_top_view *view = &session->view;
    size_t len = strlen(view->filter);
    if (key == SW_KEY_ENTER) {
        view->is_typing = false;
    } else if (key == SW_KEY_ESCAPE) {
        view->is_typing = false;
        view->filter[0] = '\0';
    } else if (key == SW_KEY_BACKSPACE) {
        while (len && ((unsigned char)view->filter[--len] & 0xc0) == 0x80)
            ;
        view->filter[len] = '\0';
    } else if (key >= ' ' && key < 256 && len + 1 < sizeof view->filter) {
        view->filter[len] = (char)key;
        view->filter[len + 1] = '\0';
    }
    view->scroll = 0;
}

static void scroll_key(struct session *session, int key) {
    struct sw_top_view *view = &session->view;
    size_t page = sw_top_view_page(view, &session->source);
    size_t step = key == SW_KEY_PAGE_UP || key == SW_KEY_PAGE_DOWN ? (page ? page : 1) : 1;
    if (key == SW_KEY_HOME)
        view->scroll = 0;
    else if (key == SW_KEY_END)
        view->scroll = SIZE_MAX / 2; /* brought into range when it is drawn */
    else if (key == SW_KEY_UP || key == SW_KEY_PAGE_UP)
        view->scroll -= view->scroll < step ? view->scroll : step;
    else
        view->scroll += step;
}

static enum sw_status command_key(struct session *session, int key) {
    struct sw_top_view *view = &session->view;
    enum sw_sampler_what what = session->source.what;
    switch (key) {
    case 'q':
    case 'Q':
    case SW_KEY_CLOSED:
        session->is_over = true;
        return SW_OK;
    case 's':
        view->sort = SW_TOP_SELF;
        return SW_OK;
    case 't':
        view->sort = SW_TOP_TOTAL;
        return SW_OK;
    case 'n':
        view->sort = SW_TOP_SAMPLES;
        return SW_OK;
    case '>':
    case SW_KEY_RIGHT:
        view->sort = (enum sw_top_sort)((view->sort + 1) % 3);
        return SW_OK;
    case '<':
    case SW_KEY_LEFT:
        view->sort = (enum sw_top_sort)((view->sort + 2) % 3);
        return SW_OK;
    case ' ':
        view->is_paused = !view->is_paused;
        return SW_OK;
    case 'h':
        view->pane = view->pane == SW_TOP_BOTH ? SW_TOP_THREADS : SW_TOP_BOTH;
        view->scroll = 0;
        return SW_OK;
    case '/':
        view->is_typing = true;
        return SW_OK;
    case '?':
        view->has_help = true;
        return SW_OK;
    case 'f':
        return session->source.has_ended ? SW_OK : rows_switch(session, false);
    case 'l':
        return session->source.has_ended ? SW_OK : rows_switch(session, true);
    case 'r':
        return session->source.has_ended ? SW_OK : table_begin(session);
    case 'g':
        return session->source.has_ended ? SW_OK
                                         : what_switch(session, what == SW_SAMPLE_GIL ? SW_SAMPLE_CPU : SW_SAMPLE_GIL);
    case 'i':
        return session->source.has_ended
                   ? SW_OK
                   : what_switch(session, what == SW_SAMPLE_WALL ? SW_SAMPLE_CPU : SW_SAMPLE_WALL);
    default:
        if (key >= SW_KEY_UP && key <= SW_KEY_END)
            scroll_key(session, key);
        return SW_OK;
    }
}

static enum sw_status keys_take(struct session *session) {
    enum sw_status status = SW_OK;
    for (int key = sw_terminal_key(session->terminal); key != SW_KEY_NONE && status == SW_OK && !session->is_over;
         key = sw_terminal_key(session->terminal)) {
        session->is_drawn = false;
        session->view.notice = NULL;
        if (session->view.is_typing && key != SW_KEY_CLOSED)
            filter_key(session, key);
        else if (session->view.has_help && key != 'q' && key != SW_KEY_CLOSED)
            session->view.has_help = false;
        else
            status = command_key(session, key);
    }
    return status;
}

static enum sw_status draw(struct session *session) {
    if (sw_terminal_is_stale(session->terminal)) {
        session->view.columns = sw_terminal_columns(session->terminal);
        session->view.rows = sw_terminal_rows(session->terminal);
        session->is_drawn = false;
    }
    if (session->is_drawn || !session->view.rows)
        return SW_OK;
    enum sw_status status = sw_top_view_draw(&session->view, &session->source, &session->table, &session->screen);
    for (unsigned i = 0; i < session->screen.count && status == SW_OK; i++)
        status = sw_terminal_line(session->terminal, i, session->screen.lines[i].style,
                                  sw_buf_view(&session->screen.lines[i].text));
    if (status == SW_OK)
        status = sw_terminal_show(session->terminal);
    session->is_drawn = status == SW_OK;
    return status;
}

static enum sw_status refresh(struct session *session) {
    int64_t now_ns = sw_clock_mono_ns();
    if (session->source.has_ended || now_ns < session->next_refresh_ns || session->view.is_paused)
        return SW_OK;
    session->next_refresh_ns = now_ns + session->top->delay_ns;
    enum sw_status status = sw_top_table_update(&session->table, profile_of(session), now_ns);
    if (status == SW_OK)
        status = sw_top_source_refresh(&session->source, &session->table);
    if (status == SW_OK)
        status = profile_bound(session);
    session->is_drawn = false;
    return status;
}

/* When the process has ended the last picture stays, and keys still work. */
static enum sw_status look(struct session *session) {
    int64_t now_ns = sw_clock_mono_ns();
    if (session->source.has_ended) {
        sw_clock_sleep_ns(POLL_NS);
        return SW_OK;
    }
    int64_t until_ns = now_ns + POLL_NS < session->next_refresh_ns || session->view.is_paused
                           ? now_ns + POLL_NS
                           : session->next_refresh_ns;
    enum sw_status status = sw_top_source_look(&session->source, until_ns);
    if (status != SW_CLOSED)
        return status;
    session->source.has_ended = true;
    session->is_drawn = false;
    notice_set(session, "the process has ended; this is the last picture. q quits");
    return SW_OK;
}

/* The first picture with shares in it comes soon. */
static enum sw_status live_run(struct session *session) {
    int64_t first_ns = session->top->delay_ns < FIRST_NS ? session->top->delay_ns : FIRST_NS;
    enum sw_status status = sw_top_source_refresh(&session->source, &session->table); /* what rates are counted from */
    session->next_refresh_ns = sw_clock_mono_ns() + first_ns;
    while (!got_signal && !session->is_over && status == SW_OK) {
        status = look(session);
        if (status == SW_OK)
            status = refresh(session);
        if (status == SW_OK)
            status = keys_take(session);
        if (status == SW_OK)
            status = draw(session);
    }
    return status;
}

static enum sw_status frame_print(struct session *session, bool is_first) {
    enum sw_status status = sw_top_view_draw(&session->view, &session->source, &session->table, &session->screen);
    if (!is_first)
        putchar('\n');
    for (size_t i = 0; i < session->screen.count && status == SW_OK; i++) {
        struct sw_str text = sw_buf_view(&session->screen.lines[i].text);
        while (text.len && text.ptr[text.len - 1] == ' ')
            text.len--;
        printf("%.*s\n", SW_STR_ARG(text));
    }
    return fflush(stdout) ? SW_CLOSED : status;
}

static enum sw_status plain_run(struct session *session) {
    enum sw_status status = sw_top_source_refresh(&session->source, &session->table); /* what rates are counted from */
    session->next_refresh_ns = sw_clock_mono_ns() + session->top->delay_ns;
    for (uint64_t frame = 0; frame < session->top->frames && !got_signal && status == SW_OK;) {
        status = sw_top_source_look(&session->source, session->next_refresh_ns);
        session->source.has_ended = status == SW_CLOSED;
        if (session->source.has_ended) {
            status = frame_print(session, frame == 0);
            break;
        }
        int64_t next_ns = session->next_refresh_ns;
        if (status == SW_OK)
            status = refresh(session);
        if (status == SW_OK && session->next_refresh_ns != next_ns)
            status = frame_print(session, frame++ == 0);
    }
    return status == SW_CLOSED ? SW_OK : status; /* the reader had enough, as `head` does */
}

static bool has_color(const struct sw_top *top) {
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if (top->color != SW_COLOR_AUTO)
        return top->color == SW_COLOR_ALWAYS;
    return !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

static enum sw_status session_run(struct session *session, struct sw_error *err) {
    const struct sw_top *top = session->top;
    enum sw_status status = SW_OK;
    session->table.by_line = top->by_line;
    session->view = (struct sw_top_view){.columns = 120,
                                         .is_utf8 = sw_terminal_is_utf8(),
                                         .sort = top->sort,
                                         .pane = top->has_threads ? SW_TOP_THREADS : SW_TOP_BOTH};
    memcpy(session->view.filter, top->filter.len ? top->filter.ptr : "", top->filter.len);
    if (table_begin(session) != SW_OK)
        return sw_fail(err, SW_NOMEM, "out of memory");
    signals_open();
    if (!top->frames) {
        status = sw_terminal_open(&session->terminal, has_color(top), err);
        if (status != SW_OK)
            return status;
    }
    status = top->frames ? plain_run(session) : live_run(session);
    sw_terminal_close(session->terminal);
    return status == SW_OK ? SW_OK : sw_fail(err, status, "cannot go on: %s", sw_status_text(status));
}

static enum sw_status top_run(const struct sw_top *top, struct sw_error *err) {
    struct session session = {.top = top};
    sw_files_allow();
    enum sw_status status = sw_top_source_open(&session.source, top->pid, top->rate_hz, top->what, err);
    if (status != SW_OK)
        return status;
    status = session_run(&session, err);
    sw_top_screen_release(&session.screen);
    sw_top_table_release(&session.table);
    sw_top_source_close(&session.source);
    return status;
}

static void help_print(void) {
    printf("usage: sidewinder top [OPTION ...] PID\n\n"
           "Shows live where the time of a running Python process goes: by function, by line, by thread, and who holds "
           "the GIL.\n");
    sw_options_print(sw_top_options);
    printf("\nKeys: q quit, ? help\n"
           "\nExamples:\n"
           "  sidewinder top 4242\n"
           "  sidewinder top 4242 --frames 1 --idle\n");
}

int sw_cmd_top(char **words) {
    struct sw_top top;
    struct sw_error err = {0};
    enum sw_status status = sw_top_parse(&top, words, &err);
    if (status != SW_OK) {
        fprintf(stderr, "sidewinder: %s\n", err.text);
        return SW_EXIT_USAGE;
    }
    if (top.wants_help) {
        help_print();
        return SW_EXIT_DONE;
    }
    status = top_run(&top, &err);
    if (status == SW_OK)
        return SW_EXIT_DONE;
    fprintf(stderr, "sidewinder: %s\n", err.text);
    return status == SW_INVALID ? SW_EXIT_USAGE : SW_EXIT_FAILED;
}
