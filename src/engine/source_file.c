/* source_file.c - Reads files, pipes and stdin to their end. */
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/inflate.h"
#include "engine/source.h"

#define READ_BYTES (256u * 1024u)
#define PACED_BYTES (4u * 1024u) /* a replay decodes in small pieces, so that it can stop between them */
#define TICK_MS 50

/* Waits until a pipe or terminal has input, handing on what came before; false when the job is stopping. */
static bool input_wait(struct sw_source *source) {
    struct pollfd fds[2] = {{.fd = source->fd, .events = POLLIN}, {.fd = source->stop_fd, .events = POLLIN}};
    int timeout_ms = 0;
    while (!atomic_load_explicit(source->is_stopping, memory_order_relaxed)) {
        poll(fds, 2, timeout_ms);
        if (fds[0].revents != 0)
            return true;
        if (timeout_ms == 0)
            sw_intake_flush(source->intakes[0]);
        else
            sw_intake_tick(source->intakes[0]);
        timeout_ms = TICK_MS;
    }
    return false;
}

static enum sw_status pieces_feed(struct sw_source *source, struct sw_decoder *decoder, struct sw_str bytes,
                                  struct sw_error *err) {
    size_t piece = source->spec->replay > 0 ? PACED_BYTES : bytes.len;
    enum sw_status status = SW_OK;
    while (bytes.len > 0 && status == SW_OK && !atomic_load_explicit(source->is_stopping, memory_order_relaxed)) {
        size_t take = piece < bytes.len ? piece : bytes.len;
        sw_intake_arrive(source->intakes[0], take);
        int64_t begin_ns = sw_clock_thread_cpu_ns();
        status = sw_decoder_feed(decoder, (struct sw_str){bytes.ptr, take}, err);
        sw_stage_add(&source->decode, sw_clock_thread_cpu_ns() - begin_ns);
        bytes = sw_str_skip(bytes, take);
    }
    return status;
}

/* Of several sources one wants to know which. */
static enum sw_status failure_name(const struct sw_source *source, enum sw_status status, struct sw_error *err) {
    return sw_fail(err, status, "source %.*s: %s", SW_STR_ARG(source->spec->uri), err->text);
}

/* A source that is stopped ends behind its last whole row: half a row may look like another one. */
enum sw_status sw_source_run_file(struct sw_source *source, struct sw_error *err) {
    struct sw_decoder *decoder = NULL;
    struct sw_inflate *inflate = NULL;
    struct stat about;
    bool is_at_end = false;
    char *bytes = sw_alloc(READ_BYTES);
    enum sw_status status = bytes ? sw_inflate_new(&inflate, source->fd) : SW_NOMEM;
    if (status != SW_OK) {
        sw_fail(err, status, "cannot read source: out of memory");
        goto done;
    }
    status = sw_decoder_new(&decoder, &source->spec->decoder, source->intakes[0], err);
    bool is_regular = fstat(source->fd, &about) == 0 && S_ISREG(about.st_mode);
    while (status == SW_OK && !atomic_load_explicit(source->is_stopping, memory_order_relaxed)) {
        size_t len = 0;
        if (!is_regular && !input_wait(source))
            break;
        status = sw_inflate_read(inflate, bytes, READ_BYTES, &len, err);
        if (status == SW_AGAIN) {
            status = SW_OK;
            continue;
        }
        is_at_end = status == SW_OK && len == 0;
        if (is_at_end)
            break;
        if (status == SW_OK)
            status = pieces_feed(source, decoder, (struct sw_str){bytes, len}, err);
    }
    if (status == SW_OK && is_at_end)
        status = sw_decoder_finish(decoder, err);
    if (status != SW_OK)
        failure_name(source, status, err);
done:
    sw_decoder_free(decoder);
    sw_inflate_free(inflate);
    sw_free(bytes);
    return status;
}
