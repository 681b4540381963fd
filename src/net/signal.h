/* signal.h - Signals as events of a reactor (signalfd).
 *
 * The signals are blocked in the calling thread, so open it before other threads start (sw_thread_start blocks all
 * signals in new threads anyway).
 */
#ifndef SW_NET_SIGNAL_H
#define SW_NET_SIGNAL_H

#include <signal.h>

#include "base/status.h"
#include "net/reactor.h"

typedef void (*sw_signal_fn)(void *context, int signal_number);

/* Zero is valid and closed. */
struct sw_signals {
    struct sw_reactor *reactor; /* NULL while closed */
    struct sw_watch watch;
    int fd;
    sigset_t before; /* the thread's mask at open */
    sw_signal_fn fn;
    void *context;
};

/* fn and context are set by the caller. */
SW_MUST_USE enum sw_status sw_signals_open(struct sw_signals *signals, struct sw_reactor *reactor, const sigset_t *set,
                                           struct sw_error *err);
void sw_signals_close(struct sw_signals *signals); /* restores the thread's mask; same thread as open */

#endif
