/* task_edges.c - Which asyncio tasks of a target await which others. */
#include "base/mem.h"
#include "probe/lock.h"
#include "probe/object_impl.h"
#include "probe/task_impl.h"

#define EDGES_MAX 1000000

struct edges {
    const struct sw_task_reader *reader;
    struct sw_tasks *tasks;
    struct sw_map by_address; /* of a task: its index */
    struct sw_map seen;       /* pairs of indexes */
    struct sw_items items;    /* scratch */
};

static bool index_of(const struct edges *edges, uint64_t address, uint32_t *index) {
    uint64_t value;
    if (!sw_map_get(&edges->by_address, sw_str_make((const char *)&address, sizeof address), &value))
        return false;
    *index = (uint32_t)value;
    return true;
}

static enum sw_status edge_add(struct edges *edges, uint32_t from, uint32_t to) {
    struct sw_tasks *tasks = edges->tasks;
    struct sw_task_edge edge = {from, to};
    struct sw_str key = sw_str_make((const char *)&edge, sizeof edge);
    uint64_t known;
    if (tasks->edge_count == EDGES_MAX || sw_map_get(&edges->seen, key, &known))
        return SW_OK;
    if (tasks->edge_count == tasks->edge_cap) {
        size_t cap = tasks->edge_cap ? tasks->edge_cap * 2 : 32;
        struct sw_task_edge *grown = sw_realloc_array(tasks->edges, cap, sizeof *grown);
        if (!grown)
            return SW_NOMEM;
        tasks->edges = grown;
        tasks->edge_cap = cap;
    }
    tasks->edges[tasks->edge_count++] = edge;
    return sw_map_put(&edges->seen, key, 1);
}

/* `from` awaits each task in the list or set at `container`, or that object itself. */
static enum sw_status edges_to(struct edges *edges, uint32_t from, uint64_t container) {
    uint32_t to;
    if (index_of(edges, container, &to))
        return edge_add(edges, from, to);
    enum sw_status status = sw_object_items(edges->reader->objects, container, SW_ITEMS_MAX, &edges->items);
    for (size_t i = 0; i < edges->items.count && status == SW_OK; i++)
        if (index_of(edges, edges->items.items[i].value, &to))
            status = edge_add(edges, from, to);
    return status == SW_NOMEM ? status : SW_OK;
}

/* The future that wakes the task: another task, or one that gather() made for its children. */
static enum sw_status edges_of_waiter(struct edges *edges, uint32_t from, uint64_t waiter) {
    uint64_t children;
    if (sw_object_is(edges->reader->objects, waiter, "_GatheringFuture") &&
        sw_object_attribute(edges->reader->objects, waiter, SW_STR("_children"), &children) == SW_OK)
        return edges_to(edges, from, children);
    uint32_t to;
    return index_of(edges, waiter, &to) ? edge_add(edges, from, to) : SW_OK;
}

/* Functions of asyncio that wait for several tasks by a future of their own keep them in a variable. */
static enum sw_status edges_of_frame(struct edges *edges, uint32_t from, const struct sw_frame *frame) {
    struct sw_objects *objects = edges->reader->objects;
    uint64_t object;
    uint64_t set;
    if (sw_frame_runs(frame, "/asyncio/taskgroups.py", NULL) &&
        sw_local_get(objects, frame, SW_STR("self"), &object) == SW_OK &&
        sw_object_attribute(objects, object, SW_STR("_tasks"), &set) == SW_OK)
        return edges_to(edges, from, set);
    if (sw_frame_runs(frame, "/asyncio/tasks.py", "_wait") && sw_local_get(objects, frame, SW_STR("fs"), &set) == SW_OK)
        return edges_to(edges, from, set);
    if (sw_frame_runs(frame, "/asyncio/tasks.py", "wait_for") &&
        sw_local_get(objects, frame, SW_STR("fut"), &object) == SW_OK)
        return edges_to(edges, from, object);
    return SW_OK;
}

/* From 3.14 on tasks know who awaits them: one task, or a set of them. */
static enum sw_status edges_of_awaiters(struct edges *edges, uint32_t to) {
    struct sw_objects *objects = edges->reader->objects;
    const struct sw_layout *layout = sw_objects_layout(objects);
    uint64_t task = edges->tasks->items[to].address;
    uint64_t awaiter;
    uint32_t from;
    if (!layout->asyncio.is_known ||
        sw_objects_u64_at(objects, task + layout->asyncio.task_awaited_by, &awaiter) != SW_OK || !awaiter)
        return SW_OK;
    if (index_of(edges, awaiter, &from))
        return edge_add(edges, from, to);
    enum sw_status status = sw_object_items(objects, awaiter, SW_ITEMS_MAX, &edges->items);
    for (size_t i = 0; i < edges->items.count && status == SW_OK; i++)
        if (index_of(edges, edges->items.items[i].value, &from))
            status = edge_add(edges, from, to);
    return status == SW_NOMEM ? status : SW_OK;
}

static enum sw_status edges_collect(struct edges *edges) {
    enum sw_status status = SW_OK;
    for (uint32_t i = 0; i < edges->tasks->count && status == SW_OK; i++) {
        const struct sw_task *task = &edges->tasks->items[i];
        status = edges_of_waiter(edges, i, task->waiter);
        for (size_t j = 0; j < task->frame_count && status == SW_OK; j++)
            status = edges_of_frame(edges, i, &task->frames[j]);
        if (status == SW_OK)
            status = edges_of_awaiters(edges, i);
    }
    return status;
}

enum sw_status sw_task_find_edges(const struct sw_task_reader *reader, struct sw_tasks *tasks) {
    struct edges edges = {.reader = reader, .tasks = tasks};
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < tasks->count && status == SW_OK; i++) {
        struct sw_str key = sw_str_make((const char *)&tasks->items[i].address, sizeof tasks->items[i].address);
        status = sw_map_put(&edges.by_address, key, i);
    }
    if (status == SW_OK)
        status = edges_collect(&edges);
    sw_map_release(&edges.by_address);
    sw_map_release(&edges.seen);
    sw_items_release(&edges.items);
    return status;
}
