/* listener.c - Accepts connections in bounded bursts and survives running out of file descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/socket.h"

#define ACCEPTS_PER_TURN 64
#define RETRY_NS (100 * SW_NS_PER_MS)

static int open_reserve(void) {
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Out of descriptors the connection would stay in the backlog and keep the listener readable: give up the reserve to
 * accept and close it. Without a reserve, look away for a while. */
static bool refuse_one(struct sw_listener *listener) {
    if (listener->reserve_fd >= 0) {
        close(listener->reserve_fd);
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            listener->refused++;
            close(fd);
        }
        listener->reserve_fd = open_reserve();
        if (fd >= 0 && listener->reserve_fd >= 0) {
            return true;
        }
    }
    sw_reactor_remove(listener->reactor, &listener->watch);
    sw_reactor_timer_add(listener->reactor, &listener->retry, RETRY_NS);
    return false;
}

static void retry(void *context) {
    struct sw_listener *listener = context;
    if (listener->reserve_fd < 0) {
        listener->reserve_fd = open_reserve();
    }
    if (sw_reactor_add(listener->reactor, &listener->watch, NULL) != SW_OK) {
        sw_reactor_timer_add(listener->reactor, &listener->retry, RETRY_NS);
    }
}

static bool is_shortage(int error_number) {
    return error_number == EMFILE || error_number == ENFILE || error_number == ENOBUFS || error_number == ENOMEM;
}

static void accept_some(void *context, unsigned events) {
    struct sw_listener *listener = context;
    for (int i = 0; i < ACCEPTS_PER_TURN && listener->watch.slot; i++) {
        struct sw_address peer = {.len = sizeof peer.storage};
        int fd = accept4(listener->fd, (struct sockaddr *)&peer.storage, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            if (peer.storage.ss_family != AF_UNIX) {
                int ignored = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
                (void)ignored; /* slower without, not wrong */
            }
            listener->accepted++;
            listener->fn(listener->context, fd, &peer);
        } else if (is_shortage(errno)) {
            if (!refuse_one(listener)) {
                return;
            }
        } else if (errno == EAGAIN || errno == EINVAL) {
            return;
        } /* others belong to the connection that failed before it was taken: go on with the next */
    }
}

void sw_listener_set(struct sw_listener *listener, sw_accept_fn fn, void *context) {
    listener->fn = fn;
    listener->context = context;
}

enum sw_status sw_listener_open(struct sw_listener *listener, struct sw_reactor *reactor, int fd,
                                struct sw_error *err) {
    listener->reactor = reactor;
    listener->fd = fd;
    listener->reserve_fd = open_reserve();
    listener->retry = (struct sw_timer){.fn = retry, .context = listener};
    listener->watch = (struct sw_watch){.fn = accept_some, .context = listener, .fd = fd, .interest = SW_WATCH_READ};
    enum sw_status status = sw_reactor_add(reactor, &listener->watch, err);
    listener->is_open = true;
    if (status != SW_OK) {
        sw_listener_close(listener);
    }
    return status;
}

void sw_listener_close(struct sw_listener *listener) {
    if (!listener->is_open) {
        return;
    }
    sw_reactor_remove(listener->reactor, &listener->watch);
    sw_reactor_timer_cancel(&listener->retry);
    sw_socket_close(&listener->fd);
    sw_socket_close(&listener->reserve_fd);
    listener->is_open = false;
}
