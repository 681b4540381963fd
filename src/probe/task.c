/* task.c - One asyncio task of a target: its name, its chain of awaits, its thread.
 *
 * The offsets of a C task up to 3.13 are in no header; its coroutine is found by its type, and in all versions the
 * future that the task waits for stands right before the coroutine and the name right behind it.
 */
#include "probe/task.h"

#include <stdio.h>

#include "base/mem.h"
#include "probe/object_impl.h"
#include "probe/task_impl.h"
#include "probe/value.h"

#define TASK_WORDS_MAX 64
#define C_TASK_BYTES_MIN 80 /* instances of Python classes are smaller */

/* The objects a task is made of. */
struct parts {
    uint64_t coroutine, waiter, name, loop;
};

/* The thread of the loop asked for last: most tasks have the same. */
struct loop {
    uint64_t address, thread;
};

static bool is_coroutine(const struct sw_type *type) {
    return sw_type_is(type, "coroutine") || sw_type_is(type, "generator");
}

static enum sw_status parts_of_python(struct sw_objects *objects, uint64_t task, struct parts *parts) {
    static const char *const names[] = {"_coro", "_fut_waiter", "_name", "_loop"};
    uint64_t *const into[] = {&parts->coroutine, &parts->waiter, &parts->name, &parts->loop};
    for (size_t i = 0; i < 4; i++)
        if (sw_object_attribute(objects, task, sw_str_from(names[i]), into[i]) != SW_OK) {
            *into[i] = 0;
            if (i == 0)
                return SW_IO;
        }
    return SW_OK;
}

static enum sw_status parts_read(struct sw_objects *objects, uint64_t task, struct parts *parts) {
    const struct sw_layout *layout = sw_objects_layout(objects);
    const struct sw_type *type = sw_object_type(objects, task);
    uint64_t words[TASK_WORDS_MAX];
    if (!type)
        return SW_IO;
    size_t count = (type->basicsize - layout->object.size) / 8;
    if (count > TASK_WORDS_MAX)
        count = TASK_WORDS_MAX;
    if (type->basicsize < C_TASK_BYTES_MIN ||
        sw_objects_read(objects, task + layout->object.size, words, count * 8) != SW_OK)
        return parts_of_python(objects, task, parts);
    size_t at = 1;
    if (layout->asyncio.is_known && layout->asyncio.task_coro >= layout->object.size + 8)
        at = (layout->asyncio.task_coro - layout->object.size) / 8;
    while (at < count && !is_coroutine(sw_object_type(objects, words[at])))
        at++;
    if (at + 1 >= count)
        return parts_of_python(objects, task, parts);
    *parts = (struct parts){.coroutine = words[at], .waiter = words[at - 1], .name = words[at + 1], .loop = words[0]};
    return SW_OK;
}

static enum sw_status keep(struct sw_arena *arena, struct sw_str text, struct sw_str *kept) {
    *kept = sw_arena_copy(arena, text);
    return kept->ptr ? SW_OK : SW_NOMEM;
}

/* From 3.12 on the name is a number until someone asks for it. */
static enum sw_status name_read(struct sw_objects *objects, uint64_t name, struct sw_buf *text) {
    int64_t number;
    if (sw_object_i64(objects, name, &number) == SW_OK)
        return sw_buf_append_format(text, "Task-%lld", (long long)number);
    enum sw_status status = sw_value_append_str(objects, name, SW_TASK_NAME_CHARS, text);
    return status == SW_NOMEM ? status : SW_OK;
}

static enum sw_status text_read(struct sw_objects *objects, const struct parts *parts, struct sw_tasks *tasks,
                                struct sw_task *task) {
    struct sw_buf text = {0};
    uint64_t name = 0;
    enum sw_status status = name_read(objects, parts->name, &text);
    if (status == SW_OK)
        status = keep(&tasks->text, sw_buf_view(&text), &task->name);
    sw_buf_clear(&text);
    if (sw_objects_u64_at(objects, parts->coroutine + sw_objects_layout(objects)->generator.qualname, &name) != SW_OK)
        name = 0;
    if (status == SW_OK && sw_value_append_str(objects, name, SW_TASK_NAME_CHARS, &text) == SW_NOMEM)
        status = SW_NOMEM;
    if (status == SW_OK)
        status = keep(&tasks->text, sw_buf_view(&text), &task->coroutine);
    sw_buf_release(&text);
    return status;
}

/* Keeps the frames, which were met outermost first, innermost first. */
static enum sw_status frames_keep(struct sw_tasks *tasks, const struct sw_buf *chain, struct sw_task *task) {
    const struct sw_frame *met = (const struct sw_frame *)(const void *)chain->ptr;
    size_t count = chain->len / sizeof *met;
    struct sw_frame *frames = sw_arena_alloc(&tasks->text, chain->len + 1);
    if (!frames)
        return SW_NOMEM;
    for (size_t i = 0; i < count; i++)
        frames[i] = met[count - 1 - i];
    task->frames = frames;
    task->frame_count = count;
    return SW_OK;
}

static enum sw_status chain_read(const struct sw_task_reader *reader, uint64_t object, struct sw_tasks *tasks,
                                 struct sw_task *task) {
    struct sw_buf chain = {0};
    enum sw_status status = SW_OK;
    task->state = SW_GENERATOR_DONE;
    bool is_generator = true;
    for (int depth = 0; depth < SW_AWAIT_DEPTH_MAX && object && is_generator && status == SW_OK; depth++) {
        struct sw_generator generator;
        enum sw_status got = sw_generator_read(reader->objects, reader->codes, object, &generator);
        if (got != SW_OK || !generator.frame.code) {
            status = got == SW_NOMEM ? got : SW_OK;
            object = 0;
            break;
        }
        if (depth == 0)
            task->state = generator.state;
        status = sw_buf_append(&chain, sw_str_make((const char *)&generator.frame, sizeof generator.frame));
        object = generator.state == SW_GENERATOR_SUSPENDED && generator.top
                     ? sw_awaitable_resolve(reader->objects, generator.top, &is_generator)
                     : 0;
    }
    const struct sw_type *type = object && !is_generator ? sw_object_type(reader->objects, object) : NULL;
    if (status == SW_OK && type && !sw_type_is(type, "NoneType")) {
        task->awaited = object;
        status = keep(&tasks->text, sw_str_from(type->name), &task->awaits);
    }
    if (status == SW_OK)
        status = frames_keep(tasks, &chain, task);
    sw_buf_release(&chain);
    return status;
}

static uint64_t thread_of(struct sw_objects *objects, uint64_t loop, struct loop *last) {
    uint64_t value;
    int64_t ident = 0;
    if (loop == last->address)
        return last->thread;
    if (sw_object_attribute(objects, loop, SW_STR("_thread_id"), &value) != SW_OK ||
        sw_object_i64(objects, value, &ident) != SW_OK)
        ident = 0;
    *last = (struct loop){loop, (uint64_t)ident};
    return last->thread;
}

static int32_t tid_of(const struct sw_thread_list *threads, uint64_t pthread) {
    for (size_t i = 0; i < threads->thread_count && pthread; i++)
        if (threads->threads[i].pthread == pthread)
            return threads->threads[i].tid;
    return 0;
}

static enum sw_status task_add(struct sw_tasks *tasks, const struct sw_task *task) {
    if (tasks->count == tasks->cap) {
        size_t cap = tasks->cap ? tasks->cap * 2 : 32;
        struct sw_task *grown = sw_realloc_array(tasks->items, cap, sizeof *grown);
        if (!grown)
            return SW_NOMEM;
        tasks->items = grown;
        tasks->cap = cap;
    }
    tasks->items[tasks->count++] = *task;
    return SW_OK;
}

static enum sw_status task_read(const struct sw_task_reader *reader, const struct sw_task_place *place,
                                struct loop *last, struct sw_tasks *tasks) {
    struct sw_task task = {.address = place->address, .interpreter = place->interpreter};
    struct parts parts = {0};
    if (parts_read(reader->objects, place->address, &parts) != SW_OK)
        return SW_OK; /* gone, or no task after all */
    enum sw_status status = chain_read(reader, parts.coroutine, tasks, &task);
    if (status != SW_OK || task.state == SW_GENERATOR_DONE)
        return status;
    task.waiter = parts.waiter;
    uint64_t thread = thread_of(reader->objects, parts.loop, last);
    task.thread = thread ? thread : place->thread;
    task.tid = tid_of(reader->threads, task.thread);
    status = text_read(reader->objects, &parts, tasks, &task);
    return status == SW_OK ? task_add(tasks, &task) : status;
}

enum sw_status sw_tasks_read(const struct sw_task_reader *reader, struct sw_tasks *tasks) {
    struct sw_tasks seen = {0};
    struct sw_task_places places = {0};
    struct loop last = {0};
    enum sw_status status = sw_task_find_all(reader, &places);
    for (size_t i = 0; i < places.count && status == SW_OK; i++)
        status = task_read(reader, &places.items[i], &last, &seen);
    if (status == SW_OK)
        status = sw_task_find_edges(reader, &seen);
    seen.is_cut = places.is_cut;
    sw_task_places_release(&places);
    if (status == SW_OK)
        *tasks = seen;
    else
        sw_tasks_release(&seen);
    return status;
}

void sw_tasks_release(struct sw_tasks *tasks) {
    sw_free(tasks->items);
    sw_free(tasks->edges);
    sw_arena_release(&tasks->text);
    *tasks = (struct sw_tasks){0};
}
