/* expression_impl.h - The operators of expressions, the nodes they are parsed into, the program that is run, the kernels.
 *
 * text -> (expression_parse.c) nodes, equal ones shared -> (expression_compile.c) instructions on slots -> (expression_run.c)
 * one kernel call per instruction and block. A kernel works on whole granules of contiguous elements; every level of
 * vector instructions gives the same bits.
 */
#ifndef SW_KERNELS_EXPRESSION_IMPL_H
#define SW_KERNELS_EXPRESSION_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"
#include "kernels/elementwise.h"

#define SW_GRANULE 32u              /* elements a kernel does at least, and a constant is repeated */
#define SW_EXPRESSION_REGISTERS 192 /* most intermediate values at once */
#define SW_OPERANDS 5               /* of an instruction, at most */
#define SW_EXPRESSION_NO_NODE UINT16_MAX

/* name, operands, hundredths of a nanosecond an element (roughly: how work is cut into pieces) */
#define SW_VECTOR_OPERATORS(X) \
    X(copy, 1, 10) \
    X(negate, 1, 10) \
    X(absolute, 1, 10) \
    X(square_root, 1, 50) \
    X(exp, 1, 50) \
    X(log, 1, 60) \
    X(log2, 1, 70) \
    X(log10, 1, 70) \
    X(log1p, 1, 90) \
    X(expm1, 1, 100) \
    X(tanh, 1, 150) \
    X(floor, 1, 10) \
    X(ceil, 1, 10) \
    X(round, 1, 10) \
    X(sign, 1, 10) \
    X(not, 1, 10) \
    X(add, 2, 10) \
    X(subtract, 2, 10) \
    X(multiply, 2, 10) \
    X(divide, 2, 50) \
    X(floor_divide, 2, 100) \
    X(remainder, 2, 100) \
    X(minimum, 2, 10) \
    X(maximum, 2, 10) \
    X(less, 2, 10) \
    X(less_equal, 2, 10) \
    X(equal, 2, 10) \
    X(not_equal, 2, 10) \
    X(and, 2, 10) \
    X(or, 2, 10) \
    X(where, 3, 15) \
    X(fma, 3, 15) \
    X(multiply_add, 3, 15)         /* a * b + c, each step rounded; so are all below */ \
    X(multiply_subtract, 3, 15)    /* a * b - c */ \
    X(subtract_product, 3, 15)     /* c - a * b */ \
    X(negated_multiply_add, 3, 15) /* -(a * b + c) */ \
    X(add_multiply, 3, 15)         /* (a + b) * c */ \
    X(subtract_multiply, 3, 15)    /* (a - b) * c */ \
    X(multiply_add_twice, 5, 20)   /* (a * b + c) * d + e */ \
    X(add_two_products, 5, 20)     /* (a * b + c) + d * e */

/* The C library's functions, element by element on every level. */
#define SW_LIBRARY_OPERATORS(X) \
    X(sin, 1, 800) \
    X(cos, 1, 800) \
    X(tan, 1, 1200) \
    X(power, 2, 2000)

enum sw_operator {
#define SW_OPERATOR_ENUMERATOR(name, arity, cost) SW_OPERATOR_##name,
    SW_VECTOR_OPERATORS(SW_OPERATOR_ENUMERATOR) SW_LIBRARY_OPERATORS(SW_OPERATOR_ENUMERATOR)
#undef SW_OPERATOR_ENUMERATOR
        SW_OPERATORS,
};

/* What an operator works on: `granules` times SW_GRANULE elements. A step is what a pointer moves per granule, in
 * elements: SW_GRANULE, or 0 for a constant. `out` may be one of the operands. */
struct sw_kernel_call {
    void *out;
    const void *operands[SW_OPERANDS];
    size_t steps[SW_OPERANDS];
    size_t granules;
    size_t count;             /* elements that matter: (granules - 1) * SW_GRANULE < count <= granules * SW_GRANULE */
    const char *const *ahead; /* what the next block will read: with each granule done, one of each is prefetched */
    size_t ahead_count;
    bool is_streamed; /* stores go past the caches; `out` is then aligned to 64 bytes; a store fence is the caller's */
};

typedef void (*sw_kernel)(const struct sw_kernel_call *call);

/* The kernels by operator. */
typedef sw_kernel sw_kernel_table[SW_OPERATORS];
extern const sw_kernel_table sw_kernels_scalar_f64, sw_kernels_scalar_f32;
#if defined(__x86_64__)
extern const sw_kernel_table sw_kernels_avx2_f64, sw_kernels_avx2_f32;
extern const sw_kernel_table sw_kernels_avx512_f64, sw_kernels_avx512_f32;
#elif defined(__aarch64__)
extern const sw_kernel_table sw_kernels_neon_f64, sw_kernels_neon_f32;
#endif

/* Of one float64, with the bits of the kernels. */
struct sw_number_functions {
    double (*exp)(double x);
    double (*log)(double x);
};
extern const struct sw_number_functions sw_numbers_scalar;
#if defined(__x86_64__)
extern const struct sw_number_functions sw_numbers_avx2, sw_numbers_avx512;
#elif defined(__aarch64__)
extern const struct sw_number_functions sw_numbers_neon;
#endif

#define SW_LIBRARY_DECLARATION(name, arity, cost) \
    void sw_library_##name##_f64(const struct sw_kernel_call *call); \
    void sw_library_##name##_f32(const struct sw_kernel_call *call);
SW_LIBRARY_OPERATORS(SW_LIBRARY_DECLARATION)
#undef SW_LIBRARY_DECLARATION

/* The best of `level`. */
const sw_kernel_table *sw_kernels_at(enum sw_cpu_level level, enum sw_dtype dtype);

/* Where a rare element leaves the vector code: NumPy's // and %. */
double sw_floor_divide_f64(double a, double b);
double sw_remainder_f64(double a, double b);
float sw_floor_divide_f32(float a, float b);
float sw_remainder_f32(float a, float b);

/* A node of the parsed expression. Operands have smaller indices. */
enum sw_node_kind { SW_NODE_NAME, SW_NODE_CONSTANT, SW_NODE_OPERATION };

struct sw_node {
    uint8_t kind, op;
    bool is_truth;
    uint16_t operands[3]; /* of a name: its index in the first; SW_EXPRESSION_NO_NODE where there is none */
    double value;         /* of a constant */
};

struct sw_nodes {
    struct sw_node *items; /* owned */
    size_t count, cap;
    uint16_t *buckets; /* owned; open addressing, cap * 2 of them, SW_EXPRESSION_NO_NODE where empty */
    uint16_t root;
    size_t name_count;
    struct sw_str names[SW_EXPRESSION_NAMES]; /* views of the text */
};

void sw_nodes_release(struct sw_nodes *nodes);
/* The index of the node with these operands, a new one or an equal one. Constants are folded, and what has a cheaper
 * form of the same value gets it. There is room: an expression of n bytes has less than 4 * n nodes. */
uint16_t sw_nodes_name(struct sw_nodes *nodes, size_t name);
uint16_t sw_nodes_constant(struct sw_nodes *nodes, double value, bool is_truth);
uint16_t sw_nodes_operation(struct sw_nodes *nodes, enum sw_operator op, const uint16_t *operands);
unsigned sw_operator_arity(enum sw_operator op);
unsigned sw_operator_cost(enum sw_operator op);

SW_MUST_USE enum sw_status sw_expression_parse(struct sw_str text, struct sw_nodes *nodes, struct sw_error *err);

/* Where an instruction finds an operand: the names' elements, then the registers, then the constants. */
#define SW_SLOT_REGISTERS SW_EXPRESSION_NAMES
#define SW_SLOT_CONSTANTS (SW_SLOT_REGISTERS + SW_EXPRESSION_REGISTERS)

struct sw_instruction {
    uint16_t op;
    uint16_t out; /* a register; the last instruction's is not used */
    uint16_t operands[SW_OPERANDS];
};

struct sw_constant {
    double f64[SW_GRANULE];
    float f32[SW_GRANULE];
};

struct sw_expression {
    struct sw_instruction *instructions; /* owned */
    struct sw_constant *constants;       /* owned, aligned to 64 bytes */
    char *text;                          /* owned; the names are views of it */
    size_t instruction_count, constant_count, name_count, register_count;
    unsigned cost; /* hundredths of a nanosecond an element */
    struct sw_str names[SW_EXPRESSION_NAMES];
};

/* As sw_expression_run, with at most the instructions of `level`; the processor must have them. */
SW_MUST_USE enum sw_status sw_expression_run_at(const struct sw_expression *expression, const struct sw_array *operands,
                                                struct sw_array *out, struct sw_parallel *parallel,
                                                enum sw_cpu_level level);

#endif
