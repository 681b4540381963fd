/* source_socket.c - TCP and UDP listeners as sources: lines of many senders become the rows of one intake.
 *
 * Each TCP connection has a decoder of its own (and, for csv without --columns, its own header line). When the workers are behind, the
 * intake waits, the thread stops reading, and TCP makes the senders wait.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/source.h"
#include "net/socket.h"

#define READ_BYTES (64u * 1024u)
#define READS_A_TURN 4 /* of one connection, before the others get theirs */
#define TICK_NS (50 * SW_NS_PER_MS)
#define CONNECTIONS_MAX 4096u
#define DATAGRAMS 64 /* a system call */
#define DATAGRAM_BYTES 65536u

struct connection;

struct listener_source {
    struct sw_source *source;
    struct sw_reactor *reactor;
    struct sw_listener listener;
    struct sw_watch stop;
    struct sw_watch datagrams;
    struct sw_timer tick;
    struct sw_deferred flush;
    struct sw_decoder *decoder; /* udp */
    struct connection *connections;
    unsigned connection_count;
    enum sw_status status;
    struct sw_error *err;
    char *bytes; /* owned: READ_BYTES, or DATAGRAMS x DATAGRAM_BYTES */
};

struct connection {
    struct listener_source *owner;
    struct connection *next, **link;
    struct sw_watch watch;
    struct sw_decoder *decoder;
    int fd;
};

static void on_stop(void *context, unsigned events) {
    struct listener_source *self = context;
    (void)events;
    sw_reactor_stop(self->reactor);
}

static void on_tick(void *context) {
    struct listener_source *self = context;
    sw_intake_tick(self->source->intakes[0]);
    sw_reactor_timer_add(self->reactor, &self->tick, TICK_NS);
}

static void on_flush(void *context) {
    struct listener_source *self = context;
    sw_intake_flush(self->source->intakes[0]);
}

static void source_fail(struct listener_source *self, enum sw_status status) {
    self->status = status;
    sw_reactor_stop(self->reactor);
}

/* What a sender that was cut off left behind may be half a row, so only a proper end makes it a whole one. */
static void connection_close(struct connection *connection, bool is_at_end) {
    struct listener_source *self = connection->owner;
    struct sw_error err = {0};
    if (is_at_end && sw_decoder_finish(connection->decoder, &err) != SW_OK)
        sw_log(SW_LOG_WARN, "connection to %s: %s", self->source->address, err.text);
    sw_decoder_free(connection->decoder);
    sw_reactor_remove(self->reactor, &connection->watch);
    sw_socket_close(&connection->fd);
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    self->connection_count--;
    sw_free(connection);
}

/* A sender whose header lacks a column is told off in the log and closed; the others go on. */
static bool connection_feed(struct connection *connection, struct sw_str bytes) {
    struct listener_source *self = connection->owner;
    struct sw_error err = {0};
    sw_intake_arrive(self->source->intakes[0], bytes.len);
    int64_t begin_ns = sw_clock_thread_cpu_ns();
    enum sw_status status = sw_decoder_feed(connection->decoder, bytes, &err);
    sw_stage_add(&self->source->decode, sw_clock_thread_cpu_ns() - begin_ns);
    if (status == SW_NOMEM)
        source_fail(self, sw_fail(self->err, status, "cannot read %s: out of memory", self->source->address));
    else if (status != SW_OK)
        sw_log(SW_LOG_WARN, "closing a connection to %s: %s", self->source->address, err.text);
    return status == SW_OK;
}

static void on_readable(void *context, unsigned events) {
    struct connection *connection = context;
    struct listener_source *self = connection->owner;
    (void)events;
    sw_reactor_defer(self->reactor, &self->flush);
    for (int i = 0; i < READS_A_TURN; i++) {
        ssize_t count = recv(connection->fd, self->bytes, READ_BYTES, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            return;
        if (count <= 0 || !connection_feed(connection, (struct sw_str){self->bytes, (size_t)count})) {
            connection_close(connection, count == 0);
            return;
        }
        if ((size_t)count < READ_BYTES)
            return;
    }
}

static void on_accept(void *context, int fd, const struct sw_address *peer) {
    struct listener_source *self = context;
    (void)peer;
    struct sw_error err = {0};
    struct connection *connection = self->connection_count < CONNECTIONS_MAX ? sw_alloc_zero(sizeof *connection) : NULL;
    if (!connection) {
        sw_log(SW_LOG_WARN, "refusing a connection to %s: %u are open", self->source->address, self->connection_count);
        sw_socket_close(&fd);
        return;
    }
    *connection =
        (struct connection){.owner = self,
                            .fd = fd,
                            .next = self->connections,
                            .link = &self->connections,
                            .watch = {.fn = on_readable, .context = connection, .fd = fd, .interest = SW_WATCH_READ}};
    enum sw_status status =
        sw_decoder_new(&connection->decoder, &self->source->spec->decoder, self->source->intakes[0], &err);
    if (status == SW_OK)
        status = sw_reactor_add(self->reactor, &connection->watch, &err);
    if (status != SW_OK) {
        sw_log(SW_LOG_WARN, "closing a connection to %s: %s", self->source->address, err.text);
        sw_decoder_free(connection->decoder);
        sw_socket_close(&fd);
        sw_free(connection);
        return;
    }
    if (connection->next)
        connection->next->link = &connection->next;
    self->connections = connection;
    self->connection_count++;
}

static void on_datagrams(void *context, unsigned events) {
    struct listener_source *self = context;
    struct mmsghdr messages[DATAGRAMS] = {0};
    struct iovec parts[DATAGRAMS];
    (void)events;
    for (unsigned i = 0; i < DATAGRAMS; i++) {
        parts[i] = (struct iovec){self->bytes + (size_t)i * DATAGRAM_BYTES, DATAGRAM_BYTES};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(self->source->fd, messages, DATAGRAMS, MSG_DONTWAIT, NULL);
    int64_t begin_ns = sw_clock_thread_cpu_ns();
    for (int i = 0; i < count && self->status == SW_OK; i++) {
        sw_intake_arrive(self->source->intakes[0], messages[i].msg_len);
        enum sw_status status =
            sw_decoder_feed(self->decoder, (struct sw_str){parts[i].iov_base, messages[i].msg_len}, self->err);
        if (status == SW_OK)
            status = sw_decoder_finish(self->decoder, self->err);
        if (status != SW_OK)
            source_fail(self, status);
    }
    if (count > 0)
        sw_stage_add(&self->source->decode, sw_clock_thread_cpu_ns() - begin_ns);
    sw_reactor_defer(self->reactor, &self->flush);
}

static enum sw_status tcp_open(struct listener_source *self, struct sw_error *err) {
    int fd = self->source->fd;
    self->source->fd = -1; /* the listener's from here on */
    sw_listener_set(&self->listener, on_accept, self);
    return sw_listener_open(&self->listener, self->reactor, fd, err);
}

static enum sw_status udp_open(struct listener_source *self, struct sw_error *err) {
    enum sw_status status = sw_decoder_new(&self->decoder, &self->source->spec->decoder, self->source->intakes[0], err);
    if (status != SW_OK)
        return status;
    self->datagrams = (struct sw_watch){on_datagrams, self, self->source->fd, SW_WATCH_READ, 0};
    return sw_reactor_add(self->reactor, &self->datagrams, err);
}

static enum sw_status listener_run(struct sw_source *source, struct sw_error *err) {
    struct listener_source self = {.source = source, .err = err};
    self.stop = (struct sw_watch){on_stop, &self, source->stop_fd, SW_WATCH_READ, 0};
    self.tick.fn = on_tick;
    self.tick.context = &self;
    self.flush.fn = on_flush;
    self.flush.context = &self;
    bool is_tcp = source->kind == SW_SOURCE_TCP;
    self.bytes = sw_alloc(is_tcp ? READ_BYTES : (size_t)DATAGRAMS * DATAGRAM_BYTES);
    enum sw_status status = self.bytes ? sw_reactor_open(&self.reactor, NULL, err)
                                       : sw_fail(err, SW_NOMEM, "cannot read %s: out of memory", source->address);
    if (status == SW_OK)
        status = sw_reactor_add(self.reactor, &self.stop, err);
    if (status == SW_OK)
        status = is_tcp ? tcp_open(&self, err) : udp_open(&self, err);
    if (status == SW_OK) {
        sw_reactor_timer_add(self.reactor, &self.tick, TICK_NS);
        status = sw_reactor_run(self.reactor, err);
    }
    while (self.connections)
        connection_close(self.connections, false);
    if (self.reactor) {
        sw_listener_close(&self.listener);
        sw_reactor_close(self.reactor);
    }
    sw_decoder_free(self.decoder);
    sw_free(self.bytes);
    return status == SW_OK ? self.status : status;
}

enum sw_status sw_source_run_tcp(struct sw_source *source, struct sw_error *err) {
    return listener_run(source, err);
}

enum sw_status sw_source_run_udp(struct sw_source *source, struct sw_error *err) {
    return listener_run(source, err);
}
