/* test_native.c - C stacks of children whose calls are known, asleep and running; merging; ends, damage, lack of memory. */
#include "probe/native.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/native_impl.h"

#define PATIENCE_NS (60 * SW_NS_PER_S)
#define DAMAGES 400
#define FAILURES_MAX 400

static int64_t deadline_of_test;
static pid_t child;
static int up[2], heard[2];
static volatile int depth;

/* Waits for a condition that may take any time on a busy machine. */
static void await_a_moment(void) {
    if (sw_clock_mono_ns() > deadline_of_test)
        fail_msg("it did not happen within a minute");
    sw_clock_sleep_ns(SW_NS_PER_MS / 10);
}

static void on_signal(int number) {
    depth += number;
    (void)!write(heard[1], "s", 1);
}

/* Flags that a compiler cannot see through keep it from making other functions of these. */
static volatile bool is_on = true, is_spinning;

static __attribute__((noinline)) void chain_sleep(void) {
    while (is_on)
        pause();
}

static __attribute__((noinline)) void chain_spin(void) {
    while (is_on)
        depth++;
}

static __attribute__((noinline)) void chain_middle(void) {
    if (is_spinning)
        chain_spin();
    else
        chain_sleep();
    depth++; /* no call here is the last thing done */
}

static __attribute__((noinline)) void chain_outer(void) {
    chain_middle();
    depth--;
}

static void child_start(bool spins) {
    char byte;
    deadline_of_test = sw_clock_mono_ns() + PATIENCE_NS;
    assert_int_equal(pipe(up), 0);
    assert_int_equal(pipe(heard), 0);
    child = fork();
    if (child == 0) {
        signal(SIGUSR1, on_signal);
        (void)!write(up[1], "u", 1);
        is_spinning = spins;
        chain_outer();
        _exit(0);
    }
    assert_int_equal(read(up[0], &byte, 1), 1);
}

static int tear_down(void **unused) {
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    child = 0;
    return 0;
}

struct subject {
    struct sw_target target;
    struct sw_native *native;
    struct sw_thread_watch *watch;
    struct sw_native_stack stack;
};

static void subject_open(struct subject *subject, pid_t pid) {
    struct sw_error err;
    *subject = (struct subject){.native = NULL};
    if (sw_target_open(&subject->target, (int32_t)pid, &err) != SW_OK ||
        sw_native_new(&subject->native, &subject->target, &err) != SW_OK)
        fail_msg("%s", err.text);
    assert_int_equal(sw_thread_watch_new(&subject->watch, &subject->target), SW_OK);
}

static void subject_close(struct subject *subject) {
    sw_native_free(subject->native);
    sw_thread_watch_free(subject->watch);
    sw_target_close(&subject->target);
}

static void look_until_blocked(struct subject *subject, struct sw_thread_look *look) {
    for (;;) {
        assert_int_equal(sw_thread_look(subject->watch, child, SW_LOOK_SYSCALL, look), SW_OK);
        if (look->activity == SW_THREAD_BLOCKED && look->sp == 0)
            skip(); /* the kernel does not tell where it sleeps */
        if (look->activity == SW_THREAD_BLOCKED && look->syscall >= 0)
            return;
        await_a_moment();
    }
}

static void stop_or_skip(struct subject *subject) {
    enum sw_status status;
    while ((status = sw_native_stop(subject->native, child)) == SW_AGAIN)
        await_a_moment();
    if (status == SW_PERM)
        skip(); /* ptrace is not allowed here */
    assert_int_equal(status, SW_OK);
}

static size_t index_find(const struct sw_native_stack *stack, const char *name) {
    for (size_t i = 0; i < stack->count; i++)
        if (sw_str_eq(stack->frames[i].name, sw_str_from(name)))
            return i;
    return SIZE_MAX;
}

static size_t index_of(const struct sw_native_stack *stack, const char *name) {
    size_t index = index_find(stack, name);
    if (index == SIZE_MAX)
        fail_msg("%s is not among the %zu frames", name, stack->count);
    return index;
}

/* The stack of the child asleep in chain_sleep: it may take a while to get there. */
static void unwind_asleep(struct subject *subject) {
    struct sw_thread_look look;
    do {
        await_a_moment();
        look_until_blocked(subject, &look);
        assert_int_equal(sw_native_copy_blocked(subject->native, &look), SW_OK);
        assert_int_equal(sw_native_unwind(subject->native, &subject->stack), SW_OK);
    } while (index_find(&subject->stack, "chain_sleep") == SIZE_MAX);
}

static void asleep_is_unwound_without_a_stop(void **unused) {
    static struct subject subject;
    child_start(false);
    subject_open(&subject, child);
    unwind_asleep(&subject);
    size_t inner = index_of(&subject.stack, "chain_sleep");
    assert_int_equal(index_of(&subject.stack, "chain_middle"), inner + 1);
    assert_int_equal(index_of(&subject.stack, "chain_outer"), inner + 2);
    assert_true(inner >= 1); /* pause */
    assert_true(index_of(&subject.stack, "main") > inner + 2);
    assert_true(subject.stack.is_complete);
    for (size_t i = 0; i < subject.stack.count; i++)
        assert_false(subject.stack.frames[i].is_guessed);
    struct sw_thread_look running = {.activity = SW_THREAD_RUNNING};
    assert_int_equal(sw_native_copy_blocked(subject.native, &running), SW_AGAIN);
    subject_close(&subject);
}

static void running_is_stopped_and_goes_on(void **unused) {
    static struct subject subject;
    child_start(true);
    subject_open(&subject, child);
    assert_int_equal(sw_native_copy_stopped(subject.native), SW_INVALID);
    do {
        await_a_moment();
        stop_or_skip(&subject);
        assert_int_equal(sw_native_copy_stopped(subject.native), SW_OK);
        sw_native_resume(subject.native);
        sw_native_resume(subject.native); /* nothing left to do */
        assert_int_equal(sw_native_unwind(subject.native, &subject.stack), SW_OK);
    } while (index_find(&subject.stack, "chain_spin") == SIZE_MAX);
    size_t inner = index_of(&subject.stack, "chain_spin"); /* not 0 where the compiler put calls into the loop */
    assert_int_equal(index_of(&subject.stack, "chain_middle"), inner + 1);
    assert_int_equal(index_of(&subject.stack, "chain_outer"), inner + 2);
    assert_true(subject.stack.is_complete);
    struct sw_thread_look look = {0};
    while (look.activity != SW_THREAD_RUNNING) {
        await_a_moment();
        assert_int_equal(sw_thread_look(subject.watch, child, SW_LOOK_SYSCALL, &look), SW_OK);
    }
    subject_close(&subject);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DEFERS_SIGNALS 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define DEFERS_SIGNALS 1
#endif

static void a_signal_is_not_lost(void **unused) {
    static struct subject subject;
    char byte;
#ifdef DEFERS_SIGNALS
    skip(); /* ThreadSanitizer keeps a signal back until the program's next call into the C library, and a loop has none */
#endif
    child_start(true);
    subject_open(&subject, child);
    for (int i = 0; i < 20; i++) {
        if (i % 2 == 1)
            assert_int_equal(kill(child, SIGUSR1), 0);
        stop_or_skip(&subject);
        if (i % 2 == 0)
            assert_int_equal(kill(child, SIGUSR1), 0);
        sw_native_resume(subject.native);
        struct pollfd wait = {.fd = heard[0], .events = POLLIN};
        assert_int_equal(poll(&wait, 1, 60000), 1);
        assert_int_equal(read(heard[0], &byte, 1), 1);
    }
    subject_close(&subject);
}

static void the_end_of_a_stopped_child_is_its_parents_to_see(void **unused) {
    static struct subject subject;
    int how = 0;
    child_start(true);
    subject_open(&subject, child);
    stop_or_skip(&subject);
    assert_int_equal(kill(child, SIGKILL), 0);
    sw_native_resume(subject.native);
    while (!sw_native_settle(subject.native))
        await_a_moment();
    subject_close(&subject);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    child = 0;
}

static void what_has_ended_is_not_stopped(void **unused) {
    static struct subject subject;
    child_start(false);
    subject_open(&subject, child);
    kill(child, SIGKILL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(sw_native_stop(subject.native, child), SW_CLOSED);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(sw_native_stop(subject.native, child), SW_CLOSED);
    child = 0;
    subject_close(&subject);
}

static void names_outlive_the_list_of_modules(void **unused) {
    static struct subject subject;
    child_start(false);
    subject_open(&subject, child);
    unwind_asleep(&subject);
    struct sw_str name = subject.stack.frames[index_of(&subject.stack, "chain_outer")].name;
    size_t open_before = 0, open_after = 0;
    for (size_t i = 0; i < subject.native->module_count; i++)
        open_before += subject.native->modules[i].is_opened;
    assert_int_equal(sw_native_modules_load(subject.native, NULL), SW_OK);
    for (size_t i = 0; i < subject.native->module_count; i++)
        open_after += subject.native->modules[i].is_opened;
    assert_true(open_before > 0);
    assert_int_equal(open_after, open_before); /* nothing changed: all was taken over */
    sw_native_modules_release(subject.native);
    assert_int_equal(sw_native_modules_load(subject.native, NULL), SW_OK);
    assert_int_equal(sw_native_unwind(subject.native, &subject.stack), SW_OK);
    assert_ptr_equal(subject.stack.frames[index_of(&subject.stack, "chain_outer")].name.ptr, name.ptr);
    subject_close(&subject);
}

static uint64_t random_state = 20261122;

static uint64_t draw(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* A word as a stack may have it: a place in code, a place in the stack, or anything. */
static uint64_t word_draw(const struct sw_native *native) {
    const struct module *module = &native->modules[draw() % native->module_count];
    switch (draw() % 4) {
    case 0:
        return native->copy.base + draw() % (2 * SW_NATIVE_STACK_BYTES_MAX);
    case 1:
        return draw();
    default:
        return module->start + draw() % (module->end - module->start);
    }
}

static void damaged_stacks_end(void **unused) {
    static struct subject subject;
    subject_open(&subject, getpid());
    struct sw_native *native = subject.native;
    assert_true(native->module_count > 1);
    for (int round = 0; round < DAMAGES; round++) {
        native->copy.base = round % 3 ? UINT64_C(0x7f0000000000) : UINT64_MAX - 65536;
        native->copy.size_bytes = (size_t)(8 + draw() % SW_NATIVE_STACK_BYTES_MAX) & ~(size_t)7;
        native->copy.is_known = true;
        for (size_t i = 0; i < native->copy.size_bytes; i += 8) {
            uint64_t word = word_draw(native);
            memcpy(native->copy.bytes + i, &word, sizeof word);
        }
        struct registers registers = {.known = draw() | UINT64_C(1) << REGISTER_SP, .pc = word_draw(native)};
        for (size_t i = 0; i < REGISTER_COUNT; i++)
            registers.value[i] = word_draw(native);
        registers.value[REGISTER_SP] = native->copy.base + (round % 2 ? draw() % 4096 : 0);
        sw_native_unwind_from(native, registers, &subject.stack);
        assert_in_range(subject.stack.count, 1, SW_NATIVE_FRAMES_MAX);
    }
    subject_close(&subject);
}

static bool run_with_failure(size_t nth) {
    static struct sw_native_stack stack;
    struct sw_target target = {.proc_fd = -1};
    struct sw_native *native = NULL;
    assert_int_equal(sw_target_open(&target, (int32_t)getpid(), NULL), SW_OK);
    sw_mem_fail_at(nth);
    enum sw_status status = sw_native_new(&native, &target, NULL);
    if (status == SW_OK) {
        struct registers registers = {.known = 0, .pc = (uint64_t)(uintptr_t)&chain_outer};
        sw_native_unwind_from(native, registers, &stack);
        status = stack.count > 0 && stack.frames[0].name.len > 0 ? SW_OK : SW_NOMEM;
    }
    sw_mem_fail_at(0);
    sw_native_free(native);
    sw_target_close(&target);
    return status == SW_OK;
}

static void memory_may_run_out(void **unused) {
    size_t nth = 1;
    while (nth < FAILURES_MAX && !run_with_failure(nth))
        nth++;
    assert_in_range(nth, 6, FAILURES_MAX - 1);
}

/* A copy of this program's file with some bytes overwritten, mapped as code. */
static void *damaged_map(const char *bytes, size_t size, size_t at, uint64_t word, size_t cut) {
    char path[] = "/tmp/sidewinder-damaged-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, bytes, size - cut), (ssize_t)(size - cut));
    if (at + sizeof word <= size - cut)
        assert_int_equal(pwrite(fd, &word, sizeof word, (off_t)at), sizeof word);
    void *map = mmap(NULL, size - cut, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    close(fd);
    return map == MAP_FAILED ? NULL : map;
}

static void module_use(struct subject *subject, uint64_t address) {
    assert_int_equal(sw_native_modules_load(subject->native, NULL), SW_OK);
    struct module *module = sw_native_module_at(subject->native, address);
    if (!module)
        return;
    sw_native_module_open(subject->native, module);
    for (uint64_t pc = module->start; pc < module->end && pc < module->start + 65536; pc += 61) {
        (void)sw_native_symbol_at(module, pc);
        (void)sw_native_row_at(subject->native, module, pc);
    }
}

/* The vdso is a small ELF file with symbols and call frame information that is always there. */
static void damaged_files_are_borne(void **unused) {
    static const size_t fields[] = {0, 16, 32, 40, 48, 56, 58, 60}; /* of the ELF header */
    static const uint64_t words[] = {0, UINT64_MAX, UINT64_C(0x4000000000000000), 64, UINT64_C(0xffff0000ffff)};
    static struct subject subject;
    static char bytes[65536];
    subject_open(&subject, getpid());
    const struct sw_mapping *vdso = NULL;
    for (size_t i = 0; i < subject.native->maps.count; i++)
        if (sw_str_eq(subject.native->maps.items[i].path, SW_STR("[vdso]")))
            vdso = &subject.native->maps.items[i];
    if (!vdso || vdso->end - vdso->start > sizeof bytes) {
        subject_close(&subject);
        skip();
    }
    size_t size = (size_t)(vdso->end - vdso->start);
    assert_int_equal(sw_target_read(&subject.target, vdso->start, bytes, size), SW_OK);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        for (size_t j = 0; j < sizeof words / sizeof words[0]; j++) {
            size_t cut = j % 2 ? size / 2 : 0;
            void *map = damaged_map(bytes, size, fields[i], words[j], cut);
            if (map)
                module_use(&subject, (uint64_t)(uintptr_t)map);
            if (map)
                munmap(map, size - cut);
        }
    subject_close(&subject);
}

/* Stacks for the merge: C frames by a letter each, innermost first: e an evaluation loop, i internal, others C functions;
 * s the start of a thread. Python frames: letters of their own, | a mark. */
static void stacks_make(const char *native_text, const char *python_text, struct sw_native_stack *native,
                        struct sw_frame *frames, struct sw_stack *python) {
    static const struct sw_code codes[128];
    native->count = 0;
    for (const char *at = native_text; *at; at++)
        native->frames[native->count++] = (struct sw_native_frame){.name = {at, 1},
                                                                   .is_eval = *at == 'e',
                                                                   .is_internal = *at == 'i',
                                                                   .is_start = *at == 's'};
    *python = (struct sw_stack){.frames = frames};
    for (const char *at = python_text; *at; at++)
        frames[python->frame_count++] = (struct sw_frame){.code = *at == '|' ? NULL : &codes[(int)*at]};
}

static void merged_print(const struct sw_merged_stack *merged, const char *python_text, const struct sw_frame *frames,
                         char *out) {
    for (size_t i = 0; i < merged->count; i++)
        *out++ = merged->frames[i].native ? merged->frames[i].native->name.ptr[0]
                                          : python_text[merged->frames[i].python - frames];
    *out = '\0';
}

static void merging(void **unused) {
    static const struct {
        const char *native, *python;
        bool is_complete;
        const char *merged;
        bool is_matched;
    } rows[] = {
        {"xeis", "AB|", true, "xAB", true},
        {"xeyezs", "AB|C|", true, "xAByCzs", true}, /* z: what embeds Python is shown, and so is the start below it */
        {"xieiyeis", "A|BC|", true, "xAyBC", true},
        {"eye", "A|B", true, "AyB", true},
        {"xey", "", true, "xy", false},         /* the evaluation loop has no frame yet */
        {"eyeze", "A|B|", true, "yAzB", false}, /* the innermost loop has no frame yet: known from the outer end */
        {"eye", "A|B|C|", true, "AByC", false},
        {"xeye", "A|B|C|", false, "xAyBC", false}, /* known from the inner end: the rest follows */
        {"xss", "", true, "xss", true},
        {"", "AB|", false, "AB", false},
        {"", "", false, "", true},
    };
    static struct sw_native_stack native;
    static struct sw_merged_stack merged;
    struct sw_frame frames[16];
    struct sw_stack python;
    char text[32];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        stacks_make(rows[i].native, rows[i].python, &native, frames, &python);
        native.is_complete = rows[i].is_complete;
        sw_native_merge(&native, &python, &merged);
        merged_print(&merged, rows[i].python, frames, text);
        assert_string_equal(text, rows[i].merged);
        assert_int_equal(merged.is_matched, rows[i].is_matched);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging),
        cmocka_unit_test_teardown(asleep_is_unwound_without_a_stop, tear_down),
        cmocka_unit_test_teardown(running_is_stopped_and_goes_on, tear_down),
        cmocka_unit_test_teardown(a_signal_is_not_lost, tear_down),
        cmocka_unit_test_teardown(the_end_of_a_stopped_child_is_its_parents_to_see, tear_down),
        cmocka_unit_test_teardown(what_has_ended_is_not_stopped, tear_down),
        cmocka_unit_test_teardown(names_outlive_the_list_of_modules, tear_down),
        cmocka_unit_test(damaged_stacks_end),
        cmocka_unit_test(damaged_files_are_borne),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
