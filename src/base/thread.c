/* thread.c - Threads with names and pins, and the futex on which an idle one waits. */
#include "base/thread.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

#define NAME_BYTES 16 /* the kernel's, with the NUL */
#define NS_PER_S 1000000000

struct start {
    sw_thread_main main;
    void *context;
    int cpu;
    char name[NAME_BYTES];
};

static void pin(const char *name, int cpu) {
    int reason = EINVAL;
    if (cpu < CPU_SETSIZE) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)cpu, &set);
        reason = pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
    }
    if (reason) {
        char scratch[128];
        sw_log(SW_LOG_DEBUG, "cannot pin thread %s to cpu %d: %s", name, cpu,
               strerror_r(reason, scratch, sizeof(scratch)));
    }
}

static void *run(void *arg) {
    struct start start = *(struct start *)arg;
    sw_free(arg);
    pthread_setname_np(pthread_self(), start.name);
    if (start.cpu >= 0) {
        pin(start.name, start.cpu);
    }
    start.main(start.context);
    return NULL;
}

/* A fault raised by the thread's own instruction cannot wait: blocked, it would kill without its handler. */
static void fill_blockable(sigset_t *set) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigfillset(set);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        sigdelset(set, faults[i]);
    }
}

enum sw_status sw_thread_start(struct sw_thread *thread, const char *name, int cpu, sw_thread_main main, void *context,
                               struct sw_error *err) {
    struct start *start = sw_alloc(sizeof(*start));
    if (!start) {
        return sw_fail(err, SW_NOMEM, "cannot start thread %s: out of memory", name);
    }
    *start = (struct start){.main = main, .context = context, .cpu = cpu};
    size_t len = strnlen(name, NAME_BYTES - 1);
    memcpy(start->name, name, len);

    /* A thread inherits the mask: blocked here, no signal finds it between its birth and its first instruction. */
    sigset_t blocked;
    sigset_t before;
    fill_blockable(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int reason = pthread_create(&thread->handle, NULL, run, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (reason) {
        sw_free(start);
        return sw_fail_errno(err, reason, "cannot start thread %s", name);
    }
    thread->is_started = true;
    return SW_OK;
}

void sw_thread_join(struct sw_thread *thread) {
    if (thread->is_started) {
        pthread_join(thread->handle, NULL);
        thread->is_started = false;
    }
}

static struct timespec deadline_after(int64_t timeout_ns) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ns = now.tv_nsec + timeout_ns % NS_PER_S;
    return (struct timespec){
        .tv_sec = now.tv_sec + (time_t)(timeout_ns / NS_PER_S + ns / NS_PER_S),
        .tv_nsec = (long)(ns % NS_PER_S),
    };
}

/* Why no wake is lost: the waiter writes is_waiting, fences, and reads its condition; a waker writes the condition,
 * fences, and reads is_waiting. At least one of them sees the other's write. If the waker does, it moves epoch after
 * the ticket was taken, and the kernel compares epoch with the ticket before it lets the waiter sleep. */
uint32_t sw_parker_prepare(struct sw_parker *parker) {
    uint32_t ticket = atomic_load_explicit(&parker->epoch, memory_order_acquire);
    atomic_store_explicit(&parker->is_waiting, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    return ticket;
}

bool sw_parker_wait(struct sw_parker *parker, uint32_t ticket, int64_t timeout_ns) {
    struct timespec deadline = {0};
    if (timeout_ns > 0) {
        deadline = deadline_after(timeout_ns);
    }
    bool is_woken;
    while (!(is_woken = atomic_load_explicit(&parker->epoch, memory_order_acquire) != ticket) && timeout_ns != 0) {
        long rc = syscall(SYS_futex, &parker->epoch, FUTEX_WAIT_BITSET_PRIVATE, ticket,
                          timeout_ns > 0 ? &deadline : NULL, NULL, FUTEX_BITSET_MATCH_ANY);
        if (rc != 0 && errno == ETIMEDOUT) {
            timeout_ns = 0; /* one last look at epoch */
        }
    }
    atomic_store_explicit(&parker->is_waiting, 0, memory_order_relaxed);
    return is_woken;
}

void sw_parker_cancel(struct sw_parker *parker) {
    atomic_store_explicit(&parker->is_waiting, 0, memory_order_relaxed);
}

void sw_parker_wake(struct sw_parker *parker) {
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&parker->is_waiting, memory_order_relaxed) == 0) {
        return;
    }
    /* The first of several wakers does the work; the waiter it wakes looks at everybody's condition. */
    if (atomic_exchange_explicit(&parker->is_waiting, 0, memory_order_acq_rel) == 0) {
        return;
    }
    atomic_fetch_add_explicit(&parker->epoch, 1, memory_order_release);
    syscall(SYS_futex, &parker->epoch, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
