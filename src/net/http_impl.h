/* http_impl.h - The inside of the HTTP server: connections, their phases, and what its files share.
 *
 * Invariants:
 * - A connection reads at most one request at a time; what is received behind it waits in `backlog`.
 * - Only process() in http_conn.c moves a connection on; answers given elsewhere schedule it. So no handler is ever
 *   entered from inside another one, and head views are safe during the handler.
 * - A killed connection stays in memory until the end of the turn (server->graveyard), so that callers up the stack can
 *   look at its phase.
 */
#ifndef SW_NET_HTTP_IMPL_H
#define SW_NET_HTTP_IMPL_H

#include "base/buf.h"
#include "base/map.h"
#include "net/http_chunked.h"
#include "net/http_server.h"
#include "net/stream.h"
#include "net/ws_deflate.h"

#define SW_HTTP_LISTENERS_MAX 8

enum sw_http_phase {
    SW_HTTP_PHASE_HEAD,     /* between requests, or inside a head */
    SW_HTTP_PHASE_REQUEST,  /* the handler has the request: body and answer */
    SW_HTTP_PHASE_CLOSING,  /* the last answer is on its way; input is discarded */
    SW_HTTP_PHASE_UPGRADED, /* another protocol owns the bytes, for good */
    SW_HTTP_PHASE_DEAD,
};

enum sw_http_answer {
    SW_HTTP_ANSWER_NONE,
    SW_HTTP_ANSWER_STARTED,
    SW_HTTP_ANSWER_DONE,
};

enum sw_http_body_state {
    SW_HTTP_BODY_DONE,    /* none, or read to its end */
    SW_HTTP_BODY_UNASKED, /* nobody wants it so far */
    SW_HTTP_BODY_READING,
    SW_HTTP_BODY_PAUSED,   /* its reader said SW_AGAIN */
    SW_HTTP_BODY_DRAINING, /* answered already: read and dropped, to keep the connection */
};

enum sw_http_timer_mode {
    SW_HTTP_TIMER_OFF,
    SW_HTTP_TIMER_IDLE,
    SW_HTTP_TIMER_HEAD,
    SW_HTTP_TIMER_BODY,
    SW_HTTP_TIMER_HANDLER,
    SW_HTTP_TIMER_LINGER,
};

/* The protocol after a 101. */
struct sw_http_upgrade_events {
    void (*on_data)(void *context, struct sw_str bytes);
    void (*on_end)(void *context);   /* the peer sends no more */
    void (*on_drain)(void *context); /* all output was sent */
    void (*on_leave)(void *context); /* the server is draining: say goodbye */
    void (*on_close)(void *context); /* the last event */
    void (*release)(void *context);  /* frees; nothing up the stack uses it any more */
};

struct sw_http_conn {
    struct sw_http_server *server;
    struct sw_stream stream;
    struct sw_address peer;
    uint64_t peer_hash;
    bool is_counted; /* in server->per_ip */
    uint32_t slot;
    enum sw_http_phase phase;
    struct sw_buf backlog;         /* received, not consumed */
    struct sw_http_parser *parser; /* of a head that came in parts, else NULL */
    struct sw_deferred resume;     /* process() at the end of the turn */
    struct sw_http_conn *next_dead;
    bool is_processing;
    bool is_peer_done; /* end of input was seen */

    struct sw_timer timer;
    enum sw_http_timer_mode timer_mode;
    struct sw_timer write_timer;
    int64_t progress_ns; /* when output last moved, or began to wait */

    /* The request being served. */
    bool is_head_method;
    bool is_http10;
    bool is_keep_alive;
    bool is_expecting; /* 100 Continue not sent */
    enum sw_http_answer answer;
    bool is_chunked_out;
    bool has_length_out;
    bool is_bodiless;    /* HEAD, 204, 304: body bytes of the answer are dropped */
    uint64_t length_out; /* still to be written */
    struct sw_buf extra; /* header lines for the answer */
    sw_http_close_fn on_close;
    void *on_close_context;
    sw_http_writable_fn on_writable;
    void *on_writable_context;

    enum sw_http_body_state body_state;
    bool is_chunked_in;
    uint64_t body_left; /* of a Content-Length */
    struct sw_http_chunked chunked;
    struct sw_http_body sink;
    bool has_sink;
    struct sw_buf collected;
    uint64_t body_seen; /* bytes of it taken, framing included, since body_start_ns */
    int64_t body_start_ns;
    uint64_t drained_bytes; /* while draining or closing */
    bool is_dirty;          /* unread input: linger before closing */

    const struct sw_http_upgrade_events *upgrade;
    void *upgrade_context;
};

struct sw_http_slot {
    struct sw_http_conn *conn; /* NULL when free */
    uint32_t generation;       /* of the request being served; grows with each */
    uint32_t next_free;
};

struct sw_http_server {
    struct sw_reactor *reactor;
    struct sw_http_options options; /* defaults filled in */
    struct sw_http_parser parser;   /* for heads that arrive whole */
    struct sw_http_header *headers;
    char *path; /* room for the decoded path of the request being handed over */
    struct sw_http_slot *slots;
    uint32_t slot_count, slot_cap, free_slot; /* free_slot: index + 1 */
    struct sw_map per_ip;
    struct sw_http_stats stats;
    struct sw_listener listeners[SW_HTTP_LISTENERS_MAX];
    unsigned listener_count;
    bool is_draining;
    struct sw_http_conn *graveyard;
    struct sw_deferred reap;
    struct sw_ws_deflater deflaters[16]; /* by window bits; shared, since no context is taken over */
    uint64_t date_turn;                  /* the reactor's turn at which `date` was last checked */
    int64_t date_second;
    char date[40]; /* "Date: ...\r\n" */
    size_t date_len;
};

/* http_server.c */
struct sw_http_conn *sw_http_find(struct sw_http_ref ref); /* NULL if the request is over */
struct sw_http_ref sw_http_ref_of(const struct sw_http_conn *conn);
void sw_http_forget(struct sw_http_conn *conn); /* frees the slot and queues the memory for the end of the turn */

/* http_conn.c */
void sw_http_conn_open(struct sw_http_conn *conn, int fd); /* server, slot and peer are set; takes fd */
void sw_http_conn_kill(struct sw_http_conn *conn);
void sw_http_conn_schedule(struct sw_http_conn *conn);  /* process() soon, unless it is running */
void sw_http_conn_arm_write(struct sw_http_conn *conn); /* before output is queued */
/* Answers with an error of the server's own and closes; the request's callbacks get `status`. */
void sw_http_conn_fail(struct sw_http_conn *conn, unsigned http_status, const char *reason, enum sw_status status);
/* The request is over: tells its callbacks and makes its handle stale. */
void sw_http_conn_end_request(struct sw_http_conn *conn, enum sw_status status);
/* Sends `head` (a whole 101 answer) and hands the bytes that follow to `events`; the request's handle stays valid until
 * the connection ends. */
SW_MUST_USE enum sw_status sw_http_conn_upgrade(struct sw_http_conn *conn, struct sw_str head,
                                                const struct sw_http_upgrade_events *events, void *context);
/* No more output will be queued: closes when everything is sent. */
void sw_http_conn_close_soon(struct sw_http_conn *conn);

/* http_body.c */
void sw_http_body_begin(struct sw_http_conn *conn, const struct sw_http_head *head);
bool sw_http_body_step(struct sw_http_conn *conn, struct sw_str *rest);                         /* true if it got on */
void sw_http_body_finish(struct sw_http_conn *conn, enum sw_status status, struct sw_str body); /* on_end, once */

/* http_response.c */
SW_MUST_USE enum sw_status sw_http_write_head(struct sw_http_conn *conn, const struct sw_http_response *response);

#endif
