/* bell.c - An event count in memory that processes share: the waiter prepares, looks once more, then sleeps. */
#include "pool/bell.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* Why no wake is lost: see sw_parker in base/thread.c, whose futex is private to one process and this one's is not. */
uint32_t sw_bell_prepare(struct sw_bell *bell) {
    uint32_t ticket = atomic_load_explicit(&bell->epoch, memory_order_acquire);
    atomic_store_explicit(&bell->waiting, ticket << 1 | 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    return ticket;
}

bool sw_bell_wait(struct sw_bell *bell, uint32_t ticket, int64_t timeout_ns) {
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / SW_NS_PER_S),
                               .tv_nsec = (long)(timeout_ns % SW_NS_PER_S)};
    long rc = syscall(SYS_futex, &bell->epoch, FUTEX_WAIT, ticket, timeout_ns >= 0 ? &timeout : NULL, NULL, 0);
    bool is_timeout = rc != 0 && errno == ETIMEDOUT;
    atomic_store_explicit(&bell->waiting, 0, memory_order_relaxed);
    return !is_timeout;
}

void sw_bell_cancel(struct sw_bell *bell) {
    atomic_store_explicit(&bell->waiting, 0, memory_order_relaxed);
}

/* The waiter is crossed off only after the system call, so that a waker that dies before it leaves the call to the next
 * one; and only the waiter that was seen: one that prepares meanwhile has a later epoch, and another number. */
void sw_bell_wake(struct sw_bell *bell) {
    atomic_thread_fence(memory_order_seq_cst);
    uint32_t waiting = atomic_load_explicit(&bell->waiting, memory_order_relaxed);
    if (waiting == 0)
        return;
    atomic_fetch_add_explicit(&bell->epoch, 1, memory_order_release);
    syscall(SYS_futex, &bell->epoch, FUTEX_WAKE, 1, NULL, NULL, 0);
    atomic_compare_exchange_strong_explicit(&bell->waiting, &waiting, 0, memory_order_relaxed, memory_order_relaxed);
}

void sw_bell_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}
