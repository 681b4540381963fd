/* native_stop.c - Stops one thread of a target for a moment, and lets it go whatever happens to it meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "probe/native_impl.h"

#define STOP_WAIT_NS (20 * SW_NS_PER_MS)
#define STOP_SPINS 64 /* looks, of some 0.3 us, before the first sleep: a thread on a CPU stops within 5 us */
#define STOP_POLL_NS (10 * SW_NS_PER_US)
#define REFUSED_NS SW_NS_PER_S /* how long a refusal is believed */

/* What the kernel says about a thread: its state's letter and two numbers; zeros when it is gone. */
struct thread_status {
    char state;
    long parent, tracer;
};

static const char *field_find(const char *text, const char *name) {
    const char *at = strstr(text, name);
    at = at ? at + strlen(name) : "";
    return at + strspn(at, " \t");
}

static struct thread_status status_read(const struct sw_native *native, int32_t tid) {
    char name[48], text[4096];
    snprintf(name, sizeof name, "task/%d/status", (int)tid);
    int fd = openat(native->target->proc_fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = '\0';
    return (struct thread_status){.state = field_find(text, "\nState:")[0],
                                  .parent = strtol(field_find(text, "\nPPid:"), NULL, 10),
                                  .tracer = strtol(field_find(text, "\nTracerPid:"), NULL, 10)};
}

static bool is_ending(const struct sw_native *native, int32_t tid) {
    char state = status_read(native, tid).state;
    return state == '\0' || state == 'Z' || state == 'X' || state == 'x';
}

/* Whether this process started the target, and it has ended: that is for waitpid elsewhere to see. */
static bool is_end_of_child(const struct sw_native *native, int32_t tid) {
    siginfo_t info = {0};
    if (tid != native->target->pid || waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0)
        return false;
    bool has_ended = info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
    return has_ended && status_read(native, tid).parent == (long)getpid();
}

/* Looks whether `tid` has stopped: for the stop asked for, or any other that came first, whose signal is given back at
 * resume. SW_AGAIN: not yet. */
static enum sw_status stop_poll(struct sw_native *native, int32_t tid) {
    int how = 0;
    if (is_end_of_child(native, tid))
        return SW_CLOSED;
    pid_t pid = waitpid(tid, &how, __WALL | WNOHANG);
    if (pid == 0)
        return SW_AGAIN;
    if (pid != tid || !WIFSTOPPED(how))
        return SW_CLOSED;
    native->stopped_tid = tid;
    native->pending_signal = how >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(how);
    return SW_OK;
}

static enum sw_status stop_wait(struct sw_native *native, int32_t tid) {
    int64_t deadline = sw_clock_mono_ns() + STOP_WAIT_NS;
    enum sw_status status;
    for (unsigned i = 0; (status = stop_poll(native, tid)) == SW_AGAIN && sw_clock_mono_ns() < deadline; i++)
        if (i >= STOP_SPINS)
            sw_clock_sleep_ns(STOP_POLL_NS);
    return status;
}

/* Ctrl-Z must not suspend this process while it has a thread stopped. */
static void suspension_hold(struct sw_native *native) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    sigaddset(&set, SIGTTIN);
    sigaddset(&set, SIGTTOU);
    if (!native->has_mask)
        native->has_mask = pthread_sigmask(SIG_BLOCK, &set, &native->mask) == 0;
}

static void suspension_allow(struct sw_native *native) {
    if (native->has_mask && native->stopped_tid == 0 && native->late_tid == 0)
        native->has_mask = pthread_sigmask(SIG_SETMASK, &native->mask, NULL) != 0;
}

/* After exec in a thread that was to be stopped, it goes by the id of its process. */
static bool is_traced_still(const struct sw_native *native, int32_t tid) {
    return status_read(native, tid).tracer == syscall(SYS_gettid);
}

bool sw_native_settle(struct sw_native *native) {
    if (native->late_tid == 0)
        return true;
    enum sw_status status = stop_poll(native, native->late_tid);
    if (status == SW_AGAIN)
        return false;
    int32_t pid = native->target->pid;
    bool is_renamed = status != SW_OK && native->late_tid != pid && is_traced_still(native, pid);
    native->late_tid = is_renamed ? pid : 0;
    sw_native_resume(native);
    suspension_allow(native);
    return native->late_tid == 0;
}

enum sw_status sw_native_stop(struct sw_native *native, int32_t tid) {
    if (native->stopped_tid == tid)
        return SW_OK;
    sw_native_resume(native);
    if (!sw_native_settle(native))
        return SW_AGAIN;
    if (sw_clock_mono_ns() < native->refused_until_ns)
        return SW_PERM;
    suspension_hold(native);
    enum sw_status status = SW_OK;
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0) {
        status = errno == ESRCH || is_ending(native, tid) ? SW_CLOSED : SW_PERM;
        if (status == SW_PERM)
            native->refused_until_ns = sw_clock_mono_ns() + REFUSED_NS;
    } else {
        /* It fails only for a thread that is just ending: then the wait sees that. */
        (void)ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
        status = stop_wait(native, tid);
        native->late_tid = status == SW_AGAIN ? tid : 0;
    }
    suspension_allow(native);
    return status;
}

void sw_native_resume(struct sw_native *native) {
    int32_t tid = native->stopped_tid;
    if (tid == 0)
        return;
    /* Killed meanwhile: until its end is seen here, its parent does not see it either. */
    if (ptrace(PTRACE_DETACH, tid, NULL, (void *)(intptr_t)native->pending_signal) != 0)
        native->late_tid = tid;
    native->stopped_tid = 0;
    native->pending_signal = 0;
    suspension_allow(native);
}
