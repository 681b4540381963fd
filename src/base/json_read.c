/* json_read.c - A strict pull reader of JSON; see json_read.h. */
#include "base/json_read.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static enum sw_status bad(struct sw_json_reader *reader, const char *reason) {
    reader->reason = reason;
    return SW_MALFORMED;
}

static enum sw_status bad_text(struct sw_json_reader *reader, const char *reason) {
    reader->is_text_fault = true;
    return bad(reader, reason);
}

static const char *blanks_end(const char *ptr, const char *end) {
    while (ptr < end && (*ptr == ' ' || *ptr == '\t' || *ptr == '\n' || *ptr == '\r'))
        ptr++;
    return ptr;
}

/* At least one digit; NULL where there is none. */
static const char *digits_end(const char *ptr, const char *end) {
    if (ptr == end || !is_digit(*ptr))
        return NULL;
    while (ptr < end && is_digit(*ptr))
        ptr++;
    return ptr;
}

const char *sw_json_number_end(const char *ptr, const char *end) {
    if (ptr < end && *ptr == '-')
        ptr++;
    if (end - ptr > 1 && *ptr == '0' && is_digit(ptr[1]))
        return NULL;
    ptr = digits_end(ptr, end);
    if (ptr && ptr < end && *ptr == '.')
        ptr = digits_end(ptr + 1, end);
    if (ptr && ptr < end && (*ptr == 'e' || *ptr == 'E')) {
        ptr++;
        if (ptr < end && (*ptr == '+' || *ptr == '-'))
            ptr++;
        ptr = digits_end(ptr, end);
    }
    return ptr;
}

/* Passes over ASCII that stands for itself; stops at a quote, a backslash, a control character or a byte above 0x7f. */
static const char *plain_end(const char *ptr, const char *end) {
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(' ');
    for (; end - ptr >= 16; ptr += 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)ptr);
        /* Signed: bytes above 0x7f are below the blank too. */
        __m128i stop = _mm_or_si128(_mm_cmplt_epi8(block, space),
                                    _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash)));
        unsigned bits = (unsigned)_mm_movemask_epi8(stop);
        if (bits)
            return ptr + __builtin_ctz(bits);
    }
#endif
    while (ptr < end && *ptr != '"' && *ptr != '\\' && (signed char)*ptr >= ' ')
        ptr++;
    return ptr;
}

/* Length of the UTF-8 sequence at `ptr`, 0 if it is not one: overlong forms, surrogates and what lies above U+10FFFF
 * are not. */
static size_t utf8_len(const char *ptr, const char *end) {
    unsigned char lead = (unsigned char)ptr[0];
    size_t len = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || (size_t)(end - ptr) < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if (((unsigned char)ptr[i] & 0xc0) != 0x80)
            return 0;
    unsigned char second = (unsigned char)ptr[1];
    bool is_bad = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
                  (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f);
    return is_bad ? 0 : len;
}

static int hex_value(char byte) {
    if (is_digit(byte))
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The four digits at `ptr`, or -1. */
static int32_t hex4(const char *ptr, const char *end) {
    int32_t value = 0;
    if (end - ptr < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(ptr[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Reads the escape at the backslash `ptr`: its length, 0 if it is none. *code is the character it stands for. */
static size_t escape_read(const char *ptr, const char *end, uint32_t *code) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (end - ptr < 2)
        return 0;
    if (ptr[1] != 'u') {
        const char *at = ptr[1] ? strchr(names, ptr[1]) : NULL;
        *code = at ? (unsigned char)values[at - names] : 0;
        return at ? 2 : 0;
    }
    int32_t unit = hex4(ptr + 2, end);
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        return 0;
    *code = (uint32_t)unit;
    if (unit < 0xd800 || unit > 0xdbff)
        return 6;
    if (end - ptr < 12 || ptr[6] != '\\' || ptr[7] != 'u')
        return 0;
    int32_t low = hex4(ptr + 8, end);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *code = 0x10000u + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return 12;
}

/* Reads a string behind its opening quote. */
static enum sw_status string_read(struct sw_json_reader *reader, struct sw_json_token *token) {
    const char *start = reader->ptr, *ptr = start, *end = reader->end;
    uint32_t code;
    token->has_escape = false;
    for (;;) {
        ptr = plain_end(ptr, end);
        if (ptr == end)
            return bad(reader, "string is not closed");
        if (*ptr == '"')
            break;
        size_t len;
        if (*ptr == '\\') {
            len = escape_read(ptr, end, &code);
            token->has_escape = true;
        } else {
            len = (unsigned char)*ptr >= 0x80 ? utf8_len(ptr, end) : 0;
        }
        if (len == 0)
            return bad_text(reader, *ptr == '\\'                ? "bad escape in a string"
                                    : (unsigned char)*ptr < ' ' ? "control character in a string"
                                                                : "string is not valid UTF-8");
        ptr += len;
    }
    token->text = sw_str_make(start, (size_t)(ptr - start));
    reader->ptr = ptr + 1;
    return SW_OK;
}

static enum sw_status nest(struct sw_json_reader *reader, struct sw_json_token *token, bool is_object) {
    if (reader->depth == SW_JSON_READ_DEPTH) {
        reader->reason = "nested too deep";
        return SW_LIMIT;
    }
    uint64_t bit = UINT64_C(1) << reader->depth++;
    reader->is_object = is_object ? reader->is_object | bit : reader->is_object & ~bit;
    reader->expect = SW_JSON_EXPECT_FIRST;
    token->kind = is_object ? SW_JSON_OBJECT : SW_JSON_ARRAY;
    token->text = sw_str_make(reader->ptr++, 1);
    return SW_OK;
}

static bool in_object(const struct sw_json_reader *reader) {
    return reader->depth > 0 && (reader->is_object >> (reader->depth - 1) & 1) != 0;
}

static enum sw_status word_read(struct sw_json_reader *reader, struct sw_json_token *token, struct sw_str word,
                                enum sw_json_kind kind) {
    if (!sw_str_starts(sw_str_make(reader->ptr, (size_t)(reader->end - reader->ptr)), word))
        return bad(reader, "not a JSON value");
    token->kind = kind;
    token->text = sw_str_make(reader->ptr, word.len);
    reader->ptr += word.len;
    return SW_OK;
}

static enum sw_status value_read(struct sw_json_reader *reader, struct sw_json_token *token) {
    reader->expect = SW_JSON_EXPECT_NEXT;
    switch (*reader->ptr) {
    case '{':
        return nest(reader, token, true);
    case '[':
        return nest(reader, token, false);
    case '"':
        reader->ptr++;
        token->kind = SW_JSON_STRING;
        return string_read(reader, token);
    case 't':
        return word_read(reader, token, SW_STR("true"), SW_JSON_TRUE);
    case 'f':
        return word_read(reader, token, SW_STR("false"), SW_JSON_FALSE);
    case 'n':
        return word_read(reader, token, SW_STR("null"), SW_JSON_NULL);
    default:
        break;
    }
    const char *end = sw_json_number_end(reader->ptr, reader->end);
    if (!end)
        return bad(reader, "not a JSON value");
    token->kind = SW_JSON_NUMBER;
    token->text = sw_str_make(reader->ptr, (size_t)(end - reader->ptr));
    reader->ptr = end;
    return SW_OK;
}

static enum sw_status key_read(struct sw_json_reader *reader, struct sw_json_token *token) {
    if (*reader->ptr != '"')
        return bad(reader, "expected a key");
    reader->ptr++;
    token->kind = SW_JSON_KEY;
    enum sw_status status = string_read(reader, token);
    if (status != SW_OK)
        return status;
    reader->ptr = blanks_end(reader->ptr, reader->end);
    if (reader->ptr == reader->end || *reader->ptr != ':')
        return bad(reader, "expected a colon behind a key");
    reader->ptr++;
    reader->expect = SW_JSON_EXPECT_VALUE;
    return SW_OK;
}

static enum sw_status unnest(struct sw_json_reader *reader, struct sw_json_token *token) {
    token->kind = in_object(reader) ? SW_JSON_OBJECT_END : SW_JSON_ARRAY_END;
    token->text = sw_str_make(reader->ptr++, 1);
    reader->depth--;
    reader->expect = SW_JSON_EXPECT_NEXT;
    return SW_OK;
}

void sw_json_reader_init(struct sw_json_reader *reader, struct sw_str text) {
    *reader = (struct sw_json_reader){.ptr = text.ptr, .end = text.ptr + text.len};
}

enum sw_status sw_json_read(struct sw_json_reader *reader, struct sw_json_token *token) {
    reader->ptr = blanks_end(reader->ptr, reader->end);
    bool is_inside = reader->depth > 0;
    token->has_escape = false;
    if (reader->ptr == reader->end) {
        if (is_inside || reader->expect != SW_JSON_EXPECT_NEXT)
            return bad(reader, "text ends in the middle");
        token->kind = SW_JSON_END;
        token->text = sw_str_make(reader->ptr, 0);
        return SW_OK;
    }
    if (reader->expect == SW_JSON_EXPECT_VALUE)
        return value_read(reader, token);
    if (!is_inside)
        return bad(reader, "text behind the value");
    if (*reader->ptr == (in_object(reader) ? '}' : ']'))
        return unnest(reader, token);
    if (reader->expect == SW_JSON_EXPECT_NEXT) {
        if (*reader->ptr != ',')
            return bad(reader, "expected a comma");
        reader->ptr = blanks_end(reader->ptr + 1, reader->end);
        if (reader->ptr == reader->end)
            return bad(reader, "text ends in the middle");
    }
    return in_object(reader) ? key_read(reader, token) : value_read(reader, token);
}

enum sw_status sw_json_skip(struct sw_json_reader *reader, const struct sw_json_token *token) {
    if (token->kind != SW_JSON_OBJECT && token->kind != SW_JSON_ARRAY)
        return SW_OK;
    unsigned outside = reader->depth - 1;
    struct sw_json_token inner;
    while (reader->depth > outside) {
        enum sw_status status = sw_json_read(reader, &inner);
        if (status != SW_OK)
            return status;
    }
    return SW_OK;
}

static size_t utf8_write(uint32_t code, char out[4]) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

enum sw_status sw_json_unescape(struct sw_str text, struct sw_buf *out) {
    /* No escape is shorter than what it stands for. */
    enum sw_status status = sw_buf_reserve(out, text.len);
    if (status != SW_OK)
        return status;
    if (text.len == 0)
        return SW_OK; /* also without memory to point into */
    const char *ptr = text.ptr, *end = text.ptr + text.len;
    char *at = out->ptr + out->len;
    while (ptr < end) {
        uint32_t code;
        size_t len = *ptr == '\\' ? escape_read(ptr, end, &code) : 0;
        if (len == 0) {
            *at++ = *ptr++;
            continue;
        }
        at += utf8_write(code, at);
        ptr += len;
    }
    out->len = (size_t)(at - out->ptr);
    return SW_OK;
}
