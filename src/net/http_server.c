/* http_server.c - The server as a whole: options, listeners, connection limits, handles, statistics. */
#include "net/http_server.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/http_impl.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static void default_u64(uint64_t *field, uint64_t value) {
    *field = *field ? *field : value;
}

static void default_unsigned(unsigned *field, unsigned value) {
    *field = *field ? *field : value;
}

static void default_size(size_t *field, size_t value) {
    *field = *field ? *field : value;
}

static void default_ns(int64_t *field, int64_t value) {
    *field = *field ? *field : value;
}

static void fill_defaults(struct sw_http_options *options) {
    default_size(&options->limits.line_bytes, 8 * KIB);
    default_unsigned(&options->header_count_max, 100);
    options->header_count_max = options->header_count_max > 256 ? 256 : options->header_count_max;
    default_u64(&options->body_bytes_max, 16 * MIB);
    default_u64(&options->drain_bytes_max, 64 * KIB);
    default_unsigned(&options->connections_max, 4096);
    default_unsigned(&options->connections_per_ip, options->connections_max);
    default_unsigned(&options->pipeline_max, 32);
    default_size(&options->backlog_bytes_max, 64 * KIB);
    default_size(&options->high_water_bytes, 256 * KIB);
    default_size(&options->output_bytes_max, 64 * MIB);
    default_ns(&options->head_timeout_ns, 10 * SW_NS_PER_S);
    default_ns(&options->body_timeout_ns, 10 * SW_NS_PER_S);
    default_u64(&options->body_rate_min, 500);
    default_ns(&options->idle_timeout_ns, 60 * SW_NS_PER_S);
    default_ns(&options->write_timeout_ns, 30 * SW_NS_PER_S);
    default_ns(&options->linger_timeout_ns, 2 * SW_NS_PER_S);
}

static bool take_slot(struct sw_http_server *server, uint32_t *slot) {
    if (server->free_slot) {
        *slot = server->free_slot - 1;
        server->free_slot = server->slots[*slot].next_free;
        return true;
    }
    if (server->slot_count == server->slot_cap) {
        uint32_t cap = server->slot_cap ? server->slot_cap * 2 : 64;
        struct sw_http_slot *slots = sw_realloc_array(server->slots, cap, sizeof *slots);
        if (!slots) {
            return false;
        }
        server->slots = slots;
        server->slot_cap = cap;
    }
    *slot = server->slot_count++;
    server->slots[*slot] = (struct sw_http_slot){.generation = 1};
    return true;
}

static void give_slot(struct sw_http_server *server, uint32_t slot) {
    server->slots[slot].conn = NULL;
    server->slots[slot].generation++;
    server->slots[slot].next_free = server->free_slot;
    server->free_slot = slot + 1;
}

static struct sw_str hash_key(const uint64_t *hash) {
    return sw_str_make((const char *)hash, sizeof *hash);
}

/* False if the host has as many connections as it may. Without a limit of its own nothing is counted. */
static bool count_host(struct sw_http_server *server, const struct sw_address *peer, uint64_t *hash, bool *is_counted) {
    *is_counted = false;
    bool is_limited = server->options.connections_per_ip < server->options.connections_max;
    if (!is_limited || peer->storage.ss_family == AF_UNIX) {
        return true;
    }
    uint64_t count = 0;
    *hash = sw_address_host_hash(peer);
    sw_map_get(&server->per_ip, hash_key(hash), &count);
    if (count >= server->options.connections_per_ip ||
        sw_map_put(&server->per_ip, hash_key(hash), count + 1) != SW_OK) {
        return false;
    }
    *is_counted = true;
    return true;
}

static void uncount_host(struct sw_http_server *server, uint64_t hash) {
    uint64_t count = 0;
    sw_map_get(&server->per_ip, hash_key(&hash), &count);
    if (count > 1) {
        enum sw_status status = sw_map_put(&server->per_ip, hash_key(&hash), count - 1);
        (void)status; /* overwriting allocates nothing */
    } else {
        sw_map_remove(&server->per_ip, hash_key(&hash));
    }
}

/* A word to the peer if its buffer takes it, which a fresh one does. */
static void refuse(struct sw_http_server *server, int fd, struct sw_str answer) {
    server->stats.refused++;
    ssize_t ignored = send(fd, answer.ptr, answer.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)ignored;
    shutdown(fd, SHUT_WR);
    close(fd);
}

#define REFUSAL(line) SW_STR("HTTP/1.1 " line "\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n")

void sw_http_server_adopt(struct sw_http_server *server, int fd, const struct sw_address *peer) {
    uint64_t hash = 0;
    bool is_counted = false;
    uint32_t slot = 0;
    if (server->stats.connections >= server->options.connections_max || server->is_draining) {
        refuse(server, fd, REFUSAL("503 Service Unavailable"));
        return;
    }
    if (!count_host(server, peer, &hash, &is_counted)) {
        refuse(server, fd, REFUSAL("429 Too Many Requests"));
        return;
    }
    struct sw_http_conn *conn = sw_alloc_zero(sizeof *conn);
    if (!conn || !take_slot(server, &slot)) {
        sw_free(conn);
        if (is_counted) {
            uncount_host(server, hash);
        }
        refuse(server, fd, REFUSAL("503 Service Unavailable"));
        return;
    }
    conn->server = server;
    conn->slot = slot;
    conn->peer = *peer;
    conn->peer_hash = hash;
    conn->is_counted = is_counted;
    server->slots[slot].conn = conn;
    server->stats.accepted++;
    server->stats.connections++;
    sw_http_conn_open(conn, fd);
}

static void on_accept(void *context, int fd, const struct sw_address *peer) {
    sw_http_server_adopt(context, fd, peer);
}

static void reap(void *context) {
    struct sw_http_server *server = context;
    while (server->graveyard) {
        struct sw_http_conn *conn = server->graveyard;
        server->graveyard = conn->next_dead;
        if (conn->upgrade) {
            conn->upgrade->release(conn->upgrade_context);
        }
        sw_buf_release(&conn->backlog);
        sw_buf_release(&conn->extra);
        sw_buf_release(&conn->collected);
        sw_free(conn->parser);
        sw_free(conn);
    }
}

struct sw_http_conn *sw_http_find(struct sw_http_ref ref) {
    if (!ref.server || ref.slot >= ref.server->slot_count) {
        return NULL;
    }
    const struct sw_http_slot *slot = &ref.server->slots[ref.slot];
    return slot->generation == ref.generation ? slot->conn : NULL;
}

struct sw_http_ref sw_http_ref_of(const struct sw_http_conn *conn) {
    return (struct sw_http_ref){conn->server, conn->slot, conn->server->slots[conn->slot].generation};
}

void sw_http_forget(struct sw_http_conn *conn) {
    struct sw_http_server *server = conn->server;
    if (conn->is_counted) {
        uncount_host(server, conn->peer_hash);
    }
    server->stats.connections--;
    server->stats.bytes_in += conn->stream.received_bytes;
    server->stats.bytes_out += conn->stream.sent_bytes;
    give_slot(server, conn->slot);
    conn->next_dead = server->graveyard;
    server->graveyard = conn;
    sw_reactor_defer(server->reactor, &server->reap);
}

enum sw_status sw_http_server_open(struct sw_http_server **out, struct sw_reactor *reactor,
                                   const struct sw_http_options *options, struct sw_error *err) {
    if (!options->handler) {
        return sw_fail(err, SW_INVALID, "cannot create an HTTP server without a handler");
    }
    struct sw_http_server *server = sw_alloc_zero(sizeof *server);
    if (!server) {
        return sw_fail(err, SW_NOMEM, "cannot create an HTTP server: out of memory");
    }
    server->reactor = reactor;
    server->options = *options;
    fill_defaults(&server->options);
    server->headers = sw_alloc_array(server->options.header_count_max, sizeof *server->headers);
    server->path = sw_alloc(server->options.limits.line_bytes);
    server->reap = (struct sw_deferred){.fn = reap, .context = server};
    server->date_second = -1;
    if (!server->headers || !server->path) {
        sw_http_server_close(server);
        return sw_fail(err, SW_NOMEM, "cannot create an HTTP server: out of memory");
    }
    sw_http_parser_init(&server->parser, server->headers, server->options.header_count_max, &server->options.limits);
    *out = server;
    return SW_OK;
}

enum sw_status sw_http_server_listen(struct sw_http_server *server, int fd, struct sw_error *err) {
    if (server->listener_count == SW_HTTP_LISTENERS_MAX) {
        close(fd);
        return sw_fail(err, SW_LIMIT, "cannot listen on more than %d sockets", SW_HTTP_LISTENERS_MAX);
    }
    struct sw_listener *listener = &server->listeners[server->listener_count];
    sw_listener_set(listener, on_accept, server);
    enum sw_status status = sw_listener_open(listener, server->reactor, fd, err);
    if (status == SW_OK) {
        server->listener_count++;
    }
    return status;
}

static void stop_listening(struct sw_http_server *server) {
    for (unsigned i = 0; i < server->listener_count; i++) {
        sw_listener_close(&server->listeners[i]);
    }
    server->listener_count = 0;
}

void sw_http_server_drain(struct sw_http_server *server) {
    stop_listening(server);
    server->is_draining = true;
    for (uint32_t slot = 0; slot < server->slot_count; slot++) {
        struct sw_http_conn *conn = server->slots[slot].conn;
        if (conn && conn->phase == SW_HTTP_PHASE_HEAD && conn->backlog.len == 0) {
            sw_http_conn_close_soon(conn);
        } else if (conn && conn->phase == SW_HTTP_PHASE_UPGRADED) {
            conn->upgrade->on_leave(conn->upgrade_context);
        }
    }
}

bool sw_http_server_is_idle(const struct sw_http_server *server) {
    return server->stats.connections == 0;
}

void sw_http_server_close(struct sw_http_server *server) {
    if (!server) {
        return;
    }
    stop_listening(server);
    server->is_draining = true;
    for (uint32_t slot = 0; slot < server->slot_count; slot++) {
        if (server->slots[slot].conn) {
            sw_http_conn_kill(server->slots[slot].conn);
        }
    }
    sw_reactor_defer_cancel(&server->reap);
    reap(server);
    for (size_t bits = 0; bits < sizeof server->deflaters / sizeof server->deflaters[0]; bits++) {
        sw_ws_deflater_release(&server->deflaters[bits]);
    }
    sw_map_release(&server->per_ip);
    sw_free(server->slots);
    sw_free(server->headers);
    sw_free(server->path);
    sw_free(server);
}

void sw_http_server_stats(const struct sw_http_server *server, struct sw_http_stats *stats) {
    *stats = server->stats;
    for (uint32_t slot = 0; slot < server->slot_count; slot++) {
        const struct sw_http_conn *conn = server->slots[slot].conn;
        if (conn) {
            stats->bytes_in += conn->stream.received_bytes;
            stats->bytes_out += conn->stream.sent_bytes;
        }
    }
}

struct sw_reactor *sw_http_server_reactor(const struct sw_http_server *server) {
    return server->reactor;
}
