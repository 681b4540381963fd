/* stream.h - A connected byte stream on a reactor: bytes are pushed to the owner, output is sent once a turn.
 *
 * The contract is that of completions, so that a backend that receives and sends by itself (io_uring) fits below it:
 * received bytes lie in memory of the reactor and are the owner's only during on_data; queued bytes belong to the
 * stream until they are sent. The reactor's thread owns the stream; every callback may close it.
 */
#ifndef SW_NET_STREAM_H
#define SW_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "net/reactor.h"

struct sw_stream_chunk;

struct sw_stream_events {
    /* Bytes from the peer, all of them; what the owner wants to keep it copies. */
    void (*on_data)(void *context, struct sw_str bytes);
    /* The peer sends no more; the other direction still works. */
    void (*on_end)(void *context);
    /* Output was pending and is all sent. May be NULL. */
    void (*on_drain)(void *context);
    /* Some pending output was sent (write progress). May be NULL. */
    void (*on_progress)(void *context);
    /* The connection is dead (errno value); the owner closes the stream now or later. */
    void (*on_error)(void *context, int error_number);
};

struct sw_stream {
    struct sw_reactor *reactor;
    const struct sw_stream_events *events;
    void *context;
    struct sw_watch watch;
    struct sw_deferred flush;
    struct sw_stream_chunk *first; /* output queue */
    struct sw_stream_chunk *last;
    size_t pending_bytes; /* queued and not sent */
    uint64_t received_bytes;
    uint64_t sent_bytes;
    int fd; /* owned; -1 when closed */
    bool is_reading;
    bool is_connecting;
    bool is_ended;   /* end of input was seen */
    bool is_dead;    /* on_error was called */
    bool is_blocked; /* the kernel's buffer is full: waiting to become writable */
    bool is_shutdown_wanted;
};

typedef void (*sw_stream_release)(void *context);

/* Bytes that are sent without being copied; `release(context)` is called when they are no longer needed. */
struct sw_stream_loan {
    struct sw_str bytes;
    sw_stream_release release; /* NULL: they outlive the stream */
    void *context;
};

/* Takes `fd`, also on failure. events and context are set by the caller, all else is zero; but with is_connecting set
 * the fd is one of sw_socket_connect: output waits until it is through, on_error tells when it failed. */
SW_MUST_USE enum sw_status sw_stream_open(struct sw_stream *stream, struct sw_reactor *reactor, int fd,
                                          struct sw_error *err);
void sw_stream_close(struct sw_stream *stream); /* drops what is pending; no-op when closed; calls nothing back */

/* Copies `bytes` to the queue; sent at the end of the turn together with all else. SW_CLOSED on a dead stream. On
 * SW_NOMEM nothing was queued. */
SW_MUST_USE enum sw_status sw_stream_write(struct sw_stream *stream, struct sw_str bytes);
/* Room for `size_bytes` contiguous bytes at the queue's end (NULL: out of memory or dead), and how many were filled. */
char *sw_stream_reserve(struct sw_stream *stream, size_t size_bytes);
void sw_stream_commit(struct sw_stream *stream, size_t used_bytes);
/* Releases the loan at once when it fails. */
SW_MUST_USE enum sw_status sw_stream_write_loan(struct sw_stream *stream, const struct sw_stream_loan *loan);
void sw_stream_flush(struct sw_stream *stream);    /* sends now what the kernel takes; does not call on_drain */
void sw_stream_shutdown(struct sw_stream *stream); /* half-closes once everything is sent */

/* Pausing leaves bytes in the kernel, so that the peer is slowed down. Streams start reading. */
void sw_stream_pause(struct sw_stream *stream);
void sw_stream_resume(struct sw_stream *stream);

#endif
