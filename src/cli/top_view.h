/* top_view.h - The picture of `sidewinder top`, as lines of text that fit. */
#ifndef SW_CLI_TOP_VIEW_H
#define SW_CLI_TOP_VIEW_H

#include "cli/terminal.h"
#include "cli/top_source.h"

#define SW_TOP_FILTER_MAX 64

enum sw_top_pane { SW_TOP_BOTH, SW_TOP_THREADS };

struct sw_top_view {
    unsigned columns, rows; /* rows 0: as many as there are, for plain text */
    bool is_utf8;
    enum sw_top_sort sort;
    enum sw_top_pane pane;
    bool is_paused, is_typing, has_help;
    char filter[SW_TOP_FILTER_MAX];
    size_t scroll;      /* rows of the main table that are above the picture; brought into range */
    const char *notice; /* on the last line in place of the keys; NULL: none */
};

struct sw_top_line {
    enum sw_style style;
    struct sw_buf text;
    size_t cells; /* of the text */
};

struct sw_top_screen {
    struct sw_top_line *lines;
    size_t count, cap; /* lines behind `count` keep their memory */
};

/* Draws the picture anew. */
SW_MUST_USE enum sw_status sw_top_view_draw(struct sw_top_view *view, const struct sw_top_source *source,
                                            const struct sw_top_table *table, struct sw_top_screen *screen);
size_t sw_top_view_page(const struct sw_top_view *view,
                        const struct sw_top_source *source); /* rows of the main table */
void sw_top_screen_release(struct sw_top_screen *screen);

#endif
