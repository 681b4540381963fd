/* command.h - What every command is: a function over its words that returns the exit code. */
#ifndef SW_CLI_COMMAND_H
#define SW_CLI_COMMAND_H

enum sw_exit { SW_EXIT_DONE = 0, SW_EXIT_FAILED = 1, SW_EXIT_USAGE = 2 };

/* `words` are those behind the command's name, ended by NULL. */
#define COMMAND(name, summary) int sw_cmd_##name(char **words);
#include "cli/commands.def"
#undef COMMAND

#endif
