/* task_find.c - Where the asyncio tasks of a target are. */
#include "base/mem.h"
#include "probe/object_impl.h"
#include "probe/task_impl.h"

static enum sw_status place_add(struct sw_task_places *places, const struct sw_task_place *place) {
    struct sw_str key = sw_str_make((const char *)&place->address, sizeof place->address);
    uint64_t known;
    if (sw_map_get(&places->seen, key, &known))
        return SW_OK;
    if (places->count == SW_TASKS_MAX) {
        places->is_cut = true;
        return SW_OK;
    }
    if (places->count == places->cap) {
        size_t cap = places->cap ? places->cap * 2 : 64;
        struct sw_task_place *grown = sw_realloc_array(places->items, cap, sizeof *grown);
        if (!grown)
            return SW_NOMEM;
        places->items = grown;
        places->cap = cap;
    }
    places->items[places->count++] = *place;
    return sw_map_put(&places->seen, key, places->count - 1);
}

/* A list of CPython's kind: a circle of nodes with the head among them. */
static enum sw_status list_walk(const struct sw_task_reader *reader, uint64_t head, struct sw_task_place place,
                                struct sw_task_places *places) {
    const struct sw_layout *layout = sw_objects_layout(reader->objects);
    uint64_t node = head;
    enum sw_status status = SW_OK;
    for (size_t i = 0; i <= SW_TASKS_MAX && status == SW_OK; i++) {
        status = sw_objects_u64_at(reader->objects, node + layout->llist.next, &node);
        if (status != SW_OK || node == head || node == 0)
            break;
        place.address = node - layout->asyncio.task_node;
        status = place_add(places, &place);
    }
    return status == SW_NOMEM ? status : SW_OK;
}

static enum sw_status lists_walk(const struct sw_task_reader *reader, struct sw_task_places *places) {
    const struct sw_layout *layout = sw_objects_layout(reader->objects);
    const struct sw_thread_list *list = reader->threads;
    enum sw_status status = SW_OK;
    if (!layout->asyncio.is_known)
        return SW_OK;
    for (size_t i = list->thread_count; i-- > 0 && status == SW_OK;) { /* the main thread is last */
        const struct sw_thread_ref *thread = &list->threads[i];
        struct sw_task_place place = {0, thread->interpreter, thread->pthread};
        status = list_walk(reader, thread->address + layout->asyncio.thread_tasks_head, place, places);
    }
    for (uint32_t i = 0; i < list->interpreter_count && status == SW_OK; i++) {
        struct sw_task_place place = {0, i, 0};
        uint64_t head = list->interpreters[i].address + layout->asyncio.interp_tasks_head;
        status = list_walk(reader, head, place, places);
    }
    return status;
}

/* A set of tasks, or a WeakSet: an instance with a set `data` of weak references. */
static enum sw_status set_walk(const struct sw_task_reader *reader, uint64_t set, struct sw_task_place place,
                               struct sw_task_places *places) {
    struct sw_objects *objects = reader->objects;
    struct sw_items items = {0};
    bool is_weak = !sw_object_is(objects, set, "set");
    enum sw_status status = is_weak ? sw_object_attribute(objects, set, SW_STR("data"), &set) : SW_OK;
    if (status == SW_OK)
        status = sw_object_items(objects, set, SW_ITEMS_MAX, &items);
    for (size_t i = 0; i < items.count && status == SW_OK; i++) {
        place.address = items.items[i].value;
        if (is_weak && sw_object_word(objects, place.address, 0, &place.address) != SW_OK)
            continue;
        const struct sw_type *type = sw_object_type(objects, place.address);
        if (type && !sw_type_is(type, "NoneType")) /* None: the task is gone */
            status = place_add(places, &place);
    }
    sw_items_release(&items);
    return status == SW_NOMEM ? status : SW_OK;
}

static enum sw_status sets_walk(const struct sw_task_reader *reader, struct sw_task_places *places) {
    static const char *const paths[][2] = {
        {"asyncio.tasks", "_all_tasks"},       /* up to 3.11 */
        {"asyncio.tasks", "_scheduled_tasks"}, /* 3.12 on */
        {"asyncio.tasks", "_eager_tasks"},
    };
    enum sw_status status = SW_OK;
    for (uint32_t i = 0; i < reader->threads->interpreter_count; i++)
        for (size_t j = 0; j < sizeof paths / sizeof paths[0] && status == SW_OK; j++) {
            uint64_t set;
            struct sw_task_place place = {0, i, 0};
            if (sw_module_attribute(reader->objects, reader->threads->interpreters[i].address, paths[j], &set) == SW_OK)
                status = set_walk(reader, set, place, places);
        }
    return status;
}

enum sw_status sw_task_find_all(const struct sw_task_reader *reader, struct sw_task_places *places) {
    enum sw_status status = lists_walk(reader, places);
    return status == SW_OK ? sets_walk(reader, places) : status;
}

void sw_task_places_release(struct sw_task_places *places) {
    sw_free(places->items);
    sw_map_release(&places->seen);
    *places = (struct sw_task_places){0};
}
