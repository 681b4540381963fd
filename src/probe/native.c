/* native.c - Copies of C stacks, taken at one moment and unwound at another; see native.h. */
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "base/clock.h"
#include "base/mem.h"
#include "probe/native_impl.h"

#define LATE_WAIT_NS SW_NS_PER_S
#define LATE_POLL_NS (100 * SW_NS_PER_US)
#define REFRESH_NS SW_NS_PER_S         /* as old as the list of modules may become: code is loaded, and dropped */
#define RELOAD_NS (100 * SW_NS_PER_MS) /* and where code was met that it does not know */

/* What lies between the stack pointer and the end of its mapping as it was known, or of what can be read. */
static enum sw_status stack_copy(struct sw_native *native, const struct registers *registers) {
    struct stack_copy *copy = &native->copy;
    uint64_t sp = registers->value[REGISTER_SP];
    const struct sw_mapping *mapping = sw_maps_find(&native->maps, sp);
    copy->size_bytes = 0;
    copy->is_known = mapping != NULL;
    uint64_t room = mapping ? mapping->end - sp : SW_NATIVE_STACK_BYTES_MAX;
    if (room > UINT64_MAX - sp)
        room = UINT64_MAX - sp;
    size_t size = room < SW_NATIVE_STACK_BYTES_MAX ? (size_t)room : SW_NATIVE_STACK_BYTES_MAX;
    if (size == 0)
        return SW_IO;
    struct iovec into = {copy->bytes, size}, from = {(void *)(uintptr_t)sp, size}; /* NOLINT: another's address */
    ssize_t got = sw_target_readv(native->target, &into, 1, &from, 1);
    if (got <= 0)
        return SW_IO;
    copy->base = sp;
    copy->size_bytes = (size_t)got;
    native->registers = *registers;
    return SW_OK;
}

enum sw_status sw_native_copy_blocked(struct sw_native *native, const struct sw_thread_look *look) {
    if (look->activity != SW_THREAD_BLOCKED || look->sp == 0)
        return SW_AGAIN;
    struct registers registers = {.known = UINT64_C(1) << REGISTER_SP, .pc = look->pc};
    registers.value[REGISTER_SP] = look->sp;
    return stack_copy(native, &registers);
}

#if defined(__aarch64__)
static void registers_take(const struct user_regs_struct *user, struct registers *registers) {
    for (int i = 0; i < 31; i++)
        registers->value[i] = user->regs[i];
    registers->value[REGISTER_SP] = user->sp;
    registers->known = (UINT64_C(1) << 32) - 1;
    registers->pc = user->pc;
}
#else
static void registers_take(const struct user_regs_struct *user, struct registers *registers) {
    const unsigned long long values[] = {user->rax, user->rdx, user->rcx, user->rbx, user->rsi, user->rdi,
                                         user->rbp, user->rsp, user->r8,  user->r9,  user->r10, user->r11,
                                         user->r12, user->r13, user->r14, user->r15};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        registers->value[i] = values[i];
    registers->known = 0xffff;
    registers->pc = user->rip;
}
#endif

enum sw_status sw_native_copy_stopped(struct sw_native *native) {
    struct user_regs_struct user;
    struct iovec into = {&user, sizeof user};
    if (native->stopped_tid == 0)
        return SW_INVALID;
    if (ptrace(PTRACE_GETREGSET, native->stopped_tid, (void *)NT_PRSTATUS, &into) != 0 || into.iov_len < sizeof user)
        return SW_CLOSED;
    struct registers registers = {.known = 0};
    registers_take(&user, &registers);
    return stack_copy(native, &registers);
}

/* Whether code or a stack was met that the list of modules does not have. */
static bool has_unknown(const struct sw_native *native, const struct sw_native_stack *stack) {
    bool is_unknown = !native->copy.is_known;
    for (size_t i = 0; i < stack->count; i++)
        is_unknown |= stack->frames[i].module.len == 0;
    return is_unknown;
}

enum sw_status sw_native_unwind(struct sw_native *native, struct sw_native_stack *stack) {
    int64_t age_ns = sw_clock_mono_ns() - native->loaded_ns;
    if (native->copy.size_bytes == 0)
        return SW_INVALID;
    if (age_ns > REFRESH_NS) {
        enum sw_status status = sw_native_modules_load(native, NULL);
        if (status)
            return status;
        age_ns = 0;
    }
    sw_native_unwind_from(native, native->registers, stack);
    if (age_ns > RELOAD_NS && has_unknown(native, stack)) {
        enum sw_status status = sw_native_modules_load(native, NULL);
        if (status)
            return status;
        sw_native_unwind_from(native, native->registers, stack);
    }
    return SW_OK;
}

enum sw_status sw_native_new(struct sw_native **native, const struct sw_target *target, struct sw_error *err) {
    struct sw_native *made = sw_alloc_zero(sizeof *made);
    enum sw_status status = SW_NOMEM;
    if (made) {
        made->target = target;
        made->rows = sw_alloc_array_zero(ROWS_MAX, sizeof *made->rows);
        made->calls = sw_alloc_array_zero(CALLS_MAX, sizeof *made->calls);
        made->copy.bytes = sw_alloc(SW_NATIVE_STACK_BYTES_MAX);
    }
    if (!made || !made->rows || !made->calls || !made->copy.bytes) {
        (void)sw_fail(err, status, "cannot unwind process %d: out of memory", target->pid);
    } else {
        (void)elf_version(EV_CURRENT);
        status = sw_native_modules_load(made, err);
    }
    if (status)
        sw_native_free(made);
    else
        *native = made;
    return status;
}

void sw_native_free(struct sw_native *native) {
    if (!native)
        return;
    sw_native_resume(native);
    int64_t deadline = sw_clock_mono_ns() + LATE_WAIT_NS;
    while (!sw_native_settle(native) && sw_clock_mono_ns() < deadline)
        sw_clock_sleep_ns(LATE_POLL_NS);
    sw_native_modules_release(native);
    sw_map_release(&native->texts);
    sw_arena_release(&native->text);
    sw_free(native->copy.bytes);
    sw_free(native->calls);
    sw_free(native->rows);
    sw_free(native);
}
