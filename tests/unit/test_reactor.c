/* test_reactor.c - Watches, removal inside callbacks, posts from other threads, timers, deferred work, signals. */
#include "net/reactor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/signal.h"

static struct sw_reactor *reactor;

static int set_up(void **unused) {
    return sw_reactor_open(&reactor, NULL, NULL) == SW_OK ? 0 : -1;
}

static int tear_down(void **unused) {
    sw_reactor_close(reactor);
    return 0;
}

struct ear {
    struct sw_watch watch;
    int pair[2]; /* watched, other end */
    unsigned events;
    int calls;
    struct ear *victim;
};

static void on_ready(void *context, unsigned events) {
    struct ear *ear = context;
    ear->calls++;
    ear->events |= events;
    if (ear->victim) {
        sw_reactor_remove(reactor, &ear->victim->watch);
        close(ear->victim->pair[0]);
        ear->victim->pair[0] = -1;
    }
}

static void open_ear(struct ear *ear, unsigned interest) {
    *ear = (struct ear){0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ear->pair), 0);
    ear->watch = (struct sw_watch){.fn = on_ready, .context = ear, .fd = ear->pair[0], .interest = interest};
    assert_int_equal(sw_reactor_add(reactor, &ear->watch, NULL), SW_OK);
}

static void close_ear(struct ear *ear) {
    sw_reactor_remove(reactor, &ear->watch);
    for (int i = 0; i < 2; i++) {
        if (ear->pair[i] >= 0) {
            close(ear->pair[i]);
        }
    }
}

static void turn(int64_t timeout_ns) {
    assert_int_equal(sw_reactor_turn(reactor, timeout_ns, NULL), SW_OK);
}

static void test_interest(void **unused) {
    struct ear ear;
    open_ear(&ear, SW_WATCH_READ);
    turn(0);
    assert_int_equal(ear.calls, 0);
    assert_int_equal(write(ear.pair[1], "x", 1), 1);
    turn(0);
    turn(0); /* level-triggered: still readable */
    assert_int_equal(ear.calls, 2);
    assert_int_equal(ear.events, SW_WATCH_READ);
    assert_int_equal(sw_reactor_modify(reactor, &ear.watch, SW_WATCH_WRITE, NULL), SW_OK);
    ear.events = 0;
    turn(0);
    assert_int_equal(ear.events, SW_WATCH_WRITE);
    assert_int_equal(sw_reactor_modify(reactor, &ear.watch, 0, NULL), SW_OK);
    ear.calls = 0;
    turn(0);
    assert_int_equal(ear.calls, 0);
    close(ear.pair[1]);
    ear.pair[1] = -1;
    ear.events = 0;
    turn(0);
    assert_true(ear.events & SW_WATCH_HANGUP); /* without being asked for */
    close_ear(&ear);
}

/* Two watches are ready in the same turn and each removes the other: only one may be called. */
static void test_removal_inside_a_callback(void **unused) {
    struct ear a, b;
    open_ear(&a, SW_WATCH_READ);
    open_ear(&b, SW_WATCH_READ);
    a.victim = &b;
    b.victim = &a;
    assert_int_equal(write(a.pair[1], "x", 1), 1);
    assert_int_equal(write(b.pair[1], "x", 1), 1);
    turn(0);
    assert_int_equal(a.calls + b.calls, 1);
    close_ear(&a);
    close_ear(&b);
}

struct swap {
    struct ear first, second, fresh;
    int fresh_fd;
};

static void replace(void *context, unsigned events) {
    struct swap *swap = context;
    struct ear *gone = swap->first.watch.slot ? &swap->second : &swap->first;
    /* The other one goes, and a new watch takes its slot, while an event for the old one is still waiting. */
    sw_reactor_remove(reactor, &gone->watch);
    swap->first.calls++;
    open_ear(&swap->fresh, SW_WATCH_READ);
    swap->first.watch.fn = on_ready;
    swap->second.watch.fn = on_ready;
}

static void test_stale_event_misses_the_new_owner_of_its_slot(void **unused) {
    struct swap swap;
    open_ear(&swap.first, SW_WATCH_READ);
    open_ear(&swap.second, SW_WATCH_READ);
    swap.first.watch.fn = swap.second.watch.fn = replace;
    swap.first.watch.context = swap.second.watch.context = &swap;
    assert_int_equal(write(swap.first.pair[1], "x", 1), 1);
    assert_int_equal(write(swap.second.pair[1], "x", 1), 1);
    turn(0);
    assert_int_equal(swap.first.calls, 1);
    assert_int_equal(swap.fresh.calls, 0);
    close_ear(&swap.fresh);
    close_ear(&swap.first);
    close_ear(&swap.second);
}

enum { POSTS = 20000, POSTERS = 4 };

struct tally {
    struct sw_thread thread;
    int count;
    int expected; /* next number from this poster */
    int wrong;
};

struct ticket {
    struct tally *tally;
    int number;
};

static struct ticket tickets[POSTERS][POSTS];
static int posts_run;

static void take_ticket(void *context) {
    struct ticket *ticket = context;
    ticket->tally->wrong += ticket->number != ticket->tally->expected++;
    if (++posts_run == POSTERS * POSTS) {
        sw_reactor_stop(reactor);
    }
}

static void post_many(void *context) {
    struct tally *tally = context;
    long index = tally->count;
    for (int i = 0; i < POSTS; i++) {
        tickets[index][i] = (struct ticket){tally, i};
        while (sw_reactor_post(reactor, take_ticket, &tickets[index][i]) != SW_OK) {
        }
    }
}

static void test_posts_from_threads(void **unused) {
    struct tally tallies[POSTERS] = {0};
    posts_run = 0;
    for (int i = 0; i < POSTERS; i++) {
        tallies[i].count = i;
        assert_int_equal(sw_thread_start(&tallies[i].thread, "poster", -1, post_many, &tallies[i], NULL), SW_OK);
    }
    assert_int_equal(sw_reactor_run(reactor, NULL), SW_OK);
    for (int i = 0; i < POSTERS; i++) {
        sw_thread_join(&tallies[i].thread);
        assert_int_equal(tallies[i].wrong, 0);
        assert_int_equal(tallies[i].expected, POSTS);
    }
}

static void count_call(void *context) {
    ++*(int *)context;
}

static void post_again(void *context) {
    int *calls = context;
    if (++*calls < 1000) {
        assert_int_equal(sw_reactor_post(reactor, post_again, calls), SW_OK);
    }
}

static void test_a_turn_is_bounded(void **unused) {
    int calls = 0;
    assert_int_equal(sw_reactor_post(reactor, post_again, &calls), SW_OK);
    turn(-1);
    assert_int_equal(calls, 1);
    turn(-1); /* does not wait: something is posted */
    assert_int_equal(calls, 2);
}

static void test_post_out_of_memory(void **unused) {
    int calls = 0;
    sw_mem_fail_at(1);
    assert_int_equal(sw_reactor_post(reactor, count_call, &calls), SW_NOMEM);
    sw_mem_fail_at(0);
    assert_int_equal(sw_reactor_post(reactor, count_call, &calls), SW_OK);
    turn(-1);
    assert_int_equal(calls, 1);
}

static void test_timers(void **unused) {
    int calls = 0;
    struct sw_timer timer = {.fn = count_call, .context = &calls};
    struct sw_timer cancelled = {.fn = count_call, .context = &calls};
    turn(0);
    int64_t begin = sw_reactor_now_ns(reactor);
    sw_reactor_timer_add(reactor, &timer, 5 * SW_NS_PER_MS);
    sw_reactor_timer_add(reactor, &cancelled, 2 * SW_NS_PER_MS);
    sw_reactor_timer_cancel(&cancelled);
    for (int i = 0; i < 1000 && calls == 0; i++) {
        turn(-1);
    }
    assert_int_equal(calls, 1);
    assert_true(sw_reactor_now_ns(reactor) - begin >= 5 * SW_NS_PER_MS);
    assert_true(sw_reactor_turns(reactor) < 10); /* it slept */
}

static void stop_soon(void *context) {
    sw_reactor_stop(reactor);
}

static void test_stop(void **unused) {
    sw_reactor_stop(reactor);
    assert_int_equal(sw_reactor_run(reactor, NULL), SW_OK); /* ends at once */
    struct sw_timer timer = {.fn = stop_soon};
    sw_reactor_timer_add(reactor, &timer, SW_NS_PER_MS);
    assert_int_equal(sw_reactor_run(reactor, NULL), SW_OK);
    assert_false(sw_timer_is_armed(&timer));
}

struct chain {
    struct sw_deferred deferred, other;
    int calls, other_calls;
};

static void defer_again(void *context) {
    struct chain *chain = context;
    chain->calls++;
    sw_reactor_defer(reactor, &chain->deferred);
    sw_reactor_defer_cancel(&chain->other);
}

static void test_deferred(void **unused) {
    struct chain chain = {0};
    chain.deferred = (struct sw_deferred){.fn = defer_again, .context = &chain};
    chain.other = (struct sw_deferred){.fn = count_call, .context = &chain.other_calls};
    sw_reactor_defer(reactor, &chain.other);
    sw_reactor_defer(reactor, &chain.deferred); /* runs before, since the last comes first */
    sw_reactor_defer(reactor, &chain.deferred);
    turn(-1);
    assert_int_equal(chain.calls, 1);
    assert_int_equal(chain.other_calls, 0);
    turn(-1); /* deferred meanwhile: the next turn, without waiting */
    assert_int_equal(chain.calls, 2);
    sw_reactor_defer_cancel(&chain.deferred);
    turn(0);
    assert_int_equal(chain.calls, 2);
}

static void test_unknown_backend(void **unused) {
    struct sw_reactor *none = NULL;
    struct sw_error err = {0};
    struct sw_reactor_options options = {.backend = "kqueue"};
    assert_int_equal(sw_reactor_open(&none, &options, &err), SW_UNSUPPORTED);
    assert_non_null(strstr(err.text, "kqueue"));
    assert_string_equal(sw_reactor_backend_name(reactor), "epoll");
}

static void test_open_out_of_memory(void **unused) {
    enum sw_status status = SW_NOMEM;
    for (size_t nth = 1; status == SW_NOMEM; nth++) {
        struct sw_reactor *fresh = NULL;
        struct sw_error err = {0};
        sw_mem_fail_at(nth);
        status = sw_reactor_open(&fresh, NULL, &err);
        sw_mem_fail_at(0);
        assert_true(nth < 10);
        if (status == SW_OK) {
            assert_true(nth > 2);
            sw_reactor_close(fresh);
        }
    }
}

struct heard_signals {
    int last;
    int count;
};

static void on_signal(void *context, int signal_number) {
    struct heard_signals *heard = context;
    heard->last = signal_number;
    heard->count++;
}

static void test_signals(void **unused) {
    struct heard_signals heard = {0};
    struct sw_signals signals = {.fn = on_signal, .context = &heard};
    sigset_t set, before, after;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(sw_signals_open(&signals, reactor, &set, NULL), SW_OK);
    kill(getpid(), SIGTERM);
    turn(SW_NS_PER_S);
    assert_int_equal(heard.last, SIGTERM);
    kill(getpid(), SIGUSR1);
    turn(SW_NS_PER_S);
    assert_int_equal(heard.last, SIGUSR1);
    assert_int_equal(heard.count, 2);
    sw_signals_close(&signals);
    sw_signals_close(&signals);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGUSR1), sigismember(&before, SIGUSR1));
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_interest),
        T(test_removal_inside_a_callback),
        T(test_stale_event_misses_the_new_owner_of_its_slot),
        T(test_posts_from_threads),
        T(test_a_turn_is_bounded),
        T(test_post_out_of_memory),
        T(test_timers),
        T(test_stop),
        T(test_deferred),
        T(test_unknown_backend),
        T(test_open_out_of_memory),
        T(test_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
