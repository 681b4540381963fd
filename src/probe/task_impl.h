/* task_impl.h - What the files of the task reader share. */
#ifndef SW_PROBE_TASK_IMPL_H
#define SW_PROBE_TASK_IMPL_H

#include "base/map.h"
#include "probe/task.h"

/* Where a task was found. */
struct sw_task_place {
    uint64_t address;
    uint32_t interpreter;
    uint64_t thread; /* pthread, when its list belongs to a thread */
};

struct sw_task_places {
    struct sw_task_place *items;
    size_t count, cap;
    struct sw_map seen; /* addresses */
    bool is_cut;
};

/* task_find.c: the addresses of all tasks, each once. */
SW_MUST_USE enum sw_status sw_task_find_all(const struct sw_task_reader *reader, struct sw_task_places *places);
void sw_task_places_release(struct sw_task_places *places);

/* task_edges.c: who awaits whom among tasks->items. */
SW_MUST_USE enum sw_status sw_task_find_edges(const struct sw_task_reader *reader, struct sw_tasks *tasks);

#endif
