/* fuzz_json.c - Any bytes as JSON: what the reader accepts and the writer writes reads back as the same. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/json_read.h"
#include "base/num.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sw_str string_of(const struct sw_json_token *token, struct sw_buf *scratch) {
    if (!token->has_escape)
        return token->text;
    sw_buf_clear(scratch);
    if (sw_json_unescape(token->text, scratch) != SW_OK)
        abort();
    return scratch->ptr ? sw_buf_view(scratch) : SW_STR("");
}

static void number_write(struct sw_json *json, struct sw_str text) {
    const char *end = text.ptr + text.len;
    double value;
    if (sw_json_number_end(text.ptr, end) != end || sw_num_parse_f64(text.ptr, end, &value) != end)
        abort();
    sw_json_f64(json, value);
}

static void token_write(struct sw_json *json, const struct sw_json_token *token, struct sw_buf *scratch) {
    switch (token->kind) {
    case SW_JSON_END:
        break;
    case SW_JSON_OBJECT:
        sw_json_object_begin(json);
        break;
    case SW_JSON_OBJECT_END:
        sw_json_object_end(json);
        break;
    case SW_JSON_ARRAY:
        sw_json_array_begin(json);
        break;
    case SW_JSON_ARRAY_END:
        sw_json_array_end(json);
        break;
    case SW_JSON_KEY:
        sw_json_key(json, string_of(token, scratch));
        break;
    case SW_JSON_STRING:
        sw_json_str(json, string_of(token, scratch));
        break;
    case SW_JSON_NUMBER:
        number_write(json, token->text);
        break;
    case SW_JSON_TRUE:
    case SW_JSON_FALSE:
        sw_json_bool(json, token->kind == SW_JSON_TRUE);
        break;
    case SW_JSON_NULL:
        sw_json_null(json);
        break;
    }
}

/* False where `text` is not JSON. */
static bool rewrite(struct sw_str text, struct sw_buf *out) {
    struct sw_json_reader reader;
    struct sw_json_token token;
    struct sw_json json;
    struct sw_buf scratch = {0};
    sw_json_init(&json, out);
    sw_json_reader_init(&reader, text);
    enum sw_status status;
    do {
        status = sw_json_read(&reader, &token);
        if (status == SW_OK)
            token_write(&json, &token, &scratch);
        else if (!reader.reason)
            abort();
    } while (status == SW_OK && token.kind != SW_JSON_END);
    sw_buf_release(&scratch);
    if (status == SW_OK && sw_json_status(&json) != SW_OK)
        abort();
    return status == SW_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sw_buf once = {0}, twice = {0};
    if (rewrite(sw_str_make((const char *)data, size), &once)) {
        if (!rewrite(sw_buf_view(&once), &twice) || !sw_str_eq(sw_buf_view(&once), sw_buf_view(&twice)))
            abort();
    }
    sw_buf_release(&once);
    sw_buf_release(&twice);
    return 0;
}
