/* gil_attach.h - `sidewinder gil PID`: watches the GIL of a running process and reports. */
#ifndef SW_CLI_GIL_ATTACH_H
#define SW_CLI_GIL_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct sw_gil_attach_options {
    int32_t pid;
    int64_t duration_ns;
    double rate_hz;       /* 0: the usual */
    struct sw_str output; /* empty: text only */
    bool is_quiet;        /* no progress */
};

/* Whether the ending of `path` names a form: .png, .svg, .html or .json. */
bool sw_gil_attach_has_form(struct sw_str path);
/* Returns the exit code. */
int sw_gil_attach_run(const struct sw_gil_attach_options *options);

#endif
