/* expression_compile.c - The nodes of an expression to instructions: pairs fused, registers given out.
 *
 * Nodes are in an order in which operands come first, which is also the order of the instructions. Going from the root
 * down, a node takes in an operand that only it uses where one kernel does both (a product and a sum, ...); each is still
 * rounded by itself, so every level of vector instructions, and NumPy, get the same bits. A register is free again after the
 * last instruction that reads it, and may be written by that instruction.
 */
#include "base/mem.h"
#include "kernels/expression_impl.h"

#define NO_REGISTER UINT16_MAX

/* What becomes of a node. */
struct step {
    uint16_t uses;     /* by nodes that are needed */
    uint16_t last_use; /* the last instruction's node that reads it */
    uint16_t slot;     /* of an operation's register or a constant */
    uint8_t op;
    bool is_absorbed; /* part of another node's instruction */
    uint16_t operands[SW_OPERANDS];
};

struct compiler {
    const struct sw_nodes *nodes;
    struct step *steps; /* by node */
    struct sw_expression *expression;
    bool is_taken[SW_EXPRESSION_REGISTERS];
};

static void count_uses(struct compiler *compiler) {
    const struct sw_nodes *nodes = compiler->nodes;
    compiler->steps[nodes->root].uses = 1;
    for (size_t i = (size_t)nodes->root + 1; i-- > 0;) {
        const struct sw_node *node = &nodes->items[i];
        struct step *step = &compiler->steps[i];
        step->op = node->op;
        memcpy(step->operands, node->operands, sizeof node->operands);
        for (unsigned j = 0; step->uses > 0 && node->kind == SW_NODE_OPERATION && j < 3; j++) {
            if (node->operands[j] != SW_EXPRESSION_NO_NODE) {
                compiler->steps[node->operands[j]].uses++;
            }
        }
    }
}

/* Whether node `index` is an operation `op` that only one node needs. */
static bool is_sole(const struct compiler *compiler, uint16_t index, enum sw_operator op) {
    const struct sw_node *node = &compiler->nodes->items[index];
    return node->kind == SW_NODE_OPERATION && node->op == op && compiler->steps[index].uses == 1;
}

static void become(struct step *step, enum sw_operator op, const uint16_t *operands) {
    step->op = (uint8_t)op;
    memcpy(step->operands, operands, sw_operator_arity(op) * sizeof *operands);
}

/* a + b or a - b where one is a product. */
static bool fuse_sum(struct compiler *compiler, struct step *step, enum sw_operator first, enum sw_operator second) {
    for (unsigned i = 0; i < 2; i++) {
        uint16_t inner = step->operands[i], other = step->operands[1 - i];
        if (is_sole(compiler, inner, SW_OPERATOR_multiply)) {
            const uint16_t *factors = compiler->nodes->items[inner].operands;
            compiler->steps[inner].is_absorbed = true;
            become(step, i == 0 ? first : second, (uint16_t[]){factors[0], factors[1], other});
            return true;
        }
    }
    return false;
}

/* a * b where one is a sum or a difference that is not better taken together with a product of its own. */
static void fuse_product(struct compiler *compiler, struct step *step) {
    for (unsigned i = 0; i < 2; i++) {
        uint16_t inner = step->operands[i], other = step->operands[1 - i];
        bool is_sum = is_sole(compiler, inner, SW_OPERATOR_add);
        if (!is_sum && !is_sole(compiler, inner, SW_OPERATOR_subtract)) {
            continue;
        }
        const uint16_t *terms = compiler->nodes->items[inner].operands;
        if (is_sole(compiler, terms[0], SW_OPERATOR_multiply) || is_sole(compiler, terms[1], SW_OPERATOR_multiply)) {
            continue;
        }
        compiler->steps[inner].is_absorbed = true;
        become(step, is_sum ? SW_OPERATOR_add_multiply : SW_OPERATOR_subtract_multiply,
               (uint16_t[]){terms[0], terms[1], other});
        return;
    }
}

/* a * b + c where a factor or c is such a sum itself. */
static void fuse_sums(struct compiler *compiler, struct step *step) {
    for (unsigned i = 0; i < 3; i++) {
        uint16_t inner = step->operands[i];
        if (!is_sole(compiler, inner, SW_OPERATOR_add)) {
            continue;
        }
        struct step sum = compiler->steps[inner];
        if (fuse_sum(compiler, &sum, SW_OPERATOR_multiply_add, SW_OPERATOR_multiply_add)) {
            enum sw_operator op = i == 2 ? SW_OPERATOR_add_two_products : SW_OPERATOR_multiply_add_twice;
            uint16_t fourth = step->operands[i == 0], fifth = step->operands[i == 2 ? 1 : 2];
            compiler->steps[inner].is_absorbed = true;
            become(step, op, (uint16_t[]){sum.operands[0], sum.operands[1], sum.operands[2], fourth, fifth});
            return;
        }
    }
}

static void fuse_negation(struct compiler *compiler, struct step *step) {
    uint16_t inner = step->operands[0];
    if (!is_sole(compiler, inner, SW_OPERATOR_add)) {
        return;
    }
    struct step sum = compiler->steps[inner];
    if (fuse_sum(compiler, &sum, SW_OPERATOR_negated_multiply_add, SW_OPERATOR_negated_multiply_add)) {
        compiler->steps[inner].is_absorbed = true;
        become(step, sum.op, sum.operands);
    }
}

static bool is_instruction(const struct compiler *compiler, size_t index) {
    const struct step *step = &compiler->steps[index];
    return compiler->nodes->items[index].kind == SW_NODE_OPERATION && step->uses > 0 && !step->is_absorbed;
}

/* From the root down: who takes in whom, and which instruction reads a value last. */
static void fuse(struct compiler *compiler) {
    for (size_t i = (size_t)compiler->nodes->root + 1; i-- > 0;) {
        struct step *step = &compiler->steps[i];
        if (!is_instruction(compiler, i)) {
            continue;
        }
        if (step->op == SW_OPERATOR_add) {
            if (fuse_sum(compiler, step, SW_OPERATOR_multiply_add, SW_OPERATOR_multiply_add)) {
                fuse_sums(compiler, step);
            }
        } else if (step->op == SW_OPERATOR_subtract) {
            fuse_sum(compiler, step, SW_OPERATOR_multiply_subtract, SW_OPERATOR_subtract_product);
        } else if (step->op == SW_OPERATOR_multiply) {
            fuse_product(compiler, step);
        } else if (step->op == SW_OPERATOR_negate) {
            fuse_negation(compiler, step);
        }
        for (unsigned j = 0; j < sw_operator_arity((enum sw_operator)step->op); j++) {
            struct step *operand = &compiler->steps[step->operands[j]];
            operand->last_use = operand->last_use > i ? operand->last_use : (uint16_t)i;
        }
    }
}

static uint16_t register_take(struct compiler *compiler) {
    for (uint16_t i = 0; i < SW_EXPRESSION_REGISTERS; i++) {
        if (!compiler->is_taken[i]) {
            compiler->is_taken[i] = true;
            size_t *count = &compiler->expression->register_count;
            *count = *count > i ? *count : i + 1u;
            return i;
        }
    }
    return NO_REGISTER;
}

/* The constant's slot; one the first time. */
static uint16_t constant_slot(struct compiler *compiler, uint16_t index) {
    struct step *step = &compiler->steps[index];
    struct sw_expression *expression = compiler->expression;
    if (step->slot == 0) {
        struct sw_constant *constant = &expression->constants[expression->constant_count];
        for (unsigned i = 0; i < SW_GRANULE; i++) {
            constant->f64[i] = compiler->nodes->items[index].value;
            constant->f32[i] = (float)compiler->nodes->items[index].value;
        }
        step->slot = (uint16_t)(SW_SLOT_CONSTANTS + expression->constant_count++);
    }
    return step->slot;
}

static uint16_t operand_slot(struct compiler *compiler, uint16_t index) {
    const struct sw_node *node = &compiler->nodes->items[index];
    if (node->kind == SW_NODE_NAME) {
        return node->operands[0];
    }
    return node->kind == SW_NODE_CONSTANT ? constant_slot(compiler, index) : compiler->steps[index].slot;
}

static enum sw_status emit(struct compiler *compiler, enum sw_operator op, const uint16_t *operands, uint16_t index) {
    struct sw_expression *expression = compiler->expression;
    struct sw_instruction *instruction = &expression->instructions[expression->instruction_count++];
    *instruction = (struct sw_instruction){.op = (uint16_t)op};
    for (unsigned j = 0; j < sw_operator_arity(op); j++) {
        instruction->operands[j] = operand_slot(compiler, operands[j]);
        bool is_register = compiler->nodes->items[operands[j]].kind == SW_NODE_OPERATION;
        if (is_register && compiler->steps[operands[j]].last_use == index) {
            compiler->is_taken[instruction->operands[j] - SW_SLOT_REGISTERS] = false;
        }
    }
    uint16_t taken = register_take(compiler);
    if (taken == NO_REGISTER) {
        return SW_LIMIT;
    }
    instruction->out = compiler->steps[index].slot = (uint16_t)(SW_SLOT_REGISTERS + taken);
    expression->cost += sw_operator_cost(op);
    return SW_OK;
}

static enum sw_status emit_all(struct compiler *compiler) {
    enum sw_status status = SW_OK;
    uint16_t root = compiler->nodes->root;
    for (uint16_t i = 0; status == SW_OK && i <= root; i++) {
        const struct step *step = &compiler->steps[i];
        if (is_instruction(compiler, i)) {
            status = emit(compiler, (enum sw_operator)step->op, step->operands, i);
        }
    }
    if (status == SW_OK && !is_instruction(compiler, root)) {
        status = emit(compiler, SW_OPERATOR_copy, &root, root);
    }
    return status;
}

static enum sw_status memory_take(struct sw_expression *expression, struct sw_str text, const struct sw_nodes *nodes) {
    size_t constants = 0, instructions = 1;
    for (size_t i = 0; i <= nodes->root; i++) {
        constants += nodes->items[i].kind == SW_NODE_CONSTANT;
        instructions += nodes->items[i].kind == SW_NODE_OPERATION;
    }
    expression->text = sw_alloc(text.len);
    expression->instructions = sw_alloc_array(instructions, sizeof *expression->instructions);
    expression->constants = sw_alloc_aligned(64, (constants + 1) * sizeof *expression->constants);
    if (!expression->text || !expression->instructions || !expression->constants) {
        return SW_NOMEM;
    }
    memcpy(expression->text, text.ptr, text.len);
    expression->name_count = nodes->name_count;
    for (size_t i = 0; i < nodes->name_count; i++) {
        expression->names[i] = sw_str_make(expression->text + (nodes->names[i].ptr - text.ptr), nodes->names[i].len);
    }
    return SW_OK;
}

static enum sw_status compile(struct sw_expression *expression, struct sw_str text, const struct sw_nodes *nodes,
                              struct sw_error *err) {
    struct compiler compiler = {.nodes = nodes, .expression = expression};
    compiler.steps = sw_alloc_array_zero((size_t)nodes->root + 1, sizeof *compiler.steps);
    enum sw_status status = compiler.steps ? memory_take(expression, text, nodes) : SW_NOMEM;
    if (status == SW_OK) {
        count_uses(&compiler);
        fuse(&compiler);
        status = emit_all(&compiler);
    }
    sw_free(compiler.steps);
    if (status == SW_NOMEM) {
        return sw_fail(err, status, "cannot compile an expression of %zu bytes: out of memory", text.len);
    }
    if (status == SW_LIMIT) {
        return sw_fail(err, status,
                       "cannot compile an expression of %zu bytes: it needs more than %d intermediate values at "
                       "once; split it",
                       text.len, SW_EXPRESSION_REGISTERS);
    }
    return status;
}

enum sw_status sw_expression_compile(struct sw_str text, struct sw_expression **expression, struct sw_error *err) {
    struct sw_nodes nodes;
    enum sw_status status = sw_expression_parse(text, &nodes, err);
    if (status != SW_OK) {
        return status;
    }
    struct sw_expression *made = sw_alloc_zero(sizeof *made);
    status =
        made ? compile(made, text, &nodes, err) : sw_fail(err, SW_NOMEM, "cannot compile an expression: out of memory");
    sw_nodes_release(&nodes);
    if (status != SW_OK) {
        sw_expression_free(made);
        return status;
    }
    *expression = made;
    return SW_OK;
}

void sw_expression_free(struct sw_expression *expression) {
    if (expression) {
        sw_free(expression->instructions);
        sw_free(expression->constants);
        sw_free(expression->text);
        sw_free(expression);
    }
}

size_t sw_expression_name_count(const struct sw_expression *expression) {
    return expression->name_count;
}

struct sw_str sw_expression_name(const struct sw_expression *expression, size_t index) {
    return expression->names[index];
}

double sw_expression_ns(const struct sw_expression *expression) {
    return (expression->cost + 10 * (double)expression->name_count) / 100;
}
