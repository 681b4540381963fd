/* native_row.c - Call frame information at a program counter, and one step from a frame to its caller. */
#include <dwarf.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "probe/native_impl.h"

#define OPERATIONS_MAX 64 /* of one expression */
#define EXPRESSION_DEPTH 16

bool sw_native_copy_word(const struct sw_native *native, uint64_t address, uint64_t *value) {
    const struct stack_copy *copy = &native->copy;
    if (address - copy->base < copy->size_bytes && copy->size_bytes - (address - copy->base) >= sizeof *value) {
        memcpy(value, copy->bytes + (address - copy->base), sizeof *value);
        return true;
    }
    return false;
}

struct machine {
    const struct sw_native *native;
    const struct registers *registers;
    uint64_t cfa;
    uint64_t stack[EXPRESSION_DEPTH];
    unsigned depth;
    bool is_value; /* DW_OP_stack_value: the result is the value itself, not its address */
};

static bool push(struct machine *machine, uint64_t value) {
    if (machine->depth == EXPRESSION_DEPTH)
        return false;
    machine->stack[machine->depth++] = value;
    return true;
}

static bool push_register(struct machine *machine, uint64_t number, uint64_t offset) {
    if (number >= REGISTER_COUNT || !(machine->registers->known >> number & 1))
        return false;
    return push(machine, machine->registers->value[number] + offset);
}

static bool binary(struct machine *machine, unsigned atom) {
    if (machine->depth < 2)
        return false;
    uint64_t right = machine->stack[--machine->depth], *left = &machine->stack[machine->depth - 1];
    switch (atom) {
    case DW_OP_plus:
        *left += right;
        return true;
    case DW_OP_minus:
        *left -= right;
        return true;
    case DW_OP_and:
        *left &= right;
        return true;
    case DW_OP_or:
        *left |= right;
        return true;
    case DW_OP_mul:
        *left *= right;
        return true;
    case DW_OP_shl:
        *left = right < 64 ? *left << right : 0;
        return true;
    case DW_OP_shr:
        *left = right < 64 ? *left >> right : 0;
        return true;
    case DW_OP_ge:
        *left = (int64_t)*left >= (int64_t)right;
        return true;
    case DW_OP_gt:
        *left = (int64_t)*left > (int64_t)right;
        return true;
    case DW_OP_le:
        *left = (int64_t)*left <= (int64_t)right;
        return true;
    case DW_OP_lt:
        *left = (int64_t)*left < (int64_t)right;
        return true;
    case DW_OP_eq:
        *left = *left == right;
        return true;
    case DW_OP_ne:
        *left = *left != right;
        return true;
    default:
        return false;
    }
}

/* The operations that compilers and the C library put into call frame information. */
static bool operation_run(struct machine *machine, const Dwarf_Op *operation) {
    unsigned atom = operation->atom;
    if (atom >= DW_OP_lit0 && atom <= DW_OP_lit31)
        return push(machine, atom - DW_OP_lit0);
    if (atom >= DW_OP_breg0 && atom <= DW_OP_breg31)
        return push_register(machine, atom - DW_OP_breg0, operation->number);
    switch (atom) {
    case DW_OP_bregx:
        return push_register(machine, operation->number, operation->number2);
    case DW_OP_call_frame_cfa:
        return push(machine, machine->cfa);
    case DW_OP_addr:
    case DW_OP_const1u:
    case DW_OP_const1s:
    case DW_OP_const2u:
    case DW_OP_const2s:
    case DW_OP_const4u:
    case DW_OP_const4s:
    case DW_OP_const8u:
    case DW_OP_const8s:
    case DW_OP_constu:
    case DW_OP_consts:
        return push(machine, operation->number);
    case DW_OP_plus_uconst:
        if (machine->depth == 0)
            return false;
        machine->stack[machine->depth - 1] += operation->number;
        return true;
    case DW_OP_dup:
        return machine->depth > 0 && push(machine, machine->stack[machine->depth - 1]);
    case DW_OP_deref:
        return machine->depth > 0 && sw_native_copy_word(machine->native, machine->stack[machine->depth - 1],
                                                         &machine->stack[machine->depth - 1]);
    case DW_OP_nop:
        return true;
    case DW_OP_stack_value:
        machine->is_value = true;
        return true;
    default:
        return binary(machine, atom);
    }
}

/* Branches (bra, skip) do not occur in call frame information that is met; they are refused. */
static bool expression_run(struct machine *machine, const Dwarf_Op *operations, size_t count, uint64_t *value) {
    if (count > OPERATIONS_MAX)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!operation_run(machine, &operations[i]))
            return false;
    if (machine->depth == 0)
        return false;
    *value = machine->stack[machine->depth - 1];
    return true;
}

static struct rule rule_of(Dwarf_Frame *frame, int number) {
    Dwarf_Op memory[3], *operations = NULL;
    size_t count = 0;
    if (dwarf_frame_register(frame, number, memory, &operations, &count) != 0)
        return (struct rule){RULE_UNDEFINED, 0};
    if (count == 0)
        return (struct rule){operations ? RULE_UNDEFINED : RULE_SAME, 0};
    bool is_cfa = operations[0].atom == DW_OP_call_frame_cfa;
    if (is_cfa && count == 1)
        return (struct rule){RULE_AT_CFA, 0};
    if (is_cfa && count == 2 && operations[1].atom == DW_OP_plus_uconst)
        return (struct rule){RULE_AT_CFA, (int64_t)operations[1].number};
    if (is_cfa && count == 2 && operations[1].atom == DW_OP_stack_value)
        return (struct rule){RULE_CFA_PLUS, 0};
    if (is_cfa && count == 3 && operations[1].atom == DW_OP_plus_uconst && operations[2].atom == DW_OP_stack_value)
        return (struct rule){RULE_CFA_PLUS, (int64_t)operations[1].number};
    return (struct rule){RULE_EXPRESSION, 0};
}

static void row_fill(struct row *row, Dwarf_Frame *frame) {
    Dwarf_Op *operations = NULL;
    size_t count = 0;
    bool is_signal = false;
    (void)dwarf_frame_info(frame, NULL, NULL, &is_signal);
    row->is_signal = is_signal;
    if (dwarf_frame_cfa(frame, &operations, &count) != 0 || count == 0)
        return;
    row->is_valid = true;
    unsigned atom = operations[0].atom;
    if (count == 1 && atom >= DW_OP_breg0 && atom <= DW_OP_breg31) {
        row->cfa_register = (int)(atom - DW_OP_breg0);
        row->cfa_offset = (int64_t)operations[0].number;
    } else if (count == 1 && atom == DW_OP_bregx && operations[0].number < REGISTER_COUNT) {
        row->cfa_register = (int)operations[0].number;
        row->cfa_offset = (int64_t)operations[0].number2;
    } else {
        row->is_complex = true;
    }
    for (int number = 0; number < REGISTER_COUNT; number++) {
        row->rules[number] = rule_of(frame, number);
        row->is_complex |= row->rules[number].kind == RULE_EXPRESSION;
    }
}

struct row *sw_native_row_at(struct sw_native *native, struct module *module, uint64_t pc) {
    struct row *row = &native->rows[sw_hash_u64(pc) & (ROWS_MAX - 1)];
    if (row->pc == pc)
        return row;
    *row = (struct row){.pc = pc};
    Dwarf_Frame *frame = NULL;
    if (module->cfi && dwarf_cfi_addrframe(module->cfi, pc - module->bias, &frame) == 0) {
        row_fill(row, frame);
        free(frame); /* libdw allocates it with malloc */
    }
    return row;
}

/* Rules that are expressions are rare (PLT stubs, signal frames), so they are asked of libdw again. */
static bool step_complex(struct sw_native *native, struct module *module, struct registers *registers) {
    Dwarf_Frame *frame = NULL;
    struct registers caller = {.known = 0};
    Dwarf_Op memory[3], *operations = NULL;
    size_t count = 0;
    bool is_done = false;
    if (dwarf_cfi_addrframe(module->cfi, registers->pc - module->bias, &frame) != 0)
        return false;
    struct machine machine = {.native = native, .registers = registers};
    if (dwarf_frame_cfa(frame, &operations, &count) != 0 || !expression_run(&machine, operations, count, &machine.cfa))
        goto done;
    for (int number = 0; number < REGISTER_COUNT; number++) {
        if (dwarf_frame_register(frame, number, memory, &operations, &count) != 0)
            continue;
        uint64_t value = registers->value[number];
        bool is_known = count == 0 && !operations && (registers->known >> number & 1);
        if (count > 0) {
            struct machine part = {.native = native, .registers = registers, .cfa = machine.cfa};
            is_known = expression_run(&part, operations, count, &value) &&
                       (part.is_value || sw_native_copy_word(native, value, &value));
        }
        caller.value[number] = value;
        caller.known |= (uint64_t)is_known << number;
    }
    if (!(caller.known >> REGISTER_SP & 1) || caller.value[REGISTER_SP] == registers->value[REGISTER_SP]) {
        caller.value[REGISTER_SP] = machine.cfa;
        caller.known |= UINT64_C(1) << REGISTER_SP;
    }
    if (caller.known >> REGISTER_RA & 1) {
        caller.pc = caller.value[REGISTER_RA];
        *registers = caller;
        is_done = true;
    }
done:
    free(frame);
    return is_done;
}

bool sw_native_step(struct sw_native *native, struct module *module, const struct row *row,
                    struct registers *registers) {
    if (row->is_complex)
        return step_complex(native, module, registers);
    if (!(registers->known >> row->cfa_register & 1))
        return false;
    uint64_t cfa = registers->value[row->cfa_register] + (uint64_t)row->cfa_offset;
    struct registers caller = {.known = 0};
    for (int number = 0; number < REGISTER_COUNT; number++) {
        const struct rule *rule = &row->rules[number];
        bool is_known = false;
        uint64_t value = 0;
        if (rule->kind == RULE_SAME) {
            is_known = registers->known >> number & 1;
            value = registers->value[number];
        } else if (rule->kind == RULE_AT_CFA) {
            is_known = sw_native_copy_word(native, cfa + (uint64_t)rule->offset, &value);
        } else if (rule->kind == RULE_CFA_PLUS) {
            is_known = true;
            value = cfa + (uint64_t)rule->offset;
        }
        caller.value[number] = value;
        caller.known |= (uint64_t)is_known << number;
    }
    caller.value[REGISTER_SP] = cfa;
    caller.known |= UINT64_C(1) << REGISTER_SP;
    bool is_outermost = row->rules[REGISTER_RA].kind == RULE_UNDEFINED; /* as the first function of a thread says */
    if (!is_outermost && !(caller.known >> REGISTER_RA & 1))
        return false;
    caller.pc = is_outermost ? 0 : caller.value[REGISTER_RA];
    *registers = caller;
    return true;
}
