/* stream.c - Byte streams on readiness: one read per turn into the reactor's scratch, one gathered send per turn. */
#include "net/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/reactor_impl.h"

#define CHUNK_BYTES SW_REACTOR_SPARE_BYTES /* of a chunk that small writes share, its header included */
#define SEND_PARTS_MAX 32

/* A piece of the output queue: bytes of its own behind the header, or a loan. */
struct sw_stream_chunk {
    struct sw_stream_chunk *next;
    const char *ptr; /* not sent yet */
    size_t len;
    size_t room;      /* free bytes behind ptr + len; 0 for a loan */
    bool is_standard; /* CHUNK_BYTES in all */
    sw_stream_release release;
    void *context;
    char bytes[];
};

static void free_chunk(struct sw_reactor *reactor, struct sw_stream_chunk *chunk) {
    if (chunk->release) {
        chunk->release(chunk->context);
    }
    if (chunk->is_standard && reactor->spare_count < SW_REACTOR_SPARES_MAX) {
        struct sw_reactor_spare *spare = (struct sw_reactor_spare *)(void *)chunk;
        spare->next = reactor->spares;
        reactor->spares = spare;
        reactor->spare_count++;
    } else {
        sw_free(chunk);
    }
}

/* A chunk with at least `room` free bytes, or NULL. */
static struct sw_stream_chunk *new_chunk(struct sw_reactor *reactor, size_t room) {
    struct sw_stream_chunk *chunk = NULL;
    bool is_standard = room <= CHUNK_BYTES - sizeof *chunk;
    room = is_standard ? CHUNK_BYTES - sizeof *chunk : room;
    if (is_standard && reactor->spares) {
        chunk = (struct sw_stream_chunk *)(void *)reactor->spares;
        reactor->spares = reactor->spares->next;
        reactor->spare_count--;
    } else {
        chunk = sw_alloc(sizeof *chunk + room);
    }
    if (chunk) {
        *chunk = (struct sw_stream_chunk){.ptr = chunk->bytes, .room = room, .is_standard = is_standard};
    }
    return chunk;
}

static void drop_chunks(struct sw_stream *stream) {
    struct sw_stream_chunk *chunk = stream->first;
    stream->first = NULL;
    stream->last = NULL;
    stream->pending_bytes = 0;
    while (chunk) {
        struct sw_stream_chunk *next = chunk->next;
        free_chunk(stream->reactor, chunk);
        chunk = next;
    }
}

static void append_chunk(struct sw_stream *stream, struct sw_stream_chunk *chunk) {
    if (stream->last) {
        stream->last->next = chunk;
    } else {
        stream->first = chunk;
    }
    stream->last = chunk;
}

static void update_interest(struct sw_stream *stream) {
    unsigned interest = (stream->is_reading && !stream->is_ended ? SW_WATCH_READ : 0u) |
                        (stream->is_blocked || stream->is_connecting ? SW_WATCH_WRITE : 0u);
    if (stream->watch.slot) {
        /* A change of mask fails only for a descriptor that is not there, which would be a bug of ours. */
        enum sw_status status = sw_reactor_modify(stream->reactor, &stream->watch, interest, NULL);
        (void)status;
    } else if (interest && stream->fd >= 0 && !stream->is_dead) {
        stream->watch.interest = interest;
        if (sw_reactor_add(stream->reactor, &stream->watch, NULL) != SW_OK) {
            stream->is_dead = true;
            sw_reactor_defer(stream->reactor, &stream->flush); /* which tells the owner */
        }
    }
}

static void die(struct sw_stream *stream, int error_number) {
    stream->is_dead = true;
    sw_reactor_remove(stream->reactor, &stream->watch);
    sw_reactor_defer_cancel(&stream->flush);
    drop_chunks(stream);
    stream->events->on_error(stream->context, error_number);
}

static void drop_sent(struct sw_stream *stream, size_t sent) {
    stream->pending_bytes -= sent;
    stream->sent_bytes += sent;
    while (sent > 0) {
        struct sw_stream_chunk *chunk = stream->first;
        if (sent < chunk->len) {
            chunk->ptr += sent;
            chunk->len -= sent;
            return;
        }
        sent -= chunk->len;
        stream->first = chunk->next;
        if (!stream->first) {
            stream->last = NULL;
        }
        free_chunk(stream->reactor, chunk);
    }
}

static ssize_t send_parts(struct sw_stream *stream, size_t *wanted) {
    struct iovec parts[SEND_PARTS_MAX];
    size_t count = 0;
    *wanted = 0;
    for (struct sw_stream_chunk *chunk = stream->first; chunk && count < SEND_PARTS_MAX; chunk = chunk->next) {
        if (chunk->len > 0) { /* a reserved chunk may be empty still */
            parts[count++] = (struct iovec){(void *)(uintptr_t)chunk->ptr, chunk->len};
            *wanted += chunk->len;
        }
    }
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    for (;;) {
        ssize_t sent = count == 1 ? send(stream->fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL)
                                  : sendmsg(stream->fd, &message, MSG_NOSIGNAL);
        if (sent >= 0 || errno != EINTR) {
            return sent;
        }
    }
}

/* Sends until the queue is empty or the kernel's buffer full; 0 or an errno value. */
static int send_pending(struct sw_stream *stream) {
    while (stream->pending_bytes > 0 && !stream->is_blocked) {
        size_t wanted = 0;
        ssize_t sent = send_parts(stream, &wanted);
        if (sent < 0 && errno != EAGAIN) {
            return errno;
        }
        if (sent > 0) {
            drop_sent(stream, (size_t)sent);
        }
        if (sent < 0 || (size_t)sent < wanted) {
            stream->is_blocked = true;
            update_interest(stream);
        }
    }
    if (stream->is_shutdown_wanted && stream->pending_bytes == 0) {
        stream->is_shutdown_wanted = false;
        shutdown(stream->fd, SHUT_WR);
    }
    return 0;
}

/* The end-of-turn flush, and the one when the socket becomes writable. */
static void flush_and_tell(void *context) {
    struct sw_stream *stream = context;
    if (stream->is_dead) {
        die(stream, ENOMEM);
        return;
    }
    if (stream->is_connecting) {
        return;
    }
    uint64_t sent_before = stream->sent_bytes;
    int error_number = send_pending(stream);
    if (error_number) {
        die(stream, error_number);
        return;
    }
    if (stream->sent_bytes == sent_before) {
        return;
    }
    if (stream->pending_bytes == 0) {
        if (stream->events->on_drain) {
            stream->events->on_drain(stream->context);
        }
    } else if (stream->events->on_progress) {
        stream->events->on_progress(stream->context);
    }
}

static int socket_error(int fd) {
    int error_number = 0;
    socklen_t len = sizeof error_number;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &len) ? errno : error_number;
}

static void read_some(struct sw_stream *stream) {
    struct sw_reactor *reactor = stream->reactor;
    ssize_t got = recv(stream->fd, reactor->scratch, SW_REACTOR_SCRATCH_BYTES, 0);
    if (got > 0) {
        stream->received_bytes += (uint64_t)got;
        stream->events->on_data(stream->context, sw_str_make(reactor->scratch, (size_t)got));
    } else if (got == 0) {
        stream->is_ended = true;
        update_interest(stream);
        stream->events->on_end(stream->context);
    } else if (errno != EAGAIN && errno != EINTR) {
        die(stream, errno);
    }
}

/* Writing comes before reading and ends the event's work if it called back, since the owner may have closed and freed
 * the stream; what is readable is reported again in the next turn. */
static void on_event(void *context, unsigned events) {
    struct sw_stream *stream = context;
    if (stream->is_connecting) {
        int error_number = socket_error(stream->fd);
        if (error_number) {
            die(stream, error_number);
            return;
        }
        stream->is_connecting = false;
        stream->is_blocked = false;
        update_interest(stream);
        flush_and_tell(stream);
        return;
    }
    if ((events & SW_WATCH_ERROR) && !(events & SW_WATCH_READ)) {
        int error_number = socket_error(stream->fd);
        die(stream, error_number ? error_number : EPIPE);
        return;
    }
    if ((events & (SW_WATCH_WRITE | SW_WATCH_HANGUP)) && stream->is_blocked) {
        stream->is_blocked = false;
        if (stream->pending_bytes > 0) {
            update_interest(stream);
            flush_and_tell(stream);
            return;
        }
        update_interest(stream);
    }
    if (events & SW_WATCH_READ) {
        read_some(stream);
    } else if (events & SW_WATCH_HANGUP) {
        /* Reading is paused or over and epoll would report this for ever: watch again when there is something to do. */
        sw_reactor_remove(stream->reactor, &stream->watch);
        if (stream->is_ended) {
            die(stream, EPIPE);
        }
    }
}

enum sw_status sw_stream_open(struct sw_stream *stream, struct sw_reactor *reactor, int fd, struct sw_error *err) {
    stream->reactor = reactor;
    stream->fd = fd;
    stream->is_reading = true;
    stream->watch = (struct sw_watch){.fn = on_event, .context = stream, .fd = fd, .interest = SW_WATCH_READ};
    stream->flush = (struct sw_deferred){.fn = flush_and_tell, .context = stream};
    if (stream->is_connecting) {
        stream->watch.interest |= SW_WATCH_WRITE;
    }
    enum sw_status status = sw_reactor_add(reactor, &stream->watch, err);
    if (status != SW_OK) {
        close(fd);
        stream->fd = -1;
    }
    return status;
}

void sw_stream_close(struct sw_stream *stream) {
    if (!stream->reactor || stream->fd < 0) {
        return;
    }
    sw_reactor_remove(stream->reactor, &stream->watch);
    sw_reactor_defer_cancel(&stream->flush);
    drop_chunks(stream);
    close(stream->fd);
    stream->fd = -1;
    stream->is_dead = true;
}

char *sw_stream_reserve(struct sw_stream *stream, size_t size_bytes) {
    if (stream->is_dead || stream->fd < 0) {
        return NULL;
    }
    struct sw_stream_chunk *last = stream->last;
    if (!last || last->room < size_bytes) {
        last = new_chunk(stream->reactor, size_bytes);
        if (!last) {
            return NULL;
        }
        append_chunk(stream, last);
    }
    return (char *)(uintptr_t)last->ptr + last->len;
}

void sw_stream_commit(struct sw_stream *stream, size_t used_bytes) {
    struct sw_stream_chunk *last = stream->last;
    last->len += used_bytes;
    last->room -= used_bytes;
    stream->pending_bytes += used_bytes;
    if (!stream->is_blocked) {
        sw_reactor_defer(stream->reactor, &stream->flush);
    }
}

enum sw_status sw_stream_write(struct sw_stream *stream, struct sw_str bytes) {
    if (stream->is_dead || stream->fd < 0) {
        return SW_CLOSED;
    }
    if (bytes.len == 0) {
        return SW_OK;
    }
    char *room = sw_stream_reserve(stream, bytes.len);
    if (!room) {
        return SW_NOMEM;
    }
    memcpy(room, bytes.ptr, bytes.len);
    sw_stream_commit(stream, bytes.len);
    return SW_OK;
}

enum sw_status sw_stream_write_loan(struct sw_stream *stream, const struct sw_stream_loan *loan) {
    bool is_open = !stream->is_dead && stream->fd >= 0;
    struct sw_stream_chunk *chunk = is_open && loan->bytes.len > 0 ? sw_alloc(sizeof *chunk) : NULL;
    if (!chunk) {
        if (loan->release) {
            loan->release(loan->context);
        }
        return !is_open ? SW_CLOSED : loan->bytes.len > 0 ? SW_NOMEM : SW_OK;
    }
    *chunk = (struct sw_stream_chunk){.ptr = loan->bytes.ptr,
                                      .len = loan->bytes.len,
                                      .release = loan->release,
                                      .context = loan->context};
    append_chunk(stream, chunk);
    stream->pending_bytes += chunk->len;
    if (!stream->is_blocked) {
        sw_reactor_defer(stream->reactor, &stream->flush);
    }
    return SW_OK;
}

void sw_stream_flush(struct sw_stream *stream) {
    if (stream->fd < 0 || stream->is_dead || stream->is_connecting) {
        return;
    }
    if (send_pending(stream)) {
        stream->is_blocked = false; /* the deferred flush meets the same error and reports it */
        sw_reactor_defer(stream->reactor, &stream->flush);
    }
}

void sw_stream_shutdown(struct sw_stream *stream) {
    if (stream->fd >= 0 && !stream->is_dead) {
        stream->is_shutdown_wanted = true;
        sw_reactor_defer(stream->reactor, &stream->flush);
    }
}

void sw_stream_pause(struct sw_stream *stream) {
    if (stream->is_reading && stream->fd >= 0) {
        stream->is_reading = false;
        update_interest(stream);
    }
}

void sw_stream_resume(struct sw_stream *stream) {
    if (!stream->is_reading && stream->fd >= 0) {
        stream->is_reading = true;
        update_interest(stream);
    }
}
