/* reactor.c - The event loop: slots for watches, posted functions, timers and deferred work around a backend's wait. */
#include "net/reactor.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/reactor_impl.h"

static const struct sw_reactor_backend *const backends[] = {&sw_reactor_epoll};

static const struct sw_reactor_backend *find_backend(const char *name) {
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        if (!name || strcmp(name, backends[i]->name) == 0) {
            return backends[i];
        }
    }
    return NULL;
}

static uint64_t token_of(const struct sw_reactor *reactor, uint32_t slot) {
    return (uint64_t)reactor->slots[slot].generation << 32 | slot;
}

static enum sw_status take_slot(struct sw_reactor *reactor, uint32_t *slot) {
    if (reactor->free_slot) {
        *slot = reactor->free_slot;
        reactor->free_slot = reactor->slots[*slot].next_free;
        return SW_OK;
    }
    if (reactor->slot_count >= reactor->slot_cap) {
        uint32_t cap = reactor->slot_cap ? reactor->slot_cap * 2 : 64;
        struct sw_reactor_slot *slots = sw_realloc_array(reactor->slots, cap, sizeof *slots);
        if (!slots) {
            return SW_NOMEM;
        }
        reactor->slots = slots;
        reactor->slot_cap = cap;
    }
    *slot = reactor->slot_count++;
    reactor->slots[*slot] = (struct sw_reactor_slot){0};
    return SW_OK;
}

static void give_slot(struct sw_reactor *reactor, uint32_t slot) {
    reactor->slots[slot].watch = NULL;
    reactor->slots[slot].generation++;
    reactor->slots[slot].next_free = reactor->free_slot;
    reactor->free_slot = slot;
}

static void wake_up(struct sw_reactor *reactor) {
    uint64_t one = 1;
    ssize_t written = write(reactor->wake.fd, &one, sizeof one); /* EAGAIN means that it is already awake */
    (void)written;
}

static void clear_wake(void *context, unsigned events) {
    struct sw_reactor *reactor = context;
    uint64_t count;
    ssize_t got = read(reactor->wake.fd, &count, sizeof count);
    (void)got;
}

static void dispatch_events(struct sw_reactor *reactor) {
    for (int i = 0; i < reactor->event_count; i++) {
        struct sw_reactor_event event = reactor->events[i];
        struct sw_reactor_slot *slot = &reactor->slots[(uint32_t)event.token];
        if (slot->watch && slot->generation == (uint32_t)(event.token >> 32)) {
            slot->watch->fn(slot->watch->context, event.events);
        }
    }
    reactor->event_count = 0;
}

static void run_posts(struct sw_reactor *reactor) {
    pthread_mutex_lock(&reactor->post_lock);
    struct sw_reactor_posts taken = reactor->posts;
    reactor->posts = reactor->posts_running;
    reactor->posts.count = 0;
    reactor->posts_running = taken;
    pthread_mutex_unlock(&reactor->post_lock);
    for (size_t i = 0; i < taken.count; i++) {
        taken.items[i].fn(taken.items[i].context);
    }
}

static void run_deferred(struct sw_reactor *reactor) {
    struct sw_deferred *first = reactor->deferred;
    if (!first) {
        return;
    }
    /* The list moves to a local head, so that what is deferred meanwhile waits for the next turn; callbacks may cancel
     * any of it. */
    reactor->deferred = NULL;
    first->link = &first;
    while (first) {
        struct sw_deferred *deferred = first;
        first = deferred->next;
        if (first) {
            first->link = &first;
        }
        deferred->link = NULL;
        deferred->next = NULL;
        deferred->fn(deferred->context);
    }
}

static int64_t wait_time(struct sw_reactor *reactor, int64_t timeout_ns) {
    if (reactor->deferred || reactor->has_due_timers || atomic_load(&reactor->is_stopping)) {
        return 0;
    }
    int64_t next_ns = sw_timer_wheel_next_ns(&reactor->wheel);
    if (next_ns == INT64_MAX) {
        return timeout_ns;
    }
    int64_t left_ns = next_ns - sw_clock_mono_ns();
    left_ns = left_ns < 0 ? 0 : left_ns;
    return timeout_ns >= 0 && timeout_ns < left_ns ? timeout_ns : left_ns;
}

static enum sw_status open_wake(struct sw_reactor *reactor, struct sw_error *err) {
    reactor->wake = (struct sw_watch){.fn = clear_wake,
                                      .context = reactor,
                                      .interest = SW_WATCH_READ,
                                      .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    if (reactor->wake.fd < 0) {
        return sw_fail_errno(err, errno, "cannot create an eventfd");
    }
    enum sw_status status = sw_reactor_add(reactor, &reactor->wake, err);
    if (status != SW_OK) {
        close(reactor->wake.fd);
    }
    return status;
}

enum sw_status sw_reactor_open(struct sw_reactor **out, const struct sw_reactor_options *options,
                               struct sw_error *err) {
    const char *name = options ? options->backend : NULL;
    const struct sw_reactor_backend *backend = find_backend(name);
    if (!backend) {
        return sw_fail(err, SW_UNSUPPORTED, "there is no reactor backend \"%s\"; choose epoll", name);
    }
    struct sw_reactor *reactor = sw_alloc_zero(sizeof *reactor);
    char *scratch = sw_alloc(SW_REACTOR_SCRATCH_BYTES);
    if (!reactor || !scratch) {
        sw_free(reactor);
        sw_free(scratch);
        return sw_fail(err, SW_NOMEM, "cannot create a reactor: out of memory");
    }
    reactor->backend = backend;
    reactor->scratch = scratch;
    reactor->slot_count = 1;
    reactor->now_ns = sw_clock_mono_ns();
    sw_timer_wheel_init(&reactor->wheel, reactor->now_ns);
    pthread_mutex_init(&reactor->post_lock, NULL);
    enum sw_status status = backend->open(reactor, err);
    if (status == SW_OK) {
        status = open_wake(reactor, err);
        if (status == SW_OK) {
            *out = reactor;
            return SW_OK;
        }
        backend->close(reactor);
    }
    pthread_mutex_destroy(&reactor->post_lock);
    sw_free(reactor->slots);
    sw_free(reactor->scratch);
    sw_free(reactor);
    return status;
}

void sw_reactor_close(struct sw_reactor *reactor) {
    if (!reactor) {
        return;
    }
    for (uint32_t slot = 1; slot < reactor->slot_count; slot++) {
        if (reactor->slots[slot].watch) {
            reactor->slots[slot].watch->slot = 0;
        }
    }
    for (size_t slot = 0; slot < SW_WHEEL_LEVELS * SW_WHEEL_SLOTS; slot++) {
        while (reactor->wheel.slots[slot]) {
            sw_timer_wheel_cancel(reactor->wheel.slots[slot]);
        }
    }
    while (reactor->wheel.firing) {
        sw_timer_wheel_cancel(reactor->wheel.firing);
    }
    while (reactor->deferred) {
        sw_reactor_defer_cancel(reactor->deferred);
    }
    while (reactor->spares) {
        struct sw_reactor_spare *spare = reactor->spares;
        reactor->spares = spare->next;
        sw_free(spare);
    }
    close(reactor->wake.fd);
    reactor->backend->close(reactor);
    pthread_mutex_destroy(&reactor->post_lock);
    sw_free(reactor->posts.items);
    sw_free(reactor->posts_running.items);
    sw_free(reactor->slots);
    sw_free(reactor->scratch);
    sw_free(reactor);
}

const char *sw_reactor_backend_name(const struct sw_reactor *reactor) {
    return reactor->backend->name;
}

enum sw_status sw_reactor_turn(struct sw_reactor *reactor, int64_t timeout_ns, struct sw_error *err) {
    /* What was posted and not yet run has made the eventfd readable, so that the wait ends at once. */
    enum sw_status status = reactor->backend->wait(reactor, wait_time(reactor, timeout_ns), err);
    if (status != SW_OK) {
        return status;
    }
    reactor->now_ns = sw_clock_mono_ns();
    reactor->turns++;
    dispatch_events(reactor);
    run_posts(reactor);
    reactor->has_due_timers = sw_timer_wheel_advance(&reactor->wheel, reactor->now_ns, SW_REACTOR_TIMERS_MAX);
    run_deferred(reactor);
    return SW_OK;
}

enum sw_status sw_reactor_run(struct sw_reactor *reactor, struct sw_error *err) {
    reactor->now_ns = sw_clock_mono_ns();
    while (!atomic_exchange(&reactor->is_stopping, false)) {
        enum sw_status status = sw_reactor_turn(reactor, -1, err);
        if (status != SW_OK) {
            return status;
        }
    }
    return SW_OK;
}

void sw_reactor_stop(struct sw_reactor *reactor) {
    int saved = errno; /* it may run inside a signal handler */
    atomic_store(&reactor->is_stopping, true);
    wake_up(reactor);
    errno = saved;
}

enum sw_status sw_reactor_post(struct sw_reactor *reactor, sw_reactor_fn fn, void *context) {
    pthread_mutex_lock(&reactor->post_lock);
    struct sw_reactor_posts *posts = &reactor->posts;
    if (posts->count == posts->cap) {
        size_t cap = posts->cap ? posts->cap * 2 : 16;
        struct sw_reactor_posted *items = sw_realloc_array(posts->items, cap, sizeof *items);
        if (!items) {
            pthread_mutex_unlock(&reactor->post_lock);
            return SW_NOMEM;
        }
        posts->items = items;
        posts->cap = cap;
    }
    posts->items[posts->count++] = (struct sw_reactor_posted){fn, context};
    bool is_first = posts->count == 1;
    pthread_mutex_unlock(&reactor->post_lock);
    if (is_first) {
        wake_up(reactor);
    }
    return SW_OK;
}

int64_t sw_reactor_now_ns(const struct sw_reactor *reactor) {
    return reactor->now_ns;
}

uint64_t sw_reactor_turns(const struct sw_reactor *reactor) {
    return reactor->turns;
}

enum sw_status sw_reactor_add(struct sw_reactor *reactor, struct sw_watch *watch, struct sw_error *err) {
    uint32_t slot = 0;
    if (take_slot(reactor, &slot) != SW_OK) {
        return sw_fail(err, SW_NOMEM, "cannot watch file descriptor %d: out of memory", watch->fd);
    }
    enum sw_status status = reactor->backend->add(reactor, watch, token_of(reactor, slot), err);
    if (status != SW_OK) {
        give_slot(reactor, slot);
        return status;
    }
    reactor->slots[slot].watch = watch;
    watch->slot = slot;
    return SW_OK;
}

enum sw_status sw_reactor_modify(struct sw_reactor *reactor, struct sw_watch *watch, unsigned interest,
                                 struct sw_error *err) {
    if (interest == watch->interest) {
        return SW_OK;
    }
    unsigned before = watch->interest;
    watch->interest = interest;
    enum sw_status status = reactor->backend->modify(reactor, watch, token_of(reactor, watch->slot), err);
    if (status != SW_OK) {
        watch->interest = before;
    }
    return status;
}

void sw_reactor_remove(struct sw_reactor *reactor, struct sw_watch *watch) {
    if (watch->slot) {
        reactor->backend->remove(reactor, watch);
        give_slot(reactor, watch->slot);
        watch->slot = 0;
    }
}

void sw_reactor_timer_add(struct sw_reactor *reactor, struct sw_timer *timer, int64_t delay_ns) {
    sw_timer_wheel_add(&reactor->wheel, timer, reactor->now_ns + delay_ns);
}

void sw_reactor_timer_touch(struct sw_reactor *reactor, struct sw_timer *timer, int64_t delay_ns) {
    sw_timer_wheel_touch(&reactor->wheel, timer, reactor->now_ns + delay_ns);
}

void sw_reactor_timer_cancel(struct sw_timer *timer) {
    sw_timer_wheel_cancel(timer);
}

void sw_reactor_defer(struct sw_reactor *reactor, struct sw_deferred *deferred) {
    if (deferred->link) {
        return;
    }
    deferred->next = reactor->deferred;
    deferred->link = &reactor->deferred;
    if (deferred->next) {
        deferred->next->link = &deferred->next;
    }
    reactor->deferred = deferred;
}

void sw_reactor_defer_cancel(struct sw_deferred *deferred) {
    if (deferred->link) {
        *deferred->link = deferred->next;
        if (deferred->next) {
            deferred->next->link = deferred->link;
        }
        deferred->link = NULL;
        deferred->next = NULL;
    }
}
