/* dump_blockers.c - Who is waited for by the threads and tasks of a dump, and where that goes round in a circle. */
#include "base/mem.h"
#include "probe/dump_impl.h"
#include "probe/gil.h"

static size_t thread_by_state(const struct sw_dump *dump, uint64_t state) {
    for (size_t i = 0; i < dump->thread_count && state; i++)
        if (dump->threads[i].stack->thread.address == state)
            return i;
    return SW_DUMP_NONE;
}

static size_t thread_by_pthread(const struct sw_dump *dump, uint64_t pthread) {
    for (size_t i = 0; i < dump->thread_count && pthread; i++)
        if (dump->threads[i].stack->thread.pthread == pthread)
            return i;
    return SW_DUMP_NONE;
}

/* What the frames of all threads hold; ends[i] is where those of thread i end. */
struct all_holds {
    struct sw_holds holds;
    size_t *ends;
};

static enum sw_status holds_collect(struct sw_dump *dump, struct all_holds *all) {
    enum sw_status status = SW_OK;
    all->ends = sw_alloc_array_zero(dump->thread_count, sizeof *all->ends);
    if (!all->ends)
        return SW_NOMEM;
    for (size_t i = 0; i < dump->thread_count && status == SW_OK; i++) {
        const struct sw_stack *stack = dump->threads[i].stack;
        status = sw_holds_add(dump->objects, stack->frames, stack->frame_count, &all->holds);
        all->ends[i] = all->holds.count;
    }
    return status;
}

/* The frame that holds the lock which thread `waiter` awaits. */
static bool find_hold(struct sw_dump *dump, const struct all_holds *all, struct sw_dump_thread *waiter) {
    for (size_t i = 0, at = 0; i < dump->thread_count; i++)
        for (; at < all->ends[i]; at++) {
            const struct sw_hold *hold = &all->holds.items[at];
            if (hold->lock == waiter->wait.lock.address && !hold->is_released) {
                waiter->blocker = i;
                waiter->blocker_frame = hold->frame;
                return true;
            }
        }
    return false;
}

static enum sw_status lock_blocker(struct sw_dump *dump, const struct all_holds *all, size_t index) {
    struct sw_dump_thread *thread = &dump->threads[index];
    struct sw_lock lock;
    if (thread->wait.kind != SW_WAIT_LOCK || thread->wait.lock.kind == SW_LOCK_SEMAPHORE)
        return SW_OK;
    if (thread->wait.lock.kind == SW_LOCK_REENTRANT) {
        find_hold(dump, all, thread); /* for the frame; who it is the lock knows itself */
        size_t frame_of = thread->blocker;
        thread->blocker = thread_by_pthread(dump, thread->wait.lock.owner);
        if (thread->blocker != frame_of)
            thread->blocker_frame = SW_DUMP_NONE;
        return SW_OK;
    }
    if (find_hold(dump, all, thread) || sw_lock_read(dump->objects, thread->wait.lock.address, &lock) != SW_OK ||
        !lock.is_locked)
        return SW_OK;
    return sw_dump_guess_holder(dump, index);
}

static bool has_lock_waiter(const struct sw_dump *dump) {
    for (size_t i = 0; i < dump->thread_count; i++)
        if (dump->threads[i].wait.kind == SW_WAIT_LOCK)
            return true;
    return false;
}

static enum sw_status blockers_find(struct sw_dump *dump) {
    struct all_holds all = {0};
    enum sw_status status = has_lock_waiter(dump) ? holds_collect(dump, &all) : SW_OK;
    for (size_t i = 0; i < dump->thread_count && status == SW_OK; i++) {
        struct sw_dump_thread *thread = &dump->threads[i];
        if (thread->doing == SW_DOING_GIL)
            thread->blocker = thread_by_state(dump, sw_stack_gil(dump->reader, thread->interpreter).holder);
        else if (thread->doing == SW_DOING_THREAD || thread->doing == SW_DOING_IMPORT)
            thread->blocker = thread_by_pthread(dump, thread->wait.owner);
        else if (thread->doing == SW_DOING_LOCK)
            status = lock_blocker(dump, &all, i);
    }
    sw_holds_release(&all.holds);
    sw_free(all.ends);
    return status;
}

/* Waits with a time limit end by themselves. */
static bool is_edge(const struct sw_dump_thread *thread) {
    bool is_wait =
        thread->doing == SW_DOING_LOCK || thread->doing == SW_DOING_THREAD || thread->doing == SW_DOING_IMPORT;
    return is_wait && thread->is_settled && !thread->wait.has_limit && thread->blocker != SW_DUMP_NONE;
}

static enum sw_status thread_cycles(struct sw_dump *dump) {
    struct sw_wait_edge *edges = sw_alloc_array(dump->thread_count, sizeof *edges);
    size_t count = 0;
    if (!edges)
        return SW_NOMEM;
    for (size_t i = 0; i < dump->thread_count; i++)
        if (is_edge(&dump->threads[i]))
            edges[count++] = (struct sw_wait_edge){(uint32_t)i, (uint32_t)dump->threads[i].blocker};
    enum sw_status status = sw_cycles_find(edges, count, dump->thread_count, &dump->deadlocks);
    sw_free(edges);
    return status;
}

/* The lock of asyncio that a task waits for: the self of Lock.acquire in its chain; 0: none. */
static uint64_t awaited_lock(struct sw_dump *dump, const struct sw_task *task) {
    uint64_t self;
    for (size_t i = 0; i < task->frame_count && i < 2; i++)
        if (sw_frame_runs(&task->frames[i], "/asyncio/locks.py", "acquire") &&
            sw_local_get(dump->objects, &task->frames[i], SW_STR("self"), &self) == SW_OK &&
            sw_object_is(dump->objects, self, "Lock"))
            return self;
    return 0;
}

/* Who holds the locks of asyncio: tasks inside an `async with` over them. */
static enum sw_status task_lock_edges(struct sw_dump *dump, const uint64_t *locks, struct sw_wait_edge *edges,
                                      size_t *count) {
    enum sw_status status = SW_OK;
    struct sw_holds holds = {0};
    for (uint32_t i = 0; i < dump->tasks.count && status == SW_OK; i++) {
        holds.count = 0;
        status = sw_holds_add(dump->objects, dump->tasks.items[i].frames, dump->tasks.items[i].frame_count, &holds);
        for (size_t j = 0; j < holds.count && status == SW_OK; j++)
            for (uint32_t k = 0; k < dump->tasks.count; k++)
                if (locks[k] && locks[k] == holds.items[j].lock && *count < dump->tasks.edge_count + dump->tasks.count)
                    edges[(*count)++] = (struct sw_wait_edge){k, i};
    }
    sw_holds_release(&holds);
    return status;
}

static enum sw_status task_cycles(struct sw_dump *dump) {
    const struct sw_tasks *tasks = &dump->tasks;
    struct sw_wait_edge *edges = sw_alloc_array(tasks->edge_count + tasks->count, sizeof *edges);
    uint64_t *locks = sw_alloc_array_zero(tasks->count, sizeof *locks);
    enum sw_status status = edges && locks ? SW_OK : SW_NOMEM;
    size_t count = 0;
    bool has_locks = false;
    for (size_t i = 0; i < tasks->edge_count && status == SW_OK; i++)
        edges[count++] = (struct sw_wait_edge){tasks->edges[i].from, tasks->edges[i].to};
    for (size_t i = 0; i < tasks->count && status == SW_OK; i++) {
        locks[i] = awaited_lock(dump, &tasks->items[i]);
        has_locks |= locks[i] != 0;
    }
    if (status == SW_OK && has_locks)
        status = task_lock_edges(dump, locks, edges, &count);
    if (status == SW_OK)
        status = sw_cycles_find(edges, count, tasks->count, &dump->task_deadlocks);
    sw_free(edges);
    sw_free(locks);
    return status;
}

enum sw_status sw_dump_find_blockers(struct sw_dump *dump) {
    enum sw_status status = blockers_find(dump);
    if (status == SW_OK)
        status = thread_cycles(dump);
    return status == SW_OK ? task_cycles(dump) : status;
}
