/* record_command.c - posix_spawn, and waiting for the child with a limit; see record_command.h. */
#include "cli/record_command.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

extern char **environ;

/* Handlers of ours are reset by exec; only what we ignore has to be given back. */
static int attributes_plan(posix_spawnattr_t *attributes) {
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGPIPE);
    int error_number = posix_spawnattr_setsigdefault(attributes, &ours);
    return error_number ? error_number : posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF);
}

static int spawn(pid_t *pid, char **words, bool is_stdout_ours) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error_number = posix_spawn_file_actions_init(&actions);
    if (error_number)
        return error_number;
    error_number = posix_spawnattr_init(&attributes);
    if (!error_number) {
        if (is_stdout_ours)
            error_number = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
        if (!error_number)
            error_number = attributes_plan(&attributes);
        if (!error_number)
            error_number = posix_spawnp(pid, words[0], &actions, &attributes, words, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error_number;
}

enum sw_status sw_record_command_start(struct sw_record_command *command, char **words, bool is_stdout_ours,
                                       struct sw_error *err) {
    pid_t pid;
    int error_number = spawn(&pid, words, is_stdout_ours);
    if (error_number)
        return sw_fail_errno(err, error_number, "cannot start %s", words[0]);
    *command = (struct sw_record_command){.pid = (int32_t)pid};
    return SW_OK;
}

/* The child is left a zombie meanwhile, so its pid cannot be given to another process. */
static void end_await(const struct sw_record_command *command, int64_t timeout_ns) {
    int fd = (int)syscall(SYS_pidfd_open, command->pid, 0);
    struct pollfd watch = {.fd = fd, .events = POLLIN};
    if (fd < 0) {
        sw_clock_sleep_ns(timeout_ns < 10 * SW_NS_PER_MS ? timeout_ns : 10 * SW_NS_PER_MS);
        return;
    }
    (void)poll(&watch, 1, (int)(timeout_ns / SW_NS_PER_MS));
    close(fd);
}

bool sw_record_command_poll(struct sw_record_command *command, int64_t timeout_ns) {
    int status;
    if (command->has_ended || !command->pid)
        return true;
    if (timeout_ns > 0)
        end_await(command, timeout_ns);
    if (waitpid(command->pid, &status, WNOHANG) != command->pid || (!WIFEXITED(status) && !WIFSIGNALED(status)))
        return false;
    command->has_ended = true;
    command->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    command->signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return true;
}

void sw_record_command_terminate(struct sw_record_command *command) {
    if (command->pid && !command->has_ended)
        (void)kill(command->pid, SIGTERM);
}
