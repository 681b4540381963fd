/* test_bell.c - A bell between processes: no wake is lost, and a waiter that is slow to get up costs one system call. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "pool/bell.h"

static void nobody_waits_costs_nothing(void **state) {
    struct sw_bell bell = {0};
    sw_bell_wake(&bell);
    assert_int_equal(atomic_load(&bell.epoch), 0);
    sw_bell_prepare(&bell);
    sw_bell_cancel(&bell);
    sw_bell_wake(&bell);
    assert_int_equal(atomic_load(&bell.epoch), 0);
}

static void a_wake_before_the_wait_is_not_lost(void **state) {
    struct sw_bell bell = {0};
    uint32_t ticket = sw_bell_prepare(&bell);
    sw_bell_wake(&bell);
    assert_true(sw_bell_wait(&bell, ticket, -1)); /* would sleep for ever */
    ticket = sw_bell_prepare(&bell);
    assert_false(sw_bell_wait(&bell, ticket, 0)); /* the old wake does not count for a new preparation */
}

/* The epoch moves with each system call. */
static void a_waiter_is_woken_once(void **state) {
    struct sw_bell bell = {.epoch = UINT32_MAX - 2}; /* it may wrap */
    for (uint32_t turn = 1; turn <= 6; turn++) {
        uint32_t ticket = sw_bell_prepare(&bell);
        for (int i = 0; i < 5; i++)
            sw_bell_wake(&bell);
        assert_int_equal(atomic_load(&bell.epoch), UINT32_MAX - 2 + turn);
        assert_true(sw_bell_wait(&bell, ticket, -1));
    }
}

struct shared {
    struct sw_bell bells[2];
    _Atomic uint32_t turn[2];
};

/* Waits until `turn` reaches `value`; false if a minute was not enough, as when a wake was lost. */
static bool await(struct sw_bell *bell, const _Atomic uint32_t *turn, uint32_t value) {
    int64_t end_ns = sw_clock_mono_ns() + 60 * SW_NS_PER_S;
    while (atomic_load_explicit(turn, memory_order_acquire) < value) {
        uint32_t ticket = sw_bell_prepare(bell);
        if (atomic_load_explicit(turn, memory_order_acquire) >= value)
            sw_bell_cancel(bell);
        else if (!sw_bell_wait(bell, ticket, SW_NS_PER_S) && sw_clock_mono_ns() >= end_ns)
            return false;
    }
    return true;
}

static void two_processes_take_turns(void **state) {
    enum { TURNS = 20000 };
    struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    pid_t parent = getpid();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        bool is_ok = getppid() == parent;
        for (uint32_t i = 1; is_ok && i <= TURNS; i++) {
            is_ok = await(&shared->bells[1], &shared->turn[1], i);
            atomic_store_explicit(&shared->turn[0], i, memory_order_release);
            sw_bell_wake(&shared->bells[0]);
        }
        _exit(is_ok ? 0 : 1);
    }
    for (uint32_t i = 1; i <= TURNS; i++) {
        atomic_store_explicit(&shared->turn[1], i, memory_order_release);
        sw_bell_wake(&shared->bells[1]);
        if (!await(&shared->bells[0], &shared->turn[0], i))
            break;
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(atomic_load(&shared->turn[0]), TURNS);
    munmap(shared, sizeof(*shared));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_waits_costs_nothing),
        cmocka_unit_test(a_wake_before_the_wait_is_not_lost),
        cmocka_unit_test(a_waiter_is_woken_once),
        cmocka_unit_test(two_processes_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
