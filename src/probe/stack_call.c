/* stack_call.c - Whether a frame can have called the next one: copies of the two that are of different moments often cannot.
 *
 * In code that calls and returns all the time, a caller as it was in one call and a callee of another one may stand side by
 * side in every copy. What gives them away is that the evaluation loop puts a frame's stack pointer away when it calls
 * Python code itself (up to 3.12 only then, and for functions that trace), and that of its instructions few resume
 * generators, which call nothing else.
 */
#include "base/hash.h"
#include "probe/stack_impl.h"

#define FROM_3_12 0x030c0000u
#define FROM_3_13 0x030d0000u
#define UNIT_BYTES 2

enum { RESUMES_UNKNOWN, RESUMES_NOT, RESUMES };

static bool is_one_of(const uint32_t *opcodes, size_t count, uint32_t opcode) {
    bool is_found = false;
    for (size_t i = 0; i < count && !is_found; i++) {
        is_found = opcodes[i] == opcode;
    }
    return is_found;
}

static uint8_t classify(const struct sw_layout *layout, uint8_t opcode) {
    const uint32_t resuming[] = {
        layout->opcode.for_iter, layout->opcode.for_iter_gen, layout->opcode.instrumented_for_iter,
        layout->opcode.send,     layout->opcode.send_gen,     layout->opcode.send_async_gen};
    const uint32_t hiding[] = {layout->opcode.instrumented_line, layout->opcode.instrumented_instruction,
                               layout->opcode.enter_executor, layout->opcode.trace_record};
    if (is_one_of(resuming, sizeof(resuming) / sizeof(resuming[0]), opcode)) {
        return RESUMES;
    }
    return is_one_of(hiding, sizeof(hiding) / sizeof(hiding[0]), opcode) ? RESUMES_UNKNOWN : RESUMES_NOT;
}

/* Read once for each place: an instruction that adapts itself stays of its kind. */
static uint8_t instruction_kind(struct sw_stack_reader *reader, uint64_t address) {
    if (reader->calls_drops != sw_code_drops(reader->codes)) {
        memset(reader->calls, 0, sizeof(reader->calls));
        reader->calls_drops = sw_code_drops(reader->codes);
    }
    struct sw_stack_call *call = &reader->calls[sw_hash_u64(address) % SW_STACK_CALLS];
    uint8_t opcode;
    if (call->address != address && sw_stack_fetch(reader, address, &opcode, 1) == SW_OK) {
        *call = (struct sw_stack_call){address, classify(&reader->runtime->layout, opcode)};
    }
    return call->address == address ? call->kind : RESUMES_UNKNOWN;
}

static bool can_resume(struct sw_stack_reader *reader, const struct sw_raw_frame *caller, bool is_generator) {
    uint32_t version = reader->runtime->layout.version;
    if (version < FROM_3_12 || (version < FROM_3_13 && !is_generator)) {
        return true;
    }
    /* 3.12: behind the instruction's one cache entry. */
    uint8_t kind = instruction_kind(reader, version < FROM_3_13 ? caller->ip - UNIT_BYTES : caller->ip);
    return kind != (is_generator ? RESUMES_NOT : RESUMES);
}

void sw_stack_check_call(struct sw_stack_reader *reader, size_t caller) {
    const struct sw_layout *layout = &reader->runtime->layout;
    const struct sw_raw_frame *frame = &reader->chain.frames[caller];
    if (caller == 0 || frame->is_shim || layout->frame.stacktop == SW_ABSENT) {
        return;
    }
    const struct sw_raw_frame *callee = frame - 1;
    bool can_call;
    if (callee->is_shim || callee->is_entry) { /* by way of C */
        const struct sw_raw_frame *called = callee->is_shim && caller > 1 ? callee - 1 : callee;
        can_call = frame->is_running || layout->version >= FROM_3_13 || !called->is_generator;
    } else {
        can_call = !frame->is_running && can_resume(reader, frame, callee->is_generator);
    }
    if (!can_call) {
        reader->chain.torn = caller;
    }
}
