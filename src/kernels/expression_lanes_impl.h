/* expression_lanes_impl.h - The kernel of every vector operator, on as many lanes as the including file's vectors have.
 *
 * What the including file defines first is listed in vecmath_impl.h; and LANES_TABLE, the name of the table of kernels.
 */
#ifdef LANES_TABLE

#include "kernels/expression_impl.h"
#include "kernels/vecmath_impl.h"

#define KERNEL_PREFETCH \
    for (size_t k = 0; k < ahead_count; k++) { \
        for (size_t line = 0; line < SW_GRANULE * sizeof(real); line += 64) { \
            __builtin_prefetch(call->ahead[k] + i * ahead_step + line); \
        } \
    }

#define KERNEL_BEGIN(name) \
    LANES_TARGET static void run_##name(const struct sw_kernel_call *call) { \
        real *out = call->out; \
        const real *a = call->operands[0]; \
        const size_t a_step = call->steps[0], granules = call->granules, ahead_count = call->ahead_count; \
        const bool is_streamed = call->is_streamed; \
        const size_t ahead_step = SW_GRANULE * sizeof(real);

#define KERNEL_LOOP \
    for (size_t i = 0; i < granules; i++, out += SW_GRANULE, a += a_step) { \
        KERNEL_PREFETCH \
        for (unsigned j = 0; j < SW_GRANULE; j += LANES_COUNT) { \
            lanes x = lanes_load(a + j);

#define KERNEL_END(value) \
    lanes result = (value); \
    if (is_streamed) { \
        lanes_stream(out + j, result); \
    } else { \
        lanes_store(out + j, result); \
    } \
    } \
    } \
    }

#define KERNEL_1(name, value) \
    KERNEL_BEGIN(name) \
    KERNEL_LOOP \
    KERNEL_END(value)

#define KERNEL_2(name, value) \
    KERNEL_BEGIN(name) \
    const real *b = call->operands[1]; \
    const size_t b_step = call->steps[1]; \
    for (size_t i = 0; i < granules; i++, out += SW_GRANULE, a += a_step, b += b_step) { \
        KERNEL_PREFETCH \
        for (unsigned j = 0; j < SW_GRANULE; j += LANES_COUNT) { \
            lanes x = lanes_load(a + j), y = lanes_load(b + j); \
            KERNEL_END(value)

#define KERNEL_3(name, value) \
    KERNEL_BEGIN(name) \
    const real *b = call->operands[1], *c = call->operands[2]; \
    const size_t b_step = call->steps[1], c_step = call->steps[2]; \
    for (size_t i = 0; i < granules; i++, out += SW_GRANULE, a += a_step, b += b_step, c += c_step) { \
        KERNEL_PREFETCH \
        for (unsigned j = 0; j < SW_GRANULE; j += LANES_COUNT) { \
            lanes x = lanes_load(a + j), y = lanes_load(b + j), z = lanes_load(c + j); \
            KERNEL_END(value)

#define KERNEL_5(name, value) \
    KERNEL_BEGIN(name) \
    const real *b = call->operands[1], *c = call->operands[2], *d = call->operands[3], *e = call->operands[4]; \
    const size_t b_step = call->steps[1], c_step = call->steps[2], d_step = call->steps[3], e_step = call->steps[4]; \
    for (size_t i = 0; i < granules; i++, out += SW_GRANULE, a += a_step, b += b_step, c += c_step) { \
        KERNEL_PREFETCH \
        for (unsigned j = 0; j < SW_GRANULE; j += LANES_COUNT) { \
            lanes x = lanes_load(a + j), y = lanes_load(b + j), z = lanes_load(c + j); \
            lanes u = lanes_load(d + i * d_step + j), v = lanes_load(e + i * e_step + j); \
            KERNEL_END(value)

LANES_INLINE lanes truth(mask is_true) {
    return lanes_keep(is_true, lanes_set(1));
}

LANES_INLINE lanes lanes_sign(lanes x) {
    lanes zero = lanes_set(0), side = truth(lanes_less(zero, x)) - truth(lanes_less(x, zero));
    return lanes_pick(lanes_equal(x, x), side, x);
}

/* NaN if one of the two is. */
LANES_INLINE lanes lanes_minimum(lanes x, lanes y) {
    return lanes_pick(lanes_equal(x, x), lanes_min(x, y), x);
}

LANES_INLINE lanes lanes_maximum(lanes x, lanes y) {
    return lanes_pick(lanes_equal(x, x), lanes_max(x, y), x);
}

KERNEL_1(copy, x)
KERNEL_1(negate, -x)
KERNEL_1(absolute, lanes_abs(x))
KERNEL_1(square_root, lanes_sqrt(x))
KERNEL_1(exp, lanes_exp(x))
KERNEL_1(log, lanes_log(x, BASE_E))
KERNEL_1(log2, lanes_log(x, BASE_2))
KERNEL_1(log10, lanes_log(x, BASE_10))
KERNEL_1(log1p, lanes_log1p(x))
KERNEL_1(expm1, lanes_expm1(x))
KERNEL_1(tanh, lanes_tanh(x))
KERNEL_1(floor, lanes_floor(x))
KERNEL_1(ceil, lanes_ceil(x))
KERNEL_1(round, lanes_round(x))
KERNEL_1(sign, lanes_sign(x))
KERNEL_1(not, lanes_set(1) - x)
KERNEL_2(add, x + y)
KERNEL_2(subtract, x - y)
KERNEL_2(multiply, x *y)
KERNEL_2(divide, x / y)
KERNEL_2(floor_divide, divide_floor(x, y, false))
KERNEL_2(remainder, divide_floor(x, y, true))
KERNEL_2(minimum, lanes_minimum(x, y))
KERNEL_2(maximum, lanes_maximum(x, y))
KERNEL_2(less, truth(lanes_less(x, y)))
KERNEL_2(less_equal, truth(lanes_at_most(x, y)))
KERNEL_2(equal, truth(lanes_equal(x, y)))
KERNEL_2(not_equal, lanes_set(1) - truth(lanes_equal(x, y)))
KERNEL_2(and, x *y)
KERNEL_2(or, lanes_max(x, y))
KERNEL_3(where, lanes_pick(lanes_equal(x, lanes_set(0)), z, y))
KERNEL_3(fma, lanes_fma(x, y, z))
KERNEL_3(multiply_add, x *y + z)
KERNEL_3(multiply_subtract, x *y - z)
KERNEL_3(subtract_product, z - x * y)
KERNEL_3(negated_multiply_add, -(x *y + z))
KERNEL_3(add_multiply, (x + y) * z)
KERNEL_3(subtract_multiply, (x - y) * z)
KERNEL_5(multiply_add_twice, (x * y + z) * u + v)
KERNEL_5(add_two_products, (x * y + z) + u * v)

#if !LANES_F32
LANES_TARGET static real first_of(lanes values) {
    real all[LANES_COUNT];
    lanes_store(all, values);
    return all[0];
}

LANES_TARGET static real number_exp(real x) {
    return first_of(lanes_exp(lanes_set(x)));
}

LANES_TARGET static real number_log(real x) {
    return first_of(lanes_log(lanes_set(x), BASE_E));
}

const struct sw_number_functions LANES_NUMBERS = {number_exp, number_log};
#endif

/* In the order of enum sw_operator. */
const sw_kernel_table LANES_TABLE = {
#define VECTOR_ROW(name, arity, cost) run_##name,
#if LANES_F32
#define LIBRARY_ROW(name, arity, cost) sw_library_##name##_f32,
#else
#define LIBRARY_ROW(name, arity, cost) sw_library_##name##_f64,
#endif
    SW_VECTOR_OPERATORS(VECTOR_ROW) SW_LIBRARY_OPERATORS(LIBRARY_ROW)};

#endif
