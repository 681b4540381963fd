/* child.h - Child processes on a reactor: started without a shell, their end reported through a pidfd. */
#ifndef SW_NET_CHILD_H
#define SW_NET_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/status.h"
#include "net/reactor.h"

enum sw_child_stdio {
    SW_CHILD_NULL,    /* /dev/null */
    SW_CHILD_INHERIT, /* the parent's */
    SW_CHILD_PIPE,    /* a pipe whose parent end is non-blocking */
};

struct sw_child;

/* Called once. `exit_code` is 0-255, or -1 when `signal_number` ended it. */
typedef void (*sw_child_exit_fn)(void *context, int exit_code, int signal_number);

struct sw_child_options {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
    const char *const *envp; /* NULL: the parent's */
    enum sw_child_stdio in, out, err;
    bool has_own_group; /* a process group of its own, which sw_child_kill then addresses */
    sw_child_exit_fn fn;
    void *context;
};

/* The child starts with default signal handling and an empty mask. */
SW_MUST_USE enum sw_status sw_child_spawn(struct sw_child **child, struct sw_reactor *reactor,
                                          const struct sw_child_options *options, struct sw_error *err);
pid_t sw_child_pid(const struct sw_child *child);
bool sw_child_is_running(const struct sw_child *child);
/* The parent's end of a pipe (0 stdin, 1 stdout, 2 stderr), which becomes the caller's; -1 if there is none (any
 * more). */
int sw_child_take_pipe(struct sw_child *child, int which);
SW_MUST_USE enum sw_status sw_child_kill(struct sw_child *child, int signal_number, struct sw_error *err);
void sw_child_close(struct sw_child *child); /* kills (SIGKILL) and reaps it if it still runs; frees */

#endif
