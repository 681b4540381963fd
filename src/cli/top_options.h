/* top_options.h - The options of `sidewinder top`. */
#ifndef SW_CLI_TOP_OPTIONS_H
#define SW_CLI_TOP_OPTIONS_H

#include "cli/options.h"
#include "cli/top_view.h"

enum sw_color_when { SW_COLOR_AUTO, SW_COLOR_ALWAYS, SW_COLOR_NEVER };

struct sw_top {
    int32_t pid;
    double rate_hz;
    int64_t delay_ns; /* from one picture to the next */
    uint64_t frames;  /* plain pictures to print; 0: live */
    enum sw_sampler_what what;
    enum sw_top_sort sort;
    bool by_line, has_threads;
    struct sw_str filter;
    enum sw_color_when color;
    bool wants_help;
};

extern const struct sw_option sw_top_options[];

/* SW_INVALID says what is wrong. */
SW_MUST_USE enum sw_status sw_top_parse(struct sw_top *top, char **words, struct sw_error *err);

#endif
