/* record_output.h - Where a recording goes: a file that appears whole or not at all, or a stream. */
#ifndef SW_CLI_RECORD_OUTPUT_H
#define SW_CLI_RECORD_OUTPUT_H

#include <limits.h>

#include "base/status.h"
#include "base/str.h"

struct sw_record_output {
    char path[PATH_MAX]; /* "-": stdout */
    bool is_stream;      /* stdout, a pipe or a device: written as it is */
};

/* Finds out whether `path` can be written before anything is recorded. */
SW_MUST_USE enum sw_status sw_record_output_open(struct sw_record_output *output, struct sw_str path,
                                                 struct sw_error *err);
/* "sidewinder-SUBJECT-20260131-235959ENDING", in local time; the ending has its dot. */
void sw_record_output_name(char name[NAME_MAX], struct sw_str subject, const char *ending);
/* Writes all. A file is written beside its place and moved there when it is complete; on failure nothing is left. */
SW_MUST_USE enum sw_status sw_record_output_write(const struct sw_record_output *output, struct sw_str bytes,
                                                  struct sw_error *err);

#endif
