/* http_response.c - Answers: heads checked and written into the output queue, bodies whole, chunked or to the close. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "net/http_impl.h"

#define INLINE_BODY_MAX ((size_t)16 * 1024) /* copied behind the head; longer ones get a chunk of their own */
#define LOAN_MIN ((size_t)4096)             /* shorter static bodies are cheaper to copy than to send as a part */
#define HEAD_FIXED_BYTES 256                /* status line, Date, Content-Length or Transfer-Encoding, Connection */
#define CHUNK_HEAD_MAX 18                   /* 16 hex digits, CRLF */

struct reason {
    unsigned status;
    const char *text;
};

static const struct reason reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *sw_http_status_reason(unsigned status) {
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].status == status) {
            return reasons[i].text;
        }
    }
    return "";
}

static bool is_token(struct sw_str name) {
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        bool is_alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!is_alnum && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c))) {
            return false;
        }
    }
    return name.len > 0;
}

static bool is_field_value(struct sw_str value) {
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Headers that decide about framing or belong to the server. */
static bool is_reserved(struct sw_str name) {
    static const char *const names[] = {"content-length", "transfer-encoding", "connection",
                                        "date",           "keep-alive",        "trailer"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (sw_str_eq_nocase(name, sw_str_from(names[i]))) {
            return true;
        }
    }
    return false;
}

static bool is_header_ok(struct sw_str name, struct sw_str value) {
    return is_token(name) && is_field_value(value) && !is_reserved(name);
}

static bool is_response_ok(const struct sw_http_response *response) {
    unsigned status = response->status ? response->status : 200;
    if (status < 200 || status > 599 || !is_field_value(response->content_type)) {
        return false;
    }
    for (size_t i = 0; i < response->header_count; i++) {
        if (!is_header_ok(response->headers[i].name, response->headers[i].value)) {
            return false;
        }
    }
    return true;
}

static void refresh_date(struct sw_http_server *server) {
    uint64_t turn = sw_reactor_turns(server->reactor);
    if (server->date_len > 0 && server->date_turn == turn) {
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    server->date_turn = turn;
    if (server->date_len > 0 && server->date_second == now.tv_sec) {
        return;
    }
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    int written = snprintf(server->date, sizeof server->date, "Date: %.3s, %02u %.3s %04u %02u:%02u:%02u GMT\r\n",
                           days + 3 * utc.tm_wday, (unsigned)utc.tm_mday % 100u, months + 3 * utc.tm_mon,
                           (unsigned)(utc.tm_year + 1900) % 10000u, (unsigned)utc.tm_hour % 100u,
                           (unsigned)utc.tm_min % 100u, (unsigned)utc.tm_sec % 100u);
    server->date_len = written > 0 ? (size_t)written : 0;
    server->date_second = now.tv_sec;
}

static char *put(char *at, struct sw_str text) {
    if (text.len > 0) {
        memcpy(at, text.ptr, text.len);
    }
    return at + text.len;
}

static char *put_header(char *at, struct sw_str name, struct sw_str value) {
    at = put(at, name);
    at = put(at, SW_STR(": "));
    at = put(at, value);
    return put(at, SW_STR("\r\n"));
}

static size_t head_bound(const struct sw_http_conn *conn, const struct sw_http_response *response) {
    size_t bytes =
        HEAD_FIXED_BYTES + response->content_type.len + conn->server->options.server_name.len + conn->extra.len;
    for (size_t i = 0; i < response->header_count; i++) {
        bytes += response->headers[i].name.len + response->headers[i].value.len + 4;
    }
    return bytes;
}

static char *put_status_line(char *at, unsigned status) {
    if (status == 200) {
        return put(at, SW_STR("HTTP/1.1 200 OK\r\n"));
    }
    at = put(at, SW_STR("HTTP/1.1 "));
    at += sw_num_format_u64(status, at);
    *at++ = ' ';
    at = put(at, sw_str_from(sw_http_status_reason(status)));
    return put(at, SW_STR("\r\n"));
}

/* Decides how the body's end will be known, and whether the connection survives it. */
static void choose_framing(struct sw_http_conn *conn, const struct sw_http_response *response, unsigned status) {
    const struct sw_http_options *options = &conn->server->options;
    conn->is_bodiless = conn->is_head_method || status == 204 || status == 304;
    conn->is_chunked_out = !conn->has_length_out && !conn->is_http10 && !conn->is_bodiless;
    bool is_undelimited = !conn->has_length_out && conn->is_http10 && !conn->is_bodiless;
    bool is_body_unread = conn->body_state != SW_HTTP_BODY_DONE;
    bool is_body_long = !conn->is_chunked_in && conn->body_left > options->drain_bytes_max;
    bool is_body_doubtful = is_body_unread && (conn->is_expecting || is_body_long);
    if (response->is_closing || is_undelimited || is_body_doubtful || conn->server->is_draining) {
        conn->is_keep_alive = false;
    }
}

static char *put_framing(char *at, const struct sw_http_conn *conn, unsigned status, uint64_t length) {
    if (conn->has_length_out && status != 204 && status != 304) {
        at = put(at, SW_STR("Content-Length: "));
        at += sw_num_format_u64(length, at);
        at = put(at, SW_STR("\r\n"));
    } else if (!conn->has_length_out && !conn->is_http10 && status != 204 && status != 304) {
        at = put(at, SW_STR("Transfer-Encoding: chunked\r\n")); /* also what HEAD tells of GET */
    }
    if (!conn->is_keep_alive) {
        at = put(at, SW_STR("Connection: close\r\n"));
    } else if (conn->is_http10) {
        at = put(at, SW_STR("Connection: keep-alive\r\n"));
    }
    return at;
}

/* The head of a checked response, with conn->has_length_out and conn->length_out set; then up to INLINE_BODY_MAX of
 * body. */
static enum sw_status write_head(struct sw_http_conn *conn, const struct sw_http_response *response,
                                 struct sw_str inline_body) {
    struct sw_http_server *server = conn->server;
    unsigned status = response->status ? response->status : 200;
    choose_framing(conn, response, status);
    refresh_date(server);
    if (conn->is_bodiless) {
        inline_body.len = 0;
    }
    sw_http_conn_arm_write(conn);
    char *begin = sw_stream_reserve(&conn->stream, head_bound(conn, response) + inline_body.len);
    if (!begin) {
        return conn->stream.is_dead ? SW_CLOSED : SW_NOMEM;
    }
    char *at = put_status_line(begin, status);
    if (server->options.server_name.len > 0) {
        at = put_header(at, SW_STR("Server"), server->options.server_name);
    }
    at = put(at, sw_str_make(server->date, server->date_len));
    if (response->content_type.len > 0) {
        at = put_header(at, SW_STR("Content-Type"), response->content_type);
    }
    for (size_t i = 0; i < response->header_count; i++) {
        at = put_header(at, response->headers[i].name, response->headers[i].value);
    }
    at = put(at, sw_buf_view(&conn->extra));
    at = put_framing(at, conn, status, conn->length_out);
    at = put(at, SW_STR("\r\n"));
    at = put(at, inline_body);
    sw_stream_commit(&conn->stream, (size_t)(at - begin));
    return SW_OK;
}

/* For answers whose body is in `response`. */
enum sw_status sw_http_write_head(struct sw_http_conn *conn, const struct sw_http_response *response) {
    struct sw_str body = response->body;
    bool is_inline = body.len <= (response->is_body_static ? LOAN_MIN : INLINE_BODY_MAX);
    conn->has_length_out = true;
    conn->length_out = response->has_content_length && conn->is_head_method ? response->content_length : body.len;
    enum sw_status status = write_head(conn, response, is_inline ? body : (struct sw_str){0});
    if (status != SW_OK || is_inline || conn->is_bodiless) {
        return status;
    }
    if (response->is_body_static) {
        return sw_stream_write_loan(&conn->stream, &(struct sw_stream_loan){.bytes = body});
    }
    return sw_stream_write(&conn->stream, body);
}

static struct sw_http_conn *find_request(struct sw_http_ref ref) {
    struct sw_http_conn *conn = sw_http_find(ref);
    return conn && conn->phase == SW_HTTP_PHASE_REQUEST ? conn : NULL;
}

/* Finds the request that `response` may answer; a response that must not be sent becomes a 500. */
static enum sw_status admit(struct sw_http_ref ref, const struct sw_http_response *response,
                            struct sw_http_conn **out) {
    struct sw_http_conn *conn = find_request(ref);
    if (!conn) {
        return SW_CLOSED;
    }
    if (conn->answer != SW_HTTP_ANSWER_NONE) {
        return SW_INVALID;
    }
    if (!is_response_ok(response)) {
        struct sw_http_response failure = {.status = 500, .is_closing = true};
        if (sw_http_write_head(conn, &failure) != SW_OK) {
            sw_http_conn_kill(conn);
            return SW_INVALID;
        }
        conn->answer = SW_HTTP_ANSWER_DONE;
        sw_http_conn_schedule(conn);
        return SW_INVALID;
    }
    *out = conn;
    return SW_OK;
}

enum sw_status sw_http_respond(struct sw_http_ref ref, const struct sw_http_response *response) {
    struct sw_http_conn *conn = NULL;
    enum sw_status status = admit(ref, response, &conn);
    if (status != SW_OK) {
        return status;
    }
    status = sw_http_write_head(conn, response);
    if (status != SW_OK) {
        sw_http_conn_kill(conn); /* perhaps half of it is queued */
        return status;
    }
    conn->answer = SW_HTTP_ANSWER_DONE;
    sw_http_conn_schedule(conn);
    return SW_OK;
}

enum sw_status sw_http_respond_text(struct sw_http_ref ref, unsigned status, const char *content_type,
                                    struct sw_str body) {
    struct sw_http_response response = {.status = status,
                                        .content_type = content_type ? sw_str_from(content_type)
                                                                     : SW_STR("text/plain; charset=utf-8"),
                                        .body = body};
    return sw_http_respond(ref, &response);
}

enum sw_status sw_http_start(struct sw_http_ref ref, const struct sw_http_response *response) {
    struct sw_http_conn *conn = NULL;
    enum sw_status status = admit(ref, response, &conn);
    if (status != SW_OK) {
        return status;
    }
    conn->has_length_out = response->has_content_length;
    conn->length_out = response->content_length;
    status = write_head(conn, response, (struct sw_str){0});
    if (status != SW_OK) {
        sw_http_conn_kill(conn);
        return status;
    }
    conn->answer = SW_HTTP_ANSWER_STARTED;
    return response->body.len > 0 ? sw_http_write(ref, response->body) : SW_OK;
}

static enum sw_status write_chunk(struct sw_http_conn *conn, struct sw_str bytes) {
    char *begin = sw_stream_reserve(&conn->stream, bytes.len + CHUNK_HEAD_MAX + 3);
    if (!begin) {
        return conn->stream.is_dead ? SW_CLOSED : SW_NOMEM;
    }
    int written = snprintf(begin, CHUNK_HEAD_MAX + 1, "%zx\r\n", bytes.len);
    char *at = put(begin + written, bytes);
    at = put(at, SW_STR("\r\n"));
    sw_stream_commit(&conn->stream, (size_t)(at - begin));
    return SW_OK;
}

enum sw_status sw_http_write(struct sw_http_ref ref, struct sw_str bytes) {
    struct sw_http_conn *conn = find_request(ref);
    if (!conn) {
        return SW_CLOSED;
    }
    if (conn->answer != SW_HTTP_ANSWER_STARTED) {
        return SW_INVALID;
    }
    if (conn->stream.pending_bytes + bytes.len > conn->server->options.output_bytes_max ||
        (conn->has_length_out && bytes.len > conn->length_out)) {
        return SW_LIMIT;
    }
    if (bytes.len == 0 || conn->is_bodiless) { /* an empty chunk would be the end */
        return SW_OK;
    }
    sw_http_conn_arm_write(conn);
    enum sw_status status = conn->is_chunked_out ? write_chunk(conn, bytes) : sw_stream_write(&conn->stream, bytes);
    if (status == SW_OK && conn->has_length_out) {
        conn->length_out -= bytes.len;
    }
    return status;
}

enum sw_status sw_http_end(struct sw_http_ref ref) {
    struct sw_http_conn *conn = find_request(ref);
    if (!conn) {
        return SW_CLOSED;
    }
    if (conn->answer != SW_HTTP_ANSWER_STARTED) {
        return SW_INVALID;
    }
    bool is_short = conn->has_length_out && conn->length_out > 0 && !conn->is_bodiless;
    sw_http_conn_arm_write(conn);
    bool is_ended =
        !is_short && (!conn->is_chunked_out || sw_stream_write(&conn->stream, SW_STR("0\r\n\r\n")) == SW_OK);
    if (!is_ended) {
        sw_http_conn_kill(conn);
        return is_short ? SW_INVALID : SW_NOMEM;
    }
    conn->answer = SW_HTTP_ANSWER_DONE;
    sw_http_conn_schedule(conn);
    return SW_OK;
}

void sw_http_abort(struct sw_http_ref ref) {
    struct sw_http_conn *conn = sw_http_find(ref);
    if (conn) {
        sw_http_conn_kill(conn);
    }
}

bool sw_http_is_open(struct sw_http_ref ref) {
    const struct sw_http_conn *conn = sw_http_find(ref);
    return conn && (conn->phase == SW_HTTP_PHASE_UPGRADED ||
                    (conn->phase == SW_HTTP_PHASE_REQUEST && conn->answer != SW_HTTP_ANSWER_DONE));
}

bool sw_http_is_writable(struct sw_http_ref ref) {
    return sw_http_is_open(ref) && sw_http_pending_bytes(ref) <= ref.server->options.high_water_bytes;
}

size_t sw_http_pending_bytes(struct sw_http_ref ref) {
    const struct sw_http_conn *conn = sw_http_find(ref);
    return conn ? conn->stream.pending_bytes : 0;
}

enum sw_status sw_http_add_header(struct sw_http_ref ref, struct sw_str name, struct sw_str value) {
    struct sw_http_conn *conn = find_request(ref);
    if (!conn) {
        return SW_CLOSED;
    }
    if (conn->answer != SW_HTTP_ANSWER_NONE || !is_header_ok(name, value)) {
        return SW_INVALID;
    }
    enum sw_status status = sw_buf_reserve(&conn->extra, name.len + value.len + 4);
    if (status == SW_OK) {
        char *end = put_header(conn->extra.ptr + conn->extra.len, name, value);
        conn->extra.len = (size_t)(end - conn->extra.ptr);
    }
    return status;
}

void sw_http_on_close(struct sw_http_ref ref, sw_http_close_fn fn, void *context) {
    struct sw_http_conn *conn = find_request(ref);
    if (conn) {
        conn->on_close = fn;
        conn->on_close_context = context;
    }
}

void sw_http_on_writable(struct sw_http_ref ref, sw_http_writable_fn fn, void *context) {
    struct sw_http_conn *conn = find_request(ref);
    if (conn) {
        conn->on_writable = fn;
        conn->on_writable_context = context;
    }
}
