/* fuzz_http.c - Request heads and chunked bodies: any scan level and any split must agree with one scalar pass. */
#include <stdlib.h>
#include <string.h>

#include "net/http_chunked.h"
#include "net/http_parser.h"

enum { HEADERS_MAX = 16 };

/* Small, so that the fuzzer meets them. */
static const struct sw_http_limits limits = {.line_bytes = 200, .field_bytes = 300, .head_bytes = 1000};
static const struct sw_http_chunked_limits body_limits = {100000, 20, 100, 4};

struct run {
    struct sw_http_parser parser;
    struct sw_http_header headers[HEADERS_MAX];
    char *bytes; /* owned: the copy the views point into */
    enum sw_status status;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
    if (!condition) {
        abort();
    }
}

/* Feeds prefixes that grow by `step`, each from a heap block of exactly its size. */
static void run_split(struct run *run, enum sw_cpu_level level, struct sw_str text, size_t step) {
    sw_http_parser_init(&run->parser, run->headers, HEADERS_MAX, &limits);
    run->parser.scan = sw_http_scan_for(level);
    run->bytes = NULL;
    run->status = SW_AGAIN;
    for (size_t len = step < text.len ? step : text.len; run->status == SW_AGAIN;) {
        char *copy = malloc(len + !len);
        require(copy != NULL);
        memcpy(copy, text.ptr, len);
        run->status = sw_http_parser_feed(&run->parser, sw_str_make(copy, len));
        free(run->bytes);
        run->bytes = copy;
        if (len == text.len) {
            return;
        }
        len = text.len - len < step ? text.len : len + step;
    }
}

static void require_same_view(struct sw_str a, const char *base_a, struct sw_str b, const char *base_b) {
    require(a.len == b.len && !a.ptr == !b.ptr);
    if (a.len > 0) {
        require(memcmp(a.ptr, b.ptr, a.len) == 0);
        require(a.ptr - base_a == b.ptr - base_b || (a.len == 1 && (*a.ptr == '/' || *a.ptr == '*')));
    }
}

static void require_same(const struct run *a, const struct run *b) {
    const struct sw_http_head *x = &a->parser.head;
    const struct sw_http_head *y = &b->parser.head;
    require(a->status == b->status);
    require(a->parser.http_status == b->parser.http_status && a->parser.reason == b->parser.reason);
    if (a->status != SW_OK) {
        return;
    }
    require(x->size_bytes == y->size_bytes && x->method == y->method && x->version_minor == y->version_minor);
    require(x->has_content_length == y->has_content_length && x->content_length == y->content_length);
    require(x->is_chunked == y->is_chunked && x->is_keep_alive == y->is_keep_alive);
    require(x->is_expect_continue == y->is_expect_continue && x->is_websocket_upgrade == y->is_websocket_upgrade);
    require(x->header_count == y->header_count);
    require_same_view(x->method_text, a->bytes, y->method_text, b->bytes);
    require_same_view(x->target, a->bytes, y->target, b->bytes);
    require_same_view(x->path, a->bytes, y->path, b->bytes);
    require_same_view(x->query, a->bytes, y->query, b->bytes);
    require_same_view(x->host, a->bytes, y->host, b->bytes);
    for (size_t i = 0; i < x->header_count; i++) {
        require_same_view(x->headers[i].name, a->bytes, y->headers[i].name, b->bytes);
        require_same_view(x->headers[i].value, a->bytes, y->headers[i].value, b->bytes);
    }
}

/* What must hold of any accepted head, told without the parser's own tables. */
static void require_sound(const struct run *run) {
    const struct sw_http_head *head = &run->parser.head;
    size_t lines = 0;
    require(head->size_bytes >= 16 && memcmp(run->bytes + head->size_bytes - 4, "\r\n\r\n", 4) == 0);
    for (size_t i = 0; i < head->size_bytes; i++) {
        require(run->bytes[i] != '\0' && (run->bytes[i] != '\r' || run->bytes[i + 1] == '\n'));
        require(run->bytes[i] != '\n' || (i > 0 && run->bytes[i - 1] == '\r'));
        lines += run->bytes[i] == '\n';
    }
    require(lines == head->header_count + 2 + (run->bytes[0] == '\r'));
    require(!(head->is_chunked && head->has_content_length));
    require(head->path.len > 0 && (head->path.ptr[0] == '/' || head->path.ptr[0] == '*'));
    require(head->version_minor == 0 || head->host.len > 0);
    for (size_t i = 0; i < head->header_count; i++) {
        struct sw_str name = head->headers[i].name;
        struct sw_str value = head->headers[i].value;
        require(name.len > 0 && !memchr(name.ptr, ' ', name.len) && !memchr(name.ptr, ':', name.len));
        require(value.len == 0 || (value.ptr[0] != ' ' && value.ptr[value.len - 1] != ' '));
    }
}

/* Decodes and folds the body into a number; the rest of the input that was not taken goes to *left. */
static uint64_t decode(struct sw_http_chunked *chunked, struct sw_str text, size_t step, size_t *left) {
    uint64_t sum = 0;
    enum sw_status status = SW_OK;
    *left = text.len;
    while (*left > 0 && !chunked->is_done && status == SW_OK) {
        struct sw_str piece = {text.ptr + text.len - *left, *left < step ? *left : step};
        struct sw_str data;
        size_t had = piece.len;
        do {
            status = sw_http_chunked_feed(chunked, &piece, &data);
            for (size_t i = 0; i < data.len; i++) {
                sum = sum * 31 + (unsigned char)data.ptr[i];
            }
        } while (status == SW_OK && data.len > 0);
        *left -= had - piece.len;
    }
    return sum;
}

static void check_chunked(struct sw_str text, size_t step) {
    struct sw_http_chunked whole = {.limits = body_limits};
    struct sw_http_chunked split = {.limits = body_limits};
    size_t whole_left;
    size_t split_left;
    uint64_t whole_sum = decode(&whole, text, SIZE_MAX, &whole_left);
    uint64_t split_sum = decode(&split, text, step, &split_left);
    require(whole_sum == split_sum && whole_left == split_left && whole.is_done == split.is_done);
    require(whole.http_status == split.http_status && whole.reason == split.reason);
    require(whole.body_bytes == split.body_bytes && whole.body_bytes <= body_limits.body_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > 4096) {
        return 0;
    }
    struct sw_str text = {(const char *)data + 1, size - 1};
    size_t step = (size_t)data[0] % 61 + 1 + text.len / 32; /* at most 32 pieces: each is a copy of its own */
    static struct run oracle;
    static struct run other;
    run_split(&oracle, SW_CPU_SCALAR, text, text.len);
    for (int level = SW_CPU_SCALAR; level <= (int)sw_cpu_level(); level++) {
        run_split(&other, (enum sw_cpu_level)level, text, level == SW_CPU_SCALAR && text.len < 100 ? 1 : text.len);
        require_same(&oracle, &other);
        free(other.bytes);
        run_split(&other, (enum sw_cpu_level)level, text, step);
        require_same(&oracle, &other);
        free(other.bytes);
    }
    if (oracle.status == SW_OK) {
        require_sound(&oracle);
        check_chunked(sw_str_skip(text, oracle.parser.head.size_bytes), step);
    }
    free(oracle.bytes);
    check_chunked(text, step);
    return 0;
}
