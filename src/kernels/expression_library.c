/* expression_library.c - The operators that are the C library's functions, and what vector code leaves to scalar code.
 *
 * // and % follow NumPy, which follows Python: the remainder has the sign of the divisor, the quotient is rounded down.
 */
#include <math.h>

#include "kernels/expression_impl.h"

typedef double real_f64;
typedef float real_f32;

#define LIBRARY_1(name, suffix, function) \
    void sw_library_##name##_##suffix(const struct sw_kernel_call *call) { \
        real_##suffix *out = call->out; \
        for (size_t i = 0; i < call->count; i++) { \
            const real_##suffix *a = (const real_##suffix *)call->operands[0] + i / SW_GRANULE * call->steps[0]; \
            out[i] = (function)(a[i % SW_GRANULE]); \
        } \
    }

#define LIBRARY_2(name, suffix, function) \
    void sw_library_##name##_##suffix(const struct sw_kernel_call *call) { \
        real_##suffix *out = call->out; \
        for (size_t i = 0; i < call->count; i++) { \
            const real_##suffix *a = (const real_##suffix *)call->operands[0] + i / SW_GRANULE * call->steps[0]; \
            const real_##suffix *b = (const real_##suffix *)call->operands[1] + i / SW_GRANULE * call->steps[1]; \
            out[i] = (function)(a[i % SW_GRANULE], b[i % SW_GRANULE]); \
        } \
    }

LIBRARY_1(sin, f64, sin)
LIBRARY_1(sin, f32, sinf)
LIBRARY_1(cos, f64, cos)
LIBRARY_1(cos, f32, cosf)
LIBRARY_1(tan, f64, tan)
LIBRARY_1(tan, f32, tanf)
LIBRARY_2(power, f64, pow)
LIBRARY_2(power, f32, powf)

double sw_remainder_f64(double a, double b) {
    double rest = fmod(a, b);
    if (rest == 0) {
        return copysign(0.0, b);
    }
    return (b < 0) != (rest < 0) ? rest + b : rest; /* a NaN stays */
}

double sw_floor_divide_f64(double a, double b) {
    double rest = fmod(a, b);
    if (b == 0) {
        return a / b;
    }
    double ratio = (a - rest) / b;
    if (rest != 0 && (b < 0) != (rest < 0)) {
        ratio -= 1;
    }
    if (ratio == 0) {
        return copysign(0.0, a / b);
    }
    double quotient = floor(ratio);
    return ratio - quotient > 0.5 ? quotient + 1 : quotient;
}

float sw_remainder_f32(float a, float b) {
    float rest = fmodf(a, b);
    if (rest == 0) {
        return copysignf(0.0f, b);
    }
    return (b < 0) != (rest < 0) ? rest + b : rest;
}

float sw_floor_divide_f32(float a, float b) {
    float rest = fmodf(a, b);
    if (b == 0) {
        return a / b;
    }
    float ratio = (a - rest) / b;
    if (rest != 0 && (b < 0) != (rest < 0)) {
        ratio -= 1;
    }
    if (ratio == 0) {
        return copysignf(0.0f, a / b);
    }
    float quotient = floorf(ratio);
    return ratio - quotient > 0.5f ? quotient + 1 : quotient;
}
