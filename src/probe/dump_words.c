/* dump_words.c - What each thread of a dump does, in a sentence. */
#include <stdio.h>

#include "probe/dump_impl.h"
#include "probe/gil.h"

struct writer {
    struct sw_dump *dump;
    struct sw_buf text;
    enum sw_status status;
};

static void put(struct writer *writer, struct sw_str text) {
    if (writer->status == SW_OK)
        writer->status = sw_buf_append(&writer->text, text);
}

static void put_text(struct writer *writer, const char *text) {
    put(writer, sw_str_from(text));
}

static void put_number(struct writer *writer, const char *format, int64_t value) {
    char text[64];
    snprintf(text, sizeof text, format, (long long)value);
    put_text(writer, text);
}

static void put_address(struct writer *writer, uint64_t address) {
    if (writer->status == SW_OK)
        writer->status = sw_buf_append_format(&writer->text, "0x%llx", (unsigned long long)address);
}

/* thread 4243 "worker" */
static void put_thread(struct writer *writer, size_t index) {
    const struct sw_dump_thread *thread = &writer->dump->threads[index];
    put_text(writer, "thread");
    if (thread->tid > 0)
        put_number(writer, " %lld", thread->tid);
    struct sw_str name = thread->name.len > 0 ? thread->name : thread->os_name;
    if (name.len > 0) {
        put_text(writer, " \"");
        put(writer, name);
        put_text(writer, "\"");
    }
}

/* function (file:line) */
static void put_frame(struct writer *writer, size_t thread, size_t index) {
    const struct sw_stack *stack = writer->dump->threads[thread].stack;
    if (index >= stack->frame_count || !stack->frames[index].code)
        return;
    const struct sw_frame *frame = &stack->frames[index];
    put(writer, frame->code->name);
    put_text(writer, " (");
    put(writer, frame->code->file);
    if (frame->line > 0)
        put_number(writer, ":%lld", frame->line);
    put_text(writer, ")");
}

static void put_lock(struct writer *writer, const struct sw_dump_thread *thread) {
    static const char *const names[] = {
        [SW_LOCK_PLAIN] = "Lock",
        [SW_LOCK_REENTRANT] = "RLock",
        [SW_LOCK_SIMPLE_QUEUE] = "SimpleQueue",
        [SW_LOCK_SEMAPHORE] = "a lock of multiprocessing",
        [SW_LOCK_INTERNAL] = "a lock of the interpreter",
    };
    if (thread->wait.kind == SW_WAIT_MUTEX && thread->wait.lock.address == 0) {
        put_text(writer, "waiting for a lock (futex ");
        put_address(writer, thread->look.args[0]);
        put_text(writer, ")");
        return;
    }
    put_text(writer, "waiting for ");
    put_text(writer, names[thread->wait.lock.kind]);
    put_text(writer, " at ");
    put_address(writer, thread->wait.lock.address);
}

static void put_holder(struct writer *writer, size_t index) {
    const struct sw_dump_thread *thread = &writer->dump->threads[index];
    if (thread->blocker == SW_DUMP_NONE) {
        if (thread->wait.kind == SW_WAIT_LOCK && thread->wait.lock.kind == SW_LOCK_PLAIN)
            put_text(writer, ", holder not known");
        return;
    }
    bool is_self = thread->blocker == index;
    put_text(writer, thread->is_guess ? ", probably held by " : ", held by ");
    if (is_self)
        put_text(writer, "itself");
    else
        put_thread(writer, thread->blocker);
    if (thread->blocker_frame != SW_DUMP_NONE) {
        put_text(writer, thread->is_guess ? " in " : ", inside `with` in ");
        put_frame(writer, thread->blocker, thread->blocker_frame);
    }
}

static void put_gil(struct writer *writer, size_t index) {
    const struct sw_dump_thread *thread = &writer->dump->threads[index];
    put_text(writer, "waiting for the GIL");
    if (thread->blocker == SW_DUMP_NONE || thread->blocker == index)
        return;
    put_text(writer, ", held by ");
    put_thread(writer, thread->blocker);
    if (writer->dump->threads[thread->blocker].stack->frame_count > 0) {
        put_text(writer, " in ");
        put_frame(writer, thread->blocker, 0);
    }
}

static void put_join(struct writer *writer, size_t index) {
    const struct sw_dump_thread *thread = &writer->dump->threads[index];
    put_text(writer, "waiting for ");
    if (thread->blocker != SW_DUMP_NONE)
        put_thread(writer, thread->blocker);
    else
        put_text(writer, "a thread");
    put_text(writer, thread->doing == SW_DOING_IMPORT ? " to finish an import" : " to end");
}

static void put_syscall(struct writer *writer, const struct sw_dump_thread *thread) {
    put_text(writer, "blocked in system call `");
    if (thread->syscall.len > 0)
        put(writer, thread->syscall);
    else
        put_number(writer, "%lld", thread->look.syscall);
    put_text(writer, "`");
    if (thread->wait.kind == SW_WAIT_CHILD) {
        if (thread->wait.number > 0)
            put_number(writer, ", waiting for child process %lld", thread->wait.number);
        else
            put_text(writer, ", waiting for a child process");
    } else if (thread->wait.number >= 0) {
        put_number(writer, " on fd %lld", thread->wait.number);
        if (thread->file.len > 0) {
            put_text(writer, " (");
            put(writer, thread->file);
            put_text(writer, ")");
        }
    }
    if (thread->stack->holds_gil && thread->is_settled)
        put_text(writer, ", holding the GIL");
}

static void put_idle(struct writer *writer, const struct sw_dump_thread *thread) {
    const struct sw_wait *wait = &thread->wait;
    put_text(writer, "idle: ");
    if (wait->kind == SW_WAIT_SLEEP) {
        put_text(writer, "sleeping");
    } else if (wait->kind == SW_WAIT_EVENTS) {
        put_text(writer, "waiting for events (");
        put(writer, thread->syscall);
        put_text(writer, ")");
    } else {
        put_text(writer, "in ");
        put_text(writer, wait->function[0] ? wait->function : "a wait");
        if (wait->object) {
            put_text(writer, " of <");
            put_text(writer, wait->type);
            put_text(writer, " at ");
            put_address(writer, wait->object);
            put_text(writer, ">");
        }
    }
}

static void put_running(struct writer *writer, const struct sw_dump_thread *thread) {
    bool has_gil = sw_stack_gil(writer->dump->reader, thread->interpreter).is_known;
    put_text(writer, has_gil ? "running, holding the GIL" : "running");
}

static void put_sentence(struct writer *writer, size_t index) {
    const struct sw_dump_thread *thread = &writer->dump->threads[index];
    switch (thread->doing) {
    case SW_DOING_RUNNING:
        put_running(writer, thread);
        break;
    case SW_DOING_NATIVE:
        put_text(writer, "running native code, without the GIL");
        break;
    case SW_DOING_GIL:
        put_gil(writer, index);
        break;
    case SW_DOING_LOCK:
        put_lock(writer, thread);
        put_holder(writer, index);
        break;
    case SW_DOING_THREAD:
    case SW_DOING_IMPORT:
        put_join(writer, index);
        break;
    case SW_DOING_SYSCALL:
        put_syscall(writer, thread);
        break;
    case SW_DOING_IDLE:
        put_idle(writer, thread);
        break;
    case SW_DOING_UNKNOWN:
        put_text(writer, thread->look.activity == SW_THREAD_GONE ? "ended meanwhile" : "not known");
        break;
    }
    if (thread->wait.has_limit && thread->doing != SW_DOING_GIL)
        put_text(writer, ", with a time limit");
}

enum sw_status sw_dump_put_words(struct sw_dump *dump) {
    struct writer writer = {.dump = dump};
    for (size_t i = 0; i < dump->thread_count && writer.status == SW_OK; i++) {
        sw_buf_clear(&writer.text);
        put_sentence(&writer, i);
        if (writer.status == SW_OK)
            writer.status = sw_dump_keep(dump, sw_buf_view(&writer.text), &dump->threads[i].words);
    }
    sw_buf_release(&writer.text);
    return writer.status;
}
