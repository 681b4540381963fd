/* terminal.h - The whole screen of a terminal: lines that are drawn when they change, and keys.
 *
 * Plain ANSI sequences on the alternate screen. The terminal is put back on closing, when the process is stopped (Ctrl-Z), ended
 * by a signal or crashes. There is one at a time, owned by the thread that opened it.
 */
#ifndef SW_CLI_TERMINAL_H
#define SW_CLI_TERMINAL_H

#include <stdbool.h>

#include "base/str.h"

enum sw_key {
    SW_KEY_NONE = 0, /* up to 255: bytes as they were typed */
    SW_KEY_ENTER = 13,
    SW_KEY_ESCAPE = 27,
    SW_KEY_BACKSPACE = 127,
    SW_KEY_UP = 256,
    SW_KEY_DOWN,
    SW_KEY_LEFT,
    SW_KEY_RIGHT,
    SW_KEY_PAGE_UP,
    SW_KEY_PAGE_DOWN,
    SW_KEY_HOME,
    SW_KEY_END,
    SW_KEY_CLOSED, /* the terminal is gone */
};

enum sw_style { SW_STYLE_PLAIN, SW_STYLE_TITLE, SW_STYLE_HEAD, SW_STYLE_HOT, SW_STYLE_WARM, SW_STYLE_DIM };

#define SW_TERMINAL_COLUMNS_MAX 1000
#define SW_TERMINAL_ROWS_MAX 500

struct sw_terminal;

/* stdin and stdout are the terminal. SW_UNSUPPORTED: they are not one. */
SW_MUST_USE enum sw_status sw_terminal_open(struct sw_terminal **terminal, bool has_color, struct sw_error *err);
void sw_terminal_close(struct sw_terminal *terminal); /* NULL is fine */
bool sw_terminal_is_utf8(void);                       /* as the locale's variables say */

/* True when the size changed, or all is to be drawn anew, since the last call. */
bool sw_terminal_is_stale(struct sw_terminal *terminal);
unsigned sw_terminal_columns(const struct sw_terminal *terminal);
unsigned sw_terminal_rows(const struct sw_terminal *terminal);
/* The text of a row from 0 on, of at most as many cells as there are columns. It is copied. */
SW_MUST_USE enum sw_status sw_terminal_line(struct sw_terminal *terminal, unsigned row, enum sw_style style,
                                            struct sw_str text);
/* Sends what has changed since the last call. */
SW_MUST_USE enum sw_status sw_terminal_show(struct sw_terminal *terminal);
/* The next key that was pressed, SW_KEY_NONE when there is none; never waits. */
int sw_terminal_key(struct sw_terminal *terminal);

#endif
