/* fuzz_expression.c - Whatever the text, it compiles within its bounds or says where it is wrong; what compiles runs, and
 * every level of vector instructions gives the same bits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/expression_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COUNT 37

static void check(int is_right) {
    if (!is_right) {
        abort();
    }
}

static void run(const struct sw_expression *expression, double *result, enum sw_cpu_level level) {
    static double values[SW_EXPRESSION_NAMES][COUNT];
    struct sw_array operands[SW_EXPRESSION_NAMES], out = sw_array_vector(result, SW_F64, COUNT);
    for (size_t i = 0; i < sw_expression_name_count(expression); i++) {
        struct sw_str name = sw_expression_name(expression, i);
        check(name.len > 0);
        for (size_t j = 0; j < COUNT; j++) {
            values[i][j] = ((double)j - 17) * (name.ptr[0] % 8 - 3) / 4;
        }
        operands[i] = sw_array_vector(values[i], SW_F64, COUNT);
    }
    check(sw_expression_run_at(expression, operands, &out, NULL, level) == SW_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sw_expression *expression = NULL;
    struct sw_error err = {.text = ""};
    enum sw_status status = sw_expression_compile(sw_str_make((const char *)data, size), &expression, &err);
    if (status != SW_OK) {
        check(!expression && strncmp(err.text, "cannot compile ", 15) == 0);
        check(status == SW_MALFORMED || status == SW_LIMIT);
        return 0;
    }
    double expected[COUNT], result[COUNT];
    check(err.text[0] == '\0' && expression->instruction_count > 0);
    run(expression, expected, SW_CPU_SCALAR);
    for (int level = SW_CPU_AVX2; level <= (int)sw_cpu_level(); level++) {
        run(expression, result, (enum sw_cpu_level)level);
        for (size_t i = 0; i < COUNT; i++) {
            check((isnan(result[i]) && isnan(expected[i])) || memcmp(&result[i], &expected[i], sizeof(double)) == 0);
        }
    }
    sw_expression_free(expression);
    return 0;
}
