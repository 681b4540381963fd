/* options.h - Command-line options as a table: parsing, help text and the documentation test all read the same rows. */
#ifndef SW_CLI_OPTIONS_H
#define SW_CLI_OPTIONS_H

#include <limits.h>

#include "base/status.h"
#include "base/str.h"

struct sw_option {
    const char *name;     /* without the dashes */
    const char *argument; /* what stands behind it in the help; NULL: a flag */
    const char *help;     /* NULL: `name` is the heading of a group */
    char letter;          /* short form, as in -o; 0: none */
};

#define SW_OPTION_WORD UINT_MAX /* the index of a word that is no option, such as a pid */

/* Called for each option, and each word that is none, in order; `index` is the option's row or SW_OPTION_WORD. A failure
 * ends the parsing. */
typedef enum sw_status (*sw_option_fn)(void *context, unsigned index, struct sw_str value, struct sw_error *err);

/* "--name value", "--name=value", "-n value" and "-nvalue". Words that are no option are refused unless `words_are` says
 * in the plural what they are ("process ids"). The table ends with a row without a name. SW_INVALID names the word and
 * the nearest option. "--" ends the options: *rest is what stands behind it (at the closing NULL when there is no "--");
 * `rest` NULL refuses it. */
struct sw_option_syntax {
    const struct sw_option *options;
    const char *words_are; /* NULL: none are taken */
    char ***rest;
};
SW_MUST_USE enum sw_status sw_options_parse(const struct sw_option_syntax *syntax, char **words, sw_option_fn fn,
                                            void *context, struct sw_error *err);
/* A duration as options take it: "500ms", "10s", "5m", or a plain number of seconds, "2.5". SW_INVALID names the option. */
SW_MUST_USE enum sw_status sw_option_duration(const struct sw_option *option, struct sw_str value, int64_t *duration_ns,
                                              struct sw_error *err);
void sw_options_print(const struct sw_option *options); /* to stdout, two columns */

#endif
