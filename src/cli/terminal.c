/* terminal.c - Raw mode, the alternate screen, drawing by difference, and key sequences; see terminal.h. */
#include "cli/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

#define ENTER "\033[?1049h\033[?25l\033[2J"
#define LEAVE "\033[0m\033[?25h\033[?1049l"
#define KEYS_MAX 64
#define COLUMNS_DEFAULT 80
#define ROWS_DEFAULT 24
#define SEQUENCE_WAIT_MS 25 /* for what follows an escape; over ssh a sequence may come in two pieces */

struct line {
    enum sw_style style;
    struct sw_buf text;
    bool is_drawn; /* as it is */
};

struct sw_terminal {
    bool has_color;
    unsigned columns, rows;
    struct line *lines;
    unsigned line_count;
    struct sw_buf out;
    char keys[KEYS_MAX];
    size_t key_count;
};

static struct termios saved_mode, raw_mode;
static volatile sig_atomic_t is_open, is_entered, is_resized;

static void write_all(const char *bytes, size_t len) {
    while (len) {
        ssize_t put = write(STDOUT_FILENO, bytes, len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return;
        bytes += put;
        len -= (size_t)put;
    }
}

/* Both may run in a signal handler: write and tcsetattr are safe there. */
static void enter(void) {
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw_mode);
    write_all(ENTER, sizeof ENTER - 1);
    is_entered = 1;
}

static void leave(void) {
    is_entered = 0;
    write_all(LEAVE, sizeof LEAVE - 1);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_mode);
}

static void on_resize(int number) {
    is_resized = 1;
}

/* Stops as if there were no handler, in between with the terminal as it was. Without a shell that could let it go on, as in
 * `ssh -t host sidewinder top`, the kernel does not stop it. */
static void on_stop(int number) {
    int error_number = errno;
    struct sigaction usual = {.sa_handler = SIG_DFL}, before;
    sigset_t just_this;
    if (is_open)
        leave();
    sigemptyset(&usual.sa_mask);
    sigaction(number, &usual, &before);
    sigemptyset(&just_this);
    sigaddset(&just_this, number);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &just_this, NULL); /* it stops here */
    sigprocmask(SIG_BLOCK, &just_this, NULL);
    sigaction(number, &before, NULL);
    if (is_open && !is_entered)
        enter();
    is_resized = 1;
    errno = error_number;
}

/* After a SIGSTOP too, which nothing can prepare for. */
static void on_continue(int number) {
    int error_number = errno;
    if (is_open)
        enter();
    is_resized = 1;
    errno = error_number;
}

static void on_crash(int number) {
    if (is_open)
        leave();
    is_open = 0;
    signal(number, SIG_DFL);
    raise(number);
}

static void handle(int number, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void signals_take(void) {
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT};
    handle(SIGWINCH, on_resize);
    handle(SIGTSTP, on_stop);
    handle(SIGCONT, on_continue);
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        handle(crashes[i], on_crash);
}

static void size_read(struct sw_terminal *terminal) {
    struct winsize size;
    bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row;
    terminal->columns = is_known ? size.ws_col : COLUMNS_DEFAULT;
    terminal->rows = is_known ? size.ws_row : ROWS_DEFAULT;
    if (terminal->columns > SW_TERMINAL_COLUMNS_MAX)
        terminal->columns = SW_TERMINAL_COLUMNS_MAX;
    if (terminal->rows > SW_TERMINAL_ROWS_MAX)
        terminal->rows = SW_TERMINAL_ROWS_MAX;
}

static const char *style_start(const struct sw_terminal *terminal, enum sw_style style) {
    static const char *const coloured[] = {
        [SW_STYLE_PLAIN] = "",         [SW_STYLE_TITLE] = "\033[1m", [SW_STYLE_HEAD] = "\033[7m",
        [SW_STYLE_HOT] = "\033[1;31m", [SW_STYLE_WARM] = "\033[33m", [SW_STYLE_DIM] = "\033[2m"};
    static const char *const plain[] = {
        [SW_STYLE_PLAIN] = "",      [SW_STYLE_TITLE] = "\033[1m", [SW_STYLE_HEAD] = "\033[7m",
        [SW_STYLE_HOT] = "\033[1m", [SW_STYLE_WARM] = "",         [SW_STYLE_DIM] = ""};
    return terminal->has_color ? coloured[style] : plain[style];
}

static enum sw_status line_send(struct sw_terminal *terminal, unsigned row) {
    struct line *line = &terminal->lines[row];
    const char *style = style_start(terminal, line->style);
    enum sw_status status = sw_buf_append_format(&terminal->out, "\033[%u;1H%s", row + 1, style);
    if (status == SW_OK)
        status = sw_buf_append(&terminal->out, sw_buf_view(&line->text));
    if (status == SW_OK && *style)
        status = sw_buf_append(&terminal->out, SW_STR("\033[0m"));
    if (status == SW_OK)
        status = sw_buf_append(&terminal->out, SW_STR("\033[K"));
    line->is_drawn = status == SW_OK;
    return status;
}

/* Bytes that have come; false: none, and there will be none. */
static bool keys_fill(struct sw_terminal *terminal, int wait_ms) {
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    if (terminal->key_count == KEYS_MAX || poll(&in, 1, wait_ms) <= 0)
        return true;
    ssize_t got = read(STDIN_FILENO, terminal->keys + terminal->key_count, KEYS_MAX - terminal->key_count);
    if (got > 0)
        terminal->key_count += (size_t)got;
    return got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN));
}

static void keys_drop(struct sw_terminal *terminal, size_t count) {
    terminal->key_count -= count;
    memmove(terminal->keys, terminal->keys + count, terminal->key_count);
}

/* What an escape begins: CSI or SS3, parameters, a final byte. Unknown ones are swallowed whole. */
static int sequence_take(struct sw_terminal *terminal) {
    static const struct {
        char final, parameter;
        int key;
    } known[] = {{'A', 0, SW_KEY_UP},         {'B', 0, SW_KEY_DOWN},  {'C', 0, SW_KEY_RIGHT},
                 {'D', 0, SW_KEY_LEFT},       {'H', 0, SW_KEY_HOME},  {'F', 0, SW_KEY_END},
                 {'~', '1', SW_KEY_HOME},     {'~', '4', SW_KEY_END}, {'~', '5', SW_KEY_PAGE_UP},
                 {'~', '6', SW_KEY_PAGE_DOWN}};
    size_t at = 2;
    if (terminal->key_count == 1)
        (void)keys_fill(terminal, SEQUENCE_WAIT_MS);
    if (terminal->key_count < 2 || (terminal->keys[1] != '[' && terminal->keys[1] != 'O')) {
        keys_drop(terminal, 1);
        return SW_KEY_ESCAPE;
    }
    if (terminal->key_count == 2)
        (void)keys_fill(terminal, SEQUENCE_WAIT_MS);
    while (at < terminal->key_count && (terminal->keys[at] < 0x40 || terminal->keys[at] > 0x7e))
        at++;
    char final = at < terminal->key_count ? terminal->keys[at] : 0, parameter = terminal->keys[2];
    keys_drop(terminal, at < terminal->key_count ? at + 1 : terminal->key_count);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].final == final && (!known[i].parameter || known[i].parameter == parameter))
            return known[i].key;
    return SW_KEY_NONE;
}

bool sw_terminal_is_utf8(void) {
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < 3; i++) {
        struct sw_str value = sw_str_from(getenv(names[i]));
        if (!value.len)
            continue;
        struct sw_str rest = value;
        (void)sw_str_cut(&rest, '.');
        rest = sw_str_make(rest.ptr, rest.ptr ? sw_str_find(rest, '@') : 0);
        return sw_str_eq_nocase(rest, SW_STR("UTF-8")) || sw_str_eq_nocase(rest, SW_STR("utf8"));
    }
    return false;
}

enum sw_status sw_terminal_open(struct sw_terminal **out, bool has_color, struct sw_error *err) {
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &saved_mode))
        return sw_fail(err, SW_UNSUPPORTED, "this is no terminal; --frames N prints N pictures as plain text");
    struct sw_terminal *terminal = sw_alloc_zero(sizeof *terminal);
    if (!terminal)
        return sw_fail(err, SW_NOMEM, "cannot use the terminal: out of memory");
    terminal->has_color = has_color;
    raw_mode = saved_mode;
    raw_mode.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | IXON);
    raw_mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN); /* Ctrl-C and Ctrl-Z remain signals */
    raw_mode.c_cc[VMIN] = 1;
    raw_mode.c_cc[VTIME] = 0;
    signals_take();
    is_open = 1;
    is_resized = 1;
    enter();
    *out = terminal;
    return SW_OK;
}

void sw_terminal_close(struct sw_terminal *terminal) {
    if (!terminal)
        return;
    if (is_open)
        leave();
    is_open = 0;
    for (unsigned i = 0; i < terminal->line_count; i++)
        sw_buf_release(&terminal->lines[i].text);
    sw_free(terminal->lines);
    sw_buf_release(&terminal->out);
    sw_free(terminal);
}

bool sw_terminal_is_stale(struct sw_terminal *terminal) {
    if (!is_resized)
        return false;
    is_resized = 0;
    size_read(terminal);
    if (terminal->rows > terminal->line_count) {
        struct line *grown = sw_realloc_array(terminal->lines, terminal->rows, sizeof *grown);
        if (grown) {
            memset(grown + terminal->line_count, 0, (terminal->rows - terminal->line_count) * sizeof *grown);
            terminal->lines = grown;
            terminal->line_count = terminal->rows;
        } else {
            terminal->rows = terminal->line_count;
        }
    }
    for (unsigned i = 0; i < terminal->line_count; i++)
        terminal->lines[i].is_drawn = false;
    return true;
}

unsigned sw_terminal_columns(const struct sw_terminal *terminal) {
    return terminal->columns;
}

unsigned sw_terminal_rows(const struct sw_terminal *terminal) {
    return terminal->rows;
}

enum sw_status sw_terminal_line(struct sw_terminal *terminal, unsigned row, enum sw_style style, struct sw_str text) {
    if (row >= terminal->rows)
        return SW_OK;
    struct line *line = &terminal->lines[row];
    if (line->style == style && sw_str_eq(sw_buf_view(&line->text), text))
        return SW_OK;
    line->is_drawn = false;
    line->style = style;
    sw_buf_clear(&line->text);
    return sw_buf_append(&line->text, text);
}

enum sw_status sw_terminal_show(struct sw_terminal *terminal) {
    enum sw_status status = SW_OK;
    sw_buf_clear(&terminal->out);
    for (unsigned row = 0; row < terminal->rows && status == SW_OK; row++)
        if (!terminal->lines[row].is_drawn)
            status = line_send(terminal, row);
    if (status == SW_OK)
        write_all(terminal->out.ptr, terminal->out.len);
    return status;
}

int sw_terminal_key(struct sw_terminal *terminal) {
    if (!terminal->key_count && !keys_fill(terminal, 0))
        return SW_KEY_CLOSED;
    if (!terminal->key_count)
        return SW_KEY_NONE;
    if (terminal->keys[0] == SW_KEY_ESCAPE)
        return sequence_take(terminal);
    int key = (unsigned char)terminal->keys[0];
    keys_drop(terminal, 1);
    return key == '\n' ? SW_KEY_ENTER : key == '\b' ? SW_KEY_BACKSPACE : key;
}
