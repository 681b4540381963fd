/* dump_native.c - The C frames of a dump's threads, each in its place between the Python frames. */
#include "base/clock.h"
#include "base/mem.h"
#include "probe/dump.h"

#define TRIES_MAX 20
#define PAUSE_NS SW_NS_PER_MS

static enum sw_status frames_keep(struct sw_dump *dump, const struct sw_native_look *look,
                                  struct sw_dump_native *native) {
    size_t count = look->merged.count;
    struct sw_dump_frame *frames = sw_arena_alloc(&dump->text, (count + 1) * sizeof *frames);
    if (!frames)
        return SW_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct sw_merged_frame *from = &look->merged.frames[i];
        frames[i] = (struct sw_dump_frame){.python = {.code = NULL}};
        if (from->native)
            frames[i].native = *from->native;
        else
            frames[i].python = *from->python;
    }
    native->frames = frames;
    native->frame_count = count;
    native->was_running = look->was_running;
    native->is_matched = look->merged.is_matched;
    native->is_complete = look->native.is_complete;
    return SW_OK;
}

static enum sw_status thread_add(struct sw_dump *dump, const struct sw_native_source *source,
                                 struct sw_native_look *look, struct sw_dump_thread *thread) {
    enum sw_status status = thread->tid > 0 ? SW_AGAIN : SW_NOTFOUND;
    for (int i = 0; i < TRIES_MAX && status == SW_AGAIN; i++) {
        if (i > 0)
            sw_clock_sleep_ns(PAUSE_NS);
        if (sw_native_settle(source->native))
            status = sw_native_look(source, thread->tid, look);
    }
    thread->native.status = status;
    return status == SW_OK ? frames_keep(dump, look, &thread->native) : status == SW_NOMEM ? status : SW_OK;
}

enum sw_status sw_dump_add_native(struct sw_dump *dump, struct sw_error *err) {
    const struct sw_runtime *runtime = dump->runtime;
    struct sw_stack_options options = {.has_marks = true};
    struct sw_native_source source = {0};
    struct sw_native_look *look = sw_alloc(sizeof *look);
    enum sw_status status = look ? SW_OK : SW_NOMEM;
    if (status == SW_OK)
        status = sw_native_new(&dump->native, runtime->target, NULL);
    if (status == SW_OK)
        status = sw_stack_reader_new(&dump->native_reader, runtime, &options);
    if (status == SW_OK)
        status = sw_thread_watch_new(&source.watch, runtime->target);
    source.native = dump->native;
    source.reader = dump->native_reader;
    for (size_t i = 0; i < dump->thread_count && status == SW_OK; i++)
        status = thread_add(dump, &source, look, &dump->threads[i]);
    sw_thread_watch_free(source.watch);
    sw_free(look);
    dump->has_native = status == SW_OK;
    return status == SW_OK ? SW_OK
                           : sw_fail(err, status, "cannot read the C stacks of process %d: %s", runtime->target->pid,
                                     sw_status_text(status));
}
