/* task.h - The asyncio tasks of a target: where each stands, what it awaits, and who awaits it.
 *
 * From 3.14 on tasks are in lists of the threads and the interpreter, to which the target's section .AsyncioDebug leads;
 * before, and for tasks of other kinds, they are found as asyncio itself finds them, in sets of the module asyncio.tasks.
 * Tasks written in Python are read too. What changes while it is read may be missed, or be given as it was.
 */
#ifndef SW_PROBE_TASK_H
#define SW_PROBE_TASK_H

#include "probe/frame_slots.h"
#include "probe/generator.h"

#define SW_TASKS_MAX 20000
#define SW_TASK_NAME_CHARS 200

struct sw_task {
    uint64_t address;
    uint32_t interpreter; /* index in the thread list */
    enum sw_generator_state state;
    int32_t tid;     /* of the thread whose loop it belongs to; 0: not known */
    uint64_t thread; /* its pthread; 0: not known */
    struct sw_str name;
    struct sw_str coroutine;       /* the outermost coroutine's qualified name */
    const struct sw_frame *frames; /* the chain of awaits, innermost first */
    size_t frame_count;
    struct sw_str awaits; /* type of what the innermost frame awaits, "Future"; "" when unknown */
    uint64_t awaited;     /* that object */
    uint64_t waiter;      /* the future that wakes the task */
};

/* `from` awaits `to`: indexes of tasks. */
struct sw_task_edge {
    uint32_t from, to;
};

struct sw_tasks {
    struct sw_task *items; /* by thread, then in the order in which they were found */
    size_t count, cap;
    struct sw_task_edge *edges;
    size_t edge_count, edge_cap;
    bool is_cut; /* there are more than SW_TASKS_MAX */
    struct sw_arena text;
};

struct sw_task_reader {
    struct sw_objects *objects;
    struct sw_code_cache *codes;
    const struct sw_thread_list *threads;
};

/* Reads all tasks that are not done. None is fine: *tasks is then empty. Fails for lack of memory, or when the process is
 * gone. */
SW_MUST_USE enum sw_status sw_tasks_read(const struct sw_task_reader *reader, struct sw_tasks *tasks);
void sw_tasks_release(struct sw_tasks *tasks);

#endif
