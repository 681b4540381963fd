/* expression_nodes.c - The nodes of an expression: equal ones are one, constants are folded, cheaper forms are taken.
 *
 * Folding happens in float64, as Python does it before NumPy sees a number. A cheaper form has the same value to the last
 * bit, except for small powers: x**3 and x**4 are products, rounded at each step.
 */
#include <math.h>

#include "base/mem.h"
#include "kernels/expression_impl.h"

#define RECIPROCAL_EXPONENT 100 /* 2^-100 .. 2^100 and their reciprocals are normal in float32 too */

static const struct {
    uint8_t arity;
    uint16_t cost;
} operators[] = {
#define OPERATOR_ROW(name, arity, cost) {arity, cost},
    SW_VECTOR_OPERATORS(OPERATOR_ROW) SW_LIBRARY_OPERATORS(OPERATOR_ROW)};

static uint64_t bits_of(double value) {
    uint64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}

static bool is_equal(const struct sw_node *a, const struct sw_node *b) {
    return a->kind == b->kind && a->op == b->op && a->is_truth == b->is_truth && a->operands[0] == b->operands[0] &&
           a->operands[1] == b->operands[1] && a->operands[2] == b->operands[2] &&
           bits_of(a->value) == bits_of(b->value);
}

static size_t bucket_of(const struct sw_nodes *nodes, const struct sw_node *node) {
    uint64_t hash = bits_of(node->value) ^ (uint64_t)node->kind << 56 ^ (uint64_t)node->op << 48;
    hash ^= (uint64_t)node->operands[0] << 32 ^ (uint64_t)node->operands[1] << 16 ^ node->operands[2];
    hash *= 0x9e3779b97f4a7c15u;
    return (size_t)(hash >> 32) % (nodes->cap * 2);
}

static uint16_t intern(struct sw_nodes *nodes, const struct sw_node *node) {
    size_t bucket = bucket_of(nodes, node);
    while (nodes->buckets[bucket] != SW_EXPRESSION_NO_NODE) {
        if (is_equal(&nodes->items[nodes->buckets[bucket]], node)) {
            return nodes->buckets[bucket];
        }
        bucket = (bucket + 1) % (nodes->cap * 2);
    }
    uint16_t index = (uint16_t)nodes->count++;
    nodes->items[index] = *node;
    nodes->buckets[bucket] = index;
    return index;
}

static bool is_constant(const struct sw_nodes *nodes, uint16_t index) {
    return nodes->items[index].kind == SW_NODE_CONSTANT;
}

static double folded(const struct sw_nodes *nodes, enum sw_operator op, const uint16_t *operands) {
    double values[3][SW_GRANULE], result[SW_GRANULE] = {0};
    struct sw_kernel_call call = {.out = result, .granules = 1, .count = 1};
    for (unsigned i = 0; i < operators[op].arity; i++) {
        for (unsigned j = 0; j < SW_GRANULE; j++) {
            values[i][j] = nodes->items[operands[i]].value;
        }
        call.operands[i] = values[i];
    }
    sw_kernels_scalar_f64[op](&call);
    return result[0];
}

static bool gives_truth(const struct sw_nodes *nodes, enum sw_operator op, const uint16_t *operands) {
    if (op == SW_OPERATOR_where) {
        return nodes->items[operands[1]].is_truth && nodes->items[operands[2]].is_truth;
    }
    return op == SW_OPERATOR_less || op == SW_OPERATOR_less_equal || op == SW_OPERATOR_equal ||
           op == SW_OPERATOR_not_equal || op == SW_OPERATOR_and || op == SW_OPERATOR_or || op == SW_OPERATOR_not;
}

static uint16_t operation(struct sw_nodes *nodes, enum sw_operator op, const uint16_t operands[3]) {
    struct sw_node node = {.kind = SW_NODE_OPERATION, .op = (uint8_t)op, .is_truth = gives_truth(nodes, op, operands)};
    bool is_folded = true;
    for (unsigned i = 0; i < 3; i++) {
        node.operands[i] = i < operators[op].arity ? operands[i] : SW_EXPRESSION_NO_NODE;
        is_folded = is_folded && (i >= operators[op].arity || is_constant(nodes, operands[i]));
    }
    if (is_folded) {
        return sw_nodes_constant(nodes, folded(nodes, op, operands), node.is_truth);
    }
    return intern(nodes, &node);
}

static uint16_t product(struct sw_nodes *nodes, uint16_t a, uint16_t b) {
    return operation(nodes, SW_OPERATOR_multiply, (uint16_t[3]){a, b});
}

/* As NumPy: ** 0.5 is the square root, -1 the reciprocal, 2 the square. */
static uint16_t power(struct sw_nodes *nodes, const uint16_t *operands) {
    uint16_t base = operands[0];
    double exponent = is_constant(nodes, operands[1]) ? nodes->items[operands[1]].value : NAN;
    if (exponent == 0) {
        return sw_nodes_constant(nodes, 1, false);
    }
    if (exponent == 1) {
        return base;
    }
    if (exponent == -1) {
        return operation(nodes, SW_OPERATOR_divide, (uint16_t[3]){sw_nodes_constant(nodes, 1, false), base});
    }
    if (exponent == 0.5) {
        return operation(nodes, SW_OPERATOR_square_root, operands);
    }
    if (exponent == 2 || exponent == 3 || exponent == 4) {
        uint16_t square = product(nodes, base, base);
        return exponent == 2 ? square : product(nodes, square, exponent == 3 ? base : square);
    }
    return operation(nodes, SW_OPERATOR_power, operands);
}

void sw_nodes_release(struct sw_nodes *nodes) {
    sw_free(nodes->items);
    sw_free(nodes->buckets);
    *nodes = (struct sw_nodes){0};
}

uint16_t sw_nodes_name(struct sw_nodes *nodes, size_t name) {
    struct sw_node node = {.kind = SW_NODE_NAME,
                           .operands = {(uint16_t)name, SW_EXPRESSION_NO_NODE, SW_EXPRESSION_NO_NODE}};
    return intern(nodes, &node);
}

uint16_t sw_nodes_constant(struct sw_nodes *nodes, double value, bool is_truth) {
    struct sw_node node = {.kind = SW_NODE_CONSTANT,
                           .is_truth = is_truth,
                           .operands = {SW_EXPRESSION_NO_NODE, SW_EXPRESSION_NO_NODE, SW_EXPRESSION_NO_NODE},
                           .value = value};
    return intern(nodes, &node);
}

uint16_t sw_nodes_operation(struct sw_nodes *nodes, enum sw_operator op, const uint16_t *operands) {
    if (op == SW_OPERATOR_power) {
        return power(nodes, operands);
    }
    if (op == SW_OPERATOR_divide && is_constant(nodes, operands[1])) {
        int exponent;
        double divisor = nodes->items[operands[1]].value;
        if (fabs(frexp(divisor, &exponent)) == 0.5 && exponent > -RECIPROCAL_EXPONENT &&
            exponent < RECIPROCAL_EXPONENT) {
            return product(nodes, operands[0], sw_nodes_constant(nodes, 1 / divisor, false));
        }
    }
    return operation(nodes, op, operands);
}

unsigned sw_operator_arity(enum sw_operator op) {
    return operators[op].arity;
}

unsigned sw_operator_cost(enum sw_operator op) {
    return operators[op].cost;
}
