/* child.c - posix_spawn with pipes, and a pidfd in the reactor that says when the child is over. */
#include "net/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

extern char **environ;

struct sw_child {
    struct sw_reactor *reactor;
    struct sw_watch watch; /* on the pidfd */
    pid_t pid;
    bool is_running;
    bool has_own_group;
    int pipes[3]; /* the parent's ends */
    sw_child_exit_fn fn;
    void *context;
};

/* The two ends of each standard stream; -1 where there is no pipe. */
struct ends {
    int parent[3];
    int child[3];
};

static void close_all(int fds[3]) {
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
            fds[i] = -1;
        }
    }
}

static int open_pipes(struct ends *ends, const enum sw_child_stdio modes[3]) {
    for (int i = 0; i < 3; i++) {
        int fds[2];
        if (modes[i] != SW_CHILD_PIPE) {
            continue;
        }
        if (pipe2(fds, O_CLOEXEC)) {
            return errno;
        }
        ends->parent[i] = fds[i == 0 ? 1 : 0];
        ends->child[i] = fds[i == 0 ? 0 : 1];
        if (fcntl(ends->parent[i], F_SETFL, O_NONBLOCK)) {
            return errno;
        }
    }
    return 0;
}

static int plan_files(posix_spawn_file_actions_t *actions, const struct ends *ends,
                      const enum sw_child_stdio modes[3]) {
    int error_number = 0;
    for (int i = 0; i < 3 && !error_number; i++) {
        if (modes[i] == SW_CHILD_NULL) {
            error_number = posix_spawn_file_actions_addopen(actions, i, "/dev/null", i == 0 ? O_RDONLY : O_WRONLY, 0);
        } else if (modes[i] == SW_CHILD_PIPE) {
            error_number = posix_spawn_file_actions_adddup2(actions, ends->child[i], i);
        }
    }
    return error_number;
}

static int plan_attributes(posix_spawnattr_t *attributes, bool has_own_group) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (has_own_group) {
        flags |= POSIX_SPAWN_SETPGROUP; /* group 0: the child's own pid */
    }
    int error_number = posix_spawnattr_setsigmask(attributes, &none);
    if (!error_number) {
        error_number = posix_spawnattr_setsigdefault(attributes, &all);
    }
    return error_number ? error_number : posix_spawnattr_setflags(attributes, flags);
}

static int spawn(pid_t *pid, const struct sw_child_options *options, const struct ends *ends) {
    const enum sw_child_stdio modes[3] = {options->in, options->out, options->err};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error_number = posix_spawn_file_actions_init(&actions);
    if (error_number) {
        return error_number;
    }
    error_number = posix_spawnattr_init(&attributes);
    if (!error_number) {
        error_number = plan_files(&actions, ends, modes);
        if (!error_number) {
            error_number = plan_attributes(&attributes, options->has_own_group);
        }
        if (!error_number) {
            char *const *argv = (char *const *)(uintptr_t)options->argv;
            char *const *envp = options->envp ? (char *const *)(uintptr_t)options->envp : environ;
            error_number = posix_spawnp(pid, argv[0], &actions, &attributes, argv, envp);
        }
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error_number;
}

static void on_exit_event(void *context, unsigned events) {
    struct sw_child *child = context;
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG) || info.si_pid == 0) {
        return;
    }
    child->is_running = false;
    sw_reactor_remove(child->reactor, &child->watch);
    close(child->watch.fd);
    child->watch.fd = -1;
    if (child->fn) {
        bool is_exit = info.si_code == CLD_EXITED;
        child->fn(child->context, is_exit ? info.si_status : -1, is_exit ? 0 : info.si_status);
    }
}

static enum sw_status watch_child(struct sw_child *child, struct sw_error *err) {
    int fd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    if (fd < 0) {
        return sw_fail_errno(err, errno, "cannot watch child process %d", (int)child->pid);
    }
    child->watch = (struct sw_watch){.fn = on_exit_event, .context = child, .fd = fd, .interest = SW_WATCH_READ};
    return sw_reactor_add(child->reactor, &child->watch, err);
}

enum sw_status sw_child_spawn(struct sw_child **out, struct sw_reactor *reactor, const struct sw_child_options *options,
                              struct sw_error *err) {
    const enum sw_child_stdio modes[3] = {options->in, options->out, options->err};
    struct ends ends = {{-1, -1, -1}, {-1, -1, -1}};
    struct sw_child *child = sw_alloc_zero(sizeof *child);
    if (!child) {
        return sw_fail(err, SW_NOMEM, "cannot start %s: out of memory", options->argv[0]);
    }
    *child = (struct sw_child){.reactor = reactor,
                               .watch.fd = -1,
                               .has_own_group = options->has_own_group,
                               .pipes = {-1, -1, -1},
                               .fn = options->fn,
                               .context = options->context};
    int error_number = open_pipes(&ends, modes);
    if (!error_number) {
        error_number = spawn(&child->pid, options, &ends);
    }
    close_all(ends.child);
    if (error_number) {
        close_all(ends.parent);
        sw_free(child);
        return sw_fail_errno(err, error_number, "cannot start %s", options->argv[0]);
    }
    memcpy(child->pipes, ends.parent, sizeof child->pipes);
    child->is_running = true;
    enum sw_status status = watch_child(child, err);
    if (status != SW_OK) {
        sw_child_close(child);
        return status;
    }
    *out = child;
    return SW_OK;
}

pid_t sw_child_pid(const struct sw_child *child) {
    return child->pid;
}

bool sw_child_is_running(const struct sw_child *child) {
    return child->is_running;
}

int sw_child_take_pipe(struct sw_child *child, int which) {
    int fd = child->pipes[which];
    child->pipes[which] = -1;
    return fd;
}

enum sw_status sw_child_kill(struct sw_child *child, int signal_number, struct sw_error *err) {
    if (!child->is_running) {
        return sw_fail(err, SW_CLOSED, "cannot signal process %d: it has ended", (int)child->pid);
    }
    if (kill(child->has_own_group ? -child->pid : child->pid, signal_number)) {
        return sw_fail_errno(err, errno, "cannot signal process %d", (int)child->pid);
    }
    return SW_OK;
}

void sw_child_close(struct sw_child *child) {
    if (!child) {
        return;
    }
    sw_reactor_remove(child->reactor, &child->watch);
    if (child->is_running) {
        kill(child->has_own_group ? -child->pid : child->pid, SIGKILL);
        while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (child->watch.fd >= 0) {
        close(child->watch.fd);
    }
    close_all(child->pipes);
    sw_free(child);
}
