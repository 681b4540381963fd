/* http_server.h - An HTTP/1.1 server on a reactor: keep-alive, pipelining, chunked bodies, limits and deadlines.
 *
 * The handler is called once per request, when its head is complete; the views in `call` are valid during that call
 * only. It answers at once or later, from the reactor's thread, through call->ref: a handle that is checked at every
 * use, so that answering a request whose connection is gone returns SW_CLOSED and touches nothing. A request body is
 * read only if the handler asks for it; one that is not asked for is drained up to a cap or the connection is closed.
 * Requests of one connection are served one after the other, in order.
 *
 * All output of a turn leaves in one write per connection. After a framing error the connection is answered and
 * closed.
 */
#ifndef SW_NET_HTTP_SERVER_H
#define SW_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "net/http_parser.h"
#include "net/reactor.h"
#include "net/socket.h"

struct sw_http_server;

/* One request of one connection; never valid again once that request is over. Copy freely. */
struct sw_http_ref {
    struct sw_http_server *server;
    uint32_t slot;
    uint32_t generation;
};

/* What the handler sees. */
struct sw_http_call {
    struct sw_http_ref ref;
    const struct sw_http_head *head; /* method, target, raw path, query, host, headers: see http_parser.h */
    /* Percent-decoded; "*" for OPTIONS *. Empty where it is not plain (sw_url_path_is_plain) or an escape is broken:
     * match nothing then, which makes it a 404. */
    struct sw_str path;
    const struct sw_address *peer;
};

typedef void (*sw_http_handler)(void *context, const struct sw_http_call *call);

/* Zero fields mean the default in brackets. */
struct sw_http_options {
    sw_http_handler handler; /* required */
    void *context;
    struct sw_http_limits limits; /* of heads, see http_parser.h */
    unsigned header_count_max;    /* [100] at most 256; beyond: 431 */
    uint64_t body_bytes_max;      /* [16 MiB] unless the handler says otherwise; beyond: 413 */
    uint64_t drain_bytes_max;     /* [64 KiB] of a body nobody asked for */
    unsigned connections_max;     /* [4096]; beyond: 503 and close */
    unsigned connections_per_ip;  /* [connections_max]; beyond: 429 and close. Unix sockets are not counted */
    unsigned pipeline_max;        /* [32] requests of one connection served per turn; the others wait */
    size_t backlog_bytes_max;     /* [64 KiB] received behind an unanswered request before reading pauses */
    size_t high_water_bytes;      /* [256 KiB] queued output above which sw_http_is_writable is false */
    size_t output_bytes_max;      /* [64 MiB] queued output beyond which writes return SW_LIMIT */
    int64_t head_timeout_ns;      /* [10 s] for a head, from accept or its first byte; then 408 */
    int64_t body_timeout_ns;      /* [10 s] grace before body_rate_min holds; then 408 */
    uint64_t body_rate_min;       /* [500] bytes per second, averaged from the body's begin */
    int64_t idle_timeout_ns;      /* [60 s] between requests */
    int64_t handler_timeout_ns;   /* [none] from head to answer; then 503 */
    int64_t write_timeout_ns;     /* [30 s] without any progress of pending output; then the connection is cut */
    int64_t linger_timeout_ns;    /* [2 s] to let the peer read a last answer before closing */
    struct sw_str server_name;    /* the Server header; empty: none */
    bool ends_with_peer;          /* a peer that is done sending is gone: an unanswered request of it is over. For */
                                  /*   answers that take long; a peer that shuts down only its own half gets none */
};

struct sw_http_stats {
    uint64_t connections;  /* open now */
    uint64_t accepted;     /* ever */
    uint64_t refused;      /* over a connection limit */
    uint64_t requests;     /* heads handed to the handler */
    uint64_t bad_requests; /* answered by the server itself with 4xx or 5xx */
    uint64_t timeouts;     /* of head, body, handler and write */
    uint64_t bytes_in, bytes_out;
};

SW_MUST_USE enum sw_status sw_http_server_open(struct sw_http_server **server, struct sw_reactor *reactor,
                                               const struct sw_http_options *options, struct sw_error *err);
/* Listens on `fd` (of sw_socket_listen, taken also on failure); may be called for several. */
SW_MUST_USE enum sw_status sw_http_server_listen(struct sw_http_server *server, int fd, struct sw_error *err);
/* Serves a connected socket, as if it had been accepted. Takes `fd`. */
void sw_http_server_adopt(struct sw_http_server *server, int fd, const struct sw_address *peer);
/* Stops listening and closes idle connections; others end after their answer ("Connection: close"). */
void sw_http_server_drain(struct sw_http_server *server);
bool sw_http_server_is_idle(const struct sw_http_server *server); /* no connection is open */
/* Closes everything; on_close and on_end callbacks run with SW_CLOSED. Not from inside a handler or callback. */
void sw_http_server_close(struct sw_http_server *server);
void sw_http_server_stats(const struct sw_http_server *server, struct sw_http_stats *stats);
struct sw_reactor *sw_http_server_reactor(const struct sw_http_server *server);

/* Zero fields are left out of the answer. */
struct sw_http_response {
    unsigned status; /* 0: 200 */
    struct sw_str content_type;
    const struct sw_http_header *headers; /* more; not Content-Length, Transfer-Encoding, Connection, Date */
    size_t header_count;
    struct sw_str body;
    bool is_body_static;     /* the body outlives the server: large ones are sent without a copy */
    bool is_closing;         /* close the connection after this answer */
    bool has_content_length; /* for sw_http_start: the length is known, so no chunks are used; */
    uint64_t content_length; /*   and for answers to HEAD: what GET would have sent */
};

/* Answers. SW_INVALID (and a 500 is sent) for CR, LF, NUL or non-token bytes in names and values, for a framing
 * header or a second answer; SW_CLOSED if the request is over. On HEAD, 204 and 304 the body is left out. */
SW_MUST_USE enum sw_status sw_http_respond(struct sw_http_ref ref, const struct sw_http_response *response);
/* The same for a short text; content_type NULL means "text/plain; charset=utf-8". */
SW_MUST_USE enum sw_status sw_http_respond_text(struct sw_http_ref ref, unsigned status, const char *content_type,
                                                struct sw_str body);
/* Starts an answer whose body follows in pieces (chunked; on HTTP/1.0 up to the close). response->body is the first. */
SW_MUST_USE enum sw_status sw_http_start(struct sw_http_ref ref, const struct sw_http_response *response);
/* Queues body bytes. SW_LIMIT above output_bytes_max or beyond a declared length: nothing was queued. */
SW_MUST_USE enum sw_status sw_http_write(struct sw_http_ref ref, struct sw_str bytes);
SW_MUST_USE enum sw_status sw_http_end(struct sw_http_ref ref); /* short of a declared length: cuts the connection */
/* Breaks the connection off without an answer. */
void sw_http_abort(struct sw_http_ref ref);

bool sw_http_is_open(struct sw_http_ref ref);     /* the request is not over */
bool sw_http_is_writable(struct sw_http_ref ref); /* open and below high water: droppable states are worth sending */
size_t sw_http_pending_bytes(struct sw_http_ref ref);

/* A header for the coming answer, whoever writes it (cookies of the guard). SW_INVALID as above. */
SW_MUST_USE enum sw_status sw_http_add_header(struct sw_http_ref ref, struct sw_str name, struct sw_str value);

/* Called once when the request is over: SW_OK answered in full (all queued), else SW_CLOSED. One per request. */
typedef void (*sw_http_close_fn)(void *context, struct sw_http_ref ref, enum sw_status status);
void sw_http_on_close(struct sw_http_ref ref, sw_http_close_fn fn, void *context);
/* Called whenever all queued output was sent while a started answer is open. One per request. */
typedef void (*sw_http_writable_fn)(void *context, struct sw_http_ref ref);
void sw_http_on_writable(struct sw_http_ref ref, sw_http_writable_fn fn, void *context);

/* How to read a request body. */
struct sw_http_body {
    uint64_t bytes_max; /* 0: the server's body_bytes_max */
    /* Each piece as it arrives (never empty, valid during the call); NULL: the body is collected for on_end. SW_AGAIN
     * takes the piece but pauses until sw_http_body_resume; another failure answers 500 and closes, unless the callback
     * has answered itself. */
    enum sw_status (*on_data)(void *context, struct sw_http_ref ref, struct sw_str bytes);
    /* Called once: SW_OK, and `body` is the whole where it was collected (valid during the call); else the server has
     * answered (SW_LIMIT 413, SW_TIMEOUT 408, SW_MALFORMED 400, SW_NOMEM 503) or the peer is gone (SW_CLOSED), or the
     * request was answered before its end (SW_INTERRUPTED). */
    void (*on_end)(void *context, struct sw_http_ref ref, enum sw_status status, struct sw_str body);
    void *context;
};

/* Asks for the body (also when there is none: on_end comes at once), sending 100 Continue if the client waits for it.
 * Calls back after the handler returned or, when called later, from a later turn. Once per request, before the
 * answer. */
SW_MUST_USE enum sw_status sw_http_read_body(struct sw_http_ref ref, const struct sw_http_body *body);
void sw_http_body_resume(struct sw_http_ref ref);

const char *sw_http_status_reason(unsigned status); /* "Not Found"; "" for unknown ones */

#endif
