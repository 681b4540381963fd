/* decode_jsonl.c - One JSON object a line.
 *
 * Values are found by the path of their keys joined by dots ("user.id"), array elements by their index ("items.0").
 * Numbers in strings count as numbers, true and false as 1 and 0 (and as those words where text is wanted); null, and
 * keys that are not there, are missing, as are objects and arrays themselves. Of equal keys the last counts.
 */
#include <stdio.h>
#include <string.h>

#include "base/json_read.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/decoder_impl.h"
#include "engine/jsonl_shape.h"
#include "engine/swar.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Rows of a new shape are learned at once while there are few of them, then each 16th: a stream of many shapes pays
 * little. */
#define MISSES_LEARNED 4u
#define MISSES_SKIPPED 15u

struct jsonl_decoder {
    struct sw_decoder base;
    bool has_nested_names; /* some wanted name has a dot, so nested values must be looked at */
    bool is_time_seen;
    uint32_t misses; /* rows since the shape last fitted */
    struct sw_buf path;
    struct sw_buf unescaped;
    uint32_t path_lens[SW_JSON_READ_DEPTH + 1]; /* of the enclosing object or array, by depth */
    uint32_t array_index[SW_JSON_READ_DEPTH + 1];
    struct sw_shape shape;
};

static enum sw_status text_store(struct jsonl_decoder *jsonl, const struct sw_field *field, struct sw_str text) {
    jsonl->is_time_seen |= field->time_unit != SW_TIME_NONE;
    return sw_decoder_store(&jsonl->base, field, text);
}

static enum sw_status bool_store(struct jsonl_decoder *jsonl, const struct sw_field *field, struct sw_str text) {
    jsonl->is_time_seen |= field->time_unit != SW_TIME_NONE;
    return sw_decoder_store_number(&jsonl->base, field, text, text.ptr[0] == 't' ? 1.0 : 0.0);
}

static enum sw_status scalar_store(struct jsonl_decoder *jsonl, const struct sw_field *field,
                                   const struct sw_json_token *token) {
    struct sw_str text = token->text;
    if (token->kind == SW_JSON_TRUE || token->kind == SW_JSON_FALSE)
        return bool_store(jsonl, field, text);
    if (token->kind == SW_JSON_NULL)
        text.len = 0;
    if (token->has_escape) {
        size_t start = jsonl->unescaped.len;
        enum sw_status status = sw_json_unescape(text, &jsonl->unescaped);
        if (status != SW_OK)
            return status;
        text = sw_str_make(jsonl->unescaped.ptr + start, jsonl->unescaped.len - start);
    }
    return text_store(jsonl, field, text);
}

/* Sets the path to that of the enclosing value and appends a dot where one belongs. */
static enum sw_status path_cut(struct jsonl_decoder *jsonl, unsigned depth) {
    jsonl->path.len = jsonl->path_lens[depth];
    return depth > 1 ? sw_buf_append_byte(&jsonl->path, '.') : SW_OK;
}

static enum sw_status path_key(struct jsonl_decoder *jsonl, unsigned depth, const struct sw_json_token *token) {
    enum sw_status status = path_cut(jsonl, depth);
    if (status != SW_OK)
        return status;
    return token->has_escape ? sw_json_unescape(token->text, &jsonl->path) : sw_buf_append(&jsonl->path, token->text);
}

static enum sw_status path_index(struct jsonl_decoder *jsonl, unsigned depth) {
    char digits[SW_NUM_I64_MAX];
    enum sw_status status = path_cut(jsonl, depth);
    if (status != SW_OK)
        return status;
    size_t len = sw_num_format_u64(jsonl->array_index[depth]++, digits);
    return sw_buf_append(&jsonl->path, sw_str_make(digits, len));
}

static enum sw_status reader_bad(struct jsonl_decoder *jsonl, const struct sw_json_reader *reader) {
    return sw_decoder_bad(&jsonl->base, reader->is_text_fault ? SW_REJECT_TEXT : SW_REJECT_SYNTAX, "%s",
                          reader->reason);
}

/* One token inside the row's object; what it is, and what to do with it. */
static enum sw_status token_take(struct jsonl_decoder *jsonl, struct sw_json_reader *reader,
                                 struct sw_json_token *token) {
    unsigned depth = reader->depth;
    bool is_opening = token->kind == SW_JSON_OBJECT || token->kind == SW_JSON_ARRAY;
    if (token->kind == SW_JSON_KEY)
        return path_key(jsonl, depth, token);
    if (token->kind == SW_JSON_OBJECT_END || token->kind == SW_JSON_ARRAY_END)
        return SW_OK;
    unsigned parent = depth - is_opening;
    if (!(reader->is_object >> (parent - 1) & 1)) {
        enum sw_status status = path_index(jsonl, parent);
        if (status != SW_OK)
            return status;
    }
    if (is_opening) {
        jsonl->path_lens[depth] = (uint32_t)jsonl->path.len;
        jsonl->array_index[depth] = 0;
        return SW_OK;
    }
    const struct sw_field *field = NULL;
    if (depth == 1 || jsonl->has_nested_names)
        field = sw_decoder_field(&jsonl->base, sw_buf_view(&jsonl->path));
    bool is_string = token->kind == SW_JSON_STRING;
    sw_shape_value(&jsonl->shape, token->text.ptr - is_string, reader->ptr, field);
    return field ? scalar_store(jsonl, field, token) : SW_OK;
}

/* The row by the strict reader; what it finds is what the row is. */
static enum sw_status row_read(struct jsonl_decoder *jsonl, struct sw_str line) {
    struct sw_json_reader reader;
    struct sw_json_token token;
    sw_json_reader_init(&reader, line);
    sw_buf_clear(&jsonl->path);
    sw_buf_clear(&jsonl->unescaped);
    /* Reserved at once, since keys refer to it until the commit. */
    enum sw_status status = sw_buf_reserve(&jsonl->unescaped, line.len);
    if (status != SW_OK)
        return status;
    for (bool is_first = true;; is_first = false) {
        status = sw_json_read(&reader, &token);
        if (status != SW_OK)
            return reader_bad(jsonl, &reader);
        if (token.kind == SW_JSON_END)
            return SW_OK;
        if (is_first && token.kind != SW_JSON_OBJECT)
            return sw_decoder_bad(&jsonl->base, SW_REJECT_SYNTAX, "line is not a JSON object");
        if (is_first)
            continue;
        status = token_take(jsonl, &reader, &token);
        if (status != SW_OK)
            return status;
    }
}

static enum sw_status row_learn(struct jsonl_decoder *jsonl, struct sw_str line) {
    jsonl->misses++;
    if (jsonl->misses > MISSES_LEARNED && (jsonl->misses & MISSES_SKIPPED) != 0)
        return row_read(jsonl, line);
    sw_shape_begin(&jsonl->shape, line.ptr);
    enum sw_status status = row_read(jsonl, line);
    if (status == SW_OK)
        sw_shape_end(&jsonl->shape, line.ptr + line.len);
    else
        jsonl->shape.value_count = 0;
    jsonl->shape.is_learning = false;
    return status;
}

/* The closing quote of a string of plain ASCII, or the first byte that is anything but. Reads at most SW_DECODER_PAD
 * past a line's end, where at the latest the newline or a zero stops it. */
static const char *plain_string_end(const char *ptr) {
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(' ');
    for (;; ptr += 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)ptr);
        __m128i stop = _mm_or_si128(_mm_cmplt_epi8(block, space),
                                    _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash)));
        unsigned bits = (unsigned)_mm_movemask_epi8(stop);
        if (bits)
            return ptr + __builtin_ctz(bits);
    }
#else
    while (*ptr != '"' && *ptr != '\\' && (signed char)*ptr >= ' ')
        ptr++;
    return ptr;
#endif
}

/* A whole number of up to 7 digits at `ptr`, in one load; NULL for anything else. */
static inline const char *short_integer(const char *ptr, double *number) {
    uint64_t word = sw_swar_load(ptr);
    uint64_t stops = sw_swar_not_digits(word ^ 0x3030303030303030u);
    if (!stops)
        return NULL;
    uint32_t len = (uint32_t)__builtin_ctzll(stops) >> 3; /* a carry of the sum spoils higher bytes only */
    char next = ptr[len];
    if (len == 0 || (len > 1 && *ptr == '0') || next == '.' || next == 'e' || next == 'E')
        return NULL;
    *number = (double)sw_swar_value(sw_swar_digits(word, len));
    return ptr + len;
}

static const char *number_take(struct jsonl_decoder *jsonl, const struct sw_field *field, const char *ptr,
                               const char *end, enum sw_status *status) {
    double number = 0;
    const char *stop = short_integer(ptr, &number);
    bool is_read = stop != NULL;
    if (!stop)
        stop = sw_json_number_end(ptr, end);
    if (!stop || !field)
        return stop;
    struct sw_str text = sw_str_make(ptr, (size_t)(stop - ptr));
    if (!is_read && field->num_slot == SW_NO_SLOT)
        is_read = true;
    jsonl->is_time_seen |= field->time_unit != SW_TIME_NONE;
    *status = is_read ? sw_decoder_store_number(&jsonl->base, field, text, number)
                      : sw_decoder_store(&jsonl->base, field, text);
    return stop;
}

/* Reads the value at `ptr` into `field`; NULL where it is not a simple one. */
static const char *value_take(struct jsonl_decoder *jsonl, const struct sw_field *field, const char *ptr,
                              const char *end, enum sw_status *status) {
    if (*ptr == '"') {
        const char *stop = plain_string_end(ptr + 1);
        if (*stop != '"')
            return NULL;
        if (field)
            *status = text_store(jsonl, field, sw_str_make(ptr + 1, (size_t)(stop - ptr - 1)));
        return stop + 1;
    }
    if (*ptr == '-' || (unsigned char)(*ptr - '0') <= 9)
        return number_take(jsonl, field, ptr, end, status);
    bool is_true = memcmp(ptr, "true", 4) == 0, is_null = memcmp(ptr, "null", 4) == 0;
    if (!is_true && !is_null && memcmp(ptr, "false", 5) != 0)
        return NULL;
    struct sw_str word = sw_str_make(ptr, is_true || is_null ? 4 : 5);
    if (field)
        *status = is_null ? text_store(jsonl, field, sw_str_make(ptr, 0)) : bool_store(jsonl, field, word);
    return ptr + word.len;
}

/* The row by the shape of an earlier one; false if it has another, or is not simple, whatever was stored by then. */
static bool row_match(struct jsonl_decoder *jsonl, struct sw_str line, enum sw_status *status) {
    const struct sw_shape *shape = &jsonl->shape;
    const char *ptr = line.ptr, *end = line.ptr + line.len;
    if (shape->value_count == 0)
        return false;
    for (uint32_t i = 0; i < shape->value_count; i++) {
        const struct sw_shape_gap *gap = &shape->gaps[i];
        if (!sw_shape_gap_is(gap, ptr))
            return false;
        ptr += gap->len;
        if (ptr >= end)
            return false;
        ptr = value_take(jsonl, shape->fields[i], ptr, end, status);
        if (!ptr || ptr >= end)
            return false;
        if (*status != SW_OK)
            return true;
    }
    const struct sw_shape_gap *last = &shape->gaps[shape->value_count];
    return sw_shape_gap_is(last, ptr) && ptr + last->len == end;
}

static enum sw_status jsonl_line(struct sw_decoder *decoder, struct sw_str line) {
    struct jsonl_decoder *jsonl = (struct jsonl_decoder *)decoder;
    enum sw_status status = SW_OK;
    sw_decoder_row_begin(decoder);
    jsonl->is_time_seen = false;
    if (row_match(jsonl, line, &status)) {
        jsonl->misses = 0;
    } else {
        decoder->batch->text_bytes.len = decoder->text_mark;
        sw_intake_begin(decoder->intake);
        jsonl->is_time_seen = false;
        status = row_learn(jsonl, line);
    }
    if (status == SW_OK && decoder->time_field && !jsonl->is_time_seen)
        status = sw_decoder_no_time(decoder);
    if (status == SW_OK)
        sw_decoder_row_commit(decoder, line);
    else if (status == SW_MALFORMED)
        sw_decoder_row_reject(decoder, line);
    return status == SW_MALFORMED ? SW_OK : status;
}

static void jsonl_release(struct sw_decoder *decoder) {
    struct jsonl_decoder *jsonl = (struct jsonl_decoder *)decoder;
    sw_buf_release(&jsonl->path);
    sw_buf_release(&jsonl->unescaped);
}

static const struct sw_decoder_ops jsonl_ops = {.line = jsonl_line, .release = jsonl_release};

enum sw_status sw_jsonl_new(struct sw_decoder **decoder, const struct sw_decoder *base) {
    struct jsonl_decoder *jsonl = sw_alloc_zero(sizeof *jsonl);
    if (!jsonl)
        return SW_NOMEM;
    jsonl->base = *base;
    jsonl->base.ops = &jsonl_ops;
    for (size_t i = 0; i < base->field_count; i++)
        jsonl->has_nested_names |= memchr(base->fields[i].name.ptr, '.', base->fields[i].name.len) != NULL;
    *decoder = &jsonl->base;
    return SW_OK;
}
