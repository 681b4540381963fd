/* expression_parse.c - The text of an expression to nodes: Python's tokens, operators and precedence.
 *
 * Recursive descent; what nests is counted, so hostile text cannot exhaust the stack. The first error is the one told,
 * with its column.
 */
#include <stdio.h>

#include "base/mem.h"
#include "base/num.h"
#include "kernels/expression_impl.h"

#define EXCERPT 80 /* bytes of a long text that an error shows */

enum token_kind { TOKEN_END, TOKEN_NUMBER, TOKEN_NAME, TOKEN_SYMBOL, TOKEN_BAD };

struct parser {
    struct sw_str text;
    struct sw_nodes *nodes;
    struct sw_error *err;
    enum sw_status status;
    unsigned depth;
    /* the current token */
    enum token_kind kind;
    struct sw_str token;
    double value;
};

static const struct {
    const char *name;
    enum sw_operator op;
} functions[] = {
    {"abs", SW_OPERATOR_absolute}, {"exp", SW_OPERATOR_exp},          {"log", SW_OPERATOR_log},
    {"log2", SW_OPERATOR_log2},    {"log10", SW_OPERATOR_log10},      {"log1p", SW_OPERATOR_log1p},
    {"expm1", SW_OPERATOR_expm1},  {"sqrt", SW_OPERATOR_square_root}, {"sin", SW_OPERATOR_sin},
    {"cos", SW_OPERATOR_cos},      {"tan", SW_OPERATOR_tan},          {"tanh", SW_OPERATOR_tanh},
    {"floor", SW_OPERATOR_floor},  {"ceil", SW_OPERATOR_ceil},        {"round", SW_OPERATOR_round},
    {"sign", SW_OPERATOR_sign},    {"minimum", SW_OPERATOR_minimum},  {"maximum", SW_OPERATOR_maximum},
    {"where", SW_OPERATOR_where},  {"fma", SW_OPERATOR_fma},          {"pow", SW_OPERATOR_power},
};
#define FUNCTION_LIST \
    "abs exp log log2 log10 log1p expm1 sqrt sin cos tan tanh floor ceil round sign minimum maximum where fma pow"

/* Binary operators but powers and comparisons, loosest first. */
static const struct {
    const char *symbol;
    uint8_t level;
    enum sw_operator op;
} binaries[] = {
    {"|", 0, SW_OPERATOR_or},
    {"&", 1, SW_OPERATOR_and},
    {"+", 2, SW_OPERATOR_add},
    {"-", 2, SW_OPERATOR_subtract},
    {"*", 3, SW_OPERATOR_multiply},
    {"/", 3, SW_OPERATOR_divide},
    {"//", 3, SW_OPERATOR_floor_divide},
    {"%", 3, SW_OPERATOR_remainder},
};
#define LEVELS 4
#define LEVEL_SUM 2 /* from here on operands need not be truths */

static const struct {
    const char *symbol;
    enum sw_operator op;
    bool is_swapped;
} comparisons[] = {
    {"<", SW_OPERATOR_less, false},       {"<=", SW_OPERATOR_less_equal, false}, {">", SW_OPERATOR_less, true},
    {">=", SW_OPERATOR_less_equal, true}, {"==", SW_OPERATOR_equal, false},      {"!=", SW_OPERATOR_not_equal, false},
};

static const char *const symbols[] = {"**", "//", "<=", ">=", "==", "!=", "<", ">", "+", "-",
                                      "*",  "/",  "%",  "&",  "|",  "~",  "(", ")", ","};
static const char *const keywords[] = {"and", "or", "not", "if", "else", "in", "is", "lambda", "for", "None"};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static size_t column_of(const struct parser *parser) {
    return (size_t)(parser->token.ptr - parser->text.ptr) + 1;
}

/* The text around `column` as one printable line. */
static void excerpt(struct sw_str text, size_t column, char shown[EXCERPT + 8]) {
    size_t first = text.len > EXCERPT && column > EXCERPT / 2 ? column - EXCERPT / 2 : 0;
    first = text.len > EXCERPT && first > text.len - EXCERPT ? text.len - EXCERPT : first;
    size_t last = text.len - first > EXCERPT ? first + EXCERPT : text.len;
    char *to = shown;
    for (size_t i = 0; first > 0 && i < 3; i++) {
        *to++ = '.';
    }
    for (size_t i = first; i < last; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        *to++ = byte == '\n' || byte == '\t' || byte == '\r' ? ' ' : byte < 0x20 || byte > 0x7e ? '?' : (char)byte;
    }
    for (size_t i = 0; last < text.len && i < 3; i++) {
        *to++ = '.';
    }
    *to = '\0';
}

static uint16_t fail_at(struct parser *parser, enum sw_status status, size_t column, const char *what) {
    if (parser->status == SW_OK) {
        char shown[EXCERPT + 8];
        excerpt(parser->text, column, shown);
        parser->status =
            sw_fail(parser->err, status, "cannot compile expression '%s': %s at column %zu", shown, what, column);
    }
    return SW_EXPRESSION_NO_NODE;
}

static uint16_t fail(struct parser *parser, const char *what) {
    return fail_at(parser, SW_MALFORMED, column_of(parser), what);
}

static bool is_letter(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
}

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static size_t symbol_length(struct sw_str rest) {
    for (size_t i = 0; i < COUNT_OF(symbols); i++) {
        if (sw_str_starts(rest, sw_str_from(symbols[i]))) {
            return strlen(symbols[i]);
        }
    }
    return 0;
}

/* Moves to the next token. */
static void next(struct parser *parser) {
    struct sw_str rest = sw_str_skip(parser->text, (size_t)(parser->token.ptr - parser->text.ptr) + parser->token.len);
    while (rest.len > 0 && (*rest.ptr == ' ' || *rest.ptr == '\t' || *rest.ptr == '\n' || *rest.ptr == '\r')) {
        rest = sw_str_skip(rest, 1);
    }
    size_t length = 0;
    if (rest.len == 0) {
        parser->kind = TOKEN_END;
    } else if (is_letter(*rest.ptr)) {
        parser->kind = TOKEN_NAME;
        while (length < rest.len && (is_letter(rest.ptr[length]) || is_digit(rest.ptr[length]))) {
            length++;
        }
    } else if (is_digit(*rest.ptr) || (*rest.ptr == '.' && rest.len > 1 && is_digit(rest.ptr[1]))) {
        const char *after = sw_num_parse_f64(rest.ptr, rest.ptr + rest.len, &parser->value);
        parser->kind = after ? TOKEN_NUMBER : TOKEN_BAD;
        length = after ? (size_t)(after - rest.ptr) : 1;
    } else {
        length = symbol_length(rest);
        parser->kind = length > 0 ? TOKEN_SYMBOL : TOKEN_BAD;
    }
    parser->token = sw_str_make(rest.ptr, length > 0 || rest.len == 0 ? length : 1);
}

static bool is_symbol(const struct parser *parser, const char *symbol) {
    return parser->kind == TOKEN_SYMBOL && sw_str_eq(parser->token, sw_str_from(symbol));
}

static bool takes(struct parser *parser, const char *symbol) {
    if (!is_symbol(parser, symbol)) {
        return false;
    }
    next(parser);
    return true;
}

static const char *keyword_of(const struct parser *parser) {
    for (size_t i = 0; i < COUNT_OF(keywords); i++) {
        if (parser->kind == TOKEN_NAME && sw_str_eq(parser->token, sw_str_from(keywords[i]))) {
            return keywords[i];
        }
    }
    return NULL;
}

static uint16_t fail_keyword(struct parser *parser) {
    char what[128];
    snprintf(what, sizeof what, "'%s' does not work on arrays (use &, | and ~ with parentheses, and where)",
             keyword_of(parser));
    return fail(parser, what);
}

/* What is wrong with a token that cannot stand here; `missing` where it is a proper one. */
static uint16_t fail_token(struct parser *parser, const char *missing) {
    char what[64];
    if (parser->kind != TOKEN_BAD) {
        return keyword_of(parser) ? fail_keyword(parser) : fail(parser, missing);
    }
    unsigned char byte = (unsigned char)*parser->token.ptr;
    if (byte == '=') {
        return fail(parser, "'=' is no operator (== compares)");
    }
    if (byte == '^') {
        return fail(parser, "'^' is no operator (** is the power)");
    }
    snprintf(what, sizeof what, byte > 0x20 && byte < 0x7f ? "'%c' has no meaning" : "byte 0x%02x has no meaning",
             byte);
    return fail(parser, what);
}

static bool enters(struct parser *parser) {
    if (++parser->depth <= SW_EXPRESSION_NESTING) {
        return true;
    }
    char what[64];
    snprintf(what, sizeof what, "more than %u levels of nesting", SW_EXPRESSION_NESTING);
    fail_at(parser, SW_LIMIT, column_of(parser), what);
    return false;
}

static uint16_t operand_name(struct parser *parser) {
    struct sw_nodes *nodes = parser->nodes;
    if (sw_str_eq(parser->token, SW_STR("True")) || sw_str_eq(parser->token, SW_STR("False"))) {
        return sw_nodes_constant(nodes, parser->token.ptr[0] == 'T', true);
    }
    if (keyword_of(parser)) {
        return fail_keyword(parser);
    }
    size_t index = 0;
    while (index < nodes->name_count && !sw_str_eq(nodes->names[index], parser->token)) {
        index++;
    }
    if (index == SW_EXPRESSION_NAMES) {
        char what[64];
        snprintf(what, sizeof what, "more than %d names", SW_EXPRESSION_NAMES);
        return fail_at(parser, SW_LIMIT, column_of(parser), what);
    }
    if (index == nodes->name_count) {
        nodes->names[nodes->name_count++] = parser->token;
    }
    return sw_nodes_name(nodes, index);
}

/* The grammar is recursive: what stands in parentheses is a whole expression. */
static uint16_t comparison(struct parser *parser);

static uint16_t comparison_inside(struct parser *parser) {
    uint16_t value = enters(parser) ? comparison(parser) : SW_EXPRESSION_NO_NODE;
    parser->depth--;
    return value;
}

static uint16_t call_of(struct parser *parser, enum sw_operator op, struct sw_str name) {
    uint16_t operands[3] = {0};
    unsigned count = 0, arity = sw_operator_arity(op);
    next(parser); /* the parenthesis */
    while (!is_symbol(parser, ")")) {
        uint16_t operand = comparison_inside(parser);
        if (operand == SW_EXPRESSION_NO_NODE) {
            return operand;
        }
        if (count < arity) {
            operands[count] = operand;
        }
        count++;
        if (!takes(parser, ",") && !is_symbol(parser, ")")) {
            return fail_token(parser, "a ')' or ',' is missing");
        }
    }
    if (count != arity) {
        char what[80];
        snprintf(what, sizeof what, "%" SW_STR_FMT " takes %u argument%s, not %u,", SW_STR_ARG(name), arity,
                 arity == 1 ? "" : "s", count);
        return fail_at(parser, SW_MALFORMED, (size_t)(name.ptr - parser->text.ptr) + 1, what);
    }
    next(parser);
    return sw_nodes_operation(parser->nodes, op, operands);
}

static uint16_t name_or_call(struct parser *parser) {
    struct sw_str name = parser->token;
    struct parser ahead = *parser;
    next(&ahead);
    if (!is_symbol(&ahead, "(")) {
        uint16_t node = operand_name(parser);
        next(parser);
        return node;
    }
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        if (sw_str_eq(name, sw_str_from(functions[i].name))) {
            next(parser);
            return call_of(parser, functions[i].op, name);
        }
    }
    char what[200];
    int shown = name.len > 40 ? 40 : (int)name.len;
    snprintf(what, sizeof what, "no function '%.*s' (there are " FUNCTION_LIST ")", shown, name.ptr);
    return fail(parser, what);
}

static uint16_t primary(struct parser *parser) {
    if (parser->kind == TOKEN_NUMBER) {
        uint16_t node = sw_nodes_constant(parser->nodes, parser->value, false);
        next(parser);
        return node;
    }
    if (parser->kind == TOKEN_NAME) {
        return name_or_call(parser);
    }
    if (!takes(parser, "(")) {
        return fail_token(parser, "a value is missing");
    }
    uint16_t node = comparison_inside(parser);
    if (node != SW_EXPRESSION_NO_NODE && !takes(parser, ")")) {
        return fail_token(parser, "a ')' is missing");
    }
    return node;
}

static uint16_t unary(struct parser *parser);

static uint16_t unary_inside(struct parser *parser) {
    uint16_t value = enters(parser) ? unary(parser) : SW_EXPRESSION_NO_NODE;
    parser->depth--;
    return value;
}

/* Binds tighter than a sign on its left, looser than one on its right: -a**-b. */
static uint16_t power(struct parser *parser) {
    uint16_t base = primary(parser);
    if (base == SW_EXPRESSION_NO_NODE || !takes(parser, "**")) {
        return base;
    }
    uint16_t exponent = unary_inside(parser);
    if (exponent == SW_EXPRESSION_NO_NODE) {
        return exponent;
    }
    return sw_nodes_operation(parser->nodes, SW_OPERATOR_power, (uint16_t[3]){base, exponent});
}

static uint16_t unary(struct parser *parser) {
    size_t column = column_of(parser);
    if (takes(parser, "+")) {
        return unary_inside(parser);
    }
    bool is_not = is_symbol(parser, "~");
    if (!is_not && !is_symbol(parser, "-")) {
        return power(parser);
    }
    next(parser);
    uint16_t value = unary_inside(parser);
    if (value == SW_EXPRESSION_NO_NODE) {
        return value;
    }
    if (is_not && !parser->nodes->items[value].is_truth) {
        return fail_at(parser, SW_MALFORMED, column, "'~' needs a truth such as (a > 0)");
    }
    return sw_nodes_operation(parser->nodes, is_not ? SW_OPERATOR_not : SW_OPERATOR_negate, (uint16_t[3]){value});
}

/* The operator of `level` that is the current token, or SW_OPERATORS. */
static enum sw_operator binary_operator(const struct parser *parser, unsigned level) {
    for (size_t i = 0; i < COUNT_OF(binaries); i++) {
        if (binaries[i].level == level && is_symbol(parser, binaries[i].symbol)) {
            return binaries[i].op;
        }
    }
    return SW_OPERATORS;
}

static uint16_t binary(struct parser *parser, unsigned level) {
    uint16_t left = level < LEVELS ? binary(parser, level + 1) : unary(parser);
    if (level == LEVELS) {
        return left;
    }
    while (left != SW_EXPRESSION_NO_NODE) {
        enum sw_operator op = binary_operator(parser, level);
        if (op == SW_OPERATORS) {
            break;
        }
        size_t column = column_of(parser);
        next(parser);
        uint16_t right = binary(parser, level + 1);
        if (right == SW_EXPRESSION_NO_NODE) {
            return right;
        }
        const struct sw_node *items = parser->nodes->items;
        if (level < LEVEL_SUM && !(items[left].is_truth && items[right].is_truth)) {
            return fail_at(parser, SW_MALFORMED, column,
                           op == SW_OPERATOR_and ? "'&' needs truths on both sides, as in (a > 0) & (b > 0),"
                                                 : "'|' needs truths on both sides, as in (a > 0) | (b > 0),");
        }
        left = sw_nodes_operation(parser->nodes, op, (uint16_t[3]){left, right});
    }
    return left;
}

/* a < b < c is (a < b) & (b < c). */
static uint16_t comparison(struct parser *parser) {
    uint16_t left = binary(parser, 0), result = SW_EXPRESSION_NO_NODE;
    for (size_t i = 0; left != SW_EXPRESSION_NO_NODE && i < COUNT_OF(comparisons); i++) {
        if (!is_symbol(parser, comparisons[i].symbol)) {
            continue;
        }
        next(parser);
        uint16_t right = binary(parser, 0);
        if (right == SW_EXPRESSION_NO_NODE) {
            return right;
        }
        uint16_t operands[3] = {comparisons[i].is_swapped ? right : left, comparisons[i].is_swapped ? left : right};
        uint16_t truth = sw_nodes_operation(parser->nodes, comparisons[i].op, operands);
        result = result == SW_EXPRESSION_NO_NODE
                     ? truth
                     : sw_nodes_operation(parser->nodes, SW_OPERATOR_and, (uint16_t[3]){result, truth});
        left = right;
        i = SIZE_MAX; /* once more from the first */
    }
    return result == SW_EXPRESSION_NO_NODE ? left : result;
}

static enum sw_status nodes_init(struct sw_nodes *nodes, size_t length) {
    *nodes = (struct sw_nodes){.cap = 4 * length + 4};
    nodes->items = sw_alloc_array(nodes->cap, sizeof *nodes->items);
    nodes->buckets = sw_alloc_array(nodes->cap * 2, sizeof *nodes->buckets);
    if (!nodes->items || !nodes->buckets) {
        sw_nodes_release(nodes);
        return SW_NOMEM;
    }
    memset(nodes->buckets, 0xff, nodes->cap * 2 * sizeof *nodes->buckets); /* SW_EXPRESSION_NO_NODE */
    return SW_OK;
}

enum sw_status sw_expression_parse(struct sw_str text, struct sw_nodes *nodes, struct sw_error *err) {
    if (text.len > SW_EXPRESSION_TEXT) {
        return sw_fail(err, SW_LIMIT, "cannot compile an expression of %zu bytes: the most is %u", text.len,
                       SW_EXPRESSION_TEXT);
    }
    if (nodes_init(nodes, text.len) != SW_OK) {
        return sw_fail(err, SW_NOMEM, "cannot compile an expression of %zu bytes: out of memory", text.len);
    }
    struct parser parser = {.text = text, .nodes = nodes, .err = err, .token = {text.ptr, 0}};
    next(&parser);
    nodes->root = comparison(&parser);
    if (parser.status == SW_OK && parser.kind != TOKEN_END) {
        fail_token(&parser, is_symbol(&parser, ")")   ? "a ')' that closes nothing"
                            : is_symbol(&parser, ",") ? "a ',' outside of a call"
                                                      : "an operator is missing");
    }
    if (parser.status != SW_OK) {
        sw_nodes_release(nodes);
    }
    return parser.status;
}
