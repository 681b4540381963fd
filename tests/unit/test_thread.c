/* test_thread.c - Threads with names, pins and blocked signals; a parker that loses no wake. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/ring.h"
#include "base/thread.h"

#define NEVER_NS (60 * SW_NS_PER_S)  /* so long that only a lost wake could last it out */
#define ENOUGH_NS (10 * SW_NS_PER_S) /* for rounds that both threads must run for: on a busy machine each takes long */

struct seen {
    char name[32];
    cpu_set_t cpus;
    sigset_t blocked;
    bool ran;
};

static void look_around(void *context) {
    struct seen *seen = context;
    pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
    pthread_getaffinity_np(pthread_self(), sizeof(seen->cpus), &seen->cpus);
    pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
    seen->ran = true;
}

static struct seen start_and_join(const char *name, int cpu) {
    struct seen seen = {.ran = false};
    struct sw_thread thread = {0};
    struct sw_error err;
    assert_int_equal(sw_thread_start(&thread, name, cpu, look_around, &seen, &err), SW_OK);
    assert_true(thread.is_started);
    sw_thread_join(&thread);
    assert_false(thread.is_started);
    assert_true(seen.ran);
    sw_thread_join(&thread); /* no harm */
    return seen;
}

static void names_are_kept_up_to_15_bytes(void **state) {
    assert_string_equal(start_and_join("sw-reader", -1).name, "sw-reader");
    assert_string_equal(start_and_join("exactly-15-byte", -1).name, "exactly-15-byte");
    assert_string_equal(start_and_join("a name that is too long", -1).name, "a name that is ");
}

static void a_pin_holds(void **state) {
    cpu_set_t mine;
    assert_int_equal(pthread_getaffinity_np(pthread_self(), sizeof(mine), &mine), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET((size_t)cpu, &mine)) {
            struct seen seen = start_and_join("pinned", cpu);
            assert_int_equal(CPU_COUNT(&seen.cpus), 1);
            assert_true(CPU_ISSET((size_t)cpu, &seen.cpus));
        }
    }
    struct seen unpinned = start_and_join("free", -1);
    assert_true(CPU_EQUAL(&unpinned.cpus, &mine));
}

static void count_lines(void *context, enum sw_log_level level, const char *line) {
    int *lines = context;
    *lines += level == SW_LOG_DEBUG && strstr(line, "cannot pin thread nowhere to cpu ") != NULL;
}

static void a_failing_pin_is_not_fatal(void **state) {
    int lines = 0;
    sw_log_set(count_lines, &lines, SW_LOG_DEBUG);
    start_and_join("nowhere", CPU_SETSIZE - 1);
    start_and_join("nowhere", 1000000);
    sw_log_set(NULL, NULL, SW_LOG_DEBUG);
    assert_int_equal(lines, 2);
}

static void signals_are_blocked_there_but_not_here(void **state) {
    struct seen seen = start_and_join("quiet", -1);
    static const int blocked[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGPIPE, SIGALRM, SIGUSR1, SIGWINCH};
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof(blocked) / sizeof(blocked[0]); i++) {
        assert_int_equal(sigismember(&seen.blocked, blocked[i]), 1);
    }
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        assert_int_equal(sigismember(&seen.blocked, faults[i]), 0);
    }
    sigset_t here;
    pthread_sigmask(SIG_SETMASK, NULL, &here);
    assert_int_equal(sigismember(&here, SIGINT), 0);
}

static void a_start_can_fail(void **state) {
    struct seen seen = {.ran = false};
    struct sw_thread thread = {0};
    struct sw_error err;
    sw_mem_fail_at(1);
    enum sw_status status = sw_thread_start(&thread, "unborn", -1, look_around, &seen, &err);
    sw_mem_fail_at(0);
    assert_int_equal(status, SW_NOMEM);
    assert_string_equal(err.text, "cannot start thread unborn: out of memory");
    assert_false(thread.is_started);
    sw_thread_join(&thread);
    assert_false(seen.ran);
}

static void waiting_ends_at_its_time(void **state) {
    struct sw_parker parker = {0};
    int64_t started = sw_clock_mono_ns();
    assert_false(sw_parker_wait(&parker, sw_parker_prepare(&parker), 30 * SW_NS_PER_MS));
    assert_true(sw_clock_mono_ns() - started >= 30 * SW_NS_PER_MS);
    assert_false(sw_parker_wait(&parker, sw_parker_prepare(&parker), 0));
    assert_false(sw_parker_wait(&parker, sw_parker_prepare(&parker), 1));
}

static void a_wake_after_prepare_is_kept(void **state) {
    struct sw_parker parker = {0};
    uint32_t ticket = sw_parker_prepare(&parker);
    sw_parker_wake(&parker);
    assert_true(sw_parker_wait(&parker, ticket, NEVER_NS));
    ticket = sw_parker_prepare(&parker);
    sw_parker_wake(&parker);
    sw_parker_wake(&parker);
    assert_true(sw_parker_wait(&parker, ticket, -1));
    ticket = sw_parker_prepare(&parker);
    sw_parker_wake(&parker);
    assert_true(sw_parker_wait(&parker, ticket, 0));
    /* A preparation is over after its wait: what was woken before is not woken again. */
    assert_false(sw_parker_wait(&parker, sw_parker_prepare(&parker), 0));
}

static void a_wake_without_a_waiter_leaves_no_trace(void **state) {
    struct sw_parker parker = {0};
    sw_parker_wake(&parker);
    assert_int_equal(parker.epoch, 0);
    sw_parker_prepare(&parker);
    sw_parker_cancel(&parker);
    sw_parker_wake(&parker);
    assert_int_equal(parker.epoch, 0);
    assert_false(sw_parker_wait(&parker, sw_parker_prepare(&parker), 0));
}

/* Ping-pong: each side sleeps until the other has moved. One lost wake, and a wait times out. */
struct court {
    struct sw_parker parker[2];
    _Atomic int64_t moves[2];
    _Atomic int lost;
};

struct player {
    struct court *court;
    int side;
};

enum { ROUNDS = 100000 };

static void await_moves(struct court *court, int side, int64_t wanted) {
    while (atomic_load_explicit(&court->moves[!side], memory_order_acquire) < wanted) {
        uint32_t ticket = sw_parker_prepare(&court->parker[side]);
        if (atomic_load_explicit(&court->moves[!side], memory_order_acquire) >= wanted) {
            sw_parker_cancel(&court->parker[side]);
        } else if (!sw_parker_wait(&court->parker[side], ticket, NEVER_NS)) {
            atomic_fetch_add(&court->lost, 1);
            return;
        }
    }
}

static void play(void *context) {
    struct player *player = context;
    struct court *court = player->court;
    for (int64_t round = 0; round < ROUNDS && atomic_load(&court->lost) == 0; round++) {
        if (player->side == 1) {
            await_moves(court, 1, round + 1);
        }
        atomic_store_explicit(&court->moves[player->side], round + 1, memory_order_release);
        sw_parker_wake(&court->parker[!player->side]);
        if (player->side == 0) {
            await_moves(court, 0, round + 1);
        }
    }
}

static void no_wake_is_lost_in_ping_pong(void **state) {
    static struct court court;
    struct player players[2] = {{&court, 0}, {&court, 1}};
    struct sw_thread threads[2] = {0};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sw_thread_start(&threads[i], "player", -1, play, &players[i], NULL), SW_OK);
    }
    for (int i = 0; i < 2; i++) {
        sw_thread_join(&threads[i]);
    }
    assert_int_equal(court.lost, 0);
    assert_int_equal(court.moves[0], ROUNDS);
    assert_int_equal(court.moves[1], ROUNDS);
}

/* The narrow case: condition and wake on one side fall together with prepare and look on the other, thousands of times,
 * each time shifted a little. Without either fence the two would now and then miss each other. */
struct duel {
    alignas(64) struct sw_parker parker; /* lines of their own: a write may wait for its line while a read goes ahead */
    alignas(64) _Atomic int64_t condition;
    alignas(64) _Atomic int64_t ready[2];
    _Atomic bool is_lost;
    _Atomic bool is_over;
};

enum { DUELS = 200000 };

/* Both sides leave at nearly the same moment; a side that waits long lets the other have the processor. False when there
 * is no further round. */
static bool line_up(struct duel *duel, int side, int64_t round) {
    atomic_store(&duel->ready[side], round);
    for (int spins = 1; atomic_load(&duel->ready[!side]) < round; spins++) {
        if (atomic_load(&duel->is_over)) {
            return false;
        }
        if (spins % 4096 == 0) {
            sched_yield();
        }
    }
    for (volatile int64_t delay = side ? round % 31 : round % 17; delay > 0; delay--) {
    }
    return true;
}

static void strike(void *context) {
    struct duel *duel = context;
    for (int64_t round = 1; round <= DUELS && line_up(duel, 0, round); round++) {
        atomic_store_explicit(&duel->condition, round, memory_order_release);
        sw_parker_wake(&duel->parker);
    }
}

static void no_wake_is_lost_in_a_tie(void **state) {
    static struct duel duel;
    struct sw_thread striker = {0};
    assert_int_equal(sw_thread_start(&striker, "striker", -1, strike, &duel, NULL), SW_OK);
    int64_t enough_ns = sw_clock_mono_ns() + ENOUGH_NS;
    int64_t round = 1;
    for (; round <= DUELS && !duel.is_lost && (round == 1 || sw_clock_mono_ns() < enough_ns); round++) {
        line_up(&duel, 1, round);
        while (true) {
            uint32_t ticket = sw_parker_prepare(&duel.parker);
            if (atomic_load_explicit(&duel.condition, memory_order_acquire) == round) {
                sw_parker_cancel(&duel.parker);
                break;
            }
            if (!sw_parker_wait(&duel.parker, ticket, NEVER_NS)) {
                atomic_store(&duel.is_lost, true);
                break;
            }
        }
    }
    atomic_store(&duel.is_over, true);
    sw_thread_join(&striker);
    assert_false(duel.is_lost);
}

/* Several wakers, one waiter that must hear of every piece of work although wakes fold into one. */
enum { WAKERS = 3, WORK_EACH = 60000 };

struct office {
    struct sw_parker parker;
    _Atomic int64_t work;
};

static void give_work(void *context) {
    struct office *office = context;
    for (int i = 0; i < WORK_EACH; i++) {
        atomic_fetch_add_explicit(&office->work, 1, memory_order_release);
        sw_parker_wake(&office->parker);
        if (i % 64 == 0) {
            sched_yield();
        }
    }
}

static void no_wake_is_lost_among_many_wakers(void **state) {
    static struct office office;
    struct sw_thread wakers[WAKERS] = {0};
    for (int i = 0; i < WAKERS; i++) {
        assert_int_equal(sw_thread_start(&wakers[i], "waker", -1, give_work, &office, NULL), SW_OK);
    }
    int64_t done = 0;
    bool is_lost = false;
    while (done < WAKERS * WORK_EACH && !is_lost) {
        done += atomic_exchange_explicit(&office.work, 0, memory_order_acquire);
        uint32_t ticket = sw_parker_prepare(&office.parker);
        if (done == WAKERS * WORK_EACH || atomic_load_explicit(&office.work, memory_order_acquire) > 0) {
            sw_parker_cancel(&office.parker);
        } else {
            is_lost = !sw_parker_wait(&office.parker, ticket, NEVER_NS);
        }
    }
    for (int i = 0; i < WAKERS; i++) {
        sw_thread_join(&wakers[i]);
    }
    assert_false(is_lost);
    assert_int_equal(done, WAKERS * WORK_EACH);
}

/* As the engine uses them: a ring with a parker at each end. */
struct pipe {
    struct sw_ring ring;
    struct sw_parker when_filled;
    struct sw_parker when_drained;
    _Atomic bool has_failed;
};

enum { SHIPMENTS = 300000 };

static void ship(void *context) {
    struct pipe *pipe = context;
    for (uintptr_t i = 1; i <= SHIPMENTS && !atomic_load(&pipe->has_failed); i++) {
        while (!sw_ring_push(&pipe->ring, (void *)i)) {
            uint32_t ticket = sw_parker_prepare(&pipe->when_drained);
            if (sw_ring_depth(&pipe->ring) < sw_ring_capacity(&pipe->ring)) {
                sw_parker_cancel(&pipe->when_drained);
            } else if (!sw_parker_wait(&pipe->when_drained, ticket, NEVER_NS)) {
                atomic_store(&pipe->has_failed, true);
                return;
            }
        }
        sw_parker_wake(&pipe->when_filled);
    }
}

static void a_ring_with_parkers_delivers_everything(void **state) {
    static struct pipe pipe;
    assert_int_equal(sw_ring_init(&pipe.ring, 8), SW_OK);
    struct sw_thread shipper = {0};
    assert_int_equal(sw_thread_start(&shipper, "shipper", -1, ship, &pipe, NULL), SW_OK);
    uintptr_t expected = 1;
    while (expected <= SHIPMENTS && !atomic_load(&pipe.has_failed)) {
        void *item = sw_ring_pop(&pipe.ring);
        if (item) {
            sw_parker_wake(&pipe.when_drained);
            if ((uintptr_t)item != expected++) {
                atomic_store(&pipe.has_failed, true);
            }
            continue;
        }
        uint32_t ticket = sw_parker_prepare(&pipe.when_filled);
        if (sw_ring_depth(&pipe.ring) > 0) {
            sw_parker_cancel(&pipe.when_filled);
        } else if (!sw_parker_wait(&pipe.when_filled, ticket, NEVER_NS)) {
            atomic_store(&pipe.has_failed, true);
        }
    }
    sw_thread_join(&shipper);
    assert_false(pipe.has_failed);
    assert_int_equal(expected, SHIPMENTS + 1);
    sw_ring_release(&pipe.ring);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_kept_up_to_15_bytes),
        cmocka_unit_test(a_pin_holds),
        cmocka_unit_test(a_failing_pin_is_not_fatal),
        cmocka_unit_test(signals_are_blocked_there_but_not_here),
        cmocka_unit_test(a_start_can_fail),
        cmocka_unit_test(waiting_ends_at_its_time),
        cmocka_unit_test(a_wake_after_prepare_is_kept),
        cmocka_unit_test(a_wake_without_a_waiter_leaves_no_trace),
        cmocka_unit_test(no_wake_is_lost_in_ping_pong),
        cmocka_unit_test(no_wake_is_lost_in_a_tie),
        cmocka_unit_test(no_wake_is_lost_among_many_wakers),
        cmocka_unit_test(a_ring_with_parkers_delivers_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
