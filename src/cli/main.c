/* main.c - The command `sidewinder`: finds the command by its name. */
#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "cli/command.h"

static const struct {
    const char *name;
    const char *summary;
    int (*run)(char **words);
} commands[] = {
#define COMMAND(name, summary) {#name, summary, sw_cmd_##name},
#include "cli/commands.def"
#undef COMMAND
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void usage_print(FILE *to) {
    fprintf(to, "usage: sidewinder COMMAND [OPTION ...]\n\nCommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(to, "\n`sidewinder COMMAND --help` explains a command; `sidewinder --version` prints the version.\n");
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        usage_print(name ? stdout : stderr);
        return name ? SW_EXIT_DONE : SW_EXIT_USAGE;
    }
    if (strcmp(name, "--version") == 0) {
        printf("sidewinder %s\n", sw_version());
        return SW_EXIT_DONE;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argv + 2);
    fprintf(stderr, "sidewinder: unknown command '%s'; see sidewinder --help\n", name);
    return SW_EXIT_USAGE;
}
