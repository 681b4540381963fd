/* native_unwind.c - From a copy of a stack and a few registers to the chain of functions. */
#include "base/hash.h"
#include "probe/native_impl.h"

#define CALL_BYTES_MAX 7

#if defined(__aarch64__)
/* BL and BLR: the instruction ahead of the return address. */
static bool is_call_before(const unsigned char bytes[CALL_BYTES_MAX]) {
    uint32_t word;
    memcpy(&word, bytes + CALL_BYTES_MAX - 4, sizeof word);
    return (word & 0xfc000000u) == 0x94000000u || (word & 0xfffffc1fu) == 0xd63f0000u;
}
#else
/* E8 rel32, or FF /2 with its ModRM, SIB and displacement: 2 to 7 bytes, perhaps with a REX prefix ahead. */
static bool is_call_before(const unsigned char bytes[CALL_BYTES_MAX]) {
    if (bytes[CALL_BYTES_MAX - 5] == 0xe8)
        return true;
    for (unsigned len = 2; len <= CALL_BYTES_MAX; len++) {
        const unsigned char *at = bytes + CALL_BYTES_MAX - len;
        unsigned mode = at[1] >> 6, rm = at[1] & 7;
        if (at[0] != 0xff || (at[1] >> 3 & 7) != 2)
            continue;
        unsigned displacement = mode == 1 ? 1 : mode == 2 || (mode == 0 && rm == 5) ? 4 : 0;
        unsigned sib = mode != 3 && rm == 4 ? 1 : 0;
        unsigned want = 2 + sib + displacement;
        if (want == len)
            return true;
    }
    return false;
}
#endif

/* Whether `address` lies behind a call instruction in mapped code; remembered, as the same ones come again. */
static bool is_return_address(struct sw_native *native, uint64_t address) {
    struct module *module = sw_native_module_at(native, address);
    if (!module || address - module->start < CALL_BYTES_MAX)
        return false;
    struct call *call = &native->calls[sw_hash_u64(address) & (CALLS_MAX - 1)];
    if (call->address == address)
        return call->is_call;
    if (native->reads_left == 0)
        return false;
    native->reads_left--;
    unsigned char bytes[CALL_BYTES_MAX];
    bool is_call =
        !sw_target_read(native->target, address - CALL_BYTES_MAX, bytes, sizeof bytes) && is_call_before(bytes);
    *call = (struct call){address, is_call};
    return is_call;
}

/* The next plausible return address further out; only the stack pointer is known then. */
static bool scan_step(struct sw_native *native, struct registers *registers) {
    if (!(registers->known >> REGISTER_SP & 1))
        return false;
    uint64_t sp = (registers->value[REGISTER_SP] + 7) & ~UINT64_C(7), value;
    for (unsigned i = 0; i < SCAN_WORDS_MAX; i++, sp += 8) {
        if (!sw_native_copy_word(native, sp, &value))
            return false;
        if (is_return_address(native, value)) {
            registers->known = UINT64_C(1) << REGISTER_SP;
            registers->value[REGISTER_SP] = sp + 8;
            registers->pc = value;
            return true;
        }
    }
    return false;
}

/* Where the caller's stack pointer hangs on an unknown frame pointer: the nearest slot that begins a chain of frame
 * pointers, that is, holds the address of a slot further out, both with a return address above them. */
static bool frame_pointer_step(struct sw_native *native, struct registers *registers) {
    uint64_t sp = registers->value[REGISTER_SP], outer, address, beyond;
    if (!(registers->known >> REGISTER_SP & 1))
        return false;
    for (unsigned i = 0; i < SCAN_WORDS_MAX; i++, sp += 8) {
        if (!sw_native_copy_word(native, sp, &outer) || !sw_native_copy_word(native, sp + 8, &address))
            return false;
        if (outer <= sp + 8 || !sw_native_copy_word(native, outer + 8, &beyond) ||
            !is_return_address(native, address) || !is_return_address(native, beyond))
            continue;
        registers->known = UINT64_C(1) << REGISTER_SP | UINT64_C(1) << REGISTER_FP;
        registers->value[REGISTER_SP] = sp + 16;
        registers->value[REGISTER_FP] = outer;
        registers->pc = address;
        return true;
    }
    return false;
}

static bool starts_with_any(struct sw_str name, const struct sw_str *starts, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (sw_str_starts(name, starts[i]))
            return true;
    return false;
}

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The ways by which CPython gets from one Python frame to the next, which say nothing to a reader of stacks. */
static bool is_internal(struct sw_str name) {
    static const struct sw_str starts[] = {
        SW_STR("_PyEval_"),
        SW_STR("PyEval_"),
        SW_STR("_PyFunction_"),
        SW_STR("PyFunction_"),
        SW_STR("function_code_fastcall"),
        SW_STR("_PyVectorcall"),
        SW_STR("PyVectorcall_"),
        SW_STR("_PyObject_Vectorcall"),
        SW_STR("PyObject_Vectorcall"),
        SW_STR("_PyObject_FastCall"),
        SW_STR("_PyObject_MakeTpCall"),
        SW_STR("_PyObject_Call"),
        SW_STR("PyObject_Call"),
        SW_STR("cfunction_vectorcall"),
        SW_STR("cfunction_call"),
        SW_STR("method_vectorcall"),
        SW_STR("object_vacall"),
        SW_STR("call_function"),
        SW_STR("do_call_core"),
        SW_STR("PyCFunction_Call"),
        SW_STR("_PyCFunction_"),
        /* the way to the first Python frame of a program or a thread */
        SW_STR("Py_RunMain"),
        SW_STR("Py_BytesMain"),
        SW_STR("pymain_"),
        SW_STR("run_mod"),
        SW_STR("run_eval_code_obj"),
        SW_STR("_PyRun_"),
        SW_STR("PyRun_"),
        SW_STR("pyrun_"),
        SW_STR("thread_run"),
        SW_STR("t_bootstrap"),
        SW_STR("pythread_wrapper"),
    };
    return starts_with_any(name, starts, COUNT_OF(starts));
}

static bool is_eval(struct sw_str name) {
    static const struct sw_str starts[] = {SW_STR(EVAL_SYMBOL), SW_STR("_PyEval_EvalFrame.")};
    return starts_with_any(name, starts, COUNT_OF(starts));
}

/* What the first functions of threads and programs are called. */
static bool is_outermost(struct sw_str name) {
    static const struct sw_str names[] = {SW_STR("_start"),       SW_STR("clone"),        SW_STR("__clone"),
                                          SW_STR("__GI___clone"), SW_STR("__libc_start"), SW_STR("start_thread")};
    return starts_with_any(name, names, COUNT_OF(names));
}

/* What is shown for `pc`, found out once. */
static void frame_describe(struct sw_native *native, struct module *module, struct row *row) {
    const struct symbol *symbol = sw_native_symbol_at(module, row->pc);
    struct sw_native_frame *frame = &row->frame;
    *frame = (struct sw_native_frame){.pc = row->pc, .offset = row->pc - module->bias};
    frame->module = sw_native_text_keep(native, module->name.ptr, module->name.len);
    frame->is_eval = frame->offset - module->eval_start < module->eval_end - module->eval_start;
    if (symbol) {
        frame->name = sw_native_text_keep(native, symbol->name, NAME_BYTES_MAX);
        frame->is_eval |= is_eval(frame->name);
        frame->is_internal = is_internal(frame->name);
        frame->is_start = is_outermost(frame->name) || sw_str_eq(frame->name, SW_STR("main"));
    }
}

/* Puts down the frame at `pc` (behind the call, but for the innermost and interrupted ones); NULL: it is in no module. */
static const struct row *frame_add(struct sw_native *native, uint64_t pc, bool is_guessed,
                                   struct sw_native_stack *stack) {
    struct module *module = sw_native_module_at(native, pc);
    struct sw_native_frame *frame = &stack->frames[stack->count++];
    *frame = (struct sw_native_frame){.pc = pc, .is_guessed = is_guessed};
    if (!module)
        return NULL;
    if (!module->is_opened)
        sw_native_module_open(native, module);
    struct row *row = sw_native_row_at(native, module, pc);
    if (row->frame.pc != pc)
        frame_describe(native, module, row);
    *frame = row->frame;
    frame->is_guessed = is_guessed;
    return row;
}

/* To the caller of `registers`; false when there is no way known. *is_guessed: not by call frame information. */
static bool caller_find(struct sw_native *native, const struct row *row, struct registers *registers,
                        bool *is_guessed) {
    struct registers start = *registers;
    *is_guessed = false;
    if (row->is_valid && sw_native_step(native, sw_native_module_at(native, row->pc), row, registers))
        return true;
    *registers = start;
    if (row->is_valid && row->cfa_register == REGISTER_FP && frame_pointer_step(native, registers))
        return true;
    *is_guessed = true;
    *registers = start;
    return !is_outermost(row->frame.name) && scan_step(native, registers);
}

void sw_native_unwind_from(struct sw_native *native, struct registers registers, struct sw_native_stack *stack) {
    static const struct row none = {.is_valid = false};
    bool is_exact = true, is_guessed = false; /* is_exact: pc is of the instruction itself */
    stack->count = 0;
    stack->is_complete = false;
    native->reads_left = SCAN_READS_MAX;
    while (stack->count < SW_NATIVE_FRAMES_MAX) {
        uint64_t sp = registers.value[REGISTER_SP];
        const struct row *row = frame_add(native, registers.pc - !is_exact, is_guessed, stack);
        if (!row)
            row = &none;
        registers.pc -= !is_exact;
        bool has_caller = caller_find(native, row, &registers, &is_guessed);
        stack->is_complete = has_caller ? registers.pc == 0 : is_guessed && is_outermost(row->frame.name);
        if (!has_caller || stack->is_complete)
            return;
        if (registers.value[REGISTER_SP] <= sp && !(is_exact && registers.value[REGISTER_SP] == sp))
            return; /* stacks end; loops do not */
        is_exact = row->is_signal;
    }
}
