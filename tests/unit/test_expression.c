/* test_expression.c - Expressions: Python's grammar, NumPy's values to the bit, any arrays, errors with their column. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "guard_page.h"
#include "kernels/expression_impl.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* xorshift64*: the same numbers in every run. */
static uint64_t random_next(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static struct sw_expression *compiled(const char *text) {
    struct sw_expression *expression = NULL;
    struct sw_error err;
    if (sw_expression_compile(guard_place(sw_str_from(text)), &expression, &err) != SW_OK) {
        fail_msg("%s", err.text);
    }
    return expression;
}

/* Of numbers, at the best level. */
static double value_of(const char *text, double *values) {
    struct sw_expression *expression = compiled(text);
    struct sw_array operands[SW_EXPRESSION_NAMES];
    double result;
    struct sw_array out = sw_array_vector(&result, SW_F64, 1);
    for (size_t i = 0; i < sw_expression_name_count(expression); i++) {
        operands[i] = (struct sw_array){.data = (char *)&values[sw_expression_name(expression, i).ptr[0] - 'a']};
    }
    assert_int_equal(sw_expression_run(expression, operands, &out, NULL), SW_OK);
    sw_expression_free(expression);
    return result;
}

static bool is_same(double a, double b) {
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

struct sample {
    const char *text;
    double result; /* Python's, where a is 3, b is -2, c is 0.5 */
};

static const struct sample samples[] = {
    {"1", 1},
    {" 1.5e2 ", 150},
    {".5 + 5. + 1e-1", 5.6},
    {"a", 3},
    {"a + b * c", 2},
    {"(a + b) * c", 0.5},
    {"a - b - c", 4.5},
    {"a - (b - c)", 5.5},
    {"a / b / c", -3},
    {"2 ** 3 ** 2", 512},
    {"-a ** 2", -9},
    {"a ** -b", 9},
    {"a ** -1", 1.0 / 3},
    {"a ** 3 + b ** 4", 43},
    {"a ** 0", 1},
    {"a ** 1", 3},
    {"4 ** c", 2},
    {"2 ** -a", 0.125},
    {"- - a", 3},
    {"-+-+a", 3},
    {"a // b", -2},
    {"a % b", -1},
    {"-a // b * c", 0.5},
    {"a % b // c", -2},
    {"a * b + c", -5.5},
    {"a * b - c", -6.5},
    {"c - a * b", 6.5},
    {"-(a * b + c)", 5.5},
    {"a > b", 1},
    {"a < b", 0},
    {"a >= 3", 1},
    {"a <= 2", 0},
    {"a == 3", 1},
    {"a != 3", 0},
    {"b < c < a", 1},
    {"b < a < c", 0},
    {"3 > 2 >= 2 == 2 != 1", 1},
    {"(a > 0) & (b > 0)", 0},
    {"(a > 0) | (b > 0)", 1},
    {"~(a > 0)", 0},
    {"~(a > 0) | ~(b > 0) & (c > 0)", 1},
    {"True", 1},
    {"~True | False", 0},
    {"(a > 0) + (c > 0)", 2},
    {"a + b > c", 1},
    {"where(b > 0, a, c)", 0.5},
    {"where(b, a, c,)", 3},
    {"where(a > b, a > c, c > a) & True", 1},
    {"abs(b) + sign(b)", 1},
    {"minimum(a, b) * maximum(a, c)", -6},
    {"floor(2.7) + ceil(2.2) + round(2.5) + round(-3.5)", 3},
    {"fma(a, b, c)", -5.5},
    {"pow(a, 2) + sqrt(16)", 13},
    {"log2(8) + log10(1000)", 6},
    {"exp(0) + log(1) + sin(0) + cos(0) + tan(0) + tanh(0) + log1p(0) + expm1(0)", 2},
    {"a\n+\tb\r", 1},
    {"a*a - b*b", 5},
    {"exp", 0},
};

static void test_grammar_is_python_s(void **unused) {
    double values[26] = {['a' - 'a'] = 3, ['b' - 'a'] = -2, ['c' - 'a'] = 0.5};
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        double result = value_of(samples[i].text, values);
        if (!is_same(result, samples[i].result)) {
            fail_msg("%s is %.17g, not %.17g", samples[i].text, result, samples[i].result);
        }
    }
}

struct fault {
    const char *text, *message;
};

static const struct fault faults[] = {
    {"a*+", "cannot compile expression 'a*+': a value is missing at column 4"},
    {"", "cannot compile expression '': a value is missing at column 1"},
    {"a b", "cannot compile expression 'a b': an operator is missing at column 3"},
    {"(a", "cannot compile expression '(a': a ')' is missing at column 3"},
    {"a)", "cannot compile expression 'a)': a ')' that closes nothing at column 2"},
    {"a, b", "cannot compile expression 'a, b': a ',' outside of a call at column 2"},
    {"a = b", "cannot compile expression 'a = b': '=' is no operator (== compares) at column 3"},
    {"a ^ b", "cannot compile expression 'a ^ b': '^' is no operator (** is the power) at column 3"},
    {"a $ b", "cannot compile expression 'a $ b': '$' has no meaning at column 3"},
    {"a\x80", "cannot compile expression 'a?': byte 0x80 has no meaning at column 2"},
    {"a and b",
     "cannot compile expression 'a and b': 'and' does not work on arrays (use &, | and ~ with parentheses, and where) at "
     "column 3"},
    {"not a",
     "cannot compile expression 'not a': 'not' does not work on arrays (use &, | and ~ with parentheses, and where) at "
     "column 1"},
    {"a & (b > 0)",
     "cannot compile expression 'a & (b > 0)': '&' needs truths on both sides, as in (a > 0) & (b > 0), at column 3"},
    {"(b > 0) | a",
     "cannot compile expression '(b > 0) | a': '|' needs truths on both sides, as in (a > 0) | (b > 0), at column 9"},
    {"~a", "cannot compile expression '~a': '~' needs a truth such as (a > 0) at column 1"},
    {"a + sqrt(a, b)", "cannot compile expression 'a + sqrt(a, b)': sqrt takes 1 argument, not 2, at column 5"},
    {"where(a)", "cannot compile expression 'where(a)': where takes 3 arguments, not 1, at column 1"},
    {"a + gamma(b)",
     "cannot compile expression 'a + gamma(b)': no function 'gamma' (there are abs exp log log2 log10 log1p expm1 sqrt sin cos "
     "tan tanh floor ceil round sign minimum maximum where fma pow) at column 5"},
    {"1..2", "cannot compile expression '1..2': an operator is missing at column 3"},
    {"2(a)", "cannot compile expression '2(a)': an operator is missing at column 2"},
};

static void test_errors_show_where(void **unused) {
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        struct sw_expression *expression = NULL;
        struct sw_error err;
        struct sw_str text = guard_place(sw_str_from(faults[i].text));
        assert_int_equal(sw_expression_compile(text, &expression, &err), SW_MALFORMED);
        assert_string_equal(err.text, faults[i].message);
        assert_null(expression);
    }
}

/* Compiles `open` times `count`, `middle`, `close` times `count`. */
static enum sw_status compile_nested(const char *open, const char *middle, const char *close, size_t count) {
    static char text[3 * SW_EXPRESSION_TEXT];
    size_t length = 0;
    for (size_t i = 0; i < 2 * count + 1; i++) {
        const char *part = i < count ? open : i == count ? middle : close;
        memcpy(text + length, part, strlen(part));
        length += strlen(part);
    }
    struct sw_expression *expression = NULL;
    struct sw_error err = {.text = ""};
    enum sw_status status = sw_expression_compile(guard_place(sw_str_make(text, length)), &expression, &err);
    assert_int_equal(status == SW_OK, expression != NULL);
    assert_int_equal(status == SW_OK, err.text[0] == '\0');
    sw_expression_free(expression);
    return status;
}

static void test_size_and_nesting_are_bounded(void **unused) {
    assert_int_equal(compile_nested("(", "a", ")", SW_EXPRESSION_NESTING), SW_OK);
    assert_int_equal(compile_nested("(", "a", ")", SW_EXPRESSION_NESTING + 1), SW_LIMIT);
    assert_int_equal(compile_nested("-", "a", "", SW_EXPRESSION_NESTING), SW_OK);
    assert_int_equal(compile_nested("-", "a", "", SW_EXPRESSION_NESTING + 1), SW_LIMIT);
    assert_int_equal(compile_nested("exp(", "a", ")", SW_EXPRESSION_NESTING), SW_OK);
    assert_int_equal(compile_nested("a**", "b", "", SW_EXPRESSION_NESTING), SW_OK);
    assert_int_equal(compile_nested("a**", "b", "", SW_EXPRESSION_NESTING + 1), SW_LIMIT);
    assert_int_equal(compile_nested("where(a>b,exp(a)+1,", "b", ")", SW_EXPRESSION_NESTING - 1), SW_OK);
    assert_int_equal(compile_nested("", "a", "+a", (SW_EXPRESSION_TEXT - 1) / 2), SW_OK);
    assert_int_equal(compile_nested("", "a", " ", SW_EXPRESSION_TEXT - 1), SW_OK);
    assert_int_equal(compile_nested("", "a", " ", SW_EXPRESSION_TEXT), SW_LIMIT);
    assert_int_equal(compile_nested("(", "", "", SW_EXPRESSION_TEXT), SW_LIMIT);
    assert_int_equal(compile_nested("2*a+3*(", "", "", SW_EXPRESSION_TEXT / 8), SW_LIMIT);
}

static void test_names_are_bounded_and_in_order(void **unused) {
    char text[200] = "";
    size_t length = 0;
    struct sw_error err;
    struct sw_expression *expression = NULL;
    for (int i = 0; i < SW_EXPRESSION_NAMES; i++) {
        length += (size_t)snprintf(text + length, sizeof text - length, "%sn%d", i ? "+" : "", i);
    }
    assert_int_equal(sw_expression_compile(sw_str_make(text, length), &expression, &err), SW_OK);
    memset(text, 'x', 3); /* the expression has its own copy */
    assert_int_equal(sw_expression_name_count(expression), SW_EXPRESSION_NAMES);
    assert_true(sw_str_eq(sw_expression_name(expression, 0), SW_STR("n0")));
    assert_true(sw_str_eq(sw_expression_name(expression, 31), SW_STR("n31")));
    sw_expression_free(expression);
    memcpy(text, "n0+", 3);
    memcpy(text + length, "+m", 2);
    assert_int_equal(sw_expression_compile(sw_str_make(text, length + 2), &expression, &err), SW_LIMIT);
    expression = compiled("b*a + _c1 - b");
    assert_int_equal(sw_expression_name_count(expression), 3);
    assert_true(sw_str_eq(sw_expression_name(expression, 2), SW_STR("_c1")));
    sw_expression_free(expression);
}

static void test_an_error_s_excerpt_is_near_its_column(void **unused) {
    char text[1000];
    struct sw_error err;
    struct sw_expression *expression;
    memset(text, ' ', sizeof text);
    text[0] = 'a';
    memcpy(text + 500, "+ here ??", 9);
    assert_int_equal(sw_expression_compile(sw_str_make(text, sizeof text), &expression, &err), SW_MALFORMED);
    assert_non_null(strstr(err.text, "+ here ??"));
    assert_non_null(strstr(err.text, "'?' has no meaning at column 508"));
}

static size_t instructions_of(const char *text) {
    struct sw_expression *expression = compiled(text);
    size_t count = expression->instruction_count;
    sw_expression_free(expression);
    return count;
}

static void test_work_is_shared_folded_and_fused(void **unused) {
    assert_int_equal(instructions_of("2 * 3 + 4"), 1); /* a copy of 10 */
    assert_int_equal(instructions_of("a * (2 ** 0.5 / 3)"), 1);
    assert_int_equal(instructions_of("a * b + c"), 1);
    assert_int_equal(instructions_of("(a + b) * (a + b)"), 2);
    assert_int_equal(instructions_of("exp(a * b) + exp(a * b)"), 3);
    assert_int_equal(instructions_of("((2 * a + 3) * a + 4) * a + 5"), 2);
    assert_int_equal(instructions_of("-(a * log(b) + (1 - a) * log(1 - b))"), 5);
    assert_int_equal(instructions_of("sqrt(a ** 2 + b ** 2 + c ** 2)"), 3);
    assert_int_equal(instructions_of("a * b + c + a * b"), 3); /* the product is needed twice: not fused */
    assert_int_equal(instructions_of("a ** 4"), 2);
}

/* A random expression of names a, b, c, fully in parentheses, and its value for each of `count` elements. */
#define ORACLE_COUNT 77
struct oracle {
    char text[2048];
    size_t length;
    uint64_t state;
    double inputs[3][ORACLE_COUNT];
};

static void put(struct oracle *oracle, const char *text) {
    size_t length = strlen(text);
    assert_true(oracle->length + length < sizeof oracle->text);
    memcpy(oracle->text + oracle->length, text, length + 1);
    oracle->length += length;
}

static void leaf(struct oracle *oracle, double *values) {
    static const double constants[] = {0, 1, 2, 0.5, 3, 10, 0.1, 1e-3};
    uint64_t choice = random_next(&oracle->state) % 8;
    char name[32];
    if (choice < 6) {
        snprintf(name, sizeof name, "%c", (int)('a' + choice % 3));
        memcpy(values, oracle->inputs[choice % 3], sizeof oracle->inputs[0]);
    } else {
        double constant = constants[random_next(&oracle->state) % COUNT_OF(constants)];
        snprintf(name, sizeof name, "%g", constant);
        for (size_t i = 0; i < ORACLE_COUNT; i++) {
            values[i] = constant;
        }
    }
    put(oracle, name);
}

static double apply_binary(unsigned op, double x, double y) {
    switch (op) {
    case 0:
        return x + y;
    case 1:
        return x - y;
    case 2:
        return x * y;
    case 3:
        return x / y;
    case 4:
        return x < y;
    case 5:
        return x != y;
    case 6:
        return sw_remainder_f64(x, y);
    default:
        return sw_floor_divide_f64(x, y);
    }
}

static void grow(struct oracle *oracle, unsigned depth, double *values) {
    static const char *const binaries[] = {" + ", " - ", " * ", " / ", " < ", " != ", " % ", " // "};
    uint64_t choice = random_next(&oracle->state) % 16;
    if (depth == 0 || choice == 0) {
        leaf(oracle, values);
        return;
    }
    double first[ORACLE_COUNT], second[ORACLE_COUNT], third[ORACLE_COUNT];
    if (choice < 3) {
        put(oracle, choice == 1 ? "(-" : "sqrt(");
        grow(oracle, depth - 1, first);
    } else if (choice < 14) {
        unsigned op = choice < 11 ? (unsigned)(choice - 3) % 3 : (unsigned)(random_next(&oracle->state) % 5) + 3;
        put(oracle, "(");
        grow(oracle, depth - 1, first);
        put(oracle, binaries[op]);
        grow(oracle, depth - 1, second);
        for (size_t i = 0; i < ORACLE_COUNT; i++) {
            values[i] = apply_binary(op, first[i], second[i]);
        }
    } else {
        put(oracle, "where(");
        grow(oracle, depth - 1, first);
        put(oracle, ", ");
        grow(oracle, depth - 1, second);
        put(oracle, ", ");
        grow(oracle, depth - 1, third);
        for (size_t i = 0; i < ORACLE_COUNT; i++) {
            values[i] = first[i] != 0 ? second[i] : third[i];
        }
    }
    for (size_t i = 0; choice < 3 && i < ORACLE_COUNT; i++) {
        values[i] = choice == 1 ? -first[i] : sqrt(first[i]);
    }
    put(oracle, ")");
}

static void check_oracle(struct oracle *oracle, const double *values, enum sw_cpu_level level) {
    struct sw_expression *expression = compiled(oracle->text);
    struct sw_array operands[3];
    double result[ORACLE_COUNT];
    struct sw_array out = sw_array_vector(result, SW_F64, ORACLE_COUNT);
    for (size_t i = 0; i < sw_expression_name_count(expression); i++) {
        operands[i] =
            sw_array_vector(oracle->inputs[sw_expression_name(expression, i).ptr[0] - 'a'], SW_F64, ORACLE_COUNT);
    }
    assert_int_equal(sw_expression_run_at(expression, operands, &out, NULL, level), SW_OK);
    for (size_t i = 0; i < ORACLE_COUNT; i++) {
        if (!is_same(result[i], values[i])) {
            fail_msg("%s: element %zu is %a, not %a", oracle->text, i, result[i], values[i]);
        }
    }
    sw_expression_free(expression);
}

static void test_random_expressions_give_the_bits_of_c(void **unused) {
    struct oracle oracle = {.state = 77};
    for (unsigned round = 0; round < 1500; round++) {
        double values[ORACLE_COUNT];
        for (size_t i = 0; i < ORACLE_COUNT; i++) {
            for (unsigned name = 0; name < 3; name++) {
                oracle.inputs[name][i] =
                    (double)((int64_t)random_next(&oracle.state) >> (random_next(&oracle.state) % 64)) *
                    (round % 2 ? 0x1p-40 : 1);
            }
        }
        oracle.length = 0;
        grow(&oracle, 4, values);
        for (int level = SW_CPU_SCALAR; level <= (int)sw_cpu_level(); level++) {
            check_oracle(&oracle, values, (enum sw_cpu_level)level);
        }
    }
}

/* Runs a loop's pieces from the last to the first, each on another lane. */
static void run_backwards(struct sw_parallel *self, const struct sw_parallel_loop *loop) {
    size_t pieces = (loop->count + loop->grain - 1) / loop->grain;
    while (pieces-- > 0) {
        size_t first = pieces * loop->grain,
               last = first + loop->grain < loop->count ? first + loop->grain : loop->count;
        loop->body(loop->context, first, last, (unsigned)(pieces % self->lanes));
    }
}

#define TEXT_OF_ALL "where(a > b, a*b - 0.25, sqrt(a) + b) * 2"

static double exact_of_all(double a, double b) {
    return (a > b ? a * b - 0.25 : sqrt(a) + b) * 2;
}

static void check_lengths(struct sw_parallel *parallel, size_t count, size_t shift) {
    struct sw_expression *expression = compiled(TEXT_OF_ALL);
    double *memory = sw_alloc_aligned(64, (3 * count + 32) * sizeof(double));
    assert_non_null(memory);
    double *a = memory, *b = memory + count, *result = memory + 2 * count + shift;
    for (size_t i = 0; i < count; i++) {
        a[i] = (double)(i * 7 % 1001) / 8;
        b[i] = (double)(i * 13 % 997) / 8;
    }
    result[-1] = result[count] = 4711;
    struct sw_array operands[] = {sw_array_vector(a, SW_F64, count), sw_array_vector(b, SW_F64, count)};
    struct sw_array out = sw_array_vector(result, SW_F64, count);
    assert_int_equal(sw_expression_run(expression, operands, &out, parallel), SW_OK);
    for (size_t i = 0; i < count; i++) {
        assert_true(result[i] == exact_of_all(a[i], b[i]));
    }
    assert_true(result[-1] == 4711 && result[count] == 4711);
    sw_free(memory);
    sw_expression_free(expression);
}

static void test_any_length_on_any_threads(void **unused) {
    struct sw_parallel parallel = {.lanes = 3, .run = run_backwards};
    static const size_t lengths[] = {1000, 1023, 1024, 1025, 2047, 2048, 2049, 4100, 5000, 40000, 123457};
    for (size_t count = 1; count < 100; count++) {
        check_lengths(NULL, count, 1 + count % 8);
    }
    for (size_t i = 0; i < COUNT_OF(lengths) * 8; i++) {
        check_lengths(&parallel, lengths[i / 8], 1 + i % 8);
    }
    check_lengths(&parallel, 4200000, 3); /* 33.6 MB: past the caches */
}

#define ROWS 37
#define COLUMNS 61

static void test_strides_broadcast_and_widths(void **unused) {
    static double matrix[COLUMNS][2 * ROWS], result[ROWS][COLUMNS];
    static float row[COLUMNS], narrow[ROWS][COLUMNS];
    double number = 0.5;
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < COLUMNS; j++) {
            matrix[j][2 * i] = (double)(i * 100 + j) / 3;
            row[j] = (float)j / 7;
        }
    }
    struct sw_expression *expression = compiled("transposed * row + number");
    struct sw_array operands[] = {
        {.data = (char *)matrix,
         .dims = 2,
         .shape = {ROWS, COLUMNS},
         .strides = {2 * sizeof(double), sizeof matrix[0]}},
        {.data = (char *)&row[COLUMNS - 1], .dtype = SW_F32, .dims = 2, .shape = {ROWS, COLUMNS}, .strides = {0, -4}},
        {.data = (char *)&number},
    };
    struct sw_array out = {.data = (char *)result,
                           .dims = 2,
                           .shape = {ROWS, COLUMNS},
                           .strides = {sizeof result[0], sizeof result[0][0]}};
    assert_int_equal(sw_expression_run(expression, operands, &out, NULL), SW_OK);
    struct sw_array out32 = {.data = (char *)narrow,
                             .dtype = SW_F32,
                             .dims = 2,
                             .shape = {ROWS, COLUMNS},
                             .strides = {sizeof narrow[0], sizeof narrow[0][0]}};
    assert_int_equal(sw_expression_run(expression, operands, &out32, NULL), SW_OK);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < COLUMNS; j++) {
            double exact = matrix[j][2 * i] * (double)row[COLUMNS - 1 - j] + number;
            assert_true(result[i][j] == exact);
            assert_true(narrow[i][j] == (float)exact); /* computed in float64: an operand is */
        }
    }
    sw_expression_free(expression);
}

static void test_float32_where_all_operands_are(void **unused) {
    enum { COUNT = 3000 };
    static float a[COUNT], b[COUNT], result[COUNT];
    static double wide[COUNT];
    float tenth = 0.1F, third = (float)(1.0 / 3.0);
    for (size_t i = 0; i < COUNT; i++) {
        a[i] = (float)i / 3;
        b[i] = (float)i / 7 - 100;
    }
    struct sw_expression *expression = compiled("a * b + k * (1/3)");
    struct sw_array operands[] = {sw_array_vector(a, SW_F32, COUNT),
                                  sw_array_vector(b, SW_F32, COUNT),
                                  {.data = (char *)&tenth, .dtype = SW_F32}};
    struct sw_array out = sw_array_vector(result, SW_F32, COUNT), out64 = sw_array_vector(wide, SW_F64, COUNT);
    for (int level = SW_CPU_SCALAR; level <= (int)sw_cpu_level(); level++) {
        assert_int_equal(sw_expression_run_at(expression, operands, &out, NULL, (enum sw_cpu_level)level), SW_OK);
        assert_int_equal(sw_expression_run_at(expression, operands, &out64, NULL, (enum sw_cpu_level)level), SW_OK);
        for (size_t i = 0; i < COUNT; i++) {
            float product = a[i] * b[i], term = tenth * third;
            assert_true(result[i] == product + term);
            assert_true(wide[i] == (double)a[i] * (double)b[i] + (double)tenth * (1.0 / 3.0));
        }
    }
    sw_expression_free(expression);
}

/* Of two, of one that is broadcast, of one without dimensions: the arithmetic is that of the widest operand. */
static void test_one_float64_makes_float64(void **unused) {
    float x[40], result[40];
    double y[40];
    for (size_t i = 0; i < 40; i++) {
        x[i] = 1;
        y[i] = 1e300;
    }
    struct sw_expression *expression = compiled("x * y / y");
    for (size_t count = 1; count <= 40; count++) {
        struct sw_array rows[] = {sw_array_vector(y, SW_F64, count),
                                  sw_array_vector(y, SW_F64, count),
                                  {.data = (char *)y}};
        struct sw_array out = sw_array_vector(result, SW_F32, count);
        rows[1].strides[0] = 0;
        for (int level = SW_CPU_SCALAR; level <= (int)sw_cpu_level(); level++) {
            for (size_t i = 0; i < COUNT_OF(rows); i++) {
                struct sw_array operands[] = {sw_array_vector(x, SW_F32, count), rows[i]};
                memset(result, 0, sizeof result);
                assert_int_equal(sw_expression_run_at(expression, operands, &out, NULL, (enum sw_cpu_level)level),
                                 SW_OK);
                for (size_t k = 0; k < count; k++) {
                    assert_true(result[k] == 1);
                }
            }
        }
    }
    sw_expression_free(expression);
}

static void test_out_may_be_an_operand(void **unused) {
    enum { COUNT = 10007 };
    static double a[COUNT], b[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        a[i] = b[i] = (double)i;
    }
    struct sw_expression *expression = compiled("a * a - 2 * a + 1");
    struct sw_array operand = sw_array_vector(a, SW_F64, COUNT), out = operand;
    assert_int_equal(sw_expression_run(expression, &operand, &out, NULL), SW_OK);
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(a[i] == b[i] * b[i] - 2 * b[i] + 1);
    }
    sw_elementwise_exp(&operand, &out, NULL);
    assert_true(a[1] == 1 && a[0] > 2.718 && a[0] < 2.719);
    sw_elementwise_log(&operand, &out, NULL);
    assert_true(a[1] == 0 && a[0] == 1);
    sw_expression_free(expression);
}

static void test_shapes_must_agree(void **unused) {
    double a[6] = {1, 2, 3, 4, 5, 6}, result[6] = {7, 7, 7, 7, 7, 7};
    struct sw_expression *expression = compiled("a + 1");
    struct sw_array operand = sw_array_vector(a, SW_F64, 6), out = sw_array_vector(result, SW_F64, 5);
    assert_int_equal(sw_expression_run(expression, &operand, &out, NULL), SW_INVALID);
    out = sw_array_vector(result, SW_F64, 6);
    out.strides[0] = -8;
    assert_int_equal(sw_expression_run(expression, &operand, &out, NULL), SW_INVALID);
    assert_true(result[0] == 7);
    out = sw_array_vector(result, SW_F64, 0);
    operand = sw_array_vector(a, SW_F64, 0);
    assert_int_equal(sw_expression_run(expression, &operand, &out, NULL), SW_OK);
    assert_true(result[0] == 7);
    sw_expression_free(expression);
}

/* More intermediate values than fit the cache at the usual block size. */
static void test_many_registers(void **unused) {
    char text[SW_EXPRESSION_TEXT];
    size_t length = 0;
    double values[26] = {['a' - 'a'] = 1.5}, exact = 1.5;
    for (int i = 1; i <= 60; i++) {
        length += (size_t)snprintf(text + length, sizeof text - length, "where(a > %d, a + %d.5, ", i, i);
    }
    length += (size_t)snprintf(text + length, sizeof text - length, "a");
    memset(text + length, ')', 60);
    text[length + 60] = '\0';
    assert_true(value_of(text, values) == 1.5 + 1.5);
    struct sw_expression *expression = compiled(text);
    assert_true(expression->register_count > 60);
    enum { COUNT = 1000 };
    static double a[COUNT], result[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        a[i] = (double)i / 8;
    }
    struct sw_array operand = sw_array_vector(a, SW_F64, COUNT), out = sw_array_vector(result, SW_F64, COUNT);
    assert_int_equal(sw_expression_run(expression, &operand, &out, NULL), SW_OK);
    for (size_t i = 0; i < COUNT; i++) {
        exact = a[i] > 1 ? a[i] + 1.5 : a[i];
        assert_true(result[i] == exact);
    }
    sw_expression_free(expression);
}

static void test_any_allocation_may_fail(void **unused) {
    struct sw_expression *expression = NULL;
    struct sw_error err;
    for (size_t nth = 1; nth < 100; nth++) {
        sw_mem_fail_at(nth);
        enum sw_status status = sw_expression_compile(SW_STR("a*b + exp(c) - 2"), &expression, &err);
        sw_mem_fail_at(0);
        if (status == SW_OK) {
            assert_true(nth > 4);
            sw_expression_free(expression);
            return;
        }
        assert_int_equal(status, SW_NOMEM);
        assert_non_null(strstr(err.text, "out of memory"));
        assert_null(expression);
    }
    fail();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grammar_is_python_s),
        cmocka_unit_test(test_errors_show_where),
        cmocka_unit_test(test_size_and_nesting_are_bounded),
        cmocka_unit_test(test_names_are_bounded_and_in_order),
        cmocka_unit_test(test_an_error_s_excerpt_is_near_its_column),
        cmocka_unit_test(test_work_is_shared_folded_and_fused),
        cmocka_unit_test(test_random_expressions_give_the_bits_of_c),
        cmocka_unit_test(test_any_length_on_any_threads),
        cmocka_unit_test(test_strides_broadcast_and_widths),
        cmocka_unit_test(test_float32_where_all_operands_are),
        cmocka_unit_test(test_one_float64_makes_float64),
        cmocka_unit_test(test_out_may_be_an_operand),
        cmocka_unit_test(test_shapes_must_agree),
        cmocka_unit_test(test_many_registers),
        cmocka_unit_test(test_any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
