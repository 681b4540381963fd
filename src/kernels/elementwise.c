/* elementwise.c - exp and log of arrays, as expressions of one instruction; and the kernels of each level. */
#include "kernels/elementwise.h"

#include <assert.h>

#include "kernels/expression_impl.h"

static void apply(enum sw_operator op, const struct sw_array *x, struct sw_array *out, struct sw_parallel *parallel) {
    struct sw_instruction instruction = {.op = (uint16_t)op, .out = SW_SLOT_REGISTERS, .operands = {0}};
    struct sw_expression expression = {.instructions = &instruction,
                                       .instruction_count = 1,
                                       .name_count = 1,
                                       .register_count = 1,
                                       .cost = sw_operator_cost(op)};
    enum sw_status status = sw_expression_run(&expression, x, out, parallel);
    assert(status == SW_OK); /* else the caller broke the contract */
    (void)status;
}

static const struct sw_number_functions *number_functions(void) {
    enum sw_cpu_level level = sw_cpu_level();
#if defined(__x86_64__)
    if (level >= SW_CPU_AVX512) {
        return &sw_numbers_avx512;
    }
    if (level >= SW_CPU_AVX2) {
        return &sw_numbers_avx2;
    }
#elif defined(__aarch64__)
    if (level >= SW_CPU_NEON) {
        return &sw_numbers_neon;
    }
#endif
    (void)level;
    return &sw_numbers_scalar;
}

void sw_elementwise_exp(const struct sw_array *x, struct sw_array *out, struct sw_parallel *parallel) {
    apply(SW_OPERATOR_exp, x, out, parallel);
}

void sw_elementwise_log(const struct sw_array *x, struct sw_array *out, struct sw_parallel *parallel) {
    apply(SW_OPERATOR_log, x, out, parallel);
}

double sw_elementwise_exp_number(double x) {
    return number_functions()->exp(x);
}

double sw_elementwise_log_number(double x) {
    return number_functions()->log(x);
}

const sw_kernel_table *sw_kernels_at(enum sw_cpu_level level, enum sw_dtype dtype) {
    bool is_f64 = dtype == SW_F64;
#if defined(__x86_64__)
    if (level >= SW_CPU_AVX512) {
        return is_f64 ? &sw_kernels_avx512_f64 : &sw_kernels_avx512_f32;
    }
    if (level >= SW_CPU_AVX2) {
        return is_f64 ? &sw_kernels_avx2_f64 : &sw_kernels_avx2_f32;
    }
#elif defined(__aarch64__)
    if (level >= SW_CPU_NEON) {
        return is_f64 ? &sw_kernels_neon_f64 : &sw_kernels_neon_f32;
    }
#endif
    return is_f64 ? &sw_kernels_scalar_f64 : &sw_kernels_scalar_f32;
}
