/* fractal_file.h - A file that is there when it is whole: written under another name, then renamed. */
#ifndef SW_CLI_FRACTAL_FILE_H
#define SW_CLI_FRACTAL_FILE_H

#include <limits.h>
#include <stdbool.h>

#include "base/status.h"
#include "base/str.h"

struct sw_fractal_file {
    char path[PATH_MAX];      /* what links lead to */
    char temp[PATH_MAX + 16]; /* empty: written in place, as it is stdout or a device */
    int fd;
    bool is_stdout;
};

/* "-" is stdout. Devices and pipes are written in place. */
SW_MUST_USE enum sw_status sw_fractal_file_open(struct sw_fractal_file *file, const char *path, struct sw_error *err);
/* The context is the file; fits struct sw_png_options. */
SW_MUST_USE enum sw_status sw_fractal_file_write(void *context, struct sw_str bytes, struct sw_error *err);
/* Closes it and gives it its name; on failure nothing is left. */
SW_MUST_USE enum sw_status sw_fractal_file_commit(struct sw_fractal_file *file, struct sw_error *err);
void sw_fractal_file_discard(struct sw_fractal_file *file); /* nothing is left of it */

#endif
