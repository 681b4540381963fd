/* dump_text.c - A dump as text: deadlocks first, then threads, then asyncio tasks. */
#include <stdio.h>

#include "base/clock.h"
#include "cli/dump_print.h"
#include "probe/value.h"

#define OTHERS_SHOWN 8
#define EDGES_SHOWN 8

struct writer {
    const struct sw_dump *dump;
    struct sw_objects *objects;
    bool has_locals;
    struct sw_buf *out;
    struct sw_locals locals;
    enum sw_status status;
};

/* Control characters, which a hostile process could put in its names, are shown as '?'. */
static void put(struct writer *writer, struct sw_str text) {
    size_t from = writer->out->len;
    if (writer->status == SW_OK)
        writer->status = sw_buf_append(writer->out, text);
    for (size_t i = from; i < writer->out->len; i++)
        if ((unsigned char)writer->out->ptr[i] < 0x20 || writer->out->ptr[i] == 0x7f)
            writer->out->ptr[i] = '?';
}

static void put_text(struct writer *writer, const char *text) {
    put(writer, sw_str_from(text));
}

static void put_line_end(struct writer *writer) {
    if (writer->status == SW_OK)
        writer->status = sw_buf_append_byte(writer->out, '\n');
}

static void put_count(struct writer *writer, size_t count, const char *one, const char *many) {
    char text[32];
    snprintf(text, sizeof text, "%zu ", count);
    put_text(writer, text);
    put_text(writer, count == 1 ? one : many);
}

static void put_frame(struct writer *writer, const struct sw_frame *frame) {
    char line[16];
    put(writer, frame->code ? frame->code->name : SW_STR("?"));
    put_text(writer, " (");
    put(writer, frame->code ? frame->code->file : SW_STR("?"));
    if (frame->line > 0) {
        snprintf(line, sizeof line, ":%d", frame->line);
        put_text(writer, line);
    }
    put_text(writer, ")");
}

static void put_locals(struct writer *writer, const struct sw_frame *frame) {
    enum sw_status status = sw_locals_read(writer->objects, frame, &writer->locals);
    if (status == SW_NOMEM)
        writer->status = status;
    if (status != SW_OK) {
        put_text(writer, "        <unreadable>");
        put_line_end(writer);
        return;
    }
    for (size_t i = 0; i < writer->locals.count && writer->status == SW_OK; i++) {
        put_text(writer, "        ");
        put(writer, writer->locals.items[i].name);
        put_text(writer, " = ");
        size_t from = writer->out->len;
        if (writer->status == SW_OK)
            writer->status = sw_value_append(writer->objects, writer->locals.items[i].slot, writer->out);
        for (size_t j = from; j < writer->out->len; j++)
            if ((unsigned char)writer->out->ptr[j] < 0x20)
                writer->out->ptr[j] = '?';
        put_line_end(writer);
    }
}

static void put_frames(struct writer *writer, const struct sw_frame *frames, size_t count, size_t omitted) {
    for (size_t i = 0; i < count && writer->status == SW_OK; i++) {
        if (omitted > 0 && i == count / 2) {
            put_text(writer, "    ... ");
            put_count(writer, omitted, "frame left out", "frames left out");
            put_line_end(writer);
        }
        put_text(writer, "    ");
        put_frame(writer, &frames[i]);
        put_line_end(writer);
        if (writer->has_locals)
            put_locals(writer, &frames[i]);
    }
}

static void put_native_frame(struct writer *writer, const struct sw_native_frame *frame) {
    char address[24];
    snprintf(address, sizeof address, "0x%llx",
             (unsigned long long)(frame->module.len > 0 ? frame->offset : frame->pc));
    put(writer, frame->name.len > 0 ? frame->name : sw_str_from(address));
    put_text(writer, " (");
    put(writer, frame->module.len > 0 ? frame->module : SW_STR("no file"));
    put_text(writer, frame->is_guessed ? ", probably)" : ")");
}

static void put_merged(struct writer *writer, const struct sw_dump_thread *thread) {
    const struct sw_dump_native *native = &thread->native;
    if (native->was_running && thread->look.activity == SW_THREAD_BLOCKED) {
        put_text(writer, "    (a moment later, when the thread ran:)");
        put_line_end(writer);
    }
    if (!native->is_matched && native->frame_count > 0) {
        put_text(writer, "    (which C function called which Python function is not certain)");
        put_line_end(writer);
    }
    for (size_t i = 0; i < native->frame_count && writer->status == SW_OK; i++) {
        const struct sw_dump_frame *frame = &native->frames[i];
        put_text(writer, "    ");
        if (frame->python.code)
            put_frame(writer, &frame->python);
        else
            put_native_frame(writer, &frame->native);
        put_line_end(writer);
        if (writer->has_locals && frame->python.code)
            put_locals(writer, &frame->python);
    }
}

static void put_native_reason(struct writer *writer, enum sw_status status) {
    put_text(writer, status == SW_AGAIN  ? "    (no C frames: the thread did not rest long enough)"
                     : status == SW_PERM ? "    (no C frames: the thread runs, and may not be stopped to read them)"
                                         : "    (no C frames: they cannot be read)");
    put_line_end(writer);
}

static void put_tid(struct writer *writer, int32_t tid) {
    char text[16];
    snprintf(text, sizeof text, " %d", tid);
    put_text(writer, tid > 0 ? text : "");
}

static void put_thread_name(struct writer *writer, const struct sw_dump_thread *thread) {
    struct sw_str name = thread->name.len > 0 ? thread->name : thread->os_name;
    put_tid(writer, thread->tid);
    if (name.len == 0)
        return;
    put_text(writer, " \"");
    put(writer, name);
    put_text(writer, "\"");
}

static void put_quality(struct writer *writer, const struct sw_stack *stack) {
    static const char *const texts[] = {
        [SW_STACK_EXACT] = NULL,
        [SW_STACK_PARTIAL] = "    (the innermost frames change too fast to be read)",
        [SW_STACK_FAILED] = "    (the stack could not be read)",
        [SW_STACK_EMPTY] = "    (no Python code)",
    };
    if (!texts[stack->quality])
        return;
    put_text(writer, texts[stack->quality]);
    put_line_end(writer);
}

static void put_threads(struct writer *writer) {
    const struct sw_dump *dump = writer->dump;
    const struct sw_thread_list *list = sw_stack_threads(dump->reader);
    char text[64];
    for (size_t i = 0; i < dump->thread_count && writer->status == SW_OK; i++) {
        const struct sw_dump_thread *thread = &dump->threads[i];
        put_line_end(writer);
        if (list->interpreter_count > 1 && thread->interpreter < list->interpreter_count) {
            snprintf(text, sizeof text, "Interpreter %lld, thread",
                     (long long)list->interpreters[thread->interpreter].id);
            put_text(writer, text);
        } else {
            put_text(writer, "Thread");
        }
        put_thread_name(writer, thread);
        put_text(writer, ": ");
        put(writer, thread->words);
        put_line_end(writer);
        if (dump->has_native && thread->native.status == SW_OK) {
            put_merged(writer, thread);
            continue;
        }
        if (dump->has_native)
            put_native_reason(writer, thread->native.status);
        put_quality(writer, thread->stack);
        put_frames(writer, thread->stack->frames, thread->stack->frame_count, thread->stack->omitted);
    }
}

static void put_others(struct writer *writer) {
    const struct sw_dump *dump = writer->dump;
    if (dump->other_count == 0)
        return;
    put_line_end(writer);
    put_count(writer, dump->other_count, "thread without Python:", "threads without Python:");
    for (size_t i = 0; i < dump->other_count && i < OTHERS_SHOWN; i++) {
        put_text(writer, i > 0 ? "," : "");
        put_tid(writer, dump->others[i].tid);
        put_text(writer, " \"");
        put(writer, dump->others[i].name);
        put_text(writer, "\"");
    }
    put_text(writer, dump->other_count > OTHERS_SHOWN ? ", ..." : "");
    put_line_end(writer);
}

static void put_task_names(struct writer *writer, uint32_t index, bool is_awaiter) {
    const struct sw_tasks *tasks = &writer->dump->tasks;
    size_t shown = 0;
    for (size_t i = 0; i < tasks->edge_count && writer->status == SW_OK; i++) {
        const struct sw_task_edge *edge = &tasks->edges[i];
        if ((is_awaiter ? edge->to : edge->from) != index || shown++ >= EDGES_SHOWN)
            continue;
        put_text(writer, shown > 1 ? ", " : is_awaiter ? "    awaited by " : "    awaits ");
        put(writer, tasks->items[is_awaiter ? edge->from : edge->to].name);
    }
    if (shown > EDGES_SHOWN)
        put_text(writer, ", ...");
    if (shown > 0)
        put_line_end(writer);
}

static void put_task(struct writer *writer, uint32_t index) {
    static const char *const states[] = {
        [SW_GENERATOR_CREATED] = "not started",
        [SW_GENERATOR_SUSPENDED] = "suspended",
        [SW_GENERATOR_RUNNING] = "running",
        [SW_GENERATOR_DONE] = "done",
    };
    const struct sw_task *task = &writer->dump->tasks.items[index];
    put_line_end(writer);
    put_text(writer, "Task \"");
    put(writer, task->name);
    put_text(writer, "\" of ");
    put(writer, task->coroutine);
    if (task->tid > 0) {
        put_text(writer, ", thread");
        put_tid(writer, task->tid);
    }
    put_text(writer, ": ");
    put_text(writer, states[task->state]);
    if (task->awaits.len > 0) {
        put_text(writer, ", awaiting ");
        put(writer, task->awaits);
    }
    put_line_end(writer);
    put_frames(writer, task->frames, task->frame_count, 0);
    put_task_names(writer, index, false);
    put_task_names(writer, index, true);
}

static void put_tasks(struct writer *writer) {
    const struct sw_tasks *tasks = &writer->dump->tasks;
    if (tasks->count == 0)
        return;
    put_line_end(writer);
    put_count(writer, tasks->count, "asyncio task", "asyncio tasks");
    put_text(writer, tasks->is_cut ? " (and more, left out):" : ":");
    put_line_end(writer);
    for (uint32_t i = 0; i < tasks->count && writer->status == SW_OK; i++)
        put_task(writer, i);
}

bool dump_is_certain(const struct sw_dump *dump, size_t cycle) {
    size_t from = cycle > 0 ? dump->deadlocks.ends[cycle - 1] : 0;
    for (size_t i = from; i < dump->deadlocks.ends[cycle]; i++)
        if (dump->threads[dump->deadlocks.members[i]].is_guess)
            return false;
    return true;
}

static void put_deadlock(struct writer *writer, size_t cycle) {
    const struct sw_dump *dump = writer->dump;
    size_t from = cycle > 0 ? dump->deadlocks.ends[cycle - 1] : 0;
    size_t count = dump->deadlocks.ends[cycle] - from;
    put_line_end(writer);
    put_text(writer, dump_is_certain(dump, cycle) ? "DEADLOCK: " : "PROBABLE DEADLOCK: ");
    put_count(writer, count, "thread waits for itself", "threads wait for each other in a circle");
    put_line_end(writer);
    for (size_t i = from; i < dump->deadlocks.ends[cycle]; i++) {
        const struct sw_dump_thread *thread = &dump->threads[dump->deadlocks.members[i]];
        put_text(writer, "    thread");
        put_thread_name(writer, thread);
        put_text(writer, " in ");
        if (thread->stack->frame_count > 0)
            put_frame(writer, &thread->stack->frames[0]);
        put_text(writer, ": ");
        put(writer, thread->words);
        put_line_end(writer);
    }
}

static void put_task_deadlock(struct writer *writer, size_t cycle) {
    const struct sw_dump *dump = writer->dump;
    size_t from = cycle > 0 ? dump->task_deadlocks.ends[cycle - 1] : 0;
    size_t count = dump->task_deadlocks.ends[cycle] - from;
    put_line_end(writer);
    put_text(writer, "DEADLOCK: ");
    put_count(writer, count, "asyncio task waits for itself", "asyncio tasks wait for each other in a circle");
    put_line_end(writer);
    for (size_t i = from; i < dump->task_deadlocks.ends[cycle]; i++) {
        const struct sw_task *task = &dump->tasks.items[dump->task_deadlocks.members[i]];
        put_text(writer, "    task \"");
        put(writer, task->name);
        put_text(writer, "\" in ");
        if (task->frame_count > 0)
            put_frame(writer, &task->frames[0]);
        put_line_end(writer);
    }
}

static void put_header(struct writer *writer) {
    const struct sw_dump *dump = writer->dump;
    char text[64];
    snprintf(text, sizeof text, "Process %d: ", dump->runtime->target->pid);
    put_text(writer, text);
    put(writer, dump->command);
    put_line_end(writer);
    put_text(writer, "CPython ");
    put_text(writer, dump->runtime->version_text);
    put_text(writer, ", ");
    put(writer, dump->runtime->path);
    put_text(writer, ", ");
    size_t len = sw_clock_format_rfc3339(dump->epoch_ns, text);
    put(writer, sw_str_make(text, len));
    put_line_end(writer);
}

enum sw_status dump_print_text(const struct dump_print *print) {
    struct writer writer = {.dump = print->dump,
                            .objects = print->dump->objects,
                            .has_locals = print->has_locals,
                            .out = print->out};
    put_header(&writer);
    for (size_t i = 0; i < print->dump->deadlocks.count; i++)
        put_deadlock(&writer, i);
    for (size_t i = 0; i < print->dump->task_deadlocks.count; i++)
        put_task_deadlock(&writer, i);
    put_threads(&writer);
    put_others(&writer);
    put_tasks(&writer);
    sw_locals_release(&writer.locals);
    return writer.status;
}
