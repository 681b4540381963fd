/* record_command.h - The command that `sidewinder record -- COMMAND` starts: a child with the terminal's streams and signals. */
#ifndef SW_CLI_RECORD_COMMAND_H
#define SW_CLI_RECORD_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct sw_record_command {
    int32_t pid; /* 0: none was started */
    bool has_ended;
    int exit_code;     /* once ended; -1: a signal ended it */
    int signal_number; /* that signal */
};

/* Looked up in PATH. Its streams are ours, except that `is_stdout_ours` sends its stdout to stderr, so that only data goes
 * to stdout. It stays in our process group: Ctrl-C reaches both. */
SW_MUST_USE enum sw_status sw_record_command_start(struct sw_record_command *command, char **words, bool is_stdout_ours,
                                                   struct sw_error *err);
/* Waits for the end for at most `timeout_ns`; 0: only looks. True when it has ended. A signal ends the wait. */
bool sw_record_command_poll(struct sw_record_command *command, int64_t timeout_ns);
void sw_record_command_terminate(struct sw_record_command *command); /* SIGTERM, unless it has ended */

#endif
