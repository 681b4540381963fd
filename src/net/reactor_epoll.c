/* reactor_epoll.c - The epoll backend: level-triggered readiness. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/reactor_impl.h"

static uint32_t epoll_mask(unsigned interest) {
    return ((interest & SW_WATCH_READ) ? EPOLLIN : 0u) | ((interest & SW_WATCH_WRITE) ? EPOLLOUT : 0u);
}

static unsigned watch_events(uint32_t mask) {
    return ((mask & EPOLLIN) ? SW_WATCH_READ : 0u) | ((mask & EPOLLOUT) ? SW_WATCH_WRITE : 0u) |
           ((mask & EPOLLHUP) ? SW_WATCH_HANGUP : 0u) | ((mask & EPOLLERR) ? SW_WATCH_ERROR : 0u);
}

static enum sw_status epoll_open(struct sw_reactor *reactor, struct sw_error *err) {
    reactor->backend_fd = epoll_create1(EPOLL_CLOEXEC);
    if (reactor->backend_fd < 0) {
        return sw_fail_errno(err, errno, "cannot create an epoll instance");
    }
    return SW_OK;
}

static void epoll_close(struct sw_reactor *reactor) {
    close(reactor->backend_fd);
}

static enum sw_status control(struct sw_reactor *reactor, int operation, const struct sw_watch *watch, uint64_t token) {
    struct epoll_event event = {.events = epoll_mask(watch->interest), .data.u64 = token};
    return epoll_ctl(reactor->backend_fd, operation, watch->fd, &event) ? SW_IO : SW_OK;
}

static enum sw_status epoll_add(struct sw_reactor *reactor, const struct sw_watch *watch, uint64_t token,
                                struct sw_error *err) {
    if (control(reactor, EPOLL_CTL_ADD, watch, token) != SW_OK) {
        return sw_fail_errno(err, errno, "cannot watch file descriptor %d", watch->fd);
    }
    return SW_OK;
}

static enum sw_status epoll_modify(struct sw_reactor *reactor, const struct sw_watch *watch, uint64_t token,
                                   struct sw_error *err) {
    if (control(reactor, EPOLL_CTL_MOD, watch, token) != SW_OK) {
        return sw_fail_errno(err, errno, "cannot change the watch on file descriptor %d", watch->fd);
    }
    return SW_OK;
}

static void epoll_remove(struct sw_reactor *reactor, const struct sw_watch *watch) {
    struct epoll_event unused = {0}; /* kernels before 2.6.9 want a pointer */
    epoll_ctl(reactor->backend_fd, EPOLL_CTL_DEL, watch->fd, &unused);
}

/* Rounds up to whole milliseconds, so that a timer's wait does not end just before it is due. */
static int wait_ms(int64_t timeout_ns) {
    if (timeout_ns < 0) {
        return -1;
    }
    int64_t ms = timeout_ns / SW_NS_PER_MS + (timeout_ns % SW_NS_PER_MS > 0);
    return ms > 3600 * 1000 ? 3600 * 1000 : (int)ms;
}

static enum sw_status epoll_wait_events(struct sw_reactor *reactor, int64_t timeout_ns, struct sw_error *err) {
    struct epoll_event events[SW_REACTOR_EVENTS_MAX];
    reactor->event_count = 0;
    int count = epoll_wait(reactor->backend_fd, events, SW_REACTOR_EVENTS_MAX, wait_ms(timeout_ns));
    if (count < 0) {
        return errno == EINTR ? SW_OK : sw_fail_errno(err, errno, "cannot wait for events");
    }
    for (int i = 0; i < count; i++) {
        reactor->events[i] = (struct sw_reactor_event){events[i].data.u64, watch_events(events[i].events)};
    }
    reactor->event_count = count;
    return SW_OK;
}

const struct sw_reactor_backend sw_reactor_epoll = {
    .name = "epoll",
    .open = epoll_open,
    .close = epoll_close,
    .add = epoll_add,
    .modify = epoll_modify,
    .remove = epoll_remove,
    .wait = epoll_wait_events,
};
