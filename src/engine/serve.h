/* serve.h - A running engine over HTTP: dashboard, live views, queries, metrics, ingest. See docs/live-protocol.md.
 *
 * Runs on the reactor of the caller's thread. Listens on loopback unless a token, or an explicit wish for none, is given.
 */
#ifndef SW_ENGINE_SERVE_H
#define SW_ENGINE_SERVE_H

#include "engine/engine.h"
#include "net/reactor.h"

struct sw_serve_options {
    struct sw_str listen;
    struct sw_str token;        /* empty: none */
    bool is_open_to_all;        /* allows an address beyond loopback without a token */
    const struct sw_str *hosts; /* names visitors may use, beside the address */
    unsigned host_count;
    struct sw_str page, page_gzip; /* the dashboard; text that outlives the server */
};

struct sw_serve;

/* Between sw_engine_open and sw_engine_start. The engine must outlive it, ended by the time of sw_serve_close. */
SW_MUST_USE enum sw_status sw_serve_open(struct sw_serve **serve, struct sw_reactor *reactor, struct sw_engine *engine,
                                         const struct sw_serve_options *options, struct sw_error *err);
const char *sw_serve_url(const struct sw_serve *serve); /* "http://127.0.0.1:8080/" */
/* Takes no more rows, and /health says so; all else is answered until sw_serve_close. Before sw_engine_wait in another thread. */
void sw_serve_ending(struct sw_serve *serve);
void sw_serve_close(struct sw_serve *serve); /* NULL is fine */

#endif
