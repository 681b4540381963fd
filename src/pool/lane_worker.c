/* lane_worker.c - The worker's side of a lane: claiming tasks, publishing results, sleeping between. */
#include <unistd.h>

#include "base/clock.h"
#include "pool/lane.h"
#include "pool/lane_impl.h"

#define CLAIM_NS (50 * SW_NS_PER_US) /* what a claim by time aims at */
#define CLAIM_MAX 256u
#define SPINS 200 /* turns before the worker sleeps: some 10 us */

static void wake_owner(struct sw_lane_worker *worker) {
    if (atomic_exchange_explicit(&worker->shared->wake, 0, memory_order_acq_rel) == 0)
        return;
    uint64_t one = 1;
    /* The counter of an eventfd cannot be full here, and the owner may be gone. */
    ssize_t ignored = write(worker->wake_fd, &one, sizeof one);
    (void)ignored;
}

/* The next claim by time: as many tasks as would have run in CLAIM_NS, at most doubling, and never more than half of
 * what is there, so that another worker can be given the rest. */
static uint32_t claim_by_time(struct sw_lane_worker *worker, uint32_t available) {
    uint32_t claim = worker->claim ? worker->claim : 1;
    int64_t now = sw_clock_mono_ns();
    int64_t took = now - worker->claim_began_ns;
    if (worker->claim_began_ns && took > 0) {
        int64_t fits = (int64_t)claim * CLAIM_NS / took;
        claim = fits < 1 ? 1 : fits > 2 * (int64_t)claim ? 2 * claim : (uint32_t)fits;
    }
    worker->claim_began_ns = now;
    worker->claim = claim < CLAIM_MAX ? claim : CLAIM_MAX;
    uint32_t half = (available + 1) / 2;
    return worker->claim < half ? worker->claim : half;
}

bool sw_lane_try_next(struct sw_lane_worker *worker) {
    if (worker->done != worker->claimed)
        return true;
    struct sw_lane_shared *shared = worker->shared;
    uint64_t window = atomic_load_explicit(&shared->window, memory_order_acquire);
    uint32_t available = window_limit(window) - window_claimed(window);
    if (available == 0)
        return false;
    uint32_t fixed = atomic_load_explicit(&shared->claim, memory_order_relaxed);
    uint32_t want = fixed ? fixed : claim_by_time(worker, available);
    uint32_t taken;
    if (worker->claim_max && want > worker->claim_max)
        want = worker->claim_max;
    do {
        available = window_limit(window) - window_claimed(window);
        if (available == 0)
            return false;
        taken = want < available ? want : available;
    } while (!atomic_compare_exchange_weak_explicit(&shared->window, &window,
                                                    window_make(window_claimed(window) + taken, window_limit(window)),
                                                    memory_order_acq_rel, memory_order_acquire));
    worker->claimed = window_claimed(window) + taken;
    if (!fixed && want != taken)
        worker->claim = taken;
    return true;
}

bool sw_lane_next(struct sw_lane_worker *worker, int64_t timeout_ns, bool *is_closing) {
    struct sw_lane_shared *shared = worker->shared;
    for (int spin = 0; spin < SPINS; spin++) {
        if (sw_lane_try_next(worker))
            return true;
        if (spin == 0) {
            atomic_thread_fence(memory_order_seq_cst);
            wake_owner(worker); /* out of tasks: whatever it waits for, it may have some */
        }
        sw_bell_pause();
    }
    worker->claim_began_ns = 0;
    uint32_t ticket = sw_bell_prepare(&shared->bell);
    if (sw_lane_try_next(worker)) {
        sw_bell_cancel(&shared->bell);
        return true;
    }
    *is_closing = atomic_load_explicit(&shared->is_closing, memory_order_acquire);
    if (*is_closing) {
        sw_bell_cancel(&shared->bell);
        return sw_lane_try_next(worker); /* what was published before it closed */
    }
    sw_bell_wait(&shared->bell, ticket, timeout_ns);
    return sw_lane_try_next(worker);
}

const unsigned char *sw_lane_begin(struct sw_lane_worker *worker) {
    struct sw_lane_shared *shared = worker->shared;
    if (atomic_load_explicit(&shared->is_timed, memory_order_relaxed)) {
        atomic_store_explicit(&shared->began_ns, sw_clock_mono_ns(), memory_order_relaxed);
        atomic_store_explicit(&shared->running, running_word(worker->done), memory_order_release);
    }
    const unsigned char *at = shared->tasks + worker->at % SW_LANE_RING_BYTES;
    if (*at != SW_LANE_SKIP)
        return at;
    worker->at += run_skip(worker->at, SW_LANE_RING_BYTES);
    return shared->tasks;
}

void sw_lane_consume(struct sw_lane_worker *worker, size_t used) {
    worker->at += used;
}

unsigned char *sw_lane_result_reserve(struct sw_lane_worker *worker, size_t size) {
    struct sw_lane_shared *shared = worker->shared;
    uint64_t skip = run_skip(worker->result_tail, size);
    uint64_t head = atomic_load_explicit(&shared->result_head, memory_order_acquire);
    if (worker->result_tail + skip + size > head + SW_LANE_RING_BYTES)
        return NULL;
    if (skip)
        shared->results[worker->result_tail % SW_LANE_RING_BYTES] = SW_LANE_SKIP;
    return shared->results + (worker->result_tail + skip) % SW_LANE_RING_BYTES;
}

void sw_lane_wait_room(struct sw_lane_worker *worker, size_t size, int64_t timeout_ns) {
    struct sw_lane_shared *shared = worker->shared;
    uint32_t ticket = sw_bell_prepare(&shared->bell);
    wake_owner(worker);
    if (sw_lane_result_reserve(worker, size))
        sw_bell_cancel(&shared->bell);
    else
        sw_bell_wait(&shared->bell, ticket, timeout_ns);
}

bool sw_lane_finish(struct sw_lane_worker *worker) {
    struct sw_lane_shared *shared = worker->shared;
    if (!atomic_load_explicit(&shared->is_timed, memory_order_relaxed))
        return true;
    uint64_t running = running_word(worker->done);
    if (atomic_compare_exchange_strong(&shared->running, &running, 0))
        return true;
    return running != (running_word(worker->done) | 1); /* not timed when it began: nobody can condemn it */
}

void sw_lane_result_publish(struct sw_lane_worker *worker, size_t size) {
    struct sw_lane_shared *shared = worker->shared;
    worker->result_tail += run_skip(worker->result_tail, size) + size;
    worker->done++;
    atomic_store_explicit(&shared->result_tail, worker->result_tail, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t wake = atomic_load_explicit(&shared->wake, memory_order_relaxed);
    if (wake && (int32_t)(worker->done - (uint32_t)wake) >= 0)
        wake_owner(worker);
}

void sw_lane_tell_failure(struct sw_lane_worker *worker) {
    /* After the fence of the publication: an owner that arms only now looks for results first. */
    if (atomic_load_explicit(&worker->shared->wake, memory_order_relaxed) & WAKE_FAILURE)
        wake_owner(worker);
}

bool sw_lane_wait_read(struct sw_lane_worker *worker, int64_t timeout_ns) {
    struct sw_lane_shared *shared = worker->shared;
    uint32_t ticket = sw_bell_prepare(&shared->bell);
    wake_owner(worker);
    if (atomic_load_explicit(&shared->result_head, memory_order_acquire) == worker->result_tail)
        sw_bell_cancel(&shared->bell);
    else
        sw_bell_wait(&shared->bell, ticket, timeout_ns);
    return atomic_load_explicit(&shared->result_head, memory_order_acquire) == worker->result_tail;
}
