/* source.c - Opens, runs and ends sources; see source.h. */
#include "engine/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "engine/python_watch.h"
#include "net/socket.h"

#define HOST_HZ 10.0
#define HOST_HZ_MAX 100.0
#define UDP_RECEIVE_BYTES (8 << 20)

static struct sw_str after_scheme(struct sw_str uri) {
    size_t colon = sw_str_find(uri, ':');
    return sw_str_skip(uri, colon + 3);
}

static enum sw_status open_file(struct sw_source *source, struct sw_error *err) {
    struct sw_str uri = source->spec->uri;
    char path[4096];
    struct stat about;
    if (sw_str_eq(uri, SW_STR("-"))) {
        source->fd = dup(STDIN_FILENO);
        source->is_finite = true;
        return source->fd < 0 ? sw_fail_errno(err, errno, "cannot read stdin") : SW_OK;
    }
    if (uri.len >= sizeof path)
        return sw_fail(err, SW_INVALID, "cannot open source: its path is longer than %zu bytes", sizeof path - 1);
    memcpy(path, uri.ptr, uri.len);
    path[uri.len] = '\0';
    source->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (source->fd < 0)
        return sw_fail_errno(err, errno, "cannot open source %s", path);
    if (fstat(source->fd, &about) == 0 && S_ISDIR(about.st_mode))
        return sw_fail(err, SW_INVALID, "cannot read source %s: it is a directory; give one --source for each file",
                       path);
    source->is_finite = true;
    return SW_OK;
}

static enum sw_status open_socket(struct sw_source *source, struct sw_error *err) {
    struct sw_address address;
    enum sw_status status = sw_address_parse(&address, after_scheme(source->spec->uri), err);
    if (status != SW_OK)
        return status;
    struct sw_socket_options options = {.receive_buffer_bytes = UDP_RECEIVE_BYTES};
    status = source->kind == SW_SOURCE_TCP ? sw_socket_listen(&source->fd, &address, NULL, err)
                                           : sw_socket_bind_datagram(&source->fd, &address, &options, err);
    if (status == SW_OK && sw_socket_local(source->fd, &address, NULL) == SW_OK)
        sw_address_format(&address, source->address);
    return status;
}

/* host://?hz=10 */
static enum sw_status open_host(struct sw_source *source, struct sw_error *err) {
    struct sw_str query = after_scheme(source->spec->uri);
    source->hz = HOST_HZ;
    if (query.len == 0)
        return SW_OK;
    if (!sw_str_starts(query, SW_STR("?hz=")))
        return sw_fail(err, SW_INVALID, "cannot read source '%.*s': host:// takes ?hz=1 to ?hz=100 only",
                       SW_STR_ARG(source->spec->uri));
    struct sw_str number = sw_str_skip(query, 4);
    const char *end = sw_num_parse_f64(number.ptr, number.ptr + number.len, &source->hz);
    if (end != number.ptr + number.len || source->hz < 1 || source->hz > HOST_HZ_MAX)
        return sw_fail(err, SW_INVALID, "cannot read source '%.*s': hz is a number from 1 to 100",
                       SW_STR_ARG(source->spec->uri));
    return SW_OK;
}

enum sw_status sw_source_kind_of(struct sw_str uri, enum sw_source_kind *kind, struct sw_error *err) {
    static const struct {
        const char *scheme;
        enum sw_source_kind kind;
    } schemes[] = {{"host://", SW_SOURCE_HOST},
                   {"python://", SW_SOURCE_PYTHON},
                   {"tcp://", SW_SOURCE_TCP},
                   {"udp://", SW_SOURCE_UDP},
                   {"ingest://", SW_SOURCE_INGEST}};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (sw_str_starts(uri, sw_str_from(schemes[i].scheme))) {
            *kind = schemes[i].kind;
            return SW_OK;
        }
    }
    const char *colon = memmem(uri.ptr, uri.len, "://", 3);
    if (colon)
        return sw_fail(
            err, SW_INVALID,
            "unknown source '%.*s'; there are host://, python://, tcp://ADDRESS:PORT, udp://ADDRESS:PORT, ingest://NAME, - and a path",
            SW_STR_ARG(uri));
    *kind = SW_SOURCE_FILE;
    return SW_OK;
}

enum sw_status sw_source_open(struct sw_source *source, struct sw_error *err) {
    source->fd = -1;
    enum sw_status status = sw_source_kind_of(source->spec->uri, &source->kind, err);
    if (status != SW_OK)
        return status;
    switch (source->kind) {
    case SW_SOURCE_FILE:
        return open_file(source, err);
    case SW_SOURCE_TCP:
    case SW_SOURCE_UDP:
        return open_socket(source, err);
    case SW_SOURCE_HOST:
        return open_host(source, err);
    case SW_SOURCE_PYTHON:
        return sw_source_open_python(source, err);
    case SW_SOURCE_INGEST:
        break;
    }
    return SW_OK;
}

void sw_source_close(struct sw_source *source) {
    if (source->fd >= 0)
        close(source->fd);
    source->fd = -1;
    sw_python_watch_free(source->watch);
    source->watch = NULL;
}

void sw_source_main(void *context) {
    struct sw_source *source = context;
    enum sw_status status = SW_OK;
    switch (source->kind) {
    case SW_SOURCE_FILE:
        status = sw_source_run_file(source, &source->error);
        break;
    case SW_SOURCE_TCP:
        status = sw_source_run_tcp(source, &source->error);
        break;
    case SW_SOURCE_UDP:
        status = sw_source_run_udp(source, &source->error);
        break;
    case SW_SOURCE_HOST:
        status = sw_source_run_host(source, &source->error);
        break;
    case SW_SOURCE_PYTHON:
        status = sw_source_run_python(source, &source->error);
        break;
    case SW_SOURCE_INGEST:
        break;
    }
    atomic_store(&source->has_failed, status != SW_OK);
    for (unsigned i = 0; i < source->intake_count; i++)
        sw_intake_end(source->intakes[i]);
    atomic_store(&source->is_done, true);
}
