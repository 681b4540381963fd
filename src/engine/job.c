/* job.c - Reads the aggregate list of a job; see job.h. */
#include "engine/job.h"

#include <math.h>

#include "base/buf.h"
#include "base/num.h"

struct function {
    const char *name;
    unsigned number_columns;
    unsigned text_columns;
    unsigned parameters;
};

static const struct function functions[] = {
#define SW_AGGREGATE_ROW(code, name, nums, texts, params, text) {name, nums, texts, params},
    SW_AGGREGATE_LIST(SW_AGGREGATE_ROW)
#undef SW_AGGREGATE_ROW
};

#define FUNCTION_COUNT (sizeof functions / sizeof functions[0])
#define MAX_ARGUMENTS 3

struct call {
    struct sw_str name; /* empty when not given */
    struct sw_str function;
    struct sw_str arguments[MAX_ARGUMENTS];
    unsigned argument_count;
};

const char *sw_aggregate_name(enum sw_aggregate_fn fn) {
    return functions[fn].name;
}

bool sw_aggregate_is_text(enum sw_aggregate_fn fn) {
    return fn == SW_AGG_TOPK;
}

/* Takes one "name=fn(a,b)" from the front of *rest, up to the next comma outside parentheses. */
static struct sw_str call_take(struct sw_str *rest) {
    size_t depth = 0;
    size_t end = 0;
    for (; end < rest->len; end++) {
        char c = rest->ptr[end];
        if (c == ',' && depth == 0)
            break;
        depth += c == '(';
        depth -= c == ')' && depth > 0;
    }
    struct sw_str item = {rest->ptr, end};
    *rest = end < rest->len ? sw_str_skip(*rest, end + 1) : (struct sw_str){NULL, 0};
    return sw_str_trim(item);
}

static enum sw_status call_parse(struct sw_str item, struct call *call, struct sw_error *err) {
    *call = (struct call){0};
    size_t open = sw_str_find(item, '(');
    if (open == item.len || item.ptr[item.len - 1] != ')')
        return sw_fail(err, SW_INVALID, "cannot read aggregate '%" SW_STR_FMT "': expected name=function(column)",
                       SW_STR_ARG(item));
    struct sw_str head = {item.ptr, open};
    struct sw_str inside = sw_str_trim((struct sw_str){item.ptr + open + 1, item.len - open - 2});
    size_t equals = sw_str_find(head, '=');
    if (equals < head.len) {
        call->name = sw_str_trim((struct sw_str){head.ptr, equals});
        head = sw_str_skip(head, equals + 1);
    }
    call->function = sw_str_trim(head);
    while (inside.len > 0 && inside.ptr) {
        if (call->argument_count == MAX_ARGUMENTS)
            return sw_fail(err, SW_INVALID, "too many arguments in aggregate '%" SW_STR_FMT "'", SW_STR_ARG(item));
        call->arguments[call->argument_count++] = sw_str_trim(sw_str_cut(&inside, ','));
    }
    return SW_OK;
}

static enum sw_status function_find(struct sw_str name, enum sw_aggregate_fn *fn, struct sw_error *err) {
    for (size_t i = 0; i < FUNCTION_COUNT; i++) {
        if (sw_str_eq(name, sw_str_from(functions[i].name))) {
            *fn = (enum sw_aggregate_fn)i;
            return SW_OK;
        }
    }
    return sw_fail(err, SW_INVALID,
                   "unknown aggregate function '%" SW_STR_FMT
                   "'; there are count, first, last, min, max, sum, mean, variance, "
                   "stddev, vwap, quantile, median, distinct, topk, rate",
                   SW_STR_ARG(name));
}

static enum sw_status parameter_parse(struct sw_aggregate *aggregate, struct sw_str text, struct sw_error *err) {
    double value = 0;
    const char *end = sw_num_parse_f64(text.ptr, text.ptr + text.len, &value);
    bool is_number = end == text.ptr + text.len;
    if (aggregate->fn == SW_AGG_QUANTILE && !(is_number && value >= 0 && value <= 1))
        return sw_fail(err, SW_INVALID,
                       "quantile of '%" SW_STR_FMT "' wants a share from 0 to 1, not '%" SW_STR_FMT "'",
                       SW_STR_ARG(aggregate->columns[0]), SW_STR_ARG(text));
    if (aggregate->fn == SW_AGG_TOPK && !(is_number && value >= 1 && value <= 100 && value == floor(value)))
        return sw_fail(err, SW_INVALID, "topk of '%" SW_STR_FMT "' wants a count from 1 to 100, not '%" SW_STR_FMT "'",
                       SW_STR_ARG(aggregate->columns[0]), SW_STR_ARG(text));
    aggregate->parameter = value;
    return SW_OK;
}

static enum sw_status arguments_apply(struct sw_aggregate *aggregate, const struct call *call, struct sw_error *err) {
    const struct function *function = &functions[aggregate->fn];
    unsigned columns = function->number_columns + function->text_columns;
    unsigned wanted = columns + function->parameters;
    bool is_count_of_column = aggregate->fn == SW_AGG_COUNT && call->argument_count == 1;
    if (is_count_of_column)
        wanted = columns = 1;
    if (call->argument_count != wanted)
        return sw_fail(err, SW_INVALID, "%s() takes %u argument%s, not %u", function->name, wanted,
                       wanted == 1 ? "" : "s", call->argument_count);
    for (unsigned i = 0; i < columns; i++) {
        if (call->arguments[i].len == 0)
            return sw_fail(err, SW_INVALID, "%s() lacks the name of a column", function->name);
        aggregate->columns[i] = call->arguments[i];
    }
    aggregate->column_count = columns;
    if (aggregate->fn == SW_AGG_MEDIAN)
        aggregate->parameter = 0.5;
    return function->parameters ? parameter_parse(aggregate, call->arguments[columns], err) : SW_OK;
}

/* fn_column_parameter, as "quantile_price_0.99". */
static enum sw_status name_default(struct sw_aggregate *aggregate, const struct call *call, struct sw_arena *arena) {
    struct sw_buf name = {0};
    enum sw_status status = sw_buf_append(&name, call->function);
    for (unsigned i = 0; i < call->argument_count && status == SW_OK; i++) {
        status = sw_buf_append_byte(&name, '_');
        if (status == SW_OK)
            status = sw_buf_append(&name, call->arguments[i]);
    }
    if (status == SW_OK) {
        aggregate->name = sw_arena_copy(arena, sw_buf_view(&name));
        if (!aggregate->name.ptr)
            status = SW_NOMEM;
    }
    sw_buf_release(&name);
    return status;
}

static enum sw_status name_check(const struct sw_stream *stream, unsigned count, struct sw_str name,
                                 struct sw_error *err) {
    bool is_taken = sw_str_eq(name, SW_STR("window_start_ns")) || sw_str_eq(name, SW_STR("window_end_ns")) ||
                    sw_str_eq(name, SW_STR("stream")) || sw_str_eq(name, SW_STR("anomaly"));
    for (unsigned i = 0; i < stream->key_count; i++)
        is_taken |= sw_str_eq(name, stream->keys[i]);
    for (unsigned i = 0; i < count; i++)
        is_taken |= sw_str_eq(name, stream->aggregates[i].name);
    return is_taken ? sw_fail(err, SW_INVALID,
                              "two output columns are called '%" SW_STR_FMT "'; name one with name=function(...)",
                              SW_STR_ARG(name))
                    : SW_OK;
}

enum sw_status sw_aggregates_parse(struct sw_str text, struct sw_arena *arena, struct sw_stream *stream,
                                   struct sw_error *err) {
    stream->aggregates = sw_arena_alloc(arena, sizeof *stream->aggregates * SW_MAX_AGGREGATES);
    if (!stream->aggregates)
        return sw_fail(err, SW_NOMEM, "cannot keep the aggregates: out of memory");
    unsigned count = 0;
    struct sw_str rest = text;
    while (rest.ptr) {
        struct call call;
        struct sw_aggregate *aggregate = &stream->aggregates[count];
        if (count == SW_MAX_AGGREGATES)
            return sw_fail(err, SW_LIMIT, "more than %d aggregates in one stream", SW_MAX_AGGREGATES);
        *aggregate = (struct sw_aggregate){0};
        enum sw_status status = call_parse(call_take(&rest), &call, err);
        if (status == SW_OK)
            status = function_find(call.function, &aggregate->fn, err);
        if (status == SW_OK)
            status = arguments_apply(aggregate, &call, err);
        if (status != SW_OK)
            return status;
        aggregate->name = call.name;
        if (call.name.len == 0 && name_default(aggregate, &call, arena) != SW_OK)
            return sw_fail(err, SW_NOMEM, "cannot keep the aggregates: out of memory");
        status = name_check(stream, count, aggregate->name, err);
        if (status != SW_OK)
            return status;
        count++;
    }
    stream->aggregate_count = count;
    return SW_OK;
}
