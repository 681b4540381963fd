/* elementwise.c - Nanoseconds an element of expressions, exp and log on one thread, beside the triad that memory allows.
 *
 * The peers, NumPy and numexpr, are compared in bench/fastmath.py.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kernels/elementwise.h"

enum { ROUNDS = 9, ARRAYS = 4, SMALL_RUNS = 40 };

struct row {
    const char *name, *text;
    unsigned arrays; /* read */
};

static const struct row rows[] = {
    {"copy", "a", 1},
    {"a*b + c", "a*b + c", 3},
    {"cubic polynomial", "((2*a + 3)*a + 4)*a + 5", 1},
    {"cross-entropy", "-(a*log(b) + (1 - a)*log(1 - b))", 2},
    {"sqrt(x**2 + y**2 + z**2)", "sqrt(a**2 + b**2 + c**2)", 3},
    {"exp", "exp(a)", 1},
    {"log", "log(a)", 1},
};

/* What any of these could reach: plain loops as the compiler makes them. */
static void triad(double *restrict out, const double *restrict a, const double *restrict b, size_t count) {
    for (size_t i = 0; i < count; i++) {
        out[i] = a[i] + 3.0 * b[i];
    }
}

/* Best round, in nanoseconds an element; negative if it failed. */
static double measure(const struct row *row, double *const arrays[ARRAYS], size_t count, enum sw_dtype dtype) {
    struct sw_expression *expression = NULL;
    struct sw_error err;
    size_t runs = count < 1000000 ? SMALL_RUNS : 1;
    int64_t best_ns = INT64_MAX;
    if (row && sw_expression_compile(sw_str_from(row->text), &expression, &err) != SW_OK) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    struct sw_array operands[ARRAYS], out = sw_array_vector(arrays[ARRAYS - 1], dtype, count);
    for (unsigned i = 0; i < ARRAYS; i++) {
        operands[i] = sw_array_vector(arrays[i], dtype, count);
    }
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin_ns = sw_clock_mono_ns();
        for (size_t i = 0; i < runs; i++) {
            if (!row) {
                triad(arrays[ARRAYS - 1], arrays[0], arrays[1], count);
            } else if (sw_expression_run(expression, operands, &out, NULL) != SW_OK) {
                return -1;
            }
        }
        int64_t spent_ns = sw_clock_mono_ns() - begin_ns;
        best_ns = spent_ns < best_ns ? spent_ns : best_ns;
    }
    sw_expression_free(expression);
    return (double)best_ns / (double)runs / (double)count;
}

static void fill(double *const arrays[ARRAYS], size_t count, enum sw_dtype dtype) {
    for (unsigned a = 0; a < ARRAYS; a++) {
        for (size_t i = 0; i < count; i++) {
            double value = 0.05 + 0.9 * (double)((i * 2654435761u + a * 977) % 1000003) / 1000003;
            if (dtype == SW_F64) {
                arrays[a][i] = value;
            } else {
                ((float *)arrays[a])[i] = (float)value;
            }
        }
    }
}

static void report(double *const arrays[ARRAYS], size_t count, enum sw_dtype dtype) {
    size_t size = sw_dtype_size(dtype);
    fill(arrays, count, dtype);
    printf("%zu elements of float%zu\n", count, size * 8);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        double ns = measure(&rows[i], arrays, count, dtype);
        printf("  %-26s %7.3f ns  %6.1f GB/s\n", rows[i].name, ns, (double)((rows[i].arrays + 1) * size) / ns);
    }
    if (dtype == SW_F64) {
        double ns = measure(NULL, arrays, count, dtype);
        printf("  %-26s %7.3f ns  %6.1f GB/s\n", "plain loop a + 3*b", ns, 24 / ns);
    }
}

int main(void) {
    static const size_t counts[] = {100000, 20000000};
    double *arrays[ARRAYS] = {NULL};
    int code = 0;
    for (unsigned i = 0; i < ARRAYS; i++) {
        arrays[i] = sw_alloc_aligned(64, counts[1] * sizeof(double));
        code = arrays[i] ? code : 1;
    }
    for (size_t i = 0; code == 0 && i < 2; i++) {
        report(arrays, counts[i], SW_F64);
        report(arrays, counts[i], SW_F32);
    }
    for (unsigned i = 0; i < ARRAYS; i++) {
        sw_free(arrays[i]);
    }
    return code;
}
