/* dump.c - Takes one look at a whole Python process: rounds of kernel, stacks, kernel, until the blocked threads rest. */
#include "probe/dump.h"

#include "base/clock.h"
#include "base/mem.h"
#include "probe/dump_impl.h"
#include "probe/gil.h"
#include "probe/open_file.h"

#define ROUNDS_MAX 8
#define ROUND_PAUSE_NS (2 * SW_NS_PER_MS)
#define DOUBTS_MAX 20
#define DOUBT_PAUSE_NS SW_NS_PER_MS

/* What a round of looks goes over. */
struct round {
    struct sw_dump *dump;
    struct sw_thread_watch *watch;
    const struct sw_stack *stacks;
    size_t count;
    struct sw_thread_look *before; /* by thread of the list that was known when the round began */
    int32_t *tids;
    size_t before_count;
};

enum sw_status sw_dump_keep(struct sw_dump *dump, struct sw_str text, struct sw_str *kept) {
    *kept = sw_arena_copy(&dump->text, text);
    return kept->ptr ? SW_OK : SW_NOMEM;
}

static enum sw_status look_before(struct round *round) {
    const struct sw_thread_list *list = sw_stack_threads(round->dump->reader);
    sw_free(round->before);
    sw_free(round->tids);
    round->before_count = list->thread_count;
    round->before = sw_alloc_array_zero(list->thread_count, sizeof *round->before);
    round->tids = sw_alloc_array_zero(list->thread_count, sizeof *round->tids);
    if (!round->before || !round->tids)
        return SW_NOMEM;
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < list->thread_count && status == SW_OK; i++) {
        round->tids[i] = list->threads[i].tid;
        if (round->tids[i] > 0)
            status =
                sw_thread_look(round->watch, round->tids[i], SW_LOOK_SYSCALL | SW_LOOK_SCHEDSTAT, &round->before[i]);
    }
    return status;
}

static const struct sw_thread_look *before_of(const struct round *round, int32_t tid) {
    for (size_t i = 0; i < round->before_count; i++)
        if (round->tids[i] == tid && tid > 0)
            return &round->before[i];
    return NULL;
}

/* It did not run in between: the kernel put it on no CPU, and it sleeps in the same call with the same arguments. */
static bool is_settled(const struct sw_thread_look *before, const struct sw_thread_look *after) {
    if (!before || before->activity != SW_THREAD_BLOCKED || after->activity != SW_THREAD_BLOCKED)
        return false;
    return before->syscall == after->syscall && before->sp == after->sp && before->pc == after->pc &&
           memcmp(before->args, after->args, sizeof before->args) == 0 &&
           (!before->has_schedstat || !after->has_schedstat || before->runs == after->runs);
}

static uint64_t gil_of(const struct sw_dump *dump, uint32_t interpreter) {
    const struct sw_thread_list *list = sw_stack_threads(dump->reader);
    return interpreter < list->interpreter_count ? list->interpreters[interpreter].gil : 0;
}

/* What the looks and the wait make of it; blockers are found later. */
static void classify(const struct sw_dump *dump, struct sw_dump_thread *thread) {
    static const enum sw_doing by_wait[] = {
        [SW_WAIT_NONE] = SW_DOING_UNKNOWN,    [SW_WAIT_LOCK] = SW_DOING_LOCK,   [SW_WAIT_THREAD] = SW_DOING_THREAD,
        [SW_WAIT_IMPORT] = SW_DOING_IMPORT,   [SW_WAIT_OBJECT] = SW_DOING_IDLE, [SW_WAIT_MUTEX] = SW_DOING_LOCK,
        [SW_WAIT_SLEEP] = SW_DOING_IDLE,      [SW_WAIT_EVENTS] = SW_DOING_IDLE, [SW_WAIT_CHILD] = SW_DOING_SYSCALL,
        [SW_WAIT_SYSCALL] = SW_DOING_SYSCALL,
    };
    const struct sw_gil_look gil = sw_stack_gil(dump->reader, thread->interpreter);
    bool holds = thread->stack->holds_gil;
    if (thread->look.activity == SW_THREAD_RUNNING)
        thread->doing = holds || !gil.is_known ? SW_DOING_RUNNING : SW_DOING_NATIVE;
    else if (thread->look.activity != SW_THREAD_BLOCKED)
        thread->doing = holds ? SW_DOING_RUNNING : SW_DOING_UNKNOWN;
    else if (sw_gil_place_of(dump->runtime, gil_of(dump, thread->interpreter), &thread->look) != SW_GIL_ELSEWHERE)
        thread->doing = SW_DOING_GIL;
    else
        thread->doing = by_wait[thread->wait.kind];
}

/* A thread that is woken to try for the GIL runs for a moment without it: it is told apart from one in native code by
 * where it is a little later, waiting for the GIL again or holding it. */
static enum sw_status doubt_native(struct round *round, struct sw_dump_thread *thread) {
    const struct sw_dump *dump = round->dump;
    const struct sw_thread_list *list = sw_stack_threads(dump->reader);
    for (int i = 0; i < DOUBTS_MAX && thread->doing == SW_DOING_NATIVE; i++) {
        struct sw_thread_look look;
        struct sw_gil_look gil;
        if (thread->interpreter >= list->interpreter_count)
            return SW_OK;
        const struct sw_interpreter *interpreter = &list->interpreters[thread->interpreter];
        enum sw_status status = sw_thread_look(round->watch, thread->tid, SW_LOOK_SYSCALL, &look);
        if (status != SW_OK)
            return status;
        bool is_holder = sw_gil_look(dump->runtime, interpreter, &gil) == SW_OK && gil.is_known &&
                         gil.holder == thread->stack->thread.address;
        if (is_holder || sw_gil_place_of(dump->runtime, interpreter->gil, &look) != SW_GIL_ELSEWHERE)
            thread->doing = SW_DOING_GIL;
        else
            sw_clock_sleep_ns(DOUBT_PAUSE_NS);
    }
    return SW_OK;
}

static enum sw_status thread_fill(struct round *round, const struct sw_stack *stack, struct sw_dump_thread *thread) {
    struct sw_dump *dump = round->dump;
    *thread = (struct sw_dump_thread){
        .tid = stack->thread.tid,
        .interpreter = stack->thread.interpreter,
        .stack = stack,
        .blocker = SW_DUMP_NONE,
        .blocker_frame = SW_DUMP_NONE,
    };
    enum sw_status status = SW_OK;
    const struct sw_thread_look *before = before_of(round, thread->tid);
    if (before)
        status = sw_wait_find(dump->objects, before, stack, &thread->wait);
    if (status == SW_OK && thread->tid > 0)
        status = sw_thread_look(round->watch, thread->tid, SW_LOOK_SYSCALL | SW_LOOK_SCHEDSTAT, &thread->look);
    thread->is_settled = is_settled(before, &thread->look);
    if (!thread->is_settled && before && before->activity != thread->look.activity)
        thread->wait = (struct sw_wait){.kind = SW_WAIT_NONE, .number = -1};
    return status;
}

/* Stacks come by interpreter, newest first, threads likewise: reversed, the main thread is the first. */
static enum sw_status threads_fill(struct round *round) {
    struct sw_dump *dump = round->dump;
    enum sw_status status = SW_OK;
    sw_free(dump->threads);
    dump->thread_count = round->count;
    dump->threads = sw_alloc_array_zero(round->count, sizeof *dump->threads);
    if (!dump->threads)
        return SW_NOMEM;
    for (size_t i = 0; i < round->count && status == SW_OK; i++)
        status = thread_fill(round, &round->stacks[round->count - 1 - i], &dump->threads[i]);
    return status;
}

/* Whether another round may tell more: a thread blocked before and after ran in between, or a stack is not exact. */
static bool is_restless(const struct sw_dump *dump) {
    for (size_t i = 0; i < dump->thread_count; i++) {
        const struct sw_dump_thread *thread = &dump->threads[i];
        enum sw_stack_quality quality = thread->stack->quality;
        if (quality == SW_STACK_PARTIAL || quality == SW_STACK_FAILED ||
            (thread->look.activity == SW_THREAD_BLOCKED && !thread->is_settled))
            return true;
    }
    return false;
}

static enum sw_status rounds_run(struct round *round) {
    struct sw_dump *dump = round->dump;
    enum sw_status status = sw_stack_read(dump->reader, NULL, 0, &round->stacks, &round->count);
    for (int i = 0; i < ROUNDS_MAX && status == SW_OK; i++) {
        if (i > 0)
            sw_clock_sleep_ns(ROUND_PAUSE_NS);
        dump->epoch_ns = sw_clock_epoch_ns();
        status = look_before(round);
        if (status == SW_OK)
            status = sw_stack_read(dump->reader, NULL, 0, &round->stacks, &round->count);
        if (status == SW_OK)
            status = threads_fill(round);
        if (status == SW_OK && !is_restless(dump))
            break;
    }
    for (size_t i = 0; i < dump->thread_count && status == SW_OK; i++) {
        classify(dump, &dump->threads[i]);
        status = doubt_native(round, &dump->threads[i]);
    }
    return status;
}

static enum sw_status files_describe(struct sw_dump *dump) {
    struct sw_buf text = {0};
    enum sw_status status = SW_OK;
    for (size_t i = 0; i < dump->thread_count && status == SW_OK; i++) {
        struct sw_dump_thread *thread = &dump->threads[i];
        const char *name = thread->look.activity == SW_THREAD_BLOCKED ? sw_syscall_name(thread->look.syscall) : NULL;
        thread->syscall = sw_str_from(name); /* in a table of names */
        if (thread->wait.kind != SW_WAIT_SYSCALL || thread->wait.number < 0 || thread->wait.number > INT32_MAX)
            continue;
        sw_buf_clear(&text);
        status = sw_open_file_describe(dump->runtime->target, (int)thread->wait.number, &text);
        if (status == SW_OK)
            status = sw_dump_keep(dump, sw_buf_view(&text), &thread->file);
        if (status != SW_NOMEM)
            status = SW_OK;
    }
    sw_buf_release(&text);
    return status;
}

static enum sw_status command_read(struct sw_dump *dump) {
    struct sw_buf text = {0};
    enum sw_status status = sw_target_command(dump->runtime->target, &text);
    if (status == SW_OK)
        status = sw_dump_keep(dump, sw_buf_view(&text), &dump->command);
    sw_buf_release(&text);
    return status;
}

static enum sw_status details_read(struct sw_dump *dump) {
    struct sw_task_reader reader = {dump->objects, sw_stack_code_cache(dump->reader), sw_stack_threads(dump->reader)};
    enum sw_status status = sw_dump_name_threads(dump);
    if (status == SW_OK)
        status = sw_dump_list_others(dump);
    if (status == SW_OK)
        status = files_describe(dump);
    if (status == SW_OK)
        status = sw_tasks_read(&reader, &dump->tasks);
    if (status == SW_OK)
        status = sw_dump_find_blockers(dump);
    if (status == SW_OK)
        status = sw_dump_put_words(dump);
    return status;
}

enum sw_status sw_dump_take(struct sw_dump *dump, const struct sw_runtime *runtime, struct sw_error *err) {
    struct sw_dump taken = {.runtime = runtime};
    struct round round = {.dump = &taken};
    struct sw_stack_options options = {.has_marks = false};
    enum sw_status status = sw_stack_reader_new(&taken.reader, runtime, &options);
    if (status == SW_OK)
        status = sw_objects_new(&taken.objects, runtime);
    if (status == SW_OK)
        status = sw_thread_watch_new(&round.watch, runtime->target);
    if (status == SW_OK)
        status = command_read(&taken);
    if (status == SW_OK)
        status = rounds_run(&round);
    if (status == SW_OK)
        status = details_read(&taken);
    sw_thread_watch_free(round.watch);
    sw_free(round.before);
    sw_free(round.tids);
    if (status == SW_OK) {
        *dump = taken;
        return SW_OK;
    }
    sw_dump_release(&taken);
    if (!sw_target_is_alive(runtime->target))
        return sw_fail(err, SW_CLOSED, "cannot read process %d: it has ended", runtime->target->pid);
    if (status == SW_PERM && sw_target_explain(runtime->target, err) != SW_OK)
        return status;
    return sw_fail(err, status, "cannot read process %d: %s", runtime->target->pid, sw_status_text(status));
}

void sw_dump_release(struct sw_dump *dump) {
    sw_free(dump->threads);
    sw_free(dump->others);
    sw_tasks_release(&dump->tasks);
    sw_cycles_release(&dump->deadlocks);
    sw_cycles_release(&dump->task_deadlocks);
    sw_objects_free(dump->objects);
    sw_stack_reader_free(dump->reader);
    sw_stack_reader_free(dump->native_reader);
    sw_native_free(dump->native);
    sw_arena_release(&dump->text);
    *dump = (struct sw_dump){0};
}

const char *sw_doing_word(enum sw_doing doing) {
    static const char *const words[] = {
        [SW_DOING_UNKNOWN] = "unknown", [SW_DOING_RUNNING] = "running", [SW_DOING_NATIVE] = "native",
        [SW_DOING_GIL] = "gil",         [SW_DOING_LOCK] = "lock",       [SW_DOING_THREAD] = "thread",
        [SW_DOING_IMPORT] = "import",   [SW_DOING_SYSCALL] = "syscall", [SW_DOING_IDLE] = "idle",
    };
    return words[doing];
}
