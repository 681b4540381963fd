/* lane.c - The owner's side of a lane: handing tasks over, taking them back, reading results. */
#include "pool/lane.h"

#include <string.h>

#include "base/mem.h"
#include "pool/lane_impl.h"

enum sw_status sw_lane_init(struct sw_lane *lane, struct sw_lane_shared *shared) {
    struct sw_lane_task *tasks = sw_alloc_array_zero(SW_LANE_DEPTH, sizeof(*tasks));
    if (!tasks)
        return SW_NOMEM;
    *lane = (struct sw_lane){.shared = shared, .tasks = tasks};
    return SW_OK;
}

void sw_lane_release(struct sw_lane *lane) {
    sw_free(lane->tasks);
    *lane = (struct sw_lane){0};
}

void sw_lane_reset(struct sw_lane *lane) {
    struct sw_lane_shared *shared = lane->shared;
    atomic_store(&shared->window, 0);
    atomic_store(&shared->result_tail, 0);
    atomic_store(&shared->result_head, 0);
    atomic_store(&shared->wake, 0);
    atomic_store(&shared->running, 0);
    atomic_store(&shared->is_ready, 0);
    atomic_store(&shared->bell.waiting, 0);
    *lane = (struct sw_lane){.shared = shared, .tasks = lane->tasks};
}

static uint64_t oldest_byte(const struct sw_lane *lane) {
    return lane->first == lane->next ? lane->tail : sw_lane_task(lane, lane->first)->at;
}

unsigned char *sw_lane_reserve(struct sw_lane *lane, size_t size) {
    uint64_t skip = run_skip(lane->tail, size);
    if (sw_lane_load(lane) == SW_LANE_DEPTH || lane->tail + skip + size > oldest_byte(lane) + SW_LANE_RING_BYTES)
        return NULL;
    return lane->shared->tasks + (lane->tail + skip) % SW_LANE_RING_BYTES;
}

bool sw_lane_has_room(const struct sw_lane *lane) {
    return sw_lane_load(lane) < SW_LANE_DEPTH - 1 &&
           lane->tail + 3 * SW_LANE_RUN_BYTES <= oldest_byte(lane) + SW_LANE_RING_BYTES;
}

void sw_lane_commit(struct sw_lane *lane, size_t prefix, size_t size, struct sw_lane_task task) {
    uint64_t skip = run_skip(lane->tail, size);
    if (skip)
        lane->shared->tasks[lane->tail % SW_LANE_RING_BYTES] = SW_LANE_SKIP;
    task.at = lane->tail;
    task.value_at = lane->tail + skip + prefix;
    *sw_lane_task(lane, lane->next) = task;
    lane->next++;
    lane->tail += skip + size;
}

void sw_lane_publish(struct sw_lane *lane) {
    if (lane->published == lane->next)
        return;
    atomic_fetch_add_explicit(&lane->shared->window, (uint64_t)(lane->next - lane->published) << 32,
                              memory_order_release);
    lane->published = lane->next;
    sw_bell_wake(&lane->shared->bell);
}

uint32_t sw_lane_unclaimed(const struct sw_lane *lane) {
    uint64_t window = atomic_load_explicit(&lane->shared->window, memory_order_relaxed);
    return window_limit(window) - window_claimed(window);
}

uint32_t sw_lane_claimed(const struct sw_lane *lane) {
    uint64_t window = atomic_load_explicit(&lane->shared->window, memory_order_acquire);
    return window_claimed(window) - lane->first;
}

uint32_t sw_lane_take_back(struct sw_lane *lane, uint32_t count) {
    uint64_t window = atomic_load_explicit(&lane->shared->window, memory_order_relaxed);
    uint32_t taken;
    do {
        uint32_t free = window_limit(window) - window_claimed(window);
        taken = count < free ? count : free;
        if (taken == 0)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&lane->shared->window, &window, window - ((uint64_t)taken << 32),
                                                    memory_order_acq_rel, memory_order_relaxed));
    lane->published -= taken;
    return taken;
}

void sw_lane_drop(struct sw_lane *lane, uint32_t count) {
    if (count == 0)
        return;
    lane->next -= count;
    lane->tail = sw_lane_task(lane, lane->next)->at;
}

const unsigned char *sw_lane_value(const struct sw_lane *lane, uint32_t number, size_t *size) {
    const struct sw_lane_task *task = sw_lane_task(lane, number);
    uint64_t end = number + 1 == lane->next ? lane->tail : sw_lane_task(lane, number + 1)->at;
    *size = (size_t)(end - task->value_at);
    return lane->shared->tasks + task->value_at % SW_LANE_RING_BYTES;
}

bool sw_lane_has_result(const struct sw_lane *lane) {
    return atomic_load_explicit(&lane->shared->result_tail, memory_order_acquire) != lane->result_head;
}

const unsigned char *sw_lane_result(struct sw_lane *lane, size_t *size) {
    uint64_t tail = atomic_load_explicit(&lane->shared->result_tail, memory_order_acquire);
    /* The worker's word: more than a ring of results, or one without a task, cannot be. */
    if (tail == lane->result_head || tail - lane->result_head > SW_LANE_RING_BYTES || lane->first == lane->next)
        return NULL;
    const unsigned char *at = lane->shared->results + lane->result_head % SW_LANE_RING_BYTES;
    if (*at == SW_LANE_SKIP) {
        lane->result_head += run_skip(lane->result_head, SW_LANE_RING_BYTES);
        at = lane->shared->results;
    }
    uint64_t rest = SW_LANE_RING_BYTES - lane->result_head % SW_LANE_RING_BYTES;
    uint64_t published = tail - lane->result_head;
    *size = (size_t)(published < rest ? published : rest);
    return at;
}

void sw_lane_result_done(struct sw_lane *lane, size_t used) {
    lane->result_head += used;
    lane->first++;
}

void sw_lane_result_release(struct sw_lane *lane) {
    if (atomic_load_explicit(&lane->shared->result_head, memory_order_relaxed) == lane->result_head)
        return;
    atomic_store_explicit(&lane->shared->result_head, lane->result_head, memory_order_release);
    sw_bell_wake(&lane->shared->bell);
}

void sw_lane_arm(struct sw_lane *lane, uint32_t number, bool is_for_failures) {
    uint64_t wake = WAKE_ARMED | (is_for_failures ? WAKE_FAILURE : 0) | (uint32_t)(number + 1);
    atomic_store_explicit(&lane->shared->wake, wake, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
}

void sw_lane_disarm(struct sw_lane *lane) {
    atomic_store_explicit(&lane->shared->wake, 0, memory_order_relaxed);
}

bool sw_lane_is_running(const struct sw_lane *lane, uint32_t number, int64_t *began_ns) {
    bool is_running = atomic_load(&lane->shared->running) == running_word(number);
    if (is_running)
        *began_ns = atomic_load_explicit(&lane->shared->began_ns, memory_order_relaxed);
    return is_running;
}

bool sw_lane_condemn(struct sw_lane *lane, uint32_t number) {
    uint64_t running = running_word(number);
    return atomic_compare_exchange_strong(&lane->shared->running, &running, running | 1);
}

void sw_lane_close(struct sw_lane *lane) {
    atomic_store_explicit(&lane->shared->is_closing, 1, memory_order_release);
    sw_bell_wake(&lane->shared->bell);
}
