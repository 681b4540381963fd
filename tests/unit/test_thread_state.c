/* test_thread_state.c - Threads of this very process, each known to be in one state, as the kernel shows them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/thread_state.h"

#define DEADLINE_NS (60 * SW_NS_PER_S)

enum role { ROLE_SPIN, ROLE_READ, ROLE_WAIT, ROLE_WAIT_BITSET, ROLE_WAITV };

struct worker {
    pthread_t handle;
    enum role role;
    _Atomic int32_t tid;
    _Atomic uint32_t word; /* 0: go on */
    _Atomic uint32_t is_over;
    int pipe[2];
};

#ifdef SYS_futex_waitv
struct waitv {
    uint64_t value, address;
    uint32_t flags, reserved;
};
#endif

static void worker_wait(struct worker *worker) {
#ifdef SYS_futex_waitv
    struct waitv waitv = {.address = (uint64_t)(uintptr_t)&worker->word, .flags = 2 /* 32 bits, shared */};
#endif
    switch (worker->role) {
    case ROLE_WAIT:
        syscall(SYS_futex, &worker->word, FUTEX_WAIT, 0, NULL, NULL, 0);
        break;
    case ROLE_WAIT_BITSET:
        syscall(SYS_futex, &worker->word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 1);
        break;
    case ROLE_WAITV:
#ifdef SYS_futex_waitv
        syscall(SYS_futex_waitv, &waitv, 1, 0, NULL, 0);
#endif
        break;
    default:
        break;
    }
}

static void *worker_main(void *context) {
    struct worker *worker = context;
    char byte;
    atomic_store(&worker->tid, (int32_t)syscall(SYS_gettid));
    if (worker->role == ROLE_READ)
        while (read(worker->pipe[0], &byte, 1) < 0 && errno == EINTR)
            continue;
    while (worker->role != ROLE_READ && !atomic_load(&worker->is_over))
        worker_wait(worker);
    return NULL;
}

static void worker_start(struct worker *worker, enum role role) {
    *worker = (struct worker){.role = role};
    assert_int_equal(pipe2(worker->pipe, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&worker->handle, NULL, worker_main, worker), 0);
    while (atomic_load(&worker->tid) == 0)
        sw_clock_sleep_ns(SW_NS_PER_MS);
}

static void worker_end(struct worker *worker) {
    atomic_store(&worker->is_over, 1);
    atomic_store(&worker->word, 1);
    syscall(SYS_futex, &worker->word, FUTEX_WAKE, 1, NULL, NULL, 0);
    close(worker->pipe[1]);
    pthread_join(worker->handle, NULL);
    close(worker->pipe[0]);
}

static void self_open(struct sw_target *target, struct sw_thread_watch **watch) {
    struct sw_error err;
    if (sw_target_open(target, (int32_t)getpid(), &err) != SW_OK)
        fail_msg("%s", err.text);
    assert_int_equal(sw_thread_watch_new(watch, target), SW_OK);
}

static void self_close(struct sw_target *target, struct sw_thread_watch *watch) {
    sw_thread_watch_free(watch);
    sw_target_close(target);
}

/* Looks until the thread is in `wanted` (a thread needs a moment to get there). */
static struct sw_thread_look look_until(struct sw_thread_watch *watch, int32_t tid, enum sw_thread_activity wanted,
                                        int64_t syscall_number) {
    struct sw_thread_look look = {0};
    int64_t end_ns = sw_clock_mono_ns() + DEADLINE_NS;
    while (sw_clock_mono_ns() < end_ns) {
        assert_int_equal(sw_thread_look(watch, tid, SW_LOOK_SYSCALL | SW_LOOK_SCHEDSTAT, &look), SW_OK);
        if (look.activity == wanted && (wanted != SW_THREAD_BLOCKED || look.syscall == syscall_number))
            return look;
        sw_clock_sleep_ns(SW_NS_PER_MS / 4);
    }
    fail_msg("thread %d: activity %d in system call %lld; wanted %d in %lld", tid, (int)look.activity,
             (long long)look.syscall, (int)wanted, (long long)syscall_number);
    return look;
}

static void running_and_blocked_are_told_apart(void **state) {
    struct sw_target target;
    struct sw_thread_watch *watch;
    struct worker spinner, reader;
    self_open(&target, &watch);
    worker_start(&spinner, ROLE_SPIN);
    worker_start(&reader, ROLE_READ);
    struct sw_thread_look look = look_until(watch, atomic_load(&spinner.tid), SW_THREAD_RUNNING, 0);
    assert_int_equal(look.syscall, -1);
    assert_int_equal(look.sp, 0);
    look = look_until(watch, atomic_load(&reader.tid), SW_THREAD_BLOCKED, SYS_read);
    assert_int_equal(look.args[0], reader.pipe[0]);
    assert_int_equal(look.args[2], 1);
    assert_true(look.sp != 0 && look.pc != 0);
    assert_string_equal(sw_syscall_name(look.syscall), "read");
    uint64_t word;
    assert_false(sw_syscall_is_futex_wait(&look, &word));
    worker_end(&spinner);
    worker_end(&reader);
    self_close(&target, watch);
}

static void schedstat_counts_up(void **state) {
    struct sw_target target;
    struct sw_thread_watch *watch;
    struct worker spinner;
    self_open(&target, &watch);
    worker_start(&spinner, ROLE_SPIN);
    struct sw_thread_look first = look_until(watch, atomic_load(&spinner.tid), SW_THREAD_RUNNING, 0);
    struct sw_thread_look next = first;
    if (!first.has_schedstat)
        skip(); /* a kernel without scheduler statistics */
    int64_t end_ns = sw_clock_mono_ns() + DEADLINE_NS;
    while (next.cpu_ns <= first.cpu_ns && sw_clock_mono_ns() < end_ns) {
        sw_clock_sleep_ns(SW_NS_PER_MS);
        assert_int_equal(sw_thread_look(watch, atomic_load(&spinner.tid), SW_LOOK_SCHEDSTAT, &next), SW_OK);
        assert_int_equal(next.activity, SW_THREAD_UNKNOWN);
    }
    assert_true(next.cpu_ns > first.cpu_ns);
    assert_true(next.runs >= first.runs && next.wait_ns >= first.wait_ns);
    worker_end(&spinner);
    self_close(&target, watch);
}

static void futex_waits_name_their_word(void **state) {
    static const struct {
        enum role role;
        int64_t number;
    } rows[] = {{ROLE_WAIT, SYS_futex},
                {ROLE_WAIT_BITSET, SYS_futex},
#ifdef SYS_futex_waitv
                {ROLE_WAITV, SYS_futex_waitv}
#endif
    };
    struct sw_target target;
    struct sw_thread_watch *watch;
    self_open(&target, &watch);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
#ifdef SYS_futex_waitv
        if (rows[i].number == SYS_futex_waitv && syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) < 0 && errno == ENOSYS)
            continue;
#endif
        struct worker waiter;
        worker_start(&waiter, rows[i].role);
        struct sw_thread_look look = look_until(watch, atomic_load(&waiter.tid), SW_THREAD_BLOCKED, rows[i].number);
        uint64_t word = 0;
        assert_true(sw_syscall_is_futex_wait(&look, &word));
        assert_int_equal(word, (uint64_t)(uintptr_t)&waiter.word);
        worker_end(&waiter);
    }
    self_close(&target, watch);
}

static void only_waits_are_waits(void **state) {
    static const struct {
        uint64_t operation;
        bool is_wait;
    } rows[] = {
        {FUTEX_WAIT, true},
        {FUTEX_WAIT_PRIVATE, true},
        {FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, true},
        {FUTEX_LOCK_PI, true},
        {FUTEX_LOCK_PI_PRIVATE, true},
        {13 | FUTEX_PRIVATE_FLAG, true},
        {FUTEX_WAIT_REQUEUE_PI_PRIVATE, true},
        {FUTEX_WAKE, false},
        {FUTEX_REQUEUE, false},
        {FUTEX_WAKE_OP_PRIVATE, false},
        {FUTEX_UNLOCK_PI, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sw_thread_look look = {.activity = SW_THREAD_BLOCKED,
                                      .syscall = SYS_futex,
                                      .args = {0x1000, rows[i].operation}};
        uint64_t word = 0;
        assert_int_equal(sw_syscall_is_futex_wait(&look, &word), rows[i].is_wait);
        assert_int_equal(word, rows[i].is_wait ? 0x1000 : 0);
        look.activity = SW_THREAD_RUNNING;
        assert_false(sw_syscall_is_futex_wait(&look, &word));
    }
    struct sw_thread_look outside = {.activity = SW_THREAD_BLOCKED, .syscall = -1, .args = {0x1000}};
    uint64_t word;
    assert_false(sw_syscall_is_futex_wait(&outside, &word));
}

static void ended_threads_are_gone(void **state) {
    struct sw_target target;
    struct sw_thread_watch *watch;
    struct worker spinner;
    self_open(&target, &watch);
    worker_start(&spinner, ROLE_SPIN);
    int32_t tid = atomic_load(&spinner.tid);
    look_until(watch, tid, SW_THREAD_RUNNING, 0);
    worker_end(&spinner);
    look_until(watch, tid, SW_THREAD_GONE, 0);
    struct sw_thread_look look;
    assert_int_equal(sw_thread_look(watch, INT32_MAX, SW_LOOK_SCHEDSTAT, &look), SW_OK);
    assert_int_equal(look.activity, SW_THREAD_GONE);
    assert_false(look.has_schedstat);
    self_close(&target, watch);
}

static size_t descriptors(void) {
    size_t count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void sweep_closes_what_is_not_looked_at(void **state) {
    struct sw_target target;
    struct sw_thread_watch *watch;
    struct worker a, b;
    struct sw_thread_look look;
    self_open(&target, &watch);
    worker_start(&a, ROLE_READ);
    worker_start(&b, ROLE_READ);
    size_t before = descriptors();
    look_until(watch, atomic_load(&a.tid), SW_THREAD_BLOCKED, SYS_read);
    look_until(watch, atomic_load(&b.tid), SW_THREAD_BLOCKED, SYS_read);
    assert_int_equal(descriptors(), before + 4);
    sw_thread_watch_sweep(watch);
    assert_int_equal(descriptors(), before + 4);
    assert_int_equal(sw_thread_look(watch, atomic_load(&b.tid), SW_LOOK_SYSCALL, &look), SW_OK);
    sw_thread_watch_sweep(watch);
    assert_int_equal(descriptors(), before + 2);
    assert_int_equal(sw_thread_look(watch, atomic_load(&b.tid), SW_LOOK_SYSCALL, &look), SW_OK);
    assert_int_equal(look.activity, SW_THREAD_BLOCKED);
    sw_thread_watch_sweep(watch);
    sw_thread_watch_sweep(watch);
    assert_int_equal(descriptors(), before);
    worker_end(&a);
    worker_end(&b);
    self_close(&target, watch);
}

/* With a low limit the files are opened and closed for each look, and the answers are the same. */
static void works_without_spare_descriptors(void **state) {
    struct rlimit was;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    struct worker a, b;
    worker_start(&a, ROLE_READ);
    worker_start(&b, ROLE_WAIT);
    struct sw_target target;
    struct sw_thread_watch *watch;
    struct sw_error err;
    assert_int_equal(sw_target_open(&target, (int32_t)getpid(), &err), SW_OK);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){2, was.rlim_max}), 0);
    assert_int_equal(sw_thread_watch_new(&watch, &target), SW_OK); /* keeps one file open */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    size_t before = descriptors();
    look_until(watch, atomic_load(&a.tid), SW_THREAD_BLOCKED, SYS_read);
    struct sw_thread_look look = look_until(watch, atomic_load(&b.tid), SW_THREAD_BLOCKED, SYS_futex);
    assert_true(look.activity == SW_THREAD_BLOCKED);
    assert_int_equal(descriptors(), before + 1);
    worker_end(&a);
    worker_end(&b);
    self_close(&target, watch);
}

static void names_are_the_kernels(void **state) {
    assert_string_equal(sw_syscall_name(SYS_futex), "futex");
    assert_string_equal(sw_syscall_name(SYS_clock_nanosleep), "clock_nanosleep");
    assert_string_equal(sw_syscall_name(SYS_read), "read");
    assert_null(sw_syscall_name(-1));
    assert_null(sw_syscall_name(INT64_MIN));
    assert_null(sw_syscall_name(100000));
}

static void memory_may_run_out(void **state) {
    struct sw_target target;
    struct sw_error err;
    struct sw_thread_look look;
    assert_int_equal(sw_target_open(&target, (int32_t)getpid(), &err), SW_OK);
    for (size_t nth = 1; nth <= 2; nth++) {
        struct sw_thread_watch *watch = NULL;
        sw_mem_fail_at(nth);
        enum sw_status status = sw_thread_watch_new(&watch, &target);
        if (status == SW_OK)
            status = sw_thread_look(watch, (int32_t)getpid(), SW_LOOK_SYSCALL, &look);
        sw_mem_fail_at(0);
        assert_int_equal(status, SW_NOMEM);
        sw_thread_watch_free(watch);
    }
    sw_target_close(&target);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_and_blocked_are_told_apart),
        cmocka_unit_test(schedstat_counts_up),
        cmocka_unit_test(futex_waits_name_their_word),
        cmocka_unit_test(only_waits_are_waits),
        cmocka_unit_test(ended_threads_are_gone),
        cmocka_unit_test(sweep_closes_what_is_not_looked_at),
        cmocka_unit_test(works_without_spare_descriptors),
        cmocka_unit_test(names_are_the_kernels),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
