/* http_parser.c - Request heads line by line over the bit masks of http_scan: complete lines fast, others resumably.
 *
 * Every step is a function of the bytes seen so far and checks its limit before it looks at the byte that ended a run:
 * therefore a head gives the same outcome however it was split.
 */
#include "net/http_parser.h"

#include "net/http_authority.h"
#include "net/http_parser_impl.h"

enum { METHOD_BYTES = 32 };

enum phase { START, METHOD, TARGET, VERSION, LINE, NAME, VALUE, DONE, FAILED };
enum class { CLASS_TOKEN, CLASS_TARGET, CLASS_VALUE };

/* The window of the bytes that may hold the head, and the masks of the block last classified. */
struct cursor {
    const char *base;
    size_t end;
    size_t block_at;
    size_t block_len;
    sw_http_scan scan;
    struct sw_http_masks masks;
};

/* The end of the run of bytes of `class` that begins at `at`; cursor->end if it reaches that far. */
static inline size_t run_end(struct cursor *cursor, size_t at, enum class class) {
    for (;;) {
        size_t shift = at - cursor->block_at;
        if (shift < cursor->block_len) {
            const struct sw_http_masks *masks = &cursor->masks;
            uint64_t stops = class == CLASS_TOKEN    ? masks->non_token
                             : class == CLASS_TARGET ? masks->non_target
                                                     : masks->non_value;
            stops >>= shift;
            if (stops != 0) {
                return at + (size_t)__builtin_ctzll(stops);
            }
            at = cursor->block_at + cursor->block_len;
        }
        if (at >= cursor->end) {
            return cursor->end;
        }
        size_t left = cursor->end - at;
        cursor->block_at = at;
        cursor->block_len = left < SW_HTTP_SCAN_BYTES ? left : SW_HTTP_SCAN_BYTES;
        cursor->scan(cursor->base + at, cursor->block_len, &cursor->masks);
    }
}

static enum sw_status failure_status(int http_status) {
    return http_status == 414 || http_status == 431 ? SW_LIMIT : SW_MALFORMED;
}

enum sw_status sw_http_parser_fail(struct sw_http_parser *parser, int http_status, const char *reason) {
    parser->phase = FAILED;
    parser->http_status = http_status;
    parser->reason = reason;
    return failure_status(http_status);
}

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static enum sw_status read_start(struct sw_http_parser *parser, const struct cursor *cursor) {
    size_t at = parser->line_at;
    if (at == cursor->end) {
        return SW_AGAIN;
    }
    if (cursor->base[at] != '\r') {
        parser->phase = METHOD;
        return SW_OK;
    }
    if (parser->notes & SW_HTTP_SEEN_EMPTY_LINE) {
        return sw_http_parser_fail(parser, 400, "more than one empty line before the request line");
    }
    if (at + 1 == cursor->end) {
        return SW_AGAIN;
    }
    if (cursor->base[at + 1] != '\n') {
        return sw_http_parser_fail(parser, 400, "carriage return without line feed");
    }
    parser->notes |= SW_HTTP_SEEN_EMPTY_LINE;
    parser->line_at = at + 2;
    parser->scanned = at + 2;
    return SW_OK;
}

static enum sw_http_method method_of(struct sw_str text) {
    static const struct {
        char text[8];
        enum sw_http_method method;
    } known[] = {
        {"GET", SW_HTTP_GET},       {"POST", SW_HTTP_POST},       {"HEAD", SW_HTTP_HEAD},   {"PUT", SW_HTTP_PUT},
        {"DELETE", SW_HTTP_DELETE}, {"OPTIONS", SW_HTTP_OPTIONS}, {"PATCH", SW_HTTP_PATCH}, {"TRACE", SW_HTTP_TRACE},
    };
    char padded[8] = {0};
    if (text.len < sizeof(padded)) {
        for (size_t i = 0; i < text.len; i++) {
            padded[i] = text.ptr[i];
        }
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            if (memcmp(padded, known[i].text, sizeof(padded)) == 0) {
                return known[i].method;
            }
        }
    }
    return SW_HTTP_OTHER;
}

static bool is_method(struct sw_str text) {
    for (size_t i = 0; i < text.len; i++) {
        bool is_letter = text.ptr[i] >= 'A' && text.ptr[i] <= 'Z';
        if (!is_letter && (i == 0 || !(is_digit(text.ptr[i]) || text.ptr[i] == '-'))) {
            return false;
        }
    }
    return true;
}

static enum sw_status read_method(struct sw_http_parser *parser, struct cursor *cursor) {
    size_t stop = run_end(cursor, parser->scanned, CLASS_TOKEN);
    size_t len = stop - parser->line_at;
    parser->scanned = stop;
    if (len > METHOD_BYTES) {
        return sw_http_parser_fail(parser, 501, "method is not known");
    }
    if (stop == cursor->end) {
        return SW_AGAIN;
    }
    if (cursor->base[stop] == '_') {
        return sw_http_parser_fail(parser, 501, "method is not known");
    }
    if (len == 0 || cursor->base[stop] != ' ') {
        return sw_http_parser_fail(parser, 400, "request line does not begin with a method and a space");
    }
    struct sw_str text = sw_str_make(cursor->base + parser->line_at, len);
    parser->head.method_text = text;
    parser->head.method = method_of(text);
    if (parser->head.method == SW_HTTP_OTHER && (!is_method(text) || sw_str_eq(text, SW_STR("CONNECT")))) {
        return sw_http_parser_fail(parser, 501, "method is not known");
    }
    parser->mark_at = stop + 1;
    parser->scanned = stop + 1;
    parser->phase = TARGET;
    return SW_OK;
}

static void split_query(struct sw_http_head *head, struct sw_str text) {
    const char *mark = memchr(text.ptr, '?', text.len);
    if (!mark) {
        head->path = text;
        return;
    }
    size_t at = (size_t)(mark - text.ptr);
    head->path = sw_str_make(text.ptr, at);
    head->query = sw_str_skip(text, at + 1);
}

static enum sw_status split_absolute(struct sw_http_parser *parser, struct sw_str target) {
    struct sw_http_head *head = &parser->head;
    size_t scheme = target.len > 7 && sw_str_eq_nocase(sw_str_make(target.ptr, 7), SW_STR("http://"))    ? 7
                    : target.len > 8 && sw_str_eq_nocase(sw_str_make(target.ptr, 8), SW_STR("https://")) ? 8
                                                                                                         : 0;
    if (scheme == 0) {
        return sw_http_parser_fail(parser, 400, "target is neither a path nor an http URL");
    }
    struct sw_str rest = sw_str_skip(target, scheme);
    size_t end = 0;
    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?') {
        end++;
    }
    struct sw_str authority = sw_str_make(rest.ptr, end);
    if (!sw_http_authority_is_valid(authority)) {
        return sw_http_parser_fail(parser, 400, "target's host is not a host with an optional port");
    }
    parser->notes |= SW_HTTP_SEEN_ABSOLUTE;
    head->host = authority;
    split_query(head, sw_str_skip(rest, end));
    if (head->path.len == 0) {
        head->path = end == rest.len && head->method == SW_HTTP_OPTIONS ? SW_STR("*") : SW_STR("/");
    }
    return SW_OK;
}

static enum sw_status read_target(struct sw_http_parser *parser, struct cursor *cursor) {
    size_t stop = run_end(cursor, parser->scanned, CLASS_TARGET);
    parser->scanned = stop;
    if (stop - parser->line_at > parser->limits.line_bytes) {
        return sw_http_parser_fail(parser, 414, "request line is too long");
    }
    if (stop == cursor->end) {
        return SW_AGAIN;
    }
    if (stop == parser->mark_at || cursor->base[stop] != ' ') {
        return sw_http_parser_fail(parser, 400, "target is empty or holds a byte no target may hold");
    }
    struct sw_str target = sw_str_make(cursor->base + parser->mark_at, stop - parser->mark_at);
    parser->head.target = target;
    parser->mark_at = stop + 1;
    parser->scanned = stop + 1;
    parser->phase = VERSION;
    if (target.ptr[0] == '/') {
        split_query(&parser->head, target);
        return SW_OK;
    }
    if (target.len == 1 && target.ptr[0] == '*' && parser->head.method == SW_HTTP_OPTIONS) {
        parser->head.path = target;
        return SW_OK;
    }
    return split_absolute(parser, target);
}

static enum sw_status read_version(struct sw_http_parser *parser, const struct cursor *cursor) {
    static const char shape[] = "HTTP/d.d\r\n";
    const size_t shape_len = sizeof(shape) - 1;
    const char *text = cursor->base + parser->mark_at;
    size_t len = cursor->end - parser->mark_at;
    bool is_known = len >= shape_len && memcmp(text, "HTTP/1.", 7) == 0 && (text[7] == '0' || text[7] == '1') &&
                    text[8] == '\r' && text[9] == '\n';
    if (!is_known) {
        for (size_t i = 0; i < len && i < shape_len; i++) {
            if (shape[i] == 'd' ? !is_digit(text[i]) : text[i] != shape[i]) {
                return sw_http_parser_fail(parser, 400, "request line does not end in HTTP/1.1 and CRLF");
            }
        }
        return len < shape_len ? SW_AGAIN
                               : sw_http_parser_fail(parser, 505, "version is neither HTTP/1.0 nor HTTP/1.1");
    }
    parser->head.version_minor = text[7] == '1';
    parser->line_at = parser->mark_at + shape_len;
    parser->phase = LINE;
    return SW_OK;
}

/* A whole field line: name up to `colon`, value up to `stop`, CRLF behind it. */
static inline enum sw_status add_header(struct sw_http_parser *parser, const char *line, const char *colon,
                                        const char *stop) {
    struct sw_http_header *header = &parser->head.headers[parser->head.header_count++];
    const char *first = colon + 1;
    while (first < stop && (*first == ' ' || *first == '\t')) {
        first++;
    }
    while (stop > first && (stop[-1] == ' ' || stop[-1] == '\t')) {
        stop--;
    }
    header->name = sw_str_make(line, (size_t)(colon - line));
    header->value = sw_str_make(first, (size_t)(stop - first));
    return sw_http_fields_note(parser, header);
}

/* The fast path: takes complete, unremarkable lines with all state in registers and leaves the first other line,
 * whatever is the matter with it, to the functions below, which read it again. */
static enum sw_status read_whole_lines(struct sw_http_parser *parser, struct cursor *cursor) {
    const char *base = cursor->base;
    size_t line = parser->line_at;
    enum sw_status status = SW_OK;
    while (status == SW_OK && parser->head.header_count < parser->header_cap) {
        size_t colon = run_end(cursor, line, CLASS_TOKEN);
        if (colon == cursor->end || base[colon] != ':' || colon == line) {
            break;
        }
        size_t stop = run_end(cursor, colon + 1, CLASS_VALUE);
        if (cursor->end - stop < 2 || base[stop] != '\r' || base[stop + 1] != '\n' ||
            stop - line > parser->limits.field_bytes) {
            break;
        }
        status = add_header(parser, base + line, base + colon, base + stop);
        line = stop + 2;
    }
    parser->line_at = line;
    return status;
}

static enum sw_status read_value(struct sw_http_parser *parser, struct cursor *cursor) {
    const char *base = cursor->base;
    size_t stop = run_end(cursor, parser->scanned, CLASS_VALUE);
    parser->scanned = stop;
    if (stop - parser->line_at > parser->limits.field_bytes) {
        return sw_http_parser_fail(parser, 431, "header field is too long");
    }
    if (stop == cursor->end || (base[stop] == '\r' && stop + 1 == cursor->end)) {
        return SW_AGAIN;
    }
    if (base[stop] != '\r' || base[stop + 1] != '\n') {
        return sw_http_parser_fail(parser, 400,
                                   "header value holds a control character or a line end that is not CRLF");
    }
    size_t line = parser->line_at;
    parser->line_at = stop + 2;
    parser->phase = LINE;
    return add_header(parser, base + line, base + parser->mark_at - 1, base + stop);
}

static enum sw_status fail_name(struct sw_http_parser *parser, char stop, size_t len) {
    bool is_space = stop == ' ' || stop == '\t';
    if (is_space) {
        return sw_http_parser_fail(parser, 400,
                                   len == 0 ? "header line begins with white space (obsolete folding)"
                                            : "white space before the colon of a header");
    }
    return sw_http_parser_fail(parser, 400,
                               stop == '_' ? "header name holds an underscore" : "header name is not a token");
}

static enum sw_status read_name(struct sw_http_parser *parser, struct cursor *cursor) {
    size_t stop = run_end(cursor, parser->scanned, CLASS_TOKEN);
    while (stop < cursor->end && cursor->base[stop] == '_' && parser->limits.is_underscore_allowed) {
        stop = run_end(cursor, stop + 1, CLASS_TOKEN);
    }
    size_t len = stop - parser->line_at;
    parser->scanned = stop;
    if (len > parser->limits.field_bytes) {
        return sw_http_parser_fail(parser, 431, "header field is too long");
    }
    if (stop == cursor->end) {
        return SW_AGAIN;
    }
    if (len == 0 || cursor->base[stop] != ':') {
        return fail_name(parser, cursor->base[stop], len);
    }
    parser->mark_at = stop + 1;
    parser->scanned = stop + 1;
    parser->phase = VALUE;
    return SW_OK;
}

static enum sw_status read_line_start(struct sw_http_parser *parser, struct cursor *cursor) {
    enum sw_status status = read_whole_lines(parser, cursor);
    size_t at = parser->line_at;
    if (status != SW_OK) {
        return status;
    }
    if (at == cursor->end) {
        return SW_AGAIN;
    }
    if (cursor->base[at] != '\r') {
        if (parser->head.header_count == parser->header_cap) {
            return sw_http_parser_fail(parser, 431, "too many header fields");
        }
        parser->scanned = at;
        parser->phase = NAME;
        return SW_OK;
    }
    if (at + 1 == cursor->end) {
        return SW_AGAIN;
    }
    if (cursor->base[at + 1] != '\n') {
        return sw_http_parser_fail(parser, 400, "carriage return without line feed");
    }
    parser->head.size_bytes = at + 2;
    parser->phase = DONE;
    return SW_OK;
}

static enum sw_status step(struct sw_http_parser *parser, struct cursor *cursor) {
    switch ((enum phase)parser->phase) {
    case START:
        return read_start(parser, cursor);
    case METHOD:
        return read_method(parser, cursor);
    case TARGET:
        return read_target(parser, cursor);
    case VERSION:
        return read_version(parser, cursor);
    case LINE:
        return read_line_start(parser, cursor);
    case NAME:
        return read_name(parser, cursor);
    case VALUE:
        return read_value(parser, cursor);
    case DONE:
        return SW_OK;
    case FAILED:
        break;
    }
    return failure_status(parser->http_status);
}

static void rebase_view(struct sw_str *view, struct sw_str from, const char *to) {
    uintptr_t offset = (uintptr_t)view->ptr - (uintptr_t)from.ptr;
    if (offset < from.len) { /* else it is unset, or one of the literal paths */
        view->ptr = to + offset;
    }
}

/* The caller's buffer has moved: so do the views taken so far. */
static void rebase(struct sw_http_parser *parser, const char *to) {
    struct sw_http_head *head = &parser->head;
    struct sw_str *views[] = {&head->method_text, &head->target, &head->path, &head->query, &head->host};
    for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
        rebase_view(views[i], parser->bytes, to);
    }
    for (size_t i = 0; i < head->header_count; i++) {
        rebase_view(&head->headers[i].name, parser->bytes, to);
        rebase_view(&head->headers[i].value, parser->bytes, to);
    }
}

void sw_http_parser_init(struct sw_http_parser *parser, struct sw_http_header *headers, size_t header_cap,
                         const struct sw_http_limits *limits) {
    struct sw_http_limits set = limits ? *limits : (struct sw_http_limits){0};
    set.line_bytes = set.line_bytes ? set.line_bytes : 8000;
    set.field_bytes = set.field_bytes ? set.field_bytes : 8000;
    set.head_bytes = set.head_bytes ? set.head_bytes : 32768;
    *parser = (struct sw_http_parser){
        .limits = set,
        .head.headers = headers,
        .header_cap = header_cap,
        .scan = sw_http_scan_for(sw_cpu_level()),
    };
}

void sw_http_parser_reset(struct sw_http_parser *parser) {
    parser->head = (struct sw_http_head){.headers = parser->head.headers};
    parser->http_status = 0;
    parser->reason = NULL;
    parser->bytes = (struct sw_str){NULL, 0};
    parser->line_at = 0;
    parser->mark_at = 0;
    parser->scanned = 0;
    parser->phase = START;
    parser->notes = 0;
    parser->coding = 0;
    parser->connection = 0;
}

enum sw_status sw_http_parser_feed(struct sw_http_parser *parser, struct sw_str bytes) {
    if (parser->bytes.ptr && parser->bytes.ptr != bytes.ptr) {
        rebase(parser, bytes.ptr);
    }
    parser->bytes = bytes;
    size_t window = bytes.len < parser->limits.head_bytes ? bytes.len : parser->limits.head_bytes;
    struct cursor cursor = {.base = bytes.ptr, .end = window, .scan = parser->scan};
    enum sw_status status = SW_OK;
    while (status == SW_OK && parser->phase != DONE) {
        status = step(parser, &cursor);
        if (status == SW_OK && parser->phase == DONE) {
            status = sw_http_fields_finish(parser);
        }
    }
    if (status == SW_AGAIN && window == parser->limits.head_bytes) {
        return sw_http_parser_fail(parser, 431, "request head is too long");
    }
    return status;
}

const struct sw_http_header *sw_http_head_find(const struct sw_http_head *head, struct sw_str name) {
    for (size_t i = 0; i < head->header_count; i++) {
        if (sw_str_eq_nocase(head->headers[i].name, name)) {
            return &head->headers[i];
        }
    }
    return NULL;
}

bool sw_http_list_has(struct sw_str list, struct sw_str token) {
    while (list.ptr) {
        if (sw_str_eq_nocase(sw_str_trim(sw_str_cut(&list, ',')), token)) {
            return true;
        }
    }
    return false;
}
