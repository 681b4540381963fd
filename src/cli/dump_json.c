/* dump_json.c - A dump as JSON; docs/dump-json.md describes it. */
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/dump_print.h"
#include "probe/value.h"

struct writer {
    const struct sw_dump *dump;
    struct sw_objects *objects;
    bool has_locals;
    struct sw_json json;
    struct sw_locals locals;
    struct sw_buf text;
    enum sw_status status;
};

static void key(struct writer *writer, const char *name) {
    sw_json_key(&writer->json, sw_str_from(name));
}

static void put_str(struct writer *writer, const char *name, struct sw_str value) {
    key(writer, name);
    sw_json_str(&writer->json, value);
}

/* null when empty: what is not known is absent */
static void put_optional(struct writer *writer, const char *name, struct sw_str value) {
    key(writer, name);
    if (value.len > 0)
        sw_json_str(&writer->json, value);
    else
        sw_json_null(&writer->json);
}

static void put_number(struct writer *writer, const char *name, int64_t value, bool is_known) {
    key(writer, name);
    if (is_known)
        sw_json_i64(&writer->json, value);
    else
        sw_json_null(&writer->json);
}

static void put_bool(struct writer *writer, const char *name, bool value) {
    key(writer, name);
    sw_json_bool(&writer->json, value);
}

/* Addresses are text: a double cannot hold all of them. */
static void put_address(struct writer *writer, const char *name, uint64_t address) {
    char text[24];
    snprintf(text, sizeof text, "0x%llx", (unsigned long long)address);
    put_optional(writer, name, address ? sw_str_from(text) : (struct sw_str){NULL, 0});
}

static void put_locals(struct writer *writer, const struct sw_frame *frame) {
    enum sw_status status = sw_locals_read(writer->objects, frame, &writer->locals);
    if (status == SW_NOMEM)
        writer->status = status;
    key(writer, "locals");
    if (status != SW_OK) {
        sw_json_null(&writer->json);
        return;
    }
    sw_json_array_begin(&writer->json);
    for (size_t i = 0; i < writer->locals.count && writer->status == SW_OK; i++) {
        sw_buf_clear(&writer->text);
        writer->status = sw_value_append(writer->objects, writer->locals.items[i].slot, &writer->text);
        sw_json_object_begin(&writer->json);
        put_str(writer, "name", writer->locals.items[i].name);
        put_str(writer, "value", sw_buf_view(&writer->text));
        sw_json_object_end(&writer->json);
    }
    sw_json_array_end(&writer->json);
}

static void put_frames(struct writer *writer, const struct sw_frame *frames, size_t count) {
    key(writer, "frames");
    sw_json_array_begin(&writer->json);
    for (size_t i = 0; i < count && writer->status == SW_OK; i++) {
        sw_json_object_begin(&writer->json);
        put_str(writer, "name", frames[i].code ? frames[i].code->name : SW_STR(""));
        put_str(writer, "file", frames[i].code ? frames[i].code->file : SW_STR(""));
        put_number(writer, "line", frames[i].line, frames[i].line > 0);
        if (writer->has_locals)
            put_locals(writer, &frames[i]);
        sw_json_object_end(&writer->json);
    }
    sw_json_array_end(&writer->json);
}

static void put_native_frame(struct writer *writer, const struct sw_native_frame *frame) {
    put_str(writer, "kind", SW_STR("native"));
    put_optional(writer, "name", frame->name);
    put_optional(writer, "module", frame->module);
    put_address(writer, "offset", frame->offset);
    put_bool(writer, "is_guess", frame->is_guessed);
}

static void put_native(struct writer *writer, const struct sw_dump_native *native) {
    const char *reason = native->status == SW_OK      ? NULL
                         : native->status == SW_AGAIN ? "restless"
                         : native->status == SW_PERM  ? "refused"
                                                      : "unreadable";
    put_optional(writer, "native_absent", sw_str_from(reason));
    key(writer, "native");
    if (native->status != SW_OK) {
        sw_json_null(&writer->json);
        return;
    }
    sw_json_object_begin(&writer->json);
    put_bool(writer, "was_stopped", native->was_running);
    put_bool(writer, "is_matched", native->is_matched);
    put_bool(writer, "is_complete", native->is_complete);
    key(writer, "frames");
    sw_json_array_begin(&writer->json);
    for (size_t i = 0; i < native->frame_count; i++) {
        const struct sw_dump_frame *frame = &native->frames[i];
        sw_json_object_begin(&writer->json);
        if (frame->python.code) {
            put_str(writer, "kind", SW_STR("python"));
            put_str(writer, "name", frame->python.code->name);
            put_str(writer, "file", frame->python.code->file);
            put_number(writer, "line", frame->python.line, frame->python.line > 0);
        } else {
            put_native_frame(writer, &frame->native);
        }
        sw_json_object_end(&writer->json);
    }
    sw_json_array_end(&writer->json);
    sw_json_object_end(&writer->json);
}

static void put_lock(struct writer *writer, const struct sw_dump_thread *thread) {
    static const char *const kinds[] = {
        [SW_LOCK_PLAIN] = "Lock",        [SW_LOCK_REENTRANT] = "RLock",   [SW_LOCK_SIMPLE_QUEUE] = "SimpleQueue",
        [SW_LOCK_SEMAPHORE] = "SemLock", [SW_LOCK_INTERNAL] = "internal",
    };
    key(writer, "lock");
    if (thread->doing != SW_DOING_LOCK || thread->wait.lock.address == 0) {
        sw_json_null(&writer->json);
        return;
    }
    sw_json_object_begin(&writer->json);
    put_str(writer, "kind", sw_str_from(kinds[thread->wait.lock.kind]));
    put_address(writer, "address", thread->wait.lock.address);
    sw_json_object_end(&writer->json);
}

static void put_object(struct writer *writer, const struct sw_dump_thread *thread) {
    key(writer, "waits_in");
    if (!thread->wait.function[0]) {
        sw_json_null(&writer->json);
        return;
    }
    sw_json_object_begin(&writer->json);
    put_str(writer, "function", sw_str_from(thread->wait.function));
    put_optional(writer, "type", sw_str_from(thread->wait.type));
    put_address(writer, "address", thread->wait.object);
    sw_json_object_end(&writer->json);
}

static void put_blocker(struct writer *writer, const struct sw_dump_thread *thread) {
    bool is_known = thread->blocker != SW_DUMP_NONE;
    put_number(writer, "blocked_by", is_known ? (int64_t)thread->blocker : 0, is_known);
    put_bool(writer, "is_guess", thread->is_guess);
    put_number(writer, "blocked_by_frame", (int64_t)thread->blocker_frame, thread->blocker_frame != SW_DUMP_NONE);
}

static void put_thread(struct writer *writer, size_t index) {
    static const char *const qualities[] = {
        [SW_STACK_EXACT] = "exact",
        [SW_STACK_PARTIAL] = "partial",
        [SW_STACK_FAILED] = "failed",
        [SW_STACK_EMPTY] = "empty",
    };
    const struct sw_dump_thread *thread = &writer->dump->threads[index];
    const struct sw_thread_list *list = sw_stack_threads(writer->dump->reader);
    bool has_interpreter = thread->interpreter < list->interpreter_count;
    sw_json_object_begin(&writer->json);
    put_number(writer, "index", (int64_t)index, true);
    put_number(writer, "tid", thread->tid, thread->tid > 0);
    put_number(writer, "interpreter", has_interpreter ? list->interpreters[thread->interpreter].id : 0,
               has_interpreter);
    put_optional(writer, "name", thread->name);
    put_optional(writer, "os_name", thread->os_name);
    put_str(writer, "state", sw_str_from(sw_doing_word(thread->doing)));
    put_str(writer, "text", thread->words);
    put_bool(writer, "holds_gil", thread->stack->holds_gil);
    put_bool(writer, "is_settled", thread->is_settled);
    put_optional(writer, "syscall", thread->syscall);
    bool has_fd = thread->wait.kind == SW_WAIT_SYSCALL && thread->wait.number >= 0;
    put_number(writer, "fd", thread->wait.number, has_fd);
    put_optional(writer, "file", thread->file);
    put_lock(writer, thread);
    put_object(writer, thread);
    put_blocker(writer, thread);
    put_str(writer, "stack", sw_str_from(qualities[thread->stack->quality]));
    put_number(writer, "omitted_frames", (int64_t)thread->stack->omitted, true);
    put_frames(writer, thread->stack->frames, thread->stack->frame_count);
    if (writer->dump->has_native)
        put_native(writer, &thread->native);
    sw_json_object_end(&writer->json);
}

static void put_edges(struct writer *writer, uint32_t index, bool is_awaiter) {
    const struct sw_tasks *tasks = &writer->dump->tasks;
    key(writer, is_awaiter ? "awaited_by" : "awaits_tasks");
    sw_json_array_begin(&writer->json);
    for (size_t i = 0; i < tasks->edge_count; i++) {
        const struct sw_task_edge *edge = &tasks->edges[i];
        if ((is_awaiter ? edge->to : edge->from) == index)
            sw_json_u64(&writer->json, is_awaiter ? edge->from : edge->to);
    }
    sw_json_array_end(&writer->json);
}

static void put_task(struct writer *writer, uint32_t index) {
    static const char *const states[] = {
        [SW_GENERATOR_CREATED] = "created",
        [SW_GENERATOR_SUSPENDED] = "suspended",
        [SW_GENERATOR_RUNNING] = "running",
        [SW_GENERATOR_DONE] = "done",
    };
    const struct sw_task *task = &writer->dump->tasks.items[index];
    sw_json_object_begin(&writer->json);
    put_number(writer, "index", index, true);
    put_address(writer, "address", task->address);
    put_optional(writer, "name", task->name);
    put_optional(writer, "coroutine", task->coroutine);
    put_number(writer, "tid", task->tid, task->tid > 0);
    put_str(writer, "state", sw_str_from(states[task->state]));
    put_optional(writer, "awaits", task->awaits);
    put_edges(writer, index, false);
    put_edges(writer, index, true);
    put_frames(writer, task->frames, task->frame_count);
    sw_json_object_end(&writer->json);
}

static void put_cycles(struct writer *writer, const struct sw_cycles *cycles, bool is_task) {
    for (size_t i = 0; i < cycles->count; i++) {
        size_t from = i > 0 ? cycles->ends[i - 1] : 0;
        sw_json_object_begin(&writer->json);
        put_str(writer, "of", is_task ? SW_STR("tasks") : SW_STR("threads"));
        put_bool(writer, "is_certain", is_task || dump_is_certain(writer->dump, i));
        key(writer, "members");
        sw_json_array_begin(&writer->json);
        for (size_t j = from; j < cycles->ends[i]; j++)
            sw_json_u64(&writer->json, cycles->members[j]);
        sw_json_array_end(&writer->json);
        sw_json_object_end(&writer->json);
    }
}

static void put_header(struct writer *writer) {
    const struct sw_dump *dump = writer->dump;
    char text[40];
    size_t len = sw_clock_format_rfc3339(dump->epoch_ns, text);
    put_number(writer, "pid", dump->runtime->target->pid, true);
    put_str(writer, "command", dump->command);
    put_str(writer, "python", sw_str_from(dump->runtime->version_text));
    put_str(writer, "runtime", dump->runtime->path);
    put_str(writer, "time", sw_str_make(text, len));
    key(writer, "deadlocks");
    sw_json_array_begin(&writer->json);
    put_cycles(writer, &dump->deadlocks, false);
    put_cycles(writer, &dump->task_deadlocks, true);
    sw_json_array_end(&writer->json);
}

static void put_others(struct writer *writer) {
    key(writer, "other_threads");
    sw_json_array_begin(&writer->json);
    for (size_t i = 0; i < writer->dump->other_count; i++) {
        sw_json_object_begin(&writer->json);
        put_number(writer, "tid", writer->dump->others[i].tid, true);
        put_optional(writer, "os_name", writer->dump->others[i].name);
        sw_json_object_end(&writer->json);
    }
    sw_json_array_end(&writer->json);
}

enum sw_status dump_print_json(const struct dump_print *print) {
    struct writer writer = {.dump = print->dump, .objects = print->dump->objects, .has_locals = print->has_locals};
    sw_json_init(&writer.json, print->out);
    sw_json_object_begin(&writer.json);
    put_header(&writer);
    key(&writer, "threads");
    sw_json_array_begin(&writer.json);
    for (size_t i = 0; i < print->dump->thread_count && writer.status == SW_OK; i++)
        put_thread(&writer, i);
    sw_json_array_end(&writer.json);
    put_others(&writer);
    key(&writer, "tasks");
    sw_json_array_begin(&writer.json);
    for (uint32_t i = 0; i < print->dump->tasks.count && writer.status == SW_OK; i++)
        put_task(&writer, i);
    sw_json_array_end(&writer.json);
    put_bool(&writer, "tasks_are_cut", print->dump->tasks.is_cut);
    sw_json_object_end(&writer.json);
    sw_locals_release(&writer.locals);
    sw_buf_release(&writer.text);
    if (writer.status == SW_OK)
        writer.status = sw_json_status(&writer.json);
    return writer.status == SW_OK ? sw_buf_append_byte(print->out, '\n') : writer.status;
}
