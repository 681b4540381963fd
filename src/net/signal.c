/* signal.c - Reads a signalfd and calls back once per signal. */
#include "net/signal.h"

#include <errno.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define SIGNALS_PER_TURN 16

static void read_signals(void *context, unsigned events) {
    struct sw_signals *signals = context;
    struct signalfd_siginfo infos[SIGNALS_PER_TURN];
    ssize_t got = read(signals->fd, infos, sizeof infos);
    size_t count = got > 0 ? (size_t)got / sizeof infos[0] : 0;
    for (size_t i = 0; i < count && signals->reactor; i++) {
        signals->fn(signals->context, (int)infos[i].ssi_signo);
    }
}

enum sw_status sw_signals_open(struct sw_signals *signals, struct sw_reactor *reactor, const sigset_t *set,
                               struct sw_error *err) {
    int error_number = pthread_sigmask(SIG_BLOCK, set, &signals->before);
    if (error_number) {
        return sw_fail_errno(err, error_number, "cannot block signals");
    }
    int fd = signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        error_number = errno;
        pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
        return sw_fail_errno(err, error_number, "cannot create a signalfd");
    }
    signals->fd = fd;
    signals->watch = (struct sw_watch){.fn = read_signals, .context = signals, .fd = fd, .interest = SW_WATCH_READ};
    enum sw_status status = sw_reactor_add(reactor, &signals->watch, err);
    if (status != SW_OK) {
        close(fd);
        pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
        return status;
    }
    signals->reactor = reactor;
    return SW_OK;
}

void sw_signals_close(struct sw_signals *signals) {
    if (!signals->reactor) {
        return;
    }
    sw_reactor_remove(signals->reactor, &signals->watch);
    close(signals->fd);
    pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
    signals->reactor = NULL;
}
