/* options.h - Command-line options as a table: parsing, help text and the documentation test all read the same rows. */
#ifndef SW_CLI_OPTIONS_H
#define SW_CLI_OPTIONS_H

#include "base/status.h"
#include "base/str.h"

struct sw_option {
    const char *name;     /* without the dashes */
    const char *argument; /* what stands behind it in the help; NULL: a flag */
    const char *help;     /* NULL: `name` is the heading of a group */
};

/* Called for each option in order; `index` is its row. A failure ends the parsing. */
typedef enum sw_status (*sw_option_fn)(void *context, unsigned index, struct sw_str value, struct sw_error *err);

/* "--name value" and "--name=value"; "--" and other words are refused, as no command here takes any. The table ends with a row without a
 * name. SW_INVALID names the word and the nearest option. */
SW_MUST_USE enum sw_status sw_options_parse(const struct sw_option *options, char **words, sw_option_fn fn,
                                            void *context, struct sw_error *err);
void sw_options_print(const struct sw_option *options); /* to stdout, two columns */

#endif
